/* store_bundle.h - the component `store`, shared by its files: store.c (life,
 * puts, checkpoints), store_reads.c (queries and aggregates).
 *
 * All in the loop's thread but what is said to run in a worker. At most one
 * transaction runs in a worker, and at most one of the other works (a
 * checkpoint, a query, an aggregate), so that long reading never keeps
 * results from being committed. */
#pragma once

#include "statistics.h"
#include "store.service.h"
#include "store_db.h"
#include "store_reader.h"

#include <inaetics/bundle.h>

#define STORE_WAITING_BYTES_MAX (UINT64_C(32) << 20) /* of puts that wait for a transaction; one may be larger */
#define STORE_GROUP_BYTES_MAX (UINT64_C(8) << 20)    /* of puts in one transaction; one may be larger */
#define STORE_READS_MAX 64u                          /* queries and aggregates that wait */
#define STORE_CHECKPOINT_BYTES (UINT64_C(4) << 20)   /* of log, when no put waits */
#define STORE_CHECKPOINT_IDLE INA_SECOND             /* without puts, for any log */

typedef struct PutCall PutCall;
typedef struct Group Group;
typedef struct Read Read;

typedef struct Store {
    const char *directory;
    int64_t capacity;
    InaComponent *component;
    Statistics *statistics;
    Histogram latency; /* ms from sample to commit */
    char *path;

    StoreDb *db; /* in a worker while `group` is there */
    StoreDbStatus status;
    uint64_t log_bytes;
    PutCall *waiting, **waiting_end;
    uint64_t waiting_bytes;
    Group *group;
    bool failing; /* the last transaction failed, and that was logged */

    StoreCheckpoint *checkpoint; /* in a worker while `background` is set */
    StoreReader *reader;         /* likewise */
    bool background;
    bool checkpoint_wanted;
    uint64_t checkpoint_rest;
    int checkpoint_result;
    InaError checkpoint_error;
    InaTimer *idle;
    Read *reads, **reads_end;
    size_t n_reads;
} Store;

/* The code of a call that fails for this reason (a negative errno). */
InaCode store_code(int result);

/* --- store_reads.c ----------------------------------------------------------- */

void store_query(void *self, InaCall *call, const Demonstrator__V1__QueryRequest *request);
void store_aggregate(void *self, InaCall *call, const Demonstrator__V1__AggregateRequest *request);
/* Begins the read that waits longest, if there is one. */
void store_reads_next(Store *store);
void store_reads_fail(Store *store, const char *why);

/* --- store.c ------------------------------------------------------------------- */

/* Background work has ended: begins the next. */
void store_background_next(Store *store);
