/* schema_protobuf.c - the OpenAPI document as the protobuf message that kubectl
 * asks for: openapi.v2.Document of gnostic. Only what openapi_document makes is
 * encoded. Field numbers: github.com/googleapis/gnostic, openapiv2/OpenAPIv2.proto;
 * each function names its message. */
#include "schema.h"

#include "openapi_internal.h"

#include "base/cleanup.h"

#include <stdint.h>
#include <string.h>

/* --- the wire: protobuf.dev/programming-guides/encoding -------------------------------------------- */

typedef struct Buffer {
    char *data;
    size_t size;
    FILE *file;
} Buffer;

static bool buffer_open(Buffer *buffer)
{
    *buffer = (Buffer){.data = NULL};
    buffer->file = open_memstream(&buffer->data, &buffer->size);
    return buffer->file;
}

static void buffer_close(Buffer *buffer)
{
    if (buffer->file)
        fclose(buffer->file);
    buffer->file = NULL;
}

static void put_varint(FILE *out, uint64_t value)
{
    for (; value > 127; value >>= 7)
        fputc((int)(value & 127) | 128, out);
    fputc((int)value, out);
}

static void put_bytes(FILE *out, unsigned field, const char *data, size_t size)
{
    put_varint(out, field << 3 | 2);
    put_varint(out, size);
    fwrite(data, 1, size, out);
}

static void put_text(FILE *out, unsigned field, const char *text)
{
    if (text)
        put_bytes(out, field, text, strlen(text));
}

static void put_true(FILE *out, unsigned field)
{
    put_varint(out, field << 3);
    put_varint(out, 1);
}

/* A message inside another: encoded by `encode`, behind its length. */
static void put_message(FILE *out, unsigned field, void (*encode)(FILE *out, const json_t *value), const json_t *value)
{
    Buffer buffer;
    if (!buffer_open(&buffer))
        return;
    encode(buffer.file, value);
    buffer_close(&buffer);
    put_bytes(out, field, buffer.data, buffer.size);
    free(buffer.data);
}

/* A message {name = 1, value = 2}. */
static void put_named(FILE *out, unsigned field, const char *name, void (*encode)(FILE *out, const json_t *value),
                      const json_t *value)
{
    Buffer buffer;
    if (!buffer_open(&buffer))
        return;
    put_text(buffer.file, 1, name);
    put_message(buffer.file, 2, encode, value);
    buffer_close(&buffer);
    put_bytes(out, field, buffer.data, buffer.size);
    free(buffer.data);
}

static void put_texts(FILE *out, unsigned field, const json_t *list)
{
    size_t i;
    const json_t *item;
    json_array_foreach(list, i, item) put_text(out, field, json_string_value(item));
}

