/* shell_session.c - those who type: one at a terminal, several over TCP.
 *
 * A TCP session is read only while nothing waits to be sent, so one that does
 * not read its answers costs one answer's memory until its time is up. */
#include "shell_internal.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define PROMPT "> "

struct ShellSession {
    Shell *shell;
    int in, out;
    bool remote; /* over TCP: framed answers, our descriptor */
    bool prompt;
    bool trusted;  /* the token was right */
    bool ending;   /* closes when all is sent */
    bool skipping; /* the rest of a line that was too long */
    char line[SHELL_LINE_MAX + 1];
    size_t size; /* of what is in `line` */
    Buffer output;
    size_t sent;
    sd_event_source *source, *timer;
    TAILQ_ENTRY(ShellSession) sessions;
};

static int handle_ready(sd_event_source *source, int fd, uint32_t events, void *userdata);

static ShellSession *session_free(ShellSession *session)
{
    if (!session)
        return NULL;
    TAILQ_REMOVE(&session->shell->sessions, session, sessions);
    session->shell->n_sessions--;
    sd_event_source_disable_unref(session->source);
    sd_event_source_disable_unref(session->timer);
    if (session->remote)
        close(session->in);
    buffer_free(&session->output);
    sodium_memzero(session->line, sizeof session->line); /* the token stood there */
    free(session);
    return NULL;
}

/* --- answering -------------------------------------------------------------- */

/* As RFC 1939 frames an answer of several lines. */
static void frame(ShellSession *session, const Buffer *output, const InaError *why)
{
    Buffer *out = &session->output;

    if (why)
        buffer_print(out, "-ERR %.*s\n", (int)strcspn(why->message, "\r\n"), why->message);
    else
        buffer_print(out, "+OK\n");
    for (const char *p = output->data, *end = p + output->size; p && p < end;) {
        const char *newline = memchr(p, '\n', (size_t)(end - p));
        size_t length = (size_t)((newline ? newline : end) - p);
        if (*p == '.')
            buffer_append(out, ".", 1);
        buffer_append(out, p, length);
        buffer_append(out, "\n", 1);
        p += length + 1;
    }
    buffer_append(out, ".\n", 2);
}

static void answer(ShellSession *session, const Buffer *output, const InaError *why)
{
    if (session->remote) {
        frame(session, output, why);
        return;
    }
    if (output->size > 0)
        buffer_append(&session->output, output->data, output->size);
    if (why)
        buffer_print(&session->output, "error: %s\n", why->message);
}

static void refuse(ShellSession *session, const char *message)
{
    InaError why = {0};
    const Buffer nothing = {0};

    (void)ina_error_set(&why, EACCES, "%s", message);
    answer(session, &nothing, &why);
    session->ending = true;
}

static bool token_right(const Shell *shell, const char *line)
{
    size_t length = strlen(shell->token);
    return strlen(line) == length && sodium_memcmp(line, shell->token, length) == 0;
}

static void give_time(ShellSession *session, unsigned seconds)
{
    if (session->timer)
        (void)sd_event_source_set_time_relative(session->timer, (uint64_t)seconds * 1000000u);
}

static void handle_line(ShellSession *session, char *line)
{
    Buffer output = {0};
    InaError why = {0};

    line[strcspn(line, "\r")] = '\0';
    if (!session->trusted) {
        if (!token_right(session->shell, line)) {
            refuse(session, "the first line must be the token");
            return;
        }
        session->trusted = true;
    } else if (strcmp(line, "exit") == 0 || strcmp(line, "quit") == 0) {
        session->ending = true;
    } else if (shell_run(session->shell, line, &output, &why) < 0) {
        answer(session, &output, &why);
        buffer_free(&output);
        return;
    }
    answer(session, &output, NULL);
    buffer_free(&output);
}

/* --- sending ---------------------------------------------------------------- */

/* 1: all is sent, 0: some waits, or a negative errno. */
static int send_output(ShellSession *session)
{
    Buffer *output = &session->output;

    if (output->failed)
        return -ENOMEM;
    while (session->sent < output->size) {
        const char *data = output->data + session->sent;
        size_t left = output->size - session->sent;
        ssize_t n = session->remote ? send(session->out, data, left, MSG_NOSIGNAL | MSG_DONTWAIT)
                                    : write(session->out, data, left);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN ? 0 : -errno;
        session->sent += (size_t)n;
    }
    session->sent = 0;
    if (output->capacity > SHELL_LINE_MAX)
        buffer_free(output);
    buffer_clear(output);
    return 1;
}

/* --- reading ---------------------------------------------------------------- */

static void line_too_long(ShellSession *session)
{
    InaError why = {0};
    const Buffer nothing = {0};

    (void)ina_error_set(&why, E2BIG, "a line has at most %u bytes", SHELL_LINE_MAX);
    answer(session, &nothing, &why);
    session->ending = session->remote;
    session->skipping = true;
}

