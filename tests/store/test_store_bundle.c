/* test_store_bundle.c - the bundle in a framework: puts in groups, queries beside, hostile calls. */
#include "framework/bundle_tool.h"
#include "framework/call.h"
#include "statistics.service.h"
#include "store.service.h"
#include "store_test.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATIENCE_US (120u * 1000000u)

typedef struct Host {
    Folder folder;
    sd_event *event;
    Framework *framework;
    Bundle *bundle;
    ServiceEntry *store;
} Host;

static void find_store(Host *host)
{
    host->store = registry_find(host->framework, "demonstrator.v1.Store", NULL);
}

static void host_new(Host *host)
{
    InaError error = {0};
    FrameworkOptions options = {.agent_id = "test", .environment = true};
    folder_new(&host->folder);
    setenv("CONFIG_STORE_DIRECTORY", host->folder.path, 1);
    assert_true(sd_event_new(&host->event) >= 0);
    if (framework_new(host->event, &options, &host->framework, &error) < 0 ||
        framework_start(host->framework, &error) < 0 ||
        framework_install(host->framework, getenv("STORE_ZIP"), &host->bundle, &error) < 0 ||
        bundle_start(host->bundle, &error) < 0)
        fail_msg("%s", error.message);
    find_store(host);
    assert_non_null(host->store);
}

static void host_free(Host *host)
{
    framework_free(host->framework);
    sd_event_unref(host->event);
    folder_remove_all(&host->folder);
}

/* --- calls ------------------------------------------------------------------------- */

/* What came back. */
typedef struct Answer {
    bool done;
    InaCode code;
    char message[300];
    ProtobufCMessage *reply; /* a copy */
} Answer;

/* The message's type as this program has it: that of the bundle goes with it. */
static const ProtobufCMessageDescriptor *own_type(const ProtobufCMessage *message)
{
    const InaContract *contracts[] = {&demonstrator_v1_store_contract, &demonstrator_v1_statistics_contract};
    for (size_t i = 0; i < 2; i++) {
        for (unsigned j = 0; j < contracts[i]->n_methods; j++) {
            const InaMethod *method = &contracts[i]->methods[j];
            if (strcmp(method->input->name, message->descriptor->name) == 0)
                return method->input;
            if (strcmp(method->output->name, message->descriptor->name) == 0)
                return method->output;
        }
    }
    fail_msg("unknown message %s", message->descriptor->name);
    return NULL;
}

/* A copy made as if it had come over the wire. */
static ProtobufCMessage *copy(const ProtobufCMessage *message)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *bytes = malloc(size ? size : 1);
    assert_non_null(bytes);
    protobuf_c_message_pack(message, bytes);
    ProtobufCMessage *result = protobuf_c_message_unpack(own_type(message), NULL, size, bytes);
    assert_non_null(result);
    free(bytes);
    return result;
}

static void answered(void *userdata, const ProtobufCMessage *reply, const InaFailure *failure)
{
    Answer *answer = userdata;
    assert_false(answer->done);
    answer->done = true;
    if (failure) {
        answer->code = failure->code;
        snprintf(answer->message, sizeof(answer->message), "%s", failure->message);
    } else {
        answer->reply = copy(reply);
    }
}

static InaCall *call(ServiceEntry *entry, unsigned method, const ProtobufCMessage *request, Answer *answer)
{
    *answer = (Answer){0};
    return call_start(
        entry, method, copy(request),
        &(CallOptions){.caller = "test", .deadline = UINT64_MAX, .answered = answered, .userdata = answer});
}

static void wait_for(Host *host, const Answer *answer)
{
    uint64_t deadline = ina_now() + PATIENCE_US * UINT64_C(1000);
    while (!answer->done && ina_now() < deadline)
        assert_true(sd_event_run(host->event, 100000) >= 0);
    assert_true(answer->done);
}

