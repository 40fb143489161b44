/* api.c - dispatches by the table of routes; see api.h. */
#include "api.h"

#include "base/json.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const ApiRoute *const tables[] = {
    api_session_routes, api_object_routes,  api_workspace_routes, api_target_routes, api_rollout_routes,
    api_account_routes, api_desired_routes, api_agent_routes,     api_page_routes,   api_common_routes,
};

const ApiRoute *api_route_at(size_t index)
{
    for (size_t i = 0; i < sizeof(tables) / sizeof(*tables); i++)
        for (const ApiRoute *route = tables[i]; route->method; route++)
            if (index-- == 0)
                return route;
    return NULL;
}

/* --- matching ---------------------------------------------------------------------- */

/* Whether `path` is of the form of the route; its parameters. */
static bool matches(const char *form, const char *path, char parameters[API_PARAMETERS_MAX][API_PARAMETER_SIZE])
{
    size_t n = 0;
    while (*form && *path) {
        if (*form == '{') {
            size_t length = strcspn(path, "/");
            if (length == 0 || length >= API_PARAMETER_SIZE || n == API_PARAMETERS_MAX)
                return false;
            memcpy(parameters[n], path, length);
            parameters[n++][length] = '\0';
            path += length;
            form += strcspn(form, "}") + 1;
        } else if (*form++ != *path++) {
            return false;
        }
    }
    return *form == '\0' && *path == '\0';
}

static bool is_for_agents(const ApiRoute *route)
{
    return route->permission == API_TARGET || strncmp(route->path, "/v1/agents", 10) == 0 ||
           strncmp(route->path, "/v1/blobs", 9) == 0;
}

static bool is_common(const ApiRoute *route)
{
    return strncmp(route->path, "/v1/", 4) != 0 || strcmp(route->path, "/v1/openapi.json") == 0;
}

static bool serves(const ApiRoute *route, const char *method)
{
    return strcmp(route->method, method) == 0 || (strcmp(method, "HEAD") == 0 && strcmp(route->method, "GET") == 0);
}

/* NULL: `allow` lists the methods that the path has, if any. */
static const ApiRoute *find(InaHttpRequest *request, bool agents, ApiCall *call, char *allow, size_t size)
{
    const char *method = ina_http_method(request), *path = ina_http_path(request);
    *allow = '\0';
    for (size_t i = 0; i < sizeof(tables) / sizeof(*tables); i++) {
        for (const ApiRoute *route = tables[i]; route->method; route++) {
            if ((!is_common(route) && is_for_agents(route) != agents) || !matches(route->path, path, call->parameters))
                continue;
            if (serves(route, method))
                return route;
            size_t used = strlen(allow);
            snprintf(allow + used, size - used, "%s%s", used ? ", " : "", route->method);
        }
    }
    return NULL;
}

/* --- the door ------------------------------------------------------------------------ */

static bool may_enter(ApiCall *call)
{
    Server *server = call->server;
    int permission = call->route->permission;
    switch (permission) {
    case API_PUBLIC: /* what only shows may be asked for under any name of the machine */
        return strcmp(call->route->method, "GET") == 0 || server_check_origin(call->request);
    case API_OWN:
        return true;
    case API_TARGET:
        return server_authorize_target(server, call->request, call->parameters[0]);
    case API_METRICS: /* what collects them may know the server by any name */
        return server_has_cluster_token(server, call->request) ||
               server_authorize(server, call->request, PERMIT_VIEW_TARGET, &call->account);
    case API_ACCOUNT:
        if (!server_check_origin(call->request))
            return false;
        if (server_identify(server, call->request, &call->account))
            return true;
        server_refuse(server, call->request, NULL, NULL);
        return false;
    default:
        return server_authorize(server, call->request, (Permission)permission, &call->account);
    }
}

/* False: it is answered. */
static bool read_body(ApiCall *call)
{
    size_t size;
    InaError error = {0};
    const char *text = ina_http_body(call->request, &size);
    ApiBody kind = call->route->body;
    if (kind == API_NO_BODY || kind == API_BYTES || (kind == API_OPTIONAL_JSON && size == 0))
        return true;
    if (size == 0)
        ina_error_set(&error, EINVAL, "a JSON object is expected as body");
    else if (json_parse(text, size, API_BODY_MAX, &call->body, &error) >= 0 && !json_is_object(call->body))
        ina_error_set(&error, EINVAL, "the body is JSON, but not an object {...}");
    if (error.code == 0)
        return true;
    api_fail(call, &error);
    return false;
}

