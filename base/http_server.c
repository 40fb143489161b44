/* http_server.c - see http_server.h: the loop, connections, limits, routing. */
#include "http_internal.h"
#include "soon.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int on_again(sd_event_source *source, void *userdata);
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
        server->plain = limits->plain ? strdup(limits->plain) : NULL;
        if (!server->certificate || (limits->key && !server->key) || (limits->ca && !server->ca) ||
            (limits->plain && !server->plain)) {
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

void http_listener_again(HttpListener *listener)
{
    if (listener->daemon && soon(listener->server->event, &listener->again, on_again, listener) < 0)
        listener_arm(listener, 0);
}

static void listener_run(HttpListener *listener)
{
    HttpServer *server = listener->server;
    MHD_UNSIGNED_LONG_LONG timeout = 0;
    bool waits = false, idle = false;

    server->running++;
    listener->running = true;
    for (unsigned i = 0; i < HTTP_RUNS_MAX && !server->dead; i++) {
        uint64_t before = listener->activity;
        listener->again_wanted = false;
        MHD_run(listener->daemon);
        waits = MHD_get_timeout(listener->daemon, &timeout) == MHD_YES;
        if ((!waits || timeout > 0) && !listener->again_wanted)
            break;
        idle = listener->activity == before;
    }
    listener->running = false;
    server->running--;
    if (server->dead) {
        if (server->running == 0)
            server_end(server);
        return;
    }
    /* libmicrohttpd wants to be run without a pause while a client owes it a
     * part of the TLS handshake. What the client sends wakes us anyway. */
    if (waits && timeout == 0 && idle && server->certificate && listener->unasked > 0 && !listener->again_wanted)
        listener_arm(listener, HTTP_HANDSHAKE_WAIT);
    else if (listener->again_wanted || (waits && timeout == 0))
        http_listener_again(listener);
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
    HttpListener *listener = userdata;

    listener->again = sd_event_source_disable_unref(listener->again);
    listener_run(listener);
    return 0;
}

int http_listener_start(HttpListener *listener, int fd, InaError *error)
{
    HttpServer *server = listener->server;
    unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME;
    struct MHD_OptionItem more[7];
    unsigned n = 0;
    bool sniffs = server->plain && !listener->path;

    if (server->certificate) {
        flags |= MHD_USE_TLS;
        more[n++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_CERT, 0, server->certificate};
        more[n++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_KEY, 0, server->key};
        static char priorities[] = "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2";
        more[n++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_PRIORITIES, 0, priorities};
        if (server->ca)
            more[n++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_TRUST, 0, server->ca};
    }
    if (sniffs)
        flags |= MHD_USE_NO_LISTEN_SOCKET;
    else
        more[n++] = (struct MHD_OptionItem){MHD_OPTION_LISTEN_SOCKET, fd, NULL};
    more[n] = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};

    /* A few more than allowed are let in, to be told 503. */
    listener->daemon = MHD_start_daemon(flags, 0, NULL, NULL, http_on_request, listener,                  /**/
                                        MHD_OPTION_CONNECTION_LIMIT, server->limits.connections_max + 16, /**/
                                        MHD_OPTION_CONNECTION_TIMEOUT, server->limits.idle_seconds,       /**/
                                        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HTTP_POOL_SIZE,       /**/
                                        MHD_OPTION_STRICT_FOR_CLIENT, 1,                                  /**/
                                        MHD_OPTION_NOTIFY_COMPLETED, http_on_completed, listener,         /**/
                                        MHD_OPTION_NOTIFY_CONNECTION, http_on_connection, listener,       /**/
                                        MHD_OPTION_UNESCAPE_CALLBACK, http_unescape, listener,            /**/
                                        MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_ARRAY, more, MHD_OPTION_END);
    if (!listener->daemon)
        return ina_error_set(error, EINVAL, "libmicrohttpd does not start%s",
                             server->certificate ? ": certificate, key or CA is not usable PEM" : "");
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(listener->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    int r = info ? sd_event_add_io(server->event, &listener->io, info->epoll_fd, EPOLLIN, on_io, listener) : -EIO;
    if (r >= 0)
        r = sd_event_add_time(server->event, &listener->timer, CLOCK_MONOTONIC, 0, 50000, on_timer, listener);
    if (r >= 0)
        r = sd_event_source_set_enabled(listener->timer, SD_EVENT_OFF);
    if (r >= 0 && sniffs)
        r = http_sniff_start(listener, fd);
    if (r < 0)
        return ina_error_errno(error, r, "event loop");
    listener->armed = UINT64_MAX;
    /* The first run puts the listening socket into libmicrohttpd's epoll set. */
    http_listener_again(listener);
    return 0;
}

void http_listener_stop(HttpListener *listener)
{
    http_sniff_stop(listener);
    sd_event_source_disable_unref(listener->io);
    sd_event_source_disable_unref(listener->timer);
    listener->io = listener->timer = NULL;
    if (listener->daemon) {
        listener->server->running++;
        MHD_stop_daemon(listener->daemon);
        listener->server->running--;
    }
    listener->daemon = NULL;
    listener->again = sd_event_source_disable_unref(listener->again);
}

static void server_end(HttpServer *server)
{
    /* libmicrohttpd aborts when it is stopped with suspended connections. */
    for (HttpConnection *connection = server->connections; connection; connection = connection->next) {
        connection->left = true;
        if (connection->suspended)
            http_resume(connection);
        if (connection->upgrade)
            http_upgrade_cut(connection->upgrade);
    }
    for (size_t i = 0; i < server->n_listeners; i++) {
        http_listener_stop(&server->listeners[i]);
        http_listener_close(&server->listeners[i]);
    }
    while (server->n_routes > 0)
        http_server_route_remove(server, server->n_routes - 1);
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
    free(server->plain);
    free(server);
}