static void answer_clear(Answer *answer)
{
    if (answer->reply)
        protobuf_c_message_free_unpacked(answer->reply, NULL);
    *answer = (Answer){0};
}

static void assert_failure(Host *host, Answer *answer, InaCode code, const char *message)
{
    wait_for(host, answer);
    if (answer->code != code || !strstr(answer->message, message))
        fail_msg("%s: \"%s\" is not %s: \"%s\"", ina_code_name(answer->code), answer->message, ina_code_name(code),
                 message);
    answer_clear(answer);
}

/* A put of the model's results, as one batch. */
static void put_request(Batches *batches, Demonstrator__V1__StorePutRequest *ret)
{
    static Demonstrator__V1__ResultBatch results[64], *pointers[64];
    static Demonstrator__V1__SampleBatch samples[64];
    *ret = (Demonstrator__V1__StorePutRequest)DEMONSTRATOR__V1__STORE_PUT_REQUEST__INIT;
    assert_true(batches->count <= 64);
    for (size_t i = 0; i < batches->count; i++) {
        const StoreBatch *batch = &batches->batches[i];
        demonstrator__v1__result_batch__init(&results[i]);
        demonstrator__v1__sample_batch__init(&samples[i]);
        samples[i].producer = (char *)batch->producer;
        samples[i].first_sequence = batch->first_sequence;
        samples[i].n_time_us = samples[i].n_value1 = samples[i].n_value2 = batch->columns.count;
        samples[i].time_us = (int64_t *)batch->columns.time_us;
        samples[i].value1 = (double *)batch->columns.value1;
        samples[i].value2 = (double *)batch->columns.value2;
        results[i].n_processing_time_us = results[i].n_result = batch->columns.count;
        results[i].processing_time_us = (int64_t *)batch->columns.processing_time_us;
        results[i].result = (double *)batch->columns.result;
        results[i].samples = &samples[i];
        pointers[i] = &results[i];
    }
    ret->n_batches = batches->count;
    ret->batches = pointers;
}

static InaCall *put(Host *host, size_t producer, uint64_t first, size_t count, Answer *answer)
{
    Batches batches = {0};
    Demonstrator__V1__StorePutRequest request;
    batches_add(&batches, producer, first, count);
    put_request(&batches, &request);
    InaCall *made = call(host->store, DEMONSTRATOR_V1_STORE_PUT, &request.base, answer);
    batches_clear(&batches);
    return made;
}

static void assert_put(Host *host, Answer *answer, uint64_t stored, uint64_t duplicates)
{
    wait_for(host, answer);
    if (!answer->reply)
        fail_msg("%s: %s", ina_code_name(answer->code), answer->message);
    const Demonstrator__V1__StorePutReply *reply = (const Demonstrator__V1__StorePutReply *)answer->reply;
    assert_int_equal(reply->stored, stored);
    assert_int_equal(reply->duplicates, duplicates);
    answer_clear(answer);
}

static void assert_status(Host *host, uint64_t results, uint64_t duplicates)
{
    Answer answer;
    Demonstrator__V1__StoreStatusRequest request = DEMONSTRATOR__V1__STORE_STATUS_REQUEST__INIT;
    call(host->store, DEMONSTRATOR_V1_STORE_STATUS, &request.base, &answer);
    wait_for(host, &answer);
    const Demonstrator__V1__StoreStatus *status = (const Demonstrator__V1__StoreStatus *)answer.reply;
    assert_non_null(status);
    assert_int_equal(status->results, results);
    assert_int_equal(status->stored, results);
    assert_int_equal(status->duplicates, duplicates);
    assert_int_equal(status->capacity, 1000000);
    assert_true(status->bytes_on_disk > 0);
    answer_clear(&answer);
}

/* --- tests -------------------------------------------------------------------------- */

