/* Configured values: where they come from, what is refused, and how they change at run time. */
#include "base/files.h"
#include "framework/bundles.h"
#include "tests/framework/bundle_fixture.h"
#include "tests/framework/zips.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME "test.counter"

/* Writes counter.json beside the cache. */
static void configure_file(BundleFixture *fixture, const char *text)
{
    char *path = path_join(fixture->folder, "counter.json");

    write_file(path, text, strlen(text));
    free(path);
}

typedef struct Found {
    const char *key;
    char value[256], source[256];
} Found;

static void find(void *userdata, const InaConfig *config, const char *value, const char *source)
{
    Found *found = userdata;

    if (strcmp(config->key, found->key) == 0) {
        (void)snprintf(found->value, sizeof found->value, "%s", value);
        (void)snprintf(found->source, sizeof found->source, "%s", source);
    }
}

static void assert_value(BundleFixture *fixture, const char *key, const char *value, const char *source)
{
    Found found = {.key = key};

    assert_int_equal(components_configuration_each(fixture->framework, "counter", find, &found), 0);
    assert_string_equal(found.value, value);
    assert_string_equal(found.source, source);
}

static int set(BundleFixture *fixture, const char *key, const char *value, InaError *error)
{
    bool pending = true;
    int r = configuration_set(fixture->framework->bundles->configuration, "counter", key, value, &pending, error);

    if (r == 0)
        assert_false(pending);
    return r;
}

/* Starting the counter fails with all these texts. */
static void not_started(BundleFixture *fixture, const char *first, const char *second, const char *third)
{
    Bundle *bundle = framework_bundle_named(fixture->framework, NAME);
    InaError error = {0};

    if (!bundle)
        bundle = fixture_install(fixture, "counter_sound", NAME, "1");
    if (bundle_start(bundle, &error) == 0)
        fail_msg("started, though: %s", first);
    assert_contains(error.message, first);
    assert_contains(error.message, second);
    assert_contains(error.message, third);
    assert_int_equal(bundle_state(bundle), BUNDLE_RESOLVED);
}

static void without_configuration_the_defaults_hold(void **state)
{
    BundleFixture *fixture = *state;

    fixture_start(fixture, "counter_sound", NAME, "1");
    assert_value(fixture, "step", "1", "default");
    assert_value(fixture, "label", "", "default");
    assert_int_equal(fixture_count(fixture, 3), 3);
}

static void run_time_comes_before_environment_before_file(void **state)
{
    BundleFixture *fixture = *state;

    configure_file(fixture, "{\"step\": 10, \"factor\": 0.25, \"loud\": true, \"label\": \"file\"}");
    setenv("CONFIG_COUNTER_LABEL", "environment", 1);
    fixture_start(fixture, "counter_sound", NAME, "1");
    assert_value(fixture, "step", "10", "file counter.json");
    assert_value(fixture, "factor", "0.25", "file counter.json");
    assert_value(fixture, "loud", "true", "file counter.json");
    assert_value(fixture, "label", "environment", "environment CONFIG_COUNTER_LABEL");
    assert_int_equal(fixture_count(fixture, 3), 30);
    assert_int_equal(set(fixture, "label", "run time", NULL), 0);
    assert_value(fixture, "label", "run time", "changed at run time");
    assert_int_equal(set(fixture, "label", NULL, NULL), 0);
    assert_value(fixture, "label", "environment", "environment CONFIG_COUNTER_LABEL");
    unsetenv("CONFIG_COUNTER_LABEL");
}

static void a_value_is_changed_while_the_component_runs(void **state)
{
    BundleFixture *fixture = *state;

    fixture_start(fixture, "counter_sound", NAME, "1");
    assert_int_equal(fixture_count(fixture, 1), 1);
    assert_int_equal(set(fixture, "step", "100", NULL), 0);
    assert_int_equal(fixture_count(fixture, 1), 101); /* the same component */
}

static void what_was_changed_is_kept_over_restart_and_update(void **state)
{
    BundleFixture *fixture = *state;
    char *newer;

    fixture_start(fixture, "counter_sound", NAME, "1");
    assert_int_equal(set(fixture, "step", "7", NULL), 0);
    fixture_restart(fixture);
    assert_value(fixture, "step", "7", "changed at run time");
    assert_int_equal(fixture_count(fixture, 1), 7);
    newer = fixture_pack(fixture, "counter_sound", NAME, "2", NULL);
    assert_int_equal(bundle_update(framework_bundle_named(fixture->framework, NAME), newer, NULL), 0);
    assert_int_equal(fixture_count(fixture, 1), 14);
    free(newer);
}