static void dispatch(Server *server, InaHttpRequest *request, bool agents)
{
    char allow[128];
    ApiCall call = {.server = server, .request = request};
    call.route = find(request, agents, &call, allow, sizeof(allow));
    if (!call.route && *allow) {
        ina_http_set_header(request, "Allow", allow);
        server_fail_text(request, 405, EINVAL, "%s is not for %.200s; allowed: %s", ina_http_method(request),
                         ina_http_path(request), allow);
    } else if (!call.route) {
        server_fail_text(request, 404, ENOENT, "there is nothing at %.200s; /v1/openapi.json says what there is",
                         ina_http_path(request));
    } else if (may_enter(&call) && read_body(&call)) {
        call.route->handle(&call);
    }
    json_decref(call.body);
}

static void on_people(Server *server, InaHttpRequest *request)
{
    dispatch(server, request, false);
}

static void on_agents(Server *server, InaHttpRequest *request)
{
    dispatch(server, request, true);
}

/* Before a body of some size is read: whether anybody known sends it. */
static bool guard_people(void *userdata, InaHttpRequest *request)
{
    Server *server = userdata;
    const char *length = ina_http_header(request, "Content-Length");
    bool chunked = ina_http_header(request, "Transfer-Encoding") != NULL;
    if (!chunked && (!length || strtoull(length, NULL, 10) <= SERVER_UNKNOWN_BODY_MAX))
        return false;
    return server_guard(server, request);
}

/* Agents of ours say little at once; those of ACE send their logs whole, from where that is allowed. */
static bool guard_agents(void *userdata, InaHttpRequest *request)
{
    Server *server = userdata;
    char target[TARGET_ID_MAX + 1];
    const char *length = ina_http_header(request, "Content-Length"), *path = ina_http_path(request);
    unsigned long long size = ina_http_header(request, "Transfer-Encoding") ? UINT64_MAX
                              : length                                      ? strtoull(length, NULL, 10)
                                                                            : 0;
    if (size <= SERVER_UNKNOWN_BODY_MAX)
        return false;
    if (strncmp(path, "/auditlog", 9) != 0) {
        if (size <= SERVER_AGENT_BODY_MAX)
            return false;
        server_fail_text(request, 413, EFBIG, "the body is larger than %u bytes (or of unknown size)",
                         SERVER_AGENT_BODY_MAX);
        return true;
    }
    return !server->options.open && !server_identify_target(server, request, target, sizeof(target)) &&
           server_guard(server, request);
}

int api_open(Server *server, InaError *error)
{
    static const struct {
        unsigned where;
        const char *prefix;
    } places[] = {
        {SERVER_PEOPLE, "/v1"}, {SERVER_PEOPLE, "/metrics"}, {SERVER_PEOPLE, "/healthz"}, {SERVER_PEOPLE, "/readyz"},
        {SERVER_AGENTS, "/v1"}, {SERVER_AGENTS, "/metrics"}, {SERVER_AGENTS, "/healthz"}, {SERVER_AGENTS, "/readyz"},
    };
    http_server_set_guard(server->people, guard_people, server);
    http_server_set_guard(server->agents, guard_agents, server);
    for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
        int r = server_handle(server, places[i].where, places[i].prefix,
                              places[i].where == SERVER_PEOPLE ? on_people : on_agents, error);
        if (r < 0)
            return r;
    }
    return api_pages_open(server, error);
}

/* --- what handlers use ------------------------------------------------------------- */

bool api_permit(ApiCall *call, Permission permission)
{
    if (call->account.permissions & PERMIT(permission))
        return true;
    server_refuse(call->server, call->request, &call->account, permission_name(permission));
    return false;
}

bool api_parse_number(const char *text, int64_t low, int64_t high, int64_t *ret)
{
    char *end;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end || errno || number < low || number > high)
        return false;
    *ret = number;
    return true;
}