static void puts_at_once_are_all_stored_and_found(void **unused)
{
    enum { PUTS = 100 };
    Host host;
    host_new(&host);
    static Answer answers[PUTS];
    for (uint64_t i = 0; i < PUTS; i++)
        put(&host, i % 2, 30 * (i / 2), 40, &answers[i]); /* ten overlap the next */
    uint64_t stored = 0, duplicates = 0;
    for (size_t i = 0; i < PUTS; i++) {
        wait_for(&host, &answers[i]);
        assert_non_null(answers[i].reply);
        stored += ((const Demonstrator__V1__StorePutReply *)answers[i].reply)->stored;
        duplicates += ((const Demonstrator__V1__StorePutReply *)answers[i].reply)->duplicates;
        answer_clear(&answers[i]);
    }
    assert_int_equal(stored, 2 * (30 * 49 + 40));
    assert_int_equal(duplicates, 2 * 49 * 10);
    assert_status(&host, stored, duplicates);

    /* Through pages of the contract. */
    char page[100] = "";
    size_t found = 0;
    int64_t before = INT64_MIN;
    do {
        Answer answer;
        Demonstrator__V1__QueryRequest request = DEMONSTRATOR__V1__QUERY_REQUEST__INIT;
        request.begin_us = 1;
        request.producer = (char *)"host-0";
        request.maximum = 300;
        request.page = page;
        call(host.store, DEMONSTRATOR_V1_STORE_QUERY, &request.base, &answer);
        wait_for(&host, &answer);
        const Demonstrator__V1__QueryReply *reply = (const Demonstrator__V1__QueryReply *)answer.reply;
        assert_non_null(reply);
        for (size_t i = 0; i < reply->n_batches; i++) {
            const Demonstrator__V1__SampleBatch *samples = reply->batches[i]->samples;
            assert_string_equal(samples->producer, model_names[0]);
            for (size_t j = 0; j < samples->n_time_us; j++, found++) {
                StoreRecord record = {.sequence = samples->first_sequence + j,
                                      .time_us = samples->time_us[j],
                                      .value1 = samples->value1[j],
                                      .value2 = samples->value2[j],
                                      .processing_time_us = reply->batches[i]->processing_time_us[j],
                                      .result = reply->batches[i]->result[j]};
                assert_result(&record, 0);
                assert_true(record.time_us >= before);
                before = record.time_us;
            }
        }
        snprintf(page, sizeof(page), "%s", reply->next_page);
        answer_clear(&answer);
    } while (*page);
    assert_int_equal(found, 30 * 49 + 40);
    host_free(&host);
}

static void aggregates_and_statistics_answer(void **unused)
{
    Host host;
    host_new(&host);
    Answer answer;
    put(&host, 0, 1, 600, &answer);
    assert_put(&host, &answer, 600, 0);
    Demonstrator__V1__AggregateRequest request = DEMONSTRATOR__V1__AGGREGATE_REQUEST__INIT;
    double percentiles[] = {50, 99};
    request.begin_us = TIME_BASE;
    request.end_us = TIME_BASE + 700000;
    request.intervals = 7;
    request.column = (char *)"value1";
    request.percentiles = percentiles;
    request.n_percentiles = 2;
    call(host.store, DEMONSTRATOR_V1_STORE_AGGREGATE, &request.base, &answer);
    wait_for(&host, &answer);
    const Demonstrator__V1__AggregateReply *reply = (const Demonstrator__V1__AggregateReply *)answer.reply;
    assert_non_null(reply);
    assert_int_equal(reply->n_intervals, 7);
    uint64_t count = 0;
    for (size_t i = 0; i < 7; i++) {
        const Demonstrator__V1__Interval *interval = reply->intervals[i];
        assert_int_equal(interval->begin_us, TIME_BASE + 100000 * (int64_t)i);
        assert_int_equal(interval->n_percentiles, 2);
        assert_true(interval->minimum <= interval->percentiles[0] &&
                    interval->percentiles[0] <= interval->percentiles[1] &&
                    interval->percentiles[1] <= interval->maximum);
        count += interval->count;
    }
    assert_int_equal(count, 600);
    answer_clear(&answer);

    ServiceEntry *entry = registry_find(host.framework, "demonstrator.v1.Statistics", NULL);
    assert_non_null(entry);
    Demonstrator__V1__StatisticsRequest statistics = DEMONSTRATOR__V1__STATISTICS_REQUEST__INIT;
    call(entry, 0, &statistics.base, &answer);
    wait_for(&host, &answer);
    const Demonstrator__V1__StatisticsReply *series = (const Demonstrator__V1__StatisticsReply *)answer.reply;
    assert_non_null(series);
    assert_int_equal(series->n_series, 4);
    assert_string_equal(series->series[0]->name, "Data store");
    assert_string_equal(series->series[0]->type, "utilization");
    answer_clear(&answer);
    host_free(&host);
}

