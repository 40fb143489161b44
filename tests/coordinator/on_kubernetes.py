#!/usr/bin/python3
"""on_kubernetes.py BUILD KUBECONFIG [IMAGE] - the coordinator on a real Kubernetes, checked from outside.

Runs an agent with the queue and the coordinator, and lets it keep an
Application of a replication controller over two runtimes and a deployment.
KUBECONFIG (in JSON: kubectl config view --raw -o json) is an administrator's.
IMAGE is one that stays up without a command (default pause:3.2).
The kind and the namespace it makes are removed again. Needs kubectl, from
$KUBECTL or $PATH.
"""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

NAMESPACE = "inaetics-coordinator-test"
TOKEN = "a-token-for-this-test"
PATIENCE = 60
ROOT = pathlib.Path(__file__).resolve().parents[2]


class Agent:
    def __init__(self, build, folder, kubeconfig):
        self.folder, self.build, self.process = folder, build, None
        bundles = folder / "bundles"
        bundles.mkdir()
        for name in ("queue", "cluster-coordinator"):
            shutil.copy(build / f"demonstrator/{name}.zip", bundles)
        (folder / "token").write_text(TOKEN + "\n")
        (folder / "queue").mkdir()
        self.environment = {**os.environ, "INAETICS_KUBECONFIG": str(kubeconfig),
                            "CONFIG_QUEUE_DIRECTORY": str(folder / "queue")}
        self.url = None

    def start(self):
        log = self.folder / "log"
        begin = log.stat().st_size if log.exists() else 0
        with open(log, "a", encoding="utf-8") as output:
            self.process = subprocess.Popen(
                [self.build / "agent/inaetics-agent", "--id", "test", "--port", "0", "--shell-port", "-1",
                 "--token-file", self.folder / "token", "--bundles", self.folder / "bundles"],
                env=self.environment, stdout=output, stderr=output)

        def address():
            words = log.read_text()[begin:].split()
            return next((word[5:] for word in words if word.startswith("http=")), None)
        self.url = "http://" + wait_for(address, "the agent is up")

    def kill(self, how=signal.SIGKILL):
        self.process.send_signal(how)
        self.process.wait(PATIENCE)

    def call(self, service, method, request):
        """The answer, or the code of the refusal; None: nobody answers."""
        message = urllib.request.Request(
            f"{self.url}/demonstrator.v1.{service}/{method}", json.dumps(request).encode(),
            {"Content-Type": "application/json", "Authorization": f"Bearer {TOKEN}"})
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(message, timeout=10) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            return json.load(error)["code"]
        except OSError:
            return None


class Load:
    """Puts `rate` samples a second into the queue, and takes them out again."""

    def __init__(self, agent):
        self.agent, self.rate, self.first = agent, 0, 0
        for work in (self.put, self.take):
            threading.Thread(target=work, daemon=True).start()

    def put(self):
        while True:
            time.sleep(0.1)
            count = self.rate // 10
            if count and self.agent.call("Queue", "Put", {"batches": [{
                    "producer": "test.1", "firstSequence": str(self.first), "timeUs": ["1"] * count,
                    "value1": [1] * count, "value2": [1] * count}]}):
                self.first += count

    def take(self):
        while True:
            taken = self.agent.call("Queue", "Take", {"minimum": 1, "maximum": 1000, "waitMs": 200, "leaseMs": 60000})
            if isinstance(taken, dict) and taken.get("lease"):
                self.agent.call("Queue", "Acknowledge", {"leases": [taken["lease"]]})
            elif taken is None:
                time.sleep(0.1)


def wait_for(condition, what):
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        value = condition()
        if value:
            print(f"ok: {what}", flush=True)
            return value
        time.sleep(0.2)
    raise SystemExit(f"never came true: {what}")


def check(condition, what):
    if not condition:
        raise SystemExit(f"not so: {what}")
    print(f"ok: {what}", flush=True)


class Kubernetes:
    def __init__(self, kubeconfig):
        self.kubeconfig = kubeconfig

    def run(self, *arguments, stdin=None, check_status=True):
        result = subprocess.run([os.environ.get("KUBECTL", "kubectl"), "--kubeconfig", self.kubeconfig, *arguments], input=stdin, text=True,
                                capture_output=True, timeout=120, check=False)
        if check_status and result.returncode:
            raise SystemExit(f"kubectl {' '.join(arguments)}: {result.stderr}")
        return result.stdout

    def get(self, kind, name):
        text = self.run("-n", NAMESPACE, "get", kind, name, "-o", "json", check_status=False)
        return json.loads(text) if text else None

    def change(self, operation, path, value=None):
        self.run("-n", NAMESPACE, "patch", "application", "shop", "--type=json",
                 "-p", json.dumps([{"op": operation, "path": path, "value": value}]))

    def valid(self):
        """Condition Valid, if it was said of what is declared now."""
        found = self.get("application", "shop")
        return next((one["status"] for one in found.get("status", {}).get("conditions", []) if one["type"] == "Valid"
                     and one.get("observedGeneration") == found["metadata"]["generation"]), None)

    def replicas(self, kind, name):
        found = self.get(kind, name)
        return found["spec"]["replicas"] if found else None


