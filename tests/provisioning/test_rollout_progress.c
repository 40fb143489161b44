/* A version that runs and does nothing: rollouts see it from what targets did before, and blame nobody for less work.
 */
#include "base/cleanup.h"
#include "provisioning/rollout.h"
#include "tests/base/testing.h"
#include <errno.h>

static const char *const names[] = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"};
static char acknowledges[] = "processor calls demonstrator.v1.Queue/Acknowledge";
static char takes[] = "processor calls demonstrator.v1.Queue/Take";
static char puts_[] = "queue answers demonstrator.v1.Queue/Put";

typedef struct Run {
    Rollout *rollout;
    int64_t now;
} Run;

#define POLICY(progress)                                                                                               \
    "{\"groups\":[10,50,100],\"gateSeconds\":5,\"installSeconds\":60,\"silenceSeconds\":15,\"progress\":" #progress "}"

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

static void step(Run *run, RolloutEvent event)
{
    const RolloutAction *actions;
    size_t n;
    InaError error = {0};

    if (rollout_step(run->rollout, &event, run->now, &actions, &n, &error) < 0)
        fail_msg("%s", error.message);
}

static void tick(Run *run)
{
    step(run, (RolloutEvent){.type = ROLLOUT_TICK});
}

static void install(Run *run, const char *target)
{
    step(run, (RolloutEvent){.type = ROLLOUT_INSTALL_OK, .target = target});
}

/* asked < 0: it does it by itself. */
static void does(Run *run, const char *target, char *name, double rate, double asked)
{
    ProgressRate one = {.name = name, .rate = rate, .asked = asked};
    const Progress progress = {.rates = &one, .n = 1};

    rollout_progress(run->rollout, target, &progress);
}

static void all_do(Run *run, size_t n_targets, double rate)
{
    for (size_t i = 0; i < n_targets; i++)
        does(run, names[i], acknowledges, rate, -1);
}

static void tells(Run *run, const char *target, ProgressRate *rates, size_t n)
{
    const Progress progress = {.rates = rates, .n = n};

    step(run, (RolloutEvent){
                  .type = ROLLOUT_HEALTH, .target = target, .ready = true, .running_ms = -1, .progress = &progress});
}

static void tells_rate(Run *run, const char *target, double rate)
{
    ProgressRate one = {.name = acknowledges, .rate = rate, .asked = -1};

    tells(run, target, &one, 1);
}

/* Says so each second, as agents do. */
static void goes_on(Run *run, const char *target, double rate, int seconds)
{
    for (int i = 0; i < seconds; i++) {
        run->now += 1000;
        tells_rate(run, target, rate);
        tick(run);
    }
}

static RolloutTargetState state_of(const Run *run, const char *target)
{
    RolloutTargetState state;
    bool reached;

    assert_int_equal(rollout_find(run->rollout, target, &state, &reached), 0);
    return state;
}

static void in_state(const Run *run, const char *target, RolloutTargetState expected)
{
    assert_string_equal(rollout_state_name(state_of(run, target)), rollout_state_name(expected));
}

static void in_phase(const Run *run, RolloutPhase expected)
{
    assert_string_equal(rollout_phase_name(rollout_phase(run->rollout)), rollout_phase_name(expected));
}

/* --- what is caught ------------------------------------------------------------------- */

static void a_canary_that_stops_doing_what_it_did_is_caught_and_the_reason_says_what(void **state)
{
    Run run = {.now = 0};

    (void)state;
    begin(&run, POLICY(50), 10);
    all_do(&run, 10, 41.2);
    tick(&run);
    in_state(&run, "a", ROLLOUT_OFFERED);
    install(&run, "a");
    goes_on(&run, "a", 0.0, 15);
    in_state(&run, "a", ROLLOUT_INSTALLED);
    goes_on(&run, "a", 0.0, 2);
    in_phase(&run, ROLLOUT_ROLLING_BACK);
    assert_contains(rollout_reason(run.rollout), "a: it did too little for 1");
    assert_contains(rollout_reason(run.rollout), "0.0/s, 41.2/s before, at least 20.60/s expected: ");
    assert_contains(rollout_reason(run.rollout), acknowledges);
    in_state(&run, "b", ROLLOUT_WAITING);
    rollout_free(run.rollout);
}

static void one_that_does_as_much_as_before_is_healthy(void **state)
{
    Run run = {.now = 0};

    (void)state;
    begin(&run, POLICY(50), 10);
    all_do(&run, 10, 41.2);
    tick(&run);
    install(&run, "a");
    goes_on(&run, "a", 20.6, 6);
    in_state(&run, "a", ROLLOUT_HEALTHY);
    in_state(&run, "b", ROLLOUT_OFFERED);
    rollout_free(run.rollout);
}

