/* http_sniff.c - clients that speak plain HTTP to a TLS port are told so.
 *
 * The first byte of a TLS connection says that a handshake follows. Those go on
 * to libmicrohttpd; others get the answer that the options name, and are closed. */
#include "http_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define TLS_HANDSHAKE 0x16
#define ACCEPTS_PER_TURN 64u
#define SNIFFED_MAX 1024u
#define WAIT_US 10000000u /* for the first byte */
#define LINGER_US 1000000u
#define LINGER_BYTES (256u * 1024u)

struct HttpSniffed {
    HttpListener *listener;
    HttpSniffed *previous, *next;
    sd_event_source *io, *timer;
    int fd;
    bool told; /* what it still sends is read and forgotten */
    size_t forgotten;
};

static void sniffed_free(HttpSniffed *sniffed, bool close_it)
{
    HttpListener *listener = sniffed->listener;

    if (sniffed->previous)
        sniffed->previous->next = sniffed->next;
    else
        listener->sniffed = sniffed->next;
    if (sniffed->next)
        sniffed->next->previous = sniffed->previous;
    else
        listener->sniffed_last = sniffed->previous;
    listener->n_sniffed--;
    sd_event_source_disable_unref(sniffed->io);
    sd_event_source_disable_unref(sniffed->timer);
    if (close_it)
        close(sniffed->fd);
    free(sniffed);
}

static void hand_over(HttpListener *listener, int fd)
{
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof address;

    if (getpeername(fd, (struct sockaddr *)&address, &size) < 0) {
        close(fd);
        return;
    }
    listener->server->running++;
    listener->running = true;
    (void)MHD_add_connection(listener->daemon, fd, (struct sockaddr *)&address, size); /* closes it if it fails */
    listener->running = false;
    listener->server->running--;
    http_listener_again(listener);
}

static void tell_plain(HttpSniffed *sniffed)
{
    const HttpServer *server = sniffed->listener->server;
    char head[256];
    size_t size = strlen(server->plain);

    int length = snprintf(head, sizeof head,
                          "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nConnection: close\r\n"
                          "Content-Length: %zu\r\n\r\n",
                          size);
    (void)send(sniffed->fd, head, (size_t)length, MSG_NOSIGNAL | MSG_MORE);
    (void)send(sniffed->fd, server->plain, size, MSG_NOSIGNAL);
    (void)shutdown(sniffed->fd, SHUT_WR);
    sniffed->told = true;
    (void)sd_event_source_set_time_relative(sniffed->timer, LINGER_US);
}

/* Returns false when it is gone. */
static bool look(HttpSniffed *sniffed)
{
    char scrap[4096];
    unsigned char first;

    if (sniffed->told) {
        ssize_t n = recv(sniffed->fd, scrap, sizeof scrap, MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return true;
        sniffed->forgotten += n > 0 ? (size_t)n : 0;
        if (n > 0 && sniffed->forgotten < LINGER_BYTES)
            return true;
        sniffed_free(sniffed, true);
        return false;
    }
    ssize_t n = recv(sniffed->fd, &first, 1, MSG_PEEK | MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    if (n == 1 && first != TLS_HANDSHAKE) {
        tell_plain(sniffed);
        return true;
    }
    HttpListener *listener = sniffed->listener;
    int fd = sniffed->fd;
    sniffed_free(sniffed, n != 1);
    if (n == 1)
        hand_over(listener, fd);
    return false;
}

static int on_sniffed(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    (void)look(userdata);
    return 0;
}

static int on_sniffed_time(sd_event_source *source, uint64_t at, void *userdata)
{
    sniffed_free(userdata, true);
    return 0;
}

static void sniff(HttpListener *listener, int fd)
{
    sd_event *event = listener->server->event;

    /* Who has been silent for longest goes: so many of them lock nobody out who has something to say. */
    if (listener->n_sniffed >= SNIFFED_MAX && look(listener->sniffed_last))
        sniffed_free(listener->sniffed_last, true);
    HttpSniffed *sniffed = calloc(1, sizeof *sniffed);
    if (!sniffed) {
        close(fd);
        return;
    }
    *sniffed = (HttpSniffed){.listener = listener, .next = listener->sniffed, .fd = fd};
    if (sniffed->next)
        sniffed->next->previous = sniffed;
    else
        listener->sniffed_last = sniffed;
    listener->sniffed = sniffed;
    listener->n_sniffed++;
    if (sd_event_add_io(event, &sniffed->io, fd, EPOLLIN, on_sniffed, sniffed) < 0 ||
        sd_event_add_time_relative(event, &sniffed->timer, CLOCK_MONOTONIC, WAIT_US, 100000, on_sniffed_time, sniffed) <
            0)
        sniffed_free(sniffed, true);
    else
        (void)look(sniffed);
}

static int on_accept(sd_event_source *source, int listening, uint32_t events, void *userdata)
{
    HttpListener *listener = userdata;

    for (unsigned i = 0; i < ACCEPTS_PER_TURN; i++) {
        int fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return 0;
        sniff(listener, fd);
    }
    return 0;
}

int http_sniff_start(HttpListener *listener, int fd)
{
    int r = sd_event_add_io(listener->server->event, &listener->accept, fd, EPOLLIN, on_accept, listener);

    if (r >= 0)
        r = sd_event_source_set_io_fd_own(listener->accept, true);
    return r;
}

void http_sniff_stop(HttpListener *listener)
{
    while (listener->sniffed)
        sniffed_free(listener->sniffed, true);
    listener->accept = sd_event_source_disable_unref(listener->accept);
}
