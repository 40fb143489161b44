/* schema_decode.c - wrong types, in the words of Kubernetes' decoder: where in
 * its structs, what it expected, and the text around the place; and in those of
 * its converter, which a strategic merge patch goes through. */
#include "schema_internal.h"

#include "base/cleanup.h"
#include "quantity.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define WHERE_MAX 1024u
#define MARK "\x01place\x01"
#define MARK_TEXT "\"\\u0001place\\u0001\""

typedef struct Decoder {
    char where[WHERE_MAX]; /* "v1.Pod.Spec: v1.PodSpec." */
    size_t length;
    char what[256]; /* "ReadString: expects ..., but found " */
    bool first;     /* the first character of the value ends the message */
    const json_t *value;
    FieldType type; /* that it should have had */
    bool wide;
} Decoder;

/* The name in Go: "hostIP" is HostIP, "uid" UID. */
static void go_name(const char *name, char ret[64])
{
    static const char *const odd[][2] = {
        {"apiVersion", "APIVersion"}, {"uid", "UID"}, {"ip", "IP"}, {"tty", "TTY"}, {"metadata", "ObjectMeta"}};
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
        if (strcmp(name, odd[i][0]) == 0) {
            snprintf(ret, 64, "%s", odd[i][1]);
            return;
        }
    snprintf(ret, 64, "%s", name);
    ret[0] = (char)toupper((unsigned char)ret[0]);
}

/* "v1.PodSpec" of "io.k8s.api.core.v1.PodSpec". */
static const char *go_type(const Schema *schema)
{
    const char *last = strrchr(schema->name, '.');
    while (last > schema->name && last[-1] != '.')
        last--;
    return last;
}

static void enter(Decoder *decoder, const char *format, const char *type, const char *name)
{
    char go[64] = "";
    if (name)
        go_name(name, go);
    int added = snprintf(decoder->where + decoder->length, WHERE_MAX - decoder->length, format, type, go);
    if (added > 0)
        decoder->length += (size_t)added;
    if (decoder->length >= WHERE_MAX)
        decoder->length = WHERE_MAX - 1;
}

static void leave(Decoder *decoder, size_t length)
{
    decoder->length = length;
    decoder->where[length] = '\0';
}

/* Always false: `value` is wrong. */
static bool wrong(Decoder *decoder, const json_t *value, const char *what, bool first)
{
    snprintf(decoder->what, sizeof decoder->what, "%s", what);
    decoder->first = first;
    decoder->value = value;
    return false;
}

static bool check_integer(Decoder *decoder, const json_t *value, bool wide)
{
    const char *bits = wide ? "64" : "32";
    char what[96];
    if (json_is_real(value)) {
        return wrong(decoder, value, "assertInteger: can not decode float as int", false);
    }
    if (!json_is_integer(value)) {
        snprintf(what, sizeof what, "readUint%s: unexpected character: \xef\xbf\xbd", bits);
        return wrong(decoder, value, what, false);
    }
    json_int_t number = json_integer_value(value);
    if (wide || (number >= INT32_MIN && number <= INT32_MAX))
        return true;
    snprintf(what, sizeof what, "ReadInt32: overflow: %" JSON_INTEGER_FORMAT, number);
    return wrong(decoder, value, what, false);
}

static bool is_base64(const char *text, size_t length, size_t *ret_at)
{
    size_t data = length;
    while (data > 0 && length - data < 2 && text[data - 1] == '=')
        data--;
    for (*ret_at = 0; *ret_at < data; ++*ret_at)
        if (!isalnum((unsigned char)text[*ret_at]) && text[*ret_at] != '+' && text[*ret_at] != '/')
            return false;
    return length % 4 == 0;
}

static bool check_text(Decoder *decoder, const json_t *value, FieldType type, bool wide)
{
    uint64_t time;
    char what[256];
    size_t at;
    const char *text = json_string_value(value);
    if (!text)
        return type == FIELD_TIME ? wrong(decoder, value,
                                          "unmarshalerDecoder: json: cannot unmarshal value into Go "
                                          "value of type string",
                                          false)
                                  : wrong(decoder, value, "ReadString: expects \" or n, but found ", true);
    if (type == FIELD_TIME && *text && kube_time_parse(text, &time) < 0) {
        snprintf(what, sizeof what,
                 "unmarshalerDecoder: parsing time \"%.60s\" as \"2006-01-02T15:04:05%sZ07:00\": cannot parse "
                 "\"%.60s\" as \"2006\"",
                 text, wide ? ".000000" : "", text);
        return wrong(decoder, value, what, false);
    }
    if (type == FIELD_BYTES && !is_base64(text, json_string_length(value), &at)) {
        snprintf(what, sizeof what, "decode base64: illegal base64 data at input byte %zu", at);
        return wrong(decoder, value, what, false);
    }
    return true;
}

