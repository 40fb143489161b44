/* schema.c - the kinds, and finding kinds and fields. */
#include "schema_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What an application looks like is its coordinator's matter: he checks it and says so in the status. */
static const SchemaField application_fields[] = {
    STRING("apiVersion"), STRING("kind"), OBJECT("metadata", &schema_object_meta, FILLED),
    ANY("spec"),          ANY("status"),  END,
};
static const Schema schema_application = {"org.inaetics.v1.Application", application_fields};

#define KIND(group_, version_, kind_, schema_, ...)                                                                    \
    {                                                                                                                  \
        .group = (group_), .version = (version_), .kind = (kind_), .schema = (schema_), __VA_ARGS__                    \
    }

const SchemaKind schema_kinds[] = {
    KIND("", "v1", "Namespace", &schema_namespace, .plural = "namespaces", .of_cluster = true,
         .check = check_namespace),
    KIND("", "v1", "Node", &schema_node, .plural = "nodes", .of_cluster = true, .prepare = default_node,
         .check = check_node),
    KIND("", "v1", "Pod", &schema_pod, .plural = "pods", .finish = default_pod, .check = check_pod),
    KIND("", "v1", "ReplicationController", &schema_replication_controller, .plural = "replicationcontrollers",
         .prepare = default_controller, .check = check_replication_controller),
    KIND("", "v1", "Service", &schema_service, .plural = "services", .check = check_service),
    KIND("", "v1", "Endpoints", &schema_endpoints, .plural = "endpoints", .check = check_endpoints),
    KIND("", "v1", "Event", &schema_event, .plural = "events", .check = check_event),
    KIND("", "v1", "ConfigMap", &schema_config_map, .plural = "configmaps", .check = check_config_map),
    KIND("", "v1", "Secret", &schema_secret, .plural = "secrets", .prepare = default_secret, .check = check_secret),
    KIND("", "v1", "ServiceAccount", &schema_service_account, .plural = "serviceaccounts"),
    KIND("", "v1", "PersistentVolume", &schema_persistent_volume, .plural = "persistentvolumes", .of_cluster = true,
         .check = check_volume),
    KIND("", "v1", "PersistentVolumeClaim", &schema_persistent_volume_claim, .plural = "persistentvolumeclaims",
         .check = check_claim),
    KIND("", "v1", "Binding", &schema_binding, .check = check_binding),
    KIND("apps", "v1", "Deployment", &schema_deployment, .plural = "deployments", .check = check_deployment),
    KIND("apps", "v1", "ReplicaSet", &schema_replica_set, .plural = "replicasets", .check = check_replica_set),
    KIND("apps", "v1", "StatefulSet", &schema_stateful_set, .plural = "statefulsets", .check = check_stateful_set),
    KIND("apps", "v1", "ControllerRevision", &schema_controller_revision, .plural = "controllerrevisions"),
    KIND("autoscaling", "v1", "Scale", &schema_scale, .check = check_scale),
    KIND("coordination.k8s.io", "v1", "Lease", &schema_lease, .plural = "leases", .check = check_lease),
    KIND("policy", "v1beta1", "Eviction", &schema_eviction),
    KIND("policy", "v1", "Eviction", &schema_eviction),
    KIND("storage.k8s.io", "v1", "StorageClass", &schema_storage_class, .plural = "storageclasses", .of_cluster = true,
         .check = check_storage_class),
    KIND("inaetics.org", "v1", "Application", &schema_application, .plural = "applications",
         .check = check_application),
    KIND("", "v1", "DeleteOptions", &schema_delete_options),
    KIND("", "v1", "Status", &schema_status),
    {.kind = NULL},
};

const Schema *schema_find(const char *group, const char *version, const char *kind)
{
    for (const SchemaKind *entry = schema_kinds; entry->kind; entry++)
        if (strcmp(entry->kind, kind) == 0 && strcmp(entry->group, group) == 0 && strcmp(entry->version, version) == 0)
            return entry->schema;
    return NULL;
}

const SchemaKind *schema_kind(const Schema *schema)
{
    for (const SchemaKind *entry = schema_kinds; entry->kind; entry++)
        if (entry->schema == schema)
            return entry;
    return NULL;
}

const SchemaField *schema_field(const Schema *schema, const char *name)
{
    for (const SchemaField *field = schema->fields; field->name; field++)
        if (strcmp(field->name, name) == 0)
            return field;
    return NULL;
}

/* --- places --------------------------------------------------------------------------------------------- */

static size_t append(Path *path, const char *before, const char *text, const char *after)
{
    size_t length = path->length;
    int added = snprintf(path->text + length, sizeof path->text - length, "%s%s%s", before, text, after);
    path->length = added < 0 ? length : length + (size_t)added;
    if (path->length >= sizeof path->text)
        path->length = sizeof path->text - 1;
    return length;
}

size_t path_field(Path *path, const char *name)
{
    return append(path, path->length ? "." : "", name, "");
}

size_t path_key(Path *path, const char *key)
{
    return append(path, "[", key, "]");
}

size_t path_index(Path *path, size_t index)
{
    char text[24];
    snprintf(text, sizeof text, "%zu", index);
    return append(path, "[", text, "]");
}

void path_back(Path *path, size_t length)
{
    path->length = length;
    path->text[length] = '\0';
}

/* --- values ----------------------------------------------------------------------------------------------- */

bool schema_is_zero(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_NULL:
    case JSON_FALSE:
        return true;
    case JSON_STRING:
        return json_string_length(value) == 0;
    case JSON_INTEGER:
        return json_integer_value(value) == 0;
    case JSON_REAL:
        return json_real_value(value) == 0;
    case JSON_ARRAY:
        return json_array_size(value) == 0;
    case JSON_OBJECT:
        return json_object_size(value) == 0;
    default:
        return false;
    }
}

/* Tables hold texts, whole numbers, true and {} only. */
json_t *schema_fallback(const SchemaField *field)
{
    const char *text = field->fallback;
    switch (*text) {
    case '"':
        return json_stringn(text + 1, strlen(text) - 2);
    case '{':
        return json_object();
    case 't':
        return json_true();
    default:
        return json_integer(strtoll(text, NULL, 10));
    }
}
