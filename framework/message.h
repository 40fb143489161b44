/* message.h - protobuf-c messages as values: copies, and from one version of
 * a contract into another. A made message is one block of memory with all it
 * points to, so it is freed without its descriptor (whose bundle may be gone). */
#pragma once

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stdint.h>

#define MESSAGE_DEPTH_MAX 64 /* messages within messages */

/* A copy that is of `descriptor`, which must have the layout of the message's
 * own (the contracts' digests are equal). NULL: out of memory, or nested too
 * deeply. free() it. */
ProtobufCMessage *message_copy(const ProtobufCMessage *message, const ProtobufCMessageDescriptor *descriptor);

typedef struct MessageBytes {
    size_t size;
    uint8_t data[];
} MessageBytes;

MessageBytes *message_pack(const ProtobufCMessage *message); /* NULL: out of memory. free() it. */

/* An unpacked message and the memory it is in. */
typedef struct MessageArena MessageArena;
/* NULL: out of memory, or the bytes are no such message. */
ProtobufCMessage *message_unpack(const MessageBytes *bytes, const ProtobufCMessageDescriptor *descriptor,
                                 MessageArena **ret_arena);
MessageArena *message_arena_free(MessageArena *arena);
