#include "base/files.h"
#include "provisioning/database.h"
#include "tests/leftovers.h"
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/test-database-XXXXXX";
static char path[64];
static InaError error;

static int set_up(void **state)
{
    strcpy(folder, "/tmp/test-database-XXXXXX");
    if (!make_test_folder(folder))
        return -1;
    snprintf(path, sizeof path, "%s/file.db", folder);
    return 0;
}

static int tear_down(void **state)
{
    return folder_remove(folder, NULL);
}

static Database *opened(void)
{
    Database *database = NULL;
    if (database_open(path, &database, &error) < 0)
        fail_msg("%s", error.message);
    assert_int_equal(
        database_schema(database, "CREATE TABLE IF NOT EXISTS t (k TEXT PRIMARY KEY, n INTEGER, b BLOB)", &error), 0);
    return database;
}

static int put(Database *database, const char *key, int64_t n)
{
    return database_run(database, &error, "INSERT INTO t (k, n) VALUES (?, ?)", "si", key, n);
}

static int64_t count(Database *database)
{
    sqlite3_stmt *statement;
    assert_int_equal(database_prepare(database, "SELECT count(*) FROM t", &statement, &error, ""), 0);
    assert_int_equal(database_step(database, statement, &error), 1);
    int64_t n = sqlite3_column_int64(statement, 0);
    assert_int_equal(database_step(database, statement, &error), 0);
    return n;
}

static void test_what_was_committed_is_there_when_opened_again(void **state)
{
    Database *database = opened();
    assert_int_equal(database_begin(database, &error), 0);
    assert_int_equal(put(database, "a", 7), 0);
    assert_int_equal(database_commit(database, &error), 0);
    database_close(database);

    database = opened();
    assert_int_equal(count(database), 1);
    database_close(database);
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
}

static void test_values_of_each_type_come_back(void **state)
{
    Database *database = opened();
    sqlite3_stmt *statement;
    const char *none = NULL;

    assert_int_equal(database_run(database, &error, "INSERT INTO t VALUES (?, ?, ?)", "sib", "a", INT64_MIN,
                                  (const void *)"x\0y", (size_t)3),
                     0);
    assert_int_equal(database_run(database, &error, "INSERT INTO t (k, n) VALUES (?, 1)", "s", none), 0);
    assert_int_equal(database_prepare(database, "SELECT n, b FROM t WHERE k = ?", &statement, &error, "s", "a"), 0);
    assert_int_equal(database_step(database, statement, &error), 1);
    assert_true(sqlite3_column_int64(statement, 0) == INT64_MIN);
    assert_int_equal(sqlite3_column_bytes(statement, 1), 3);
    assert_memory_equal(sqlite3_column_blob(statement, 1), "x\0y", 3);
    assert_int_equal(database_step(database, statement, &error), 0);
    database_close(database);
}

static void test_nested_transactions_are_one(void **state)
{
    Database *database = opened();
    assert_int_equal(database_begin(database, &error), 0);
    assert_int_equal(put(database, "outer", 1), 0);
    assert_int_equal(database_begin(database, &error), 0);
    assert_int_equal(put(database, "inner", 2), 0);
    assert_int_equal(database_commit(database, &error), 0);
    assert_true(database_within(database));
    database_rollback(database);
    assert_false(database_within(database));
    assert_int_equal(count(database), 0);
    database_close(database);
}

static void test_an_inner_roll_back_undoes_all_and_nothing_slips_through_behind_it(void **state)
{
    Database *database = opened();
    assert_int_equal(database_begin(database, &error), 0);
    assert_int_equal(put(database, "outer", 1), 0);
    assert_int_equal(database_begin(database, &error), 0);
    database_rollback(database);
    assert_int_equal(put(database, "late", 2), -ECANCELED);
    assert_int_equal(database_begin(database, &error), -ECANCELED);
    assert_int_equal(database_commit(database, &error), -ECANCELED);

    assert_int_equal(count(database), 0);
    assert_int_equal(put(database, "next", 3), 0);
    assert_int_equal(count(database), 1);
    database_close(database);
}

static void note_end(void *userdata, bool committed)
{
    strcat(userdata, committed ? "C" : "R");
}

static void test_those_who_watch_hear_how_the_outermost_transaction_ended(void **state)
{
    char heard[16] = "";
    Database *database = opened();
    database_watch(database, note_end, heard);
    assert_int_equal(database_begin(database, &error), 0);
    assert_int_equal(database_begin(database, &error), 0);
    assert_int_equal(database_commit(database, &error), 0);
    assert_string_equal(heard, "");
    assert_int_equal(database_commit(database, &error), 0);
    assert_int_equal(database_begin(database, &error), 0);
    database_rollback(database);
    assert_int_equal(database_begin(database, &error), 0);
    assert_int_equal(database_begin(database, &error), 0);
    database_rollback(database);
    assert_string_equal(heard, "CR");
    database_rollback(database);
    assert_string_equal(heard, "CRR");
    database_unwatch(database, heard);
    assert_int_equal(database_begin(database, &error), 0);
    assert_int_equal(database_commit(database, &error), 0);
    assert_string_equal(heard, "CRR");
    database_close(database);
}

static void test_a_constraint_is_told_as_such(void **state)
{
    Database *database = opened();
    assert_int_equal(put(database, "a", 1), 0);
    assert_int_equal(put(database, "a", 2), -EEXIST);
    assert_non_null(strstr(error.message, "t.k"));
    assert_int_equal(put(database, "b", 2), 0);
    database_close(database);
}

static void test_a_second_opener_is_refused(void **state)
{
    Database *database = opened(), *second = NULL;
    assert_int_equal(database_open(path, &second, &error), -EBUSY);
    assert_non_null(strstr(error.message, "another process"));
    assert_null(second);
    database_close(database);
    database_close(opened());
}

static void write_bytes(const char *bytes, size_t size)
{
    assert_int_equal(file_write(path, bytes, size, 0600, &error), 0);
}

static void test_files_that_are_none_of_ours_are_refused(void **state)
{
    Database *database = NULL;
    char garbage[8192];

    memset(garbage, 'x', sizeof garbage);
    write_bytes(garbage, sizeof garbage);
    assert_int_equal(database_open(path, &database, &error), -EINVAL);
    unlink(path);

    sqlite3 *other;
    assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "CREATE TABLE x (y)", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(other);
    assert_int_equal(database_open(path, &database, &error), -EINVAL);
    assert_non_null(strstr(error.message, "another program"));
    unlink(path);

    database_close(opened());
    assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "PRAGMA user_version = 99", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(other);
    assert_int_equal(database_open(path, &database, &error), -EINVAL);
    assert_non_null(strstr(error.message, "newer"));
    assert_null(database);
}

static void test_wrong_statements_are_errors(void **state)
{
    Database *database = opened();
    sqlite3_stmt *statement;
    assert_true(database_prepare(database, "SELECT nothing FROM nowhere", &statement, &error, "") < 0);
    assert_true(database_schema(database, "CREATE TABLE (", &error) < 0);
    database_close(database);
    assert_null(database_close(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_was_committed_is_there_when_opened_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_values_of_each_type_come_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_nested_transactions_are_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_an_inner_roll_back_undoes_all_and_nothing_slips_through_behind_it, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_those_who_watch_hear_how_the_outermost_transaction_ended, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_constraint_is_told_as_such, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_second_opener_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_files_that_are_none_of_ours_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_wrong_statements_are_errors, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
