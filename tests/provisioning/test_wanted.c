#include "base/cleanup.h"
#include "model_test.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static InaError error;

#define assert_says(text, part)                                                                                        \
    do {                                                                                                               \
        if (!strstr(text, part))                                                                                       \
            fail_msg("\"%s\" does not say \"%s\"", text, part);                                                        \
    } while (0)

/* A feature f in a distribution d for the target t. */
static Model *with_target(const char *tags)
{
    Model *model = model_new();
    add(model, OBJECT_TARGET, "{'attributes': {'id': 't'}, 'tags': {%s}}", tags);
    add_named(model, OBJECT_FEATURE, "f");
    add_named(model, OBJECT_DISTRIBUTION, "d");
    add_filters(model, OBJECT_FEATURE2DISTRIBUTION, "(name=f)", "1", "(name=d)", "1");
    add_filters(model, OBJECT_DISTRIBUTION2TARGET, "(name=d)", "1", "(id=t)", "1");
    return model;
}

#define PLATFORM_C "'target.runtime': 'c', 'target.processor': 'x86-64'"

static const Object *target_of(const Model *model)
{
    return model_get(model, OBJECT_TARGET, "target-id-t");
}

/* Adds the artifact to f. */
static void give(Model *model, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void give(Model *model, const char *format, ...)
{
    char attributes[2048];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(attributes, sizeof attributes, format, arguments);
    va_end(arguments);
    const Object *artifact = add(model, OBJECT_ARTIFACT, "{%s}", attributes);
    add_link(model, OBJECT_ARTIFACT2FEATURE, artifact, model_get(model, OBJECT_FEATURE, "feature-name-f"));
}

static void give_bundle(Model *model, const char *name, const char *version, const char *more)
{
    give(model, "'attributes': {'Bundle-SymbolicName': '%s', 'Bundle-Version': '%s'%s}", name, version, more);
}

/* "a-1.0.0[f;d] " */
static void assert_wanted(const Model *model, const char *expected)
{
    char out[1024] = "";
    Wanted *wanted = NULL;
    size_t n = 0;
    char *reasons = NULL;
    if (model_wanted(model, target_of(model), &wanted, &n, &reasons, &error) < 0)
        fail_msg("%s\n%s", error.message, reasons);
    assert_null(reasons);
    for (size_t i = 0; i < n; i++) {
        const char *name = object_attribute(wanted[i].artifact, "Bundle-SymbolicName");
        if (name)
            sprintf(out + strlen(out), "%s-%s[%s] ", name, object_attribute(wanted[i].artifact, "Bundle-Version"),
                    wanted[i].paths);
        else
            sprintf(out + strlen(out), "%s[%s] ", object_attribute(wanted[i].artifact, "filename"), wanted[i].paths);
    }
    wanted_free(wanted, n);
    assert_string_equal(out, expected);
}

/* Its one reason. */
static void assert_refused(const Model *model, const char *reason)
{
    Wanted *wanted = NULL;
    size_t n = 0;
    char *AUTO_FREE reasons = NULL;
    assert_int_equal(model_wanted(model, target_of(model), &wanted, &n, &reasons, &error), -EINVAL);
    assert_null(wanted);
    assert_string_equal(reasons, reason);
    assert_says(error.message, "target t: ");
}

static void assert_refused_with(const Model *model, const char *part)
{
    Wanted *wanted = NULL;
    size_t n = 0;
    char *AUTO_FREE reasons = NULL;
    assert_int_equal(model_wanted(model, target_of(model), &wanted, &n, &reasons, &error), -EINVAL);
    assert_says(reasons, part);
}

static void test_a_target_gets_what_is_linked_with_it_and_the_ways_are_told(void **state)
{
    Model *model = with_target(PLATFORM_C);
    assert_wanted(model, "");
    give_bundle(model, "b", "1.0.0", "");
    give_bundle(model, "a", "2.0.0", "");
    add_bundle(model, "c", "1.0.0");
    assert_wanted(model, "a-2.0.0[f;d] b-1.0.0[f;d] ");
    add_named(model, OBJECT_FEATURE, "g");
    add_named(model, OBJECT_DISTRIBUTION, "e");
    add_filters(model, OBJECT_ARTIFACT2FEATURE, "(Bundle-SymbolicName=a)", "1", "(name=g)", "1");
    add_filters(model, OBJECT_FEATURE2DISTRIBUTION, "(name=*)", "N", "(name=e)", "1");
    assert_wanted(model, "a-2.0.0[f;d] b-1.0.0[f;d] ");
    add_filters(model, OBJECT_DISTRIBUTION2TARGET, "(name=*)", "N", "(id=t)", "1");
    assert_wanted(model, "a-2.0.0[f;d,f;e,g;e] b-1.0.0[f;d,f;e] ");
    model_free(model);
}

static void test_a_target_that_the_model_lacks_is_told(void **state)
{
    Model *model = model_new();
    Object *target = made(OBJECT_TARGET, NULL, "{'attributes': {'id': 'x'}}");
    Wanted *wanted;
    size_t n;
    assert_int_equal(model_wanted(model, target, &wanted, &n, NULL, &error), -ENOENT);
    object_unref(target);
    model_free(model);
}

static void test_bundles_for_another_runtime_are_refused(void **state)
{
    Model *model = with_target(PLATFORM_C);
    give_bundle(model, "good", "1.0.0", ", 'runtime': 'c'");
    give_bundle(model, "felix", "1.0.0", ", 'runtime': 'java'");
    assert_refused(model,
                   "bundle felix 1.0.0 (feature f, distribution d) is for runtime java, the target runs c; right "
                   "would be a bundle for c, or a distribution without this feature");
    model_free(model);

    /* What a person wrote at the target counts before what its agent said. */
    model = with_target("'runtime': 'java', " PLATFORM_C);
    give_bundle(model, "felix", "1.0.0", ", 'runtime': 'java'");
    assert_wanted(model, "felix-1.0.0[f;d] ");
    model_free(model);
}

static void test_bundles_of_two_runtimes_are_refused_where_the_targets_is_not_known(void **state)
{
    Model *model = with_target("");
    give_bundle(model, "one", "1.0.0", ", 'runtime': 'java'");
    give_bundle(model, "two", "1.0.0", "");
    assert_wanted(model, "one-1.0.0[f;d] two-1.0.0[f;d] ");
    give_bundle(model, "three", "1.0.0", ", 'runtime': 'c'");
    assert_refused_with(model, "an agent runs one kind");
    model_free(model);
}

static void test_native_code_for_another_processor_is_refused(void **state)
{
    Model *model = with_target("'target.runtime': 'c', 'target.processor': 'amd64'");
    give_bundle(model, "a", "1.0.0", ", 'runtime': 'c', 'processors': 'AArch64, x86-64'");
    assert_wanted(model, "a-1.0.0[f;d] ");
    give_bundle(model, "b", "1.0.0", ", 'runtime': 'c', 'processors': 'AArch64,riscv64'");
    assert_refused(model,
                   "bundle b 1.0.0 (feature f, distribution d) has native code for AArch64,riscv64, the target's "
                   "processor is amd64");
    model_free(model);
}

static void test_two_versions_of_one_bundle_are_refused(void **state)
{
    Model *model = with_target(PLATFORM_C);
    give_bundle(model, "a", "1.0.0", "");
    add_named(model, OBJECT_FEATURE, "g");
    const Object *newer = add_bundle(model, "a", "1.1.0");
    add_link(model, OBJECT_ARTIFACT2FEATURE, newer, model_get(model, OBJECT_FEATURE, "feature-name-g"));
    assert_wanted(model, "a-1.0.0[f;d] ");
    add_filters(model, OBJECT_FEATURE2DISTRIBUTION, "(name=g)", "1", "(name=d)", "1");
    assert_refused(model,
                   "bundle a 1.0.0 (feature f, distribution d) and bundle a 1.1.0 (feature g, distribution d): two "
                   "versions of one bundle; right would be one of them");
    model_free(model);
}

static void add_processor(Model *model, const char *version, const char *runtime)
{
    add(model, OBJECT_ARTIFACT,
        "{'attributes': {'Bundle-SymbolicName': 'rp', 'Bundle-Version': '%s', 'runtime': '%s', "
        "'Deployment-ProvidesResourceProcessor': 'the.pid'}}",
        version, runtime);
}

static void test_configurations_bring_the_newest_resource_processor_of_their_pid(void **state)
{
    Model *model = with_target("'target.runtime': 'java'");
    give(model, "'attributes': {'filename': 'x.xml', 'processorPid': 'the.pid'}");
    give(model, "'attributes': {'filename': 'y.xml', 'processorPid': 'the.pid'}");
    assert_refused(model,
                   "configuration x.xml (feature f, distribution d) needs the resource processor the.pid, which no "
                   "artifact provides; right would be to upload a bundle with Deployment-ProvidesResourceProcessor: "
                   "the.pid\n"
                   "configuration y.xml (feature f, distribution d) needs the resource processor the.pid, which no "
                   "artifact provides; right would be to upload a bundle with Deployment-ProvidesResourceProcessor: "
                   "the.pid");
    add_processor(model, "9.0.0", "c");
    assert_refused_with(model, "which no artifact provides for runtime java (rp 9.0.0 is for c)");
    add_processor(model, "1.9.0", "java");
    add_processor(model, "1.10.0", "java");
    assert_wanted(model, "rp-1.10.0[] x.xml[f;d] y.xml[f;d] ");
    model_free(model);
}

static void test_agents_for_c_configure_components_themselves(void **state)
{
    Model *model = with_target(PLATFORM_C);
    give(model, "'attributes': {'filename': 'x.json', 'processorPid': 'org.inaetics.rp.configuration'}");
    assert_wanted(model, "x.json[f;d] ");
    give(model, "'attributes': {'filename': 'y.txt'}");
    assert_refused(model,
                   "configuration y.txt (feature f, distribution d) says no resource processor; right would be its "
                   "PID as attribute processorPid");
    model_free(model);

    model = with_target("'target.runtime': 'java'");
    give(model, "'attributes': {'filename': 'x.json', 'processorPid': 'org.inaetics.rp.configuration'}");
    assert_refused_with(model, "needs the resource processor org.inaetics.rp.configuration");
    model_free(model);
}

static void give_requiring(Model *model, const char *name, const char *runtime, const char *provides,
                           const char *requires_clause)
{
    json_t *value =
        json_pack("{s:{s:s, s:s, s:s}, s:[s], s:[s]}", "attributes", "Bundle-SymbolicName", name, "Bundle-Version",
                  "1.0.0", "runtime", runtime, "provides", provides, "requires", requires_clause);
    Object *object = NULL;
    if (object_new(OBJECT_ARTIFACT, value, NULL, &object, &error) < 0)
        fail_msg("%s", error.message);
    assert_int_equal(model_add(model, object, &error), 0);
    add_link(model, OBJECT_ARTIFACT2FEATURE, object, model_get(model, OBJECT_FEATURE, "feature-name-f"));
    object_unref(object);
    json_decref(value);
}

static void test_requirements_are_met_by_the_platform_or_by_each_other(void **state)
{
    Model *model = with_target("'target.runtime': 'c', 'target.platform': "
                               "'inaetics.framework;version:Version=\\\"1.2.0\\\"'");
    give_requiring(model, "a", "c", "inaetics.thing;thing=x",
                   "inaetics.framework;filter:=\"(&(version>=1.0)(!(version>=2.0)))\"");
    give_requiring(model, "b", "c", "inaetics.other", "inaetics.thing;filter:=\"(thing=x)\"");
    assert_wanted(model, "a-1.0.0[f;d] b-1.0.0[f;d] ");
    give_requiring(model, "c", "c", "inaetics.other", "inaetics.thing;filter:=\"(thing=y)\"");
    give_requiring(model, "d", "c", "inaetics.other", "inaetics.framework;filter:=\"(version>=2.0)\"");
    assert_refused(model,
                   "bundle c 1.0.0 (feature f, distribution d) requires what neither its own bundles nor the target's "
                   "platform provide: inaetics.thing (thing=y)\n"
                   "bundle d 1.0.0 (feature f, distribution d) requires what neither its own bundles nor the target's "
                   "platform provide: inaetics.framework (version>=2.0) (there is version 1.2.0)");
    model_free(model);
}

static void test_a_c_target_that_told_no_platform_is_taken_for_one_of_this_version(void **state)
{
    Model *model = with_target(PLATFORM_C);
    give_requiring(model, "a", "c", "x", "inaetics.framework;filter:=\"(version>=0.1)\"");
    assert_wanted(model, "a-1.0.0[f;d] ");
    give_requiring(model, "b", "c", "x", "inaetics.framework;filter:=\"(version>=99)\"");
    assert_refused_with(model, "bundle b 1.0.0");
    model_free(model);
}

static void test_only_namespaces_that_are_known_are_checked(void **state)
{
    Model *model = with_target(PLATFORM_C);
    give_requiring(model, "a", "c", "x", "osgi.ee;filter:=\"(osgi.ee=JavaSE)\"");
    give_requiring(model, "b", "c", "x", "inaetics.service;filter:=\"(contract=x)\";effective:=active");
    give_requiring(model, "c", "c", "x", "inaetics.thing;resolution:=optional");
    assert_wanted(model, "a-1.0.0[f;d] b-1.0.0[f;d] c-1.0.0[f;d] ");
    model_free(model);

    model = with_target("'target.runtime': 'java'");
    give_requiring(model, "a", "java", "x", "osgi.ee;filter:=\"(version>=9)\"");
    give_requiring(model, "b", "java", "x", "inaetics.thing");
    assert_wanted(model, "a-1.0.0[f;d] b-1.0.0[f;d] ");
    model_free(model);

    model = with_target("'target.runtime': 'java', 'target.platform': 'osgi.ee;version:Version=8'");
    give_requiring(model, "a", "java", "x", "osgi.ee;filter:=\"(version>=8)\"");
    give_requiring(model, "b", "java", "x", "osgi.extender;filter:=\"(a=b)\"");
    assert_wanted(model, "a-1.0.0[f;d] b-1.0.0[f;d] ");
    give_requiring(model, "c", "java", "x", "osgi.ee;filter:=\"(version>=9)\"");
    assert_refused_with(model, "osgi.ee (version>=9) (there is version 8.0.0)");
    model_free(model);
}

static void test_clauses_that_cannot_be_read_are_a_reason(void **state)
{
    Model *model = with_target(PLATFORM_C);
    give_requiring(model, "a", "c", "x", "inaetics.thing;filter:=\"(a\"");
    assert_refused_with(model, "bundle a 1.0.0 (feature f, distribution d): Require-Capability");
    model_free(model);

    model = with_target("'target.runtime': 'c', 'target.platform': ';;'");
    assert_refused_with(model, "the target's platform cannot be read: Provide-Capability");
    model_free(model);
}

static void test_more_requirements_than_can_be_checked_are_a_reason(void **state)
{
    Model *model = with_target(PLATFORM_C);
    json_t *clauses = json_array();
    for (unsigned i = 0; i < 500; i++)
        json_array_append_new(clauses, json_sprintf("inaetics.x%u", i));
    for (unsigned i = 0; i < 10; i++) {
        char name[16];
        snprintf(name, sizeof name, "b%u", i);
        json_t *value = json_pack("{s:{s:s, s:s}, s:O, s:O}", "attributes", "Bundle-SymbolicName", name,
                                  "Bundle-Version", "1.0.0", "provides", clauses, "requires", clauses);
        Object *object = NULL;
        assert_int_equal(object_new(OBJECT_ARTIFACT, value, NULL, &object, &error), 0);
        assert_int_equal(model_add(model, object, &error), 0);
        add_link(model, OBJECT_ARTIFACT2FEATURE, object, model_get(model, OBJECT_FEATURE, "feature-name-f"));
        object_unref(object);
        json_decref(value);
    }
    json_decref(clauses);
    assert_refused(model, "its bundles have 5000 requirements and 5000 capabilities, more than can be checked");
    model_free(model);
}

static void test_reasons_without_end_are_cut(void **state)
{
    Model *model = with_target(PLATFORM_C);
    char name[16];
    for (unsigned i = 0; i < 400; i++) {
        snprintf(name, sizeof name, "bundle%u", i);
        give_bundle(model, name, "1.0.0", ", 'runtime': 'java'");
    }
    Wanted *wanted;
    size_t n;
    char *AUTO_FREE reasons = NULL;
    assert_int_equal(model_wanted(model, target_of(model), &wanted, &n, &reasons, &error), -EINVAL);
    assert_in_range(strlen(reasons), 30000, 33000);
    assert_string_equal(reasons + strlen(reasons) - strlen("this feature\n(and more)"), "this feature\n(and more)");
    assert_int_equal(model_wanted(model, target_of(model), &wanted, &n, NULL, NULL), -EINVAL);
    model_free(model);
}

static void test_targets_that_differ_get_what_is_theirs(void **state)
{
    Model *model = with_target(PLATFORM_C);
    give_bundle(model, "a", "1.0.0", ", 'runtime': 'c'");
    add(model, OBJECT_TARGET, "{'attributes': {'id': 'u'}, 'tags': {'target.runtime': 'java'}}");
    const Object *same = add(model, OBJECT_TARGET, "{'attributes': {'id': 'v'}, 'tags': {" PLATFORM_C "}}");
    const Object *none = add(model, OBJECT_TARGET, "{'attributes': {'id': 'w'}}");
    add_filters(model, OBJECT_DISTRIBUTION2TARGET, "(name=d)", "1", "(|(id=u)(id=v))", "N");
    Wanted *wanted;
    size_t n;
    for (int i = 0; i < 2; i++) {
        assert_wanted(model, "a-1.0.0[f;d] ");
        assert_int_equal(model_wanted(model, model_get(model, OBJECT_TARGET, "target-id-u"), &wanted, &n, NULL, &error),
                         -EINVAL);
        assert_says(error.message, "target u: bundle a 1.0.0");
        assert_int_equal(model_wanted(model, same, &wanted, &n, NULL, &error), 0);
        assert_int_equal(n, 1);
        wanted_free(wanted, n);
        assert_int_equal(model_wanted(model, none, &wanted, &n, NULL, &error), 0);
        assert_int_equal(n, 0);
        wanted_free(wanted, n);
    }
    model_free(model);
}

static void test_plans_of_a_model_that_is_gone_do_no_harm(void **state)
{
    Model *model = with_target(PLATFORM_C), *copy;
    give_bundle(model, "a", "1.0.0", "");
    assert_wanted(model, "a-1.0.0[f;d] ");
    for (unsigned i = 2; i < 8; i++) {
        char version[16];
        copy = model_copy(model);
        snprintf(version, sizeof version, "%u.0.0", i);
        drop(copy, model_at(copy, OBJECT_ARTIFACT2FEATURE, 0));
        drop(copy, model_at(copy, OBJECT_ARTIFACT, 0));
        give_bundle(copy, "a", version, "");
        model_free(model);
        model = copy;
        char expected[32];
        snprintf(expected, sizeof expected, "a-%s[f;d] ", version);
        assert_wanted(model, expected);
    }
    model_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_target_gets_what_is_linked_with_it_and_the_ways_are_told),
        cmocka_unit_test(test_a_target_that_the_model_lacks_is_told),
        cmocka_unit_test(test_bundles_for_another_runtime_are_refused),
        cmocka_unit_test(test_bundles_of_two_runtimes_are_refused_where_the_targets_is_not_known),
        cmocka_unit_test(test_native_code_for_another_processor_is_refused),
        cmocka_unit_test(test_two_versions_of_one_bundle_are_refused),
        cmocka_unit_test(test_configurations_bring_the_newest_resource_processor_of_their_pid),
        cmocka_unit_test(test_agents_for_c_configure_components_themselves),
        cmocka_unit_test(test_requirements_are_met_by_the_platform_or_by_each_other),
        cmocka_unit_test(test_a_c_target_that_told_no_platform_is_taken_for_one_of_this_version),
        cmocka_unit_test(test_only_namespaces_that_are_known_are_checked),
        cmocka_unit_test(test_clauses_that_cannot_be_read_are_a_reason),
        cmocka_unit_test(test_more_requirements_than_can_be_checked_are_a_reason),
        cmocka_unit_test(test_reasons_without_end_are_cut),
        cmocka_unit_test(test_targets_that_differ_get_what_is_theirs),
        cmocka_unit_test(test_plans_of_a_model_that_is_gone_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
