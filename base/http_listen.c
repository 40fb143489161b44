/* http_listen.c - addresses and listening sockets of the HTTP server. */
#include "http_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 1024

static int parse_address(const char *address, struct sockaddr_storage *ret, socklen_t *ret_size, InaError *error)
{
    char host[64];
    const char *colon = strrchr(address, ':');
    char *end;

    memset(ret, 0, sizeof(*ret));
    unsigned long port = colon && colon[1] >= '0' && colon[1] <= '9' ? strtoul(colon + 1, &end, 10) : 65536;
    if (port > 65535 || *end || (size_t)(colon - address) >= sizeof(host))
        goto malformed;
    memcpy(host, address, (size_t)(colon - address));
    host[colon - address] = '\0';
    size_t length = strlen(host);
    if (length > 2 && host[0] == '[' && host[length - 1] == ']') {
        struct sockaddr_in6 *six = (struct sockaddr_in6 *)ret;
        host[length - 1] = '\0';
        six->sin6_family = AF_INET6;
        six->sin6_port = htons((uint16_t)port);
        if (inet_pton(AF_INET6, host + 1, &six->sin6_addr) != 1)
            goto malformed;
        *ret_size = sizeof(*six);
        return 0;
    }
    struct sockaddr_in *four = (struct sockaddr_in *)ret;
    four->sin_family = AF_INET;
    four->sin_port = htons((uint16_t)port);
    if (inet_pton(AF_INET, host, &four->sin_addr) != 1)
        goto malformed;
    *ret_size = sizeof(*four);
    return 0;
malformed:
    return ina_error_set(error, EINVAL, "\"%s\" is not an address: 127.0.0.1:8080, [::1]:8080 or unix:/path would be",
                         address);
}

void http_format_address(const struct sockaddr *address, char *text, size_t size)
{
    char host[INET6_ADDRSTRLEN] = "";

    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *four = (const struct sockaddr_in *)address;
        inet_ntop(AF_INET, &four->sin_addr, host, sizeof(host));
        snprintf(text, size, "%s:%u", host, ntohs(four->sin_port));
    } else if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)address;
        inet_ntop(AF_INET6, &six->sin6_addr, host, sizeof(host));
        snprintf(text, size, "[%s]:%u", host, ntohs(six->sin6_port));
    } else {
        snprintf(text, size, "unix");
    }
}

/* A socket file that nobody listens on is left from a process that was killed. */
static int remove_stale(const struct sockaddr_un *address, InaError *error)
{
    struct stat status;

    if (lstat(address->sun_path, &status) < 0)
        return 0;
    if (!S_ISSOCK(status.st_mode))
        return ina_error_set(error, EEXIST, "%s is there and is no socket", address->sun_path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return ina_error_errno(error, errno, "socket");
    int r = connect(fd, (const struct sockaddr *)address, sizeof(*address));
    bool stale = r < 0 && errno == ECONNREFUSED;
    close(fd);
    if (!stale)
        return ina_error_set(error, EADDRINUSE, "%s: somebody listens there already", address->sun_path);
    unlink(address->sun_path);
    return 0;
}

static int open_unix(HttpListener *listener, const char *path, InaError *error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat status;

    if (path[0] != '/' || strlen(path) >= sizeof(address.sun_path))
        return ina_error_set(error, EINVAL, "unix:%s: a socket's path is absolute and shorter than %zu bytes", path,
                             sizeof(address.sun_path));
    memcpy(address.sun_path, path, strlen(path) + 1);
    int r = remove_stale(&address, error);
    if (r < 0)
        return r;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return ina_error_errno(error, errno, "socket");
    /* Nobody can connect before listen(): the mode is right by then. */
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || chmod(path, 0600) < 0 ||
        lstat(path, &status) < 0 || listen(fd, BACKLOG) < 0) {
        r = ina_error_errno(error, errno, "unix:%s", path);
        close(fd);
        return r;
    }
    listener->path = strdup(path);
    listener->device = status.st_dev;
    listener->inode = status.st_ino;
    if (listener->path && asprintf(&listener->address, "unix:%s", path) < 0)
        listener->address = NULL;
    return fd;
}

static int open_tcp(HttpListener *listener, const char *text, InaError *error)
{
    struct sockaddr_storage address;
    socklen_t size;
    char bound[INET6_ADDRSTRLEN + 16];
    static const int one = 1;

    int r = parse_address(text, &address, &size, error);
    if (r < 0)
        return r;
    int fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return ina_error_errno(error, errno, "socket");
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)); /* inherited by what it accepts */
    if (address.ss_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
    if (bind(fd, (struct sockaddr *)&address, size) < 0 || listen(fd, BACKLOG) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) < 0) {
        r = ina_error_errno(error, errno, "%s", text);
        close(fd);
        return r;
    }
    http_format_address((struct sockaddr *)&address, bound, sizeof(bound));
    listener->address = strdup(bound);
    return fd;
}

int http_server_listen(HttpServer *server, const char *address, InaError *error)
{
    if (server->n_listeners == HTTP_SERVER_LISTENERS_MAX)
        return ina_error_set(error, ENOSPC, "%s: the server listens on %u addresses already", address,
                             HTTP_SERVER_LISTENERS_MAX);
    HttpListener *listener = &server->listeners[server->n_listeners];
    *listener = (HttpListener){.server = server};
    int fd = strncmp(address, "unix:", 5) == 0 ? open_unix(listener, address + 5, error)
                                               : open_tcp(listener, address, error);
    if (fd < 0)
        return fd;
    int r = listener->address ? http_listener_start(listener, fd, error) : ina_error_errno(error, ENOMEM, "listening");
    if (r < 0) {
        http_listener_stop(listener);
        http_listener_close(listener);
        /* libmicrohttpd closes the socket in some of its failures. */
        if (fcntl(fd, F_GETFD) >= 0)
            close(fd);
        return ina_error_wrap(error, "listening on %s", address);
    }
    server->n_listeners++;
    return 0;
}

void http_server_hold(HttpServer *server, bool hold)
{
    for (size_t i = 0; i < server->n_listeners; i++)
        if (server->listeners[i].accept)
            (void)sd_event_source_set_enabled(server->listeners[i].accept, hold ? SD_EVENT_OFF : SD_EVENT_ON);
}

void http_listener_close(HttpListener *listener)
{
    struct stat status;

    if (listener->path && lstat(listener->path, &status) == 0 && status.st_dev == listener->device &&
        status.st_ino == listener->inode)
        unlink(listener->path);
    free(listener->path);
    free(listener->address);
    *listener = (HttpListener){0};
}
