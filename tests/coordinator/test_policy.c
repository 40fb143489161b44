/* What all policies share: configuration, state as JSON, observations that
 * make no sense. */
#include "fixture.h"
#include "tests/seed.h"

#include <stdio.h>
#include <time.h>

static void a_wrong_configuration_is_refused_by_key_value_and_range(void **state)
{
    static const struct {
        const char *policy, *values, *message;
    } rows[] = {
        {"magic", "{}",
         "there is no policy \"magic\"; there are queueing, slope, slope-1s, hpa, hpa-1s, keda, keda-1s"},
        {"queueing", "{\"speed\":1}",
         "speed: the policy queueing has no such key; it has interval, utilization, drain, quiet, rate"},
        {"queueing", "{\"drain\":\"2\"}",
         "drain: must be a number, 0.1 to 3600 (s in which a backlog is to be worked off)"},
        {"queueing", "{\"utilization\":1.5}",
         "utilization: 1.5 is not within 0.1 to 1 (share of their capacity that processors shall be used for)"},
        {"hpa", "{\"target\":0}", "target: 0 is not within 1 to 100 (% of CPU (averageUtilization))"},
        {"keda", "[]", "the configuration of a policy must be an object"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        InaError error = {.message = ""};
        PolicyConfig config = {.interval = 77};
        json_t *values = json_loads(rows[i].values, 0, NULL);
        assert_int_equal(policy_configure(rows[i].policy, values, 1, 8, &config, &error), -EINVAL);
        assert_string_equal(error.message, rows[i].message);
        assert_true(config.interval == 77);
        json_decref(values);
    }
}

static void bounds_that_make_no_sense_are_refused(void **state)
{
    static const double rows[][2] = {{-1, 8}, {1, 0}, {5, 4}, {1, 1001}, {NAN, 8}, {1, NAN}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        PolicyConfig config;
        assert_int_equal(policy_configure("queueing", NULL, rows[i][0], rows[i][1], &config, NULL), -EINVAL);
    }
}

static void n_processors_are_split_over_the_runtimes_as_in_the_original(void **state)
{
    assert_int_equal(policy_split(1, 2, 0), 1);
    assert_int_equal(policy_split(1, 2, 1), 0);
    assert_int_equal(policy_split(2, 2, 1), 1);
    assert_int_equal(policy_split(3, 2, 0), 2);
    assert_int_equal(policy_split(3, 2, 1), 1);
    assert_int_equal(policy_split(3, 0, 0), 0);
    assert_int_equal(policy_split(3, 2, 2), 0);
    for (unsigned n = 0; n < 50; n++)
        for (unsigned k = 1; k < 6; k++) {
            unsigned sum = 0;
            for (unsigned i = 0; i < k; i++)
                sum += policy_split(n, k, i);
            assert_int_equal(sum, n);
        }
}

static void an_absurd_observation_changes_nothing(void **state)
{
    static const double absurd[] = {NAN, INFINITY, -INFINITY, -1, -1e300, 1e300};
    for (unsigned p = 0; policy_name(p); p++) {
        PolicyConfig config = configured(policy_name(p), 1, 8);
        for (size_t field = 0; field < 7; field++)
            for (size_t i = 0; i < sizeof absurd / sizeof *absurd; i++) {
                PolicyState memory = {0};
                PolicyObservation now = observed(1000);
                now.requested = now.ready = 4;
                decide(&config, &memory, now);
                double *fields[] = {&now.time,         &now.backlog,   &now.capacity, &now.accepted,
                                    &now.acknowledged, &now.requested, &now.ready};
                PolicyState before = memory;
                *fields[field] = absurd[i];
                PolicyDecision decision = decide(&config, &memory, now);
                assert_false(decision.checked);
                assert_int_equal(decision.wanted, 4);
                assert_non_null(strstr(decision.reason, "makes no sense"));
                before.wanted = memory.wanted;
                assert_memory_equal(&memory, &before, sizeof memory);
            }
    }
}

static void other_bounds_hold_at_once_and_are_the_reason(void **state)
{
    for (unsigned p = 0; policy_name(p); p++) {
        PolicyConfig config = configured(policy_name(p), 1, 8), more = configured(policy_name(p), 3, 8),
                     fewer = configured(policy_name(p), 1, 2);
        PolicyState memory = {0};
        PolicyObservation now = observed(1000);
        now.requested = now.ready = 2;
        decide(&config, &memory, now);
        now.time = 1000 + config.interval / 16; /* no check yet */
        PolicyDecision decision = decide(&more, &memory, now);
        assert_int_equal(decision.wanted, 3);
        assert_string_equal(decision.reason, "at least 3 are wanted");
        now.requested = 4;
        decision = decide(&fewer, &memory, now);
        assert_int_equal(decision.wanted, 2);
        assert_string_equal(decision.reason, "at most 2 are wanted");
        now.requested = 2;
        decision = decide(&config, &memory, now);
        assert_non_null(strstr(decision.reason, "next check in"));
    }
}

static void a_clock_that_goes_back_keeps_the_processors_and_goes_on(void **state)
{
    for (unsigned p = 0; policy_name(p); p++) {
        PolicyConfig config = configured(policy_name(p), 1, 8);
        PolicyState memory = {0};
        PolicyObservation now = observed(1e9);
        now.requested = now.ready = 3;
        now.busy = 0.8;
        now.backlog = 1000; /* 10 %, 333 for each of three */
        for (int i = 0; i < 20; i++, now.time += config.interval / 2, now.accepted += 400 * config.interval)
            now.requested = decide(&config, &memory, now).wanted;
        double requested = now.requested;
        now.time = 5000;
        PolicyDecision decision = decide(&config, &memory, now);
        assert_true(decision.next <= 5000 + config.interval);
        assert_true(decision.wanted >= requested - 1 && decision.wanted <= requested + 1);
        now.time = decision.next;
        assert_true(decide(&config, &memory, now).checked);
    }
}

static void a_queue_that_counts_from_zero_again_is_not_compared_with_the_old(void **state)
{
    PolicyConfig config = configured("queueing", 1, 8);
    PolicyState memory = {0};
    PolicyObservation now = observed(1000);
    for (int i = 0; i < 30; i++, now.time += 1, now.accepted += 200, now.acknowledged += 200)
        now.requested = decide(&config, &memory, now).wanted;
    double rate = memory.rate;
    now.accepted = now.acknowledged = 0;
    assert_int_equal(decide(&config, &memory, now).wanted, 1);
    assert_true(memory.rate == rate);
}

static void the_state_survives_as_json(void **state)
{
    for (unsigned p = 0; policy_name(p); p++) {
        PolicyConfig config = configured(policy_name(p), 1, 8);
        PolicyState one = {0}, two = {0};
        PolicyObservation now = observed(1000);
        for (int i = 0; i < 200; i++) {
            now.time += 0.7;
            now.accepted += 100 + 37 * (i % 11);
            now.acknowledged += 90 + 37 * (i % 7);
            now.backlog = 30 * (i % 83);
            now.busy = (i % 13) / 13.0;
            PolicyDecision decision = decide(&config, &one, now);
            if (i % 3 == 0) { /* the coordinator dies and comes back */
                json_t *saved = policy_save(&two);
                char *text = json_dumps(saved, 0);
                json_t *again = json_loads(text, 0, NULL);
                assert_int_equal(policy_load(again, &two, NULL), 0);
                json_decref(saved);
                json_decref(again);
                free(text);
            }
            PolicyDecision other = decide(&config, &two, now);
            assert_int_equal(decision.wanted, other.wanted);
            assert_string_equal(decision.reason, other.reason);
            now.requested = decision.wanted;
            now.ready = fmin(now.requested, now.ready + (i % 2));
        }
    }
}

static void a_state_that_was_tampered_with_is_refused_and_nothing_is_changed(void **state)
{
    static const char *const tampered[] = {
        "{\"time\":\"now\"}", "{\"time\":-1}",          "{\"rate\":1e300}", "{\"wanted\":5000}", "{\"peak\":{}}",
        "{\"peak\":[[1]]}",   "{\"peak\":[[1,\"x\"]]}", "{\"peak\":[7]}",   "{\"version\":2}",   "{\"growth\":null}",
    };
    for (size_t i = 0; i < sizeof tampered / sizeof *tampered; i++) {
        PolicyState memory = {.time = 4711}, empty = {0};
        json_t *saved = policy_save(&empty), *change = json_loads(tampered[i], 0, NULL);
        InaError error = {.message = ""};
        json_object_update(saved, change);
        assert_int_equal(policy_load(saved, &memory, &error), -EINVAL);
        assert_true(error.message[0] != '\0');
        assert_true(memory.time == 4711);
        json_decref(saved);
        json_decref(change);
    }
    PolicyState memory = {0};
    assert_int_equal(policy_load(NULL, &memory, NULL), -EINVAL);
}

static uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    return *seed ^= *seed << 17;
}

