/* schema_cluster.c - the fields of namespaces, nodes, events, configuration, leases (Kubernetes API reference, v1.20).
 */
#include "schema_tables.h"

static const SchemaField namespace_spec_fields[] = {
    STRINGS("finalizers"),
    END,
};
const Schema schema_namespace_spec = {"io.k8s.api.core.v1.NamespaceSpec", namespace_spec_fields};

static const SchemaField namespace_condition_fields[] = {
    STRING("type", FILLED, REQUIRED),
    STRING("status", FILLED, REQUIRED),
    TIME("lastTransitionTime", FILLED),
    STRING("reason"),
    STRING("message"),
    END,
};
const Schema schema_namespace_condition = {"io.k8s.api.core.v1.NamespaceCondition", namespace_condition_fields};

static const SchemaField namespace_status_fields[] = {
    STRING("phase", DEFAULT("\"Active\"")),
    LIST("conditions", &schema_namespace_condition, KEY("type")),
    END,
};
const Schema schema_namespace_status = {"io.k8s.api.core.v1.NamespaceStatus", namespace_status_fields};

static const SchemaField namespace_fields[] = {
    STRING("apiVersion"),
    STRING("kind"),
    OBJECT("metadata", &schema_object_meta, FILLED),
    OBJECT("spec", &schema_namespace_spec, FILLED),
    OBJECT("status", &schema_namespace_status, FILLED),
    END,
};
const Schema schema_namespace = {"io.k8s.api.core.v1.Namespace", namespace_fields};

static const SchemaField taint_fields[] = {
    STRING("key", FILLED, REQUIRED), STRING("value"), STRING("effect", FILLED, REQUIRED), TIME("timeAdded"), END,
};
const Schema schema_taint = {"io.k8s.api.core.v1.Taint", taint_fields};

static const SchemaField node_spec_fields[] = {
    STRING("podCIDR"),
    STRINGS("podCIDRs", KEY("")),
    STRING("providerID", STORED),
    BOOLEAN("unschedulable"),
    LIST("taints", &schema_taint),
    ANY("configSource", REFUSED("nodes are configured by their start")),
    STRING("externalID", STORED),
    END,
};
const Schema schema_node_spec = {"io.k8s.api.core.v1.NodeSpec", node_spec_fields};

static const SchemaField node_address_fields[] = {
    STRING("type", FILLED, REQUIRED),
    STRING("address", FILLED, REQUIRED),
    END,
};
const Schema schema_node_address = {"io.k8s.api.core.v1.NodeAddress", node_address_fields};

static const SchemaField node_condition_fields[] = {
    STRING("type", FILLED, REQUIRED),
    STRING("status", FILLED, REQUIRED),
    TIME("lastHeartbeatTime", FILLED),
    TIME("lastTransitionTime", FILLED),
    STRING("reason"),
    STRING("message"),
    END,
};
const Schema schema_node_condition = {"io.k8s.api.core.v1.NodeCondition", node_condition_fields};

static const SchemaField daemon_endpoint_fields[] = {
    INTEGER("Port", FILLED, REQUIRED),
    END,
};
const Schema schema_daemon_endpoint = {"io.k8s.api.core.v1.DaemonEndpoint", daemon_endpoint_fields};

static const SchemaField node_daemon_endpoints_fields[] = {
    OBJECT("kubeletEndpoint", &schema_daemon_endpoint, FILLED),
    END,
};
const Schema schema_node_daemon_endpoints = {"io.k8s.api.core.v1.NodeDaemonEndpoints", node_daemon_endpoints_fields};

static const SchemaField container_image_fields[] = {
    STRINGS("names", REQUIRED),
    LONG("sizeBytes"),
    END,
};
const Schema schema_container_image = {"io.k8s.api.core.v1.ContainerImage", container_image_fields};

static const SchemaField node_system_info_fields[] = {
    STRING("machineID", FILLED, REQUIRED),
    STRING("systemUUID", FILLED, REQUIRED),
    STRING("bootID", FILLED, REQUIRED),
    STRING("kernelVersion", FILLED, REQUIRED),
    STRING("osImage", FILLED, REQUIRED),
    STRING("containerRuntimeVersion", FILLED, REQUIRED),
    STRING("kubeletVersion", FILLED, REQUIRED),
    STRING("kubeProxyVersion", FILLED, REQUIRED),
    STRING("operatingSystem", FILLED, REQUIRED),
    STRING("architecture", FILLED, REQUIRED),
    END,
};
const Schema schema_node_system_info = {"io.k8s.api.core.v1.NodeSystemInfo", node_system_info_fields};