static void a_slow_beginning_is_borne_and_the_gate_ends_when_it_does_enough(void **state)
{
    Run run = {.now = 0};

    (void)state;
    begin(&run, POLICY(50), 10);
    all_do(&run, 10, 40);
    tick(&run);
    install(&run, "a");
    goes_on(&run, "a", 3, 12);
    in_state(&run, "a", ROLLOUT_INSTALLED);
    goes_on(&run, "a", 30, 1);
    in_state(&run, "a", ROLLOUT_HEALTHY);
    rollout_free(run.rollout);
}

static void of_several_rates_the_worst_is_named_and_each_must_hold(void **state)
{
    Run run = {.now = 0};
    ProgressRate before[] = {{acknowledges, 40, -1}, {takes, 40, -1}},
                 after[] = {{acknowledges, 1, -1}, {takes, 15, -1}};
    const Progress progress = {.rates = before, .n = 2};

    (void)state;
    begin(&run, POLICY(50), 1);
    rollout_progress(run.rollout, "a", &progress);
    tick(&run);
    install(&run, "a");
    for (int i = 0; i < 18; i++) {
        run.now += 1000;
        tells(&run, "a", after, 2);
        tick(&run);
    }
    in_phase(&run, ROLLOUT_ROLLING_BACK);
    assert_contains(rollout_reason(run.rollout), acknowledges);
    rollout_free(run.rollout);
}

static void it_is_caught_in_a_later_group_too_compared_with_those_who_passed(void **state)
{
    Run run = {.now = 0};

    (void)state;
    begin(&run, "{\"groups\":[50,100],\"gateSeconds\":5,\"progress\":50}", 2);
    all_do(&run, 2, 40);
    tick(&run);
    install(&run, "a");
    goes_on(&run, "a", 40, 6);
    in_state(&run, "b", ROLLOUT_OFFERED);
    install(&run, "b");
    for (int i = 0; i < 17; i++) {
        does(&run, "a", acknowledges, 39, -1);
        goes_on(&run, "b", 1, 1);
    }
    in_phase(&run, ROLLOUT_ROLLING_BACK);
    rollout_free(run.rollout);
}

/* --- who is not blamed ------------------------------------------------------------------ */

static void when_there_is_less_to_do_for_all_nobody_is_blamed(void **state)
{
    Run run = {.now = 0};

    (void)state;
    begin(&run, POLICY(50), 10);
    all_do(&run, 10, 40);
    tick(&run);
    install(&run, "a");
    for (size_t i = 1; i < 10; i++)
        does(&run, names[i], acknowledges, 2, -1);
    goes_on(&run, "a", 1.5, 6);
    in_state(&run, "a", ROLLOUT_HEALTHY);
    /* The next ones are measured by what there was to do when their group began. */
    for (size_t i = 1; i < 5; i++) {
        install(&run, names[i]);
        run.now += 1000;
        tells_rate(&run, names[i], 1.2);
    }
    run.now += 5000;
    for (size_t i = 1; i < 5; i++)
        tells_rate(&run, names[i], 1.2);
    in_state(&run, "e", ROLLOUT_HEALTHY);
    rollout_free(run.rollout);
}

static void where_all_stops_at_once_nobody_is_blamed(void **state)
{
    Run run = {.now = 0};

    (void)state;
    begin(&run, POLICY(50), 4);
    all_do(&run, 4, 40);
    tick(&run);
    install(&run, "a");
    for (size_t i = 1; i < 4; i++)
        does(&run, names[i], acknowledges, 0, -1);
    goes_on(&run, "a", 0, 6);
    in_state(&run, "a", ROLLOUT_HEALTHY);
    rollout_free(run.rollout);
}

static void others_who_do_more_blame_nobody(void **state)
{
    Run run = {.now = 0};

    (void)state;
    begin(&run, POLICY(50), 4);
    all_do(&run, 4, 40);
    tick(&run);
    install(&run, "a");
    for (size_t i = 1; i < 4; i++)
        does(&run, names[i], acknowledges, 400, -1);
    goes_on(&run, "a", 25, 6);
    in_state(&run, "a", ROLLOUT_HEALTHY);
    rollout_free(run.rollout);
}

