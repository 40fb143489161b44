/* replication_plan.h - how many pods a ReplicationController or ReplicaSet is
 * short of or has too many, and its status: a pure function. */
#pragma once

#include "kube/object.h"
#include "kube/selector.h"

typedef struct ReplicationPlan {
    size_t create;
    const json_t **remove; /* in the order in which they go; borrowed objects, as are all here */
    size_t n_remove;
    const json_t **adopt; /* match, and have no controller */
    size_t n_adopt;
    const json_t **release; /* are owned and do not match any more */
    size_t n_release;
    json_t *status;     /* NULL: as it stands */
    int64_t look_again; /* s until a pod may count as available; -1: none */
} ReplicationPlan;

/* pods: those that the controller owns, and those of its namespace without a controller (others are passed over).
 * failure: why a pod could not be made or deleted last; NULL: none. */
int replication_plan(const json_t *controller, const json_t *const *pods, size_t count, const char *failure, time_t now,
                     ReplicationPlan *ret);
void replication_plan_clear(ReplicationPlan *plan);

/* The selector of a controller (a map for RCs, else a LabelSelector). */
int replication_selector(const json_t *controller, Selector **ret, InaError *error);
/* A pod from spec.template, owned by the controller, for api_create; NULL: out of memory. */
json_t *replication_pod(const json_t *controller);
/* Of a pod: whether it counts (not ended, not being deleted). */
bool replication_active(const json_t *pod);
/* Ready for min_ready seconds. *look_again is lowered to when it would be. */
bool replication_available(const json_t *pod, int64_t min_ready, time_t now, int64_t *look_again);
