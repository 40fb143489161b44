/* api_subresource.c - scale, binding, eviction, tokens, and the finalizing of
 * namespaces. */
#include "api_internal.h"

#include <string.h>

static const json_t *find(const ApiCall *call)
{
    return store_get(call->api->store, call->resource->key, call->namespace, call->name);
}

static json_t *not_found(const ApiCall *call)
{
    return kube_status_not_found(call->resource->group, call->resource->plural, call->name);
}

/* Status Success with its code, as Kubernetes answers a POST that makes no object. */
static void answer_success(ApiCall *call)
{
    json_t *status = kube_status_success("", "", NULL, NULL);
    json_object_set_new(status, "code", json_integer(201));
    api_answer(call, 201, status);
}

/* The name in the body, when there is one, is that in the path. */
static json_t *check_name(const ApiCall *call, const char *kind)
{
    if (!json_is_object(call->body))
        return kube_status_bad_request("the object provided is unrecognized (must be of type %s): a JSON object is "
                                       "expected",
                                       kind);
    const char *name = kube_name(call->body);
    if (*name && strcmp(name, call->name) != 0)
        return kube_status_bad_request("name in URL does not match name in %s object", kind);
    return NULL;
}

/* --- scale ---------------------------------------------------------------------------------------------- */

static char *selector_text(const json_t *object)
{
    Selector *selector = NULL;
    const json_t *spec = kube_get(object, "spec.selector");
    bool plain = !json_object_get(spec, "matchLabels") && !json_object_get(spec, "matchExpressions");
    int code = plain ? selector_from_map(spec, &selector, NULL) : selector_from_object(spec, &selector, NULL);
    char *text = code == 0 ? selector_format(selector) : NULL;
    selector_free(selector);
    return text;
}

static json_t *make_scale(const json_t *object)
{
    static const char *const kept[] = {"name", "namespace", "uid", "resourceVersion", "creationTimestamp"};
    json_t *metadata = json_object(), *spec = json_object();
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        json_t *value = json_object_get(json_object_get(object, "metadata"), kept[i]);
        if (value)
            json_object_set(metadata, kept[i], value);
    }
    int64_t replicas = kube_integer(object, "spec.replicas", 0);
    if (replicas != 0)
        json_object_set_new(spec, "replicas", json_integer(replicas));
    json_t *status = json_pack("{s:I}", "replicas", (json_int_t)kube_integer(object, "status.replicas", 0));
    AUTO_FREE char *selector = selector_text(object);
    if (selector && *selector)
        json_object_set_new(status, "selector", json_string(selector));
    return json_pack("{s:s, s:s, s:o, s:o, s:o}", "kind", "Scale", "apiVersion", "autoscaling/v1", "metadata", metadata,
                     "spec", spec, "status", status);
}

static void answer_scale(ApiCall *call, const json_t *object)
{
    api_answer(call, 200, make_scale(object));
}

static json_t *check_scale(const ApiCall *call, const json_t *scale)
{
    const char *kind = kube_string(scale, "kind"), *version = kube_string(scale, "apiVersion");
    if ((*kind && strcmp(kind, "Scale") != 0) || (*version && strcmp(version, "autoscaling/v1") != 0)) {
        const char *slash = strrchr(version, '/'), *plain = slash ? slash + 1 : version;
        return kube_status_bad_request("%s in version \"%s\" cannot be handled as a Scale: converting (%s.%s) to "
                                       "(autoscaling.Scale): unknown conversion",
                                       kind, plain, plain, kind);
    }
    if (strcmp(kube_name(scale), call->name) != 0)
        return kube_status_bad_request("the name of the object (%s) does not match the name on the URL (%s)",
                                       kube_name(scale), call->name);
    const json_t *replicas = kube_get(scale, "spec.replicas");
    if (replicas && !json_is_integer(replicas))
        return kube_status_bad_request("Scale in version \"v1\" cannot be handled as a Scale: spec.replicas must be a "
                                       "whole number");
    json_int_t count = json_integer_value(replicas);
    KubeCauses *causes = kube_causes_new();
    if (!*kube_namespace(scale))
        kube_cause(causes, "FieldValueRequired", "metadata.namespace", "Required value");
    if (count < 0)
        kube_cause(causes, "FieldValueInvalid", "spec.replicas",
                   "Invalid value: %lld: must be greater than or equal to 0", (long long)count);
    if (count > INT32_MAX)
        kube_cause(causes, "FieldValueInvalid", "spec.replicas", "Invalid value: %lld: must be at most 2147483647",
                   (long long)count);
    return kube_causes_status(causes, "autoscaling", "Scale", call->name);
}

