/* Components start, stop and are bound as their tables declare. */
#include "part.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* --- requirements ------------------------------------------------------------- */

static void a_component_starts_when_its_requirement_is_met_and_stops_before_it_goes(void **state)
{
    Fixture *fixture = *state;
    ComponentSet *consumer = START(fixture, "c", consumers);
    assert_int_equal(fixture_state(fixture, "consumer"), COMPONENT_WAITING);
    assert_string_equal(fixture_reason(fixture, "consumer"), "waits for test.v1.Echo, which nobody provides");

    ComponentSet *provider = START(fixture, "p", providers);
    assert_int_equal(fixture_state(fixture, "consumer"), COMPONENT_ACTIVE);
    assert_string_equal(fixture_reason(fixture, "consumer"), "");
    assert_non_null(last_part->echo);

    assert_int_equal(components_stop(provider, NULL), 0);
    assert_int_equal(fixture_state(fixture, "consumer"), COMPONENT_WAITING);
    assert_string_equal(fixture_reason(fixture, "consumer"),
                        "waits for test.v1.Echo, to be provided by provider, whose bundle p is not started");
    expect_story("provider:start consumer:start consumer:stop provider:stop");

    assert_ok(components_start(provider, NULL, error));
    assert_int_equal(fixture_state(fixture, "consumer"), COMPONENT_ACTIVE);
    components_remove(provider);
    components_remove(consumer);
}

static const InaProperty ranked[] = {INA_INTEGER("service.ranking", 10), INA_STRING("color", "red")};
static const InaProvided provides_ranked[] = {
    {.contract = &test_v1_echo_contract, .table = &echo_table, .properties = ranked, .n_properties = 2}};
static const InaComponentClass better[] = {PART("better", PROVIDES(provides_ranked))};

static void a_better_provider_takes_over_and_its_loss_is_not_felt(void **state)
{
    Fixture *fixture = *state;
    ComponentSet *provider = START(fixture, "p", providers);
    ComponentSet *consumer = START(fixture, "c", consumers);
    Part *part = last_part;
    InaClient *client = part->echo;
    ComponentSet *best = START(fixture, "b", better);
    expect_story("provider:start consumer:start better:start");
    ServiceInfo info;
    registry_info(registry_find(fixture->framework, "test.v1.Echo", NULL), &info);
    assert_string_equal(info.component, "better");
    assert_string_equal(info.bundle, "b");
    assert_int_equal(info.users, 1);
    assert_ptr_equal(part->echo, client);
    say_hello(client);
    components_remove(best);
    assert_ptr_equal(part->echo, client);
    RUN_UNTIL(fixture, answers == 1); /* it was not handed over yet: it went elsewhere */
    expect_story("better:stop");
    components_remove(consumer);
    components_remove(provider);
}

static const InaRequired requires_red[] = {{.contract = &test_v1_echo_contract,
                                            .filter = "(color=red)",
                                            .cardinality = INA_ONE,
                                            .offset = offsetof(Part, echo)}};
static const InaComponentClass picky[] = {PART("picky", REQUIRES(requires_red))};

static void a_filter_chooses_and_the_reason_names_it(void **state)
{
    Fixture *fixture = *state;
    ComponentSet *provider = START(fixture, "p", providers);
    ComponentSet *consumer = START(fixture, "c", picky);
    assert_string_equal(fixture_reason(fixture, "picky"),
                        "waits for test.v1.Echo with (color=red), which nobody provides");
    ComponentSet *red = START(fixture, "b", better);
    assert_int_equal(fixture_state(fixture, "picky"), COMPONENT_ACTIVE);
    components_remove(red);
    assert_int_equal(fixture_state(fixture, "picky"), COMPONENT_WAITING);
    components_remove(provider);
    components_remove(consumer);
}

static int color_red(Part *part)
{
    return ina_provide_property(part->component, 0, "color", &(InaValue){.type = INA_TYPE_STRING, .string = "red"},
                                NULL);
}

