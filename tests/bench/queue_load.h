/* queue_load.h - our queue as its users have it, under load: an agent with the
 * queue's bundle, a producer and a taker in processes of their own, over HTTP.
 *
 * A producer adds batches to its outbox and has so many of them outstanding (not
 * accepted yet) at most; the taker takes, and acknowledges. Everything that is
 * accepted or acknowledged is on disk. */
#pragma once

#include "bench.h"
#include "load.h"

typedef struct QueueLoad {
    BenchAgent agent;
    LoadShared *shared;
} QueueLoad;

/* Data is kept below `folder`. The agent ends with bench_agent_stop(). */
void queue_load_start(QueueLoad *load, const char *agent, const char *queue_zip, const char *folder);

LoadResult queue_load_put(QueueLoad *load, size_t batch, uint64_t window, double seconds);
LoadResult queue_load_both(QueueLoad *load, size_t batch, uint64_t window, double seconds);
/* One sample outstanding of each producer. */
LoadResult queue_load_latency(QueueLoad *load, unsigned n_producers, double seconds);
