/* The queue's bundle in a framework: what queue.proto promises, and hostile calls. */
#include "base/files.h"
#include "framework/bundle_tool.h"
#include "framework/call.h"
#include "queue.service.h"
#include "tests/leftovers.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "queue_io.h"

#define PATIENCE (60 * INA_SECOND)
#define SAMPLES_MAX 100000u
#define VANISHED 1000u

typedef struct Host {
    char folder[64];
    sd_event *event;
    Framework *framework;
    Bundle *bundle;
    ServiceEntry *queue;
} Host;

/* What came back. */
typedef struct Answer {
    bool done;
    InaCode code;
    char message[300];
    ProtobufCMessage *reply; /* a copy */
} Answer;

static void start_framework(Host *host)
{
    InaError error = {0};
    FrameworkOptions options = {.agent_id = "test", .environment = true};
    assert_true(sd_event_new(&host->event) >= 0);
    if (framework_new(host->event, &options, &host->framework, &error) < 0 ||
        framework_start(host->framework, &error) < 0 ||
        framework_install(host->framework, getenv("QUEUE_ZIP"), &host->bundle, &error) < 0 ||
        bundle_start(host->bundle, &error) < 0) {
        print_message("%s\n", error.message);
        fail();
    }
    host->queue = registry_find(host->framework, "demonstrator.v1.Queue", NULL);
    assert_non_null(host->queue);
}

static void stop_framework(Host *host)
{
    framework_free(host->framework);
    sd_event_unref(host->event);
}

static int make(void **state)
{
    Host *host = calloc(1, sizeof *host);
    strcpy(host->folder, "/tmp/test-queue-bundle-XXXXXX");
    assert_non_null(make_test_folder(host->folder));
    setenv("CONFIG_QUEUE_DIRECTORY", host->folder, 1);
    setenv("CONFIG_QUEUE_CAPACITY", "10000", 1);
    start_framework(host);
    *state = host;
    return 0;
}

static int drop(void **state)
{
    Host *host = *state;
    stop_framework(host);
    assert_int_equal(folder_remove(host->folder, NULL), 0);
    free(host);
    return 0;
}

/* --- calls ------------------------------------------------------------------------- */

/* The message's type as this program has it: that of the bundle goes with it. */
static const ProtobufCMessageDescriptor *own_type(const ProtobufCMessage *message)
{
    const InaContract *contract = &demonstrator_v1_queue_contract;
    for (unsigned i = 0; i < contract->n_methods; i++) {
        if (strcmp(contract->methods[i].input->name, message->descriptor->name) == 0) {
            return contract->methods[i].input;
        }
        if (strcmp(contract->methods[i].output->name, message->descriptor->name) == 0) {
            return contract->methods[i].output;
        }
    }
    fail();
    return NULL;
}

static ProtobufCMessage *copy(const ProtobufCMessage *message)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *bytes = malloc(size ? size : 1);
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
        (void)snprintf(answer->message, sizeof answer->message, "%s", failure->message);
    } else {
        answer->reply = copy(reply);
    }
}

static InaCall *call_until(Host *host, unsigned method, const ProtobufCMessage *request, uint64_t deadline,
                           Answer *answer)
{
    *answer = (Answer){0};
    return call_start(host->queue, method, copy(request),
                      &(CallOptions){.caller = "test", .deadline = deadline, .answered = answered, .userdata = answer});
}

static InaCall *call(Host *host, unsigned method, const ProtobufCMessage *request, Answer *answer)
{
    return call_until(host, method, request, UINT64_MAX, answer);
}

static void run(Host *host, uint64_t microseconds)
{
    assert_true(sd_event_run(host->event, microseconds) >= 0);
}

static void wait_for(Host *host, const Answer *answer)
{
    for (uint64_t deadline = ina_now() + PATIENCE; !answer->done && ina_now() < deadline;) {
        run(host, 100000);
    }
    assert_true(answer->done);
}

static void clear(Answer *answer)
{
    if (answer->reply) {
        protobuf_c_message_free_unpacked(answer->reply, NULL);
    }
    *answer = (Answer){0};
}

static void assert_failure(Host *host, Answer *answer, InaCode code, const char *text)
{
    wait_for(host, answer);
    if (answer->code != code || !strstr(answer->message, text)) {
        print_message("%s: \"%s\" is not %s: \"%s\"\n", ina_code_name(answer->code), answer->message,
                      ina_code_name(code), text);
        fail();
    }
    clear(answer);
}