static void properties_set_at_start_and_later_are_seen(void **state)
{
    Fixture *fixture = *state;
    in_start = color_red;
    ComponentSet *provider = START(fixture, "p", providers);
    Part *red = last_part;
    in_start = NULL;
    ComponentSet *consumer = START(fixture, "c", picky);
    assert_int_equal(fixture_state(fixture, "picky"), COMPONENT_ACTIVE);
    assert_ok(ina_provide_property(red->component, 0, "Color", &(InaValue){.type = INA_TYPE_STRING, .string = "blue"},
                                   error));
    RUN_UNTIL(fixture, fixture_state(fixture, "picky") == COMPONENT_WAITING);
    assert_int_equal(color_red(red), 0);
    RUN_UNTIL(fixture, fixture_state(fixture, "picky") == COMPONENT_ACTIVE);
    InaError error;
    assert_int_equal(ina_provide_property(red->component, 1, "x", &(InaValue){0}, &error), -EINVAL);
    components_remove(provider);
    components_remove(consumer);
}

static void a_service_can_be_withdrawn_and_offered_again_without_a_stop(void **state)
{
    Fixture *fixture = *state;
    ComponentSet *provider = START(fixture, "p", providers);
    Part *part = last_part;
    ComponentSet *consumer = START(fixture, "c", consumers);
    ina_provide_enable(part->component, 0, false);
    assert_null(registry_find(fixture->framework, "test.v1.Echo", NULL));
    RUN_UNTIL(fixture, fixture_state(fixture, "consumer") == COMPONENT_WAITING);
    ina_provide_enable(part->component, 0, true);
    ina_provide_enable(part->component, 0, true);
    RUN_UNTIL(fixture, fixture_state(fixture, "consumer") == COMPONENT_ACTIVE);
    expect_story("provider:start consumer:start consumer:stop consumer:start");
    ina_provide_enable(part->component, 0, false); /* removed before it is told */
    components_remove(provider);
    components_remove(consumer);
}

static const InaRequired optional_echo[] = {
    {.contract = &test_v1_echo_contract, .cardinality = INA_OPTIONAL, .offset = offsetof(Part, echo)}};
static const InaComponentClass relaxed[] = {PART("relaxed", REQUIRES(optional_echo))};

static void an_optional_requirement_comes_and_goes_while_the_component_runs(void **state)
{
    Fixture *fixture = *state;
    ComponentSet *consumer = START(fixture, "c", relaxed);
    Part *part = last_part;
    assert_null(part->echo);
    ComponentSet *provider = START(fixture, "p", providers);
    assert_non_null(part->echo);
    components_remove(provider);
    assert_null(part->echo);
    expect_story("relaxed:start provider:start provider:stop");
    components_remove(consumer);
}

static const InaProvided provides_plain[] = {{.plain = "plain", .table = &plain_table}};
static const InaRequired requires_plain[] = {
    {.plain = "plain", .cardinality = INA_ONE, .offset = offsetof(Part, plain)}};
static const InaRequired optional_plain[] = {
    {.plain = "plain", .cardinality = INA_OPTIONAL, .offset = offsetof(Part, plain)}};
static const InaComponentClass plain_providers[] = {PART("plain-1", PROVIDES(provides_plain))};
static const InaComponentClass plain_others[] = {PART("plain-2", PROVIDES(provides_plain))};
static const InaComponentClass plain_consumers[] = {PART("strict", REQUIRES(requires_plain)),
                                                    PART("lenient", REQUIRES(optional_plain))};

static void a_plain_service_is_changed_only_when_it_goes_and_restarts_who_cannot_be_without_it(void **state)
{
    Fixture *fixture = *state;
    ComponentSet *first = START(fixture, "1", plain_providers);
    void *self = last_part;
    ComponentSet *consumer = START(fixture, "c", plain_consumers);
    Part *lenient = last_part;
    assert_ptr_equal(lenient->plain.self, self);
    assert_ptr_equal(lenient->plain.table, &plain_table);
    ComponentSet *second = START(fixture, "2", plain_others);
    void *other = last_part;
    assert_ptr_equal(lenient->plain.self, self);
    expect_story("plain-1:start strict:start lenient:start plain-2:start");
    components_remove(first);
    assert_ptr_equal(lenient->plain.self, other);
    expect_story("strict:stop plain-1:stop strict:start");
    components_remove(second);
    assert_null(lenient->plain.self);
    assert_null(lenient->plain.table);
    expect_story("strict:stop plain-2:stop");
    components_remove(consumer);
}

