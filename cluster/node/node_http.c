/* node_http.c - what the control plane asks of a node: logs, commands, state.
 * Over TLS with client certificates of the cluster's CA; of these only the
 * control plane's and the admins' may ask. */
#include "base/cleanup.h"
#include "base/files.h"
#include "kube_node_internal.h"

#include <errno.h>
#include <string.h>

#define PEM_MAX (256u * 1024u)
#define BODY_MAX (64u * 1024u)

/* --- who asks -------------------------------------------------------------------------- */

/* "CN=control-plane,O=inaetics:control-plane": one of the parts is an organisation that may. */
static bool is_allowed(const InaHttpRequest *request)
{
    static const char *const organisations[] = {"O=inaetics:control-plane", "O=inaetics:admin"};
    const char *subject = http_request_subject(request);
    while (subject && *subject) {
        size_t length = strcspn(subject, ",+");
        for (size_t i = 0; i < sizeof organisations / sizeof *organisations; i++)
            if (length == strlen(organisations[i]) && strncmp(subject, organisations[i], length) == 0)
                return true;
        subject += length + (subject[length] != '\0');
    }
    return false;
}

static bool refuse(InaHttpRequest *request, const char *method)
{
    if (!is_allowed(request))
        ina_http_respond_text(request, http_request_subject(request) ? 403 : 401,
                              "a client certificate of the control plane or of an admin is needed\n");
    else if (strcmp(ina_http_method(request), method) != 0)
        ina_http_respond_text(request, 405, "only %s is here\n", method);
    else
        return false;
    return true;
}

/* --- containers ------------------------------------------------------------------------ */

/* "/prefix/NAMESPACE/POD/CONTAINER"; NULL: answered. */
static Container *find_container(KubeNode *node, InaHttpRequest *request)
{
    char path[1024], *position = NULL;
    snprintf(path, sizeof path, "%s", ina_http_path(request));
    const char *prefix = strtok_r(path, "/", &position), *namespace = strtok_r(NULL, "/", &position);
    const char *pod = strtok_r(NULL, "/", &position), *name = strtok_r(NULL, "/", &position);
    if (!prefix || !namespace || !pod || !name || strtok_r(NULL, "/", &position)) {
        ina_http_respond_text(request, 404, "the path is /%s/NAMESPACE/POD/CONTAINER\n", prefix ? prefix : "");
        return NULL;
    }
    Member *member = member_find(node, namespace, pod);
    Container *container = member ? pod_container(member->pod, name) : NULL;
    if (!member)
        ina_http_respond_text(request, 404, "pod \"%s/%s\" does not run on this node\n", namespace, pod);
    else if (!container)
        ina_http_respond_text(request, 404, "container %s in pod %s is not available\n", name, pod);
    return container;
}

static void handle_log(void *userdata, InaHttpRequest *request)
{
    Container *container = refuse(request, "GET") ? NULL : find_container(userdata, request);
    ContainerStatus status;
    if (!container)
        return;
    container_status(container, &status);
    if (status.waiting && status.restarts == 0 && !status.run->started)
        ina_http_respond_text(request, 400, "container \"%s\" is waiting to start: %s\n",
                              container_spec(container)->name, status.message);
    else
        node_log_send(request, container);
}

static void handle_exec(void *userdata, InaHttpRequest *request)
{
    KubeNode *node = userdata;
    const char *upgrade = ina_http_header(request, "Upgrade");
    Container *container = refuse(request, "GET") ? NULL : find_container(node, request);
    if (!container)
        return;
    if (!upgrade || strcasecmp(upgrade, "websocket") != 0)
        ina_http_respond_text(request, 400, "commands are run over a WebSocket\n");
    else
        exec_begin(node->execs, request, container);
}

/* --- state -------------------------------------------------------------------------------- */

static void handle_pods(void *userdata, InaHttpRequest *request)
{
    KubeNode *node = userdata;
    size_t position = 0;
    const char *key;
    void *value;
    if (refuse(request, "GET"))
        return;
    json_t *items = json_array();
    while (map_next(node->members, &position, &key, &value))
        json_array_append(items, ((Member *)value)->object);
    http_respond_json(
        request, 200,
        json_pack("{s:s, s:s, s:{}, s:o}", "kind", "PodList", "apiVersion", "v1", "metadata", "items", items),
        JSON_COMPACT);
}

static void handle_summary(void *userdata, InaHttpRequest *request)
{
    if (!refuse(request, "GET"))
        http_respond_json(request, 200, monitor_summary(userdata), JSON_COMPACT);
}

static void handle_health(void *userdata, InaHttpRequest *request)
{
    ina_http_respond_text(request, 200, "ok");
}

static int read_pem(const char *folder, const char *name, const char *suffix, char **ret, InaError *error)
{
    AUTO_FREE char *path = NULL;
    size_t size;
    if (asprintf(&path, "%s/%s%s.pem", folder, name, suffix) < 0) {
        path = NULL;
        return ina_error_set(error, ENOMEM, "out of memory");
    }
    return file_read(path, PEM_MAX, ret, &size, error);
}

int node_http_start(KubeNode *node, InaError *error)
{
    AUTO_FREE char *certificate = NULL, *key = NULL, *ca = NULL;
    const char *pki = node->options.pki;
    char address[64];
    int r;
    if (!(node->execs = execs_new(&node->host)))
        return ina_error_set(error, ENOMEM, "out of memory");
    if ((r = read_pem(pki, node->name, "", &certificate, error)) < 0 ||
        (r = read_pem(pki, node->name, "-key", &key, error)) < 0 || (r = read_pem(pki, "ca", "", &ca, error)) < 0)
        return r;
    HttpServerOptions options = {.body_max = BODY_MAX, .certificate = certificate, .key = key, .ca = ca};
    snprintf(address, sizeof address, "%s:%d", node->host.instance->node, NODE_PORT);
    if ((r = http_server_new(node->event, &options, &node->secure, error)) < 0 ||
        (r = http_server_handle(node->secure, "/containerLogs", handle_log, node, error)) < 0 ||
        (r = http_server_handle(node->secure, "/exec", handle_exec, node, error)) < 0 ||
        (r = http_server_handle(node->secure, "/pods", handle_pods, node, error)) < 0 ||
        (r = http_server_handle(node->secure, "/stats/summary", handle_summary, node, error)) < 0 ||
        (r = http_server_handle(node->secure, "/healthz", handle_health, node, error)) < 0)
        return r;
    return http_server_listen(node->secure, address, error);
}
