/* api_http_watch.c - watches: events as JSON, one per line, as they come.
 *
 * A watch has a selection (namespace, name, labels, fields): an object that comes
 * into it is ADDED, one that leaves it DELETED, whatever really happened. A
 * client that does not read is given some room and then cut; it comes back with
 * the last revision that it saw. */
#include "api_http_internal.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "kube/selector.h"

#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <sodium/randombytes.h>
#include <stdlib.h>
#include <string.h>

#define NS UINT64_C(1000000000)
#define TICK_US 1000000u
#define TIMEOUT_MIN 1800u /* s, of a watch that does not say how long; up to twice as long */
#define TIMEOUT_MAX 86400
#define TRIM_AFTER 256u /* watches that ended */
#define LINE_KEEP (256u * 1024u)

struct ApiHttpWatch {
    ApiHttp *http;
    ApiHttpWatch *previous, *next;
    InaHttpStream *stream; /* NULL: ended */
    StoreWatch *watch;
    const Resource *resource;
    char *namespace, *name; /* "": any */
    Selector *labels;
    FieldSelector *fields;
    ApiAccept accept;
    bool bookmarks;
    bool headed;          /* the columns of the Table were told */
    bool slow;            /* to be cut */
    uint64_t end, marked; /* ns */
    Buffer pending;       /* what the connection does not take yet */
};

static void watch_free(ApiHttpWatch *watch)
{
    ApiHttp *http = watch->http;

    if (watch->previous)
        watch->previous->next = watch->next;
    else if (http->watches == watch)
        http->watches = watch->next;
    if (watch->next)
        watch->next->previous = watch->previous;
    http->n_watches--;
    http->pending -= watch->pending.size;
    store_unwatch(watch->watch);
    ina_http_stream_close(watch->stream);
    selector_free(watch->labels);
    field_selector_free(watch->fields);
    buffer_free(&watch->pending);
    free(watch->namespace);
    free(watch->name);
    free(watch);
}

/* --- sending -------------------------------------------------------------------------------------------- */

static void send(ApiHttpWatch *watch, const char *data, size_t size)
{
    ApiHttp *http = watch->http;

    if (watch->slow || size == 0)
        return;
    if (watch->pending.size == 0) {
        int r = ina_http_stream_write(watch->stream, data, size);
        if (r != -ENOBUFS) {
            watch->slow = r < 0;
            return;
        }
    }
    if (watch->pending.size + size > API_WATCH_PENDING_MAX || http->pending + size > API_WATCHES_PENDING_MAX) {
        watch->slow = true; /* cut by the timer: not from within the store's turn */
        return;
    }
    buffer_append(&watch->pending, data, size);
    if (watch->pending.failed)
        watch->slow = true;
    else
        http->pending += size;
}

static void on_drained(void *userdata)
{
    ApiHttpWatch *watch = userdata;

    if (watch->slow || watch->pending.size == 0 ||
        ina_http_stream_write(watch->stream, watch->pending.data, watch->pending.size) < 0)
        return;
    watch->http->pending -= watch->pending.size;
    buffer_free(&watch->pending);
}

static void on_closed(void *userdata)
{
    ApiHttpWatch *watch = userdata;

    watch->stream = NULL;
    watch_free(watch);
}

/* --- events --------------------------------------------------------------------------------------------- */

static const char *type_name(StoreChange change)
{
    return change == STORE_ADDED ? "ADDED" : change == STORE_MODIFIED ? "MODIFIED" : "DELETED";
}

static bool selects(const ApiHttpWatch *watch, const json_t *object)
{
    return (*watch->namespace == '\0' || strcmp(watch->namespace, kube_namespace(object)) == 0) &&
           (*watch->name == '\0' || strcmp(watch->name, kube_name(object)) == 0) &&
           selector_matches(watch->labels, kube_labels(object)) && field_selector_matches(watch->fields, object);
}

static void append_tree(Buffer *out, const char *type, const json_t *object)
{
    AUTO_FREE char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;

    if (text)
        buffer_print(out, "{\"type\":\"%s\",\"object\":", type);
    else
        out->failed = true;
    if (text)
        buffer_append(out, text, strlen(text));
    buffer_append(out, "}\n", 2);
}

