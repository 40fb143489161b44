/* schema_tables.h - how the tables of fields are written, and all of them.
 *
 * An entry names the field; what else is to say of it follows:
 *   KEPT      a pointer in Kubernetes: its zero value ("", 0, false, {}) is not the same as none, and kept
 *   FILLED    always there: the zero value is filled in (times as null)
 *             Of other fields the zero value is the same as none, and left out.
 *   REQUIRED  OpenAPI calls it so
 *   KEY       lists: what they are merged by
 *   DEFAULT   as JSON
 *   USUAL     of an ignored or refused text: the value that needs no word
 * and the treatment: STORED, IGNORED(why), REFUSED(why); honoured otherwise. */
#pragma once

#include "schema.h"

#define FIELD(name_, type_, ...)                                                                                       \
    {                                                                                                                  \
        .name = (name_), .type = (type_), __VA_ARGS__                                                                  \
    }
#define STRING(name_, ...) FIELD(name_, FIELD_STRING, __VA_ARGS__)
#define INTEGER(name_, ...) FIELD(name_, FIELD_INTEGER, __VA_ARGS__)
#define LONG(name_, ...) FIELD(name_, FIELD_INTEGER, .wide = true, __VA_ARGS__)
#define BOOLEAN(name_, ...) FIELD(name_, FIELD_BOOLEAN, __VA_ARGS__)
#define QUANTITY(name_, ...) FIELD(name_, FIELD_QUANTITY, __VA_ARGS__)
#define INT_OR_STRING(name_, ...) FIELD(name_, FIELD_INT_OR_STRING, __VA_ARGS__)
#define TIME(name_, ...) FIELD(name_, FIELD_TIME, __VA_ARGS__)
#define MICRO_TIME(name_, ...) FIELD(name_, FIELD_TIME, .wide = true, __VA_ARGS__)
#define BYTES(name_, ...) FIELD(name_, FIELD_BYTES, __VA_ARGS__)
#define ANY(name_, ...) FIELD(name_, FIELD_ANY, __VA_ARGS__)
#define OBJECT(name_, schema_, ...) FIELD(name_, FIELD_OBJECT, .schema = (schema_), __VA_ARGS__)
#define LIST(name_, schema_, ...) FIELD(name_, FIELD_LIST, .schema = (schema_), __VA_ARGS__)
#define STRINGS(name_, ...) FIELD(name_, FIELD_LIST, .element = FIELD_STRING, __VA_ARGS__)
#define LIST_ANY(name_, ...) FIELD(name_, FIELD_LIST, .element = FIELD_ANY, __VA_ARGS__)
#define MAP(name_, ...) FIELD(name_, FIELD_MAP, .element = FIELD_STRING, __VA_ARGS__)
#define BYTES_MAP(name_, ...) FIELD(name_, FIELD_MAP, .element = FIELD_BYTES, __VA_ARGS__)
#define QUANTITIES(name_, ...) FIELD(name_, FIELD_MAP, .element = FIELD_QUANTITY, __VA_ARGS__)
#define END                                                                                                            \
    {                                                                                                                  \
        .name = NULL                                                                                                   \
    }

#define KEPT .zero = ZERO_KEPT
#define FILLED .zero = ZERO_FILLED
#define REQUIRED .required = true
#define KEY(key_) .merge_key = (key_)
#define RETAINS_KEYS .retain_keys = true
#define DEFAULT(json_) .fallback = (json_)
#define USUAL(text_) .usual = (text_)
#define VALUES(values_) .values = (values_)
#define STORED .treatment = FIELD_STORED
#define IGNORED(why_) .treatment = FIELD_IGNORED, .why = (why_)
#define REFUSED(why_) .treatment = FIELD_REFUSED, .why = (why_)

extern const Schema schema_list_meta, schema_object_meta, schema_owner_reference, schema_label_selector_requirement,
    schema_label_selector, schema_condition, schema_preconditions, schema_delete_options, schema_status_cause,
    schema_status_details, schema_status, schema_key_to_path, schema_host_path_volume_source,
    schema_empty_dir_volume_source, schema_config_map_volume_source, schema_secret_volume_source,
    schema_persistent_volume_claim_volume_source, schema_downward_api_volume_file, schema_downward_api_volume_source,
    schema_local_volume_source, schema_volume_node_affinity, schema_volume, schema_volume_mount,
    schema_persistent_volume_spec, schema_persistent_volume_status, schema_persistent_volume,
    schema_persistent_volume_claim_spec, schema_persistent_volume_claim_condition,
    schema_persistent_volume_claim_status, schema_persistent_volume_claim, schema_storage_class,
    schema_object_field_selector, schema_resource_field_selector, schema_config_map_key_selector,
    schema_secret_key_selector, schema_env_var_source, schema_env_var, schema_config_map_env_source,
    schema_secret_env_source, schema_env_from_source, schema_exec_action, schema_http_header, schema_http_get_action,
    schema_tcp_socket_action, schema_probe, schema_container_port, schema_resource_requirements, schema_container,
    schema_node_selector_requirement, schema_node_selector_term, schema_node_selector, schema_preferred_scheduling_term,
    schema_node_affinity, schema_pod_anti_affinity, schema_affinity, schema_toleration,
    schema_topology_spread_constraint, schema_local_object_reference, schema_pod_spec, schema_pod_condition,
    schema_container_state_waiting, schema_container_state_running, schema_container_state_terminated,
    schema_container_state, schema_container_status, schema_pod_ip, schema_pod_status, schema_pod,
    schema_pod_template_spec, schema_replication_controller_spec, schema_replication_controller_condition,
    schema_replication_controller_status, schema_replication_controller, schema_rolling_update_deployment,
    schema_deployment_strategy, schema_deployment_spec, schema_deployment_condition, schema_deployment_status,
    schema_deployment, schema_replica_set_spec, schema_replica_set_condition, schema_replica_set_status,
    schema_replica_set, schema_rolling_update_stateful_set_strategy, schema_stateful_set_update_strategy,
    schema_stateful_set_spec, schema_stateful_set_condition, schema_stateful_set_status, schema_stateful_set,
    schema_controller_revision, schema_scale_spec, schema_scale_status, schema_scale, schema_eviction,
    schema_service_port, schema_port_status, schema_load_balancer_ingress, schema_load_balancer_status,
    schema_service_spec, schema_service_status, schema_service, schema_object_reference, schema_endpoint_address,
    schema_endpoint_port, schema_endpoint_subset, schema_endpoints, schema_binding, schema_namespace_spec,
    schema_namespace_condition, schema_namespace_status, schema_namespace, schema_taint, schema_node_spec,
    schema_node_address, schema_node_condition, schema_daemon_endpoint, schema_node_daemon_endpoints,
    schema_container_image, schema_node_system_info, schema_node_status, schema_node, schema_event_series,
    schema_event_source, schema_event, schema_config_map, schema_secret, schema_service_account, schema_lease_spec,
    schema_lease, schema_capabilities, schema_se_linux_options, schema_seccomp_profile, schema_sysctl,
    schema_windows_security_context_options, schema_security_context, schema_pod_security_context;
