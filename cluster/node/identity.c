#include "identity.h"

#include "cluster/users.h"
#include "kube/object.h"

#include <errno.h>
#include <unistd.h>

void identity_node(IdentityNode *ret, bool changes, bool confined)
{
    *ret = (IdentityNode){.uid = geteuid(), .gid = getegid(), .changes = changes, .confined = confined};
    int count = getgroups(IDENTITY_GROUPS_MAX, ret->groups);
    ret->n_groups = count > 0 ? (size_t)count : 0;
}

/* Of the container, else of the pod; -1: neither says. */
static int64_t number(const json_t *pod, const json_t *container, const char *name)
{
    return kube_integer(container, name, kube_integer(pod, name, -1));
}

static bool truth(const json_t *pod, const json_t *container, const char *name)
{
    const json_t *own = json_object_get(container, name);
    return json_is_boolean(own) ? json_is_true(own) : kube_boolean(pod, name);
}

static bool has_group(const IdentityNode *node, gid_t group)
{
    for (size_t i = 0; i < node->n_groups; i++)
        if (node->groups[i] == group)
            return true;
    return group == node->gid;
}

static int add_group(Identity *identity, int64_t group, InaError *error)
{
    if (group < 0)
        return 0;
    if (identity->n_groups == IDENTITY_GROUPS_MAX)
        return ina_error_set(error, EPERM, "more than %u groups", IDENTITY_GROUPS_MAX);
    identity->groups[identity->n_groups++] = (gid_t)group;
    return 0;
}

/* An ordinary user cannot be another. A group for volumes (fsGroup) is not needed: they are his. */
static int check_unchanged(const IdentityNode *node, const json_t *pod, const json_t *container, InaError *error)
{
    int64_t user = number(pod, container, "runAsUser"), group = number(pod, container, "runAsGroup");
    size_t i;
    const json_t *item;
    if (user >= 0 && user != (int64_t)node->uid)
        return ina_error_set(error, EPERM, "runAsUser: the node runs as user %u and cannot become user %jd",
                             (unsigned)node->uid, (intmax_t)user);
    if (group >= 0 && group != (int64_t)node->gid)
        return ina_error_set(error, EPERM, "runAsGroup: the node runs as group %u and cannot become group %jd",
                             (unsigned)node->gid, (intmax_t)group);
    json_array_foreach(json_object_get(pod, "supplementalGroups"), i, item)
    {
        if (!has_group(node, (gid_t)json_integer_value(item)))
            return ina_error_set(error, EPERM, "supplementalGroups: the user of the node is not in group %jd",
                                 (intmax_t)json_integer_value(item));
    }
    if (node->uid == 0 && truth(pod, container, "runAsNonRoot"))
        return ina_error_set(error, EPERM, "container has runAsNonRoot and image will run as root");
    if (node->uid == 0 && json_array_size(kube_get(container, "capabilities.drop")) > 0)
        return ina_error_set(error, EPERM, "capabilities.drop: pods run as root here and keep their capabilities");
    return 0;
}

static int choose(const json_t *pod, const json_t *container, uid_t own, Identity *identity, InaError *error)
{
    int64_t user = number(pod, container, "runAsUser"), group = number(pod, container, "runAsGroup");
    size_t i;
    const json_t *item;
    identity->uid = user >= 0 ? (uid_t)user : own;
    identity->gid = group >= 0 ? (gid_t)group : (gid_t)own;
    int r = add_group(identity, USERS_GROUP, error);
    if (r == 0)
        r = add_group(identity, own, error);
    if (r == 0)
        r = add_group(identity, kube_integer(pod, "fsGroup", -1), error);
    json_array_foreach(json_object_get(pod, "supplementalGroups"), i, item) if (r == 0) r =
        add_group(identity, json_integer_value(item), error);
    return r;
}

int identity_choose(const IdentityNode *node, const json_t *pod, const json_t *container, uid_t own, Identity *ret,
                    InaError *error)
{
    Identity identity = {.uid = node->uid, .gid = node->gid, .changes = node->changes};
    int r =
        node->changes ? choose(pod, container, own, &identity, error) : check_unchanged(node, pod, container, error);
    if (r < 0)
        return r;
    if (identity.uid == 0 && node->changes)
        return ina_error_set(error, EPERM, "runAsUser: it would be root of the machine");
    if (!node->confined && truth(NULL, container, "readOnlyRootFilesystem"))
        return ina_error_set(error, EPERM,
                             "readOnlyRootFilesystem: pods are not confined to their files here (no Landlock)");
    *ret = identity;
    return 0;
}
