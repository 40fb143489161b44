"""A node for pods to be bound to: it renews its lease, and runs nothing."""

import json
import threading
import time

import client

NAME = "nowhere"
PERIOD = 1  # seconds between renewals
LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"


def now():
    return time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime())


class Node:
    """A context: the node is there while it lasts."""

    def __init__(self, server):
        self.server = server
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.renew, daemon=True)

    def ask(self, method, path, body=None, content_type="application/json"):
        return client.request(self.server, "admin", method, path, {"Content-Type": content_type}, json.dumps(body) if body else None).status

    def __enter__(self):
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NAME}, "spec": {"unschedulable": True}}
        lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": NAME, "namespace": "kube-node-lease"},
                 "spec": {"holderIdentity": NAME, "leaseDurationSeconds": 40, "renewTime": now()}}
        ready = {"status": {"conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady", "lastHeartbeatTime": now()[:19] + "Z"}]}}
        for wanted, method, path, body, kind in (
            ((201, 409), "POST", "/api/v1/nodes", node, "application/json"),
            ((201, 409), "POST", LEASES, lease, "application/json"),
            ((200,), "PATCH", f"/api/v1/nodes/{NAME}/status", ready, "application/strategic-merge-patch+json"),
        ):
            status = self.ask(method, path, body, kind)
            if status not in wanted:
                raise RuntimeError(f"{method} {path} was answered {status}: the node cannot be made")
        self.thread.start()
        return self

    def renew(self):
        while not self.ended.wait(PERIOD):
            try:
                self.ask("PATCH", f"{LEASES}/{NAME}", {"spec": {"renewTime": now()}}, "application/merge-patch+json")
            except OSError:
                pass  # what it means that the server is not there others will say

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()
        self.ask("DELETE", f"/api/v1/nodes/{NAME}")
        self.ask("DELETE", f"{LEASES}/{NAME}")
