/* json.c - see json.h. */
#include "json.h"

#include "map.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH_MAX_SHOWN 256u
#define KEY_MAX_SHOWN 64
#define VALUE_MAX_SHOWN 40

/* --- parsing -------------------------------------------------------------------- */

/* jansson allows 2048 levels, and callers recurse over what they get; it also
 * skips NULs, within strings too. */
static int check_text(const char *text, size_t size, InaError *error)
{
    unsigned depth = 0;
    size_t line = 1, line_start = 0;
    bool quoted = false;

    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        if (c == '\0')
            return ina_error_set(error, EINVAL, "JSON, line %zu column %zu: a NUL character", line, i - line_start + 1);
        if (quoted) {
            if (c == '\\' && i + 1 < size && text[i + 1] != '\0')
                i++;
            else if (c == '"')
                quoted = false;
            continue;
        }
        if (c == '"') {
            quoted = true;
        } else if (c == '\n') {
            line++;
            line_start = i + 1;
        } else if ((c == '{' || c == '[') && ++depth > JSON_DEPTH_MAX) {
            return ina_error_set(error, EINVAL, "JSON, line %zu column %zu: nested deeper than %d levels", line,
                                 i - line_start + 1, JSON_DEPTH_MAX);
        } else if ((c == '}' || c == ']') && depth > 0) {
            depth--;
        }
    }
    return 0;
}

int json_parse(const char *text, size_t size, size_t maximum, json_t **ret, InaError *error)
{
    json_error_t cause;

    if (size > maximum)
        return ina_error_set(error, EFBIG, "JSON: %zu bytes, at most %zu are allowed", size, maximum);
    int r = check_text(text, size, error);
    if (r < 0)
        return r;
    json_t *value = json_loadb(text, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &cause);
    if (!value && json_error_code(&cause) == json_error_out_of_memory)
        return ina_error_errno(error, ENOMEM, "JSON");
    if (!value)
        return ina_error_set(error, EINVAL, "JSON, line %d column %d: %s", cause.line, cause.column, cause.text);
    *ret = value;
    return 0;
}

/* --- where an error is ------------------------------------------------------------ */

/* One step from the root; lives on the stack of the recursion. */
typedef struct Step {
    const struct Step *parent;
    const char *key; /* NULL: an item of a list */
    size_t index;
    unsigned depth;
} Step;

static bool plain_key(const char *key)
{
    size_t n = strspn(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");

    return n > 0 && key[n] == '\0' && n <= KEY_MAX_SHOWN;
}

static size_t print_step(const Step *step, char *text, size_t size)
{
    size_t used = 0;
    int n;

    if (!step)
        return 0;
    used = print_step(step->parent, text, size);
    if (used >= size)
        return used;
    if (!step->key)
        n = snprintf(text + used, size - used, "[%zu]", step->index);
    else if (plain_key(step->key))
        n = snprintf(text + used, size - used, "%s%s", used > 0 ? "." : "", step->key);
    else
        n = snprintf(text + used, size - used, "[\"%.*s\"]", KEY_MAX_SHOWN, step->key);
    return n < 0 ? used : used + (size_t)n;
}

typedef struct Place {
    char text[PATH_MAX_SHOWN];
} Place;

static Place place(const Step *step)
{
    Place place = {.text = ""};

    if (print_step(step, place.text, sizeof(place.text)) == 0)
        snprintf(place.text, sizeof(place.text), "the document");
    return place;
}

static void describe(const json_t *value, char *text, size_t size)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        snprintf(text, size, "an object");
        break;
    case JSON_ARRAY:
        snprintf(text, size, "an array");
        break;
    case JSON_STRING:
        snprintf(text, size, "the string \"%.*s\"%s", VALUE_MAX_SHOWN, json_string_value(value),
                 json_string_length(value) > VALUE_MAX_SHOWN ? "..." : "");
        break;
    case JSON_INTEGER:
        snprintf(text, size, "the number %" JSON_INTEGER_FORMAT, json_integer_value(value));
        break;
    case JSON_REAL:
        snprintf(text, size, "the number %.17g", json_real_value(value));
        break;
    case JSON_TRUE:
        snprintf(text, size, "true");
        break;
    case JSON_FALSE:
        snprintf(text, size, "false");
        break;
    default:
        snprintf(text, size, "null");
    }
}

