/* schema_admit.c - a body from outside: types, unknown fields, and what is not
 * honoured here. Afterwards it looks as if Kubernetes had decoded and encoded it. */
#include "schema_internal.h"

#include "base/cleanup.h"
#include "quantity.h"

#include <string.h>

#define UNKNOWN_MAX 64u  /* named in one refusal */
#define WARNINGS_MAX 64u /* of one request */

typedef struct Admission {
    SchemaUnknown treatment;
    KubeCauses *refused;
    json_t *warnings;
    char *unknown; /* 'unknown field "spec.x", unknown field ...' */
    size_t unknown_size, unknown_count;
    FILE *unknown_text;
    Path path;
} Admission;

static void admit_object(Admission *admission, const Schema *schema, json_t *object);

/* The message of `refused` and `ignored` need no word when the value is what would be so anyway. */
static bool says_something(const SchemaField *field, const json_t *value)
{
    if (schema_is_zero(value))
        return false;
    if (field->usual && json_is_string(value) && strcmp(json_string_value(value), field->usual) == 0)
        return false;
    if (!field->fallback)
        return true;
    AUTO_JSON json_t *fallback = schema_fallback(field);
    return !json_equal(fallback, value);
}

static void treat(Admission *admission, const SchemaField *field, const json_t *value)
{
    if (field->treatment != FIELD_IGNORED && field->treatment != FIELD_REFUSED)
        return;
    if (!says_something(field, value))
        return;
    if (field->treatment == FIELD_REFUSED)
        kube_cause(admission->refused, FORBIDDEN, admission->path.text, "Forbidden: not supported by this cluster: %s",
                   field->why);
    else if (json_array_size(admission->warnings) < WARNINGS_MAX)
        json_array_append_new(admission->warnings,
                              json_sprintf("%s is ignored here: %s", admission->path.text, field->why));
}

/* Canonical, rounded up to thousandths as Kubernetes rounds resources. NULL: keep it. */
static json_t *canonical_quantity(const json_t *value)
{
    char canonical[QUANTITY_SIZE];
    AUTO_FREE char *text =
        json_is_string(value) ? strdup(json_string_value(value)) : json_dumps(value, JSON_ENCODE_ANY);
    if (!text || quantity_canonical(text, canonical, NULL) < 0)
        return NULL;
    size_t length = strlen(canonical);
    int64_t milli;
    if ((canonical[length - 1] == 'n' || canonical[length - 1] == 'u') && quantity_parse_milli(text, &milli, NULL) == 0)
        quantity_format_milli(milli, canonical);
    return json_string(canonical);
}

static json_t *canonical_time(const json_t *value, bool micro)
{
    uint64_t us;
    char text[KUBE_TIME_SIZE];
    if (kube_time_parse(json_string_value(value), &us) < 0)
        return NULL;
    if (micro)
        kube_time_micro(us, text);
    else
        kube_time((time_t)(us / 1000000), text);
    return json_string(text);
}

/* Another form of the value to be stored, or NULL. */
static json_t *canonical(FieldType type, bool wide, const json_t *value)
{
    return type == FIELD_QUANTITY ? canonical_quantity(value) : type == FIELD_TIME ? canonical_time(value, wide) : NULL;
}

static void admit_list(Admission *admission, const SchemaField *field, json_t *list)
{
    size_t i;
    json_t *item;
    for (i = json_array_size(list); i-- > 0;)
        if (field->schema && json_is_null(json_array_get(list, i)))
            json_array_set_new(list, i, json_object());
    json_array_foreach(list, i, item)
    {
        size_t length = path_index(&admission->path, i);
        if (field->schema)
            admit_object(admission, field->schema, item);
        path_back(&admission->path, length);
    }
}

