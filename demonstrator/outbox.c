/* outbox.c - see outbox.h. */
#include "outbox.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define OUTBOX_PRODUCER_MAX 128u

typedef enum CallState {
    CALL_FREE,
    CALL_UNDER_WAY,
    CALL_WAITING, /* to be sent again as it was, or the rest that a full queue left */
} CallState;

typedef struct Call {
    Outbox *outbox;
    CallState state;
    uint64_t first, count;
    bool unanswered; /* it was sent before */
    InaPending *pending;
} Call;

/* Samples [head, tail) are in the ring; each of [head, sent) that the queue
 * has not accepted belongs to exactly one call that is not free. */
struct Outbox {
    InaComponent *component;
    InaClient *const *queue;
    void (*accepted)(void *userdata, uint64_t first, uint64_t count);
    void *userdata;
    char producer[OUTBOX_PRODUCER_MAX + 1];

    size_t capacity;
    int64_t *time_us;
    double *value1, *value2;
    uint64_t head, sent, tail;

    Call calls[OUTBOX_CALLS];
    InaTimer *turn, *resume;
    uint64_t paused_until; /* nothing is sent before */
    uint64_t full_delay, failure_delay;
    bool failing; /* and that was logged */
    OutboxStatistics statistics;
};

static void send_waiting(void *userdata);

int outbox_new(InaComponent *component, const OutboxOptions *options, Outbox **ret, InaError *error)
{
    size_t length = strlen(options->producer);
    if (length == 0 || length > OUTBOX_PRODUCER_MAX) {
        return ina_error_set(error, EINVAL, "a producer's name has %zu bytes; allowed are 1 to %u", length,
                             OUTBOX_PRODUCER_MAX);
    }
    if (options->capacity == 0 || options->capacity > OUTBOX_CAPACITY_MAX) {
        return ina_error_set(error, EINVAL, "capacity of the outbox is %zu samples; allowed are 1 to %u",
                             options->capacity, OUTBOX_CAPACITY_MAX);
    }
    Outbox *outbox = calloc(1, sizeof *outbox);
    if (!outbox) {
        return ina_error_errno(error, ENOMEM, "outbox of %s", options->producer);
    }
    outbox->component = component;
    outbox->queue = options->queue;
    outbox->accepted = options->accepted;
    outbox->userdata = options->userdata;
    outbox->capacity = options->capacity;
    memcpy(outbox->producer, options->producer, length + 1);
    outbox->full_delay = OUTBOX_FULL_DELAY;
    outbox->failure_delay = OUTBOX_FAILURE_DELAY;
    for (size_t i = 0; i < OUTBOX_CALLS; i++) {
        outbox->calls[i].outbox = outbox;
    }
    outbox->time_us = calloc(options->capacity, sizeof *outbox->time_us);
    outbox->value1 = calloc(options->capacity, sizeof *outbox->value1);
    outbox->value2 = calloc(options->capacity, sizeof *outbox->value2);
    outbox->turn = ina_timer_new(component, send_waiting, outbox);
    outbox->resume = ina_timer_new(component, send_waiting, outbox);
    if (!outbox->time_us || !outbox->value1 || !outbox->value2 || !outbox->turn || !outbox->resume) {
        outbox_free(outbox);
        return ina_error_errno(error, ENOMEM, "outbox of %s for %zu samples", options->producer, options->capacity);
    }
    *ret = outbox;
    return 0;
}

/* Copies into the ring at sequence number `first`, in two pieces where it wraps. */
static void copy_in(Outbox *outbox, uint64_t first, size_t count, const int64_t *time_us, const double *value1,
                    const double *value2)
{
    size_t place = (size_t)(first % outbox->capacity);
    size_t head = count < outbox->capacity - place ? count : outbox->capacity - place;

    memcpy(outbox->time_us + place, time_us, head * sizeof *time_us);
    memcpy(outbox->value1 + place, value1, head * sizeof *value1);
    memcpy(outbox->value2 + place, value2, head * sizeof *value2);
    if (count > head) {
        memcpy(outbox->time_us, time_us + head, (count - head) * sizeof *time_us);
        memcpy(outbox->value1, value1 + head, (count - head) * sizeof *value1);
        memcpy(outbox->value2, value2 + head, (count - head) * sizeof *value2);
    }
}

static bool call_is_free(const Outbox *outbox)
{
    for (size_t i = 0; i < OUTBOX_CALLS; i++) {
        if (outbox->calls[i].state == CALL_FREE) {
            return true;
        }
    }
    return false;
}

