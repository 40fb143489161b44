#include "proxy.h"

#include "base/cleanup.h"
#include "base/map.h"
#include "pipe.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define BACKLOG 512
#define ACCEPTS_MAX 64 /* in one round of the loop */
#define RETRY_US 500000

typedef struct Listener {
    Proxy *proxy;
    struct Listener *next;
    char address[16];
    unsigned port;
    char namespace[64], service[64], port_name[64];
    bool wanted; /* in the present reading of the services */
    int fd;
    sd_event_source *source;
    unsigned turn; /* round robin */
} Listener;

typedef struct Connection {
    Proxy *proxy;
    struct Connection *next, **link;
    Listener *listener; /* NULL: it is gone */
    Pipe *pipe;
    unsigned tries;
} Connection;

struct Proxy {
    ProxyOptions options;
    KubeInformer *services, *endpoints;
    Listener *listeners;
    Connection *connections;
    unsigned n_listeners, n_connections;
    sd_event_source *update_source, *retry_timer;
};

/* --- endpoints -------------------------------------------------------------------------------- */

static struct sockaddr_in make_target(const char *address, int64_t port)
{
    struct sockaddr_in target = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    inet_pton(AF_INET, address, &target.sin_addr);
    return target;
}

static int64_t port_of(const json_t *subset, const char *name)
{
    const json_t *port;
    size_t i;
    json_array_foreach(json_object_get(subset, "ports"), i, port)
    {
        if (strcmp(kube_string(port, "name"), name) == 0)
            return kube_integer(port, "port", 0);
    }
    return 0;
}

/* The n-th ready endpoint of a listener's service, counted round; false: there is none. */
static bool pick(const Listener *listener, unsigned n, struct sockaddr_in *ret)
{
    const json_t *endpoints = kube_informer_find(listener->proxy->endpoints, listener->namespace, listener->service);
    const json_t *subset, *address;
    size_t i, j, count = 0;
    json_array_foreach(json_object_get(endpoints, "subsets"), i, subset)
    {
        if (port_of(subset, listener->port_name) > 0)
            count += json_array_size(json_object_get(subset, "addresses"));
    }
    size_t wanted = count > 0 ? n % count : 0;
    json_array_foreach(json_object_get(endpoints, "subsets"), i, subset)
    {
        int64_t port = port_of(subset, listener->port_name);
        json_array_foreach(json_object_get(subset, "addresses"), j, address)
        {
            if (port <= 0 || wanted-- > 0)
                continue;
            *ret = make_target(kube_string(address, "ip"), port);
            return true;
        }
    }
    return false;
}

/* Whether somebody of the service is at this address still, ready or not. */
static bool is_endpoint(const Listener *listener, const struct sockaddr_in *target)
{
    static const char *const lists[] = {"addresses", "notReadyAddresses"};
    const json_t *endpoints = kube_informer_find(listener->proxy->endpoints, listener->namespace, listener->service);
    const json_t *subset, *address;
    char text[INET_ADDRSTRLEN];
    size_t i, j;
    inet_ntop(AF_INET, &target->sin_addr, text, sizeof text);
    json_array_foreach(json_object_get(endpoints, "subsets"), i, subset)
    {
        for (size_t l = 0; l < 2; l++)
            json_array_foreach(json_object_get(subset, lists[l]), j,
                               address) if (strcmp(kube_string(address, "ip"), text) == 0) return true;
    }
    return false;
}

/* --- connections -------------------------------------------------------------------------------- */

static void connection_free(Connection *connection)
{
    *connection->link = connection->next;
    if (connection->next)
        connection->next->link = connection->link;
    connection->proxy->n_connections--;
    pipe_free(connection->pipe);
    free(connection);
}

static void handle_pipe_ended(void *userdata)
{
    connection_free(userdata);
}

static bool handle_next(void *userdata, struct sockaddr_in *target)
{
    Connection *connection = userdata;
    return connection->listener && ++connection->tries < PROXY_TRIES_MAX &&
           pick(connection->listener, connection->listener->turn++, target);
}

static void refuse(int fd)
{
    struct linger linger = {.l_onoff = 1};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    close(fd);
}

