#include "registration.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "kube_node.h"

#include <errno.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>

#define LEASES "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
#define NODES "/api/v1/nodes"
#define RETRY_US 250000

struct Registration {
    RegistrationOptions options;
    char *name, *address, *pods;
    sd_event_source *lease_timer, *retry_timer;
    KubeRequest *lease_request, *node_request;
    uint64_t lease_asked;
    bool lease_missing, told;
    char said[256]; /* the last failure */
};

static void register_node(Registration *registration);

static uint64_t now_us(Registration *registration)
{
    uint64_t now = 0;
    sd_event_now(registration->options.event, CLOCK_MONOTONIC, &now);
    return now;
}

/* --- the lease ---------------------------------------------------------------------- */

static void handle_lease(void *userdata, const KubeReply *reply)
{
    Registration *registration = userdata;
    registration->lease_request = NULL;
    registration->lease_missing = reply->status == 404;
}

static void renew(Registration *registration)
{
    char now[KUBE_TIME_SIZE];
    struct timespec time;
    AUTO_FREE char *path = NULL;
    bool make = registration->lease_missing;
    clock_gettime(CLOCK_REALTIME, &time);
    kube_time_micro((uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_nsec / 1000, now);
    AUTO_JSON json_t *body =
        make ? json_pack("{s:s, s:s, s:{s:s, s:s}, s:{s:s, s:i, s:s}}", "apiVersion", "coordination.k8s.io/v1", "kind",
                         "Lease", "metadata", "name", registration->name, "namespace", "kube-node-lease", "spec",
                         "holderIdentity", registration->name, "leaseDurationSeconds", 3, "renewTime", now)
             : json_pack("{s:{s:s, s:s}}", "spec", "holderIdentity", registration->name, "renewTime", now);
    if (asprintf(&path, LEASES "%s%s", make ? "" : "/", make ? "" : registration->name) < 0) {
        path = NULL;
        return;
    }
    registration->lease_asked = now_us(registration);
    registration->lease_request = kube_request(registration->options.client, make ? "POST" : "PATCH", path,
                                               make ? NULL : KUBE_MERGE_PATCH, body, handle_lease, registration, NULL);
}

static int handle_lease_timer(sd_event_source *source, uint64_t time, void *userdata)
{
    Registration *registration = userdata;
    if (registration->lease_request && now_us(registration) - registration->lease_asked > NODE_LEASE_PATIENCE_US)
        kube_request_cancel(TAKE_PTR(registration->lease_request));
    if (!registration->lease_request)
        renew(registration);
    sd_event_source_set_time_relative(source, registration->lease_missing ? NODE_LEASE_US / 10 : NODE_LEASE_US);
    sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
    return 0;
}

/* --- the object --------------------------------------------------------------------- */

static json_t *condition(const char *type, bool status, const char *reason, const char *message, const char *now)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "type", type, "status", status ? "True" : "False", "reason",
                     reason, "message", message, "lastHeartbeatTime", now, "lastTransitionTime", now);
}

static json_t *capacity(const Registration *registration)
{
    char cpu[32], memory[32], pods[16];
    struct sysinfo info = {0};
    sysinfo(&info);
    int64_t milli = registration->options.cpu_milli, bytes = registration->options.memory;
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    if (milli > 0 && milli % 1000 != 0)
        snprintf(cpu, sizeof cpu, "%jdm", (intmax_t)milli);
    else
        snprintf(cpu, sizeof cpu, "%jd", (intmax_t)(milli > 0 ? milli / 1000 : processors > 0 ? processors : 1));
    if (bytes <= 0)
        bytes = (int64_t)info.totalram * (int64_t)info.mem_unit;
    snprintf(memory, sizeof memory, "%jdKi", (intmax_t)(bytes / 1024));
    snprintf(pods, sizeof pods, "%u", registration->options.pods_max);
    return json_pack("{s:s, s:s, s:s, s:s}", "cpu", cpu, "ephemeral-storage", "0", "memory", memory, "pods", pods);
}

