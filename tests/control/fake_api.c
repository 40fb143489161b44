#include "fake_api.h"

#include "base/cleanup.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PENDING_MAX 4096

typedef struct Stored {
    char *resource;
    json_t *object;
} Stored;

typedef struct Pending {
    /* a write */
    ApiVerb verb;
    char *resource, *namespace, *name, *uid, *subresource;
    json_t *object;
    int64_t grace;
    char *propagation;
    /* its answer */
    bool applied;
    int status;
    json_t *answer;
    ApiDone done;
    void *userdata;
} Pending;

struct Store {
    Stored *objects;
    size_t n_objects, capacity;
    int64_t revision;
    bool connected;
    uint64_t healthy_since;
    StoreEvent *events; /* not told yet; resource points to a copy */
    size_t n_events, events_capacity;
    void (*watch)(void *userdata, const StoreEvent *event);
    void *watcher;
};

struct Api {
    sd_event *event;
    struct Store store;
    Pending *pending[PENDING_MAX];
    size_t n_pending;
    unsigned failures;
    json_t *reasons;
};

Api *fake_api_new(sd_event *event, unsigned failures)
{
    Api *api = calloc(1, sizeof *api);
    api->event = event;
    api->failures = failures;
    api->store.connected = true;
    api->store.healthy_since = 1;
    api->reasons = json_object();
    return api;
}

void fake_api_failures(Api *api, unsigned failures)
{
    api->failures = failures;
}

void fake_api_connected(Api *api, bool connected, uint64_t healthy_since)
{
    api->store.connected = connected;
    api->store.healthy_since = healthy_since;
}

static void pending_free(Pending *pending)
{
    free(pending->resource);
    free(pending->namespace);
    free(pending->name);
    free(pending->uid);
    free(pending->subresource);
    free(pending->propagation);
    json_decref(pending->object);
    json_decref(pending->answer);
    free(pending);
}

static void forget_events(Store *store)
{
    for (size_t i = 0; i < store->n_events; i++) {
        free((char *)store->events[i].resource);
        json_decref((json_t *)store->events[i].object);
        json_decref((json_t *)store->events[i].old);
    }
    store->n_events = 0;
}

void fake_api_forget(Api *api)
{
    for (size_t i = 0; i < api->n_pending; i++)
        api->pending[i]->done = NULL;
    forget_events(&api->store);
}

Api *fake_api_free(Api *api)
{
    for (size_t i = 0; i < api->n_pending; i++)
        pending_free(api->pending[i]);
    for (size_t i = 0; i < api->store.n_objects; i++) {
        free(api->store.objects[i].resource);
        json_decref(api->store.objects[i].object);
    }
    forget_events(&api->store);
    free(api->store.objects);
    free(api->store.events);
    json_decref(api->reasons);
    free(api);
    return NULL;
}

/* --- the store ------------------------------------------------------------------------------ */

static Stored *find(const Store *store, const char *resource, const char *namespace, const char *name)
{
    for (size_t i = 0; i < store->n_objects; i++) {
        Stored *stored = &store->objects[i];
        if (strcmp(stored->resource, resource) == 0 && strcmp(kube_name(stored->object), name) == 0 &&
            strcmp(kube_namespace(stored->object), namespace ? namespace : "") == 0)
            return stored;
    }
    return NULL;
}

static void tell(Store *store, StoreChange change, const char *resource, const json_t *object, const json_t *old)
{
    if (!store->watch)
        return;
    if (store->n_events == store->events_capacity) {
        store->events_capacity = store->events_capacity ? 2 * store->events_capacity : 64;
        store->events = reallocarray(store->events, store->events_capacity, sizeof *store->events);
    }
    store->events[store->n_events++] = (StoreEvent){.change = change,
                                                    .revision = store->revision,
                                                    .resource = strdup(resource),
                                                    .object = json_incref((json_t *)object),
                                                    .old = json_incref((json_t *)old)};
}

static const json_t *put(Store *store, const char *resource, const json_t *object)
{
    char revision[24], uid[KUBE_UID_SIZE];
    json_t *copy = json_deep_copy(object);
    Stored *stored = find(store, resource, kube_namespace(object), kube_name(object));

    snprintf(revision, sizeof revision, "%lld", (long long)++store->revision);
    kube_set(copy, "metadata.resourceVersion", json_string(revision));
    if (!*kube_uid(copy)) {
        kube_make_uid(uid);
        kube_set(copy, "metadata.uid", json_string(uid));
    }
    if (stored) {
        json_t *old = stored->object;
        stored->object = copy;
        tell(store, STORE_MODIFIED, resource, copy, old);
        json_decref(old);
        return copy;
    }
    if (store->n_objects == store->capacity) {
        store->capacity = store->capacity ? 2 * store->capacity : 64;
        store->objects = reallocarray(store->objects, store->capacity, sizeof *store->objects);
    }
    store->objects[store->n_objects++] = (Stored){strdup(resource), copy};
    tell(store, STORE_ADDED, resource, copy, NULL);
    return copy;
}

