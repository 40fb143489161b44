/* api_start.c - what every cluster has: its first namespaces, the service that
 * leads to the API, and the storage class of local folders. */
#include "api_internal.h"

#include <string.h>

#define READY_PAUSE UINT64_C(10000)   /* us, until the store is asked again whether it is ready */
#define AGAIN_PAUSE UINT64_C(1000000) /* us, after a failure */

static const char *const namespaces[] = {"default", "kube-system", "kube-public", "kube-node-lease"};
#define NAMESPACES (sizeof namespaces / sizeof *namespaces)

static json_t *make_namespace(const char *name)
{
    return json_pack("{s:s, s:s, s:{s:s}}", "apiVersion", "v1", "kind", "Namespace", "metadata", "name", name);
}

static json_t *make_storage_class(void)
{
    return json_pack("{s:s, s:s, s:{s:s, s:{s:s}}, s:s, s:s, s:s}", "apiVersion", "storage.k8s.io/v1", "kind",
                     "StorageClass", "metadata", "name", RESOURCE_STORAGE_CLASS, "annotations",
                     "storageclass.kubernetes.io/is-default-class", "true", "provisioner", RESOURCE_PROVISIONER,
                     "reclaimPolicy", "Delete", "volumeBindingMode", "Immediate");
}

/* The port of "127.17.8.20:10260"; 0: none. */
static int port_of(const char *address)
{
    const char *colon = address ? strrchr(address, ':') : NULL;
    long port = colon ? strtol(colon + 1, NULL, 10) : 0;
    return port > 0 && port < 65536 ? (int)port : 0;
}

static json_t *make_service(const Api *api)
{
    return json_pack("{s:s, s:s, s:{s:s, s:s, s:{s:s, s:s}}, s:{s:s, s:[{s:s, s:s, s:i, s:i}]}}", "apiVersion", "v1",
                     "kind", "Service", "metadata", "name", "kubernetes", "namespace", "default", "labels", "component",
                     "apiserver", "provider", "kubernetes", "spec", "clusterIP", api->cluster_ip, "ports", "name",
                     "https", "protocol", "TCP", "port", 443, "targetPort", port_of(api->address));
}

static json_t *make_endpoints(const Api *api)
{
    char ip[64];
    snprintf(ip, sizeof ip, "%.*s", (int)strcspn(api->address, ":"), api->address);
    return json_pack("{s:s, s:s, s:{s:s, s:s}, s:[{s:[{s:s}], s:[{s:s, s:i, s:s}]}]}", "apiVersion", "v1", "kind",
                     "Endpoints", "metadata", "name", "kubernetes", "namespace", "default", "subsets", "addresses",
                     "ip", ip, "ports", "name", "https", "port", port_of(api->address), "protocol", "TCP");
}

/* Step by step, each once the one before is there. */
typedef struct Start {
    Api *api;
    size_t step;
} Start;

static int on_start(sd_event_source *source, uint64_t us, void *userdata);

static void pause_start(Api *api, uint64_t pause)
{
    sd_event_source_set_time_relative(api->start, pause);
    sd_event_source_set_enabled(api->start, SD_EVENT_ONESHOT);
}

static void end(Start *start)
{
    start->api->start = sd_event_source_disable_unref(start->api->start);
}

static void next_step(Start *start);

static void on_made(void *userdata, const ApiAnswer *answer)
{
    Start *start = userdata;
    if (answer->status >= 300 && answer->status != 409) {
        pause_start(start->api, AGAIN_PAUSE);
        return;
    }
    start->step++;
    next_step(start);
}

static void next_step(Start *start)
{
    Api *api = start->api;
    bool service = api->cluster_ip && port_of(api->address);
    /* The class first: a claim, which needs its namespace, gets it when it is made or never. */
    if (start->step == 0)
        api_create(api, "storage.k8s.io/storageclasses", make_storage_class(), on_made, start);
    else if (start->step <= NAMESPACES)
        api_create(api, "namespaces", make_namespace(namespaces[start->step - 1]), on_made, start);
    else if (service && start->step == NAMESPACES + 1)
        api_create(api, "services", make_service(api), on_made, start);
    else if (service && start->step == NAMESPACES + 2)
        api_update(api, "endpoints", make_endpoints(api), on_made, start);
    else
        end(start);
}

static int on_start(sd_event_source *source, uint64_t us, void *userdata)
{
    Start *start = userdata;
    if (store_ready(start->api->store))
        next_step(start);
    else
        pause_start(start->api, READY_PAUSE);
    return 0;
}

static void start_free(void *userdata)
{
    free(userdata);
}

int api_start(Api *api)
{
    Start *start = calloc(1, sizeof *start);
    if (!start)
        return -1;
    start->api = api;
    int code = sd_event_add_time_relative(api->event, &api->start, CLOCK_MONOTONIC, 0, 0, on_start, start);
    if (code < 0)
        free(start);
    else
        sd_event_source_set_destroy_callback(api->start, start_free);
    return code;
}
