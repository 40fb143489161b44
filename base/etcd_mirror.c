/* etcd_mirror.c - the mirror of etcd.h.
 *
 *   PAUSED --timer--> READING --all read--> WATCHING
 *      ^----- failed ----'   '--- lost, compacted ---> PAUSED
 *
 * A watch is never taken up again where it broke: everything is read anew and
 * compared with what is known. That is one request, and right whatever etcd did
 * meanwhile (compaction, restart without its data). */
#include "clock.h"
#include "etcd_internal.h"

#include <errno.h>
#include <sodium/crypto_shorthash.h>
#include <sodium/randombytes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NS_PER_US 1000u
#define NS_PER_S UINT64_C(1000000000)
#define STABLE_TIME (5 * NS_PER_S) /* a watch that lived as long ends the growing of pauses */

/* Values are not kept, their hash is. Revisions alone do not tell a difference:
 * an etcd that lost its data counts them from the start. */
typedef struct Known {
    int64_t mod_revision;
    uint64_t hash;
    uint64_t generation; /* of the reading that saw it last */
} Known;

static uint64_t hash_value(const EtcdMirror *mirror, const EtcdKeyValue *kv)
{
    unsigned char digest[crypto_shorthash_BYTES];
    uint64_t hash;

    crypto_shorthash(digest, (const unsigned char *)kv->value, kv->value_size, mirror->hash_key);
    memcpy(&hash, digest, sizeof(hash));
    return hash;
}

/* --- telling ------------------------------------------------------------------------------ */

/* After a callback: false when it ended or freed the mirror, which is not touched then. */
static bool still_there(EtcdMirror *mirror)
{
    mirror->telling = false;
    if (mirror->dead) {
        etcd_mirror_free(mirror);
        return false;
    }
    return mirror->state != MIRROR_ENDED;
}

static bool tell_changed(EtcdMirror *mirror, const EtcdKeyValue *kv)
{
    mirror->telling = true;
    mirror->changed(mirror->userdata, kv);
    return still_there(mirror);
}

static bool tell_synced(EtcdMirror *mirror, bool connected)
{
    mirror->connected = connected;
    if (!mirror->synced)
        return true;
    mirror->telling = true;
    mirror->synced(mirror->userdata, connected);
    return still_there(mirror);
}

/* --- what is known --------------------------------------------------------------------------- */

static void know_nothing(EtcdMirror *mirror)
{
    size_t position = 0;
    void *known;

    while (map_next(mirror->known, &position, NULL, &known))
        free(known);
    mirror->known = map_free(mirror->known);
}

/* 1: told, 0: nothing new, -ECANCELED: freed meanwhile, -ENOMEM, -EMSGSIZE. */
static int learn(EtcdMirror *mirror, const EtcdKeyValue *kv)
{
    Known *known = map_get(mirror->known, kv->key);
    uint64_t hash = hash_value(mirror, kv);

    if (known && known->mod_revision == kv->mod_revision && known->hash == hash) {
        known->generation = mirror->generation;
        return 0;
    }
    if (!known) {
        if (map_count(mirror->known) >= ETCD_MIRROR_KEYS_MAX)
            return -EMSGSIZE;
        known = malloc(sizeof(*known));
        if (!known || map_set(mirror->known, kv->key, known) < 0) {
            free(known);
            return -ENOMEM;
        }
    }
    *known = (Known){.mod_revision = kv->mod_revision, .hash = hash, .generation = mirror->generation};
    return tell_changed(mirror, kv) ? 1 : -ECANCELED;
}

static int forget(EtcdMirror *mirror, const EtcdKeyValue *kv)
{
    Known *known = map_remove(mirror->known, kv->key);

    if (!known)
        return 0;
    free(known);
    return tell_changed(mirror, kv) ? 1 : -ECANCELED;
}

