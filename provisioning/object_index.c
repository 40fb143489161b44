#include "object_index.h"
#include "object_match.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* --- pointers ------------------------------------------------------------------- */

int pointers_insert(Pointers *pointers, size_t at, const void *item)
{
    if (pointers->count == pointers->capacity) {
        size_t capacity = pointers->capacity ? pointers->capacity * 2 : 2;
        const void **items = reallocarray(pointers->items, capacity, sizeof *items);
        if (!items)
            return -ENOMEM;
        pointers->items = items;
        pointers->capacity = capacity;
    }
    memmove(pointers->items + at + 1, pointers->items + at, (pointers->count - at) * sizeof *pointers->items);
    pointers->items[at] = item;
    pointers->count++;
    return 0;
}

void pointers_remove(Pointers *pointers, size_t at)
{
    pointers->count--;
    memmove(pointers->items + at, pointers->items + at + 1, (pointers->count - at) * sizeof *pointers->items);
}

void pointers_discard(Pointers *pointers, const void *item)
{
    for (size_t i = pointers->count; i > 0; i--)
        if (pointers->items[i - 1] == item) {
            pointers->items[i - 1] = pointers->items[--pointers->count]; /* in no order */
            return;
        }
}

void pointers_free(Pointers *pointers)
{
    free(pointers->items);
    *pointers = (Pointers){0};
}

/* --- buckets --------------------------------------------------------------------- */

/* Empty ones stay, until the index goes: values come again. */
Bucket *index_bucket(IndexKey *key, const char *value)
{
    Bucket *bucket = map_get(key->buckets, value);
    if (bucket)
        return bucket;
    bucket = calloc(1, sizeof *bucket);
    if (bucket && map_set(key->buckets, value, bucket) < 0) {
        free(bucket);
        return NULL;
    }
    return bucket;
}

static Bucket *bucket_of(const IndexKey *key, const Object *object)
{
    char buffer[VERSION_TEXT_MAX];
    const char *value = object_value(object, key->name);
    return value ? map_get(key->buckets, canonical_value(key->name, value, buffer)) : NULL;
}

static int add_to_key(IndexKey *key, const Object *object)
{
    char buffer[VERSION_TEXT_MAX];
    const char *value = object_value(object, key->name);
    if (!value)
        return 0;
    Bucket *bucket = index_bucket(key, canonical_value(key->name, value, buffer));
    return bucket ? pointers_insert(&bucket->objects, bucket->objects.count, object) : -ENOMEM;
}

static void key_clear(IndexKey *key)
{
    size_t position = 0;
    const char *value;
    void *bucket;

    while (key->buckets && map_next(key->buckets, &position, &value, &bucket)) {
        pointers_free(&((Bucket *)bucket)->objects);
        pointers_free(&((Bucket *)bucket)->waiting);
        free(bucket);
    }
    map_free(key->buckets);
    free(key->name);
    *key = (IndexKey){0};
}

/* --- the index --------------------------------------------------------------------- */

int index_add(ObjectIndex *index, const Object *object)
{
    for (size_t i = 0; i < index->n_keys; i++) {
        int r = add_to_key(&index->keys[i], object);
        if (r < 0)
            return r;
    }
    return 0;
}

void index_remove(ObjectIndex *index, const Object *object)
{
    for (size_t i = 0; i < index->n_keys; i++) {
        Bucket *bucket = bucket_of(&index->keys[i], object);
        if (bucket)
            pointers_discard(&bucket->objects, object);
    }
}

typedef struct Filling {
    IndexKey *key;
    int r;
} Filling;

static void fill(void *userdata, const Object *object)
{
    Filling *filling = userdata;
    if (filling->r == 0)
        filling->r = add_to_key(filling->key, object);
}

IndexKey *index_key(ObjectIndex *index, const char *name, const Tree *objects)
{
    for (size_t i = 0; i < index->n_keys; i++)
        if (strcasecmp(index->keys[i].name, name) == 0)
            return &index->keys[i];
    if (index->n_keys == INDEX_KEYS_MAX)
        return NULL;
    IndexKey *key = &index->keys[index->n_keys];
    Filling filling = {.key = key};
    *key = (IndexKey){strdup(name), map_new()};
    if (key->name && key->buckets)
        tree_each(objects, fill, &filling);
    if (!key->name || !key->buckets || filling.r < 0) {
        key_clear(key);
        return NULL;
    }
    index->n_keys++;
    return key;
}

static int each_of(const Pointers *waiting, int (*each)(void *userdata, void *waiting), void *userdata)
{
    for (size_t i = 0; i < waiting->count; i++) {
        int r = each(userdata, (void *)waiting->items[i]);
        if (r < 0)
            return r;
    }
    return 0;
}

int index_waiting(const ObjectIndex *index, const Object *object, int (*each)(void *userdata, void *waiting),
                  void *userdata)
{
    int r = each_of(&index->waiting, each, userdata);
    for (size_t i = 0; r == 0 && i < index->n_keys; i++) {
        const Bucket *bucket = bucket_of(&index->keys[i], object);
        if (bucket)
            r = each_of(&bucket->waiting, each, userdata);
    }
    return r;
}

void index_clear(ObjectIndex *index)
{
    for (size_t i = 0; i < index->n_keys; i++)
        key_clear(&index->keys[i]);
    index->n_keys = 0;
    pointers_free(&index->waiting);
}
