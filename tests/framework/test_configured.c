/* Configuration of components: values, what is allowed, changes while running. */
#include "core_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* --- what is configured ------------------------------------------------------ */

static struct {
    const char *key, *value;
} given[8];
static bool unreadable;

static int lookup(Framework *framework, const char *component, const char *key, char **ret_value,
                  const char **ret_source, InaError *error)
{
    if (unreadable)
        return ina_error_set(error, EIO, "the file %s.json cannot be read", component);
    for (size_t i = 0; i < INA_COUNT(given); i++) {
        if (given[i].key == NULL || strcmp(given[i].key, key) != 0)
            continue;
        *ret_value = strdup(given[i].value);
        *ret_source = "environment";
        return 1;
    }
    return 0;
}

static void give(const char *key, const char *value)
{
    size_t i = 0;
    while (given[i].key != NULL && strcmp(given[i].key, key) != 0)
        i++;
    given[i].key = key;
    given[i].value = value;
}

/* --- a component ------------------------------------------------------------- */

typedef struct Part {
    const char *text;
    int64_t number;
    double real;
    bool flag;
} Part;

static Part *part;
static int n_configured, n_starts, n_stops, configured_result;

static int part_start(void *self, InaComponent *component, InaError *error)
{
    part = self;
    n_starts++;
    return 0;
}

static void part_stop(void *self)
{
    part = NULL;
    n_stops++;
}

static int part_configured(void *self, InaError *error)
{
    n_configured++;
    return configured_result < 0 ? ina_error_set(error, -configured_result, "%s is too much", part->text) : 0;
}

static const InaConfig config[] = {
    {.key = "text", .type = INA_TYPE_STRING, .offset = offsetof(Part, text), .value = "hello"},
    {.key = "number",
     .type = INA_TYPE_INTEGER,
     .offset = offsetof(Part, number),
     .value = "5",
     .minimum = -10,
     .maximum = 10,
     .description = "how many"},
    {.key = "real", .type = INA_TYPE_DOUBLE, .offset = offsetof(Part, real), .value = "0.5"},
    {.key = "flag", .type = INA_TYPE_BOOLEAN, .offset = offsetof(Part, flag), .value = "yes"},
};
static const InaComponentClass soft[] = {{.name = "part",
                                          .size = sizeof(Part),
                                          .config = config,
                                          .n_config = INA_COUNT(config),
                                          .start = part_start,
                                          .stop = part_stop,
                                          .configured = part_configured}};
static const InaComponentClass hard[] = {{.name = "part",
                                          .size = sizeof(Part),
                                          .config = config,
                                          .n_config = INA_COUNT(config),
                                          .start = part_start,
                                          .stop = part_stop}};

static int setup(void **state)
{
    memset(given, 0, sizeof(given));
    unreadable = false;
    n_configured = n_starts = n_stops = configured_result = 0;
    part = NULL;
    fixture_setup(state);
    ((Fixture *)*state)->framework->hooks.configuration = lookup;
    return 0;
}

static int configure(Fixture *fixture, InaError *error)
{
    return components_configured(fixture->framework, "part", error);
}

static void values_are_the_defaults_or_what_is_given(void **state)
{
    Fixture *fixture = *state;
    give("number", "-10");
    give("text", "");
    ComponentSet *set = START(fixture, "b", soft);
    assert_string_equal(part->text, "");
    assert_int_equal(part->number, -10);
    assert_true(part->real == 0.5);
    assert_true(part->flag);
    components_remove(set);
}

static void wrong_value(Fixture *fixture, const char *key, const char *value, const char *message)
{
    memset(given, 0, sizeof(given));
    give(key, value);
    ComponentSet *set = fixture_add(fixture, "b", "1", soft, 1);
    InaError error;
    assert_int_equal(components_start(set, NULL, &error), -EINVAL);
    assert_string_equal(error.message, message);
    assert_int_equal(fixture_state(fixture, "part"), COMPONENT_MISCONFIGURED);
    assert_string_equal(fixture_reason(fixture, "part"), message);
    assert_int_equal(n_starts, 0);
    assert_int_equal(components_configuration_check(fixture->framework, "part", key, value, &error), -EINVAL);
    components_remove(set);
}

