/* http_tunnel.h - a stream of bytes in both directions, once HTTP has done its
 * part: a connection that a server or a client upgraded (WebSocket), or whose
 * answer is read as it comes.
 *
 * Writes are buffered; -ENOBUFS when more than HTTP_TUNNEL_MAX waits: hold the
 * source until `drained`, or close. Reading stops while held, so that whoever
 * passes bytes on is as fast as the slower side. All in the loop's thread;
 * callbacks come from the loop, and may close the tunnel. */
#pragma once

#include "http_client.h"
#include "http_server.h"

#define HTTP_TUNNEL_MAX (256u * 1024u)
#define HTTP_DIAL_HEAD_MAX (32u * 1024u)

typedef struct HttpTunnel HttpTunnel;

typedef struct HttpTunnelEvents {
    void (*received)(void *userdata, const void *data, size_t size);
    void (*drained)(void *userdata); /* after -ENOBUFS; may be NULL */
    /* The other side has ended (error NULL) or broken off; nothing follows. What was not sent is lost. The tunnel is
     * still to be closed. */
    void (*ended)(void *userdata, const InaError *error);
    void *userdata;
} HttpTunnelEvents;

int http_tunnel_write(HttpTunnel *tunnel, const void *data, size_t size); /* -EPIPE: ended */
size_t http_tunnel_waiting(const HttpTunnel *tunnel);                     /* bytes not sent yet */
void http_tunnel_hold(HttpTunnel *tunnel, bool hold);
/* Sends what waits (for a second at most), then ends. No callback follows. */
HttpTunnel *http_tunnel_close(HttpTunnel *tunnel);

/* --- of a server ------------------------------------------------------------------------------ */

/* Answers 101 with "Upgrade: PROTOCOL" and the headers set before. `opened` is called once it is sent; with NULL when
 * the client left or the server ends, and `events` are not used then. */
void http_respond_upgrade(InaHttpRequest *request, const char *protocol, const HttpTunnelEvents *events,
                          void (*opened)(void *userdata, HttpTunnel *tunnel));

/* --- of a client ------------------------------------------------------------------------------- */

typedef struct HttpDialer HttpDialer; /* what a client trusts and is */
typedef struct HttpDial HttpDial;     /* one connection, until its answer's header has come */

typedef struct HttpDialAnswer {
    InaError error;   /* code 0: there is an answer */
    int status;       /* 101, 200, ... */
    const char *head; /* status line and headers; http_dial_header */
    /* The bytes behind the header: with status 101 both directions, else the body as it comes (it was asked for with
     * HTTP/1.0, so it is not chunked and ends with the connection). NULL with an error. Taken by the callee, who sets
     * the events at once. */
    HttpTunnel *tunnel;
} HttpDialAnswer;

typedef struct HttpDialOptions {
    const char *url;            /* "https://127.17.8.31:10250/exec/..."; an address, no name */
    const char *const *headers; /* "Name: value", NULL-terminated; or NULL */
    bool upgrade;               /* HTTP/1.1; the headers ask for the protocol */
    uint64_t timeout;           /* ns until the header is there */
    void (*answered)(void *userdata, const HttpDialAnswer *answer); /* never before the call returned */
    void *userdata;
} HttpDialOptions;

int http_dialer_new(sd_event *event, const HttpClientOptions *tls, HttpDialer **ret, InaError *error);
HttpDialer *http_dialer_free(HttpDialer *dialer); /* its dials must be over */
/* GET. The dial is gone when `answered` begins. NULL: refused at once. */
HttpDial *http_dial(HttpDialer *dialer, const HttpDialOptions *options, InaError *error);
HttpDial *http_dial_cancel(HttpDial *dial);
/* The value of a header, copied; false: it is not there. */
bool http_dial_header(const HttpDialAnswer *answer, const char *name, char *ret, size_t size);
void http_tunnel_set_events(HttpTunnel *tunnel, const HttpTunnelEvents *events);
