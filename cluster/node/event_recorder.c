#include "event_recorder.h"

#include "base/cleanup.h"
#include "base/soon.h"

#include <errno.h>
#include <string.h>

#define RETRY_US 1000000

typedef struct Entry {
    struct Entry *next;
    char *key; /* what makes it equal to others */
    char *namespace, *name;
    json_t *event;
    int64_t count;
    bool created, dirty;
} Entry;

struct EventRecorder {
    sd_event *event;
    KubeClient *client;
    char *component, *host;
    Entry *first; /* oldest first */
    size_t count;
    Entry *sending;
    KubeRequest *request;
    sd_event_source *soon, *timer;
};

static void send_next(EventRecorder *recorder);

int event_recorder_new(sd_event *event, KubeClient *client, const char *component, const char *host,
                       EventRecorder **ret, InaError *error)
{
    EventRecorder *recorder = calloc(1, sizeof *recorder);
    if (!recorder)
        return ina_error_set(error, ENOMEM, "out of memory");
    recorder->event = sd_event_ref(event);
    recorder->client = client;
    recorder->component = strdup(component);
    recorder->host = strdup(host);
    if (!recorder->component || !recorder->host) {
        event_recorder_free(recorder);
        return ina_error_set(error, ENOMEM, "out of memory");
    }
    *ret = recorder;
    return 0;
}

static Entry *entry_free(Entry *entry)
{
    free(entry->key);
    free(entry->namespace);
    free(entry->name);
    json_decref(entry->event);
    free(entry);
    return NULL;
}

EventRecorder *event_recorder_free(EventRecorder *recorder)
{
    if (!recorder)
        return NULL;
    kube_request_cancel(recorder->request);
    sd_event_source_disable_unref(recorder->soon);
    sd_event_source_disable_unref(recorder->timer);
    for (Entry *entry = recorder->first, *next; entry; entry = next) {
        next = entry->next;
        entry_free(entry);
    }
    free(recorder->component);
    free(recorder->host);
    sd_event_unref(recorder->event);
    free(recorder);
    return NULL;
}

/* --- sending: one after the other ------------------------------------------------- */

static int handle_soon(sd_event_source *source, void *userdata)
{
    EventRecorder *recorder = userdata;
    recorder->soon = sd_event_source_disable_unref(recorder->soon);
    send_next(recorder);
    return 0;
}

static int handle_timer(sd_event_source *source, uint64_t time, void *userdata)
{
    EventRecorder *recorder = userdata;
    recorder->timer = sd_event_source_disable_unref(recorder->timer);
    send_next(recorder);
    return 0;
}

static void handle_sent(void *userdata, const KubeReply *reply)
{
    EventRecorder *recorder = userdata;
    Entry *entry = TAKE_PTR(recorder->sending);
    recorder->request = NULL;
    if (reply->status >= 200 && reply->status < 300) {
        entry->created = true;
    } else if (reply->status == 404 && entry->created) { /* it has been forgotten there */
        entry->created = false;
        entry->dirty = true;
    } else if (reply->status == 0 || reply->status >= 500 || reply->status == 429) {
        entry->dirty = true;
        sd_event_add_time_relative(recorder->event, &recorder->timer, CLOCK_MONOTONIC, RETRY_US, 1000, handle_timer,
                                   recorder);
        return;
    }
    send_next(recorder);
}

static void send_next(EventRecorder *recorder)
{
    Entry *entry = recorder->first;
    while (entry && !entry->dirty)
        entry = entry->next;
    if (!entry || recorder->request || recorder->timer)
        return;
    AUTO_FREE char *path = NULL;
    AUTO_JSON json_t *patch = NULL;
    if (asprintf(&path, "/api/v1/namespaces/%s/events%s%s", entry->namespace, entry->created ? "/" : "",
                 entry->created ? entry->name : "") < 0) {
        path = NULL;
        return;
    }
    if (entry->created)
        patch = json_pack("{s:O, s:O}", "count", json_object_get(entry->event, "count"), "lastTimestamp",
                          json_object_get(entry->event, "lastTimestamp"));
    entry->dirty = false;
    recorder->request = kube_request(recorder->client, entry->created ? "PATCH" : "POST", path,
                                     entry->created ? KUBE_MERGE_PATCH : NULL, entry->created ? patch : entry->event,
                                     handle_sent, recorder, NULL);
    if (recorder->request)
        recorder->sending = entry;
}

