/* Deployments and StatefulSets with all controllers: rollouts keep their bounds
 * at every step, whatever the order of things; and the details of their plans. */
#include "cluster/control/deployment_plan.h"
#include "cluster/control/stateful_plan.h"
#include "world.h"

#include "base/cleanup.h"
#include "tests/seed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool add_one(void *userdata, const json_t *object)
{
    (void)object;
    ++*(size_t *)userdata;
    return true;
}

static size_t count_of(World *world, const char *resource)
{
    size_t count = 0;
    store_each(api_store(world->api), resource, NULL, add_one, &count);
    return count;
}

/* --- deployments ------------------------------------------------------------------------------------- */

static int64_t wanted, surge, unavailable;
static bool was_available; /* from then on it must stay so */

static void put_deployment(World *world, const char *image, const char *more)
{
    const json_t *is = world_get(world, RESOURCE_DEPLOYMENTS, "default", "web");
    json_t *deployment = object_of(
        "{'apiVersion': 'apps/v1', 'kind': 'Deployment', 'metadata': {'name': 'web', 'namespace': 'default', 'uid': "
        "'uid-web', 'generation': %lld}, 'spec': {'replicas': %lld, 'selector': {'matchLabels': {'app': 'web'}}, "
        "'strategy': {'type': 'RollingUpdate', 'rollingUpdate': {'maxSurge': %lld, 'maxUnavailable': %lld}}, %s "
        "'template': {'metadata': {'labels': {'app': 'web'}}, 'spec': {'containers': [{'name': 'c', 'image': "
        "'%s'}]}}}}",
        (long long)kube_integer(is, "metadata.generation", 0) + 1, (long long)wanted, (long long)surge,
        (long long)unavailable, more, image);
    if (is) {
        kube_set(deployment, "status", json_deep_copy(kube_get(is, "status")));
        kube_set(deployment, "metadata.annotations", json_deep_copy(kube_get(is, "metadata.annotations")));
    }
    fake_api_put(world->api, RESOURCE_DEPLOYMENTS, deployment);
}

static bool count_pod(void *userdata, const json_t *pod)
{
    int64_t *counts = userdata;
    if (!kube_deleting(pod) && !kube_pod_ended(pod)) {
        counts[0]++;
        counts[1] += kube_pod_ready(pod);
    }
    return true;
}

static void check_bounds(World *world)
{
    int64_t counts[2] = {0};
    store_each(api_store(world->api), RESOURCE_PODS, NULL, count_pod, counts);
    if (counts[0] > wanted + surge)
        fail_msg("%lld pods, %lld and %lld more are allowed", (long long)counts[0], (long long)wanted,
                 (long long)surge);
    was_available |= counts[1] >= wanted;
    if (was_available && counts[1] < wanted - unavailable)
        fail_msg("%lld pods ready, of %lld at most %lld may lack", (long long)counts[1], (long long)wanted,
                 (long long)unavailable);
}

static bool is_complete(World *world)
{
    const json_t *deployment = world_get(world, RESOURCE_DEPLOYMENTS, "default", "web");
    return kube_integer(deployment, "status.observedGeneration", 0) ==
               kube_integer(deployment, "metadata.generation", -1) &&
           kube_integer(deployment, "status.updatedReplicas", 0) == wanted &&
           kube_integer(deployment, "status.replicas", 0) == wanted &&
           kube_integer(deployment, "status.availableReplicas", 0) == wanted;
}

static void roll_out(World *world)
{
    for (unsigned i = 0; i < 200 && !is_complete(world); i++)
        world_pass(world, 100);
    if (!is_complete(world)) {
        const json_t *deployment = world_get(world, RESOURCE_DEPLOYMENTS, "default", "web");
        AUTO_FREE char *text = json_dumps(kube_get(deployment, "status"), 0);
        fail_msg("not complete: %s", text);
    }
    world_pass(world, 200);
}

static const char *progress_reason(World *world)
{
    return kube_string(kube_condition(world_get(world, RESOURCE_DEPLOYMENTS, "default", "web"), "Progressing"),
                       "reason");
}

static void test_rolling_updates_keep_their_bounds_at_every_step(void **state)
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
        wanted = 1 + random() % 8;
        surge = random() % 3;
        unavailable = surge == 0 ? 1 : random() % 2;
        was_available = false;
        world->check = check_bounds;
        for (unsigned version = 0; version < 4; version++) {
            char image[16];
            snprintf(image, sizeof image, "v%ld", random() % 3);
            put_deployment(world, image, "");
            if (random() % 3 == 0) { /* and another one in the middle */
                world_pass(world, 10 * (1 + (unsigned)random() % 20));
                put_deployment(world, "middle", "");
                world_pass(world, 10 * (1 + (unsigned)random() % 20));
            }
            roll_out(world);
            assert_string_equal(progress_reason(world), "NewReplicaSetAvailable");
        }
        world_end(world);
        world_tear_down(&inner);
    }
}

