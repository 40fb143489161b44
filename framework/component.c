/* component.c - the life of one component: when it starts, when it stops, and
 * in which order what it has comes and goes. */
#include "core.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *component_state_name(ComponentState state)
{
    switch (state) {
    case COMPONENT_STOPPED:
        return "stopped";
    case COMPONENT_MISCONFIGURED:
        return "misconfigured";
    case COMPONENT_WAITING:
        return "waiting";
    case COMPONENT_STARTING:
        return "starting";
    case COMPONENT_ACTIVE:
        return "active";
    case COMPONENT_STOPPING:
        return "stopping";
    case COMPONENT_FAILED:
        return "failed";
    }
    return "unknown";
}

const char *component_bundle_name(const Component *component)
{
    return component->set->owner.name;
}

int64_t component_bundle_id(const Component *component)
{
    return component->set->owner.id;
}

static void set_state(Component *component, ComponentState state)
{
    component->state = state;
    component->since = ina_now();
}

/* NULL: none any more. */
static void set_reason(Component *component, const char *reason)
{
    free(component->reason);
    component->reason = reason != NULL ? strdup(reason) : NULL;
}

static void log_line(Component *component, InaLogLevel level, const char *text)
{
    Framework *framework = component->framework;
    if (framework->hooks.log != NULL)
        framework->hooks.log(framework, component_bundle_id(component), component_bundle_name(component),
                             component->class->name, level, text);
}

/* --- failing ------------------------------------------------------------ */

static int on_retry(sd_event_source *source, uint64_t usec, void *userdata)
{
    Component *component = userdata;
    if (component->state == COMPONENT_FAILED) {
        set_state(component, COMPONENT_WAITING);
        component_unsettle(component);
    }
    return 0;
}

static void retry_later(Component *component)
{
    uint64_t delay = component->retry_delay * 2;
    if (delay < COMPONENT_RETRY_MIN)
        delay = COMPONENT_RETRY_MIN;
    if (delay > COMPONENT_RETRY_MAX)
        delay = COMPONENT_RETRY_MAX;
    component->retry_delay = delay;
    uint64_t usec = (ina_now() + delay) / INA_MICROSECOND;
    if (component->retry == NULL) {
        sd_event_add_time(component->framework->event, &component->retry, CLOCK_MONOTONIC, usec, 0, on_retry,
                          component);
    } else {
        sd_event_source_set_time(component->retry, usec);
        sd_event_source_set_enabled(component->retry, SD_EVENT_ONESHOT);
    }
}

static void fail(Component *component, const char *reason)
{
    component->failures++;
    set_reason(component, reason);
    log_line(component, INA_LOG_ERROR, reason);
    set_state(component, COMPONENT_FAILED);
    retry_later(component);
}

