/* stateful.c - the controller of StatefulSets. */
#include "control_internal.h"
#include "replication_plan.h"
#include "stateful_plan.h"

#include "base/cleanup.h"

#include <stdlib.h>
#include <string.h>

#define COMPONENT "statefulset-controller"
#define KIND "StatefulSet"

/* --- changes -------------------------------------------------------------------------------- */

static void look_at_owner(Control *control, const json_t *object)
{
    const json_t *owner = object ? kube_controller(object) : NULL;
    if (owner && strcmp(kube_string(owner, "kind"), KIND) == 0)
        control_look(control, &stateful_controller, kube_namespace(object), kube_string(owner, "name"));
}

static void stateful_event(Control *control, const StoreEvent *event)
{
    if (control_is(event, RESOURCE_STATEFUL_SETS)) {
        control_look(control, &stateful_controller, kube_namespace(event->object), kube_name(event->object));
    } else if (control_is(event, RESOURCE_PODS) || control_is(event, RESOURCE_REVISIONS)) {
        look_at_owner(control, event->object);
        look_at_owner(control, event->old);
    }
}

/* --- answers -------------------------------------------------------------------------------- */

static void report(Control *control, const ApiAnswer *answer, const json_t *context, const char *verb,
                   const char *reason, const char *failure)
{
    const json_t *set = json_array_get(context, 0), *object = json_array_get(context, 1);
    const char *kind = kube_string(object, "kind");

    if (answer->status < 400)
        api_event(control->api, set, "Normal", reason, COMPONENT, "%s %s %s in StatefulSet %s successful", verb, kind,
                  kube_name(object), kube_name(set));
    else if (answer->status != 404 && answer->status != 409)
        api_event(control->api, set, "Warning", failure, COMPONENT, "%s %s %s in StatefulSet %s failed error: %s", verb,
                  kind, kube_name(object), kube_name(set), kube_string(answer->object, "message"));
}

/* context: [set, object] */
static void made(Control *control, Work *work, const ApiAnswer *answer, json_t *context)
{
    (void)work;
    report(control, answer, context, "create", "SuccessfulCreate", "FailedCreate");
}

static void removed(Control *control, Work *work, const ApiAnswer *answer, json_t *context)
{
    (void)work;
    report(control, answer, context, "delete", "SuccessfulDelete", "FailedDelete");
}

/* --- a look ----------------------------------------------------------------------------------- */

static const json_t **owned_of(Control *control, const json_t *set, const char *resource, size_t *ret_count)
{
    size_t count;
    IndexEntry *const *owned = index_group(control->index, &count, "owner/%s", kube_uid(set));
    const json_t **list = calloc(count + 1, sizeof *list);

    *ret_count = 0;
    for (size_t i = 0; list && i < count; i++)
        if (strcmp(owned[i]->resource, resource) == 0)
            list[(*ret_count)++] = owned[i]->object;
    return list;
}

/* Pods of its name and labels that nobody controls (their set was deleted without them). */
static bool adopt(Control *control, Work *work, const json_t *set)
{
    size_t count;
    bool any = false;
    Selector *selector;
    IndexEntry *const *pods = index_group(control->index, &count, "free/%s/%s", RESOURCE_PODS, kube_namespace(set));

    if (count == 0 || kube_deleting(set) || selector_from_object(kube_get(set, "spec.selector"), &selector, NULL) < 0)
        return false;
    for (size_t i = 0; i < count; i++) {
        const json_t *pod = pods[i]->object;
        if (stateful_ordinal(set, kube_name(pod)) < 0 || kube_deleting(pod) ||
            !selector_matches(selector, kube_labels(pod)))
            continue;
        json_t *copy = json_deep_copy(pod), *metadata = json_object_get(copy, "metadata");
        if (!json_object_get(metadata, "ownerReferences"))
            json_object_set_new(metadata, "ownerReferences", json_array());
        json_array_append_new(json_object_get(metadata, "ownerReferences"), kube_owner_reference(set));
        control_update(control, work, RESOURCE_PODS, copy, NULL, NULL);
        any = true;
    }
    selector_free(selector);
    return any;
}

static void make_pods(Control *control, Work *work, const json_t *set, StatefulPlan *plan)
{
    json_t *item;
    size_t i;

    json_array_foreach(plan->claims, i,
                       item) if (!store_get(control->store, RESOURCE_CLAIMS, kube_namespace(item), kube_name(item)))
        control_create(control, work, RESOURCE_CLAIMS, json_incref(item), made, json_pack("[O, O]", set, item));
    json_array_foreach(plan->create, i, item)
        control_create(control, work, RESOURCE_PODS, json_incref(item), made, json_pack("[O, O]", set, item));
}

static void act(Control *control, Work *work, const json_t *set, StatefulPlan *plan)
{
    json_t *item;
    size_t i;

    if (plan->revision) {
        control_create(control, work, RESOURCE_REVISIONS, TAKE_PTR(plan->revision), NULL, NULL);
        return;
    }
    if (plan->renewed)
        control_update(control, work, RESOURCE_REVISIONS, TAKE_PTR(plan->renewed), NULL, NULL);
    make_pods(control, work, set, plan);
    json_array_foreach(plan->remove, i, item)
        control_delete(control, work, RESOURCE_PODS, item, -1, removed, json_pack("[O, O]", set, item));
    json_array_foreach(plan->forget, i, item) control_delete(control, work, RESOURCE_REVISIONS, item, -1, NULL, NULL);
    if (plan->status)
        control_update_status(control, work, RESOURCE_STATEFUL_SETS, TAKE_PTR(plan->status), NULL, NULL);
}

static void stateful_look(Control *control, Work *work, const char *namespace, const char *name)
{
    const json_t *set = store_get(control->store, RESOURCE_STATEFUL_SETS, namespace, name);
    size_t n_pods, n_revisions;

    if (!set || adopt(control, work, set))
        return;
    AUTO_FREE const json_t **pods = owned_of(control, set, RESOURCE_PODS, &n_pods);
    AUTO_FREE const json_t **revisions = owned_of(control, set, RESOURCE_REVISIONS, &n_revisions);
    StatefulPlan plan;
    if (!pods || !revisions || stateful_plan(set, pods, n_pods, revisions, n_revisions, &plan) < 0) {
        work->failed = true;
        return;
    }
    act(control, work, set, &plan);
    stateful_plan_clear(&plan);
}

#define SETTLE (3 * CONTROL_MS)
const Controller stateful_controller = {
    .name = RESOURCE_STATEFUL_SETS, .settle = SETTLE, .event = stateful_event, .look = stateful_look};
