/* test_api_grant.c - nobody gets by a pod what he may not have himself. */
#include "api_fixture.h"

#define POD(spec) "{'metadata':{'name':'p'},'spec':{" spec "'containers':[{'name':'c','image':'i'}]}}"
#define OF_TEMPLATE(spec)                                                                                              \
    "'selector':{%s'app':'a'%s},'template':{'metadata':{'labels':{'app':'a'}},'spec':{" spec                           \
    "'containers':[{'name':'c','image':'i'}]}}"

static const ApiUser coordinator = {
    .role = ROLE_COORDINATOR, .name = "system:serviceaccount:default:coordinator", .namespace = "default"};

static int as_coordinator(Fixture *fixture, ApiVerb verb, const char *key, const char *name, const char *body)
{
    AUTO_JSON json_t *value = json_of(body);
    return submit(fixture, (ApiRequest){.verb = verb,
                                        .patch = API_PATCH_MERGE,
                                        .resource = resource_of_key(key),
                                        .namespace = "default",
                                        .name = name,
                                        .body = value,
                                        .user = &coordinator});
}

static void put_accounts(Fixture *fixture)
{
    assert_answer(201, create(fixture, "serviceaccounts", "default",
                              "{'metadata':{'name':'powerful','annotations':{'inaetics.org/role':'admin'}}}"));
    assert_answer(201, create(fixture, "serviceaccounts", "default", "{'metadata':{'name':'coordinator'}}"));
    assert_answer(201, create(fixture, "serviceaccounts", "default", "{'metadata':{'name':'admin'}}"));
}

static void a_pod_has_no_account_of_a_higher_role_than_who_makes_it(void **state)
{
    Fixture *fixture = *state;
    put_accounts(fixture);
    assert_answer(403, as_coordinator(fixture, API_CREATE, "pods", NULL, POD("'serviceAccountName':'powerful',")));
    assert_string_equal(message(fixture),
                        "pods \"p\" is forbidden: service account default/powerful has the role admin, user "
                        "\"system:serviceaccount:default:coordinator\" has only coordinator");
    assert_answer(403, as_coordinator(fixture, API_CREATE, "pods", NULL, POD("'serviceAccount':'powerful',")));
    assert_answer(403, as_coordinator(fixture, API_CREATE, "pods", NULL, POD("'serviceAccountName':'absent',")));
    assert_answer(201, create(fixture, "pods", "default", POD("'serviceAccountName':'powerful',")));
    assert_answer(
        403, as_coordinator(fixture, API_PATCH, "pods", "p", "{'spec':{'containers':[{'name':'c','image':'mine'}]}}"));
    assert_answer(200, as_coordinator(fixture, API_PATCH, "pods", "p", "{'metadata':{'labels':{'a':'b'}}}"));
    for (unsigned i = 0; i < 3; i++) {
        const char *bodies[] = {POD(""), POD("'serviceAccountName':'coordinator',"),
                                POD("'serviceAccountName':'admin',")};
        assert_answer(200, delete (fixture, "pods", "default", "p", "{'gracePeriodSeconds':0}"));
        assert_answer(201, as_coordinator(fixture, API_CREATE, "pods", NULL, bodies[i]));
    }
}

/* A workload of this kind with this in its template. */
static char *workload(const char *key, const char *spec)
{
    bool plain = strcmp(key, "replicationcontrollers") == 0;
    char *text = NULL;
    assert_true(asprintf(&text,
                         "{'metadata':{'name':'w'},'spec':{'serviceName':'s','replicas':1," OF_TEMPLATE("%s") "}}",
                         plain ? "" : "'matchLabels':{", plain ? "" : "}", spec) > 0);
    if (strcmp(key, "apps/statefulsets") != 0)
        memmove(strstr(text, "'serviceName':'s',"), strstr(text, "'replicas'"), strlen(strstr(text, "'replicas'")) + 1);
    return text;
}

static void templates_are_looked_at_too(void **state)
{
    static const char *const keys[] = {"replicationcontrollers", "apps/replicasets", "apps/deployments",
                                       "apps/statefulsets"};
    Fixture *fixture = *state;
    put_accounts(fixture);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        AUTO_FREE char *higher = workload(keys[i], "'serviceAccountName':'powerful',"), *plain = workload(keys[i], "");
        AUTO_FREE char *absent = workload(keys[i], "'serviceAccountName':'absent',");
        AUTO_FREE char *secret =
            workload(keys[i], "'volumes':[{'name':'x','emptyDir':{}},{'name':'v','secret':{'secretName':'s'}}],");
        assert_answer(403, as_coordinator(fixture, API_CREATE, keys[i], NULL, higher));
        assert_answer(403, as_coordinator(fixture, API_CREATE, keys[i], NULL, absent));
        assert_answer(403, as_coordinator(fixture, API_CREATE, keys[i], NULL, secret));
        assert_non_null(strstr(message(fixture), "spec.template.spec.volumes[1].secret: Forbidden"));
        assert_answer(201, as_coordinator(fixture, API_CREATE, keys[i], NULL, plain));
        assert_answer(403, as_coordinator(fixture, API_PATCH, keys[i], "w",
                                          "{'spec':{'template':{'spec':{'serviceAccountName':'powerful'}}}}"));
        assert_answer(403, as_coordinator(fixture, API_UPDATE, keys[i], "w", higher));
        assert_answer(200, update(fixture, keys[i], "default", "w", higher));
        assert_answer(200, as_coordinator(fixture, API_PATCH, keys[i], "w", "{'spec':{'replicas':2}}"));
        assert_answer(403, as_coordinator(fixture, API_PATCH, keys[i], "w",
                                          "{'spec':{'template':{'spec':{'nodeName':'mine'}}}}"));
    }
}

static void a_pod_uses_no_secret_that_its_maker_may_not_read(void **state)
{
    static const char *const uses[][2] = {
        {"'volumes':[{'name':'v','secret':{'secretName':'s'}}],'containers':[{'name':'c','image':'i'}]",
         "spec.volumes[0].secret"},
        {"'containers':[{'name':'c','image':'i','env':[{'name':'E','valueFrom':{'secretKeyRef':{'name':'s',"
         "'key':'k'}}}]}]",
         "spec.containers[0].env[0].valueFrom.secretKeyRef"},
        {"'initContainers':[{'name':'d','image':'i','envFrom':[{'secretRef':{'name':'s'}}]}],"
         "'containers':[{'name':'c','image':'i'}]",
         "spec.initContainers[0].envFrom[0].secretRef"},
    };
    Fixture *fixture = *state;
    for (size_t i = 0; i < sizeof uses / sizeof *uses; i++) {
        AUTO_FREE char *body = NULL, *expected = NULL;
        assert_true(asprintf(&body, "{'metadata':{'name':'p%zu'},'spec':{%s}}", i, uses[i][0]) > 0);
        assert_true(asprintf(&expected,
                             "pods \"p%zu\" is forbidden: %s: Forbidden: user "
                             "\"system:serviceaccount:default:coordinator\" cannot read the secret \"s\"",
                             i, uses[i][1]) > 0);
        assert_answer(403, as_coordinator(fixture, API_CREATE, "pods", NULL, body));
        assert_string_equal(message(fixture), expected);
        assert_answer(201, create(fixture, "pods", "default", body));
    }
    assert_answer(201, as_coordinator(fixture, API_CREATE, "pods", NULL, POD("'nodeSelector':{'secret':'s'},")));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_pod_has_no_account_of_a_higher_role_than_who_makes_it),
        TEST(templates_are_looked_at_too),
        TEST(a_pod_uses_no_secret_that_its_maker_may_not_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
