/* schema_workload.c - the fields of what makes pods (Kubernetes API reference, v1.20). */
#include "schema_tables.h"

static const SchemaField replication_controller_spec_fields[] = {
    INTEGER("replicas", KEPT, DEFAULT("1")),
    INTEGER("minReadySeconds"),
    MAP("selector"),
    OBJECT("template", &schema_pod_template_spec, KEPT),
    END,
};
const Schema schema_replication_controller_spec = {"io.k8s.api.core.v1.ReplicationControllerSpec",
                                                   replication_controller_spec_fields};

static const SchemaField replication_controller_condition_fields[] = {
    STRING("type", FILLED, REQUIRED),
    STRING("status", FILLED, REQUIRED),
    TIME("lastTransitionTime", FILLED),
    STRING("reason"),
    STRING("message"),
    END,
};
const Schema schema_replication_controller_condition = {"io.k8s.api.core.v1.ReplicationControllerCondition",
                                                        replication_controller_condition_fields};

static const SchemaField replication_controller_status_fields[] = {
    INTEGER("replicas", FILLED, REQUIRED),
    INTEGER("fullyLabeledReplicas"),
    INTEGER("readyReplicas"),
    INTEGER("availableReplicas"),
    LONG("observedGeneration"),
    LIST("conditions", &schema_replication_controller_condition, KEY("type")),
    END,
};
const Schema schema_replication_controller_status = {"io.k8s.api.core.v1.ReplicationControllerStatus",
                                                     replication_controller_status_fields};

static const SchemaField replication_controller_fields[] = {
    STRING("apiVersion"),
    STRING("kind"),
    OBJECT("metadata", &schema_object_meta, FILLED),
    OBJECT("spec", &schema_replication_controller_spec, FILLED),
    OBJECT("status", &schema_replication_controller_status, FILLED),
    END,
};
const Schema schema_replication_controller = {"io.k8s.api.core.v1.ReplicationController",
                                              replication_controller_fields};

static const SchemaField rolling_update_deployment_fields[] = {
    INT_OR_STRING("maxUnavailable", KEPT, DEFAULT("\"25%\"")),
    INT_OR_STRING("maxSurge", KEPT, DEFAULT("\"25%\"")),
    END,
};
const Schema schema_rolling_update_deployment = {"io.k8s.api.apps.v1.RollingUpdateDeployment",
                                                 rolling_update_deployment_fields};

static const SchemaField deployment_strategy_fields[] = {
    STRING("type", DEFAULT("\"RollingUpdate\"")),
    OBJECT("rollingUpdate", &schema_rolling_update_deployment, KEPT),
    END,
};
const Schema schema_deployment_strategy = {"io.k8s.api.apps.v1.DeploymentStrategy", deployment_strategy_fields};

static const SchemaField deployment_spec_fields[] = {
    INTEGER("replicas", KEPT, DEFAULT("1")),
    OBJECT("selector", &schema_label_selector, KEPT, REQUIRED),
    OBJECT("template", &schema_pod_template_spec, FILLED, REQUIRED),
    OBJECT("strategy", &schema_deployment_strategy, FILLED, RETAINS_KEYS),
    INTEGER("minReadySeconds"),
    INTEGER("revisionHistoryLimit", KEPT, DEFAULT("10")),
    BOOLEAN("paused"),
    INTEGER("progressDeadlineSeconds", KEPT, DEFAULT("600")),
    END,
};
const Schema schema_deployment_spec = {"io.k8s.api.apps.v1.DeploymentSpec", deployment_spec_fields};

static const SchemaField deployment_condition_fields[] = {
    STRING("type", FILLED, REQUIRED),
    STRING("status", FILLED, REQUIRED),
    TIME("lastUpdateTime", FILLED),
    TIME("lastTransitionTime", FILLED),
    STRING("reason"),
    STRING("message"),
    END,
};
const Schema schema_deployment_condition = {"io.k8s.api.apps.v1.DeploymentCondition", deployment_condition_fields};

static const SchemaField deployment_status_fields[] = {
    LONG("observedGeneration"),
    INTEGER("replicas"),
    INTEGER("updatedReplicas"),
    INTEGER("readyReplicas"),
    INTEGER("availableReplicas"),
    INTEGER("unavailableReplicas"),
    LIST("conditions", &schema_deployment_condition, KEY("type")),
    INTEGER("collisionCount", KEPT),
    END,
};
const Schema schema_deployment_status = {"io.k8s.api.apps.v1.DeploymentStatus", deployment_status_fields};

static const SchemaField deployment_fields[] = {
    STRING("apiVersion"),
    STRING("kind"),
    OBJECT("metadata", &schema_object_meta, FILLED),
    OBJECT("spec", &schema_deployment_spec, FILLED),
    OBJECT("status", &schema_deployment_status, FILLED),
    END,
};
const Schema schema_deployment = {"io.k8s.api.apps.v1.Deployment", deployment_fields};

static const SchemaField replica_set_spec_fields[] = {
    INTEGER("replicas", KEPT, DEFAULT("1")),
    INTEGER("minReadySeconds"),
    OBJECT("selector", &schema_label_selector, KEPT, REQUIRED),
    OBJECT("template", &schema_pod_template_spec, FILLED),
    END,
};
const Schema schema_replica_set_spec = {"io.k8s.api.apps.v1.ReplicaSetSpec", replica_set_spec_fields};

static const SchemaField replica_set_condition_fields[] = {
    STRING("type", FILLED, REQUIRED),
    STRING("status", FILLED, REQUIRED),
    TIME("lastTransitionTime", FILLED),
    STRING("reason"),
    STRING("message"),
    END,
};
const Schema schema_replica_set_condition = {"io.k8s.api.apps.v1.ReplicaSetCondition", replica_set_condition_fields};

