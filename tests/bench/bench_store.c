/* bench_store.c - the store: its core in this process, and with AGENT and
 * STORE.zip as its users have it, in an agent over HTTP.
 *
 *   bench_store [AGENT STORE.zip] [--seconds S] [--directory DIR] [--only core|service]
 *
 * Everything counted is on disk. The floor beside is one write and one
 * fdatasync of as many bytes over a preallocated file: no store that commits
 * before it answers can be faster. The capacity is the default, so all but the
 * first moments expire as much as they store. */
#include "bench.h"
#include "store.service.h"
#include "store_db.h"

#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define PRODUCERS 4u
#define BATCH_MAX 1000u
#define BATCHES_MAX 1000u
#define AIM 3e6 /* results per second in committed batches of 1000 */
#define BYTES_PER_RESULT 28u

typedef struct Bench {
    double seconds;
    const char *only;
    char folder[4096];
    char names[PRODUCERS][40];
    uint64_t next[PRODUCERS];
    int64_t time_us[BATCH_MAX];
    double value1[BATCH_MAX], value2[BATCH_MAX], result[BATCH_MAX];
} Bench;

/* Columns as a stream of samples at full rate has them: times a microsecond
 * apart, computed within a moment. */
static void bench_fill(Bench *bench)
{
    for (size_t i = 0; i < PRODUCERS; i++) {
        snprintf(bench->names[i], sizeof(bench->names[i]), "bench-%zu.0123456789abcdef", i);
        bench->next[i] = 0;
    }
    for (size_t i = 0; i < BATCH_MAX; i++) {
        bench->time_us[i] = ina_wall_clock_us() + (int64_t)i;
        bench->value1[i] = (double)rand() / 7;
        bench->value2[i] = (double)rand() / 3;
        bench->result[i] = bench->value1[i] + bench->value2[i];
    }
}

static void bench_remove(const Bench *bench, const char *what)
{
    char command[4300];
    snprintf(command, sizeof(command), "rm -rf '%s/'%s", bench->folder, what);
    if (system(command) != 0) {
        bench_die("%s failed", command);
    }
}

/* --- the core ---------------------------------------------------------------------- */

/* Copies the log into the file beside, when there is enough of it. */
typedef struct Checkpointer {
    const char *path;
    atomic_bool stop;
    atomic_uint_fast64_t log; /* bytes */
} Checkpointer;

static void *checkpoint_beside(void *userdata)
{
    Checkpointer *beside = userdata;
    StoreCheckpoint *checkpoint = NULL;
    InaError error = {0};
    if (store_checkpoint_open(beside->path, NULL, &checkpoint, &error) < 0) {
        bench_die("%s", error.message);
    }
    while (!beside->stop) {
        uint64_t rest = 0;
        if (beside->log < STORE_LOG_MAX / 2) {
            usleep(1000);
        } else if (store_checkpoint_run(checkpoint, &rest, &error) < 0) {
            bench_die("%s", error.message);
        } else if (rest == 0) {
            beside->log = 0;
        }
    }
    store_checkpoint_free(checkpoint);
    return NULL;
}

static void fill_batches(Bench *bench, StoreBatch *batches, size_t n, size_t size)
{
    for (size_t i = 0; i < n; i++) {
        size_t producer = n < PRODUCERS ? bench->next[0] / size % PRODUCERS : i * PRODUCERS / n;
        batches[i] = (StoreBatch){
            bench->names[producer],
            bench->next[producer],
            {size, bench->time_us, bench->value1, bench->value2, bench->time_us, bench->result},
        };
        bench->next[producer] += size;
    }
}

