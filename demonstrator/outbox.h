/* outbox.h - a producer's way to the queue: a bounded buffer and its delivery.
 *
 * Samples are added one by one or many at a time and get consecutive sequence
 * numbers, from 0. What is there when a call may be made travels in that call,
 * as one batch; what arrives while calls are under way travels in the next.
 * A put without an answer is repeated unchanged until it has one; what a full
 * queue leaves over is kept and sent again later. When the buffer is full the
 * newest samples are shed: they get no sequence number and are counted. A
 * sample keeps its place in the buffer until all before it are accepted.
 *
 * Everything in the loop's thread. */
#pragma once

#include "queue.service.h"
#include <inaetics/bundle.h>

#define OUTBOX_CAPACITY_MAX (16u * 1024 * 1024)          /* samples */
#define OUTBOX_CALLS 4u                                  /* puts under way at once */
#define OUTBOX_CALL_SAMPLES 16384u                       /* at most in one put */
#define OUTBOX_CALL_SHARE 4096u                          /* less is not divided among several puts */
#define OUTBOX_CALL_TIMEOUT (5 * INA_SECOND)             /* then it is repeated */
#define OUTBOX_FULL_DELAY (2 * INA_MILLISECOND)          /* after a full queue's answer; doubles ... */
#define OUTBOX_FULL_DELAY_MAX (100 * INA_MILLISECOND)    /* ... up to this */
#define OUTBOX_FAILURE_DELAY (10 * INA_MILLISECOND)      /* after no answer; doubles ... */
#define OUTBOX_FAILURE_DELAY_MAX (500 * INA_MILLISECOND) /* ... up to this */
#define OUTBOX_AWAY_DELAY (50 * INA_MILLISECOND)         /* while there is no queue, until the next look */

typedef struct Outbox Outbox;

typedef struct OutboxOptions {
    const char *producer;    /* with incarnation; copied */
    InaClient *const *queue; /* the component's field for the queue it requires; NULL in it while the queue is away */
    size_t capacity;         /* samples that wait or are under way, 1 to OUTBOX_CAPACITY_MAX */
    /* The queue has these on disk; before the outbox counts them. May add samples. May be NULL. */
    void (*accepted)(void *userdata, uint64_t first, uint64_t count);
    void *userdata;
} OutboxOptions;

typedef struct OutboxStatistics {
    uint64_t produced; /* samples offered */
    uint64_t accepted; /* by the queue */
    uint64_t buffered; /* waiting or under way */
    uint64_t shed;     /* given up because the buffer was full */
    uint64_t calls;    /* puts answered */
    uint64_t repeated; /* puts sent again because no answer came */
} OutboxStatistics;

int outbox_new(InaComponent *component, const OutboxOptions *options, Outbox **ret, InaError *error);
/* Returns how many it took, from the first on; the others are shed. */
size_t outbox_add(Outbox *outbox, size_t count, const int64_t *time_us, const double *value1, const double *value2);
void outbox_statistics(const Outbox *outbox, OutboxStatistics *ret);
/* Cancels what is under way; `accepted` is not called any more. Takes NULL, returns NULL. */
Outbox *outbox_free(Outbox *outbox);
