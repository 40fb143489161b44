/* http_server.c - see http_server.h: the loop, connections, limits, routing. */
#include "http_internal.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void listener_run(HttpListener *listener);
static void server_end(HttpServer *server);

int http_server_new(sd_event *event, const HttpServerOptions *options, HttpServer **ret, InaError *error)
{
    HttpServer *server = calloc(1, sizeof(*server));

    if (!server)
        return ina_error_errno(error, ENOMEM, "HTTP server");
    server->watch_fd = -1;
    if (options)
        server->limits = *options;
    HttpServerOptions *limits = &server->limits;
    if (limits->connections_max == 0)
        limits->connections_max = HTTP_SERVER_CONNECTIONS_MAX;
    if (limits->body_max == 0)
        limits->body_max = HTTP_SERVER_BODY_MAX;
    if (limits->bodies_max == 0)
        limits->bodies_max = HTTP_SERVER_BODIES_MAX;
    if (limits->idle_seconds == 0)
        limits->idle_seconds = HTTP_SERVER_IDLE_SECONDS;
    if (limits->certificate) {
        server->certificate = strdup(limits->certificate);
        server->key = limits->key ? strdup(limits->key) : NULL;
        server->ca = limits->ca ? strdup(limits->ca) : NULL;
        if (!server->certificate || (limits->key && !server->key) || (limits->ca && !server->ca)) {
            http_server_free(server);
            return ina_error_errno(error, ENOMEM, "HTTP server");
        }
        if (!server->key) {
            http_server_free(server);
            return ina_error_set(error, EINVAL, "HTTP server: a certificate needs its key");
        }
    }
    server->event = sd_event_ref(event);
    int r = http_watch_open(server, error);
    if (r < 0) {
        http_server_free(server);
        return r;
    }
    /* sendfile() has no MSG_NOSIGNAL. */
    struct sigaction action;
    if (sigaction(SIGPIPE, NULL, &action) == 0 && action.sa_handler == SIG_DFL)
        signal(SIGPIPE, SIG_IGN);
    *ret = server;
    return 0;
}

const char *http_server_address(const HttpServer *server, size_t index)
{
    return index < server->n_listeners ? server->listeners[index].address : NULL;
}

void http_server_set_guard(HttpServer *server, bool (*guard)(void *userdata, InaHttpRequest *request), void *userdata)
{
    server->guard = guard;
    server->guard_userdata = userdata;
}

void http_server_statistics(const HttpServer *server, HttpServerStatistics *ret)
{
    *ret = server->statistics;
}

HttpServer *http_server_free(HttpServer *server)
{
    if (!server || server->dead)
        return NULL;
    server->dead = true;
    if (server->running == 0)
        server_end(server);
    return NULL;
}

/* --- routing ------------------------------------------------------------ */

static size_t prefix_length(const char *prefix)
{
    size_t length = strlen(prefix);

    while (length > 0 && prefix[length - 1] == '/')
        length--;
    return length;
}

