/* monitor.c - what the containers of a node use: for the control plane
 * (/stats/summary), and on port 4194 as cAdvisor offered it: /api/v1.3/docker,
 * /metrics, and a page. */
#include "base/cleanup.h"
#include "base/log.h"
#include "kube_node_internal.h"

#include <errno.h>
#include <string.h>
#include <sys/sysinfo.h>

#define TIME_NANO_SIZE 48

/* --- every container that runs ----------------------------------------------------------- */

typedef struct Visit {
    KubeNode *node;
    const Member *member;
    void (*each)(void *userdata, const Member *member, const Container *container, const ContainerStatus *status,
                 const UsageSession *usage); /* usage NULL: not measured yet */
    void *userdata;
} Visit;

static void visit_container(void *userdata, const Container *container)
{
    Visit *visit = userdata;
    ContainerStatus status;
    container_status(container, &status);
    if (status.pid > 0)
        visit->each(visit->userdata, visit->member, container, &status, usage_find(visit->node->usage, status.pid));
}

static void visit_pod(KubeNode *node, const Member *member,
                      void (*each)(void *userdata, const Member *member, const Container *container,
                                   const ContainerStatus *status, const UsageSession *usage),
                      void *userdata)
{
    Visit visit = {.node = node, .member = member, .each = each, .userdata = userdata};
    if (member->pod)
        pod_each(member->pod, visit_container, &visit);
}

static void visit_all(KubeNode *node,
                      void (*each)(void *userdata, const Member *member, const Container *container,
                                   const ContainerStatus *status, const UsageSession *usage),
                      void *userdata)
{
    size_t position = 0;
    const char *key;
    void *value;
    while (map_next(node->members, &position, &key, &value))
        visit_pod(node, value, each, userdata);
}

static void format_nano(uint64_t us, char ret[TIME_NANO_SIZE])
{
    char text[KUBE_TIME_SIZE];
    kube_time_micro(us, text);
    snprintf(ret, TIME_NANO_SIZE, "%.26s000Z", text); /* cAdvisor has nine digits */
}

/* --- limits --------------------------------------------------------------------------------- */

static void enforce(void *userdata, const Member *member, const Container *container, const ContainerStatus *status,
                    const UsageSession *usage)
{
    const ContainerSpec *spec = container_spec(container);
    if (!usage || spec->memory_limit <= 0 || container_is_limited(container) ||
        usage_newest(usage)->rss <= (uint64_t)spec->memory_limit)
        return;
    log_record(INA_LOG_WARNING, "container uses more memory than its limit", "pod", kube_name(member->object),
               "container", spec->name, NULL);
    container_kill_for((Container *)container, "OOMKilled");
}

/* The kernel's count, where it counts, has those too that left the session, or lived between two measurements. */
static void correct(void *userdata, const Member *member, const Container *container, const ContainerStatus *status,
                    const UsageSession *usage)
{
    KubeNode *node = userdata;
    CgroupUsage counted;
    if (usage && container_usage(container, &counted))
        usage_correct(node->usage, status->pid, counted.cpu_ns, counted.memory, (unsigned)counted.processes);
}

static void handle_measured(void *userdata)
{
    visit_all(userdata, correct, userdata);
    visit_all(userdata, enforce, NULL);
}

/* --- for the control plane: kubelet's summary ------------------------------------------------ */

typedef struct Sum {
    double milli;
    uint64_t cpu_ns, rss, time_us;
    json_t *containers; /* NULL: not wanted */
} Sum;

static json_t *cpu_json(const char *time, double milli, uint64_t ns)
{
    return json_pack("{s:s, s:I, s:I}", "time", time, "usageNanoCores", (json_int_t)(milli * 1e6),
                     "usageCoreNanoSeconds", (json_int_t)ns);
}

static json_t *memory_json(const char *time, uint64_t bytes)
{
    return json_pack("{s:s, s:I, s:I, s:I}", "time", time, "usageBytes", (json_int_t)bytes, "workingSetBytes",
                     (json_int_t)bytes, "rssBytes", (json_int_t)bytes);
}

