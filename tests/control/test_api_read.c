/* test_api_read.c - lists, pages and selectors; scale, binding, tokens. */
#include "api_fixture.h"

static void fill(Fixture *fixture, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        char body[128];
        snprintf(body, sizeof body, "{'metadata':{'name':'x%02u','labels':{'n':'%u'}}}", i, i);
        assert_answer(201, create(fixture, "configmaps", "default", body));
    }
}

static ApiRequest list_of(const char *key)
{
    return (ApiRequest){.verb = API_LIST, .resource = resource_of_key(key), .namespace = "default"};
}

static size_t items(const Fixture *fixture)
{
    return json_array_size(json_object_get(fixture->object, "items"));
}

static void a_list_names_its_kind_once(void **state)
{
    Fixture *fixture = *state;
    fill(fixture, 2);
    assert_answer(200, submit(fixture, list_of("configmaps")));
    assert_string_equal(kube_string(fixture->object, "kind"), "ConfigMapList");
    assert_string_equal(kube_string(fixture->object, "apiVersion"), "v1");
    assert_int_equal(kube_revision(fixture->object), store_revision(fixture->store));
    const json_t *item = json_array_get(json_object_get(fixture->object, "items"), 0);
    /* As the store has it: its text is known, and written without kind and apiVersion. */
    assert_ptr_equal(item, store_get(fixture->store, "configmaps", kube_namespace(item), kube_name(item)));
    assert_string_equal(kube_name(item), "x00");
}

static void pages_show_one_state(void **state)
{
    Fixture *fixture = *state;
    fill(fixture, 5);
    ApiRequest request = list_of("configmaps");
    request.limit = 2;
    assert_answer(200, submit(fixture, request));
    assert_int_equal(items(fixture), 2);
    assert_int_equal(kube_integer(fixture->object, "metadata.remainingItemCount", 0), 3);
    int64_t revision = kube_revision(fixture->object);
    AUTO_FREE char *first = strdup(kube_string(fixture->object, "metadata.continue"));
    assert_answer(200, delete (fixture, "configmaps", "default", "x03", NULL));
    request.continue_ = first;
    assert_answer(200, submit(fixture, request));
    assert_int_equal(kube_revision(fixture->object), revision);
    assert_string_equal(kube_name(json_array_get(json_object_get(fixture->object, "items"), 1)), "x03");
    AUTO_FREE char *second = strdup(kube_string(fixture->object, "metadata.continue"));
    request.continue_ = second;
    assert_answer(200, submit(fixture, request));
    assert_int_equal(items(fixture), 1);
    assert_string_equal(kube_string(fixture->object, "metadata.continue"), "");
}

static void a_list_whose_snapshot_is_gone_may_be_read_on_knowingly(void **state)
{
    Fixture *fixture = *state;
    fill(fixture, 5);
    ApiRequest request = list_of("configmaps");
    request.limit = 2;
    assert_answer(200, submit(fixture, request));
    AUTO_FREE char *old = strdup(kube_string(fixture->object, "metadata.continue"));
    for (unsigned i = 0; i < 100; i++) /* others push it out */
        assert_answer(200, submit(fixture, request));
    request.continue_ = old;
    assert_answer(410, submit(fixture, request));
    assert_string_equal(kube_string(fixture->object, "reason"), "Expired");
    AUTO_FREE char *knowingly = strdup(kube_string(fixture->object, "metadata.continue"));
    request.continue_ = knowingly;
    request.limit = 0;
    assert_answer(200, submit(fixture, request));
    assert_int_equal(items(fixture), 3);
}

static void tokens_that_are_none_are_refused(void **state)
{
    Fixture *fixture = *state;
    fill(fixture, 3);
    const char *const wrong[] = {"x", "e30", "!!!", "bnVsbA", "eyJ2IjoibWV0YS5rOHMuaW8vdjEifQ=="};
    ApiRequest request = list_of("configmaps");
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        request.continue_ = wrong[i];
        assert_answer(400, submit(fixture, request));
    }
    request.continue_ = "eyJ2IjoibWV0YS5rOHMuaW8vdjEifQ"; /* of no list */
    assert_answer(410, submit(fixture, request));
    request.resource_version = "5";
    assert_answer(400, submit(fixture, request));
    request.continue_ = NULL;
    request.resource_version = "abc";
    assert_answer(500, submit(fixture, request));
    request.resource_version = "18446744073709551615";
    assert_answer(504, submit(fixture, request));
}

