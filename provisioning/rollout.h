/* rollout.h - a staged rollout, pure: state and events in, actions out.
 *
 * A rollout takes targets from one revision of the software to another in
 * groups, a small one first (the canary). A target goes
 *     waiting -> offered -> installed -> healthy
 * or to failed: its install failed, it was not heard for `silence_ms`, it is not
 * ready, or it logged errors, before it was healthy for `gate_ms` without a
 * break. When `success` percent of a group are healthy (and no member still
 * waits) the next begins; when more than `error` percent of a group failed (in a
 * group of one: the first) the rollout is rolled back: every target that it
 * reached gets the old content as a new version; those it has not reached
 * never see the new one. Time is given, in ms. A target that goes away
 * counts no more. One that comes later joins the last group, or takes the
 * old content when that is done without it. */
#pragma once

#include <inaetics/error.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ROLLOUT_GROUPS_MAX 16u
#define ROLLOUT_TARGETS_MAX 100000u

typedef struct RolloutPolicy {
    unsigned
        groups[ROLLOUT_GROUPS_MAX]; /* percent of the targets, cumulative: 10, 50, 100; the first has at least one */
    unsigned n_groups;              /* 0: {1 target, 50, 100} */
    unsigned success, error;        /* percent of a group; default 100 and 0 */
    int64_t gate_ms;                /* default 5000 (demonstrator), 0: installed is enough */
    int64_t install_ms;             /* offered for longer: failed; default 60000 */
    int64_t silence_ms;             /* default 15000 */
    bool automatic_rollback;        /* default true; else it pauses */
} RolloutPolicy;

/* {"groups": [10, 50, 100], "success": 100, "error": 0, "gateSeconds": 5, "installSeconds": 60,
 *  "silenceSeconds": 15, "automaticRollback": true}; -EINVAL names the field. */
int rollout_policy_read(const json_t *value, RolloutPolicy *ret, InaError *error);
json_t *rollout_policy_json(const RolloutPolicy *policy);

typedef enum RolloutPhase {
    ROLLOUT_RUNNING,
    ROLLOUT_PAUSED,
    ROLLOUT_ROLLING_BACK,
    ROLLOUT_DONE,
    ROLLOUT_ROLLED_BACK,
    ROLLOUT_ABORTED, /* by a person: stays as it is, the rest keeps the old content */
} RolloutPhase;
const char *rollout_phase_name(RolloutPhase phase);

typedef enum RolloutTargetState {
    ROLLOUT_WAITING,
    ROLLOUT_OFFERED,
    ROLLOUT_INSTALLED,
    ROLLOUT_HEALTHY,
    ROLLOUT_FAILED,
    ROLLOUT_RETURNED, /* has the old content again */
} RolloutTargetState;

typedef enum RolloutEventType {
    ROLLOUT_INSTALL_OK,
    ROLLOUT_INSTALL_FAILED, /* reason */
    ROLLOUT_HEALTH,         /* ready, errors */
    ROLLOUT_GONE,
    ROLLOUT_JOINED,
    ROLLOUT_PAUSE,
    ROLLOUT_RESUME,
    ROLLOUT_ABORT,
    ROLLOUT_ROLL_BACK, /* a person; target NULL */
    ROLLOUT_TICK,
} RolloutEventType;

typedef struct RolloutEvent {
    RolloutEventType type;
    const char *target;
    const char *reason;
    bool ready;
    int64_t errors;
} RolloutEvent;

typedef enum RolloutActionType {
    ROLLOUT_OFFER,    /* mint the new content for target */
    ROLLOUT_RETURN,   /* mint the old content for target */
    ROLLOUT_TELL,     /* something worth a line in the history: text */
    ROLLOUT_FINISHED, /* the phase is final */
} RolloutActionType;

typedef struct RolloutAction {
    RolloutActionType type;
    const char *target; /* borrowed until the next call */
    char text[256];
} RolloutAction;

typedef struct Rollout Rollout;

/* `targets` in the order in which they are to be taken (the caller shuffles or sorts: canaries first). */
int rollout_new(const RolloutPolicy *policy, const char *const *targets, size_t n_targets, int64_t now, Rollout **ret,
                InaError *error);
/* Advances; the actions are to be carried out by the caller, who reports their outcome as events. */
int rollout_step(Rollout *rollout, const RolloutEvent *event, int64_t now, const RolloutAction **ret, size_t *ret_n,
                 InaError *error);
/* When the next tick is needed; INT64_MAX: not. */
int64_t rollout_next(const Rollout *rollout);
RolloutPhase rollout_phase(const Rollout *rollout);
/* Everything, to be kept and shown: {"phase", "group", "policy", "groups": [{"targets": n, "healthy": n, "failed": n,
 * "state"}], "targets": [{"id", "group", "state", "since", "reason"}], "reason"}. */
json_t *rollout_json(const Rollout *rollout);
int rollout_read(const json_t *value, Rollout **ret, InaError *error);
Rollout *rollout_free(Rollout *rollout);
