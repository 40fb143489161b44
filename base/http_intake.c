/* http_intake.c - connections and requests as libmicrohttpd brings them. */
#include "http_internal.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct HeaderCheck {
    unsigned n, lengths, encodings, hosts;
    uint64_t length;
    int status;
    const char *problem;
} HeaderCheck;

static bool is_name(const char *text, size_t size)
{
    static const char extra[] = "!#$%&'*+-.^_`|~";

    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        bool letter = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        if (!letter && (c == '\0' || !strchr(extra, c)))
            return false;
    }
    return size > 0;
}

static bool parse_length(const char *text, uint64_t *ret)
{
    uint64_t length = 0;

    if (!*text)
        return false;
    for (; *text; text++)
        if (*text < '0' || *text > '9' || __builtin_mul_overflow(length, 10, &length) ||
            __builtin_add_overflow(length, (uint64_t)(*text - '0'), &length))
            return false;
    *ret = length;
    return true;
}

/* libmicrohttpd takes the first of several lengths and lets an unknown
 * transfer encoding run to the end of the connection; a proxy before us may
 * see it otherwise, so nothing ambiguous is let through. */
static enum MHD_Result check_header(void *userdata, enum MHD_ValueKind kind, const char *name, size_t name_size,
                                    const char *value, size_t value_size)
{
    HeaderCheck *check = userdata;
    const char *problem = NULL;
    int status = 400;

    if (++check->n > HTTP_HEADERS_MAX) {
        status = 431;
        problem = "too many header lines";
    } else if (!is_name(name, name_size)) {
        problem = "malformed header name";
    } else if (name_size == 14 && strcasecmp(name, "Content-Length") == 0) {
        if (++check->lengths > 1)
            problem = "more than one Content-Length";
        else if (!value || !parse_length(value, &check->length))
            problem = "malformed Content-Length";
    } else if (name_size == 17 && strcasecmp(name, "Transfer-Encoding") == 0) {
        if (++check->encodings > 1)
            problem = "more than one Transfer-Encoding";
        else if (!value || strcasecmp(value, "chunked") != 0) {
            status = 501;
            problem = "this Transfer-Encoding is not supported, \"chunked\" is";
        }
    } else if (name_size == 4 && strcasecmp(name, "Host") == 0 && ++check->hosts > 1) {
        problem = "more than one Host";
    }
    if (!problem && check->lengths && check->encodings)
        problem = "both Content-Length and Transfer-Encoding";
    if (!problem)
        return MHD_YES;
    check->status = status;
    check->problem = problem;
    return MHD_NO;
}

/* Decoded paths are handed to handlers that make file names of them. */
static bool path_is_plain(const char *path)
{
    if (path[0] != '/')
        return false;
    for (const char *p = path; *p; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            return false;
        if (p[0] == '/' && p[1] == '.') {
            const char *end = p[2] == '.' ? p + 3 : p + 2;
            if (*end == '/' || *end == '\0')
                return false;
        }
    }
    return true;
}

/* False: it is refused. */
static bool expect_body(InaHttpRequest *request)
{
    uint64_t expected = request->expected;

    if (!request->chunked && expected > request->server->limits.body_max) {
        http_refuse(request, 413, "the body is larger than %zu bytes", request->server->limits.body_max);
        return false;
    }
    size_t first = request->chunked ? 0 : expected < HTTP_BODY_FIRST ? (size_t)expected : HTTP_BODY_FIRST;
    int status = http_request_reserve(request, first);
    if (status)
        http_refuse(request, status, "%s", "the server has too many request bodies in memory");
    return !status;
}

void http_request_admit(InaHttpRequest *request)
{
    HttpConnection *connection = request->connection;

    if (!connection) {
        ina_http_respond(request, 503, NULL, NULL, 0); /* to nobody */
        return;
    }
    request->server->statistics.refused--;
    connection->lingering = false;
    if (!expect_body(request))
        return;
    request->dispatched = false;
    request->admitted = true;
    if (connection->suspended) /* else it was found gone already */
        http_resume(connection);
}

