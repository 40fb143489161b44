/* http_client_internal.h - what the files of the HTTP client share.
 *
 *   http_client.c          fetches: limits, deadlines, how they end
 *   http_client_request.c  what is asked: checks, and the text of a request
 *   http_client_wire.c     hosts, their connections, and who gets which
 *   http_client_connection.c  a connection at work
 *   http_client_tls.c      TLS
 *   http_client_resolve.c  host names
 *   http_parse.c           reads answers
 *
 * This is not libcurl's because every call between components comes through
 * here: libcurl's share of a round trip was larger than all the rest together
 * (tests/bench/bench_http.c), it takes 3 to 5 MB of each process, and it sends
 * a POST again by itself when a kept-alive connection breaks, which may
 * execute a call twice. */
#pragma once

#include "http_client.h"
#include "http_client_resolve.h"
#include "http_client_tls.h"
#include "http_parse.h"
#include "map.h"
#include <string.h>

#define HTTP_FETCH_HEADERS_MAX 64u
#define HTTP_UNIX_PATH_MAX 108u /* with its NUL */
#define HTTP_WIRE_CONNECTIONS_MAX 1024u
#define HTTP_WIRE_BUFFER (64u * 1024u)
#define HTTP_WIRE_IDLE 45000000u /* us; our servers close after a minute */

typedef struct HttpWire HttpWire;
typedef struct HttpWireConnection HttpWireConnection;

struct HttpClient {
    sd_event *event;
    HttpClientOptions options; /* copies */
    HttpWire *wire;
    HttpTls *tls;             /* when first needed */
    InaHttpFetch *fetches;    /* all */
    InaHttpFetch *failed;     /* at once: `done` waits for the loop */
    InaHttpFetch *gone;       /* freed when the dispatch ends */
    InaHttpFetch **deadlines; /* a heap */
    size_t n_deadlines, deadlines_capacity;
    unsigned n_fetches;
    sd_event_source *timer, *again;
    uint64_t armed; /* ns; UINT64_MAX: off */
    unsigned depth; /* of dispatches: what is freed in one stays readable to its end */
    bool starting;  /* in http_client_fetch: nobody may be called */
    bool dead;
};

/* A transport gives the pieces of an answer's body to http_fetch_data, and
 * ends with http_fetch_done or http_fetch_fail. All three may call the user,
 * who may cancel any fetch, start others and free the client: the fetch is
 * readable until the dispatch ends, `gone` tells that it is not wanted any
 * more. */
struct InaHttpFetch {
    HttpClient *client;
    InaHttpFetch *previous, *next; /* in `fetches`, then `gone` */
    InaHttpFetch *next_failed;
    bool gone;
    void (*chunk)(void *userdata, const void *data, size_t size);
    void (*done)(void *userdata, const InaHttpResponse *response);
    void *userdata;
    uint64_t deadline; /* CLOCK_MONOTONIC ns; UINT64_MAX: none */
    size_t heap;       /* place in the heap */
    uint64_t timeout;  /* ns */
    size_t maximum, received;
    Buffer body;
    InaError error; /* of one in `failed` */
    /* Of the wire: */
    HttpWireConnection *connection;
    struct HttpWireHost *host; /* while it waits for a connection */
    InaHttpFetch *previous_waiting, *next_waiting;
    size_t sent;
    bool retried;     /* on a new connection, after a kept one had broken */
    unsigned attempt; /* at the host's addresses */
    /* What is asked, in `data`. */
    const char *method, *url;
    const char *out; /* the whole request */
    size_t out_size;
    char data[];
};

/* strerror() is not for threads. */
static inline const char *http_strerror(int code)
{
    const char *text = strerrordesc_np(code);
    return text ? text : "unknown error";
}

/* http_client.c */
uint64_t http_client_now(void); /* CLOCK_MONOTONIC ns */
void http_client_enter(HttpClient *client);
void http_client_leave(HttpClient *client); /* may free the client */
/* 0; -EMSGSIZE or -ENOMEM: the transport is to call http_fetch_fail; -ECANCELED: the fetch is gone. */
int http_fetch_data(InaHttpFetch *fetch, const void *data, size_t size);
/* The length that the answer announces: makes room; -EMSGSIZE, -ENOMEM. */
int http_fetch_length(InaHttpFetch *fetch, uint64_t length);
void http_fetch_done(InaHttpFetch *fetch, int status, const char *content_type);
void http_fetch_fail(InaHttpFetch *fetch, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* With the message for what http_fetch_data or http_fetch_length returned. */
void http_fetch_fail_size(InaHttpFetch *fetch, int code);

/* Where a request goes. */
typedef struct HttpTarget {
    const char *authority, *path; /* in the URL */
    size_t authority_size, path_size;
    bool secure, literal;    /* literal: `host` is an address */
    const char *unix_socket; /* the caller's */
    char host[256];          /* without brackets */
    uint16_t port;
    char key[288]; /* names what a connection goes to */
} HttpTarget;

/* http_client_request.c */
int http_target_parse(const InaHttpFetchOptions *options, HttpTarget *ret, InaError *error);
int http_headers_check(const InaHttpFetchOptions *options, InaError *error);
const char *http_method_of(const InaHttpFetchOptions *options);
/* Returns its end. There is room for method, path, authority, headers with their line ends, body, and 100 more. */
char *http_request_write(char *at, const InaHttpFetchOptions *options, const HttpTarget *target);

/* http_client_wire.c */
int http_wire_new(HttpClient *client, HttpWire **ret, InaError *error);
HttpWire *http_wire_free(HttpWire *wire);
void http_wire_sweep(HttpWire *wire); /* frees what was closed during a dispatch */
void http_wire_start(HttpWire *wire, InaHttpFetch *fetch, const HttpTarget *target);
void http_wire_cancel(InaHttpFetch *fetch);
