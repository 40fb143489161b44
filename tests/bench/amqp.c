/* amqp.c - see amqp.h. */
#include "amqp.h"
#include "bench.h"

#include <endian.h>
#include <string.h>

enum { FRAME_END = 0xCE, FRAME_HEAD = 7, AWAIT_SECONDS = 60 };

void amqp_add(AmqpMethod *method, uint64_t number, size_t width)
{
    if (method->size + width > sizeof(method->bytes)) {
        bench_die("a method of AMQP is too long");
    }
    for (size_t i = 0; i < width; i++) {
        method->bytes[method->size++] = (unsigned char)(number >> 8 * (width - 1 - i));
    }
}

void amqp_add_text(AmqpMethod *method, const char *text, size_t size, size_t width)
{
    amqp_add(method, size, width);
    for (size_t i = 0; i < size; i++) {
        amqp_add(method, (unsigned char)text[i], 1);
    }
}

void amqp_add_short(AmqpMethod *method, const char *text)
{
    amqp_add_text(method, text, strlen(text), 1);
}

void amqp_send(PeerConnection *connection, unsigned type, const void *payload, size_t size)
{
    AmqpMethod head = {0};
    static const unsigned char end = FRAME_END;
    amqp_add(&head, type, 1);
    amqp_add(&head, connection->flag, 2); /* the channel: 1 once it is open */
    amqp_add(&head, size, 4);
    peer_send(connection, head.bytes, head.size);
    peer_send(connection, payload, size);
    peer_send(connection, &end, 1);
}

AmqpMethod amqp_method(uint32_t id)
{
    AmqpMethod method = {0};
    amqp_add(&method, id, 4);
    return method;
}

void amqp_send_method(PeerConnection *connection, const AmqpMethod *method)
{
    amqp_send(connection, AMQP_METHOD, method->bytes, method->size);
}

static uint32_t get32(const char *bytes)
{
    uint32_t number;
    memcpy(&number, bytes, sizeof(number));
    return be32toh(number);
}

uint64_t amqp_get64(const char *bytes)
{
    uint64_t number;
    memcpy(&number, bytes, sizeof(number));
    return be64toh(number);
}

const char *amqp_frame(const PeerConnection *connection, const char *at, const char *end, AmqpFrame *ret)
{
    if (end - at < FRAME_HEAD + 1) {
        return NULL;
    }
    size_t size = get32(at + 3);
    if (size > AMQP_FRAME_MAXIMUM || (*at == AMQP_METHOD && size < 4)) {
        peer_strange(connection, at, (size_t)(end - at));
    }
    if ((size_t)(end - at) < FRAME_HEAD + size + 1) {
        return NULL;
    }
    const char *payload = at + FRAME_HEAD;
    *ret = (AmqpFrame){(unsigned char)*at, *at == AMQP_METHOD ? get32(payload) : 0, payload, size};
    return payload + size + 1;
}

void amqp_strange(const PeerConnection *connection, const AmqpFrame *frame)
{
    if (frame->type == AMQP_METHOD && frame->size > 8) { /* most often a close: code and text */
        peer_strange(connection, frame->payload + 7, frame->size - 7);
    }
    bench_die("%s: a frame of type %u and method %u.%u was not expected", connection->name, frame->type,
              frame->id >> 16, frame->id & 0xffff);
}

void amqp_await(PeerConnection *connection, uint32_t id)
{
    const char *data;
    double end = bench_now() + AWAIT_SECONDS;
    for (;;) {
        AmqpFrame frame;
        size_t size = peer_input(connection, &data);
        const char *after = amqp_frame(connection, data, data + size, &frame);
        if (after && frame.id == id) {
            peer_consume(connection, (size_t)(after - data));
            return;
        }
        if (after) {
            amqp_strange(connection, &frame);
        }
        if (bench_now() > end) {
            bench_die("%s: no answer", connection->name);
        }
        peer_exchange(connection);
    }
}
