/* test_api_event.c - events of the control plane are counted, combined,
 * thinned out, and end after an hour. */
#include "api_fixture.h"

#include "cluster/api/api_internal.h"

#include <errno.h>

static size_t events(Fixture *fixture)
{
    ApiRequest request = {.verb = API_LIST, .resource = resource_of_key("events"), .namespace = "default"};
    assert_answer(200, submit(fixture, request));
    return json_array_size(json_object_get(fixture->object, "items"));
}

static const json_t *event(Fixture *fixture, size_t index)
{
    return json_array_get(json_object_get(fixture->object, "items"), index);
}

static json_t *made_pod(Fixture *fixture)
{
    assert_answer(201, create(fixture, "pods", "default", simple_pod));
    return json_incref(fixture->object);
}

static void equal_events_are_counted(void **state)
{
    Fixture *fixture = *state;
    AUTO_JSON json_t *pod = made_pod(fixture);
    for (unsigned i = 0; i < 3; i++)
        api_event(fixture->api, pod, "Warning", "FailedScheduling", "scheduler", "0/%d nodes are available.", 5);
    turn(fixture);
    api_event(fixture->api, pod, "Warning", "FailedScheduling", "scheduler", "0/%d nodes are available.", 5);
    turn(fixture);
    assert_int_equal(events(fixture), 1);
    const json_t *one = event(fixture, 0);
    assert_int_equal(kube_integer(one, "count", 0), 4);
    assert_string_equal(kube_string(one, "message"), "0/5 nodes are available.");
    assert_string_equal(kube_string(one, "involvedObject.kind"), "Pod");
    assert_string_equal(kube_string(one, "involvedObject.uid"), kube_uid(pod));
    assert_string_equal(kube_string(one, "source.component"), "scheduler");
    assert_int_equal(strncmp(kube_name(one), "p.", 2), 0);
}

static void many_different_messages_are_combined(void **state)
{
    Fixture *fixture = *state;
    AUTO_JSON json_t *pod = made_pod(fixture);
    for (int i = 0; i < 20; i++) {
        api_event(fixture->api, pod, "Normal", "Changed", "test", "it is %d now", i);
        turn(fixture);
    }
    assert_int_equal(events(fixture), 10);
    bool found = false;
    for (size_t i = 0; i < 10; i++)
        if (strcmp(kube_string(event(fixture, i), "message"), "(combined from similar events): it is 19 now") == 0) {
            found = true;
            assert_int_equal(kube_integer(event(fixture, i), "count", 0), 11);
        }
    assert_true(found);
}

static void a_flood_is_thinned_out(void **state)
{
    Fixture *fixture = *state;
    AUTO_JSON json_t *pod = made_pod(fixture);
    for (int i = 0; i < 1000; i++)
        api_event(fixture->api, pod, "Normal", "Loud", "test", "again");
    turn(fixture);
    assert_int_equal(events(fixture), 1);
    assert_in_range(kube_integer(event(fixture, 0), "count", 0), 25, 26);
    api_event(fixture->api, pod, "Normal", "Loud", "other", "not from this one");
    turn(fixture);
    assert_int_equal(events(fixture), 2);
}

static void events_of_the_cluster_are_in_the_default_namespace(void **state)
{
    Fixture *fixture = *state;
    AUTO_JSON json_t *node = json_of("{'kind':'Node','apiVersion':'v1','metadata':{'name':'n','uid':'u'}}");
    api_event(fixture->api, node, "Normal", "NodeReady", "nodes", "n is ready");
    AUTO_JSON json_t *lost = json_of("{'kind':'Pod','apiVersion':'v1','metadata':{'name':'x','namespace':'gone'}}");
    api_event(fixture->api, lost, "Normal", "Any", "nodes", "nobody reads this");
    turn(fixture);
    assert_int_equal(events(fixture), 1);
    assert_string_equal(kube_string(event(fixture, 0), "involvedObject.name"), "n");
}

static void an_event_that_cannot_be_written_is_dropped(void **state)
{
    Fixture *fixture = *state;
    AUTO_JSON json_t *pod = made_pod(fixture);
    fake_store_fail(fixture->store, ETIMEDOUT, 1);
    api_event(fixture->api, pod, "Normal", "Any", "test", "lost");
    turn(fixture);
    assert_int_equal(events(fixture), 0);
    api_event(fixture->api, pod, "Normal", "Any", "test", "kept");
    fake_store_race(fixture->store, 1);
    api_event(fixture->api, pod, "Normal", "Any", "test", "kept");
    turn(fixture);
    assert_int_equal(events(fixture), 1);
    assert_int_equal(kube_integer(event(fixture, 0), "count", 0), 2);
}

static void old_events_end(void **state)
{
    Fixture *fixture = *state;
    fake_store_put(fixture->store, "events",
                   json_of("{'metadata':{'name':'old','namespace':'default'},'lastTimestamp':'2020-01-01T00:00:00Z'}"));
    AUTO_JSON json_t *pod = made_pod(fixture);
    api_event(fixture->api, pod, "Normal", "Any", "test", "new");
    turn(fixture);
    assert_int_equal(events(fixture), 2);
    api_sweep_events(fixture->api);
    turn(fixture);
    assert_int_equal(events(fixture), 1);
    assert_string_equal(kube_string(event(fixture, 0), "message"), "new");
}

static void an_api_that_ends_forgets_its_events(void **state)
{
    Fixture *fixture = *state;
    AUTO_JSON json_t *pod = made_pod(fixture);
    for (int i = 0; i < 5; i++)
        api_event(fixture->api, pod, "Normal", "Any", "test", "%d", i);
    fixture->api = api_free(fixture->api);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(equal_events_are_counted),
        TEST(many_different_messages_are_combined),
        TEST(a_flood_is_thinned_out),
        TEST(events_of_the_cluster_are_in_the_default_namespace),
        TEST(an_event_that_cannot_be_written_is_dropped),
        TEST(old_events_end),
        TEST(an_api_that_ends_forgets_its_events),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