static void drop(Store *store, Stored *stored)
{
    store->revision++;
    tell(store, STORE_DELETED, stored->resource, stored->object, stored->object);
    json_decref(stored->object);
    free(stored->resource);
    memmove(stored, stored + 1, (size_t)(store->objects + store->n_objects - stored - 1) * sizeof *stored);
    store->n_objects--;
}

void fake_api_put(Api *api, const char *resource, json_t *object)
{
    put(&api->store, resource, object);
    json_decref(object);
}

void fake_api_remove(Api *api, const char *resource, const char *namespace, const char *name)
{
    Stored *stored = find(&api->store, resource, namespace, name);
    if (stored)
        drop(&api->store, stored);
}

const json_t *store_get(const Store *store, const char *resource, const char *namespace, const char *name)
{
    const Stored *stored = find(store, resource, namespace, name);
    return stored ? stored->object : NULL;
}

void store_each(const Store *store, const char *resource, const char *namespace,
                bool (*each)(void *userdata, const json_t *object), void *userdata)
{
    for (size_t i = 0; i < store->n_objects; i++)
        if (strcmp(store->objects[i].resource, resource) == 0 &&
            (!namespace || strcmp(kube_namespace(store->objects[i].object), namespace) == 0))
            if (!each(userdata, store->objects[i].object))
                return;
}

int64_t store_revision(const Store *store)
{
    return store->revision;
}

bool store_connected(const Store *store)
{
    return store->connected;
}

uint64_t store_healthy_since(const Store *store)
{
    return store->healthy_since;
}

int store_watch(Store *store, const char *resource, int64_t revision,
                void (*event)(void *userdata, const StoreEvent *event), void *userdata, StoreWatch **ret)
{
    (void)resource;
    (void)revision;
    store->watch = event;
    store->watcher = userdata;
    *ret = (StoreWatch *)store;
    return 0;
}

StoreWatch *store_unwatch(StoreWatch *watch)
{
    if (watch)
        ((Store *)watch)->watch = NULL;
    return NULL;
}

/* --- the API -------------------------------------------------------------------------------- */

Store *api_store(Api *api)
{
    return &api->store;
}

sd_event *api_loop(Api *api)
{
    return api->event;
}

void api_event(Api *api, const json_t *object, const char *type, const char *reason, const char *component,
               const char *format, ...)
{
    (void)object;
    (void)type;
    (void)component;
    (void)format;
    json_object_set_new(api->reasons, reason, json_integer(kube_integer(api->reasons, reason, 0) + 1));
}

size_t fake_api_events(Api *api, const char *reason)
{
    return (size_t)kube_integer(api->reasons, reason, 0);
}

static char *copy_of(const char *text)
{
    return text ? strdup(text) : NULL;
}

static Pending *queue(Api *api, ApiVerb verb, const char *resource, json_t *object, ApiDone done, void *userdata)
{
    Pending *pending = calloc(1, sizeof *pending);
    if (api->n_pending == PENDING_MAX)
        abort();
    *pending = (Pending){.verb = verb,
                         .resource = strdup(resource),
                         .namespace = copy_of(kube_namespace(object)),
                         .name = copy_of(kube_name(object)),
                         .object = object,
                         .done = done,
                         .userdata = userdata};
    api->pending[api->n_pending++] = pending;
    return pending;
}

void api_create(Api *api, const char *resource, json_t *object, ApiDone done, void *userdata)
{
    queue(api, API_CREATE, resource, object, done, userdata);
}

void api_update(Api *api, const char *resource, json_t *object, ApiDone done, void *userdata)
{
    queue(api, API_UPDATE, resource, object, done, userdata);
}

void api_update_status(Api *api, const char *resource, json_t *object, ApiDone done, void *userdata)
{
    queue(api, API_UPDATE, resource, object, done, userdata)->subresource = strdup("status");
}

void api_delete(Api *api, const char *resource, const char *namespace, const char *name, const char *uid, int64_t grace,
                ApiDone done, void *userdata)
{
    Pending *pending = queue(api, API_DELETE, resource, NULL, done, userdata);
    free(pending->namespace);
    free(pending->name);
    pending->namespace = strdup(namespace ? namespace : "");
    pending->name = strdup(name);
    pending->uid = copy_of(uid);
    pending->grace = grace;
}

