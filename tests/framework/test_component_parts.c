/* What components have: timers, watches, work, fetches, and what they may declare and want. */
#include "part.h"

#include "base/http_server.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

static int ticks;

static void tick(void *userdata)
{
    ticks++;
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

static void on_untrusted(void *userdata, const InaHttpResponse *response)
{
    fetched++;
    assert_int_equal(response->status, 0);
    assert_non_null(strstr(response->error.message, (const char *)userdata));
}

static void who_is_trusted_is_said_before_the_first_fetch(void **state)
{
    Fixture *fixture = *state;
    InaError failure;
    HttpServer *server;
    assert_ok(http_server_new(fixture->event, NULL, &server, error));
    assert_ok(http_server_listen(server, "127.0.0.1:0", error));
    char url[128];
    snprintf(url, sizeof(url), "https://%s/answer", http_server_address(server, 0));
    ComponentSet *set = START(fixture, "p", providers);
    InaComponent *component = last_part->component;
    fetched = 0;
    assert_ok(ina_http_trust(component, "/nowhere/ca.pem", NULL, error));
    const InaHttpFetchOptions options = {.url = url, .done = on_untrusted, .userdata = "/nowhere/ca.pem"};
    assert_non_null(ina_http_fetch(component, &options, &failure));
    RUN_UNTIL(fixture, fetched == 1);
    assert_int_equal(ina_http_trust(component, "/nowhere/ca.pem", NULL, &failure), -EBUSY);
    components_stop(set, NULL);
    assert_ok(components_start(set, NULL, error));
    component = last_part->component;
    const InaHttpFetchOptions nobody = {.url = url, .done = on_untrusted, .userdata = "no authority is trusted"};
    assert_non_null(ina_http_fetch(component, &nobody, &failure));
    RUN_UNTIL(fixture, fetched == 2);
    components_stop(set, NULL);
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
    part_say(NULL, call, (const Test__V1__SayRequest *)request);
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

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, part_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(timers_fire_again_are_put_off_and_may_free_themselves),
        TEST(a_watch_tells_when_its_descriptor_is_ready),
        TEST(work_ends_before_its_component),
        TEST(whoever_keeps_the_loop_busy_is_named),
        TEST(a_component_knows_who_and_where_it_is),
        TEST(fetches_end_with_their_component),
        TEST(who_is_trusted_is_said_before_the_first_fetch),
        TEST(a_table_that_makes_no_sense_is_refused_by_component_and_entry),
        TEST(what_components_want_is_imported_while_they_want_it),
        TEST(an_observer_that_comes_late_hears_what_is_wanted_already),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