static void admit_map(Admission *admission, const SchemaField *field, json_t *map)
{
    const char *key;
    void *next;
    json_t *item;
    json_object_foreach_safe(map, next, key, item)
    {
        if (json_is_null(item)) {
            json_object_set_new(map, key, field->element == FIELD_QUANTITY ? json_string("0") : json_string(""));
            continue;
        }
        json_t *better = canonical(field->element, false, item);
        if (better)
            json_object_set_new(map, key, better);
        else if (field->schema) {
            size_t length = path_key(&admission->path, key);
            admit_object(admission, field->schema, item);
            path_back(&admission->path, length);
        }
    }
}

static void unknown_field(Admission *admission)
{
    if (admission->treatment == SCHEMA_WARN && admission->unknown_count++ < UNKNOWN_MAX)
        json_array_append_new(admission->warnings, json_sprintf("unknown field \"%s\"", admission->path.text));
    if (admission->unknown_text && admission->unknown_count++ < UNKNOWN_MAX)
        fprintf(admission->unknown_text, "%sunknown field \"%s\"", admission->unknown_count > 1 ? ", " : "",
                admission->path.text);
}

static void admit_object(Admission *admission, const Schema *schema, json_t *object)
{
    const char *key;
    void *next;
    json_t *value;
    json_object_foreach_safe(object, next, key, value)
    {
        size_t length = path_field(&admission->path, key);
        const SchemaField *field = schema_field(schema, key);
        if (!field)
            unknown_field(admission);
        else if (!json_is_null(value))
            treat(admission, field, value);
        if (!field || json_is_null(value) ||
            (field->zero == ZERO_DROPPED && field->type != FIELD_ANY && schema_is_zero(value))) {
            json_object_del(object, key);
        } else if (field->type == FIELD_OBJECT) {
            admit_object(admission, field->schema, value);
        } else if (field->type == FIELD_LIST) {
            admit_list(admission, field, value);
        } else if (field->type == FIELD_MAP) {
            admit_map(admission, field, value);
        } else {
            json_t *better = canonical(field->type, field->wide, value);
            if (better)
                json_object_set_new(object, key, better);
        }
        path_back(&admission->path, length);
    }
}

/* "Pod in version "v1" cannot be handled as a Pod: ..." */
static json_t *bad_request(const Schema *schema, const char *what)
{
    const SchemaKind *kind = schema_kind(schema);
    const char *name = kind ? kind->kind : "", *version = kind ? kind->version : "v1";
    return kube_status_bad_request("%s in version \"%s\" cannot be handled as a %s: %s", name, version, name, what);
}

int schema_admit(const Schema *schema, json_t *object, SchemaUnknown unknown, SchemaResult *ret)
{
    *ret = (SchemaResult){NULL, NULL};
    AUTO_FREE char *wrong = schema_decode_error(schema, object);
    if (wrong) {
        ret->status = bad_request(schema, wrong);
        return 400;
    }
    Admission admission = {.treatment = unknown, .refused = kube_causes_new(), .warnings = json_array()};
    if (!admission.refused || !admission.warnings) {
        kube_causes_free(admission.refused);
        json_decref(admission.warnings);
        ret->status = kube_status_internal("out of memory");
        return 500;
    }
    if (unknown == SCHEMA_REFUSE)
        admission.unknown_text = open_memstream(&admission.unknown, &admission.unknown_size);
    admit_object(&admission, schema, object);
    if (admission.unknown_text)
        fclose(admission.unknown_text);
    if (unknown == SCHEMA_REFUSE && admission.unknown_count > 0) {
        AUTO_FREE char *text = NULL;
        if (asprintf(&text, "strict decoding error: %s", admission.unknown) < 0)
            text = NULL;
        ret->status = bad_request(schema, text ? text : "strict decoding error");
        kube_causes_free(admission.refused);
    } else {
        const SchemaKind *kind = schema_kind(schema);
        ret->status =
            kube_causes_status(admission.refused, kind ? kind->group : "", kind ? kind->kind : "", kube_name(object));
    }
    free(admission.unknown);
    if (json_array_size(admission.warnings) > 0)
        ret->warnings = json_incref(admission.warnings);
    json_decref(admission.warnings);
    return ret->status ? kube_status_code(ret->status) : 0;
}