static void wrong_calls_fail_alone(void **unused)
{
    Host host;
    host_new(&host);
    Batches batches = {0};
    Answer answer, good;
    Demonstrator__V1__StorePutRequest request;
    batches_add(&batches, 0, 0, 10);
    batches_add(&batches, 0, 10, 10);

    put_request(&batches, &request);
    request.batches[1]->n_result = 9;
    call(host.store, DEMONSTRATOR_V1_STORE_PUT, &request.base, &answer);
    put(&host, 1, 0, 5, &good);
    assert_failure(&host, &answer, INA_CODE_INVALID_ARGUMENT, "batch 1: its columns differ in length: 10 time_us");
    assert_put(&host, &good, 5, 0);

    put_request(&batches, &request);
    request.batches[0]->samples->n_value1 = 0;
    call(host.store, DEMONSTRATOR_V1_STORE_PUT, &request.base, &answer);
    assert_failure(&host, &answer, INA_CODE_INVALID_ARGUMENT, "batch 0: its columns differ in length");

    put_request(&batches, &request);
    request.batches[0]->samples = NULL;
    call(host.store, DEMONSTRATOR_V1_STORE_PUT, &request.base, &answer);
    assert_failure(&host, &answer, INA_CODE_INVALID_ARGUMENT, "batch 0: it has no samples");

    put_request(&batches, &request);
    request.batches[1]->samples->producer = (char *)"";
    call(host.store, DEMONSTRATOR_V1_STORE_PUT, &request.base, &answer);
    assert_failure(&host, &answer, INA_CODE_INVALID_ARGUMENT, "batch 1: a batch without a producer");

    put_request(&batches, &request);
    request.batches[1]->samples->first_sequence = UINT64_MAX;
    call(host.store, DEMONSTRATOR_V1_STORE_PUT, &request.base, &answer);
    assert_failure(&host, &answer, INA_CODE_INVALID_ARGUMENT, "beyond 2^63");

    Demonstrator__V1__StorePutRequest empty = DEMONSTRATOR__V1__STORE_PUT_REQUEST__INIT;
    call(host.store, DEMONSTRATOR_V1_STORE_PUT, &empty.base, &answer);
    assert_put(&host, &answer, 0, 0);

    Demonstrator__V1__QueryRequest query = DEMONSTRATOR__V1__QUERY_REQUEST__INIT;
    query.maximum = 20000;
    call(host.store, DEMONSTRATOR_V1_STORE_QUERY, &query.base, &answer);
    assert_failure(&host, &answer, INA_CODE_INVALID_ARGUMENT, "maximum is 20000; 1 to 10000 are allowed");
    query.maximum = 0;
    query.page = (char *)"2";
    call(host.store, DEMONSTRATOR_V1_STORE_QUERY, &query.base, &answer);
    assert_failure(&host, &answer, INA_CODE_INVALID_ARGUMENT, "page \"2\" is none");

    Demonstrator__V1__AggregateRequest aggregate = DEMONSTRATOR__V1__AGGREGATE_REQUEST__INIT;
    call(host.store, DEMONSTRATOR_V1_STORE_AGGREGATE, &aggregate.base, &answer);
    assert_failure(&host, &answer, INA_CODE_INVALID_ARGUMENT, "intervals is 0; 1 to 1000 are allowed");
    aggregate.intervals = 1;
    aggregate.column = (char *)"colour";
    call(host.store, DEMONSTRATOR_V1_STORE_AGGREGATE, &aggregate.base, &answer);
    assert_failure(&host, &answer, INA_CODE_INVALID_ARGUMENT, "column \"colour\" is none of");

    assert_status(&host, 5, 0);
    batches_clear(&batches);
    host_free(&host);
}

