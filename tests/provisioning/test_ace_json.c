/* JSON as ACE's clients write it. */
#include "provisioning/ace_json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void is_read_as(const char *text, const char *expected)
{
    InaError error = {0};
    json_t *value;

    if (ace_json_parse(text, strlen(text), &value, &error) < 0)
        fail_msg("%s: %s", text, error.message);
    char *shown = json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
    assert_string_equal(shown, expected);
    free(shown);
    json_decref(value);
}

static void is_refused(const char *text, size_t size)
{
    InaError error = {0};
    json_t *value = NULL;

    assert_true(ace_json_parse(text, size, &value, &error) < 0);
    assert_null(value);
    assert_true(error.message[0]);
}

static void json_itself_is_read(void **state)
{
    is_read_as("{\"attributes\":{\"name\":\"f1\"},\"tags\":{}}", "{\"attributes\":{\"name\":\"f1\"},\"tags\":{}}");
    is_read_as("[]", "[]");
    is_read_as(" [ \"a\" , [ ] , { } ] ", "[\"a\",[],{}]");
    is_read_as("\"a\\n\\t\\\"\\u00e9\\ud83d\\ude00\\/\"", "\"a\\n\\t\\\"\xc3\xa9\xf0\x9f\x98\x80/\"");
}

static void scalars_are_texts_and_null_is_left_out(void **state)
{
    is_read_as("{\"a\":1,\"b\":true,\"c\":null,\"d\":-1.5e3,\"e\":\"null\"}",
               "{\"a\":\"1\",\"b\":\"true\",\"d\":\"-1.5e3\",\"e\":\"null\"}");
}

static void what_gson_takes_leniently_is_read(void **state)
{
    is_read_as("{attributes:{'leftEndpoint':'(name=a)',leftCardinality:1},tags:{}}",
               "{\"attributes\":{\"leftCardinality\":\"1\",\"leftEndpoint\":\"(name=a)\"},\"tags\":{}}");
    is_read_as("{a=1;b=>2,}", "{\"a\":\"1\",\"b\":\"2\"}");
    is_read_as("// one\n{ # two\n a /* three\n */ : b }\n", "{\"a\":\"b\"}");
    is_read_as("{a: org.example.a-1.0_x(y)}", "{\"a\":\"org.example.a-1.0_x(y)\"}");
    is_read_as("{'it\\'s':\"'\"}", "{\"it's\":\"'\"}");
}

static void anything_else_is_refused_with_its_place(void **state)
{
    static const char *const wrong[] = {"",
                                        "{",
                                        "}",
                                        "{a}",
                                        "{a:}",
                                        "{a:1",
                                        "[1 2]",
                                        "{a:1 b:2}",
                                        "'a",
                                        "\"\\u12\"",
                                        "\"\\ud800\"",
                                        "\"\\ud800x\"",
                                        "\"\\u0000\"",
                                        "/* a",
                                        "{a:1}}",
                                        "\"\\",
                                        "\xff",
                                        "{\"\xff\":1}",
                                        "{'a':'\xc3'}",
                                        ":",
                                        "{:1}",
                                        "\"\\ud800\\u0041\"",
                                        "{a:[}]}",
                                        "{\"a\\u0000b\":1}"};

    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
        is_refused(wrong[i], strlen(wrong[i]));
    is_refused("{a:b\0}", 6);
    is_refused("{a:'b\0'}", 8);
}

static void depth_and_size_are_limited(void **state)
{
    char deep[200], *large = malloc(ACE_JSON_MAX + 1);

    memset(deep, '[', sizeof(deep));
    is_refused(deep, sizeof(deep));
    memset(large, ' ', ACE_JSON_MAX + 1);
    is_refused(large, ACE_JSON_MAX + 1);
    free(large);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_itself_is_read),
        cmocka_unit_test(scalars_are_texts_and_null_is_left_out),
        cmocka_unit_test(what_gson_takes_leniently_is_read),
        cmocka_unit_test(anything_else_is_refused_with_its_place),
        cmocka_unit_test(depth_and_size_are_limited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
