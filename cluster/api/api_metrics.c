#include "api_metrics.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/map.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#define TIMEOUT (2 * UINT64_C(1000000000))
#define WINDOW "10s"

typedef struct NodeUsage {
    ApiNodeMetrics *metrics;
    char *name;
    InaHttpFetch *fetch;
    json_t *summary; /* NULL: none yet */
    uint64_t heard;  /* CLOCK_MONOTONIC us */
    time_t when;
} NodeUsage;

struct ApiNodeMetrics {
    Api *api;
    HttpClient *client;
    sd_event_source *timer;
    Map *nodes; /* name -> NodeUsage */
};

/* --- asking the nodes ------------------------------------------------------------------- */

static void handle_summary(void *userdata, const InaHttpResponse *response)
{
    NodeUsage *node = userdata;
    json_t *summary = NULL;
    node->fetch = NULL;
    if (response->status != 200 ||
        json_parse(response->body, response->size, API_METRICS_REPLY_MAX, &summary, NULL) < 0)
        return;
    json_decref(node->summary);
    node->summary = summary;
    node->heard = steady_us();
    node->when = time(NULL);
}

static const char *internal_address(const json_t *object)
{
    const json_t *address;
    size_t i;
    json_array_foreach(kube_get(object, "status.addresses"), i, address)
    {
        if (strcmp(kube_string(address, "type"), "InternalIP") == 0)
            return kube_string(address, "address");
    }
    return "";
}

static NodeUsage *node_of(ApiNodeMetrics *metrics, const char *name)
{
    NodeUsage *node = map_get(metrics->nodes, name);
    if (node || map_count(metrics->nodes) >= API_METRICS_NODES_MAX)
        return node;
    node = calloc(1, sizeof *node);
    if (!node || !(node->name = strdup(name)) || map_set(metrics->nodes, name, node) < 0) {
        if (node)
            free(node->name);
        free(node);
        return NULL;
    }
    node->metrics = metrics;
    return node;
}

static bool ask(void *userdata, const json_t *object)
{
    ApiNodeMetrics *metrics = userdata;
    int64_t port = kube_integer(object, "status.daemonEndpoints.kubeletEndpoint.Port", 0);
    const char *address = internal_address(object);
    NodeUsage *node = port > 0 && address[0] ? node_of(metrics, kube_name(object)) : NULL;
    char url[128];
    if (!node || node->fetch)
        return true;
    snprintf(url, sizeof url, "https://%.64s:%d/stats/summary", address, (int)port);
    InaHttpFetchOptions options = {
        .url = url, .timeout = TIMEOUT, .maximum = API_METRICS_REPLY_MAX, .done = handle_summary, .userdata = node};
    node->fetch = http_client_fetch(metrics->client, &options, NULL);
    return true;
}

static void node_free(NodeUsage *node)
{
    http_fetch_cancel(node->fetch);
    json_decref(node->summary);
    free(node->name);
    free(node);
}

static void forget_removed(ApiNodeMetrics *metrics)
{
    size_t position = 0;
    const char *key;
    void *value;
    while (map_next(metrics->nodes, &position, &key, &value)) {
        if (store_get(api_store(metrics->api), "nodes", "", key))
            continue;
        map_remove(metrics->nodes, key);
        node_free(value);
    }
}

static int handle_timer(sd_event_source *source, uint64_t time, void *userdata)
{
    ApiNodeMetrics *metrics = userdata;
    if (store_ready(api_store(metrics->api))) {
        forget_removed(metrics);
        store_each(api_store(metrics->api), "nodes", NULL, ask, metrics);
    }
    sd_event_source_set_time_relative(source, API_METRICS_PERIOD_US);
    sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
    return 0;
}

/* --- telling it ---------------------------------------------------------------------------- */

static json_t *usage_json(const json_t *from)
{
    char cpu[32], memory[32];
    snprintf(cpu, sizeof cpu, "%jdn", (intmax_t)kube_integer(from, "cpu.usageNanoCores", 0));
    snprintf(memory, sizeof memory, "%jdKi", (intmax_t)(kube_integer(from, "memory.workingSetBytes", 0) / 1024));
    return json_pack("{s:s, s:s}", "cpu", cpu, "memory", memory);
}

static json_t *make_object(const NodeUsage *node, const char *kind)
{
    char now[KUBE_TIME_SIZE];
    kube_time(node->when, now);
    return json_pack("{s:s, s:s, s:{s:s}, s:s, s:s}", "kind", kind, "apiVersion", "metrics.k8s.io/v1beta1", "metadata",
                     "creationTimestamp", now, "timestamp", now, "window", WINDOW);
}

