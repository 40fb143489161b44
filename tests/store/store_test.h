/* store_test.h - what the tests of the store share: a folder, results whose
 * content follows from producer and sequence number, and a model of what the
 * store should hold. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store_db.h"
#include "store_reader.h"

#include <stdbool.h>

#define MODEL_PRODUCERS 3u
#define MODEL_SEQUENCES 20000u /* sequence numbers 0 to this are used */
#define TIME_BASE INT64_C(1700000000000000)

/* --- a folder for each test ------------------------------------------------ */

typedef struct Folder {
    char path[128];
    char file[160]; /* results.db in it */
} Folder;

void folder_new(Folder *folder);
void folder_remove_all(const Folder *folder);

/* --- random ------------------------------------------------------------------ */

/* $TEST_SEED or a fresh one; printed, so that a failure can be repeated. */
uint64_t store_seed(void);
uint64_t random_next(uint64_t *state);
uint64_t random_below(uint64_t *state, uint64_t limit);

/* --- results -------------------------------------------------------------------- */

extern const char *const model_names[MODEL_PRODUCERS];

/* What result `sequence` of a producer looks like. */
StoreRecord result_of(size_t producer, uint64_t sequence);
/* Fails the test when the record is not that result. */
void assert_result(const StoreRecord *record, size_t producer);

/* Batches made of them; owns the columns. */
typedef struct Batches {
    StoreBatch *batches;
    size_t count, room;
} Batches;

void batches_add(Batches *batches, size_t producer, uint64_t first, size_t count);
void batches_clear(Batches *batches);

/* --- a model of the store ----------------------------------------------------------- */

typedef struct Model {
    bool seen[MODEL_PRODUCERS][MODEL_SEQUENCES];
} Model;

/* Enters the batches; returns how many of their results are new. */
uint64_t model_put(Model *model, const Batches *batches);
uint64_t model_count(const Model *model);

/* The store's table of ranges says exactly what the model does, count and sum too. */
void assert_seen(const char *path, const Model *model);
/* Reads all results: each at most once, with the right content, only what the
 * model has, and `expected` of them. */
void assert_results(const char *path, const Model *model, uint64_t expected);

StoreDb *open_store(const char *path, const StoreOptions *options);
void put_ok(StoreDb *db, const Batches *batches, uint64_t *ret_stored, uint64_t *ret_duplicates);