static void test_deployments_converge_whatever_fails(void **state)
{
    (void)state;
    unsigned seed = test_seed() + 1;
    print_message("seed %u\n", seed);
    srandom(seed);
    for (unsigned round = 0; round < 4; round++) {
        void *inner;
        world_set_up(&inner);
        World *world = inner;
        surge = unavailable = 1;
        fake_api_failures(world->api, 150);
        for (unsigned i = 0; i < 12; i++) {
            char image[16];
            wanted = 1 + random() % 6;
            snprintf(image, sizeof image, "v%ld", random() % 3);
            put_deployment(world, image, "");
            if (random() % 4 == 0) {
                world_end(world);
                world_start(world);
            }
            world_pass(world, 10 * (1 + (unsigned)random() % 80));
        }
        fake_api_failures(world->api, 0);
        world_pass(world, 31000); /* the longest pause after failures */
        roll_out(world);
        world_end(world);
        world_tear_down(&inner);
    }
}

static void test_a_rollback_uses_the_old_set_again_with_a_new_revision(void **state)
{
    World *world = *state;
    wanted = 3;
    surge = 1;
    unavailable = 0;
    put_deployment(world, "v1", "");
    roll_out(world);
    const char *annotation =
        kube_annotation(world_get(world, RESOURCE_DEPLOYMENTS, "default", "web"), DEPLOYMENT_REVISION);
    assert_string_equal(annotation, "1");
    put_deployment(world, "v2", "");
    roll_out(world);
    put_deployment(world, "v1", "");
    roll_out(world);
    assert_string_equal(kube_annotation(world_get(world, RESOURCE_DEPLOYMENTS, "default", "web"), DEPLOYMENT_REVISION),
                        "3");
    Pods sets = {0};
    store_each(api_store(world->api), RESOURCE_REPLICA_SETS, NULL, world_collect, &sets);
    assert_int_equal(sets.count, 2);
    for (size_t i = 0; i < sets.count; i++) {
        bool is_new = kube_integer(sets.list[i], "spec.replicas", -1) == 3;
        assert_string_equal(kube_annotation(sets.list[i], DEPLOYMENT_REVISION), is_new ? "3" : "2");
        assert_string_equal(is_new ? kube_annotation(sets.list[i], DEPLOYMENT_HISTORY) : "1", "1");
        json_decref(sets.list[i]);
    }
    world_end(world);
}

static void test_old_sets_beyond_the_history_go(void **state)
{
    World *world = *state;
    wanted = 1;
    surge = 1;
    unavailable = 0;
    for (unsigned i = 0; i < 5; i++) {
        char image[16];
        snprintf(image, sizeof image, "v%u", i);
        put_deployment(world, image, "'revisionHistoryLimit': 2,");
        roll_out(world);
    }
    world_pass(world, 1000);
    Pods sets = {0};
    store_each(api_store(world->api), RESOURCE_REPLICA_SETS, NULL, world_collect, &sets);
    assert_int_equal(sets.count, 3);
    for (size_t i = 0; i < sets.count; i++)
        json_decref(sets.list[i]);
    world_end(world);
}

static bool never_v2(const json_t *pod)
{
    return strcmp(kube_string(json_array_get(kube_get(pod, "spec.containers"), 0), "image"), "v2") != 0;
}

static void test_a_version_that_never_gets_ready_stops_the_rollout_and_is_told(void **state)
{
    World *world = *state;
    wanted = 4;
    surge = 1;
    unavailable = 1;
    was_available = false;
    world->begins = never_v2;
    world->check = check_bounds;
    put_deployment(world, "v1", "'progressDeadlineSeconds': 5,");
    roll_out(world);
    put_deployment(world, "v2", "'progressDeadlineSeconds': 5,");
    world_pass(world, 12000);
    assert_string_equal(progress_reason(world), "ProgressDeadlineExceeded");
    put_deployment(world, "v1", "'progressDeadlineSeconds': 5,");
    roll_out(world);
    assert_string_equal(progress_reason(world), "NewReplicaSetAvailable");
    world_end(world);
}

