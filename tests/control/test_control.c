/* The controllers together, on a stepped clock, against an API in memory whose
 * writes, answers and events come in random order and fail at random. */
#include "world.h"

#include "base/cleanup.h"
#include "tests/seed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- tests ---------------------------------------------------------------------------------- */

static void test_replicas_are_made_placed_counted_and_scaled(void **state)
{
    World *world = *state;
    world_put_rc(world, "rc", 10);
    world_pass(world, 3000);
    for (unsigned i = 0; i < NODES; i++) {
        char name[16];
        snprintf(name, sizeof name, "node-%u", i);
        assert_int_equal(world_on_node(world, name), 2);
    }
    const json_t *rc = world_get(world, RESOURCE_RCS, "default", "rc");
    assert_int_equal(kube_integer(rc, "status.readyReplicas", -1), 10);
    assert_int_equal(world->most, 10);
    assert_int_equal(fake_api_events(world->api, "SuccessfulCreate"), 10);
    assert_int_equal(fake_api_events(world->api, "Scheduled"), 10);
    world_put_rc(world, "rc", 3);
    world_pass(world, 3000);
    assert_int_equal(world_active(world), 3);
    assert_int_equal(fake_api_events(world->api, "SuccessfulDelete"), 7);
    fake_api_remove(world->api, RESOURCE_RCS, "default", "rc");
    world_end(world);
}

static void test_every_node_gets_a_range_of_its_own(void **state)
{
    World *world = *state;
    world_pass(world, 2000);
    for (unsigned i = 0; i < NODES; i++)
        for (unsigned k = 0; k < i; k++) {
            char one[16], other[16];
            snprintf(one, sizeof one, "node-%u", i);
            snprintf(other, sizeof other, "node-%u", k);
            const char *range = kube_string(world_get(world, RESOURCE_NODES, "", one), "spec.podCIDR");
            assert_int_equal(strncmp(range, "127.1.", 6), 0);
            assert_string_not_equal(range, kube_string(world_get(world, RESOURCE_NODES, "", other), "spec.podCIDR"));
        }
    world_end(world);
}

static void test_pods_of_a_silent_node_are_replaced_and_the_node_returns(void **state)
{
    World *world = *state;
    world_put_rc(world, "rc", 5);
    world_pass(world, 5000);
    assert_int_equal(world_on_node(world, "node-2"), 1);
    world->silent[2] = true;
    world_pass(world, 4500);
    assert_int_equal(world_on_node(world, "node-2"), 0);
    assert_int_equal(world_active(world), 5);
    const json_t *rc = world_get(world, RESOURCE_RCS, "default", "rc");
    assert_int_equal(kube_integer(rc, "status.readyReplicas", -1), 5);
    const json_t *node = world_get(world, RESOURCE_NODES, "", "node-2");
    assert_string_equal(kube_string(kube_condition(node, "Ready"), "status"), "Unknown");
    assert_int_equal(json_array_size(kube_get(node, "spec.taints")), 2);
    assert_int_equal(fake_api_events(world->api, "NodeNotReady"), 1);
    world->silent[2] = false;
    world_pass(world, 3000);
    node = world_get(world, RESOURCE_NODES, "", "node-2");
    assert_true(kube_condition_true(node, "Ready"));
    assert_null(kube_get(node, "spec.taints"));
    assert_int_equal(fake_api_events(world->api, "NodeReady"), 1);
    world_put_rc(world, "rc", 6);
    world_pass(world, 2000);
    assert_int_equal(world_on_node(world, "node-2"), 1);
    world_end(world);
}

/* A node that was frozen looks at its own object first, and corrects it, before its lease is renewed. */
static void test_the_return_of_a_node_is_told_also_when_it_says_so_itself(void **state)
{
    World *world = *state;
    world_pass(world, 3000);
    world->silent[2] = true;
    world_pass(world, 5000);
    assert_int_equal(fake_api_events(world->api, "NodeNotReady"), 1);
    assert_int_equal(fake_api_events(world->api, "NodeReady"), 0);
    json_t *node = json_deep_copy(world_get(world, RESOURCE_NODES, "", "node-2"));
    kube_set_condition(node, "Ready", "True", "KubeletReady", "kubelet is posting ready status", 0);
    world->silent[2] = false;
    fake_api_put(world->api, RESOURCE_NODES, node);
    world_pass(world, 5000);
    assert_int_equal(fake_api_events(world->api, "NodeReady"), 1);
    world_end(world);
}

