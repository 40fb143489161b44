/* stream.c - the live event stream; see stream.h. */
#include "stream.h"

#include "base/cleanup.h"
#include "base/map.h"
#include "base/soon.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

typedef struct Pending {
    char *type, *key, *name;
    uint32_t permissions;
    json_t *value; /* NULL: told anew later */
} Pending;

#define MARK_DIGITS 8u

typedef struct Kept {
    char *text, *name; /* name: who is told besides those who have the permissions; or NULL */
    size_t size;
    size_t mark; /* where in the text the reader's mark is: put there for each */
    uint32_t permissions;
} Kept;

typedef struct StreamClient {
    Stream *stream;
    InaHttpStream *http;
    StreamReader reader;
    char mark[MARK_DIGITS + 1];   /* of the reader as it is now */
    uint64_t next;                /* number of the event that it gets next */
    bool caught_up, full, passed; /* passed: over events that it may not see, since it was told a number */
    bool resets;                  /* it has to hear "reset" before anything else */
    struct StreamClient *previous, *following;
} StreamClient;

struct Stream {
    sd_event *event;
    sd_event_source *flush, *alive;
    char epoch[17];
    uint64_t number; /* of the last event; the first has 1 */
    Kept kept[STREAM_KEPT];
    Map *pending_by_key; /* Pending, owned by the array */
    Pending **pending;
    size_t n_pending, capacity;
    StreamClient *clients;
    size_t n_clients;
    bool (*still)(void *userdata, StreamReader *reader);
    void *still_userdata;
};

static int on_alive(sd_event_source *source, uint64_t when, void *userdata);

/* Of who reads, and of what he may see: a hash (FNV-1a), for it only has to differ when these do. */
static void mark_of(const StreamReader *reader, char ret[MARK_DIGITS + 1])
{
    uint32_t hash = 2166136261u;
    for (unsigned shift = 0; shift < 32; shift += 8)
        hash = (hash ^ (reader->permissions >> shift & 0xffu)) * 16777619u;
    for (const char *at = reader->name; *at; at++)
        hash = (hash ^ (unsigned char)*at) * 16777619u;
    snprintf(ret, MARK_DIGITS + 1, "%08x", (unsigned)hash);
}

int stream_new(sd_event *event, Stream **ret, InaError *error)
{
    uint64_t random;
    Stream *stream = calloc(1, sizeof(*stream));
    if (!stream || !(stream->pending_by_key = map_new())) {
        free(stream);
        return ina_error_set(error, ENOMEM, "no memory for the event stream");
    }
    stream->event = sd_event_ref(event);
    if (getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random)) {
        stream_free(stream);
        return ina_error_set(error, EIO, "event stream: no source of randomness");
    }
    snprintf(stream->epoch, sizeof(stream->epoch), "%016llx", (unsigned long long)random);
    int r = sd_event_add_time_relative(event, &stream->alive, CLOCK_MONOTONIC, STREAM_ALIVE_SECONDS * UINT64_C(1000000),
                                       0, on_alive, stream);
    if (r < 0) {
        stream_free(stream);
        return ina_error_errno(error, r, "event stream");
    }
    *ret = stream;
    return 0;
}

void stream_cursor(const Stream *stream, const StreamReader *reader, char ret[STREAM_CURSOR_MAX])
{
    char mark[MARK_DIGITS + 1];
    mark_of(reader, mark);
    snprintf(ret, STREAM_CURSOR_MAX, "%s-%llu-%s", stream->epoch, (unsigned long long)stream->number, mark);
}

uint64_t stream_number(const Stream *stream)
{
    return stream->number;
}

size_t stream_clients(const Stream *stream)
{
    return stream->n_clients;
}

static Pending *pending_free(Pending *pending)
{
    if (pending) {
        free(pending->type);
        free(pending->key);
        free(pending->name);
        json_decref(pending->value);
        free(pending);
    }
    return NULL;
}

static void client_free(StreamClient *client)
{
    Stream *stream = client->stream;
    if (client->previous)
        client->previous->following = client->following;
    else
        stream->clients = client->following;
    if (client->following)
        client->following->previous = client->previous;
    stream->n_clients--;
    free(client);
}

static void client_close(StreamClient *client)
{
    ina_http_stream_close(client->http);
    client_free(client);
}

Stream *stream_free(Stream *stream)
{
    if (!stream)
        return NULL;
    while (stream->clients)
        client_close(stream->clients);
    for (size_t i = 0; i < stream->n_pending; i++)
        pending_free(stream->pending[i]);
    free(stream->pending);
    map_free(stream->pending_by_key);
    for (size_t i = 0; i < STREAM_KEPT; i++) {
        free(stream->kept[i].text);
        free(stream->kept[i].name);
    }
    sd_event_source_disable_unref(stream->flush);
    sd_event_source_disable_unref(stream->alive);
    sd_event_unref(stream->event);
    free(stream);
    return NULL;
}

/* --- to the clients -------------------------------------------------------------- */

