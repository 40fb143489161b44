/* api_http.c - see api_http.h: the way of a request. */
#include "api_http_internal.h"

#include "kube/protobuf.h"

#include "base/cleanup.h"
#include "base/json.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* --- who asks ------------------------------------------------------------------------------------------- */

static const char *method_verb(const char *method, bool named)
{
    static const struct {
        const char *method, *verb;
    } verbs[] = {{"POST", "create"}, {"PUT", "update"}, {"PATCH", "patch"}};

    for (size_t i = 0; i < 3; i++)
        if (strcmp(method, verbs[i].method) == 0)
            return verbs[i].verb;
    if (strcmp(method, "DELETE") == 0)
        return named ? "delete" : "deletecollection";
    return named ? "get" : "list";
}

/* 403 in the words for what the path names. */
static json_t *forbidden(const InaHttpRequest *request, const ApiUser *user)
{
    ApiTarget target;
    AUTO_FREE char *message = NULL;

    if (api_path_parse(ina_http_path(request), &target) == API_PATH_RESOURCE) {
        const char *verb = method_verb(ina_http_method(request), target.name[0] != '\0');
        json_t *status =
            api_refusal(user, verb, target.resource, target.subresource, target.namespace, target.name, NULL);
        if (status)
            return status;
    }
    AUTO_FREE char *method = strdup(ina_http_method(request));
    for (char *c = method; c && *c; c++)
        *c = *c >= 'A' && *c <= 'Z' ? (char)(*c - 'A' + 'a') : *c;
    if (asprintf(&message, "forbidden: User \"%s\" cannot %s path \"%s\"", user->name, method ? method : "",
                 ina_http_path(request)) < 0)
        message = NULL;
    json_t *status = kube_status_failure(403, "Forbidden", message ? message : "forbidden");
    json_object_set_new(status, "details", json_object());
    return status;
}

/* False: it is answered. */
static bool admit(ApiHttp *http, InaHttpRequest *request, ApiUser *user)
{
    if (authenticate(http->authenticator, http_request_subject(request), ina_http_header(request, "Authorization"),
                     user) < 0) {
        api_respond_status(request, kube_status_unauthorized());
        return false;
    }
    if (user->role != ROLE_NONE || strcmp(user->name, AUTH_ANONYMOUS) != 0)
        return true;
    api_respond_status(request, forbidden(request, user));
    return false;
}

/* Bodies are read only for those who are known, and not beyond the maximum. */
static bool on_guard(void *userdata, InaHttpRequest *request)
{
    ApiHttp *http = userdata;
    const char *length = ina_http_header(request, "Content-Length");
    ApiUser user;

    if ((!length || strcmp(length, "0") == 0) && !ina_http_header(request, "Transfer-Encoding"))
        return false;
    if (!admit(http, request, &user))
        return true;
    if (!length || strtoull(length, NULL, 10) <= API_BODY_MAX)
        return false;
    ina_http_set_header(request, "Connection", "close");
    api_respond_status(request, kube_status_too_large("limit is 3145728"));
    return true;
}

/* --- calls of the API machine ------------------------------------------------------------------------------ */

static void call_free(ApiHttpCall *call)
{
    if (call->previous)
        call->previous->next = call->next;
    else if (call->http->calls == call)
        call->http->calls = call->next;
    if (call->next)
        call->next->previous = call->previous;
    json_decref(call->body);
    free(call);
}

static void on_answer(void *userdata, const ApiAnswer *answer)
{
    ApiHttpCall *call = userdata;
    const char *subresource = call->target.subresource;

    if (*subresource && strcmp(subresource, "status") != 0) /* another kind of object */
        call->accept.form = FORM_OBJECT;
    api_respond(call->http, call->request, &call->accept, call->target.resource, answer->status, answer->object,
                answer->warnings);
    call_free(call);
}

static ApiHttpCall *call_new(ApiHttp *http, InaHttpRequest *request, const ApiUser *user, const ApiTarget *target,
                             const ApiAccept *accept)
{
    ApiHttpCall *call = calloc(1, sizeof *call);

    if (!call)
        return NULL;
    *call = (ApiHttpCall){
        .http = http, .next = http->calls, .request = request, .user = *user, .target = *target, .accept = *accept};
    if (call->next)
        call->next->previous = call;
    http->calls = call;
    return call;
}

/* --- bodies ------------------------------------------------------------------------------------------------- */

static bool type_is(const char *header, const char *type)
{
    size_t length = strlen(type);

    return header && strncasecmp(header, type, length) == 0 &&
           (header[length] == '\0' || strchr("; \t", header[length]));
}

static json_t *unsupported(const char *header, bool patch)
{
    bool apply = type_is(header, "application/apply-patch+yaml") || type_is(header, "application/apply-patch+cbor");
    AUTO_FREE char *message = NULL;
    const char *accepted = patch ? "application/json-patch+json, application/merge-patch+json, "
                                   "application/strategic-merge-patch+json"
                                 : "application/json, " KUBE_PROTOBUF;

    if (asprintf(&message, "%sthe body of the request was in an unknown format - accepted media types include: %s",
                 patch && apply ? "server-side apply is not served: use plain `kubectl apply`, without --server-side; "
                                : "",
                 accepted) < 0)
        message = NULL;
    return kube_status_media_type(message ? message : "unknown format");
}

