#include "records.h"
#include "base/json.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define VERSION 1

typedef struct Endpoint {
    int64_t version;
    bool gone;
    char *contract, *digest, *wire;
    json_t *properties;
} Endpoint;

static const JsonField endpoint_fields[] = {
    {.name = "version",
     .type = JSON_TYPE_INTEGER,
     .offset = offsetof(Endpoint, version),
     .flags = JSON_REQUIRED,
     .minimum = VERSION,
     .maximum = 1e6},
    {.name = "gone", .type = JSON_TYPE_BOOLEAN, .offset = offsetof(Endpoint, gone), .flags = JSON_OMIT_EMPTY},
    {.name = "contract", .type = JSON_TYPE_STRING, .offset = offsetof(Endpoint, contract), .flags = JSON_OMIT_EMPTY},
    {.name = "digest", .type = JSON_TYPE_STRING, .offset = offsetof(Endpoint, digest), .flags = JSON_OMIT_EMPTY},
    {.name = "wire", .type = JSON_TYPE_STRING, .offset = offsetof(Endpoint, wire), .flags = JSON_OMIT_EMPTY},
    {.name = "properties", .type = JSON_TYPE_ANY, .offset = offsetof(Endpoint, properties), .flags = JSON_OMIT_EMPTY},
    {.name = NULL, .flags = JSON_IGNORE_UNKNOWN},
};

typedef struct Wire {
    int64_t version;
    char *url, *security;
} Wire;

static const JsonField wire_fields[] = {
    {.name = "version",
     .type = JSON_TYPE_INTEGER,
     .offset = offsetof(Wire, version),
     .flags = JSON_REQUIRED,
     .minimum = VERSION,
     .maximum = 1e6},
    {.name = "url", .type = JSON_TYPE_STRING, .offset = offsetof(Wire, url), .flags = JSON_REQUIRED},
    {.name = "security", .type = JSON_TYPE_STRING, .offset = offsetof(Wire, security), .flags = JSON_OMIT_EMPTY},
    {.name = NULL, .flags = JSON_IGNORE_UNKNOWN},
};

static int decode(const char *text, size_t size, const JsonField *fields, void *target, InaError *error)
{
    json_t *root;
    int r = json_parse(text, size, RECORD_SIZE_MAX, &root, error);
    if (r < 0)
        return r;
    r = json_decode(root, fields, target, error);
    json_decref(root);
    return r;
}

static char *encode(const JsonField *fields, const void *source)
{
    json_t *root = json_encode(fields, source);
    char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;
    json_decref(root);
    return text;
}

/* --- properties --------------------------------------------------------- */

static int set_strings(InaProperties *properties, const char *key, const json_t *list, InaError *error)
{
    size_t count = json_array_size(list);
    const char **items = calloc(count + 1, sizeof(*items));
    if (!items)
        return ina_error_set(error, ENOMEM, "no memory");
    int r = 0;
    for (size_t i = 0; i < count && r >= 0; i++) {
        items[i] = json_string_value(json_array_get(list, i));
        if (!items[i])
            r = ina_error_set(error, EINVAL, "properties.%s[%zu]: lists are of strings", key, i);
    }
    if (r >= 0) {
        InaValue value = {.type = INA_TYPE_STRINGS, .strings = {.items = items, .count = count}};
        r = ina_properties_set(properties, key, &value, error);
    }
    free(items);
    return r;
}

static int set_property(InaProperties *properties, const char *key, const json_t *json, InaError *error)
{
    InaValue value;
    switch (json_typeof(json)) {
    case JSON_STRING:
        value = (InaValue){.type = INA_TYPE_STRING, .string = json_string_value(json)};
        break;
    case JSON_INTEGER:
        value = (InaValue){.type = INA_TYPE_INTEGER, .integer = json_integer_value(json)};
        break;
    case JSON_REAL:
        value = (InaValue){.type = INA_TYPE_DOUBLE, .real = json_real_value(json)};
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        value = (InaValue){.type = INA_TYPE_BOOLEAN, .boolean = json_is_true(json)};
        break;
    case JSON_ARRAY:
        return set_strings(properties, key, json, error);
    default:
        return ina_error_set(error, EINVAL, "properties.%s: values are strings, numbers, booleans and lists of strings",
                             key);
    }
    return ina_properties_set(properties, key, &value, error);
}