static void append_text(Buffer *out, const char *type, StoreText text)
{
    if (!text.text)
        out->failed = true;
    buffer_print(out, "{\"type\":\"%s\",\"object\":", type);
    buffer_append(out, text.text, text.size);
    buffer_append(out, "}\n", 2);
}

/* In the form that the client asked for; the columns of a Table once. */
static void append_formed(ApiHttpWatch *watch, Buffer *out, const char *type, const json_t *object)
{
    AUTO_JSON json_t *formed =
        watch->accept.form == FORM_TABLE
            ? resource_table(watch->resource, object, watch->accept.version, watch->accept.include, time(NULL))
            : resource_metadata_only(object, watch->accept.version);

    if (watch->accept.form == FORM_TABLE && watch->headed)
        json_object_set_new(formed, "columnDefinitions", json_null());
    watch->headed = true;
    append_tree(out, type, formed);
}

static void send_tree(ApiHttpWatch *watch, const char *type, const json_t *object)
{
    Buffer out = {0};

    if (watch->accept.form != FORM_OBJECT)
        append_formed(watch, &out, type, object);
    else
        append_tree(&out, type, object);
    if (!out.failed)
        send(watch, out.data, out.size);
    else
        watch->slow = true;
    buffer_free(&out);
}

/* The whole object of an event: the same line for all watches. */
static void send_event(ApiHttpWatch *watch, StoreChange change, const StoreEvent *event)
{
    ApiHttp *http = watch->http;
    const char *type = type_name(change);

    if (http->line_item != event->item || http->line_revision != event->revision || http->line_type != *type) {
        if (http->line.capacity > LINE_KEEP)
            buffer_free(&http->line);
        buffer_clear(&http->line);
        append_text(&http->line, type, store_event_text(event));
        http->line_item = event->item;
        http->line_revision = event->revision;
        http->line_type = *type;
    }
    if (http->line.failed)
        watch->slow = true;
    else
        send(watch, http->line.data, http->line.size);
}

/* It left the selection: DELETED as it was when it was still in it, at the revision of the change. */
static void send_left(ApiHttpWatch *watch, const StoreEvent *event)
{
    AUTO_JSON json_t *object = json_copy((json_t *)event->old);
    json_t *metadata = json_copy(json_object_get(event->old, "metadata"));

    json_object_set_new(metadata, "resourceVersion", json_sprintf("%" PRId64, event->revision));
    json_object_set_new(object, "metadata", metadata);
    send_tree(watch, "DELETED", object);
}

static void on_event(void *userdata, const StoreEvent *event)
{
    ApiHttpWatch *watch = userdata;
    bool before = event->old && selects(watch, event->old);
    bool after = event->change != STORE_DELETED && selects(watch, event->object);

    if (!before && !after)
        return;
    if (before && !after && event->change != STORE_DELETED) {
        send_left(watch, event);
        return;
    }
    StoreChange change = !after ? STORE_DELETED : before ? STORE_MODIFIED : STORE_ADDED;
    if (watch->accept.form == FORM_OBJECT)
        send_event(watch, change, event);
    else
        send_tree(watch, type_name(change), event->object);
}

/* --- bookmarks and the end -------------------------------------------------------------------------------- */

static void send_bookmark(ApiHttpWatch *watch, int64_t revision, bool initial_end)
{
    char version[RESOURCE_VERSION_SIZE];
    Buffer out = {0};

    resource_api_version(watch->resource, version);
    AUTO_JSON json_t *object =
        json_pack("{s:s, s:s, s:{s:o, s:n}}", "kind", watch->resource->kind, "apiVersion", version, "metadata",
                  "resourceVersion", json_sprintf("%" PRId64, revision), "creationTimestamp");
    if (initial_end)
        kube_set(object, "metadata.annotations", json_pack("{s:s}", "k8s.io/initial-events-end", "true"));
    append_tree(&out, "BOOKMARK", object);
    if (!out.failed)
        send(watch, out.data, out.size);
    buffer_free(&out);
    watch->marked = steady_ns();
}

/* What many watches had would stay with the process: the allocator keeps what is free between what is not. Twice,
 * since connections end a little after their watches. */