size_t outbox_add(Outbox *outbox, size_t count, const int64_t *time_us, const double *value1, const double *value2)
{
    size_t room = outbox->capacity - (size_t)(outbox->tail - outbox->head);
    size_t taken = count < room ? count : room;

    outbox->statistics.produced += count;
    outbox->statistics.shed += count - taken;
    if (taken == 0) {
        return 0;
    }
    copy_in(outbox, outbox->tail, taken, time_us, value1, value2);
    outbox->tail += taken;
    if (outbox->paused_until == 0 && call_is_free(outbox)) {
        ina_timer_idle(outbox->turn); /* so that all that is added in this turn travels together */
    }
    return taken;
}

void outbox_statistics(const Outbox *outbox, OutboxStatistics *ret)
{
    *ret = outbox->statistics;
    ret->buffered = ret->produced - ret->accepted - ret->shed;
}

Outbox *outbox_free(Outbox *outbox)
{
    if (!outbox) {
        return NULL;
    }
    for (size_t i = 0; i < OUTBOX_CALLS; i++) {
        ina_pending_cancel(outbox->calls[i].pending);
    }
    if (outbox->turn) {
        ina_timer_free(outbox->turn);
    }
    if (outbox->resume) {
        ina_timer_free(outbox->resume);
    }
    free(outbox->time_us);
    free(outbox->value1);
    free(outbox->value2);
    free(outbox);
    return NULL;
}

/* --- sending ---------------------------------------------------------------- */

static void hold_off(Outbox *outbox, uint64_t *delay, uint64_t maximum)
{
    outbox->paused_until = ina_now() + *delay;
    *delay = *delay * 2 < maximum ? *delay * 2 : maximum;
    ina_timer_at(outbox->resume, outbox->paused_until);
}

static void note_failure(Outbox *outbox, const char *why)
{
    if (!outbox->failing) {
        outbox->failing = true;
        ina_log(outbox->component, INA_LOG_WARNING, "producer %s: the queue does not take samples (%s): they are kept",
                outbox->producer, why);
    }
    hold_off(outbox, &outbox->failure_delay, OUTBOX_FAILURE_DELAY_MAX);
}

static void note_answer(Outbox *outbox)
{
    if (outbox->failing) {
        outbox->failing = false;
        ina_log(outbox->component, INA_LOG_NOTICE, "producer %s: the queue takes samples again", outbox->producer);
    }
    outbox->failure_delay = OUTBOX_FAILURE_DELAY;
}

/* The ring's head follows the oldest sample that is not accepted. */
static void advance_head(Outbox *outbox)
{
    uint64_t head = outbox->sent;
    for (size_t i = 0; i < OUTBOX_CALLS; i++) {
        const Call *call = &outbox->calls[i];
        if (call->state != CALL_FREE && call->first < head) {
            head = call->first;
        }
    }
    outbox->head = head;
}

/* What a full queue left over may be cut anew when nothing was sent after it. */
static void keep_rest(Outbox *outbox, Call *call)
{
    if (call->first + call->count == outbox->sent) {
        outbox->sent = call->first;
        call->state = CALL_FREE;
    } else {
        call->state = CALL_WAITING;
        call->unanswered = false;
    }
}

static void take_answer(Outbox *outbox, Call *call, const Demonstrator__V1__PutReply *reply)
{
    uint64_t accepted = reply->accepted < call->count ? reply->accepted : call->count;

    outbox->statistics.calls++;
    if (reply->accepted > call->count) {
        ina_log(outbox->component, INA_LOG_ERROR,
                "producer %s: the queue accepted %" PRIu64 " samples of %" PRIu64 "; all are counted as accepted",
                outbox->producer, reply->accepted, call->count);
    }
    uint64_t first = call->first;
    call->first += accepted;
    call->count -= accepted;
    if (call->count == 0) {
        call->state = CALL_FREE;
    }
    advance_head(outbox);
    if (accepted > 0) {
        if (outbox->accepted) {
            outbox->accepted(outbox->userdata, first, accepted); /* finds room for others */
        }
        outbox->statistics.accepted += accepted;
        outbox->full_delay = OUTBOX_FULL_DELAY;
    }
    if (call->state == CALL_FREE) {
        note_answer(outbox);
        return;
    }
    keep_rest(outbox, call);
    if (strcmp(reply->reason, "disk") == 0) {
        note_failure(outbox, "its disk is full");
    } else {
        note_answer(outbox);
        hold_off(outbox, &outbox->full_delay, OUTBOX_FULL_DELAY_MAX);
    }
}