static int wrong(const Step *step, const json_t *value, const char *allowed, InaError *error)
{
    char there[128];

    describe(value, there, sizeof(there));
    return ina_error_set(error, EINVAL, "%s is %s, must be %s", place(step).text, there, allowed);
}

static int out_of_memory(const Step *step, InaError *error)
{
    return ina_error_errno(error, ENOMEM, "%s", place(step).text);
}

/* --- decoding --------------------------------------------------------------------- */

static int decode_struct(const json_t *value, const JsonField *fields, void *target, const Step *step, InaError *error);

static int check_range(const JsonField *field, double number, const Step *step, const json_t *value, InaError *error)
{
    char allowed[128];

    if (field->minimum == field->maximum || (number >= field->minimum && number <= field->maximum))
        return 0;
    snprintf(allowed, sizeof(allowed), "from %.15g to %.15g", field->minimum, field->maximum);
    return wrong(step, value, allowed, error);
}

static int decode_string(const json_t *value, char **target, const Step *step, InaError *error)
{
    if (!json_is_string(value))
        return wrong(step, value, "a string", error);
    /* The parser refuses them; a value that was built may have them. */
    if (strlen(json_string_value(value)) != json_string_length(value))
        return ina_error_set(error, EINVAL, "%s: contains a NUL character", place(step).text);
    *target = strdup(json_string_value(value));
    return *target ? 0 : out_of_memory(step, error);
}

/* items are put into `list` one by one, so that json_clear finds what was made. */
static int decode_list(const json_t *value, const JsonField *field, JsonList *list, const Step *step, InaError *error)
{
    size_t size = field->type == JSON_TYPE_STRINGS ? sizeof(char *) : field->size;
    size_t count = json_array_size(value);

    if (!json_is_array(value))
        return wrong(step, value, field->type == JSON_TYPE_STRINGS ? "an array of strings" : "an array of objects",
                     error);
    if (count > JSON_LIST_MAX)
        return ina_error_set(error, EINVAL, "%s has %zu items, at most %u are allowed", place(step).text, count,
                             JSON_LIST_MAX);
    if (count == 0)
        return 0;
    list->items = calloc(count, size);
    if (!list->items)
        return out_of_memory(step, error);
    for (size_t i = 0; i < count; i++) {
        const Step item = {.parent = step, .index = i, .depth = step->depth + 1};
        char *target = (char *)list->items + i * size;
        list->count++;
        int r = field->type == JSON_TYPE_STRINGS
                    ? decode_string(json_array_get(value, i), (char **)(void *)target, &item, error)
                    : decode_struct(json_array_get(value, i), field->fields, target, &item, error);
        if (r < 0)
            return r;
    }
    return 0;
}

static int decode_field(const json_t *value, const JsonField *field, void *target, const Step *step, InaError *error)
{
    double number;

    switch (field->type) {
    case JSON_TYPE_STRING:
        return decode_string(value, target, step, error);
    case JSON_TYPE_INTEGER:
        if (!json_is_integer(value))
            return wrong(step, value, "an integer", error);
        *(int64_t *)target = json_integer_value(value);
        return check_range(field, (double)json_integer_value(value), step, value, error);
    case JSON_TYPE_DOUBLE:
        number = json_number_value(value);
        if (!json_is_number(value) || !isfinite(number))
            return wrong(step, value, "a number", error);
        *(double *)target = number;
        return check_range(field, number, step, value, error);
    case JSON_TYPE_BOOLEAN:
        if (!json_is_boolean(value))
            return wrong(step, value, "true or false", error);
        *(bool *)target = json_is_true(value);
        return 0;
    case JSON_TYPE_STRUCT:
        return decode_struct(value, field->fields, target, step, error);
    case JSON_TYPE_LIST:
    case JSON_TYPE_STRINGS:
        return decode_list(value, field, target, step, error);
    case JSON_TYPE_ANY:
        *(json_t **)target = json_incref((json_t *)(uintptr_t)value);
        return 0;
    }
    return ina_error_set(error, EINVAL, "%s: field of unknown type %d in the table", place(step).text, field->type);
}

