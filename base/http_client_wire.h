/* http_client_wire.h - what http_client_wire.c (hosts, and who gets which
 * connection) and http_client_connection.c (a connection at work) share. */
#pragma once

#include "http_client_internal.h"

typedef struct HttpWireHost {
    HttpWire *wire;
    char name[256]; /* what a server's certificate must be for; "" for a unix socket */
    uint16_t port;
    bool secure, serving;
    HttpAddress addresses[HTTP_RESOLVE_ADDRESSES_MAX];
    size_t n_addresses;   /* 0: to be found out */
    size_t preferred;     /* the one that answered */
    HttpResolve *resolve; /* while it is being found out */
    unsigned n_connections;
    unsigned pins;            /* functions that go on using it */
    HttpWireConnection *idle; /* used last, first */
    InaHttpFetch *waiting, *waiting_last;
    char key[];
} HttpWireHost;

typedef enum HttpWireState {
    HTTP_WIRE_CONNECTING,
    HTTP_WIRE_HANDSHAKING,
    HTTP_WIRE_OPEN,
} HttpWireState;

struct HttpWireConnection {
    HttpWireHost *host; /* NULL: closed */
    int fd;
    HttpTlsSession *tls;
    sd_event_source *source;
    uint32_t events;
    HttpWireState state;
    InaHttpFetch *fetch; /* NULL: idle */
    size_t address;      /* which of the host's */
    bool used, mute;     /* mute: what was sent last failed */
    uint64_t since;      /* idle since, ns */
    HttpParser parser;
    HttpWireConnection *previous_idle, *next_idle;
    HttpWireConnection *previous, *next; /* all; or the closed ones, to be freed */
};

struct HttpWire {
    HttpClient *client;
    Map *hosts;
    unsigned n_connections;
    HttpWireConnection *connections, *closed;
    sd_event_source *aging;
    bool aging_armed;
    char buffer[HTTP_WIRE_BUFFER];
};

/* http_client_wire.c */
void http_wire_pin(HttpWireHost *host);
void http_wire_unpin(HttpWireHost *host); /* the host may be gone */
/* The struct stays until the dispatch ends; its fetch is the caller's affair. */
void http_wire_close(HttpWireConnection *connection);
void http_wire_keep(HttpWireConnection *connection); /* for the next fetch */
/* Gives a fetch to a connection, or puts it into the line for one. */
void http_wire_place(HttpWireHost *host, InaHttpFetch *fetch);

/* http_client_connection.c */
/* Connects to one of the host's addresses, the attempt-th. */
int http_connection_open(HttpWireHost *host, unsigned attempt, HttpWireConnection **ret);
void http_connection_ask(HttpWireConnection *connection, InaHttpFetch *fetch);
/* Not closed by the server meanwhile, and nothing unasked was said on it. */
bool http_connection_is_quiet(HttpWireConnection *connection);
