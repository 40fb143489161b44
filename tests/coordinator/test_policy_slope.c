/* The rules that others made: each row of the original's table, and the ratio
 * of Kubernetes' autoscaler with and without KEDA's metric. */
#include "fixture.h"

/* What the slope rule answers at `value` % after it rose by `slope` %/s, with
 * four processors. */
static int change(double slope, double value)
{
    PolicyConfig config = configured("slope", 1, 100);
    PolicyState state = {0};
    PolicyObservation now = observed(1000);
    now.requested = now.ready = 50;
    now.backlog = (value - slope * config.interval) * 100;
    state.next = now.time;
    decide(&config, &state, now);
    now.time += config.interval;
    now.backlog = value * 100;
    PolicyDecision decision = decide(&config, &state, now);
    assert_true(decision.checked);
    return (int)decision.wanted - 50;
}

static void each_row_of_the_slope_rule_holds_up_to_its_edge(void **state)
{
    static const struct {
        double slope, value;
        int change;
    } rows[] = {
        {10.5, 60, 2},                             /* slope > s2 */
        {10, 60, 1},                               /* not above s2, but above s1 */
        {5.5, 60, 1},  {5.5, 30, 1},   {5, 40, 1}, /* not above s1: the barriers decide; above high */
        {5, 35, 0},                                /* at high: between */
        {5, 26, 0},    {0, 36, 1},     {0, 35, 0},    {0, 20, 0},    {0, 10, 0},                  /* at low: between */
        {0, 9, -1},    {0, 0, -1},     {-4.5, 9, -1}, {-4.5, 20, 0}, {-4.5, 36, 1}, {-5, 20, -1}, /* not above -s1 */
        {-5, 35, 0},                                                                /* ... and not below high */
        {-5, 60, 0},   {-9.5, 34, -1}, {-9.5, 5, -1}, {-9.5, 36, 0}, {-10, 20, -2}, /* not above -s2 */
        {-10, 34, -2}, {-10, 35, 0},   {-10, 50, 0},  {-15, 20, -2}, {-20, 0, -2},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (change(rows[i].slope, rows[i].value) != rows[i].change)
            fail_msg("slope %g %%/s at %g %%: %+d, should be %+d", rows[i].slope, rows[i].value,
                     change(rows[i].slope, rows[i].value), rows[i].change);
}

static void slope_never_goes_below_one_or_beyond_the_maximum(void **state)
{
    PolicyConfig config = configured("slope", 0, 8);
    PolicyState memory = {.next = 0};
    PolicyObservation now = observed(1000);
    decide(&config, &memory, now);
    now.time = 1002.5;
    PolicyDecision decision = decide(&config, &memory, now);
    assert_int_equal(decision.wanted, 1);
    now.requested = 8;
    now.backlog = 9000;
    now.time += 5;
    decision = decide(&config, &memory, now);
    assert_int_equal(decision.wanted, 8);
    assert_int_equal(decision.needed, 10);
}

static void slope_checks_first_after_half_its_interval(void **state)
{
    PolicyConfig config = configured("slope", 1, 8);
    PolicyState memory = {0};
    PolicyDecision decision = decide(&config, &memory, observed(1000));
    assert_false(decision.checked);
    assert_true(decision.next == 1002.5);
    assert_false(decide(&config, &memory, observed(1002.4)).checked);
    decision = decide(&config, &memory, observed(1002.5));
    assert_true(decision.checked);
    assert_true(decision.next == 1007.5);
}

static void slope_has_the_originals_keys_defaults_and_ranges(void **state)
{
    PolicyConfig config = configured("slope", 1, 8);
    assert_true(policy_value(&config, "poll.interval") == 5);
    assert_true(policy_value(&config, "queue.barrierLow") == 10);
    assert_true(policy_value(&config, "queue.barrierHigh") == 35);
    assert_true(policy_value(&config, "queue.slope1") == 5);
    assert_true(policy_value(&config, "queue.slope2") == 10);
    static const struct {
        double values[5];
        const char *message;
    } rows[] = {
        {{10, 10, 35, 5, 10}, NULL},
        {{1, 1, 2, 0, 100}, NULL},
        {{0.5, 10, 35, 5, 10}, "poll.interval: 0.5 is not within 1 to 86400 (s between checks)"},
        {{10, 0, 35, 5, 10}, "queue.barrierLow: 0 is not within 1 to 100"},
        {{10, 10, 101, 5, 10}, "queue.barrierHigh: 101 is not within 1 to 100"},
        {{10, 35, 35, 5, 10}, "queue.barrierHigh: 35 must be above queue.barrierLow, 35"},
        {{10, 10, 35, -1, 10}, "queue.slope1: -1 is not within 0 to 100"},
        {{10, 10, 35, 10, 10}, "queue.slope2: 10 must be above queue.slope1, 10"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        InaError error = {.message = ""};
        json_t *values = json_object();
        for (size_t k = 0; k < 5; k++)
            json_object_set_new(values, policy_keys("slope")[k].name, json_real(rows[i].values[k]));
        int r = policy_configure("slope", values, 1, 8, &config, &error);
        if (!rows[i].message && r != 0)
            fail_msg("row %zu is refused: %s", i, error.message);
        if (rows[i].message && (r != -EINVAL || strncmp(error.message, rows[i].message, strlen(rows[i].message)) != 0))
            fail_msg("row %zu: \"%s\", should be \"%s\"", i, error.message, rows[i].message);
        json_decref(values);
    }
}

static void slope_wants_all_its_keys_when_one_is_given(void **state)
{
    PolicyConfig config;
    InaError error = {.message = ""};
    json_t *values = json_pack("{s:i}", "poll.interval", 10);
    assert_int_equal(policy_configure("slope", values, 1, 8, &config, &error), -EINVAL);
    assert_string_equal(error.message,
                        "queue.barrierLow is missing: a configuration of slope has all its keys or none");
    json_decref(values);
}

/* One check of hpa after the other, 15 s apart. */
typedef struct Autoscaler {
    PolicyConfig config;
    PolicyState state;
    PolicyObservation now;
} Autoscaler;

static unsigned next_check(Autoscaler *a)
{
    PolicyDecision decision = decide(&a->config, &a->state, a->now);
    assert_true(decision.checked);
    a->now.time += 15;
    a->now.requested = decision.wanted;
    return decision.wanted;
}

static void hpa_takes_the_ratio_and_leaves_what_is_within_tolerance(void **state)
{
    Autoscaler a = {.config = configured("hpa", 1, 100), .now = observed(1000)};
    a.now.requested = a.now.ready = 4;
    a.now.busy = 0.87; /* 1.0875 */
    assert_int_equal(next_check(&a), 4);
    a.now.busy = 0.73; /* 0.9125 */
    assert_int_equal(next_check(&a), 4);
    a.now.busy = 1; /* 1.25 * 4 */
    assert_int_equal(next_check(&a), 5);
    a.now.ready = 5;
    assert_int_equal(next_check(&a), 7); /* ceil(6.25) */
}

static void hpa_counts_what_starts_as_idle_when_it_grows(void **state)
{
    Autoscaler a = {.config = configured("hpa", 1, 100), .now = observed(1000)};
    a.now.requested = 5;
    a.now.ready = 4;
    a.now.busy = 1; /* 4 * 1.25 / 5 = 1.0 */
    assert_int_equal(next_check(&a), 5);
}

static void hpa_adds_four_or_doubles_in_fifteen_seconds_whichever_is_more(void **state)
{
    PolicyConfig config = configured("keda", 1, 100);
    Autoscaler a = {.config = config, .now = observed(1000)};
    a.now.backlog = 1e6;
    assert_int_equal(next_check(&a), 5);
    a.now.ready = 5;
    assert_int_equal(next_check(&a), 10);
    a.now.ready = 10;
    assert_int_equal(next_check(&a), 20);
}

static void hpa_goes_down_to_the_largest_recommendation_of_five_minutes(void **state)
{
    Autoscaler a = {.config = configured("hpa", 1, 100), .now = observed(1000)};
    a.now.requested = a.now.ready = 10;
    a.now.busy = 0.8;
    assert_int_equal(next_check(&a), 10);
    for (a.now.busy = 0.08; a.now.time <= 1300;)
        assert_int_equal(next_check(&a), 10);
    assert_int_equal(next_check(&a), 1);
}

static void keda_wants_a_processor_for_each_share_of_the_backlog(void **state)
{
    Autoscaler a = {.config = configured("keda", 1, 100), .now = observed(1000)};
    a.now.requested = a.now.ready = 2;
    a.now.backlog = 333 * 2.1;
    assert_int_equal(next_check(&a), 2);
    a.now.backlog = 333 * 2.3;
    assert_int_equal(next_check(&a), 3);
    a.now.ready = 3;
    a.now.backlog = 333 * 4;
    assert_int_equal(next_check(&a), 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_row_of_the_slope_rule_holds_up_to_its_edge),
        cmocka_unit_test(slope_never_goes_below_one_or_beyond_the_maximum),
        cmocka_unit_test(slope_checks_first_after_half_its_interval),
        cmocka_unit_test(slope_has_the_originals_keys_defaults_and_ranges),
        cmocka_unit_test(slope_wants_all_its_keys_when_one_is_given),
        cmocka_unit_test(hpa_takes_the_ratio_and_leaves_what_is_within_tolerance),
        cmocka_unit_test(hpa_counts_what_starts_as_idle_when_it_grows),
        cmocka_unit_test(hpa_adds_four_or_doubles_in_fifteen_seconds_whichever_is_more),
        cmocka_unit_test(hpa_goes_down_to_the_largest_recommendation_of_five_minutes),
        cmocka_unit_test(keda_wants_a_processor_for_each_share_of_the_backlog),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
