/* store_scan.c - the stored batches of a stretch of time. */
#include "store_scan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct StoreScan {
    const StoreFile *file;
    sqlite3_stmt *next_class, *batches, *payload, *producers;
    bool all;
    int64_t *ids; /* of the producers wanted, ascending */
    size_t n_ids, ids_room;
};

int store_scan_new(const StoreFile *file, StoreScan **ret, InaError *error)
{
    StoreScan *scan = calloc(1, sizeof(*scan));
    if (!scan)
        return ina_error_set(error, ENOMEM, "out of memory");
    scan->file = file;
    scan->all = true;
    const struct {
        sqlite3_stmt **statement;
        const char *sql;
    } statements[] = {
        {&scan->next_class, "SELECT min(span) FROM batches WHERE span > ?1"},
        /* Answered from the index alone; the payload is fetched when it is wanted. */
        {&scan->batches, "SELECT begin_us, end_us, producer, id FROM batches"
                         " WHERE span = ?1 AND begin_us BETWEEN ?2 AND ?3 ORDER BY begin_us"},
        {&scan->payload, "SELECT first, count, payload FROM batches WHERE id = ?1"},
        {&scan->producers, "SELECT id, name FROM producers WHERE name >= ?1 ORDER BY name"},
    };
    for (size_t i = 0; i < sizeof(statements) / sizeof(*statements); i++) {
        int result = store_file_prepare(file, statements[i].sql, statements[i].statement, error);
        if (result < 0) {
            store_scan_free(scan);
            return result;
        }
    }
    *ret = scan;
    return 0;
}

StoreScan *store_scan_free(StoreScan *scan)
{
    if (!scan)
        return NULL;
    sqlite3_finalize(scan->next_class);
    sqlite3_finalize(scan->batches);
    sqlite3_finalize(scan->payload);
    sqlite3_finalize(scan->producers);
    free(scan->ids);
    free(scan);
    return NULL;
}

/* --- producers -------------------------------------------------------------- */

static int compare_ids(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int add_id(StoreScan *scan, int64_t id, InaError *error)
{
    if (scan->n_ids == scan->ids_room) {
        size_t room = scan->ids_room ? scan->ids_room * 2 : 16;
        int64_t *more = reallocarray(scan->ids, room, sizeof(*more));
        if (!more)
            return ina_error_set(error, ENOMEM, "out of memory");
        scan->ids = more;
        scan->ids_room = room;
    }
    scan->ids[scan->n_ids++] = id;
    return 0;
}

int store_scan_producers(StoreScan *scan, const char *name, InaError *error)
{
    scan->all = !name || !*name;
    scan->n_ids = 0;
    if (scan->all)
        return 0;
    size_t length = strlen(name);
    int result = 0, step;
    sqlite3_bind_text(scan->producers, 1, name, -1, SQLITE_STATIC);
    while (result == 0 && (step = sqlite3_step(scan->producers)) == SQLITE_ROW) {
        const char *found = (const char *)sqlite3_column_text(scan->producers, 1);
        if (!found || strncmp(found, name, length) != 0)
            break; /* names with this beginning come first, and together */
        bool wanted = !found[length] || (found[length] == '.' && strrchr(found, '.') == found + length);
        if (wanted)
            result = add_id(scan, sqlite3_column_int64(scan->producers, 0), error);
    }
    if (result == 0 && step != SQLITE_ROW && step != SQLITE_DONE)
        result = store_file_error(scan->file, "finding producers", error);
    sqlite3_reset(scan->producers);
    if (scan->n_ids > 0)
        qsort(scan->ids, scan->n_ids, sizeof(*scan->ids), compare_ids);
    return result;
}

static bool wants(const StoreScan *scan, int64_t producer)
{
    return scan->all ||
           (scan->n_ids > 0 && bsearch(&producer, scan->ids, scan->n_ids, sizeof(*scan->ids), compare_ids) != NULL);
}

/* --- batches ---------------------------------------------------------------- */

typedef int (*Each)(void *userdata, const StoreScanBatch *batch, InaError *error);

static int read_batch(StoreScan *scan, int64_t id, StoreScanBatch *batch, Each each, void *userdata, InaError *error)
{
    int result = 0;
    sqlite3_bind_int64(scan->payload, 1, id);
    int step = sqlite3_step(scan->payload);
    if (step == SQLITE_ROW) {
        batch->first_sequence = (uint64_t)sqlite3_column_int64(scan->payload, 0);
        const void *data = sqlite3_column_blob(scan->payload, 2);
        result = store_payload_read(data, (size_t)sqlite3_column_bytes(scan->payload, 2),
                                    (uint64_t)sqlite3_column_int64(scan->payload, 1), &batch->payload, error);
        if (result < 0)
            ina_error_wrap(error, "%s: row %lld of `batches` is damaged", scan->file->path, (long long)id);
        else
            result = each(userdata, batch, error);
    } else if (step != SQLITE_DONE) {
        result = store_file_error(scan->file, "reading results", error);
    }
    sqlite3_reset(scan->payload);
    return result;
}

/* Where batches of the class can begin that reach `first`. */
static int64_t class_begin(int span, int64_t first)
{
    uint64_t longest = span >= 64 ? UINT64_MAX : (UINT64_C(1) << span) - 1;
    return (uint64_t)first - (uint64_t)INT64_MIN < longest ? INT64_MIN : (int64_t)((uint64_t)first - longest);
}

static int scan_class(StoreScan *scan, int span, int64_t first, int64_t *last, Each each, void *userdata,
                      InaError *error)
{
    int result = 0, step = SQLITE_DONE;
    sqlite3_bind_int(scan->batches, 1, span);
    sqlite3_bind_int64(scan->batches, 2, class_begin(span, first));
    sqlite3_bind_int64(scan->batches, 3, *last);
    while (result == 0 && (step = sqlite3_step(scan->batches)) == SQLITE_ROW) {
        StoreScanBatch batch = {
            .producer = sqlite3_column_int64(scan->batches, 2),
            .times = {sqlite3_column_int64(scan->batches, 0), sqlite3_column_int64(scan->batches, 1)},
        };
        if (batch.times.first > *last)
            break;
        if (batch.times.last >= first && wants(scan, batch.producer))
            result = read_batch(scan, sqlite3_column_int64(scan->batches, 3), &batch, each, userdata, error);
    }
    if (result == 0 && step != SQLITE_ROW && step != SQLITE_DONE)
        result = store_file_error(scan->file, "reading results", error);
    sqlite3_reset(scan->batches);
    return result;
}

int store_scan_run(StoreScan *scan, int64_t first, int64_t *last, Each each, void *userdata, InaError *error)
{
    int span = -1;
    for (;;) {
        sqlite3_bind_int(scan->next_class, 1, span);
        int step = sqlite3_step(scan->next_class), result = 0;
        bool found = step == SQLITE_ROW && sqlite3_column_type(scan->next_class, 0) != SQLITE_NULL;
        if (found)
            span = sqlite3_column_int(scan->next_class, 0);
        else if (step != SQLITE_ROW)
            result = store_file_error(scan->file, "reading results", error);
        sqlite3_reset(scan->next_class);
        if (result < 0 || !found)
            return result;
        if (span < 0 || span > 64)
            return ina_error_set(error, EBADMSG, "%s: `batches` has a row with span %d; 0 to 64 are right",
                                 scan->file->path, span);
        result = scan_class(scan, span, first, last, each, userdata, error);
        if (result < 0)
            return result;
    }
}