static int properties_parse(json_t *object, InaProperties **ret, InaError *error)
{
    InaProperties *properties = ina_properties_new();
    if (!properties)
        return ina_error_set(error, ENOMEM, "no memory");
    const char *key;
    json_t *value;
    int r = 0;
    if (object && !json_is_object(object))
        r = ina_error_set(error, EINVAL, "properties: expected an object");
    else
        json_object_foreach(object, key, value)
        {
            r = set_property(properties, key, value, error);
            if (r < 0)
                break;
        }
    if (r < 0) {
        ina_properties_free(properties);
        return r;
    }
    *ret = properties;
    return 0;
}

static json_t *value_json(const InaValue *value)
{
    switch (value->type) {
    case INA_TYPE_STRING:
        return json_string(value->string);
    case INA_TYPE_INTEGER:
        return json_integer(value->integer);
    case INA_TYPE_DOUBLE:
        return json_real(value->real);
    case INA_TYPE_BOOLEAN:
        return json_boolean(value->boolean);
    case INA_TYPE_STRINGS: {
        json_t *list = json_array();
        for (size_t i = 0; list && i < value->strings.count; i++)
            json_array_append_new(list, json_string(value->strings.items[i]));
        return list;
    }
    }
    return NULL;
}

/* --- endpoints ---------------------------------------------------------- */

int endpoint_record_parse(const char *text, size_t size, EndpointRecord *ret, InaError *error)
{
    Endpoint endpoint = {0};
    InaProperties *properties = NULL;
    int r = decode(text, size, endpoint_fields, &endpoint, error);
    if (r < 0)
        return r;
    if (endpoint.gone) {
        json_clear(endpoint_fields, &endpoint);
        *ret = (EndpointRecord){.gone = true};
        return 0;
    }
    if (!endpoint.contract || !endpoint.wire)
        r = ina_error_set(error, EINVAL, "%s: missing", endpoint.contract ? "wire" : "contract");
    else
        r = properties_parse(endpoint.properties, &properties, error);
    if (r >= 0) {
        *ret = (EndpointRecord){
            .contract = endpoint.contract, .digest = endpoint.digest, .wire = endpoint.wire, .properties = properties};
        endpoint.contract = endpoint.digest = endpoint.wire = NULL;
    }
    json_clear(endpoint_fields, &endpoint);
    return r;
}

static json_t *properties_json(const InaProperties *properties)
{
    json_t *object = json_object();
    for (size_t i = 0; object && i < ina_properties_count(properties); i++) {
        const InaProperty *property = ina_properties_at(properties, i);
        if (strncasecmp(property->key, "ina.", 4) != 0)
            json_object_set_new(object, property->key, value_json(&property->value));
    }
    return object;
}

char *endpoint_record_print(const char *contract, const char *digest, const char *wire, const InaProperties *properties)
{
    json_t *object = properties_json(properties);
    Endpoint endpoint = {.version = VERSION,
                         .contract = (char *)contract,
                         .digest = (char *)digest,
                         .wire = (char *)wire,
                         .properties = object};
    char *text = object ? encode(endpoint_fields, &endpoint) : NULL;
    json_decref(object);
    return text;
}

void endpoint_record_clear(EndpointRecord *record)
{
    free(record->contract);
    free(record->digest);
    free(record->wire);
    ina_properties_free(record->properties);
    *record = (EndpointRecord){0};
}

/* --- wires and agents --------------------------------------------------- */

int wire_record_parse(const char *text, size_t size, WireRecord *ret, InaError *error)
{
    Wire wire = {0};
    int r = decode(text, size, wire_fields, &wire, error);
    if (r < 0)
        return r;
    if (!wire.security)
        wire.security = strdup("none");
    if (!wire.security) {
        json_clear(wire_fields, &wire);
        return ina_error_set(error, ENOMEM, "no memory");
    }
    *ret = (WireRecord){.url = wire.url, .security = wire.security};
    return 0;
}

char *wire_record_print(const char *url, const char *security)
{
    return encode(wire_fields, &(Wire){.version = VERSION, .url = (char *)url, .security = (char *)security});
}

void wire_record_clear(WireRecord *record)
{
    free(record->url);
    free(record->security);
    *record = (WireRecord){0};
}

char *agent_record_print(const char *url)
{
    return encode(wire_fields, &(Wire){.version = VERSION, .url = (char *)url});
}
