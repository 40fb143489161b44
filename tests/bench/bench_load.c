/* bench_load.c - puts samples into a running queue as fast as it takes them,
 * through the outbox that producers use.
 *
 *   bench_load URL TOKEN_FILE BATCH OUTSTANDING SECONDS
 *
 * BATCH samples are offered at a time, while fewer than BATCH * OUTSTANDING
 * are unanswered. Prints "accepted N seconds S". */
#include "bench.h"
#include "base/files.h"
#include "framework/components.h"
#include "outbox.h"

#include <stdlib.h>
#include <string.h>

typedef struct Load {
    InaClient *queue;
    Outbox *outbox;
    InaComponent *component;
} Load;

/* The outbox belongs to a component, so the load is one. */
static Load *the_load;

static int start(void *self, InaComponent *component, InaError *error)
{
    the_load = self;
    the_load->component = component;
    return 0;
}

static void stop(void *self)
{
    ((Load *)self)->outbox = outbox_free(((Load *)self)->outbox);
}

static const InaRequired requires[] = {
    {.contract = &demonstrator_v1_queue_contract, .cardinality = INA_OPTIONAL, .offset = offsetof(Load, queue)},
};

static const InaComponentClass components[] = {{
    .name = "load",
    .size = sizeof(Load),
    .requires = requires,
    .n_requires = INA_COUNT(requires),
    .start = start,
    .stop = stop,
}};

static const InaBundleTable table = {INA_BUNDLE_ABI, components, INA_COUNT(components)};

int main(int argc, char **argv)
{
    if (argc != 6) {
        bench_die("usage: bench_load URL TOKEN_FILE BATCH OUTSTANDING SECONDS");
    }
    size_t batch = strtoul(argv[3], NULL, 10), outstanding = strtoul(argv[4], NULL, 10);
    double seconds = strtod(argv[5], NULL);
    BenchAgent agent = {0};
    BenchHost host;
    InaError error = {0};
    snprintf(agent.id, sizeof(agent.id), "queue");
    snprintf(agent.address, sizeof(agent.address), "%s", argv[1] + strlen("http://"));
    snprintf(agent.token_file, sizeof(agent.token_file), "%s", argv[2]);
    bench_host_start(&host, &agent);
    bench_host_client(&host, &agent, &demonstrator_v1_queue_contract);
    ComponentSet *set;
    ComponentOwner owner = {.id = 1, .name = "bench", .version = "1.0.0"};
    if (components_add(host.framework, &owner, &table, &set, &error) < 0 || components_start(set, NULL, &error) < 0) {
        bench_die("%s", error.message);
    }
    char name[64];
    snprintf(name, sizeof(name), "bench.%lld", (long long)ina_wall_clock_us());
    OutboxOptions options = {.producer = name, .queue = &the_load->queue, .capacity = batch * outstanding};
    if (outbox_new(the_load->component, &options, &the_load->outbox, &error) < 0) {
        bench_die("%s", error.message);
    }
    int64_t *times = calloc(batch, sizeof(*times));
    double *values = calloc(batch, sizeof(*values));
    if (!times || !values) {
        bench_die("out of memory");
    }
    OutboxStatistics now;
    double begin = bench_now();
    do {
        outbox_statistics(the_load->outbox, &now);
        int64_t time = ina_wall_clock_us();
        for (size_t room = batch * outstanding - now.buffered; room >= batch; room -= batch) {
            for (size_t i = 0; i < batch; i++) {
                times[i] = time;
            }
            outbox_add(the_load->outbox, batch, times, values, values);
        }
        sd_event_run(host.event, 100000);
    } while (bench_now() - begin < seconds);
    while (outbox_statistics(the_load->outbox, &now), now.buffered > 0) {
        sd_event_run(host.event, 100000);
    }
    printf("accepted %llu seconds %.6f\n", (unsigned long long)now.accepted, bench_now() - begin);
    free(times);
    free(values);
    return 0;
}
