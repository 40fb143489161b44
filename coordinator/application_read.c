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

static void clear_component(Component *component)
{
    free(component->queue);
    json_decref(component->declared);
    json_clear(component_fields, component);
    *component = (Component){0};
}

int application_read_component(const json_t *declared, Component *ret, InaError *error)
{
    Component component = {0};
    int r = json_decode(declared, component_fields, &component, error);
    if (r == 0)
        r = check_component(&component, error);
    if (r < 0) {
        clear_component(&component);
        return r;
    }
    component.declared = json_incref((json_t *)declared);
    *ret = component;
    return 0;
}

/* --- what is declared, and what was accepted before ------------------------------------------- */

typedef struct Reader {
    JsonList *before; /* Component: accepted earlier; what stays is taken from it */
    JsonList read;    /* Component */
    size_t room;      /* of `read` */
    char *refused;    /* INA_ERROR_MESSAGE_MAX: the first refusal */
} Reader;

/* A message that was cut within a character is no JSON text any more. */
static void make_text(char *message)
{
    json_t *text = json_string(message);
    for (char *c = message; !text && *c; c++)
        if ((unsigned char)*c >= 0x80)
            *c = '?';
    json_decref(text);
}

static void refuse(Reader *reader, InaError *error)
{
    make_text(error->message);
    if (!reader->refused[0])
        memcpy(reader->refused, error->message, INA_ERROR_MESSAGE_MAX);
}

Component *application_find(const JsonList *components, const char *name)
{
    Component *items = components->items;
    for (size_t i = 0; i < components->count; i++)
        if (items[i].name && strcmp(items[i].name, name) == 0)
            return &items[i];
    return NULL;
}

static void append(Reader *reader, Component *component)
{
    Component *items = reader->read.items;
    if (reader->read.count < reader->room)
        items[reader->read.count++] = *component;
    else
        clear_component(component);
    *component = (Component){0};
}

/* A component that cannot be read stays as it was accepted; or, if nothing is known of that, as it runs. */
static int keep(Reader *reader, const char *name, const InaError *refusal, InaError *error)
{
    Component unknown = {.untouched = true}, *kept = application_find(reader->before, name);
    if (application_find(&reader->read, name) || kube_check_dns_label(name))
        return 0; /* which one it is is not known */
    if (!kept) {
        kept = &unknown;
        kept->name = strdup(name);
        if (!kept->name)
            return ina_error_set(error, ENOMEM, "out of memory");
    }
    memcpy(kept->refused, refusal->message, sizeof kept->refused);
    append(reader, kept);
    return 0;
}

static int read_one(Reader *reader, const json_t *declared, size_t index, InaError *error)
{
    Component component;
    InaError refusal = {.message = ""};
    int r = application_read_component(declared, &component, &refusal);
    if (r == 0 && !application_find(&reader->read, component.name)) {
        append(reader, &component);
        return 0;
    }
    if (r == 0) {
        ina_error_set(&refusal, EINVAL, "name: \"%s\" is another component's too", component.name);
        clear_component(&component);
    } else if (r == -ENOMEM) {
        *error = refusal;
        return r;
    }
    ina_error_wrap(&refusal, "spec.components[%zu]", index);
    refuse(reader, &refusal);
    return keep(reader, kube_string(declared, "name"), &refusal, error);
}

/* What is wrong beside the components themselves. */
static void check_spec(Reader *reader, const json_t *spec)
{
    InaError error = {.message = ""};
    const json_t *list = json_object_get(spec, "components"), *value;
    const char *key;
    json_object_foreach((json_t *)spec, key, value)
    {
        if (strcmp(key, "components") != 0)
            ina_error_set(&error, EINVAL, "spec.%.80s: there is no such field; there is components", key);
    }
    if (!json_is_array(list))
        ina_error_set(&error, EINVAL, "spec.components: must be a list of components");
    else if (json_array_size(list) > APPLICATION_COMPONENTS_MAX)
        ina_error_set(&error, EINVAL, "spec.components: there may be %u at most", APPLICATION_COMPONENTS_MAX);
    if (error.message[0])
        refuse(reader, &error);
}

/* Nothing is removed before all that is declared can be read: what is missing may be what cannot. */
static void keep_others(Reader *reader)
{
    Component *before = reader->before->items;
    for (size_t i = 0; reader->refused[0] && i < reader->before->count; i++) {
        if (!before[i].name || before[i].untouched || application_find(&reader->read, before[i].name))
            continue;
        snprintf(before[i].refused, sizeof before[i].refused, "%s",
                 "it is not declared any more, and is removed when all that is declared can be read");
        append(reader, &before[i]);
    }
}

/* Those that were taken. */
static void close_gaps(JsonList *components)
{
    Component *items = components->items;
    size_t n = 0;
    for (size_t i = 0; i < components->count; i++)
        if (items[i].name)
            items[n++] = items[i];
    components->count = n;
}

int application_read(const json_t *spec, JsonList *before, JsonList *ret_components,
                     char ret_refused[INA_ERROR_MESSAGE_MAX], InaError *error)
{
    const json_t *list = json_object_get(spec, "components"), *declared;
    Reader reader = {.before = before, .refused = ret_refused};
    size_t i;
    int r = 0;
    ret_refused[0] = '\0';
    reader.room = json_array_size(list) + before->count;
    if (reader.room > APPLICATION_COMPONENTS_MAX)
        reader.room = APPLICATION_COMPONENTS_MAX;
    reader.read.items = calloc(reader.room + 1, sizeof(Component));
    if (!reader.read.items)
        return ina_error_set(error, ENOMEM, "out of memory");
    json_array_foreach(list, i, declared)
    {
        if (r == 0 && i < APPLICATION_COMPONENTS_MAX)
            r = read_one(&reader, declared, i, error);
    }
    check_spec(&reader, spec);
    if (r < 0) {
        close_gaps(before);
        application_clear_components(&reader.read);
        return r;
    }
    keep_others(&reader);
    *ret_components = reader.read;
    return 0;
}

void application_clear_components(JsonList *components)
{
    Component *items = components->items;
    for (size_t i = 0; i < components->count; i++)
        clear_component(&items[i]);
    free(items);
    *components = (JsonList){0};
}