static void give_memory_back(ApiHttp *http)
{
    if (http->peak_watches - http->n_watches >= TRIM_AFTER) {
        http->peak_watches = http->n_watches;
        http->trims = 2;
    }
    if (http->trims == 0)
        return;
    http->trims--;
    (void)malloc_trim(0);
}

static int on_tick(sd_event_source *source, uint64_t at, void *userdata)
{
    ApiHttp *http = userdata;
    uint64_t now = steady_ns();
    int64_t settled = store_settled(http->store);

    for (ApiHttpWatch *watch = http->watches, *next; watch; watch = next) {
        bool marks = watch->bookmarks && settled > 0;
        next = watch->next;
        bool over = now >= watch->end;
        if (marks && (over || now - watch->marked >= API_BOOKMARK_SECONDS * NS))
            send_bookmark(watch, settled, false);
        if (watch->slow || (over && watch->pending.size == 0) || now >= watch->end + 10 * NS)
            watch_free(watch);
    }
    give_memory_back(http);
    (void)sd_event_source_set_time_relative(source, TICK_US);
    (void)sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
    return 0;
}

int api_watches_start(ApiHttp *http, InaError *error)
{
    int r = sd_event_add_time_relative(http->event, &http->timer, CLOCK_MONOTONIC, TICK_US, 100000, on_tick, http);

    return r < 0 ? ina_error_errno(error, r, "event loop") : 0;
}

void api_watches_end(ApiHttp *http)
{
    while (http->watches)
        watch_free(http->watches);
    http->timer = sd_event_source_disable_unref(http->timer);
    buffer_free(&http->line);
}

/* --- beginning ---------------------------------------------------------------------------------------------- */

typedef struct Snapshot {
    ApiHttpWatch *watch;
    Buffer out;
} Snapshot;

static bool append_object(void *userdata, const json_t *object)
{
    Snapshot *snapshot = userdata;
    ApiHttpWatch *watch = snapshot->watch;

    if (!selects(watch, object))
        return true;
    if (watch->accept.form == FORM_OBJECT)
        append_text(&snapshot->out, "ADDED", store_object_text(watch->http->store, watch->resource->key, object));
    else
        append_formed(watch, &snapshot->out, "ADDED", object);
    return !snapshot->out.failed;
}

/* All that is there. It goes to the connection at once, whatever its size: what comes then waits. */
static void send_snapshot(ApiHttpWatch *watch)
{
    Snapshot snapshot = {.watch = watch};

    store_each(watch->http->store, watch->resource->key, *watch->namespace ? watch->namespace : NULL, append_object,
               &snapshot);
    if (snapshot.out.failed)
        watch->slow = true;
    else if (snapshot.out.size > 0)
        watch->slow = ina_http_stream_write(watch->stream, snapshot.out.data, snapshot.out.size) < 0;
    buffer_free(&snapshot.out);
}

/* Digits; "" and "0": from what is there now. */
static json_t *parse_revision(const ApiTarget *target, const char *text, int64_t *ret)
{
    char *end;

    *ret = 0;
    if (!text || *text == '\0')
        return NULL;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0) {
        *ret = value;
        return NULL;
    }
    KubeCauses *causes = kube_causes_new();
    AUTO_FREE char *quoted = kube_quote(text);
    kube_cause(causes, "FieldValueInvalid", "resourceVersion",
               "Invalid value: %s: strconv.ParseUint: parsing %s: invalid syntax", quoted, quoted);
    return kube_causes_status(causes, target->resource->group, target->resource->plural, "");
}

/* ns; 0: it ends at once, as of Kubernetes when less than nothing is asked for. The number was checked. */
static uint64_t timeout_of(const InaHttpRequest *request)
{
    int64_t seconds = 0;

    json_decref(api_query_number(request, "timeoutSeconds", 0, &seconds));
    if (seconds < 0)
        return 0;
    if (seconds == 0)
        seconds = TIMEOUT_MIN + randombytes_uniform(TIMEOUT_MIN);
    return (uint64_t)(seconds < TIMEOUT_MAX ? seconds : TIMEOUT_MAX) * NS;
}

