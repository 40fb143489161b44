/* schema_volume.c - the fields of volumes, claims and storage classes (Kubernetes API reference, v1.20). */
#include "schema_tables.h"

static const char *const values_readonlymany_readwritemany_readwriteonce[] = {"ReadOnlyMany", "ReadWriteMany",
                                                                              "ReadWriteOnce", NULL};
static const char *const values_delete_recycle_retain[] = {"Delete", "Recycle", "Retain", NULL};
static const char *const values_block_filesystem[] = {"Block", "Filesystem", NULL};
static const char *const values_delete_retain[] = {"Delete", "Retain", NULL};
static const char *const values_immediate_waitforfirstconsumer[] = {"Immediate", "WaitForFirstConsumer", NULL};

static const SchemaField key_to_path_fields[] = {
    STRING("key", FILLED, REQUIRED),
    STRING("path", FILLED, REQUIRED),
    INTEGER("mode", KEPT),
    END,
};
const Schema schema_key_to_path = {"io.k8s.api.core.v1.KeyToPath", key_to_path_fields};

static const SchemaField host_path_volume_source_fields[] = {
    STRING("path", FILLED, REQUIRED),
    STRING("type", KEPT, DEFAULT("\"\"")),
    END,
};
const Schema schema_host_path_volume_source = {"io.k8s.api.core.v1.HostPathVolumeSource",
                                               host_path_volume_source_fields};

static const SchemaField empty_dir_volume_source_fields[] = {
    STRING("medium", IGNORED("volumes are folders of the machine")),
    QUANTITY("sizeLimit", KEPT, IGNORED("volumes are folders of the machine")),
    END,
};
const Schema schema_empty_dir_volume_source = {"io.k8s.api.core.v1.EmptyDirVolumeSource",
                                               empty_dir_volume_source_fields};

static const SchemaField config_map_volume_source_fields[] = {
    STRING("name"),
    LIST("items", &schema_key_to_path),
    INTEGER("defaultMode", KEPT, DEFAULT("420")),
    BOOLEAN("optional", KEPT),
    END,
};
const Schema schema_config_map_volume_source = {"io.k8s.api.core.v1.ConfigMapVolumeSource",
                                                config_map_volume_source_fields};

static const SchemaField secret_volume_source_fields[] = {
    STRING("secretName"),
    LIST("items", &schema_key_to_path),
    INTEGER("defaultMode", KEPT, DEFAULT("420")),
    BOOLEAN("optional", KEPT),
    END,
};
const Schema schema_secret_volume_source = {"io.k8s.api.core.v1.SecretVolumeSource", secret_volume_source_fields};

static const SchemaField persistent_volume_claim_volume_source_fields[] = {
    STRING("claimName", FILLED, REQUIRED),
    BOOLEAN("readOnly", IGNORED("volumes are folders of the machine")),
    END,
};
const Schema schema_persistent_volume_claim_volume_source = {"io.k8s.api.core.v1.PersistentVolumeClaimVolumeSource",
                                                             persistent_volume_claim_volume_source_fields};

static const SchemaField downward_api_volume_file_fields[] = {
    STRING("path", FILLED, REQUIRED),
    OBJECT("fieldRef", &schema_object_field_selector, KEPT),
    OBJECT("resourceFieldRef", &schema_resource_field_selector, KEPT),
    INTEGER("mode", KEPT),
    END,
};
const Schema schema_downward_api_volume_file = {"io.k8s.api.core.v1.DownwardAPIVolumeFile",
                                                downward_api_volume_file_fields};

static const SchemaField downward_api_volume_source_fields[] = {
    LIST("items", &schema_downward_api_volume_file),
    INTEGER("defaultMode", KEPT, DEFAULT("420")),
    END,
};
const Schema schema_downward_api_volume_source = {"io.k8s.api.core.v1.DownwardAPIVolumeSource",
                                                  downward_api_volume_source_fields};

static const SchemaField local_volume_source_fields[] = {
    STRING("path", FILLED, REQUIRED),
    STRING("fsType", KEPT),
    END,
};
const Schema schema_local_volume_source = {"io.k8s.api.core.v1.LocalVolumeSource", local_volume_source_fields};

