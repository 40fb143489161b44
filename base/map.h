/* map.h - a hash map from strings to pointers (SipHash-keyed per process, so
 * that outsiders cannot make it slow), and a growing byte buffer. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

typedef struct Map Map;
Map *map_new(void);
Map *map_free(Map *map);                             /* the values stay the caller's */
int map_set(Map *map, const char *key, void *value); /* copies the key; replaces; -ENOMEM */
void *map_get(const Map *map, const char *key);      /* NULL when absent */
void *map_remove(Map *map, const char *key);         /* the value, or NULL */
size_t map_count(const Map *map);
/* Iterates in no particular order; *position starts at 0. The map may lose
 * the entry just returned during iteration, nothing else may change. */
bool map_next(const Map *map, size_t *position, const char **ret_key, void **ret_value);

#define BUFFER_MAX ((size_t)1 << 30)

/* Starts zeroed. append and print leave a NUL behind the end, so that `data`
 * is a string once something was added. */
typedef struct Buffer {
    char *data;
    size_t size, capacity;
    bool failed; /* out of memory or beyond BUFFER_MAX: contents are not to be used */
} Buffer;

void buffer_append(Buffer *buffer, const void *data, size_t size);
void buffer_print(Buffer *buffer, const char *format, ...) __attribute__((format(printf, 2, 3)));
void *buffer_reserve(Buffer *buffer, size_t size); /* room behind the end, NULL: out of memory; then add to size */
void buffer_clear(Buffer *buffer);                 /* keeps the room; not failed any more */
void buffer_free(Buffer *buffer);