void ina_component_fail(InaComponent *component, const char *format, ...)
{
    if (component->giving_up || !component_runs(component) || component->state == COMPONENT_STOPPING)
        return;
    char text[INA_ERROR_MESSAGE_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    component->giving_up = true;
    set_reason(component, text);
    component_unsettle(component);
}

/* --- starting ----------------------------------------------------------- */

static void invoke_provided(void *self, InaCall *call, unsigned method, const ProtobufCMessage *request)
{
    const Component *component = self;
    const InaProvided *provided = &component->class->provides[call->entry->provided];
    provided->contract->dispatch(provided->table, method, component->self, call, request);
}

int component_publish(Component *component, size_t index, InaError *error)
{
    const InaProvided *declared = &component->class->provides[index];
    Provided *provided = &component->provided[index];
    ServiceDescription description = {
        .contract = declared->contract,
        .plain = declared->plain,
        .invoke = declared->contract != NULL ? invoke_provided : NULL,
        .object = {declared->table, declared->contract != NULL ? (void *)component : component->self},
        .properties = provided->properties,
        .exported = declared->exported,
    };
    ServiceEntry *entry = NULL;
    if (declared->contract != NULL)
        entry = handover_take(component->set->handover, component->class->name, declared->contract->name);
    if (entry == NULL)
        return registry_add_provided(component->framework, &description, component, index, &provided->entry, error);
    int r = registry_take_over(entry, &description, component, index, error);
    if (r < 0) {
        handover_put(component->set->handover, component, entry);
        return r;
    }
    provided->entry = entry;
    return 0;
}

static int prepare_provided(Component *component, InaError *error)
{
    for (size_t i = 0; i < component->class->n_provides; i++) {
        const InaProvided *declared = &component->class->provides[i];
        Provided *provided = &component->provided[i];
        *provided = (Provided){.properties = ina_properties_new(), .enabled = true};
        if (provided->properties == NULL)
            return ina_error_set(error, ENOMEM, "out of memory");
        for (size_t p = 0; p < declared->n_properties; p++) {
            int r = ina_properties_set(provided->properties, declared->properties[p].key,
                                       &declared->properties[p].value, error);
            if (r < 0)
                return r;
        }
    }
    return 0;
}

static int bind_required(Component *component, InaError *error)
{
    for (size_t i = 0; i < component->class->n_requires; i++) {
        Requirement *requirement = &component->requirements[i];
        if (requirement->declared->cardinality == INA_MANY)
            continue;
        int r = requirement_bind(requirement);
        if (r == -ENOMEM || (r < 0 && requirement->declared->cardinality == INA_ONE))
            return ina_error_errno(error, r, "required service %s", requirement->name->name);
    }
    return 0;
}

static int call_start_functions(Component *component, InaError *error)
{
    const InaComponentClass *class = component->class;
    const SavedState *state = component->state_to_restore;
    InaError reported = {.message = "it gave no reason"};
    ServiceVisit visit;
    int r = 0;
    if (state != NULL && class->restore != NULL) {
        visit_enter(component->framework, component, "restore", &visit);
        r = class->restore(component->self, state->version, state->data, state->size, &reported);
        visit_leave(&visit);
        if (r < 0)
            return ina_error_set(error, -r, "restoring its state of version %s failed: %s", state->version,
                                 reported.message);
    }
    if (class->start != NULL) {
        visit_enter(component->framework, component, "start", &visit);
        r = class->start(component->self, component, &reported);
        visit_leave(&visit);
        if (r < 0)
            return ina_error_set(error, -r, "start failed: %s", reported.message);
    }
    if (component->giving_up)
        return ina_error_set(error, EIO, "start failed: %s", component->reason != NULL ? component->reason : "");
    return 0;
}

/* Its services come last: then it has all that it needs to serve. */
static int come_up(Component *component, InaError *error)
{
    for (size_t i = 0; i < component->class->n_requires; i++) {
        Requirement *requirement = &component->requirements[i];
        if (requirement->declared->cardinality == INA_MANY)
            requirement_bind_all(requirement);
    }
    for (size_t i = 0; i < component->class->n_provides; i++) {
        /* One that was withdrawn and offered again meanwhile is there. */
        const Provided *provided = &component->provided[i];
        int r = provided->enabled && provided->entry == NULL ? component_publish(component, i, error) : 0;
        if (r < 0)
            return r;
    }
    return 0;
}

/* Returns what it is afterwards, with `error` unless it is active. */
static ComponentState start(Component *component, InaError *error)
{
    set_state(component, COMPONENT_STARTING);
    set_reason(component, NULL);
    component->giving_up = component->must_restart = component->refuses_work = false;
    component->self = calloc(1, component->class->size > 0 ? component->class->size : 1);
    if (component->self == NULL) {
        ina_error_set(error, ENOMEM, "out of memory");
        return COMPONENT_FAILED;
    }
    if (config_apply(component, error) < 0)
        return COMPONENT_MISCONFIGURED;
    if (prepare_provided(component, error) < 0 || bind_required(component, error) < 0)
        return COMPONENT_FAILED;
    component->starts++;
    component->entered = true;
    if (call_start_functions(component, error) < 0)
        return COMPONENT_FAILED;
    set_state(component, COMPONENT_ACTIVE);
    if (come_up(component, error) < 0)
        return COMPONENT_FAILED;
    component->state_to_restore = saved_state_unref(component->state_to_restore);
    return COMPONENT_ACTIVE;
}

/* Whether what its start brings about makes it stop and start again without end. */
static bool goes_in_circles(Component *component)
{
    uint64_t now = ina_now();
    if (now - component->starts_second >= INA_SECOND) {
        component->starts_second = now;
        component->starts_in_second = 0;
    }
    return ++component->starts_in_second > COMPONENT_STARTS_MAX;
}

static void component_start(Component *component)
{
    InaError error = {.message = ""};
    if (goes_in_circles(component)) {
        component->starts_in_second = 0;
        fail(component, "it was started 100 times within a second: what it requires comes and goes with it");
        return;
    }
    ComponentState state = start(component, &error);
    if (state == COMPONENT_ACTIVE)
        return;
    /* In an update what it took over goes back, for the old version. */
    component_stop(component, state, component->set->handover);
    if (state == COMPONENT_MISCONFIGURED) {
        set_reason(component, error.message);
        log_line(component, INA_LOG_ERROR, error.message);
    } else {
        fail(component, error.message);
    }
}

/* --- stopping ----------------------------------------------------------- */

bool component_runs(const Component *component)
{
    return component->state == COMPONENT_STARTING || component->state == COMPONENT_ACTIVE ||
           component->state == COMPONENT_STOPPING;
}

static void withdraw_all(Component *component, ComponentHandover *handover)
{
    for (size_t i = component->class->n_provides; i-- > 0;) {
        ServiceEntry *entry = component->provided[i].entry;
        component->provided[i].entry = NULL;
        if (entry == NULL)
            continue;
        if (handover != NULL && entry->is_contract) {
            registry_suspend(entry);
            handover_put(handover, component, entry);
        } else {
            registry_withdraw(entry);
        }
    }
}

static void release(Component *component)
{
    resources_free(component);
    calls_caller_stopped(component);
    calls_provider_stopped(component);
    for (size_t i = 0; i < component->class->n_requires; i++)
        requirement_unbind(&component->requirements[i]);
    for (size_t i = 0; i < component->class->n_provides; i++)
        component->provided[i].properties = ina_properties_free(component->provided[i].properties);
    config_forget(component);
    free(component->self);
    component->self = NULL;
    component->entered = false;
}

/* Users first, then what it uses, then itself. During its stop it can still
 * answer calls and read what it requires. */
void component_stop(Component *component, ComponentState next, ComponentHandover *handover)
{
    if (component->retry != NULL)
        sd_event_source_set_enabled(component->retry, SD_EVENT_OFF);
    if (component->state == COMPONENT_STOPPING)
        return;
    if (component_runs(component)) {
        bool was_active = component->state == COMPONENT_ACTIVE;
        if (was_active && ina_now() - component->since > COMPONENT_RETRY_MAX)
            component->retry_delay = 0;
        set_state(component, COMPONENT_STOPPING);
        withdraw_all(component, handover);
        for (size_t i = 0; i < component->class->n_requires; i++) {
            if (component->class->requires[i].cardinality == INA_MANY)
                requirement_unbind(&component->requirements[i]);
        }
        resources_finish_work(component);
        if (component->entered && component->class->stop != NULL) {
            ServiceVisit visit;
            visit_enter(component->framework, component, "stop", &visit);
            component->class->stop(component->self);
            visit_leave(&visit);
        }
        release(component);
    }
    component->giving_up = component->must_restart = false;
    set_state(component, next);
}

/* --- reconsidering ------------------------------------------------------ */

void component_unsettle(Component *component)
{
    if (!component->unsettled)
        TAILQ_INSERT_TAIL(&component->framework->core->unsettled, component, in_unsettled);
    component->unsettled = true;
    framework_settle_later(component->framework);
}

static bool requirements_met(const Component *component)
{
    for (size_t i = 0; i < component->class->n_requires; i++) {
        const Requirement *requirement = &component->requirements[i];
        if (requirement->declared->cardinality == INA_ONE && requirement_candidate(requirement) == NULL)
            return false;
    }
    return true;
}

void component_reconsider(Component *component)
{
    if (component->state == COMPONENT_ACTIVE && component->giving_up) {
        char *reason = component->reason;
        component->reason = NULL;
        component_stop(component, COMPONENT_FAILED, NULL);
        fail(component, reason != NULL ? reason : "it gave up");
        free(reason);
        return;
    }
    if (component->state == COMPONENT_ACTIVE && component->must_restart)
        component_stop(component, COMPONENT_WAITING, NULL);
    if (component->set->started && component->state == COMPONENT_WAITING && requirements_met(component))
        component_start(component);
}
