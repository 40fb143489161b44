/* The default policy: what it asks for, when, and when not. */
#include "fixture.h"

#include "coordinator/simulation.h"
#include "tests/seed.h"

#include <stdio.h>
#include <time.h>

/* A queue that is told what happens, one check after the other. */
typedef struct Bench {
    PolicyConfig config;
    PolicyState state;
    PolicyObservation now;
} Bench;

static Bench bench(void)
{
    Bench b = {.config = configured("queueing", 1, 8), .now = observed(1000)};
    PolicyDecision decision = decide(&b.config, &b.state, b.now);
    assert_int_equal(decision.wanted, 1);
    assert_true(decision.next == 1000.25); /* for the first rate */
    return b;
}

/* One second in which so many samples come and go. */
static PolicyDecision second(Bench *b, double arrive, double done)
{
    b->now.time += 1;
    b->now.accepted += arrive;
    b->now.acknowledged += done;
    b->now.backlog = fmax(0, b->now.backlog + arrive - done);
    PolicyDecision decision = decide(&b->config, &b->state, b->now);
    assert_true(decision.checked);
    b->now.requested = decision.wanted;
    return decision;
}

static void the_load_is_met_at_the_target_utilization(void **state)
{
    for (double rate = 50; rate <= 2350; rate += 50) {
        Bench b = bench();
        b.now.service_rate = 333;
        unsigned wanted = second(&b, rate, rate).wanted;
        double utilization = rate / (333 * wanted);
        if (utilization > 0.95 || (wanted > 1 && rate / (333 * (wanted - 1)) <= 0.9))
            fail_msg("%g samples/s: %u processors", rate, wanted);
    }
}

static void a_backlog_is_drained_in_the_declared_time(void **state)
{
    Bench b = bench();
    b.config.drain = 5;
    b.now.service_rate = 100;
    b.now.requested = b.now.ready = 2;
    second(&b, 100, 100);
    b.now.backlog = 1025; /* 1000 more than 2 processors hold in a quarter of a second, and 50 of these */
    assert_int_equal(second(&b, 100, 100).wanted, 3); /* (100 + 975 / 5) / 100 */
    b.now.backlog = 1600;
    assert_int_equal(second(&b, 100, 100).wanted, 5);
}

static void processors_that_start_are_not_asked_for_again(void **state)
{
    Bench b = bench();
    unsigned first = second(&b, 1000, 333).wanted;
    assert_true(first >= 4);
    for (int i = 0; i < 3; i++) { /* none of them works yet, the backlog grows */
        unsigned wanted = second(&b, 1000, 333).wanted;
        assert_true(wanted >= first && wanted <= 8);
        first = wanted;
    }
    b.now.ready = b.now.requested;
    assert_int_equal(second(&b, 1000, 1000).wanted, first);
}

static void a_step_is_met_at_the_next_check(void **state)
{
    Bench b = bench();
    for (int i = 0; i < 60; i++)
        assert_int_equal(second(&b, 100, 100).wanted, 1);
    PolicyDecision decision = second(&b, 2000, 333);
    assert_int_equal(decision.wanted, 8);
    assert_true(decision.needed > 8);
    assert_non_null(strstr(decision.reason, "2000/s arrive"));
}

static void processors_are_taken_away_only_after_a_quiet_window(void **state)
{
    Bench b = bench();
    for (int i = 0; i < 10; i++) {
        second(&b, 1500, 1500);
        b.now.ready = b.now.requested;
    }
    double before = b.now.requested;
    assert_int_equal(before, 6); /* 1500 / (333 * 0.9) = 5.005 */
    for (int i = 0; i < 15; i++)
        assert_int_equal(second(&b, 100, 100).wanted, before);
    second(&b, 100, 100);
    for (int i = 0; i < 10; i++)
        second(&b, 100, 100);
    assert_int_equal(b.now.requested, 1);
}

static void what_somebody_else_added_stays_for_a_quiet_window(void **state)
{
    Bench b = bench();
    second(&b, 100, 100);
    b.now.requested = b.now.ready = 4;
    for (int i = 0; i < 15; i++)
        assert_int_equal(second(&b, 100, 100).wanted, 4);
    second(&b, 100, 100);
    assert_int_equal(second(&b, 100, 100).wanted, 1);
}

static void a_new_coordinator_keeps_what_there_is_for_a_quiet_window(void **state)
{
    PolicyConfig config = configured("queueing", 1, 8);
    PolicyState memory = {0};
    PolicyObservation now = observed(1000);
    now.requested = now.ready = 5;
    assert_int_equal(decide(&config, &memory, now).wanted, 5);
    for (now.time = 1001; now.time < 1015; now.time++)
        assert_int_equal(decide(&config, &memory, now).wanted, 5);
}

/* The queue had come to a stop meanwhile: neither that nor the time counts. */
static void a_coordinator_that_was_away_begins_its_quiet_window_anew(void **state)
{
    static const double away[] = {4, 20, 3600};
    for (size_t i = 0; i < sizeof away / sizeof *away; i++) {
        Bench b = bench();
        b.now.requested = b.now.ready = 3;
        for (int k = 0; k < 30; k++)
            second(&b, 800, 800);
        assert_int_equal(b.now.requested, 3);
        b.now.time += away[i];
        b.now.accepted += 100;
        b.now.acknowledged += 100;
        for (int k = 0; k < 10; k++) {
            second(&b, 100, 100);
            assert_int_equal(b.now.requested, 3);
        }
        for (int k = 0; k < 20; k++)
            second(&b, 100, 100);
        assert_int_equal(b.now.requested, 1);
    }
}

