"""Replication controllers, deployments, replica sets, stateful sets, and their scales."""

from steps import Edited, container, delete, get, patch, post, put, replication_controller, workload

SETTLED = {"status.observedGeneration": 1}
# a deployment's status changes several times
PROGRESSED = SETTLED | {
    "status.conditions.0.type": "Available", "status.conditions.1.reason": "NewReplicaSetAvailable",
    ("metadata", "annotations", "deployment.kubernetes.io/revision"): "1",
}
# as the original's manifests have it
ORIGINAL = {
    "apiVersion": "v1",
    "kind": "ReplicationController",
    "metadata": {"name": "inaetics-queue-controller", "labels": {"name": "inaetics-queue-controller"}},
    "spec": {
        "replicas": 0,
        "selector": {"name": "inaetics-queue-pod"},
        "template": {
            "metadata": {"labels": {"name": "inaetics-queue-pod"}},
            "spec": {
                "volumes": [{"name": "config", "hostPath": {"path": "/home/core/configs"}}],
                "containers": [{
                    "name": "inaetics-queue-container",
                    "image": "inaetics/felix-agent:2",
                    "args": ["/tmp/node-agent.sh", "felix_2"],
                    "env": [{"name": "ETCDCTL_PEERS", "value": "172.17.8.20:2379"}],
                    "volumeMounts": [{"name": "config", "mountPath": "/tmp/conf"}],
                    "resources": {"limits": {"memory": "300Mi"}},
                    "livenessProbe": {"exec": {"command": ["cat", "/tmp/health"]}, "initialDelaySeconds": 10, "timeoutSeconds": 10},
                }],
            },
        },
    },
}
SCALE = {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "a"}, "spec": {"replicas": 0}}


def scale_steps(group, plural):
    at = f"{group}:{plural}/a"
    return [
        get("get the scale", f"{at}/scale"),
        patch("patch the scale", "merge", f"{at}/scale", {"spec": {"replicas": 0}}),
        put("put the scale", f"{at}/scale", SCALE),
        put("put the scale as it was read", f"{at}/scale", Edited("get the scale", {})),
        put("a negative scale", f"{at}/scale", SCALE | {"spec": {"replicas": -1}}),
        put("a scale by another name", f"{at}/scale", SCALE | {"metadata": {"name": "b"}}),
        put("a scale with an old version", f"{at}/scale", SCALE | {"metadata": {"name": "a", "resourceVersion": "1"}}),
        put("no scale", f"{at}/scale", {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}}),
        patch("a json patch", "json", f"{at}/scale", [{"op": "replace", "path": "/spec/replicas", "value": 0}]),
        patch("a strategic patch", "strategic", f"{at}/scale", {"spec": {"replicas": 0}}),
        get("the scale of what is not there", f"{group}:{plural}/nonsense/scale"),
        patch("scale what is not there", "merge", f"{group}:{plural}/nonsense/scale", {"spec": {"replicas": 0}}),
    ]


def observed(number):
    return {"status.observedGeneration": number}


