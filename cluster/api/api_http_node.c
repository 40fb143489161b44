/* api_http_node.c - logs and exec: the node of a pod answers, its bytes are
 * passed on, no faster than the slower side takes them. */
#include "api_http_internal.h"

#include "base/cleanup.h"
#include "base/http_tunnel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define NODE_PORT 10250
#define NODE_TIMEOUT (10 * UINT64_C(1000000000)) /* ns */
#define ERROR_BODY_MAX (16u * 1024u)
#define PASSES_MAX 512u

struct ApiHttpPass {
    ApiHttp *http;
    ApiHttpPass *previous, *next;
    InaHttpRequest *request; /* not answered yet */
    bool left;               /* its client has, meanwhile */
    char *url;
    bool upgrade;
    HttpDial *dial;
    HttpTunnel *node;
    int status; /* of the node's answer, when it is an error: `text` is its body */
    Buffer text;
    InaHttpStream *stream; /* a log */
    HttpTunnel *client;    /* exec */
    char protocol[128];
};

static void pass_free(ApiHttpPass *pass)
{
    if (pass->previous)
        pass->previous->next = pass->next;
    else if (pass->http->passes == pass)
        pass->http->passes = pass->next;
    if (pass->next)
        pass->next->previous = pass->previous;
    pass->http->n_passes--;
    http_dial_cancel(pass->dial);
    http_tunnel_close(pass->node);
    http_tunnel_close(pass->client);
    ina_http_stream_close(pass->stream);
    buffer_free(&pass->text);
    free(pass->url);
    free(pass);
}

/* --- what the node says instead --------------------------------------------------------------------- */

/* As kube-apiserver words a kubelet's refusal. */
static json_t *node_status(int status, const char *text)
{
    if (status == 400)
        return kube_status_bad_request("%s", text);
    if (status == 404)
        return kube_status_failure(404, "NotFound", text);
    return kube_status_internal(text);
}

static void refuse(ApiHttpPass *pass, json_t *status)
{
    InaHttpRequest *request = pass->request;

    pass->request = NULL;
    pass_free(pass);
    api_respond_status(request, status);
}

static void refuse_unreachable(ApiHttpPass *pass, const char *why)
{
    AUTO_FREE char *message = NULL;

    if (asprintf(&message, "Get \"%s\": %s", pass->url, why) < 0)
        message = NULL;
    refuse(pass, kube_status_internal(message ? message : why));
}

static void on_error_text(void *userdata, const void *data, size_t size)
{
    ApiHttpPass *pass = userdata;

    if (pass->text.size + size <= ERROR_BODY_MAX)
        buffer_append(&pass->text, data, size);
}

static void on_error_end(void *userdata, const InaError *error)
{
    ApiHttpPass *pass = userdata;
    size_t size = pass->text.failed ? 0 : pass->text.size;

    while (size > 0 && pass->text.data[size - 1] == '\n')
        pass->text.data[--size] = '\0';
    refuse(pass, node_status(pass->status, size > 0 ? pass->text.data : "the node gave no reason"));
}

/* --- logs: the node's body into the answer -------------------------------------------------------------- */

static void on_log(void *userdata, const void *data, size_t size)
{
    ApiHttpPass *pass = userdata;

    if (ina_http_stream_write(pass->stream, data, size) != -ENOBUFS)
        return;
    /* The stream takes it once it is drained. */
    buffer_append(&pass->text, data, size);
    http_tunnel_hold(pass->node, true);
}

static void on_log_end(void *userdata, const InaError *error)
{
    ApiHttpPass *pass = userdata;

    pass->node = http_tunnel_close(pass->node);
    if (pass->text.size == 0)
        pass_free(pass);
}

static void on_log_drained(void *userdata)
{
    ApiHttpPass *pass = userdata;

    if (pass->text.size > 0 && ina_http_stream_write(pass->stream, pass->text.data, pass->text.size) < 0)
        return;
    buffer_clear(&pass->text);
    if (pass->node)
        http_tunnel_hold(pass->node, false);
    else
        pass_free(pass);
}

