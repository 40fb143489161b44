/* test_store_put.c - each result counts once, the newest are kept, and nothing is dropped silently. */
#include "store_test.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- idempotence ----------------------------------------------------------------- */

/* Some batches around where the producers are, cut anyhow, in any order. */
static void random_batches(uint64_t *state, uint64_t *next, Batches *batches)
{
    size_t n = 1 + (size_t)random_below(state, 8);
    for (size_t i = 0; i < n; i++) {
        size_t producer = (size_t)random_below(state, MODEL_PRODUCERS);
        uint64_t back = random_below(state, 400), first = next[producer] > back ? next[producer] - back : 0;
        first += random_below(state, 300);
        size_t count = (size_t)random_below(state, random_below(state, 4) ? 20 : 900);
        if (first + count > MODEL_SEQUENCES)
            continue;
        batches_add(batches, producer, first, count);
        next[producer] += random_below(state, 60);
    }
}

static void results_count_once_however_batches_are_cut(void **unused)
{
    uint64_t state = store_seed(), next[MODEL_PRODUCERS] = {0};
    Folder folder;
    folder_new(&folder);
    Model *model = calloc(1, sizeof(*model));
    assert_non_null(model);
    StoreDb *db = open_store(folder.file, NULL);
    for (int i = 0; i < 400; i++) {
        Batches puts[3] = {0};
        StorePut put[3];
        uint64_t expected = 0, stored = 0, total = 0;
        size_t n = 1 + (size_t)random_below(&state, 3);
        for (size_t j = 0; j < n; j++) {
            random_batches(&state, next, &puts[j]);
            put[j] = (StorePut){.batches = puts[j].batches, .n_batches = puts[j].count};
            expected += model_put(model, &puts[j]);
            for (size_t k = 0; k < puts[j].count; k++)
                total += puts[j].batches[k].columns.count;
        }
        InaError error;
        assert_int_equal(store_db_put(db, put, n, &error), 0);
        uint64_t duplicates = 0;
        for (size_t j = 0; j < n; j++) {
            stored += put[j].stored;
            duplicates += put[j].duplicates;
            batches_clear(&puts[j]);
        }
        assert_int_equal(stored, expected);
        assert_int_equal(stored + duplicates, total);
        if (random_below(&state, 50) == 0) {
            store_db_free(db);
            assert_seen(folder.file, model);
            db = open_store(folder.file, NULL);
        }
    }
    StoreDbStatus status;
    store_db_status(db, &status);
    assert_int_equal(status.results, model_count(model));
    assert_int_equal(status.stored, model_count(model));
    assert_int_equal(status.expired, 0);
    assert_seen(folder.file, model);
    assert_results(folder.file, model, model_count(model));
    store_db_free(db);
    free(model);
    folder_remove_all(&folder);
}

static void gaps_close_and_leave_one_range(void **unused)
{
    Folder folder;
    folder_new(&folder);
    Model *model = calloc(1, sizeof(*model));
    StoreDb *db = open_store(folder.file, NULL);
    uint64_t stored, duplicates;
    /* Every other result first, from the end, then all at once. */
    for (uint64_t i = 300; i-- > 0;) {
        Batches batches = {0};
        batches_add(&batches, 0, 2 * i, 1);
        model_put(model, &batches);
        put_ok(db, &batches, &stored, &duplicates);
        assert_int_equal(stored, 1);
        batches_clear(&batches);
    }
    assert_seen(folder.file, model);
    Batches batches = {0};
    batches_add(&batches, 0, 0, 600);
    model_put(model, &batches);
    put_ok(db, &batches, &stored, &duplicates);
    assert_int_equal(stored, 300);
    assert_int_equal(duplicates, 300);
    put_ok(db, &batches, &stored, &duplicates);
    assert_int_equal(stored, 0);
    assert_int_equal(duplicates, 600);
    batches_clear(&batches);
    assert_seen(folder.file, model);
    assert_results(folder.file, model, 600);
    store_db_free(db);
    free(model);
    folder_remove_all(&folder);
}

