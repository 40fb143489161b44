/* bench_queue_log.c - the queue's log alone, without protocol and processes,
 * with what the disk allows beside it.
 *
 *   bench_queue_log [--seconds S] [--directory DIR]
 *
 * A group has as many samples as the window of peers' loads would bring; it is
 * committed inline. The floor writes as many bytes and syncs, over a
 * preallocated file. */
#include "queue_log.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define FLOOR_FILE (64u << 20)

static double clock_of(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double now(void)
{
    return clock_of(CLOCK_MONOTONIC);
}

_Noreturn static void die(const char *what)
{
    fprintf(stderr, "bench_queue_log: %s\n", what);
    exit(1);
}

/* Samples per second that a plain write and fdatasync of groups reaches. */
static double measure_floor(const char *directory, size_t bytes, size_t samples, double seconds)
{
    char path[4200];
    char *data = calloc(1, FLOOR_FILE);
    snprintf(path, sizeof path, "%s/floor", directory);
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (!data || file < 0 || write(file, data, FLOOR_FILE) != FLOOR_FILE || fsync(file) < 0) {
        die(path);
    }
    memset(data, 'x', bytes);
    size_t rounds = 0;
    off_t at = 0;
    double begin = now();
    while (now() - begin < seconds) {
        at = at + (off_t)bytes > FLOOR_FILE ? 0 : at;
        if (pwrite(file, data, bytes, at) != (ssize_t)bytes || fdatasync(file) < 0) {
            die(path);
        }
        at += (off_t)bytes;
        rounds++;
    }
    double rate = (double)(rounds * samples) / (now() - begin);
    close(file);
    unlink(path);
    free(data);
    return rate;
}

static void commit(QueueLog *log)
{
    QueueCommit *one = queue_log_seal(log);
    if (one) {
        queue_commit_run(one);
        if (queue_log_committed(log, one) < 0) {
            die("commit failed");
        }
    }
}

static void prepare(QueueLog *log)
{
    for (QueuePrepare *one; (one = queue_log_prepare(log, 0));) {
        queue_prepare_run(one);
        if (queue_log_prepared(log, one, 0) < 0) {
            die("no segment could be made");
        }
    }
}

static void take_all(QueueLog *log)
{
    for (QueueTaken taken; queue_log_take(log, 16384, UINT64_MAX, &taken) == 0 && taken.lease;) {
        uint64_t ticket;
        if (queue_log_acknowledge(log, taken.lease, &ticket) < 0) {
            die("acknowledge failed");
        }
    }
}

static void measure(const QueueLogOptions *options, const char *directory, size_t batch, size_t window, bool both,
                    double seconds)
{
    static int64_t time_us[1000];
    static double value[1000];
    char folder[4200];
    QueueIo io;
    QueueLog *log;
    InaError error = {0};
    snprintf(folder, sizeof folder, "%s/log-%zu-%d", directory, batch, both);
    if (queue_disk_open(folder, &io, &error) < 0 || queue_log_open(options, &io, &log, &error) < 0) {
        die(error.message);
    }
    prepare(log);
    uint64_t sequence = 0;
    double spent = 0, cpu = 0;
    while (spent < seconds) {
        double begin = now(), used = clock_of(CLOCK_PROCESS_CPUTIME_ID);
        for (size_t i = 0; i < window;) {
            QueueBatch one = {"bench-0.0123456789abcdef", 24, sequence, batch, time_us, value, value};
            QueueRefusal refusal;
            size_t accepted = 0;
            while (accepted < batch) {
                one.first_sequence = sequence;
                one.count = batch - accepted;
                size_t some = queue_log_put(log, &one, 0, &refusal);
                accepted += some;
                sequence += some;
                if (some == 0) {
                    commit(log);
                    prepare(log);
                }
            }
            i++;
        }
        commit(log);
        if (both) {
            take_all(log); /* acknowledged with the next group */
        }
        spent += now() - begin;
        cpu += clock_of(CLOCK_PROCESS_CPUTIME_ID) - used;
        if (!both) {
            take_all(log);
            commit(log);
        }
    }
    double floor = measure_floor(directory, batch * window * 24 + 4096, batch * window, seconds / 2);
    double rate = (double)sequence / spent;
    printf("%-12s batch %4zu, groups of %6zu %12.0f samples/s %5.2f x write+fdatasync, CPU %6.1f ns per sample\n",
           both ? "put+take+ack" : "put", batch, batch * window, rate, rate / floor, cpu / (double)sequence * 1e9);
    fflush(stdout);
    queue_log_free(log);
    queue_disk_close(&io);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"seconds", required_argument, NULL, 's'}, {"directory", required_argument, NULL, 'd'}, {0}};
    static const size_t loads[][2] = {{1, 1}, {1, 1000}, {100, 200}, {1000, 40}};
    const char *parent = "/tmp";
    double seconds = 1;
    char directory[4096], command[4200];
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) >= 0;) {
        if (c == 's') {
            seconds = strtod(optarg, NULL);
        } else if (c == 'd') {
            parent = optarg;
        } else {
            return 2;
        }
    }
    snprintf(directory, sizeof directory, "%s/inaetics-bench-XXXXXX", parent);
    if (!mkdtemp(directory)) {
        die(directory);
    }
    QueueLogOptions log = {.capacity = QUEUE_CAPACITY_MAX,
                           .segment_bytes = 8u << 20,
                           .group_bytes = 1u << 20,
                           .disk_bytes = UINT64_C(1) << 30,
                           .spans_max = 8192,
                           .leases_max = 4096};
    for (int both = 0; both < 2; both++) {
        for (size_t i = 0; i < sizeof loads / sizeof *loads; i++) {
            measure(&log, directory, loads[i][0], loads[i][1], both, seconds);
        }
    }
    snprintf(command, sizeof command, "rm -rf '%s'", directory);
    return system(command) != 0;
}
