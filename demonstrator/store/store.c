/* store.c - the component `store`: puts in groups, checkpoints, status. */
#include "store_bundle.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct PutCall {
    PutCall *next;
    Store *store;
    InaCall *call;
    uint64_t bytes;
    size_t n_batches;
    StoreBatch batches[];
};

/* Puts that share a transaction; given to a worker. */
struct Group {
    Store *store;
    size_t n_puts;
    PutCall **calls;
    StorePut *puts;
    StoreDbStatus status;
    uint64_t log_bytes;
    int result;
    InaError error;
};

InaCode store_code(int result)
{
    switch (-result) {
    case EINVAL:
        return INA_CODE_INVALID_ARGUMENT;
    case ENOSPC:
    case ENOMEM:
    case E2BIG:
        return INA_CODE_RESOURCE_EXHAUSTED;
    case EUCLEAN:
    case EBADMSG:
        return INA_CODE_DATA_LOSS;
    default:
        return INA_CODE_UNAVAILABLE;
    }
}

/* --- puts --------------------------------------------------------------------- */

/* A view of a batch as the store takes it. -EINVAL: its columns do not fit together. */
static int view_batch(const Demonstrator__V1__ResultBatch *batch, StoreBatch *ret, InaError *error)
{
    const Demonstrator__V1__SampleBatch *samples = batch->samples;
    if (!samples)
        return ina_error_set(error, EINVAL, "it has no samples");
    size_t n = samples->n_time_us;
    if (samples->n_value1 != n || samples->n_value2 != n || batch->n_processing_time_us != n || batch->n_result != n)
        return ina_error_set(error, EINVAL,
                             "its columns differ in length: %zu time_us, %zu value1, %zu value2, %zu "
                             "processing_time_us, %zu result",
                             n, samples->n_value1, samples->n_value2, batch->n_processing_time_us, batch->n_result);
    *ret = (StoreBatch){
        .producer = samples->producer,
        .first_sequence = samples->first_sequence,
        .columns = {n, samples->time_us, samples->value1, samples->value2, batch->processing_time_us, batch->result},
    };
    return store_batch_check(ret, error);
}

static PutCall *view_request(Store *store, InaCall *call, const Demonstrator__V1__StorePutRequest *request)
{
    PutCall *put = calloc(1, sizeof(*put) + request->n_batches * sizeof(StoreBatch));
    if (!put) {
        ina_call_fail(call, INA_CODE_RESOURCE_EXHAUSTED, "out of memory");
        return NULL;
    }
    put->store = store;
    put->call = call;
    put->n_batches = request->n_batches;
    for (size_t i = 0; i < request->n_batches; i++) {
        InaError error = {0};
        if (view_batch(request->batches[i], put->batches + i, &error) < 0) {
            ina_call_fail(call, INA_CODE_INVALID_ARGUMENT, "batch %zu: %s", i, error.message);
            free(put);
            return NULL;
        }
        /* The constant stands for the messages and what merging needs of a batch. */
        put->bytes += put->batches[i].columns.count * STORE_RESULT_BYTES_MAX + 512;
    }
    return put;
}

static void begin_group(Store *store);

static void put_cancelled(InaCall *call, void *userdata)
{
    PutCall *put = userdata;
    Store *store = put->store;
    for (PutCall **at = &store->waiting; *at; at = &(*at)->next) {
        if (*at != put)
            continue;
        *at = put->next;
        if (!*at)
            store->waiting_end = at;
        store->waiting_bytes -= put->bytes;
        free(put);
        ina_call_fail(call, INA_CODE_CANCELED, "the caller left");
        return;
    }
    /* In a transaction: it is answered with that. */
}

static void put(void *self, InaCall *call, const Demonstrator__V1__StorePutRequest *request)
{
    Store *store = self;
    PutCall *put = view_request(store, call, request);
    if (!put)
        return;
    if (store->waiting && store->waiting_bytes + put->bytes > STORE_WAITING_BYTES_MAX) {
        free(put);
        ina_call_fail(call, INA_CODE_RESOURCE_EXHAUSTED, "%llu bytes of results wait to be stored; try again later",
                      (unsigned long long)store->waiting_bytes);
        return;
    }
    *store->waiting_end = put;
    store->waiting_end = &put->next;
    store->waiting_bytes += put->bytes;
    ina_call_on_cancel(call, put_cancelled, put);
    if (!store->group)
        begin_group(store);
}

