/* test_api_kinds.c - what the server does to each kind: services, pods,
 * secrets, claims, namespaces; and what every cluster has. */
#include "api_fixture.h"

static void a_cluster_has_its_first_objects(void **state)
{
    Fixture *fixture = *state;
    assert_answer(200, get(fixture, "namespaces", "", "kube-node-lease"));
    assert_string_equal(kube_string(fixture->object, "status.phase"), "Active");
    assert_answer(200, get(fixture, "services", "default", "kubernetes"));
    assert_string_equal(kube_string(fixture->object, "spec.clusterIP"), "127.3.0.1");
    assert_answer(200, get(fixture, "endpoints", "default", "kubernetes"));
    assert_answer(200, get(fixture, "storage.k8s.io/storageclasses", "", RESOURCE_STORAGE_CLASS));
}

/* --- services ----------------------------------------------------------------------------------------------- */

static int service(Fixture *fixture, const char *name, const char *spec)
{
    char body[512];
    snprintf(body, sizeof body, "{'metadata':{'name':'%s'},'spec':{'ports':[{'port':80}%s", name, spec);
    return create(fixture, "services", "default", body);
}

static void a_service_gets_an_address(void **state)
{
    Fixture *fixture = *state;
    assert_answer(201, service(fixture, "a", "]}}"));
    const char *address = kube_string(fixture->object, "spec.clusterIP");
    assert_int_equal(strncmp(address, "127.3.", 6), 0);
    assert_string_equal(kube_string(json_array_get(kube_get(fixture->object, "spec.clusterIPs"), 0), ""), address);
    assert_answer(201, service(fixture, "b", "],'clusterIP':'127.3.9.9'}}"));
    assert_answer(422, service(fixture, "c", "],'clusterIP':'127.3.9.9'}}"));
    assert_string_equal(message(fixture),
                        "Service \"c\" is invalid: spec.clusterIPs: Invalid value: []string{\"127.3.9.9\"}: failed to "
                        "allocated ip:127.3.9.9 with error:provided IP is already allocated");
    assert_answer(422, service(fixture, "c", "],'clusterIP':'127.4.9.9'}}"));
    assert_string_equal(message(fixture),
                        "Service \"c\" is invalid: spec.clusterIPs: Invalid value: []string{\"127.4.9.9\"}: failed to "
                        "allocated ip:127.4.9.9 with error:provided IP is not in the valid range. The range of valid "
                        "IPs is 127.3.0.0/16");
    assert_answer(201, service(fixture, "c", "],'clusterIP':'None'}}"));
    assert_string_equal(kube_string(fixture->object, "spec.clusterIP"), "None");
}

static void a_service_gets_node_ports(void **state)
{
    Fixture *fixture = *state;
    assert_answer(201, service(fixture, "a", "],'type':'NodePort'}}"));
    int64_t port = kube_integer(json_array_get(kube_get(fixture->object, "spec.ports"), 0), "nodePort", 0);
    assert_in_range(port, 30000, 32767);
    assert_answer(201,
                  create(fixture, "services", "default",
                         "{'metadata':{'name':'b'},'spec':{'type':'NodePort','ports':[{'port':80,'nodePort':30080}]"
                         "}}"));
    assert_answer(422,
                  create(fixture, "services", "default",
                         "{'metadata':{'name':'c'},'spec':{'type':'NodePort','ports':[{'port':80,'nodePort':30080}]"
                         "}}"));
    assert_string_equal(message(fixture), "Service \"c\" is invalid: spec.ports[0].nodePort: Invalid value: 30080: "
                                          "provided port is already allocated");
    assert_answer(422,
                  create(fixture, "services", "default",
                         "{'metadata':{'name':'c'},'spec':{'type':'NodePort','ports':[{'port':80,'nodePort':79}]}}"));
    assert_string_equal(message(fixture), "Service \"c\" is invalid: spec.ports[0].nodePort: Invalid value: 79: "
                                          "provided port is not in the valid range. The range of valid ports is "
                                          "30000-32767");
    assert_answer(201, /* the original's range was 80 to 99 */
                  create(fixture, "services", "default",
                         "{'metadata':{'name':'d'},'spec':{'type':'NodePort','ports':[{'port':80,'nodePort':80}]}}"));
    assert_answer(200, patch(fixture, "services", "default", "b", "{'spec':{'ports':[{'port':80,'name':'web'}]}}"));
    assert_int_equal(kube_integer(json_array_get(kube_get(fixture->object, "spec.ports"), 0), "nodePort", 0), 30080);
    assert_answer(200, patch(fixture, "services", "default", "b", "{'spec':{'type':'ClusterIP'}}"));
    assert_null(kube_get(json_array_get(kube_get(fixture->object, "spec.ports"), 0), "nodePort"));
}

