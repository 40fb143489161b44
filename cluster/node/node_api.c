/* node_api.c - the node's API on its unix socket, as Kubernetes names things. */
#include "base/cleanup.h"
#include "base/log.h"
#include "base/map.h"
#include "node_internal.h"

#include <errno.h>
#include <string.h>

#define API_PODS "/api/v1/namespaces/default/pods"
#define API_SCALES "/api/v1/namespaces/default/replicationcontrollers"

#define LOG_CHUNK 65536
#define LOG_PENDING_MAX (1024u * 1024u)

/* --- answers --------------------------------------------------------------------- */

/* Takes the json; NULL: out of memory. */
static void respond_json(InaHttpRequest *request, int status, json_t *json)
{
    char *text = json ? json_dumps(json, JSON_INDENT(2)) : NULL;
    json_decref(json);
    if (text)
        ina_http_respond_take(request, status, "application/json", text, strlen(text));
    else
        ina_http_respond_text(request, 500, "out of memory\n");
}

/* Kubernetes' Status object. */
static void respond_failure(InaHttpRequest *request, int status, const char *message)
{
    const char *reason = status == 404   ? "NotFound"
                         : status == 405 ? "MethodNotAllowed"
                         : status == 422 ? "Invalid"
                         : status == 400 ? "BadRequest"
                                         : "InternalError";
    respond_json(request, status,
                 json_pack("{s:s, s:s, s:s, s:s, s:s, s:i}", "kind", "Status", "apiVersion", "v1", "status", "Failure",
                           "message", message, "reason", reason, "code", status));
}

static void respond_method(InaHttpRequest *request, const char *allowed)
{
    ina_http_set_header(request, "Allow", allowed);
    char text[64];
    snprintf(text, sizeof text, "allowed here: %s", allowed);
    respond_failure(request, 405, text);
}

static bool is_method(InaHttpRequest *request, const char *method)
{
    return strcmp(ina_http_method(request), method) == 0;
}

/* "/prefix/NAME/rest" -> NAME, "rest"; `path` begins behind the prefix. Returns false when NAME is too long. */
static bool split(const char *path, char name[MANIFEST_NAME_MAX + 1], const char **ret_rest)
{
    path += *path == '/';
    size_t length = strcspn(path, "/");
    if (length > MANIFEST_NAME_MAX)
        return false;
    memcpy(name, path, length);
    name[length] = '\0';
    *ret_rest = path[length] == '/' ? path + length + 1 : "";
    return true;
}

/* --- logs ---------------------------------------------------------------------------- */

typedef struct LogSend {
    InaHttpStream *stream; /* NULL: closed */
    LogReader *reader;     /* NULL: all read */
    ContainerLog *log;     /* NULL: does not follow (any more) */
    LogFollower *follower;
    Buffer pending; /* could not be sent yet */
    bool pumping;
} LogSend;

static void send_free(LogSend *send)
{
    if (send->follower)
        container_log_unfollow(send->log, send->follower);
    log_reader_free(send->reader);
    buffer_free(&send->pending);
    free(send);
}

/* Returns false when the client does not read fast enough for now. */
static bool send_pending(LogSend *send)
{
    if (send->pending.size == 0)
        return true;
    if (ina_http_stream_write(send->stream, send->pending.data, send->pending.size) < 0)
        return false;
    buffer_clear(&send->pending);
    return send->stream != NULL;
}

static void pump(LogSend *send)
{
    if (send->pumping)
        return;
    send->pumping = true;
    bool flowing = send_pending(send);
    while (flowing && send->stream && send->reader) {
        char *room = buffer_reserve(&send->pending, LOG_CHUNK);
        ssize_t size = room ? log_reader_read(send->reader, room, LOG_CHUNK) : 0;
        if (size <= 0)
            send->reader = log_reader_free(send->reader);
        else
            send->pending.size += (size_t)size;
        flowing = send_pending(send);
    }
    send->pumping = false;
    bool complete = flowing && !send->reader && !send->follower;
    if (send->stream && complete)
        ina_http_stream_close(TAKE_PTR(send->stream));
    if (!send->stream)
        send_free(send);
}

static void handle_drained(void *userdata)
{
    pump(userdata);
}

static void handle_closed(void *userdata)
{
    LogSend *send = userdata;
    send->stream = NULL;
    if (!send->pumping)
        send_free(send);
}

static void handle_written(void *userdata, const void *data, size_t size)
{
    LogSend *send = userdata;
    bool behind = send->reader || send->pending.size > 0;
    if (!behind && ina_http_stream_write(send->stream, data, size) == 0)
        return;
    buffer_append(&send->pending, data, size);
    if (send->pending.size <= LOG_PENDING_MAX && !send->pending.failed)
        return;
    /* It does not read: given up, so that it does not fill our memory. */
    ina_http_stream_close(TAKE_PTR(send->stream));
    send_free(send);
}

