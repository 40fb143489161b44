/* Silence of nodes, on a stepped clock: one node, many together, stalls of our own. */
#include "cluster/control/node_life.h"
#include "cluster/control/node_plan.h"
#include "objects.h"

#include "base/cleanup.h"
#include "tests/seed.h"

#include <stdio.h>
#include <string.h>

#define MS UINT64_C(1000000)
#define SILENCE (3000 * MS)
#define NODES 7

typedef struct World {
    NodeLife *life;
    uint64_t now, due, healthy_since;
    bool renews[NODES];
    uint64_t renewed[NODES];
    NodeVerdict verdicts[NODES]; /* as told */
    unsigned evicted;            /* verdicts SILENT told */
} World;

static char *name_of(unsigned i, char name[8])
{
    snprintf(name, 8, "n%u", i);
    return name;
}

static int set_up(void **state)
{
    World *world = calloc(1, sizeof *world);
    world->now = 1000 * MS;
    world->healthy_since = 1;
    world->life = node_life_new(SILENCE, world->now);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    World *world = *state;
    node_life_free(world->life);
    free(world);
    return 0;
}

static void add(World *world, unsigned count)
{
    char name[8];
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(node_life_add(world->life, name_of(i, name), false, world->now), 0);
        world->renews[i] = true;
        /* At different moments, as it is. */
        world->renewed[i] = world->now - i * 130 * MS;
    }
}

static void on_verdict(void *userdata, const char *node, NodeVerdict verdict)
{
    World *world = userdata;
    world->verdicts[node[1] - '0'] = verdict;
    world->evicted += verdict == NODE_SILENT;
}

/* Time passes; nodes renew each second. */
static void pass(World *world, unsigned milliseconds)
{
    char name[8];
    for (unsigned i = 0; i < milliseconds; i += 10) {
        world->now += 10 * MS;
        for (unsigned k = 0; k < NODES; k++)
            if (world->renews[k] && world->now - world->renewed[k] >= 1000 * MS) {
                node_life_renewed(world->life, name_of(k, name), world->now);
                world->renewed[k] = world->now;
            }
        if (world->now >= world->due)
            world->due = node_life_step(world->life, world->healthy_since, world->now, on_verdict, world);
    }
}

static void test_a_silent_node_is_given_up_after_three_seconds_and_returns(void **state)
{
    World *world = *state;
    add(world, 5);
    pass(world, 5000);
    assert_int_equal(world->verdicts[0], NODE_ALIVE);
    world->renews[0] = false;
    pass(world, 2000);
    assert_int_equal(world->evicted, 0);
    pass(world, 1100);
    assert_int_equal(world->verdicts[0], NODE_SILENT);
    assert_int_equal(world->evicted, 1);
    world->renews[0] = true;
    pass(world, 300);
    assert_int_equal(node_life_verdict(world->life, "n0"), NODE_ALIVE);
}

static void test_two_of_five_together_are_given_up(void **state)
{
    World *world = *state;
    add(world, 5);
    pass(world, 5000);
    world->renews[1] = world->renews[3] = false;
    pass(world, 3200);
    assert_int_equal(world->evicted, 2);
    /* And later a further one, which is not more than half of the three that are left. */
    world->renews[0] = false;
    pass(world, 3200);
    assert_int_equal(world->evicted, 3);
}

static void test_more_than_half_together_are_held_until_one_returns(void **state)
{
    World *world = *state;
    add(world, 5);
    pass(world, 5000);
    for (unsigned i = 0; i < 3; i++)
        world->renews[i] = false;
    pass(world, 60000);
    assert_int_equal(world->evicted, 0);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(world->verdicts[i], NODE_HELD);
    world->renews[1] = true;
    pass(world, 2500);
    assert_int_equal(world->evicted, 0);
    assert_int_equal(world->verdicts[1], NODE_ALIVE);
    /* Those that did not come back had another grace period. */
    pass(world, 1600);
    assert_int_equal(world->evicted, 2);
}

static void test_all_silent_then_all_back_replaces_nothing(void **state)
{
    World *world = *state;
    add(world, 5);
    pass(world, 5000);
    for (unsigned i = 0; i < 5; i++)
        world->renews[i] = false;
    pass(world, 10000);
    for (unsigned i = 0; i < 5; i++)
        world->renews[i] = true;
    pass(world, 10000);
    assert_int_equal(world->evicted, 0);
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(world->verdicts[i], NODE_ALIVE);
}

static void test_our_start_gives_a_full_grace_period(void **state)
{
    World *world = *state;
    add(world, 5);
    world->renews[2] = false;
    pass(world, 2900);
    assert_int_equal(world->evicted, 0);
    assert_int_equal(node_life_verdict(world->life, "n2"), NODE_GRACE);
    pass(world, 300);
    assert_int_equal(world->evicted, 1);
}

