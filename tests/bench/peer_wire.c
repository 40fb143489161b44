/* peer_wire.c - connections to peers; see peer.h. */
#include "bench.h"
#include "peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_SIZE (256u << 10)
#define BUFFER_MAXIMUM (256u << 20)
#define EXPECT_SECONDS 60

_Noreturn static void broken(const PeerConnection *connection, const char *what)
{
    bench_die("%s: %s: %s", connection->name, what, errno ? strerror(errno) : "closed");
}

/* Room for `size` more bytes at the end. */
static char *reserve(PeerConnection *connection, PeerBytes *bytes, size_t size)
{
    if (bytes->start == bytes->end) {
        bytes->start = bytes->end = 0;
    }
    if (bytes->end + size > bytes->capacity && bytes->start > bytes->capacity / 2) {
        memmove(bytes->bytes, bytes->bytes + bytes->start, bytes->end - bytes->start);
        bytes->end -= bytes->start;
        bytes->start = 0;
    }
    if (bytes->end + size > bytes->capacity) {
        size_t capacity = (bytes->end + size) * 2;
        if (capacity > BUFFER_MAXIMUM || !(bytes->bytes = realloc(bytes->bytes, capacity))) {
            bench_die("%s: too much to buffer", connection->name);
        }
        bytes->capacity = capacity;
    }
    return bytes->bytes + bytes->end;
}

void peer_connect(PeerConnection *connection, const char *name, unsigned port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)port)};
    int one = 1;
    *connection = (PeerConnection){.name = name, .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    if (connection->fd < 0 || connect(connection->fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
        broken(connection, "cannot connect");
    }
    setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    struct timeval wait = {.tv_usec = PEER_WAIT_MS * 1000};
    setsockopt(connection->fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
}

void peer_disconnect(PeerConnection *connection)
{
    close(connection->fd);
    free(connection->in.bytes);
    free(connection->out.bytes);
}

void peer_send(PeerConnection *connection, const void *data, size_t size)
{
    memcpy(reserve(connection, &connection->out, size), data, size);
    connection->out.end += size;
}

void peer_sendf(PeerConnection *connection, const char *format, ...)
{
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (length < 0 || (size_t)length >= sizeof(text)) {
        bench_die("%s: a command is too long", connection->name);
    }
    peer_send(connection, text, (size_t)length);
}

void peer_exchange(PeerConnection *connection)
{
    PeerBytes *out = &connection->out;
    if (out->start < out->end) {
        ssize_t sent =
            send(connection->fd, out->bytes + out->start, out->end - out->start, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno != EAGAIN) {
            broken(connection, "cannot send");
        }
        out->start += sent > 0 ? (size_t)sent : 0;
    }
    struct pollfd poll_fd = {.fd = connection->fd, .events = POLLIN | POLLOUT};
    if (out->start < out->end && (poll(&poll_fd, 1, PEER_WAIT_MS) <= 0 || !(poll_fd.revents & ~POLLOUT))) {
        return;
    }
    char *room = reserve(connection, &connection->in, READ_SIZE);
    ssize_t got = recv(connection->fd, room, READ_SIZE, 0); /* waits so long at most */
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
        errno = got == 0 ? 0 : errno;
        broken(connection, "cannot receive");
    }
    connection->in.end += got > 0 ? (size_t)got : 0;
}

size_t peer_input(const PeerConnection *connection, const char **ret_data)
{
    *ret_data = connection->in.bytes + connection->in.start;
    return connection->in.end - connection->in.start;
}

void peer_consume(PeerConnection *connection, size_t size)
{
    connection->in.start += size;
}

bool peer_line(const char *data, size_t size, size_t *ret_length)
{
    const char *end = size > 0 ? memchr(data, '\n', size) : NULL;
    if (!end) {
        return false;
    }
    *ret_length = (size_t)(end - data) - (end > data && end[-1] == '\r');
    return true;
}

bool peer_begins(const char *data, size_t size, const char *beginning)
{
    return size >= strlen(beginning) && memcmp(data, beginning, strlen(beginning)) == 0;
}

void peer_expect(PeerConnection *connection, const char *beginning, const char *other)
{
    const char *data;
    size_t length, size;
    double end = bench_now() + EXPECT_SECONDS;
    while (size = peer_input(connection, &data), !peer_line(data, size, &length)) {
        if (bench_now() > end) {
            bench_die("%s: no answer in %d seconds", connection->name, EXPECT_SECONDS);
        }
        peer_exchange(connection);
    }
    if (!peer_begins(data, length, beginning) && !peer_begins(data, length, other)) {
        peer_strange(connection, data, length);
    }
    peer_consume(connection, length + 2);
}

void peer_taken(PeerConnection *connection, const char *message, size_t size)
{
    uint64_t number;
    if (size < PEER_HEADER) {
        peer_strange(connection, message, size);
    }
    memcpy(&number, message, sizeof(number));
    connection->taken++;
    connection->sum += number;
}

void peer_strange(const PeerConnection *connection, const char *data, size_t size)
{
    bench_die("%s: answered strangely: %.*s", connection->name, size > 200 ? 200 : (int)size, data);
}
