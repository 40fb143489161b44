/* test_status.c - Status objects say what Kubernetes says. */
#include "kube/status.h"

#include "base/cleanup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* Takes the status. */
static void assert_status(json_t *status, const char *expected)
{
    AUTO_FREE char *text = json_dumps(status, JSON_COMPACT);
    assert_string_equal(text, expected);
    json_decref(status);
}

static void failures_have_the_words_of_kubernetes(void **state)
{
    assert_status(kube_status_not_found("", "pods", "x"),
                  "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Failure\","
                  "\"message\":\"pods \\\"x\\\" not found\",\"reason\":\"NotFound\","
                  "\"details\":{\"name\":\"x\",\"kind\":\"pods\"},\"code\":404}");
    assert_status(kube_status_exists("apps", "deployments", "x"),
                  "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Failure\","
                  "\"message\":\"deployments.apps \\\"x\\\" already exists\",\"reason\":\"AlreadyExists\","
                  "\"details\":{\"name\":\"x\",\"group\":\"apps\",\"kind\":\"deployments\"},\"code\":409}");
    AUTO_JSON json_t *method = kube_status_method("apps", "deployments", "patch");
    assert_string_equal(kube_status_message(method),
                        "patch is not supported on resources of kind \"deployments.apps\"");
    assert_int_equal(kube_status_code(method), 405);
    AUTO_JSON json_t *forbidden = kube_status_forbidden("", "pods", NULL, "no");
    assert_string_equal(kube_status_message(forbidden), "pods is forbidden: no");
    AUTO_JSON json_t *conflict = kube_status_conflict("", "pods", "x", "it changed");
    assert_string_equal(kube_status_message(conflict), "Operation cannot be fulfilled on pods \"x\": it changed");
}

static void a_deletion_names_what_it_deleted(void **state)
{
    assert_status(kube_status_success("apps", "deployments", "x", "u"),
                  "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Success\","
                  "\"details\":{\"name\":\"x\",\"group\":\"apps\",\"kind\":\"deployments\",\"uid\":\"u\"}}");
}

static void one_cause_stands_alone_and_several_in_brackets(void **state)
{
    KubeCauses *causes = kube_causes_new();
    kube_cause(causes, "FieldValueRequired", "spec.x", "Required value");
    AUTO_JSON json_t *one = kube_causes_status(causes, "", "Pod", "a");
    assert_string_equal(kube_status_message(one), "Pod \"a\" is invalid: spec.x: Required value");
    assert_string_equal(kube_string(json_array_get(kube_get(one, "details.causes"), 0), "reason"),
                        "FieldValueRequired");

    causes = kube_causes_new();
    kube_cause(causes, "FieldValueRequired", "spec.x", "Required value");
    kube_cause(causes, "FieldValueRequired", "spec.x", "Required value");
    kube_cause(causes, "FieldValueInvalid", "spec.y", "Invalid value: %d: too small", 3);
    AUTO_JSON json_t *several = kube_causes_status(causes, "apps", "Deployment", "");
    assert_string_equal(kube_status_message(several), "Deployment.apps \"\" is invalid: [spec.x: Required value, "
                                                      "spec.y: Invalid value: 3: too small]");
    assert_int_equal(json_array_size(kube_get(several, "details.causes")), 3);
}

static void no_causes_make_no_status(void **state)
{
    assert_null(kube_causes_status(kube_causes_new(), "", "Pod", "a"));
}

static void causes_are_bounded(void **state)
{
    KubeCauses *causes = kube_causes_new();
    for (unsigned i = 0; i < KUBE_CAUSES_MAX + 50; i++)
        kube_cause(causes, "FieldValueRequired", "x", "Required value");
    assert_int_equal(kube_causes_count(causes), KUBE_CAUSES_MAX + 50);
    AUTO_JSON json_t *status = kube_causes_status(causes, "", "Pod", "a");
    assert_int_equal(json_array_size(kube_get(status, "details.causes")), KUBE_CAUSES_MAX);
}

static void names_are_quoted_as_go_does(void **state)
{
    AUTO_FREE char *text = kube_quote("a\"b\\c\n\x01\xc3\xa9");
    assert_string_equal(text, "\"a\\\"b\\\\c\\n\\x01\xc3\xa9\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failures_have_the_words_of_kubernetes),
        cmocka_unit_test(a_deletion_names_what_it_deleted),
        cmocka_unit_test(one_cause_stands_alone_and_several_in_brackets),
        cmocka_unit_test(no_causes_make_no_status),
        cmocka_unit_test(causes_are_bounded),
        cmocka_unit_test(names_are_quoted_as_go_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
