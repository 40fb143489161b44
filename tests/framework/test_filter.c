/* LDAP filters: what matches, and what is refused with which words where. */
#include "unit.h"

#include "framework/filter_terms.h"
#include "tests/seed.h"
#include <errno.h>
#include <inaetics/properties.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static InaProperties *sample(void)
{
    static const char *const zones[] = {"north", "South East"};
    const InaProperty properties[] = {
        INA_STRING("type", "Queue"),
        INA_STRING("name", "a(b)*c\\d"),
        INA_STRING("empty", ""),
        INA_STRING("title", "  Large   Queue "),
        INA_INTEGER("service.ranking", 10),
        INA_INTEGER("big", INT64_MAX),
        INA_DOUBLE("load", 0.5),
        INA_DOUBLE("nan", NAN),
        INA_BOOLEAN("durable", true),
        INA_BOOLEAN("remote", false),
        {"zones", {.type = INA_TYPE_STRINGS, .strings = {.items = zones, .count = 2}}},
    };
    InaProperties *set = ina_properties_new();
    for (size_t i = 0; i < sizeof(properties) / sizeof(*properties); i++)
        assert_int_equal(ina_properties_set(set, properties[i].key, &properties[i].value, NULL), 0);
    return set;
}

static void expect(const char *text, bool match)
{
    InaProperties *properties = sample();
    InaFilter *filter = NULL;
    InaError error = {.message = ""};
    if (ina_filter_compile(text, &filter, &error) < 0)
        fail_msg("%s: %s", text, error.message);
    assert_string_equal(ina_filter_text(filter), text);
    if (ina_filter_match(filter, properties) != match)
        fail_msg("%s should %smatch", text, match ? "" : "not ");
    ina_filter_free(filter);
    ina_properties_free(properties);
}

static void refused(const char *text, const char *message)
{
    InaFilter *filter = NULL;
    InaError error = {.message = ""};
    int r = ina_filter_compile(text, &filter, &error);
    if (r >= 0)
        fail_msg("%s should be refused", text);
    assert_null(filter);
    assert_string_equal(error.message, message);
}

static void strings_are_compared_exactly_and_keys_without_case(void **state)
{
    expect("(type=Queue)", true);
    expect("(TYPE=Queue)", true);
    expect("(type=queue)", false);
    expect("(type= Queue)", false);
    expect("(empty=)", true);
    expect("(type=)", false);
    expect("(type>=Queud)", true);
    expect("(type>=Queuf)", false);
    expect("(type<=Queue)", true);
    expect("(type<=Q)", false);
    expect("(absent=Queue)", false);
    expect("(absent<=Queue)", false);
}

static void approximate_ignores_case_and_white_space(void **state)
{
    expect("(type~=qUEUE)", true);
    expect("(title~=largequeue)", true);
    expect("(title~= LARGE queue)", true);
    expect("(title~=large queues)", false);
    expect("(service.ranking~=10)", true);
    expect("(durable~=TRUE)", true);
}

static void numbers_are_compared_as_numbers_of_the_property_s_type(void **state)
{
    expect("(service.ranking=10)", true);
    expect("(service.ranking= 10 )", true);
    expect("(service.ranking>=9)", true);
    expect("(service.ranking<=9)", false);
    expect("(service.ranking>=-100)", true);
    expect("(service.ranking=ten)", false);
    expect("(service.ranking=10.0)", false);
    expect("(service.ranking=1*)", false);
    expect("(big=9223372036854775807)", true);
    expect("(big>=9223372036854775808)", false);
    expect("(big<=99999999999999999999999)", false);
    expect("(load=0.5)", true);
    expect("(load=5e-1)", true);
    expect("(load>=1)", false);
    expect("(load<=1)", true);
    expect("(load=half)", false);
    expect("(nan=nan)", false);
    expect("(nan>=0)", false);
    expect("(nan=*)", true);
}

static void booleans_are_compared_as_booleans(void **state)
{
    expect("(durable=true)", true);
    expect("(durable=True)", true);
    expect("(durable=false)", false);
    expect("(remote=false)", true);
    expect("(remote=no)", false);
    expect("(durable=t*)", false);
}

static void any_string_of_a_list_may_match(void **state)
{
    expect("(zones=north)", true);
    expect("(zones=South East)", true);
    expect("(zones~=southeast)", true);
    expect("(zones=*East)", true);
    expect("(zones=west)", false);
    expect("(!(zones=north))", false);
}

static void presence_and_substrings(void **state)
{
    expect("(type=*)", true);
    expect("(empty=*)", true);
    expect("(absent=*)", false);
    expect("(type=Q*)", true);
    expect("(type=*e)", true);
    expect("(type=*u*u*)", true);
    expect("(type=*u*u*u*)", false);
    expect("(type=Q*e)", true);
    expect("(type=Queue*)", true);
    expect("(type=Queue*e)", false);
    expect("(type=*Queue)", true);
    expect("(type=Que*eue)", false);
    expect("(type=**)", true);
    expect("(absent=**)", false);
    expect("(empty=**)", true);
}

