/* codec_json_decode.c - a message from JSON. */
#include "json_reader.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_SIZE 256u /* of a field or an enum's value, with its NUL */

typedef struct Decoder {
    JsonReader reader;
    unsigned flags;
} Decoder;

static int read_message(Decoder *decoder, const CodecPath *path, const ProtobufCMessageDescriptor *type,
                        ProtobufCMessage **ret, unsigned depth);

static int too_large(Decoder *decoder, const CodecPath *path)
{
    return codec_path_error(path, decoder->reader.error, EMSGSIZE, "the message takes more than %zu bytes of memory",
                            decoder->reader.budget->maximum);
}

/* --- numbers ------------------------------------------------------------ */

/* The text of a number, which may stand in a string. */
static int number_text(Decoder *decoder, const CodecPath *path, char text[static JSON_NUMBER_MAX], bool *ret_string)
{
    JsonReader *reader = &decoder->reader;
    *ret_string = reader_peek(reader) == '"';
    if (!*ret_string)
        return reader_number(reader, path, text);
    bool cut;
    return reader_short_string(reader, path, text, JSON_NUMBER_MAX, &cut);
}

/* Exact for all of int64 and uint64; "1e3" and "2.0" are integers too. */
static bool parse_integer(const char *text, bool *ret_negative, uint64_t *ret)
{
    bool negative = *text == '-';
    const char *at = text + negative;
    uint64_t value = 0;
    for (; *at >= '0' && *at <= '9'; at++)
        if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, (uint64_t)(*at - '0'), &value))
            return false;
    if (*at) {
        double real = strtod(text + negative, NULL);
        if (!(real < 0x1p64) || real != trunc(real))
            return false;
        value = (uint64_t)real;
    }
    *ret_negative = negative && value > 0;
    *ret = value;
    return true;
}

static int read_integer(Decoder *decoder, const CodecPath *path, int64_t minimum, uint64_t maximum, uint64_t *ret)
{
    char text[JSON_NUMBER_MAX];
    bool quoted, negative;
    uint64_t magnitude;
    int r = number_text(decoder, path, text, &quoted);
    if (r < 0)
        return r;
    if (!reader_is_number(text, strlen(text)))
        return codec_path_error(path, decoder->reader.error, EBADMSG, "expected an integer, found \"%.40s\"", text);
    bool valid = parse_integer(text, &negative, &magnitude);
    if (valid && negative)
        valid = minimum < 0 && magnitude <= -(uint64_t)minimum;
    else if (valid)
        valid = magnitude <= maximum;
    if (!valid)
        return codec_path_error(path, decoder->reader.error, EBADMSG, "%.40s is no integer from %lld to %llu", text,
                                (long long)minimum, (unsigned long long)maximum);
    *ret = negative ? -magnitude : magnitude;
    return 0;
}

static int read_real(Decoder *decoder, const CodecPath *path, bool is_float, double *ret)
{
    static const struct {
        const char *name;
        double value;
    } names[] = {{"NaN", NAN}, {"Infinity", INFINITY}, {"-Infinity", -INFINITY}};
    char text[JSON_NUMBER_MAX];
    bool quoted;
    int r = number_text(decoder, path, text, &quoted);
    if (r < 0)
        return r;
    for (size_t i = 0; quoted && i < sizeof(names) / sizeof(*names); i++)
        if (strcmp(text, names[i].name) == 0) {
            *ret = names[i].value;
            return 0;
        }
    if (!reader_is_number(text, strlen(text)))
        return codec_path_error(path, decoder->reader.error, EBADMSG, "expected a number, found \"%.40s\"", text);
    double value = strtod(text, NULL);
    if (isinf(value) || (is_float && isinf((float)value)))
        return codec_path_error(path, decoder->reader.error, EBADMSG, "%.40s is too large for a %s", text,
                                is_float ? "float" : "double");
    *ret = value;
    return 0;
}

/* --- other scalars ------------------------------------------------------ */

