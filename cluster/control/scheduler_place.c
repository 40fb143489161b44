/* scheduler_place.c - the choice of a node: filters in the order of Kubernetes'
 * default profile, then scores. */
#include "fit.h"
#include "scheduler_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Weights: one pod less of the same controller is worth more than any difference in load (0 to 100), so that
 * replicas spread first. */
#define SCORE_SPREAD 150
#define SCORE_TAINT 50

#define REASON_SIZE 256u
#define REASONS_MAX 24u

/* --- host ports ----------------------------------------------------------------------------- */

void scheduler_host_ports(const json_t *pod, HostPorts *ret)
{
    const json_t *container, *port;
    size_t i, k;

    json_array_foreach(kube_get(pod, "spec.containers"), i, container)
        json_array_foreach(kube_get(container, "ports"), k, port)
    {
        const char *protocol = kube_string(port, "protocol");
        HostPort one = {*protocol ? protocol : "TCP", kube_string(port, "hostIP"), kube_integer(port, "hostPort", 0)};
        if (one.port > 0)
            host_ports_add(ret, &one);
    }
}

void host_ports_add(HostPorts *ports, const HostPort *port)
{
    HostPort *more = reallocarray(ports->ports, ports->count + 1, sizeof *more);
    if (!more)
        return;
    ports->ports = more;
    more[ports->count++] = *port;
}

static bool same_port(const HostPort *a, const HostPort *b)
{
    return a->port == b->port && strcmp(a->protocol, b->protocol) == 0;
}

void host_ports_remove(HostPorts *ports, const HostPort *port)
{
    for (size_t i = 0; i < ports->count; i++)
        if (same_port(&ports->ports[i], port) && strcmp(ports->ports[i].address, port->address) == 0) {
            ports->ports[i] = ports->ports[--ports->count];
            return;
        }
}

static bool everywhere(const char *address)
{
    return *address == '\0' || strcmp(address, "0.0.0.0") == 0;
}

bool host_ports_clash(const HostPorts *a, const HostPorts *b)
{
    for (size_t i = 0; i < a->count; i++)
        for (size_t k = 0; k < b->count; k++)
            if (same_port(&a->ports[i], &b->ports[k]) &&
                (everywhere(a->ports[i].address) || everywhere(b->ports[k].address) ||
                 strcmp(a->ports[i].address, b->ports[k].address) == 0))
                return true;
    return false;
}

/* --- why not -------------------------------------------------------------------------------- */

typedef struct Reasons {
    char texts[REASONS_MAX][REASON_SIZE];
    size_t counts[REASONS_MAX];
    size_t count;
} Reasons;

