/* replication.c - the controllers of ReplicationControllers and ReplicaSets. */
#include "replication_plan.h"

#include "control_internal.h"

#include "base/cleanup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef struct Kind {
    const Controller *controller;
    const char *resource, *kind, *component;
} Kind;

static const Kind kinds[] = {
    {&replication_controller, RESOURCE_RCS, "ReplicationController", "replication-controller"},
    {&replica_set_controller, RESOURCE_REPLICA_SETS, "ReplicaSet", "replicaset-controller"},
};

static const Kind *kind_of(const Controller *controller)
{
    return controller == &replication_controller ? &kinds[0] : &kinds[1];
}

/* --- changes -------------------------------------------------------------------------------- */

typedef struct Match {
    Control *control;
    const Kind *kind;
    const json_t *pod;
} Match;

static bool look_if_selected(void *userdata, const json_t *object)
{
    const Match *match = userdata;
    Selector *selector;

    if (replication_selector(object, &selector, NULL) < 0)
        return true;
    if (selector_matches(selector, kube_labels(match->pod)))
        control_look(match->control, match->kind->controller, kube_namespace(object), kube_name(object));
    selector_free(selector);
    return true;
}

/* Changes of many pods at once are one look: the more pods, the more it costs and the longer it waits for others. */
#define SETTLE (3 * CONTROL_MS)
#define SETTLE_PER_POD (CONTROL_MS / 32)

static void look_at_owner(Control *control, const Kind *kind, const json_t *pod)
{
    const json_t *owner = pod ? kube_controller(pod) : NULL;
    size_t pods;

    if (!owner || strcmp(kube_string(owner, "kind"), kind->kind) != 0)
        return;
    index_group(control->index, &pods, "owner/%s", kube_string(owner, "uid"));
    control_look_settled(control, kind->controller, kube_namespace(pod), kube_string(owner, "name"),
                         SETTLE + pods * SETTLE_PER_POD);
}

static void event_of(Control *control, const Kind *kind, const StoreEvent *event)
{
    if (control_is(event, kind->resource)) {
        control_look(control, kind->controller, kube_namespace(event->object), kube_name(event->object));
        return;
    }
    if (!control_is(event, RESOURCE_PODS))
        return;
    look_at_owner(control, kind, event->object);
    look_at_owner(control, kind, event->old);
    /* A pod that nobody controls may be adopted. */
    if (event->change != STORE_DELETED && !kube_controller(event->object) &&
        (control_changed(event, "metadata.labels") || control_changed(event, "metadata.ownerReferences"))) {
        Match match = {control, kind, event->object};
        store_each(control->store, kind->resource, kube_namespace(event->object), look_if_selected, &match);
    }
}

static void replication_event(Control *control, const StoreEvent *event)
{
    event_of(control, &kinds[0], event);
}

static void replica_set_event(Control *control, const StoreEvent *event)
{
    event_of(control, &kinds[1], event);
}

/* --- answers -------------------------------------------------------------------------------- */

/* context: the controller, as it was. */
static void pod_made(Control *control, Work *work, const ApiAnswer *answer, json_t *context)
{
    const char *component = kind_of(work->controller)->component;

    if (answer->status < 400)
        api_event(control->api, context, "Normal", "SuccessfulCreate", component, "Created pod: %s",
                  kube_name(answer->object));
    else
        api_event(control->api, context, "Warning", "FailedCreate", component, "Error creating: %s",
                  kube_string(answer->object, "message"));
    if (answer->status >= 400) {
        json_decref(work->note);
        work->note = json_string(kube_string(answer->object, "message"));
    }
}

/* context: [controller, pod] */
static void pod_removed(Control *control, Work *work, const ApiAnswer *answer, json_t *context)
{
    const json_t *controller = json_array_get(context, 0), *pod = json_array_get(context, 1);
    const char *component = kind_of(work->controller)->component;

    if (answer->status < 400)
        api_event(control->api, controller, "Normal", "SuccessfulDelete", component, "Deleted pod: %s", kube_name(pod));
    else if (answer->status != 404)
        api_event(control->api, controller, "Warning", "FailedDelete", component, "Error deleting: %s",
                  kube_string(answer->object, "message"));
}