static const SchemaField node_status_fields[] = {
    QUANTITIES("capacity"),
    QUANTITIES("allocatable"),
    STRING("phase"),
    LIST("conditions", &schema_node_condition, KEY("type")),
    LIST("addresses", &schema_node_address, KEY("type")),
    OBJECT("daemonEndpoints", &schema_node_daemon_endpoints, FILLED),
    OBJECT("nodeInfo", &schema_node_system_info, FILLED),
    LIST("images", &schema_container_image),
    STRINGS("volumesInUse"),
    LIST_ANY("volumesAttached"),
    ANY("config"),
    END,
};
const Schema schema_node_status = {"io.k8s.api.core.v1.NodeStatus", node_status_fields};

static const SchemaField node_fields[] = {
    STRING("apiVersion"),
    STRING("kind"),
    OBJECT("metadata", &schema_object_meta, FILLED),
    OBJECT("spec", &schema_node_spec, FILLED),
    OBJECT("status", &schema_node_status, FILLED),
    END,
};
const Schema schema_node = {"io.k8s.api.core.v1.Node", node_fields};

static const SchemaField event_series_fields[] = {
    INTEGER("count"),
    MICRO_TIME("lastObservedTime", FILLED),
    END,
};
const Schema schema_event_series = {"io.k8s.api.core.v1.EventSeries", event_series_fields};

static const SchemaField event_source_fields[] = {
    STRING("component"),
    STRING("host"),
    END,
};
const Schema schema_event_source = {"io.k8s.api.core.v1.EventSource", event_source_fields};

static const SchemaField event_fields[] = {
    STRING("apiVersion"),
    STRING("kind"),
    OBJECT("metadata", &schema_object_meta, FILLED, REQUIRED),
    OBJECT("involvedObject", &schema_object_reference, FILLED, REQUIRED),
    STRING("reason"),
    STRING("message"),
    OBJECT("source", &schema_event_source, FILLED),
    TIME("firstTimestamp", FILLED),
    TIME("lastTimestamp", FILLED),
    INTEGER("count"),
    STRING("type"),
    MICRO_TIME("eventTime", FILLED),
    OBJECT("series", &schema_event_series, KEPT),
    STRING("action"),
    OBJECT("related", &schema_object_reference, KEPT),
    STRING("reportingComponent", FILLED),
    STRING("reportingInstance", FILLED),
    END,
};
const Schema schema_event = {"io.k8s.api.core.v1.Event", event_fields};

static const SchemaField config_map_fields[] = {
    STRING("apiVersion"),
    STRING("kind"),
    OBJECT("metadata", &schema_object_meta, FILLED),
    BOOLEAN("immutable", KEPT),
    MAP("data"),
    BYTES_MAP("binaryData"),
    END,
};
const Schema schema_config_map = {"io.k8s.api.core.v1.ConfigMap", config_map_fields};

static const SchemaField secret_fields[] = {
    STRING("apiVersion"),
    STRING("kind"),
    OBJECT("metadata", &schema_object_meta, FILLED),
    BOOLEAN("immutable", KEPT),
    BYTES_MAP("data"),
    MAP("stringData"),
    STRING("type", DEFAULT("\"Opaque\"")),
    END,
};
const Schema schema_secret = {"io.k8s.api.core.v1.Secret", secret_fields};

static const SchemaField service_account_fields[] = {
    STRING("apiVersion"),
    STRING("kind"),
    OBJECT("metadata", &schema_object_meta, FILLED),
    LIST("secrets", &schema_object_reference, KEY("name"), STORED),
    LIST("imagePullSecrets", &schema_local_object_reference, STORED),
    BOOLEAN("automountServiceAccountToken", KEPT, IGNORED("only pods say whether they get a token")),
    END,
};
const Schema schema_service_account = {"io.k8s.api.core.v1.ServiceAccount", service_account_fields};

static const SchemaField lease_spec_fields[] = {
    STRING("holderIdentity", KEPT), INTEGER("leaseDurationSeconds", KEPT), MICRO_TIME("acquireTime"),
    MICRO_TIME("renewTime"),        INTEGER("leaseTransitions", KEPT),     END,
};
const Schema schema_lease_spec = {"io.k8s.api.coordination.v1.LeaseSpec", lease_spec_fields};

static const SchemaField lease_fields[] = {
    STRING("apiVersion"),
    STRING("kind"),
    OBJECT("metadata", &schema_object_meta, FILLED),
    OBJECT("spec", &schema_lease_spec, FILLED),
    END,
};
const Schema schema_lease = {"io.k8s.api.coordination.v1.Lease", lease_fields};
