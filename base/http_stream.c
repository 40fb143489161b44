/* http_stream.c - answers that go on.
 *
 * libmicrohttpd fetches what is buffered when the client can take more. With
 * nothing buffered the connection is suspended; the next write resumes it. */
#include "http_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct InaHttpStream {
    HttpConnection *connection; /* NULL: gone, or not there from the beginning */
    char *data;                 /* waiting: data[start..end) */
    size_t start, end, capacity;
    size_t limit; /* more than this does not wait */
    bool ended;   /* closed by its user, who may not use it any more */
    bool full;    /* its user was refused, and waits for `drained` */
    void (*drained)(void *userdata);
    void (*closed)(void *userdata);
    void *userdata;
    HttpHandler handler; /* of the request that it answers */
    const void *handler_userdata;
};

static void stream_free(InaHttpStream *stream)
{
    free(stream->data);
    free(stream);
}

static ssize_t read_stream(void *userdata, uint64_t position, char *buffer, size_t room)
{
    InaHttpStream *stream = userdata;
    HttpConnection *connection = stream->connection;

    if (!connection || connection->left)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    connection->listener->activity++;
    size_t waiting = stream->end - stream->start;
    size_t size = waiting < room ? waiting : room;
    if (size > 0) {
        memcpy(buffer, stream->data + stream->start, size);
        stream->start += size;
        waiting -= size;
        connection->listener->server->statistics.bytes_out += size;
    }
    if (waiting == 0) {
        stream->start = stream->end = 0;
        if (stream->capacity > HTTP_STREAM_LOW) {
            free(stream->data);
            stream->data = NULL;
            stream->capacity = 0;
        }
    }
    if (stream->full && waiting <= (stream->limit / 2 < HTTP_STREAM_LOW ? stream->limit / 2 : HTTP_STREAM_LOW)) {
        stream->full = false;
        if (stream->drained && !stream->ended)
            stream->drained(stream->userdata); /* may write, may close */
    }
    if (size > 0)
        return (ssize_t)size;
    if (stream->end > stream->start)
        return read_stream(userdata, position, buffer, room);
    if (stream->ended)
        return MHD_CONTENT_READER_END_OF_STREAM;
    http_suspend(connection);
    return 0;
}

InaHttpStream *ina_http_respond_stream(InaHttpRequest *request, int status, const char *content_type,
                                       void (*drained)(void *userdata), void (*closed)(void *userdata), void *userdata)
{
    HttpConnection *connection = request->connection;
    InaHttpStream *stream = connection ? calloc(1, sizeof(*stream)) : NULL;
    struct MHD_Response *response = NULL;

    if (stream) /* pieces are made in the connection's own memory; this size is for HTTP/1.0 */
        response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 4096, read_stream, stream, NULL);
    if (!response) {
        free(stream);
        stream = NULL;
    } else {
        *stream = (InaHttpStream){.connection = connection,
                                  .limit = HTTP_STREAM_MAX,
                                  .drained = drained,
                                  .closed = closed,
                                  .userdata = userdata,
                                  .handler = request->handler,
                                  .handler_userdata = request->handler_userdata};
        connection->stream = stream;
    }
    http_answer(request, status, content_type, response);
    return stream;
}

int ina_http_stream_write(InaHttpStream *stream, const void *data, size_t size)
{
    if (stream->end - stream->start > stream->limit) {
        stream->full = true;
        return -ENOBUFS;
    }
    if (size == 0)
        return 0;
    if (size > HTTP_SERVER_BODY_MAX)
        return -EMSGSIZE;
    if (stream->capacity - stream->end < size) {
        size_t waiting = stream->end - stream->start;
        if (stream->start > 0)
            memmove(stream->data, stream->data + stream->start, waiting);
        stream->start = 0;
        stream->end = waiting;
        if (stream->capacity < waiting + size) {
            size_t capacity = stream->capacity * 2 > waiting + size ? stream->capacity * 2 : waiting + size;
            char *grown = realloc(stream->data, capacity);
            if (!grown)
                return -ENOMEM;
            stream->data = grown;
            stream->capacity = capacity;
        }
    }
    memcpy(stream->data + stream->end, data, size);
    stream->end += size;
    if (stream->connection->suspended)
        http_resume(stream->connection);
    return 0;
}

void ina_http_stream_close(InaHttpStream *stream)
{
    if (!stream)
        return;
    stream->ended = true;
    if (stream->connection->suspended)
        http_resume(stream->connection);
}

void http_stream_limit(InaHttpStream *stream, size_t bytes)
{
    stream->limit = bytes > 0 && bytes < HTTP_STREAM_MAX ? bytes : HTTP_STREAM_MAX;
}

void http_stream_abort(InaHttpStream *stream)
{
    stream->ended = true;
    stream->connection->left = true;
    if (stream->connection->suspended)
        http_resume(stream->connection);
}

void http_stream_gone(InaHttpStream *stream)
{
    stream->connection = NULL;
    if (!stream->ended && stream->closed)
        stream->closed(stream->userdata);
    stream_free(stream);
}

void http_stream_abandon(InaHttpStream *stream, HttpHandler handler, const void *handler_userdata)
{
    if (stream->handler != handler || stream->handler_userdata != handler_userdata || stream->ended)
        return;
    stream->ended = true;
    stream->connection->left = true;
    if (stream->connection->suspended)
        http_resume(stream->connection);
    if (stream->closed)
        stream->closed(stream->userdata);
}