static bool may_see(const StreamReader *reader, const Kept *kept)
{
    return (kept->permissions & ~reader->permissions) == 0 || (kept->name && strcmp(kept->name, reader->name) == 0);
}

/* False: there is no room, and it was closed, or is `full` until what it misses was read. */
static bool client_write(StreamClient *client, const char *text, size_t size)
{
    if (ina_http_stream_write(client->http, text, size) != -ENOBUFS)
        return true;
    if (client->caught_up)
        client_close(client);
    else
        client->full = true;
    return false;
}

static bool client_tell_position(StreamClient *client, const char *type)
{
    char text[160];
    int size = snprintf(text, sizeof(text), "event: %s\nid: %s-%llu-%s\ndata: {}\n\n", type, client->stream->epoch,
                        (unsigned long long)client->next - 1, client->mark);
    if (!client_write(client, text, (size_t)size))
        return false;
    client->passed = false;
    return true;
}

/* Writes what the client has not had; it may be closed. */
static void client_pump(StreamClient *client)
{
    Stream *stream = client->stream;
    uint64_t first = stream->number >= STREAM_KEPT ? stream->number - STREAM_KEPT + 1 : 1;
    if (client->next < first) { /* it reads too slowly: it comes back and hears "reset" */
        client_close(client);
        return;
    }
    if (client->resets && !client->full) {
        if (!client_tell_position(client, "reset"))
            return;
        client->resets = false;
    }
    while (!client->full && client->next <= stream->number) {
        Kept *kept = &stream->kept[client->next % STREAM_KEPT];
        if (!may_see(&client->reader, kept)) {
            client->passed = true;
            client->next++;
            continue;
        }
        memcpy(kept->text + kept->mark, client->mark, MARK_DIGITS);
        if (!client_write(client, kept->text, kept->size))
            return;
        client->passed = false;
        client->next++;
    }
    client->caught_up |= client->next > stream->number;
}

static void pump_all(Stream *stream)
{
    StreamClient *following;
    for (StreamClient *client = stream->clients; client; client = following) {
        following = client->following;
        client_pump(client);
    }
}

/* What it may see from now on was not told before: it has to read that. */
static void client_check(StreamClient *client)
{
    Stream *stream = client->stream;
    uint32_t before = client->reader.permissions;
    if (stream->still && !stream->still(stream->still_userdata, &client->reader)) {
        client_close(client);
    } else if (client->reader.permissions != before) {
        mark_of(&client->reader, client->mark);
        client->resets = true;
        client_pump(client);
    }
}

void stream_watch_readers(Stream *stream, bool (*still)(void *userdata, StreamReader *reader), void *userdata)
{
    stream->still = still;
    stream->still_userdata = userdata;
}

void stream_check(Stream *stream)
{
    StreamClient *following;
    for (StreamClient *client = stream->clients; client; client = following) {
        following = client->following;
        client_check(client);
    }
}

