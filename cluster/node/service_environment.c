#include "service_environment.h"

#include "base/cleanup.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NAME_SIZE 320u

typedef struct Writer {
    const char *namespace;
    Environment *environment;
    InaError *error;
    int result;
} Writer;

static void upper(const char *text, char *ret, size_t size)
{
    size_t at = 0;
    for (; *text && at + 1 < size; text++)
        ret[at++] = isalnum((unsigned char)*text) ? (char)toupper((unsigned char)*text) : '_';
    ret[at] = '\0';
}

static void set(Writer *writer, const char *name, const char *suffix, const char *value)
{
    AUTO_FREE char *full = NULL;
    if (writer->result < 0)
        return;
    if (asprintf(&full, "%s%s", name, suffix) < 0) {
        full = NULL;
        writer->result = ina_error_set(writer->error, ENOMEM, "out of memory");
        return;
    }
    writer->result = environment_set(writer->environment, full, value, writer->error);
}

static void write_port(Writer *writer, const char *service, const char *address, const json_t *port, bool first)
{
    char name[NAME_SIZE], number[16], protocol[16], url[128], lower[16];
    const char *text = kube_string(port, "protocol"), *port_name = kube_string(port, "name");
    snprintf(number, sizeof number, "%d", (int)kube_integer(port, "port", 0));
    upper(text[0] ? text : "TCP", protocol, sizeof protocol);
    size_t i = 0;
    for (; protocol[i]; i++)
        lower[i] = (char)tolower((unsigned char)protocol[i]);
    lower[i] = '\0';
    snprintf(url, sizeof url, "%s://%s:%s", lower, address, number);
    if (first) {
        set(writer, service, "_SERVICE_HOST", address);
        set(writer, service, "_SERVICE_PORT", number);
        set(writer, service, "_PORT", url);
    }
    if (port_name[0]) {
        char upper_name[NAME_SIZE];
        upper(port_name, upper_name, sizeof upper_name);
        snprintf(name, sizeof name, "%.120s_SERVICE_PORT_%.120s", service, upper_name);
        set(writer, name, "", number);
    }
    snprintf(name, sizeof name, "%.200s_PORT_%s_%s", service, number, protocol);
    set(writer, name, "", url);
    set(writer, name, "_PROTO", lower);
    set(writer, name, "_PORT", number);
    set(writer, name, "_ADDR", address);
}

static void write_service(Writer *writer, const json_t *service)
{
    char name[NAME_SIZE];
    const char *address = kube_string(service, "spec.clusterIP");
    size_t i;
    const json_t *port;
    if (address[0] == '\0' || strcmp(address, "None") == 0)
        return;
    upper(kube_name(service), name, sizeof name);
    json_array_foreach(kube_get(service, "spec.ports"), i, port) write_port(writer, name, address, port, i == 0);
}

/* Whether the machine's proxy, which runs as the same user, can listen at a port: ip(7), ip_unprivileged_port_start. */
static bool can_be_served(int64_t port)
{
    char text[32];
    AUTO_FILE FILE *file = fopen("/proc/sys/net/ipv4/ip_unprivileged_port_start", "re");
    long first = file && fgets(text, sizeof text, file) ? strtol(text, NULL, 10) : 1024;
    return geteuid() == 0 || port >= first;
}

/* The API as a service, which has port 443. */
static bool is_api(const json_t *service)
{
    return strcmp(kube_namespace(service), "default") == 0 && strcmp(kube_name(service), "kubernetes") == 0;
}

static bool handle_service(void *userdata, const json_t *service)
{
    Writer *writer = userdata;
    if (strcmp(kube_namespace(service), writer->namespace) == 0 && !is_api(service))
        write_service(writer, service);
    return writer->result == 0;
}

static int set_server(const char *server, Environment *environment, InaError *error)
{
    const char *host = strstr(server, "://");
    host = host ? host + 3 : server;
    const char *colon = strrchr(host, ':');
    int length = colon ? (int)(colon - host) : (int)strlen(host);
    int r = environment_format(environment, "KUBERNETES_SERVICE_HOST", error, "%.*s", length, host);
    return r < 0 ? r : environment_set(environment, "KUBERNETES_SERVICE_PORT", colon ? colon + 1 : "443", error);
}

int service_environment(const KubeInformer *services, const char *namespace, const char *server,
                        Environment *environment, InaError *error)
{
    Writer writer = {.namespace = namespace, .environment = environment, .error = error};
    const json_t *kubernetes = services ? kube_informer_find(services, "default", "kubernetes") : NULL;
    int r = set_server(server, environment, error);
    if (r < 0)
        return r;
    /* Where nobody can listen there, pods reach it where it really is. */
    const json_t *port = json_array_get(kube_get(kubernetes, "spec.ports"), 0);
    if (kubernetes && can_be_served(kube_integer(port, "port", 443)))
        write_service(&writer, kubernetes);
    if (services && namespace)
        kube_informer_each(services, handle_service, &writer);
    return writer.result;
}
