/* queue.c - the queue bundle: the log (queue_log.h) as service demonstrator.v1.Queue.
 *
 * What arrives in one turn of the loop goes into one group, which is committed
 * when the turn ends: here while groups are small and the disk is quick, which
 * saves two changes of thread, else in a worker, so that the next group gathers
 * meanwhile. Puts and acknowledges are answered when their group is on disk. */
#include "queue.service.h"
#include "queue_log.h"
#include "statistics.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#define INLINE_COMMIT_BYTES (64u * 1024)         /* written here; more goes to a worker */
#define INLINE_COMMIT_TIME (2 * INA_MILLISECOND) /* a disk that takes longer must not hold the loop */
#define WAITING_MAX 16384u                       /* puts, acknowledges and takes that are not answered yet */
#define PRODUCER_NAME_MAX 128u
#define LEASE_NAME_MAX 40u
#define WAIT_MAX_MS 60000u
#define ANSWER_TIME (20 * INA_MILLISECOND) /* a taker is answered so long before its deadline */

typedef struct Queue Queue;

typedef enum Kind { PUT, ACKNOWLEDGE, TAKE } Kind;

/* A call that is not answered yet. */
typedef struct Waiting {
    TAILQ_ENTRY(Waiting) entry;
    Queue *queue;
    InaCall *call;
    Kind kind;
    uint64_t ticket; /* PUT, ACKNOWLEDGE: answered when it is committed; 0: nothing to wait for */
    /* PUT */
    const Demonstrator__V1__PutRequest *put;
    size_t batch, offset; /* the next sample to accept */
    uint64_t settled;     /* accepted with earlier tickets, on disk */
    uint64_t accepted;    /* with `ticket` */
    const char *reason;
    /* ACKNOWLEDGE */
    char **unknown;
    size_t n_unknown;
    /* TAKE */
    const Demonstrator__V1__TakeRequest *take;
    uint64_t until;
} Waiting;

TAILQ_HEAD(WaitingList, Waiting);

struct Queue {
    const char *directory;
    int64_t capacity, segment_bytes, group_bytes, disk_bytes;
    InaComponent *component;
    QueueIo io;
    QueueLog *log;
    Statistics *statistics;
    char incarnation[17]; /* part of a lease's name: those of a former life are unknown */
    InaTimer *turn_end, *leases, *takes_end, *prepare_retry;
    struct WaitingList room;   /* puts that wait for room in a group */
    struct WaitingList sealed; /* puts and acknowledges, by ticket */
    struct WaitingList takers;
    size_t n_waiting;
    QueueCommit *commit;   /* under way in a worker */
    QueuePrepare *prepare; /* likewise */
    uint64_t put_total, taken_total, acknowledged_total;
    uint64_t commit_time; /* moving mean, ns */
    bool stopping;
};

static void end_turn(void *userdata);
static void serve(Queue *queue);

/* --- calls that wait --------------------------------------------------------- */

static Waiting *waiting_new(Queue *queue, InaCall *call, Kind kind)
{
    Waiting *waiting = queue->n_waiting < WAITING_MAX ? calloc(1, sizeof(*waiting)) : NULL;
    if (!waiting) {
        ina_call_fail(call, INA_CODE_RESOURCE_EXHAUSTED, "%zu calls wait for an answer already (at most %u)",
                      queue->n_waiting, WAITING_MAX);
        return NULL;
    }
    *waiting = (Waiting){.queue = queue, .call = call, .kind = kind, .reason = ""};
    queue->n_waiting++;
    return waiting;
}

static void waiting_free(Waiting *waiting)
{
    for (size_t i = 0; i < waiting->n_unknown; i++) {
        free(waiting->unknown[i]);
    }
    free(waiting->unknown);
    waiting->queue->n_waiting--;
    free(waiting);
}