static void two_services_made_at_once_get_different_ports(void **state)
{
    Fixture *fixture = *state;
    for (unsigned i = 0; i < 50; i++) {
        char name[16];
        snprintf(name, sizeof name, "s%u", i);
        json_t *body = json_of("{'kind':'Service','apiVersion':'v1','metadata':{'namespace':'default'},'spec':{"
                               "'type':'NodePort','ports':[{'port':80}]}}");
        kube_set(body, "metadata.name", json_string(name));
        if (i < 2) /* both want the same */
            json_object_set_new(json_array_get(kube_get(body, "spec.ports"), 0), "nodePort", json_integer(31000));
        api_create(fixture->api, "services", body, NULL, NULL);
    }
    turn(fixture);
    assert_answer(200, get(fixture, "services", "default", "s0"));
    assert_answer(404, get(fixture, "services", "default", "s1"));
    assert_answer(200, get(fixture, "services", "default", "s49"));
}

/* --- pods ------------------------------------------------------------------------------------------------------ */

static const char *quality_of(Fixture *fixture, const char *resources)
{
    static unsigned number;
    char body[512];
    snprintf(body, sizeof body,
             "{'metadata':{'name':'p%u'},'spec':{'containers':[{'name':'c','image':'i','resources':%s}]}}", number++,
             resources);
    assert_answer(201, create(fixture, "pods", "default", body));
    return kube_string(fixture->object, "status.qosClass");
}

static void the_quality_follows_from_what_is_asked_for(void **state)
{
    Fixture *fixture = *state;
    assert_string_equal(quality_of(fixture, "{}"), "BestEffort");
    assert_string_equal(quality_of(fixture, "{'requests':{'cpu':'0'}}"), "BestEffort");
    assert_string_equal(quality_of(fixture, "{'requests':{'cpu':'1'}}"), "Burstable");
    assert_string_equal(quality_of(fixture, "{'limits':{'cpu':'1','memory':'1Gi'}}"), "Guaranteed");
    assert_string_equal(
        quality_of(fixture, "{'limits':{'cpu':'1','memory':'1Gi'},'requests':{'cpu':'1000m','memory':'1Gi'}}"),
        "Guaranteed");
    assert_string_equal(
        quality_of(fixture, "{'limits':{'cpu':'2','memory':'1Gi'},'requests':{'cpu':'1','memory':'1Gi'}}"),
        "Burstable");
}

static void a_pod_keeps_its_own_tolerations(void **state)
{
    Fixture *fixture = *state;
    assert_answer(201, create(fixture, "pods", "default",
                              "{'metadata':{'name':'p'},'spec':{'tolerations':[{'operator':'Exists'}],'containers':[{"
                              "'name':'c','image':'i'}]}}"));
    assert_int_equal(json_array_size(kube_get(fixture->object, "spec.tolerations")), 1);
}

/* --- the rest ---------------------------------------------------------------------------------------------------- */

static void strings_of_a_secret_become_data(void **state)
{
    Fixture *fixture = *state;
    assert_answer(201, create(fixture, "secrets", "default",
                              "{'metadata':{'name':'s'},'stringData':{'a':'text'},'data':{'b':'eA=='}}"));
    assert_string_equal(kube_string(fixture->object, "data.a"), "dGV4dA==");
    assert_string_equal(kube_string(fixture->object, "data.b"), "eA==");
    assert_null(json_object_get(fixture->object, "stringData"));
    assert_string_equal(kube_string(fixture->object, "type"), "Opaque");
}

static void a_claim_gets_the_default_class(void **state)
{
    Fixture *fixture = *state;
    const char *body = "{'metadata':{'name':'c'},'spec':{'accessModes':['ReadWriteOnce'],'resources':{'requests':{"
                       "'storage':'1Gi'}}}}";
    assert_answer(201, create(fixture, "persistentvolumeclaims", "default", body));
    assert_string_equal(kube_string(fixture->object, "spec.storageClassName"), RESOURCE_STORAGE_CLASS);
    assert_string_equal(kube_string(fixture->object, "status.phase"), "Pending");
}

static void a_namespace_keeps_its_finalizers(void **state)
{
    Fixture *fixture = *state;
    assert_answer(201, create(fixture, "namespaces", "", "{'metadata':{'name':'x'}}"));
    assert_answer(200, patch(fixture, "namespaces", "", "x", "{'spec':{'finalizers':[]}}"));
    assert_int_equal(json_array_size(kube_get(fixture->object, "spec.finalizers")), 1);
    assert_answer(422, create(fixture, "namespaces", "", "{'metadata':{'name':'x.y'}}"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_cluster_has_its_first_objects),
        TEST(a_service_gets_an_address),
        TEST(a_service_gets_node_ports),
        TEST(two_services_made_at_once_get_different_ports),
        TEST(the_quality_follows_from_what_is_asked_for),
        TEST(a_pod_keeps_its_own_tolerations),
        TEST(strings_of_a_secret_become_data),
        TEST(a_claim_gets_the_default_class),
        TEST(a_namespace_keeps_its_finalizers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