static void on_log_closed(void *userdata)
{
    ApiHttpPass *pass = userdata;

    pass->stream = NULL;
    pass_free(pass);
}

/* --- exec: bytes both ways --------------------------------------------------------------------------------- */

static void relay(HttpTunnel *from, HttpTunnel *to, const void *data, size_t size)
{
    (void)http_tunnel_write(to, data, size); /* what is read at once is far less than what may wait */
    if (http_tunnel_waiting(to) > HTTP_TUNNEL_MAX) {
        (void)http_tunnel_write(to, "", 0);
        http_tunnel_hold(from, true);
    }
}

static void from_node(void *userdata, const void *data, size_t size)
{
    ApiHttpPass *pass = userdata;

    relay(pass->node, pass->client, data, size);
}

static void from_client(void *userdata, const void *data, size_t size)
{
    ApiHttpPass *pass = userdata;

    relay(pass->client, pass->node, data, size);
}

static void node_drained(void *userdata)
{
    http_tunnel_hold(((ApiHttpPass *)userdata)->client, false);
}

static void client_drained(void *userdata)
{
    http_tunnel_hold(((ApiHttpPass *)userdata)->node, false);
}

static void on_end(void *userdata, const InaError *error)
{
    pass_free(userdata);
}

static void on_opened(void *userdata, HttpTunnel *tunnel)
{
    ApiHttpPass *pass = userdata;
    const HttpTunnelEvents events = {from_node, node_drained, on_end, pass};

    pass->client = tunnel;
    if (tunnel)
        http_tunnel_set_events(pass->node, &events);
    else
        pass_free(pass);
}

/* --- the node's answer ---------------------------------------------------------------------------------------- */

static void begin_exec(ApiHttpPass *pass, const HttpDialAnswer *answer)
{
    static const char *const names[] = {"Sec-WebSocket-Accept", "Sec-WebSocket-Protocol"};
    const HttpTunnelEvents events = {from_client, client_drained, on_end, pass};
    InaHttpRequest *request = pass->request;
    char value[256];

    for (size_t i = 0; i < 2; i++)
        if (http_dial_header(answer, names[i], value, sizeof value))
            ina_http_set_header(request, names[i], value);
    pass->request = NULL;
    http_respond_upgrade(request, "websocket", &events, on_opened);
}

static void begin_log(ApiHttpPass *pass)
{
    const HttpTunnelEvents events = {on_log, NULL, on_log_end, pass};
    InaHttpRequest *request = pass->request;

    ina_http_set_header(request, "Cache-Control", "no-cache, private");
    pass->request = NULL;
    pass->stream = ina_http_respond_stream(request, 200, "text/plain", on_log_drained, on_log_closed, pass);
    if (pass->stream)
        http_tunnel_set_events(pass->node, &events);
    else
        pass_free(pass);
}

static void on_answered(void *userdata, const HttpDialAnswer *answer)
{
    ApiHttpPass *pass = userdata;
    const HttpTunnelEvents events = {on_error_text, NULL, on_error_end, pass};

    pass->dial = NULL;
    pass->node = answer->tunnel;
    pass->status = answer->status;
    if (answer->error.code)
        refuse_unreachable(pass, answer->error.message);
    else if (pass->left)
        refuse(pass, kube_status_internal("the client left"));
    else if (pass->upgrade && answer->status == 101)
        begin_exec(pass, answer);
    else if (!pass->upgrade && answer->status == 200)
        begin_log(pass);
    else
        http_tunnel_set_events(pass->node, &events);
}

static void on_left(void *userdata)
{
    ((ApiHttpPass *)userdata)->left = true;
}

/* --- where to ------------------------------------------------------------------------------------------------------
 */

static void append_escaped(Buffer *out, const char *text)
{
    for (; *text; text++)
        buffer_print(out,
                     (*text >= '0' && *text <= '9') || (*text >= 'A' && *text <= 'Z') ||
                             (*text >= 'a' && *text <= 'z') || strchr("-._~", *text)
                         ? "%c"
                         : "%%%02X",
                     (unsigned char)*text);
}