static void a_wrong_value_is_refused_with_key_value_and_what_is_allowed(void **state)
{
    static const struct {
        const char *key, *value, *allowed;
    } cases[] = {
        {"step", "0", "from 1 to 100"},
        {"step", "101", "from 1 to 100"},
        {"step", "many", "an integer from 1 to 100"},
        {"step", "", "an integer"},
        {"step", "1.5", "an integer"},
        {"step", "99999999999999999999", "an integer"},
        {"factor", "1.01", "from 0 to 1"},
        {"factor", "nan", "from 0 to 1"},
        {"factor", "inf", "from 0 to 1"},
        {"loud", "perhaps", "true or false"},
    };
    BundleFixture *fixture = *state;

    fixture_start(fixture, "counter_sound", NAME, "1");
    assert_int_equal(set(fixture, "step", "5", NULL), 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        InaError error = {0};
        assert_int_equal(set(fixture, cases[i].key, cases[i].value, &error), -EINVAL);
        assert_contains(error.message, "component counter");
        assert_contains(error.message, cases[i].key);
        assert_contains(error.message, cases[i].value);
        assert_contains(error.message, cases[i].allowed);
    }
    assert_int_equal(fixture_count(fixture, 1), 5);
    fixture_restart(fixture);
    assert_int_equal(fixture_count(fixture, 1), 5);
}

static void a_value_that_the_component_refuses_is_taken_back(void **state)
{
    BundleFixture *fixture = *state;
    InaError error = {0};

    fixture_start(fixture, "counter_sound", NAME, "1");
    assert_int_equal(set(fixture, "label", "fine", NULL), 0);
    assert_true(set(fixture, "label", "refuse", &error) < 0);
    assert_contains(error.message, "not this label");
    assert_value(fixture, "label", "fine", "changed at run time");
    fixture_restart(fixture);
    assert_value(fixture, "label", "fine", "changed at run time");
}

static void an_unknown_key_is_refused_and_those_there_are_are_named(void **state)
{
    BundleFixture *fixture = *state;
    InaError error = {0};

    fixture_start(fixture, "counter_sound", NAME, "1");
    assert_int_equal(set(fixture, "stepp", "5", &error), -ENOENT);
    assert_contains(error.message, "stepp");
    assert_contains(error.message, "step");
    assert_contains(error.message, "factor");
}

static void a_value_for_a_component_that_is_not_there_is_kept_and_checked_later(void **state)
{
    BundleFixture *fixture = *state;
    bool pending = false;
    InaError error = {0};
    Configuration *configuration = fixture->framework->bundles->configuration;

    assert_int_equal(configuration_set(configuration, "counter", "step", "3000", &pending, &error), 0);
    assert_true(pending);
    not_started(fixture, "step", "3000", "from 1 to 100");
    assert_int_equal(configuration_set(configuration, "counter", "step", "3", &pending, &error), 0);
    assert_int_equal(bundle_start(framework_bundle_named(fixture->framework, NAME), &error), 0);
    assert_int_equal(fixture_count(fixture, 1), 3);
}

static void a_file_with_a_wrong_value_stops_the_start_and_names_it(void **state)
{
    static const struct {
        const char *text, *first, *second;
    } cases[] = {
        {"{\"step\": 1000}", "1000", "from 1 to 100"},
        {"{\"step\": true}", "true", "an integer"},
        {"{\"step\": [1]}", "step", "must be a string, a number, true or false"},
        {"{\"step\": {}}", "step", "must be a string, a number, true or false"},
        {"{\"step\": null}", "step", "must be a string, a number, true or false"},
        {"{\"steps\": 1}", "steps", "step"},
        {"[1]", "counter.json", "an object"},
        {"{\"step\": 1", "counter.json", ""},
        {"{\"step\": 1, \"step\": 2}", "counter.json", ""},
        {"", "counter.json", ""},
    };
    BundleFixture *fixture = *state;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        configure_file(fixture, cases[i].text);
        not_started(fixture, cases[i].first, cases[i].second, "counter");
    }
    configure_file(fixture, "{\"step\": 2}");
    assert_int_equal(bundle_start(framework_bundle_named(fixture->framework, NAME), NULL), 0);
    assert_int_equal(fixture_count(fixture, 1), 2);
}

