/* Calls: answered once, cancelled, late, lost. */
#include "peers.h"

#include <stdio.h>
#include <stdlib.h>

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

/* --- counts ----------------------------------------------------------------- */

typedef struct Counts {
    CallCount made, answered; /* of Say */
    int n;
} Counts;

static void count_say(void *userdata, const ComponentCalls *calls)
{
    Counts *counts = userdata;
    counts->n++;
    if (strcmp(calls->contract->methods[calls->method].name, "Say") != 0)
        return;
    *(calls->answers ? &counts->answered : &counts->made) = calls->count;
}

static Counts counts_of(Fixture *fixture)
{
    Counts counts = {.n = 0};
    component_calls_each(fixture->framework, count_say, &counts);
    return counts;
}

static void calls_are_counted_for_who_made_and_who_answered_them(void **state)
{
    Fixture *fixture = *state;
    Answer answers[3] = {0};
    Counts counts = counts_of(fixture);
    assert_int_equal(counts.n, 4); /* two methods each */
    assert_int_equal(counts.made.asked + counts.answered.asked, 0);
    call_say("hello", 0, &answers[0]);
    RUN_UNTIL(fixture, answers[0].count > 0);
    manner = FAIL;
    call_say("cake", 0, &answers[1]);
    RUN_UNTIL(fixture, answers[1].count > 0);
    counts = counts_of(fixture);
    assert_int_equal(counts.made.asked, 2);
    assert_int_equal(counts.made.ok, 1);
    assert_int_equal(counts.answered.asked, 2);
    assert_int_equal(counts.answered.ok, 1);
    /* An answer that nobody waits for any more is none. */
    manner = HOLD;
    InaPending *pending = call_say("x", 0, &answers[2]);
    RUN_UNTIL(fixture, n_held == 1);
    ina_pending_cancel(pending);
    reply_to(held[0], "too late");
    counts = counts_of(fixture);
    assert_int_equal(counts.answered.asked, 3);
    assert_int_equal(counts.answered.ok, 1);
    assert_int_equal(counts.made.ok, 1);
}

static void an_answer_after_its_component_stopped_counts_for_nobody(void **state)
{
    Fixture *fixture = *state;
    Answer answer = {0};
    manner = HOLD;
    call_say("x", 0, &answer);
    RUN_UNTIL(fixture, n_held == 1);
    components_stop(server_set, NULL);
    reply_to(held[0], "too late");
    Counts counts = counts_of(fixture);
    assert_int_equal(counts.answered.asked, 1);
    assert_int_equal(counts.answered.ok, 0);
    assert_int_equal(answer.code, INA_CODE_UNAVAILABLE);
    assert_int_equal(counts.made.asked, 1);
    assert_int_equal(counts.made.ok, 0);
}

/* --- failures --------------------------------------------------------------- */

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

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, peers_setup, peers_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_reply_comes_once_and_not_before_the_call_returned),
        TEST(calls_are_counted_for_who_made_and_who_answered_them),
        TEST(an_answer_after_its_component_stopped_counts_for_nobody),
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