static void who_answers_is_judged_by_what_it_is_asked(void **state)
{
    for (int fault = 0; fault < 2; fault++) {
        Run run = {.now = 0};
        ProgressRate rate = {puts_, 0, fault ? 30 : 0};

        (void)state;
        begin(&run, POLICY(50), 1);
        does(&run, "a", puts_, 30, 30);
        tick(&run);
        install(&run, "a");
        for (int i = 0; i < 18; i++) {
            run.now += 1000;
            tells(&run, "a", &rate, 1);
            tick(&run);
        }
        in_phase(&run, fault ? ROLLOUT_ROLLING_BACK : ROLLOUT_DONE);
        rollout_free(run.rollout);
    }
}

static void what_was_not_measured_before_or_is_not_now_is_not_judged(void **state)
{
    Run run = {.now = 0};

    (void)state;
    for (int i = 0; i < 4; i++) {
        begin(&run, i == 3 ? POLICY(0) : POLICY(50), 1);
        if (i > 0)
            does(&run, "a", acknowledges, i == 1 ? 0.9 : 40, -1); /* too seldom */
        tick(&run);
        install(&run, "a");
        for (int k = 0; k < 6; k++) {
            ProgressRate other = {i == 2 ? takes : acknowledges, 0, -1};

            run.now += 1000;
            tells(&run, "a", &other, 1);
            tick(&run);
        }
        in_phase(&run, ROLLOUT_DONE);
        rollout_free(run.rollout);
    }
}

static void the_time_that_the_server_was_away_does_not_count(void **state)
{
    Run run = {.now = 0};

    (void)state;
    begin(&run, POLICY(50), 2);
    all_do(&run, 2, 40);
    tick(&run);
    install(&run, "a");
    goes_on(&run, "a", 0, 10);
    run.now += 3600 * 1000;
    rollout_shift(run.rollout, 3600 * 1000);
    tick(&run);
    in_state(&run, "a", ROLLOUT_INSTALLED);
    goes_on(&run, "a", 0, 8);
    in_phase(&run, ROLLOUT_ROLLING_BACK);
    rollout_free(run.rollout);
}

/* --- what is kept --------------------------------------------------------------------------- */

static void everything_is_as_it_was_after_it_was_kept(void **state)
{
    Run run = {.now = 0};

    (void)state;
    begin(&run, POLICY(50), 10);
    all_do(&run, 10, 41.23);
    tick(&run);
    install(&run, "a");
    goes_on(&run, "a", 1.7, 10);
    for (int i = 0; i < 2; i++) {
        AUTO_JSON json_t *before = rollout_json(run.rollout, true);
        AUTO_FREE char *text = json_dumps(before, 0);
        AUTO_JSON json_t *again = json_loads(text, 0, NULL);
        Rollout *read;
        InaError error = {0};

        if (rollout_read(again, &read, &error) < 0)
            fail_msg("%s", error.message);
        AUTO_JSON json_t *after = rollout_json(read, true);
        assert_true(json_equal(before, after));
        rollout_free(run.rollout);
        run.rollout = read;
    }
    goes_on(&run, "a", 1.7, 8);
    in_phase(&run, ROLLOUT_ROLLING_BACK);
    rollout_free(run.rollout);
}

static void rates_that_were_kept_wrongly_are_refused(void **state)
{
    static const char *const wrong[] = {
        "7",
        "[[0,1,2,3]]",
        "[[1,1,2,3,4]]",
        "[[-1,1,2,3,4]]",
        "[[0,-2,2,3,4]]",
        "[[0,1,2,3,1.5]]",
        "[{}]",
        "[[0,1,2,3,9007199254740993]]",
    };
    Run run = {.now = 0};

    (void)state;
    begin(&run, POLICY(50), 2);
    all_do(&run, 2, 40);
    tick(&run);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        AUTO_JSON json_t *value = rollout_json(run.rollout, true);
        Rollout *read = NULL;

        json_object_set_new(json_array_get(json_object_get(value, "targets"), 0), "rates",
                            json_loads(wrong[i], JSON_DECODE_ANY, NULL));
        if (rollout_read(value, &read, NULL) == 0)
            fail_msg("taken: %s", wrong[i]);
        json_object_set_new(value, "rates", json_loads("[\"x\",\"x\"]", 0, NULL));
        json_object_del(json_array_get(json_object_get(value, "targets"), 0), "rates");
        assert_int_not_equal(rollout_read(value, &read, NULL), 0);
    }
    rollout_free(run.rollout);
}

static void names_that_are_used_no_more_leave_room_for_others(void **state)
{
    Run run = {.now = 0};

    (void)state;
    begin(&run, POLICY(50), 2);
    for (int i = 0; i < 10000; i++) {
        char name[32];

        snprintf(name, sizeof name, "component %d", i);
        does(&run, "a", name, 40, -1);
    }
    all_do(&run, 2, 40);
    tick(&run);
    install(&run, "a");
    goes_on(&run, "a", 0, 17);
    in_phase(&run, ROLLOUT_ROLLING_BACK);
    rollout_free(run.rollout);
}

