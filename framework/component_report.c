/* component_report.c - what the components are doing, and why one is not active. */
#include "core.h"

#include <stdio.h>
#include <string.h>

#define REASON_MAX 1024u /* bytes */
#define DEPTH_MAX 16u    /* components in a row of which each waits for the next */

typedef struct Text {
    char *data;
    size_t size, length;
} Text;

__attribute__((format(printf, 2, 3))) static void add(Text *text, const char *format, ...)
{
    if (text->length >= text->size)
        return;
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(text->data + text->length, text->size - text->length, format, arguments);
    va_end(arguments);
    text->length += n > 0 ? (size_t)n : 0;
}

/* Whether the component would provide what is required, going by its table. */
static bool would_provide(const Component *component, const Requirement *requirement)
{
    for (size_t i = 0; i < component->class->n_provides; i++) {
        const InaProvided *provided = &component->class->provides[i];
        const char *name = provided->contract != NULL ? provided->contract->name : provided->plain;
        if ((provided->contract != NULL) != (requirement->declared->contract != NULL) ||
            strcmp(name, requirement->name->name) != 0)
            continue;
        if (requirement->filter == NULL)
            return true;
        InaProperties *properties = ina_properties_new();
        for (size_t p = 0; properties != NULL && p < provided->n_properties; p++)
            ina_properties_set(properties, provided->properties[p].key, &provided->properties[p].value, NULL);
        bool fits = ina_filter_match(requirement->filter, properties);
        ina_properties_free(properties);
        if (fits)
            return true;
    }
    return false;
}

/* An installed component that would provide it if it were active. */
static const Component *idle_provider(const Requirement *requirement)
{
    const ComponentSet *set;
    TAILQ_FOREACH(set, &requirement->component->framework->core->sets, in_core)
    {
        for (size_t i = 0; i < set->n_components; i++) {
            if (set->components[i].state != COMPONENT_ACTIVE && would_provide(&set->components[i], requirement))
                return &set->components[i];
        }
    }
    return NULL;
}

static const Requirement *missing(const Component *component)
{
    for (size_t i = 0; i < component->class->n_requires; i++) {
        const Requirement *requirement = &component->requirements[i];
        if (requirement->declared->cardinality == INA_ONE && requirement_candidate(requirement) == NULL)
            return requirement;
    }
    return NULL;
}

static void add_service(Text *text, const Requirement *requirement)
{
    add(text, "%s", requirement->name->name);
    if (requirement->filter != NULL)
        add(text, " with %s", ina_filter_text(requirement->filter));
}

static void explain_other(Text *text, const Component *component)
{
    switch (component->state) {
    case COMPONENT_STOPPED:
        add(text, ", whose bundle %s is not started", component_bundle_name(component));
        break;
    case COMPONENT_FAILED:
        add(text, ", which failed: %s", component->reason != NULL ? component->reason : "");
        break;
    case COMPONENT_MISCONFIGURED:
        add(text, ", which is misconfigured: %s", component->reason != NULL ? component->reason : "");
        break;
    default:
        break;
    }
}

/* "waits for A, which x would provide, which waits for B, ..." to the end of
 * the row, or to where it closes. */
static void explain_waiting(Text *text, const Component *component)
{
    const Component *row[DEPTH_MAX];
    for (unsigned depth = 0; depth < DEPTH_MAX; depth++) {
        const Requirement *requirement = missing(component);
        if (requirement == NULL)
            return;
        row[depth] = component;
        add(text, "%swaits for ", depth > 0 ? ", which " : "");
        add_service(text, requirement);
        component = idle_provider(requirement);
        if (component == NULL) {
            add(text, ", which nobody provides");
            return;
        }
        add(text, ", to be provided by %s", component->class->name);
        for (unsigned i = 0; i <= depth; i++) {
            if (row[i] == component) {
                add(text, ": a cycle of mandatory requirements; make one of them optional");
                return;
            }
        }
        if (component->state != COMPONENT_WAITING) {
            explain_other(text, component);
            return;
        }
    }
}

void component_explain(const Component *component, char *buffer, size_t size)
{
    Text text = {.data = buffer, .size = size};
    buffer[0] = '\0';
    switch (component->state) {
    case COMPONENT_WAITING:
        explain_waiting(&text, component);
        break;
    case COMPONENT_FAILED: {
        uint64_t now = ina_now(), due = component->since + component->retry_delay;
        add(&text, "%s; failure %llu, tried again in %.1f s", component->reason != NULL ? component->reason : "",
            (unsigned long long)component->failures, due > now ? (double)(due - now) / 1e9 : 0.0);
        break;
    }
    case COMPONENT_MISCONFIGURED:
        add(&text, "%s", component->reason != NULL ? component->reason : "");
        break;
    case COMPONENT_STOPPED:
        add(&text, "its bundle is not started");
        break;
    case COMPONENT_STARTING:
    case COMPONENT_ACTIVE:
    case COMPONENT_STOPPING:
        break;
    }
}

void components_each_of(ComponentSet *set, void (*visit)(void *userdata, const ComponentInfo *info), void *userdata)
{
    for (size_t i = 0; i < set->n_components; i++) {
        const Component *component = &set->components[i];
        char reason[REASON_MAX];
        component_explain(component, reason, sizeof(reason));
        ComponentInfo info = {
            .bundle = component_bundle_name(component),
            .bundle_id = component_bundle_id(component),
            .component = component->class->name,
            .state = component->state,
            .reason = reason,
            .since = component->since,
            .starts = component->starts,
            .failures = component->failures,
            .dispatches = component->dispatches,
            .slow_dispatches = component->slow_dispatches,
            .slowest = component->slowest,
        };
        visit(userdata, &info);
    }
}

void components_each(Framework *framework, void (*visit)(void *userdata, const ComponentInfo *info), void *userdata)
{
    ComponentSet *set;
    TAILQ_FOREACH(set, &framework->core->sets, in_core)
    components_each_of(set, visit, userdata);
}
