/* store_reader.c - results by time, in pages. */
#include "store_reader.h"

#include "store_reader_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- opening ---------------------------------------------------------------- */

int store_reader_open(const char *path, const char *vfs, StoreReader **ret, InaError *error)
{
    StoreReader *reader = calloc(1, sizeof(*reader));
    if (!reader)
        return ina_error_set(error, ENOMEM, "out of memory");
    int result = store_file_open_read(path, vfs, &reader->file, error);
    if (result == 0)
        result = store_scan_new(reader->file, &reader->scan, error);
    if (result == 0)
        result = store_file_prepare(reader->file, "SELECT name FROM producers WHERE id = ?1", &reader->name, error);
    if (result < 0)
        store_reader_free(reader);
    else
        *ret = reader;
    return result;
}

StoreReader *store_reader_free(StoreReader *reader)
{
    if (!reader)
        return NULL;
    sqlite3_finalize(reader->name);
    store_scan_free(reader->scan);
    store_file_free(reader->file);
    free(reader);
    return NULL;
}

const char *store_reader_producer(StoreReader *reader, int64_t producer)
{
    sqlite3_reset(reader->name);
    sqlite3_bind_int64(reader->name, 1, producer);
    const char *name =
        sqlite3_step(reader->name) == SQLITE_ROW ? (const char *)sqlite3_column_text(reader->name, 0) : NULL;
    snprintf(reader->name_text, sizeof(reader->name_text), "%s", name ? name : "?");
    sqlite3_reset(reader->name);
    return reader->name_text;
}

int store_reader_begin(StoreReader *reader, const char *producer, InaError *error)
{
    int result = store_file_exec(reader->file, "BEGIN", "reading results", error);
    return result < 0 ? result : store_scan_producers(reader->scan, producer, error);
}

void store_reader_end(StoreReader *reader)
{
    sqlite3_exec(reader->file->db, "ROLLBACK", NULL, NULL, NULL);
}

/* --- the smallest of what is behind a position ------------------------------- */

/* A heap with the largest on top, of at most `room` records. */
typedef struct Selection {
    StoreRecord *records;
    size_t count, room;
    StoreRecord after; /* only what is behind it is taken */
    bool has_after;
    int64_t first, last;
} Selection;

static bool less(const StoreRecord *a, const StoreRecord *b)
{
    if (a->time_us != b->time_us)
        return a->time_us < b->time_us;
    if (a->producer != b->producer)
        return a->producer < b->producer;
    return a->sequence < b->sequence;
}

static int compare_records(const void *a, const void *b)
{
    return less(a, b) ? -1 : less(b, a) ? 1 : 0;
}

static void sift_up(StoreRecord *heap, size_t at)
{
    StoreRecord record = heap[at];
    for (; at > 0 && less(&heap[(at - 1) / 2], &record); at = (at - 1) / 2)
        heap[at] = heap[(at - 1) / 2];
    heap[at] = record;
}

static void replace_top(StoreRecord *heap, size_t count, const StoreRecord *record)
{
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= count)
            break;
        if (child + 1 < count && less(&heap[child], &heap[child + 1]))
            child++;
        if (!less(record, &heap[child]))
            break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = *record;
}

static int select_batch(void *userdata, const StoreScanBatch *batch, InaError *error)
{
    Selection *selection = userdata;
    for (uint32_t i = 0; i < batch->payload.count; i++) {
        StoreRecord record = {
            .time_us = store_payload_time(&batch->payload, i),
            .producer = batch->producer,
            .sequence = batch->first_sequence + i,
        };
        if (record.time_us < selection->first || record.time_us > selection->last ||
            (selection->has_after && !less(&selection->after, &record)))
            continue;
        bool full = selection->count == selection->room;
        if (full && !less(&record, selection->records))
            continue;
        record.value1 = store_payload_value1(&batch->payload, i);
        record.value2 = store_payload_value2(&batch->payload, i);
        record.processing_time_us = store_payload_processing_time(&batch->payload, i);
        record.result = store_payload_result(&batch->payload, i);
        if (full) {
            replace_top(selection->records, selection->count, &record);
        } else {
            selection->records[selection->count++] = record;
            sift_up(selection->records, selection->count - 1);
        }
        if (selection->count == selection->room)
            selection->last = selection->records->time_us; /* later ones cannot get in */
    }
    return 0;
}

/* --- pages -------------------------------------------------------------------- */

/* "1.<time>.<producer>.<sequence>", numbers in decimal. */
static void write_token(const StoreRecord *record, char token[STORE_PAGE_TOKEN_MAX])
{
    snprintf(token, STORE_PAGE_TOKEN_MAX, "1.%" PRId64 ".%" PRId64 ".%" PRIu64, record->time_us, record->producer,
             record->sequence);
}

