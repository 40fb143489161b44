/* fake_store.c - a map of objects, kept in the order of keys. */
#include "fake_store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OBJECTS_MAX 4096

typedef struct Entry {
    char *resource, *namespace, *name;
    json_t *object;
} Entry;

typedef struct Pending {
    struct Pending *next;
    Store *store;
    StoreDone done;
    void *userdata;
    int code;
    json_t *object;
} Pending;

struct Store {
    sd_event *event;
    sd_event_source *deliver;
    Entry entries[OBJECTS_MAX];
    size_t count, writes;
    int64_t revision;
    unsigned races, failures;
    int failure;
    Pending *pending, **pending_end;
};

Store *fake_store_new(sd_event *event)
{
    Store *store = calloc(1, sizeof *store);
    store->event = sd_event_ref(event);
    store->revision = 100;
    store->pending_end = &store->pending;
    return store;
}

static void entry_clear(Entry *entry)
{
    free(entry->resource);
    free(entry->namespace);
    free(entry->name);
    json_decref(entry->object);
}

Store *store_free(Store *store)
{
    if (!store)
        return NULL;
    for (size_t i = 0; i < store->count; i++)
        entry_clear(&store->entries[i]);
    while (store->pending) {
        Pending *pending = store->pending;
        store->pending = pending->next;
        if (pending->done)
            pending->done(pending->userdata, &(StoreResult){.code = ECANCELED, .message = "the store ends"});
        json_decref(pending->object);
        free(pending);
    }
    sd_event_source_disable_unref(store->deliver);
    sd_event_unref(store->event);
    free(store);
    return NULL;
}

bool store_ready(const Store *store)
{
    return true;
}

int64_t store_revision(const Store *store)
{
    return store->revision;
}

static int compare(const Entry *entry, const char *resource, const char *namespace, const char *name)
{
    int order = strcmp(entry->resource, resource);
    if (order == 0)
        order = strcmp(entry->namespace, namespace);
    return order ? order : strcmp(entry->name, name);
}

/* The place of the key, or where it would be. */
static size_t place(const Store *store, const char *resource, const char *namespace, const char *name)
{
    size_t i = 0;
    while (i < store->count && compare(&store->entries[i], resource, namespace, name) < 0)
        i++;
    return i;
}

static Entry *find(const Store *store, const char *resource, const char *namespace, const char *name)
{
    size_t i = place(store, resource, namespace, name);
    return i < store->count && compare(&store->entries[i], resource, namespace, name) == 0 ? (Entry *)&store->entries[i]
                                                                                           : NULL;
}

const json_t *store_get(const Store *store, const char *resource, const char *namespace, const char *name)
{
    Entry *entry = find(store, resource, namespace ? namespace : "", name);
    return entry ? entry->object : NULL;
}

void store_each_after(const Store *store, const char *resource, const char *namespace, const char *after_namespace,
                      const char *after_name, bool (*each)(void *userdata, const json_t *object), void *userdata)
{
    for (size_t i = 0; i < store->count; i++) {
        const Entry *entry = &store->entries[i];
        if (strcmp(entry->resource, resource) != 0 || (namespace && strcmp(entry->namespace, namespace) != 0) ||
            (after_name && compare(entry, resource, after_namespace, after_name) <= 0))
            continue;
        if (!each(userdata, entry->object))
            return;
    }
}

void store_each(const Store *store, const char *resource, const char *namespace,
                bool (*each)(void *userdata, const json_t *object), void *userdata)
{
    store_each_after(store, resource, namespace, NULL, NULL, each, userdata);
}

/* --- writes --------------------------------------------------------------------------------------------- */

static int on_deliver(sd_event_source *source, void *userdata)
{
    Store *store = userdata;
    store->deliver = sd_event_source_disable_unref(store->deliver);
    Pending *pending = store->pending;
    store->pending = NULL;
    store->pending_end = &store->pending;
    while (pending) {
        Pending *next = pending->next;
        if (pending->done)
            pending->done(pending->userdata,
                          &(StoreResult){.code = pending->code, .message = "", .object = pending->object});
        json_decref(pending->object);
        free(pending);
        pending = next;
    }
    return 0;
}

