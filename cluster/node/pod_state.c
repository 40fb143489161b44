/* pod_state.c - the status of a pod as the node tells it to the API. */
#include "base/cleanup.h"
#include "kube/object.h"
#include "pod_internal.h"

#include <stdint.h>
#include <string.h>

static json_t *time_json(uint64_t microseconds)
{
    char text[KUBE_TIME_SIZE];
    if (microseconds == 0)
        return json_null();
    kube_time((time_t)(microseconds / 1000000), text);
    return json_string(text);
}

/* "process://PID"; false: unknown. */
static bool container_id(const ContainerRun *run, char ret[32])
{
    snprintf(ret, 32, "process://%d", (int)run->pid);
    return run->pid > 0;
}

static json_t *terminated_json(const ContainerRun *run)
{
    char id[32];
    const char *reason = run->reason[0] ? run->reason : run->exit_code == 0 ? "Completed" : "Error";
    json_t *json = json_pack("{s:i, s:s, s:o, s:o}", "exitCode", run->exit_code, "reason", reason, "startedAt",
                             time_json(run->started), "finishedAt", time_json(run->finished));
    if (json && container_id(run, id))
        json_object_set_new(json, "containerID", json_string(id));
    if (json && run->signal)
        json_object_set_new(json, "signal", json_integer(run->signal));
    if (json && run->message[0])
        json_object_set_new(json, "message", json_string(run->message));
    return json_pack("{s:o}", "terminated", json);
}

static json_t *waiting_json(const char *reason, const char *message)
{
    return message ? json_pack("{s:{s:s, s:s}}", "waiting", "reason", reason, "message", message)
                   : json_pack("{s:{s:s}}", "waiting", "reason", reason);
}

/* The whole pause, not what is left of it: the status is not to change while nothing happens. */
static json_t *backoff_json(const Pod *pod, const ContainerSpec *spec, const ContainerStatus *status)
{
    char text[512];
    snprintf(text, sizeof text, "back-off restarting failed container=%s pod=%s_%s(%s)", spec->name, pod->spec->name,
             pod->spec->namespace, pod->spec->uid);
    return waiting_json("CrashLoopBackOff", text);
}

static json_t *state_json(const Pod *pod, const ContainerSpec *spec, const ContainerStatus *status, bool initializing)
{
    switch (status->state) {
    case LIFE_RUNNING:
    case LIFE_ENDING:
    case LIFE_KILLING:
        return json_pack("{s:{s:o}}", "running", "startedAt", time_json(status->run->started));
    case LIFE_BACKOFF:
        return status->waiting ? waiting_json(status->waiting, status->message) : backoff_json(pod, spec, status);
    case LIFE_ENDED:
        if (status->starts > 0 && !status->waiting)
            return terminated_json(status->run);
        break;
    case LIFE_WAITING:
    case LIFE_STATES:
        break;
    }
    if (status->waiting)
        return waiting_json(status->waiting, status->message);
    return waiting_json(initializing ? "PodInitializing" : "ContainerCreating", NULL);
}

static json_t *container_json(const Pod *pod, const Container *container, const ContainerStatus *status)
{
    const ContainerSpec *spec = container_spec(container);
    bool ended = status->state == LIFE_BACKOFF || status->state == LIFE_WAITING;
    bool initializing = pod->spec->n_init > 0 && !pod->initialized;
    /* What ended last: before a new start the newest run has, else the one before. */
    const ContainerRun *last = ended ? (status->run->finished ? status->run : NULL) : status->before;
    char id[32];
    bool started = status->started || (status->state == LIFE_RUNNING && spec->startup.kind == PROBE_NONE);
    json_t *json = json_pack("{s:s, s:s, s:s, s:b, s:b, s:i, s:o, s:o}", "name", spec->name, "image", spec->image,
                             "imageID", "", "ready", status->ready, "started", started, "restartCount",
                             (int)status->restarts, "state", state_json(pod, spec, status, initializing), "lastState",
                             last ? terminated_json(last) : json_object());
    if (json && container_id(status->run, id)) {
        json_object_set_new(json, "containerID", json_string(id));
        json_object_set_new(json, "imageID", json_string(spec->image));
    }
    return json;
}

typedef struct Summary {
    size_t n, started, alive, succeeded, ready;
} Summary;

