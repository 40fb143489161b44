/* etcd_fixture.h - what the tests of the etcd client share: a loop that waits
 * for conditions, recorders of replies and of a mirror, a real etcd, and a
 * server that answers as it is told. */
#pragma once

#include "testing.h"

#include "base/etcd.h"
#include "base/map.h"

#include <pthread.h>
#include <time.h>

/* Runs the loop until `condition`; a minute is more than enough for all there is. */
#define wait_until(event, condition)                                                                                   \
    do {                                                                                                               \
        time_t end_ = time(NULL) + 60;                                                                                 \
        while (!(condition)) {                                                                                         \
            if (time(NULL) >= end_)                                                                                    \
                fail_msg("a minute passed without: %s", #condition);                                                   \
            assert_true(sd_event_run(event, 100000) >= 0);                                                             \
        }                                                                                                              \
    } while (0)

/* --- recorders ---- */

/* A reply, copied. kvs as text: "key=value key=value". */
typedef struct Result {
    int done, code;
    char message[INA_ERROR_MESSAGE_MAX];
    int64_t revision, lease, ttl, mod_revision; /* the last of the first kv */
    size_t n_kvs, value_size;                   /* the last of the first kv */
    bool succeeded;
    char kvs[4096];
} Result;

void record_result(void *userdata, const EtcdReply *reply); /* an EtcdDone with a Result */

/* Starts a request and waits for its result: request(etcd, etcd_put(etcd, ..., record_result, &result), &result). */
void finish_request(sd_event *event, EtcdRequest *request, const Result *result);

typedef struct Seen {
    Map *values; /* key: text, malloc'ed */
    unsigned changed, gone, synced, lost;
    bool connected;
} Seen;

void seen_init(Seen *seen);
void seen_clear(Seen *seen);
void record_change(void *userdata, const EtcdKeyValue *kv);
void record_synced(void *userdata, bool connected);
/* The value that the mirror told last, "" when it is not there. */
const char *seen_value(const Seen *seen, const char *key);

/* --- a real etcd ---- */

typedef struct RealEtcd {
    char *folder; /* pki/ and data/ in it */
    pid_t pid;
    char url[64], peer_url[64];
    char ca[256], certificate[256], key[256];
    HttpClientOptions tls; /* of a client that it trusts */
} RealEtcd;

/* `fetch_server`: tools/fetch-server; `build`: the build folder. NULL and printed: there is none. */
int real_etcd_new(RealEtcd *etcd, const char *fetch_server, const char *build);
void real_etcd_start(RealEtcd *etcd); /* returns when it answers */
void real_etcd_kill(RealEtcd *etcd);
void real_etcd_free(RealEtcd *etcd);

/* --- a server that says what it is told ---- */

typedef enum AnswerKind {
    ANSWER_PLAIN,  /* status and body */
    ANSWER_RAW,    /* the body is the whole answer, then the connection is closed */
    ANSWER_STREAM, /* the body as a chunk; stays open */
    ANSWER_ENDED,  /* the body as chunks, each line by itself; ended */
    ANSWER_FLOOD,  /* the body, then chunks of x for as long as somebody reads */
    ANSWER_HUGE,   /* a Content-Length beyond all limits, and as much */
    ANSWER_SILENT, /* nothing */
} AnswerKind;

typedef struct Answer {
    const char *path;
    unsigned times; /* 0: always */
    AnswerKind kind;
    const char *body;
    int status; /* 0: 200 */
    unsigned given;
} Answer;

#define FAKE_CONNECTIONS_MAX 256u

typedef struct FakeEtcd {
    char url[64];
    pthread_mutex_t lock;
    Answer *answers;    /* ends with path NULL; the first that has not been given `times` is */
    const char *health; /* body of the answer to the sign of life; NULL: as other ranges */
    unsigned requests;
    int listener;
    pthread_t thread;
    int connections[FAKE_CONNECTIONS_MAX];
    pthread_t threads[FAKE_CONNECTIONS_MAX];
    unsigned n_connections;
} FakeEtcd;

void fake_etcd_start(FakeEtcd *fake, Answer *answers, const char *health);
void fake_etcd_stop(FakeEtcd *fake);
unsigned fake_etcd_given(FakeEtcd *fake, size_t answer);
