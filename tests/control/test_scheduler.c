/* The choice of a node: Kubernetes' words for why not, spreading, and the cost. */
#include "cluster/control/scheduler.h"
#include "objects.h"

#include "base/cleanup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define WHY_SIZE 512

typedef struct World {
    Scheduler *scheduler;
    char node[KUBE_NAME_MAX + 1], why[WHY_SIZE];
} World;

static int set_up(void **state)
{
    World *world = calloc(1, sizeof *world);
    world->scheduler = scheduler_new();
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    World *world = *state;
    scheduler_free(world->scheduler);
    free(world);
    return 0;
}

/* more: further fields of the node's spec ("'unschedulable': true,"). */
static void add_node(World *world, const char *name, const char *cpu, const char *memory, unsigned pods,
                     const char *more)
{
    AUTO_JSON json_t *node = object_of("{'metadata': {'name': '%s', 'labels': {'kubernetes.io/hostname': '%s'}},"
                                       " 'spec': {%s 'podCIDR': 'x'}, 'status': {'allocatable':"
                                       " {'cpu': '%s', 'memory': '%s', 'pods': '%u'},"
                                       " 'conditions': [{'type': 'Ready', 'status': 'True'}]}}",
                                       name, name, more, cpu, memory, pods);
    assert_int_equal(scheduler_node(world->scheduler, node, false), 0);
}

static json_t *make_pod(const char *name, const char *owner, const char *cpu, const char *memory, const char *more)
{
    return object_of("{'metadata': {'name': '%s', 'namespace': 'default', 'ownerReferences':"
                     " [{'uid': '%s', 'controller': true}]},"
                     " 'spec': {%s 'containers': [{'resources': {'requests': {'cpu': '%s', 'memory': '%s'}}}]}}",
                     name, owner, more, cpu, memory);
}

/* Places it, and tells the scheduler. */
static int place(World *world, json_t *pod)
{
    int r = scheduler_place(world->scheduler, pod, world->node, world->why, sizeof world->why);
    if (r == 0) {
        kube_set(pod, "spec.nodeName", json_string(world->node));
        assert_int_equal(scheduler_pod(world->scheduler, pod, false), 0);
    }
    return r;
}

static void test_without_nodes_it_says_so(void **state)
{
    World *world = *state;
    AUTO_JSON json_t *pod = make_pod("a", "u", "1", "1Mi", "");
    assert_int_equal(place(world, pod), -EAGAIN);
    assert_string_equal(world->why, "no nodes available to schedule pods");
}

static void test_refusals_are_counted_in_the_words_of_kubernetes(void **state)
{
    World *world = *state;
    add_node(world, "n1", "4", "64Mi", 10, "");
    add_node(world, "n2", "4", "8Gi", 10, "'taints': [{'key': 'k', 'value': 'v', 'effect': 'NoSchedule'}],");
    add_node(world, "n3", "4", "8Gi", 10, "'taints': [{'key': 'k', 'value': 'v', 'effect': 'NoExecute'}],");
    add_node(world, "n4", "4", "8Gi", 10, "'unschedulable': true,");
    add_node(world, "n5", "4", "8Gi", 10, "'unschedulable': true,");
    AUTO_JSON json_t *pod = make_pod("a", "u", "1", "128Mi", "");
    assert_int_equal(place(world, pod), -EAGAIN);
    assert_string_equal(world->why, "0/5 nodes are available: 1 Insufficient memory, 2 node(s) had taint {k: v}, that "
                                    "the pod didn't tolerate, 2 node(s) were unschedulable.");
}

static void test_all_resources_that_lack_are_named(void **state)
{
    World *world = *state;
    add_node(world, "n1", "500m", "64Mi", 0, "");
    AUTO_JSON json_t *pod = make_pod("a", "u", "1", "128Mi", "");
    assert_int_equal(place(world, pod), -EAGAIN);
    assert_string_equal(world->why, "0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient memory, 1 Too many "
                                    "pods.");
}

