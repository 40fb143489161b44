/* http_watch.c - clients that leave.
 *
 * libmicrohttpd does not look at a suspended connection. Those still
 * suspended when a timer fires are put into an epoll set of our own for
 * EPOLLRDHUP, so that requests answered at once cost nothing. A client that
 * shut down its writing side is taken to have left: no HTTP client that waits
 * for an answer does so, and libmicrohttpd closes such a connection as soon
 * as it reads from it. */
#include "http_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define WATCH_AFTER 40000u /* us */
#define EVENTS 64
#define LINGERING_MAX 256u
#define LINGER_TIME 1000000u /* us */
#define LINGER_BYTES (8u * 1024u * 1024u)

struct HttpLingering {
    HttpServer *server;
    sd_event_source *io, *timer;
    size_t left;
    HttpLingering *previous, *next;
};

/* --- suspended connections ---------------------------------------------- */

static void unfresh(HttpConnection *connection)
{
    if (!connection->fresh)
        return;
    connection->fresh = false;
    if (connection->fresh_previous)
        connection->fresh_previous->fresh_next = connection->fresh_next;
    else
        connection->listener->server->fresh = connection->fresh_next;
    if (connection->fresh_next)
        connection->fresh_next->fresh_previous = connection->fresh_previous;
    connection->fresh_previous = connection->fresh_next = NULL;
}

void http_suspend(HttpConnection *connection)
{
    HttpServer *server = connection->listener->server;

    MHD_suspend_connection(connection->mhd);
    connection->suspended = true;
    server->statistics.suspended++;
    if (connection->watch == HTTP_WATCHED)
        return;
    connection->fresh = true;
    connection->fresh_next = server->fresh;
    if (connection->fresh_next)
        connection->fresh_next->fresh_previous = connection;
    server->fresh = connection;
    if (!server->watch_armed) {
        server->watch_armed = true;
        sd_event_source_set_time_relative(server->watch_timer, WATCH_AFTER);
        sd_event_source_set_enabled(server->watch_timer, SD_EVENT_ONESHOT);
    }
}

void http_resume(HttpConnection *connection)
{
    HttpListener *listener = connection->listener;

    connection->suspended = false;
    listener->server->statistics.suspended--;
    unfresh(connection);
    MHD_resume_connection(connection->mhd);
    listener->again_wanted = true;
    if (!listener->running)
        http_listener_again(listener);
}

void http_unwatch(HttpConnection *connection)
{
    unfresh(connection);
    if (connection->watch != HTTP_UNWATCHED)
        epoll_ctl(connection->listener->server->watch_fd, EPOLL_CTL_DEL, connection->fd, NULL);
    connection->watch = HTTP_UNWATCHED;
}

void http_watch_forget(HttpConnection *connection)
{
    if (connection->suspended)
        connection->listener->server->statistics.suspended--;
    http_unwatch(connection);
}

static int on_watch_timer(sd_event_source *source, uint64_t at, void *userdata)
{
    HttpServer *server = userdata;
    HttpConnection *connection;

    server->watch_armed = false;
    while ((connection = server->fresh)) {
        struct epoll_event event = {.events = EPOLLRDHUP | EPOLLONESHOT, .data.ptr = connection};
        unfresh(connection);
        if (epoll_ctl(server->watch_fd, connection->watch == HTTP_FIRED ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, connection->fd,
                      &event) == 0)
            connection->watch = HTTP_WATCHED;
    }
    return 0;
}

/* Only marks: connections go away within MHD_run, never in here. */
static int on_watch(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
    HttpServer *server = userdata;
    struct epoll_event events[EVENTS];

    int n = epoll_wait(server->watch_fd, events, EVENTS, 0);
    for (int i = 0; i < n; i++) {
        HttpConnection *connection = events[i].data.ptr;
        connection->watch = HTTP_FIRED;
        if (connection->suspended) {
            connection->left = true;
            http_resume(connection);
        }
    }
    return 0;
}

int http_watch_open(HttpServer *server, InaError *error)
{
    server->watch_fd = epoll_create1(EPOLL_CLOEXEC);
    if (server->watch_fd < 0)
        return ina_error_errno(error, errno, "epoll");
    int r = sd_event_add_io(server->event, &server->watch_io, server->watch_fd, EPOLLIN, on_watch, server);
    if (r >= 0)
        r = sd_event_add_time(server->event, &server->watch_timer, CLOCK_MONOTONIC, 0, 5000, on_watch_timer, server);
    if (r >= 0)
        r = sd_event_source_set_enabled(server->watch_timer, SD_EVENT_OFF);
    return r < 0 ? ina_error_errno(error, r, "event loop") : 0;
}

/* --- refused clients ---------------------------------------------------- */

static void lingering_free(HttpLingering *lingering)
{
    HttpServer *server = lingering->server;
    int fd = sd_event_source_get_io_fd(lingering->io);

    if (lingering->previous)
        lingering->previous->next = lingering->next;
    else
        server->lingering = lingering->next;
    if (lingering->next)
        lingering->next->previous = lingering->previous;
    server->n_lingering--;
    sd_event_source_disable_unref(lingering->io);
    sd_event_source_disable_unref(lingering->timer);
    close(fd);
    free(lingering);
}

static int on_lingering(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    HttpLingering *lingering = userdata;
    char scrap[16384];

    ssize_t n = recv(fd, scrap, sizeof(scrap), MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n <= 0 || (size_t)n >= lingering->left)
        lingering_free(lingering);
    else
        lingering->left -= (size_t)n;
    return 0;
}

static int on_lingering_timer(sd_event_source *source, uint64_t at, void *userdata)
{
    lingering_free(userdata);
    return 0;
}

/* Closing with unread data makes the kernel send a reset, which makes the
 * client's kernel forget the answer that it has not read yet. */
void http_linger(HttpConnection *connection)
{
    HttpServer *server = connection->listener->server;
    int unread = 0;

    if (!connection->lingering && (ioctl(connection->fd, FIONREAD, &unread) < 0 || unread == 0))
        return;
    if (server->n_lingering == LINGERING_MAX)
        return;
    HttpLingering *lingering = calloc(1, sizeof(*lingering));
    int fd = lingering ? fcntl(connection->fd, F_DUPFD_CLOEXEC, 3) : -1;
    if (fd < 0) {
        free(lingering);
        return;
    }
    shutdown(fd, SHUT_WR);
    lingering->server = server;
    lingering->left = LINGER_BYTES;
    int r = sd_event_add_io(server->event, &lingering->io, fd, EPOLLIN, on_lingering, lingering);
    if (r >= 0)
        r = sd_event_add_time_relative(server->event, &lingering->timer, CLOCK_MONOTONIC, LINGER_TIME, 0,
                                       on_lingering_timer, lingering);
    if (r < 0) {
        sd_event_source_disable_unref(lingering->io);
        close(fd);
        free(lingering);
        return;
    }
    lingering->next = server->lingering;
    if (lingering->next)
        lingering->next->previous = lingering;
    server->lingering = lingering;
    server->n_lingering++;
}

void http_watch_close(HttpServer *server)
{
    while (server->lingering)
        lingering_free(server->lingering);
    sd_event_source_disable_unref(server->watch_io);
    sd_event_source_disable_unref(server->watch_timer);
    server->watch_io = server->watch_timer = NULL;
    if (server->watch_fd >= 0)
        close(server->watch_fd);
    server->watch_fd = -1;
}
