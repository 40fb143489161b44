/* Reading the specification of an Application. */
#include "application_internal.h"

#include "base/cleanup.h"
#include "kube/object.h"

#include <errno.h>
#include <math.h>
#include <string.h>

static const JsonField runtime_fields[] = {
    {"name", JSON_TYPE_STRING, offsetof(Runtime, name), .flags = 0},
    {"image", JSON_TYPE_STRING, offsetof(Runtime, image), .flags = 0},
    {"workload", JSON_TYPE_STRING, offsetof(Runtime, workload), .flags = 0},
    {"template", JSON_TYPE_ANY, offsetof(Runtime, template), .flags = 0},
    {.name = NULL},
};

static const JsonField storage_fields[] = {
    {"name", JSON_TYPE_STRING, offsetof(Storage, name), .flags = JSON_REQUIRED},
    {"path", JSON_TYPE_STRING, offsetof(Storage, path), .flags = JSON_REQUIRED},
    {"claim", JSON_TYPE_STRING, offsetof(Storage, claim), .flags = 0},
    {"size", JSON_TYPE_STRING, offsetof(Storage, size), .flags = 0},
    {"hostPath", JSON_TYPE_STRING, offsetof(Storage, host_path), .flags = 0},
    {.name = NULL},
};

static const JsonField component_fields[] = {
    {"name", JSON_TYPE_STRING, offsetof(Component, name), .flags = JSON_REQUIRED},
    {"workload", JSON_TYPE_STRING, offsetof(Component, workload), .flags = 0},
    {"bundles", JSON_TYPE_STRING, offsetof(Component, bundles), .flags = 0},
    {"runtimes", JSON_TYPE_LIST, offsetof(Component, runtimes), .flags = JSON_REQUIRED, .fields = runtime_fields,
     .size = sizeof(Runtime)},
    {"replicas", JSON_TYPE_INTEGER, offsetof(Component, replicas), .minimum = 0, .maximum = APPLICATION_REPLICAS_MAX},
    {"maximum", JSON_TYPE_INTEGER, offsetof(Component, maximum), .minimum = 1, .maximum = APPLICATION_REPLICAS_MAX},
    {"quality", JSON_TYPE_ANY, offsetof(Component, quality), .flags = 0},
    {"resources", JSON_TYPE_ANY, offsetof(Component, resources), .flags = 0},
    {"storage", JSON_TYPE_LIST, offsetof(Component, storage), .fields = storage_fields, .size = sizeof(Storage)},
    {"configuration", JSON_TYPE_ANY, offsetof(Component, configuration), .flags = 0},
    {"template", JSON_TYPE_ANY, offsetof(Component, template), .flags = 0},
    {.name = NULL},
};

static const JsonField list_fields[] = {
    {"components", JSON_TYPE_LIST, 0, .flags = JSON_REQUIRED, .fields = component_fields, .size = sizeof(Component)},
    {.name = NULL},
};

/* drain, utilization and quiet are the policy queueing's keys, at hand. */
typedef struct Quality {
    char *queue, *policy;
    int64_t minimum, maximum;
    json_t *drain, *utilization, *quiet, *configuration;
} Quality;

static const JsonField quality_fields[] = {
    {"queue", JSON_TYPE_STRING, offsetof(Quality, queue), .flags = 0},
    {"policy", JSON_TYPE_STRING, offsetof(Quality, policy), .flags = 0},
    {"minimum", JSON_TYPE_INTEGER, offsetof(Quality, minimum), .minimum = 0, .maximum = APPLICATION_REPLICAS_MAX},
    {"maximum", JSON_TYPE_INTEGER, offsetof(Quality, maximum), .minimum = 1, .maximum = APPLICATION_REPLICAS_MAX},
    {"drain", JSON_TYPE_ANY, offsetof(Quality, drain), .flags = 0},
    {"utilization", JSON_TYPE_ANY, offsetof(Quality, utilization), .flags = 0},
    {"quiet", JSON_TYPE_ANY, offsetof(Quality, quiet), .flags = 0},
    {"configuration", JSON_TYPE_ANY, offsetof(Quality, configuration), .flags = 0},
    {.name = NULL},
};

