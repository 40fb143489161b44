/* Selectors: what they choose, how they are written, and how wrong ones are refused. */
#include "../base/testing.h"

#include "base/cleanup.h"
#include "kube/selector.h"

#include <errno.h>

static json_t *parse(const char *text)
{
    json_error_t error;
    json_t *value = json_loads(text, JSON_DECODE_ANY, &error);
    if (!value)
        fail_msg("%s: %s", text, error.text);
    return value;
}

static void text_chooses_by_labels(void **state)
{
    static const struct {
        const char *selector;
        bool matches;
    } cases[] = {
        {"", true},
        {"app=queue", true},
        {"app==queue", true},
        {"app = queue , tier", true},
        {"app!=queue", false},
        {"other!=x", true},
        {"app in (store,queue)", true},
        {"app in (store)", false},
        {"app notin (store)", true},
        {"other notin (a)", true},
        {"tier", true},
        {"!tier", false},
        {"! other", true},
        {"size>5", true},
        {"size>7", false},
        {"size<8", true},
        {"app>5", false},
        {"empty=", true},
        {"empty in (,x)", true},
        {"in in (in,notin)", true},
        {"example.com/role=a", true},
        {"app=queue,tier=back", false},
    };
    AUTO_JSON json_t *labels = parse("{\"app\": \"queue\", \"tier\": \"front\", \"size\": \"7\", \"empty\": \"\","
                                     " \"in\": \"notin\", \"example.com/role\": \"a\"}");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Selector *selector = NULL;
        InaError error = {.message = ""};
        if (selector_parse(cases[i].selector, &selector, &error) < 0)
            fail_msg("%s: %s", cases[i].selector, error.message);
        if (selector_matches(selector, labels) != cases[i].matches)
            fail_msg("'%s' should %smatch", cases[i].selector, cases[i].matches ? "" : "not ");
        selector_free(selector);
    }
    assert_true(selector_matches(NULL, labels));
}

