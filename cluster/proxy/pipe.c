#include "pipe.h"

#include "base/cleanup.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

/* One direction. */
typedef struct Flow {
    char *data;
    size_t begin, end; /* what waits: data[begin..end) */
    bool finished;     /* its source has ended */
    bool passed_on;    /* and its sink was told */
    uint64_t bytes;
} Flow;

typedef struct Side {
    int fd;
    sd_event_source *source;
    uint32_t events; /* asked for */
} Side;

struct Pipe {
    PipeOptions options;
    Side client, server;
    Flow up, down; /* client to server, server to client */
    bool connected, ended;
    sd_event_source *timer, *ended_source;
};

static int handle_server(sd_event_source *source, int fd, uint32_t events, void *userdata);

/* --- its end ---------------------------------------------------------------------------- */

static int handle_ended(sd_event_source *source, void *userdata)
{
    Pipe *pipe = userdata;
    pipe->ended_source = sd_event_source_disable_unref(pipe->ended_source);
    pipe->options.ended(pipe->options.userdata);
    return 0;
}

static void side_close(Side *side)
{
    side->source = sd_event_source_disable_unref(side->source);
    if (side->fd >= 0)
        close(side->fd);
    side->fd = -1;
}

/* A close with an RST: nobody takes it for an orderly end. */
static void reset(Side *side)
{
    struct linger linger = {.l_onoff = 1};
    if (side->fd >= 0)
        setsockopt(side->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    side_close(side);
}

static void end(Pipe *pipe, bool broken)
{
    if (pipe->ended)
        return;
    pipe->ended = true;
    pipe->timer = sd_event_source_disable_unref(pipe->timer);
    if (broken) {
        reset(&pipe->client);
        reset(&pipe->server);
    } else {
        side_close(&pipe->client);
        side_close(&pipe->server);
    }
    sd_event_add_defer(pipe->options.event, &pipe->ended_source, handle_ended, pipe);
}

/* --- what flows ---------------------------------------------------------------------------- */

/* false: the source broke. */
static bool flow_read(Flow *flow, int fd)
{
    if (flow->finished || flow->end == PIPE_BUFFER)
        return true;
    ssize_t n = recv(fd, flow->data + flow->end, PIPE_BUFFER - flow->end, 0);
    if (n > 0) {
        flow->end += (size_t)n;
        flow->bytes += (uint64_t)n;
    } else if (n == 0) {
        flow->finished = true;
    } else if (errno != EAGAIN && errno != EINTR) {
        return false;
    }
    return true;
}

static bool flow_write(Flow *flow, int fd)
{
    while (flow->begin < flow->end) {
        ssize_t n = send(fd, flow->data + flow->begin, flow->end - flow->begin, MSG_NOSIGNAL);
        if (n < 0)
            return errno == EAGAIN || errno == EINTR;
        flow->begin += (size_t)n;
    }
    flow->begin = flow->end = 0;
    if (flow->finished && !flow->passed_on) {
        flow->passed_on = true;
        shutdown(fd, SHUT_WR);
    }
    return true;
}

static void ask(Side *side, uint32_t events)
{
    if (side->source && side->events != events && sd_event_source_set_io_events(side->source, events) >= 0 &&
        sd_event_source_set_enabled(side->source, SD_EVENT_ON) >= 0)
        side->events = events;
}

/* What each socket is to be watched for. */
static void watch(Pipe *pipe)
{
    const Flow *up = &pipe->up, *down = &pipe->down;
    ask(&pipe->client, (!up->finished && up->end < PIPE_BUFFER ? EPOLLIN : 0u) | (down->end > 0 ? EPOLLOUT : 0u));
    if (pipe->connected)
        ask(&pipe->server, (!down->finished && down->end < PIPE_BUFFER ? EPOLLIN : 0u) | (up->end > 0 ? EPOLLOUT : 0u));
}

/* The end of a side was read before, and now it does not take anything any more either. */
static void drop_what_goes_to(Flow *flow)
{
    flow->begin = flow->end = 0;
    flow->finished = flow->passed_on = true;
}

/* A socket tells that it is gone whether it is asked or not, and again and again. */
static void mute(Side *side, uint32_t events)
{
    if (events & (EPOLLHUP | EPOLLERR) && side->events == 0 && side->source)
        sd_event_source_set_enabled(side->source, SD_EVENT_OFF);
}

/* Reads and writes what goes. */
static void pump(Pipe *pipe, bool from_client, uint32_t events)
{
    bool good = true;
    if (events & (EPOLLHUP | EPOLLERR) && (from_client ? pipe->up.finished : pipe->down.finished))
        drop_what_goes_to(from_client ? &pipe->down : &pipe->up);
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        good = from_client ? flow_read(&pipe->up, pipe->client.fd) : flow_read(&pipe->down, pipe->server.fd);
    if (good && pipe->connected)
        good = flow_write(&pipe->up, pipe->server.fd);
    if (good)
        good = flow_write(&pipe->down, pipe->client.fd);
    if (!good)
        return end(pipe, true);
    if (pipe->up.passed_on && pipe->down.passed_on)
        return end(pipe, false);
    watch(pipe);
    mute(from_client ? &pipe->client : &pipe->server, events);
}

static int handle_client(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    Pipe *pipe = userdata;
    if (!pipe->connected && events & (EPOLLHUP | EPOLLERR))
        end(pipe, true);
    else
        pump(pipe, true, events);
    return 0;
}

/* --- reaching the server --------------------------------------------------------------------- */

static bool connect_now(Pipe *pipe)
{
    int one = 1;
    side_close(&pipe->server);
    pipe->server.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (pipe->server.fd < 0)
        return false;
    setsockopt(pipe->server.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    const struct sockaddr *address = (const struct sockaddr *)&pipe->options.target;
    if (connect(pipe->server.fd, address, sizeof pipe->options.target) < 0 && errno != EINPROGRESS)
        return false;
    pipe->server.events = EPOLLOUT;
    return sd_event_add_io(pipe->options.event, &pipe->server.source, pipe->server.fd, EPOLLOUT, handle_server, pipe) >=
           0;
}

static void connect_next(Pipe *pipe)
{
    PipeOptions *options = &pipe->options;
    do {
        if (!options->next(options->userdata, &options->target))
            return end(pipe, true);
    } while (!connect_now(pipe));
}

static int handle_server(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    Pipe *pipe = userdata;
    int problem = 0;
    socklen_t size = sizeof problem;
    if (pipe->connected) {
        pump(pipe, false, events);
        return 0;
    }
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &problem, &size) < 0 || problem != 0) {
        connect_next(pipe);
        return 0;
    }
    pipe->connected = true;
    pipe->timer = sd_event_source_disable_unref(pipe->timer);
    pump(pipe, false, 0);
    return 0;
}

