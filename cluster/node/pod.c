#include "pod.h"

#include "base/cleanup.h"
#include "base/files.h"
#include "base/soon.h"
#include "cluster/users.h"
#include "container_setup.h"
#include "pod_internal.h"

#include <errno.h>
#include <string.h>

/* --- what its containers tell ----------------------------------------------------- */

/* Before the next pod gets its user, nothing has it. */
static void sweep(const Pod *pod)
{
    if (pod->host->users)
        child_sweep_users(pod->own, pod->own);
}

static int handle_gone(sd_event_source *source, void *userdata)
{
    Pod *pod = userdata;
    pod->gone_source = sd_event_source_disable_unref(pod->gone_source);
    sweep(pod);
    pod->options.gone(pod->options.userdata, pod);
    return 0;
}

/* From the loop, since a container must not be freed from within its own call. */
static void check_gone(Pod *pod)
{
    if (pod->stopping && pod->ended == pod->n_containers + pod->n_init)
        soon(pod->host->event, &pod->gone_source, handle_gone, pod);
}

static void handle_ended(void *userdata)
{
    Pod *pod = userdata;
    pod->ended++;
    check_gone(pod);
}

static void handle_changed(void *userdata)
{
    Pod *pod = userdata;
    if (pod->options.changed)
        pod->options.changed(pod->options.userdata, pod);
}

static void handle_event(void *userdata, const ContainerSpec *spec, const char *type, const char *reason,
                         const char *message)
{
    Pod *pod = userdata;
    if (pod->options.event)
        pod->options.event(pod->options.userdata, pod, spec, type, reason, message);
}

static void handle_fenced(void *userdata)
{
    Pod *pod = userdata;
    if (!pod->stopping)
        pod_resources_attach_again(pod->resources);
}

void pod_update(Pod *pod, const json_t *object)
{
    if (pod->resources && !pod->stopping)
        pod_resources_update(pod->resources, object);
}

/* --- init containers -------------------------------------------------------------- */

static int handle_init_step(sd_event_source *source, void *userdata)
{
    Pod *pod = userdata;
    pod->init_source = sd_event_source_disable_unref(pod->init_source);
    if (pod->stopping)
        return 0;
    if (pod->next_init < pod->n_init) {
        container_start(pod->init[pod->next_init]);
        return 0;
    }
    pod->initialized = true;
    for (size_t i = 0; i < pod->n_containers; i++)
        container_start(pod->containers[i]);
    handle_changed(pod);
    return 0;
}

static void handle_init_ended(void *userdata)
{
    Pod *pod = userdata;
    ContainerStatus status;
    pod->ended++;
    if (!pod->stopping) {
        container_status(pod->init[pod->next_init], &status);
        if (status.run->exit_code == 0) {
            pod->next_init++;
            soon(pod->host->event, &pod->init_source, handle_init_step, pod);
        } else {
            pod->init_failed = true;
        }
    }
    check_gone(pod);
}

/* --- making it ------------------------------------------------------------------------ */

static const json_t *status_of(const json_t *status, const char *list, const char *name)
{
    size_t i;
    const json_t *item;
    json_array_foreach(json_object_get(status, list), i,
                       item) if (strcmp(kube_string(item, "name"), name) == 0) return item;
    return NULL;
}

/* How it ended in an earlier life, as far as the API knows. Returns the number of its runs. */
static unsigned read_last(const json_t *status, ContainerRun *ret)
{
    const json_t *terminated = kube_get(status, "state.terminated");
    bool ran = terminated || kube_get(status, "state.running");
    int64_t restarts = kube_integer(status, "restartCount", 0);
    if (!ran && !kube_get(status, "lastState.terminated"))
        return 0;
    if (!terminated && !kube_get(status, "state.running"))
        terminated = kube_get(status, "lastState.terminated");
    *ret = (ContainerRun){.exit_code = (int)kube_integer(terminated, "exitCode", 137)};
    kube_time_parse(kube_string(terminated, "startedAt"), &ret->started);
    kube_time_parse(kube_string(terminated, "finishedAt"), &ret->finished);
    snprintf(ret->reason, sizeof ret->reason, "%.31s", kube_string(terminated, "reason"));
    const char *id = kube_string(status, "containerID");
    if (strncmp(id, "process://", 10) == 0)
        ret->pid = (pid_t)strtol(id + 10, NULL, 10);
    if (!terminated) { /* it ran when the node ended */
        kube_time_parse(kube_string(status, "state.running.startedAt"), &ret->started);
        ret->finished = (uint64_t)time(NULL) * 1000000;
        snprintf(ret->message, sizeof ret->message, "the node ended");
    }
    return (unsigned)(restarts > 0 && restarts < INT32_MAX ? restarts : 0) + 1;
}

static int add_container(Pod *pod, bool init, size_t index, InaError *error)
{
    const ContainerSpec *spec = init ? &pod->spec->init[index] : &pod->spec->containers[index];
    ContainerRun *last = &pod->last[init ? pod->spec->n_containers + index : index];
    const json_t *old =
        status_of(pod->options.status, init ? "initContainerStatuses" : "containerStatuses", spec->name);
    unsigned runs = read_last(old, last);
    ContainerOptions options = {
        .host = pod->host,
        .pod = pod->spec,
        .spec = spec,
        .address = pod->address,
        .first = index == 0 && !init,
        .init = init,
        .folder = pod->folder,
        .own = pod->own,
        .resources = pod->resources,
        .runs = runs,
        .last = runs > 0 ? last : NULL,
        .changed = handle_changed,
        .event = handle_event,
        .fenced = handle_fenced,
        .ended = init ? handle_init_ended : handle_ended,
        .userdata = pod,
    };
    int r = container_new(&options, init ? &pod->init[index] : &pod->containers[index], error);
    if (r == 0)
        *(init ? &pod->n_init : &pod->n_containers) += 1;
    return r;
}

