/* informer.c - lists a collection, watches it, and tells what changed. */
#include "client_internal.h"

#include "base/cleanup.h"
#include "base/json.h"
#include "base/map.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#define PAUSE_MINIMUM_US UINT64_C(100000)
#define PAUSE_MAXIMUM_US UINT64_C(5000000)
#define WATCH_SECONDS 1800 /* after which the server is asked to end it in order */
#define KEY_MAX 512u

typedef enum InformerState {
    INFORMER_PAUSING,  /* the timer leads on */
    INFORMER_LISTING,  /* a page is under way */
    INFORMER_PROBING,  /* a watch broke: does the API answer? */
    INFORMER_WATCHING, /* the timer watches over its silence */
} InformerState;

struct KubeInformer {
    KubeClient *client;
    KubeInformerOptions options;
    char *path, *query; /* query: selectors, each with a leading '&' */
    InformerState state;
    sd_event_source *timer;
    uint64_t pause; /* us; the next one */
    KubeRequest *request;
    InaHttpFetch *watch;
    Buffer line;     /* of the watch, not complete yet */
    char *revision;  /* a watch goes on behind this; NULL: list first */
    char *continue_; /* of the list under way */
    Map *objects;    /* "namespace/name" -> json_t */
    Map *fresh;      /* of the list under way */
    bool synced, connected, heard;
    InaError error;
    unsigned calls; /* of the owner, under way */
    bool dying;     /* freed from within one */
};

static void list(KubeInformer *informer);
static void begin_watch(KubeInformer *informer);
static void fail(KubeInformer *informer);

/* --- telling ------------------------------------------------------------------------ */

static void destroy(KubeInformer *informer);

/* Around each call of the owner. Returns false when he freed the informer: it is not to be touched any more. */
static bool back_from_owner(KubeInformer *informer)
{
    if (--informer->calls > 0)
        return !informer->dying;
    if (!informer->dying)
        return true;
    destroy(informer);
    return false;
}

static bool tell(KubeInformer *informer, KubeChange change, const json_t *object, const json_t *old)
{
    informer->calls++;
    if (informer->options.changed)
        informer->options.changed(informer->options.userdata, change, object, old);
    return back_from_owner(informer);
}

static bool tell_contact(KubeInformer *informer, bool connected)
{
    if (informer->connected == connected)
        return true;
    informer->connected = connected;
    informer->calls++;
    if (informer->options.synced)
        informer->options.synced(informer->options.userdata, connected);
    return back_from_owner(informer);
}

static bool key_of(const json_t *object, char ret[KEY_MAX])
{
    int length = snprintf(ret, KEY_MAX, "%s/%s", kube_namespace(object), kube_name(object));
    return length > 1 && (unsigned)length < KEY_MAX && kube_name(object)[0];
}

static bool put(KubeInformer *informer, const char *key, json_t *object)
{
    json_t *old = map_get(informer->objects, key);
    bool same = old && strcmp(kube_uid(old), kube_uid(object)) == 0;
    if (same &&
        strcmp(kube_string(old, "metadata.resourceVersion"), kube_string(object, "metadata.resourceVersion")) == 0)
        return true;
    if (map_set(informer->objects, key, json_incref(object)) < 0) {
        json_decref(object);
        return true; /* told again by the next list */
    }
    json_incref(object); /* the receiver may free the informer */
    bool goes_on = true;
    if (old && !same) /* another object of the same name: the one before is gone */
        goes_on = tell(informer, KUBE_DELETED, old, old);
    if (goes_on)
        goes_on = tell(informer, same ? KUBE_MODIFIED : KUBE_ADDED, object, same ? old : NULL);
    json_decref(old);
    json_decref(object);
    return goes_on;
}

/* `last`: as it was deleted; NULL: as we had it. */
static bool drop(KubeInformer *informer, const char *key, const json_t *last)
{
    json_t *old = map_remove(informer->objects, key);
    if (!old)
        return true;
    bool goes_on = tell(informer, KUBE_DELETED, last ? last : old, old);
    json_decref(old);
    return goes_on;
}

static void clear_map(Map **map)
{
    size_t position = 0;
    const char *key;
    void *value;
    while (*map && map_next(*map, &position, &key, &value))
        json_decref(value);
    *map = map_free(*map);
}

/* --- pauses --------------------------------------------------------------------------- */

static int handle_timer(sd_event_source *source, uint64_t time, void *userdata)
{
    KubeInformer *informer = userdata;
    informer->timer = sd_event_source_disable_unref(informer->timer);
    if (informer->state == INFORMER_WATCHING) {
        ina_error_set(&informer->error, ETIMEDOUT, "watch %s: silent for too long", informer->path);
        fail(informer);
    } else if (informer->revision) {
        begin_watch(informer);
    } else {
        list(informer);
    }
    return 0;
}