static void the_same_results_twice_in_one_put_count_once(void **unused)
{
    Folder folder;
    folder_new(&folder);
    Model *model = calloc(1, sizeof(*model));
    StoreDb *db = open_store(folder.file, NULL);
    Batches batches = {0};
    uint64_t stored, duplicates;
    batches_add(&batches, 1, 100, 50);
    batches_add(&batches, 1, 100, 50);
    batches_add(&batches, 1, 90, 20);
    batches_add(&batches, 1, 120, 10);
    batches_add(&batches, 1, 140, 30);
    assert_int_equal(model_put(model, &batches), 80);
    put_ok(db, &batches, &stored, &duplicates);
    assert_int_equal(stored, 80);
    assert_int_equal(duplicates, 80);
    assert_results(folder.file, model, 80);
    batches_clear(&batches);
    store_db_free(db);
    free(model);
    folder_remove_all(&folder);
}

/* --- retention ---------------------------------------------------------------------- */

static void the_newest_are_kept_and_the_expired_are_counted(void **unused)
{
    Folder folder;
    folder_new(&folder);
    Model *model = calloc(1, sizeof(*model));
    StoreOptions options = {.capacity = 1000};
    StoreDb *db = open_store(folder.file, &options);
    uint64_t stored, duplicates, state = store_seed();
    uint64_t next[2] = {0};
    StoreDbStatus status;
    while (next[0] + 200 < MODEL_SEQUENCES && next[1] + 200 < MODEL_SEQUENCES) {
        Batches batches = {0};
        size_t producer = (size_t)random_below(&state, 2), count = 1 + (size_t)random_below(&state, 200);
        batches_add(&batches, producer, next[producer], count);
        next[producer] += count;
        model_put(model, &batches);
        put_ok(db, &batches, &stored, &duplicates);
        batches_clear(&batches);
        assert_int_equal(stored, count);
        store_db_status(db, &status);
        assert_true(status.results <= 1000);
        assert_int_equal(status.stored, next[0] + next[1]);
        assert_int_equal(status.results, status.stored - status.expired);
        if (status.expired > 0)
            assert_true(status.results >= 1000 - 1000 / 64 - 125); /* a share at once, in whole rows */
    }
    assert_true(status.expired > 10000);

    /* What expired is still known, though its payload is gone. */
    Batches batches = {0};
    batches_add(&batches, 0, 0, (size_t)next[0]);
    put_ok(db, &batches, &stored, &duplicates);
    assert_int_equal(stored, 0);
    assert_int_equal(duplicates, next[0]);
    batches_clear(&batches);
    assert_results(folder.file, model, status.results);
    store_db_free(db);

    /* Expired results are counted by producer, and the newest are those that are left. */
    sqlite3 *file = NULL;
    sqlite3_stmt *statement = NULL;
    assert_int_equal(sqlite3_open(folder.file, &file), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(file,
                                        "SELECT p.expired, s.stored, (SELECT sum(count) FROM batches WHERE producer = "
                                        "p.id), (SELECT max(first + count) FROM batches WHERE producer = p.id)"
                                        " FROM producers p JOIN seen s ON s.producer = p.id ORDER BY p.name DESC",
                                        -1, &statement, NULL),
                     SQLITE_OK);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
        assert_int_equal(sqlite3_column_int64(statement, 1), next[i]);
        assert_int_equal(sqlite3_column_int64(statement, 0) + sqlite3_column_int64(statement, 2), next[i]);
        if (sqlite3_column_int64(statement, 2) > 0) /* chance may have given all that is kept to the other */
            assert_int_equal(sqlite3_column_int64(statement, 3), next[i]);
    }
    sqlite3_finalize(statement);
    sqlite3_close(file);
    free(model);
    folder_remove_all(&folder);
}

static void a_smaller_capacity_expires_with_the_next_put(void **unused)
{
    Folder folder;
    folder_new(&folder);
    StoreDb *db = open_store(folder.file, NULL);
    Batches batches = {0};
    uint64_t stored, duplicates;
    StoreDbStatus status;
    for (size_t i = 0; i < 10; i++)
        batches_add(&batches, 0, 1000 * i, 1000);
    put_ok(db, &batches, &stored, &duplicates);
    InaError error;
    store_db_set_capacity(db, 5000);
    assert_int_equal(store_db_put(db, NULL, 0, &error), 0);
    store_db_status(db, &status);
    assert_int_equal(status.stored, 10000);
    assert_int_equal(status.results + status.expired, 10000);
    assert_true(status.results <= 5000);
    batches_clear(&batches);
    store_db_free(db);
    folder_remove_all(&folder);
}

