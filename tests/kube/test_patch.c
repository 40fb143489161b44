/* Patches: what they make of an object, and what is refused. */
#include "../base/testing.h"

#include "base/cleanup.h"
#include "kube/patch.h"

#include <errno.h>

/* A small kind with all ways of merging. */
static const SchemaField port_fields[] = {{.name = "containerPort", .type = FIELD_INTEGER},
                                          {.name = "protocol", .type = FIELD_STRING},
                                          {.name = "name", .type = FIELD_STRING},
                                          {.name = NULL}};
static const Schema port = {"test.Port", port_fields};
static const SchemaField container_fields[] = {
    {.name = "name", .type = FIELD_STRING},
    {.name = "image", .type = FIELD_STRING},
    {.name = "command", .type = FIELD_LIST, .element = FIELD_STRING},
    {.name = "ports", .type = FIELD_LIST, .schema = &port, .merge_key = "containerPort"},
    {.name = NULL},
};
static const Schema container = {"test.Container", container_fields};
static const SchemaField volume_fields[] = {{.name = "name", .type = FIELD_STRING},
                                            {.name = "emptyDir", .type = FIELD_ANY},
                                            {.name = "hostPath", .type = FIELD_ANY},
                                            {.name = NULL}};
static const Schema volume = {"test.Volume", volume_fields};
static const SchemaField pod_fields[] = {
    {.name = "labels", .type = FIELD_MAP, .element = FIELD_STRING},
    {.name = "containers", .type = FIELD_LIST, .schema = &container, .merge_key = "name"},
    {.name = "volumes", .type = FIELD_LIST, .schema = &volume, .merge_key = "name", .retain_keys = true},
    {.name = "finalizers", .type = FIELD_LIST, .element = FIELD_STRING, .merge_key = ""},
    {.name = "tolerations", .type = FIELD_LIST, .schema = &volume},
    {.name = NULL},
};
static const Schema pod = {"test.Pod", pod_fields};

static json_t *parse(const char *text)
{
    json_error_t error;
    json_t *value = json_loads(text, JSON_DECODE_ANY, &error);
    if (!value)
        fail_msg("%s: %s", text, error.text);
    return value;
}

typedef enum Kind { JSON, MERGE, STRATEGIC } Kind;

static int apply(Kind kind, const json_t *object, const json_t *patch, json_t **ret, InaError *error)
{
    return kind == JSON    ? patch_json(object, patch, ret, error)
           : kind == MERGE ? patch_merge(object, patch, ret, error)
                           : patch_strategic(object, patch, &pod, ret, error);
}

typedef struct Case {
    const char *object, *patch, *result; /* a result that begins with "-": the message of a refusal */
} Case;

static void check(Kind kind, const Case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        AUTO_JSON json_t *object = parse(cases[i].object);
        AUTO_JSON json_t *before = json_deep_copy(object);
        AUTO_JSON json_t *patch = parse(cases[i].patch);
        AUTO_JSON json_t *patch_before = json_deep_copy(patch);
        AUTO_JSON json_t *result = NULL;
        InaError error = {.message = ""};
        int r = apply(kind, object, patch, &result, &error);
        assert_true(json_equal(object, before));
        assert_true(json_equal(patch, patch_before));
        if (*cases[i].result == '-') {
            if (r >= 0)
                fail_msg("%s was applied", cases[i].patch);
            assert_contains(error.message, cases[i].result + 1);
            continue;
        }
        AUTO_JSON json_t *expected = parse(cases[i].result);
        AUTO_FREE char *text = json_dumps(result, JSON_COMPACT);
        if (r < 0 || !json_equal(result, expected))
            fail_msg("%s on %s made %s %s", cases[i].patch, cases[i].object, text ? text : "", error.message);
    }
}

