/* fixture.h - what the tests of the coordinator share. */
#pragma once

#include "coordinator/policy.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static inline PolicyConfig configured(const char *name, double minimum, double maximum)
{
    PolicyConfig config;
    InaError error = {.message = ""};
    if (policy_configure(name, NULL, minimum, maximum, &config, &error) < 0)
        fail_msg("%s: %s", name, error.message);
    return config;
}

/* All is quiet: an empty queue, one processor. */
static inline PolicyObservation observed(double time)
{
    return (PolicyObservation){
        .time = time, .capacity = 10000, .requested = 1, .ready = 1, .busy = NAN, .service_rate = NAN};
}

static inline PolicyDecision decide(const PolicyConfig *config, PolicyState *state, PolicyObservation observation)
{
    PolicyDecision decision;
    policy_decide(config, state, &observation, &decision);
    return decision;
}
