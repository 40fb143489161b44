/* nodes.c - the controller of nodes: silence, taints, pods that must leave, and
 * address ranges of new nodes.
 *
 * The pods of a node that is given up are deleted at once and without its
 * confirmation (grace 0), so that their controllers replace them: what is
 * deleted so may still run where nobody hears of it. A node that returns ends
 * whatever the API does not know any more, and a claimed volume is fenced by the
 * node that attaches it next; so nothing counts twice meanwhile. */
#include "control_internal.h"
#include "node_plan.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define COMPONENT "node-controller"
/* Pods of a node that has never been seen: it may be about to register. */
#define UNKNOWN_NODE_GRACE (10 * CONTROL_S)
#define NODES_MAX 254 /* address ranges PREFIXn.0/24 */

/* The key of the look that judges all nodes. */
#define TICK ""

/* --- changes -------------------------------------------------------------------------------- */

/* Whoever says first that it is ready again: itself, which is a sign of life too, or we since its lease is renewed. */
static void note_return(Control *control, const StoreEvent *event)
{
    const char *name = kube_name(event->object);
    const char *before = kube_string(kube_condition(event->old, "Ready"), "status");
    if (event->change != STORE_MODIFIED || strcmp(before, "Unknown") != 0 ||
        !kube_condition_true(event->object, "Ready"))
        return;
    node_life_renewed(control->life, name, control_now(control));
    api_event(control->api, event->object, "Normal", "NodeReady", COMPONENT, "Node %s status is now: NodeReady", name);
}

static void nodes_event(Control *control, const StoreEvent *event)
{
    const char *name = kube_name(event->object);

    if (control_is(event, RESOURCE_NODES)) {
        if (event->change == STORE_DELETED) {
            node_life_remove(control->life, name);
            map_set(control->nodes_gone, name, control);
        } else {
            node_life_add(control->life, name, node_is_unreachable(event->object), control_now(control));
            map_remove(control->nodes_gone, name);
            note_return(control, event);
        }
        control_look(control, &nodes_controller, "", TICK);
        control_look(control, &nodes_controller, "", name);
    } else if (control_is(event, RESOURCE_LEASES) && event->change == STORE_MODIFIED &&
               strcmp(kube_namespace(event->object), "kube-node-lease") == 0) {
        NodeVerdict before = node_life_verdict(control->life, name);
        node_life_renewed(control->life, name, control_now(control));
        if (before != NODE_ALIVE)
            control_look(control, &nodes_controller, "", name);
    } else if (control_is(event, RESOURCE_PODS) && event->change != STORE_DELETED) {
        const char *node = kube_string(event->object, "spec.nodeName");
        if (*node && control_changed(event, "spec.nodeName"))
            control_look(control, &nodes_controller, "", node);
    }
}

static void on_verdict(void *userdata, const char *node, NodeVerdict verdict)
{
    (void)verdict;
    control_look(userdata, &nodes_controller, "", node);
}

static void tick(Control *control, Work *work)
{
    uint64_t now = control_now(control);
    uint64_t next = node_life_step(control->life, store_healthy_since(control->store), now, on_verdict, control);
    control_look_later(control, work, next > now ? next - now : 0);
}

/* --- address ranges --------------------------------------------------------------------------- */

typedef struct Ranges {
    const char *prefix;
    bool taken[NODES_MAX + 1];
} Ranges;

static bool note_range(void *userdata, const json_t *node)
{
    Ranges *ranges = userdata;
    const char *cidr = kube_string(node, "spec.podCIDR");
    size_t length = strlen(ranges->prefix);

    if (strncmp(cidr, ranges->prefix, length) == 0) {
        char *end;
        unsigned long n = strtoul(cidr + length, &end, 10);
        if (*end == '.' && n <= NODES_MAX)
            ranges->taken[n] = true;
    }
    return true;
}

static const char *free_range(Control *control, char *text, size_t size)
{
    Ranges ranges = {.prefix = control->options.pod_prefix};

    if (!ranges.prefix)
        return NULL;
    store_each(control->store, RESOURCE_NODES, NULL, note_range, &ranges);
    for (unsigned n = 1; n <= NODES_MAX; n++)
        if (!ranges.taken[n]) {
            snprintf(text, size, "%s%u.0/24", ranges.prefix, n);
            return text;
        }
    return NULL;
}