static void escapes_stand_for_bytes(void **state)
{
    expect("(name=a\\28b\\29\\2ac\\5cd)", true);
    expect("(name=a\\28b\\29\\2Ac\\5Cd)", true);
    expect("(name=a\\(b\\)\\*c\\\\d)", true);
    expect("(name=a\\28*\\5cd)", true);
    expect("(type=\\51ueue)", true);
    expect("(type=Queue\\2a)", false);
}

static void composites_combine(void **state)
{
    expect("(&(type=Queue)(durable=true))", true);
    expect("(&(type=Queue)(durable=false))", false);
    expect("(&(type=Queue))", true);
    expect("(|(type=x)(durable=true))", true);
    expect("(|(type=x)(type=y))", false);
    expect("(!(type=x))", true);
    expect("(!(absent=x))", true);
    expect(" ( & ( type=Queue) (| (absent=*) (! (absent=*) ) ) ) ", true);
    expect("(&(|(type=x)(&(type=Queue)(load<=1)))(!(&(durable=true)(remote=true))))", true);
}

static void no_filter_matches_all(void **state)
{
    assert_true(ina_filter_match(NULL, NULL));
    InaFilter *filter;
    assert_int_equal(ina_filter_compile("(!(a=b))", &filter, NULL), 0);
    assert_true(ina_filter_match(filter, NULL));
    ina_filter_free(filter);
    assert_null(ina_filter_free(NULL));
}

static void what_is_wrong_is_said_with_its_position(void **state)
{
    refused("", "filter, position 1: expected '(', found nothing");
    refused("type=Queue", "filter, position 1: expected '(', found \"type=Queue\"");
    refused("(type=Queue", "filter, position 12: expected ')' behind the value, found the end");
    refused("(type=Queue))", "filter, position 13: expected the end of the filter, found \")\"");
    refused("(type=Queue)x", "filter, position 13: expected the end of the filter, found \"x\"");
    refused("(type)", "filter, position 6: expected =, ~=, >= or <= behind the key, found \")\"");
    refused("(type>5)", "filter, position 6: expected =, ~=, >= or <= behind the key, found \">5)\"");
    refused("(type:=5)", "filter, position 6: expected =, ~=, >= or <= behind the key, found \":=5)\"");
    refused("(=5)", "filter, position 2: expected a key, '&', '|' or '!', found \"=5)\"");
    refused("()", "filter, position 2: expected a key, '&', '|' or '!', found \")\"");
    refused("(&)", "filter, position 3: expected '(': '&', '|' and '!' need a filter, found \")\"");
    refused("(!(a=1)(b=2))", "filter, position 8: '!' takes one filter: expected ')', found \"(b=2))\"");
    refused("(a=(b))", "filter, position 4: expected ')' behind the value, found \"(b))\"");
    refused("(a>=1*)",
            "filter, position 6: '*' stands for any text only behind '='; write \\2a for the character, found \"*)\"");
    refused("(a=\\)", "filter, position 6: expected ')' behind the value, found the end");
    refused("(a=\\2)",
            "filter, position 4: a backslash needs two hexadecimal digits behind it, as \\2a, found \"\\2)\"");
    refused("(a=\\zz)",
            "filter, position 4: a backslash needs two hexadecimal digits behind it, as \\2a, found \"\\zz)\"");
    refused("(a=\\00)", "filter, position 4: \\00 cannot occur in a value, found \"\\00)\"");
    refused("(a=b\n", "filter, position 6: expected ')' behind the value, found the end");
    refused("\n\x01(a=b)", "filter, position 2: expected '(', found \"?(a=b)\"");
}

static void nesting_and_length_are_limited(void **state)
{
    char text[INA_FILTER_TEXT_MAX + 2] = "";
    for (int i = 0; i < INA_FILTER_DEPTH_MAX - 1; i++)
        strcat(text, "(!");
    strcat(text, "(a=b)");
    for (int i = 0; i < INA_FILTER_DEPTH_MAX - 1; i++)
        strcat(text, ")");
    InaFilter *filter = NULL;
    InaError error;
    assert_int_equal(ina_filter_compile(text, &filter, &error), 0);
    ina_filter_free(filter);

    memset(text, '(', sizeof(text) - 1);
    for (size_t i = 1; i < INA_FILTER_TEXT_MAX; i += 2)
        text[i] = '!';
    text[INA_FILTER_TEXT_MAX] = '\0';
    assert_int_equal(ina_filter_compile(text, &filter, &error), -EINVAL);
    assert_non_null(strstr(error.message, "nested too deeply (at most 32)"));
    text[INA_FILTER_TEXT_MAX] = '(';
    text[INA_FILTER_TEXT_MAX + 1] = '\0';
    assert_int_equal(ina_filter_compile(text, &filter, &error), -E2BIG);
    assert_non_null(strstr(error.message, "at most 4096 bytes"));
    assert_int_equal(ina_filter_compile(NULL, &filter, &error), -EINVAL);
}