static void an_environment_variable_with_a_wrong_value_stops_the_start_and_is_named(void **state)
{
    setenv("CONFIG_COUNTER_STEP", "lots", 1);
    not_started(*state, "step", "lots", "environment CONFIG_COUNTER_STEP");
    unsetenv("CONFIG_COUNTER_STEP");
}

static void note_line(void *userdata, const char *line)
{
    bool *found = userdata;
    *found = *found || (strstr(line, "CONFIG_COUNTER_STEPP") && strstr(line, "no such key"));
}

static void an_environment_variable_for_no_key_is_worth_a_warning(void **state)
{
    BundleFixture *fixture = *state;
    bool found = false;

    setenv("CONFIG_COUNTER_STEPP", "1", 1);
    fixture_start(fixture, "counter_sound", NAME, "1");
    unsetenv("CONFIG_COUNTER_STEPP");
    logs_last(fixture->framework->bundles->logs, 100, note_line, &found);
    assert_true(found);
}

static void an_update_to_which_the_configuration_does_not_fit_changes_nothing(void **state)
{
    BundleFixture *fixture = *state;
    char *newer = fixture_pack(fixture, "counter_sound", NAME, "2", NULL);
    InaError error = {0};

    fixture_start(fixture, "counter_sound", NAME, "1");
    assert_int_equal(fixture_count(fixture, 1), 1);
    configure_file(fixture, "{\"step\": 1000}");
    assert_true(bundle_update(framework_bundle_named(fixture->framework, NAME), newer, &error) < 0);
    assert_contains(error.message, "1000");
    configure_file(fixture, "{}");
    assert_counter(fixture, 1, "1.0.0");
    free(newer);
}

static void keys_of_the_new_version_may_be_configured_before_the_update(void **state)
{
    BundleFixture *fixture = *state;
    char *newer = fixture_pack(fixture, "counter_sound", NAME, "2", NULL);

    /* The version before has other components. */
    fixture_start(fixture, "user", NAME, "1");
    configure_file(fixture, "{\"step\": 9}");
    assert_int_equal(bundle_update(framework_bundle_named(fixture->framework, NAME), newer, NULL), 0);
    assert_int_equal(fixture_count(fixture, 1), 9);
    free(newer);
}

static void one_wrong_value_does_not_keep_another_from_being_put_right(void **state)
{
    BundleFixture *fixture = *state;
    char *zip = fixture_pack(fixture, "counter_sound", NAME, "1", NULL);
    const char *const zips[] = {zip};
    Configuration *configuration = fixture->framework->bundles->configuration;

    assert_int_equal(configuration_set(configuration, "counter", "step", "3000", NULL, NULL), 0);
    assert_int_equal(configuration_set(configuration, "counter", "factor", "3000", NULL, NULL), 0);
    assert_int_equal(framework_set(fixture->framework, zips, 1, NULL), 0);
    assert_int_equal(fixture_count(fixture, 1), -1);
    assert_int_equal(set(fixture, "step", "4000", NULL), -EINVAL);
    assert_int_equal(set(fixture, "step", "3", NULL), 0);
    assert_int_equal(fixture_count(fixture, 1), -1);
    assert_int_equal(set(fixture, "factor", "1", NULL), 0);
    assert_int_equal(fixture_count(fixture, 1), 3);
    free(zip);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(without_configuration_the_defaults_hold),
        TEST(run_time_comes_before_environment_before_file),
        TEST(a_value_is_changed_while_the_component_runs),
        TEST(what_was_changed_is_kept_over_restart_and_update),
        TEST(a_wrong_value_is_refused_with_key_value_and_what_is_allowed),
        TEST(a_value_that_the_component_refuses_is_taken_back),
        TEST(an_unknown_key_is_refused_and_those_there_are_are_named),
        TEST(a_value_for_a_component_that_is_not_there_is_kept_and_checked_later),
        TEST(a_file_with_a_wrong_value_stops_the_start_and_names_it),
        TEST(an_environment_variable_with_a_wrong_value_stops_the_start_and_is_named),
        TEST(an_environment_variable_for_no_key_is_worth_a_warning),
        TEST(keys_of_the_new_version_may_be_configured_before_the_update),
        TEST(one_wrong_value_does_not_keep_another_from_being_put_right),
        TEST(an_update_to_which_the_configuration_does_not_fit_changes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