static void a_plain_service_and_a_contract_of_one_name_are_different(void **state)
{
    static const InaProvided impostor[] = {{.plain = "test.v1.Echo", .table = &plain_table}};
    static const InaComponentClass impostors[] = {PART("impostor", PROVIDES(impostor))};
    Fixture *fixture = *state;
    ComponentSet *set = START(fixture, "i", impostors);
    ComponentSet *consumer = START(fixture, "c", consumers);
    assert_int_equal(fixture_state(fixture, "consumer"), COMPONENT_WAITING);
    components_remove(set);
    components_remove(consumer);
}

/* --- many ----------------------------------------------------------------------- */

static int present;
static InaClient *added_client;
static void (*in_added)(Part *part);

static void *added(void *self, const InaProvider *provider)
{
    Part *part = self;
    present++;
    added_client = provider->client;
    assert_true(ina_properties_integer(provider->properties, "ina.id", 0) > 0);
    assert_string_equal(ina_properties_string(provider->properties, "ina.agent", ""), "agent-1");
    tell(ina_component_name(part->component), "added");
    if (in_added != NULL)
        in_added(part);
    return provider->client;
}

static void removed(void *self, void *provider)
{
    Part *part = self;
    present--;
    assert_non_null(provider);
    tell(ina_component_name(part->component), "removed");
}

static const InaRequired wants_many[] = {
    {.contract = &test_v1_echo_contract, .cardinality = INA_MANY, .added = added, .removed = removed}};
static const InaComponentClass collectors[] = {PART("collector", REQUIRES(wants_many))};

static void many_are_added_after_start_and_removed_before_stop(void **state)
{
    Fixture *fixture = *state;
    present = 0;
    in_added = NULL;
    ComponentSet *first = START(fixture, "p", providers);
    ComponentSet *collector = START(fixture, "c", collectors);
    ComponentSet *second = START(fixture, "b", better);
    assert_int_equal(present, 2);
    expect_story("provider:start collector:start collector:added better:start collector:added");
    say_hello(added_client);
    RUN_UNTIL(fixture, answers == 1);
    components_remove(first);
    assert_int_equal(present, 1);
    components_remove(collector);
    assert_int_equal(present, 0);
    expect_story("collector:removed provider:stop collector:removed collector:stop");
    components_remove(second);
}

static void give_up(Part *part)
{
    ina_component_fail(part->component, "enough of %d", present);
}

static void a_component_may_give_up_inside_a_callback(void **state)
{
    Fixture *fixture = *state;
    present = 0;
    in_added = give_up;
    ComponentSet *first = START(fixture, "p", providers);
    ComponentSet *second = START(fixture, "b", better);
    const ComponentOwner owner = {.name = "c", .version = "1"};
    const InaBundleTable table = {INA_BUNDLE_ABI, collectors, 1};
    ComponentSet *collector;
    assert_ok(components_add(fixture->framework, &owner, &table, &collector, error));
    InaError error;
    assert_true(components_start(collector, NULL, &error) < 0);
    assert_contains(error.message, "component collector: enough of 1");
    assert_int_equal(present, 0);
    expect_story("provider:start better:start collector:start collector:added collector:added collector:removed "
                 "collector:removed collector:stop");
    in_added = NULL;
    RUN_UNTIL(fixture, fixture_state(fixture, "collector") == COMPONENT_ACTIVE);
    assert_int_equal(present, 2);
    components_remove(first);
    components_remove(second);
    components_remove(collector);
}

/* --- rows and circles -------------------------------------------------------------- */

#define PLAIN(var, n) static const InaProvided var[] = {{.plain = n, .table = &plain_table}}
#define NEEDS(var, n)                                                                                                  \
    static const InaRequired var[] = {{.plain = n, .cardinality = INA_ONE, .offset = offsetof(Part, plain)}}
PLAIN(provides_a, "A");
PLAIN(provides_b, "B");
PLAIN(provides_c, "C");
NEEDS(needs_a, "A");
NEEDS(needs_b, "B");
NEEDS(needs_c, "C");