static int read_boolean(Decoder *decoder, const CodecPath *path, protobuf_c_boolean *ret)
{
    if (reader_word(&decoder->reader, "true"))
        *ret = 1;
    else if (reader_word(&decoder->reader, "false"))
        *ret = 0;
    else
        return reader_wrong(&decoder->reader, path, "true or false");
    return 0;
}

static int read_enum(Decoder *decoder, const CodecPath *path, const ProtobufCEnumDescriptor *type, int *ret)
{
    if (reader_peek(&decoder->reader) != '"') {
        uint64_t number = 0;
        int r = read_integer(decoder, path, INT32_MIN, INT32_MAX, &number);
        if (r >= 0)
            *ret = (int)(int64_t)number;
        return r;
    }
    char name[NAME_SIZE];
    bool cut;
    int r = reader_short_string(&decoder->reader, path, name, sizeof(name), &cut);
    if (r < 0)
        return r;
    const ProtobufCEnumValue *value = protobuf_c_enum_descriptor_get_value_by_name(type, name);
    if (!value)
        return codec_path_error(path, decoder->reader.error, EBADMSG, "\"%.60s\" is no value of %s", name, type->name);
    *ret = value->value;
    return 0;
}

static int base64_digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' || c == '-' ? 62 : c == '/' || c == '_' ? 63 : -1;
}

/* In place: what is decoded is shorter. Either alphabet, padding or none. */
static bool base64_decode(char *text, size_t size, size_t *ret_size)
{
    size_t digits = size;
    while (digits > 0 && size - digits < 2 && text[digits - 1] == '=')
        digits--;
    if (digits % 4 == 1 || (size > digits && size % 4 != 0))
        return false;
    uint32_t group = 0;
    size_t out = 0;
    unsigned bits = 0;
    for (size_t i = 0; i < digits; i++) {
        int digit = base64_digit(text[i]);
        if (digit < 0)
            return false;
        group = group << 6 | (uint32_t)digit;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            text[out++] = (char)(group >> bits & 0xff);
        }
    }
    *ret_size = out;
    return true;
}

static int read_bytes(Decoder *decoder, const CodecPath *path, ProtobufCBinaryData *ret)
{
    char *text;
    size_t size;
    int r = reader_string(&decoder->reader, path, &text, &size);
    if (r < 0)
        return r;
    if (!base64_decode(text, size, &size)) {
        free(text);
        return codec_path_error(path, decoder->reader.error, EBADMSG, "the string is not base64");
    }
    *ret = (ProtobufCBinaryData){.data = (uint8_t *)text, .len = size};
    return 0;
}

/* --- values ------------------------------------------------------------- */

/* Reads into `value`, which holds nothing that needs to be freed. */
static int read_value(Decoder *decoder, const CodecPath *path, const ProtobufCFieldDescriptor *field, void *value,
                      unsigned depth)
{
    uint64_t integer = 0;
    double real = 0;
    size_t size;
    int r;
    switch (field->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        r = read_integer(decoder, path, INT32_MIN, INT32_MAX, &integer);
        if (r >= 0)
            *(int32_t *)value = (int32_t)(int64_t)integer;
        return r;
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        r = read_integer(decoder, path, 0, UINT32_MAX, &integer);
        if (r >= 0)
            *(uint32_t *)value = (uint32_t)integer;
        return r;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        r = read_integer(decoder, path, INT64_MIN, INT64_MAX, &integer);
        if (r >= 0)
            *(int64_t *)value = (int64_t)integer;
        return r;
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        r = read_integer(decoder, path, 0, UINT64_MAX, &integer);
        if (r >= 0)
            *(uint64_t *)value = integer;
        return r;
    case PROTOBUF_C_TYPE_FLOAT:
        r = read_real(decoder, path, true, &real);
        if (r >= 0)
            *(float *)value = (float)real;
        return r;
    case PROTOBUF_C_TYPE_DOUBLE:
        return read_real(decoder, path, false, value);
    case PROTOBUF_C_TYPE_BOOL:
        return read_boolean(decoder, path, value);
    case PROTOBUF_C_TYPE_ENUM:
        return read_enum(decoder, path, field->descriptor, value);
    case PROTOBUF_C_TYPE_STRING:
        return reader_string(&decoder->reader, path, value, &size);
    case PROTOBUF_C_TYPE_BYTES:
        return read_bytes(decoder, path, value);
    case PROTOBUF_C_TYPE_MESSAGE:
        return read_message(decoder, path, field->descriptor, value, depth + 1);
    }
    return codec_path_error(path, decoder->reader.error, EBADMSG, "unknown type %d", (int)field->type);
}