static const SchemaField volume_node_affinity_fields[] = {
    OBJECT("required", &schema_node_selector, KEPT),
    END,
};
const Schema schema_volume_node_affinity = {"io.k8s.api.core.v1.VolumeNodeAffinity", volume_node_affinity_fields};

static const SchemaField volume_fields[] = {
    STRING("name", FILLED, REQUIRED),
    OBJECT("hostPath", &schema_host_path_volume_source, KEPT),
    OBJECT("emptyDir", &schema_empty_dir_volume_source, KEPT),
    ANY("gcePersistentDisk",
        REFUSED(
            "of volumes only hostPath, emptyDir, configMap, secret, downwardAPI and persistentVolumeClaim are known")),
    ANY("awsElasticBlockStore",
        REFUSED(
            "of volumes only hostPath, emptyDir, configMap, secret, downwardAPI and persistentVolumeClaim are known")),
    ANY("gitRepo",
        REFUSED(
            "of volumes only hostPath, emptyDir, configMap, secret, downwardAPI and persistentVolumeClaim are known")),
    OBJECT("secret", &schema_secret_volume_source, KEPT),
    ANY("nfs",
        REFUSED(
            "of volumes only hostPath, emptyDir, configMap, secret, downwardAPI and persistentVolumeClaim are known")),
    ANY("iscsi",
        REFUSED(
            "of volumes only hostPath, emptyDir, configMap, secret, downwardAPI and persistentVolumeClaim are known")),
    ANY("glusterfs",
        REFUSED(
            "of volumes only hostPath, emptyDir, configMap, secret, downwardAPI and persistentVolumeClaim are known")),
    OBJECT("persistentVolumeClaim", &schema_persistent_volume_claim_volume_source, KEPT),
    ANY("rbd",
        REFUSED(
            "of volumes only hostPath, emptyDir, configMap, secret, downwardAPI and persistentVolumeClaim are known")),
    ANY("flexVolume",
        REFUSED(
            "of volumes only hostPath, emptyDir, configMap, secret, downwardAPI and persistentVolumeClaim are known")),
    ANY("cinder",
        REFUSED(
            "of volumes only hostPath, emptyDir, configMap, secret, downwardAPI and persistentVolumeClaim are known")),
    ANY("cephfs",
        REFUSED(
            "of volumes only hostPath, emptyDir, configMap, secret, downwardAPI and persistentVolumeClaim are known")),
    ANY("flocker",
        REFUSED(
            "of volumes only hostPath, emptyDir, configMap, secret, downwardAPI and persistentVolumeClaim are known")),
    OBJECT("downwardAPI", &schema_downward_api_volume_source, KEPT),
    ANY("fc",
        REFUSED(
            "of volumes only hostPath, emptyDir, configMap, secret, downwardAPI and persistentVolumeClaim are known")),
    ANY("azureFile",
        REFUSED(
            "of volumes only hostPath, emptyDir, configMap, secret, downwardAPI and persistentVolumeClaim are known")),
    OBJECT("configMap", &schema_config_map_volume_source, KEPT),
    ANY("vsphereVolume",
        REFUSED(
            "of volumes only hostPath, emptyDir, configMap, secret, downwardAPI and persistentVolumeClaim are known")),
    ANY("quobyte",
        REFUSED(
            "of volumes only hostPath, emptyDir, configMap, secret, downwardAPI and persistentVolumeClaim are known")),
    ANY("azureDisk",
        REFUSED(
            "of volumes only hostPath, emptyDir, configMap, secret, downwardAPI and persistentVolumeClaim are known")),
    ANY("photonPersistentDisk",
        REFUSED(
            "of volumes only hostPath, emptyDir, configMap, secret, downwardAPI and persistentVolumeClaim are known")),
    ANY("projected",
        REFUSED(
            "of volumes only hostPath, emptyDir, configMap, secret, downwardAPI and persistentVolumeClaim are known")),
    ANY("portworxVolume",
        REFUSED(
            "of volumes only hostPath, emptyDir, configMap, secret, downwardAPI and persistentVolumeClaim are known")),
    ANY("scaleIO",
        REFUSED(
            "of volumes only hostPath, emptyDir, configMap, secret, downwardAPI and persistentVolumeClaim are known")),
    ANY("storageos",
        REFUSED(
            "of volumes only hostPath, emptyDir, configMap, secret, downwardAPI and persistentVolumeClaim are known")),
    ANY("csi",
        REFUSED(
            "of volumes only hostPath, emptyDir, configMap, secret, downwardAPI and persistentVolumeClaim are known")),
    ANY("ephemeral",
        REFUSED(
            "of volumes only hostPath, emptyDir, configMap, secret, downwardAPI and persistentVolumeClaim are known")),
    END,
};
const Schema schema_volume = {"io.k8s.api.core.v1.Volume", volume_fields};

