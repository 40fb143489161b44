/* codec_binary.c - binary protobuf: protobuf-c does the work, after a walk over
 * the bytes that refuses what it would not survive: it recurses without limit,
 * does not look at strings, and merges duplicates at quadratic cost. The walk
 * touches field headers and strings only. */
#include "codec_internal.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef struct Scan {
    InaError *error;
    const uint8_t *start;
} Scan;

enum { WIRE_VARINT = 0, WIRE_64BIT = 1, WIRE_BYTES = 2, WIRE_32BIT = 5 };

static int truncated(const Scan *scan, const CodecPath *path, const uint8_t *at)
{
    return codec_path_error(path, scan->error, EBADMSG, "the message is cut short at byte %zu",
                            (size_t)(at - scan->start));
}

/* Returns its length, 0 when cut short or longer than `longest`. */
static size_t varint(const uint8_t *at, const uint8_t *end, size_t longest, uint64_t *ret)
{
    uint64_t value = 0;
    for (size_t i = 0; i < longest && at + i < end; i++) {
        value |= (uint64_t)(at[i] & 0x7f) << (7 * i);
        if (!(at[i] & 0x80)) {
            *ret = value;
            return i + 1;
        }
    }
    return 0;
}

static unsigned wire_type_of(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
        return WIRE_32BIT;
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return WIRE_64BIT;
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE:
        return WIRE_BYTES;
    default:
        return WIRE_VARINT;
    }
}

static int check_wire(const Scan *scan, const CodecPath *path, const ProtobufCFieldDescriptor *field, unsigned wire)
{
    unsigned expected = wire_type_of(field->type);
    bool packed = field->label == PROTOBUF_C_LABEL_REPEATED && wire == WIRE_BYTES;
    if (wire == expected || packed)
        return 0;
    return codec_path_error(path, scan->error, EBADMSG, "has wire type %u where %u is right", wire, expected);
}

static int check_string(const Scan *scan, const CodecPath *path, const uint8_t *at, size_t size)
{
    if (memchr(at, 0, size))
        return codec_path_error(path, scan->error, EBADMSG, "the string has a NUL in it");
    size_t valid = codec_utf8_span((const char *)at, size);
    if (valid < size)
        return codec_path_error(path, scan->error, EBADMSG, "the string is not UTF-8 from its byte %zu on", valid);
    return 0;
}

static int scan_message(Scan *scan, const CodecPath *path, const ProtobufCMessageDescriptor *type, const uint8_t *at,
                        const uint8_t *end, unsigned depth);

static int scan_content(Scan *scan, const CodecPath *path, const ProtobufCFieldDescriptor *field, const uint8_t *at,
                        size_t size, unsigned depth)
{
    if (!field)
        return 0;
    if (field->type == PROTOBUF_C_TYPE_STRING)
        return check_string(scan, path, at, size);
    if (field->type == PROTOBUF_C_TYPE_MESSAGE)
        return scan_message(scan, path, field->descriptor, at, at + size, depth + 1);
    return 0;
}

/* Passes over the field's value; returns where the next field begins, NULL on
 * error. */
static const uint8_t *scan_value(Scan *scan, const CodecPath *path, const ProtobufCFieldDescriptor *field,
                                 unsigned wire, const uint8_t *at, const uint8_t *end, unsigned depth)
{
    uint64_t value;
    size_t length;
    switch (wire) {
    case WIRE_VARINT:
        length = varint(at, end, 10, &value);
        if (length)
            return at + length;
        truncated(scan, path, at);
        return NULL;
    case WIRE_64BIT:
    case WIRE_32BIT:
        length = wire == WIRE_64BIT ? 8 : 4;
        if ((size_t)(end - at) >= length)
            return at + length;
        truncated(scan, path, at);
        return NULL;
    case WIRE_BYTES:
        length = varint(at, end, 5, &value);
        if (!length || value > (uint64_t)(end - at) - length) {
            truncated(scan, path, at);
            return NULL;
        }
        at += length;
        return scan_content(scan, path, field, at, value, depth) < 0 ? NULL : at + value;
    default:
        codec_path_error(path, scan->error, EBADMSG, "unknown wire type %u at byte %zu", wire,
                         (size_t)(at - scan->start));
        return NULL;
    }
}

