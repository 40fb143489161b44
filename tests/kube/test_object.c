/* test_object.c - objects by path, conditions, names, times. */
#include "kube/object.h"

#include "base/cleanup.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void what_is_absent_reads_as_empty(void **state)
{
    AUTO_JSON json_t *object = json_pack("{s:{s:i, s:s}}", "spec", "replicas", 3, "name", "x");
    assert_string_equal(kube_string(object, "spec.name"), "x");
    assert_string_equal(kube_string(object, "spec.replicas"), "");
    assert_string_equal(kube_string(object, "spec.name.deeper"), "");
    assert_string_equal(kube_string(NULL, "spec.name"), "");
    assert_int_equal(kube_integer(object, "spec.replicas", 7), 3);
    assert_int_equal(kube_integer(object, "spec.other", 7), 7);
    assert_false(kube_boolean(object, "spec.replicas"));
}

static void setting_makes_the_objects_on_the_way_but_changes_no_type(void **state)
{
    AUTO_JSON json_t *object = json_object();
    assert_int_equal(kube_set(object, "spec.template.metadata.name", json_string("x")), 0);
    assert_string_equal(kube_string(object, "spec.template.metadata.name"), "x");
    assert_int_equal(kube_set(object, "spec.template.metadata.name.first", json_string("y")), -EINVAL);
    kube_remove(object, "spec.template.metadata");
    kube_remove(object, "spec.nothing.there");
    assert_null(kube_get(object, "spec.template.metadata"));
}

static void a_condition_keeps_its_time_until_its_status_changes(void **state)
{
    AUTO_JSON json_t *object = json_object();
    assert_true(kube_set_condition(object, "Ready", "True", "Fine", "", 100));
    assert_true(kube_condition_true(object, "Ready"));
    assert_false(kube_set_condition(object, "Ready", "True", "Fine", "", 200));
    assert_true(kube_set_condition(object, "Ready", "True", "Better", NULL, 300));
    assert_string_equal(kube_string(kube_condition(object, "Ready"), "lastTransitionTime"), "1970-01-01T00:01:40Z");
    assert_null(kube_get(kube_condition(object, "Ready"), "message"));
    assert_true(kube_set_condition(object, "Ready", "False", "", "gone", 400));
    assert_string_equal(kube_string(kube_condition(object, "Ready"), "lastTransitionTime"), "1970-01-01T00:06:40Z");
    assert_null(kube_get(kube_condition(object, "Ready"), "reason"));
    assert_false(kube_condition_true(object, "Ready"));
    assert_int_equal(json_array_size(kube_get(object, "status.conditions")), 1);
}

static void the_controller_is_the_owner_that_says_so(void **state)
{
    AUTO_JSON json_t *owner = json_pack("{s:s, s:s, s:{s:s, s:s}}", "apiVersion", "v1", "kind", "ReplicationController",
                                        "metadata", "name", "rc", "uid", "u-1");
    AUTO_JSON json_t *object =
        json_pack("{s:{s:[{s:s}, o]}}", "metadata", "ownerReferences", "kind", "Other", kube_owner_reference(owner));
    assert_string_equal(kube_string(kube_controller(object), "uid"), "u-1");
    assert_null(kube_controller(owner));
}

