/* store_db.h - the store's writer: puts batches of results into the database,
 * each result once, and keeps the newest.
 *
 * Blocking: call it from a worker, from one thread at a time. Several puts go
 * into one transaction (group commit): either all of it is on disk when
 * store_db_put returns, or nothing of it is in the store. What each producer
 * has ever stored is kept as ranges of sequence numbers, in the same
 * transaction, so a result counts once however its batches are cut and
 * whatever has been expired since.
 *
 * Errors are those of store_file.h; after any of them the store works again as
 * soon as their cause is gone. */
#pragma once

#include "store_format.h"

#define STORE_PRODUCER_NAME_MAX 255u    /* bytes */
#define STORE_PRODUCERS_MAX 1000000u    /* incarnations that the store knows */
#define STORE_CAPACITY_MIN 1000u        /* results */
#define STORE_CAPACITY_MAX 100000000u   /* results */
#define STORE_CAPACITY_DEFAULT 1000000u /* results */
/* Bytes of write-ahead log after which a put makes a checkpoint itself. At full
 * rate a checkpoint copies the whole database, so it pays to let the log grow
 * to some times its size (30 MB at the default capacity). */
#define STORE_LOG_MAX (UINT64_C(128) << 20)

typedef struct StoreDb StoreDb;

/* Consecutive results of one producer; borrowed. */
typedef struct StoreBatch {
    const char *producer; /* name and incarnation */
    uint64_t first_sequence;
    StoreColumns columns;
} StoreBatch;

typedef struct StorePut {
    const StoreBatch *batches;
    size_t n_batches;
    uint64_t stored, duplicates; /* set by store_db_put */
} StorePut;

typedef struct StoreOptions {
    uint64_t capacity; /* results kept; 0: STORE_CAPACITY_DEFAULT */
    const char *vfs;   /* of SQLite; NULL: its default */
} StoreOptions;

typedef struct StoreDbStatus {
    uint64_t results; /* kept */
    uint64_t capacity;
    uint64_t stored;     /* ever */
    uint64_t expired;    /* ever */
    uint64_t duplicates; /* since it was opened */
} StoreDbStatus;

/* -EINVAL: the producer's name is empty, too long, not UTF-8 or has control
 * characters; or the sequence numbers pass 2^63. */
int store_batch_check(const StoreBatch *batch, InaError *error);

int store_db_open(const char *path, const StoreOptions *options, StoreDb **ret, InaError *error);
/* Batches must have passed store_batch_check. `n_puts` 0 only expires what is over capacity. */
int store_db_put(StoreDb *db, StorePut *puts, size_t n_puts, InaError *error);
/* Takes effect with the next put. */
void store_db_set_capacity(StoreDb *db, uint64_t capacity);
void store_db_status(const StoreDb *db, StoreDbStatus *ret);
/* Bytes in the log that the last put left; the log starts over when a checkpoint got all of it. */
uint64_t store_db_log_bytes(const StoreDb *db);
StoreDb *store_db_free(StoreDb *db); /* takes NULL, returns NULL */

/* Copies the log into the file on a connection of its own, so from another
 * thread while puts go on. `ret_rest`: bytes of the log still to be copied,
 * because puts or readers were under way. */
typedef struct StoreCheckpoint StoreCheckpoint;

int store_checkpoint_open(const char *path, const char *vfs, StoreCheckpoint **ret, InaError *error);
int store_checkpoint_run(StoreCheckpoint *checkpoint, uint64_t *ret_rest, InaError *error);
StoreCheckpoint *store_checkpoint_free(StoreCheckpoint *checkpoint);
