/* moving.h - moving mean and deviation of a stream of numbers, and how unusual
 * a number is by them. Pure.
 *
 * The first `window` numbers weigh the same; from then on each new one weighs
 * 2 / (window + 1) and what was before fades (an exponential average with the
 * centre of mass of a window of that length). Mean and variance are updated by
 * the deviation from the mean (Welford's way, weighted as T. Finch,
 * "Incremental calculation of weighted mean and variance", 2009): no sum of
 * squares that could lose its digits or overflow. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define MOVING_VALUE_MAX 1e150 /* a greater magnitude counts as this one, so that squares stay finite */
#define MOVING_SCORE_MAX 1000.0

/* All zero: nothing was seen yet. */
typedef struct Moving {
    uint64_t count;
    double mean, variance;
} Moving;

/* The z-score: deviation from the mean in standard deviations, from
 * -MOVING_SCORE_MAX to MOVING_SCORE_MAX. After numbers that were all the same
 * any other one has the greatest score. 0 while nothing was seen; NaN for NaN. */
double moving_score(const Moving *moving, double value);
/* Takes a number in. NaN and infinities are left out. */
void moving_absorb(Moving *moving, double value, uint64_t window);
/* Whether figures from outside can be such a state. */
bool moving_is_sound(const Moving *moving);