static void answer_put(Waiting *waiting)
{
    QueueLogStatus status;
    queue_log_status(waiting->queue->log, &status);
    Demonstrator__V1__PutReply reply = DEMONSTRATOR__V1__PUT_REPLY__INIT;
    reply.accepted = waiting->settled + waiting->accepted;
    reply.reason = (char *)waiting->reason;
    reply.size = status.size;
    reply.capacity = (uint64_t)waiting->queue->capacity;
    waiting->queue->put_total += reply.accepted;
    ina_call_reply(waiting->call, &reply.base);
    waiting_free(waiting);
}

static void answer_acknowledge(Waiting *waiting)
{
    Demonstrator__V1__AcknowledgeReply reply = DEMONSTRATOR__V1__ACKNOWLEDGE_REPLY__INIT;
    reply.n_unknown = waiting->n_unknown;
    reply.unknown = waiting->unknown;
    ina_call_reply(waiting->call, &reply.base);
    waiting_free(waiting);
}

/* --- put ----------------------------------------------------------------------- */

static const char *fault_of(const Demonstrator__V1__SampleBatch *batch)
{
    size_t name = strlen(batch->producer), count = batch->n_time_us;
    if (name == 0 || name > PRODUCER_NAME_MAX) {
        return "producer: a name of 1 to 128 bytes is needed";
    }
    for (const char *c = batch->producer; *c; c++) {
        if ((unsigned char)*c <= ' ' || *c == ',' || *c == '"' || *c == '/' || (unsigned char)*c >= 0x7f) {
            return "producer: only printable ASCII without blank, comma, quote and slash";
        }
    }
    if (batch->n_value1 != count || batch->n_value2 != count) {
        return "time_us, value1 and value2 must have the same length";
    }
    /* The store keeps them as SQLite's integers; what it refuses must not get in here. */
    return batch->first_sequence > (uint64_t)INT64_MAX - count ? "first_sequence: sequence numbers must stay below 2^63"
                                                               : NULL;
}

/* Accepts what fits of a put; true when it need not wait for room any more. */
static bool advance_put(Waiting *waiting)
{
    Queue *queue = waiting->queue;
    if (waiting->accepted > 0 && queue_log_ticket(queue->log) != waiting->ticket) {
        return false; /* what went into the group before must be settled first: it may fail */
    }
    for (; waiting->batch < waiting->put->n_batches; waiting->batch++, waiting->offset = 0) {
        const Demonstrator__V1__SampleBatch *from = waiting->put->batches[waiting->batch];
        while (waiting->offset < from->n_time_us) {
            size_t at = waiting->offset;
            QueueBatch batch = {from->producer,       strlen(from->producer), from->first_sequence + at,
                                from->n_time_us - at, from->time_us + at,     from->value1 + at,
                                from->value2 + at};
            QueueRefusal refusal = QUEUE_NOTHING_REFUSED;
            size_t accepted = queue_log_put(queue->log, &batch, ina_now(), &refusal);
            if (accepted > 0) {
                waiting->ticket = queue_log_ticket(queue->log);
            }
            waiting->accepted += accepted;
            waiting->offset += accepted;
            if (refusal == QUEUE_BUSY) {
                return false;
            }
            if (refusal != QUEUE_NOTHING_REFUSED) {
                waiting->reason = refusal == QUEUE_FULL ? "full" : "disk";
                return true;
            }
        }
    }
    return true;
}

/* Calls wait in the order of their tickets. */
static void wait_for_commit(Waiting *waiting)
{
    struct WaitingList *sealed = &waiting->queue->sealed;
    Waiting *last = TAILQ_LAST(sealed, WaitingList);
    while (last && last->ticket > waiting->ticket) {
        last = TAILQ_PREV(last, WaitingList, entry);
    }
    if (last) {
        TAILQ_INSERT_AFTER(sealed, last, waiting, entry);
    } else {
        TAILQ_INSERT_HEAD(sealed, waiting, entry);
    }
}

/* A put that was accepted as far as possible waits for its last commit. */
static void seal_put(Waiting *waiting)
{
    if (waiting->ticket <= queue_log_committed_ticket(waiting->queue->log)) {
        answer_put(waiting);
    } else {
        wait_for_commit(waiting);
    }
}

