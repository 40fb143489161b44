/* The update of components: state and callers go from one version to the next. */
#include "core_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct Counter {
    int64_t count;
} Counter;

static Counter *counter;
static char story[512];
static int save_result, restore_result, start_result;

static void tell(const char *event)
{
    size_t length = strlen(story);
    snprintf(story + length, sizeof(story) - length, "%s%s", length > 0 ? " " : "", event);
}

static void count(void *self, InaCall *call, const Test__V1__SayRequest *request)
{
    Test__V1__SayReply reply = TEST__V1__SAY_REPLY__INIT;
    reply.count = (uint64_t)++((Counter *)self)->count;
    ina_call_reply(call, &reply.base);
}

static int counter_start(void *self, InaComponent *component, InaError *error)
{
    counter = self;
    tell("start");
    return start_result < 0 ? ina_error_set(error, -start_result, "no room") : 0;
}

static void counter_stop(void *self)
{
    tell("stop");
}

static int counter_save(void *self, void **ret_state, size_t *ret_size, InaError *error)
{
    tell("save");
    if (save_result < 0)
        return ina_error_set(error, -save_result, "too busy");
    *ret_state = malloc(sizeof(int64_t));
    memcpy(*ret_state, &((Counter *)self)->count, sizeof(int64_t));
    *ret_size = sizeof(int64_t);
    return 0;
}

static int counter_restore(void *self, const char *version, const void *state, size_t size, InaError *error)
{
    char event[64];
    snprintf(event, sizeof(event), "restore-%s", version);
    tell(event);
    if (restore_result < 0)
        return ina_error_set(error, -restore_result, "that is no state of mine");
    assert_int_equal(size, sizeof(int64_t));
    memcpy(&((Counter *)self)->count, state, size);
    return 0;
}

static const TestV1Echo counter_table = {.count = count};
static const InaProvided provides[] = {{.contract = &test_v1_echo_contract, .table = &counter_table}};
#define COUNTER                                                                                                        \
    .size = sizeof(Counter), .provides = provides, .n_provides = 1, .start = counter_start, .stop = counter_stop,      \
    .save = counter_save, .restore = counter_restore
static const InaComponentClass counters[] = {{.name = "counter", COUNTER}};

typedef struct User {
    InaClient *echo;
} User;

static User *user;
static int user_starts;

static int user_start(void *self, InaComponent *component, InaError *error)
{
    user = self;
    user_starts++;
    return 0;
}

static const InaRequired requires[] = {
    {.contract = &test_v1_echo_contract, .cardinality = INA_ONE, .offset = offsetof(User, echo)}};
static const InaComponentClass users[] = {
    {.name = "user", .size = sizeof(User), .requires = requires, .n_requires = 1, .start = user_start}};

static uint64_t last_count;
static InaCode last_code;

static void counted(void *userdata, const Test__V1__SayReply *reply, const InaFailure *failure)
{
    last_count = reply != NULL ? reply->count : 0;
    last_code = failure != NULL ? failure->code : INA_CODE_OK;
    (*(int *)userdata)++;
}

static int answers;

static void call_count(void)
{
    Test__V1__SayRequest request = TEST__V1__SAY_REQUEST__INIT;
    assert_non_null(test_v1_echo_count(user->echo, &request, 0, counted, &answers));
}

static void count_to(Fixture *fixture, uint64_t expected)
{
    int before = answers;
    call_count();
    RUN_UNTIL(fixture, answers > before);
    assert_int_equal(last_code, INA_CODE_OK);
    assert_int_equal(last_count, expected);
}

static ComponentSet *counter_set, *user_set;

static int setup(void **state)
{
    story[0] = '\0';
    save_result = restore_result = start_result = user_starts = answers = 0;
    fixture_setup(state);
    counter_set = START(*state, "counters", counters);
    user_set = START(*state, "users", users);
    return 0;
}