/* An init container is ready when it has succeeded. */
static json_t *list_json(const Pod *pod, Container *const *containers, size_t n, bool init, Summary *summary)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) {
        ContainerStatus status;
        container_status(containers[i], &status);
        bool ran = status.starts > 0 && !status.waiting;
        bool success = status.state == LIFE_ENDED && ran && status.run->exit_code == 0;
        if (init)
            status.ready = success;
        summary->n++;
        summary->started += ran || status.restarts > 0;
        summary->alive += status.state != LIFE_ENDED;
        summary->succeeded += success;
        summary->ready += status.ready;
        json_array_append_new(list, container_json(pod, containers[i], &status));
    }
    return list;
}

/* As Kubernetes defines a pod's phase. */
static const char *phase(const Pod *pod, const Summary *summary)
{
    if (pod->init_failed)
        return "Failed";
    if (summary->started < summary->n)
        return "Pending";
    if (summary->alive > 0)
        return "Running";
    return summary->succeeded == summary->n ? "Succeeded" : "Failed";
}

/* The names of what is not, as Kubernetes lists them: "[a b]". */
static void list_names(const Pod *pod, Container *const *containers, size_t n, bool init, char *ret, size_t size)
{
    size_t used = (size_t)snprintf(ret, size, "[");
    for (size_t i = 0; i < n && used < size; i++) {
        ContainerStatus status;
        container_status(containers[i], &status);
        bool good = init ? status.state == LIFE_ENDED && status.run->exit_code == 0 && status.starts > 0 : status.ready;
        if (!good)
            used += (size_t)snprintf(ret + used, size - used, "%s%s", used > 1 ? " " : "",
                                     container_spec(containers[i])->name);
    }
    if (used < size)
        snprintf(ret + used, size - used, "]");
}

static void set_conditions(const Pod *pod, json_t *holder, const Summary *summary, const char *phase_name, time_t now)
{
    char names[512], text[600];
    bool completed = strcmp(phase_name, "Succeeded") == 0, ready = summary->ready == summary->n && !completed;
    if (pod->initialized || pod->n_init == 0) {
        kube_set_condition(holder, "Initialized", "True", completed ? "PodCompleted" : "", "", now);
    } else {
        list_names(pod, pod->init, pod->n_init, true, names, sizeof names);
        snprintf(text, sizeof text, "containers with incomplete status: %s", names);
        kube_set_condition(holder, "Initialized", "False", "ContainersNotInitialized", text, now);
    }
    list_names(pod, pod->containers, pod->n_containers, false, names, sizeof names);
    snprintf(text, sizeof text, "containers with unready status: %s", names);
    const char *reason = ready ? "" : completed ? "PodCompleted" : "ContainersNotReady";
    kube_set_condition(holder, "Ready", ready ? "True" : "False", reason, ready || completed ? "" : text, now);
    kube_set_condition(holder, "ContainersReady", ready ? "True" : "False", reason, ready || completed ? "" : text,
                       now);
    if (!kube_condition(holder, "PodScheduled"))
        kube_set_condition(holder, "PodScheduled", "True", "", "", now);
}

json_t *pod_status(const Pod *pod, const json_t *old, time_t now)
{
    Summary init = {0}, summary = {0};
    json_t *init_list = list_json(pod, pod->init, pod->n_init, true, &init);
    json_t *list = list_json(pod, pod->containers, pod->n_containers, false, &summary);
    const json_t *conditions = json_object_get(old, "conditions");
    const char *name = phase(pod, &summary), *start = kube_string(old, "startTime");
    char text[KUBE_TIME_SIZE];
    kube_time(pod->created, text);
    json_t *holder = json_pack("{s:{s:s, s:s, s:s, s:[{s:s}], s:s, s:o, s:o}}", "status", "phase", name, "hostIP",
                               pod->host->instance->node, "podIP", pod->address, "podIPs", "ip", pod->address,
                               "startTime", start[0] ? start : text, "containerStatuses", list, "conditions",
                               conditions ? json_deep_copy(conditions) : json_array());
    if (!holder) {
        json_decref(init_list);
        return NULL;
    }
    json_t *status = json_object_get(holder, "status");
    if (json_array_size(init_list) > 0)
        json_object_set(status, "initContainerStatuses", init_list);
    json_decref(init_list);
    set_conditions(pod, holder, &summary, name, now);
    json_incref(status);
    json_decref(holder);
    return status;
}
