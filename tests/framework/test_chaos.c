/* Components that do anything that they may, at any moment. */
#include "part.h"
#include "tests/seed.h"

#include <errno.h>
#include <stdlib.h>

static void chaos_done(void *userdata, const Test__V1__SayReply *reply, const InaFailure *failure)
{
    answers++;
}

/* What a component may do to itself and others, at any moment that its code runs. */
static void chaos(Part *part)
{
    InaComponent *component = part->component;
    Test__V1__SayRequest request = TEST__V1__SAY_REQUEST__INIT;
    switch (rand() % 12) {
    case 0:
        ina_provide_enable(component, 0, rand() % 2 == 0);
        break;
    case 1:
        ina_provide_property(component, 0, "service.ranking",
                             &(InaValue){.type = INA_TYPE_INTEGER, .integer = rand() % 3}, NULL);
        break;
    case 2:
        ina_provide_property(component, 0, "color",
                             &(InaValue){.type = INA_TYPE_STRING, .string = rand() % 2 == 0 ? "red" : "blue"}, NULL);
        break;
    case 3:
        if (part->echo != NULL)
            ina_pending_cancel(test_v1_echo_say(part->echo, &request, 0, chaos_done, part));
        break;
    case 4:
    case 5:
    case 6:
        if (part->echo != NULL)
            test_v1_echo_say(part->echo, &request, (uint64_t)rand() % INA_MILLISECOND, chaos_done, part);
        break;
    case 7:
        if (rand() % 20 == 0)
            ina_component_fail(component, "chaos");
        break;
    default:
        break;
    }
}

static InaCall *chaos_call;

static void chaos_say(void *self, InaCall *call, const Test__V1__SayRequest *request)
{
    chaos(self);
    if (rand() % 4 == 0) {
        ina_call_fail(chaos_call, INA_CODE_ABORTED, "later");
        chaos_call = call;
        return;
    }
    part_say(self, call, request);
}

static int chaos_start(void *self, InaComponent *component, InaError *error)
{
    ((Part *)self)->component = component;
    chaos(self);
    return rand() % 10 == 0 ? ina_error_set(error, EIO, "chaos") : 0;
}

static void chaos_stop(void *self)
{
    chaos(self);
    if (chaos_call != NULL && rand() % 2 == 0)
        ina_call_fail(chaos_call, INA_CODE_UNAVAILABLE, "stopping");
    else if (chaos_call != NULL)
        ina_call_reply(chaos_call, NULL);
    chaos_call = NULL;
}

static void *chaos_added(void *self, const InaProvider *provider)
{
    Test__V1__SayRequest request = TEST__V1__SAY_REQUEST__INIT;
    test_v1_echo_say(provider->client, &request, 0, chaos_done, self);
    chaos(self);
    return NULL;
}

static void chaos_removed(void *self, void *provider)
{
    chaos(self);
}

static const TestV1Echo chaos_table = {.say = chaos_say};
static const InaProvided chaos_provides[] = {{.contract = &test_v1_echo_contract, .table = &chaos_table}};
static const InaRequired chaos_wants[][2] = {
    {{.contract = &test_v1_echo_contract, .cardinality = INA_ONE, .offset = offsetof(Part, echo)},
     {.contract = &test_v1_echo_contract, .cardinality = INA_MANY, .added = chaos_added, .removed = chaos_removed}},
    {{.contract = &test_v1_echo_contract,
      .filter = "(color=red)",
      .cardinality = INA_OPTIONAL,
      .offset = offsetof(Part, echo)},
     {.contract = &test_v1_echo_contract,
      .filter = "(!(color=red))",
      .cardinality = INA_MANY,
      .added = chaos_added,
      .removed = chaos_removed}},
};
#define CHAOS(n, wants)                                                                                                \
    {                                                                                                                  \
        .name = n, .size = sizeof(Part), .start = chaos_start, .stop = chaos_stop, .provides = chaos_provides,         \
        .n_provides = 1, .requires = chaos_wants[wants], .n_requires = 2                                               \
    }
static const InaComponentClass chaos_classes[] = {CHAOS("x", 0), CHAOS("y", 1), CHAOS("z", 0)};

static void whatever_components_do_nothing_dangles(void **state)
{
    enum { SETS = 6, STEPS = 3000 };
    Fixture *fixture = *state;
    ComponentSet *sets[SETS] = {NULL};
    unsigned seed = test_seed();
    print_message("seed %u\n", seed);
    srand(seed);
    fixture->framework->hooks.log = NULL;
    for (int step = 0; step < STEPS; step++) {
        ComponentSet **set = &sets[rand() % SETS];
        int action = rand() % 8;
        if (*set == NULL)
            *set = fixture_add(fixture, "chaos", "1", chaos_classes, 1 + (size_t)rand() % 3);
        if (action == 0) {
            components_remove(*set);
            *set = NULL;
        } else if (action == 1) {
            assert_int_equal(components_stop(*set, NULL), 0);
        } else if (action == 2) {
            ComponentHandover *handover;
            assert_ok(components_save(*set, &handover, error));
            fixture_turn(fixture);
            assert_int_equal(components_stop(*set, handover), 0);
            ComponentSet *next = fixture_add(fixture, "chaos", "2", chaos_classes, 1 + (size_t)rand() % 3);
            (void)components_start(next, handover, NULL);
            components_remove(*set);
            *set = next;
            components_handover_free(handover);
        } else if (action < 6) {
            (void)components_start(*set, NULL, NULL);
        } else {
            fixture_turn(fixture);
        }
    }
    for (int i = 0; i < SETS; i++)
        components_remove(sets[i]);
    fixture_drain(fixture);
    FrameworkStatistics statistics;
    framework_statistics(fixture->framework, &statistics);
    assert_int_equal(statistics.services, 0);
    assert_int_equal(statistics.components, 0);
    assert_int_equal(statistics.calls_open, 0);
    assert_int_equal(statistics.calls_waiting, 0);
    print_message("%llu calls, %llu failed\n", (unsigned long long)statistics.calls,
                  (unsigned long long)statistics.calls_failed);
    assert_true(statistics.calls > statistics.calls_failed);
    chaos_call = NULL;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, part_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(whatever_components_do_nothing_dangles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
