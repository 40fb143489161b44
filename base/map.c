/* map.c - see map.h. */
#include "map.h"

#include <errno.h>
#include <pthread.h>
#include <sodium/crypto_shorthash.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* Entries stand densely in the order of their arrival and are found through an
 * open-addressed table of their positions. A removed entry leaves a hole (key
 * NULL) in both until the map is rebuilt, which only map_set does: so a removal
 * moves nothing under an iteration. */
typedef struct Entry {
    uint64_t hash;
    char *key;
    void *value;
} Entry;

struct Map {
    Entry *entries;
    uint32_t *slots; /* position + 1 of an entry; 0: empty */
    size_t n_slots;  /* a power of two; entries fill at most half of it */
    size_t used;     /* entries and holes */
    size_t count;
};

#define SLOTS_MIN 16u

static unsigned char hash_key[crypto_shorthash_KEYBYTES];
static pthread_once_t hash_key_once = PTHREAD_ONCE_INIT;

static void make_hash_key(void)
{
    size_t done = 0;

    while (done < sizeof(hash_key)) {
        ssize_t n = getrandom(hash_key + done, sizeof(hash_key) - done, 0);
        if (n > 0)
            done += (size_t)n;
        else if (errno != EINTR)
            abort(); /* a kernel without getrandom(2): older than any we run on */
    }
}

static uint64_t hash(const char *key)
{
    union {
        unsigned char bytes[crypto_shorthash_BYTES];
        uint64_t number;
    } digest;

    crypto_shorthash(digest.bytes, (const unsigned char *)key, strlen(key), hash_key);
    return digest.number;
}

Map *map_new(void)
{
    pthread_once(&hash_key_once, make_hash_key);
    return calloc(1, sizeof(Map));
}

Map *map_free(Map *map)
{
    if (!map)
        return NULL;
    for (size_t i = 0; i < map->used; i++)
        free(map->entries[i].key);
    free(map->entries);
    free(map->slots);
    free(map);
    return NULL;
}

static void link_entry(uint32_t *slots, size_t n_slots, uint64_t number, size_t position)
{
    size_t slot = (size_t)number & (n_slots - 1);

    while (slots[slot] != 0)
        slot = (slot + 1) & (n_slots - 1);
    slots[slot] = (uint32_t)position + 1;
}

/* Makes room for one more entry and closes the holes. */
static int rebuild(Map *map)
{
    size_t n_slots = SLOTS_MIN;

    while (n_slots / 4 <= map->count) {
        if (n_slots > UINT32_MAX / 2)
            return -ENOMEM;
        n_slots *= 2;
    }
    Entry *entries = malloc(n_slots / 2 * sizeof(*entries));
    uint32_t *slots = calloc(n_slots, sizeof(*slots));
    if (!entries || !slots) {
        free(entries);
        free(slots);
        return -ENOMEM;
    }
    size_t used = 0;
    for (size_t i = 0; i < map->used; i++) {
        if (!map->entries[i].key)
            continue;
        entries[used] = map->entries[i];
        link_entry(slots, n_slots, entries[used].hash, used);
        used++;
    }
    free(map->entries);
    free(map->slots);
    map->entries = entries;
    map->slots = slots;
    map->n_slots = n_slots;
    map->used = used;
    return 0;
}

static Entry *find(const Map *map, const char *key, uint64_t number)
{
    if (map->count == 0)
        return NULL;
    for (size_t slot = (size_t)number & (map->n_slots - 1);; slot = (slot + 1) & (map->n_slots - 1)) {
        if (map->slots[slot] == 0)
            return NULL;
        Entry *entry = &map->entries[map->slots[slot] - 1];
        if (entry->key && entry->hash == number && strcmp(entry->key, key) == 0)
            return entry;
    }
}

int map_set(Map *map, const char *key, void *value)
{
    uint64_t number = hash(key);
    Entry *entry = find(map, key, number);

    if (entry) {
        entry->value = value;
        return 0;
    }
    if (map->used >= map->n_slots / 2) {
        int r = rebuild(map);
        if (r < 0)
            return r;
    }
    char *copy = strdup(key);
    if (!copy)
        return -ENOMEM;
    map->entries[map->used] = (Entry){.hash = number, .key = copy, .value = value};
    link_entry(map->slots, map->n_slots, number, map->used);
    map->used++;
    map->count++;
    return 0;
}

void *map_get(const Map *map, const char *key)
{
    if (!map || map->count == 0)
        return NULL;
    const Entry *entry = find(map, key, hash(key));
    return entry ? entry->value : NULL;
}

void *map_remove(Map *map, const char *key)
{
    if (!map || map->count == 0)
        return NULL;
    Entry *entry = find(map, key, hash(key));
    if (!entry)
        return NULL;
    void *value = entry->value;
    free(entry->key);
    *entry = (Entry){0};
    map->count--;
    return value;
}

size_t map_count(const Map *map)
{
    return map ? map->count : 0;
}

bool map_next(const Map *map, size_t *position, const char **ret_key, void **ret_value)
{
    while (map && *position < map->used) {
        const Entry *entry = &map->entries[(*position)++];
        if (!entry->key)
            continue;
        if (ret_key)
            *ret_key = entry->key;
        if (ret_value)
            *ret_value = entry->value;
        return true;
    }
    return false;
}