static int handle_timer(sd_event_source *source, uint64_t time, void *userdata)
{
    Pipe *pipe = userdata;
    sd_event_source_set_time_relative(source, PIPE_CONNECT_US);
    sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
    connect_next(pipe);
    return 0;
}

int pipe_new(const PipeOptions *options, Pipe **ret, InaError *error)
{
    int one = 1;
    Pipe *pipe = calloc(1, sizeof *pipe);
    if (!pipe) {
        close(options->client);
        return ina_error_set(error, ENOMEM, "out of memory");
    }
    pipe->options = *options;
    pipe->client.fd = options->client;
    pipe->server.fd = -1;
    pipe->up.data = malloc(PIPE_BUFFER);
    pipe->down.data = malloc(PIPE_BUFFER);
    setsockopt(options->client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    int r = pipe->up.data && pipe->down.data ? 0 : -ENOMEM;
    if (r == 0)
        r = sd_event_add_io(options->event, &pipe->client.source, options->client, EPOLLIN, handle_client, pipe);
    if (r >= 0)
        r = sd_event_add_time_relative(options->event, &pipe->timer, CLOCK_MONOTONIC, PIPE_CONNECT_US, 0, handle_timer,
                                       pipe);
    if (r < 0) {
        pipe_free(pipe);
        return ina_error_errno(error, r, "connection");
    }
    pipe->client.events = EPOLLIN;
    *ret = pipe;
    if (!connect_now(pipe))
        connect_next(pipe);
    return 0;
}

const struct sockaddr_in *pipe_target(const Pipe *pipe)
{
    return &pipe->options.target;
}

void pipe_bytes(const Pipe *pipe, uint64_t *ret_up, uint64_t *ret_down)
{
    *ret_up = pipe->up.bytes;
    *ret_down = pipe->down.bytes;
}

Pipe *pipe_free(Pipe *pipe)
{
    if (!pipe)
        return NULL;
    reset(&pipe->client);
    reset(&pipe->server);
    sd_event_source_disable_unref(pipe->timer);
    sd_event_source_disable_unref(pipe->ended_source);
    free(pipe->up.data);
    free(pipe->down.data);
    free(pipe);
    return NULL;
}