static void test_nothing_is_replaced_when_etcd_stalls_or_most_nodes_fall_silent(void **state)
{
    World *world = *state;
    world_put_rc(world, "rc", 10);
    world_pass(world, 5000);
    fake_api_connected(world->api, false, 0);
    for (unsigned i = 0; i < NODES; i++)
        world->silent[i] = true;
    world_pass(world, 20000);
    fake_api_connected(world->api, true, world->now);
    for (unsigned i = 0; i < NODES; i++)
        world->silent[i] = false;
    world_pass(world, 10000);
    assert_int_equal(fake_api_events(world->api, "SuccessfulCreate"), 10);
    assert_int_equal(fake_api_events(world->api, "NodeNotReady"), 0);
    for (unsigned i = 0; i < 3; i++)
        world->silent[i] = true;
    world_pass(world, 20000);
    assert_int_equal(fake_api_events(world->api, "SuccessfulCreate"), 10);
    assert_int_equal(fake_api_events(world->api, "PartialDisruption"), 3);
    for (unsigned i = 0; i < 3; i++)
        world->silent[i] = false;
    world_pass(world, 10000);
    assert_int_equal(fake_api_events(world->api, "SuccessfulCreate"), 10);
    assert_int_equal(fake_api_events(world->api, "NodeReady"), 3);
    world_end(world);
}

static void test_a_restart_of_the_controllers_replaces_nothing(void **state)
{
    World *world = *state;
    world_put_rc(world, "rc", 10);
    world_pass(world, 5000);
    for (unsigned i = 0; i < 5; i++) {
        world_end(world);
        world->now += 30000 * MS;
        world_start(world);
        world_pass(world, 6000);
    }
    assert_int_equal(fake_api_events(world->api, "SuccessfulCreate"), 10);
    assert_int_equal(world_active(world), 10);
    world_end(world);
}

static void test_pods_of_a_removed_node_go_at_once(void **state)
{
    World *world = *state;
    world_put_rc(world, "rc", 5);
    world_pass(world, 5000);
    fake_api_remove(world->api, RESOURCE_NODES, "", "node-1");
    world->silent[1] = true;
    world_pass(world, 1000);
    assert_int_equal(world_on_node(world, "node-1"), 0);
    assert_int_equal(world_active(world), 5);
    world_end(world);
}

static void test_a_pod_without_room_is_placed_when_there_is_some(void **state)
{
    World *world = *state;
    fake_api_put(world->api, RESOURCE_PODS,
                 object_of("{'metadata': {'name': 'picky', 'namespace': 'default'}, 'spec': {'nodeSelector': {'disk': "
                           "'fast'}}, 'status': {'phase': 'Pending'}}"));
    world_pass(world, 2000);
    const json_t *pod = world_get(world, RESOURCE_PODS, "default", "picky");
    assert_string_equal(kube_string(kube_condition(pod, "PodScheduled"), "message"),
                        "0/5 nodes are available: 5 node(s) didn't match Pod's node affinity.");
    assert_int_equal(fake_api_events(world->api, "FailedScheduling"), 1);
    json_t *node = json_deep_copy(world_get(world, RESOURCE_NODES, "", "node-3"));
    kube_set(node, "metadata.labels", object_of("{'disk': 'fast'}"));
    fake_api_put(world->api, RESOURCE_NODES, node);
    world_pass(world, 200);
    assert_string_equal(kube_string(world_get(world, RESOURCE_PODS, "default", "picky"), "spec.nodeName"), "node-3");
    world_end(world);
}

static void put_service(World *world)
{
    fake_api_put(
        world->api, RESOURCE_SERVICES,
        object_of("{'apiVersion': 'v1', 'kind': 'Service', 'metadata': {'name': 'web', 'namespace': 'default'}, "
                  "'spec': {'selector': {'app': 'rc'}, 'ports': [{'port': 80}]}}"));
}

