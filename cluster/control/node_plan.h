/* node_plan.h - what a node's object should say, and which of its pods must go:
 * pure functions.
 *
 * One step at a time, so that no replacement is placed on a node before its
 * object says that it is gone: conditions, then taints, then pods. */
#pragma once

#include "node_life.h"

#include "kube/object.h"

typedef struct NodePlan {
    json_t *status; /* to be stored; NULL: as it stands */
    json_t *spec;   /* the same */
    bool lost;      /* the status says for the first time that the node is silent */
} NodePlan;

/* cidr: for a node that has none ("127.1.3.0/24"); NULL: none to give. */
int node_plan(const json_t *node, NodeVerdict verdict, const char *cidr, time_t now, NodePlan *ret);

/* Whether the pod must leave its node: -1 no, 0 now, otherwise in so many seconds. */
int64_t node_pod_leaves(const json_t *node, const json_t *pod, time_t now);
/* Whether nothing is heard of the node and it was given up: then its pods are deleted without waiting for it. */
bool node_is_unreachable(const json_t *node);
