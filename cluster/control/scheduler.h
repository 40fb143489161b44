/* scheduler.h - which node a pod runs on: a pure function.
 *
 * Filters, then scores, as Kubernetes' default scheduler: unschedulable and
 * not ready nodes, taints and tolerations, node selector (and required node
 * affinity), host ports, resources (requests against allocatable), volume
 * that is elsewhere; then spread over nodes (pods of the same owner and
 * service), least allocated, and names as the last tie-breaker. */
#pragma once

#include <inaetics/error.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct Scheduler Scheduler;

Scheduler *scheduler_new(void); /* NULL: out of memory */
/* The state, kept up as objects change: cost per call is that of one object. */
int scheduler_node(Scheduler *scheduler, const json_t *node, bool gone);
int scheduler_pod(Scheduler *scheduler, const json_t *pod, bool gone);
int scheduler_volume_claim(Scheduler *scheduler, const json_t *claim, bool gone);
/* 0: node is set. -EAGAIN: nowhere; `why` as Kubernetes words it: "0/5 nodes are available: 2 Insufficient cpu, 3
 * node(s) were unschedulable." */
int scheduler_place(const Scheduler *scheduler, const json_t *pod, char node[64], char *why, size_t why_size);
Scheduler *scheduler_free(Scheduler *scheduler);
