/* Rollouts: what goes out when, to whom, and what is taken back. */
#include "base/cleanup.h"
#include "provisioning/rollouts_internal.h"
#include "rollouts_fixture.h"
#include <errno.h>
#include <time.h>

static void without_a_policy_all_get_it_at_once(void **state)
{
    Show *show = *state;

    show_begin(show, NULL);
    world_software(show->world, "a/2.0.0");
    show_pass(show, 1000);
    assert_int_equal(show_having(show, "a-2.0.0"), 10);
    assert_true(targets_released(show->world->targets) == repository_head(show->world->repository));
    assert_string_equal(show_phase(show), "none");
}

static void a_commit_goes_out_in_groups(void **state)
{
    Show *show = *state;

    show_begin(show, STAGED);
    world_software(show->world, "a/2.0.0");
    assert_string_equal(show_phase(show), "running"); /* what a commit answers, at once */
    show_pass(show, 500);
    assert_int_equal(show_having(show, "a-2.0.0"), 1);
    show_pass(show, 5000);
    assert_int_equal(show_having(show, "a-2.0.0"), 1);
    show_pass(show, 2000);
    assert_int_equal(show_having(show, "a-2.0.0"), 5);
    show_pass(show, 7500);
    assert_int_equal(show_having(show, "a-2.0.0"), 10);
    show_pass(show, 7500);
    assert_string_equal(show_phase(show), "done");
    assert_true(targets_released(show->world->targets) == repository_head(show->world->repository));
    for (size_t i = 0; i < 10; i++)
        assert_string_equal(world_view(show->world, show->agents[i].id).current, "2.0.0");
}

static void harm_is_caught_in_the_first_group_and_taken_back(void **state)
{
    Show *show = *state;
    static const char *const harms[] = {"bad", "slow", "crash", "noisy"};

    show_begin(show, STAGED);
    for (size_t i = 0; i < sizeof harms / sizeof *harms; i++) {
        char bundles[64], item[16];
        AUTO_JSON json_t *rollout = NULL;
        size_t seen = 0;

        snprintf(bundles, sizeof bundles, "a/1.0.0 %s/1.0.0", harms[i]);
        snprintf(item, sizeof item, "%s-", harms[i]);
        world_software(show->world, bundles);
        for (int k = 0; k < 60 && strcmp(show_phase(show), "rolled-back") != 0; k++) {
            show_pass(show, 500);
            seen = show_having(show, item) > seen ? show_having(show, item) : seen;
        }
        if (strcmp(show_phase(show), "rolled-back") != 0 || seen != 1)
            fail_msg("%s: %s, %zu saw it", harms[i], show_phase(show), seen);
        rollout = rollouts_get(show->rollouts, show_newest(show));
        assert_non_null(json_string_value(json_object_get(rollout, "reason")));
        assert_int_equal(show_having(show, item), 0);
        show_pass(show, 20000); /* and not again by itself */
        assert_int_equal(show_having(show, item), 0);
        world_software(show->world, "a/1.0.0");
        show_pass(show, 1000);
    }
}

