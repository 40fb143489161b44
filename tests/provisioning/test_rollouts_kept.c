/* Rollouts over restarts and clocks that are set: what goes on, what is kept, and what is shown of it. */
#include "base/cleanup.h"
#include "rollouts_fixture.h"
#include <errno.h>

static void a_restart_at_any_time_changes_nothing(void **state)
{
    Show *show = *state;

    show_begin(show, STAGED);
    world_software(show->world, "a/2.0.0");
    for (int i = 0; i < 80 && targets_released(show->world->targets) != repository_head(show->world->repository); i++) {
        size_t before = show_having(show, "a-2.0.0");

        show_restart(show);
        show->world->now += i % 7 == 0 ? 3600000 : 0; /* down for an hour */
        assert_true(show_having(show, "a-2.0.0") >= before);
        show_pass(show, 500);
    }
    assert_string_equal(show_phase(show), "done");
    assert_int_equal(show_having(show, "a-2.0.0"), 10);
    world_software(show->world, "a/2.0.0 bad/1.0.0");
    for (int i = 0; i < 80 && strcmp(show_phase(show), "rolled-back") != 0; i++) {
        show_restart(show);
        assert_true(show_having(show, "bad-") <= 1);
        show_pass(show, 500);
    }
    assert_string_equal(show_phase(show), "rolled-back");
    assert_int_equal(show_having(show, "bad-"), 0);
}

static void a_commit_right_before_a_crash_is_not_forgotten(void **state)
{
    Show *show = *state;

    show_begin(show, STAGED);
    show->rollouts = rollouts_close(show->rollouts); /* as if killed before the next turn */
    world_close(show->world);
    world_open(show->world);
    world_software(show->world, "a/2.0.0");
    world_close(show->world);
    world_open(show->world);
    show_open(show, STAGED);
    show_pass(show, 60000);
    assert_int_equal(show_having(show, "a-2.0.0"), 10);
}

static void a_server_that_just_started_waits_for_its_targets_before_it_releases(void **state)
{
    Show *show = *state;

    show_begin(show, STAGED);
    show_restart(show);
    world_software(show->world, "a/2.0.0"); /* before anybody is heard, as --load does */
    rollouts_work(show->rollouts);
    must(targets_flush(show->world->targets, &world_error));
    assert_string_equal(show_phase(show), "none");
    assert_int_equal(show_having(show, "a-2.0.0"), 0);
    assert_contains(rollouts_held(show->rollouts), "not heard since: 10");
    fails(-EBUSY, "not heard since: 10",
          rollouts_start(show->rollouts, repository_head(show->world->repository), NULL, false, "d", &(int64_t){0},
                         &world_error));
    show->agents[9].silent = true;
    show_pass(show, 5000);
    assert_string_equal(show_phase(show), "none");
    assert_contains(rollouts_held(show->rollouts), "not heard since: 1");
    show_pass(show, 26000); /* it does not come */
    assert_string_equal(show_phase(show), "running");
    assert_null(rollouts_held(show->rollouts));
    assert_true(show_having(show, "a-2.0.0") < 5);
    show_pass(show, 40000);
    assert_string_equal(show_phase(show), "done");
    assert_int_equal(show_having(show, "a-2.0.0"), 10); /* also what waits for the silent one */
}

static void after_a_start_targets_are_waited_for_until_they_have_told_what_they_do(void **state)
{
    Show *show = *state;

    for (int telling = 0; telling < 2; telling++) {
        if (!show->rollouts)
            show_begin(show, STAGED);
        show_restart(show);
        for (size_t i = 0; i < show->n; i++) {
            show->agents[i].mute = true;
            show->agents[i].rate = 40;
        }
        world_software(show->world, telling ? "a/3.0.0" : "a/2.0.0");
        show_pass(show, 5000);
        assert_contains(rollouts_held(show->rollouts), "have not told since what they do: 10");
        fails(-EBUSY, "have not told since what they do: 10",
              rollouts_start(show->rollouts, repository_head(show->world->repository), NULL, false, "d", &(int64_t){0},
                             &world_error));
        for (size_t i = 0; telling && i < show->n; i++)
            show->agents[i].mute = false;
        show_pass(show, telling ? 2000 : 26000);
        assert_string_equal(show_phase(show), "running");
        AUTO_JSON json_t *rollout = rollouts_get(show->rollouts, show_newest(show));
        assert_int_equal(json_integer_value(json_object_get(json_object_get(rollout, "unjudged"), "targets")),
                         telling ? 0 : 1); /* who still says nothing: it is said so */
        for (size_t i = 0; i < show->n; i++)
            show->agents[i].mute = false;
        show_pass(show, 60000);
        assert_string_equal(show_phase(show), "done");
    }
}

