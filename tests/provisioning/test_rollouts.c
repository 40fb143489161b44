/* Rollouts over a repository and targets, with agents that do what their bundles say: "bad" does not install, "slow" is
 * never ready, "crash" restarts after a while. The clock is set by hand. */
#include "base/cleanup.h"
#include "provisioning/rollouts_internal.h"
#include "targets_fixture.h"
#include <errno.h>
#include <time.h>

#define AGENTS_MAX 32

typedef struct Agent {
    char id[16], version[32];
    int64_t since, told;
    bool failed, silent;
} Agent;

typedef struct Show {
    World *world;
    Rollouts *rollouts;
    const char *policy;
    Agent agents[AGENTS_MAX];
    size_t n;
} Show;

static void open_rollouts(Show *show, const char *policy)
{
    AUTO_JSON json_t *value = policy ? json_loads(policy, 0, NULL) : NULL;
    RolloutPolicy read;

    show->policy = policy;
    if (value)
        must(rollout_policy_read(value, &read, &world_error));
    must(rollouts_open(NULL, show->world->database, show->world->repository, show->world->targets, value ? &read : NULL,
                       &show->rollouts, &world_error));
}

static int set_up(void **state)
{
    Show *show = calloc(1, sizeof *show);

    world_set_up((void **)&show->world);
    *state = show;
    return 0;
}

static int tear_down(void **state)
{
    Show *show = *state;
    int r;

    rollouts_close(show->rollouts);
    r = world_tear_down((void **)&show->world);
    free(show);
    return r;
}

static void restart(Show *show)
{
    show->rollouts = rollouts_close(show->rollouts);
    world_close(show->world);
    world_open(show->world);
    open_rollouts(show, show->policy);
}

static void agents_begin(Show *show, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        Agent *agent = &show->agents[show->n++];

        snprintf(agent->id, sizeof agent->id, "t%zu", i);
        must(targets_seen(show->world->targets, agent->id, &world_error));
        targets_modern(show->world->targets, agent->id);
        must(targets_register(show->world->targets, agent->id, true, "d", &world_error));
    }
}

static void agent_act(Show *show, Agent *agent)
{
    World *world = show->world;
    const char *items = world_items(world, agent->id);
    TargetView view = world_view(world, agent->id);
    char current[32];

    if (agent->silent)
        return;
    must(targets_seen(world->targets, agent->id, &world_error));
    memcpy(current, view.current, sizeof current);
    if (current[0] && strcmp(current, agent->version) != 0) {
        agent->failed = strstr(items, "bad-") != NULL;
        memcpy(agent->version, current, sizeof agent->version);
        agent->since = world->now;
        targets_installed(world->targets, agent->id, current, !agent->failed, "no such symbol");
    }
}

/* As the API does: health of the version that runs. */
static void agent_health(Show *show, Agent *agent)
{
    World *world = show->world;
    const char *items = world_items(world, agent->id);
    TargetHealth health = {.time = world->now, .ready = !strstr(items, "slow-")};

    if (strstr(items, "crash-") && world->now - agent->since > 4000)
        agent->since = world->now;
    health.errors = strstr(items, "noisy-") ? 2 : 0;
    health.running_ms = world->now - agent->since;
    health.reason = health.ready ? NULL : (char *)"p waits for q";
    memcpy(health.version, agent->version, sizeof health.version);
    targets_health(world->targets, agent->id, &health);
}

static void pass(Show *show, int64_t ms)
{
    int64_t end = show->world->now + ms;

    while (show->world->now < end) {
        show->world->now += 500;
        for (size_t i = 0; i < show->n; i++) {
            Agent *agent = &show->agents[i];
            char before[32];

            memcpy(before, agent->version, sizeof before);
            if (agent->silent)
                continue;
            agent_act(show, agent);
            if (agent->version[0] && !agent->failed && strcmp(before, agent->version) == 0)
                agent_health(show, agent);
        }
        must(targets_flush(show->world->targets, &world_error));
        rollouts_work(show->rollouts);
    }
}

