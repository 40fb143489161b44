/* Typed properties: what a set keeps, finds, refuses and compares. */
#include "unit.h"

#include <errno.h>
#include <inaetics/properties.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void set(InaProperties *properties, InaProperty property)
{
    InaError error;
    assert_int_equal(ina_properties_set(properties, property.key, &property.value, &error), 0);
}

static void a_set_keeps_typed_values_in_insertion_order(void **state)
{
    InaProperties *properties = ina_properties_new();
    set(properties, (InaProperty)INA_STRING("type", "queue"));
    set(properties, (InaProperty)INA_INTEGER("service.ranking", -7));
    set(properties, (InaProperty)INA_DOUBLE("load", 0.25));
    set(properties, (InaProperty)INA_BOOLEAN("durable", true));
    assert_int_equal(ina_properties_count(properties), 4);
    assert_string_equal(ina_properties_at(properties, 0)->key, "type");
    assert_string_equal(ina_properties_at(properties, 3)->key, "durable");
    assert_null(ina_properties_at(properties, 4));
    assert_string_equal(ina_properties_string(properties, "type", ""), "queue");
    assert_int_equal(ina_properties_integer(properties, "service.ranking", 0), -7);
    assert_true(ina_properties_get(properties, "load")->real == 0.25);
    assert_true(ina_properties_get(properties, "durable")->boolean);
    assert_null(ina_properties_get(properties, "absent"));
    ina_properties_free(properties);
}

static void keys_are_compared_without_case_and_keep_their_first_spelling(void **state)
{
    InaProperties *properties = ina_properties_new();
    set(properties, (InaProperty)INA_STRING("Zone", "a"));
    set(properties, (InaProperty)INA_STRING("type", "x"));
    set(properties, (InaProperty)INA_INTEGER("ZONE", 2));
    assert_int_equal(ina_properties_count(properties), 2);
    assert_string_equal(ina_properties_at(properties, 0)->key, "Zone");
    assert_int_equal(ina_properties_integer(properties, "zone", 0), 2);
    assert_int_equal(ina_properties_remove(properties, "zonE"), 0);
    assert_int_equal(ina_properties_remove(properties, "zone"), -ENOENT);
    assert_int_equal(ina_properties_count(properties), 1);
    ina_properties_free(properties);
}

static void a_value_of_another_type_is_not_read_as_one(void **state)
{
    InaProperties *properties = ina_properties_new();
    set(properties, (InaProperty)INA_STRING("n", "5"));
    set(properties, (InaProperty)INA_INTEGER("s", 5));
    assert_int_equal(ina_properties_integer(properties, "n", -1), -1);
    assert_string_equal(ina_properties_string(properties, "s", "none"), "none");
    ina_properties_free(properties);
}

static void a_set_copies_what_it_is_given(void **state)
{
    InaProperties *properties = ina_properties_new();
    char text[] = "before";
    const char *items[] = {text, "", "third"};
    set(properties, (InaProperty)INA_STRING("text", text));
    set(properties, (InaProperty){"list", {.type = INA_TYPE_STRINGS, .strings = {.items = items, .count = 3}}});
    strcpy(text, "after");
    items[2] = NULL;
    assert_string_equal(ina_properties_string(properties, "text", ""), "before");
    const InaValue *list = ina_properties_get(properties, "list");
    assert_int_equal(list->strings.count, 3);
    assert_string_equal(list->strings.items[0], "before");
    assert_string_equal(list->strings.items[1], "");
    assert_string_equal(list->strings.items[2], "third");
    /* Even from itself. */
    assert_int_equal(ina_properties_set(properties, "text", ina_properties_get(properties, "text"), NULL), 0);
    assert_string_equal(ina_properties_string(properties, "text", ""), "before");
    ina_properties_free(properties);
}

static void copies_are_equal_in_any_order_and_differ_by_any_value(void **state)
{
    InaProperties *a = ina_properties_new(), *b = ina_properties_new();
    set(a, (InaProperty)INA_STRING("x", "1"));
    set(a, (InaProperty)INA_DOUBLE("nan", NAN));
    set(b, (InaProperty)INA_DOUBLE("NaN", NAN));
    set(b, (InaProperty)INA_STRING("X", "1"));
    assert_true(ina_properties_equal(a, b));
    InaProperties *copy = ina_properties_copy(a);
    assert_true(ina_properties_equal(a, copy));
    set(copy, (InaProperty)INA_INTEGER("x", 1));
    assert_false(ina_properties_equal(a, copy));
    ina_properties_remove(copy, "x");
    assert_false(ina_properties_equal(a, copy));
    assert_false(ina_properties_equal(a, NULL));
    ina_properties_free(a);
    ina_properties_free(b);
    ina_properties_free(copy);
    assert_null(ina_properties_free(NULL));
}

static void limits_are_kept_and_named(void **state)
{
    InaProperties *properties = ina_properties_new();
    InaError error;
    char key[INA_PROPERTY_KEY_MAX + 2];
    InaValue value = {.type = INA_TYPE_INTEGER, .integer = 1};
    for (int i = 0; i < INA_PROPERTIES_MAX; i++) {
        snprintf(key, sizeof(key), "key-%d", i);
        assert_int_equal(ina_properties_set(properties, key, &value, &error), 0);
    }
    assert_int_equal(ina_properties_set(properties, "one-more", &value, &error), -E2BIG);
    assert_non_null(strstr(error.message, "256"));
    assert_int_equal(ina_properties_set(properties, "key-0", &value, &error), 0);

    memset(key, 'k', sizeof(key) - 1);
    key[sizeof(key) - 1] = '\0';
    assert_int_equal(ina_properties_set(properties, key, &value, &error), -E2BIG);
    assert_int_equal(ina_properties_set(properties, "", &value, &error), -EINVAL);
    assert_int_equal(ina_properties_set(properties, NULL, &value, &error), -EINVAL);

    char *large = malloc(INA_PROPERTY_STRING_MAX + 2);
    memset(large, 'x', INA_PROPERTY_STRING_MAX + 1);
    large[INA_PROPERTY_STRING_MAX + 1] = '\0';
    InaValue string = {.type = INA_TYPE_STRING, .string = large};
    assert_int_equal(ina_properties_set(properties, "key-0", &string, &error), -E2BIG);
    string.string = NULL;
    assert_int_equal(ina_properties_set(properties, "key-0", &string, &error), -EINVAL);
    InaValue list = {.type = INA_TYPE_STRINGS, .strings = {.items = NULL, .count = INA_PROPERTY_STRINGS_MAX + 1}};
    assert_int_equal(ina_properties_set(properties, "key-0", &list, &error), -E2BIG);
    InaValue odd = {.type = (InaType)77};
    assert_int_equal(ina_properties_set(properties, "key-0", &odd, &error), -EINVAL);
    assert_int_equal(ina_properties_integer(properties, "key-0", 0), 1);
    free(large);
    ina_properties_free(properties);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_set_keeps_typed_values_in_insertion_order),
        cmocka_unit_test(keys_are_compared_without_case_and_keep_their_first_spelling),
        cmocka_unit_test(a_value_of_another_type_is_not_read_as_one),
        cmocka_unit_test(a_set_copies_what_it_is_given),
        cmocka_unit_test(copies_are_equal_in_any_order_and_differ_by_any_value),
        cmocka_unit_test(limits_are_kept_and_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
