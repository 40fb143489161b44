/* http_dial.c - one GET on a connection of its own, which becomes a tunnel. */
#include "http_tunnel_internal.h"
#include "map.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

struct HttpDialer {
    sd_event *event;
    HttpTls *tls;
};

typedef enum DialState { DIAL_CONNECTING, DIAL_SHAKING, DIAL_SENDING, DIAL_READING, DIAL_FAILED } DialState;

struct HttpDial {
    HttpDialer *dialer;
    DialState state;
    int fd;
    bool secure;
    char host[64];
    HttpTlsSession *tls;
    sd_event_source *io, *timer;
    Buffer out, in;
    size_t sent;
    InaError error; /* FAILED: told from the loop */
    void (*answered)(void *userdata, const HttpDialAnswer *answer);
    void *userdata;
};

int http_dialer_new(sd_event *event, const HttpClientOptions *tls, HttpDialer **ret, InaError *error)
{
    HttpDialer *dialer = calloc(1, sizeof *dialer);

    if (!dialer)
        return ina_error_errno(error, ENOMEM, "HTTP");
    int r = tls ? http_tls_new(tls, &dialer->tls, error) : 0;
    if (r < 0) {
        free(dialer);
        return r;
    }
    dialer->event = sd_event_ref(event);
    *ret = dialer;
    return 0;
}

HttpDialer *http_dialer_free(HttpDialer *dialer)
{
    if (!dialer)
        return NULL;
    http_tls_free(dialer->tls);
    sd_event_unref(dialer->event);
    free(dialer);
    return NULL;
}

HttpDial *http_dial_cancel(HttpDial *dial)
{
    if (!dial)
        return NULL;
    sd_event_source_disable_unref(dial->io);
    sd_event_source_disable_unref(dial->timer);
    http_tls_session_free(dial->tls);
    if (dial->fd >= 0)
        close(dial->fd);
    buffer_free(&dial->out);
    buffer_free(&dial->in);
    free(dial);
    return NULL;
}

/* --- answers ------------------------------------------------------------------------------------ */

static void fail(HttpDial *dial, const InaError *error)
{
    const HttpDialAnswer answer = {.error = *error, .head = ""};
    void (*answered)(void *, const HttpDialAnswer *) = dial->answered;
    void *userdata = dial->userdata;

    http_dial_cancel(dial);
    answered(userdata, &answer);
}

static void fail_errno(HttpDial *dial, int code, const char *what)
{
    InaError error;

    ina_error_errno(&error, code, "%s", what);
    fail(dial, &error);
}

bool http_dial_header(const HttpDialAnswer *answer, const char *name, char *ret, size_t size)
{
    size_t length = strlen(name);

    for (const char *line = strstr(answer->head, "\r\n"); line && line[2]; line = strstr(line, "\r\n")) {
        line += 2;
        if (strncasecmp(line, name, length) != 0 || line[length] != ':')
            continue;
        const char *value = line + length + 1 + strspn(line + length + 1, " \t");
        snprintf(ret, size, "%.*s", (int)strcspn(value, "\r\n"), value);
        return true;
    }
    return false;
}

/* The header is complete; `body` is what came behind it. */
static void succeed(HttpDial *dial, char *head, const char *body, size_t body_size)
{
    HttpDialAnswer answer = {.head = head};
    void (*answered)(void *, const HttpDialAnswer *) = dial->answered;
    void *userdata = dial->userdata;

    if (sscanf(head, "HTTP/1.%*1d %3d", &answer.status) != 1 || answer.status < 100) {
        fail_errno(dial, EPROTO, "the answer is not HTTP");
        return;
    }
    dial->io = sd_event_source_disable_unref(dial->io); /* the tunnel waits for the same socket */
    answer.tunnel = http_tunnel_new(dial->dialer->event, dial->fd, dial->tls, body, body_size, NULL, NULL);
    if (!answer.tunnel) {
        fail_errno(dial, ENOMEM, "tunnel");
        return;
    }
    Buffer in = dial->in;
    dial->in = (Buffer){0};
    dial->fd = -1;
    dial->tls = NULL;
    http_dial_cancel(dial);
    answered(userdata, &answer);
    buffer_free(&in);
}

