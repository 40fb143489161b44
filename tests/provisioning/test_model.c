#include "base/cleanup.h"
#include "model_test.h"
#include "provisioning/object_tree.h"
#include "tests/seed.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static InaError error;

#define assert_says(part)                                                                                              \
    do {                                                                                                               \
        if (!strstr(error.message, part))                                                                              \
            fail_msg("\"%s\" does not say \"%s\"", error.message, part);                                               \
    } while (0)

static void assert_definition(Object *object, const char *definition)
{
    assert_string_equal(object_definition(object), definition);
    object_unref(object);
}

static void test_definitions_are_as_in_ace(void **state)
{
    assert_definition(
        made(OBJECT_ARTIFACT, NULL, "{'attributes': {'Bundle-Version': '1.0.0', 'Bundle-SymbolicName': 'foo.b1'}}"),
        "artifact-Bundle-SymbolicName-foo.b1-Bundle-Version-1.0.0");
    assert_definition(made(OBJECT_ARTIFACT, NULL, "{'attributes': {'filename': 'a.xml'}}"), "artifact-filename-a.xml");
    assert_definition(made(OBJECT_FEATURE, NULL, "{'attributes': {'name': 'a/b/c'}, 'tags': {}}"),
                      "feature-name-a&#47b&#47c");
    assert_definition(made(OBJECT_DISTRIBUTION, NULL, "{'attributes': {'name': 'd'}}"), "distribution-name-d");
    assert_definition(made(OBJECT_TARGET, NULL, "{'attributes': {'id': 't1'}}"), "target-id-t1");
    assert_definition(
        made(OBJECT_ARTIFACT2FEATURE, NULL, "{'attributes': {'rightEndpoint': '(b=2)', 'leftEndpoint': '(a=1)'}}"),
        "artifact2feature-leftEndpoint-(a=1)-rightEndpoint-(b=2)");
}

static void test_people_are_shown_name_and_version_instead_of_a_definition(void **state)
{
    static const char *const shown[][2] = {
        {"artifact-Bundle-SymbolicName-foo.b1-Bundle-Version-1.0.0", "foo.b1@1.0.0"},
        {"artifact-Bundle-SymbolicName-a-Bundle-Version-b-Bundle-Version-2.0.0", "a-Bundle-Version-b@2.0.0"},
        {"artifact-Bundle-SymbolicName-half", "half"},
        {"artifact-filename-a.xml", "a.xml"},
        {"feature-name-f1", "f1"},
        {"target-id-t1", "t1"},
        {"artifact2feature-leftEndpoint-(a=1)-rightEndpoint-(b=2)",
         "artifact2feature-leftEndpoint-(a=1)-rightEndpoint-(b=2)"},
        {"", ""},
    };
    char text[OBJECT_TEXT_SIZE], longest[2 * OBJECT_TEXT_SIZE];
    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++)
        assert_string_equal(definition_text(shown[i][0], text), shown[i][1]);
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    assert_int_equal(strlen(definition_text(longest, text)), OBJECT_TEXT_SIZE - 1);
}

