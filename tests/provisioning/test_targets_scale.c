/* Many targets and artifacts: what is done once stays done once. The times are printed, and only judged generously. */
#include "base/cleanup.h"
#include "provisioning/rollouts.h"
#include "targets_fixture.h"
#include <errno.h>
#include <malloc.h>
#include <time.h>

#define DIFFERENT 100
#define ROLLED_OUT 80
#define ARTIFACTS 250 /* of the rollout: each is a file that is synced */

static double seconds(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static double since(double *start)
{
    double now = seconds(), took = now - *start;

    *start = now;
    return took;
}

static void operator_takes_all(World *world)
{
    const TargetSettings all = {.register_filter = (char *)"(id=*)",
                                .autoapprove_filter = (char *)"(id=*)",
                                .versions_kept = 20,
                                .forget_ms = 600000};

    must(targets_set_settings(world->targets, &all, &world_error));
}

static void poll_all(World *world, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        char id[16];

        snprintf(id, sizeof id, "t%u", i);
        must(targets_seen(world->targets, id, &world_error));
    }
}

static size_t having_version(World *world, unsigned n, const char *version)
{
    size_t have = 0;

    for (unsigned i = 0; i < n; i++) {
        char id[16];

        snprintf(id, sizeof id, "t%u", i);
        have += strcmp(world_view(world, id).current, version) == 0;
    }
    return have;
}

static void ten_thousand_targets_register_and_poll(void **state)
{
    World *world = *state;
    double start = seconds();
    int before;

    world_release(world, "a/1.0.0 b/1.0.0");
    operator_takes_all(world);
    (void)since(&start);
    poll_all(world, 10000);
    must(targets_flush(world->targets, &world_error));
    print_message("10,000 targets registered and minted for: %.0f ms\n", since(&start) * 1e3);
    assert_int_equal(having_version(world, 10000, "1.0.0"), 10000);
    must(targets_flush(world->targets, &world_error));
    before = sqlite3_total_changes(database_handle(world->database));
    (void)since(&start);
    for (int i = 0; i < 10; i++) {
        world->now += 5000;
        poll_all(world, 10000);
        must(targets_flush(world->targets, &world_error));
    }
    print_message("a poll: %.2f us\n", since(&start) * 1e6 / 1e5);
    assert_int_equal(sqlite3_total_changes(database_handle(world->database)), before);
    world_release(world, "a/2.0.0 b/1.0.0");
    print_message("another version released to 10,000: %.0f ms\n", since(&start) * 1e3);
    assert_int_equal(having_version(world, 10000, "2.0.0"), 10000);
    (void)since(&start);
    must(targets_register(world->targets, "one-more", true, "d", &world_error));
    print_message("one more registered: %.0f ms\n", since(&start) * 1e3);
    world_close(world);
    (void)since(&start);
    world_open(world);
    print_message("opened again: %.0f ms\n", since(&start) * 1e3);
    assert_int_equal(having_version(world, 10000, "2.0.0"), 10000);
}

static const Object **make_artifacts(World *world, size_t n)
{
    const Object **artifacts = calloc(n, sizeof *artifacts);

    for (size_t i = 0; i < n; i++) {
        char name[32];

        snprintf(name, sizeof name, "bundle-%zu", i);
        artifacts[i] = world_bundle(world, name, "1.0.0");
    }
    return artifacts;
}

static void a_thousand_artifacts_for_a_thousand_targets(void **state)
{
    World *world = *state;
    AUTO_FREE const Object **artifacts = make_artifacts(world, 1000);
    double start = seconds();
    int64_t revision;

    world_assign(world, "all", artifacts, 1000, "(id=*)");
    operator_takes_all(world);
    poll_all(world, 1000);
    must(targets_flush(world->targets, &world_error));
    (void)since(&start);
    revision = world_store(world);
    print_message("1,000 x 1,000 alike: committed %.0f ms, ", since(&start) * 1e3);
    must(targets_release(world->targets, revision, &world_error));
    must(targets_flush(world->targets, &world_error));
    print_message("minted %.0f ms\n", since(&start) * 1e3);
    assert_int_equal(having_version(world, 1000, "1.0.0"), 1000);
}

/* Each has a distribution of its own, so nothing is shared. */
static void make_different(World *world, unsigned n_artifacts, unsigned n)
{
    AUTO_FREE const Object **artifacts = make_artifacts(world, n_artifacts);
    Model *model = world_edit(world);

    add_named(model, OBJECT_FEATURE, "all");
    for (unsigned i = 0; i < n_artifacts; i++)
        add_link(model, OBJECT_ARTIFACT2FEATURE, artifacts[i], model_get(model, OBJECT_FEATURE, "feature-name-all"));
    for (unsigned i = 0; i < n; i++) {
        char name[32], left[64], right[64];

        snprintf(name, sizeof name, "d%u", i);
        snprintf(left, sizeof left, "(name=d%u)", i);
        snprintf(right, sizeof right, "(id=t%u)", i);
        add_named(model, OBJECT_DISTRIBUTION, name);
        add_filters(model, OBJECT_FEATURE2DISTRIBUTION, "(name=all)", "1", left, "1");
        add_filters(model, OBJECT_DISTRIBUTION2TARGET, left, "1", right, "1");
    }
}

