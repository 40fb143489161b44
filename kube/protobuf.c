/* protobuf.c - protobuf to JSON: numbers from protobuf_numbers.c, types from
 * the schemas. The wire: protobuf.dev/programming-guides/encoding. */
#include "protobuf.h"

#include "protobuf_internal.h"

#include "base/cleanup.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>

typedef enum Wire { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 } Wire;

typedef struct Reader {
    const uint8_t *at, *end;
} Reader;

/* One field as it stands there. */
typedef struct Item {
    unsigned number;
    Wire wire;
    uint64_t value; /* VARINT */
    Reader bytes;   /* BYTES */
} Item;

/* --- the wire ------------------------------------------------------------------------------------------ */

static bool read_varint(Reader *reader, uint64_t *ret)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && reader->at < reader->end; shift += 7) {
        uint8_t byte = *reader->at++;
        value |= (uint64_t)(byte & 127) << shift;
        if (byte < 128) {
            *ret = value;
            return shift < 63 || byte < 2;
        }
    }
    return false;
}

static bool skip(Reader *reader, size_t size)
{
    if ((size_t)(reader->end - reader->at) < size)
        return false;
    reader->at += size;
    return true;
}

static bool read_item(Reader *reader, Item *ret)
{
    uint64_t key, size;
    if (!read_varint(reader, &key) || key >> 3 == 0 || key >> 3 > 0x1fffffff)
        return false;
    *ret = (Item){.number = (unsigned)(key >> 3), .wire = (Wire)(key & 7)};
    switch (ret->wire) {
    case WIRE_VARINT:
        return read_varint(reader, &ret->value);
    case WIRE_64:
        return skip(reader, 8);
    case WIRE_32:
        return skip(reader, 4);
    case WIRE_BYTES:
        if (!read_varint(reader, &size) || size > (size_t)(reader->end - reader->at))
            return false;
        ret->bytes = (Reader){reader->at, reader->at + size};
        return skip(reader, (size_t)size);
    default:
        return false;
    }
}

/* --- reviews, which no schema of stored kinds describes ---------------------------------------------------- */

#define TEXT(name_)                                                                                                    \
    {                                                                                                                  \
        .name = (name_), .type = FIELD_STRING                                                                          \
    }
#define INSIDE(name_, schema_)                                                                                         \
    {                                                                                                                  \
        .name = (name_), .type = FIELD_OBJECT, .schema = (schema_)                                                     \
    }

static const SchemaField resource_attributes_fields[] = {TEXT("namespace"), TEXT("verb"),     TEXT("group"),
                                                         TEXT("version"),   TEXT("resource"), TEXT("subresource"),
                                                         TEXT("name"),      {.name = NULL}};
static const Schema resource_attributes = {"io.k8s.api.authorization.v1.ResourceAttributes",
                                           resource_attributes_fields};
static const SchemaField path_attributes_fields[] = {TEXT("path"), TEXT("verb"), {.name = NULL}};
static const Schema path_attributes = {"io.k8s.api.authorization.v1.NonResourceAttributes", path_attributes_fields};
static const SchemaField access_spec_fields[] = {INSIDE("resourceAttributes", &resource_attributes),
                                                 INSIDE("nonResourceAttributes", &path_attributes),
                                                 {.name = NULL}};
static const Schema access_spec = {"io.k8s.api.authorization.v1.SelfSubjectAccessReviewSpec", access_spec_fields};
static const SchemaField access_fields[] = {INSIDE("spec", &access_spec), {.name = NULL}};
static const Schema access_review = {"io.k8s.api.authorization.v1.SelfSubjectAccessReview", access_fields};
static const SchemaField rules_spec_fields[] = {TEXT("namespace"), {.name = NULL}};
static const Schema rules_spec = {"io.k8s.api.authorization.v1.SelfSubjectRulesReviewSpec", rules_spec_fields};
static const SchemaField rules_fields[] = {INSIDE("spec", &rules_spec), {.name = NULL}};
static const Schema rules_review = {"io.k8s.api.authorization.v1.SelfSubjectRulesReview", rules_fields};
static const SchemaField self_fields[] = {{.name = NULL}}; /* it says nothing: who asks is what is asked */
static const Schema self_review = {"io.k8s.api.authentication.v1.SelfSubjectReview", self_fields};
static const SchemaField token_spec_fields[] = {{.name = "audiences", .type = FIELD_LIST, .element = FIELD_STRING},
                                                {.name = "expirationSeconds", .type = FIELD_INTEGER, .wide = true},
                                                {.name = NULL}};
static const Schema token_spec = {"io.k8s.api.authentication.v1.TokenRequestSpec", token_spec_fields};
static const SchemaField token_fields[] = {INSIDE("spec", &token_spec), {.name = NULL}};
static const Schema token_request = {"io.k8s.api.authentication.v1.TokenRequest", token_fields};