static void put(void *self, InaCall *call, const Demonstrator__V1__PutRequest *request)
{
    Queue *queue = self;
    for (size_t i = 0; i < request->n_batches; i++) {
        const char *fault = fault_of(request->batches[i]);
        if (fault) {
            ina_call_fail(call, INA_CODE_INVALID_ARGUMENT, "batches[%zu]: %s", i, fault);
            return;
        }
    }
    Waiting *waiting = waiting_new(queue, call, PUT);
    if (!waiting) {
        return;
    }
    waiting->put = request;
    /* In the order of arrival: nobody passes a put that waits for room. */
    if (!TAILQ_EMPTY(&queue->room) || !advance_put(waiting)) {
        TAILQ_INSERT_TAIL(&queue->room, waiting, entry);
    } else {
        seal_put(waiting);
    }
    ina_timer_idle(queue->turn_end);
}

/* --- acknowledge and release ------------------------------------------------------ */

/* The number in a lease's name; 0: it is none of this life. */
static uint64_t lease_number(const Queue *queue, const char *name)
{
    size_t n = strlen(queue->incarnation);
    char *end;
    if (strlen(name) > LEASE_NAME_MAX || strncmp(name, queue->incarnation, n) != 0 || name[n] != '-') {
        return 0;
    }
    uint64_t number = strtoull(name + n + 1, &end, 10);
    return *end == '\0' ? number : 0;
}

static bool add_unknown(Waiting *waiting, const char *lease)
{
    char **grown = realloc(waiting->unknown, (waiting->n_unknown + 1) * sizeof(*grown));
    if (!grown) {
        return false;
    }
    waiting->unknown = grown;
    grown[waiting->n_unknown] = strdup(lease);
    if (!grown[waiting->n_unknown]) {
        return false;
    }
    waiting->n_unknown++;
    return true;
}

static void acknowledge(void *self, InaCall *call, const Demonstrator__V1__AcknowledgeRequest *request)
{
    Queue *queue = self;
    Waiting *waiting = waiting_new(queue, call, ACKNOWLEDGE);
    if (!waiting) {
        return;
    }
    queue_log_expire(queue->log, ina_now());
    for (size_t i = 0; i < request->n_leases; i++) {
        uint64_t lease = lease_number(queue, request->leases[i]), ticket = 0;
        if (lease == 0 || queue_log_acknowledge(queue->log, lease, &ticket) < 0) {
            if (!add_unknown(waiting, request->leases[i])) {
                ina_call_fail(call, INA_CODE_RESOURCE_EXHAUSTED, "out of memory");
                waiting_free(waiting);
                return;
            }
        } else if (ticket > waiting->ticket) {
            waiting->ticket = ticket;
        }
    }
    if (waiting->ticket <= queue_log_committed_ticket(queue->log)) {
        answer_acknowledge(waiting);
        return;
    }
    wait_for_commit(waiting);
    ina_timer_idle(queue->turn_end);
}

static void release(void *self, InaCall *call, const Demonstrator__V1__ReleaseRequest *request)
{
    Queue *queue = self;
    char **unknown = calloc(request->n_leases + 1, sizeof(*unknown));
    if (!unknown) {
        ina_call_fail(call, INA_CODE_RESOURCE_EXHAUSTED, "out of memory");
        return;
    }
    Demonstrator__V1__ReleaseReply reply = DEMONSTRATOR__V1__RELEASE_REPLY__INIT;
    reply.unknown = unknown;
    for (size_t i = 0; i < request->n_leases; i++) {
        uint64_t lease = lease_number(queue, request->leases[i]);
        if (lease == 0 || queue_log_release(queue->log, lease) < 0) {
            unknown[reply.n_unknown++] = request->leases[i];
        }
    }
    ina_call_reply(call, &reply.base);
    free(unknown);
    ina_timer_idle(queue->turn_end);
}

/* --- take -------------------------------------------------------------------------- */

