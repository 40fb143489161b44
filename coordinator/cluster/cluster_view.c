/* cluster_view.c - see cluster_view.h. */
#include "cluster_view.h"

#include "base/cleanup.h"
#include "kube/quantity.h"

#include <stdlib.h>
#include <string.h>

typedef Inaetics__V1__ClusterNode Node;
typedef Inaetics__V1__ClusterPod Pod;
typedef Inaetics__V1__ClusterEvent Event;

/* Texts are borrowed from the objects, which live as long as the informers do. */
typedef struct View {
    const Cluster *cluster;
    int64_t after_event;
    Node *nodes;
    Pod *pods;
    Event *events;
    Node **node_list;
    Pod **pod_list;
    Event **event_list;
    char (*event_objects)[320];
    size_t n_nodes, n_pods, n_events;
} View;

/* --- metrics --------------------------------------------------------------------------------- */

static double cores(const char *text)
{
    int64_t milli;
    return quantity_parse_milli(text, &milli, NULL) == 0 ? (double)milli / 1000 : 0;
}

static int64_t bytes(const char *text)
{
    int64_t value;
    return quantity_parse(text, &value, NULL) == 0 ? value : 0;
}

static const json_t *find_item(const json_t *list, const char *namespace, const char *name)
{
    const json_t *item;
    size_t i;
    json_array_foreach(json_object_get(list, "items"), i, item)
    {
        if (strcmp(kube_name(item), name) == 0 && strcmp(kube_namespace(item), namespace) == 0)
            return item;
    }
    return NULL;
}

/* --- nodes ------------------------------------------------------------------------------------ */

static const char *machine_state(const Cluster *cluster, const char *name)
{
    const json_t *machine;
    size_t i;
    json_array_foreach(cluster->machines, i, machine)
    {
        if (strcmp(kube_string(machine, "name"), name) == 0)
            return kube_string(machine, "state");
    }
    return "";
}

static const char *address_of(const json_t *node)
{
    const json_t *address;
    size_t i;
    json_array_foreach(kube_get(node, "status.addresses"), i, address)
    {
        if (strcmp(kube_string(address, "type"), "InternalIP") == 0)
            return kube_string(address, "address");
    }
    return "";
}

static bool add_node(void *userdata, const json_t *object)
{
    View *view = userdata;
    if (view->n_nodes == CLUSTER_NODES_MAX)
        return false;
    Node *node = &view->nodes[view->n_nodes];
    view->node_list[view->n_nodes++] = node;
    *node = (Node)INAETICS__V1__CLUSTER_NODE__INIT;
    const json_t *metrics = find_item(view->cluster->node_metrics, "", kube_name(object));
    node->name = (char *)kube_name(object);
    node->address = (char *)address_of(object);
    node->ready = kube_condition_true(object, "Ready");
    node->schedulable = !kube_boolean(object, "spec.unschedulable");
    node->machine = (char *)machine_state(view->cluster, kube_name(object));
    node->cpu = cores(kube_string(metrics, "usage.cpu"));
    node->memory = bytes(kube_string(metrics, "usage.memory"));
    node->cpu_capacity = cores(kube_string(object, "status.allocatable.cpu"));
    node->memory_capacity = bytes(kube_string(object, "status.allocatable.memory"));
    return true;
}

static int by_node_name(const void *left, const void *right)
{
    return strverscmp((*(Node *const *)left)->name, (*(Node *const *)right)->name);
}

/* --- pods -------------------------------------------------------------------------------------- */

/* As kubectl does: the reason why a container does not run, else the phase. */
static const char *status_of(const json_t *pod)
{
    const json_t *container;
    size_t i;
    if (kube_deleting(pod))
        return "Terminating";
    json_array_foreach(kube_get(pod, "status.containerStatuses"), i, container)
    {
        const char *waiting = kube_string(container, "state.waiting.reason");
        const char *terminated = kube_string(container, "state.terminated.reason");
        if (waiting[0] || terminated[0])
            return waiting[0] ? waiting : terminated;
    }
    const char *reason = kube_string(pod, "status.reason");
    return reason[0] ? reason : kube_string(pod, "status.phase");
}

static void add_usage(Pod *pod, const json_t *metrics)
{
    const json_t *container;
    size_t i;
    json_array_foreach(json_object_get(metrics, "containers"), i, container)
    {
        pod->cpu += cores(kube_string(container, "usage.cpu"));
        pod->memory += bytes(kube_string(container, "usage.memory"));
    }
}

static bool add_pod(void *userdata, const json_t *object)
{
    View *view = userdata;
    if (view->n_pods == CLUSTER_PODS_MAX)
        return false;
    Pod *pod = &view->pods[view->n_pods];
    view->pod_list[view->n_pods++] = pod;
    *pod = (Pod)INAETICS__V1__CLUSTER_POD__INIT;
    pod->name = (char *)kube_name(object);
    pod->namespace_ = (char *)kube_namespace(object);
    pod->node = (char *)kube_string(object, "spec.nodeName");
    pod->part = (char *)kube_string(kube_labels(object), "part");
    pod->status = (char *)status_of(object);
    pod->ready = kube_pod_ready(object);
    pod->address = (char *)kube_string(object, "status.podIP");
    const json_t *container;
    size_t i;
    json_array_foreach(kube_get(object, "status.containerStatuses"), i, container) pod->restarts +=
        (uint32_t)kube_integer(container, "restartCount", 0);
    uint64_t created;
    if (kube_time_parse(kube_string(object, "metadata.creationTimestamp"), &created) == 0)
        pod->created_ms = (int64_t)(created / 1000);
    add_usage(pod, find_item(view->cluster->pod_metrics, pod->namespace_, pod->name));
    return true;
}