static void test_tolerations_selectors_and_affinity_are_kept(void **state)
{
    World *world = *state;
    add_node(world, "n1", "4", "8Gi", 10, "'taints': [{'key': 'k', 'value': 'v', 'effect': 'NoSchedule'}],");
    add_node(world, "n2", "4", "8Gi", 10, "");
    AUTO_JSON json_t *selects = make_pod("a", "u", "1", "1Mi", "'nodeSelector': {'kubernetes.io/hostname': 'n1'},");
    assert_int_equal(place(world, selects), -EAGAIN);
    assert_string_equal(world->why, "0/2 nodes are available: 1 node(s) didn't match Pod's node affinity, 1 node(s) "
                                    "had taint {k: v}, that the pod didn't tolerate.");
    AUTO_JSON json_t *tolerates = make_pod("b", "u", "1", "1Mi",
                                           "'nodeSelector': {'kubernetes.io/hostname': 'n1'}, 'tolerations': [{'key': "
                                           "'k', 'operator': 'Exists'}],");
    assert_int_equal(place(world, tolerates), 0);
    assert_string_equal(world->node, "n1");
    AUTO_JSON json_t *not_in =
        make_pod("c", "w", "1", "1Mi",
                 "'affinity': {'nodeAffinity': {'requiredDuringSchedulingIgnoredDuringExecution': {'nodeSelectorTerms':"
                 " [{'matchExpressions': [{'key': 'kubernetes.io/hostname', 'operator': 'NotIn', 'values': "
                 "['n2']}]}]}}},");
    assert_int_equal(place(world, not_in), -EAGAIN);
}

static void test_a_silent_node_gets_nothing_even_before_its_taint(void **state)
{
    World *world = *state;
    AUTO_JSON json_t *node = object_of("{'metadata': {'name': 'n1'}, 'status': {'allocatable': {'cpu': '4', 'memory':"
                                       " '1Gi', 'pods': '10'}, 'conditions': [{'type': 'Ready', 'status': "
                                       "'Unknown'}]}}");
    scheduler_node(world->scheduler, node, false);
    AUTO_JSON json_t *pod = make_pod("a", "u", "1", "1Mi", "");
    assert_int_equal(place(world, pod), -EAGAIN);
    assert_string_equal(world->why, "0/1 nodes are available: 1 node(s) had taint {node.kubernetes.io/unreachable: }, "
                                    "that the pod didn't tolerate.");
}

static void test_host_ports_are_taken_once_per_node(void **state)
{
    World *world = *state;
    const char *format = "{'metadata': {'name': '%s', 'namespace': 'default'}, 'spec': {'containers': [{'ports': "
                         "[{'hostPort': 80, 'hostIP': '%s'}]}]}}";
    add_node(world, "n1", "4", "8Gi", 10, "");
    AUTO_JSON json_t *a = object_of(format, "a", "127.0.0.1"), *b = object_of(format, "b", "127.0.0.2"),
                     *c = object_of(format, "c", "");
    assert_int_equal(place(world, a), 0);
    assert_int_equal(place(world, b), 0);
    assert_int_equal(place(world, c), -EAGAIN);
    assert_string_equal(world->why, "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod "
                                    "ports.");
    scheduler_pod(world->scheduler, a, true);
    scheduler_pod(world->scheduler, b, true);
    assert_int_equal(place(world, c), 0);
}

static void test_a_claim_for_one_node_keeps_its_pods_together(void **state)
{
    World *world = *state;
    const char *volume = "'volumes': [{'persistentVolumeClaim': {'claimName': 'data'}}],";
    add_node(world, "n1", "1", "8Gi", 10, "");
    add_node(world, "n2", "4", "8Gi", 10, "");
    AUTO_JSON json_t *a = make_pod("a", "u", "100m", "1Mi", volume), *b = make_pod("b", "u", "1", "1Mi", volume),
                     *c = make_pod("c", "u", "1", "1Mi", volume);
    assert_int_equal(place(world, a), -EAGAIN);
    assert_string_equal(world->why, "0/2 nodes are available: 2 persistentvolumeclaim \"data\" not found.");
    AUTO_JSON json_t *claim = object_of("{'metadata': {'name': 'data', 'namespace': 'default'}, 'spec': {'accessModes':"
                                        " ['ReadWriteOnce']}, 'status': {'phase': 'Pending'}}");
    scheduler_volume_claim(world->scheduler, claim, false);
    assert_int_equal(place(world, a), -EAGAIN);
    assert_string_equal(world->why, "0/2 nodes are available: 2 pod has unbound immediate PersistentVolumeClaims.");
    AUTO_JSON json_t *bound = json_deep_copy(claim);
    kube_set(bound, "status.phase", json_string("Bound"));
    scheduler_volume_claim(world->scheduler, bound, false);
    AUTO_JSON json_t *cordoned = object_of("{'metadata': {'name': 'n2'}, 'spec': {'unschedulable': true}}");
    scheduler_node(world->scheduler, cordoned, false);
    assert_int_equal(place(world, a), 0);
    assert_string_equal(world->node, "n1");
    add_node(world, "n2", "4", "8Gi", 10, "");
    assert_int_equal(place(world, b), -EAGAIN);
    assert_string_equal(world->why, "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) had volume node affinity "
                                    "conflict.");
    scheduler_pod(world->scheduler, a, true);
    assert_int_equal(place(world, c), 0);
    assert_string_equal(world->node, "n2");
}

