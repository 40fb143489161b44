/* core.c - the framework without bundles: visits of component code, settling
 * of what they brought about, and the making of it all. */
#include "core.h"

#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Steps of one settling; what is left goes on from the loop, so that two
 * components that disturb each other do not stop everything else. */
#define SETTLE_STEPS_MAX 100000u

uint64_t ina_now(void)
{
    return steady_ns();
}

int64_t ina_wall_clock_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* --- visits ------------------------------------------------------------- */

void visit_enter(Framework *framework, Component *component, const char *what, ServiceVisit *visit)
{
    *visit = (ServiceVisit){
        .framework = framework,
        .outer = framework->core->visit,
        .component = component,
        .what = what,
        .begun = component != NULL ? ina_now() : 0,
    };
    framework->core->visit = visit;
}

static void report_slow(Component *component, const char *what, uint64_t took)
{
    Framework *framework = component->framework;
    FrameworkStatistics *statistics = &framework->core->statistics;
    component->slow_dispatches++;
    statistics->slow_dispatches++;
    statistics->slow_ns = took;
    statistics->slow_at = ina_now();
    snprintf(statistics->slow_bundle, sizeof(statistics->slow_bundle), "%s", component_bundle_name(component));
    snprintf(statistics->slow_component, sizeof(statistics->slow_component), "%s", component->class->name);
    if (framework->hooks.log == NULL || statistics->slow_at - component->slow_logged < INA_SECOND)
        return;
    component->slow_logged = statistics->slow_at;
    char message[160];
    snprintf(message, sizeof(message), "kept the loop busy for %.1f ms (%s)", (double)took / 1e6, what);
    framework->hooks.log(framework, component_bundle_id(component), component_bundle_name(component),
                         component->class->name, INA_LOG_WARNING, message);
}

void visit_leave(ServiceVisit *visit)
{
    Core *core = visit->framework->core;
    core->visit = visit->outer;
    Component *component = visit->component;
    if (component != NULL) {
        uint64_t whole = ina_now() - visit->begun;
        uint64_t took = whole > visit->inner ? whole - visit->inner : 0;
        if (visit->outer != NULL)
            visit->outer->inner += whole;
        component->dispatches++;
        core->statistics.dispatches++;
        if (took > component->slowest)
            component->slowest = took;
        if (took > core->statistics.slowest)
            core->statistics.slowest = took;
        if (took > FRAMEWORK_SLOW_NS)
            report_slow(component, visit->what, took);
    } else if (visit->outer != NULL) {
        visit->outer->inner += visit->inner;
    }
}

void service_enter(ServiceEntry *entry, ServiceVisit *visit)
{
    visit_enter(entry->framework, entry->provider, "plain service", visit);
}

void service_leave(ServiceVisit *visit)
{
    visit_leave(visit);
}

/* --- settling ----------------------------------------------------------- */

bool framework_idle(const Framework *framework)
{
    return framework->core->visit == NULL && !framework->core->settling;
}

static int on_settle(sd_event_source *source, void *userdata)
{
    sd_event_source_set_enabled(source, SD_EVENT_OFF);
    framework_settle(userdata);
    return 0;
}

void framework_settle_later(Framework *framework)
{
    sd_event_source_set_enabled(framework->core->settle_source, SD_EVENT_ONESHOT);
}

static bool settle_step(Core *core)
{
    ServiceEntry *entry = TAILQ_FIRST(&core->news);
    if (entry != NULL) {
        registry_tell(entry);
        return true;
    }
    Component *component = TAILQ_FIRST(&core->unsettled);
    if (component != NULL) {
        TAILQ_REMOVE(&core->unsettled, component, in_unsettled);
        component->unsettled = false;
        component_reconsider(component);
        return true;
    }
    return false;
}

void framework_settle(Framework *framework)
{
    Core *core = framework->core;
    if (!framework_idle(framework)) {
        framework_settle_later(framework);
        return;
    }
    core->settling = true;
    unsigned steps = 0;
    while (steps < SETTLE_STEPS_MAX && settle_step(core))
        steps++;
    core->settling = false;
    if (steps == SETTLE_STEPS_MAX)
        framework_settle_later(framework);
}

/* --- the whole ---------------------------------------------------------- */

int core_new(Framework *framework, InaError *error)
{
    Core *core = calloc(1, sizeof(Core));
    if (core == NULL)
        return ina_error_set(error, ENOMEM, "framework: out of memory");
    framework->core = core;
    TAILQ_INIT(&core->trackers);
    TAILQ_INIT(&core->news);
    TAILQ_INIT(&core->unsettled);
    TAILQ_INIT(&core->sets);
    core->random = UINT64_C(0x9e3779b97f4a7c15);
    core->names = map_new();
    if (core->names == NULL)
        return ina_error_set(error, ENOMEM, "framework: out of memory");
    int r = sd_event_add_defer(framework->event, &core->settle_source, on_settle, framework);
    if (r < 0)
        return ina_error_errno(error, r, "framework: cannot add to the event loop");
    sd_event_source_set_enabled(core->settle_source, SD_EVENT_OFF);
    return calls_new(framework, error);
}

void core_free(Framework *framework)
{
    Core *core = framework->core;
    if (core == NULL)
        return;
    worker_pool_free(core->workers);
    calls_free(framework);
    if (core->names != NULL)
        registry_free(framework);
    map_free(core->names);
    sd_event_source_disable_unref(core->settle_source);
    free(core);
    framework->core = NULL;
}

WorkerPool *framework_workers(Framework *framework, InaError *error)
{
    Core *core = framework->core;
    if (core->workers == NULL && worker_pool_new(framework->event, framework->threads, &core->workers, error) < 0)
        return NULL;
    return core->workers;
}

static int copy_text(const char *text, char **ret, InaError *error)
{
    if (text == NULL)
        return 0;
    *ret = strdup(text);
    return *ret != NULL ? 0 : ina_error_set(error, ENOMEM, "framework: out of memory");
}

int framework_open(sd_event *event, const FrameworkOptions *options, Framework **ret, InaError *error)
{
    if (options->agent_id == NULL || *options->agent_id == '\0')
        return ina_error_set(error, EINVAL, "framework: an agent id is needed");
    Framework *framework = calloc(1, sizeof(Framework));
    if (framework == NULL)
        return ina_error_set(error, ENOMEM, "framework: out of memory");
    framework->event = sd_event_ref(event);
    framework->environment = options->environment;
    framework->threads = options->threads > 0 ? options->threads : FRAMEWORK_DEFAULT_THREADS;
    int r = copy_text(options->agent_id, &framework->agent_id, error);
    if (r == 0)
        r = copy_text(options->configuration, &framework->configuration, error);
    if (r == 0)
        r = copy_text(options->cache, &framework->cache, error);
    if (r == 0)
        r = core_new(framework, error);
    if (r < 0) {
        framework_close(framework);
        return r;
    }
    *ret = framework;
    return 0;
}

Framework *framework_close(Framework *framework)
{
    if (framework == NULL)
        return NULL;
    core_free(framework);
    sd_event_unref(framework->event);
    free(framework->agent_id);
    free(framework->configuration);
    free(framework->cache);
    free(framework);
    return NULL;
}

void framework_statistics(const Framework *framework, FrameworkStatistics *ret)
{
    const Core *core = framework->core;
    *ret = core->statistics;
    ret->services = core->n_services;
    const ComponentSet *set;
    TAILQ_FOREACH(set, &core->sets, in_core)
    {
        ret->components += set->n_components;
        for (size_t i = 0; i < set->n_components; i++)
            ret->components_active += set->components[i].state == COMPONENT_ACTIVE;
    }
}