/* Hands out to one taker; false: nothing could be taken now. */
static bool hand_out(Waiting *waiting, uint64_t now)
{
    Queue *queue = waiting->queue;
    uint64_t ends = now + waiting->take->lease_ms * INA_MILLISECOND;
    QueueTaken taken = {0};
    if (queue_log_take(queue->log, waiting->take->maximum, ends, &taken) < 0 || taken.lease == 0) {
        return false;
    }
    char name[LEASE_NAME_MAX + 1];
    snprintf(name, sizeof(name), "%s-%llu", queue->incarnation, (unsigned long long)taken.lease);
    Demonstrator__V1__SampleBatch *batches = calloc(taken.n_batches, sizeof(*batches));
    Demonstrator__V1__SampleBatch **pointers = calloc(taken.n_batches, sizeof(*pointers));
    char(*names)[PRODUCER_NAME_MAX + 1] = calloc(taken.n_batches, sizeof(*names));
    if (!batches || !pointers || !names) {
        queue_log_release(queue->log, taken.lease);
        free(batches);
        free(pointers);
        free(names);
        return false;
    }
    for (size_t i = 0; i < taken.n_batches; i++) {
        const QueueBatch *from = &taken.batches[i];
        memcpy(names[i], from->producer, from->producer_length);
        batches[i] = (Demonstrator__V1__SampleBatch)DEMONSTRATOR__V1__SAMPLE_BATCH__INIT;
        batches[i].producer = names[i];
        batches[i].first_sequence = from->first_sequence;
        batches[i].n_time_us = batches[i].n_value1 = batches[i].n_value2 = from->count;
        batches[i].time_us = (int64_t *)from->time_us;
        batches[i].value1 = (double *)from->value1;
        batches[i].value2 = (double *)from->value2;
        pointers[i] = &batches[i];
    }
    Demonstrator__V1__TakeReply reply = DEMONSTRATOR__V1__TAKE_REPLY__INIT;
    reply.lease = name;
    reply.n_batches = taken.n_batches;
    reply.batches = pointers;
    queue->taken_total += taken.count;
    TAILQ_REMOVE(&queue->takers, waiting, entry);
    ina_call_reply(waiting->call, &reply.base);
    waiting_free(waiting);
    free(batches);
    free(pointers);
    free(names);
    return true;
}

static void answer_empty(Waiting *waiting)
{
    Demonstrator__V1__TakeReply reply = DEMONSTRATOR__V1__TAKE_REPLY__INIT;
    TAILQ_REMOVE(&waiting->queue->takers, waiting, entry);
    ina_call_reply(waiting->call, &reply.base);
    waiting_free(waiting);
}

/* First come, first served; a taker whose time is over gets what there is. */
static void serve(Queue *queue)
{
    uint64_t now = ina_now(), next = UINT64_MAX;
    queue_log_expire(queue->log, now);
    for (Waiting *waiting = TAILQ_FIRST(&queue->takers), *following; waiting; waiting = following) {
        following = TAILQ_NEXT(waiting, entry);
        uint64_t available = queue_log_available(queue->log);
        bool over = now >= waiting->until;
        if (available > 0 && (available >= waiting->take->minimum || over) && hand_out(waiting, now)) {
            continue;
        }
        if (over) {
            answer_empty(waiting);
        } else if (waiting->until < next) {
            next = waiting->until;
        }
    }
    if (next != UINT64_MAX) {
        ina_timer_at(queue->takes_end, next);
    }
    uint64_t expiry = queue_log_next_expiry(queue->log);
    if (expiry != UINT64_MAX) {
        ina_timer_at(queue->leases, expiry);
    }
}

static void serve_fired(void *userdata)
{
    serve(userdata);
}

static void taker_left(InaCall *call, void *userdata)
{
    Waiting *waiting = userdata;
    TAILQ_REMOVE(&waiting->queue->takers, waiting, entry);
    ina_call_fail(call, INA_CODE_CANCELED, "the taker left");
    waiting_free(waiting);
}