static const Schema *find_schema(const char *version, const char *kind)
{
    static const struct {
        const char *kind;
        const Schema *schema;
    } reviews[] = {{"SelfSubjectAccessReview", &access_review},
                   {"SelfSubjectReview", &self_review},
                   {"SelfSubjectRulesReview", &rules_review},
                   {"TokenRequest", &token_request}};
    for (size_t i = 0; i < sizeof reviews / sizeof *reviews; i++)
        if (strcmp(reviews[i].kind, kind) == 0)
            return reviews[i].schema;
    if (strcmp(kind, "DeleteOptions") == 0) /* of any group */
        return schema_find("", "v1", kind);
    if (strcmp(kind, "Eviction") == 0)
        return schema_find("policy", "v1beta1", kind);
    char group[128];
    const char *slash = strchr(version, '/');
    if (slash && (size_t)(slash - version) >= sizeof group)
        return NULL;
    snprintf(group, sizeof group, "%.*s", slash ? (int)(slash - version) : 0, version);
    return schema_find(group, slash ? slash + 1 : version, kind);
}

/* --- values -------------------------------------------------------------------------------------------------- */

static int decode_fields(const Schema *schema, const char *message, Reader reader, unsigned depth, json_t *into,
                         InaError *error);

static int malformed(InaError *error, const char *what)
{
    return ina_error_set(error, EINVAL, "proto: wrong %s", what);
}

static json_t *text_of(Reader bytes)
{
    size_t length = (size_t)(bytes.end - bytes.at);
    return json_stringn(length ? (const char *)bytes.at : "", length);
}

static json_t *base64_of(Reader bytes)
{
    size_t length = (size_t)(bytes.end - bytes.at);
    size_t size = sodium_base64_encoded_len(length, sodium_base64_VARIANT_ORIGINAL);
    AUTO_FREE char *text = malloc(size);
    if (!text)
        return NULL;
    sodium_bin2base64(text, size, length ? bytes.at : (const uint8_t *)"", length, sodium_base64_VARIANT_ORIGINAL);
    return json_string(text);
}

/* The fields number 1 to 3 of a small message: Time {seconds, nanos}, Quantity {string}, IntOrString {type, intVal,
 * strVal}. */
static bool small_message(Reader bytes, Item items[4])
{
    memset(items, 0, 4 * sizeof *items);
    while (bytes.at < bytes.end) {
        Item item;
        if (!read_item(&bytes, &item))
            return false;
        if (item.number < 4)
            items[item.number] = item;
    }
    return true;
}

static json_t *time_of(const Item items[4], bool micro)
{
    char text[KUBE_TIME_SIZE];
    if (items[1].value == 0 || items[1].value > INT64_C(253402300799)) /* the year 9999 */
        return json_null();
    if (micro)
        kube_time_micro(items[1].value * 1000000 + items[2].value % 1000000000 / 1000, text);
    else
        kube_time((time_t)items[1].value, text);
    return json_string(text);
}

static json_t *int_or_string_of(const Item items[4])
{
    return items[1].value == 1 ? text_of(items[3].bytes) : json_integer((int32_t)items[2].value);
}

/* A value that is a message of its own on the wire. */
static json_t *message_value(const SchemaField *field, FieldType type, const Schema *schema, Reader bytes,
                             unsigned depth, InaError *error)
{
    Item items[4];
    if (type == FIELD_OBJECT && schema) {
        json_t *object = json_object();
        if (decode_fields(schema, schema->name, bytes, depth + 1, object, error) < 0) {
            json_decref(object);
            return NULL;
        }
        return object;
    }
    if (type == FIELD_OBJECT || type == FIELD_ANY) /* that it is there is all that counts */
        return json_object();
    if (!small_message(bytes, items))
        return NULL;
    if (type == FIELD_TIME)
        return time_of(items, field->wide);
    return type == FIELD_QUANTITY ? text_of(items[1].bytes) : int_or_string_of(items);
}

/* NULL: malformed; the error may say more. */
static json_t *plain_value(const SchemaField *field, FieldType type, const Schema *schema, const Item *item,
                           unsigned depth, InaError *error)
{
    if (type == FIELD_INTEGER || type == FIELD_BOOLEAN) {
        if (item->wire != WIRE_VARINT)
            return NULL;
        return type == FIELD_BOOLEAN ? json_boolean(item->value != 0) : json_integer((json_int_t)item->value);
    }
    if (type == FIELD_NUMBER)
        return json_integer(0);
    if (item->wire != WIRE_BYTES)
        return NULL;
    if (type == FIELD_STRING)
        return text_of(item->bytes);
    return type == FIELD_BYTES ? base64_of(item->bytes) : message_value(field, type, schema, item->bytes, depth, error);
}

