/* Staged rollouts: how each kind of failure is caught, what pausing, rolling back and resuming do, and what the kept
 * state says. test_rollout_simulated.c lets many agents misbehave at random. */
#include "base/cleanup.h"
#include "provisioning/rollout.h"
#include "tests/base/testing.h"
#include <errno.h>

static const char *const names[] = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"};

typedef struct Run {
    Rollout *rollout;
    int64_t now;
    char actions[1024]; /* of the last step: "offer a,return b,finished" */
} Run;

static void begin(Run *run, const char *policy, size_t n_targets)
{
    AUTO_JSON json_t *value = json_loads(policy, 0, NULL);
    RolloutPolicy read;
    InaError error = {0};

    if (rollout_policy_read(value, &read, &error) < 0 ||
        rollout_new(&read, names, n_targets, 1000, &run->rollout, &error) < 0)
        fail_msg("%s", error.message);
    run->now = 1000;
}

static void note(Run *run, const RolloutAction *actions, size_t n)
{
    static const char *const words[] = {"offer ", "return ", "tell ", "warn ", "finished"};

    run->actions[0] = '\0';
    for (size_t i = 0; i < n; i++) {
        size_t used = strlen(run->actions);

        if (actions[i].type == ROLLOUT_TELL)
            continue;
        snprintf(run->actions + used, sizeof run->actions - used, "%s%s%s", used ? "," : "", words[actions[i].type],
                 actions[i].target ? actions[i].target : "");
    }
}

static int try(Run *run, RolloutEvent event, InaError *error)
{
    const RolloutAction *actions;
    size_t n;
    int r = rollout_step(run->rollout, &event, run->now, &actions, &n, error);

    if (r == 0)
        note(run, actions, n);
    return r;
}

static const char *step(Run *run, RolloutEvent event)
{
    InaError error = {0};

    if (try(run, event, &error) < 0)
        fail_msg("%s", error.message);
    return run->actions;
}

static const char *tick(Run *run)
{
    return step(run, (RolloutEvent){.type = ROLLOUT_TICK});
}

static const char *ok(Run *run, const char *target)
{
    return step(run, (RolloutEvent){.type = ROLLOUT_INSTALL_OK, .target = target});
}

static const char *bad(Run *run, const char *target)
{
    return step(run, (RolloutEvent){.type = ROLLOUT_INSTALL_FAILED, .target = target, .reason = "no such symbol"});
}

static const char *healthy(Run *run, const char *target)
{
    return step(run, (RolloutEvent){.type = ROLLOUT_HEALTH, .target = target, .ready = true, .running_ms = -1});
}

static const char *command(Run *run, RolloutEventType type)
{
    return step(run, (RolloutEvent){.type = type, .reason = "by d"});
}

/* Installs and is healthy over the gate. */
static const char *good(Run *run, const char *target)
{
    ok(run, target);
    healthy(run, target);
    run->now += 5000;
    return healthy(run, target);
}

static void in_state(const Run *run, const char *target, RolloutTargetState expected)
{
    RolloutTargetState state;
    bool reached;

    assert_int_equal(rollout_find(run->rollout, target, &state, &reached), 0);
    assert_string_equal(rollout_state_name(state), rollout_state_name(expected));
}

static void in_phase(const Run *run, RolloutPhase expected)
{
    assert_string_equal(rollout_phase_name(rollout_phase(run->rollout)), rollout_phase_name(expected));
}

#define STAGED "{\"groups\":[10,50,100],\"gateSeconds\":5,\"installSeconds\":60,\"silenceSeconds\":15}"

static void groups_follow_each_other_when_healthy(void **state)
{
    Run run = {.now = 0};

    (void)state;
    begin(&run, STAGED, 10);
    assert_string_equal(tick(&run), "offer a");
    assert_string_equal(tick(&run), "");
    assert_string_equal(ok(&run, "a"), "");
    assert_string_equal(healthy(&run, "a"), "");
    run.now += 4999;
    assert_string_equal(healthy(&run, "a"), "");
    run.now += 1;
    assert_string_equal(healthy(&run, "a"), "offer b,offer c,offer d,offer e");
    for (size_t i = 1; i < 4; i++)
        assert_string_equal(good(&run, names[i]), "");
    assert_string_equal(good(&run, "e"), "offer f,offer g,offer h,offer i,offer j");
    for (size_t i = 5; i < 9; i++)
        assert_string_equal(good(&run, names[i]), "");
    assert_string_equal(good(&run, "j"), "finished");
    in_phase(&run, ROLLOUT_DONE);
    assert_true(rollout_next(run.rollout) == INT64_MAX);
    rollout_free(run.rollout);
}