static void take(void *self, InaCall *call, const Demonstrator__V1__TakeRequest *request)
{
    Queue *queue = self;
    if (request->maximum == 0 || request->minimum > request->maximum || request->wait_ms > WAIT_MAX_MS ||
        request->lease_ms < 100 || request->lease_ms > 600000) {
        ina_call_fail(
            call, INA_CODE_INVALID_ARGUMENT,
            "minimum %u, maximum %u, wait_ms %u, lease_ms %u: maximum must be at least 1 and not below minimum, "
            "wait_ms at most %u, lease_ms 100 to 600000",
            request->minimum, request->maximum, request->wait_ms, request->lease_ms, WAIT_MAX_MS);
        return;
    }
    Waiting *waiting = waiting_new(queue, call, TAKE);
    if (!waiting) {
        return;
    }
    waiting->take = request;
    uint64_t now = ina_now(), deadline = ina_call_deadline(call);
    waiting->until = now + request->wait_ms * INA_MILLISECOND;
    if (deadline < waiting->until + ANSWER_TIME) {
        waiting->until = deadline > now + ANSWER_TIME ? deadline - ANSWER_TIME : now;
    }
    TAILQ_INSERT_TAIL(&queue->takers, waiting, entry);
    ina_call_on_cancel(call, taker_left, waiting);
    serve(queue);
}

/* --- committing ------------------------------------------------------------------------ */

static void refuse(Waiting *waiting)
{
    if (waiting->kind == PUT) {
        waiting->accepted = 0;
        waiting->reason = "disk";
        answer_put(waiting);
    } else {
        ina_call_fail(waiting->call, INA_CODE_UNAVAILABLE, "the disk failed; the samples come again");
        waiting_free(waiting);
    }
}

static void answer_sealed(Queue *queue, uint64_t ticket, bool committed)
{
    Waiting *waiting;
    while ((waiting = TAILQ_FIRST(&queue->sealed)) && waiting->ticket <= ticket) {
        TAILQ_REMOVE(&queue->sealed, waiting, entry);
        if (!committed && waiting->ticket == ticket) {
            refuse(waiting);
        } else if (waiting->kind == PUT) {
            answer_put(waiting);
        } else {
            answer_acknowledge(waiting);
        }
    }
    /* The first put that waits for room may have begun in this group. */
    waiting = TAILQ_FIRST(&queue->room);
    if (waiting && waiting->ticket == ticket && waiting->accepted > 0) {
        if (committed) {
            waiting->settled += waiting->accepted;
            waiting->accepted = 0;
        } else {
            TAILQ_REMOVE(&queue->room, waiting, entry);
            refuse(waiting);
        }
    }
}

static void commit_done(Queue *queue, QueueCommit *commit)
{
    int r;
    uint64_t ticket = queue_commit_ticket(commit);
    while ((r = queue_log_committed(queue->log, commit)) == -EAGAIN) {
        queue_commit_run(commit);
    }
    answer_sealed(queue, ticket, r == 0);
}

static void run_timed(Queue *queue, QueueCommit *commit)
{
    uint64_t begin = ina_now();
    queue_commit_run(commit);
    uint64_t took = ina_now() - begin;
    queue->commit_time = (queue->commit_time * 7 + took) / 8;
}

static void run_commit(void *userdata)
{
    Queue *queue = userdata;
    run_timed(queue, queue->commit);
}

static void commit_ran(void *userdata, bool cancelled)
{
    Queue *queue = userdata;
    QueueCommit *commit = queue->commit;
    if (cancelled) {
        queue_commit_run(commit);
    }
    queue->commit = NULL;
    commit_done(queue, commit);
    if (!queue->stopping) {
        end_turn(queue);
    }
}

static void run_prepare(void *userdata)
{
    queue_prepare_run(((Queue *)userdata)->prepare);
}

static void prepared(void *userdata, bool cancelled)
{
    Queue *queue = userdata;
    QueuePrepare *prepare = queue->prepare;
    if (cancelled) {
        queue_prepare_run(prepare);
    }
    queue->prepare = NULL;
    if (queue_log_prepared(queue->log, prepare, ina_now()) < 0 && !queue->stopping) {
        ina_timer_after(queue->prepare_retry, QUEUE_PREPARE_DELAY);
    }
    if (!queue->stopping) {
        end_turn(queue);
    }
}