static void more_than_the_capacity_at_once_keeps_the_newest(void **unused)
{
    Folder folder;
    folder_new(&folder);
    Model *model = calloc(1, sizeof(*model));
    StoreOptions options = {.capacity = 1000};
    StoreDb *db = open_store(folder.file, &options);
    Batches batches = {0};
    uint64_t stored, duplicates;
    StoreDbStatus status;
    batches_add(&batches, 0, 0, 10000);
    model_put(model, &batches);
    put_ok(db, &batches, &stored, &duplicates);
    batches_clear(&batches);
    assert_int_equal(stored, 10000);
    store_db_status(db, &status);
    assert_true(status.results <= 1000 && status.results >= 850);
    assert_int_equal(status.expired, 10000 - status.results);
    for (uint64_t i = 0; i < 9000; i++)
        model->seen[0][i] = false; /* none of these may be found */
    assert_results(folder.file, model, status.results);
    store_db_free(db);
    free(model);
    folder_remove_all(&folder);
}

/* --- hostile batches ------------------------------------------------------------------ */

static void assert_refused(const char *producer, uint64_t first, size_t count, const char *message)
{
    InaError error = {0};
    StoreBatch batch = {.producer = producer, .first_sequence = first, .columns = {.count = count}};
    assert_int_equal(store_batch_check(&batch, &error), -EINVAL);
    if (!strstr(error.message, message))
        fail_msg("\"%s\" does not say \"%s\"", error.message, message);
}

static void names_that_are_none_are_refused(void **unused)
{
    char *long_name = malloc(10001);
    assert_non_null(long_name);
    memset(long_name, 'x', 10000);
    long_name[10000] = '\0';
    assert_refused("", 0, 1, "without a producer");
    assert_refused(NULL, 0, 1, "without a producer");
    assert_refused(long_name, 0, 1, "longer than 255 bytes");
    assert_refused("a\nb", 0, 1, "control character at byte 1");
    assert_refused("a\x7f", 0, 1, "control character at byte 1");
    assert_refused("ab\xff", 0, 1, "not UTF-8 at byte 2");
    assert_refused("\xc0\x80", 0, 1, "not UTF-8 at byte 0");     /* overlong */
    assert_refused("\xed\xa0\x80", 0, 1, "not UTF-8 at byte 0"); /* surrogate */
    assert_refused("\xf4\x90\x80\x80", 0, 1, "not UTF-8");       /* beyond U+10FFFF */
    assert_refused("\xe2\x82", 0, 1, "not UTF-8");               /* cut */
    long_name[255] = '\0';
    StoreBatch batch = {.producer = long_name, .columns = {.count = 1}};
    assert_int_equal(store_batch_check(&batch, NULL), 0);
    batch.producer = "m\xc3\xbcller \xe2\x82\xac \xf0\x9f\x98\x80.01";
    assert_int_equal(store_batch_check(&batch, NULL), 0);
    free(long_name);
}

static void sequence_numbers_beyond_what_sqlite_counts_are_refused(void **unused)
{
    assert_refused("a", UINT64_C(1) << 63, 1, "beyond 2^63");
    assert_refused("a", UINT64_MAX, 1, "beyond 2^63");
    assert_refused("a", INT64_MAX, 0, "beyond 2^63");
    assert_refused("a", INT64_MAX - 5, 6 + 1, "beyond 2^63");
    assert_refused("a", 5, SIZE_MAX, "beyond 2^63");
    StoreBatch batch = {.producer = "a", .first_sequence = INT64_MAX - 5, .columns = {.count = 5}};
    assert_int_equal(store_batch_check(&batch, NULL), 0);
}

