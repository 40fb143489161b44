/* deployment.c - the controller of Deployments. */
#include "deployment_plan.h"

#include "control_internal.h"
#include "replication_plan.h"

#include "base/cleanup.h"

#include <stdlib.h>
#include <string.h>

#define COMPONENT "deployment-controller"
#define KIND "Deployment"

/* --- changes -------------------------------------------------------------------------------- */

static void look_at_owner(Control *control, const json_t *object, const char *kind)
{
    const json_t *owner = object ? kube_controller(object) : NULL;
    if (owner && strcmp(kube_string(owner, "kind"), kind) == 0)
        control_look(control, &deployment_controller, kube_namespace(object), kube_string(owner, "name"));
}

static bool look_at(void *userdata, const json_t *deployment)
{
    control_look(userdata, &deployment_controller, kube_namespace(deployment), kube_name(deployment));
    return true;
}

static void deployment_event(Control *control, const StoreEvent *event)
{
    if (control_is(event, RESOURCE_DEPLOYMENTS)) {
        control_look(control, &deployment_controller, kube_namespace(event->object), kube_name(event->object));
    } else if (control_is(event, RESOURCE_REPLICA_SETS)) {
        look_at_owner(control, event->object, KIND);
        look_at_owner(control, event->old, KIND);
        if (event->change != STORE_DELETED && !kube_controller(event->object) && control_changed(event, "metadata"))
            store_each(control->store, RESOURCE_DEPLOYMENTS, kube_namespace(event->object), look_at, control);
    } else if (control_is(event, RESOURCE_PODS) && event->change == STORE_DELETED) {
        /* One with the strategy Recreate waits for the last pod. */
        const json_t *owner = kube_controller(event->object);
        if (owner && strcmp(kube_string(owner, "kind"), "ReplicaSet") == 0)
            look_at_owner(control,
                          store_get(control->store, RESOURCE_REPLICA_SETS, kube_namespace(event->object),
                                    kube_string(owner, "name")),
                          KIND);
    }
}

/* --- answers -------------------------------------------------------------------------------- */

/* context: [deployment, set, text or null] */
static void set_scaled(Control *control, Work *work, const ApiAnswer *answer, json_t *context)
{
    const char *text = json_string_value(json_array_get(context, 2));
    (void)work;
    if (answer->status < 400 && text)
        api_event(control->api, json_array_get(context, 0), "Normal", "ScalingReplicaSet", COMPONENT, "%s", text);
}

/* The same context. A set of that name with another template: the hash was the same by chance. */
static void set_made(Control *control, Work *work, const ApiAnswer *answer, json_t *context)
{
    const json_t *deployment = json_array_get(context, 0), *wanted = json_array_get(context, 1);

    if (answer->status < 400) {
        set_scaled(control, work, answer, context);
        return;
    }
    const json_t *is = store_get(control->store, RESOURCE_REPLICA_SETS, kube_namespace(wanted), kube_name(wanted));
    if (answer->status != 409) {
        json_decref(work->note);
        work->note = json_string(kube_string(answer->object, "message"));
        api_event(control->api, deployment, "Warning", "ReplicaSetCreateError", COMPONENT,
                  "Failed to create new replica set \"%s\": %s", kube_name(wanted),
                  kube_string(answer->object, "message"));
    } else if (is && !deployment_same_template(kube_get(is, "spec.template"), kube_get(wanted, "spec.template"))) {
        json_t *copy = json_deep_copy(
            store_get(control->store, RESOURCE_DEPLOYMENTS, kube_namespace(deployment), kube_name(deployment)));
        if (copy) {
            kube_set(copy, "status.collisionCount", json_integer(kube_integer(copy, "status.collisionCount", 0) + 1));
            control_update_status(control, work, RESOURCE_DEPLOYMENTS, copy, NULL, NULL);
        }
    }
}

/* --- a look ----------------------------------------------------------------------------------- */

