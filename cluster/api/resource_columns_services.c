/* resource_columns_services.c - Tables of services and endpoints. */
#include "resource_internal.h"

#include "base/cleanup.h"
#include "base/map.h"

#include <string.h>

#define ADDRESSES_MAX 3u /* more are only counted */

static json_t *service_ip(const TableColumn *column, const json_t *service, int64_t now)
{
    const char *ip = kube_string(service, "spec.clusterIP");
    return json_string(*ip ? ip : "<none>");
}

static json_t *service_external_ip(const TableColumn *column, const json_t *service, int64_t now)
{
    const char *type = kube_string(service, "spec.type");
    if (strcmp(type, "ExternalName") == 0)
        return json_string(kube_string(service, "spec.externalName"));
    return joined(kube_get(service, "spec.externalIPs"), strcmp(type, "LoadBalancer") == 0 ? "<pending>" : "<none>");
}

static json_t *service_ports(const TableColumn *column, const json_t *service, int64_t now)
{
    AUTO_JSON json_t *texts = json_array();
    size_t i;
    const json_t *port;
    json_array_foreach(kube_get(service, "spec.ports"), i, port)
    {
        long long number = kube_integer(port, "port", 0), node = kube_integer(port, "nodePort", 0);
        const char *protocol = kube_string(port, "protocol");
        json_array_append_new(texts, node > 0 ? json_sprintf("%lld:%lld/%s", number, node, protocol)
                                              : json_sprintf("%lld/%s", number, protocol));
    }
    return joined(texts, "<none>");
}

static void add_address(json_t *texts, size_t *count, const char *ip, const json_t *port)
{
    if ((*count)++ >= ADDRESSES_MAX)
        return;
    json_array_append_new(texts, port ? json_sprintf("%s:%lld", ip, (long long)kube_integer(port, "port", 0))
                                      : json_string(ip));
}

static json_t *endpoints_addresses(const TableColumn *column, const json_t *endpoints, int64_t now)
{
    AUTO_JSON json_t *texts = json_array();
    size_t i, j, k, count = 0;
    const json_t *subset, *port, *address;
    json_array_foreach(json_object_get(endpoints, "subsets"), i, subset)
    {
        const json_t *addresses = json_object_get(subset, "addresses"), *ports = json_object_get(subset, "ports");
        if (json_array_size(ports) == 0)
            json_array_foreach(addresses, k, address) add_address(texts, &count, kube_string(address, "ip"), NULL);
        json_array_foreach(ports, j, port) json_array_foreach(addresses, k, address)
            add_address(texts, &count, kube_string(address, "ip"), port);
    }
    json_t *shown = joined(texts, json_array_size(json_object_get(endpoints, "subsets")) ? "" : "<none>");
    if (count <= ADDRESSES_MAX)
        return shown;
    json_t *more = json_sprintf("%s + %zu more...", json_string_value(shown), count - ADDRESSES_MAX);
    json_decref(shown);
    return more;
}

const TableColumn columns_service[] = {
    COLUMN_NAME,
    {"Type", "string", "", "Its type.", 0, cell_text, "spec.type"},
    {"Cluster-IP", "string", "", "The address of the service.", 0, service_ip, NULL},
    {"External-IP", "string", "", "Addresses outside of the cluster.", 0, service_external_ip, NULL},
    {"Port(s)", "string", "", "The ports of the service.", 0, service_ports, NULL},
    COLUMN_AGE,
    {"Selector", "string", "", "Which labels its pods have.", 1, cell_selector, "spec.selector"},
    {.name = NULL},
};

const TableColumn columns_endpoints[] = {
    COLUMN_NAME,
    {"Endpoints", "string", "", "The addresses that are ready.", 0, endpoints_addresses, NULL},
    COLUMN_AGE,
    {.name = NULL},
};
