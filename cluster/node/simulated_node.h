/* simulated_node.h - nodes that run nothing: their pods are Running and Ready
 * as soon as they are bound, and gone as soon as they are deleted. One process
 * is as many nodes as wanted, to see how the control plane grows with them. */
#pragma once

#include <inaetics/error.h>
#include <systemd/sd-event.h>

#define SIMULATED_NODES_MAX 1000u
#define SIMULATED_REQUESTS_MAX 64u /* under way at a time */

typedef struct SimulatedNodes SimulatedNodes;

typedef struct SimulatedNodesOptions {
    const char *server, *pki;
    const char *certificate;       /* of the folder `pki`: "control-plane", which may speak for all nodes */
    unsigned count;                /* node-1 to node-COUNT */
    void (*ready)(void *userdata); /* once: all are registered, and their pods known */
    void *userdata;
} SimulatedNodesOptions;

int simulated_nodes_new(sd_event *event, const SimulatedNodesOptions *options, SimulatedNodes **ret, InaError *error);
SimulatedNodes *simulated_nodes_free(SimulatedNodes *nodes);