def application(image):
    template = {"spec": {"terminationGracePeriodSeconds": 0, "containers": [{"name": "main"}]}}
    quality = {"queue": "(type=queue)", "minimum": 1, "quiet": 10}
    return {"apiVersion": "inaetics.org/v1", "kind": "Application", "metadata": {"name": "shop"}, "spec": {"components": [
        {"name": "fixed", "runtimes": [{"image": image}], "replicas": 1, "maximum": 4, "template": template},
        {"name": "controlled", "runtimes": [{"name": "a", "image": image}, {"name": "b", "image": image}],
         "template": template, "quality": {**quality, "maximum": 6, "configuration": {"rate": 100}}},
        {"name": "deployed", "workload": "Deployment", "runtimes": [{"image": image}], "template": template,
         "quality": {**quality, "maximum": 3, "configuration": {"rate": 150}}}]}}


def phase(cluster):
    return (cluster.get("application", "shop") or {}).get("status", {}).get("phase")


def refuse(cluster, agent):
    """A component that cannot be read any more, and the coordinator's death meanwhile."""
    cluster.change("add", "/spec/components/1/quality/utilization", 7)
    wait_for(lambda: cluster.valid() == "False" and phase(cluster) == "Refused", "what cannot be read is refused")
    agent.kill()
    agent.start()

    def told():
        answer = agent.call("Coordinator", "GetReplicas", {"name": "controlled"})
        return isinstance(answer, dict) and "utilization: 7 is not within" in answer.get("refused", "")
    wait_for(told, "the next coordinator says the same")
    cluster.run("-n", NAMESPACE, "scale", "rc", "shop-fixed", "--replicas=1")
    wait_for(lambda: cluster.replicas("rc", "shop-fixed") == 3, "what is not refused is kept as declared")


def exercise(cluster, agent, image):
    def numbers():
        return (cluster.replicas("rc", "shop-controlled-a"), cluster.replicas("rc", "shop-controlled-b"),
                cluster.replicas("deployment", "shop-deployed"))
    load = Load(agent)
    cluster.run("-n", NAMESPACE, "apply", "-f", "-", stdin=json.dumps(application(image)))
    wait_for(lambda: numbers() == (1, 0, 1) and cluster.replicas("rc", "shop-fixed") == 1, "the workloads are made")
    wait_for(lambda: phase(cluster) == "Balanced", "all runs that is declared")
    load.rate = 250
    wait_for(lambda: numbers()[2] == 2 and sum(numbers()[:2]) >= 3, "replication controllers and deployment grow with the load")
    check(0 <= numbers()[0] - numbers()[1] <= 1, "the runtimes alternate")
    wait_for(lambda: phase(cluster) == "Balanced", "the new ones run, and the backlog is drained")
    agent.kill()
    time.sleep(1)  # its last request may still be on its way
    before = numbers()
    time.sleep(3)
    check(numbers() == before, "the coordinator's death changes nothing")
    agent.start()
    wait_for(lambda: isinstance(agent.call("Coordinator", "GetReplicas", {"name": "fixed"}), dict), "it is back")
    check(all(now >= then for now, then in zip(numbers(), before)), "and resets nothing")  # what waited may need more
    check(agent.call("Coordinator", "SetReplicas", {"name": "fixed", "requested": 3})["requested"] == 3, "three are asked for")
    wait_for(lambda: cluster.replicas("rc", "shop-fixed") == 3, "three are declared and there")
    check(agent.call("Coordinator", "SetReplicas", {"name": "fixed", "requested": 9}) == "out_of_range", "nine are refused")
    cluster.run("-n", NAMESPACE, "scale", "rc", "shop-fixed", "--replicas=1")
    wait_for(lambda: cluster.replicas("rc", "shop-fixed") == 3, "what was scaled by hand is set back")
    refuse(cluster, agent)
    load.rate = 20
    wait_for(lambda: numbers() == (1, 0, 1), "they go when the load has gone, though one is refused")
    cluster.change("remove", "/spec/components/1/quality/utilization")
    wait_for(lambda: cluster.valid() == "True" and phase(cluster) == "Balanced", "all that is declared is in force again")
    reasons = {one["reason"] for one in json.loads(cluster.run("-n", NAMESPACE, "get", "events", "-o", "json"))["items"]
               if one["involvedObject"]["kind"] == "Application"}
    check({"ScaledUp", "ScaledDown"} <= reasons, "both are events of the application")
    cluster.run("-n", NAMESPACE, "delete", "application", "shop")
    wait_for(lambda: numbers() == (None, None, None), "the workloads go with the application")


def main():
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    build, kubeconfig = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
    image = sys.argv[3] if len(sys.argv) > 3 else "pause:3.2"
    cluster = Kubernetes(str(kubeconfig))
    with tempfile.TemporaryDirectory() as folder:
        config = json.loads(kubeconfig.read_text())
        for context in config["contexts"]:
            context["context"]["namespace"] = NAMESPACE
        own = pathlib.Path(folder) / "kubeconfig"
        own.write_text(json.dumps(config))
        agent = Agent(build, pathlib.Path(folder), own)
        kind = ROOT / "deploy/crd-application.json"
        has_kind = "applications" in cluster.run("api-resources", "--api-group=inaetics.org", "-o", "name")
        try:
            if not has_kind:
                cluster.run("apply", "-f", str(kind))
            cluster.run("apply", "-f", "-", stdin=json.dumps(
                {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}))
            agent.start()
            exercise(cluster, agent, image)
        finally:
            if agent.process:
                if agent.process.poll() is None:
                    agent.kill(signal.SIGTERM)
                print((pathlib.Path(folder) / "log").read_text()[-2000:], file=sys.stderr)
            cluster.run("delete", "namespace", NAMESPACE, "--wait=false", check_status=False)
            if not has_kind:
                cluster.run("delete", "-f", str(kind), check_status=False)


if __name__ == "__main__":
    main()
