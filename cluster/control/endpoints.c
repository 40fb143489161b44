/* endpoints.c - the controller of endpoints: services with a selector get an
 * Endpoints object of their name. */
#include "endpoints_plan.h"

#include "control_internal.h"
#include "kube/selector.h"

#include "base/cleanup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- changes -------------------------------------------------------------------------------- */

typedef struct Match {
    Control *control;
    const StoreEvent *event;
} Match;

/* Pods often change together. What follows each of them alone would be quadratic: the more addresses there are, the
 * longer a look waits for others. */
#define SETTLE (5 * CONTROL_MS)
#define SETTLE_PER_ADDRESS (CONTROL_MS / 8)

static void look_at(Control *control, const json_t *service)
{
    const json_t *subset;
    size_t i, addresses = 0;

    json_array_foreach(
        kube_get(store_get(control->store, RESOURCE_ENDPOINTS, kube_namespace(service), kube_name(service)), "subsets"),
        i, subset) addresses += json_array_size(kube_get(subset, "addresses"));
    control_look_settled(control, &endpoints_controller, kube_namespace(service), kube_name(service),
                         SETTLE + addresses * SETTLE_PER_ADDRESS);
}

static bool look_if_selected(void *userdata, const json_t *service)
{
    const Match *match = userdata;
    Selector *selector;

    if (selector_from_map(kube_get(service, "spec.selector"), &selector, NULL) < 0)
        return true;
    if (selector_matches(selector, kube_labels(match->event->object)) ||
        (match->event->old && selector_matches(selector, kube_labels(match->event->old))))
        look_at(match->control, service);
    selector_free(selector);
    return true;
}

static bool pod_matters(const StoreEvent *event)
{
    return control_changed(event, "metadata.labels") || control_changed(event, "metadata.deletionTimestamp") ||
           control_changed(event, "status.podIP") || control_changed(event, "status.phase") ||
           kube_pod_ready(event->object) != kube_pod_ready(event->old);
}

/* Endpoints without a service may be somebody's own; only those whose service went go with it. */
static void note_gone(Control *control, const json_t *service)
{
    char key[2 * KUBE_NAME_MAX + 4];
    snprintf(key, sizeof key, "%s/%s", kube_namespace(service), kube_name(service));
    map_set(control->services_gone, key, control);
}

static bool take_gone(Control *control, const char *namespace, const char *name)
{
    char key[2 * KUBE_NAME_MAX + 4];
    snprintf(key, sizeof key, "%s/%s", namespace, name);
    return map_remove(control->services_gone, key) != NULL;
}

static void endpoints_event(Control *control, const StoreEvent *event)
{
    if (control_is(event, RESOURCE_SERVICES) && event->change == STORE_DELETED)
        note_gone(control, event->object);
    if (control_is(event, RESOURCE_SERVICES) || control_is(event, RESOURCE_ENDPOINTS)) {
        control_look(control, &endpoints_controller, kube_namespace(event->object), kube_name(event->object));
    } else if (control_is(event, RESOURCE_PODS) && pod_matters(event)) {
        Match match = {control, event};
        store_each(control->store, RESOURCE_SERVICES, kube_namespace(event->object), look_if_selected, &match);
    }
}

/* --- a look ----------------------------------------------------------------------------------- */

/* The pods of the smallest group among the selector's terms. */
static IndexEntry *const *candidates(Control *control, const json_t *service, size_t *ret_count)
{
    IndexEntry *const *least = NULL;
    const char *key;
    json_t *value;
    bool any = false;

    *ret_count = 0;
    json_object_foreach((json_t *)kube_get(service, "spec.selector"), key, value)
    {
        size_t count;
        IndexEntry *const *group = index_group(control->index, &count, "label/%s/%s=%s", kube_namespace(service), key,
                                               json_is_string(value) ? json_string_value(value) : "");
        if (!any || count < *ret_count) {
            least = group;
            *ret_count = count;
        }
        any = true;
    }
    return least;
}

static bool is_as_wanted(const json_t *is, const json_t *wanted)
{
    static const char *const parts[] = {"subsets", "metadata.labels"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const json_t *a = kube_get(is, parts[i]), *b = kube_get(wanted, parts[i]);
        bool empty = json_array_size(a) + json_array_size(b) + json_object_size(a) + json_object_size(b) == 0;
        if (!empty && !json_equal(a, b))
            return false;
    }
    return true;
}

static void endpoints_look(Control *control, Work *work, const char *namespace, const char *name)
{
    const json_t *service = store_get(control->store, RESOURCE_SERVICES, namespace, name);
    const json_t *is = store_get(control->store, RESOURCE_ENDPOINTS, namespace, name);

    if (!service) {
        if (take_gone(control, namespace, name) && is)
            control_delete(control, work, RESOURCE_ENDPOINTS, is, -1, NULL, NULL);
        return;
    }
    if (json_object_size(kube_get(service, "spec.selector")) == 0 || kube_deleting(service))
        return;
    size_t count;
    IndexEntry *const *entries = candidates(control, service, &count);
    AUTO_FREE const json_t **pods = calloc(count + 1, sizeof *pods);
    for (size_t i = 0; pods && i < count; i++)
        pods[i] = entries[i]->object;
    json_t *wanted = pods ? endpoints_plan(service, pods, count) : NULL;
    if (!wanted) {
        work->failed = true;
        return;
    }
    if (!is) {
        control_create(control, work, RESOURCE_ENDPOINTS, wanted, NULL, NULL);
        return;
    }
    if (is_as_wanted(is, wanted)) {
        json_decref(wanted);
        return;
    }
    json_t *copy = json_deep_copy(is);
    json_t *subsets = json_object_get(wanted, "subsets"),
           *labels = json_object_get(json_object_get(wanted, "metadata"), "labels");
    if (subsets)
        json_object_set(copy, "subsets", subsets);
    else
        json_object_del(copy, "subsets");
    if (labels)
        kube_set(copy, "metadata.labels", json_incref(labels));
    json_decref(wanted);
    control_update(control, work, RESOURCE_ENDPOINTS, copy, NULL, NULL);
}

const Controller endpoints_controller = {
    .name = "endpoints", .settle = SETTLE, .event = endpoints_event, .look = endpoints_look};