/* The list in the message grows with `count`, so that a message is always
 * whole and can be freed. */
static int read_list(Decoder *decoder, const CodecPath *path, const ProtobufCFieldDescriptor *field,
                     ProtobufCMessage *message, unsigned depth)
{
    void **items = codec_member(message, field->offset);
    size_t *count = codec_member(message, field->quantifier_offset);
    size_t room = 0, size = codec_element_size(field->type);
    if (!reader_take(&decoder->reader, '['))
        return reader_wrong(&decoder->reader, path, "an array");
    if (reader_take(&decoder->reader, ']'))
        return 0;
    do {
        CodecPath element = {.outer = path, .index = *count};
        if (*count == room) {
            size_t more = room ? room : 8;
            if (!codec_budget_take(decoder->reader.budget, more * size))
                return too_large(decoder, path);
            void *moved = realloc(*items, (room + more) * size);
            if (!moved)
                return codec_path_error(path, decoder->reader.error, ENOMEM, "no memory");
            *items = moved;
            room += more;
        }
        int r = read_value(decoder, &element, field, (char *)*items + *count * size, depth);
        if (r < 0)
            return r;
        (*count)++;
    } while (reader_take(&decoder->reader, ','));
    return reader_expect(&decoder->reader, path, ']');
}

/* --- messages ----------------------------------------------------------- */

static bool name_is(const ProtobufCFieldDescriptor *field, const char *name)
{
    if (strcmp(field->name, name) == 0)
        return true;
    char json[NAME_SIZE];
    if (!strchr(field->name, '_') || strlen(field->name) >= sizeof(json))
        return false;
    *codec_json_name(field->name, json) = 0;
    return strcmp(json, name) == 0;
}

static const ProtobufCFieldDescriptor *find_field(const ProtobufCMessageDescriptor *type, const char *name)
{
    for (unsigned i = 0; i < type->n_fields; i++)
        if (name_is(&type->fields[i], name))
            return &type->fields[i];
    return NULL;
}

static int read_field(Decoder *decoder, const CodecPath *path, const ProtobufCFieldDescriptor *field,
                      ProtobufCMessage *message, unsigned depth)
{
    if (reader_word(&decoder->reader, "null"))
        return 0;
    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        return read_list(decoder, path, field, message, depth);
    uint32_t *which = codec_member(message, field->quantifier_offset);
    if (codec_is_oneof(field) && *which)
        return codec_path_error(path, decoder->reader.error, EBADMSG, "another field of the same oneof is given too");
    union {
        uint64_t integer;
        void *pointer;
        ProtobufCBinaryData bytes;
    } value = {0};
    int r = read_value(decoder, path, field, &value, depth);
    if (r < 0)
        return r;
    memcpy(codec_member(message, field->offset), &value, codec_element_size(field->type));
    if (codec_is_oneof(field))
        *which = field->id;
    else if (field->label == PROTOBUF_C_LABEL_OPTIONAL && field->type != PROTOBUF_C_TYPE_STRING &&
             field->type != PROTOBUF_C_TYPE_MESSAGE)
        *(protobuf_c_boolean *)codec_member(message, field->quantifier_offset) = 1;
    return 0;
}

/* Which fields were named already, to refuse a second time. */
#define FIELDS_MAX 1024u