/* NULL: it is made; else the Status. */
static json_t *watch_new(ApiHttp *http, const InaHttpRequest *request, const ApiTarget *target, const ApiAccept *accept,
                         ApiHttpWatch **ret)
{
    const Resource *resource = target->resource;
    Selector *labels = NULL;
    FieldSelector *fields = NULL;
    InaError error = {0};

    if (http->n_watches >= API_WATCHES_MAX)
        return kube_status_too_many("too many watches are open: close some, or try again later", 1);
    if (selector_parse(ina_http_query(request, "labelSelector"), &labels, &error) < 0)
        return kube_status_bad_request("%s", error.message);
    if (field_selector_parse(ina_http_query(request, "fieldSelector"), resource->fields, &fields, &error) < 0) {
        selector_free(labels);
        return kube_status_bad_request("%s", error.message);
    }
    ApiHttpWatch *watch = calloc(1, sizeof *watch);
    char *namespace = strdup(target->namespace), *name = strdup(target->name);
    if (!watch || !namespace || !name) {
        free(watch);
        free(namespace);
        free(name);
        selector_free(labels);
        field_selector_free(fields);
        return kube_status_internal("out of memory");
    }
    uint64_t now = steady_ns();
    *watch = (ApiHttpWatch){.http = http,
                            .next = http->watches,
                            .resource = resource,
                            .namespace = namespace,
                            .name = name,
                            .labels = labels,
                            .fields = fields,
                            .accept = *accept,
                            .marked = now,
                            .end = now + timeout_of(request)};
    watch->bookmarks = api_query_is(request, "allowWatchBookmarks") && accept->form != FORM_TABLE;
    if (watch->next)
        watch->next->previous = watch;
    http->watches = watch;
    http->n_watches++;
    if (http->peak_watches < http->n_watches)
        http->peak_watches = http->n_watches;
    *ret = watch;
    return NULL;
}

/* As an event: the client is to list again. */
static void send_expired(ApiHttpWatch *watch, int64_t revision)
{
    char message[128];

    snprintf(message, sizeof message, "too old resource version: %" PRId64 " (%" PRId64 ")", revision,
             store_oldest_revision(watch->http->store));
    AUTO_JSON json_t *status = kube_status_expired(message);
    Buffer out = {0};
    append_tree(&out, "ERROR", status);
    if (!out.failed)
        (void)ina_http_stream_write(watch->stream, out.data, out.size);
    buffer_free(&out);
}

void api_watch(ApiHttp *http, InaHttpRequest *request, const ApiUser *user, const ApiTarget *target,
               const ApiAccept *accept)
{
    bool initial = api_query_is(request, "sendInitialEvents");
    int64_t revision = 0;
    ApiHttpWatch *watch = NULL;

    json_t *refusal = api_refusal(user, "watch", target->resource, NULL, target->namespace, target->name, NULL);
    if (!refusal)
        refusal = api_query_watch(request);
    if (!refusal)
        refusal = parse_revision(target, ina_http_query(request, "resourceVersion"), &revision);
    if (!refusal)
        refusal = watch_new(http, request, target, accept, &watch);
    if (refusal || !watch) {
        api_respond_status(request, refusal ? refusal : kube_status_internal("out of memory"));
        return;
    }
    bool snapshot = initial || revision == 0;
    int64_t from = snapshot ? store_revision(http->store) : revision;
    int r = store_watch(http->store, target->resource->key, from, on_event, watch, &watch->watch);
    if (r < 0 && r != -ESTALE) {
        watch_free(watch);
        api_respond_status(request, kube_status_internal("out of memory"));
        return;
    }
    ina_http_set_header(request, "Cache-Control", "no-cache, private");
    watch->stream = ina_http_respond_stream(request, 200, "application/json", on_drained, on_closed, watch);
    if (!watch->stream || r == -ESTALE) {
        if (watch->stream)
            send_expired(watch, from);
        watch_free(watch);
        return;
    }
    if (watch->end <= watch->marked) {
        watch_free(watch);
        return;
    }
    if (snapshot)
        send_snapshot(watch);
    if (initial)
        send_bookmark(watch, from, true);
}
