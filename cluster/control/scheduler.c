/* scheduler.c - see scheduler.h. The state: nodes, what pods take of them, who
 * uses which claim. The choice is in scheduler_place.c. */
#include "fit.h"
#include "scheduler_internal.h"

#include "base/cleanup.h"
#include "kube/quantity.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A pod that takes room. */
typedef struct Taken {
    json_t *pod;
    NodeInfo *node;
} Taken;

Scheduler *scheduler_new(void)
{
    Scheduler *scheduler = calloc(1, sizeof *scheduler);
    if (!scheduler || !(scheduler->by_name = map_new()) || !(scheduler->pods = map_new()) ||
        !(scheduler->owners = map_new()) || !(scheduler->claims = map_new()))
        return scheduler_free(scheduler);
    scheduler->resources[RESOURCE_CPU] = strdup("cpu");
    scheduler->resources[RESOURCE_MEMORY] = strdup("memory");
    scheduler->n_resources = 2;
    if (!scheduler->resources[0] || !scheduler->resources[1])
        return scheduler_free(scheduler);
    return scheduler;
}

/* --- resources ------------------------------------------------------------------------------ */

/* The place of a resource in Amounts; -1: beyond SCHEDULER_RESOURCES_MAX. */
static int resource_place(Scheduler *scheduler, const char *name)
{
    for (size_t i = 0; i < scheduler->n_resources; i++)
        if (strcmp(scheduler->resources[i], name) == 0)
            return (int)i;
    if (scheduler->n_resources == SCHEDULER_RESOURCES_MAX)
        return -1;
    char *copy = strdup(name);
    if (!copy)
        return -1;
    scheduler->resources[scheduler->n_resources] = copy;
    return (int)scheduler->n_resources++;
}