static void a_json_patch_does_its_operations_in_order(void **state)
{
    static const Case cases[] = {
        {"{\"a\":1}", "[{\"op\":\"add\",\"path\":\"/b\",\"value\":[1]},{\"op\":\"add\",\"path\":\"/b/-\",\"value\":2}]",
         "{\"a\":1,\"b\":[1,2]}"},
        {"{\"a\":[1,2,3]}", "[{\"op\":\"remove\",\"path\":\"/a/1\"}]", "{\"a\":[1,3]}"},
        {"{\"a\":[1,2,3]}", "[{\"op\":\"add\",\"path\":\"/a/0\",\"value\":0}]", "{\"a\":[0,1,2,3]}"},
        {"{\"a\":{\"x/y~z\":1}}", "[{\"op\":\"replace\",\"path\":\"/a/x~1y~0z\",\"value\":2}]",
         "{\"a\":{\"x/y~z\":2}}"},
        {"{\"a\":{\"b\":1}}", "[{\"op\":\"move\",\"from\":\"/a/b\",\"path\":\"/c\"}]", "{\"a\":{},\"c\":1}"},
        {"{\"a\":{\"b\":1}}", "[{\"op\":\"copy\",\"from\":\"/a\",\"path\":\"/c\"}]",
         "{\"a\":{\"b\":1},\"c\":{\"b\":1}}"},
        {"{\"a\":1}", "[{\"op\":\"test\",\"path\":\"/a\",\"value\":1},{\"op\":\"remove\",\"path\":\"/a\"}]", "{}"},
        {"{\"a\":1}", "[]", "{\"a\":1}"},
    };
    check(JSON, cases, sizeof cases / sizeof *cases);
}

static void a_json_patch_that_does_not_apply_says_why(void **state)
{
    static const Case cases[] = {
        {"{\"a\":1}", "[{\"op\":\"test\",\"path\":\"/a\",\"value\":2}]", "-testing value /a failed: test failed"},
        {"{\"a\":1}", "[{\"op\":\"remove\",\"path\":\"/b\"}]",
         "-error in remove for path: '/b': Unable to remove nonexistent key: b: missing value"},
        {"{\"a\":1}", "[{\"op\":\"add\",\"path\":\"/b/c\",\"value\":1}]",
         "-add operation does not apply: doc is missing path: /b/c: missing value"},
        {"{\"a\":[1]}", "[{\"op\":\"add\",\"path\":\"/a/7\",\"value\":1}]",
         "-error in add for path: '/a/7': Unable to access invalid index: 7: invalid index referenced"},
        {"{\"a\":[1]}", "[{\"op\":\"add\",\"path\":\"/a/x\",\"value\":1}]", "-value was not a proper array index: 'x'"},
        {"{\"a\":[1]}", "[{\"op\":\"remove\",\"path\":\"/a/99999999999999999999\"}]", "-invalid syntax"},
        {"{\"a\":[1]}", "[{\"op\":\"replace\",\"path\":\"/a/1\",\"value\":1}]", "-doc is missing key: /a/1"},
        {"{\"a\":1}", "[{\"op\":\"jump\",\"path\":\"/a\"}]", "-Unexpected kind: jump"},
        {"{\"a\":1}", "[{\"op\":\"add\"}]", "-missing value"},
        {"{\"a\":1}", "[{\"op\":\"copy\",\"path\":\"/b\"}]", "-copy operation failed to decode from"},
        {"{\"a\":1}", "[{\"op\":\"replace\",\"path\":\"\",\"value\":{}}]", "-doc is missing path"},
        {"{\"a\":1}", "{\"op\":\"add\"}", "-json: cannot unmarshal object into Go value of type jsonpatch.Patch"},
        {"{\"a\":1}", "[3]", "-json: cannot unmarshal"},
    };
    check(JSON, cases, sizeof cases / sizeof *cases);
}

static void a_merge_patch_merges_objects_and_replaces_the_rest(void **state)
{
    static const Case cases[] = {
        {"{\"a\":{\"b\":1,\"c\":2}}", "{\"a\":{\"b\":null,\"d\":3}}", "{\"a\":{\"c\":2,\"d\":3}}"},
        {"{\"a\":[1,2]}", "{\"a\":[3]}", "{\"a\":[3]}"},
        {"{}", "{\"a\":{\"b\":{\"c\":null}}}", "{\"a\":{\"b\":{}}}"},
        {"{\"a\":1}", "{\"a\":{\"b\":null}}", "{\"a\":{}}"},
        {"{\"a\":1}", "[1]", "-\"[1]\": couldn't get version/kind; json parse error: json: cannot unmarshal array"},
        {"{\"a\":1}", "1", "-Invalid JSON Patch"},
    };
    check(MERGE, cases, sizeof cases / sizeof *cases);
}

