/* store_reads.c - queries and aggregates: read in a worker, answered in the loop. */
#include "store_bundle.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A run of consecutive results of one producer, as the reply has it. */
typedef struct Run {
    Demonstrator__V1__ResultBatch results;
    Demonstrator__V1__SampleBatch samples;
} Run;

/* Reply of a query; all of it is made in the worker. */
typedef struct QueryAnswer {
    StorePage page;
    Run *runs;
    Demonstrator__V1__ResultBatch **batches;
    size_t n_runs;
    int64_t *time_us, *processing_time_us;
    double *value1, *value2, *result;
    char **names; /* of the producers in it */
    size_t n_names;
} QueryAnswer;

typedef struct AggregateAnswer {
    StoreInterval intervals[STORE_INTERVALS_MAX];
    Demonstrator__V1__Interval messages[STORE_INTERVALS_MAX];
    Demonstrator__V1__Interval *pointers[STORE_INTERVALS_MAX];
} AggregateAnswer;

struct Read {
    Read *next;
    Store *store;
    InaCall *call;
    const Demonstrator__V1__QueryRequest *query; /* or */
    const Demonstrator__V1__AggregateRequest *aggregate;
    int64_t now_us;
    int result;
    InaError error;
    QueryAnswer query_answer;
    AggregateAnswer *aggregate_answer;
};

static int no_memory(InaError *error)
{
    return ina_error_set(error, ENOMEM, "out of memory");
}

/* --- queries, in the worker -------------------------------------------------------- */

static bool continues(const StoreRecord *before, const StoreRecord *record)
{
    return record->producer == before->producer && record->sequence == before->sequence + 1;
}

/* The name of a record's producer; each is kept once. Results of few producers
 * alternate, so the search is short. */
static char *name_of(Store *store, QueryAnswer *answer, int64_t *ids, int64_t producer)
{
    for (size_t i = answer->n_names; i-- > 0;)
        if (ids[i] == producer)
            return answer->names[i];
    char *name = strdup(store_reader_producer(store->reader, producer));
    if (name) {
        ids[answer->n_names] = producer;
        answer->names[answer->n_names++] = name;
    }
    return name;
}

static int make_runs(Store *store, QueryAnswer *answer, InaError *error)
{
    const StoreRecord *records = answer->page.records;
    size_t count = answer->page.count;
    int64_t *ids = calloc(answer->n_runs, sizeof(*ids));
    if (!ids)
        return no_memory(error);
    size_t run = 0;
    for (size_t i = 0; i < count;) {
        size_t end = i + 1;
        while (end < count && continues(records + end - 1, records + end))
            end++;
        Run *to = answer->runs + run;
        demonstrator__v1__result_batch__init(&to->results);
        demonstrator__v1__sample_batch__init(&to->samples);
        to->samples.producer = name_of(store, answer, ids, records[i].producer);
        if (!to->samples.producer)
            break;
        to->samples.first_sequence = records[i].sequence;
        to->samples.time_us = answer->time_us + i;
        to->samples.value1 = answer->value1 + i;
        to->samples.value2 = answer->value2 + i;
        to->results.processing_time_us = answer->processing_time_us + i;
        to->results.result = answer->result + i;
        to->samples.n_time_us = to->samples.n_value1 = to->samples.n_value2 = end - i;
        to->results.n_processing_time_us = to->results.n_result = end - i;
        to->results.samples = &to->samples;
        answer->batches[run++] = &to->results;
        i = end;
    }
    free(ids);
    return run == answer->n_runs ? 0 : no_memory(error);
}

static int make_answer(Store *store, QueryAnswer *answer, InaError *error)
{
    const StoreRecord *records = answer->page.records;
    size_t count = answer->page.count;
    for (size_t i = 0; i < count; i++)
        answer->n_runs += i == 0 || !continues(records + i - 1, records + i);
    if (count == 0)
        return 0;
    answer->runs = calloc(answer->n_runs, sizeof(*answer->runs));
    answer->batches = calloc(answer->n_runs, sizeof(Demonstrator__V1__ResultBatch *));
    answer->names = calloc(answer->n_runs, sizeof(*answer->names));
    answer->time_us = calloc(count, sizeof(int64_t));
    answer->processing_time_us = calloc(count, sizeof(int64_t));
    answer->value1 = calloc(count, sizeof(double));
    answer->value2 = calloc(count, sizeof(double));
    answer->result = calloc(count, sizeof(double));
    if (!answer->runs || !answer->batches || !answer->names || !answer->time_us || !answer->processing_time_us ||
        !answer->value1 || !answer->value2 || !answer->result)
        return no_memory(error);
    for (size_t i = 0; i < count; i++) {
        answer->time_us[i] = records[i].time_us;
        answer->processing_time_us[i] = records[i].processing_time_us;
        answer->value1[i] = records[i].value1;
        answer->value2[i] = records[i].value2;
        answer->result[i] = records[i].result;
    }
    return make_runs(store, answer, error);
}

static void clear_query_answer(QueryAnswer *answer)
{
    for (size_t i = 0; i < answer->n_names; i++)
        free(answer->names[i]);
    free(answer->names);
    free(answer->runs);
    free(answer->batches);
    free(answer->time_us);
    free(answer->processing_time_us);
    free(answer->value1);
    free(answer->value2);
    free(answer->result);
    store_page_clear(&answer->page);
}

