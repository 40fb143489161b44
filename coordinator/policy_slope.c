/* The autoscaler of the INAETICS demonstrator 1.1, rule by rule. What it did
 * besides is not repeated: at its start it set the processors to one. */
#include "policy_internal.h"

static int change_of(const PolicyConfig *config, double slope, double value)
{
    if (slope > config->slope2)
        return 2;
    if (slope > config->slope1)
        return 1;
    if (slope > -config->slope1)
        return value < config->barrier_low ? -1 : value > config->barrier_high ? 1 : 0;
    if (slope > -config->slope2 && value < config->barrier_high)
        return -1;
    return value < config->barrier_high ? -2 : 0;
}

void policy_slope(PolicyCheck *check)
{
    const PolicyConfig *config = check->config;
    double value = 100 * check->now->backlog / check->now->capacity;
    /* Over the interval as configured, as in the original; no slope at the first check. */
    double before = check->state->begun ? 100 * check->state->backlog / check->now->capacity : value;
    double slope = (value - before) / config->interval;
    int change = change_of(config, slope, value);
    check->wanted = check->requested + change;
    if (check->wanted < 1)
        check->wanted = 1;
    policy_explain(check, "queue %.1f %%, slope %+.2f %%/s: %+d", value, slope, change);
}
