/* The plan for replicas: how many, which go first, whose pods are whose, and the status. */
#include "cluster/control/replication_plan.h"
#include "objects.h"

#include "base/cleanup.h"
#include "tests/seed.h"

#include <stdlib.h>
#include <string.h>

#define RC                                                                                                             \
    "{'kind': 'ReplicationController', 'apiVersion': 'v1', 'metadata': {'name': 'rc', 'namespace': 'default', 'uid': " \
    "'u', 'generation': 3}, 'spec': {'replicas': %d, 'selector': {'app': 'x'}, 'template': {'metadata': {'labels': "   \
    "{'app': 'x', 'tier': 'y'}, 'annotations': {'a': 'b'}}, 'spec': {'containers': [{'name': 'c'}]}}}}"

static json_t *pod(const char *name, const char *owner, const char *more_labels, const char *node, const char *phase,
                   bool ready, const char *created)
{
    json_t *object = object_of(
        "{'metadata': {'name': '%s', 'namespace': 'default', 'creationTimestamp': '%s', 'labels': {'app': 'x' %s}},"
        " 'spec': {'nodeName': '%s'}, 'status': {'phase': '%s', 'conditions': [{'type': 'Ready', 'status': '%s',"
        " 'lastTransitionTime': '%s'}]}}",
        name, created, more_labels, node, phase, ready ? "True" : "False", created);
    if (*owner)
        kube_set(object, "metadata.ownerReferences", object_of("[{'uid': '%s', 'controller': true}]", owner));
    return object;
}

#define T1 "2026-01-01T00:00:01Z"
#define T2 "2026-01-01T00:00:02Z"
#define T3 "2026-01-01T00:00:03Z"

static void free_all(json_t **pods, size_t count)
{
    for (size_t i = 0; i < count; i++)
        json_decref(pods[i]);
}

static void test_what_is_missing_is_made_and_ended_pods_do_not_count(void **state)
{
    (void)state;
    AUTO_JSON json_t *rc = object_of(RC, 4);
    json_t *pods[] = {
        pod("a", "u", ", 'tier': 'y'", "n1", "Running", true, T1), pod("b", "u", "", "n1", "Failed", false, T1),
        pod("c", "u", "", "n1", "Succeeded", false, T1),           pod("d", "u", "", "n1", "Running", false, T1),
        pod("e", "other", "", "n1", "Running", true, T1),
    };
    kube_set(pods[3], "metadata.deletionTimestamp", json_string(T1));
    ReplicationPlan plan;
    assert_int_equal(replication_plan(rc, (const json_t *const *)pods, 5, NULL, 0, &plan), 0);
    assert_int_equal(plan.create, 3);
    assert_int_equal(plan.n_remove + plan.n_adopt + plan.n_release, 0);
    AUTO_JSON json_t *status = object_of("{'replicas': 1, 'fullyLabeledReplicas': 1, 'readyReplicas': 1, "
                                         "'availableReplicas': 1, 'observedGeneration': 3}");
    assert_true(json_equal(plan.status, status));
    kube_set(rc, "status", json_incref(status));
    replication_plan_clear(&plan);
    assert_int_equal(replication_plan(rc, (const json_t *const *)pods, 5, NULL, 0, &plan), 0);
    assert_null(plan.status);
    replication_plan_clear(&plan);
    free_all(pods, 5);
}

static void test_what_is_lost_least_goes_first(void **state)
{
    (void)state;
    AUTO_JSON json_t *rc = object_of(RC, 0);
    json_t *pods[] = {
        pod("old", "u", "", "n1", "Running", true, T1),      pod("young", "u", "", "n1", "Running", true, T3),
        pod("middle", "u", "", "n2", "Running", true, T2),   pod("unready", "u", "", "n3", "Running", false, T1),
        pod("pending", "u", "", "n3", "Pending", false, T1), pod("nowhere", "u", "", "", "Pending", false, T1),
        pod("cheap", "u", "", "n4", "Running", true, T1),
    };
    kube_set(pods[6], "metadata.annotations", object_of("{'controller.kubernetes.io/pod-deletion-cost': '-5'}"));
    static const char *const order[] = {"nowhere", "pending", "unready", "cheap", "young", "old", "middle"};
    ReplicationPlan plan;
    assert_int_equal(replication_plan(rc, (const json_t *const *)pods, 7, NULL, 0, &plan), 0);
    assert_int_equal(plan.n_remove, 7);
    for (size_t i = 0; i < 7; i++)
        assert_string_equal(kube_name(plan.remove[i]), order[i]);
    replication_plan_clear(&plan);
    free_all(pods, 7);
}

