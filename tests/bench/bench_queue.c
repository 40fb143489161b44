/* bench_queue.c - the queue as its users have it (queue_load.h), with the aims
 * and the disk beside it.
 *
 *   bench_queue AGENT QUEUE.zip [--seconds S] [--directory DIR] [--only put|both|latency]
 *               [--batch SIZE] */
#include "base/files.h"
#include "queue_load.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

typedef struct Bench {
    QueueLoad load;
    double seconds;
    const char *only;
    size_t batch; /* only this size; 0: all */
    char folder[4096];
} Bench;

/* CPU time says what a sample costs even on a machine that has other things to do. */
static void report(const char *what, const Load *load, const LoadResult *result, double aim)
{
    double samples = (double)result->put, rate = samples / result->seconds;
    if (result->acknowledged != result->put) {
        bench_die("%lu samples were acknowledged, %lu put", (unsigned long)result->acknowledged,
                  (unsigned long)result->put);
    }
    printf("%-14s batch %4zu, %4lu outstanding %12.0f samples/s %6.2f x aim   CPU per sample: agent %6.1f ns, clients "
           "%6.1f ns\n",
           what, load->batch, (unsigned long)load->window, rate, rate / aim, result->server_cpu / samples * 1e9,
           result->clients_cpu / samples * 1e9);
    fflush(stdout);
}

static bool wanted(const Bench *bench, const char *what, size_t batch)
{
    return (!bench->only || strstr(what, bench->only)) && (bench->batch == 0 || bench->batch == batch);
}

static void measure_rates(Bench *bench)
{
    for (size_t i = 0; i < sizeof(load_all) / sizeof(*load_all); i++) {
        const Load *load = &load_all[i];
        if (wanted(bench, "put", load->batch)) {
            LoadResult result = queue_load_put(&bench->load, load->batch, load->window, bench->seconds);
            report("put", load, &result, load->put_aim);
        }
    }
    for (size_t i = 0; i < sizeof(load_all) / sizeof(*load_all); i++) {
        const Load *load = &load_all[i];
        if (wanted(bench, "both", load->batch)) {
            LoadResult result = queue_load_both(&bench->load, load->batch, load->window, bench->seconds);
            report("put+take+ack", load, &result, load->both_aim);
        }
    }
}

/* One sample outstanding of each producer; the disk drifts, so its own time is measured before and after. */
static void measure_latency(Bench *bench, unsigned n_producers)
{
    char name[80];
    if (!wanted(bench, "latency", 1)) {
        return;
    }
    double floor = bench_floor_sync(bench->folder, 40, bench->seconds / 4);
    LoadResult result = queue_load_latency(&bench->load, n_producers, bench->seconds);
    floor = (floor + bench_floor_sync(bench->folder, 40, bench->seconds / 4)) / 2;
    snprintf(name, sizeof(name), "put, %u producer%s with one sample outstanding, p50", n_producers,
             n_producers > 1 ? "s" : "");
    bench_line(name, result.p50, "us", result.p50 / floor, "fdatasync");
    bench_line("    p99", result.p99, "us", result.p99 / floor, "fdatasync");
    bench_line("    puts", (double)result.put / result.seconds, "1/s", 0, NULL);
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
    queue_load_start(&bench.load, argv[optind], argv[optind + 1], bench.folder);
    measure_rates(&bench);
    measure_latency(&bench, 1);
    measure_latency(&bench, 16);
    bench_line("queue's agent, resident, at most", bench_agent_memory(&bench.load.agent, "VmHWM") / 1e6, "MB", 0, NULL);
    bench_agent_stop(&bench.load.agent);
    InaError error = {0};
    return folder_remove(bench.folder, &error) < 0;
}
