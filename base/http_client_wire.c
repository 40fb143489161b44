/* http_client_wire.c - HTTP/1.1 over sockets of our own.
 *
 * A connection carries one request at a time and is kept for the next. The
 * one used last is taken first, so that those not needed any more grow old
 * and are closed. Fetches beyond the limit per host wait in line. */
#include "clock.h"
#include "http_client_internal.h"

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

#define ROUNDS_MAX 16u /* reads in one dispatch */

typedef struct HttpWireHost {
    HttpWire *wire;
    struct sockaddr_storage address;
    socklen_t address_size;
    unsigned n_connections;
    unsigned pins; /* functions that go on using it */
    bool serving, secure;
    char name[48];            /* that a certificate must be for */
    HttpWireConnection *idle; /* used last, first */
    InaHttpFetch *waiting, *waiting_last;
    char key[];
} HttpWireHost;

struct HttpWireConnection {
    HttpWireHost *host; /* NULL: closed */
    int fd;
    sd_event_source *source;
    uint32_t events;
    HttpTlsSession *tls;      /* https: once connected */
    InaHttpFetch *fetch;      /* NULL: idle */
    bool connecting, shaking; /* not yet ready for the request: TCP, TLS */
    bool used, mute;          /* mute: what was sent last failed */
    uint64_t since;           /* idle since, ns */
    HttpParser parser;
    HttpWireConnection *previous_idle, *next_idle;
    HttpWireConnection *previous, *next; /* all; or the closed ones, to be freed */
};

struct HttpWire {
    HttpClient *client;
    HttpTls *tls; /* when first needed */
    Map *hosts;
    unsigned n_connections;
    HttpWireConnection *connections, *closed;
    sd_event_source *aging;
    bool aging_armed;
    char buffer[HTTP_WIRE_BUFFER];
};

static void host_serve(HttpWireHost *host);
static void connection_send(HttpWireConnection *connection);
static void connection_shake(HttpWireConnection *connection);
static int on_io(sd_event_source *source, int fd, uint32_t events, void *userdata);
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