static size_t having(Show *show, const char *item)
{
    size_t n = 0;

    for (size_t i = 0; i < show->n; i++)
        n += strstr(world_items(show->world, show->agents[i].id), item) != NULL;
    return n;
}

static const char *phase(Show *show)
{
    AUTO_JSON json_t *list = rollouts_list(show->rollouts, 1);
    static char text[32];

    snprintf(text, sizeof text, "%s",
             json_array_size(list) ? json_string_value(json_object_get(json_array_get(list, 0), "phase")) : "none");
    return text;
}

static int64_t newest(Show *show)
{
    AUTO_JSON json_t *list = rollouts_list(show->rollouts, 1);

    return json_integer_value(json_object_get(json_array_get(list, 0), "id"));
}

#define STAGED "{\"groups\":[10,50,100],\"gateSeconds\":5,\"installSeconds\":30,\"silenceSeconds\":10}"

/* Ten targets that run a 1.0.0. */
static void begin(Show *show, const char *policy)
{
    open_rollouts(show, policy);
    world_software(show->world, "a/1.0.0");
    rollouts_work(show->rollouts);
    agents_begin(show, 10);
    pass(show, 3000);
    assert_int_equal(having(show, "a-1.0.0"), 10);
    assert_string_equal(phase(show), "none");
}

static void without_a_policy_all_get_it_at_once(void **state)
{
    Show *show = *state;

    begin(show, NULL);
    world_software(show->world, "a/2.0.0");
    pass(show, 1000);
    assert_int_equal(having(show, "a-2.0.0"), 10);
    assert_true(targets_released(show->world->targets) == repository_head(show->world->repository));
    assert_string_equal(phase(show), "none");
}

static void a_commit_goes_out_in_groups(void **state)
{
    Show *show = *state;

    begin(show, STAGED);
    world_software(show->world, "a/2.0.0");
    assert_string_equal(phase(show), "running"); /* what a commit answers, at once */
    pass(show, 500);
    assert_int_equal(having(show, "a-2.0.0"), 1);
    pass(show, 5000);
    assert_int_equal(having(show, "a-2.0.0"), 1);
    pass(show, 2000);
    assert_int_equal(having(show, "a-2.0.0"), 5);
    pass(show, 7500);
    assert_int_equal(having(show, "a-2.0.0"), 10);
    pass(show, 7500);
    assert_string_equal(phase(show), "done");
    assert_true(targets_released(show->world->targets) == repository_head(show->world->repository));
    for (size_t i = 0; i < 10; i++)
        assert_string_equal(world_view(show->world, show->agents[i].id).current, "2.0.0");
}

static void harm_is_caught_in_the_first_group_and_taken_back(void **state)
{
    Show *show = *state;
    static const char *const harms[] = {"bad", "slow", "crash", "noisy"};

    begin(show, STAGED);
    for (size_t i = 0; i < sizeof harms / sizeof *harms; i++) {
        char bundles[64], item[16];
        AUTO_JSON json_t *rollout = NULL;
        size_t seen = 0;

        snprintf(bundles, sizeof bundles, "a/1.0.0 %s/1.0.0", harms[i]);
        snprintf(item, sizeof item, "%s-", harms[i]);
        world_software(show->world, bundles);
        for (int k = 0; k < 60 && strcmp(phase(show), "rolled-back") != 0; k++) {
            pass(show, 500);
            seen = having(show, item) > seen ? having(show, item) : seen;
        }
        if (strcmp(phase(show), "rolled-back") != 0 || seen != 1)
            fail_msg("%s: %s, %zu saw it", harms[i], phase(show), seen);
        rollout = rollouts_get(show->rollouts, newest(show));
        assert_non_null(json_string_value(json_object_get(rollout, "reason")));
        assert_int_equal(having(show, item), 0);
        pass(show, 20000); /* and not again by itself */
        assert_int_equal(having(show, item), 0);
        world_software(show->world, "a/1.0.0");
        pass(show, 1000);
    }
}

