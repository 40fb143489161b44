/* store_test.c - what the tests of the store share. */
#include "store_test.h"
#include "tests/leftovers.h"
#include "tests/seed.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *const model_names[MODEL_PRODUCERS] = {"host-0.5f3a9c1e2b7d4a60", "csv-1.0011223344556677",
                                                  "host-0.ffeeddccbbaa9988"};

/* --- folder --------------------------------------------------------------------- */

void folder_new(Folder *folder)
{
    const char *temporary = getenv("TMPDIR");
    snprintf(folder->path, sizeof(folder->path), "%.90s/store-test-XXXXXX", temporary ? temporary : "/tmp");
    assert_non_null(make_test_folder(folder->path));
    snprintf(folder->file, sizeof(folder->file), "%s/results.db", folder->path);
}

void folder_remove_all(const Folder *folder)
{
    DIR *directory = opendir(folder->path);
    assert_non_null(directory);
    const struct dirent *entry;
    while ((entry = readdir(directory)))
        if (entry->d_name[0] != '.')
            assert_int_equal(unlinkat(dirfd(directory), entry->d_name, 0), 0);
    closedir(directory);
    assert_int_equal(rmdir(folder->path), 0);
}

/* --- random ----------------------------------------------------------------------- */

uint64_t store_seed(void)
{
    unsigned seed = test_seed();
    print_message("INAETICS_SEED=%u\n", seed);
    return seed;
}

uint64_t random_next(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15)); /* splitmix64 */
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

uint64_t random_below(uint64_t *state, uint64_t limit)
{
    return random_next(state) % limit;
}

/* --- results ------------------------------------------------------------------------ */

StoreRecord result_of(size_t producer, uint64_t sequence)
{
    uint64_t state = producer * 1000003 + sequence;
    StoreRecord record = {.sequence = sequence};
    /* Clocks jitter and step, also backwards, and times repeat. */
    record.time_us = TIME_BASE + (int64_t)(sequence * 1000) + (int64_t)random_below(&state, 5000) -
                     (int64_t)(sequence % 700 == 0 ? 3000000 : 0);
    record.time_us -= record.time_us % 100;
    record.value1 = (double)random_below(&state, 2000000) / 1e4 - 100;
    record.value2 = (double)random_below(&state, 2000000) / 1e4 - 100;
    record.processing_time_us = record.time_us + (int64_t)random_below(&state, 100000);
    record.result = record.value1 + record.value2;
    return record;
}

void assert_result(const StoreRecord *record, size_t producer)
{
    StoreRecord expected = result_of(producer, record->sequence);
    assert_int_equal(record->time_us, expected.time_us);
    assert_int_equal(record->processing_time_us, expected.processing_time_us);
    assert_memory_equal(&record->value1, &expected.value1, sizeof(double));
    assert_memory_equal(&record->value2, &expected.value2, sizeof(double));
    assert_memory_equal(&record->result, &expected.result, sizeof(double));
}

void batches_add(Batches *batches, size_t producer, uint64_t first, size_t count)
{
    if (batches->count == batches->room) {
        batches->room = batches->room ? batches->room * 2 : 8;
        batches->batches = reallocarray(batches->batches, batches->room, sizeof(StoreBatch));
        assert_non_null(batches->batches);
    }
    size_t n = count ? count : 1;
    int64_t *times = calloc(n, 8), *processing = calloc(n, 8);
    double *value1 = calloc(n, 8), *value2 = calloc(n, 8), *result = calloc(n, 8);
    assert_true(times && processing && value1 && value2 && result);
    for (size_t i = 0; i < count; i++) {
        StoreRecord record = result_of(producer, first + i);
        times[i] = record.time_us;
        processing[i] = record.processing_time_us;
        value1[i] = record.value1;
        value2[i] = record.value2;
        result[i] = record.result;
    }
    batches->batches[batches->count++] =
        (StoreBatch){model_names[producer], first, {count, times, value1, value2, processing, result}};
}

void batches_clear(Batches *batches)
{
    for (size_t i = 0; i < batches->count; i++) {
        const StoreColumns *columns = &batches->batches[i].columns;
        free((void *)columns->time_us);
        free((void *)columns->processing_time_us);
        free((void *)columns->value1);
        free((void *)columns->value2);
        free((void *)columns->result);
    }
    free(batches->batches);
    *batches = (Batches){0};
}

