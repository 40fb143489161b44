/* Calls: answered once, cancelled, late, lost, and across versions. */
#include "core_fixture.h"

#include <stdio.h>
#include <stdlib.h>

/* --- a provider that does what the test says ------------------------------ */

typedef enum Manner { ANSWER, HOLD, FAIL } Manner;

typedef struct Server {
    InaComponent *component;
} Server;

#define HELD_MAX 64
static Manner manner;
static InaCall *held[HELD_MAX];
static int n_held, n_entered, n_cancelled;
static bool answer_in_stop, unavailable_in_stop;
static ProtobufCMessage *seen; /* the last request, unpacked from its packed form */

static void on_cancelled(InaCall *call, void *userdata)
{
    assert_ptr_equal(userdata, &n_cancelled);
    n_cancelled++;
}

static void say(void *self, InaCall *call, const Test__V1__SayRequest *request)
{
    n_entered++;
    assert_true(protobuf_c_message_check(&request->base));
    if (manner == HOLD) {
        ina_call_on_cancel(call, on_cancelled, &n_cancelled);
        held[n_held++] = call;
    } else if (manner == FAIL) {
        ina_call_fail(call, INA_CODE_NOT_FOUND, "no %s here", request->text);
    } else {
        if (seen != NULL)
            protobuf_c_message_free_unpacked(seen, NULL);
        size_t size = protobuf_c_message_get_packed_size(&request->base);
        uint8_t *bytes = malloc(size);
        protobuf_c_message_pack(&request->base, bytes);
        seen = protobuf_c_message_unpack(&test__v1__say_request__descriptor, NULL, size, bytes);
        free(bytes);
        Test__V1__SayReply reply = TEST__V1__SAY_REPLY__INIT;
        reply.text = request->text;
        reply.count = request->n_numbers;
        ina_call_reply(call, &reply.base);
    }
}

static void reply_to(InaCall *call, const char *text)
{
    Test__V1__SayReply reply = TEST__V1__SAY_REPLY__INIT;
    reply.text = (char *)text;
    ina_call_reply(call, &reply.base);
}

static int server_start(void *self, InaComponent *component, InaError *error)
{
    ((Server *)self)->component = component;
    return 0;
}

static void server_stop(void *self)
{
    while (answer_in_stop && n_held > 0)
        reply_to(held[--n_held], "stopping");
    while (unavailable_in_stop && n_held > 0)
        ina_call_fail(held[--n_held], INA_CODE_UNAVAILABLE, "stopping");
}

static const TestV1Echo echo_table = {.say = say};
static const InaProvided provides[] = {{.contract = &test_v1_echo_contract, .table = &echo_table}};
static const InaComponentClass servers[] = {{.name = "server",
                                             .size = sizeof(Server),
                                             .provides = provides,
                                             .n_provides = 1,
                                             .start = server_start,
                                             .stop = server_stop}};

/* --- the same in its next version ------------------------------------------ */

static InaContract next_contract; /* next_v1_echo_contract under the name of the first */

static void next_say(void *self, InaCall *call, const Next__V1__SayRequest *request)
{
    n_entered++;
    Next__V1__SayReply reply = NEXT__V1__SAY_REPLY__INIT;
    char text[64];
    snprintf(text, sizeof(text), "next %s", request->text);
    reply.text = text;
    reply.count = 2;
    reply.added = 99;
    ina_call_reply(call, &reply.base);
}

static const NextV1Echo next_table = {.say = next_say};
static const InaProvided next_provides[] = {{.contract = &next_contract, .table = &next_table}};
static const InaComponentClass next_servers[] = {
    {.name = "server", .size = sizeof(Server), .provides = next_provides, .n_provides = 1}};

/* --- a caller --------------------------------------------------------------- */

typedef struct Caller {
    InaClient *echo;
    InaComponent *component;
} Caller;

static Caller *caller;

static int caller_start(void *self, InaComponent *component, InaError *error)
{
    caller = self;
    caller->component = component;
    return 0;
}

static void caller_stop(void *self)
{
    caller = NULL;
}

static const InaRequired requires[] = {
    {.contract = &test_v1_echo_contract, .cardinality = INA_OPTIONAL, .offset = offsetof(Caller, echo)}};
static const InaComponentClass callers[] = {{.name = "caller",
                                             .size = sizeof(Caller),
                                             .requires = requires,
                                             .n_requires = 1,
                                             .start = caller_start,
                                             .stop = caller_stop}};
static const InaRequired next_requires[] = {
    {.contract = &next_contract, .cardinality = INA_ONE, .offset = offsetof(Caller, echo)}};
