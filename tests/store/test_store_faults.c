/* test_store_faults.c - what was answered survives kills, full and broken disks;
 * damaged, foreign and locked files are refused and left alone. */
#include "fault_vfs.h"
#include "store_test.h"

#include "tests/leftovers.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- kill -9 -------------------------------------------------------------------------- */

/* An answered batch, as the child tells it through a pipe. */
typedef struct Answer {
    uint32_t producer, count;
    uint64_t first;
} Answer;

/* Puts random batches that overlap what went before, until it is killed; tells what was answered. */
static void put_until_killed(const char *path, const Model *before, uint64_t seed, uint64_t capacity, int told)
{
    uint64_t state = seed, next[MODEL_PRODUCERS] = {0};
    for (size_t i = 0; i < MODEL_PRODUCERS; i++)
        while (next[i] + 1 < MODEL_SEQUENCES && before->seen[i][next[i]])
            next[i]++;
    StoreOptions options = {.capacity = capacity};
    StoreDb *db = NULL;
    StoreCheckpoint *checkpoint = NULL;
    if (store_db_open(path, &options, &db, NULL) < 0 || store_checkpoint_open(path, NULL, &checkpoint, NULL) < 0)
        _exit(1);
    for (;;) {
        Batches batches = {0};
        Answer answers[4];
        size_t n = 1 + (size_t)random_below(&state, 4);
        for (size_t i = 0; i < n; i++) {
            size_t producer = (size_t)random_below(&state, MODEL_PRODUCERS);
            uint64_t back = random_below(&state, 100), first = next[producer] > back ? next[producer] - back : 0;
            uint64_t count = 1 + random_below(&state, 150);
            if (first + count >= MODEL_SEQUENCES)
                first = 0;
            batches_add(&batches, producer, first, (size_t)count);
            answers[i] = (Answer){(uint32_t)producer, (uint32_t)count, first};
            if (first + count > next[producer])
                next[producer] = first + count;
        }
        StorePut put = {.batches = batches.batches, .n_batches = batches.count};
        if (store_db_put(db, &put, 1, NULL) < 0)
            _exit(2);
        if (write(told, answers, n * sizeof(Answer)) < 0)
            _exit(3);
        batches_clear(&batches);
        uint64_t rest;
        if (random_below(&state, 10) == 0 && store_checkpoint_run(checkpoint, &rest, NULL) < 0)
            _exit(4);
    }
}

/* Reads which sequence numbers the store has ever seen. */
static void read_seen(const char *path, Model *model)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, "SELECT name, first, last FROM seen JOIN producers ON id = producer", -1,
                                        &statement, NULL),
                     SQLITE_OK);
    memset(model, 0, sizeof(*model));
    while (sqlite3_step(statement) == SQLITE_ROW)
        for (size_t i = 0; i < MODEL_PRODUCERS; i++)
            if (strcmp(model_names[i], (const char *)sqlite3_column_text(statement, 0)) == 0)
                for (int64_t j = sqlite3_column_int64(statement, 1); j <= sqlite3_column_int64(statement, 2); j++)
                    model->seen[i][j] = true;
    sqlite3_finalize(statement);
    sqlite3_close(db);
}

