/* codec_json_encode.c - a message as JSON. */
#include "codec_internal.h"
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Writer {
    Buffer *buffer;
    InaError *error;
} Writer;

static int write_message(const Writer *writer, const CodecPath *path, const ProtobufCMessage *message, unsigned depth);

static void put(const Writer *writer, const char *text)
{
    buffer_append(writer->buffer, text, strlen(text));
}

static void put_integer(const Writer *writer, const char *quote, uint64_t magnitude, bool negative)
{
    char digits[24];
    char *at = digits + sizeof(digits);
    do {
        *--at = (char)('0' + magnitude % 10);
        magnitude /= 10;
    } while (magnitude);
    if (negative)
        *--at = '-';
    put(writer, quote);
    buffer_append(writer->buffer, at, (size_t)(digits + sizeof(digits) - at));
    put(writer, quote);
}

static void put_signed(const Writer *writer, const char *quote, int64_t value)
{
    put_integer(writer, quote, value < 0 ? -(uint64_t)value : (uint64_t)value, value < 0);
}

/* The shortest of the usual precisions that reads back the same. */
static void put_double(const Writer *writer, double value, int fewest, int most)
{
    if (isnan(value)) {
        put(writer, "\"NaN\"");
    } else if (isinf(value)) {
        put(writer, value < 0 ? "\"-Infinity\"" : "\"Infinity\"");
    } else {
        char text[40];
        for (int precision = fewest; precision <= most; precision++) {
            snprintf(text, sizeof(text), "%.*g", precision, value);
            double again = strtod(text, NULL);
            if (most < 10 ? (float)again == (float)value : again == value)
                break;
        }
        put(writer, text);
    }
}

static int put_string(const Writer *writer, const CodecPath *path, const char *text)
{
    size_t size = strlen(text);
    if (codec_utf8_span(text, size) < size)
        return codec_path_error(path, writer->error, EBADMSG, "the string is not UTF-8");
    put(writer, "\"");
    size_t plain = 0;
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c >= 0x20 && c != '"' && c != '\\' && c != 0x7f)
            continue;
        buffer_append(writer->buffer, text + plain, i - plain);
        plain = i + 1;
        static const char escaped[] = {['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};
        if (c == '"' || c == '\\')
            buffer_append(writer->buffer, (char[]){'\\', (char)c}, 2);
        else if (c < sizeof(escaped) && escaped[c])
            buffer_append(writer->buffer, (char[]){'\\', escaped[c]}, 2);
        else
            buffer_print(writer->buffer, "\\u%04x", c);
    }
    buffer_append(writer->buffer, text + plain, size - plain);
    put(writer, "\"");
    return 0;
}

static void put_base64(const Writer *writer, const ProtobufCBinaryData *bytes)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t length = (bytes->len + 2) / 3 * 4;
    char *out = buffer_reserve(writer->buffer, length + 2);
    if (!out)
        return;
    *out++ = '"';
    for (size_t i = 0; i < bytes->len; i += 3) {
        size_t n = bytes->len - i < 3 ? bytes->len - i : 3;
        uint32_t group = (uint32_t)bytes->data[i] << 16;
        if (n > 1)
            group |= (uint32_t)bytes->data[i + 1] << 8;
        if (n > 2)
            group |= bytes->data[i + 2];
        *out++ = letters[group >> 18];
        *out++ = letters[group >> 12 & 63];
        *out++ = n > 1 ? letters[group >> 6 & 63] : '=';
        *out++ = n > 2 ? letters[group & 63] : '=';
    }
    *out = '"';
    writer->buffer->size += length + 2;
}

static void put_enum(const Writer *writer, const ProtobufCEnumDescriptor *type, int number)
{
    const ProtobufCEnumValue *value = protobuf_c_enum_descriptor_get_value(type, number);
    if (value) {
        put(writer, "\"");
        put(writer, value->name);
        put(writer, "\"");
    } else {
        put_signed(writer, "", number);
    }
}

#define AS(type) (*(const type *)value)

