/* store_etcd.c - reads etcd, follows it, looks for signs of life, compacts.
 *
 *   PAUSED --timer--> ASKING -> READING -> WATCHING
 *      ^  '--------- what is known still holds -----^
 *
 * The first reading is of a past state, and the watch replays from there. After
 * a lost watch it goes on where it was; only when etcd does not know that any
 * more (compacted, or back without its data) all is read anew and compared.
 *
 * A key of our own, the beat, is written when nothing else was for a while: its
 * event shows that etcd writes, tells, and how far. */
#include "store_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_US 1000u
#define MS UINT64_C(1000000)
#define BEAT_KEY STORE_PREFIX ".beat"
#define BEAT_AFTER (500 * MS)
#define TICK (250 * MS)
#define UNSEEN_AFTER (3000 * MS) /* of a beat that etcd took: the watch is not to be trusted */
#define PAUSE_MIN (20 * MS)
#define PAUSE_MAX (500 * MS)
#define SAMPLE_AFTER (30000 * MS)

static void ask(Store *store);
static void read_page(Store *store);
static void follow(Store *store);

/* --- signs of life ---------------------------------------------------------------------------- */

void store_good(Store *store, uint64_t begun)
{
    uint64_t now = store_now();

    store->failed = false;
    if (now - begun > STORE_STALL || !store_connected(store))
        return;
    store->last_good = now;
    if (store->healthy_since == 0)
        store->healthy_since = now;
}

static void set_pause(Store *store)
{
    etcd_request_cancel(store->request);
    etcd_request_cancel(store->beat);
    store->request = store->beat = NULL;
    store->beat_begun = 0;
    store->beat_revision = 0;
    store->watch = etcd_watch_free(store->watch);
    store->state = STORE_PAUSED;
    store->begun = false;
    store->healthy_since = 0;
    store->pause = store->pause == 0 ? PAUSE_MIN : store->pause < PAUSE_MAX / 2 ? 2 * store->pause : PAUSE_MAX;
    (void)sd_event_source_set_time_relative(store->timer, store->pause / NS_PER_US);
    (void)sd_event_source_set_enabled(store->timer, SD_EVENT_ONESHOT);
}

static int on_pause_end(sd_event_source *source, uint64_t at, void *userdata)
{
    Store *store = userdata;

    if (store->whole)
        follow(store);
    else
        ask(store);
    return 0;
}

static void seen_beat(Store *store)
{
    uint64_t begun = store->beat_begun;

    store->beat_begun = 0;
    store->beat_revision = 0;
    store->pause = 0;
    store_good(store, begun);
    if (!store->ready) {
        store->ready = true;
        if (store->on_ready)
            store->on_ready(store->userdata);
    }
}

static void on_beat(void *userdata, const EtcdReply *reply)
{
    Store *store = userdata;

    store->beat = NULL;
    if (reply->code != 0) {
        store->failed = true;
        store->healthy_since = 0;
        store->beat_begun = 0;
        return;
    }
    store->beat_revision = reply->revision;
    if (store->revision >= reply->revision)
        seen_beat(store);
}

static void beat(Store *store, uint64_t now)
{
    if (store->beat || store->beat_begun)
        return;
    store->beat_begun = now;
    store->beat = etcd_put(store->etcd, BEAT_KEY, "1", 1, 0, on_beat, store);
    if (!store->beat)
        store->beat_begun = 0;
}

/* --- compaction -------------------------------------------------------------------------------- */

static void on_compacted(void *userdata, const EtcdReply *reply)
{
    Store *store = userdata;

    store->compaction = NULL;
}

/* Keeps what is young, and enough for the replay and for watches. */
static void compact(Store *store, uint64_t now)
{
    int64_t target = 0;

    if (store->n_samples > 0 && now - store->samples[store->n_samples - 1].at < SAMPLE_AFTER)
        return;
    for (size_t i = 0; i < store->n_samples; i++)
        if (now - store->samples[i].at >= STORE_KEEP_SECONDS * 1000 * MS)
            target = store->samples[i].revision;
    if (target > store->revision - (int64_t)STORE_HISTORY)
        target = store->revision - (int64_t)STORE_HISTORY;
    if (target > store->compacted && !store->compaction) {
        store->compacted = target;
        store->compaction = etcd_compact(store->etcd, target, on_compacted, store);
    }
    if (store->n_samples == STORE_SAMPLES)
        memmove(store->samples, store->samples + 1, --store->n_samples * sizeof(store->samples[0]));
    store->samples[store->n_samples].at = now;
    store->samples[store->n_samples++].revision = store->revision;
}

static int on_tick(sd_event_source *source, uint64_t at, void *userdata)
{
    Store *store = userdata;
    uint64_t now = store_now();

    (void)sd_event_source_set_time_relative(source, TICK / NS_PER_US);
    (void)sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
    if (store->last_tick > 0 && now - store->last_tick > TICK + STORE_STALL)
        store->healthy_since = 0; /* it was us */
    store->last_tick = now;
    if (store->beat_begun && now - store->beat_begun > STORE_STALL)
        store->healthy_since = 0;
    if (store->state == STORE_WATCHING && store->beat_revision > 0 && now - store->beat_begun > UNSEEN_AFTER)
        set_pause(store);
    if (store->state == STORE_WATCHING && store->begun && (now - store->last_good > BEAT_AFTER || store->failed))
        beat(store, now);
    store_writes_check(store, now);
    if (store->ready && store->state == STORE_WATCHING)
        compact(store, now);
    return 0;
}

/* --- following --------------------------------------------------------------------------------- */

