/* fuzz_codec_json.c - any bytes as a message: the first says whether the rest
 * is JSON or binary. What is taken is written in both forms, and both must
 * read back as the same message. */
#include "remote/codec.h"
#include "sampler.pb-c.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const ProtobufCMessageDescriptor *const type = &sampler__v1__everything__descriptor;

static void *pack(const ProtobufCMessage *message, size_t *ret_size)
{
    void *bytes;
    if (codec_pack(message, &bytes, ret_size, NULL) < 0)
        abort();
    return bytes;
}

static void check_same(const ProtobufCMessage *message, ProtobufCMessage *again)
{
    size_t size, again_size;
    void *bytes = pack(message, &size), *again_bytes = pack(again, &again_size);
    if (size != again_size || memcmp(bytes, again_bytes, size) != 0)
        abort();
    free(bytes);
    free(again_bytes);
    protobuf_c_message_free_unpacked(again, NULL);
}

static void check(ProtobufCMessage *message, bool plain)
{
    InaError error = {0};
    ProtobufCMessage *again;
    size_t size;
    void *bytes = pack(message, &size);
    if (codec_unpack(type, bytes, size, &again, &error) < 0)
        abort();
    free(bytes);
    check_same(message, again);
    Buffer text = {0};
    if (codec_json_encode(message, &text, &error) < 0)
        abort();
    if (codec_json_decode(type, text.data, text.size, CODEC_REFUSE_UNKNOWN, &again, &error) < 0)
        abort();
    if (plain) /* JSON has no unknown fields, of messages within it either */
        check_same(message, again);
    else
        protobuf_c_message_free_unpacked(again, NULL);
    buffer_free(&text);
    protobuf_c_message_free_unpacked(message, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    InaError error = {0};
    ProtobufCMessage *message = NULL;
    if (size == 0)
        return 0;
    unsigned flags = data[0] & 2 ? CODEC_REFUSE_UNKNOWN : 0;
    bool json = data[0] & 1;
    int r = json ? codec_json_decode(type, (const char *)data + 1, size - 1, flags, &message, &error)
                 : codec_unpack(type, data + 1, size - 1, &message, &error);
    if (r >= 0)
        check(message, json);
    else if (!error.message[0] || message)
        abort();
    return 0;
}