static void take_connection(Listener *listener, int fd)
{
    Proxy *proxy = listener->proxy;
    struct sockaddr_in target;
    if (proxy->n_connections >= PROXY_CONNECTIONS_MAX || !pick(listener, listener->turn++, &target))
        return refuse(fd);
    Connection *connection = calloc(1, sizeof *connection);
    if (!connection)
        return refuse(fd);
    *connection = (Connection){.proxy = proxy, .listener = listener, .next = proxy->connections};
    connection->link = &proxy->connections;
    if (connection->next)
        connection->next->link = &connection->next;
    proxy->connections = connection;
    proxy->n_connections++;
    PipeOptions options = {
        .event = proxy->options.event,
        .client = fd,
        .target = target,
        .next = handle_next,
        .ended = handle_pipe_ended,
        .userdata = connection,
    };
    if (pipe_new(&options, &connection->pipe, NULL) < 0)
        return connection_free(connection);
}

static int handle_accept(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    Listener *listener = userdata;
    for (int i = 0; i < ACCEPTS_MAX; i++) {
        int client = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (client < 0)
            return 0; /* no more, or none left: who waits is taken when one is closed */
        take_connection(listener, client);
    }
    return 0;
}

/* --- listeners ------------------------------------------------------------------------------------ */

static int open_listener(Listener *listener)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)listener->port)};
    int one = 1;
    if (inet_pton(AF_INET, listener->address, &address.sin_addr) != 1)
        return -EINVAL;
    AUTO_CLOSE int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, BACKLOG) < 0)
        return -errno;
    int r = sd_event_add_io(listener->proxy->options.event, &listener->source, fd, EPOLLIN, handle_accept, listener);
    if (r < 0)
        return r;
    listener->fd = fd;
    fd = -1;
    return 0;
}

static void close_listener(Listener *listener)
{
    for (Connection *connection = listener->proxy->connections; connection; connection = connection->next)
        if (connection->listener == listener)
            connection->listener = NULL;
    sd_event_source_disable_unref(listener->source);
    if (listener->fd >= 0)
        close(listener->fd);
    listener->proxy->n_listeners--;
    free(listener);
}

static Listener *find_listener(Proxy *proxy, const char *address, unsigned port)
{
    for (Listener *listener = proxy->listeners; listener; listener = listener->next)
        if (listener->port == port && strcmp(listener->address, address) == 0)
            return listener;
    return NULL;
}

static void want(Proxy *proxy, const json_t *service, const char *address, int64_t port, const char *port_name)
{
    if (port <= 0 || port > 65535 || strlen(address) > 15)
        return;
    Listener *listener = find_listener(proxy, address, (unsigned)port);
    if (listener && listener->wanted)
        return; /* another service had it first */
    if (!listener) {
        if (proxy->n_listeners >= PROXY_LISTENERS_MAX || !(listener = calloc(1, sizeof *listener)))
            return;
        *listener = (Listener){.proxy = proxy, .next = proxy->listeners, .port = (unsigned)port, .fd = -1};
        snprintf(listener->address, sizeof listener->address, "%s", address);
        proxy->listeners = listener;
        proxy->n_listeners++;
    }
    snprintf(listener->namespace, sizeof listener->namespace, "%s", kube_namespace(service));
    snprintf(listener->service, sizeof listener->service, "%s", kube_name(service));
    snprintf(listener->port_name, sizeof listener->port_name, "%s", port_name);
    listener->wanted = true;
}

/* Nothing is opened beyond loopback because an object asks for it. */
static bool is_loopback(const char *address)
{
    return address && strncmp(address, "127.", 4) == 0;
}

static void want_port(Proxy *proxy, const json_t *service, const json_t *port)
{
    const char *name = kube_string(port, "name"), *cluster_ip = kube_string(service, "spec.clusterIP");
    const char *protocol = kube_string(port, "protocol");
    int64_t number = kube_integer(port, "port", 0);
    if (protocol[0] && strcmp(protocol, "TCP") != 0)
        return;
    if (proxy->options.node_address)
        return want(proxy, service, proxy->options.node_address, kube_integer(port, "nodePort", 0), name);
    if (cluster_ip[0] && strcmp(cluster_ip, "None") != 0)
        want(proxy, service, cluster_ip, number, name);
    const json_t *external;
    size_t i;
    json_array_foreach(kube_get(service, "spec.externalIPs"), i, external)
    {
        const char *address = json_string_value(external);
        if (is_loopback(address))
            want(proxy, service, address, instance_port(proxy->options.instance, (unsigned)number), name);
    }
}

