/* identity.h - as whom the process of a container runs: what its security
 * context says, as far as the node can do it.
 *
 * A node that may become anybody gives each pod a user and a group of its own
 * (`own`), unless the pod names others; one that is an ordinary user runs all
 * as that user, and refuses what says otherwise. Who asks for root (0) was
 * refused by the API. */
#pragma once

#include <inaetics/error.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define IDENTITY_GROUPS_MAX 32u

/* What the node is. */
typedef struct IdentityNode {
    uid_t uid;
    gid_t gid;
    gid_t groups[IDENTITY_GROUPS_MAX];
    size_t n_groups;
    bool changes;  /* it can become anybody */
    bool confined; /* pods can write only what is theirs (confine.h) */
} IdentityNode;

typedef struct Identity {
    uid_t uid;
    gid_t gid;
    gid_t groups[IDENTITY_GROUPS_MAX]; /* further ones; only where it changes */
    size_t n_groups;
    bool changes; /* to another than the node is */
} Identity;

/* What this process is; changes and confined as given. */
void identity_node(IdentityNode *ret, bool changes, bool confined);
/* `pod`: spec.securityContext, `container`: its own, which wins; either may be NULL. `own`: uid and gid of a pod that
 * names none. -EPERM: it cannot be so, told in Kubernetes' words where it has some. */
int identity_choose(const IdentityNode *node, const json_t *pod, const json_t *container, uid_t own, Identity *ret,
                    InaError *error);