static double wild(uint64_t *seed)
{
    static const double values[] = {0, 1, -1, 0.5, 8, 1000, 1e9, 1e15, -1e15, 1e308};
    uint64_t n = next_random(seed) % 14;
    return n < 10 ? values[n] : n == 10 ? NAN : n == 11 ? INFINITY : (double)(next_random(seed) % 100000) / 7;
}

static void whatever_is_observed_the_bounds_hold(void **state)
{
    uint64_t seed = (uint64_t)test_seed() | 1;
    printf("seed %llu\n", (unsigned long long)seed);
    for (unsigned p = 0; policy_name(p); p++) {
        PolicyConfig config = configured(policy_name(p), 2, 9);
        PolicyState memory = {0};
        for (int i = 0; i < 20000; i++) {
            PolicyObservation now = observed((double)(next_random(&seed) % 1000));
            double *fields[] = {&now.time,      &now.backlog, &now.capacity, &now.accepted,    &now.acknowledged,
                                &now.requested, &now.ready,   &now.busy,     &now.service_rate};
            for (unsigned k = 0; k < 3; k++)
                *fields[next_random(&seed) % 9] = wild(&seed);
            PolicyDecision decision = decide(&config, &memory, now);
            assert_true(decision.wanted >= 2 && decision.wanted <= 9);
            assert_true(decision.needed >= decision.wanted);
            assert_true(decision.reason[0] != '\0');
            json_t *saved = policy_save(&memory);
            InaError error = {.message = ""};
            if (policy_load(saved, &memory, &error) < 0)
                fail_msg("%s cannot load what it saved: %s", policy_name(p), error.message);
            json_decref(saved);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wrong_configuration_is_refused_by_key_value_and_range),
        cmocka_unit_test(bounds_that_make_no_sense_are_refused),
        cmocka_unit_test(n_processors_are_split_over_the_runtimes_as_in_the_original),
        cmocka_unit_test(an_absurd_observation_changes_nothing),
        cmocka_unit_test(other_bounds_hold_at_once_and_are_the_reason),
        cmocka_unit_test(a_clock_that_goes_back_keeps_the_processors_and_goes_on),
        cmocka_unit_test(a_queue_that_counts_from_zero_again_is_not_compared_with_the_old),
        cmocka_unit_test(the_state_survives_as_json),
        cmocka_unit_test(a_state_that_was_tampered_with_is_refused_and_nothing_is_changed),
        cmocka_unit_test(whatever_is_observed_the_bounds_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
