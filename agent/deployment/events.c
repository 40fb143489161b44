/* events.c - the audit log, as Apache ACE's agents keep and send it.
 *
 * FOLDER/audit.log: a line for each event as it is sent,
 *   target,log,sequence,time,type[,key,value]*
 * at most EVENTS_KEPT of them: the oldest go. The server says which it has, and
 * gets the others. */
#include "deployment.h"

#include "base/cleanup.h"
#include "base/files.h"
#include "base/map.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>

#define RANGES_MAX (1024u * 1024u)
#define HEADER_MAX 1024u

/* --- keeping ---------------------------------------------------------------------------- */

static void escape(Buffer *out, const char *text)
{
    if (!*text)
        buffer_append(out, "", 0);
    for (; *text; text++) {
        const char *instead = *text == '$'    ? "$$"
                              : *text == ','  ? "$k"
                              : *text == '\n' ? "$n"
                              : *text == '\r' ? "$r"
                                              : NULL;
        buffer_append(out, instead ? instead : text, instead ? 2 : 1);
    }
}

static int keep(Events *events, int64_t sequence, char *line)
{
    Event *list = reallocarray(events->list, events->n + 1, sizeof *list);
    if (!list) {
        free(line);
        return -ENOMEM;
    }
    events->list = list;
    list[events->n++] = (Event){sequence, line};
    events->last = sequence;
    return 0;
}

/* "target,log,sequence,..." */
static bool read_line(Events *events, const char *line)
{
    const char *at = strchr(line, ',');
    char *end, *copy;

    long long log = at ? strtoll(at + 1, &end, 10) : 0;
    if (log <= 0 || *end != ',' || (events->log && log != events->log))
        return false;
    long long sequence = strtoll(end + 1, &end, 10);
    if (sequence <= events->last || *end != ',' || !(copy = strdup(line)))
        return false;
    events->log = log;
    return keep(events, sequence, copy) == 0;
}

static void rewrite(Deployment *deployment)
{
    Events *events = &deployment->events;
    Buffer text = {0};
    InaError error = {0};

    for (size_t i = 0; i < events->n; i++)
        buffer_print(&text, "%s\n", events->list[i].line);
    if (!text.failed && file_write(events->path, text.size ? text.data : "", text.size, 0600, &error) < 0)
        ina_log(deployment->component, INA_LOG_WARNING, "audit log: %s", error.message);
    buffer_free(&text);
}

void events_open(Deployment *deployment)
{
    Events *events = &deployment->events;
    AUTO_FREE char *text = NULL;
    char *rest, *line;
    size_t size = 0;
    bool damaged = false;

    events->path = path_join(deployment->folder, "audit.log");
    if (events->path && file_read(events->path, EVENTS_FILE_MAX, &text, &size, NULL) == 0) {
        rest = text;
        /* What has no newline was being written when its writer was killed. */
        for (char *end; rest && (end = strchr(rest, '\n'));) {
            line = rest;
            *end = '\0';
            rest = end + 1;
            damaged = !read_line(events, line) || damaged;
        }
        damaged = damaged || (rest && *rest);
    }
    if (!events->log)
        events->log = ina_wall_clock_us() / 1000;
    if (damaged)
        rewrite(deployment);
}

void events_close(Deployment *deployment)
{
    Events *events = &deployment->events;

    for (size_t i = 0; i < events->n; i++)
        free(events->list[i].line);
    free(events->list);
    free(events->path);
    free(events->ranges);
    *events = (Events){0};
}

static void drop_oldest(Deployment *deployment)
{
    Events *events = &deployment->events;
    size_t surplus = events->n / 2;

    for (size_t i = 0; i < surplus; i++)
        free(events->list[i].line);
    memmove(events->list, events->list + surplus, (events->n - surplus) * sizeof(Event));
    events->n -= surplus;
    rewrite(deployment);
}