static void test_nodes_given_up_before_our_start_do_not_count_among_those_that_fall_silent(void **state)
{
    World *world = *state;
    char name[8];
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(node_life_add(world->life, name_of(i, name), i < 3, world->now), 0);
        world->renews[i] = i >= 3;
    }
    pass(world, 5000);
    assert_int_equal(world->evicted, 0); /* it is known already */
    assert_int_equal(node_life_verdict(world->life, "n0"), NODE_SILENT);
    world->renews[3] = false;
    pass(world, 3200);
    assert_int_equal(world->verdicts[3], NODE_SILENT);
    world->renews[0] = true;
    pass(world, 1200);
    assert_int_equal(node_life_verdict(world->life, "n0"), NODE_ALIVE);
}

static void test_a_stall_of_etcd_or_of_ourselves_gives_every_node_a_new_grace_period(void **state)
{
    World *world = *state;
    add(world, 5);
    pass(world, 5000);
    world->healthy_since = 0;
    for (unsigned i = 0; i < 5; i++)
        world->renews[i] = false;
    pass(world, 20000);
    for (unsigned i = 1; i < 5; i++)
        world->renews[i] = true;
    world->healthy_since = world->now;
    pass(world, 2900);
    assert_int_equal(world->evicted, 0);
    pass(world, 300);
    assert_int_equal(world->verdicts[0], NODE_SILENT);
    assert_int_equal(world->evicted, 1);
    /* Stopped ourselves: what was renewed meanwhile is read after the first step. */
    world->now += 30000 * MS;
    world->due = node_life_step(world->life, world->healthy_since, world->now, on_verdict, world);
    pass(world, 5000);
    assert_int_equal(world->evicted, 1);
}

static void test_random_flapping_gives_up_only_nodes_that_were_silent(void **state)
{
    (void)state;
    unsigned seed = test_seed();
    print_message("seed %u\n", seed);
    srandom(seed);
    for (unsigned round = 0; round < 20; round++) {
        void *inner;
        set_up(&inner);
        World *world = inner;
        uint64_t silent_since[NODES] = {0};
        add(world, NODES);
        for (unsigned i = 0; i < 600; i++) {
            pass(world, 100);
            unsigned k = (unsigned)random() % NODES;
            if (random() % 8 == 0) {
                world->renews[k] = !world->renews[k];
                silent_since[k] = world->now;
            }
            for (k = 0; k < NODES; k++) {
                char name[8];
                bool is_silent = !world->renews[k] && world->now - silent_since[k] >= 2000 * MS;
                if (node_life_verdict(world->life, name_of(k, name)) == NODE_SILENT && !is_silent &&
                    world->now - world->renewed[k] < 1000 * MS)
                    fail_msg("round %u, step %u: n%u given up though it renews", round, i, k);
            }
        }
        /* In the end all are heard again. */
        for (unsigned k = 0; k < NODES; k++)
            world->renews[k] = true;
        pass(world, 2500);
        for (unsigned k = 0; k < NODES; k++)
            assert_int_equal(world->verdicts[k], NODE_ALIVE);
        tear_down(&inner);
    }
}

/* --- what the object says ------------------------------------------------------------------------ */

#define NODE                                                                                                           \
    "{'metadata': {'name': 'n1'}, 'spec': {'podCIDR': '127.1.1.0/24'}, 'status': {'conditions': ["                     \
    "{'type': 'Ready', 'status': 'True', 'reason': 'KubeletReady'}]}}"

static void test_conditions_come_before_taints_and_go_before_them(void **state)
{
    (void)state;
    AUTO_JSON json_t *node = object_of(NODE), *silent = NULL, *tainted = NULL, *back = NULL;
    NodePlan plan;

    assert_int_equal(node_plan(node, NODE_ALIVE, NULL, 100, &plan), 0);
    assert_null(plan.status);
    assert_null(plan.spec);
    assert_int_equal(node_plan(node, NODE_SILENT, NULL, 100, &plan), 0);
    silent = plan.status;
    assert_true(plan.lost);
    assert_null(plan.spec);
    assert_string_equal(kube_string(kube_condition(silent, "Ready"), "status"), "Unknown");
    assert_false(node_is_unreachable(silent));
    assert_int_equal(node_plan(silent, NODE_SILENT, NULL, 100, &plan), 0);
    tainted = plan.spec;
    assert_non_null(tainted);
    assert_true(node_is_unreachable(tainted));
    assert_int_equal(node_plan(tainted, NODE_SILENT, NULL, 101, &plan), 0);
    assert_null(plan.status);
    assert_null(plan.spec);
    /* Our own restart changes nothing of what was found. */
    assert_int_equal(node_plan(tainted, NODE_GRACE, NULL, 101, &plan), 0);
    assert_null(plan.status);
    assert_null(plan.spec);
    assert_int_equal(node_plan(tainted, NODE_ALIVE, NULL, 102, &plan), 0);
    back = plan.status;
    assert_true(kube_condition_true(back, "Ready"));
    assert_int_equal(node_plan(back, NODE_ALIVE, NULL, 103, &plan), 0);
    assert_null(kube_get(plan.spec, "spec.taints"));
    json_decref(plan.spec);
}

