/* schema_service.c - the fields of services, endpoints and bindings (Kubernetes API reference, v1.20). */
#include "schema_tables.h"

static const char *const values_sctp_tcp_udp[] = {"SCTP", "TCP", "UDP", NULL};
static const char *const values_clusterip_externalname_loadbalancer_nodeport[] = {"ClusterIP", "ExternalName",
                                                                                  "LoadBalancer", "NodePort", NULL};
static const char *const values_clientip_none[] = {"ClientIP", "None", NULL};

static const SchemaField service_port_fields[] = {
    STRING("name"),
    STRING("protocol", DEFAULT("\"TCP\""), VALUES(values_sctp_tcp_udp)),
    STRING("appProtocol", KEPT, STORED),
    INTEGER("port", FILLED, REQUIRED),
    INT_OR_STRING("targetPort", KEPT),
    INTEGER("nodePort"),
    END,
};
const Schema schema_service_port = {"io.k8s.api.core.v1.ServicePort", service_port_fields};

static const SchemaField port_status_fields[] = {
    INTEGER("port", FILLED, REQUIRED),
    STRING("protocol", FILLED, REQUIRED),
    STRING("error", KEPT),
    END,
};
const Schema schema_port_status = {"io.k8s.api.core.v1.PortStatus", port_status_fields};

static const SchemaField load_balancer_ingress_fields[] = {
    STRING("ip"),
    STRING("hostname"),
    LIST("ports", &schema_port_status),
    END,
};
const Schema schema_load_balancer_ingress = {"io.k8s.api.core.v1.LoadBalancerIngress", load_balancer_ingress_fields};

static const SchemaField load_balancer_status_fields[] = {
    LIST("ingress", &schema_load_balancer_ingress),
    END,
};
const Schema schema_load_balancer_status = {"io.k8s.api.core.v1.LoadBalancerStatus", load_balancer_status_fields};

static const SchemaField service_spec_fields[] = {
    LIST("ports", &schema_service_port, KEY("port")),
    MAP("selector"),
    STRING("clusterIP"),
    STRINGS("clusterIPs"),
    STRING("type", DEFAULT("\"ClusterIP\""), VALUES(values_clusterip_externalname_loadbalancer_nodeport)),
    STRINGS("externalIPs"), /* those of this machine's loopback are listened on */
    STRING("sessionAffinity", DEFAULT("\"None\""), VALUES(values_clientip_none)),
    STRING("loadBalancerIP", REFUSED("nothing balances from outside")),
    STRINGS("loadBalancerSourceRanges", REFUSED("nothing balances from outside")),
    STRING("externalName", REFUSED("there is no name service")),
    STRING("externalTrafficPolicy", IGNORED("connections go to any endpoint"), USUAL("Cluster")),
    INTEGER("healthCheckNodePort", IGNORED("nothing balances from outside")),
    BOOLEAN("publishNotReadyAddresses"),
    ANY("sessionAffinityConfig", REFUSED("each connection is given to any endpoint")),
    STRINGS("topologyKeys", REFUSED("endpoints are not chosen by topology")),
    STRINGS("ipFamilies", STORED),
    STRING("ipFamilyPolicy", KEPT, STORED),
    BOOLEAN("allocateLoadBalancerNodePorts", KEPT, IGNORED("nothing balances from outside")),
    END,
};
const Schema schema_service_spec = {"io.k8s.api.core.v1.ServiceSpec", service_spec_fields};

static const SchemaField service_status_fields[] = {
    OBJECT("loadBalancer", &schema_load_balancer_status, FILLED),
    LIST_ANY("conditions", KEY("type")),
    END,
};
const Schema schema_service_status = {"io.k8s.api.core.v1.ServiceStatus", service_status_fields};

static const SchemaField service_fields[] = {
    STRING("apiVersion"),
    STRING("kind"),
    OBJECT("metadata", &schema_object_meta, FILLED),
    OBJECT("spec", &schema_service_spec, FILLED),
    OBJECT("status", &schema_service_status, FILLED),
    END,
};
const Schema schema_service = {"io.k8s.api.core.v1.Service", service_fields};

static const SchemaField object_reference_fields[] = {
    STRING("kind"),       STRING("namespace"),       STRING("name"),      STRING("uid"),
    STRING("apiVersion"), STRING("resourceVersion"), STRING("fieldPath"), END,
};
const Schema schema_object_reference = {"io.k8s.api.core.v1.ObjectReference", object_reference_fields};

static const SchemaField endpoint_address_fields[] = {
    STRING("ip", FILLED, REQUIRED),
    STRING("hostname"),
    STRING("nodeName", KEPT),
    OBJECT("targetRef", &schema_object_reference, KEPT),
    END,
};
const Schema schema_endpoint_address = {"io.k8s.api.core.v1.EndpointAddress", endpoint_address_fields};

static const SchemaField endpoint_port_fields[] = {
    STRING("name"),
    INTEGER("port", FILLED, REQUIRED),
    STRING("protocol", DEFAULT("\"TCP\""), VALUES(values_sctp_tcp_udp)),
    STRING("appProtocol", KEPT, STORED),
    END,
};
const Schema schema_endpoint_port = {"io.k8s.api.core.v1.EndpointPort", endpoint_port_fields};

static const SchemaField endpoint_subset_fields[] = {
    LIST("addresses", &schema_endpoint_address),
    LIST("notReadyAddresses", &schema_endpoint_address),
    LIST("ports", &schema_endpoint_port),
    END,
};
const Schema schema_endpoint_subset = {"io.k8s.api.core.v1.EndpointSubset", endpoint_subset_fields};

static const SchemaField endpoints_fields[] = {
    STRING("apiVersion"),
    STRING("kind"),
    OBJECT("metadata", &schema_object_meta, FILLED),
    LIST("subsets", &schema_endpoint_subset),
    END,
};
const Schema schema_endpoints = {"io.k8s.api.core.v1.Endpoints", endpoints_fields};

static const SchemaField binding_fields[] = {
    STRING("apiVersion"),
    STRING("kind"),
    OBJECT("metadata", &schema_object_meta, FILLED),
    OBJECT("target", &schema_object_reference, FILLED, REQUIRED),
    END,
};
const Schema schema_binding = {"io.k8s.api.core.v1.Binding", binding_fields};