static const InaComponentClass next_callers[] = {{.name = "next-caller",
                                                  .size = sizeof(Caller),
                                                  .requires = next_requires,
                                                  .n_requires = 1,
                                                  .start = caller_start,
                                                  .stop = caller_stop}};

typedef struct Answer {
    int count;
    InaCode code; /* INA_CODE_OK: a reply */
    char text[256];
    uint64_t number;
} Answer;

static void done(void *userdata, const Test__V1__SayReply *reply, const InaFailure *failure)
{
    Answer *answer = userdata;
    assert_true((reply == NULL) != (failure == NULL));
    answer->count++;
    answer->code = failure != NULL ? failure->code : INA_CODE_OK;
    snprintf(answer->text, sizeof(answer->text), "%s", failure != NULL ? failure->message : reply->text);
    answer->number = reply != NULL ? reply->count : 0;
}

static InaPending *call_say(const char *text, uint64_t timeout, Answer *answer)
{
    Test__V1__SayRequest request = TEST__V1__SAY_REQUEST__INIT;
    request.text = (char *)text;
    InaPending *pending = test_v1_echo_say(caller->echo, &request, timeout, done, answer);
    assert_non_null(pending);
    assert_int_equal(answer->count, 0);
    return pending;
}

static ComponentSet *server_set, *caller_set;

static int setup(void **state)
{
    manner = ANSWER;
    n_held = n_entered = n_cancelled = 0;
    answer_in_stop = unavailable_in_stop = false;
    next_contract = next_v1_echo_contract;
    next_contract.name = test_v1_echo_contract.name;
    fixture_setup(state);
    server_set = START(*state, "servers", servers);
    caller_set = START(*state, "callers", callers);
    return 0;
}

static int teardown(void **state)
{
    components_remove(caller_set);
    components_remove(server_set);
    Fixture *fixture = *state;
    FrameworkStatistics statistics;
    framework_statistics(fixture->framework, &statistics);
    assert_int_equal(statistics.calls_open, 0);
    assert_int_equal(statistics.calls_waiting, 0);
    if (seen != NULL)
        protobuf_c_message_free_unpacked(seen, NULL);
    seen = NULL;
    return fixture_teardown(state);
}

/* --- answers ---------------------------------------------------------------- */

static void a_reply_comes_once_and_not_before_the_call_returned(void **state)
{
    Fixture *fixture = *state;
    Answer answer = {0};
    call_say("hello", 0, &answer);
    assert_int_equal(n_entered, 0);
    RUN_UNTIL(fixture, answer.count > 0);
    fixture_drain(fixture);
    assert_int_equal(answer.count, 1);
    assert_int_equal(answer.code, INA_CODE_OK);
    assert_string_equal(answer.text, "hello");
}

static void a_failure_carries_code_and_message(void **state)
{
    Fixture *fixture = *state;
    Answer answer = {0};
    manner = FAIL;
    call_say("cake", 0, &answer);
    RUN_UNTIL(fixture, answer.count > 0);
    assert_int_equal(answer.code, INA_CODE_NOT_FOUND);
    assert_string_equal(answer.text, "no cake here");
    assert_string_equal(ina_code_name(answer.code), "not_found");
    assert_int_equal(ina_code_from_name("not_found"), INA_CODE_NOT_FOUND);
    assert_int_equal(ina_code_from_name("nonsense"), INA_CODE_UNKNOWN);
    assert_string_equal(ina_code_name((InaCode)99), "unknown");
}

static void a_method_that_the_provider_does_not_have_is_unimplemented(void **state)
{
    Fixture *fixture = *state;
    Answer answer = {0};
    Test__V1__SayRequest request = TEST__V1__SAY_REQUEST__INIT;
    test_v1_echo_count(caller->echo, &request, 0, done, &answer);
    RUN_UNTIL(fixture, answer.count > 0);
    assert_int_equal(answer.code, INA_CODE_UNIMPLEMENTED);
    assert_null(ina_client_call(caller->echo, 17, &request.base, 0, (InaFunction)done, &answer));
    assert_null(ina_client_call(NULL, 0, &request.base, 0, (InaFunction)done, &answer));
}

static void a_provider_may_answer_later_and_in_any_order(void **state)
{
    Fixture *fixture = *state;
    Answer answers[3] = {0};
    manner = HOLD;
    for (int i = 0; i < 3; i++)
        call_say("x", 0, &answers[i]);
    RUN_UNTIL(fixture, n_held == 3);
    assert_string_equal(ina_call_caller(held[0]), "agent-1");
    assert_true(ina_call_deadline(held[0]) > ina_now() + 20 * INA_SECOND);
    assert_true(ina_call_deadline(held[0]) < ina_now() + 31 * INA_SECOND);
    reply_to(held[1], "second");
    assert_int_equal(answers[1].count, 1);
    reply_to(held[2], "third");
    ina_call_fail(held[0], INA_CODE_OK, "no code for a failure");
    assert_string_equal(answers[2].text, "third");
    assert_int_equal(answers[0].code, INA_CODE_UNKNOWN);
    ina_call_reply(NULL, NULL);
}

