/* http_client_connection.c - a connection at work: connects, shakes hands, sends
 * a request, reads the answer. */
#include "http_client_wire.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define ROUNDS_MAX 16u /* reads in one dispatch */

static void connection_send(HttpWireConnection *connection);
static int on_io(sd_event_source *source, int fd, uint32_t events, void *userdata);

/* --- connecting --------------------------------------------------------- */

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

int http_connection_open(HttpWireHost *host, unsigned attempt, HttpWireConnection **ret)
{
    HttpWire *wire = host->wire;
    static const int one = 1;

    HttpWireConnection *connection = calloc(1, sizeof(*connection));
    if (!connection)
        return -ENOMEM;
    connection->address = (host->preferred + attempt) % host->n_addresses;
    const HttpAddress *to = &host->addresses[connection->address];
    connection->fd = socket(to->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (connection->fd < 0) {
        free(connection);
        return -errno;
    }
    if (to->address.ss_family != AF_UNIX)
        setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    int r = connect(connection->fd, (const struct sockaddr *)&to->address, to->size) < 0 ? -errno : 0;
    connection->state = r == 0 && !host->secure ? HTTP_WIRE_OPEN : HTTP_WIRE_CONNECTING;
    connection->events = EPOLLET | (connection->state == HTTP_WIRE_OPEN ? EPOLLIN : EPOLLOUT);
    if (r == 0 || r == -EINPROGRESS)
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

/* Another address of the host may answer. */
static void connect_fail(HttpWireConnection *connection, int code, const char *problem)
{
    InaHttpFetch *fetch = connection->fetch;
    HttpWireHost *host = connection->host;
    bool refused = connection->state == HTTP_WIRE_CONNECTING;

    http_wire_pin(host);
    http_wire_close(connection);
    if (refused && fetch->attempt + 1 < host->n_addresses) {
        fetch->attempt++;
        http_wire_place(host, fetch);
    } else {
        http_fetch_fail(fetch, code, "connecting to %s: %s", host->key, problem);
    }
    http_wire_unpin(host);
}

static void connection_handshake(HttpWireConnection *connection)
{
    char problem[256];

    int r = http_tls_handshake(connection->tls, problem, sizeof(problem));
    if (r == -EAGAIN) {
        wait_for(connection, http_tls_wants_write(connection->tls) ? EPOLLIN | EPOLLOUT : EPOLLIN);
    } else if (r < 0) {
        connect_fail(connection, -r, problem);
    } else {
        connection->state = HTTP_WIRE_OPEN;
        connection_send(connection);
    }
}

static void connection_connected(HttpWireConnection *connection)
{
    HttpWireHost *host = connection->host;
    int problem = 0;
    socklen_t size = sizeof(problem);

    if (getsockopt(connection->fd, SOL_SOCKET, SO_ERROR, &problem, &size) < 0)
        problem = errno;
    if (problem == 0 && host->secure) {
        connection->state = HTTP_WIRE_HANDSHAKING;
        problem = -http_tls_session_new(host->wire->client->tls, connection->fd, host->name, &connection->tls);
    }
    if (problem) {
        connect_fail(connection, problem, http_strerror(problem));
        return;
    }
    host->preferred = connection->address;
    if (connection->tls) {
        connection_handshake(connection);
    } else {
        connection->state = HTTP_WIRE_OPEN;
        connection_send(connection);
    }
}

/* --- bytes ---------------------------------------------------------------- */

static ssize_t put(HttpWireConnection *connection, const void *data, size_t size)
{
    if (connection->tls)
        return http_tls_send(connection->tls, data, size);
    ssize_t n = send(connection->fd, data, size, MSG_NOSIGNAL);
    return n < 0 ? -errno : n;
}

static ssize_t take(HttpWireConnection *connection, void *data, size_t size)
{
    if (connection->tls)
        return http_tls_receive(connection->tls, data, size);
    ssize_t n = recv(connection->fd, data, size, 0);
    return n < 0 ? -errno : n;
}

bool http_connection_is_quiet(HttpWireConnection *connection)
{
    char byte;

    if (connection->tls) { /* it may speak of its own affairs */
        ssize_t n;
        do
            n = http_tls_receive(connection->tls, &byte, 1);
        while (n == -EINTR);
        return n == -EAGAIN;
    }
    return recv(connection->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

void http_connection_ask(HttpWireConnection *connection, InaHttpFetch *fetch)
{
    connection->fetch = fetch;
    fetch->connection = connection;
    fetch->sent = 0;
    http_parser_start(&connection->parser, strcmp(fetch->method, "HEAD") == 0);
    if (connection->state == HTTP_WIRE_OPEN)
        connection_send(connection);
}

/* --- a request and its answer ------------------------------------------- */

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

    http_wire_pin(host);
    fetch->connection = NULL;
    connection->fetch = NULL;
    http_wire_close(connection);
    if (repeat) {
        fetch->retried = true;
        http_wire_place(host, fetch);
    } else {
        http_fetch_fail(fetch, code, "%s", problem);
    }
    http_wire_unpin(host);
}

static void connection_send(HttpWireConnection *connection)
{
    InaHttpFetch *fetch = connection->fetch;

    while (fetch->sent < fetch->out_size) {
        ssize_t n = put(connection, fetch->out + fetch->sent, fetch->out_size - fetch->sent);
        if (n >= 0) {
            fetch->sent += (size_t)n;
        } else if (n == -EAGAIN) {
            wait_for(connection, EPOLLIN | EPOLLOUT);
            return;
        } else if (n == -EINTR) {
            continue;
        } else if (fetch->sent == 0 && connection->used && !fetch->retried) {
            connection_fail(connection, (int)-n, http_strerror((int)-n));
            return;
        } else { /* the server may have refused the request before it was whole: read why */
            connection->mute = true;
            break;
        }
    }
    wait_for(connection, EPOLLIN);
}

static void connection_finish(HttpWireConnection *connection, bool clean)
{
    InaHttpFetch *fetch = connection->fetch;
    char content_type[sizeof(connection->parser.content_type)];
    int status = connection->parser.status;

    memcpy(content_type, connection->parser.content_type, sizeof(content_type));
    connection->fetch = NULL;
    fetch->connection = NULL;
    if (!clean || !connection->parser.keeps || fetch->sent < fetch->out_size || connection->mute)
        http_wire_close(connection);
    else
        http_wire_keep(connection);
    http_fetch_done(fetch, status, content_type[0] ? content_type : NULL);
}

static void connection_fail_size(HttpWireConnection *connection, int code)
{
    InaHttpFetch *fetch = connection->fetch;

    http_wire_close(connection);
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
            const char *problem = r == -ENOMEM ? http_strerror(ENOMEM) : parser->problem;
            http_wire_close(connection);
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
            http_wire_close(connection);
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

    for (unsigned i = 0; i < ROUNDS_MAX || (connection->tls && http_tls_pending(connection->tls)); i++) {
        bool direct = is_direct(connection);
        Buffer *body = &connection->fetch->body;
        size_t room = direct ? (size_t)connection->parser.left : sizeof(wire->buffer);
        ssize_t n = take(connection, direct ? body->data + body->size : wire->buffer, room);
        if (n == -EINTR)
            continue;
        if (n == -EAGAIN) {
            if (connection->tls && http_tls_wants_write(connection->tls))
                wait_for(connection, EPOLLIN | EPOLLOUT);
            return;
        }
        if (n < 0) {
            connection_fail(connection, (int)-n, http_strerror((int)-n));
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
    HttpClient *client = connection->host->wire->client;

    http_client_enter(client);
    if (!connection->fetch) {
        if (!http_connection_is_quiet(connection))
            http_wire_close(connection);
    } else if (connection->state == HTTP_WIRE_CONNECTING) {
        connection_connected(connection);
    } else if (connection->state == HTTP_WIRE_HANDSHAKING) {
        connection_handshake(connection);
    } else {
        if (events & EPOLLOUT)
            connection_send(connection);
        if (connection->fetch && (events & (EPOLLIN | EPOLLHUP | EPOLLERR | EPOLLRDHUP)))
            connection_receive(connection);
    }
    http_client_leave(client);
    return 0;
}
