/* cluster.c - see cluster.h. */
#include "cluster.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ASK_TIMEOUT (900 * INA_MILLISECOND)
#define ACT_TIMEOUT (10 * INA_SECOND)

typedef struct Act {
    ClusterPanel *panel;
    struct Act *next, **link;
    InaHttpRequest *request;
    InaPending *pending;
    char text[MODEL_EVENT_TEXT];
} Act;

struct ClusterPanel {
    InaComponent *component;
    Model *model;
    InaClient *const *client;
    InaPending *asked;
    InaTimer *timer;
    json_t *state; /* as pages get it; NULL: nothing is known */
    int64_t last_event;
    bool first; /* events of before our time were told by somebody else, or are too old */
    Act *acts;
};

/* --- asking ------------------------------------------------------------------ */

static json_t *node_json(const Inaetics__V1__ClusterNode *node)
{
    return json_pack("{s:s, s:s, s:b, s:b, s:s, s:f, s:f, s:I, s:I}", "name", node->name, "address", node->address,
                     "ready", node->ready, "schedulable", node->schedulable, "machine", node->machine, "cpu", node->cpu,
                     "cpuCapacity", node->cpu_capacity, "memory", (json_int_t)node->memory, "memoryCapacity",
                     (json_int_t)node->memory_capacity);
}

static json_t *pod_json(const Inaetics__V1__ClusterPod *pod)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:b, s:i, s:s, s:f, s:I, s:I}", "name", pod->name, "namespace",
                     pod->namespace_, "node", pod->node, "part", pod->part, "status", pod->status, "ready", pod->ready,
                     "restarts", (int)pod->restarts, "address", pod->address, "cpu", pod->cpu, "memory",
                     (json_int_t)pod->memory, "created", (json_int_t)pod->created_ms);
}