/* --- transactions --------------------------------------------------------------- */

static void free_group(Group *group)
{
    for (size_t i = 0; i < group->n_puts; i++)
        free(group->calls[i]);
    free(group->calls);
    free(group->puts);
    free(group);
}

static void fail_group(Group *group, InaCode code, const char *message)
{
    for (size_t i = 0; i < group->n_puts; i++)
        ina_call_fail(group->calls[i]->call, code, "%s", message);
    free_group(group);
}

static void fail_waiting(Store *store, InaCode code, const char *message)
{
    PutCall *put;
    while ((put = store->waiting)) {
        store->waiting = put->next;
        ina_call_fail(put->call, code, "%s", message);
        free(put);
    }
    store->waiting_end = &store->waiting;
    store->waiting_bytes = 0;
}

/* What waits, up to STORE_GROUP_BYTES_MAX. NULL: nothing waits, or no memory for it. */
static Group *take_group(Store *store)
{
    size_t n = 0;
    uint64_t bytes = 0;
    for (PutCall *put = store->waiting; put && (n == 0 || bytes + put->bytes <= STORE_GROUP_BYTES_MAX);
         put = put->next) {
        bytes += put->bytes;
        n++;
    }
    if (n == 0)
        return NULL;
    Group *group = calloc(1, sizeof(*group));
    if (group) {
        group->calls = calloc(n, sizeof(PutCall *));
        group->puts = calloc(n, sizeof(*group->puts));
    }
    if (!group || !group->calls || !group->puts) {
        if (group)
            free_group(group);
        fail_waiting(store, INA_CODE_RESOURCE_EXHAUSTED, "out of memory");
        return NULL;
    }
    group->store = store;
    group->n_puts = n;
    for (size_t i = 0; i < n; i++) {
        PutCall *put = store->waiting;
        store->waiting = put->next;
        group->calls[i] = put;
        group->puts[i] = (StorePut){.batches = put->batches, .n_batches = put->n_batches};
    }
    if (!store->waiting)
        store->waiting_end = &store->waiting;
    store->waiting_bytes -= bytes;
    return group;
}

/* In a worker. */
static void run_group(void *userdata)
{
    Group *group = userdata;
    group->result = store_db_put(group->store->db, group->puts, group->n_puts, &group->error);
    store_db_status(group->store->db, &group->status);
    group->log_bytes = store_db_log_bytes(group->store->db);
}

/* Of each batch up to eight results, evenly spread, stand for all. */
static void note_latency(Store *store, const PutCall *put, int64_t now)
{
    for (size_t i = 0; i < put->n_batches; i++) {
        const StoreColumns *columns = &put->batches[i].columns;
        size_t step = columns->count / 8 + 1;
        for (size_t j = 0; j < columns->count; j += step)
            histogram_add(&store->latency, ((double)now - (double)columns->time_us[j]) / 1000.0, (uint32_t)step);
    }
}

static void answer_group(Group *group)
{
    Store *store = group->store;
    int64_t now = ina_wall_clock_us();
    for (size_t i = 0; i < group->n_puts; i++) {
        if (group->puts[i].stored > 0)
            note_latency(store, group->calls[i], now);
        Demonstrator__V1__StorePutReply reply = DEMONSTRATOR__V1__STORE_PUT_REPLY__INIT;
        reply.stored = group->puts[i].stored;
        reply.duplicates = group->puts[i].duplicates;
        ina_call_reply(group->calls[i]->call, &reply.base);
    }
    free_group(group);
}

