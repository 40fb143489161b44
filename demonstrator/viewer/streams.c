/* streams.c - live pages by server-sent events.
 *
 * An event's id is the time up to which the browser knows everything; after a
 * break it comes with Last-Event-ID and gets just what it missed. */
#include "viewer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct Stream {
    Viewer *viewer;
    Stream *next;
    InaHttpStream *http;
    int64_t known_ms;
    bool full; /* the browser does not read; what it misses comes when it does */
};

static void stream_remove(Stream *stream)
{
    for (Stream **link = &stream->viewer->streams; *link; link = &(*link)->next) {
        if (*link == stream) {
            *link = stream->next;
            stream->viewer->n_streams--;
            break;
        }
    }
    free(stream);
}

static void stream_closed(void *userdata)
{
    stream_remove(userdata);
}

/* Text of one event: "id", "event" and a line of data. NULL: out of memory. */
static char *event_text(const Viewer *viewer, int64_t after_ms, int64_t *ret_known)
{
    json_t *value = model_json(viewer->model, after_ms);
    json_object_set_new(value, "cluster", cluster_panel_json(viewer->panel));
    char *data = value ? json_dumps(value, JSON_COMPACT | JSON_REAL_PRECISION(8)) : NULL;
    *ret_known = value ? json_integer_value(json_object_get(value, "time")) : after_ms;
    json_decref(value);
    char *text = NULL;
    /* The parts' clocks may be a little behind: two seconds are sent again,
     * and the page keeps what it does not have yet. */
    int64_t id = *ret_known - 2000;
    if (data && asprintf(&text, "id: %lld\nevent: %s\ndata: %s\n\n", (long long)id,
                         after_ms == 0 ? "snapshot" : "tick", data) < 0) {
        text = NULL;
    }
    *ret_known = id;
    free(data);
    return text;
}

static void stream_send(Stream *stream, const char *text, int64_t known)
{
    int r = text ? ina_http_stream_write(stream->http, text, strlen(text)) : -ENOMEM;
    stream->full = r == -ENOBUFS; /* after anything else the next tick tries again */
    if (r >= 0) {
        stream->known_ms = known;
    }
}

static void stream_drained(void *userdata)
{
    Stream *stream = userdata;
    if (stream->full) {
        int64_t known;
        char *text = event_text(stream->viewer, stream->known_ms, &known);
        stream_send(stream, text, known);
        free(text);
    }
}

void streams_open(Viewer *viewer, InaHttpRequest *request)
{
    const char *last = ina_http_header(request, "Last-Event-ID");
    long long known_ms = last ? strtoll(last, NULL, 10) : 0;
    Stream *stream = viewer->n_streams < VIEWER_STREAMS_MAX ? calloc(1, sizeof(*stream)) : NULL;
    if (!stream) {
        ina_http_set_header(request, "Retry-After", "10");
        ina_http_respond_text(request, 503, "Too many open pages (at most %u); close some.\n", VIEWER_STREAMS_MAX);
        return;
    }
    stream->viewer = viewer;
    stream->known_ms = known_ms > 0 ? known_ms : 0;
    ina_http_set_header(request, "Cache-Control", "no-store");
    stream->http = ina_http_respond_stream(request, 200, "text/event-stream", stream_drained, stream_closed, stream);
    if (!stream->http) {
        free(stream);
        return;
    }
    stream->next = viewer->streams;
    viewer->streams = stream;
    viewer->n_streams++;
    int64_t known;
    char *text = event_text(viewer, stream->known_ms, &known);
    stream_send(stream, text, known);
    free(text);
}

void streams_publish(Viewer *viewer)
{
    char *text = NULL;
    int64_t text_after = -1, known = 0;
    for (Stream *stream = viewer->streams, *next; stream; stream = next) {
        next = stream->next;
        if (stream->full) {
            continue;
        }
        /* Streams that are up to date know the same, so one text serves all. */
        if (!text || text_after != stream->known_ms) {
            free(text);
            text_after = stream->known_ms;
            text = event_text(viewer, text_after, &known);
        }
        stream_send(stream, text, known);
    }
    free(text);
}

void streams_close(Viewer *viewer)
{
    while (viewer->streams) {
        ina_http_stream_close(viewer->streams->http);
        stream_remove(viewer->streams);
    }
}