/* Not synced: after a power failure the last ones may be missing. */
static void append(Deployment *deployment, const char *line, size_t size)
{
    Events *events = &deployment->events;
    int fd = events->path ? open(events->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600) : -1;

    if (fd < 0 || write(fd, line, size) != (ssize_t)size)
        ina_log(deployment->component, INA_LOG_WARNING, "audit log: cannot be written");
    if (fd >= 0)
        close(fd);
}

static void begin_line(const Deployment *deployment, EventType type, Buffer *line)
{
    escape(line, deployment->target);
    buffer_print(line, ",%lld,%lld,%lld,%d", (long long)deployment->events.log, (long long)deployment->events.last + 1,
                 (long long)(ina_wall_clock_us() / 1000), (int)type);
}

static void add_pair(Buffer *line, const char *key, const char *value)
{
    buffer_print(line, ",%s,", key);
    escape(line, value);
}

/* Takes the line. */
static void end_line(Deployment *deployment, Buffer *line)
{
    Events *events = &deployment->events;
    bool too_long = line->size >= EVENT_LINE_MAX;

    buffer_print(line, "\n");
    if (line->failed || too_long) {
        buffer_free(line);
        return;
    }
    if (events->n >= EVENTS_KEPT)
        drop_oldest(deployment);
    append(deployment, line->data, line->size);
    line->data[line->size - 1] = '\0';
    if (keep(events, events->last + 1, line->data) == 0)
        events_send(deployment);
}

void events_add(Deployment *deployment, EventType type, ...)
{
    Buffer line = {0};
    va_list pairs;
    const char *key;

    begin_line(deployment, type, &line);
    va_start(pairs, type);
    while ((key = va_arg(pairs, const char *)))
        add_pair(&line, key, va_arg(pairs, const char *));
    va_end(pairs);
    end_line(deployment, &line);
}

void events_add_all(Deployment *deployment, EventType type, const json_t *values)
{
    Buffer line = {0};
    const char *key;
    json_t *value;

    begin_line(deployment, type, &line);
    json_object_foreach((json_t *)values, key, value)
    {
        add_pair(&line, key, json_string_value(value));
    }
    end_line(deployment, &line);
}

/* --- sending -------------------------------------------------------------------------------- */

/* "1-12$k15": whether it has it. The set's commas are escaped as those of any value. */
static bool has(const char *ranges, int64_t sequence)
{
    char *end;

    for (const char *at = ranges; at && *at;) {
        long long low = strtoll(at, &end, 10), high = low;
        if (end == at)
            return false;
        if (*end == '-')
            high = strtoll(end + 1, &end, 10);
        if (sequence >= low && sequence <= high)
            return true;
        at = end + (end[0] == '$' && end[1] == 'k' ? 2 : end[0] == ',' ? 1 : 0);
        if (at == end)
            return false;
    }
    return false;
}

static InaHttpFetch *ask(Deployment *deployment, const char *what, const char *body, size_t size,
                         void (*done)(void *userdata, const InaHttpResponse *response))
{
    char url[SERVER_URL_MAX + 512], header[HEADER_MAX];
    const char *const headers[] = {
        deployment_authorization(deployment->remembered.token, header, sizeof header),
        body ? "Content-Type: text/plain" : NULL,
        NULL,
    };
    const InaHttpFetchOptions options = {
        .url = url,
        .headers = headers,
        .body = body,
        .body_size = size,
        .timeout = TALK_TIMEOUT,
        .maximum = RANGES_MAX,
        .done = done,
        .userdata = deployment,
    };
    const char *base = servers_url(deployment);

    if (!base || !deployment->remembered.token)
        return NULL;
    (void)snprintf(url, sizeof url, "%s%s", base, what);
    return ina_http_fetch(deployment->component, &options, NULL);
}

static void asked(void *userdata, const InaHttpResponse *response)
{
    Deployment *deployment = userdata;
    Events *events = &deployment->events;
    const char *at = response->body;

    events->fetch = NULL;
    if (response->status != 200 || !at)
        return; /* asked again with the next event, or the next second */
    /* "target,log,ranges" */
    const char *comma = strchr(at, ','), *second = comma ? strchr(comma + 1, ',') : NULL;
    free(events->ranges);
    events->ranges = strdup(second ? second + 1 : "");
    events_send(deployment);
}