/* Where `prefix` is, or belongs. */
static size_t route_position(const HttpServer *server, const char *prefix, size_t length, bool *ret_found)
{
    size_t low = 0, high = server->n_routes;

    *ret_found = false;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const char *other = server->routes[middle].prefix;
        int order = strncmp(prefix, other, length);

        if (order == 0 && other[length] != '\0')
            order = -1;
        if (order == 0) {
            *ret_found = true;
            return middle;
        }
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

int http_server_route_add(HttpServer *server, const char *prefix, HttpHandler handler, void *userdata,
                          void (*release)(void *userdata), InaError *error)
{
    bool found;

    if (prefix[0] != '/')
        return ina_error_set(error, EINVAL, "HTTP prefix \"%s\" does not begin with a slash", prefix);
    size_t length = prefix_length(prefix);
    size_t position = route_position(server, prefix, length, &found);
    if (found)
        return ina_error_set(error, EEXIST, "HTTP prefix \"%s\" is taken", prefix);
    if (server->n_routes == HTTP_HANDLERS_MAX)
        return ina_error_set(error, ENOSPC, "HTTP prefix \"%s\": there are %u already", prefix, HTTP_HANDLERS_MAX);
    HttpRoute *routes = realloc(server->routes, (server->n_routes + 1) * sizeof(*routes));
    char *name = strndup(prefix, length);
    if (routes)
        server->routes = routes;
    if (!routes || !name) {
        free(name);
        return ina_error_errno(error, ENOMEM, "HTTP prefix \"%s\"", prefix);
    }
    memmove(routes + position + 1, routes + position, (server->n_routes - position) * sizeof(*routes));
    routes[position] = (HttpRoute){.prefix = name, .handler = handler, .userdata = userdata, .release = release};
    server->n_routes++;
    return 0;
}

int http_server_handle(HttpServer *server, const char *prefix, HttpHandler handler, void *userdata, InaError *error)
{
    return http_server_route_add(server, prefix, handler, userdata, NULL, error);
}

static void route_remove(HttpServer *server, size_t position)
{
    HttpRoute route = server->routes[position];

    server->n_routes--;
    memmove(server->routes + position, server->routes + position + 1,
            (server->n_routes - position) * sizeof(*server->routes));
    if (route.release)
        route.release(route.userdata);
    free(route.prefix);
}

void http_server_unhandle(HttpServer *server, const char *prefix)
{
    bool found;
    size_t position = route_position(server, prefix, prefix_length(prefix), &found);

    if (found)
        route_remove(server, position);
}

const HttpRoute *http_server_route(const HttpServer *server, const char *path)
{
    size_t length = strlen(path);

    for (;;) {
        bool found;
        size_t position = route_position(server, path, length, &found);
        if (found)
            return &server->routes[position];
        if (length == 0)
            return NULL;
        do
            length--;
        while (length > 0 && path[length] != '/');
    }
}

/* --- requests as they come ---------------------------------------------- */

typedef struct HeaderCheck {
    unsigned n, lengths, encodings, hosts;
    uint64_t length;
    int status;
    const char *problem;
} HeaderCheck;

static bool is_name(const char *text, size_t size)
{
    static const char extra[] = "!#$%&'*+-.^_`|~";

    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        bool letter = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        if (!letter && (c == '\0' || !strchr(extra, c)))
            return false;
    }
    return size > 0;
}

static bool parse_length(const char *text, uint64_t *ret)
{
    uint64_t length = 0;

    if (!*text)
        return false;
    for (; *text; text++)
        if (*text < '0' || *text > '9' || __builtin_mul_overflow(length, 10, &length) ||
            __builtin_add_overflow(length, (uint64_t)(*text - '0'), &length))
            return false;
    *ret = length;
    return true;
}

/* libmicrohttpd takes the first of several lengths and lets an unknown
 * transfer encoding run to the end of the connection; a proxy before us may
 * see it otherwise, so nothing ambiguous is let through. */
static enum MHD_Result check_header(void *userdata, enum MHD_ValueKind kind, const char *name, size_t name_size,
                                    const char *value, size_t value_size)
{
    HeaderCheck *check = userdata;
    const char *problem = NULL;
    int status = 400;

    if (++check->n > HTTP_HEADERS_MAX) {
        status = 431;
        problem = "too many header lines";
    } else if (!is_name(name, name_size)) {
        problem = "malformed header name";
    } else if (name_size == 14 && strcasecmp(name, "Content-Length") == 0) {
        if (++check->lengths > 1)
            problem = "more than one Content-Length";
        else if (!value || !parse_length(value, &check->length))
            problem = "malformed Content-Length";
    } else if (name_size == 17 && strcasecmp(name, "Transfer-Encoding") == 0) {
        if (++check->encodings > 1)
            problem = "more than one Transfer-Encoding";
        else if (!value || strcasecmp(value, "chunked") != 0) {
            status = 501;
            problem = "this Transfer-Encoding is not supported, \"chunked\" is";
        }
    } else if (name_size == 4 && strcasecmp(name, "Host") == 0 && ++check->hosts > 1) {
        problem = "more than one Host";
    }
    if (!problem && check->lengths && check->encodings)
        problem = "both Content-Length and Transfer-Encoding";
    if (!problem)
        return MHD_YES;
    check->status = status;
    check->problem = problem;
    return MHD_NO;
}

/* Decoded paths are handed to handlers that make file names of them. */
static bool path_is_plain(const char *path)
{
    if (path[0] != '/')
        return false;
    for (const char *p = path; *p; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            return false;
        if (p[0] == '/' && p[1] == '.') {
            const char *end = p[2] == '.' ? p + 3 : p + 2;
            if (*end == '/' || *end == '\0')
                return false;
        }
    }
    return true;
}

