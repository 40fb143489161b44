/* peer.h - other brokers under the load of our queue: what the driver
 * (peer_load.c) needs to know of each, and the connections they share.
 *
 * Puts and takes are pipelined, each on a connection and in a process of its
 * own, so that no peer waits for its client. A message is PEER_HEADER bytes (its
 * number, and room for the producer's) and PEER_SAMPLE bytes per sample. */
#pragma once

#include "load.h"

#include <stdint.h>
#include <sys/types.h>

#define PEER_HEADER 16u
#define PEER_SAMPLE 24u
#define PEER_MESSAGE (PEER_HEADER + 1000 * PEER_SAMPLE) /* at most */
#define PEER_WAIT_MS 500
#define PEER_WINDOW 1024u /* puts outstanding, at most */

/* Bytes from `start` to `end`; those before were consumed, or sent. */
typedef struct PeerBytes {
    char *bytes;
    size_t start, end, capacity;
} PeerBytes;

typedef struct PeerConnection {
    const char *name; /* the peer's */
    int fd;
    PeerBytes in, out;
    uint64_t confirmed;    /* puts answered */
    uint64_t taken, sum;   /* messages, and the sum of their numbers */
    uint64_t acknowledged; /* messages */
    uint64_t window;       /* messages that may be outstanding */
    /* For the protocols: */
    uint64_t asked, got, tag, unacknowledged;
    bool flag;
    bool done[PEER_WINDOW]; /* by tag */
} PeerConnection;

typedef struct PeerKind {
    const char *name, *settings; /* as printed */
    /* In a process of its own: becomes the server, keeping data in the current folder, listening on 127.0.0.1:port. */
    void (*launch)(const char *program, const char *folder, unsigned port);
    /* After connecting: says what has to be said; blocking. Makes the queue if there is none. */
    void (*open)(PeerConnection *connection, bool to_take);
    void (*put)(PeerConnection *connection, const char *message, size_t size);
    /* Reads the answers that are there: counts puts. */
    void (*confirm)(PeerConnection *connection);
    /* Asks for messages at first; reads those that are there, counts and acknowledges them, and asks for more. */
    void (*take)(PeerConnection *connection);
    /* All has been taken: acknowledges the rest. */
    void (*finish)(PeerConnection *connection);
} PeerKind;

extern const PeerKind peer_beanstalkd, peer_redis, peer_rabbitmq, peer_rabbitmq_quorum;

/* --- for the protocols (peer_wire.c) ------------------------------------------------ */

void peer_connect(PeerConnection *connection, const char *name, unsigned port);
void peer_disconnect(PeerConnection *connection);
void peer_send(PeerConnection *connection, const void *data, size_t size); /* later: peer_exchange() */
void peer_sendf(PeerConnection *connection, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Sends what is waiting, and reads what has come or comes within PEER_WAIT_MS. */
void peer_exchange(PeerConnection *connection);
/* What has been read and not consumed. */
size_t peer_input(const PeerConnection *connection, const char **ret_data);
void peer_consume(PeerConnection *connection, size_t size);
/* Sends, and waits for a line, which it consumes; dies if it begins neither so nor so. */
void peer_expect(PeerConnection *connection, const char *beginning, const char *other);
bool peer_begins(const char *data, size_t size, const char *beginning);
/* The line at `data` without its CRLF; false: not all of it is there. */
bool peer_line(const char *data, size_t size, size_t *ret_length);
/* Counts a message as taken. */
void peer_taken(PeerConnection *connection, const char *message, size_t size);
/* Dies: the peer answered what nobody expects. */
_Noreturn void peer_strange(const PeerConnection *connection, const char *data, size_t size);

/* --- loads (peer_load.c) --------------------------------------------------------------- */

typedef struct PeerLoad {
    const PeerKind *kind;
    pid_t pid;
    unsigned port;
    double patience; /* seconds without an answer: it is lost */
    LoadShared *shared;
} PeerLoad;

/* Starts the server with its data below `folder`; returns when it can be used. */
void peer_load_start(PeerLoad *load, const PeerKind *kind, const char *program, const char *folder, double patience);
/* Another queue of a server that runs. */
void peer_load_join(PeerLoad *load, const PeerKind *kind, const PeerLoad *server);
void peer_load_stop(PeerLoad *load);

LoadResult peer_load_put(PeerLoad *load, size_t batch, uint64_t window, double seconds);
LoadResult peer_load_both(PeerLoad *load, size_t batch, uint64_t window, double seconds);
LoadResult peer_load_latency(PeerLoad *load, double seconds);
