"""What clients send, as they send it: kubectl 1.20.2 and 1.32 (with -v=9), python3-kubernetes 22.6."""

import base64
import json

from steps import TABLE_KUBECTL, Edited, Step, container, delete, get, patch, pod, post, put, replication_controller, watch
from scenarios.cluster import NODE, UNTAINTED
from scenarios.workloads import PROGRESSED

ANY = "application/json, */*"
APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def listed(name, path):
    return get(name, f"{path}?limit=500", accept=TABLE_KUBECTL)


def protobuf(name, path, text):
    return post(name, path, base64.b64decode(text), content_type="application/vnd.kubernetes.protobuf")


def annotated(value):
    """As kubectl apply creates it."""
    text = json.dumps(value, separators=(",", ":")) + "\n"
    return value | {"metadata": value["metadata"] | {"annotations": {APPLIED: text}}}


CONTROLLER = replication_controller("web", 0, container(command=["sh", "-c", "sleep 1000"]))
DEPLOYMENT = {
    "kind": "Deployment", "apiVersion": "apps/v1",
    "metadata": {"name": "dep", "namespace": "${namespace}", "creationTimestamp": None, "labels": {"app": "dep"}},
    "spec": {"replicas": 0, "selector": {"matchLabels": {"app": "dep"}},
             "template": {"metadata": {"creationTimestamp": None, "labels": {"app": "dep"}},
                          "spec": {"containers": [{"name": "busybox", "image": "test/shell:1", "resources": {}}]}},
             "strategy": {}},
    "status": {},
}

