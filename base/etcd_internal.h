/* etcd_internal.h - what the files of the etcd client share. */
#pragma once

#include "etcd_codec.h"

typedef struct EtcdLogin EtcdLogin;

struct Etcd {
    sd_event *event;
    HttpClient *client;
    char *endpoints[ETCD_ENDPOINTS_MAX];
    size_t n_endpoints, current;
    EtcdRequest *requests;
    EtcdMirror *mirrors;
    sd_event_source *check_timer; /* runs while a mirror watches */
    EtcdRequest *check;
    EtcdLogin *login;
    bool telling, dead; /* freed in a callback of a mirror: the memory goes when it returned */
};

struct EtcdRequest {
    Etcd *etcd;
    EtcdRequest *previous, *next;
    EtcdKind kind;
    char *url;
    Buffer body; /* kept until it is answered, where it may have to be sent again */
    uint64_t deadline;
    EtcdDone done;
    void *userdata;
    InaHttpFetch *fetch;
    sd_event_source *refusal; /* instead of a fetch: tells `error` from the loop */
    InaError error;
    bool waiting; /* for the login */
    bool again;   /* it was sent with a token that did not hold any more */
};

/* Sends it; when that cannot be, its `error` is told from the loop. */
void etcd_request_send(EtcdRequest *request);
/* Tells `error` from the loop. */
void etcd_request_refuse(EtcdRequest *request, const InaError *error);

/* etcd_login.c: what makes requests those of an account. */
int etcd_login_new(Etcd *etcd, const char *account, InaError *error);
EtcdLogin *etcd_login_free(EtcdLogin *login);
/* True: the request was kept until there is a token. */
bool etcd_login_hold(Etcd *etcd, EtcdRequest *request);
/* After an answer: true when only the token was wrong, and the request waits for another one. */
bool etcd_login_again(Etcd *etcd, EtcdRequest *request, const InaHttpResponse *response);
/* For InaHttpFetchOptions; NULL without a token. */
const char *const *etcd_login_headers(const Etcd *etcd);

/* "https://127.17.8.20:2379" + path, malloc'ed. */
char *etcd_url(const Etcd *etcd, const char *path);
/* The endpoint that `url` begins with failed: the next one's turn, unless it is already. */
void etcd_failed(Etcd *etcd, const char *url);
/* Asks for a sign of life from now on, as long as a mirror watches. */
void etcd_check_start(Etcd *etcd);

struct EtcdMirror {
    Etcd *etcd; /* NULL when it was freed */
    EtcdMirror *previous, *next;
    char *prefix;
    void (*changed)(void *userdata, const EtcdKeyValue *kv);
    void (*synced)(void *userdata, bool connected);
    void *userdata;
    InaError error;
    bool connected; /* what `synced` was told */

    enum { MIRROR_PAUSED, MIRROR_READING, MIRROR_WATCHING, MIRROR_ENDED } state;
    sd_event_source *pause;   /* on in PAUSED: until the next reading */
    EtcdRequest *reading;     /* READING */
    InaHttpFetch *stream;     /* WATCHING */
    char *stream_url;         /* WATCHING */
    sd_event_source *arrived; /* on in WATCHING: a line of the stream waits, or its end */
    Buffer text;
    bool stream_ended;
    uint64_t watching_since, pause_length; /* ns */
    uint64_t cluster;
    int64_t revision;         /* up to which all is known */
    int64_t checked_revision; /* the same when a sign of life was asked for */

    Map *known; /* key: Known */
    uint64_t generation;
    unsigned char hash_key[16];
    bool telling, dead; /* freed in a callback: the memory goes when it returned */
};

/* Contact is lost, for the reason in `error`. */
void etcd_mirror_lost(EtcdMirror *mirror, const InaError *error);
/* Its etcd is being freed. */
void etcd_mirror_end(EtcdMirror *mirror);
