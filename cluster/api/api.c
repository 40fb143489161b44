/* api.c - requests in, answers out; the short forms for controllers. */
#include "api_internal.h"

#include <errno.h>
#include <string.h>

/* --- life ------------------------------------------------------------------------------------------ */

static char *copy(const char *text)
{
    return text ? strdup(text) : NULL;
}

int api_new(const ApiOptions *options, Api **ret, InaError *error)
{
    Api *api = calloc(1, sizeof *api);
    if (!api)
        return ina_error_set(error, ENOMEM, "out of memory");
    api->event = sd_event_ref(options->event);
    api->store = options->store;
    api->authenticator = options->authenticator;
    api->service_prefix = copy(options->service_prefix ? options->service_prefix : "127.3.");
    api->pod_prefix = copy(options->pod_prefix ? options->pod_prefix : "127.1.");
    api->cluster_ip = copy(options->cluster_ip);
    api->address = copy(options->address);
    api->reserved = map_new();
    if (!api->reserved || !api->service_prefix || !api->pod_prefix || api_events_new(api) < 0 || api_start(api) < 0) {
        api_free(api);
        return ina_error_set(error, ENOMEM, "out of memory");
    }
    *ret = api;
    return 0;
}

static void call_unlink(ApiCall *call)
{
    if (call->previous)
        call->previous->next = call->next;
    else if (call->api->calls == call)
        call->api->calls = call->next;
    if (call->next)
        call->next->previous = call->previous;
    call->next = call->previous = NULL;
}

void api_call_free(ApiCall *call)
{
    size_t i;
    const json_t *name;
    if (call->api) {
        call_unlink(call);
        json_array_foreach(call->reserved, i, name) map_remove(call->api->reserved, json_string_value(name));
    }
    if (call->end_state)
        call->end_state(call->state);
    sd_event_source_disable_unref(call->timer);
    free(call->namespace);
    free(call->name);
    free(call->subresource);
    free(call->label_selector);
    free(call->field_selector);
    free(call->continue_);
    free(call->resource_version);
    free(call->propagation);
    free(call->uid);
    free(call->version);
    json_decref(call->body);
    json_decref(call->object);
    json_decref(call->reserved);
    json_decref(call->warnings);
    json_decref(call->answer);
    free(call);
}

Api *api_free(Api *api)
{
    if (!api)
        return NULL;
    while (api->calls) {
        ApiCall *call = api->calls;
        if (call->at_store) { /* freed when the store answers */
            call_unlink(call);
            call->timer = sd_event_source_disable_unref(call->timer);
            call->api = NULL;
        } else {
            api_call_free(call);
        }
    }
    api_events_free(api);
    api_snapshots_free(api);
    sd_event_source_disable_unref(api->deliver);
    sd_event_source_disable_unref(api->start);
    sd_event_source_disable_unref(api->sweep);
    map_free(api->reserved);
    free(api->service_prefix);
    free(api->pod_prefix);
    free(api->cluster_ip);
    free(api->address);
    sd_event_unref(api->event);
    free(api);
    return NULL;
}

Store *api_store(Api *api)
{
    return api->store;
}

sd_event *api_loop(Api *api)
{
    return api->event;
}

void api_set_metrics(Api *api, ApiMetrics metrics, void *userdata)
{
    api->metrics = metrics;
    api->metrics_userdata = userdata;
}

int64_t api_now(const Api *api)
{
    uint64_t us = 0;
    if (sd_event_now(api->event, CLOCK_REALTIME, &us) < 0)
        return (int64_t)time(NULL);
    return (int64_t)(us / 1000000);
}

/* --- answers ------------------------------------------------------------------------------------------ */

static void deliver(ApiCall *call)
{
    if (call->done) {
        ApiAnswer answer = {.status = call->status, .object = call->answer, .warnings = call->warnings};
        call->done(call->userdata, &answer);
    }
    api_call_free(call);
}

static int on_deliver(sd_event_source *source, void *userdata)
{
    Api *api = userdata;
    api->deliver = sd_event_source_disable_unref(api->deliver);
    ApiCall *call = api->ready;
    api->ready = api->ready_last = NULL;
    while (call) {
        ApiCall *next = call->ready_next;
        deliver(call);
        call = next;
    }
    return 0;
}

void api_answer(ApiCall *call, int status, json_t *object)
{
    call->status = status;
    call->answer = object;
    if (call->submitted) {
        deliver(call);
        return;
    }
    if (call->api->ready_last)
        call->api->ready_last->ready_next = call;
    else
        call->api->ready = call;
    call->api->ready_last = call;
    soon(call->api->event, &call->api->deliver, on_deliver, call->api);
}