/* Many leaves and a large value: the longest work that a filter can ask for. */
static void the_largest_filter_is_matched(void **state)
{
    char text[INA_FILTER_TEXT_MAX + 1] = "(|";
    size_t length = 2;
    for (; length + 7 < sizeof(text); length += 6)
        strcpy(text + length, "(a=*b)");
    strcpy(text + length, ")");
    InaFilter *filter;
    InaError error = {.message = ""};
    assert_int_equal(ina_filter_compile(text, &filter, &error), 0);
    char *large = malloc(INA_PROPERTY_STRING_MAX + 1);
    memset(large, 'a', INA_PROPERTY_STRING_MAX);
    large[INA_PROPERTY_STRING_MAX] = '\0';
    InaProperties *properties = ina_properties_new();
    assert_int_equal(ina_properties_set(properties, "a", &(InaValue){.type = INA_TYPE_STRING, .string = large}, &error),
                     0);
    assert_false(ina_filter_match(filter, properties));
    free(large);
    ina_properties_free(properties);
    ina_filter_free(filter);
}

/* Texts made of the grammar's own signs find what random bytes do not. */
static void no_text_does_harm(void **state)
{
    static const char signs[] = "()&|!=~<>*\\ a2f\x01\xff";
    unsigned seed = test_seed();
    print_message("seed %u\n", seed);
    srand(seed);
    InaProperties *properties = sample();
    for (int i = 0; i < 200000; i++) {
        char text[40];
        size_t length = (size_t)rand() % (sizeof(text) - 1);
        for (size_t j = 0; j < length; j++)
            text[j] = signs[(size_t)rand() % (sizeof(signs) - 1)];
        text[length] = '\0';
        InaFilter *filter = NULL;
        InaError error = {.message = ""};
        int r = ina_filter_compile(text, &filter, &error);
        if (r < 0) {
            assert_null(filter);
            assert_true(strncmp(error.message, "filter, position ", 17) == 0);
            continue;
        }
        (void)ina_filter_match(filter, properties);
        ina_filter_free(filter);
    }
    ina_properties_free(properties);
}

static bool holds_for_b(void *userdata, const FilterTerm *term)
{
    return strcmp(term->key, "b") == 0 && filter_term_matches(term, userdata);
}

static void somebody_else_may_decide_the_comparisons(void **state)
{
    InaFilter *filter = NULL;
    assert_int_equal(ina_filter_compile("(&(b=x*z)(!(a=*)))", &filter, NULL), 0);
    assert_true(filter_evaluate(filter, holds_for_b, "xyz"));
    assert_false(filter_evaluate(filter, holds_for_b, "xy"));
    assert_true(filter_evaluate(NULL, holds_for_b, ""));
    ina_filter_free(filter);
}

static void necessary_comparisons_are_those_below_conjunctions_only(void **state)
{
    static const struct {
        const char *filter, *necessary;
    } cases[] = {
        {"(a=1)", "a=1 "},
        {"(a=*)", ""},
        {"(a>=1)", ""},
        {"(!(a=1))", ""},
        {"(&(a=1)(|(b=2)(c=3))(&(d=4)(!(e=5)))(f=6))", "a=1 d=4 f=6 "},
        {"(|(&(a=1)(b=2))(c=3))", ""},
        {"(&(a=1)(b=2)(c=3)(d=4)(e=5))", "a=1 b=2 c=3 d=4 "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        InaFilter *filter = NULL;
        FilterTerm terms[4];
        char out[64] = "";
        assert_int_equal(ina_filter_compile(cases[i].filter, &filter, NULL), 0);
        size_t n = filter_necessary(filter, terms, 4);
        for (size_t j = 0; j < n; j++)
            sprintf(out + strlen(out), "%s=%s ", terms[j].key, terms[j].value);
        assert_string_equal(out, cases[i].necessary);
        ina_filter_free(filter);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings_are_compared_exactly_and_keys_without_case),
        cmocka_unit_test(approximate_ignores_case_and_white_space),
        cmocka_unit_test(numbers_are_compared_as_numbers_of_the_property_s_type),
        cmocka_unit_test(booleans_are_compared_as_booleans),
        cmocka_unit_test(any_string_of_a_list_may_match),
        cmocka_unit_test(presence_and_substrings),
        cmocka_unit_test(escapes_stand_for_bytes),
        cmocka_unit_test(composites_combine),
        cmocka_unit_test(no_filter_matches_all),
        cmocka_unit_test(what_is_wrong_is_said_with_its_position),
        cmocka_unit_test(nesting_and_length_are_limited),
        cmocka_unit_test(the_largest_filter_is_matched),
        cmocka_unit_test(no_text_does_harm),
        cmocka_unit_test(somebody_else_may_decide_the_comparisons),
        cmocka_unit_test(necessary_comparisons_are_those_below_conjunctions_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
