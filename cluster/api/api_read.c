/* api_read.c - get and list. A list read in pages is a snapshot: the pages
 * show one state, as Kubernetes' do, because objects are shared trees and
 * keeping them costs only references. */
#include "api_internal.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define TOKEN_MAX 2048u

/* --- versions ------------------------------------------------------------------------------------------- */

/* NULL, or why this cannot be answered at the asked-for version. */
static json_t *check_version(const ApiCall *call)
{
    const char *text = call->resource_version;
    if (!text || !*text)
        return NULL;
    if (call->continue_ && *call->continue_)
        return kube_status_bad_request("specifying resource version is not allowed when using continue");
    char *end;
    errno = 0;
    unsigned long long wanted = strtoull(text, &end, 10);
    if (errno || *end || strspn(text, "0123456789") != strlen(text)) {
        AUTO_FREE char *quoted = kube_quote(text), *message = NULL;
        if (asprintf(&message, "resourceVersion: Invalid value: %s: strconv.ParseUint: parsing %s: invalid syntax",
                     quoted, quoted) < 0)
            return kube_status_internal("out of memory");
        return kube_status_failure(500, NULL, message);
    }
    int64_t current = store_revision(call->api->store);
    if (wanted <= (unsigned long long)current)
        return NULL;
    AUTO_FREE char *message = NULL;
    if (asprintf(&message, "Too large resource version: %s, current: %lld", text, (long long)current) < 0)
        return NULL;
    json_t *status = kube_status_timeout(message);
    kube_set(status, "details.causes",
             json_pack("[{s:s, s:s}]", "reason", "ResourceVersionTooLarge", "message", "Too large resource version"));
    kube_set(status, "details.retryAfterSeconds", json_integer(1));
    return status;
}

/* --- get ----------------------------------------------------------------------------------------------- */

static void get_metrics(ApiCall *call)
{
    const Api *api = call->api;
    AUTO_JSON json_t *found =
        api->metrics ? api->metrics(api->metrics_userdata, call->resource, call->namespace, call->name) : NULL;
    json_t *object = json_array_get(found, 0);
    if (object)
        api_answer(call, 200, json_incref(object));
    else
        api_fail(call, kube_status_not_found(call->resource->group, call->resource->plural, call->name));
}

void api_get(ApiCall *call)
{
    if (call->resource->computed) {
        get_metrics(call);
        return;
    }
    json_t *status = check_version(call);
    const json_t *object = store_get(call->api->store, call->resource->key, call->namespace, call->name);
    if (status)
        api_fail(call, status);
    else if (object)
        api_answer(call, 200, json_incref((json_t *)object));
    else
        api_fail(call, kube_status_not_found(call->resource->group, call->resource->plural, call->name));
}

/* --- selections ---------------------------------------------------------------------------------------- */

json_t *api_selection(const ApiCall *call, ApiSelection *ret)
{
    InaError error = {0};
    ApiSelection selection = {0};
    if ((call->label_selector && *call->label_selector &&
         selector_parse(call->label_selector, &selection.labels, &error) < 0) ||
        (call->field_selector && *call->field_selector &&
         field_selector_parse(call->field_selector, call->resource->fields, &selection.fields, &error) < 0)) {
        api_selection_clear(&selection);
        return kube_status_bad_request("%s", error.message);
    }
    *ret = selection;
    return NULL;
}

void api_selection_clear(ApiSelection *selection)
{
    selection->labels = selector_free(selection->labels);
    selection->fields = field_selector_free(selection->fields);
}

bool api_selected(const ApiSelection *selection, const json_t *object)
{
    return (!selection->labels || selector_matches(selection->labels, kube_labels(object))) &&
           (!selection->fields || field_selector_matches(selection->fields, object));
}

json_t *api_list_item(const json_t *object)
{
    json_t *item = json_copy((json_t *)object);
    json_object_del(item, "kind");
    json_object_del(item, "apiVersion");
    return item;
}

/* --- snapshots ------------------------------------------------------------------------------------------ */

struct ApiSnapshot {
    ApiSnapshot *next;
    const Resource *resource;
    char id[33];
    int64_t revision;
    json_t *objects;
    bool counted;  /* nothing was selected: remainingItemCount is told */
    uint64_t used; /* CLOCK_MONOTONIC us */
};

static void snapshot_free(ApiSnapshot *snapshot)
{
    json_decref(snapshot->objects);
    free(snapshot);
}

void api_snapshots_free(Api *api)
{
    while (api->snapshots) {
        ApiSnapshot *next = api->snapshots->next;
        snapshot_free(api->snapshots);
        api->snapshots = next;
    }
}

static uint64_t monotonic(const Api *api)
{
    uint64_t us = 0;
    sd_event_now(api->event, CLOCK_MONOTONIC, &us);
    return us;
}