void api_submit(Api *api, const ApiRequest *request, ApiDone done, void *userdata)
{
    Pending *pending = queue(api, request->verb, request->resource->key, json_incref(request->body), done, userdata);
    free(pending->namespace);
    free(pending->name);
    pending->namespace = strdup(request->namespace ? request->namespace : "");
    pending->name = copy_of(request->name);
    pending->uid = copy_of(request->precondition_uid);
    pending->subresource = copy_of(request->subresource);
    pending->propagation = copy_of(request->propagation);
    pending->grace = request->grace;
}

static int answer(Pending *pending, int status, const json_t *object)
{
    pending->answer =
        object ? json_incref((json_t *)object) : json_pack("{s:s, s:i}", "kind", "Status", "code", status);
    return status;
}

static int apply_create(Api *api, Pending *pending)
{
    if (!*kube_name(pending->object)) {
        char name[KUBE_NAME_MAX + 8], suffix[6];
        kube_make_suffix(suffix);
        snprintf(name, sizeof name, "%s%s", kube_string(pending->object, "metadata.generateName"), suffix);
        kube_set(pending->object, "metadata.name", json_string(name));
    }
    if (find(&api->store, pending->resource, kube_namespace(pending->object), kube_name(pending->object)))
        return answer(pending, 409, NULL);
    if (strcmp(pending->resource, "pods") == 0)
        kube_set(pending->object, "status.phase", json_string("Pending"));
    return answer(pending, 201, put(&api->store, pending->resource, pending->object));
}

static int apply_binding(Api *api, Pending *pending)
{
    const Stored *stored = find(&api->store, pending->resource, pending->namespace, pending->name);
    if (!stored || strcmp(kube_uid(stored->object), kube_uid(pending->object)) != 0)
        return answer(pending, 404, NULL);
    if (*kube_string(stored->object, "spec.nodeName") || kube_deleting(stored->object))
        return answer(pending, 409, NULL);
    AUTO_JSON json_t *copy = json_deep_copy(stored->object);
    kube_set(copy, "spec.nodeName", json_string(kube_string(pending->object, "target.name")));
    put(&api->store, pending->resource, copy);
    return answer(pending, 201, NULL);
}

static int apply_update(Api *api, Pending *pending)
{
    Stored *stored = find(&api->store, pending->resource, pending->namespace, pending->name);
    if (!stored)
        return answer(pending, 404, NULL);
    if (kube_revision(pending->object) && kube_revision(stored->object) != kube_revision(pending->object))
        return answer(pending, 409, NULL);
    AUTO_JSON json_t *copy = NULL;
    const json_t *status = json_object_get(pending->object, "status"), *was = json_object_get(stored->object, "status");
    if (pending->subresource) {
        copy = json_deep_copy(stored->object);
        json_object_set(copy, "status", (json_t *)status);
    } else {
        copy = json_deep_copy(pending->object);
        if (was)
            json_object_set(copy, "status", (json_t *)was);
    }
    if (kube_deleting(copy) && json_array_size(kube_get(copy, "metadata.finalizers")) == 0 &&
        strcmp(pending->resource, "pods") != 0) {
        answer(pending, 200, stored->object);
        drop(&api->store, stored);
        return 200;
    }
    return answer(pending, 200, put(&api->store, pending->resource, copy));
}

static int apply_delete(Api *api, Pending *pending)
{
    Stored *stored = find(&api->store, pending->resource, pending->namespace, pending->name);
    if (!stored)
        return answer(pending, 404, NULL);
    if (pending->uid && *pending->uid && strcmp(kube_uid(stored->object), pending->uid) != 0)
        return answer(pending, 409, NULL);
    bool runs = strcmp(pending->resource, "pods") == 0 && *kube_string(stored->object, "spec.nodeName");
    bool held = json_array_size(kube_get(stored->object, "metadata.finalizers")) > 0;
    /* As the real one: a namespace is marked, and the next deletion removes it. */
    held |= strcmp(pending->resource, "namespaces") == 0 && !kube_deleting(stored->object);
    if (pending->propagation && strcmp(pending->propagation, "Foreground") == 0)
        held = true;
    answer(pending, 200, stored->object);
    if ((runs && pending->grace != 0) || held) {
        AUTO_JSON json_t *copy = json_deep_copy(stored->object);
        if (!kube_deleting(copy)) {
            kube_set(copy, "metadata.deletionTimestamp", json_string("2026-01-01T00:00:00Z"));
            if (pending->propagation && strcmp(pending->propagation, "Foreground") == 0)
                kube_set(copy, "metadata.finalizers", json_pack("[s]", "foregroundDeletion"));
            put(&api->store, pending->resource, copy);
        }
    } else {
        drop(&api->store, stored);
    }
    return 200;
}