/* Compares what the provider saw with what was sent, by bytes. */
static void every_kind_of_field_arrives_as_a_copy(void **state)
{
    Fixture *fixture = *state;
    char name[] = "inner", text[] = "text", word[] = "word";
    uint8_t data[] = {0, 1, 2, 255};
    Test__V1__Part inner = TEST__V1__PART__INIT, outer = TEST__V1__PART__INIT, empty = TEST__V1__PART__INIT;
    Test__V1__Part *inners[] = {&inner, &empty}, *outers[] = {&outer, &inner};
    inner.name = name;
    inner.data = (ProtobufCBinaryData){sizeof(data), data};
    outer.parts = inners;
    outer.n_parts = 2;
    uint64_t numbers[] = {1, UINT64_MAX, 3};
    char *words[] = {word, (char *)protobuf_c_empty_string, word};
    ProtobufCBinaryData blobs[] = {{2, data}, {0, NULL}};
    uint8_t unknown_data[] = {7};
    ProtobufCMessageUnknownField unknown = {
        .tag = 99, .wire_type = PROTOBUF_C_WIRE_TYPE_VARINT, .len = 1, .data = unknown_data};
    Test__V1__SayRequest request = TEST__V1__SAY_REQUEST__INIT;
    request.base.n_unknown_fields = 1;
    request.base.unknown_fields = &unknown;
    request.text = text;
    request.numbers = numbers;
    request.n_numbers = 3;
    request.words = words;
    request.n_words = 3;
    request.parts = outers;
    request.n_parts = 2;
    request.choice_case = TEST__V1__SAY_REQUEST__CHOICE_PART;
    request.part = &outer;
    request.blob = (ProtobufCBinaryData){sizeof(data), data};
    request.real = 0.1;
    request.flag = true;
    request.one = &inner;
    request.blobs = blobs;
    request.n_blobs = 2;
    uint8_t sent[512], received[512];
    size_t size = protobuf_c_message_pack(&request.base, sent);
    Answer answer = {0};
    test_v1_echo_say(caller->echo, &request, 0, done, &answer);
    memset(name, 'x', 5);
    memset(text, 'x', 4);
    memset(word, 'x', 4);
    memset(data, 0, sizeof(data));
    memset(numbers, 0, sizeof(numbers));
    memset(&request, 0xff, sizeof(request));
    unknown_data[0] = 8;
    RUN_UNTIL(fixture, answer.count > 0);
    assert_int_equal(answer.number, 3);
    assert_int_equal(protobuf_c_message_pack(seen, received), size);
    assert_memory_equal(received, sent, size);
}

static void the_chosen_member_of_a_union_is_the_one_copied(void **state)
{
    Fixture *fixture = *state;
    Test__V1__SayRequest request = TEST__V1__SAY_REQUEST__INIT;
    request.choice_case = TEST__V1__SAY_REQUEST__CHOICE_NUMBER;
    request.number = 0x41414141; /* no pointer */
    Answer answer = {0};
    test_v1_echo_say(caller->echo, &request, 0, done, &answer);
    RUN_UNTIL(fixture, answer.count > 0);
    assert_int_equal(((Test__V1__SayRequest *)seen)->number, 0x41414141);
    request.choice_case = TEST__V1__SAY_REQUEST__CHOICE_WORD;
    request.word = (char *)"chosen";
    test_v1_echo_say(caller->echo, &request, 0, done, &answer);
    RUN_UNTIL(fixture, answer.count > 1);
    assert_string_equal(((Test__V1__SayRequest *)seen)->word, "chosen");
}

/* --- leaving ----------------------------------------------------------------- */

static void a_call_cancelled_at_once_never_comes_to_the_provider(void **state)
{
    Fixture *fixture = *state;
    Answer answer = {0};
    ina_pending_cancel(call_say("x", 0, &answer));
    fixture_drain(fixture);
    assert_int_equal(n_entered, 0);
    assert_int_equal(answer.count, 0);
    ina_pending_cancel(NULL);
}