/* Whether it explains what is seen in the charts: scaling and fail-over. */
static bool is_mark(const char *reason)
{
    static const char *const reasons[] = {"NodeNotReady", "NodeReady",  "ScaledUp",
                                          "ScaledDown",   "Overloaded", "NoRoom"};
    for (size_t i = 0; i < INA_COUNT(reasons); i++) {
        if (strcmp(reason, reasons[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* What happens each time a pod starts: `kubectl get events` has it. */
static bool is_routine(const char *reason)
{
    static const char *const reasons[] = {"Scheduled", "Pulled", "Created", "Started", "Starting"};
    for (size_t i = 0; i < INA_COUNT(reasons); i++) {
        if (strcmp(reason, reasons[i]) == 0) {
            return true;
        }
    }
    return false;
}

static void tell_events(ClusterPanel *panel, const Inaetics__V1__ClusterState *state)
{
    for (size_t i = 0; i < state->n_events; i++) {
        const Inaetics__V1__ClusterEvent *event = state->events[i];
        if (event->revision > panel->last_event) {
            panel->last_event = event->revision;
        }
        if (strcmp(event->reason, "Pulled") == 0 || strcmp(event->reason, "Created") == 0) {
            continue; /* what follows at once, that it started, is enough for a page */
        }
        if (is_routine(event->reason)) {
            continue;
        }
        if (panel->first && ina_wall_clock_us() / 1000 - event->time_ms > 60000) {
            continue;
        }
        model_event_at(panel->model, event->time_ms, is_mark(event->reason), "%s, %s: %s", event->reason, event->object,
                       event->message);
    }
    panel->first = false;
}

static void got_state(void *userdata, const Inaetics__V1__ClusterState *state, const InaFailure *failure)
{
    (void)failure; /* what was known stays, and is shown as old */
    ClusterPanel *panel = userdata;
    panel->asked = NULL;
    if (!state) {
        if (panel->state) {
            json_object_set_new(panel->state, "connected", json_false());
        }
        return;
    }
    json_t *nodes = json_array(), *pods = json_array();
    for (size_t i = 0; i < state->n_nodes; i++) {
        json_array_append_new(nodes, node_json(state->nodes[i]));
    }
    for (size_t i = 0; i < state->n_pods; i++) {
        json_array_append_new(pods, pod_json(state->pods[i]));
    }
    json_decref(panel->state);
    panel->state = json_pack("{s:b, s:b, s:o, s:o}", "connected", state->connected, "faults", state->faults, "nodes",
                             nodes, "pods", pods);
    tell_events(panel, state);
}

static void ask(void *userdata)
{
    ClusterPanel *panel = userdata;
    if (*panel->client && !panel->asked) {
        Inaetics__V1__GetClusterRequest request = INAETICS__V1__GET_CLUSTER_REQUEST__INIT;
        request.after_event = panel->last_event;
        panel->asked = inaetics_v1_cluster_get(*panel->client, &request, ASK_TIMEOUT, got_state, panel);
    }
    ina_timer_after(panel->timer, INA_SECOND);
}

ClusterPanel *cluster_panel_new(InaComponent *component, Model *model, InaClient *const *client)
{
    ClusterPanel *panel = calloc(1, sizeof(*panel));
    if (!panel) {
        return NULL;
    }
    panel->component = component;
    panel->model = model;
    panel->client = client;
    panel->first = true;
    panel->timer = ina_timer_new(component, ask, panel);
    if (!panel->timer) {
        return cluster_panel_free(panel);
    }
    ina_timer_after(panel->timer, 0);
    return panel;
}

/* --- showing ------------------------------------------------------------------- */

json_t *cluster_panel_json(const ClusterPanel *panel)
{
    return panel->state ? json_incref(panel->state) : json_null();
}

static double rounded_up(double value)
{
    return ceil(value * 10000) / 10000; /* to four decimals, as the original */
}

json_t *cluster_panel_original(const ClusterPanel *panel)
{
    json_t *list = json_array();
    size_t i, j;
    const json_t *node, *pod;
    json_array_foreach(json_object_get(panel->state, "nodes"), i, node)
    {
        const char *name = json_string_value(json_object_get(node, "name"));
        json_t *containers = json_array();
        json_array_foreach(json_object_get(panel->state, "pods"), j, pod)
        {
            const char *where = json_string_value(json_object_get(pod, "node"));
            if (name && where && strcmp(name, where) == 0) {
                json_int_t memory = json_integer_value(json_object_get(pod, "memory"));
                double cpu = rounded_up(json_real_value(json_object_get(pod, "cpu")));
                json_array_append_new(containers,
                                      json_pack("{s:O, s:f, s:f, s:I, s:I}", "name", json_object_get(pod, "name"),
                                                "cpuUsage", cpu, "avgLoad", cpu, "usedMem", memory, "hotMem", memory));
            }
        }
        json_array_append_new(
            list, json_pack("{s:O, s:o}", "ipAddress", json_object_get(node, "address"), "containerList", containers));
    }
    return list;
}

/* --- acting ---------------------------------------------------------------------- */

static void act_free(Act *act)
{
    *act->link = act->next;
    if (act->next) {
        act->next->link = act->link;
    }
    free(act);
}

static void acted(void *userdata, const Inaetics__V1__ActReply *reply, const InaFailure *failure)
{
    Act *act = userdata;
    if (reply) {
        model_event_at(act->panel->model, ina_wall_clock_us() / 1000, true, "%s", act->text);
        ina_http_respond(act->request, 204, NULL, NULL, 0);
    } else {
        int status = failure->code == INA_CODE_NOT_FOUND ? 404 : failure->code == INA_CODE_INVALID_ARGUMENT ? 400 : 409;
        ina_http_respond_text(act->request, status, "%s.\n", failure->message);
    }
    act_free(act);
}

void cluster_panel_act(ClusterPanel *panel, InaHttpRequest *request, const char *action, const char *name)
{
    Act *act = *panel->client ? calloc(1, sizeof(*act)) : NULL;
    if (!act) {
        ina_http_respond_text(request, 503, "Nothing is known of the cluster now; try again.\n");
        return;
    }
    Inaetics__V1__ActRequest message = INAETICS__V1__ACT_REQUEST__INIT;
    message.action = (char *)action;
    message.name = (char *)name;
    *act = (Act){.panel = panel, .request = request};
    snprintf(act->text, sizeof(act->text), "%s %s, from this page", action, name);
    act->pending = inaetics_v1_cluster_act(*panel->client, &message, ACT_TIMEOUT, acted, act);
    if (!act->pending) {
        free(act);
        ina_http_respond_text(request, 503, "Nothing is known of the cluster now; try again.\n");
        return;
    }
    act->next = panel->acts;
    act->link = &panel->acts;
    if (act->next) {
        act->next->link = &act->next;
    }
    panel->acts = act;
}

ClusterPanel *cluster_panel_free(ClusterPanel *panel)
{
    if (panel) {
        ina_pending_cancel(panel->asked);
        while (panel->acts) {
            Act *act = panel->acts;
            ina_pending_cancel(act->pending);
            ina_http_respond_text(act->request, 503, "The viewer stops.\n");
            act_free(act);
        }
        ina_timer_free(panel->timer);
        json_decref(panel->state);
        free(panel);
    }
    return NULL;
}