/* --- steps: each returns whether the next may follow at once -------------------------------------- */

static void wait_for(HttpDial *dial, uint32_t events)
{
    (void)sd_event_source_set_io_events(dial->io, events);
}

static bool step_connected(HttpDial *dial)
{
    int code = 0;
    socklen_t size = sizeof code;

    if (getsockopt(dial->fd, SOL_SOCKET, SO_ERROR, &code, &size) < 0)
        code = errno;
    if (code) {
        fail_errno(dial, code, "connect");
        return false;
    }
    dial->state = dial->secure ? DIAL_SHAKING : DIAL_SENDING;
    if (!dial->secure)
        return true;
    dial->tls = http_tls_session_new(dial->dialer->tls, dial->fd, dial->host);
    if (!dial->tls)
        fail_errno(dial, ENOMEM, "TLS");
    return dial->tls != NULL; /* freed otherwise */
}

static bool step_shake(HttpDial *dial)
{
    InaError error = {0};
    uint32_t events = EPOLLIN;

    int r = http_tls_handshake(dial->tls, &events, &error);
    if (r == -EAGAIN) {
        wait_for(dial, events);
        return false;
    }
    if (r < 0) {
        fail(dial, &error);
        return false;
    }
    dial->state = DIAL_SENDING;
    return true;
}

static bool step_send(HttpDial *dial)
{
    while (dial->sent < dial->out.size) {
        const char *data = dial->out.data + dial->sent;
        size_t size = dial->out.size - dial->sent;
        ssize_t n = dial->tls ? http_tls_send(dial->tls, data, size) : send(dial->fd, data, size, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) {
            wait_for(dial, EPOLLOUT);
            return false;
        }
        if (n < 0) {
            fail_errno(dial, errno, "send");
            return false;
        }
        dial->sent += (size_t)n;
    }
    dial->state = DIAL_READING;
    wait_for(dial, EPOLLIN);
    return true;
}

static bool step_read(HttpDial *dial)
{
    char data[4096];

    for (;;) {
        ssize_t n = dial->tls ? http_tls_receive(dial->tls, data, sizeof data) : recv(dial->fd, data, sizeof data, 0);
        if (n < 0 && errno == EAGAIN)
            return false;
        if (n <= 0) {
            fail_errno(dial, n < 0 ? errno : ECONNRESET, "no answer");
            return false;
        }
        buffer_append(&dial->in, data, (size_t)n);
        char *end = dial->in.failed ? NULL : memmem(dial->in.data, dial->in.size, "\r\n\r\n", 4);
        if (end) {
            end[2] = '\0';
            succeed(dial, dial->in.data, end + 4, dial->in.size - (size_t)(end + 4 - dial->in.data));
            return false;
        }
        if (dial->in.failed || dial->in.size > HTTP_DIAL_HEAD_MAX) {
            fail_errno(dial, EMSGSIZE, "the answer's header");
            return false;
        }
    }
}

static int on_dial(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    HttpDial *dial = userdata;

    if (dial->state == DIAL_CONNECTING && !step_connected(dial))
        return 0;
    if (dial->state == DIAL_SHAKING && !step_shake(dial))
        return 0;
    if (dial->state == DIAL_SENDING && !step_send(dial))
        return 0;
    if (dial->state == DIAL_READING)
        step_read(dial);
    return 0;
}

static int on_dial_time(sd_event_source *source, uint64_t at, void *userdata)
{
    HttpDial *dial = userdata;

    if (dial->state == DIAL_FAILED)
        fail(dial, &dial->error);
    else
        fail_errno(dial, ETIMEDOUT, "no answer");
    return 0;
}

/* --- beginning ------------------------------------------------------------------------------------ */

typedef struct DialTarget {
    struct sockaddr_storage address;
    socklen_t size;
    const char *authority, *path;
    size_t authority_size;
} DialTarget;

