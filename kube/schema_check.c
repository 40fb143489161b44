/* schema_check.c - validation: how causes are worded, and what kinds share. The
 * words are those of Kubernetes' pkg/apis/.../validation. */
#include "schema_internal.h"

#include "base/cleanup.h"
#include "selector.h"

#include <ctype.h>
#include <stdarg.h>
#include <string.h>

#define ANNOTATIONS_MAX (256u * 1024u)

/* --- causes ---------------------------------------------------------------------------------------- */

char *check_show(const json_t *value)
{
    if (!value || json_is_null(value))
        return strdup("null");
    if (json_is_string(value))
        return kube_quote(json_string_value(value));
    return json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
}

static void cause(Check *check, const char *type, const char *name, const char *text, const char *shown,
                  const char *detail)
{
    size_t length = name ? path_field(&check->path, name) : check->path.length;
    kube_cause(check->causes, type, check->path.text, "%s%s%s%s%s", text, shown ? ": " : "", shown ? shown : "",
               detail && *detail ? ": " : "", detail ? detail : "");
    path_back(&check->path, length);
}

void check_required(Check *check, const char *name, const char *detail)
{
    cause(check, REQUIRED_CAUSE, name, "Required value", NULL, detail);
}

void check_forbidden(Check *check, const char *name, const char *detail)
{
    cause(check, FORBIDDEN, name, "Forbidden", NULL, detail);
}

void check_invalid(Check *check, const char *name, const json_t *value, const char *format, ...)
{
    va_list arguments;
    AUTO_FREE char *detail = NULL;
    va_start(arguments, format);
    if (vasprintf(&detail, format, arguments) < 0)
        detail = NULL;
    va_end(arguments);
    AUTO_FREE char *shown = check_show(value);
    cause(check, INVALID, name, "Invalid value", shown, detail);
}

void check_invalid_text(Check *check, const char *name, const char *value, const char *detail)
{
    AUTO_FREE char *shown = kube_quote(value);
    cause(check, INVALID, name, "Invalid value", shown, detail);
}

void check_duplicate(Check *check, const char *name, const json_t *value)
{
    AUTO_FREE char *shown = check_show(value);
    cause(check, DUPLICATE, name, "Duplicate value", shown, NULL);
}

void check_unsupported(Check *check, const char *name, const json_t *value, const char *const *supported)
{
    AUTO_FREE char *shown = check_show(value);
    AUTO_FREE char *detail = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&detail, &size);
    if (!file)
        return;
    fputs("supported values: ", file);
    for (size_t i = 0; supported[i]; i++)
        fprintf(file, "%s\"%s\"", i ? ", " : "", supported[i]);
    fclose(file);
    cause(check, UNSUPPORTED, name, "Unsupported value", shown, detail);
}

/* --- what many fields share --------------------------------------------------------------------------- */

void check_not_negative(Check *check, const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    if (json_is_integer(value) && json_integer_value(value) < 0)
        check_invalid(check, name, value, "must be greater than or equal to 0");
}

void check_labels(Check *check, const json_t *object, const char *name)
{
    const char *key;
    json_t *value;
    json_object_foreach(json_object_get(object, name), key, value)
    {
        const char *wrong = kube_check_label_key(key);
        if (wrong)
            check_invalid_text(check, name, key, wrong);
        const char *text = json_string_value(value);
        wrong = kube_check_label_value(text ? text : "");
        if (wrong)
            check_invalid_text(check, name, text ? text : "", wrong);
    }
}

static void check_requirement(Check *check, const json_t *requirement)
{
    const char *operator= kube_string(requirement, "operator"), *key = kube_string(requirement, "key");
    size_t values = json_array_size(json_object_get(requirement, "values"));
    if (strcmp(operator, "In") == 0 || strcmp(operator, "NotIn") == 0) {
        if (values == 0)
            check_required(check, "values", "must be specified when `operator` is 'In' or 'NotIn'");
    } else if (strcmp(operator, "Exists") == 0 || strcmp(operator, "DoesNotExist") == 0) {
        if (values > 0)
            check_forbidden(check, "values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
    } else {
        check_invalid_text(check, "operator", operator, "not a valid selector operator");
    }
    const char *wrong = kube_check_label_key(key);
    if (wrong)
        check_invalid_text(check, "key", key, wrong);
}

void check_label_selector(Check *check, const json_t *selector)
{
    size_t i;
    const json_t *requirement;
    check_labels(check, selector, "matchLabels");
    size_t length = path_field(&check->path, "matchExpressions");
    json_array_foreach(json_object_get(selector, "matchExpressions"), i, requirement)
    {
        size_t inner = path_index(&check->path, i);
        check_requirement(check, requirement);
        path_back(&check->path, inner);
    }
    path_back(&check->path, length);
}

void check_immutable(Check *check, const char *name, const json_t *value, const json_t *old)
{
    bool none = !value || json_is_null(value), was_none = !old || json_is_null(old);
    if (none != was_none || (!none && !json_equal(value, old)))
        check_invalid(check, name, value, "field is immutable");
}

static bool is_among(const char *text, const char *const *values)
{
    for (; *values; values++)
        if (strcmp(*values, text) == 0)
            return true;
    return false;
}

static void check_value(Check *check, const SchemaField *field, const json_t *value)
{
    size_t i;
    const json_t *item;
    size_t length = path_field(&check->path, field->name);
    if (field->values && json_is_string(value) && !is_among(json_string_value(value), field->values))
        check_unsupported(check, NULL, value, field->values);
    json_array_foreach(value, i, item)
    {
        if (field->values && json_is_string(item) && !is_among(json_string_value(item), field->values))
            check_unsupported(check, NULL, item, field->values);
        size_t inner = path_index(&check->path, i);
        if (field->schema)
            check_values(check, field->schema, item);
        path_back(&check->path, inner);
    }
    if (field->type == FIELD_OBJECT)
        check_values(check, field->schema, value);
    path_back(&check->path, length);
}

void check_values(Check *check, const Schema *schema, const json_t *object)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key, value)
    {
        const SchemaField *field = schema_field(schema, key);
        if (field && (field->values || field->schema))
            check_value(check, field, value);
    }
}

/* --- metadata of templates ------------------------------------------------------------------------------ */

static void check_annotations(Check *check, const json_t *metadata)
{
    const char *key;
    json_t *value;
    size_t size = 0;
    json_object_foreach(json_object_get(metadata, "annotations"), key, value)
    {
        char lower[KUBE_NAME_MAX + KUBE_LABEL_MAX + 2];
        snprintf(lower, sizeof lower, "%s", key);
        for (char *c = lower; *c; c++)
            *c = (char)tolower((unsigned char)*c);
        const char *wrong = kube_check_label_key(lower);
        if (wrong)
            check_invalid_text(check, "annotations", key, wrong);
        size += strlen(key) + json_string_length(value);
    }
    if (size > ANNOTATIONS_MAX)
        cause(check, "FieldValueTooLong", "annotations", "Too long", NULL, "must have at most 262144 bytes");
}

void check_template_metadata(Check *check, const json_t *metadata)
{
    check_labels(check, metadata, "labels");
    check_annotations(check, metadata);
}

void schema_validate(const Schema *schema, const json_t *object, const json_t *old, KubeCauses *causes)
{
    const SchemaKind *kind = schema_kind(schema);
    if (!kind)
        return;
    Check check = {.causes = causes};
    if (kind->check)
        kind->check(&check, object, old);
    check_values(&check, schema, object);
}
