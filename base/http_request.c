/* http_request.c - a request's life and its properties. */
#include "http_internal.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

InaHttpRequest *http_request_new(HttpConnection *connection, const char *method, const char *path)
{
    InaHttpRequest *request = calloc(1, sizeof(*request));

    if (!request)
        return NULL;
    request->server = connection->listener->server;
    request->connection = connection;
    request->method = method;
    request->path = path;
    return request;
}

InaHttpRequest *http_request_free(InaHttpRequest *request)
{
    if (!request)
        return NULL;
    HttpServer *server = request->server;
    if (server) {
        server->bodies -= request->capacity;
        if (request->previous)
            request->previous->next = request->next;
        else if (server->owed == request)
            server->owed = request->next;
        if (request->next)
            request->next->previous = request->previous;
    }
    for (unsigned i = 0; i < request->n_headers; i++) {
        free(request->header_names[i]);
        free(request->header_values[i]);
    }
    free(request->body);
    free(request->copy);
    free(request);
    return NULL;
}

int http_request_reserve(InaHttpRequest *request, size_t size)
{
    HttpServer *server = request->server;
    size_t needed = request->size + size;

    if (needed > server->limits.body_max)
        return 413;
    if (needed <= request->capacity)
        return 0;
    /* Doubling keeps copies few; what the client announced is the end of it. */
    size_t capacity = request->capacity > needed / 2 ? request->capacity * 2 : needed;
    if (capacity > request->expected)
        capacity = (size_t)request->expected;
    if (capacity < needed)
        capacity = needed;
    if (capacity > server->limits.body_max)
        capacity = server->limits.body_max;
    if (server->bodies - request->capacity + capacity > server->limits.bodies_max)
        return 503;
    char *body = realloc(request->body, capacity + 1); /* a NUL behind it */
    if (!body)
        return 503;
    server->bodies += capacity - request->capacity;
    request->body = body;
    request->capacity = capacity;
    return 0;
}

/* --- properties --------------------------------------------------------- */

const char *ina_http_method(const InaHttpRequest *request)
{
    return request->method;
}

const char *ina_http_path(const InaHttpRequest *request)
{
    return request->path;
}

static const char *lookup(const InaHttpRequest *request, enum MHD_ValueKind kind, const char *name)
{
    if (request->copy) {
        const HttpCopy *copy = request->copy;
        for (size_t i = 0; i < copy->n_pairs; i++)
            if (copy->pairs[i].kind == kind && (kind == MHD_HEADER_KIND ? strcasecmp(copy->pairs[i].name, name)
                                                                        : strcmp(copy->pairs[i].name, name)) == 0)
                return copy->pairs[i].value;
        return NULL;
    }
    return request->connection ? MHD_lookup_connection_value(request->connection->mhd, kind, name) : NULL;
}

typedef struct ArgumentSearch {
    const char *name, *value;
} ArgumentSearch;

static enum MHD_Result find_argument(void *userdata, enum MHD_ValueKind kind, const char *name, const char *value)
{
    ArgumentSearch *search = userdata;

    if (!search->name) {
        search->value = value ? NULL : name;
        return search->value ? MHD_NO : MHD_YES;
    }
    if (!name || strcmp(name, search->name) != 0)
        return MHD_YES;
    search->value = value ? value : "";
    return MHD_NO;
}

const char *ina_http_query(const InaHttpRequest *request, const char *name)
{
    ArgumentSearch search = {.name = name};

    if (request->copy || !request->connection)
        return name ? lookup(request, MHD_GET_ARGUMENT_KIND, name) : NULL;
    /* libmicrohttpd's own look-up ignores case and hides "?name" without a value. */
    MHD_get_connection_values(request->connection->mhd, MHD_GET_ARGUMENT_KIND, find_argument, &search);
    return search.value;
}

typedef struct EachArgument {
    const char *name;
    bool (*each)(void *userdata, const char *name, const char *value);
    void *userdata;
} EachArgument;

static enum MHD_Result each_argument(void *userdata, enum MHD_ValueKind kind, const char *name, const char *value)
{
    const EachArgument *work = userdata;

    if (!name || (work->name && strcmp(name, work->name) != 0))
        return MHD_YES;
    return work->each(work->userdata, name, value ? value : "") ? MHD_YES : MHD_NO;
}

void http_request_each(const InaHttpRequest *request, const char *name,
                       bool (*each)(void *userdata, const char *name, const char *value), void *userdata)
{
    EachArgument work = {name, each, userdata};

    if (request->copy) {
        for (size_t i = 0; i < request->copy->n_pairs; i++) {
            const HttpPair *pair = &request->copy->pairs[i];
            if (pair->kind == MHD_GET_ARGUMENT_KIND &&
                each_argument(&work, pair->kind, pair->name, pair->value) == MHD_NO)
                return;
        }
    } else if (request->connection) {
        MHD_get_connection_values(request->connection->mhd, MHD_GET_ARGUMENT_KIND, each_argument, &work);
    }
}

const char *ina_http_header(const InaHttpRequest *request, const char *name)
{
    return lookup(request, MHD_HEADER_KIND, name);
}

const void *ina_http_body(const InaHttpRequest *request, size_t *ret_size)
{
    if (ret_size)
        *ret_size = request->size;
    return request->body ? request->body : "";
}

