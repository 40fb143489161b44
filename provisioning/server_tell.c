/* server_tell.c - what changes, as events of the stream and as JSON; files as answers. */
#include "server.h"

#include "base/cleanup.h"
#include "base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define EXPIRE_US 5000000u
#define PIECE (128u * 1024u)

/* --- JSON -------------------------------------------------------------------------- */

static const char *store_name(StoreState state)
{
    return state == STORE_NEW ? "New" : state == STORE_UNAPPROVED ? "Unapproved" : "Approved";
}

static const char *provisioning_name(ProvisioningState state)
{
    static const char *const names[] = {"Idle", "InProgress", "OK", "Failed"};
    return names[state];
}

static json_t *health_json(const TargetHealth *health)
{
    if (health->time == 0)
        return json_null();
    return json_pack("{s:I, s:s, s:b, s:I, s:I, s:s?}", "time", (json_int_t)health->time, "version", health->version,
                     "ready", health->ready, "errors", (json_int_t)health->errors, "runningSeconds",
                     (json_int_t)(health->running_ms / 1000), "reason", health->reason);
}

static json_t *artifacts_of(const Server *server, const TargetView *view)
{
    json_t *list = json_array();
    const DeploymentVersion *version =
        view->current[0] ? targets_version(server->targets, view->id, view->current) : NULL;
    for (size_t i = 0; version && i < version->n_items; i++) {
        const PackageItem *item = &version->items[i];
        json_array_append_new(list, item->symbolic_name
                                        ? json_sprintf("artifact-Bundle-SymbolicName-%s-Bundle-Version-%s",
                                                       item->symbolic_name, item->version)
                                        : json_sprintf("artifact-filename-%s", item->name));
    }
    return list;
}

/* By the clock of those who read it, which may have been set since the server started. */
static int64_t seen_now(const Server *server, const TargetView *view)
{
    return view->seen > 0 ? view->seen + server_now() - targets_now(server->targets) : 0;
}

json_t *target_json(const Server *server, const TargetView *view)
{
    AUTO_JSON json_t *object = view->object ? object_json(view->object) : NULL;
    json_t *attributes = json_object_get(object, "attributes"), *tags = json_object_get(object, "tags");
    AUTO_JSON json_t *none = json_object();
    json_t *value = json_pack("{s:s, s:s, s:s, s:s, s:s, s:b, s:b}", "id", view->id, "registration",
                              view->registration == TARGET_REGISTERED ? "Registered" : "Unregistered", "store",
                              store_name(view->store), "provisioning", provisioning_name(view->provisioning),
                              "approval", view->store == STORE_UNAPPROVED ? "Unapproved" : "Approved", "autoApprove",
                              view->auto_approve, "legacy", view->legacy);
    json_t *rest = json_pack("{s:s, s:s, s:b, s:b, s:s?, s:I, s:O, s:O, s:O, s:o, s:o}", "current", view->current,
                             "installed", view->installed, "installedOk", view->installed_ok, "present", view->present,
                             "problem", view->problem, "seen", (json_int_t)seen_now(server, view), "properties",
                             view->properties ? (json_t *)view->properties : none, "attributes",
                             attributes ? attributes : none, "tags", tags ? tags : none, "artifacts",
                             artifacts_of(server, view), "health", health_json(&view->health));
    if (value && rest)
        json_object_update(value, rest);
    json_decref(rest);
    return value;
}

json_t *version_json(const DeploymentVersion *version)
{
    json_t *artifacts = json_array();
    for (size_t i = 0; i < version->n_items; i++) {
        const PackageItem *item = &version->items[i];
        json_array_append_new(artifacts, json_pack("{s:s, s:s, s:I, s:s?, s:s?}", "name", item->name, "sha256",
                                                   item->blob.digest, "size", (json_int_t)item->blob.size,
                                                   "symbolicName", item->symbolic_name, "version", item->version));
    }
    return json_pack("{s:s, s:s, s:I, s:I, s:s, s:I, s:I, s:s, s:o}", "target", version->target, "version",
                     version->version, "serial", (json_int_t)version->serial, "created", (json_int_t)version->created,
                     "author", version->author, "revision", (json_int_t)version->revision, "rollout",
                     (json_int_t)version->rollout, "content", version->content, "artifacts", artifacts);
}

json_t *event_json(const AuditEvent *event)
{
    json_t *properties = json_object();
    for (size_t i = 0; i < event->n_entries; i++)
        json_object_set_new(properties, event->entries[i].key,
                            event->entries[i].value ? json_string(event->entries[i].value) : json_null());
    return json_pack("{s:s, s:I, s:I, s:I, s:I, s:s, s:o}", "target", event->target, "log", (json_int_t)event->log,
                     "sequence", (json_int_t)event->sequence, "time", (json_int_t)event->time, "type",
                     (json_int_t)event->type, "name", audit_type_name(event->type), "properties", properties);
}