static void test_recreate_ends_all_before_it_begins(void **state)
{
    World *world = *state;
    wanted = 3;
    surge = unavailable = 0;
    put_deployment(world, "v1", "");
    json_t *deployment = json_deep_copy(world_get(world, RESOURCE_DEPLOYMENTS, "default", "web"));
    kube_set(deployment, "spec.strategy", object_of("{'type': 'Recreate'}"));
    fake_api_put(world->api, RESOURCE_DEPLOYMENTS, deployment);
    roll_out(world);
    for (unsigned i = 0; i < NODES; i++)
        world->silent[i] = true; /* pods do not end yet */
    deployment = json_deep_copy(world_get(world, RESOURCE_DEPLOYMENTS, "default", "web"));
    json_array_set_new((json_t *)kube_get(deployment, "spec.template.spec.containers"), 0,
                       object_of("{'name': 'c', 'image': 'v2'}"));
    kube_set(deployment, "metadata.generation", json_integer(9));
    fake_api_put(world->api, RESOURCE_DEPLOYMENTS, deployment);
    world_pass(world, 1000);
    int64_t counts[2] = {0};
    store_each(api_store(world->api), RESOURCE_PODS, NULL, count_pod, counts);
    assert_int_equal(counts[0], 0);
    assert_int_equal(count_of(world, RESOURCE_REPLICA_SETS), 1);
    memset(world->silent, 0, sizeof world->silent);
    roll_out(world);
    world_end(world);
}

static void test_percentages_are_rounded_as_kubernetes_does(void **state)
{
    (void)state;
    AUTO_JSON json_t *quarter = json_string("25%"), *three = json_integer(3);
    assert_int_equal(deployment_resolve(quarter, 10, true), 3);
    assert_int_equal(deployment_resolve(quarter, 10, false), 2);
    assert_int_equal(deployment_resolve(three, 10, false), 3);
}

/* --- stateful sets ------------------------------------------------------------------------------------- */

static void put_stateful(World *world, int replicas, const char *image, const char *more)
{
    const json_t *is = world_get(world, RESOURCE_STATEFUL_SETS, "default", "db");
    json_t *set = object_of(
        "{'apiVersion': 'apps/v1', 'kind': 'StatefulSet', 'metadata': {'name': 'db', 'namespace': 'default', 'uid': "
        "'uid-db'}, 'spec': {'replicas': %d, 'serviceName': 'db', 'selector': {'matchLabels': {'app': 'db'}}, %s "
        "'volumeClaimTemplates': [{'metadata': {'name': 'data'}, 'spec': {'accessModes': ['ReadWriteOnce']}}], "
        "'template': {'metadata': {'labels': {'app': 'db'}}, 'spec': {'containers': [{'name': 'c', 'image': '%s'}]}}}}",
        replicas, more, image);
    if (is)
        kube_set(set, "status", json_deep_copy(kube_get(is, "status")));
    fake_api_put(world->api, RESOURCE_STATEFUL_SETS, set);
}

static int highest;

/* In order: no pod is there whose predecessor is not ready, once all have begun. */
static void check_order(World *world)
{
    int count = 0;
    for (int i = 0; i < 10; i++) {
        char name[16];
        snprintf(name, sizeof name, "db-%d", i);
        const json_t *pod = world_get(world, RESOURCE_PODS, "default", name);
        count += pod && !kube_deleting(pod);
        if (pod && i > highest) {
            for (int k = 0; k < i; k++) {
                char before[16];
                snprintf(before, sizeof before, "db-%d", k);
                if (!kube_pod_ready(world_get(world, RESOURCE_PODS, "default", before)))
                    fail_msg("%s was made before %s was ready", name, before);
            }
            highest = i;
        }
    }
}

static const char *image_of(World *world, const char *pod)
{
    return kube_string(json_array_get(kube_get(world_get(world, RESOURCE_PODS, "default", pod), "spec.containers"), 0),
                       "image");
}

/* Claims are bound at once: no folders in these tests. */
static void bind_claims(World *world)
{
    Pods claims = {0};
    store_each(api_store(world->api), RESOURCE_CLAIMS, NULL, world_collect, &claims);
    for (size_t i = 0; i < claims.count; i++) {
        if (strcmp(kube_string(claims.list[i], "status.phase"), "Bound") != 0) {
            json_t *copy = json_deep_copy(claims.list[i]);
            kube_set(copy, "status.phase", json_string("Bound"));
            fake_api_put(world->api, RESOURCE_CLAIMS, copy);
        }
        json_decref(claims.list[i]);
    }
}

static void settle(World *world)
{
    for (unsigned i = 0; i < 60; i++) {
        world_pass(world, 100);
        bind_claims(world);
    }
}