static int write_value(const Writer *writer, const CodecPath *path, const ProtobufCFieldDescriptor *field,
                       const void *value, unsigned depth)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        put_signed(writer, "", AS(int32_t));
        return 0;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        put_signed(writer, "\"", AS(int64_t));
        return 0;
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        put_integer(writer, "", AS(uint32_t), false);
        return 0;
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        put_integer(writer, "\"", AS(uint64_t), false);
        return 0;
    case PROTOBUF_C_TYPE_FLOAT:
        put_double(writer, (double)AS(float), 6, 9);
        return 0;
    case PROTOBUF_C_TYPE_DOUBLE:
        put_double(writer, AS(double), 15, 17);
        return 0;
    case PROTOBUF_C_TYPE_BOOL:
        put(writer, AS(protobuf_c_boolean) ? "true" : "false");
        return 0;
    case PROTOBUF_C_TYPE_ENUM:
        put_enum(writer, field->descriptor, AS(int));
        return 0;
    case PROTOBUF_C_TYPE_STRING:
        return put_string(writer, path, AS(char *) ? AS(char *) : "");
    case PROTOBUF_C_TYPE_BYTES:
        put_base64(writer, value);
        return 0;
    case PROTOBUF_C_TYPE_MESSAGE:
        if (!AS(ProtobufCMessage *))
            return codec_path_error(path, writer->error, EBADMSG, "a message is missing here");
        return write_message(writer, path, AS(ProtobufCMessage *), depth + 1);
    }
    return codec_path_error(path, writer->error, EBADMSG, "unknown type %d", (int)field->type);
}

static int write_list(const Writer *writer, const CodecPath *path, const ProtobufCFieldDescriptor *field,
                      const char *items, size_t count, unsigned depth)
{
    put(writer, "[");
    for (size_t i = 0; i < count; i++) {
        if (i)
            put(writer, ",");
        CodecPath element = {.outer = path, .index = i};
        int r = write_value(writer, &element, field, items + i * codec_element_size(field->type), depth);
        if (r < 0)
            return r;
    }
    put(writer, "]");
    return 0;
}

static bool is_default(const ProtobufCFieldDescriptor *field, const void *value)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_STRING:
        return !AS(char *) || !*AS(char *);
    case PROTOBUF_C_TYPE_BYTES:
        return AS(ProtobufCBinaryData).len == 0;
    case PROTOBUF_C_TYPE_DOUBLE:
    case PROTOBUF_C_TYPE_FLOAT: /* bit by bit: -0.0 is not the default */
    default: {
        static const char zero[sizeof(ProtobufCBinaryData)];
        return memcmp(value, zero, codec_element_size(field->type)) == 0;
    }
    }
}

static bool is_present(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    const void *value = codec_member(message, field->offset);
    const void *quantifier = codec_member(message, field->quantifier_offset);
    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        return *(const size_t *)quantifier > 0;
    if (codec_is_oneof(field))
        return *(const uint32_t *)quantifier == field->id;
    if (field->label == PROTOBUF_C_LABEL_NONE)
        return !is_default(field, value);
    if (field->type == PROTOBUF_C_TYPE_MESSAGE || field->type == PROTOBUF_C_TYPE_STRING)
        return AS(void *) != NULL;
    return field->label == PROTOBUF_C_LABEL_REQUIRED || *(const protobuf_c_boolean *)quantifier;
}

static void put_name(const Writer *writer, const char *name)
{
    char *out = buffer_reserve(writer->buffer, strlen(name) + 3);
    if (!out)
        return;
    char *at = out;
    *at++ = '"';
    at = codec_json_name(name, at);
    *at++ = '"';
    *at++ = ':';
    writer->buffer->size += (size_t)(at - out);
}

static int write_message(const Writer *writer, const CodecPath *path, const ProtobufCMessage *message, unsigned depth)
{
    if (depth > CODEC_DEPTH_MAX)
        return codec_path_error(path, writer->error, EMSGSIZE, "messages are nested deeper than %u", CODEC_DEPTH_MAX);
    put(writer, "{");
    bool first = true;
    for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
        if (!is_present(message, field))
            continue;
        if (!first)
            put(writer, ",");
        first = false;
        put_name(writer, field->name);
        CodecPath here = {.outer = path, .name = field->name};
        const void *value = codec_member(message, field->offset);
        int r = field->label == PROTOBUF_C_LABEL_REPEATED
                    ? write_list(writer, &here, field, AS(char *),
                                 *(const size_t *)codec_member(message, field->quantifier_offset), depth)
                    : write_value(writer, &here, field, value, depth);
        if (r < 0)
            return r;
    }
    put(writer, "}");
    return 0;
}

int codec_json_encode(const ProtobufCMessage *message, Buffer *buffer, InaError *error)
{
    int r = write_message(&(Writer){.buffer = buffer, .error = error}, NULL, message, 0);
    if (r < 0)
        return r;
    if (buffer->failed)
        return ina_error_set(error, ENOMEM, "no memory for the JSON of a %s", message->descriptor->name);
    if (buffer->size > CODEC_MESSAGE_MAX)
        return ina_error_set(error, EMSGSIZE, "%s of %zu bytes as JSON: at most %u can be sent",
                             message->descriptor->name, buffer->size, CODEC_MESSAGE_MAX);
    return 0;
}
