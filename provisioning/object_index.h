/* object_index.h - objects of one kind by the values of those keys that
 * filters ask for, and which endpoints wait for such a value. */
#pragma once

#include "base/map.h"
#include "model_internal.h"

#define INDEX_KEYS_MAX 32u /* others are looked for among all objects */

typedef struct Pointers {
    const void **items;
    size_t count, capacity;
} Pointers;

int pointers_insert(Pointers *pointers, size_t at, const void *item);
void pointers_remove(Pointers *pointers, size_t at);
void pointers_discard(Pointers *pointers, const void *item); /* looks for it */
void pointers_free(Pointers *pointers);

/* Those of one key and value. */
typedef struct Bucket {
    Pointers objects;
    Pointers waiting; /* endpoints: struct Matched */
} Bucket;

typedef struct IndexKey {
    char *name;
    Map *buckets; /* by canonical value */
} IndexKey;

typedef struct ObjectIndex {
    IndexKey keys[INDEX_KEYS_MAX];
    size_t n_keys;
    Pointers waiting; /* endpoints that any object may match */
} ObjectIndex;

int index_add(ObjectIndex *index, const Object *object);
void index_remove(ObjectIndex *index, const Object *object);
/* The key's index, made from `objects` when it is asked for first. NULL: there are too many, or no memory. */
IndexKey *index_key(ObjectIndex *index, const char *name, const Tree *objects);
/* Made when it is not there. NULL: no memory. */
Bucket *index_bucket(IndexKey *key, const char *value);
/* Each endpoint that waits for something this object has. Stops at a negative result. */
int index_waiting(const ObjectIndex *index, const Object *object, int (*each)(void *userdata, void *waiting),
                  void *userdata);
void index_clear(ObjectIndex *index);