/* What the last reading did not see is gone. */
static int forget_unseen(EtcdMirror *mirror, int64_t revision)
{
    size_t position = 0;
    const char *key;
    void *value;

    while (map_next(mirror->known, &position, &key, &value)) {
        const Known *known = value;
        if (known->generation == mirror->generation)
            continue;
        char *copy = strdup(key); /* the map's goes with the entry */
        if (!copy)
            return -ENOMEM;
        const EtcdKeyValue gone = {.key = copy, .mod_revision = revision};
        int r = forget(mirror, &gone);
        free(copy);
        if (r < 0)
            return r;
    }
    return 0;
}

static bool is_ours(const EtcdMirror *mirror, const EtcdKeyValue *kv)
{
    return strncmp(kv->key, mirror->prefix, strlen(mirror->prefix)) == 0;
}

static void lost_because(EtcdMirror *mirror, int code)
{
    InaError error = {0};

    if (code == -EMSGSIZE)
        ina_error_set(&error, EMSGSIZE, "more than %u keys below %s", ETCD_MIRROR_KEYS_MAX, mirror->prefix);
    else
        ina_error_errno(&error, code, "mirror of %s", mirror->prefix);
    etcd_mirror_lost(mirror, &error);
}

/* --- watching ---------------------------------------------------------------------------------- */

static void stop(EtcdMirror *mirror)
{
    if (mirror->stream)
        http_fetch_cancel(mirror->stream);
    mirror->stream = NULL;
    free(mirror->stream_url);
    mirror->stream_url = NULL;
    mirror->stream_ended = false;
    (void)sd_event_source_set_enabled(mirror->arrived, SD_EVENT_OFF);
    (void)sd_event_source_set_enabled(mirror->pause, SD_EVENT_OFF);
    etcd_request_cancel(mirror->reading);
    mirror->reading = NULL;
    buffer_free(&mirror->text);
}

void etcd_mirror_lost(EtcdMirror *mirror, const InaError *error)
{
    bool stable = mirror->state == MIRROR_WATCHING && steady_ns() - mirror->watching_since >= STABLE_TIME;

    if (mirror->state == MIRROR_WATCHING && mirror->stream_url && error->code != ESTALE)
        etcd_failed(mirror->etcd, mirror->stream_url);
    stop(mirror);
    mirror->error = *error;
    if (stable || mirror->pause_length == 0)
        mirror->pause_length = ETCD_PAUSE_MIN;
    else if (mirror->pause_length < ETCD_PAUSE_MAX / 2)
        mirror->pause_length *= 2;
    else
        mirror->pause_length = ETCD_PAUSE_MAX;
    /* Between half and all of it, so that not all processes come at once. */
    uint64_t half = mirror->pause_length / 2 / NS_PER_US;
    mirror->state = MIRROR_PAUSED;
    (void)sd_event_source_set_time_relative(mirror->pause, half + randombytes_uniform((uint32_t)half));
    (void)sd_event_source_set_enabled(mirror->pause, SD_EVENT_ONESHOT);
    if (mirror->connected)
        tell_synced(mirror, false);
}

static int handle_line(EtcdMirror *mirror, const char *line, size_t size, InaError *error)
{
    EtcdMessage message;

    int r = etcd_parse_event(line, size, &message, error);
    /* An etcd that came back empty between reading and watch knows of no compaction: it
     * would wait in silence until it has as many revisions. */
    if (r >= 0 && (message.cluster != mirror->cluster || (message.created && message.revision < mirror->revision)))
        r = ina_error_set(error, ESTALE, "etcd came back without its data");
    if (r >= 0 && message.revision > mirror->revision)
        mirror->revision = message.revision;
    for (size_t i = 0; r >= 0 && i < message.n_kvs; i++) {
        const EtcdKeyValue *kv = &message.kvs[i];
        if (is_ours(mirror, kv))
            r = kv->value ? learn(mirror, kv) : forget(mirror, kv);
        if (r < 0 && r != -ECANCELED)
            ina_error_errno(error, r, "mirror of %s", mirror->prefix);
    }
    etcd_message_clear(&message);
    return r;
}

