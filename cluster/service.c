#include "service.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "cluster/node/environment.h"
#include "confine.h"
#include "life.h"

#include "base/map.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#define TAIL_MAX 16384u
#define SHORTEST_PAUSE (LIFE_SECOND / 100) /* everybody waits for these */

struct Service {
    sd_event *event;
    Children *children;
    ServiceOptions options;
    Environment *environment;
    Life life;
    sd_event_source *timer, *ready_source, *ended_source;
    Child *child;
    ContainerLog *log;
};

static void step(Service *service, LifeEvent event);

static void handle_output(void *userdata, const void *data, size_t size)
{
    Service *service = userdata;
    container_log_write(service->log, data, size);
}

static void end_run(Service *service)
{
    service->ready_source = sd_event_source_disable_unref(service->ready_source);
    service->child = child_free(service->child);
}

static void handle_exit(void *userdata, int status)
{
    Service *service = userdata;
    char how[64];
    if (status & 0x7f)
        snprintf(how, sizeof how, "ended by signal %d (%s)", status & 0x7f, sigabbrev_np(status & 0x7f));
    else
        snprintf(how, sizeof how, "ended with status %d", status >> 8);
    end_run(service);
    bool wanted = !service->life.stopping;
    step(service, LIFE_EXITED);
    if (wanted)
        service->options.exited(service->options.userdata, how);
}

static int handle_ready(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    Service *service = userdata;
    char data[64];
    ssize_t size = read(fd, data, sizeof data);
    service->ready_source = sd_event_source_disable_unref(service->ready_source);
    if (size > 0)
        service->options.up(service->options.userdata);
    return 0;
}

static int start_child(Service *service, int ready_fd, InaError *error)
{
    ChildOptions options = {
        .program = service->options.program,
        .arguments = service->options.arguments,
        .environment = environment_list(service->environment),
        .death_signal = service->options.death_signal,
        .inherit_fd = ready_fd,
        .output = handle_output,
        .exited = handle_exit,
        .userdata = service,
    };
    return child_start(service->children, &options, &service->child, error);
}

static int spawn(Service *service, InaError *error)
{
    if (!service->options.ready)
        return start_child(service, -1, error);
    int ends[2];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
        return ina_error_errno(error, errno, "pipe");
    int r = start_child(service, ends[1], error);
    close(ends[1]);
    if (r == 0)
        r = sd_event_add_io(service->event, &service->ready_source, ends[0], EPOLLIN, handle_ready, service);
    if (r < 0) {
        close(ends[0]);
        return error->code ? -error->code : r;
    }
    sd_event_source_set_io_fd_own(service->ready_source, 1);
    return 0;
}

static void begin_run(Service *service)
{
    InaError error = {0};
    container_log_begin(service->log);
    if (spawn(service, &error) == 0) {
        if (service->options.started)
            service->options.started(service->options.userdata);
        return;
    }
    container_log_write(service->log, error.message, strlen(error.message));
    container_log_write(service->log, "\n", 1);
    end_run(service);
    step(service, LIFE_EXITED);
    service->options.exited(service->options.userdata, error.message);
}

static int handle_timer(sd_event_source *source, uint64_t time, void *userdata)
{
    step(userdata, LIFE_DEADLINE);
    return 0;
}

static int handle_ended(sd_event_source *source, void *userdata)
{
    Service *service = userdata;
    service->ended_source = sd_event_source_disable_unref(service->ended_source);
    service->options.ended(service->options.userdata);
    return 0;
}

static void step(Service *service, LifeEvent event)
{
    LifeActions actions = life_step(&service->life, event, false, steady_ns());
    service->timer = sd_event_source_disable_unref(service->timer);
    if (service->life.deadline > 0)
        sd_event_add_time(service->event, &service->timer, CLOCK_MONOTONIC, service->life.deadline / 1000 + 1, 1000,
                          handle_timer, service);
    if (actions & LIFE_TERMINATE)
        child_signal(service->child, SIGTERM);
    if (actions & LIFE_SIGKILL)
        child_signal(service->child, SIGKILL);
    if (actions & LIFE_SPAWN)
        begin_run(service);
    else if (service->life.state == LIFE_ENDED && !service->ended_source)
        sd_event_add_defer(service->event, &service->ended_source, handle_ended, service);
}