static void handle_log_ended(void *userdata)
{
    LogSend *send = userdata;
    send->follower = NULL;
    send->log = NULL;
    pump(send);
}

static int parse_tail(InaHttpRequest *request, long *ret)
{
    const char *text = ina_http_query(request, "tailLines");
    char *end;
    *ret = -1;
    if (!text)
        return 0;
    long value = strtol(text, &end, 10);
    if (end == text || *end != '\0' || value < 0)
        return -EINVAL;
    *ret = value;
    return 0;
}

static bool query_flag(InaHttpRequest *request, const char *name)
{
    const char *text = ina_http_query(request, name);
    return text && (strcmp(text, "true") == 0 || strcmp(text, "1") == 0 || text[0] == '\0');
}

static void handle_log(InaHttpRequest *request, NodePod *item)
{
    long tail;
    InaError error = {0};
    Container *container = pod_container(item->pod, ina_http_query(request, "container"));
    if (!container)
        return respond_failure(request, 404, "the pod has no container of this name");
    if (parse_tail(request, &tail) < 0)
        return respond_failure(request, 400, "tailLines: allowed is a number of lines, 0 or more");
    bool previous = query_flag(request, "previous"), follow = query_flag(request, "follow") && !previous;
    LogSend *send = calloc(1, sizeof *send);
    if (!send || container_log_reader(container_log(container), previous, tail, &send->reader, &error) < 0) {
        free(send);
        return respond_failure(request, 500, error.code ? error.message : "out of memory");
    }
    if (follow) {
        send->log = container_log(container);
        send->follower = container_log_follow(send->log, handle_written, handle_log_ended, send);
        if (!send->follower) {
            send_free(send);
            return respond_failure(request, 503, "too many follow this log");
        }
    }
    send->stream =
        ina_http_respond_stream(request, 200, "text/plain; charset=utf-8", handle_drained, handle_closed, send);
    pump(send);
}

/* --- pods ---------------------------------------------------------------------------- */

static int by_name(const void *left, const void *right)
{
    const NodePod *a = *(NodePod *const *)left, *b = *(NodePod *const *)right;
    return strverscmp(pod_spec(a->pod)->name, pod_spec(b->pod)->name);
}

static json_t *list_json(Node *node)
{
    json_t *items = json_array();
    NodePod *sorted[INSTANCE_PODS_MAX];
    memcpy(sorted, node->pods, node->n_pods * sizeof(void *));
    qsort(sorted, node->n_pods, sizeof(void *), by_name);
    for (size_t i = 0; i < node->n_pods; i++)
        json_array_append_new(items, pod_json(sorted[i]->pod, sorted[i]->problem));
    for (size_t i = 0; i < node->n_problems; i++)
        json_array_append_new(items, pod_broken_json(node->problems[i].name, node->problems[i].text));
    return json_pack("{s:s, s:s, s:{s:s}, s:o}", "kind", "PodList", "apiVersion", "v1", "metadata", "resourceVersion",
                     "", "items", items);
}

static void handle_pod(Node *node, InaHttpRequest *request, const char *name, const char *rest)
{
    char text[MANIFEST_NAME_MAX + 32];
    NodePod *item = node_find(node, name);
    if (!item) {
        snprintf(text, sizeof text, "pods \"%s\" not found", name);
        return respond_failure(request, 404, text);
    }
    if (strcmp(rest, "log") == 0)
        return is_method(request, "GET") ? handle_log(request, item) : respond_method(request, "GET");
    if (rest[0] != '\0')
        return respond_failure(request, 404, "a pod has only \"log\" below it");
    if (is_method(request, "DELETE")) {
        log_record(INA_LOG_NOTICE, "pod killed on request", "pod", name, NULL);
        pod_kill(item->pod);
    } else if (!is_method(request, "GET")) {
        return respond_method(request, "GET, DELETE");
    }
    respond_json(request, 200, pod_json(item->pod, item->problem));
}

static void handle_pods(void *userdata, InaHttpRequest *request)
{
    Node *node = userdata;
    char name[MANIFEST_NAME_MAX + 1];
    const char *rest;
    if (!split(ina_http_path(request) + strlen(API_PODS), name, &rest))
        return respond_failure(request, 404, "no pod has so long a name");
    if (name[0] != '\0')
        return handle_pod(node, request, name, rest);
    if (!is_method(request, "GET"))
        return respond_method(request, "GET");
    respond_json(request, 200, list_json(node));
}

/* --- scale --------------------------------------------------------------------------- */

static unsigned count_running(Node *node, const char *template)
{
    unsigned count = 0;
    for (size_t i = 0; i < node->n_pods; i++) {
        const char *from = manifest_annotation(pod_spec(node->pods[i]->pod), ANNOTATION_TEMPLATE);
        if (from && strcmp(from, template) == 0 && pod_running(node->pods[i]->pod))
            count++;
    }
    return count;
}

