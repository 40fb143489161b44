/* test_api_write.c - create, update and patch keep Kubernetes' rules. */
#include "api_fixture.h"

#include <errno.h>

static void a_created_pod_has_what_the_server_gives(void **state)
{
    Fixture *fixture = *state;
    assert_answer(201, create(fixture, "pods", "default", simple_pod));
    const json_t *pod = fixture->object;
    assert_string_equal(kube_namespace(pod), "default");
    assert_int_equal(strlen(kube_uid(pod)), 36);
    assert_int_not_equal(kube_revision(pod), 0);
    assert_string_not_equal(kube_string(pod, "metadata.creationTimestamp"), "");
    assert_string_equal(kube_string(pod, "status.phase"), "Pending");
    assert_string_equal(kube_string(pod, "status.qosClass"), "BestEffort");
    assert_string_equal(kube_string(pod, "spec.serviceAccountName"), "default");
    assert_int_equal(json_array_size(kube_get(pod, "spec.tolerations")), 2);
    assert_answer(200, get(fixture, "pods", "default", "p"));
    assert_answer(409, create(fixture, "pods", "default", simple_pod));
    assert_string_equal(message(fixture), "pods \"p\" already exists");
}

static void a_create_outside_of_any_namespace_is_refused(void **state)
{
    Fixture *fixture = *state;
    assert_answer(404, create(fixture, "pods", "nowhere", simple_pod));
    assert_string_equal(message(fixture), "namespaces \"nowhere\" not found");
    assert_answer(201, create(fixture, "namespaces", "", "{'metadata':{'name':'going'}}"));
    assert_answer(200, delete (fixture, "namespaces", "", "going", NULL));
    assert_string_equal(kube_string(fixture->object, "status.phase"), "Terminating");
    assert_answer(403, create(fixture, "pods", "going", simple_pod));
    assert_string_equal(message(fixture), "pods \"p\" is forbidden: unable to create new content in namespace going "
                                          "because it is being terminated");
}

static void a_create_for_another_namespace_or_kind_is_refused(void **state)
{
    Fixture *fixture = *state;
    assert_answer(400, create(fixture, "configmaps", "default", "{'metadata':{'name':'x','namespace':'other'}}"));
    assert_string_equal(message(fixture),
                        "the namespace of the provided object does not match the namespace sent on the request");
    assert_answer(
        400, create(fixture, "configmaps", "default", "{'apiVersion':'v1','kind':'Service','metadata':{'name':'x'}}"));
    assert_string_equal(message(fixture), "Service in version \"v1\" cannot be handled as a ConfigMap: converting "
                                          "(v1.Service) to (core.ConfigMap): unknown conversion");
    assert_answer(400, create(fixture, "configmaps", "default",
                              "{'apiVersion':'v2','kind':'ConfigMap','metadata':{'name':'x'}}"));
    assert_answer(500, create(fixture, "configmaps", "default", "{'metadata':{'name':'x','resourceVersion':'1'}}"));
}

static void metadata_is_checked(void **state)
{
    Fixture *fixture = *state;
    assert_answer(422, create(fixture, "configmaps", "default", "{'metadata':{}}"));
    assert_string_equal(message(fixture),
                        "ConfigMap \"\" is invalid: metadata.name: Required value: name or generateName is required");
    assert_answer(422, create(fixture, "configmaps", "default", "{'metadata':{'name':'A'}}"));
    assert_answer(422, create(fixture, "configmaps", "default", "{'metadata':{'name':'a','labels':{'-':'b'}}}"));
    assert_answer(422, create(fixture, "configmaps", "default", "{'metadata':{'name':'a','labels':{'b':'-'}}}"));
    assert_answer(422, create(fixture, "configmaps", "default", "{'metadata':{'name':'a','annotations':{'b c':'d'}}}"));
    assert_answer(201, create(fixture, "configmaps", "default", "{'metadata':{'name':'a','annotations':{'B':'d'}}}"));
    assert_answer(422, create(fixture, "configmaps", "default", "{'metadata':{'name':'b','finalizers':['mine']}}"));
    assert_answer(422, create(fixture, "configmaps", "default",
                              "{'metadata':{'name':'b','ownerReferences':[{'apiVersion':'v1','kind':'Pod'}]}}"));
    assert_string_equal(message(fixture),
                        "ConfigMap \"b\" is invalid: [metadata.ownerReferences.name: Invalid value: \"\": name must "
                        "not be empty, metadata.ownerReferences.uid: Invalid value: \"\": uid must not be empty]");
}

