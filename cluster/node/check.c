#include "check.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "cluster/instance.h"
#include "container_setup.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

struct Check {
    const ProbeSpec *spec;
    CheckOptions options;
    ProbeCore core;
    sd_event_source *timer;   /* the next check */
    sd_event_source *timeout; /* of the one under way */
    Child *command;
    InaHttpFetch *fetch;
    sd_event_source *socket;
    InaError error; /* of the last check */
};

static void begin(Check *check);

static void end_attempt(Check *check)
{
    check->command = child_free(check->command);
    if (check->fetch)
        http_fetch_cancel(TAKE_PTR(check->fetch));
    if (check->socket)
        sd_event_source_set_io_fd_own(check->socket, 1);
    check->socket = sd_event_source_disable_unref(check->socket);
    check->timeout = sd_event_source_disable_unref(check->timeout);
}

static int handle_timer(sd_event_source *source, uint64_t time, void *userdata)
{
    Check *check = userdata;
    if (probe_due(&check->core, steady_ns()))
        begin(check);
    return 0;
}

static void schedule(Check *check)
{
    check->timer = sd_event_source_disable_unref(check->timer);
    if (check->core.next > 0) /* rounded up, so that it is due when the timer fires */
        sd_event_add_time(check->options.event, &check->timer, CLOCK_MONOTONIC, check->core.next / 1000 + 1, 1000,
                          handle_timer, check);
}

/* The verdict is the last thing: its receiver may free the check. */
static void finish(Check *check, bool success)
{
    end_attempt(check);
    if (success)
        check->error = (InaError){0};
    ProbeVerdict verdict = probe_result(&check->core, success, steady_ns());
    schedule(check);
    if (!success && check->core.counted && check->options.failed)
        check->options.failed(check->options.userdata);
    if (verdict != PROBE_UNCHANGED)
        check->options.verdict(check->options.userdata, verdict);
}

static int handle_timeout(sd_event_source *source, uint64_t time, void *userdata)
{
    Check *check = userdata;
    ina_error_set(&check->error, ETIMEDOUT, "no answer within %jd s", (intmax_t)check->spec->timing.timeout);
    finish(check, false);
    return 0;
}

static void handle_command(void *userdata, int status)
{
    Check *check = userdata;
    if (status != 0)
        ina_error_set(&check->error, EIO, "%s ended with %s %d", (char *)((char **)check->spec->command.items)[0],
                      status & 0x7f ? "signal" : "status", status & 0x7f ? status & 0x7f : status >> 8);
    finish(check, status == 0);
}

static void handle_response(void *userdata, const InaHttpResponse *response)
{
    Check *check = userdata;
    check->fetch = NULL;
    bool success = response->status >= 200 && response->status < 400;
    if (response->status == 0)
        check->error = response->error;
    else if (!success)
        ina_error_set(&check->error, EIO, "%s answered %d", check->spec->path ? check->spec->path : "/",
                      response->status);
    finish(check, success);
}

static int64_t port_of(const Check *check)
{
    return check->spec->port;
}

static int handle_connect(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    Check *check = userdata;
    int code = 0;
    socklen_t size = sizeof code;
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &size);
    if (code != 0)
        ina_error_errno(&check->error, code, "connect to port %jd", (intmax_t)port_of(check));
    finish(check, code == 0);
    return 0;
}

static const char *host_of(const Check *check)
{
    return check->spec->host ? check->spec->host : check->options.address;
}

static int begin_command(Check *check)
{
    char **command = check->spec->command.items;
    AUTO_FREE char **arguments = calloc(check->spec->command.count + 1, sizeof *arguments);
    if (!arguments)
        return ina_error_set(&check->error, ENOMEM, "out of memory");
    memcpy(arguments, command, check->spec->command.count * sizeof *arguments);
    AUTO_FREE char *program = NULL;
    int r = strchr(command[0], '/') ? 0 : program_find(command[0], &program, &check->error);
    if (r < 0)
        return r;
    ChildOptions options;
    container_setup_child(check->options.setup, &options);
    options.program = program ? program : command[0];
    options.arguments = arguments;
    options.exited = handle_command;
    options.userdata = check;
    return child_start(check->options.children, &options, &check->command, &check->error);
}

static int begin_http(Check *check)
{
    char url[1024];
    const char *host = host_of(check);
    snprintf(url, sizeof url, strchr(host, ':') ? "http://[%s]:%jd%s" : "http://%s:%jd%s", host,
             (intmax_t)port_of(check), check->spec->path ? check->spec->path : "/");
    InaHttpFetchOptions options = {
        .url = url,
        .timeout = (uint64_t)check->spec->timing.timeout * LIFE_SECOND,
        .maximum = 1024 * 1024,
        .done = handle_response,
        .userdata = check,
    };
    check->fetch = http_client_fetch(check->options.http, &options, &check->error);
    return check->fetch ? 0 : -EIO;
}

static int begin_connect(Check *check)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port_of(check))};
    if (inet_pton(AF_INET, host_of(check), &address.sin_addr) != 1)
        return ina_error_set(&check->error, EINVAL, "\"%s\" is no IPv4 address", host_of(check));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return ina_error_errno(&check->error, errno, "socket");
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0 && errno != EINPROGRESS) {
        int code = errno;
        close(fd);
        return ina_error_errno(&check->error, code, "connect to port %jd", (intmax_t)port_of(check));
    }
    int r = sd_event_add_io(check->options.event, &check->socket, fd, EPOLLOUT, handle_connect, check);
    if (r < 0)
        close(fd);
    return r < 0 ? ina_error_errno(&check->error, r, "watch socket") : 0;
}

static int try(Check *check)
{
    int r = sd_event_add_time_relative(check->options.event, &check->timeout, CLOCK_MONOTONIC,
                                       (uint64_t)check->spec->timing.timeout * 1000000, 1000, handle_timeout, check);
    if (r < 0)
        return ina_error_errno(&check->error, r, "timer");
    switch (check->spec->kind) {
    case PROBE_EXEC:
        return begin_command(check);
    case PROBE_HTTP:
        return begin_http(check);
    case PROBE_TCP:
    case PROBE_NONE:
        break;
    }
    return begin_connect(check);
}

static void begin(Check *check)
{
    if (try(check) < 0)
        finish(check, false);
}

int check_new(const ProbeSpec *spec, const CheckOptions *options, Check **ret, InaError *error)
{
    Check *check = calloc(1, sizeof *check);
    if (!check)
        return ina_error_set(error, ENOMEM, "out of memory");
    check->spec = spec;
    check->options = *options;
    ProbeTiming timing = spec->timing;
    timing.eager = options->eager;
    probe_init(&check->core, &timing);
    probe_begin(&check->core, steady_ns());
    schedule(check);
    *ret = check;
    return 0;
}

bool check_healthy(const Check *check)
{
    return check->core.known && check->core.healthy;
}

const char *check_message(const Check *check)
{
    return check->error.message;
}

Check *check_free(Check *check)
{
    if (!check)
        return NULL;
    end_attempt(check);
    sd_event_source_disable_unref(check->timer);
    free(check);
    return NULL;
}