json_t *revision_json(const RevisionInfo *revision)
{
    return json_pack("{s:I, s:I, s:s, s:s, s:i, s:b}", "number", (json_int_t)revision->number, "time",
                     (json_int_t)revision->time, "author", revision->author, "message",
                     revision->message ? revision->message : "", "changes", (int)revision->changes, "software",
                     revision->software);
}

json_t *workspace_json(const Workspace *workspace)
{
    return json_pack("{s:s, s:I, s:s, s:b, s:b}", "id", workspace_id(workspace), "revision",
                     (json_int_t)workspace_revision(workspace), "owner", workspace_owner(workspace), "modified",
                     workspace_modified(workspace), "current", workspace_current(workspace));
}

/* --- events: to those who may ask for the same ------------------------------------ */

/* When the server ends, its parts go one after the other: nobody is told any more. */
static void tell(Server *server, const char *type, const char *key, uint32_t permissions, json_t *value)
{
    if (server->stream)
        stream_tell(server->stream, type, key, (StreamAudience){.permissions = permissions}, value);
    else
        json_decref(value);
}

void server_tell_workspace(Server *server, const Workspace *workspace)
{
    StreamAudience audience = {PERMIT(PERMIT_EDIT_USERS), workspace_owner(workspace)};
    if (server->stream)
        stream_tell(server->stream, "workspace", workspace_id(workspace), audience, workspace_json(workspace));
}

static void tell_newest(void *userdata, const RevisionInfo *revision)
{
    char key[32];
    snprintf(key, sizeof(key), "%lld", (long long)revision->number);
    tell(userdata, "revision", key, 0, revision_json(revision));
}

static void on_revision(void *userdata, const Model *before, const Model *after, int64_t revision)
{
    Server *server = userdata;
    repository_history(server->repository, 0, 1, tell_newest, server, NULL);
}

static void on_target(void *userdata, const char *id, bool gone)
{
    Server *server = userdata;
    TargetView view;
    bool there = !gone && targets_view(server->targets, id, &view);
    server_count_target(server, id, there ? &view : NULL);
    if (gone)
        tell(server, "target-gone", id, PERMIT(PERMIT_VIEW_TARGET), json_pack("{s:s}", "id", id));
    else if (there)
        tell(server, "target", id, PERMIT(PERMIT_VIEW_TARGET), target_json(server, &view));
}

static void on_version(void *userdata, const DeploymentVersion *version)
{
    Server *server = userdata;
    char key[TARGET_ID_MAX + 40];
    snprintf(key, sizeof(key), "%s %s", version->target, version->version);
    tell(server, "version", key, PERMIT(PERMIT_VIEW_TARGET), version_json(version));
    agent_waits_wake(server, version->target);
}

static void on_problem(void *userdata, const char *id, const char *text)
{
    (void)userdata;
    log_record(INA_LOG_WARNING, text, "target", id, NULL);
}

static void on_rollout(void *userdata, int64_t rollout)
{
    Server *server = userdata;
    char key[32];
    json_t *value = rollouts_get(server->rollouts, rollout);
    snprintf(key, sizeof(key), "%lld", (long long)rollout);
    if (value) {
        json_object_del(value, "targets"); /* each is told as a target */
        json_object_del(value, "history");
        json_object_del(value, "historyOmitted");
    }
    tell(server, "rollout", key, PERMIT(PERMIT_VIEW_TARGET), value);
}

static void on_rollout_problem(void *userdata, int64_t rollout, const char *text)
{
    char id[32];
    (void)userdata;
    snprintf(id, sizeof(id), "%lld", (long long)rollout);
    log_record(INA_LOG_WARNING, text, "rollout", id, NULL);
}

static void on_event(void *userdata, const AuditEvent *event)
{
    Server *server = userdata;
    char key[TARGET_ID_MAX + 48];
    snprintf(key, sizeof(key), "%s %lld %lld", event->target, (long long)event->log, (long long)event->sequence);
    tell(server, "audit", key, PERMIT(PERMIT_VIEW_LOG), event_json(event));
}

static void on_ending(void *userdata, const Workspace *workspace)
{
    ace_rest_forget(userdata, workspace_id(workspace));
}

static int on_expire(sd_event_source *source, uint64_t when, void *userdata)
{
    Server *server = userdata;
    repository_expire(server->repository, (int64_t)(when / 1000), on_ending, server);
    (void)sd_event_source_set_time_relative(source, EXPIRE_US);
    return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static void close_expire(void *userdata)
{
    sd_event_source_disable_unref(userdata);
}

int server_tell_open(Server *server, InaError *error)
{
    sd_event_source *source;
    stream_watch_readers(server->stream, server_reader_still, server);
    repository_watch(server->repository, on_revision, server);
    targets_watch(server->targets, on_target, server);
    targets_watch_problems(server->targets, on_problem, NULL);
    targets_watch_versions(server->targets, on_version, server);
    rollouts_watch(server->rollouts, on_rollout, server);
    rollouts_watch_problems(server->rollouts, on_rollout_problem, NULL);
    audit_watch(server->audit, on_event, server);
    int r = sd_event_add_time_relative(server->event, &source, CLOCK_MONOTONIC, EXPIRE_US, 0, on_expire, server);
    return r < 0 ? ina_error_errno(error, r, "event loop") : server_on_close(server, close_expire, source, error);
}

/* --- objects --------------------------------------------------------------------------- */

static int add_properties(InaProperties *properties, const json_t *map, InaError *error)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)map, key, value)
    {
        const InaValue text = {.type = INA_TYPE_STRING, .string = json_string_value(value)};
        int r = text.string ? ina_properties_set(properties, key, &text, error) : 0;
        if (r < 0)
            return r;
    }
    return 0;
}

