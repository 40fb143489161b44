#include "publisher.h"
#include "base/map.h"
#include "records.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef enum Stage {
    ABSENT,  /* not in etcd, or not as it should be */
    WRITING, /* put under way */
    WRITTEN,
    MARKING, /* put of the tombstone under way */
    MARKED,
    ERASING, /* delete under way */
} Stage;

typedef struct Record {
    char *key;
    char *value; /* NULL: withdrawn */
    PublisherKind kind;
    Stage stage;
    bool changed;  /* `value` is another than the one written or being written */
    bool ever;     /* was put at least once: others may know it */
    bool outdated; /* the request under way was made under a lease that is lost */
    uint64_t pause, retry_at;
} Record;

typedef enum LeaseStage { LEASE_NONE, LEASE_ASKED, LEASE_HELD, LEASE_REVOKING, LEASE_CLOSED } LeaseStage;

struct Publisher {
    const PublisherRequests *requests;
    void *userdata;
    Map *records;
    LeaseStage stage;
    int64_t lease;
    bool keepalive_asked, closing;
    uint64_t keepalive_at;
    uint64_t pause, retry_at; /* of grants */
};

Publisher *publisher_new(const PublisherRequests *requests, void *userdata)
{
    Publisher *publisher = calloc(1, sizeof(*publisher));
    if (!publisher)
        return NULL;
    publisher->requests = requests;
    publisher->userdata = userdata;
    publisher->records = map_new();
    return publisher->records ? publisher : publisher_free(publisher);
}

static void record_free(Record *record)
{
    free(record->key);
    free(record->value);
    free(record);
}

Publisher *publisher_free(Publisher *publisher)
{
    if (!publisher)
        return NULL;
    size_t position = 0;
    void *record;
    while (map_next(publisher->records, &position, NULL, &record))
        record_free(record);
    map_free(publisher->records);
    free(publisher);
    return NULL;
}

static uint64_t next_pause(uint64_t *pause)
{
    *pause = *pause ? 2 * *pause : PUBLISHER_PAUSE_MIN;
    if (*pause > PUBLISHER_PAUSE_MAX)
        *pause = PUBLISHER_PAUSE_MAX;
    return *pause;
}

/* --- what should be there ----------------------------------------------- */

static Record *record_new(Publisher *publisher, const char *key)
{
    Record *record = calloc(1, sizeof(*record));
    if (!record)
        return NULL;
    record->key = strdup(key);
    if (!record->key || map_set(publisher->records, key, record) < 0) {
        record_free(record);
        return NULL;
    }
    return record;
}

int publisher_set(Publisher *publisher, PublisherKind kind, const char *key, const char *value)
{
    Record *record = map_get(publisher->records, key);
    if (!record && map_count(publisher->records) >= PUBLISHER_RECORDS_MAX)
        return -ENOSPC;
    if (record && record->value && strcmp(record->value, value) == 0)
        return 0;
    char *copy = strdup(value);
    if (!copy || (!record && !(record = record_new(publisher, key)))) {
        free(copy);
        return -ENOMEM;
    }
    free(record->value);
    record->value = copy;
    record->kind = kind;
    record->changed = true;
    record->retry_at = record->pause = 0;
    return 0;
}

void publisher_withdraw(Publisher *publisher, const char *key)
{
    Record *record = map_get(publisher->records, key);
    if (!record || !record->value)
        return;
    free(record->value);
    record->value = NULL;
    record->retry_at = record->pause = 0;
}

void publisher_close(Publisher *publisher)
{
    size_t position = 0;
    const char *key;
    publisher->closing = true;
    while (map_next(publisher->records, &position, &key, NULL))
        publisher_withdraw(publisher, key);
}

bool publisher_closed(const Publisher *publisher)
{
    return publisher->stage == LEASE_CLOSED;
}

/* --- answers ------------------------------------------------------------ */

void publisher_granted(Publisher *publisher, int64_t lease, uint64_t now)
{
    if (lease == 0) {
        publisher->stage = LEASE_NONE;
        publisher->retry_at = now + next_pause(&publisher->pause);
        return;
    }
    publisher->stage = LEASE_HELD;
    publisher->lease = lease;
    publisher->pause = publisher->retry_at = 0;
    publisher->keepalive_at = now + PUBLISHER_KEEPALIVE;
}

void publisher_lost(Publisher *publisher, uint64_t now)
{
    if (publisher->stage != LEASE_HELD)
        return;
    publisher->stage = LEASE_NONE;
    publisher->lease = 0;
    publisher->pause = publisher->retry_at = 0;
    size_t position = 0;
    void *value;
    while (map_next(publisher->records, &position, NULL, &value)) {
        Record *record = value;
        record->outdated = record->stage == WRITING || record->stage == MARKING || record->stage == ERASING;
        if (!record->outdated)
            record->stage = ABSENT;
        record->retry_at = record->pause = 0;
    }
}

