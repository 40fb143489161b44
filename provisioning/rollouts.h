/* rollouts.h - carries rollouts out: one at a time, kept in the database.
 *
 * A commit that changes the software starts a rollout from the released
 * revision to the new one, over the targets that approve themselves, are
 * present, and are to have something else (targets with the tag "canary" first,
 * the others shuffled); without any, and without a policy, the new revision is
 * released at once. A commit while one runs waits; several waiting become
 * one. When it is done the new revision is released. Rolled back: the
 * old one stays released, and content that failed (by its digest) is not
 * offered again by itself, until a commit changes it or a person starts it
 * (`force`). After a restart of the server it goes on where it was, and no
 * target is blamed for the time between. docs/rollouts.md tells more. */
#pragma once

#include "rollout.h"
#include "targets.h"
#include <systemd/sd-event.h>

#define ROLLOUTS_KEPT 100u       /* those that ended; older ones go */
#define ROLLOUT_HISTORY_MAX 200u /* lines of each: the first half and the last */

typedef struct Rollouts Rollouts;

/* Runs the targets, too (targets_run). `event` NULL: the caller calls rollouts_work (tests). `policy`: NULL: none; one
 * that was set before (rollouts_set_policy) comes before it. */
int rollouts_open(sd_event *event, Database *database, Repository *repository, Targets *targets,
                  const RolloutPolicy *policy, Rollouts **ret, InaError *error);
/* Does what is due now, wholly. */
void rollouts_work(Rollouts *rollouts);
/* Whether it is known already what becomes of `revision` that was just committed, or (`begin`) whether rollouts_start
 * of it would take no time. If not, `ready` is called later, once: finding out what many targets are to have takes
 * seconds, and is done piece by piece. After a restart it begins again. */
bool rollouts_await(Rollouts *rollouts, int64_t revision, bool begin, void (*ready)(void *userdata), void *userdata);
void rollouts_forget(Rollouts *rollouts, const void *userdata); /* who waits no more */
void rollouts_watch(Rollouts *rollouts, void (*changed)(void *userdata, int64_t rollout), void *userdata);
/* For the log: what of it is not as it is meant to be (not what targets do wrong). One watcher. */
void rollouts_watch_problems(Rollouts *rollouts, void (*problem)(void *userdata, int64_t rollout, const char *text),
                             void *userdata);
/* policy NULL: the usual one, or, without one, the default. -EBUSY: one runs, or targets are still to be heard
 * since the server started (unless forced). -EEXIST: this content failed before, and
 * not forced. -ENOENT: no such revision. */
int rollouts_start(Rollouts *rollouts, int64_t revision, const RolloutPolicy *policy, bool force, const char *author,
                   int64_t *ret, InaError *error);
/* ROLLOUT_PAUSE, _RESUME, _ABORT, _ROLL_BACK. On disk when it returns. */
int rollouts_command(Rollouts *rollouts, int64_t rollout, RolloutEventType command, const char *author,
                     InaError *error);
/* {"id", "from", "to", "author", "message", "started", "ended", "phase", ... rollout_json} without "targets"; newest
 * first; a new reference. What a commit just began is among them, unless that is still to be found out. */
json_t *rollouts_list(Rollouts *rollouts, size_t maximum);
/* With "targets", "history" [{"time", "target" or null, "text"}] and "historyOmitted", how many lines were left out
 * after the first ROLLOUT_HISTORY_MAX / 2; NULL: there is none. */
json_t *rollouts_get(Rollouts *rollouts, int64_t rollout);
int rollouts_set_policy(Rollouts *rollouts, const RolloutPolicy *policy, InaError *error); /* for the next ones; kept */
json_t *rollouts_policy(Rollouts *rollouts);                                               /* null: none */
/* Why what is stored is neither released nor rolled out ("this content failed in rollout 3 ..."); NULL: it is. Kept. */
const char *rollouts_held(const Rollouts *rollouts);
Rollouts *rollouts_close(Rollouts *rollouts);