static void a_provider_hears_that_its_caller_left_and_still_owes_the_answer(void **state)
{
    Fixture *fixture = *state;
    Answer answers[2] = {0};
    manner = HOLD;
    InaPending *pending = call_say("x", 0, &answers[0]);
    InaPending *other = call_say("y", 0, &answers[1]);
    RUN_UNTIL(fixture, n_held == 2);
    ina_pending_cancel(pending);
    assert_int_equal(n_cancelled, 0); /* from the loop */
    RUN_UNTIL(fixture, n_cancelled == 1);
    fixture_drain(fixture);
    assert_int_equal(n_cancelled, 1);
    reply_to(held[0], "too late");
    assert_int_equal(answers[0].count, 0);
    /* Answered before it could hear of it. */
    ina_pending_cancel(other);
    reply_to(held[1], "too late");
    fixture_drain(fixture);
    assert_int_equal(n_cancelled, 1);
    assert_int_equal(answers[1].count, 0);
}

static void who_asks_after_the_caller_left_hears_it_too(void **state)
{
    Fixture *fixture = *state;
    Answer answer = {0};
    manner = HOLD;
    InaPending *pending = call_say("x", 0, &answer);
    RUN_UNTIL(fixture, n_held == 1);
    ina_call_on_cancel(held[0], NULL, NULL);
    ina_pending_cancel(pending);
    fixture_drain(fixture);
    ina_call_on_cancel(held[0], on_cancelled, &n_cancelled);
    RUN_UNTIL(fixture, n_cancelled == 1);
    ina_call_fail(held[0], INA_CODE_CANCELED, "as the caller wished");
}

static void a_provider_that_never_answers_fails_the_call_at_its_deadline(void **state)
{
    Fixture *fixture = *state;
    Answer late = {0}, later = {0};
    manner = HOLD;
    call_say("x", 20 * INA_MILLISECOND, &late);
    call_say("y", 0, &later);
    RUN_UNTIL(fixture, late.count == 1);
    assert_int_equal(late.code, INA_CODE_DEADLINE_EXCEEDED);
    RUN_UNTIL(fixture, n_cancelled == 1);
    assert_int_equal(later.count, 0);
    reply_to(held[0], "harmless");
    reply_to(held[1], "in time");
    assert_int_equal(late.count, 1);
    assert_string_equal(later.text, "in time");
}

static void a_stopped_caller_hears_nothing_more(void **state)
{
    Fixture *fixture = *state;
    Answer answers[2] = {0};
    manner = HOLD;
    call_say("x", 0, &answers[0]);
    RUN_UNTIL(fixture, n_held == 1);
    call_say("y", 0, &answers[1]);
    components_stop(caller_set, NULL);
    RUN_UNTIL(fixture, n_cancelled == 1);
    reply_to(held[0], "nobody");
    fixture_drain(fixture);
    assert_int_equal(answers[0].count + answers[1].count, 0);
    assert_int_equal(n_entered, 1);
}

/* --- providers that go -------------------------------------------------------- */

static void open_calls_of_a_provider_that_stops_fail_and_a_late_answer_is_harmless(void **state)
{
    Fixture *fixture = *state;
    Answer open = {0}, queued = {0};
    manner = HOLD;
    call_say("x", 0, &open);
    RUN_UNTIL(fixture, n_held == 1);
    call_say("y", 0, &queued);
    assert_int_equal(components_stop(server_set, NULL), 0);
    assert_int_equal(open.count, 1);
    assert_int_equal(open.code, INA_CODE_UNAVAILABLE);
    assert_null(caller->echo);
    RUN_UNTIL(fixture, queued.count == 1);
    assert_int_equal(queued.code, INA_CODE_UNAVAILABLE);
    reply_to(held[0], "from beyond");
    fixture_drain(fixture);
    assert_int_equal(open.count, 1);
    assert_int_equal(n_cancelled, 0);
}

static void a_provider_can_answer_in_its_stop(void **state)
{
    Fixture *fixture = *state;
    Answer answer = {0};
    manner = HOLD;
    answer_in_stop = true;
    call_say("x", 0, &answer);
    RUN_UNTIL(fixture, n_held == 1);
    components_stop(server_set, NULL);
    assert_string_equal(answer.text, "stopping");
}

static void calls_never_answered_are_freed_with_the_bundle(void **state)
{
    Fixture *fixture = *state;
    Answer answers[HELD_MAX] = {0};
    manner = HOLD;
    for (int i = 0; i < HELD_MAX; i++)
        call_say("x", i % 2 == 0 ? 1 : 0, &answers[i]);
    RUN_UNTIL(fixture, answers[HELD_MAX - 2].count == 1);
    components_remove(server_set);
    server_set = NULL;
    for (int i = 0; i < HELD_MAX; i++)
        assert_int_equal(answers[i].count, 1);
}

/* --- versions ------------------------------------------------------------------ */

static void next_done(void *userdata, const Next__V1__SayReply *reply, const InaFailure *failure)
{
    Answer *answer = userdata;
    answer->count++;
    answer->code = failure != NULL ? failure->code : INA_CODE_OK;
    snprintf(answer->text, sizeof(answer->text), "%s", failure != NULL ? failure->message : reply->text);
    answer->number = reply != NULL ? reply->added : 1;
}

