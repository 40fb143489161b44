/* schema_check_workload.c - what Kubernetes demands of what makes pods. */
#include "schema_internal.h"

#include "base/cleanup.h"
#include "selector.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* --- values as Go prints them -------------------------------------------------------------------------- */

static void show_map(FILE *out, const json_t *map)
{
    const char *key;
    const json_t *value;
    bool first = true;
    AUTO_FREE char *text = json_dumps(map, JSON_SORT_KEYS);
    json_t *parsed = text ? json_loads(text, 0, NULL) : NULL;
    fputs("map[string]string", out);
    if (json_object_size(map) == 0) {
        fputs("(nil)", out);
        json_decref(parsed);
        return;
    }
    fputc('{', out);
    json_object_foreach(parsed, key, value)
    {
        AUTO_FREE char *name = kube_quote(key);
        AUTO_FREE char *content = check_show(value);
        fprintf(out, "%s%s:%s", first ? "" : ", ", name ? name : "", content ? content : "");
        first = false;
    }
    fputc('}', out);
    json_decref(parsed);
}

static void show_requirements(FILE *out, const json_t *requirements)
{
    size_t i, j;
    const json_t *requirement, *value;
    if (json_array_size(requirements) == 0) {
        fputs("[]v1.LabelSelectorRequirement(nil)", out);
        return;
    }
    fputs("[]v1.LabelSelectorRequirement{", out);
    json_array_foreach(requirements, i, requirement)
    {
        fprintf(out, "%sv1.LabelSelectorRequirement{Key:\"%s\", Operator:\"%s\", Values:[]string", i ? ", " : "",
                kube_string(requirement, "key"), kube_string(requirement, "operator"));
        fputs(json_object_get(requirement, "values") ? "{" : "(nil)", out);
        json_array_foreach(json_object_get(requirement, "values"), j, value)
            fprintf(out, "%s\"%s\"", j ? ", " : "", json_string_value(value) ? json_string_value(value) : "");
        fputs(json_object_get(requirement, "values") ? "}}" : "}", out);
    }
    fputc('}', out);
}

/* An "Invalid value" cause with a map or a selector in Go's words. */
static void invalid_in_go(Check *check, const char *name, const json_t *value, bool selector, const char *detail)
{
    AUTO_FREE char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        return;
    if (selector) {
        fputs("v1.LabelSelector{MatchLabels:", out);
        show_map(out, json_object_get(value, "matchLabels"));
        fputs(", MatchExpressions:", out);
        show_requirements(out, json_object_get(value, "matchExpressions"));
        fputc('}', out);
    } else {
        show_map(out, value);
    }
    fclose(out);
    size_t length = path_field(&check->path, name);
    kube_cause(check->causes, INVALID, check->path.text, "Invalid value: %s: %s", text, detail);
    path_back(&check->path, length);
}

/* --- templates -------------------------------------------------------------------------------------------- */

/* At the template: what it says of its pods. */
static void check_template(Check *check, const json_t *template, const Selector *selector, const json_t *claims)
{
    static const char *const always[] = {"Always", NULL};
    const json_t *metadata = json_object_get(template, "metadata"), *spec = json_object_get(template, "spec");
    const json_t *labels = json_object_get(metadata, "labels");
    if (selector && !selector_matches(selector, labels))
        invalid_in_go(check, "metadata.labels", labels, false, "`selector` does not match template `labels`");
    check_template_metadata(check, metadata);
    size_t i, length = path_field(&check->path, "spec");
    const json_t *claim;
    /* What is claimed for each pod is a volume of it too. */
    AUTO_JSON json_t *whole = json_copy((json_t *)spec);
    if (json_array_size(claims) > 0) {
        json_t *volumes = json_array();
        json_array_extend(volumes, json_object_get(spec, "volumes"));
        json_object_set_new(whole, "volumes", volumes);
        json_array_foreach(claims, i, claim)
            json_array_append_new(volumes, json_pack("{s:s, s:{}}", "name", kube_name(claim), "emptyDir"));
    }
    check_pod_spec(check, whole);
    if (strcmp(kube_string(spec, "restartPolicy"), "Always") != 0)
        check_unsupported(check, "restartPolicy", json_object_get(spec, "restartPolicy"), always);
    path_back(&check->path, length);
}

/* --- replication controllers --------------------------------------------------------------------------------- */

