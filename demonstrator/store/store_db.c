/* store_db.c - the store's writer: transactions, retention, checkpoints. */
#include "store_db.h"

#include "store_merge.h"
#include "store_producers.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define EXPIRE_SHARE 64u /* of the capacity is expired at once */

/* Counters as the tables have them. */
typedef struct Counts {
    uint64_t stored, expired, producers;
} Counts;

struct StoreDb {
    StoreFile *file;
    StoreProducers *producers;
    StoreMerge *merge;
    sqlite3_stmt *begin, *commit, *rollback, *data_version, *count, *oldest, *expire, *count_expired;
    uint64_t capacity;
    Counts counts;
    int64_t version; /* of the data: changes when another program wrote */
    uint64_t duplicates;
    uint64_t log_bytes;
    int page_size;
};

/* --- checking ------------------------------------------------------------ */

/* Length of the UTF-8 sequence at `text`, 0 when there is none (RFC 3629). */
static size_t utf8_length(const uint8_t *text)
{
    static const struct {
        uint8_t mask, lead, length;
        uint32_t minimum;
    } forms[] = {{0x80, 0x00, 1, 0x00}, {0xe0, 0xc0, 2, 0x80}, {0xf0, 0xe0, 3, 0x800}, {0xf8, 0xf0, 4, 0x10000}};
    for (size_t i = 0; i < sizeof(forms) / sizeof(*forms); i++) {
        if ((text[0] & forms[i].mask) != forms[i].lead)
            continue;
        uint32_t code = text[0] & (uint8_t)~forms[i].mask;
        for (size_t j = 1; j < forms[i].length; j++) {
            if ((text[j] & 0xc0) != 0x80)
                return 0;
            code = code << 6 | (text[j] & 0x3f);
        }
        bool valid = code >= forms[i].minimum && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
        return valid ? forms[i].length : 0;
    }
    return 0;
}

static int check_name(const char *name, InaError *error)
{
    size_t length = name ? strnlen(name, STORE_PRODUCER_NAME_MAX + 1) : 0;
    if (length == 0)
        return ina_error_set(error, EINVAL, "a batch without a producer; its name and incarnation are needed");
    if (length > STORE_PRODUCER_NAME_MAX)
        return ina_error_set(error, EINVAL, "the producer's name \"%.32s...\" is longer than %u bytes", name,
                             STORE_PRODUCER_NAME_MAX);
    for (size_t i = 0; i < length;) {
        size_t n = utf8_length((const uint8_t *)name + i);
        if (n == 0)
            return ina_error_set(error, EINVAL, "the producer's name is not UTF-8 at byte %zu", i);
        if ((uint8_t)name[i] < 0x20 || name[i] == 0x7f)
            return ina_error_set(error, EINVAL, "the producer's name has a control character at byte %zu", i);
        i += n;
    }
    return 0;
}

int store_batch_check(const StoreBatch *batch, InaError *error)
{
    int result = check_name(batch->producer, error);
    if (result < 0)
        return result;
    if (batch->first_sequence >= INT64_MAX || batch->columns.count > INT64_MAX - batch->first_sequence)
        return ina_error_set(error, EINVAL,
                             "the batch of producer \"%s\" has %zu results from sequence number %llu on, beyond 2^63",
                             batch->producer, batch->columns.count, (unsigned long long)batch->first_sequence);
    return 0;
}

/* --- opening -------------------------------------------------------------- */

static int read_version(StoreDb *db, int64_t *ret, InaError *error)
{
    int result = 0;
    if (sqlite3_step(db->data_version) != SQLITE_ROW)
        result = store_file_error(db->file, "reading its version", error);
    else
        *ret = sqlite3_column_int64(db->data_version, 0);
    sqlite3_reset(db->data_version);
    return result;
}

static int read_counts(StoreDb *db, InaError *error)
{
    int result = 0;
    if (sqlite3_step(db->count) != SQLITE_ROW) {
        result = store_file_error(db->file, "counting its results", error);
    } else {
        db->counts.stored = (uint64_t)sqlite3_column_int64(db->count, 0);
        db->counts.expired = (uint64_t)sqlite3_column_int64(db->count, 1);
        db->counts.producers = (uint64_t)sqlite3_column_int64(db->count, 2);
    }
    sqlite3_reset(db->count);
    return result;
}

static int note_log(void *userdata, sqlite3 *connection, const char *name, int pages)
{
    StoreDb *db = userdata;
    db->log_bytes = (uint64_t)pages * (uint64_t)db->page_size;
    return SQLITE_OK;
}

