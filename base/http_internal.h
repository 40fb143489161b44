/* http_internal.h - what the files of the HTTP server share.
 *
 *   http_server.c   the server, its daemons in the loop
 *   http_intake.c   connections and requests as libmicrohttpd brings them
 *   http_route.c    which handler a path goes to
 *   http_listen.c   addresses and listening sockets
 *   http_request.c  a request's properties, and a copy of them for one whose
 *                   client left
 *   http_respond.c  answers
 *   http_stream.c   answers that go on
 *   http_files.c    answers from files
 *   http_sniff.c    plain HTTP on a TLS port
 *   http_upgrade.c  connections that stop being HTTP
 *   http_watch.c    noticing clients that leave, and letting refused ones read
 *                   why before their connection closes
 *
 * A connection is libmicrohttpd's; HttpConnection is our side of it and lives
 * as long. A request belongs to its connection until it is dispatched, then to
 * its handler, who owes an answer. Everything a handler is told (requests,
 * `cancelled`, `drained`, `closed`) is told from within MHD_run or
 * MHD_stop_daemon, never from within an ina_http_* call. */
#pragma once

#include "http_server.h"

#include <microhttpd.h>
#include <sys/socket.h>

#define HTTP_HANDLERS_MAX 1024u
#define HTTP_HEADERS_MAX 256u /* lines in one request */
#define HTTP_ANSWER_HEADERS_MAX 16u
#define HTTP_POOL_SIZE (32u * 1024u)         /* per connection; libmicrohttpd clears all of it after each request */
#define HTTP_BODY_FIRST (2u * 1024u * 1024u) /* at most this much is reserved on a client's word alone */
#define HTTP_STREAM_MAX (1024u * 1024u)
#define HTTP_STREAM_LOW (256u * 1024u)
#define HTTP_HANDSHAKE_WAIT 2u /* ms */
#define HTTP_RUNS_MAX 32u      /* rounds in one dispatch, then others have their turn */

typedef struct HttpConnection HttpConnection;
typedef struct HttpLingering HttpLingering;
typedef struct HttpUpgrade HttpUpgrade;
typedef struct HttpSniffed HttpSniffed;

typedef struct HttpRoute {
    char *prefix; /* without a slash at its end; "" for all */
    HttpHandler handler;
    void *userdata;
    void (*release)(void *userdata); /* when the route goes, or NULL */
} HttpRoute;

typedef struct HttpListener {
    HttpServer *server;
    struct MHD_Daemon *daemon;
    char *address;
    sd_event_source *io, *timer, *again; /* again: while wanted */
    uint64_t armed;                      /* when the timer fires, us; UINT64_MAX: off */
    bool running;
    bool again_wanted;                   /* there is more to do, which libmicrohttpd does not say by itself */
    uint64_t activity;                   /* grows whenever libmicrohttpd calls us */
    unsigned unasked;                    /* connections without a request so far */
    sd_event_source *accept;             /* where plain HTTP is told from TLS */
    HttpSniffed *sniffed, *sniffed_last; /* nothing was read of them so far, or they were told; newest first */
    unsigned n_sniffed;
    /* Of a unix socket, so that only our own file is removed. */
    char *path;
    dev_t device;
    ino_t inode;
} HttpListener;

typedef enum HttpWatch {
    HTTP_UNWATCHED,
    HTTP_WATCHED, /* one event may still come */
    HTTP_FIRED,   /* registered, to be armed again */
} HttpWatch;

struct HttpConnection {
    HttpListener *listener;
    struct MHD_Connection *mhd;
    int fd;
    InaHttpRequest *request; /* not answered yet */
    InaHttpStream *stream;
    HttpUpgrade *upgrade; /* it is no HTTP any more, or about to be */
    bool suspended;
    bool left;      /* the client is gone, or it is to be cut: close it at the next turn */
    bool lingering; /* what it still sends is read before it closes */
    bool bad_url;   /* of the request under way */
    bool asked;     /* had a request */
    HttpWatch watch;
    char *subject; /* of a verified client certificate */
    bool certificate_checked;
    HttpConnection *previous, *next;             /* all of the server */
    HttpConnection *fresh_previous, *fresh_next; /* suspended a moment ago, not watched yet */
    bool fresh;
};

typedef struct HttpPair {
    enum MHD_ValueKind kind;
    const char *name, *value;
} HttpPair;

/* What can still be asked of a request whose connection is gone. */
typedef struct HttpCopy {
    const char *method, *path, *peer, *local, *subject;
    size_t n_pairs;
    HttpPair *pairs;
} HttpCopy;

