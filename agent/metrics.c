/* metrics.c - /metrics and /readyz: what the agent knows of itself. */
#include "framework/components.h"
#include "web.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define ULL unsigned long long

static void gauge(Buffer *buffer, const char *name, const char *help, double value)
{
    buffer_print(buffer, "# TYPE inaetics_%s gauge\n# HELP inaetics_%s %s\ninaetics_%s %.17g\n", name, name, help, name,
                 value);
}

static void counter(Buffer *buffer, const char *name, const char *help, double value)
{
    buffer_print(buffer, "# TYPE inaetics_%s counter\n# HELP inaetics_%s %s\ninaetics_%s_total %.17g\n", name, name,
                 help, name, value);
}

/* --- bundles and components --------------------------------------------- */

/* A label's value: what is special there is escaped. */
static void label(Buffer *buffer, const char *value)
{
    for (; *value; value++) {
        if (*value == '"' || *value == '\\')
            buffer_append(buffer, "\\", 1);
        buffer_append(buffer, *value == '\n' ? "\\n" : value, *value == '\n' ? 2 : 1);
    }
}

typedef struct Visit {
    Buffer *buffer;
    const char *family;
    double (*value)(const ComponentInfo *info);
} Visit;

static void print_component(void *userdata, const ComponentInfo *info)
{
    const Visit *visit = userdata;
    buffer_print(visit->buffer, "inaetics_component_%s{bundle=\"", visit->family);
    label(visit->buffer, info->bundle);
    buffer_print(visit->buffer, "\",component=\"");
    label(visit->buffer, info->component);
    buffer_print(visit->buffer, "\"} %.17g\n", visit->value(info));
}

static double is_active(const ComponentInfo *info)
{
    return info->state == COMPONENT_ACTIVE;
}

static double dispatches(const ComponentInfo *info)
{
    return (double)info->dispatches;
}

static double slow_dispatches(const ComponentInfo *info)
{
    return (double)info->slow_dispatches;
}

static double slowest(const ComponentInfo *info)
{
    return (double)info->slowest / 1e9;
}

static void print_components(const Agent *agent, Buffer *buffer)
{
    static const struct {
        const char *name, *family, *type, *help;
        double (*value)(const ComponentInfo *info);
    } families[] = {
        {"active", "active", "gauge", "Whether the component is active.", is_active},
        {"dispatches", "dispatches_total", "counter", "Entries into the component's code.", dispatches},
        {"slow_dispatches", "slow_dispatches_total", "counter", "Entries that took longer than 10 ms.",
         slow_dispatches},
        {"slowest_seconds", "slowest_seconds", "gauge", "The longest entry so far.", slowest},
    };
    for (size_t i = 0; i < sizeof(families) / sizeof(*families); i++) {
        Visit visit = {buffer, families[i].family, families[i].value};
        buffer_print(buffer, "# TYPE inaetics_component_%s %s\n# HELP inaetics_component_%s %s\n", families[i].name,
                     families[i].type, families[i].name, families[i].help);
        components_each(agent->framework, print_component, &visit);
    }
}

static void print_bundles(const Agent *agent, Buffer *buffer)
{
    Bundle *bundles[AGENT_BUNDLES_MAX];
    size_t count = framework_bundles(agent->framework, bundles, AGENT_BUNDLES_MAX);
    buffer_print(buffer, "# TYPE inaetics_bundle info\n# HELP inaetics_bundle Installed bundles.\n");
    for (size_t i = 0; i < count && i < AGENT_BUNDLES_MAX; i++) {
        buffer_print(buffer, "inaetics_bundle_info{bundle=\"");
        label(buffer, bundle_name(bundles[i]));
        buffer_print(buffer, "\",version=\"");
        label(buffer, bundle_version(bundles[i]));
        buffer_print(buffer, "\",state=\"%s\"} 1\n", bundle_state_name(bundle_state(bundles[i])));
    }
}

static void print_framework(const Agent *agent, Buffer *buffer)
{
    FrameworkStatistics s;
    framework_statistics(agent->framework, &s);
    gauge(buffer, "services", "Services in the registry.", (double)s.services);
    gauge(buffer, "components", "Components of all bundles.", (double)s.components);
    gauge(buffer, "components_active", "Components that are active.", (double)s.components_active);
    gauge(buffer, "calls_open", "Calls that are with their provider.", (double)s.calls_open);
    gauge(buffer, "calls_waiting", "Calls that wait for a provider that is being updated.", (double)s.calls_waiting);
    counter(buffer, "calls", "Calls of services that ended, local and remote.", (double)s.calls);
    counter(buffer, "calls_failed", "Calls of services that failed.", (double)s.calls_failed);
    counter(buffer, "dispatches", "Entries into components.", (double)s.dispatches);
    counter(buffer, "slow_dispatches", "Entries into components that took longer than 10 ms.",
            (double)s.slow_dispatches);
    gauge(buffer, "slowest_dispatch_seconds", "The longest entry into a component so far.", (double)s.slowest / 1e9);
}

/* --- the rest ----------------------------------------------------------- */

