/* schema_check_pod.c - what Kubernetes demands of pods. */
#include "schema_internal.h"

#include "base/cleanup.h"

#include <string.h>

/* --- where pods may run ---------------------------------------------------------------------------- */

/* The toleration as Go prints it. */
static void refuse_value(Check *check, const json_t *toleration)
{
    size_t length = path_field(&check->path, "operator");
    kube_cause(check->causes, INVALID, check->path.text,
               "Invalid value: core.Toleration{Key:\"%s\", Operator:\"Exists\", Value:\"%s\", Effect:\"%s\", "
               "TolerationSeconds:(*int64)(%s)}: value must be empty when `operator` is 'Exists'",
               kube_string(toleration, "key"), kube_string(toleration, "value"), kube_string(toleration, "effect"),
               json_object_get(toleration, "tolerationSeconds") ? "..." : "nil");
    path_back(&check->path, length);
}

static void check_toleration(Check *check, const json_t *toleration)
{
    static const char *const operators[] = {"Equal", "Exists", NULL};
    static const char *const effects[] = {"NoSchedule", "PreferNoSchedule", "NoExecute", NULL};
    const char *key = kube_string(toleration, "key"), *operator= kube_string(toleration, "operator");
    const char *value = kube_string(toleration, "value"), *effect = kube_string(toleration, "effect"), *wrong;
    bool exists = strcmp(operator, "Exists") == 0;
    if (*key && (wrong = kube_check_label_key(key)))
        check_invalid_text(check, "key", key, wrong);
    if (*key == '\0' && !exists)
        check_invalid_text(
            check, "operator", operator,
            "operator must be Exists when `key` is empty, which means \"match all values and all keys\"");
    if (kube_get(toleration, "tolerationSeconds") && strcmp(effect, "NoExecute") != 0)
        check_invalid_text(check, "effect", effect, "effect must be 'NoExecute' when `tolerationSeconds` is set");
    if (*operator== '\0' || strcmp(operator, "Equal") == 0) {
        if ((wrong = kube_check_label_value(value)))
            check_invalid_text(check, "operator", value, wrong);
    } else if (exists) {
        if (*value)
            refuse_value(check, toleration);
    } else {
        check_unsupported(check, "operator", json_object_get(toleration, "operator"), operators);
    }
    if (*effect && strcmp(effect, "NoSchedule") != 0 && strcmp(effect, "PreferNoSchedule") != 0 &&
        strcmp(effect, "NoExecute") != 0)
        check_unsupported(check, "effect", json_object_get(toleration, "effect"), effects);
}

void check_tolerations(Check *check, const json_t *spec)
{
    size_t i;
    const json_t *toleration;
    json_array_foreach(json_object_get(spec, "tolerations"), i, toleration)
    {
        size_t length = path_field(&check->path, "tolerations");
        path_index(&check->path, i);
        check_toleration(check, toleration);
        path_back(&check->path, length);
    }
}