static const char *text_of(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

/* --- messages ------------------------------------------------------------------------------------------ */

static void encode_any(FILE *out, const json_t *value) /* Any: yaml = 2; JSON is YAML */
{
    AUTO_FREE char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    put_text(out, 2, text);
}

/* Keys "x-..." as NamedAny. */
static void put_extensions(FILE *out, unsigned field, const json_t *object)
{
    const char *key;
    const json_t *value;
    json_object_foreach((json_t *)object, key, value) if (strncmp(key, "x-", 2) == 0)
        put_named(out, field, key, encode_any, value);
}

static void encode_schema(FILE *out, const json_t *schema);

static void encode_schemas(FILE *out, const json_t *schemas) /* Definitions, Properties: additional_properties = 1 */
{
    const char *key;
    const json_t *schema;
    json_object_foreach((json_t *)schemas, key, schema) put_named(out, 1, key, encode_schema, schema);
}

static void encode_one(FILE *out,
                       const json_t *schema) /* AdditionalPropertiesItem, ItemsItem, SchemaItem: schema = 1 */
{
    put_message(out, 1, encode_schema, schema);
}

static void encode_type(FILE *out, const json_t *type) /* TypeItem: value = 1 */
{
    put_text(out, 1, json_string_value(type));
}

static void put_part(FILE *out, unsigned field, void (*encode)(FILE *out, const json_t *value), const json_t *object,
                     const char *name)
{
    const json_t *part = json_object_get(object, name);
    if (part)
        put_message(out, field, encode, part);
}

/* Schema: _ref = 1, format = 2, description = 4, required = 19, additional_properties = 21, type = 22, items = 23,
 * properties = 25, vendor_extension = 31 */
static void encode_schema(FILE *out, const json_t *schema)
{
    put_text(out, 1, text_of(schema, "$ref"));
    put_text(out, 2, text_of(schema, "format"));
    put_text(out, 4, text_of(schema, "description"));
    put_texts(out, 19, json_object_get(schema, "required"));
    put_part(out, 21, encode_one, schema, "additionalProperties");
    put_part(out, 22, encode_type, schema, "type");
    put_part(out, 23, encode_one, schema, "items");
    put_part(out, 25, encode_schemas, schema, "properties");
    put_extensions(out, 31, schema);
}

/* QueryParameterSubSchema: in = 2, description = 3, name = 4, type = 6, unique_items = 20 */
static void encode_query(FILE *out, const json_t *parameter)
{
    put_text(out, 2, text_of(parameter, "in"));
    put_text(out, 3, text_of(parameter, "description"));
    put_text(out, 4, text_of(parameter, "name"));
    put_text(out, 6, text_of(parameter, "type"));
    if (json_is_true(json_object_get(parameter, "uniqueItems")))
        put_true(out, 20);
}

static void encode_non_body(FILE *out, const json_t *parameter) /* NonBodyParameter: query_parameter_sub_schema = 3 */
{
    put_message(out, 3, encode_query, parameter);
}

static void encode_parameter(FILE *out, const json_t *parameter) /* Parameter: non_body_parameter = 2 */
{
    put_message(out, 2, encode_non_body, parameter);
}

static void encode_parameters_item(FILE *out, const json_t *parameter) /* ParametersItem: parameter = 1 */
{
    put_message(out, 1, encode_parameter, parameter);
}

static void encode_response(FILE *out, const json_t *response) /* Response: description = 1, schema = 2 */
{
    put_text(out, 1, text_of(response, "description"));
    put_part(out, 2, encode_one, response, "schema");
}

static void encode_response_value(FILE *out, const json_t *response) /* ResponseValue: response = 1 */
{
    put_message(out, 1, encode_response, response);
}

static void encode_responses(FILE *out, const json_t *responses) /* Responses: response_code = 1 */
{
    const char *code;
    const json_t *response;
    json_object_foreach((json_t *)responses, code, response) put_named(out, 1, code, encode_response_value, response);
}

/* Operation: operation_id = 5, produces = 6, consumes = 7, parameters = 8, responses = 9, vendor_extension = 13 */
static void encode_operation(FILE *out, const json_t *operation)
{
    size_t i;
    const json_t *parameter;
    put_text(out, 5, text_of(operation, "operationId"));
    put_texts(out, 6, json_object_get(operation, "produces"));
    put_texts(out, 7, json_object_get(operation, "consumes"));
    json_array_foreach(json_object_get(operation, "parameters"), i, parameter)
        put_message(out, 8, encode_parameters_item, parameter);
    put_part(out, 9, encode_responses, operation, "responses");
    put_extensions(out, 13, operation);
}

static void encode_path(FILE *out, const json_t *path) /* PathItem: patch = 8 */
{
    put_part(out, 8, encode_operation, path, "patch");
}

static void encode_paths(FILE *out, const json_t *paths) /* Paths: path = 2 */
{
    const char *key;
    const json_t *path;
    json_object_foreach((json_t *)paths, key, path) put_named(out, 2, key, encode_path, path);
}

static void encode_info(FILE *out, const json_t *info) /* Info: title = 1, version = 2 */
{
    put_text(out, 1, text_of(info, "title"));
    put_text(out, 2, text_of(info, "version"));
}

/* Document: swagger = 1, info = 2, paths = 8, definitions = 9 */
void *schema_openapi_protobuf(size_t *ret_size)
{
    AUTO_JSON json_t *document = openapi_document();
    Buffer buffer;
    if (!document || !buffer_open(&buffer))
        return NULL;
    put_text(buffer.file, 1, text_of(document, "swagger"));
    put_part(buffer.file, 2, encode_info, document, "info");
    put_part(buffer.file, 8, encode_paths, document, "paths");
    put_part(buffer.file, 9, encode_schemas, document, "definitions");
    buffer_close(&buffer);
    *ret_size = buffer.size;
    return buffer.data;
}