static void a_wrong_value_is_named_with_its_key_its_source_and_what_is_allowed(void **state)
{
    Fixture *fixture = *state;
    static const char *const wrong_numbers[] = {"11", "-11", "5.5", "", "five", "5 ", "99999999999999999999", "0x5"};
    for (size_t i = 0; i < INA_COUNT(wrong_numbers); i++) {
        char message[256];
        snprintf(message, sizeof(message),
                 "component part: configuration number = \"%s\" (environment) is not allowed; an integer from -10 to "
                 "10 is: how many",
                 wrong_numbers[i]);
        wrong_value(fixture, "number", wrong_numbers[i], message);
    }
    wrong_value(fixture, "flag", "maybe",
                "component part: configuration flag = \"maybe\" (environment) is not allowed; true or false is");
    wrong_value(fixture, "real", "nan",
                "component part: configuration real = \"nan\" (environment) is not allowed; a number is");
    wrong_value(fixture, "real", "1e999",
                "component part: configuration real = \"1e999\" (environment) is not allowed; a number is");
    wrong_value(fixture, "real", "much",
                "component part: configuration real = \"much\" (environment) is not allowed; a number is");
}

static void what_has_no_default_must_be_given(void **state)
{
    static const InaConfig needed[] = {
        {.key = "folder",
         .type = INA_TYPE_STRING,
         .offset = offsetof(Part, text),
         .required = true,
         .description = "where the data is"},
        {.key = "number", .type = INA_TYPE_INTEGER, .offset = offsetof(Part, number)},
        {.key = "flag", .type = INA_TYPE_BOOLEAN, .offset = offsetof(Part, flag), .value = "false"}};
    static const InaComponentClass classes[] = {
        {.name = "part", .size = sizeof(Part), .config = needed, .n_config = 3, .start = part_start}};
    Fixture *fixture = *state;
    ComponentSet *set = fixture_add(fixture, "b", "1", classes, 1);
    InaError error;
    assert_int_equal(components_start(set, NULL, &error), -EINVAL);
    assert_string_equal(error.message, "component part: configuration folder must be given: where the data is");
    give("folder", "/tmp");
    assert_int_equal(configure(fixture, &error), -EINVAL);
    assert_string_equal(error.message, "component part: configuration number must be given: it has no default");
    give("number", "1");
    assert_int_equal(configure(fixture, &error), 0);
    assert_int_equal(fixture_state(fixture, "part"), COMPONENT_ACTIVE);
    assert_string_equal(part->text, "/tmp");
    components_remove(set);
}

static void a_running_component_gets_new_values(void **state)
{
    Fixture *fixture = *state;
    ComponentSet *set = START(fixture, "b", soft);
    assert_ok(configure(fixture, error));
    assert_int_equal(n_configured, 0); /* nothing changed */
    give("text", "new");
    give("flag", "off");
    assert_ok(configure(fixture, error));
    assert_int_equal(n_configured, 1);
    assert_string_equal(part->text, "new");
    assert_false(part->flag);
    assert_int_equal(n_starts, 1);
    components_remove(set);
}

static void a_component_that_refuses_runs_on_with_the_old_values(void **state)
{
    Fixture *fixture = *state;
    ComponentSet *set = START(fixture, "b", soft);
    give("text", "new");
    give("number", "7");
    configured_result = -ERANGE;
    InaError error;
    assert_int_equal(configure(fixture, &error), -ERANGE);
    assert_string_equal(error.message, "component part refuses its new configuration: new is too much");
    assert_string_equal(part->text, "hello");
    assert_int_equal(part->number, 5);
    give("number", "70");
    assert_int_equal(configure(fixture, &error), -EINVAL);
    assert_int_equal(n_configured, 1);
    unreadable = true;
    assert_int_equal(configure(fixture, &error), -EIO);
    assert_string_equal(error.message, "the file part.json cannot be read");
    assert_int_equal(part->number, 5);
    components_remove(set);
}

static void a_component_without_configured_is_restarted(void **state)
{
    Fixture *fixture = *state;
    ComponentSet *set = START(fixture, "b", hard);
    give("number", "6");
    assert_ok(configure(fixture, error));
    assert_int_equal(n_starts, 2);
    assert_int_equal(n_stops, 1);
    assert_int_equal(part->number, 6);
    components_remove(set);
}