static int on_alive(sd_event_source *source, uint64_t when, void *userdata)
{
    static const char alive[] = ": alive\n\n";
    Stream *stream = userdata;
    StreamClient *following;
    stream_check(stream);
    for (StreamClient *client = stream->clients; client; client = following) {
        following = client->following;
        if (client->full)
            continue; /* it is told when it has read, or closed when it falls behind what is kept */
        if (client->passed)
            client_tell_position(client, "cursor");
        else
            client_write(client, alive, sizeof(alive) - 1);
    }
    (void)sd_event_source_set_time_relative(source, STREAM_ALIVE_SECONDS * UINT64_C(1000000));
    return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static void on_drained(void *userdata)
{
    StreamClient *client = userdata;
    client->full = false;
    client_pump(client);
}

static void on_closed(void *userdata)
{
    client_free(userdata);
}

/* The number behind which the client goes on; false: unknown, it must read anew. */
static bool find_position(const Stream *stream, const char *after, const char *mark, uint64_t *ret)
{
    size_t length = strlen(stream->epoch);
    char *end;
    if (strncmp(after, stream->epoch, length) != 0 || after[length] != '-' || after[length + 1] < '0' ||
        after[length + 1] > '9')
        return false;
    errno = 0;
    unsigned long long number = strtoull(after + length + 1, &end, 10);
    uint64_t oldest = stream->number >= STREAM_KEPT ? stream->number - STREAM_KEPT : 0;
    if (errno || *end != '-' || strcmp(end + 1, mark) != 0 || number > stream->number || number < oldest)
        return false;
    *ret = number;
    return true;
}

static void greet(StreamClient *client, const char *after)
{
    char text[160], cursor[STREAM_CURSOR_MAX];
    Stream *stream = client->stream;
    uint64_t position = stream->number;
    mark_of(&client->reader, client->mark);
    stream_cursor(stream, &client->reader, cursor);
    bool reset = after && !find_position(stream, after, client->mark, &position);
    int size = reset ? snprintf(text, sizeof(text), "retry: 1000\nevent: reset\nid: %s\ndata: {}\n\n", cursor)
                     : snprintf(text, sizeof(text), "retry: 1000\n: %s\n\n", cursor);
    ina_http_stream_write(client->http, text, (size_t)size);
    client->next = position + 1;
    client_pump(client);
}

void stream_serve(Stream *stream, InaHttpRequest *request, const StreamReader *reader)
{
    const char *after = ina_http_header(request, "Last-Event-ID");
    char position[STREAM_CURSOR_MAX] = "";
    if (!after)
        after = ina_http_query(request, "after");
    if (after)
        snprintf(position, sizeof(position), "%s", after);
    if (stream->n_clients >= STREAM_CLIENTS_MAX) {
        ina_http_set_header(request, "Retry-After", "5");
        ina_http_respond_text(request, 503, "there are %u readers of events already\n", STREAM_CLIENTS_MAX);
        return;
    }
    StreamClient *client = calloc(1, sizeof(*client));
    if (!client) {
        ina_http_respond_text(request, 503, "no memory\n");
        return;
    }
    client->stream = stream;
    client->reader = *reader;
    ina_http_set_header(request, "Cache-Control", "no-store");
    ina_http_set_header(request, "X-Accel-Buffering", "no");
    client->http = ina_http_respond_stream(request, 200, "text/event-stream", on_drained, on_closed, client);
    if (!client->http) {
        free(client);
        return;
    }
    client->following = stream->clients;
    if (stream->clients)
        stream->clients->previous = client;
    stream->clients = client;
    stream->n_clients++;
    greet(client, after ? position : NULL);
}

/* --- what is told -------------------------------------------------------------- */

static void keep(Stream *stream, Pending *pending)
{
    AUTO_FREE char *value = pending->value ? json_dumps(pending->value, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    char *text;
    int size = value ? asprintf(&text, "event: %s\nid: %s-%llu-%*s\ndata: %s\n\n", pending->type, stream->epoch,
                                (unsigned long long)stream->number + 1, (int)MARK_DIGITS, "", value)
                     : -1;
    if (size < 0)
        return;
    size_t mark = (size_t)size - strlen(value) - strlen("\ndata: \n\n") - MARK_DIGITS;
    Kept *kept = &stream->kept[++stream->number % STREAM_KEPT];
    free(kept->text);
    free(kept->name);
    *kept = (Kept){text, TAKE_PTR(pending->name), (size_t)size, mark, pending->permissions};
}

static int on_flush(sd_event_source *source, void *userdata)
{
    Stream *stream = userdata;
    size_t n = stream->n_pending;
    stream->flush = sd_event_source_disable_unref(stream->flush);
    for (size_t i = 0; i < n; i++) {
        keep(stream, stream->pending[i]);
        /* So many at once that they would push each other out before anybody read them. */
        if (i % (STREAM_KEPT / 2) == STREAM_KEPT / 2 - 1)
            pump_all(stream);
        pending_free(stream->pending[i]);
    }
    stream->n_pending = 0;
    stream->pending_by_key = map_free(stream->pending_by_key);
    stream->pending_by_key = map_new();
    pump_all(stream);
    return 0;
}

static Pending *pending_new(const char *type, const char *key, StreamAudience audience, json_t *value)
{
    Pending *pending = calloc(1, sizeof(*pending));
    if (!pending)
        return NULL;
    pending->value = json_incref(value);
    pending->type = strdup(type);
    pending->key = strdup(key);
    pending->name = audience.name ? strdup(audience.name) : NULL; /* without memory it is told to fewer */
    pending->permissions = audience.permissions;
    return pending->type && pending->key ? pending : pending_free(pending);
}

static bool make_room(Stream *stream)
{
    if (stream->n_pending < stream->capacity)
        return true;
    size_t capacity = stream->capacity ? 2 * stream->capacity : 64;
    Pending **larger = realloc(stream->pending, capacity * sizeof(*larger));
    if (!larger)
        return false;
    stream->pending = larger;
    stream->capacity = capacity;
    return true;
}

static void add_pending(Stream *stream, const char *name, const char *type, const char *key, StreamAudience audience,
                        json_t *value)
{
    Pending *pending = make_room(stream) ? pending_new(type, key, audience, value) : NULL;
    if (!pending)
        return;
    stream->pending[stream->n_pending++] = pending;
    if (stream->pending_by_key)
        map_set(stream->pending_by_key, name, pending); /* else it is told twice */
    soon(stream->event, &stream->flush, on_flush, stream);
}

void stream_tell(Stream *stream, const char *type, const char *key, StreamAudience audience, json_t *value)
{
    AUTO_FREE char *name = NULL;
    if (!value)
        return;
    if (asprintf(&name, "%s %s", type, key) < 0)
        name = NULL;
    Pending *pending = name && stream->pending_by_key ? map_get(stream->pending_by_key, name) : NULL;
    if (pending) { /* in its new place, behind what was told of others since */
        json_decref(pending->value);
        pending->value = NULL;
    }
    if (name)
        add_pending(stream, name, type, key, audience, value);
    json_decref(value);
}