/* Drops what nobody asked for in a while, and the oldest when there are too many. */
static void snapshots_trim(Api *api)
{
    uint64_t now = monotonic(api);
    size_t count = 0;
    for (ApiSnapshot **at = &api->snapshots; *at;) {
        ApiSnapshot *snapshot = *at;
        if (++count > API_SNAPSHOTS_MAX || now - snapshot->used > API_SNAPSHOT_LIFE) {
            *at = snapshot->next;
            snapshot_free(snapshot);
        } else {
            at = &snapshot->next;
        }
    }
}

/* Takes objects. */
static ApiSnapshot *snapshot_new(Api *api, const Resource *resource, json_t *objects, bool counted)
{
    ApiSnapshot *snapshot = calloc(1, sizeof *snapshot);
    if (!snapshot) {
        json_decref(objects);
        return NULL;
    }
    uint8_t bytes[16];
    randombytes_buf(bytes, sizeof bytes);
    sodium_bin2hex(snapshot->id, sizeof snapshot->id, bytes, sizeof bytes);
    snapshot->resource = resource;
    snapshot->objects = objects;
    snapshot->counted = counted;
    snapshot->revision = store_revision(api->store);
    snapshot->used = monotonic(api);
    snapshot->next = api->snapshots;
    api->snapshots = snapshot;
    snapshots_trim(api);
    return snapshot;
}

static ApiSnapshot *snapshot_find(Api *api, const char *id, const Resource *resource)
{
    snapshots_trim(api);
    for (ApiSnapshot *snapshot = api->snapshots; snapshot; snapshot = snapshot->next)
        if (strcmp(snapshot->id, id) == 0 && snapshot->resource == resource) {
            snapshot->used = monotonic(api);
            return snapshot;
        }
    return NULL;
}

/* --- continue: where the next page begins ------------------------------------------------------------------ */