static void unknown_components_and_keys_are_told_with_those_there_are(void **state)
{
    Fixture *fixture = *state;
    InaError error;
    assert_int_equal(configure(fixture, &error), -ENOENT);
    assert_string_equal(error.message, "there is no component part; there are: none");
    ComponentSet *set = START(fixture, "b", soft);
    assert_int_equal(components_configured(fixture->framework, "x", &error), -ENOENT);
    assert_string_equal(error.message, "there is no component x; there are: part");
    assert_int_equal(components_configuration_check(fixture->framework, "part", "size", "1", &error), -ENOENT);
    assert_string_equal(error.message, "component part has no configuration size; it has: text, number, real, flag");
    assert_int_equal(components_configuration_check(fixture->framework, "part", "number", "9", &error), 0);
    components_remove(set);
}

static char listed[512];

static void list(void *userdata, const InaConfig *entry, const char *value, const char *source)
{
    size_t length = strlen(listed);
    snprintf(listed + length, sizeof(listed) - length, "%s=%s (%s) ", entry->key, value, source);
}

static void values_are_listed_with_their_source(void **state)
{
    Fixture *fixture = *state;
    listed[0] = '\0';
    give("number", "3");
    ComponentSet *set = START(fixture, "b", soft);
    assert_int_equal(components_configuration_each(fixture->framework, "part", list, NULL), 0);
    assert_string_equal(listed, "text=hello (default) number=3 (environment) real=0.5 (default) flag=yes (default) ");
    components_stop(set, NULL);
    assert_int_equal(components_configuration_each(fixture->framework, "part", list, NULL), 0);
    assert_int_equal(components_configuration_each(fixture->framework, "x", list, NULL), -ENOENT);
    components_remove(set);
}

static void refused(Fixture *fixture, InaConfig entry, const char *message)
{
    const InaComponentClass class = {.name = "x", .size = sizeof(Part), .config = &entry, .n_config = 1};
    const ComponentOwner owner = {.name = "b", .version = "1"};
    const InaBundleTable table = {INA_BUNDLE_ABI, &class, 1};
    ComponentSet *set;
    InaError error;
    assert_int_equal(components_add(fixture->framework, &owner, &table, &set, &error), -EINVAL);
    assert_string_equal(error.message, message);
}

static void a_table_entry_that_makes_no_sense_is_refused(void **state)
{
    Fixture *fixture = *state;
    refused(fixture, (InaConfig){.key = ""}, "component x: a configuration entry has no key");
    refused(fixture, (InaConfig){.key = "k", .type = INA_TYPE_STRINGS},
            "component x: configuration k: type 4 is not allowed; string, integer, double and boolean are");
    refused(fixture, (InaConfig){.key = "k", .type = INA_TYPE_INTEGER, .offset = 28},
            "component x: configuration k: there is no such field at offset 28 of 32 bytes");
    refused(fixture, (InaConfig){.key = "k", .type = INA_TYPE_INTEGER, .offset = 4},
            "component x: configuration k: there is no such field at offset 4 of 32 bytes");
    refused(fixture, (InaConfig){.key = "k", .type = INA_TYPE_INTEGER, .minimum = 2, .maximum = 1},
            "component x: configuration k: the minimum is above the maximum");
    refused(fixture, (InaConfig){.key = "k", .type = INA_TYPE_INTEGER, .value = "9", .maximum = 1},
            "component x: configuration k: its default \"9\" is not allowed; an integer from 0 to 1 is");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(values_are_the_defaults_or_what_is_given),
        TEST(a_wrong_value_is_named_with_its_key_its_source_and_what_is_allowed),
        TEST(what_has_no_default_must_be_given),
        TEST(a_running_component_gets_new_values),
        TEST(a_component_that_refuses_runs_on_with_the_old_values),
        TEST(a_component_without_configured_is_restarted),
        TEST(unknown_components_and_keys_are_told_with_those_there_are),
        TEST(values_are_listed_with_their_source),
        TEST(a_table_entry_that_makes_no_sense_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
