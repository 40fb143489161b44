/* schema_check_service.c - what Kubernetes demands of services, endpoints and bindings. */
#include "schema_internal.h"

#include "base/cleanup.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

static bool is_headless(const json_t *spec)
{
    return strcmp(kube_string(spec, "clusterIP"), "None") == 0;
}

static bool is_type(const json_t *spec, const char *type)
{
    return strcmp(kube_string(spec, "type"), type) == 0;
}

/* Loopback addresses are right here: pods of one machine have them. */
static void check_address(Check *check, const char *field, const char *text)
{
    struct in_addr address;
    struct in6_addr wide;
    if (inet_pton(AF_INET, text, &address) != 1) {
        if (inet_pton(AF_INET6, text, &wide) != 1)
            check_invalid_text(check, field, text, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)");
        return;
    }
    uint32_t number = ntohl(address.s_addr);
    if (number == 0)
        check_invalid_text(check, field, text, "may not be unspecified (0.0.0.0)");
    if (number >> 16 == 0xa9fe)
        check_invalid_text(check, field, text, "may not be in the link-local range (169.254.0.0/16)");
    if (number >> 8 == 0xe00000)
        check_invalid_text(check, field, text, "may not be in the link-local multicast range (224.0.0.0/24)");
}

/* Whether the number was seen with this protocol; it is from now on. 0 is never. */
static bool is_repeated(json_t *seen, const json_t *port, const char *field)
{
    char key[64];
    int64_t number = kube_integer(port, field, 0);
    snprintf(key, sizeof key, "%.32s/%lld", kube_string(port, "protocol"), (long long)number);
    if (number == 0 || json_object_get(seen, key))
        return number != 0;
    json_object_set_new(seen, key, json_true());
    return false;
}

static void check_port(Check *check, const json_t *port, bool needs_name, json_t *names)
{
    const char *name = kube_string(port, "name"), *wrong;
    if (needs_name && *name == '\0') {
        check_required(check, "name", NULL);
    } else if (*name) {
        if ((wrong = kube_check_dns_label(name)))
            check_invalid_text(check, "name", name, wrong);
        if (names && json_object_get(names, name))
            check_duplicate(check, "name", json_object_get(port, "name"));
        if (names)
            json_object_set_new(names, name, json_true());
    }
    check_port_number(check, port, "port");
}

static void check_service_ports(Check *check, const json_t *spec)
{
    size_t i;
    const json_t *port, *ports = json_object_get(spec, "ports");
    AUTO_JSON json_t *names = json_object();
    AUTO_JSON json_t *node_ports = json_object();
    AUTO_JSON json_t *numbers = json_object();
    json_array_foreach(ports, i, port)
    {
        size_t length = path_field(&check->path, "ports");
        path_index(&check->path, i);
        check_port(check, port, json_array_size(ports) > 1, names);
        check_port_or_name(check, port, "targetPort");
        if (is_type(spec, "ClusterIP") && kube_integer(port, "nodePort", 0) != 0)
            check_forbidden(check, "nodePort", "may not be used when `type` is 'ClusterIP'");
        if (is_repeated(node_ports, port, "nodePort"))
            check_duplicate(check, "nodePort", json_object_get(port, "nodePort"));
        if (is_repeated(numbers, port, "port")) {
            AUTO_FREE char *shown = NULL;
            if (asprintf(&shown,
                         "core.ServicePort{Name:\"\", Protocol:\"%.32s\", AppProtocol:(*string)(nil), Port:%d, "
                         "TargetPort:intstr.IntOrString{Type:0, IntVal:0, StrVal:\"\"}, NodePort:0}",
                         kube_string(port, "protocol"), (int)kube_integer(port, "port", 0)) < 0)
                shown = NULL;
            kube_cause(check->causes, DUPLICATE, check->path.text, "Duplicate value: %s", shown ? shown : "");
        }
        path_back(&check->path, length);
    }
}

static void check_addresses(Check *check, const json_t *spec, const json_t *before)
{
    size_t i;
    const json_t *address;
    const char *cluster = kube_string(spec, "clusterIP"), *was = kube_string(before, "clusterIP");
    json_array_foreach(json_object_get(spec, "externalIPs"), i, address)
    {
        size_t length = path_field(&check->path, "externalIPs");
        path_index(&check->path, i);
        check_address(check, NULL, json_string_value(address) ? json_string_value(address) : "");
        path_back(&check->path, length);
    }
    if (*cluster && !is_headless(spec)) {
        size_t length = path_field(&check->path, "clusterIPs");
        path_index(&check->path, 0);
        struct in_addr ignored;
        if (inet_pton(AF_INET, cluster, &ignored) != 1)
            check_invalid_text(check, NULL, cluster, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)");
        path_back(&check->path, length);
    }
    if (*was && strcmp(was, cluster) != 0) {
        size_t length = path_field(&check->path, "clusterIPs");
        path_index(&check->path, 0);
        AUTO_FREE char *shown = NULL;
        if (asprintf(&shown, "[]string{\"%.64s\"}", cluster) < 0)
            shown = NULL;
        if (*cluster)
            kube_cause(check->causes, INVALID, check->path.text, "Invalid value: %s: may not change once set",
                       shown ? shown : "");
        else
            kube_cause(check->causes, INVALID, check->path.text,
                       "Invalid value: []string(nil): primary clusterIP can not be unset");
        path_back(&check->path, length);
    }
}

