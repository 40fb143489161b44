#include "base/cleanup.h"
#include "base/files.h"
#include "base/log.h"
#include "node_internal.h"

#include <errno.h>
#include <string.h>
#include <sys/inotify.h>

/* Changes of the folder that come together are read together. */
#define SETTLE_US 20000

/* --- the folder of manifests --------------------------------------------------- */

static int is_manifest(const struct dirent *item)
{
    size_t length = strlen(item->d_name);
    return item->d_name[0] != '.' && length > 5 && strcmp(item->d_name + length - 5, ".json") == 0;
}

NodePod *node_find(Node *node, const char *name)
{
    for (size_t i = 0; i < node->n_pods; i++)
        if (strcmp(pod_spec(node->pods[i]->pod)->name, name) == 0)
            return node->pods[i];
    return NULL;
}

static NodePod *find_by_file(Node *node, const char *file)
{
    for (size_t i = 0; i < node->n_pods; i++)
        if (strcmp(node->pods[i]->file, file) == 0)
            return node->pods[i];
    return NULL;
}

static void clear_problems(Node *node)
{
    for (size_t i = 0; i < node->n_problems; i++) {
        free(node->problems[i].name);
        free(node->problems[i].text);
    }
    free(node->problems);
    node->problems = NULL;
    node->n_problems = 0;
}

/* A manifest that cannot be used: said once in the log, and by the API. */
static void note_problem(Node *node, const char *file, const char *text, bool fresh)
{
    NodeProblem *problems = reallocarray(node->problems, node->n_problems + 1, sizeof *problems);
    if (!problems)
        return;
    node->problems = problems;
    problems[node->n_problems] =
        (NodeProblem){.name = strndup(file, strlen(file) - strlen(".json")), .text = strdup(text)};
    if (problems[node->n_problems].name && problems[node->n_problems].text)
        node->n_problems++;
    if (fresh)
        log_record(INA_LOG_ERROR, "manifest refused", "detail", text, NULL);
}

static bool was_known(const NodeProblem *old, size_t n_old, const char *text)
{
    for (size_t i = 0; i < n_old; i++)
        if (strcmp(old[i].text, text) == 0)
            return true;
    return false;
}

static int free_address(const Node *node, unsigned *ret)
{
    for (unsigned number = 2; number < 2 + INSTANCE_PODS_MAX; number++) {
        bool taken = false;
        for (size_t i = 0; i < node->n_pods; i++)
            taken = taken || pod_address_number(node->pods[i]->pod) == number;
        if (!taken) {
            *ret = number;
            return 0;
        }
    }
    return -ENOSPC;
}

static void handle_gone(void *userdata, Pod *pod);

/* Takes the spec. */
static int add_pod(Node *node, PodSpec *spec, const char *file, InaError *error)
{
    unsigned number;
    NodePod *item = calloc(1, sizeof *item);
    if (!item || node->n_pods == INSTANCE_PODS_MAX || free_address(node, &number) < 0) {
        free(item);
        manifest_free(spec);
        return ina_error_set(error, ENOSPC, "%s: a node runs %d pods at most", file, INSTANCE_PODS_MAX);
    }
    PodOptions options = {.host = &node->host, .address_number = number, .gone = handle_gone, .userdata = node};
    int r = pod_new(&options, spec, &item->pod, error);
    item->file = strdup(file);
    if (r < 0 || !item->file) {
        pod_free(item->pod);
        free(item->file);
        free(item);
        return r < 0 ? ina_error_wrap(error, "%s", file) : ina_error_set(error, ENOMEM, "out of memory");
    }
    item->seen = true;
    node->pods[node->n_pods++] = item;
    pod_start(item->pod);
    return 0;
}

/* An accepted manifest of a pod that is there. Takes the spec. */
static void apply(NodePod *item, PodSpec *spec, const char *file)
{
    bool same = json_equal(pod_spec(item->pod)->manifest, spec->manifest);
    char *name = strdup(file);
    if (name) {
        free(item->file);
        item->file = name;
    }
    free(TAKE_PTR(item->problem));
    item->seen = true;
    item->next = manifest_free(item->next);
    if (same && !pod_stopping(item->pod)) {
        manifest_free(spec);
        return;
    }
    item->next = spec;
    pod_stop(item->pod);
}