static void check_node_expression(Check *check, const json_t *requirement, bool of_fields)
{
    const char *operator= kube_string(requirement, "operator"), *key = kube_string(requirement, "key"), *wrong;
    size_t values = json_array_size(json_object_get(requirement, "values"));
    bool in = strcmp(operator, "In") == 0 || strcmp(operator, "NotIn") == 0;
    bool exists = strcmp(operator, "Exists") == 0 || strcmp(operator, "DoesNotExist") == 0;
    bool compares = strcmp(operator, "Gt") == 0 || strcmp(operator, "Lt") == 0;
    if (of_fields) {
        if (!in)
            check_invalid_text(check, "operator", operator, "not a valid selector operator");
        else if (values != 1)
            check_required(check, "values",
                           "must be only one value when `operator` is 'In' or 'NotIn' for node field selector");
        if (strcmp(key, "metadata.name") != 0)
            check_invalid_text(check, "key", key, "not a valid field selector key");
        return;
    }
    if (in && values == 0)
        check_required(check, "values", "must be specified when `operator` is 'In' or 'NotIn'");
    if (exists && values > 0)
        check_forbidden(check, "values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
    if (compares && values != 1)
        check_required(check, "values", "must be specified single value when `operator` is 'Lt' or 'Gt'");
    if (!in && !exists && !compares)
        check_invalid_text(check, "operator", operator, "not a valid selector operator");
    if ((wrong = kube_check_label_key(key)))
        check_invalid_text(check, "key", key, wrong);
}

static void check_term(Check *check, const json_t *term)
{
    static const char *const lists[] = {"matchExpressions", "matchFields"};
    size_t i;
    const json_t *requirement;
    for (size_t k = 0; k < 2; k++)
        json_array_foreach(json_object_get(term, lists[k]), i, requirement)
        {
            size_t length = path_field(&check->path, lists[k]);
            path_index(&check->path, i);
            check_node_expression(check, requirement, k == 1);
            path_back(&check->path, length);
        }
}

static void check_affinity(Check *check, const json_t *spec)
{
    static const char required[] = "requiredDuringSchedulingIgnoredDuringExecution";
    const json_t *selector = json_object_get(kube_get(spec, "affinity.nodeAffinity"), required);
    const json_t *terms = json_object_get(selector, "nodeSelectorTerms"), *term;
    size_t i, length = path_field(&check->path, "affinity.nodeAffinity");
    path_field(&check->path, required);
    if (selector && json_array_size(terms) == 0)
        check_required(check, "nodeSelectorTerms", "must have at least one node selector term");
    json_array_foreach(terms, i, term)
    {
        size_t inner = path_field(&check->path, "nodeSelectorTerms");
        path_index(&check->path, i);
        check_term(check, term);
        path_back(&check->path, inner);
    }
    path_back(&check->path, length);
}

/* Only the soft form is known here. */
static void check_spreading(Check *check, const json_t *spec)
{
    static const char *const known[] = {"DoNotSchedule", "ScheduleAnyway", NULL};
    size_t i;
    const json_t *constraint;
    json_array_foreach(json_object_get(spec, "topologySpreadConstraints"), i, constraint)
    {
        size_t length = path_field(&check->path, "topologySpreadConstraints");
        path_index(&check->path, i);
        const char *otherwise = kube_string(constraint, "whenUnsatisfiable");
        if (kube_integer(constraint, "maxSkew", 0) <= 0)
            check_invalid(check, "maxSkew", json_object_get(constraint, "maxSkew"), "must be greater than zero");
        if (*kube_string(constraint, "topologyKey") == '\0')
            check_required(check, "topologyKey", "can not be empty");
        if (strcmp(otherwise, "DoNotSchedule") == 0)
            check_forbidden(check, "whenUnsatisfiable",
                            "not supported by this cluster: the scheduler spreads pods by itself, as far as it can");
        else if (strcmp(otherwise, "ScheduleAnyway") != 0)
            check_unsupported(check, "whenUnsatisfiable", json_object_get(constraint, "whenUnsatisfiable"), known);
        path_back(&check->path, length);
    }
}

/* --- the spec -------------------------------------------------------------------------------------------- */

static void check_name(Check *check, const json_t *spec, const char *field, const char *(*rule)(const char *))
{
    const char *name = kube_string(spec, field), *wrong;
    if (*name && (wrong = rule(name)))
        check_invalid_text(check, field, name, wrong);
}

void check_pod_spec(Check *check, const json_t *spec)
{
    check_volumes(check, spec);
    check_containers(check, spec, "containers");
    check_containers(check, spec, "initContainers");
    check_labels(check, spec, "nodeSelector");
    check_pod_security_context(check, spec);
    check_affinity(check, spec);
    check_spreading(check, spec);
    check_name(check, spec, "serviceAccountName", kube_check_dns_subdomain);
    check_name(check, spec, "nodeName", kube_check_dns_subdomain);
    check_name(check, spec, "hostname", kube_check_dns_label);
    check_name(check, spec, "subdomain", kube_check_dns_label);
    check_tolerations(check, spec);
}

/* --- changes --------------------------------------------------------------------------------------------- */

static bool check_container_count(Check *check, const json_t *spec, const json_t *old, const char *name)
{
    if (json_array_size(json_object_get(spec, name)) == json_array_size(json_object_get(old, name)))
        return true;
    check_forbidden(check, name, "pod updates may not add or remove containers");
    return false;
}

/* Said a second time of what lost its image: once as of any pod, once as of a change. */
static void check_images_left(Check *check, const json_t *spec, const char *name)
{
    size_t i;
    const json_t *container;
    json_array_foreach(json_object_get(spec, name), i, container)
    {
        size_t length = path_field(&check->path, name);
        path_index(&check->path, i);
        if (*kube_string(container, "image") == '\0')
            check_required(check, "image", NULL);
        path_back(&check->path, length);
    }
}

static void take_images(json_t *spec, const json_t *old, const char *name)
{
    size_t i;
    json_t *container;
    json_array_foreach(json_object_get(spec, name), i, container)
    {
        json_t *image = json_object_get(json_array_get(json_object_get(old, name), i), "image");
        if (image)
            json_object_set(container, "image", image);
    }
}

static json_t *without_seconds(const json_t *toleration)
{
    json_t *copy = json_copy((json_t *)toleration);
    json_object_del(copy, "tolerationSeconds");
    return copy;
}

static void check_added_tolerations(Check *check, const json_t *spec, const json_t *old)
{
    size_t i, j;
    const json_t *before, *after;
    json_array_foreach(json_object_get(old, "tolerations"), i, before)
    {
        AUTO_JSON json_t *wanted = without_seconds(before);
        bool found = false;
        json_array_foreach(json_object_get(spec, "tolerations"), j, after)
        {
            AUTO_JSON json_t *here = without_seconds(after);
            found |= json_equal(wanted, here);
        }
        if (!found) {
            check_forbidden(check, "tolerations",
                            "existing toleration can not be modified except its tolerationSeconds");
            return;
        }
    }
}

/* Only images and further tolerations may change. */
static void check_pod_change(Check *check, const json_t *spec, const json_t *old)
{
    if (!check_container_count(check, spec, old, "containers") ||
        !check_container_count(check, spec, old, "initContainers"))
        return;
    check_images_left(check, spec, "containers");
    check_images_left(check, spec, "initContainers");
    check_added_tolerations(check, spec, old);
    AUTO_JSON json_t *same = json_deep_copy(spec);
    take_images(same, old, "containers");
    take_images(same, old, "initContainers");
    json_t *tolerations = json_object_get(old, "tolerations");
    if (tolerations)
        json_object_set(same, "tolerations", tolerations);
    else
        json_object_del(same, "tolerations");
    if (!json_equal(same, old))
        check_forbidden(check, NULL,
                        "pod updates may not change fields other than `spec.containers[*].image`, "
                        "`spec.initContainers[*].image`, `spec.activeDeadlineSeconds` or `spec.tolerations` (only "
                        "additions to existing tolerations)");
}

static void check_images(Check *check, const json_t *spec, const char *name)
{
    size_t i;
    const json_t *container;
    json_array_foreach(json_object_get(spec, name), i, container)
    {
        const char *image = kube_string(container, "image");
        size_t length = strlen(image), where = path_field(&check->path, name);
        path_index(&check->path, i);
        if (length && (strchr(" \t\r\n", image[0]) || strchr(" \t\r\n", image[length - 1])))
            check_invalid_text(check, "image", image, "must not have leading or trailing whitespace");
        path_back(&check->path, where);
    }
}

void check_pod(Check *check, const json_t *object, const json_t *old)
{
    const json_t *spec = json_object_get(object, "spec");
    size_t length = path_field(&check->path, "spec");
    check_pod_spec(check, spec);
    check_images(check, spec, "containers");
    check_images(check, spec, "initContainers");
    if (old)
        check_pod_change(check, spec, json_object_get(old, "spec"));
    path_back(&check->path, length);
}