/* The header is complete, nothing of the body is read. */
static enum MHD_Result request_begin(HttpConnection *connection, const char *url, const char *method)
{
    HttpServer *server = connection->listener->server;
    HeaderCheck check = {0};

    server->statistics.requests++;
    if (!connection->asked) {
        connection->asked = true;
        connection->listener->unasked--;
    }
    InaHttpRequest *request = http_request_new(connection, method, url);
    if (!request)
        return MHD_NO;
    connection->request = request;

    MHD_get_connection_values_n(connection->mhd, MHD_HEADER_KIND, check_header, &check);
    const union MHD_ConnectionInfo *size =
        MHD_get_connection_info(connection->mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    if (check.problem) {
        http_refuse(request, check.status, "%s", check.problem);
    } else if (size && size->header_size > HTTP_SERVER_HEADER_MAX) {
        http_refuse(request, 431, "the header is larger than %u bytes", HTTP_SERVER_HEADER_MAX);
    } else if (connection->bad_url || !path_is_plain(url)) {
        http_refuse(request, 400, "malformed path: it must begin with a slash and have no . or .. in it");
    } else if (server->statistics.connections > server->limits.connections_max) {
        http_refuse(request, 503, "more than %u connections", server->limits.connections_max);
    } else if (check.length > 0 || check.encodings > 0) {
        request->chunked = check.encodings > 0;
        request->expected = check.encodings ? UINT64_MAX : check.length;
        if (server->guard && server->guard(server->guard_userdata, request)) {
            connection->lingering = true;
            server->statistics.refused++;
            if (connection->request) { /* it answers later */
                request->dispatched = true;
                http_suspend(connection);
            }
            return MHD_YES;
        }
        if (!expect_body(request))
            return connection->left ? MHD_NO : MHD_YES;
    }
    connection->bad_url = false;
    return connection->left ? MHD_NO : MHD_YES;
}

/* libmicrohttpd takes no answer while a body is coming in: write it beside. */
static enum MHD_Result refuse_raw(HttpConnection *connection, int status)
{
    char text[160];
    int length = snprintf(text, sizeof(text), "HTTP/1.1 %d %s\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
                          status, http_reason(status));
    HttpServer *server = connection->listener->server;

