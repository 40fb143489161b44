/* JSON by table: what is decoded, what is refused, and how the refusal reads. */
#include "testing.h"

#include "base/json.h"

#include <errno.h>
#include <math.h>

typedef struct Port {
    char *name;
    int64_t number;
} Port;

typedef struct Pod {
    char *name;
    int64_t replicas;
    double share;
    bool ready;
    Port main;
    JsonList ports;     /* Port */
    JsonList arguments; /* char * */
    json_t *labels;
    Port loose;
} Pod;

static const JsonField port_fields[] = {
    {"name", JSON_TYPE_STRING, offsetof(Port, name), .flags = JSON_REQUIRED},
    {"number", JSON_TYPE_INTEGER, offsetof(Port, number), .flags = JSON_OMIT_EMPTY, .minimum = 1, .maximum = 65535},
    {NULL},
};

static const JsonField loose_fields[] = {
    {"name", JSON_TYPE_STRING, offsetof(Port, name), .flags = JSON_OMIT_EMPTY},
    {NULL, .flags = JSON_IGNORE_UNKNOWN},
};

static const JsonField pod_fields[] = {
    {"name", JSON_TYPE_STRING, offsetof(Pod, name), .flags = JSON_REQUIRED},
    {"replicas", JSON_TYPE_INTEGER, offsetof(Pod, replicas), .flags = 0},
    {"share", JSON_TYPE_DOUBLE, offsetof(Pod, share), .flags = JSON_OMIT_EMPTY, .minimum = 0, .maximum = 1},
    {"ready", JSON_TYPE_BOOLEAN, offsetof(Pod, ready), .flags = JSON_OMIT_EMPTY},
    {"main", JSON_TYPE_STRUCT, offsetof(Pod, main), .flags = JSON_OMIT_EMPTY, .fields = port_fields},
    {"ports", JSON_TYPE_LIST, offsetof(Pod, ports), .flags = JSON_OMIT_EMPTY, .fields = port_fields,
     .size = sizeof(Port)},
    {"args", JSON_TYPE_STRINGS, offsetof(Pod, arguments), .flags = JSON_OMIT_EMPTY},
    {"labels", JSON_TYPE_ANY, offsetof(Pod, labels), .flags = JSON_OMIT_EMPTY},
    {"loose", JSON_TYPE_STRUCT, offsetof(Pod, loose), .flags = JSON_OMIT_EMPTY, .fields = loose_fields},
    {NULL},
};

static int parse(const char *text, json_t **ret, InaError *error)
{
    return json_parse(text, strlen(text), 1 << 20, ret, error);
}

/* Decodes a text that parses. */
static int decode(const char *text, Pod *pod, InaError *error)
{
    json_t *value = NULL;

    assert_int_equal(parse(text, &value, error), 0);
    memset(pod, 0, sizeof(*pod));
    int r = json_decode(value, pod_fields, pod, error);
    json_decref(value);
    return r;
}

static void a_document_becomes_a_struct_and_again_the_document(void **state)
{
    static const char text[] =
        "{\"name\":\"queue\",\"replicas\":-9223372036854775808,\"share\":0.5,\"ready\":true,"
        "\"main\":{\"name\":\"http\",\"number\":8080},\"ports\":[{\"name\":\"a\"},{\"name\":\"b\",\"number\":65535}],"
        "\"args\":[\"-v\",\"\",\"\\u00e9\\ud83d\\ude00\"],\"labels\":{\"x\":[1,null]}}";
    InaError error = {0};
    Pod pod;

    assert_int_equal(decode(text, &pod, &error), 0);
    assert_string_equal(pod.name, "queue");
    assert_true(pod.replicas == INT64_MIN);
    assert_true(pod.share == 0.5);
    assert_true(pod.ready);
    assert_int_equal(pod.main.number, 8080);
    assert_int_equal(pod.ports.count, 2);
    assert_string_equal(((Port *)pod.ports.items)[1].name, "b");
    assert_int_equal(pod.arguments.count, 3);
    assert_string_equal(((char **)pod.arguments.items)[2], "\xc3\xa9\xf0\x9f\x98\x80");

    json_t *again = json_encode(pod_fields, &pod);
    json_t *expected = NULL;
    assert_int_equal(parse(text, &expected, NULL), 0);
    assert_true(json_equal(again, expected));
    json_decref(again);
    json_decref(expected);
    json_clear(pod_fields, &pod);
    const Pod empty = {0};
    assert_memory_equal(&pod, &empty, sizeof(pod));
}

