/* etcd.h - etcd v3 through its JSON gateway: put, get, transaction, lease and
 * watch. Facts about the gateway: 64-bit integers are strings, zero values are
 * omitted, keys and values are base64.
 *
 * Requests fail with a deadline of 5 s and are not repeated. Several endpoints
 * may be given; a failing one is changed for the next. */
#pragma once

#include "http_client.h"

#define ETCD_VALUE_MAX (1024u * 1024u)

typedef struct Etcd Etcd;
typedef struct EtcdRequest EtcdRequest;
typedef struct EtcdWatch EtcdWatch;

typedef struct EtcdKeyValue {
    const char *key;
    const char *value; /* NUL behind it; NULL for a deletion */
    size_t value_size;
    int64_t create_revision, mod_revision, lease;
} EtcdKeyValue;

typedef struct EtcdReply {
    int code; /* 0, or a positive errno: ENOENT lease gone, ECANCELED compare failed, ... */
    const char *message;
    int64_t revision;
    int64_t lease; /* grant */
    int64_t ttl;   /* seconds: grant, keepalive */
    const EtcdKeyValue *kvs;
    size_t n_kvs;
    bool succeeded; /* transaction */
} EtcdReply;

typedef void (*EtcdDone)(void *userdata, const EtcdReply *reply);

/* endpoints: "https://127.17.8.20:2379,..." */
int etcd_new(sd_event *event, const char *endpoints, const HttpClientOptions *tls, Etcd **ret, InaError *error);
/* Each returns NULL only when out of memory. `done` is not called after a cancel. */
EtcdRequest *etcd_put(Etcd *etcd, const char *key, const void *value, size_t size, int64_t lease, EtcdDone done, void *userdata);
EtcdRequest *etcd_get(Etcd *etcd, const char *key, bool prefix, EtcdDone done, void *userdata);
EtcdRequest *etcd_delete(Etcd *etcd, const char *key, bool prefix, EtcdDone done, void *userdata);
EtcdRequest *etcd_compact(Etcd *etcd, int64_t revision, EtcdDone done, void *userdata);
EtcdRequest *etcd_lease_grant(Etcd *etcd, int64_t ttl_seconds, EtcdDone done, void *userdata);
EtcdRequest *etcd_lease_keepalive(Etcd *etcd, int64_t lease, EtcdDone done, void *userdata);
EtcdRequest *etcd_lease_revoke(Etcd *etcd, int64_t lease, EtcdDone done, void *userdata);
/* Puts when the key's mod_revision is `expected` (0: when absent). */
EtcdRequest *etcd_put_if(Etcd *etcd, const char *key, const void *value, size_t size, int64_t lease, int64_t expected, EtcdDone done, void *userdata);
void etcd_request_cancel(EtcdRequest *request);

/* A mirror of all keys below a prefix: reads them, then watches from that
 * revision; after a lost stream or a compaction it reads again and tells the
 * difference, after growing pauses of 0.1 to 5 s. `changed` gets value NULL
 * for a key that is gone; `synced(true)` after each complete reading,
 * `synced(false)` when contact is lost (what was known stays). */
typedef struct EtcdMirror EtcdMirror;
EtcdMirror *etcd_mirror_new(Etcd *etcd, const char *prefix, void (*changed)(void *userdata, const EtcdKeyValue *kv),
                            void (*synced)(void *userdata, bool connected), void *userdata);
EtcdMirror *etcd_mirror_free(EtcdMirror *mirror);
Etcd *etcd_free(Etcd *etcd);
