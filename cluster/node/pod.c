#include "pod.h"

#include "base/cleanup.h"
#include "base/files.h"
#include "container_setup.h"
#include "pod_internal.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

static void make_uid(char *ret, size_t size)
{
    unsigned char r[16] = {0};
    if (getrandom(r, sizeof r, 0) < 0)
        memset(r, 0, sizeof r);
    snprintf(ret, size, "%02x%02x%02x%02x-%02x%02x-4%x%02x-8%x%02x-%02x%02x%02x%02x%02x%02x", r[0], r[1], r[2], r[3],
             r[4], r[5], r[6] & 15, r[7], r[8] & 15, r[9], r[10], r[11], r[12], r[13], r[14], r[15]);
}

static int handle_gone(sd_event_source *source, void *userdata)
{
    Pod *pod = userdata;
    pod->gone_source = sd_event_source_disable_unref(pod->gone_source);
    pod->gone(pod->userdata, pod);
    return 0;
}

/* From the loop, since a container must not be freed from within its own call. */
static void check_gone(Pod *pod)
{
    if (pod->stopping && pod->ended == pod->n_containers && !pod->gone_source)
        sd_event_add_defer(pod->host->event, &pod->gone_source, handle_gone, pod);
}

static void handle_ended(void *userdata)
{
    Pod *pod = userdata;
    pod->ended++;
    check_gone(pod);
}

static int add_container(Pod *pod, size_t index, InaError *error)
{
    ContainerOptions options = {
        .host = pod->host,
        .pod = pod->spec,
        .spec = &pod->spec->containers[index],
        .address = pod->address,
        .first = index == 0,
        .ended = handle_ended,
        .userdata = pod,
    };
    int r = container_new(&options, &pod->containers[index], error);
    if (r == 0)
        pod->n_containers++;
    return r;
}

int pod_new(const ContainerHost *host, PodSpec *spec, unsigned address_number, void (*gone)(void *userdata, Pod *pod),
            void *userdata, Pod **ret, InaError *error)
{
    Pod *pod = calloc(1, sizeof *pod);
    if (!pod) {
        manifest_free(spec);
        return ina_error_set(error, ENOMEM, "out of memory");
    }
    *pod = (Pod){.host = host, .spec = spec, .address_number = address_number, .gone = gone, .userdata = userdata};
    snprintf(pod->address, sizeof pod->address, "%s%u", host->instance->pods, address_number);
    make_uid(pod->uid, sizeof pod->uid);
    pod->created = time(NULL);
    pod->containers = calloc(spec->n_containers, sizeof(Container *));
    int r = pod->containers ? 0 : ina_error_set(error, ENOMEM, "out of memory");
    for (size_t i = 0; r == 0 && i < spec->n_containers; i++)
        r = add_container(pod, i, error);
    if (r < 0) {
        pod_free(pod);
        return r;
    }
    *ret = pod;
    return 0;
}

void pod_start(Pod *pod)
{
    for (size_t i = 0; i < pod->n_containers; i++)
        container_start(pod->containers[i]);
}

void pod_stop(Pod *pod)
{
    if (pod->stopping)
        return;
    pod->stopping = true;
    for (size_t i = 0; i < pod->n_containers; i++)
        container_stop(pod->containers[i]);
    check_gone(pod); /* they may all have ended long ago */
}

void pod_kill(Pod *pod)
{
    for (size_t i = 0; i < pod->n_containers; i++)
        container_kill(pod->containers[i]);
}

bool pod_stopping(const Pod *pod)
{
    return pod->stopping;
}

const PodSpec *pod_spec(const Pod *pod)
{
    return pod->spec;
}

const char *pod_address(const Pod *pod)
{
    return pod->address;
}

unsigned pod_address_number(const Pod *pod)
{
    return pod->address_number;
}

bool pod_running(const Pod *pod)
{
    for (size_t i = 0; i < pod->n_containers; i++) {
        ContainerStatus status;
        container_status(pod->containers[i], &status);
        if (status.state != LIFE_RUNNING)
            return false;
    }
    return true;
}

Container *pod_container(const Pod *pod, const char *name)
{
    for (size_t i = 0; i < pod->n_containers; i++)
        if (!name || strcmp(container_spec(pod->containers[i])->name, name) == 0)
            return pod->containers[i];
    return NULL;
}

/* What emptyDir volumes held goes with the pod. */
static void remove_scratch(const Pod *pod)
{
    AUTO_FREE char *name = NULL;
    if (asprintf(&name, "pods/%s", pod->spec->name) < 0)
        name = NULL;
    AUTO_FREE char *folder = name ? instance_path(pod->host->instance, name) : NULL;
    if (folder && access(folder, F_OK) == 0)
        folder_remove(folder, NULL);
}

Pod *pod_free(Pod *pod)
{
    if (!pod)
        return NULL;
    sd_event_source_disable_unref(pod->gone_source);
    for (size_t i = 0; pod->containers && i < pod->n_containers; i++)
        container_free(pod->containers[i]);
    free(pod->containers);
    remove_scratch(pod);
    manifest_free(pod->spec);
    free(pod);
    return NULL;
}
