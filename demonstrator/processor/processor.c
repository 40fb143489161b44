/* processor.c - takes samples from the queue, computes, stores, acknowledges.
 *
 * Each lane repeats: take, compute and put into the store, acknowledge, rest
 * for the service time of what was done. One lane at a time waits at the queue;
 * when it gets samples the next one goes there. So a processor that has little
 * to do has one place in the queue's line, which it loses by an update, not
 * several. Samples are not held in between: when
 * the store cannot take the results their lease is given back and the queue
 * hands them out again, so a processor has nothing to lose.
 *
 * When nothing is acknowledged for STALL although samples were taken it logs
 * an error, once until it goes on. The health gate of a rollout sees a version
 * that runs and does nothing without that, too, but sooner and with the reason
 * when it is said. */
#include "processor.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REST_MAX (INA_SECOND / 10) /* how long one take may keep a lane busy */
#define PAUSE_FIRST (100 * INA_MILLISECOND)
#define PAUSE_LAST (2 * INA_SECOND)
#ifndef STALL
#define STALL (4 * INA_SECOND)
#endif
#define WATCH (INA_SECOND / 2)

typedef ProcessorLane Lane;

static const InaFailure out_of_memory = {INA_CODE_RESOURCE_EXHAUSTED, "out of memory"};

static void take(Lane *lane);

static void take_fired(void *userdata)
{
    take(userdata);
}

/* After a failure: the next try comes later and later, up to PAUSE_LAST. */
static void pause_lane(Lane *lane, const char *what, const InaFailure *failure)
{
    InaLogLevel level = lane->pause == 0 ? INA_LOG_WARNING : INA_LOG_DEBUG;
    lane->pause = lane->pause == 0 ? PAUSE_FIRST : lane->pause * 2 < PAUSE_LAST ? lane->pause * 2 : PAUSE_LAST;
    ina_log(lane->processor->component, level, "%s: %s: %s; trying again in %llu ms", what,
            ina_code_name(failure->code), failure->message, (unsigned long long)(lane->pause / INA_MILLISECOND));
    ina_timer_after(lane->timer, lane->pause);
}

static void watch_fired(void *userdata)
{
    Processor *processor = userdata;
    uint64_t since = processor->waiting_since;
    if (since > 0 && !processor->stalled && ina_now() - since >= STALL) {
        processor->stalled = true;
        ina_log(processor->component, INA_LOG_ERROR, "samples were taken, but none was acknowledged for %llu s",
                (unsigned long long)(STALL / INA_SECOND));
    }
    ina_timer_after(processor->watch, WATCH);
}

static int compare_gaps(const void *a, const void *b)
{
    uint64_t first = *(const uint64_t *)a, second = *(const uint64_t *)b;
    return (first > second) - (first < second);
}

/* Of the last gaps between acknowledgements, in nanoseconds. */
static void measure_gaps(const Processor *processor, uint64_t *ret_median, uint64_t *ret_longest)
{
    uint64_t gaps[PROCESSOR_GAPS];
    size_t n = processor->n_gaps < PROCESSOR_GAPS ? (size_t)processor->n_gaps : PROCESSOR_GAPS;
    memcpy(gaps, processor->gaps, n * sizeof(*gaps));
    qsort(gaps, n, sizeof(*gaps), compare_gaps);
    *ret_median = n > 0 ? gaps[n / 2] : 0;
    *ret_longest = n > 0 ? gaps[n - 1] : 0;
}

static double in_milliseconds(uint64_t time)
{
    return (double)time / (double)INA_MILLISECOND;
}

/* The first acknowledgement of a version tells what the update took: from the last one before it, waiting for samples
 * and all; beside it what the version before had between two of its own. */
static void note_progress(Processor *processor)
{
    uint64_t now = ina_now();
    if (processor->inherited_at > 0) {
        ina_log(processor->component, INA_LOG_INFO,
                "%.1f ms from the last acknowledgement before the update to the first after it; before, from one to "
                "the next: median %.1f ms, longest %.1f ms",
                in_milliseconds(now - processor->inherited_at), in_milliseconds(processor->inherited_median),
                in_milliseconds(processor->inherited_longest));
        processor->inherited_at = 0;
    }
    if (processor->flowed_at > 0) {
        processor->gaps[processor->n_gaps++ % PROCESSOR_GAPS] = now - processor->flowed_at;
    }
    processor->flowed_at = now;
    processor->waiting_since = 0;
    processor->stalled = false;
}

