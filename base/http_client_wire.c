/* http_client_wire.c - HTTP/1.1 over sockets of our own.
 *
 * A connection carries one request at a time and is kept for the next. The
 * one used last is taken first, so that those not needed any more grow old
 * and are closed. Fetches beyond the limit per host wait in line. */
#include "http_client_wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void host_serve(HttpWireHost *host);
static int on_aging(sd_event_source *source, uint64_t at, void *userdata);

/* --- life --------------------------------------------------------------- */

int http_wire_new(HttpClient *client, HttpWire **ret, InaError *error)
{
    HttpWire *wire = calloc(1, sizeof(*wire));
    int r = -ENOMEM;

    if (wire) {
        wire->client = client;
        wire->hosts = map_new();
    }
    if (wire && wire->hosts)
        r = sd_event_add_time(client->event, &wire->aging, CLOCK_MONOTONIC, 0, 1000000, on_aging, wire);
    if (r >= 0)
        r = sd_event_source_set_enabled(wire->aging, SD_EVENT_OFF);
    if (r < 0) {
        http_wire_free(wire);
        return ina_error_errno(error, r, "HTTP client");
    }
    *ret = wire;
    return 0;
}

void http_wire_pin(HttpWireHost *host)
{
    host->pins++;
}

void http_wire_unpin(HttpWireHost *host)
{
    if (--host->pins > 0 || host->n_connections > 0 || host->waiting)
        return;
    http_resolve_cancel(host->resolve);
    map_remove(host->wire->hosts, host->key);
    free(host);
}

static void idle_remove(HttpWireConnection *connection)
{
    HttpWireHost *host = connection->host;

    if (connection->previous_idle)
        connection->previous_idle->next_idle = connection->next_idle;
    else if (host->idle == connection)
        host->idle = connection->next_idle;
    if (connection->next_idle)
        connection->next_idle->previous_idle = connection->previous_idle;
    connection->previous_idle = connection->next_idle = NULL;
}

void http_wire_close(HttpWireConnection *connection)
{
    HttpWireHost *host = connection->host;
    HttpWire *wire = host->wire;

    http_wire_pin(host);
    idle_remove(connection);
    if (connection->fetch)
        connection->fetch->connection = NULL;
    connection->fetch = NULL;
    connection->host = NULL;
    connection->source = sd_event_source_disable_unref(connection->source);
    connection->tls = http_tls_session_free(connection->tls);
    close(connection->fd);
    connection->fd = -1;
    http_parser_clear(&connection->parser);
    if (connection->previous)
        connection->previous->next = connection->next;
    else
        wire->connections = connection->next;
    if (connection->next)
        connection->next->previous = connection->previous;
    connection->next = wire->closed;
    wire->closed = connection;
    wire->n_connections--;
    host->n_connections--;
    host_serve(host);
    http_wire_unpin(host);
}

void http_wire_keep(HttpWireConnection *connection)
{
    HttpWireHost *host = connection->host;
    HttpWire *wire = host->wire;

    connection->used = true;
    connection->since = http_client_now();
    connection->next_idle = host->idle;
    if (connection->next_idle)
        connection->next_idle->previous_idle = connection;
    host->idle = connection;
    if (!wire->aging_armed) {
        wire->aging_armed = true;
        sd_event_source_set_time_relative(wire->aging, HTTP_WIRE_IDLE / 3);
        sd_event_source_set_enabled(wire->aging, SD_EVENT_ONESHOT);
    }
    host_serve(host);
}

void http_wire_sweep(HttpWire *wire)
{
    while (wire->closed) {
        HttpWireConnection *connection = wire->closed;
        wire->closed = connection->next;
        free(connection);
    }
}

HttpWire *http_wire_free(HttpWire *wire)
{
    if (!wire)
        return NULL;
    while (wire->connections)
        http_wire_close(wire->connections);
    http_wire_sweep(wire);
    sd_event_source_disable_unref(wire->aging);
    map_free(wire->hosts);
    free(wire);
    return NULL;
}

