#!/usr/bin/python3
"""cluster.py - how soon the cluster recovers, and how it grows.

  cluster.py BUILD [failover|scale]...     (default: both)

failover: the demonstrator on its five nodes; a container, a pod, a node, the
control plane and etcd are killed, five times each, and the time until
everything is ready again is measured from outside, by watching the API.
scale: a control plane alone with 10, then 100 simulated nodes and 20 pods on
each: pods scheduled and running per second, latency of lists and of a watch,
memory."""
import json
import os
import pathlib
import re
import signal
import statistics
import subprocess
import sys
import threading
import time

BUILD = pathlib.Path(sys.argv[1]).resolve()
os.environ["INAETICS_BUILD"] = str(BUILD)
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))
import conftest  # noqa: E402
import control_plane  # noqa: E402

ROUNDS = 5
PODS = "/api/v1/namespaces/default/pods"


def line(name, value, unit, aim=""):
    text = f"{value:.0f}" if value >= 1000 else f"{value:.1f}" if value >= 10 else f"{value:.3f}"
    print(f"{name:<66} {text:>10} {unit}{'  (aim: ' + aim + ')' if aim else ''}", flush=True)


def spread(name, values, unit, aim=""):
    line(name, statistics.median(values), f"{unit}, {min(values):.3f} to {max(values):.3f}", aim)


def resident(pid):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+)", text)
    return int(found[1]) * 1024 if found else 0