static void test_replicas_spread_evenly_and_the_end_of_pods_makes_room(void **state)
{
    World *world = *state;
    json_t *pods[30];
    unsigned on[5] = {0};

    for (unsigned i = 0; i < 5; i++) {
        char name[16];
        snprintf(name, sizeof name, "n%u", i);
        add_node(world, name, "8", "8Gi", 6, "");
    }
    for (unsigned i = 0; i < 30; i++) {
        char name[16];
        snprintf(name, sizeof name, "p%u", i);
        pods[i] = make_pod(name, "u", "1", "1Mi", "");
        assert_int_equal(place(world, pods[i]), 0);
        on[world->node[1] - '0']++;
        if (i % 5 == 4)
            for (unsigned k = 0; k < 5; k++)
                assert_int_equal(on[k], i / 5 + 1);
    }
    AUTO_JSON json_t *further = make_pod("further", "u", "1", "1Mi", "");
    assert_int_equal(place(world, further), -EAGAIN);
    assert_string_equal(world->why, "0/5 nodes are available: 5 Too many pods.");
    kube_set(pods[7], "status.phase", json_string("Failed"));
    AUTO_JSON json_t *ended = object_of("{'metadata': {'name': 'p7', 'namespace': 'default'}, 'spec': {'nodeName': "
                                        "'n2'}, 'status': {'phase': 'Failed'}}");
    scheduler_pod(world->scheduler, ended, false);
    assert_int_equal(place(world, further), 0);
    for (unsigned i = 0; i < 30; i++)
        json_decref(pods[i]);
}

static void test_a_pod_beyond_all_numbers_fits_nowhere(void **state)
{
    World *world = *state;
    add_node(world, "n1", "4", "8Gi", 10, "");
    AUTO_JSON json_t *pod = object_of("{'metadata': {'name': 'a', 'namespace': 'default'}, 'spec': {'containers': ["
                                      "{'resources': {'requests': {'memory': '8Ei'}}}, {'resources': {'requests': "
                                      "{'memory': '8Ei'}}}]}}");
    assert_int_equal(place(world, pod), -EAGAIN);
    for (unsigned i = 0; i < 40; i++) {
        AUTO_JSON json_t *strange = object_of("{'metadata': {'name': 'a', 'namespace': 'default'}, 'spec': {'containers"
                                              "': [{'resources': {'requests': {'example.org/r%u': '1'}}}]}}",
                                              i);
        int r = place(world, strange);
        /* What cannot be kept in the table of resources is passed over; the others are nowhere to be had. */
        assert_int_equal(r, i < SCHEDULER_RESOURCES_MAX - 2 ? -EAGAIN : 0);
    }
}

static void test_two_thousand_pods_on_a_hundred_nodes_take_a_moment(void **state)
{
    World *world = *state;
    json_t *pods[2000];
    struct timespec begin, end;

    for (unsigned i = 0; i < 100; i++) {
        char name[16];
        snprintf(name, sizeof name, "node-%u", i);
        add_node(world, name, "64", "64Gi", 110, "");
    }
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &begin);
    for (unsigned i = 0; i < 2000; i++) {
        char name[16], owner[16];
        snprintf(name, sizeof name, "p%u", i);
        snprintf(owner, sizeof owner, "u%u", i % 20);
        pods[i] = make_pod(name, owner, "10m", "1Mi", "");
        assert_int_equal(place(world, pods[i]), 0);
    }
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
    double seconds = (double)(end.tv_sec - begin.tv_sec) + 1e-9 * (double)(end.tv_nsec - begin.tv_nsec);
    print_message("%.0f pods per second of CPU\n", 2000 / seconds);
    assert_true(seconds < 20); /* 0.1 s without sanitizers */
    for (unsigned i = 0; i < 2000; i++)
        json_decref(pods[i]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(without_nodes_it_says_so),
        TEST(refusals_are_counted_in_the_words_of_kubernetes),
        TEST(all_resources_that_lack_are_named),
        TEST(tolerations_selectors_and_affinity_are_kept),
        TEST(a_silent_node_gets_nothing_even_before_its_taint),
        TEST(host_ports_are_taken_once_per_node),
        TEST(a_claim_for_one_node_keeps_its_pods_together),
        TEST(replicas_spread_evenly_and_the_end_of_pods_makes_room),
        TEST(a_pod_beyond_all_numbers_fits_nowhere),
        TEST(two_thousand_pods_on_a_hundred_nodes_take_a_moment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