static int answer(Store *store, int code, const json_t *object, StoreDone done, void *userdata)
{
    Pending *pending = calloc(1, sizeof *pending);
    *pending = (Pending){
        .store = store, .done = done, .userdata = userdata, .code = code, .object = json_incref((json_t *)object)};
    *store->pending_end = pending;
    store->pending_end = &pending->next;
    if (!store->deliver)
        sd_event_add_defer(store->event, &store->deliver, on_deliver, store);
    store->writes += code == 0;
    return 0;
}

static json_t *stamped(Store *store, const json_t *object)
{
    json_t *copy = json_deep_copy(object);
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)++store->revision);
    json_object_set_new(json_object_get(copy, "metadata"), "resourceVersion", json_string(text));
    return copy;
}

void fake_store_put(Store *store, const char *resource, json_t *object)
{
    const char *namespace = kube_namespace(object), *name = kube_name(object);
    Entry *entry = find(store, resource, namespace, name);
    if (!entry) {
        size_t i = place(store, resource, namespace, name);
        memmove(&store->entries[i + 1], &store->entries[i], (store->count++ - i) * sizeof *entry);
        entry = &store->entries[i];
        *entry = (Entry){.resource = strdup(resource), .namespace = strdup(namespace), .name = strdup(name)};
    }
    json_decref(entry->object);
    entry->object = stamped(store, object);
    json_decref(object);
}

void fake_store_race(Store *store, unsigned times)
{
    store->races = times;
}

void fake_store_fail(Store *store, int code, unsigned times)
{
    store->failure = code;
    store->failures = times;
}

size_t fake_store_writes(const Store *store)
{
    return store->writes;
}

static void race(Store *store, const char *resource, Entry *entry)
{
    if (!entry || store->races == 0)
        return;
    char text[24];
    snprintf(text, sizeof text, "%u", store->races--);
    json_t *other = json_deep_copy(entry->object);
    kube_set(other, "metadata.annotations.race", json_string(text));
    fake_store_put(store, resource, other);
}

static bool fails(Store *store)
{
    if (store->failures == 0)
        return false;
    store->failures--;
    return true;
}

int store_create(Store *store, const char *resource, const json_t *object, StoreDone done, void *userdata)
{
    if (fails(store))
        return answer(store, store->failure, NULL, done, userdata);
    if (find(store, resource, kube_namespace(object), kube_name(object)))
        return answer(store, EEXIST, NULL, done, userdata);
    fake_store_put(store, resource, json_deep_copy(object));
    return answer(store, 0, store_get(store, resource, kube_namespace(object), kube_name(object)), done, userdata);
}

int store_update(Store *store, const char *resource, const json_t *object, int64_t revision, StoreDone done,
                 void *userdata)
{
    if (fails(store))
        return answer(store, store->failure, NULL, done, userdata);
    Entry *entry = find(store, resource, kube_namespace(object), kube_name(object));
    race(store, resource, entry);
    if (!entry)
        return answer(store, ENOENT, NULL, done, userdata);
    if (kube_revision(entry->object) != revision)
        return answer(store, ESTALE, NULL, done, userdata);
    fake_store_put(store, resource, json_deep_copy(object));
    return answer(store, 0, entry->object, done, userdata);
}

int store_delete(Store *store, const char *resource, const char *namespace, const char *name, int64_t revision,
                 StoreDone done, void *userdata)
{
    if (fails(store))
        return answer(store, store->failure, NULL, done, userdata);
    Entry *entry = find(store, resource, namespace, name);
    race(store, resource, entry);
    if (!entry)
        return answer(store, ENOENT, NULL, done, userdata);
    if (kube_revision(entry->object) != revision)
        return answer(store, ESTALE, NULL, done, userdata);
    answer(store, 0, entry->object, done, userdata);
    size_t i = (size_t)(entry - store->entries);
    entry_clear(entry);
    memmove(entry, entry + 1, (--store->count - i) * sizeof *entry);
    store->revision++;
    return 0;
}