static void set_timer(KubeInformer *informer, uint64_t us)
{
    informer->timer = sd_event_source_disable_unref(informer->timer);
    sd_event_add_time_relative(kube_client_loop(informer->client), &informer->timer, CLOCK_MONOTONIC, us, 1000,
                               handle_timer, informer);
}

static void end_attempt(KubeInformer *informer)
{
    kube_request_cancel(TAKE_PTR(informer->request));
    if (informer->watch)
        http_fetch_cancel(TAKE_PTR(informer->watch));
    buffer_clear(&informer->line);
    clear_map(&informer->fresh);
    free(TAKE_PTR(informer->continue_));
}

static void pause_then(KubeInformer *informer)
{
    unsigned char noise = 0;
    if (getrandom(&noise, sizeof noise, GRND_NONBLOCK) < 0)
        noise = 128;
    informer->state = INFORMER_PAUSING;
    /* Not all clients at the same moment: 87 to 112 %. */
    set_timer(informer, informer->pause - informer->pause / 8 + informer->pause / 4 * noise / 255);
    informer->pause = informer->pause * 2 < PAUSE_MAXIMUM_US ? informer->pause * 2 : PAUSE_MAXIMUM_US;
}

/* The error is set; goes on where it was after a pause. */
static void fail(KubeInformer *informer)
{
    end_attempt(informer);
    pause_then(informer);
    tell_contact(informer, false);
}

/* What was watched from is too old: everything is read again. */
static void start_over(KubeInformer *informer)
{
    end_attempt(informer);
    free(TAKE_PTR(informer->revision));
    pause_then(informer);
}

/* --- listing ------------------------------------------------------------------------------ */

static int take_page(KubeInformer *informer, const json_t *page)
{
    size_t i;
    json_t *item;
    const char *kind = kube_string(page, "kind"), *version = kube_string(page, "apiVersion");
    size_t length = strlen(kind) > 4 ? strlen(kind) - 4 : 0; /* "PodList" without "List" */
    json_array_foreach(json_object_get(page, "items"), i, item)
    {
        char key[KEY_MAX];
        if (!key_of(item, key))
            continue;
        /* Items of lists have no kind; events have. */
        if (!json_object_get(item, "kind") && length > 0) {
            json_object_set_new(item, "kind", json_stringn(kind, length));
            json_object_set_new(item, "apiVersion", json_string(version));
        }
        json_t *before = map_get(informer->fresh, key);
        if (map_set(informer->fresh, key, item) < 0)
            return -ENOMEM;
        json_incref(item);
        json_decref(before);
    }
    return 0;
}

/* What is not in the list any more; collected first, since telling may free the informer. */
static bool drop_missing(KubeInformer *informer, Map *fresh)
{
    size_t position = 0, count = 0;
    const char *key;
    void *value;
    AUTO_FREE char **keys = calloc(map_count(informer->objects) + 1, sizeof *keys);
    while (keys && map_next(informer->objects, &position, &key, &value))
        if (!map_get(fresh, key) && (keys[count] = strdup(key)))
            count++;
    bool goes_on = true;
    for (size_t i = 0; i < count; i++) {
        goes_on = goes_on && drop(informer, keys[i], NULL);
        free(keys[i]);
    }
    return goes_on;
}

static void finish_list(KubeInformer *informer, const json_t *page)
{
    Map *fresh = TAKE_PTR(informer->fresh);
    free(informer->revision);
    informer->revision = strdup(kube_string(page, "metadata.resourceVersion"));
    free(TAKE_PTR(informer->continue_));
    bool goes_on = drop_missing(informer, fresh);
    size_t position = 0;
    const char *key;
    void *value;
    while (goes_on && map_next(fresh, &position, &key, &value))
        goes_on = put(informer, key, value);
    clear_map(&fresh);
    if (!goes_on)
        return;
    informer->synced = true;
    informer->error = (InaError){0};
    begin_watch(informer);
    tell_contact(informer, true);
}

static void handle_page(void *userdata, const KubeReply *reply)
{
    KubeInformer *informer = userdata;
    informer->request = NULL;
    if (reply->status == 410 && informer->continue_) {
        start_over(informer);
        return;
    }
    if (reply->status != 200 || !json_is_array(json_object_get(reply->object, "items"))) {
        informer->error = reply->error;
        if (reply->status == 200)
            ina_error_set(&informer->error, EPROTO, "list %s: the answer is no list", informer->path);
        fail(informer);
        return;
    }
    if (take_page(informer, reply->object) < 0) {
        ina_error_set(&informer->error, ENOMEM, "out of memory");
        fail(informer);
        return;
    }
    const char *rest = kube_string(reply->object, "metadata.continue");
    if (rest[0] == '\0') {
        finish_list(informer, reply->object);
        return;
    }
    free(informer->continue_);
    informer->continue_ = strdup(rest);
    list(informer);
}

