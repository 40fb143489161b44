/* queue_load.c - see queue_load.h. */
#include "queue_load.h"
#include "base/files.h"
#include "framework/components.h"
#include "outbox.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TAKE_SAMPLES 16384u
#define TAKE_LANES 4u

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

static InaClient *connect_to_queue(QueueLoad *load, BenchHost *host)
{
    ComponentSet *set;
    InaError error = {0};
    ComponentOwner owner = {.id = 1, .name = "bench", .version = "1.0.0"};
    bench_host_start(host, &load->agent);
    if (components_add(host->framework, &owner, &table, &set, &error) < 0 || components_start(set, NULL, &error) < 0 ||
        !peer) {
        bench_die("%s", error.message);
    }
    return bench_host_client(host, &load->agent, &demonstrator_v1_queue_contract);
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

static void run_producer(QueueLoad *load, size_t batch, uint64_t window, uint64_t limit, double seconds)
{
    static Producer producer;
    BenchHost host;
    InaClient *queue = connect_to_queue(load, &host);
    producer_make(&producer, queue, batch, window, 0, seconds, limit);
    load->shared->begun = bench_now();
    produce(&producer);
    while (producer.accepted < producer.produced || (bench_now() < producer.end && producer.produced < limit)) {
        sd_event_run(host.event, UINT64_MAX);
    }
    load->shared->put_ended = bench_now();
    load->shared->put = producer.accepted;
    load->shared->all_put = true;
    if (getenv("BENCH_VERBOSE")) {
        OutboxStatistics statistics;
        outbox_statistics(producer.outbox, &statistics);
        fprintf(stderr, "  %lu calls, %.0f samples each, repeated %lu\n", (unsigned long)statistics.calls,
                (double)statistics.accepted / (double)statistics.calls, (unsigned long)statistics.repeated);
    }
}

/* --- taking ----------------------------------------------------------------------- */

typedef struct Taker {
    LoadShared *shared;
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
    const LoadShared *shared = lane->taker->shared;
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

static void run_taker(QueueLoad *load)
{
    Lane lanes[TAKE_LANES];
    BenchHost host;
    InaClient *queue = connect_to_queue(load, &host);
    Taker taker = {.shared = load->shared, .queue = queue, .running = TAKE_LANES};
    for (unsigned i = 0; i < TAKE_LANES; i++) {
        lanes[i] = (Lane){.taker = &taker};
        take(&lanes[i]);
    }
    while (taker.running > 0) {
        sd_event_run(host.event, UINT64_MAX);
    }
}

/* --- the loads --------------------------------------------------------------------- */

static void empty(QueueLoad *load)
{
    pid_t pid = bench_child_begin();
    if (pid == 0) {
        run_taker(load);
        _exit(0);
    }
    bench_child_end(pid);
}

/* Puts alone, as much as fits; then it is emptied. */
LoadResult queue_load_put(QueueLoad *load, size_t batch, uint64_t window, double seconds)
{
    LoadResult result = {0};
    while (result.seconds < seconds) {
        memset(load->shared, 0, sizeof(*load->shared));
        double used = bench_agent_cpu(&load->agent), used_clients = bench_children_cpu();
        pid_t pid = bench_child_begin();
        if (pid == 0) {
            run_producer(load, batch, window, LOAD_CAPACITY / batch * batch, seconds);
            _exit(0);
        }
        bench_child_end(pid);
        result.seconds += load->shared->put_ended - load->shared->begun;
        result.server_cpu += bench_agent_cpu(&load->agent) - used;
        result.clients_cpu += bench_children_cpu() - used_clients;
        result.put += load->shared->put;
        empty(load);
        result.acknowledged += load->shared->acknowledged;
    }
    return result;
}

LoadResult queue_load_both(QueueLoad *load, size_t batch, uint64_t window, double seconds)
{
    memset(load->shared, 0, sizeof(*load->shared));
    double used = bench_agent_cpu(&load->agent), used_clients = bench_children_cpu();
    pid_t taker = bench_child_begin();
    if (taker == 0) {
        run_taker(load);
        _exit(0);
    }
    pid_t producer = bench_child_begin();
    if (producer == 0) {
        run_producer(load, batch, window, UINT64_MAX, seconds);
        _exit(0);
    }
    bench_child_end(producer);
    bench_child_end(taker);
    return (LoadResult){
        .put = load->shared->put,
        .acknowledged = load->shared->acknowledged,
        .seconds = load->shared->acknowledged_ended - load->shared->begun,
        .server_cpu = bench_agent_cpu(&load->agent) - used,
        .clients_cpu = bench_children_cpu() - used_clients,
    };
}

static void run_latency(QueueLoad *load, unsigned n_producers, double seconds)
{
    Producer *producers = calloc(n_producers, sizeof(*producers));
    BenchTimes times = {0};
    BenchHost host;
    InaClient *queue = connect_to_queue(load, &host);
    uint64_t put = 0;
    for (unsigned i = 0; i < n_producers; i++) {
        producer_make(&producers[i], queue, 1, 1, i, seconds, LOAD_CAPACITY);
        producers[i].times = &times;
        produce(&producers[i]);
    }
    for (unsigned i = 0; i < n_producers; i++) {
        while (bench_now() < producers[i].end || producers[i].accepted < producers[i].produced) {
            sd_event_run(host.event, 100000);
        }
        put += producers[i].accepted;
    }
    load->shared->p50 = bench_percentile(&times, 50);
    load->shared->p99 = bench_percentile(&times, 99);
    load->shared->put = put;
    load->shared->all_put = true;
}

LoadResult queue_load_latency(QueueLoad *load, unsigned n_producers, double seconds)
{
    memset(load->shared, 0, sizeof(*load->shared));
    pid_t pid = bench_child_begin();
    if (pid == 0) {
        run_latency(load, n_producers, seconds);
        _exit(0);
    }
    bench_child_end(pid);
    empty(load);
    return (LoadResult){
        .put = load->shared->put,
        .acknowledged = load->shared->acknowledged,
        .seconds = seconds,
        .p50 = load->shared->p50,
        .p99 = load->shared->p99,
    };
}

void queue_load_start(QueueLoad *load, const char *agent, const char *queue_zip, const char *folder)
{
    static char directory[8300], capacity[64];   /* the environment keeps them */
    mallopt(M_MMAP_THRESHOLD, 32 * 1024 * 1024); /* as the agent does */
    mallopt(M_TRIM_THRESHOLD, 16 * 1024 * 1024);
    load->shared = load_shared_new();
    snprintf(directory, sizeof(directory), "CONFIG_QUEUE_DIRECTORY=%s/queue-log", folder);
    snprintf(capacity, sizeof(capacity), "CONFIG_QUEUE_CAPACITY=%u", LOAD_CAPACITY);
    bench_agent_start(&load->agent, agent, "queue", folder, (const char *const[]){queue_zip, NULL},
                      (const char *const[]){directory, capacity, NULL});
}