static void a_strategic_patch_merges_lists_by_their_keys(void **state)
{
    static const Case cases[] = {
        {"{\"containers\":[{\"name\":\"a\",\"image\":\"x\"},{\"name\":\"b\"}]}",
         "{\"containers\":[{\"name\":\"a\",\"image\":\"y\"}]}",
         "{\"containers\":[{\"name\":\"a\",\"image\":\"y\"},{\"name\":\"b\"}]}"},
        {"{\"containers\":[{\"name\":\"a\",\"ports\":[{\"containerPort\":80,\"name\":\"w\"}]}]}",
         "{\"containers\":[{\"name\":\"a\",\"ports\":[{\"containerPort\":81},{\"containerPort\":80,\"name\":\"v\"}]}]}",
         "{\"containers\":[{\"name\":\"a\",\"ports\":[{\"containerPort\":81},{\"containerPort\":80,\"name\":\"v\"}]}]"
         "}"},
        {"{\"containers\":[{\"name\":\"a\"},{\"name\":\"b\"}]}",
         "{\"containers\":[{\"name\":\"a\",\"$patch\":\"delete\"}]}", "{\"containers\":[{\"name\":\"b\"}]}"},
        {"{\"containers\":[{\"name\":\"a\"},{\"name\":\"b\"}]}",
         "{\"containers\":[{\"$patch\":\"replace\"},{\"name\":\"c\"}]}", "{\"containers\":[{\"name\":\"c\"}]}"},
        {"{\"containers\":[{\"name\":\"a\",\"command\":[\"x\",\"y\"]}]}",
         "{\"containers\":[{\"name\":\"a\",\"command\":[\"z\"]}]}",
         "{\"containers\":[{\"name\":\"a\",\"command\":[\"z\"]}]}"},
        {"{\"tolerations\":[{\"name\":\"a\"}]}", "{\"tolerations\":[{\"name\":\"b\"}]}",
         "{\"tolerations\":[{\"name\":\"b\"}]}"},
        {"{\"finalizers\":[\"a\",\"b\"]}", "{\"finalizers\":[\"c\",\"a\"]}", "{\"finalizers\":[\"c\",\"a\",\"b\"]}"},
        {"{\"labels\":{\"a\":\"1\",\"b\":\"2\"}}", "{\"labels\":{\"a\":null,\"c\":\"3\"}}",
         "{\"labels\":{\"b\":\"2\",\"c\":\"3\"}}"},
        {"{\"containers\":[{\"name\":\"a\"}]}", "{\"containers\":null}", "{}"},
        /* One port number in two protocols: neither is lost by a patch of another. */
        {"{\"containers\":[{\"name\":\"a\",\"ports\":[{\"containerPort\":53,\"protocol\":\"TCP\"},"
         "{\"containerPort\":53,\"protocol\":\"UDP\"}]}]}",
         "{\"containers\":[{\"name\":\"a\",\"ports\":[{\"containerPort\":54}]}]}",
         "{\"containers\":[{\"name\":\"a\",\"ports\":[{\"containerPort\":54},{\"containerPort\":53,\"protocol\":"
         "\"TCP\"},"
         "{\"containerPort\":53,\"protocol\":\"UDP\"}]}]}"},
    };
    check(STRATEGIC, cases, sizeof cases / sizeof *cases);
}

