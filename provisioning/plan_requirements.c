/* plan_requirements.c - whether bundles find what they require, as far as that
 * can be known here: for C bundles our own namespaces, for Java bundles those
 * that the target's platform speaks of. */
#include "base/cleanup.h"
#include "framework/resolver.h"
#include "plan.h"
#include <errno.h>
#include <string.h>
#include <strings.h>

#define OWN_NAMESPACES "inaetics."

/* --- descriptions of bundles -------------------------------------------------------- */

static int set_clauses(Manifest *manifest, const char *header, const json_t *clauses, InaError *error)
{
    const json_t *clause;
    Buffer out = {0};
    size_t i;

    json_array_foreach(clauses, i, clause) buffer_print(&out, "%s%s", i > 0 ? "," : "", json_string_value(clause));
    int r = out.failed ? out_of_memory(error) : out.size > 0 ? manifest_set(manifest, header, out.data, error) : 0;
    buffer_free(&out);
    return r;
}

static int describe(const Object *bundle, Description **ret, InaError *error)
{
    const char *name = object_attribute(bundle, "Bundle-SymbolicName");
    Manifest *manifest = NULL;

    int r = manifest_new(&manifest, error);
    if (r == 0)
        r = manifest_set(manifest, "Bundle-SymbolicName", bundle_name_valid(name) ? name : "bundle", error);
    if (r == 0)
        r = manifest_set(manifest, "Bundle-Version", object_attribute(bundle, "Bundle-Version"), error);
    if (r == 0)
        r = set_clauses(manifest, "Provide-Capability", json_object_get(bundle->clauses, "provides"), error);
    if (r == 0)
        r = set_clauses(manifest, "Require-Capability", json_object_get(bundle->clauses, "requires"), error);
    if (r == 0)
        r = description_new(manifest, ret, error);
    manifest_free(manifest);
    return r;
}

/* Kept with the object, which never changes. NULL: it says nothing. */
static int description_of_bundle(const Object *bundle, const Description **ret, InaError *error)
{
    Description **kept = &((Object *)bundle)->description;

    *ret = NULL;
    if (!bundle->clauses)
        return 0;
    if (!*kept) {
        int r = describe(bundle, kept, error);
        if (r < 0)
            return r;
    }
    *ret = *kept;
    return 0;
}

/* --- what is checked ------------------------------------------------------------------- */

static bool speaks_of(const Description *platform, const char *space)
{
    for (size_t i = 0; i < platform->n_capabilities; i++)
        if (strcmp(platform->capabilities[i].space, space) == 0)
            return true;
    return false;
}

static bool is_checked(const Plan *plan, const Object *bundle, const Description *platform, const char *space)
{
    const char *runtime = object_attribute(bundle, "runtime");
    bool own = strncmp(space, OWN_NAMESPACES, strlen(OWN_NAMESPACES)) == 0;

    if (!runtime || strcasecmp(runtime, "java") != 0)
        return own;
    return plan->key.platform && (own || speaks_of(platform, space));
}

/* As the resolver is to see it: only with requirements that are checked, and native code is not its matter here. */
static int view(const Plan *plan, const Object *bundle, const Description *platform, const Description *full,
                Description *ret)
{
    *ret = *full;
    ret->library = (char *)"";
    ret->n_requirements = 0;
    ret->requirements = calloc(full->n_requirements + 1, sizeof *ret->requirements);
    if (!ret->requirements)
        return -ENOMEM;
    for (size_t i = 0; i < full->n_requirements; i++) {
        const Requirement *requirement = &full->requirements[i];
        if (requirement->resolving && !requirement->optional && is_checked(plan, bundle, platform, requirement->space))
            ret->requirements[ret->n_requirements++] = *requirement;
    }
    return 0;
}

typedef struct Resolution {
    const Plan *plan;
    Description *platform;
    Description *views;
    Candidate *candidates;
    const Wanted **wanted;
    size_t n;
    size_t n_requirements, n_capabilities;
} Resolution;

static int add_candidate(Resolution *resolution, const Wanted *wanted, Buffer *reasons, InaError *error)
{
    const Description *full;
    InaError why = {.message = ""};

    int r = description_of_bundle(wanted->artifact, &full, &why);
    if (r == -ENOMEM)
        return out_of_memory(error);
    if (r < 0) {
        print_reason(reasons, wanted);
        buffer_print(reasons, ": %s", why.message);
        return 0;
    }
    if (!full)
        return 0;
    Description *own = &resolution->views[resolution->n];
    if (view(resolution->plan, wanted->artifact, resolution->platform, full, own) < 0)
        return out_of_memory(error);
    resolution->n_requirements += own->n_requirements;
    resolution->n_capabilities += own->n_capabilities;
    resolution->candidates[resolution->n].description = own;
    resolution->wanted[resolution->n++] = wanted;
    return 0;
}

static int resolve(Resolution *resolution, Buffer *reasons, InaError *error)
{
    if (resolution->n_requirements == 0)
        return 0;
    if (resolution->n_capabilities > 0 && resolution->n_requirements > PLAN_CHECKS_MAX / resolution->n_capabilities) {
        print_reason(reasons, NULL);
        buffer_print(reasons, "its bundles have %zu requirements and %zu capabilities, more than can be checked",
                     resolution->n_requirements, resolution->n_capabilities);
        return 0;
    }
    int r = resolver_resolve(resolution->platform, resolution->candidates, resolution->n, error);
    for (size_t i = 0; r == 0 && i < resolution->n; i++) {
        if (resolution->candidates[i].resolved)
            continue;
        print_reason(reasons, resolution->wanted[i]);
        buffer_print(reasons, " requires what neither its own bundles nor the target's platform provide: %s",
                     resolution->candidates[i].missing);
    }
    return r;
}

static int read_platform(const Plan *plan, Description **ret, Buffer *reasons, InaError *error)
{
    InaError why = {.message = ""};
    const char *text = plan->key.platform && *plan->key.platform ? plan->key.platform : FRAMEWORK_CAPABILITIES;

    int r = description_of(text, ret, &why);
    if (r == -ENOMEM)
        return out_of_memory(error);
    if (r == 0)
        return 0;
    print_reason(reasons, NULL);
    buffer_print(reasons, "the target's platform cannot be read: %s", why.message);
    return 1;
}

static void resolution_clear(Resolution *resolution)
{
    if (resolution->candidates)
        candidates_clear(resolution->candidates, resolution->n);
    for (size_t i = 0; i < resolution->n; i++)
        free(resolution->views[i].requirements);
    free(resolution->views);
    free(resolution->candidates);
    free(resolution->wanted);
    description_free(resolution->platform);
}

int plan_check_requirements(const Plan *plan, Buffer *reasons, InaError *error)
{
    Resolution resolution = {.plan = plan};

    int r = read_platform(plan, &resolution.platform, reasons, error);
    if (r != 0)
        return r < 0 ? r : 0;
    resolution.views = calloc(plan->n_wanted + 1, sizeof *resolution.views);
    resolution.candidates = calloc(plan->n_wanted + 1, sizeof *resolution.candidates);
    resolution.wanted = calloc(plan->n_wanted + 1, sizeof *resolution.wanted);
    if (!resolution.views || !resolution.candidates || !resolution.wanted)
        r = out_of_memory(error);
    for (size_t i = 0; r == 0 && i < plan->n_wanted; i++)
        if (plan->wanted[i].artifact->is_bundle)
            r = add_candidate(&resolution, &plan->wanted[i], reasons, error);
    if (r == 0)
        r = resolve(&resolution, reasons, error);
    resolution_clear(&resolution);
    return r;
}