__attribute__((format(printf, 2, 3))) static void reason(Reasons *reasons, const char *format, ...)
{
    char text[REASON_SIZE];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    for (size_t i = 0; i < reasons->count; i++)
        if (strcmp(reasons->texts[i], text) == 0) {
            reasons->counts[i]++;
            return;
        }
    if (reasons->count == REASONS_MAX)
        return;
    memcpy(reasons->texts[reasons->count], text, sizeof text);
    reasons->counts[reasons->count++] = 1;
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void say_why(const Reasons *reasons, size_t nodes, char *why, size_t size)
{
    char lines[REASONS_MAX][REASON_SIZE + 24];
    size_t length;

    if (nodes == 0) {
        snprintf(why, size, "no nodes available to schedule pods");
        return;
    }
    for (size_t i = 0; i < reasons->count; i++)
        snprintf(lines[i], sizeof lines[i], "%zu %s", reasons->counts[i], reasons->texts[i]);
    qsort(lines, reasons->count, sizeof lines[0], compare_texts);
    length = (size_t)snprintf(why, size, "0/%zu nodes are available: ", nodes);
    for (size_t i = 0; i < reasons->count && length < size; i++)
        length += (size_t)snprintf(why + length, size - length, "%s%s", lines[i], i + 1 < reasons->count ? ", " : ".");
}

/* --- filters -------------------------------------------------------------------------------- */

typedef struct Needs {
    const Scheduler *scheduler;
    const json_t *pod;
    Amounts requests;
    HostPorts ports;
    const OwnerInfo *owner;
} Needs;

static bool taints_allow(const Needs *needs, const NodeInfo *node, Reasons *reasons)
{
    const json_t *taint;
    const char *key = NULL, *value = "";
    size_t i;

    json_array_foreach(kube_get(node->object, "spec.taints"), i, taint)
    {
        const char *effect = kube_string(taint, "effect");
        if (!key && strcmp(effect, "PreferNoSchedule") != 0 &&
            !fit_tolerates(needs->pod, kube_string(taint, "key"), kube_string(taint, "value"), effect)) {
            key = kube_string(taint, "key");
            value = kube_string(taint, "value");
        }
    }
    if (!key && (key = node->missing_taint) && fit_tolerates(needs->pod, key, "", "NoSchedule"))
        key = NULL;
    if (key)
        reason(reasons, "node(s) had taint {%s: %s}, that the pod didn't tolerate", key, value);
    return !key;
}

static bool resources_allow(const Needs *needs, const NodeInfo *node, Reasons *reasons)
{
    bool fits = true;

    if (node->n_pods >= node->pods_max) {
        reason(reasons, "Too many pods");
        fits = false;
    }
    for (size_t i = 0; i < needs->scheduler->n_resources; i++) {
        int64_t wanted = needs->requests.milli[i];
        if (wanted > 0 && wanted > node->allocatable.milli[i] - node->used.milli[i]) {
            reason(reasons, "Insufficient %s", needs->scheduler->resources[i]);
            fits = false;
        }
    }
    return fits;
}

static bool is_exclusive(const json_t *claim)
{
    const json_t *mode;
    size_t i;

    json_array_foreach(kube_get(claim, "spec.accessModes"), i,
                       mode) if (json_is_string(mode) &&
                                 strncmp(json_string_value(mode), "ReadWriteOnce", 13) != 0) return false;
    return true;
}

static bool claims_allow(const Needs *needs, const NodeInfo *node, Reasons *reasons)
{
    const json_t *volume;
    size_t i;

    json_array_foreach(kube_get(needs->pod, "spec.volumes"), i, volume)
    {
        const char *name = kube_string(volume, "persistentVolumeClaim.claimName");
        char key[CLAIM_KEY_SIZE];
        if (!*name)
            continue;
        snprintf(key, sizeof key, "%s/%s", kube_namespace(needs->pod), name);
        const ClaimInfo *claim = map_get(needs->scheduler->claims, key);
        if (!claim || !claim->object)
            return reason(reasons, "persistentvolumeclaim \"%s\" not found", name), false;
        if (kube_deleting(claim->object))
            return reason(reasons, "persistentvolumeclaim \"%s\" is being deleted", name), false;
        if (strcmp(kube_string(claim->object, "status.phase"), "Bound") != 0)
            return reason(reasons, "pod has unbound immediate PersistentVolumeClaims"), false;
        for (size_t k = 0; k < claim->n_users; k++)
            if (claim->users[k].node != node && is_exclusive(claim->object))
                return reason(reasons, "node(s) had volume node affinity conflict"), false;
    }
    return true;
}

/* As in Kubernetes the first filter that refuses gives the reason, and resources all that lack. */
static bool passes(const Needs *needs, const NodeInfo *node, Reasons *reasons)
{
    if (node->unschedulable && !fit_tolerates(needs->pod, TAINT_UNSCHEDULABLE, "", "NoSchedule"))
        return reason(reasons, "node(s) were unschedulable"), false;
    if (!taints_allow(needs, node, reasons))
        return false;
    if (!fit_node(needs->pod, node->object))
        return reason(reasons, "node(s) didn't match Pod's node affinity"), false;
    if (host_ports_clash(&needs->ports, &node->ports))
        return reason(reasons, "node(s) didn't have free ports for the requested pod ports"), false;
    return resources_allow(needs, node, reasons) && claims_allow(needs, node, reasons);
}

/* --- scores --------------------------------------------------------------------------------- */

/* What would be left, of 100. */
static int64_t left(int64_t allocatable, int64_t used, int64_t wanted)
{
    if (allocatable <= 0)
        return 0;
    double free_part = 1.0 - ((double)used + (double)wanted) / (double)allocatable;
    return free_part > 0 ? (int64_t)(free_part * 100) : 0;
}

static int64_t untolerated_preferences(const Needs *needs, const json_t *node)
{
    const json_t *taint;
    size_t i;
    int64_t count = 0;

    json_array_foreach(kube_get(node, "spec.taints"), i,
                       taint) if (strcmp(kube_string(taint, "effect"), "PreferNoSchedule") == 0 &&
                                  !fit_tolerates(needs->pod, kube_string(taint, "key"), kube_string(taint, "value"),
                                                 "PreferNoSchedule")) count++;
    return count;
}

static int64_t score(const Needs *needs, const NodeInfo *node)
{
    int64_t load = left(node->allocatable.milli[RESOURCE_CPU], node->used.milli[RESOURCE_CPU],
                        needs->requests.milli[RESOURCE_CPU]) +
                   left(node->allocatable.milli[RESOURCE_MEMORY], node->used.milli[RESOURCE_MEMORY],
                        needs->requests.milli[RESOURCE_MEMORY]) +
                   left((int64_t)node->pods_max, (int64_t)node->n_pods, 1);
    int64_t same = needs->owner && node->slot < needs->owner->n_counts ? needs->owner->counts[node->slot] : 0;

    return load / 3 - SCORE_SPREAD * same + fit_preference(needs->pod, node->object) -
           SCORE_TAINT * untolerated_preferences(needs, node->object);
}

int scheduler_place(const Scheduler *scheduler, const json_t *pod, char node[KUBE_NAME_MAX + 1], char *why,
                    size_t why_size)
{
    Needs needs = {.scheduler = scheduler, .pod = pod};
    const NodeInfo *best = NULL;
    int64_t best_score = 0;
    Reasons *reasons = calloc(1, sizeof *reasons);

    if (!reasons)
        return -ENOMEM;
    /* Learns at most the names of resources that were not seen before. */
    scheduler_requests((Scheduler *)scheduler, pod, &needs.requests);
    scheduler_host_ports(pod, &needs.ports);
    const json_t *owner = kube_controller(pod);
    needs.owner = owner ? map_get(scheduler->owners, kube_string(owner, "uid")) : NULL;
    for (size_t i = 0; i < scheduler->n_nodes; i++) {
        const NodeInfo *candidate = scheduler->nodes[i];
        if (!candidate->object || !passes(&needs, candidate, reasons))
            continue;
        int64_t is = score(&needs, candidate);
        if (!best || is > best_score || (is == best_score && strcmp(candidate->name, best->name) < 0)) {
            best = candidate;
            best_score = is;
        }
    }
    if (!best)
        say_why(reasons, scheduler->n_present, why, why_size);
    else
        snprintf(node, KUBE_NAME_MAX + 1, "%s", best->name);
    free(needs.ports.ports);
    free(reasons);
    return best ? 0 : -EAGAIN;
}