static size_t ready_addresses(World *world)
{
    const json_t *subsets = kube_get(world_get(world, RESOURCE_ENDPOINTS, "default", "web"), "subsets");
    return json_array_size(kube_get(json_array_get(subsets, 0), "addresses"));
}

static void test_endpoints_follow_pods_and_services(void **state)
{
    World *world = *state;
    put_service(world);
    world_put_rc(world, "rc", 4);
    world_pass(world, 2000);
    assert_int_equal(ready_addresses(world), 4);
    int64_t revision = kube_revision(world_get(world, RESOURCE_ENDPOINTS, "default", "web"));
    world_pass(world, 2000);
    assert_int_equal(kube_revision(world_get(world, RESOURCE_ENDPOINTS, "default", "web")), revision);
    world_put_rc(world, "rc", 1);
    world_pass(world, 2000);
    assert_int_equal(ready_addresses(world), 1);
    fake_api_remove(world->api, RESOURCE_SERVICES, "default", "web");
    world_pass(world, 500);
    assert_null(world_get(world, RESOURCE_ENDPOINTS, "default", "web"));
    world_end(world);
}

static void test_pods_go_with_their_controller_unless_they_are_orphaned(void **state)
{
    World *world = *state;
    world_put_rc(world, "rc", 3);
    world_pass(world, 2000);
    json_t *rc = json_deep_copy(world_get(world, RESOURCE_RCS, "default", "rc"));
    kube_set(rc, "metadata.deletionTimestamp", json_string(T0));
    kube_set(rc, "metadata.finalizers", object_of("['orphan']"));
    fake_api_put(world->api, RESOURCE_RCS, rc);
    world_pass(world, 2000);
    assert_null(world_get(world, RESOURCE_RCS, "default", "rc"));
    Pods pods = {0};
    store_each(api_store(world->api), RESOURCE_PODS, NULL, world_collect, &pods);
    assert_int_equal(pods.count, 3);
    for (size_t i = 0; i < pods.count; i++) {
        assert_null(kube_get(pods.list[i], "metadata.ownerReferences"));
        json_decref(pods.list[i]);
    }
    /* Adopted again by one of the same selector, and then gone with it. */
    world_put_rc(world, "rc", 3);
    world_pass(world, 2000);
    assert_int_equal(world_active(world), 3);
    assert_int_equal(fake_api_events(world->api, "SuccessfulCreate"), 3);
    fake_api_remove(world->api, RESOURCE_RCS, "default", "rc");
    world_pass(world, 2000);
    assert_int_equal(world_active(world), 0);
    world_end(world);
}

static void test_foreground_deletion_ends_with_the_last_dependent(void **state)
{
    World *world = *state;
    world_put_rc(world, "rc", 3);
    world_pass(world, 2000);
    for (unsigned i = 0; i < NODES; i++)
        world->silent[i] = true; /* their pods do not end yet */
    json_t *rc = json_deep_copy(world_get(world, RESOURCE_RCS, "default", "rc"));
    kube_set(rc, "metadata.deletionTimestamp", json_string(T0));
    kube_set(rc, "metadata.finalizers", object_of("['foregroundDeletion']"));
    fake_api_put(world->api, RESOURCE_RCS, rc);
    world_pass(world, 1000);
    assert_int_equal(world_active(world), 0);
    assert_non_null(world_get(world, RESOURCE_RCS, "default", "rc"));
    memset(world->silent, 0, sizeof world->silent);
    world_pass(world, 1000);
    assert_null(world_get(world, RESOURCE_RCS, "default", "rc"));
    world_end(world);
}

