/* producer.h - what all producers share: rate, buffer, ledger, statistics.
 *
 * A kind of producer is a component whose struct begins with a Producer and
 * whose class is made with the macros below; it adds only how samples are
 * made. Samples fall due at the nominal rate; they are made when due, at most
 * PRODUCER_TICK late, never faster to make up for a stopped process. */
#pragma once

#include "ledger.h"
#include "outbox.h"
#include "producer.service.h"
#include "statistics.h"

#define PRODUCER_TICK (5 * INA_MILLISECOND)
#define PRODUCER_BATCH_MAX 65536u    /* samples made in one tick */
#define PRODUCER_CATCH_UP_MAX INA_SECOND /* what a pause may leave due */

typedef struct Producer Producer;

/* Makes samples; returns how many. `due` is what falls due by the rate; a kind
 * may make fewer or more (bursts, a timing of its own), at most
 * PRODUCER_BATCH_MAX. */
typedef size_t (*ProducerMake)(void *self, size_t due, int64_t *time_us, double *value1, double *value2);

struct Producer {
    InaClient *queue;
    int64_t maximum_rate, buffer;
    double initial_rate;
    const char *name, *directory;
    /* the rest is producer.c's */
    InaComponent *component;
    ProducerMake make;
    char id[LEDGER_PRODUCER_MAX];
    Outbox *outbox;
    Ledger *ledger;
    Statistics *statistics;
    InaTimer *timer;
    double percent;
    uint64_t since;  /* when the rate was set */
    uint64_t due;    /* samples made since then */
    uint64_t accepted;
    int64_t *times;
    double *values;
};

/* Called by a kind's start; `kind` is the default name. */
int producer_start(Producer *producer, InaComponent *component, const char *kind, ProducerMake make, InaError *error);
void producer_stop(Producer *producer);
double producer_rate(const Producer *producer); /* samples per second, nominal */

extern const DemonstratorV1Producer producer_table;
extern const DemonstratorV1Statistics producer_statistics_table;

#define PRODUCER_PROVIDES                                                                                              \
    {.contract = &demonstrator_v1_producer_contract, .table = &producer_table, .exported = true},                      \
        STATISTICS_PROVIDED(&producer_statistics_table, "producer")

#define PRODUCER_REQUIRES                                                                                              \
    {                                                                                                                  \
        .contract = &demonstrator_v1_queue_contract, .cardinality = INA_OPTIONAL, .offset = offsetof(Producer, queue)  \
    }

#define PRODUCER_CONFIG                                                                                                \
    {.key = "maximum-rate",                                                                                            \
     .type = INA_TYPE_INTEGER,                                                                                         \
     .offset = offsetof(Producer, maximum_rate),                                                                       \
     .value = "400",                                                                                                   \
     .minimum = 1,                                                                                                     \
     .maximum = 10e6,                                                                                                  \
     .description = "rate at 100 %, samples per second"},                                                              \
        {.key = "initial-rate",                                                                                        \
         .type = INA_TYPE_DOUBLE,                                                                                      \
         .offset = offsetof(Producer, initial_rate),                                                                   \
         .value = "5",                                                                                                 \
         .minimum = 0,                                                                                                 \
         .maximum = 100,                                                                                               \
         .description = "rate after the start, percent of the maximum"},                                               \
        {.key = "buffer",                                                                                              \
         .type = INA_TYPE_INTEGER,                                                                                     \
         .offset = offsetof(Producer, buffer),                                                                         \
         .value = "100000",                                                                                            \
         .minimum = 1,                                                                                                 \
         .maximum = OUTBOX_CAPACITY_MAX,                                                                               \
         .description = "samples kept while the queue is full or away; then the newest are shed and counted"},         \
        {.key = "name",                                                                                                \
         .type = INA_TYPE_STRING,                                                                                      \
         .offset = offsetof(Producer, name),                                                                           \
         .description = "name before the incarnation; empty: that of the pod"},                                        \
    {                                                                                                                  \
        .key = "directory", .type = INA_TYPE_STRING, .offset = offsetof(Producer, directory),                          \
        .description = "folder of the ledger of accepted samples; empty: none is kept"                                 \
    }