/* What Kubernetes knows and this cluster does not do. */
static void check_honoured(Check *check, const json_t *spec)
{
    if (is_type(spec, "ExternalName")) /* and with a name it is refused by that */
        check_required(check, "externalName", NULL);
    if (strcmp(kube_string(spec, "sessionAffinity"), "ClientIP") == 0)
        check_forbidden(check, "sessionAffinity",
                        "not supported by this cluster: each connection is given to any endpoint");
}

void check_service(Check *check, const json_t *object, const json_t *old)
{
    const json_t *spec = json_object_get(object, "spec");
    const char *traffic = kube_string(spec, "externalTrafficPolicy");
    bool outside = is_type(spec, "NodePort") || is_type(spec, "LoadBalancer");
    size_t length = path_field(&check->path, "spec");
    if (json_array_size(json_object_get(spec, "ports")) == 0 && !is_headless(spec) && !is_type(spec, "ExternalName"))
        check_required(check, "ports", NULL);
    if (outside && is_headless(spec)) {
        AUTO_FREE char *detail = NULL;
        if (asprintf(&detail, "may not be set to 'None' for %s services", kube_string(spec, "type")) < 0)
            detail = NULL;
        check_invalid_text(check, "clusterIPs[0]", "None", detail);
    }
    check_service_ports(check, spec);
    check_labels(check, spec, "selector");
    check_addresses(check, spec, json_object_get(old, "spec"));
    if (*traffic && strcmp(traffic, "Cluster") != 0 && strcmp(traffic, "Local") != 0)
        check_invalid_text(check, "externalTrafficPolicy", traffic,
                           "ExternalTrafficPolicy must be empty, Cluster or Local");
    else if (*traffic && !outside)
        check_invalid_text(check, "externalTrafficPolicy", traffic,
                           "ExternalTrafficPolicy can only be set on NodePort and LoadBalancer service");
    check_honoured(check, spec);
    path_back(&check->path, length);
}

static void check_endpoint(Check *check, const json_t *address)
{
    const char *host = kube_string(address, "hostname"), *node = kube_string(address, "nodeName"), *wrong;
    struct in_addr number;
    check_address(check, "ip", kube_string(address, "ip"));
    if (inet_pton(AF_INET, kube_string(address, "ip"), &number) != 1) /* Kubernetes says it twice */
        check_invalid_text(check, "ip", kube_string(address, "ip"), "must be a valid IP address");
    if (*host && (wrong = kube_check_dns_label(host)))
        check_invalid_text(check, "hostname", host, wrong);
    if (*node && (wrong = kube_check_dns_subdomain(node)))
        check_invalid_text(check, "nodeName", node, wrong);
}

static void check_subset(Check *check, const json_t *subset)
{
    static const char *const lists[] = {"addresses", "notReadyAddresses"};
    size_t i;
    const json_t *item, *ports = json_object_get(subset, "ports");
    if (json_array_size(json_object_get(subset, "addresses")) +
            json_array_size(json_object_get(subset, "notReadyAddresses")) ==
        0)
        check_required(check, NULL, "must specify `addresses` or `notReadyAddresses`");
    for (size_t k = 0; k < 2; k++)
        json_array_foreach(json_object_get(subset, lists[k]), i, item)
        {
            size_t length = path_field(&check->path, lists[k]);
            path_index(&check->path, i);
            check_endpoint(check, item);
            path_back(&check->path, length);
        }
    json_array_foreach(ports, i, item)
    {
        size_t length = path_field(&check->path, "ports");
        path_index(&check->path, i);
        check_port(check, item, json_array_size(ports) > 1, NULL);
        path_back(&check->path, length);
    }
}

void check_endpoints(Check *check, const json_t *object, const json_t *old)
{
    size_t i;
    const json_t *subset;
    json_array_foreach(json_object_get(object, "subsets"), i, subset)
    {
        size_t length = path_field(&check->path, "subsets");
        path_index(&check->path, i);
        check_subset(check, subset);
        path_back(&check->path, length);
    }
}

void check_binding(Check *check, const json_t *object, const json_t *old)
{
    static const char *const kinds[] = {"Node", "<empty>", NULL};
    const json_t *target = json_object_get(object, "target");
    const char *kind = kube_string(target, "kind");
    size_t length = path_field(&check->path, "target");
    if (*kind && strcmp(kind, "Node") != 0)
        check_unsupported(check, "kind", json_object_get(target, "kind"), kinds);
    if (*kube_string(target, "name") == '\0')
        check_required(check, "name", NULL);
    path_back(&check->path, length);
}