static int use_manifest(Node *node, const char *file, InaError *error)
{
    AUTO_FREE char *path = path_join(node->manifests, file), *text = NULL;
    size_t size;
    PodSpec *spec;
    if (!path)
        return ina_error_set(error, ENOMEM, "out of memory");
    int r = file_read(path, MANIFEST_SIZE_MAX, &text, &size, error);
    if (r < 0 || (r = manifest_parse(text, size, file, &spec, error)) < 0)
        return r;
    NodePod *item = node_find(node, spec->name);
    if (item && item->seen) {
        r = ina_error_set(error, EEXIST, "%s: metadata.name: \"%s\" is taken by %s", file, spec->name, item->file);
        manifest_free(spec);
        return r;
    }
    if (!item)
        return add_pod(node, spec, file, error);
    apply(item, spec, file);
    return 0;
}

/* A pod whose manifest became unusable goes on as it is. */
static void refuse_manifest(Node *node, const char *file, const char *text, bool fresh)
{
    NodePod *item = find_by_file(node, file);
    if (!item || item->seen || pod_stopping(item->pod)) {
        note_problem(node, file, text, fresh);
        return;
    }
    if (!item->problem || strcmp(item->problem, text) != 0)
        log_record(INA_LOG_ERROR, "manifest refused, the pod goes on as it was", "detail", text, NULL);
    free(item->problem);
    item->problem = strdup(text);
    item->seen = true;
}

/* Pods made from a template follow it when it changes. */
static void refresh_templates(Node *node)
{
    struct dirent **items;
    int count = scandir(node->templates, &items, is_manifest, alphasort);
    for (int i = 0; i < count; i++) {
        InaError error = {0};
        Scale scale;
        items[i]->d_name[strlen(items[i]->d_name) - strlen(".json")] = '\0';
        if (scale_get(node->templates, node->manifests, items[i]->d_name, &scale, &error) < 0 ||
            scale_set(node->templates, node->manifests, items[i]->d_name, scale.replicas, &error) < 0)
            log_record(INA_LOG_ERROR, "template refused", "detail", error.message, NULL);
        free(items[i]);
    }
    if (count >= 0)
        free(items);
}

static void read_folder(Node *node, const NodeProblem *old, size_t n_old)
{
    struct dirent **items;
    int count = scandir(node->manifests, &items, is_manifest, alphasort);
    if (count < 0) {
        log_record(INA_LOG_ERROR, "cannot read the folder of manifests", "folder", node->manifests, "detail",
                   strerror(errno), NULL);
        return;
    }
    for (int i = 0; i < count; i++) {
        InaError error = {0};
        if ((unsigned)i >= NODE_MANIFESTS_MAX)
            ina_error_set(&error, E2BIG, "%s: a folder of manifests has %u files at most", items[i]->d_name,
                          NODE_MANIFESTS_MAX);
        else
            use_manifest(node, items[i]->d_name, &error);
        if (error.code != 0)
            refuse_manifest(node, items[i]->d_name, error.message, !was_known(old, n_old, error.message));
        free(items[i]);
    }
    free(items);
    for (size_t i = 0; i < node->n_pods; i++) {
        NodePod *item = node->pods[i];
        if (item->seen)
            continue;
        item->next = manifest_free(item->next);
        pod_stop(item->pod);
    }
}

void node_read_manifests(Node *node)
{
    if (node->stopping)
        return;
    NodeProblem *old = node->problems;
    size_t n_old = node->n_problems;
    node->problems = NULL;
    node->n_problems = 0;
    for (size_t i = 0; i < node->n_pods; i++)
        node->pods[i]->seen = false;
    refresh_templates(node);
    read_folder(node, old, n_old);
    for (size_t i = 0; i < n_old; i++) {
        free(old[i].name);
        free(old[i].text);
    }
    free(old);
}

/* --- pods that have ended ----------------------------------------------------------- */

static void free_item(NodePod *item)
{
    pod_free(item->pod);
    manifest_free(item->next);
    free(item->file);
    free(item->problem);
    free(item);
}

static void say_stopped(Node *node)
{
    if (node->stopping && node->n_pods == 0 && node->stopped) {
        void (*stopped)(void *userdata) = TAKE_PTR(node->stopped);
        stopped(node->stopped_userdata);
    }
}

/* Puts the pod's next version in its place, at the same address. */
static bool replace(Node *node, NodePod *item)
{
    InaError error = {0};
    unsigned number = pod_address_number(item->pod);
    if (!item->next || node->stopping)
        return false;
    item->pod = pod_free(item->pod);
    PodOptions options = {.host = &node->host, .address_number = number, .gone = handle_gone, .userdata = node};
    if (pod_new(&options, TAKE_PTR(item->next), &item->pod, &error) < 0) {
        note_problem(node, item->file, error.message, true);
        return false;
    }
    pod_start(item->pod);
    return true;
}