static void apply(Api *api, Pending *pending)
{
    pending->applied = true;
    bool fails = (unsigned)random() % 1000 < api->failures;
    if (fails && random() % 2) {
        pending->status = answer(pending, 500, NULL);
        return;
    }
    switch (pending->verb) {
    case API_CREATE:
        pending->status = pending->subresource ? apply_binding(api, pending) : apply_create(api, pending);
        break;
    case API_UPDATE:
        pending->status = apply_update(api, pending);
        break;
    default:
        pending->status = apply_delete(api, pending);
        break;
    }
    if (fails) { /* it has happened, but nobody knows */
        json_decref(pending->answer);
        pending->status = answer(pending, 504, NULL);
    }
}

bool fake_api_step(Api *api)
{
    Store *store = &api->store;
    size_t chosen = (size_t)random() % (api->n_pending + 1);

    if (chosen == api->n_pending) {
        if (store->n_events == 0)
            return api->n_pending > 0;
        StoreEvent event = store->events[0];
        memmove(store->events, store->events + 1, --store->n_events * sizeof event);
        if (store->watch)
            store->watch(store->watcher, &event);
        free((char *)event.resource);
        json_decref((json_t *)event.object);
        json_decref((json_t *)event.old);
        return true;
    }
    Pending *pending = api->pending[chosen];
    if (!pending->applied) {
        apply(api, pending);
        return true;
    }
    api->pending[chosen] = api->pending[--api->n_pending];
    const ApiAnswer result = {.status = pending->status, .object = pending->answer};
    if (pending->done)
        pending->done(pending->userdata, &result);
    pending_free(pending);
    return true;
}

/* --- the kinds ------------------------------------------------------------------------------ */

#define NAMES(group_, plural_, kind_, key_)                                                                            \
    .group = group_, .version = "v1", .plural = plural_, .kind = kind_, .key = key_
static const Resource kinds[] = {
    {.namespaced = true, NAMES("", "pods", "Pod", "pods")},
    {NAMES("", "nodes", "Node", "nodes")},
    {.namespaced = true, NAMES("", "replicationcontrollers", "ReplicationController", "replicationcontrollers")},
    {.namespaced = true, NAMES("", "services", "Service", "services")},
    {.namespaced = true, NAMES("", "endpoints", "Endpoints", "endpoints")},
    {NAMES("", "namespaces", "Namespace", "namespaces")},
    {.namespaced = true, NAMES("", "serviceaccounts", "ServiceAccount", "serviceaccounts")},
    {.namespaced = true, NAMES("", "configmaps", "ConfigMap", "configmaps")},
    {NAMES("", "persistentvolumes", "PersistentVolume", "persistentvolumes")},
    {.namespaced = true, NAMES("", "persistentvolumeclaims", "PersistentVolumeClaim", "persistentvolumeclaims")},
    {.namespaced = true, NAMES("apps", "deployments", "Deployment", "apps/deployments")},
    {.namespaced = true, NAMES("apps", "replicasets", "ReplicaSet", "apps/replicasets")},
    {.namespaced = true, NAMES("apps", "statefulsets", "StatefulSet", "apps/statefulsets")},
    {.namespaced = true, NAMES("apps", "controllerrevisions", "ControllerRevision", "apps/controllerrevisions")},
    {.namespaced = true, NAMES("coordination.k8s.io", "leases", "Lease", "coordination.k8s.io/leases")},
    {NAMES("storage.k8s.io", "storageclasses", "StorageClass", "storage.k8s.io/storageclasses")},
};
#define N_KINDS (sizeof kinds / sizeof *kinds)

const Resource *const *resources(size_t *ret_count)
{
    static const Resource *all[N_KINDS];
    for (size_t i = 0; i < N_KINDS; i++)
        all[i] = &kinds[i];
    *ret_count = N_KINDS;
    return all;
}

const Resource *resource_of_key(const char *key)
{
    for (size_t i = 0; i < N_KINDS; i++)
        if (strcmp(kinds[i].key, key) == 0)
            return &kinds[i];
    return NULL;
}

const Resource *resource_of_kind(const char *group, const char *kind)
{
    for (size_t i = 0; i < N_KINDS; i++)
        if (strcmp(kinds[i].group, group) == 0 && strcmp(kinds[i].kind, kind) == 0)
            return &kinds[i];
    return NULL;
}
