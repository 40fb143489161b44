#include "base/cleanup.h"
#include "base/map.h"
#include "plan.h"
#include <errno.h>
#include <string.h>

void wanted_free(Wanted *wanted, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(wanted[i].paths);
    free(wanted);
}

/* --- the key of its plan ------------------------------------------------------------- */

static int order_definitions(const void *a, const void *b)
{
    return strcmp(object_definition(*(const Object *const *)a), object_definition(*(const Object *const *)b));
}

static int count_left(LinkSet *set, const Object *right, size_t *ret)
{
    size_t i, n = 0;
    if (link_set_first(set, right, &i) < 0)
        return -ENOMEM;
    for (; i != SIZE_MAX; i = link_set_next(set, i))
        n++;
    *ret = n;
    return 0;
}

/* By definition; several associations may link the same. */
static int find_distributions(LinkSet *set, const Object *target, const Object ***ret, size_t *ret_n)
{
    size_t n = 0, i = 0, unique = 0;

    int r = count_left(set, target, &n);
    const Object **found = r == 0 ? calloc(n + 1, sizeof *found) : NULL;
    if (!found || link_set_first(set, target, &i) < 0) {
        free(found);
        return -ENOMEM;
    }
    for (n = 0; i != SIZE_MAX; i = link_set_next(set, i))
        found[n++] = set->links[i].left;
    qsort(found, n, sizeof *found, order_definitions);
    for (i = 0; i < n; i++)
        if (unique == 0 || found[unique - 1] != found[i])
            found[unique++] = found[i];
    *ret = found;
    *ret_n = unique;
    return 0;
}

/* NULL: not known. */
static const char *property(const Object *target, const char *key)
{
    const char *value = object_value(target, key);
    return value && *value ? value : NULL;
}

static int find_plan(const Model *model, const Object *target, const Plan **ret, InaError *error)
{
    /* What somebody wrote at the target counts before what its agent said of itself. */
    const char *runtime = property(target, "runtime");
    PlanKey key = {.runtime = runtime ? runtime : property(target, "target.runtime"),
                   .processor = property(target, "target.processor"),
                   .platform = property(target, "target.platform")};
    LinkSet *distributions;

    int r = model_link_set(model, OBJECT_ARTIFACT2FEATURE, &key.artifacts, error);
    if (r == 0)
        r = model_link_set(model, OBJECT_FEATURE2DISTRIBUTION, &key.features, error);
    if (r == 0)
        r = model_link_set(model, OBJECT_DISTRIBUTION2TARGET, &distributions, error);
    if (r == 0 && find_distributions(distributions, target, &key.distributions, &key.n_distributions) < 0)
        r = out_of_memory(error);
    if (r == 0)
        r = plans_get(evaluator_plans(model_evaluator(model)), &key, ret, error);
    free(key.distributions);
    return r;
}

/* --- the result ------------------------------------------------------------------------- */

static int refuse(const Plan *plan, const Object *target, char **reasons, InaError *error)
{
    size_t first = strcspn(plan->reasons, "\n");

    if (reasons) {
        *reasons = strdup(plan->reasons);
        if (!*reasons)
            return out_of_memory(error);
    }
    return ina_error_set(error, EINVAL, "target %s: %.*s%s", object_attribute(target, "id"), (int)first, plan->reasons,
                         plan->reasons[first] ? " (and more)" : "");
}

static int copy_wanted(const Plan *plan, Wanted **ret, size_t *ret_n, InaError *error)
{
    Wanted *wanted = calloc(plan->n_wanted + 1, sizeof *wanted);
    for (size_t i = 0; wanted && i < plan->n_wanted; i++) {
        wanted[i].artifact = plan->wanted[i].artifact;
        wanted[i].paths = strdup(plan->wanted[i].paths);
        if (!wanted[i].paths) {
            wanted_free(wanted, i);
            wanted = NULL;
        }
    }
    if (!wanted)
        return out_of_memory(error);
    *ret = wanted;
    *ret_n = plan->n_wanted;
    return 0;
}

int model_wanted(const Model *model, const Object *target, Wanted **ret, size_t *ret_n, char **reasons, InaError *error)
{
    const Plan *plan = NULL;

    if (reasons)
        *reasons = NULL;
    const Object *own = model_get(model, OBJECT_TARGET, object_definition(target));
    if (!own)
        return ina_error_set(error, ENOENT, "the model has no target %s", object_attribute(target, "id"));
    int r = find_plan(model, own, &plan, error);
    if (r < 0 || !plan) {
        ina_error_wrap(error, "target %s", object_attribute(target, "id"));
        return r;
    }
    return plan->reasons ? refuse(plan, own, reasons, error) : copy_wanted(plan, ret, ret_n, error);
}
