#include "part.h"

#include <stdio.h>

char story[8192];
Part *last_part;
int start_result, answers;
int (*in_start)(Part *part);
const int plain_table = 5;

void tell(const char *name, const char *event)
{
    size_t length = strlen(story);
    snprintf(story + length, sizeof(story) - length, "%s%s:%s", length > 0 ? " " : "", name, event);
}

int part_start(void *self, InaComponent *component, InaError *error)
{
    Part *part = self;
    part->component = component;
    last_part = part;
    tell(ina_component_name(component), "start");
    if (in_start != NULL && in_start(part) < 0)
        return -1;
    if (start_result < 0)
        return ina_error_set(error, -start_result, "no luck today");
    return 0;
}

void part_stop(void *self)
{
    const Part *part = self;
    tell(ina_component_name(part->component), "stop");
}

void part_say(void *self, InaCall *call, const Test__V1__SayRequest *request)
{
    Test__V1__SayReply reply = TEST__V1__SAY_REPLY__INIT;
    reply.text = request->text;
    ina_call_reply(call, &reply.base);
}

const TestV1Echo echo_table = {.say = part_say};

const InaProvided provides_echo[1] = {{.contract = &test_v1_echo_contract, .table = &echo_table}};
static const InaRequired requires_echo[] = {
    {.contract = &test_v1_echo_contract, .cardinality = INA_ONE, .offset = offsetof(Part, echo)}};

const InaComponentClass providers[1] = {PART("provider", PROVIDES(provides_echo))};
const InaComponentClass consumers[1] = {PART("consumer", REQUIRES(requires_echo))};

int part_setup(void **state)
{
    story[0] = '\0';
    start_result = 0;
    in_start = NULL;
    last_part = NULL;
    return fixture_setup(state);
}

void expect_story(const char *expected)
{
    assert_string_equal(story, expected);
    story[0] = '\0';
}

static void said(void *userdata, const Test__V1__SayReply *reply, const InaFailure *failure)
{
    assert_null(failure);
    assert_string_equal(reply->text, "hello");
    answers++;
}

void say_hello(InaClient *client)
{
    Test__V1__SayRequest request = TEST__V1__SAY_REQUEST__INIT;
    request.text = (char *)"hello";
    answers = 0;
    assert_non_null(test_v1_echo_say(client, &request, 0, said, NULL));
}
