/* producer.c - see producer.h. */
#include "producer.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

double producer_rate(const Producer *producer)
{
    return (double)producer->maximum_rate * producer->percent / 100;
}

/* --- making samples when they are due --------------------------------------- */

static void arm(Producer *producer)
{
    double rate = producer_rate(producer);
    if (rate <= 0) {
        ina_timer_off(producer->timer);
        return;
    }
    uint64_t next = producer->since + (uint64_t)((double)(producer->due + 1) * (double)INA_SECOND / rate);
    uint64_t soonest = ina_now() + PRODUCER_TICK;
    ina_timer_at(producer->timer, next > soonest ? next : soonest);
}

static void tick(void *userdata)
{
    Producer *producer = userdata;
    uint64_t now = ina_now();
    double rate = producer_rate(producer);
    uint64_t total = (uint64_t)((double)(now - producer->since) * rate / (double)INA_SECOND);
    uint64_t missing = total > producer->due ? total - producer->due : 0;
    uint64_t most = (uint64_t)(rate * (double)PRODUCER_CATCH_UP_MAX / (double)INA_SECOND) + 1;
    if (missing > most) {
        /* The process stood still: begin anew rather than burst. */
        producer->since = now;
        producer->due = 0;
        missing = 0;
    }
    while (missing > 0) {
        size_t n = missing < PRODUCER_BATCH_MAX ? (size_t)missing : PRODUCER_BATCH_MAX;
        size_t made = producer->make(producer, n, producer->times, producer->values,
                                     producer->values + PRODUCER_BATCH_MAX);
        if (made > 0) {
            outbox_add(producer->outbox, made, producer->times, producer->values, producer->values + PRODUCER_BATCH_MAX);
        }
        producer->due += n;
        missing -= n;
    }
    arm(producer);
}

static void set_percent(Producer *producer, double percent)
{
    producer->percent = percent;
    producer->since = ina_now();
    producer->due = 0;
    arm(producer);
}

/* The queue has them: first the ledger, then the count. */
static void accepted(void *userdata, uint64_t first, uint64_t count)
{
    Producer *producer = userdata;
    InaError error = {0};
    if (producer->ledger && ledger_append(producer->ledger, first, count, &error) < 0) {
        ina_log(producer->component, INA_LOG_ERROR, "%s; these samples will show as unknown", error.message);
    }
    producer->accepted += count;
}

/* --- the services ------------------------------------------------------------- */

static void reply_status(Producer *producer, InaCall *call)
{
    OutboxStatistics outbox;
    outbox_statistics(producer->outbox, &outbox);
    Demonstrator__V1__ProducerStatus status = DEMONSTRATOR__V1__PRODUCER_STATUS__INIT;
    status.producer = producer->id;
    status.percent = producer->percent;
    status.rate = producer_rate(producer);
    status.maximum_rate = (double)producer->maximum_rate;
    status.produced = outbox.produced;
    status.accepted = producer->accepted;
    status.buffered = outbox.buffered;
    status.shed = outbox.shed;
    ina_call_reply(call, &status.base);
}

static void get(void *self, InaCall *call, const Demonstrator__V1__ProducerGetRequest *request)
{
    reply_status(self, call);
}

static void set_rate(void *self, InaCall *call, const Demonstrator__V1__SetRateRequest *request)
{
    if (!(request->percent >= 0 && request->percent <= 100)) {
        ina_call_fail(call, INA_CODE_INVALID_ARGUMENT, "percent: %g is not between 0 and 100", request->percent);
        return;
    }
    set_percent(self, request->percent);
    reply_status(self, call);
}

const DemonstratorV1Producer producer_table = {.get = get, .set_rate = set_rate};

static void read_statistics(void *self, InaCall *call, const Demonstrator__V1__StatisticsRequest *request)
{
    statistics_reply(((Producer *)self)->statistics, call, request);
}