static void acknowledged(void *userdata, const Demonstrator__V1__AcknowledgeReply *reply, const InaFailure *failure)
{
    Lane *lane = userdata;
    Processor *processor = lane->processor;
    if (failure) {
        /* The samples come again, and the store will know them. */
        pause_lane(lane, "cannot acknowledge at the queue", failure);
        return;
    }
    lane->pause = 0;
    lane->lease[0] = '\0';
    note_progress(processor);
    uint64_t rest = lane->samples * (uint64_t)processor->service_time_us * INA_MICROSECOND;
    if (rest > 0) {
        ina_timer_after(lane->timer, rest);
    } else {
        take(lane);
    }
}

static void released(void *userdata, const Demonstrator__V1__ReleaseReply *reply, const InaFailure *failure)
{
}

/* Gives samples back, to be handed out again; if that fails they are when the leases have run out. */
static void release(Processor *processor, char **leases, size_t n)
{
    Demonstrator__V1__ReleaseRequest request = DEMONSTRATOR__V1__RELEASE_REQUEST__INIT;
    request.n_leases = n;
    request.leases = leases;
    demonstrator_v1_queue_release(processor->queue, &request, 0, released, processor);
}

static void give_back(Lane *lane)
{
    char *lease = lane->lease;
    release(lane->processor, &lease, 1);
    lane->lease[0] = '\0';
}

static void stored(void *userdata, const Demonstrator__V1__StorePutReply *reply, const InaFailure *failure)
{
    Lane *lane = userdata;
    Processor *processor = lane->processor;
    if (failure) {
        give_back(lane);
        pause_lane(lane, "cannot store results", failure);
        return;
    }
    processor->processed += lane->samples;
    lane->stored = true;
    char *lease = lane->lease;
    Demonstrator__V1__AcknowledgeRequest request = DEMONSTRATOR__V1__ACKNOWLEDGE_REQUEST__INIT;
    request.n_leases = 1;
    request.leases = &lease;
    if (!demonstrator_v1_queue_acknowledge(processor->queue, &request, 0, acknowledged, lane)) {
        pause_lane(lane, "cannot acknowledge", &out_of_memory);
    }
}

/* Makes the results of one batch; the columns are malloc'ed, false: no memory. */
static bool compute(Processor *processor, const Demonstrator__V1__SampleBatch *batch, int64_t now_us,
                    Demonstrator__V1__ResultBatch *result)
{
    size_t n = batch->n_time_us;
    *result = (Demonstrator__V1__ResultBatch)DEMONSTRATOR__V1__RESULT_BATCH__INIT;
    result->samples = (Demonstrator__V1__SampleBatch *)batch;
    result->result = malloc(n * sizeof(*result->result));
    result->processing_time_us = malloc(n * sizeof(*result->processing_time_us));
    if (n > 0 && (!result->result || !result->processing_time_us)) {
        return false;
    }
    processor->kind->compute(processor, batch, result->result);
    for (size_t i = 0; i < n; i++) {
        result->processing_time_us[i] = now_us;
    }
    result->n_result = result->n_processing_time_us = n;
    return true;
}

/* Computes and sends everything that was taken. */
static int process(Lane *lane, const Demonstrator__V1__TakeReply *taken)
{
    size_t n = taken->n_batches;
    Demonstrator__V1__ResultBatch *results = calloc(n, sizeof(*results));
    Demonstrator__V1__ResultBatch **pointers = calloc(n, sizeof(*pointers));
    bool complete = results && pointers;
    int64_t now_us = ina_wall_clock_us();
    for (size_t i = 0; complete && i < n; i++) {
        complete = compute(lane->processor, taken->batches[i], now_us, &results[i]);
        pointers[i] = &results[i];
    }
    InaPending *pending = NULL;
    if (complete) {
        Demonstrator__V1__StorePutRequest request = DEMONSTRATOR__V1__STORE_PUT_REQUEST__INIT;
        request.n_batches = n;
        request.batches = pointers;
        pending = demonstrator_v1_store_put(lane->processor->store, &request, 0, stored, lane);
    }
    for (size_t i = 0; results && i < n; i++) {
        free(results[i].result);
        free(results[i].processing_time_us);
    }
    free(results);
    free(pointers);
    return pending ? 0 : -ENOMEM;
}

/* What is wrong with an answer; NULL: nothing. A batch whose columns differ in
 * length cannot have come from the queue's own checks; nothing of it is used. */
