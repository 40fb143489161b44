/* codec_internal.h - what the two codecs share: paths for errors, the budget
 * of memory, UTF-8, names. */
#pragma once

#include "codec.h"
#include <stdbool.h>
#include <stdint.h>

/* Where in a message we are: a chain of frames on the stack, written out only
 * when there is an error to report. */
typedef struct CodecPath {
    const struct CodecPath *outer;
    const char *name; /* of a field; NULL: an element of the list `outer` */
    size_t index;
} CodecPath;

/* Sets `error` to "PATH: message" and returns -code. */
int codec_path_error(const CodecPath *path, InaError *error, int code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

typedef struct CodecBudget {
    size_t used, maximum;
    bool exceeded;
} CodecBudget;

CodecBudget codec_budget(size_t wire_size);
/* An allocator that keeps within a budget; what it gives is free()d as usual. */
ProtobufCAllocator codec_budget_allocator(CodecBudget *budget);
bool codec_budget_take(CodecBudget *budget, size_t size);

/* Length of the valid UTF-8 at the beginning; `size` when all is. */
size_t codec_utf8_span(const char *text, size_t size);

/* Writes a field's lowerCamelCase name (never longer than the original) and
 * returns the end of it. */
char *codec_json_name(const char *name, char *out);

static inline size_t codec_element_size(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return 8;
    case PROTOBUF_C_TYPE_BOOL:
        return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    default:
        return 4;
    }
}

static inline void *codec_member(const ProtobufCMessage *message, unsigned offset)
{
    return (char *)message + offset;
}

static inline bool codec_is_oneof(const ProtobufCFieldDescriptor *field)
{
    return (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0;
}
