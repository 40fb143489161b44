/* protobuf_internal.h - which number each field of a message has. */
#pragma once

#include <stddef.h>

typedef struct ProtobufField {
    unsigned number; /* 0 ends the list */
    const char *name;
    const char *message; /* of an entry without name: whose fields stand in the object itself */
} ProtobufField;

typedef struct ProtobufMessage {
    const char *name; /* as Schema has it: "io.k8s.api.core.v1.PodSpec"; NULL ends the list */
    const ProtobufField *fields;
} ProtobufMessage;

extern const ProtobufMessage protobuf_messages[];