static void the_largest_sequence_numbers_are_stored_once(void **unused)
{
    Folder folder;
    folder_new(&folder);
    StoreDb *db = open_store(folder.file, NULL);
    int64_t times[5] = {INT64_MIN, INT64_MAX, 0, -1, 1};
    double values[5] = {NAN, INFINITY, -INFINITY, -0.0, 5e-324};
    StoreBatch batch = {"edge.1", INT64_MAX - 5, {5, times, values, values, times, values}};
    StorePut put = {.batches = &batch, .n_batches = 1};
    InaError error;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(store_db_put(db, &put, 1, &error), 0);
        assert_int_equal(put.stored, i == 0 ? 5 : 0);
        assert_int_equal(put.duplicates, i == 0 ? 0 : 5);
    }
    store_db_free(db);

    /* Times from one end of the range to the other, and values bit by bit. */
    StoreReader *reader = NULL;
    StorePage page;
    assert_int_equal(store_reader_open(folder.file, NULL, &reader, &error), 0);
    StoreQuery query = {.begin_us = INT64_MIN, .end_us = INT64_MAX};
    assert_int_equal(store_reader_query(reader, &query, &page, &error), 0);
    assert_int_equal(page.count, 4); /* a time of INT64_MAX is behind any end */
    const size_t order[] = {0, 3, 2, 4};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(page.records[i].time_us, times[order[i]]);
        assert_int_equal(page.records[i].processing_time_us, times[order[i]]);
        assert_int_equal(page.records[i].sequence, (uint64_t)INT64_MAX - 5 + order[i]);
        assert_memory_equal(&page.records[i].value1, &values[order[i]], sizeof(double));
        assert_memory_equal(&page.records[i].result, &values[order[i]], sizeof(double));
    }
    store_page_clear(&page);
    store_reader_free(reader);
    folder_remove_all(&folder);
}

static void empty_puts_and_empty_batches_do_nothing(void **unused)
{
    Folder folder;
    folder_new(&folder);
    StoreDb *db = open_store(folder.file, NULL);
    InaError error;
    StoreBatch batch = {.producer = "nobody.1", .first_sequence = 7};
    StorePut put = {.batches = &batch, .n_batches = 1};
    assert_int_equal(store_db_put(db, &put, 1, &error), 0);
    assert_int_equal(put.stored + put.duplicates, 0);
    assert_int_equal(store_db_put(db, NULL, 0, &error), 0);
    StoreDbStatus status;
    store_db_status(db, &status);
    assert_int_equal(status.stored, 0);
    store_db_free(db);
    folder_remove_all(&folder);
}

static void many_producers_are_told_apart(void **unused)
{
    /* More than the cache of producers holds. */
    Folder folder;
    folder_new(&folder);
    StoreDb *db = open_store(folder.file, NULL);
    InaError error;
    int64_t time = 0;
    double value = 1;
    for (int round = 0; round < 2; round++) {
        for (unsigned i = 0; i < 6000; i += 100) {
            char names[100][24];
            StoreBatch batches[100];
            for (unsigned j = 0; j < 100; j++) {
                snprintf(names[j], sizeof(names[j]), "p-%u.%08x", i + j, i + j);
                batches[j] = (StoreBatch){names[j], i + j, {1, &time, &value, &value, &time, &value}};
            }
            StorePut put = {.batches = batches, .n_batches = 100};
            assert_int_equal(store_db_put(db, &put, 1, &error), 0);
            assert_int_equal(put.stored, round == 0 ? 100 : 0);
        }
    }
    store_db_free(db);
    folder_remove_all(&folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(results_count_once_however_batches_are_cut),
        cmocka_unit_test(gaps_close_and_leave_one_range),
        cmocka_unit_test(the_same_results_twice_in_one_put_count_once),
        cmocka_unit_test(the_newest_are_kept_and_the_expired_are_counted),
        cmocka_unit_test(a_smaller_capacity_expires_with_the_next_put),
        cmocka_unit_test(more_than_the_capacity_at_once_keeps_the_newest),
        cmocka_unit_test(names_that_are_none_are_refused),
        cmocka_unit_test(sequence_numbers_beyond_what_sqlite_counts_are_refused),
        cmocka_unit_test(the_largest_sequence_numbers_are_stored_once),
        cmocka_unit_test(empty_puts_and_empty_batches_do_nothing),
        cmocka_unit_test(many_producers_are_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