static bool want_service(void *userdata, const json_t *service)
{
    const json_t *port;
    size_t i;
    json_array_foreach(kube_get(service, "spec.ports"), i, port) want_port(userdata, service, port);
    return true;
}

static void cut_stale(Proxy *proxy)
{
    for (Connection *connection = proxy->connections, *next; connection; connection = next) {
        next = connection->next;
        if (!connection->listener || !is_endpoint(connection->listener, pipe_target(connection->pipe)))
            connection_free(connection);
    }
}

static int handle_retry(sd_event_source *source, uint64_t time, void *userdata);

/* Opens what is wanted and not open; says once what cannot be opened, and tries again. */
static void open_listeners(Proxy *proxy, bool again)
{
    bool failed = false;
    for (Listener *listener = proxy->listeners; listener; listener = listener->next) {
        int r = listener->fd < 0 ? open_listener(listener) : 0;
        if (r < 0 && !again && proxy->options.problem) {
            char text[256];
            snprintf(text, sizeof text, "service %s/%s: cannot listen at %s:%u: %s", listener->namespace,
                     listener->service, listener->address, listener->port, strerror(-r));
            proxy->options.problem(proxy->options.userdata, text);
        }
        failed |= r < 0;
    }
    proxy->retry_timer = sd_event_source_disable_unref(proxy->retry_timer);
    if (failed)
        sd_event_add_time_relative(proxy->options.event, &proxy->retry_timer, CLOCK_MONOTONIC, RETRY_US, 0,
                                   handle_retry, proxy);
}

static int handle_retry(sd_event_source *source, uint64_t time, void *userdata)
{
    open_listeners(userdata, true);
    return 0;
}

static int handle_update(sd_event_source *source, void *userdata)
{
    Proxy *proxy = userdata;
    proxy->update_source = sd_event_source_disable_unref(proxy->update_source);
    for (Listener *listener = proxy->listeners; listener; listener = listener->next)
        listener->wanted = false;
    kube_informer_each(proxy->services, want_service, proxy);
    for (Listener **link = &proxy->listeners; *link;) {
        Listener *listener = *link;
        if (listener->wanted) {
            link = &listener->next;
        } else {
            *link = listener->next;
            close_listener(listener);
        }
    }
    open_listeners(proxy, false);
    cut_stale(proxy);
    return 0;
}

/* --- life ---------------------------------------------------------------------------------------- */

static void schedule(Proxy *proxy)
{
    /* Before both are complete, what is missing is only not known yet. */
    if (!proxy->update_source && proxy->services && proxy->endpoints && kube_informer_synced(proxy->services) &&
        kube_informer_synced(proxy->endpoints))
        sd_event_add_defer(proxy->options.event, &proxy->update_source, handle_update, proxy);
}

static void handle_changed(void *userdata, KubeChange change, const json_t *object, const json_t *old)
{
    schedule(userdata);
}

static void handle_synced(void *userdata, bool connected)
{
    if (connected)
        schedule(userdata);
}

int proxy_new(const ProxyOptions *options, Proxy **ret, InaError *error)
{
    Proxy *proxy = calloc(1, sizeof *proxy);
    if (!proxy)
        return ina_error_set(error, ENOMEM, "out of memory");
    proxy->options = *options;
    KubeInformerOptions informer = {.changed = handle_changed, .synced = handle_synced, .userdata = proxy};
    informer.path = "/api/v1/services";
    proxy->services = kube_informer_new(options->client, &informer, error);
    informer.path = "/api/v1/endpoints";
    proxy->endpoints = proxy->services ? kube_informer_new(options->client, &informer, error) : NULL;
    if (!proxy->endpoints) {
        proxy_free(proxy);
        return error ? -error->code : -ENOMEM;
    }
    *ret = proxy;
    return 0;
}

Proxy *proxy_free(Proxy *proxy)
{
    if (!proxy)
        return NULL;
    sd_event_source_disable_unref(proxy->update_source);
    sd_event_source_disable_unref(proxy->retry_timer);
    while (proxy->connections)
        connection_free(proxy->connections);
    while (proxy->listeners) {
        Listener *listener = proxy->listeners;
        proxy->listeners = listener->next;
        close_listener(listener);
    }
    kube_informer_free(proxy->services);
    kube_informer_free(proxy->endpoints);
    free(proxy);
    return NULL;
}