/* Appends "&name=value", escaped. */
static void add_argument(Buffer *buffer, const char *name, const char *value)
{
    if (!value || !value[0])
        return;
    buffer_print(buffer, "&%s=", name);
    for (; *value; value++) {
        bool plain = (*value >= 'a' && *value <= 'z') || (*value >= 'A' && *value <= 'Z') ||
                     (*value >= '0' && *value <= '9') || strchr("-._~", *value);
        buffer_print(buffer, plain ? "%c" : "%%%02X", (unsigned char)*value);
    }
}

static void list(KubeInformer *informer)
{
    Buffer path = {0};
    buffer_print(&path, "%s?limit=%u%s", informer->path, KUBE_INFORMER_PAGE, informer->query);
    add_argument(&path, "continue", informer->continue_);
    informer->state = INFORMER_LISTING;
    if (!informer->fresh)
        informer->fresh = map_new();
    if (path.failed || !informer->fresh)
        ina_error_set(&informer->error, ENOMEM, "out of memory");
    else
        informer->request =
            kube_request(informer->client, "GET", path.data, NULL, NULL, handle_page, informer, &informer->error);
    buffer_free(&path);
    if (!informer->request)
        fail(informer);
}

/* --- watching ------------------------------------------------------------------------------ */

static void set_revision(KubeInformer *informer, const json_t *object)
{
    const char *text = kube_string(object, "metadata.resourceVersion");
    char *revision = text[0] ? strdup(text) : NULL;
    if (!revision)
        return;
    free(informer->revision);
    informer->revision = revision;
}

/* Returns false when the watch is over, or the informer freed. */
static bool take_error(KubeInformer *informer, const json_t *status)
{
    int64_t code = kube_integer(status, "code", 500);
    kube_reply_error((int)code, status, "watch", &informer->error);
    if (code == 410 || strcmp(kube_string(status, "reason"), "Expired") == 0)
        start_over(informer);
    else
        fail(informer);
    return false;
}

static bool take_event(KubeInformer *informer, const char *text, size_t size)
{
    InaError error = {0};
    AUTO_JSON json_t *event = NULL;
    char key[KEY_MAX];
    if (json_parse(text, size, KUBE_CLIENT_REPLY_MAX, &event, &error) < 0) {
        ina_error_set(&informer->error, EPROTO, "watch %s: %.300s", informer->path, error.message);
        fail(informer);
        return false;
    }
    json_t *object = json_object_get(event, "object");
    const char *type = kube_string(event, "type");
    if (strcmp(kube_string(event, "kind"), "Status") == 0) /* not a watch at all */
        return take_error(informer, event);
    if (strcmp(type, "ERROR") == 0)
        return take_error(informer, object);
    set_revision(informer, object);
    if (strcmp(type, "BOOKMARK") == 0 || !key_of(object, key))
        return true;
    if (strcmp(type, "DELETED") == 0)
        return drop(informer, key, object);
    return put(informer, key, object);
}

static void handle_chunk(void *userdata, const void *data, size_t size)
{
    KubeInformer *informer = userdata;
    const char *at = data, *end = at + size;
    informer->pause = PAUSE_MINIMUM_US;
    informer->heard = true;
    set_timer(informer, KUBE_INFORMER_SILENCE / 1000);
    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        buffer_append(&informer->line, at, (size_t)((newline ? newline : end) - at));
        if (informer->line.failed || informer->line.size > KUBE_CLIENT_REPLY_MAX) {
            ina_error_set(&informer->error, EMSGSIZE, "watch %s: an event of more than %u bytes", informer->path,
                          KUBE_CLIENT_REPLY_MAX);
            fail(informer);
            return;
        }
        if (!newline)
            return;
        at = newline + 1;
        if (informer->line.size == 0)
            continue;
        /* The line is taken out of the informer, which may be freed meanwhile. */
        Buffer line = informer->line;
        informer->line = (Buffer){0};
        bool goes_on = take_event(informer, line.data, line.size);
        if (!goes_on) {
            buffer_free(&line);
            return;
        }
        buffer_clear(&line);
        informer->line = line;
    }
}

static void handle_version(void *userdata, const KubeReply *reply)
{
    KubeInformer *informer = userdata;
    informer->request = NULL;
    if (reply->status == 0 || reply->status >= 500) {
        informer->error = reply->error;
        fail(informer);
        return;
    }
    begin_watch(informer);
    tell_contact(informer, true);
}

