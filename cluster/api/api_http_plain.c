/* api_http_plain.c - what is not about objects: health, version, discovery,
 * OpenAPI; and reviews, which ask what one may. */
#include "api_http_internal.h"

#include "kube/protobuf.h"

#include "base/cleanup.h"
#include "base/json.h"

#include <string.h>

#define TEXT "text/plain; charset=utf-8"

static bool reads(const InaHttpRequest *request)
{
    const char *method = ina_http_method(request);

    return strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
}

/* --- health ------------------------------------------------------------------------------------------- */

static void respond_health(InaHttpRequest *request, const char *what, bool etcd)
{
    bool verbose = ina_http_query(request, "verbose") != NULL;

    ina_http_set_header(request, "X-Content-Type-Options", "nosniff");
    if (etcd && !verbose)
        ina_http_respond(request, 200, TEXT, "ok", 2);
    else
        ina_http_respond_text(request, etcd ? 200 : 500, "[+]ping ok\n%s\n%s check %s\n",
                              etcd ? "[+]etcd ok" : "[-]etcd failed: reason withheld", what,
                              etcd ? "passed" : "failed");
}

/* livez: this process; readyz and healthz: etcd too. Each check has a path of its own. */
bool api_health(ApiHttp *http, InaHttpRequest *request)
{
    static const char *const names[] = {"healthz", "livez", "readyz"};
    const char *path = ina_http_path(request) + 1;
    bool etcd = store_ready(http->store) && store_answers(http->store);

    for (size_t i = 0; i < 3; i++) {
        size_t length = strlen(names[i]);
        if (strncmp(path, names[i], length) != 0 || (path[length] != '\0' && path[length] != '/'))
            continue;
        const char *check = path[length] ? path + length + 1 : "";
        if (*check == '\0')
            respond_health(request, names[i], etcd || i == 1);
        else if (strcmp(check, "ping") == 0 || (strcmp(check, "etcd") == 0 && etcd))
            ina_http_respond(request, 200, TEXT, "ok", 2);
        else if (strcmp(check, "etcd") == 0)
            ina_http_respond_text(request, 500, "internal server error: etcd failed: reason withheld\n");
        else
            ina_http_respond_text(request, 404, "404 page not found\n");
        return true;
    }
    if (strcmp(path, "version") != 0 && strcmp(path, "version/") != 0)
        return false;
    if (!reads(request)) {
        api_respond_status(request, api_status_method());
        return true;
    }
    api_respond_json(request, 200,
                     json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "major", "1", "minor", "20",
                               "gitVersion", "v1.20.2+inaetics-" INAETICS_VERSION, "gitCommit", "", "gitTreeState",
                               "clean", "buildDate", "1970-01-01T00:00:00Z", "goVersion", "", "compiler", "gcc",
                               "platform", "linux/amd64"),
                     true);
    return true;
}

/* --- discovery ------------------------------------------------------------------------------------------ */

static json_t *paths(void)
{
    static const char *const fixed[] = {"/api", "/api/v1", "/apis"};
    static const char *const last[] = {"/healthz",    "/healthz/etcd", "/healthz/ping", "/livez",  "/livez/ping",
                                       "/openapi/v2", "/readyz",       "/readyz/etcd",  "/version"};
    json_t *list = json_array();
    AUTO_JSON json_t *groups = discovery_groups();
    const json_t *group, *version;
    size_t i, j;

    for (i = 0; i < sizeof fixed / sizeof fixed[0]; i++)
        json_array_append_new(list, json_string(fixed[i]));
    json_array_foreach(json_object_get(groups, "groups"), i, group)
    {
        json_array_append_new(list, json_sprintf("/apis/%s", kube_string(group, "name")));
        json_array_foreach(json_object_get(group, "versions"), j, version)
            json_array_append_new(list, json_sprintf("/apis/%s", kube_string(version, "groupVersion")));
    }
    for (i = 0; i < sizeof last / sizeof last[0]; i++)
        json_array_append_new(list, json_string(last[i]));
    return json_pack("{s:o}", "paths", list);
}

static json_t *discovery(const ApiHttp *http, const char *path)
{
    char group[API_SEGMENT_MAX];
    size_t length = strlen(path);

    while (length > 1 && path[length - 1] == '/')
        length--;
    if (length == 1)
        return paths();
    if (length == 4 && strncmp(path, "/api", 4) == 0)
        return discovery_versions(http->address);
    if (length == 5 && strncmp(path, "/apis", 5) == 0)
        return discovery_groups();
    if (length > 5 && length < sizeof group && strncmp(path, "/api/", 5) == 0) {
        snprintf(group, sizeof group, "%.*s", (int)(length - 5), path + 5);
        return discovery_resources("", group);
    }
    if (length <= 6 || length >= sizeof group || strncmp(path, "/apis/", 6) != 0)
        return NULL;
    snprintf(group, sizeof group, "%.*s", (int)(length - 6), path + 6);
    char *slash = strchr(group, '/');
    if (!slash)
        return discovery_group(group);
    *slash = '\0';
    return discovery_resources(group, slash + 1);
}

/* --- OpenAPI ---------------------------------------------------------------------------------------------- */

#define OPENAPI_PROTOBUF "application/com.github.proto-openapi.spec.v2"