struct InaHttpRequest {
    HttpServer *server;         /* NULL: gone */
    HttpConnection *connection; /* NULL: the client left */
    const char *method, *path;  /* libmicrohttpd's, or the copy's */
    char *body;
    size_t size, capacity; /* capacity counts among the server's bodies */
    uint64_t expected;     /* UINT64_MAX: unknown */
    bool dispatched;
    bool chunked;        /* so `expected` says nothing */
    bool admitted;       /* the guard let it in later: its first call comes again */
    HttpHandler handler; /* who has it, and so the stream that answers it */
    void *handler_userdata;
    void (*cancelled)(void *userdata);
    void *userdata;
    unsigned n_headers;
    char *header_names[HTTP_ANSWER_HEADERS_MAX], *header_values[HTTP_ANSWER_HEADERS_MAX];
    HttpCopy *copy;
    InaHttpRequest *previous, *next; /* cancelled ones whose answer is owed */
    char peer[64], local[128];
};

struct HttpServer {
    sd_event *event;
    HttpServerOptions limits;
    char *certificate, *key, *ca, *plain;
    HttpListener listeners[HTTP_SERVER_LISTENERS_MAX];
    size_t n_listeners;
    HttpRoute *routes; /* sorted by prefix */
    size_t n_routes;
    bool (*guard)(void *userdata, InaHttpRequest *request);
    void *guard_userdata;
    HttpServerStatistics statistics;
    size_t bodies; /* bytes reserved by all requests */
    HttpConnection *connections, *fresh;
    InaHttpRequest *owed;
    HttpLingering *lingering;
    unsigned n_lingering;
    int watch_fd;
    sd_event_source *watch_io, *watch_timer;
    bool watch_armed;
    unsigned running; /* depth of calls into libmicrohttpd */
    bool dead;        /* freed while running: ends when that returns */
};

/* http_server.c */
/* Runs a listening socket, which is taken unless this fails without a daemon. */
int http_listener_start(HttpListener *listener, int fd, InaError *error);
void http_listener_stop(HttpListener *listener);
void http_listener_again(HttpListener *listener); /* runs it in the loop's next turn */

/* http_intake.c: userdata is the listener */
enum MHD_Result http_on_request(void *userdata, struct MHD_Connection *mhd, const char *url, const char *method,
                                const char *version, const char *data, size_t *size, void **state);
void http_on_completed(void *userdata, struct MHD_Connection *mhd, void **state,
                       enum MHD_RequestTerminationCode reason);
void http_on_connection(void *userdata, struct MHD_Connection *mhd, void **context,
                        enum MHD_ConnectionNotificationCode code);
size_t http_unescape(void *userdata, struct MHD_Connection *mhd, char *text);

/* http_route.c */
const HttpRoute *http_server_route(const HttpServer *server, const char *path);
int http_server_route_add(HttpServer *server, const char *prefix, HttpHandler handler, void *userdata,
                          void (*release)(void *userdata), InaError *error);
void http_server_route_remove(HttpServer *server, size_t position);

/* http_listen.c */
void http_format_address(const struct sockaddr *address, char *text, size_t size);
void http_listener_close(HttpListener *listener); /* removes what is left of it */

/* http_request.c */
InaHttpRequest *http_request_new(HttpConnection *connection, const char *method, const char *path);
InaHttpRequest *http_request_free(InaHttpRequest *request);
/* Room for `size` more bytes: 0, or the status to refuse with. */
int http_request_reserve(InaHttpRequest *request, size_t size);
/* The client left: copies what may still be asked, tells the handler. */
void http_request_cancel(InaHttpRequest *request);

/* http_respond.c */
/* Gives the answer to libmicrohttpd, ends the request. Takes `response`; NULL (no memory) cuts the connection. */
void http_answer(InaHttpRequest *request, int status, const char *content_type, struct MHD_Response *response);
/* Answers before the body came; what is still sent is read and forgotten. */
void http_refuse(InaHttpRequest *request, int status, const char *format, ...) __attribute__((format(printf, 3, 4)));
const char *http_reason(int status);

/* http_stream.c */
/* The connection is done with it: sent to its end, or the client left. */
void http_stream_gone(InaHttpStream *stream);
/* Cuts it if it is that handler's: `closed` is called now. */
void http_stream_abandon(InaHttpStream *stream, HttpHandler handler, const void *handler_userdata);

/* http_sniff.c */
int http_sniff_start(HttpListener *listener, int fd); /* takes fd unless it fails */
void http_sniff_stop(HttpListener *listener);

/* http_upgrade.c */
void http_upgrade_gone(HttpUpgrade *upgrade); /* with its connection */
/* Closes the socket; tells its user, who still has the tunnel. */
void http_upgrade_cut(HttpUpgrade *upgrade);
bool http_upgrade_is_of(const HttpUpgrade *upgrade, HttpHandler handler, const void *handler_userdata);

/* http_watch.c */
int http_watch_open(HttpServer *server, InaError *error);
void http_watch_close(HttpServer *server);
void http_suspend(HttpConnection *connection);
void http_resume(HttpConnection *connection);
/* Its client's leaving is somebody else's affair from now on. */
void http_unwatch(HttpConnection *connection);
/* The connection is about to be closed by libmicrohttpd. */
void http_watch_forget(HttpConnection *connection);
/* Keeps the socket open until the client has closed it, a second has passed or
 * eight megabytes have come, so that it can read the answer. */
void http_linger(HttpConnection *connection);