static json_t *node_metrics(const ApiNodeMetrics *metrics, const NodeUsage *node)
{
    const json_t *object = store_get(api_store(metrics->api), "nodes", "", node->name);
    json_t *result = make_object(node, "NodeMetrics");
    kube_set(result, "metadata.name", json_string(node->name));
    if (kube_labels(object))
        kube_set(result, "metadata.labels", json_deep_copy(kube_labels(object)));
    kube_set(result, "usage", usage_json(json_object_get(node->summary, "node")));
    return result;
}

static json_t *pod_metrics(const ApiNodeMetrics *metrics, const NodeUsage *node, const json_t *pod)
{
    const char *namespace = kube_string(pod, "podRef.namespace"), *name = kube_string(pod, "podRef.name");
    const json_t *object = store_get(api_store(metrics->api), "pods", namespace, name), *container;
    json_t *containers = json_array();
    size_t i;
    if (!object || strcmp(kube_uid(object), kube_string(pod, "podRef.uid")) != 0) {
        json_decref(containers);
        return NULL;
    }
    json_array_foreach(json_object_get(pod, "containers"), i, container) json_array_append_new(
        containers, json_pack("{s:s, s:o}", "name", kube_string(container, "name"), "usage", usage_json(container)));
    json_t *result = make_object(node, "PodMetrics");
    kube_set(result, "metadata.name", json_string(name));
    kube_set(result, "metadata.namespace", json_string(namespace));
    if (kube_labels(object))
        kube_set(result, "metadata.labels", json_deep_copy(kube_labels(object)));
    kube_set(result, "containers", containers);
    return result;
}

static bool is_wanted(const char *wanted, const char *value)
{
    return !wanted || wanted[0] == '\0' || strcmp(wanted, value) == 0;
}

static void add_pods(const ApiNodeMetrics *metrics, const NodeUsage *node, const char *namespace, const char *name,
                     json_t *list)
{
    const json_t *pod;
    size_t i;
    json_array_foreach(json_object_get(node->summary, "pods"), i, pod)
    {
        json_t *object = is_wanted(namespace, kube_string(pod, "podRef.namespace")) &&
                                 is_wanted(name, kube_string(pod, "podRef.name"))
                             ? pod_metrics(metrics, node, pod)
                             : NULL;
        if (object)
            json_array_append_new(list, object);
    }
}

static json_t *collect(void *userdata, const Resource *resource, const char *namespace, const char *name)
{
    const ApiNodeMetrics *metrics = userdata;
    size_t position = 0;
    const char *key;
    void *value;
    json_t *list = json_array();
    while (map_next(metrics->nodes, &position, &key, &value)) {
        const NodeUsage *node = value;
        if (!node->summary || steady_us() - node->heard > API_METRICS_AGE_US)
            continue;
        if (resource->namespaced)
            add_pods(metrics, node, namespace, name, list);
        else if (is_wanted(name, node->name))
            json_array_append_new(list, node_metrics(metrics, node));
    }
    return list;
}

int api_node_metrics_new(Api *api, const HttpClientOptions *tls, ApiNodeMetrics **ret, InaError *error)
{
    ApiNodeMetrics *metrics = calloc(1, sizeof *metrics);
    if (!metrics || !(metrics->nodes = map_new())) {
        free(metrics);
        return ina_error_set(error, ENOMEM, "out of memory");
    }
    metrics->api = api;
    int r = http_client_new(api_loop(api), tls, &metrics->client, error);
    if (r == 0 && sd_event_add_time_relative(api_loop(api), &metrics->timer, CLOCK_MONOTONIC, API_METRICS_PERIOD_US / 3,
                                             1000, handle_timer, metrics) < 0)
        r = ina_error_set(error, ENOMEM, "out of memory");
    if (r < 0) {
        api_node_metrics_free(metrics);
        return r;
    }
    api_set_metrics(api, collect, metrics);
    *ret = metrics;
    return 0;
}

ApiNodeMetrics *api_node_metrics_free(ApiNodeMetrics *metrics)
{
    size_t position = 0;
    const char *key;
    void *value;
    if (!metrics)
        return NULL;
    api_set_metrics(metrics->api, NULL, NULL);
    sd_event_source_disable_unref(metrics->timer);
    while (map_next(metrics->nodes, &position, &key, &value))
        node_free(value);
    map_free(metrics->nodes);
    http_client_free(metrics->client);
    free(metrics);
    return NULL;
}