const char *ina_http_peer(const InaHttpRequest *request)
{
    InaHttpRequest *mutable = (InaHttpRequest *)request; /* filled in when first asked for */

    if (request->copy)
        return request->copy->peer;
    if (!request->peer[0] && request->connection) {
        const union MHD_ConnectionInfo *info =
            MHD_get_connection_info(request->connection->mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
        if (info && info->client_addr)
            http_format_address(info->client_addr, mutable->peer, sizeof(mutable->peer));
    }
    return request->peer;
}

const char *ina_http_local(const InaHttpRequest *request)
{
    InaHttpRequest *mutable = (InaHttpRequest *)request;

    if (request->copy)
        return request->copy->local;
    if (!request->local[0] && request->connection) {
        struct sockaddr_storage address = {0};
        socklen_t size = sizeof(address);
        if (request->connection->listener->path)
            snprintf(mutable->local, sizeof(mutable->local), "%s", request->connection->listener->address);
        else if (getsockname(request->connection->fd, (struct sockaddr *)&address, &size) == 0)
            http_format_address((struct sockaddr *)&address, mutable->local, sizeof(mutable->local));
    }
    return request->local;
}

/* The name in the client's certificate, when the CA signed it for clients. */
static char *verified_subject(HttpConnection *connection)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection->mhd, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    gnutls_session_t session = info ? info->tls_session : NULL;
    gnutls_typed_vdata_st purpose = {.type = GNUTLS_DT_KEY_PURPOSE_OID,
                                     .data = (unsigned char *)GNUTLS_KP_TLS_WWW_CLIENT};
    gnutls_x509_crt_t certificate;
    gnutls_datum_t name = {0};
    unsigned status = 0, n = 0;
    char *subject = NULL;

    if (!session || !connection->listener->server->ca)
        return NULL;
    const gnutls_datum_t *chain = gnutls_certificate_get_peers(session, &n);
    if (!chain || n == 0 || gnutls_certificate_verify_peers(session, &purpose, 1, &status) < 0 || status != 0)
        return NULL;
    if (gnutls_x509_crt_init(&certificate) < 0)
        return NULL;
    if (gnutls_x509_crt_import(certificate, &chain[0], GNUTLS_X509_FMT_DER) >= 0 &&
        gnutls_x509_crt_get_dn3(certificate, &name, 0) >= 0) {
        subject = strndup((const char *)name.data, name.size);
        gnutls_free(name.data);
    }
    gnutls_x509_crt_deinit(certificate);
    return subject;
}

const char *http_request_subject(const InaHttpRequest *request)
{
    HttpConnection *connection = request->connection;

    if (request->copy)
        return request->copy->subject;
    if (!connection)
        return NULL;
    if (!connection->certificate_checked) {
        connection->certificate_checked = true;
        connection->subject = verified_subject(connection);
    }
    return connection->subject;
}

/* --- clients that left -------------------------------------------------- */

void ina_http_on_cancel(InaHttpRequest *request, void (*cancelled)(void *userdata), void *userdata)
{
    if (!request->connection) { /* left before the handler asked to be told */
        if (cancelled)
            cancelled(userdata);
        return;
    }
    request->cancelled = cancelled;
    request->userdata = userdata;
}

typedef struct CopyWork {
    HttpCopy *copy; /* NULL: only counting */
    size_t n_pairs, size;
    char *text;
} CopyWork;

static const char *copy_text(CopyWork *work, const char *text)
{
    size_t size = text ? strlen(text) + 1 : 0;

    work->size += size;
    if (!work->copy || !text)
        return NULL;
    char *copied = memcpy(work->text, text, size);
    work->text += size;
    return copied;
}

static enum MHD_Result copy_pair(void *userdata, enum MHD_ValueKind kind, const char *name, const char *value)
{
    CopyWork *work = userdata;

    if (!name)
        return MHD_YES;
    const char *copied_name = copy_text(work, name), *copied_value = copy_text(work, value ? value : "");
    if (work->copy)
        work->copy->pairs[work->n_pairs] = (HttpPair){kind, copied_name, copied_value};
    work->n_pairs++;
    return MHD_YES;
}

static void copy_all(CopyWork *work, const InaHttpRequest *request)
{
    const char *method = copy_text(work, request->method), *path = copy_text(work, request->path);
    const char *peer = copy_text(work, ina_http_peer(request)), *local = copy_text(work, ina_http_local(request));
    const char *subject = copy_text(work, http_request_subject(request));

    if (work->copy) {
        work->copy->method = method;
        work->copy->path = path;
        work->copy->peer = peer;
        work->copy->local = local;
        work->copy->subject = subject;
    }
    MHD_get_connection_values(request->connection->mhd, MHD_HEADER_KIND, copy_pair, work);
    MHD_get_connection_values(request->connection->mhd, MHD_GET_ARGUMENT_KIND, copy_pair, work);
}

/* Without memory for a copy the request looks empty. */
static void copy_request(InaHttpRequest *request)
{
    CopyWork work = {0};

    copy_all(&work, request);
    HttpCopy *copy = calloc(1, sizeof(*copy) + work.n_pairs * sizeof(*copy->pairs) + work.size);
    if (copy) {
        copy->pairs = (HttpPair *)(copy + 1);
        copy->n_pairs = work.n_pairs;
        work = (CopyWork){.copy = copy, .text = (char *)(copy->pairs + copy->n_pairs)};
        copy_all(&work, request);
    }
    request->method = copy ? copy->method : "";
    request->path = copy ? copy->path : "";
    request->copy = copy;
}

void http_request_cancel(InaHttpRequest *request)
{
    HttpServer *server = request->server;

    if (!request->dispatched) {
        http_request_free(request);
        return;
    }
    server->statistics.cancelled++;
    copy_request(request);
    request->connection = NULL;
    request->next = server->owed;
    if (request->next)
        request->next->previous = request;
    server->owed = request;
    if (request->cancelled) {
        void (*cancelled)(void *) = request->cancelled;
        request->cancelled = NULL;
        cancelled(request->userdata); /* may answer: the request is gone then */
    }
}
