#include "base/cleanup.h"
#include "base/files.h"
#include "base/log.h"
#include "cluster/users.h"
#include "kube_node_internal.h"
#include "service_environment.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>

/* --- the API --------------------------------------------------------------------------- */

static void check_ready(KubeNode *node)
{
    if (!node->registered || !node->synced || node->told_ready)
        return;
    node->told_ready = true;
    if (node->options.ready)
        node->options.ready(node->options.userdata);
}

static void handle_pod(void *userdata, KubeChange change, const json_t *object, const json_t *old)
{
    member_look(userdata, object, change == KUBE_DELETED);
}

/* The folders of pods that went while this node was not there. Those of others stay: an emptyDir lives as long as its
 * pod, not as its node's process. */
static void remove_old_pods(const KubeNode *node)
{
    AUTO_FREE char *pods = path_join(node->folder, "pods");
    AUTO_FOLDER DIR *folder = pods ? opendir(pods) : NULL;
    struct dirent *item;
    while (folder && (item = readdir(folder))) {
        if (item->d_name[0] == '.' || map_get(node->members, item->d_name))
            continue;
        AUTO_FREE char *path = path_join(pods, item->d_name);
        if (path)
            folder_remove(path, NULL);
    }
}

static void handle_pods_synced(void *userdata, bool connected)
{
    KubeNode *node = userdata;
    if (connected && !node->synced)
        remove_old_pods(node);
    if (connected)
        log_record(INA_LOG_INFO, "in contact with the API", NULL);
    else
        log_record(INA_LOG_WARNING, "contact with the API is lost, everything goes on", "detail",
                   kube_informer_error(node->pods), NULL);
    node->synced = node->synced || connected;
    check_ready(node);
}

static int watch_pods(KubeNode *node, InaError *error)
{
    char selector[128];
    snprintf(selector, sizeof selector, "spec.nodeName=%s", node->name);
    KubeInformerOptions options = {
        .path = "/api/v1/pods",
        .field_selector = selector,
        .changed = handle_pod,
        .synced = handle_pods_synced,
        .userdata = node,
    };
    node->pods = kube_informer_new(node->client, &options, error);
    return node->pods ? 0 : -EIO;
}

/* A container's environment tells of the services that are there when it starts: pods are begun after these are known.
 */
static void handle_services_synced(void *userdata, bool connected)
{
    KubeNode *node = userdata;
    InaError error = {0};
    if (!connected || node->pods)
        return;
    if (watch_pods(node, &error) < 0)
        log_record(INA_LOG_ERROR, "cannot watch pods", "detail", error.message, NULL);
}

static void handle_self(void *userdata, KubeChange change, const json_t *object, const json_t *old)
{
    KubeNode *node = userdata;
    registration_look(node->registration, change == KUBE_DELETED ? NULL : object);
}

static void handle_registered(void *userdata, const json_t *object)
{
    KubeNode *node = userdata;
    char selector[128];
    InaError error = {0};
    snprintf(selector, sizeof selector, "metadata.name=%s", node->name);
    KubeInformerOptions options = {
        .path = "/api/v1/nodes", .field_selector = selector, .changed = handle_self, .userdata = node};
    event_record(node->recorder, object, NULL, "Normal", "Starting", "Starting inaetics-node.");
    node->registered = true;
    node->self = kube_informer_new(node->client, &options, &error);
    if (!node->self)
        log_record(INA_LOG_ERROR, "cannot watch the node", "detail", error.message, NULL);
    check_ready(node);
}

static int make_client(KubeNode *node, InaError *error)
{
    AUTO_FREE char *certificate = NULL, *key = NULL;
    if (asprintf(&certificate, "%s/%s.pem", node->options.pki, node->name) < 0)
        certificate = NULL;
    if (asprintf(&key, "%s/%s-key.pem", node->options.pki, node->name) < 0)
        key = NULL;
    if (!certificate || !key)
        return ina_error_set(error, ENOMEM, "out of memory");
    KubeClientOptions options = {
        .url = node->server, .ca_file = node->ca_file, .certificate_file = certificate, .key_file = key};
    return kube_client_new(node->event, &options, &node->client, error);
}

