/* schema_pod.c - the fields of pods: their spec, containers and status (Kubernetes API reference, v1.20). */
#include "schema_tables.h"

static const char *const values_http_https[] = {"HTTP", "HTTPS", NULL};
static const char *const values_sctp_tcp_udp[] = {"SCTP", "TCP", "UDP", NULL};
static const char *const values_always_ifnotpresent_never[] = {"Always", "IfNotPresent", "Never", NULL};
static const char *const values_always_onfailure_never[] = {"Always", "OnFailure", "Never", NULL};
static const char *const values_clusterfirstwithhostnet_clusterfirst_default_none[] = {
    "ClusterFirstWithHostNet", "ClusterFirst", "Default", "None", NULL};

static const SchemaField object_field_selector_fields[] = {
    STRING("apiVersion", DEFAULT("\"v1\"")),
    STRING("fieldPath", FILLED, REQUIRED),
    END,
};
const Schema schema_object_field_selector = {"io.k8s.api.core.v1.ObjectFieldSelector", object_field_selector_fields};

static const SchemaField resource_field_selector_fields[] = {
    STRING("containerName"),
    STRING("resource", FILLED, REQUIRED),
    QUANTITY("divisor", FILLED),
    END,
};
const Schema schema_resource_field_selector = {"io.k8s.api.core.v1.ResourceFieldSelector",
                                               resource_field_selector_fields};

static const SchemaField config_map_key_selector_fields[] = {
    STRING("name"),
    STRING("key", FILLED, REQUIRED),
    BOOLEAN("optional", KEPT),
    END,
};
const Schema schema_config_map_key_selector = {"io.k8s.api.core.v1.ConfigMapKeySelector",
                                               config_map_key_selector_fields};

static const SchemaField secret_key_selector_fields[] = {
    STRING("name"),
    STRING("key", FILLED, REQUIRED),
    BOOLEAN("optional", KEPT),
    END,
};
const Schema schema_secret_key_selector = {"io.k8s.api.core.v1.SecretKeySelector", secret_key_selector_fields};

static const SchemaField env_var_source_fields[] = {
    OBJECT("fieldRef", &schema_object_field_selector, KEPT),
    OBJECT("resourceFieldRef", &schema_resource_field_selector, KEPT),
    OBJECT("configMapKeyRef", &schema_config_map_key_selector, KEPT),
    OBJECT("secretKeyRef", &schema_secret_key_selector, KEPT),
    END,
};
const Schema schema_env_var_source = {"io.k8s.api.core.v1.EnvVarSource", env_var_source_fields};

static const SchemaField env_var_fields[] = {
    STRING("name", FILLED, REQUIRED),
    STRING("value"),
    OBJECT("valueFrom", &schema_env_var_source, KEPT),
    END,
};
const Schema schema_env_var = {"io.k8s.api.core.v1.EnvVar", env_var_fields};

static const SchemaField config_map_env_source_fields[] = {
    STRING("name"),
    BOOLEAN("optional", KEPT),
    END,
};
const Schema schema_config_map_env_source = {"io.k8s.api.core.v1.ConfigMapEnvSource", config_map_env_source_fields};

static const SchemaField secret_env_source_fields[] = {
    STRING("name"),
    BOOLEAN("optional", KEPT),
    END,
};
const Schema schema_secret_env_source = {"io.k8s.api.core.v1.SecretEnvSource", secret_env_source_fields};

static const SchemaField env_from_source_fields[] = {
    STRING("prefix"),
    OBJECT("configMapRef", &schema_config_map_env_source, KEPT),
    OBJECT("secretRef", &schema_secret_env_source, KEPT),
    END,
};
const Schema schema_env_from_source = {"io.k8s.api.core.v1.EnvFromSource", env_from_source_fields};

static const SchemaField exec_action_fields[] = {
    STRINGS("command"),
    END,
};
const Schema schema_exec_action = {"io.k8s.api.core.v1.ExecAction", exec_action_fields};

static const SchemaField http_header_fields[] = {
    STRING("name", FILLED, REQUIRED),
    STRING("value", FILLED, REQUIRED),
    END,
};
const Schema schema_http_header = {"io.k8s.api.core.v1.HTTPHeader", http_header_fields};

static const SchemaField http_get_action_fields[] = {
    STRING("path", DEFAULT("\"/\"")),
    INT_OR_STRING("port", KEPT, REQUIRED),
    STRING("host"),
    STRING("scheme", DEFAULT("\"HTTP\""), VALUES(values_http_https)),
    LIST("httpHeaders", &schema_http_header, IGNORED("probes send no headers of their own")),
    END,
};
const Schema schema_http_get_action = {"io.k8s.api.core.v1.HTTPGetAction", http_get_action_fields};