/* One at a time, or two nodes would get the same. */
static void range_given(Control *control, Work *work, const ApiAnswer *answer, json_t *context)
{
    (void)work;
    (void)answer;
    (void)context;
    control->giving_range = false;
}

/* --- pods that must leave ----------------------------------------------------------------------- */

static void remove_pod(Control *control, Work *work, const json_t *pod, int64_t grace)
{
    api_event(control->api, pod, "Normal", "TaintManagerEviction", "taint-eviction-controller",
              "Marking for deletion Pod %s/%s", kube_namespace(pod), kube_name(pod));
    control_delete(control, work, RESOURCE_PODS, pod, grace, NULL, NULL);
}

/* node NULL: it is not there. */
static void remove_pods(Control *control, Work *work, const char *name, const json_t *node)
{
    size_t count;
    unsigned begun = 0;
    IndexEntry *const *pods = index_group(control->index, &count, "node/%s", name);
    bool lost = !node || node_is_unreachable(node);

    for (size_t i = 0; i < count && begun < CONTROL_BURST; i++) {
        const json_t *pod = pods[i]->object;
        int64_t leaves = node ? node_pod_leaves(node, pod, control_wall(control)) : 0;
        if (leaves > 0)
            control_look_later(control, work, (uint64_t)leaves * CONTROL_S);
        if (leaves != 0 || (!lost && kube_deleting(pod)))
            continue;
        remove_pod(control, work, pod, lost ? 0 : -1);
        begun++;
    }
    if (begun == CONTROL_BURST)
        control_look_later(control, work, 0);
}

/* --- a look ----------------------------------------------------------------------------------- */

static void gone(Control *control, Work *work, const char *name)
{
    size_t count;

    index_group(control->index, &count, "node/%s", name);
    if (count == 0)
        map_remove(control->nodes_gone, name);
    else if (map_get(control->nodes_gone, name) ||
             (work->grace_from != 0 && control_now(control) - work->grace_from >= UNKNOWN_NODE_GRACE))
        remove_pods(control, work, name, NULL);
    else if (work->grace_from == 0) {
        work->grace_from = control_now(control);
        control_look_later(control, work, UNKNOWN_NODE_GRACE);
    } else {
        control_look_later(control, work, work->grace_from + UNKNOWN_NODE_GRACE - control_now(control));
    }
}

static void nodes_look(Control *control, Work *work, const char *namespace, const char *name)
{
    (void)namespace;
    if (strcmp(name, TICK) == 0) {
        tick(control, work);
        return;
    }
    const json_t *node = store_get(control->store, RESOURCE_NODES, "", name);
    if (!node) {
        gone(control, work, name);
        return;
    }
    char text[64];
    const char *cidr = NULL;
    if (*kube_string(node, "spec.podCIDR") == '\0') {
        if (control->giving_range)
            control_look_later(control, work, 10 * CONTROL_MS);
        else
            cidr = free_range(control, text, sizeof text);
    }
    NodePlan plan;
    if (node_plan(node, node_life_verdict(control->life, name), cidr, control_wall(control), &plan) < 0) {
        work->failed = true;
        return;
    }
    if (plan.lost)
        api_event(control->api, node, "Normal", "NodeNotReady", COMPONENT, "Node %s status is now: NodeNotReady", name);
    if (plan.lost && node_life_verdict(control->life, name) == NODE_HELD)
        api_event(control->api, node, "Warning", "PartialDisruption", COMPONENT,
                  "More than half of the nodes fell silent together: pods of node %s stay where they are", name);
    if (plan.status) {
        control_update_status(control, work, RESOURCE_NODES, plan.status, NULL, NULL);
    } else if (plan.spec) {
        control->giving_range |= cidr != NULL;
        control_update(control, work, RESOURCE_NODES, plan.spec, cidr ? range_given : NULL, NULL);
    } else {
        remove_pods(control, work, name, node);
    }
}

const Controller nodes_controller = {.name = "node", .event = nodes_event, .look = nodes_look};
