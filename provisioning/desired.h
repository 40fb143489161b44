/* desired.h - desired state as code (docs/provisioning-api.md, "Desired state"), pure.
 *
 * desired_apply edits a model, a workspace's or a copy of the newest, until it
 * is as the state says: features, distributions, links and the named targets.
 * What that changed is what a dry run shows; what it would change in the newest
 * model, given the state that was applied last, is the drift. Settings and the
 * rollout policy are not in the model: the caller compares and sets those
 * (desired_compare). */
#pragma once

#include "model.h"

#define DESIRED_FILE "provisioning.json"
#define DESIRED_VERSION 1
#define DESIRED_SIZE_MAX (4u * 1024u * 1024u) /* bytes of the file */
#define DESIRED_ARTIFACTS_MAX 10000u
#define DESIRED_OBJECTS_MAX 10000u /* features, distributions, assignments, targets: of each */

/* Whether it is well formed; -EINVAL names the field and what would be right. `folder`: as the file has it, artifacts
 * by name; else as POST /v1/desired has it, [{"file", "sha256"}]. */
int desired_check(const json_t *state, bool folder, InaError *error);
/* `state` as POST /v1/desired has it. ret_missing: [{"file", "sha256"}] of artifacts that the model does not have;
 * links to what may be in them are left out then, so with any the result is for showing only. -EINVAL: not well formed,
 * or it names what is not there. */
int desired_apply(const json_t *state, Model *model, json_t **ret_missing, InaError *error);
/* [{"kind": "feature", "name": "f1", "change": "added"|"changed"|"removed", "before": OBJECT|null, "after":
 * OBJECT|null}]; kind: of an object, name: as people say it ("f1", of a link "processor@1.0.0 -> f1"). */
json_t *desired_differences(const Model *before, const Model *after);
/* Appends {"kind": name, "name": name, "change", "before", "after"} when they are not equal; NULL: there is none. */
int desired_compare(json_t *differences, const char *name, const json_t *before, const json_t *after);
/* The state that the model is in, for `settings` and `rollout` (borrowed; NULL: left out): applying it changes nothing.
 */
int desired_export(const Model *model, json_t *settings, json_t *rollout, json_t **ret, InaError *error);