/* "NAME=value" */
static int set_entry(Environment *environment, const char *entry, InaError *error)
{
    const char *equals = strchr(entry, '=');
    AUTO_FREE char *name = equals ? strndup(entry, (size_t)(equals - entry)) : NULL;
    return name ? environment_set(environment, name, equals + 1, error) : ina_error_set(error, EINVAL, "%s", entry);
}

static int make_environment(Service *service, const Instance *instance, InaError *error)
{
    static const char *const inherited[] = {
        "PATH",         "HOME",          "TZ",           "LANG",         "LC_ALL",
        "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS", "INAETICS_PASSWORD_FILE",
        CONFINE_OFF};
    service->environment = environment_new();
    if (!service->environment)
        return ina_error_set(error, ENOMEM, "out of memory");
    int r = environment_set(service->environment, INSTANCE_MARK_PART, instance->data, error);
    for (size_t i = 0; r == 0 && i < sizeof inherited / sizeof *inherited; i++)
        r = environment_inherit(service->environment, inherited[i], error);
    for (const char *const *item = service->options.environment; r == 0 && item && *item; item++)
        r = set_entry(service->environment, *item, error);
#ifdef __aarch64__ /* etcd 3.4 wants to be told that one knows */
    if (r == 0)
        r = environment_set(service->environment, "ETCD_UNSUPPORTED_ARCH", "arm64", error);
#endif
    return r;
}

static void init_life(Service *service)
{
    life_init(&service->life, LIFE_ALWAYS, service->options.grace);
    service->life.shortest = service->life.backoff = SHORTEST_PAUSE;
}

int service_new(sd_event *event, Children *children, const Instance *instance, const ServiceOptions *options,
                Service **ret, InaError *error)
{
    Service *service = calloc(1, sizeof *service);
    AUTO_FREE char *logs = instance_path(instance, "logs");
    if (!service || !logs) {
        free(service);
        return ina_error_set(error, ENOMEM, "out of memory");
    }
    service->event = sd_event_ref(event);
    service->children = children;
    service->options = *options;
    init_life(service);
    int r = make_environment(service, instance, error);
    if (r == 0)
        r = container_log_open(logs, options->name, 0, &service->log, error);
    if (r < 0) {
        service_free(service);
        return r;
    }
    *ret = service;
    return 0;
}

void service_start(Service *service)
{
    if (service->life.state == LIFE_ENDED)
        init_life(service);
    step(service, LIFE_START);
}

void service_stop(Service *service)
{
    step(service, LIFE_STOP);
}

void service_halt(Service *service)
{
    service_stop(service);
    if (service->life.state != LIFE_ENDED)
        service_kill(service);
}

bool service_ended(const Service *service)
{
    return service->life.state == LIFE_ENDED && !service->ended_source;
}

void service_kill(Service *service)
{
    step(service, LIFE_KILL);
}

pid_t service_pid(const Service *service)
{
    return service->child ? child_pid(service->child) : 0;
}

char *service_tail(Service *service, long lines)
{
    LogReader *reader;
    Buffer text = {0};
    if (container_log_reader(service->log, false, lines, &reader, NULL) < 0)
        return NULL;
    ssize_t size;
    char *room;
    while (text.size < TAIL_MAX && (room = buffer_reserve(&text, 4096)) &&
           (size = log_reader_read(reader, room, 4096)) > 0)
        text.size += (size_t)size;
    log_reader_free(reader);
    buffer_append(&text, "", 1);
    if (text.failed) {
        buffer_free(&text);
        return NULL;
    }
    return text.data;
}

Service *service_free(Service *service)
{
    if (!service)
        return NULL;
    sd_event_source_disable_unref(service->timer);
    sd_event_source_disable_unref(service->ended_source);
    end_run(service);
    container_log_free(service->log);
    environment_free(service->environment);
    sd_event_unref(service->event);
    free(service);
    return NULL;
}
