/* bench_queue.c - the queue as its users have it: an agent with the queue's
 * bundle, a producer and a taker in processes of their own, over HTTP.
 *
 *   bench_queue AGENT QUEUE.zip [--seconds S] [--directory DIR] [--only put|both|latency]
 *               [--batch SIZE]
 *
 * A producer adds batches to its outbox and has so many of them outstanding (not
 * accepted yet) at most; the taker takes, and acknowledges. Everything that is
 * accepted or acknowledged is on disk. */
#include "base/files.h"
#include "bench.h"
#include "framework/components.h"
#include "outbox.h"

#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define CAPACITY 4000000u
#define TAKE_SAMPLES 16384u
#define TAKE_LANES 4u

/* What parent and children tell each other. */
typedef struct Shared {
    volatile double begun, ended; /* of producing */
    volatile uint64_t put, acknowledged;
    volatile bool all_put;
    volatile double put_ended, acknowledged_ended;
    volatile double p50, p99; /* microseconds */
} Shared;

typedef struct Bench {
    BenchAgent agent;
    double seconds;
    const char *only;
    size_t batch; /* only this size; 0: all */
    char folder[4096];
    Shared *shared;
} Bench;

/* --- a component for the outbox -------------------------------------------------- */

typedef struct Peer {
    InaComponent *component;
} Peer;

static Peer *peer;

static int start(void *self, InaComponent *component, InaError *error)
{
    peer = self;
    peer->component = component;
    return 0;
}

static const InaComponentClass classes[] = {{.name = "bench", .size = sizeof(Peer), .start = start}};
static const InaBundleTable table = {INA_BUNDLE_ABI, classes, 1};

static InaClient *connect_to_queue(Bench *bench, BenchHost *host)
{
    ComponentSet *set;
    InaError error = {0};
    ComponentOwner owner = {.id = 1, .name = "bench", .version = "1.0.0"};
    bench_host_start(host, &bench->agent);
    if (components_add(host->framework, &owner, &table, &set, &error) < 0 || components_start(set, NULL, &error) < 0 ||
        !peer) {
        bench_die("%s", error.message);
    }
    return bench_host_client(host, &bench->agent, &demonstrator_v1_queue_contract);
}

/* --- producing ------------------------------------------------------------------- */

typedef struct Producer {
    Outbox *outbox;
    InaClient *queue;
    size_t batch;
    uint64_t window, accepted, produced, limit;
    double end;
    BenchTimes *times; /* one batch outstanding: how long each took */
    double begun;
    int64_t time_us[1000];
    double value1[1000], value2[1000];
} Producer;

static void produce(Producer *producer)
{
    while (producer->produced - producer->accepted + producer->batch <= producer->window &&
           producer->produced < producer->limit && bench_now() < producer->end) {
        producer->begun = bench_now();
        if (outbox_add(producer->outbox, producer->batch, producer->time_us, producer->value1, producer->value2) <
            producer->batch) {
            bench_die("the outbox is full");
        }
        producer->produced += producer->batch;
    }
}

static void accepted(void *userdata, uint64_t first, uint64_t count)
{
    Producer *producer = userdata;
    producer->accepted += count;
    if (producer->times) {
        bench_add(producer->times, (bench_now() - producer->begun) * 1e6);
    }
    produce(producer);
}

static void producer_make(Producer *producer, InaClient *queue, size_t batch, uint64_t window, unsigned number,
                          double seconds, uint64_t limit)
{
    char name[64];
    InaError error = {0};
    *producer = (Producer){
        .queue = queue, .batch = batch, .window = window * batch, .limit = limit, .end = bench_now() + seconds};
    snprintf(name, sizeof(name), "bench-%u.%08x%08x", number, (unsigned)getpid(), (unsigned)(bench_now() * 1e3));
    for (size_t i = 0; i < batch; i++) {
        producer->time_us[i] = ina_wall_clock_us();
        producer->value1[i] = (double)rand() / 7;
        producer->value2[i] = (double)rand() / 3;
    }
    OutboxOptions options = {name, &producer->queue, (size_t)producer->window * 16, accepted, producer};
    if (outbox_new(peer->component, &options, &producer->outbox, &error) < 0) {
        bench_die("%s", error.message);
    }
}

