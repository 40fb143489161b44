/* volume_owner.h - whose volumes are, where pods have users of their own.
 *
 * Group is what all containers of the pod share: its fsGroup, else its own. */
#pragma once

#include "identity.h"
#include "pod_spec.h"

typedef struct VolumeOwner {
    const PodSpec *pod;
    const char *data;  /* of the instance */
    Identity identity; /* of the pod itself */
    gid_t group;
    bool wide; /* it has an fsGroup: the group may what the owner may */
} VolumeOwner;

/* -EPERM: the pod asks for what cannot be. */
int volume_owner_init(VolumeOwner *owner, const PodSpec *pod, const char *data, uid_t own, InaError *error);
/* A folder that was made for the pod, empty. */
int volume_owner_folder(const VolumeOwner *owner, const char *path, InaError *error);
/* A folder of the node's, with all that is in it, for the pod to read. */
int volume_owner_files(const VolumeOwner *owner, const char *path, InaError *error);
/* The folder of a claim, and what other pods, or earlier versions, left in it. */
int volume_owner_claim(const VolumeOwner *owner, const char *path, InaError *error);
/* A folder of the machine. `made`: just now, for this. -EACCES: the pod cannot read it. `copy`: of a file that only
 * root may read, below the data folder: a copy is made there. Returns 1 if that is the volume. */
int volume_owner_host_path(const VolumeOwner *owner, const VolumeSpec *volume, const char *path, bool made,
                           const char *copy, InaError *error);
