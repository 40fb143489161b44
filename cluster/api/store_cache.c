/* store_cache.c - versions of objects, collections in the order of keys, and
 * the history of changes. */
#include "store_internal.h"

#include "base/cleanup.h"
#include "base/json.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define RECORDS_FIRST 256u

/* --- versions ------------------------------------------------------------------------------- */

static StoreItem *item_ref(StoreItem *item)
{
    item->references++;
    return item;
}

static StoreItem *item_unref(StoreItem *item)
{
    if (!item || --item->references > 0)
        return NULL;
    json_decref(item->object);
    free(item->text);
    free(item);
    return NULL;
}

static int set_revision(json_t *object, int64_t revision)
{
    char text[24];

    snprintf(text, sizeof text, "%" PRId64, revision);
    return json_object_set_new(json_object_get(object, "metadata"), "resourceVersion", json_string(text));
}

/* Takes `object`. */
static StoreItem *item_new(json_t *object, int64_t revision, size_t weight)
{
    StoreItem *item = calloc(1, sizeof *item);

    if (!item || set_revision(object, revision) < 0) {
        free(item);
        json_decref(object);
        return NULL;
    }
    *item = (StoreItem){.references = 1, .revision = revision, .object = object, .weight = weight};
    return item;
}

/* As it last was, with the revision of its end. */
static StoreItem *item_ended(const StoreItem *item, int64_t revision)
{
    json_t *object = json_copy(item->object);
    json_t *metadata = json_copy(json_object_get(item->object, "metadata"));

    if (!object || !metadata || json_object_set_new(object, "metadata", metadata) < 0) {
        json_decref(object);
        return NULL;
    }
    return item_new(object, revision, item->weight);
}

static int append_member(const char *key, const json_t *value, Buffer *text)
{
    char *dump = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);

    if (!dump)
        return -ENOMEM;
    /* Names of members at the top are those of the schema: nothing in them needs an escape. */
    buffer_print(text, "\"%s\":", key);
    buffer_append(text, dump, strlen(dump));
    free(dump);
    return 0;
}

static StoreText item_text(StoreItem *item)
{
    static const char *const first[] = {"kind", "apiVersion"};
    Buffer text = {0};
    const char *key;
    json_t *value;
    bool comma = false, failed = false;

    if (item->text)
        return (StoreText){item->text, item->size, item->head};
    buffer_print(&text, "{");
    for (size_t i = 0; i < 2; i++)
        if ((value = json_object_get(item->object, first[i]))) {
            failed |= append_member(first[i], value, &text) < 0;
            buffer_print(&text, ",");
        }
    size_t head = text.size;
    json_object_foreach(item->object, key, value)
    {
        if (strcmp(key, "kind") == 0 || strcmp(key, "apiVersion") == 0)
            continue;
        if (comma)
            buffer_print(&text, ",");
        comma = true;
        failed |= append_member(key, value, &text) < 0;
    }
    buffer_print(&text, "}");
    if (failed || text.failed) {
        buffer_free(&text);
        return (StoreText){0};
    }
    item->text = realloc(text.data, text.size + 1);
    if (!item->text)
        item->text = text.data;
    item->size = text.size;
    item->head = head;
    return (StoreText){item->text, item->size, item->head};
}

StoreText store_event_text(const StoreEvent *event)
{
    return item_text(event->item);
}

/* --- collections ---------------------------------------------------------------------------- */

StoreCollection *store_collection(Store *store, const char *resource, bool make)
{
    StoreCollection *collection = map_get(store->collections, resource);

    if (collection || !make)
        return collection;
    collection = calloc(1, sizeof *collection);
    if (collection)
        collection->resource = strdup(resource);
    if (!collection || !collection->resource || map_set(store->collections, resource, collection) < 0) {
        if (collection)
            free(collection->resource);
        free(collection);
        return NULL;
    }
    return collection;
}

size_t store_position(const StoreCollection *collection, const char *path, bool *ret_found)
{
    size_t low = 0, high = collection->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(path, collection->entries[middle]->path);
        if (order == 0) {
            *ret_found = true;
            return middle;
        }
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    *ret_found = false;
    return low;
}