static bool check_quantity(Decoder *decoder, const json_t *value)
{
    char canonical[QUANTITY_SIZE], what[256];
    InaError error = {.message = ""};
    if (json_is_number(value))
        return true;
    if (!json_is_string(value))
        ina_error_set(&error, EINVAL,
                      "quantities must match the regular expression "
                      "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'");
    else if (quantity_canonical(json_string_value(value), canonical, &error) == 0)
        return true;
    snprintf(what, sizeof what, "unmarshalerDecoder: %.200s", error.message);
    return wrong(decoder, value, what, false);
}

static bool check_object(Decoder *decoder, const Schema *schema, const json_t *object);

static bool check_plain(Decoder *decoder, const json_t *value, FieldType type, bool wide)
{
    decoder->type = type;
    decoder->wide = wide;
    switch (type) {
    case FIELD_INTEGER:
        return check_integer(decoder, value, wide);
    case FIELD_NUMBER:
        return json_is_number(value) || wrong(decoder, value, "readFloat64: unexpected character", false);
    case FIELD_BOOLEAN:
        return json_is_boolean(value) || wrong(decoder, value, "ReadBool: expect t or f, but found ", true);
    case FIELD_STRING:
    case FIELD_TIME:
    case FIELD_BYTES:
        return check_text(decoder, value, type, wide);
    case FIELD_QUANTITY:
        return check_quantity(decoder, value);
    case FIELD_INT_OR_STRING:
        if (json_is_string(value))
            return true;
        if (json_is_integer(value))
            return check_integer(decoder, value, false);
        return wrong(decoder, value, "unmarshalerDecoder: json: cannot unmarshal value into Go value of type int32",
                     false);
    default:
        return true;
    }
}

static bool check_list(Decoder *decoder, const SchemaField *field, const json_t *list)
{
    size_t i, length = decoder->length;
    const json_t *item;
    enter(decoder, "[]%s%s: ", field->schema ? go_type(field->schema) : "string", NULL);
    decoder->type = FIELD_LIST;
    if (!json_is_array(list))
        return wrong(decoder, list, "decode slice: expect [ or n, but found ", true);
    json_array_foreach(list, i, item)
    {
        if (json_is_null(item))
            continue;
        if (!(field->schema ? check_object(decoder, field->schema, item)
                            : check_plain(decoder, item, field->element, field->wide)))
            return false;
    }
    leave(decoder, length);
    return true;
}

static bool check_map(Decoder *decoder, const SchemaField *field, const json_t *map)
{
    const char *key;
    const json_t *item;
    decoder->type = FIELD_MAP;
    if (!json_is_object(map))
        return wrong(decoder, map, "ReadMapCB: expect { or n, but found ", true);
    json_object_foreach((json_t *)map, key, item)
    {
        if (json_is_null(item))
            continue;
        if (!(field->schema ? check_object(decoder, field->schema, item)
                            : check_plain(decoder, item, field->element, field->wide)))
            return false;
    }
    return true;
}

static bool check_object(Decoder *decoder, const Schema *schema, const json_t *object)
{
    const char *key;
    const json_t *value;
    size_t length = decoder->length;
    decoder->type = FIELD_OBJECT;
    if (!json_is_object(object))
        return wrong(decoder, object, "readObjectStart: expect { or n, but found ", true);
    json_object_foreach((json_t *)object, key, value)
    {
        const SchemaField *field = schema_field(schema, key);
        if (!field || json_is_null(value))
            continue;
        enter(decoder, "%s.%s: ", go_type(schema), key);
        bool right = field->type == FIELD_OBJECT ? check_object(decoder, field->schema, value)
                     : field->type == FIELD_LIST ? check_list(decoder, field, value)
                     : field->type == FIELD_MAP  ? check_map(decoder, field, value)
                                                 : check_plain(decoder, value, field->type, field->wide);
        if (!right)
            return false;
        leave(decoder, length);
    }
    return true;
}