static void names_are_checked_as_kubernetes_checks_them(void **state)
{
    char longest[KUBE_NAME_MAX + 2];
    memset(longest, 'a', sizeof longest);
    longest[KUBE_NAME_MAX] = '\0';
    assert_null(kube_check_dns_subdomain(longest));
    longest[KUBE_NAME_MAX] = 'a';
    longest[KUBE_NAME_MAX + 1] = '\0';
    assert_string_equal(kube_check_dns_subdomain(longest), "must be no more than 253 characters");
    assert_string_equal(kube_check_dns_label(longest), "must be no more than 63 characters");

    assert_null(kube_check_dns_subdomain("a.b-c.9"));
    const char *const wrong[] = {"", "A", "a..b", ".a", "a.", "-a", "a-", "a_b", "a/b", "\xc3\xa9"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_non_null(kube_check_dns_subdomain(wrong[i]));
    assert_string_equal(kube_check_dns_subdomain("A"),
                        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "
                        "'.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used "
                        "for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')");
    assert_null(kube_check_dns_label("9a"));
    assert_non_null(kube_check_dns_label("a.b"));
    assert_null(kube_check_service_name("a9"));
    assert_non_null(kube_check_service_name("9a"));
}

static void label_keys_have_an_optional_domain(void **state)
{
    assert_null(kube_check_label_key("app"));
    assert_null(kube_check_label_key("example.com/My_app.1"));
    assert_string_equal(kube_check_label_key("/x"), "prefix part must be non-empty");
    assert_string_equal(kube_check_label_key("a/"), "name part must be non-empty");
    assert_non_null(kube_check_label_key("a/b/c"));
    assert_non_null(kube_check_label_key("A/b"));
    assert_non_null(kube_check_label_key("-b"));
    assert_null(kube_check_label_value(""));
    assert_null(kube_check_label_value("A.b_c-9"));
    assert_non_null(kube_check_label_value("a b"));
    assert_non_null(kube_check_label_value("a-"));
}

static void times_are_read_as_they_are_written(void **state)
{
    char text[KUBE_TIME_SIZE];
    uint64_t us;
    kube_time(1769860800, text);
    assert_string_equal(text, "2026-01-31T12:00:00Z");
    assert_int_equal(kube_time_parse(text, &us), 0);
    assert_int_equal(us, UINT64_C(1769860800000000));
    kube_time_micro(us + 1500, text);
    assert_string_equal(text, "2026-01-31T12:00:00.001500Z");
    assert_int_equal(kube_time_parse(text, &us), 0);
    assert_int_equal(us, UINT64_C(1769860800001500));
    assert_int_equal(kube_time_parse("2026-01-31T14:00:00.5+02:00", &us), 0);
    assert_int_equal(us, UINT64_C(1769860800500000));
    const char *const wrong[] = {"",
                                 "2026-01-31",
                                 "2026-02-30T12:00:00Z",
                                 "2026-13-01T12:00:00Z",
                                 "2026-01-31T24:00:00Z",
                                 "2026-01-31T12:00:00",
                                 "2026-01-31T12:00:00.Z",
                                 "2026-01-31T12:00:00Zx",
                                 "2026-01-31T12:00:00+2:00",
                                 "0000-01-31T12:00:00Z"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(kube_time_parse(wrong[i], &us), -EINVAL);
}

static void ages_are_short(void **state)
{
    static const struct {
        uint64_t seconds;
        const char *age;
    } cases[] = {{0, "0s"},
                 {119, "119s"},
                 {120, "2m"},
                 {190, "3m10s"},
                 {600, "10m"},
                 {10799, "179m"},
                 {10800, "3h"},
                 {11100, "3h5m"},
                 {93600, "26h"},
                 {2 * 86400, "2d"},
                 {2 * 86400 + 3600, "2d1h"},
                 {12 * 86400 + 3600, "12d"},
                 {UINT64_C(730) * 86400, "2y"},
                 {UINT64_C(731) * 86400, "2y1d"},
                 {UINT64_C(3000) * 86400, "8y"}};
    char text[KUBE_TIME_SIZE];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        kube_age(cases[i].seconds, text);
        assert_string_equal(text, cases[i].age);
    }
}

static void random_names_have_their_form(void **state)
{
    char uid[KUBE_UID_SIZE], other[KUBE_UID_SIZE], suffix[6];
    kube_make_uid(uid);
    kube_make_uid(other);
    assert_int_equal(strlen(uid), 36);
    assert_int_equal(uid[14], '4');
    assert_string_not_equal(uid, other);
    kube_make_suffix(suffix);
    assert_int_equal(strlen(suffix), 5);
    assert_null(kube_check_dns_label(suffix));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_absent_reads_as_empty),
        cmocka_unit_test(setting_makes_the_objects_on_the_way_but_changes_no_type),
        cmocka_unit_test(a_condition_keeps_its_time_until_its_status_changes),
        cmocka_unit_test(the_controller_is_the_owner_that_says_so),
        cmocka_unit_test(names_are_checked_as_kubernetes_checks_them),
        cmocka_unit_test(label_keys_have_an_optional_domain),
        cmocka_unit_test(times_are_read_as_they_are_written),
        cmocka_unit_test(ages_are_short),
        cmocka_unit_test(random_names_have_their_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