static int read_query(Read *read)
{
    const Demonstrator__V1__QueryRequest *request = read->query;
    StoreQuery query = {
        .begin_us = request->begin_us,
        .end_us = request->end_us ? request->end_us : read->now_us,
        .producer = request->producer,
        .maximum = request->maximum,
        .page = request->page,
    };
    int result = store_reader_query(read->store->reader, &query, &read->query_answer.page, &read->error);
    return result < 0 ? result : make_answer(read->store, &read->query_answer, &read->error);
}

/* --- aggregates, in the worker ------------------------------------------------------- */

static int read_aggregate(Read *read)
{
    const Demonstrator__V1__AggregateRequest *request = read->aggregate;
    StoreAggregate aggregate = {
        .begin_us = request->begin_us,
        .end_us = request->end_us ? request->end_us : read->now_us,
        .producer = request->producer,
        .intervals = request->intervals,
        .percentiles = request->percentiles,
        .n_percentiles = request->n_percentiles,
    };
    int result = store_column_from_name(request->column, &aggregate.column, &read->error);
    if (result < 0)
        return result;
    AggregateAnswer *answer = read->aggregate_answer = calloc(1, sizeof(*answer));
    if (!answer)
        return no_memory(&read->error);
    result = store_reader_aggregate(read->store->reader, &aggregate, answer->intervals, &read->error);
    for (uint32_t i = 0; result == 0 && i < request->intervals; i++) {
        StoreInterval *interval = answer->intervals + i;
        Demonstrator__V1__Interval *message = answer->messages + i;
        demonstrator__v1__interval__init(message);
        message->begin_us = interval->begin_us;
        message->count = interval->count;
        message->mean = interval->mean;
        message->minimum = interval->minimum;
        message->maximum = interval->maximum;
        message->n_percentiles = request->n_percentiles;
        message->percentiles = interval->percentiles;
        answer->pointers[i] = message;
    }
    return result;
}

/* --- both, in the loop ---------------------------------------------------------------- */

static void free_read(Read *read)
{
    clear_query_answer(&read->query_answer);
    free(read->aggregate_answer);
    free(read);
}

static void run_read(void *userdata)
{
    Read *read = userdata;
    read->result = read->query ? read_query(read) : read_aggregate(read);
}

static void answer_read(Read *read)
{
    if (read->result < 0) {
        ina_call_fail(read->call, store_code(read->result), "%s", read->error.message);
    } else if (read->query) {
        Demonstrator__V1__QueryReply reply = DEMONSTRATOR__V1__QUERY_REPLY__INIT;
        reply.n_batches = read->query_answer.n_runs;
        reply.batches = read->query_answer.batches;
        reply.next_page = read->query_answer.page.next;
        ina_call_reply(read->call, &reply.base);
    } else {
        Demonstrator__V1__AggregateReply reply = DEMONSTRATOR__V1__AGGREGATE_REPLY__INIT;
        reply.n_intervals = read->aggregate->intervals;
        reply.intervals = read->aggregate_answer->pointers;
        ina_call_reply(read->call, &reply.base);
    }
    free_read(read);
}

static void read_done(void *userdata, bool cancelled)
{
    Read *read = userdata;
    Store *store = read->store;
    store->background = false;
    if (cancelled)
        read->result = ina_error_set(&read->error, ESHUTDOWN, "the store stops");
    answer_read(read);
    store_background_next(store);
}

static Read *take_read(Store *store)
{
    Read *read = store->reads;
    if (!read)
        return NULL;
    store->reads = read->next;
    if (!store->reads)
        store->reads_end = &store->reads;
    store->n_reads--;
    return read;
}

void store_reads_next(Store *store)
{
    Read *read;
    while (!store->background && (read = take_read(store))) {
        int result = ina_work(store->component, run_read, read_done, read);
        if (result == 0) { /* the worker has it now */
            store->background = true;
            return;
        }
        read->result = ina_error_set(&read->error, result, "no worker is free");
        answer_read(read);
    }
}

void store_reads_fail(Store *store, const char *why)
{
    Read *read;
    while ((read = take_read(store))) {
        read->result = ina_error_set(&read->error, ESHUTDOWN, "%s", why);
        answer_read(read);
    }
}

static void read_cancelled(InaCall *call, void *userdata)
{
    Read *read = userdata;
    Store *store = read->store;
    for (Read **at = &store->reads; *at; at = &(*at)->next) {
        if (*at != read)
            continue;
        *at = read->next;
        if (!*at)
            store->reads_end = at;
        store->n_reads--;
        ina_call_fail(call, INA_CODE_CANCELED, "the caller left");
        free_read(read);
        return;
    }
}

static void add_read(Store *store, InaCall *call, const Demonstrator__V1__QueryRequest *query,
                     const Demonstrator__V1__AggregateRequest *aggregate)
{
    if (store->n_reads >= STORE_READS_MAX) {
        ina_call_fail(call, INA_CODE_RESOURCE_EXHAUSTED, "%u queries wait already; try again later", STORE_READS_MAX);
        return;
    }
    Read *read = calloc(1, sizeof(*read));
    if (!read) {
        ina_call_fail(call, INA_CODE_RESOURCE_EXHAUSTED, "out of memory");
        return;
    }
    read->store = store;
    read->call = call;
    read->query = query;
    read->aggregate = aggregate;
    read->now_us = ina_wall_clock_us();
    *store->reads_end = read;
    store->reads_end = &read->next;
    store->n_reads++;
    ina_call_on_cancel(call, read_cancelled, read);
    store_background_next(store);
}

void store_query(void *self, InaCall *call, const Demonstrator__V1__QueryRequest *request)
{
    add_read(self, call, request, NULL);
}

void store_aggregate(void *self, InaCall *call, const Demonstrator__V1__AggregateRequest *request)
{
    add_read(self, call, NULL, request);
}