void check_replication_controller(Check *check, const json_t *object, const json_t *old)
{
    const json_t *spec = json_object_get(object, "spec"), *map = json_object_get(spec, "selector");
    Selector *selector = NULL;
    size_t length = path_field(&check->path, "spec");
    check_not_negative(check, spec, "minReadySeconds");
    if (json_object_size(map) == 0)
        check_required(check, "selector", NULL);
    check_not_negative(check, spec, "replicas");
    path_field(&check->path, "template");
    if (json_object_size(map) > 0)
        (void)selector_from_map(map, &selector, NULL);
    if (json_is_object(json_object_get(spec, "template")))
        check_template(check, json_object_get(spec, "template"), selector, NULL);
    else
        check_required(check, NULL, NULL);
    selector_free(selector);
    path_back(&check->path, length);
}

/* --- with a label selector --------------------------------------------------------------------------------------- */

/* `of`: "deployment", as the messages say. */
static void check_selected(Check *check, const json_t *spec, const char *of, const json_t *claims)
{
    const json_t *object = json_object_get(spec, "selector");
    Selector *selector = NULL;
    bool right = true;
    if (!json_is_object(object)) {
        check_required(check, "selector", NULL);
    } else {
        size_t length = path_field(&check->path, "selector");
        check_label_selector(check, object);
        path_back(&check->path, length);
        if (json_object_size(kube_get(object, "matchLabels")) + json_array_size(kube_get(object, "matchExpressions")) ==
            0) {
            AUTO_FREE char *detail = NULL;
            if (asprintf(&detail, "empty selector is invalid for %s", of) < 0)
                detail = NULL;
            invalid_in_go(check, "selector", object, true, detail ? detail : "");
        }
    }
    if (selector_from_object(object, &selector, NULL) < 0) {
        right = false;
        invalid_in_go(check, "selector", object, true, "invalid label selector");
    }
    size_t length = path_field(&check->path, "template");
    if (right)
        check_template(check, json_object_get(spec, "template"), selector, claims);
    path_back(&check->path, length);
    selector_free(selector);
}

static void check_selector_kept(Check *check, const json_t *spec, const json_t *before)
{
    const json_t *selector = json_object_get(spec, "selector");
    if (before && selector && !json_equal(selector, json_object_get(before, "selector")))
        invalid_in_go(check, "selector", selector, true, "field is immutable");
}

/* A number or a text as Go prints it. */
static void invalid_share(Check *check, const char *name, const json_t *value, const char *detail)
{
    AUTO_FREE char *text = kube_quote(json_is_string(value) ? json_string_value(value) : "");
    size_t length = path_field(&check->path, name);
    kube_cause(check->causes, INVALID, check->path.text,
               "Invalid value: intstr.IntOrString{Type:%d, IntVal:%d, StrVal:%s}: %s", json_is_string(value),
               (int)json_integer_value(value), text ? text : "\"\"", detail);
    path_back(&check->path, length);
}

/* "25%", or a number that is not negative. The number; -1: wrong, and said. */
static int64_t check_share(Check *check, const json_t *rolling, const char *name)
{
    const json_t *value = json_object_get(rolling, name);
    const char *text = json_string_value(value);
    if (!text) {
        check_not_negative(check, rolling, name);
        return json_integer_value(value);
    }
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || strcmp(text + digits, "%") != 0) {
        invalid_share(check, name, value,
                      "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or "
                      "'93%', regex used for validation is '[0-9]+%')");
        return -1;
    }
    return strtoll(text, NULL, 10);
}

static void check_strategy(Check *check, const json_t *strategy)
{
    const json_t *rolling = json_object_get(strategy, "rollingUpdate");
    const char *type = kube_string(strategy, "type");
    size_t length = path_field(&check->path, "strategy");
    if (strcmp(type, "Recreate") != 0 && strcmp(type, "RollingUpdate") != 0)
        kube_cause(check->causes, UNSUPPORTED, check->path.text,
                   "Unsupported value: apps.DeploymentStrategy{Type:\"%s\", "
                   "RollingUpdate:(*apps.RollingUpdateDeployment)(%s)}: supported values: \"Recreate\", "
                   "\"RollingUpdate\"",
                   type, rolling ? "..." : "nil");
    if (strcmp(type, "Recreate") == 0 && rolling)
        check_forbidden(check, "rollingUpdate", "may not be specified when strategy `type` is 'Recreate'");
    if (strcmp(type, "RollingUpdate") == 0 && rolling) {
        path_field(&check->path, "rollingUpdate");
        int64_t unavailable = check_share(check, rolling, "maxUnavailable");
        int64_t surge = check_share(check, rolling, "maxSurge");
        const json_t *value = json_object_get(rolling, "maxUnavailable");
        if (unavailable == 0 && surge == 0)
            invalid_share(check, "maxUnavailable", value, "may not be 0 when `maxSurge` is 0");
        if (json_is_string(value) && unavailable > 100)
            invalid_share(check, "maxUnavailable", value, "must not be greater than 100%");
    }
    path_back(&check->path, length);
}

