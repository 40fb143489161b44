/* apply.h - brings the manifests of a folder into the cluster: at first start,
 * and when they changed since; never what the user has removed.
 *
 * A file holds one object or a v1 List, in JSON. The ConfigMap
 * kube-system/inaetics-deployment keeps for each object the digest of what was
 * applied. An object that is not there is created, unless it was applied
 * before (the user has deleted it); one whose manifest changed gets the new
 * manifest as a patch (strategic where Kubernetes knows the kind), without its
 * number of replicas, which is the coordinator's. */
#pragma once

#include "kube/client.h"

#define APPLY_OBJECTS_MAX 256u
#define APPLY_FILE_MAX (1024u * 1024u)

typedef struct Apply Apply;

/* Reads the files at once: -EINVAL names file and mistake. `done` once; error NULL: all is there. Requests that find
 * nobody are tried again for as long as it takes. */
int apply_new(sd_event *event, KubeClient *client, const char *folder,
              void (*done)(void *userdata, const InaError *error), void *userdata, Apply **ret, InaError *error);
/* Every object that was read, in the order in which they are applied. */
void apply_each(const Apply *apply, void (*each)(void *userdata, const json_t *object), void *userdata);
void apply_start(Apply *apply);
Apply *apply_free(Apply *apply);