static void what_waits_is_bounded(void **unused)
{
    enum { PUTS = 80, READS = 70 };
    Host host;
    host_new(&host);
    static Answer puts[PUTS], reads[READS];
    /* 20,000 results count 800 kB; no answer can come before the loop runs. */
    for (size_t i = 0; i < PUTS; i++)
        put(&host, i % MODEL_PRODUCERS, 0, 20000, &puts[i]);
    Demonstrator__V1__QueryRequest query = DEMONSTRATOR__V1__QUERY_REQUEST__INIT;
    for (size_t i = 0; i < READS; i++)
        call(host.store, DEMONSTRATOR_V1_STORE_QUERY, &query.base, &reads[i]);
    unsigned refused = 0;
    for (size_t i = 0; i < PUTS; i++) {
        wait_for(&host, &puts[i]);
        if (!puts[i].reply) {
            assert_int_equal(puts[i].code, INA_CODE_RESOURCE_EXHAUSTED);
            assert_non_null(strstr(puts[i].message, "bytes of results wait to be stored"));
            refused++;
        }
        answer_clear(&puts[i]);
    }
    assert_true(refused > PUTS / 4 && refused < PUTS / 2 + PUTS / 4);
    refused = 0;
    for (size_t i = 0; i < READS; i++) {
        wait_for(&host, &reads[i]);
        if (!reads[i].reply) {
            assert_int_equal(reads[i].code, INA_CODE_RESOURCE_EXHAUSTED);
            refused++;
        }
        answer_clear(&reads[i]);
    }
    assert_int_equal(refused, READS - 65); /* one runs, 64 wait */
    /* And then it takes puts again. */
    Answer answer;
    put(&host, 0, 0, 100, &answer);
    assert_put(&host, &answer, 0, 100);
    host_free(&host);
}

static void callers_that_leave_harm_nobody(void **unused)
{
    enum { PUTS = 200 };
    Host host;
    host_new(&host);
    static Answer answers[PUTS];
    InaCall *calls[PUTS];
    uint64_t seed = store_seed();
    for (uint64_t i = 0; i < PUTS; i++) {
        Demonstrator__V1__QueryRequest query = DEMONSTRATOR__V1__QUERY_REQUEST__INIT;
        if (i % 5 == 4)
            calls[i] = call(host.store, DEMONSTRATOR_V1_STORE_QUERY, &query.base, &answers[i]);
        else
            calls[i] = put(&host, 0, 10 * i, 10, &answers[i]);
        if (i % 7 == 0)
            sd_event_run(host.event, 0);
        size_t victim = (size_t)random_below(&seed, i + 1);
        if (calls[victim] && !answers[victim].done && random_below(&seed, 2)) {
            call_cancel(calls[victim]);
            calls[victim] = NULL;
        }
    }
    for (size_t i = 0; i < PUTS; i++) {
        if (calls[i])
            wait_for(&host, &answers[i]);
        answer_clear(&answers[i]);
    }
    Answer answer;
    put(&host, 1, 0, 10, &answer);
    assert_put(&host, &answer, 10, 0);
    host_free(&host);
}