static void what_failed_is_not_offered_again_but_by_a_person(void **state)
{
    Show *show = *state;
    int64_t bad, rollout;

    begin(show, STAGED);
    bad = world_software(show->world, "a/1.0.0 bad/1.0.0");
    pass(show, 3000);
    assert_string_equal(phase(show), "rolled-back");
    world_software(show->world, "a/1.0.0");
    pass(show, 1000);
    world_software(show->world, "bad/1.0.0 a/1.0.0"); /* the same again */
    pass(show, 3000);
    assert_int_equal(having(show, "bad-"), 0);
    assert_contains(rollouts_held(show->rollouts), "failed in rollout");
    restart(show);
    assert_contains(rollouts_held(show->rollouts), "failed in rollout"); /* also before anything is looked at */
    pass(show, 3000);
    assert_int_equal(having(show, "bad-"), 0);
    assert_contains(rollouts_held(show->rollouts), "failed in rollout");
    fails(-EEXIST, "failed in rollout", rollouts_start(show->rollouts, bad, NULL, false, "d", &rollout, &world_error));
    must(rollouts_start(show->rollouts, bad, NULL, true, "d", &rollout, &world_error));
    fails(-EBUSY, "runs", rollouts_start(show->rollouts, bad, NULL, true, "d", &rollout, &world_error));
    rollouts_work(show->rollouts);
    assert_int_equal(having(show, "bad-"), 1);
    world_software(show->world, "a/3.0.0");                              /* changed: by itself again */
    assert_contains(rollouts_held(show->rollouts), "failed in rollout"); /* the newer one: an older one was started */
    pass(show, 60000);
    assert_int_equal(having(show, "a-3.0.0"), 10);
    assert_null(rollouts_held(show->rollouts));
    restart(show);
    assert_null(rollouts_held(show->rollouts));
    fails(-ENOENT, "no revision", rollouts_start(show->rollouts, 1000, NULL, false, "d", &rollout, &world_error));
}

static void what_was_held_is_held_no_more_when_it_is_released_without_a_policy(void **state)
{
    Show *show = *state;

    begin(show, STAGED);
    world_software(show->world, "a/1.0.0 bad/1.0.0");
    pass(show, 3000);
    world_software(show->world, "a/1.0.0");
    pass(show, 1000);
    world_software(show->world, "bad/1.0.0 a/1.0.0");
    pass(show, 1000);
    assert_contains(rollouts_held(show->rollouts), "failed in rollout");
    must(rollouts_set_policy(show->rollouts, NULL, &world_error));
    world_software(show->world, "a/2.0.0");
    pass(show, 1000);
    assert_null(rollouts_held(show->rollouts));
    restart(show);
    assert_null(rollouts_held(show->rollouts));
}

static void what_failed_and_then_ran_well_is_good_again(void **state)
{
    Show *show = *state;
    int64_t revision, rollout;

    begin(show, STAGED);
    revision = world_software(show->world, "a/2.0.0");
    pass(show, 1000);
    must(rollouts_command(show->rollouts, newest(show), ROLLOUT_ROLL_BACK, "d", &world_error));
    pass(show, 3000);
    assert_string_equal(phase(show), "rolled-back");
    must(rollouts_start(show->rollouts, revision, NULL, true, "d", &rollout, &world_error));
    pass(show, 60000);
    assert_int_equal(having(show, "a-2.0.0"), 10);
    world_software(show->world, "a/3.0.0");
    pass(show, 60000);
    world_software(show->world, "a/2.0.0");
    pass(show, 60000);
    assert_int_equal(having(show, "a-2.0.0"), 10);
    assert_null(rollouts_held(show->rollouts));
}