static void a_thousand_artifacts_for_different_targets(void **state)
{
    World *world = *state;
    struct mallinfo2 memory;
    double start = seconds();
    int64_t revision;

    make_different(world, 1000, DIFFERENT);
    operator_takes_all(world);
    poll_all(world, DIFFERENT);
    must(targets_flush(world->targets, &world_error));
    (void)since(&start);
    revision = world_store(world);
    print_message("1,000 x %d different: committed %.0f ms, ", DIFFERENT, since(&start) * 1e3);
    must(targets_release(world->targets, revision, &world_error));
    must(targets_flush(world->targets, &world_error));
    memory = mallinfo2();
    print_message("minted %.0f ms, %zu MB\n", since(&start) * 1e3, memory.uordblks >> 20);
    assert_int_equal(having_version(world, DIFFERENT, "1.0.0"), DIFFERENT);
    print_message("looked at all: %.0f ms\n", since(&start) * 1e3);
}

static void note_ready(void *userdata)
{
    *(bool *)userdata = true;
}

static bool rollout_runs(Rollouts *rollouts)
{
    AUTO_JSON json_t *list = rollouts_list(rollouts, 1);

    return json_is_null(json_object_get(json_array_get(list, 0), "ended"));
}

/* The longest turn in ms, until `ready`; with pauses between the turns, as of others who are served. */
static double turn_until(sd_event *event, const bool *ready, unsigned *ret_turns)
{
    double end = seconds() + 100, longest = 0;

    for (*ret_turns = 0; !*ready && seconds() < end; ++*ret_turns) {
        double start = seconds(), took;

        assert_true(sd_event_run(event, 100000) >= 0);
        took = since(&start) * 1e3;
        longest = took > longest ? took : longest;
    }
    return longest;
}

static void a_rollout_over_different_targets_begins_while_others_are_served(void **state)
{
    World *world = *state;
    RolloutPolicy policy;
    Rollouts *rollouts;
    sd_event *event;
    double start, longest;
    bool ready = false, again = false;
    int64_t revision, rollout;
    unsigned turns;

    rollout_policy_default(&policy);
    make_different(world, ARTIFACTS, ROLLED_OUT);
    operator_takes_all(world);
    revision = world_store(world);
    must(targets_release(world->targets, revision, &world_error));
    poll_all(world, ROLLED_OUT);
    must(targets_flush(world->targets, &world_error));
    assert_int_equal(having_version(world, ROLLED_OUT, "1.0.0"), ROLLED_OUT);
    assert_int_equal(sd_event_new(&event), 0);
    must(rollouts_open(event, world->database, world->repository, world->targets, &policy, &rollouts, &world_error));
    must(rollouts_set_policy(rollouts, NULL, &world_error));
    assert_true(sd_event_run(event, 0) >= 0); /* what is there is released */
    must(rollouts_set_policy(rollouts, &policy, &world_error));

    add_link(world_edit(world), OBJECT_ARTIFACT2FEATURE, world_bundle(world, "one-more", "1.0.0"),
             model_get(world_edit(world), OBJECT_FEATURE, "feature-name-all"));
    revision = world_store(world);
    start = seconds();
    ready = rollouts_await(rollouts, revision, false, note_ready, &ready);
    longest = turn_until(event, &ready, &turns);
    print_message("%d x %d different: a rollout begun after %.0f ms in %u turns, the longest %.0f ms\n", ARTIFACTS,
                  ROLLED_OUT, since(&start) * 1e3, turns, longest);
    assert_true(ready);
    AUTO_JSON json_t *list = rollouts_list(rollouts, 1);
    assert_int_equal(json_integer_value(json_object_get(json_array_get(list, 0), "to")), revision);
    assert_int_equal(json_integer_value(json_object_get(
                         json_array_get(json_object_get(json_array_get(list, 0), "groups"), 2), "targets")),
                     ROLLED_OUT / 2);
    rollout = json_integer_value(json_object_get(json_array_get(list, 0), "id"));
    must(rollouts_command(rollouts, rollout, ROLLOUT_ABORT, "d", &world_error));
    while (rollout_runs(rollouts))
        assert_true(sd_event_run(event, 100000) >= 0);

    /* By hand, another one; who asked leaves, and who asks then is served all the same. */
    add_link(world_edit(world), OBJECT_ARTIFACT2FEATURE, world_bundle(world, "another", "1.0.0"),
             model_get(world_edit(world), OBJECT_FEATURE, "feature-name-all"));
    must(rollouts_set_policy(rollouts, NULL, &world_error));
    revision = world_store(world);
    ready = false;
    (void)rollouts_await(rollouts, revision, true, note_ready, &ready);
    rollouts_forget(rollouts, &ready);
    if (!rollouts_await(rollouts, revision, true, note_ready, &again))
        (void)turn_until(event, &again, &turns);
    else
        again = true;
    assert_true(again);
    assert_false(ready);
    must(rollouts_start(rollouts, revision, &policy, false, "d", &rollout, &world_error));
    rollouts_close(rollouts);
    sd_event_unref(event);
}

#define with_world(test) cmocka_unit_test_setup_teardown(test, world_set_up, world_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_world(ten_thousand_targets_register_and_poll),
        with_world(a_thousand_artifacts_for_a_thousand_targets),
        with_world(a_thousand_artifacts_for_different_targets),
        with_world(a_rollout_over_different_targets_begins_while_others_are_served),
    };

    return cmocka_run_group_tests_name("targets scale", tests, NULL, NULL);
}