static void add_container(void *userdata, const Member *member, const Container *container,
                          const ContainerStatus *status, const UsageSession *usage)
{
    Sum *sum = userdata;
    char time[KUBE_TIME_SIZE];
    if (!usage)
        return;
    const UsageSample *sample = usage_newest(usage);
    kube_time((time_t)(sample->time_us / 1000000), time);
    sum->milli += usage_cpu_milli(usage);
    sum->cpu_ns += sample->cpu_ns;
    sum->rss += sample->rss;
    sum->time_us = sample->time_us;
    if (sum->containers)
        json_array_append_new(sum->containers, json_pack("{s:s, s:o, s:o}", "name", container_spec(container)->name,
                                                         "cpu", cpu_json(time, usage_cpu_milli(usage), sample->cpu_ns),
                                                         "memory", memory_json(time, sample->rss)));
}

static json_t *pod_summary(KubeNode *node, const Member *member, Sum *total)
{
    Sum sum = {.containers = json_array()};
    char time[KUBE_TIME_SIZE];
    visit_pod(node, member, add_container, &sum);
    kube_time((time_t)(sum.time_us / 1000000), time);
    total->milli += sum.milli;
    total->cpu_ns += sum.cpu_ns;
    total->rss += sum.rss;
    if (json_array_size(sum.containers) == 0) {
        json_decref(sum.containers);
        return NULL;
    }
    return json_pack("{s:{s:s, s:s, s:s}, s:s, s:o, s:o, s:o}", "podRef", "name", kube_name(member->object),
                     "namespace", kube_namespace(member->object), "uid", member->uid, "startTime",
                     kube_string(member->object, "status.startTime"), "containers", sum.containers, "cpu",
                     cpu_json(time, sum.milli, sum.cpu_ns), "memory", memory_json(time, sum.rss));
}

json_t *monitor_summary(KubeNode *node)
{
    Sum total = {0};
    size_t position = 0;
    const char *key;
    void *value;
    char now[KUBE_TIME_SIZE];
    json_t *pods = json_array();
    kube_time(time(NULL), now);
    while (map_next(node->members, &position, &key, &value)) {
        json_t *pod = pod_summary(node, value, &total);
        if (pod)
            json_array_append_new(pods, pod);
    }
    return json_pack("{s:{s:s, s:o, s:o}, s:o}", "node", "nodeName", node->name, "cpu",
                     cpu_json(now, total.milli, total.cpu_ns), "memory", memory_json(now, total.rss), "pods", pods);
}

/* --- cAdvisor's JSON ---------------------------------------------------------------------------- */

static json_t *stats_json(const UsageSession *usage)
{
    json_t *list = json_array();
    uint64_t kept = usage && usage->count < USAGE_SAMPLES ? usage->count : USAGE_SAMPLES;
    for (uint64_t i = usage ? usage->count - kept : 0; usage && i < usage->count; i++) {
        const UsageSample *sample = &usage->samples[i % USAGE_SAMPLES];
        char time[TIME_NANO_SIZE];
        format_nano(sample->time_us, time);
        json_array_append_new(list, json_pack("{s:s, s:{s:{s:I}, s:i}, s:{s:I, s:I}}", "timestamp", time, "cpu",
                                              "usage", "total", (json_int_t)sample->cpu_ns, "load_average",
                                              (int)(sample->load * 1000), "memory", "usage", (json_int_t)sample->rss,
                                              "working_set", (json_int_t)sample->rss));
    }
    return list;
}