static void what_failed_is_not_offered_again_but_by_a_person(void **state)
{
    Show *show = *state;
    int64_t bad, rollout;

    show_begin(show, STAGED);
    bad = world_software(show->world, "a/1.0.0 bad/1.0.0");
    show_pass(show, 3000);
    assert_string_equal(show_phase(show), "rolled-back");
    world_software(show->world, "a/1.0.0");
    show_pass(show, 1000);
    world_software(show->world, "bad/1.0.0 a/1.0.0"); /* the same again */
    show_pass(show, 3000);
    assert_int_equal(show_having(show, "bad-"), 0);
    assert_contains(rollouts_held(show->rollouts), "failed in rollout");
    show_restart(show);
    assert_contains(rollouts_held(show->rollouts), "failed in rollout"); /* also before anything is looked at */
    show_pass(show, 3000);
    assert_int_equal(show_having(show, "bad-"), 0);
    assert_contains(rollouts_held(show->rollouts), "failed in rollout");
    fails(-EEXIST, "failed in rollout", rollouts_start(show->rollouts, bad, NULL, false, "d", &rollout, &world_error));
    must(rollouts_start(show->rollouts, bad, NULL, true, "d", &rollout, &world_error));
    fails(-EBUSY, "runs", rollouts_start(show->rollouts, bad, NULL, true, "d", &rollout, &world_error));
    rollouts_work(show->rollouts);
    assert_int_equal(show_having(show, "bad-"), 1);
    world_software(show->world, "a/3.0.0");                              /* changed: by itself again */
    assert_contains(rollouts_held(show->rollouts), "failed in rollout"); /* the newer one: an older one was started */
    show_pass(show, 60000);
    assert_int_equal(show_having(show, "a-3.0.0"), 10);
    assert_null(rollouts_held(show->rollouts));
    show_restart(show);
    assert_null(rollouts_held(show->rollouts));
    fails(-ENOENT, "no revision", rollouts_start(show->rollouts, 1000, NULL, false, "d", &rollout, &world_error));
}

static void what_was_held_is_held_no_more_when_it_is_released_without_a_policy(void **state)
{
    Show *show = *state;

    show_begin(show, STAGED);
    world_software(show->world, "a/1.0.0 bad/1.0.0");
    show_pass(show, 3000);
    world_software(show->world, "a/1.0.0");
    show_pass(show, 1000);
    world_software(show->world, "bad/1.0.0 a/1.0.0");
    show_pass(show, 1000);
    assert_contains(rollouts_held(show->rollouts), "failed in rollout");
    must(rollouts_set_policy(show->rollouts, NULL, &world_error));
    world_software(show->world, "a/2.0.0");
    show_pass(show, 1000);
    assert_null(rollouts_held(show->rollouts));
    show_restart(show);
    assert_null(rollouts_held(show->rollouts));
}

static void what_failed_and_then_ran_well_is_good_again(void **state)
{
    Show *show = *state;
    int64_t revision, rollout;

    show_begin(show, STAGED);
    revision = world_software(show->world, "a/2.0.0");
    show_pass(show, 1000);
    must(rollouts_command(show->rollouts, show_newest(show), ROLLOUT_ROLL_BACK, "d", &world_error));
    show_pass(show, 3000);
    assert_string_equal(show_phase(show), "rolled-back");
    must(rollouts_start(show->rollouts, revision, NULL, true, "d", &rollout, &world_error));
    show_pass(show, 60000);
    assert_int_equal(show_having(show, "a-2.0.0"), 10);
    world_software(show->world, "a/3.0.0");
    show_pass(show, 60000);
    world_software(show->world, "a/2.0.0");
    show_pass(show, 60000);
    assert_int_equal(show_having(show, "a-2.0.0"), 10);
    assert_null(rollouts_held(show->rollouts));
}

static void commits_that_wait_become_one(void **state)
{
    Show *show = *state;
    int64_t first;

    show_begin(show, STAGED);
    world_software(show->world, "a/2.0.0");
    show_pass(show, 1000);
    first = show_newest(show);
    world_software(show->world, "a/3.0.0");
    world_software(show->world, "a/4.0.0");
    show_pass(show, 1000);
    assert_true(show_newest(show) == first);
    show_pass(show, 60000);
    assert_true(show_newest(show) == first + 1);
    assert_int_equal(show_having(show, "a-4.0.0"), 10);
    assert_string_equal(world_view(show->world, "t0").current, "3.0.0");
}