static const char *fault_of(const Demonstrator__V1__TakeReply *taken)
{
    for (size_t i = 0; i < taken->n_batches; i++) {
        const Demonstrator__V1__SampleBatch *batch = taken->batches[i];
        if (batch->n_value1 != batch->n_time_us || batch->n_value2 != batch->n_time_us) {
            return "columns differ in length";
        }
    }
    return NULL;
}

static void next_lane(Processor *processor)
{
    for (size_t i = 0; i < PROCESSOR_LANES_MAX; i++) {
        if (processor->lane[i].parked) {
            take(&processor->lane[i]);
            return;
        }
    }
}

static void taken(void *userdata, const Demonstrator__V1__TakeReply *reply, const InaFailure *failure)
{
    Lane *lane = userdata;
    lane->processor->asking = false;
    if (failure) {
        pause_lane(lane, "cannot take from the queue", failure);
        return;
    }
    if (reply->n_batches == 0) {
        lane->pause = 0;
        take(lane);
        return;
    }
    if (strlen(reply->lease) >= PROCESSOR_LEASE_MAX) {
        pause_lane(lane, "the queue's answer cannot be used",
                   &(InaFailure){INA_CODE_DATA_LOSS, "the lease's name is too long"});
        return;
    }
    snprintf(lane->lease, sizeof(lane->lease), "%s", reply->lease);
    lane->stored = false;
    const char *fault = fault_of(reply);
    if (fault) {
        give_back(lane);
        pause_lane(lane, "the queue's answer cannot be used", &(InaFailure){INA_CODE_DATA_LOSS, fault});
        return;
    }
    if (lane->processor->waiting_since == 0) {
        lane->processor->waiting_since = ina_now();
    }
    lane->samples = 0;
    for (size_t i = 0; i < reply->n_batches; i++) {
        lane->samples += reply->batches[i]->n_time_us;
    }
    next_lane(lane->processor);
    if (process(lane, reply) < 0) {
        give_back(lane);
        pause_lane(lane, "cannot process", &out_of_memory);
    }
}

static void take(Lane *lane)
{
    Processor *processor = lane->processor;
    lane->parked = processor->asking;
    if (lane->parked) {
        return;
    }
    uint64_t maximum = (uint64_t)processor->maximum;
    if (processor->service_time_us > 0) {
        uint64_t fitting = REST_MAX / ((uint64_t)processor->service_time_us * INA_MICROSECOND);
        maximum = fitting < 1 ? 1 : fitting < maximum ? fitting : maximum;
    }
    Demonstrator__V1__TakeRequest request = DEMONSTRATOR__V1__TAKE_REQUEST__INIT;
    request.minimum = 1;
    request.maximum = (uint32_t)maximum;
    request.wait_ms = (uint32_t)processor->wait_ms;
    request.lease_ms = (uint32_t)processor->lease_ms;
    uint64_t timeout = (uint64_t)(processor->wait_ms + 10000) * INA_MILLISECOND;
    processor->asking = demonstrator_v1_queue_take(processor->queue, &request, timeout, taken, lane);
    if (!processor->asking) {
        pause_lane(lane, "cannot take", &out_of_memory);
    }
}

static size_t gather(char (*names)[PROCESSOR_LEASE_MAX], char **ret)
{
    size_t n = 0;
    for (size_t i = 0; i < PROCESSOR_LANES_MAX; i++) {
        if (names[i][0]) {
            ret[n++] = names[i];
        }
    }
    return n;
}

/* No progress of this version. If it failed the samples come again when their leases have run out, and the store will
 * know them. */
static void inherited_acknowledged(void *userdata, const Demonstrator__V1__AcknowledgeReply *reply,
                                   const InaFailure *failure)
{
}

/* What the version before had under way: what it had put into the store is acknowledged, the rest is given back. */
static void settle_inherited(Processor *processor)
{
    char *leases[PROCESSOR_LANES_MAX];
    size_t n = gather(processor->inherited, leases);
    if (n > 0) {
        release(processor, leases, n);
    }
    Demonstrator__V1__AcknowledgeRequest request = DEMONSTRATOR__V1__ACKNOWLEDGE_REQUEST__INIT;
    request.n_leases = gather(processor->inherited_stored, leases);
    request.leases = leases;
    if (request.n_leases > 0) {
        demonstrator_v1_queue_acknowledge(processor->queue, &request, 0, inherited_acknowledged, processor);
    }
}