static int by_pod_name(const void *left, const void *right)
{
    return strverscmp((*(Pod *const *)left)->name, (*(Pod *const *)right)->name);
}

/* --- events -------------------------------------------------------------------------------------- */

/* Keeps the newest: the oldest gives way. */
static Event *event_slot(View *view, int64_t revision)
{
    if (view->n_events < CLUSTER_EVENTS_MAX)
        return &view->events[view->n_events++];
    Event *oldest = &view->events[0];
    for (size_t i = 1; i < view->n_events; i++)
        if (view->events[i].revision < oldest->revision)
            oldest = &view->events[i];
    return oldest->revision < revision ? oldest : NULL;
}

static bool add_event(void *userdata, const json_t *object)
{
    View *view = userdata;
    int64_t revision = kube_revision(object);
    Event *event = revision > view->after_event ? event_slot(view, revision) : NULL;
    if (!event)
        return true;
    *event = (Event)INAETICS__V1__CLUSTER_EVENT__INIT;
    const char *last = kube_string(object, "lastTimestamp"), *begun = kube_string(object, "eventTime");
    uint64_t time;
    if (kube_time_parse(last[0]    ? last
                        : begun[0] ? begun
                                   : kube_string(object, "metadata.creationTimestamp"),
                        &time) == 0)
        event->time_ms = (int64_t)(time / 1000);
    char *name = view->event_objects[event - view->events], *kind = name;
    snprintf(name, sizeof view->event_objects[0], "%.63s/%.253s", kube_string(object, "involvedObject.kind"),
             kube_string(object, "involvedObject.name"));
    for (; *kind && *kind != '/'; kind++)
        *kind |= 0x20; /* ASCII letters only: a kind */
    event->revision = revision;
    event->warning = strcmp(kube_string(object, "type"), "Warning") == 0;
    event->reason = (char *)kube_string(object, "reason");
    event->object = name;
    event->message = (char *)kube_string(object, "message");
    event->count = (uint32_t)kube_integer(object, "count", 1);
    return true;
}

static int by_revision(const void *left, const void *right)
{
    int64_t a = (*(Event *const *)left)->revision, b = (*(Event *const *)right)->revision;
    return a < b ? -1 : a > b;
}

/* --- the answer -------------------------------------------------------------------------------------- */

static bool allocate(View *view)
{
    view->nodes = calloc(CLUSTER_NODES_MAX, sizeof *view->nodes);
    view->pods = calloc(CLUSTER_PODS_MAX, sizeof *view->pods);
    view->events = calloc(CLUSTER_EVENTS_MAX, sizeof *view->events);
    view->node_list = calloc(CLUSTER_NODES_MAX, sizeof *view->node_list);
    view->pod_list = calloc(CLUSTER_PODS_MAX, sizeof *view->pod_list);
    view->event_list = calloc(CLUSTER_EVENTS_MAX, sizeof *view->event_list);
    view->event_objects = calloc(CLUSTER_EVENTS_MAX, sizeof *view->event_objects);
    return view->nodes && view->pods && view->events && view->node_list && view->pod_list && view->event_list &&
           view->event_objects;
}

static void clear(View *view)
{
    free(view->nodes);
    free(view->pods);
    free(view->events);
    free(view->node_list);
    free(view->pod_list);
    free(view->event_list);
    free(view->event_objects);
}

void cluster_view_reply(Cluster *cluster, InaCall *call, int64_t after_event)
{
    View view = {.cluster = cluster, .after_event = after_event};
    if (!allocate(&view)) {
        clear(&view);
        ina_call_fail(call, INA_CODE_RESOURCE_EXHAUSTED, "out of memory");
        return;
    }
    kube_informer_each(cluster->nodes, add_node, &view);
    kube_informer_each(cluster->pods, add_pod, &view);
    kube_informer_each(cluster->events, add_event, &view);
    for (size_t i = 0; i < view.n_events; i++)
        view.event_list[i] = &view.events[i];
    qsort(view.node_list, view.n_nodes, sizeof *view.node_list, by_node_name);
    qsort(view.pod_list, view.n_pods, sizeof *view.pod_list, by_pod_name);
    qsort(view.event_list, view.n_events, sizeof *view.event_list, by_revision);
    Inaetics__V1__ClusterState reply = INAETICS__V1__CLUSTER_STATE__INIT;
    reply.connected = kube_informer_synced(cluster->nodes) && kube_informer_synced(cluster->pods);
    reply.faults = json_is_array(cluster->machines);
    reply.nodes = view.node_list;
    reply.n_nodes = view.n_nodes;
    reply.pods = view.pod_list;
    reply.n_pods = view.n_pods;
    reply.events = view.event_list;
    reply.n_events = view.n_events;
    ina_call_reply(call, &reply.base);
    clear(&view);
}
