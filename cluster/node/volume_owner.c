#include "volume_owner.h"

#include "attachment.h"
#include "base/cleanup.h"
#include "base/files.h"
#include "cluster/users.h"
#include "kube/object.h"
#include "volume_files.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define COPY_MAX (1024u * 1024u)

int volume_owner_init(VolumeOwner *owner, const PodSpec *pod, const char *data, uid_t own, InaError *error)
{
    IdentityNode node;
    const json_t *context = kube_get(pod->manifest, "spec.securityContext");
    int64_t group = kube_integer(context, "fsGroup", -1);
    *owner = (VolumeOwner){.pod = pod, .data = data, .group = group > 0 ? (gid_t)group : (gid_t)own, .wide = group > 0};
    identity_node(&node, true, true);
    /* The user of the first container that says so: volumes belong to somebody, and mostly there is but one. */
    const json_t *container = pod->n_containers > 0 ? pod->containers[0].security : NULL;
    return identity_choose(&node, context, container, own, &owner->identity, error);
}

int volume_owner_folder(const VolumeOwner *owner, const char *path, InaError *error)
{
    return users_set(path, owner->identity.uid, owner->group, 02770, error);
}

int volume_owner_files(const VolumeOwner *owner, const char *path, InaError *error)
{
    int r = users_give(path, 0, owner->group, NULL, USERS_GROUP_READS, error);
    return r < 0 ? r : users_set(path, 0, owner->group, 0750, error);
}

static int is_entry(const struct dirent *entry)
{
    return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
           strncmp(entry->d_name, ATTACHMENT_FILES, strlen(ATTACHMENT_FILES)) != 0;
}

/* Whether what is in the folder was made for pods: it is one of the instance's, or was a pod's before, or nothing is in
 * it. What else a volume leads to stays whose it is: it might be anything. */
static bool is_for_pods(const VolumeOwner *owner, const char *path)
{
    AUTO_FREE char *volumes = path_join(owner->data, "volumes"), *real = realpath(path, NULL);
    AUTO_FREE char *ours = volumes ? realpath(volumes, NULL) : NULL;
    struct stat status;
    size_t length = ours ? strlen(ours) : 0;
    if (!real || stat(real, &status) < 0)
        return false;
    if ((length > 0 && strncmp(real, ours, length) == 0 && real[length] == '/') || users_has(status.st_gid))
        return true;
    struct dirent **entries = NULL;
    int count = scandir(real, &entries, is_entry, NULL);
    for (int i = 0; i < count; i++)
        free(entries[i]);
    free(entries);
    return count == 0;
}

/* The folder itself stays root's, and nobody may remove what is not his own in it: the record of who has the volume.
 * Closed to all while what is in it changes hands. */
static int give_claim(const VolumeOwner *owner, const char *path, InaError *error)
{
    int r = users_set(path, 0, 0, 0700, error);
    if (r == 0)
        r = users_give(path, owner->identity.uid, owner->group, ATTACHMENT_FILES,
                       owner->wide ? USERS_GROUP_WRITES : USERS_GROUP_AS_IT_IS, error);
    return r < 0 ? r : users_set(path, 0, owner->group, 03770, error);
}

int volume_owner_claim(const VolumeOwner *owner, const char *path, InaError *error)
{
    const Identity *identity = &owner->identity;
    int r = is_for_pods(owner, path) ? give_claim(owner, path, error) : 0;
    if (r < 0)
        return r;
    if (users_may_read(path, identity->uid, identity->gid, identity->groups, identity->n_groups))
        return 0;
    return ina_error_set(error, EACCES,
                         "%.400s cannot be read by user %u of the pod: give the pod a user or group (runAsUser, "
                         "supplementalGroups) that may",
                         path, (unsigned)identity->uid);
}

/* A folder of the instance that manifests made for whoever mounts it, and nothing of its own. */
static bool is_common(const VolumeSpec *volume)
{
    static const char *const own[] = {"bundles", "etcd", "logs", "nodes", "pki", "."};
    const char *path = volume->path;
    size_t length = strcspn(path, "/");
    if (!volume->create || path[0] == '/' || strstr(path, "..") || (strcmp(path, "volumes") == 0))
        return false;
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (strlen(own[i]) == length && strncmp(path, own[i], length) == 0)
            return false;
    return true;
}

static int copy_file(const VolumeOwner *owner, const char *path, const char *copy, InaError *error)
{
    AUTO_FREE char *data = NULL;
    size_t size;
    int r = file_read(path, COPY_MAX, &data, &size, error);
    if (r == 0)
        r = volume_write_file(copy, data, size, 0600, error);
    return r < 0 ? r : users_set(copy, 0, owner->group, 0640, error);
}

int volume_owner_host_path(const VolumeOwner *owner, const VolumeSpec *volume, const char *path, bool made,
                           const char *copy, InaError *error)
{
    const Identity *identity = &owner->identity;
    struct stat status;
    if (stat(path, &status) < 0)
        return 0; /* of any type: it need not be there */
    bool closed = status.st_uid == 0 && S_ISDIR(status.st_mode) && (status.st_mode & 07777) == 0700;
    int r = is_common(volume) && (made || closed) ? users_set(path, 0, USERS_GROUP, 02770, error)
            : made                                ? volume_owner_folder(owner, path, error)
                                                  : 0;
    if (r < 0 || users_may_read(path, identity->uid, identity->gid, identity->groups, identity->n_groups))
        return r;
    if (volume->is_file && volume->path[0] != '/' && S_ISREG(status.st_mode)) {
        r = copy_file(owner, path, copy, error);
        return r < 0 ? r : 1;
    }
    return ina_error_set(error, EACCES,
                         "hostPath %.400s cannot be read by user %u of the pod: let others read it, or give the pod "
                         "a user or group (runAsUser, supplementalGroups) that may",
                         path, (unsigned)identity->uid);
}