/* Sets that match and have no controller become the Deployment's. */
static bool adopt(Control *control, Work *work, const json_t *deployment)
{
    size_t count;
    bool any = false;
    Selector *selector;
    IndexEntry *const *sets =
        index_group(control->index, &count, "free/%s/%s", RESOURCE_REPLICA_SETS, kube_namespace(deployment));

    if (count == 0 || kube_deleting(deployment) ||
        selector_from_object(kube_get(deployment, "spec.selector"), &selector, NULL) < 0)
        return false;
    for (size_t i = 0; i < count && i < CONTROL_BURST; i++) {
        const json_t *set = sets[i]->object;
        if (kube_deleting(set) || !selector_matches(selector, kube_labels(set)))
            continue;
        json_t *copy = json_deep_copy(set), *metadata = json_object_get(copy, "metadata");
        if (!json_object_get(metadata, "ownerReferences"))
            json_object_set_new(metadata, "ownerReferences", json_array());
        json_array_append_new(json_object_get(metadata, "ownerReferences"), kube_owner_reference(deployment));
        control_update(control, work, RESOURCE_REPLICA_SETS, copy, NULL, NULL);
        any = true;
    }
    selector_free(selector);
    return any;
}

static DeploymentSet set_with_pods(const Control *control, const json_t *set)
{
    DeploymentSet result = {.set = set};
    size_t count;
    IndexEntry *const *owned = index_group(control->index, &count, "owner/%s", kube_uid(set));

    for (size_t i = 0; i < count; i++) {
        if (strcmp(owned[i]->resource, RESOURCE_PODS) != 0 || kube_pod_ended(owned[i]->object))
            continue;
        result.n_pods++;
        result.n_staying += !kube_deleting(owned[i]->object);
    }
    return result;
}

static json_t *context_of(const json_t *deployment, const json_t *set, const DeploymentPlan *plan)
{
    json_t *text = json_object_get(plan->events, kube_name(set));
    return json_pack("[O, O, O?]", deployment, set, text);
}

static void act(Control *control, Work *work, const json_t *deployment, DeploymentPlan *plan)
{
    json_t *item;
    size_t i;

    if (plan->create) {
        json_t *context = context_of(deployment, plan->create, plan);
        control_create(control, work, RESOURCE_REPLICA_SETS, TAKE_PTR(plan->create), set_made, context);
    }
    json_array_foreach(plan->updates, i, item) control_update(control, work, RESOURCE_REPLICA_SETS, json_incref(item),
                                                              set_scaled, context_of(deployment, item, plan));
    json_array_foreach(plan->remove, i, item)
        control_delete(control, work, RESOURCE_REPLICA_SETS, item, -1, NULL, NULL);
    if (plan->object)
        control_update(control, work, RESOURCE_DEPLOYMENTS, TAKE_PTR(plan->object), NULL, NULL);
    else if (plan->status)
        control_update_status(control, work, RESOURCE_DEPLOYMENTS, TAKE_PTR(plan->status), NULL, NULL);
    if (plan->look_again >= 0)
        control_look_later(control, work, (uint64_t)plan->look_again * CONTROL_S);
}

static void deployment_look(Control *control, Work *work, const char *namespace, const char *name)
{
    const json_t *deployment = store_get(control->store, RESOURCE_DEPLOYMENTS, namespace, name);
    size_t n_owned, count = 0;

    if (!deployment || adopt(control, work, deployment))
        return;
    IndexEntry *const *owned = index_group(control->index, &n_owned, "owner/%s", kube_uid(deployment));
    AUTO_FREE DeploymentSet *sets = calloc(n_owned + 1, sizeof *sets);
    for (size_t i = 0; sets && i < n_owned; i++)
        if (strcmp(owned[i]->resource, RESOURCE_REPLICA_SETS) == 0)
            sets[count++] = set_with_pods(control, owned[i]->object);
    DeploymentPlan plan;
    if (!sets ||
        deployment_plan(deployment, sets, count, json_string_value(work->note), control_wall(control), &plan) < 0) {
        work->failed = true;
        return;
    }
    json_decref(work->note);
    work->note = NULL;
    act(control, work, deployment, &plan);
    deployment_plan_clear(&plan);
}

#define SETTLE (3 * CONTROL_MS)
const Controller deployment_controller = {
    .name = RESOURCE_DEPLOYMENTS, .settle = SETTLE, .event = deployment_event, .look = deployment_look};