static void null_is_the_same_as_nothing(void **state)
{
    Pod pod;
    InaError error = {0};

    assert_int_equal(
        decode("{\"name\":\"x\",\"replicas\":null,\"ports\":null,\"main\":null,\"share\":null}", &pod, NULL), 0);
    json_clear(pod_fields, &pod);
    assert_int_equal(decode("{\"name\":null}", &pod, &error), -EINVAL);
    assert_string_equal(error.message, "name is missing");
}

static void what_is_empty_may_be_left_out(void **state)
{
    const Pod pod = {0};
    json_t *value = json_encode(pod_fields, &pod);
    char *text = json_dumps(value, JSON_COMPACT);

    /* A required name stays to be seen, within the struct too. */
    assert_string_equal(text, "{\"name\":null,\"replicas\":0,\"main\":{\"name\":null}}");
    free(text);
    json_decref(value);
}

/* Each refusal names the path, what is there, and what is allowed. */
static void wrong_documents_are_refused_with_a_reason(void **state)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"[]", "the document is an array, must be an object"},
        {"\"x\"", "the document is the string \"x\", must be an object"},
        {"{}", "name is missing"},
        {"{\"name\":5}", "name is the number 5, must be a string"},
        {"{\"name\":\"x\",\"replicas\":\"3\"}", "replicas is the string \"3\", must be an integer"},
        {"{\"name\":\"x\",\"replicas\":3.5}", "replicas is the number 3.5, must be an integer"},
        {"{\"name\":\"x\",\"replicas\":1e3}", "replicas is the number 1000, must be an integer"},
        {"{\"name\":\"x\",\"share\":1.5}", "share is the number 1.5, must be from 0 to 1"},
        {"{\"name\":\"x\",\"share\":[1,2]}", "share is an array, must be a number"},
        {"{\"name\":\"x\",\"ready\":1}", "ready is the number 1, must be true or false"},
        {"{\"name\":\"x\",\"main\":[]}", "main is an array, must be an object"},
        {"{\"name\":\"x\",\"main\":{}}", "main.name is missing"},
        {"{\"name\":\"x\",\"ports\":{}}", "ports is an object, must be an array of objects"},
        {"{\"name\":\"x\",\"ports\":[{\"name\":\"a\"},{\"name\":\"b\",\"number\":0}]}",
         "ports[1].number is the number 0, must be from 1 to 65535"},
        {"{\"name\":\"x\",\"ports\":[{\"name\":\"a\"},true]}", "ports[1] is true, must be an object"},
        {"{\"name\":\"x\",\"args\":[\"a\",null]}", "args[1] is null, must be a string"},
        {"{\"name\":\"x\",\"args\":\"a\"}", "args is the string \"a\", must be an array of strings"},
        {"{\"name\":\"x\",\"nmae\":1}",
         "nmae is unknown; allowed there: name, replicas, share, ready, main, ports, args, labels, loose"},
        {"{\"name\":\"x\",\"main\":{\"name\":\"a\",\"extra key\":1}}",
         "main[\"extra key\"] is unknown; allowed there: name, number"},
        {"{\"name\":\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\",\"replicas\":"
         "\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"}",
         "replicas is the string \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"..., must be an integer"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        InaError error = {0};
        Pod pod;
        const Pod empty = {0};
        assert_int_equal(decode(cases[i].text, &pod, &error), -EINVAL);
        assert_string_equal(error.message, cases[i].message);
        assert_memory_equal(&pod, &empty, sizeof(pod)); /* emptied: nothing leaks, nothing dangles */
    }
}

static void unknown_keys_are_ignored_where_the_table_says_so(void **state)
{
    Pod pod;

    assert_int_equal(decode("{\"name\":\"x\",\"loose\":{\"a\":{\"b\":[]},\"name\":\"y\"}}", &pod, NULL), 0);
    assert_string_equal(pod.loose.name, "y");
    json_clear(pod_fields, &pod);
}