static void kill_many_times(uint64_t capacity)
{
    uint64_t state = store_seed();
    Folder folder;
    folder_new(&folder);
    Model *answered = calloc(1, sizeof(*answered)), *seen = calloc(1, sizeof(*seen));
    assert_true(answered && seen);
    unsigned n_answers = 0;
    for (int round = 0; round < 25; round++) {
        int pipe_fds[2];
        assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
        uint64_t seed = random_next(&state);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            die_with_test();
            put_until_killed(folder.file, seen, seed, capacity, pipe_fds[1]);
        }
        close(pipe_fds[1]);
        /* At any moment: from before it has opened the file to far into it. */
        if (round % 5 != 0) {
            Answer first;
            ssize_t length = read(pipe_fds[0], &first, sizeof(first));
            if (length == (ssize_t)sizeof(first)) {
                n_answers++;
                for (uint64_t j = 0; j < first.count; j++)
                    answered->seen[first.producer][first.first + j] = true;
            }
        }
        usleep((useconds_t)random_below(&state, 25000));
        kill(child, SIGKILL);
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        Answer answer;
        while (read(pipe_fds[0], &answer, sizeof(answer)) == (ssize_t)sizeof(answer)) {
            n_answers++;
            for (uint64_t j = 0; j < answer.count; j++)
                answered->seen[answer.producer][answer.first + j] = true;
        }
        close(pipe_fds[0]);
        if (access(folder.file, F_OK) != 0)
            continue;

        StoreOptions options = {.capacity = capacity};
        StoreDb *db = open_store(folder.file, &options);
        StoreDbStatus store_status;
        store_db_status(db, &store_status);
        store_db_free(db);
        read_seen(folder.file, seen);
        for (size_t i = 0; i < MODEL_PRODUCERS; i++)
            for (size_t j = 0; j < MODEL_SEQUENCES; j++)
                if (answered->seen[i][j] && !seen->seen[i][j])
                    fail_msg("%s %zu was answered and is not there", model_names[i], j);
        assert_int_equal(store_status.stored, model_count(seen));
        assert_seen(folder.file, seen);
        assert_results(folder.file, seen, store_status.results);
    }
    print_message("%u answers\n", n_answers);
    assert_true(n_answers > 25);
    free(answered);
    free(seen);
    folder_remove_all(&folder);
}

static void what_was_answered_survives_kills(void **unused)
{
    kill_many_times(100000);
}

static void kills_while_results_expire_lose_no_count(void **unused)
{
    kill_many_times(2000);
}

/* --- disks ------------------------------------------------------------------------------- */

/* Each operation on the disk fails once in its turn; then the disk is well again. */
static void fail_each_operation(FaultKind kind, int expected)
{
    Folder folder;
    folder_new(&folder);
    StoreOptions options = {.capacity = 1000, .vfs = FAULT_VFS};
    Model *model = calloc(1, sizeof(*model));
    assert_non_null(model);
    uint64_t stored, duplicates, next = 0, expired = 0;
    StoreDb *db = open_store(folder.file, &options);
    StoreCheckpoint *checkpoint = NULL;
    InaError error;
    assert_int_equal(store_checkpoint_open(folder.file, FAULT_VFS, &checkpoint, &error), 0);
    unsigned failures = 0, checkpoint_failures = 0;
    bool passed = false;
    for (long after = 0; !passed || after < 8; after++) {
        Batches batches = {0};
        /* Some are larger than what is written at once. */
        uint64_t count = after == 1 || after == 2 ? 6000 : 300;
        batches_add(&batches, 0, next, (size_t)count);
        StorePut put = {.batches = batches.batches, .n_batches = 1};
        StoreDbStatus before, later;
        store_db_status(db, &before);
        fault = (Fault){.kind = kind, .after = after};
        int result = store_db_put(db, &put, 1, &error);
        passed = fault.failed == 0;
        fault = (Fault){0};
        store_db_status(db, &later);
        if (result < 0) {
            failures++;
            assert_int_equal(result, expected);
            assert_non_null(strstr(error.message, folder.file));
            assert_memory_equal(&before, &later, sizeof(before));
            assert_seen(folder.file, model);
            assert_results(folder.file, model, before.results);
            put_ok(db, &batches, &stored, &duplicates);
            assert_int_equal(stored, count);
        } else {
            assert_true(passed);
            assert_int_equal(put.stored, count);
        }
        model_put(model, &batches);
        next += count;
        batches_clear(&batches);
        store_db_status(db, &later);
        assert_true(later.expired >= expired);
        expired = later.expired;

        /* A checkpoint that fails harms nothing either. */
        uint64_t rest;
        fault = (Fault){.kind = kind, .after = after};
        checkpoint_failures += store_checkpoint_run(checkpoint, &rest, &error) < 0;
        fault = (Fault){0};
        if (after % 3 == 0)
            assert_int_equal(store_checkpoint_run(checkpoint, &rest, &error), 0);
    }
    print_message("%u puts and %u checkpoints failed\n", failures, checkpoint_failures);
    assert_true(failures >= 1 && checkpoint_failures >= 1);
    StoreDbStatus status;
    store_db_status(db, &status);
    store_checkpoint_free(checkpoint);
    store_db_free(db);
    assert_seen(folder.file, model);
    /* Only the newest are kept. */
    for (uint64_t i = 0; i + 1000 < next; i++)
        model->seen[0][i] = false;
    assert_results(folder.file, model, status.results);
    free(model);
    folder_remove_all(&folder);
}

