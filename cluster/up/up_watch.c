#include "up_watch.h"

#include "base/cleanup.h"
#include "base/clock.h"

#include <errno.h>
#include <string.h>
#include <time.h>

struct UpWatch {
    UpWatchOptions options;
    HttpClient *http;
    InaHttpFetch *fetch;
    sd_event_source *timer;
    char *url, *ca;
    WatchCore core;
    uint64_t asked; /* us */
    pid_t pid;      /* who was asked */
    uint64_t cpu_ms;
};

bool watch_core_step(WatchCore *core, const WatchLook *look)
{
    if (look->answered) {
        unsigned answers = look->quick ? core->answers + 1 : 0;
        bool calm = answers >= WATCH_CALM;
        *core = (WatchCore){.patience = core->patience - (calm && core->patience > 0), .answers = calm ? 0 : answers};
        return false;
    }
    core->answers = 0;
    if (look->late || look->state == 0)
        return false;
    if (look->state == 'T')
        core->misses += 2;
    else if ((look->state == 'R' || look->state == 'D') && look->cpu_ms < WATCH_CPU_MIN_MS)
        core->starved++;
    else
        core->misses++;
    if (core->misses < WATCH_MISSES && core->starved < WATCH_STARVED)
        return false;
    *core = (WatchCore){.patience = core->patience + (core->patience < WATCH_PATIENCE_MAX)};
    return true;
}

/* State and processor time: fields 3, 14 and 15 of /proc/PID/stat. */
static char look_at(pid_t pid, uint64_t *ret_cpu_ms)
{
    char path[64], text[1024], state = 0;
    unsigned long user = 0, system = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    AUTO_FILE FILE *file = pid > 0 ? fopen(path, "re") : NULL;
    const char *at = file && fgets(text, sizeof text, file) ? strrchr(text, ')') : NULL;
    /* NOLINTNEXTLINE(cert-err34-c): the kernel's numbers fit */
    if (!at || sscanf(at + 1, " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &state, &user, &system) != 3)
        return 0;
    *ret_cpu_ms = (user + system) * 1000 / (unsigned long)sysconf(_SC_CLK_TCK);
    return state;
}

static uint64_t deadline_of(const UpWatch *watch)
{
    return WATCH_DEADLINE << watch->core.patience;
}

static void handle_answer(void *userdata, const InaHttpResponse *response)
{
    UpWatch *watch = userdata;
    uint64_t cpu_ms = 0;
    pid_t pid = watch->options.pid(watch->options.userdata);
    char state = look_at(pid, &cpu_ms);
    uint64_t took = steady_us() - watch->asked;
    WatchLook look = {
        .answered = response->status > 0,
        .quick = took <= WATCH_QUICK_US,
        .late = took > deadline_of(watch) / 1000 + WATCH_LATE_US,
        .state = pid == watch->pid ? state : (char)0,
        .cpu_ms = cpu_ms > watch->cpu_ms ? cpu_ms - watch->cpu_ms : 0,
    };
    watch->fetch = NULL;
    sd_event_source_set_time_relative(watch->timer, look.answered ? WATCH_PERIOD_US : WATCH_AGAIN_US);
    sd_event_source_set_enabled(watch->timer, SD_EVENT_ONESHOT);
    if (pid != watch->pid)
        watch->core = (WatchCore){.patience = watch->core.patience};
    if (watch_core_step(&watch->core, &look))
        watch->options.hangs(watch->options.userdata);
}

static int handle_timer(sd_event_source *source, uint64_t time, void *userdata)
{
    UpWatch *watch = userdata;
    InaHttpFetchOptions options = {
        .url = watch->url, .timeout = deadline_of(watch), .done = handle_answer, .userdata = watch};
    watch->asked = steady_us();
    watch->pid = watch->options.pid(watch->options.userdata);
    watch->cpu_ms = 0;
    look_at(watch->pid, &watch->cpu_ms);
    watch->fetch = http_client_fetch(watch->http, &options, NULL);
    if (!watch->fetch) { /* out of memory: another time */
        sd_event_source_set_time_relative(source, WATCH_PERIOD_US);
        sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
    }
    return 0;
}

int up_watch_new(const UpWatchOptions *options, UpWatch **ret, InaError *error)
{
    UpWatch *watch = calloc(1, sizeof *watch);
    if (!watch)
        return ina_error_set(error, ENOMEM, "out of memory");
    watch->options = *options;
    watch->ca = instance_path(options->instance, "pki/ca.pem");
    if (!watch->ca || asprintf(&watch->url, "%s/livez", options->instance->api_url) < 0) {
        up_watch_free(watch);
        return ina_error_set(error, ENOMEM, "out of memory");
    }
    HttpClientOptions http = {.ca_file = watch->ca};
    int r = http_client_new(options->event, &http, &watch->http, error);
    if (r >= 0 && (r = sd_event_add_time_relative(options->event, &watch->timer, CLOCK_MONOTONIC, WATCH_PERIOD_US, 0,
                                                  handle_timer, watch)) < 0)
        ina_error_errno(error, r, "timer");
    if (r < 0) {
        up_watch_free(watch);
        return r;
    }
    *ret = watch;
    return 0;
}

UpWatch *up_watch_free(UpWatch *watch)
{
    if (!watch)
        return NULL;
    if (watch->fetch)
        http_fetch_cancel(watch->fetch);
    sd_event_source_disable_unref(watch->timer);
    http_client_free(watch->http);
    free(watch->url);
    free(watch->ca);
    free(watch);
    return NULL;
}
