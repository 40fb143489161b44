/* store_write.c - compare-and-swap, answered when the cache has seen it. */
#include "store_internal.h"

#include "base/cleanup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define UNSEEN_MAX (10 * UINT64_C(1000000000)) /* ns between etcd's answer and the watch's event */

static void write_free(StoreWrite *write)
{
    Store *store = write->store;

    if (write->previous)
        write->previous->next = write->next;
    else if (store->writes == write)
        store->writes = write->next;
    if (write->next)
        write->next->previous = write->previous;
    else if (store->last_write == write)
        store->last_write = write->previous;
    etcd_request_cancel(write->request);
    free(write->key);
    free(write);
}

/* --- etcd's answer --------------------------------------------------------------------------- */

static void refused(StoreWrite *write, const EtcdReply *reply)
{
    if (write->create)
        ina_error_set(&write->error, EEXIST, "%s is there already", write->key);
    else if (reply->n_kvs == 0)
        ina_error_set(&write->error, ENOENT, "%s is not there", write->key);
    else
        ina_error_set(&write->error, ESTALE, "%s has been changed meanwhile", write->key);
}

static void on_written(void *userdata, const EtcdReply *reply)
{
    StoreWrite *write = userdata;
    Store *store = write->store;

    write->request = NULL;
    if (reply->code == 0) {
        write->revision = reply->revision;
    } else if (reply->code == ECANCELED) {
        refused(write, reply);
    } else {
        ina_error_set(&write->error, reply->code, "%s", reply->message);
        if (reply->code != EMSGSIZE && reply->code != EINVAL && reply->code != ENOSPC)
            store->failed = true;
    }
    store_pump(store);
}

/* --- the cache has seen it --------------------------------------------------------------------- */

static const json_t *written(const StoreWrite *write)
{
    const StoreRecord *record = store_record(write->store, write->revision);

    if (record)
        return record->item->object;
    const StoreEntry *entry = map_get(write->store->entries, write->key);
    return entry ? entry->item->object : NULL; /* history was lost meanwhile */
}

static void answer(StoreWrite *write)
{
    StoreDone done = write->done;
    void *userdata = write->userdata;
    const json_t *object = write->error.code ? NULL : written(write);
    InaError error = write->error;

    if (error.code == 0 && !object)
        ina_error_set(&error, ETIMEDOUT, "%s was written, and is gone again", write->key);
    if (error.code == 0)
        store_good(write->store, write->begun);
    json_t *kept = json_incref((json_t *)object);
    write_free(write);
    const StoreResult result = {.code = error.code, .message = error.message, .object = object};
    if (done)
        done(userdata, &result);
    json_decref(kept);
}

/* Who is answered may write again: that comes behind all others. */
void store_answer(Store *store)
{
    for (StoreWrite *write = store->writes, *next; write; write = next) {
        next = write->next;
        if (!write->request &&
            (write->error.code != 0 || (store->whole && write->revision > 0 && write->revision <= store->revision)))
            answer(write);
    }
}

void store_writes_check(Store *store, uint64_t now)
{
    for (StoreWrite *write = store->writes; write; write = write->next)
        if (!write->request && write->error.code == 0 && now - write->begun > UNSEEN_MAX) {
            ina_error_set(&write->error, ETIMEDOUT, "%s was written, but etcd does not tell of it", write->key);
            store_pump(store);
        }
}

void store_writes_clear(Store *store)
{
    while (store->writes) {
        StoreWrite *write = store->writes;
        ina_error_set(&write->error, ECANCELED, "the store is closed");
        answer(write);
    }
}

/* --- beginning ----------------------------------------------------------------------------------- */

static int begin(Store *store, const char *resource, const char *namespace, const char *name, StoreDone done,
                 void *userdata, StoreWrite **ret)
{
    StoreWrite *write = calloc(1, sizeof *write);

    if (!write)
        return -ENOMEM;
    if (asprintf(&write->key, STORE_PREFIX "%s/%s%s%s", resource, namespace, *namespace ? "/" : "", name) < 0) {
        free(write);
        return -ENOMEM;
    }
    write->store = store;
    write->done = done;
    write->userdata = userdata;
    write->begun = store_now();
    write->previous = store->last_write;
    if (write->previous)
        write->previous->next = write;
    else
        store->writes = write;
    store->last_write = write;
    *ret = write;
    return 0;
}

/* Without its revision, which etcd keeps. */
static char *stored_text(const json_t *object)
{
    AUTO_JSON json_t *copy = json_copy((json_t *)object);
    json_t *metadata = json_copy(json_object_get(object, "metadata"));

    json_object_del(metadata, "resourceVersion");
    if (!copy || !metadata || json_object_set_new(copy, "metadata", metadata) < 0)
        return NULL;
    return json_dumps(copy, JSON_COMPACT);
}

static int put(Store *store, const char *resource, const json_t *object, int64_t revision, StoreDone done,
               void *userdata)
{
    StoreWrite *write;
    AUTO_FREE char *text = stored_text(object);
    size_t size = text ? strlen(text) : 0;

    int r = text ? begin(store, resource, kube_namespace(object), kube_name(object), done, userdata, &write) : -ENOMEM;
    if (r < 0)
        return r;
    write->create = revision == 0;
    if (size > STORE_OBJECT_MAX) {
        ina_error_set(&write->error, EFBIG, "%s has %zu bytes, %u are allowed", write->key, size, STORE_OBJECT_MAX);
        store_pump(store);
        return 0;
    }
    write->request = etcd_put_if(store->etcd, write->key, text, size, 0, revision, on_written, write);
    if (write->request)
        return 0;
    write_free(write);
    return -ENOMEM;
}

int store_create(Store *store, const char *resource, const json_t *object, StoreDone done, void *userdata)
{
    return put(store, resource, object, 0, done, userdata);
}

int store_update(Store *store, const char *resource, const json_t *object, int64_t revision, StoreDone done,
                 void *userdata)
{
    return revision > 0 ? put(store, resource, object, revision, done, userdata) : -EINVAL;
}

int store_delete(Store *store, const char *resource, const char *namespace, const char *name, int64_t revision,
                 StoreDone done, void *userdata)
{
    StoreWrite *write;

    int r = revision > 0 ? begin(store, resource, namespace ? namespace : "", name, done, userdata, &write) : -EINVAL;
    if (r < 0)
        return r;
    write->request = etcd_delete_if(store->etcd, write->key, revision, on_written, write);
    if (write->request)
        return 0;
    write_free(write);
    return -ENOMEM;
}