static void commits_that_wait_become_one(void **state)
{
    Show *show = *state;
    int64_t first;

    begin(show, STAGED);
    world_software(show->world, "a/2.0.0");
    pass(show, 1000);
    first = newest(show);
    world_software(show->world, "a/3.0.0");
    world_software(show->world, "a/4.0.0");
    pass(show, 1000);
    assert_true(newest(show) == first);
    pass(show, 60000);
    assert_true(newest(show) == first + 1);
    assert_int_equal(having(show, "a-4.0.0"), 10);
    assert_string_equal(world_view(show->world, "t0").current, "3.0.0");
}

static void commands_steer_it(void **state)
{
    Show *show = *state;
    int64_t id;

    begin(show, STAGED);
    world_software(show->world, "a/2.0.0");
    pass(show, 1000);
    id = newest(show);
    must(rollouts_command(show->rollouts, id, ROLLOUT_PAUSE, "d", &world_error));
    pass(show, 20000);
    assert_int_equal(having(show, "a-2.0.0"), 1);
    restart(show);
    assert_string_equal(phase(show), "paused");
    must(rollouts_command(show->rollouts, id, ROLLOUT_RESUME, "d", &world_error));
    pass(show, 1000);
    assert_int_equal(having(show, "a-2.0.0"), 5);
    must(rollouts_command(show->rollouts, id, ROLLOUT_ROLL_BACK, "d", &world_error));
    pass(show, 3000);
    assert_int_equal(having(show, "a-1.0.0"), 10);
    assert_string_equal(phase(show), "rolled-back");
    fails(-EINVAL, "is over", rollouts_command(show->rollouts, id, ROLLOUT_PAUSE, "d", &world_error));
    fails(-ENOENT, "no rollout", rollouts_command(show->rollouts, 99, ROLLOUT_PAUSE, "d", &world_error));
    world_software(show->world, "a/3.0.0");
    pass(show, 1000);
    must(rollouts_command(show->rollouts, newest(show), ROLLOUT_ABORT, "d", &world_error));
    pass(show, 20000);
    assert_string_equal(phase(show), "aborted");
    assert_int_equal(having(show, "a-3.0.0"), 1);
    world_software(show->world, "a/4.0.0");
    pass(show, 60000);
    assert_int_equal(having(show, "a-4.0.0"), 10);
}

static void one_that_comes_meanwhile_gets_the_old_then_the_new(void **state)
{
    Show *show = *state;

    begin(show, STAGED);
    world_software(show->world, "a/2.0.0");
    pass(show, 1000);
    must(targets_seen(show->world->targets, "late", &world_error));
    targets_modern(show->world->targets, "late");
    must(targets_register(show->world->targets, "late", true, "d", &world_error));
    snprintf(show->agents[show->n++].id, 16, "late");
    pass(show, 1000);
    assert_string_equal(world_items(show->world, "late"), "a-1.0.0.zip");
    pass(show, 60000);
    assert_string_equal(world_items(show->world, "late"), "a-2.0.0.zip");
    assert_string_equal(phase(show), "done");
}

static void those_that_are_away_do_not_hold_it_up(void **state)
{
    Show *show = *state;

    begin(show, STAGED);
    show->agents[3].silent = show->agents[7].silent = true;
    pass(show, 40000);
    world_software(show->world, "a/2.0.0");
    pass(show, 40000);
    assert_string_equal(phase(show), "done");
    assert_int_equal(having(show, "a-2.0.0"), 10); /* theirs waits for them */
}

static void those_that_end_in_order_while_they_are_watched_are_no_failure(void **state)
{
    Show *show = *state;

    begin(show, STAGED);
    world_software(show->world, "a/2.0.0");
    pass(show, 2000); /* the first one has it, its gate is not passed */
    for (size_t i = 0; i < show->n; i++) {
        if (!strstr(world_items(show->world, show->agents[i].id), "a-2.0.0"))
            continue;
        show->agents[i].silent = true;
        targets_left(show->world->targets, show->agents[i].id);
        assert_false(world_view(show->world, show->agents[i].id).present);
    }
    pass(show, 60000);
    assert_string_equal(phase(show), "done");
    targets_left(show->world->targets, "nobody");
}

