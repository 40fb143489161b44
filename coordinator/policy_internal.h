/* policy_internal.h - what the policies share. */
#pragma once

#include "policy.h"

/* A check of each policy: sets `wanted` (before the bounds) and the reason. */
typedef struct PolicyCheck {
    const PolicyConfig *config;
    PolicyState *state;
    const PolicyObservation *now;
    double elapsed;   /* s since the last check; 0: there was none to compare with */
    double requested; /* processors asked for, whole */
    double wanted;    /* out */
    char *reason;     /* out, POLICY_REASON_MAX */
} PolicyCheck;

void policy_slope(PolicyCheck *check);
void policy_queueing(PolicyCheck *check);
void policy_hpa(PolicyCheck *check);
void policy_keda(PolicyCheck *check);

void policy_explain(PolicyCheck *check, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Adds a value, forgets what is older than `length`, returns the maximum. */
double policy_window_add(PolicyWindow *window, double time, double value, double length);
void policy_window_forget(PolicyWindow *window, double before);