SCENARIOS = {
    "replication controllers": [
        post("create", "v1:replicationcontrollers", replication_controller("a")),
        get("settled", "v1:replicationcontrollers/a", until=SETTLED),
        post("the original's", "v1:replicationcontrollers", ORIGINAL),
        post("the selector comes from the labels", "v1:replicationcontrollers", replication_controller("b", selector=None)),
        post("one replica by default", "v1:replicationcontrollers?dryRun=All", replication_controller("c", None)),
        put("update the template", "v1:replicationcontrollers/a", Edited("settled", {"spec.template.spec.containers.0.image": "test/shell:2"})),
        get("a new generation", "v1:replicationcontrollers/a", until=observed(2)),
        patch("labels make no generation", "merge", "v1:replicationcontrollers/a", {"metadata": {"labels": {"x": "y"}}}),
        patch("the status is not changed here", "merge", "v1:replicationcontrollers/a", {"status": {"replicas": 9}}),
        patch("the status is changed there", "merge", "v1:replicationcontrollers/nonsense/status", {"status": {"replicas": 9}}),
        get("its status", "v1:replicationcontrollers/a/status"),
        get("by replicas", "v1:replicationcontrollers?fieldSelector=status.replicas%3D0&labelSelector=x"),
        delete("delete", "v1:replicationcontrollers/a?propagationPolicy=Background"),
        get("it is gone", "v1:replicationcontrollers/a"),
        delete("delete with its pods first", "v1:replicationcontrollers/b", {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Foreground"}),
        get("gone after its pods", "v1:replicationcontrollers/b", until={"code": 404}),
        delete("delete without its pods", "v1:replicationcontrollers/inaetics-queue-controller", {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Orphan"}),
        get("gone after it let them go", "v1:replicationcontrollers/inaetics-queue-controller", until={"code": 404}),
    ],
    "scale of replication controllers": [
        post("create", "v1:replicationcontrollers", replication_controller("a")),
        get("settled", "v1:replicationcontrollers/a", until=SETTLED),
        *scale_steps("v1", "replicationcontrollers"),
    ],
    "scale of deployments": [
        post("create", "apps/v1:deployments", workload("Deployment", "a")),
        get("settled", "apps/v1:deployments/a", until=PROGRESSED),
        *scale_steps("apps/v1", "deployments"),
    ],
    "scale of replica sets": [
        post("create", "apps/v1:replicasets", workload("ReplicaSet", "a")),
        get("settled", "apps/v1:replicasets/a", until=SETTLED),
        *scale_steps("apps/v1", "replicasets"),
    ],
    "scale of stateful sets": [
        post("create", "apps/v1:statefulsets", workload("StatefulSet", "a", serviceName="a")),
        get("settled", "apps/v1:statefulsets/a", until=SETTLED),
        *scale_steps("apps/v1", "statefulsets"),
    ],
    "pods of a controller": [
        post("create", "v1:replicationcontrollers", replication_controller("a", 2), capture={"uid": "metadata.uid"}),
        get("settled", "v1:replicationcontrollers/a", until={"status.fullyLabeledReplicas": 2, "status.observedGeneration": 1}),
        get("its pods", "v1:pods?labelSelector=name%3Da"),
        patch("scale up", "merge", "v1:replicationcontrollers/a/scale", {"spec": {"replicas": 3}}),
        get("three", "v1:replicationcontrollers/a", until={"status.fullyLabeledReplicas": 3, "status.observedGeneration": 2}),
        patch("scale down", "merge", "v1:replicationcontrollers/a", {"spec": {"replicas": 0}}),
        get("none", "v1:replicationcontrollers/a", until={"status.replicas": 0, "status.observedGeneration": 3}),
        get("no pods", "v1:pods?labelSelector=name%3Da", until={"items": []}),
        patch("scale up again", "merge", "v1:replicationcontrollers/a/scale", {"spec": {"replicas": 1}}),
        get("one", "v1:pods?labelSelector=name%3Da", until={"items.0.metadata.labels.name": "a"}, capture={"one": "items.0.metadata.name"}),
        delete("a pod goes", "v1:pods/${one}?gracePeriodSeconds=0"),
        get("it is gone", "v1:pods/${one}"),
        get("and is replaced", "v1:pods?labelSelector=name%3Da", until={"items.0.metadata.labels.name": "a"}),
    ],
    "garbage collection": [
        post("create", "v1:replicationcontrollers", replication_controller("a", 1)),
        get("its pod", "v1:pods?labelSelector=name%3Da", until={"items.0.metadata.labels.name": "a"}),
        delete("delete in the background", "v1:replicationcontrollers/a?propagationPolicy=Background"),
        get("its pod goes", "v1:pods?labelSelector=name%3Da", until={"items": []}),
        post("create another", "v1:replicationcontrollers", replication_controller("b", 1)),
        get("its pod too", "v1:pods?labelSelector=name%3Db", until={"items.0.metadata.labels.name": "b"}),
        get("settled", "v1:replicationcontrollers/b", until={"status.fullyLabeledReplicas": 1, "status.observedGeneration": 1}),
        delete("delete it alone", "v1:replicationcontrollers/b", {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Orphan"}),
        get("it is gone", "v1:replicationcontrollers/b", until={"code": 404}),
        get("its pod stays", "v1:pods?labelSelector=name%3Db"),
        post("create a third", "v1:replicationcontrollers", replication_controller("c", 1)),
        get("the third's pod", "v1:pods?labelSelector=name%3Dc", until={"items.0.metadata.labels.name": "c"}),
        delete("the default orphans", "v1:replicationcontrollers/c"),
        get("the third is gone", "v1:replicationcontrollers/c", until={"code": 404}),
        get("its pod stays as well", "v1:pods?labelSelector=name%3Dc"),
    ],
    "deployments": [
        post("create", "apps/v1:deployments", workload("Deployment", "a")),
        get("settled", "apps/v1:deployments/a", until=PROGRESSED),
        get("its replica set", "apps/v1:replicasets?labelSelector=name%3Da", until={"items.0.status.observedGeneration": 1}),
        post("percentages", "apps/v1:deployments?dryRun=All", workload("Deployment", "b", strategy={"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "50%", "maxUnavailable": 1}}, minReadySeconds=3, revisionHistoryLimit=2)),
        post("recreation", "apps/v1:deployments?dryRun=All", workload("Deployment", "c", strategy={"type": "Recreate"})),
        post("one replica by default", "apps/v1:deployments?dryRun=All", workload("Deployment", "d", None)),
        patch("the selector may not change", "merge", "apps/v1:deployments/a", {"spec": {"selector": {"matchLabels": {"name": "a", "x": "y"}}, "template": {"metadata": {"labels": {"x": "y"}}}}}),
        patch("paused", "strategic", "apps/v1:deployments/a", {"spec": {"paused": True}}),
        get("its status", "apps/v1:deployments/a/status", until=observed(2)),
        delete("delete", "apps/v1:deployments/a"),
        get("its replica set goes", "apps/v1:replicasets?labelSelector=name%3Da", until={"items": []}),
    ],
    "replica sets": [
        post("create", "apps/v1:replicasets", workload("ReplicaSet", "a")),
        get("settled", "apps/v1:replicasets/a", until=SETTLED),
        post("by an expression", "apps/v1:replicasets?dryRun=All", workload("ReplicaSet", "b", selector={"matchExpressions": [{"key": "name", "operator": "In", "values": ["a", "b"]}]})),
        patch("a new image", "strategic", "apps/v1:replicasets/a", {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "test/shell:2"}]}}}}),
        get("list", "apps/v1:replicasets?labelSelector=name%3Da", until={"items.0.status.observedGeneration": 2}),
        delete("delete", "apps/v1:replicasets/a"),
    ],
    "stateful sets": [
        post("create", "apps/v1:statefulsets", workload("StatefulSet", "a", serviceName="a", volumeClaimTemplates=[
            {"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}}])),
        get("settled", "apps/v1:statefulsets/a", until=SETTLED),
        patch("the service may not change", "merge", "apps/v1:statefulsets/a", {"spec": {"serviceName": "b"}}),
        patch("a new image", "strategic", "apps/v1:statefulsets/a", {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "test/shell:2"}]}}}}),
        post("on deletion", "apps/v1:statefulsets?dryRun=All", workload("StatefulSet", "b", serviceName="b", updateStrategy={"type": "OnDelete"}, podManagementPolicy="Parallel")),
        delete("delete", "apps/v1:statefulsets/a?propagationPolicy=Background"),
    ],
    "a stateful set's pods": [
        post("create", "apps/v1:statefulsets", workload("StatefulSet", "web", 1, container(volumeMounts=[{"name": "data", "mountPath": "/data"}]), serviceName="web", volumeClaimTemplates=[
            {"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "nobody", "resources": {"requests": {"storage": "1Mi"}}}}])),
        get("its pod", "v1:pods/web-0", until={"metadata.name": "web-0"}),
        get("its claim", "v1:persistentvolumeclaims/data-web-0", until={"metadata.name": "data-web-0", "status.phase": "Pending"}),
        delete("delete", "apps/v1:statefulsets/web"),
        get("its pod goes", "v1:pods/web-0", until={"code": 404}),
        get("its claim stays", "v1:persistentvolumeclaims/data-web-0"),
    ],
}
