/* test_auth.c - who asks: tokens of service accounts and of the tokens file,
 * certificates; and what is no proof of anything. */
#include "cluster/api/auth.h"

#include "fake_store.h"

#include "base/cleanup.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

typedef struct Fixture {
    sd_event *event;
    Store *store;
    Authenticator *authenticator;
    ApiUser user;
} Fixture;

static int setup(void **state)
{
    Fixture *fixture = calloc(1, sizeof *fixture);
    *state = fixture;
    if (sd_event_new(&fixture->event) < 0)
        return -1;
    fixture->store = fake_store_new(fixture->event);
    fake_store_put(fixture->store, "serviceaccounts",
                   json_pack("{s:{s:s, s:s, s:s}}", "metadata", "name", "a", "namespace", "default", "uid", "u-1"));
    return authenticator_new("secret", NULL, fixture->store, &fixture->authenticator, NULL);
}

static int teardown(void **state)
{
    Fixture *fixture = *state;
    authenticator_free(fixture->authenticator);
    store_free(fixture->store);
    sd_event_unref(fixture->event);
    free(fixture);
    return 0;
}

static int bearer(Fixture *fixture, const char *token)
{
    AUTO_FREE char *header = NULL;
    assert_true(asprintf(&header, "Bearer %s", token) > 0);
    return authenticate(fixture->authenticator, NULL, header, &fixture->user);
}

static void a_token_names_its_service_account(void **state)
{
    Fixture *fixture = *state;
    AUTO_FREE char *token = authenticator_token(fixture->authenticator, "default", "a", "u-1", 0);
    assert_int_equal(bearer(fixture, token), 0);
    assert_string_equal(fixture->user.name, "system:serviceaccount:default:a");
    assert_string_equal(fixture->user.namespace, "default");
    assert_int_equal(fixture->user.role, ROLE_NONE);
}

static void a_token_ends_with_its_account_and_its_time(void **state)
{
    Fixture *fixture = *state;
    AUTO_FREE char *of_another = authenticator_token(fixture->authenticator, "default", "a", "u-2", 0);
    AUTO_FREE char *of_nobody = authenticator_token(fixture->authenticator, "default", "b", "u-1", 0);
    AUTO_FREE char *old = authenticator_token(fixture->authenticator, "default", "a", "u-1", 1600000000);
    AUTO_FREE char *young = authenticator_token(fixture->authenticator, "default", "a", "u-1", time(NULL) + 600);
    assert_int_equal(bearer(fixture, of_another), -EACCES);
    assert_int_equal(bearer(fixture, of_nobody), -EACCES);
    assert_int_equal(bearer(fixture, old), -EACCES);
    assert_int_equal(bearer(fixture, young), 0);
}

static void a_token_that_was_changed_is_worth_nothing(void **state)
{
    Fixture *fixture = *state;
    AUTO_FREE char *token = authenticator_token(fixture->authenticator, "default", "a", "u-1", 0);
    size_t length = strlen(token);
    for (size_t i = 0; i < length; i++) {
        char was = token[i];
        token[i] = was == 'A' ? 'Q' : 'A';
        if (token[i] != was)
            assert_int_equal(bearer(fixture, token), -EACCES);
        token[i] = was;
    }
    for (size_t i = 0; i < length; i += 7) {
        AUTO_FREE char *start = strndup(token, i);
        assert_int_equal(bearer(fixture, start), -EACCES);
    }
    Authenticator *other;
    assert_int_equal(authenticator_new("other secret", NULL, fixture->store, &other, NULL), 0);
    AUTO_FREE char *foreign = authenticator_token(other, "default", "a", "u-1", 0);
    authenticator_free(other);
    assert_int_equal(bearer(fixture, foreign), -EACCES);
}

static void a_signature_of_no_algorithm_is_no_signature(void **state)
{
    Fixture *fixture = *state;
    /* {"alg":"none"}.{"iss":"kubernetes/serviceaccount"}. */
    assert_int_equal(bearer(fixture, "eyJhbGciOiJub25lIn0.eyJpc3MiOiJrdWJlcm5ldGVzL3NlcnZpY2VhY2NvdW50In0."), -EACCES);
    assert_int_equal(bearer(fixture, ".."), -EACCES);
    assert_int_equal(bearer(fixture, ""), -EACCES);
}

static void without_any_proof_one_is_anonymous(void **state)
{
    Fixture *fixture = *state;
    assert_int_equal(authenticate(fixture->authenticator, NULL, NULL, &fixture->user), 0);
    assert_string_equal(fixture->user.name, "system:anonymous");
    assert_int_equal(fixture->user.role, ROLE_NONE);
}

static void put_pod(Fixture *fixture, const char *name, const char *node, const char *account, const char *phase)
{
    fake_store_put(fixture->store, "pods",
                   json_pack("{s:{s:s, s:s}, s:{s:s, s:s}, s:{s:s}}", "metadata", "name", name, "namespace", "default",
                             "spec", "nodeName", node, "serviceAccountName", account, "status", "phase", phase));
}

static void a_node_gets_tokens_of_its_live_pods_accounts_only(void **state)
{
    Fixture *fixture = *state;
    const ApiUser node = {.role = ROLE_NODE, .node = "node-1"};
    put_pod(fixture, "mine", "node-1", "a", "Running");
    put_pod(fixture, "of-another", "node-2", "b", "Running");
    put_pod(fixture, "ended", "node-1", "c", "Succeeded");
    put_pod(fixture, "nowhere", "", "d", "Pending");
    assert_true(auth_node_uses_account(fixture->store, &node, "default", "a"));
    assert_false(auth_node_uses_account(fixture->store, &node, "other", "a"));
    assert_false(auth_node_uses_account(fixture->store, &node, "default", "b"));
    assert_false(auth_node_uses_account(fixture->store, &node, "default", "c"));
    assert_false(auth_node_uses_account(fixture->store, &node, "default", "d"));
    assert_false(auth_node_uses_account(fixture->store, &node, "default", "default"));
    put_pod(fixture, "plain", "node-1", "", "Pending");
    assert_true(auth_node_uses_account(fixture->store, &node, "default", "default"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_token_names_its_service_account),         TEST(a_token_ends_with_its_account_and_its_time),
        TEST(a_token_that_was_changed_is_worth_nothing), TEST(a_signature_of_no_algorithm_is_no_signature),
        TEST(without_any_proof_one_is_anonymous),        TEST(a_node_gets_tokens_of_its_live_pods_accounts_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
