/* test_api_delete.c - deletion: graceful, with finalizers, of collections and
 * namespaces; and evictions. */
#include "api_fixture.h"

static void bound_pod(Fixture *fixture, const char *name, const char *extra)
{
    char body[512];
    snprintf(body, sizeof body,
             "{'metadata':{'name':'%s','labels':{'app':'a'}%s},'spec':{'nodeName':'n','containers':[{'name':'c',"
             "'image':'i'}]}}",
             name, extra);
    assert_answer(201, create(fixture, "pods", "default", body));
}

static int64_t grace(const Fixture *fixture)
{
    return kube_integer(fixture->object, "metadata.deletionGracePeriodSeconds", -1);
}

static void a_pod_without_a_node_goes_at_once(void **state)
{
    Fixture *fixture = *state;
    assert_answer(201, create(fixture, "pods", "default", simple_pod));
    assert_answer(200, delete (fixture, "pods", "default", "p", NULL));
    assert_string_equal(kube_string(fixture->object, "kind"), "Pod");
    assert_int_equal(grace(fixture), 0);
    assert_answer(404, get(fixture, "pods", "default", "p"));
    assert_answer(404, delete (fixture, "pods", "default", "p", NULL));
}

static void a_pod_on_a_node_stays_until_the_node_lets_it_go(void **state)
{
    Fixture *fixture = *state;
    bound_pod(fixture, "p", "");
    assert_answer(200, delete (fixture, "pods", "default", "p", NULL));
    assert_int_equal(grace(fixture), 30);
    assert_true(kube_deleting(fixture->object));
    int64_t revision = kube_revision(fixture->object);
    assert_answer(200, delete (fixture, "pods", "default", "p", "{'gracePeriodSeconds':40}"));
    assert_int_equal(kube_revision(fixture->object), revision);
    assert_answer(200, delete (fixture, "pods", "default", "p", "{'gracePeriodSeconds':5}"));
    assert_int_equal(grace(fixture), 5);
    assert_answer(200, get(fixture, "pods", "default", "p"));
    assert_answer(200, delete (fixture, "pods", "default", "p", "{'gracePeriodSeconds':0}"));
    assert_answer(404, get(fixture, "pods", "default", "p"));
}

static void a_pod_that_ended_goes_at_once(void **state)
{
    Fixture *fixture = *state;
    bound_pod(fixture, "p", "");
    AUTO_JSON json_t *pod = json_deep_copy(fixture->object);
    kube_set(pod, "status.phase", json_string("Succeeded"));
    api_update_status(fixture->api, "pods", json_incref(pod), NULL, NULL);
    turn(fixture);
    assert_answer(200, delete (fixture, "pods", "default", "p", NULL));
    assert_answer(404, get(fixture, "pods", "default", "p"));
}

static void preconditions_are_kept(void **state)
{
    Fixture *fixture = *state;
    assert_answer(201, create(fixture, "configmaps", "default", "{'metadata':{'name':'x'}}"));
    assert_answer(409, delete (fixture, "configmaps", "default", "x", "{'preconditions':{'uid':'other'}}"));
    assert_answer(409, delete (fixture, "configmaps", "default", "x", "{'preconditions':{'resourceVersion':'1'}}"));
    assert_answer(200, delete (fixture, "configmaps", "default", "x", "{'dryRun':['All']}"));
    assert_answer(200, delete (fixture, "configmaps", "default", "x", NULL));
    assert_string_equal(kube_string(fixture->object, "status"), "Success");
    assert_string_equal(kube_string(fixture->object, "details.kind"), "configmaps");
}

static void an_unknown_propagation_is_refused(void **state)
{
    Fixture *fixture = *state;
    assert_answer(201, create(fixture, "configmaps", "default", "{'metadata':{'name':'x'}}"));
    assert_answer(422, delete (fixture, "configmaps", "default", "x", "{'propagationPolicy':'Sideways'}"));
    assert_answer(
        422, delete (fixture, "configmaps", "default", "x", "{'propagationPolicy':'Orphan','orphanDependents':true}"));
    assert_answer(500, delete (fixture, "configmaps", "default", "x", "{'kind':'Pod','apiVersion':'v1'}"));
    assert_answer(400, delete (fixture, "configmaps", "default", "x", "[]"));
}

static void finalizers_hold_an_object(void **state)
{
    Fixture *fixture = *state;
    assert_answer(201, create(fixture, "configmaps", "default", "{'metadata':{'name':'x','finalizers':['a.b/c']}}"));
    assert_answer(200, delete (fixture, "configmaps", "default", "x", NULL));
    assert_string_equal(kube_string(fixture->object, "kind"), "ConfigMap");
    assert_true(kube_deleting(fixture->object));
    assert_answer(422, patch(fixture, "configmaps", "default", "x", "{'metadata':{'finalizers':['a.b/c','a.b/d']}}"));
    assert_answer(200, patch(fixture, "configmaps", "default", "x", "{'metadata':{'finalizers':null}}"));
    assert_answer(404, get(fixture, "configmaps", "default", "x"));
}

