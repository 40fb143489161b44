/* policy.h - how many processors there should be: one pure interface, several
 * policies behind it.
 *
 * A policy sees the queue and the processors (PolicyObservation), remembers
 * what it needs in a PolicyState that its caller owns, and answers with a
 * PolicyDecision. There is no clock, no I/O and no allocation in here, so that
 * the coordinator and the simulator run the same code. The state can be kept
 * as JSON: a coordinator that died goes on where it was.
 *
 * Times are seconds of any clock that all observations share (the coordinator
 * takes the wall clock, since its state outlives it); one that jumps back only
 * costs a policy its measurements. An absurd observation changes nothing: the
 * last decision stays, and the reason says what was wrong. */
#pragma once

#include <inaetics/error.h>
#include <jansson.h>
#include <stdbool.h>

#define POLICY_REPLICAS_MAX 1000.0
#define POLICY_COUNT_MAX 9007199254740992.0 /* 2^53: samples, exact in a double */
#define POLICY_TIME_MAX 1e12                /* s */
#define POLICY_WINDOW_MAX 64u
#define POLICY_REASON_MAX 200

typedef enum PolicyKind {
    POLICY_QUEUEING, /* arrival rate, measured capacity, drain time: the default */
    POLICY_SLOPE,    /* the rule of the INAETICS demonstrator 1.1 */
    POLICY_HPA,      /* Kubernetes' HorizontalPodAutoscaler v2 on CPU */
    POLICY_KEDA,     /* KEDA's queue length per replica, through the same autoscaler */
} PolicyKind;

typedef struct PolicyObservation {
    double time;         /* s */
    double backlog;      /* samples that are not acknowledged yet */
    double capacity;     /* samples that the queue holds at most */
    double accepted;     /* samples accepted since the queue was made: a counter */
    double acknowledged; /* samples acknowledged since then */
    double requested;    /* processors asked for, those that still start among them */
    double ready;        /* processors that work */
    double busy;         /* mean share of time in which the ready ones worked, 0 to 1; NAN: unknown */
    double service_rate; /* samples/s that one processor can do, if it tells; NAN: unknown */
} PolicyObservation;

typedef struct PolicyDecision {
    unsigned wanted; /* processors, within the bounds */
    unsigned needed; /* before the bounds: more than `wanted` is an overload */
    double next;     /* time of the next check; one before it changes nothing */
    bool checked;    /* false: it was not time yet, or the observation was absurd */
    char reason[POLICY_REASON_MAX];
} PolicyDecision;

/* Keys, defaults, ranges: policy_keys(). */
typedef struct PolicyConfig {
    PolicyKind kind;
    double minimum, maximum; /* processors */
    double interval;         /* s between checks */
    /* queueing */
    double utilization, drain, quiet, rate;
    /* slope: percent of the queue's capacity, and percent per second */
    double barrier_low, barrier_high, slope1, slope2;
    /* hpa, keda */
    double target, tolerance, stabilization, up_percent, up_processors, up_period;
} PolicyConfig;

/* The largest of what was seen in a window of time. The values fall strictly
 * from the first entry to the last (Lemire, "Streaming maximum-minimum filter",
 * 2006), so that whole numbers take few entries. */
typedef struct PolicyWindow {
    unsigned count;
    struct {
        double time, value;
    } entries[POLICY_WINDOW_MAX];
} PolicyWindow;

/* Starts zeroed. */
typedef struct PolicyState {
    bool begun;    /* `time` and what follows were observed */
    double time;   /* of the last check */
    double next;   /* of the next */
    double wanted; /* the last decision; 0: none yet */
    double accepted, acknowledged, backlog, ready, requested;
    bool measured;         /* `rate`, `deviation` */
    double rate;           /* samples/s that arrive, smoothed */
    double deviation;      /* of single measurements from it */
    double trend;          /* of the rate, samples/s each second */
    double surprise;       /* the last measurement was far above (1) or below (-1) it; 0: near */
    double service_rate;   /* samples/s of one processor; 0: nothing was observed yet */
    double service_best;   /* its mean, or what it rose to since */
    double service_count;  /* measurements in that mean */
    double start_up;       /* s that a processor needs until it works; 0: not measured yet */
    double starting_since; /* time of the last increase that is not ready yet; 0: none */
    double starting_to;    /* processors that were wanted then */
    PolicyWindow peak;     /* queueing: what the load needed; hpa, keda: recommendations */
    PolicyWindow growth;   /* hpa, keda: (time, processors added), not a maximum */
} PolicyState;

typedef struct PolicyKey {
    const char *name;
    double minimum, maximum;
    const char *description; /* with the unit */
} PolicyKey;

/* Names of the policies: "queueing", "slope", "hpa", "keda", and "slope-1s",
 * "hpa-1s", "keda-1s", which are the same rules with queueing's interval and
 * quiet window. NULL beyond the last. */
const char *policy_name(unsigned index);
/* Keys that a policy takes; ends with one whose name is NULL. NULL: no such policy. */
const PolicyKey *policy_keys(const char *name);
double policy_value(const PolicyConfig *config, const char *key); /* NAN: no such key */

/* The policy's defaults, overridden by the numbers of `values` (an object, or
 * NULL) and kept within `minimum` and `maximum` processors. -EINVAL names the
 * key, its value and what is allowed. As in the original, a configuration of
 * `slope` must be complete when there is one. */
int policy_configure(const char *name, const json_t *values, double minimum, double maximum, PolicyConfig *ret,
                     InaError *error);

void policy_decide(const PolicyConfig *config, PolicyState *state, const PolicyObservation *observation,
                   PolicyDecision *ret);

/* The state as JSON and back. Loading refuses what policy_save cannot have
 * written (-EINVAL); the state stays as it was then. */
json_t *policy_save(const PolicyState *state); /* NULL: out of memory */
int policy_load(const json_t *value, PolicyState *ret, InaError *error);

/* n processors over k runtimes as in the original: the i-th (from 0) gets
 * n/k, and one more if i < n mod k. */
unsigned policy_split(unsigned n, unsigned k, unsigned i);