static void add_docker(void *userdata, const Member *member, const Container *container, const ContainerStatus *status,
                       const UsageSession *usage)
{
    const char *name = container_spec(container)->name, *pod = kube_name(member->object);
    const char *namespace = kube_namespace(member->object);
    char path[300], alias[700], id[200], created[TIME_NANO_SIZE];
    snprintf(id, sizeof id, "%s-%s-%u", member->uid, name, status->restarts);
    snprintf(path, sizeof path, "/docker/%s", id);
    /* As Kubernetes named Docker's containers: "k8s_CONTAINER.", then what makes it unique. */
    snprintf(alias, sizeof alias, "k8s_%s.%x_%s_%s_%s_%u", name, (unsigned)status->pid, pod, namespace, member->uid,
             status->restarts);
    format_nano(status->run->started, created);
    json_t *json =
        json_pack("{s:s, s:s, s:[s, s], s:s, s:{s:s, s:s, s:s, s:s}, s:{s:s, s:b, s:b, s:{s:I}, s:s}, s:o}", "id", id,
                  "name", path, "aliases", alias, id, "namespace", "docker", "labels", "io.kubernetes.container.name",
                  name, "io.kubernetes.pod.name", pod, "io.kubernetes.pod.namespace", namespace,
                  "io.kubernetes.pod.uid", member->uid, "spec", "creation_time", created, "has_cpu", 1, "has_memory", 1,
                  "memory", "limit", (json_int_t)container_spec(container)->memory_limit, "image",
                  container_spec(container)->image, "stats", stats_json(usage));
    if (json)
        json_object_set_new(userdata, path, json);
}

static void handle_docker(void *userdata, InaHttpRequest *request)
{
    json_t *all = json_object();
    visit_all(userdata, add_docker, all);
    http_respond_json(request, 200, all, JSON_COMPACT);
}

static void handle_machine(void *userdata, InaHttpRequest *request)
{
    struct sysinfo info = {0};
    sysinfo(&info);
    http_respond_json(request, 200,
                      json_pack("{s:I, s:I}", "num_cores", (json_int_t)sysconf(_SC_NPROCESSORS_ONLN), "memory_capacity",
                                (json_int_t)info.totalram * (json_int_t)info.mem_unit),
                      JSON_COMPACT);
}

/* --- OpenMetrics --------------------------------------------------------------------------------- */

typedef struct Metric {
    const char *name, *type, *unit, *help;
    double (*value)(const ContainerStatus *status, const UsageSession *usage);
    const char *suffix;
} Metric;

static double cpu_seconds(const ContainerStatus *status, const UsageSession *usage)
{
    return usage ? (double)usage_newest(usage)->cpu_ns / 1e9 : 0;
}

static double memory_bytes(const ContainerStatus *status, const UsageSession *usage)
{
    return usage ? (double)usage_newest(usage)->rss : 0;
}

static double process_count(const ContainerStatus *status, const UsageSession *usage)
{
    return usage ? usage_newest(usage)->processes : 0;
}

static double start_time(const ContainerStatus *status, const UsageSession *usage)
{
    return (double)status->run->started / 1e6;
}

static double restart_count(const ContainerStatus *status, const UsageSession *usage)
{
    return status->restarts;
}

static const Metric metrics[] = {
    {"container_cpu_usage_seconds", "counter", "seconds", "Processor time used.", cpu_seconds, "_total"},
    {"container_memory_working_set_bytes", "gauge", "bytes", "Resident memory.", memory_bytes, ""},
    {"container_memory_usage_bytes", "gauge", "bytes", "Resident memory.", memory_bytes, ""},
    {"container_processes", "gauge", NULL, "Processes.", process_count, ""},
    {"container_start_time_seconds", "gauge", "seconds", "When it was started.", start_time, ""},
    {"container_restarts", "counter", NULL, "Starts after the first.", restart_count, "_total"},
};

typedef struct MetricLines {
    const Metric *metric;
    Buffer *out;
} MetricLines;

static void add_line(void *userdata, const Member *member, const Container *container, const ContainerStatus *status,
                     const UsageSession *usage)
{
    MetricLines *lines = userdata;
    /* Names of objects have nothing that needs an escape. */
    buffer_print(lines->out, "%s%s{namespace=\"%s\",pod=\"%s\",container=\"%s\"} %.17g\n", lines->metric->name,
                 lines->metric->suffix, kube_namespace(member->object), kube_name(member->object),
                 container_spec(container)->name, lines->metric->value(status, usage));
}

