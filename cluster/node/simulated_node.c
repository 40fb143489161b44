#include "simulated_node.h"

#include "base/cleanup.h"
#include "base/map.h"
#include "kube_node.h"
#include "registration.h"

#include <errno.h>
#include <string.h>

#define RETRY_US 500000

/* A pod that has to be told something; at most one request of it is under way. */
typedef struct Task {
    struct Task *next;
    SimulatedNodes *nodes;
    json_t *object; /* as last seen */
    KubeRequest *request;
    bool queued, gone;
} Task;

struct SimulatedNodes {
    sd_event *event;
    SimulatedNodesOptions options;
    KubeClient *client;
    KubeInformer *pods;
    Registration **registrations;
    unsigned registered;
    Map *tasks; /* uid -> Task */
    Task *first, *last;
    unsigned under_way;
    sd_event_source *retry;
    uint64_t address; /* the next one given */
    bool synced, told;
};

static void send_next(SimulatedNodes *nodes);

static void check_ready(SimulatedNodes *nodes)
{
    if (nodes->told || !nodes->synced || nodes->registered < nodes->options.count)
        return;
    nodes->told = true;
    if (nodes->options.ready)
        nodes->options.ready(nodes->options.userdata);
}

static void handle_registered(void *userdata, const json_t *node)
{
    SimulatedNodes *nodes = userdata;
    nodes->registered++;
    check_ready(nodes);
}

/* --- pods ---------------------------------------------------------------------------- */

static bool is_ours(const SimulatedNodes *nodes, const json_t *pod)
{
    const char *name = kube_string(pod, "spec.nodeName");
    char *end = NULL;
    unsigned long number = strncmp(name, "node-", 5) == 0 ? strtoul(name + 5, &end, 10) : 0;
    return number >= 1 && number <= nodes->options.count && *end == '\0';
}

static bool has_work(const SimulatedNodes *nodes, const json_t *pod)
{
    if (!is_ours(nodes, pod))
        return false;
    return kube_deleting(pod) || (!kube_pod_ended(pod) && !kube_pod_ready(pod));
}

static void enqueue(Task *task)
{
    SimulatedNodes *nodes = task->nodes;
    if (task->queued || task->request)
        return;
    task->queued = true;
    task->next = NULL;
    if (nodes->last)
        nodes->last->next = task;
    else
        nodes->first = task;
    nodes->last = task;
}

static void task_free(Task *task)
{
    json_decref(task->object);
    free(task);
}

static int handle_retry(sd_event_source *source, uint64_t time, void *userdata)
{
    SimulatedNodes *nodes = userdata;
    nodes->retry = sd_event_source_disable_unref(nodes->retry);
    send_next(nodes);
    return 0;
}

static void handle_sent(void *userdata, const KubeReply *reply)
{
    Task *task = userdata;
    SimulatedNodes *nodes = task->nodes;
    task->request = NULL;
    nodes->under_way--;
    if (task->gone) {
        task_free(task);
    } else if (reply->status == 0 || reply->status >= 500) {
        enqueue(task);
        if (!nodes->retry)
            sd_event_add_time_relative(nodes->event, &nodes->retry, CLOCK_MONOTONIC, RETRY_US, 1000, handle_retry,
                                       nodes);
        return;
    } else if (reply->status == 200 && reply->object && strcmp(kube_uid(reply->object), kube_uid(task->object)) == 0 &&
               kube_revision(reply->object) > kube_revision(task->object)) {
        json_decref(task->object);
        task->object = json_incref((json_t *)reply->object);
    }
    send_next(nodes);
}

