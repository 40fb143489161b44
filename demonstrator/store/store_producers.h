/* store_producers.h - the ids of the producers that a writer met lately.
 *
 * A cache over the table `producers`, valid as long as nobody else wrote to
 * the file and no transaction was rolled back: then it is cleared. */
#pragma once

#include "store_file.h"
#include <stddef.h>

#define STORE_PRODUCERS_CACHED_MAX 4096u /* beyond, the cache is cleared before a transaction */

typedef struct StoreProducer {
    int64_t id;
    uint32_t hash;
    char name[];
} StoreProducer;

typedef struct StoreProducers StoreProducers;

int store_producers_new(const StoreFile *file, StoreProducers **ret, InaError *error);
/* Finds a producer or adds it. Valid until the cache is cleared. */
int store_producers_get(StoreProducers *producers, const char *name, StoreProducer **ret, InaError *error);
/* How many were added to the table since the last call. */
uint64_t store_producers_added(StoreProducers *producers);
size_t store_producers_cached(const StoreProducers *producers);
void store_producers_clear(StoreProducers *producers);
StoreProducers *store_producers_free(StoreProducers *producers);
