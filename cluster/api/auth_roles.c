/* auth_roles.c - what each role may. */
#include "auth.h"

#include "cluster/api/store.h"

#include <string.h>

typedef struct Question {
    const ApiUser *user;
    const char *verb, *group, *resource, *subresource, *namespace, *name;
    const json_t *object;
} Question;

static bool one_of(const char *text, const char *const *list)
{
    for (; *list; list++)
        if (strcmp(text, *list) == 0)
            return true;
    return false;
}

static bool is(const char *text, const char *other)
{
    return strcmp(text, other) == 0;
}

static bool reads(const Question *q)
{
    static const char *const verbs[] = {"get", "list", "watch", NULL};
    static const char *const acting[] = {"exec", "attach", "portforward", "proxy", NULL};

    return one_of(q->verb, verbs) && !one_of(q->subresource, acting);
}

static bool is_secret(const Question *q)
{
    return is(q->group, "") && is(q->resource, "secrets");
}

static bool coordinator_may(const Question *q)
{
    static const char *const core[] = {"replicationcontrollers", "pods", "services", "configmaps", "events",
                                       "persistentvolumeclaims", NULL};
    static const char *const acting[] = {"exec", "attach", "portforward", "proxy", "binding", NULL};

    if (reads(q))
        return !is_secret(q);
    if (q->user->namespace[0] != '\0' && !is(q->namespace, q->user->namespace))
        return false;
    if (is(q->group, ""))
        return one_of(q->resource, core) && !one_of(q->subresource, acting);
    return is(q->group, "apps") || is(q->group, "inaetics.org") ||
           (is(q->group, "coordination.k8s.io") && is(q->resource, "leases"));
}

/* What is asked about is the node's own, as far as it is known: without an object nothing speaks against it. */
static bool own_pod(const Question *q)
{
    return !q->object || is(kube_string(q->object, "spec.nodeName"), q->user->node);
}

static bool own_name(const Question *q)
{
    return is(q->name, q->user->node) ||
           (is(q->name, "") && is(q->verb, "create") && (!q->object || is(kube_name(q->object), q->user->node)));
}

static bool node_may(const Question *q)
{
    static const char *const changes[] = {"create", "update", "patch", NULL};
    bool changing = one_of(q->verb, changes);

    if (is_secret(q))
        return is(q->verb, "get");
    if (reads(q))
        return true;
    if (is(q->group, "coordination.k8s.io") && is(q->resource, "leases"))
        return is(q->namespace, "kube-node-lease") && own_name(q) && (changing || is(q->verb, "delete"));
    if (!is(q->group, ""))
        return false;
    if (is(q->resource, "nodes"))
        return own_name(q) && changing && (is(q->subresource, "") || is(q->subresource, "status"));
    if (is(q->resource, "pods") && is(q->subresource, "status"))
        return own_pod(q) && (is(q->verb, "update") || is(q->verb, "patch"));
    if (is(q->resource, "pods") && is(q->subresource, ""))
        return own_pod(q) && is(q->verb, "delete");
    if (is(q->resource, "events"))
        return changing;
    return is(q->resource, "serviceaccounts") && is(q->subresource, "token") && is(q->verb, "create");
}

bool auth_allows(const ApiUser *user, const char *verb, const char *group, const char *resource,
                 const char *subresource, const char *namespace, const char *name, const json_t *object)
{
    const Question q = {
        .user = user,
        .verb = verb,
        .group = group ? group : "",
        .resource = resource,
        .subresource = subresource ? subresource : "",
        .namespace = namespace ? namespace : "",
        .name = name ? name : "",
        .object = object,
    };

    switch (user->role) {
    case ROLE_ADMIN:
        return true;
    case ROLE_VIEWER:
        return reads(&q) && !is_secret(&q);
    case ROLE_COORDINATOR:
        return coordinator_may(&q);
    case ROLE_NODE:
        return node_may(&q);
    case ROLE_NONE:
        break;
    }
    return false;
}

/* --- what a node's pods use ---------------------------------------------------------------------------- */

typedef struct PodSearch {
    const char *node, *name; /* of the secret or account */
    bool found;
} PodSearch;

/* Whatever names a secret in a pod does so under one of these. */
static bool names_secret(const json_t *value, const char *secret)
{
    static const char *const holders[] = {"secretKeyRef", "secretRef", "secret"};
    const char *key;
    json_t *inner;
    size_t i;

    if (json_is_array(value)) {
        json_array_foreach(value, i, inner) if (names_secret(inner, secret)) return true;
        return false;
    }
    json_object_foreach((json_t *)value, key, inner)
    {
        for (i = 0; i < sizeof holders / sizeof holders[0]; i++)
            if (is(key, holders[i]) &&
                (is(kube_string(inner, "name"), secret) || is(kube_string(inner, "secretName"), secret)))
                return true;
        if (names_secret(inner, secret))
            return true;
    }
    return false;
}

static bool search_pod(void *userdata, const json_t *pod)
{
    PodSearch *search = userdata;

    search->found =
        is(kube_string(pod, "spec.nodeName"), search->node) && names_secret(kube_get(pod, "spec"), search->name);
    return !search->found;
}

bool auth_node_uses_secret(const Store *store, const ApiUser *user, const char *namespace, const char *name)
{
    PodSearch search = {.node = user->node, .name = name};

    store_each(store, "pods", namespace, search_pod, &search);
    return search.found;
}

static bool search_account(void *userdata, const json_t *pod)
{
    PodSearch *search = userdata;
    const char *account = kube_string(pod, "spec.serviceAccountName");

    search->found = is(kube_string(pod, "spec.nodeName"), search->node) && !kube_pod_ended(pod) &&
                    is(*account ? account : "default", search->name);
    return !search->found;
}

bool auth_node_uses_account(const Store *store, const ApiUser *user, const char *namespace, const char *name)
{
    PodSearch search = {.node = user->node, .name = name};

    store_each(store, "pods", namespace, search_account, &search);
    return search.found;
}