static void selectors_choose(void **state)
{
    Fixture *fixture = *state;
    fill(fixture, 5);
    ApiRequest request = list_of("configmaps");
    request.label_selector = "n in (1,3)";
    assert_answer(200, submit(fixture, request));
    assert_int_equal(items(fixture), 2);
    request.field_selector = "metadata.name=x03";
    assert_answer(200, submit(fixture, request));
    assert_int_equal(items(fixture), 1);
    request.field_selector = "metadata.name=x04";
    assert_answer(200, submit(fixture, request));
    assert_int_equal(items(fixture), 0);
    request.field_selector = "data.x=y";
    assert_answer(400, submit(fixture, request));
    request.field_selector = NULL;
    request.label_selector = "n in (1";
    assert_answer(400, submit(fixture, request));
}

/* --- scale ------------------------------------------------------------------------------------------------ */

static int scale(Fixture *fixture, ApiVerb verb, const char *name, const char *body)
{
    AUTO_JSON json_t *value = body ? json_of(body) : NULL;
    ApiRequest request = {.verb = verb,
                          .patch = API_PATCH_MERGE,
                          .resource = resource_of_key("replicationcontrollers"),
                          .namespace = "default",
                          .name = name,
                          .subresource = "scale",
                          .body = value};
    return submit(fixture, request);
}

static void scale_changes_replicas_alone(void **state)
{
    Fixture *fixture = *state;
    assert_answer(201, create(fixture, "replicationcontrollers", "default", simple_rc));
    assert_answer(200, scale(fixture, API_GET, "rc", NULL));
    assert_string_equal(kube_string(fixture->object, "kind"), "Scale");
    assert_int_equal(kube_integer(fixture->object, "spec.replicas", 0), 2);
    assert_string_equal(kube_string(fixture->object, "status.selector"), "app=a");
    assert_answer(200, scale(fixture, API_PATCH, "rc", "{'spec':{'replicas':5}}"));
    assert_int_equal(kube_integer(fixture->object, "spec.replicas", 0), 5);
    assert_answer(200, scale(fixture, API_UPDATE, "rc", "{'metadata':{'name':'rc','namespace':'default'},'spec':{}}"));
    assert_null(kube_get(fixture->object, "spec.replicas"));
    assert_answer(422, scale(fixture, API_PATCH, "rc", "{'spec':{'replicas':-1}}"));
    assert_answer(409, scale(fixture, API_PATCH, "rc", "{'metadata':{'resourceVersion':'1'},'spec':{'replicas':1}}"));
    assert_answer(400, scale(fixture, API_UPDATE, "rc", "{'kind':'Pod','apiVersion':'v1','metadata':{'name':'rc'}}"));
    assert_answer(404, scale(fixture, API_GET, "none", NULL));
    assert_answer(200, get(fixture, "replicationcontrollers", "default", "rc"));
    assert_int_equal(kube_integer(fixture->object, "spec.replicas", -1), 0);
    assert_int_equal(kube_integer(fixture->object, "metadata.generation", 0), 3);
}

static void scaling_is_tried_again_when_another_writer_was_first(void **state)
{
    Fixture *fixture = *state;
    assert_answer(201, create(fixture, "replicationcontrollers", "default", simple_rc));
    fake_store_race(fixture->store, 2);
    assert_answer(200, scale(fixture, API_PATCH, "rc", "{'spec':{'replicas':5}}"));
    assert_answer(200, get(fixture, "replicationcontrollers", "default", "rc"));
    assert_string_equal(kube_annotation(fixture->object, "race"), "1");
    assert_int_equal(kube_integer(fixture->object, "spec.replicas", 0), 5);
}

/* --- binding, tokens ------------------------------------------------------------------------------------------ */

