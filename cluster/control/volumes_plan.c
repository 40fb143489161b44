/* volumes_plan.c - see volumes_plan.h. */
#include "volumes_plan.h"

#include "kube/quantity.h"

#include <stdio.h>
#include <string.h>

void volumes_folder(const json_t *claim, char ret[2 * KUBE_NAME_MAX + 4])
{
    const char *namespace = kube_namespace(claim), *name = kube_name(claim);

    if (strcmp(namespace, "default") == 0 && !strchr(name, '.'))
        snprintf(ret, 2 * KUBE_NAME_MAX + 4, "%s", name);
    else
        snprintf(ret, 2 * KUBE_NAME_MAX + 4, "%s.%s", namespace, name);
}

const char *volumes_path(const json_t *volume)
{
    const char *path = kube_string(volume, "spec.hostPath.path");
    return *path ? path : kube_string(volume, "spec.local.path");
}

static json_t *reference(const json_t *claim)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s}", "kind", "PersistentVolumeClaim", "apiVersion", "v1", "namespace",
                     kube_namespace(claim), "name", kube_name(claim), "uid", kube_uid(claim));
}

json_t *volumes_provision(const json_t *claim, const json_t *class, const char *provisioner, const char *path)
{
    char name[KUBE_UID_SIZE + 8];
    const char *storage = kube_string(claim, "spec.resources.requests.storage");
    const char *policy = kube_string(class, "reclaimPolicy"), *mode = kube_string(claim, "spec.volumeMode");

    snprintf(name, sizeof name, "pvc-%.36s", kube_uid(claim));
    json_t *volume = json_pack("{s:s, s:s, s:{s:s, s:{s:s}}, s:{s:{s:s}, s:s, s:s, s:s, s:{s:s, s:s}, s:o}}",
                               "apiVersion", "v1", "kind", "PersistentVolume", "metadata", "name", name, "annotations",
                               VOLUME_PROVISIONED_BY, provisioner, "spec", "capacity", "storage",
                               *storage ? storage : "1Gi", "persistentVolumeReclaimPolicy", *policy ? policy : "Delete",
                               "storageClassName", kube_name(class), "volumeMode", *mode ? mode : "Filesystem",
                               "hostPath", "path", path, "type", "DirectoryOrCreate", "claimRef", reference(claim));
    const json_t *modes = kube_get(claim, "spec.accessModes");
    if (volume)
        kube_set(volume, "spec.accessModes", modes ? json_deep_copy(modes) : json_pack("[s]", "ReadWriteOnce"));
    return volume;
}

/* --- which volume ----------------------------------------------------------------------------- */

bool volumes_promised(const json_t *volume, const json_t *claim)
{
    const json_t *to = kube_get(volume, "spec.claimRef");
    const char *uid = kube_string(to, "uid");

    return to && strcmp(kube_string(to, "namespace"), kube_namespace(claim)) == 0 &&
           strcmp(kube_string(to, "name"), kube_name(claim)) == 0 && (!*uid || strcmp(uid, kube_uid(claim)) == 0);
}

static int64_t size_of(const json_t *object, const char *path)
{
    int64_t size;
    return quantity_parse_milli(kube_string(object, path), &size, NULL) == 0 ? size : 0;
}

int64_t volumes_size(const json_t *volume)
{
    return size_of(volume, "spec.capacity.storage");
}

static bool has_modes(const json_t *volume, const json_t *claim)
{
    const json_t *wanted, *offered;
    size_t i, k;

    json_array_foreach(kube_get(claim, "spec.accessModes"), i, wanted)
    {
        bool found = false;
        json_array_foreach(kube_get(volume, "spec.accessModes"), k, offered) found |= json_equal(wanted, offered);
        if (!found)
            return false;
    }
    return true;
}

bool volumes_suits(const json_t *volume, const json_t *claim)
{
    if (kube_deleting(volume) || (kube_get(volume, "spec.claimRef") && !volumes_promised(volume, claim)))
        return false;
    return strcmp(kube_string(volume, "spec.storageClassName"), kube_string(claim, "spec.storageClassName")) == 0 &&
           has_modes(volume, claim) && volumes_size(volume) >= size_of(claim, "spec.resources.requests.storage");
}

/* --- binding ---------------------------------------------------------------------------------- */

static bool annotate(json_t *object, const char *name)
{
    json_t *annotations = json_object_get(json_object_get(object, "metadata"), "annotations");
    if (json_object_get(annotations, name))
        return false;
    if (!annotations) {
        annotations = json_object();
        kube_set(object, "metadata.annotations", annotations);
    }
    json_object_set_new(annotations, name, json_string("yes"));
    return true;
}

json_t *volumes_bind_claim(const json_t *claim, const json_t *volume)
{
    json_t *copy = json_deep_copy(claim);
    bool changed = annotate(copy, "pv.kubernetes.io/bind-completed");

    if (strcmp(kube_string(claim, "spec.volumeName"), kube_name(volume)) != 0) {
        kube_set(copy, "spec.volumeName", json_string(kube_name(volume)));
        annotate(copy, "pv.kubernetes.io/bound-by-controller");
        changed = true;
    }
    if (changed)
        return copy;
    json_decref(copy);
    return NULL;
}

json_t *volumes_claim_status(const json_t *claim, const json_t *volume)
{
    const json_t *modes = kube_get(volume, "spec.accessModes"), *capacity = kube_get(volume, "spec.capacity");
    json_t *copy = json_deep_copy(claim);

    kube_set(copy, "status.phase", json_string("Bound"));
    if (modes)
        kube_set(copy, "status.accessModes", json_deep_copy(modes));
    if (capacity)
        kube_set(copy, "status.capacity", json_deep_copy(capacity));
    if (!json_equal(json_object_get(copy, "status"), json_object_get(claim, "status")))
        return copy;
    json_decref(copy);
    return NULL;
}

const char *volumes_phase(const json_t *volume, const json_t *claim)
{
    const json_t *to = kube_get(volume, "spec.claimRef");

    if (!to || !*kube_string(to, "uid"))
        return "Available";
    return claim && volumes_promised(volume, claim) ? "Bound" : "Released";
}