static void a_name_is_generated(void **state)
{
    Fixture *fixture = *state;
    assert_answer(201, create(fixture, "configmaps", "default", "{'metadata':{'generateName':'some-'}}"));
    assert_int_equal(strncmp(kube_name(fixture->object), "some-", 5), 0);
    assert_int_equal(strlen(kube_name(fixture->object)), 10);
    fake_store_fail(fixture->store, EEXIST, 2);
    assert_answer(201, create(fixture, "configmaps", "default", "{'metadata':{'generateName':'some-'}}"));
}

static void an_update_of_an_old_version_is_a_conflict(void **state)
{
    Fixture *fixture = *state;
    assert_answer(201, create(fixture, "configmaps", "default", "{'metadata':{'name':'x'},'data':{'a':'1'}}"));
    AUTO_JSON json_t *first = json_deep_copy(fixture->object);
    assert_answer(200, update(fixture, "configmaps", "default", "x", "{'metadata':{'name':'x'},'data':{'a':'2'}}"));
    ApiRequest request = {.verb = API_UPDATE,
                          .resource = resource_of_key("configmaps"),
                          .namespace = "default",
                          .name = "x",
                          .body = first};
    assert_answer(409, submit(fixture, request));
    assert_string_equal(message(fixture), "Operation cannot be fulfilled on configmaps \"x\": the object has been "
                                          "modified; please apply your changes to the latest version and try again");
    assert_answer(404, update(fixture, "configmaps", "default", "y", "{'metadata':{'name':'y'}}"));
    assert_answer(400, update(fixture, "configmaps", "default", "y", "{'metadata':{'name':'x'}}"));
    assert_string_equal(message(fixture), "the name of the object (x) does not match the name on the URL (y)");
    assert_answer(409, update(fixture, "configmaps", "default", "x", "{'metadata':{'name':'x','uid':'other'}}"));
}

static void an_update_that_changes_nothing_writes_nothing(void **state)
{
    Fixture *fixture = *state;
    assert_answer(201, create(fixture, "configmaps", "default", "{'metadata':{'name':'x'},'data':{'a':'1'}}"));
    int64_t revision = kube_revision(fixture->object);
    assert_answer(200, update(fixture, "configmaps", "default", "x", "{'metadata':{'name':'x'},'data':{'a':'1'}}"));
    assert_int_equal(kube_revision(fixture->object), revision);
    assert_answer(200, patch(fixture, "configmaps", "default", "x", "{'data':{'a':'1'}}"));
    assert_int_equal(kube_revision(fixture->object), revision);
}

static void what_another_writer_did_meanwhile_is_kept(void **state)
{
    Fixture *fixture = *state;
    assert_answer(201, create(fixture, "configmaps", "default", "{'metadata':{'name':'x'},'data':{'a':'1'}}"));
    fake_store_race(fixture->store, 3);
    assert_answer(200, patch(fixture, "configmaps", "default", "x", "{'data':{'b':'2'}}"));
    assert_string_equal(kube_annotation(fixture->object, "race"), "1");
    assert_string_equal(kube_string(fixture->object, "data.b"), "2");
    fake_store_race(fixture->store, 1);
    char body[128];
    snprintf(body, sizeof body, "{'metadata':{'resourceVersion':'%lld'},'data':{'b':'3'}}",
             (long long)kube_revision(fixture->object));
    assert_answer(409, patch(fixture, "configmaps", "default", "x", body));
    fake_store_race(fixture->store, 1000);
    assert_answer(409, patch(fixture, "configmaps", "default", "x", "{'data':{'b':'4'}}"));
}

static void a_patch_makes_nothing(void **state)
{
    Fixture *fixture = *state;
    assert_answer(404, patch(fixture, "configmaps", "default", "x", "{'data':{'b':'2'}}"));
    assert_string_equal(message(fixture), "configmaps \"x\" not found");
}

static void put_makes_leases_and_endpoints(void **state)
{
    Fixture *fixture = *state;
    const char *key = "coordination.k8s.io/leases";
    assert_answer(201, update(fixture, key, "default", "l", "{'metadata':{'name':'l'},'spec':{}}"));
    assert_answer(422, update(fixture, key, "default", "l", "{'metadata':{'name':'l'},'spec':{}}"));
    assert_string_equal(message(fixture), "leases.coordination.k8s.io \"l\" is invalid: metadata.resourceVersion: "
                                          "Invalid value: 0x0: must be specified for an update");
}

