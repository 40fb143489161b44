/* schedule.c - the controller that gives pods their nodes, around scheduler.h.
 *
 * A pod that fits nowhere waits until something changes that could matter, or
 * half a minute. A pod whose binding is under way counts as placed already. */
#include "control_internal.h"

#include "base/cleanup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COMPONENT "default-scheduler"
/* What changed may have been overlooked (a toleration that ends, ...). */
#define LOOK_AGAIN (30 * CONTROL_S)

static bool waits(const json_t *pod)
{
    return *kube_string(pod, "spec.nodeName") == '\0' && !kube_deleting(pod) && !kube_pod_ended(pod);
}

static void pod_key(const json_t *pod, char key[2 * KUBE_NAME_MAX + 4])
{
    snprintf(key, 2 * KUBE_NAME_MAX + 4, "%s/%s", kube_namespace(pod), kube_name(pod));
}

void schedule_feed(Control *control, const char *resource, const json_t *object, const json_t *current)
{
    if (strcmp(resource, RESOURCE_PODS) == 0) {
        char key[2 * KUBE_NAME_MAX + 4];
        pod_key(object, key);
        const json_t *assumed = map_get(control->assumed, key);
        if (assumed && current && waits(current) && strcmp(kube_uid(assumed), kube_uid(current)) == 0)
            current = assumed;
        scheduler_pod(control->scheduler, current ? current : object, !current);
    } else if (strcmp(resource, RESOURCE_NODES) == 0) {
        scheduler_node(control->scheduler, current ? current : object, !current);
    } else if (strcmp(resource, RESOURCE_CLAIMS) == 0) {
        scheduler_volume_claim(control->scheduler, current ? current : object, !current);
    }
}

/* --- changes -------------------------------------------------------------------------------- */

static bool look_if_waiting(void *userdata, const json_t *pod)
{
    if (waits(pod))
        control_look(userdata, &schedule_controller, kube_namespace(pod), kube_name(pod));
    return true;
}

/* Whether room may have come up: what only the status of a node's health says, comes every few seconds. */
static bool may_matter(const StoreEvent *event)
{
    if (control_is(event, RESOURCE_NODES))
        return event->change != STORE_DELETED &&
               (control_changed(event, "spec") || control_changed(event, "metadata.labels") ||
                control_changed(event, "status.allocatable") ||
                kube_condition_true(event->object, "Ready") != kube_condition_true(event->old, "Ready"));
    if (control_is(event, RESOURCE_CLAIMS))
        return event->change != STORE_DELETED;
    return control_is(event, RESOURCE_PODS) && *kube_string(event->object, "spec.nodeName") &&
           (event->change == STORE_DELETED || (kube_pod_ended(event->object) && !kube_pod_ended(event->old)));
}

static void schedule_event(Control *control, const StoreEvent *event)
{
    if (control_is(event, RESOURCE_PODS) && event->change != STORE_DELETED && waits(event->object) &&
        (control_changed(event, "spec") || control_changed(event, "metadata.labels")))
        control_look(control, &schedule_controller, kube_namespace(event->object), kube_name(event->object));
    if (control->n_unplaced > 0 && may_matter(event)) {
        control->n_unplaced = 0;
        store_each(control->store, RESOURCE_PODS, NULL, look_if_waiting, control);
    }
}

/* --- a look ----------------------------------------------------------------------------------- */

/* The binding is answered: from now on the pod itself says where it is. context: the pod. */
static void on_bound(Control *control, Work *work, const ApiAnswer *answer, json_t *context)
{
    char key[2 * KUBE_NAME_MAX + 4];
    pod_key(context, key);
    json_t *assumed = map_remove(control->assumed, key);
    const char *node = kube_string(assumed, "spec.nodeName");

    if (answer->status < 400)
        api_event(control->api, context, "Normal", "Scheduled", COMPONENT, "Successfully assigned %s to %s", key, node);
    else if (answer->status == 404)
        work->failed = false;
    json_decref(assumed);
    schedule_feed(control, RESOURCE_PODS, context,
                  store_get(control->store, RESOURCE_PODS, kube_namespace(context), kube_name(context)));
}

static void bind_pod(Control *control, Work *work, const json_t *pod, const char *node)
{
    char key[2 * KUBE_NAME_MAX + 4];
    json_t *assumed = json_deep_copy(pod);

    pod_key(pod, key);
    if (!assumed || kube_set(assumed, "spec.nodeName", json_string(node)) < 0 ||
        map_set(control->assumed, key, assumed) < 0) {
        json_decref(assumed);
        work->failed = true;
        return;
    }
    scheduler_pod(control->scheduler, assumed, false);
    json_t *binding = json_pack("{s:s, s:s, s:{s:s, s:s, s:s}, s:{s:s, s:s, s:s}}", "apiVersion", "v1", "kind",
                                "Binding", "metadata", "name", kube_name(pod), "namespace", kube_namespace(pod), "uid",
                                kube_uid(pod), "target", "apiVersion", "v1", "kind", "Node", "name", node);
    const ApiRequest request = {.verb = API_CREATE,
                                .resource = resource_of_key(RESOURCE_PODS),
                                .namespace = kube_namespace(pod),
                                .name = kube_name(pod),
                                .subresource = "binding",
                                .body = binding,
                                .grace = -1};
    control_submit(control, work, RESOURCE_PODS, &request, on_bound, json_incref((json_t *)pod));
    json_decref(binding);
}

/* Says it once per reason: in the condition, and as an event that counts. */
static void say_unplaced(Control *control, Work *work, const json_t *pod, const char *why)
{
    json_t *copy = json_deep_copy(pod);

    control->n_unplaced++;
    control_look_later(control, work, LOOK_AGAIN);
    if (!copy)
        return;
    bool changed = kube_set_condition(copy, "PodScheduled", "False", "Unschedulable", why, control_wall(control));
    if (changed) {
        api_event(control->api, pod, "Warning", "FailedScheduling", COMPONENT, "%s", why);
        control_update_status(control, work, RESOURCE_PODS, copy, NULL, NULL);
    } else {
        json_decref(copy);
    }
}

static void schedule_look(Control *control, Work *work, const char *namespace, const char *name)
{
    const json_t *pod = store_get(control->store, RESOURCE_PODS, namespace, name);
    char node[KUBE_NAME_MAX + 1], why[SCHEDULER_WHY_MAX] = "";

    if (!pod || !waits(pod))
        return;
    const char *wanted = kube_string(pod, "spec.schedulerName");
    if (*wanted && strcmp(wanted, "default-scheduler") != 0)
        return;
    int r = scheduler_place(control->scheduler, pod, node, why, sizeof why);
    if (r == 0)
        bind_pod(control, work, pod, node);
    else if (r == -EAGAIN)
        say_unplaced(control, work, pod, why);
    else
        work->failed = true;
}

const Controller schedule_controller = {.name = "schedule", .event = schedule_event, .look = schedule_look};
