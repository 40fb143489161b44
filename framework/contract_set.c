/* contract_set.c - see contract_set.h. */
#include "contract_set.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef struct Types {
    const ProtobufCMessageDescriptor *messages[CONTRACT_TYPES_MAX];
    const ProtobufCEnumDescriptor *enums[CONTRACT_TYPES_MAX];
    size_t n_messages, n_enums;
} Types;

static int too_many(InaError *error)
{
    return ina_error_set(error, E2BIG, "more than %u types", CONTRACT_TYPES_MAX);
}

static int add_message(Types *types, const ProtobufCMessageDescriptor *message, InaError *error)
{
    for (size_t i = 0; i < types->n_messages; i++)
        if (types->messages[i] == message)
            return 0;
    if (types->n_messages >= CONTRACT_TYPES_MAX)
        return too_many(error);
    if (!message->name || !message->package_name)
        return ina_error_set(error, EINVAL, "a message has no name; the contract was built without (CODE_SIZE)");
    types->messages[types->n_messages++] = message;
    return 0;
}

static int add_enum(Types *types, const ProtobufCEnumDescriptor *enumeration, InaError *error)
{
    for (size_t i = 0; i < types->n_enums; i++)
        if (types->enums[i] == enumeration)
            return 0;
    if (types->n_enums >= CONTRACT_TYPES_MAX)
        return too_many(error);
    if (!enumeration->name || !enumeration->package_name)
        return ina_error_set(error, EINVAL, "an enum has no name; the contract was built without (CODE_SIZE)");
    types->enums[types->n_enums++] = enumeration;
    return 0;
}

static int collect(const InaContract *contract, Types *types, InaError *error)
{
    int r = 0;

    for (unsigned i = 0; r == 0 && i < contract->n_methods; i++) {
        r = add_message(types, contract->methods[i].input, error);
        if (r == 0)
            r = add_message(types, contract->methods[i].output, error);
    }
    /* What is found behind the end of the list is looked through in its turn. */
    for (size_t i = 0; r == 0 && i < types->n_messages; i++)
        for (unsigned j = 0; r == 0 && j < types->messages[i]->n_fields; j++) {
            const ProtobufCFieldDescriptor *field = &types->messages[i]->fields[j];
            if (!field->name)
                r = ina_error_set(error, EINVAL, "a field has no name; the contract was built without (CODE_SIZE)");
            else if (field->type == PROTOBUF_C_TYPE_MESSAGE)
                r = add_message(types, field->descriptor, error);
            else if (field->type == PROTOBUF_C_TYPE_ENUM)
                r = add_enum(types, field->descriptor, error);
        }
    return r;
}

/* --- the wire ---------------------------------------------------------------- */

static void put_varint(Buffer *out, uint64_t value)
{
    unsigned char bytes[10];
    size_t n = 0;

    do {
        bytes[n++] = (unsigned char)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
        value >>= 7;
    } while (value > 0);
    buffer_append(out, bytes, n);
}

static void put_number(Buffer *out, unsigned field, uint64_t value)
{
    put_varint(out, field << 3);
    put_varint(out, value);
}

static void put_bytes(Buffer *out, unsigned field, const void *data, size_t size)
{
    put_varint(out, field << 3 | 2);
    put_varint(out, size);
    if (size > 0)
        buffer_append(out, data, size);
}

static void put_string(Buffer *out, unsigned field, const char *text)
{
    put_bytes(out, field, text, strlen(text));
}

/* Takes `inner`. */
static void put_message(Buffer *out, unsigned field, Buffer *inner)
{
    put_bytes(out, field, inner->data, inner->size);
    out->failed = out->failed || inner->failed;
    buffer_free(inner);
    *inner = (Buffer){0};
}

static void put_type_name(Buffer *out, unsigned field, const char *name)
{
    Buffer text = {0};

    buffer_print(&text, ".%s", name);
    put_message(out, field, &text);
}

/* --- descriptors ---------------------------------------------------------------- */

/* Within its package: "Outer.Inner" for a nested one. */
static const char *relative(const char *name, const char *package)
{
    size_t length = strlen(package);
    return length > 0 && strncmp(name, package, length) == 0 && name[length] == '.' ? name + length + 1 : name;
}

static unsigned type_number(ProtobufCType type)
{
    static const unsigned char numbers[] = {
        [PROTOBUF_C_TYPE_INT32] = 5,   [PROTOBUF_C_TYPE_SINT32] = 17,  [PROTOBUF_C_TYPE_SFIXED32] = 15,
        [PROTOBUF_C_TYPE_INT64] = 3,   [PROTOBUF_C_TYPE_SINT64] = 18,  [PROTOBUF_C_TYPE_SFIXED64] = 16,
        [PROTOBUF_C_TYPE_UINT32] = 13, [PROTOBUF_C_TYPE_FIXED32] = 7,  [PROTOBUF_C_TYPE_UINT64] = 4,
        [PROTOBUF_C_TYPE_FIXED64] = 6, [PROTOBUF_C_TYPE_FLOAT] = 2,    [PROTOBUF_C_TYPE_DOUBLE] = 1,
        [PROTOBUF_C_TYPE_BOOL] = 8,    [PROTOBUF_C_TYPE_ENUM] = 14,    [PROTOBUF_C_TYPE_STRING] = 9,
        [PROTOBUF_C_TYPE_BYTES] = 12,  [PROTOBUF_C_TYPE_MESSAGE] = 11,
    };
    return numbers[type];
}