static void handle_metrics(void *userdata, InaHttpRequest *request)
{
    Buffer out = {0};
    for (size_t i = 0; i < sizeof metrics / sizeof *metrics; i++) {
        MetricLines lines = {.metric = &metrics[i], .out = &out};
        buffer_print(&out, "# TYPE %s %s\n", metrics[i].name, metrics[i].type);
        if (metrics[i].unit)
            buffer_print(&out, "# UNIT %s %s\n", metrics[i].name, metrics[i].unit);
        buffer_print(&out, "# HELP %s %s\n", metrics[i].name, metrics[i].help);
        visit_all(userdata, add_line, &lines);
    }
    buffer_print(&out, "# EOF\n");
    ina_http_respond_take(request, 200, "application/openmetrics-text; version=1.0.0; charset=utf-8", out.data,
                          out.size);
}

/* --- the page -------------------------------------------------------------------------------------- */

static void add_row(void *userdata, const Member *member, const Container *container, const ContainerStatus *status,
                    const UsageSession *usage)
{
    char started[KUBE_TIME_SIZE];
    kube_time((time_t)(status->run->started / 1000000), started);
    buffer_print(userdata,
                 "<tr><td>%s</td><td>%s</td><td>%s</td><td class=n>%d</td><td class=n>%.0f m</td>"
                 "<td class=n>%.1f MB</td><td class=n>%u</td><td>%s</td></tr>\n",
                 kube_name(member->object), kube_namespace(member->object), container_spec(container)->name,
                 (int)status->pid, usage ? usage_cpu_milli(usage) : 0,
                 usage ? (double)usage_newest(usage)->rss / 1e6 : 0, status->restarts, started);
}

static void handle_page(void *userdata, InaHttpRequest *request)
{
    KubeNode *node = userdata;
    Buffer out = {0};
    if (strcmp(ina_http_path(request), "/") != 0 && strcmp(ina_http_path(request), "/containers/") != 0)
        return ina_http_respond_text(request, 404, "here are /, /metrics and /api/v1.3/docker\n");
    buffer_print(
        &out,
        "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>%s</title>"
        "<meta name=\"viewport\" content=\"width=device-width\"><meta http-equiv=\"refresh\" content=\"2\">"
        "<link rel=\"icon\" href=\"data:,\"><style>:root{color-scheme:light dark}"
        "body{font:15px sans-serif;margin:2em}div{overflow-x:auto}"
        "td,th{padding:.3em 1em;text-align:left;white-space:nowrap;border-bottom:1px solid #8886}.n{text-align:right}"
        "</style></head><body><h1>Containers of %s</h1><div><table>"
        "<tr><th>Pod</th><th>Namespace</th><th>Container</th>"
        "<th class=n>Process</th><th class=n>CPU</th><th class=n>Memory</th><th class=n>Restarts</th>"
        "<th>Started</th></tr>\n",
        node->name, node->name);
    visit_all(node, add_row, &out);
    buffer_print(&out,
                 "</table></div><p><a href=\"/metrics\">/metrics</a> <a href=\"/api/v1.3/docker\">/api/v1.3/docker</a>"
                 "</p></body></html>\n");
    ina_http_respond_take(request, 200, "text/html; charset=utf-8", out.data, out.size);
}

int monitor_start(KubeNode *node, InaError *error)
{
    char address[64];
    int r;
    if (!(node->usage = usage_new(node->event, handle_measured, node)))
        return ina_error_set(error, ENOMEM, "out of memory");
    HttpServerOptions options = {.body_max = 4096};
    snprintf(address, sizeof address, "%s:%d", node->host.instance->node, NODE_MONITOR_PORT);
    if ((r = http_server_new(node->event, &options, &node->monitor, error)) < 0 ||
        (r = http_server_handle(node->monitor, "/", handle_page, node, error)) < 0 ||
        (r = http_server_handle(node->monitor, "/metrics", handle_metrics, node, error)) < 0 ||
        (r = http_server_handle(node->monitor, "/api/v1.3/docker", handle_docker, node, error)) < 0 ||
        (r = http_server_handle(node->monitor, "/api/v1.3/machine", handle_machine, node, error)) < 0)
        return r;
    return http_server_listen(node->monitor, address, error);
}
