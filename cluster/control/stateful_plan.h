/* stateful_plan.h - which pods of a StatefulSet are made and ended: a pure
 * function.
 *
 * Pods are NAME-0, NAME-1, ...; each has claims of its own. In order (or, with
 * podManagementPolicy Parallel, all at once) they are made, and in the opposite
 * order ended and updated. Templates are kept as ControllerRevisions, so that a
 * pod below the partition is made again as it was. */
#pragma once

#include "kube/object.h"

#define STATEFUL_REVISION "controller-revision-hash"
#define STATEFUL_POD_NAME "statefulset.kubernetes.io/pod-name"

typedef struct StatefulPlan {
    json_t *revision; /* a ControllerRevision to be made first; then nothing else is done */
    json_t *renewed;  /* one to be updated: an old template is the newest again */
    json_t *claims;   /* array: those of the pods to be made; some may be there already */
    json_t *create;   /* array of pods */
    json_t *remove;   /* array of pods */
    json_t *forget;   /* array of ControllerRevisions beyond the history's limit */
    json_t *status;   /* the StatefulSet with its status; NULL: as it stands */
} StatefulPlan;

/* pods and revisions: those that the set owns. */
int stateful_plan(const json_t *set, const json_t *const *pods, size_t n_pods, const json_t *const *revisions,
                  size_t n_revisions, StatefulPlan *ret);
void stateful_plan_clear(StatefulPlan *plan);
/* The ordinal of a pod of that name; -1: it is none of the set's. */
int64_t stateful_ordinal(const json_t *set, const char *pod_name);