def proportional(pid):
    """Its memory, of pages that several processes map its part only."""
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    found = re.search(r"^Pss:\s+(\d+)", text, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def until(condition, what, limit=60):
    """Seconds until it is so; looked at each two milliseconds."""
    begin = time.monotonic()
    while not condition():
        if time.monotonic() - begin > limit:
            sys.exit(f"waited {limit} s in vain: {what}")
        time.sleep(0.002)
    return time.monotonic() - begin


# -- fail-over


def ready(pod):
    return any(one["type"] == "Ready" and one["status"] == "True" for one in pod["status"].get("conditions", []))


def settled(instance, wanted, gone=()):
    """As many ready pods as there were, and none of those that must be gone."""
    try:
        pods = instance.pods()
    except OSError:
        return False
    return len(pods) == wanted and all(ready(pod) for pod in pods.values()) and not set(gone) & set(pods)


def settle(instance, wanted):
    until(lambda: settled(instance, wanted), "all pods are ready")
    time.sleep(6)  # what ran for 5 s is started again without a longer pause


def time_container(instance, wanted):
    name = instance.part("processor")
    before = instance.container(name)["restartCount"]
    os.kill(instance.pid(name), signal.SIGKILL)
    return until(lambda: (c := instance.container(name)) and c["restartCount"] > before and c["ready"], "it is ready again")


def time_pod(instance, wanted):
    name = instance.part("processor")
    instance.api("DELETE", f"{PODS}/{name}", {"gracePeriodSeconds": 0, "kind": "DeleteOptions", "apiVersion": "v1"})
    return until(lambda: settled(instance, wanted, [name]), "another pod is ready")


def time_node(instance, wanted):
    name = instance.part("queue")
    node = instance.node_of(name)
    lost = [pod for pod, one in instance.pods().items() if one["spec"].get("nodeName") == node]
    begin = time.monotonic()
    instance.cli("node", "halt", node)
    until(lambda: settled(instance, wanted, lost), "its pods are ready elsewhere")
    elapsed = time.monotonic() - begin
    conftest.wait_for(lambda: instance.cli("node", "start", node, check=False).returncode == 0, "the node starts")
    return elapsed


def answers(instance):
    try:
        return instance.api("GET", "/api/v1/nodes", check=False)[0] == 200
    except OSError:
        return False


def time_control_plane(instance, wanted):
    os.kill(instance.state()["controlPlane"]["pid"], signal.SIGKILL)
    time.sleep(0.005)
    return until(lambda: answers(instance), "the API answers")


def writes(instance):
    try:
        status, _ = instance.api("PATCH", "/api/v1/namespaces/default", {"metadata": {"labels": {"bench": str(time.monotonic_ns())}}},
                                 "application/merge-patch+json", check=False)
        return status == 200
    except OSError:
        return False


def time_etcd(instance, wanted):
    os.kill(instance.state()["etcd"]["pid"], signal.SIGKILL)
    time.sleep(0.005)
    return until(lambda: writes(instance), "the API takes writes")


def hold_etcd(instance, wanted):
    """Stops etcd for ten seconds; how many pods are others afterwards."""
    before = set(instance.pods())
    etcd = instance.state()["etcd"]["pid"]
    os.kill(etcd, signal.SIGSTOP)
    time.sleep(10)
    os.kill(etcd, signal.SIGCONT)
    time.sleep(5)
    return len(before ^ set(instance.pods()))


def failover():
    instance = conftest.Instance(demonstrator=True)
    try:
        begin = time.monotonic()
        instance.start(wait=False)
        until(lambda: stored(instance) > 0, "a result is stored")
        line("inaetics up to the first stored result", time.monotonic() - begin, "s", "3")
        conftest.wait_for(lambda: "Ctrl-C" in instance.output(), "up says that it runs")
        instance.scale("processor", 3)
        conftest.wait_for(lambda: len(instance.parts("processor")) == 3, "three processors")
        wanted = len(instance.pods())
        settle(instance, wanted)
        parts = {pid: command for pid, command in instance.processes().items() if "etcd" not in command.split()[0]}
        everything = [*parts, instance.process.pid]
        line(f"resident memory of all {len(everything)} processes but etcd", sum(map(resident, everything)) / 1e6, "MB", "200")
        line("the same, shared pages counted once", sum(map(proportional, everything)) / 1e6, "MB")
        for what, measure, aim in (
                ("a killed container is ready again", time_container, "0.3"),
                ("a deleted pod is replaced and ready", time_pod, "0.3"),
                ("a halted node's pods are ready elsewhere", time_node, "4"),
                ("a killed control plane answers again", time_control_plane, "1"),
                ("a killed etcd takes writes again", time_etcd, "2")):
            values = []
            for _ in range(ROUNDS):
                settle(instance, wanted)
                values.append(measure(instance, wanted))
            spread(what, values, "s", aim)
        settle(instance, wanted)
        line("pods replaced after etcd was stopped for 10 s", hold_etcd(instance, wanted), "", "0")
        instance.scale("producer", 0)
        report = json.loads(instance.cli("verify", "--json", "--wait", 60, check=False, timeout=120).stdout)["total"]
        print(f"samples accepted {report['accepted']}, missing {report['missing']}, duplicate {report['duplicate']}")
    finally:
        if instance.process:
            instance.stop()
        instance.close()


def stored(instance):
    try:
        return int(instance.call(next(iter(instance.services("demonstrator.v1.Store"))), "Status").get("stored", 0))
    except (StopIteration, OSError, ValueError, AssertionError):
        return 0


# -- scale


def timed(plane, path, times=20):
    values = []
    for _ in range(times):
        begin = time.monotonic()
        status, _ = plane.request("GET", path)
        values.append(time.monotonic() - begin)
        assert status == 200
    return statistics.median(values)


def controller(name, replicas):
    return {"apiVersion": "v1", "kind": "ReplicationController", "metadata": {"name": name},
            "spec": {"replicas": replicas, "selector": {"name": name}, "template": {
                "metadata": {"labels": {"name": name}},
                "spec": {"containers": [{"name": "main", "image": "inaetics/agent",
                                         "resources": {"requests": {"cpu": "10m", "memory": "1Mi"}}}]}}}}


def ready_replicas(plane, name):
    return plane.request("GET", f"/api/v1/namespaces/default/replicationcontrollers/{name}")[1]["status"].get("readyReplicas", 0)


def watch_latency(plane):
    """From the answer of a write to its event, over a watch of all pods; the median of 20."""
    seen, values = {}, []
    with plane.watch(f"/api/v1/configmaps?watch=1&resourceVersion={plane.request('GET', '/api/v1/configmaps?limit=1')[1]['metadata']['resourceVersion']}") as events:
        thread = threading.Thread(target=collect, args=(events, seen, 20), daemon=True)
        thread.start()
        for i in range(20):
            begin = time.monotonic()
            plane.request("POST", "/api/v1/namespaces/default/configmaps", {"apiVersion": "v1", "kind": "ConfigMap",
                                                                            "metadata": {"name": f"latency-{i}"}})
            values.append((f"latency-{i}", begin))
        thread.join(30)
    for name, _ in values:
        plane.request("DELETE", f"/api/v1/namespaces/default/configmaps/{name}")
    return statistics.median(seen[name] - begin for name, begin in values)


def collect(events, seen, count):
    while len(seen) < count and (event := events.next()):
        if event["type"] == "ADDED":
            seen[event["object"]["metadata"]["name"]] = time.monotonic()


def grow(nodes):
    with control_plane.ControlPlane() as plane:
        simulator = subprocess.Popen(
            [BUILD / "cluster" / "inaetics-node", "--simulate", str(nodes), "--server", f"https://{plane.address}", "--pki",
             plane.home / "pki", "--data", plane.home / "nodes"], stderr=subprocess.DEVNULL)
        try:
            until(lambda: len(plane.request("GET", "/api/v1/nodes")[1]["items"]) == nodes, "all nodes are registered")
            empty = resident(plane.process.pid)
            count = nodes * 20
            begin = time.monotonic()
            for i in range(10):
                plane.request("POST", "/api/v1/namespaces/default/replicationcontrollers", controller(f"many-{i}", count // 10))
            until(lambda: all(ready_replicas(plane, f"many-{i}") == count // 10 for i in range(10)), "all pods run", 300)
            elapsed = time.monotonic() - begin
            return {"rate": count / elapsed, "list": timed(plane, "/api/v1/pods") * 1e3,
                    "get": timed(plane, "/api/v1/nodes/node-1") * 1e3, "watch": watch_latency(plane) * 1e3,
                    "memory": resident(plane.process.pid) / 1e6, "each": (resident(plane.process.pid) - empty) / count / 1e3}
        finally:
            simulator.terminate()
            simulator.wait(30)


def scale():
    few, many = grow(10), grow(100)
    for key, what, unit in (("rate", "pods created, scheduled and running per second", "/s"),
                            ("list", "list of all pods (200, 2,000), with parsing it", "ms"), ("get", "get of a node", "ms"),
                            ("watch", "write to its event in a watch", "ms"), ("memory", "memory of the control plane", "MB"),
                            ("each", "of it per pod", "kB")):
        line(f"10 nodes: {what}", few[key], unit)
        line(f"100 nodes: {what}", many[key], f"{unit}, {many[key] / few[key]:.2f} x")


if __name__ == "__main__":
    for part in sys.argv[2:] or ("failover", "scale"):
        {"failover": failover, "scale": scale}[part]()
