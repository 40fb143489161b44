#include "container.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "check.h"
#include "container_setup.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>

struct Container {
    ContainerOptions options;
    Life life;
    sd_event_source *timer; /* the life's deadline */
    Child *child;
    pid_t pid;            /* of the present run, or the last */
    ContainerSetup setup; /* of the present run */
    Check *liveness, *readiness;
    ContainerLog *log;
    ContainerRun runs[2]; /* present or last, and the one before */
    bool ran_before;
};

static void step(Container *container, LifeEvent event, bool success);

static uint64_t clock_now(clockid_t clock, uint64_t unit)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return ((uint64_t)time.tv_sec * LIFE_SECOND + (uint64_t)time.tv_nsec) / unit;
}

static void log_event(const Container *container, InaLogLevel level, const char *what, const char *detail)
{
    char pid[16];
    snprintf(pid, sizeof pid, "%d", (int)container->pid);
    log_record(level, what, "pod", container->options.pod->name, "container", container->options.spec->name, "pid", pid,
               "detail", detail, NULL);
}

/* Said in the container's own log too, where people look first. */
static void say(Container *container, const char *text)
{
    char line[640];
    int length = snprintf(line, sizeof line, "[node: %s]\n", text);
    container_log_write(container->log, line, (size_t)length < sizeof line ? (size_t)length : sizeof line - 1);
}

/* --- the process -------------------------------------------------------------- */

static void handle_output(void *userdata, const void *data, size_t size)
{
    Container *container = userdata;
    container_log_write(container->log, data, size);
}

static void end_run(Container *container)
{
    container->liveness = check_free(container->liveness);
    container->readiness = check_free(container->readiness);
    container->child = child_free(container->child);
    const char *id =
        container->setup.environment ? environment_get(container->setup.environment, "INAETICS_AGENT_ID") : NULL;
    AUTO_FREE char *mark = NULL;
    if (id && asprintf(&mark, "INAETICS_AGENT_ID=%s", id) >= 0)
        child_sweep(mark); /* what left the process group */
    container_setup_clear(&container->setup);
    container->runs[0].finished = clock_now(CLOCK_REALTIME, 1000);
}

static void handle_exit(void *userdata, int status)
{
    Container *container = userdata;
    ContainerRun *run = &container->runs[0];
    run->signal = status & 0x7f;
    run->exit_code = run->signal ? 128 + run->signal : (status >> 8) & 0xff;
    char text[64];
    if (run->signal)
        snprintf(text, sizeof text, "ended by signal %d (%s)", run->signal, sigabbrev_np(run->signal));
    else
        snprintf(text, sizeof text, "ended with status %d", run->exit_code);
    log_event(container, status == 0 || container->life.stopping ? INA_LOG_INFO : INA_LOG_WARNING, "container ended",
              text);
    if (status != 0 && !container->life.stopping)
        say(container, text);
    end_run(container);
    step(container, LIFE_EXITED, status == 0);
}

static void handle_liveness(void *userdata, ProbeVerdict verdict)
{
    Container *container = userdata;
    if (verdict != PROBE_UNHEALTHY)
        return;
    ContainerRun *run = &container->runs[0];
    snprintf(run->message, sizeof run->message, "liveness probe failed: %.120s", check_message(container->liveness));
    log_event(container, INA_LOG_WARNING, "liveness probe failed", check_message(container->liveness));
    say(container, run->message);
    step(container, LIFE_UNHEALTHY, false);
}

static void handle_readiness(void *userdata, ProbeVerdict verdict)
{
}

static int start_check(Container *container, const ProbeSpec *spec, void (*verdict)(void *, ProbeVerdict), Check **ret,
                       InaError *error)
{
    if (spec->kind == PROBE_NONE)
        return 0;
    CheckOptions options = {
        .event = container->options.host->event,
        .children = container->options.host->children,
        .http = container->options.host->http,
        .address = container->options.address,
        .port_offset = container->options.host->instance->number,
        .environment = environment_list(container->setup.environment),
        .directory = container->setup.directory,
        .verdict = verdict,
        .userdata = container,
    };
    return check_new(spec, &options, ret, error);
}

static int spawn(Container *container, InaError *error)
{
    int r = container_setup(&container->options, &container->setup, error);
    if (r < 0)
        return r;
    ChildOptions options = {
        .program = container->setup.program,
        .arguments = container->setup.arguments,
        .environment = environment_list(container->setup.environment),
        .directory = container->setup.directory,
        .inherit_fd = -1,
        .output = handle_output,
        .exited = handle_exit,
        .userdata = container,
    };
    if ((r = child_start(container->options.host->children, &options, &container->child, error)) < 0 ||
        (r = start_check(container, &container->options.spec->liveness, handle_liveness, &container->liveness, error)) <
            0)
        return r;
    return start_check(container, &container->options.spec->readiness, handle_readiness, &container->readiness, error);
}