static void versions_of_a_contract_understand_each_other(void **state)
{
    Fixture *fixture = *state;
    ComponentSet *old_caller_set = caller_set;
    Caller *old_caller = caller;
    caller_set = START(fixture, "next-callers", next_callers);
    Next__V1__SayRequest request = NEXT__V1__SAY_REQUEST__INIT;
    request.text = (char *)"new to old";
    request.added = (char *)"not known there";
    Answer answer = {0}, missing = {0};
    next_v1_echo_say(caller->echo, &request, 0, next_done, &answer);
    next_v1_echo_shout(caller->echo, &request, 0, next_done, &missing);
    RUN_UNTIL(fixture, answer.count == 1 && missing.count == 1);
    assert_string_equal(answer.text, "new to old");
    assert_int_equal(answer.number, 0);
    assert_int_equal(missing.code, INA_CODE_UNIMPLEMENTED);
    assert_string_equal(missing.text, "the service's version does not have this method");
    components_remove(caller_set);
    caller_set = old_caller_set;

    components_remove(server_set);
    server_set = START(fixture, "servers", next_servers);
    caller = old_caller;
    answer = (Answer){0};
    call_say("old to new", 0, &answer);
    RUN_UNTIL(fixture, answer.count == 1);
    assert_string_equal(answer.text, "next old to new");
    assert_int_equal(answer.number, 2);
}

/* --- update --------------------------------------------------------------------- */

static ComponentHandover *begin_update(void)
{
    ComponentHandover *handover = NULL;
    assert_ok(components_save(server_set, &handover, error));
    assert_int_equal(components_stop(server_set, handover), 0);
    return handover;
}

static void finish_update(Fixture *fixture, ComponentHandover *handover)
{
    ComponentSet *next = fixture_add(fixture, "servers", "2.0.0", next_servers, 1);
    assert_ok(components_start(next, handover, error));
    components_remove(server_set);
    server_set = next;
    components_handover_free(handover);
}

static void during_an_update_calls_wait_and_go_to_the_new_version(void **state)
{
    Fixture *fixture = *state;
    Answer queued = {0}, waiting = {0}, cancelled = {0}, late = {0};
    const InaClient *client = caller->echo;
    call_say("queued", 0, &queued);
    ComponentHandover *handover = begin_update();
    call_say("waiting", 0, &waiting);
    InaPending *pending = call_say("cancelled", 0, &cancelled);
    call_say("late", INA_MILLISECOND, &late);
    RUN_UNTIL(fixture, late.count == 1);
    assert_int_equal(late.code, INA_CODE_DEADLINE_EXCEEDED);
    ina_pending_cancel(pending);
    FrameworkStatistics statistics;
    framework_statistics(fixture->framework, &statistics);
    assert_int_equal(statistics.calls_waiting, 2);
    assert_ptr_equal(caller->echo, client);

    finish_update(fixture, handover);
    assert_ptr_equal(caller->echo, client);
    RUN_UNTIL(fixture, queued.count == 1 && waiting.count == 1);
    assert_string_equal(queued.text, "next queued");
    assert_string_equal(waiting.text, "next waiting");
    assert_int_equal(cancelled.count, 0);
}

static void what_the_old_version_gives_back_as_unavailable_goes_to_the_new_one(void **state)
{
    Fixture *fixture = *state;
    Answer given_back = {0}, kept = {0};
    manner = HOLD;
    unavailable_in_stop = true;
    call_say("given back", 0, &given_back);
    RUN_UNTIL(fixture, n_held == 1);
    ComponentHandover *handover = begin_update();
    assert_int_equal(given_back.count, 0);
    finish_update(fixture, handover);
    RUN_UNTIL(fixture, given_back.count == 1);
    assert_string_equal(given_back.text, "next given back");
    assert_int_equal(kept.count, 0);
}

static void an_update_called_off_lets_calls_go_on(void **state)
{
    Fixture *fixture = *state;
    Answer answer = {0};
    ComponentHandover *handover = NULL;
    assert_ok(components_save(server_set, &handover, error));
    call_say("patient", 0, &answer);
    fixture_drain(fixture);
    assert_int_equal(answer.count, 0);
    components_resume(server_set, handover);
    RUN_UNTIL(fixture, answer.count == 1);
    assert_string_equal(answer.text, "patient");
}

static void a_service_that_nobody_takes_over_fails_its_waiting_calls(void **state)
{
    Fixture *fixture = *state;
    Answer answer = {0};
    ComponentHandover *handover = begin_update();
    call_say("x", 0, &answer);
    fixture_drain(fixture);
    assert_int_equal(answer.count, 0);
    components_handover_free(handover);
    RUN_UNTIL(fixture, answer.count == 1);
    assert_int_equal(answer.code, INA_CODE_UNAVAILABLE);
    assert_null(caller->echo);
}

