/* scheduler_internal.h - shared by scheduler.c (the state) and scheduler_place.c
 * (the choice). */
#pragma once

#include "scheduler.h"

#include "base/map.h"

#define CLAIM_KEY_SIZE (2 * (KUBE_NAME_MAX + 2))

enum { RESOURCE_CPU, RESOURCE_MEMORY };

/* By the resource's place in Scheduler.resources; what of a later place was not known yet is 0. */
typedef struct Amounts {
    int64_t milli[SCHEDULER_RESOURCES_MAX];
} Amounts;

typedef struct HostPort {
    const char *protocol, *address; /* of the pod, which outlives it; "" and "0.0.0.0": every address */
    int64_t port;
} HostPort;

typedef struct HostPorts {
    HostPort *ports;
    size_t count;
} HostPorts;

typedef struct NodeInfo {
    char *name;
    json_t *object; /* NULL: not there (any more), only pods that say they are on it */
    size_t slot;
    Amounts allocatable, used;
    size_t n_pods, pods_max;
    HostPorts ports;
    const char *missing_taint; /* of a node that is not ready but may not have got its taint yet; NULL: none */
    bool unschedulable;
} NodeInfo;

typedef struct OwnerInfo {
    uint32_t *counts; /* its pods by the node's slot */
    size_t n_counts, total;
} OwnerInfo;

typedef struct ClaimUser {
    const NodeInfo *node;
    size_t pods;
} ClaimUser;

typedef struct ClaimInfo {
    json_t *object; /* NULL: not there */
    ClaimUser *users;
    size_t n_users;
} ClaimInfo;

struct Scheduler {
    NodeInfo **nodes; /* by slot */
    size_t n_nodes, capacity, n_present;
    Map *by_name, *pods, *owners, *claims;
    char *resources[SCHEDULER_RESOURCES_MAX];
    size_t n_resources;
};

void scheduler_requests(Scheduler *scheduler, const json_t *pod, Amounts *ret);
/* Those that the pod wants; ret->ports is to be freed. */
void scheduler_host_ports(const json_t *pod, HostPorts *ret);
void host_ports_add(HostPorts *ports, const HostPort *port);
void host_ports_remove(HostPorts *ports, const HostPort *port);
bool host_ports_clash(const HostPorts *a, const HostPorts *b);