static void handle_ready(void *userdata)
{
    Pod *pod = userdata;
    soon(pod->host->event, &pod->init_source, handle_init_step, pod);
}

static void handle_problem(void *userdata, const char *reason, const char *message)
{
    Pod *pod = userdata;
    if (pod->options.event)
        pod->options.event(pod->options.userdata, pod, NULL, "Warning", reason, message);
}

static int make_resources(Pod *pod, InaError *error)
{
    PodResourcesOptions options = {
        .client = pod->options.client,
        .event = pod->host->event,
        .pod = pod->spec,
        .folder = pod->folder,
        .node = pod->host->node,
        .address = pod->address,
        .host_address = pod->host->instance->node,
        .ca_file = pod->options.ca_file,
        .data = pod->host->instance->data,
        .users = pod->host->users,
        .own = pod->own,
        .ready = handle_ready,
        .problem = handle_problem,
        .userdata = pod,
    };
    return pod_resources_new(&options, &pod->resources, error);
}

static int make_parts(Pod *pod, InaError *error)
{
    const PodSpec *spec = pod->spec;
    int r = 0;
    pod->containers = calloc(spec->n_containers + 1, sizeof(Container *));
    pod->init = calloc(spec->n_init + 1, sizeof(Container *));
    pod->last = calloc(spec->n_containers + spec->n_init + 1, sizeof *pod->last);
    if (asprintf(&pod->folder, "%s/pods/%s", pod->host->folder, spec->uid) < 0)
        pod->folder = NULL;
    if (!pod->containers || !pod->init || !pod->last || !pod->folder)
        return ina_error_set(error, ENOMEM, "out of memory");
    if ((r = folder_make(pod->folder, 0700, error)) < 0 ||
        (pod->host->users && (r = users_set(pod->folder, 0, (gid_t)pod->own, 0710, error)) < 0) ||
        (r = make_resources(pod, error)) < 0)
        return r;
    for (size_t i = 0; r == 0 && i < spec->n_init; i++)
        r = add_container(pod, true, i, error);
    for (size_t i = 0; r == 0 && i < spec->n_containers; i++)
        r = add_container(pod, false, i, error);
    return r;
}

int pod_new(const PodOptions *options, PodSpec *spec, Pod **ret, InaError *error)
{
    Pod *pod = calloc(1, sizeof *pod);
    if (!pod) {
        pod_spec_free(spec);
        return ina_error_set(error, ENOMEM, "out of memory");
    }
    *pod = (Pod){.options = *options, .host = options->host, .spec = spec, .address_number = options->address_number};
    snprintf(pod->address, sizeof pod->address, "%s%u", pod->host->instance->pods, pod->address_number);
    pod->own = users_of_pod(pod->host->instance, pod->address_number);
    pod->created = time(NULL);
    int r = make_parts(pod, error);
    pod->options.status = NULL;
    if (r < 0) {
        pod_free(pod, true);
        return r;
    }
    *ret = pod;
    return 0;
}

/* --- its life ------------------------------------------------------------------------- */

static void each_container(Pod *pod, void (*call)(Container *container))
{
    for (size_t i = 0; i < pod->n_init; i++)
        call(pod->init[i]);
    for (size_t i = 0; i < pod->n_containers; i++)
        call(pod->containers[i]);
}

void pod_stop(Pod *pod)
{
    if (pod->stopping)
        return;
    pod->stopping = true;
    each_container(pod, container_stop);
    check_gone(pod); /* they may all have ended long ago */
}

void pod_stop_within(Pod *pod, int64_t grace)
{
    uint64_t ns = (uint64_t)(grace < 0 ? 0 : grace > 86400 ? 86400 : grace) * LIFE_SECOND;
    pod->stopping = true;
    for (size_t i = 0; i < pod->n_init; i++)
        container_stop_within(pod->init[i], ns);
    for (size_t i = 0; i < pod->n_containers; i++)
        container_stop_within(pod->containers[i], ns);
    check_gone(pod);
}

void pod_end(Pod *pod)
{
    pod_stop(pod);
    each_container(pod, container_kill);
}

unsigned pod_address_number(const Pod *pod)
{
    return pod->address_number;
}

void pod_each(const Pod *pod, void (*each)(void *userdata, const Container *container), void *userdata)
{
    for (size_t i = 0; i < pod->n_init; i++)
        each(userdata, pod->init[i]);
    for (size_t i = 0; i < pod->n_containers; i++)
        each(userdata, pod->containers[i]);
}

Container *pod_container(const Pod *pod, const char *name)
{
    for (size_t i = 0; i < pod->n_containers; i++)
        if (!name || strcmp(container_spec(pod->containers[i])->name, name) == 0)
            return pod->containers[i];
    for (size_t i = 0; i < pod->n_init; i++)
        if (strcmp(container_spec(pod->init[i])->name, name) == 0)
            return pod->init[i];
    return NULL;
}

Pod *pod_free(Pod *pod, bool forever)
{
    if (!pod)
        return NULL;
    sd_event_source_disable_unref(pod->gone_source);
    sd_event_source_disable_unref(pod->init_source);
    for (size_t i = 0; pod->containers && i < pod->n_containers; i++)
        container_free(pod->containers[i]);
    for (size_t i = 0; pod->init && i < pod->n_init; i++)
        container_free(pod->init[i]);
    free(pod->containers);
    free(pod->init);
    free(pod->last);
    pod_resources_free(pod->resources);
    if (pod->folder && forever) /* what emptyDir volumes held goes with the pod */
        folder_remove(pod->folder, NULL);
    free(pod->folder);
    pod_spec_free(pod->spec);
    free(pod);
    return NULL;
}
