/* resource_service.c - services: addresses and node ports are handed out from
 * the cluster's ranges, or refused in the words of Kubernetes' allocators. */
#include "resource_internal.h"

#include "store.h"

#include "base/cleanup.h"

#include <arpa/inet.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NODE_PORT_FIRST 30000
#define NODE_PORT_LAST 32767
/* Also accepted where a manifest asks for one: the range of the original's cluster. */
#define NODE_PORT_LOW_FIRST 80
#define NODE_PORT_LOW_LAST 99
#define TRIES 64u /* at random, before the range is gone through */

static bool is_type(const json_t *service, const char *type)
{
    return strcmp(kube_string(service, "spec.type"), type) == 0;
}

static bool needs_address(const json_t *service)
{
    return !is_type(service, "ExternalName");
}

static bool needs_node_ports(const json_t *service)
{
    return is_type(service, "NodePort") || is_type(service, "LoadBalancer");
}

/* --- before validation ---------------------------------------------------------------------------------- */

static const json_t *same_port(const json_t *old, const json_t *port)
{
    size_t i;
    const json_t *other;
    json_array_foreach(kube_get(old, "spec.ports"), i,
                       other) if (kube_integer(other, "port", 0) == kube_integer(port, "port", -1) &&
                                  strcmp(kube_string(other, "protocol"), kube_string(port, "protocol")) ==
                                      0) return other;
    return NULL;
}

/* An update that does not name the node ports keeps them. (The address must be named: Kubernetes 1.20 wants it.) */
static void keep_allocated(json_t *service, const json_t *old)
{
    if (!needs_node_ports(old) || !needs_node_ports(service))
        return;
    size_t i;
    json_t *port;
    json_array_foreach((json_t *)kube_get(service, "spec.ports"), i, port)
    {
        const json_t *other = same_port(old, port);
        int64_t number = kube_integer(other, "nodePort", 0);
        if (kube_integer(port, "nodePort", 0) == 0 && number > 0)
            json_object_set_new(port, "nodePort", json_integer(number));
    }
}

/* A service that no longer has node ports loses what belongs to them, where the client left it as it was. */
static void drop_for_type(json_t *service, const json_t *old)
{
    size_t i;
    json_t *port;
    if (!needs_node_ports(old) || needs_node_ports(service))
        return;
    if (strcmp(kube_string(service, "spec.externalTrafficPolicy"), kube_string(old, "spec.externalTrafficPolicy")) == 0)
        kube_remove(service, "spec.externalTrafficPolicy");
    json_array_foreach(kube_get(service, "spec.ports"), i, port) if (kube_integer(port, "nodePort", 0) ==
                                                                     kube_integer(same_port(old, port), "nodePort", -1))
        json_object_del(port, "nodePort");
}

/* clusterIPs is clusterIP again, as a list. */
static void mirror_address(json_t *service)
{
    const char *address = kube_string(service, "spec.clusterIP");
    if (*address)
        kube_set(service, "spec.clusterIPs", json_pack("[s]", address));
    else
        kube_remove(service, "spec.clusterIPs");
}

void prepare_service(const ResourceContext *context, json_t *object, const json_t *old, KubeCauses *causes)
{
    if (!json_is_object(json_object_get(object, "spec")))
        return;
    const char *first = kube_string(json_array_get(kube_get(object, "spec.clusterIPs"), 0), "");
    if (!*kube_string(object, "spec.clusterIP") && *first)
        kube_set(object, "spec.clusterIP", json_string(first));
    if (old) {
        keep_allocated(object, old);
        drop_for_type(object, old);
    } else {
        json_object_set_new(object, "status", json_pack("{s:{}}", "loadBalancer"));
    }
    if (!needs_address(object) && old && needs_address(old))
        kube_remove(object, "spec.clusterIP");
    mirror_address(object);
}

/* --- addresses -------------------------------------------------------------------------------------------- */

typedef struct Search {
    const char *address;  /* or NULL */
    int64_t port;         /* or 0 */
    const json_t *except; /* the service itself */
    bool found;
} Search;

static bool uses(void *userdata, const json_t *service)
{
    Search *search = userdata;
    if (search->except && strcmp(kube_uid(service), kube_uid(search->except)) == 0)
        return true;
    if (search->address)
        search->found = strcmp(kube_string(service, "spec.clusterIP"), search->address) == 0;
    size_t i;
    const json_t *port;
    json_array_foreach(kube_get(service, "spec.ports"), i, port) search->found |=
        search->port && kube_integer(port, "nodePort", 0) == search->port;
    return !search->found;
}

static bool take(const ResourceContext *context, const json_t *service, const char *address, int64_t port)
{
    Search search = {.address = address, .port = port, .except = service};
    store_each(context->store, "services", NULL, uses, &search);
    if (search.found)
        return false;
    char name[64];
    if (address)
        snprintf(name, sizeof name, "ip/%s", address);
    else
        snprintf(name, sizeof name, "port/%lld", (long long)port);
    return context->reserve(context->userdata, name);
}

