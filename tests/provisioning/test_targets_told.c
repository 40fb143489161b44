/* Targets: what agents tell of themselves, their properties and the versions that they run, and what follows. */
#include "base/cleanup.h"
#include "targets_fixture.h"
#include <errno.h>
#include <unistd.h>

static void what_an_agent_told_counts_for_one_that_a_commit_registers(void **state)
{
    World *world = *state;

    world_release(world, "a/1.0.0");
    world_properties(world, "x", "{\"runtime\":\"java\"}");
    assert_int_equal(world_view(world, "x").registration, TARGET_UNREGISTERED);
    add(world_edit(world), OBJECT_TARGET, "{'attributes':{'id':'x'},'tags':{'site':'lab'}}");
    world_store(world);
    must(targets_flush(world->targets, &world_error));
    assert_string_equal(object_tag(world_view(world, "x").object, "target.runtime"), "java");
    assert_string_equal(object_tag(world_view(world, "x").object, "site"), "lab");
}

static void properties_are_checked(void **state)
{
    World *world = *state;
    static const char *const bad[] = {"[]", "{\"a b\":\"1\"}", "{\"\":\"1\"}", "{\"a\":1}", "{\"a\":null}"};
    AUTO_JSON json_t *many = json_object();

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        AUTO_JSON json_t *value = json_loads(bad[i], 0, NULL);

        fails(-EINVAL, "properties", targets_properties(world->targets, "t1", value, &world_error));
    }
    for (unsigned i = 0; i <= TARGETS_PROPERTIES_MAX; i++) {
        char key[16];

        snprintf(key, sizeof key, "k%u", i);
        json_object_set_new(many, key, json_string("v"));
    }
    fails(-EINVAL, "properties", targets_properties(world->targets, "t1", many, &world_error));
}

static void one_that_comes_back_goes_on_from_the_version_that_it_runs(void **state)
{
    World *world = *state;

    world_release(world, "a/1.0.0");
    world_filters(world, "(id=*)", NULL, "(id=*)");
    assert_int_equal(targets_seen(world->targets, "pod-1", NULL), 0);
    targets_count_on(world->targets, "pod-1", "4.0.0");
    targets_count_on(world->targets, "pod-1", "3.0.0");
    targets_count_on(world->targets, "pod-1", "9");
    targets_count_on(world->targets, "pod-1", "99999999999999999999.0.0");
    world_properties(world, "pod-1", "{\"ephemeral\":\"true\"}");
    assert_string_equal(world_view(world, "pod-1").current, "5.0.0");
    world_reopen(world);
    world_release(world, "a/1.1.0");
    assert_string_equal(world_view(world, "pod-1").current, "6.0.0");
}

static void on_problem(void *userdata, const char *id, const char *text)
{
    World *world = userdata;
    size_t used = strlen(world->told);

    snprintf(world->told + used, sizeof world->told - used, "problem %s: %s ", id, text);
}

static const char *tag_of(World *world, const char *id, const char *tag)
{
    const char *value = object_tag(world_view(world, id).object, tag);

    return value ? value : "";
}

static void of_properties_that_differ_in_case_only_one_counts_and_it_is_said(void **state)
{
    World *world = *state;

    world_filters(world, "(target.site=lab)", NULL, NULL);
    targets_watch_problems(world->targets, on_problem, world);
    world_properties(world, "t1", "{\"site\":\"home\",\"Site\":\"lab\",\"SITE\":\"lab\",\"b\":\"2\"}");
    assert_int_equal(world_view(world, "t1").registration, TARGET_REGISTERED);
    assert_string_equal(tag_of(world, "t1", "target.site"), "lab");
    assert_string_equal(tag_of(world, "t1", "target.b"), "2");
    assert_contains(world_view(world, "t1").problem, "property site does not count: SITE is told, too");
    assert_contains(world_view(world, "t1").problem, "property Site does not count");
    assert_contains(world->told, "problem t1: property ");
    world_reopen(world);
    assert_contains(world_view(world, "t1").problem, "property site does not count");
    assert_string_equal(tag_of(world, "t1", "target.site"), "lab");
    targets_watch_problems(world->targets, on_problem, world);
    world_properties(world, "t1", "{\"site\":\"home\"}"); /* mended */
    assert_null(world_view(world, "t1").problem);
    assert_string_equal(tag_of(world, "t1", "target.site"), "home");
    world->told[0] = '\0';
    for (unsigned i = 0; i < 3; i++) {
        world_properties(world, "t1", i % 2 ? "{\"a\":\"1\"}" : "{\"a\":\"1\",\"A\":\"1\"}");
        assert_true(!world_view(world, "t1").problem == (i % 2 == 1));
    }
    assert_contains(world->told, "problem t1: ");
    assert_null(strstr(strstr(world->told, "problem t1: ") + 1, "problem t1: ")); /* the log is no place to shout */
}

