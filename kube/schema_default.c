/* schema_default.c - defaults: those of the tables, and those that depend on
 * other fields (Kubernetes' pkg/apis/.../defaults.go). */
#include "schema_internal.h"

#include "base/cleanup.h"

#include <sodium.h>
#include <string.h>

static void fill_object(const Schema *schema, json_t *object);

/* The zero value of a field that is always there. */
static json_t *zero(const SchemaField *field)
{
    switch (field->type) {
    case FIELD_STRING:
        return json_string("");
    case FIELD_INTEGER:
        return json_integer(0);
    case FIELD_BOOLEAN:
        return json_false();
    case FIELD_QUANTITY:
        return json_string("0");
    case FIELD_OBJECT:
        return json_object();
    default:
        return json_null();
    }
}

static void fill_field(const SchemaField *field, json_t *object)
{
    size_t i;
    const char *key;
    json_t *value = json_object_get(object, field->name), *item;
    if (!value && (field->fallback || field->zero == ZERO_FILLED)) {
        value = field->fallback ? schema_fallback(field) : zero(field);
        if (json_object_set_new(object, field->name, value) < 0)
            return;
    }
    if (!field->schema)
        return;
    if (field->type == FIELD_OBJECT && json_is_object(value))
        fill_object(field->schema, value);
    else if (field->type == FIELD_LIST)
        json_array_foreach(value, i, item) fill_object(field->schema, item);
    else if (field->type == FIELD_MAP)
        json_object_foreach(value, key, item) fill_object(field->schema, item);
}

static void fill_object(const Schema *schema, json_t *object)
{
    if (!json_is_object(object))
        return;
    for (const SchemaField *field = schema->fields; field->name; field++)
        fill_field(field, object);
    default_object(schema, object);
}

void schema_default(const Schema *schema, json_t *object)
{
    const SchemaKind *kind = schema_kind(schema);
    if (kind && kind->prepare)
        kind->prepare(object);
    fill_object(schema, object);
    if (kind && kind->finish)
        kind->finish(object);
}

/* --- of parts of objects ------------------------------------------------------------------------ */

static bool absent(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    return !value || json_is_null(value);
}

/* Always for ":latest" and for no tag, as container runtimes read a name. */
static bool is_latest(const char *image)
{
    if (*image == '\0' || strchr(image, '@'))
        return false;
    const char *slash = strrchr(image, '/');
    const char *tag = strchr(slash ? slash : image, ':');
    return !tag || strcmp(tag, ":latest") == 0;
}

static void default_container(json_t *container)
{
    if (absent(container, "imagePullPolicy"))
        json_object_set_new(container, "imagePullPolicy",
                            json_string(is_latest(kube_string(container, "image")) ? "Always" : "IfNotPresent"));
}

static void default_volume(json_t *volume)
{
    if (json_object_size(volume) <= 1 && !absent(volume, "name"))
        json_object_set_new(volume, "emptyDir", json_object());
}

/* On the machine's network a container's ports are the machine's. */
static void default_host_ports(json_t *containers)
{
    size_t i, j;
    json_t *container, *port;
    json_array_foreach(containers, i, container)
        json_array_foreach(json_object_get(container, "ports"), j, port) if (absent(port, "hostPort"))
            json_object_set(port, "hostPort", json_object_get(port, "containerPort"));
}

static void default_pod_spec(json_t *spec)
{
    if (kube_boolean(spec, "hostNetwork")) {
        default_host_ports(json_object_get(spec, "containers"));
        default_host_ports(json_object_get(spec, "initContainers"));
    }
    /* One name for two fields, the older kept for old clients. */
    const json_t *account = json_object_get(spec, "serviceAccountName");
    if (account)
        json_object_set(spec, "serviceAccount", (json_t *)account);
    else if (!absent(spec, "serviceAccount"))
        json_object_set(spec, "serviceAccountName", json_object_get(spec, "serviceAccount"));
}

static void default_service_port(json_t *port)
{
    const json_t *target = json_object_get(port, "targetPort");
    if (!target || schema_is_zero(target))
        json_object_set(port, "targetPort", json_object_get(port, "port"));
}

static void default_service_spec(json_t *spec)
{
    const char *type = kube_string(spec, "type");
    if ((strcmp(type, "NodePort") == 0 || strcmp(type, "LoadBalancer") == 0) && absent(spec, "externalTrafficPolicy"))
        json_object_set_new(spec, "externalTrafficPolicy", json_string("Cluster"));
}