static int64_t add(int64_t a, int64_t b)
{
    int64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

/* The most that one quantity counts for (9 TB of memory): a thousand of them can be added up and
 * taken away again without loss. */
#define AMOUNT_MAX (INT64_MAX >> 10)

static int64_t milli(const json_t *quantity)
{
    char number[32];
    const char *text = json_string_value(quantity);
    int64_t value;

    if (json_is_integer(quantity)) {
        snprintf(number, sizeof number, "%lld", (long long)json_integer_value(quantity));
        text = number;
    }
    int r = text ? quantity_parse_milli(text, &value, NULL) : -EINVAL;
    if (r == -ERANGE)
        return AMOUNT_MAX;
    return r < 0 || value < 0 ? 0 : value < AMOUNT_MAX ? value : AMOUNT_MAX;
}

static void read_amounts(Scheduler *scheduler, const json_t *list, Amounts *ret)
{
    const char *name;
    json_t *quantity;

    json_object_foreach((json_t *)list, name, quantity)
    {
        /* The number of pods is counted, not added up. */
        int place = strcmp(name, "pods") == 0 ? -1 : resource_place(scheduler, name);
        if (place >= 0)
            ret->milli[place] = add(ret->milli[place], milli(quantity));
    }
}

/* As Kubernetes: containers run together, init containers one after the other. */
void scheduler_requests(Scheduler *scheduler, const json_t *pod, Amounts *ret)
{
    const json_t *container;
    size_t i;

    *ret = (Amounts){0};
    json_array_foreach(kube_get(pod, "spec.containers"), i, container)
        read_amounts(scheduler, kube_get(container, "resources.requests"), ret);
    json_array_foreach(kube_get(pod, "spec.initContainers"), i, container)
    {
        Amounts one = {0};
        read_amounts(scheduler, kube_get(container, "resources.requests"), &one);
        for (size_t k = 0; k < SCHEDULER_RESOURCES_MAX; k++)
            if (one.milli[k] > ret->milli[k])
                ret->milli[k] = one.milli[k];
    }
    read_amounts(scheduler, kube_get(pod, "spec.overhead"), ret);
}

/* --- nodes ---------------------------------------------------------------------------------- */

/* Also of a node that is only known from its pods. */
static NodeInfo *node_info(Scheduler *scheduler, const char *name)
{
    NodeInfo *info = map_get(scheduler->by_name, name);
    if (info)
        return info;
    if (scheduler->n_nodes == scheduler->capacity) {
        size_t capacity = scheduler->capacity ? 2 * scheduler->capacity : 8;
        NodeInfo **nodes = reallocarray(scheduler->nodes, capacity, sizeof *nodes);
        if (!nodes)
            return NULL;
        scheduler->nodes = nodes;
        scheduler->capacity = capacity;
    }
    info = calloc(1, sizeof *info);
    if (!info || !(info->name = strdup(name)) || map_set(scheduler->by_name, name, info) < 0) {
        if (info)
            free(info->name);
        free(info);
        return NULL;
    }
    info->slot = scheduler->n_nodes;
    scheduler->nodes[scheduler->n_nodes++] = info;
    return info;
}

static const char *missing_taint(const json_t *node)
{
    const json_t *ready = kube_condition(node, "Ready");
    if (!ready || strcmp(kube_string(ready, "status"), "True") == 0)
        return ready ? NULL : TAINT_NOT_READY;
    return strcmp(kube_string(ready, "status"), "Unknown") == 0 ? TAINT_UNREACHABLE : TAINT_NOT_READY;
}

/* Its slot stays, as counts of owners are by slot; names of nodes come again. */
int scheduler_node(Scheduler *scheduler, const json_t *node, bool gone)
{
    NodeInfo *info = node_info(scheduler, kube_name(node));
    if (!info)
        return -ENOMEM;
    scheduler->n_present += (size_t)!gone - (size_t)(info->object != NULL);
    json_decref(info->object);
    info->object = gone ? NULL : json_incref((json_t *)node);
    info->allocatable = (Amounts){0};
    info->pods_max = 0;
    if (gone)
        return 0;
    info->missing_taint = missing_taint(node);
    info->unschedulable = kube_boolean(node, "spec.unschedulable");
    const json_t *allocatable = kube_get(node, "status.allocatable");
    if (!allocatable)
        allocatable = kube_get(node, "status.capacity");
    read_amounts(scheduler, allocatable, &info->allocatable);
    info->pods_max = (size_t)(milli(json_object_get(allocatable, "pods")) / 1000);
    return 0;
}

/* --- what pods take ------------------------------------------------------------------------- */

static ClaimInfo *claim_info(Scheduler *scheduler, const char *namespace, const char *name)
{
    char key[CLAIM_KEY_SIZE];
    snprintf(key, sizeof key, "%s/%s", namespace, name);
    ClaimInfo *info = map_get(scheduler->claims, key);
    if (!info && (info = calloc(1, sizeof *info)) && map_set(scheduler->claims, key, info) < 0) {
        free(info);
        return NULL;
    }
    return info;
}

static void count_claim(ClaimInfo *claim, const NodeInfo *node, bool more)
{
    for (size_t i = 0; i < claim->n_users; i++)
        if (claim->users[i].node == node) {
            claim->users[i].pods += more ? 1 : (size_t)-1;
            if (claim->users[i].pods == 0)
                claim->users[i] = claim->users[--claim->n_users];
            return;
        }
    ClaimUser *users = more ? reallocarray(claim->users, claim->n_users + 1, sizeof *users) : NULL;
    if (!users)
        return;
    claim->users = users;
    users[claim->n_users++] = (ClaimUser){node, 1};
}

static void count_owner(Scheduler *scheduler, const json_t *pod, const NodeInfo *node, bool more)
{
    const json_t *owner = kube_controller(pod);
    if (!owner)
        return;
    const char *uid = kube_string(owner, "uid");
    OwnerInfo *info = map_get(scheduler->owners, uid);
    if (!info) {
        info = more ? calloc(1, sizeof *info) : NULL;
        if (!info)
            return;
        if (map_set(scheduler->owners, uid, info) < 0) {
            free(info);
            return;
        }
    }
    if (node->slot >= info->n_counts) {
        size_t n = node->slot + 8;
        uint32_t *counts = more ? reallocarray(info->counts, n, sizeof *counts) : NULL;
        if (!counts)
            return;
        memset(counts + info->n_counts, 0, (n - info->n_counts) * sizeof *counts);
        info->counts = counts;
        info->n_counts = n;
    }
    if (!more && info->counts[node->slot] == 0)
        return;
    info->counts[node->slot] += more ? 1u : (uint32_t)-1;
    info->total += more ? 1 : (size_t)-1;
    if (info->total == 0) {
        map_remove(scheduler->owners, uid);
        free(info->counts);
        free(info);
    }
}

/* Adds what the pod takes to its node, or takes it away again: the same walk, so that both agree. */
static void account(Scheduler *scheduler, const Taken *taken, bool more)
{
    NodeInfo *node = taken->node;
    Amounts requests;
    const json_t *item;
    size_t i;

    scheduler_requests(scheduler, taken->pod, &requests);
    for (size_t k = 0; k < SCHEDULER_RESOURCES_MAX; k++)
        node->used.milli[k] =
            more ? add(node->used.milli[k], requests.milli[k]) : node->used.milli[k] - requests.milli[k];
    node->n_pods += more ? 1 : (size_t)-1;
    count_owner(scheduler, taken->pod, node, more);
    json_array_foreach(kube_get(taken->pod, "spec.volumes"), i, item)
    {
        const char *name = kube_string(item, "persistentVolumeClaim.claimName");
        ClaimInfo *claim = *name ? claim_info(scheduler, kube_namespace(taken->pod), name) : NULL;
        if (claim)
            count_claim(claim, node, more);
    }
    HostPorts ports = {0};
    scheduler_host_ports(taken->pod, &ports);
    for (size_t k = 0; k < ports.count; k++) {
        if (more)
            host_ports_add(&node->ports, &ports.ports[k]);
        else
            host_ports_remove(&node->ports, &ports.ports[k]);
    }
    free(ports.ports);
}

int scheduler_pod(Scheduler *scheduler, const json_t *pod, bool gone)
{
    char key[CLAIM_KEY_SIZE];
    snprintf(key, sizeof key, "%s/%s", kube_namespace(pod), kube_name(pod));
    Taken *taken = map_get(scheduler->pods, key);

    if (taken) {
        account(scheduler, taken, false);
        json_decref(taken->pod);
        map_remove(scheduler->pods, key);
        free(taken);
    }
    const char *name = kube_string(pod, "spec.nodeName");
    if (gone || !*name || kube_pod_ended(pod))
        return 0;
    NodeInfo *node = node_info(scheduler, name);
    taken = node ? malloc(sizeof *taken) : NULL;
    if (!taken)
        return -ENOMEM;
    *taken = (Taken){json_incref((json_t *)pod), node};
    if (map_set(scheduler->pods, key, taken) < 0) {
        json_decref(taken->pod);
        free(taken);
        return -ENOMEM;
    }
    account(scheduler, taken, true);
    return 0;
}

int scheduler_volume_claim(Scheduler *scheduler, const json_t *claim, bool gone)
{
    ClaimInfo *info = claim_info(scheduler, kube_namespace(claim), kube_name(claim));
    if (!info)
        return -ENOMEM;
    json_decref(info->object);
    info->object = gone ? NULL : json_incref((json_t *)claim);
    if (!info->object && info->n_users == 0) {
        char key[CLAIM_KEY_SIZE];
        snprintf(key, sizeof key, "%s/%s", kube_namespace(claim), kube_name(claim));
        map_remove(scheduler->claims, key);
        free(info->users);
        free(info);
    }
    return 0;
}

/* --- the end -------------------------------------------------------------------------------- */

Scheduler *scheduler_free(Scheduler *scheduler)
{
    if (!scheduler)
        return NULL;
    size_t position = 0;
    void *value;
    while (map_next(scheduler->pods, &position, NULL, &value)) {
        json_decref(((Taken *)value)->pod);
        free(value);
    }
    position = 0;
    while (map_next(scheduler->owners, &position, NULL, &value)) {
        free(((OwnerInfo *)value)->counts);
        free(value);
    }
    position = 0;
    while (map_next(scheduler->claims, &position, NULL, &value)) {
        ClaimInfo *claim = value;
        json_decref(claim->object);
        free(claim->users);
        free(claim);
    }
    for (size_t i = 0; i < scheduler->n_nodes; i++) {
        json_decref(scheduler->nodes[i]->object);
        free(scheduler->nodes[i]->ports.ports);
        free(scheduler->nodes[i]->name);
        free(scheduler->nodes[i]);
    }
    for (size_t i = 0; i < scheduler->n_resources; i++)
        free(scheduler->resources[i]);
    map_free(scheduler->by_name);
    map_free(scheduler->pods);
    map_free(scheduler->owners);
    map_free(scheduler->claims);
    free(scheduler->nodes);
    free(scheduler);
    return NULL;
}
