/* rollouts.h - carries rollouts out: one at a time, kept in the database.
 *
 * A commit that changes what approved-by-themselves targets are to have starts
 * a rollout from the released revision to the new one (policy "none": the
 * new one is released at once). A commit while one runs waits; several waiting
 * become one. When it is done the new revision is released. Rolled back: the
 * old one stays released, and content that failed is not offered again by
 * itself, until a commit changes it or a person starts it (`force`).
 * After a restart of the server it goes on where it was. */
#pragma once

#include "rollout.h"
#include "targets.h"
#include <systemd/sd-event.h>

typedef struct Rollouts Rollouts;

int rollouts_open(sd_event *event, Database *database, Repository *repository, Targets *targets,
                  const RolloutPolicy *policy /* NULL: none */, Rollouts **ret, InaError *error);
void rollouts_watch(Rollouts *rollouts, void (*changed)(void *userdata, int64_t rollout), void *userdata);
/* -EBUSY: one runs. -EEXIST: this content failed before, and not forced. */
int rollouts_start(Rollouts *rollouts, int64_t revision, const RolloutPolicy *policy, bool force, const char *author,
                   int64_t *ret, InaError *error);
int rollouts_command(Rollouts *rollouts, int64_t rollout, RolloutEventType command, const char *author,
                     InaError *error);
/* {"id", "from", "to", "author", "started", "ended", ... rollout_json}; newest first; a new reference. */
json_t *rollouts_list(Rollouts *rollouts, size_t maximum);
json_t *rollouts_get(Rollouts *rollouts, int64_t rollout);                                 /* NULL: none */
int rollouts_set_policy(Rollouts *rollouts, const RolloutPolicy *policy, InaError *error); /* for the next ones; kept */
json_t *rollouts_policy(Rollouts *rollouts);
Rollouts *rollouts_close(Rollouts *rollouts);