static void handle_proxy_problem(void *userdata, const char *text)
{
    log_record(INA_LOG_WARNING, text, NULL);
}

/* Ports of services at this node's address. */
static int offer_node_ports(KubeNode *node, InaError *error)
{
    ProxyOptions options = {
        .event = node->event,
        .client = node->client,
        .instance = node->host.instance,
        .node_address = node->host.instance->node,
        .problem = handle_proxy_problem,
        .userdata = node,
    };
    return proxy_new(&options, &node->proxy, error);
}

static int join(KubeNode *node, InaError *error)
{
    KubeInformerOptions services = {.path = "/api/v1/services", .synced = handle_services_synced, .userdata = node};
    RegistrationOptions registration = {
        .event = node->event,
        .name = node->name,
        .address = node->host.instance->node,
        .pods = node->host.instance->pods,
        .pods_max = NODE_PODS_MAX,
        .port = NODE_PORT,
        .registered = handle_registered,
        .userdata = node,
    };
    int r = make_client(node, error);
    if (r < 0 ||
        (r = event_recorder_new(node->event, node->client, "inaetics-node", node->name, &node->recorder, error)) < 0)
        return r;
    registration.client = node->client;
    if ((r = registration_new(&registration, &node->registration, error)) < 0)
        return r;
    node->services = kube_informer_new(node->client, &services, error);
    return node->services ? offer_node_ports(node, error) : -EIO;
}

/* --- the node --------------------------------------------------------------------------- */

static int set_services(void *userdata, const char *namespace, Environment *environment, InaError *error)
{
    KubeNode *node = userdata;
    return service_environment(node->services, namespace, node->server, environment, error);
}

/* Where the kernel keeps no limits, memory is watched (monitor.c), and processors are not limited. */
static int make_cgroups(KubeNode *node, InaError *error)
{
    char why[CGROUP_WHY_SIZE];
    AUTO_FREE char *prefix = cgroups_prefix(node->host.instance, node->name);
    AUTO_FREE char *record = path_join(node->folder, CGROUPS_RECORD);
    if (!prefix || !record)
        return ina_error_set(error, ENOMEM, "out of memory");
    node->host.cgroups = node->cgroups = cgroups_new(prefix, record, why);
    if (!node->cgroups)
        log_record(INA_LOG_WARNING, "limits of memory are watched only, those of processors are not enforced", "why",
                   why, NULL);
    else if (why[0])
        log_record(INA_LOG_WARNING, "some limits are not kept by the kernel", "why", why, NULL);
    return 0;
}

static void end_leftovers(const KubeNode *node)
{
    AUTO_FREE char *mark = NULL;
    if (asprintf(&mark, INSTANCE_MARK_NODE "=%s/%s", node->host.instance->data, node->name) < 0)
        mark = NULL;
    unsigned count = mark ? child_sweep(mark) : 0;
    if (count > 0) {
        char text[16];
        snprintf(text, sizeof text, "%u", count);
        log_record(INA_LOG_WARNING, "ended processes that an earlier node left behind", "count", text, NULL);
    }
}

static int make_folder(KubeNode *node, InaError *error)
{
    AUTO_FREE char *name = NULL;
    if (asprintf(&name, "nodes/%s", node->name) < 0)
        name = NULL;
    node->folder = name ? instance_path(node->host.instance, name) : NULL;
    node->ca_file = path_join(node->options.pki, "ca.pem");
    if (asprintf(&node->logs, "%s/logs/pods-of-%s", node->host.instance->data, node->name) < 0)
        node->logs = NULL;
    if (!node->folder || !node->ca_file || !node->logs)
        return ina_error_set(error, ENOMEM, "out of memory");
    node->host.folder = node->folder;
    node->host.logs = node->logs;
    int r = folder_make(node->folder, 0700, error);
    return r < 0 ? r : folder_make(node->logs, 0700, error);
}

/* The ways to what belongs to pods. */
static int let_pods_pass(const KubeNode *node, InaError *error)
{
    AUTO_FREE char *pods = path_join(node->folder, "pods"), *nodes = instance_path(node->host.instance, "nodes");
    AUTO_FREE char *volumes = instance_path(node->host.instance, "volumes");
    const char *const folders[] = {nodes, node->folder, pods, volumes};
    int r = 0;
    if (!pods || !nodes || !volumes)
        return ina_error_set(error, ENOMEM, "out of memory");
    for (size_t i = 0; r == 0 && i < sizeof folders / sizeof *folders; i++)
        if ((r = folder_make(folders[i], 0700, error)) == 0)
            r = users_let_pass(folders[i], error);
    return r;
}