static int on_aging(sd_event_source *source, uint64_t at, void *userdata)
{
    HttpWire *wire = userdata;
    uint64_t now = http_client_now();
    bool some = false;

    wire->aging_armed = false;
    http_client_enter(wire->client);
    for (HttpWireConnection *connection = wire->connections, *next; connection; connection = next) {
        next = connection->next;
        if (connection->fetch)
            continue;
        if (now - connection->since >= HTTP_WIRE_IDLE * UINT64_C(1000))
            http_wire_close(connection);
        else
            some = true;
    }
    if (some && !wire->aging_armed) {
        wire->aging_armed = true;
        sd_event_source_set_time_relative(wire->aging, HTTP_WIRE_IDLE / 3);
        sd_event_source_set_enabled(wire->aging, SD_EVENT_ONESHOT);
    }
    http_client_leave(wire->client);
    return 0;
}

/* --- hosts -------------------------------------------------------------- */

static bool set_address(HttpWireHost *host, const HttpTarget *target)
{
    HttpAddress *address = &host->addresses[0];
    struct sockaddr_un *local = (struct sockaddr_un *)&address->address;
    struct sockaddr_in *four = (struct sockaddr_in *)&address->address;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)&address->address;

    if (target->unix_socket) {
        local->sun_family = AF_UNIX;
        memcpy(local->sun_path, target->unix_socket, strlen(target->unix_socket) + 1);
        address->size = sizeof(*local);
    } else if (!target->literal) {
        return false;
    } else if (strchr(target->host, ':')) {
        six->sin6_family = AF_INET6;
        six->sin6_port = htons(target->port);
        inet_pton(AF_INET6, target->host, &six->sin6_addr);
        address->size = sizeof(*six);
    } else {
        four->sin_family = AF_INET;
        four->sin_port = htons(target->port);
        inet_pton(AF_INET, target->host, &four->sin_addr);
        address->size = sizeof(*four);
    }
    return true;
}

static HttpWireHost *host_new(HttpWire *wire, const HttpTarget *target)
{
    size_t size = strlen(target->key) + 1;
    HttpWireHost *host = calloc(1, sizeof(*host) + size);

    if (!host)
        return NULL;
    host->wire = wire;
    host->port = target->port;
    host->secure = target->secure;
    memcpy(host->name, target->host, sizeof(host->name));
    memcpy(host->key, target->key, size);
    host->n_addresses = set_address(host, target) ? 1 : 0;
    if (map_set(wire->hosts, host->key, host) < 0) {
        free(host);
        return NULL;
    }
    return host;
}

static void waiting_remove(InaHttpFetch *fetch);

static void on_resolved(void *userdata, const HttpAddress *addresses, size_t n, const char *problem)
{
    HttpWireHost *host = userdata;
    HttpClient *client = host->wire->client;
    size_t waiting = 0;

    host->resolve = NULL;
    http_client_enter(client);
    http_wire_pin(host);
    memcpy(host->addresses, addresses, n * sizeof(*addresses));
    host->n_addresses = n;
    for (InaHttpFetch *fetch = host->waiting; problem && fetch; fetch = fetch->next_waiting)
        waiting++;
    for (; waiting > 0 && host->waiting && !client->dead; waiting--) { /* not those that come now */
        InaHttpFetch *fetch = host->waiting;
        waiting_remove(fetch);
        http_fetch_fail(fetch, EHOSTUNREACH, "%s: %s", host->name, problem);
    }
    host_serve(host);
    http_wire_unpin(host);
    http_client_leave(client);
}

/* Makes room among all connections, if need be and possible. */
static int make_room(HttpWire *wire)
{
    HttpWireConnection *idle = wire->n_connections < HTTP_WIRE_CONNECTIONS_MAX ? NULL : wire->connections;

    while (idle && idle->fetch)
        idle = idle->next;
    if (idle)
        http_wire_close(idle);
    return wire->n_connections < HTTP_WIRE_CONNECTIONS_MAX ? 0 : -EAGAIN;
}