static void prepare_ahead(Queue *queue)
{
    if (queue->prepare || !(queue->prepare = queue_log_prepare(queue->log, ina_now()))) {
        return;
    }
    if (ina_work(queue->component, run_prepare, prepared, queue) < 0) {
        prepared(queue, true);
    }
}

static void admit(Queue *queue)
{
    Waiting *waiting;
    while ((waiting = TAILQ_FIRST(&queue->room)) && advance_put(waiting)) {
        TAILQ_REMOVE(&queue->room, waiting, entry);
        seal_put(waiting);
    }
}

static void end_turn(void *userdata)
{
    Queue *queue = userdata;
    prepare_ahead(queue);
    admit(queue);
    while (!queue->commit && queue_log_waiting(queue->log) > 0) {
        size_t bytes = queue_log_waiting(queue->log);
        QueueCommit *commit = queue_log_seal(queue->log);
        if (!commit) {
            break;
        }
        if (bytes > INLINE_COMMIT_BYTES || queue->commit_time > INLINE_COMMIT_TIME) {
            queue->commit = commit;
            if (ina_work(queue->component, run_commit, commit_ran, queue) < 0) {
                queue->commit = NULL;
                queue_commit_run(commit);
                commit_done(queue, commit);
            }
        } else {
            run_timed(queue, commit);
            commit_done(queue, commit);
        }
        admit(queue);
    }
    serve(queue);
}

/* --- status, life -------------------------------------------------------------------------- */

static void status(void *self, InaCall *call, const Demonstrator__V1__QueueStatusRequest *request)
{
    Queue *queue = self;
    QueueLogStatus from;
    queue_log_status(queue->log, &from);
    Demonstrator__V1__QueueStatus reply = DEMONSTRATOR__V1__QUEUE_STATUS__INIT;
    reply.size = from.size;
    reply.capacity = (uint64_t)queue->capacity;
    reply.leased = from.leased;
    reply.accepted = from.accepted;
    reply.acknowledged = from.acknowledged;
    reply.redelivered = from.redelivered;
    reply.damaged = from.damaged;
    reply.bytes_on_disk = from.bytes_on_disk;
    ina_call_reply(call, &reply.base);
}

static void read_statistics(void *self, InaCall *call, const Demonstrator__V1__StatisticsRequest *request)
{
    statistics_reply(((Queue *)self)->statistics, call, request);
}

static double read_fill(void *userdata)
{
    Queue *queue = userdata;
    QueueLogStatus now;
    queue_log_status(queue->log, &now);
    return 100.0 * (double)now.size / (double)queue->capacity;
}

static void notice(void *userdata, const char *text)
{
    ina_log(((Queue *)userdata)->component, INA_LOG_WARNING, "%s", text);
}

static int start(void *self, InaComponent *component, InaError *error)
{
    Queue *queue = self;
    queue->component = component;
    TAILQ_INIT(&queue->room);
    TAILQ_INIT(&queue->sealed);
    TAILQ_INIT(&queue->takers);
    queue->turn_end = ina_timer_new(component, end_turn, queue);
    queue->leases = ina_timer_new(component, serve_fired, queue);
    queue->takes_end = ina_timer_new(component, serve_fired, queue);
    queue->prepare_retry = ina_timer_new(component, end_turn, queue);
    queue->statistics = statistics_new(component);
    if (!queue->turn_end || !queue->leases || !queue->takes_end || !queue->prepare_retry || !queue->statistics) {
        return ina_error_set(error, ENOMEM, "out of memory for the queue");
    }
    int r = queue_disk_open(queue->directory, &queue->io, error);
    if (r < 0) {
        return r;
    }
    QueueLogOptions options = {
        .capacity = (uint64_t)queue->capacity,
        .segment_bytes = (uint32_t)queue->segment_bytes,
        .group_bytes = (uint32_t)queue->group_bytes,
        .disk_bytes = (uint64_t)queue->disk_bytes,
        .spans_max = QUEUE_SPANS_MAX / 8,
        .leases_max = 4096,
        .notice = notice,
        .userdata = queue,
    };
    r = queue_log_open(&options, &queue->io, &queue->log, error);
    if (r < 0) {
        return r;
    }
    snprintf(queue->incarnation, sizeof(queue->incarnation), "%016llx",
             (unsigned long long)queue->io.random(queue->io.self));
    statistics_add(queue->statistics, "Queue", "utilization", "%", read_fill, queue);
    statistics_add_rate(queue->statistics, "Queue in", "samples/s", &queue->put_total);
    statistics_add_rate(queue->statistics, "Queue out", "samples/s", &queue->taken_total);
    ina_timer_idle(queue->turn_end);
    return 0;
}