static json_t *running_status(SimulatedNodes *nodes, const json_t *pod)
{
    char now[KUBE_TIME_SIZE], address[32];
    size_t i;
    const json_t *container;
    time_t seconds = time(NULL);
    kube_time(seconds, now);
    uint64_t number = nodes->address++;
    snprintf(address, sizeof address, "127.%ju.%ju.%ju", (uintmax_t)(64 + number / 64516 % 64),
             (uintmax_t)(number / 254 % 254), (uintmax_t)(1 + number % 254));
    json_t *list = json_array();
    json_array_foreach(kube_get(pod, "spec.containers"), i, container) json_array_append_new(
        list, json_pack("{s:s, s:s, s:s, s:b, s:b, s:i, s:{s:{s:s}}, s:{}}", "name", kube_string(container, "name"),
                        "image", kube_string(container, "image"), "imageID", "", "ready", 1, "started", 1,
                        "restartCount", 0, "state", "running", "startedAt", now, "lastState"));
    const json_t *conditions = kube_get(pod, "status.conditions");
    json_t *holder = json_pack("{s:{s:s, s:s, s:[{s:s}], s:s, s:o, s:o}}", "status", "phase", "Running", "podIP",
                               address, "podIPs", "ip", address, "startTime", now, "containerStatuses", list,
                               "conditions", conditions ? json_deep_copy(conditions) : json_array());
    static const char *const types[] = {"Initialized", "Ready", "ContainersReady", "PodScheduled"};
    for (size_t t = 0; holder && t < sizeof types / sizeof *types; t++)
        kube_set_condition(holder, types[t], "True", "", "", seconds);
    return holder;
}

static KubeRequest *send_task(Task *task)
{
    SimulatedNodes *nodes = task->nodes;
    const json_t *pod = task->object;
    bool deleting = kube_deleting(pod);
    AUTO_FREE char *path = NULL;
    AUTO_JSON json_t *body = deleting
                                 ? json_pack("{s:s, s:s, s:i, s:{s:s}}", "apiVersion", "v1", "kind", "DeleteOptions",
                                             "gracePeriodSeconds", 0, "preconditions", "uid", kube_uid(pod))
                                 : running_status(nodes, pod);
    if (asprintf(&path, "/api/v1/namespaces/%s/pods/%s%s", kube_namespace(pod), kube_name(pod),
                 deleting ? "" : "/status") < 0)
        path = NULL;
    if (!path || !body)
        return NULL;
    return kube_request(nodes->client, deleting ? "DELETE" : "PATCH", path, deleting ? NULL : KUBE_MERGE_PATCH, body,
                        handle_sent, task, NULL);
}

static void send_next(SimulatedNodes *nodes)
{
    while (nodes->first && nodes->under_way < SIMULATED_REQUESTS_MAX && !nodes->retry) {
        Task *task = nodes->first;
        nodes->first = task->next;
        if (!nodes->first)
            nodes->last = NULL;
        task->queued = false;
        if (task->gone) {
            task_free(task);
            continue;
        }
        if (!has_work(nodes, task->object))
            continue;
        task->request = send_task(task);
        if (task->request)
            nodes->under_way++;
    }
}

static void handle_pod(void *userdata, KubeChange change, const json_t *object, const json_t *old)
{
    SimulatedNodes *nodes = userdata;
    Task *task = map_get(nodes->tasks, kube_uid(object));
    if (change == KUBE_DELETED) {
        map_remove(nodes->tasks, kube_uid(object));
        if (task && !task->request && !task->queued)
            task_free(task);
        else if (task)
            task->gone = true; /* freed where it is taken out, or answered */
        return;
    }
    if (!task) {
        if (!is_ours(nodes, object) || !(task = calloc(1, sizeof *task)))
            return;
        task->nodes = nodes;
        if (map_set(nodes->tasks, kube_uid(object), task) < 0) {
            free(task);
            return;
        }
    }
    json_incref((json_t *)object);
    json_decref(task->object);
    task->object = (json_t *)object;
    if (has_work(nodes, object))
        enqueue(task);
    send_next(nodes);
}

static void handle_synced(void *userdata, bool connected)
{
    SimulatedNodes *nodes = userdata;
    nodes->synced = nodes->synced || connected;
    check_ready(nodes);
}

