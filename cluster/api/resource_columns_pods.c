/* resource_columns_pods.c - Tables of pods, nodes and events. */
#include "resource_internal.h"

#include "base/cleanup.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define TEXT_MAX 320u

/* --- pods: as pkg/printers of Kubernetes words a pod's state ------------------------------------------- */

typedef struct PodSummary {
    char status[TEXT_MAX];
    int64_t restarts;
    size_t ready, containers;
} PodSummary;

static const char *ended_text(const json_t *terminated, const char *prefix, char text[TEXT_MAX])
{
    const char *reason = kube_string(terminated, "reason");
    int64_t signal = kube_integer(terminated, "signal", 0);
    if (*reason)
        snprintf(text, TEXT_MAX, "%s%.200s", prefix, reason);
    else if (signal)
        snprintf(text, TEXT_MAX, "%sSignal:%lld", prefix, (long long)signal);
    else
        snprintf(text, TEXT_MAX, "%sExitCode:%lld", prefix, (long long)kube_integer(terminated, "exitCode", 0));
    return text;
}

/* Whether an init container is still to be done; then it is the pod's state. */
static bool initializing(const json_t *pod, PodSummary *summary)
{
    size_t i;
    const json_t *container;
    json_array_foreach(kube_get(pod, "status.initContainerStatuses"), i, container)
    {
        const json_t *terminated = kube_get(container, "state.terminated");
        const char *waiting = kube_string(container, "state.waiting.reason");
        summary->restarts += kube_integer(container, "restartCount", 0);
        if (terminated && kube_integer(terminated, "exitCode", 0) == 0)
            continue;
        if (terminated)
            ended_text(terminated, "Init:", summary->status);
        else if (*waiting && strcmp(waiting, "PodInitializing") != 0)
            snprintf(summary->status, TEXT_MAX, "Init:%.200s", waiting);
        else
            snprintf(summary->status, TEXT_MAX, "Init:%zu/%zu", i,
                     json_array_size(kube_get(pod, "spec.initContainers")));
        return true;
    }
    return false;
}

static void summarize_containers(const json_t *pod, PodSummary *summary)
{
    const json_t *statuses = kube_get(pod, "status.containerStatuses");
    bool running = false;
    summary->restarts = 0;
    for (size_t i = json_array_size(statuses); i-- > 0;) {
        const json_t *container = json_array_get(statuses, i), *terminated = kube_get(container, "state.terminated");
        const char *waiting = kube_string(container, "state.waiting.reason");
        summary->restarts += kube_integer(container, "restartCount", 0);
        if (*waiting) {
            snprintf(summary->status, TEXT_MAX, "%.200s", waiting);
        } else if (terminated) {
            ended_text(terminated, "", summary->status);
        } else if (kube_boolean(container, "ready") && kube_get(container, "state.running")) {
            running = true;
            summary->ready++;
        }
    }
    if (running && strcmp(summary->status, "Completed") == 0)
        strcpy(summary->status, kube_pod_ready(pod) ? "Running" : "NotReady");
}

static PodSummary summarize(const json_t *pod)
{
    PodSummary summary = {.containers = json_array_size(kube_get(pod, "spec.containers"))};
    const char *reason = kube_string(pod, "status.reason");
    snprintf(summary.status, TEXT_MAX, "%.200s", *reason ? reason : kube_string(pod, "status.phase"));
    if (!initializing(pod, &summary))
        summarize_containers(pod, &summary);
    if (kube_deleting(pod))
        strcpy(summary.status, strcmp(reason, "NodeLost") == 0 ? "Unknown" : "Terminating");
    return summary;
}

static json_t *pod_ready(const TableColumn *column, const json_t *pod, int64_t now)
{
    PodSummary summary = summarize(pod);
    return json_sprintf("%zu/%zu", summary.ready, summary.containers);
}

static json_t *pod_status(const TableColumn *column, const json_t *pod, int64_t now)
{
    return json_string(summarize(pod).status);
}