/* etcd does not know what we knew: everything is read anew, and no older watch can begin. */
static void read_anew(Store *store)
{
    store->whole = false;
    store->pause = 0;
    set_pause(store);
}

static int take(Store *store, const EtcdKeyValue *kv)
{
    if (strcmp(kv->key, BEAT_KEY) == 0)
        return 0;
    int r = kv->value ? store_learn(store, kv, false) : store_forget(store, kv->key, kv->mod_revision);
    return r == -EINVAL ? 0 : r;
}

static void on_event(void *userdata, const EtcdReply *reply)
{
    Store *store = userdata;

    if (reply->code != 0) {
        if (reply->code == ESTALE)
            read_anew(store);
        else
            set_pause(store);
        return;
    }
    if (reply->cluster != store->cluster || (reply->created && reply->revision < store->revision)) {
        read_anew(store);
        return;
    }
    for (size_t i = 0; i < reply->n_kvs; i++) {
        if (take(store, &reply->kvs[i]) < 0) {
            read_anew(store);
            return;
        }
        store->revision = reply->kvs[i].mod_revision;
    }
    if (reply->n_kvs > 0 && store->writes)
        store_pump(store); /* somebody may wait for just this */
    if (reply->created) {
        store->begun = true;
        beat(store, store_now());
    }
    if (store->beat_revision > 0 && store->revision >= store->beat_revision)
        seen_beat(store);
}

static void follow(Store *store)
{
    store->state = STORE_WATCHING;
    store->begun = false;
    store->watch = etcd_watch_new(store->etcd, STORE_PREFIX, store->revision + 1, on_event, store);
    if (!store->watch)
        set_pause(store);
}

/* --- reading ------------------------------------------------------------------------------------- */

static void end_reading(Store *store)
{
    free(store->after);
    store->after = NULL;
    if (store->generation > 1 && store_forget_unseen(store, store->base) < 0) {
        set_pause(store);
        return;
    }
    store->revision = store->oldest = store->base;
    store->unbroken = store->end;
    store->whole = store->known = true;
    store->other = false;
    store_pump(store);
    follow(store);
}

static int take_read(Store *store, const EtcdKeyValue *kv)
{
    StoreEntry *entry = map_get(store->entries, kv->key);

    if (strcmp(kv->key, BEAT_KEY) == 0)
        return 0;
    if (entry && entry->item->revision == kv->mod_revision && !store->other) {
        entry->generation = store->generation;
        return 0;
    }
    int r = store_learn(store, kv, !store->known);
    return r == -EINVAL ? 0 : r;
}

static void on_page(void *userdata, const EtcdReply *reply)
{
    Store *store = userdata;
    int r = 0;

    store->request = NULL;
    if (reply->code == ESTALE && store->span > 0) { /* less of the past */
        store->span /= 2;
        store->base = store->present - store->span;
        read_page(store);
        return;
    }
    if (reply->code != 0 || reply->cluster != store->cluster) {
        set_pause(store);
        return;
    }
    for (size_t i = 0; r == 0 && i < reply->n_kvs; i++)
        r = take_read(store, &reply->kvs[i]);
    if (r == 0 && reply->more && reply->n_kvs > 0) {
        free(store->after);
        store->after = strdup(reply->kvs[reply->n_kvs - 1].key);
        if (store->after) {
            read_page(store);
            return;
        }
        r = -ENOMEM;
    }
    if (r < 0)
        set_pause(store);
    else
        end_reading(store);
}

static void read_page(Store *store)
{
    store->state = STORE_READING;
    store->request = etcd_get_page(store->etcd, STORE_PREFIX, store->after, STORE_PAGE, store->base, on_page, store);
    if (!store->request)
        set_pause(store);
}

static void on_present(void *userdata, const EtcdReply *reply)
{
    Store *store = userdata;

    store->request = NULL;
    if (reply->code != 0) {
        set_pause(store);
        return;
    }
    store->other |= store->known && (reply->cluster != store->cluster || reply->revision < store->revision);
    store->cluster = reply->cluster;
    store->present = reply->revision;
    store->span = store->known ? 0 : STORE_REPLAY; /* what follows a known state is the difference to it */
    if (store->span >= store->present)
        store->span = store->present - 1;
    store->base = store->present - store->span;
    store->generation++;
    free(store->after);
    store->after = NULL;
    read_page(store);
}

static void ask(Store *store)
{
    store->state = STORE_ASKING;
    store->request = etcd_get_page(store->etcd, BEAT_KEY, NULL, 1, 0, on_present, store);
    if (!store->request)
        set_pause(store);
}

int store_etcd_start(Store *store, InaError *error)
{
    int r;

    if ((r = sd_event_add_time(store->event, &store->timer, CLOCK_MONOTONIC, 0, 0, on_pause_end, store)) < 0 ||
        (r = sd_event_source_set_enabled(store->timer, SD_EVENT_OFF)) < 0 ||
        (r = sd_event_add_time_relative(store->event, &store->tick, CLOCK_MONOTONIC, TICK / NS_PER_US, 0, on_tick,
                                        store)) < 0)
        return ina_error_errno(error, r, "event loop");
    ask(store);
    return 0;
}

void store_etcd_stop(Store *store)
{
    etcd_request_cancel(store->request);
    etcd_request_cancel(store->beat);
    etcd_request_cancel(store->compaction);
    etcd_watch_free(store->watch);
    store->request = store->beat = store->compaction = NULL;
    store->watch = NULL;
    free(store->after);
    sd_event_source_disable_unref(store->timer);
    sd_event_source_disable_unref(store->tick);
}