static void begin_run(Container *container)
{
    InaError error = {0};
    if (container->life.starts > 1) {
        container->runs[1] = container->runs[0];
        container->ran_before = true;
    }
    container->runs[0] = (ContainerRun){.started = clock_now(CLOCK_REALTIME, 1000)};
    container_log_begin(container->log);
    if (spawn(container, &error) == 0) {
        container->pid = child_pid(container->child);
        log_event(container, INA_LOG_INFO, "container started", container->setup.program);
        return;
    }
    ContainerRun *run = &container->runs[0];
    run->exit_code = 128;
    snprintf(run->message, sizeof run->message, "%.159s", error.message);
    log_event(container, INA_LOG_ERROR, "container cannot be started", error.message);
    say(container, error.message);
    end_run(container);
    step(container, LIFE_EXITED, false);
}

/* --- its life ------------------------------------------------------------------ */

static int handle_deadline(sd_event_source *source, uint64_t time, void *userdata)
{
    step(userdata, LIFE_DEADLINE, false);
    return 0;
}

static void schedule(Container *container)
{
    container->timer = sd_event_source_disable_unref(container->timer);
    if (container->life.deadline > 0)
        sd_event_add_time(container->options.host->event, &container->timer, CLOCK_MONOTONIC,
                          container->life.deadline / 1000 + 1, 1000, handle_deadline, container);
}

static void step(Container *container, LifeEvent event, bool success)
{
    LifeActions actions = life_step(&container->life, event, success, clock_now(CLOCK_MONOTONIC, 1));
    schedule(container);
    if (actions & LIFE_TERMINATE) {
        container->liveness = check_free(container->liveness);
        child_signal(container->child, SIGTERM);
    }
    if (actions & LIFE_SIGKILL)
        child_signal(container->child, SIGKILL);
    if (actions & LIFE_SPAWN)
        begin_run(container);
    else if (container->life.state == LIFE_ENDED)
        container->options.ended(container->options.userdata);
}

int container_new(const ContainerOptions *options, Container **ret, InaError *error)
{
    Container *container = calloc(1, sizeof *container);
    AUTO_FREE char *name = NULL;
    if (!container || asprintf(&name, "logs/%s", options->pod->name) < 0) {
        name = NULL;
        free(container);
        return ina_error_set(error, ENOMEM, "out of memory");
    }
    container->options = *options;
    life_init(&container->life, options->pod->policy, (uint64_t)options->pod->grace * LIFE_SECOND);
    AUTO_FREE char *folder = instance_path(options->host->instance, name);
    int r = folder ? container_log_open(folder, options->spec->name, options->host->log_size, &container->log, error)
                   : ina_error_set(error, ENOMEM, "out of memory");
    if (r < 0) {
        free(container);
        return r;
    }
    *ret = container;
    return 0;
}

void container_start(Container *container)
{
    step(container, LIFE_START, false);
}

void container_stop(Container *container)
{
    if (container->life.state != LIFE_ENDED)
        step(container, LIFE_STOP, false);
}

void container_kill(Container *container)
{
    if (container->life.state != LIFE_ENDED)
        step(container, LIFE_KILL, false);
}

const ContainerSpec *container_spec(const Container *container)
{
    return container->options.spec;
}

void container_status(const Container *container, ContainerStatus *ret)
{
    bool running = container->life.state == LIFE_RUNNING;
    uint64_t now = clock_now(CLOCK_MONOTONIC, 1), deadline = container->life.deadline;
    *ret = (ContainerStatus){
        .state = container->life.state,
        .starts = container->life.starts,
        .pid = container->child ? child_pid(container->child) : 0,
        .ready = running && (!container->readiness || check_healthy(container->readiness)),
        .run = &container->runs[0],
        .before = container->ran_before ? &container->runs[1] : NULL,
        .backoff_ns = container->life.state == LIFE_BACKOFF && deadline > now ? deadline - now : 0,
    };
}

ContainerLog *container_log(Container *container)
{
    return container->log;
}

Container *container_free(Container *container)
{
    if (!container)
        return NULL;
    sd_event_source_disable_unref(container->timer);
    end_run(container);
    container_log_free(container->log);
    free(container);
    return NULL;
}
