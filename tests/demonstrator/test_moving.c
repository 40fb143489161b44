/* Moving mean, deviation and score against their definitions, and under numbers that break naive ways. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "moving.h"

#define NUMBERS 5000u

static double chance(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (double)(*seed >> 11) / 9007199254740992.0;
}

static void assert_near(double a, double b, double relative)
{
    if (!(fabs(a - b) <= relative * fmax(fabs(a), fabs(b)) + 1e-300)) {
        print_message("%.17g is not %.17g\n", a, b);
        fail();
    }
}

/* From the definition: all numbers with their weights, in two passes. */
static void refer(const double *numbers, size_t n, uint64_t window, double *ret_mean, double *ret_variance)
{
    static long double weights[NUMBERS];
    for (size_t i = 0; i < n; i++) {
        long double weight = i < window ? 1.0L / (long double)(i + 1) : 2.0L / ((long double)window + 1);
        for (size_t j = 0; j < i; j++)
            weights[j] *= 1 - weight;
        weights[i] = weight;
    }
    long double mean = 0, variance = 0;
    for (size_t i = 0; i < n; i++)
        mean += weights[i] * (long double)numbers[i];
    for (size_t i = 0; i < n; i++)
        variance += weights[i] * ((long double)numbers[i] - mean) * ((long double)numbers[i] - mean);
    *ret_mean = (double)mean;
    *ret_variance = (double)variance;
}

static void check_against_definition(double offset, double spread, uint64_t window, size_t n, double relative)
{
    static double numbers[NUMBERS];
    uint64_t seed = 20 + window;
    Moving moving = {0};
    double mean, variance;
    for (size_t i = 0; i < n; i++) {
        numbers[i] = offset + spread * (chance(&seed) - 0.5);
        moving_absorb(&moving, numbers[i], window);
    }
    refer(numbers, n, window, &mean, &variance);
    assert_int_equal(moving.count, n);
    assert_near(moving.mean, mean, 1e-12);
    assert_near(moving.variance, variance, relative);
    double value = offset + spread;
    assert_near(moving_score(&moving, value), (value - mean) / sqrt(variance), relative);
}

static void mean_and_variance_are_those_of_the_weighted_numbers(void **state)
{
    check_against_definition(0, 1, 100, 50, 1e-10);
    check_against_definition(0, 1, 100, 100, 1e-10);
    check_against_definition(50, 7, 100, 2000, 1e-10);
    check_against_definition(-3, 1e-3, 2, 500, 1e-9);
    check_against_definition(12, 100, 1000000, 3000, 1e-10);
}

static void a_great_offset_does_not_eat_the_digits(void **state)
{
    /* A sum of squares would have none left: 1e9 squared has no room for 1e-3. */
    check_against_definition(1e9, 1e-1, 100, 2000, 1e-4);
    check_against_definition(1e12, 1e3, 1000, 2000, 1e-6);
}

static void the_first_number_has_no_score(void **state)
{
    Moving moving = {0};
    assert_true(moving_score(&moving, 5) == 0);
    assert_true(moving_score(&moving, INFINITY) == 0);
    assert_true(isnan(moving_score(&moving, NAN)));
}

static void after_equal_numbers_an_equal_one_scores_0_and_another_the_most(void **state)
{
    Moving moving = {0};
    for (int i = 0; i < 100; i++)
        moving_absorb(&moving, 0.1, 10);
    assert_true(moving.variance == 0);
    assert_true(moving_score(&moving, 0.1) == 0);
    assert_true(moving_score(&moving, 0.2) == MOVING_SCORE_MAX);
    assert_true(moving_score(&moving, -7) == -MOVING_SCORE_MAX);
}

static void an_outlier_scores_high_and_the_figures_forget_it(void **state)
{
    Moving moving = {0};
    uint64_t seed = 1;
    for (int i = 0; i < 1000; i++)
        moving_absorb(&moving, chance(&seed), 50);
    assert_true(moving_score(&moving, 100) > 100);
    moving_absorb(&moving, 100, 50);
    assert_true(moving_score(&moving, 100) < 10);
    for (int i = 0; i < 1000; i++)
        moving_absorb(&moving, chance(&seed), 50);
    assert_near(moving.mean, 0.5, 0.2);
    assert_true(moving_score(&moving, 100) > 100);
}

static void what_is_no_number_is_scored_and_left_out(void **state)
{
    Moving moving = {0};
    moving_absorb(&moving, NAN, 10);
    moving_absorb(&moving, INFINITY, 10);
    assert_int_equal(moving.count, 0);
    moving_absorb(&moving, 1, 10);
    moving_absorb(&moving, 3, 10);
    Moving before = moving;
    moving_absorb(&moving, -INFINITY, 10);
    moving_absorb(&moving, NAN, 10);
    assert_memory_equal(&moving, &before, sizeof moving);
    assert_true(isnan(moving_score(&moving, NAN)));
    assert_true(moving_score(&moving, INFINITY) == MOVING_SCORE_MAX);
    assert_true(moving_score(&moving, -INFINITY) == -MOVING_SCORE_MAX);
}

static void the_greatest_numbers_do_not_overflow(void **state)
{
    Moving moving = {0};
    for (int i = 0; i < 1000; i++) {
        moving_absorb(&moving, i % 2 ? DBL_MAX : -DBL_MAX, 10);
        assert_true(moving_is_sound(&moving));
        assert_true(fabs(moving_score(&moving, DBL_MAX)) <= MOVING_SCORE_MAX);
    }
    for (int i = 0; i < 20000; i++)
        moving_absorb(&moving, i % 2, 10);
    assert_near(moving.mean, 0.5, 0.5);
    assert_true(moving_score(&moving, DBL_MAX) == MOVING_SCORE_MAX);
}

static void the_smallest_numbers_do_not_divide_by_nothing(void **state)
{
    Moving moving = {0};
    for (int i = 0; i < 1000; i++) {
        moving_absorb(&moving, i % 2 ? DBL_TRUE_MIN : -DBL_TRUE_MIN, 10);
        assert_true(moving_is_sound(&moving));
        assert_true(fabs(moving_score(&moving, DBL_TRUE_MIN)) <= MOVING_SCORE_MAX);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mean_and_variance_are_those_of_the_weighted_numbers),
        cmocka_unit_test(a_great_offset_does_not_eat_the_digits),
        cmocka_unit_test(the_first_number_has_no_score),
        cmocka_unit_test(after_equal_numbers_an_equal_one_scores_0_and_another_the_most),
        cmocka_unit_test(an_outlier_scores_high_and_the_figures_forget_it),
        cmocka_unit_test(what_is_no_number_is_scored_and_left_out),
        cmocka_unit_test(the_greatest_numbers_do_not_overflow),
        cmocka_unit_test(the_smallest_numbers_do_not_divide_by_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