static void texts_that_are_no_json_are_refused_with_their_place(void **state)
{
    static const char *const texts[] = {
        "",
        " ",
        "{",
        "}",
        "[1,]",
        "{\"a\"}",
        "{\"a\":}",
        "{a:1}",
        "{'a':1}",
        "{\"a\":1}x",
        "[01]",
        "[+1]",
        "[.5]",
        "[NaN]",
        "[nan]",
        "[Infinity]",
        "[-Infinity]",
        "[1e999]",
        "[-1e999]",
        "[99999999999999999999]",
        "[-9223372036854775809]",
        "[0x10]",
        "\"\\x\"",
        "\"\\ud800\"",
        "\"a",
        "[\"\n\"]",
        "[\"\t\"]",
        "tru",
        "nulll",
        "\"\\u0000\"",
        "{\"\\u0000\":1}",
        "\"\xff\"",
        "\"\xc0\x80\"",
        "\"\xed\xa0\x80\"",
        "/* c */ 1",
        "[1 2]",
        "{\"a\":1,\"a\":2}",
        "{\"a\":1,\"\\u0061\":2}",
    };

    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        InaError error = {0};
        json_t *value = (json_t *)0x1;
        if (parse(texts[i], &value, &error) != -EINVAL)
            fail_msg("\"%s\" was taken", texts[i]);
        assert_ptr_equal(value, (json_t *)0x1);
        assert_contains(error.message, "JSON, line ");
        assert_contains(error.message, " column ");
    }
}

static void a_nul_in_the_text_does_not_end_it(void **state)
{
    json_t *value;

    assert_int_equal(json_parse("1\0", 2, 100, &value, NULL), -EINVAL);
    assert_int_equal(json_parse("\"\\\0\"", 4, 100, &value, NULL), -EINVAL);
    assert_int_equal(json_parse("[\"a\0b\"]", 7, 100, &value, NULL), -EINVAL);
    assert_int_equal(json_parse("\0", 1, 100, &value, NULL), -EINVAL);
}

static void the_limit_of_size_is_exact(void **state)
{
    InaError error = {0};
    json_t *value;

    assert_int_equal(json_parse("[1234567]", 9, 9, &value, &error), 0);
    json_decref(value);
    assert_int_equal(json_parse("[1234567]", 9, 8, &value, &error), -EFBIG);
    assert_string_equal(error.message, "JSON: 9 bytes, at most 8 are allowed");
}

static void the_limit_of_depth_is_exact(void **state)
{
    static char text[200000];
    InaError error = {0};
    json_t *value;

    for (int object = 0; object < 2; object++) {
        for (int depth = JSON_DEPTH_MAX; depth <= JSON_DEPTH_MAX + 1; depth++) {
            text[0] = '\0';
            for (int i = 0; i < depth; i++)
                strcat(text, object ? "{\"a\":" : "[");
            strcat(text, "1");
            for (int i = 0; i < depth; i++)
                strcat(text, object ? "}" : "]");
            int r = parse(text, &value, &error);
            assert_int_equal(r, depth > JSON_DEPTH_MAX ? -EINVAL : 0);
            if (r == 0)
                json_decref(value);
        }
    }
    assert_contains(error.message, "nested deeper than 64 levels");
    memset(text, '[', sizeof(text));
    assert_int_equal(json_parse(text, sizeof(text), sizeof(text), &value, &error), -EINVAL);
    assert_string_equal(error.message, "JSON, line 1 column 65: nested deeper than 64 levels");
    /* Brackets in strings do not count, quotes behind backslashes do not end them. */
    memset(text, 0, sizeof(text));
    strcpy(text, "[\"\\\"");
    memset(text + 4, '[', 1000);
    strcat(text, "\"]");
    assert_int_equal(parse(text, &value, &error), 0);
    json_decref(value);
}

static void more_items_than_the_limit_are_refused(void **state)
{
    InaError error = {0};
    Pod pod = {0};
    json_t *value = json_object(), *list = json_array();

    for (unsigned i = 0; i <= JSON_LIST_MAX; i++)
        json_array_append_new(list, json_string("x"));
    json_object_set_new(value, "name", json_string("x"));
    json_object_set_new(value, "args", list);
    assert_int_equal(json_decode(value, pod_fields, &pod, &error), -EINVAL);
    assert_string_equal(error.message, "args has 65537 items, at most 65536 are allowed");
    json_decref(value);
}