static const SchemaField volume_mount_fields[] = {
    STRING("name", FILLED, REQUIRED),
    BOOLEAN("readOnly", IGNORED("volumes are folders of the machine")),
    STRING("mountPath", FILLED, REQUIRED),
    STRING("subPath"),
    STRING("mountPropagation", KEPT, IGNORED("volumes are folders of the machine")),
    STRING("subPathExpr", REFUSED("only whole paths are known")),
    END,
};
const Schema schema_volume_mount = {"io.k8s.api.core.v1.VolumeMount", volume_mount_fields};

static const SchemaField persistent_volume_spec_fields[] = {
    QUANTITIES("capacity"),
    ANY("gcePersistentDisk", REFUSED("of persistent volumes only hostPath and local are known")),
    ANY("awsElasticBlockStore", REFUSED("of persistent volumes only hostPath and local are known")),
    OBJECT("hostPath", &schema_host_path_volume_source, KEPT),
    ANY("glusterfs", REFUSED("of persistent volumes only hostPath and local are known")),
    ANY("nfs", REFUSED("of persistent volumes only hostPath and local are known")),
    ANY("rbd", REFUSED("of persistent volumes only hostPath and local are known")),
    ANY("iscsi", REFUSED("of persistent volumes only hostPath and local are known")),
    ANY("cinder", REFUSED("of persistent volumes only hostPath and local are known")),
    ANY("cephfs", REFUSED("of persistent volumes only hostPath and local are known")),
    ANY("fc", REFUSED("of persistent volumes only hostPath and local are known")),
    ANY("flocker", REFUSED("of persistent volumes only hostPath and local are known")),
    ANY("flexVolume", REFUSED("of persistent volumes only hostPath and local are known")),
    ANY("azureFile", REFUSED("of persistent volumes only hostPath and local are known")),
    ANY("vsphereVolume", REFUSED("of persistent volumes only hostPath and local are known")),
    ANY("quobyte", REFUSED("of persistent volumes only hostPath and local are known")),
    ANY("azureDisk", REFUSED("of persistent volumes only hostPath and local are known")),
    ANY("photonPersistentDisk", REFUSED("of persistent volumes only hostPath and local are known")),
    ANY("portworxVolume", REFUSED("of persistent volumes only hostPath and local are known")),
    ANY("scaleIO", REFUSED("of persistent volumes only hostPath and local are known")),
    OBJECT("local", &schema_local_volume_source, KEPT),
    ANY("storageos", REFUSED("of persistent volumes only hostPath and local are known")),
    ANY("csi", REFUSED("of persistent volumes only hostPath and local are known")),
    STRINGS("accessModes", VALUES(values_readonlymany_readwritemany_readwriteonce)),
    OBJECT("claimRef", &schema_object_reference, KEPT),
    STRING("persistentVolumeReclaimPolicy", DEFAULT("\"Retain\""), VALUES(values_delete_recycle_retain)),
    STRING("storageClassName"),
    STRINGS("mountOptions", STORED),
    STRING("volumeMode", KEPT, DEFAULT("\"Filesystem\""), VALUES(values_block_filesystem)),
    OBJECT("nodeAffinity", &schema_volume_node_affinity, KEPT, IGNORED("every node reaches every folder")),
    END,
};
const Schema schema_persistent_volume_spec = {"io.k8s.api.core.v1.PersistentVolumeSpec", persistent_volume_spec_fields};

