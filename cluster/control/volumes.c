/* volumes.c - the controllers of claims and of volumes.
 *
 * A claim that pods still use is not removed before they are gone (finalizer
 * CLAIM_PROTECTION). The folder of a volume that is to be deleted is first
 * renamed, then removed by a worker: a later claim of the same name never sees
 * what was in it. A folder with something in it before it became a volume is
 * not ours to remove: its volume is retained. */
#include "volumes_plan.h"

#include "control_internal.h"

#include "base/cleanup.h"
#include "base/files.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COMPONENT "persistentvolume-controller"
#define FOLDER_MODE 0755
#define REMOVED ".removed-"
/* A claim that nothing suits; volumes and classes that come are heard of. */
#define LOOK_AGAIN (15 * CONTROL_S)

/* --- changes -------------------------------------------------------------------------------- */

static bool look_if_pending(void *userdata, const json_t *claim)
{
    if (strcmp(kube_string(claim, "status.phase"), "Bound") != 0)
        control_look(userdata, &claims_controller, kube_namespace(claim), kube_name(claim));
    return true;
}

/* Claims that wait for the end of their pods. */
static void pod_ended(Control *control, const json_t *pod)
{
    const json_t *volume;
    size_t i;

    json_array_foreach(kube_get(pod, "spec.volumes"), i, volume)
    {
        const char *claim = kube_string(volume, "persistentVolumeClaim.claimName");
        if (*claim)
            control_look(control, &claims_controller, kube_namespace(pod), claim);
    }
}

static void claims_event(Control *control, const StoreEvent *event)
{
    if (control_is(event, RESOURCE_CLAIMS) && event->change != STORE_DELETED) {
        control_look(control, &claims_controller, kube_namespace(event->object), kube_name(event->object));
    } else if (control_is(event, RESOURCE_VOLUMES)) {
        const json_t *to = kube_get(event->object, "spec.claimRef");
        if (to)
            control_look(control, &claims_controller, kube_string(to, "namespace"), kube_string(to, "name"));
        if (!to || event->change == STORE_DELETED)
            store_each(control->store, RESOURCE_CLAIMS, NULL, look_if_pending, control);
    } else if (control_is(event, RESOURCE_CLASSES)) {
        store_each(control->store, RESOURCE_CLAIMS, NULL, look_if_pending, control);
    } else if (control_is(event, RESOURCE_PODS) && (event->change == STORE_DELETED || kube_pod_ended(event->object))) {
        pod_ended(control, event->object);
    }
}

static void volumes_event(Control *control, const StoreEvent *event)
{
    if (control_is(event, RESOURCE_VOLUMES) && event->change != STORE_DELETED) {
        control_look(control, &volumes_controller, "", kube_name(event->object));
    } else if (control_is(event, RESOURCE_CLAIMS)) {
        const char *volume = kube_string(event->object, "spec.volumeName");
        if (*volume)
            control_look(control, &volumes_controller, "", volume);
    }
}

/* --- claims: protection ----------------------------------------------------------------------- */

static json_t *finalizers_of(json_t *object)
{
    return json_object_get(json_object_get(object, "metadata"), "finalizers");
}

static bool is_protected(const json_t *claim)
{
    const json_t *finalizer;
    size_t i;

    json_array_foreach(kube_get(claim, "metadata.finalizers"), i,
                       finalizer) if (json_is_string(finalizer) &&
                                      strcmp(json_string_value(finalizer), CLAIM_PROTECTION) == 0) return true;
    return false;
}

static bool is_used(Control *control, const json_t *claim)
{
    size_t count;
    IndexEntry *const *pods =
        index_group(control->index, &count, "claim/%s/%s", kube_namespace(claim), kube_name(claim));

    for (size_t i = 0; i < count; i++)
        if (!kube_pod_ended(pods[i]->object))
            return true;
    return false;
}