static int choose_users(KubeNode *node, InaError *error)
{
    char why[USERS_WHY_SIZE];
    node->host.users = users_check(node->host.instance, why);
    if (node->host.users)
        return let_pods_pass(node, error);
    if (geteuid() == 0)
        log_record(INA_LOG_WARNING, "pods run as root", "why", why, NULL);
    return 0;
}

static int start(KubeNode *node, InaError *error)
{
    int r;
    if ((r = children_new(node->event, &node->children, error)) < 0 ||
        (r = http_client_new(node->event, NULL, &node->http, error)) < 0 || (r = make_folder(node, error)) < 0)
        return r;
    node->host.children = node->children;
    node->host.http = node->http;
    if ((r = choose_users(node, error)) < 0)
        return r;
    end_leftovers(node);
    if ((r = make_cgroups(node, error)) < 0)
        return r;
    if ((r = node_http_start(node, error)) < 0 || (r = monitor_start(node, error)) < 0)
        return r;
    if (node->host.users) /* whatever they did to their environment; we have the node's address now, so they are ours */
        child_sweep_users(users_of_pod(node->host.instance, 0), users_of_pod(node->host.instance, 255));
    return join(node, error);
}

int kube_node_new(sd_event *event, const KubeNodeOptions *options, KubeNode **ret, InaError *error)
{
    KubeNode *node = calloc(1, sizeof *node);
    if (!node)
        return ina_error_set(error, ENOMEM, "out of memory");
    node->options = *options;
    node->event = sd_event_ref(event);
    node->name = strdup(options->name);
    node->server = strdup(options->server);
    node->members = map_new();
    node->host = (ContainerHost){
        .event = event,
        .instance = options->instance,
        .listen = options->listen,
        .log_size = options->log_size,
        .node = node->name,
        .images = options->images,
        .services = set_services,
        .userdata = node,
    };
    int r = node->name && node->server && node->members ? start(node, error)
                                                        : ina_error_set(error, ENOMEM, "out of memory");
    if (r < 0) {
        kube_node_free(node);
        return r;
    }
    *ret = node;
    return 0;
}

void node_check_stopped(KubeNode *node)
{
    if (!node->stopping || !node->stopped || map_count(node->members) > 0)
        return;
    void (*stopped)(void *userdata) = TAKE_PTR(node->stopped);
    stopped(node->stopped_userdata);
}

void kube_node_stop(KubeNode *node, void (*stopped)(void *userdata), void *userdata)
{
    size_t position = 0;
    const char *key;
    void *value;
    node->stopping = true;
    node->stopped = stopped;
    node->stopped_userdata = userdata;
    while (map_next(node->members, &position, &key, &value)) {
        Member *member = value;
        if (member->pod) {
            pod_stop(member->pod);
        } else {
            map_remove(node->members, key);
            member_free(member);
        }
    }
    node_check_stopped(node);
}

KubeNode *kube_node_free(KubeNode *node)
{
    if (!node)
        return NULL;
    size_t position = 0;
    const char *key;
    void *value;
    node->stopping = true;
    node->stopped = NULL;
    execs_close(node->execs);
    http_server_free(node->secure);
    http_server_free(node->monitor);
    execs_free(node->execs);
    while (node->members && map_next(node->members, &position, &key, &value))
        member_free(value);
    map_free(node->members);
    proxy_free(node->proxy);
    kube_informer_free(node->pods);
    kube_informer_free(node->services);
    kube_informer_free(node->self);
    usage_free(node->usage);
    registration_free(node->registration);
    event_recorder_free(node->recorder);
    kube_client_free(node->client);
    http_client_free(node->http);
    children_free(node->children);
    cgroups_free(node->cgroups);
    free(node->name);
    free(node->server);
    free(node->folder);
    free(node->logs);
    free(node->ca_file);
    sd_event_unref(node->event);
    free(node);
    return NULL;
}