void publisher_kept(Publisher *publisher, PublisherKept kept, uint64_t now)
{
    publisher->keepalive_asked = false;
    if (publisher->stage != LEASE_HELD)
        return;
    if (kept == PUBLISHER_LOST)
        publisher_lost(publisher, now);
    else
        publisher->keepalive_at = now + (kept == PUBLISHER_KEPT ? PUBLISHER_KEEPALIVE : PUBLISHER_KEEPALIVE / 4);
}

void publisher_done(Publisher *publisher, const char *key, bool ok, uint64_t now)
{
    Record *record = map_get(publisher->records, key);
    if (!record)
        return;
    if (record->outdated) {
        record->outdated = false;
        record->stage = ABSENT;
        return;
    }
    if (!ok)
        record->retry_at = now + next_pause(&record->pause);
    else
        record->pause = record->retry_at = 0;
    switch (record->stage) {
    case WRITING:
        record->stage = ok ? WRITTEN : ABSENT;
        break;
    case MARKING:
        record->stage = ok ? MARKED : WRITTEN;
        break;
    case ERASING:
        record->stage = ok ? ABSENT : MARKED;
        if (ok)
            record->ever = false;
        break;
    default:
        break;
    }
}

void publisher_missing(Publisher *publisher, const char *key, uint64_t now)
{
    Record *record = map_get(publisher->records, key);
    if (record && record->stage == WRITTEN)
        record->stage = ABSENT;
}

void publisher_revoked(Publisher *publisher)
{
    publisher->stage = LEASE_CLOSED;
}

/* --- what to do --------------------------------------------------------- */

static void put(Publisher *publisher, Record *record, Stage stage, const char *value)
{
    record->stage = stage;
    record->ever = true;
    publisher->requests->put(publisher->userdata, record->key, value, publisher->lease);
}

/* The next step of a record that should be there. */
static void offer(Publisher *publisher, Record *record)
{
    if (record->stage == WRITTEN && !record->changed)
        return;
    record->changed = false;
    put(publisher, record, WRITING, record->value);
}

/* The next step of one that should not. */
static void take_back(Publisher *publisher, Record *record)
{
    if (record->kind == PUBLISHER_MARKED && record->stage != MARKED) {
        put(publisher, record, MARKING, RECORD_TOMBSTONE);
        return;
    }
    record->stage = ERASING;
    publisher->requests->erase(publisher->userdata, record->key);
}

static uint64_t tick_lease(Publisher *publisher, uint64_t now)
{
    switch (publisher->stage) {
    case LEASE_NONE:
        if (publisher->closing && map_count(publisher->records) == 0) {
            publisher->stage = LEASE_CLOSED;
            return UINT64_MAX;
        }
        if (now < publisher->retry_at)
            return publisher->retry_at;
        publisher->stage = LEASE_ASKED;
        publisher->requests->grant(publisher->userdata, PUBLISHER_LEASE_SECONDS);
        return UINT64_MAX;
    case LEASE_HELD:
        if (publisher->closing && map_count(publisher->records) == 0) {
            publisher->stage = LEASE_REVOKING;
            publisher->requests->revoke(publisher->userdata, publisher->lease);
            return UINT64_MAX;
        }
        if (publisher->keepalive_asked)
            return UINT64_MAX;
        if (now < publisher->keepalive_at)
            return publisher->keepalive_at;
        publisher->keepalive_asked = true;
        publisher->requests->keepalive(publisher->userdata, publisher->lease);
        return UINT64_MAX;
    default:
        return UINT64_MAX;
    }
}

static uint64_t tick_record(Publisher *publisher, Record *record, uint64_t now)
{
    if (record->stage == WRITING || record->stage == MARKING || record->stage == ERASING)
        return UINT64_MAX;
    if (!record->value && !record->ever) {
        map_remove(publisher->records, record->key);
        record_free(record);
        return UINT64_MAX;
    }
    if (publisher->stage != LEASE_HELD)
        return UINT64_MAX;
    if (now < record->retry_at)
        return record->retry_at;
    if (record->value)
        offer(publisher, record);
    else
        take_back(publisher, record);
    return UINT64_MAX;
}

uint64_t publisher_tick(Publisher *publisher, uint64_t now)
{
    uint64_t next = UINT64_MAX;
    size_t position = 0;
    void *record;
    while (map_next(publisher->records, &position, NULL, &record)) {
        uint64_t when = tick_record(publisher, record, now);
        next = when < next ? when : next;
    }
    uint64_t when = tick_lease(publisher, now);
    return when < next ? when : next;
}

bool publisher_has_lease(const Publisher *publisher)
{
    return publisher->stage == LEASE_HELD;
}

size_t publisher_pending(const Publisher *publisher)
{
    size_t position = 0, count = 0;
    void *value;
    while (map_next(publisher->records, &position, NULL, &value)) {
        const Record *record = value;
        count += !record->value || record->stage != WRITTEN || record->changed;
    }
    return count;
}