static void set_protection(Control *control, Work *work, const json_t *claim, bool wanted)
{
    json_t *copy = json_deep_copy(claim), *finalizers = finalizers_of(copy);

    if (wanted && !finalizers) {
        finalizers = json_array();
        kube_set(copy, "metadata.finalizers", finalizers);
    }
    if (wanted)
        json_array_append_new(finalizers, json_string(CLAIM_PROTECTION));
    for (size_t i = json_array_size(finalizers); !wanted && i-- > 0;)
        if (strcmp(json_string_value(json_array_get(finalizers, i)), CLAIM_PROTECTION) == 0)
            json_array_remove(finalizers, i);
    control_update(control, work, RESOURCE_CLAIMS, copy, NULL, NULL);
}

/* --- claims: which volume ----------------------------------------------------------------------- */

typedef struct Search {
    const json_t *claim, *best;
    const char *path; /* whether another volume has it */
    bool path_taken, path_leaving;
} Search;

static bool consider(void *userdata, const json_t *volume)
{
    Search *search = userdata;

    if (volumes_suits(volume, search->claim) && (!search->best || volumes_size(volume) < volumes_size(search->best)))
        search->best = volume;
    return true;
}

static bool compare_path(void *userdata, const json_t *volume)
{
    Search *search = userdata;

    if (strcmp(volumes_path(volume), search->path) == 0) {
        search->path_taken = true;
        search->path_leaving = strcmp(kube_string(volume, "spec.persistentVolumeReclaimPolicy"), "Delete") == 0;
    }
    return true;
}

/* context: the claim */
static void provisioned(Control *control, Work *work, const ApiAnswer *answer, json_t *context)
{
    (void)work;
    if (answer->status < 400)
        api_event(control->api, context, "Normal", "ProvisioningSucceeded", COMPONENT,
                  "Successfully provisioned volume %s", kube_name(answer->object));
    else if (answer->status != 409)
        api_event(control->api, context, "Warning", "ProvisioningFailed", COMPONENT, "%s",
                  kube_string(answer->object, "message"));
}

/* Something that the cluster did not put there: data of a version that had no claims, of a cluster whose etcd is lost,
 * or of the user. What cannot be listed counts as such. */
static bool has_content(const char *path)
{
    AUTO_FOLDER DIR *folder = opendir(path);
    const struct dirent *item;

    if (!folder)
        return errno != ENOENT;
    while ((item = readdir(folder)))
        if (strcmp(item->d_name, ".") != 0 && strcmp(item->d_name, "..") != 0)
            return true;
    return false;
}

static void provision(Control *control, Work *work, const json_t *claim, const json_t *class)
{
    char folder[2 * KUBE_NAME_MAX + 4];
    InaError error = {0};

    volumes_folder(claim, folder);
    AUTO_FREE char *path = path_join(control->options.volumes, folder);
    Search search = {.path = path};
    if (path)
        store_each(control->store, RESOURCE_VOLUMES, NULL, compare_path, &search);
    if (search.path_taken && search.path_leaving) { /* of an earlier claim of this name, whose data go first */
        control_look_later(control, work, 100 * CONTROL_MS);
        return;
    }
    if (search.path_taken) { /* retained */
        char fresh[sizeof folder + KUBE_UID_SIZE];
        snprintf(fresh, sizeof fresh, "%s@%.36s", folder, kube_uid(claim));
        free(path);
        path = path_join(control->options.volumes, fresh);
    }
    bool taken_over = path && has_content(path);
    if (!path || folder_make(path, FOLDER_MODE, &error) < 0) {
        api_event(control->api, claim, "Warning", "ProvisioningFailed", COMPONENT, "%s", error.message);
        work->failed = true;
        return;
    }
    json_t *volume = volumes_provision(claim, class, RESOURCE_PROVISIONER, path);
    if (volume && taken_over)
        kube_set(volume, "spec.persistentVolumeReclaimPolicy", json_string("Retain"));
    control_create(control, work, RESOURCE_VOLUMES, volume, provisioned, json_incref((json_t *)claim));
}