/* An entry of a map: {key, value}. */
static int add_entry(const SchemaField *field, const Item *item, unsigned depth, json_t *map, InaError *error)
{
    Item items[4];
    FieldType type = field->schema ? FIELD_OBJECT : field->element;
    if (item->wire != WIRE_BYTES || !small_message(item->bytes, items))
        return malformed(error, field->name);
    AUTO_JSON json_t *key = text_of(items[1].bytes);
    items[2].wire = WIRE_BYTES; /* an empty value is left out */
    json_t *value = key ? plain_value(field, type, field->schema, &items[2], depth, error) : NULL;
    if (!key || !value || json_object_set_new(map, json_string_value(key), value) < 0)
        return malformed(error, field->name);
    return 0;
}

/* Numbers of a list may stand together in one item. */
static int add_packed(const SchemaField *field, Reader bytes, json_t *list, InaError *error)
{
    while (bytes.at < bytes.end) {
        uint64_t value;
        if (!read_varint(&bytes, &value) || json_array_append_new(list, json_integer((json_int_t)value)) < 0)
            return malformed(error, field->name);
    }
    return 0;
}

static int add_value(const SchemaField *field, const Item *item, unsigned depth, json_t *into, InaError *error)
{
    if (field->type == FIELD_LIST || field->type == FIELD_MAP) {
        json_t *inner = json_object_get(into, field->name);
        if (!inner) {
            json_object_set_new(into, field->name, field->type == FIELD_LIST ? json_array() : json_object());
            inner = json_object_get(into, field->name);
        }
        if (field->type == FIELD_MAP)
            return add_entry(field, item, depth, inner, error);
        if (field->element == FIELD_INTEGER && !field->schema && item->wire == WIRE_BYTES)
            return add_packed(field, item->bytes, inner, error);
        FieldType type = field->schema ? FIELD_OBJECT : field->element;
        json_t *value = plain_value(field, type, field->schema, item, depth, error);
        return value && json_array_append_new(inner, value) == 0 ? 0 : malformed(error, field->name);
    }
    json_t *value = plain_value(field, field->type, field->schema, item, depth, error);
    return value && json_object_set_new(into, field->name, value) == 0 ? 0 : malformed(error, field->name);
}

/* --- messages --------------------------------------------------------------------------------------------------- */

static const ProtobufField *find_number(const char *message, unsigned number)
{
    for (const ProtobufMessage *entry = protobuf_messages; entry->name; entry++)
        if (strcmp(entry->name, message) == 0)
            for (const ProtobufField *field = entry->fields; field->number; field++)
                if (field->number == number)
                    return field;
    return NULL;
}

/* The fields of `message`, which `schema` has among its own. */
static int decode_fields(const Schema *schema, const char *message, Reader reader, unsigned depth, json_t *into,
                         InaError *error)
{
    if (depth > KUBE_PROTOBUF_DEPTH_MAX)
        return ina_error_set(error, EINVAL, "proto: deeper than %u messages", KUBE_PROTOBUF_DEPTH_MAX);
    while (reader.at < reader.end) {
        Item item;
        if (!read_item(&reader, &item))
            return malformed(error, message);
        const ProtobufField *number = find_number(message, item.number);
        if (!number)
            continue;
        int r = 0;
        const SchemaField *field = number->name ? schema_field(schema, number->name) : NULL;
        if (!number->name && item.wire == WIRE_BYTES)
            r = decode_fields(schema, number->message, item.bytes, depth + 1, into, error);
        else if (field)
            r = add_value(field, &item, depth, into, error);
        if (r < 0)
            return r;
    }
    return 0;
}

int kube_protobuf_decode(const void *data, size_t size, json_t **ret, InaError *error)
{
    static const char magic[4] = "k8s";
    Item unknown[4], type[4];
    if (size < sizeof magic || memcmp(data, magic, sizeof magic) != 0)
        return ina_error_set(error, EINVAL,
                             "provided data does not appear to be a protobuf message, expected prefix "
                             "[107 56 115 0]");
    if (size == sizeof magic)
        return ina_error_set(error, EINVAL, "empty body");
    Reader reader = {(const uint8_t *)data + sizeof magic, (const uint8_t *)data + size};
    if (!small_message(reader, unknown) || !small_message(unknown[1].bytes, type))
        return malformed(error, "runtime.Unknown");
    AUTO_JSON json_t *version = text_of(type[1].bytes), *kind = text_of(type[2].bytes), *object = json_object();
    if (!version || !kind || !object)
        return malformed(error, "apiVersion or kind");
    const Schema *schema = find_schema(json_string_value(version), json_string_value(kind));
    if (!schema)
        return ina_error_set(error, EINVAL, "no kind \"%.100s\" is registered for version \"%.100s\"",
                             json_string_value(kind), json_string_value(version));
    json_object_set(object, "kind", kind);
    json_object_set(object, "apiVersion", version);
    int r = decode_fields(schema, schema->name, unknown[2].bytes, 0, object, error);
    if (r == 0)
        *ret = TAKE_PTR(object);
    return r;
}