/* The header is complete, nothing of the body is read. */
static enum MHD_Result request_begin(HttpConnection *connection, const char *url, const char *method)
{
    HttpServer *server = connection->listener->server;
    HeaderCheck check = {0};

    server->statistics.requests++;
    connection->answered = false;
    InaHttpRequest *request = http_request_new(connection, method, url);
    if (!request)
        return MHD_NO;
    connection->request = request;

    MHD_get_connection_values_n(connection->mhd, MHD_HEADER_KIND, check_header, &check);
    const union MHD_ConnectionInfo *size =
        MHD_get_connection_info(connection->mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    if (check.problem) {
        http_refuse(request, check.status, "%s", check.problem);
    } else if (size && size->header_size > HTTP_SERVER_HEADER_MAX) {
        http_refuse(request, 431, "the header is larger than %u bytes", HTTP_SERVER_HEADER_MAX);
    } else if (connection->bad_url || !path_is_plain(url)) {
        http_refuse(request, 400, "malformed path: it must begin with a slash and have no . or .. in it");
    } else if (server->statistics.connections > server->limits.connections_max) {
        http_refuse(request, 503, "more than %u connections", server->limits.connections_max);
    } else if (check.length > server->limits.body_max) {
        http_refuse(request, 413, "the body is larger than %zu bytes", server->limits.body_max);
    } else if (check.length > 0 || check.encodings > 0) {
        request->expected = check.encodings ? UINT64_MAX : check.length;
        if (server->guard && server->guard(server->guard_userdata, request)) {
            connection->lingering = true;
            server->statistics.refused++;
            if (connection->request) { /* it answers later */
                request->dispatched = true;
                http_suspend(connection);
            }
            return MHD_YES;
        }
        size_t first = check.length < HTTP_BODY_FIRST ? (size_t)check.length : HTTP_BODY_FIRST;
        int status = http_request_reserve(request, first);
        if (status)
            http_refuse(request, status, "%s", "the server has too many request bodies in memory");
    }
    connection->bad_url = false;
    return connection->left ? MHD_NO : MHD_YES;
}

/* libmicrohttpd takes no answer while a body is coming in: write it beside. */
static enum MHD_Result refuse_raw(HttpConnection *connection, int status)
{
    char text[160];
    int length = snprintf(text, sizeof(text), "HTTP/1.1 %d %s\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
                          status, http_reason(status));
    HttpServer *server = connection->listener->server;

