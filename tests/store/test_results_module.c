/* test_results_module.c - the loadable module shows each result as a row. */
#include "store_test.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static sqlite3 *open_with_module(const char *path)
{
    sqlite3 *db = NULL;
    char *error = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 1, NULL);
    if (sqlite3_load_extension(db, getenv("INAETICS_RESULTS"), NULL, &error) != SQLITE_OK)
        fail_msg("%s", error);
    return db;
}

static int64_t number(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK || sqlite3_step(statement) != SQLITE_ROW)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    int64_t value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return value;
}

static void fill(const char *path)
{
    StoreDb *db = open_store(path, NULL);
    for (size_t i = 0; i < 20; i++) {
        Batches batches = {0};
        uint64_t stored, duplicates;
        batches_add(&batches, i % 2, 100 * (i / 2), 100);
        put_ok(db, &batches, &stored, &duplicates);
        batches_clear(&batches);
    }
    store_db_free(db);
}

static void each_result_is_a_row(void **unused)
{
    Folder folder;
    folder_new(&folder);
    fill(folder.file);
    sqlite3 *db = open_with_module(folder.file);
    sqlite3_stmt *statement = NULL;
    assert_int_equal(sqlite3_prepare_v2(db, "SELECT * FROM results", -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_column_count(statement), 7);
    unsigned count = 0;
    while (sqlite3_step(statement) == SQLITE_ROW) {
        const char *name = (const char *)sqlite3_column_text(statement, 0);
        size_t producer = strcmp(name, model_names[0]) == 0 ? 0 : 1;
        assert_string_equal(name, model_names[producer]);
        StoreRecord record = {
            .sequence = (uint64_t)sqlite3_column_int64(statement, 1),
            .time_us = sqlite3_column_int64(statement, 2),
            .value1 = sqlite3_column_double(statement, 3),
            .value2 = sqlite3_column_double(statement, 4),
            .processing_time_us = sqlite3_column_int64(statement, 5),
            .result = sqlite3_column_double(statement, 6),
        };
        assert_result(&record, producer);
        count++;
    }
    sqlite3_finalize(statement);
    assert_int_equal(count, 2000);
    sqlite3_close(db);
    folder_remove_all(&folder);
}

static void conditions_and_joins_hold(void **unused)
{
    Folder folder;
    folder_new(&folder);
    fill(folder.file);
    sqlite3 *db = open_with_module(folder.file);
    assert_int_equal(number(db, "SELECT count(*) FROM results WHERE producer = 'csv-1.0011223344556677'"), 1000);
    assert_int_equal(number(db, "SELECT count(*) FROM results WHERE producer = 'nobody'"), 0);
    assert_int_equal(number(db, "SELECT count(*) FROM results WHERE sequence = 555"), 2);
    assert_int_equal(number(db, "SELECT count(*) FROM results WHERE sequence > 99 AND sequence <= 250"), 302);
    assert_int_equal(number(db, "SELECT count(*) FROM results WHERE sequence >= 99 AND sequence < 101"), 4);
    assert_int_equal(number(db, "SELECT count(*) FROM results WHERE sequence > 98.5 AND sequence < '101'"), 4);
    assert_int_equal(number(db, "SELECT count(*) FROM results WHERE sequence > '98' AND sequence = '101'"), 2);
    assert_int_equal(number(db, "SELECT count(*) FROM results WHERE sequence >= 'x'"), 0);
    assert_int_equal(number(db, "SELECT count(*) FROM results WHERE sequence <= 'x'"), 2000);
    assert_int_equal(number(db, "SELECT count(*) FROM results WHERE sequence = NULL OR time > NULL"), 0);
    assert_int_equal(number(db, "SELECT count(*) FROM results WHERE producer = 'CSV-1.0011223344556677'"), 0);
    assert_int_equal(
        number(db, "SELECT count(*) FROM results WHERE producer = 'CSV-1.0011223344556677' COLLATE NOCASE"), 1000);
    assert_int_equal(number(db, "SELECT count(*) FROM results WHERE sequence IN (1, 2, 3, 100000)"), 6);
    assert_int_equal(number(db, "SELECT count(*) FROM results WHERE result <> value1 + value2"), 0);
    int64_t all = 0, middle = number(db, "SELECT time FROM results WHERE sequence = 500");
    static const char *const operators[] = {"<", "=", ">"};
    for (size_t i = 0; i < 3; i++) {
        char indexed[100], plain[100];
        snprintf(indexed, sizeof(indexed), "SELECT count(*) FROM results WHERE time %s %lld", operators[i],
                 (long long)middle);
        snprintf(plain, sizeof(plain), "SELECT count(*) FROM results WHERE +time %s %lld", operators[i],
                 (long long)middle);
        int64_t count = number(db, indexed);
        assert_true(count > 0);
        assert_int_equal(count, number(db, plain));
        all += count;
    }
    assert_int_equal(all, 2000);
    assert_int_equal(number(db, "SELECT count(*) FROM results a JOIN results b ON b.sequence = a.sequence"
                                " AND b.producer <> a.producer WHERE a.sequence BETWEEN 10 AND 19"),
                     20);
    sqlite3_close(db);
    folder_remove_all(&folder);
}

static void the_views_say_what_can_be_said_without_it(void **unused)
{
    Folder folder;
    folder_new(&folder);
    fill(folder.file);
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(folder.file, &db), SQLITE_OK);
    assert_int_equal(number(db, "SELECT count(*) FROM batch_summary"), 20);
    assert_int_equal(number(db, "SELECT sum(count) FROM batch_summary WHERE producer LIKE 'host-0.%'"), 1000);
    assert_int_equal(number(db, "SELECT begin_utc BETWEEN '2023-11-14' AND end_utc FROM batch_summary"), 1);
    assert_int_equal(number(db, "SELECT kept FROM producer_summary WHERE expired = 0 AND ranges = 1 AND last = 999"),
                     1000);
    sqlite3_close(db);
    folder_remove_all(&folder);
}

