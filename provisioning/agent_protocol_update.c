/* agent_protocol_update.c - /agent: new versions of the agent's own bundle.
 *
 * Every stored artifact that is a bundle called org.apache.ace.agent is offered
 * to every agent that asks; the agent takes the highest, and fetches the one
 * that it has, too, to go back to. */
#include "agent_protocol.h"
#include "framework/version.h"
#include <errno.h>
#include <string.h>

#define AGENT_BUNDLE "org.apache.ace.agent"

static int compare_updates(const void *a, const void *b)
{
    Version x = {0}, y = {0};

    (void)version_parse(((const AgentUpdate *)a)->version, &x, NULL);
    (void)version_parse(((const AgentUpdate *)b)->version, &y, NULL);
    return version_compare(&x, &y);
}

static void add_update(AgentProtocol *protocol, const Object *artifact)
{
    const char *name = object_attribute(artifact, "Bundle-SymbolicName");
    const char *version = object_attribute(artifact, "Bundle-Version"), *digest = object_attribute(artifact, "sha256");
    AgentUpdate update;
    Version parsed;

    if (!name || strcmp(name, AGENT_BUNDLE) != 0 || !version || !digest || !blob_digest_valid(digest) ||
        strlen(version) >= sizeof update.version || version_parse(version, &parsed, NULL) < 0 ||
        protocol->n_updates >= AGENT_UPDATES_MAX)
        return;
    strcpy(update.version, version);
    strcpy(update.digest, digest);
    protocol->updates[protocol->n_updates++] = update;
}

/* Asked at each poll of each agent, so kept until the repository changes. */
static void read_updates(AgentProtocol *protocol)
{
    const Repository *repository = protocol->server->repository;
    int64_t revision = repository_head(repository);

    if (protocol->updates_revision == revision)
        return;
    const Model *model = repository_model(repository);
    protocol->n_updates = 0;
    for (size_t i = 0, n = model_count(model, OBJECT_ARTIFACT); i < n; i++)
        add_update(protocol, model_at(model, OBJECT_ARTIFACT, i));
    qsort(protocol->updates, protocol->n_updates, sizeof *protocol->updates, compare_updates);
    protocol->updates_revision = revision;
}

static void answer_list(const AgentProtocol *protocol, InaHttpRequest *request)
{
    Buffer text = {0};

    for (size_t i = 0; i < protocol->n_updates; i++)
        buffer_print(&text, "%s\n", protocol->updates[i].version);
    if (text.failed)
        ina_http_respond_text(request, 500, "out of memory\n");
    else
        ina_http_respond(request, 200, "text/plain", text.data ? text.data : "", text.size);
    buffer_free(&text);
}

static void answer_bundle(AgentProtocol *protocol, InaHttpRequest *request, const char *version)
{
    SendSource source = {.type = "application/octet-stream"};
    const AgentUpdate *found = NULL;
    InaError error = {0};

    for (size_t i = 0; i < protocol->n_updates; i++)
        if (strcmp(protocol->updates[i].version, version) == 0)
            found = &protocol->updates[i];
    if (!found) {
        ina_http_respond_text(request, 404, "there is no such version of the agent\n");
        return;
    }
    if (protocol->downloads >= SERVER_POLLS_MAX) {
        send_overload(request);
        return;
    }
    if (blobs_open_file(protocol->server->blobs, found->digest, &source.fd, &source.size, &error) < 0) {
        server_fail(request, 500, &error);
        return;
    }
    send_source(protocol, request, &source, NULL, NULL);
}

/* /agent/TARGET/org.apache.ace.agent/versions[/[VERSION]] */
void serve_update(Server *server, InaHttpRequest *request)
{
    static const char middle[] = "/" AGENT_BUNDLE "/versions";
    AgentProtocol *protocol = server->protocol;
    char target[TARGET_ID_MAX + 1];

    if (!send_reading(request))
        return;
    const char *path = ina_http_path(request) + strlen("/agent");
    size_t length = *path == '/' ? strcspn(path + 1, "/") : 0;
    if (length == 0 || length > TARGET_ID_MAX || strncmp(path + 1 + length, middle, sizeof middle - 1) != 0) {
        ina_http_respond_text(request, 400, "right would be /agent/TARGET%s[/VERSION]\n", middle);
        return;
    }
    memcpy(target, path + 1, length);
    target[length] = '\0';
    const char *rest = path + 1 + length + sizeof middle - 1;
    if (!agent_target_valid(target) || (*rest != '\0' && *rest != '/') || (*rest && strchr(rest + 1, '/'))) {
        ina_http_respond_text(request, 400, "right would be /agent/TARGET%s[/VERSION]\n", middle);
        return;
    }
    if (!server_authorize_target(server, request, target))
        return;
    read_updates(protocol);
    if (rest[0] == '\0' || rest[1] == '\0')
        answer_list(protocol, request);
    else
        answer_bundle(protocol, request, rest + 1);
}
