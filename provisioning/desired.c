/* desired.c - makes a model as a desired state says.
 *
 * Features, distributions and links are made in that order, each only where it
 * is not there yet; what of these the state does not name is removed. Links are
 * the same when their definitions are: that is their endpoints. */
#include "desired.h"
#include "desired_internal.h"

#include "framework/version.h"

#include <errno.h>
#include <string.h>

typedef struct Plan {
    const json_t *state;
    Model *model;
    InaError *error;
    json_t *missing;
    /* Definitions of artifacts: by digest; bundles by "name" and "name@1.0.0"; configurations by file name. */
    json_t *digests, *bundles, *files;
    json_t *kept; /* definitions that the state wants, of features, distributions and links */
} Plan;

static int no_memory(InaError *error)
{
    return ina_error_set(error, ENOMEM, "out of memory");
}

/* --- looking artifacts up --------------------------------------------------- */

static int note(json_t *index, const char *key, const Object *artifact)
{
    return json_object_set_new(index, key, json_string(object_definition(artifact)));
}

static int note_bundle(Plan *plan, const Object *artifact, const char *name)
{
    char text[VERSION_TEXT_MAX];
    Version version;
    AUTO_FREE char *key = NULL;
    if (version_parse(object_attribute(artifact, "Bundle-Version"), &version, NULL) < 0)
        return 0;
    version_format(&version, text);
    if (asprintf(&key, "%s@%s", name, text) < 0 || note(plan->bundles, key, artifact) < 0)
        return -ENOMEM;
    return note(plan->bundles, name, artifact);
}

static int index_artifacts(Plan *plan)
{
    size_t n = model_count(plan->model, OBJECT_ARTIFACT);
    int r = 0;
    for (size_t i = 0; r == 0 && i < n; i++) {
        const Object *artifact = model_at(plan->model, OBJECT_ARTIFACT, i);
        const char *name = object_attribute(artifact, "Bundle-SymbolicName");
        const char *digest = object_attribute(artifact, "sha256"), *file = object_attribute(artifact, "filename");
        if (digest)
            r = note(plan->digests, digest, artifact);
        if (r == 0 && name && !object_is_processor(artifact))
            r = note_bundle(plan, artifact, name);
        else if (r == 0 && !name && file)
            r = note(plan->files, file, artifact);
    }
    return r < 0 ? no_memory(plan->error) : 0;
}

static int find_missing(Plan *plan)
{
    json_t *artifact;
    size_t i;
    json_array_foreach(json_object_get(plan->state, "artifacts"), i, artifact)
    {
        const char *digest = json_string_value(json_object_get(artifact, "sha256"));
        if (!json_object_get(plan->digests, digest) && json_array_append(plan->missing, artifact) < 0)
            return no_memory(plan->error);
    }
    return 0;
}

/* --- objects ---------------------------------------------------------------- */

/* The same but for the order of what they have. */
bool desired_same(const Object *a, const Object *b)
{
    AUTO_JSON json_t *one = object_json(a), *other = object_json(b);
    return one && other && json_equal(one, other);
}

/* Makes the object of `value` (stolen) be in the model as it says, and stay there. */
static int put(Plan *plan, ObjectKind kind, json_t *value, const char *where)
{
    AUTO_JSON json_t *own = value;
    Object *object = NULL;
    if (!own)
        return no_memory(plan->error);
    int r = object_new(kind, own, plan->model, &object, plan->error);
    if (r < 0)
        return ina_error_wrap(plan->error, "%s", where);
    const Object *there = model_get(plan->model, kind, object_definition(object));
    if (!there)
        r = model_add(plan->model, object, plan->error);
    else if (!desired_same(there, object))
        r = model_replace(plan->model, object, plan->error);
    if (r == 0 && json_object_set_new(plan->kept, object_definition(object), json_true()) < 0)
        r = no_memory(plan->error);
    object_unref(object);
    return r < 0 ? ina_error_wrap(plan->error, "%s", where) : 0;
}

/* {"attributes": {"name": NAME, ...}, "tags": {...}} */
static json_t *named_value(const char *name, const json_t *group)
{
    json_t *value = json_pack("{s:{s:s}, s:{}}", "attributes", "name", name, "tags");
    json_t *description = json_object_get(group, "description"), *tags = json_object_get(group, "tags");
    if (value && description)
        json_object_set(json_object_get(value, "attributes"), "description", description);
    if (value && tags)
        json_object_set(value, "tags", tags);
    return value;
}

static int put_named(Plan *plan, ObjectKind kind, const char *key)
{
    char place[DESIRED_PLACE_MAX];
    const char *name;
    json_t *group;
    json_object_foreach(json_object_get(plan->state, key), name, group)
    {
        desired_place(place, "%s.%s", key, name);
        int r = put(plan, kind, named_value(name, group), place);
        if (r < 0)
            return r;
    }
    return 0;
}