static int read_member(Decoder *decoder, const CodecPath *path, ProtobufCMessage *message, uint8_t *seen,
                       unsigned depth)
{
    char name[NAME_SIZE];
    bool cut;
    const ProtobufCMessageDescriptor *type = message->descriptor;
    if (reader_peek(&decoder->reader) != '"')
        return reader_wrong(&decoder->reader, path, "a field's name");
    int r = reader_short_string(&decoder->reader, path, name, sizeof(name), &cut);
    if (r >= 0)
        r = reader_expect(&decoder->reader, path, ':');
    if (r < 0)
        return r;
    const ProtobufCFieldDescriptor *field = find_field(type, name);
    CodecPath here = {.outer = path, .name = name};
    if (!field && (decoder->flags & CODEC_REFUSE_UNKNOWN))
        return codec_path_error(&here, decoder->reader.error, EBADMSG, "%s has no such field", type->name);
    if (!field)
        return reader_skip(&decoder->reader, &here, depth + 1);
    size_t index = (size_t)(field - type->fields);
    if (seen[index / 8] & 1u << index % 8)
        return codec_path_error(&here, decoder->reader.error, EBADMSG, "the field is given twice");
    seen[index / 8] |= (uint8_t)(1u << index % 8);
    return read_field(decoder, &here, field, message, depth);
}

static int read_members(Decoder *decoder, const CodecPath *path, ProtobufCMessage *message, unsigned depth)
{
    uint8_t seen[FIELDS_MAX / 8] = {0};
    if (message->descriptor->n_fields > FIELDS_MAX)
        return codec_path_error(path, decoder->reader.error, EMSGSIZE, "%s has more than %u fields",
                                message->descriptor->name, FIELDS_MAX);
    if (reader_take(&decoder->reader, '}'))
        return 0;
    do {
        int r = read_member(decoder, path, message, seen, depth);
        if (r < 0)
            return r;
    } while (reader_take(&decoder->reader, ','));
    return reader_expect(&decoder->reader, path, '}');
}

static int read_message(Decoder *decoder, const CodecPath *path, const ProtobufCMessageDescriptor *type,
                        ProtobufCMessage **ret, unsigned depth)
{
    if (depth > CODEC_DEPTH_MAX)
        return codec_path_error(path, decoder->reader.error, EMSGSIZE, "messages are nested deeper than %u",
                                CODEC_DEPTH_MAX);
    if (!reader_take(&decoder->reader, '{'))
        return reader_wrong(&decoder->reader, path, "an object");
    if (!codec_budget_take(decoder->reader.budget, type->sizeof_message + 16))
        return too_large(decoder, path);
    ProtobufCMessage *message = malloc(type->sizeof_message);
    if (!message)
        return codec_path_error(path, decoder->reader.error, ENOMEM, "no memory");
    protobuf_c_message_init(type, message);
    int r = read_members(decoder, path, message, depth);
    if (r < 0) {
        protobuf_c_message_free_unpacked(message, NULL);
        return r;
    }
    *ret = message;
    return 0;
}

int codec_json_decode(const ProtobufCMessageDescriptor *type, const char *text, size_t size, unsigned flags,
                      ProtobufCMessage **ret, InaError *error)
{
    if (size > CODEC_MESSAGE_MAX)
        return ina_error_set(error, EMSGSIZE, "JSON of %zu bytes: at most %u are allowed", size, CODEC_MESSAGE_MAX);
    CodecBudget budget = codec_budget(size);
    Decoder decoder = {.reader = {.start = text, .at = text, .end = text + size, .budget = &budget, .error = error},
                       .flags = flags};
    ProtobufCMessage *message = NULL;
    int r = read_message(&decoder, NULL, type, &message, 0);
    if (r < 0)
        return r;
    reader_peek(&decoder.reader);
    if (decoder.reader.at < decoder.reader.end) {
        protobuf_c_message_free_unpacked(message, NULL);
        return reader_wrong(&decoder.reader, NULL, "the end of the text");
    }
    *ret = message;
    return 0;
}