void check_deployment(Check *check, const json_t *object, const json_t *old)
{
    const json_t *spec = json_object_get(object, "spec");
    size_t length = path_field(&check->path, "spec");
    check_not_negative(check, spec, "replicas");
    check_selected(check, spec, "deployment", NULL);
    check_strategy(check, json_object_get(spec, "strategy"));
    check_not_negative(check, spec, "minReadySeconds");
    check_not_negative(check, spec, "revisionHistoryLimit");
    check_not_negative(check, spec, "progressDeadlineSeconds");
    if (json_object_get(spec, "progressDeadlineSeconds") &&
        kube_integer(spec, "progressDeadlineSeconds", 0) <= kube_integer(spec, "minReadySeconds", 0))
        check_invalid(check, "progressDeadlineSeconds", json_object_get(spec, "progressDeadlineSeconds"),
                      "must be greater than minReadySeconds");
    check_selector_kept(check, spec, json_object_get(old, "spec"));
    path_back(&check->path, length);
}

void check_replica_set(Check *check, const json_t *object, const json_t *old)
{
    const json_t *spec = json_object_get(object, "spec");
    size_t length = path_field(&check->path, "spec");
    check_not_negative(check, spec, "replicas");
    check_not_negative(check, spec, "minReadySeconds");
    check_selected(check, spec, "deployment", NULL);
    check_selector_kept(check, spec, json_object_get(old, "spec"));
    path_back(&check->path, length);
}

/* --- stateful sets --------------------------------------------------------------------------------------------- */

static bool same_but(const json_t *spec, const json_t *before, const char *const *changeable)
{
    AUTO_JSON json_t *one = json_copy((json_t *)spec);
    AUTO_JSON json_t *other = json_copy((json_t *)before);
    for (; *changeable; changeable++) {
        json_object_del(one, *changeable);
        json_object_del(other, *changeable);
    }
    return json_equal(one, other);
}

void check_stateful_set(Check *check, const json_t *object, const json_t *old)
{
    static const char *const changeable[] = {"replicas", "template", "updateStrategy", NULL};
    const json_t *spec = json_object_get(object, "spec"), *strategy = json_object_get(spec, "updateStrategy");
    const char *policy = kube_string(spec, "podManagementPolicy"), *type = kube_string(strategy, "type");
    const json_t *rolling = json_object_get(strategy, "rollingUpdate");
    size_t length = path_field(&check->path, "spec");
    if (strcmp(policy, "OrderedReady") != 0 && strcmp(policy, "Parallel") != 0)
        check_invalid_text(check, "podManagementPolicy", policy, "must be 'OrderedReady' or 'Parallel'");
    if (strcmp(type, "OnDelete") != 0 && strcmp(type, "RollingUpdate") != 0)
        check_invalid(check, "updateStrategy", strategy, "must be 'RollingUpdate' or 'OnDelete'");
    if (strcmp(type, "OnDelete") == 0 && rolling)
        check_invalid(check, "updateStrategy.rollingUpdate", rolling,
                      "only allowed for updateStrategy 'RollingUpdate'");
    if (kube_integer(rolling, "partition", 0) < 0)
        check_invalid(check, "updateStrategy.rollingUpdate.partition", json_object_get(rolling, "partition"),
                      "must be greater than or equal to 0");
    check_not_negative(check, spec, "replicas");
    check_selected(check, spec, "statefulset", json_object_get(spec, "volumeClaimTemplates"));
    if (old && !same_but(spec, json_object_get(old, "spec"), changeable))
        check_forbidden(check, NULL,
                        "updates to statefulset spec for fields other than 'replicas', 'template', and "
                        "'updateStrategy' are forbidden");
    path_back(&check->path, length);
}

void check_scale(Check *check, const json_t *object, const json_t *old)
{
    size_t length = path_field(&check->path, "spec");
    check_not_negative(check, json_object_get(object, "spec"), "replicas");
    path_back(&check->path, length);
}