static HttpWireConnection *take_idle(HttpWireHost *host)
{
    HttpWireConnection *connection;

    while ((connection = host->idle)) {
        if (http_connection_is_quiet(connection)) {
            idle_remove(connection);
            return connection;
        }
        http_wire_close(connection);
    }
    return NULL;
}

/* Failures are told when the loop comes round: whoever caused this by ending
 * another fetch does not expect calls. */
static void fetch_assign(HttpWireHost *host, InaHttpFetch *fetch)
{
    HttpClient *client = host->wire->client;
    bool before = client->starting;

    client->starting = true;
    http_wire_pin(host);
    HttpWireConnection *connection = fetch->retried ? NULL : take_idle(host);
    int r = connection ? 0 : make_room(host->wire);
    if (r == 0 && !connection)
        while ((r = http_connection_open(host, fetch->attempt, &connection)) < 0 &&
               fetch->attempt + 1 < host->n_addresses)
            fetch->attempt++;
    if (connection)
        http_connection_ask(connection, fetch);
    else
        http_fetch_fail(fetch, -r, "connecting to %s: %s", host->key, http_strerror(-r));
    http_wire_unpin(host);
    client->starting = before;
}

static void waiting_remove(InaHttpFetch *fetch)
{
    HttpWireHost *host = fetch->host;

    if (fetch->previous_waiting)
        fetch->previous_waiting->next_waiting = fetch->next_waiting;
    else
        host->waiting = fetch->next_waiting;
    if (fetch->next_waiting)
        fetch->next_waiting->previous_waiting = fetch->previous_waiting;
    else
        host->waiting_last = fetch->previous_waiting;
    fetch->previous_waiting = fetch->next_waiting = NULL;
    fetch->host = NULL;
}

/* Gives those that wait the connections that are free. One level deep: a
 * connection that fails at once closes, and would come here again. */
static void host_serve(HttpWireHost *host)
{
    HttpClient *client = host->wire->client;

    if (!host->waiting || host->serving || host->n_addresses == 0)
        return;
    host->serving = true;
    http_wire_pin(host);
    while (host->waiting && !client->dead &&
           (host->idle || host->n_connections < client->options.connections_per_host)) {
        InaHttpFetch *fetch = host->waiting;
        waiting_remove(fetch);
        fetch_assign(host, fetch);
    }
    host->serving = false;
    http_wire_unpin(host);
}

void http_wire_place(HttpWireHost *host, InaHttpFetch *fetch)
{
    HttpClient *client = host->wire->client;
    unsigned limit = client->options.connections_per_host;
    int r = 0;

    if (host->n_addresses > 0 && !host->waiting && (host->idle || host->n_connections < limit)) {
        fetch_assign(host, fetch);
        return;
    }
    if (host->n_addresses == 0 && !host->resolve)
        r = http_resolve(client->event, host->name, host->port, on_resolved, host, &host->resolve);
    if (r < 0) {
        http_fetch_fail(fetch, -r, "resolving %s: %s", host->name, http_strerror(-r));
        return;
    }
    fetch->host = host;
    fetch->previous_waiting = host->waiting_last;
    if (host->waiting_last)
        host->waiting_last->next_waiting = fetch;
    else
        host->waiting = fetch;
    host->waiting_last = fetch;
}

void http_wire_start(HttpWire *wire, InaHttpFetch *fetch, const HttpTarget *target)
{
    HttpWireHost *host = map_get(wire->hosts, target->key);

    if (!host && !(host = host_new(wire, target))) {
        http_fetch_fail(fetch, ENOMEM, "%s", http_strerror(ENOMEM));
        return;
    }
    http_wire_pin(host);
    http_wire_place(host, fetch);
    http_wire_unpin(host);
}

void http_wire_cancel(InaHttpFetch *fetch)
{
    HttpWireHost *host = fetch->host;

    if (fetch->connection)
        http_wire_close(fetch->connection);
    if (!host)
        return;
    http_wire_pin(host);
    waiting_remove(fetch);
    http_wire_unpin(host);
}