void api_fail(ApiCall *call, json_t *status)
{
    if (!status)
        status = kube_status_internal("out of memory");
    int code = kube_status_code(status);
    api_answer(call, code ? code : 500, status);
}

void api_warn(ApiCall *call, const json_t *warnings)
{
    if (!json_array_size(warnings))
        return;
    if (!call->warnings)
        call->warnings = json_array();
    size_t i;
    json_t *warning;
    json_array_foreach((json_t *)warnings, i, warning) json_array_append(call->warnings, warning);
}

static int on_retry(sd_event_source *source, uint64_t us, void *userdata)
{
    ApiCall *call = userdata;
    call->timer = sd_event_source_disable_unref(call->timer);
    call->again(call);
    return 0;
}

void api_retry(ApiCall *call)
{
    if (++call->attempts >= API_ATTEMPTS) {
        api_fail(call, kube_status_conflict(call->resource->group, call->resource->plural, call->name, API_CONFLICT));
        return;
    }
    uint64_t pause = API_PAUSE << (call->attempts - 1);
    if (sd_event_add_time_relative(call->api->event, &call->timer, CLOCK_MONOTONIC,
                                   pause < API_PAUSE_MAX ? pause : API_PAUSE_MAX, 0, on_retry, call) < 0)
        api_fail(call, kube_status_internal("out of memory"));
}

static bool reserve(void *userdata, const char *what)
{
    ApiCall *call = userdata;
    if (map_get(call->api->reserved, what) || map_set(call->api->reserved, what, call) < 0)
        return false;
    if (!call->reserved)
        call->reserved = json_array();
    json_array_append_new(call->reserved, json_string(what));
    return true;
}

ResourceContext api_context(ApiCall *call)
{
    return (ResourceContext){.store = call->api->store,
                             .service_prefix = call->api->service_prefix,
                             .now = api_now(call->api),
                             .outside = call->outside,
                             .reserve = reserve,
                             .userdata = call};
}

/* --- requests ----------------------------------------------------------------------------------------- */

static const char *verb_name(ApiVerb verb)
{
    static const char *const names[] = {[API_GET] = "get",
                                        [API_LIST] = "list",
                                        [API_CREATE] = "create",
                                        [API_UPDATE] = "update",
                                        [API_PATCH] = "patch",
                                        [API_DELETE] = "delete",
                                        [API_DELETE_COLLECTION] = "deletecollection"};
    return names[verb];
}

json_t *api_refusal(const ApiUser *user, const char *verb, const Resource *resource, const char *subresource,
                    const char *namespace, const char *name, const json_t *object)
{
    if (!user || auth_allows(user, verb, resource->group, resource->plural,
                             subresource && *subresource ? subresource : NULL, namespace, name, object))
        return NULL;
    AUTO_FREE char *why = NULL, *who = kube_quote(user->name);
    bool sub = subresource && *subresource, inside = namespace && *namespace;
    if (asprintf(&why, "User %s cannot %s resource \"%s%s%s\" in API group \"%s\" %s%s%s", who, verb, resource->plural,
                 sub ? "/" : "", sub ? subresource : "", resource->group, inside ? "in the namespace \"" : "at the ",
                 inside ? namespace : "cluster scope", inside ? "\"" : "") < 0)
        return NULL;
    return kube_status_forbidden(resource->group, resource->plural, name, why);
}

/* What the rights may depend on: what is there, or is about to be. */
static const json_t *subject(const ApiCall *call)
{
    if (call->verb == API_CREATE && !*call->subresource)
        return call->body;
    return *call->name ? store_get(call->api->store, call->resource->key, call->namespace, call->name) : NULL;
}

static void dispatch(ApiCall *call)
{
    if (*call->subresource && strcmp(call->subresource, "status") != 0) {
        api_subresource(call);
        return;
    }
    if (strcmp(call->resource->key, "bindings") == 0) {
        api_bind(call);
        return;
    }
    switch (call->verb) {
    case API_GET:
        api_get(call);
        break;
    case API_LIST:
        api_list(call);
        break;
    case API_CREATE:
        api_create_object(call);
        break;
    case API_UPDATE:
    case API_PATCH:
        api_update_object(call);
        break;
    case API_DELETE:
        api_delete_object(call);
        break;
    case API_DELETE_COLLECTION:
        api_delete_collection(call);
        break;
    }
}