static void no_more_than_the_named_number_of_calls_wait(void **state)
{
    enum { MAXIMUM = 4096 }; /* CALLS_WAITING_MAX */
    Fixture *fixture = *state;
    Answer *answers = calloc(MAXIMUM + 1, sizeof(Answer));
    ComponentHandover *handover = begin_update();
    for (int i = 0; i <= MAXIMUM; i++)
        call_say("x", 0, &answers[i]);
    RUN_UNTIL(fixture, answers[MAXIMUM].count == 1);
    assert_int_equal(answers[MAXIMUM].code, INA_CODE_UNAVAILABLE);
    assert_contains(answers[MAXIMUM].text, "too many calls wait");
    finish_update(fixture, handover);
    RUN_UNTIL(fixture, n_entered == MAXIMUM);
    assert_int_equal(answers[0].code, INA_CODE_OK);
    free(answers);
}

/* --- by hand --------------------------------------------------------------------- */

static void answered(void *userdata, const ProtobufCMessage *reply, const InaFailure *failure)
{
    /* It comes as the provider made it. */
    if (reply != NULL && reply->descriptor == &next__v1__say_reply__descriptor)
        next_done(userdata, (const Next__V1__SayReply *)reply, failure);
    else
        done(userdata, (const Test__V1__SayReply *)reply, failure);
}

static InaCall *start_by_hand(Fixture *fixture, const char *text, uint64_t deadline, Answer *answer)
{
    Test__V1__SayRequest *request = malloc(sizeof(*request));
    test__v1__say_request__init(request);
    request->text = strdup(text);
    const CallOptions options = {
        .caller = "127.0.0.1:1", .deadline = deadline, .answered = answered, .userdata = answer};
    ServiceEntry *entry = registry_find(fixture->framework, "test.v1.Echo", NULL);
    InaCall *call = call_start(entry, TEST_V1_ECHO_SAY, &request->base, &options);
    assert_true((call == NULL) == (answer->count > 0));
    return call;
}

static void a_call_made_by_hand_is_answered_cancelled_or_late(void **state)
{
    Fixture *fixture = *state;
    Answer answer = {0}, cancelled = {0}, late = {0}, without = {0};
    start_by_hand(fixture, "by hand", UINT64_MAX, &answer);
    RUN_UNTIL(fixture, answer.count == 1);
    assert_string_equal(answer.text, "by hand");
    manner = HOLD;
    InaCall *call = start_by_hand(fixture, "x", UINT64_MAX, &cancelled);
    start_by_hand(fixture, "y", ina_now() + 5 * INA_MILLISECOND, &late);
    start_by_hand(fixture, "z", UINT64_MAX, &without);
    RUN_UNTIL(fixture, n_held == 3);
    assert_string_equal(ina_call_caller(held[0]), "127.0.0.1:1");
    call_cancel(call);
    RUN_UNTIL(fixture, n_cancelled == 2);
    assert_int_equal(cancelled.count, 0);
    assert_int_equal(late.code, INA_CODE_DEADLINE_EXCEEDED);
    for (int i = 0; i < 2; i++)
        reply_to(held[i], "late");
    components_remove(server_set); /* one is left open, one queued */
    server_set = NULL;
    assert_int_equal(without.code, INA_CODE_UNAVAILABLE);
}

static void queued_calls_by_hand_end_with_their_service(void **state)
{
    Fixture *fixture = *state;
    Answer first = {0}, answer = {0};
    call_say("first", 0, &first); /* so that the next one is queued behind it */
    assert_non_null(start_by_hand(fixture, "x", UINT64_MAX, &answer));
    components_remove(server_set);
    server_set = NULL;
    assert_int_equal(answer.count, 1);
    assert_int_equal(answer.code, INA_CODE_UNAVAILABLE);
    assert_int_equal(n_entered, 0);
    RUN_UNTIL(fixture, first.count == 1);
}

static void calls_by_hand_wait_for_an_update_too(void **state)
{
    Fixture *fixture = *state;
    Answer first = {0}, before = {0}, during = {0};
    call_say("first", 0, &first);
    start_by_hand(fixture, "before", UINT64_MAX, &before);
    ComponentHandover *handover = begin_update();
    start_by_hand(fixture, "during", UINT64_MAX, &during);
    finish_update(fixture, handover);
    RUN_UNTIL(fixture, before.count == 1 && during.count == 1);
    assert_string_equal(before.text, "next before");
    assert_string_equal(during.text, "next during");
}