/* "127.3.0.0/16": of the range, whose first and last address are not handed out. */
static bool in_range(const ResourceContext *context, const char *address)
{
    struct in_addr parsed;
    size_t length = strlen(context->service_prefix);
    return inet_pton(AF_INET, address, &parsed) == 1 && strncmp(address, context->service_prefix, length) == 0 &&
           (ntohl(parsed.s_addr) & 0xffff) != 0 && (ntohl(parsed.s_addr) & 0xffff) != 0xffff;
}

static bool find_address(const ResourceContext *context, json_t *service)
{
    char address[64];
    for (uint32_t i = 0; i < TRIES + 65534; i++) {
        uint32_t number = i < TRIES ? 1 + randombytes_uniform(65534) : 1 + (i - TRIES);
        snprintf(address, sizeof address, "%s%u.%u", context->service_prefix, number >> 8, number & 0xff);
        if (take(context, service, address, 0)) {
            kube_set(service, "spec.clusterIP", json_string(address));
            return true;
        }
    }
    return false;
}

static void address_refused(const ResourceContext *context, const char *address, bool inside, KubeCauses *causes)
{
    char why[128] = "provided IP is already allocated";
    if (!inside)
        snprintf(why, sizeof why, "provided IP is not in the valid range. The range of valid IPs is %s0.0/16",
                 context->service_prefix);
    kube_cause(causes, "FieldValueInvalid", "spec.clusterIPs",
               "Invalid value: []string{\"%s\"}: failed to allocated ip:%s with error:%s", address, address, why);
}

static void allocate_address(const ResourceContext *context, json_t *service, const json_t *old, KubeCauses *causes)
{
    const char *address = kube_string(service, "spec.clusterIP");
    if (!needs_address(service) || strcmp(address, "None") == 0 ||
        (old && strcmp(address, kube_string(old, "spec.clusterIP")) == 0 && *address))
        return;
    if (*address) {
        bool inside = in_range(context, address);
        if (!inside || !take(context, service, address, 0))
            address_refused(context, address, inside, causes);
    } else if (!find_address(context, service)) {
        kube_cause(causes, "InternalError", "spec.clusterIPs",
                   "Internal error: failed to allocate a serviceIP: range is full");
    }
}

/* --- node ports --------------------------------------------------------------------------------------------- */

static bool has_node_port(const json_t *service, int64_t number)
{
    size_t i;
    const json_t *port;
    json_array_foreach(kube_get(service, "spec.ports"), i,
                       port) if (kube_integer(port, "nodePort", 0) == number) return true;
    return false;
}

static bool is_node_port(int64_t number)
{
    return (number >= NODE_PORT_FIRST && number <= NODE_PORT_LAST) ||
           (number >= NODE_PORT_LOW_FIRST && number <= NODE_PORT_LOW_LAST);
}

static int64_t find_node_port(const ResourceContext *context, const json_t *service)
{
    const uint32_t size = NODE_PORT_LAST - NODE_PORT_FIRST + 1;
    for (uint32_t i = 0; i < TRIES + size; i++) {
        int64_t number = NODE_PORT_FIRST + (int64_t)(i < TRIES ? randombytes_uniform(size) : i - TRIES);
        if (!has_node_port(service, number) && take(context, service, NULL, number))
            return number;
    }
    return 0;
}

static void allocate_node_port(const ResourceContext *context, const json_t *service, const json_t *old, size_t index,
                               KubeCauses *causes)
{
    json_t *port = json_array_get(kube_get(service, "spec.ports"), index);
    int64_t number = kube_integer(port, "nodePort", 0);
    char field[64];
    snprintf(field, sizeof field, "spec.ports[%zu].nodePort", index);
    if (number == 0) {
        number = find_node_port(context, service);
        if (number)
            json_object_set_new(port, "nodePort", json_integer(number));
        else
            kube_cause(causes, "InternalError", field, "Internal error: failed to allocate a nodePort: range is full");
    } else if (old && has_node_port(old, number)) {
        return;
    } else if (!is_node_port(number)) {
        kube_cause(causes, "FieldValueInvalid", field,
                   "Invalid value: %lld: provided port is not in the valid range. The range of valid ports is %d-%d",
                   (long long)number, NODE_PORT_FIRST, NODE_PORT_LAST);
    } else if (!take(context, service, NULL, number)) {
        kube_cause(causes, "FieldValueInvalid", field, "Invalid value: %lld: provided port is already allocated",
                   (long long)number);
    }
}

void allocate_service(const ResourceContext *context, json_t *object, const json_t *old, KubeCauses *causes)
{
    allocate_address(context, object, old, causes);
    mirror_address(object);
    json_t *ports = (json_t *)kube_get(object, "spec.ports"), *port;
    size_t i;
    if (needs_node_ports(object)) {
        for (i = 0; i < json_array_size(ports); i++)
            allocate_node_port(context, object, old, i, causes);
        return;
    }
    json_array_foreach(ports, i, port) if (old && needs_node_ports(old)) json_object_del(port, "nodePort");
}
