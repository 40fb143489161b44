#include "moving.h"

#include <math.h>

static double clamp(double value, double limit)
{
    return value > limit ? limit : value < -limit ? -limit : value;
}

double moving_score(const Moving *moving, double value)
{
    if (isnan(value)) {
        return value;
    }
    double deviation = clamp(value, 2 * MOVING_VALUE_MAX) - moving->mean;
    if (moving->count == 0 || (deviation >= 0 && deviation <= 0)) {
        return 0;
    }
    /* Without any deviation so far the quotient is infinite. */
    return clamp(deviation / sqrt(moving->variance), MOVING_SCORE_MAX);
}

void moving_absorb(Moving *moving, double value, uint64_t window)
{
    if (!isfinite(value)) {
        return;
    }
    value = clamp(value, MOVING_VALUE_MAX);
    if (moving->count < UINT64_MAX) {
        moving->count++;
    }
    double weight = moving->count <= window ? 1 / (double)moving->count : 2 / ((double)window + 1);
    double deviation = value - moving->mean;
    double step = weight * deviation;
    moving->mean += step;
    moving->variance = (1 - weight) * (moving->variance + deviation * step);
}

bool moving_is_sound(const Moving *moving)
{
    return isfinite(moving->mean) && fabs(moving->mean) <= MOVING_VALUE_MAX && isfinite(moving->variance) &&
           moving->variance >= 0 && moving->variance <= 5 * MOVING_VALUE_MAX * MOVING_VALUE_MAX;
}