static void handle_gone(void *userdata, Pod *pod)
{
    Node *node = userdata;
    for (size_t i = 0; i < node->n_pods; i++) {
        NodePod *item = node->pods[i];
        if (item->pod != pod)
            continue;
        if (!replace(node, item)) {
            node->pods[i] = node->pods[--node->n_pods];
            free_item(item);
        }
        break;
    }
    say_stopped(node);
}

/* --- watching the folders ------------------------------------------------------------ */

static int handle_settled(sd_event_source *source, uint64_t time, void *userdata)
{
    Node *node = userdata;
    node->settle_timer = sd_event_source_disable_unref(node->settle_timer);
    node_read_manifests(node);
    return 0;
}

static int handle_notify(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    Node *node = userdata;
    char data[16384];
    while (read(fd, data, sizeof data) > 0) /* that something changed is all we need */
        ;
    if (!node->settle_timer)
        sd_event_add_time_relative(node->event, &node->settle_timer, CLOCK_MONOTONIC, SETTLE_US, 1000, handle_settled,
                                   node);
    return 0;
}

static int watch_folders(Node *node, InaError *error)
{
    const uint32_t mask = IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_ONLYDIR;
    node->notify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (node->notify < 0)
        return ina_error_errno(error, errno, "inotify");
    if (inotify_add_watch(node->notify, node->manifests, mask) < 0)
        return ina_error_errno(error, errno, "watch %s", node->manifests);
    if (inotify_add_watch(node->notify, node->templates, mask) < 0)
        return ina_error_errno(error, errno, "watch %s", node->templates);
    int r = sd_event_add_io(node->event, &node->notify_source, node->notify, EPOLLIN, handle_notify, node);
    return r < 0 ? ina_error_errno(error, r, "watch %s", node->manifests) : 0;
}

/* --- life of the node ------------------------------------------------------------------ */

static void end_leftovers(const Node *node)
{
    AUTO_FREE char *mark = instance_mark(node->host.instance, INSTANCE_MARK_POD);
    unsigned count = mark ? child_sweep(mark) : 0;
    if (count > 0) {
        char text[16];
        snprintf(text, sizeof text, "%u", count);
        log_record(INA_LOG_WARNING, "ended processes that an earlier node left behind", "count", text, NULL);
    }
}

static int make_folders(Node *node, InaError *error)
{
    node->manifests = instance_path(node->host.instance, "manifests");
    node->templates = instance_path(node->host.instance, "templates");
    node->socket = instance_path(node->host.instance, "node.sock");
    if (!node->manifests || !node->templates || !node->socket)
        return ina_error_set(error, ENOMEM, "out of memory");
    int r = folder_make(node->manifests, 0700, error);
    return r < 0 ? r : folder_make(node->templates, 0700, error);
}

static int start(Node *node, InaError *error)
{
    int r;
    if ((r = children_new(node->event, &node->children, error)) < 0 ||
        (r = http_client_new(node->event, NULL, &node->http, error)) < 0 || (r = make_folders(node, error)) < 0)
        return r;
    node->host.children = node->children;
    node->host.http = node->http;
    end_leftovers(node);
    if ((r = node_api_start(node, error)) < 0 || (r = watch_folders(node, error)) < 0)
        return r;
    node_read_manifests(node);
    return 0;
}

int node_new(sd_event *event, const NodeOptions *options, Node **ret, InaError *error)
{
    Node *node = calloc(1, sizeof *node);
    if (!node)
        return ina_error_set(error, ENOMEM, "out of memory");
    node->event = sd_event_ref(event);
    node->notify = -1;
    node->host = (ContainerHost){
        .event = event,
        .instance = options->instance,
        .listen = options->listen,
        .log_size = options->log_size,
    };
    int r = start(node, error);
    if (r < 0) {
        node_free(node);
        return r;
    }
    *ret = node;
    return 0;
}

void node_stop(Node *node, void (*stopped)(void *userdata), void *userdata)
{
    node->stopping = true;
    node->stopped = stopped;
    node->stopped_userdata = userdata;
    for (size_t i = 0; i < node->n_pods; i++)
        pod_stop(node->pods[i]->pod);
    say_stopped(node);
}

Node *node_free(Node *node)
{
    if (!node)
        return NULL;
    sd_event_source_disable_unref(node->notify_source);
    sd_event_source_disable_unref(node->settle_timer);
    for (size_t i = 0; i < node->n_pods; i++)
        free_item(node->pods[i]);
    node->n_pods = 0;
    http_server_free(node->server);
    http_client_free(node->http);
    children_free(node->children);
    clear_problems(node);
    if (node->notify >= 0)
        close(node->notify);
    if (node->socket)
        unlink(node->socket);
    free(node->manifests);
    free(node->templates);
    free(node->socket);
    sd_event_unref(node->event);
    free(node);
    return NULL;
}
