/* agent_protocol.c - /deployment, as ACE's DeploymentServlet has it. */
#include "agent_protocol.h"
#include "base/cleanup.h"
#include "framework/version.h"
#include <errno.h>
#include <string.h>

#define PACKAGE_TYPE "application/vnd.osgi.dp"

bool agent_target_valid(const char *id)
{
    size_t length = strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");
    return length > 0 && length <= TARGET_ID_MAX && id[length] == '\0' && id[0] != '.';
}

/* --- paths --------------------------------------------------------------------- */

typedef struct DeploymentPath {
    char target[TARGET_ID_MAX + 1];
    char version[32]; /* "": the list is asked for */
} DeploymentPath;

static bool take_segment(const char **path, char *ret, size_t size)
{
    if (**path != '/')
        return false;
    size_t length = strcspn(++*path, "/");
    if (length >= size)
        return false;
    memcpy(ret, *path, length);
    ret[length] = '\0';
    *path += length;
    return true;
}

/* /deployment/TARGET/versions[/[VERSION]] */
static bool parse_path(const char *path, DeploymentPath *ret)
{
    char word[16];

    *ret = (DeploymentPath){0};
    if (!take_segment(&path, word, sizeof word) || !take_segment(&path, ret->target, sizeof ret->target) ||
        !agent_target_valid(ret->target) || !take_segment(&path, word, sizeof word) || strcmp(word, "versions") != 0)
        return false;
    return *path == '\0' || (take_segment(&path, ret->version, sizeof ret->version) && *path == '\0');
}

/* --- the list -------------------------------------------------------------------- */

static void answer_list(Server *server, InaHttpRequest *request, const char *target)
{
    const DeploymentVersion *versions;
    Buffer text = {0};
    InaError error = {0};

    /* Registration from polls: Celix' events are sent once only, and lost when nobody listens. */
    int r = targets_seen(server->targets, target, &error);
    if (r < 0) {
        server_fail(request, r == -EINVAL ? 400 : 0, &error);
        return;
    }
    agent_polled(server->protocol, target, !ina_http_header(request, "User-Agent"));
    size_t n = targets_versions(server->targets, target, &versions);
    for (size_t i = 0; i < n; i++)
        buffer_print(&text, "%s\n", versions[i].version);
    if (text.failed)
        ina_http_respond_text(request, 500, "out of memory\n");
    else
        ina_http_respond(request, 200, "text/plain", text.data ? text.data : "", text.size);
    buffer_free(&text);
}

/* --- packages ---------------------------------------------------------------------- */

/* The version to make a fix package from: one that is kept, and older; else NULL. */
static const char *base_of(Server *server, InaHttpRequest *request, const DeploymentPath *path)
{
    const char *current = ina_http_query(request, "current");
    Version from, to;

    if (!current || strlen(current) >= sizeof path->version || version_parse(current, &from, NULL) < 0 ||
        version_parse(path->version, &to, NULL) < 0 || version_compare(&from, &to) >= 0)
        return NULL;
    return targets_version(server->targets, path->target, current) ? current : NULL;
}

/* ACE: X-ACE-DPSize, the sum of sizes and a tenth more. */
static void set_size(InaHttpRequest *request, const Package *package)
{
    char text[24];
    unsigned long long content = package_content(package);

    (void)snprintf(text, sizeof text, "%llu", content + content / 10);
    ina_http_set_header(request, "X-ACE-DPSize", text);
}

static void answer_package(Server *server, InaHttpRequest *request, const DeploymentPath *path)
{
    AgentProtocol *protocol = server->protocol;
    bool head = strcmp(ina_http_method(request), "HEAD") == 0;
    Package *package;
    InaError error = {0};

    if (ina_http_query(request, "processor")) {
        ina_http_respond_text(request, 500, "there are no post-processors here\n");
        return;
    }
    if (!targets_version(server->targets, path->target, path->version)) {
        ina_http_respond_text(request, 404, "target %s has no version %s\n", path->target, path->version);
        return;
    }
    if (!head && protocol->downloads >= SERVER_POLLS_MAX) {
        agent_refused(protocol, path->target);
        send_overload(request);
        return;
    }
    int r =
        targets_package(server->targets, path->target, path->version, base_of(server, request, path), &package, &error);
    if (r < 0) {
        agent_refused(protocol, path->target);
        server_fail(request, 500, &error);
        return;
    }
    set_size(request, package);
    if (!head)
        agent_offered(protocol, path->target, path->version);
    const SendSource source = {package, -1, package_size(package), PACKAGE_TYPE};
    send_source(protocol, request, &source, path->target, path->version);
}

static void serve_deployment(Server *server, InaHttpRequest *request)
{
    DeploymentPath path;

    if (!send_reading(request))
        return;
    if (!parse_path(ina_http_path(request), &path)) {
        ina_http_respond_text(request, 400, "right would be /deployment/TARGET/versions[/VERSION]\n");
        return;
    }
    if (!server_authorize_target(server, request, path.target))
        return;
    if (path.version[0] == '\0')
        answer_list(server, request, path.target);
    else
        answer_package(server, request, &path);
}

/* --- opening -------------------------------------------------------------------------- */

static void close_protocol(void *userdata)
{
    AgentProtocol *protocol = userdata;
    Server *server = protocol->server;

    /* Cuts downloads while what they speak of is still there. */
    http_server_unhandle(server->agents, "/deployment");
    http_server_unhandle(server->agents, "/auditlog");
    http_server_unhandle(server->agents, "/agent");
    agent_states_free(protocol);
    free(protocol);
    server->protocol = NULL;
}

int agent_protocol_open(Server *server, InaError *error)
{
    AgentProtocol *protocol = calloc(1, sizeof *protocol);

    if (!protocol || !(protocol->states = map_new())) {
        free(protocol);
        return ina_error_set(error, ENOMEM, "out of memory");
    }
    protocol->server = server;
    protocol->sweep = AGENT_STATES_SWEPT;
    protocol->database_max = AUDIT_DATABASE_MAX;
    protocol->updates_revision = -1;
    server->protocol = protocol;
    int r = server_on_close(server, close_protocol, protocol, error);
    if (r < 0) {
        close_protocol(protocol);
        return r;
    }
    audit_watch(server->audit, agent_event, protocol);
    r = server_handle(server, SERVER_AGENTS, "/deployment", serve_deployment, error);
    if (r == 0)
        r = server_handle(server, SERVER_AGENTS, "/auditlog", serve_audit, error);
    if (r == 0)
        r = server_handle(server, SERVER_AGENTS, "/agent", serve_update, error);
    return r;
}
