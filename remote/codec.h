/* codec.h - messages to and from bytes: binary protobuf, and its JSON mapping.
 *
 * Both work by protobuf-c's descriptors, so they know no contract. What comes
 * in is from outside and trusted with nothing: sizes, nesting and the memory
 * it may take are limited, strings must be UTF-8 without NUL (C strings could
 * not carry one), and an error names the path: "batches[2].value1[17]: ...".
 *
 * The JSON is proto3's mapping (protobuf.dev, "ProtoJSON Format"): 64-bit
 * integers are written as strings, non-finite numbers as "NaN", "Infinity",
 * "-Infinity", bytes in base64, enums by name; fields with their default are
 * left out. Reading takes a field's lowerCamelCase or original name, integers
 * as numbers or strings, enums by name or number, base64 of either alphabet,
 * null for "not set"; it refuses a field named twice and two of one oneof.
 * Maps are lists of entries here, since the descriptors do not tell. */
#pragma once

#include "base/map.h"
#include <inaetics/error.h>
#include <protobuf-c/protobuf-c.h>
#include <stddef.h>

#define CODEC_MESSAGE_MAX (64u * 1024u * 1024u) /* bytes on the wire, either form */
#define CODEC_DEPTH_MAX 100u                    /* messages in messages, as protobuf's own limit */
/* A message may take this much memory: two bytes on the wire can ask for a
 * struct of a hundred. */
#define CODEC_MEMORY_BASE (4u * 1024u * 1024u)
#define CODEC_MEMORY_FACTOR 16u
#define CODEC_MEMORY_MAX (256u * 1024u * 1024u)
/* Times that fields which can be there once may be repeated within a message.
 * Protobuf merges them, which costs the square of their number. */
#define CODEC_MERGES_MAX 64u

typedef enum CodecFlags {
    CODEC_REFUSE_UNKNOWN = 1, /* JSON: refuse unknown fields; else they are skipped, as Connect's servers do */
} CodecFlags;

/* Results are freed by protobuf_c_message_free_unpacked(message, NULL).
 * -EBADMSG: malformed; -EMSGSIZE: beyond a limit; -ENOMEM. */
int codec_unpack(const ProtobufCMessageDescriptor *type, const void *data, size_t size, ProtobufCMessage **ret,
                 InaError *error);
int codec_json_decode(const ProtobufCMessageDescriptor *type, const char *text, size_t size, unsigned flags,
                      ProtobufCMessage **ret, InaError *error);

/* malloc'ed; never NULL, also for an empty message. */
int codec_pack(const ProtobufCMessage *message, void **ret, size_t *ret_size, InaError *error);
int codec_json_encode(const ProtobufCMessage *message, Buffer *buffer, InaError *error);