static void the_propagation_becomes_a_finalizer(void **state)
{
    Fixture *fixture = *state;
    assert_answer(201, create(fixture, "replicationcontrollers", "default", simple_rc));
    assert_answer(200, delete (fixture, "replicationcontrollers", "default", "rc", NULL));
    assert_string_equal(kube_string(json_array_get(kube_get(fixture->object, "metadata.finalizers"), 0), ""), "orphan");
    assert_answer(200,
                  delete (fixture, "replicationcontrollers", "default", "rc", "{'propagationPolicy':'Foreground'}"));
    assert_answer(200, get(fixture, "replicationcontrollers", "default", "rc"));
    assert_string_equal(kube_string(json_array_get(kube_get(fixture->object, "metadata.finalizers"), 0), ""),
                        "foregroundDeletion");
    assert_answer(200,
                  delete (fixture, "replicationcontrollers", "default", "rc", "{'propagationPolicy':'Background'}"));
    assert_answer(404, get(fixture, "replicationcontrollers", "default", "rc"));
}

static void a_collection_is_deleted_by_label(void **state)
{
    Fixture *fixture = *state;
    for (unsigned i = 0; i < 200; i++) {
        char body[128];
        snprintf(body, sizeof body, "{'metadata':{'name':'x%03u','labels':{'odd':'%u'}}}", i, i % 2);
        assert_answer(201, create(fixture, "configmaps", "default", body));
    }
    ApiRequest request = {.verb = API_DELETE_COLLECTION,
                          .resource = resource_of_key("configmaps"),
                          .namespace = "default",
                          .label_selector = "odd=1",
                          .grace = -1};
    assert_answer(200, submit(fixture, request));
    assert_int_equal(json_array_size(json_object_get(fixture->object, "items")), 100);
    request.verb = API_LIST;
    assert_answer(200, submit(fixture, request));
    assert_int_equal(json_array_size(json_object_get(fixture->object, "items")), 0);
    request.label_selector = NULL;
    assert_answer(200, submit(fixture, request));
    assert_int_equal(json_array_size(json_object_get(fixture->object, "items")), 100);
}

static void a_namespace_goes_when_the_control_plane_says_so(void **state)
{
    Fixture *fixture = *state;
    assert_answer(403, delete (fixture, "namespaces", "", "default", NULL));
    assert_answer(201, create(fixture, "namespaces", "", "{'metadata':{'name':'x'}}"));
    assert_answer(200, delete (fixture, "namespaces", "", "x", NULL));
    assert_answer(200, delete (fixture, "namespaces", "", "x", NULL));
    assert_answer(200, get(fixture, "namespaces", "", "x"));
    assert_string_equal(kube_string(fixture->object, "status.phase"), "Terminating");
    api_delete(fixture->api, "namespaces", "", "x", NULL, -1, NULL, NULL);
    turn(fixture);
    assert_answer(404, get(fixture, "namespaces", "", "x"));
}

static void finalizing_ends_a_namespace(void **state)
{
    Fixture *fixture = *state;
    assert_answer(201, create(fixture, "namespaces", "", "{'metadata':{'name':'x'}}"));
    assert_answer(200, delete (fixture, "namespaces", "", "x", NULL));
    AUTO_JSON json_t *body = json_of("{'metadata':{'name':'x'},'spec':{}}");
    ApiRequest request = {.verb = API_UPDATE,
                          .resource = resource_of_key("namespaces"),
                          .name = "x",
                          .subresource = "finalize",
                          .body = body};
    assert_answer(200, submit(fixture, request));
    assert_answer(404, get(fixture, "namespaces", "", "x"));
}

static int evict(Fixture *fixture, const char *name)
{
    AUTO_JSON json_t *body = json_of("{'kind':'Eviction','metadata':{}}");
    kube_set(body, "metadata.name", json_string(name));
    ApiRequest request = {.verb = API_CREATE,
                          .resource = resource_of_key("pods"),
                          .namespace = "default",
                          .name = name,
                          .subresource = "eviction",
                          .body = body};
    return submit(fixture, request);
}

static void make_ready(Fixture *fixture)
{
    json_t *pod = json_deep_copy(fixture->object);
    kube_set(pod, "status.phase", json_string("Running"));
    kube_set_condition(pod, "Ready", "True", NULL, NULL, 0);
    api_update_status(fixture->api, "pods", pod, NULL, NULL);
    turn(fixture);
}

static void a_budget_holds_evictions_back(void **state)
{
    Fixture *fixture = *state;
    bound_pod(fixture, "one", "");
    make_ready(fixture);
    bound_pod(fixture, "two", "");
    make_ready(fixture);
    assert_answer(201,
                  create(fixture, "policy/poddisruptionbudgets", "default",
                         "{'metadata':{'name':'b'},'spec':{'minAvailable':1,'selector':{'matchLabels':{'app':'a'}}}"
                         "}"));
    assert_answer(404, evict(fixture, "three"));
    assert_answer(201, evict(fixture, "one"));
    assert_string_equal(kube_string(fixture->object, "status"), "Success");
    assert_answer(429, evict(fixture, "two"));
    assert_string_equal(message(fixture), "Cannot evict pod as it would violate the pod's disruption budget.");
    assert_answer(201, evict(fixture, "one"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_pod_without_a_node_goes_at_once),
        TEST(a_pod_on_a_node_stays_until_the_node_lets_it_go),
        TEST(a_pod_that_ended_goes_at_once),
        TEST(preconditions_are_kept),
        TEST(an_unknown_propagation_is_refused),
        TEST(finalizers_hold_an_object),
        TEST(the_propagation_becomes_a_finalizer),
        TEST(a_collection_is_deleted_by_label),
        TEST(a_namespace_goes_when_the_control_plane_says_so),
        TEST(finalizing_ends_a_namespace),
        TEST(a_budget_holds_evictions_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
