/* fit.h - what a pod says about nodes: tolerations, node selector, affinity. */
#pragma once

#include "kube/object.h"

#define TAINT_UNSCHEDULABLE "node.kubernetes.io/unschedulable"
#define TAINT_NOT_READY "node.kubernetes.io/not-ready"
#define TAINT_UNREACHABLE "node.kubernetes.io/unreachable"

/* Whether a toleration of the pod covers the taint. */
bool fit_tolerates(const json_t *pod, const char *key, const char *value, const char *effect);
/* As in Kubernetes every pod is given tolerations of 300 s for nodes that are not ready or unreachable. Here such nodes
 * are judged after seconds, so just these stand for "as the cluster decides": at once. Any other number is kept. */
#define FIT_TOLERATION_DEFAULT 300
/* How long (s) the pod may stay with a NoExecute taint: 0 not at all, -1 for ever. */
int64_t fit_toleration_seconds(const json_t *pod, const json_t *taint);
/* spec.nodeSelector and affinity.nodeAffinity.requiredDuringScheduling...; `node` is the object. */
bool fit_node(const json_t *pod, const json_t *node);
/* The weights of the preferred terms that the node matches, added up. */
int64_t fit_preference(const json_t *pod, const json_t *node);