static void commands_steer_it(void **state)
{
    Show *show = *state;
    int64_t id;

    show_begin(show, STAGED);
    world_software(show->world, "a/2.0.0");
    show_pass(show, 1000);
    id = show_newest(show);
    must(rollouts_command(show->rollouts, id, ROLLOUT_PAUSE, "d", &world_error));
    show_pass(show, 20000);
    assert_int_equal(show_having(show, "a-2.0.0"), 1);
    show_restart(show);
    assert_string_equal(show_phase(show), "paused");
    must(rollouts_command(show->rollouts, id, ROLLOUT_RESUME, "d", &world_error));
    show_pass(show, 1000);
    assert_int_equal(show_having(show, "a-2.0.0"), 5);
    must(rollouts_command(show->rollouts, id, ROLLOUT_ROLL_BACK, "d", &world_error));
    show_pass(show, 3000);
    assert_int_equal(show_having(show, "a-1.0.0"), 10);
    assert_string_equal(show_phase(show), "rolled-back");
    fails(-EINVAL, "is over", rollouts_command(show->rollouts, id, ROLLOUT_PAUSE, "d", &world_error));
    fails(-ENOENT, "no rollout", rollouts_command(show->rollouts, 99, ROLLOUT_PAUSE, "d", &world_error));
    world_software(show->world, "a/3.0.0");
    show_pass(show, 1000);
    must(rollouts_command(show->rollouts, show_newest(show), ROLLOUT_ABORT, "d", &world_error));
    show_pass(show, 20000);
    assert_string_equal(show_phase(show), "aborted");
    assert_int_equal(show_having(show, "a-3.0.0"), 1);
    world_software(show->world, "a/4.0.0");
    show_pass(show, 60000);
    assert_int_equal(show_having(show, "a-4.0.0"), 10);
}

static void one_that_comes_meanwhile_gets_the_old_then_the_new(void **state)
{
    Show *show = *state;

    show_begin(show, STAGED);
    world_software(show->world, "a/2.0.0");
    show_pass(show, 1000);
    must(targets_seen(show->world->targets, "late", &world_error));
    targets_modern(show->world->targets, "late");
    must(targets_register(show->world->targets, "late", true, "d", &world_error));
    snprintf(show->agents[show->n++].id, 16, "late");
    show_pass(show, 1000);
    assert_string_equal(world_items(show->world, "late"), "a-1.0.0.zip");
    show_pass(show, 60000);
    assert_string_equal(world_items(show->world, "late"), "a-2.0.0.zip");
    assert_string_equal(show_phase(show), "done");
}

static void those_that_are_away_do_not_hold_it_up(void **state)
{
    Show *show = *state;

    show_begin(show, STAGED);
    show->agents[3].silent = show->agents[7].silent = true;
    show_pass(show, 40000);
    world_software(show->world, "a/2.0.0");
    show_pass(show, 40000);
    assert_string_equal(show_phase(show), "done");
    assert_int_equal(show_having(show, "a-2.0.0"), 10); /* theirs waits for them */
}

static void those_that_end_in_order_while_they_are_watched_are_no_failure(void **state)
{
    Show *show = *state;

    show_begin(show, STAGED);
    world_software(show->world, "a/2.0.0");
    show_pass(show, 2000); /* the first one has it, its gate is not passed */
    for (size_t i = 0; i < show->n; i++) {
        if (!strstr(world_items(show->world, show->agents[i].id), "a-2.0.0"))
            continue;
        show->agents[i].silent = true;
        targets_left(show->world->targets, show->agents[i].id);
        assert_false(world_view(show->world, show->agents[i].id).present);
    }
    show_pass(show, 60000);
    assert_string_equal(show_phase(show), "done");
    targets_left(show->world->targets, "nobody");
}

static void one_that_ends_in_order_and_comes_back_is_a_failure_and_gets_the_old_content(void **state)
{
    Show *show = *state;
    Agent *first = NULL;

    show_begin(show, STAGED);
    world_software(show->world, "a/2.0.0");
    show_pass(show, 2000);
    for (size_t i = 0; i < show->n; i++)
        if (strstr(world_items(show->world, show->agents[i].id), "a-2.0.0"))
            first = &show->agents[i];
    assert_non_null(first);
    first->silent = true;
    targets_left(show->world->targets, first->id);
    show_pass(show, 1000);
    /* Nobody knows more than before: one other, not all of a group. */
    assert_int_equal(show_having(show, "a-2.0.0"), 2);
    first->silent = false;
    first->since = show->world->now;
    show_pass(show, 20000);
    assert_string_equal(show_phase(show), "rolled-back");
    assert_int_equal(show_having(show, "a-2.0.0"), 0);
    assert_int_equal(show_having(show, "a-1.0.0"), 10);
}