int processor_start(Processor *processor, InaComponent *component, const ProcessorKind *kind, InaError *error)
{
    processor->component = component;
    processor->kind = kind;
    processor->statistics = statistics_new(component);
    if (!processor->statistics) {
        return ina_error_set(error, ENOMEM, "out of memory for the statistics");
    }
    char name[160];
    snprintf(name, sizeof(name), "Processor %s, %s", ina_agent_id(component), kind->result);
    statistics_add_rate(processor->statistics, name, "samples/s", &processor->processed);
    processor->watch = ina_timer_new(component, watch_fired, processor);
    if (!processor->watch) {
        return ina_error_set(error, ENOMEM, "out of memory for a timer");
    }
    ina_timer_after(processor->watch, WATCH);
    int r = ina_provide_property(component, 0, "result", &(InaValue){.type = INA_TYPE_STRING, .string = kind->result},
                                 error);
    /* Several lanes would pay the service time side by side. */
    int64_t lanes = processor->service_time_us > 0 ? 1 : processor->lanes;
    for (int64_t i = 0; r == 0 && i < lanes; i++) {
        Lane *lane = &processor->lane[i];
        lane->processor = processor;
        lane->timer = ina_timer_new(component, take_fired, lane);
        if (!lane->timer) {
            return ina_error_set(error, ENOMEM, "out of memory for a timer");
        }
        ina_timer_after(lane->timer, 0);
    }
    if (r == 0) {
        settle_inherited(processor);
    }
    return r;
}

void processor_stop(Processor *processor)
{
    processor->statistics = statistics_free(processor->statistics);
}

/* --- update ----------------------------------------------------------------- */

int processor_save(const Processor *processor, Demonstrator__V1__ProcessorState *state, void **ret, size_t *ret_size,
                   InaError *error)
{
    char *leases[PROCESSOR_LANES_MAX], *stored_leases[PROCESSOR_LANES_MAX];
    state->leases = leases;
    state->stored = stored_leases;
    state->n_leases = state->n_stored = 0;
    for (size_t i = 0; i < PROCESSOR_LANES_MAX; i++) {
        char *lease = (char *)processor->lane[i].lease;
        if (lease[0] && processor->lane[i].stored) {
            stored_leases[state->n_stored++] = lease;
        } else if (lease[0]) {
            leases[state->n_leases++] = lease;
        }
    }
    state->flowed_until = processor->flowed_at > 0 ? processor->flowed_at : processor->inherited_at;
    measure_gaps(processor, &state->median_gap, &state->longest_gap);
    size_t size = demonstrator__v1__processor_state__get_packed_size(state);
    uint8_t *packed = malloc(size + 1);
    if (!packed) {
        return ina_error_set(error, ENOMEM, "out of memory for the state");
    }
    *ret_size = demonstrator__v1__processor_state__pack(state, packed);
    *ret = packed;
    return 0;
}

static void inherit(char (*names)[PROCESSOR_LEASE_MAX], char **leases, size_t n)
{
    for (size_t i = 0; i < n && i < PROCESSOR_LANES_MAX; i++) {
        if (strlen(leases[i]) < PROCESSOR_LEASE_MAX) {
            strcpy(names[i], leases[i]);
        }
    }
}

int processor_restore(Processor *processor, const void *packed, size_t size, Demonstrator__V1__ProcessorState **ret,
                      InaError *error)
{
    Demonstrator__V1__ProcessorState *state = demonstrator__v1__processor_state__unpack(NULL, size, packed);
    if (!state) {
        return ina_error_set(error, EBADMSG, "the state handed over is no ProcessorState");
    }
    if (state->flowed_until <= ina_now()) {
        processor->inherited_at = state->flowed_until;
        processor->inherited_median = state->median_gap;
        processor->inherited_longest = state->longest_gap;
    }
    inherit(processor->inherited, state->leases, state->n_leases);
    inherit(processor->inherited_stored, state->stored, state->n_stored);
    if (ret) {
        *ret = state;
    } else {
        demonstrator__v1__processor_state__free_unpacked(state, NULL);
    }
    return 0;
}

/* --- statistics ------------------------------------------------------------- */

static void read_statistics(void *self, InaCall *call, const Demonstrator__V1__StatisticsRequest *request)
{
    statistics_reply(((Processor *)self)->statistics, call, request);
}

const DemonstratorV1Statistics processor_statistics_table = {.read = read_statistics};