    server->statistics.refused++;
    if (server->certificate) {
        const union MHD_ConnectionInfo *info =
            MHD_get_connection_info(connection->mhd, MHD_CONNECTION_INFO_GNUTLS_SESSION);
        if (info)
            gnutls_record_send(info->tls_session, text, (size_t)length);
    } else {
        (void)!send(connection->fd, text, (size_t)length, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    connection->lingering = true;
    return MHD_NO;
}

static enum MHD_Result request_body(HttpConnection *connection, const char *data, size_t *size)
{
    InaHttpRequest *request = connection->request;

    if (!request || connection->left)
        return MHD_NO;
    int status = http_request_reserve(request, *size);
    if (status)
        return refuse_raw(connection, status);
    memcpy(request->body + request->size, data, *size);
    request->size += *size;
    connection->listener->server->statistics.bytes_in += *size;
    *size = 0;
    return MHD_YES;
}

/* The request is complete. */
static enum MHD_Result request_dispatch(HttpConnection *connection)
{
    HttpServer *server = connection->listener->server;
    InaHttpRequest *request = connection->request;

    if (!request || connection->left || server->dead)
        return MHD_NO;
    if (request->dispatched)
        return MHD_NO; /* resumed without an answer */
    request->dispatched = true;
    if (request->body)
        request->body[request->size] = '\0';
    if (request->expected == 0 && server->guard && server->guard(server->guard_userdata, request)) {
        server->statistics.refused++;
        if (connection->request)
            http_suspend(connection);
        return connection->left ? MHD_NO : MHD_YES;
    }
    const HttpRoute *route = http_server_route(server, request->path);
    if (route)
        route->handler(route->userdata, request);
    else
        ina_http_respond_text(request, 404, "there is nothing at %s\n", request->path);
    if (connection->left)
        return MHD_NO;
    if (connection->request)
        http_suspend(connection);
    return MHD_YES;
}

static enum MHD_Result on_request(void *userdata, struct MHD_Connection *mhd, const char *url, const char *method,
                                  const char *version, const char *data, size_t *size, void **state)
{
    HttpConnection *connection = *state;

    if (connection)
        return *size > 0 ? request_body(connection, data, size) : request_dispatch(connection);
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    connection = info ? info->socket_context : NULL;
    if (!connection || connection->listener->server->dead)
        return MHD_NO;
    *state = connection;
    return request_begin(connection, url, method);
}

/* The answer is sent, or the connection is closing. */
static void on_completed(void *userdata, struct MHD_Connection *mhd, void **state,
                         enum MHD_RequestTerminationCode reason)
{
    HttpConnection *connection = *state;

    if (!connection)
        return;
    *state = NULL;
    if (connection->request) {
        InaHttpRequest *request = connection->request;
        connection->request = NULL;
        http_request_cancel(request);
    }
    if (connection->stream) {
        InaHttpStream *stream = connection->stream;
        connection->stream = NULL;
        http_stream_gone(stream);
    }
}

static void on_connection(void *userdata, struct MHD_Connection *mhd, void **context,
                          enum MHD_ConnectionNotificationCode code)
{
    HttpListener *listener = userdata;
    HttpServer *server = listener->server;
    HttpConnection *connection = *context;

    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        connection = calloc(1, sizeof(*connection));
        *context = connection; /* without: its requests are refused */
        if (!connection)
            return;
        connection->listener = listener;
        connection->mhd = mhd;
        const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
        connection->fd = info ? info->connect_fd : -1;
        connection->next = server->connections;
        if (connection->next)
            connection->next->previous = connection;
        server->connections = connection;
        server->statistics.connections++;
        return;
    }
    if (!connection)
        return;
    *context = NULL;
    http_watch_forget(connection);
    if (!server->dead)
        http_linger(connection);
    if (connection->previous)
        connection->previous->next = connection->next;
    else
        server->connections = connection->next;
    if (connection->next)
        connection->next->previous = connection->previous;
    server->statistics.connections--;
    listener->again_wanted = true; /* at its limit libmicrohttpd accepts again only in its next round */
    free(connection->subject);
    free(connection);
}

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Decodes in place. libmicrohttpd's own lets "%00" end a path early and
 * passes malformed escapes on. */
static size_t unescape(void *userdata, struct MHD_Connection *mhd, char *text)
{
    char *out = text;
    bool bad = false;

    for (const char *in = text; *in; in++) {
        if (*in != '%') {
            *out++ = *in;
            continue;
        }
        int high = hex(in[1]), low = high < 0 ? -1 : hex(in[2]);
        if (low < 0 || (high == 0 && low == 0)) {
            bad = true;
            break;
        }
        *out++ = (char)(high * 16 + low);
        in += 2;
    }
    *out = '\0';
    if (bad) {
        const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
        HttpConnection *connection = info ? info->socket_context : NULL;
        if (connection)
            connection->bad_url = true;
    }
    return (size_t)(out - text);
}

/* --- the loop ----------------------------------------------------------- */

/* libmicrohttpd's deadlines move on with every byte: the timer is only ever
 * set earlier, and set anew when it fires too early. */
static void listener_arm(HttpListener *listener, uint64_t milliseconds)
{
    uint64_t now;

    sd_event_now(listener->server->event, CLOCK_MONOTONIC, &now);
    uint64_t at = now + milliseconds * 1000;
    if (at >= listener->armed)
        return;
    listener->armed = at;
    sd_event_source_set_time(listener->timer, at);
    sd_event_source_set_enabled(listener->timer, SD_EVENT_ONESHOT);
}

static void listener_run(HttpListener *listener)
{
    HttpServer *server = listener->server;
    MHD_UNSIGNED_LONG_LONG timeout = 0;
    bool waits = false;

    server->running++;
    listener->running = true;
    for (unsigned i = 0; i < HTTP_RUNS_MAX && !server->dead; i++) {
        listener->again_wanted = false;
        MHD_run(listener->daemon);
        waits = MHD_get_timeout(listener->daemon, &timeout) == MHD_YES;
        if ((!waits || timeout > 0) && !listener->again_wanted)
            break;
    }
    listener->running = false;
    server->running--;
    if (server->dead) {
        if (server->running == 0)
            server_end(server);
        return;
    }
    if (listener->again_wanted || (waits && timeout == 0))
        sd_event_source_set_enabled(listener->again, SD_EVENT_ONESHOT);
    else if (waits)
        listener_arm(listener, timeout);
}

static int on_io(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    listener_run(userdata);
    return 0;
}

static int on_timer(sd_event_source *source, uint64_t at, void *userdata)
{
    HttpListener *listener = userdata;

    listener->armed = UINT64_MAX;
    listener_run(listener);
    return 0;
}

static int on_again(sd_event_source *source, void *userdata)
{
    listener_run(userdata);
    return 0;
}

int http_listener_start(HttpListener *listener, int fd, InaError *error)
{
    HttpServer *server = listener->server;
    unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME;
    struct MHD_OptionItem tls[6];
    unsigned n = 0;

    if (server->certificate) {
        flags |= MHD_USE_TLS;
        tls[n++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_CERT, 0, server->certificate};
        tls[n++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_KEY, 0, server->key};
        static char priorities[] = "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2";
        tls[n++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_PRIORITIES, 0, priorities};
        if (server->ca)
            tls[n++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_TRUST, 0, server->ca};
    }
    tls[n] = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};