/* Whether the API is back, before a watch is said to be: one that has nothing to tell would be silent. */
static void probe(KubeInformer *informer)
{
    informer->state = INFORMER_PROBING;
    informer->request =
        kube_request(informer->client, "GET", "/version", NULL, NULL, handle_version, informer, &informer->error);
    if (!informer->request)
        fail(informer);
}

static void handle_end(void *userdata, const InaHttpResponse *response)
{
    KubeInformer *informer = userdata;
    informer->watch = NULL;
    if (response->status == 410) {
        start_over(informer);
        return;
    }
    /* An end in order, as asked for. Before it has said anything it may as well be a server that ends. */
    if (response->status == 200 && informer->heard && informer->line.size == 0) {
        end_attempt(informer);
        pause_then(informer);
        return;
    }
    informer->error = response->error;
    if (response->status == 200)
        ina_error_set(&informer->error, EIO, "watch %s: ended", informer->path);
    else if (response->status != 0)
        ina_error_set(&informer->error, EIO, "watch %s: answered %d", informer->path, response->status);
    fail(informer);
}

static void begin_watch(KubeInformer *informer)
{
    Buffer path = {0};
    if (!informer->connected && informer->state == INFORMER_PAUSING) {
        probe(informer);
        return;
    }
    buffer_print(&path, "%s?watch=true&allowWatchBookmarks=true&timeoutSeconds=%d%s", informer->path, WATCH_SECONDS,
                 informer->query);
    add_argument(&path, "resourceVersion", informer->revision);
    InaHttpFetchOptions options = {
        .timeout = UINT64_MAX,
        .chunk = handle_chunk,
        .done = handle_end,
        .userdata = informer,
    };
    informer->state = INFORMER_WATCHING;
    informer->heard = false;
    buffer_clear(&informer->line);
    if (path.failed)
        ina_error_set(&informer->error, ENOMEM, "out of memory");
    else
        informer->watch = kube_client_fetch(informer->client, path.data, NULL, &options, &informer->error);
    buffer_free(&path);
    if (informer->watch)
        set_timer(informer, KUBE_INFORMER_SILENCE / 1000);
    else
        fail(informer);
}

/* --- for the owner --------------------------------------------------------------------------- */

KubeInformer *kube_informer_new(KubeClient *client, const KubeInformerOptions *options, InaError *error)
{
    Buffer query = {0};
    KubeInformer *informer = calloc(1, sizeof *informer);
    if (informer) {
        informer->client = client;
        informer->options = *options;
        informer->pause = PAUSE_MINIMUM_US;
        informer->path = strdup(options->path);
        informer->objects = map_new();
        buffer_print(&query, "%s", "");
        add_argument(&query, "labelSelector", options->label_selector);
        add_argument(&query, "fieldSelector", options->field_selector);
        informer->query = query.data;
        informer->state = INFORMER_PAUSING;
        set_timer(informer, 0); /* from the loop */
    }
    if (!informer || !informer->path || !informer->objects || query.failed || !informer->timer) {
        kube_informer_free(informer);
        ina_error_set(error, ENOMEM, "out of memory");
        return NULL;
    }
    return informer;
}

bool kube_informer_synced(const KubeInformer *informer)
{
    return informer->synced;
}

const json_t *kube_informer_find(const KubeInformer *informer, const char *namespace, const char *name)
{
    char key[KEY_MAX];
    int length = snprintf(key, sizeof key, "%s/%s", namespace ? namespace : "", name);
    return length > 0 && (unsigned)length < sizeof key ? map_get(informer->objects, key) : NULL;
}

size_t kube_informer_count(const KubeInformer *informer)
{
    return map_count(informer->objects);
}

void kube_informer_each(const KubeInformer *informer, bool (*each)(void *userdata, const json_t *object),
                        void *userdata)
{
    size_t position = 0;
    const char *key;
    void *value;
    while (map_next(informer->objects, &position, &key, &value) && each(userdata, value))
        ;
}

const char *kube_informer_error(const KubeInformer *informer)
{
    return informer->error.message;
}

static void destroy(KubeInformer *informer)
{
    clear_map(&informer->objects);
    buffer_free(&informer->line);
    free(informer->revision);
    free(informer->path);
    free(informer->query);
    free(informer);
}

KubeInformer *kube_informer_free(KubeInformer *informer)
{
    if (!informer)
        return NULL;
    end_attempt(informer);
    informer->timer = sd_event_source_disable_unref(informer->timer);
    informer->dying = true;
    if (informer->calls == 0)
        destroy(informer);
    return NULL;
}
