/* Components start, stop and are bound as their tables declare. */
#include "core_fixture.h"

#include "base/http_server.h"
#include <errno.h>
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
static int (*in_start)(Part *part); /* done in start, when set */

static int part_start(void *self, InaComponent *component, InaError *error)
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
    in_start = NULL;
    last_part = NULL;
    return fixture_setup(state);
}

static void expect_story(const char *expected)
{
    assert_string_equal(story, expected);
    story[0] = '\0';
}

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

static int answers;

static void said(void *userdata, const Test__V1__SayReply *reply, const InaFailure *failure)
{
    assert_null(failure);
    assert_string_equal(reply->text, "hello");
    answers++;
}

static void say_hello(InaClient *client)
{
    Test__V1__SayRequest request = TEST__V1__SAY_REQUEST__INIT;
    request.text = (char *)"hello";
    answers = 0;
    assert_non_null(test_v1_echo_say(client, &request, 0, said, NULL));
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

static const int plain_table = 5;
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

/* --- resources ------------------------------------------------------------------------ */

static InaTimer *own_timer;

static void tick_and_free(void *userdata)
{
    ticks++;
    own_timer = ina_timer_free(own_timer);
}

static void timers_fire_again_are_put_off_and_may_free_themselves(void **state)
{
    Fixture *fixture = *state;
    ComponentSet *set = START(fixture, "p", providers);
    InaComponent *component = last_part->component;
    ticks = 0;
    InaTimer *timer = ina_timer_new(component, tick, NULL);
    ina_timer_at(timer, 0);
    assert_int_equal(ticks, 0);
    RUN_UNTIL(fixture, ticks == 1);
    uint64_t begin = ina_now();
    ina_timer_after(timer, 3 * INA_MILLISECOND);
    RUN_UNTIL(fixture, ticks == 2);
    assert_true(ina_now() - begin >= 3 * INA_MILLISECOND);
    ina_timer_after(timer, UINT64_MAX);
    ina_timer_idle(timer);
    RUN_UNTIL(fixture, ticks == 3);
    ina_timer_at(timer, 1);
    ina_timer_idle(timer);
    ina_timer_off(timer);
    fixture_drain(fixture);
    assert_int_equal(ticks, 3);
    ina_timer_free(timer);
    own_timer = ina_timer_new(component, tick_and_free, NULL);
    ina_timer_at(own_timer, 1);
    RUN_UNTIL(fixture, ticks == 4);
    assert_null(ina_timer_free(NULL));
    while (ina_timer_new(component, tick, NULL) != NULL)
        continue; /* up to the named maximum */
    components_remove(set);
}

static int ready_events;
static InaWatch *watch;

static void ready(void *userdata, uint32_t events)
{
    ready_events++;
    assert_true((events & EPOLLIN) != 0);
    watch = ina_watch_free(watch);
}

static void a_watch_tells_when_its_descriptor_is_ready(void **state)
{
    Fixture *fixture = *state;
    ComponentSet *set = START(fixture, "p", providers);
    int fd = eventfd(0, EFD_NONBLOCK);
    ready_events = 0;
    watch = ina_watch_new(last_part->component, fd, EPOLLIN, ready, NULL);
    fixture_drain(fixture);
    assert_int_equal(ready_events, 0);
    assert_int_equal(eventfd_write(fd, 1), 0);
    RUN_UNTIL(fixture, ready_events == 1);
    fixture_drain(fixture);
    assert_int_equal(ready_events, 1);
    assert_null(ina_watch_new(last_part->component, -1, EPOLLIN, ready, NULL));
    components_remove(set);
    close(fd);
}

static _Atomic int worked;
static int work_ended, work_cancelled;

static void work(void *userdata)
{
    usleep(1000);
    worked++;
}

static void work_done(void *userdata, bool cancelled)
{
    work_ended++;
    work_cancelled += cancelled;
}

static void work_ends_before_its_component(void **state)
{
    enum { COUNT = 50 };
    Fixture *fixture = *state;
    ComponentSet *set = START(fixture, "p", providers);
    worked = work_ended = work_cancelled = 0;
    assert_int_equal(ina_work(last_part->component, work, work_done, NULL), 0);
    assert_int_equal(work_ended, 0);
    RUN_UNTIL(fixture, work_ended == 1);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(ina_work(last_part->component, work, i % 2 == 0 ? work_done : NULL, NULL), 0);
    components_stop(set, NULL);
    assert_int_equal(work_ended, 1 + COUNT / 2);
    assert_true(worked + work_cancelled <= 1 + COUNT);
    components_remove(set);
}

static void busy(void *userdata)
{
    uint64_t end = ina_now() + 15 * INA_MILLISECOND;
    while (ina_now() < end)
        continue;
}

static void whoever_keeps_the_loop_busy_is_named(void **state)
{
    Fixture *fixture = *state;
    ComponentSet *set = START(fixture, "lazy-bundle", providers);
    FrameworkStatistics statistics;
    framework_statistics(fixture->framework, &statistics);
    uint64_t before = statistics.slow_dispatches;
    InaTimer *timer = ina_timer_new(last_part->component, busy, NULL);
    ina_timer_at(timer, 1);
    RUN_UNTIL(fixture, (framework_statistics(fixture->framework, &statistics), statistics.slow_dispatches > before));
    assert_string_equal(statistics.slow_bundle, "lazy-bundle");
    assert_string_equal(statistics.slow_component, "provider");
    assert_true(statistics.slow_ns >= 15 * INA_MILLISECOND);
    assert_true(statistics.slowest >= statistics.slow_ns);
    assert_true(statistics.slow_at > 0);
    assert_contains(fixture->log, "provider 4 kept the loop busy for ");
    assert_contains(fixture->log, " ms (timer)");
    components_remove(set);
}

static void a_component_knows_who_and_where_it_is(void **state)
{
    Fixture *fixture = *state;
    const ComponentOwner owner = {.id = 7, .name = "bundle", .version = "1.2.3", .folder = "/proc"};
    const InaBundleTable table = {INA_BUNDLE_ABI, providers, 1};
    ComponentSet *set;
    assert_ok(components_add(fixture->framework, &owner, &table, &set, error));
    assert_ok(components_start(set, NULL, error));
    InaComponent *component = last_part->component;
    assert_ptr_equal(ina_self(component), last_part);
    assert_string_equal(ina_component_name(component), "provider");
    assert_string_equal(ina_agent_id(component), "agent-1");
    assert_string_equal(ina_bundle_version(component), "1.2.3");
    char path[64];
    assert_string_equal(ina_bundle_file(component, "self/status", path, sizeof(path)), "/proc/self/status");
    assert_null(ina_bundle_file(component, "no such file", path, sizeof(path)));
    assert_null(ina_bundle_file(component, "self/status", path, 8));
    static const char *const unsafe[] = {"../etc/passwd", "self/../../etc/passwd", "/etc/passwd", "self/..", "", ".."};
    for (size_t i = 0; i < INA_COUNT(unsafe); i++)
        assert_null(ina_bundle_file(component, unsafe[i], path, sizeof(path)));
    ina_log(component, INA_LOG_NOTICE, "%d words", 3);
    assert_contains(fixture->log, "provider 5 3 words\n");
    components_remove(set);
}

/* --- fetching ------------------------------------------------------------------------- */

static int fetched, n_requests;
static InaHttpRequest *unanswered;

static void serve(void *userdata, InaHttpRequest *request)
{
    n_requests++;
    if (strcmp(ina_http_path(request), "/answer") == 0)
        ina_http_respond_text(request, 200, "here");
    else
        unanswered = request;
}

static void on_fetched(void *userdata, const InaHttpResponse *response)
{
    fetched++;
    assert_int_equal(response->status, 200);
    assert_int_equal(response->size, 4);
    ina_component_fail(((Part *)userdata)->component, "inside a callback"); /* waits until it returned */
    assert_non_null(((Part *)userdata)->component);
}

static void fetches_end_with_their_component(void **state)
{
    Fixture *fixture = *state;
    InaError failure;
    HttpServer *server;
    assert_ok(http_server_new(fixture->event, NULL, &server, error));
    assert_ok(http_server_listen(server, "127.0.0.1:0", error));
    assert_ok(http_server_handle(server, "/", serve, NULL, error));
    char answer[128], silence[128];
    snprintf(answer, sizeof(answer), "http://%s/answer", http_server_address(server, 0));
    snprintf(silence, sizeof(silence), "http://%s/silence", http_server_address(server, 0));
    ComponentSet *set = START(fixture, "p", providers);
    InaComponent *component = last_part->component;
    fetched = n_requests = 0;
    const InaHttpFetchOptions options = {.url = answer, .done = on_fetched, .userdata = last_part};
    const InaHttpFetchOptions open = {.url = silence, .done = on_fetched, .userdata = last_part};
    assert_non_null(ina_http_fetch(component, &open, &failure));
    RUN_UNTIL(fixture, unanswered != NULL);
    assert_non_null(ina_http_fetch(component, &options, &failure));
    assert_int_equal(fetched, 0);
    RUN_UNTIL(fixture, fetched == 1);
    RUN_UNTIL(fixture, fixture_state(fixture, "provider") == COMPONENT_FAILED);
    assert_null(ina_http_fetch(component, &options, &failure));
    assert_int_equal(failure.code, ESHUTDOWN);
    ina_http_respond_text(unanswered, 200, "late");
    unanswered = NULL;
    fixture_drain(fixture);
    assert_int_equal(fetched, 1);
    components_remove(set);
    http_server_free(server);
}

/* --- tables -------------------------------------------------------------------------- */

static void refused(Fixture *fixture, const InaComponentClass *classes, size_t count, const char *message)
{
    const ComponentOwner owner = {.name = "b", .version = "1"};
    const InaBundleTable table = {INA_BUNDLE_ABI, classes, count};
    ComponentSet *set = NULL;
    InaError error = {.message = ""};
    if (components_add(fixture->framework, &owner, &table, &set, &error) != -EINVAL)
        fail_msg("should be refused: %s", message);
    assert_null(set);
    assert_string_equal(error.message, message);
}

static void a_table_that_makes_no_sense_is_refused_by_component_and_entry(void **state)
{
    Fixture *fixture = *state;
    const ComponentOwner owner = {.name = "b", .version = "1"};
    ComponentSet *set;
    InaError error;
    assert_int_equal(components_add(fixture->framework, &owner, &(InaBundleTable){.abi = 99}, &set, &error), -EINVAL);
    assert_string_equal(error.message, "the bundle's table is of version 99; this framework needs version 1");

    InaComponentClass class = {.name = "x", .size = sizeof(Part)};
    InaProvided provided = {.contract = &test_v1_echo_contract};
    InaRequired required = {.plain = "p", .offset = sizeof(Part) - 8};
    class.provides = &provided;
    class.n_provides = 1;
    refused(fixture, &class, 1, "component x: provided service test.v1.Echo: its table of functions is missing");
    provided.plain = "too";
    refused(fixture, &class, 1, "component x: a service is either of a contract or plain: give one of the two");
    provided = (InaProvided){.plain = "p", .table = &plain_table, .exported = true};
    refused(fixture, &class, 1, "component x: provided service p: a plain service cannot be exported");
    class.n_provides = 0;
    class.requires = &required;
    class.n_requires = 1;
    refused(fixture, &class, 1, "component x: required service p: there is no such field at offset 56 of 64 bytes");
    required.offset = 0;
    required.cardinality = (InaCardinality)9;
    refused(fixture, &class, 1, "component x: required service p: there is no cardinality 9");
    required.cardinality = INA_ONE;
    required.filter = "(a=b";
    refused(fixture, &class, 1,
            "component x: required service p: filter, position 5: expected ')' behind the value, found the end");
    class.requires = NULL;
    refused(fixture, &class, 1, "component x: a table that has entries is missing");
    class = (InaComponentClass){.name = "white space"};
    refused(fixture, &class, 1,
            "a component's name must be 1 to 64 letters, digits, '.', '_' or '-'; one is \"white space\"");
    class = (InaComponentClass){.name = "x", .size = SIZE_MAX};
    refused(fixture, &class, 1,
            "component x: its struct of 18446744073709551615 bytes is too large, at most 16777216 are allowed");
    const InaComponentClass twins[] = {{.name = "x"}, {.name = "x"}};
    refused(fixture, twins, 2, "the bundle's table has two components x");
}

/* --- what is wanted from elsewhere ------------------------------------------------------ */

static char wishes[1024];
static ServiceEntry *proxy;
static Fixture *wish_fixture;
static const InaContract *wished;

static void proxy_invoke(void *self, InaCall *call, unsigned method, const ProtobufCMessage *request)
{
    say(NULL, call, (const Test__V1__SayRequest *)request);
}

static void wanted(void *userdata, const InaContract *contract, bool want)
{
    size_t length = strlen(wishes);
    snprintf(wishes + length, sizeof(wishes) - length, "%c%s ", want ? '+' : '-', contract->name);
    if (want && proxy == NULL) {
        const ServiceDescription description = {.contract = contract, .invoke = proxy_invoke, .remote = true};
        assert_int_equal(registry_add(wish_fixture->framework, &description, &proxy, NULL), 0);
    } else if (!want) {
        registry_remove(proxy);
        proxy = NULL;
    }
    wished = want ? contract : NULL;
}

static void what_components_want_is_imported_while_they_want_it(void **state)
{
    Fixture *fixture = wish_fixture = *state;
    wishes[0] = '\0';
    proxy = NULL;
    InaContract twin = test_v1_echo_contract; /* the same, in another bundle */
    InaRequired requires_twin[] = {{.contract = &twin, .cardinality = INA_ONE, .offset = offsetof(Part, echo)}};
    const InaComponentClass twins[] = {PART("twin", REQUIRES(requires_twin))};
    framework_set_demand_observer(fixture->framework, wanted, NULL);
    ComponentSet *first = START(fixture, "c", consumers);
    assert_int_equal(fixture_state(fixture, "consumer"), COMPONENT_ACTIVE); /* at its first start */
    ComponentSet *second = START(fixture, "t", twins);
    Part *part = last_part;
    assert_string_equal(wishes, "+test.v1.Echo ");
    components_remove(first); /* its contract goes with it */
    assert_string_equal(wishes, "+test.v1.Echo +test.v1.Echo ");
    assert_ptr_equal(wished, &twin);
    assert_ptr_equal(registry_contract(proxy), &twin);
    say_hello(part->echo);
    RUN_UNTIL(fixture, answers == 1);
    components_remove(second);
    assert_string_equal(wishes, "+test.v1.Echo +test.v1.Echo -test.v1.Echo ");
    assert_null(registry_find(fixture->framework, "test.v1.Echo", NULL));
}

static void an_observer_that_comes_late_hears_what_is_wanted_already(void **state)
{
    Fixture *fixture = wish_fixture = *state;
    wishes[0] = '\0';
    proxy = NULL;
    ComponentSet *set = START(fixture, "c", consumers);
    framework_set_demand_observer(fixture->framework, wanted, NULL);
    assert_string_equal(wishes, "+test.v1.Echo ");
    assert_int_equal(fixture_state(fixture, "consumer"), COMPONENT_ACTIVE);
    components_remove(set);
}

/* --- anything, in any order ---------------------------------------------------------------- */

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
    say(self, call, request);
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
    unsigned seed = (unsigned)ina_now();
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
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, fixture_teardown)
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
        TEST(timers_fire_again_are_put_off_and_may_free_themselves),
        TEST(a_watch_tells_when_its_descriptor_is_ready),
        TEST(work_ends_before_its_component),
        TEST(whoever_keeps_the_loop_busy_is_named),
        TEST(a_component_knows_who_and_where_it_is),
        TEST(fetches_end_with_their_component),
        TEST(a_table_that_makes_no_sense_is_refused_by_component_and_entry),
        TEST(what_components_want_is_imported_while_they_want_it),
        TEST(an_observer_that_comes_late_hears_what_is_wanted_already),
        TEST(whatever_components_do_nothing_dangles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