static void wrong_text_is_refused_in_kubernetes_words(void **state)
{
    static const char *const cases[][2] = {
        {"app=(x)", "unable to parse requirement: found '(', expected: identifier"},
        {"a in x", "unable to parse requirement: found 'x' expected: '('"},
        {"a in (x", "unable to parse requirement: found '', expected: ',' or ')'"},
        {"a b", "unable to parse requirement: found 'b', expected: '=', '!=', '==', 'in', notin'"},
        {"a,", "found '', expected: identifier after ','"},
        {",a", "found ',', expected: !, identifier, or 'end of string'"},
        {"a=b c", "found 'c', expected: ',' or 'end of string'"},
        {"=a", "found '=', expected: !, identifier, or 'end of string'"},
        {"!a=b", ""},
        {"a>x", "unable to parse requirement: for 'Gt', 'Lt' operators, the value must be an integer"},
        {"-a=b", "unable to parse requirement: invalid label key \"-a\": name part must consist of"},
        {"a=-b-", "unable to parse requirement: invalid label value: \"-b-\": at key: \"a\": a valid label must be"},
        {"a/b/c=d", "unable to parse requirement: invalid label key \"a/b/c\": a qualified name must consist of"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Selector *selector = NULL;
        InaError error = {.message = ""};
        int r = selector_parse(cases[i][0], &selector, &error);
        selector_free(selector);
        if (*cases[i][1] && r != -EINVAL)
            fail_msg("%s was taken", cases[i][0]);
        assert_contains(error.message, cases[i][1]);
    }
}

static void objects_and_maps_choose_by_labels(void **state)
{
    AUTO_JSON json_t *labels = parse("{\"app\": \"queue\", \"tier\": \"front\"}");
    AUTO_JSON json_t *object = parse("{\"matchLabels\": {\"app\": \"queue\"}, \"matchExpressions\": ["
                                     "{\"key\": \"tier\", \"operator\": \"In\", \"values\": [\"front\", \"back\"]},"
                                     "{\"key\": \"gone\", \"operator\": \"DoesNotExist\"}]}");
    AUTO_JSON json_t *empty = json_object();
    AUTO_JSON json_t *map = parse("{\"tier\": \"front\"}");
    Selector *selector = NULL;
    assert_int_equal(selector_from_object(object, &selector, NULL), 0);
    assert_true(selector_matches(selector, labels));
    assert_false(selector_matches(selector, map));
    AUTO_FREE char *text = selector_format(selector);
    assert_string_equal(text, "app=queue,!gone,tier in (back,front)");
    selector = selector_free(selector);
    assert_int_equal(selector_from_object(empty, &selector, NULL), 0);
    assert_true(selector_matches(selector, NULL));
    selector = selector_free(selector);
    assert_int_equal(selector_from_object(NULL, &selector, NULL), 0);
    assert_false(selector_matches(selector, labels));
    selector = selector_free(selector);
    assert_int_equal(selector_from_map(map, &selector, NULL), 0);
    assert_true(selector_matches(selector, labels));
    assert_false(selector_matches(selector, NULL));
    selector = selector_free(selector);
    assert_int_equal(selector_from_map(empty, &selector, NULL), 0);
    assert_false(selector_matches(selector, labels));
    selector_free(selector);
}

static void a_node_affinity_compares_numbers(void **state)
{
    AUTO_JSON json_t *labels = parse("{\"cpus\": \"4\"}");
    AUTO_JSON json_t *more = parse("[{\"key\": \"cpus\", \"operator\": \"Gt\", \"values\": [\"2\"]}]");
    AUTO_JSON json_t *less = parse("[{\"key\": \"cpus\", \"operator\": \"Lt\", \"values\": [\"2\"]}]");
    AUTO_JSON json_t *as_object = json_pack("{s:O}", "matchExpressions", more);
    Selector *selector = NULL;
    assert_int_equal(selector_from_expressions(more, &selector, NULL), 0);
    assert_true(selector_matches(selector, labels));
    selector = selector_free(selector);
    assert_int_equal(selector_from_expressions(less, &selector, NULL), 0);
    assert_false(selector_matches(selector, labels));
    selector = selector_free(selector);
    InaError error = {.message = ""};
    assert_int_equal(selector_from_object(as_object, &selector, &error), -EINVAL);
    assert_string_equal(error.message, "\"Gt\" is not a valid pod selector operator");
}

static void wrong_objects_are_refused(void **state)
{
    static const char *const cases[][2] = {
        {"{\"matchExpressions\": [{\"key\": \"a\", \"operator\": \"Is\"}]}", "\"Is\" is not a valid pod selector"},
        {"{\"matchExpressions\": [{\"key\": \"a\", \"operator\": \"In\"}]}", "for 'in', 'notin' operators, values set"},
        {"{\"matchExpressions\": [{\"key\": \"a\", \"operator\": \"Exists\", \"values\": [\"x\"]}]}",
         "values set must be empty for exists and does not exist"},
        {"{\"matchExpressions\": [{\"operator\": \"Exists\"}]}", "invalid label key \"\""},
        {"{\"matchExpressions\": [3]}", "\"\" is not a valid pod selector operator"},
        {"{\"matchLabels\": {\"a b\": \"c\"}}", "invalid label key \"a b\""},
        {"{\"matchLabels\": {\"a\": \"b c\"}}", "invalid label value: \"b c\": at key: \"a\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        AUTO_JSON json_t *object = parse(cases[i][0]);
        Selector *selector = NULL;
        InaError error = {.message = ""};
        assert_int_equal(selector_from_object(object, &selector, &error), -EINVAL);
        assert_contains(error.message, cases[i][1]);
    }
}

static void endless_selectors_are_refused(void **state)
{
    char *text = malloc(SELECTOR_SIZE_MAX + 16);
    Selector *selector = NULL;
    memset(text, 'a', SELECTOR_SIZE_MAX + 1);
    text[SELECTOR_SIZE_MAX + 1] = '\0';
    assert_int_equal(selector_parse(text, &selector, NULL), -E2BIG);
    for (size_t i = 0; i < SELECTOR_SIZE_MAX; i++)
        text[i] = i % 2 ? ',' : 'a';
    text[SELECTOR_SIZE_MAX - 1] = '\0';
    assert_int_equal(selector_parse(text, &selector, NULL), -E2BIG);
    free(text);
    AUTO_JSON json_t *values = json_array();
    for (unsigned i = 0; i <= SELECTOR_VALUES_MAX; i++)
        json_array_append_new(values, json_sprintf("%u", i));
    AUTO_JSON json_t *object =
        json_pack("{s:[{s:s, s:s, s:O}]}", "matchExpressions", "key", "a", "operator", "In", "values", values);
    assert_int_equal(selector_from_object(object, &selector, NULL), -E2BIG);
}

static void fields_are_compared(void **state)
{
    static const char *const fields[] = {"spec.nodeName", "status.phase", "spec.unschedulable", NULL};
    static const struct {
        const char *selector;
        bool matches;
    } cases[] = {
        {"", true},
        {"metadata.name=a", true},
        {"metadata.name==a,spec.nodeName=node-1", true},
        {"metadata.name!=a", false},
        {"spec.nodeName!=node-2", true},
        {"status.phase=", true},
        {"status.phase!=Running,", true},
        {"spec.unschedulable=false", true},
        {"metadata.name=\\a", false},
    };
    AUTO_JSON json_t *pod = parse("{\"metadata\": {\"name\": \"a\"}, \"spec\": {\"nodeName\": \"node-1\"}}");
    for (size_t i = 0; i + 1 < sizeof cases / sizeof *cases; i++) {
        FieldSelector *selector = NULL;
        InaError error = {.message = ""};
        if (field_selector_parse(cases[i].selector, fields, &selector, &error) < 0)
            fail_msg("%s: %s", cases[i].selector, error.message);
        if (field_selector_matches(selector, pod) != cases[i].matches)
            fail_msg("'%s' should %smatch", cases[i].selector, cases[i].matches ? "" : "not ");
        field_selector_free(selector);
    }
    FieldSelector *selector = NULL;
    assert_int_equal(field_selector_parse("metadata.name=x\\,y,spec.nodeName!=z", fields, &selector, NULL), 0);
    assert_string_equal(field_selector_required(selector, "metadata.name"), "x,y");
    assert_null(field_selector_required(selector, "spec.nodeName"));
    field_selector_free(selector);
}

static void wrong_field_selectors_are_refused_in_kubernetes_words(void **state)
{
    static const char *const cases[][2] = {
        {"spec.x=y", "\"spec.x\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\""},
        {"metadata.name", "invalid selector: 'metadata.name'; can't understand 'metadata.name'"},
        {"metadata.name=a\\b", "invalid field selector: invalid escape sequence: \\b"},
        {"metadata.name=a\\", "invalid field selector: invalid escape sequence: \\"},
        {"metadata.name=a=b", "invalid field selector: unescaped character in value: 61"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        FieldSelector *selector = NULL;
        InaError error = {.message = ""};
        assert_int_equal(field_selector_parse(cases[i][0], NULL, &selector, &error), -EINVAL);
        assert_string_equal(error.message, cases[i][1]);
    }
    char text[200] = "";
    for (int i = 0; i < 40; i++)
        strcat(text, "a=b,");
    static const char *const fields[] = {"a", NULL};
    FieldSelector *selector = NULL;
    assert_int_equal(field_selector_parse(text, fields, &selector, NULL), -E2BIG);
    InaError error = {.message = ""};
    assert_int_equal(field_selector_parse("spec.x=y", fields, &selector, &error), -EINVAL); /* of a kind with fields */
    assert_string_equal(error.message, "field label not supported: spec.x");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_chooses_by_labels),
        cmocka_unit_test(wrong_text_is_refused_in_kubernetes_words),
        cmocka_unit_test(objects_and_maps_choose_by_labels),
        cmocka_unit_test(a_node_affinity_compares_numbers),
        cmocka_unit_test(wrong_objects_are_refused),
        cmocka_unit_test(endless_selectors_are_refused),
        cmocka_unit_test(fields_are_compared),
        cmocka_unit_test(wrong_field_selectors_are_refused_in_kubernetes_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