static json_t *pod_restarts(const TableColumn *column, const json_t *pod, int64_t now)
{
    return json_integer(summarize(pod).restarts);
}

static json_t *pod_ip(const TableColumn *column, const json_t *pod, int64_t now)
{
    const char *first = kube_string(json_array_get(kube_get(pod, "status.podIPs"), 0), "ip");
    const char *ip = *first ? first : kube_string(pod, "status.podIP");
    return json_string(*ip ? ip : "<none>");
}

static json_t *pod_gates(const TableColumn *column, const json_t *pod, int64_t now)
{
    const json_t *gates = kube_get(pod, "spec.readinessGates"), *gate;
    size_t i, met = 0;
    if (json_array_size(gates) == 0)
        return json_string("<none>");
    json_array_foreach(gates, i, gate) met += kube_condition_true(pod, kube_string(gate, "conditionType"));
    return json_sprintf("%zu/%zu", met, json_array_size(gates));
}

/* --- nodes ------------------------------------------------------------------------------------------------- */

static json_t *node_status(const TableColumn *column, const json_t *node, int64_t now)
{
    const char *status = "Unknown";
    if (kube_condition(node, "Ready"))
        status = kube_condition_true(node, "Ready") ? "Ready" : "NotReady";
    return json_sprintf("%s%s", status, kube_boolean(node, "spec.unschedulable") ? ",SchedulingDisabled" : "");
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

#define ROLES_MAX 32u

static json_t *node_roles(const TableColumn *column, const json_t *node, int64_t now)
{
    static const char prefix[] = "node-role.kubernetes.io/";
    const char *roles[ROLES_MAX], *name;
    size_t count = 0;
    json_t *value;
    json_object_foreach((json_t *)kube_labels(node), name, value)
    {
        const char *role = "";
        if (strncmp(name, prefix, sizeof prefix - 1) == 0)
            role = name + sizeof prefix - 1;
        else if (strcmp(name, "kubernetes.io/role") == 0 && json_is_string(value))
            role = json_string_value(value);
        if (*role && count < ROLES_MAX)
            roles[count++] = role;
    }
    qsort(roles, count, sizeof *roles, by_text);
    AUTO_JSON json_t *texts = json_array();
    for (size_t i = 0; i < count; i++)
        if (i == 0 || strcmp(roles[i], roles[i - 1]) != 0)
            json_array_append_new(texts, json_string(roles[i]));
    return joined(texts, "<none>");
}

static json_t *node_address(const json_t *node, const char *type)
{
    size_t i;
    const json_t *address;
    json_array_foreach(kube_get(node, "status.addresses"), i,
                       address) if (strcmp(kube_string(address, "type"), type) ==
                                    0) return json_string(kube_string(address, "address"));
    return json_string("<none>");
}

static json_t *node_internal_ip(const TableColumn *column, const json_t *node, int64_t now)
{
    return node_address(node, "InternalIP");
}

static json_t *node_external_ip(const TableColumn *column, const json_t *node, int64_t now)
{
    return node_address(node, "ExternalIP");
}

/* --- events ------------------------------------------------------------------------------------------------- */

static json_t *event_first_seen(const TableColumn *column, const json_t *event, int64_t now)
{
    const char *first = kube_string(event, "firstTimestamp");
    return age_since(*first ? first : kube_string(event, "eventTime"), now);
}

static json_t *event_last_seen(const TableColumn *column, const json_t *event, int64_t now)
{
    const char *series = kube_string(event, "series.lastObservedTime"), *last = kube_string(event, "lastTimestamp");
    if (*series)
        return age_since(series, now);
    return *last ? age_since(last, now) : event_first_seen(column, event, now);
}

static json_t *event_object(const TableColumn *column, const json_t *event, int64_t now)
{
    const char *name = kube_string(event, "involvedObject.name");
    char kind[64];
    snprintf(kind, sizeof kind, "%s", kube_string(event, "involvedObject.kind"));
    for (char *at = kind; *at; at++)
        *at = (char)tolower((unsigned char)*at);
    return *name ? json_sprintf("%s/%s", kind, name) : json_string(kind);
}

static const char *either(const json_t *object, const char *path, const char *other)
{
    const char *text = kube_string(object, path);
    return *text ? text : kube_string(object, other);
}

static json_t *event_source(const TableColumn *column, const json_t *event, int64_t now)
{
    const char *component = either(event, "source.component", "reportingComponent");
    const char *host = either(event, "source.host", "reportingInstance");
    return *host ? json_sprintf("%s, %s", component, host) : json_string(component);
}

static json_t *event_message(const TableColumn *column, const json_t *event, int64_t now)
{
    const char *text = kube_string(event, "message"), *end = text + strlen(text);
    while (isspace((unsigned char)*text))
        text++;
    while (end > text && isspace((unsigned char)end[-1]))
        end--;
    return json_stringn(text, (size_t)(end - text));
}

static json_t *event_count(const TableColumn *column, const json_t *event, int64_t now)
{
    const json_t *series = json_object_get(event, "series");
    int64_t count = series ? kube_integer(series, "count", 0) + 1 : kube_integer(event, "count", 0);
    return json_integer(count ? count : 1);
}

/* --- the Tables --------------------------------------------------------------------------------------------- */

const TableColumn columns_pod[] = {
    COLUMN_NAME,
    {"Ready", "string", "", "How much of it is ready.", 0, pod_ready, NULL},
    {"Status", "string", "", "Its state in one word.", 0, pod_status, NULL},
    {"Restarts", "integer", "", "How often its containers were restarted.", 0, pod_restarts, NULL},
    COLUMN_AGE,
    {"IP", "string", "", "The address of the pod.", 1, pod_ip, NULL},
    {"Node", "string", "", "The node that it runs on.", 1, text_or_none, "spec.nodeName"},
    {"Nominated Node", "string", "", "The node where room is being made for it.", 1, text_or_none,
     "status.nominatedNodeName"},
    {"Readiness Gates", "string", "", "How many of its readiness gates are met.", 1, pod_gates, NULL},
    {.name = NULL},
};

const TableColumn columns_node[] = {
    COLUMN_NAME,
    {"Status", "string", "", "Its state in one word.", 0, node_status, NULL},
    {"Roles", "string", "", "What the node is for, from its labels.", 0, node_roles, NULL},
    COLUMN_AGE,
    {"Version", "string", "", "The version of the node program.", 0, cell_text, "status.nodeInfo.kubeletVersion"},
    {"Internal-IP", "string", "", "The address inside the cluster.", 1, node_internal_ip, NULL},
    {"External-IP", "string", "", "Addresses outside of the cluster.", 1, node_external_ip, NULL},
    {"OS-Image", "string", "", "The operating system.", 1, text_or_unknown, "status.nodeInfo.osImage"},
    {"Kernel-Version", "string", "", "The version of the kernel.", 1, text_or_unknown, "status.nodeInfo.kernelVersion"},
    {"Container-Runtime", "string", "", "What runs the containers.", 1, text_or_unknown,
     "status.nodeInfo.containerRuntimeVersion"},
    {.name = NULL},
};

const TableColumn columns_event[] = {
    {"Last Seen", "string", "", "When it happened last.", 0, event_last_seen, NULL},
    {"Type", "string", "", "Its type.", 0, cell_text, "type"},
    {"Reason", "string", "", "The cause, as a word for programs.", 0, cell_text, "reason"},
    {"Object", "string", "", "What it is about.", 0, event_object, NULL},
    {"Subobject", "string", "", "Which part of that.", 1, cell_text, "involvedObject.fieldPath"},
    {"Source", "string", "", "Who says so.", 1, event_source, NULL},
    {"Message", "string", "", "The cause, for people.", 0, event_message, NULL},
    {"First Seen", "string", "", "When it happened first.", 1, event_first_seen, NULL},
    {"Count", "string", "", "How often it happened.", 1, event_count, NULL},
    {"Name", "string", "name", "Its name, unique in its namespace.", 1, cell_text, "metadata.name"},
    {.name = NULL},
};
