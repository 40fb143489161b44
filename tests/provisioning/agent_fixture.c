/* agent_fixture.c - see agent_fixture.h. */
#include "agent_fixture.h"
#include "base/files.h"
#include "tests/framework/zips.h"
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* What the fakes below, which get only their part, belong to. */
static Agents *current;

/* --- the server, as far as the protocol asks it ------------------------------------ */

int64_t targets_now(const Targets *targets)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t targets_stamp(const Targets *targets)
{
    return targets_now(targets);
}

int server_on_close(Server *server, void (*close)(void *userdata), void *userdata, InaError *error)
{
    current->close = close;
    current->closing = userdata;
    return 0;
}

static void call_handler(void *userdata, InaHttpRequest *request)
{
    ServerHandler handle = NULL;

    memcpy(&handle, &userdata, sizeof handle);
    handle(&current->server, request);
}

int server_handle(Server *server, unsigned where, const char *prefix, ServerHandler handle, InaError *error)
{
    void *userdata;

    assert_int_equal(where, SERVER_AGENTS);
    memcpy(&userdata, &handle, sizeof userdata);
    return http_server_handle(server->agents, prefix, call_handler, userdata, error);
}

bool server_authorize(Server *server, InaHttpRequest *request, Permission permission, Account *ret)
{
    assert_int_equal(permission, PERMIT_VIEW_TARGET);
    if (!current->forbidden)
        return true;
    ina_http_respond_text(request, 401, "who are you?\n");
    return false;
}

bool server_authorize_target(Server *server, InaHttpRequest *request, const char *target)
{
    if (!current->forbidden || strcmp(target, current->forbidden) != 0)
        return true;
    ina_http_respond_text(request, 403, "you are not %s\n", target);
    return false;
}

void server_fail(InaHttpRequest *request, int status, const InaError *error)
{
    ina_http_respond_text(request, status ? status : 500, "%s\n", error->message);
}

/* --- targets ------------------------------------------------------------------------- */

int targets_seen(Targets *targets, const char *id, InaError *error)
{
    buffer_print(&current->told, "seen %s\n", id);
    return 0;
}

int targets_properties(Targets *targets, const char *id, const json_t *properties, InaError *error)
{
    char *text = json_dumps(properties, JSON_COMPACT | JSON_SORT_KEYS);

    buffer_print(&current->told, "properties %s %s\n", id, text);
    free(text);
    return 0;
}

void targets_offered(Targets *targets, const char *id, const char *version)
{
    buffer_print(&current->told, "offered %s %s\n", id, version);
}

void targets_installed(Targets *targets, const char *id, const char *version, bool success, const char *reason)
{
    buffer_print(&current->told, "%s %s %s%s%s\n", success ? "installed" : "failed", id, version, reason ? ": " : "",
                 reason ? reason : "");
    if (success)
        (void)snprintf(current->installed, sizeof current->installed, "%s", version);
}

void targets_count_on(Targets *targets, const char *id, const char *version)
{
    buffer_print(&current->told, "counts on %s %s\n", id, version);
}

int targets_repeat(Targets *targets, const char *id, const char *version, InaError *error)
{
    buffer_print(&current->told, "repeated %s %s\n", id, version);
    return current->exhausted ? -EBUSY : 0;
}

void targets_health(Targets *targets, const char *id, const TargetHealth *health)
{
    buffer_print(&current->told, "health %s %s %s errors=%lld%s%s\n", id, health->version,
                 health->ready ? "ready" : "not ready", (long long)health->errors, health->reason ? ": " : "",
                 health->reason ? health->reason : "");
    assert_true(health->running_ms >= 0);
}

