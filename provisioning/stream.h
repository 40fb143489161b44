/* stream.h - the live event stream: what changed, with a cursor (server-sent events).
 *
 * Each event has a number that rises by one; "id: EPOCH-NUMBER". The last
 * STREAM_KEPT are kept in memory; who comes back with Last-Event-ID (or ?after=) gets
 * what he missed, or, when that is too long ago or of another start of the
 * server, first an event "reset": read everything anew. A client that does
 * not read is closed when STREAM_WAITING_MAX waits (while what it missed is
 * repeated: when it falls out of what is kept). A line ": alive" each 10 s. */
#pragma once

#include <inaetics/http.h>
#include <jansson.h>
#include <systemd/sd-event.h>

#define STREAM_KEPT 10000u
#define STREAM_CLIENTS_MAX 1500u
#define STREAM_WAITING_MAX (1024u * 1024u) /* the HTTP server's limit of an answer that goes on */
#define STREAM_ALIVE_SECONDS 10u
#define STREAM_CURSOR_MAX 64u

typedef struct Stream Stream;

int stream_new(sd_event *event, Stream **ret, InaError *error);
/* `type`: "revision", "target", "target-gone", "version", "rollout", "audit", "workspace". Steals the reference. Events
 * of the same type and key within one turn of the loop are told once, with the newest value. */
void stream_tell(Stream *stream, const char *type, const char *key, json_t *value);
/* Answers the request and keeps it. */
void stream_serve(Stream *stream, InaHttpRequest *request);
/* "EPOCH-NUMBER" of the last event: what a full reading is as new as. */
const char *stream_cursor(const Stream *stream);
size_t stream_clients(const Stream *stream);
/* Ends all answers: who may still read comes back, asks again, and misses nothing. */
void stream_close_clients(Stream *stream);
Stream *stream_free(Stream *stream);