static const SchemaField tcp_socket_action_fields[] = {
    INT_OR_STRING("port", KEPT, REQUIRED),
    STRING("host"),
    END,
};
const Schema schema_tcp_socket_action = {"io.k8s.api.core.v1.TCPSocketAction", tcp_socket_action_fields};

static const SchemaField probe_fields[] = {
    OBJECT("exec", &schema_exec_action, KEPT),
    OBJECT("httpGet", &schema_http_get_action, KEPT),
    OBJECT("tcpSocket", &schema_tcp_socket_action, KEPT),
    INTEGER("initialDelaySeconds"),
    INTEGER("timeoutSeconds", DEFAULT("1")),
    INTEGER("periodSeconds", DEFAULT("10")),
    INTEGER("successThreshold", DEFAULT("1")),
    INTEGER("failureThreshold", DEFAULT("3")),
    END,
};
const Schema schema_probe = {"io.k8s.api.core.v1.Probe", probe_fields};

static const SchemaField container_port_fields[] = {
    STRING("name"),
    INTEGER("hostPort"),
    INTEGER("containerPort", FILLED, REQUIRED),
    STRING("protocol", DEFAULT("\"TCP\""), VALUES(values_sctp_tcp_udp)),
    STRING("hostIP"),
    END,
};
const Schema schema_container_port = {"io.k8s.api.core.v1.ContainerPort", container_port_fields};

static const SchemaField resource_requirements_fields[] = {
    QUANTITIES("limits"),
    QUANTITIES("requests"),
    END,
};
const Schema schema_resource_requirements = {"io.k8s.api.core.v1.ResourceRequirements", resource_requirements_fields};

static const SchemaField container_fields[] = {
    STRING("name", FILLED, REQUIRED),
    STRING("image"),
    STRINGS("command"),
    STRINGS("args"),
    STRING("workingDir"),
    LIST("ports", &schema_container_port, KEY("containerPort")),
    LIST("envFrom", &schema_env_from_source),
    LIST("env", &schema_env_var, KEY("name")),
    OBJECT("resources", &schema_resource_requirements, FILLED),
    LIST("volumeMounts", &schema_volume_mount, KEY("mountPath")),
    LIST_ANY("volumeDevices", KEY("devicePath"), REFUSED("there are no block volumes")),
    OBJECT("livenessProbe", &schema_probe, KEPT),
    OBJECT("readinessProbe", &schema_probe, KEPT),
    OBJECT("startupProbe", &schema_probe, KEPT),
    ANY("lifecycle", REFUSED("containers are not told of their start and end")),
    STRING("terminationMessagePath", DEFAULT("\"/dev/termination-log\""), STORED),
    STRING("terminationMessagePolicy", DEFAULT("\"File\""), STORED),
    STRING("imagePullPolicy", VALUES(values_always_ifnotpresent_never), STORED),
    OBJECT("securityContext", &schema_security_context, KEPT),
    BOOLEAN("stdin", IGNORED("containers have no standard input")),
    BOOLEAN("stdinOnce", IGNORED("containers have no standard input")),
    BOOLEAN("tty", IGNORED("containers have no standard input")),
    END,
};
const Schema schema_container = {"io.k8s.api.core.v1.Container", container_fields};

static const SchemaField node_selector_requirement_fields[] = {
    STRING("key", FILLED, REQUIRED),
    STRING("operator", FILLED, REQUIRED),
    STRINGS("values"),
    END,
};
const Schema schema_node_selector_requirement = {"io.k8s.api.core.v1.NodeSelectorRequirement",
                                                 node_selector_requirement_fields};

static const SchemaField node_selector_term_fields[] = {
    LIST("matchExpressions", &schema_node_selector_requirement),
    LIST("matchFields", &schema_node_selector_requirement),
    END,
};
const Schema schema_node_selector_term = {"io.k8s.api.core.v1.NodeSelectorTerm", node_selector_term_fields};

static const SchemaField node_selector_fields[] = {
    LIST("nodeSelectorTerms", &schema_node_selector_term, REQUIRED),
    END,
};
const Schema schema_node_selector = {"io.k8s.api.core.v1.NodeSelector", node_selector_fields};

static const SchemaField preferred_scheduling_term_fields[] = {
    INTEGER("weight", FILLED, REQUIRED),
    OBJECT("preference", &schema_node_selector_term, FILLED, REQUIRED),
    END,
};
const Schema schema_preferred_scheduling_term = {"io.k8s.api.core.v1.PreferredSchedulingTerm",
                                                 preferred_scheduling_term_fields};