static void run_producer(Bench *bench, size_t batch, uint64_t window, uint64_t limit, double seconds)
{
    static Producer producer;
    BenchHost host;
    InaClient *queue = connect_to_queue(bench, &host);
    producer_make(&producer, queue, batch, window, 0, seconds, limit);
    bench->shared->begun = bench_now();
    produce(&producer);
    while (producer.accepted < producer.produced || (bench_now() < producer.end && producer.produced < limit)) {
        sd_event_run(host.event, UINT64_MAX);
    }
    bench->shared->put_ended = bench_now();
    bench->shared->put = producer.accepted;
    bench->shared->all_put = true;
    if (getenv("BENCH_VERBOSE")) {
        OutboxStatistics statistics;
        outbox_statistics(producer.outbox, &statistics);
        fprintf(stderr, "  %lu calls, %.0f samples each, repeated %lu\n", (unsigned long)statistics.calls,
                (double)statistics.accepted / (double)statistics.calls, (unsigned long)statistics.repeated);
    }
}

/* --- taking ----------------------------------------------------------------------- */

typedef struct Taker {
    Shared *shared;
    InaClient *queue;
    uint64_t acknowledged;
    unsigned running;
} Taker;

typedef struct Lane {
    Taker *taker;
    uint64_t count;
} Lane;

static void take(Lane *lane);

static void acknowledged(void *userdata, const Demonstrator__V1__AcknowledgeReply *reply, const InaFailure *failure)
{
    Lane *lane = userdata;
    if (failure || reply->n_unknown > 0) {
        bench_die("acknowledge: %s", failure ? failure->message : "unknown lease");
    }
    lane->taker->acknowledged += lane->count;
    lane->taker->shared->acknowledged = lane->taker->acknowledged;
    lane->taker->shared->acknowledged_ended = bench_now();
    take(lane);
}

static void taken(void *userdata, const Demonstrator__V1__TakeReply *reply, const InaFailure *failure)
{
    Lane *lane = userdata;
    if (failure) {
        bench_die("take: %s", failure->message);
    }
    if (reply->n_batches == 0) {
        take(lane);
        return;
    }
    lane->count = 0;
    for (size_t i = 0; i < reply->n_batches; i++) {
        lane->count += reply->batches[i]->n_time_us;
    }
    char *leases[] = {reply->lease};
    Demonstrator__V1__AcknowledgeRequest request = DEMONSTRATOR__V1__ACKNOWLEDGE_REQUEST__INIT;
    request.n_leases = 1;
    request.leases = leases;
    demonstrator_v1_queue_acknowledge(lane->taker->queue, &request, 0, acknowledged, lane);
}

static void take(Lane *lane)
{
    Demonstrator__V1__TakeRequest request = DEMONSTRATOR__V1__TAKE_REQUEST__INIT;
    const Shared *shared = lane->taker->shared;
    if (shared->all_put && shared->acknowledged >= shared->put) {
        lane->taker->running--;
        return;
    }
    request.minimum = 1;
    request.maximum = TAKE_SAMPLES;
    request.wait_ms = 20;
    request.lease_ms = 60000;
    demonstrator_v1_queue_take(lane->taker->queue, &request, 0, taken, lane);
}

static void run_taker(Bench *bench)
{
    Lane lanes[TAKE_LANES];
    BenchHost host;
    InaClient *queue = connect_to_queue(bench, &host);
    Taker taker = {.shared = bench->shared, .queue = queue, .running = TAKE_LANES};
    for (unsigned i = 0; i < TAKE_LANES; i++) {
        lanes[i] = (Lane){.taker = &taker};
        take(&lanes[i]);
    }
    while (taker.running > 0) {
        sd_event_run(host.event, UINT64_MAX);
    }
}