static void host_unpin(HttpWireHost *host)
{
    if (--host->pins > 0 || host->n_connections > 0 || host->waiting)
        return;
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

/* The struct stays until the dispatch ends; its fetch is the caller's affair. */
static void connection_close(HttpWireConnection *connection)
{
    HttpWireHost *host = connection->host;
    HttpWire *wire = host->wire;

    host->pins++;
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
    host_unpin(host);
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
        connection_close(wire->connections);
    http_wire_sweep(wire);
    sd_event_source_disable_unref(wire->aging);
    map_free(wire->hosts);
    http_tls_free(wire->tls);
    free(wire);
    return NULL;
}

static int on_aging(sd_event_source *source, uint64_t at, void *userdata)
{
    HttpWire *wire = userdata;
    uint64_t now = steady_ns();
    bool some = false;

    wire->aging_armed = false;
    http_client_enter(wire->client);
    for (HttpWireConnection *connection = wire->connections, *next; connection; connection = next) {
        next = connection->next;
        if (connection->fetch)
            continue;
        if (now - connection->since >= HTTP_WIRE_IDLE * UINT64_C(1000))
            connection_close(connection);
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

static HttpWireHost *host_new(HttpWire *wire, const HttpTarget *target)
{
    size_t size = strlen(target->key) + 1;
    HttpWireHost *host = calloc(1, sizeof(*host) + size);

    if (!host)
        return NULL;
    host->wire = wire;
    host->secure = target->secure;
    memcpy(host->name, target->host, sizeof(host->name));
    memcpy(host->key, target->key, size);
    if (target->unix_socket) {
        struct sockaddr_un *local = (struct sockaddr_un *)&host->address;
        local->sun_family = AF_UNIX;
        memcpy(local->sun_path, target->unix_socket, strlen(target->unix_socket) + 1);
        host->address_size = sizeof(*local);
    } else if (strchr(target->host, ':')) {
        struct sockaddr_in6 *six = (struct sockaddr_in6 *)&host->address;
        six->sin6_family = AF_INET6;
        six->sin6_port = htons(target->port);
        inet_pton(AF_INET6, target->host, &six->sin6_addr);
        host->address_size = sizeof(*six);
    } else {
        struct sockaddr_in *four = (struct sockaddr_in *)&host->address;
        four->sin_family = AF_INET;
        four->sin_port = htons(target->port);
        inet_pton(AF_INET, target->host, &four->sin_addr);
        host->address_size = sizeof(*four);
    }
    if (map_set(wire->hosts, host->key, host) < 0) {
        free(host);
        return NULL;
    }
    return host;
}

static int connection_new(HttpWireHost *host, HttpWireConnection **ret)
{
    HttpWire *wire = host->wire;
    static const int one = 1;

    HttpWireConnection *idle = wire->n_connections < HTTP_WIRE_CONNECTIONS_MAX ? NULL : wire->connections;
    while (idle && idle->fetch)
        idle = idle->next;
    if (idle)
        connection_close(idle);
    if (wire->n_connections >= HTTP_WIRE_CONNECTIONS_MAX)
        return -EAGAIN;
    HttpWireConnection *connection = calloc(1, sizeof(*connection));
    if (!connection)
        return -ENOMEM;
    connection->fd = socket(host->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (connection->fd < 0) {
        free(connection);
        return -errno;
    }
    if (host->address.ss_family != AF_UNIX)
        setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    int r = connect(connection->fd, (struct sockaddr *)&host->address, host->address_size) < 0 ? -errno : 0;
    connection->connecting = r == -EINPROGRESS;
    connection->shaking = host->secure;
    connection->events = EPOLLET | (connection->connecting ? EPOLLOUT : EPOLLIN);
    if (r == 0 || connection->connecting)
        r = sd_event_add_io(wire->client->event, &connection->source, connection->fd, connection->events, on_io,
                            connection);
    if (r < 0) {
        close(connection->fd);
        free(connection);
        return r;
    }
    connection->host = host;
    connection->next = wire->connections;
    if (connection->next)
        connection->next->previous = connection;
    wire->connections = connection;
    wire->n_connections++;
    host->n_connections++;
    *ret = connection;
    return 0;
}

/* Whether the server has neither closed it nor said something on it unasked
 * (which TLS does by itself: tickets). */
static bool is_silent(HttpWireConnection *connection)
{
    char byte;
    ssize_t n = connection->tls ? http_tls_receive(connection->tls, &byte, 1)
                                : recv(connection->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

    return n < 0 && errno == EAGAIN;
}

static HttpWireConnection *take_idle(HttpWireHost *host)
{
    HttpWireConnection *connection;

    while ((connection = host->idle)) {
        if (is_silent(connection)) {
            idle_remove(connection);
            return connection;
        }
        connection_close(connection);
    }
    return NULL;
}

static void connection_assign(HttpWireConnection *connection, InaHttpFetch *fetch)
{
    connection->fetch = fetch;
    fetch->connection = connection;
    fetch->sent = 0;
    http_parser_start(&connection->parser, strcmp(fetch->method, "HEAD") == 0);
    if (!connection->connecting && connection->shaking)
        connection_shake(connection);
    else if (!connection->connecting)
        connection_send(connection);
}

/* Failures are told when the loop comes round: whoever caused this by ending
 * another fetch does not expect calls. */
static void fetch_assign(HttpWireHost *host, InaHttpFetch *fetch)
{
    HttpClient *client = host->wire->client;
    bool before = client->starting;

    client->starting = true;
    host->pins++;
    HttpWireConnection *connection = fetch->retried ? NULL : take_idle(host);
    int r = 0;
    if (!connection)
        r = connection_new(host, &connection);
    if (connection)
        connection_assign(connection, fetch);
    else
        http_fetch_fail(fetch, -r, "connecting to %s: %s", host->key, strerror(-r));
    host_unpin(host);
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

    if (!host->waiting || host->serving)
        return;
    host->serving = true;
    host->pins++;
    while (host->waiting && !client->dead &&
           (host->idle || host->n_connections < client->options.connections_per_host)) {
        InaHttpFetch *fetch = host->waiting;
        waiting_remove(fetch);
        fetch_assign(host, fetch);
    }
    host->serving = false;
    host_unpin(host);
}

/* On a connection, or into the line for one. */
static void fetch_place(HttpWireHost *host, InaHttpFetch *fetch)
{
    unsigned limit = host->wire->client->options.connections_per_host;

    if (!host->waiting && (host->idle || host->n_connections < limit)) {
        fetch_assign(host, fetch);
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

/* Without an authority that is trusted nobody is. */
static bool prepare_tls(HttpWire *wire, InaHttpFetch *fetch)
{
    InaError error = {0};

    if (wire->tls)
        return true;
    if (!wire->client->options.ca_file)
        ina_error_set(&error, EPROTONOSUPPORT, "no authority is trusted, so https is not possible");
    else if (http_tls_new(&wire->client->options, &wire->tls, &error) == 0)
        return true;
    http_fetch_fail(fetch, error.code, "%s", error.message);
    return false;
}

void http_wire_start(HttpWire *wire, InaHttpFetch *fetch, const HttpTarget *target)
{
    if (target->secure && !prepare_tls(wire, fetch))
        return;
    HttpWireHost *host = map_get(wire->hosts, target->key);

    if (!host && !(host = host_new(wire, target))) {
        http_fetch_fail(fetch, ENOMEM, "%s", strerror(ENOMEM));
        return;
    }
    host->pins++;
    fetch_place(host, fetch);
    host_unpin(host);
}

void http_wire_cancel(InaHttpFetch *fetch)
{
    HttpWireHost *host = fetch->host;

    if (fetch->connection)
        connection_close(fetch->connection);
    if (!host)
        return;
    host->pins++;
    waiting_remove(fetch);
    host_unpin(host);
}

/* --- a connection at work ----------------------------------------------- */

/* Edge-triggered: sd-event looks at all sockets before each single dispatch,
 * and would be told of those still waiting for theirs again and again. */
static void wait_for(HttpWireConnection *connection, uint32_t events)
{
    events |= EPOLLET;
    if (connection->events == events)
        return;
    connection->events = events;
    sd_event_source_set_io_events(connection->source, events);
}

/* Whether the request may be sent again: nothing of it was taken, or doing it
 * twice is as doing it once. */
static bool may_repeat(const HttpWireConnection *connection, const InaHttpFetch *fetch)
{
    static const char *const safe[] = {"GET", "HEAD", "PUT", "DELETE", "OPTIONS"};

    if (!connection->used || fetch->retried || connection->parser.state != HTTP_PARSE_HEADER ||
        connection->parser.header_size > 0)
        return false;
    if (fetch->sent == 0)
        return true;
    for (size_t i = 0; i < sizeof(safe) / sizeof(safe[0]); i++)
        if (strcmp(fetch->method, safe[i]) == 0)
            return true;
    return false;
}

/* The connection broke. A kept-alive one may have been closed before it saw the request. */
static void connection_fail(HttpWireConnection *connection, int code, const char *problem)
{
    InaHttpFetch *fetch = connection->fetch;
    HttpWireHost *host = connection->host;
    bool repeat = may_repeat(connection, fetch);

    host->pins++;
    fetch->connection = NULL;
    connection->fetch = NULL;
    connection_close(connection);
    if (repeat) {
        fetch->retried = true;
        fetch_place(host, fetch);
    } else {
        http_fetch_fail(fetch, code, "%s", problem);
    }
    host_unpin(host);
}

/* The connection never came to be. */
static void connection_refuse(HttpWireConnection *connection, int code, const char *problem)
{
    InaHttpFetch *fetch = connection->fetch;
    char key[sizeof(((HttpTarget *)0)->key)];

    strncpy(key, connection->host->key, sizeof(key) - 1);
    key[sizeof(key) - 1] = '\0';
    connection_close(connection);
    http_fetch_fail(fetch, code, "connecting to %s: %s", key, problem);
}

/* Goes on with the handshake of TLS; then the request is sent. */
static void connection_shake(HttpWireConnection *connection)
{
    HttpWireHost *host = connection->host;
    uint32_t events = 0;
    InaError error = {0};

    if (!connection->tls)
        connection->tls = http_tls_session_new(host->wire->tls, connection->fd, host->name);
    if (!connection->tls) {
        connection_refuse(connection, ENOMEM, strerror(ENOMEM));
        return;
    }
    int r = http_tls_handshake(connection->tls, &events, &error);
    if (r == 0) {
        connection->shaking = false;
        connection_send(connection);
    } else if (r == -EAGAIN) {
        wait_for(connection, events);
    } else {
        connection_refuse(connection, -r, error.message);
    }
}

static ssize_t connection_write(HttpWireConnection *connection, const void *data, size_t size)
{
    return connection->tls ? http_tls_send(connection->tls, data, size)
                           : send(connection->fd, data, size, MSG_NOSIGNAL);
}

static ssize_t connection_read(HttpWireConnection *connection, void *buffer, size_t size)
{
    return connection->tls ? http_tls_receive(connection->tls, buffer, size) : recv(connection->fd, buffer, size, 0);
}

static void connection_send(HttpWireConnection *connection)
{
    InaHttpFetch *fetch = connection->fetch;

    while (fetch->sent < fetch->out_size) {
        ssize_t n = connection_write(connection, fetch->out + fetch->sent, fetch->out_size - fetch->sent);
        if (n >= 0) {
            fetch->sent += (size_t)n;
            continue;
        }
        if (errno == EINTR)
            continue;
        if (errno == EAGAIN) {
            wait_for(connection, EPOLLIN | EPOLLOUT);
            return;
        }
        if (fetch->sent == 0 && connection->used && !fetch->retried) {
            connection_fail(connection, errno, strerror(errno));
            return;
        }
        /* The server may have refused the request before it was whole: read why. */
        connection->mute = true;
        break;
    }
    wait_for(connection, EPOLLIN);
}

static void connection_finish(HttpWireConnection *connection, bool clean)
{
    InaHttpFetch *fetch = connection->fetch;
    HttpWireHost *host = connection->host;
    HttpWire *wire = host->wire;
    char content_type[sizeof(connection->parser.content_type)];
    int status = connection->parser.status;

    memcpy(content_type, connection->parser.content_type, sizeof(content_type));
    connection->fetch = NULL;
    fetch->connection = NULL;
    if (!clean || !connection->parser.keeps || fetch->sent < fetch->out_size || connection->mute) {
        connection_close(connection);
    } else {
        connection->used = true;
        connection->since = steady_ns();
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
    http_fetch_done(fetch, status, content_type[0] ? content_type : NULL);
}

static void connection_fail_size(HttpWireConnection *connection, int code)
{
    InaHttpFetch *fetch = connection->fetch;

    connection_close(connection);
    http_fetch_fail_size(fetch, code);
}

/* Feeds what was received. False: the connection is not this fetch's any more. */
static bool connection_feed(HttpWireConnection *connection, const char *data, size_t size)
{
    InaHttpFetch *fetch = connection->fetch;
    HttpParser *parser = &connection->parser;

    while (size > 0 && parser->state != HTTP_PARSE_DONE) {
        HttpParseState before = parser->state;
        const char *body;
        size_t used, body_size;
        int r = http_parse(parser, data, size, &used, &body, &body_size);
        if (r < 0) {
            const char *problem = r == -ENOMEM ? strerror(ENOMEM) : parser->problem;
            connection_close(connection);
            http_fetch_fail(fetch, r == -ENOMEM ? ENOMEM : EPROTO, "malformed answer: %s", problem);
            return false;
        }
        data += used;
        size -= used;
        if (before == HTTP_PARSE_HEADER && parser->state == HTTP_PARSE_LENGTH)
            r = http_fetch_length(fetch, parser->left);
        if (r == 0 && body_size > 0)
            r = http_fetch_data(fetch, body, body_size);
        if (connection->fetch != fetch)
            return false; /* cancelled */
        if (r == -ECANCELED) {
            connection_close(connection);
            return false;
        }
        if (r < 0) {
            connection_fail_size(connection, r);
            return false;
        }
    }
    if (parser->state != HTTP_PARSE_DONE)
        return true;
    connection_finish(connection, size == 0);
    return false;
}

/* A body of known length goes where it will stay, without a copy between. */
static bool is_direct(const HttpWireConnection *connection)
{
    return connection->parser.state == HTTP_PARSE_LENGTH && !connection->fetch->chunk;
}

static bool connection_took(HttpWireConnection *connection, size_t size)
{
    InaHttpFetch *fetch = connection->fetch;

    fetch->body.size += size;
    fetch->received += size;
    connection->parser.left -= size;
    if (connection->parser.left > 0)
        return true;
    connection->parser.state = HTTP_PARSE_DONE;
    connection_finish(connection, true);
    return false;
}

static void connection_receive(HttpWireConnection *connection)
{
    HttpWire *wire = connection->host->wire;

    /* The loop does not know what TLS has decrypted already. */
    for (unsigned i = 0; i < ROUNDS_MAX || (connection->tls && http_tls_pending(connection->tls)); i++) {
        bool direct = is_direct(connection);
        Buffer *body = &connection->fetch->body;
        size_t room = direct ? (size_t)connection->parser.left : sizeof(wire->buffer);
        ssize_t n = connection_read(connection, direct ? body->data + body->size : wire->buffer, room);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0) {
            connection_fail(connection, errno, strerror(errno));
            return;
        }
        if (n == 0) {
            if (http_parse_end(&connection->parser) == 0)
                connection_finish(connection, false);
            else
                connection_fail(connection, ECONNRESET,
                                connection->parser.state == HTTP_PARSE_HEADER
                                    ? "the server closed the connection without an answer"
                                    : "the server closed the connection in the middle of its answer");
            return;
        }
        if (!(direct ? connection_took(connection, (size_t)n) : connection_feed(connection, wire->buffer, (size_t)n)))
            return;
    }
    sd_event_source_set_io_events(connection->source, connection->events); /* tells of the rest once more */
}

static int on_io(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    HttpWireConnection *connection = userdata;
    HttpWire *wire = connection->host->wire;
    HttpClient *client = wire->client;

    http_client_enter(client);
    if (!connection->fetch) { /* closed by the server, or speaking unasked */
        if (!connection->tls || !is_silent(connection))
            connection_close(connection);
    } else if (connection->connecting) {
        int problem = 0;
        socklen_t size = sizeof(problem);
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &problem, &size);
        connection->connecting = false;
        if (problem)
            connection_refuse(connection, problem, strerror(problem));
        else if (connection->shaking)
            connection_shake(connection);
        else
            connection_send(connection);
    } else if (connection->shaking) {
        connection_shake(connection);
    } else {
        if (events & EPOLLOUT)
            connection_send(connection);
        if (connection->fetch && (events & (EPOLLIN | EPOLLHUP | EPOLLERR | EPOLLRDHUP)))
            connection_receive(connection);
    }
    http_client_leave(client);
    return 0;
}