static void one_that_left_gets_the_old_content_when_it_comes_back_after_the_end(void **state)
{
    Show *show = *state;
    Agent *first = NULL;

    show_begin(show, STAGED);
    world_software(show->world, "slow/1.0.0");
    show_pass(show, 2000);
    for (size_t i = 0; i < show->n; i++)
        if (strstr(world_items(show->world, show->agents[i].id), "slow-"))
            first = &show->agents[i];
    assert_non_null(first);
    first->silent = true;
    targets_left(show->world->targets, first->id);
    show_pass(show, 60000);
    assert_string_equal(show_phase(show), "rolled-back");
    first->silent = false;
    show_pass(show, 3000);
    assert_int_equal(show_having(show, "slow-"), 0);
    assert_int_equal(show_having(show, "a-1.0.0"), 10);
}

static void nothing_different_is_released_at_once(void **state)
{
    Show *show = *state;

    show_begin(show, STAGED);
    world_edit(show->world);
    world_bundle(show->world, "unused", "1.0.0");
    world_store(show->world);
    show_pass(show, 500);
    assert_string_equal(show_phase(show), "none");
    assert_true(targets_released(show->world->targets) == repository_head(show->world->repository));
}

static void canaries_are_the_first(void **state)
{
    Show *show = *state;
    Model *model;
    const Object *before;
    AUTO_JSON json_t *value = NULL;
    Object *object;

    show_begin(show, STAGED);
    model = world_edit(show->world);
    before = model_get(model, OBJECT_TARGET, "target-id-t6");
    value = object_json(before);
    json_object_del(value, "definition");
    json_object_set_new(json_object_get(value, "tags"), "canary", json_string("true"));
    must(object_new(OBJECT_TARGET, value, model, &object, &world_error));
    must(model_replace(model, object, &world_error));
    object_unref(object);
    world_store(show->world);
    world_software(show->world, "a/2.0.0");
    show_pass(show, 500);
    assert_int_equal(show_having(show, "a-2.0.0"), 1);
    assert_string_equal(world_items(show->world, "t6"), "a-2.0.0.zip");
}

static void what_cannot_be_had_is_rolled_back_without_being_seen(void **state)
{
    Show *show = *state;
    const Object *list[1];

    show_begin(show, STAGED);
    for (size_t i = 0; i < 10; i++)
        world_properties(show->world, show->agents[i].id, "{\"runtime\":\"java\"}");
    show_pass(show, 1000);
    list[0] = world_bundle(show->world, "only-c", "1.0.0");
    world_assign(show->world, "more", list, 1, "(id=*)");
    world_store(show->world);
    show_pass(show, 5000);
    assert_int_equal(show_having(show, "only-c"), 0);
}

static void what_one_cannot_have_costs_the_others_nothing(void **state)
{
    Show *show = *state;
    const Object *list[1];
    AUTO_JSON json_t *rollout = NULL;
    const json_t *target;
    size_t i;

    show_begin(show, "{\"groups\":[100],\"success\":90,\"error\":10,\"gateSeconds\":1}");
    list[0] = world_bundle(show->world, "b", "1.0.0");
    world_assign(show->world, "more", list, 1, "(id=*)");
    list[0] = world_bundle(show->world, "a", "2.0.0");
    world_assign(show->world, "clash", list, 1, "(id=t0)"); /* which has a 1.0.0, too */
    world_store(show->world);
    show_pass(show, 8000);
    assert_int_equal(show_having(show, "b-1.0.0"), 9);
    assert_string_equal(show_phase(show), "done");
    rollout = rollouts_get(show->rollouts, show_newest(show));
    json_array_foreach(json_object_get(rollout, "targets"), i, target)
    {
        const char *reason = json_string_value(json_object_get(target, "reason"));

        if (strcmp(json_string_value(json_object_get(target, "id")), "t0") == 0)
            assert_non_null(strstr(reason, "2.0.0"));
        else
            assert_null(reason);
    }
}

