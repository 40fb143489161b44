/* Components start, stop and are bound as their tables declare. */
#include "core_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* What happened, as "name:event " words; each test starts with none. */
static char story[8192];

static void tell(const char *name, const char *event)
{
    size_t length = strlen(story);
    snprintf(story + length, sizeof(story) - length, "%s%s:%s", length > 0 ? " " : "", name, event);
}

/* --- a component for all parts ------------------------------------------- */

typedef struct Part {
    InaComponent *component;
    InaClient *echo;
    InaPlain plain;
    const char *text;
    int64_t number;
    double real;
    bool flag;
    int answers;
} Part;

static Part *last_part; /* the one started last */
static int start_result;

static int part_start(void *self, InaComponent *component, InaError *error)
{
    Part *part = self;
    part->component = component;
    last_part = part;
    tell(ina_component_name(component), "start");
    if (start_result < 0)
        return ina_error_set(error, -start_result, "no luck today");
    return 0;
}

static void part_stop(void *self)
{
    const Part *part = self;
    tell(ina_component_name(part->component), "stop");
}

static void say(void *self, InaCall *call, const Test__V1__SayRequest *request)
{
    Test__V1__SayReply reply = TEST__V1__SAY_REPLY__INIT;
    reply.text = request->text;
    ina_call_reply(call, &reply.base);
}

static const TestV1Echo echo_table = {.say = say};

static const InaProvided provides_echo[] = {{.contract = &test_v1_echo_contract, .table = &echo_table}};
static const InaRequired requires_echo[] = {
    {.contract = &test_v1_echo_contract, .cardinality = INA_ONE, .offset = offsetof(Part, echo)}};

#define PART(n, ...)                                                                                                   \
    {                                                                                                                  \
        .name = n, .size = sizeof(Part), .start = part_start, .stop = part_stop, __VA_ARGS__                           \
    }
#define PROVIDES(array) .provides = (array), .n_provides = INA_COUNT(array)
#define REQUIRES(array) .requires = (array), .n_requires = INA_COUNT(array)
#define CONFIG(array) .config = (array), .n_config = INA_COUNT(array)

static const InaComponentClass providers[] = {PART("provider", PROVIDES(provides_echo))};
static const InaComponentClass consumers[] = {PART("consumer", REQUIRES(requires_echo))};

static int setup(void **state)
{
    story[0] = '\0';
    start_result = 0;
    last_part = NULL;
    return fixture_setup(state);
}

/* --- the tests ------------------------------------------------------------ */

static void a_component_starts_when_its_requirement_is_met_and_stops_before_it_goes(void **state)
{
    Fixture *fixture = *state;
    ComponentSet *consumer = START(fixture, "c", consumers);
    assert_int_equal(fixture_state(fixture, "consumer"), COMPONENT_WAITING);
    assert_string_equal(fixture_reason(fixture, "consumer"), "waits for test.v1.Echo, which nobody provides");

    ComponentSet *provider = START(fixture, "p", providers);
    assert_int_equal(fixture_state(fixture, "consumer"), COMPONENT_ACTIVE);
    assert_non_null(last_part->echo);

    assert_int_equal(components_stop(provider, NULL), 0);
    assert_int_equal(fixture_state(fixture, "consumer"), COMPONENT_WAITING);
    assert_string_equal(fixture_reason(fixture, "consumer"),
                        "waits for test.v1.Echo, to be provided by provider, whose bundle p is not started");
    assert_string_equal(story, "provider:start consumer:start consumer:stop provider:stop");

    assert_ok(components_start(provider, NULL, error));
    assert_int_equal(fixture_state(fixture, "consumer"), COMPONENT_ACTIVE);
    components_remove(provider);
    components_remove(consumer);
}

static void said(void *userdata, const Test__V1__SayReply *reply, const InaFailure *failure)
{
    Part *part = userdata;
    assert_null(failure);
    assert_string_equal(reply->text, "hello");
    part->answers++;
}

static void a_call_is_answered_from_the_loop(void **state)
{
    Fixture *fixture = *state;
    ComponentSet *provider = START(fixture, "p", providers);
    ComponentSet *consumer = START(fixture, "c", consumers);
    Test__V1__SayRequest request = TEST__V1__SAY_REQUEST__INIT;
    request.text = (char *)"hello";
    assert_non_null(test_v1_echo_say(last_part->echo, &request, 0, said, last_part));
    assert_int_equal(last_part->answers, 0);
    RUN_UNTIL(fixture, last_part->answers == 1);
    components_remove(consumer);
    components_remove(provider);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_component_starts_when_its_requirement_is_met_and_stops_before_it_goes),
        TEST(a_call_is_answered_from_the_loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
