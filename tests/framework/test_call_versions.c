/* Calls across versions and updates, by hand, and very many. */
#include "peers.h"
#include "tests/seed.h"

#include <stdio.h>
#include <stdlib.h>

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
    start_by_hand(fixture, "y", ina_now() + 200 * INA_MILLISECOND, &late);
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
    unsigned seed = test_seed();
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
#define TEST(name) cmocka_unit_test_setup_teardown(name, peers_setup, peers_teardown)
    const struct CMUnitTest tests[] = {
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
