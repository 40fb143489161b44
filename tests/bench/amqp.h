/* amqp.h - the frames of AMQP 0-9-1. A frame is a type, a channel, a size, the
 * payload, and 0xCE; the payload of a method begins with its class and number. */
#pragma once

#include "peer.h"

enum { AMQP_METHOD = 1, AMQP_HEADER = 2, AMQP_BODY = 3, AMQP_FRAME_MAXIMUM = 131072 };

/* A method, or anything else that is short, while it is written. */
typedef struct AmqpMethod {
    unsigned char bytes[256];
    size_t size;
} AmqpMethod;

AmqpMethod amqp_method(uint32_t id);
void amqp_add(AmqpMethod *method, uint64_t number, size_t width);
void amqp_add_text(AmqpMethod *method, const char *text, size_t size, size_t width); /* of its length */
void amqp_add_short(AmqpMethod *method, const char *text);

/* connection->flag says if it is of channel 1, else of 0. */
void amqp_send(PeerConnection *connection, unsigned type, const void *payload, size_t size);
void amqp_send_method(PeerConnection *connection, const AmqpMethod *method);

typedef struct AmqpFrame {
    unsigned type;
    uint32_t id; /* of a method */
    const char *payload;
    size_t size;
} AmqpFrame;

/* The frame at `at`; returns what comes after it; NULL: not all of it is there. */
const char *amqp_frame(const PeerConnection *connection, const char *at, const char *end, AmqpFrame *ret);
/* Sends, and waits for a method: nothing else may come. */
void amqp_await(PeerConnection *connection, uint32_t id);
uint64_t amqp_get64(const char *bytes);
/* Dies: nobody expects it. */
_Noreturn void amqp_strange(const PeerConnection *connection, const AmqpFrame *frame);