static void test_stateful_pods_are_made_in_order_each_with_its_claim(void **state)
{
    World *world = *state;
    highest = -1;
    world->check = check_order;
    put_stateful(world, 3, "v1", "");
    settle(world);
    const json_t *pod = world_get(world, RESOURCE_PODS, "default", "db-2");
    assert_true(kube_pod_ready(pod));
    assert_string_equal(kube_string(pod, "spec.hostname"), "db-2");
    assert_string_equal(kube_string(pod, "spec.subdomain"), "db");
    assert_string_equal(
        kube_string(json_array_get(kube_get(pod, "spec.volumes"), 0), "persistentVolumeClaim.claimName"), "data-db-2");
    const json_t *set = world_get(world, RESOURCE_STATEFUL_SETS, "default", "db");
    assert_int_equal(kube_integer(set, "status.readyReplicas", 0), 3);
    assert_string_equal(kube_string(set, "status.currentRevision"), kube_string(set, "status.updateRevision"));
    put_stateful(world, 1, "v1", "");
    settle(world);
    assert_null(world_get(world, RESOURCE_PODS, "default", "db-1"));
    assert_non_null(world_get(world, RESOURCE_PODS, "default", "db-0"));
    assert_non_null(world_get(world, RESOURCE_CLAIMS, "default", "data-db-2"));
    world_end(world);
}

static void test_an_update_goes_from_the_last_to_the_partition(void **state)
{
    World *world = *state;
    put_stateful(world, 3, "v1", "");
    settle(world);
    put_stateful(world, 3, "v2", "'updateStrategy': {'type': 'RollingUpdate', 'rollingUpdate': {'partition': 1}},");
    settle(world);
    assert_string_equal(image_of(world, "db-0"), "v1");
    assert_string_equal(image_of(world, "db-1"), "v2");
    assert_string_equal(image_of(world, "db-2"), "v2");
    /* Below the partition a lost pod comes back as it was. */
    fake_api_remove(world->api, RESOURCE_PODS, "default", "db-0");
    settle(world);
    assert_string_equal(image_of(world, "db-0"), "v1");
    put_stateful(world, 3, "v2", "");
    settle(world);
    assert_string_equal(image_of(world, "db-0"), "v2");
    const json_t *set = world_get(world, RESOURCE_STATEFUL_SETS, "default", "db");
    assert_string_equal(kube_string(set, "status.currentRevision"), kube_string(set, "status.updateRevision"));
    assert_int_equal(kube_integer(set, "status.updatedReplicas", 0), 3);
    /* And back: the first revision is the newest again. */
    put_stateful(world, 3, "v1", "");
    settle(world);
    assert_string_equal(image_of(world, "db-2"), "v1");
    assert_int_equal(count_of(world, RESOURCE_REVISIONS), 2);
    world_end(world);
}

static void test_parallel_pods_do_not_wait_and_lost_ones_are_made_again(void **state)
{
    World *world = *state;
    put_stateful(world, 5, "v1", "'podManagementPolicy': 'Parallel',");
    world_pass(world, 300);
    assert_int_equal(count_of(world, RESOURCE_PODS), 5);
    settle(world);
    fake_api_failures(world->api, 150);
    for (unsigned i = 0; i < 30; i++) {
        char name[16];
        snprintf(name, sizeof name, "db-%ld", random() % 5);
        fake_api_remove(world->api, RESOURCE_PODS, "default", name);
        world_pass(world, 200);
    }
    fake_api_failures(world->api, 0);
    world_pass(world, 31000);
    settle(world);
    const json_t *set = world_get(world, RESOURCE_STATEFUL_SETS, "default", "db");
    assert_int_equal(kube_integer(set, "status.readyReplicas", 0), 5);
    world_end(world);
}

static void test_names_of_pods_have_one_ordinal(void **state)
{
    (void)state;
    AUTO_JSON json_t *set = object_of("{'metadata': {'name': 'db'}}");
    assert_int_equal(stateful_ordinal(set, "db-0"), 0);
    assert_int_equal(stateful_ordinal(set, "db-12"), 12);
    static const char *const others[] = {"db",    "db-",   "db-01",   "db-x",
                                         "db-1x", "dbx-1", "other-1", "db-99999999999999999999"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_int_equal(stateful_ordinal(set, others[i]), -1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, world_set_up, world_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rolling_updates_keep_their_bounds_at_every_step),
        cmocka_unit_test(test_deployments_converge_whatever_fails),
        TEST(a_rollback_uses_the_old_set_again_with_a_new_revision),
        TEST(old_sets_beyond_the_history_go),
        TEST(a_version_that_never_gets_ready_stops_the_rollout_and_is_told),
        TEST(recreate_ends_all_before_it_begins),
        cmocka_unit_test(test_percentages_are_rounded_as_kubernetes_does),
        TEST(stateful_pods_are_made_in_order_each_with_its_claim),
        TEST(an_update_goes_from_the_last_to_the_partition),
        TEST(parallel_pods_do_not_wait_and_lost_ones_are_made_again),
        cmocka_unit_test(test_names_of_pods_have_one_ordinal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
