#include "websocket.h"

#include <errno.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <sodium.h>
#include <string.h>

#define CONTROL_MAX 125u

int websocket_accept(const char *key, char ret[WEBSOCKET_KEY_SIZE], InaError *error)
{
    static const char suffix[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"; /* RFC 6455, 1.3 */
    char text[128];
    unsigned char digest[20], nonce[24];
    size_t size = 0;
    if (!key || strlen(key) != 24 ||
        sodium_base642bin(nonce, sizeof nonce, key, 24, NULL, &size, NULL, sodium_base64_VARIANT_ORIGINAL) != 0 ||
        size != 16)
        return ina_error_set(error, EINVAL, "Sec-WebSocket-Key: must be 16 bytes in base64");
    int length = snprintf(text, sizeof text, "%s%s", key, suffix);
    if (gnutls_hash_fast(GNUTLS_DIG_SHA1, text, (size_t)length, digest) < 0)
        return ina_error_set(error, EIO, "SHA-1 is not available");
    sodium_bin2base64(ret, WEBSOCKET_KEY_SIZE, digest, sizeof digest, sodium_base64_VARIANT_ORIGINAL);
    return 0;
}

/* One frame at the beginning of what came. */
typedef struct Frame {
    int opcode;
    bool final;
    unsigned char *payload;
    size_t size, whole;
} Frame;

static int protocol_error(InaError *error, const char *what)
{
    return ina_error_set(error, EPROTO, "WebSocket: %s", what);
}

/* -EAGAIN: not complete yet. */
static int parse_frame(const WebSocket *socket, Frame *ret, InaError *error)
{
    unsigned char *data = (unsigned char *)socket->in.data;
    size_t have = socket->in.size, header = 2;
    if (have < 2)
        return -EAGAIN;
    int opcode = data[0] & 15;
    bool control = opcode >= 8;
    if (data[0] & 0x70)
        return protocol_error(error, "a reserved bit is set");
    bool masked = data[1] & 0x80;
    if (masked == socket->client)
        return protocol_error(error,
                              masked ? "a server's frame must not be masked" : "a client's frame must be masked");
    if (opcode > WEBSOCKET_PONG || (opcode > WEBSOCKET_BINARY && opcode < WEBSOCKET_CLOSE))
        return protocol_error(error, "unknown opcode");
    uint64_t size = data[1] & 127;
    if (control && (size > CONTROL_MAX || !(data[0] & 0x80)))
        return protocol_error(error, "a control frame is too long or fragmented");
    size_t extra = size == 126 ? 2 : size == 127 ? 8 : 0;
    if (have < header + extra)
        return -EAGAIN;
    if (extra > 0) {
        size = 0;
        for (size_t i = 0; i < extra; i++)
            size = size << 8 | data[header + i];
        header += extra;
    }
    if (size > WEBSOCKET_MESSAGE_MAX || socket->message.size > WEBSOCKET_MESSAGE_MAX - size)
        return ina_error_set(error, EMSGSIZE, "WebSocket: a message may have %u bytes", WEBSOCKET_MESSAGE_MAX);
    header += masked ? 4 : 0;
    if (have < header || have - header < size)
        return -EAGAIN;
    for (size_t i = 0; masked && i < size; i++)
        data[header + i] ^= data[header - 4 + i % 4];
    *ret = (Frame){.opcode = opcode,
                   .final = data[0] & 0x80,
                   .payload = data + header,
                   .size = (size_t)size,
                   .whole = header + (size_t)size};
    return 0;
}

/* Returns 1 when a message is complete. */
static int join_frame(WebSocket *socket, const Frame *frame, InaError *error)
{
    if (frame->opcode != WEBSOCKET_CONTINUATION && socket->opcode != 0)
        return protocol_error(error, "a message begins within another");
    if (frame->opcode == WEBSOCKET_CONTINUATION && socket->opcode == 0)
        return protocol_error(error, "a continuation of nothing");
    if (socket->opcode == 0)
        socket->opcode = frame->opcode;
    buffer_append(&socket->message, frame->payload, frame->size);
    if (socket->message.failed)
        return ina_error_set(error, ENOMEM, "out of memory");
    return frame->final ? 1 : 0;
}

static void drop_front(Buffer *buffer, size_t size)
{
    memmove(buffer->data, buffer->data + size, buffer->size - size);
    buffer->size -= size;
}

int websocket_receive(WebSocket *socket, const void *data, size_t size,
                      bool (*message)(void *userdata, int opcode, const void *data, size_t size), void *userdata,
                      InaError *error)
{
    buffer_append(&socket->in, data, size);
    if (socket->in.failed)
        return ina_error_set(error, ENOMEM, "out of memory");
    for (;;) {
        Frame frame = {0};
        int r = parse_frame(socket, &frame, error);
        if (r == -EAGAIN)
            return 0;
        if (r < 0)
            return r;
        bool goes_on = true;
        if (frame.opcode >= WEBSOCKET_CLOSE) {
            goes_on = message(userdata, frame.opcode, frame.payload, frame.size);
        } else if ((r = join_frame(socket, &frame, error)) < 0) {
            return r;
        } else if (r == 1) {
            int opcode = socket->opcode;
            socket->opcode = 0;
            goes_on = message(userdata, opcode, socket->message.size ? socket->message.data : "", socket->message.size);
            if (goes_on)
                buffer_clear(&socket->message);
        }
        if (!goes_on) /* it may be gone */
            return 0;
        drop_front(&socket->in, frame.whole);
    }
}

static void add_header(Buffer *out, int opcode, uint64_t size, bool masked)
{
    unsigned char header[10] = {(unsigned char)(0x80 | opcode)};
    size_t length = 2;
    if (size < 126) {
        header[1] = (unsigned char)size;
    } else {
        size_t bytes = size < 65536 ? 2 : 8;
        header[1] = bytes == 2 ? 126 : 127;
        for (size_t i = 0; i < bytes; i++)
            header[length++] = (unsigned char)(size >> (8 * (bytes - 1 - i)));
    }
    header[1] |= masked ? 0x80 : 0;
    buffer_append(out, header, length);
}

void websocket_frame(Buffer *out, int opcode, int prefix, const void *data, size_t size)
{
    unsigned char channel = (unsigned char)prefix;
    add_header(out, opcode, size + (prefix >= 0), false);
    if (prefix >= 0)
        buffer_append(out, &channel, 1);
    buffer_append(out, data, size);
}

void websocket_frame_masked(Buffer *out, int opcode, int prefix, const void *data, size_t size)
{
    unsigned char mask[4], channel = (unsigned char)prefix;
    randombytes_buf(mask, sizeof mask);
    add_header(out, opcode, size + (prefix >= 0), true);
    buffer_append(out, mask, sizeof mask);
    size_t begin = out->size;
    if (prefix >= 0)
        buffer_append(out, &channel, 1);
    buffer_append(out, data, size);
    for (size_t i = begin; !out->failed && i < out->size; i++)
        out->data[i] = (char)(out->data[i] ^ mask[(i - begin) % 4]);
}

void websocket_close(Buffer *out, unsigned code)
{
    unsigned char data[2] = {(unsigned char)(code >> 8), (unsigned char)code};
    websocket_frame(out, WEBSOCKET_CLOSE, -1, data, sizeof data);
}

void websocket_clear(WebSocket *socket)
{
    buffer_free(&socket->in);
    buffer_free(&socket->message);
    socket->opcode = 0;
}