static int teardown(void **state)
{
    components_remove(user_set);
    components_remove(counter_set);
    return fixture_teardown(state);
}

/* As the bundle life cycle does it; the code is in components.h. */
static int update(Fixture *fixture, const char *version, const InaComponentClass *classes, InaError *why)
{
    ComponentHandover *handover;
    int r = components_save(counter_set, &handover, why);
    if (r < 0)
        return r;
    assert_int_equal(components_stop(counter_set, handover), 0);
    ComponentSet *next = fixture_add(fixture, "counters", version, classes, 1);
    r = components_start(next, handover, why);
    if (r < 0) {
        components_stop(next, handover);
        components_remove(next);
        restore_result = start_result = 0;
        assert_ok(components_start(counter_set, handover, error));
    } else {
        components_remove(counter_set);
        counter_set = next;
    }
    components_handover_free(handover);
    return r;
}

static void state_and_callers_go_to_the_next_version(void **state)
{
    Fixture *fixture = *state;
    count_to(fixture, 1);
    count_to(fixture, 2);
    const InaClient *client = user->echo;
    call_count();
    assert_ok(update(fixture, "2.0.0", counters, error));
    assert_string_equal(story, "start save stop restore-1.0.0 start");
    RUN_UNTIL(fixture, answers == 3);
    assert_int_equal(last_count, 3);
    count_to(fixture, 4);
    assert_int_equal(user_starts, 1);
    assert_ptr_equal(user->echo, client);
    story[0] = '\0';
    assert_ok(update(fixture, "3.0.0", counters, error));
    assert_string_equal(story, "save stop restore-2.0.0 start");
    count_to(fixture, 5);
}

static void a_service_keeps_its_id_over_an_update(void **state)
{
    Fixture *fixture = *state;
    ServiceEntry *entry = registry_find(fixture->framework, "test.v1.Echo", NULL);
    assert_ok(update(fixture, "2.0.0", counters, error));
    assert_ptr_equal(registry_find(fixture->framework, "test.v1.Echo", NULL), entry);
    assert_int_equal(ina_properties_integer(registry_properties(entry), "ina.id", 0), 1);
}

static void when_saving_fails_nothing_happened(void **state)
{
    Fixture *fixture = *state;
    count_to(fixture, 1);
    save_result = -EBUSY;
    call_count();
    InaError failure;
    assert_int_equal(update(fixture, "2.0.0", counters, &failure), -EBUSY);
    assert_string_equal(failure.message, "component counter: saving its state failed: too busy");
    RUN_UNTIL(fixture, answers == 2);
    assert_int_equal(last_count, 2);
    assert_string_equal(story, "start save");
}

static void when_restoring_fails_the_old_version_is_back_with_its_state(void **state)
{
    Fixture *fixture = *state;
    count_to(fixture, 1);
    restore_result = -EPROTO;
    call_count();
    InaError failure;
    assert_true(update(fixture, "2.0.0", counters, &failure) < 0);
    assert_string_equal(failure.message,
                        "component counter: restoring its state of version 1.0.0 failed: that is no state of mine");
    RUN_UNTIL(fixture, answers == 2);
    assert_int_equal(last_count, 2);
    count_to(fixture, 3);
    assert_string_equal(story, "start save stop restore-1.0.0 stop restore-1.0.0 start");
    assert_int_equal(user_starts, 1);
}

static void when_the_new_start_fails_the_old_version_is_back_with_its_state(void **state)
{
    Fixture *fixture = *state;
    count_to(fixture, 1);
    start_result = -ENOSPC;
    InaError failure;
    assert_true(update(fixture, "2.0.0", counters, &failure) < 0);
    assert_string_equal(failure.message, "component counter: start failed: no room");
    count_to(fixture, 2);
    assert_int_equal(user_starts, 1);
}