static bool served(const ApiCall *call)
{
    static const ResourceVerbs bits[] = {[API_GET] = VERB_GET,
                                         [API_LIST] = VERB_LIST,
                                         [API_CREATE] = VERB_CREATE,
                                         [API_UPDATE] = VERB_UPDATE,
                                         [API_PATCH] = VERB_PATCH,
                                         [API_DELETE] = VERB_DELETE,
                                         [API_DELETE_COLLECTION] = VERB_DELETE_COLLECTION};
    const Resource *resource = call->resource;
    if (!*call->subresource)
        return resource->verbs & bits[call->verb] || !call->outside;
    const Subresource *sub = resource_subresource(resource, call->subresource);
    return sub && sub->verbs & bits[call->verb];
}

static json_t *method_not_allowed(void)
{
    json_t *status =
        kube_status_failure(405, "MethodNotAllowed", "the server does not allow this method on the requested resource");
    kube_set(status, "details", json_object());
    return status;
}

static ApiCall *call_new(Api *api, const ApiRequest *request)
{
    ApiCall *call = calloc(1, sizeof *call);
    if (!call)
        return NULL;
    call->api = api;
    call->verb = request->verb;
    call->resource = request->resource;
    call->namespace = strdup(request->namespace && request->resource->namespaced ? request->namespace : "");
    call->name = strdup(request->name ? request->name : "");
    call->subresource = strdup(request->subresource ? request->subresource : "");
    call->label_selector = copy(request->label_selector);
    call->field_selector = copy(request->field_selector);
    call->continue_ = copy(request->continue_);
    call->resource_version = copy(request->resource_version);
    call->propagation = copy(request->propagation);
    call->uid = copy(request->precondition_uid);
    call->version = copy(request->precondition_version);
    call->patch = request->patch;
    call->dry_run = request->dry_run;
    call->unknown = request->unknown;
    call->limit = request->limit;
    call->grace = request->grace;
    call->body = json_incref(request->body);
    call->outside = request->user != NULL;
    if (request->user)
        call->user = *request->user;
    call->next = api->calls;
    if (call->next)
        call->next->previous = call;
    api->calls = call;
    return call;
}

void api_submit(Api *api, const ApiRequest *request, ApiDone done, void *userdata)
{
    ApiCall *call = call_new(api, request);
    if (!call)
        return; /* out of memory: the caller's deadline ends it */
    call->done = done;
    call->userdata = userdata;
    json_t *refusal = NULL;
    if (!call->namespace || !call->name || !call->subresource)
        refusal = kube_status_internal("out of memory");
    else if (!served(call))
        refusal = method_not_allowed();
    else if (call->outside)
        refusal = api_refusal(&call->user, verb_name(call->verb), call->resource, call->subresource, call->namespace,
                              call->name, subject(call));
    if (refusal) {
        api_fail(call, refusal);
        return;
    }
    dispatch(call); /* which frees nothing: answers wait for the loop until now */
    call->submitted = true;
}

/* --- for controllers -------------------------------------------------------------------------------------- */

static void submit_object(Api *api, ApiVerb verb, const char *resource_key, const char *subresource, json_t *object,
                          ApiDone done, void *userdata)
{
    ApiRequest request = {.verb = verb,
                          .resource = resource_of_key(resource_key),
                          .namespace = kube_namespace(object),
                          .name = verb == API_CREATE ? NULL : kube_name(object),
                          .subresource = subresource,
                          .body = object,
                          .grace = -1};
    api_submit(api, &request, done, userdata);
    json_decref(object);
}

void api_create(Api *api, const char *resource_key, json_t *object, ApiDone done, void *userdata)
{
    submit_object(api, API_CREATE, resource_key, NULL, object, done, userdata);
}

void api_update(Api *api, const char *resource_key, json_t *object, ApiDone done, void *userdata)
{
    submit_object(api, API_UPDATE, resource_key, NULL, object, done, userdata);
}

void api_update_status(Api *api, const char *resource_key, json_t *object, ApiDone done, void *userdata)
{
    submit_object(api, API_UPDATE, resource_key, "status", object, done, userdata);
}

void api_delete(Api *api, const char *resource_key, const char *namespace, const char *name, const char *uid,
                int64_t grace, ApiDone done, void *userdata)
{
    ApiRequest request = {.verb = API_DELETE,
                          .resource = resource_of_key(resource_key),
                          .namespace = namespace,
                          .name = name,
                          .precondition_uid = uid && *uid ? uid : NULL,
                          .propagation = "Background",
                          .grace = grace};
    api_submit(api, &request, done, userdata);
}
