/* As whom containers run. */
#include "fixture.h"

#include "base/cleanup.h"
#include "cluster/node/identity.h"
#include "cluster/users.h"

static const IdentityNode ordinary = {.uid = 1000, .gid = 100, .groups = {20, 30}, .n_groups = 2, .confined = true};
static const IdentityNode root = {.changes = true, .confined = true};
static const IdentityNode bare_root = {.confined = true};

static int choose(const IdentityNode *node, const char *pod, const char *container, Identity *ret, InaError *error)
{
    AUTO_JSON json_t *of_pod = json_loads(pod, 0, NULL), *of_container = json_loads(container, 0, NULL);
    assert_non_null(of_pod);
    assert_non_null(of_container);
    *error = (InaError){0};
    return identity_choose(node, of_pod, of_container, 7001, ret, error);
}

static void each_pod_has_a_user_of_its_own_unless_it_names_one(void **state)
{
    Identity identity;
    InaError error;
    assert_success(choose(&root, "{}", "{}", &identity, &error), error);
    assert_true(identity.changes);
    assert_int_equal(identity.uid, 7001);
    assert_int_equal(identity.gid, 7001);
    assert_success(choose(&root, "{\"runAsUser\":5,\"runAsGroup\":6,\"fsGroup\":8,\"supplementalGroups\":[9,10]}",
                          "{\"runAsUser\":7}", &identity, &error),
                   error);
    assert_int_equal(identity.uid, 7);
    assert_int_equal(identity.gid, 6);
    assert_int_equal(identity.n_groups, 5);
    assert_int_equal(identity.groups[0], USERS_GROUP);
    assert_int_equal(identity.groups[1], 7001); /* what all containers of the pod share */
    assert_int_equal(identity.groups[2], 8);
    assert_int_equal(identity.groups[4], 10);
}

static void an_ordinary_user_runs_what_names_nobody_else(void **state)
{
    static const char *const right[][2] = {
        {"{}", "{}"},
        {"{\"runAsUser\":1000,\"runAsGroup\":100}", "{\"runAsNonRoot\":true}"},
        {"{\"runAsUser\":5}", "{\"runAsUser\":1000}"},
        {"{\"supplementalGroups\":[20,30,100],\"fsGroup\":5}", "{\"readOnlyRootFilesystem\":true}"},
        {"{}", "{\"capabilities\":{\"drop\":[\"ALL\"]},\"allowPrivilegeEscalation\":false}"},
    };
    for (size_t i = 0; i < sizeof right / sizeof *right; i++) {
        Identity identity;
        InaError error;
        assert_success(choose(&ordinary, right[i][0], right[i][1], &identity, &error), error);
        assert_false(identity.changes);
        assert_int_equal(identity.uid, 1000);
        assert_int_equal(identity.gid, 100);
    }
}

static void what_cannot_be_is_refused_by_name(void **state)
{
    static const struct {
        const IdentityNode *node;
        const char *pod, *container, *message;
    } cases[] = {
        {&ordinary, "{}", "{\"runAsUser\":1001}", "runAsUser: the node runs as user 1000 and cannot become user 1001"},
        {&ordinary, "{\"runAsUser\":1000}", "{\"runAsUser\":1001}", "runAsUser"},
        {&ordinary, "{\"runAsGroup\":7}", "{}", "runAsGroup"},
        {&ordinary, "{\"supplementalGroups\":[20,21]}", "{}", "supplementalGroups: the user of the node is not in"},
        {&bare_root, "{\"runAsNonRoot\":true}", "{}", "container has runAsNonRoot and image will run as root"},
        {&bare_root, "{}", "{\"capabilities\":{\"drop\":[\"ALL\"]}}", "capabilities.drop"},
        {&root, "{\"runAsUser\":0}", "{}", "root of the machine"},
        {&root,
         "{\"supplementalGroups\":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,"
         "29,30,31,32,33]}",
         "{}", "more than 32 groups"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Identity identity;
        InaError error;
        assert_failure(choose(cases[i].node, cases[i].pod, cases[i].container, &identity, &error), error,
                       cases[i].message);
    }
}

static void a_read_only_root_needs_someone_who_sees_to_it(void **state)
{
    IdentityNode open = ordinary;
    Identity identity;
    InaError error;
    open.confined = false;
    assert_failure(choose(&open, "{}", "{\"readOnlyRootFilesystem\":true}", &identity, &error), error, "Landlock");
    open.changes = true; /* a user of its own can still write in /tmp and the like */
    assert_failure(choose(&open, "{}", "{\"readOnlyRootFilesystem\":true}", &identity, &error), error, "Landlock");
    assert_success(choose(&open, "{}", "{\"readOnlyRootFilesystem\":false}", &identity, &error), error);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_pod_has_a_user_of_its_own_unless_it_names_one),
        cmocka_unit_test(an_ordinary_user_runs_what_names_nobody_else),
        cmocka_unit_test(what_cannot_be_is_refused_by_name),
        cmocka_unit_test(a_read_only_root_needs_someone_who_sees_to_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