/* --- recording ------------------------------------------------------------------------ */

static void make_room(EventRecorder *recorder)
{
    for (Entry **link = &recorder->first; recorder->count >= EVENTS_KEPT_MAX && *link;) {
        Entry *entry = *link;
        if (entry == recorder->sending) {
            link = &entry->next;
            continue;
        }
        *link = entry->next;
        entry_free(entry);
        recorder->count--;
    }
}

static json_t *make_event(const EventRecorder *recorder, const json_t *object, const char *namespace, const char *name,
                          const char *field_path, const char *type, const char *reason, const char *message)
{
    char now[KUBE_TIME_SIZE];
    const char *version = kube_string(object, "apiVersion"), *kind = kube_string(object, "kind");
    kube_time(time(NULL), now);
    /* As the kubelet writes it: `kubectl describe node` looks for events of a node with its name there. */
    const char *uid = strcmp(kind, "Node") == 0 ? kube_name(object) : kube_uid(object);
    json_t *about = json_pack("{s:s, s:s, s:s, s:s, s:s}", "apiVersion", version[0] ? version : "v1", "kind",
                              kind[0] ? kind : "Pod", "name", kube_name(object), "uid", uid, "resourceVersion",
                              kube_string(object, "metadata.resourceVersion"));
    if (about && kube_namespace(object)[0])
        json_object_set_new(about, "namespace", json_string(kube_namespace(object)));
    if (about && field_path)
        json_object_set_new(about, "fieldPath", json_string(field_path));
    return json_pack("{s:s, s:s, s:{s:s, s:s}, s:o, s:s, s:s, s:s, s:{s:s, s:s}, s:s, s:s, s:i, s:s, s:s}",
                     "apiVersion", "v1", "kind", "Event", "metadata", "name", name, "namespace", namespace,
                     "involvedObject", about, "reason", reason, "message", message, "type", type, "source", "component",
                     recorder->component, "host", recorder->host, "firstTimestamp", now, "lastTimestamp", now, "count",
                     1, "reportingComponent", "", "reportingInstance", "");
}

static Entry *make_entry(const EventRecorder *recorder, const json_t *object, const char *field_path, const char *type,
                         const char *reason, const char *message)
{
    const char *namespace = kube_namespace(object)[0] ? kube_namespace(object) : "default";
    struct timespec now;
    Entry *entry = calloc(1, sizeof *entry);
    if (!entry)
        return NULL;
    /* As Kubernetes names them: by time, so that they are listed in their order. */
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t number = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
    if (asprintf(&entry->name, "%s.%016jx", kube_name(object), (uintmax_t)number) < 0)
        entry->name = NULL;
    entry->namespace = strdup(namespace);
    if (entry->name && entry->namespace)
        entry->event = make_event(recorder, object, namespace, entry->name, field_path, type, reason, message);
    if (!entry->event)
        return entry_free(entry);
    entry->count = 1;
    return entry;
}

void event_record(EventRecorder *recorder, const json_t *object, const char *field_path, const char *type,
                  const char *reason, const char *message)
{
    AUTO_FREE char *key = NULL;
    char text[EVENT_MESSAGE_MAX], now[KUBE_TIME_SIZE];
    Entry **link = &recorder->first;
    snprintf(text, sizeof text, "%s", message);
    if (asprintf(&key, "%s\n%s\n%s\n%s\n%s", kube_uid(object), field_path ? field_path : "", type, reason, text) < 0) {
        key = NULL;
        return;
    }
    while (*link && strcmp((*link)->key, key) != 0)
        link = &(*link)->next;
    if (*link) {
        Entry *entry = *link;
        kube_time(time(NULL), now);
        json_object_set_new(entry->event, "count", json_integer(++entry->count));
        json_object_set_new(entry->event, "lastTimestamp", json_string(now));
        entry->dirty = true;
    } else {
        make_room(recorder);
        Entry *entry = make_entry(recorder, object, field_path, type, reason, text);
        if (!entry)
            return;
        entry->key = TAKE_PTR(key);
        entry->dirty = true;
        for (link = &recorder->first; *link; link = &(*link)->next)
            ;
        *link = entry;
        recorder->count++;
    }
    soon(recorder->event, &recorder->soon, handle_soon, recorder);
}