/* Puts `to` where `from` is, anywhere in the tree. */
static bool exchange(json_t *tree, const json_t *from, json_t *to)
{
    const char *key;
    size_t i;
    json_t *item;
    json_object_foreach(tree, key, item)
    {
        if (item == from)
            return json_object_set(tree, key, to) == 0;
        if (exchange(item, from, to))
            return true;
    }
    json_array_foreach(tree, i, item)
    {
        if (item == from)
            return json_array_set(tree, i, to) == 0;
        if (exchange(item, from, to))
            return true;
    }
    return false;
}

/* The body as it is when sent without blanks, and where the value begins in it. */
static char *find_value(json_t *object, const json_t *value, size_t *ret_offset)
{
    *ret_offset = 0;
    AUTO_JSON json_t *mark = json_string(MARK);
    AUTO_JSON json_t *kept = json_incref((json_t *)value);
    if (mark && value != object && exchange(object, value, mark)) {
        AUTO_FREE char *marked = json_dumps(object, JSON_COMPACT);
        const char *at = marked ? strstr(marked, MARK_TEXT) : NULL;
        *ret_offset = at ? (size_t)(at - marked) : 0;
        exchange(object, mark, kept);
    }
    return json_dumps(object, JSON_COMPACT | JSON_ENCODE_ANY);
}

char *schema_decode_error(const Schema *schema, json_t *object)
{
    Decoder decoder = {.length = 0};
    if (check_object(&decoder, schema, object))
        return NULL;
    size_t offset;
    AUTO_FREE char *text = find_value(object, decoder.value, &offset);
    if (!text)
        return NULL;
    size_t size = strlen(text), head = offset + 1;
    AUTO_FREE char *shown = json_dumps(decoder.value, JSON_COMPACT | JSON_ENCODE_ANY);
    /* What is wrong with a text as a whole is noticed behind it. */
    if (!decoder.first && shown && json_is_string(decoder.value) && !strstr(decoder.what, "unexpected character"))
        head = offset + strlen(shown);
    size_t near = head < 10 ? 0 : head - 10, near_end = head + 10 > size ? size : head + 10;
    size_t far = head < 50 ? 0 : head - 50, far_end = head + 50 > size ? size : head + 50;
    char *message = NULL;
    if (asprintf(&message, "%s%s%.*s, error found in #%zu byte of ...|%.*s|..., bigger context ...|%.*s|...",
                 decoder.where, decoder.what, decoder.first ? 1 : 0, text + offset, head - near, (int)(near_end - near),
                 text + near, (int)(far_end - far), text + far) < 0)
        return NULL;
    return message;
}

/* The kind of a value in Go. */
static const char *go_kind(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "map";
    case JSON_ARRAY:
        return "slice";
    case JSON_STRING:
        return "string";
    case JSON_INTEGER:
        return "int64";
    case JSON_REAL:
        return "float64";
    default:
        return "bool";
    }
}

char *schema_convert_error(const Schema *schema, const json_t *object)
{
    Decoder decoder = {.length = 0};
    char *message = NULL;
    const char *kind, *detail;
    if (check_object(&decoder, schema, object))
        return NULL;
    kind = go_kind(decoder.value);
    detail = strstr(decoder.what, ": ");
    int r;
    if (decoder.type == FIELD_OBJECT)
        r = asprintf(&message, "cannot restore struct from: %s", kind);
    else if (decoder.type == FIELD_LIST)
        r = asprintf(&message, "cannot restore slice from %s", kind);
    else if (decoder.type == FIELD_MAP)
        r = asprintf(&message, "cannot restore map from %s", kind);
    else if (decoder.type == FIELD_INTEGER && json_is_real(decoder.value))
        r = asprintf(&message, "cannot convert float64 to int%s", decoder.wide ? "64" : "32");
    else if (decoder.type == FIELD_INTEGER)
        r = asprintf(&message, "unrecognized type: int%s", decoder.wide ? "64" : "32");
    else if (decoder.type == FIELD_BOOLEAN)
        r = asprintf(&message, "unrecognized type: bool");
    else if (decoder.type == FIELD_STRING && json_is_integer(decoder.value))
        r = asprintf(&message, "cannot convert int64 to string");
    else if (decoder.type == FIELD_STRING)
        r = asprintf(&message, "unrecognized type: string");
    else
        r = asprintf(&message, "%s", detail ? detail + 2 : decoder.what);
    return r < 0 ? NULL : message;
}