/* One component of the new version runs, another fails: what the first took over goes back. */
static void a_new_version_that_fails_half_way_gives_back_what_it_took_over(void **state)
{
    static const InaConfig impossible[] = {{.key = "x", .type = INA_TYPE_STRING, .required = true}};
    static const InaComponentClass half[] = {
        {.name = "counter", COUNTER}, {.name = "other", .size = sizeof(char *), .config = impossible, .n_config = 1}};
    Fixture *fixture = *state;
    count_to(fixture, 1);
    ComponentHandover *handover;
    assert_ok(components_save(counter_set, &handover, error));
    components_stop(counter_set, handover);
    ComponentSet *next = fixture_add(fixture, "counters", "2", half, 2);
    call_count();
    InaError failure;
    assert_int_equal(components_start(next, handover, &failure), -EINVAL);
    assert_string_equal(failure.message, "component other: configuration x must be given: it has no default");
    assert_int_equal(fixture_state(fixture, "counter"), COMPONENT_ACTIVE);
    components_stop(next, handover);
    components_remove(next);
    assert_ok(components_start(counter_set, handover, error));
    components_handover_free(handover);
    RUN_UNTIL(fixture, answers == 2);
    assert_int_equal(last_code, INA_CODE_OK);
    assert_int_equal(last_count, 2);
    assert_int_equal(user_starts, 1);
}

static void a_version_without_the_service_takes_it_away(void **state)
{
    static const InaComponentClass empty[] = {{.name = "counter", .size = 1}};
    Fixture *fixture = *state;
    call_count();
    assert_ok(update(fixture, "2.0.0", empty, error));
    assert_int_equal(fixture_state(fixture, "user"), COMPONENT_WAITING);
    assert_null(registry_find(fixture->framework, "test.v1.Echo", NULL));
    assert_int_equal(answers, 0); /* its caller was stopped */
}

typedef struct Dependent {
    Counter counter;
    InaPlain rare;
} Dependent;

static void a_restored_state_waits_until_the_component_can_start(void **state)
{
    static const InaRequired rare_one[] = {
        {.plain = "rare", .cardinality = INA_ONE, .offset = offsetof(Dependent, rare)}};
    static const InaComponentClass larger[] = {{.name = "counter",
                                                .size = sizeof(Dependent),
                                                .provides = provides,
                                                .n_provides = 1,
                                                .requires = rare_one,
                                                .n_requires = 1,
                                                .start = counter_start,
                                                .stop = counter_stop,
                                                .save = counter_save,
                                                .restore = counter_restore}};
    Fixture *fixture = *state;
    count_to(fixture, 1);
    InaError why;
    assert_int_equal(update(fixture, "2.0.0", larger, &why), 0);
    assert_int_equal(fixture_state(fixture, "counter"), COMPONENT_WAITING);
    assert_int_equal(update(fixture, "3.0.0", larger, &why), 0); /* hands it on */
    ServiceEntry *rare;
    const ServiceDescription description = {.plain = "rare", .object = {"", NULL}};
    assert_int_equal(registry_add(fixture->framework, &description, &rare, NULL), 0);
    assert_int_equal(fixture_state(fixture, "counter"), COMPONENT_ACTIVE);
    assert_string_equal(story, "start save stop restore-1.0.0 start");
    count_to(fixture, 2);
    registry_remove(rare);
    assert_int_equal(fixture_state(fixture, "counter"), COMPONENT_WAITING);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(state_and_callers_go_to_the_next_version),
        TEST(a_service_keeps_its_id_over_an_update),
        TEST(when_saving_fails_nothing_happened),
        TEST(when_restoring_fails_the_old_version_is_back_with_its_state),
        TEST(when_the_new_start_fails_the_old_version_is_back_with_its_state),
        TEST(a_new_version_that_fails_half_way_gives_back_what_it_took_over),
        TEST(a_version_without_the_service_takes_it_away),
        TEST(a_restored_state_waits_until_the_component_can_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
