#include "application_internal.h"

#include "base/cleanup.h"
#include "kube/client.h"
#include "kube/object.h"

#include <errno.h>
#include <math.h>
#include <string.h>

/* --- life ----------------------------------------------------------------------------- */

static const json_t *component_status(const json_t *object, const char *name)
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
    const json_t *status = component_status(object, component->name);
    component->announced = (unsigned)kube_integer(status, "wanted", 0);
    component->decided = kube_integer(status, "decidedAt", 0);
    snprintf(component->reason, sizeof component->reason, "%s", kube_string(status, "reason"));
    component->overloaded = kube_boolean(status, "overloaded");
    component->crowded = kube_boolean(status, "crowded");
    if (component->scaled && strcmp(kube_string(status, "policy"), component->policy_name) == 0)
        policy_load(json_object_get(status, "state"), &component->state, NULL);
}

int application_new(const json_t *object, Application **ret, InaError *error)
{
    JsonList components;
    int r = application_read(json_object_get(object, "spec"), &components, error);
    if (r < 0)
        return r;
    Application *application = calloc(1, sizeof *application);
    if (!application) {
        application_clear_components(&components);
        return ina_error_set(error, ENOMEM, "out of memory");
    }
    application->object = json_incref((json_t *)object);
    application->components = components;
    for (size_t i = 0; i < components.count; i++)
        restore(&((Component *)components.items)[i], object);
    *ret = application;
    return 0;
}

static Component *find(const Application *application, const char *name)
{
    Component *components = application->components.items;
    for (size_t i = 0; i < application->components.count; i++)
        if (strcmp(components[i].name, name) == 0)
            return &components[i];
    return NULL;
}

int application_update(Application *application, const json_t *object, InaError *error)
{
    JsonList components;
    int r = application_read(json_object_get(object, "spec"), &components, error);
    if (r < 0)
        return r;
    for (size_t i = 0; i < components.count; i++) {
        Component *component = &((Component *)components.items)[i];
        const Component *before = find(application, component->name);
        if (!before) {
            restore(component, object);
            continue;
        }
        if (strcmp(before->policy_name, component->policy_name) == 0)
            component->state = before->state;
        component->overloaded = before->overloaded;
        component->crowded = before->crowded;
        component->count = before->count;
        component->announced = before->announced;
        component->decided = before->decided;
        memcpy(component->reason, before->reason, sizeof component->reason);
    }
    application_clear_components(&application->components);
    application->components = components;
    json_decref(application->object);
    application->object = json_incref((json_t *)object);
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

const char *application_queue(const Application *application, size_t component)
{
    const Component *components = application->components.items;
    return components[component].scaled ? components[component].queue : NULL;
}

bool application_count(const Application *application, const char *component, ApplicationCount *ret)
{
    const Component *found = find(application, component);
    if (!found)
        return false;
    *ret = found->count;
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