static json_t *scale_json(Node *node, const char *name, const Scale *scale)
{
    char maximum[16];
    snprintf(maximum, sizeof maximum, "%u", scale->maximum);
    return json_pack("{s:s, s:s, s:{s:s, s:s, s:{s:s}}, s:{s:i}, s:{s:i}}", "kind", "Scale", "apiVersion",
                     "autoscaling/v1", "metadata", "name", name, "namespace", "default", "annotations",
                     ANNOTATION_REPLICAS_MAXIMUM, maximum, "spec", "replicas", (int)scale->replicas, "status",
                     "replicas", (int)count_running(node, name));
}

static int parse_scale(InaHttpRequest *request, unsigned *ret, InaError *error)
{
    size_t size;
    const char *body = ina_http_body(request, &size);
    AUTO_JSON json_t *json = NULL;
    int r = json_parse(body ? body : "", size, MANIFEST_SIZE_MAX, &json, error);
    if (r < 0)
        return r;
    const json_t *replicas = json_object_get(json_object_get(json, "spec"), "replicas");
    if (!json_is_integer(replicas) || json_integer_value(replicas) < 0 ||
        json_integer_value(replicas) > SCALE_REPLICAS_MAX)
        return ina_error_set(error, EINVAL, "spec.replicas: allowed is a number from 0 to %u", SCALE_REPLICAS_MAX);
    *ret = (unsigned)json_integer_value(replicas);
    return 0;
}

static int change_scale(Node *node, InaHttpRequest *request, const char *name, InaError *error)
{
    unsigned replicas = 0;
    int r = parse_scale(request, &replicas, error);
    if (r < 0 || (r = scale_set(node->templates, node->manifests, name, replicas, error)) < 0)
        return r;
    char text[16];
    snprintf(text, sizeof text, "%u", replicas);
    log_record(INA_LOG_NOTICE, "scaled on request", "template", name, "replicas", text, NULL);
    node_read_manifests(node);
    return 0;
}

static void handle_scale(Node *node, InaHttpRequest *request, const char *name)
{
    InaError error = {0};
    Scale scale;
    int r = 0;
    if (is_method(request, "PUT"))
        r = change_scale(node, request, name, &error);
    else if (!is_method(request, "GET"))
        return respond_method(request, "GET, PUT");
    if (r == 0)
        r = scale_get(node->templates, node->manifests, name, &scale, &error);
    if (r == 0)
        respond_json(request, 200, scale_json(node, name, &scale));
    else
        respond_failure(request, r == -ENOENT ? 404 : r == -EINVAL ? 400 : r == -ERANGE ? 422 : 500, error.message);
}

static json_t *scales_json(Node *node)
{
    json_t *items = json_array();
    AUTO_FOLDER DIR *folder = opendir(node->templates);
    struct dirent *entry;
    while (folder && (entry = readdir(folder))) {
        char *dot = strrchr(entry->d_name, '.');
        Scale scale;
        if (!dot || strcmp(dot, ".json") != 0)
            continue;
        *dot = '\0';
        if (scale_get(node->templates, node->manifests, entry->d_name, &scale, NULL) == 0)
            json_array_append_new(items, scale_json(node, entry->d_name, &scale));
    }
    return json_pack("{s:s, s:s, s:o}", "kind", "ScaleList", "apiVersion", "autoscaling/v1", "items", items);
}

static void handle_scales(void *userdata, InaHttpRequest *request)
{
    Node *node = userdata;
    char name[MANIFEST_NAME_MAX + 1];
    const char *rest;
    if (!split(ina_http_path(request) + strlen(API_SCALES), name, &rest))
        return respond_failure(request, 404, "no template has so long a name");
    if (name[0] == '\0' && is_method(request, "GET"))
        return respond_json(request, 200, scales_json(node));
    if (strcmp(rest, "scale") != 0)
        return respond_failure(request, 404, "only NAME/scale is here");
    handle_scale(node, request, name);
}

static void handle_health(void *userdata, InaHttpRequest *request)
{
    ina_http_respond_text(request, 200, "ok\n");
}

int node_api_start(Node *node, InaError *error)
{
    AUTO_FREE char *address = NULL;
    if (asprintf(&address, "unix:%s", node->socket) < 0) {
        address = NULL;
        return ina_error_set(error, ENOMEM, "out of memory");
    }
    unlink(node->socket); /* of an earlier life; up's lock makes us the only one */
    int r = http_server_new(node->event, NULL, &node->server, error);
    if (r < 0 || (r = http_server_handle(node->server, API_PODS, handle_pods, node, error)) < 0 ||
        (r = http_server_handle(node->server, API_SCALES, handle_scales, node, error)) < 0 ||
        (r = http_server_handle(node->server, "/healthz", handle_health, node, error)) < 0)
        return r;
    return http_server_listen(node->server, address, error);
}