/* Handles complete lines; what is behind them stays in `text`. */
static int handle_lines(EtcdMirror *mirror, InaError *error)
{
    Buffer text = mirror->text;
    size_t done = 0;
    const char *end;
    int r = text.failed ? ina_error_errno(error, ENOMEM, "watch of %s", mirror->prefix) : 0;

    mirror->text = (Buffer){0};
    while (r >= 0 && done < text.size && (end = memchr(text.data + done, '\n', text.size - done))) {
        size_t length = (size_t)(end - (text.data + done));
        r = handle_line(mirror, text.data + done, length, error);
        done += length + 1;
    }
    if (r >= 0 && text.size - done > ETCD_EVENT_MAX)
        r = ina_error_set(error, EMSGSIZE, "watch of %s: a message of more than %u bytes", mirror->prefix,
                          ETCD_EVENT_MAX);
    if (r >= 0 && done < text.size)
        buffer_append(&mirror->text, text.data + done, text.size - done);
    buffer_free(&text);
    return r;
}

/* Outside of the HTTP client: callbacks may free the mirror. */
static int on_arrived(sd_event_source *source, void *userdata)
{
    EtcdMirror *mirror = userdata;
    InaError error = {0};

    int r = handle_lines(mirror, &error);
    if (r == -ECANCELED && error.code == 0) /* freed */
        return 0;
    if (r >= 0 && !mirror->stream_ended)
        return 0;
    if (r >= 0) {
        /* The reason may be in a last line without its end. */
        InaError reason = {0};
        bool told = mirror->text.size > 0 &&
                    etcd_parse_event(mirror->text.data, mirror->text.size, &(EtcdMessage){0}, &reason) < 0 &&
                    reason.code != EPROTO;
        error = told ? reason : mirror->error;
    }
    etcd_mirror_lost(mirror, &error);
    return 0;
}

static void on_chunk(void *userdata, const void *data, size_t size)
{
    EtcdMirror *mirror = userdata;

    if (mirror->text.size > 2 * ETCD_EVENT_MAX) /* it is lost already */
        return;
    buffer_append(&mirror->text, data, size);
    if (mirror->text.size > 2 * ETCD_EVENT_MAX)
        mirror->text.failed = true;
    if (memchr(data, '\n', size) || mirror->text.size > ETCD_EVENT_MAX || mirror->text.failed)
        (void)sd_event_source_set_enabled(mirror->arrived, SD_EVENT_ONESHOT);
}

static void on_stream_end(void *userdata, const InaHttpResponse *response)
{
    EtcdMirror *mirror = userdata;

    mirror->stream = NULL;
    mirror->stream_ended = true;
    if (response->status == 0)
        mirror->error = response->error;
    else
        ina_error_set(&mirror->error, ECONNRESET, "%s: the watch ended (HTTP status %d)", mirror->stream_url,
                      response->status);
    (void)sd_event_source_set_enabled(mirror->arrived, SD_EVENT_ONESHOT);
}

static int start_stream(EtcdMirror *mirror, InaError *error)
{
    Buffer body = {0};

    mirror->stream_url = etcd_url(mirror->etcd, "/v3/watch");
    etcd_print_watch(&body, mirror->prefix, mirror->revision + 1);
    int r = 0;
    if (!mirror->stream_url || body.failed) {
        r = ina_error_errno(error, ENOMEM, "watch of %s", mirror->prefix);
    } else {
        const InaHttpFetchOptions options = {
            .method = "POST",
            .headers = etcd_login_headers(mirror->etcd),
            .url = mirror->stream_url,
            .body = body.data,
            .body_size = body.size,
            .timeout = UINT64_MAX,
            .chunk = on_chunk,
            .done = on_stream_end,
            .userdata = mirror,
        };
        mirror->stream = http_client_fetch(mirror->etcd->client, &options, error);
        r = mirror->stream ? 0 : ina_error_wrap(error, "watch of %s", mirror->prefix);
    }
    buffer_free(&body);
    return r;
}

static void watch(EtcdMirror *mirror)
{
    InaError error = {0};

    mirror->state = MIRROR_WATCHING;
    mirror->watching_since = steady_ns();
    if (start_stream(mirror, &error) < 0)
        etcd_mirror_lost(mirror, &error);
    else
        etcd_check_start(mirror->etcd);
}

/* --- reading ------------------------------------------------------------------------------------- */

