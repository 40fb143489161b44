/* http.h - answering HTTP requests, and making them.
 *
 * A bundle serves pages by providing a plain service INA_HTTP_MOUNT whose
 * table is an InaHttpMount: the agent mounts it while it is there.
 *
 * A request is handed over when its body is complete. It must be answered
 * exactly once, then or later, by ina_http_respond*; it is gone afterwards.
 * A request whose client left is cancelled: `cancelled` runs once, and an
 * answer to it is dropped (but still owed). All in the loop's thread. */
#pragma once

#include <inaetics/bundle.h>
#include <inaetics/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* --- serving ------------------------------------------------------------ */

typedef struct InaHttpRequest InaHttpRequest;
typedef struct InaHttpStream InaHttpStream;

#define INA_HTTP_MOUNT "inaetics.http.Mount"

typedef struct InaHttpMount {
    const char *prefix; /* "/" or "/coordinator": matches whole path segments; the longest wins */
    void (*handle)(void *self, InaHttpRequest *request);
} InaHttpMount;

const char *ina_http_method(const InaHttpRequest *request); /* "GET" */
/* Percent-decoded, without "?"; begins with a slash, has no "." or ".." segment and no control character. */
const char *ina_http_path(const InaHttpRequest *request);
/* Decoded value; NULL if absent. name NULL: the first argument that has no value, as "a,b" of "?a,b". */
const char *ina_http_query(const InaHttpRequest *request, const char *name);
const char *ina_http_header(const InaHttpRequest *request, const char *name); /* NULL if absent */
const void *ina_http_body(const InaHttpRequest *request, size_t *ret_size);   /* has a NUL behind it */
const char *ina_http_peer(const InaHttpRequest *request);                     /* "127.1.1.2:4711", "unix" */
const char *ina_http_local(const InaHttpRequest *request); /* address it came in on, "127.0.0.1:8080" */
/* At once, if the client left already. What is asked of the request stays valid. */
void ina_http_on_cancel(InaHttpRequest *request, void (*cancelled)(void *userdata), void *userdata);

/* Adds a header to the coming answer (at most 16). */
void ina_http_set_header(InaHttpRequest *request, const char *name, const char *value);
/* Browsers send the cookies of one server to all ports of its address, so the port is added to the name: servers beside
 * each other keep their own. False: there is none, or it does not fit. */
bool ina_http_cookie(const InaHttpRequest *request, const char *name, char *ret, size_t size);
/* For that port's pages only (HttpOnly, SameSite=Strict), together at most 1000 characters; 0 seconds take it back. */
void ina_http_set_cookie(InaHttpRequest *request, const char *name, const char *value, int64_t seconds);
/* Copies the body. */
void ina_http_respond(InaHttpRequest *request, int status, const char *content_type, const void *body, size_t size);
void ina_http_respond_text(InaHttpRequest *request, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4))); /* text/plain */
/* Takes a malloc'ed body. */
void ina_http_respond_take(InaHttpRequest *request, int status, const char *content_type, void *body, size_t size);
/* Sends a file with its type by extension, ETag and 304; 404 if there is none.
 * `path` is trusted, but may have no "..". */
void ina_http_respond_file(InaHttpRequest *request, const char *path);
/* The same for a path that the client chose ("" or "a/": index.html): nothing
 * outside of the folder `root`, and below it through no symbolic link. */
void ina_http_respond_below(InaHttpRequest *request, const char *root, const char *path);

/* An answer that goes on (server-sent events, large exports). Writes are
 * buffered; -ENOBUFS when the client does not read and more than 1 MiB waits:
 * wait for `drained`, or close. `closed` runs once when the client left (the
 * stream is gone then) and not after ina_http_stream_close. Either may be NULL.
 * Returns NULL, and `closed` is not called, when the client left already. */
InaHttpStream *ina_http_respond_stream(InaHttpRequest *request, int status, const char *content_type,
                                       void (*drained)(void *userdata), void (*closed)(void *userdata), void *userdata);
int ina_http_stream_write(InaHttpStream *stream, const void *data, size_t size);
void ina_http_stream_close(InaHttpStream *stream); /* sends what is buffered, then ends */

/* --- fetching ----------------------------------------------------------- */

typedef struct InaHttpFetch InaHttpFetch;

typedef struct InaHttpResponse {
    int status; /* 0: no answer, `error` says why */
    const char *content_type;
    const void *body; /* has a NUL behind it */
    size_t size;
    InaError error; /* ETIMEDOUT, ECONNREFUSED, EMSGSIZE, ... */
} InaHttpResponse;

typedef struct InaHttpFetchOptions {
    const char *method; /* NULL: GET, or POST with a body */
    const char *url;    /* http://127.1.1.2:8080/x, https://...; with `unix_socket`, http://localhost/x */
    const char *unix_socket;
    const char *const *headers; /* "Name: value", NULL-terminated; or NULL */
    const void *body;
    size_t body_size;
    uint64_t timeout; /* ns; 0: 30 s; UINT64_MAX: none, for bodies without end */
    size_t maximum;   /* of the response's body, bytes; 0: 16 MiB, with `chunk` any number */
    /* When set, the body is handed over as it comes instead of collected. */
    void (*chunk)(void *userdata, const void *data, size_t size);
    void (*done)(void *userdata, const InaHttpResponse *response); /* never before the fetch call returned */
    void *userdata;
} InaHttpFetchOptions;

/* Whom the component's fetches of https:// trust: servers whose certificate an authority in `ca_file` (PEM) signed for
 * the host in the URL; nothing is sent to others. `certificate_file`, PEM with certificate and key, is shown to servers
 * that ask for one; or NULL. Before its first fetch, -EBUSY later; the files are read when first needed. Without this
 * https is refused. */
int ina_http_trust(InaComponent *component, const char *ca_file, const char *certificate_file, InaError *error);
/* Options and body are copied. NULL and `error` set: refused at once. */
InaHttpFetch *ina_http_fetch(InaComponent *component, const InaHttpFetchOptions *options, InaError *error);
void ina_http_fetch_cancel(InaHttpFetch *fetch); /* `done` will not be called */

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