bool targets_view(Targets *targets, const char *id, TargetView *ret)
{
    if (strcmp(id, "t") != 0 && strcmp(id, "jt-1") != 0 && strcmp(id, "celix-1") != 0)
        return false;
    *ret = (TargetView){.id = id, .legacy = !current->modern, .installed_ok = current->installed[0] != '\0'};
    (void)snprintf(ret->installed, sizeof ret->installed, "%s", current->installed);
    if (current->n_versions > 0)
        strcpy(ret->current, current->versions[current->n_versions - 1].version);
    return true;
}

static bool has_versions(const char *id)
{
    return strcmp(id, "t") == 0 || strcmp(id, "jt-1") == 0 || strcmp(id, "celix-1") == 0;
}

size_t targets_versions(Targets *targets, const char *id, const DeploymentVersion **ret)
{
    *ret = current->versions;
    return has_versions(id) ? current->n_versions : 0;
}

const DeploymentVersion *targets_version(Targets *targets, const char *id, const char *version)
{
    for (size_t i = 0; has_versions(id) && i < current->n_versions; i++)
        if (strcmp(current->versions[i].version, version) == 0)
            return &current->versions[i];
    return NULL;
}

int targets_package(Targets *targets, const char *id, const char *version, const char *from, Package **ret,
                    InaError *error)
{
    const DeploymentVersion *wanted = targets_version(targets, id, version);
    PackageItem items[BUNDLES_MAX];

    for (size_t i = 0; i < wanted->n_items; i++) {
        items[i] = wanted->items[i];
        items[i].missing = from && i == 0;
    }
    const PackageSpec spec = {
        .target = id, .version = version, .from = from, .items = items, .n_items = wanted->n_items};
    return package_new(&spec, current->server.blobs, ret, error);
}

/* --- life ------------------------------------------------------------------------------ */

static void open_protocol(Agents *agents)
{
    InaError error = {0};
    Server *server = &agents->server;
    char *path = path_join(agents->folder, "database");

    server->agents = agents->http.server;
    if (database_open(path, &server->database, &error) < 0 || blobs_open(agents->folder, &server->blobs, &error) < 0 ||
        repository_open(server->database, &server->repository, &error) < 0 ||
        audit_open(server->database, &server->audit, &error) < 0 || agent_protocol_open(server, &error) < 0)
        fail_msg("%s", error.message);
    free(path);
}

static void close_protocol(Agents *agents)
{
    Server *server = &agents->server;

    agents->close(agents->closing);
    audit_close(server->audit);
    repository_close(server->repository);
    blobs_close(server->blobs);
    database_close(server->database);
}

void agents_restart(Agents *agents)
{
    close_protocol(agents);
    open_protocol(agents);
}

int agents_set_up(void **state)
{
    Agents *agents = calloc(1, sizeof *agents);

    current = agents;
    agents->folder = temporary_folder();
    fixture_start(&agents->http, NULL);
    open_protocol(agents);
    *state = agents;
    return 0;
}

int agents_tear_down(void **state)
{
    Agents *agents = *state;

    close_protocol(agents);
    fixture_stop(&agents->http);
    folder_remove(agents->folder, NULL);
    buffer_free(&agents->told);
    free(agents->folder);
    free(agents);
    current = NULL;
    return 0;
}

PackageItem agents_bundle(Agents *agents, const char *file, const char *name, const char *version, const void *data,
                          size_t size)
{
    PackageItem item = {.name = file, .symbolic_name = name, .version = version};

    assert_int_equal(blobs_put(agents->server.blobs, data, size, &item.blob, NULL), 0);
    return item;
}

void agents_version(Agents *agents, const char *version, size_t n_items)
{
    DeploymentVersion *added = &agents->versions[agents->n_versions++];

    *added = (DeploymentVersion){.items = agents->items, .n_items = n_items};
    strcpy(added->version, version);
}

const char *agents_told(Agents *agents)
{
    static char text[65536];

    (void)snprintf(text, sizeof text, "%s", agents->told.data && agents->told.size > 0 ? agents->told.data : "");
    buffer_clear(&agents->told);
    return text;
}

/* --- the client --------------------------------------------------------------------------- */

