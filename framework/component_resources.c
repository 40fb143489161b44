/* component_resources.c - timers, watches and background work of components:
 * each ends with its component. */
#include "core.h"

#include <errno.h>
#include <stdlib.h>

struct InaTimer {
    Component *component;
    void (*fired)(void *userdata);
    void *userdata;
    sd_event_source *time, *idle; /* made when first needed */
    LIST_ENTRY(InaTimer) in_component;
};

struct InaWatch {
    Component *component;
    void (*ready)(void *userdata, uint32_t events);
    void *userdata;
    sd_event_source *source;
    LIST_ENTRY(InaWatch) in_component;
};

typedef struct Job {
    Component *component;
    WorkerJob *job;
    void (*work)(void *userdata);
    void (*done)(void *userdata, bool cancelled);
    void *userdata;
    LIST_ENTRY(Job) in_component;
} Job;

/* --- timers ------------------------------------------------------------- */

InaTimer *ina_timer_new(InaComponent *component, void (*fired)(void *userdata), void *userdata)
{
    if (component->n_timers == COMPONENT_TIMERS_MAX)
        return NULL;
    InaTimer *timer = malloc(sizeof(InaTimer));
    if (timer == NULL)
        return NULL;
    *timer = (InaTimer){.component = component, .fired = fired, .userdata = userdata};
    LIST_INSERT_HEAD(&component->timers, timer, in_component);
    component->n_timers++;
    return timer;
}

InaTimer *ina_timer_free(InaTimer *timer)
{
    if (timer == NULL)
        return NULL;
    LIST_REMOVE(timer, in_component);
    timer->component->n_timers--;
    sd_event_source_disable_unref(timer->time);
    sd_event_source_disable_unref(timer->idle);
    free(timer);
    return NULL;
}

/* The timer may be freed by what it calls. */
static void fire(InaTimer *timer)
{
    ServiceVisit visit;
    visit_enter(timer->component->framework, timer->component, "timer", &visit);
    timer->fired(timer->userdata);
    visit_leave(&visit);
}

static int on_time(sd_event_source *source, uint64_t usec, void *userdata)
{
    fire(userdata);
    return 0;
}

static int on_idle(sd_event_source *source, void *userdata)
{
    fire(userdata);
    return 0;
}

/* Out of memory or of kernel timers cannot be told to the caller: the component fails. */
static void check(InaTimer *timer, int r)
{
    if (r < 0)
        ina_component_fail(timer->component, "a timer cannot be set: error %d", -r);
}

void ina_timer_at(InaTimer *timer, uint64_t when)
{
    uint64_t usec = when / INA_MICROSECOND + (when % INA_MICROSECOND != 0);
    int r;
    if (timer->time == NULL) {
        r = sd_event_add_time(timer->component->framework->event, &timer->time, CLOCK_MONOTONIC, usec, 1, on_time,
                              timer);
    } else {
        r = sd_event_source_set_time(timer->time, usec);
        if (r >= 0)
            r = sd_event_source_set_enabled(timer->time, SD_EVENT_ONESHOT);
    }
    check(timer, r);
}

void ina_timer_after(InaTimer *timer, uint64_t delay)
{
    uint64_t now = ina_now();
    ina_timer_at(timer, delay < UINT64_MAX - now ? now + delay : UINT64_MAX);
}

void ina_timer_off(InaTimer *timer)
{
    if (timer->time != NULL)
        sd_event_source_set_enabled(timer->time, SD_EVENT_OFF);
    if (timer->idle != NULL)
        sd_event_source_set_enabled(timer->idle, SD_EVENT_OFF);
}

void ina_timer_idle(InaTimer *timer)
{
    int r;
    if (timer->idle != NULL) {
        r = sd_event_source_set_enabled(timer->idle, SD_EVENT_ONESHOT);
    } else {
        r = sd_event_add_defer(timer->component->framework->event, &timer->idle, on_idle, timer);
        if (r >= 0)
            r = sd_event_source_set_priority(timer->idle, SD_EVENT_PRIORITY_IDLE);
    }
    check(timer, r);
}

/* --- watches ------------------------------------------------------------ */

static int on_ready(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    InaWatch *watch = userdata;
    ServiceVisit visit;
    visit_enter(watch->component->framework, watch->component, "watch", &visit);
    watch->ready(watch->userdata, events);
    visit_leave(&visit);
    return 0;
}

InaWatch *ina_watch_new(InaComponent *component, int fd, uint32_t events,
                        void (*ready)(void *userdata, uint32_t events), void *userdata)
{
    if (component->n_watches == COMPONENT_TIMERS_MAX)
        return NULL;
    InaWatch *watch = malloc(sizeof(InaWatch));
    if (watch == NULL)
        return NULL;
    *watch = (InaWatch){.component = component, .ready = ready, .userdata = userdata};
    if (sd_event_add_io(component->framework->event, &watch->source, fd, events, on_ready, watch) < 0) {
        free(watch);
        return NULL;
    }
    LIST_INSERT_HEAD(&component->watches, watch, in_component);
    component->n_watches++;
    return watch;
}

InaWatch *ina_watch_free(InaWatch *watch)
{
    if (watch == NULL)
        return NULL;
    LIST_REMOVE(watch, in_component);
    watch->component->n_watches--;
    sd_event_source_disable_unref(watch->source);
    free(watch);
    return NULL;
}

/* --- work --------------------------------------------------------------- */

static void do_work(void *userdata)
{
    Job *job = userdata;
    job->work(job->userdata);
}

static void work_done(void *userdata, bool cancelled)
{
    Job *job = userdata;
    LIST_REMOVE(job, in_component);
    if (job->done != NULL) {
        ServiceVisit visit;
        visit_enter(job->component->framework, job->component, "end of work", &visit);
        job->done(job->userdata, cancelled);
        visit_leave(&visit);
    }
    free(job);
}

int ina_work(InaComponent *component, void (*work)(void *userdata), void (*done)(void *userdata, bool cancelled),
             void *userdata)
{
    if (component->refuses_work)
        return -ESHUTDOWN;
    InaError error;
    WorkerPool *pool = framework_workers(component->framework, &error);
    if (pool == NULL)
        return -ENOMEM;
    Job *job = malloc(sizeof(Job));
    if (job == NULL)
        return -ENOMEM;
    *job = (Job){.component = component, .work = work, .done = done, .userdata = userdata};
    int r = worker_submit(pool, do_work, work_done, job, &job->job, &error);
    if (r < 0) {
        free(job);
        return r;
    }
    LIST_INSERT_HEAD(&component->jobs, job, in_component);
    return 0;
}

void resources_finish_work(Component *component)
{
    component->refuses_work = true;
    Job *job;
    while ((job = LIST_FIRST(&component->jobs)) != NULL)
        worker_finish(job->job);
}

void resources_free(Component *component)
{
    InaTimer *timer;
    while ((timer = LIST_FIRST(&component->timers)) != NULL)
        ina_timer_free(timer);
    InaWatch *watch;
    while ((watch = LIST_FIRST(&component->watches)) != NULL)
        ina_watch_free(watch);
    component->http = http_client_free(component->http);
}
