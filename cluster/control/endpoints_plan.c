/* endpoints_plan.c - see endpoints_plan.h. The rules are those of Kubernetes'
 * endpoints controller: addresses that offer the same ports are one subset. */
#include "endpoints_plan.h"

#include "base/cleanup.h"
#include "kube/selector.h"

#include <stdlib.h>
#include <string.h>

typedef struct Member {
    json_t *address, *ports;
    char *port_text; /* by which members are grouped */
    bool ready;
} Member;

static bool in_endpoints(const json_t *pod)
{
    const char *restart = kube_string(pod, "spec.restartPolicy"), *phase = kube_string(pod, "status.phase");
    if (strcmp(restart, "Never") == 0)
        return strcmp(phase, "Failed") != 0 && strcmp(phase, "Succeeded") != 0;
    return strcmp(restart, "OnFailure") != 0 || strcmp(phase, "Succeeded") != 0;
}

bool endpoints_counts(const json_t *service, const json_t *pod)
{
    bool unready_too = kube_boolean(service, "spec.publishNotReadyAddresses");
    return *kube_string(pod, "status.podIP") && (unready_too || !kube_deleting(pod)) && in_endpoints(pod);
}

/* --- ports ---------------------------------------------------------------------------------- */

static const char *protocol_of(const json_t *port)
{
    const char *protocol = kube_string(port, "protocol");
    return *protocol ? protocol : "TCP";
}

/* The pod's port of that name; 0: it has none. */
static int64_t named_port(const json_t *pod, const char *name, const char *protocol)
{
    const json_t *container, *port;
    size_t i, k;

    json_array_foreach(kube_get(pod, "spec.containers"), i, container) json_array_foreach(
        kube_get(container, "ports"), k,
        port) if (strcmp(kube_string(port, "name"), name) == 0 &&
                  strcmp(protocol_of(port), protocol) == 0) return kube_integer(port, "containerPort", 0);
    return 0;
}

static json_t *ports_of(const json_t *service, const json_t *pod)
{
    json_t *list = json_array();
    const json_t *port;
    size_t i;

    json_array_foreach(kube_get(service, "spec.ports"), i, port)
    {
        const json_t *target = json_object_get(port, "targetPort");
        const char *name = kube_string(port, "name");
        int64_t number = json_is_string(target) ? named_port(pod, json_string_value(target), protocol_of(port))
                         : json_is_integer(target) && json_integer_value(target) > 0 ? json_integer_value(target)
                                                                                     : kube_integer(port, "port", 0);
        if (number <= 0)
            continue;
        json_t *item = json_pack("{s:I, s:s}", "port", (json_int_t)number, "protocol", protocol_of(port));
        if (*name)
            json_object_set_new(item, "name", json_string(name));
        json_array_append_new(list, item);
    }
    return list;
}

/* --- addresses ------------------------------------------------------------------------------- */

static json_t *address_of(const json_t *service, const json_t *pod)
{
    json_t *address =
        json_pack("{s:s, s:{s:s, s:s, s:s, s:s}}", "ip", kube_string(pod, "status.podIP"), "targetRef", "kind", "Pod",
                  "namespace", kube_namespace(pod), "name", kube_name(pod), "uid", kube_uid(pod));
    const char *node = kube_string(pod, "spec.nodeName"), *hostname = kube_string(pod, "spec.hostname");

    if (*node)
        json_object_set_new(address, "nodeName", json_string(node));
    if (*hostname && strcmp(kube_string(pod, "spec.subdomain"), kube_name(service)) == 0)
        json_object_set_new(address, "hostname", json_string(hostname));
    return address;
}

static int compare(const void *first, const void *second)
{
    const Member *a = first, *b = second;
    int by_ports = strcmp(a->port_text, b->port_text);
    int by_ip = by_ports ? by_ports : strcmp(kube_string(a->address, "ip"), kube_string(b->address, "ip"));
    return by_ip ? by_ip : strcmp(kube_string(a->address, "targetRef.uid"), kube_string(b->address, "targetRef.uid"));
}

static void append(json_t *subset, const char *list, json_t *address)
{
    json_t *addresses = json_object_get(subset, list);
    if (!addresses) {
        addresses = json_array();
        json_object_set_new(subset, list, addresses);
    }
    json_array_append(addresses, address);
}

static json_t *subsets_of(Member *members, size_t count)
{
    json_t *subsets = json_array(), *subset = NULL;

    qsort(members, count, sizeof *members, compare);
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || strcmp(members[i - 1].port_text, members[i].port_text) != 0) {
            subset = json_object();
            json_array_append_new(subsets, subset);
        }
        append(subset, members[i].ready ? "addresses" : "notReadyAddresses", members[i].address);
        if (json_array_size(members[i].ports) > 0)
            json_object_set(subset, "ports", members[i].ports);
    }
    return subsets;
}

/* --- the object ------------------------------------------------------------------------------ */

static json_t *object_of(const json_t *service, json_t *subsets)
{
    json_t *labels = kube_labels(service) ? json_deep_copy(kube_labels(service)) : json_object();
    json_t *object = json_pack("{s:s, s:s, s:{s:s, s:s}}", "apiVersion", "v1", "kind", "Endpoints", "metadata", "name",
                               kube_name(service), "namespace", kube_namespace(service));

    if (strcmp(kube_string(service, "spec.clusterIP"), "None") == 0)
        json_object_set_new(labels, "service.kubernetes.io/headless", json_string(""));
    if (json_object_size(labels) > 0)
        kube_set(object, "metadata.labels", json_incref(labels));
    if (json_array_size(subsets) > 0)
        json_object_set(object, "subsets", subsets);
    json_decref(labels);
    json_decref(subsets);
    return object;
}

json_t *endpoints_plan(const json_t *service, const json_t *const *pods, size_t count)
{
    Selector *selector;
    AUTO_FREE Member *members = calloc(count + 1, sizeof *members);
    size_t n_members = 0;
    bool unready_too = kube_boolean(service, "spec.publishNotReadyAddresses");

    if (!members || selector_from_map(kube_get(service, "spec.selector"), &selector, NULL) < 0)
        return NULL;
    bool headless = json_array_size(kube_get(service, "spec.ports")) == 0;
    for (size_t i = 0; i < count; i++) {
        if (!selector_matches(selector, kube_labels(pods[i])) || !endpoints_counts(service, pods[i]))
            continue;
        Member *member = &members[n_members];
        member->ports = ports_of(service, pods[i]);
        if (json_array_size(member->ports) == 0 && !headless) {
            json_decref(member->ports);
            continue;
        }
        member->port_text = json_dumps(member->ports, JSON_COMPACT | JSON_SORT_KEYS);
        member->address = address_of(service, pods[i]);
        member->ready = unready_too || kube_pod_ready(pods[i]);
        n_members++;
    }
    json_t *object = object_of(service, subsets_of(members, n_members));
    for (size_t i = 0; i < n_members; i++) {
        json_decref(members[i].address);
        json_decref(members[i].ports);
        free(members[i].port_text);
    }
    selector_free(selector);
    return object;
}