bool api_number(ApiCall *call, const char *name, int64_t otherwise, int64_t low, int64_t high, int64_t *ret)
{
    const char *text = ina_http_query(call->request, name);
    *ret = otherwise;
    if (!text || api_parse_number(text, low, high, ret))
        return true;
    server_fail_text(call->request, 400, EINVAL, "%s=%.40s: a number from %lld to %lld is expected", name, text,
                     (long long)low, (long long)high);
    return false;
}

bool api_string(ApiCall *call, const char *name, bool needed, const char **ret)
{
    const json_t *value = json_object_get(call->body, name);
    *ret = json_string_value(value);
    if (*ret || (!needed && (!value || json_is_null(value))))
        return true;
    server_fail_text(call->request, 400, EINVAL, "\"%s\": a string is %s", name, value ? "expected" : "needed");
    return false;
}

void api_fail(ApiCall *call, const InaError *error)
{
    server_fail(call->request, 0, error);
}

void api_not_found(ApiCall *call, const char *what, const char *name)
{
    server_fail_text(call->request, 404, ENOENT, "there is no %s %.200s", what, name);
}

Permission api_view_permission(ObjectKind kind)
{
    switch (kind) {
    case OBJECT_ARTIFACT:
    case OBJECT_ARTIFACT2FEATURE:
        return PERMIT_VIEW_ARTIFACT;
    case OBJECT_FEATURE:
        return PERMIT_VIEW_FEATURE;
    case OBJECT_FEATURE2DISTRIBUTION:
    case OBJECT_DISTRIBUTION:
        return PERMIT_VIEW_DISTRIBUTION;
    default:
        return PERMIT_VIEW_TARGET;
    }
}

Permission api_change_permission(ObjectKind kind, char operation)
{
    static const struct {
        Permission add, replace, remove;
    } table[OBJECT_KINDS] = {
        [OBJECT_ARTIFACT] = {PERMIT_CREATE_ARTIFACT, PERMIT_EDIT_ARTIFACT, PERMIT_REMOVE_ARTIFACT},
        [OBJECT_ARTIFACT2FEATURE] = {PERMIT_ASSOCIATE_ARTIFACT_FEATURE, PERMIT_ASSOCIATE_ARTIFACT_FEATURE,
                                     PERMIT_DISSOCIATE_ARTIFACT_FEATURE},
        [OBJECT_FEATURE] = {PERMIT_CREATE_FEATURE, PERMIT_EDIT_FEATURE, PERMIT_REMOVE_FEATURE},
        [OBJECT_FEATURE2DISTRIBUTION] = {PERMIT_ASSOCIATE_FEATURE_DISTRIBUTION, PERMIT_ASSOCIATE_FEATURE_DISTRIBUTION,
                                         PERMIT_DISSOCIATE_FEATURE_DISTRIBUTION},
        [OBJECT_DISTRIBUTION] = {PERMIT_CREATE_DISTRIBUTION, PERMIT_EDIT_DISTRIBUTION, PERMIT_REMOVE_DISTRIBUTION},
        [OBJECT_DISTRIBUTION2TARGET] = {PERMIT_ASSOCIATE_DISTRIBUTION_TARGET, PERMIT_ASSOCIATE_DISTRIBUTION_TARGET,
                                        PERMIT_DISSOCIATE_DISTRIBUTION_TARGET},
        [OBJECT_TARGET] = {PERMIT_CREATE_TARGET, PERMIT_EDIT_TARGET, PERMIT_REMOVE_TARGET},
    };
    return operation == 'a' ? table[kind].add : operation == 'r' ? table[kind].replace : table[kind].remove;
}

Workspace *api_workspace(ApiCall *call, const char *id)
{
    Workspace *workspace = workspace_find(call->server->repository, id);
    if (!workspace) {
        server_fail_text(call->request, 404, ENOENT,
                         "there is no workspace %.80s (any more): begin a new one with POST /v1/workspaces", id);
        return NULL;
    }
    if (strcmp(workspace_owner(workspace), call->account.name) == 0 ||
        (call->account.permissions & PERMIT(PERMIT_EDIT_USERS)))
        return workspace;
    server_fail_text(call->request, 403, EPERM, "workspace %.80s is %s's", id, workspace_owner(workspace));
    return NULL;
}