static void one_that_ends_in_order_and_comes_back_is_a_failure_and_gets_the_old_content(void **state)
{
    Show *show = *state;
    Agent *first = NULL;

    begin(show, STAGED);
    world_software(show->world, "a/2.0.0");
    pass(show, 2000);
    for (size_t i = 0; i < show->n; i++)
        if (strstr(world_items(show->world, show->agents[i].id), "a-2.0.0"))
            first = &show->agents[i];
    assert_non_null(first);
    first->silent = true;
    targets_left(show->world->targets, first->id);
    pass(show, 1000);
    assert_int_equal(having(show, "a-2.0.0"), 2); /* nobody knows more than before: one other, not all of a group */
    first->silent = false;
    first->since = show->world->now;
    pass(show, 20000);
    assert_string_equal(phase(show), "rolled-back");
    assert_int_equal(having(show, "a-2.0.0"), 0);
    assert_int_equal(having(show, "a-1.0.0"), 10);
}

static void one_that_left_gets_the_old_content_when_it_comes_back_after_the_end(void **state)
{
    Show *show = *state;
    Agent *first = NULL;

    begin(show, STAGED);
    world_software(show->world, "slow/1.0.0");
    pass(show, 2000);
    for (size_t i = 0; i < show->n; i++)
        if (strstr(world_items(show->world, show->agents[i].id), "slow-"))
            first = &show->agents[i];
    assert_non_null(first);
    first->silent = true;
    targets_left(show->world->targets, first->id);
    pass(show, 60000);
    assert_string_equal(phase(show), "rolled-back");
    first->silent = false;
    pass(show, 3000);
    assert_int_equal(having(show, "slow-"), 0);
    assert_int_equal(having(show, "a-1.0.0"), 10);
}

static void nothing_different_is_released_at_once(void **state)
{
    Show *show = *state;

    begin(show, STAGED);
    world_edit(show->world);
    world_bundle(show->world, "unused", "1.0.0");
    world_store(show->world);
    pass(show, 500);
    assert_string_equal(phase(show), "none");
    assert_true(targets_released(show->world->targets) == repository_head(show->world->repository));
}

static void canaries_are_the_first(void **state)
{
    Show *show = *state;
    Model *model;
    const Object *before;
    AUTO_JSON json_t *value = NULL;
    Object *object;

    begin(show, STAGED);
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
    pass(show, 500);
    assert_int_equal(having(show, "a-2.0.0"), 1);
    assert_string_equal(world_items(show->world, "t6"), "a-2.0.0.zip");
}

static void what_cannot_be_had_is_rolled_back_without_being_seen(void **state)
{
    Show *show = *state;
    const Object *list[1];

    begin(show, STAGED);
    for (size_t i = 0; i < 10; i++)
        world_properties(show->world, show->agents[i].id, "{\"runtime\":\"java\"}");
    pass(show, 1000);
    list[0] = world_bundle(show->world, "only-c", "1.0.0");
    world_assign(show->world, "more", list, 1, "(id=*)");
    world_store(show->world);
    pass(show, 5000);
    assert_int_equal(having(show, "only-c"), 0);
}

