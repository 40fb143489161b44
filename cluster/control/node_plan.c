/* node_plan.c - see node_plan.h. Texts are those of Kubernetes' node life cycle
 * controller and kubelet. */
#include "node_plan.h"

#include "fit.h"

#include <errno.h>
#include <string.h>

#define SILENT_MESSAGE "Kubelet stopped posting node status."
#define HELD_MESSAGE                                                                                                   \
    "Kubelet stopped posting node status. More than half of the nodes fell silent together: pods stay where they are."

typedef struct Text {
    const char *type, *status, *reason, *message;
} Text;

/* Of a node that is heard again; it corrects what has changed. */
static const Text good[] = {
    {"Ready", "True", "KubeletReady", "kubelet is posting ready status"},
    {"MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"},
    {"DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"},
    {"PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"},
};

static bool is_unknown(const json_t *node, const char *type)
{
    return strcmp(kube_string(kube_condition(node, type), "status"), "Unknown") == 0;
}

/* --- status --------------------------------------------------------------------------------- */

static int plan_status(const json_t *node, NodeVerdict verdict, time_t now, NodePlan *plan)
{
    bool silent = verdict == NODE_SILENT || verdict == NODE_HELD;
    bool was_unknown = is_unknown(node, "Ready");
    bool changed = false;

    if (!silent && !(verdict == NODE_ALIVE && was_unknown))
        return 0;
    json_t *copy = json_deep_copy(node);
    if (!copy)
        return -ENOMEM;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        const Text *text = &good[i];
        if (silent)
            changed |= kube_set_condition(copy, text->type, "Unknown",
                                          verdict == NODE_HELD ? "PartialDisruption" : "NodeStatusUnknown",
                                          verdict == NODE_HELD ? HELD_MESSAGE : SILENT_MESSAGE, now);
        else if (is_unknown(node, text->type))
            changed |= kube_set_condition(copy, text->type, text->status, text->reason, text->message, now);
    }
    if (changed) {
        plan->status = copy;
        plan->lost = silent && !was_unknown;
        return 0;
    }
    json_decref(copy);
    return 0;
}

/* --- taints --------------------------------------------------------------------------------- */

static bool is_taint(const json_t *taint, const char *key, const char *effect)
{
    return strcmp(kube_string(taint, "key"), key) == 0 && strcmp(kube_string(taint, "effect"), effect) == 0;
}

static bool set_taint(json_t *taints, const char *key, const char *effect, bool wanted, time_t now)
{
    char added[KUBE_TIME_SIZE];
    json_t *taint;
    size_t i;

    json_array_foreach(taints, i, taint) if (is_taint(taint, key, effect))
    {
        if (!wanted)
            json_array_remove(taints, i);
        return !wanted;
    }
    if (!wanted)
        return false;
    kube_time(now, added);
    taint = strcmp(effect, "NoExecute") == 0
                ? json_pack("{s:s, s:s, s:s}", "key", key, "effect", effect, "timeAdded", added)
                : json_pack("{s:s, s:s}", "key", key, "effect", effect);
    json_array_append_new(taints, taint);
    return true;
}

static int plan_spec(const json_t *node, NodeVerdict verdict, const char *cidr, time_t now, NodePlan *plan)
{
    json_t *copy = json_deep_copy(node), *spec = json_object_get(copy, "spec");
    if (!copy)
        return -ENOMEM;
    if (!spec) {
        spec = json_object();
        json_object_set_new(copy, "spec", spec);
    }
    json_t *taints = json_object_get(spec, "taints");
    if (!json_is_array(taints)) {
        taints = json_array();
        json_object_set_new(spec, "taints", taints);
    }
    bool changed = false;
    const char *ready = kube_string(kube_condition(node, "Ready"), "status");
    bool unknown = strcmp(ready, "Unknown") == 0;
    changed |= set_taint(taints, TAINT_UNREACHABLE, "NoSchedule", unknown, now);
    /* A grace period after our start says nothing: what was found stays. */
    if (verdict != NODE_GRACE || !unknown)
        changed |= set_taint(taints, TAINT_UNREACHABLE, "NoExecute", unknown && verdict == NODE_SILENT, now);
    changed |= set_taint(taints, TAINT_NOT_READY, "NoSchedule", strcmp(ready, "False") == 0, now);
    changed |= set_taint(taints, TAINT_UNSCHEDULABLE, "NoSchedule", kube_boolean(node, "spec.unschedulable"), now);
    if (json_array_size(taints) == 0)
        json_object_del(spec, "taints");
    if (cidr && *kube_string(node, "spec.podCIDR") == '\0') {
        json_object_set_new(spec, "podCIDR", json_string(cidr));
        json_object_set_new(spec, "podCIDRs", json_pack("[s]", cidr));
        changed = true;
    }
    if (changed)
        plan->spec = copy;
    else
        json_decref(copy);
    return 0;
}

int node_plan(const json_t *node, NodeVerdict verdict, const char *cidr, time_t now, NodePlan *ret)
{
    *ret = (NodePlan){0};
    int r = plan_status(node, verdict, now, ret);
    /* The taints follow the conditions as they are stored. */
    if (r == 0 && !ret->status)
        r = plan_spec(node, verdict, cidr, now, ret);
    return r;
}

/* --- pods ----------------------------------------------------------------------------------- */

bool node_is_unreachable(const json_t *node)
{
    const json_t *taint;
    size_t i;

    json_array_foreach(kube_get(node, "spec.taints"), i,
                       taint) if (is_taint(taint, TAINT_UNREACHABLE, "NoExecute")) return true;
    return false;
}

int64_t node_pod_leaves(const json_t *node, const json_t *pod, time_t now)
{
    const json_t *taint;
    size_t i;
    int64_t soonest = -1;

    json_array_foreach(kube_get(node, "spec.taints"), i, taint)
    {
        if (strcmp(kube_string(taint, "effect"), "NoExecute") != 0)
            continue;
        int64_t seconds = fit_toleration_seconds(pod, taint);
        if (seconds < 0)
            continue;
        uint64_t added;
        if (seconds > 0 && kube_time_parse(kube_string(taint, "timeAdded"), &added) == 0) {
            int64_t left = (int64_t)(added / 1000000) + seconds - (int64_t)now;
            seconds = left > 0 ? left : 0;
        }
        if (soonest < 0 || seconds < soonest)
            soonest = seconds;
    }
    return soonest;
}