/* All arguments but the container, which is in the path; parameters of logs have other names there. */
static bool append_argument(void *userdata, const char *name, const char *value)
{
    Buffer *out = userdata;

    if (strcmp(name, "container") == 0 || strcmp(name, "pretty") == 0)
        return true;
    buffer_append(out, strchr(out->data, '?') ? "&" : "?", 1);
    append_escaped(out, name);
    buffer_append(out, "=", 1);
    append_escaped(out, value);
    return true;
}

/* "https://127.17.8.31:10250"; false: the node does not say. */
static bool node_address(const ApiHttp *http, const char *name, Buffer *out)
{
    const json_t *node = store_get(http->store, "nodes", NULL, name), *address;
    size_t i;

    json_array_foreach(kube_get(node, "status.addresses"), i, address)
    {
        if (strcmp(kube_string(address, "type"), "InternalIP") != 0)
            continue;
        buffer_print(out, "https://%s:%lld", kube_string(address, "address"),
                     (long long)kube_integer(node, "status.daemonEndpoints.kubeletEndpoint.Port", NODE_PORT));
        return !out->failed;
    }
    return false;
}

static bool list_names(const json_t *containers, const char *wanted, Buffer *names)
{
    const json_t *container;
    size_t i;
    bool found = false;

    json_array_foreach(containers, i, container)
    {
        buffer_print(names, "%s%s", names->size ? " " : "", kube_string(container, "name"));
        found |= strcmp(kube_string(container, "name"), wanted) == 0;
    }
    return found;
}

/* NULL: `ret` is the container; else the Status. */
static json_t *find_container(const json_t *pod, const char *wanted, const char **ret)
{
    const json_t *containers = kube_get(pod, "spec.containers"), *initial = kube_get(pod, "spec.initContainers");
    Buffer names = {0}, initial_names = {0};
    json_t *status = NULL;

    bool found = list_names(containers, wanted, &names);
    found |= list_names(initial, wanted, &initial_names);
    *ret = wanted;
    if (*wanted == '\0' && json_array_size(containers) == 1)
        *ret = kube_string(json_array_get(containers, 0), "name");
    else if (*wanted == '\0' && initial_names.size > 0)
        status = kube_status_bad_request("a container name must be specified for pod %s, choose one of: [%s %s]",
                                         kube_name(pod), initial_names.data, names.data ? names.data : "");
    else if (*wanted == '\0')
        status = kube_status_bad_request("a container name must be specified for pod %s, choose one of: [%s]",
                                         kube_name(pod), names.data ? names.data : "");
    else if (!found)
        status = kube_status_bad_request("container %s is not valid for pod %s", wanted, kube_name(pod));
    buffer_free(&names);
    buffer_free(&initial_names);
    return status;
}

static bool asks_for_websocket(const InaHttpRequest *request)
{
    const char *upgrade = ina_http_header(request, "Upgrade");

    return upgrade && strcasecmp(upgrade, "websocket") == 0;
}

static json_t *make_url(const ApiHttp *http, const InaHttpRequest *request, const ApiTarget *target, bool log,
                        char **ret)
{
    const json_t *pod = store_get(http->store, "pods", target->namespace, target->name);
    const char *wanted = ina_http_query(request, "container"), *container;
    Buffer url = {0};

    if (!pod)
        return kube_status_not_found("", "pods", target->name);
    json_t *status = find_container(pod, wanted ? wanted : "", &container);
    if (status)
        return status;
    const char *node = kube_string(pod, "spec.nodeName");
    if (*node == '\0')
        return log ? NULL : kube_status_bad_request("pod %s does not have a host assigned", target->name);
    if (!log && !asks_for_websocket(request))
        return kube_status_bad_request("exec works over WebSocket here, not over SPDY: kubectl 1.31 or later uses it, "
                                       "client libraries do, and so does `inaetics exec`");
    if (!node_address(http, node, &url)) {
        buffer_free(&url);
        AUTO_FREE char *message = NULL;
        if (asprintf(&message, "no preferred addresses found for node \"%s\"", node) < 0)
            message = NULL;
        return kube_status_internal(message ? message : "no address");
    }
    buffer_print(&url, "/%s/%s/%s/", log ? "containerLogs" : "exec", target->namespace, target->name);
    append_escaped(&url, container);
    http_request_each(request, NULL, append_argument, &url);
    if (url.failed) {
        buffer_free(&url);
        return kube_status_internal("out of memory");
    }
    *ret = url.data;
    return NULL;
}