static void what_one_cannot_have_costs_the_others_nothing(void **state)
{
    Show *show = *state;
    const Object *list[1];
    AUTO_JSON json_t *rollout = NULL;
    const json_t *target;
    size_t i;

    begin(show, "{\"groups\":[100],\"success\":90,\"error\":10,\"gateSeconds\":1}");
    list[0] = world_bundle(show->world, "b", "1.0.0");
    world_assign(show->world, "more", list, 1, "(id=*)");
    list[0] = world_bundle(show->world, "a", "2.0.0");
    world_assign(show->world, "clash", list, 1, "(id=t0)"); /* which has a 1.0.0, too */
    world_store(show->world);
    pass(show, 8000);
    assert_int_equal(having(show, "b-1.0.0"), 9);
    assert_string_equal(phase(show), "done");
    rollout = rollouts_get(show->rollouts, newest(show));
    json_array_foreach(json_object_get(rollout, "targets"), i, target)
    {
        const char *reason = json_string_value(json_object_get(target, "reason"));

        if (strcmp(json_string_value(json_object_get(target, "id")), "t0") == 0)
            assert_non_null(strstr(reason, "2.0.0"));
        else
            assert_null(reason);
    }
}

static void a_restart_at_any_time_changes_nothing(void **state)
{
    Show *show = *state;

    begin(show, STAGED);
    world_software(show->world, "a/2.0.0");
    for (int i = 0; i < 80 && targets_released(show->world->targets) != repository_head(show->world->repository); i++) {
        size_t before = having(show, "a-2.0.0");

        restart(show);
        show->world->now += i % 7 == 0 ? 3600000 : 0; /* down for an hour */
        assert_true(having(show, "a-2.0.0") >= before);
        pass(show, 500);
    }
    assert_string_equal(phase(show), "done");
    assert_int_equal(having(show, "a-2.0.0"), 10);
    world_software(show->world, "a/2.0.0 bad/1.0.0");
    for (int i = 0; i < 80 && strcmp(phase(show), "rolled-back") != 0; i++) {
        restart(show);
        assert_true(having(show, "bad-") <= 1);
        pass(show, 500);
    }
    assert_string_equal(phase(show), "rolled-back");
    assert_int_equal(having(show, "bad-"), 0);
}

static void a_commit_right_before_a_crash_is_not_forgotten(void **state)
{
    Show *show = *state;

    begin(show, STAGED);
    show->rollouts = rollouts_close(show->rollouts); /* as if killed before the next turn */
    world_close(show->world);
    world_open(show->world);
    world_software(show->world, "a/2.0.0");
    world_close(show->world);
    world_open(show->world);
    open_rollouts(show, STAGED);
    pass(show, 60000);
    assert_int_equal(having(show, "a-2.0.0"), 10);
}

static void a_server_that_just_started_waits_for_its_targets_before_it_releases(void **state)
{
    Show *show = *state;

    begin(show, STAGED);
    restart(show);
    world_software(show->world, "a/2.0.0"); /* before anybody is heard, as --load does */
    rollouts_work(show->rollouts);
    must(targets_flush(show->world->targets, &world_error));
    assert_string_equal(phase(show), "none");
    assert_int_equal(having(show, "a-2.0.0"), 0);
    assert_contains(rollouts_held(show->rollouts), "not heard since: 10");
    fails(-EBUSY, "not heard since: 10",
          rollouts_start(show->rollouts, repository_head(show->world->repository), NULL, false, "d", &(int64_t){0},
                         &world_error));
    show->agents[9].silent = true;
    pass(show, 5000);
    assert_string_equal(phase(show), "none");
    assert_contains(rollouts_held(show->rollouts), "not heard since: 1");
    pass(show, 26000); /* it does not come */
    assert_string_equal(phase(show), "running");
    assert_null(rollouts_held(show->rollouts));
    assert_true(having(show, "a-2.0.0") < 5);
    pass(show, 40000);
    assert_string_equal(phase(show), "done");
    assert_int_equal(having(show, "a-2.0.0"), 10); /* also what waits for the silent one */
}