#define MANY 129u /* targets with 32 names each: more than 4096 */

static void begin_many(Run *run)
{
    static char ids[MANY][8];
    const char *list[MANY];
    RolloutPolicy policy;
    InaError error = {0};

    rollout_policy_default(&policy);
    policy.groups[0] = 1;
    for (unsigned i = 0; i < MANY; i++) {
        snprintf(ids[i], sizeof ids[i], "t%u", i);
        list[i] = ids[i];
    }
    assert_int_equal(rollout_new(&policy, list, MANY, 1000, &run->rollout, &error), 0);
    run->now = 1000;
    for (unsigned i = 0; i < MANY; i++) {
        static char texts[PROGRESS_MAX][32];
        ProgressRate rates[PROGRESS_MAX];
        const Progress progress = {.rates = rates, .n = PROGRESS_MAX};

        for (unsigned k = 0; k < PROGRESS_MAX; k++) {
            snprintf(texts[k], sizeof texts[k], "c%u calls m%u", i, k);
            rates[k] = (ProgressRate){texts[k], 40, -1};
        }
        rollout_progress(run->rollout, list[i], &progress);
    }
}

static void what_is_beyond_the_limit_of_names_is_said_once_and_kept(void **state)
{
    const RolloutEvent tick_event = {.type = ROLLOUT_TICK};
    const RolloutAction *actions;
    Run run = {.now = 0};
    Rollout *read;
    size_t n, warned = 0;
    InaError error = {0};

    (void)state;
    begin_many(&run);
    for (int round = 0; round < 3; round++) {
        assert_int_equal(rollout_step(run.rollout, &tick_event, run.now++, &actions, &n, &error), 0);
        for (size_t i = 0; i < n; i++)
            if (actions[i].type == ROLLOUT_WARN) {
                assert_contains(actions[i].text, "more than 4096 names");
                assert_contains(actions[i].text, "the first is c128 calls m0");
                warned++;
            }
    }
    assert_int_equal(warned, 1);
    AUTO_JSON json_t *summary = rollout_json(run.rollout, false), *whole = rollout_json(run.rollout, true);
    json_t *unjudged = json_object_get(summary, "unjudged");
    assert_string_equal(json_string_value(json_object_get(unjudged, "rate")), "c128 calls m0");
    if (rollout_read(whole, &read, &error) < 0)
        fail_msg("%s", error.message);
    AUTO_JSON json_t *again = rollout_json(read, true);
    assert_true(json_equal(whole, again));
    rollout_free(read);
    rollout_free(run.rollout);
}

static json_int_t unjudged_targets(const Run *run)
{
    AUTO_JSON json_t *summary = rollout_json(run->rollout, false);

    return json_integer_value(json_object_get(json_object_get(summary, "unjudged"), "targets"));
}

static void of_whom_nothing_is_known_is_said_not_to_be_judged(void **state)
{
    Run run = {.now = 0};

    (void)state;
    for (int known = 0; known < 2; known++) {
        begin(&run, POLICY(50), 2);
        if (known)
            all_do(&run, 2, 40);
        tick(&run);
        assert_int_equal(unjudged_targets(&run), !known);
        install(&run, "a");
        goes_on(&run, "a", 40, 6);
        in_state(&run, "b", ROLLOUT_OFFERED);
        assert_int_equal(unjudged_targets(&run), known ? 0 : 2);
        rollout_free(run.rollout);
    }
    begin(&run, POLICY(0), 2); /* nothing is to be judged */
    tick(&run);
    assert_int_equal(unjudged_targets(&run), 0);
    rollout_free(run.rollout);
}

/* --- what agents tell -------------------------------------------------------------------------- */