static int read_token(const char *token, StoreRecord *ret, InaError *error)
{
    StoreRecord record = {0};
    char again[STORE_PAGE_TOKEN_MAX], *end = NULL;
    bool valid = strncmp(token, "1.", 2) == 0;
    if (valid)
        record.time_us = strtoll(token + 2, &end, 10);
    if (valid && *end == '.')
        record.producer = strtoll(end + 1, &end, 10);
    if (valid && *end == '.')
        record.sequence = strtoull(end + 1, &end, 10);
    /* What is not written as we write it is none, whatever it was read as. */
    write_token(&record, again);
    if (!valid || strcmp(token, again) != 0)
        return ina_error_set(error, EINVAL, "page \"%.80s\" is none; give the next_page of the reply before, unchanged",
                             token);
    *ret = record;
    return 0;
}

static int check_range(int64_t begin_us, int64_t end_us, InaError *error)
{
    if (begin_us > end_us)
        return ina_error_set(error, EINVAL, "begin_us %lld is behind end_us %lld", (long long)begin_us,
                             (long long)end_us);
    return 0;
}

static int run_query(StoreReader *reader, const char *producer, Selection *selection, InaError *error)
{
    int result = store_reader_begin(reader, producer, error);
    if (result == 0)
        result = store_scan_run(reader->scan, selection->first, &selection->last, select_batch, selection, error);
    store_reader_end(reader);
    return result;
}

int store_reader_query(StoreReader *reader, const StoreQuery *query, StorePage *ret, InaError *error)
{
    uint32_t maximum = query->maximum ? query->maximum : STORE_QUERY_DEFAULT;
    if (maximum > STORE_QUERY_MAX)
        return ina_error_set(error, EINVAL, "maximum is %u; 1 to %u are allowed", maximum, STORE_QUERY_MAX);
    int result = check_range(query->begin_us, query->end_us, error);
    Selection selection = {.room = maximum, .first = query->begin_us};
    if (result == 0 && query->page && *query->page) {
        result = read_token(query->page, &selection.after, error);
        selection.has_after = true;
        if (selection.after.time_us > selection.first)
            selection.first = selection.after.time_us;
    }
    if (result < 0)
        return result;
    *ret = (StorePage){0};
    if (query->begin_us == query->end_us)
        return 0;
    selection.last = query->end_us - 1;
    selection.records = calloc(maximum, sizeof(StoreRecord));
    if (!selection.records)
        return ina_error_set(error, ENOMEM, "out of memory");
    result = run_query(reader, query->producer, &selection, error);
    if (result < 0) {
        free(selection.records);
        return result;
    }
    qsort(selection.records, selection.count, sizeof(StoreRecord), compare_records);
    ret->records = selection.records;
    ret->count = selection.count;
    /* A full page may be the last without our knowing: batches behind it were not read. */
    if (selection.count == maximum)
        write_token(&selection.records[selection.count - 1], ret->next);
    return 0;
}

void store_page_clear(StorePage *page)
{
    free(page->records);
    *page = (StorePage){0};
}

/* --- cursor -------------------------------------------------------------------- */

struct StoreCursor {
    StoreReader *reader;
    StoreQuery query;
    char *producer;
    StorePage page;
    size_t at;
    char token[STORE_PAGE_TOKEN_MAX];
    bool begun;
};

int store_cursor_open(StoreReader *reader, int64_t begin_us, int64_t end_us, const char *producer, StoreCursor **ret,
                      InaError *error)
{
    int result = check_range(begin_us, end_us, error);
    if (result < 0)
        return result;
    StoreCursor *cursor = calloc(1, sizeof(*cursor));
    if (!cursor || !(cursor->producer = strdup(producer ? producer : ""))) {
        free(cursor);
        return ina_error_set(error, ENOMEM, "out of memory");
    }
    cursor->reader = reader;
    cursor->query = (StoreQuery){.begin_us = begin_us,
                                 .end_us = end_us,
                                 .producer = cursor->producer,
                                 .maximum = STORE_QUERY_MAX,
                                 .page = cursor->token};
    *ret = cursor;
    return 0;
}

int store_cursor_next(StoreCursor *cursor, StoreRecord *ret, InaError *error)
{
    if (cursor->at == cursor->page.count) {
        if (cursor->begun && !*cursor->token)
            return 0;
        store_page_clear(&cursor->page);
        cursor->at = 0;
        int result = store_reader_query(cursor->reader, &cursor->query, &cursor->page, error);
        if (result < 0)
            return result;
        cursor->begun = true;
        memcpy(cursor->token, cursor->page.next, sizeof(cursor->token));
        if (cursor->page.count == 0)
            return 0;
    }
    *ret = cursor->page.records[cursor->at++];
    return 1;
}

StoreCursor *store_cursor_free(StoreCursor *cursor)
{
    if (!cursor)
        return NULL;
    store_page_clear(&cursor->page);
    free(cursor->producer);
    free(cursor);
    return NULL;
}