static void a_full_disk_refuses_puts_until_there_is_room(void **unused)
{
    fail_each_operation(FAULT_FULL, -ENOSPC);
}

static void a_disk_that_cannot_write_fails_puts_and_nothing_else(void **unused)
{
    fail_each_operation(FAULT_WRITE, -EIO);
}

static void a_disk_that_cannot_sync_fails_puts_and_nothing_else(void **unused)
{
    fail_each_operation(FAULT_SYNC, -EIO);
}

static uint64_t next_random(void *userdata)
{
    return random_next(userdata);
}

static bool only_of_first(const Model *model, const Model *of)
{
    for (size_t i = 0; i < MODEL_PRODUCERS; i++)
        for (size_t j = 0; j < MODEL_SEQUENCES; j++)
            if (model->seen[i][j] && !of->seen[i][j])
                return false;
    return true;
}

/* Each put is cut off at a random operation; what is on disk then is opened:
 * all that was answered is there, and of the put itself everything or nothing. */
static void what_was_answered_survives_power_cuts(void **unused)
{
    uint64_t state = store_seed();
    Folder folder;
    folder_new(&folder);
    char image[200];
    StoreOptions options = {.capacity = 100000, .vfs = FAULT_VFS};
    Model *model = calloc(1, sizeof(*model)), *before = calloc(1, sizeof(*before)), *found = calloc(1, sizeof(*found));
    assert_true(model && before && found);
    power_track(true);
    StoreDb *db = open_store(folder.file, &options);
    StoreCheckpoint *checkpoint = NULL;
    InaError error;
    assert_int_equal(store_checkpoint_open(folder.file, FAULT_VFS, &checkpoint, &error), 0);
    uint64_t next = 0, stored, duplicates, rest;
    unsigned cuts = 0, whole = 0;
    for (int i = 0; i < 120; i++) {
        Batches batches = {0};
        /* Also puts that are larger than what is written at once. */
        uint64_t count = i % 20 == 7 ? 2000 : 1 + random_below(&state, 40);
        if (next + count >= MODEL_SEQUENCES)
            break;
        batches_add(&batches, 0, next, (size_t)count);
        batches_add(&batches, 1, next / 2, (size_t)count / 2);
        next += count;
        *before = *model;
        model_put(model, &batches);
        snprintf(image, sizeof(image), "%s/image-%d.db", folder.path, i);
        power_cut_after((long)random_below(&state, count > 1000 ? 8 : 4), image, next_random, &state);
        put_ok(db, &batches, &stored, &duplicates);
        batches_clear(&batches);
        if (i % 10 == 3)
            assert_int_equal(store_checkpoint_run(checkpoint, &rest, &error), 0);
        if (!power_was_cut())
            continue;
        cuts++;
        StoreDb *reopened = open_store(image, NULL);
        store_db_free(reopened);
        read_seen(image, found);
        assert_true(only_of_first(before, found));
        assert_true(model_count(found) == model_count(before) || model_count(found) == model_count(model));
        whole += model_count(found) == model_count(model);
        assert_seen(image, found);
        assert_results(image, found, model_count(found));
    }
    power_track(false);
    print_message("%u cuts, after %u of them the put was there\n", cuts, whole);
    assert_true(cuts > 30);
    store_checkpoint_free(checkpoint);
    store_db_free(db);
    free(model);
    free(before);
    free(found);
    folder_remove_all(&folder);
}

/* --- files that are not right -------------------------------------------------------------- */

static void write_file(const char *path, const void *data, size_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, size), size);
    close(fd);
}

static void assert_open_fails(const char *path, int code, const char *message)
{
    InaError error = {0};
    StoreDb *db = NULL;
    assert_int_equal(store_db_open(path, NULL, &db, &error), -code);
    assert_null(db);
    if (!strstr(error.message, message))
        fail_msg("\"%s\" does not say \"%s\"", error.message, message);
    if (!strstr(error.message, path))
        fail_msg("\"%s\" does not name the file", error.message);
}

