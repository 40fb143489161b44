#include "usage.h"

#include "base/cleanup.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#define SESSIONS_MAX 1024u
#define DEPTH_MAX 32u

struct Usage {
    sd_event_source *timer;
    void (*measured)(void *userdata);
    void *userdata;
    UsageSession *sessions;
    size_t count;
    size_t processes; /* of this measurement */
    uint64_t now_us;
    long tick_ns, page;
};

typedef struct ProcessStat {
    char state;
    pid_t session;
    uint64_t ticks, pages;
} ProcessStat;

/* proc(5): behind the name in parentheses state (3), session (6), utime (14), stime (15), rss (24). */
static bool read_stat(pid_t pid, ProcessStat *ret)
{
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    AUTO_FILE FILE *file = fopen(path, "re");
    const char *at = file && fgets(text, sizeof text, file) ? strrchr(text, ')') : NULL;
    long session;
    unsigned long user, system;
    long pages;
    /* NOLINTNEXTLINE(cert-err34-c): the kernel's numbers fit */
    if (!at || sscanf(at + 1, " %c %*d %*d %ld %*d %*d %*u %*u %*u %*u %*u %lu %lu %*d %*d %*d %*d %*d %*d %*u %*u %ld",
                      &ret->state, &session, &user, &system, &pages) != 5)
        return false;
    ret->session = (pid_t)session;
    ret->ticks = user + system;
    ret->pages = pages > 0 ? (uint64_t)pages : 0;
    return true;
}

static UsageSession *session_of(Usage *usage, pid_t session)
{
    for (size_t i = 0; i < usage->count; i++)
        if (usage->sessions[i].session == session)
            return &usage->sessions[i];
    if (usage->count == SESSIONS_MAX)
        return NULL;
    UsageSession *fresh = reallocarray(usage->sessions, usage->count + 1, sizeof *fresh);
    if (!fresh)
        return NULL;
    usage->sessions = fresh;
    usage->sessions[usage->count] = (UsageSession){.session = session};
    return &usage->sessions[usage->count++];
}

static void take_process(Usage *usage, const ProcessStat *stat)
{
    UsageSession *session = session_of(usage, stat->session);
    if (!session)
        return;
    UsageSample *sample = &session->samples[session->count % USAGE_SAMPLES];
    if (!session->seen)
        *sample = (UsageSample){.time_us = usage->now_us};
    session->seen = true;
    sample->cpu_ns += stat->ticks * (uint64_t)usage->tick_ns;
    sample->rss += stat->pages * (uint64_t)usage->page;
    sample->processes++;
    sample->load += stat->state == 'R' ? 1 : 0;
}

static void walk(Usage *usage, pid_t parent, unsigned depth)
{
    char path[64];
    int pid;
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", parent, parent);
    AUTO_FILE FILE *file = depth < DEPTH_MAX ? fopen(path, "re") : NULL;
    /* NOLINTNEXTLINE(cert-err34-c): the kernel's numbers fit */
    while (file && usage->processes < USAGE_PROCESSES_MAX && fscanf(file, "%d", &pid) == 1) {
        ProcessStat stat;
        if (!read_stat(pid, &stat))
            continue;
        usage->processes++;
        if (stat.state != 'Z')
            take_process(usage, &stat);
        walk(usage, pid, depth + 1);
    }
}

/* What processes used that have ended is kept, so that the sum never falls. */
static void close_sample(UsageSession *session)
{
    UsageSample *sample = &session->samples[session->count % USAGE_SAMPLES];
    uint64_t now = sample->cpu_ns;
    if (now < session->last_ns)
        session->base_ns += session->last_ns - now;
    session->last_ns = now;
    sample->cpu_ns = session->base_ns + now;
    session->count++;
}

static int handle_timer(sd_event_source *source, uint64_t time, void *userdata)
{
    Usage *usage = userdata;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    usage->now_us = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
    usage->processes = 0;
    for (size_t i = 0; i < usage->count; i++)
        usage->sessions[i].seen = false;
    walk(usage, getpid(), 0);
    for (size_t i = usage->count; i > 0; i--) {
        if (usage->sessions[i - 1].seen)
            close_sample(&usage->sessions[i - 1]);
        else
            usage->sessions[i - 1] = usage->sessions[--usage->count];
    }
    if (usage->measured)
        usage->measured(usage->userdata);
    sd_event_source_set_time_relative(source, USAGE_PERIOD_US);
    sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
    return 0;
}

Usage *usage_new(sd_event *event, void (*measured)(void *userdata), void *userdata)
{
    Usage *usage = calloc(1, sizeof *usage);
    if (!usage)
        return NULL;
    usage->measured = measured;
    usage->userdata = userdata;
    usage->tick_ns = 1000000000 / sysconf(_SC_CLK_TCK);
    usage->page = sysconf(_SC_PAGESIZE);
    if (sd_event_add_time_relative(event, &usage->timer, CLOCK_MONOTONIC, USAGE_PERIOD_US, 10000, handle_timer, usage) <
        0)
        return usage_free(usage);
    return usage;
}

const UsageSession *usage_find(const Usage *usage, pid_t session)
{
    for (size_t i = 0; i < usage->count; i++)
        if (usage->sessions[i].session == session && usage->sessions[i].count > 0)
            return &usage->sessions[i];
    return NULL;
}

void usage_correct(Usage *usage, pid_t session, uint64_t cpu_ns, uint64_t memory, unsigned processes)
{
    UsageSession *found = (UsageSession *)usage_find(usage, session);
    if (!found)
        return;
    UsageSample *sample = &found->samples[(found->count - 1) % USAGE_SAMPLES];
    uint64_t before = found->count > 1 ? found->samples[(found->count - 2) % USAGE_SAMPLES].cpu_ns : 0;
    if (cpu_ns > 0)
        sample->cpu_ns = cpu_ns > before ? cpu_ns : before;
    if (memory > 0)
        sample->rss = memory;
    if (processes > 0)
        sample->processes = processes;
}

const UsageSample *usage_newest(const UsageSession *session)
{
    return &session->samples[(session->count - 1) % USAGE_SAMPLES];
}

double usage_cpu_milli(const UsageSession *session)
{
    uint64_t kept = session->count < USAGE_SAMPLES ? session->count : USAGE_SAMPLES;
    const UsageSample *newest = usage_newest(session);
    const UsageSample *oldest = &session->samples[(session->count - kept) % USAGE_SAMPLES];
    uint64_t us = newest->time_us - oldest->time_us;
    return kept > 1 && us > 0 ? (double)(newest->cpu_ns - oldest->cpu_ns) / (double)us : 0;
}

Usage *usage_free(Usage *usage)
{
    if (!usage)
        return NULL;
    sd_event_source_disable_unref(usage->timer);
    free(usage->sessions);
    free(usage);
    return NULL;
}
