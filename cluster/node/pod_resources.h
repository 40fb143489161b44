/* pod_resources.h - what a pod refers to, fetched from the API before it
 * starts: config maps, secrets, claims with their volumes, and the token of its
 * service account; and the folders that are made of them.
 *
 * In the folder of the pod: volumes/NAME, service-account/. What a volume needs
 * is waited for, as long as it takes; what only the environment needs is
 * fetched again from time to time until it is there. Config maps and secrets
 * that may change are asked for again every POD_RESOURCE_REFRESH, and the
 * pod's own labels and annotations may change: files of volumes are switched
 * then, all at once; variables of objects are read at each start. */
#pragma once

#include "kube/client.h"
#include "pod_spec.h"

#define POD_RESOURCES_MAX 256u
#define POD_RESOURCE_PAUSE_MINIMUM UINT64_C(200000) /* us */
#define POD_RESOURCE_PAUSE_MAXIMUM UINT64_C(4000000)
#define POD_RESOURCE_REFRESH UINT64_C(5000000) /* us; config maps and secrets are asked for again */

typedef struct PodResources PodResources;

typedef struct PodResourcesOptions {
    KubeClient *client;
    sd_event *event;
    const PodSpec *pod; /* must live as long */
    const char *folder; /* of the pod; must live as long */
    const char *node, *address, *host_address;
    const char *ca_file;           /* for the service account; NULL: none */
    const char *data;              /* relative host paths are below it */
    bool users;                    /* pods have users of their own (cluster/users.h); then */
    uid_t own;                     /* ... user and group of this one, if it names none */
    void (*ready)(void *userdata); /* once; volumes are made, claims attached */
    /* Each attempt that failed: "FailedMount" and the like. */
    void (*problem)(void *userdata, const char *reason, const char *message);
    void *userdata;
} PodResourcesOptions;

int pod_resources_new(const PodResourcesOptions *options, PodResources **ret, InaError *error);
/* kind: "configmaps" or "secrets". NULL: not there. */
const json_t *pod_resources_find(const PodResources *resources, const char *kind, const char *name);
/* A secret's or a config map's value; malloc'ed with a NUL behind it. NULL: no such key. */
char *pod_resource_value(const json_t *object, const char *key, size_t *ret_size);
/* The folder of a volume, and its epoch (claims; else 0). NULL: not (yet) there. Lives as long as the resources. */
const char *pod_resources_volume(const PodResources *resources, const char *volume, uint64_t *ret_epoch);
/* The folder with token, ca.crt and namespace; NULL: none. */
const char *pod_resources_account(const PodResources *resources);
/* The pod's object as it was last told. */
const json_t *pod_resources_pod(const PodResources *resources);
/* A claim was given to another while this pod is still wanted (the API says so): take it again. */
void pod_resources_attach_again(PodResources *resources);
/* metadata and status as fieldRef names them; malloc'ed. -EINVAL: unknown. */
int pod_field(const json_t *pod, const char *path, const char *node, const char *address, const char *host_address,
              char **ret, InaError *error);
/* The pod's object as the API has it now: files of the downward API follow its labels and annotations. */
void pod_resources_update(PodResources *resources, const json_t *pod);
PodResources *pod_resources_free(PodResources *resources);