static void print_http(const Agent *agent, Buffer *buffer)
{
    HttpServerStatistics s;
    http_server_statistics(web_server(agent->web), &s);
    counter(buffer, "http_requests", "HTTP requests.", (double)s.requests);
    counter(buffer, "http_refused", "HTTP requests refused before a handler saw them.", (double)s.refused);
    counter(buffer, "http_cancelled", "HTTP requests whose client left.", (double)s.cancelled);
    counter(buffer, "http_received_bytes", "Bytes of requests' bodies.", (double)s.bytes_in);
    counter(buffer, "http_sent_bytes", "Bytes of answers' bodies.", (double)s.bytes_out);
    gauge(buffer, "http_connections", "HTTP connections.", s.connections);
    gauge(buffer, "http_open", "HTTP requests not answered yet.", s.suspended);
}

static void print_discovery(const Agent *agent, Buffer *buffer)
{
    if (!agent->discovery)
        return;
    DiscoveryStatus s;
    discovery_status(agent->discovery, &s);
    gauge(buffer, "discovery_connected", "Whether etcd is reached.", s.connected);
    gauge(buffer, "discovery_lease", "Whether there is a lease.", s.lease);
    gauge(buffer, "discovery_offered", "Services of this agent offered to others.", (double)s.offered);
    gauge(buffer, "discovery_pending", "Records not yet as they should be.", (double)s.pending);
    gauge(buffer, "discovery_endpoints", "Endpoints of other agents that are known.", (double)s.others.endpoints);
    gauge(buffer, "discovery_imported", "Endpoints of other agents that are used here.", (double)s.others.imported);
    gauge(buffer, "discovery_suspect", "Endpoints used here that are suspect.", (double)s.others.suspect);
}

static size_t open_files(void)
{
    size_t count = 0;
    DIR *folder = opendir("/proc/self/fd");
    while (folder && readdir(folder))
        count++;
    if (folder)
        closedir(folder);
    return count > 3 ? count - 3 : 0; /* ".", ".." and the folder itself */
}

/* The second number of statm (proc(5)). */
static ULL resident_pages(void)
{
    char text[200] = "", *end = text;
    FILE *file = fopen("/proc/self/statm", "re");
    if (!file)
        return 0;
    if (fgets(text, sizeof(text), file))
        strtoull(text, &end, 10);
    fclose(file);
    return strtoull(end, NULL, 10);
}

static void print_process(const Agent *agent, Buffer *buffer)
{
    struct rusage usage = {0};
    getrusage(RUSAGE_SELF, &usage);
    double cpu = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                 (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    buffer_print(buffer,
                 "# TYPE process_cpu_seconds counter\n# HELP process_cpu_seconds User and system time.\n"
                 "process_cpu_seconds_total %.6f\n",
                 cpu);
    buffer_print(buffer,
                 "# TYPE process_resident_memory_bytes gauge\n"
                 "# HELP process_resident_memory_bytes Resident memory.\n"
                 "process_resident_memory_bytes %llu\n",
                 resident_pages() * (ULL)sysconf(_SC_PAGESIZE));
    buffer_print(buffer,
                 "# TYPE process_open_fds gauge\n# HELP process_open_fds Open file descriptors.\n"
                 "process_open_fds %zu\n",
                 open_files());
    gauge(buffer, "uptime_seconds", "Since the agent's start.", (double)(ina_now() - agent->started) / 1e9);
}

void metrics_print(const Agent *agent, Buffer *buffer)
{
    print_process(agent, buffer);
    print_framework(agent, buffer);
    print_bundles(agent, buffer);
    print_components(agent, buffer);
    print_http(agent, buffer);
    print_discovery(agent, buffer);
    if (agent->server)
        remote_statistics_print(connect_server_statistics(agent->server), "server", buffer);
    if (agent->client)
        remote_statistics_print(connect_client_statistics(agent->client), "client", buffer);
    buffer_print(buffer, "# EOF\n");
}

/* --- readiness ---------------------------------------------------------- */

static void print_unready(void *userdata, const ComponentInfo *info)
{
    if (info->state != COMPONENT_ACTIVE)
        buffer_print(userdata, "component %s of %s is %s: %s\n", info->component, info->bundle,
                     component_state_name(info->state), info->reason);
}

bool ready(Agent *agent, Buffer *buffer)
{
    Bundle *bundles[AGENT_BUNDLES_MAX];
    size_t count = framework_bundles(agent->framework, bundles, AGENT_BUNDLES_MAX);
    if (agent->ending)
        buffer_print(buffer, "the agent ends\n");
    const char *waits = agent->deployer ? deployer_waits(agent->deployer) : NULL;
    if (waits)
        buffer_print(buffer, "waits for its first deployment%s%s\n", *waits ? ": " : "", waits);
    if (agent->platform_failed)
        buffer_print(buffer, "the platform's bundles could not be set; see the log\n");
    if (agent->bundles_failed)
        buffer_print(buffer, "the bundles could not be set; see the log\n");
    for (size_t i = 0; i < count && i < AGENT_BUNDLES_MAX; i++)
        if (bundle_state(bundles[i]) != BUNDLE_ACTIVE)
            buffer_print(buffer, "bundle %s is %s\n", bundle_name(bundles[i]),
                         bundle_state_name(bundle_state(bundles[i])));
    components_each(agent->framework, print_unready, buffer);
    return buffer->size == 0;
}