static void test_orphans_are_adopted_and_strangers_released(void **state)
{
    (void)state;
    AUTO_JSON json_t *rc = object_of(RC, 2);
    json_t *pods[] = {
        pod("orphan", "", "", "n1", "Running", true, T1),
        pod("relabelled", "u", "", "n1", "Running", true, T1),
        pod("unrelated", "", "", "n1", "Running", true, T1),
    };
    kube_set(pods[1], "metadata.labels.app", json_string("z"));
    kube_set(pods[2], "metadata.labels.app", json_string("z"));
    ReplicationPlan plan;
    assert_int_equal(replication_plan(rc, (const json_t *const *)pods, 3, NULL, 0, &plan), 0);
    assert_int_equal(plan.n_adopt, 1);
    assert_string_equal(kube_name(plan.adopt[0]), "orphan");
    assert_int_equal(plan.n_release, 1);
    assert_string_equal(kube_name(plan.release[0]), "relabelled");
    assert_int_equal(plan.create, 1);
    replication_plan_clear(&plan);
    /* One that is being deleted makes, adopts and releases nothing. */
    kube_set(rc, "metadata.deletionTimestamp", json_string(T1));
    assert_int_equal(replication_plan(rc, (const json_t *const *)pods, 3, NULL, 0, &plan), 0);
    assert_int_equal(plan.create + plan.n_remove + plan.n_adopt + plan.n_release, 0);
    replication_plan_clear(&plan);
    free_all(pods, 3);
}

static void test_a_pod_is_available_after_its_time(void **state)
{
    (void)state;
    AUTO_JSON json_t *rc = object_of(RC, 1);
    json_t *one = pod("a", "u", "", "n1", "Running", true, "1970-01-01T00:01:40Z");
    const json_t *pods[] = {one};
    ReplicationPlan plan;
    kube_set(rc, "spec.minReadySeconds", json_integer(10));
    assert_int_equal(replication_plan(rc, pods, 1, NULL, 103, &plan), 0);
    assert_int_equal(plan.look_again, 7);
    assert_null(kube_get(plan.status, "availableReplicas"));
    replication_plan_clear(&plan);
    assert_int_equal(replication_plan(rc, pods, 1, NULL, 110, &plan), 0);
    assert_int_equal(plan.look_again, -1);
    assert_int_equal(kube_integer(plan.status, "availableReplicas", 0), 1);
    replication_plan_clear(&plan);
    json_decref(one);
}

static void test_a_failure_is_a_condition_until_it_goes(void **state)
{
    (void)state;
    AUTO_JSON json_t *rc = object_of(RC, 1);
    ReplicationPlan plan;
    assert_int_equal(replication_plan(rc, NULL, 0, "quota", 100, &plan), 0);
    const json_t *condition = json_array_get(kube_get(plan.status, "conditions"), 0);
    assert_string_equal(kube_string(condition, "type"), "ReplicaFailure");
    assert_string_equal(kube_string(condition, "reason"), "FailedCreate");
    assert_string_equal(kube_string(condition, "message"), "quota");
    kube_set(rc, "status", json_incref(plan.status));
    replication_plan_clear(&plan);
    assert_int_equal(replication_plan(rc, NULL, 0, NULL, 101, &plan), 0);
    assert_null(kube_get(plan.status, "conditions"));
    replication_plan_clear(&plan);
}

static void test_pods_are_made_from_the_template(void **state)
{
    (void)state;
    AUTO_JSON json_t *rc = object_of(RC, 1), *made = replication_pod(rc);
    AUTO_JSON json_t *expected =
        object_of("{'apiVersion': 'v1', 'kind': 'Pod', 'metadata': {'generateName': 'rc-', 'namespace': 'default', "
                  "'labels': {'app': 'x', 'tier': 'y'}, 'annotations': {'a': 'b'}, 'ownerReferences': [{'apiVersion': "
                  "'v1', 'kind': 'ReplicationController', 'name': 'rc', 'uid': 'u', 'controller': true, "
                  "'blockOwnerDeletion': true}]}, 'spec': {'containers': [{'name': 'c'}]}}");
    assert_true(json_equal(made, expected));
}

static void test_random_pods_never_exceed_and_plans_add_up(void **state)
{
    (void)state;
    unsigned seed = test_seed();
    static const char *const phases[] = {"Pending", "Running", "Failed", "Unknown", "Succeeded"};
    print_message("seed %u\n", seed);
    srandom(seed);
    for (unsigned round = 0; round < 300; round++) {
        AUTO_JSON json_t *rc = object_of(RC, (int)(random() % 20));
        size_t count = (size_t)random() % 30, active = 0;
        json_t *pods[30];
        for (size_t i = 0; i < count; i++) {
            char name[16];
            snprintf(name, sizeof name, "p%zu", i);
            pods[i] = pod(name, random() % 3 ? "u" : "", "", random() % 3 ? "n1" : "", phases[random() % 5],
                          random() % 2, T1);
            if (random() % 5 == 0)
                kube_set(pods[i], "metadata.deletionTimestamp", json_string(T1));
            active += replication_active(pods[i]);
        }
        ReplicationPlan plan;
        assert_int_equal(replication_plan(rc, (const json_t *const *)pods, count, NULL, 0, &plan), 0);
        assert_int_equal((int64_t)(active + plan.create - plan.n_remove), kube_integer(rc, "spec.replicas", -1));
        assert_true(plan.create == 0 || plan.n_remove == 0);
        replication_plan_clear(&plan);
        free_all(pods, count);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_missing_is_made_and_ended_pods_do_not_count),
        cmocka_unit_test(test_what_is_lost_least_goes_first),
        cmocka_unit_test(test_orphans_are_adopted_and_strangers_released),
        cmocka_unit_test(test_a_pod_is_available_after_its_time),
        cmocka_unit_test(test_a_failure_is_a_condition_until_it_goes),
        cmocka_unit_test(test_pods_are_made_from_the_template),
        cmocka_unit_test(test_random_pods_never_exceed_and_plans_add_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
