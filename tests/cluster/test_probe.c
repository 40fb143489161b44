/* When probes check, and what they conclude, by a stepped clock. */
#include "fixture.h"

#include "cluster/life.h"
#include "cluster/node/probe.h"

#define S LIFE_SECOND

static ProbeCore make(int64_t delay, int64_t period, int64_t successes, int64_t failures)
{
    ProbeTiming timing = {delay, period, 1, successes, failures, 0};
    ProbeCore probe;
    probe_init(&probe, &timing);
    return probe;
}

static void the_first_check_waits_for_the_initial_delay(void **state)
{
    ProbeCore probe = make(3, 1, 1, 1);
    assert_false(probe_due(&probe, 100 * S)); /* not begun */
    probe_begin(&probe, 10 * S);
    assert_int_equal(probe.next, 13 * S);
    assert_false(probe_due(&probe, 13 * S - 1));
    assert_true(probe_due(&probe, 13 * S));
}

static void one_check_at_a_time_and_the_period_counts_from_its_end(void **state)
{
    ProbeCore probe = make(0, 5, 1, 1);
    probe_begin(&probe, 0);
    assert_true(probe_due(&probe, 0));
    assert_false(probe_due(&probe, 100 * S));
    probe_result(&probe, true, 2 * S);
    assert_false(probe_due(&probe, 7 * S - 1));
    assert_true(probe_due(&probe, 7 * S));
}

static ProbeVerdict check(ProbeCore *probe, bool success)
{
    uint64_t now = probe->next;
    assert_true(probe_due(probe, now));
    return probe_result(probe, success, now);
}

static void only_failures_in_a_row_make_it_unhealthy(void **state)
{
    ProbeCore probe = make(0, 1, 1, 3);
    probe_begin(&probe, 0);
    assert_int_equal(check(&probe, false), PROBE_UNCHANGED);
    assert_int_equal(check(&probe, false), PROBE_UNCHANGED);
    assert_int_equal(check(&probe, true), PROBE_HEALTHY);
    assert_int_equal(check(&probe, false), PROBE_UNCHANGED);
    assert_int_equal(check(&probe, false), PROBE_UNCHANGED);
    assert_true(probe.healthy);
    assert_int_equal(check(&probe, false), PROBE_UNHEALTHY);
    assert_false(probe.healthy);
    /* Said anew when as many have failed again. */
    assert_int_equal(check(&probe, false), PROBE_UNCHANGED);
    assert_int_equal(check(&probe, false), PROBE_UNCHANGED);
    assert_int_equal(check(&probe, false), PROBE_UNHEALTHY);
}

static void only_successes_in_a_row_make_it_healthy(void **state)
{
    ProbeCore probe = make(0, 1, 2, 1);
    probe_begin(&probe, 0);
    assert_int_equal(check(&probe, true), PROBE_UNCHANGED);
    assert_int_equal(check(&probe, false), PROBE_UNHEALTHY);
    assert_int_equal(check(&probe, true), PROBE_UNCHANGED);
    assert_int_equal(check(&probe, true), PROBE_HEALTHY);
    assert_int_equal(check(&probe, true), PROBE_UNCHANGED);
}

static void a_result_after_the_end_says_nothing(void **state)
{
    ProbeCore probe = make(0, 1, 1, 1);
    probe_begin(&probe, 0);
    assert_true(probe_due(&probe, 0));
    probe_end(&probe);
    assert_int_equal(probe_result(&probe, false, 1), PROBE_UNCHANGED);
    assert_int_equal(probe.next, 0);
}

static void an_eager_probe_asks_often_until_it_is_healthy_and_counts_once_per_period(void **state)
{
    ProbeCore probe = make(0, 10, 1, 2);
    probe.timing.eager = S / 50;
    probe_begin(&probe, 0);
    uint64_t now = 0;
    unsigned checks = 0, unhealthy = 0;
    for (; now < 25 * S; now += S / 50) {
        if (!probe_due(&probe, now))
            continue;
        checks++;
        unhealthy += probe_result(&probe, false, now) == PROBE_UNHEALTHY;
    }
    assert_in_range(checks, 30, 200); /* often at first, less often with time */
    assert_int_equal(unhealthy, 1);   /* after two periods */
    while (!probe_due(&probe, now))
        now += S / 50;
    assert_int_equal(probe_result(&probe, true, now), PROBE_HEALTHY);
    assert_false(probe_due(&probe, now + 9 * S));
    assert_true(probe_due(&probe, now + 10 * S));
    assert_int_equal(probe_result(&probe, false, now + 10 * S), PROBE_UNCHANGED);
    assert_false(probe_due(&probe, now + 19 * S)); /* once healthy it is asked in its period only */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_eager_probe_asks_often_until_it_is_healthy_and_counts_once_per_period),
        cmocka_unit_test(the_first_check_waits_for_the_initial_delay),
        cmocka_unit_test(one_check_at_a_time_and_the_period_counts_from_its_end),
        cmocka_unit_test(only_failures_in_a_row_make_it_unhealthy),
        cmocka_unit_test(only_successes_in_a_row_make_it_healthy),
        cmocka_unit_test(a_result_after_the_end_says_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