/* --- actions -------------------------------------------------------------------------------- */

static void adopt(Control *control, Work *work, const json_t *controller, const json_t *pod)
{
    json_t *copy = json_deep_copy(pod), *metadata = json_object_get(copy, "metadata");
    json_t *references = json_object_get(metadata, "ownerReferences");

    if (!references) {
        references = json_array();
        json_object_set_new(metadata, "ownerReferences", references);
    }
    json_array_append_new(references, kube_owner_reference(controller));
    control_update(control, work, RESOURCE_PODS, copy, NULL, NULL);
}

static void release(Control *control, Work *work, const json_t *controller, const json_t *pod)
{
    json_t *copy = json_deep_copy(pod);
    json_t *references = json_object_get(json_object_get(copy, "metadata"), "ownerReferences");

    for (size_t i = json_array_size(references); i-- > 0;)
        if (strcmp(kube_string(json_array_get(references, i), "uid"), kube_uid(controller)) == 0)
            json_array_remove(references, i);
    if (json_array_size(references) == 0)
        kube_remove(copy, "metadata.ownerReferences");
    control_update(control, work, RESOURCE_PODS, copy, NULL, NULL);
}

static void act(Control *control, Work *work, const Kind *kind, const json_t *controller, const ReplicationPlan *plan)
{
    /* After a failure one attempt is enough to see whether it goes by now. */
    size_t burst = work->failures ? 1 : CONTROL_BURST;

    for (size_t i = 0; i < plan->n_adopt && i < CONTROL_BURST; i++)
        adopt(control, work, controller, plan->adopt[i]);
    for (size_t i = 0; i < plan->n_release && i < CONTROL_BURST; i++)
        release(control, work, controller, plan->release[i]);
    for (size_t i = 0; i < plan->create && i < burst; i++)
        control_create(control, work, RESOURCE_PODS, replication_pod(controller), pod_made,
                       json_incref((json_t *)controller));
    for (size_t i = 0; i < plan->n_remove && i < burst; i++)
        control_delete(control, work, RESOURCE_PODS, plan->remove[i], -1, pod_removed,
                       json_pack("[O, O]", controller, plan->remove[i]));
    if (plan->status)
        control_update_status(control, work, kind->resource, control_with_status(controller, json_incref(plan->status)),
                              NULL, NULL);
    if (plan->create > burst || plan->n_remove > burst)
        control_look_later(control, work, 0);
    else if (plan->look_again >= 0)
        control_look_later(control, work, (uint64_t)plan->look_again * CONTROL_S);
}

static void replication_look(Control *control, Work *work, const char *namespace, const char *name)
{
    const Kind *kind = kind_of(work->controller);
    const json_t *controller = store_get(control->store, kind->resource, namespace, name);
    size_t n_owned, n_free;

    if (!controller)
        return;
    IndexEntry *const *owned = index_group(control->index, &n_owned, "owner/%s", kube_uid(controller));
    IndexEntry *const *without = index_group(control->index, &n_free, "free/%s/%s", RESOURCE_PODS, namespace);
    AUTO_FREE const json_t **pods = calloc(n_owned + n_free + 1, sizeof *pods);
    size_t count = 0;

    for (size_t i = 0; pods && i < n_owned; i++)
        if (strcmp(owned[i]->resource, RESOURCE_PODS) == 0)
            pods[count++] = owned[i]->object;
    for (size_t i = 0; pods && i < n_free; i++)
        pods[count++] = without[i]->object;
    ReplicationPlan plan;
    if (!pods ||
        replication_plan(controller, pods, count, json_string_value(work->note), control_wall(control), &plan) < 0) {
        work->failed = true;
        return;
    }
    json_decref(work->note);
    work->note = NULL;
    act(control, work, kind, controller, &plan);
    replication_plan_clear(&plan);
}

const Controller replication_controller = {
    .name = RESOURCE_RCS, .settle = SETTLE, .event = replication_event, .look = replication_look};
const Controller replica_set_controller = {
    .name = RESOURCE_REPLICA_SETS, .settle = SETTLE, .event = replica_set_event, .look = replication_look};