static void drop_all(struct WaitingList *list)
{
    Waiting *waiting;
    while ((waiting = TAILQ_FIRST(list))) {
        TAILQ_REMOVE(list, waiting, entry);
        ina_call_fail(waiting->call, INA_CODE_UNAVAILABLE, "the queue stops");
        waiting_free(waiting);
    }
}

static void stop(void *self)
{
    Queue *queue = self;
    queue->stopping = true;
    drop_all(&queue->room);
    drop_all(&queue->sealed);
    drop_all(&queue->takers);
    queue->statistics = statistics_free(queue->statistics);
    queue->log = queue_log_free(queue->log);
    if (queue->io.self) {
        queue_disk_close(&queue->io);
    }
}

static const DemonstratorV1Queue table = {
    .put = put, .take = take, .acknowledge = acknowledge, .release = release, .status = status};
static const DemonstratorV1Statistics statistics_table = {.read = read_statistics};

static const InaProperty properties[] = {INA_STRING("type", "queue")};

static const InaProvided provides[] = {
    {.contract = &demonstrator_v1_queue_contract,
     .table = &table,
     .exported = true,
     .properties = properties,
     .n_properties = INA_COUNT(properties)},
    STATISTICS_PROVIDED(&statistics_table, "queue"),
};

static const InaConfig config[] = {
    {.key = "directory",
     .type = INA_TYPE_STRING,
     .offset = offsetof(Queue, directory),
     .description = "folder of the log",
     .required = true},
    {.key = "capacity",
     .type = INA_TYPE_INTEGER,
     .offset = offsetof(Queue, capacity),
     .value = "10000",
     .minimum = 1,
     .maximum = QUEUE_CAPACITY_MAX,
     .description = "samples that may be there unacknowledged; then puts are refused"},
    {.key = "segment-bytes",
     .type = INA_TYPE_INTEGER,
     .offset = offsetof(Queue, segment_bytes),
     .value = "8388608",
     .minimum = QUEUE_SEGMENT_BYTES_MIN,
     .maximum = QUEUE_SEGMENT_BYTES_MAX,
     .description = "size of a new segment of the log, bytes, a multiple of 4096"},
    {.key = "group-bytes",
     .type = INA_TYPE_INTEGER,
     .offset = offsetof(Queue, group_bytes),
     .value = "1048576",
     .minimum = QUEUE_GROUP_BYTES_MIN,
     .maximum = QUEUE_GROUP_BYTES_MAX,
     .description = "samples that are committed at once, bytes"},
    {.key = "disk-bytes",
     .type = INA_TYPE_INTEGER,
     .offset = offsetof(Queue, disk_bytes),
     .value = "4294967296",
     .minimum = 4.0 * QUEUE_SEGMENT_BYTES_MIN,
     .maximum = (double)QUEUE_SEGMENTS_MAX * QUEUE_SEGMENT_BYTES_MAX,
     .description = "of all segments, bytes, at least 4 of them; then puts are refused as on a full disk"},
};

static const InaComponentClass components[] = {{
    .name = "queue",
    .size = sizeof(Queue),
    .provides = provides,
    .n_provides = INA_COUNT(provides),
    .config = config,
    .n_config = INA_COUNT(config),
    .start = start,
    .stop = stop,
}};

INA_BUNDLE(components);
