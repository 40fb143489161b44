/* store.c - see store.h: the life of the store, and reading. */
#include "store_internal.h"

#include "base/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PATH_SIZE 512u

uint64_t store_now(void)
{
    return steady_ns();
}

int store_new(sd_event *event, Etcd *etcd, void (*ready)(void *userdata), void *userdata, Store **ret, InaError *error)
{
    Store *store = calloc(1, sizeof *store);

    if (!store)
        return ina_error_errno(error, ENOMEM, "store");
    store->event = sd_event_ref(event);
    store->etcd = etcd;
    store->on_ready = ready;
    store->userdata = userdata;
    store->collections = map_new();
    store->entries = map_new();
    int r =
        store->collections && store->entries ? store_etcd_start(store, error) : ina_error_errno(error, ENOMEM, "store");
    if (r < 0) {
        store_free(store);
        return r;
    }
    *ret = store;
    return 0;
}

Store *store_free(Store *store)
{
    if (!store)
        return NULL;
    store_etcd_stop(store);
    store_writes_clear(store);
    store_watches_clear(store);
    store_cache_clear(store);
    sd_event_source_disable_unref(store->pump);
    sd_event_unref(store->event);
    free(store);
    return NULL;
}

bool store_ready(const Store *store)
{
    return store->ready;
}

bool store_connected(const Store *store)
{
    return store->state == STORE_WATCHING && store->begun && !store->failed;
}

bool store_answers(const Store *store)
{
    return store_connected(store) && (!store->beat_begun || store_now() - store->beat_begun <= STORE_SILENCE);
}

uint64_t store_healthy_since(const Store *store)
{
    return store->healthy_since;
}

int64_t store_revision(const Store *store)
{
    return store->revision;
}

int64_t store_settled(const Store *store)
{
    return store->pump || !store->whole ? 0 : store->revision;
}

int64_t store_oldest_revision(const Store *store)
{
    return store->oldest;
}

/* --- reading ---------------------------------------------------------------------------------- */

static bool make_path(char path[PATH_SIZE], const char *namespace, const char *name)
{
    bool inside = namespace && *namespace;
    int length = snprintf(path, PATH_SIZE, "%s%s%s", inside ? namespace : "", inside ? "/" : "", name);

    return length >= 0 && (size_t)length < PATH_SIZE;
}

const json_t *store_get(const Store *store, const char *resource, const char *namespace, const char *name)
{
    const StoreCollection *collection = map_get(store->collections, resource);
    char path[PATH_SIZE];
    bool found = false;

    if (!collection || !make_path(path, namespace, name))
        return NULL;
    size_t position = store_position(collection, path, &found);
    return found ? collection->entries[position]->item->object : NULL;
}

size_t store_count(const Store *store, const char *resource)
{
    const StoreCollection *collection = map_get(store->collections, resource);

    return collection ? collection->count : 0;
}

static void each(const StoreCollection *collection, size_t position, const char *namespace,
                 bool (*handle)(void *userdata, const json_t *object), void *userdata)
{
    size_t length = namespace ? strlen(namespace) : 0;

    for (; position < collection->count; position++) {
        const StoreEntry *entry = collection->entries[position];
        if (length > 0 && (strncmp(entry->path, namespace, length) != 0 || entry->path[length] != '/'))
            return;
        if (!handle(userdata, entry->item->object))
            return;
    }
}

void store_each(const Store *store, const char *resource, const char *namespace,
                bool (*handle)(void *userdata, const json_t *object), void *userdata)
{
    const StoreCollection *collection = map_get(store->collections, resource);
    char path[PATH_SIZE] = "";
    bool found;

    if (!collection || (namespace && *namespace && !make_path(path, namespace, "")))
        return;
    each(collection, store_position(collection, path, &found), namespace, handle, userdata);
}

void store_each_after(const Store *store, const char *resource, const char *namespace, const char *after_namespace,
                      const char *after_name, bool (*handle)(void *userdata, const json_t *object), void *userdata)
{
    const StoreCollection *collection = map_get(store->collections, resource);
    char path[PATH_SIZE], start[PATH_SIZE] = "";
    bool found;

    if (!collection || !make_path(path, after_namespace, after_name) ||
        (namespace && *namespace && !make_path(start, namespace, "")))
        return;
    /* One that begins before the namespace would end at once. */
    bool behind = strcmp(path, start) >= 0;
    size_t position = store_position(collection, behind ? path : start, &found);
    each(collection, position + (behind && found), namespace, handle, userdata);
}