static void a_failed_install_in_the_canary_rolls_back_the_canary_alone(void **state)
{
    Run run = {.now = 0};

    (void)state;
    begin(&run, STAGED, 10);
    tick(&run);
    assert_string_equal(bad(&run, "a"), "return a");
    in_phase(&run, ROLLOUT_ROLLING_BACK);
    assert_contains(rollout_reason(run.rollout), "no such symbol");
    assert_string_equal(tick(&run), "");
    assert_string_equal(ok(&run, "a"), "finished");
    in_phase(&run, ROLLOUT_ROLLED_BACK);
    in_state(&run, "a", ROLLOUT_RETURNED);
    in_state(&run, "b", ROLLOUT_WAITING);
    rollout_free(run.rollout);
}

typedef struct Harm {
    const char *what;
    RolloutEvent event;
    const char *reason;
} Harm;

static void harm_while_watched_is_failure_at_once(void **state)
{
    static const Harm harms[] = {
        {"errors", {.type = ROLLOUT_HEALTH, .target = "a", .ready = true, .errors = 1, .running_ms = 3000}, "1 error"},
        {"restart", {.type = ROLLOUT_HEALTH, .target = "a", .ready = true, .running_ms = 100}, "restarted after 2 s"},
        {"fall back", {.type = ROLLOUT_INSTALL_FAILED, .target = "a", .reason = "fell back"}, "fell back"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof harms / sizeof *harms; i++) {
        Run run = {.now = 0};

        begin(&run, STAGED, 10);
        tick(&run);
        ok(&run, "a");
        step(&run, (RolloutEvent){.type = ROLLOUT_HEALTH, .target = "a", .ready = true, .running_ms = 2500});
        if (strcmp(step(&run, harms[i].event), "return a") != 0)
            fail_msg("%s: %s", harms[i].what, run.actions);
        assert_contains(rollout_reason(run.rollout), harms[i].reason);
        rollout_free(run.rollout);
    }
}

static void a_healthy_one_that_restarts_later_still_rolls_back(void **state)
{
    Run run = {.now = 0};

    (void)state;
    begin(&run, STAGED, 3);
    tick(&run);
    ok(&run, "a");
    step(&run, (RolloutEvent){.type = ROLLOUT_HEALTH, .target = "a", .ready = true, .running_ms = 0});
    run.now += 5000;
    assert_string_equal(
        step(&run, (RolloutEvent){.type = ROLLOUT_HEALTH, .target = "a", .ready = true, .running_ms = 5000}),
        "offer b");
    run.now += 1000;
    assert_string_equal(
        step(&run, (RolloutEvent){.type = ROLLOUT_HEALTH, .target = "a", .ready = true, .running_ms = 500}),
        "return a,return b");
    rollout_free(run.rollout);
}

static void a_late_install_silence_and_being_not_ready_fail_by_the_clock(void **state)
{
    static const RolloutEvent not_ready = {
        .type = ROLLOUT_HEALTH, .target = "a", .reason = "processor waits for queue", .running_ms = -1};
    Run run = {.now = 0};

    (void)state;
    begin(&run, STAGED, 10);
    tick(&run);
    run.now += 60000;
    assert_string_equal(tick(&run), "");
    assert_true(rollout_next(run.rollout) == run.now + 1);
    run.now += 1;
    assert_string_equal(tick(&run), "return a");
    assert_contains(rollout_reason(run.rollout), "not installed within 60 s");
    rollout_free(run.rollout);

    begin(&run, STAGED, 10);
    tick(&run);
    ok(&run, "a");
    healthy(&run, "a");
    run.now += 15001;
    assert_string_equal(tick(&run), "return a");
    assert_contains(rollout_reason(run.rollout), "not heard for 15 s");
    rollout_free(run.rollout);

    begin(&run, STAGED, 10);
    tick(&run);
    ok(&run, "a");
    for (int i = 0; i <= 15; i++) {
        assert_string_equal(step(&run, not_ready), "");
        run.now += 1000;
        assert_string_equal(tick(&run), i < 15 ? "" : "return a");
    }
    assert_contains(rollout_reason(run.rollout), "processor waits for queue");
    rollout_free(run.rollout);
}

static void an_error_is_told_and_cut_so_that_it_stays_text(void **state)
{
    Run run = {.now = 0};
    char reason[400] = "";

    (void)state;
    for (int i = 0; i < 190; i++)
        strcat(reason, i == 0 ? "x" : "\xc3\xa9");
    begin(&run, STAGED, 10);
    tick(&run);
    ok(&run, "a");
    (void)step(
        &run,
        (RolloutEvent){
            .type = ROLLOUT_HEALTH, .target = "a", .ready = true, .errors = 1, .running_ms = -1, .reason = reason});
    assert_contains(rollout_reason(run.rollout), "a: it logged 1 error: x\xc3\xa9");
    json_t *value = rollout_json(run.rollout, true);
    assert_non_null(value);
    json_decref(value);
    rollout_free(run.rollout);
}

static void a_break_begins_the_gate_anew_and_flapping_ends(void **state)
{
    Run run = {.now = 0};
    int64_t begun;

    (void)state;
    begin(&run, STAGED, 10);
    tick(&run);
    ok(&run, "a");
    begun = run.now;
    while (strcmp(tick(&run), "return a") != 0) {
        for (int i = 0; i < 4; i++, run.now += 1000)
            assert_string_equal(healthy(&run, "a"), "");
        step(&run, (RolloutEvent){.type = ROLLOUT_HEALTH, .target = "a", .running_ms = -1});
        run.now += 1000;
        assert_true(run.now < begun + 100000);
    }
    assert_contains(rollout_reason(run.rollout), "not healthy for 5 s without a break");
    rollout_free(run.rollout);
}

static void being_healthy_needs_word_at_the_gates_end(void **state)
{
    Run run = {.now = 0};

    (void)state;
    begin(&run, STAGED, 10);
    tick(&run);
    ok(&run, "a");
    healthy(&run, "a");
    run.now += 10000;
    assert_string_equal(tick(&run), "");
    in_state(&run, "a", ROLLOUT_INSTALLED);
    assert_true(strlen(healthy(&run, "a")) > 0);
    rollout_free(run.rollout);
}

static void failures_up_to_the_threshold_are_borne(void **state)
{
    Run run = {.now = 0};

    (void)state;
    begin(&run, "{\"groups\":[50,100],\"success\":60,\"error\":40,\"gateSeconds\":0}", 10);
    tick(&run);
    assert_string_equal(bad(&run, "a"), "");
    assert_string_equal(bad(&run, "b"), "");
    assert_string_equal(ok(&run, "c"), "");
    assert_string_equal(ok(&run, "d"), "");
    assert_string_equal(ok(&run, "e"), "offer f,offer g,offer h,offer i,offer j");
    assert_string_equal(bad(&run, "f"), "");
    assert_string_equal(bad(&run, "g"), "");
    assert_string_equal(bad(&run, "h"), "return a,return b,return c,return d,return e,return f,return g,return h,"
                                        "return i,return j");
    rollout_free(run.rollout);
}

static void the_end_waits_for_those_who_are_not_decided(void **state)
{
    Run run = {.now = 0};

    (void)state;
    begin(&run, "{\"groups\":[100],\"success\":50,\"error\":50,\"gateSeconds\":0}", 2);
    assert_string_equal(tick(&run), "offer a,offer b");
    assert_string_equal(ok(&run, "a"), "");
    run.now += 60001;
    assert_string_equal(tick(&run), "finished");
    in_phase(&run, ROLLOUT_DONE);
    in_state(&run, "b", ROLLOUT_FAILED);
    rollout_free(run.rollout);
}

static void late_is_better_than_never_once(void **state)
{
    Run run = {.now = 0};

    (void)state;
    begin(&run, "{\"groups\":[50,100],\"success\":50,\"error\":50,\"gateSeconds\":0}", 4);
    tick(&run);
    run.now += 60001;
    ok(&run, "a");
    tick(&run);
    in_state(&run, "b", ROLLOUT_FAILED);
    ok(&run, "b");
    in_state(&run, "b", ROLLOUT_HEALTHY);
    bad(&run, "b");
    ok(&run, "b");
    in_state(&run, "b", ROLLOUT_FAILED);
    rollout_free(run.rollout);
}

static void paused_nobody_gets_anything(void **state)
{
    Run run = {.now = 0};
    InaError error = {0};

    (void)state;
    begin(&run, STAGED, 10);
    tick(&run);
    assert_string_equal(command(&run, ROLLOUT_PAUSE), "");
    assert_string_equal(good(&run, "a"), "");
    in_state(&run, "a", ROLLOUT_HEALTHY);
    run.now += 1000000;
    assert_string_equal(tick(&run), "");
    assert_int_equal(try(&run, (RolloutEvent){.type = ROLLOUT_PAUSE}, &error), -EINVAL);
    assert_contains(error.message, "paused cannot be paused");
    assert_string_equal(command(&run, ROLLOUT_RESUME), "offer b,offer c,offer d,offer e");
    assert_string_equal(command(&run, ROLLOUT_PAUSE), "");
    assert_string_equal(bad(&run, "b"), "");
    assert_string_equal(command(&run, ROLLOUT_RESUME), "return a,return b,return c,return d,return e");
    rollout_free(run.rollout);
}

static void without_automatic_rollback_it_pauses_and_resuming_excuses(void **state)
{
    Run run = {.now = 0};

    (void)state;
    begin(&run, "{\"groups\":[50,100],\"gateSeconds\":0,\"automaticRollback\":false}", 4);
    tick(&run);
    assert_string_equal(bad(&run, "a"), "");
    in_phase(&run, ROLLOUT_PAUSED);
    assert_contains(rollout_reason(run.rollout), "no such symbol");
    assert_string_equal(command(&run, ROLLOUT_RESUME), "");
    assert_string_equal(ok(&run, "b"), "offer c,offer d");
    assert_string_equal(bad(&run, "c"), "");
    in_phase(&run, ROLLOUT_PAUSED);
    assert_string_equal(command(&run, ROLLOUT_ROLL_BACK), "return a,return b,return c,return d");
    rollout_free(run.rollout);
}

static void aborting_leaves_all_as_it_is(void **state)
{
    Run run = {.now = 0};
    InaError error = {0};

    (void)state;
    begin(&run, STAGED, 10);
    tick(&run);
    assert_string_equal(command(&run, ROLLOUT_ABORT), "finished");
    in_phase(&run, ROLLOUT_ABORTED);
    assert_string_equal(bad(&run, "a"), "");
    assert_string_equal(tick(&run), "");
    assert_int_equal(try(&run, (RolloutEvent){.type = ROLLOUT_ROLL_BACK}, &error), -EINVAL);
    assert_int_equal(try(&run, (RolloutEvent){.type = ROLLOUT_RESUME}, &error), -EINVAL);
    rollout_free(run.rollout);
}

static void where_all_who_were_watched_left_another_one_is_tried_and_who_comes_back_has_restarted(void **state)
{
    Run run = {.now = 0};

    (void)state;
    begin(&run, "{\"groups\":[20,100],\"gateSeconds\":5}", 5); /* a, then b c d e */
    tick(&run);
    ok(&run, "a");
    assert_string_equal(step(&run, (RolloutEvent){.type = ROLLOUT_GONE, .target = "a"}), "offer b");
    assert_string_equal(step(&run, (RolloutEvent){.type = ROLLOUT_GONE, .target = "b"}), "offer c");
    /* One that had not installed it yet goes on where it was; the other one restarted. */
    assert_string_equal(step(&run, (RolloutEvent){.type = ROLLOUT_JOINED, .target = "b", .ready = true}), "");
    in_state(&run, "b", ROLLOUT_OFFERED);
    assert_string_equal(step(&run, (RolloutEvent){.type = ROLLOUT_JOINED, .target = "a", .ready = true}),
                        "return a,return b,return c");
    in_state(&run, "d", ROLLOUT_WAITING);
    rollout_free(run.rollout);
}

static void who_goes_counts_no_more_and_who_comes_joins_the_last_group(void **state)
{
    Run run = {.now = 0};

    (void)state;
    begin(&run, STAGED, 3); /* a, b, c */
    tick(&run);
    assert_string_equal(step(&run, (RolloutEvent){.type = ROLLOUT_GONE, .target = "a"}), "offer b");
    assert_string_equal(step(&run, (RolloutEvent){.type = ROLLOUT_JOINED, .target = "x"}), "");
    in_state(&run, "x", ROLLOUT_WAITING);
    assert_string_equal(good(&run, "b"), "offer c,offer x");
    assert_string_equal(step(&run, (RolloutEvent){.type = ROLLOUT_JOINED, .target = "y"}), "offer y");
    assert_string_equal(step(&run, (RolloutEvent){.type = ROLLOUT_JOINED, .target = "a"}), "offer a");
    assert_string_equal(step(&run, (RolloutEvent){.type = ROLLOUT_JOINED, .target = "b"}), "");
    assert_string_equal(bad(&run, "x"), "return a,return b,return c,return x,return y");
    assert_string_equal(step(&run, (RolloutEvent){.type = ROLLOUT_JOINED, .target = "z"}), "");
    ok(&run, "a");
    ok(&run, "b");
    ok(&run, "c");
    assert_string_equal(step(&run, (RolloutEvent){.type = ROLLOUT_GONE, .target = "x"}), "");
    assert_string_equal(ok(&run, "y"), "finished");
    rollout_free(run.rollout);
}

static void giving_back_ends_even_when_some_do_not_take_it(void **state)
{
    Run run = {.now = 0};

    (void)state;
    begin(&run, "{\"groups\":[100],\"gateSeconds\":0}", 3);
    tick(&run);
    bad(&run, "a");
    assert_string_equal(ok(&run, "a"), "");
    assert_string_equal(bad(&run, "b"), "");
    run.now += 60001;
    assert_string_equal(tick(&run), "finished");
    in_phase(&run, ROLLOUT_ROLLED_BACK);
    in_state(&run, "b", ROLLOUT_FAILED);
    in_state(&run, "c", ROLLOUT_FAILED);
    rollout_free(run.rollout);
}

static void one_without_targets_is_done_at_once(void **state)
{
    Run run = {.now = 0};

    (void)state;
    begin(&run, STAGED, 0);
    assert_string_equal(tick(&run), "finished");
    rollout_free(run.rollout);
}

static void an_absent_server_blames_nobody(void **state)
{
    Run run = {.now = 0};

    (void)state;
    begin(&run, STAGED, 10);
    tick(&run);
    ok(&run, "a");
    healthy(&run, "a");
    run.now += 3600000;
    rollout_shift(run.rollout, 3600000);
    assert_string_equal(tick(&run), "");
    in_state(&run, "a", ROLLOUT_INSTALLED);
    assert_string_equal(healthy(&run, "a"), "");
    run.now += 5000;
    assert_true(strlen(healthy(&run, "a")) > 0);
    rollout_free(run.rollout);
}

static void the_groups_shares_are_rounded_up_and_the_first_has_one(void **state)
{
    static const struct {
        size_t n;
        const char *groups;
        unsigned sizes[4];
    } rows[] = {
        {1, "[10,50,100]", {1, 0, 0}},
        {2, "[10,50,100]", {1, 0, 1}},
        {3, "[10,50,100]", {1, 1, 1}},
        {10, "[0,50,100]", {1, 4, 5}},
        {7, "[100]", {7}},
        {10, "[1,2,3,100]", {1, 0, 0, 9}},
        {10, "[33,66,100]", {4, 3, 3}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char policy[64];
        Run run = {.now = 0};
        AUTO_JSON json_t *value = NULL;
        json_t *groups;

        snprintf(policy, sizeof policy, "{\"groups\":%s}", rows[i].groups);
        begin(&run, policy, rows[i].n);
        value = rollout_json(run.rollout, false);
        groups = json_object_get(value, "groups");
        for (size_t k = 0; k < json_array_size(groups); k++)
            assert_int_equal(json_integer_value(json_object_get(json_array_get(groups, k), "targets")),
                             rows[i].sizes[k]);
        rollout_free(run.rollout);
    }
}

static void policies_are_checked(void **state)
{
    static const struct {
        const char *text, *why;
    } rows[] = {
        {"[]", "object"},
        {"{\"groups\":[]}", "groups"},
        {"{\"groups\":10}", "groups"},
        {"{\"groups\":[10,10,100]}", "groups[1]"},
        {"{\"groups\":[50,10,100]}", "groups[1]"},
        {"{\"groups\":[10,50]}", "instead of 100"},
        {"{\"groups\":[10,101]}", "groups[1]"},
        {"{\"groups\":[-1,100]}", "groups[0]"},
        {"{\"groups\":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,100]}", "groups"},
        {"{\"success\":0}", "success"},
        {"{\"success\":101}", "success"},
        {"{\"error\":-1}", "error"},
        {"{\"gateSeconds\":-1}", "gateSeconds"},
        {"{\"gateSeconds\":1e12}", "gateSeconds"},
        {"{\"installSeconds\":0}", "installSeconds"},
        {"{\"silenceSeconds\":\"x\"}", "silenceSeconds"},
        {"{\"progress\":101}", "progress"},
        {"{\"progress\":-1}", "progress"},
        {"{\"progress\":true}", "progress"},
        {"{\"gate\":1}", "gate"},
    };
    RolloutPolicy policy;
    AUTO_JSON json_t *empty = json_object(), *again = NULL;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        AUTO_JSON json_t *value = json_loads(rows[i].text, 0, NULL);
        InaError error = {0};

        assert_non_null(value);
        if (rollout_policy_read(value, &policy, &error) != -EINVAL || !strstr(error.message, rows[i].why))
            fail_msg("%s: '%s' does not say '%s'", rows[i].text, error.message, rows[i].why);
    }
    assert_int_equal(rollout_policy_read(empty, &policy, NULL), 0);
    assert_int_equal(policy.n_groups, 3);
    assert_true(policy.success == 100 && policy.error == 0 && policy.gate_ms == 5000 && policy.automatic_rollback);
    assert_int_equal(policy.progress, 10);
    policy.progress = 55;
    again = rollout_policy_json(&policy);
    assert_int_equal(rollout_policy_read(again, &policy, NULL), 0);
    assert_int_equal(policy.progress, 55);
}

static void what_was_kept_wrongly_is_refused(void **state)
{
    static const char *const rows[][2] = {
        {"phase", "\"gone\""},
        {"begun", "4"},
        {"begun", "null"},
        {"policy", "{\"groups\":[1]}"},
        {"targets", "null"},
        {"targets", "[1]"},
        {"targets", "[{\"id\":\"a\",\"state\":\"odd\",\"group\":0}]"},
        {"targets", "[{\"id\":\"a\",\"state\":\"waiting\",\"group\":3}]"},
        {"targets",
         "[{\"id\":\"a\",\"state\":\"waiting\",\"group\":0},{\"id\":\"a\",\"state\":\"waiting\",\"group\":0}]"},
    };
    Run run = {.now = 0};

    (void)state;
    begin(&run, STAGED, 3);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        AUTO_JSON json_t *value = rollout_json(run.rollout, true);
        Rollout *read = NULL;

        json_object_set_new(value, rows[i][0], json_loads(rows[i][1], JSON_DECODE_ANY, NULL));
        if (rollout_read(value, &read, NULL) == 0)
            fail_msg("taken with %s %s", rows[i][0], rows[i][1]);
    }
    rollout_free(run.rollout);
}