/* CPU time says what a result costs even on a machine that has other things to do. */
static double cpu_used(void)
{
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

static double put_for(Bench *bench, StoreDb *db, size_t n, size_t size, double seconds, Checkpointer *beside,
                      BenchTimes *times)
{
    static StoreBatch batches[BATCHES_MAX];
    double begin = bench_now(), end = begin, results = 0;
    while (end - begin < seconds) {
        fill_batches(bench, batches, n, size);
        StorePut put = {.batches = batches, .n_batches = n};
        InaError error = {0};
        double start = bench_now();
        if (store_db_put(db, &put, 1, &error) < 0) {
            bench_die("%s", error.message);
        }
        if (beside) {
            beside->log = store_db_log_bytes(db);
        }
        end = bench_now();
        bench_add(times, (end - start) * 1e6);
        results += (double)(put.stored + put.duplicates);
    }
    return results / (end - begin);
}

static void measure_core(Bench *bench, size_t n, size_t size, bool with_beside)
{
    char path[4200], name[100];
    BenchTimes times = {0};
    StoreDb *db = NULL;
    InaError error = {0};
    pthread_t thread;
    snprintf(path, sizeof(path), "%s/core.db", bench->folder);
    double floor = bench_floor_sync(bench->folder, n * size * BYTES_PER_RESULT, bench->seconds / 4);
    if (store_db_open(path, NULL, &db, &error) < 0) {
        bench_die("%s", error.message);
    }
    Checkpointer beside = {.path = path};
    if (with_beside && pthread_create(&thread, NULL, checkpoint_beside, &beside) != 0) {
        bench_die("no thread");
    }
    bench_fill(bench);
    put_for(bench, db, n, size, bench->seconds / 2, with_beside ? &beside : NULL, &times);
    bench_clear(&times);
    double used = cpu_used();
    double rate = put_for(bench, db, n, size, bench->seconds, with_beside ? &beside : NULL, &times);
    used = (cpu_used() - used) / ((double)times.count * (double)(n * size));
    snprintf(name, sizeof(name), "core, %zu x %zu per commit%s", n, size, with_beside ? ", checkpoints beside" : "");
    bench_line(name, rate, "results/s", rate / AIM, "aim");
    bench_line("    commit p50", bench_percentile(&times, 50), "us", bench_percentile(&times, 50) / floor,
               "write + fdatasync");
    bench_line("    commit p99", bench_percentile(&times, 99), "us", 0, NULL);
    bench_line("    CPU per result", used * 1e9, "ns", 0, NULL);
    bench_clear(&times);
    if (!with_beside) {
        memset(bench->next, 0, sizeof(bench->next));
        rate = put_for(bench, db, n, size, bench->seconds / 10, NULL, &times);
        bench_line("    duplicates", rate, "results/s", 0, NULL);
        bench_clear(&times);
    }
    beside.stop = true;
    if (with_beside) {
        pthread_join(thread, NULL);
    }
    store_db_free(db);
    bench_remove(bench, "core.db*");
}

/* --- the service --------------------------------------------------------------------- */

typedef struct Client {
    Bench *bench;
    InaClient *store;
    size_t size;
    unsigned outstanding;
    double end;
    uint64_t stored;
    BenchTimes times;
} Client;

typedef struct Lane {
    Client *client;
    double begun;
} Lane;

static void put(Lane *lane);

static void stored(void *userdata, const Demonstrator__V1__StorePutReply *reply, const InaFailure *failure)
{
    Lane *lane = userdata;
    Client *client = lane->client;
    if (failure) {
        bench_die("put: %s: %s", ina_code_name(failure->code), failure->message);
    }
    client->stored += reply->stored;
    bench_add(&client->times, (bench_now() - lane->begun) * 1e6);
    client->outstanding--;
    if (bench_now() < client->end) {
        put(lane);
    }
}

static void put(Lane *lane)
{
    Client *client = lane->client;
    Bench *bench = client->bench;
    size_t size = client->size, producer = bench->next[0] / size % PRODUCERS;
    Demonstrator__V1__SampleBatch samples = DEMONSTRATOR__V1__SAMPLE_BATCH__INIT;
    Demonstrator__V1__ResultBatch results = DEMONSTRATOR__V1__RESULT_BATCH__INIT;
    Demonstrator__V1__StorePutRequest request = DEMONSTRATOR__V1__STORE_PUT_REQUEST__INIT;
    samples.producer = bench->names[producer];
    samples.first_sequence = bench->next[producer];
    bench->next[producer] += size;
    samples.n_time_us = samples.n_value1 = samples.n_value2 = size;
    samples.time_us = bench->time_us;
    samples.value1 = bench->value1;
    samples.value2 = bench->value2;
    results.samples = &samples;
    results.n_processing_time_us = results.n_result = size;
    results.processing_time_us = bench->time_us;
    results.result = bench->result;
    request.n_batches = 1;
    request.batches = (Demonstrator__V1__ResultBatch *[]){&results};
    lane->begun = bench_now();
    client->outstanding++;
    demonstrator_v1_store_put(client->store, &request, 0, stored, lane);
}

static void measure_service(Bench *bench, BenchAgent *agent, BenchHost *host, InaClient *store, size_t size,
                            unsigned window)
{
    static Lane lanes[64];
    char name[100];
    Client client = {.bench = bench, .store = store, .size = size, .end = bench_now() + bench->seconds};
    double used = bench_agent_cpu(agent), begin = bench_now();
    for (unsigned i = 0; i < window; i++) {
        lanes[i] = (Lane){&client, 0};
        put(&lanes[i]);
    }
    while (client.outstanding > 0) {
        sd_event_run(host->event, UINT64_MAX);
    }
    double rate = (double)client.stored / (bench_now() - begin);
    snprintf(name, sizeof(name), "service, batches of %zu, %u outstanding", size, window);
    bench_line(name, rate, "results/s", rate / AIM, "aim");
    bench_line("    put p50", bench_percentile(&client.times, 50), "us", 0, NULL);
    bench_line("    put p99", bench_percentile(&client.times, 99), "us", 0, NULL);
    bench_line("    agent's CPU per result", (bench_agent_cpu(agent) - used) / (double)client.stored * 1e9, "ns", 0,
               NULL);
    bench_clear(&client.times);
}

static void measure_services(Bench *bench, const char *program, const char *zip)
{
    char directory[4200];
    BenchAgent agent;
    BenchHost host;
    snprintf(directory, sizeof(directory), "CONFIG_STORE_DIRECTORY=%s", bench->folder);
    bench_agent_start(&agent, program, "store", bench->folder, (const char *const[]){zip, NULL},
                      (const char *const[]){directory, NULL});
    bench_host_start(&host, &agent);
    InaClient *store = bench_host_client(&host, &agent, &demonstrator_v1_store_contract);
    bench_line("service, memory of the agent at rest", bench_agent_memory(&agent, "VmRSS") / 1e6, "MB", 0, NULL);
    bench_fill(bench);
    measure_service(bench, &agent, &host, store, 1000, 1);
    measure_service(bench, &agent, &host, store, 1000, 8);
    measure_service(bench, &agent, &host, store, 1000, 64);
    measure_service(bench, &agent, &host, store, 100, 64);
    measure_service(bench, &agent, &host, store, 1, 64);
    bench_line("    memory of the agent afterwards", bench_agent_memory(&agent, "VmRSS") / 1e6, "MB", 0, NULL);
    bench_line("    memory of the agent, at most", bench_agent_memory(&agent, "VmHWM") / 1e6, "MB", 0, NULL);
    bench_agent_stop(&agent);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"seconds", required_argument, NULL, 's'},
        {"directory", required_argument, NULL, 'd'},
        {"only", required_argument, NULL, 'o'},
        {0},
    };
    static const struct {
        size_t n, size;
    } loads[] = {{1, 1000}, {8, 1000}, {64, 1000}, {100, 100}, {1000, 1}};
    static Bench bench = {.seconds = 2};
    const char *parent = "/tmp";
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) >= 0;) {
        if (c == 's') {
            bench.seconds = strtod(optarg, NULL);
        } else if (c == 'd') {
            parent = optarg;
        } else if (c == 'o') {
            bench.only = optarg;
        } else {
            return 2;
        }
    }
    snprintf(bench.folder, sizeof(bench.folder), "%s/inaetics-bench-XXXXXX", parent);
    if ((argc - optind != 0 && argc - optind != 2) || !mkdtemp(bench.folder)) {
        bench_die("usage: bench_store [AGENT STORE.zip] [--seconds S] [--directory DIR] [--only core|service]");
    }
    if (!bench.only || strcmp(bench.only, "core") == 0) {
        for (size_t i = 0; i < sizeof(loads) / sizeof(*loads); i++) {
            measure_core(&bench, loads[i].n, loads[i].size, false);
        }
        measure_core(&bench, 1, 1000, true);
        measure_core(&bench, 8, 1000, true);
    }
    if (argc - optind == 2 && (!bench.only || strcmp(bench.only, "service") == 0)) {
        measure_services(&bench, argv[optind], argv[optind + 1]);
    }
    bench_remove(&bench, "");
    return 0;
}