static void answered(void *userdata, const Demonstrator__V1__PutReply *reply, const InaFailure *failure)
{
    Call *call = userdata;
    Outbox *outbox = call->outbox;

    call->pending = NULL;
    if (reply) {
        take_answer(outbox, call, reply);
    } else {
        call->state = CALL_WAITING;
        call->unanswered = true;
        note_failure(outbox, failure->message);
    }
    advance_head(outbox);
    if (outbox->paused_until == 0) {
        send_waiting(outbox); /* with what was added when its room was told */
    }
}

static bool start_call(Outbox *outbox, Call *call)
{
    Demonstrator__V1__PutRequest request = DEMONSTRATOR__V1__PUT_REQUEST__INIT;
    Demonstrator__V1__SampleBatch batches[2] = {DEMONSTRATOR__V1__SAMPLE_BATCH__INIT,
                                                DEMONSTRATOR__V1__SAMPLE_BATCH__INIT};
    Demonstrator__V1__SampleBatch *list[2] = {&batches[0], &batches[1]};
    size_t place = (size_t)(call->first % outbox->capacity);
    size_t left = (size_t)call->count;
    uint64_t sequence = call->first;

    request.batches = list;
    while (left > 0) {
        Demonstrator__V1__SampleBatch *batch = list[request.n_batches++];
        size_t count = left < outbox->capacity - place ? left : outbox->capacity - place;
        batch->producer = outbox->producer;
        batch->first_sequence = sequence;
        batch->n_time_us = batch->n_value1 = batch->n_value2 = count;
        batch->time_us = outbox->time_us + place;
        batch->value1 = outbox->value1 + place;
        batch->value2 = outbox->value2 + place;
        sequence += count;
        left -= count;
        place = 0;
    }
    call->pending = demonstrator_v1_queue_put(*outbox->queue, &request, OUTBOX_CALL_TIMEOUT, answered, call);
    if (!call->pending) {
        call->state = CALL_WAITING;
        return false;
    }
    if (call->unanswered) {
        outbox->statistics.repeated++;
    }
    call->state = CALL_UNDER_WAY;
    return true;
}

static bool send_again(Outbox *outbox)
{
    for (size_t i = 0; i < OUTBOX_CALLS; i++) {
        if (outbox->calls[i].state == CALL_WAITING && !start_call(outbox, &outbox->calls[i])) {
            return false;
        }
    }
    return true;
}

/* Several puts under way keep network, queue and disk busy at the same time. */
static uint64_t share(const Outbox *outbox)
{
    uint64_t waiting = outbox->tail - outbox->sent, free_calls = 0;
    for (size_t i = 0; i < OUTBOX_CALLS; i++) {
        free_calls += outbox->calls[i].state == CALL_FREE;
    }
    uint64_t part = free_calls > 0 ? (waiting + free_calls - 1) / free_calls : waiting;
    part = part < OUTBOX_CALL_SHARE ? OUTBOX_CALL_SHARE : part;
    return part > OUTBOX_CALL_SAMPLES ? OUTBOX_CALL_SAMPLES : part;
}

static bool send_new(Outbox *outbox)
{
    uint64_t part = share(outbox);
    for (size_t i = 0; i < OUTBOX_CALLS && outbox->sent < outbox->tail; i++) {
        Call *call = &outbox->calls[i];
        if (call->state != CALL_FREE) {
            continue;
        }
        uint64_t waiting = outbox->tail - outbox->sent;
        call->first = outbox->sent;
        call->count = waiting < part ? waiting : part;
        call->unanswered = false;
        outbox->sent += call->count;
        if (!start_call(outbox, call)) {
            return false;
        }
    }
    return true;
}

static void send_waiting(void *userdata)
{
    Outbox *outbox = userdata;

    if (outbox->paused_until > ina_now()) {
        ina_timer_at(outbox->resume, outbox->paused_until);
        return;
    }
    outbox->paused_until = 0;
    if (outbox->head == outbox->tail) {
        return;
    }
    if (!*outbox->queue) {
        outbox->failure_delay = OUTBOX_AWAY_DELAY;
        note_failure(outbox, "none is there");
    } else if (!send_again(outbox) || !send_new(outbox)) {
        note_failure(outbox, "out of memory");
    }
}