static void directives_of_a_strategic_patch_are_obeyed(void **state)
{
    static const Case cases[] = {
        {"{\"containers\":[{\"name\":\"a\"},{\"name\":\"b\"},{\"name\":\"c\"}]}",
         "{\"$setElementOrder/containers\":[{\"name\":\"c\"},{\"name\":\"a\"}]}",
         "{\"containers\":[{\"name\":\"b\"},{\"name\":\"c\"},{\"name\":\"a\"}]}"},
        {"{\"containers\":[{\"name\":\"a\"}]}",
         "{\"$setElementOrder/containers\":[{\"name\":\"n\"},{\"name\":\"a\"}],\"containers\":[{\"name\":\"n\"}]}",
         "{\"containers\":[{\"name\":\"n\"},{\"name\":\"a\"}]}"},
        {"{\"finalizers\":[\"a\",\"b\",\"c\"]}", "{\"$deleteFromPrimitiveList/finalizers\":[\"b\"]}",
         "{\"finalizers\":[\"a\",\"c\"]}"},
        {"{\"finalizers\":[\"a\",\"b\"]}",
         "{\"$deleteFromPrimitiveList/finalizers\":[\"a\"],\"$setElementOrder/finalizers\":[\"z\",\"b\"],"
         "\"finalizers\":[\"z\"]}",
         "{\"finalizers\":[\"z\",\"b\"]}"},
        {"{\"volumes\":[{\"name\":\"v\",\"emptyDir\":{}}]}",
         "{\"volumes\":[{\"$retainKeys\":[\"name\",\"hostPath\"],\"name\":\"v\",\"hostPath\":{\"path\":\"/x\"}}]}",
         "{\"volumes\":[{\"name\":\"v\",\"hostPath\":{\"path\":\"/x\"}}]}"},
        {"{\"labels\":{\"a\":\"1\"}}", "{\"labels\":{\"$patch\":\"replace\",\"b\":\"2\"}}",
         "{\"labels\":{\"b\":\"2\"}}"},
        {"{\"labels\":{\"a\":\"1\"}}", "{\"labels\":{\"$patch\":\"delete\"}}", "{\"labels\":{}}"},
        {"{}",
         "{\"labels\":{\"$patch\":\"replace\",\"b\":\"2\"},\"$setElementOrder/containers\":[{\"name\":\"a\"}],"
         "\"containers\":[{\"name\":\"a\"},{\"name\":\"b\",\"$patch\":\"delete\"}]}",
         "{\"labels\":{\"b\":\"2\"},\"containers\":[{\"name\":\"a\"}]}"},
    };
    check(STRATEGIC, cases, sizeof cases / sizeof *cases);
}

static void wrong_directives_are_refused_in_kubernetes_words(void **state)
{
    static const Case cases[] = {
        {"{\"labels\":{}}", "{\"labels\":{\"$patch\":\"melt\"}}", "-unknown patch type: melt in map: map[$patch:melt]"},
        {"{\"containers\":[{\"name\":\"a\"}]}", "{\"containers\":[{\"image\":\"x\"}]}",
         "-map: map[image:x] does not contain declared merge key: name"},
        {"{\"containers\":[{\"name\":\"a\"}]}", "{\"containers\":[{\"$patch\":\"delete\"}]}",
         "-does not contain declared merge key: name"},
        {"{\"containers\":[{\"name\":\"a\"}]}", "{\"containers\":[[1]]}", "-lists of lists are not supported"},
        {"{\"containers\":[{\"name\":\"a\"}]}", "{\"containers\":[{\"name\":\"a\",\"$patch\":\"merge\"}]}",
         "-merging lists cannot yet be specified in the patch"},
        {"{\"containers\":[{\"name\":\"a\"}]}", "{\"$setElementOrder/containers\":3}",
         "-invalid patch format of setElementOrder list"},
        {"{\"a\":1}", "{\"$setElementOrder/nothing\":[]}", "-invalid patch format of setElementOrder list"},
        {"{\"finalizers\":[\"a\"]}", "{\"$deleteFromPrimitiveList/finalizers\":{}}",
         "-invalid patch format of primitive list"},
        {"{\"containers\":[{\"name\":\"a\"}]}",
         "{\"$setElementOrder/containers\":[{\"name\":\"a\"},{\"name\":\"b\"}],"
         "\"containers\":[{\"name\":\"b\"},{\"name\":\"a\"}]}",
         "-doesn't match $setElementOrder list"},
        {"{\"volumes\":[{\"name\":\"v\"}]}", "{\"volumes\":[{\"name\":\"v\",\"$retainKeys\":[\"hostPath\"]}]}",
         "-invalid patch format of retainKeys"},
        {"{\"volumes\":[{\"name\":\"v\"}]}", "{\"volumes\":[{\"name\":\"v\",\"$retainKeys\":3}]}",
         "-invalid patch format of retainKeys"},
        {"{}", "[1]", "-json: cannot unmarshal array into Go value of type map[string]interface {}"},
    };
    check(STRATEGIC, cases, sizeof cases / sizeof *cases);
}