/* As a proxy of a service elsewhere does it. */
static Manner proxy_manner;
static InaCall *proxy_call;

static void proxy_invoke(void *self, InaCall *call, unsigned method, const ProtobufCMessage *request)
{
    assert_ptr_equal(self, &proxy_call);
    assert_string_equal(((const Test__V1__SayRequest *)request)->text, "elsewhere");
    if (proxy_manner == ANSWER) {
        reply_to(call, "at once");
    } else if (proxy_manner == FAIL) {
        ina_call_fail(call, INA_CODE_ABORTED, "at %s", "once");
    } else {
        ina_call_on_cancel(call, on_cancelled, &n_cancelled);
        proxy_call = call;
    }
}

static void an_immediate_service_is_entered_at_once_and_its_answer_comes_later(void **state)
{
    Fixture *fixture = *state;
    ServiceEntry *entry;
    const ServiceDescription description = {
        .contract = &test_v1_echo_contract, .invoke = proxy_invoke, .object = {.self = &proxy_call}, .immediate = true};
    components_remove(server_set);
    server_set = NULL;
    assert_ok(registry_add(fixture->framework, &description, &entry, error));
    Answer replied = {0}, failed = {0}, held_answer = {0}, cancelled = {0}, early_cancelled = {0};
    proxy_manner = ANSWER;
    call_say("elsewhere", 0, &replied);
    ina_pending_cancel(call_say("elsewhere", 0, &early_cancelled));
    proxy_manner = FAIL;
    call_say("elsewhere", 0, &failed);
    RUN_UNTIL(fixture, replied.count == 1 && failed.count == 1);
    assert_string_equal(replied.text, "at once");
    assert_int_equal(failed.code, INA_CODE_ABORTED);
    assert_string_equal(failed.text, "at once");
    assert_int_equal(early_cancelled.count, 0);
    proxy_manner = HOLD;
    call_say("elsewhere", 0, &held_answer);
    reply_to(proxy_call, "later");
    assert_string_equal(held_answer.text, "later");
    InaPending *pending = call_say("elsewhere", 0, &cancelled);
    ina_pending_cancel(pending);
    RUN_UNTIL(fixture, n_cancelled == 1);
    ina_call_fail(proxy_call, INA_CODE_CANCELED, "as wished");
    held_answer = (Answer){0};
    call_say("elsewhere", 0, &held_answer);
    registry_remove(entry);
    assert_null(caller->echo);
    assert_int_equal(held_answer.count, 0); /* still its duty */
    reply_to(proxy_call, "after all");
    assert_string_equal(held_answer.text, "after all");
}

static void a_client_made_by_hand_calls_one_service(void **state)
{
    Fixture *fixture = *state;
    Answer own = {0}, typed = {0}, gone = {0};
    ServiceEntry *entry = registry_find(fixture->framework, "test.v1.Echo", NULL);
    InaClient *client = client_new(entry);
    InaClient *typed_client = client_new_for(entry, &test_v1_echo_contract);
    Test__V1__SayRequest request = TEST__V1__SAY_REQUEST__INIT;
    test_v1_echo_say(client, &request, 0, done, &own);
    test_v1_echo_say(typed_client, &request, 0, done, &typed);
    RUN_UNTIL(fixture, own.count == 1 && typed.count == 1);
    ComponentHandover *handover = begin_update();
    own = typed = (Answer){0};
    test_v1_echo_say(client, &request, 0, done, &own);
    test_v1_echo_say(typed_client, &request, 0, done, &typed);
    fixture_drain(fixture);
    assert_int_equal(own.code, INA_CODE_UNAVAILABLE); /* its contract is the one that goes */
    assert_int_equal(typed.count, 0);
    finish_update(fixture, handover);
    RUN_UNTIL(fixture, typed.count == 1);
    assert_string_equal(typed.text, "next ");
    components_remove(server_set);
    server_set = NULL;
    test_v1_echo_say(typed_client, &request, 0, done, &gone);
    RUN_UNTIL(fixture, gone.count == 1);
    assert_int_equal(gone.code, INA_CODE_UNAVAILABLE);
    assert_null(client_free(client));
    client_free(typed_client);
}

/* --- many ------------------------------------------------------------------------- */

