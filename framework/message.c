#include "message.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define ALIGNMENT _Alignof(max_align_t)
#define ARENA_SIZE 1024u

/* Walks a message twice: with `memory` NULL to measure, then to copy. */
typedef struct Copier {
    char *memory;
    size_t used;
    bool failed;
} Copier;

static void *take(Copier *copier, const void *from, size_t size)
{
    size_t start = copier->used;
    copier->used += (size + ALIGNMENT - 1) & ~(ALIGNMENT - 1);
    if (copier->memory == NULL)
        return NULL;
    return memcpy(copier->memory + start, from, size);
}

static size_t element_size(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_ENUM:
        return 4;
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
        return sizeof(char *);
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(ProtobufCMessage *);
    }
    return 0;
}

static ProtobufCMessage *copy_message(Copier *copier, const ProtobufCMessage *message,
                                      const ProtobufCMessageDescriptor *descriptor, unsigned depth);

/* Copies what one member (`from`) points to and lets its copy (`to`, NULL when measuring) point there. */
static void copy_member(Copier *copier, const ProtobufCFieldDescriptor *field, const void *from, void *to,
                        unsigned depth)
{
    if (field->type == PROTOBUF_C_TYPE_STRING) {
        const char *string = *(char *const *)from;
        /* The library's shared empty string stays what it is: the packer knows it by address. */
        if (string == NULL || string == protobuf_c_empty_string)
            return;
        char *copy = take(copier, string, strlen(string) + 1);
        if (to != NULL)
            *(char **)to = copy;
    } else if (field->type == PROTOBUF_C_TYPE_BYTES) {
        const ProtobufCBinaryData *bytes = from;
        if (bytes->data == NULL || bytes->len == 0)
            return;
        uint8_t *copy = take(copier, bytes->data, bytes->len);
        if (to != NULL)
            ((ProtobufCBinaryData *)to)->data = copy;
    } else if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
        const ProtobufCMessage *message = *(ProtobufCMessage *const *)from;
        if (message == NULL)
            return;
        ProtobufCMessage *copy = copy_message(copier, message, field->descriptor, depth + 1);
        if (to != NULL)
            *(ProtobufCMessage **)to = copy;
    }
}

static bool has_pointers(ProtobufCType type)
{
    return type == PROTOBUF_C_TYPE_STRING || type == PROTOBUF_C_TYPE_BYTES || type == PROTOBUF_C_TYPE_MESSAGE;
}

static void copy_field(Copier *copier, const ProtobufCFieldDescriptor *field, const char *from, char *to,
                       unsigned depth)
{
    if (field->label != PROTOBUF_C_LABEL_REPEATED) {
        /* Of a union only the chosen member is there. */
        if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0 &&
            *(const uint32_t *)(from + field->quantifier_offset) != field->id)
            return;
        copy_member(copier, field, from + field->offset, to != NULL ? to + field->offset : NULL, depth);
        return;
    }
    size_t count = *(const size_t *)(from + field->quantifier_offset);
    if (count == 0)
        return;
    size_t size = element_size(field->type);
    const char *elements = *(char *const *)(from + field->offset);
    char *copies = take(copier, elements, count * size);
    if (to != NULL)
        *(char **)(to + field->offset) = copies;
    for (size_t i = 0; has_pointers(field->type) && i < count; i++)
        copy_member(copier, field, elements + i * size, copies != NULL ? copies + i * size : NULL, depth);
}

static void copy_unknown(Copier *copier, const ProtobufCMessage *message, ProtobufCMessage *copy)
{
    if (message->n_unknown_fields == 0)
        return;
    ProtobufCMessageUnknownField *copies =
        take(copier, message->unknown_fields, message->n_unknown_fields * sizeof(*message->unknown_fields));
    if (copy != NULL)
        copy->unknown_fields = copies;
    for (unsigned i = 0; i < message->n_unknown_fields; i++) {
        uint8_t *data = take(copier, message->unknown_fields[i].data, message->unknown_fields[i].len);
        if (copies != NULL)
            copies[i].data = data;
    }
}

static ProtobufCMessage *copy_message(Copier *copier, const ProtobufCMessage *message,
                                      const ProtobufCMessageDescriptor *descriptor, unsigned depth)
{
    if (depth == MESSAGE_DEPTH_MAX || copier->failed) {
        copier->failed = true;
        return NULL;
    }
    ProtobufCMessage *copy = take(copier, message, descriptor->sizeof_message);
    if (copy != NULL)
        copy->descriptor = descriptor;
    for (unsigned i = 0; i < descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &descriptor->fields[i];
        if (has_pointers(field->type) || field->label == PROTOBUF_C_LABEL_REPEATED)
            copy_field(copier, field, (const char *)message, (char *)copy, depth);
    }
    copy_unknown(copier, message, copy);
    return copy;
}

ProtobufCMessage *message_copy(const ProtobufCMessage *message, const ProtobufCMessageDescriptor *descriptor)
{
    Copier copier = {0};
    copy_message(&copier, message, descriptor, 0);
    if (copier.failed)
        return NULL;
    copier.memory = malloc(copier.used);
    if (copier.memory == NULL)
        return NULL;
    copier.used = 0;
    return copy_message(&copier, message, descriptor, 0);
}

MessageBytes *message_pack(const ProtobufCMessage *message)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    MessageBytes *bytes = malloc(sizeof(MessageBytes) + size);
    if (bytes != NULL)
        bytes->size = protobuf_c_message_pack(message, bytes->data);
    return bytes;
}

/* Blocks, the newest first; nothing is given back before the end. */
struct MessageArena {
    struct MessageArena *next;
    size_t used, size;
    _Alignas(max_align_t) char memory[];
};

static void *arena_take(void *allocator_data, size_t size)
{
    MessageArena **arena = allocator_data;
    if (size > SIZE_MAX / 2)
        return NULL;
    size = (size + ALIGNMENT - 1) & ~(ALIGNMENT - 1);
    if (*arena == NULL || (*arena)->size - (*arena)->used < size) {
        size_t room = size > ARENA_SIZE ? size : ARENA_SIZE;
        MessageArena *block = malloc(sizeof(MessageArena) + room);
        if (block == NULL)
            return NULL;
        *block = (MessageArena){.next = *arena, .size = room};
        *arena = block;
    }
    void *memory = (*arena)->memory + (*arena)->used;
    (*arena)->used += size;
    return memory;
}

static void arena_give_back(void *allocator_data, void *pointer)
{
}

MessageArena *message_arena_free(MessageArena *arena)
{
    while (arena != NULL) {
        MessageArena *next = arena->next;
        free(arena);
        arena = next;
    }
    return NULL;
}

ProtobufCMessage *message_unpack(const MessageBytes *bytes, const ProtobufCMessageDescriptor *descriptor,
                                 MessageArena **ret_arena)
{
    MessageArena *arena = NULL;
    ProtobufCAllocator allocator = {.alloc = arena_take, .free = arena_give_back, .allocator_data = &arena};
    ProtobufCMessage *message = protobuf_c_message_unpack(descriptor, &allocator, bytes->size, bytes->data);
    if (message == NULL) {
        message_arena_free(arena);
        return NULL;
    }
    *ret_arena = arena;
    return message;
}
