/* store_reader.h - reading the store: results by time, and figures over them.
 *
 * Blocking: call it from a worker. A reader has a connection of its own that
 * only reads, so puts go on meanwhile; each call sees one state of the store.
 * One thread at a time. Errors are those of store_file.h. */
#pragma once

#include "store_format.h"

#include <stdbool.h>

#define STORE_QUERY_MAX 10000u /* results in one page */
#define STORE_QUERY_DEFAULT 1000u
#define STORE_PAGE_TOKEN_MAX 80u /* bytes, with its NUL */
#define STORE_INTERVALS_MAX 1000u
#define STORE_PERCENTILES_MAX 10u
#define STORE_PERCENTILE_VALUES_MAX (UINT32_C(2) << 20) /* values in memory at a time for percentiles */

typedef struct StoreReader StoreReader;

int store_reader_open(const char *path, const char *vfs, StoreReader **ret, InaError *error);
StoreReader *store_reader_free(StoreReader *reader); /* takes NULL, returns NULL */

/* --- results --------------------------------------------------------------- */

typedef struct StoreRecord {
    int64_t time_us;
    int64_t producer; /* number of the producer in this store; its name: store_reader_producer */
    uint64_t sequence;
    double value1, value2;
    int64_t processing_time_us;
    double result;
} StoreRecord;

typedef struct StoreQuery {
    int64_t begin_us, end_us; /* begin <= time < end */
    const char *producer;     /* name, name and incarnation, or NULL or "" for all */
    uint32_t maximum;         /* 1 to STORE_QUERY_MAX; 0: STORE_QUERY_DEFAULT */
    const char *page;         /* from the answer before, NULL or "": the first */
} StoreQuery;

typedef struct StorePage {
    StoreRecord *records; /* ordered by time, producer, sequence; malloc'ed */
    size_t count;
    char next[STORE_PAGE_TOKEN_MAX]; /* empty: no more */
} StorePage;

/* A page token is the position of the last result of a page, so pages stay
 * right while results come and expire: what was there and stays is seen once.
 * -EINVAL: the query says what is wrong with it. */
int store_reader_query(StoreReader *reader, const StoreQuery *query, StorePage *ret, InaError *error);
void store_page_clear(StorePage *page);
/* Valid until the next call of it. "?" for a producer that the store does not know. */
const char *store_reader_producer(StoreReader *reader, int64_t producer);

/* All results of a query one by one, in pages behind the scenes. */
typedef struct StoreCursor StoreCursor;

int store_cursor_open(StoreReader *reader, int64_t begin_us, int64_t end_us, const char *producer, StoreCursor **ret,
                      InaError *error);
/* 1: `ret` is the next result; 0: no more. */
int store_cursor_next(StoreCursor *cursor, StoreRecord *ret, InaError *error);
StoreCursor *store_cursor_free(StoreCursor *cursor);

/* --- figures --------------------------------------------------------------- */

typedef enum StoreColumn {
    STORE_COLUMN_RESULT,
    STORE_COLUMN_VALUE1,
    STORE_COLUMN_VALUE2,
    STORE_COLUMN_LATENCY, /* milliseconds from sample to result */
} StoreColumn;

/* -EINVAL; NULL and "" are the result. */
int store_column_from_name(const char *name, StoreColumn *ret, InaError *error);

typedef struct StoreAggregate {
    int64_t begin_us, end_us;
    const char *producer;
    uint32_t intervals; /* 1 to STORE_INTERVALS_MAX, of equal length */
    StoreColumn column;
    const double *percentiles; /* 0 to 100 */
    size_t n_percentiles;
} StoreAggregate;

/* Values that are NaN are left out. All zero where the count is. */
typedef struct StoreInterval {
    int64_t begin_us;
    uint64_t count;
    double mean, minimum, maximum;
    double percentiles[STORE_PERCENTILES_MAX]; /* the smallest value with at least that share at or below it */
} StoreInterval;

/* Exact. -EINVAL; -E2BIG: percentiles of an interval with more than
 * STORE_PERCENTILE_VALUES_MAX results. */
int store_reader_aggregate(StoreReader *reader, const StoreAggregate *aggregate, StoreInterval *intervals,
                           InaError *error);
