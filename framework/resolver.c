#include "resolver.h"
#include "base/map.h"
#include "elf_check.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef struct Problem {
    const Description *framework;
    Candidate *candidates;
    size_t n_candidates;
    bool *possible; /* candidates that are not ruled out yet */
    bool *decided;  /* were resolved before */
} Problem;

static bool met_by(const Requirement *requirement, const Description *description)
{
    for (size_t i = 0; i < description->n_capabilities; i++)
        if (description->capabilities[i].resolving && requirement_met(requirement, &description->capabilities[i]))
            return true;
    return false;
}

/* The framework first, then the oldest bundle. */
static int find_provider(const Problem *problem, const Requirement *requirement)
{
    if (met_by(requirement, problem->framework))
        return RESOLVER_FRAMEWORK;
    for (size_t i = 0; i < problem->n_candidates; i++)
        if (problem->possible[i] && met_by(requirement, problem->candidates[i].description))
            return (int)i;
    return RESOLVER_NOBODY;
}

static bool mandatory(const Requirement *requirement)
{
    return requirement->resolving && !requirement->optional;
}

static bool satisfied(const Problem *problem, const Description *description)
{
    for (size_t i = 0; i < description->n_requirements; i++)
        if (mandatory(&description->requirements[i]) &&
            find_provider(problem, &description->requirements[i]) == RESOLVER_NOBODY)
            return false;
    return description->library != NULL;
}

/* A bundle that would provide it, had it what it requires itself. */
static const Description *find_unresolved_provider(const Problem *problem, const Requirement *requirement)
{
    for (size_t i = 0; i < problem->n_candidates; i++)
        if (!problem->possible[i] && met_by(requirement, problem->candidates[i].description))
            return problem->candidates[i].description;
    return NULL;
}

static void print_offers(Buffer *out, const Requirement *requirement, const Description *description)
{
    for (size_t i = 0; i < description->n_capabilities; i++) {
        const Capability *capability = &description->capabilities[i];
        if (strcmp(capability->space, requirement->space) != 0 || capability->n_versions == 0)
            continue;
        const char *key = capability->versions[0];
        Version version;
        char text[VERSION_TEXT_MAX];
        strcpy(text, ina_properties_string(capability->attributes, key, ""));
        size_t length = strlen(text);
        if (length > 0 && text[length - 1] == '.')
            text[length - 1] = '\0';
        if (version_parse(text, &version, NULL) < 0)
            continue;
        version_format(&version, text);
        buffer_print(out, " (there is %s %s)", key, text);
    }
}

static void print_missing(Buffer *out, const Problem *problem, const Description *description)
{
    if (!description->library) {
        buffer_print(out, "native code for %s", elf_processor());
        if (description->natives && *description->natives)
            buffer_print(out, " (it has code for %s)", description->natives);
        else
            buffer_print(out, " (it has no Bundle-NativeCode header)");
    }
    for (size_t i = 0; i < description->n_requirements; i++) {
        const Requirement *requirement = &description->requirements[i];
        if (!mandatory(requirement) || find_provider(problem, requirement) != RESOLVER_NOBODY)
            continue;
        buffer_print(out, "%s%s", out->size > 0 ? "; " : "", requirement->space);
        if (requirement->filter)
            buffer_print(out, " %s", requirement->filter);
        const Description *provider = find_unresolved_provider(problem, requirement);
        if (provider && provider != description)
            buffer_print(out, " (bundle %s %s provides it, but is not resolved itself)", provider->name,
                         provider->version_text);
        else
            print_offers(out, requirement, problem->framework);
    }
}

static int conclude(const Problem *problem, size_t index, InaError *error)
{
    Candidate *candidate = &problem->candidates[index];
    const Description *description = candidate->description;
    Buffer missing = {0};

    candidate->resolved = problem->possible[index];
    candidate->wires = calloc(description->n_requirements + 1, sizeof *candidate->wires);
    if (!candidate->wires)
        return ina_error_set(error, ENOMEM, "out of memory");
    for (size_t i = 0; i < description->n_requirements; i++)
        candidate->wires[i] = find_provider(problem, &description->requirements[i]);
    if (candidate->resolved)
        return 0;
    print_missing(&missing, problem, description);
    buffer_append(&missing, "", 1);
    if (missing.failed) {
        buffer_free(&missing);
        return ina_error_set(error, ENOMEM, "out of memory");
    }
    candidate->missing = missing.data;
    return 0;
}

/* Begins with all and rules out those that lack something, until none does:
 * what is left is the largest set that holds together. */
static void rule_out(const Problem *problem)
{
    bool again = true;

    while (again) {
        again = false;
        for (size_t i = 0; i < problem->n_candidates; i++)
            if (problem->possible[i] && !problem->decided[i] &&
                !satisfied(problem, problem->candidates[i].description)) {
                problem->possible[i] = false;
                again = true;
            }
    }
}

int resolver_resolve(const Description *framework, Candidate *candidates, size_t n_candidates, InaError *error)
{
    Problem problem = {framework, candidates, n_candidates, calloc(n_candidates + 1, sizeof(bool)),
                       calloc(n_candidates + 1, sizeof(bool))};
    int r = 0;

    if (!problem.possible || !problem.decided) {
        r = ina_error_set(error, ENOMEM, "out of memory");
    } else {
        for (size_t i = 0; i < n_candidates; i++) {
            problem.decided[i] = candidates[i].resolved;
            problem.possible[i] = true;
        }
        rule_out(&problem);
        for (size_t i = 0; i < n_candidates && r == 0; i++)
            if (!problem.decided[i])
                r = conclude(&problem, i, error);
    }
    free(problem.possible);
    free(problem.decided);
    if (r < 0)
        candidates_clear(candidates, n_candidates);
    return r;
}

void candidates_clear(Candidate *candidates, size_t n_candidates)
{
    for (size_t i = 0; i < n_candidates; i++) {
        free(candidates[i].wires);
        free(candidates[i].missing);
        candidates[i].wires = NULL;
        candidates[i].missing = NULL;
    }
}
