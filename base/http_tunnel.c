/* http_tunnel.c - bytes over a socket or a TLS session, both ways. */
#include "http_tunnel_internal.h"
#include "map.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_SIZE 16384u
#define READS_PER_TURN 16u
#define CLOSE_TIME 1000000u /* us */

struct HttpTunnel {
    sd_event *event;
    int fd;
    HttpTlsSession *tls;
    sd_event_source *io, *again, *timer;
    HttpTunnelEvents events;
    Buffer out, early;
    size_t sent; /* of `out` */
    bool held, full, ended, closing;
    bool busy, dead; /* freed in a callback: the memory goes when it returned */
    void (*finish)(void *userdata);
    void *userdata;
};

static void tunnel_free(HttpTunnel *tunnel)
{
    tunnel->io = sd_event_source_disable_unref(tunnel->io);
    tunnel->again = sd_event_source_disable_unref(tunnel->again);
    tunnel->timer = sd_event_source_disable_unref(tunnel->timer);
    tunnel->tls = http_tls_session_free(tunnel->tls);
    if (tunnel->fd >= 0) {
        if (tunnel->finish)
            tunnel->finish(tunnel->userdata);
        else
            close(tunnel->fd);
    }
    tunnel->fd = -1;
    tunnel->dead = true;
    if (tunnel->busy)
        return;
    buffer_free(&tunnel->out);
    buffer_free(&tunnel->early);
    sd_event_unref(tunnel->event);
    free(tunnel);
}

/* --- the socket ------------------------------------------------------------------------------- */

static size_t waiting(const HttpTunnel *tunnel)
{
    return tunnel->out.size - tunnel->sent;
}

size_t http_tunnel_waiting(const HttpTunnel *tunnel)
{
    return waiting(tunnel);
}

static void rearm(HttpTunnel *tunnel)
{
    uint32_t events = 0;

    if (!tunnel->io)
        return;
    if (!tunnel->held && !tunnel->ended && !tunnel->closing)
        events |= EPOLLIN;
    if (waiting(tunnel) > 0)
        events |= EPOLLOUT;
    (void)sd_event_source_set_io_events(tunnel->io, events);
    (void)sd_event_source_set_enabled(tunnel->io, events ? SD_EVENT_ON : SD_EVENT_OFF);
}