static int prepare_all(StoreDb *db, InaError *error)
{
    const struct {
        sqlite3_stmt **statement;
        const char *sql;
    } statements[] = {
        {&db->begin, "BEGIN IMMEDIATE"},
        {&db->commit, "COMMIT"},
        {&db->rollback, "ROLLBACK"},
        {&db->data_version, "PRAGMA data_version"},
        {&db->count, "SELECT (SELECT coalesce(sum(stored), 0) FROM seen), coalesce(sum(expired), 0), count(*)"
                     " FROM producers"},
        {&db->oldest, "SELECT id, producer, count FROM batches ORDER BY id"},
        {&db->expire, "DELETE FROM batches WHERE id <= ?1"},
        {&db->count_expired, "UPDATE producers SET expired = expired + ?2 WHERE id = ?1"},
    };
    for (size_t i = 0; i < sizeof(statements) / sizeof(*statements); i++) {
        int result = store_file_prepare(db->file, statements[i].sql, statements[i].statement, error);
        if (result < 0)
            return result;
    }
    return 0;
}

static int open_all(StoreDb *db, const char *path, const StoreOptions *options, InaError *error)
{
    int result = store_file_open(path, options ? options->vfs : NULL, &db->file, error);
    if (result == 0)
        result = prepare_all(db, error);
    if (result == 0)
        result = store_producers_new(db->file, &db->producers, error);
    if (result == 0)
        result = store_merge_new(db->file, &db->merge, error);
    if (result == 0)
        result = read_version(db, &db->version, error);
    if (result == 0)
        result = read_counts(db, error);
    if (result == 0) {
        sqlite3_stmt *page_size = NULL;
        if (sqlite3_prepare_v2(db->file->db, "PRAGMA page_size", -1, &page_size, NULL) == SQLITE_OK &&
            sqlite3_step(page_size) == SQLITE_ROW)
            db->page_size = sqlite3_column_int(page_size, 0);
        sqlite3_finalize(page_size);
        sqlite3_wal_hook(db->file->db, note_log, db);
    }
    return result;
}

int store_db_open(const char *path, const StoreOptions *options, StoreDb **ret, InaError *error)
{
    StoreDb *db = calloc(1, sizeof(*db));
    if (!db)
        return ina_error_set(error, ENOMEM, "out of memory");
    int result = open_all(db, path, options, error);
    if (result < 0) {
        store_db_free(db);
        return result;
    }
    store_db_set_capacity(db, options && options->capacity ? options->capacity : STORE_CAPACITY_DEFAULT);
    *ret = db;
    return 0;
}

void store_db_set_capacity(StoreDb *db, uint64_t capacity)
{
    db->capacity = capacity;
}

void store_db_status(const StoreDb *db, StoreDbStatus *ret)
{
    *ret = (StoreDbStatus){
        .results = db->counts.stored - db->counts.expired,
        .capacity = db->capacity,
        .stored = db->counts.stored,
        .expired = db->counts.expired,
        .duplicates = db->duplicates,
    };
}

uint64_t store_db_log_bytes(const StoreDb *db)
{
    return db->log_bytes;
}

StoreDb *store_db_free(StoreDb *db)
{
    if (!db)
        return NULL;
    store_merge_free(db->merge);
    store_producers_free(db->producers);
    sqlite3_finalize(db->begin);
    sqlite3_finalize(db->commit);
    sqlite3_finalize(db->rollback);
    sqlite3_finalize(db->data_version);
    sqlite3_finalize(db->count);
    sqlite3_finalize(db->oldest);
    sqlite3_finalize(db->expire);
    sqlite3_finalize(db->count_expired);
    store_file_free(db->file);
    free(db);
    return NULL;
}

/* --- retention ------------------------------------------------------------ */

static int count_expired(StoreDb *db, int64_t producer, uint64_t count, InaError *error)
{
    sqlite3_bind_int64(db->count_expired, 1, producer);
    sqlite3_bind_int64(db->count_expired, 2, (int64_t)count);
    return store_file_run(db->file, db->count_expired, "counting expired results", error);
}

/* When more than the capacity is kept: deletes the oldest rows and counts their
 * results by producer. Rows are in order of arrival. It goes a little below the
 * capacity, so that not each transaction has to change the pages at both ends. */
static int expire(StoreDb *db, Counts *counts, InaError *error)
{
    uint64_t kept = counts->stored - counts->expired, wanted = db->capacity - db->capacity / EXPIRE_SHARE;
    if (kept <= db->capacity)
        return 0;
    int result = 0, step;
    int64_t last = -1, producer = -1;
    uint64_t of_producer = 0;
    while (kept > wanted && (step = sqlite3_step(db->oldest)) == SQLITE_ROW) {
        uint64_t count = (uint64_t)sqlite3_column_int64(db->oldest, 2);
        if (producer != sqlite3_column_int64(db->oldest, 1) && of_producer > 0) {
            result = count_expired(db, producer, of_producer, error);
            if (result < 0)
                break;
            of_producer = 0;
        }
        last = sqlite3_column_int64(db->oldest, 0);
        producer = sqlite3_column_int64(db->oldest, 1);
        of_producer += count;
        counts->expired += count;
        kept = kept > count ? kept - count : 0;
    }
    if (result == 0 && kept > wanted)
        result = step == SQLITE_DONE ? ina_error_set(error, EUCLEAN,
                                                     "%s is damaged: it has fewer results than its table `producers` "
                                                     "says; compare with `inaetics verify`",
                                                     db->file->path)
                                     : store_file_error(db->file, "expiring results", error);
    sqlite3_reset(db->oldest);
    if (result == 0 && of_producer > 0)
        result = count_expired(db, producer, of_producer, error);
    if (result == 0) {
        sqlite3_bind_int64(db->expire, 1, last);
        result = store_file_run(db->file, db->expire, "expiring results", error);
    }
    return result;
}

