/* node_life.h - which nodes have fallen silent: a pure function of when their
 * leases were seen to change.
 *
 * Silence is measured on our own clock from the moment a lease's change was
 * seen, never from the time that the lease says. It counts only while our own
 * reading works: a stall of etcd or of this process gives every node a full
 * grace period, and so does our start.
 *
 * When more than half of the nodes fall silent together, the cause is rather
 * something between them and us: they are held (not replaced) until one of them
 * returns; the others then have another full grace period, and after it each
 * is judged by itself. "Together" is: silent for more than half of the limit,
 * since leases are renewed at different moments. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum NodeVerdict {
    NODE_GRACE,  /* not heard of yet since our start or its appearance */
    NODE_ALIVE,  /* its lease changes */
    NODE_HELD,   /* silent together with more than half */
    NODE_SILENT, /* to be replaced */
} NodeVerdict;

typedef struct NodeLife NodeLife;

/* silence: ns without a change until a node counts as silent. NULL: out of memory. */
NodeLife *node_life_new(uint64_t silence, uint64_t now);
/* Known from now on. given_up: it was before our start; such a one is silent until it is heard. -ENOMEM. */
int node_life_add(NodeLife *life, const char *node, bool given_up, uint64_t now);
void node_life_remove(NodeLife *life, const char *node);
void node_life_renewed(NodeLife *life, const char *node, uint64_t now); /* its lease changed */
/* Judges all. healthy_since: since when our reading works; 0: it does not. `changed` is told of each node whose verdict
 * differs from what was told before. Returns when to call again. */
uint64_t node_life_step(NodeLife *life, uint64_t healthy_since, uint64_t now,
                        void (*changed)(void *userdata, const char *node, NodeVerdict verdict), void *userdata);
NodeVerdict node_life_verdict(const NodeLife *life, const char *node); /* GRACE for an unknown one */
NodeLife *node_life_free(NodeLife *life);