static const SchemaField node_affinity_fields[] = {
    OBJECT("requiredDuringSchedulingIgnoredDuringExecution", &schema_node_selector, KEPT),
    LIST("preferredDuringSchedulingIgnoredDuringExecution", &schema_preferred_scheduling_term,
         IGNORED("the scheduler spreads pods by itself")),
    END,
};
const Schema schema_node_affinity = {"io.k8s.api.core.v1.NodeAffinity", node_affinity_fields};

static const SchemaField pod_anti_affinity_fields[] = {
    LIST_ANY("requiredDuringSchedulingIgnoredDuringExecution", REFUSED("pods are not placed by other pods")),
    LIST_ANY("preferredDuringSchedulingIgnoredDuringExecution", IGNORED("the scheduler spreads pods by itself")),
    END,
};
const Schema schema_pod_anti_affinity = {"io.k8s.api.core.v1.PodAntiAffinity", pod_anti_affinity_fields};

static const SchemaField affinity_fields[] = {
    OBJECT("nodeAffinity", &schema_node_affinity, KEPT),
    ANY("podAffinity", REFUSED("pods are not placed by other pods")),
    OBJECT("podAntiAffinity", &schema_pod_anti_affinity, KEPT),
    END,
};
const Schema schema_affinity = {"io.k8s.api.core.v1.Affinity", affinity_fields};

static const SchemaField toleration_fields[] = {
    STRING("key"), STRING("operator"), STRING("value"), STRING("effect"), LONG("tolerationSeconds", KEPT), END,
};
const Schema schema_toleration = {"io.k8s.api.core.v1.Toleration", toleration_fields};

static const SchemaField topology_spread_constraint_fields[] = {
    INTEGER("maxSkew", FILLED, REQUIRED),
    STRING("topologyKey", FILLED, REQUIRED),
    STRING("whenUnsatisfiable", FILLED, REQUIRED),
    OBJECT("labelSelector", &schema_label_selector, KEPT),
    END,
};
const Schema schema_topology_spread_constraint = {"io.k8s.api.core.v1.TopologySpreadConstraint",
                                                  topology_spread_constraint_fields};

static const SchemaField local_object_reference_fields[] = {
    STRING("name"),
    END,
};
const Schema schema_local_object_reference = {"io.k8s.api.core.v1.LocalObjectReference", local_object_reference_fields};

static const SchemaField pod_spec_fields[] = {
    LIST("volumes", &schema_volume, KEY("name"), RETAINS_KEYS),
    LIST("initContainers", &schema_container, KEY("name")),
    LIST("containers", &schema_container, REQUIRED, KEY("name")),
    LIST_ANY("ephemeralContainers", KEY("name"), REFUSED("there are no ephemeral containers")),
    STRING("restartPolicy", DEFAULT("\"Always\""), VALUES(values_always_onfailure_never)),
    LONG("terminationGracePeriodSeconds", KEPT, DEFAULT("30")),
    LONG("activeDeadlineSeconds", KEPT, REFUSED("pods are not ended by a deadline")),
    STRING("dnsPolicy", DEFAULT("\"ClusterFirst\""), VALUES(values_clusterfirstwithhostnet_clusterfirst_default_none),
           STORED),
    MAP("nodeSelector"),
    STRING("serviceAccountName"),
    STRING("serviceAccount", STORED),
    BOOLEAN("automountServiceAccountToken", KEPT),
    STRING("nodeName"),
    BOOLEAN("hostNetwork", IGNORED("pods have addresses of the machine")),
    BOOLEAN("hostPID", IGNORED("pods see the processes of the machine")),
    BOOLEAN("hostIPC", IGNORED("pods see the processes of the machine")),
    BOOLEAN("shareProcessNamespace", KEPT, IGNORED("pods see the processes of the machine")),
    OBJECT("securityContext", &schema_pod_security_context, KEPT, DEFAULT("{}")),
    LIST("imagePullSecrets", &schema_local_object_reference, KEY("name"), STORED),
    STRING("hostname", IGNORED("pods share the name of the machine")),
    STRING("subdomain", IGNORED("pods share the name of the machine")),
    OBJECT("affinity", &schema_affinity, KEPT),
    STRING("schedulerName", DEFAULT("\"default-scheduler\""), STORED),
    LIST("tolerations", &schema_toleration),
    LIST_ANY("hostAliases", KEY("ip"), REFUSED("names are resolved by the machine")),
    STRING("priorityClassName", REFUSED("pods have no priorities")),
    INTEGER("priority", KEPT, IGNORED("pods have no priorities")),
    ANY("dnsConfig", IGNORED("pods use the machine's resolver")),
    LIST_ANY("readinessGates", REFUSED("pods are ready when their containers are")),
    STRING("runtimeClassName", KEPT, REFUSED("there are no runtime classes")),
    BOOLEAN("enableServiceLinks", KEPT, STORED),
    STRING("preemptionPolicy", KEPT, STORED),
    QUANTITIES("overhead", REFUSED("there are no runtime classes")),
    LIST("topologySpreadConstraints", &schema_topology_spread_constraint, KEY("topologyKey")),
    BOOLEAN("setHostnameAsFQDN", KEPT, REFUSED("pods share the name of the machine")),
    END,
};
const Schema schema_pod_spec = {"io.k8s.api.core.v1.PodSpec", pod_spec_fields};