const DemonstratorV1Statistics producer_statistics_table = {.read = read_statistics};

static double read_buffered(void *userdata)
{
    OutboxStatistics outbox;
    outbox_statistics(((Producer *)userdata)->outbox, &outbox);
    return (double)outbox.buffered;
}

static double read_shed(void *userdata)
{
    OutboxStatistics outbox;
    outbox_statistics(((Producer *)userdata)->outbox, &outbox);
    return (double)outbox.shed;
}

/* --- life ------------------------------------------------------------------------ */

/* NAME.INCARNATION; what is not fit for a file's name becomes '-'. */
static int make_id(Producer *producer, const char *kind, InaError *error)
{
    unsigned char random[8];
    if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random)) {
        return ina_error_errno(error, errno, "no random bytes for the producer's incarnation");
    }
    char name[64];
    const char *agent = ina_agent_id(producer->component);
    size_t agent_length = strcspn(agent, ".");
    if (*producer->name) {
        snprintf(name, sizeof(name), "%s", producer->name);
    } else {
        snprintf(name, sizeof(name), "%.*s", agent_length > 0 && agent_length < 48 ? (int)agent_length : 48,
                 agent_length > 0 ? agent : kind);
    }
    for (char *c = name; *c; c++) {
        if (!isalnum((unsigned char)*c) && *c != '_') {
            *c = '-';
        }
    }
    int n = snprintf(producer->id, sizeof(producer->id), "%s.", name);
    for (size_t i = 0; i < sizeof(random); i++) {
        n += snprintf(producer->id + n, sizeof(producer->id) - (size_t)n, "%02x", random[i]);
    }
    return 0;
}

static int make_statistics(Producer *producer, InaError *error)
{
    producer->statistics = statistics_new(producer->component);
    if (!producer->statistics) {
        return ina_error_set(error, ENOMEM, "out of memory for the statistics");
    }
    char name[LEDGER_PRODUCER_MAX + 32];
    snprintf(name, sizeof(name), "Producer %s", producer->id);
    statistics_add_rate(producer->statistics, name, "samples/s", &producer->accepted);
    snprintf(name, sizeof(name), "Producer %s buffered", producer->id);
    statistics_add(producer->statistics, name, "count", "samples", read_buffered, producer);
    snprintf(name, sizeof(name), "Producer %s shed", producer->id);
    statistics_add(producer->statistics, name, "count", "samples", read_shed, producer);
    return 0;
}

int producer_start(Producer *producer, InaComponent *component, const char *kind, ProducerMake make, InaError *error)
{
    producer->component = component;
    producer->make = make;
    producer->times = calloc(PRODUCER_BATCH_MAX, sizeof(*producer->times));
    producer->values = calloc(2 * PRODUCER_BATCH_MAX, sizeof(*producer->values));
    producer->timer = ina_timer_new(component, tick, producer);
    if (!producer->times || !producer->values || !producer->timer) {
        return ina_error_set(error, ENOMEM, "out of memory for the producer");
    }
    int r = make_id(producer, kind, error);
    if (r == 0 && *producer->directory) {
        r = ledger_open(producer->directory, producer->id, &producer->ledger, error);
    }
    if (r == 0) {
        OutboxOptions options = {.producer = producer->id, .queue = &producer->queue,
                                 .capacity = (size_t)producer->buffer, .accepted = accepted, .userdata = producer};
        r = outbox_new(component, &options, &producer->outbox, error);
    }
    if (r == 0) {
        r = make_statistics(producer, error);
    }
    if (r == 0) {
        set_percent(producer, producer->initial_rate);
    }
    return r;
}

void producer_stop(Producer *producer)
{
    producer->statistics = statistics_free(producer->statistics);
    producer->outbox = outbox_free(producer->outbox);
    producer->ledger = ledger_free(producer->ledger);
    free(producer->times);
    free(producer->values);
    producer->times = NULL;
    producer->values = NULL;
}