static void start_put(Host *host, const char *producer, uint64_t first, size_t count, Answer *answer)
{
    static int64_t time_us[SAMPLES_MAX];
    static double value1[SAMPLES_MAX];
    Demonstrator__V1__PutRequest request = DEMONSTRATOR__V1__PUT_REQUEST__INIT;
    Demonstrator__V1__SampleBatch batch = DEMONSTRATOR__V1__SAMPLE_BATCH__INIT, *batches[] = {&batch};
    for (size_t i = 0; i < count; i++) {
        time_us[i] = (int64_t)(first + i);
        value1[i] = (double)(first + i) / 2;
    }
    batch.producer = (char *)producer;
    batch.first_sequence = first;
    batch.n_time_us = batch.n_value1 = batch.n_value2 = count;
    batch.time_us = time_us;
    batch.value1 = batch.value2 = value1;
    request.n_batches = 1;
    request.batches = batches;
    call(host, DEMONSTRATOR_V1_QUEUE_PUT, &request.base, answer);
}

static uint64_t end_put(Host *host, Answer *answer, const char *reason)
{
    wait_for(host, answer);
    assert_non_null(answer->reply);
    const Demonstrator__V1__PutReply *reply = (const Demonstrator__V1__PutReply *)answer->reply;
    uint64_t accepted = reply->accepted;
    assert_string_equal(reply->reason, reason);
    clear(answer);
    return accepted;
}

static void put(Host *host, const char *producer, uint64_t first, size_t count)
{
    Answer answer;
    start_put(host, producer, first, count, &answer);
    assert_int_equal(end_put(host, &answer, ""), count);
}

static InaCall *start_take(Host *host, uint32_t minimum, uint32_t maximum, uint32_t wait_ms, uint32_t lease_ms,
                           Answer *answer)
{
    Demonstrator__V1__TakeRequest request = DEMONSTRATOR__V1__TAKE_REQUEST__INIT;
    request.minimum = minimum;
    request.maximum = maximum;
    request.wait_ms = wait_ms;
    request.lease_ms = lease_ms;
    return call(host, DEMONSTRATOR_V1_QUEUE_TAKE, &request.base, answer);
}

/* Returns how many samples came; checks them. */
static size_t end_take(Host *host, Answer *answer, char lease[64])
{
    size_t count = 0;
    wait_for(host, answer);
    assert_non_null(answer->reply);
    const Demonstrator__V1__TakeReply *reply = (const Demonstrator__V1__TakeReply *)answer->reply;
    for (size_t i = 0; i < reply->n_batches; i++) {
        const Demonstrator__V1__SampleBatch *batch = reply->batches[i];
        for (size_t j = 0; j < batch->n_time_us; j++) {
            assert_int_equal(batch->time_us[j], batch->first_sequence + j);
            assert_true(batch->value1[j] == (double)(batch->first_sequence + j) / 2);
        }
        count += batch->n_time_us;
    }
    assert_int_equal(count == 0, reply->lease[0] == '\0');
    assert_true(strlen(reply->lease) < 64);
    if (lease) {
        strcpy(lease, reply->lease);
    }
    clear(answer);
    return count;
}

static size_t take(Host *host, uint32_t maximum, uint32_t lease_ms, char lease[64])
{
    Answer answer;
    start_take(host, 1, maximum, 0, lease_ms, &answer);
    return end_take(host, &answer, lease);
}

/* Acknowledges or releases; the number of leases that are unknown. */
static size_t give(Host *host, unsigned method, char **leases, size_t count)
{
    Demonstrator__V1__AcknowledgeRequest acknowledge = DEMONSTRATOR__V1__ACKNOWLEDGE_REQUEST__INIT;
    Demonstrator__V1__ReleaseRequest release = DEMONSTRATOR__V1__RELEASE_REQUEST__INIT;
    Answer answer;
    acknowledge.n_leases = release.n_leases = count;
    acknowledge.leases = release.leases = leases;
    call(host, method, method == DEMONSTRATOR_V1_QUEUE_RELEASE ? &release.base : &acknowledge.base, &answer);
    wait_for(host, &answer);
    assert_non_null(answer.reply);
    size_t unknown = method == DEMONSTRATOR_V1_QUEUE_RELEASE
                         ? ((const Demonstrator__V1__ReleaseReply *)answer.reply)->n_unknown
                         : ((const Demonstrator__V1__AcknowledgeReply *)answer.reply)->n_unknown;
    clear(&answer);
    return unknown;
}