static int scan_message(Scan *scan, const CodecPath *path, const ProtobufCMessageDescriptor *type, const uint8_t *at,
                        const uint8_t *end, unsigned depth)
{
    if (depth > CODEC_DEPTH_MAX)
        return codec_path_error(path, scan->error, EMSGSIZE, "messages are nested deeper than %u", CODEC_DEPTH_MAX);
    const ProtobufCFieldDescriptor *field = NULL;
    size_t single = 0, repeated = 0;
    while (at < end) {
        uint64_t tag;
        size_t length = varint(at, end, 5, &tag);
        if (!length)
            return truncated(scan, path, at);
        uint32_t number = (uint32_t)(tag >> 3);
        if (!number || tag > UINT32_MAX)
            return codec_path_error(path, scan->error, EBADMSG, "there is no field number %llu (byte %zu)",
                                    (unsigned long long)(tag >> 3), (size_t)(at - scan->start));
        unsigned wire = tag & 7;
        if (!field || field->id != number) {
            field = protobuf_c_message_descriptor_get_field(type, number);
            repeated = 0;
        }
        CodecPath here = {.outer = path, .name = field ? field->name : "unknown field"};
        CodecPath element = {.outer = &here, .index = repeated};
        const CodecPath *where = &here;
        if (field) {
            int r = check_wire(scan, &here, field, wire);
            if (r < 0)
                return r;
            if (field->label == PROTOBUF_C_LABEL_REPEATED) {
                repeated++;
                where = &element;
            } else if (++single > type->n_fields + CODEC_MERGES_MAX)
                return codec_path_error(&here, scan->error, EMSGSIZE, "single fields are repeated too often");
        }
        at = scan_value(scan, where, field, wire, at + length, end, depth);
        if (!at)
            return -(scan->error->code);
    }
    return 0;
}

int codec_unpack(const ProtobufCMessageDescriptor *type, const void *data, size_t size, ProtobufCMessage **ret,
                 InaError *error)
{
    InaError ours = {0};
    if (!error)
        error = &ours;
    if (size > CODEC_MESSAGE_MAX)
        return ina_error_set(error, EMSGSIZE, "message of %zu bytes: at most %u are allowed", size, CODEC_MESSAGE_MAX);
    const uint8_t *bytes = size ? data : (const uint8_t *)"";
    int r = scan_message(&(Scan){.error = error, .start = bytes}, NULL, type, bytes, bytes + size, 0);
    if (r < 0)
        return r;
    CodecBudget budget = codec_budget(size);
    ProtobufCAllocator allocator = codec_budget_allocator(&budget);
    ProtobufCMessage *message = protobuf_c_message_unpack(type, &allocator, size, bytes);
    if (!message && budget.exceeded)
        return ina_error_set(error, EMSGSIZE, "message of %zu bytes would take more than %zu bytes of memory", size,
                             budget.maximum);
    if (!message)
        return ina_error_set(error, EBADMSG, "message is not a %s", type->name);
    *ret = message;
    return 0;
}

int codec_pack(const ProtobufCMessage *message, void **ret, size_t *ret_size, InaError *error)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    if (size > CODEC_MESSAGE_MAX)
        return ina_error_set(error, EMSGSIZE, "%s of %zu bytes: at most %u can be sent", message->descriptor->name,
                             size, CODEC_MESSAGE_MAX);
    uint8_t *data = malloc(size ? size : 1);
    if (!data)
        return ina_error_set(error, ENOMEM, "no memory for a message of %zu bytes", size);
    protobuf_c_message_pack(message, data);
    *ret = data;
    *ret_size = size;
    return 0;
}