static json_t *nested(unsigned depth)
{
    json_t *value = json_object();
    while (depth-- > 0)
        value = json_pack("{s:o}", "a", value);
    return value;
}

static void patches_that_would_take_too_much_are_refused(void **state)
{
    AUTO_JSON json_t *deep = nested(100);
    AUTO_JSON json_t *object = json_pack("{s:s}", "a", "b");
    json_t *result = NULL;
    assert_int_equal(patch_merge(object, deep, &result, NULL), -EFBIG);
    assert_int_equal(patch_strategic(object, deep, NULL, &result, NULL), -EFBIG);
    AUTO_JSON json_t *many = json_array();
    for (unsigned i = 0; i <= PATCH_OPERATIONS_MAX; i++)
        json_array_append_new(many, json_pack("{s:s, s:s}", "op", "remove", "path", "/x"));
    InaError error = {.message = ""};
    assert_int_equal(patch_json(object, many, &result, &error), -E2BIG);
    assert_string_equal(error.message, "The allowed maximum operations in a JSON patch is 10000, got 10001");
    /* Each copy of the whole into itself doubles it. */
    AUTO_JSON json_t *bomb = json_array();
    for (unsigned i = 0; i < 40; i++)
        json_array_append_new(
            bomb, json_pack("{s:s, s:s, s:s++}", "op", "copy", "from", "/a", "path", "/a/", "x", i % 2 ? "1" : "2"));
    AUTO_JSON json_t *start = json_pack("{s:{s:s}}", "a", "text", "0123456789abcdef");
    assert_int_equal(patch_json(start, bomb, &result, &error), -EFBIG);
    /* Long lists: compared pair by pair. */
    AUTO_JSON json_t *list = json_array();
    for (unsigned i = 0; i < 20000; i++)
        json_array_append_new(list, json_pack("{s:s+}", "name", "c", i % 2 ? "x" : "y"));
    AUTO_JSON json_t *containers = json_pack("{s:O}", "containers", list);
    assert_int_equal(patch_strategic(containers, containers, &pod, &result, &error), -EFBIG);
    assert_null(result);
}

static void a_status_tells_the_client_as_kubernetes_does(void **state)
{
    static const struct {
        int code, http;
        const char *reason;
    } cases[] = {{EBADMSG, 400, "BadRequest"},
                 {EINVAL, 422, "Invalid"},
                 {EPROTO, 422, "Invalid"},
                 {E2BIG, 413, "RequestEntityTooLarge"},
                 {EREMOTE, 500, ""}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        InaError error;
        ina_error_set(&error, cases[i].code, "what was wrong");
        AUTO_JSON json_t *status = patch_status(&error);
        assert_int_equal(kube_status_code(status), cases[i].http);
        assert_string_equal(kube_string(status, "reason"), cases[i].reason);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_json_patch_does_its_operations_in_order),
        cmocka_unit_test(a_json_patch_that_does_not_apply_says_why),
        cmocka_unit_test(a_merge_patch_merges_objects_and_replaces_the_rest),
        cmocka_unit_test(a_strategic_patch_merges_lists_by_their_keys),
        cmocka_unit_test(directives_of_a_strategic_patch_are_obeyed),
        cmocka_unit_test(wrong_directives_are_refused_in_kubernetes_words),
        cmocka_unit_test(patches_that_would_take_too_much_are_refused),
        cmocka_unit_test(a_status_tells_the_client_as_kubernetes_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