/* Reading the scale of what is not there names the subresource, but for stateful sets. */
static json_t *scale_not_found(const ApiCall *call)
{
    const Resource *resource = call->resource;
    if (call->verb != API_GET || strcmp(resource->plural, "statefulsets") == 0)
        return not_found(call);
    char name[128];
    snprintf(name, sizeof name, "%s/scale", resource->plural);
    return kube_status_not_found(*resource->group ? resource->group : "autoscaling", name, call->name);
}

static void scale(ApiCall *call)
{
    const json_t *current = find(call);
    if (!current) {
        api_fail(call, scale_not_found(call));
        return;
    }
    if (call->verb == API_GET) {
        answer_scale(call, current);
        return;
    }
    if (call->attempts > 0 && *kube_string(call->body, "metadata.resourceVersion")) {
        api_fail(call, kube_status_conflict(call->resource->group, call->resource->plural, call->name, API_CONFLICT));
        return;
    }
    AUTO_JSON json_t *wanted = NULL;
    json_t *status = NULL;
    if (call->verb == API_PATCH) {
        AUTO_JSON json_t *before = make_scale(current);
        status = api_apply_patch(call, before, NULL, &wanted);
    } else {
        wanted = json_incref(call->body);
    }
    if (!status)
        status = check_scale(call, wanted);
    if (!status)
        status = api_check_precondition(call, wanted, current);
    if (status) {
        api_fail(call, status);
        return;
    }
    json_t *object = json_deep_copy(current);
    kube_set(object, "spec.replicas", json_integer(kube_integer(wanted, "spec.replicas", 0)));
    call->updated = answer_scale;
    api_replace(call, current, object);
}

/* --- binding -------------------------------------------------------------------------------------------- */

static void on_bound(ApiCall *call, const json_t *object)
{
    answer_success(call);
}

static json_t *check_binding(const ApiCall *call)
{
    json_t *status = check_name(call, "Binding");
    if (status)
        return status;
    const char *kind = kube_string(call->body, "target.kind");
    AUTO_FREE char *message = NULL, *quoted = kube_quote(kind);
    if (*kind && strcmp(kind, "Node") != 0 &&
        asprintf(&message, "target.kind: Unsupported value: %s: supported values: \"Node\", \"<empty>\"", quoted) > 0)
        return kube_status_failure(500, NULL, message);
    if (!*kube_string(call->body, "target.name"))
        return kube_status_failure(500, NULL, "target.name: Required value");
    return NULL;
}

/* NULL, or why this pod cannot be given to a node. */
static json_t *check_bindable(const ApiCall *call, const json_t *pod)
{
    AUTO_FREE char *why = NULL;
    int length = 0;
    if (kube_deleting(pod))
        length = asprintf(&why, "pod %s is being deleted, cannot be assigned to a host", call->name);
    else if (*kube_string(pod, "spec.nodeName"))
        length =
            asprintf(&why, "pod %s is already assigned to node \"%s\"", call->name, kube_string(pod, "spec.nodeName"));
    if (length < 0)
        return kube_status_internal("out of memory");
    return why ? kube_status_conflict("", "pods/binding", call->name, why) : NULL;
}

static void binding(ApiCall *call)
{
    const json_t *pod = find(call);
    json_t *status = check_binding(call);
    if (!status && !pod)
        status = not_found(call);
    if (!status)
        status = check_bindable(call, pod);
    if (status) {
        api_fail(call, status);
        return;
    }
    json_decref(call->object);
    call->object = json_deep_copy(pod);
    kube_set(call->object, "spec.nodeName", json_string(kube_string(call->body, "target.name")));
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)kube_get(call->body, "metadata.annotations"), name, value)
    {
        if (!kube_get(call->object, "metadata.annotations"))
            kube_set(call->object, "metadata.annotations", json_object());
        json_object_set((json_t *)kube_get(call->object, "metadata.annotations"), name, value);
    }
    kube_set_condition(call->object, "PodScheduled", "True", NULL, NULL, (time_t)api_now(call->api));
    json_object_set_new((json_t *)kube_condition(call->object, "PodScheduled"), "lastProbeTime", json_null());
    call->written = on_bound;
    api_store_write(call, pod);
}