/* --- putting -------------------------------------------------------------- */

/* Rows are small against the capacity, so that expiring one leaves most. */
static size_t row_max(const StoreDb *db)
{
    uint64_t eighth = db->capacity / 8;
    return eighth < 1 ? 1 : eighth < STORE_ROW_RESULTS_MAX ? (size_t)eighth : STORE_ROW_RESULTS_MAX;
}

/* Someone else may have written since: then what is remembered is void. */
static int refresh(StoreDb *db, InaError *error)
{
    int64_t version = 0;
    int result = read_version(db, &version, error);
    if (result == 0 && version != db->version) {
        store_producers_clear(db->producers);
        result = read_counts(db, error);
        if (result == 0)
            db->version = version;
    }
    return result;
}

static int transact(StoreDb *db, StorePut *puts, size_t n_puts, Counts *ret_counts, InaError *error)
{
    int result = refresh(db, error);
    if (result < 0)
        return result;
    Counts counts = db->counts;
    store_producers_added(db->producers);
    result = store_merge_puts(db->merge, db->producers, puts, n_puts, row_max(db), error);
    if (result < 0)
        return result;
    counts.producers += store_producers_added(db->producers);
    if (counts.producers > STORE_PRODUCERS_MAX)
        return ina_error_set(error, ENOSPC, "%s knows %u producers, the most it takes", db->file->path,
                             STORE_PRODUCERS_MAX);
    for (size_t i = 0; i < n_puts; i++)
        counts.stored += puts[i].stored;
    result = expire(db, &counts, error);
    if (result == 0)
        result = store_file_run(db->file, db->commit, "committing results", error);
    if (result == 0)
        *ret_counts = counts;
    return result;
}

/* When nobody makes checkpoints beside, or puts never pause: better late than
 * a log without end. A failure shows itself in the put, or does not matter. */
static void shorten_log(StoreDb *db)
{
    int pages = 0, copied = 0;
    if (sqlite3_wal_checkpoint_v2(db->file->db, NULL, SQLITE_CHECKPOINT_PASSIVE, &pages, &copied) == SQLITE_OK &&
        pages == copied)
        db->log_bytes = 0; /* the next transaction begins at its start */
}

int store_db_put(StoreDb *db, StorePut *puts, size_t n_puts, InaError *error)
{
    if (db->log_bytes > STORE_LOG_MAX)
        shorten_log(db);
    if (store_producers_cached(db->producers) > STORE_PRODUCERS_CACHED_MAX)
        store_producers_clear(db->producers);

    int result = store_file_run(db->file, db->begin, "beginning a transaction", error);
    if (result < 0)
        return result;
    Counts counts = {0};
    result = transact(db, puts, n_puts, &counts, error);
    if (result < 0) {
        store_producers_clear(db->producers);
        if (!sqlite3_get_autocommit(db->file->db))
            (void)store_file_run(db->file, db->rollback, "undoing a transaction", NULL);
        return result;
    }
    db->counts = counts;
    for (size_t i = 0; i < n_puts; i++)
        db->duplicates += puts[i].duplicates;
    return 0;
}

/* --- checkpoints ---------------------------------------------------------- */

struct StoreCheckpoint {
    StoreFile *file;
    uint64_t page_size;
};

int store_checkpoint_open(const char *path, const char *vfs, StoreCheckpoint **ret, InaError *error)
{
    StoreCheckpoint *checkpoint = calloc(1, sizeof(*checkpoint));
    if (!checkpoint)
        return ina_error_set(error, ENOMEM, "out of memory");
    int result = store_file_open_again(path, vfs, &checkpoint->file, error);
    if (result < 0) {
        free(checkpoint);
        return result;
    }
    checkpoint->page_size = STORE_PAGE_SIZE;
    *ret = checkpoint;
    return 0;
}

int store_checkpoint_run(StoreCheckpoint *checkpoint, uint64_t *ret_rest, InaError *error)
{
    int pages = 0, copied = 0;
    int code = sqlite3_wal_checkpoint_v2(checkpoint->file->db, NULL, SQLITE_CHECKPOINT_PASSIVE, &pages, &copied);
    if (code != SQLITE_OK && (code & 0xff) != SQLITE_BUSY)
        return store_file_error(checkpoint->file, "making a checkpoint", error);
    *ret_rest = pages > copied && copied >= 0 ? (uint64_t)(pages - copied) * checkpoint->page_size : 0;
    return 0;
}

StoreCheckpoint *store_checkpoint_free(StoreCheckpoint *checkpoint)
{
    if (!checkpoint)
        return NULL;
    store_file_free(checkpoint->file);
    free(checkpoint);
    return NULL;
}