static void what_a_rollout_brings_is_found_out_target_by_target(void **state)
{
    Show *show = *state;
    const int64_t long_ago = 1;
    int64_t revision;

    show_begin(show, STAGED);
    revision = world_software(show->world, "a/2.0.0");
    for (size_t i = 0; i < show->n; i++)
        assert_false(rollouts_prepare(show->rollouts, revision, long_ago)); /* at least one at a time */
    assert_int_equal(rollouts_begin_waiting(show->rollouts, long_ago, &world_error), 1);
    assert_string_equal(show_phase(show), "running");
    show_pass(show, 60000);
    assert_int_equal(show_having(show, "a-2.0.0"), 10);

    /* Another commit meanwhile: that one begins, from the start. */
    revision = world_software(show->world, "a/3.0.0");
    assert_int_equal(rollouts_begin_waiting(show->rollouts, long_ago, &world_error), ROLLOUTS_PREPARING);
    revision = world_software(show->world, "a/4.0.0");
    for (size_t i = 0; i < show->n; i++)
        assert_int_equal(rollouts_begin_waiting(show->rollouts, long_ago, &world_error), ROLLOUTS_PREPARING);
    assert_int_equal(rollouts_begin_waiting(show->rollouts, long_ago, &world_error), 1);
    assert_true(show->rollouts->running->to == revision);

    /* After a restart it begins again. */
    show_pass(show, 60000);
    world_software(show->world, "a/5.0.0");
    assert_int_equal(rollouts_begin_waiting(show->rollouts, long_ago, &world_error), ROLLOUTS_PREPARING);
    show_restart(show);
    show_pass(show, 60000);
    assert_int_equal(show_having(show, "a-5.0.0"), 10);
}

static void note_ready(void *userdata)
{
    *(bool *)userdata = true;
}

static void who_looks_or_commits_or_begins_another_does_not_hold_up_who_begins_one_by_hand(void **state)
{
    Show *show = *state;
    const int64_t long_ago = 1;
    Rollouts *rollouts;
    bool first = false, second = false;
    int64_t revision;

    show_begin(show, STAGED);
    rollouts = show->rollouts;
    revision = world_software(show->world, "a/2.0.0");
    world_software(show->world, "a/3.0.0"); /* waits, and is looked for by who lists the rollouts */
    rollouts->awaiting[rollouts->n_awaiting++] =
        (Awaiting){.ready = note_ready, .userdata = &first, .revision = revision, .begin = true};
    rollouts->awaiting[rollouts->n_awaiting++] =
        (Awaiting){.ready = note_ready, .userdata = &second, .revision = revision - 1, .begin = true};
    for (size_t i = 0; i <= show->n; i++) {
        assert_false(rollouts->awaiting[0].due);
        assert_true(rollouts_prepare_awaited(rollouts, long_ago));
        assert_int_equal(rollouts_begin_waiting(rollouts, long_ago, &world_error), ROLLOUTS_PREPARING);
    }
    assert_true(rollouts->awaiting[0].due);
    rollouts_tell_awaiting(rollouts);
    assert_true(first);
    assert_false(second);
    rollouts_forget(rollouts, &second);
}

