/* store_merge.c - what of some puts is new, and writing that. */
#include "store_merge.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Part of a batch: results [first, past) of one producer. */
typedef struct Piece {
    StoreProducer *producer;
    uint64_t first, past;
    const StoreBatch *batch;
    StorePut *put;
} Piece;

/* Of the table `seen`: [first, last], how many results were stored of it and
 * the sum of their sequence numbers modulo 2^64. */
typedef struct Range {
    uint64_t first, last, stored, sum;
} Range;

struct StoreMerge {
    const StoreFile *file;
    sqlite3_stmt *seen_find, *seen_write, *seen_delete, *row_add;
    size_t row_max;
    Piece *pieces;
    size_t n_pieces, pieces_room;
    Range *overlaps; /* seen ranges that touch a run, descending */
    size_t n_overlaps, overlaps_room;
    StoreColumns columns[STORE_ROW_RESULTS_MAX]; /* of the row being made */
    uint8_t payload[STORE_PAYLOAD_MAX];
};

int store_merge_new(const StoreFile *file, StoreMerge **ret, InaError *error)
{
    StoreMerge *merge = calloc(1, sizeof(*merge));
    if (!merge)
        return ina_error_set(error, ENOMEM, "out of memory");
    merge->file = file;
    int result = store_file_prepare(
        file, "SELECT first, last, stored, sum FROM seen WHERE producer = ?1 AND first <= ?2 ORDER BY first DESC",
        &merge->seen_find, error);
    if (result == 0)
        result = store_file_prepare(
            file, "INSERT OR REPLACE INTO seen(producer, first, last, stored, sum) VALUES(?1, ?2, ?3, ?4, ?5)",
            &merge->seen_write, error);
    if (result == 0)
        result = store_file_prepare(file, "DELETE FROM seen WHERE producer = ?1 AND first > ?2 AND first <= ?3",
                                    &merge->seen_delete, error);
    if (result == 0)
        result = store_file_prepare(file,
                                    "INSERT INTO batches(producer, first, count, begin_us, end_us, span, payload)"
                                    " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                                    &merge->row_add, error);
    if (result < 0)
        store_merge_free(merge);
    else
        *ret = merge;
    return result;
}

StoreMerge *store_merge_free(StoreMerge *merge)
{
    if (!merge)
        return NULL;
    sqlite3_finalize(merge->seen_find);
    sqlite3_finalize(merge->seen_write);
    sqlite3_finalize(merge->seen_delete);
    sqlite3_finalize(merge->row_add);
    free(merge->pieces);
    free(merge->overlaps);
    free(merge);
    return NULL;
}

/* --- rows --------------------------------------------------------------- */

static StoreColumns slice(const StoreColumns *columns, size_t from, size_t count)
{
    return (StoreColumns){
        .count = count,
        .time_us = columns->time_us + from,
        .value1 = columns->value1 + from,
        .value2 = columns->value2 + from,
        .processing_time_us = columns->processing_time_us + from,
        .result = columns->result + from,
    };
}

static int write_row(StoreMerge *merge, const StoreProducer *producer, uint64_t first, size_t count, size_t n_columns,
                     InaError *error)
{
    StoreSpan times;
    size_t size = store_payload_write(merge->columns, n_columns, merge->payload, &times);
    sqlite3_stmt *add = merge->row_add;
    sqlite3_bind_int64(add, 1, producer->id);
    sqlite3_bind_int64(add, 2, (int64_t)first);
    sqlite3_bind_int64(add, 3, (int64_t)count);
    sqlite3_bind_int64(add, 4, times.first);
    sqlite3_bind_int64(add, 5, times.last);
    sqlite3_bind_int(add, 6, store_span_class(times));
    sqlite3_bind_blob(add, 7, merge->payload, (int)size, SQLITE_STATIC);
    return store_file_run(merge->file, add, "storing results", error);
}

/* Sum of first .. past - 1, modulo 2^64. */
static uint64_t sum_of(uint64_t first, uint64_t past)
{
    unsigned __int128 count = past - first;
    return (uint64_t)(count * ((unsigned __int128)first + past - 1) / 2);
}

/* Writes results [first, past), which lie in the consecutive `pieces` from *at
 * on, and counts them in `seen`. */
static int write_new(StoreMerge *merge, const Piece *pieces, size_t *at, uint64_t first, uint64_t past, Range *seen,
                     InaError *error)
{
    seen->stored += past - first;
    seen->sum += sum_of(first, past);
    while (first < past) {
        uint64_t row_first = first;
        size_t n_columns = 0, count = 0;
        while (first < past && count < merge->row_max) {
            const Piece *piece = pieces + *at;
            if (piece->past <= first) {
                ++*at;
                continue;
            }
            uint64_t end = piece->past < past ? piece->past : past;
            size_t n = (size_t)(end - first);
            n = n < merge->row_max - count ? n : merge->row_max - count;
            merge->columns[n_columns++] =
                slice(&piece->batch->columns, (size_t)(first - piece->batch->first_sequence), n);
            piece->put->stored += n;
            count += n;
            first += n;
        }
        int result = write_row(merge, pieces->producer, row_first, count, n_columns, error);
        if (result < 0)
            return result;
    }
    return 0;
}

/* --- ranges seen --------------------------------------------------------- */

/* Finds the seen ranges that overlap or touch [first, last]. */
static int find_overlaps(StoreMerge *merge, const StoreProducer *producer, uint64_t first, uint64_t last,
                         InaError *error)
{
    int result = 0, step;
    merge->n_overlaps = 0;
    sqlite3_bind_int64(merge->seen_find, 1, producer->id);
    sqlite3_bind_int64(merge->seen_find, 2, (int64_t)(last + 1));
    while ((step = sqlite3_step(merge->seen_find)) == SQLITE_ROW) {
        Range range = {
            (uint64_t)sqlite3_column_int64(merge->seen_find, 0),
            (uint64_t)sqlite3_column_int64(merge->seen_find, 1),
            (uint64_t)sqlite3_column_int64(merge->seen_find, 2),
            (uint64_t)sqlite3_column_int64(merge->seen_find, 3),
        };
        if (range.last + 1 < first)
            break;
        if (merge->n_overlaps == merge->overlaps_room) {
            size_t room = merge->overlaps_room ? merge->overlaps_room * 2 : 16;
            Range *more = reallocarray(merge->overlaps, room, sizeof(Range));
            if (!more) {
                result = ina_error_set(error, ENOMEM, "out of memory");
                break;
            }
            merge->overlaps = more;
            merge->overlaps_room = room;
        }
        merge->overlaps[merge->n_overlaps++] = range;
    }
    if (step != SQLITE_ROW && step != SQLITE_DONE)
        result = store_file_error(merge->file, "reading what was seen", error);
    sqlite3_reset(merge->seen_find);
    return result;
}

/* Makes the overlaps and what was just stored one range; `range` covers the latter. */
static int join_ranges(StoreMerge *merge, const StoreProducer *producer, Range range, InaError *error)
{
    if (merge->n_overlaps > 0) {
        const Range *lowest = merge->overlaps + merge->n_overlaps - 1, *highest = merge->overlaps;
        bool deletes = merge->n_overlaps > 1 || lowest->first > range.first;
        range.first = lowest->first < range.first ? lowest->first : range.first;
        range.last = highest->last > range.last ? highest->last : range.last;
        for (size_t i = 0; i < merge->n_overlaps; i++) {
            range.stored += merge->overlaps[i].stored;
            range.sum += merge->overlaps[i].sum;
        }
        if (deletes) {
            sqlite3_bind_int64(merge->seen_delete, 1, producer->id);
            sqlite3_bind_int64(merge->seen_delete, 2, (int64_t)range.first);
            sqlite3_bind_int64(merge->seen_delete, 3, (int64_t)range.last);
            int result = store_file_run(merge->file, merge->seen_delete, "noting what was seen", error);
            if (result < 0)
                return result;
        }
    }
    sqlite3_bind_int64(merge->seen_write, 1, producer->id);
    sqlite3_bind_int64(merge->seen_write, 2, (int64_t)range.first);
    sqlite3_bind_int64(merge->seen_write, 3, (int64_t)range.last);
    sqlite3_bind_int64(merge->seen_write, 4, (int64_t)range.stored);
    sqlite3_bind_int64(merge->seen_write, 5, (int64_t)range.sum);
    return store_file_run(merge->file, merge->seen_write, "noting what was seen", error);
}

/* A run: pieces of one producer that are consecutive. Stores its new parts. */
static int store_run(StoreMerge *merge, const Piece *pieces, size_t n_pieces, InaError *error)
{
    StoreProducer *producer = pieces->producer;
    uint64_t first = pieces->first, past = pieces[n_pieces - 1].past;
    Range range = {.first = first, .last = past - 1};
    int result = find_overlaps(merge, producer, first, past - 1, error);
    if (result < 0)
        return result;
    if (merge->n_overlaps == 1 && merge->overlaps->first <= first && merge->overlaps->last >= past - 1)
        return 0;
    size_t at = 0;
    for (size_t i = merge->n_overlaps; result == 0 && i-- > 0;) {
        const Range *seen = merge->overlaps + i;
        if (seen->first > first)
            result = write_new(merge, pieces, &at, first, seen->first < past ? seen->first : past, &range, error);
        first = seen->last + 1 > first ? seen->last + 1 : first;
    }
    if (result == 0 && first < past)
        result = write_new(merge, pieces, &at, first, past, &range, error);
    return result < 0 ? result : join_ranges(merge, producer, range, error);
}

/* --- pieces -------------------------------------------------------------- */

static int compare_pieces(const void *left, const void *right)
{
    const Piece *a = left, *b = right;
    if (a->producer != b->producer)
        return a->producer->id < b->producer->id ? -1 : 1;
    if (a->first != b->first)
        return a->first < b->first ? -1 : 1;
    return 0;
}

static int collect_pieces(StoreMerge *merge, StoreProducers *producers, StorePut *puts, size_t n_puts, InaError *error)
{
    size_t total = 0;
    for (size_t i = 0; i < n_puts; i++)
        total += puts[i].n_batches;
    if (total > merge->pieces_room) {
        free(merge->pieces);
        merge->pieces_room = 0;
        merge->pieces = reallocarray(NULL, total, sizeof(Piece));
        if (!merge->pieces)
            return ina_error_set(error, ENOMEM, "out of memory");
        merge->pieces_room = total;
    }
    merge->n_pieces = 0;
    StoreProducer *producer = NULL;
    bool sorted = true;
    for (size_t i = 0; i < n_puts; i++) {
        for (size_t j = 0; j < puts[i].n_batches; j++) {
            const StoreBatch *batch = puts[i].batches + j;
            if (batch->columns.count == 0)
                continue;
            if (!producer || strcmp(producer->name, batch->producer) != 0) {
                int result = store_producers_get(producers, batch->producer, &producer, error);
                if (result < 0 || !producer)
                    return result;
            }
            Piece *piece = merge->pieces + merge->n_pieces++;
            *piece =
                (Piece){producer, batch->first_sequence, batch->first_sequence + batch->columns.count, batch, puts + i};
            puts[i].duplicates += batch->columns.count; /* all, until stored ones are taken off */
            sorted = sorted && (merge->n_pieces == 1 || compare_pieces(piece - 1, piece) <= 0);
        }
    }
    if (!sorted)
        qsort(merge->pieces, merge->n_pieces, sizeof(Piece), compare_pieces);
    return 0;
}

int store_merge_puts(StoreMerge *merge, StoreProducers *producers, StorePut *puts, size_t n_puts, size_t row_max,
                     InaError *error)
{
    merge->row_max = row_max < STORE_ROW_RESULTS_MAX ? row_max : STORE_ROW_RESULTS_MAX;
    for (size_t i = 0; i < n_puts; i++)
        puts[i].stored = puts[i].duplicates = 0;
    int result = collect_pieces(merge, producers, puts, n_puts, error);

    /* Cut what an earlier piece has, and store each run of consecutive ones. */
    Piece *pieces = merge->pieces;
    size_t run = 0, n_run = 0;
    for (size_t i = 0; result == 0 && i < merge->n_pieces; i++) {
        Piece piece = pieces[i];
        if (n_run > 0 && (piece.producer != pieces[run].producer || piece.first > pieces[run + n_run - 1].past)) {
            result = store_run(merge, pieces + run, n_run, error);
            n_run = 0;
        }
        if (n_run == 0)
            run = i;
        else if (piece.past <= pieces[run + n_run - 1].past)
            continue;
        else
            piece.first = pieces[run + n_run - 1].past;
        pieces[run + n_run++] = piece;
    }
    if (result == 0 && n_run > 0)
        result = store_run(merge, pieces + run, n_run, error);
    for (size_t i = 0; i < n_puts; i++)
        puts[i].duplicates -= puts[i].stored;
    return result;
}