/* --- beginning
 * --------------------------------------------------------------------------------------------------------- */

static bool is_log(const ApiTarget *target)
{
    return strcmp(target->subresource, "log") == 0;
}

bool api_is_passed(const ApiTarget *target)
{
    return strcmp(target->resource->key, "pods") == 0 && (is_log(target) || strcmp(target->subresource, "exec") == 0);
}

#define HEADERS_MAX 4u

static json_t *dial(ApiHttpPass *pass, const InaHttpRequest *request)
{
    static const char *const names[] = {"Sec-WebSocket-Key", "Sec-WebSocket-Version", "Sec-WebSocket-Protocol"};
    char lines[3][512];
    const char *headers[HEADERS_MAX + 2] = {0};
    size_t n = 0;
    InaError error = {0};

    if (pass->upgrade) {
        headers[n++] = "Connection: Upgrade";
        headers[n++] = "Upgrade: websocket";
        for (size_t i = 0; i < 3; i++) {
            const char *value = ina_http_header(request, names[i]);
            if (!value)
                continue;
            snprintf(lines[i], sizeof lines[i], "%s: %s", names[i], value);
            headers[n++] = lines[i];
        }
    }
    const HttpDialOptions options = {.url = pass->url,
                                     .headers = headers,
                                     .upgrade = pass->upgrade,
                                     .timeout = NODE_TIMEOUT,
                                     .answered = on_answered,
                                     .userdata = pass};
    pass->dial = http_dial(pass->http->nodes, &options, &error);
    return pass->dial ? NULL : kube_status_internal(error.message);
}

static void pass_on(ApiHttp *http, InaHttpRequest *request, char *url, bool upgrade)
{
    ApiHttpPass *pass = http->n_passes < PASSES_MAX ? calloc(1, sizeof *pass) : NULL;

    if (!pass) {
        free(url);
        api_respond_status(request, kube_status_too_many("too many logs and commands are followed", 1));
        return;
    }
    *pass = (ApiHttpPass){.http = http, .next = http->passes, .request = request, .url = url, .upgrade = upgrade};
    if (pass->next)
        pass->next->previous = pass;
    http->passes = pass;
    http->n_passes++;
    json_t *status = dial(pass, request);
    if (status)
        refuse(pass, status);
    else
        ina_http_on_cancel(request, on_left, pass);
}

void api_pass(ApiHttp *http, InaHttpRequest *request, const ApiUser *user, const ApiTarget *target)
{
    const char *method = ina_http_method(request);
    bool log = is_log(target), get = strcmp(method, "GET") == 0;
    char *url = NULL;

    json_t *status = api_refusal(user, log ? "get" : "create", target->resource, target->subresource, target->namespace,
                                 target->name, NULL);
    if (!status && !get && (log || strcmp(method, "POST") != 0))
        status = api_status_method();
    if (!status && log)
        status = api_query_log(request, target->name);
    if (!status)
        status = make_url(http, request, target, log, &url);
    if (status)
        api_respond_status(request, status);
    else if (!url) /* not on a node yet */
        ina_http_respond(request, 204, NULL, NULL, 0);
    else
        pass_on(http, request, url, !log);
}

void api_passes_end(ApiHttp *http)
{
    while (http->passes) {
        ApiHttpPass *pass = http->passes;
        if (pass->request)
            refuse(pass, kube_status_unavailable("the control plane ends"));
        else
            pass_free(pass);
    }
}