int object_matches(const Object *object, const InaFilter *filter, bool *ret, InaError *error)
{
    *ret = true;
    if (!filter)
        return 0;
    AUTO_JSON json_t *value = object_json(object);
    InaProperties *properties = ina_properties_new();
    int r = value && properties ? 0 : ina_error_set(error, ENOMEM, "no memory");
    if (r >= 0)
        r = add_properties(properties, json_object_get(value, "tags"), error);
    if (r >= 0)
        r = add_properties(properties, json_object_get(value, "attributes"), error);
    if (r >= 0)
        *ret = ina_filter_match(filter, properties);
    ina_properties_free(properties);
    return r;
}

/* --- files -------------------------------------------------------------------------------- */

typedef struct Sending {
    InaHttpStream *stream;
    int fd;
    uint64_t at, end;
} Sending;

static void sending_free(void *userdata)
{
    Sending *sending = userdata;
    close(sending->fd);
    free(sending);
}

static void send_more(void *userdata)
{
    Sending *sending = userdata;
    char piece[PIECE];
    while (sending->at < sending->end) {
        uint64_t left = sending->end - sending->at;
        ssize_t n = pread(sending->fd, piece, left < PIECE ? (size_t)left : PIECE, (off_t)sending->at);
        if (n <= 0)
            break; /* the file is shorter than it was: the answer ends early, which its reader notices */
        if (ina_http_stream_write(sending->stream, piece, (size_t)n) == -ENOBUFS)
            return;
        sending->at += (uint64_t)n;
    }
    ina_http_stream_close(sending->stream);
    sending_free(sending);
}

/* "bytes=5-" and "bytes=5-9"; 1: a range, 0: none that is understood (all is sent), -1: beyond the end. */
static int read_range(const char *header, uint64_t size, uint64_t *ret_from, uint64_t *ret_end)
{
    char *end;
    if (!header || strncmp(header, "bytes=", 6) != 0 || header[6] < '0' || header[6] > '9')
        return 0;
    errno = 0;
    unsigned long long from = strtoull(header + 6, &end, 10), last = size - 1;
    if (errno || *end != '-')
        return 0;
    if (end[1] >= '0' && end[1] <= '9')
        last = strtoull(end + 1, &end, 10);
    else
        end++;
    if (errno || *end || (last < from && size > 0))
        return from >= size && !*end ? -1 : 0;
    if (from >= size)
        return -1;
    *ret_from = from;
    *ret_end = last < size - 1 ? last + 1 : size;
    return 1;
}

static void send_range(InaHttpRequest *request, int fd, uint64_t size, uint64_t from, uint64_t end)
{
    char range[96];
    Sending *sending = malloc(sizeof(*sending));
    if (!sending) {
        close(fd);
        server_fail_text(request, 503, ENOMEM, "no memory");
        return;
    }
    *sending = (Sending){.fd = fd, .at = from, .end = end};
    snprintf(range, sizeof(range), "bytes %llu-%llu/%llu", (unsigned long long)from, (unsigned long long)end - 1,
             (unsigned long long)size);
    ina_http_set_header(request, "Content-Range", range);
    sending->stream =
        ina_http_respond_stream(request, 206, "application/octet-stream", send_more, sending_free, sending);
    if (sending->stream)
        send_more(sending);
    else
        sending_free(sending);
}

void server_send_blob(Server *server, InaHttpRequest *request, const char *digest)
{
    InaError error = {0};
    uint64_t size, from = 0, end = 0;
    int fd;
    if (blobs_open_file(server->blobs, digest, &fd, &size, &error) < 0) {
        server_fail(request, 0, &error);
        return;
    }
    ina_http_set_header(request, "Accept-Ranges", "bytes");
    ina_http_set_header(request, "X-Content-Type-Options", "nosniff");
    int range = read_range(ina_http_header(request, "Range"), size, &from, &end);
    if (range > 0) {
        send_range(request, fd, size, from, end);
        return;
    }
    close(fd);
    if (range < 0) {
        char text[64];
        snprintf(text, sizeof(text), "bytes */%llu", (unsigned long long)size);
        ina_http_set_header(request, "Content-Range", text);
        server_fail_text(request, 416, EINVAL, "the range begins behind the end of the file, which has %llu bytes",
                         (unsigned long long)size);
        return;
    }
    AUTO_FREE char *path = blobs_path(server->blobs, digest);
    if (path)
        ina_http_respond_file(request, path);
    else
        server_fail_text(request, 503, ENOMEM, "no memory");
}