static size_t acknowledge(Host *host, char *lease)
{
    return give(host, DEMONSTRATOR_V1_QUEUE_ACKNOWLEDGE, (char *[]){lease}, 1);
}

static Demonstrator__V1__QueueStatus status(Host *host)
{
    Demonstrator__V1__QueueStatusRequest request = DEMONSTRATOR__V1__QUEUE_STATUS_REQUEST__INIT;
    Answer answer;
    call(host, DEMONSTRATOR_V1_QUEUE_STATUS, &request.base, &answer);
    wait_for(host, &answer);
    Demonstrator__V1__QueueStatus result = *(Demonstrator__V1__QueueStatus *)answer.reply;
    clear(&answer);
    return result;
}

/* --- tests --------------------------------------------------------------------------- */

static void samples_are_put_taken_and_acknowledged(void **state)
{
    Host *host = *state;
    char lease[64];
    put(host, "a.1", 0, 100);
    put(host, "b.1", 0, 50);
    assert_int_equal(take(host, 120, 60000, lease), 120);
    assert_int_equal(status(host).leased, 120);
    assert_int_equal(acknowledge(host, lease), 0);
    assert_int_equal(acknowledge(host, lease), 0); /* repeated: known */
    Demonstrator__V1__QueueStatus now = status(host);
    assert_int_equal(now.size, 30);
    assert_int_equal(now.accepted, 150);
    assert_int_equal(now.acknowledged, 120);
    assert_int_equal(now.capacity, 10000);
    assert_true(now.bytes_on_disk > 0);
}

static void a_full_queue_accepts_a_part_and_says_so(void **state)
{
    Host *host = *state;
    Answer answer;
    start_put(host, "a.1", 0, 12000, &answer);
    assert_int_equal(end_put(host, &answer, "full"), 10000);
    start_put(host, "a.1", 10000, 1, &answer);
    assert_int_equal(end_put(host, &answer, "full"), 0);
    char lease[64];
    assert_int_equal(take(host, 500, 60000, lease), 500);
    assert_int_equal(acknowledge(host, lease), 0);
    start_put(host, "a.1", 10000, 600, &answer);
    assert_int_equal(end_put(host, &answer, "full"), 500);
}

static void a_put_of_any_size_is_accepted_commit_by_commit(void **state)
{
    Host *host = *state;
    stop_framework(host);
    setenv("CONFIG_QUEUE_CAPACITY", "150000", 1);
    setenv("CONFIG_QUEUE_GROUP_BYTES", "65536", 1); /* 2,700 samples */
    start_framework(host);
    unsetenv("CONFIG_QUEUE_GROUP_BYTES");
    Answer first, second;
    start_put(host, "a.1", 0, 100000, &first);
    start_put(host, "b.1", 0, 100000, &second);
    assert_int_equal(end_put(host, &first, ""), 100000);
    assert_int_equal(end_put(host, &second, "full"), 50000);
    size_t taken = 0;
    for (size_t count; (count = take(host, 1000000, 60000, NULL)) > 0;) {
        assert_true(count <= 65536);
        taken += count;
    }
    assert_int_equal(taken, 150000);
}

static void a_restart_continues_and_forgets_the_leases(void **state)
{
    Host *host = *state;
    char lease[64], done[64];
    put(host, "a.1", 0, 1000);
    assert_int_equal(take(host, 100, 60000, done), 100);
    assert_int_equal(take(host, 100, 60000, lease), 100);
    assert_int_equal(acknowledge(host, done), 0);
    stop_framework(host);
    start_framework(host);
    assert_int_equal(status(host).size, 900);
    assert_int_equal(acknowledge(host, lease), 1);
    assert_int_equal(take(host, 5000, 60000, NULL), 900);
}