/* Opaque to clients: JSON in URL-safe base64. id "": from whatever is there behind the last object. malloc'ed. */
static char *token_write(const char *id, size_t at, int64_t revision, const json_t *last)
{
    AUTO_JSON json_t *token =
        json_pack("{s:s, s:I, s:s, s:I, s:s, s:s}", "v", "meta.k8s.io/v1", "rv", (json_int_t)revision, "id", id, "at",
                  (json_int_t)at, "namespace", kube_namespace(last), "name", kube_name(last));
    AUTO_FREE char *text = json_dumps(token, JSON_COMPACT);
    if (!text)
        return NULL;
    size_t size = sodium_base64_encoded_len(strlen(text), sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    char *encoded = malloc(size);
    if (encoded)
        sodium_bin2base64(encoded, size, (const uint8_t *)text, strlen(text), sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    return encoded;
}

static json_t *token_read(const char *text)
{
    uint8_t bytes[TOKEN_MAX];
    size_t size;
    if (sodium_base642bin(bytes, sizeof bytes, text, strlen(text), NULL, &size, NULL,
                          sodium_base64_VARIANT_URLSAFE_NO_PADDING) != 0)
        return NULL;
    json_t *token = json_loadb((const char *)bytes, size, JSON_REJECT_DUPLICATES, NULL);
    if (json_is_object(token) && strcmp(kube_string(token, "v"), "meta.k8s.io/v1") == 0)
        return token;
    json_decref(token);
    return NULL;
}

/* --- list --------------------------------------------------------------------------------------------------- */

typedef struct Collect {
    const ApiSelection *selection;
    json_t *objects;
    size_t maximum; /* 0: all */
} Collect;

static bool collect(void *userdata, const json_t *object)
{
    Collect *into = userdata;
    if (api_selected(into->selection, object))
        json_array_append(into->objects, (json_t *)object);
    return into->maximum == 0 || json_array_size(into->objects) < into->maximum;
}

/* All that match, in the order of keys; from behind `after` on. A new array of the shared objects. */
static json_t *gather(const ApiCall *call, const ApiSelection *selection, const json_t *after, size_t maximum)
{
    const Store *store = call->api->store;
    const char *key = call->resource->key, *namespace = *call->namespace ? call->namespace : NULL;
    Collect into = {.selection = selection, .objects = json_array(), .maximum = maximum};
    if (call->resource->computed) {
        AUTO_JSON json_t *all =
            call->api->metrics ? call->api->metrics(call->api->metrics_userdata, call->resource, call->namespace, "")
                               : NULL;
        size_t i;
        json_t *object;
        json_array_foreach(all, i, object) collect(&into, object);
        return into.objects;
    }
    const char *name = selection->fields ? field_selector_required(selection->fields, "metadata.name") : NULL;
    if (after) {
        store_each_after(store, key, namespace, kube_string(after, "namespace"), kube_string(after, "name"), collect,
                         &into);
    } else if (name && (namespace || !call->resource->namespaced)) {
        const json_t *object = store_get(store, key, call->namespace, name);
        if (object)
            collect(&into, object);
    } else {
        store_each(store, key, namespace, collect, &into);
    }
    return into.objects;
}

/* The list of objects[at .. at + count]. The items are the store's own trees, whose text is known: whoever writes the
 * list leaves their kind and apiVersion out. */
static json_t *make_list(const Resource *resource, const json_t *objects, size_t at, size_t count, int64_t revision,
                         const char *continue_, int64_t remaining)
{
    char version[RESOURCE_VERSION_SIZE], kind[128], text[24];
    resource_api_version(resource, version);
    snprintf(kind, sizeof kind, "%sList", resource->kind);
    snprintf(text, sizeof text, "%lld", (long long)revision);
    json_t *metadata = json_pack("{s:s}", "resourceVersion", text), *items = json_array();
    if (continue_)
        json_object_set_new(metadata, "continue", json_string(continue_));
    if (continue_ && remaining >= 0)
        json_object_set_new(metadata, "remainingItemCount", json_integer(remaining));
    for (size_t i = at; i < at + count; i++)
        json_array_append(items, json_array_get(objects, i));
    return json_pack("{s:s, s:s, s:o, s:o}", "kind", kind, "apiVersion", version, "metadata", metadata, "items", items);
}

static void answer_page(ApiCall *call, const ApiSnapshot *snapshot, size_t at)
{
    size_t total = json_array_size(snapshot->objects), rest = total - at;
    size_t count = call->limit > 0 && (size_t)call->limit < rest ? (size_t)call->limit : rest;
    AUTO_FREE char *next = NULL;
    if (count < rest)
        next = token_write(snapshot->id, at + count, snapshot->revision,
                           json_array_get(snapshot->objects, at + count - 1));
    api_answer(call, 200,
               make_list(call->resource, snapshot->objects, at, count, snapshot->revision, next,
                         snapshot->counted ? (int64_t)(rest - count) : -1));
}

/* The rest of a list whose snapshot is gone, from what is there now: only when the client asks for it knowingly. */
static void answer_rest(ApiCall *call, const ApiSelection *selection, const json_t *token)
{
    AUTO_JSON json_t *objects = gather(call, selection, token, 0);
    if (call->limit > 0 && json_array_size(objects) > (size_t)call->limit) {
        ApiSnapshot *snapshot = snapshot_new(call->api, call->resource, TAKE_PTR(objects), false);
        if (snapshot)
            answer_page(call, snapshot, 0);
        else
            api_fail(call, NULL);
        return;
    }
    api_answer(
        call, 200,
        make_list(call->resource, objects, 0, json_array_size(objects), store_revision(call->api->store), NULL, -1));
}

static void answer_expired(ApiCall *call, const json_t *token)
{
    json_t *status = kube_status_expired(
        "The provided continue parameter is too old to display a consistent list result. You can start a new list "
        "without the continue parameter, or use the continue token in this response to retrieve the remainder of the "
        "results. Continuing with the provided token results in an inconsistent list - objects that were created, "
        "modified, or deleted between the time the first chunk was returned and now may show up in the list.");
    AUTO_JSON json_t *last = json_pack("{s:{s:s, s:s}}", "metadata", "namespace", kube_string(token, "namespace"),
                                       "name", kube_string(token, "name"));
    AUTO_FREE char *next = token_write("", 0, -1, last);
    if (next)
        kube_set(status, "metadata.continue", json_string(next));
    api_fail(call, status);
}

static void list_continue(ApiCall *call, const ApiSelection *selection)
{
    AUTO_JSON json_t *token = token_read(call->continue_);
    if (!token) {
        api_fail(call,
                 kube_status_bad_request(
                     "invalid continue token: continue key is not valid: it is what metadata.continue of the page "
                     "before says, unchanged"));
        return;
    }
    if (kube_integer(token, "rv", 0) == -1) {
        answer_rest(call, selection, token);
        return;
    }
    const ApiSnapshot *snapshot = snapshot_find(call->api, kube_string(token, "id"), call->resource);
    int64_t at = kube_integer(token, "at", -1);
    if (!snapshot)
        answer_expired(call, token);
    else if (at < 0 || (uint64_t)at > json_array_size(snapshot->objects))
        api_fail(call, kube_status_bad_request(
                           "invalid continue token: continue key is not valid: it lies outside of its list"));
    else
        answer_page(call, snapshot, (size_t)at);
}

void api_list(ApiCall *call)
{
    ApiSelection selection = {0};
    json_t *status = check_version(call);
    if (!status)
        status = api_selection(call, &selection);
    if (status) {
        api_fail(call, status);
        return;
    }
    if (call->continue_ && *call->continue_) {
        list_continue(call, &selection);
    } else {
        AUTO_JSON json_t *objects = gather(call, &selection, NULL, 0);
        size_t count = json_array_size(objects);
        ApiSnapshot *snapshot = NULL;
        if (call->limit > 0 && count > (size_t)call->limit)
            snapshot =
                snapshot_new(call->api, call->resource, TAKE_PTR(objects), !selection.labels && !selection.fields);
        if (snapshot)
            answer_page(call, snapshot, 0);
        else
            api_answer(call, 200,
                       make_list(call->resource, objects, 0, count, store_revision(call->api->store), NULL, -1));
    }
    api_selection_clear(&selection);
}
