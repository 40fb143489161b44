/* http_client_internal.h - what the files of the HTTP client share.
 *
 *   http_client.c        fetches: options, limits, deadlines, answers
 *   http_client_wire.c   HTTP to an address or a unix socket, by itself
 *   http_client_tls.c    its TLS
 *   http_client_curl.c   host names, by libcurl
 *   http_parse.c         reads answers for http_client_wire.c
 *
 * Components call each other and etcd at addresses they know; for that
 * libcurl's share of a round trip was larger than all the rest together
 * (tests/bench/bench_http.c), it repeats a POST by itself when a kept-alive
 * connection breaks, which may execute a call twice, and with the thirty
 * libraries that come with it it takes a third of an agent's memory. So that
 * path is our own, and libcurl is loaded when first needed: hardly ever. */
#pragma once

#include "http_client.h"
#include "http_client_tls.h"
#include "http_parse.h"
#include "map.h"

#define HTTP_FETCH_HEADERS_MAX 64u
#define HTTP_WIRE_CONNECTIONS_MAX 1024u
#define HTTP_WIRE_BUFFER (64u * 1024u)
#define HTTP_WIRE_IDLE 45000000u /* us; our servers close after a minute */

typedef struct HttpCurl HttpCurl;
typedef struct HttpWire HttpWire;
typedef struct HttpWireConnection HttpWireConnection;

struct HttpClient {
    sd_event *event;
    HttpClientOptions options; /* copies */
    HttpWire *wire;
    HttpCurl *curl;           /* when first needed */
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
    bool retried;
    /* Of libcurl: */
    struct HttpCurlFetch *curl;
    /* What is asked, in `data`. */
    const char *method, *url;
    const char *out; /* for the wire: the whole request; for libcurl: the body */
    size_t out_size;
    char data[];
};

/* http_client.c */
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

/* http_client_wire.c */
int http_wire_new(HttpClient *client, HttpWire **ret, InaError *error);
HttpWire *http_wire_free(HttpWire *wire);
void http_wire_sweep(HttpWire *wire); /* frees what was closed during a dispatch */

/* Where a request goes. */
typedef struct HttpTarget {
    const char *authority, *path;
    size_t authority_size, path_size;
    bool secure;
    bool literal;  /* address and port below are known */
    char key[128]; /* names what the connection goes to */
    const char *unix_socket;
    uint16_t port;
    char host[48]; /* without brackets */
} HttpTarget;

/* The fetch is complete: connects and sends, or waits for a connection. */
void http_wire_start(HttpWire *wire, InaHttpFetch *fetch, const HttpTarget *target);
void http_wire_cancel(InaHttpFetch *fetch);

/* http_client_curl.c */
int http_curl_new(HttpClient *client, HttpCurl **ret, InaError *error);
HttpCurl *http_curl_free(HttpCurl *curl);
int http_curl_start(HttpCurl *curl, InaHttpFetch *fetch, const InaHttpFetchOptions *options, InaError *error);
void http_curl_cancel(InaHttpFetch *fetch);