static void default_strategy(json_t *strategy)
{
    if (strcmp(kube_string(strategy, "type"), "RollingUpdate") != 0)
        return;
    if (absent(strategy, "rollingUpdate"))
        json_object_set_new(strategy, "rollingUpdate", json_object());
    fill_object(&schema_rolling_update_deployment, json_object_get(strategy, "rollingUpdate"));
}

static void default_set_strategy(json_t *strategy)
{
    if (absent(strategy, "type")) {
        json_object_set_new(strategy, "type", json_string("RollingUpdate"));
        if (absent(strategy, "rollingUpdate"))
            json_object_set_new(strategy, "rollingUpdate", json_object());
    }
    json_t *rolling = json_object_get(strategy, "rollingUpdate");
    if (strcmp(kube_string(strategy, "type"), "RollingUpdate") == 0 && rolling && absent(rolling, "partition"))
        json_object_set_new(rolling, "partition", json_integer(0));
}

/* Templates of claims are claims: they say so. */
static void default_set_spec(json_t *spec)
{
    size_t i;
    json_t *claim;
    json_array_foreach(json_object_get(spec, "volumeClaimTemplates"), i, claim)
    {
        json_object_set_new(claim, "apiVersion", json_string("v1"));
        json_object_set_new(claim, "kind", json_string("PersistentVolumeClaim"));
    }
}

void default_object(const Schema *schema, json_t *object)
{
    static const struct {
        const Schema *schema;
        void (*fill)(json_t *object);
    } fills[] = {
        {&schema_container, default_container},
        {&schema_volume, default_volume},
        {&schema_pod_spec, default_pod_spec},
        {&schema_service_port, default_service_port},
        {&schema_service_spec, default_service_spec},
        {&schema_deployment_strategy, default_strategy},
        {&schema_stateful_set_update_strategy, default_set_strategy},
        {&schema_stateful_set_spec, default_set_spec},
    };
    for (size_t i = 0; i < sizeof fills / sizeof *fills; i++)
        if (fills[i].schema == schema)
            fills[i].fill(object);
}

/* --- of kinds ------------------------------------------------------------------------------------ */

void default_controller(json_t *object)
{
    const json_t *labels = kube_get(object, "spec.template.metadata.labels");
    if (json_object_size(labels) == 0)
        return;
    if (json_object_size(kube_get(object, "spec.selector")) == 0)
        kube_set(object, "spec.selector", json_deep_copy(labels));
    if (json_object_size(kube_labels(object)) == 0)
        kube_set(object, "metadata.labels", json_deep_copy(labels));
}

/* Requests are the limits where they are not given: in pods, not in templates. */
static void default_requests(json_t *containers)
{
    size_t i;
    json_t *container, *value;
    const char *name;
    json_array_foreach(containers, i, container)
    {
        json_t *resources = json_object_get(container, "resources");
        json_t *limits = json_object_get(resources, "limits");
        if (json_object_size(limits) > 0 && !json_is_object(json_object_get(resources, "requests")))
            json_object_set_new(resources, "requests", json_object());
        json_t *requests = json_object_get(resources, "requests");
        json_object_foreach(limits, name, value) if (!json_object_get(requests, name))
            json_object_set(requests, name, value);
    }
}

void default_pod(json_t *object)
{
    json_t *spec = json_object_get(object, "spec");
    default_requests(json_object_get(spec, "containers"));
    default_requests(json_object_get(spec, "initContainers"));
    if (json_is_object(spec) && absent(spec, "enableServiceLinks"))
        json_object_set_new(spec, "enableServiceLinks", json_true());
}

void default_secret(json_t *object)
{
    const char *name;
    json_t *value, *texts = json_object_get(object, "stringData");
    if (!json_is_object(texts))
        return;
    if (!json_is_object(json_object_get(object, "data")))
        json_object_set_new(object, "data", json_object());
    json_object_foreach(texts, name, value)
    {
        if (!json_is_string(value))
            continue;
        size_t size = sodium_base64_ENCODED_LEN(json_string_length(value), sodium_base64_VARIANT_ORIGINAL);
        AUTO_FREE char *encoded = malloc(size);
        if (encoded && sodium_bin2base64(encoded, size, (const unsigned char *)json_string_value(value),
                                         json_string_length(value), sodium_base64_VARIANT_ORIGINAL))
            json_object_set_new(json_object_get(object, "data"), name, json_string(encoded));
    }
    json_object_del(object, "stringData");
}

void default_node(json_t *object)
{
    const json_t *capacity = kube_get(object, "status.capacity");
    if (json_is_object(capacity) && !kube_get(object, "status.allocatable"))
        kube_set(object, "status.allocatable", json_deep_copy(capacity));
}