static void a_target_named_twice_is_refused(void **state)
{
    static const char *const twice[] = {"a", "b", "a"};
    RolloutPolicy policy;
    Rollout *rollout = NULL;
    InaError error = {0};

    (void)state;
    rollout_policy_default(&policy);
    assert_int_equal(rollout_new(&policy, twice, 3, 0, &rollout, &error), -EEXIST);
    assert_contains(error.message, "twice");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(groups_follow_each_other_when_healthy),
        cmocka_unit_test(a_failed_install_in_the_canary_rolls_back_the_canary_alone),
        cmocka_unit_test(harm_while_watched_is_failure_at_once),
        cmocka_unit_test(a_healthy_one_that_restarts_later_still_rolls_back),
        cmocka_unit_test(a_late_install_silence_and_being_not_ready_fail_by_the_clock),
        cmocka_unit_test(an_error_is_told_and_cut_so_that_it_stays_text),
        cmocka_unit_test(a_break_begins_the_gate_anew_and_flapping_ends),
        cmocka_unit_test(being_healthy_needs_word_at_the_gates_end),
        cmocka_unit_test(failures_up_to_the_threshold_are_borne),
        cmocka_unit_test(the_end_waits_for_those_who_are_not_decided),
        cmocka_unit_test(late_is_better_than_never_once),
        cmocka_unit_test(paused_nobody_gets_anything),
        cmocka_unit_test(without_automatic_rollback_it_pauses_and_resuming_excuses),
        cmocka_unit_test(aborting_leaves_all_as_it_is),
        cmocka_unit_test(where_all_who_were_watched_left_another_one_is_tried_and_who_comes_back_has_restarted),
        cmocka_unit_test(who_goes_counts_no_more_and_who_comes_joins_the_last_group),
        cmocka_unit_test(giving_back_ends_even_when_some_do_not_take_it),
        cmocka_unit_test(one_without_targets_is_done_at_once),
        cmocka_unit_test(an_absent_server_blames_nobody),
        cmocka_unit_test(the_groups_shares_are_rounded_up_and_the_first_has_one),
        cmocka_unit_test(policies_are_checked),
        cmocka_unit_test(what_was_kept_wrongly_is_refused),
        cmocka_unit_test(a_target_named_twice_is_refused),
    };

    return cmocka_run_group_tests_name("rollout", tests, NULL, NULL);
}