SCENARIOS = {
    "kubectl discovers": [
        get("the core", "/api?timeout=32s", accept=ANY),
        get("all groups", "/apis?timeout=32s", accept=ANY),
        get("the core's resources", "/api/v1?timeout=32s", accept=ANY),
        get("resources of apps", "/apis/apps/v1?timeout=32s", accept=ANY),
        get("a group that no one serves", "/apis/metrics.k8s.io/v1beta1/nodes", accept=ANY),
        get("the version", "/version?timeout=32s", accept=ANY),
        get("the cluster's services", "/api/v1/namespaces/kube-system/services?labelSelector=kubernetes.io%2Fcluster-service%3Dtrue", accept=ANY),
        post("what I may", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", {
            "kind": "SelfSubjectAccessReview", "apiVersion": "authorization.k8s.io/v1", "metadata": {"creationTimestamp": None},
            "spec": {"resourceAttributes": {"namespace": "default", "verb": "create", "resource": "pods"}}, "status": {"allowed": False}}, accept=ANY),
    ],
    "kubectl creates and applies": [
        post("create namespace", "/api/v1/namespaces?fieldManager=kubectl-create",
             {"apiVersion": "v1", "kind": "Namespace", "metadata": {"creationTimestamp": None, "name": "${namespace}-kk"}, "spec": {}, "status": {}}),
        delete("delete namespace", "/api/v1/namespaces/${namespace}-kk", {"propagationPolicy": "Background"}),
        post("create configmap", "v1:configmaps?fieldManager=kubectl-create",
             {"apiVersion": "v1", "data": {"a": "b"}, "kind": "ConfigMap", "metadata": {"creationTimestamp": None, "name": "cm"}}),
        get("apply: is it there?", "v1:replicationcontrollers/web"),
        get("apply: is the namespace?", "/api/v1/namespaces/${namespace}"),
        post("apply: create", "v1:replicationcontrollers?fieldManager=kubectl-client-side-apply", annotated(CONTROLLER)),
        get("get -o yaml", "v1:replicationcontrollers/web", until={"status.observedGeneration": 1}),
        patch("apply: change", "strategic", "v1:replicationcontrollers/web?fieldManager=kubectl-client-side-apply", {
            "metadata": {"annotations": {APPLIED: "changed\n"}},
            "spec": {"template": {"spec": {"$setElementOrder/containers": [{"name": "main"}], "containers": [{"command": ["sh", "-c", "sleep 2000"], "name": "main"}]}}}}),
        post("apply: create a service", "v1:services?fieldManager=kubectl-client-side-apply", annotated(
            {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "${namespace}"},
             "spec": {"ports": [{"port": 80}], "selector": {"name": "web"}, "type": "NodePort"}})),
        patch("apply: change its ports", "strategic", "v1:services/web?fieldManager=kubectl-client-side-apply", {
            "metadata": {"annotations": {APPLIED: "changed\n"}},
            "spec": {"$setElementOrder/ports": [{"port": 81}], "ports": [{"port": 81}, {"$patch": "delete", "port": 80}]}}),
        post("apply --dry-run=server", "v1:replicationcontrollers?dryRun=All&fieldManager=kubectl-client-side-apply", annotated(
            replication_controller("other"))),
        get("replace: the current one", "v1:replicationcontrollers/web", until={"status.observedGeneration": 2}),
        put("replace", "v1:replicationcontrollers/web?fieldManager=kubectl-replace", CONTROLLER),
        post("create deployment", "apps/v1:deployments?fieldManager=kubectl-create", DEPLOYMENT, accept=ANY),
        post("run", "v1:pods?fieldManager=kubectl-run", {
            "kind": "Pod", "apiVersion": "v1", "metadata": {"name": "one", "creationTimestamp": None, "labels": {"run": "one"}},
            "spec": {"containers": [{"name": "one", "image": "test/shell:1", "args": ["sh", "-c", "sleep 100"], "resources": {}, "imagePullPolicy": "Never"}],
                     "restartPolicy": "Never", "dnsPolicy": "ClusterFirst", "schedulerName": "nobody", "automountServiceAccountToken": False},
            "status": {}}, accept=ANY),
        post("expose", "v1:services?fieldManager=kubectl-expose", {
            "apiVersion": "v1", "kind": "Service", "metadata": {"creationTimestamp": None, "labels": {"name": "web"}, "name": "two"},
            "spec": {"ports": [{"port": 90, "protocol": "TCP", "targetPort": 90}], "selector": {"name": "web"}}, "status": {"loadBalancer": {}}}, accept=ANY),
    ],
    "kubectl changes": [
        post("create", "v1:replicationcontrollers?fieldManager=kubectl-create", CONTROLLER),
        get("settled", "v1:replicationcontrollers/web", until={"status.observedGeneration": 1}),
        patch("scale", "merge", "v1:replicationcontrollers/web/scale", {"spec": {"replicas": 0}}, accept=ANY),
        get("scale --current-replicas: get", "v1:replicationcontrollers/web/scale", accept=ANY),
        put("scale --current-replicas: put", "v1:replicationcontrollers/web/scale", Edited("scale --current-replicas: get", {"spec.replicas": 0}), accept=ANY),
        patch("label", "merge", "v1:replicationcontrollers/web?fieldManager=kubectl-label", {"metadata": {"labels": {"x": "y"}}}),
        patch("annotate", "merge", "v1:replicationcontrollers/web?fieldManager=kubectl-annotate", {"metadata": {"annotations": {"x": "y"}}}),
        patch("annotate, gone", "merge", "v1:replicationcontrollers/web?fieldManager=kubectl-annotate", {"metadata": {"annotations": {"x": None}}}),
        patch("patch", "strategic", "v1:replicationcontrollers/web?fieldManager=kubectl-patch", {"spec": {"replicas": 0}}),
        patch("set image", "strategic", "v1:replicationcontrollers/web?fieldManager=kubectl-set",
              {"spec": {"template": {"spec": {"$setElementOrder/containers": [{"name": "main"}], "containers": [{"image": "test/shell:2", "name": "main"}]}}}}, accept=ANY),
        post("create deployment", "apps/v1:deployments?fieldManager=kubectl-create", DEPLOYMENT, accept=ANY),
        get("rollout status: its end", "apps/v1:deployments/dep", accept=ANY, until=PROGRESSED),
        get("rollout status: the list", "apps/v1:deployments?fieldSelector=metadata.name%3Ddep&limit=500&resourceVersion=0",
            capture={"rv": "metadata.resourceVersion"}),
        watch("rollout status: the watch", "apps/v1:deployments?fieldSelector=metadata.name%3Ddep&resourceVersion=${rv}"),
        patch("rollout restart", "strategic", "apps/v1:deployments/dep?fieldManager=kubectl-rollout",
              {"spec": {"template": {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "2020-01-01T00:00:00Z"}}}}}, accept=ANY),
        delete("delete", "v1:replicationcontrollers/web", {"propagationPolicy": "Background"}),
        get("delete: wait", "v1:replicationcontrollers?fieldSelector=metadata.name%3Dweb"),
        delete("delete deployment", "apps/v1:deployments/dep", {"propagationPolicy": "Background"}),
    ],
    "kubectl shows": [
        post("a controller", "v1:replicationcontrollers", CONTROLLER, capture={"uid": "metadata.uid"}),
        get("settled", "v1:replicationcontrollers/web", until={"status.observedGeneration": 1}),
        post("a pod", "v1:pods", pod("one", labels={"name": "one"})),
        listed("get pods", "v1:pods"),
        listed("get rc", "v1:replicationcontrollers"),
        listed("get svc", "v1:services"),
        listed("get deployments", "apps/v1:deployments"),
        listed("get events", "v1:events"),
        get("get pods -o json", "v1:pods?limit=500"),
        get("get pods -l", "v1:pods?labelSelector=name%3Done&limit=500"),
        get("get -w: the list", "v1:pods?limit=500&timeout=3s", accept=TABLE_KUBECTL, capture={"rv": "metadata.resourceVersion"}),
        watch("get -w: the watch", "v1:pods?resourceVersion=${rv}&timeout=3s", accept=TABLE_KUBECTL),
        get("describe pod", "v1:pods/one", accept=ANY),
        get("describe rc: its pods", "v1:pods?labelSelector=name%3Dweb", accept=ANY),
        get("describe rc: its events", "v1:events?fieldSelector=involvedObject.name%3Dweb%2CinvolvedObject.namespace%3D${namespace}"
            "%2CinvolvedObject.kind%3DReplicationController%2CinvolvedObject.uid%3D${uid}", accept=ANY),
        get("describe svc: no endpoints", "v1:endpoints/web", accept=ANY),
        get("describe node: its pods", "/api/v1/pods?fieldSelector=spec.nodeName%3Dnowhere-else%2Cstatus.phase%21%3DFailed%2Cstatus.phase%21%3DSucceeded", accept=ANY),
        get("describe node: its lease", "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/nowhere-else", accept=ANY),
        get("logs", "v1:pods/one/log?sinceSeconds=3600&timestamps=true", accept=ANY),
        get("wait", "v1:pods?fieldSelector=metadata.name%3Done", capture={"seen": "metadata.resourceVersion"}),
        watch("wait: the watch", "v1:pods?fieldSelector=metadata.name%3Done&resourceVersion=${seen}"),
    ],
    "kubectl drains": [
        post("a node", "/api/v1/nodes", NODE),
        get("it is ready", "/api/v1/nodes/${namespace}", until=UNTAINTED),
        post("a pod", "v1:pods", pod("one", nodeName="${namespace}")),
        patch("cordon", "strategic", "/api/v1/nodes/${namespace}", {"spec": {"unschedulable": True}}, accept=ANY),
        get("its pods", "/api/v1/pods?fieldSelector=spec.nodeName%3D${namespace}", accept=ANY),
        post("evict", "v1:pods/one/eviction", {
            "kind": "Eviction", "apiVersion": "policy/v1beta1", "metadata": {"name": "one", "namespace": "${namespace}", "creationTimestamp": None},
            "deleteOptions": {}}, accept=ANY),
        delete("delete at once", "v1:pods/one", {"gracePeriodSeconds": 0, "propagationPolicy": "Background"}),
        get("delete: wait", "v1:pods?fieldSelector=metadata.name%3Done"),
        get("it is cordoned", "/api/v1/nodes/${namespace}", until={"spec.taints.0.key": "node.kubernetes.io/unschedulable"}, accept=ANY),
        patch("uncordon", "strategic", "/api/v1/nodes/${namespace}", {"spec": {"unschedulable": None}}, accept=ANY),
        delete("the node goes", "/api/v1/nodes/${namespace}"),
    ],
    "new kubectl": [
        post("create, validated", "v1:configmaps?fieldManager=kubectl-create&fieldValidation=Strict", {
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "${namespace}"}, "data": {"a": "b"}}),
        get("wait: the list", "v1:configmaps?fieldSelector=metadata.name%3Da&limit=500&resourceVersion=0", capture={"rv": "metadata.resourceVersion"}),
        watch("wait: the watch", "v1:configmaps?fieldSelector=metadata.name%3Da&resourceVersion=${rv}"),
        post("run", "v1:pods?fieldManager=kubectl-run", {
            "apiVersion": "v1", "kind": "Pod", "metadata": {"labels": {"run": "one"}, "name": "one", "namespace": "${namespace}"},
            "spec": {"containers": [{"args": ["sh"], "image": "test/shell:1", "imagePullPolicy": "Never", "name": "one", "resources": {}}],
                     "dnsPolicy": "ClusterFirst", "restartPolicy": "Never", "schedulerName": "nobody", "automountServiceAccountToken": False}, "status": {}}, accept=ANY),
        delete("delete", "v1:pods/one", {"propagationPolicy": "Background"}),
        # as `kubectl create -n c-new-kubectl` of 1.32 sends it, where 1.20 sends JSON
        protobuf("create configmap, in protobuf", "v1:configmaps?fieldManager=kubectl-create&fieldValidation=Strict",
            "azhzAAoPCgJ2MRIJQ29uZmlnTWFwEikKHwoCcGISABoNYy1uZXcta3ViZWN0bCIAKgAyADgAQgASBgoBYRIBYhoAIgA="),
        protobuf("create deployment, in protobuf", "apps/v1:deployments?fieldManager=kubectl-create&fieldValidation=Strict",
            "azhzAAoVCgdhcHBzL3YxEgpEZXBsb3ltZW50EsABCiwKA2RlcBIAGg1jLW5ldy1rdWJlY3RsIgAqADIAOABCAFoKCgNhcHASA2RlcBKBAQgAEgwKCgoD"
            "YXBwEgNkZXAaZwocCgASABoAIgAqADIAOABCAFoKCgNhcHASA2RlcBJHEikKBXNoZWxsEgx0ZXN0L3NoZWxsOjEqAEIAagByAIABAIgBAJABAKIBABoA"
            "MgBCAEoAUgBYAGAAaACCAQCKAQCaAQDCAQAiAgoAKAA4ABoMCAAQABgAIAAoADgAGgAiAA=="),
        protobuf("create namespace, in protobuf", "/api/v1/namespaces?fieldManager=kubectl-create&fieldValidation=Strict",
            "azhzAAoPCgJ2MRIJTmFtZXNwYWNlEigKIAoQYy1uZXcta3ViZWN0bC1wYhIAGgAiACoAMgA4AEIAEgAaAgoAGgAiAA=="),
        protobuf("auth can-i, in protobuf", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
            "azhzAAoyChdhdXRob3JpemF0aW9uLms4cy5pby92MRIXU2VsZlN1YmplY3RBY2Nlc3NSZXZpZXcSRQoQCgASABoAIgAqADIAOABCABInCiUKDWMtbmV3"
            "LWt1YmVjdGwSBmNyZWF0ZRoAIgAqBHBvZHMyADoAGggIABIAGgAgABoAIgA="),
        protobuf("create service, in protobuf", "v1:services?fieldManager=kubectl-create&fieldValidation=Strict",
            "azhzAAoNCgJ2MRIHU2VydmljZRJ1CiwKA3N2YxIAGg1jLW5ldy1rdWJlY3RsIgAqADIAOABCAFoKCgNhcHASA3N2YxJBChsKBzgwLTgwODASA1RDUBhQ"
            "IgcIABCQPxoAKAASCgoDYXBwEgNzdmMaACIITm9kZVBvcnQ6AEIAUgBaAGAAaAAaAgoAGgAiAA=="),
        protobuf("create secret, in protobuf", "v1:secrets?fieldManager=kubectl-create&fieldValidation=Strict",
            "azhzAAoMCgJ2MRIGU2VjcmV0EiwKIAoDc2VjEgAaDWMtbmV3LWt1YmVjdGwiACoAMgA4AEIAEgYKAWESAWIaABoAIgA="),
        protobuf("create serviceaccount, in protobuf", "v1:serviceaccounts?fieldManager=kubectl-create&fieldValidation=Strict",
            "azhzAAoUCgJ2MRIOU2VydmljZUFjY291bnQSIgogCgNhY2MSABoNYy1uZXcta3ViZWN0bCIAKgAyADgAQgAaACIA"),
        get("what came of the deployment", "apps/v1:deployments/dep", until=PROGRESSED),
        delete("the namespace goes", "/api/v1/namespaces/c-new-kubectl-pb"),
    ],
    "python client": [
        get("version", "/version/"),
        get("versions of the core", "/api/"),
        get("groups", "/apis/"),
        post("create", "v1:replicationcontrollers", CONTROLLER),
        get("settled", "v1:replicationcontrollers/web", until={"status.observedGeneration": 1}),
        patch("scale", "strategic", "v1:replicationcontrollers/web/scale", {"spec": {"replicas": 0}}),
        get("get scale", "v1:replicationcontrollers/web/scale"),
        put("put scale without replicas", "v1:replicationcontrollers/web/scale", Edited("get scale", {"spec": {}, "metadata.creationTimestamp": "2020-01-01T00:00:00+00:00"})),
        get("get", "v1:replicationcontrollers/web"),
        put("put with a time as Python writes it", "v1:replicationcontrollers/web", Edited("get", {"metadata.creationTimestamp": "2020-01-01T00:00:00+00:00"})),
        patch("a patch that is an object", "strategic", "v1:replicationcontrollers/web", {"metadata": {"labels": {"a": "b"}}}),
        patch("a patch that is a list", "json", "v1:replicationcontrollers/web", [{"op": "add", "path": "/metadata/labels/c", "value": "d"}]),
        get("list", "v1:pods?fieldSelector=status.phase%3DRunning&labelSelector=a%3Db"),
        post("a body without its kind", "v1:configmaps", {"data": {"a": "b"}, "metadata": {"name": "c", "labels": {"x": "y"}}}),
        Step("watch in capitals", "GET", "v1:configmaps?labelSelector=x&timeoutSeconds=1&watch=True", stream="read"),
        delete("delete", "v1:configmaps/c"),
        delete("delete with options", "v1:replicationcontrollers/web", {"propagationPolicy": "Background"}),
        post("evict", "v1:pods/nonsense/eviction", {"metadata": {"name": "nonsense"}}),
    ],
}
