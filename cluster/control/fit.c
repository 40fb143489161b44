/* fit.c - see fit.h. The rules are those of Kubernetes' reference of Toleration
 * and NodeSelectorTerm. */
#include "fit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* --- tolerations ---------------------------------------------------------------------------- */

static bool covers(const json_t *toleration, const char *key, const char *value, const char *effect)
{
    const char *key_wanted = kube_string(toleration, "key"), *operator= kube_string(toleration, "operator");
    const char *effect_wanted = kube_string(toleration, "effect");

    if (*effect_wanted && strcmp(effect_wanted, effect) != 0)
        return false;
    if (*key_wanted && strcmp(key_wanted, key) != 0)
        return false;
    if (strcmp(operator, "Exists") == 0)
        return true;
    /* Without a key only Exists means something. */
    return *key_wanted && strcmp(kube_string(toleration, "value"), value) == 0;
}

bool fit_tolerates(const json_t *pod, const char *key, const char *value, const char *effect)
{
    const json_t *toleration;
    size_t i;

    json_array_foreach(kube_get(pod, "spec.tolerations"), i,
                       toleration) if (covers(toleration, key, value, effect)) return true;
    return false;
}

static bool is_default(const json_t *toleration)
{
    const char *key = kube_string(toleration, "key");
    return kube_integer(toleration, "tolerationSeconds", -1) == FIT_TOLERATION_DEFAULT &&
           (strcmp(key, TAINT_UNREACHABLE) == 0 || strcmp(key, TAINT_NOT_READY) == 0);
}

int64_t fit_toleration_seconds(const json_t *pod, const json_t *taint)
{
    const json_t *toleration;
    size_t i;
    int64_t longest = 0;

    json_array_foreach(kube_get(pod, "spec.tolerations"), i, toleration)
    {
        if (is_default(toleration) ||
            !covers(toleration, kube_string(taint, "key"), kube_string(taint, "value"), kube_string(taint, "effect")))
            continue;
        int64_t seconds = kube_integer(toleration, "tolerationSeconds", -1);
        if (seconds < 0)
            return -1;
        if (seconds > longest)
            longest = seconds;
    }
    return longest;
}

/* --- node selector and affinity -------------------------------------------------------------- */

static bool is_number(const char *text, int64_t *ret)
{
    char *end;
    errno = 0;
    *ret = strtoll(text, &end, 10);
    return *text && *end == '\0' && errno == 0;
}

/* `value` NULL: the label is not there. */
static bool requirement_holds(const json_t *requirement, const char *value)
{
    const char *operator= kube_string(requirement, "operator");
    const json_t *values = kube_get(requirement, "values"), *item;
    size_t i;
    bool among = false;

    json_array_foreach(values, i, item) if (value && json_is_string(item) &&
                                            strcmp(json_string_value(item), value) == 0) among = true;
    if (strcmp(operator, "In") == 0)
        return among;
    if (strcmp(operator, "NotIn") == 0)
        return !among;
    if (strcmp(operator, "Exists") == 0)
        return value != NULL;
    if (strcmp(operator, "DoesNotExist") == 0)
        return value == NULL;
    int64_t is, limit;
    const char *bound = json_string_value(json_array_get(values, 0));
    if (!value || !bound || !is_number(value, &is) || !is_number(bound, &limit))
        return false;
    if (strcmp(operator, "Gt") == 0)
        return is > limit;
    return strcmp(operator, "Lt") == 0 && is < limit;
}

/* All of a term; an empty term matches nothing. */
static bool term_matches(const json_t *term, const json_t *node)
{
    const json_t *expressions = kube_get(term, "matchExpressions"), *fields = kube_get(term, "matchFields"), *item;
    size_t i;

    json_array_foreach(
        expressions, i,
        item) if (!requirement_holds(item, json_string_value(json_object_get(kube_labels(node),
                                                                             kube_string(item, "key"))))) return false;
    json_array_foreach(fields, i, item) if (strcmp(kube_string(item, "key"), "metadata.name") != 0 ||
                                            !requirement_holds(item, kube_name(node))) return false;
    return json_array_size(expressions) + json_array_size(fields) > 0;
}

bool fit_node(const json_t *pod, const json_t *node)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)kube_get(pod, "spec.nodeSelector"), key, value)
    {
        const char *is = json_string_value(json_object_get(kube_labels(node), key));
        if (!is || !json_is_string(value) || strcmp(is, json_string_value(value)) != 0)
            return false;
    }
    const json_t *required = kube_get(pod, "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution");
    if (!required)
        return true;
    const json_t *term;
    size_t i;
    json_array_foreach(kube_get(required, "nodeSelectorTerms"), i, term) if (term_matches(term, node)) return true;
    return false;
}

int64_t fit_preference(const json_t *pod, const json_t *node)
{
    const json_t *preferred, *item;
    size_t i;
    int64_t sum = 0;

    preferred = kube_get(pod, "spec.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution");
    json_array_foreach(preferred, i, item)
    {
        int64_t weight = kube_integer(item, "weight", 0);
        if (weight >= 1 && weight <= 100 && term_matches(kube_get(item, "preference"), node))
            sum += weight;
    }
    return sum;
}