/* --- eviction ------------------------------------------------------------------------------------------- */

typedef struct Budget {
    const json_t *budget, *pod;
    Selector *selector;
    int64_t matching, healthy;
} Budget;

static bool count_healthy(void *userdata, const json_t *pod)
{
    Budget *budget = userdata;
    if (!selector_matches(budget->selector, kube_labels(pod)) || kube_pod_ended(pod))
        return true;
    budget->matching++;
    budget->healthy += kube_pod_ready(pod) && !kube_deleting(pod);
    return true;
}

/* "50%" of a number, rounded up; or a number. */
static int64_t amount(const json_t *value, int64_t of)
{
    const char *text = json_string_value(value);
    if (!text)
        return json_integer_value(value);
    long long percent = strtoll(text, NULL, 10);
    return percent <= 0 || percent > 1000 ? 0 : (percent * of + 99) / 100;
}

/* How many pods this budget wants healthy; -1: as many as now may go. */
static int64_t wanted_healthy(const Budget *budget)
{
    const json_t *minimum = kube_get(budget->budget, "spec.minAvailable");
    const json_t *maximum = kube_get(budget->budget, "spec.maxUnavailable");
    if (minimum)
        return amount(minimum, budget->matching);
    return maximum ? budget->matching - amount(maximum, budget->matching) : -1;
}

typedef struct BudgetCheck {
    const ApiCall *call;
    const json_t *pod;
    json_t *refusal;
} BudgetCheck;

static bool check_budget(void *userdata, const json_t *object)
{
    BudgetCheck *check = userdata;
    Budget budget = {.budget = object, .pod = check->pod};
    if (selector_from_object(kube_get(object, "spec.selector"), &budget.selector, NULL) < 0)
        return true;
    if (selector_matches(budget.selector, kube_labels(check->pod))) {
        store_each(check->call->api->store, "pods", check->call->namespace, count_healthy, &budget);
        int64_t wanted = wanted_healthy(&budget);
        if (wanted >= 0 && kube_pod_ready(check->pod) && budget.healthy - 1 < wanted) {
            AUTO_FREE char *cause = NULL;
            check->refusal =
                kube_status_too_many("Cannot evict pod as it would violate the pod's disruption budget.", 0);
            if (asprintf(&cause, "The disruption budget %s needs %lld healthy pods and has %lld currently",
                         kube_name(object), (long long)wanted, (long long)budget.healthy) > 0)
                kube_set(check->refusal, "details",
                         json_pack("{s:[{s:s, s:s}]}", "causes", "reason", "DisruptionBudget", "message", cause));
        }
    }
    selector_free(budget.selector);
    return !check->refusal;
}

static void on_evicted(void *userdata, const ApiAnswer *answer)
{
    ApiCall *call = userdata;
    if (answer->status >= 300)
        api_answer(call, answer->status, json_incref((json_t *)answer->object));
    else
        answer_success(call);
}

static void eviction(ApiCall *call)
{
    BudgetCheck check = {.call = call, .pod = find(call)};
    json_t *status = check_name(call, "Eviction");
    if (!status && !check.pod)
        status = not_found(call);
    if (!status && !kube_pod_ended(check.pod) && !kube_deleting(check.pod)) {
        store_each(call->api->store, "policy/poddisruptionbudgets", call->namespace, check_budget, &check);
        status = check.refusal;
    }
    if (status) {
        api_fail(call, status);
        return;
    }
    ApiRequest request = {.verb = API_DELETE,
                          .resource = call->resource,
                          .namespace = call->namespace,
                          .name = call->name,
                          .body = json_object_get(call->body, "deleteOptions"),
                          .dry_run = call->dry_run,
                          .grace = -1};
    api_submit(call->api, &request, on_evicted, call);
}

/* --- tokens of service accounts ---------------------------------------------------------------------------- */

#define TOKEN_LIFE INT64_C(3600)    /* s, as Kubernetes when the request does not say */
#define TOKEN_LIFE_MIN INT64_C(600) /* s */
#define TOKEN_LIFE_MAX (INT64_C(1) << 32)
#define TOKEN_AUDIENCE "https://kubernetes.default.svc.cluster.local"