static void read_line(const char *path, char *ret, size_t size)
{
    AUTO_FILE FILE *file = fopen(path, "re");
    if (!file || !fgets(ret, (int)size, file))
        ret[0] = '\0';
    ret[strcspn(ret, "\n")] = '\0';
}

static json_t *node_info(void)
{
    char machine[64], boot[64];
    struct utsname name = {0};
    uname(&name);
    read_line("/etc/machine-id", machine, sizeof machine);
    read_line("/proc/sys/kernel/random/boot_id", boot, sizeof boot);
    const char *architecture = strcmp(name.machine, "x86_64") == 0    ? "amd64"
                               : strcmp(name.machine, "aarch64") == 0 ? "arm64"
                                                                      : name.machine;
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "architecture", architecture, "bootID", boot,
                     "containerRuntimeVersion", "process://" INAETICS_VERSION, "kernelVersion", name.release,
                     "kubeProxyVersion", "v" INAETICS_VERSION, "kubeletVersion", "v" INAETICS_VERSION, "machineID",
                     machine, "operatingSystem", "linux", "osImage", name.sysname, "systemUUID", machine);
}

static json_t *make_status(const Registration *registration)
{
    char now[KUBE_TIME_SIZE];
    kube_time(time(NULL), now);
    json_t *room = capacity(registration);
    return json_pack(
        "{s:O, s:o, s:[o, o, o, o], s:[{s:s, s:s}, {s:s, s:s}, {s:s, s:s}], s:{s:{s:i}}, s:o}", "capacity", room,
        "allocatable", room, "conditions",
        condition("MemoryPressure", false, "KubeletHasSufficientMemory", "kubelet has sufficient memory available",
                  now),
        condition("DiskPressure", false, "KubeletHasNoDiskPressure", "kubelet has no disk pressure", now),
        condition("PIDPressure", false, "KubeletHasSufficientPID", "kubelet has sufficient PID available", now),
        condition("Ready", true, "KubeletReady", "kubelet is posting ready status", now), "addresses", "type",
        "InternalIP", "address", registration->address, "type", "Hostname", "address", registration->name, "type",
        "LegacyHostIP", "address", registration->address, "daemonEndpoints", "kubeletEndpoint", "Port",
        (int)registration->options.port, "nodeInfo", node_info());
}

static json_t *make_labels(const Registration *registration)
{
    struct utsname name = {0};
    uname(&name);
    const char *architecture = strcmp(name.machine, "x86_64") == 0    ? "amd64"
                               : strcmp(name.machine, "aarch64") == 0 ? "arm64"
                                                                      : name.machine;
    return json_pack("{s:s, s:s, s:s}", "kubernetes.io/hostname", registration->name, "kubernetes.io/arch",
                     architecture, "kubernetes.io/os", "linux");
}

static int handle_retry(sd_event_source *source, uint64_t time, void *userdata)
{
    Registration *registration = userdata;
    registration->retry_timer = sd_event_source_disable_unref(registration->retry_timer);
    register_node(registration);
    return 0;
}

static void retry(Registration *registration, const char *why)
{
    if (strncmp(registration->said, why, sizeof registration->said - 1) != 0) /* once, not at each attempt */
        log_record(INA_LOG_WARNING, "cannot register", "node", registration->name, "detail", why, NULL);
    snprintf(registration->said, sizeof registration->said, "%s", why);
    if (!registration->retry_timer)
        sd_event_add_time_relative(registration->options.event, &registration->retry_timer, CLOCK_MONOTONIC, RETRY_US,
                                   1000, handle_retry, registration);
}

static void handle_status(void *userdata, const KubeReply *reply)
{
    Registration *registration = userdata;
    registration->node_request = NULL;
    if (reply->status != 200) {
        retry(registration, reply->error.message);
        return;
    }
    registration->said[0] = '\0';
    if (registration->told)
        return;
    registration->told = true;
    if (registration->options.registered)
        registration->options.registered(registration->options.userdata, reply->object);
}