static void sent(void *userdata, const InaHttpResponse *response)
{
    Deployment *deployment = userdata;
    Events *events = &deployment->events;

    events->fetch = NULL;
    if (response->status == 200 || response->status == 204 || response->status == 400) {
        /* 400: a line it does not like; those it likes were kept, and the others would not be liked better. */
        events->acknowledged = events->sending;
        events_send(deployment);
        return;
    }
    events_ask_again(deployment);
    if (response->status == 401 || response->status == 403)
        talk_enrol_again(deployment);
}

void events_ask_again(Deployment *deployment)
{
    Events *events = &deployment->events;

    free(TAKE_PTR(events->ranges));
    events->acknowledged = 0;
}

static void send_missing(Deployment *deployment)
{
    Events *events = &deployment->events;
    Buffer body = {0};

    for (size_t i = 0; i < events->n && body.size < EVENTS_BODY_MAX; i++) {
        const Event *event = &events->list[i];
        if (event->sequence <= events->acknowledged)
            continue;
        events->sending = event->sequence;
        if (!has(events->ranges, event->sequence))
            buffer_print(&body, "%s\n", event->line);
    }
    if (body.size == 0 && !body.failed)
        events->acknowledged = events->last;
    else if (!body.failed)
        events->fetch = ask(deployment, "/auditlog/send", body.data, body.size, sent);
    buffer_free(&body);
}

void events_send(Deployment *deployment)
{
    Events *events = &deployment->events;
    char query[512];

    if (events->fetch || events->acknowledged >= events->last || events->n == 0)
        return;
    if (events->ranges) {
        send_missing(deployment);
        return;
    }
    (void)snprintf(query, sizeof query, "/auditlog/query?tid=%s&logid=%lld", deployment->target,
                   (long long)events->log);
    events->fetch = ask(deployment, query, NULL, 0, asked);
}

/* --- what changed ------------------------------------------------------------------------------ */

static void add_bundle(void *userdata, int64_t id, const char *name, const char *version, const char *state)
{
    char key[32];

    (void)snprintf(key, sizeof key, "%lld", (long long)id);
    (void)json_object_set_new(userdata, key,
                              json_pack("{s:s, s:s, s:s}", "name", name, "version", version, "state", state));
}

json_t *events_bundles(const Deployment *deployment)
{
    json_t *bundles = json_object();
    if (bundles)
        deployment->agent->each(deployment->deployer.self, add_bundle, bundles);
    return bundles;
}

static const char *text(const json_t *bundle, const char *key)
{
    const char *value = json_string_value(json_object_get(bundle, key));
    return value ? value : "";
}

static void compare_one(Deployment *deployment, const char *id, const json_t *old, const json_t *new)
{
    char location[300];

    (void)snprintf(location, sizeof location, "osgi-dp:%s", text(new, "name"));
    if (!old)
        events_add(deployment, EVENT_BUNDLE_INSTALLED, "id", id, "name", text(new, "name"), "version",
                   text(new, "version"), "location", location, NULL);
    else if (strcmp(text(old, "version"), text(new, "version")) != 0)
        events_add(deployment, EVENT_BUNDLE_UPDATED, "id", id, "version", text(new, "version"), "location", location,
                   NULL);
    else
        return;
    if (strcmp(text(new, "state"), "active") == 0)
        events_add(deployment, EVENT_BUNDLE_STARTED, "id", id, NULL);
}

void events_compare(Deployment *deployment, const json_t *before)
{
    AUTO_JSON json_t *after = events_bundles(deployment);
    const char *id;
    json_t *bundle;

    json_object_foreach((json_t *)before, id, bundle)
    {
        if (json_object_get(after, id))
            continue;
        events_add(deployment, EVENT_BUNDLE_STOPPED, "id", id, NULL);
        events_add(deployment, EVENT_BUNDLE_UNINSTALLED, "id", id, NULL);
    }
    json_object_foreach(after, id, bundle)
    {
        compare_one(deployment, id, json_object_get(before, id), bundle);
    }
}
