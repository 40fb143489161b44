/* cluster.c - the bundle "cluster": what runs where, from the Kubernetes API,
 * and on one machine the faults of its nodes (DATA/machine.sock). */
#include "cluster_view.h"

#include "base/cleanup.h"
#include "base/files.h"
#include "base/json.h"

#include <errno.h>
#include <string.h>

#define METRICS_PERIOD (2 * INA_SECOND)
#define ASK_TIMEOUT (2 * INA_SECOND)
#define ACT_TIMEOUT (10 * INA_SECOND)
#define REPLY_MAX (4u * 1024u * 1024u)
#define TOKEN_MAX 512u

/* --- metrics and machines: asked for now and then ---------------------------------------- */

static void take_metrics(json_t **metrics, const KubeReply *reply)
{
    if (reply->status != 200 || !reply->object)
        return; /* the former ones stay: whoever is gone is not looked up */
    json_decref(*metrics);
    *metrics = json_incref((json_t *)reply->object);
}

static void got_node_metrics(void *userdata, const KubeReply *reply)
{
    Cluster *cluster = userdata;
    cluster->node_request = NULL;
    take_metrics(&cluster->node_metrics, reply);
}

static void got_pod_metrics(void *userdata, const KubeReply *reply)
{
    Cluster *cluster = userdata;
    cluster->pod_request = NULL;
    take_metrics(&cluster->pod_metrics, reply);
}

static void got_machines(void *userdata, const InaHttpResponse *response)
{
    Cluster *cluster = userdata;
    cluster->machines_fetch = NULL;
    json_decref(TAKE_PTR(cluster->machines));
    if (response->status == 200)
        json_parse(response->body, response->size, REPLY_MAX, &cluster->machines, NULL);
}

static void ask_machines(Cluster *cluster)
{
    InaHttpFetchOptions options = {
        .url = "http://localhost/nodes",
        .unix_socket = cluster->socket,
        .headers = cluster->headers,
        .timeout = ASK_TIMEOUT,
        .maximum = REPLY_MAX,
        .done = got_machines,
        .userdata = cluster,
    };
    if (*cluster->socket && !cluster->machines_fetch)
        cluster->machines_fetch = http_client_fetch(cluster->http, &options, NULL);
}

static void refresh(void *userdata)
{
    Cluster *cluster = userdata;
    if (!cluster->node_request)
        cluster->node_request = kube_request(cluster->client, "GET", "/apis/metrics.k8s.io/v1beta1/nodes", NULL, NULL,
                                             got_node_metrics, cluster, NULL);
    if (!cluster->pod_request)
        cluster->pod_request = kube_request(cluster->client, "GET", "/apis/metrics.k8s.io/v1beta1/pods", NULL, NULL,
                                            got_pod_metrics, cluster, NULL);
    ask_machines(cluster);
    ina_timer_after(cluster->timer, METRICS_PERIOD);
}

/* --- acting -------------------------------------------------------------------------------- */

/* The answer comes from the loop, outside of what the framework knows of this
 * component; so it is only noted, and the component's timer tells the caller. */
typedef struct Act {
    Cluster *cluster;
    struct Act *next, **link;
    InaCall *call;
    InaHttpFetch *fetch; /* NULL: answered */
    InaCode code;        /* 0: it was done */
    InaError error;
} Act;

static void act_free(Act *act)
{
    *act->link = act->next;
    if (act->next)
        act->next->link = act->link;
    free(act);
}

static void acted(void *userdata, const InaHttpResponse *response)
{
    Act *act = userdata;
    act->fetch = NULL;
    if (response->status != 200) {
        AUTO_JSON json_t *status = NULL;
        if (response->status > 0)
            json_parse(response->body, response->size, REPLY_MAX, &status, NULL);
        const char *message = kube_string(status, "message");
        act->code = response->status == 404   ? INA_CODE_NOT_FOUND
                    : response->status == 409 ? INA_CODE_ABORTED
                                              : INA_CODE_UNAVAILABLE;
        ina_error_set(&act->error, EIO, "%s", message[0] ? message : response->error.message);
    }
    ina_timer_after(act->cluster->acted, 0);
}