static const JsonField *find_field(const JsonField *fields, const char *name, bool *ret_ignore)
{
    const JsonField *field;

    for (field = fields; field->name; field++)
        if (strcmp(field->name, name) == 0)
            return field;
    *ret_ignore = (field->flags & JSON_IGNORE_UNKNOWN) || (field > fields && (field[-1].flags & JSON_IGNORE_UNKNOWN));
    return NULL;
}

static int unknown_key(const JsonField *fields, const Step *step, InaError *error)
{
    char known[256] = "";
    size_t used = 0;

    for (const JsonField *field = fields; field->name && used < sizeof(known); field++) {
        int n = snprintf(known + used, sizeof(known) - used, "%s%s", used > 0 ? ", " : "", field->name);
        used += n < 0 ? 0 : (size_t)n;
    }
    return ina_error_set(error, EINVAL, "%s is unknown; allowed there: %s%s", place(step).text, known,
                         used >= sizeof(known) ? "..." : "");
}

static int check_keys(const json_t *value, const JsonField *fields, const Step *step, unsigned depth, InaError *error)
{
    json_t *object = (json_t *)(uintptr_t)value; /* iteration changes nothing, jansson's macro wants it so */
    const char *key;
    json_t *member;

    json_object_foreach(object, key, member)
    {
        bool ignore;
        if (!find_field(fields, key, &ignore) && !ignore)
            return unknown_key(fields, &(Step){.parent = step, .key = key, .depth = depth}, error);
    }
    return 0;
}

static int decode_struct(const json_t *value, const JsonField *fields, void *target, const Step *step, InaError *error)
{
    unsigned depth = step ? step->depth + 1 : 1;

    if (!json_is_object(value))
        return wrong(step, value, "an object", error);
    if (depth > JSON_DEPTH_MAX)
        return ina_error_set(error, EINVAL, "%s: nested deeper than %d levels", place(step).text, JSON_DEPTH_MAX);
    int r = check_keys(value, fields, step, depth, error);
    for (const JsonField *field = fields; r == 0 && field->name; field++) {
        const Step here = {.parent = step, .key = field->name, .depth = depth};
        const json_t *member = json_object_get(value, field->name);
        bool absent = !member || (json_is_null(member) && field->type != JSON_TYPE_ANY);
        if (!absent)
            r = decode_field(member, field, (char *)target + field->offset, &here, error);
        else if (field->flags & JSON_REQUIRED)
            r = ina_error_set(error, EINVAL, "%s is missing", place(&here).text);
    }
    return r;
}

int json_decode(const json_t *value, const JsonField *fields, void *target, InaError *error)
{
    int r = value ? decode_struct(value, fields, target, NULL, error)
                  : ina_error_set(error, EINVAL, "the document is missing");

    if (r < 0)
        json_clear(fields, target);
    return r;
}

/* --- freeing ---------------------------------------------------------------------- */

static void clear_list(const JsonField *field, JsonList *list)
{
    for (size_t i = 0; i < list->count; i++) {
        if (field->type == JSON_TYPE_STRINGS)
            free(((char **)list->items)[i]);
        else
            json_clear(field->fields, (char *)list->items + i * field->size);
    }
    free(list->items);
    *list = (JsonList){0};
}

