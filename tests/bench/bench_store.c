/* bench_store.c - the store's core: results per second in committed batches,
 * with what the disk allows beside it.
 *
 * bench_store [--seconds S] [--directory DIR] [--size RESULTS] [--group BATCHES]
 *
 * The floor writes the same payloads, one write and one fdatasync per commit,
 * over a preallocated file that is used round and round: no store that commits
 * before it answers can be faster. Each figure is measured for S seconds. */
#include "store_db.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PRODUCERS 4u
#define RESULTS_MAX 10000u

typedef struct Bench {
    double seconds;
    const char *directory;
    size_t size;  /* results in a batch */
    size_t group; /* batches in a commit; 0: several */
    char path[256];
    int64_t time_us[RESULTS_MAX];
    double value1[RESULTS_MAX], value2[RESULTS_MAX], result[RESULTS_MAX];
} Bench;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void fail(const char *what, const InaError *error)
{
    fprintf(stderr, "bench_store: %s: %s\n", what, error ? error->message : strerror(errno));
    exit(1);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print(const char *what, size_t size, size_t group, double results, double elapsed, double *latencies,
                  size_t n, double bytes)
{
    qsort(latencies, n, sizeof(double), compare);
    printf("%-34s batch %5zu x %3zu per commit %12.0f results/s  commit p50 %7.0f us  p99 %7.0f us", what, size, group,
           results / elapsed, n ? latencies[n / 2] * 1e6 : 0, n ? latencies[n * 99 / 100] * 1e6 : 0);
    if (bytes > 0)
        printf("  %5.1f bytes/result", bytes);
    printf("\n");
    fflush(stdout);
}

/* --- the floor ------------------------------------------------------------ */

static void floor_of_disk(Bench *bench, size_t group)
{
    const size_t file_size = 64u << 20;
    size_t block = (group * bench->size * 28 + 4095) / 4096 * 4096;
    static double latencies[1 << 20];
    snprintf(bench->path, sizeof(bench->path), "%s/floor", bench->directory);
    int fd = open(bench->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    uint8_t *data = malloc(file_size);
    if (fd < 0 || !data)
        fail(bench->path, NULL);
    memset(data, 1, file_size);
    if (write(fd, data, file_size) != (ssize_t)file_size || fsync(fd) < 0)
        fail(bench->path, NULL);
    double begin = now(), end = begin;
    size_t n = 0;
    off_t at = 0;
    while (end - begin < bench->seconds && n < sizeof(latencies) / sizeof(*latencies)) {
        if (at + (off_t)block > (off_t)file_size)
            at = 0;
        double start = end;
        if (pwrite(fd, data, block, at) < 0 || fdatasync(fd) < 0)
            fail(bench->path, NULL);
        at += (off_t)block;
        end = now();
        latencies[n++] = end - start;
    }
    print("floor: write + fdatasync", bench->size, group, (double)n * (double)(group * bench->size), end - begin,
          latencies, n, 0);
    close(fd);
    unlink(bench->path);
    free(data);
}

/* --- the store ------------------------------------------------------------ */

typedef struct Checkpointer {
    const char *path;
    atomic_bool stop;
    atomic_uint_fast64_t log; /* bytes, told by the writer */
} Checkpointer;

static void *checkpoint_thread(void *userdata)
{
    Checkpointer *checkpointer = userdata;
    StoreCheckpoint *checkpoint = NULL;
    InaError error;
    if (store_checkpoint_open(checkpointer->path, NULL, &checkpoint, &error) < 0)
        fail("checkpoint", &error);
    while (!checkpointer->stop) {
        uint64_t rest = 0;
        if (checkpointer->log < 32 << 20)
            usleep(1000);
        else if (store_checkpoint_run(checkpoint, &rest, &error) < 0)
            fail("checkpoint", &error);
        else if (rest == 0)
            checkpointer->log = 0;
    }
    store_checkpoint_free(checkpoint);
    return NULL;
}

static void fill(const Bench *bench, StoreBatch *batches, size_t group, const char (*names)[32], uint64_t *next)
{
    for (size_t i = 0; i < group; i++) {
        size_t producer = i % PRODUCERS;
        batches[i] =
            (StoreBatch){names[producer],
                         next[producer],
                         {bench->size, bench->time_us, bench->value1, bench->value2, bench->time_us, bench->result}};
        next[producer] += bench->size;
    }
}

static void store(Bench *bench, size_t group, bool beside)
{
    static double latencies[1 << 20];
    char names[PRODUCERS][32], command[300];
    uint64_t next[PRODUCERS] = {0};
    snprintf(bench->path, sizeof(bench->path), "%s/bench.db", bench->directory);
    snprintf(command, sizeof(command), "rm -f %s*", bench->path);
    if (system(command) != 0)
        fail("rm", NULL);
    for (size_t i = 0; i < PRODUCERS; i++)
        snprintf(names[i], sizeof(names[i]), "bench-%zu.0123456789abcdef", i);
    StoreDb *db = NULL;
    InaError error;
    if (store_db_open(bench->path, NULL, &db, &error) < 0)
        fail("open", &error);
    Checkpointer checkpointer = {.path = bench->path};
    pthread_t thread;
    if (beside && pthread_create(&thread, NULL, checkpoint_thread, &checkpointer) != 0)
        fail("thread", NULL);

    StoreBatch *batches = calloc(group, sizeof(StoreBatch));
    StorePut put = {.batches = batches, .n_batches = group};
    double begin = now(), end = begin, total = 0;
    size_t n = 0;
    while (end - begin < bench->seconds && n < sizeof(latencies) / sizeof(*latencies)) {
        fill(bench, batches, group, names, next);
        for (size_t i = 0; i < bench->size; i++)
            bench->time_us[i] += (int64_t)bench->size;
        double start = now();
        if (store_db_put(db, &put, 1, &error) < 0)
            fail("put", &error);
        checkpointer.log = store_db_log_bytes(db);
        end = now();
        latencies[n++] = end - start;
        total += (double)put.stored;
    }
    StoreDbStatus status;
    store_db_status(db, &status);
    print(beside ? "store (checkpoints beside)" : "store", bench->size, group, total, end - begin, latencies, n, 0);

    if (getenv("BENCH_NODUP"))
        exit(0);
    /* Again, all of it duplicates. */
    uint64_t past = next[0];
    memset(next, 0, sizeof(next));
    begin = end = now();
    total = 0;
    n = 0;
    while (end - begin < bench->seconds / 2 && n < sizeof(latencies) / sizeof(*latencies)) {
        if (next[0] + group * bench->size >= past)
            memset(next, 0, sizeof(next));
        fill(bench, batches, group, names, next);
        double start = now();
        if (store_db_put(db, &put, 1, &error) < 0)
            fail("put", &error);
        end = now();
        latencies[n++] = end - start;
        total += (double)put.duplicates;
    }
    print("  duplicates", bench->size, group, total, end - begin, latencies, n, 0);
    checkpointer.stop = true;
    if (beside)
        pthread_join(thread, NULL);
    store_db_free(db);
    free(batches);
    if (!getenv("BENCH_KEEP") && system(command) != 0)
        fail("rm", NULL);
}

int main(int argc, char **argv)
{
    static Bench bench = {.seconds = 1, .directory = ".", .size = 1000};
    const struct option options[] = {
        {"seconds", required_argument, NULL, 's'},
        {"directory", required_argument, NULL, 'd'},
        {"size", required_argument, NULL, 'n'},
        {"group", required_argument, NULL, 'g'},
        {0},
    };
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 's')
            bench.seconds = strtod(optarg, NULL);
        else if (option == 'd')
            bench.directory = optarg;
        else if (option == 'n')
            bench.size = strtoul(optarg, NULL, 10);
        else if (option == 'g')
            bench.group = strtoul(optarg, NULL, 10);
        else
            return 2;
    }
    if (bench.size < 1 || bench.size > RESULTS_MAX || bench.seconds <= 0) {
        fprintf(stderr, "bench_store: --size is 1 to %u, --seconds positive\n", RESULTS_MAX);
        return 2;
    }
    srand48(1);
    for (size_t i = 0; i < RESULTS_MAX; i++) {
        bench.time_us[i] = INT64_C(1700000000000000) + (int64_t)i;
        bench.value1[i] = drand48();
        bench.value2[i] = drand48();
        bench.result[i] = bench.value1[i] + bench.value2[i];
    }
    const size_t groups[] = {1, 10, 64};
    for (size_t i = 0; i < sizeof(groups) / sizeof(*groups); i++) {
        if (bench.group && bench.group != groups[i])
            continue;
        floor_of_disk(&bench, groups[i]);
        store(&bench, groups[i], false);
        store(&bench, groups[i], true);
    }
    return 0;
}