/* --- the loads --------------------------------------------------------------------- */

static pid_t begin_child(void)
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    }
    return pid;
}

static void end_child(pid_t pid)
{
    int status;
    if (waitpid(pid, &status, 0) != pid || status != 0) {
        bench_die("a client failed");
    }
}

static double children_cpu(void)
{
    struct rusage used;
    getrusage(RUSAGE_CHILDREN, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

/* CPU time says what a sample costs even on a machine that has other things to do. */
static void report(const char *what, size_t batch, uint64_t window, uint64_t samples, double time, double agent,
                   double clients, double aim)
{
    printf("%-14s batch %4zu, %4lu outstanding %12.0f samples/s %6.2f x aim   CPU per sample: agent %6.1f ns, clients "
           "%6.1f ns\n",
           what, batch, (unsigned long)window, (double)samples / time, (double)samples / time / aim,
           agent / (double)samples * 1e9, clients / (double)samples * 1e9);
    fflush(stdout);
}

static bool wanted(const Bench *bench, const char *what, size_t batch)
{
    return (!bench->only || strstr(what, bench->only)) && (bench->batch == 0 || bench->batch == batch);
}

/* Puts alone, as much as fits; then it is emptied. */
static void measure_put(Bench *bench, size_t batch, uint64_t window, double aim)
{
    double time = 0, agent = 0, clients = 0;
    uint64_t put = 0;
    if (!wanted(bench, "put", batch)) {
        return;
    }
    while (time < bench->seconds) {
        memset(bench->shared, 0, sizeof(*bench->shared));
        double used = bench_agent_cpu(&bench->agent), used_clients = children_cpu();
        pid_t pid = begin_child();
        if (pid == 0) {
            run_producer(bench, batch, window, CAPACITY / batch * batch, bench->seconds);
            _exit(0);
        }
        end_child(pid);
        time += bench->shared->put_ended - bench->shared->begun;
        agent += bench_agent_cpu(&bench->agent) - used;
        clients += children_cpu() - used_clients;
        put += bench->shared->put;
        if ((pid = begin_child()) == 0) {
            run_taker(bench);
            _exit(0);
        }
        end_child(pid);
    }
    report("put", batch, window, put, time, agent, clients, aim);
}

static void measure_both(Bench *bench, size_t batch, uint64_t window, double aim)
{
    if (!wanted(bench, "both", batch)) {
        return;
    }
    memset(bench->shared, 0, sizeof(*bench->shared));
    double used = bench_agent_cpu(&bench->agent), used_clients = children_cpu();
    pid_t taker = begin_child();
    if (taker == 0) {
        run_taker(bench);
        _exit(0);
    }
    pid_t producer = begin_child();
    if (producer == 0) {
        run_producer(bench, batch, window, UINT64_MAX, bench->seconds);
        _exit(0);
    }
    end_child(producer);
    end_child(taker);
    if (bench->shared->acknowledged != bench->shared->put) {
        bench_die("%lu samples were acknowledged, %lu put", (unsigned long)bench->shared->acknowledged,
                  (unsigned long)bench->shared->put);
    }
    report("put+take+ack", batch, window, bench->shared->put, bench->shared->acknowledged_ended - bench->shared->begun,
           bench_agent_cpu(&bench->agent) - used, children_cpu() - used_clients, aim);
}

static void run_latency(Bench *bench, unsigned n_producers)
{
    Producer *producers = calloc(n_producers, sizeof(*producers));
    BenchTimes times = {0};
    BenchHost host;
    InaClient *queue = connect_to_queue(bench, &host);
    double begun = bench_now(), end = begun + bench->seconds;
    for (unsigned i = 0; i < n_producers; i++) {
        producer_make(&producers[i], queue, 1, 1, i, bench->seconds, CAPACITY);
        producers[i].times = &times;
        produce(&producers[i]);
    }
    while (bench_now() < end) {
        sd_event_run(host.event, 100000);
    }
    bench->shared->p50 = bench_percentile(&times, 50);
    bench->shared->p99 = bench_percentile(&times, 99);
    bench->shared->put = times.count;
}

/* One sample outstanding of each producer; the disk drifts, so its own time is measured before and after. */
static void measure_latency(Bench *bench, unsigned n_producers)
{
    char name[80];
    if (!wanted(bench, "latency", 1)) {
        return;
    }
    double floor = bench_floor_sync(bench->folder, 40, bench->seconds / 4);
    pid_t pid = begin_child();
    if (pid == 0) {
        run_latency(bench, n_producers);
        _exit(0);
    }
    end_child(pid);
    floor = (floor + bench_floor_sync(bench->folder, 40, bench->seconds / 4)) / 2;
    snprintf(name, sizeof(name), "put, %u producer%s with one sample outstanding, p50", n_producers,
             n_producers > 1 ? "s" : "");
    bench_line(name, bench->shared->p50, "us", bench->shared->p50 / floor, "fdatasync");
    bench_line("    p99", bench->shared->p99, "us", bench->shared->p99 / floor, "fdatasync");
    bench_line("    puts", (double)bench->shared->put / bench->seconds, "1/s", 0, NULL);
    bench_line("    fdatasync of 40 bytes, preallocated (floor), p50", floor, "us", 0, NULL);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"seconds", required_argument, NULL, 's'},
        {"directory", required_argument, NULL, 'd'},
        {"only", required_argument, NULL, 'o'},
        {"batch", required_argument, NULL, 'b'},
        {0},
    };
    static const struct {
        size_t batch;
        uint64_t window;
        double put, both;
    } loads[] = {{1, 1000, 1.5e6, 0.9e6}, {100, 200, 10e6, 8e6}, {1000, 64, 20e6, 16e6}};
    static char directory[8300], capacity[64];
    const char *parent = "/tmp";
    Bench bench = {.seconds = 1};
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) >= 0;) {
        if (c == 's') {
            bench.seconds = strtod(optarg, NULL);
        } else if (c == 'd') {
            parent = optarg;
        } else if (c == 'o') {
            bench.only = optarg;
        } else if (c == 'b') {
            bench.batch = (size_t)strtoul(optarg, NULL, 10);
        } else {
            return 2;
        }
    }
    snprintf(bench.folder, sizeof(bench.folder), "%s/inaetics-bench-XXXXXX", parent);
    if (argc - optind != 2 || !mkdtemp(bench.folder)) {
        bench_die("usage: bench_queue AGENT QUEUE.zip [--seconds S] [--directory DIR] [--only put|both|latency]");
    }
    mallopt(M_MMAP_THRESHOLD, 32 * 1024 * 1024); /* as the agent does */
    mallopt(M_TRIM_THRESHOLD, 16 * 1024 * 1024);
    bench.shared = mmap(NULL, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    snprintf(directory, sizeof(directory), "CONFIG_QUEUE_DIRECTORY=%s/queue-log", bench.folder);
    snprintf(capacity, sizeof(capacity), "CONFIG_QUEUE_CAPACITY=%u", CAPACITY);
    bench_agent_start(&bench.agent, argv[optind], "queue", bench.folder, (const char *const[]){argv[optind + 1], NULL},
                      (const char *const[]){directory, capacity, NULL});
    for (size_t i = 0; i < sizeof(loads) / sizeof(*loads); i++) {
        measure_put(&bench, loads[i].batch, loads[i].window, loads[i].put);
    }
    for (size_t i = 0; i < sizeof(loads) / sizeof(*loads); i++) {
        measure_both(&bench, loads[i].batch, loads[i].window, loads[i].both);
    }
    measure_latency(&bench, 1);
    measure_latency(&bench, 16);
    bench_line("queue's agent, resident, at most", bench_agent_memory(&bench.agent, "VmHWM") / 1e6, "MB", 0, NULL);
    bench_agent_stop(&bench.agent);
    InaError error = {0};
    return folder_remove(bench.folder, &error) < 0;
}