/* --- model ----------------------------------------------------------------------------- */

static size_t producer_index(const char *name)
{
    for (size_t i = 0; i < MODEL_PRODUCERS; i++)
        if (strcmp(model_names[i], name) == 0)
            return i;
    fail_msg("unknown producer \"%s\"", name);
    return 0;
}

uint64_t model_put(Model *model, const Batches *batches)
{
    uint64_t new = 0;
    for (size_t i = 0; i < batches->count; i++) {
        const StoreBatch *batch = batches->batches + i;
        bool *seen = model->seen[producer_index(batch->producer)];
        for (uint64_t j = batch->first_sequence; j < batch->first_sequence + batch->columns.count; j++) {
            assert_true(j < MODEL_SEQUENCES);
            new += !seen[j];
            seen[j] = true;
        }
    }
    return new;
}

uint64_t model_count(const Model *model)
{
    uint64_t count = 0;
    for (size_t i = 0; i < MODEL_PRODUCERS; i++)
        for (size_t j = 0; j < MODEL_SEQUENCES; j++)
            count += model->seen[i][j];
    return count;
}

void assert_seen(const char *path, const Model *model)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db,
                                        "SELECT first, last, stored, sum FROM seen JOIN producers p ON p.id = producer"
                                        " WHERE name = ? ORDER BY first",
                                        -1, &statement, NULL),
                     SQLITE_OK);
    for (size_t i = 0; i < MODEL_PRODUCERS; i++) {
        sqlite3_bind_text(statement, 1, model_names[i], -1, SQLITE_STATIC);
        for (size_t first = 0; first < MODEL_SEQUENCES;) {
            if (!model->seen[i][first]) {
                first++;
                continue;
            }
            size_t past = first;
            uint64_t sum = 0;
            for (; past < MODEL_SEQUENCES && model->seen[i][past]; past++)
                sum += past;
            assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
            assert_int_equal(sqlite3_column_int64(statement, 0), first);
            assert_int_equal(sqlite3_column_int64(statement, 1), past - 1);
            assert_int_equal(sqlite3_column_int64(statement, 2), past - first);
            assert_int_equal(sqlite3_column_int64(statement, 3), sum);
            first = past;
        }
        assert_int_equal(sqlite3_step(statement), SQLITE_DONE);
        sqlite3_reset(statement);
    }
    sqlite3_finalize(statement);
    sqlite3_close(db);
}

void assert_results(const char *path, const Model *model, uint64_t expected)
{
    StoreReader *reader = NULL;
    StoreCursor *cursor = NULL;
    InaError error;
    Model *found = calloc(1, sizeof(*found));
    assert_non_null(found);
    if (store_reader_open(path, NULL, &reader, &error) < 0)
        fail_msg("%s", error.message);
    assert_int_equal(store_cursor_open(reader, INT64_MIN, INT64_MAX, NULL, &cursor, &error), 0);
    StoreRecord record, before = {.time_us = INT64_MIN};
    uint64_t count = 0;
    int more;
    while ((more = store_cursor_next(cursor, &record, &error)) == 1) {
        size_t producer = producer_index(store_reader_producer(reader, record.producer));
        assert_true(record.sequence < MODEL_SEQUENCES);
        assert_true(model->seen[producer][record.sequence]);
        assert_false(found->seen[producer][record.sequence]);
        found->seen[producer][record.sequence] = true;
        assert_true(record.time_us >= before.time_us);
        assert_result(&record, producer);
        before = record;
        count++;
    }
    if (more < 0)
        fail_msg("%s", error.message);
    assert_int_equal(count, expected);
    store_cursor_free(cursor);
    store_reader_free(reader);
    free(found);
}

StoreDb *open_store(const char *path, const StoreOptions *options)
{
    StoreDb *db = NULL;
    InaError error;
    if (store_db_open(path, options, &db, &error) < 0)
        fail_msg("%s", error.message);
    return db;
}

void put_ok(StoreDb *db, const Batches *batches, uint64_t *ret_stored, uint64_t *ret_duplicates)
{
    InaError error;
    StorePut put = {.batches = batches->batches, .n_batches = batches->count};
    if (store_db_put(db, &put, 1, &error) < 0)
        fail_msg("%s", error.message);
    *ret_stored = put.stored;
    *ret_duplicates = put.duplicates;
}
