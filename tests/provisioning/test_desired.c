/* Desired state: what is refused and why, what a state makes of a model, and what differs. */
#include "base/cleanup.h"
#include "model_test.h"
#include "provisioning/desired.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ONE "1111111111111111111111111111111111111111111111111111111111111111"
#define TWO "2222222222222222222222222222222222222222222222222222222222222222"

static InaError error;

/* JSON with ' for ". */
static json_t *parsed(const char *text)
{
    AUTO_FREE char *own = strdup(text);
    for (char *c = own; *c; c++)
        if (*c == '\'')
            *c = '"';
    json_error_t wrong;
    json_t *value = json_loads(own, JSON_REJECT_DUPLICATES, &wrong);
    if (!value)
        fail_msg("%s: %s", wrong.text, text);
    return value;
}

static void add_file(Model *model, const char *name, const char *version, const char *digest)
{
    if (version)
        add(model, OBJECT_ARTIFACT,
            "{'attributes': {'Bundle-SymbolicName': '%s', 'Bundle-Version': '%s', 'filename': '%s.zip', 'sha256': "
            "'%s'}, 'tags': {}}",
            name, version, name, digest);
    else
        add(model, OBJECT_ARTIFACT,
            "{'attributes': {'filename': '%s', 'processorPid': 'p', 'sha256': '%s'}, 'tags': {}}", name, digest);
}

static Model *stocked(void)
{
    Model *model = model_new();
    add_file(model, "processor", "1.0.0", ONE);
    add_file(model, "processor", "2.0.0", TWO);
    add_file(model, "settings.json", NULL, "3333333333333333333333333333333333333333333333333333333333333333");
    return model;
}

