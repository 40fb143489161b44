#include "container.h"

#include "attachment.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "check.h"
#include "container_setup.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#define EAGER_CHECK (LIFE_SECOND / 50)        /* of a page or a port */
#define EAGER_COMMAND_CHECK (LIFE_SECOND / 5) /* of a command, which costs a process each time */

struct Container {
    ContainerOptions options;
    Life life;
    sd_event_source *timer; /* the life's deadline */
    Child *child;
    pid_t pid;            /* of the present run, or the last */
    ContainerSetup setup; /* of the present run */
    Check *liveness, *readiness, *startup;
    ContainerLog *log;
    ContainerRun runs[2]; /* present or last, and the one before */
    unsigned n_runs;      /* processes that were started */
    char waiting[32], waiting_message[256];
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

static void tell_changed(Container *container)
{
    if (container->options.changed)
        container->options.changed(container->options.userdata);
}

static void tell_event(Container *container, const char *type, const char *reason, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static void tell_event(Container *container, const char *type, const char *reason, const char *format, ...)
{
    char text[512];
    va_list arguments;
    if (!container->options.event)
        return;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    container->options.event(container->options.userdata, container->options.spec, type, reason, text);
}

/* --- the process -------------------------------------------------------------- */

static void handle_output(void *userdata, const void *data, size_t size)
{
    Container *container = userdata;
    container_log_write(container->log, data, size);
}

static void end_checks(Container *container)
{
    container->liveness = check_free(container->liveness);
    container->readiness = check_free(container->readiness);
    container->startup = check_free(container->startup);
}

static void end_run(Container *container)
{
    end_checks(container);
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
    if (status != 0 && !run->reason[0] && cgroup_oom_kills(container->setup.group) > 0)
        snprintf(run->reason, sizeof run->reason, "OOMKilled");
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

/* --- probes -------------------------------------------------------------------- */

static void fail_check(Container *container, const char *which, const Check *check)
{
    ContainerRun *run = &container->runs[0];
    snprintf(run->message, sizeof run->message, "%s probe failed: %.120s", which, check_message(check));
    log_event(container, INA_LOG_WARNING, "probe failed", run->message);
    say(container, run->message);
    tell_event(container, "Normal", "Killing", "Container %s failed %s probe, will be restarted",
               container->options.spec->name, which);
    step(container, LIFE_UNHEALTHY, false);
}

static void handle_liveness(void *userdata, ProbeVerdict verdict)
{
    Container *container = userdata;
    if (verdict == PROBE_UNHEALTHY)
        fail_check(container, "liveness", container->liveness);
}

static void handle_readiness(void *userdata, ProbeVerdict verdict)
{
    tell_changed(userdata);
}

static void handle_liveness_failed(void *userdata)
{
    Container *container = userdata;
    tell_event(container, "Warning", "Unhealthy", "Liveness probe failed: %s", check_message(container->liveness));
}

static void handle_readiness_failed(void *userdata)
{
    Container *container = userdata;
    tell_event(container, "Warning", "Unhealthy", "Readiness probe failed: %s", check_message(container->readiness));
}

static void handle_startup_failed(void *userdata)
{
    Container *container = userdata;
    tell_event(container, "Warning", "Unhealthy", "Startup probe failed: %s", check_message(container->startup));
}

static int start_check(Container *container, const ProbeSpec *spec, bool eager, void (*verdict)(void *, ProbeVerdict),
                       void (*failed)(void *), Check **ret, InaError *error)
{
    const ContainerHost *host = container->options.host;
    if (spec->kind == PROBE_NONE)
        return 0;
    CheckOptions options = {
        .event = host->event,
        .children = host->children,
        .http = host->http,
        .address = container->options.address,
        .setup = &container->setup,
        .eager = !eager                     ? 0
                 : spec->kind == PROBE_EXEC ? EAGER_COMMAND_CHECK
                                            : EAGER_CHECK,
        .verdict = verdict,
        .failed = failed,
        .userdata = container,
    };
    return check_new(spec, &options, ret, error);
}

static int start_checks(Container *container, InaError *error)
{
    const ContainerSpec *spec = container->options.spec;
    int r = start_check(container, &spec->liveness, false, handle_liveness, handle_liveness_failed,
                        &container->liveness, error);
    return r < 0 ? r
                 : start_check(container, &spec->readiness, true, handle_readiness, handle_readiness_failed,
                               &container->readiness, error);
}

static void handle_startup(void *userdata, ProbeVerdict verdict)
{
    Container *container = userdata;
    InaError error = {0};
    if (verdict == PROBE_UNHEALTHY) {
        fail_check(container, "startup", container->startup);
        return;
    }
    if (container->liveness || container->readiness)
        return;
    if (start_checks(container, &error) < 0)
        log_event(container, INA_LOG_ERROR, "probe cannot be started", error.message);
    tell_changed(container);
}

/* --- a run --------------------------------------------------------------------- */

static int spawn(Container *container, InaError *error)
{
    const ContainerSpec *spec = container->options.spec;
    ChildOptions options;
    container_setup_child(&container->setup, &options);
    options.program = container->setup.program;
    options.arguments = container->setup.arguments;
    options.alone = true;
    options.output = handle_output;
    options.exited = handle_exit;
    options.userdata = container;
    int r = child_start(container->options.host->children, &options, &container->child, error);
    if (r == 0)
        r = container_setup_attached(&container->options, child_pid(container->child), error);
    if (r == 0)
        r = spec->startup.kind == PROBE_NONE ? start_checks(container, error)
                                             : start_check(container, &spec->startup, true, handle_startup,
                                                           handle_startup_failed, &container->startup, error);
    return r;
}

/* It could not be made: no run, but told as what it waits for. */
static void fail_setup(Container *container, const char *reason, const char *message)
{
    bool image = strcmp(reason, "ErrImagePull") == 0;
    bool again = container->waiting[0] != '\0';
    snprintf(container->waiting, sizeof container->waiting, "%s", image && again ? "ImagePullBackOff" : reason);
    snprintf(container->waiting_message, sizeof container->waiting_message, "%.255s", message);
    log_event(container, INA_LOG_ERROR, "container cannot be started", message);
    say(container, message);
    if (image)
        tell_event(container, "Warning", "Failed", "Failed to pull image \"%s\": %s", container->options.spec->image,
                   message);
    else
        tell_event(container, "Warning", "Failed", "Error: %s", message);
    if (image && again)
        tell_event(container, "Normal", "BackOff", "Back-off pulling image \"%s\"", container->options.spec->image);
    container_setup_clear(&container->setup);
    step(container, LIFE_EXITED, false);
}

static void begin_run(Container *container)
{
    InaError error = {0};
    const char *reason = "CreateContainerConfigError", *image = container->options.spec->image;
    if (container->options.fenced && container_setup_fenced(&container->options, &error)) {
        container->options.fenced(container->options.userdata);
        fail_setup(container, "CreateContainerError", error.message);
        return;
    }
    if (container_setup(&container->options, container->n_runs, &container->setup, &reason, &error) < 0) {
        fail_setup(container, reason, error.message);
        return;
    }
    if (container->n_runs > 0)
        container->runs[1] = container->runs[0];
    container->runs[0] = (ContainerRun){.started = clock_now(CLOCK_REALTIME, 1000)};
    container->n_runs++;
    container->waiting[0] = '\0';
    container_log_begin(container->log);
    tell_event(container, "Normal", "Pulled", "Container image \"%s\" already present on machine", image);
    tell_event(container, "Normal", "Created", "Created container %s", container->options.spec->name);
    if (spawn(container, &error) == 0) {
        container->pid = container->runs[0].pid = child_pid(container->child);
        log_event(container, INA_LOG_INFO, "container started", container->setup.program);
        tell_event(container, "Normal", "Started", "Started container %s", container->options.spec->name);
        return;
    }
    ContainerRun *run = &container->runs[0];
    run->exit_code = 128;
    snprintf(run->reason, sizeof run->reason, "StartError");
    snprintf(run->message, sizeof run->message, "%.159s", error.message);
    log_event(container, INA_LOG_ERROR, "container cannot be started", error.message);
    say(container, error.message);
    tell_event(container, "Warning", "Failed", "Error: %s", error.message);
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
    LifeState before = container->life.state;
    uint64_t now = clock_now(CLOCK_MONOTONIC, 1);
    LifeActions actions = life_step(&container->life, event, success, now);
    schedule(container);
    if (actions & LIFE_TERMINATE) {
        end_checks(container);
        child_signal(container->child, SIGTERM);
    }
    if (actions & LIFE_SIGKILL)
        child_signal(container->child, SIGKILL);
    if (container->life.state == LIFE_BACKOFF && before != LIFE_BACKOFF && !container->waiting[0] &&
        container->life.deadline > now + LIFE_BACKOFF_MINIMUM)
        tell_event(container, "Warning", "BackOff", "Back-off restarting failed container");
    if (event == LIFE_STOP && (actions & LIFE_TERMINATE))
        tell_event(container, "Normal", "Killing", "Stopping container %s", container->options.spec->name);
    if (container->life.state != before)
        tell_changed(container);
    if (actions & LIFE_SPAWN)
        begin_run(container);
    else if (container->life.state == LIFE_ENDED && before != LIFE_ENDED)
        container->options.ended(container->options.userdata);
}

static char *log_folder(const ContainerOptions *options)
{
    const PodSpec *pod = options->pod;
    char *folder = NULL;
    int r = asprintf(&folder, "%s/%s_%s_%s", options->host->logs, pod->namespace, pod->name, pod->uid);
    return r < 0 ? NULL : folder;
}

static LifePolicy policy_of(const ContainerOptions *options)
{
    LifePolicy policy = options->pod->policy;
    return options->init && policy == LIFE_ALWAYS ? LIFE_ON_FAILURE : policy;
}

int container_new(const ContainerOptions *options, Container **ret, InaError *error)
{
    Container *container = calloc(1, sizeof *container);
    AUTO_FREE char *folder = log_folder(options);
    if (!container || !folder) {
        free(container);
        return ina_error_set(error, ENOMEM, "out of memory");
    }
    container->options = *options;
    container->n_runs = options->runs;
    if (options->last)
        container->runs[0] = *options->last;
    life_init(&container->life, policy_of(options), (uint64_t)options->pod->grace * LIFE_SECOND);
    int r = container_log_open(folder, options->spec->name, options->host->log_size, &container->log, error);
    if (r < 0) {
        free(container);
        return r;
    }
    container_log_stamp(container->log);
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

void container_stop_within(Container *container, uint64_t grace_ns)
{
    Life *life = &container->life;
    uint64_t deadline = clock_now(CLOCK_MONOTONIC, 1) + grace_ns;
    life->grace = grace_ns;
    if (life->state == LIFE_ENDING && deadline < life->deadline) {
        life->deadline = deadline;
        schedule(container);
    }
    container_stop(container);
}

void container_kill(Container *container)
{
    if (container->life.state != LIFE_ENDED)
        step(container, LIFE_KILL, false);
}

void container_kill_for(Container *container, const char *reason)
{
    snprintf(container->runs[0].reason, sizeof container->runs[0].reason, "%s", reason);
    if (container->child)
        child_signal(container->child, SIGKILL);
}

const ContainerSpec *container_spec(const Container *container)
{
    return container->options.spec;
}

void container_status(const Container *container, ContainerStatus *ret)
{
    const ContainerSpec *spec = container->options.spec;
    bool running = container->life.state == LIFE_RUNNING && container->child;
    bool started =
        running && (spec->startup.kind == PROBE_NONE || (container->startup && check_healthy(container->startup)));
    uint64_t now = clock_now(CLOCK_MONOTONIC, 1), deadline = container->life.deadline;
    *ret = (ContainerStatus){
        .state = container->life.state,
        .starts = container->life.starts,
        .restarts = container->n_runs > 0 ? container->n_runs - 1 : 0,
        .pid = container->child ? child_pid(container->child) : 0,
        .started = started,
        .ready = started &&
                 (spec->readiness.kind == PROBE_NONE || (container->readiness && check_healthy(container->readiness))),
        .run = &container->runs[0],
        .before = container->n_runs > 1 ? &container->runs[1] : NULL,
        .backoff_ns = container->life.state == LIFE_BACKOFF && deadline > now ? deadline - now : 0,
        .waiting = container->waiting[0] ? container->waiting : NULL,
        .message = container->waiting_message,
    };
}

ContainerLog *container_log(Container *container)
{
    return container->log;
}

bool container_is_limited(const Container *container)
{
    return cgroup_limits_memory(container->setup.group);
}

bool container_usage(const Container *container, CgroupUsage *ret)
{
    return container->child && cgroup_usage(container->setup.group, ret);
}

const ContainerSetup *container_present(const Container *container)
{
    return container->child ? &container->setup : NULL;
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