static void send_status(Registration *registration)
{
    AUTO_FREE char *path = NULL;
    AUTO_JSON json_t *body = json_pack("{s:o}", "status", make_status(registration));
    if (asprintf(&path, NODES "/%s/status", registration->name) < 0)
        path = NULL;
    if (path && body)
        registration->node_request = kube_request(registration->options.client, "PATCH", path, KUBE_STRATEGIC_PATCH,
                                                  body, handle_status, registration, NULL);
    if (!registration->node_request)
        retry(registration, "out of memory");
}

static void handle_made(void *userdata, const KubeReply *reply)
{
    Registration *registration = userdata;
    registration->node_request = NULL;
    if (reply->status == 200 || reply->status == 201 || reply->status == 409)
        send_status(registration);
    else
        retry(registration, reply->error.message);
}

static void handle_labelled(void *userdata, const KubeReply *reply)
{
    Registration *registration = userdata;
    registration->node_request = NULL;
    if (reply->status != 404) {
        handle_made(registration, reply);
        return;
    }
    char range[32];
    snprintf(range, sizeof range, "%s0/24", registration->pods);
    AUTO_JSON json_t *node =
        json_pack("{s:s, s:s, s:{s:s, s:o}, s:{s:s, s:[s]}}", "apiVersion", "v1", "kind", "Node", "metadata", "name",
                  registration->name, "labels", make_labels(registration), "spec", "podCIDR", range, "podCIDRs", range);
    if (node)
        registration->node_request =
            kube_request(registration->options.client, "POST", NODES, NULL, node, handle_made, registration, NULL);
    if (!registration->node_request)
        retry(registration, "out of memory");
}

/* Labels of a node that is there (others stay), or the node; then its status. */
static void register_node(Registration *registration)
{
    AUTO_FREE char *path = NULL;
    AUTO_JSON json_t *patch = json_pack("{s:{s:o}}", "metadata", "labels", make_labels(registration));
    if (registration->node_request)
        return;
    if (asprintf(&path, NODES "/%s", registration->name) < 0)
        path = NULL;
    if (path && patch)
        registration->node_request = kube_request(registration->options.client, "PATCH", path, KUBE_MERGE_PATCH, patch,
                                                  handle_labelled, registration, NULL);
    if (!registration->node_request)
        retry(registration, "out of memory");
}

void registration_look(Registration *registration, const json_t *node)
{
    if (!registration->told || registration->node_request)
        return;
    if (!node)
        register_node(registration);
    else if (!kube_condition_true(node, "Ready"))
        send_status(registration);
}

int registration_new(const RegistrationOptions *options, Registration **ret, InaError *error)
{
    Registration *registration = calloc(1, sizeof *registration);
    if (!registration)
        return ina_error_set(error, ENOMEM, "out of memory");
    registration->options = *options;
    registration->name = strdup(options->name);
    registration->address = strdup(options->address);
    registration->pods = strdup(options->pods);
    if (!registration->name || !registration->address || !registration->pods ||
        sd_event_add_time_relative(options->event, &registration->lease_timer, CLOCK_MONOTONIC, 0, 1000,
                                   handle_lease_timer, registration) < 0) {
        registration_free(registration);
        return ina_error_set(error, ENOMEM, "out of memory");
    }
    register_node(registration);
    *ret = registration;
    return 0;
}

Registration *registration_free(Registration *registration)
{
    if (!registration)
        return NULL;
    kube_request_cancel(registration->lease_request);
    kube_request_cancel(registration->node_request);
    sd_event_source_disable_unref(registration->lease_timer);
    sd_event_source_disable_unref(registration->retry_timer);
    free(registration->name);
    free(registration->address);
    free(registration->pods);
    free(registration);
    return NULL;
}