static void what_agents_tell_is_checked(void **state)
{
    static const char *const wrong[][2] = {
        {"{}", "not a list of at most 32"},
        {"\"x\"", "not a list"},
        {"[7]", "[0]"},
        {"[{\"perSecond\":1}]", "name"},
        {"[{\"name\":\"x\"}]", "perSecond"},
        {"[{\"name\":\"x\",\"perSecond\":\"1\"}]", "perSecond"},
        {"[{\"name\":\"x\",\"perSecond\":-0.1}]", "from 0 to"},
        {"[{\"name\":\"x\",\"perSecond\":1e10}]", "from 0 to"},
        {"[{\"name\":\"x\",\"perSecond\":1,\"askedPerSecond\":-1}]", "from 0 to"},
        {"[{\"name\":\"\",\"perSecond\":1}]", "1 to 160 printable"},
        {"[{\"name\":\"a\\nb\",\"perSecond\":1}]", "printable"},
        {"[{\"name\":\"\\u202ex\",\"perSecond\":1}]", "printable"},
        {"[{\"name\":\"a\\u0000b\",\"perSecond\":1}]", "name"},
        {"[{\"name\":\"x\",\"perSecond\":1},{\"name\":\"x\",\"perSecond\":2}]", "[1]: name: 'x' is there twice"},
        {"[{\"name\":\"x\",\"perSecond\":1,\"more\":1}]", "more"},
    };
    Progress progress;
    InaError error = {0};

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        AUTO_JSON json_t *value = json_loads(wrong[i][0], JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);

        assert_non_null(value);
        if (progress_read(value, &progress, &error) != -EINVAL)
            fail_msg("taken: %s", wrong[i][0]);
        assert_contains(error.message, wrong[i][1]);
        assert_int_equal(progress.n, 0);
        assert_null(progress.rates);
    }
    AUTO_JSON json_t *many = json_array(), *longest = json_array();
    char name[PROGRESS_NAME_MAX + 2];
    memset(name, 'x', sizeof name);
    name[PROGRESS_NAME_MAX + 1] = '\0';
    json_array_append_new(longest, json_pack("{s:s, s:f}", "name", name, "perSecond", 1.0));
    assert_int_equal(progress_read(longest, &progress, &error), -EINVAL);
    for (size_t i = 0; i <= PROGRESS_MAX; i++) {
        snprintf(name, sizeof name, "%zu", i);
        json_array_append_new(many, json_pack("{s:s, s:f}", "name", name, "perSecond", 1.0));
    }
    assert_int_equal(progress_read(many, &progress, &error), -EINVAL);
    json_array_remove(many, 0);
    assert_int_equal(progress_read(many, &progress, &error), 0);
    assert_int_equal(progress.n, PROGRESS_MAX);
    progress_clear(&progress);
}

static void what_agents_tell_comes_back_as_it_was(void **state)
{
    AUTO_JSON json_t *value = json_loads("[{\"name\":\"x\",\"perSecond\":1.5},"
                                         "{\"name\":\"y\",\"perSecond\":0.0,\"askedPerSecond\":2.25}]",
                                         0, NULL);
    Progress progress, copy;
    InaError error = {0};

    (void)state;
    assert_int_equal(progress_read(NULL, &progress, &error), 0);
    assert_int_equal(progress.n, 0);
    assert_int_equal(progress_copy(&progress, &copy), 0);
    progress_clear(&progress);
    assert_int_equal(progress_read(value, &progress, &error), 0);
    assert_true(progress.rates[0].asked < 0);
    assert_int_equal(progress_copy(&progress, &copy), 0);
    progress_clear(&progress);
    AUTO_JSON json_t *again = progress_json(&copy);
    assert_true(json_equal(value, again));
    progress_clear(&copy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_canary_that_stops_doing_what_it_did_is_caught_and_the_reason_says_what),
        cmocka_unit_test(one_that_does_as_much_as_before_is_healthy),
        cmocka_unit_test(a_slow_beginning_is_borne_and_the_gate_ends_when_it_does_enough),
        cmocka_unit_test(of_several_rates_the_worst_is_named_and_each_must_hold),
        cmocka_unit_test(it_is_caught_in_a_later_group_too_compared_with_those_who_passed),
        cmocka_unit_test(when_there_is_less_to_do_for_all_nobody_is_blamed),
        cmocka_unit_test(where_all_stops_at_once_nobody_is_blamed),
        cmocka_unit_test(others_who_do_more_blame_nobody),
        cmocka_unit_test(who_answers_is_judged_by_what_it_is_asked),
        cmocka_unit_test(what_was_not_measured_before_or_is_not_now_is_not_judged),
        cmocka_unit_test(the_time_that_the_server_was_away_does_not_count),
        cmocka_unit_test(everything_is_as_it_was_after_it_was_kept),
        cmocka_unit_test(rates_that_were_kept_wrongly_are_refused),
        cmocka_unit_test(names_that_are_used_no_more_leave_room_for_others),
        cmocka_unit_test(what_is_beyond_the_limit_of_names_is_said_once_and_kept),
        cmocka_unit_test(of_whom_nothing_is_known_is_said_not_to_be_judged),
        cmocka_unit_test(what_agents_tell_is_checked),
        cmocka_unit_test(what_agents_tell_comes_back_as_it_was),
    };

    return cmocka_run_group_tests_name("rollout progress", tests, NULL, NULL);
}
