/* store_producers.c - cache of the table `producers`: open addressing by name. */
#include "store_producers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct StoreProducers {
    const StoreFile *file;
    sqlite3_stmt *find, *add;
    StoreProducer **slots; /* at most half of them taken */
    size_t n_slots, n_cached;
    uint64_t n_added;
};

static uint32_t hash_of(const char *name)
{
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (; *name; name++)
        hash = (hash ^ (uint8_t)*name) * 16777619u;
    return hash;
}

int store_producers_new(const StoreFile *file, StoreProducers **ret, InaError *error)
{
    StoreProducers *producers = calloc(1, sizeof(*producers));
    if (!producers)
        return ina_error_set(error, ENOMEM, "out of memory");
    producers->file = file;
    int result = store_file_prepare(file, "SELECT id FROM producers WHERE name = ?1", &producers->find, error);
    if (result == 0)
        result = store_file_prepare(file, "INSERT INTO producers(name, expired) VALUES(?1, 0)", &producers->add, error);
    if (result < 0)
        store_producers_free(producers);
    else
        *ret = producers;
    return result;
}

static StoreProducer **slot_of(StoreProducer **slots, size_t n_slots, const char *name, uint32_t hash)
{
    size_t i = hash & (n_slots - 1);
    while (slots[i] && (slots[i]->hash != hash || strcmp(slots[i]->name, name) != 0))
        i = (i + 1) & (n_slots - 1);
    return slots + i;
}

static int make_room(StoreProducers *producers, InaError *error)
{
    if ((producers->n_cached + 1) * 2 <= producers->n_slots)
        return 0;
    size_t n_slots = producers->n_slots ? producers->n_slots * 2 : 64;
    StoreProducer **slots = calloc(n_slots, sizeof(StoreProducer *));
    if (!slots)
        return ina_error_set(error, ENOMEM, "out of memory");
    for (size_t i = 0; i < producers->n_slots; i++)
        if (producers->slots[i])
            *slot_of(slots, n_slots, producers->slots[i]->name, producers->slots[i]->hash) = producers->slots[i];
    free(producers->slots);
    producers->slots = slots;
    producers->n_slots = n_slots;
    return 0;
}

/* Reads the row, or adds one. */
static int fetch(StoreProducers *producers, StoreProducer *producer, InaError *error)
{
    int result = 0;
    sqlite3_bind_text(producers->find, 1, producer->name, -1, SQLITE_STATIC);
    int step = sqlite3_step(producers->find);
    if (step == SQLITE_ROW) {
        producer->id = sqlite3_column_int64(producers->find, 0);
    } else if (step != SQLITE_DONE) {
        result = store_file_error(producers->file, "finding a producer", error);
    }
    sqlite3_reset(producers->find);
    if (step != SQLITE_DONE)
        return result;

    sqlite3_bind_text(producers->add, 1, producer->name, -1, SQLITE_STATIC);
    result = store_file_run(producers->file, producers->add, "adding a producer", error);
    producer->id = sqlite3_last_insert_rowid(producers->file->db);
    producers->n_added++;
    return result;
}

int store_producers_get(StoreProducers *producers, const char *name, StoreProducer **ret, InaError *error)
{
    int result = make_room(producers, error);
    if (result < 0)
        return result;
    uint32_t hash = hash_of(name);
    StoreProducer **slot = slot_of(producers->slots, producers->n_slots, name, hash);
    if (!*slot) {
        size_t size = strlen(name) + 1;
        StoreProducer *producer = calloc(1, sizeof(*producer) + size);
        if (!producer)
            return ina_error_set(error, ENOMEM, "out of memory");
        producer->hash = hash;
        memcpy(producer->name, name, size);
        result = fetch(producers, producer, error);
        if (result < 0) {
            free(producer);
            return result;
        }
        *slot = producer;
        producers->n_cached++;
    }
    *ret = *slot;
    return 0;
}

uint64_t store_producers_added(StoreProducers *producers)
{
    uint64_t added = producers->n_added;
    producers->n_added = 0;
    return added;
}

size_t store_producers_cached(const StoreProducers *producers)
{
    return producers->n_cached;
}

void store_producers_clear(StoreProducers *producers)
{
    for (size_t i = 0; i < producers->n_slots; i++)
        free(producers->slots[i]);
    free(producers->slots);
    producers->slots = NULL;
    producers->n_slots = 0;
    producers->n_cached = 0;
}

StoreProducers *store_producers_free(StoreProducers *producers)
{
    if (!producers)
        return NULL;
    store_producers_clear(producers);
    sqlite3_finalize(producers->find);
    sqlite3_finalize(producers->add);
    free(producers);
    return NULL;
}