static void a_row_of_components_starts_from_its_foot_and_stops_from_its_head(void **state)
{
    static const InaComponentClass row[] = {PART("c", REQUIRES(needs_b)),
                                            PART("b", REQUIRES(needs_a), PROVIDES(provides_b))};
    static const InaComponentClass foot[] = {PART("a", PROVIDES(provides_a))};
    Fixture *fixture = *state;
    ComponentSet *upper = START(fixture, "row", row);
    assert_string_equal(fixture_reason(fixture, "c"),
                        "waits for B, to be provided by b, which waits for A, which nobody provides");
    ComponentSet *lower = START(fixture, "foot", foot);
    expect_story("a:start b:start c:start");
    components_stop(lower, NULL);
    expect_story("c:stop b:stop a:stop");
    components_remove(lower);
    components_remove(upper);
}

static void a_cycle_of_mandatory_requirements_is_reported(void **state)
{
    static const InaComponentClass ring[] = {PART("a", REQUIRES(needs_c), PROVIDES(provides_a)),
                                             PART("b", REQUIRES(needs_a), PROVIDES(provides_b)),
                                             PART("c", REQUIRES(needs_b), PROVIDES(provides_c))};
    static const InaComponentClass self[] = {PART("self", REQUIRES(needs_a), PROVIDES(provides_a))};
    Fixture *fixture = *state;
    ComponentSet *set = START(fixture, "ring", ring);
    assert_int_equal(fixture_state(fixture, "a"), COMPONENT_WAITING);
    assert_string_equal(fixture_reason(fixture, "a"),
                        "waits for C, to be provided by c, which waits for B, to be provided by b, which waits for A, "
                        "to be provided by a: a cycle of mandatory requirements; make one of them optional");
    components_remove(set);
    set = START(fixture, "self", self);
    assert_string_equal(fixture_reason(fixture, "self"),
                        "waits for A, to be provided by self: a cycle of mandatory requirements; make one of them "
                        "optional");
    components_remove(set);
    expect_story("");
}

static void components_that_want_each_other_optionally_stop_without_harm(void **state)
{
    static const InaRequired maybe_b[] = {{.plain = "B", .cardinality = INA_OPTIONAL, .offset = offsetof(Part, plain)}};
    static const InaComponentClass pair[] = {PART("a", REQUIRES(maybe_b), PROVIDES(provides_a)),
                                             PART("b", REQUIRES(needs_a), PROVIDES(provides_b))};
    Fixture *fixture = *state;
    ComponentSet *set = START(fixture, "pair", pair);
    expect_story("a:start b:start");
    components_stop(set, NULL);
    expect_story("b:stop a:stop");
    assert_ok(components_start(set, NULL, error));
    expect_story("a:start b:start");
    components_remove(set);
}

static void *hide(void *self, const InaProvider *provider)
{
    ina_provide_enable(((Part *)self)->component, 0, false);
    return self;
}

static void show(void *self, void *provider)
{
    ina_provide_enable(((Part *)self)->component, 0, true);
}

static void components_that_chase_each_other_are_stopped(void **state)
{
    static const InaRequired shy[] = {{.plain = "B", .cardinality = INA_MANY, .added = hide, .removed = show}};
    static const InaComponentClass pair[] = {PART("a", REQUIRES(shy), PROVIDES(provides_a)),
                                             PART("b", REQUIRES(needs_a), PROVIDES(provides_b))};
    Fixture *fixture = *state;
    ComponentSet *set = fixture_add(fixture, "pair", "1", pair, 2);
    InaError failure;
    assert_true(components_start(set, NULL, &failure) < 0);
    assert_contains(failure.message, "component b: it was started 100 times within a second");
    assert_int_equal(fixture_state(fixture, "a"), COMPONENT_ACTIVE);
    assert_int_equal(fixture_state(fixture, "b"), COMPONENT_FAILED);
    components_remove(set);
}

/* --- failing ------------------------------------------------------------------------ */

static int ticks;

static void tick(void *userdata)
{
    ticks++;
}

static int watched;

static int register_all(Part *part)
{
    InaTimer *timer = ina_timer_new(part->component, tick, part);
    ina_timer_after(timer, 1);
    ina_timer_idle(timer);
    watched = eventfd(1, 0);
    assert_non_null(ina_watch_new(part->component, watched, EPOLLIN, NULL, NULL));
    return 0;
}