/* Handles the lines that are complete, one answer at a time. Returns as send_output. */
static int handle_lines(ShellSession *session)
{
    for (;;) {
        int r = send_output(session);
        if (r <= 0)
            return r;
        if (session->ending)
            return -ECONNRESET;
        char *newline = memchr(session->line, '\n', session->size);
        if (!newline) {
            if (session->size < SHELL_LINE_MAX)
                return 1;
            if (!session->skipping)
                line_too_long(session);
            session->size = 0;
            continue;
        }
        size_t length = (size_t)(newline - session->line) + 1;
        *newline = '\0';
        if (session->skipping)
            session->skipping = false;
        else if (memchr(session->line, '\0', length - 1))
            refuse(session, "a line is text");
        else
            handle_line(session, session->line);
        session->size -= length;
        memmove(session->line, session->line + length, session->size);
        if (session->prompt && !session->ending)
            buffer_print(&session->output, PROMPT);
        give_time(session, session->trusted ? SHELL_IDLE_SECONDS : SHELL_TOKEN_SECONDS);
    }
}

/* Reads what there is. Returns 0 at the end. */
static ssize_t read_input(ShellSession *session)
{
    ssize_t n;

    do {
        n = read(session->in, session->line + session->size, SHELL_LINE_MAX - session->size);
    } while (n < 0 && errno == EINTR);
    if (n > 0)
        session->size += (size_t)n;
    return n < 0 ? -errno : n;
}

/* A last line without its end counts, at the end of the input. */
static void end_input(ShellSession *session)
{
    if (session->size > 0 && session->size < SHELL_LINE_MAX && session->line[session->size - 1] != '\n')
        session->line[session->size++] = '\n';
}

static int handle_ready(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    ShellSession *session = userdata;
    bool end = false;
    int r;

    if (session->sent == session->output.size && (events & (EPOLLIN | EPOLLHUP | EPOLLERR))) {
        ssize_t n = read_input(session);
        if (n == -EAGAIN)
            return 0;
        end = n <= 0;
        if (end)
            end_input(session);
    }
    r = handle_lines(session);
    if (r == 1 && end)
        r = -ECONNRESET;
    if (r < 0) {
        session_free(session);
        return 0;
    }
    /* At its end with an answer to send: sends, then closes. */
    session->ending = session->ending || end;
    if (session->remote)
        (void)sd_event_source_set_io_events(session->source, r == 0 ? EPOLLOUT : EPOLLIN);
    return 0;
}

static int handle_deferred(sd_event_source *source, void *userdata)
{
    ShellSession *session = userdata;
    return handle_ready(source, session->in, EPOLLIN, session);
}

static int handle_timeout(sd_event_source *source, uint64_t usec, void *userdata)
{
    session_free(userdata);
    return 0;
}

/* --- sessions --------------------------------------------------------------- */

static int session_new(Shell *shell, int in, int out, bool remote, ShellSession **ret, InaError *error)
{
    sd_event *event = shell->framework->event;
    ShellSession *session = calloc(1, sizeof *session);

    if (!session)
        return ina_error_set(error, ENOMEM, "out of memory");
    session->shell = shell;
    session->in = in;
    session->out = out;
    TAILQ_INSERT_TAIL(&shell->sessions, session, sessions);
    shell->n_sessions++;
    int r = sd_event_add_io(event, &session->source, in, EPOLLIN, handle_ready, session);
    if (r == -EPERM && !remote) { /* a file: it is always ready */
        r = sd_event_add_defer(event, &session->source, handle_deferred, session);
        if (r >= 0)
            r = sd_event_source_set_enabled(session->source, SD_EVENT_ON);
    }
    if (r >= 0 && remote)
        r = sd_event_add_time_relative(event, &session->timer, CLOCK_MONOTONIC,
                                       (uint64_t)SHELL_TOKEN_SECONDS * 1000000u, 0, handle_timeout, session);
    if (r < 0) {
        session_free(session);
        return ina_error_errno(error, r, "shell");
    }
    session->remote = remote;
    *ret = session;
    return 0;
}

int shell_attach(Shell *shell, int in, int out, InaError *error)
{
    ShellSession *session;

    int r = session_new(shell, in, out, false, &session, error);
    if (r < 0)
        return r;
    session->trusted = true;
    session->prompt = isatty(in) == 1;
    if (session->prompt)
        buffer_print(&session->output, PROMPT);
    (void)send_output(session);
    return 0;
}