/* A failure is logged when it begins and when it is over. */
static void note_result(Store *store, const Group *group)
{
    if (group->result < 0 && !store->failing)
        ina_log(store->component, INA_LOG_ERROR, "cannot store results: %s", group->error.message);
    else if (group->result == 0 && store->failing)
        ina_log(store->component, INA_LOG_NOTICE, "results can be stored again");
    store->failing = group->result < 0;
}

static void end_group(Group *group)
{
    Store *store = group->store;
    store->group = NULL;
    store->status = group->status;
    store->log_bytes = group->log_bytes;
    note_result(store, group);
    if (group->result < 0)
        fail_group(group, store_code(group->result), group->error.message);
    else
        answer_group(group);
}

static void group_done(void *userdata, bool cancelled)
{
    Group *group = userdata;
    Store *store = group->store;
    if (cancelled) {
        store->group = NULL;
        fail_group(group, INA_CODE_UNAVAILABLE, "the store stops");
        return;
    }
    end_group(group);
    if (!store->group)
        begin_group(store);
    if (!store->group) { /* a pause: a good time for the log */
        ina_timer_after(store->idle, STORE_CHECKPOINT_IDLE);
        if (store->log_bytes >= STORE_CHECKPOINT_BYTES) {
            store->checkpoint_wanted = true;
            store_background_next(store);
        }
    }
}

static void begin_group(Store *store)
{
    Group *group = take_group(store);
    if (!group)
        return;
    store->group = group;
    int result = ina_work(store->component, run_group, group_done, group);
    if (result < 0) {
        store->group = NULL;
        fail_group(group, INA_CODE_UNAVAILABLE, "no worker is free");
    }
}

/* --- background: checkpoints and reads -------------------------------------------- */

/* In a worker. */
static void run_checkpoint(void *userdata)
{
    Store *store = userdata;
    store->checkpoint_result =
        store_checkpoint_run(store->checkpoint, &store->checkpoint_rest, &store->checkpoint_error);
}

static void checkpoint_done(void *userdata, bool cancelled)
{
    Store *store = userdata;
    store->background = false;
    if (cancelled)
        return;
    if (store->checkpoint_result < 0) {
        ina_log(store->component, INA_LOG_WARNING, "%s", store->checkpoint_error.message);
    } else if (store->checkpoint_rest == 0) {
        store->log_bytes = 0;
    } else if (store->checkpoint_rest < STORE_CHECKPOINT_BYTES) {
        /* Puts came meanwhile: only when the whole log is copied it starts over. */
        store->checkpoint_wanted = !store->waiting;
    }
    store_background_next(store);
}

void store_background_next(Store *store)
{
    if (store->background)
        return;
    if (store->checkpoint_wanted) {
        store->checkpoint_wanted = false;
        store->background = ina_work(store->component, run_checkpoint, checkpoint_done, store) == 0;
    }
    if (!store->background)
        store_reads_next(store);
}

static void idle_fired(void *userdata)
{
    Store *store = userdata;
    store->checkpoint_wanted = store->log_bytes > 0;
    store_background_next(store);
}

/* --- status -------------------------------------------------------------------------- */

static uint64_t bytes_on_disk(const Store *store)
{
    uint64_t bytes = 0;
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    for (size_t i = 0; i < INA_COUNT(suffixes); i++) {
        char *path = NULL;
        struct stat file;
        if (asprintf(&path, "%s%s", store->path, suffixes[i]) < 0)
            return bytes;
        if (stat(path, &file) == 0)
            bytes += (uint64_t)file.st_size;
        free(path);
    }
    return bytes;
}

static void status(void *self, InaCall *call, const Demonstrator__V1__StoreStatusRequest *request)
{
    const Store *store = self;
    Demonstrator__V1__StoreStatus reply = DEMONSTRATOR__V1__STORE_STATUS__INIT;
    reply.results = store->status.results;
    reply.capacity = store->status.capacity;
    reply.stored = store->status.stored;
    reply.expired = store->status.expired;
    reply.duplicates = store->status.duplicates;
    reply.bytes_on_disk = bytes_on_disk(store);
    ina_call_reply(call, &reply.base);
}

static void read_statistics(void *self, InaCall *call, const Demonstrator__V1__StatisticsRequest *request)
{
    statistics_reply(((Store *)self)->statistics, call, request);
}

