#include "small_api.h"

#include "base/cleanup.h"
#include "base/http_server.h"
#include "base/json.h"
#include "kube/patch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define WATCHES_MAX 32

typedef struct Watch {
    SmallApi *api;
    InaHttpStream *stream;
    char collection[160];
} Watch;

struct SmallApi {
    HttpServer *server;
    char url[64];
    json_t *collections; /* path: array of objects */
    Watch watches[WATCHES_MAX];
    int revision;
    unsigned refuse, requests;
    int refuse_with;
    uint64_t seed;
};

static json_t *collection_of(SmallApi *api, const char *path)
{
    json_t *list = json_object_get(api->collections, path);
    if (!list) {
        list = json_array();
        json_object_set_new(api->collections, path, list);
    }
    return list;
}

static size_t index_of(const json_t *list, const char *name)
{
    size_t i;
    const json_t *object;
    json_array_foreach(list, i, object) if (strcmp(kube_name(object), name) == 0) return i;
    return SIZE_MAX;
}

static void tell(SmallApi *api, const char *collection, const char *type, const json_t *object)
{
    AUTO_JSON json_t *event = json_pack("{s:s, s:O}", "type", type, "object", object);
    AUTO_FREE char *text = json_dumps(event, JSON_COMPACT);
    for (size_t i = 0; i < WATCHES_MAX; i++)
        if (api->watches[i].stream && strcmp(api->watches[i].collection, collection) == 0) {
            ina_http_stream_write(api->watches[i].stream, text, strlen(text));
            ina_http_stream_write(api->watches[i].stream, "\n", 1);
        }
}

static void respond(InaHttpRequest *request, int status, const json_t *body)
{
    AUTO_FREE char *text = json_dumps(body, JSON_COMPACT);
    ina_http_respond(request, status, "application/json", text, strlen(text));
}

static void refuse(InaHttpRequest *request, int status, const char *message)
{
    AUTO_JSON json_t *body = json_pack("{s:s, s:s, s:s, s:s, s:i}", "kind", "Status", "apiVersion", "v1", "status",
                                       "Failure", "message", message, "code", status);
    respond(request, status, body);
}

static void store(SmallApi *api, const char *collection, json_t *object)
{
    char version[16];
    json_t *list = collection_of(api, collection);
    size_t i = index_of(list, kube_name(object));
    snprintf(version, sizeof version, "%d", ++api->revision);
    kube_set(object, "metadata.resourceVersion", json_string(version));
    if (i == SIZE_MAX) {
        if (!kube_uid(object)[0]) {
            char uid[KUBE_UID_SIZE];
            kube_make_uid(uid);
            kube_set(object, "metadata.uid", json_string(uid));
        }
        json_array_append_new(list, object);
    } else
        json_array_set_new(list, i, object);
    tell(api, collection, i == SIZE_MAX ? "ADDED" : "MODIFIED", object);
}

static void closed(void *userdata)
{
    Watch *watch = userdata;
    watch->stream = NULL;
}

static void begin_watch(SmallApi *api, InaHttpRequest *request, const char *collection)
{
    size_t i = 0;
    while (i < WATCHES_MAX && api->watches[i].stream)
        i++;
    assert_true(i < WATCHES_MAX);
    const char *version = ina_http_query(request, "resourceVersion");
    if (version && atoi(version) < api->revision) { /* no history is kept */
        ina_http_respond_text(request, 200,
                              "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":410,\"reason\":\"Expired\","
                              "\"message\":\"too old\"}}\n");
        return;
    }
    api->watches[i].api = api;
    snprintf(api->watches[i].collection, sizeof api->watches[i].collection, "%s", collection);
    api->watches[i].stream = ina_http_respond_stream(request, 200, "application/json", NULL, closed, &api->watches[i]);
}

static void list_all(SmallApi *api, InaHttpRequest *request, const char *collection)
{
    char version[16];
    snprintf(version, sizeof version, "%d", api->revision);
    AUTO_JSON json_t *body = json_pack("{s:s, s:s, s:{s:s}, s:O}", "kind", "List", "apiVersion", "v1", "metadata",
                                       "resourceVersion", version, "items", collection_of(api, collection));
    respond(request, 200, body);
}

static json_t *body_of(InaHttpRequest *request)
{
    size_t size;
    const char *text = ina_http_body(request, &size);
    json_t *value = NULL;
    InaError error = {.message = ""};
    if (json_parse(text, size, 1 << 20, &value, &error) < 0)
        fail_msg("the reconciler sent no JSON: %s", error.message);
    return value;
}

static void create(SmallApi *api, InaHttpRequest *request, const char *collection)
{
    AUTO_JSON json_t *object = body_of(request);
    if (index_of(collection_of(api, collection), kube_name(object)) != SIZE_MAX) {
        refuse(request, 409, "it is there already");
        return;
    }
    store(api, collection, json_incref(object));
    respond(request, 201, object);
}

