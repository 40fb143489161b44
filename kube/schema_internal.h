/* schema_internal.h - what the files of the schema share. */
#pragma once

#include "schema_tables.h"

typedef struct Check Check;

/* One kind that the API takes. */
typedef struct SchemaKind {
    const char *group, *version, *kind;
    const Schema *schema;
    const char *plural; /* in paths; NULL: not an object of its own */
    bool of_cluster;    /* in no namespace */
    /* NULL: nothing beyond the tables. Of the whole object, before and after the tables' defaults were filled in. */
    void (*prepare)(json_t *object);
    void (*finish)(json_t *object);
    /* NULL: nothing beyond the tables. */
    void (*check)(Check *check, const json_t *object, const json_t *old);
} SchemaKind;

extern const SchemaKind schema_kinds[];              /* ends with kind NULL */
const SchemaKind *schema_kind(const Schema *schema); /* NULL: none of the kinds */

#define SCHEMA_PATH_MAX 512u

/* A place in an object: "spec.containers[0].name". */
typedef struct Path {
    size_t length;
    char text[SCHEMA_PATH_MAX];
} Path;

/* Appends ".NAME" (or "[INDEX]", "[KEY]") and returns the length to go back to. */
size_t path_field(Path *path, const char *name);
size_t path_index(Path *path, size_t index);
size_t path_key(Path *path, const char *key);
void path_back(Path *path, size_t length);

/* Whether a value is the zero value of its type: "", 0, false, [], {}, null. */
bool schema_is_zero(const json_t *value);
/* The default as JSON; NULL: the table is wrong. */
json_t *schema_fallback(const SchemaField *field);

/* Types throughout; NULL: right, else what Kubernetes' decoder says: "v1.Pod.Spec: v1.PodSpec.NodeName: ReadString:
 * expects ...". malloc'ed. */
char *schema_decode_error(const Schema *schema, json_t *object);

/* --- defaults that tables cannot say (schema_default_kinds.c) ------------------------------------------------- */
void default_object(const Schema *schema, json_t *object); /* after the table's own */
void default_controller(json_t *object);                   /* a replication controller's selector and labels */
void default_pod(json_t *object);
void default_secret(json_t *object);
void default_node(json_t *object);

/* --- validation --------------------------------------------------------------------------------------------------- */
struct Check {
    KubeCauses *causes;
    Path path; /* where it is now; empty before and after each check */
};

#define INVALID "FieldValueInvalid"
#define REQUIRED_CAUSE "FieldValueRequired"
#define UNSUPPORTED "FieldValueNotSupported"
#define FORBIDDEN "FieldValueForbidden"
#define DUPLICATE "FieldValueDuplicate"

/* Causes at the path, or at its field `name` (NULL: at the path itself). */
void check_required(Check *check, const char *name, const char *detail); /* detail "" or NULL: none */
void check_forbidden(Check *check, const char *name, const char *detail);
void check_invalid(Check *check, const char *name, const json_t *value, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void check_invalid_text(Check *check, const char *name, const char *value, const char *detail);
void check_duplicate(Check *check, const char *name, const json_t *value);
void check_unsupported(Check *check, const char *name, const json_t *value, const char *const *supported);
/* The value as messages show it: quoted text, numbers, {...}. malloc'ed. */
char *check_show(const json_t *value);

/* Common checks of a field of `object` at the path. */
void check_not_negative(Check *check, const json_t *object, const char *name);
void check_labels(Check *check, const json_t *object, const char *name);
void check_label_selector(Check *check, const json_t *selector); /* at the path */
void check_immutable(Check *check, const char *name, const json_t *value, const json_t *old);
/* The table's allowed values and required lists, in all of the object. */
void check_values(Check *check, const Schema *schema, const json_t *object);

/* --- of kinds ------------------------------------------------------------------------------------------------------
 */
void check_template_metadata(Check *check, const json_t *metadata);
void check_pod(Check *check, const json_t *object, const json_t *old);
void check_pod_spec(Check *check, const json_t *spec);
void check_tolerations(Check *check, const json_t *spec);
void check_containers(Check *check, const json_t *spec, const char *name);
void check_volumes(Check *check, const json_t *spec);
void check_security_context(Check *check, const json_t *container);
void check_pod_security_context(Check *check, const json_t *spec);
void check_resources(Check *check, const json_t *resources);
void check_port_name(Check *check, const char *field, const char *name);
void check_port_number(Check *check, const json_t *object, const char *name);
void check_port_or_name(Check *check, const json_t *object, const char *name);
void check_config_key(Check *check, const char *field, const char *key); /* field NULL: at the path */
void check_field_reference(Check *check, const json_t *reference, bool of_variable);
void check_resource_reference(Check *check, const json_t *reference, bool of_variable);
void check_relative_path(Check *check, const char *field, const char *path); /* "" is right */
void check_replication_controller(Check *check, const json_t *object, const json_t *old);
void check_deployment(Check *check, const json_t *object, const json_t *old);
void check_replica_set(Check *check, const json_t *object, const json_t *old);
void check_stateful_set(Check *check, const json_t *object, const json_t *old);
void check_scale(Check *check, const json_t *object, const json_t *old);
void check_service(Check *check, const json_t *object, const json_t *old);
void check_endpoints(Check *check, const json_t *object, const json_t *old);
void check_binding(Check *check, const json_t *object, const json_t *old);
void check_namespace(Check *check, const json_t *object, const json_t *old);
void check_node(Check *check, const json_t *object, const json_t *old);
void check_event(Check *check, const json_t *object, const json_t *old);
void check_config_map(Check *check, const json_t *object, const json_t *old);
void check_secret(Check *check, const json_t *object, const json_t *old);
void check_lease(Check *check, const json_t *object, const json_t *old);
void check_volume(Check *check, const json_t *object, const json_t *old);
void check_claim(Check *check, const json_t *object, const json_t *old);
void check_claim_spec(Check *check, const json_t *spec);
void check_application(Check *check, const json_t *object, const json_t *old);
void check_storage_class(Check *check, const json_t *object, const json_t *old);
