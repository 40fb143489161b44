/* resource.c - the table of all kinds. */
#include "resource_internal.h"

#include <stdio.h>
#include <string.h>

#define STATUS_VERBS (VERB_GET | VERB_PATCH | VERB_UPDATE)

#define NAMES(...)                                                                                                     \
    (const char *const[])                                                                                              \
    {                                                                                                                  \
        __VA_ARGS__, NULL                                                                                              \
    }
#define SUBRESOURCES(...)                                                                                              \
    (const Subresource[])                                                                                              \
    {                                                                                                                  \
        __VA_ARGS__,                                                                                                   \
        {                                                                                                              \
            .name = NULL                                                                                               \
        }                                                                                                              \
    }
#define STATUS_OF(kind)                                                                                                \
    {                                                                                                                  \
        "status", kind, STATUS_VERBS, NULL, NULL                                                                       \
    }
#define SCALE                                                                                                          \
    {                                                                                                                  \
        "scale", "Scale", STATUS_VERBS, "autoscaling", "v1"                                                            \
    }

/* In the order of discovery: by group as /apis lists them, then by name. */
static const Resource table[] = {
    {.version = "v1",
     .group = "",
     .plural = "bindings",
     .singular = "binding",
     .kind = "Binding",
     .key = "bindings",
     .namespaced = true,
     .verbs = VERB_CREATE,
     .computed = true},
    {.version = "v1",
     .group = "",
     .plural = "configmaps",
     .singular = "configmap",
     .kind = "ConfigMap",
     .key = "configmaps",
     .short_names = NAMES("cm"),
     .namespaced = true,
     .verbs = VERBS_ALL,
     .columns = columns_config_map},
    {.version = "v1",
     .group = "",
     .plural = "endpoints",
     .singular = "endpoints",
     .kind = "Endpoints",
     .key = "endpoints",
     .short_names = NAMES("ep"),
     .namespaced = true,
     .verbs = VERBS_ALL,
     .created_by_update = true,
     .columns = columns_endpoints},
    {.version = "v1",
     .group = "",
     .plural = "events",
     .singular = "event",
     .kind = "Event",
     .key = "events",
     .short_names = NAMES("ev"),
     .namespaced = true,
     .verbs = VERBS_ALL,
     .created_by_update = true,
     .fields = NAMES("involvedObject.kind", "involvedObject.namespace", "involvedObject.name", "involvedObject.uid",
                     "involvedObject.apiVersion", "involvedObject.resourceVersion", "involvedObject.fieldPath",
                     "reason", "reportingComponent", "source", "type"),
     .check_name = check_path_segment,
     .columns = columns_event},
    {.version = "v1",
     .group = "",
     .plural = "namespaces",
     .singular = "namespace",
     .kind = "Namespace",
     .key = "namespaces",
     .short_names = NAMES("ns"),
     .verbs = VERBS_ALL & ~VERB_DELETE_COLLECTION,
     .has_status = true,
     .answers_deleted = true,
     .subresources = SUBRESOURCES({"finalize", "Namespace", VERB_UPDATE, NULL, NULL}, STATUS_OF("Namespace")),
     .fields = NAMES("status.phase"),
     .check_name = kube_check_dns_label,
     .columns = columns_namespace,
     .prepare = prepare_namespace},
    {.version = "v1",
     .group = "",
     .plural = "nodes",
     .singular = "node",
     .kind = "Node",
     .key = "nodes",
     .short_names = NAMES("no"),
     .verbs = VERBS_ALL,
     .has_status = true,
     .keeps_status = true,
     .subresources = SUBRESOURCES(STATUS_OF("Node")),
     .fields = NAMES("spec.unschedulable"),
     .columns = columns_node,
     .prepare = prepare_node},
    {.version = "v1",
     .group = "",
     .plural = "persistentvolumeclaims",
     .singular = "persistentvolumeclaim",
     .kind = "PersistentVolumeClaim",
     .key = "persistentvolumeclaims",
     .short_names = NAMES("pvc"),
     .namespaced = true,
     .verbs = VERBS_ALL,
     .has_status = true,
     .answers_deleted = true,
     .subresources = SUBRESOURCES(STATUS_OF("PersistentVolumeClaim")),
     .columns = columns_claim,
     .prepare = prepare_claim},
    {.version = "v1",
     .group = "",
     .plural = "persistentvolumes",
     .singular = "persistentvolume",
     .kind = "PersistentVolume",
     .key = "persistentvolumes",
     .short_names = NAMES("pv"),
     .verbs = VERBS_ALL,
     .has_status = true,
     .answers_deleted = true,
     .subresources = SUBRESOURCES(STATUS_OF("PersistentVolume")),
     .columns = columns_volume,
     .prepare = prepare_volume},
    {.version = "v1",
     .group = "",
     .plural = "pods",
     .singular = "pod",
     .kind = "Pod",
     .key = "pods",
     .short_names = NAMES("po"),
     .categories = NAMES("all"),
     .namespaced = true,
     .verbs = VERBS_ALL,
     .has_status = true,
     .graceful = true,
     .answers_deleted = true,
     .subresources = SUBRESOURCES({"binding", "Binding", VERB_CREATE, NULL, NULL},
                                  {"eviction", "Eviction", VERB_CREATE, "policy", "v1beta1"},
                                  {"exec", "PodExecOptions", VERB_GET | VERB_CREATE, NULL, NULL},
                                  {"log", "Pod", VERB_GET, NULL, NULL}, STATUS_OF("Pod")),
     .fields = NAMES("spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName",
                     "status.phase", "status.podIP", "status.podIPs", "status.nominatedNodeName"),
     .columns = columns_pod,
     .prepare = prepare_pod},
    {.version = "v1",
     .group = "",
     .plural = "replicationcontrollers",
     .singular = "replicationcontroller",
     .kind = "ReplicationController",
     .key = "replicationcontrollers",
     .short_names = NAMES("rc"),
     .categories = NAMES("all"),
     .namespaced = true,
     .verbs = VERBS_ALL,
     .has_status = true,
     .has_scale = true,
     .generation = true,
     .propagation = "Orphan",
     .subresources = SUBRESOURCES(SCALE, STATUS_OF("ReplicationController")),
     .fields = NAMES("status.replicas"),
     .columns = columns_replication_controller,
     .prepare = prepare_replicas},
    {.version = "v1",
     .group = "",
     .plural = "secrets",
     .singular = "secret",
     .kind = "Secret",
     .key = "secrets",
     .namespaced = true,
     .verbs = VERBS_ALL,
     .fields = NAMES("type"),
     .columns = columns_secret,
     .prepare = prepare_secret},
    {.version = "v1",
     .group = "",
     .plural = "serviceaccounts",
     .singular = "serviceaccount",
     .kind = "ServiceAccount",
     .key = "serviceaccounts",
     .short_names = NAMES("sa"),
     .namespaced = true,
     .verbs = VERBS_ALL,
     .answers_deleted = true,
     .subresources = SUBRESOURCES({"token", "TokenRequest", VERB_CREATE, "authentication.k8s.io", "v1"}),
     .columns = columns_service_account},
    {.version = "v1",
     .group = "",
     .plural = "services",
     .singular = "service",
     .kind = "Service",
     .key = "services",
     .short_names = NAMES("svc"),
     .categories = NAMES("all"),
     .namespaced = true,
     .verbs = VERBS_ALL & ~VERB_DELETE_COLLECTION,
     .has_status = true,
     .created_by_update = true,
     .version_cause = true,
     .subresources = SUBRESOURCES(STATUS_OF("Service")),
     .check_name = kube_check_service_name,
     .columns = columns_service,
     .prepare = prepare_service,
     .allocate = allocate_service},
    {.group = "apps",
     .version = "v1",
     .plural = "controllerrevisions",
     .singular = "controllerrevision",
     .kind = "ControllerRevision",
     .key = "apps/controllerrevisions",
     .namespaced = true,
     .verbs = VERBS_ALL},
    {.group = "apps",
     .version = "v1",
     .plural = "deployments",
     .singular = "deployment",
     .kind = "Deployment",
     .key = "apps/deployments",
     .short_names = NAMES("deploy"),
     .categories = NAMES("all"),
     .namespaced = true,
     .verbs = VERBS_ALL,
     .has_status = true,
     .has_scale = true,
     .generation = true,
     .subresources = SUBRESOURCES(SCALE, STATUS_OF("Deployment")),
     .columns = columns_deployment,
     .prepare = prepare_deployment},
    {.group = "apps",
     .version = "v1",
     .plural = "replicasets",
     .singular = "replicaset",
     .kind = "ReplicaSet",
     .key = "apps/replicasets",
     .short_names = NAMES("rs"),
     .categories = NAMES("all"),
     .namespaced = true,
     .verbs = VERBS_ALL,
     .has_status = true,
     .has_scale = true,
     .generation = true,
     .subresources = SUBRESOURCES(SCALE, STATUS_OF("ReplicaSet")),
     .fields = NAMES("status.replicas"),
     .columns = columns_replica_set,
     .prepare = prepare_replicas},
    {.group = "apps",
     .version = "v1",
     .plural = "statefulsets",
     .singular = "statefulset",
     .kind = "StatefulSet",
     .key = "apps/statefulsets",
     .short_names = NAMES("sts"),
     .categories = NAMES("all"),
     .namespaced = true,
     .verbs = VERBS_ALL,
     .has_status = true,
     .has_scale = true,
     .generation = true,
     .subresources = SUBRESOURCES(SCALE, STATUS_OF("StatefulSet")),
     .columns = columns_stateful_set,
     .prepare = prepare_replicas},
    {.group = "policy",
     .version = "v1beta1",
     .plural = "poddisruptionbudgets",
     .singular = "poddisruptionbudget",
     .kind = "PodDisruptionBudget",
     .key = "policy/poddisruptionbudgets",
     .short_names = NAMES("pdb"),
     .namespaced = true,
     .verbs = VERBS_ALL,
     .has_status = true,
     .generation = true,
     .subresources = SUBRESOURCES(STATUS_OF("PodDisruptionBudget")),
     .columns = columns_budget},
    {.group = "storage.k8s.io",
     .version = "v1",
     .plural = "storageclasses",
     .singular = "storageclass",
     .kind = "StorageClass",
     .key = "storage.k8s.io/storageclasses",
     .short_names = NAMES("sc"),
     .verbs = VERBS_ALL,
     .answers_deleted = true,
     .columns = columns_storage_class},
    {.group = "coordination.k8s.io",
     .version = "v1",
     .plural = "leases",
     .singular = "lease",
     .kind = "Lease",
     .key = "coordination.k8s.io/leases",
     .namespaced = true,
     .verbs = VERBS_ALL,
     .created_by_update = true,
     .version_required = true,
     .columns = columns_lease},
    {.group = "inaetics.org",
     .version = "v1",
     .plural = "applications",
     .singular = "application",
     .kind = "Application",
     .key = "inaetics.org/applications",
     .short_names = NAMES("app"),
     .categories = NAMES("all"),
     .namespaced = true,
     .verbs = VERBS_ALL,
     .has_status = true,
     .generation = true,
     .version_required = true,
     .subresources = SUBRESOURCES(STATUS_OF("Application")),
     .columns = columns_application},
    {.group = "metrics.k8s.io",
     .version = "v1beta1",
     .plural = "nodes",
     .singular = "",
     .kind = "NodeMetrics",
     .key = "metrics.k8s.io/nodes",
     .verbs = VERB_GET | VERB_LIST,
     .computed = true,
     .columns = columns_node_metrics},
    {.group = "metrics.k8s.io",
     .version = "v1beta1",
     .plural = "pods",
     .singular = "",
     .kind = "PodMetrics",
     .key = "metrics.k8s.io/pods",
     .namespaced = true,
     .verbs = VERB_GET | VERB_LIST,
     .computed = true,
     .columns = columns_pod_metrics},
};
#define COUNT (sizeof table / sizeof *table)