static void patch(SmallApi *api, InaHttpRequest *request, const char *collection, const char *name, bool status)
{
    json_t *list = collection_of(api, collection);
    size_t i = index_of(list, name);
    AUTO_JSON json_t *body = body_of(request);
    AUTO_JSON json_t *changed = NULL;
    if (i == SIZE_MAX) {
        refuse(request, 404, "there is no such object");
        return;
    }
    json_t *object = json_array_get(list, i);
    const char *version = kube_string(body, "metadata.resourceVersion");
    if (json_is_object(body) && strcmp(version, kube_string(object, "metadata.resourceVersion")) != 0) {
        refuse(request, 409, "the object has been modified");
        return;
    }
    InaError error = {.message = ""};
    int r =
        json_is_array(body) ? patch_json(object, body, &changed, &error) : patch_merge(object, body, &changed, &error);
    if (r < 0) {
        refuse(request, 422, error.message);
        return;
    }
    if (!status) { /* the status is a subresource */
        json_t *before = json_object_get(object, "status");
        if (before)
            json_object_set(changed, "status", before);
    }
    store(api, collection, json_incref(changed));
    respond(request, 200, changed);
}

void small_api_delete(SmallApi *api, const char *collection, const char *name)
{
    json_t *list = collection_of(api, collection);
    size_t i = index_of(list, name);
    assert_true(i != SIZE_MAX);
    AUTO_JSON json_t *object = json_incref(json_array_get(list, i));
    char version[16];
    snprintf(version, sizeof version, "%d", ++api->revision);
    kube_set(object, "metadata.resourceVersion", json_string(version));
    json_array_remove(list, i);
    tell(api, collection, "DELETED", object);
}

static bool is_refused(SmallApi *api, InaHttpRequest *request, const char *collection)
{
    bool event = strstr(collection, "/events") != NULL;
    api->requests += !event;
    api->seed = api->seed * UINT64_C(6364136223846793005) + 1;
    if (event || (api->seed >> 33) % 100 >= api->refuse)
        return false;
    refuse(request, api->refuse_with, "not now");
    return true;
}

/* /api/v1/namespaces/NS/PLURAL[/NAME[/status]] and /apis/GROUP/VERSION/namespaces/... */
static void handle(void *userdata, InaHttpRequest *request)
{
    SmallApi *api = userdata;
    const char *path = ina_http_path(request), *method = ina_http_method(request);
    unsigned parts = strncmp(path, "/apis/", 6) == 0 ? 6 : 5, seen = 0;
    size_t n = 0;
    while (path[n] && (path[n] != '/' || seen++ < parts))
        n++;
    AUTO_FREE char *collection = strndup(path, n), *rest = strdup(path[n] ? path + n + 1 : "");
    char *slash = strchr(rest, '/');
    bool status = slash && strcmp(slash, "/status") == 0;
    if (slash)
        *slash = '\0';
    if (strcmp(method, "GET") == 0) {
        if (ina_http_query(request, "watch"))
            begin_watch(api, request, collection);
        else
            list_all(api, request, collection);
    } else if (is_refused(api, request, collection))
        return;
    else if (strcmp(method, "POST") == 0)
        create(api, request, collection);
    else if (strcmp(method, "PATCH") == 0)
        patch(api, request, collection, rest, status);
    else {
        small_api_delete(api, collection, rest);
        refuse(request, 200, "gone");
    }
}

SmallApi *small_api_new(sd_event *event)
{
    SmallApi *api = calloc(1, sizeof *api);
    InaError error = {.message = ""};
    api->collections = json_object();
    api->revision = 100;
    api->seed = 1;
    if (http_server_new(event, NULL, &api->server, &error) < 0 ||
        http_server_handle(api->server, "/", handle, api, &error) < 0 ||
        http_server_listen(api->server, "127.0.0.1:0", &error) < 0)
        fail_msg("%s", error.message);
    snprintf(api->url, sizeof api->url, "http://%s", http_server_address(api->server, 0));
    return api;
}

SmallApi *small_api_free(SmallApi *api)
{
    http_server_free(api->server);
    json_decref(api->collections);
    free(api);
    return NULL;
}

const char *small_api_url(const SmallApi *api)
{
    return api->url;
}

const json_t *small_api_list(const SmallApi *api, const char *collection)
{
    return collection_of((SmallApi *)api, collection);
}

const json_t *small_api_find(const SmallApi *api, const char *collection, const char *name)
{
    const json_t *list = small_api_list(api, collection);
    size_t i = index_of(list, name);
    return i == SIZE_MAX ? NULL : json_array_get(list, i);
}

void small_api_put(SmallApi *api, const char *collection, json_t *object)
{
    store(api, collection, object);
}

void small_api_refuse(SmallApi *api, unsigned percent, int status)
{
    api->refuse = percent;
    api->refuse_with = status;
}

void small_api_cut(SmallApi *api)
{
    for (size_t i = 0; i < WATCHES_MAX; i++)
        if (api->watches[i].stream)
            ina_http_stream_close(TAKE_PTR(api->watches[i].stream));
}

unsigned small_api_watches(const SmallApi *api)
{
    unsigned n = 0;
    for (size_t i = 0; i < WATCHES_MAX; i++)
        n += api->watches[i].stream != NULL;
    return n;
}

unsigned small_api_requests(const SmallApi *api)
{
    return api->requests;
}
