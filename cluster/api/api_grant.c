/* api_grant.c - nobody gets by a pod what he may not have himself: the rights
 * of a service account, or a secret.
 *
 * Controllers make pods from templates as the control plane, so the templates
 * are looked at when a user writes them. What an update leaves as it was is not
 * looked at again: scaling what an admin made gives nobody anything. */
#include "api_internal.h"

#include <string.h>

#define PATH_SIZE 256u

typedef struct SecretUse {
    char path[PATH_SIZE];
    const char *name; /* NULL: none was found */
} SecretUse;

static const json_t *pod_spec(const Resource *resource, const json_t *object)
{
    return kube_get(object, strcmp(resource->key, "pods") == 0 ? "spec" : "spec.template.spec");
}

static bool makes_pods(const Resource *resource)
{
    static const char *const keys[] = {"pods", "replicationcontrollers", "apps/deployments", "apps/replicasets",
                                       "apps/statefulsets"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (strcmp(resource->key, keys[i]) == 0)
            return true;
    return false;
}

/* --- secrets ----------------------------------------------------------------------------------------------- */

static const char *secret_name(const char *key, const json_t *value)
{
    static const char *const holders[] = {"secretKeyRef", "secretRef", "secret"};
    for (size_t i = 0; i < sizeof holders / sizeof *holders; i++) {
        if (strcmp(key, holders[i]) != 0)
            continue;
        const char *name = kube_string(value, "secretName");
        if (!*name)
            name = kube_string(value, "name");
        return *name ? name : NULL;
    }
    return NULL;
}

/* The first secret that is named below `value`, and where. */
static void find_secret(const json_t *value, SecretUse *ret)
{
    size_t length = strlen(ret->path), i;
    const char *key;
    json_t *inner;
    if (json_is_array(value))
        json_array_foreach(value, i, inner)
        {
            snprintf(ret->path + length, PATH_SIZE - length, "[%zu]", i);
            find_secret(inner, ret);
            if (ret->name)
                return;
        }
    json_object_foreach((json_t *)value, key, inner)
    {
        snprintf(ret->path + length, PATH_SIZE - length, ".%s", key);
        ret->name = secret_name(key, inner);
        if (!ret->name)
            find_secret(inner, ret);
        if (ret->name)
            return;
    }
    ret->path[length] = '\0';
}

static char *why_no_secrets(const ApiCall *call, const json_t *spec)
{
    SecretUse use = {.path = "spec"};
    char *why = NULL;
    if (strcmp(call->resource->key, "pods") != 0)
        snprintf(use.path, sizeof use.path, "spec.template.spec");
    find_secret(spec, &use);
    if (use.name && asprintf(&why, "%s: Forbidden: user \"%s\" cannot read the secret \"%s\"", use.path,
                             call->user.name, use.name) < 0)
        return NULL;
    return why;
}

/* --- accounts ---------------------------------------------------------------------------------------------- */

static char *why_not_account(const ApiCall *call, const json_t *spec)
{
    static const char *const roles[] = {[ROLE_NONE] = "none",
                                        [ROLE_VIEWER] = "viewer",
                                        [ROLE_COORDINATOR] = "coordinator",
                                        [ROLE_NODE] = "node",
                                        [ROLE_ADMIN] = "admin"};
    const char *name = kube_string(spec, "serviceAccountName");
    char *why = NULL;
    if (!*name)
        name = kube_string(spec, "serviceAccount");
    if (!*name)
        name = "default";
    const json_t *account = store_get(call->api->store, "serviceaccounts", call->namespace, name);
    if (!account && strcmp(name, "default") == 0)
        return NULL;
    ApiRole role = account ? auth_account_role(account) : ROLE_NONE;
    if (!account) {
        if (asprintf(&why,
                     "service account %s/%s is not there, and what rights it will have is not known: make it first",
                     call->namespace, name) < 0)
            return NULL;
    } else if (role > call->user.role &&
               asprintf(&why, "service account %s/%s has the role %s, user \"%s\" has only %s", call->namespace, name,
                        roles[role], call->user.name, roles[call->user.role]) < 0) {
        return NULL;
    }
    return why;
}

json_t *api_check_grants(const ApiCall *call, const json_t *object, const json_t *current)
{
    if (!call->outside || call->user.role == ROLE_ADMIN || !makes_pods(call->resource))
        return NULL;
    const json_t *spec = pod_spec(call->resource, object), *old = current ? pod_spec(call->resource, current) : NULL;
    if (old && spec && json_equal(spec, old))
        return NULL;
    AUTO_FREE char *account = why_not_account(call, spec), *secrets = account ? NULL : why_no_secrets(call, spec);
    if (!account && !secrets)
        return NULL;
    return kube_status_forbidden(call->resource->group, call->resource->plural, kube_name(object),
                                 account ? account : secrets);
}
