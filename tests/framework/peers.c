#include "peers.h"

#include <stdio.h>
#include <stdlib.h>

Manner manner;
InaCall *held[HELD_MAX];
int n_held, n_entered, n_cancelled;
bool answer_in_stop, unavailable_in_stop;
ProtobufCMessage *seen;
InaContract next_contract;
Caller *caller;
ComponentSet *server_set, *caller_set;

typedef struct Server {
    InaComponent *component;
} Server;

void on_cancelled(InaCall *call, void *userdata)
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

void reply_to(InaCall *call, const char *text)
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
const InaComponentClass servers[1] = {{.name = "server",
                                       .size = sizeof(Server),
                                       .provides = provides,
                                       .n_provides = 1,
                                       .start = server_start,
                                       .stop = server_stop}};

/* --- the same in its next version ------------------------------------------ */

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
const InaComponentClass next_servers[1] = {
    {.name = "server", .size = sizeof(Server), .provides = next_provides, .n_provides = 1}};

/* --- a caller --------------------------------------------------------------- */

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
const InaComponentClass callers[1] = {{.name = "caller",
                                       .size = sizeof(Caller),
                                       .requires = requires,
                                       .n_requires = 1,
                                       .start = caller_start,
                                       .stop = caller_stop}};
static const InaRequired next_requires[] = {
    {.contract = &next_contract, .cardinality = INA_ONE, .offset = offsetof(Caller, echo)}};
const InaComponentClass next_callers[1] = {{.name = "next-caller",
                                            .size = sizeof(Caller),
                                            .requires = next_requires,
                                            .n_requires = 1,
                                            .start = caller_start,
                                            .stop = caller_stop}};

void done(void *userdata, const Test__V1__SayReply *reply, const InaFailure *failure)
{
    Answer *answer = userdata;
    assert_true((reply == NULL) != (failure == NULL));
    answer->count++;
    answer->code = failure != NULL ? failure->code : INA_CODE_OK;
    snprintf(answer->text, sizeof(answer->text), "%s", failure != NULL ? failure->message : reply->text);
    answer->number = reply != NULL ? reply->count : 0;
}

InaPending *call_say(const char *text, uint64_t timeout, Answer *answer)
{
    Test__V1__SayRequest request = TEST__V1__SAY_REQUEST__INIT;
    request.text = (char *)text;
    InaPending *pending = test_v1_echo_say(caller->echo, &request, timeout, done, answer);
    assert_non_null(pending);
    assert_int_equal(answer->count, 0);
    return pending;
}

int peers_setup(void **state)
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

int peers_teardown(void **state)
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
