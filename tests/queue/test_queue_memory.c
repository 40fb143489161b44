/* Memory of the log with the largest backlog there can be: four million samples,
 * each in a record of its own, on a real disk. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "queue_log.h"

#include "tests/leftovers.h"

#define MEMORY_MAX (32u * 1024 * 1024)

#if defined(__SANITIZE_ADDRESS__)
#define SAMPLES 300000u /* its own memory hides ours: only that it works is tested */
#define MEMORY_SEEN 0u
#else
#define SAMPLES QUEUE_CAPACITY_MAX
#define MEMORY_SEEN resident()
#endif

static inline size_t resident(void)
{
    long pages = 0, ignored;
    FILE *file = fopen("/proc/self/statm", "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%ld %ld", &ignored, &pages), 2);
    (void)fclose(file);
    return (size_t)pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* What is tested is memory, not the disk. */
static int no_sync(void *self, int file)
{
    return 0;
}

typedef struct Fixture {
    char directory[64];
    QueueIo io;
    QueueLogOptions options;
    QueueLog *log;
} Fixture;

static void notice(void *userdata, const char *text)
{
    print_message("%s\n", text);
    fail();
}

static void open_log(Fixture *fixture)
{
    InaError error = {0};
    if (queue_log_open(&fixture->options, &fixture->io, &fixture->log, &error) < 0) {
        print_message("%s\n", error.message);
        fail();
    }
}

static void commit(QueueLog *log)
{
    QueueCommit *one = queue_log_seal(log);
    if (one) {
        queue_commit_run(one);
        assert_int_equal(queue_log_committed(log, one), 0);
    }
    for (QueuePrepare *prepare; (prepare = queue_log_prepare(log, 0));) {
        queue_prepare_run(prepare);
        assert_int_equal(queue_log_prepared(log, prepare, 0), 0);
    }
}

static void put_singles(QueueLog *log, uint64_t count)
{
    for (uint64_t i = 0; i < count;) {
        int64_t time_us = (int64_t)i;
        double value = (double)i;
        /* Two producers in turn, so that no two samples share a record. */
        QueueBatch batch = {i % 2 ? "odd.0" : "even.0", i % 2 ? 5 : 6, i / 2, 1, &time_us, &value, &value};
        QueueRefusal refusal;
        if (queue_log_put(log, &batch, 0, &refusal) == 1) {
            i++;
        } else {
            assert_int_equal(refusal, QUEUE_BUSY);
            commit(log);
        }
    }
    commit(log);
}

static void take_all(QueueLog *log, uint64_t count, bool acknowledge)
{
    uint64_t next = 0;
    while (next < count) {
        QueueTaken taken;
        assert_int_equal(queue_log_take(log, 1500, 1, &taken), 0);
        assert_true(taken.count > 0);
        for (size_t i = 0; i < taken.n_batches; i++, next++) {
            assert_int_equal(taken.batches[i].count, 1);
            assert_int_equal(taken.batches[i].first_sequence, next / 2);
            assert_true(taken.batches[i].value1[0] == (double)next);
        }
        uint64_t ticket;
        if (acknowledge) {
            assert_int_equal(queue_log_acknowledge(log, taken.lease, &ticket), 0);
            commit(log);
        }
    }
}

static void a_backlog_of_four_million_single_samples_fits_into_32_megabytes(void **state)
{
    Fixture fixture = {.directory = "/tmp/test-queue-memory-XXXXXX"};
    InaError error;
    char command[128];
    assert_non_null(make_test_folder(fixture.directory));
    assert_int_equal(queue_disk_open(fixture.directory, &fixture.io, &error), 0);
    fixture.io.sync = no_sync;
    fixture.options = (QueueLogOptions){.capacity = QUEUE_CAPACITY_MAX,
                                        .segment_bytes = 8u << 20,
                                        .group_bytes = 1u << 20,
                                        .disk_bytes = UINT64_C(1) << 30,
                                        .spans_max = 16384,
                                        .leases_max = 4096,
                                        .notice = notice};
    open_log(&fixture);
    put_singles(fixture.log, SAMPLES);
    assert_int_equal(queue_log_available(fixture.log), SAMPLES);
    assert_true(MEMORY_SEEN < MEMORY_MAX);

    /* A restart reads all of it. */
    fixture.log = queue_log_free(fixture.log);
    open_log(&fixture);
    assert_int_equal(queue_log_available(fixture.log), SAMPLES);
    assert_true(MEMORY_SEEN < MEMORY_MAX);

    /* All of it is handed out, runs out, is handed out again and acknowledged. */
    take_all(fixture.log, SAMPLES, false);
    assert_int_equal(queue_log_available(fixture.log), 0);
    assert_true(MEMORY_SEEN < MEMORY_MAX);
    queue_log_expire(fixture.log, 1);
    take_all(fixture.log, SAMPLES, true);
    assert_true(MEMORY_SEEN < MEMORY_MAX);
    QueueLogStatus status;
    queue_log_status(fixture.log, &status);
    assert_int_equal(status.size, 0);
    assert_int_equal(status.acknowledged, SAMPLES);
    print_message("resident: %zu bytes\n", resident());
    fixture.log = queue_log_free(fixture.log);
    queue_disk_close(&fixture.io);
    (void)snprintf(command, sizeof command, "rm -rf %s", fixture.directory);
    assert_int_equal(system(command), 0);
}

static void one_process_at_a_time_has_the_log(void **state)
{
    char directory[] = "/tmp/test-queue-lock-XXXXXX", command[128], pid[32];
    QueueIo first, second;
    InaError error;
    assert_non_null(make_test_folder(directory));
    assert_int_equal(queue_disk_open(directory, &first, &error), 0);
    assert_int_equal(queue_disk_open(directory, &second, &error), -EBUSY);
    (void)snprintf(pid, sizeof pid, "(pid %d)", (int)getpid());
    assert_non_null(strstr(error.message, directory));
    assert_non_null(strstr(error.message, pid));
    queue_disk_close(&first);
    assert_int_equal(queue_disk_open(directory, &second, &error), 0);
    queue_disk_close(&second);
    assert_int_equal(queue_disk_open("/nowhere/at/all", &first, &error), -ENOENT);
    (void)snprintf(command, sizeof command, "rm -rf %s", directory);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_process_at_a_time_has_the_log),
        cmocka_unit_test(a_backlog_of_four_million_single_samples_fits_into_32_megabytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