/* A target keeps what the state does not speak of. */
static int put_target(Plan *plan, const char *id, const json_t *wanted)
{
    char place[DESIRED_PLACE_MAX];
    AUTO_FREE char *definition = NULL;
    desired_place(place, "targets.%s", id);
    if (asprintf(&definition, "target-id-%s", id) < 0)
        return no_memory(plan->error);
    const Object *there = model_get(plan->model, OBJECT_TARGET, definition);
    json_t *value = there ? object_json(there)
                          : json_pack("{s:{s:s, s:s}, s:{}}", "attributes", "id", id, "autoapprove", "false", "tags");
    const json_t *approve = json_object_get(wanted, "autoApprove");
    if (value && approve)
        json_object_set_new(json_object_get(value, "attributes"), "autoapprove",
                            json_string(json_is_true(approve) ? "true" : "false"));
    if (value && json_object_get(wanted, "tags"))
        json_object_update(json_object_get(value, "tags"), json_object_get(wanted, "tags"));
    return put(plan, OBJECT_TARGET, value, place);
}

static int put_targets(Plan *plan)
{
    const char *id;
    json_t *target;
    json_object_foreach(json_object_get(plan->state, "targets"), id, target)
    {
        int r = put_target(plan, id, target);
        if (r < 0)
            return r;
    }
    return 0;
}

/* --- links ------------------------------------------------------------------ */

/* By the name in the index of bundles, where versions are spelled out. */
static const char *find_version(const Plan *plan, const char *name, const char *text)
{
    char full[VERSION_TEXT_MAX];
    Version version;
    AUTO_FREE char *key = NULL;
    if (version_parse(text, &version, NULL) < 0)
        return NULL;
    version_format(&version, full);
    return asprintf(&key, "%s@%s", name, full) < 0 ? NULL : json_string_value(json_object_get(plan->bundles, key));
}

/* The left of a link of an artifact by its reference; ret_range: the newest in it, or NULL. NULL: there is none. */
static const char *find_artifact(const Plan *plan, const char *reference, const char **ret_range)
{
    const char *file = json_string_value(json_object_get(plan->files, reference)), *at = strchr(reference, '@');
    *ret_range = NULL;
    if (file)
        return file;
    if (!at) {
        *ret_range = "0.0.0";
        return json_string_value(json_object_get(plan->bundles, reference));
    }
    AUTO_FREE char *name = strndup(reference, (size_t)(at - reference));
    if (!name)
        return NULL;
    if (at[1] != '[' && at[1] != '(')
        return find_version(plan, name, at + 1);
    *ret_range = at + 1;
    return json_string_value(json_object_get(plan->bundles, name));
}

json_t *desired_link_value(const char *left, const char *right, const char *range)
{
    json_t *value = json_pack("{s:{}, s:{}, s:s, s:s}", "attributes", "tags", "left", left, "right", right);
    if (value && range)
        json_object_set_new(json_object_get(value, "attributes"), "associationVersionStatement", json_string(range));
    return value;
}

json_t *desired_assignment_value(const char *left, const char *targets)
{
    return json_pack("{s:{s:s, s:s}, s:{}, s:s}", "attributes", "rightEndpoint", targets, "rightCardinality",
                     "2147483647", "tags", "left", left);
}

char *desired_definition(const char *kind, const char *name)
{
    AUTO_JSON json_t *value = json_pack("{s:{s:s}}", "attributes", "name", name);
    Object *object = NULL;
    ObjectKind number;
    if (!value || object_kind_parse(kind, &number) < 0 || object_new(number, value, NULL, &object, NULL) < 0)
        return NULL;
    char *definition = strdup(object_definition(object));
    object_unref(object);
    return definition;
}

static int link_artifacts(Plan *plan, const char *feature, const json_t *artifacts)
{
    char place[DESIRED_PLACE_MAX];
    AUTO_FREE char *right = desired_definition("feature", feature);
    json_t *reference;
    size_t i;
    json_array_foreach(artifacts, i, reference)
    {
        const char *range, *left = find_artifact(plan, json_string_value(reference), &range);
        desired_place(place, "features.%s.artifacts[%zu]", feature, i);
        if (!left && json_array_size(plan->missing) > 0)
            continue; /* it may be in one of them */
        if (!left)
            return ina_error_set(plan->error, EINVAL,
                                 "%s: there is no artifact \"%.100s\"; name its file in \"artifacts\", or upload it",
                                 place, json_string_value(reference));
        int r = put(plan, OBJECT_ARTIFACT2FEATURE, right ? desired_link_value(left, right, range) : NULL, place);
        if (r < 0)
            return r;
    }
    return 0;
}