static void what_targets_did_before_a_restart_counts_until_they_tell_it_anew(void **state)
{
    Show *show = *state;
    json_int_t id;

    show_begin(show, STAGED);
    for (size_t i = 0; i < show->n; i++)
        show->agents[i].rate = 40;
    show_pass(show, 2000);
    world_software(show->world, "a/2.0.0");
    show_pass(show, 2000);
    assert_int_equal(show_having(show, "a-2.0.0"), 1);
    show_restart(show);
    for (size_t i = 0; i < show->n; i++) /* those that wait */
        show->agents[i].mute = strstr(world_items(show->world, show->agents[i].id), "a-2.0.0") == NULL;
    show_pass(show, 7000);
    assert_int_equal(show_having(show, "a-2.0.0"), 5);
    id = show_newest(show);
    AUTO_JSON json_t *rollout = rollouts_get(show->rollouts, id);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(rollout, "unjudged"), "targets")), 0);
}

static void the_policy_is_kept(void **state)
{
    Show *show = *state;
    AUTO_JSON json_t *none = NULL, *kept = NULL;
    RolloutPolicy policy;

    show_open(show, STAGED);
    must(rollouts_set_policy(show->rollouts, NULL, &world_error));
    show_restart(show);
    none = rollouts_policy(show->rollouts);
    assert_true(json_is_null(none));
    rollout_policy_default(&policy);
    policy.gate_ms = 7000;
    must(rollouts_set_policy(show->rollouts, &policy, &world_error));
    show_restart(show);
    kept = rollouts_policy(show->rollouts);
    assert_int_equal(json_integer_value(json_object_get(kept, "gateSeconds")), 7);
}

static void what_is_shown_is_what_the_interface_says(void **state)
{
    Show *show = *state;
    AUTO_JSON json_t *list = NULL, *rollout = NULL;
    static const char *const keys[] = {"id",    "from",  "to",     "author", "message", "started", "ended",
                                       "phase", "group", "policy", "groups", "reason",  "unjudged"};
    const json_t *target;

    show_begin(show, STAGED);
    world_software(show->world, "a/2.0.0");
    show_pass(show, 1000);
    list = rollouts_list(show->rollouts, 10);
    assert_int_equal(json_array_size(list), 1);
    assert_int_equal(json_object_size(json_array_get(list, 0)), sizeof keys / sizeof *keys);
    rollout = rollouts_get(show->rollouts, show_newest(show));
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (!json_object_get(rollout, keys[i]))
            fail_msg("no %s", keys[i]);
    assert_string_equal(json_string_value(json_object_get(rollout, "author")), "d");
    assert_string_equal(json_string_value(json_object_get(rollout, "message")), "a message");
    assert_int_equal(json_array_size(json_object_get(rollout, "targets")), 10);
    target = json_array_get(json_object_get(rollout, "targets"), 0);
    assert_string_equal(json_string_value(json_object_get(target, "state")), "installed");
    assert_string_equal(json_string_value(json_object_get(target, "version")), "2.0.0");
    assert_null(json_object_get(target, "heard"));
    assert_null(rollouts_get(show->rollouts, 99));
}

/* The text of a line; "": there is none. */
static const char *line(const json_t *rollout, size_t index)
{
    const char *text =
        json_string_value(json_object_get(json_array_get(json_object_get(rollout, "history"), index), "text"));

    return text ? text : "";
}

static void what_happened_is_kept_over_restarts_and_after_the_end(void **state)
{
    Show *show = *state;
    AUTO_JSON json_t *running = NULL, *ended = NULL, *list = NULL;
    const json_t *lines;
    int64_t id;

    show_begin(show, STAGED);
    world_software(show->world, "a/1.0.0 bad/1.0.0");
    rollouts_work(show->rollouts);
    id = show_newest(show);
    must(rollouts_command(show->rollouts, id, ROLLOUT_PAUSE, "d", &world_error));
    show_restart(show);
    running = rollouts_get(show->rollouts, id);
    assert_string_equal(line(running, 0),
                        "group 1 of 3 begins with 1 target; what 1 of them did before is not known, and not judged");
    assert_string_equal(line(running, 1), "paused by d");
    must(rollouts_command(show->rollouts, id, ROLLOUT_RESUME, "d", &world_error));
    show_pass(show, 5000);
    assert_string_equal(show_phase(show), "rolled-back");
    show_restart(show);
    ended = rollouts_get(show->rollouts, id);
    assert_string_equal(line(ended, 2), "resumed by d");
    assert_contains(line(ended, 3), "failed: no such symbol");
    assert_contains(line(ended, 4), "rolling back 1 targets: 1 of 1 targets of group 1 failed");
    assert_string_equal(line(ended, 5), "rolled back");
    lines = json_object_get(ended, "history");
    assert_int_equal(json_array_size(lines), 6);
    assert_int_equal(json_integer_value(json_object_get(ended, "historyOmitted")), 0);
    assert_true(json_is_null(json_object_get(json_array_get(lines, 0), "target")));
    assert_true(json_is_string(json_object_get(json_array_get(lines, 3), "target")));
    assert_in_range(json_integer_value(json_object_get(json_array_get(lines, 3), "time")), show->world->now - 10000,
                    show->world->now);
    list = rollouts_list(show->rollouts, 1);
    assert_null(json_object_get(json_array_get(list, 0), "history"));
}

