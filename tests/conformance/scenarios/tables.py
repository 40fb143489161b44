"""Tables, as kubectl shows them."""

from steps import TABLE, TABLE_KUBECTL, configmap, container, delete, get, patch, pod, post, replication_controller, service, watch, workload
from scenarios.cluster import CLAIM, EVENT, LEASE, NODE, UNTAINTED, VOLUME
from scenarios.services import ENDPOINTS
from scenarios.workloads import PROGRESSED

RUNNING = {"status": {
    "phase": "Running", "podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}],
    "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2020-01-01T00:00:00Z"}],
    "containerStatuses": [{"name": "main", "image": "a", "imageID": "b", "ready": True, "restartCount": 2, "state": {"running": {"startedAt": "2020-01-01T00:00:00Z"}}}],
}}
CRASHED = {"status": {
    "phase": "Running",
    "containerStatuses": [{"name": "main", "image": "a", "imageID": "b", "ready": False, "restartCount": 5, "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}}],
}}
ENDED = {"status": {
    "phase": "Failed",
    "containerStatuses": [{"name": "main", "image": "a", "imageID": "b", "ready": False, "restartCount": 0, "state": {"terminated": {"exitCode": 3, "reason": "Error"}}}],
}}


def table(name, path, **more):
    return get(name, path, accept=TABLE, **more)


SCENARIOS = {
    "tables of pods": [
        post("create", "v1:pods", pod("a", labels={"name": "a"}, nodeName="nowhere")),
        table("list", "v1:pods"),
        table("get", "v1:pods/a"),
        table("with whole objects", "v1:pods?includeObject=Object"),
        table("with no objects", "v1:pods?includeObject=None"),
        table("with something else", "v1:pods?includeObject=Nonsense"),
        get("as kubectl asks", "v1:pods?limit=500", accept=TABLE_KUBECTL),
        get("in an old version", "v1:pods", accept="application/json;as=Table;v=v1beta1;g=meta.k8s.io"),
        table("of nothing", "v1:pods?labelSelector=none"),
        table("what is not there", "v1:pods/nonsense"),
        table("in all namespaces", "/api/v1/pods?fieldSelector=metadata.namespace%3D${namespace}"),
        patch("run it", "strategic", "v1:pods/a/status", RUNNING),
        table("it runs", "v1:pods/a"),
        patch("crash it", "strategic", "v1:pods/a/status", CRASHED),
        table("it crashed", "v1:pods/a"),
        patch("end it", "strategic", "v1:pods/a/status", ENDED),
        table("it ended", "v1:pods/a"),
        post("create two containers with a first one", "v1:pods", pod("b", container("one"), container("two"), initContainers=[container("first")], nodeName="nowhere")),
        patch("the first one runs", "strategic", "v1:pods/b/status", {"status": {"initContainerStatuses": [
            {"name": "first", "image": "a", "imageID": "b", "ready": False, "restartCount": 0, "state": {"running": {"startedAt": "2020-01-01T00:00:00Z"}}}]}}),
        table("it initializes", "v1:pods/b"),
        table("pages", "v1:pods?limit=1"),
    ],
    "a table of a pod that ends": [
        post("create", "v1:pods", pod("a", nodeName="nowhere")),
        delete("delete", "v1:pods/a"),
        table("get", "v1:pods/a"),
    ],
    "tables of workloads": [
        post("create a controller", "v1:replicationcontrollers", replication_controller("a", 0, container(), container("beside", "test/other:1"))),
        get("settled controller", "v1:replicationcontrollers/a", until={"status.observedGeneration": 1}),
        table("controllers", "v1:replicationcontrollers"),
        post("create a deployment", "apps/v1:deployments", workload("Deployment", "a")),
        get("settled deployment", "apps/v1:deployments/a", until=PROGRESSED),
        table("deployments", "apps/v1:deployments"),
        post("create a replica set", "apps/v1:replicasets", workload("ReplicaSet", "b")),
        get("settled replica set", "apps/v1:replicasets/b", until={"status.observedGeneration": 1}),
        table("a replica set", "apps/v1:replicasets/b"),
        post("create a stateful set", "apps/v1:statefulsets", workload("StatefulSet", "a", serviceName="a")),
        get("settled stateful set", "apps/v1:statefulsets/a", until={"status.observedGeneration": 1}),
        table("stateful sets", "apps/v1:statefulsets"),
    ],
    "tables of services": [
        post("create", "v1:services", service("a")),
        post("create with a node port", "v1:services", service("b", {"port": 80}, type="NodePort")),
        post("create without an address", "v1:services", service("c", {"name": "a", "port": 80}, {"name": "b", "port": 81, "protocol": "UDP"}, clusterIP="None")),
        table("services", "v1:services"),
        post("create endpoints", "v1:endpoints", ENDPOINTS | {"metadata": {"name": "z"}}),
        table("endpoints", "v1:endpoints/z"),
        post("create endpoints without addresses", "v1:endpoints", {"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "zz"}}),
        table("endpoints without addresses", "v1:endpoints/zz"),
        post("create a name elsewhere", "v1:services", service("zzz", type="ExternalName", externalName="example.org")),
        table("a name elsewhere", "v1:services/zzz"),
    ],
    "tables of the rest": [
        post("create a config map", "v1:configmaps", configmap("a", {"one": "1", "two": "2"})),
        table("a config map", "v1:configmaps/a"),
        post("create a secret", "v1:secrets", {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}, "stringData": {"one": "1"}}),
        table("a secret", "v1:secrets/a"),
        post("create an account", "v1:serviceaccounts", {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "a"}, "secrets": [{"name": "a"}]}),
        table("an account", "v1:serviceaccounts/a"),
        post("create an event", "v1:events", EVENT),
        table("an event", "v1:events/a.1"),
        table("events", "v1:events?fieldSelector=involvedObject.name%3Da"),
        post("create a lease", "coordination.k8s.io/v1:leases", LEASE),
        table("leases", "coordination.k8s.io/v1:leases"),
        post("create a claim", "v1:persistentvolumeclaims", CLAIM),
        table("claims", "v1:persistentvolumeclaims"),
        post("create a volume", "/api/v1/persistentvolumes", VOLUME),
        get("available", "/api/v1/persistentvolumes/${namespace}", until={"status.phase": "Available"}),
        table("a volume", "/api/v1/persistentvolumes/${namespace}"),
        delete("delete the volume", "/api/v1/persistentvolumes/${namespace}"),
        table("a namespace", "/api/v1/namespaces/${namespace}"),
    ],
    "tables of nodes": [
        post("create", "/api/v1/nodes", NODE),
        get("it is ready", "/api/v1/nodes/${namespace}", until=UNTAINTED),
        patch("give it an address", "strategic", "/api/v1/nodes/${namespace}/status", {"status": {
            "addresses": [{"type": "InternalIP", "address": "10.9.9.9"}],
            "nodeInfo": {"kubeletVersion": "v1.2.3", "osImage": "an OS", "kernelVersion": "9", "containerRuntimeVersion": "process://1",
                         "machineID": "", "systemUUID": "", "bootID": "", "kubeProxyVersion": "", "operatingSystem": "linux", "architecture": "amd64"}}}),
        table("get", "/api/v1/nodes/${namespace}"),
        patch("give it a role", "merge", "/api/v1/nodes/${namespace}", {"metadata": {"labels": {"node-role.kubernetes.io/worker": ""}}}),
        patch("cordon it", "merge", "/api/v1/nodes/${namespace}", {"spec": {"unschedulable": True}}),
        table("cordoned, with a role", "/api/v1/nodes/${namespace}"),
        delete("delete", "/api/v1/nodes/${namespace}"),
    ],
    "a watch of tables": [
        post("create", "v1:pods", pod("a"), capture={"rv": "metadata.resourceVersion"}),
        patch("change", "merge", "v1:pods/a", {"metadata": {"labels": {"x": "y"}}}),
        post("create another", "v1:pods", pod("b")),
        watch("from there", "v1:pods?resourceVersion=${rv}", accept=TABLE),
        watch("from the start", "v1:pods?resourceVersion=0&fieldSelector=metadata.name%3Da", accept=TABLE_KUBECTL),
        watch("as one object", "v1:pods?fieldSelector=metadata.name%3Db", accept=TABLE),
    ],
}
