/* store_watch.c - telling watches what happened, from the loop.
 *
 * A new watch is fresh: it is told what history has for it, up to what all
 * others were told, and joins them then. */
#include "store_internal.h"

#include "base/soon.h"

#include <errno.h>
#include <stdlib.h>

#define RECORDS_PER_TURN 512u

static void link_watch(StoreWatch *watch, StoreWatch **list)
{
    watch->list = list;
    watch->previous = NULL;
    watch->next = *list;
    if (watch->next)
        watch->next->previous = watch;
    *list = watch;
}

static void unlink_watch(StoreWatch *watch)
{
    if (watch->previous)
        watch->previous->next = watch->next;
    else
        *watch->list = watch->next;
    if (watch->next)
        watch->next->previous = watch->previous;
    watch->previous = watch->next = NULL;
}

static void tell(StoreWatch *watch, const StoreRecord *record)
{
    const StoreEvent event = {
        .change = record->change,
        .revision = record->revision,
        .resource = record->collection->resource,
        .object = record->item->object,
        .old = record->old ? record->old->object : NULL,
        .item = record->item,
    };

    if (!watch->dead)
        watch->event(watch->userdata, &event);
}

static void tell_history(StoreWatch *watch)
{
    const Store *store = watch->store;

    for (uint64_t n = watch->from; n < store->told && !watch->dead; n++) {
        const StoreRecord *record = &store->records[n % store->capacity];
        if (!watch->collection || watch->collection == record->collection)
            tell(watch, record);
    }
}

/* Watches made meanwhile are put before the others, into `fresh`; those that end stay until the turn is over. */
static void tell_all(const Store *store, StoreWatch *list, const StoreRecord *record)
{
    for (StoreWatch *watch = list; watch; watch = watch->next)
        if (store->told >= watch->from)
            tell(watch, record);
}

static void bury(Store *store)
{
    while (store->buried) {
        StoreWatch *watch = store->buried;
        unlink_watch(watch);
        free(watch);
    }
}

/* The dead are marked within a turn, and found afterwards. */
static void sweep(Store *store, StoreWatch *list)
{
    for (StoreWatch *watch = list, *next; watch; watch = next) {
        next = watch->next;
        if (watch->dead) {
            unlink_watch(watch);
            link_watch(watch, &store->buried);
        }
    }
}

static void sweep_all(Store *store)
{
    size_t position = 0;
    void *value;

    sweep(store, store->fresh);
    sweep(store, store->all);
    while (map_next(store->collections, &position, NULL, &value))
        sweep(store, ((StoreCollection *)value)->watches);
    bury(store);
}

static void admit_fresh(Store *store)
{
    while (store->fresh) {
        StoreWatch *watch = store->fresh;
        tell_history(watch);
        unlink_watch(watch);
        link_watch(watch, watch->collection ? &watch->collection->watches : &store->all);
    }
}

static int on_pump(sd_event_source *source, void *userdata)
{
    Store *store = userdata;
    unsigned n = 0;

    store->pump = sd_event_source_disable_unref(store->pump);
    store->telling = 1;
    admit_fresh(store);
    for (; store->told < store->end && n < RECORDS_PER_TURN; n++) {
        const StoreRecord record = store->records[store->told % store->capacity];
        tell_all(store, store->all, &record);
        tell_all(store, record.collection->watches, &record);
        store_lighten(&record);
        store->told++;
    }
    if (store->telling > 1) /* somebody ended */
        sweep_all(store);
    store->telling = 0;
    store_trim(store);
    if (store->told < store->end)
        store_pump(store);
    else
        store_answer(store);
    return 0;
}

void store_pump(Store *store)
{
    (void)soon(store->event, &store->pump, on_pump, store);
}

int store_watch(Store *store, const char *resource, int64_t revision,
                void (*event)(void *userdata, const StoreEvent *event), void *userdata, StoreWatch **ret)
{
    uint64_t low = store->unbroken > store->first ? store->unbroken : store->first, high = store->end;

    if (!store->whole || revision < store->oldest || revision > store->revision)
        return -ESTALE;
    StoreWatch *watch = calloc(1, sizeof *watch);
    if (!watch)
        return -ENOMEM;
    watch->store = store;
    watch->event = event;
    watch->userdata = userdata;
    watch->collection = resource ? store_collection(store, resource, true) : NULL;
    if (resource && !watch->collection) {
        free(watch);
        return -ENOMEM;
    }
    while (low < high) { /* the first record behind `revision` */
        uint64_t middle = low + (high - low) / 2;
        if (store->records[middle % store->capacity].revision <= revision)
            low = middle + 1;
        else
            high = middle;
    }
    watch->from = low;
    link_watch(watch, &store->fresh);
    store_pump(store);
    *ret = watch;
    return 0;
}

StoreWatch *store_unwatch(StoreWatch *watch)
{
    if (!watch)
        return NULL;
    if (watch->store->telling) {
        watch->dead = true;
        watch->store->telling = 2;
        return NULL;
    }
    unlink_watch(watch);
    free(watch);
    return NULL;
}

static void free_list(StoreWatch *list)
{
    for (StoreWatch *next; list; list = next) {
        next = list->next;
        free(list);
    }
}

void store_watches_clear(Store *store)
{
    size_t position = 0;
    void *value;

    free_list(store->fresh);
    free_list(store->all);
    while (store->collections && map_next(store->collections, &position, NULL, &value))
        free_list(((StoreCollection *)value)->watches);
}