static void the_capacity_of_a_processor_is_measured_while_all_are_busy(void **state)
{
    Bench b = bench();
    for (int i = 0; i < 100; i++) { /* 120 samples/s each, though 333 were promised */
        b.now.requested = b.now.ready = 2;
        b.now.backlog = 3000;
        second(&b, 240, 240);
    }
    assert_true(fabs(b.state.service_rate - 120) < 2);
    Bench idle = bench();
    for (int i = 0; i < 40; i++)
        second(&idle, 50, 50);
    assert_true(idle.state.service_rate == 333); /* nothing can be learned from an idle one */
    idle.now.busy = 0.5;
    for (int i = 0; i < 60; i++)
        second(&idle, 50, 50);
    assert_true(fabs(idle.state.service_rate - 100) < 5); /* but if it tells how busy it is */
}

static void a_hiccup_before_anything_was_measured_is_not_believed(void **state)
{
    Bench b = bench();
    for (int i = 0; i < 30; i++) {
        second(&b, 800, 800);
        b.now.ready = b.now.requested;
    }
    double before = b.now.requested;
    second(&b, 800, 300);
    second(&b, 800, 300);
    assert_true(b.state.service_rate > 250);
    b.now.backlog = 0;
    for (int i = 0; i < 60; i++) {
        second(&b, 800, 800);
        b.now.ready = b.now.requested;
    }
    assert_true(b.now.requested == before);
}

static void a_time_in_which_all_were_slow_is_forgotten(void **state)
{
    Bench b = bench();
    for (int i = 0; i < 30; i++) { /* 300 each, and enough to do */
        b.now.requested = b.now.ready = 2;
        b.now.backlog = 3000;
        second(&b, 600, 600);
    }
    for (int i = 0; i < 10; i++) { /* the store is slow: 30 each */
        b.now.requested = b.now.ready = 2;
        b.now.backlog = 3000;
        second(&b, 60, 60);
    }
    assert_true(b.state.service_rate < 150);
    b.now.backlog = 0;
    for (int i = 0; i < 180; i++) {
        second(&b, 400, 400);
        b.now.ready = b.now.requested;
    }
    assert_int_equal(b.now.requested, 2);
}

static void one_odd_measurement_under_steady_load_is_no_reason(void **state)
{
    Bench b = bench();
    for (int i = 0; i < 30; i++)
        second(&b, 590, 590);
    b.now.ready = b.now.requested = 2;
    for (int i = 0; i < 30; i++) {
        assert_int_equal(second(&b, 590, 590).wanted, 2);
        assert_int_equal(second(&b, i % 7 == 0 ? 420 : 590, i % 7 == 0 ? 420 : 590).wanted, 2);
        assert_int_equal(second(&b, i % 7 == 0 ? 760 : 590, i % 7 == 0 ? 760 : 590).wanted, 2);
    }
}

/* Ten minutes at many rates, Poisson noise, some of them right at the edge
 * between two numbers of processors. */
static void steady_load_with_noise_does_not_make_it_oscillate(void **state)
{
    uint64_t seed = test_seed();
    printf("seed %llu\n", (unsigned long long)seed);
    PolicyConfig config = configured("queueing", 1, 8);
    for (double rate = 100; rate <= 2200; rate += 150) {
        SimulationPoint points[] = {{0, rate}, {600, rate}};
        Workload workload = {.name = "steady", .points = points, .n_points = 2, .duration = 600};
        SimulationOptions options;
        SimulationResult result;
        simulation_defaults(&options);
        options.seed = seed++;
        options.busy_known = (seed & 1) != 0;
        assert_int_equal(simulate(&config, &workload, &options, &result, NULL), 0);
        if (result.reversals > 2)
            fail_msg("%g samples/s, seed %llu: %u scalings, %u of them back", rate, (unsigned long long)options.seed,
                     result.scalings, result.reversals);
        unsigned late = 0; /* in the last eight minutes */
        for (size_t i = 121; i < result.n_trace; i++)
            late += result.trace[i].requested != result.trace[i - 1].requested;
        if (late > 2)
            fail_msg("%g samples/s, seed %llu: %u scalings after two minutes", rate, (unsigned long long)options.seed,
                     late);
        simulation_clear(&result);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_load_is_met_at_the_target_utilization),
        cmocka_unit_test(a_backlog_is_drained_in_the_declared_time),
        cmocka_unit_test(processors_that_start_are_not_asked_for_again),
        cmocka_unit_test(a_step_is_met_at_the_next_check),
        cmocka_unit_test(processors_are_taken_away_only_after_a_quiet_window),
        cmocka_unit_test(what_somebody_else_added_stays_for_a_quiet_window),
        cmocka_unit_test(a_new_coordinator_keeps_what_there_is_for_a_quiet_window),
        cmocka_unit_test(a_coordinator_that_was_away_begins_its_quiet_window_anew),
        cmocka_unit_test(the_capacity_of_a_processor_is_measured_while_all_are_busy),
        cmocka_unit_test(a_hiccup_before_anything_was_measured_is_not_believed),
        cmocka_unit_test(a_time_in_which_all_were_slow_is_forgotten),
        cmocka_unit_test(one_odd_measurement_under_steady_load_is_no_reason),
        cmocka_unit_test(steady_load_with_noise_does_not_make_it_oscillate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