const Resource *const *resources(size_t *ret_count)
{
    static const Resource *all[COUNT];
    if (!all[COUNT - 1])
        for (size_t i = 0; i < COUNT; i++)
            all[i] = &table[i];
    *ret_count = COUNT;
    return all;
}

const Resource *resource_find(const char *group, const char *version, const char *plural)
{
    for (size_t i = 0; i < COUNT; i++)
        if (strcmp(table[i].plural, plural) == 0 && strcmp(table[i].group, group) == 0 &&
            strcmp(table[i].version, version) == 0)
            return &table[i];
    return NULL;
}

const Resource *resource_of_kind(const char *group, const char *kind)
{
    for (size_t i = 0; i < COUNT; i++)
        if (strcmp(table[i].kind, kind) == 0 && strcmp(table[i].group, group) == 0)
            return &table[i];
    return NULL;
}

const Resource *resource_of_key(const char *key)
{
    for (size_t i = 0; i < COUNT; i++)
        if (strcmp(table[i].key, key) == 0)
            return &table[i];
    return NULL;
}

const Subresource *resource_subresource(const Resource *resource, const char *name)
{
    for (const Subresource *sub = resource->subresources; sub && sub->name; sub++)
        if (strcmp(sub->name, name) == 0)
            return sub;
    return NULL;
}

void resource_api_version(const Resource *resource, char ret[RESOURCE_VERSION_SIZE])
{
    snprintf(ret, RESOURCE_VERSION_SIZE, "%s%s%s", resource->group, *resource->group ? "/" : "", resource->version);
}
