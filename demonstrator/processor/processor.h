/* processor.h - what all versions of the processor share: taking, storing,
 * acknowledging, and what an update hands over.
 *
 * A version is a component whose struct begins with a Processor and whose class
 * is made with the macros below; it adds only what is computed. All versions
 * are bundles with the symbolic name "processor", and their components are
 * named so too: each can be updated to each other one while it runs. */
#pragma once

#include "queue.service.h"
#include "state.pb-c.h"
#include "statistics.h"
#include "store.service.h"

#define PROCESSOR_LANES_MAX 8
#define PROCESSOR_LEASE_MAX 64 /* bytes of a lease's name */
#define PROCESSOR_GAPS 256u    /* from one acknowledgement to the next, that are remembered */

typedef struct Processor Processor;

typedef struct ProcessorKind {
    const char *result; /* what a result is: "sum"; people see it in the statistics */
    /* Writes a result for each sample of a batch, whose columns have the same length. */
    void (*compute)(void *self, const Demonstrator__V1__SampleBatch *batch, double *result);
} ProcessorKind;

typedef struct ProcessorLane {
    Processor *processor;
    InaTimer *timer;
    char lease[PROCESSOR_LEASE_MAX]; /* empty when it holds none */
    bool parked;                     /* until no other lane waits at the queue */
    bool stored;                     /* what is under the lease; only to be acknowledged */
    uint64_t samples;                /* likewise */
    uint64_t pause;                  /* before the next try after a failure */
} ProcessorLane;

struct Processor {
    InaClient *queue, *store;
    int64_t service_time_us, maximum, wait_ms, lease_ms, lanes;
    /* the rest is processor.c's */
    InaComponent *component;
    const ProcessorKind *kind;
    Statistics *statistics;
    uint64_t processed;
    /* Leases of the version before, and those of them whose results are in the store. */
    char inherited[PROCESSOR_LANES_MAX][PROCESSOR_LEASE_MAX],
        inherited_stored[PROCESSOR_LANES_MAX][PROCESSOR_LEASE_MAX];
    InaTimer *watch;
    uint64_t flowed_at;                           /* the last acknowledgement; 0: none yet */
    uint64_t inherited_at;                        /* that of the version before; 0: not known, or told already */
    uint64_t inherited_median, inherited_longest; /* of its gaps */
    uint64_t gaps[PROCESSOR_GAPS];                /* between acknowledgements, the last ones */
    uint64_t n_gaps;
    uint64_t waiting_since; /* the first take of which nothing was acknowledged; 0: none */
    bool stalled;           /* and that was said */
    bool asking;            /* a lane waits at the queue */
    ProcessorLane lane[PROCESSOR_LANES_MAX];
};

/* Called by a version's start; it may add figures to processor->statistics afterwards. */
int processor_start(Processor *processor, InaComponent *component, const ProcessorKind *kind, InaError *error);
void processor_stop(Processor *processor);
/* Completes the state by what this part hands over, and packs it. */
int processor_save(const Processor *processor, Demonstrator__V1__ProcessorState *state, void **ret, size_t *ret_size,
                   InaError *error);
/* Takes over this part. `ret` may be NULL; else the caller frees it, for its own part. */
int processor_restore(Processor *processor, const void *packed, size_t size, Demonstrator__V1__ProcessorState **ret,
                      InaError *error);

extern const DemonstratorV1Statistics processor_statistics_table;

#define PROCESSOR_PROVIDES STATISTICS_PROVIDED(&processor_statistics_table, "processor")

#define PROCESSOR_REQUIRES                                                                                             \
    {.contract = &demonstrator_v1_queue_contract, .cardinality = INA_ONE, .offset = offsetof(Processor, queue)},       \
    {                                                                                                                  \
        .contract = &demonstrator_v1_store_contract, .cardinality = INA_ONE, .offset = offsetof(Processor, store)      \
    }

#define PROCESSOR_CONFIG                                                                                               \
    {.key = "service-time-us",                                                                                         \
     .type = INA_TYPE_INTEGER,                                                                                         \
     .offset = offsetof(Processor, service_time_us),                                                                   \
     .value = "0",                                                                                                     \
     .minimum = 0,                                                                                                     \
     .maximum = 1e6,                                                                                                   \
     .description = "time one sample keeps the processor busy, microseconds"},                                         \
        {.key = "maximum",                                                                                             \
         .type = INA_TYPE_INTEGER,                                                                                     \
         .offset = offsetof(Processor, maximum),                                                                       \
         .value = "65536",                                                                                             \
         .minimum = 1,                                                                                                 \
         .maximum = 262144,                                                                                            \
         .description = "samples in one take"},                                                                        \
        {.key = "wait-ms",                                                                                             \
         .type = INA_TYPE_INTEGER,                                                                                     \
         .offset = offsetof(Processor, wait_ms),                                                                       \
         .value = "5000",                                                                                              \
         .minimum = 1,                                                                                                 \
         .maximum = 60000,                                                                                             \
         .description = "how long a take waits for samples, milliseconds"},                                            \
        {.key = "lease-ms",                                                                                            \
         .type = INA_TYPE_INTEGER,                                                                                     \
         .offset = offsetof(Processor, lease_ms),                                                                      \
         .value = "10000",                                                                                             \
         .minimum = 100,                                                                                               \
         .maximum = 600000,                                                                                            \
         .description = "how long taken samples may stay unacknowledged before others get them, milliseconds"},        \
    {                                                                                                                  \
        .key = "lanes", .type = INA_TYPE_INTEGER, .offset = offsetof(Processor, lanes), .value = "4", .minimum = 1,    \
        .maximum = PROCESSOR_LANES_MAX, .description = "batches under way at once while service-time-us is 0"          \
    }