static void a_file_that_is_no_database_is_left_alone(void **unused)
{
    Folder folder;
    folder_new(&folder);
    char garbage[20000], again[20000];
    memset(garbage, 'x', sizeof(garbage));
    write_file(folder.file, garbage, sizeof(garbage));
    assert_open_fails(folder.file, EUCLEAN, "is damaged");
    int fd = open(folder.file, O_RDONLY | O_CLOEXEC);
    assert_int_equal(read(fd, again, sizeof(again)), sizeof(again));
    close(fd);
    assert_memory_equal(garbage, again, sizeof(garbage));
    folder_remove_all(&folder);
}

static void a_database_of_someone_else_is_left_alone(void **unused)
{
    Folder folder;
    folder_new(&folder);
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(folder.file, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "CREATE TABLE mine(x)", NULL, NULL, NULL), SQLITE_OK);
    assert_open_fails(folder.file, EINVAL, "is an SQLite file, but not one of a store");
    assert_int_equal(sqlite3_exec(db, "PRAGMA application_id = 0x696e5253; PRAGMA user_version = 2", NULL, NULL, NULL),
                     SQLITE_OK);
    assert_open_fails(folder.file, EINVAL, "has format 2; this program knows format 1");
    sqlite3_close(db);
    folder_remove_all(&folder);
}

static void an_emptied_file_is_not_taken_for_a_new_one(void **unused)
{
    Folder folder;
    folder_new(&folder);
    StoreDb *db = open_store(folder.file, NULL);
    Batches batches = {0};
    uint64_t stored, duplicates;
    batches_add(&batches, 0, 0, 100);
    put_ok(db, &batches, &stored, &duplicates);
    batches_clear(&batches);
    store_db_free(db);
    assert_int_equal(truncate(folder.file, 0), 0);
    assert_open_fails(folder.file, EUCLEAN, "it is empty, but it has a log");
    char log[200];
    struct stat log_stat;
    snprintf(log, sizeof(log), "%s-wal", folder.file);
    assert_int_equal(stat(log, &log_stat), 0);
    assert_true(log_stat.st_size > 0);
    folder_remove_all(&folder);
}

static void damaged_pages_are_reported_and_never_crash(void **unused)
{
    uint64_t state = store_seed();
    for (int round = 0; round < 40; round++) {
        Folder folder;
        folder_new(&folder);
        StoreDb *db = open_store(folder.file, NULL);
        StoreCheckpoint *checkpoint = NULL;
        Batches batches = {0};
        uint64_t stored, duplicates, rest;
        for (size_t i = 0; i < 10; i++)
            batches_add(&batches, i % 2, 300 * i, 200);
        put_ok(db, &batches, &stored, &duplicates);
        batches_clear(&batches);
        assert_int_equal(store_checkpoint_open(folder.file, NULL, &checkpoint, NULL), 0);
        assert_int_equal(store_checkpoint_run(checkpoint, &rest, NULL), 0);
        store_checkpoint_free(checkpoint);
        store_db_free(db);
        char log[200];
        snprintf(log, sizeof(log), "%s-wal", folder.file);
        assert_int_equal(unlink(log), 0);

        struct stat file_stat;
        assert_int_equal(stat(folder.file, &file_stat), 0);
        int fd = open(folder.file, O_WRONLY | O_CLOEXEC);
        uint8_t noise[400];
        for (size_t i = 0; i < sizeof(noise); i++)
            noise[i] = (uint8_t)random_next(&state);
        off_t at =
            (off_t)random_below(&state, (uint64_t)file_stat.st_size / 4096) * 4096 + (off_t)random_below(&state, 60);
        assert_int_equal(pwrite(fd, noise, sizeof(noise), round == 0 ? 0 : at), sizeof(noise));
        close(fd);

        InaError error = {0};
        StoreReader *reader = NULL;
        db = NULL;
        if (store_db_open(folder.file, NULL, &db, &error) == 0) {
            Batches more = {0};
            batches_add(&more, 0, 0, 3000);
            StorePut put = {.batches = more.batches, .n_batches = 1};
            int result = store_db_put(db, &put, 1, &error);
            if (result < 0)
                assert_non_null(strstr(error.message, folder.file));
            batches_clear(&more);
        } else {
            assert_non_null(strstr(error.message, folder.file));
        }
        if (store_reader_open(folder.file, NULL, &reader, &error) == 0) {
            StorePage page;
            StoreQuery query = {.begin_us = INT64_MIN, .end_us = INT64_MAX, .maximum = 10000};
            if (store_reader_query(reader, &query, &page, &error) == 0)
                store_page_clear(&page);
            else
                assert_non_null(strstr(error.message, folder.file));
        }
        store_reader_free(reader);
        store_db_free(db);
        folder_remove_all(&folder);
    }
}

