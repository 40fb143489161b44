/* The simulation: it conserves samples, repeats itself, reads traces, and the
 * default policy is better in it than the others. */
#include "fixture.h"

#include "coordinator/simulation.h"

#include <stdlib.h>

static SimulationResult run(const char *policy, const char *name, uint64_t seed)
{
    PolicyConfig config = configured(policy, 1, 8);
    Workload workload;
    SimulationOptions options;
    SimulationResult result;
    InaError error = {.message = ""};
    simulation_defaults(&options);
    options.seed = seed;
    if (workload_new(name, seed, &workload, &error) < 0 || simulate(&config, &workload, &options, &result, &error) < 0)
        fail_msg("%s", error.message);
    workload_clear(&workload);
    return result;
}

static void samples_are_taken_refused_or_wait(void **state)
{
    for (unsigned p = 0; policy_name(p); p++)
        for (unsigned w = 0; workload_name(w); w++) {
            SimulationResult result = run(policy_name(p), workload_name(w), 3);
            double waiting = result.arrived - result.refused - result.done;
            assert_true(waiting >= 0 && waiting <= 10000);
            assert_true(result.processor_seconds > 0 && result.backlog_max <= 10000);
            simulation_clear(&result);
        }
}

static void the_same_seed_gives_the_same_result_and_another_one_does_not(void **state)
{
    SimulationResult a = run("queueing", "spikes", 7), b = run("queueing", "spikes", 7),
                     c = run("queueing", "spikes", 8);
    assert_true(a.arrived == b.arrived && a.bad == b.bad && a.processor_seconds == b.processor_seconds);
    assert_true(a.arrived != c.arrived);
    simulation_clear(&a);
    simulation_clear(&b);
    simulation_clear(&c);
}

/* One processor at 90 % of 333/s, deterministic service: M/D/1 has a mean
 * number of rho^2 / (2 (1 - rho)) waiting, 4 here; ten milliseconds long are
 * the simulation's ticks, so that a few more are seen. */
static void one_processor_below_saturation_keeps_a_short_queue(void **state)
{
    PolicyConfig config = configured("queueing", 1, 1);
    SimulationPoint points[] = {{0, 300}, {600, 300}};
    Workload workload = {.name = "M/D/1", .points = points, .n_points = 2, .duration = 600};
    SimulationOptions options;
    SimulationResult result;
    simulation_defaults(&options);
    assert_int_equal(simulate(&config, &workload, &options, &result, NULL), 0);
    assert_true(result.bad == 0 && result.backlog_max < 100);
    assert_true(fabs(result.processor_seconds - 600) < 0.1);
    assert_true(fabs(result.done - 300 * 600) < 5 * sqrt(300 * 600));
    simulation_clear(&result);
}

static void the_default_is_in_quality_longer_than_any_other(void **state)
{
    for (uint64_t seed = 1; seed <= 5; seed++)
        for (unsigned w = 0; workload_name(w); w++) {
            SimulationResult ours = run("queueing", workload_name(w), seed);
            for (unsigned p = 1; policy_name(p); p++) {
                SimulationResult other = run(policy_name(p), workload_name(w), seed);
                if (ours.bad > other.bad)
                    fail_msg("%s, seed %llu: %.1f s out of quality, %s %.1f s", workload_name(w),
                             (unsigned long long)seed, ours.bad, policy_name(p), other.bad);
                simulation_clear(&other);
            }
            simulation_clear(&ours);
        }
}

static void the_default_costs_less_than_both_autoscalers_as_they_come(void **state)
{
    for (unsigned w = 0; workload_name(w); w++) {
        SimulationResult ours = run("queueing", workload_name(w), 1);
        SimulationResult hpa = run("hpa", workload_name(w), 1), keda = run("keda", workload_name(w), 1);
        assert_true(ours.processor_seconds <= keda.processor_seconds);
        /* hpa begins later, and pays that much less, where nothing else happens */
        assert_true(ours.processor_seconds <= hpa.processor_seconds * 1.01);
        simulation_clear(&ours);
        simulation_clear(&hpa);
        simulation_clear(&keda);
    }
}