/* "NAMESPACE/NAME" of an object, for each item of each list. */
static bool object_path(const json_t *object, char *ret, size_t size)
{
    const char *namespace = kube_namespace(object), *name = kube_name(object);
    size_t inner = strlen(namespace), length = strlen(name);

    if (inner + length + 2 > size)
        return false;
    memcpy(ret, namespace, inner);
    if (inner > 0)
        ret[inner++] = '/';
    memcpy(ret + inner, name, length + 1);
    return true;
}

StoreText store_object_text(const Store *store, const char *resource, const json_t *object)
{
    StoreCollection *collection = map_get(store->collections, resource);
    char path[512];
    bool found = false;

    if (!collection || !object_path(object, path, sizeof path))
        return (StoreText){0};
    size_t position = store_position(collection, path, &found);
    StoreItem *item = found ? collection->entries[position]->item : NULL;
    return item && item->object == object ? item_text(item) : (StoreText){0};
}

static StoreEntry *entry_free(StoreEntry *entry)
{
    if (entry)
        item_unref(entry->item);
    free(entry);
    return NULL;
}

/* Key: PREFIX RESOURCE/[NAMESPACE/]NAME, where the object says its namespace and name. */
static int split_key(const char *key, const json_t *object, size_t *ret_resource, size_t *ret_path)
{
    const char *namespace = kube_namespace(object), *name = kube_name(object);
    size_t length = strlen(key), prefix = strlen(STORE_PREFIX);
    size_t path = strlen(name) + (*namespace ? strlen(namespace) + 1 : 0);

    if (*name == '\0' || strncmp(key, STORE_PREFIX, prefix) != 0 || length < prefix + 2 + path ||
        key[length - path - 1] != '/' || strcmp(key + length - strlen(name), name) != 0 ||
        strncmp(key + length - path, namespace, strlen(namespace)) != 0)
        return -EINVAL;
    *ret_path = length - path;
    *ret_resource = length - path - 1 - prefix;
    return 0;
}

static int entry_new(Store *store, const char *key, const json_t *object, StoreEntry **ret)
{
    size_t length = strlen(key), resource, path;
    bool found;

    int r = split_key(key, object, &resource, &path);
    if (r < 0)
        return r;
    char *name = strndup(key + strlen(STORE_PREFIX), resource);
    StoreCollection *collection = name ? store_collection(store, name, true) : NULL;
    free(name);
    StoreEntry *entry = collection ? calloc(1, sizeof *entry + length + 1) : NULL;
    if (!entry)
        return -ENOMEM;
    memcpy(entry->key, key, length + 1);
    entry->path = entry->key + path;
    entry->collection = collection;
    if (collection->count == collection->capacity) {
        size_t capacity = collection->capacity ? 2 * collection->capacity : 16;
        StoreEntry **entries = realloc(collection->entries, capacity * sizeof *entries);
        if (!entries) {
            entry_free(entry);
            return -ENOMEM;
        }
        collection->entries = entries;
        collection->capacity = capacity;
    }
    if (map_set(store->entries, key, entry) < 0) {
        entry_free(entry);
        return -ENOMEM;
    }
    size_t position = store_position(collection, entry->path, &found);
    memmove(collection->entries + position + 1, collection->entries + position,
            (collection->count - position) * sizeof(*collection->entries));
    collection->entries[position] = entry;
    collection->count++;
    *ret = entry;
    return 0;
}

static void entry_remove(Store *store, StoreEntry *entry)
{
    StoreCollection *collection = entry->collection;
    bool found = false;
    size_t position = store_position(collection, entry->path, &found);

    if (found) {
        collection->count--;
        memmove(collection->entries + position, collection->entries + position + 1,
                (collection->count - position) * sizeof(*collection->entries));
    }
    map_remove(store->entries, entry->key);
    entry_free(entry);
}

/* --- history -------------------------------------------------------------------------------- */

static StoreRecord *record_at(const Store *store, uint64_t number)
{
    return &store->records[number % store->capacity];
}

static int reserve_record(Store *store)
{
    if (store->end - store->first < store->capacity)
        return 0;
    size_t capacity = store->capacity ? 2 * store->capacity : RECORDS_FIRST;
    StoreRecord *records = calloc(capacity, sizeof *records);
    if (!records)
        return -ENOMEM;
    for (uint64_t n = store->first; n < store->end; n++)
        records[n % capacity] = *record_at(store, n);
    free(store->records);
    store->records = records;
    store->capacity = capacity;
    return 0;
}