static int link_features(Plan *plan, const char *distribution, const json_t *features)
{
    char place[DESIRED_PLACE_MAX];
    AUTO_FREE char *right = desired_definition("distribution", distribution);
    json_t *feature;
    size_t i;
    json_array_foreach(features, i, feature)
    {
        AUTO_FREE char *left = desired_definition("feature", json_string_value(feature));
        desired_place(place, "distributions.%s.features[%zu]", distribution, i);
        int r =
            put(plan, OBJECT_FEATURE2DISTRIBUTION, left && right ? desired_link_value(left, right, NULL) : NULL, place);
        if (r < 0)
            return r;
    }
    return 0;
}

static int put_groups_links(Plan *plan)
{
    const char *name;
    json_t *group;
    int r = 0;
    json_object_foreach(json_object_get(plan->state, "features"), name, group) if (r == 0) r =
        link_artifacts(plan, name, json_object_get(group, "artifacts"));
    json_object_foreach(json_object_get(plan->state, "distributions"), name, group) if (r == 0) r =
        link_features(plan, name, json_object_get(group, "features"));
    return r;
}

static int put_assignments(Plan *plan)
{
    char place[DESIRED_PLACE_MAX];
    json_t *assignment;
    size_t i;
    json_array_foreach(json_object_get(plan->state, "assignments"), i, assignment)
    {
        const char *name = json_string_value(json_object_get(assignment, "distribution"));
        AUTO_FREE char *left = desired_definition("distribution", name);
        desired_place(place, "assignments[%zu]", i);
        const char *targets = json_string_value(json_object_get(assignment, "targets"));
        int r = put(plan, OBJECT_DISTRIBUTION2TARGET, left ? desired_assignment_value(left, targets) : NULL, place);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Those without a short form. */
static int put_links(Plan *plan)
{
    char place[DESIRED_PLACE_MAX];
    json_t *link;
    size_t i;
    json_array_foreach(json_object_get(plan->state, "links"), i, link)
    {
        ObjectKind kind;
        json_t *tags = json_object_get(link, "tags");
        desired_place(place, "links[%zu]", i);
        json_t *value = json_pack("{s:O}", "attributes", json_object_get(link, "attributes"));
        if (value && tags)
            json_object_set(value, "tags", tags);
        int r = object_kind_parse(json_string_value(json_object_get(link, "kind")), &kind);
        if (r < 0)
            json_decref(value);
        r = r < 0 ? ina_error_set(plan->error, EINVAL, "%s.kind is not known", place) : put(plan, kind, value, place);
        if (r < 0)
            return r;
    }
    return 0;
}

/* --- what is not wanted ----------------------------------------------------- */

static int remove_others(Plan *plan, ObjectKind kind)
{
    for (size_t i = model_count(plan->model, kind); i-- > 0;) {
        const char *definition = object_definition(model_at(plan->model, kind, i));
        if (json_object_get(plan->kept, definition))
            continue;
        AUTO_FREE char *own = strdup(definition);
        int r = own ? model_remove(plan->model, kind, own, plan->error) : no_memory(plan->error);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Links that may be to what is missing stay meanwhile: nobody is to think that they went. */
static int remove_unwanted(Plan *plan)
{
    static const ObjectKind kinds[] = {OBJECT_DISTRIBUTION2TARGET, OBJECT_FEATURE2DISTRIBUTION, OBJECT_ARTIFACT2FEATURE,
                                       OBJECT_DISTRIBUTION, OBJECT_FEATURE};
    int r = 0;
    for (size_t i = 0; r == 0 && i < sizeof kinds / sizeof *kinds; i++)
        if (kinds[i] != OBJECT_ARTIFACT2FEATURE || json_array_size(plan->missing) == 0)
            r = remove_others(plan, kinds[i]);
    return r;
}

/* --- all -------------------------------------------------------------------- */

int desired_apply(const json_t *state, Model *model, json_t **ret_missing, InaError *error)
{
    InaError own = {0};
    AUTO_JSON json_t *missing = json_array(), *digests = json_object(), *bundles = json_object(),
                     *files = json_object(), *kept = json_object();
    Plan plan = {state, model, error ? error : &own, missing, digests, bundles, files, kept};
    if (!missing || !digests || !bundles || !files || !kept)
        return no_memory(error);
    int r = desired_check(state, false, plan.error);
    r = r < 0 ? r : index_artifacts(&plan);
    r = r < 0 ? r : find_missing(&plan);
    r = r < 0 ? r : put_named(&plan, OBJECT_FEATURE, "features");
    r = r < 0 ? r : put_named(&plan, OBJECT_DISTRIBUTION, "distributions");
    r = r < 0 ? r : put_targets(&plan);
    r = r < 0 ? r : put_groups_links(&plan);
    r = r < 0 ? r : put_assignments(&plan);
    r = r < 0 ? r : put_links(&plan);
    r = r < 0 ? r : remove_unwanted(&plan);
    if (r == 0)
        *ret_missing = TAKE_PTR(missing);
    return r;
}