/* --- all of them ------------------------------------------------------------------------ */

static int register_all(SimulatedNodes *nodes, InaError *error)
{
    nodes->registrations = calloc(nodes->options.count, sizeof(Registration *));
    if (!nodes->registrations)
        return ina_error_set(error, ENOMEM, "out of memory");
    for (unsigned i = 0; i < nodes->options.count; i++) {
        char name[32], address[32], pods[32];
        snprintf(name, sizeof name, "node-%u", i + 1);
        snprintf(address, sizeof address, "127.60.%u.%u", i / 250, 1 + i % 250);
        snprintf(pods, sizeof pods, "127.%u.%u.", 64 + i / 250, i % 250);
        RegistrationOptions options = {
            .event = nodes->event,
            .client = nodes->client,
            .name = name,
            .address = address,
            .pods = pods,
            .pods_max = NODE_PODS_MAX,
            .cpu_milli = 8000,
            .memory = INT64_C(32) << 30,
            .registered = handle_registered,
            .userdata = nodes,
        };
        int r = registration_new(&options, &nodes->registrations[i], error);
        if (r < 0)
            return r;
    }
    return 0;
}

static int start(SimulatedNodes *nodes, InaError *error)
{
    const SimulatedNodesOptions *options = &nodes->options;
    AUTO_FREE char *ca = NULL, *certificate = NULL, *key = NULL;
    if (asprintf(&ca, "%s/ca.pem", options->pki) < 0)
        ca = NULL;
    if (asprintf(&certificate, "%s/%s.pem", options->pki, options->certificate) < 0)
        certificate = NULL;
    if (asprintf(&key, "%s/%s-key.pem", options->pki, options->certificate) < 0)
        key = NULL;
    if (!ca || !certificate || !key)
        return ina_error_set(error, ENOMEM, "out of memory");
    KubeClientOptions client = {
        .url = options->server, .ca_file = ca, .certificate_file = certificate, .key_file = key};
    KubeInformerOptions pods = {
        .path = "/api/v1/pods", .changed = handle_pod, .synced = handle_synced, .userdata = nodes};
    int r = kube_client_new(nodes->event, &client, &nodes->client, error);
    if (r < 0 || (r = register_all(nodes, error)) < 0)
        return r;
    nodes->pods = kube_informer_new(nodes->client, &pods, error);
    return nodes->pods ? 0 : -EIO;
}

int simulated_nodes_new(sd_event *event, const SimulatedNodesOptions *options, SimulatedNodes **ret, InaError *error)
{
    SimulatedNodes *nodes = calloc(1, sizeof *nodes);
    if (!nodes || !(nodes->tasks = map_new())) {
        free(nodes);
        return ina_error_set(error, ENOMEM, "out of memory");
    }
    nodes->event = sd_event_ref(event);
    nodes->options = *options;
    int r = start(nodes, error);
    if (r < 0) {
        simulated_nodes_free(nodes);
        return r;
    }
    *ret = nodes;
    return 0;
}

SimulatedNodes *simulated_nodes_free(SimulatedNodes *nodes)
{
    if (!nodes)
        return NULL;
    size_t position = 0;
    const char *key;
    void *value;
    kube_informer_free(nodes->pods);
    while (nodes->first) { /* those that are gone are nowhere else */
        Task *task = nodes->first;
        nodes->first = task->next;
        if (task->gone)
            task_free(task);
    }
    while (map_next(nodes->tasks, &position, &key, &value)) {
        Task *task = value;
        kube_request_cancel(task->request);
        task_free(task);
    }
    map_free(nodes->tasks);
    for (unsigned i = 0; nodes->registrations && i < nodes->options.count; i++)
        registration_free(nodes->registrations[i]);
    free(nodes->registrations);
    sd_event_source_disable_unref(nodes->retry);
    kube_client_free(nodes->client);
    sd_event_unref(nodes->event);
    free(nodes);
    return NULL;
}