    server->statistics.refused++;
    if (server->certificate) {
        const union MHD_ConnectionInfo *info =
            MHD_get_connection_info(connection->mhd, MHD_CONNECTION_INFO_GNUTLS_SESSION);
        if (info)
            gnutls_record_send(info->tls_session, text, (size_t)length);
    } else {
        (void)!send(connection->fd, text, (size_t)length, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    connection->lingering = true;
    return MHD_NO;
}

static enum MHD_Result request_body(HttpConnection *connection, const char *data, size_t *size)
{
    InaHttpRequest *request = connection->request;

    if (!request || connection->left)
        return MHD_NO;
    int status = http_request_reserve(request, *size);
    if (status)
        return refuse_raw(connection, status);
    memcpy(request->body + request->size, data, *size);
    request->size += *size;
    connection->listener->server->statistics.bytes_in += *size;
    *size = 0;
    return MHD_YES;
}

/* The request is complete. */
static enum MHD_Result request_dispatch(HttpConnection *connection)
{
    HttpServer *server = connection->listener->server;
    InaHttpRequest *request = connection->request;

    if (!request || connection->left || server->dead)
        return MHD_NO;
    if (request->dispatched)
        return MHD_NO; /* resumed without an answer */
    request->dispatched = true;
    if (request->body)
        request->body[request->size] = '\0';
    if (request->expected == 0 && server->guard && server->guard(server->guard_userdata, request)) {
        server->statistics.refused++;
        if (connection->request)
            http_suspend(connection);
        return connection->left ? MHD_NO : MHD_YES;
    }
    const HttpRoute *route = http_server_route(server, request->path);
    if (route) {
        request->handler = route->handler;
        request->handler_userdata = route->userdata;
        route->handler(route->userdata, request);
    } else
        ina_http_respond_text(request, 404, "there is nothing at %s\n", request->path);
    if (connection->left)
        return MHD_NO;
    if (connection->request)
        http_suspend(connection);
    return MHD_YES;
}

enum MHD_Result http_on_request(void *userdata, struct MHD_Connection *mhd, const char *url, const char *method,
                                const char *version, const char *data, size_t *size, void **state)
{
    HttpConnection *connection = *state;
    HttpListener *listener = userdata;

    listener->activity++;
    if (connection && connection->request && connection->request->admitted && !connection->left) {
        connection->request->admitted = false;
        if (*size == 0)
            return MHD_YES;
    }
    if (connection)
        return *size > 0 ? request_body(connection, data, size) : request_dispatch(connection);
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    connection = info ? info->socket_context : NULL;
    if (!connection || connection->listener->server->dead)
        return MHD_NO;
    *state = connection;
    return request_begin(connection, url, method);
}

/* The answer is sent, or the connection is closing. */
void http_on_completed(void *userdata, struct MHD_Connection *mhd, void **state, enum MHD_RequestTerminationCode reason)
{
    HttpConnection *connection = *state;

    if (!connection)
        return;
    *state = NULL;
    if (connection->request) {
        InaHttpRequest *request = connection->request;
        connection->request = NULL;
        http_request_cancel(request);
    }
    if (connection->stream) {
        InaHttpStream *stream = connection->stream;
        connection->stream = NULL;
        http_stream_gone(stream);
    }
}

void http_on_connection(void *userdata, struct MHD_Connection *mhd, void **context,
                        enum MHD_ConnectionNotificationCode code)
{
    HttpListener *listener = userdata;
    HttpServer *server = listener->server;
    HttpConnection *connection = *context;

    listener->activity++;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        connection = calloc(1, sizeof(*connection));
        *context = connection; /* without: its requests are refused */
        if (!connection)
            return;
        connection->listener = listener;
        connection->mhd = mhd;
        const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
        connection->fd = info ? info->connect_fd : -1;
        connection->next = server->connections;
        if (connection->next)
            connection->next->previous = connection;
        server->connections = connection;
        server->statistics.connections++;
        listener->unasked++;
        return;
    }
    if (!connection)
        return;
    *context = NULL;
    if (!connection->asked)
        listener->unasked--;
    if (connection->upgrade)
        http_upgrade_gone(connection->upgrade);
    http_watch_forget(connection);
    if (!server->dead)
        http_linger(connection);
    if (connection->previous)
        connection->previous->next = connection->next;
    else
        server->connections = connection->next;
    if (connection->next)
        connection->next->previous = connection->previous;
    server->statistics.connections--;
    listener->again_wanted = true; /* at its limit libmicrohttpd accepts again only in its next round */
    free(connection->subject);
    free(connection);
}

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Decodes in place. libmicrohttpd's own lets "%00" end a path early and
 * passes malformed escapes on. */
size_t http_unescape(void *userdata, struct MHD_Connection *mhd, char *text)
{
    char *out = text;
    bool bad = false;

    for (const char *in = text; *in; in++) {
        if (*in != '%') {
            *out++ = *in;
            continue;
        }
        int high = hex(in[1]), low = high < 0 ? -1 : hex(in[2]);
        if (low < 0 || (high == 0 && low == 0)) {
            bad = true;
            break;
        }
        *out++ = (char)(high * 16 + low);
        in += 2;
    }
    *out = '\0';
    if (bad) {
        const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
        HttpConnection *connection = info ? info->socket_context : NULL;
        if (connection)
            connection->bad_url = true;
    }
    return (size_t)(out - text);
}