/* NULL: `call->body` is read, or there is none. */
static json_t *read_body(ApiHttpCall *call, ApiRequest *request)
{
    static const struct {
        const char *type;
        ApiPatch patch;
    } patches[] = {{"application/json-patch+json", API_PATCH_JSON},
                   {"application/merge-patch+json", API_PATCH_MERGE},
                   {"application/strategic-merge-patch+json", API_PATCH_STRATEGIC}};
    const char *type = ina_http_header(call->request, "Content-Type");
    size_t size, i = 0;
    const char *text = ina_http_body(call->request, &size);
    InaError error = {0};

    if (request->verb == API_PATCH) {
        while (i < 3 && !type_is(type, patches[i].type))
            i++;
        if (i == 3)
            return unsupported(type, true);
        request->patch = patches[i].patch;
    } else if (size > 0 && type_is(type, KUBE_PROTOBUF)) {
        if (kube_protobuf_decode(text, size, &call->body, &error) < 0)
            return api_body_unrecognized(&call->target, text, size, error.message);
        request->body = call->body;
        return NULL;
    } else if (size > 0 && type && *type && !type_is(type, "application/json")) {
        return unsupported(type, false);
    }
    if (size == 0 && (request->verb == API_DELETE || request->verb == API_DELETE_COLLECTION))
        return NULL;
    int r = json_parse(text, size, API_BODY_MAX, &call->body, &error);
    bool patch = request->verb == API_PATCH;
    if (json_is_null(call->body) && !patch) { /* an object with nothing in it */
        json_decref(call->body);
        call->body = json_object();
    }
    if (r < 0 || (!json_is_object(call->body) && !(patch && json_is_array(call->body))))
        return api_body_malformed(&call->target, request, text, size, &error, call->body);
    request->body = call->body;
    return NULL;
}

/* --- objects ------------------------------------------------------------------------------------------------------ */

/* False: this method is not there for such a path. */
static bool find_verb(const char *method, const ApiTarget *target, ApiVerb *ret)
{
    bool named = target->name[0] != '\0', sub = target->subresource[0] != '\0';
    bool all = target->resource->namespaced && target->namespace[0] == '\0';

    if (strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0) {
        *ret = named ? API_GET : API_LIST;
        return true;
    }
    if (all)
        return false;
    if (strcmp(method, "POST") == 0) {
        *ret = API_CREATE;
        return !named || sub;
    }
    if (strcmp(method, "PUT") == 0) {
        *ret = API_UPDATE;
        return named;
    }
    if (strcmp(method, "PATCH") == 0) {
        *ret = API_PATCH;
        return named;
    }
    *ret = named ? API_DELETE : API_DELETE_COLLECTION;
    return strcmp(method, "DELETE") == 0;
}

static bool is_watch(const InaHttpRequest *request, const ApiTarget *target)
{
    const char *method = ina_http_method(request);

    return (target->watch || api_query_is(request, "watch")) && strcmp(method, "GET") == 0 &&
           target->subresource[0] == '\0' && target->resource->verbs & VERB_WATCH;
}

/* Nodes read the secrets of their own pods, and get tokens of these pods' accounts. */
static json_t *check_node(const ApiHttp *http, const ApiUser *user, const ApiTarget *target)
{
    bool secret = strcmp(target->resource->key, "secrets") == 0;
    bool token = strcmp(target->resource->key, "serviceaccounts") == 0 && strcmp(target->subresource, "token") == 0;

    if (user->role != ROLE_NODE || target->name[0] == '\0' || !(secret || token) ||
        (secret ? auth_node_uses_secret : auth_node_uses_account)(http->store, user, target->namespace, target->name))
        return NULL;
    AUTO_FREE char *why = NULL;
    if (asprintf(&why, "User \"%s\" cannot %s in API group \"\" in the namespace \"%s\": no pod of this node uses it",
                 user->name, secret ? "get resource \"secrets\"" : "create resource \"serviceaccounts/token\"",
                 target->namespace) < 0)
        why = NULL;
    return kube_status_forbidden("", target->resource->plural, target->name, why ? why : "");
}

static void submit(ApiHttp *http, InaHttpRequest *request, const ApiUser *user, const ApiTarget *target,
                   const ApiAccept *accept, ApiVerb verb)
{
    ApiHttpCall *call = call_new(http, request, user, target, accept);
    if (!call) {
        api_respond_status(request, kube_status_internal("out of memory"));
        return;
    }
    ApiRequest asked = {
        .verb = verb,
        .resource = target->resource,
        .namespace = call->target.namespace,
        .name = call->target.name[0] ? call->target.name : NULL,
        .subresource = call->target.subresource[0] ? call->target.subresource : NULL,
        .user = &call->user,
    };
    json_t *refusal = api_query_options(request, &asked);
    if (!refusal && verb != API_GET && verb != API_LIST)
        refusal = read_body(call, &asked);
    if (!refusal)
        refusal = check_node(http, user, target);
    if (refusal) {
        call_free(call);
        api_respond_status(request, refusal);
        return;
    }
    api_submit(http->api, &asked, on_answer, call);
}

