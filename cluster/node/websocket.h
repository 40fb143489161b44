/* websocket.h - WebSocket frames (RFC 6455): what comes is taken apart, what
 * goes is put together. Without sockets and clocks. */
#pragma once

#include "base/map.h"

#include <inaetics/error.h>
#include <stdint.h>

#define WEBSOCKET_MESSAGE_MAX (1024u * 1024u)
#define WEBSOCKET_KEY_SIZE 29 /* of an accept key, with the NUL */

typedef enum WebSocketOpcode {
    WEBSOCKET_CONTINUATION = 0,
    WEBSOCKET_TEXT = 1,
    WEBSOCKET_BINARY = 2,
    WEBSOCKET_CLOSE = 8,
    WEBSOCKET_PING = 9,
    WEBSOCKET_PONG = 10,
} WebSocketOpcode;

typedef struct WebSocket {
    Buffer in;      /* not taken apart yet */
    Buffer message; /* fragments so far */
    int opcode;     /* of the message under way; 0: none */
    bool client;    /* this is the client's side: what comes is not masked, and what goes is (websocket_frame_masked) */
} WebSocket;

/* Sec-WebSocket-Accept of a Sec-WebSocket-Key. -EINVAL: it is no key. */
int websocket_accept(const char *key, char ret[WEBSOCKET_KEY_SIZE], InaError *error);

/* Bytes from the other side. `message` is called for each complete text, binary, close, ping and pong message; it
 * returns false to stop. -EPROTO, -EMSGSIZE: the connection is to be closed (1002, 1009). */
int websocket_receive(WebSocket *socket, const void *data, size_t size,
                      bool (*message)(void *userdata, int opcode, const void *data, size_t size), void *userdata,
                      InaError *error);
/* Appends one unfragmented frame; `prefix` (a channel) stands before the data unless it is negative. */
void websocket_frame(Buffer *out, int opcode, int prefix, const void *data, size_t size);
void websocket_frame_masked(Buffer *out, int opcode, int prefix, const void *data, size_t size);
/* A close frame of a server with its code. */
void websocket_close(Buffer *out, unsigned code);
void websocket_clear(WebSocket *socket);