static void what_a_component_registered_is_gone_after_its_failed_start(void **state)
{
    Fixture *fixture = *state;
    ComponentSet *set = fixture_add(fixture, "p", "1", providers, 1);
    ComponentSet *consumer = START(fixture, "c", consumers);
    start_result = -ENOSPC;
    in_start = register_all;
    ticks = 0;
    InaError error;
    assert_true(components_start(set, NULL, &error) < 0);
    close(watched);
    assert_string_equal(error.message, "component provider: start failed: no luck today");
    assert_contains(fixture->log, "provider 3 start failed: no luck today");
    assert_int_equal(fixture_state(fixture, "provider"), COMPONENT_FAILED);
    assert_contains(fixture_reason(fixture, "provider"), "start failed: no luck today; failure 1, tried again in ");
    assert_contains(fixture_reason(fixture, "consumer"), "which failed: start failed: no luck today");
    assert_null(registry_find(fixture->framework, "test.v1.Echo", NULL));
    expect_story("provider:start provider:stop");
    fixture_drain(fixture);
    assert_int_equal(ticks, 0);

    start_result = 0;
    in_start = NULL;
    RUN_UNTIL(fixture, fixture_state(fixture, "consumer") == COMPONENT_ACTIVE);
    expect_story("provider:start consumer:start");
    components_remove(set);
    components_remove(consumer);
}

static void a_component_that_gives_up_is_stopped_with_its_users_and_started_again(void **state)
{
    Fixture *fixture = *state;
    ComponentSet *provider = START(fixture, "p", providers);
    Part *part = last_part;
    ComponentSet *consumer = START(fixture, "c", consumers);
    ina_component_fail(part->component, "the disk is %s", "gone");
    ina_component_fail(part->component, "a second word is not heard");
    assert_int_equal(fixture_state(fixture, "provider"), COMPONENT_ACTIVE);
    RUN_UNTIL(fixture, fixture_state(fixture, "provider") == COMPONENT_FAILED);
    assert_contains(fixture_reason(fixture, "provider"), "the disk is gone; failure 1, tried again in ");
    assert_int_equal(fixture_state(fixture, "consumer"), COMPONENT_WAITING);
    RUN_UNTIL(fixture, fixture_state(fixture, "consumer") == COMPONENT_ACTIVE);
    expect_story("provider:start consumer:start consumer:stop provider:stop provider:start consumer:start");
    components_remove(provider);
    components_remove(consumer);
}

static void a_component_that_fails_is_not_tried_after_its_bundle_stopped(void **state)
{
    Fixture *fixture = *state;
    ComponentSet *set = START(fixture, "p", providers);
    ina_component_fail(last_part->component, "x");
    RUN_UNTIL(fixture, fixture_state(fixture, "provider") == COMPONENT_FAILED);
    components_stop(set, NULL);
    assert_int_equal(fixture_state(fixture, "provider"), COMPONENT_STOPPED);
    assert_string_equal(fixture_reason(fixture, "provider"), "its bundle is not started");
    expect_story("provider:start provider:stop");
    components_remove(set);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, part_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_component_starts_when_its_requirement_is_met_and_stops_before_it_goes),
        TEST(a_better_provider_takes_over_and_its_loss_is_not_felt),
        TEST(a_filter_chooses_and_the_reason_names_it),
        TEST(properties_set_at_start_and_later_are_seen),
        TEST(a_service_can_be_withdrawn_and_offered_again_without_a_stop),
        TEST(an_optional_requirement_comes_and_goes_while_the_component_runs),
        TEST(a_plain_service_is_changed_only_when_it_goes_and_restarts_who_cannot_be_without_it),
        TEST(a_plain_service_and_a_contract_of_one_name_are_different),
        TEST(many_are_added_after_start_and_removed_before_stop),
        TEST(a_component_may_give_up_inside_a_callback),
        TEST(a_row_of_components_starts_from_its_foot_and_stops_from_its_head),
        TEST(a_cycle_of_mandatory_requirements_is_reported),
        TEST(components_that_want_each_other_optionally_stop_without_harm),
        TEST(components_that_chase_each_other_are_stopped),
        TEST(what_a_component_registered_is_gone_after_its_failed_start),
        TEST(a_component_that_gives_up_is_stopped_with_its_users_and_started_again),
        TEST(a_component_that_fails_is_not_tried_after_its_bundle_stopped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