/* A volume made by hand is promised to the claim before the claim names it. */
static void promise(Control *control, Work *work, const json_t *claim, const json_t *volume)
{
    json_t *copy = json_deep_copy(volume);
    kube_set(copy, "spec.claimRef",
             json_pack("{s:s, s:s, s:s, s:s, s:s}", "kind", "PersistentVolumeClaim", "apiVersion", "v1", "namespace",
                       kube_namespace(claim), "name", kube_name(claim), "uid", kube_uid(claim)));
    control_update(control, work, RESOURCE_VOLUMES, copy, NULL, NULL);
}

static void bind_to(Control *control, Work *work, const json_t *claim, const json_t *volume)
{
    if (!*kube_string(volume, "spec.claimRef.uid")) {
        promise(control, work, claim, volume);
        return;
    }
    json_t *copy = volumes_bind_claim(claim, volume);
    if (copy) {
        control_update(control, work, RESOURCE_CLAIMS, copy, NULL, NULL);
        return;
    }
    copy = volumes_claim_status(claim, volume);
    if (copy)
        control_update_status(control, work, RESOURCE_CLAIMS, copy, NULL, NULL);
}

static bool find_default(void *userdata, const json_t *class)
{
    const char *is_default = kube_annotation(class, "storageclass.kubernetes.io/is-default-class");

    if (is_default && strcmp(is_default, "true") == 0)
        *(const json_t **)userdata = class;
    return true;
}

/* A claim that says nothing of a class was made while there was no default: it gets the one that has come since. */
static bool give_class(Control *control, Work *work, const json_t *claim)
{
    const json_t *class = NULL;

    if (json_object_get(json_object_get(claim, "spec"), "storageClassName"))
        return false;
    store_each(control->store, RESOURCE_CLASSES, NULL, find_default, &class);
    if (!class)
        return false;
    json_t *copy = json_deep_copy(claim);
    kube_set(copy, "spec.storageClassName", json_string(kube_name(class)));
    control_update(control, work, RESOURCE_CLAIMS, copy, NULL, NULL);
    return true;
}

static void find_volume(Control *control, Work *work, const json_t *claim)
{
    Search search = {.claim = claim};
    const char *name = kube_string(claim, "spec.storageClassName");
    const json_t *class = *name ? store_get(control->store, RESOURCE_CLASSES, "", name) : NULL;

    store_each(control->store, RESOURCE_VOLUMES, NULL, consider, &search);
    if (search.best) {
        bind_to(control, work, claim, search.best);
        return;
    }
    if (control->options.volumes && strcmp(kube_string(class, "provisioner"), RESOURCE_PROVISIONER) == 0) {
        provision(control, work, claim, class);
        return;
    }
    if (*name && !class)
        api_event(control->api, claim, "Warning", "ProvisioningFailed", COMPONENT,
                  "storageclass.storage.k8s.io \"%s\" not found", name);
    else
        api_event(control->api, claim, "Normal", "FailedBinding", COMPONENT,
                  "no persistent volumes available for this claim and no storage class is set");
    control_look_later(control, work, LOOK_AGAIN);
}

static void claims_look(Control *control, Work *work, const char *namespace, const char *name)
{
    const json_t *claim = store_get(control->store, RESOURCE_CLAIMS, namespace, name);

    if (!claim)
        return;
    if (kube_deleting(claim)) {
        if (is_protected(claim) && !is_used(control, claim))
            set_protection(control, work, claim, false);
        return;
    }
    if (!is_protected(claim)) {
        set_protection(control, work, claim, true);
        return;
    }
    const char *wanted = kube_string(claim, "spec.volumeName");
    const json_t *volume = *wanted ? store_get(control->store, RESOURCE_VOLUMES, "", wanted) : NULL;
    if (!*wanted) {
        if (!give_class(control, work, claim))
            find_volume(control, work, claim);
    } else if (volume && (!kube_get(volume, "spec.claimRef") || volumes_promised(volume, claim))) {
        bind_to(control, work, claim, volume);
    } else if (strcmp(kube_string(claim, "status.phase"), "Bound") == 0) {
        json_t *copy = json_deep_copy(claim);
        kube_set(copy, "status.phase", json_string("Lost"));
        api_event(control->api, claim, "Warning", "ClaimLost", COMPONENT,
                  "Bound claim has lost its PersistentVolume. Data on the volume is lost!");
        control_update_status(control, work, RESOURCE_CLAIMS, copy, NULL, NULL);
    }
}