    /* A few more than allowed are let in, to be told 503. */
    listener->daemon = MHD_start_daemon(flags, 0, NULL, NULL, on_request, listener,                       /**/
                                        MHD_OPTION_LISTEN_SOCKET, fd,                                     /**/
                                        MHD_OPTION_CONNECTION_LIMIT, server->limits.connections_max + 16, /**/
                                        MHD_OPTION_CONNECTION_TIMEOUT, server->limits.idle_seconds,       /**/
                                        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HTTP_POOL_SIZE,       /**/
                                        MHD_OPTION_STRICT_FOR_CLIENT, 1,                                  /**/
                                        MHD_OPTION_NOTIFY_COMPLETED, on_completed, listener,              /**/
                                        MHD_OPTION_NOTIFY_CONNECTION, on_connection, listener,            /**/
                                        MHD_OPTION_UNESCAPE_CALLBACK, unescape, listener,                 /**/
                                        MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_ARRAY, tls, MHD_OPTION_END);
    if (!listener->daemon)
        return ina_error_set(error, EINVAL, "libmicrohttpd does not start%s",
                             server->certificate ? ": certificate, key or CA is not usable PEM" : "");
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(listener->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    int r = info ? sd_event_add_io(server->event, &listener->io, info->epoll_fd, EPOLLIN, on_io, listener) : -EIO;
    if (r >= 0)
        r = sd_event_add_time(server->event, &listener->timer, CLOCK_MONOTONIC, 0, 50000, on_timer, listener);
    if (r >= 0)
        r = sd_event_source_set_enabled(listener->timer, SD_EVENT_OFF);
    if (r >= 0)
        r = sd_event_add_defer(server->event, &listener->again, on_again, listener);
    if (r < 0)
        return ina_error_errno(error, r, "event loop");
    listener->armed = UINT64_MAX;
    /* The first run puts the listening socket into libmicrohttpd's epoll set. */
    sd_event_source_set_enabled(listener->again, SD_EVENT_ONESHOT);
    return 0;
}

void http_listener_stop(HttpListener *listener)
{
    sd_event_source_disable_unref(listener->io);
    sd_event_source_disable_unref(listener->timer);
    sd_event_source_disable_unref(listener->again);
    listener->io = listener->timer = listener->again = NULL;
    if (listener->daemon) {
        listener->server->running++;
        MHD_stop_daemon(listener->daemon);
        listener->server->running--;
    }
    listener->daemon = NULL;
}

static void server_end(HttpServer *server)
{
    /* libmicrohttpd aborts when it is stopped with suspended connections. */
    for (HttpConnection *connection = server->connections; connection; connection = connection->next) {
        connection->left = true;
        if (connection->suspended)
            http_resume(connection);
    }
    for (size_t i = 0; i < server->n_listeners; i++) {
        http_listener_stop(&server->listeners[i]);
        http_listener_close(&server->listeners[i]);
    }
    while (server->n_routes > 0)
        route_remove(server, server->n_routes - 1);
    for (InaHttpRequest *request = server->owed, *next; request; request = next) {
        next = request->next;
        request->server = NULL;
        request->previous = request->next = NULL;
    }
    http_watch_close(server);
    sd_event_unref(server->event);
    free(server->routes);
    free(server->certificate);
    free(server->key);
    free(server->ca);
    free(server);
}
