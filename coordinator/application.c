#include "application_internal.h"

#include "base/cleanup.h"
#include "kube/client.h"
#include "kube/object.h"

#include <errno.h>
#include <math.h>
#include <string.h>

/* --- life ----------------------------------------------------------------------------- */

const json_t *application_status(const json_t *object, const char *name)
{
    size_t i;
    const json_t *status;
    json_array_foreach(kube_get(object, "status.components"), i,
                       status) if (strcmp(kube_string(status, "name"), name) == 0) return status;
    return NULL;
}

/* What was remembered in the status, unless another policy did. */
static void restore(Component *component, const json_t *object)
{
    const json_t *status = application_status(object, component->name);
    component->announced = (unsigned)kube_integer(status, "wanted", 0);
    component->decided = kube_integer(status, "decidedAt", 0);
    snprintf(component->reason, sizeof component->reason, "%s", kube_string(status, "reason"));
    component->overloaded = kube_boolean(status, "overloaded");
    component->crowded = kube_boolean(status, "crowded");
    if (component->scaled && strcmp(kube_string(status, "policy"), component->policy_name) == 0)
        policy_load(json_object_get(status, "state"), &component->state, NULL);
}

/* What was accepted of components that are refused now, as the last coordinator wrote it. */
static int recall(const json_t *object, JsonList *ret, InaError *error)
{
    const json_t *list = kube_get(object, "status.components"), *status;
    JsonList components = {.items = calloc(json_array_size(list) + 1, sizeof(Component))};
    Component *items = components.items;
    size_t i;
    if (!items)
        return ina_error_set(error, ENOMEM, "out of memory");
    json_array_foreach(list, i, status)
    {
        const json_t *accepted = json_object_get(status, "accepted");
        const char *name = kube_string(status, "name");
        if (!accepted || components.count == APPLICATION_COMPONENTS_MAX || application_find(&components, name) ||
            strcmp(kube_string(accepted, "name"), name) != 0 ||
            application_read_component(accepted, &items[components.count], NULL) < 0)
            continue;
        restore(&items[components.count++], object);
    }
    *ret = components;
    return 0;
}

int application_new(const json_t *object, Application **ret, InaError *error)
{
    Application *application = calloc(1, sizeof *application);
    if (!application)
        return ina_error_set(error, ENOMEM, "out of memory");
    application->object = json_incref((json_t *)object);
    int r = recall(object, &application->components, error);
    if (r == 0)
        r = application_update(application, object, error);
    if (r < 0) {
        application_free(application);
        return r;
    }
    *ret = application;
    return 0;
}

static void go_on(Component *component, const Component *before)
{
    if (strcmp(before->policy_name, component->policy_name) == 0)
        component->state = before->state;
    component->overloaded = before->overloaded;
    component->crowded = before->crowded;
    component->count = before->count;
    component->announced = before->announced;
    component->decided = before->decided;
    memcpy(component->reason, before->reason, sizeof component->reason);
}

int application_update(Application *application, const json_t *object, InaError *error)
{
    JsonList components, *before = &application->components;
    int r = application_read(json_object_get(object, "spec"), before, &components, application->refused, error);
    if (r < 0) { /* what is not known any more is not to be removed for that */
        snprintf(application->refused, sizeof application->refused, "out of memory");
        return r;
    }
    for (size_t i = 0; i < components.count; i++) {
        Component *component = &((Component *)components.items)[i];
        const Component *old = application_find(before, component->name);
        if (component->refused[0])
            continue; /* is the old one, or unknown */
        if (old && !old->untouched)
            go_on(component, old);
        else
            restore(component, object);
    }
    application_clear_components(before);
    application->components = components;
    json_incref((json_t *)object);
    json_decref(application->object);
    application->object = (json_t *)object;
    return 0;
}

Application *application_free(Application *application)
{
    if (!application)
        return NULL;
    application_clear_components(&application->components);
    json_decref(application->object);
    free(application);
    return NULL;
}

/* --- what it is ----------------------------------------------------------------------------- */

const char *application_name(const Application *application)
{
    return kube_name(application->object);
}

const char *application_namespace(const Application *application)
{
    const char *namespace = kube_namespace(application->object);
    return namespace[0] ? namespace : "default";
}

size_t application_components(const Application *application)
{
    return application->components.count;
}

const char *application_refused(const Application *application)
{
    return application->refused;
}

const char *application_queue(const Application *application, size_t component)
{
    const Component *components = application->components.items;
    return components[component].scaled ? components[component].queue : NULL;
}

bool application_count(const Application *application, const char *component, ApplicationCount *ret)
{
    const Component *found = application_find(&application->components, component);
    if (!found)
        return false;
    *ret = found->count;
    ret->refused = found->refused;
    if (!found->untouched)
        ret->maximum = (unsigned)found->maximum;
    return true;
}

/* --- requests ---------------------------------------------------------------------------------- */

int application_event(const json_t *object, const char *type, const char *reason, const char *message, double now,
                      ApplicationAction *ret)
{
    char time[KUBE_TIME_SIZE], suffix[6], second[6];
    const char *namespace = kube_namespace(object);
    ApplicationAction action = {.method = "POST", .event = true};
    kube_time((time_t)now, time);
    kube_make_suffix(suffix);
    kube_make_suffix(second);
    AUTO_FREE char *name = NULL;
    if (asprintf(&name, "%s.%s%s", kube_name(object), suffix, second) < 0 ||
        asprintf(&action.path, "/api/v1/namespaces/%s/events", namespace[0] ? namespace : "default") < 0)
        return -ENOMEM;
    action.body =
        json_pack("{s:s, s:s, s:{s:s, s:s}, s:{s:s, s:s, s:s, s:s, s:s, s:s}, s:s, s:s, s:s, s:{s:s}, s:s, s:s, s:i}",
                  "apiVersion", "v1", "kind", "Event", "metadata", "name", name, "namespace",
                  namespace[0] ? namespace : "default", "involvedObject", "apiVersion",
                  APPLICATION_GROUP "/" APPLICATION_VERSION, "kind", "Application", "name", kube_name(object),
                  "namespace", namespace[0] ? namespace : "default", "uid", kube_uid(object), "resourceVersion",
                  kube_string(object, "metadata.resourceVersion"), "reason", reason, "message", message, "type", type,
                  "source", "component", "coordinator", "firstTimestamp", time, "lastTimestamp", time, "count", 1);
    *ret = action;
    return action.body ? 0 : -ENOMEM;
}

void application_action_clear(ApplicationAction *action)
{
    free(action->path);
    json_decref(action->body);
    *action = (ApplicationAction){0};
}

void application_plan_clear(ApplicationPlan *plan)
{
    for (size_t i = 0; i < plan->n_actions; i++)
        application_action_clear(&plan->actions[i]);
    free(plan->actions);
    json_decref(plan->status);
    *plan = (ApplicationPlan){0};
}