static int patch_as_node(Fixture *fixture, const char *key, const char *name, const char *subresource, const char *body)
{
    static const ApiUser node = {.role = ROLE_NODE, .name = "system:node:n", .node = "n"};
    AUTO_JSON json_t *value = json_of(body);
    return submit(fixture, (ApiRequest){.verb = API_PATCH,
                                        .patch = API_PATCH_MERGE,
                                        .resource = resource_of_key(key),
                                        .namespace = strcmp(key, "nodes") == 0 ? "" : "default",
                                        .name = name,
                                        .subresource = subresource,
                                        .body = value,
                                        .user = &node});
}

static void a_node_changes_nothing_but_the_status_of_its_pods(void **state)
{
    Fixture *fixture = *state;
    assert_answer(201, create(fixture, "pods", "default", simple_pod));
    AUTO_JSON json_t *before = json_deep_copy(json_object_get(fixture->object, "metadata"));
    assert_answer(200, patch_as_node(fixture, "pods", "p", "status",
                                     "{'metadata':{'labels':{'app':'b'},'annotations':{'a':'b'},'finalizers':['a/b'],"
                                     "'ownerReferences':[]},'status':{'phase':'Running'}}"));
    assert_string_equal(kube_string(fixture->object, "status.phase"), "Running");
    json_t *after = json_object_get(fixture->object, "metadata");
    json_object_set(before, "resourceVersion", json_object_get(after, "resourceVersion"));
    assert_true(json_equal(before, after));
}

static void a_node_gives_itself_no_labels_that_draw_pods(void **state)
{
    Fixture *fixture = *state;
    assert_answer(201, create(fixture, "nodes", "",
                              "{'metadata':{'name':'n','labels':{'pool':'a','kubernetes.io/arch':'x'}},"
                              "'spec':{'unschedulable':true,'taints':[{'key':'a','effect':'NoSchedule'}]}}"));
    AUTO_JSON json_t *spec = json_deep_copy(json_object_get(fixture->object, "spec"));
    const char *body = "{'metadata':{'labels':{'pool':'b','disk':'fast','kubernetes.io/arch':'y'},"
                       "'annotations':{'a':'b'}},'spec':{'unschedulable':null,'taints':null},"
                       "'status':{'nodeInfo':{'osImage':'i'}}}";
    for (unsigned i = 0; i < 2; i++) {
        assert_answer(200, patch_as_node(fixture, "nodes", "n", i == 0 ? "status" : NULL, body));
        const json_t *labels = kube_labels(fixture->object);
        assert_int_equal(json_object_size(labels), 2);
        assert_string_equal(kube_string(labels, "pool"), "a");
        assert_null(kube_annotation(fixture->object, "a"));
        assert_true(json_equal(spec, json_object_get(fixture->object, "spec")));
        assert_string_equal(kube_string(fixture->object, "status.nodeInfo.osImage"), "i");
    }
    assert_string_equal(json_string_value(json_object_get(kube_labels(fixture->object), "kubernetes.io/arch")), "y");
}

static void status_and_the_rest_are_changed_apart(void **state)
{
    Fixture *fixture = *state;
    assert_answer(201, create(fixture, "pods", "default", simple_pod));
    assert_answer(
        200, patch(fixture, "pods", "default", "p", "{'metadata':{'labels':{'b':'c'}},'status':{'phase':'Running'}}"));
    assert_string_equal(kube_string(fixture->object, "status.phase"), "Pending");
    assert_string_equal(kube_string(fixture->object, "metadata.labels.b"), "c");
    AUTO_JSON json_t *body = json_of("{'status':{'phase':'Running'},'spec':{'nodeName':'n'}}");
    ApiRequest request = {.verb = API_PATCH,
                          .patch = API_PATCH_STRATEGIC,
                          .resource = resource_of_key("pods"),
                          .namespace = "default",
                          .name = "p",
                          .subresource = "status",
                          .body = body};
    assert_answer(200, submit(fixture, request));
    assert_string_equal(kube_string(fixture->object, "status.phase"), "Running");
    assert_string_equal(kube_string(fixture->object, "spec.nodeName"), "");
}