/* FieldDescriptorProto: name 1, number 3, label 4, type 5, type_name 6, oneof_index 9. */
static void put_field(Buffer *out, const ProtobufCFieldDescriptor *field)
{
    Buffer inner = {0};

    put_string(&inner, 1, field->name);
    put_number(&inner, 3, field->id);
    put_number(&inner, 4,
               field->label == PROTOBUF_C_LABEL_REPEATED   ? 3
               : field->label == PROTOBUF_C_LABEL_REQUIRED ? 2
                                                           : 1);
    put_number(&inner, 5, type_number(field->type));
    if (field->type == PROTOBUF_C_TYPE_MESSAGE)
        put_type_name(&inner, 6, ((const ProtobufCMessageDescriptor *)field->descriptor)->name);
    else if (field->type == PROTOBUF_C_TYPE_ENUM)
        put_type_name(&inner, 6, ((const ProtobufCEnumDescriptor *)field->descriptor)->name);
    if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
        put_number(&inner, 9, 0);
    put_message(out, 2, &inner);
}

static void put_message_type(Buffer *out, const ProtobufCMessageDescriptor *message)
{
    Buffer inner = {0}, oneof = {0};
    bool oneofs = false;

    put_string(&inner, 1, relative(message->name, message->package_name));
    for (unsigned i = 0; i < message->n_fields; i++) {
        put_field(&inner, &message->fields[i]);
        oneofs = oneofs || (message->fields[i].flags & PROTOBUF_C_FIELD_FLAG_ONEOF);
    }
    if (oneofs) {
        put_string(&oneof, 1, "oneof");
        put_message(&inner, 8, &oneof);
    }
    put_message(out, 4, &inner);
}

static void put_enum(Buffer *out, const ProtobufCEnumDescriptor *enumeration)
{
    Buffer inner = {0}, value = {0};

    put_string(&inner, 1, relative(enumeration->name, enumeration->package_name));
    for (unsigned i = 0; i < enumeration->n_values; i++) {
        put_string(&value, 1, enumeration->values[i].name);
        put_number(&value, 2, (uint64_t)(int64_t)enumeration->values[i].value);
        put_message(&inner, 2, &value);
    }
    put_message(out, 5, &inner);
}

/* MethodDescriptorProto: name 1, input_type 2, output_type 3, options 4 { idempotency_level 34 }. */
static void put_service(Buffer *out, const InaContract *contract, const char *package)
{
    Buffer inner = {0}, method = {0}, options = {0};

    put_string(&inner, 1, relative(contract->name, package));
    for (unsigned i = 0; i < contract->n_methods; i++) {
        put_string(&method, 1, contract->methods[i].name);
        put_type_name(&method, 2, contract->methods[i].input->name);
        put_type_name(&method, 3, contract->methods[i].output->name);
        if (contract->methods[i].flags & INA_METHOD_REPEATABLE) {
            put_number(&options, 34, 2); /* IDEMPOTENT, of which NO_SIDE_EFFECTS is one */
            put_message(&method, 4, &options);
        }
        put_message(&inner, 2, &method);
    }
    put_message(out, 6, &inner);
}

static void put_file(Buffer *out, const InaContract *contract, const Types *types, const char *package, bool service)
{
    Buffer inner = {0};

    put_string(&inner, 1, contract->name);
    put_string(&inner, 2, package);
    for (size_t i = 0; i < types->n_messages; i++)
        if (strcmp(types->messages[i]->package_name, package) == 0)
            put_message_type(&inner, types->messages[i]);
    for (size_t i = 0; i < types->n_enums; i++)
        if (strcmp(types->enums[i]->package_name, package) == 0)
            put_enum(&inner, types->enums[i]);
    if (service)
        put_service(&inner, contract, package);
    put_string(&inner, 12, "proto3");
    put_message(out, 1, &inner);
}

/* Whether a type before this one is of the same package. */
static bool seen(const Types *types, size_t message, size_t enumeration, const char *package)
{
    for (size_t i = 0; i < message; i++)
        if (strcmp(types->messages[i]->package_name, package) == 0)
            return true;
    for (size_t i = 0; i < enumeration; i++)
        if (strcmp(types->enums[i]->package_name, package) == 0)
            return true;
    return false;
}

static void put_files(Buffer *out, const InaContract *contract, const Types *types, const char *own)
{
    put_file(out, contract, types, own, true);
    for (size_t i = 0; i < types->n_messages; i++) {
        const char *package = types->messages[i]->package_name;
        if (strcmp(package, own) != 0 && !seen(types, i, 0, package))
            put_file(out, contract, types, package, false);
    }
    for (size_t i = 0; i < types->n_enums; i++) {
        const char *package = types->enums[i]->package_name;
        if (strcmp(package, own) != 0 && !seen(types, types->n_messages, i, package))
            put_file(out, contract, types, package, false);
    }
}

int contract_set_write(const InaContract *contract, Buffer *ret, InaError *error)
{
    char package[256];
    const char *dot = strrchr(contract->name, '.');
    size_t length = dot ? (size_t)(dot - contract->name) : 0;
    Buffer out = {0};

    if (length >= sizeof package)
        return ina_error_set(error, EINVAL, "contract %.80s: the name is too long", contract->name);
    memcpy(package, contract->name, length);
    package[length] = '\0';
    Types *types = calloc(1, sizeof *types);
    int r = types ? collect(contract, types, error) : ina_error_set(error, ENOMEM, "out of memory");
    if (r == 0)
        put_files(&out, contract, types, package);
    free(types);
    if (r == 0 && out.failed)
        r = ina_error_set(error, ENOMEM, "out of memory");
    if (r < 0) {
        buffer_free(&out);
        return ina_error_wrap(error, "contract %s", contract->name);
    }
    *ret = out;
    return 0;
}
