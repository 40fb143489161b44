/* api_event.c - events that the control plane records: equal ones counted,
 * many similar ones combined, a flood thinned out; and old ones deleted.
 *
 * An event's name is made from what it says, so that the one to count up is
 * found in the store; what is kept here only thins out and combines, as
 * Kubernetes' EventCorrelator does, and may be forgotten. */
#include "api_internal.h"

#include <errno.h>
#include <sodium.h>
#include <stdarg.h>
#include <string.h>

#define MESSAGE_MAX 1024u
#define SIMILAR_MAX 10u           /* different messages of one reason, before they are combined */
#define SIMILAR_LIFE INT64_C(600) /* s */
#define BURST 25.0                /* events of one component about one object */
#define REFILL (1.0 / 300.0)      /* per s */
#define UNDER_WAY_MAX 1024u
#define ATTEMPTS 8u
#define SWEEP_MAX 2000u /* deletions per look */

typedef struct Bucket {
    double tokens;
    int64_t filled; /* s */
    int64_t last;
    unsigned different;
} Bucket;

/* One event on its way to the store; what comes meanwhile is counted and written after it. */
typedef struct EventWrite {
    Api *api; /* NULL: gone */
    json_t *event;
    unsigned count, more, attempts;
} EventWrite;

struct ApiEvents {
    Map *buckets;   /* of spam: component and object; of similar: those, type and reason */
    Map *under_way; /* "NAMESPACE/NAME" -> EventWrite */
};

static int on_sweep(sd_event_source *source, uint64_t us, void *userdata);

int api_events_new(Api *api)
{
    api->events = calloc(1, sizeof *api->events);
    if (!api->events)
        return -ENOMEM;
    api->events->buckets = map_new();
    api->events->under_way = map_new();
    if (!api->events->buckets || !api->events->under_way)
        return -ENOMEM;
    return sd_event_add_time_relative(api->event, &api->sweep, CLOCK_MONOTONIC, API_EVENT_SWEEP, 0, on_sweep, api);
}

static void forget_buckets(Map *buckets)
{
    size_t position = 0;
    const char *key;
    void *value;
    while (map_next(buckets, &position, &key, &value)) {
        free(value);
        map_remove(buckets, key);
    }
}

void api_events_free(Api *api)
{
    if (!api->events)
        return;
    size_t position = 0;
    void *value;
    if (api->events->buckets)
        forget_buckets(api->events->buckets);
    map_free(api->events->buckets);
    while (api->events->under_way && map_next(api->events->under_way, &position, NULL, &value))
        ((EventWrite *)value)->api = NULL; /* freed when the store answers */
    map_free(api->events->under_way);
    free(api->events);
    api->events = NULL;
}

/* --- thinning out ----------------------------------------------------------------------------------------- */

static Bucket *bucket(Api *api, const char *key, int64_t now)
{
    Bucket *found = map_get(api->events->buckets, key);
    if (found)
        return found;
    if (map_count(api->events->buckets) >= API_EVENT_KEYS_MAX)
        forget_buckets(api->events->buckets);
    found = calloc(1, sizeof *found);
    if (found && map_set(api->events->buckets, key, found) < 0) {
        free(found);
        return NULL;
    }
    if (found)
        *found = (Bucket){.tokens = BURST, .filled = now, .last = now};
    return found;
}

static bool too_many(Api *api, const char *component, const char *uid, int64_t now)
{
    char key[256];
    snprintf(key, sizeof key, "s/%s/%s", component, uid);
    Bucket *spam = bucket(api, key, now);
    if (!spam)
        return true;
    spam->tokens += (double)(now - spam->filled) * REFILL;
    if (spam->tokens > BURST)
        spam->tokens = BURST;
    spam->filled = now;
    if (spam->tokens < 1)
        return true;
    spam->tokens -= 1;
    return false;
}

/* Whether there were so many different messages that this one goes into the combined event. */
static bool combine(Api *api, const char *key, bool is_new, int64_t now)
{
    Bucket *similar = bucket(api, key, now);
    if (!similar)
        return false;
    if (now - similar->last > SIMILAR_LIFE)
        similar->different = 0;
    similar->last = now;
    if (is_new && similar->different < SIMILAR_MAX)
        similar->different++;
    return is_new && similar->different >= SIMILAR_MAX;
}