static void leases_that_run_out_and_those_given_back_come_again(void **state)
{
    Host *host = *state;
    char lease[64], other[64];
    put(host, "a.1", 0, 100);
    assert_int_equal(take(host, 60, 100, lease), 60);
    assert_int_equal(take(host, 60, 60000, other), 40);
    Answer answer;
    start_take(host, 60, 100, 60000, 60000, &answer); /* waits for the lease's end */
    assert_int_equal(end_take(host, &answer, NULL), 60);
    assert_int_equal(acknowledge(host, lease), 1);
    assert_int_equal(give(host, DEMONSTRATOR_V1_QUEUE_RELEASE, (char *[]){other, lease, (char *)"nonsense"}, 3), 2);
    assert_int_equal(take(host, 60, 60000, NULL), 40);
    assert_int_equal(status(host).redelivered, 100);
}

static void a_taker_waits_until_enough_is_there_or_its_time_is_over(void **state)
{
    Host *host = *state;
    Answer answer, first, second;
    start_take(host, 1, 10, 0, 1000, &answer);
    assert_int_equal(end_take(host, &answer, NULL), 0);
    start_take(host, 1, 10, 50, 1000, &answer);
    assert_int_equal(end_take(host, &answer, NULL), 0);

    start_take(host, 10, 20, 60000, 60000, &first);
    start_take(host, 5, 20, 60000, 60000, &second);
    put(host, "a.1", 0, 4);
    run(host, 1000);
    assert_false(first.done || second.done);
    put(host, "a.1", 4, 26);
    assert_int_equal(end_take(host, &first, NULL), 20);
    assert_int_equal(end_take(host, &second, NULL), 10);

    /* Less than the minimum when the time is over. */
    put(host, "a.1", 30, 3);
    start_take(host, 100, 200, 50, 60000, &answer);
    assert_int_equal(end_take(host, &answer, NULL), 3);
}

static void a_taker_is_answered_before_its_deadline(void **state)
{
    Host *host = *state;
    Demonstrator__V1__TakeRequest request = DEMONSTRATOR__V1__TAKE_REQUEST__INIT;
    Answer answer;
    request.minimum = request.maximum = 1;
    request.wait_ms = 60000;
    request.lease_ms = 1000;
    for (int tries = 0; tries < 50; tries++) { /* when we did not run for milliseconds, its deadline was first */
        call_until(host, DEMONSTRATOR_V1_QUEUE_TAKE, &request.base, ina_now() + 10 * INA_MILLISECOND, &answer);
        wait_for(host, &answer);
        if (answer.reply)
            break;
        assert_int_equal(answer.code, INA_CODE_DEADLINE_EXCEEDED);
        clear(&answer);
    }
    assert_int_equal(end_take(host, &answer, NULL), 0);
}

static void a_thousand_takers_that_vanish_leave_nothing_leased(void **state)
{
    static Answer answers[VANISHED];
    static InaCall *calls[VANISHED];
    Host *host = *state;
    for (unsigned i = 0; i < VANISHED; i++) {
        calls[i] = start_take(host, 1, 1, 60000, 60000, &answers[i]);
    }
    run(host, 0);
    for (unsigned i = 0; i < VANISHED; i++) {
        assert_false(answers[i].done);
        call_cancel(calls[i]);
    }
    put(host, "a.1", 0, VANISHED);
    assert_int_equal(status(host).leased, 0);
    assert_int_equal(take(host, 5000, 60000, NULL), VANISHED);
}

