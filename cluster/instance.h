/* instance.h - one instance of the cluster on this machine: its number, its
 * addresses, its data folder, and where its programs are.
 *
 * Instance N (0 is the one without a name) has the second octets 17+20N for
 * the controller and nodes, 1+20N for pods, 3+20N for services, and 8080+N for
 * the browser, so that several run beside each other. */
#pragma once

#include <inaetics/error.h>
#include <stdbool.h>
#include <stddef.h>

#define INSTANCE_NUMBER_MAX 9
#define INSTANCE_ETCD_PORT 2379
#define INSTANCE_PEER_PORT 2380
#define INSTANCE_API_PORT 10260
#define INSTANCE_NODES 5
#define INSTANCE_PODS_MAX 253 /* addresses 2 to 254 */

typedef struct Instance {
    unsigned number;
    char *home;          /* what --data says: data of instance 0, above that of others */
    char *data;          /* folder, absolute */
    char name[4];        /* the number as text */
    char controller[16]; /* 127.17.8.20 */
    char node[16];       /* 127.17.8.31 */
    char pods[16];       /* 127.1.1. : an address without its last number */
    char pod_range[16];  /* 127.1. : node n has 127.1.n.0/24 */
    char services[16];   /* 127.3. */
    char etcd_url[40];   /* https://127.17.8.20:2379 */
    char api_url[40];    /* https://127.17.8.20:10260 */
} Instance;

/* number: "0" to "9" or NULL. data: NULL for $INAETICS_DATA, else
 * $XDG_DATA_HOME/inaetics, else ~/.local/share/inaetics, but for root /var/lib/inaetics unless the former is there.
 * Makes nothing. */
int instance_new(const char *number, const char *data, Instance **ret, InaError *error);
/* A path below the data folder; malloc'ed, NULL: out of memory. */
char *instance_path(const Instance *instance, const char *name);
/* Address of node n (1 to INSTANCE_NODES), 127.17.8.30+n; and the beginning of its pods' addresses, 127.1.n. */
void instance_node_address(const Instance *instance, unsigned node, char ret[16]);
void instance_node_pods(const Instance *instance, unsigned node, char ret[16]);
/* A port as this instance has it: what a manifest says, plus the number. */
unsigned instance_port(const Instance *instance, unsigned port);
/* What marks the processes of the instance in their environment, so that a
 * later life finds what an earlier one left: "INAETICS_POD_OF=FOLDER" the pods,
 * "INAETICS_PART_OF=FOLDER" etcd and the node. malloc'ed, NULL: out of memory. */
#define INSTANCE_MARK_POD "INAETICS_POD_OF"
#define INSTANCE_MARK_PART "INAETICS_PART_OF"
/* Each process of a node and of its pods, so that all that a node is can be
 * ended or stopped at once: "INAETICS_NODE_OF=FOLDER/node-1". */
#define INSTANCE_MARK_NODE "INAETICS_NODE_OF"
char *instance_mark(const Instance *instance, const char *mark);
Instance *instance_free(Instance *instance);

/* A program of ours ("inaetics-node"): beside this one, in its folder of the
 * build, or in $PATH. malloc'ed. */
int program_find(const char *name, char **ret, InaError *error);
/* Calls `each` with the folders of programs of ours, but for $PATH, until it returns not 0; returns that. */
int program_folders(int (*each)(void *userdata, const char *folder), void *userdata);
