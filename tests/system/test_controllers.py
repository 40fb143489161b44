"""The controllers in their real process, with simulated nodes: what fails and comes back, and what users do with kubectl.

Four nodes are one simulated process; a fifth, "lone", is played here, so that it alone can fall silent."""

import datetime
import http.client
import json
import os
import signal
import subprocess
import threading
import time

import pytest

from conftest import BUILD, PATIENCE, wait_for
from control_plane import ControlPlane

NODE = BUILD / "cluster" / "inaetics-node"
MERGE = {"Content-Type": "application/merge-patch+json"}


class LoneNode:
    """Registers, renews its lease, says of its pods that they run, and forgets those that are deleted."""

    def __init__(self, plane, name="lone"):
        self.plane, self.name, self.silent, self.over = plane, name, False, False
        plane.create("/api/v1/nodes", {
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
            "status": {"allocatable": {"cpu": "8", "memory": "8Gi", "pods": "110"},
                       "capacity": {"cpu": "8", "memory": "8Gi", "pods": "110"},
                       "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}]}})
        plane.create("/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases", {
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name},
            "spec": {"holderIdentity": name}})
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        renewed = 0
        while not self.over:
            time.sleep(0.1)
            if self.silent:
                continue
            try:
                if time.monotonic() - renewed > 0.9:
                    self.renew()
                    renewed = time.monotonic()
                self.work()
            except (OSError, http.client.HTTPException, KeyError):
                pass  # the control plane is away, or has not read etcd yet

    def renew(self):
        now = datetime.datetime.utcnow().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        self.plane.request("PATCH", f"/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{self.name}",
                           {"spec": {"renewTime": now}}, headers=MERGE)

    def work(self):
        for pod in self.plane.request("GET", f"/api/v1/pods?fieldSelector=spec.nodeName%3D{self.name}")[1]["items"]:
            path = f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}"
            if "deletionTimestamp" in pod["metadata"]:
                self.plane.request("DELETE", f"{path}?gracePeriodSeconds=0")
            elif pod["status"]["phase"] == "Pending":
                self.plane.request("PATCH", f"{path}/status", {
                    "status": {"phase": "Running", "podIP": "127.99.0.1",
                               "conditions": [{"type": "Ready", "status": "True"}]}}, headers=MERGE)

    def end(self):
        self.over = True
        self.thread.join()


class Cluster(ControlPlane):
    def __enter__(self):
        super().__enter__()
        self.nodes = None
        try:
            with open(self.home / "nodes.log", "w", encoding="utf-8") as log:
                self.nodes = subprocess.Popen(
                    [NODE, "--simulate", "4", "--server", f"https://{self.address}", "--pki", self.home / "pki",
                     "--data", self.home / "nodes"], stdout=log, stderr=log)
            self.lone = LoneNode(self)
            wait_for(lambda: [ready(node) for node in self.items("nodes")] == [True] * 5, "five nodes are ready")
        except BaseException:
            self.end_nodes()
            super().__exit__(None)
            raise
        return self

    def __exit__(self, kind, *rest):
        self.lone.end()
        self.end_nodes()
        super().__exit__(kind, *rest)

    def end_nodes(self):
        if self.nodes:
            self.nodes.send_signal(signal.SIGCONT)
            self.nodes.terminate()
            self.nodes.wait(PATIENCE)

    # -- what there is

    def items(self, resource, group="/api/v1"):
        return self.request("GET", f"{group}/{resource}")[1]["items"]

    def pods(self):
        """uid by name, of pods that are not being deleted."""
        return {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in self.items("pods")
                if "deletionTimestamp" not in pod["metadata"]}

    def on(self, node):
        return [pod["metadata"]["name"] for pod in self.items("pods") if pod["spec"].get("nodeName") == node]

    def node(self, name):
        return self.request("GET", f"/api/v1/nodes/{name}")[1]

    def events(self, reason):
        return [event for event in self.items("events") if event["reason"] == reason]

    def run_replicas(self, number, name="web"):
        status, _ = self.request("GET", f"/api/v1/namespaces/default/replicationcontrollers/{name}")
        if status == 404:
            self.create("/api/v1/namespaces/default/replicationcontrollers", {
                "apiVersion": "v1", "kind": "ReplicationController", "metadata": {"name": name},
                "spec": {"replicas": number, "selector": {"app": name}, "template": {
                    "metadata": {"labels": {"app": name}},
                    "spec": {"containers": [{"name": "main", "image": "example:1",
                                             "ports": [{"containerPort": 8080, "name": "http"}]}]}}}})
        else:
            self.kubectl("scale", "rc", name, f"--replicas={number}")
        wait_for(lambda: self.replicas(name) == (number, number), f"{number} replicas are ready")

    def replicas(self, name="web"):
        status = self.request("GET", f"/api/v1/namespaces/default/replicationcontrollers/{name}")[1]["status"]
        return status["replicas"], status.get("readyReplicas", 0)


def ready(thing):
    return any(one["type"] == "Ready" and one["status"] == "True" for one in thing["status"].get("conditions", []))


@pytest.fixture(scope="module")
def cluster():
    with Cluster() as one:
        yield one


def stays(cluster, pods, seconds, why):
    """Nothing happens for so long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert cluster.pods() == pods, why
        time.sleep(0.2)


def test_replicas_come_and_go_and_are_spread_over_the_nodes(cluster):
    cluster.run_replicas(10)
    assert [len(cluster.on(node["metadata"]["name"])) for node in cluster.items("nodes")] == [2] * 5
    before = cluster.pods()
    cluster.run_replicas(3)
    assert set(cluster.pods().items()) <= set(before.items())
    assert len(cluster.events("SuccessfulDelete")) == 7


def test_a_deleted_pod_is_replaced_at_once(cluster):
    cluster.run_replicas(3)
    before = cluster.pods()
    cluster.kubectl("delete", "pod", next(iter(before)), "--wait=false")
    wait_for(lambda: len(cluster.pods()) == 3 and cluster.pods() != before, "another pod is there")


def test_a_pod_that_fits_nowhere_says_why_and_is_placed_once_it_fits(cluster):
    cluster.create("/api/v1/namespaces/default/pods", {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "picky"},
        "spec": {"nodeSelector": {"disk": "fast"}, "containers": [{"name": "main", "image": "example:1"}]}})
    wait_for(lambda: cluster.events("FailedScheduling"), "the refusal is an event")
    assert cluster.events("FailedScheduling")[0]["message"] == \
        "0/5 nodes are available: 5 node(s) didn't match Pod's node affinity."
    cluster.kubectl("label", "node", "node-2", "disk=fast")
    wait_for(lambda: "picky" in cluster.on("node-2"), "it is placed")
    cluster.kubectl("label", "node", "node-2", "disk-")
    cluster.kubectl("delete", "pod", "picky")


def test_a_service_leads_to_its_ready_pods(cluster):
    cluster.run_replicas(3)
    cluster.create("/api/v1/namespaces/default/services", {
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "http"}]}})

    def addresses():
        subsets = cluster.request("GET", "/api/v1/namespaces/default/endpoints/web")[1].get("subsets") or [{}]
        assert "ports" not in subsets[0] or subsets[0]["ports"][0]["port"] == 8080
        return len(subsets[0].get("addresses", []))
    wait_for(lambda: addresses() == 3, "three addresses")
    cluster.run_replicas(1)
    wait_for(lambda: addresses() == 1, "one address")
    cluster.kubectl("delete", "service", "web")
    wait_for(lambda: cluster.request("GET", "/api/v1/namespaces/default/endpoints/web")[0] == 404, "none")


def test_the_pods_of_a_silent_node_are_replaced_and_the_node_comes_back(cluster):
    cluster.run_replicas(10)
    assert cluster.on("lone")
    others = {name: uid for name, uid in cluster.pods().items() if name not in cluster.on("lone")}
    begun = time.monotonic()
    cluster.lone.silent = True
    wait_for(lambda: not cluster.on("lone"), "its pods are gone")
    assert time.monotonic() - begun > 2
    wait_for(lambda: cluster.replicas() == (10, 10), "they are replaced")
    assert set(others.items()) <= set(cluster.pods().items())
    node = cluster.node("lone")
    assert {(one["key"], one["effect"]) for one in node["spec"]["taints"]} == {
        ("node.kubernetes.io/unreachable", "NoSchedule"), ("node.kubernetes.io/unreachable", "NoExecute")}
    assert [event["involvedObject"]["name"] for event in cluster.events("NodeNotReady")] == ["lone"]
    cluster.lone.silent = False
    wait_for(lambda: ready(cluster.node("lone")) and "taints" not in cluster.node("lone")["spec"], "it is ready again")
    cluster.run_replicas(12)
    assert cluster.on("lone")


def test_a_killed_control_plane_comes_back_and_no_pod_is_replaced(cluster):
    cluster.run_replicas(10)
    before = cluster.pods()
    for _ in range(2):
        cluster.stop(signal.SIGKILL)
        time.sleep(4)
        cluster.start()
        stays(cluster, before, 4, "a pod was replaced after the restart")
    cluster.run_replicas(9)


def test_while_etcd_hangs_no_pod_is_replaced(cluster):
    cluster.run_replicas(10)
    before = cluster.pods()
    cluster.etcd.send_signal(signal.SIGSTOP)
    time.sleep(10)
    cluster.etcd.send_signal(signal.SIGCONT)
    wait_for(lambda: cluster.request("PATCH", "/api/v1/namespaces/default", {"metadata": {"labels": {"a": "b"}}},
                                     headers=MERGE)[0] == 200, "the API writes again")
    stays(cluster, before, 5, "a pod was replaced after etcd's pause")


def test_a_stopped_control_plane_replaces_no_pod_when_it_goes_on(cluster):
    cluster.run_replicas(10)
    before = cluster.pods()
    cluster.process.send_signal(signal.SIGSTOP)
    time.sleep(8)
    cluster.process.send_signal(signal.SIGCONT)
    stays(cluster, before, 5, "a pod was replaced after our own pause")


def test_when_most_nodes_fall_silent_together_no_pod_is_replaced(cluster):
    cluster.run_replicas(10)
    before = cluster.pods()
    cluster.nodes.send_signal(signal.SIGSTOP)
    wait_for(lambda: len(cluster.events("PartialDisruption")) == 4, "it is told")
    stays(cluster, before, 4, "a pod was replaced")
    assert not any(ready(cluster.node(f"node-{number}")) for number in range(1, 5))
    cluster.nodes.send_signal(signal.SIGCONT)
    wait_for(lambda: all(ready(node) for node in cluster.items("nodes")), "all are ready again")
    assert cluster.pods() == before


def test_a_deployment_is_rolled_out_and_back_by_kubectl(cluster):
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "shop"},
        "spec": {"replicas": 4, "selector": {"matchLabels": {"app": "shop"}}, "template": {
            "metadata": {"labels": {"app": "shop"}}, "spec": {"containers": [{"name": "main", "image": "shop:1"}]}}}}))
    cluster.kubectl("rollout", "status", "deployment/shop")
    cluster.kubectl("set", "image", "deployment/shop", "main=shop:2")
    cluster.kubectl("rollout", "status", "deployment/shop")

    def images():
        return {pod["spec"]["containers"][0]["image"] for pod in cluster.items("pods?labelSelector=app%3Dshop")
                if "deletionTimestamp" not in pod["metadata"]}
    assert images() == {"shop:2"}
    history = cluster.kubectl("rollout", "history", "deployment/shop").stdout
    assert "1 " in history and "2 " in history
    cluster.kubectl("rollout", "undo", "deployment/shop")
    cluster.kubectl("rollout", "status", "deployment/shop")
    assert images() == {"shop:1"}
    cluster.kubectl("delete", "deployment", "shop", "--cascade=foreground")
    assert not images()
    assert not cluster.items("replicasets?labelSelector=app%3Dshop", "/apis/apps/v1")


def test_a_stateful_set_has_claims_that_stay_and_folders_that_go_with_them(cluster):
    volumes = cluster.data / "volumes"
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps({
        "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "db"},
        "spec": {"replicas": 2, "serviceName": "db", "selector": {"matchLabels": {"app": "db"}},
                 "template": {"metadata": {"labels": {"app": "db"}},
                              "spec": {"containers": [{"name": "main", "image": "db:1"}]}},
                 "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {
                     "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}]}}))
    cluster.kubectl("rollout", "status", "statefulset/db")
    assert sorted(folder.name for folder in volumes.iterdir()) == ["data-db-0", "data-db-1"]
    (volumes / "data-db-1" / "kept").write_text("x")
    cluster.kubectl("scale", "statefulset", "db", "--replicas=1")
    wait_for(lambda: "db-1" not in cluster.pods(), "the last pod is gone")
    assert (volumes / "data-db-1" / "kept").exists()
    cluster.kubectl("delete", "pvc", "data-db-0", "--wait=false")
    time.sleep(0.5)
    assert "data-db-0" in {one["metadata"]["name"] for one in cluster.items("persistentvolumeclaims")}, "it is in use"
    cluster.kubectl("delete", "statefulset", "db")
    cluster.kubectl("delete", "pvc", "data-db-1")
    wait_for(lambda: not list(volumes.iterdir()), "the folders are removed")
    wait_for(lambda: not cluster.items("persistentvolumes"), "so are the volumes")


def test_a_folder_that_was_there_before_its_claim_is_taken_over_and_never_removed(cluster):
    folder = cluster.data / "volumes" / "mine"
    folder.mkdir(parents=True)
    (folder / "precious").write_text("x")
    claim = json.dumps({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "mine"},
                        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}})

    def volumes():
        return {one["spec"]["hostPath"]["path"]: one for one in cluster.items("persistentvolumes")}

    def bound():
        return [one for one in cluster.items("persistentvolumeclaims") if one.get("status", {}).get("phase") == "Bound"]
    cluster.kubectl("apply", "-f", "-", stdin=claim)
    wait_for(bound, "the claim is bound")
    assert volumes()[str(folder)]["spec"]["persistentVolumeReclaimPolicy"] == "Retain"
    cluster.kubectl("delete", "pvc", "mine")
    wait_for(lambda: volumes()[str(folder)]["status"]["phase"] == "Released", "the volume is released")
    cluster.kubectl("apply", "-f", "-", stdin=claim)
    wait_for(bound, "the next claim is bound")
    other, = set(volumes()) - {str(folder)}
    assert volumes()[other]["spec"]["persistentVolumeReclaimPolicy"] == "Delete"
    cluster.kubectl("delete", "pvc", "mine")
    wait_for(lambda: other not in volumes() and not os.path.exists(other), "what the cluster made, it removes")
    cluster.kubectl("delete", "pv", volumes()[str(folder)]["metadata"]["name"])
    assert (folder / "precious").read_text() == "x"


def test_a_namespace_is_emptied_before_it_goes(cluster):
    cluster.create("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
    wait_for(lambda: cluster.request("GET", "/api/v1/namespaces/shop/serviceaccounts/default")[0] == 200,
             "it has its service account")
    cluster.create("/apis/apps/v1/namespaces/shop/deployments", {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "web"}}, "template": {
            "metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "main", "image": "web:1"}]}}}})
    wait_for(lambda: len(cluster.items("namespaces/shop/pods")) == 3, "its pods are there")
    cluster.kubectl("delete", "namespace", "shop")
    assert not [pod for pod in cluster.items("pods") if pod["metadata"]["namespace"] == "shop"]