static const SchemaField persistent_volume_status_fields[] = {
    STRING("phase", DEFAULT("\"Pending\"")),
    STRING("message"),
    STRING("reason"),
    END,
};
const Schema schema_persistent_volume_status = {"io.k8s.api.core.v1.PersistentVolumeStatus",
                                                persistent_volume_status_fields};

static const SchemaField persistent_volume_fields[] = {
    STRING("apiVersion"),
    STRING("kind"),
    OBJECT("metadata", &schema_object_meta, FILLED),
    OBJECT("spec", &schema_persistent_volume_spec, FILLED),
    OBJECT("status", &schema_persistent_volume_status, FILLED),
    END,
};
const Schema schema_persistent_volume = {"io.k8s.api.core.v1.PersistentVolume", persistent_volume_fields};

static const SchemaField persistent_volume_claim_spec_fields[] = {
    STRINGS("accessModes", VALUES(values_readonlymany_readwritemany_readwriteonce)),
    ANY("selector", REFUSED("a claim is bound to any folder of its size")),
    OBJECT("resources", &schema_resource_requirements, FILLED),
    STRING("volumeName"),
    STRING("storageClassName", KEPT),
    STRING("volumeMode", KEPT, DEFAULT("\"Filesystem\""), VALUES(values_block_filesystem)),
    ANY("dataSource", REFUSED("a claim begins empty")),
    END,
};
const Schema schema_persistent_volume_claim_spec = {"io.k8s.api.core.v1.PersistentVolumeClaimSpec",
                                                    persistent_volume_claim_spec_fields};

static const SchemaField persistent_volume_claim_condition_fields[] = {
    STRING("type", FILLED, REQUIRED),
    STRING("status", FILLED, REQUIRED),
    TIME("lastProbeTime", FILLED),
    TIME("lastTransitionTime", FILLED),
    STRING("reason"),
    STRING("message"),
    END,
};
const Schema schema_persistent_volume_claim_condition = {"io.k8s.api.core.v1.PersistentVolumeClaimCondition",
                                                         persistent_volume_claim_condition_fields};

static const SchemaField persistent_volume_claim_status_fields[] = {
    STRING("phase", DEFAULT("\"Pending\"")),
    STRINGS("accessModes"),
    QUANTITIES("capacity"),
    LIST("conditions", &schema_persistent_volume_claim_condition, KEY("type")),
    END,
};
const Schema schema_persistent_volume_claim_status = {"io.k8s.api.core.v1.PersistentVolumeClaimStatus",
                                                      persistent_volume_claim_status_fields};

static const SchemaField persistent_volume_claim_fields[] = {
    STRING("apiVersion"),
    STRING("kind"),
    OBJECT("metadata", &schema_object_meta, FILLED),
    OBJECT("spec", &schema_persistent_volume_claim_spec, FILLED),
    OBJECT("status", &schema_persistent_volume_claim_status, FILLED),
    END,
};
const Schema schema_persistent_volume_claim = {"io.k8s.api.core.v1.PersistentVolumeClaim",
                                               persistent_volume_claim_fields};

static const SchemaField storage_class_fields[] = {
    STRING("apiVersion"),
    STRING("kind"),
    OBJECT("metadata", &schema_object_meta, FILLED),
    STRING("provisioner", FILLED, REQUIRED),
    MAP("parameters"),
    STRING("reclaimPolicy", KEPT, DEFAULT("\"Delete\""), VALUES(values_delete_retain)),
    STRINGS("mountOptions", STORED),
    BOOLEAN("allowVolumeExpansion", KEPT),
    STRING("volumeBindingMode", KEPT, DEFAULT("\"Immediate\""), VALUES(values_immediate_waitforfirstconsumer)),
    LIST_ANY("allowedTopologies"),
    END,
};
const Schema schema_storage_class = {"io.k8s.api.storage.v1.StorageClass", storage_class_fields};
