/* etcd_watch.c - a plain watch: events as they come, to one who keeps the state. */
#include "etcd_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct EtcdWatch {
    Etcd *etcd;
    char *url;
    InaHttpFetch *stream;
    sd_event_source *arrived; /* on: a line of the stream waits, or its end */
    Buffer text;
    bool stream_ended;
    InaError error;
    EtcdDone tell;
    void *userdata;
    bool telling, dead; /* freed in a callback: the memory goes when it returned */
};

/* False when the watch was freed. */
static bool tell(EtcdWatch *watch, const EtcdReply *reply)
{
    watch->telling = true;
    watch->tell(watch->userdata, reply);
    watch->telling = false;
    if (!watch->dead)
        return true;
    etcd_watch_free(watch);
    return false;
}

static void end(EtcdWatch *watch, const InaError *error)
{
    const EtcdReply reply = {.code = error->code, .message = error->message};

    if (watch->stream)
        http_fetch_cancel(watch->stream);
    watch->stream = NULL;
    (void)sd_event_source_set_enabled(watch->arrived, SD_EVENT_OFF);
    if (error->code != ESTALE)
        etcd_failed(watch->etcd, watch->url);
    tell(watch, &reply);
}

/* -ECANCELED without `error`: the watch was freed. */
static int handle_line(EtcdWatch *watch, const char *line, size_t size, InaError *error)
{
    EtcdMessage message;

    int r = etcd_parse_event(line, size, &message, error);
    if (r < 0)
        return r;
    const EtcdReply reply = {
        .message = "",
        .cluster = message.cluster,
        .revision = message.revision,
        .created = message.created,
        .kvs = message.kvs,
        .n_kvs = message.n_kvs,
    };
    if (!tell(watch, &reply))
        r = -ECANCELED;
    etcd_message_clear(&message);
    return r;
}

/* Handles complete lines; what is behind them stays in `text`. */
static int handle_lines(EtcdWatch *watch, InaError *error)
{
    Buffer text = watch->text;
    size_t done = 0;
    const char *line_end;
    int r = text.failed ? ina_error_errno(error, ENOMEM, "watch") : 0;

    watch->text = (Buffer){0};
    while (r >= 0 && done < text.size && (line_end = memchr(text.data + done, '\n', text.size - done))) {
        size_t length = (size_t)(line_end - (text.data + done));
        r = handle_line(watch, text.data + done, length, error);
        done += length + 1;
    }
    if (r >= 0 && text.size - done > ETCD_EVENT_MAX)
        r = ina_error_set(error, EMSGSIZE, "watch: a message of more than %u bytes", ETCD_EVENT_MAX);
    if (r >= 0 && done < text.size)
        buffer_append(&watch->text, text.data + done, text.size - done);
    buffer_free(&text);
    return r;
}

/* Outside of the HTTP client: callbacks may free the watch. */
static int on_arrived(sd_event_source *source, void *userdata)
{
    EtcdWatch *watch = userdata;
    InaError error = {0};

    int r = handle_lines(watch, &error);
    if (r == -ECANCELED && error.code == 0)
        return 0;
    if (r >= 0 && !watch->stream_ended)
        return 0;
    if (r >= 0) {
        /* The reason may be in a last line without its end. */
        InaError reason = {0};
        EtcdMessage message = {0};
        bool told = watch->text.size > 0 &&
                    etcd_parse_event(watch->text.data, watch->text.size, &message, &reason) < 0 &&
                    reason.code != EPROTO;
        etcd_message_clear(&message);
        error = told ? reason : watch->error;
    }
    end(watch, &error);
    return 0;
}

static void on_chunk(void *userdata, const void *data, size_t size)
{
    EtcdWatch *watch = userdata;

    if (watch->text.size > 2 * ETCD_EVENT_MAX) /* it is lost already */
        return;
    buffer_append(&watch->text, data, size);
    if (watch->text.size > 2 * ETCD_EVENT_MAX)
        watch->text.failed = true;
    if (memchr(data, '\n', size) || watch->text.size > ETCD_EVENT_MAX || watch->text.failed)
        (void)sd_event_source_set_enabled(watch->arrived, SD_EVENT_ONESHOT);
}

static void on_stream_end(void *userdata, const InaHttpResponse *response)
{
    EtcdWatch *watch = userdata;

    watch->stream = NULL;
    watch->stream_ended = true;
    if (response->status == 0)
        watch->error = response->error;
    else
        ina_error_set(&watch->error, ECONNRESET, "%s: the watch ended (HTTP status %d)", watch->url, response->status);
    (void)sd_event_source_set_enabled(watch->arrived, SD_EVENT_ONESHOT);
}

/* A stream that cannot be asked for is one that ended. */
static int start(EtcdWatch *watch, const char *prefix, int64_t revision)
{
    Buffer body = {0};

    etcd_print_watch(&body, prefix, revision);
    const InaHttpFetchOptions options = {
        .method = "POST",
        .headers = etcd_login_headers(watch->etcd),
        .url = watch->url,
        .body = body.data,
        .body_size = body.size,
        .timeout = UINT64_MAX,
        .chunk = on_chunk,
        .done = on_stream_end,
        .userdata = watch,
    };
    int r = body.failed ? -ENOMEM : 0;
    if (r == 0)
        watch->stream = http_client_fetch(watch->etcd->client, &options, &watch->error);
    buffer_free(&body);
    if (r == 0 && !watch->stream) {
        watch->stream_ended = true;
        (void)sd_event_source_set_enabled(watch->arrived, SD_EVENT_ONESHOT);
    }
    return r;
}

EtcdWatch *etcd_watch_new(Etcd *etcd, const char *prefix, int64_t revision, EtcdDone tell_, void *userdata)
{
    EtcdWatch *watch = calloc(1, sizeof(*watch));

    if (!watch)
        return NULL;
    watch->etcd = etcd;
    watch->tell = tell_;
    watch->userdata = userdata;
    watch->url = etcd_url(etcd, "/v3/watch");
    if (!watch->url || sd_event_add_defer(etcd->event, &watch->arrived, on_arrived, watch) < 0 ||
        sd_event_source_set_enabled(watch->arrived, SD_EVENT_OFF) < 0 || start(watch, prefix, revision) < 0)
        return etcd_watch_free(watch);
    return watch;
}

EtcdWatch *etcd_watch_free(EtcdWatch *watch)
{
    if (!watch)
        return NULL;
    if (watch->stream)
        http_fetch_cancel(watch->stream);
    watch->stream = NULL;
    watch->arrived = sd_event_source_disable_unref(watch->arrived);
    watch->dead = true;
    if (watch->telling)
        return NULL;
    buffer_free(&watch->text);
    free(watch->url);
    free(watch);
    return NULL;
}
