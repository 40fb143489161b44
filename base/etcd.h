/* etcd.h - etcd v3 through its JSON gateway: put, get, transaction, lease and
 * watch. Facts about the gateway: 64-bit integers are strings, zero values are
 * omitted, keys and values are base64.
 *
 * Requests fail with a deadline of 5 s and are not repeated (except by libcurl,
 * which speaks to endpoints that are host names, when a kept-alive connection
 * breaks before the first byte of its answer). Several endpoints
 * may be given; a failing one is changed for the next. Keys are strings: one
 * with a NUL character in it (of somebody else) is left out of replies. All
 * in the loop's thread; callbacks come from the loop, never before the call
 * that asked for them returned, and may free what they belong to. */
#pragma once

#include "http_client.h"

#define ETCD_VALUE_MAX (1024u * 1024u)       /* of a put; EMSGSIZE */
#define ETCD_REPLY_MAX (48u * 1024u * 1024u) /* of a reply's text; EMSGSIZE */
#define ETCD_EVENT_MAX (8u * 1024u * 1024u)  /* of the text of one message of a watch */
#define ETCD_ENDPOINTS_MAX 8u
#define ETCD_ACCOUNT_MAX 512u /* bytes of NAME.account */
#define ETCD_MIRROR_KEYS_MAX 262144u

#define ETCD_DEADLINE (5 * UINT64_C(1000000000))       /* ns, as all below */
#define ETCD_CHECK_INTERVAL (2 * UINT64_C(1000000000)) /* while a mirror watches, etcd is asked for a sign of life */
#define ETCD_CHECK_DEADLINE (3 * UINT64_C(1000000000))
#define ETCD_PAUSE_MIN (UINT64_C(100000000))
#define ETCD_PAUSE_MAX (5 * UINT64_C(1000000000))

typedef struct Etcd Etcd;
typedef struct EtcdRequest EtcdRequest;

typedef struct EtcdKeyValue {
    const char *key;
    const char *value; /* NUL behind it; NULL for a deletion */
    size_t value_size;
    int64_t create_revision, mod_revision, lease;
} EtcdKeyValue;

/* Valid during the callback. */
typedef struct EtcdReply {
    /* 0, or a positive errno: ENOENT lease gone, ECANCELED compare failed,
     * ENOSPC quota reached, EACCES refused, ESTALE compacted, EINVAL, EMSGSIZE,
     * ETIMEDOUT, ECONNREFUSED and others without contact, EPROTO not etcd's language. */
    int code;
    const char *message; /* "" without an error */
    uint64_t cluster;    /* a new one when etcd began anew (with another --initial-cluster-token) */
    int64_t revision;
    int64_t lease;           /* grant, keepalive */
    int64_t ttl;             /* seconds: grant, keepalive */
    const EtcdKeyValue *kvs; /* get; etcd_put_if whose compare failed: what is there */
    size_t n_kvs;
    bool succeeded; /* transaction */
    bool more;      /* page: there are keys behind the last one */
    bool created;   /* watch: it has begun */
} EtcdReply;

typedef void (*EtcdDone)(void *userdata, const EtcdReply *reply);

/* endpoints: "https://127.17.8.20:2379,..." */
int etcd_new(sd_event *event, const char *endpoints, const HttpClientOptions *tls, Etcd **ret, InaError *error);
/* With the files of a folder: ca.pem, NAME.pem, NAME-key.pem, and, if it is there, NAME.account: "USER:PASSWORD", with
 * which a token is asked for, before the first request and whenever the present one does not hold any more. An etcd
 * that knows no accounts takes requests without. */
int etcd_open(sd_event *event, const char *endpoints, const char *folder, const char *name, Etcd **ret,
              InaError *error);
/* Each returns NULL only when out of memory. `done` is not called after a
 * cancel; it may be NULL. */
EtcdRequest *etcd_put(Etcd *etcd, const char *key, const void *value, size_t size, int64_t lease, EtcdDone done,
                      void *userdata);
EtcdRequest *etcd_get(Etcd *etcd, const char *key, bool prefix, EtcdDone done, void *userdata);
EtcdRequest *etcd_delete(Etcd *etcd, const char *key, bool prefix, EtcdDone done, void *userdata);
EtcdRequest *etcd_compact(Etcd *etcd, int64_t revision, EtcdDone done, void *userdata);
EtcdRequest *etcd_lease_grant(Etcd *etcd, int64_t ttl_seconds, EtcdDone done, void *userdata);
EtcdRequest *etcd_lease_keepalive(Etcd *etcd, int64_t lease, EtcdDone done, void *userdata);
EtcdRequest *etcd_lease_revoke(Etcd *etcd, int64_t lease, EtcdDone done, void *userdata);
/* Puts when the key's mod_revision is `expected` (0: when absent). After an
 * error without contact it may have happened or not, and a later attempt may
 * be refused because of the first. */
EtcdRequest *etcd_put_if(Etcd *etcd, const char *key, const void *value, size_t size, int64_t lease, int64_t expected,
                         EtcdDone done, void *userdata);
/* Deletes when the key's mod_revision is `expected`, as etcd_put_if. */
EtcdRequest *etcd_delete_if(Etcd *etcd, const char *key, int64_t expected, EtcdDone done, void *userdata);
/* Keys below a prefix in their order, at most `limit`, those behind `after` (NULL: from the first), as they were at
 * `revision` (0: now; ESTALE: compacted). */
EtcdRequest *etcd_get_page(Etcd *etcd, const char *prefix, const char *after, size_t limit, int64_t revision,
                           EtcdDone done, void *userdata);
void etcd_request_cancel(EtcdRequest *request); /* NULL is allowed; not after `done` began */

/* What happens to the keys below a prefix from `revision` on, for those who keep
 * the state themselves. `tell` gets code 0 and the changes (a value of NULL: the key is
 * gone; a change of several keys may come in pieces), at first none and `created`;
 * then at last, once, another code: ESTALE when the revision is compacted, or why the
 * stream is lost. A silent etcd is not noticed. To be freed before etcd. */
typedef struct EtcdWatch EtcdWatch;
EtcdWatch *etcd_watch_new(Etcd *etcd, const char *prefix, int64_t revision, EtcdDone tell,
                          void *userdata); /* NULL: out of memory */
EtcdWatch *etcd_watch_free(EtcdWatch *watch);

/* A mirror of all keys below a prefix: reads them, then watches from that
 * revision; after a lost stream or a compaction it reads again and tells the
 * difference, after growing pauses of 0.1 to 5 s. `changed` gets value NULL
 * for a key that is gone; `synced(true)` after each complete reading,
 * `synced(false)` when contact is lost (what was known stays). An etcd that
 * is silent (stopped, unplugged) counts as lost after at most
 * ETCD_CHECK_INTERVAL + ETCD_CHECK_DEADLINE, and one that came back without
 * its data (lower revision, another cluster) is read anew. `synced` may be NULL. */
typedef struct EtcdMirror EtcdMirror;
EtcdMirror *etcd_mirror_new(Etcd *etcd, const char *prefix, void (*changed)(void *userdata, const EtcdKeyValue *kv),
                            void (*synced)(void *userdata, bool connected), void *userdata); /* NULL: out of memory */
/* Why contact was lost or never made, last time; "" if it never was. */
const char *etcd_mirror_error(const EtcdMirror *mirror);
EtcdMirror *etcd_mirror_free(EtcdMirror *mirror);
/* Drops open requests without calling `done`, and ends its mirrors (which are
 * still to be freed). */
Etcd *etcd_free(Etcd *etcd);