static const SchemaField pod_condition_fields[] = {
    STRING("type", FILLED, REQUIRED),
    STRING("status", FILLED, REQUIRED),
    TIME("lastProbeTime", FILLED),
    TIME("lastTransitionTime", FILLED),
    STRING("reason"),
    STRING("message"),
    END,
};
const Schema schema_pod_condition = {"io.k8s.api.core.v1.PodCondition", pod_condition_fields};

static const SchemaField container_state_waiting_fields[] = {
    STRING("reason"),
    STRING("message"),
    END,
};
const Schema schema_container_state_waiting = {"io.k8s.api.core.v1.ContainerStateWaiting",
                                               container_state_waiting_fields};

static const SchemaField container_state_running_fields[] = {
    TIME("startedAt", FILLED),
    END,
};
const Schema schema_container_state_running = {"io.k8s.api.core.v1.ContainerStateRunning",
                                               container_state_running_fields};

static const SchemaField container_state_terminated_fields[] = {
    INTEGER("exitCode", FILLED, REQUIRED),
    INTEGER("signal"),
    STRING("reason"),
    STRING("message"),
    TIME("startedAt", FILLED),
    TIME("finishedAt", FILLED),
    STRING("containerID"),
    END,
};
const Schema schema_container_state_terminated = {"io.k8s.api.core.v1.ContainerStateTerminated",
                                                  container_state_terminated_fields};

static const SchemaField container_state_fields[] = {
    OBJECT("waiting", &schema_container_state_waiting, KEPT),
    OBJECT("running", &schema_container_state_running, KEPT),
    OBJECT("terminated", &schema_container_state_terminated, KEPT),
    END,
};
const Schema schema_container_state = {"io.k8s.api.core.v1.ContainerState", container_state_fields};

static const SchemaField container_status_fields[] = {
    STRING("name", FILLED, REQUIRED),
    OBJECT("state", &schema_container_state, FILLED),
    OBJECT("lastState", &schema_container_state, FILLED),
    BOOLEAN("ready", FILLED, REQUIRED),
    INTEGER("restartCount", FILLED, REQUIRED),
    STRING("image", FILLED, REQUIRED),
    STRING("imageID", FILLED, REQUIRED),
    STRING("containerID"),
    BOOLEAN("started", KEPT),
    END,
};
const Schema schema_container_status = {"io.k8s.api.core.v1.ContainerStatus", container_status_fields};

static const SchemaField pod_ip_fields[] = {
    STRING("ip"),
    END,
};
const Schema schema_pod_ip = {"io.k8s.api.core.v1.PodIP", pod_ip_fields};

static const SchemaField pod_status_fields[] = {
    STRING("phase", DEFAULT("\"Pending\"")),
    LIST("conditions", &schema_pod_condition, KEY("type")),
    STRING("message"),
    STRING("reason"),
    STRING("nominatedNodeName"),
    STRING("hostIP"),
    STRING("podIP"),
    LIST("podIPs", &schema_pod_ip, KEY("ip")),
    TIME("startTime"),
    LIST("initContainerStatuses", &schema_container_status),
    LIST("containerStatuses", &schema_container_status),
    STRING("qosClass"),
    LIST_ANY("ephemeralContainerStatuses"),
    END,
};
const Schema schema_pod_status = {"io.k8s.api.core.v1.PodStatus", pod_status_fields};

static const SchemaField pod_fields[] = {
    STRING("apiVersion"),
    STRING("kind"),
    OBJECT("metadata", &schema_object_meta, FILLED),
    OBJECT("spec", &schema_pod_spec, FILLED),
    OBJECT("status", &schema_pod_status, FILLED),
    END,
};
const Schema schema_pod = {"io.k8s.api.core.v1.Pod", pod_fields};

static const SchemaField pod_template_spec_fields[] = {
    OBJECT("metadata", &schema_object_meta, FILLED),
    OBJECT("spec", &schema_pod_spec, FILLED),
    END,
};
const Schema schema_pod_template_spec = {"io.k8s.api.core.v1.PodTemplateSpec", pod_template_spec_fields};