static json_t *check_token_request(const ApiCall *call)
{
    json_t *status = call->body ? check_name(call, "TokenRequest") : NULL;
    if (status)
        return status;
    const json_t *life = kube_get(call->body, "spec.expirationSeconds");
    KubeCauses *causes = kube_causes_new();
    long long seconds = json_is_integer(life) ? json_integer_value(life) : TOKEN_LIFE;
    if (seconds < TOKEN_LIFE_MIN)
        kube_cause(causes, "FieldValueInvalid", "spec.expirationSeconds",
                   "Invalid value: %lld: may not specify a duration less than 10 minutes", seconds);
    if (seconds > TOKEN_LIFE_MAX)
        kube_cause(causes, "FieldValueInvalid", "spec.expirationSeconds",
                   "Invalid value: %lld: may not specify a duration larger than 2^32 seconds", seconds);
    return kube_causes_status(causes, "authentication.k8s.io", "TokenRequest", "");
}

static int64_t token_life(const ApiCall *call)
{
    return kube_integer(call->body, "spec.expirationSeconds", TOKEN_LIFE);
}

static json_t *make_token_request(const ApiCall *call, const char *token)
{
    char expires[KUBE_TIME_SIZE];
    int64_t life = token_life(call);
    kube_time((time_t)(api_now(call->api) + life), expires);
    const json_t *asked = kube_get(call->body, "spec.audiences");
    json_t *audiences = json_array_size(asked) ? json_deep_copy(asked) : json_pack("[s]", TOKEN_AUDIENCE);
    return json_pack("{s:s, s:s, s:{s:n}, s:{s:o, s:I, s:n}, s:{s:s, s:s}}", "kind", "TokenRequest", "apiVersion",
                     "authentication.k8s.io/v1", "metadata", "creationTimestamp", "spec", "audiences", audiences,
                     "expirationSeconds", (json_int_t)life, "boundObjectRef", "status", "token", token,
                     "expirationTimestamp", expires);
}

static void token(ApiCall *call)
{
    const json_t *account = find(call);
    json_t *status = check_token_request(call);
    if (!status && !account)
        status = not_found(call);
    if (!status && !call->api->authenticator)
        status = kube_status_unavailable("this server makes no tokens");
    if (status) {
        api_fail(call, status);
        return;
    }
    AUTO_FREE char *text = authenticator_token(call->api->authenticator, call->namespace, call->name, kube_uid(account),
                                               api_now(call->api) + token_life(call));
    if (text)
        api_answer(call, 201, make_token_request(call, text));
    else
        api_fail(call, NULL);
}

/* --- namespaces: finalize ------------------------------------------------------------------------------------ */

static void on_finalized(ApiCall *call, const json_t *object)
{
    api_answer(call, 200, json_incref((json_t *)object));
}

static void finalize(ApiCall *call)
{
    const json_t *current = find(call);
    json_t *status = check_name(call, "Namespace");
    if (!status && !current)
        status = not_found(call);
    if (!status)
        status = api_check_precondition(call, call->body, current);
    if (status) {
        api_fail(call, status);
        return;
    }
    const json_t *finalizers = kube_get(call->body, "spec.finalizers");
    json_decref(call->object);
    call->object = json_deep_copy(current);
    call->written = on_finalized;
    if (json_array_size(finalizers) > 0)
        kube_set(call->object, "spec.finalizers", json_deep_copy(finalizers));
    else
        kube_set(call->object, "spec", json_object());
    if (kube_deleting(current) && json_array_size(finalizers) == 0)
        api_store_remove(call, current);
    else
        api_store_write(call, current);
}

/* POST to the collection of bindings: the body names the pod. */
void api_bind(ApiCall *call)
{
    const char *pod = kube_name(call->body);
    free(call->name);
    call->name = strdup(pod);
    call->resource = resource_of_key("pods");
    call->again = binding;
    if (!call->name)
        api_fail(call, NULL);
    else
        binding(call);
}

void api_subresource(ApiCall *call)
{
    static const struct {
        const char *name;
        void (*run)(ApiCall *call);
    } table[] = {
        {"scale", scale}, {"binding", binding}, {"eviction", eviction}, {"token", token}, {"finalize", finalize}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (strcmp(call->subresource, table[i].name) == 0) {
            call->again = table[i].run;
            table[i].run(call);
            return;
        }
    api_fail(call, kube_status_not_found(call->resource->group, call->resource->plural, call->name));
}
