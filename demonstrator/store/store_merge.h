/* store_merge.h - what of some puts is new, and writing that.
 *
 * Runs inside the writer's transaction. Batches are sorted by producer and
 * sequence number, cut to what neither an earlier batch of these puts nor the
 * table `seen` has, joined where they are consecutive, and written as rows of
 * at most `row_max` results. */
#pragma once

#include "store_db.h"
#include "store_producers.h"

typedef struct StoreMerge StoreMerge;

int store_merge_new(const StoreFile *file, StoreMerge **ret, InaError *error);
/* Sets stored and duplicates of each put. */
int store_merge_puts(StoreMerge *merge, StoreProducers *producers, StorePut *puts, size_t n_puts, size_t row_max,
                     InaError *error);
StoreMerge *store_merge_free(StoreMerge *merge);
