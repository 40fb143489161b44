/* store_scan.h - the stored batches of a stretch of time, for the readers.
 *
 * Batches overlap in time and may be of any length, so they are indexed by
 * the class of their length (bits of end - begin) and their begin: of each
 * class only what can reach into the stretch is looked at. They come class by
 * class, within one by begin. */
#pragma once

#include "store_file.h"
#include "store_format.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct StoreScan StoreScan;

int store_scan_new(const StoreFile *file, StoreScan **ret, InaError *error);
StoreScan *store_scan_free(StoreScan *scan);

/* Chooses the producers of the coming scans: all for NULL or "", else those
 * with this name, or this name before the incarnation. */
int store_scan_producers(StoreScan *scan, const char *name, InaError *error);

typedef struct StoreScanBatch {
    int64_t producer;
    uint64_t first_sequence;
    StoreSpan times;
    StorePayload payload;
} StoreScanBatch;

/* `each` gets every batch with times in [first, last], both inclusive. It may
 * bring `last` down. Negative: it ends with that. Call it in a transaction. */
int store_scan_run(StoreScan *scan, int64_t first, int64_t *last,
                   int (*each)(void *userdata, const StoreScanBatch *batch, InaError *error), void *userdata,
                   InaError *error);