static void of_many_lines_the_first_and_the_last_are_kept(void **state)
{
    Show *show = *state;
    AUTO_JSON json_t *rollout = NULL;
    const size_t half = ROLLOUT_HISTORY_MAX / 2;
    int64_t id;

    show_begin(show, STAGED);
    world_software(show->world, "a/2.0.0");
    rollouts_work(show->rollouts);
    id = show_newest(show);
    for (unsigned i = 0; i < ROLLOUT_HISTORY_MAX; i++) { /* two lines each; one is there */
        char author[32];

        snprintf(author, sizeof author, "d%u", i);
        must(rollouts_command(show->rollouts, id, ROLLOUT_PAUSE, author, &world_error));
        must(rollouts_command(show->rollouts, id, ROLLOUT_RESUME, author, &world_error));
    }
    show_restart(show);
    rollout = rollouts_get(show->rollouts, id);
    assert_int_equal(json_array_size(json_object_get(rollout, "history")), ROLLOUT_HISTORY_MAX);
    assert_int_equal(json_integer_value(json_object_get(rollout, "historyOmitted")), 1 + ROLLOUT_HISTORY_MAX);
    assert_string_equal(line(rollout, 0),
                        "group 1 of 3 begins with 1 target; what 1 of them did before is not known, and not judged");
    assert_string_equal(line(rollout, half - 1), "paused by d49");
    assert_string_equal(line(rollout, half), "paused by d150");
    assert_string_equal(line(rollout, ROLLOUT_HISTORY_MAX - 1), "resumed by d199");
}

static int64_t on_the_wall; /* how far it is ahead */

static int64_t wall_clock(void *userdata)
{
    return ((World *)userdata)->now + on_the_wall;
}

static void a_clock_that_is_set_changes_what_is_shown_and_no_time_limit(void **state)
{
    Show *show = *state;
    World *world = show->world;
    const int64_t hour = 3600000;
    AUTO_JSON json_t *running = NULL, *ended = NULL;
    const json_t *target;
    const DeploymentVersion *versions;
    size_t n;

    show_begin(show, STAGED);
    on_the_wall = -hour;
    targets_set_stamps(world->targets, wall_clock, world);
    world_software(world, "a/2.0.0");
    show_pass(show, 1000);
    on_the_wall = hour; /* the time came from the network */
    show_pass(show, 1000);
    assert_string_equal(show_phase(show), "running");
    assert_int_equal(show_having(show, "a-2.0.0"), 1);
    running = rollouts_get(show->rollouts, show_newest(show));
    assert_true(json_integer_value(json_object_get(running, "started")) < world->now - hour / 2);
    for (size_t i = 0; (target = json_array_get(json_object_get(running, "targets"), i)); i++)
        assert_true(json_integer_value(json_object_get(target, "since")) > world->now + hour / 2);
    show_pass(show, 60000);
    assert_string_equal(show_phase(show), "done");
    ended = rollouts_get(show->rollouts, show_newest(show));
    assert_true(json_integer_value(json_object_get(ended, "ended")) > world->now + hour / 2);
    target = json_array_get(json_object_get(ended, "targets"), 9);
    assert_true(json_integer_value(json_object_get(target, "since")) > world->now + hour / 2);
    n = targets_versions(world->targets, show->agents[0].id, &versions);
    assert_in_range(versions[n - 1].created, world->now - hour - 62000, world->now + hour);
    assert_true(world_view(world, show->agents[0].id).seen <= world->now);
}

static void a_clock_that_was_set_back_while_the_server_was_away_makes_nobody_wait(void **state)
{
    Show *show = *state;

    show_begin(show, STAGED);
    world_software(show->world, "a/2.0.0");
    rollouts_work(show->rollouts);
    assert_string_equal(show_phase(show), "running");
    show->rollouts = rollouts_close(show->rollouts);
    world_close(show->world);
    show->world->now -= 7 * 24 * 3600000;
    for (size_t i = 0; i < show->n; i++)
        show->agents[i].silent = true;
    world_open(show->world);
    show_open(show, show->policy);
    show_pass(show, 35000); /* nobody installs within installSeconds */
    assert_true(strcmp(show_phase(show), "running") != 0);
}

#define with_show(test) cmocka_unit_test_setup_teardown(test, show_set_up, show_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_show(a_restart_at_any_time_changes_nothing),
        with_show(a_commit_right_before_a_crash_is_not_forgotten),
        with_show(a_server_that_just_started_waits_for_its_targets_before_it_releases),
        with_show(after_a_start_targets_are_waited_for_until_they_have_told_what_they_do),
        with_show(what_targets_did_before_a_restart_counts_until_they_tell_it_anew),
        with_show(the_policy_is_kept),
        with_show(what_happened_is_kept_over_restarts_and_after_the_end),
        with_show(of_many_lines_the_first_and_the_last_are_kept),
        with_show(a_clock_that_is_set_changes_what_is_shown_and_no_time_limit),
        with_show(a_clock_that_was_set_back_while_the_server_was_away_makes_nobody_wait),
        with_show(what_is_shown_is_what_the_interface_says),
    };

    return cmocka_run_group_tests_name("rollouts, kept", tests, NULL, NULL);
}