static void properties_that_clash_with_a_tag_of_a_person_are_said_to(void **state)
{
    World *world = *state;
    Model *model = world_edit(world);

    add(model, OBJECT_TARGET, "{'attributes':{'id':'t1','autoapprove':'true'},'tags':{'Target.Site':'here'}}");
    (void)world_store(world);
    targets_watch_problems(world->targets, on_problem, world);
    world_properties(world, "t1", "{\"site\":\"lab\"}");
    assert_string_equal(tag_of(world, "t1", "target.site"), "here");
    assert_contains(world_view(world, "t1").problem, "cannot become tags");
    assert_contains(world_view(world, "t1").problem, "'Target.Site' too");
    assert_contains(world->told, "problem t1: its properties cannot become tags");
    model = world_edit(world);
    drop(model, model_get(model, OBJECT_TARGET, "target-id-t1"));
    add(model, OBJECT_TARGET, "{'attributes':{'id':'t1','autoapprove':'true'},'tags':{'place':'here'}}");
    (void)world_store(world);
    must(targets_flush(world->targets, &world_error));
    assert_null(world_view(world, "t1").problem);
    assert_string_equal(tag_of(world, "t1", "target.site"), "lab");
}

static int64_t newest_serial(World *world, const char *id)
{
    return targets_version(world->targets, id, world_view(world, id).current)->serial;
}

static void serials_of_a_database_that_began_anew_are_above_those_of_the_one_before(void **state)
{
    World *world = *state;
    char path[128];
    int64_t serial;

    world_release(world, "a/1.0.0");
    must(targets_register(world->targets, "t1", true, "d", &world_error));
    must(targets_register(world->targets, "t2", true, "d", &world_error));
    assert_true(newest_serial(world, "t1") >= world->now);
    assert_true(newest_serial(world, "t2") > newest_serial(world, "t1")); /* within the same ms, too */
    world_release(world, "a/2.0.0");
    serial = newest_serial(world, "t1") > newest_serial(world, "t2") ? newest_serial(world, "t1")
                                                                     : newest_serial(world, "t2");
    world_close(world);
    snprintf(path, sizeof path, "%s/file.db", world->folder);
    assert_int_equal(unlink(path), 0);
    world->now += 1000;
    world_open(world);
    world_release(world, "a/2.0.0");
    must(targets_register(world->targets, "t1", true, "d", &world_error));
    assert_true(newest_serial(world, "t1") > serial);
    serial = newest_serial(world, "t1");
    world->now -= 3600000; /* a clock that is set back takes no serial back */
    world_release(world, "a/3.0.0");
    assert_true(newest_serial(world, "t1") == serial + 1);
}