static void a_second_store_on_the_file_is_refused(void **unused)
{
    Folder folder;
    folder_new(&folder);
    StoreDb *db = open_store(folder.file, NULL);
    char message[64];
    snprintf(message, sizeof(message), "is in use by another store (process %d", (int)getpid());
    assert_open_fails(folder.file, EBUSY, message);
    store_db_free(db);
    db = open_store(folder.file, NULL);
    store_db_free(db);
    folder_remove_all(&folder);
}

static void a_transaction_in_a_shell_is_named_and_waited_for(void **unused)
{
    Folder folder;
    folder_new(&folder);
    StoreDb *db = open_store(folder.file, NULL);
    sqlite3 *shell = NULL;
    assert_int_equal(sqlite3_open(folder.file, &shell), SQLITE_OK);
    assert_int_equal(sqlite3_exec(shell, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    Batches batches = {0};
    uint64_t stored, duplicates;
    batches_add(&batches, 0, 0, 100);
    StorePut put = {.batches = batches.batches, .n_batches = 1};
    InaError error = {0};
    assert_int_equal(store_db_put(db, &put, 1, &error), -EBUSY);
    assert_non_null(strstr(error.message, "is locked by another program"));
    assert_int_equal(sqlite3_exec(shell, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    put_ok(db, &batches, &stored, &duplicates);
    assert_int_equal(stored, 100);

    /* What someone else changes is noticed. */
    assert_int_equal(
        sqlite3_exec(shell, "DELETE FROM seen; DELETE FROM batches; DELETE FROM producers", NULL, NULL, NULL),
        SQLITE_OK);
    sqlite3_close(shell);
    put_ok(db, &batches, &stored, &duplicates);
    assert_int_equal(stored, 100);
    StoreDbStatus status;
    store_db_status(db, &status);
    assert_int_equal(status.results, 100);
    batches_clear(&batches);
    store_db_free(db);
    folder_remove_all(&folder);
}

static void a_folder_that_is_not_there_is_named(void **unused)
{
    assert_open_fails("/nowhere/at/all/results.db", ENOENT, "cannot be opened");
    StoreReader *reader = NULL;
    InaError error = {0};
    assert_true(store_reader_open("/nowhere/at/all/results.db", NULL, &reader, &error) < 0);
    assert_non_null(strstr(error.message, "/nowhere/at/all/results.db"));
}

int main(void)
{
    fault_vfs_register();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_answered_survives_kills),
        cmocka_unit_test(kills_while_results_expire_lose_no_count),
        cmocka_unit_test(a_full_disk_refuses_puts_until_there_is_room),
        cmocka_unit_test(a_disk_that_cannot_write_fails_puts_and_nothing_else),
        cmocka_unit_test(a_disk_that_cannot_sync_fails_puts_and_nothing_else),
        cmocka_unit_test(what_was_answered_survives_power_cuts),
        cmocka_unit_test(a_file_that_is_no_database_is_left_alone),
        cmocka_unit_test(a_database_of_someone_else_is_left_alone),
        cmocka_unit_test(an_emptied_file_is_not_taken_for_a_new_one),
        cmocka_unit_test(damaged_pages_are_reported_and_never_crash),
        cmocka_unit_test(a_second_store_on_the_file_is_refused),
        cmocka_unit_test(a_transaction_in_a_shell_is_named_and_waited_for),
        cmocka_unit_test(a_folder_that_is_not_there_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