static ssize_t raw_send(HttpTunnel *tunnel, const void *data, size_t size)
{
    return tunnel->tls ? http_tls_send(tunnel->tls, data, size)
                       : send(tunnel->fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static ssize_t raw_receive(HttpTunnel *tunnel, void *data, size_t size)
{
    return tunnel->tls ? http_tls_receive(tunnel->tls, data, size) : recv(tunnel->fd, data, size, MSG_DONTWAIT);
}

/* 0 or -errno. */
static int flush(HttpTunnel *tunnel)
{
    while (waiting(tunnel) > 0) {
        ssize_t n = raw_send(tunnel, tunnel->out.data + tunnel->sent, waiting(tunnel));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN ? 0 : -errno;
        tunnel->sent += (size_t)n;
    }
    buffer_clear(&tunnel->out);
    tunnel->sent = 0;
    return 0;
}

/* --- callbacks ---------------------------------------------------------------------------------- */

/* False when the tunnel was closed meanwhile; it is freed then. */
static bool alive(HttpTunnel *tunnel)
{
    tunnel->busy = false;
    if (!tunnel->dead)
        return !tunnel->closing;
    tunnel_free(tunnel);
    return false;
}

static void tell_ended(HttpTunnel *tunnel, int code)
{
    InaError error = {0};

    tunnel->ended = true;
    buffer_clear(&tunnel->out);
    tunnel->sent = 0;
    rearm(tunnel);
    if (code)
        ina_error_errno(&error, code, "connection");
    if (!tunnel->events.ended || tunnel->closing)
        return;
    tunnel->busy = true;
    tunnel->events.ended(tunnel->events.userdata, code ? &error : NULL);
    alive(tunnel);
}

static bool tell_received(HttpTunnel *tunnel, const void *data, size_t size)
{
    tunnel->busy = true;
    tunnel->events.received(tunnel->events.userdata, data, size);
    return alive(tunnel);
}

static int on_again(sd_event_source *source, void *userdata);

/* Reads what is there, but not for ever. */
static void pump_in(HttpTunnel *tunnel)
{
    char data[READ_SIZE];

    if (tunnel->early.size > 0 && !tunnel->held && !tunnel->closing) {
        Buffer early = tunnel->early;
        tunnel->early = (Buffer){0};
        bool on = tell_received(tunnel, early.data, early.size);
        buffer_free(&early);
        if (!on)
            return;
    }
    for (unsigned i = 0; i < READS_PER_TURN; i++) {
        if (tunnel->held || tunnel->ended || tunnel->closing)
            return;
        ssize_t n = raw_receive(tunnel, data, sizeof data);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            tell_ended(tunnel, n < 0 ? errno : 0);
            return;
        }
        if (!tell_received(tunnel, data, (size_t)n))
            return;
    }
    if (!tunnel->again)
        (void)sd_event_add_defer(tunnel->event, &tunnel->again, on_again, tunnel);
}

static int on_again(sd_event_source *source, void *userdata)
{
    HttpTunnel *tunnel = userdata;

    tunnel->again = sd_event_source_disable_unref(tunnel->again);
    pump_in(tunnel);
    return 0;
}

static bool pump_out(HttpTunnel *tunnel)
{
    int r = flush(tunnel);

    if (tunnel->closing && (r < 0 || waiting(tunnel) == 0)) {
        tunnel_free(tunnel);
        return false;
    }
    if (r < 0) {
        tell_ended(tunnel, -r);
        return false;
    }
    if (tunnel->full && waiting(tunnel) <= HTTP_TUNNEL_MAX / 2) {
        tunnel->full = false;
        tunnel->busy = true;
        if (tunnel->events.drained)
            tunnel->events.drained(tunnel->events.userdata);
        if (!alive(tunnel))
            return false;
    }
    rearm(tunnel);
    return true;
}

static int on_io(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    HttpTunnel *tunnel = userdata;

    if (events & (EPOLLOUT | EPOLLERR | EPOLLHUP) && !pump_out(tunnel))
        return 0;
    if (events & (EPOLLIN | EPOLLERR | EPOLLHUP)) {
        if (tunnel->held && events & (EPOLLERR | EPOLLHUP) && !(events & EPOLLIN)) {
            tell_ended(tunnel, 0);
            return 0;
        }
        pump_in(tunnel);
    }
    return 0;
}

/* --- for users ------------------------------------------------------------------------------------- */

HttpTunnel *http_tunnel_new(sd_event *event, int fd, HttpTlsSession *tls, const void *early, size_t size,
                            void (*finish)(void *userdata), void *userdata)
{
    HttpTunnel *tunnel = calloc(1, sizeof *tunnel);

    if (!tunnel)
        return NULL;
    buffer_append(&tunnel->early, early, size);
    if (tunnel->early.failed || sd_event_add_io(event, &tunnel->io, fd, EPOLLIN, on_io, tunnel) < 0 ||
        sd_event_source_set_enabled(tunnel->io, SD_EVENT_OFF) < 0) {
        sd_event_source_disable_unref(tunnel->io);
        buffer_free(&tunnel->early);
        free(tunnel);
        return NULL;
    }
    tunnel->event = sd_event_ref(event);
    tunnel->fd = fd;
    tunnel->tls = tls;
    tunnel->held = true;
    tunnel->finish = finish;
    tunnel->userdata = userdata;
    return tunnel;
}

void http_tunnel_set_events(HttpTunnel *tunnel, const HttpTunnelEvents *events)
{
    tunnel->events = *events;
    http_tunnel_hold(tunnel, false);
}

void http_tunnel_hold(HttpTunnel *tunnel, bool hold)
{
    if (tunnel->held == hold)
        return;
    tunnel->held = hold;
    /* What came early, or TLS has decrypted, no socket tells of. */
    if (!hold && !tunnel->again && !tunnel->ended)
        (void)sd_event_add_defer(tunnel->event, &tunnel->again, on_again, tunnel);
    rearm(tunnel);
}

int http_tunnel_write(HttpTunnel *tunnel, const void *data, size_t size)
{
    if (tunnel->ended || tunnel->closing)
        return -EPIPE;
    if (waiting(tunnel) > HTTP_TUNNEL_MAX) {
        tunnel->full = true;
        return -ENOBUFS;
    }
    if (tunnel->sent > 0) {
        memmove(tunnel->out.data, tunnel->out.data + tunnel->sent, waiting(tunnel));
        tunnel->out.size -= tunnel->sent;
        tunnel->sent = 0;
    }
    buffer_append(&tunnel->out, data, size);
    if (tunnel->out.failed)
        return -ENOMEM;
    /* An error comes back with the socket's next event. */
    (void)flush(tunnel);
    rearm(tunnel);
    return 0;
}

static int on_close_time(sd_event_source *source, uint64_t at, void *userdata)
{
    tunnel_free(userdata);
    return 0;
}

HttpTunnel *http_tunnel_close(HttpTunnel *tunnel)
{
    if (!tunnel)
        return NULL;
    tunnel->closing = true;
    tunnel->again = sd_event_source_disable_unref(tunnel->again);
    if (!tunnel->ended && waiting(tunnel) > 0 && flush(tunnel) == 0 && waiting(tunnel) > 0 &&
        sd_event_add_time_relative(tunnel->event, &tunnel->timer, CLOCK_MONOTONIC, CLOSE_TIME, 0, on_close_time,
                                   tunnel) >= 0) {
        rearm(tunnel);
        return NULL;
    }
    tunnel_free(tunnel);
    return NULL;
}

void http_tunnel_cut(HttpTunnel *tunnel)
{
    tunnel->io = sd_event_source_disable_unref(tunnel->io);
    tunnel->again = sd_event_source_disable_unref(tunnel->again);
    tunnel->timer = sd_event_source_disable_unref(tunnel->timer);
    if (tunnel->fd >= 0 && tunnel->finish)
        tunnel->finish(tunnel->userdata);
    tunnel->fd = -1;
    if (tunnel->closing)
        tunnel_free(tunnel);
    else if (!tunnel->ended)
        tell_ended(tunnel, ECONNRESET);
}
