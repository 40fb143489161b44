/* store.h - the objects of the cluster: in etcd below /registry, with a cache
 * of all of them that serves reads and watches.
 *
 * Key: /registry/RESOURCE[/NAMESPACE]/NAME, RESOURCE as "pods" or
 * "apps/deployments"; value: the object as JSON without resourceVersion, which
 * is etcd's mod_revision. One process writes (the control plane); a write is
 * answered when the cache has seen it, so whoever wrote reads what he wrote.
 *
 * The cache keeps the last STORE_HISTORY events (or STORE_HISTORY_BYTES), so a watch may begin at any
 * revision since then; at start it reads the state of some revisions ago and
 * replays from there, so that watches survive the control plane's restart.
 *
 * Objects handed out are shared trees with resourceVersion set: keep them with
 * json_incref, never change them. All in the loop's thread. */
#pragma once

#include "kube/object.h"

#include "base/etcd.h"

#define STORE_HISTORY 8192u
#define STORE_HISTORY_BYTES                                                                                            \
    (16u * 1024u * 1024u)                /* of its objects as text; fewer events are kept if they have more            \
                                          */
#define STORE_OBJECT_MAX (1024u * 1024u) /* serialised */
#define STORE_PREFIX "/registry/"
#define STORE_REPLAY 2048u                 /* revisions before the present at which a start begins to read */
#define STORE_PAGE 500u                    /* objects read at once */
#define STORE_STALL UINT64_C(1000000000)   /* ns; a round trip that takes longer is none */
#define STORE_SILENCE UINT64_C(2000000000) /* ns; longer is not ready */
#define STORE_KEEP_SECONDS 300u            /* what is younger is not compacted in etcd */

typedef struct Store Store;

/* `ready` once the first reading is complete. etcd is asked for as long as it takes. */
int store_new(sd_event *event, Etcd *etcd, void (*ready)(void *userdata), void *userdata, Store **ret, InaError *error);
bool store_ready(const Store *store);
/* Whether etcd answers: false from the first failed request or lost watch until contact is back. */
bool store_connected(const Store *store);
/* Connected, and no sign of life has been waited for longer than STORE_SILENCE: etcd may hang without an error. */
bool store_answers(const Store *store);
/* CLOCK_MONOTONIC ns since when reads and writes of etcd go through without a stall of a second; 0: they do not. */
uint64_t store_healthy_since(const Store *store);
int64_t store_revision(const Store *store); /* of the cache */
/* What is under way is answered now, with ECANCELED. */
Store *store_free(Store *store);

/* --- reading: from the cache --------------------------------------------------------------- */
const json_t *store_get(const Store *store, const char *resource, const char *namespace, const char *name);
size_t store_count(const Store *store, const char *resource);
/* In the order of keys. namespace NULL: of all. Stops when `handle` returns false. Do not write from within. */
void store_each(const Store *store, const char *resource, const char *namespace,
                bool (*handle)(void *userdata, const json_t *object), void *userdata);
/* The same, from the key behind NAMESPACE/NAME on (for limit and continue). */
void store_each_after(const Store *store, const char *resource, const char *namespace, const char *after_namespace,
                      const char *after_name, bool (*handle)(void *userdata, const json_t *object), void *userdata);

/* --- writing: compare and swap --------------------------------------------------------------- */
typedef struct StoreResult {
    /* 0; or EEXIST (create), ENOENT (update, delete), ESTALE (revision differs), EFBIG, ENOSPC,
     * ETIMEDOUT and others without contact (it may have happened or not). */
    int code;
    const char *message;
    const json_t *object; /* as written; of a delete: as it last was. NULL on failure */
} StoreResult;
typedef void (*StoreDone)(void *userdata, const StoreResult *result);

/* `object` is borrowed; its metadata says namespace and name. `done` may be NULL; never called before these returned.
 */
int store_create(Store *store, const char *resource, const json_t *object, StoreDone done, void *userdata);
/* revision: that of the object which `object` was made from. */
int store_update(Store *store, const char *resource, const json_t *object, int64_t revision, StoreDone done,
                 void *userdata);
int store_delete(Store *store, const char *resource, const char *namespace, const char *name, int64_t revision,
                 StoreDone done, void *userdata);

/* --- watching -------------------------------------------------------------------------------- */
typedef enum StoreChange { STORE_ADDED, STORE_MODIFIED, STORE_DELETED } StoreChange;
typedef struct StoreEvent {
    StoreChange change;
    int64_t revision;
    const char *resource;
    const json_t *object; /* DELETED: as it last was, with the revision of the deletion */
    const json_t *old;    /* NULL when ADDED */
    struct StoreItem *item;
} StoreEvent;
typedef struct StoreWatch StoreWatch;

/* Events after `revision`, oldest first, from the loop; resource NULL: of all. -ESTALE: older than the history. */
int store_watch(Store *store, const char *resource, int64_t revision,
                void (*event)(void *userdata, const StoreEvent *event), void *userdata, StoreWatch **ret);
StoreWatch *store_unwatch(StoreWatch *watch); /* also from within `event` */
/* The revision up to which every watch was told all; 0: there is something to tell yet. */
int64_t store_settled(const Store *store);
int64_t store_oldest_revision(const Store *store); /* a watch may begin here */

/* --- as text --------------------------------------------------------------------------------- */
/* An object as compact JSON, made when first asked for and kept with it, so that a change is written once and not for
 * each watcher: `head` ("{"kind":...,"apiVersion":...,", or "{") and the rest, which with a "{" before it is an item
 * of a list. Valid as long as the object. */
typedef struct StoreText {
    const char *text; /* NULL: out of memory */
    size_t size, head;
} StoreText;
StoreText store_event_text(const StoreEvent *event);
/* Of an object that store_get or store_each gave, while it is the newest; else text is NULL. */
StoreText store_object_text(const Store *store, const char *resource, const json_t *object);