static void the_policy_is_kept(void **state)
{
    Show *show = *state;
    AUTO_JSON json_t *none = NULL, *kept = NULL;
    RolloutPolicy policy;

    open_rollouts(show, STAGED);
    must(rollouts_set_policy(show->rollouts, NULL, &world_error));
    restart(show);
    none = rollouts_policy(show->rollouts);
    assert_true(json_is_null(none));
    rollout_policy_default(&policy);
    policy.gate_ms = 7000;
    must(rollouts_set_policy(show->rollouts, &policy, &world_error));
    restart(show);
    kept = rollouts_policy(show->rollouts);
    assert_int_equal(json_integer_value(json_object_get(kept, "gateSeconds")), 7);
}

static void what_is_shown_is_what_the_interface_says(void **state)
{
    Show *show = *state;
    AUTO_JSON json_t *list = NULL, *rollout = NULL;
    static const char *const keys[] = {"id",    "from",  "to",    "author", "message", "started",
                                       "ended", "phase", "group", "policy", "groups",  "reason"};
    const json_t *target;

    begin(show, STAGED);
    world_software(show->world, "a/2.0.0");
    pass(show, 1000);
    list = rollouts_list(show->rollouts, 10);
    assert_int_equal(json_array_size(list), 1);
    assert_int_equal(json_object_size(json_array_get(list, 0)), sizeof keys / sizeof *keys);
    rollout = rollouts_get(show->rollouts, newest(show));
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

static void what_a_rollout_brings_is_found_out_target_by_target(void **state)
{
    Show *show = *state;
    const int64_t long_ago = 1;
    int64_t revision;

    begin(show, STAGED);
    revision = world_software(show->world, "a/2.0.0");
    for (size_t i = 0; i < show->n; i++)
        assert_false(rollouts_prepare(show->rollouts, revision, long_ago)); /* at least one at a time */
    assert_int_equal(rollouts_begin_waiting(show->rollouts, long_ago, &world_error), 1);
    assert_string_equal(phase(show), "running");
    pass(show, 60000);
    assert_int_equal(having(show, "a-2.0.0"), 10);

    /* Another commit meanwhile: that one begins, from the start. */
    revision = world_software(show->world, "a/3.0.0");
    assert_int_equal(rollouts_begin_waiting(show->rollouts, long_ago, &world_error), ROLLOUTS_PREPARING);
    revision = world_software(show->world, "a/4.0.0");
    for (size_t i = 0; i < show->n; i++)
        assert_int_equal(rollouts_begin_waiting(show->rollouts, long_ago, &world_error), ROLLOUTS_PREPARING);
    assert_int_equal(rollouts_begin_waiting(show->rollouts, long_ago, &world_error), 1);
    assert_true(show->rollouts->running->to == revision);

    /* After a restart it begins again. */
    pass(show, 60000);
    world_software(show->world, "a/5.0.0");
    assert_int_equal(rollouts_begin_waiting(show->rollouts, long_ago, &world_error), ROLLOUTS_PREPARING);
    restart(show);
    pass(show, 60000);
    assert_int_equal(having(show, "a-5.0.0"), 10);
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

    begin(show, STAGED);
    world_software(show->world, "a/1.0.0 bad/1.0.0");
    rollouts_work(show->rollouts);
    id = newest(show);
    must(rollouts_command(show->rollouts, id, ROLLOUT_PAUSE, "d", &world_error));
    restart(show);
    running = rollouts_get(show->rollouts, id);
    assert_string_equal(line(running, 0), "group 1 of 3 begins with 1 targets");
    assert_string_equal(line(running, 1), "paused by d");
    must(rollouts_command(show->rollouts, id, ROLLOUT_RESUME, "d", &world_error));
    pass(show, 5000);
    assert_string_equal(phase(show), "rolled-back");
    restart(show);
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

    begin(show, STAGED);
    world_software(show->world, "a/2.0.0");
    rollouts_work(show->rollouts);
    id = newest(show);
    for (unsigned i = 0; i < ROLLOUT_HISTORY_MAX; i++) { /* two lines each; one is there */
        char author[32];

        snprintf(author, sizeof author, "d%u", i);
        must(rollouts_command(show->rollouts, id, ROLLOUT_PAUSE, author, &world_error));
        must(rollouts_command(show->rollouts, id, ROLLOUT_RESUME, author, &world_error));
    }
    restart(show);
    rollout = rollouts_get(show->rollouts, id);
    assert_int_equal(json_array_size(json_object_get(rollout, "history")), ROLLOUT_HISTORY_MAX);
    assert_int_equal(json_integer_value(json_object_get(rollout, "historyOmitted")), 1 + ROLLOUT_HISTORY_MAX);
    assert_string_equal(line(rollout, 0), "group 1 of 3 begins with 1 targets");
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

    begin(show, STAGED);
    on_the_wall = -hour;
    targets_set_stamps(world->targets, wall_clock, world);
    world_software(world, "a/2.0.0");
    pass(show, 1000);
    on_the_wall = hour; /* the time came from the network */
    pass(show, 1000);
    assert_string_equal(phase(show), "running");
    assert_int_equal(having(show, "a-2.0.0"), 1);
    running = rollouts_get(show->rollouts, newest(show));
    assert_true(json_integer_value(json_object_get(running, "started")) < world->now - hour / 2);
    for (size_t i = 0; (target = json_array_get(json_object_get(running, "targets"), i)); i++)
        assert_true(json_integer_value(json_object_get(target, "since")) > world->now + hour / 2);
    pass(show, 60000);
    assert_string_equal(phase(show), "done");
    ended = rollouts_get(show->rollouts, newest(show));
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

    begin(show, STAGED);
    world_software(show->world, "a/2.0.0");
    rollouts_work(show->rollouts);
    assert_string_equal(phase(show), "running");
    show->rollouts = rollouts_close(show->rollouts);
    world_close(show->world);
    show->world->now -= 7 * 24 * 3600000;
    for (size_t i = 0; i < show->n; i++)
        show->agents[i].silent = true;
    world_open(show->world);
    open_rollouts(show, show->policy);
    pass(show, 35000); /* nobody installs within installSeconds */
    assert_true(strcmp(phase(show), "running") != 0);
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
        agent_act(show, agent);
        if (agent->version[0] && !agent->failed)
            agent_health(show, agent);
    }
    sd_event_source_set_time(source, usec + 20000);
    sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
    return 0;
}