/* --- volumes: the end of their folders ---------------------------------------------------------- */

static void remove_folder(void *userdata)
{
    folder_remove(userdata, NULL);
}

static void folder_removed(void *userdata, bool cancelled)
{
    (void)cancelled;
    free(userdata);
}

static void remove_later(Control *control, char *path)
{
    if (!path || worker_submit(control->workers, remove_folder, folder_removed, path, NULL, NULL) < 0)
        free(path); /* the next start finds it */
}

/* Only what lies right in the folder of all volumes: a volume can be written by hand. */
static bool is_ours(const Control *control, const char *path)
{
    size_t length = control->options.volumes ? strlen(control->options.volumes) : 0;

    return length > 0 && strncmp(path, control->options.volumes, length) == 0 && path[length] == '/' &&
           path[length + 1] != '.' && path[length + 1] != '\0' && !strchr(path + length + 1, '/');
}

static void reclaim(Control *control, Work *work, const json_t *volume)
{
    const char *path = volumes_path(volume);
    char name[sizeof REMOVED + KUBE_UID_SIZE];

    if (is_ours(control, path)) {
        snprintf(name, sizeof name, REMOVED "%.36s", kube_uid(volume));
        AUTO_FREE char *aside = path_join(control->options.volumes, name);
        if (aside && rename(path, aside) == 0) {
            remove_later(control, TAKE_PTR(aside));
        } else if (!aside || errno != ENOENT) {
            api_event(control->api, volume, "Warning", "VolumeFailedDelete", COMPONENT, "cannot remove %s: %s", path,
                      strerror(errno));
            work->failed = true;
            return;
        }
    }
    control_delete(control, work, RESOURCE_VOLUMES, volume, -1, NULL, NULL);
}

void volumes_clean_up(Control *control)
{
    AUTO_FOLDER DIR *folder = control->options.volumes ? opendir(control->options.volumes) : NULL;
    struct dirent *item;

    while (folder && (item = readdir(folder)))
        if (strncmp(item->d_name, REMOVED, sizeof REMOVED - 1) == 0)
            remove_later(control, path_join(control->options.volumes, item->d_name));
}

static void volumes_look(Control *control, Work *work, const char *namespace, const char *name)
{
    const json_t *volume = store_get(control->store, RESOURCE_VOLUMES, "", name);
    (void)namespace;

    if (!volume || kube_deleting(volume))
        return;
    const json_t *claim = store_get(control->store, RESOURCE_CLAIMS, kube_string(volume, "spec.claimRef.namespace"),
                                    kube_string(volume, "spec.claimRef.name"));
    const char *phase = volumes_phase(volume, claim), *made = kube_annotation(volume, VOLUME_PROVISIONED_BY);

    if (strcmp(kube_string(volume, "status.phase"), phase) != 0) {
        json_t *copy = json_deep_copy(volume);
        kube_set(copy, "status.phase", json_string(phase));
        control_update_status(control, work, RESOURCE_VOLUMES, copy, NULL, NULL);
    } else if (strcmp(phase, "Released") == 0 && made && strcmp(made, RESOURCE_PROVISIONER) == 0 &&
               strcmp(kube_string(volume, "spec.persistentVolumeReclaimPolicy"), "Delete") == 0) {
        reclaim(control, work, volume);
    }
}

const Controller claims_controller = {.name = "claim", .event = claims_event, .look = claims_look};
const Controller volumes_controller = {.name = "volume", .event = volumes_event, .look = volumes_look};