static void the_generation_counts_changes_of_the_spec(void **state)
{
    Fixture *fixture = *state;
    assert_answer(201, create(fixture, "replicationcontrollers", "default", simple_rc));
    assert_int_equal(kube_integer(fixture->object, "metadata.generation", 0), 1);
    assert_answer(200, patch(fixture, "replicationcontrollers", "default", "rc", "{'metadata':{'labels':{'x':'y'}}}"));
    assert_int_equal(kube_integer(fixture->object, "metadata.generation", 0), 1);
    assert_answer(200, patch(fixture, "replicationcontrollers", "default", "rc", "{'spec':{'replicas':3}}"));
    assert_int_equal(kube_integer(fixture->object, "metadata.generation", 0), 2);
}

static void a_dry_run_writes_nothing(void **state)
{
    Fixture *fixture = *state;
    AUTO_JSON json_t *body = json_of("{'metadata':{'name':'x'}}");
    ApiRequest request = {.verb = API_CREATE,
                          .resource = resource_of_key("configmaps"),
                          .namespace = "default",
                          .body = body,
                          .dry_run = true};
    size_t writes = fake_store_writes(fixture->store);
    assert_answer(201, submit(fixture, request));
    assert_string_not_equal(kube_uid(fixture->object), "");
    assert_int_equal(fake_store_writes(fixture->store), writes);
    assert_answer(404, get(fixture, "configmaps", "default", "x"));
    assert_answer(201, create(fixture, "configmaps", "default", "{'metadata':{'name':'x'}}"));
    assert_answer(409, submit(fixture, request));
}

static void who_may_not_is_told_what(void **state)
{
    Fixture *fixture = *state;
    ApiUser nobody = {.role = ROLE_NONE, .name = "nobody"};
    ApiRequest request = {
        .verb = API_LIST, .resource = resource_of_key("apps/deployments"), .namespace = "default", .user = &nobody};
    assert_answer(403, submit(fixture, request));
    assert_string_equal(message(fixture), "deployments.apps is forbidden: User \"nobody\" cannot list resource "
                                          "\"deployments\" in API group \"apps\" in the namespace \"default\"");
    request = (ApiRequest){.verb = API_GET, .resource = resource_of_key("nodes"), .name = "n", .user = &nobody};
    assert_answer(403, submit(fixture, request));
    assert_string_equal(message(fixture), "nodes \"n\" is forbidden: User \"nobody\" cannot get resource \"nodes\" in "
                                          "API group \"\" at the cluster scope");
}

static void the_stores_failures_are_told(void **state)
{
    Fixture *fixture = *state;
    fake_store_fail(fixture->store, EFBIG, 1);
    assert_answer(413, create(fixture, "configmaps", "default", "{'metadata':{'name':'x'}}"));
    fake_store_fail(fixture->store, ETIMEDOUT, 1);
    assert_answer(504, create(fixture, "configmaps", "default", "{'metadata':{'name':'x'}}"));
    fake_store_fail(fixture->store, ENOSPC, 1);
    assert_answer(500, create(fixture, "configmaps", "default", "{'metadata':{'name':'x'}}"));
}

static void an_api_that_ends_answers_no_more(void **state)
{
    Fixture *fixture = *state;
    AUTO_JSON json_t *body = json_of("{'metadata':{'name':'x'}}");
    ApiRequest request = {
        .verb = API_CREATE, .resource = resource_of_key("configmaps"), .namespace = "default", .body = body};
    api_submit(fixture->api, &request, NULL, NULL);
    request.verb = API_DELETE_COLLECTION;
    request.resource = resource_of_key("namespaces");
    request.body = NULL;
    api_submit(fixture->api, &request, NULL, NULL);
    request.verb = API_GET;
    api_submit(fixture->api, &request, NULL, NULL);
    fixture->api = api_free(fixture->api);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_created_pod_has_what_the_server_gives),
        TEST(a_create_outside_of_any_namespace_is_refused),
        TEST(a_create_for_another_namespace_or_kind_is_refused),
        TEST(metadata_is_checked),
        TEST(a_name_is_generated),
        TEST(an_update_of_an_old_version_is_a_conflict),
        TEST(an_update_that_changes_nothing_writes_nothing),
        TEST(what_another_writer_did_meanwhile_is_kept),
        TEST(a_patch_makes_nothing),
        TEST(put_makes_leases_and_endpoints),
        TEST(status_and_the_rest_are_changed_apart),
        TEST(a_node_changes_nothing_but_the_status_of_its_pods),
        TEST(a_node_gives_itself_no_labels_that_draw_pods),
        TEST(the_generation_counts_changes_of_the_spec),
        TEST(a_dry_run_writes_nothing),
        TEST(who_may_not_is_told_what),
        TEST(the_stores_failures_are_told),
        TEST(an_api_that_ends_answers_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
