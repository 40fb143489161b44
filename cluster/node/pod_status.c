/* pod_status.c - a pod as the Kubernetes API shows it. */
#include "base/cleanup.h"
#include "pod_internal.h"

#include <stdint.h>
#include <string.h>

#define TIME_TEXT_MAX 32

static const char *format_time(time_t time, char text[TIME_TEXT_MAX])
{
    struct tm parts;
    strftime(text, TIME_TEXT_MAX, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&time, &parts));
    return text;
}

static const char *format_us(uint64_t microseconds, char text[TIME_TEXT_MAX])
{
    return format_time((time_t)(microseconds / 1000000), text);
}

static json_t *terminated_json(const ContainerRun *run)
{
    char started[TIME_TEXT_MAX], finished[TIME_TEXT_MAX];
    json_t *json = json_pack("{s:i, s:s, s:s, s:s}", "exitCode", run->exit_code, "reason",
                             run->exit_code == 0 ? "Completed" : "Error", "startedAt", format_us(run->started, started),
                             "finishedAt", format_us(run->finished, finished));
    if (json && run->signal)
        json_object_set_new(json, "signal", json_integer(run->signal));
    if (json && run->message[0])
        json_object_set_new(json, "message", json_string(run->message));
    return json_pack("{s:o}", "terminated", json);
}

static json_t *backoff_json(const ContainerStatus *status)
{
    char text[256];
    snprintf(text, sizeof text, "started again in %.1f s%s%s", (double)status->backoff_ns / 1e9,
             status->run->message[0] ? ": " : "", status->run->message);
    return json_pack("{s:{s:s, s:s}}", "waiting", "reason", "CrashLoopBackOff", "message", text);
}

static json_t *state_json(const ContainerStatus *status)
{
    char text[TIME_TEXT_MAX];
    switch (status->state) {
    case LIFE_RUNNING:
    case LIFE_ENDING:
    case LIFE_KILLING:
        return json_pack("{s:{s:s}}", "running", "startedAt", format_us(status->run->started, text));
    case LIFE_BACKOFF:
        return backoff_json(status);
    case LIFE_ENDED:
        if (status->starts > 0)
            return terminated_json(status->run);
        break;
    case LIFE_WAITING:
    case LIFE_STATES:
        break;
    }
    return json_pack("{s:{s:s}}", "waiting", "reason", "ContainerCreating");
}

static json_t *container_json(const Container *container, const ContainerStatus *status)
{
    const ContainerSpec *spec = container_spec(container);
    /* What ended last: in BACKOFF the newest run has, else the one before. */
    const ContainerRun *last = status->state == LIFE_BACKOFF ? status->run : status->before;
    json_t *json = json_pack("{s:s, s:s, s:s, s:b, s:b, s:i, s:o, s:o}", "name", spec->name, "image", spec->image,
                             "imageID", "", "ready", status->ready, "started", status->state == LIFE_RUNNING,
                             "restartCount", status->starts > 0 ? (int)status->starts - 1 : 0, "state",
                             state_json(status), "lastState", last ? terminated_json(last) : json_object());
    char id[32];
    snprintf(id, sizeof id, "process://%d", (int)status->pid);
    if (json && status->pid > 0)
        json_object_set_new(json, "containerID", json_string(id));
    return json;
}

/* As Kubernetes defines a pod's phase. */
static const char *phase(size_t n, size_t started, size_t alive, size_t succeeded)
{
    if (started < n)
        return "Pending";
    if (alive > 0)
        return "Running";
    return succeeded == n ? "Succeeded" : "Failed";
}

static json_t *condition(const char *type, bool status)
{
    return json_pack("{s:s, s:s}", "type", type, "status", status ? "True" : "False");
}

static json_t *status_json(const Pod *pod, const char *problem)
{
    size_t started = 0, alive = 0, succeeded = 0, ready = 0;
    json_t *containers = json_array();
    uint64_t first = 0;
    for (size_t i = 0; i < pod->n_containers; i++) {
        ContainerStatus status;
        container_status(pod->containers[i], &status);
        started += status.starts > 0;
        alive += status.starts > 0 && status.state != LIFE_ENDED;
        succeeded += status.state == LIFE_ENDED && status.run->exit_code == 0;
        ready += status.ready;
        if (status.run->started && (first == 0 || status.run->started < first))
            first = status.run->started;
        json_array_append_new(containers, container_json(pod->containers[i], &status));
    }
    char text[TIME_TEXT_MAX];
    bool all = ready == pod->n_containers;
    json_t *json = json_pack("{s:s, s:s, s:s, s:[{s:s}], s:s, s:[o, o], s:o}", "phase",
                             phase(pod->n_containers, started, alive, succeeded), "hostIP", pod->host->instance->node,
                             "podIP", pod->address, "podIPs", "ip", pod->address, "startTime",
                             format_time(pod->created, text), "conditions", condition("Ready", all),
                             condition("ContainersReady", all), "containerStatuses", containers);
    if (json && problem)
        json_object_set_new(json, "message", json_string(problem));
    return json;
}

static json_t *metadata_json(const Pod *pod)
{
    char text[TIME_TEXT_MAX];
    json_t *metadata = json_deep_copy(json_object_get(pod->spec->manifest, "metadata"));
    json_object_set_new(metadata, "namespace", json_string("default"));
    json_object_set_new(metadata, "uid", json_string(pod->uid));
    json_object_set_new(metadata, "creationTimestamp", json_string(format_time(pod->created, text)));
    if (pod->stopping)
        json_object_set_new(metadata, "deletionGracePeriodSeconds", json_integer(pod->spec->grace));
    return metadata;
}

json_t *pod_json(const Pod *pod, const char *problem)
{
    json_t *spec = json_deep_copy(json_object_get(pod->spec->manifest, "spec"));
    json_object_set_new(spec, "nodeName", json_string("node-1"));
    return json_pack("{s:s, s:s, s:o, s:o, s:o}", "apiVersion", "v1", "kind", "Pod", "metadata", metadata_json(pod),
                     "spec", spec, "status", status_json(pod, problem));
}

json_t *pod_broken_json(const char *name, const char *problem)
{
    return json_pack("{s:s, s:s, s:{s:s, s:s}, s:{s:[]}, s:{s:s, s:s, s:s, s:[]}}", "apiVersion", "v1", "kind", "Pod",
                     "metadata", "name", name, "namespace", "default", "spec", "containers", "status", "phase",
                     "Failed", "reason", "InvalidManifest", "message", problem, "containerStatuses");
}
