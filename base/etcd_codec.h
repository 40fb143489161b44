/* etcd_codec.h - the JSON of etcd's gateway: requests out of, replies and
 * watch events into C structs. Knows no connections. */
#pragma once

#include "etcd.h"
#include "map.h"

typedef enum EtcdKind {
    ETCD_PUT,
    ETCD_GET,
    ETCD_DELETE,
    ETCD_COMPACT,
    ETCD_GRANT,
    ETCD_KEEPALIVE,
    ETCD_REVOKE,
    ETCD_PUT_IF,
    ETCD_DELETE_IF,
} EtcdKind;

const char *etcd_path(EtcdKind kind); /* "/v3/kv/put" */

void etcd_print_put(Buffer *body, const char *key, const void *value, size_t size, int64_t lease);
void etcd_print_range(Buffer *body, const char *key, bool prefix); /* get and delete */
void etcd_print_put_if(Buffer *body, const char *key, const void *value, size_t size, int64_t lease, int64_t expected);
void etcd_print_delete_if(Buffer *body, const char *key, int64_t expected);
void etcd_print_page(Buffer *body, const char *prefix, const char *after, size_t limit, int64_t revision);
void etcd_print_watch(Buffer *body, const char *prefix, int64_t revision);

/* What a text decodes to; `kvs` point into `pool`. */
typedef struct EtcdMessage {
    uint64_t cluster;
    int64_t revision, lease, ttl;
    bool succeeded, created, more;
    EtcdKeyValue *kvs; /* or events: value NULL is a deletion */
    size_t n_kvs;
    char *pool;
} EtcdMessage;

/* -EPROTO and others as EtcdReply's code; the message is empty then, except
 * that a failed compare (-ECANCELED) keeps what is there. */
int etcd_parse_reply(EtcdKind kind, int status, const char *text, size_t size, EtcdMessage *ret, InaError *error);
/* One line of a watch. -ESTALE and others: the watch is over. */
int etcd_parse_event(const char *text, size_t size, EtcdMessage *ret, InaError *error);
void etcd_message_clear(EtcdMessage *message);
