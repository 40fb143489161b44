/* Quantities: what they are worth, and the form in which they are stored. */
#include "../base/testing.h"

#include "kube/quantity.h"

#include <errno.h>

static void values_are_whole_and_in_thousandths_rounded_up(void **state)
{
    static const struct {
        const char *text;
        int64_t units, milli;
    } cases[] = {
        {"0", 0, 0},
        {"1", 1, 1000},
        {"100m", 1, 100},
        {"1.5", 2, 1500},
        {"0.0001", 1, 1},
        {"-1.5", -2, -1500},
        {"1Ki", 1024, 1024000},
        {"2e3", 2000, 2000000},
        {"1E", 1000000000000000000, 0},
        {"+3", 3, 3000},
        {"1.5Ki", 1536, 1536000},
        {"1n", 1, 1},
        {"007", 7, 7000},
        {"5k", 5000, 5000000},
        {"1E3", 1000, 1000000},
        {".5", 1, 500},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t value = -7;
        InaError error = {.message = ""};
        assert_int_equal(quantity_parse(cases[i].text, &value, &error), 0);
        if (value != cases[i].units)
            fail_msg("%s is %lld", cases[i].text, (long long)value);
        if (cases[i].milli || !cases[i].units) {
            assert_int_equal(quantity_parse_milli(cases[i].text, &value, &error), 0);
            if (value != cases[i].milli)
                fail_msg("%s is %lld m", cases[i].text, (long long)value);
        }
    }
}

static void the_stored_form_is_that_of_kubernetes(void **state)
{
    static const char *const cases[][2] = {
        {"0.1", "100m"},    {"1000m", "1"},       {"1024Ki", "1Mi"},     {"100m", "100m"},
        {"1.5", "1500m"},   {"1.500", "1.500"},   {"2e3", "2e3"},        {"12e1", "120"},
        {"0.5Mi", "512Ki"}, {"1000Ki", "1000Ki"}, {"512Mi", "512Mi"},    {"2048Mi", "2Gi"},
        {"0", "0"},         {"0m", "0"},          {"1000", "1k"},        {"1024", "1024"},
        {"500000", "500k"}, {"0.5Ki", "512"},     {"1.1Ki", "1126400m"}, {"-1000m", "-1"},
        {"1000000n", "1m"}, {"0.1n", "1n"},       {"10000e0", "10e3"},   {"1Gi", "1Gi"},
        {"+5", "+5"},       {"9E", "9E"},         {"64Mi", "64Mi"},      {"8Ei", "9223372036854775807"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[QUANTITY_SIZE] = "";
        InaError error = {.message = ""};
        assert_int_equal(quantity_canonical(cases[i][0], text, &error), 0);
        if (strcmp(text, cases[i][1]) != 0)
            fail_msg("%s became %s, not %s", cases[i][0], text, cases[i][1]);
    }
}

static void what_is_no_quantity_is_refused_in_kubernetes_words(void **state)
{
    static const char *const wrong_format[] = {"", "abc", "1 ", " 1", "1..2", "1,5", "12mm-x", "0x10", "1e3.5"};
    static const char *const wrong_suffix[] = {"1Kib", "1KI", "1e", "1mm", "1K", "1kk", "5e+", "1Eei"};
    int64_t value;
    for (size_t i = 0; i < sizeof wrong_format / sizeof *wrong_format; i++) {
        InaError error = {.message = ""};
        assert_int_equal(quantity_parse(wrong_format[i], &value, &error), -EINVAL);
        assert_contains(error.message, "quantities must match the regular expression");
    }
    for (size_t i = 0; i < sizeof wrong_suffix / sizeof *wrong_suffix; i++) {
        InaError error = {.message = ""};
        int r = quantity_parse(wrong_suffix[i], &value, &error);
        if (r != -EINVAL)
            fail_msg("%s was taken", wrong_suffix[i]);
    }
    assert_int_equal(quantity_parse(NULL, &value, NULL), -EINVAL);
}

static void what_does_not_fit_is_refused_and_not_wrapped(void **state)
{
    static const char *const cases[] = {"10E", "1e30", "99999999999999999999999999999999999999", "1e99999999999",
                                        "9999999999999999999999999999999999999999999999999999999999999999999"};
    int64_t value;
    char text[QUANTITY_SIZE];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(quantity_parse(cases[i], &value, NULL), -ERANGE);
    assert_int_equal(quantity_parse_milli("10P", &value, NULL), -ERANGE);
    assert_int_equal(quantity_canonical("1e40", text, NULL), -ERANGE);
    assert_int_equal(quantity_parse("1e-999999", &value, NULL), 0); /* next to nothing is rounded up */
    assert_int_equal(value, 1);
}

static void thousandths_are_written_short(void **state)
{
    char text[QUANTITY_SIZE];
    quantity_format_milli(100, text);
    assert_string_equal(text, "100m");
    quantity_format_milli(2000, text);
    assert_string_equal(text, "2");
    quantity_format_milli(0, text);
    assert_string_equal(text, "0");
    quantity_format_milli(-1500, text);
    assert_string_equal(text, "-1500m");
    quantity_format_milli(INT64_MAX, text);
    assert_string_equal(text, "9223372036854775807m");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_whole_and_in_thousandths_rounded_up),
        cmocka_unit_test(the_stored_form_is_that_of_kubernetes),
        cmocka_unit_test(what_is_no_quantity_is_refused_in_kubernetes_words),
        cmocka_unit_test(what_does_not_fit_is_refused_and_not_wrapped),
        cmocka_unit_test(thousandths_are_written_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