static int configure(Component *component, const Quality *quality, InaError *error)
{
    const char *policy = quality->policy && quality->policy[0] ? quality->policy : "queueing";
    AUTO_JSON json_t *values = quality->configuration ? json_copy(quality->configuration) : json_object();
    if (!json_is_object(values))
        return ina_error_set(error, EINVAL, "configuration: must be an object with the keys of the policy");
    const struct {
        const char *key;
        json_t *value;
    } shorts[] = {{"drain", quality->drain}, {"utilization", quality->utilization}, {"quiet", quality->quiet}};
    for (size_t i = 0; i < sizeof shorts / sizeof *shorts; i++)
        if (shorts[i].value)
            json_object_set(values, shorts[i].key, shorts[i].value);
    int64_t minimum = json_object_get(component->quality, "minimum") ? quality->minimum : 1;
    int64_t maximum = quality->maximum > 0 ? quality->maximum : APPLICATION_MAXIMUM;
    snprintf(component->policy_name, sizeof component->policy_name, "%.31s", policy);
    component->maximum = maximum;
    component->scaled = true;
    return policy_configure(policy, values, (double)minimum, (double)maximum, &component->policy, error);
}

static int read_quality(Component *component, InaError *error)
{
    Quality quality = {0};
    int r = json_decode(component->quality, quality_fields, &quality, error);
    if (r == 0) {
        r = configure(component, &quality, error);
        component->queue = strdup(quality.queue ? quality.queue : "");
        if (r == 0 && !component->queue)
            r = ina_error_set(error, ENOMEM, "out of memory");
        json_clear(quality_fields, &quality);
    }
    if (r < 0)
        ina_error_wrap(error, "quality");
    return r;
}

static int check_name(const char *what, const char *name, InaError *error)
{
    const char *wrong = kube_check_dns_label(name);
    return wrong ? ina_error_set(error, EINVAL, "%s: \"%.80s\": %s", what, name, wrong) : 0;
}

static int check_runtimes(const Component *component, InaError *error)
{
    const Runtime *runtimes = component->runtimes.items;
    if (component->runtimes.count == 0 || component->runtimes.count > APPLICATION_RUNTIMES_MAX)
        return ina_error_set(error, EINVAL, "runtimes: there must be 1 to %u", APPLICATION_RUNTIMES_MAX);
    for (size_t i = 0; i < component->runtimes.count; i++) {
        const char *name = runtimes[i].name ? runtimes[i].name : "";
        if (name[0] && check_name("runtimes.name", name, error) < 0)
            return -EINVAL;
        if (runtimes[i].workload && check_name("runtimes.workload", runtimes[i].workload, error) < 0)
            return -EINVAL;
        if (!runtimes[i].image && !runtimes[i].template && !runtimes[i].workload)
            return ina_error_set(
                error, EINVAL, "runtimes[%zu]: needs an image, a template, or the name of a workload that there is", i);
        for (size_t k = 0; k < i; k++)
            if (strcmp(name, runtimes[k].name ? runtimes[k].name : "") == 0)
                return ina_error_set(error, EINVAL, "runtimes[%zu].name: \"%s\" is another one's too", i, name);
    }
    return 0;
}

static int check_storage(const Component *component, InaError *error)
{
    const Storage *storage = component->storage.items;
    if (component->storage.count > APPLICATION_STORAGE_MAX)
        return ina_error_set(error, EINVAL, "storage: there may be %u at most", APPLICATION_STORAGE_MAX);
    for (size_t i = 0; i < component->storage.count; i++) {
        if (check_name("storage.name", storage[i].name, error) < 0)
            return -EINVAL;
        if (!!storage[i].claim + !!storage[i].size + !!storage[i].host_path > 1)
            return ina_error_set(error, EINVAL, "storage[%zu]: takes one of claim, size and hostPath", i);
        for (size_t k = 0; k < i; k++)
            if (strcmp(storage[i].name, storage[k].name) == 0)
                return ina_error_set(error, EINVAL, "storage[%zu].name: \"%s\" is another one's too", i,
                                     storage[i].name);
    }
    return 0;
}