/* Turns the loop until all agents have the item, and no rollout runs. */
static void turn_until(Show *show, sd_event *event, const char *item)
{
    int64_t end = real_now(NULL) + 60000;

    while (having(show, item) < show->n || strcmp(phase(show), "running") == 0) {
        if (real_now(NULL) > end)
            fail_msg("%zu of %zu have %s, and the rollout is %s", having(show, item), show->n, item, phase(show));
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
    assert_string_equal(phase(show), "done");
    world_software(show->world, "a/3.0.0 bad/1.0.0");
    assert_string_equal(phase(show), "running");
    while (strcmp(phase(show), "rolled-back") != 0) {
        sd_event_run(event, 100000);
        assert_true(having(show, "bad-") <= 1);
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

#define with_show(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

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
        with_show(a_restart_at_any_time_changes_nothing),
        with_show(a_commit_right_before_a_crash_is_not_forgotten),
        with_show(in_the_loop_it_goes_by_itself),
        with_show(a_server_that_just_started_waits_for_its_targets_before_it_releases),
        with_show(the_policy_is_kept),
        with_show(what_a_rollout_brings_is_found_out_target_by_target),
        with_show(what_happened_is_kept_over_restarts_and_after_the_end),
        with_show(of_many_lines_the_first_and_the_last_are_kept),
        with_show(a_clock_that_is_set_changes_what_is_shown_and_no_time_limit),
        with_show(a_clock_that_was_set_back_while_the_server_was_away_makes_nobody_wait),
        with_show(what_is_shown_is_what_the_interface_says),
    };

    return cmocka_run_group_tests_name("rollouts", tests, NULL, NULL);
}
