/* http_server.h - an HTTP/1.1 server in the process's loop, over libmicrohttpd.
 *
 * Handlers get requests and answer them as inaetics/http.h says. Limits are
 * named below and in the options; a client that exceeds one gets 413, 414,
 * 431 or 503 and is closed. A client that sends nothing for idle_timeout is
 * closed. A suspended request (not answered yet) is cancelled within 100 ms
 * of its client's leaving; shutting down its writing side counts as leaving.
 * SIGPIPE is ignored from the first server on, unless the process handles it. */
#pragma once

#include <inaetics/http.h>
#include <jansson.h>
#include <systemd/sd-event.h>

#define HTTP_SERVER_CONNECTIONS_MAX 2048u
#define HTTP_SERVER_HEADER_MAX (16u * 1024u)
#define HTTP_SERVER_BODY_MAX (64u * 1024u * 1024u)
#define HTTP_SERVER_BODIES_MAX (256u * 1024u * 1024u) /* of all requests together */
#define HTTP_SERVER_IDLE_SECONDS 60u                  /* no byte while a request is incomplete, or between requests */
#define HTTP_SERVER_LISTENERS_MAX 8u

typedef struct HttpServer HttpServer;

typedef struct HttpServerOptions {
    unsigned connections_max; /* 0: HTTP_SERVER_CONNECTIONS_MAX */
    size_t body_max;          /* 0: HTTP_SERVER_BODY_MAX */
    size_t bodies_max;        /* 0: HTTP_SERVER_BODIES_MAX */
    unsigned idle_seconds;    /* 0: HTTP_SERVER_IDLE_SECONDS */
    /* TLS when certificate is set; PEM texts, copied. With ca, client certificates are asked for. */
    const char *certificate, *key, *ca;
    /* With TLS: the JSON that a client gets, with status 400, that speaks plain HTTP. NULL: it is closed. */
    const char *plain;
} HttpServerOptions;

typedef void (*HttpHandler)(void *userdata, InaHttpRequest *request);

int http_server_new(sd_event *event, const HttpServerOptions *options, HttpServer **ret, InaError *error);
/* address: "127.1.1.2:8080", "[::1]:8080" (port 0: a free one) or "unix:/path/to/socket" (made 0600). */
int http_server_listen(HttpServer *server, const char *address, InaError *error);
/* With true, new connections to listeners with TLS and `plain` wait in the kernel's queue until false is said: while
 * what they ask for is not there, a handshake with each of them, and with each again, only takes the time that it
 * needs. */
void http_server_hold(HttpServer *server, bool hold);
const char *http_server_address(const HttpServer *server, size_t index); /* as bound; NULL past the last */
/* prefix matches whole segments; the longest wins; -EEXIST. Without a match: 404. */
int http_server_handle(HttpServer *server, const char *prefix, HttpHandler handler, void *userdata, InaError *error);
/* Open requests and streams of it are cut as if their clients had left: `cancelled` and `closed` are called now. */
void http_server_unhandle(HttpServer *server, const char *prefix);
/* Serves the files of a folder under `prefix` (ina_http_respond_below). */
int http_server_files(HttpServer *server, const char *prefix, const char *root, InaError *error);
/* Called before any handler, for a request with a body before the body is
 * read and its size judged; returns true when it answered (refused) the request, or will, or will let it in later. */
void http_server_set_guard(HttpServer *server, bool (*guard)(void *userdata, InaHttpRequest *request), void *userdata);
/* Lets a request with a body in, of which the guard returned true and which was not answered: not from within the
 * guard. The request is not the caller's any more. */
void http_request_admit(InaHttpRequest *request);

/* Distinguished name (RFC 4514) in the client's certificate, when the server's
 * `ca` signed it for clients; NULL: none, or none that counts. */
const char *http_request_subject(const InaHttpRequest *request);

/* How a browser calls the cookie `name` of this port: "NAME-8080". */
void http_cookie_name(const InaHttpRequest *request, const char *name, char *ret, size_t size);

/* Answers with the value as application/json, written with these flags of json_dumps; takes it. NULL, or no memory:
 * 500. */
void http_respond_json(InaHttpRequest *request, int status, json_t *value, size_t flags);

/* Every argument of the query called `name` ("command=ls&command=-l"), or all (NULL); without a value: "". Ends when
 * `each` returns false. */
void http_request_each(const InaHttpRequest *request, const char *name,
                       bool (*each)(void *userdata, const char *name, const char *value), void *userdata);

/* How much of an answer that goes on may wait (0: 1 MiB), for servers with many slow clients. */
void http_stream_limit(InaHttpStream *stream, size_t bytes);
/* Cuts the connection, so that the client knows that the answer is not whole. As ina_http_stream_close for the caller.
 */
void http_stream_abort(InaHttpStream *stream);

typedef struct HttpServerStatistics {
    uint64_t requests, refused, cancelled, bytes_in, bytes_out;
    unsigned connections, suspended;
} HttpServerStatistics;
void http_server_statistics(const HttpServer *server, HttpServerStatistics *ret);
/* Closes all; open requests are cancelled first. From within a handler: when that returns. */
HttpServer *http_server_free(HttpServer *server);
