/* kube_node.h - a node of the cluster: registers itself, renews its lease,
 * and runs the pods that the API has bound to it.
 *
 * While the API is away everything goes on as it was; what changed is told when
 * it is back. A pod that is gone from the API is ended at once (SIGKILL): it
 * was given up while this node was silent. */
#pragma once

#include "cluster/instance.h"
#include "image.h"

#include <systemd/sd-event.h>

#define NODE_PODS_MAX 110u /* told as capacity, as Kubernetes' default */
#define NODE_LEASE_US 1000000
#define NODE_LEASE_PATIENCE_US 2000000 /* for the answer to a renewal, before it is tried anew */
#define NODE_PORT 10250
#define NODE_MONITOR_PORT 4194

typedef struct KubeNode KubeNode;

typedef struct KubeNodeOptions {
    const Instance *instance; /* with the address and the pods' prefix of this node in `node` and `pods` */
    const char *name;         /* "node-1" */
    const char *server;       /* "https://127.17.8.20:10260" */
    const char *pki;          /* folder with ca.pem, NAME.pem and NAME-key.pem */
    const char *listen;       /* further address of host ports, or NULL */
    const Images *images;
    size_t log_size;               /* 0: CONTAINER_LOG_SIZE_DEFAULT */
    void (*ready)(void *userdata); /* once: it is registered, and knows its pods */
    void *userdata;
} KubeNodeOptions;

/* Ends what an earlier life left behind. SIGCHLD must be blocked. */
int kube_node_new(sd_event *event, const KubeNodeOptions *options, KubeNode **ret, InaError *error);
/* Ends all pods here, each with its grace period; then `stopped`. Once. The API keeps them. */
void kube_node_stop(KubeNode *node, void (*stopped)(void *userdata), void *userdata);
KubeNode *kube_node_free(KubeNode *node); /* kills what runs */