/* What the state changes, as "added feature f1" one a line, in the order of names. */
static int compare_lines(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void assert_changes(const Model *before, const Model *after, const char *expected)
{
    AUTO_JSON json_t *differences = desired_differences(before, after);
    char *lines[64], text[8192] = "";
    size_t i, n = 0;
    json_t *difference;
    json_array_foreach(differences, i, difference)
    {
        assert_true(n < 64);
        assert_true(asprintf(&lines[n++], "%s %s %s\n", json_string_value(json_object_get(difference, "change")),
                             json_string_value(json_object_get(difference, "kind")),
                             json_string_value(json_object_get(difference, "name"))) > 0);
        assert_int_equal(json_is_null(json_object_get(difference, "before")),
                         strcmp(json_string_value(json_object_get(difference, "change")), "added") == 0);
    }
    qsort(lines, n, sizeof *lines, compare_lines);
    for (i = 0; i < n; i++) {
        strcat(text, lines[i]);
        free(lines[i]);
    }
    assert_string_equal(text, expected);
}

/* Applies to the model itself; the number of missing artifacts. */
static size_t apply(Model *model, const char *text)
{
    AUTO_JSON json_t *state = parsed(text), *missing = NULL;
    if (desired_apply(state, model, &missing, &error) < 0)
        fail_msg("%s", error.message);
    return json_array_size(missing);
}

static void assert_applied(Model *model, const char *text, const char *expected)
{
    Model *before = model_copy(model);
    assert_int_equal(apply(model, text), 0);
    assert_changes(before, model, expected);
    /* Again: nothing. */
    Model *after = model_copy(model);
    assert_int_equal(apply(model, text), 0);
    assert_changes(after, model, "");
    model_free(after);
    model_free(before);
}

static const char whole[] =
    "{'version': 1, 'artifacts': [{'file': 'processor.zip', 'sha256': '" TWO "'}],"
    " 'features': {'work': {'description': 'computes', 'tags': {'a': 'b'}, 'artifacts': ['processor', "
    "'settings.json']}, 'old': {'artifacts': ['processor@1']}, 'range': {'artifacts': ['processor@[1.0,2.0)']}},"
    " 'distributions': {'all': {'features': ['work', 'old']}, 'none': {}},"
    " 'assignments': [{'distribution': 'all', 'targets': '(target.component=processor)'}],"
    " 'targets': {'lab-1': {'autoApprove': true, 'tags': {'site': 'lab'}}, 'lab-2': {}}}";

/* --- what is refused ---------------------------------------------------------- */

static void a_state_that_is_none_is_refused_with_the_place_and_what_is_right(void **unused)
{
    static const struct {
        const char *state, *message;
    } wrong[] = {
        {"[]", "the state: an object {...} is right here"},
        {"{}", "version: 1 is right here"},
        {"{'version': 2}", "version: 1 is right here"},
        {"{'version': 1, 'feature': {}}", "\"feature\" is not known; there are version artifacts features"},
        {"{'version': 1, 'artifacts': {}}", "artifacts: a list [...] is right here"},
        {"{'version': 1, 'artifacts': [1]}", "artifacts[0]: the name of a file"},
        {"{'version': 1, 'artifacts': ['../x.zip']}", "artifacts[0]: the name of a file"},
        {"{'version': 1, 'artifacts': ['a', '.b']}", "artifacts[1]: the name of a file"},
        {"{'version': 1, 'artifacts': ['']}", "artifacts[0]: the name of a file"},
        {"{'version': 1, 'artifacts': ['a', 'a']}", "artifacts[1]: \"a\" is there twice"},
        {"{'version': 1, 'artifacts': ['provisioning.json']}", "artifacts[0]: provisioning.json is no artifact"},
        {"{'version': 1, 'features': []}", "features: an object {...} is right here"},
        {"{'version': 1, 'features': {'f': []}}", "features.f: an object {...} is right here"},
        {"{'version': 1, 'features': {'': {}}}", "features: a name is empty"},
        {"{'version': 1, 'features': {'f': {'artefacts': []}}}",
         "features.f: \"artefacts\" is not known; there are description tags artifacts"},
        {"{'version': 1, 'features': {'f': {'description': 1}}}", "features.f.description: a text"},
        {"{'version': 1, 'features': {'f': {'tags': {'a': 1}}}}", "features.f.tags.a: a text"},
        {"{'version': 1, 'features': {'f': {'artifacts': 'x'}}}", "features.f.artifacts: a list"},
        {"{'version': 1, 'features': {'f': {'artifacts': ['a', '']}}}", "features.f.artifacts[1]: the text is empty"},
        {"{'version': 1, 'features': {'f': {'artifacts': ['a@b']}}}",
         "features.f.artifacts[0]: \"a@b\" is no artifact"},
        {"{'version': 1, 'features': {'f': {'artifacts': ['@1']}}}", "\"@1\" is no artifact"},
        {"{'version': 1, 'features': {'f': {'artifacts': ['a@[1']}}}", "\"a@[1\" is no artifact"},
        {"{'version': 1, 'distributions': {'d': {'features': ['f']}}}",
         "distributions.d.features[0]: there is no features \"f\""},
        {"{'version': 1, 'assignments': [{'distribution': 'd', 'targets': '(a=b)'}]}",
         "assignments[0].distribution: the name of one of the distributions"},
        {"{'version': 1, 'distributions': {'d': {}}, 'assignments': [{'distribution': 'd'}]}",
         "assignments[0].targets: a filter is right here"},
        {"{'version': 1, 'distributions': {'d': {}}, 'assignments': [{'distribution': 'd', 'targets': '(a=b'}]}",
         "assignments[0].targets: "},
        {"{'version': 1, 'targets': {'a/b': {}}}", "targets.a/b: a target's id"},
        {"{'version': 1, 'targets': {'a': {'autoApprove': 'yes'}}}", "targets.a.autoApprove: true or false"},
        {"{'version': 1, 'settings': {'register': '('}}", "settings.register: "},
        {"{'version': 1, 'settings': {'versionsKept': -1}}", "settings.versionsKept: a number from 0"},
        {"{'version': 1, 'settings': {'x': 1}}", "settings: \"x\" is not known"},
        {"{'version': 1, 'rollout': 5}", "rollout: a policy {...} or null"},
        {"{'version': 1, 'links': [{'kind': 'feature', 'attributes': {}}]}", "links[0].kind: "},
        {"{'version': 1, 'links': [{'kind': 'artifact2feature'}]}", "links[0].attributes: "},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        AUTO_JSON json_t *state = parsed(wrong[i].state);
        error = (InaError){0};
        if (desired_check(state, true, &error) == 0 || !strstr(error.message, wrong[i].message))
            fail_msg("%s: \"%s\" is not \"%s\"", wrong[i].state, error.message, wrong[i].message);
    }
}

static void a_digest_is_64_digits(void **unused)
{
    AUTO_JSON json_t *state = parsed("{'version': 1, 'artifacts': [{'file': 'a.zip', 'sha256': 'ABC'}]}");
    assert_int_equal(desired_check(state, false, &error), -EINVAL);
    assert_string_equal(error.message, "artifacts[0].sha256: 64 hexadecimal digits, in small letters, are right here");
}

static void what_is_not_there_is_named(void **unused)
{
    Model *model = stocked();
    AUTO_JSON json_t *missing = NULL;
    AUTO_JSON json_t *state = parsed("{'version': 1, 'features': {'f': {'artifacts': ['processor', 'nothing']}}}");
    assert_int_equal(desired_apply(state, model, &missing, &error), -EINVAL);
    assert_string_equal(error.message, "features.f.artifacts[1]: there is no artifact \"nothing\"; name its file in "
                                       "\"artifacts\", or upload it");
    AUTO_JSON json_t *version = parsed("{'version': 1, 'features': {'f': {'artifacts': ['processor@3']}}}");
    assert_int_equal(desired_apply(version, model, &missing, &error), -EINVAL);
    assert_null(missing);
    model_free(model);
}

/* --- what is made ------------------------------------------------------------- */

static void a_state_makes_all_that_it_names_and_nothing_again(void **unused)
{
    Model *model = stocked();
    assert_applied(model, whole,
                   "added artifact2feature processor -> work\n"
                   "added artifact2feature processor@1.0.0 -> old\n"
                   "added artifact2feature processor@[1.0,2.0) -> range\n"
                   "added artifact2feature settings.json -> work\n"
                   "added distribution all\n"
                   "added distribution none\n"
                   "added distribution2target all -> (target.component=processor)\n"
                   "added feature old\n"
                   "added feature range\n"
                   "added feature work\n"
                   "added feature2distribution old -> all\n"
                   "added feature2distribution work -> all\n"
                   "added target lab-1\n"
                   "added target lab-2\n");
    const Object *target = model_get(model, OBJECT_TARGET, "target-id-lab-1");
    assert_string_equal(object_attribute(target, "autoapprove"), "true");
    assert_string_equal(object_tag(target, "site"), "lab");
    assert_string_equal(object_attribute(model_get(model, OBJECT_TARGET, "target-id-lab-2"), "autoapprove"), "false");
    model_free(model);
}

static void what_it_does_not_name_goes_but_artifacts_and_targets_stay(void **unused)
{
    Model *model = stocked();
    assert_int_equal(apply(model, whole), 0);
    assert_applied(model,
                   "{'version': 1, 'features': {'work': {'artifacts': ['processor']}}, 'distributions': {'all': "
                   "{'features': ['work']}}, 'assignments': [{'distribution': 'all', 'targets': '(id=lab-1)'}]}",
                   "added distribution2target all -> lab-1\n"
                   "changed feature work\n"
                   "removed artifact2feature processor@1.0.0 -> old\n"
                   "removed artifact2feature processor@[1.0,2.0) -> range\n"
                   "removed artifact2feature settings.json -> work\n"
                   "removed distribution none\n"
                   "removed distribution2target all -> (target.component=processor)\n"
                   "removed feature old\n"
                   "removed feature range\n"
                   "removed feature2distribution old -> all\n");
    assert_int_equal(model_count(model, OBJECT_ARTIFACT), 3);
    assert_int_equal(model_count(model, OBJECT_TARGET), 2);
    model_free(model);
}

static void a_target_keeps_what_the_state_does_not_speak_of(void **unused)
{
    Model *model = stocked();
    add(model, OBJECT_TARGET,
        "{'attributes': {'id': 't', 'autoapprove': 'true', 'x': 'y'}, 'tags': {'target.runtime': 'c', 'site': 'a'}}");
    assert_applied(model, "{'version': 1, 'targets': {'t': {'tags': {'site': 'b'}}}}", "changed target t\n");
    const Object *target = model_get(model, OBJECT_TARGET, "target-id-t");
    assert_string_equal(object_attribute(target, "autoapprove"), "true");
    assert_string_equal(object_attribute(target, "x"), "y");
    assert_string_equal(object_tag(target, "target.runtime"), "c");
    assert_string_equal(object_tag(target, "site"), "b");
    model_free(model);
}

static void links_that_people_made_are_the_same_links(void **unused)
{
    Model *model = stocked();
    const Object *feature = add_named(model, OBJECT_FEATURE, "f");
    const Object *distribution = add_named(model, OBJECT_DISTRIBUTION, "d");
    add_link(model, OBJECT_ARTIFACT2FEATURE,
             model_get(model, OBJECT_ARTIFACT, "artifact-Bundle-SymbolicName-processor-Bundle-Version-1.0.0"), feature);
    add_link(model, OBJECT_FEATURE2DISTRIBUTION, feature, distribution);
    add(model, OBJECT_ARTIFACT2FEATURE,
        "{'attributes': {'associationVersionStatement': '0.0.0'}, 'tags': {}, 'left': "
        "'artifact-Bundle-SymbolicName-processor-Bundle-Version-1.0.0', 'right': 'feature-name-f'}");
    assert_applied(model,
                   "{'version': 1, 'features': {'f': {'artifacts': ['processor@1.0', 'processor']}}, 'distributions': "
                   "{'d': {'features': ['f']}}}",
                   "");
    model_free(model);
}

static void links_without_a_short_form_stand_as_they_are(void **unused)
{
    static const char state[] =
        "{'version': 1, 'features': {'f': {}}, 'links': [{'kind': 'artifact2feature', 'attributes': {'leftEndpoint': "
        "'(vendor=acme)', 'leftCardinality': 'N', 'rightEndpoint': '(name=f)'}}]}";
    Model *model = stocked();
    assert_applied(model, state, "added artifact2feature (vendor=acme) -> f\nadded feature f\n");
    assert_applied(model, "{'version': 1, 'features': {'f': {}}}", "removed artifact2feature (vendor=acme) -> f\n");
    model_free(model);
}

static void while_files_are_missing_no_link_of_an_artifact_goes(void **unused)
{
    Model *model = stocked(), *before;
    assert_int_equal(apply(model, "{'version': 1, 'features': {'f': {'artifacts': ['processor@1']}}}"), 0);
    before = model_copy(model);
    assert_int_equal(apply(model,
                           "{'version': 1, 'artifacts': [{'file': 'new.zip', 'sha256': "
                           "'4444444444444444444444444444444444444444444444444444444444444444'}, {'file': 'known.zip', "
                           "'sha256': '" ONE "'}], 'features': {'f': {'artifacts': ['new', 'processor']}}}"),
                     1);
    assert_changes(before, model, "added artifact2feature processor -> f\n");
    model_free(before);
    model_free(model);
}

/* --- values beside the model ---------------------------------------------------- */

static void settings_are_compared_as_values(void **unused)
{
    AUTO_JSON json_t *differences = json_array(), *one = parsed("{'a': 1}"), *same = parsed("{'a': 1}"),
                     *other = parsed("{'a': 2}"), *null = json_null();
    assert_int_equal(desired_compare(differences, "settings", one, same), 0);
    assert_int_equal(desired_compare(differences, "rollout", NULL, null), 0);
    assert_int_equal(json_array_size(differences), 0);
    assert_int_equal(desired_compare(differences, "settings", one, other), 0);
    assert_int_equal(desired_compare(differences, "rollout", null, other), 0);
    assert_int_equal(desired_compare(differences, "rollout", other, null), 0);
    AUTO_FREE char *text = json_dumps(differences, JSON_COMPACT);
    assert_string_equal(text,
                        "[{\"kind\":\"settings\",\"name\":\"settings\",\"change\":\"changed\",\"before\":{\"a\":1},"
                        "\"after\":{\"a\":2}},{\"kind\":\"rollout\",\"name\":\"rollout\",\"change\":\"added\","
                        "\"before\":null,\"after\":{\"a\":2}},{\"kind\":\"rollout\",\"name\":\"rollout\",\"change\":"
                        "\"removed\",\"before\":{\"a\":2},\"after\":null}]");
}

/* --- a model as a state ------------------------------------------------------------ */

static json_t *exported(const Model *model)
{
    json_t *state = NULL;
    if (desired_export(model, NULL, NULL, &state, &error) < 0)
        fail_msg("%s", error.message);
    assert_int_equal(desired_check(state, false, &error), 0);
    return state;
}

static void assert_export_changes_nothing(Model *model)
{
    AUTO_JSON json_t *state = exported(model), *missing = NULL;
    Model *before = model_copy(model);
    if (desired_apply(state, model, &missing, &error) < 0)
        fail_msg("%s", error.message);
    assert_int_equal(json_array_size(missing), 0);
    assert_changes(before, model, "");
    model_free(before);
}

static void what_was_applied_is_exported_as_it_was(void **unused)
{
    Model *model = stocked();
    AUTO_JSON json_t *wanted = parsed(whole);
    assert_int_equal(apply(model, whole), 0);
    AUTO_JSON json_t *state = exported(model);
    /* Targets are not exported: agents bring themselves. All artifacts that are linked are. */
    json_object_del(wanted, "targets");
    assert_int_equal(json_array_size(json_object_get(state, "artifacts")), 3);
    json_object_set(wanted, "artifacts", json_object_get(state, "artifacts"));
    json_object_set_new(json_object_get(json_object_get(wanted, "distributions"), "all"), "features",
                        parsed("['old', 'work']"));
    json_object_set_new(json_object_get(json_object_get(wanted, "features"), "old"), "artifacts",
                        parsed("['processor@1.0.0']"));
    AUTO_FREE char *got = json_dumps(state, JSON_SORT_KEYS), *expected = json_dumps(wanted, JSON_SORT_KEYS);
    assert_string_equal(got, expected);
    assert_export_changes_nothing(model);
    model_free(model);
}

static void names_with_signs_of_filters_come_back(void **unused)
{
    Model *model = stocked();
    assert_int_equal(
        apply(model,
              "{'version': 1, 'features': {'a (b) * c/d\\\\e': {'artifacts': ['processor@2']}}, 'distributions': "
              "{'x)': {'features': ['a (b) * c/d\\\\e']}}, 'assignments': [{'distribution': 'x)', 'targets': "
              "'(id=a\\\\29)'}]}"),
        0);
    AUTO_JSON json_t *state = exported(model);
    assert_null(json_object_get(state, "links"));
    assert_non_null(json_object_get(json_object_get(state, "features"), "a (b) * c/d\\e"));
    assert_export_changes_nothing(model);
    model_free(model);
}

static void files_of_one_name_get_two(void **unused)
{
    Model *model = stocked();
    assert_int_equal(apply(model, "{'version': 1, 'features': {'f': {'artifacts': ['processor@1', 'processor@2']}}}"),
                     0);
    AUTO_JSON json_t *state = exported(model);
    AUTO_FREE char *text = json_dumps(json_object_get(state, "artifacts"), JSON_COMPACT);
    assert_string_equal(text, "[{\"file\":\"processor.zip\",\"sha256\":\"" ONE "\"},{\"file\":\"222222222222-"
                              "processor.zip\",\"sha256\":\"" TWO "\"}]");
    model_free(model);
}

static void whatever_is_linked_is_exported_somehow(void **unused)
{
    Model *model = stocked();
    const Object *feature = add_named(model, OBJECT_FEATURE, "f");
    add_filters(model, OBJECT_ARTIFACT2FEATURE, "(vendor=acme)", "N", "(name=f)", "1");
    add_filters(model, OBJECT_ARTIFACT2FEATURE, "(Bundle-SymbolicName=proc*)", "1", "(name=f)", "2");
    add_filters(model, OBJECT_FEATURE2DISTRIBUTION, "(name=*)", "N", "(name=*)", "N");
    add_filters(model, OBJECT_DISTRIBUTION2TARGET, "(name=d)", "1", "(id=*)", "3");
    add(model, OBJECT_ARTIFACT2FEATURE,
        "{'attributes': {'leftEndpoint': '(x=y)', 'rightEndpoint': '(z=*)'}, 'tags': {'why': 'because'}}");
    AUTO_JSON json_t *state = exported(model);
    assert_int_equal(json_array_size(json_object_get(state, "links")), 5);
    assert_export_changes_nothing(model);
    drop(model, feature);
    assert_export_changes_nothing(model);
    model_free(model);
}

static void an_empty_model_is_an_empty_state(void **unused)
{
    Model *model = model_new();
    AUTO_JSON json_t *settings = parsed("{'versionsKept': 3}"), *rollout = json_null(), *state = NULL;
    assert_int_equal(desired_export(model, settings, rollout, &state, &error), 0);
    AUTO_FREE char *text = json_dumps(state, JSON_COMPACT);
    assert_string_equal(text, "{\"version\":1,\"artifacts\":[],\"features\":{},\"distributions\":{},"
                              "\"assignments\":[],\"settings\":{\"versionsKept\":3},\"rollout\":null}");
    model_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_state_that_is_none_is_refused_with_the_place_and_what_is_right),
        cmocka_unit_test(a_digest_is_64_digits),
        cmocka_unit_test(what_is_not_there_is_named),
        cmocka_unit_test(a_state_makes_all_that_it_names_and_nothing_again),
        cmocka_unit_test(what_it_does_not_name_goes_but_artifacts_and_targets_stay),
        cmocka_unit_test(a_target_keeps_what_the_state_does_not_speak_of),
        cmocka_unit_test(links_that_people_made_are_the_same_links),
        cmocka_unit_test(links_without_a_short_form_stand_as_they_are),
        cmocka_unit_test(while_files_are_missing_no_link_of_an_artifact_goes),
        cmocka_unit_test(settings_are_compared_as_values),
        cmocka_unit_test(what_was_applied_is_exported_as_it_was),
        cmocka_unit_test(names_with_signs_of_filters_come_back),
        cmocka_unit_test(files_of_one_name_get_two),
        cmocka_unit_test(whatever_is_linked_is_exported_somehow),
        cmocka_unit_test(an_empty_model_is_an_empty_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
