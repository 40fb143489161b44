/* scheduler.h - which node a pod runs on: a pure function.
 *
 * Filters, then scores, as Kubernetes' default scheduler: unschedulable and
 * not ready nodes, taints and tolerations, node selector and required node
 * affinity, host ports, resources (requests against allocatable), volume
 * that is elsewhere (ReadWriteOnce: the claim's pods are all on one node); then
 * spread over nodes (pods of the same controller), preferred affinity, least
 * allocated, and names as the last tie-breaker. */
#pragma once

#include "kube/object.h"

#define SCHEDULER_RESOURCES_MAX                                                                                        \
    16u /* kinds of resources: cpu, memory, ..., in the whole cluster; others are ignored                              \
         */
#define SCHEDULER_WHY_MAX 1024u

typedef struct Scheduler Scheduler;

Scheduler *scheduler_new(void); /* NULL: out of memory */
/* The state, kept up as objects change: cost per call is that of one object. What is out of memory is told (-ENOMEM)
 * and left out. */
int scheduler_node(Scheduler *scheduler, const json_t *node, bool gone);
/* Pods without spec.nodeName and those that ended take no room. */
int scheduler_pod(Scheduler *scheduler, const json_t *pod, bool gone);
int scheduler_volume_claim(Scheduler *scheduler, const json_t *claim, bool gone);
/* 0: node is set. -EAGAIN: nowhere; `why` as Kubernetes words it: "0/5 nodes are available: 2 Insufficient cpu, 3
 * node(s) were unschedulable." Cost: linear in nodes. */
int scheduler_place(const Scheduler *scheduler, const json_t *pod, char node[KUBE_NAME_MAX + 1], char *why,
                    size_t why_size);
Scheduler *scheduler_free(Scheduler *scheduler);