static void turn_away(int fd)
{
    static const char message[] = "-ERR too many sessions\n.\n";

    (void)!send(fd, message, sizeof message - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    close(fd);
}

static int handle_connection(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    Shell *shell = userdata;
    ShellSession *session;

    int connection = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (connection < 0)
        return 0; /* gone again, or out of descriptors: it waits in the queue */
    if (shell->n_sessions >= SHELL_SESSIONS_MAX)
        turn_away(connection);
    else if (session_new(shell, connection, connection, true, &session, NULL) < 0)
        close(connection);
    return 0;
}

/* --- listening -------------------------------------------------------------- */

typedef union SocketAddress {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
} SocketAddress;

static int parse_address(const char *text, SocketAddress *ret, socklen_t *ret_size, InaError *error)
{
    char host[64];
    const char *colon = strrchr(text, ':');
    char *end;

    memset(ret, 0, sizeof *ret);
    unsigned long port = colon ? strtoul(colon + 1, &end, 10) : 0;
    if (!colon || end == colon + 1 || *end != '\0' || port > 65535 || (size_t)(colon - text) >= sizeof host)
        goto wrong;
    memcpy(host, text, (size_t)(colon - text));
    host[colon - text] = '\0';
    if (host[0] == '[' && host[strlen(host) - 1] == ']') {
        host[strlen(host) - 1] = '\0';
        if (inet_pton(AF_INET6, host + 1, &ret->v6.sin6_addr) != 1)
            goto wrong;
        ret->any.sa_family = AF_INET6;
        ret->v6.sin6_port = htons((uint16_t)port);
        *ret_size = sizeof ret->v6;
    } else {
        if (inet_pton(AF_INET, host, &ret->v4.sin_addr) != 1)
            goto wrong;
        ret->any.sa_family = AF_INET;
        ret->v4.sin_port = htons((uint16_t)port);
        *ret_size = sizeof ret->v4;
    }
    return 0;
wrong:
    return ina_error_set(error, EINVAL, "'%.80s' is not an address; right would be 127.0.0.1:2019 or [::1]:2019", text);
}

static bool is_wildcard(const SocketAddress *address)
{
    return address->any.sa_family == AF_INET ? address->v4.sin_addr.s_addr == htonl(INADDR_ANY)
                                             : IN6_IS_ADDR_UNSPECIFIED(&address->v6.sin6_addr);
}

static void write_address(Shell *shell)
{
    SocketAddress address = {0};
    socklen_t size = sizeof address;
    char host[INET6_ADDRSTRLEN] = "";

    if (getsockname(shell->listener, &address.any, &size) < 0)
        return;
    bool v6 = address.any.sa_family == AF_INET6;
    (void)inet_ntop(address.any.sa_family, v6 ? (void *)&address.v6.sin6_addr : (void *)&address.v4.sin_addr, host,
                    sizeof host);
    (void)snprintf(shell->address, sizeof shell->address, v6 ? "[%s]:%u" : "%s:%u", host,
                   ntohs(v6 ? address.v6.sin6_port : address.v4.sin_port));
}

static int open_listener(Shell *shell, const char *text, InaError *error)
{
    SocketAddress address = {0};
    socklen_t size = 0;
    const int one = 1;

    int r = parse_address(text, &address, &size, error);
    if (r < 0)
        return r;
    if (is_wildcard(&address))
        return ina_error_set(error, EINVAL, "the shell does not listen on all addresses (%s); name one", text);
    shell->listener = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (shell->listener < 0 || setsockopt(shell->listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) < 0 ||
        bind(shell->listener, &address.any, size) < 0 || listen(shell->listener, SHELL_SESSIONS_MAX) < 0)
        return ina_error_errno(error, errno, "the shell cannot listen on %s", text);
    r = sd_event_add_io(shell->framework->event, &shell->listening, shell->listener, EPOLLIN, handle_connection, shell);
    return r < 0 ? ina_error_errno(error, r, "the shell cannot listen on %s", text) : 0;
}

int shell_listen(Shell *shell, const char *address, const char *token, InaError *error)
{
    if (shell->listener >= 0)
        return ina_error_set(error, EBUSY, "the shell listens on %s already", shell->address);
    if (!token || strlen(token) < SHELL_TOKEN_MIN)
        return ina_error_set(error, EINVAL, "the shell needs a token of at least %u bytes", SHELL_TOKEN_MIN);
    shell->token = strdup(token);
    int r = shell->token ? open_listener(shell, address, error) : ina_error_set(error, ENOMEM, "out of memory");
    if (r < 0) {
        if (shell->listener >= 0)
            close(shell->listener);
        shell->listener = -1;
        free(shell->token);
        shell->token = NULL;
        return r;
    }
    write_address(shell);
    return 0;
}

const char *shell_address(const Shell *shell)
{
    return shell->listener >= 0 ? shell->address : NULL;
}

size_t shell_sessions(const Shell *shell)
{
    return shell->n_sessions;
}

void shell_close(Shell *shell)
{
    for (ShellSession *session = TAILQ_FIRST(&shell->sessions), *next; session; session = next) {
        next = TAILQ_NEXT(session, sessions);
        session_free(session);
    }
    sd_event_source_disable_unref(shell->listening);
    shell->listening = NULL;
    if (shell->listener >= 0)
        close(shell->listener);
    shell->listener = -1;
}