static int bind_pod(Fixture *fixture, const char *name, const char *body)
{
    AUTO_JSON json_t *value = json_of(body);
    ApiRequest request = {.verb = API_CREATE,
                          .resource = resource_of_key("pods"),
                          .namespace = "default",
                          .name = name,
                          .subresource = "binding",
                          .body = value};
    return submit(fixture, request);
}

static void a_pod_is_bound_once(void **state)
{
    Fixture *fixture = *state;
    assert_answer(201, create(fixture, "pods", "default", simple_pod));
    assert_answer(500, bind_pod(fixture, "p", "{'metadata':{'name':'p'}}"));
    assert_answer(400, bind_pod(fixture, "p", "{'metadata':{'name':'q'},'target':{'name':'n'}}"));
    assert_answer(404, bind_pod(fixture, "q", "{'target':{'name':'n'}}"));
    assert_answer(201, bind_pod(fixture, "p", "{'metadata':{'name':'p'},'target':{'kind':'Node','name':'n'}}"));
    assert_int_equal(kube_integer(fixture->object, "code", 0), 201);
    assert_answer(409, bind_pod(fixture, "p", "{'target':{'name':'m'}}"));
    assert_string_equal(message(fixture), "Operation cannot be fulfilled on pods/binding \"p\": pod p is already "
                                          "assigned to node \"n\"");
    assert_answer(200, get(fixture, "pods", "default", "p"));
    assert_string_equal(kube_string(fixture->object, "spec.nodeName"), "n");
    assert_true(kube_condition_true(fixture->object, "PodScheduled"));
}

static void a_service_account_gets_a_token(void **state)
{
    Fixture *fixture = *state;
    AUTO_JSON json_t *body = json_of("{'spec':{'expirationSeconds':700}}");
    ApiRequest request = {.verb = API_CREATE,
                          .resource = resource_of_key("serviceaccounts"),
                          .namespace = "default",
                          .name = "a",
                          .subresource = "token",
                          .body = body};
    assert_answer(404, submit(fixture, request));
    assert_answer(201, create(fixture, "serviceaccounts", "default", "{'metadata':{'name':'a'}}"));
    assert_answer(201, submit(fixture, request));
    assert_int_equal(strncmp(kube_string(fixture->object, "status.token"), "token of default/a ", 19), 0);
}

static void what_is_not_served_is_said(void **state)
{
    Fixture *fixture = *state;
    ApiRequest request = {.verb = API_DELETE_COLLECTION, .resource = resource_of_key("namespaces"), .grace = -1};
    assert_answer(405, submit(fixture, request));
    request = (ApiRequest){
        .verb = API_UPDATE, .resource = resource_of_key("pods"), .namespace = "default", .subresource = "binding"};
    assert_answer(405, submit(fixture, request));
    request = (ApiRequest){.verb = API_GET, .resource = resource_of_key("metrics.k8s.io/nodes"), .name = "n"};
    assert_answer(404, submit(fixture, request));
}

static json_t *measure(void *userdata, const Resource *resource, const char *namespace, const char *name)
{
    return json_pack("[{s:{s:s}}]", "metadata", "name", *name ? name : "n");
}

static void metrics_come_from_elsewhere(void **state)
{
    Fixture *fixture = *state;
    api_set_metrics(fixture->api, measure, NULL);
    ApiRequest request = {.verb = API_GET, .resource = resource_of_key("metrics.k8s.io/nodes"), .name = "n"};
    assert_answer(200, submit(fixture, request));
    request.verb = API_LIST;
    request.name = NULL;
    assert_answer(200, submit(fixture, request));
    assert_string_equal(kube_string(fixture->object, "kind"), "NodeMetricsList");
    assert_int_equal(items(fixture), 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_list_names_its_kind_once),
        TEST(pages_show_one_state),
        TEST(a_list_whose_snapshot_is_gone_may_be_read_on_knowingly),
        TEST(tokens_that_are_none_are_refused),
        TEST(selectors_choose),
        TEST(scale_changes_replicas_alone),
        TEST(scaling_is_tried_again_when_another_writer_was_first),
        TEST(a_pod_is_bound_once),
        TEST(a_service_account_gets_a_token),
        TEST(what_is_not_served_is_said),
        TEST(metrics_come_from_elsewhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