/* --- writing ------------------------------------------------------------------------------------------------- */

static void write_key(const json_t *event, char *key, size_t size)
{
    snprintf(key, size, "%s/%s", kube_namespace(event), kube_name(event));
}

static void write_end(EventWrite *write)
{
    char key[KUBE_NAME_MAX * 2 + 64];
    write_key(write->event, key, sizeof key);
    if (write->api)
        map_remove(write->api->events->under_way, key);
    json_decref(write->event);
    free(write);
}

static void attempt(EventWrite *write);

static void on_event_written(void *userdata, const StoreResult *result)
{
    EventWrite *write = userdata;
    bool again = result->code == ESTALE || result->code == EEXIST || result->code == ENOENT;
    if (write->api && result->code == 0 && write->more > 0) {
        write->count = write->more;
        write->more = write->attempts = 0;
        attempt(write);
    } else if (write->api && again && ++write->attempts < ATTEMPTS) {
        attempt(write);
    } else {
        write_end(write);
    }
}

/* The event that is there already, counted up; or NULL. */
static json_t *counted_up(const EventWrite *write, const json_t *old)
{
    static const char *const newer[] = {"message", "lastTimestamp"};
    json_t *event = json_deep_copy(old);
    for (size_t i = 0; i < sizeof newer / sizeof *newer; i++)
        json_object_set(event, newer[i], json_object_get(write->event, newer[i]));
    json_object_set_new(event, "count", json_integer(kube_integer(old, "count", 1) + write->count));
    return event;
}

static void attempt(EventWrite *write)
{
    Store *store = write->api->store;
    const json_t *old = store_get(store, "events", kube_namespace(write->event), kube_name(write->event));
    int code;
    if (old) {
        AUTO_JSON json_t *event = counted_up(write, old);
        code = store_update(store, "events", event, kube_revision(old), on_event_written, write);
    } else {
        json_object_set_new(write->event, "count", json_integer(write->count));
        code = store_create(store, "events", write->event, on_event_written, write);
    }
    if (code < 0)
        write_end(write);
}

/* Takes the event. */
static void record(Api *api, json_t *event)
{
    char key[KUBE_NAME_MAX * 2 + 64];
    write_key(event, key, sizeof key);
    EventWrite *write = map_get(api->events->under_way, key);
    if (write) {
        write->more++;
        json_object_update(write->event, event);
        json_decref(event);
        return;
    }
    if (map_count(api->events->under_way) >= UNDER_WAY_MAX || !(write = calloc(1, sizeof *write))) {
        json_decref(event);
        return;
    }
    *write = (EventWrite){.api = api, .event = event, .count = 1};
    if (map_set(api->events->under_way, key, write) < 0)
        write_end(write);
    else
        attempt(write);
}

/* --- making ---------------------------------------------------------------------------------------------------- */

/* Where an event about this object is kept; NULL: nowhere any more. */
static const char *event_namespace(const Api *api, const json_t *object)
{
    const char *own = kube_namespace(object), *name = *own ? own : "default";
    const json_t *found = store_get(api->store, "namespaces", "", name);
    return found && !kube_deleting(found) ? name : NULL;
}

static void event_name(char name[KUBE_NAME_MAX + 1], const char *object, const char *says)
{
    unsigned char hash[8];
    char hex[17];
    crypto_generichash(hash, sizeof hash, (const unsigned char *)says, strlen(says), NULL, 0);
    sodium_bin2hex(hex, sizeof hex, hash, sizeof hash);
    snprintf(name, KUBE_NAME_MAX + 1, "%.*s.%s", (int)(KUBE_NAME_MAX - sizeof hex), object, hex);
}

