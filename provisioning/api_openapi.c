/* api_openapi.c - the OpenAPI 3 document, written from the table of routes. */
#include "api.h"

#include <string.h>

static json_t *text_schema(const char *type)
{
    return json_pack("{s:{s:s}}", "schema", "type", type);
}

/* Parameters of the path, then of the query. */
static json_t *parameters(const ApiRoute *route)
{
    json_t *list = json_array();
    for (const char *at = route->path; (at = strchr(at, '{')); at++) {
        size_t length = strcspn(at + 1, "}");
        json_array_append_new(list, json_pack("{s:s%, s:s, s:b, s:{s:s}}", "name", at + 1, length, "in", "path",
                                              "required", 1, "schema", "type", "string"));
    }
    for (const char *at = route->query; at && *at;) {
        size_t length = strcspn(at, ",!");
        bool required = at[length] == '!';
        json_array_append_new(list, json_pack("{s:s%, s:s, s:b, s:{s:s}}", "name", at, length, "in", "query",
                                              "required", required, "schema", "type", "string"));
        at += length + required;
        at += *at == ',';
    }
    return list;
}

static json_t *request_body(const ApiRoute *route)
{
    bool bytes = route->body == API_BYTES;
    json_t *schema =
        bytes ? json_pack("{s:{s:s, s:s}}", "schema", "type", "string", "format", "binary") : text_schema("object");
    return json_pack("{s:b, s:{s:o}}", "required", route->body != API_OPTIONAL_JSON, "content",
                     bytes ? "application/octet-stream" : "application/json", schema);
}

/* "200 OBJECT,409" */
static json_t *responses(const ApiRoute *route)
{
    json_t *all = json_object();
    for (const char *at = route->answers; *at;) {
        char status[4] = "";
        size_t length = strcspn(at, ",");
        snprintf(status, sizeof(status), "%.3s", at);
        json_object_set_new(all, status,
                            length > 4 ? json_pack("{s:s%}", "description", at + 4, length - 4)
                                       : json_pack("{s:s}", "description", status[0] == '2' ? "done" : "refused"));
        at += length + (at[length] == ',');
    }
    return all;
}

static json_t *security(const ApiRoute *route)
{
    if (route->permission == API_PUBLIC)
        return json_array();
    if (route->permission == API_METRICS)
        return json_pack("[{s:[]}, {s:[]}, {s:[]}, {s:[]}]", "clusterToken", "session", "cookie", "basic");
    return route->permission == API_TARGET ? json_pack("[{s:[]}]", "targetToken")
                                           : json_pack("[{s:[]}, {s:[]}, {s:[]}]", "session", "cookie", "basic");
}

static const char *permission_text(const ApiRoute *route)
{
    switch (route->permission) {
    case API_PUBLIC:
        return "none";
    case API_ACCOUNT:
        return "any account; more by what is asked for";
    case API_TARGET:
        return "the target itself";
    case API_METRICS:
        return permission_name(PERMIT_VIEW_TARGET);
    case API_OWN:
        return "the cluster's token, or the target's own";
    default:
        return permission_name((Permission)route->permission);
    }
}

static json_t *operation(const ApiRoute *route)
{
    json_t *value =
        json_pack("{s:s, s:s, s:o, s:o, s:o}", "summary", route->summary, "x-permission", permission_text(route),
                  "parameters", parameters(route), "responses", responses(route), "security", security(route));
    if (route->body != API_NO_BODY)
        json_object_set_new(value, "requestBody", request_body(route));
    return value;
}

static void lower(const char *text, char *ret, size_t size)
{
    size_t i = 0;
    for (; text[i] && i + 1 < size; i++)
        ret[i] = (char)(text[i] >= 'A' && text[i] <= 'Z' ? text[i] + 32 : text[i]);
    ret[i] = '\0';
}

json_t *api_openapi(const InaHttpRequest *request)
{
    char cookie[64];
    json_t *paths = json_object();
    const ApiRoute *route;
    for (size_t i = 0; (route = api_route_at(i)); i++) {
        char method[8];
        json_t *path = json_object_get(paths, route->path);
        if (!path) {
            path = json_object();
            json_object_set_new(paths, route->path, path);
        }
        lower(route->method, method, sizeof(method));
        json_object_set_new(path, method, operation(route));
    }
    http_cookie_name(request, SESSION_COOKIE, cookie, sizeof(cookie));
    return json_pack("{s:s, s:{s:s, s:s, s:s}, s:o, s:{s:{s:{s:s, s:s}, s:{s:s, s:s, s:s}, s:{s:s, s:s}, s:{s:s, s:s}, "
                     "s:{s:s, s:s}}}}",
                     "openapi", "3.0.3", "info", "title", "Inaetics provisioning", "version", INAETICS_VERSION,
                     "description", "What software which agent is to have, and its way there.", "paths", paths,
                     "components", "securitySchemes", "session", "type", "http", "scheme", "bearer", "cookie", "type",
                     "apiKey", "in", "cookie", "name", cookie, "basic", "type", "http", "scheme", "basic",
                     "targetToken", "type", "http", "scheme", "bearer", "clusterToken", "type", "http", "scheme",
                     "bearer");
}