static int parse_url(HttpDial *dial, const char *url, DialTarget *ret, InaError *error)
{
    struct sockaddr_in *four = (struct sockaddr_in *)&ret->address;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)&ret->address;

    *ret = (DialTarget){0};
    dial->secure = strncmp(url, "https://", 8) == 0;
    if (!dial->secure && strncmp(url, "http://", 7) != 0)
        return ina_error_set(error, EINVAL, "%s: must begin with https:// or http://", url);
    if (dial->secure && !dial->dialer->tls)
        return ina_error_set(error, EINVAL, "%s: no authority to trust was named", url);
    ret->authority = url + (dial->secure ? 8 : 7);
    ret->authority_size = strcspn(ret->authority, "/");
    ret->path = ret->authority + ret->authority_size;
    bool brackets = *ret->authority == '[';
    const char *host = ret->authority + brackets;
    size_t length = strcspn(host, brackets ? "]/" : ":/");
    const char *rest = host + length + brackets;
    unsigned long port = dial->secure ? 443 : 80;
    char *end = (char *)rest;
    if (*rest == ':')
        port = strtoul(rest + 1, &end, 10);
    if (end != ret->path || port == 0 || port > 65535 || length >= sizeof dial->host || *ret->path != '/' ||
        strpbrk(ret->path, " \r\n"))
        return ina_error_set(error, EINVAL, "%s: must be https://ADDRESS:PORT/PATH", url);
    memcpy(dial->host, host, length);
    dial->host[length] = '\0';
    if (inet_pton(AF_INET, dial->host, &four->sin_addr) == 1) {
        four->sin_family = AF_INET;
        four->sin_port = htons((uint16_t)port);
        ret->size = sizeof *four;
    } else if (inet_pton(AF_INET6, dial->host, &six->sin6_addr) == 1) {
        six->sin6_family = AF_INET6;
        six->sin6_port = htons((uint16_t)port);
        ret->size = sizeof *six;
    } else {
        return ina_error_set(error, EINVAL, "%s: %s is no address", url, dial->host);
    }
    return 0;
}

static int print_request(HttpDial *dial, const HttpDialOptions *options, const DialTarget *target, InaError *error)
{
    buffer_print(&dial->out, "GET %s HTTP/1.%d\r\nHost: %.*s\r\n", target->path, options->upgrade ? 1 : 0,
                 (int)target->authority_size, target->authority);
    for (const char *const *header = options->headers; header && *header; header++) {
        if (strpbrk(*header, "\r\n"))
            return ina_error_set(error, EINVAL, "a header has a line break in it");
        buffer_print(&dial->out, "%s\r\n", *header);
    }
    buffer_print(&dial->out, "\r\n");
    return dial->out.failed ? ina_error_errno(error, ENOMEM, "HTTP") : 0;
}

/* A connection that fails at once fails from the loop. */
static int start(HttpDial *dial, const HttpDialOptions *options, const DialTarget *target, InaError *error)
{
    sd_event *event = dial->dialer->event;
    uint64_t after = options->timeout / 1000;

    dial->fd = socket(target->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (dial->fd < 0)
        return ina_error_errno(error, errno, "socket");
    if (connect(dial->fd, (const struct sockaddr *)&target->address, target->size) < 0 && errno != EINPROGRESS) {
        ina_error_errno(&dial->error, errno, "connect");
        dial->state = DIAL_FAILED;
        after = 0;
    }
    int r = sd_event_add_time_relative(event, &dial->timer, CLOCK_MONOTONIC, after, 0, on_dial_time, dial);
    if (r >= 0 && dial->state != DIAL_FAILED)
        r = sd_event_add_io(event, &dial->io, dial->fd, EPOLLOUT, on_dial, dial);
    return r < 0 ? ina_error_errno(error, r, "event loop") : 0;
}

HttpDial *http_dial(HttpDialer *dialer, const HttpDialOptions *options, InaError *error)
{
    HttpDial *dial = calloc(1, sizeof *dial);
    DialTarget target;

    if (!dial) {
        ina_error_errno(error, ENOMEM, "HTTP");
        return NULL;
    }
    *dial = (HttpDial){.dialer = dialer, .fd = -1, .answered = options->answered, .userdata = options->userdata};
    if (parse_url(dial, options->url, &target, error) < 0 || print_request(dial, options, &target, error) < 0 ||
        start(dial, options, &target, error) < 0)
        return http_dial_cancel(dial);
    return dial;
}
