/* The addresses behind a service, and claims with their volumes: the plans. */
#include "cluster/control/endpoints_plan.h"
#include "cluster/control/volumes_plan.h"
#include "objects.h"

#include "base/cleanup.h"

#include <string.h>

#define SERVICE                                                                                                        \
    "{'metadata': {'name': 'web', 'namespace': 'default', 'labels': {'l': 'm'}}, 'spec': {'clusterIP': '127.3.0.9', "  \
    "'selector': {'app': 'x'}, 'ports': [{'name': 'http', 'port': 80, 'targetPort': 'web', 'protocol': 'TCP'}, "       \
    "{'name': 'admin', 'port': 81, 'targetPort': 8081, 'protocol': 'TCP'}] %s}}"

static json_t *pod(const char *name, const char *ip, int web, bool ready)
{
    return object_of("{'metadata': {'name': '%s', 'namespace': 'default', 'uid': 'u-%s', 'labels': {'app': 'x'}}, "
                     "'spec': {'nodeName': 'n1', 'restartPolicy': 'Always', 'containers': [{'ports': [{'name': 'web', "
                     "'containerPort': %d, 'protocol': 'TCP'}]}]}, 'status': {'podIP': '%s', 'phase': 'Running', "
                     "'conditions': [{'type': 'Ready', 'status': '%s'}]}}",
                     name, name, web, ip, ready ? "True" : "False");
}

static void test_named_ports_are_those_of_each_pod_and_equal_ones_are_one_subset(void **state)
{
    (void)state;
    AUTO_JSON json_t *service = object_of(SERVICE, "");
    json_t *pods[] = {pod("a", "127.1.1.3", 8000, true), pod("b", "127.1.1.2", 8000, true),
                      pod("c", "127.1.2.2", 8000, false), pod("d", "127.1.2.3", 9000, true), pod("e", "", 8000, true)};
    AUTO_JSON json_t *is = endpoints_plan(service, (const json_t *const *)pods, 5);
    const json_t *subsets = json_object_get(is, "subsets"), *first = json_array_get(subsets, 0),
                 *second = json_array_get(subsets, 1);

    assert_int_equal(json_array_size(subsets), 2);
    assert_int_equal(json_array_size(kube_get(first, "addresses")), 2);
    assert_string_equal(kube_string(json_array_get(kube_get(first, "addresses"), 0), "ip"), "127.1.1.2");
    assert_string_equal(kube_string(json_array_get(kube_get(first, "addresses"), 0), "targetRef.uid"), "u-b");
    assert_string_equal(kube_string(json_array_get(kube_get(first, "notReadyAddresses"), 0), "ip"), "127.1.2.2");
    assert_int_equal(kube_integer(json_array_get(kube_get(first, "ports"), 0), "port", 0), 8000);
    assert_int_equal(kube_integer(json_array_get(kube_get(first, "ports"), 1), "port", 0), 8081);
    assert_int_equal(kube_integer(json_array_get(kube_get(second, "ports"), 0), "port", 0), 9000);
    assert_string_equal(kube_string(is, "metadata.labels.l"), "m");

    /* The same state gives the same object, whatever the order. */
    json_t *other[] = {pods[4], pods[3], pods[2], pods[1], pods[0]};
    AUTO_JSON json_t *again = endpoints_plan(service, (const json_t *const *)other, 5);
    assert_true(json_equal(is, again));
    for (size_t i = 0; i < 5; i++)
        json_decref(pods[i]);
}

static void test_pods_that_end_leave_and_unready_ones_stay_where_they_are_wanted(void **state)
{
    (void)state;
    AUTO_JSON json_t *service = object_of(SERVICE, ""), *tolerant = object_of(SERVICE, ", 'publishNotReadyAddresses': "
                                                                                       "true");
    AUTO_JSON json_t *one = pod("a", "127.1.1.2", 8000, false);
    const json_t *pods[] = {one};

    kube_set(one, "metadata.deletionTimestamp", json_string("2026-01-01T00:00:00Z"));
    AUTO_JSON json_t *none = endpoints_plan(service, pods, 1);
    assert_null(json_object_get(none, "subsets"));
    AUTO_JSON json_t *some = endpoints_plan(tolerant, pods, 1);
    assert_int_equal(json_array_size(kube_get(json_array_get(kube_get(some, "subsets"), 0), "addresses")), 1);
    kube_remove(one, "metadata.deletionTimestamp");
    kube_set(one, "spec.restartPolicy", json_string("Never"));
    kube_set(one, "status.phase", json_string("Failed"));
    AUTO_JSON json_t *ended = endpoints_plan(tolerant, pods, 1);
    assert_null(json_object_get(ended, "subsets"));
}