/* There is room. Takes references of both. */
static void add_record(Store *store, StoreChange change, StoreCollection *collection, StoreItem *item, StoreItem *old)
{
    *record_at(store, store->end++) =
        (StoreRecord){.change = change, .revision = item->revision, .collection = collection, .item = item, .old = old};
    store->weight += item->weight;
    store_pump(store);
}

const StoreRecord *store_record(const Store *store, int64_t revision)
{
    uint64_t low = store->unbroken > store->first ? store->unbroken : store->first, high = store->end;

    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        const StoreRecord *record = record_at(store, middle);
        if (record->revision == revision)
            return record;
        if (record->revision < revision)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

static void drop_record(Store *store)
{
    StoreRecord *record = record_at(store, store->first++);

    if (store->first > store->unbroken && record->revision > store->oldest)
        store->oldest = record->revision;
    store->weight -= record->item->weight;
    item_unref(record->item);
    item_unref(record->old);
    *record = (StoreRecord){0};
}

void store_trim(Store *store)
{
    while (store->first < store->told && (store->end - store->first > STORE_HISTORY ||
                                          store->weight > STORE_HISTORY_BYTES || store->first < store->unbroken))
        drop_record(store);
}

void store_lighten(const StoreRecord *record)
{
    if (!record->old)
        return;
    free(record->old->text);
    record->old->text = NULL;
}

/* --- changes -------------------------------------------------------------------------------- */

int store_learn(Store *store, const EtcdKeyValue *kv, bool quiet)
{
    StoreEntry *entry = map_get(store->entries, kv->key);
    json_t *object = NULL;
    size_t resource, path;

    if (json_parse(kv->value, kv->value_size, 2 * STORE_OBJECT_MAX, &object, NULL) < 0)
        return -EINVAL;
    if (!json_is_object(json_object_get(object, "metadata")) || split_key(kv->key, object, &resource, &path) < 0) {
        json_decref(object);
        return -EINVAL;
    }
    StoreItem *item = item_new(object, kv->mod_revision, kv->value_size);
    if (!item)
        return -ENOMEM;
    int r = quiet ? 0 : reserve_record(store);
    if (r == 0 && !entry)
        r = entry_new(store, kv->key, object, &entry);
    if (r < 0) {
        item_unref(item);
        return r;
    }
    if (!quiet)
        add_record(store, entry->item ? STORE_MODIFIED : STORE_ADDED, entry->collection, item_ref(item),
                   entry->item ? item_ref(entry->item) : NULL);
    item_unref(entry->item);
    entry->item = item;
    entry->generation = store->generation;
    return 0;
}

int store_forget(Store *store, const char *key, int64_t revision)
{
    StoreEntry *entry = map_get(store->entries, key);

    if (!entry)
        return 0;
    StoreItem *ended = item_ended(entry->item, revision);
    if (!ended || reserve_record(store) < 0) {
        item_unref(ended);
        return -ENOMEM;
    }
    add_record(store, STORE_DELETED, entry->collection, ended, item_ref(entry->item));
    entry_remove(store, entry);
    return 0;
}

int store_forget_unseen(Store *store, int64_t revision)
{
    size_t position = 0;
    void *value;

    while (map_next(store->entries, &position, NULL, &value)) {
        StoreEntry *entry = value;
        if (entry->generation == store->generation)
            continue;
        char *key = strdup(entry->key);
        int r = key ? store_forget(store, key, revision) : -ENOMEM;
        free(key);
        if (r < 0)
            return r;
    }
    return 0;
}

void store_cache_clear(Store *store)
{
    size_t position = 0;
    void *value;

    while (store->first < store->end)
        drop_record(store);
    free(store->records);
    while (store->entries && map_next(store->entries, &position, NULL, &value))
        entry_free(value);
    map_free(store->entries);
    position = 0;
    while (store->collections && map_next(store->collections, &position, NULL, &value)) {
        StoreCollection *collection = value;
        free(collection->entries);
        free(collection->resource);
        free(collection);
    }
    map_free(store->collections);
}