static void answer_acts(void *userdata)
{
    Cluster *cluster = userdata;
    for (Act *act = cluster->acts, *next; act; act = next) {
        next = act->next;
        if (act->fetch)
            continue;
        Inaetics__V1__ActReply reply = INAETICS__V1__ACT_REPLY__INIT;
        if (act->code == 0)
            ina_call_reply(act->call, &reply.base);
        else
            ina_call_fail(act->call, act->code, "%s", act->error.message);
        act_free(act);
    }
    ask_machines(cluster);
}

static void act_cancelled(InaCall *call, void *userdata)
{
    Act *act = userdata;
    if (act->fetch)
        ina_http_fetch_cancel(act->fetch);
    ina_call_fail(call, INA_CODE_CANCELED, "the caller left");
    act_free(act);
}

/* The path at the machines' socket for a request; false: it was answered. */
static bool act_path(Cluster *cluster, InaCall *call, const Inaetics__V1__ActRequest *request, char *ret, size_t size)
{
    static const char *const actions[] = {"halt", "start", "freeze", "thaw"};
    if (kube_check_dns_subdomain(request->name)) {
        ina_call_fail(call, INA_CODE_INVALID_ARGUMENT, "name: \"%.80s\" is no name of a pod or node", request->name);
        return false;
    }
    for (size_t i = 0; i < INA_COUNT(actions); i++) {
        if (strcmp(request->action, actions[i]) == 0) {
            snprintf(ret, size, "http://localhost/nodes/%.63s/%s", request->name, request->action);
            return true;
        }
    }
    if (strcmp(request->action, "kill") != 0) {
        ina_call_fail(call, INA_CODE_INVALID_ARGUMENT,
                      "action: \"%.80s\"; allowed are kill, halt, start, freeze and thaw", request->action);
        return false;
    }
    const json_t *pod = kube_informer_find(cluster->pods, kube_client_namespace(cluster->client), request->name);
    if (!pod) {
        ina_call_fail(call, INA_CODE_NOT_FOUND, "there is no pod \"%.253s\"", request->name);
        return false;
    }
    snprintf(ret, size, "http://localhost/nodes/%.63s/kill/%.253s", kube_string(pod, "spec.nodeName"), request->name);
    return true;
}

static void act(void *self, InaCall *call, const Inaetics__V1__ActRequest *request)
{
    Cluster *cluster = self;
    char url[512];
    if (!cluster->machines) {
        ina_call_fail(call, INA_CODE_FAILED_PRECONDITION, "the nodes of this cluster are no machines of ours");
        return;
    }
    if (!act_path(cluster, call, request, url, sizeof url))
        return;
    Act *pending = calloc(1, sizeof *pending);
    InaHttpFetchOptions options = {
        .method = "POST",
        .url = url,
        .unix_socket = cluster->socket,
        .headers = cluster->headers,
        .timeout = ACT_TIMEOUT,
        .done = acted,
        .userdata = pending,
    };
    if (pending)
        pending->fetch = http_client_fetch(cluster->http, &options, NULL);
    if (!pending || !pending->fetch) {
        free(pending);
        ina_call_fail(call, INA_CODE_RESOURCE_EXHAUSTED, "out of memory");
        return;
    }
    pending->cluster = cluster;
    pending->call = call;
    pending->next = cluster->acts;
    pending->link = &cluster->acts;
    if (pending->next)
        pending->next->link = &pending->next;
    cluster->acts = pending;
    ina_call_on_cancel(call, act_cancelled, pending);
}

static void get(void *self, InaCall *call, const Inaetics__V1__GetClusterRequest *request)
{
    cluster_view_reply(self, call, request->after_event);
}

/* --- life ------------------------------------------------------------------------------------ */

static int watch(Cluster *cluster, const char *path, KubeInformer **ret, InaError *error)
{
    KubeInformerOptions options = {.path = path};
    *ret = kube_informer_new(cluster->client, &options, error);
    return *ret ? 0 : -error->code;
}

