/* node_log.c - a container's log as an answer: its end or all of it, then what
 * follows, as fast as the client reads. */
#include "base/cleanup.h"
#include "kube_node_internal.h"
#include "log_filter.h"

#include <errno.h>
#include <string.h>

#define LOG_CHUNK 65536u
#define LOG_PENDING_MAX (1024u * 1024u)

typedef struct LogSend {
    InaHttpStream *stream; /* NULL: closed */
    LogReader *reader;     /* NULL: all read */
    ContainerLog *log;     /* NULL: does not follow (any more) */
    LogFollower *follower;
    LogFilter filter;
    Buffer pending; /* could not be sent yet */
    bool pumping;
} LogSend;

static void send_free(LogSend *send)
{
    if (send->follower)
        container_log_unfollow(send->log, send->follower);
    log_reader_free(send->reader);
    buffer_free(&send->pending);
    free(send);
}

/* Returns false when the client does not read fast enough for now. */
static bool send_pending(LogSend *send)
{
    if (send->pending.size == 0)
        return true;
    if (ina_http_stream_write(send->stream, send->pending.data, send->pending.size) < 0)
        return false;
    buffer_clear(&send->pending);
    return send->stream != NULL;
}

static void read_more(LogSend *send)
{
    char data[LOG_CHUNK];
    ssize_t size = log_reader_read(send->reader, data, sizeof data);
    if (size <= 0)
        send->reader = log_reader_free(send->reader);
    else
        log_filter(&send->filter, data, (size_t)size, &send->pending);
}

static void pump(LogSend *send)
{
    if (send->pumping)
        return;
    send->pumping = true;
    bool flowing = send_pending(send);
    while (flowing && send->stream && send->reader && !send->filter.full) {
        read_more(send);
        flowing = send_pending(send);
    }
    send->pumping = false;
    bool complete = flowing && ((!send->reader && !send->follower) || send->filter.full);
    if (send->stream && complete)
        ina_http_stream_close(TAKE_PTR(send->stream));
    if (!send->stream)
        send_free(send);
}

static void handle_drained(void *userdata)
{
    pump(userdata);
}

static void handle_closed(void *userdata)
{
    LogSend *send = userdata;
    send->stream = NULL;
    if (!send->pumping)
        send_free(send);
}

static void handle_written(void *userdata, const void *data, size_t size)
{
    LogSend *send = userdata;
    log_filter(&send->filter, data, size, &send->pending);
    if (send->reader) /* what was there before comes first */
        return;
    if (send->pending.size > LOG_PENDING_MAX || send->pending.failed) {
        /* It does not read: given up, so that it does not fill our memory. */
        ina_http_stream_close(TAKE_PTR(send->stream));
        send_free(send);
        return;
    }
    pump(send);
}

static void handle_log_ended(void *userdata)
{
    LogSend *send = userdata;
    send->follower = NULL;
    send->log = NULL;
    pump(send);
}

/* --- what is asked for ------------------------------------------------------------------- */

static int read_number(const InaHttpRequest *request, const char *name, int64_t *ret)
{
    const char *text = ina_http_query(request, name);
    char *end;
    *ret = -1;
    if (!text || !text[0])
        return 0;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (*end != '\0' || value < 0 || errno != 0)
        return -EINVAL;
    *ret = value;
    return 0;
}

static bool flag(const InaHttpRequest *request, const char *name)
{
    const char *text = ina_http_query(request, name);
    return text && (strcmp(text, "true") == 0 || strcmp(text, "1") == 0);
}

static int read_filter(const InaHttpRequest *request, LogFilter *ret, int64_t *ret_tail, InaError *error)
{
    int64_t seconds;
    const char *since = ina_http_query(request, "sinceTime");
    uint64_t us;
    *ret = (LogFilter){.timestamps = flag(request, "timestamps")};
    if (read_number(request, "tailLines", ret_tail) < 0)
        return ina_error_set(error, EINVAL, "tailLines: must be a number of lines, 0 or more");
    if (read_number(request, "limitBytes", &ret->limit) < 0)
        return ina_error_set(error, EINVAL, "limitBytes: must be a number of bytes");
    if (read_number(request, "sinceSeconds", &seconds) < 0)
        return ina_error_set(error, EINVAL, "sinceSeconds: must be a number of seconds");
    if (seconds >= 0)
        log_filter_since(ret, (uint64_t)(time(NULL) - (seconds < time(NULL) ? (time_t)seconds : time(NULL))) * 1000000);
    if (since && kube_time_parse(since, &us) < 0)
        return ina_error_set(error, EINVAL, "sinceTime: must be a time as 2026-01-31T12:00:00Z");
    if (since)
        log_filter_since(ret, us);
    return 0;
}

void node_log_send(InaHttpRequest *request, Container *container)
{
    LogFilter filter;
    ContainerStatus status;
    int64_t tail;
    InaError error = {0};
    if (read_filter(request, &filter, &tail, &error) < 0)
        return ina_http_respond_text(request, 400, "%s\n", error.message);
    bool previous = flag(request, "previous"), follow = flag(request, "follow") && !previous;
    container_status(container, &status);
    if (previous && status.restarts == 0)
        return ina_http_respond_text(request, 400, "previous terminated container \"%s\" not found\n",
                                     container_spec(container)->name);
    LogSend *send = calloc(1, sizeof *send);
    if (!send || container_log_reader(container_log(container), previous, (long)tail, &send->reader, &error) < 0) {
        free(send);
        return ina_http_respond_text(request, 500, "%s\n", error.code ? error.message : "out of memory");
    }
    send->filter = filter;
    if (follow) {
        send->log = container_log(container);
        send->follower = container_log_follow(send->log, handle_written, handle_log_ended, send);
        if (!send->follower) {
            send_free(send);
            return ina_http_respond_text(request, 503, "too many follow this log\n");
        }
    }
    send->stream = ina_http_respond_stream(request, 200, "text/plain", handle_drained, handle_closed, send);
    if (send->stream)
        pump(send);
    else
        send_free(send);
}