static void other_databases_and_damage_are_named(void **unused)
{
    Folder folder;
    folder_new(&folder);
    sqlite3 *db = open_with_module(":memory:");
    assert_int_equal(sqlite3_exec(db, "SELECT * FROM results", NULL, NULL, NULL), SQLITE_ERROR);
    assert_non_null(strstr(sqlite3_errmsg(db), "is not one of a store"));
    sqlite3_close(db);
    fill(folder.file);
    db = open_with_module(folder.file);
    static const char *const damages[] = {"count = 99", "payload = x''", "payload = NULL", "payload = 'text'",
                                          "payload = zeroblob(100000)"};
    for (size_t i = 0; i < sizeof(damages) / sizeof(*damages); i++) {
        char sql[200];
        snprintf(sql, sizeof(sql), "BEGIN; UPDATE OR IGNORE batches SET %s WHERE id = 7", damages[i]);
        if (sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK && sqlite3_changes(db) > 0) {
            assert_int_equal(sqlite3_exec(db, "SELECT * FROM results", NULL, NULL, NULL), SQLITE_ERROR);
            assert_non_null(strstr(sqlite3_errmsg(db), "payload of"));
        }
        sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    }
    assert_int_equal(number(db, "SELECT count(*) FROM results"), 2000);
    sqlite3_close(db);
    folder_remove_all(&folder);
}

int main(void)
{
    if (!getenv("INAETICS_RESULTS")) {
        fprintf(stderr, "INAETICS_RESULTS must name the module\n");
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_result_is_a_row),
        cmocka_unit_test(conditions_and_joins_hold),
        cmocka_unit_test(the_views_say_what_can_be_said_without_it),
        cmocka_unit_test(other_databases_and_damage_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