static void what_is_newest_becomes_a_version_above_the_one_that_an_agent_tells_of(void **state)
{
    World *world = *state;

    world_release(world, "a/1.0.0");
    must(targets_register(world->targets, "t1", true, "d", &world_error));
    must(targets_register(world->targets, "t2", true, "d", &world_error));
    world->told[0] = '\0';
    targets_count_on(world->targets, "t1", "1.0.0"); /* its own */
    assert_string_equal(world_view(world, "t1").current, "1.0.0");
    targets_count_on(world->targets, "t1", "7.0.0"); /* of a server that lost what it knew since a backup */
    assert_string_equal(world_view(world, "t1").current, "8.0.0");
    assert_string_equal(world_items(world, "t1"), "a-1.0.0.zip");
    assert_contains(world->told, "v:t1/8.0.0 ");
    assert_string_equal(world_view(world, "t2").current, "1.0.0"); /* of itself only */

    /* A log that tells of many: one version, above the last. */
    must(database_begin(world->database, &world_error));
    targets_count_on(world->targets, "t2", "3.0.0");
    targets_count_on(world->targets, "t2", "4.0.0");
    targets_count_on(world->targets, "t2", "5.0.0");
    must(database_commit(world->database, &world_error));
    must(targets_flush(world->targets, &world_error));
    assert_string_equal(world_view(world, "t2").current, "6.0.0");
    world_reopen(world);
    assert_string_equal(world_view(world, "t2").current, "6.0.0");
}

static void who_tells_of_ever_higher_versions_costs_little_and_breaks_nothing(void **state)
{
    World *world = *state;
    const DeploymentVersion *versions;
    char text[32];

    world_release(world, "a/1.0.0");
    must(targets_register(world->targets, "t1", true, "d", &world_error));
    for (int i = 1; i <= 100; i++) {
        snprintf(text, sizeof text, "%d.0.0", i * 1000);
        targets_count_on(world->targets, "t1", text);
    }
    must(targets_flush(world->targets, &world_error));
    assert_int_equal(targets_versions(world->targets, "t1", &versions), 1 + TARGETS_REPEATS_MAX);
    targets_count_on(world->targets, "t1", "1000000001.0.0"); /* not believed */
    targets_count_on(world->targets, "t1", "4294967295.0.0");
    targets_count_on(world->targets, "t1", "-5.0.0");
    world_release(world, "a/2.0.0");
    assert_string_equal(world_view(world, "t1").current, "100001.0.0");
    targets_count_on(world->targets, "t1", "1000000000.0.0");
    world_release(world, "a/3.0.0");
    world_release(world, "a/4.0.0");
    assert_string_equal(world_items(world, "t1"), "a-4.0.0.zip");
    assert_string_equal(world_view(world, "t1").current, "1000000003.0.0");
}

static void a_target_that_was_forgotten_by_hand_goes_on_counting(void **state)
{
    World *world = *state;
    TargetView view;

    world_release(world, "a/1.0.0");
    must(targets_register(world->targets, "t1", true, "d", &world_error));
    world_release(world, "a/2.0.0");
    must(targets_forget(world->targets, "t1", "d", &world_error));
    assert_false(targets_view(world->targets, "t1", &view));
    world_reopen(world);
    must(targets_register(world->targets, "t1", true, "d", &world_error));
    assert_string_equal(world_view(world, "t1").current, "3.0.0");
    fails(-ENOENT, "no target", targets_forget(world->targets, "t2", "d", &world_error));
}

#define with_world(test) cmocka_unit_test_setup_teardown(test, world_set_up, world_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_world(what_an_agent_told_counts_for_one_that_a_commit_registers),
        with_world(properties_are_checked),
        with_world(of_properties_that_differ_in_case_only_one_counts_and_it_is_said),
        with_world(properties_that_clash_with_a_tag_of_a_person_are_said_to),
        with_world(serials_of_a_database_that_began_anew_are_above_those_of_the_one_before),
        with_world(what_is_newest_becomes_a_version_above_the_one_that_an_agent_tells_of),
        with_world(who_tells_of_ever_higher_versions_costs_little_and_breaks_nothing),
        with_world(one_that_comes_back_goes_on_from_the_version_that_it_runs),
        with_world(a_target_that_was_forgotten_by_hand_goes_on_counting),
    };

    return cmocka_run_group_tests_name("targets, told", tests, NULL, NULL);
}