static void test_a_headless_service_without_ports_has_addresses_and_names(void **state)
{
    (void)state;
    AUTO_JSON json_t *service = object_of("{'metadata': {'name': 'web', 'namespace': 'default'}, 'spec': {'clusterIP': "
                                          "'None', 'selector': {'app': 'x'}}}");
    AUTO_JSON json_t *one = pod("web-0", "127.1.1.2", 8000, true);
    const json_t *pods[] = {one};
    kube_set(one, "spec.hostname", json_string("web-0"));
    kube_set(one, "spec.subdomain", json_string("web"));
    AUTO_JSON json_t *is = endpoints_plan(service, pods, 1);
    const json_t *subset = json_array_get(kube_get(is, "subsets"), 0);

    assert_string_equal(kube_string(json_array_get(kube_get(subset, "addresses"), 0), "hostname"), "web-0");
    assert_null(kube_get(subset, "ports"));
    assert_non_null(json_object_get(kube_labels(is), "service.kubernetes.io/headless"));
}

/* --- claims --------------------------------------------------------------------------------------- */

static json_t *claim_of(const char *namespace, const char *name)
{
    return object_of("{'metadata': {'name': '%s', 'namespace': '%s', 'uid': '0-1'}, 'spec': {'accessModes': "
                     "['ReadWriteOnce'], 'storageClassName': 'c', 'resources': {'requests': {'storage': '1Gi'}}}}",
                     name, namespace);
}

static void test_no_two_claims_have_the_same_folder(void **state)
{
    (void)state;
    static const char *const names[][3] = {{"default", "data", "data"},
                                           {"a", "b", "a.b"},
                                           {"default", "a.b", "default.a.b"},
                                           {"default", "default.a", "default.default.a"},
                                           {"default", "..", "default..."}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char folder[2 * KUBE_NAME_MAX + 4];
        AUTO_JSON json_t *claim = claim_of(names[i][0], names[i][1]);
        volumes_folder(claim, folder);
        assert_string_equal(folder, names[i][2]);
    }
}

static void test_a_claim_gets_what_suits_it_and_no_volume_of_another(void **state)
{
    (void)state;
    const char *format = "{'metadata': {'name': 'v'}, 'spec': {'capacity': {'storage': '%s'}, 'accessModes': ['%s'], "
                         "'storageClassName': '%s' %s}}";
    AUTO_JSON json_t *claim = claim_of("default", "data");
    AUTO_JSON json_t *good = object_of(format, "2Gi", "ReadWriteOnce", "c", ""),
                     *small = object_of(format, "500Mi", "ReadWriteOnce", "c", ""),
                     *mode = object_of(format, "2Gi", "ReadOnlyMany", "c", ""),
                     *class = object_of(format, "2Gi", "ReadWriteOnce", "d", ""),
                     *other = object_of(format, "2Gi", "ReadWriteOnce", "c",
                                        ", 'claimRef': {'namespace': 'default', 'name': 'data', 'uid': '0-2'}"),
                     *reserved = object_of(format, "2Gi", "ReadWriteOnce", "c",
                                           ", 'claimRef': {'namespace': 'default', 'name': 'data'}");

    assert_true(volumes_suits(good, claim));
    assert_false(volumes_suits(small, claim));
    assert_false(volumes_suits(mode, claim));
    assert_false(volumes_suits(class, claim));
    assert_false(volumes_suits(other, claim));
    assert_true(volumes_suits(reserved, claim));
    assert_string_equal(volumes_phase(good, NULL), "Available");
    assert_string_equal(volumes_phase(reserved, claim), "Available");
    assert_string_equal(volumes_phase(other, claim), "Released");
}

static void test_a_provisioned_volume_is_bound_in_both_directions(void **state)
{
    (void)state;
    AUTO_JSON json_t *claim = claim_of("default", "data"), *class = object_of("{'metadata': {'name': 'c'}}");
    AUTO_JSON json_t *volume = volumes_provision(claim, class, "p", "/volumes/data");

    assert_string_equal(volumes_path(volume), "/volumes/data");
    assert_string_equal(kube_string(volume, "spec.persistentVolumeReclaimPolicy"), "Delete");
    assert_string_equal(volumes_phase(volume, claim), "Bound");
    assert_string_equal(volumes_phase(volume, NULL), "Released");
    AUTO_JSON json_t *bound = volumes_bind_claim(claim, volume);
    assert_string_equal(kube_string(bound, "spec.volumeName"), "pvc-0-1");
    assert_null(volumes_bind_claim(bound, volume));
    AUTO_JSON json_t *with_status = volumes_claim_status(bound, volume);
    assert_string_equal(kube_string(with_status, "status.capacity.storage"), "1Gi");
    assert_null(volumes_claim_status(with_status, volume));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_named_ports_are_those_of_each_pod_and_equal_ones_are_one_subset),
        cmocka_unit_test(test_pods_that_end_leave_and_unready_ones_stay_where_they_are_wanted),
        cmocka_unit_test(test_a_headless_service_without_ports_has_addresses_and_names),
        cmocka_unit_test(test_no_two_claims_have_the_same_folder),
        cmocka_unit_test(test_a_claim_gets_what_suits_it_and_no_volume_of_another),
        cmocka_unit_test(test_a_provisioned_volume_is_bound_in_both_directions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
