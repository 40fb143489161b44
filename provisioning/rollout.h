/* rollout.h - a staged rollout, pure: state and events in, actions out.
 *
 * A rollout takes targets from one revision of the software to another in
 * groups, a small one first (the canary). A target goes
 *     waiting -> offered -> installed -> healthy
 * or to failed: its install failed or took longer than `install_ms`; or, until
 * it was ready for `gate_ms` without a break, it was not heard or not ready
 * for `silence_ms`, logged errors, or restarted; or, healthy already, it
 * restarts or is not ready for `silence_ms`. One that does less than `progress`
 * percent of what it did before does not become healthy, and fails when that
 * lasts for `silence_ms`. When `success` percent of a group are
 * healthy the next begins. When more than `error` percent of a group failed, or
 * `success` percent cannot be healthy any more, the rollout is rolled back:
 * every target that it reached gets the old content as a new version; those it
 * has not reached never see the new one. Time is given, in ms. A target that
 * goes away counts no more. One that comes later joins the last group, or takes
 * the old content when that is done without it. While paused nobody is offered
 * or given back anything, but what happens is noted. It always ends: each state
 * but waiting has a time limit, and waiting ends with the group's beginning.
 * docs/rollouts.md has the tables. */
#pragma once

#include "progress.h"
#include <inaetics/error.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ROLLOUT_GROUPS_MAX 16u
#define ROLLOUT_TARGETS_MAX 100000u
#define ROLLOUT_TIME_MAX_MS (INT64_C(7) * 24 * 3600 * 1000) /* of each time in a policy */
#define ROLLOUT_REASON_MAX 320u                             /* longer ones are cut */

typedef struct RolloutPolicy {
    /* Percent of the targets, cumulative, ascending, the last is 100: 10, 50, 100. The first may be 0; it has at least
     * one target. */
    unsigned groups[ROLLOUT_GROUPS_MAX];
    unsigned n_groups;       /* 0: {0, 50, 100} */
    unsigned success, error; /* percent of a group: 1 to 100, 0 to 100; default 100 and 0 */
    int64_t gate_ms;         /* default 5000, 0: installed is enough */
    int64_t install_ms;      /* offered for longer: failed; default 60000 */
    int64_t silence_ms;      /* default 15000 */
    unsigned progress;       /* percent of what a target did before, 0: not judged; default 10 */
    bool automatic_rollback; /* default true; else it pauses; who resumes it excuses those that failed so far */
} RolloutPolicy;

/* {"groups": [10, 50, 100], "success": 100, "error": 0, "gateSeconds": 5, "installSeconds": 60,
 *  "silenceSeconds": 15, "progress": 10, "automaticRollback": true}; -EINVAL names the field. */
void rollout_policy_default(RolloutPolicy *ret);
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
    ROLLOUT_INSTALL_OK,     /* of what was offered, or, when it is given back, of the old content */
    ROLLOUT_INSTALL_FAILED, /* reason */
    ROLLOUT_HEALTH,         /* ready, errors, running_ms, reason, progress; of the version that was offered */
    ROLLOUT_GONE,
    ROLLOUT_JOINED, /* ready: it left with the new content, and has it still */
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
    int64_t errors;           /* since this version runs */
    int64_t running_ms;       /* since when it runs; falls when it restarted; -1: not known */
    const Progress *progress; /* or NULL */
} RolloutEvent;

typedef enum RolloutActionType {
    ROLLOUT_OFFER,    /* mint the new content for target */
    ROLLOUT_RETURN,   /* mint the old content for target */
    ROLLOUT_TELL,     /* something worth a line in the history: text */
    ROLLOUT_WARN,     /* the same, and one in the log */
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
/* Advances; the actions are to be carried out by the caller, who reports their outcome as events. Nothing happens
 * before the first event (a tick). A command that does not fit the phase: -EINVAL. */
int rollout_step(Rollout *rollout, const RolloutEvent *event, int64_t now, const RolloutAction **ret, size_t *ret_n,
                 InaError *error);
/* What a target does that is not judged now: before it is offered the new content, and after it was found healthy.
 * Nothing follows from it at once. Others are told by ROLLOUT_HEALTH. */
void rollout_progress(Rollout *rollout, const char *target, const Progress *progress);
/* When the next tick is needed; INT64_MAX: not. */
int64_t rollout_next(const Rollout *rollout);
/* The server was away, or late, for so long: no target is blamed for it. Negative: its clock was set back meanwhile. */
void rollout_shift(Rollout *rollout, int64_t ms);
RolloutPhase rollout_phase(const Rollout *rollout);
bool rollout_ended(const Rollout *rollout);
/* Rises with each change that is worth keeping (a state, a phase). */
uint64_t rollout_changes(const Rollout *rollout);
const char *rollout_reason(const Rollout *rollout); /* why it was paused or rolled back; or NULL */
const RolloutPolicy *rollout_policy(const Rollout *rollout);
size_t rollout_targets(const Rollout *rollout);
/* By index below rollout_targets; false: it is gone. `reached`: it was offered the new content. */
bool rollout_target(const Rollout *rollout, size_t index, const char **ret_id, RolloutTargetState *ret_state,
                    bool *ret_reached);
/* -ENOENT. */
int rollout_find(const Rollout *rollout, const char *target, RolloutTargetState *ret_state, bool *ret_reached);
/* Whether it was reached, and is gone. */
bool rollout_left(const Rollout *rollout, const char *target);
const char *rollout_member(const Rollout *rollout, size_t index); /* its id, gone or not */
const char *rollout_state_name(RolloutTargetState state);
/* Everything, to be kept and shown: {"phase", "group", "policy", "groups": [{"targets": n, "waiting": n, "offered",
 * "installed", "healthy", "failed", "returned"}], "targets": [{"id", "group", "state", "since", "reason", ...}],
 * "reason", "unjudged": {"targets", "rate"}}: how many were offered the new content while nothing was known of what
 * they did, and the first rate that is not judged because there are too many, or null. Without "targets" it is a
 * summary, which rollout_read refuses. NULL: out of memory. */
json_t *rollout_json(const Rollout *rollout, bool targets);
int rollout_read(const json_t *value, Rollout **ret, InaError *error);
Rollout *rollout_free(Rollout *rollout);