static void respond_missing(InaHttpRequest *request)
{
    json_t *absent = api_status_absent(ina_http_path(request));

    api_respond_status(request, absent ? absent : api_status_missing());
}

static void handle_resource(ApiHttp *http, InaHttpRequest *request, const ApiUser *user, const ApiTarget *target)
{
    ApiAccept accept;
    ApiVerb verb;

    if (api_is_passed(target)) {
        api_pass(http, request, user, target);
        return;
    }
    if (target->subresource[0] && !resource_subresource(target->resource, target->subresource)) {
        respond_missing(request);
        return;
    }
    if (!api_accept_parse(request, &accept)) {
        api_respond_status(request, kube_status_failure(406, "NotAcceptable",
                                                        "only the following media types are accepted: "
                                                        "application/json"));
        return;
    }
    json_t *refusal = api_query_include(request, &accept);
    if (refusal) {
        api_respond_status(request, refusal);
        return;
    }
    if (!find_verb(ina_http_method(request), target, &verb))
        api_respond_status(request, api_status_method());
    else if (is_watch(request, target))
        api_watch(http, request, user, target, &accept);
    else
        submit(http, request, user, target, &accept, verb);
}

/* Within /api and the groups that are there Kubernetes answers with a Status, elsewhere with a page. */
static bool within_group(const char *path)
{
    char group[API_SEGMENT_MAX];

    if (strncmp(path, "/api/", 5) == 0)
        return true;
    if (strncmp(path, "/apis/", 6) != 0)
        return false;
    snprintf(group, sizeof group, "%.*s", (int)strcspn(path + 6, "/"), path + 6);
    AUTO_JSON json_t *found = discovery_group(group);
    return found != NULL;
}

static void not_found(InaHttpRequest *request, const ApiUser *user)
{
    if (user->role == ROLE_NONE) {
        api_respond_status(request, forbidden(request, user));
        return;
    }
    json_t *absent = api_status_absent(ina_http_path(request));
    if (absent || within_group(ina_http_path(request))) {
        api_respond_status(request, absent ? absent : api_status_missing());
        return;
    }
    ina_http_set_header(request, "X-Content-Type-Options", "nosniff");
    ina_http_respond_text(request, 404, "404 page not found\n");
}

static void on_request(void *userdata, InaHttpRequest *request)
{
    ApiHttp *http = userdata;
    ApiTarget target;
    ApiUser user;

    if (api_health(http, request) || !admit(http, request, &user) || api_review(http, request, &user))
        return;
    if (!store_ready(http->store)) {
        ina_http_set_header(request, "Retry-After", "1");
        api_respond_status(request, kube_status_unavailable("the control plane starts: etcd has not been read yet"));
        return;
    }
    switch (api_path_parse(ina_http_path(request), &target)) {
    case API_PATH_RESOURCE:
        handle_resource(http, request, &user, &target);
        return;
    case API_PATH_MISSING:
        respond_missing(request);
        return;
    case API_PATH_GROUP:
    case API_PATH_OTHER:
        break;
    }
    if (!api_plain(http, request, &user))
        not_found(request, &user);
}

/* --- life ------------------------------------------------------------------------------------------------------------
 */

int api_http_new(const ApiHttpOptions *options, ApiHttp **ret, InaError *error)
{
    ApiHttp *http = calloc(1, sizeof *http);

    if (!http || !(http->address = strdup(options->address))) {
        free(http);
        return ina_error_errno(error, ENOMEM, "API");
    }
    http->api = options->api;
    http->store = api_store(options->api);
    http->event = sd_event_ref(api_loop(options->api));
    http->authenticator = options->authenticator;
    http->nodes = options->nodes;
    int r = http_server_handle(options->server, "/", on_request, http, error);
    if (r == 0) {
        http->server = options->server;
        r = api_watches_start(http, error);
    }
    if (r < 0) {
        api_http_free(http);
        return r;
    }
    http_server_set_guard(http->server, on_guard, http);
    *ret = http;
    return 0;
}

ApiHttp *api_http_free(ApiHttp *http)
{
    if (!http)
        return NULL;
    if (http->server) {
        http_server_set_guard(http->server, NULL, NULL);
        http_server_unhandle(http->server, "/");
    }
    api_watches_end(http);
    api_passes_end(http);
    while (http->calls) { /* the API does not answer any more */
        ina_http_respond(http->calls->request, 503, NULL, NULL, 0);
        call_free(http->calls);
    }
    free(http->openapi);
    free(http->openapi_protobuf);
    free(http->address);
    sd_event_unref(http->event);
    free(http);
    return NULL;
}