static void test_an_association_with_long_endpoints_has_a_short_definition(void **state)
{
    char value[2001];
    memset(value, 'x', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    Object *a = made(OBJECT_ARTIFACT2FEATURE, NULL,
                     "{'attributes': {'leftEndpoint': '(a=%s)', 'rightEndpoint': '(b=2)'}}", value);
    Object *b = made(OBJECT_ARTIFACT2FEATURE, NULL,
                     "{'attributes': {'leftEndpoint': '(a=%s)', 'rightEndpoint': '(b=3)'}}", value);
    assert_true(strlen(object_definition(a)) < 100);
    assert_string_not_equal(object_definition(a), object_definition(b));
    object_unref(a);
    object_unref(b);
    assert_int_equal(refused(OBJECT_FEATURE, NULL, &error, "{'attributes': {'name': '%s'}}", value), -EINVAL);
    assert_says("too long");
}

static void test_attributes_hide_tags_and_case_does_not_matter(void **state)
{
    Object *object =
        made(OBJECT_FEATURE, NULL, "{'attributes': {'name': 'f', 'Site': 'a'}, 'tags': {'site': 'b', 'Zone': 'c'}}");
    assert_string_equal(object_attribute(object, "site"), "a");
    assert_string_equal(object_tag(object, "site"), "b");
    assert_string_equal(object_value(object, "SITE"), "a");
    assert_string_equal(object_value(object, "zone"), "c");
    assert_null(object_attribute(object, "zone"));
    assert_null(object_value(object, "none"));
    object_unref(object);
}

static void test_json_comes_back_as_it_was(void **state)
{
    Object *object = made(OBJECT_ARTIFACT, NULL,
                          "{'attributes': {'Bundle-SymbolicName': 'a', 'Bundle-Version': '1.2', 'x': 'é\\n'}, 'tags': "
                          "{'t': ''}, 'provides': ['a.b'], 'requires': [], 'contracts': {'c': 'd'}}");
    json_t *AUTO_JSON value = object_json(object);
    char *AUTO_FREE text = json_dumps(value, JSON_COMPACT);
    assert_string_equal(text, "{\"definition\":\"artifact-Bundle-SymbolicName-a-Bundle-Version-1.2\",\"attributes\":{"
                              "\"Bundle-SymbolicName\":\"a\",\"Bundle-Version\":\"1.2\",\"x\":\"é\\n\"},\"tags\":{"
                              "\"t\":\"\"},\"provides\":[\"a.b\"],\"requires\":[],\"contracts\":{\"c\":\"d\"}}");
    Object *again = NULL;
    assert_int_equal(object_new(OBJECT_ARTIFACT, value, NULL, &again, &error), 0);
    assert_true(object_equal(object, again));
    object_unref(again);
    json_object_set_new(json_object_get(value, "tags"), "t", json_string("1"));
    assert_int_equal(object_new(OBJECT_ARTIFACT, value, NULL, &again, &error), 0);
    assert_false(object_equal(object, again));
    object_unref(again);
    object_unref(object);
}

static void test_what_is_wrong_with_an_object_is_said(void **state)
{
    static const struct {
        ObjectKind kind;
        const char *value, *says;
    } wrong[] = {
        {OBJECT_FEATURE, "[]", "right would be {\"attributes\""},
        {OBJECT_FEATURE, "{}", "feature: the attribute name is missing"},
        {OBJECT_FEATURE, "{'attributes': {'name': ''}}", "must not be empty"},
        {OBJECT_FEATURE, "{'attributes': {'name': 'a\\nb'}}", "control characters"},
        {OBJECT_FEATURE, "{'attributes': {'name': 1}}", "attribute name: it is a number; only strings"},
        {OBJECT_FEATURE, "{'attributes': []}", "\"attributes\" is an array"},
        {OBJECT_FEATURE, "{'attributes': {'name': 'f'}, 'tags': {'a': null}}", "tag a: it is null"},
        {OBJECT_FEATURE, "{'attributes': {'name': 'f'}, 'tags': {'': 'x'}}", "1 to 255 bytes"},
        {OBJECT_FEATURE, "{'attributes': {'name': 'f', 'a': '', 'A': ''}}", "there twice"},
        {OBJECT_FEATURE, "{'attributes': {'name': 'f'}, 'colour': 1}", "\"colour\" is not known"},
        {OBJECT_FEATURE, "{'attributes': {'name': 'f'}, 'left': 'x'}", "\"left\" is not known"},
        {OBJECT_FEATURE, "{'attributes': {'name': 'f'}, 'requires': ['x']}", "only artifacts"},
        {OBJECT_ARTIFACT, "{'attributes': {}}", "Bundle-SymbolicName and Bundle-Version when it is a bundle"},
        {OBJECT_ARTIFACT, "{'attributes': {'Bundle-SymbolicName': 'a'}}", "Bundle-Version is missing"},
        {OBJECT_ARTIFACT, "{'attributes': {'Bundle-SymbolicName': 'a', 'Bundle-Version': 'one'}}", "'one' is not a"},
        {OBJECT_ARTIFACT, "{'attributes': {'filename': 'f'}, 'provides': 'x'}", "a list of"},
        {OBJECT_ARTIFACT, "{'attributes': {'filename': 'f'}, 'provides': [1]}", "\"provides\"[0]: it is a number"},
        {OBJECT_ARTIFACT, "{'attributes': {'filename': 'f'}, 'contracts': {'a': 1}}", "contracts"},
        {OBJECT_TARGET, "{'attributes': {'id': 'a/../b'}}", "'a/../b' is not the id of a target"},
        {OBJECT_TARGET, "{'attributes': {'name': 'a'}}", "the attribute id is missing"},
        {OBJECT_ARTIFACT2FEATURE, "{}", "leftEndpoint is missing"},
        {OBJECT_ARTIFACT2FEATURE, "{'attributes': {'leftEndpoint': '(a=b)'}}", "rightEndpoint is missing"},
        {OBJECT_ARTIFACT2FEATURE, "{'attributes': {'leftEndpoint': '(a=b', 'rightEndpoint': '(a=b)'}}",
         "attribute leftEndpoint: filter, position"},
        {OBJECT_ARTIFACT2FEATURE,
         "{'attributes': {'leftEndpoint': '(a=b)', 'rightEndpoint': '(a=b)', 'leftCardinality': '0'}}",
         "attribute leftCardinality: '0'"},
        {OBJECT_ARTIFACT2FEATURE,
         "{'attributes': {'leftEndpoint': '(a=b)', 'rightEndpoint': '(a=b)', 'rightCardinality': '2147483648'}}",
         "number from 1 to 2147483647"},
        {OBJECT_ARTIFACT2FEATURE, "{'left': 'artifact-filename-x', 'right': 'feature-name-f'}",
         "there is no artifact 'x'"},
        {OBJECT_ARTIFACT2FEATURE, "{'left': 5, 'right': 'feature-name-f'}", "the definition of the artifact"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(refused(wrong[i].kind, NULL, &error, "%s", wrong[i].value), -EINVAL);
        assert_says(wrong[i].says);
    }
}

static void test_counts_and_sizes_are_limited(void **state)
{
    json_t *AUTO_JSON tags = json_object();
    for (unsigned i = 0; i <= MODEL_ENTRIES_MAX; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%u", i);
        json_object_set_new(tags, key, json_string(""));
    }
    json_t *AUTO_JSON value = json_pack("{s:{s:s}, s:O}", "attributes", "name", "f", "tags", tags);
    Object *object = NULL;
    assert_int_equal(object_new(OBJECT_FEATURE, value, NULL, &object, &error), -EINVAL);
    assert_says("129 tags are too many");
    json_object_del(tags, "k0");
    assert_int_equal(object_new(OBJECT_FEATURE, value, NULL, &object, &error), 0);
    object_unref(object);

    char *AUTO_FREE text = malloc(MODEL_VALUE_MAX + 2);
    memset(text, 'x', MODEL_VALUE_MAX + 1);
    text[MODEL_VALUE_MAX + 1] = '\0';
    json_object_set_new(tags, "k1", json_string(text));
    assert_int_equal(object_new(OBJECT_FEATURE, value, NULL, &object, &error), -EINVAL);
    assert_says("4097 bytes are too many");
    json_object_set_new(tags, "k1", json_stringn("a\0b", 3));
    assert_int_equal(object_new(OBJECT_FEATURE, value, NULL, &object, &error), -EINVAL);
    assert_says("NUL");
}

static void assert_endpoints(const Object *association, const char *left, const char *right)
{
    assert_string_equal(object_attribute(association, "leftEndpoint"), left);
    assert_string_equal(object_attribute(association, "rightEndpoint"), right);
}

static void test_definitions_become_endpoints_as_ace_makes_them(void **state)
{
    Model *model = model_new();
    const Object *bundle = add_bundle(model, "a(b)*", "1.0.0"), *feature = add_named(model, OBJECT_FEATURE, "f");
    const Object *file = add(model, OBJECT_ARTIFACT, "{'attributes': {'filename': 'x.xml'}}");
    const Object *distribution = add_named(model, OBJECT_DISTRIBUTION, "d");
    const Object *target = add_named(model, OBJECT_TARGET, "t");

    const Object *link = add_link(model, OBJECT_ARTIFACT2FEATURE, bundle, feature);
    assert_endpoints(link, "(&(Bundle-SymbolicName=a\\28b\\29\\2a)(Bundle-Version=1.0.0))", "(name=f)");
    assert_string_equal(object_attribute(link, "leftCardinality"), "2147483647");
    assert_endpoints(add_link(model, OBJECT_ARTIFACT2FEATURE, file, feature), "(filename=x.xml)", "(name=f)");
    assert_endpoints(add_link(model, OBJECT_FEATURE2DISTRIBUTION, feature, distribution), "(name=f)", "(name=d)");
    assert_endpoints(add_link(model, OBJECT_DISTRIBUTION2TARGET, distribution, target), "(name=d)", "(id=t)");
    model_free(model);
}

static void test_a_range_of_versions_becomes_a_dynamic_link(void **state)
{
    static const struct {
        const char *range, *filter;
    } ranges[] = {
        {"0.0.0", "(&(Bundle-SymbolicName=a)(Bundle-Version>=0.0.0))"},
        {" 1.2 ", "(&(Bundle-SymbolicName=a)(Bundle-Version>=1.2.0))"},
        {"[1.0,2.0)",
         "(&(Bundle-SymbolicName=a)(Bundle-Version>=1.0.0)(Bundle-Version<=2.0.0)(!(Bundle-Version=2.0.0)))"},
        {"(1, 2.0.0.x]",
         "(&(Bundle-SymbolicName=a)(Bundle-Version>=1.0.0)(!(Bundle-Version=1.0.0))(Bundle-Version<=2.0.0.x))"},
    };
    Model *model = model_new();
    add_bundle(model, "a", "1.0.0");
    add_named(model, OBJECT_FEATURE, "f");
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        const Object *link = add(model, OBJECT_ARTIFACT2FEATURE,
                                 "{'attributes': {'associationVersionStatement': '%s'}, 'left': "
                                 "'artifact-Bundle-SymbolicName-a-Bundle-Version-1.0.0', 'right': 'feature-name-f'}",
                                 ranges[i].range);
        assert_endpoints(link, ranges[i].filter, "(name=f)");
        assert_string_equal(object_attribute(link, "leftCardinality"), "1");
        assert_string_equal(object_attribute(link, "associationVersionStatement"), ranges[i].range);
    }
    static const char *const wrong[] = {"", "x", "[1,2", "[1]", "[1,2,3)", "1,2", "[,]", "(1.0,2.0}"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        refused(OBJECT_ARTIFACT2FEATURE, model, &error,
                "{'attributes': {'associationVersionStatement': '%s'}, 'left': "
                "'artifact-Bundle-SymbolicName-a-Bundle-Version-1.0.0', 'right': 'feature-name-f'}",
                wrong[i]);
        assert_says("not a range of versions");
    }
    model_free(model);
}

static void test_what_cannot_be_linked_is_refused(void **state)
{
    Model *model = model_new();
    add_named(model, OBJECT_FEATURE, "f");
    add(model, OBJECT_ARTIFACT, "{'attributes': {'filename': 'x'}}");
    const Object *processor = add(model, OBJECT_ARTIFACT,
                                  "{'attributes': {'Bundle-SymbolicName': 'rp', 'Bundle-Version': '1.0.0', "
                                  "'Deployment-ProvidesResourceProcessor': 'pid'}}");
    assert_true(object_is_processor(processor));
    refused(OBJECT_ARTIFACT2FEATURE, model, &error, "{'left': '%s', 'right': 'feature-name-f'}",
            object_definition(processor));
    assert_says("is a resource processor");
    refused(OBJECT_ARTIFACT2FEATURE, model, &error,
            "{'attributes': {'associationVersionStatement': '1.0'}, 'left': 'artifact-filename-x', 'right': "
            "'feature-name-f'}");
    assert_says("not a bundle");
    refused(OBJECT_ARTIFACT2FEATURE, model, &error,
            "{'attributes': {'leftEndpoint': '(a=b)'}, 'left': 'artifact-filename-x', 'right': 'feature-name-f'}");
    assert_says("one of them is right");
    model_free(model);
}

static void test_a_model_adds_replaces_and_removes(void **state)
{
    Model *model = model_new();
    const Object *feature = add_named(model, OBJECT_FEATURE, "f");
    Object *same = made(OBJECT_FEATURE, NULL, "{'attributes': {'name': 'f', 'description': 'd'}}");
    assert_int_equal(model_add(model, same, &error), -EEXIST);
    assert_says("there is a feature 'feature-name-f' already");
    assert_null(object_attribute(feature, "description"));
    assert_int_equal(model_replace(model, same, &error), 0);
    assert_ptr_equal(model_get(model, OBJECT_FEATURE, "feature-name-f"), same);
    assert_null(model_get(model, OBJECT_DISTRIBUTION, "feature-name-f"));
    assert_int_equal(model_remove(model, OBJECT_FEATURE, "feature-name-f", &error), 0);
    assert_int_equal(model_remove(model, OBJECT_FEATURE, "feature-name-f", &error), -ENOENT);
    assert_int_equal(model_replace(model, same, &error), -ENOENT);
    assert_says("there is no feature 'f'");
    assert_int_equal(model_count(model, OBJECT_FEATURE), 0);
    object_unref(same);
    model_free(model);
    assert_null(model_free(NULL));
}

static void test_a_copy_goes_its_own_way(void **state)
{
    Model *model = model_new();
    add_named(model, OBJECT_TARGET, "a");
    Model *copy = model_copy(model);
    add_named(copy, OBJECT_TARGET, "b");
    drop(model, model_get(model, OBJECT_TARGET, "target-id-a"));
    assert_int_equal(model_count(model, OBJECT_TARGET), 0);
    assert_int_equal(model_count(copy, OBJECT_TARGET), 2);
    model_free(model);
    assert_string_equal(object_definition(model_at(copy, OBJECT_TARGET, 0)), "target-id-a");
    model_free(copy);
}

/* --- against a plain array ------------------------------------------------------- */

#define NAMES 200

typedef struct Naive {
    unsigned revision[NAMES]; /* 0: absent */
} Naive;

static unsigned random_below(unsigned *seed, unsigned limit)
{
    *seed = *seed * 1103515245u + 12345u;
    return (*seed >> 8) % limit;
}

static void put(Model *model, Naive *naive, unsigned i, unsigned revision)
{
    Object *object = made(OBJECT_FEATURE, NULL, "{'attributes': {'name': '%03u', 'r': '%u'}}", i, revision);
    assert_int_equal(naive->revision[i] ? model_replace(model, object, &error) : model_add(model, object, &error), 0);
    object_unref(object);
    naive->revision[i] = revision;
}

static void assert_same(const Model *model, const Naive *naive)
{
    size_t index = 0;
    for (unsigned i = 0; i < NAMES; i++) {
        if (!naive->revision[i])
            continue;
        const Object *object = model_at(model, OBJECT_FEATURE, index++);
        assert_int_equal((int)strtol(object_attribute(object, "name"), NULL, 10), i);
        assert_int_equal((int)strtol(object_attribute(object, "r"), NULL, 10), naive->revision[i]);
    }
    assert_int_equal(model_count(model, OBJECT_FEATURE), index);
    assert_null(model_at(model, OBJECT_FEATURE, index));
}

typedef struct Differences {
    const Naive *before, *after;
    unsigned count;
    int last;
} Differences;

static unsigned revision_of(const Object *object)
{
    return object ? (unsigned)(int)strtol(object_attribute(object, "r"), NULL, 10) : 0;
}

static void check_difference(void *userdata, const Object *before, const Object *after)
{
    Differences *differences = userdata;
    int i = (int)strtol(object_attribute(before ? before : after, "name"), NULL, 10);
    assert_true(i > differences->last);
    differences->last = i;
    differences->count++;
    assert_int_equal(revision_of(before), differences->before->revision[i]);
    assert_int_equal(revision_of(after), differences->after->revision[i]);
    assert_int_not_equal(revision_of(before), revision_of(after));
}

static void assert_compared(const Model *a, const Naive *naive_a, const Model *b, const Naive *naive_b)
{
    Differences differences = {naive_a, naive_b, 0, -1};
    unsigned expected = 0;
    for (unsigned i = 0; i < NAMES; i++)
        expected += naive_a->revision[i] != naive_b->revision[i];
    model_compare(a, b, check_difference, &differences);
    assert_int_equal(differences.count, expected);
}

static void test_models_are_as_arrays_would_be_and_so_are_their_differences(void **state)
{
    unsigned seed = test_seed();
    printf("seed %u\n", seed);
    Model *models[4];
    Naive naives[4] = {0};
    for (size_t i = 0; i < 4; i++)
        models[i] = model_new();
    for (unsigned step = 1; step <= 4000; step++) {
        unsigned m = random_below(&seed, 4), i = random_below(&seed, NAMES);
        unsigned action = random_below(&seed, 100);
        if (action < 50) {
            put(models[m], &naives[m], i, step);
        } else if (action < 97 && naives[m].revision[i]) {
            drop(models[m], model_at(models[m], OBJECT_FEATURE, 0));
            for (i = 0; !naives[m].revision[i];)
                i++;
            naives[m].revision[i] = 0;
        } else if (action >= 97) {
            unsigned from = random_below(&seed, 4);
            Model *copy = model_copy(models[from]);
            model_free(models[m]);
            models[m] = copy;
            naives[m] = naives[from];
        }
        assert_same(models[m], &naives[m]);
        assert_compared(models[m], &naives[m], models[step % 4], &naives[step % 4]);
    }
    for (size_t i = 0; i < 4; i++)
        model_free(models[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_definitions_are_as_in_ace),
        cmocka_unit_test(test_people_are_shown_name_and_version_instead_of_a_definition),
        cmocka_unit_test(test_an_association_with_long_endpoints_has_a_short_definition),
        cmocka_unit_test(test_attributes_hide_tags_and_case_does_not_matter),
        cmocka_unit_test(test_json_comes_back_as_it_was),
        cmocka_unit_test(test_what_is_wrong_with_an_object_is_said),
        cmocka_unit_test(test_counts_and_sizes_are_limited),
        cmocka_unit_test(test_definitions_become_endpoints_as_ace_makes_them),
        cmocka_unit_test(test_a_range_of_versions_becomes_a_dynamic_link),
        cmocka_unit_test(test_what_cannot_be_linked_is_refused),
        cmocka_unit_test(test_a_model_adds_replaces_and_removes),
        cmocka_unit_test(test_a_copy_goes_its_own_way),
        cmocka_unit_test(test_models_are_as_arrays_would_be_and_so_are_their_differences),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