static void test_a_namespace_is_furnished_emptied_and_removed(void **state)
{
    World *world = *state;
    fake_api_put(world->api, RESOURCE_NAMESPACES,
                 object_of("{'apiVersion': 'v1', 'kind': 'Namespace', 'metadata': {'name': 'default'}}"));
    world_pass(world, 200);
    assert_non_null(world_get(world, RESOURCE_ACCOUNTS, "default", "default"));
    fake_api_remove(world->api, RESOURCE_ACCOUNTS, "default", "default");
    world_pass(world, 200);
    assert_non_null(world_get(world, RESOURCE_ACCOUNTS, "default", "default"));
    put_service(world);
    world_put_rc(world, "rc", 3);
    world_pass(world, 2000);
    json_t *namespace = json_deep_copy(world_get(world, RESOURCE_NAMESPACES, "", "default"));
    kube_set(namespace, "metadata.deletionTimestamp", json_string(T0));
    fake_api_put(world->api, RESOURCE_NAMESPACES, namespace);
    world_pass(world, 5000);
    assert_null(world_get(world, RESOURCE_NAMESPACES, "", "default"));
    assert_null(world_get(world, RESOURCE_SERVICES, "default", "web"));
    assert_null(world_get(world, RESOURCE_RCS, "default", "rc"));
    assert_int_equal(world_active(world), 0);
    world_end(world);
}

static void test_random_deaths_conflicts_and_silences_end_in_the_wanted_state(void **state)
{
    (void)state;
    unsigned seed = test_seed();
    const char *fixed = getenv("INAETICS_TEST_SEED");
    if (fixed)
        seed = (unsigned)strtoul(fixed, NULL, 10);
    print_message("seed %u (INAETICS_TEST_SEED)\n", seed);
    srandom(seed);
    for (unsigned round = 0; round < 8; round++) {
        void *inner;
        world_set_up(&inner);
        World *world = inner;
        bool faults = round % 2;
        unsigned replicas = 0, largest = 0;
        fake_api_failures(world->api, faults ? 200 : 0);
        for (unsigned step = 0; step < 120; step++) {
            unsigned what = (unsigned)random() % 10;
            if (what == 0 || replicas == 0) {
                replicas = 1 + (unsigned)random() % 12;
                largest = replicas > largest ? replicas : largest;
                world_put_rc(world, "rc", replicas);
            } else if (what < 5) {
                Pods pods = {0};
                store_each(api_store(world->api), RESOURCE_PODS, NULL, world_collect, &pods);
                if (pods.count > 0) {
                    const json_t *pod = pods.list[(size_t)random() % pods.count];
                    fake_api_remove(world->api, RESOURCE_PODS, "default", kube_name(pod));
                }
                for (size_t i = 0; i < pods.count; i++)
                    json_decref(pods.list[i]);
            } else if (what == 5) {
                world->silent[random() % NODES] ^= true;
            } else if (what == 6 && faults) {
                world_end(world);
                world_start(world);
            }
            world_pass(world, 10 * (1 + (unsigned)random() % 60));
            /* Without failures, nobody ever sees more than was asked for. */
            if (!faults && world->most > largest)
                fail_msg("round %u: %zu pods of at most %u", round, world->most, largest);
        }
        fake_api_failures(world->api, 0);
        memset(world->silent, 0, sizeof world->silent);
        world_pass(world, 40000);
        const json_t *rc = world_get(world, RESOURCE_RCS, "default", "rc");
        if (world_active(world) != replicas || kube_integer(rc, "status.readyReplicas", 0) != replicas)
            fail_msg("round %u: %zu pods, %lld ready, of %u", round, world_active(world),
                     (long long)kube_integer(rc, "status.readyReplicas", 0), replicas);
        world_end(world);
        world_tear_down(&inner);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, world_set_up, world_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(replicas_are_made_placed_counted_and_scaled),
        TEST(every_node_gets_a_range_of_its_own),
        TEST(pods_of_a_silent_node_are_replaced_and_the_node_returns),
        TEST(the_return_of_a_node_is_told_also_when_it_says_so_itself),
        TEST(nothing_is_replaced_when_etcd_stalls_or_most_nodes_fall_silent),
        TEST(a_restart_of_the_controllers_replaces_nothing),
        TEST(pods_of_a_removed_node_go_at_once),
        TEST(a_pod_without_room_is_placed_when_there_is_some),
        TEST(endpoints_follow_pods_and_services),
        TEST(pods_go_with_their_controller_unless_they_are_orphaned),
        TEST(foreground_deletion_ends_with_the_last_dependent),
        TEST(a_namespace_is_furnished_emptied_and_removed),
        cmocka_unit_test(test_random_deaths_conflicts_and_silences_end_in_the_wanted_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