static void built_values_are_not_trusted_more_than_texts(void **state)
{
    InaError error = {0};
    Pod pod = {0};
    json_t *value = json_object();

    json_object_set_new(value, "name", json_stringn("a\0b", 3));
    assert_int_equal(json_decode(value, pod_fields, &pod, &error), -EINVAL);
    assert_string_equal(error.message, "name: contains a NUL character");
    json_decref(value);
    assert_int_equal(json_decode(NULL, pod_fields, &pod, &error), -EINVAL);
}

typedef struct Nested {
    JsonList children;
} Nested;

static const JsonField nested_fields[] = {
    {"c", JSON_TYPE_LIST, offsetof(Nested, children), .flags = 0, .fields = nested_fields, .size = sizeof(Nested)},
    {NULL},
};

static void a_table_that_contains_itself_ends_at_the_limit_of_depth(void **state)
{
    InaError error = {0};
    Nested nested = {0};
    json_t *value = json_object();

    for (int i = 0; i < 1000; i++) {
        json_t *outer = json_object(), *list = json_array();
        json_array_append_new(list, value);
        json_object_set_new(outer, "c", list);
        value = outer;
    }
    assert_int_equal(json_decode(value, nested_fields, &nested, &error), -EINVAL);
    assert_contains(error.message, "nested deeper than 64 levels");
    json_decref(value);
}

static void what_json_cannot_say_is_replaced(void **state)
{
    Pod pod = {.name = (char *)"caf\xe9 \xf0\x9f\x98\x80\xf0\x9f", .share = NAN};
    json_t *value = json_encode(pod_fields, &pod);

    assert_string_equal(json_string_value(json_object_get(value, "name")),
                        "caf\xef\xbf\xbd \xf0\x9f\x98\x80\xef\xbf\xbd\xef\xbf\xbd");
    assert_true(json_is_null(json_object_get(value, "share")));
    json_decref(value);
    pod.share = INFINITY;
    value = json_encode(pod_fields, &pod);
    assert_true(json_is_null(json_object_get(value, "share")));
    json_decref(value);
}

/* Random texts from the pieces of JSON: none may crash, leak, or leave something behind. */
static void random_texts_do_no_harm(void **state)
{
    static const char *const pieces[] = {
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"name\"",
        "\"ports\"",
        "\"main\"",
        "\"number\"",
        "\"args\"",
        "\"labels\"",
        "1",
        "-1",
        "1.5",
        "true",
        "null",
        "\"x\"",
        " ",
        "\"\\u00e9\"",
        "\"",
        "\\",
        "{\"name\":\"x\",",
        "[{\"name\":\"x\"}]",
    };
    unsigned seed = 20260102;
    const Pod empty = {0};

    for (int i = 0; i < 100000; i++) {
        char text[400] = "{\"name\":\"x\",";
        size_t size = rand_r(&seed) % 2 ? strlen(text) : 0;
        for (int n = rand_r(&seed) % 12; n >= 0; n--)
            size = (size_t)(stpcpy(text + size, pieces[(size_t)rand_r(&seed) % (sizeof(pieces) / sizeof(*pieces))]) -
                            text);
        json_t *value = NULL;
        Pod pod = {0};
        if (json_parse(text, size, sizeof(text), &value, NULL) < 0)
            continue;
        if (json_decode(value, pod_fields, &pod, NULL) == 0)
            json_clear(pod_fields, &pod);
        assert_memory_equal(&pod, &empty, sizeof(pod));
        json_decref(value);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_document_becomes_a_struct_and_again_the_document),
        cmocka_unit_test(null_is_the_same_as_nothing),
        cmocka_unit_test(what_is_empty_may_be_left_out),
        cmocka_unit_test(wrong_documents_are_refused_with_a_reason),
        cmocka_unit_test(unknown_keys_are_ignored_where_the_table_says_so),
        cmocka_unit_test(texts_that_are_no_json_are_refused_with_their_place),
        cmocka_unit_test(a_nul_in_the_text_does_not_end_it),
        cmocka_unit_test(the_limit_of_size_is_exact),
        cmocka_unit_test(the_limit_of_depth_is_exact),
        cmocka_unit_test(more_items_than_the_limit_are_refused),
        cmocka_unit_test(built_values_are_not_trusted_more_than_texts),
        cmocka_unit_test(a_table_that_contains_itself_ends_at_the_limit_of_depth),
        cmocka_unit_test(what_json_cannot_say_is_replaced),
        cmocka_unit_test(random_texts_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