static void hostile_calls_are_refused_and_harm_nothing(void **state)
{
    Host *host = *state;
    Answer answer;
    Demonstrator__V1__PutRequest put_request = DEMONSTRATOR__V1__PUT_REQUEST__INIT;
    Demonstrator__V1__SampleBatch good = DEMONSTRATOR__V1__SAMPLE_BATCH__INIT, bad, *batches[] = {&good, &bad};
    int64_t times[] = {1, 2};
    double values[] = {1, 2};
    char long_name[200];
    memset(long_name, 'x', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    good.producer = (char *)"a.1";
    good.n_time_us = good.n_value1 = good.n_value2 = 2;
    good.time_us = times;
    good.value1 = good.value2 = values;
    put_request.n_batches = 2;
    put_request.batches = batches;
    char *const names[] = {(char *)"", long_name, (char *)"a b", (char *)"a/b"};
    for (size_t i = 0; i < 4; i++) {
        bad = good;
        bad.producer = names[i];
        call(host, DEMONSTRATOR_V1_QUEUE_PUT, &put_request.base, &answer);
        assert_failure(host, &answer, INA_CODE_INVALID_ARGUMENT, "batches[1]: producer");
    }
    bad = good;
    bad.n_value2 = 1;
    call(host, DEMONSTRATOR_V1_QUEUE_PUT, &put_request.base, &answer);
    assert_failure(host, &answer, INA_CODE_INVALID_ARGUMENT, "same length");
    const uint64_t beyond[] = {UINT64_MAX - 1, (uint64_t)INT64_MAX - 1, (uint64_t)INT64_MAX + 1};
    for (size_t i = 0; i < 3; i++) {
        bad = good;
        bad.first_sequence = beyond[i];
        call(host, DEMONSTRATOR_V1_QUEUE_PUT, &put_request.base, &answer);
        assert_failure(host, &answer, INA_CODE_INVALID_ARGUMENT, "below 2^63");
    }

    static const uint32_t wrong[][4] = {
        {0, 0, 0, 1000}, {5, 4, 0, 1000}, {1, 1, 4000000000u, 1000}, {1, 1, 0, 99}, {1, 1, 0, 600001}};
    for (size_t i = 0; i < 5; i++) {
        start_take(host, wrong[i][0], wrong[i][1], wrong[i][2], wrong[i][3], &answer);
        assert_failure(host, &answer, INA_CODE_INVALID_ARGUMENT, "lease_ms 100 to 600000");
    }
    char *unknown[] = {(char *)"", (char *)"-1", (char *)"99999999999999999999999999", (char *)"\xc3\xa4-0"};
    assert_int_equal(give(host, DEMONSTRATOR_V1_QUEUE_ACKNOWLEDGE, unknown, 4), 4);
    assert_int_equal(give(host, DEMONSTRATOR_V1_QUEUE_RELEASE, unknown, 4), 4);

    put_request.n_batches = 0;
    call(host, DEMONSTRATOR_V1_QUEUE_PUT, &put_request.base, &answer);
    assert_int_equal(end_put(host, &answer, ""), 0);
    assert_int_equal(status(host).accepted, 0);
    put(host, "a.1", 0, 10);
}

static void a_second_process_is_refused_the_log(void **state)
{
    Host *host = *state;
    QueueIo io;
    InaError error;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        _exit(queue_disk_open(host->folder, &io, &error) == -EBUSY && strstr(error.message, host->folder) ? 0 : 1);
    }
    int result;
    assert_int_equal(waitpid(pid, &result, 0), pid);
    assert_int_equal(result, 0);
}

static void calls_under_way_are_answered_when_the_queue_stops(void **state)
{
    Host *host = *state;
    Answer taking, putting;
    start_take(host, 1, 1, 60000, 60000, &taking);
    start_put(host, "a.1", 0, 10, &putting);
    InaError error;
    assert_int_equal(bundle_stop(host->bundle, &error), 0);
    assert_failure(host, &taking, INA_CODE_UNAVAILABLE, "");
    wait_for(host, &putting); /* accepted or not, but answered */
    clear(&putting);
    assert_int_equal(bundle_start(host->bundle, &error), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(samples_are_put_taken_and_acknowledged, make, drop),
        cmocka_unit_test_setup_teardown(a_full_queue_accepts_a_part_and_says_so, make, drop),
        cmocka_unit_test_setup_teardown(a_put_of_any_size_is_accepted_commit_by_commit, make, drop),
        cmocka_unit_test_setup_teardown(a_restart_continues_and_forgets_the_leases, make, drop),
        cmocka_unit_test_setup_teardown(leases_that_run_out_and_those_given_back_come_again, make, drop),
        cmocka_unit_test_setup_teardown(a_taker_waits_until_enough_is_there_or_its_time_is_over, make, drop),
        cmocka_unit_test_setup_teardown(a_taker_is_answered_before_its_deadline, make, drop),
        cmocka_unit_test_setup_teardown(a_thousand_takers_that_vanish_leave_nothing_leased, make, drop),
        cmocka_unit_test_setup_teardown(hostile_calls_are_refused_and_harm_nothing, make, drop),
        cmocka_unit_test_setup_teardown(a_second_process_is_refused_the_log, make, drop),
        cmocka_unit_test_setup_teardown(calls_under_way_are_answered_when_the_queue_stops, make, drop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