void json_clear(const JsonField *fields, void *target)
{
    for (const JsonField *field = fields; field->name; field++) {
        void *member = (char *)target + field->offset;
        switch (field->type) {
        case JSON_TYPE_STRING:
            free(*(char **)member);
            *(char **)member = NULL;
            break;
        case JSON_TYPE_INTEGER:
            *(int64_t *)member = 0;
            break;
        case JSON_TYPE_DOUBLE:
            *(double *)member = 0;
            break;
        case JSON_TYPE_BOOLEAN:
            *(bool *)member = false;
            break;
        case JSON_TYPE_STRUCT:
            json_clear(field->fields, member);
            break;
        case JSON_TYPE_LIST:
        case JSON_TYPE_STRINGS:
            clear_list(field, member);
            break;
        case JSON_TYPE_ANY:
            json_decref(*(json_t **)member);
            *(json_t **)member = NULL;
            break;
        }
    }
}

/* --- encoding --------------------------------------------------------------------- */

static json_t *encode_string(const char *text)
{
    json_t *string = json_string(text);
    Buffer valid = {0};

    if (string)
        return string;
    /* Out of memory, or no UTF-8: then character by character. */
    while (*text) {
        unsigned char lead = (unsigned char)*text;
        size_t length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
        json_t *character = strnlen(text, length) == length ? json_stringn(text, length) : NULL;
        if (character)
            buffer_append(&valid, text, length);
        else
            buffer_append(&valid, "\xef\xbf\xbd", 3);
        text += character ? length : 1;
        json_decref(character);
    }
    string = valid.failed ? NULL : json_stringn(valid.data ? valid.data : "", valid.size);
    buffer_free(&valid);
    return string;
}

static json_t *encode_list(const JsonField *field, const JsonList *list)
{
    json_t *array = json_array();

    for (size_t i = 0; array && i < list->count; i++) {
        json_t *item;
        if (field->type == JSON_TYPE_STRINGS) {
            const char *text = ((char **)list->items)[i];
            item = text ? encode_string(text) : json_null();
        } else {
            item = json_encode(field->fields, (char *)list->items + i * field->size);
        }
        if (!item || json_array_append_new(array, item) < 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

/* *ret_empty: it is what JSON_OMIT_EMPTY leaves out. */
static json_t *encode_field(const JsonField *field, const void *member, bool *ret_empty)
{
    json_t *value;

    switch (field->type) {
    case JSON_TYPE_STRING: {
        const char *text = *(char *const *)member;
        *ret_empty = !text || text[0] == '\0';
        return text ? encode_string(text) : json_null();
    }
    case JSON_TYPE_INTEGER:
        *ret_empty = *(const int64_t *)member == 0;
        return json_integer(*(const int64_t *)member);
    case JSON_TYPE_DOUBLE:
        *ret_empty = *(const double *)member == 0;
        return isfinite(*(const double *)member) ? json_real(*(const double *)member) : json_null();
    case JSON_TYPE_BOOLEAN:
        *ret_empty = !*(const bool *)member;
        return json_boolean(*(const bool *)member);
    case JSON_TYPE_STRUCT:
        value = json_encode(field->fields, member);
        *ret_empty = json_object_size(value) == 0;
        return value;
    case JSON_TYPE_LIST:
    case JSON_TYPE_STRINGS:
        *ret_empty = ((const JsonList *)member)->count == 0;
        return encode_list(field, member);
    case JSON_TYPE_ANY:
        value = *(json_t *const *)member;
        *ret_empty = !value || json_is_null(value);
        return value ? json_incref(value) : json_null();
    }
    return NULL;
}

json_t *json_encode(const JsonField *fields, const void *source)
{
    json_t *object = json_object();

    for (const JsonField *field = fields; object && field->name; field++) {
        bool empty = false;
        json_t *value = encode_field(field, (const char *)source + field->offset, &empty);
        int r = 0;
        if (value && empty && (field->flags & JSON_OMIT_EMPTY))
            json_decref(value);
        else
            r = value ? json_object_set_new(object, field->name, value) : -1;
        if (r < 0) {
            json_decref(object);
            return NULL;
        }
    }
    return object;
}