static void join_chunks(Reply *reply)
{
    char *out = reply->body, *at = reply->body, *end = reply->body + reply->size;

    for (;;) {
        char *line = memmem(at, (size_t)(end - at), "\r\n", 2);
        if (!line)
            break;
        size_t size = strtoul(at, NULL, 16);
        at = line + 2;
        if (size == 0) {
            reply->whole = true;
            break;
        }
        if ((size_t)(end - at) < size)
            size = (size_t)(end - at);
        memmove(out, at, size);
        out += size;
        at += size;
        if (end - at < 2)
            break;
        at += 2;
    }
    reply->size = (size_t)(out - reply->body);
}

Reply read_reply(Agents *agents, int fd)
{
    Buffer in = {0};
    Reply reply = {0};
    uint64_t limit = fixture_now() + PATIENCE;

    for (;;) {
        char *room = buffer_reserve(&in, 65536);
        ssize_t n = recv(fd, room, 65536, MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
            break;
        if (n > 0)
            in.size += (size_t)n;
        else
            sd_event_run(agents->http.event, 5000);
        if (fixture_now() > limit)
            fail_msg("no whole answer came");
    }
    char *end = memmem(in.data, in.size, "\r\n\r\n", 4);
    if (!end) {
        buffer_free(&in);
        return reply;
    }
    size_t head = (size_t)(end - in.data) + 4;
    reply.header = strndup(in.data, head - 2);
    reply.status = (int)strtol(in.data + 9, NULL, 10);
    reply.size = in.size - head;
    reply.body = malloc(reply.size + 1);
    memcpy(reply.body, in.data + head, reply.size);
    buffer_free(&in);
    if (*header_of(&reply, "Transfer-Encoding"))
        join_chunks(&reply);
    else
        reply.whole = reply.size == strtoul(header_of(&reply, "Content-Length"), NULL, 10);
    reply.body[reply.size] = '\0';
    return reply;
}

static Reply exchange(Agents *agents, const char *text)
{
    int fd = bare_connect(agents->http.address);

    /* More than the kernel buffers needs the server to run meanwhile; it may refuse it and close. */
    for (size_t left = strlen(text); left > 0;) {
        ssize_t n = send(fd, text, left, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno != EAGAIN)
            break;
        if (n < 0)
            sd_event_run(agents->http.event, 5000);
        text += n > 0 ? n : 0;
        left -= n > 0 ? (size_t)n : 0;
    }
    Reply reply = read_reply(agents, fd);
    close(fd);
    return reply;
}

Reply ask(Agents *agents, const char *line, const char *headers)
{
    char *text;

    assert_true(asprintf(&text, "%s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n%s\r\n", line, headers ? headers : "") >
                0);
    Reply reply = exchange(agents, text);
    free(text);
    return reply;
}

Reply post(Agents *agents, const char *path, const char *body)
{
    char *text;

    assert_true(asprintf(&text, "POST %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s",
                         path, strlen(body), body) > 0);
    Reply reply = exchange(agents, text);
    free(text);
    return reply;
}

void reply_free(Reply *reply)
{
    free(reply->header);
    free(reply->body);
    *reply = (Reply){0};
}

const char *header_of(const Reply *reply, const char *name)
{
    static char value[256];
    char key[80];

    (void)snprintf(key, sizeof key, "\r\n%s: ", name);
    const char *found = reply->header ? strcasestr(reply->header, key) : NULL;
    if (!found)
        return "";
    found += strlen(key);
    (void)snprintf(value, sizeof value, "%.*s", (int)strcspn(found, "\r"), found);
    return value;
}

void assert_reply(Agents *agents, const char *line, int status, const char *body)
{
    Reply reply = ask(agents, line, NULL);

    if (reply.status != status)
        fail_msg("%s: %d %s", line, reply.status, reply.body ? reply.body : "");
    if (body)
        assert_string_equal(reply.body, body);
    reply_free(&reply);
}