static void test_a_held_node_keeps_its_pods(void **state)
{
    (void)state;
    AUTO_JSON json_t *node = object_of(NODE), *held = NULL, *tainted = NULL;
    AUTO_JSON json_t *pod = object_of("{'metadata': {'name': 'p'}, 'spec': {}}");
    NodePlan plan;

    assert_int_equal(node_plan(node, NODE_HELD, NULL, 100, &plan), 0);
    held = plan.status;
    assert_string_equal(kube_string(kube_condition(held, "Ready"), "reason"), "PartialDisruption");
    assert_int_equal(node_plan(held, NODE_HELD, NULL, 100, &plan), 0);
    tainted = plan.spec;
    assert_int_equal(node_pod_leaves(tainted, pod, 200), -1);
    assert_int_equal(json_array_size(kube_get(tainted, "spec.taints")), 1);
}

static void test_pods_leave_as_their_tolerations_say(void **state)
{
    (void)state;
    AUTO_JSON json_t *node = object_of("{'metadata': {'name': 'n1'}, 'spec': {'taints': [{'key': 'k', 'effect': "
                                       "'NoExecute', 'timeAdded': '1970-01-01T00:01:40Z'}]}}");
    AUTO_JSON json_t *none = object_of("{'spec': {}}");
    AUTO_JSON json_t *ever = object_of("{'spec': {'tolerations': [{'operator': 'Exists'}]}}");
    AUTO_JSON json_t *some =
        object_of("{'spec': {'tolerations': [{'key': 'k', 'operator': 'Exists', 'tolerationSeconds': 30}]}}");

    assert_int_equal(node_pod_leaves(node, none, 110), 0);
    assert_int_equal(node_pod_leaves(node, ever, 110), -1);
    assert_int_equal(node_pod_leaves(node, some, 110), 20);
    assert_int_equal(node_pod_leaves(node, some, 130), 0);
}

static void test_the_tolerations_that_every_pod_is_given_do_not_delay_its_replacement(void **state)
{
    (void)state;
    AUTO_JSON json_t *node = object_of("{'metadata': {'name': 'n1'}, 'spec': {'taints': [{'key': "
                                       "'node.kubernetes.io/unreachable', 'effect': 'NoExecute', 'timeAdded': "
                                       "'1970-01-01T00:01:40Z'}]}}");
    const char *format = "{'spec': {'tolerations': [{'key': 'node.kubernetes.io/unreachable', 'operator': 'Exists', "
                         "'effect': 'NoExecute', 'tolerationSeconds': %d}]}}";
    AUTO_JSON json_t *given = object_of(format, 300), *own = object_of(format, 60);

    assert_int_equal(node_pod_leaves(node, given, 110), 0);
    assert_int_equal(node_pod_leaves(node, own, 110), 50);
}

static void test_a_new_node_gets_its_range_and_a_cordoned_one_its_taint(void **state)
{
    (void)state;
    AUTO_JSON json_t *node = object_of("{'metadata': {'name': 'n1'}, 'spec': {'unschedulable': true}, 'status': "
                                       "{'conditions': [{'type': 'Ready', 'status': 'True'}]}}");
    NodePlan plan;

    assert_int_equal(node_plan(node, NODE_GRACE, "127.1.4.0/24", 100, &plan), 0);
    assert_string_equal(kube_string(plan.spec, "spec.podCIDR"), "127.1.4.0/24");
    assert_string_equal(kube_string(json_array_get(kube_get(plan.spec, "spec.taints"), 0), "key"),
                        "node.kubernetes.io/unschedulable");
    json_decref(plan.spec);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_silent_node_is_given_up_after_three_seconds_and_returns),
        TEST(two_of_five_together_are_given_up),
        TEST(more_than_half_together_are_held_until_one_returns),
        TEST(all_silent_then_all_back_replaces_nothing),
        TEST(our_start_gives_a_full_grace_period),
        TEST(nodes_given_up_before_our_start_do_not_count_among_those_that_fall_silent),
        TEST(a_stall_of_etcd_or_of_ourselves_gives_every_node_a_new_grace_period),
        TEST(random_flapping_gives_up_only_nodes_that_were_silent),
        TEST(conditions_come_before_taints_and_go_before_them),
        TEST(a_held_node_keeps_its_pods),
        TEST(pods_leave_as_their_tolerations_say),
        TEST(the_tolerations_that_every_pod_is_given_do_not_delay_its_replacement),
        TEST(a_new_node_gets_its_range_and_a_cordoned_one_its_taint),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