static double read_utilization(void *userdata)
{
    const Store *store = userdata;
    return 100.0 * (double)store->status.results / (double)store->status.capacity;
}

/* --- life ------------------------------------------------------------------------------ */

static int open_all(Store *store, InaError *error)
{
    if (asprintf(&store->path, "%s/results.db", store->directory) < 0) {
        store->path = NULL;
        return ina_error_set(error, ENOMEM, "out of memory");
    }
    StoreOptions options = {.capacity = (uint64_t)store->capacity};
    int result = store_db_open(store->path, &options, &store->db, error);
    if (result == 0)
        result = store_checkpoint_open(store->path, NULL, &store->checkpoint, error);
    if (result == 0)
        result = store_reader_open(store->path, NULL, &store->reader, error);
    return result;
}

static int start(void *self, InaComponent *component, InaError *error)
{
    Store *store = self;
    store->component = component;
    store->waiting_end = &store->waiting;
    store->reads_end = &store->reads;
    int result = open_all(store, error);
    if (result < 0)
        return result;
    store_db_status(store->db, &store->status);
    store->statistics = statistics_new(component);
    store->idle = ina_timer_new(component, idle_fired, store);
    if (!store->statistics || !store->idle)
        return ina_error_set(error, ENOMEM, "out of memory");
    statistics_add(store->statistics, "Data store", "utilization", "%", read_utilization, store);
    statistics_add_rate(store->statistics, "Stored", "samples/s", &store->status.stored);
    statistics_add_percentile(store->statistics, "Latency p50", "ms", &store->latency, 50);
    statistics_add_percentile(store->statistics, "Latency p99", "ms", &store->latency, 99);
    /* The log of a store that was killed is as good a place as the file, but slower to open. */
    store->log_bytes = 1;
    ina_timer_after(store->idle, STORE_CHECKPOINT_IDLE);
    ina_log(component, INA_LOG_INFO, "%s: %llu results of at most %llu", store->path,
            (unsigned long long)store->status.results, (unsigned long long)store->status.capacity);
    return 0;
}

/* No work is under way any more. What waits is committed, so that an update
 * of the bundle costs nobody a failed call. */
static void stop(void *self)
{
    Store *store = self;
    Group *group;
    while (store->db && store->waiting && (group = take_group(store))) {
        run_group(group);
        end_group(group);
    }
    if (store->reads)
        store_reads_fail(store, "the store stops");
    store->statistics = statistics_free(store->statistics);
    store->reader = store_reader_free(store->reader);
    store->checkpoint = store_checkpoint_free(store->checkpoint);
    store->db = store_db_free(store->db);
    free(store->path);
    store->path = NULL;
}

static const DemonstratorV1Store store_table = {
    .put = put, .query = store_query, .aggregate = store_aggregate, .status = status};
static const DemonstratorV1Statistics statistics_table = {.read = read_statistics};

static const InaProvided provides[] = {
    {.contract = &demonstrator_v1_store_contract,
     .table = &store_table,
     .exported = true,
     .properties = (const InaProperty[]){INA_STRING("type", "store")},
     .n_properties = 1},
    STATISTICS_PROVIDED(&statistics_table, "store"),
};

static const InaConfig config[] = {
    {.key = "directory",
     .type = INA_TYPE_STRING,
     .offset = offsetof(Store, directory),
     .required = true,
     .description = "folder of the database results.db"},
    {.key = "capacity",
     .type = INA_TYPE_INTEGER,
     .offset = offsetof(Store, capacity),
     .value = "1000000",
     .minimum = STORE_CAPACITY_MIN,
     .maximum = STORE_CAPACITY_MAX,
     .description = "results kept; the oldest expire"},
};

static const InaComponentClass components[] = {{
    .name = "store",
    .size = sizeof(Store),
    .provides = provides,
    .n_provides = INA_COUNT(provides),
    .config = config,
    .n_config = INA_COUNT(config),
    .start = start,
    .stop = stop,
}};

INA_BUNDLE(components);
