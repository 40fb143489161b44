/* stream.h - the live event stream: what changed, with a cursor (server-sent events).
 *
 * Each event has a number that rises by one; "id: EPOCH-NUMBER-READER", where the
 * last part stands for who reads and what he may see. The last
 * STREAM_KEPT are kept in memory; who comes back with Last-Event-ID (or ?after=) gets
 * what he missed, or, when that is too long ago, of another start of the
 * server, or he may see something else now, first an event "reset": read everything anew. A client that does
 * not read is closed when STREAM_WAITING_MAX waits (while what it missed is
 * repeated: when it falls out of what is kept). A line ": alive" each 10 s.
 *
 * A reader is told what it may see; the numbers of other events are left out. So that a
 * reader of few events does not fall behind what is kept, it is told from time to
 * time, with an event "cursor", how far it has read. */
#pragma once

#include <inaetics/http.h>
#include <jansson.h>
#include <systemd/sd-event.h>

#define STREAM_KEPT 10000u
#define STREAM_CLIENTS_MAX 1500u
#define STREAM_WAITING_MAX (1024u * 1024u) /* the HTTP server's limit of an answer that goes on */
#define STREAM_ALIVE_SECONDS 10u
#define STREAM_CURSOR_MAX 64u

#define STREAM_NAME_SIZE 65u

typedef struct Stream Stream;

typedef struct StreamReader {
    uint32_t permissions;
    char name[STREAM_NAME_SIZE];
    char session[STREAM_NAME_SIZE]; /* "": none */
    uint64_t password;
} StreamReader;

int stream_new(sd_event *event, Stream **ret, InaError *error);
/* Who is told: readers with all these permissions, and the one of this name (NULL: none). */
typedef struct StreamAudience {
    uint32_t permissions;
    const char *name;
} StreamAudience;
/* `type`: "revision", "target", "target-gone", "version", "rollout", "audit", "workspace". Steals the reference. Events
 * of the same type and key within one turn of the loop are told once, with the newest value. */
void stream_tell(Stream *stream, const char *type, const char *key, StreamAudience audience, json_t *value);
/* Answers the request and keeps it. */
void stream_serve(Stream *stream, InaHttpRequest *request, const StreamReader *reader);
/* `still` says whether a reader may still read (else it is closed), and sets what it may see now (when that differs, it
 * hears "reset"). Asked each STREAM_ALIVE_SECONDS, and by stream_check. */
void stream_watch_readers(Stream *stream, bool (*still)(void *userdata, StreamReader *reader), void *userdata);
void stream_check(Stream *stream);
/* The "id" of the last event for this reader: what a full reading is as new as. */
void stream_cursor(const Stream *stream, const StreamReader *reader, char ret[STREAM_CURSOR_MAX]);
uint64_t stream_number(const Stream *stream); /* of the last event; 0: none yet */
size_t stream_clients(const Stream *stream);
Stream *stream_free(Stream *stream);