static json_t *reference(const json_t *object)
{
    static const struct {
        const char *name, *path;
    } fields[] = {
        {"kind", "kind"},        {"namespace", "metadata.namespace"}, {"name", "metadata.name"},
        {"uid", "metadata.uid"}, {"apiVersion", "apiVersion"},        {"resourceVersion", "metadata.resourceVersion"}};
    json_t *result = json_object();
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (*kube_string(object, fields[i].path))
            json_object_set_new(result, fields[i].name, json_string(kube_string(object, fields[i].path)));
    /* As the kubelet writes it: `kubectl describe node` looks for events with the name there. */
    if (strcmp(kube_string(object, "kind"), "Node") == 0)
        json_object_set_new(result, "uid", json_string(kube_name(object)));
    return result;
}

typedef struct EventText {
    const char *type, *reason, *component, *message;
} EventText;

static json_t *make_event(const json_t *object, const EventText *text, const char *namespace, const char *name,
                          int64_t now)
{
    char uid[KUBE_UID_SIZE], time[KUBE_TIME_SIZE];
    kube_make_uid(uid);
    kube_time((time_t)now, time);
    return json_pack("{s:s, s:s, s:{s:s, s:s, s:s, s:s}, s:o, s:s, s:s, s:{s:s}, s:s, s:s, s:i, s:s, s:s, s:s}", "kind",
                     "Event", "apiVersion", "v1", "metadata", "name", name, "namespace", namespace, "uid", uid,
                     "creationTimestamp", time, "involvedObject", reference(object), "reason", text->reason, "message",
                     text->message, "source", "component", text->component, "firstTimestamp", time, "lastTimestamp",
                     time, "count", 1, "type", text->type, "reportingComponent", "", "reportingInstance", "");
}

void api_event(Api *api, const json_t *object, const char *type, const char *reason, const char *component,
               const char *format, ...)
{
    const char *namespace = event_namespace(api, object);
    int64_t now = api_now(api);
    if (!namespace || too_many(api, component, kube_uid(object), now))
        return;
    char message[MESSAGE_MAX], similar[512], says[MESSAGE_MAX + 512], name[KUBE_NAME_MAX + 1];
    static const char combined[] = "(combined from similar events): ";
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    snprintf(similar, sizeof similar, "%s/%s/%s/%s/%s", component, kube_string(object, "kind"), kube_uid(object), type,
             reason);
    snprintf(says, sizeof says, "%s/%s", similar, message);
    event_name(name, kube_name(object), says);
    bool is_new = !store_get(api->store, "events", namespace, name);
    if (combine(api, similar, is_new, now)) {
        event_name(name, kube_name(object), similar);
        char plain[MESSAGE_MAX];
        memcpy(plain, message, sizeof plain);
        snprintf(message, sizeof message, "%s%.*s", combined, (int)(sizeof message - sizeof combined), plain);
    }
    EventText text = {.type = type, .reason = reason, .component = component, .message = message};
    json_t *event = make_event(object, &text, namespace, name, now);
    if (event)
        record(api, event);
}

/* --- old events --------------------------------------------------------------------------------------------- */

typedef struct Sweep {
    int64_t before; /* s */
    json_t *old;
} Sweep;

static bool is_old(const json_t *event, int64_t before)
{
    static const char *const paths[] = {"series.lastObservedTime", "lastTimestamp", "eventTime",
                                        "metadata.creationTimestamp"};
    uint64_t us;
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        if (kube_time_parse(kube_string(event, paths[i]), &us) == 0)
            return (int64_t)(us / 1000000) < before;
    return false;
}

static bool look_at_event(void *userdata, const json_t *event)
{
    Sweep *sweep = userdata;
    if (is_old(event, sweep->before))
        json_array_append(sweep->old, (json_t *)event);
    return json_array_size(sweep->old) < SWEEP_MAX;
}

void api_sweep_events(Api *api)
{
    Sweep sweep = {.before = api_now(api) - API_EVENT_LIFE, .old = json_array()};
    store_each(api->store, "events", NULL, look_at_event, &sweep);
    size_t i;
    const json_t *event;
    json_array_foreach(sweep.old, i, event)
        store_delete(api->store, "events", kube_namespace(event), kube_name(event), kube_revision(event), NULL, NULL);
    json_decref(sweep.old);
}

static int on_sweep(sd_event_source *source, uint64_t us, void *userdata)
{
    api_sweep_events(userdata);
    sd_event_source_set_time_relative(source, API_EVENT_SWEEP);
    return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}