static void respond_openapi(ApiHttp *http, InaHttpRequest *request)
{
    const char *accept = ina_http_header(request, "Accept");

    if (accept && strstr(accept, OPENAPI_PROTOBUF)) {
        if (!http->openapi_protobuf)
            http->openapi_protobuf = schema_openapi_protobuf(&http->openapi_protobuf_size);
        /* The type that is asked for is none that newer clients can read in an answer. */
        if (http->openapi_protobuf)
            ina_http_respond(request, 200, "application/octet-stream", http->openapi_protobuf,
                             http->openapi_protobuf_size);
        else
            api_respond_status(request, kube_status_internal("out of memory"));
        return;
    }
    if (!http->openapi)
        http->openapi = schema_openapi(&http->openapi_size);
    if (http->openapi)
        ina_http_respond(request, 200, "application/json", http->openapi, http->openapi_size);
    else
        api_respond_status(request, kube_status_internal("out of memory"));
}

bool api_plain(ApiHttp *http, InaHttpRequest *request, const ApiUser *user)
{
    const char *path = ina_http_path(request);
    bool openapi = strcmp(path, "/openapi/v2") == 0;
    json_t *document = openapi ? NULL : discovery(http, path);

    if (!openapi && !document)
        return false;
    if (!reads(request)) {
        json_decref(document);
        api_respond_status(request, api_status_method());
    } else if (openapi) {
        respond_openapi(http, request);
    } else {
        api_respond_json(request, 200, document, api_is_pretty(request));
    }
    return true;
}

/* --- reviews ----------------------------------------------------------------------------------------------- */

#define AUTHORIZATION "/apis/authorization.k8s.io/v1/"
#define AUTHENTICATION "/apis/authentication.k8s.io/v1/"

static bool allowed(const ApiUser *user, const json_t *spec)
{
    const json_t *attributes = json_object_get(spec, "resourceAttributes");

    if (!attributes) /* paths: reading them is what everybody known may */
        return user->role == ROLE_ADMIN || strcmp(kube_string(spec, "nonResourceAttributes.verb"), "get") == 0;
    return auth_allows(user, kube_string(attributes, "verb"), kube_string(attributes, "group"),
                       kube_string(attributes, "resource"), kube_string(attributes, "subresource"),
                       kube_string(attributes, "namespace"), kube_string(attributes, "name"), NULL);
}

static json_t *user_info(const ApiUser *user)
{
    static const char *const groups[] = {[ROLE_NONE] = "inaetics:none",
                                         [ROLE_VIEWER] = "inaetics:viewer",
                                         [ROLE_COORDINATOR] = "inaetics:coordinator",
                                         [ROLE_NODE] = "system:nodes",
                                         [ROLE_ADMIN] = "system:masters"};
    return json_pack("{s:s, s:[s, s]}", "username", user->name, "groups", groups[user->role], "system:authenticated");
}

static json_t *token_review(const ApiHttp *http, const ApiUser *user, const json_t *spec)
{
    char header[8300];
    ApiUser found;

    if (user->role != ROLE_ADMIN && user->role != ROLE_NODE)
        return NULL;
    snprintf(header, sizeof header, "Bearer %s", kube_string(spec, "token"));
    if (authenticate(http->authenticator, NULL, header, &found) < 0)
        return json_pack("{s:{}, s:s}", "user", "error", "[invalid bearer token]");
    return json_pack("{s:b, s:o}", "authenticated", 1, "user", user_info(&found));
}

/* Protobuf says what is empty too. */
static void drop_empty(json_t *attributes)
{
    const char *key;
    void *next;
    json_t *value;

    json_object_foreach_safe(attributes, next, key, value)
    {
        if (json_is_string(value) && json_string_length(value) == 0)
            json_object_del(attributes, key);
    }
}

bool api_review(ApiHttp *http, InaHttpRequest *request, const ApiUser *user)
{
    const char *path = ina_http_path(request);
    bool rules = strcmp(path, AUTHORIZATION "selfsubjectrulesreviews") == 0;
    bool access = strcmp(path, AUTHORIZATION "selfsubjectaccessreviews") == 0;
    bool token = strcmp(path, AUTHENTICATION "tokenreviews") == 0;
    bool self = strcmp(path, AUTHENTICATION "selfsubjectreviews") == 0;
    size_t size;
    json_t *review = NULL, *status;
    InaError error = {0};

    if (!access && !rules && !token && !self)
        return false;
    if (strcmp(ina_http_method(request), "POST") != 0) {
        api_respond_status(request, api_status_method());
        return true;
    }
    const char *text = ina_http_body(request, &size);
    const char *type = ina_http_header(request, "Content-Type");
    int r = type && strcmp(type, KUBE_PROTOBUF) == 0 ? kube_protobuf_decode(text, size, &review, &error)
                                                     : json_parse(text, size, API_BODY_MAX, &review, &error);
    if (r < 0 || !json_is_object(review)) {
        json_decref(review);
        api_respond_status(request, kube_status_bad_request("the body is no JSON object: %s", error.message));
        return true;
    }
    const json_t *spec = json_object_get(review, "spec");
    const char *where = kube_string(spec, "namespace");
    if (rules && *where == '\0') {
        json_decref(review);
        api_respond_status(request, kube_status_bad_request("no namespace on request"));
        return true;
    }
    drop_empty(json_object_get(spec, "resourceAttributes"));
    if (access)
        status = json_pack("{s:b}", "allowed", allowed(user, spec));
    else if (rules)
        status = api_rules(user, where);
    else if (token)
        status = token_review(http, user, spec);
    else
        status = json_pack("{s:o}", "userInfo", user_info(user));
    if (!status) {
        json_decref(review);
        api_respond_status(request, kube_status_forbidden("authentication.k8s.io", "tokenreviews", "",
                                                          "tokens are reviewed for admins and nodes"));
        return true;
    }
    json_object_set_new(review, "status", status);
    kube_set(review, "metadata.creationTimestamp", json_null());
    api_respond_json(request, 201, review, api_is_pretty(request));
    return true;
}