static const SchemaField replica_set_status_fields[] = {
    INTEGER("replicas", FILLED, REQUIRED),
    INTEGER("fullyLabeledReplicas"),
    INTEGER("readyReplicas"),
    INTEGER("availableReplicas"),
    LONG("observedGeneration"),
    LIST("conditions", &schema_replica_set_condition, KEY("type")),
    END,
};
const Schema schema_replica_set_status = {"io.k8s.api.apps.v1.ReplicaSetStatus", replica_set_status_fields};

static const SchemaField replica_set_fields[] = {
    STRING("apiVersion"),
    STRING("kind"),
    OBJECT("metadata", &schema_object_meta, FILLED),
    OBJECT("spec", &schema_replica_set_spec, FILLED),
    OBJECT("status", &schema_replica_set_status, FILLED),
    END,
};
const Schema schema_replica_set = {"io.k8s.api.apps.v1.ReplicaSet", replica_set_fields};

static const SchemaField rolling_update_stateful_set_strategy_fields[] = {
    INTEGER("partition", KEPT),
    END,
};
const Schema schema_rolling_update_stateful_set_strategy = {"io.k8s.api.apps.v1.RollingUpdateStatefulSetStrategy",
                                                            rolling_update_stateful_set_strategy_fields};

static const SchemaField stateful_set_update_strategy_fields[] = {
    STRING("type"),
    OBJECT("rollingUpdate", &schema_rolling_update_stateful_set_strategy, KEPT),
    END,
};
const Schema schema_stateful_set_update_strategy = {"io.k8s.api.apps.v1.StatefulSetUpdateStrategy",
                                                    stateful_set_update_strategy_fields};

static const SchemaField stateful_set_spec_fields[] = {
    INTEGER("replicas", KEPT, DEFAULT("1")),
    OBJECT("selector", &schema_label_selector, KEPT, REQUIRED),
    OBJECT("template", &schema_pod_template_spec, FILLED, REQUIRED),
    LIST("volumeClaimTemplates", &schema_persistent_volume_claim),
    STRING("serviceName", FILLED, REQUIRED),
    STRING("podManagementPolicy", DEFAULT("\"OrderedReady\"")),
    OBJECT("updateStrategy", &schema_stateful_set_update_strategy, FILLED),
    INTEGER("revisionHistoryLimit", KEPT, DEFAULT("10")),
    END,
};
const Schema schema_stateful_set_spec = {"io.k8s.api.apps.v1.StatefulSetSpec", stateful_set_spec_fields};

static const SchemaField stateful_set_condition_fields[] = {
    STRING("type", FILLED, REQUIRED),
    STRING("status", FILLED, REQUIRED),
    TIME("lastTransitionTime", FILLED),
    STRING("reason"),
    STRING("message"),
    END,
};
const Schema schema_stateful_set_condition = {"io.k8s.api.apps.v1.StatefulSetCondition", stateful_set_condition_fields};

static const SchemaField stateful_set_status_fields[] = {
    LONG("observedGeneration"),
    INTEGER("replicas", FILLED, REQUIRED),
    INTEGER("readyReplicas"),
    INTEGER("currentReplicas"),
    INTEGER("updatedReplicas"),
    STRING("currentRevision"),
    STRING("updateRevision"),
    INTEGER("collisionCount", KEPT),
    LIST("conditions", &schema_stateful_set_condition, KEY("type")),
    END,
};
const Schema schema_stateful_set_status = {"io.k8s.api.apps.v1.StatefulSetStatus", stateful_set_status_fields};

static const SchemaField stateful_set_fields[] = {
    STRING("apiVersion"),
    STRING("kind"),
    OBJECT("metadata", &schema_object_meta, FILLED),
    OBJECT("spec", &schema_stateful_set_spec, FILLED),
    OBJECT("status", &schema_stateful_set_status, FILLED),
    END,
};
const Schema schema_stateful_set = {"io.k8s.api.apps.v1.StatefulSet", stateful_set_fields};

static const SchemaField controller_revision_fields[] = {
    STRING("apiVersion"),
    STRING("kind"),
    OBJECT("metadata", &schema_object_meta, FILLED),
    ANY("data"),
    LONG("revision", FILLED, REQUIRED),
    END,
};
const Schema schema_controller_revision = {"io.k8s.api.apps.v1.ControllerRevision", controller_revision_fields};

static const SchemaField scale_spec_fields[] = {
    INTEGER("replicas"),
    END,
};
const Schema schema_scale_spec = {"io.k8s.api.autoscaling.v1.ScaleSpec", scale_spec_fields};

static const SchemaField scale_status_fields[] = {
    INTEGER("replicas", FILLED, REQUIRED),
    STRING("selector"),
    END,
};
const Schema schema_scale_status = {"io.k8s.api.autoscaling.v1.ScaleStatus", scale_status_fields};

static const SchemaField scale_fields[] = {
    STRING("apiVersion"),
    STRING("kind"),
    OBJECT("metadata", &schema_object_meta, FILLED),
    OBJECT("spec", &schema_scale_spec, FILLED),
    OBJECT("status", &schema_scale_status, FILLED),
    END,
};
const Schema schema_scale = {"io.k8s.api.autoscaling.v1.Scale", scale_fields};

static const SchemaField eviction_fields[] = {
    STRING("apiVersion"),
    STRING("kind"),
    OBJECT("metadata", &schema_object_meta, FILLED),
    OBJECT("deleteOptions", &schema_delete_options, KEPT),
    END,
};
const Schema schema_eviction = {"io.k8s.api.policy.v1beta1.Eviction", eviction_fields};