static void on_read(void *userdata, const EtcdReply *reply)
{
    EtcdMirror *mirror = userdata;
    InaError error = {0};
    int r = 0;

    mirror->reading = NULL;
    if (reply->code != 0) {
        ina_error_set(&error, reply->code, "%s", reply->message);
        etcd_mirror_lost(mirror, &error);
        return;
    }
    mirror->generation++;
    mirror->cluster = reply->cluster;
    mirror->revision = reply->revision;
    mirror->checked_revision = 0;
    for (size_t i = 0; r >= 0 && i < reply->n_kvs; i++)
        if (is_ours(mirror, &reply->kvs[i]))
            r = learn(mirror, &reply->kvs[i]);
    if (r >= 0)
        r = forget_unseen(mirror, reply->revision);
    if (r == -ECANCELED)
        return;
    if (r < 0) {
        lost_because(mirror, r);
        return;
    }
    if (tell_synced(mirror, true))
        watch(mirror);
}

static void start_reading(EtcdMirror *mirror)
{
    mirror->state = MIRROR_READING;
    mirror->reading = etcd_get(mirror->etcd, mirror->prefix, true, on_read, mirror);
    if (!mirror->reading)
        lost_because(mirror, -ENOMEM);
}

static int on_pause_end(sd_event_source *source, uint64_t at, void *userdata)
{
    start_reading(userdata);
    return 0;
}

/* Both are made at the start, so that nothing can fail later. */
static int make_sources(EtcdMirror *mirror, sd_event *event)
{
    int r;

    if ((r = sd_event_add_time(event, &mirror->pause, CLOCK_MONOTONIC, 0, 0, on_pause_end, mirror)) < 0 ||
        (r = sd_event_source_set_enabled(mirror->pause, SD_EVENT_OFF)) < 0 ||
        (r = sd_event_add_defer(event, &mirror->arrived, on_arrived, mirror)) < 0)
        return r;
    return sd_event_source_set_enabled(mirror->arrived, SD_EVENT_OFF);
}

EtcdMirror *etcd_mirror_new(Etcd *etcd, const char *prefix, void (*changed)(void *userdata, const EtcdKeyValue *kv),
                            void (*synced)(void *userdata, bool connected), void *userdata)
{
    EtcdMirror *mirror = calloc(1, sizeof(*mirror));

    if (!mirror)
        return NULL;
    mirror->etcd = etcd;
    mirror->next = etcd->mirrors;
    if (mirror->next)
        mirror->next->previous = mirror;
    etcd->mirrors = mirror;
    mirror->prefix = strdup(prefix);
    mirror->known = map_new();
    mirror->changed = changed;
    mirror->synced = synced;
    mirror->userdata = userdata;
    mirror->state = MIRROR_READING;
    randombytes_buf(mirror->hash_key, sizeof(mirror->hash_key));
    if (mirror->prefix && mirror->known && make_sources(mirror, etcd->event) >= 0)
        mirror->reading = etcd_get(etcd, prefix, true, on_read, mirror);
    return mirror->reading ? mirror : etcd_mirror_free(mirror);
}

const char *etcd_mirror_error(const EtcdMirror *mirror)
{
    return mirror->error.message;
}

void etcd_mirror_end(EtcdMirror *mirror)
{
    if (!mirror->etcd)
        return;
    stop(mirror);
    mirror->arrived = sd_event_source_disable_unref(mirror->arrived);
    mirror->pause = sd_event_source_disable_unref(mirror->pause);
    mirror->state = MIRROR_ENDED;
    if (mirror->previous)
        mirror->previous->next = mirror->next;
    else
        mirror->etcd->mirrors = mirror->next;
    if (mirror->next)
        mirror->next->previous = mirror->previous;
    mirror->etcd = NULL;
    mirror->previous = mirror->next = NULL;
}

EtcdMirror *etcd_mirror_free(EtcdMirror *mirror)
{
    if (!mirror)
        return NULL;
    etcd_mirror_end(mirror);
    mirror->dead = true;
    if (mirror->telling)
        return NULL;
    know_nothing(mirror);
    free(mirror->prefix);
    free(mirror);
    return NULL;
}