static void deadlines_pass_in_order_whatever_is_answered_or_cancelled(void **state)
{
    enum { COUNT = 500 };
    Fixture *fixture = *state;
    static Answer answers[COUNT];
    InaPending *pending[COUNT];
    bool cancelled[COUNT] = {false};
    memset(answers, 0, sizeof(answers));
    unsigned seed = (unsigned)ina_now();
    print_message("seed %u\n", seed);
    srand(seed);
    ComponentHandover *handover = begin_update(); /* all wait */
    for (int i = 0; i < COUNT; i++)
        pending[i] = call_say("x", (1 + (uint64_t)rand() % 200) * INA_MILLISECOND, &answers[i]);
    for (int i = 0; i < COUNT; i++) {
        if (rand() % 3 != 0)
            continue;
        ina_pending_cancel(pending[i]);
        cancelled[i] = true;
    }
    for (int i = 0; i < COUNT; i++) {
        if (!cancelled[i])
            RUN_UNTIL(fixture, answers[i].count == 1);
    }
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(answers[i].count, cancelled[i] ? 0 : 1);
        if (!cancelled[i])
            assert_int_equal(answers[i].code, INA_CODE_DEADLINE_EXCEEDED);
    }
    finish_update(fixture, handover);
    assert_int_equal(n_entered, 0);
}

static int exhausted, replied;

static void count_done(void *userdata, const Test__V1__SayReply *reply, const InaFailure *failure)
{
    if (failure == NULL)
        replied++;
    else if (failure->code == INA_CODE_RESOURCE_EXHAUSTED)
        exhausted++;
}

static void a_flood_of_calls_is_refused_beyond_the_named_maximum(void **state)
{
    enum { MAXIMUM = 100000 }; /* CALLS_MAX */
    Fixture *fixture = *state;
    Test__V1__SayRequest request = TEST__V1__SAY_REQUEST__INIT;
    exhausted = replied = 0;
    for (int i = 0; i < MAXIMUM * 2; i++)
        assert_non_null(test_v1_echo_say(caller->echo, &request, UINT64_MAX, count_done, NULL));
    assert_null(test_v1_echo_say(caller->echo, &request, 0, count_done, NULL));
    RUN_UNTIL(fixture, replied + exhausted == MAXIMUM * 2);
    assert_int_equal(replied, MAXIMUM);
}

static void statistics_count_calls(void **state)
{
    Fixture *fixture = *state;
    Answer answers[3] = {0};
    FrameworkStatistics statistics;
    call_say("x", 0, &answers[0]);
    RUN_UNTIL(fixture, answers[0].count == 1);
    manner = FAIL;
    call_say("x", 0, &answers[1]);
    RUN_UNTIL(fixture, answers[1].count == 1);
    manner = HOLD;
    call_say("x", 0, &answers[2]);
    RUN_UNTIL(fixture, n_held == 1);
    framework_statistics(fixture->framework, &statistics);
    assert_int_equal(statistics.calls, 2);
    assert_int_equal(statistics.calls_failed, 1);
    assert_int_equal(statistics.calls_open, 1);
    assert_int_equal(statistics.services, 1);
    assert_int_equal(statistics.components_active, 2);
    assert_true(statistics.dispatches >= 5);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_reply_comes_once_and_not_before_the_call_returned),
        TEST(a_failure_carries_code_and_message),
        TEST(a_method_that_the_provider_does_not_have_is_unimplemented),
        TEST(a_provider_may_answer_later_and_in_any_order),
        TEST(every_kind_of_field_arrives_as_a_copy),
        TEST(the_chosen_member_of_a_union_is_the_one_copied),
        TEST(a_call_cancelled_at_once_never_comes_to_the_provider),
        TEST(a_provider_hears_that_its_caller_left_and_still_owes_the_answer),
        TEST(who_asks_after_the_caller_left_hears_it_too),
        TEST(a_provider_that_never_answers_fails_the_call_at_its_deadline),
        TEST(a_stopped_caller_hears_nothing_more),
        TEST(open_calls_of_a_provider_that_stops_fail_and_a_late_answer_is_harmless),
        TEST(a_provider_can_answer_in_its_stop),
        TEST(calls_never_answered_are_freed_with_the_bundle),
        TEST(versions_of_a_contract_understand_each_other),
        TEST(during_an_update_calls_wait_and_go_to_the_new_version),
        TEST(what_the_old_version_gives_back_as_unavailable_goes_to_the_new_one),
        TEST(an_update_called_off_lets_calls_go_on),
        TEST(a_service_that_nobody_takes_over_fails_its_waiting_calls),
        TEST(no_more_than_the_named_number_of_calls_wait),
        TEST(a_call_made_by_hand_is_answered_cancelled_or_late),
        TEST(queued_calls_by_hand_end_with_their_service),
        TEST(calls_by_hand_wait_for_an_update_too),
        TEST(an_immediate_service_is_entered_at_once_and_its_answer_comes_later),
        TEST(a_client_made_by_hand_calls_one_service),
        TEST(deadlines_pass_in_order_whatever_is_answered_or_cancelled),
        TEST(a_flood_of_calls_is_refused_beyond_the_named_maximum),
        TEST(statistics_count_calls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
