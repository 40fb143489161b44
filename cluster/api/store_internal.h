/* store_internal.h - what the files of the store share.
 *
 *   store.c         reading, and the life of the store
 *   store_cache.c   versions of objects, collections, history
 *   store_watch.c   telling watches
 *   store_write.c   compare-and-swap, answered when the cache has seen it
 *   store_etcd.c    reading etcd, following it, signs of life, compaction */
#pragma once

#include "store.h"

#include "base/map.h"

/* One version of an object. */
typedef struct StoreItem {
    unsigned references;
    int64_t revision;
    json_t *object;
    size_t weight; /* bytes in etcd */
    char *text;    /* when first asked for */
    size_t size, head;
} StoreItem;

typedef struct StoreCollection StoreCollection;

typedef struct StoreEntry {
    StoreCollection *collection;
    StoreItem *item;
    uint64_t generation; /* of the reading that saw it last */
    const char *path;    /* "NAMESPACE/NAME", in `key` */
    char key[];          /* of etcd */
} StoreEntry;

struct StoreCollection {
    char *resource;
    StoreEntry **entries; /* by path */
    size_t count, capacity;
    StoreWatch *watches;
};

typedef struct StoreRecord {
    StoreChange change;
    int64_t revision;
    StoreCollection *collection;
    StoreItem *item, *old;
} StoreRecord;

struct StoreWatch {
    Store *store;
    StoreCollection *collection; /* NULL: all */
    StoreWatch **list;           /* that it is in */
    StoreWatch *previous, *next;
    uint64_t from; /* fresh: the first record to be told */
    void (*event)(void *userdata, const StoreEvent *event);
    void *userdata;
    bool dead;
};

typedef struct StoreWrite {
    struct StoreWrite *previous, *next;
    Store *store;
    EtcdRequest *request; /* NULL: answered */
    char *key;
    bool create;
    int64_t revision; /* etcd's, once written */
    uint64_t begun;   /* ns */
    InaError error;   /* code 0: none */
    StoreDone done;
    void *userdata;
} StoreWrite;

typedef enum StoreState {
    STORE_PAUSED,  /* until the next attempt */
    STORE_ASKING,  /* for the present revision */
    STORE_READING, /* all objects at `base` */
    STORE_WATCHING,
} StoreState;

#define STORE_SAMPLES 16u

struct Store {
    sd_event *event;
    Etcd *etcd;
    void (*on_ready)(void *userdata);
    void *userdata;

    Map *collections, *entries; /* by resource, by key */
    int64_t revision, oldest;

    StoreRecord *records; /* a ring of `capacity`, a power of two; record number n is at n % capacity */
    size_t capacity;
    size_t weight;       /* of all records */
    uint64_t first, end; /* numbers of records */
    uint64_t told;       /* up to here watches were told */
    uint64_t unbroken;   /* a watch may begin with this record or a later one */
    StoreWatch *fresh, *all, *buried;
    StoreWrite *writes, *last_write;
    sd_event_source *pump;
    unsigned telling;

    StoreState state;
    bool ready;  /* was told */
    bool whole;  /* the cache is a state that etcd had */
    bool known;  /* it was once */
    bool other;  /* etcd came back without its data: equal revisions say nothing */
    bool failed; /* a request, since the last round trip */
    bool begun;  /* the watch has */
    uint64_t cluster, generation;
    int64_t base, present;
    int64_t span; /* of the replay */
    char *after;  /* last key of the last page */
    EtcdRequest *request, *beat, *compaction;
    EtcdWatch *watch;
    int64_t beat_revision; /* that the watch is to show */
    uint64_t beat_begun;   /* ns; 0: none under way */
    sd_event_source *timer, *tick;
    uint64_t pause; /* ns */
    uint64_t last_good, last_tick, healthy_since;
    struct {
        uint64_t at;
        int64_t revision;
    } samples[STORE_SAMPLES];
    size_t n_samples;
    int64_t compacted;
};

uint64_t store_now(void); /* CLOCK_MONOTONIC ns */

/* store_cache.c */
StoreCollection *store_collection(Store *store, const char *resource, bool make); /* NULL: not there, no memory */
/* Where `path` is or would be. */
size_t store_position(const StoreCollection *collection, const char *path, bool *ret_found);
/* The value of a key: makes it the newest version, with a record of it unless `quiet`. 0, -EINVAL (no object of ours:
 * left out), -ENOMEM. */
int store_learn(Store *store, const EtcdKeyValue *kv, bool quiet);
int store_forget(Store *store, const char *key, int64_t revision); /* with a record */
/* What the present generation has not seen is gone. */
int store_forget_unseen(Store *store, int64_t revision);
/* The record of a revision; NULL: none, or not any more. */
const StoreRecord *store_record(const Store *store, int64_t revision);
void store_trim(Store *store);
/* Everybody was told: what it replaced is not asked for as text soon. */
void store_lighten(const StoreRecord *record);
void store_cache_clear(Store *store);

/* store_watch.c */
void store_pump(Store *store); /* soon */
void store_watches_clear(Store *store);

/* store_write.c */
void store_answer(Store *store); /* the writes that the cache has seen, and those that failed */
void store_writes_check(Store *store, uint64_t now);
void store_writes_clear(Store *store);

/* store_etcd.c */
int store_etcd_start(Store *store, InaError *error);
void store_etcd_stop(Store *store);
/* What was begun at `begun` was written and seen. */
void store_good(Store *store, uint64_t begun);