/* {"processor": {"service-time-us": 3000}}: becomes CONFIG_PROCESSOR_SERVICE_TIME_US. */
static int check_configuration(const Component *component, InaError *error)
{
    const char *part, *key;
    const json_t *values, *value;
    if (component->configuration && !json_is_object(component->configuration))
        return ina_error_set(error, EINVAL, "configuration: must be {\"component\": {\"key\": value}}");
    json_object_foreach(component->configuration, part, values)
    {
        if (!json_is_object(values))
            return ina_error_set(error, EINVAL, "configuration.%.60s: must be an object", part);
        json_object_foreach((json_t *)values, key,
                            value) if (json_is_object(value) || json_is_array(value) ||
                                       json_is_null(value)) return ina_error_set(error, EINVAL,
                                                                                 "configuration.%.60s.%.60s: must be a "
                                                                                 "text, a number or a boolean",
                                                                                 part, key);
    }
    return 0;
}

static int check_component(Component *component, InaError *error)
{
    const char *workload = component->workload ? component->workload : "ReplicationController";
    component->deployment = strcmp(workload, "Deployment") == 0;
    if (!component->deployment && strcmp(workload, "ReplicationController") != 0)
        return ina_error_set(error, EINVAL, "workload: \"%.40s\" is neither ReplicationController nor Deployment",
                             workload);
    if (component->resources && !json_is_object(component->resources))
        return ina_error_set(error, EINVAL, "resources: must be an object with requests and limits");
    if (component->template && !json_is_object(component->template))
        return ina_error_set(error, EINVAL, "template: must be an object with metadata and spec of pods");
    int r;
    if ((r = check_name("name", component->name, error)) < 0 || (r = check_runtimes(component, error)) < 0 ||
        (r = check_storage(component, error)) < 0 || (r = check_configuration(component, error)) < 0)
        return r;
    if (component->quality)
        return component->replicas > 0
                   ? ina_error_set(error, EINVAL, "replicas: a component with a quality has no fixed number")
                   : read_quality(component, error);
    if (component->maximum == 0)
        component->maximum = APPLICATION_MAXIMUM;
    if (component->replicas > component->maximum)
        return ina_error_set(error, EINVAL, "replicas: %lld is above maximum, %lld", (long long)component->replicas,
                             (long long)component->maximum);
    return 0;
}

int application_read(const json_t *spec, JsonList *ret_components, InaError *error)
{
    JsonList list = {0};
    int r = json_decode(spec, list_fields, &list, error);
    if (r < 0) {
        ina_error_wrap(error, "spec");
        return r;
    }
    Component *components = list.items;
    if (list.count > APPLICATION_COMPONENTS_MAX)
        r = ina_error_set(error, EINVAL, "spec.components: there may be %u at most", APPLICATION_COMPONENTS_MAX);
    for (size_t i = 0; r == 0 && i < list.count; i++) {
        r = check_component(&components[i], error);
        for (size_t k = 0; r == 0 && k < i; k++)
            if (strcmp(components[i].name, components[k].name) == 0)
                r = ina_error_set(error, EINVAL, "name: \"%s\" is another component's too", components[i].name);
        if (r < 0)
            ina_error_wrap(error, "spec.components[%zu]", i);
    }
    if (r < 0) {
        application_clear_components(&list);
        return r;
    }
    *ret_components = list;
    return 0;
}

void application_clear_components(JsonList *components)
{
    Component *items = components->items;
    for (size_t i = 0; i < components->count; i++)
        free(items[i].queue);
    json_clear(list_fields, components);
}
