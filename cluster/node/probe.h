/* probe.h - when to check a container, and what the answers mean: Kubernetes'
 * probe parameters without a clock and without checks.
 *
 * The owner calls probe_begin when the container has started, runs a check
 * when probe_due says so, and hands its outcome to probe_result. Times are
 * CLOCK_MONOTONIC ns. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

typedef struct ProbeTiming {
    int64_t initial_delay; /* seconds */
    int64_t period;
    int64_t timeout;
    int64_t success_threshold; /* results in a row */
    int64_t failure_threshold;
    /* ns; not 0: until it is healthy for the first time it is asked so often
     * (later less), so that it counts as ready as soon as it is; failures count
     * once per period nevertheless. */
    uint64_t eager;
} ProbeTiming;

typedef enum ProbeVerdict { PROBE_UNCHANGED, PROBE_HEALTHY, PROBE_UNHEALTHY } ProbeVerdict;

typedef struct ProbeCore {
    ProbeTiming timing;
    uint64_t next; /* of the next check; 0: none (not begun, or one is under way) */
    bool active, checking;
    bool known, healthy; /* verdict so far */
    bool was_healthy;    /* once, since the beginning */
    bool counted;        /* the last result counted */
    uint64_t begun, last_counted;
    int64_t successes, failures;
} ProbeCore;

void probe_init(ProbeCore *probe, const ProbeTiming *timing);
void probe_begin(ProbeCore *probe, uint64_t now);
void probe_end(ProbeCore *probe);
/* Whether a check is to be made now; it counts as under way then. */
bool probe_due(ProbeCore *probe, uint64_t now);
/* PROBE_UNHEALTHY is said each time the failure threshold is reached anew. */
ProbeVerdict probe_result(ProbeCore *probe, bool success, uint64_t now);