static void a_trace_is_read_from_lines(void **state)
{
    static const char text[] = "seconds,rate\n# a comment\n\n0,100\n 10, 200 \r\n20,0\n";
    Workload workload;
    assert_int_equal(workload_parse(text, strlen(text), "t.csv", &workload, NULL), 0);
    assert_int_equal(workload.n_points, 3);
    assert_true(workload.duration == 20);
    assert_true(workload_rate(&workload, 0) == 100 && workload_rate(&workload, 5) == 150);
    assert_true(workload_rate(&workload, 15) == 100 && workload_rate(&workload, 99) == 0);
    workload_clear(&workload);
    assert_int_equal(workload_parse("5,10\n6,10", 9, "t", &workload, NULL), 0);
    assert_int_equal(workload.n_points, 3); /* as at 5 s from the beginning on */
    workload_clear(&workload);
}

static void a_wrong_trace_is_refused_with_its_line(void **state)
{
    static const struct {
        const char *text, *message;
    } rows[] = {
        {"", "there must be two lines"},
        {"0,1\n", "there must be two lines"},
        {"0,1\n1,x\n", "line 2: must be SECONDS,SAMPLES_PER_SECOND"},
        {"0,1\n1;2\n", "line 2: must be"},
        {"0,1\n1,2,3\n", "line 2: must be"},
        {"0,1\n1,-2\n", "line 2: must be"},
        {"0,1\n1,nan\n", "line 2: must be"},
        {"0,1\ninf,1\n", "line 2: must be"},
        {"0,1\n1,\n", "line 2: must be"},
        {"0,1\n1,1e7\n", "line 2: must be"},
        {"0,1\n0,1\n", "line 2: the time must be later"},
        {"0,1\n99999,1\n", "line 2: must be"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        InaError error = {.message = ""};
        Workload workload;
        assert_int_equal(workload_parse(rows[i].text, strlen(rows[i].text), "t", &workload, &error), -EINVAL);
        if (strncmp(error.message, rows[i].message, strlen(rows[i].message)) != 0)
            fail_msg("row %zu: %s", i, error.message);
    }
    char line[400];
    InaError error = {.message = ""};
    Workload workload;
    memset(line, '1', sizeof line);
    assert_int_equal(workload_parse(line, sizeof line, "t", &workload, &error), -EINVAL);
    assert_string_equal(error.message, "line 1: longer than 255 bytes");
}

static void unknown_workloads_are_refused_with_those_that_there_are(void **state)
{
    InaError error = {.message = ""};
    Workload workload;
    assert_int_equal(workload_new("wave", 1, &workload, &error), -EINVAL);
    assert_string_equal(error.message,
                        "there is no workload \"wave\"; there are steady, step, ramp, spikes, daily, faults");
}

static void the_picture_shows_each_policy_and_escapes_names(void **state)
{
    SimulationResult result = run("queueing", "step", 1);
    SimulationPanel panels[] = {{"queueing", &result}, {"a<b", &result}};
    SimulationOptions options;
    Workload workload;
    simulation_defaults(&options);
    assert_int_equal(workload_new("step", 1, &workload, NULL), 0);
    char *svg = simulation_svg(&workload, &options, 8, panels, 2);
    assert_non_null(svg);
    assert_int_equal(strncmp(svg, "<svg ", 5), 0);
    assert_non_null(strstr(svg, "prefers-color-scheme:dark"));
    assert_non_null(strstr(svg, ">queueing<"));
    assert_non_null(strstr(svg, "a&#60;b"));
    assert_non_null(strstr(svg, "</svg>\n"));
    assert_true(strlen(svg) < 100000);
    assert_null(strstr(svg, "nan"));
    free(svg);
    workload_clear(&workload);
    simulation_clear(&result);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(samples_are_taken_refused_or_wait),
        cmocka_unit_test(the_same_seed_gives_the_same_result_and_another_one_does_not),
        cmocka_unit_test(one_processor_below_saturation_keeps_a_short_queue),
        cmocka_unit_test(the_default_is_in_quality_longer_than_any_other),
        cmocka_unit_test(the_default_costs_less_than_both_autoscalers_as_they_come),
        cmocka_unit_test(a_trace_is_read_from_lines),
        cmocka_unit_test(a_wrong_trace_is_refused_with_its_line),
        cmocka_unit_test(unknown_workloads_are_refused_with_those_that_there_are),
        cmocka_unit_test(the_picture_shows_each_policy_and_escapes_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