static void an_update_answers_what_waits_and_goes_on(void **unused)
{
    enum { PUTS = 50 };
    Host host;
    host_new(&host);
    static Answer answers[PUTS];
    for (uint64_t i = 0; i < PUTS; i++)
        put(&host, 0, 100 * i, 100, &answers[i]);
    char zip[160];
    snprintf(zip, sizeof(zip), "%s/next.zip", host.folder.path);
    BundlePack pack = {.output = zip, .name = "store", .version = "99.0.0", .library = getenv("STORE_LIBRARY")};
    InaError error = {0};
    if (bundle_pack(&pack, &error) < 0 || bundle_update(host.bundle, zip, &error) < 0)
        fail_msg("%s", error.message);
    assert_string_equal(bundle_version(host.bundle), "99.0.0");
    for (size_t i = 0; i < PUTS; i++)
        assert_put(&host, &answers[i], 100, 0);
    Model *model = calloc(1, sizeof(*model));
    assert_non_null(model);
    memset(model->seen[0], 1, 100 * PUTS);
    assert_results(host.folder.file, model, 100 * PUTS);
    free(model);

    find_store(&host);
    Answer answer;
    put(&host, 0, 0, 100 * PUTS + 1, &answer);
    assert_put(&host, &answer, 1, 100 * PUTS);
    host_free(&host);
}

static void a_stop_keeps_what_was_answered(void **unused)
{
    enum { PUTS = 50 };
    Host host;
    host_new(&host);
    static Answer answers[PUTS];
    for (uint64_t i = 0; i < PUTS; i++)
        put(&host, 0, 100 * i, 100, &answers[i]);
    InaError error = {0};
    assert_int_equal(bundle_stop(host.bundle, &error), 0);
    uint64_t stored = 0;
    for (size_t i = 0; i < PUTS; i++) {
        wait_for(&host, &answers[i]);
        stored += answers[i].reply ? 100 : 0;
        if (!answers[i].reply)
            assert_int_equal(answers[i].code, INA_CODE_UNAVAILABLE);
        answer_clear(&answers[i]);
    }
    if (bundle_start(host.bundle, &error) < 0)
        fail_msg("%s", error.message);
    find_store(&host);
    Answer answer;
    put(&host, 0, 0, 100 * PUTS, &answer);
    wait_for(&host, &answer);
    assert_true(((const Demonstrator__V1__StorePutReply *)answer.reply)->duplicates >= stored);
    answer_clear(&answer);
    host_free(&host);
}

static void a_locked_file_makes_puts_unavailable_until_it_is_free(void **unused)
{
    Host host;
    host_new(&host);
    sqlite3 *shell = NULL;
    assert_int_equal(sqlite3_open(host.folder.file, &shell), SQLITE_OK);
    assert_int_equal(sqlite3_exec(shell, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    Answer answer;
    put(&host, 0, 0, 10, &answer);
    assert_failure(&host, &answer, INA_CODE_UNAVAILABLE, "is locked by another program");
    assert_int_equal(sqlite3_exec(shell, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(shell);
    put(&host, 0, 0, 10, &answer);
    assert_put(&host, &answer, 10, 0);
    host_free(&host);
}

int main(void)
{
    if (!getenv("STORE_ZIP") || !getenv("STORE_LIBRARY")) {
        fprintf(stderr, "STORE_ZIP and STORE_LIBRARY must name the bundle and its shared object\n");
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(puts_at_once_are_all_stored_and_found),
        cmocka_unit_test(aggregates_and_statistics_answer),
        cmocka_unit_test(wrong_calls_fail_alone),
        cmocka_unit_test(what_waits_is_bounded),
        cmocka_unit_test(callers_that_leave_harm_nobody),
        cmocka_unit_test(an_update_answers_what_waits_and_goes_on),
        cmocka_unit_test(a_stop_keeps_what_was_answered),
        cmocka_unit_test(a_locked_file_makes_puts_unavailable_until_it_is_free),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
