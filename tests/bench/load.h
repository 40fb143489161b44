/* load.h - the loads on queues, ours and its peers, and what comes of them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOAD_CAPACITY 4000000u /* samples */

/* Batches, how many of them may be outstanding, and what our queue shall reach, samples per second. */
typedef struct Load {
    size_t batch;
    uint64_t window;
    double put_aim, both_aim;
} Load;

static const Load load_all[] = {
    {1, 1000, 1.5e6, 0.9e6},
    {100, 200, 10e6, 8e6},
    {1000, 64, 20e6, 16e6},
};

typedef struct LoadResult {
    uint64_t put, acknowledged;     /* samples; they differ if something was lost */
    bool wrong;                     /* what came out was not what was put, though as many */
    double seconds;                 /* that `put` took, or putting, taking and acknowledging them */
    double server_cpu, clients_cpu; /* seconds */
    double p50, p99;                /* microseconds from a put to its answer, of latency loads */
} LoadResult;

/* What the processes of a load tell each other. */
typedef struct LoadShared {
    volatile double begun;               /* producing */
    volatile uint64_t put, acknowledged; /* samples */
    volatile bool all_put, wrong;
    volatile double put_ended, acknowledged_ended;
    volatile double p50, p99;
} LoadShared;

LoadShared *load_shared_new(void); /* seen by children, too */
