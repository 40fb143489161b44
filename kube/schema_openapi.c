/* schema_openapi.c - OpenAPI v2 (swagger 2.0) made from the tables: what
 * kubectl validates, explains and merges by. */
#include "schema_internal.h"

#include "openapi_internal.h"

#include "base/cleanup.h"

#include <string.h>

#define REFERENCE "#/definitions/"
#define QUANTITY_NAME "io.k8s.apimachinery.pkg.api.resource.Quantity"
#define INT_OR_STRING_NAME "io.k8s.apimachinery.pkg.util.intstr.IntOrString"
#define TIME_NAME "io.k8s.apimachinery.pkg.apis.meta.v1.Time"
#define MICRO_TIME_NAME "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime"

static json_t *reference(const char *name)
{
    return json_pack("{s:s+}", "$ref", REFERENCE, name);
}

static json_t *typed(const char *type, const char *format)
{
    return format ? json_pack("{s:s, s:s}", "type", type, "format", format) : json_pack("{s:s}", "type", type);
}

static json_t *plain_type(FieldType type, bool wide)
{
    switch (type) {
    case FIELD_STRING:
        return typed("string", NULL);
    case FIELD_INTEGER:
        return typed("integer", wide ? "int64" : "int32");
    case FIELD_NUMBER:
        return typed("number", NULL);
    case FIELD_BOOLEAN:
        return typed("boolean", NULL);
    case FIELD_BYTES:
        return typed("string", "byte");
    case FIELD_QUANTITY:
        return reference(QUANTITY_NAME);
    case FIELD_INT_OR_STRING:
        return reference(INT_OR_STRING_NAME);
    case FIELD_TIME:
        return reference(wide ? MICRO_TIME_NAME : TIME_NAME);
    default:
        return json_object(); /* anything */
    }
}

static json_t *field_type(const SchemaField *field)
{
    json_t *inner = field->schema ? reference(field->schema->name) : plain_type(field->element, field->wide);
    if (field->type == FIELD_OBJECT)
        return inner;
    if (field->type == FIELD_LIST)
        return json_pack("{s:s, s:o}", "type", "array", "items", inner);
    if (field->type == FIELD_MAP)
        return json_pack("{s:s, s:o}", "type", "object", "additionalProperties", inner);
    json_decref(inner);
    return plain_type(field->type, field->wide);
}

static void describe(json_t *property, const SchemaField *field)
{
    if (field->treatment == FIELD_REFUSED)
        json_object_set_new(property, "description", json_sprintf("Not supported by this cluster: %s.", field->why));
    else if (field->treatment == FIELD_IGNORED)
        json_object_set_new(property, "description", json_sprintf("Ignored by this cluster: %s.", field->why));
    if (field->merge_key) {
        json_object_set_new(property, "x-kubernetes-patch-strategy",
                            json_string(field->retain_keys ? "merge,retainKeys" : "merge"));
        if (*field->merge_key)
            json_object_set_new(property, "x-kubernetes-patch-merge-key", json_string(field->merge_key));
    } else if (field->retain_keys) {
        json_object_set_new(property, "x-kubernetes-patch-strategy", json_string("retainKeys"));
    }
}

static json_t *kinds_of(const Schema *schema)
{
    json_t *list = json_array();
    for (const SchemaKind *kind = schema_kinds; kind->kind; kind++)
        if (kind->schema == schema)
            json_array_append_new(
                list, json_pack("{s:s, s:s, s:s}", "group", kind->group, "kind", kind->kind, "version", kind->version));
    return list;
}

static void define(json_t *definitions, const Schema *schema)
{
    if (json_object_get(definitions, schema->name))
        return;
    json_t *definition = json_object(), *properties = json_object(), *required = json_array();
    json_object_set_new(definitions, schema->name, definition);
    json_object_set_new(definition, "type", json_string("object"));
    json_object_set_new(definition, "properties", properties);
    for (const SchemaField *field = schema->fields; field->name; field++) {
        json_t *property = field_type(field);
        describe(property, field);
        json_object_set_new(properties, field->name, property);
        if (field->required)
            json_array_append_new(required, json_string(field->name));
        if (field->schema)
            define(definitions, field->schema);
    }
    if (json_array_size(required) > 0)
        json_object_set(definition, "required", required);
    json_decref(required);
    AUTO_JSON json_t *kinds = kinds_of(schema);
    if (json_array_size(kinds) > 0)
        json_object_set(definition, "x-kubernetes-group-version-kind", kinds);
}

static void query_parameter(json_t *parameters, const char *name, const char *description)
{
    json_array_append_new(parameters, json_pack("{s:s, s:s, s:s, s:s, s:b}", "name", name, "in", "query", "type",
                                                "string", "description", description, "uniqueItems", 1));
}

/* What kubectl looks up in the paths: whether a patch of this kind can be tried dry, and be checked by the server. */
static json_t *path_of(const SchemaKind *kind)
{
    json_t *parameters = json_array();
    query_parameter(parameters, "dryRun", "All: nothing is stored.");
    query_parameter(parameters, "fieldValidation", "Strict: fields that are not known are refused; otherwise dropped.");
    json_t *answer = json_pack("{s:s, s:o}", "description", "OK", "schema", reference(kind->schema->name));
    json_t *patch = json_pack("{s:[s,s,s], s:[s], s:o, s:{s:o}, s:{s:s, s:s, s:s}}", "consumes",
                              "application/json-patch+json", "application/merge-patch+json",
                              "application/strategic-merge-patch+json", "produces", "application/json", "parameters",
                              parameters, "responses", "200", answer, "x-kubernetes-group-version-kind", "group",
                              kind->group, "kind", kind->kind, "version", kind->version);
    json_object_set_new(patch, "operationId", json_sprintf("patch%s%s", *kind->group ? "" : "CoreV1", kind->kind));
    json_object_set_new(patch, "x-kubernetes-action", json_string("patch"));
    return json_pack("{s:o}", "patch", patch);
}

static json_t *paths(void)
{
    json_t *all = json_object();
    for (const SchemaKind *kind = schema_kinds; kind->kind; kind++) {
        if (!kind->plural)
            continue;
        AUTO_FREE char *path = NULL;
        if (asprintf(&path, "/api%s%s/%s/%s%s/{name}", *kind->group ? "s/" : "", kind->group, kind->version,
                     kind->of_cluster ? "" : "namespaces/{namespace}/", kind->plural) < 0) {
            path = NULL;
            continue;
        }
        json_object_set_new(all, path, path_of(kind));
    }
    return all;
}

json_t *openapi_document(void)
{
    json_t *definitions = json_object();
    for (const SchemaKind *kind = schema_kinds; kind->kind; kind++)
        define(definitions, kind->schema);
    json_object_set_new(definitions, QUANTITY_NAME, typed("string", NULL));
    json_object_set_new(definitions, INT_OR_STRING_NAME, typed("string", "int-or-string"));
    json_object_set_new(definitions, TIME_NAME, typed("string", "date-time"));
    json_object_set_new(definitions, MICRO_TIME_NAME, typed("string", "date-time"));
    return json_pack("{s:s, s:{s:s, s:s}, s:o, s:o}", "swagger", "2.0", "info", "title", "Kubernetes", "version",
                     "v1.20.2", "paths", paths(), "definitions", definitions);
}

char *schema_openapi(size_t *ret_size)
{
    AUTO_JSON json_t *document = openapi_document();
    char *text = document ? json_dumps(document, JSON_COMPACT) : NULL;
    if (text)
        *ret_size = strlen(text);
    return text;
}