static int read_token(Cluster *cluster, InaError *error)
{
    AUTO_FREE char *token = NULL;
    if (!*cluster->token_file)
        return 0;
    int r = file_read(cluster->token_file, TOKEN_MAX, &token, NULL, error);
    if (r < 0)
        return ina_error_wrap(error, "machines-token-file");
    token[strcspn(token, "\n")] = '\0';
    if (asprintf(&cluster->authorization, "Authorization: Bearer %s", token) < 0) {
        cluster->authorization = NULL;
        return ina_error_set(error, ENOMEM, "out of memory");
    }
    cluster->headers[0] = cluster->authorization;
    return 0;
}

static int start(void *self, InaComponent *component, InaError *error)
{
    Cluster *cluster = self;
    cluster->component = component;
    if (!*cluster->socket)
        cluster->socket = getenv("INAETICS_MACHINES");
    if (!cluster->socket)
        cluster->socket = "";
    int r = read_token(cluster, error);
    if (r < 0)
        return r;
    if ((r = sd_event_default(&cluster->event)) < 0)
        return ina_error_errno(error, r, "event loop");
    if ((r = kube_client_from_environment(cluster->event, &cluster->client, error)) < 0 ||
        (r = http_client_new(cluster->event, NULL, &cluster->http, error)) < 0)
        return r;
    char events[256];
    snprintf(events, sizeof events, "/api/v1/namespaces/%.63s/events", kube_client_namespace(cluster->client));
    if ((r = watch(cluster, "/api/v1/nodes", &cluster->nodes, error)) < 0 ||
        (r = watch(cluster, "/api/v1/pods", &cluster->pods, error)) < 0 ||
        (r = watch(cluster, events, &cluster->events, error)) < 0)
        return r;
    cluster->timer = ina_timer_new(component, refresh, cluster);
    cluster->acted = ina_timer_new(component, answer_acts, cluster);
    if (!cluster->timer || !cluster->acted)
        return ina_error_set(error, ENOMEM, "out of memory");
    ina_timer_after(cluster->timer, 0);
    return 0;
}

static void stop(void *self)
{
    Cluster *cluster = self;
    while (cluster->acts) {
        Act *pending = cluster->acts;
        if (pending->fetch)
            ina_http_fetch_cancel(pending->fetch);
        ina_call_fail(pending->call, INA_CODE_UNAVAILABLE, "the cluster's bundle stops");
        act_free(pending);
    }
    if (cluster->machines_fetch)
        ina_http_fetch_cancel(cluster->machines_fetch);
    kube_request_cancel(cluster->node_request);
    kube_request_cancel(cluster->pod_request);
    kube_informer_free(cluster->nodes);
    kube_informer_free(cluster->pods);
    kube_informer_free(cluster->events);
    kube_client_free(cluster->client);
    http_client_free(cluster->http);
    json_decref(cluster->node_metrics);
    json_decref(cluster->pod_metrics);
    json_decref(cluster->machines);
    free(cluster->authorization);
    sd_event_unref(cluster->event);
}

static const InaeticsV1Cluster table = {.get = get, .act = act};

static const InaProvided provides[] = {
    {.contract = &inaetics_v1_cluster_contract, .table = &table, .exported = true},
};

static const InaConfig config[] = {
    {.key = "machines",
     .type = INA_TYPE_STRING,
     .offset = offsetof(Cluster, socket),
     .description = "unix socket where nodes can be halted and frozen; empty: $INAETICS_MACHINES, or none"},
    {.key = "machines-token-file",
     .type = INA_TYPE_STRING,
     .offset = offsetof(Cluster, token_file),
     .description = "file with the token that the socket asks for; empty: none is sent, and nothing is allowed there"},
};

static const InaComponentClass components[] = {{
    .name = "cluster",
    .size = sizeof(Cluster),
    .provides = provides,
    .n_provides = INA_COUNT(provides),
    .config = config,
    .n_config = INA_COUNT(config),
    .start = start,
    .stop = stop,
}};

INA_BUNDLE(components);
