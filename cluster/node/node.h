/* node.h - the node: pods as the folder of manifests says, and an API to see
 * and steer them (docs/contracts.md).
 *
 * A manifest that cannot be used harms nothing: the pod of its former version
 * goes on, and the API shows what is wrong. */
#pragma once

#include "cluster/instance.h"

#include <systemd/sd-event.h>

typedef struct Node Node;

typedef struct NodeOptions {
    const Instance *instance; /* its data folder must be there */
    const char *listen;       /* further address of host ports, or NULL */
    size_t log_size;          /* of a log file before it is rotated; 0: CONTAINER_LOG_SIZE_DEFAULT */
} NodeOptions;

/* Ends what an earlier life left behind, then starts the pods. SIGCHLD must be blocked. */
int node_new(sd_event *event, const NodeOptions *options, Node **ret, InaError *error);
/* Ends all pods, each with its grace period; then `stopped`. Once. */
void node_stop(Node *node, void (*stopped)(void *userdata), void *userdata);
Node *node_free(Node *node); /* kills what runs */
