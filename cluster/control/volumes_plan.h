/* volumes_plan.h - claims and volumes: pure functions.
 *
 * A claim of a storage class of local folders gets a volume of its own
 * ("pvc-UID"), a folder; any other claim gets the smallest volume that is free,
 * large enough, of its class and access modes. */
#pragma once

#include "kube/object.h"

#define CLAIM_PROTECTION "kubernetes.io/pvc-protection"
#define VOLUME_PROVISIONED_BY "pv.kubernetes.io/provisioned-by"

/* The folder of a claim's volume, below the folder of all: "CLAIM" of the default namespace, "NAMESPACE.CLAIM" of
 * others. A claim with dots in its name always has its namespace before it, or it could be taken for another one. */
void volumes_folder(const json_t *claim, char ret[2 * KUBE_NAME_MAX + 4]);

/* The volume for a claim; path: its folder. NULL: out of memory. */
json_t *volumes_provision(const json_t *claim, const json_t *class, const char *provisioner, const char *path);
const char *volumes_path(const json_t *volume); /* "": it is no folder */

/* Whether the volume is promised to this claim (by its uid, or by name alone before it was bound). */
bool volumes_promised(const json_t *volume, const json_t *claim);
/* Whether the volume could serve the claim: free or promised to it, large enough. */
bool volumes_suits(const json_t *volume, const json_t *claim);
int64_t volumes_size(const json_t *volume); /* in thousandths of bytes */

/* What the claim should be when it is bound to the volume; NULL: it is so already. First the object, then its
 * status. */
json_t *volumes_bind_claim(const json_t *claim, const json_t *volume);
json_t *volumes_claim_status(const json_t *claim, const json_t *volume);
/* "Available", "Bound", "Released"; claim: that of its claimRef, NULL: not there. */
const char *volumes_phase(const json_t *volume, const json_t *claim);