static int64_t real_now(void *userdata)
{
    struct timespec time;

    (void)userdata;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return 1700000000000 + time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

static int on_agents(sd_event_source *source, uint64_t usec, void *userdata)
{
    Show *show = userdata;

    show->world->now = real_now(NULL);
    for (size_t i = 0; i < show->n; i++) {
        Agent *agent = &show->agents[i];

        must(targets_seen(show->world->targets, agent->id, &world_error));
        targets_modern(show->world->targets, agent->id);
        if (!world_view(show->world, agent->id).object)
            continue;
        show_agent_act(show, agent);
        if (agent->version[0] && !agent->failed)
            show_agent_health(show, agent);
    }
    sd_event_source_set_time(source, usec + 20000);
    sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
    return 0;
}

/* Turns the loop until all agents have the item, and no rollout runs. */
static void turn_until(Show *show, sd_event *event, const char *item)
{
    int64_t end = real_now(NULL) + 60000;

    while (show_having(show, item) < show->n || strcmp(show_phase(show), "running") == 0) {
        if (real_now(NULL) > end)
            fail_msg("%zu of %zu have %s, and the rollout is %s", show_having(show, item), show->n, item,
                     show_phase(show));
        sd_event_run(event, 100000);
    }
}

static void in_the_loop_it_goes_by_itself(void **state)
{
    Show *show = *state;
    sd_event *event = NULL;
    sd_event_source *timer = NULL;
    RolloutPolicy policy;
    TargetSettings all = {.register_filter = (char *)"(id=*)", .autoapprove_filter = (char *)"(id=*)"};

    rollout_policy_default(&policy);
    policy.gate_ms = 200;
    targets_set_clock(show->world->targets, real_now, NULL);
    must(targets_set_settings(show->world->targets, &all, &world_error));
    must(sd_event_new(&event));
    must(rollouts_open(event, show->world->database, show->world->repository, show->world->targets, &policy,
                       &show->rollouts, &world_error));
    must(sd_event_add_time_relative(event, &timer, CLOCK_MONOTONIC, 1000, 0, on_agents, show));
    for (; show->n < 8; show->n++)
        snprintf(show->agents[show->n].id, sizeof show->agents[0].id, "t%zu", show->n);
    world_software(show->world, "a/1.0.0");
    turn_until(show, event, "a-1.0.0");
    world_software(show->world, "a/2.0.0");
    turn_until(show, event, "a-2.0.0");
    assert_string_equal(show_phase(show), "done");
    world_software(show->world, "a/3.0.0 bad/1.0.0");
    assert_string_equal(show_phase(show), "running");
    while (strcmp(show_phase(show), "rolled-back") != 0) {
        sd_event_run(event, 100000);
        assert_true(show_having(show, "bad-") <= 1);
    }
    turn_until(show, event, "a-2.0.0");
    must(rollouts_set_policy(show->rollouts, NULL, &world_error));
    world_software(show->world, "a/4.0.0");
    turn_until(show, event, "a-4.0.0");
    sd_event_source_disable_unref(timer);
    show->rollouts = rollouts_close(show->rollouts);
    show->world->targets = targets_close(show->world->targets);
    sd_event_unref(event);
}

#define with_show(test) cmocka_unit_test_setup_teardown(test, show_set_up, show_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_show(without_a_policy_all_get_it_at_once),
        with_show(a_commit_goes_out_in_groups),
        with_show(harm_is_caught_in_the_first_group_and_taken_back),
        with_show(what_failed_is_not_offered_again_but_by_a_person),
        with_show(what_was_held_is_held_no_more_when_it_is_released_without_a_policy),
        with_show(what_failed_and_then_ran_well_is_good_again),
        with_show(commits_that_wait_become_one),
        with_show(commands_steer_it),
        with_show(one_that_comes_meanwhile_gets_the_old_then_the_new),
        with_show(those_that_are_away_do_not_hold_it_up),
        with_show(those_that_end_in_order_while_they_are_watched_are_no_failure),
        with_show(one_that_ends_in_order_and_comes_back_is_a_failure_and_gets_the_old_content),
        with_show(one_that_left_gets_the_old_content_when_it_comes_back_after_the_end),
        with_show(nothing_different_is_released_at_once),
        with_show(canaries_are_the_first),
        with_show(what_cannot_be_had_is_rolled_back_without_being_seen),
        with_show(what_one_cannot_have_costs_the_others_nothing),
        with_show(who_looks_or_commits_or_begins_another_does_not_hold_up_who_begins_one_by_hand),
        with_show(in_the_loop_it_goes_by_itself),
        with_show(what_a_rollout_brings_is_found_out_target_by_target),
    };

    return cmocka_run_group_tests_name("rollouts", tests, NULL, NULL);
}
