"""The original's scenario by its own means: Debian's kubectl, and a Kubernetes client library."""

import contextlib
import json
import os
import pathlib
import re
import signal
import subprocess
import threading
import time
import urllib.request

import pytest
import yaml
from conftest import PATIENCE, ROOT, wait_for
from kubernetes import client, config, watch
from kubernetes.client.rest import ApiException
from kubernetes.stream import stream
from whole import flows, nodes, settled


@pytest.fixture(scope="module")
def program():
    """Debian's kubectl, which is a few years older than others that may be in PATH."""
    fetched = subprocess.run([ROOT / "tools" / "fetch-server", "--unpack", "kubernetes-client", "kubectl", ROOT / "build"],
                             check=True, capture_output=True, text=True)
    return fetched.stdout.strip()


class Kubectl:
    """kubectl as a user runs it who was given the kubeconfig."""

    def __init__(self, program, instance):
        self.program = program
        self.environment = dict(os.environ, KUBECONFIG=str(instance.data / "kubeconfig"), HOME=str(instance.home))

    def run(self, *arguments, stdin=None, check=True, timeout=PATIENCE):
        result = subprocess.run([self.program, *map(str, arguments)], input=stdin, capture_output=True, text=True,
                                timeout=timeout, env=self.environment, check=False)
        if check:
            assert result.returncode == 0, result.stderr
        return result

    def __call__(self, *arguments, **options):
        return self.run(*arguments, **options).stdout

    def rows(self, *arguments):
        """A table as dictionaries by the words of its head."""
        lines = self(*arguments).splitlines()
        starts = [match.start() for match in re.finditer(r"(?<!\S)\S+(?: \S+)*", lines[0])]
        names = [lines[0][begin:end].strip() for begin, end in zip(starts, starts[1:] + [None])]
        return [{name: line[begin:end].strip() for name, begin, end in zip(names, starts, starts[1:] + [None])}
                for line in lines[1:]]

    @contextlib.contextmanager
    def running(self, *arguments):
        """A command that goes on; gives the lines that it has printed so far."""
        process = subprocess.Popen([self.program, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   text=True, env=self.environment)
        lines = []
        reader = threading.Thread(target=lambda: lines.extend(iter(process.stdout.readline, "")))
        reader.start()
        try:
            yield lines
        finally:
            process.terminate()
            process.wait(PATIENCE)
            reader.join(PATIENCE)
            process.stdout.close()


@pytest.fixture
def kubectl(program, demonstrator):
    settled(demonstrator)
    return Kubectl(program, demonstrator)


@pytest.fixture
def empty(program, instance):
    """kubectl and a cluster on which nothing runs."""
    instance.start()
    wait_for(lambda: list(nodes(instance).values()) == [True] * 5, "five nodes are ready")
    return Kubectl(program, instance), instance


@pytest.fixture
def library(empty):
    """The library, configured as its documentation says, and the cluster."""
    _, instance = empty
    return config.new_client_from_config(str(instance.data / "kubeconfig")), instance


# -- looking


def test_get_shows_nodes_pods_controllers_and_services(demonstrator, kubectl):
    assert "v1.20.2" in kubectl("version", "--client", "--short")
    listed = kubectl.rows("get", "nodes", "-o", "wide")
    assert [(row["NAME"], row["STATUS"]) for row in listed] == [(f"node-{i}", "Ready") for i in range(1, 6)]
    assert [row["INTERNAL-IP"] for row in listed] == [demonstrator.controller.replace(".20", f".3{i}") for i in range(1, 6)]
    pods = kubectl.rows("get", "pods", "-o", "wide")
    assert {row["NAME"] for row in pods} == set(demonstrator.pods())
    for row in pods:
        assert (row["READY"], row["STATUS"]) == ("1/1", "Running"), row
        assert row["NODE"] == demonstrator.node_of(row["NAME"])
        assert row["IP"] == demonstrator.pods()[row["NAME"]]["status"]["podIP"]
    both = kubectl("get", "rc,svc")
    assert "replicationcontroller/inaetics-queue-controller" in both and "service/kubernetes" in both


def test_describe_tells_the_whole_of_a_pod_a_controller_and_a_node(demonstrator, kubectl):
    queue = demonstrator.part("queue")
    text = kubectl("describe", "pod", queue)
    for words in (f"Node:         {demonstrator.node_of(queue)}/", "Status:       Running", "inaetics-queue-controller",
                  "ClaimName:   queue", "Successfully assigned", "Started container"):
        assert words in text, text
    text = kubectl("describe", "rc", "inaetics-queue-controller")
    assert "1 Running / 0 Waiting" in text and f"Created pod: {queue}" in text, text
    text = kubectl("describe", "node", demonstrator.node_of(queue))
    assert queue in text and "Starting" in text.split("Events:")[1], text


def test_top_and_events_answer(demonstrator, kubectl):
    def used():
        result = kubectl.run("top", "pods", "--no-headers", check=False)
        return result.returncode == 0 and {line.split()[0] for line in result.stdout.splitlines()} >= set(demonstrator.pods())
    wait_for(used, "every pod is measured")
    assert len(kubectl("top", "nodes", "--no-headers").splitlines()) == 5
    assert f"pod/{demonstrator.part('queue')}" in kubectl("get", "events")


# -- the original's scenario


def test_the_queue_is_deleted_and_its_replacement_goes_on(demonstrator, kubectl):
    queue = demonstrator.part("queue")
    with kubectl.running("get", "pods", "-w") as lines:
        wait_for(lambda: any(queue in line for line in lines), "the watch lists what is there")
        assert kubectl("delete", "pod", queue) == f'pod "{queue}" deleted\n'
        another = wait_for(lambda: [one for one in demonstrator.parts("queue") if one != queue], "its replacement")[0]
        wait_for(lambda: any(re.search(f"^{another} +1/1 +Running", line) for line in lines), "the watch tells of it")
        assert any(re.search(f"^{queue} .* Terminating", line) for line in lines), lines
    flows(demonstrator, "through the new queue")


def test_a_controller_is_scaled(demonstrator, kubectl):
    kubectl("scale", "rc", "inaetics-coordinator-controller", "--replicas=0")  # else it says how many there are
    wait_for(lambda: not demonstrator.parts("coordinator"), "the coordinator is gone")
    assert "scaled" in kubectl("scale", "rc", "inaetics-processor-controller", "--replicas=3")
    wait_for(lambda: len(demonstrator.parts("processor")) == 3, "three processors")
    row = wait_for(lambda: [one for one in kubectl.rows("get", "rc", "inaetics-processor-controller")
                            if one["READY"] == "3"], "all are ready")[0]
    assert (row["DESIRED"], row["CURRENT"]) == ("3", "3")
    refused = kubectl.run("scale", "rc", "inaetics-processor-controller", "--replicas=1", "--current-replicas=7", check=False)
    assert refused.returncode == 1 and "Expected replicas to be 7, was 3" in refused.stderr


def test_a_node_is_cordoned_drained_and_uncordoned(demonstrator, kubectl):
    node = demonstrator.node_of(demonstrator.part("queue"))
    kubectl("cordon", node)
    assert {row["NAME"]: row["STATUS"] for row in kubectl.rows("get", "nodes")}[node] == "Ready,SchedulingDisabled"
    assert "evicting pod" in kubectl.run("drain", node, "--ignore-daemonsets", "--delete-emptydir-data", timeout=180).stdout
    settled(demonstrator)
    assert all(pod["spec"]["nodeName"] != node for pod in demonstrator.pods().values())
    kubectl("uncordon", node)
    assert {row["NAME"]: row["STATUS"] for row in kubectl.rows("get", "nodes")}[node] == "Ready"
    flows(demonstrator, "after the drain")


def test_logs_are_shown_followed_cut_and_kept_from_the_run_before(empty):
    kubectl, instance = empty
    instance.pod("clock", "i=0; while :; do i=$((i+1)); echo line $i; sleep 0.2; done")
    instance.wait_running("clock")
    with kubectl.running("logs", "-f", "clock") as lines:
        wait_for(lambda: len(lines) > 5, "more lines as they are written")
        assert lines[:3] == ["line 1\n", "line 2\n", "line 3\n"]
    assert len(kubectl("logs", "--tail", 2, "clock").splitlines()) == 2
    assert re.match(r"\d{4}-\d\d-\d\dT\S+Z line 1\n", kubectl("logs", "--timestamps", "clock"))
    instance.cli("kill", "clock")
    wait_for(lambda: instance.container("clock")["restartCount"] == 1, "it was started again")
    assert kubectl("logs", "--previous", "clock").startswith("line 1\n")
    assert "not found" in kubectl.run("logs", "nobody", check=False).stderr
    assert "WebSocket" in kubectl.run("exec", "clock", "--", "true", check=False).stderr


# -- manifests as users have them

SERVER = """
import http.server, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        text = f"{os.environ['GREETING']} from {os.environ['POD']} on {os.environ['NODE']}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)
http.server.ThreadingHTTPServer((os.environ["ADDRESS"], int(os.environ["PORT"])), Handler).serve_forever()
"""


def application(replicas, greeting, ports):
    """As the original's manifests are written: everything but the image is what Kubernetes 1.0 took, too."""
    inside, outside = ports
    indented = SERVER.replace("\n", "\n              ")
    return f"""
apiVersion: v1
kind: ReplicationController
metadata:
  name: web-controller
  labels:
    name: web
spec:
  replicas: {replicas}
  selector:
    name: web-pod
  template:
    metadata:
      labels:
        name: web-pod
    spec:
      volumes:
        - name: inaetics-config
          hostPath:
            path: /etc
      containers:
        - name: web-container
          image: inaetics/shell
          imagePullPolicy: Always
          command: ["/usr/bin/python3", "-c"]
          args:
            - |{indented}
          ports:
            - name: http
              containerPort: 8080
              protocol: TCP
          env:
            - name: GREETING
              value: "{greeting}"
            - name: PORT
              value: $(PORT_HTTP)
            - name: POD
              valueFrom:
                fieldRef:
                  fieldPath: metadata.name
            - name: ADDRESS
              valueFrom:
                fieldRef:
                  fieldPath: status.podIP
            - name: NODE
              valueFrom:
                fieldRef:
                  fieldPath: spec.nodeName
          resources:
            requests:
              cpu: 50m
            limits:
              cpu: 500m
              memory: 300Mi
          volumeMounts:
            - name: inaetics-config
              mountPath: /tmp/conf
          livenessProbe:
            exec:
              command: ["cat", "/etc/passwd"]
            initialDelaySeconds: 10
            timeoutSeconds: 10
          readinessProbe:
            httpGet:
              path: /
              port: 8080
            periodSeconds: 1
            timeoutSeconds: 10
---
apiVersion: v1
kind: Service
metadata:
  name: web-service
  labels:
    name: web
spec:
  type: NodePort
  ports:
    - port: {inside}
      targetPort: 8080
      nodePort: {outside}
      protocol: TCP
  selector:
    name: web-pod
"""


def service_ports():
    """The original's 80 and 90, where this user may listen there."""
    first = int(pathlib.Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text(encoding="utf-8"))
    return (80, 90) if os.geteuid() == 0 or first <= 80 else (8000, 30090)


def fetch(address, port):
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"http://{address}:{port}/", timeout=10) as answer:
            return answer.read().decode()
    except OSError:
        return ""


def test_a_controller_and_a_service_are_created_as_they_are_and_reached_by_node_port_and_cluster_address(empty):
    kubectl, instance = empty
    ports = service_ports()
    assert kubectl("create", "-f", "-", stdin=application(2, "hello", ports)) == \
        "replicationcontroller/web-controller created\nservice/web-service created\n"
    wait_for(lambda: kubectl.rows("get", "rc", "web-controller")[0]["READY"] == "2", "both are ready")
    address = kubectl("get", "service", "web-service", "-o", "jsonpath={.spec.clusterIP}")
    pods = {row["NAME"] for row in kubectl.rows("get", "pods", "-l", "name=web-pod")}
    seen = set()

    def both():
        answer = fetch(address, ports[0])
        seen.update(name for name in pods if answer.startswith(f"hello from {name} on node-"))
        return seen == pods
    wait_for(both, f"both pods answer at {address}")
    for i in range(1, 6):
        wait_for(lambda: "hello from web-" in fetch(instance.controller.replace(".20", f".3{i}"), ports[1]),
                 f"node-{i} offers it at port {ports[1]}")
    assert kubectl("delete", "-f", "-", stdin=application(2, "hello", ports)) == \
        'replicationcontroller "web-controller" deleted\nservice "web-service" deleted\n'
    wait_for(lambda: not instance.pods(), "the pods go with their controller")
    wait_for(lambda: not fetch(address, ports[0]), "the service is not offered any more")


def test_apply_creates_changes_and_leaves_alone(empty):
    kubectl, instance = empty
    ports = service_ports()
    assert kubectl("apply", "-f", "-", stdin=application(1, "hello", ports)) == \
        "replicationcontroller/web-controller created\nservice/web-service created\n"
    assert kubectl("apply", "-f", "-", stdin=application(1, "hello", ports)) == \
        "replicationcontroller/web-controller unchanged\nservice/web-service unchanged\n"
    kubectl("label", "rc", "web-controller", "mine=yes")
    changed = application(2, "good morning", ports)
    assert "replicationcontroller/web-controller configured" in kubectl("apply", "-f", "-", stdin=changed)
    wait_for(lambda: kubectl.rows("get", "rc", "web-controller")[0]["READY"] == "2", "both are ready")
    controller = instance.api("GET", "/api/v1/namespaces/default/replicationcontrollers/web-controller")[1]
    assert controller["metadata"]["labels"] == {"name": "web", "mine": "yes"}
    environment = controller["spec"]["template"]["spec"]["containers"][0]["env"]
    assert environment[0] == {"name": "GREETING", "value": "good morning"} and len(environment) == 5
    wrong = changed.replace("containerPort: 8080", "containerPort: 99999")
    refused = kubectl.run("apply", "-f", "-", stdin=wrong, check=False)
    assert refused.returncode == 1 and "containerPort: Invalid value: 99999" in refused.stderr


def test_a_deployment_rolls_out_a_change_and_back(empty):
    kubectl, instance = empty

    def deployment(word):
        return json.dumps({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
            "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"terminationGracePeriodSeconds": 1, "containers": [
                    {"name": "main", "image": "inaetics/shell", "command": ["/bin/sh", "-c", f"echo {word}; exec sleep 1000"]}
                ]}}}})

    def says(word):
        return all(kubectl.run("logs", name, check=False).stdout == f"{word}\n" for name in instance.pods()) or None

    kubectl("apply", "-f", "-", stdin=deployment("first"))
    assert "successfully rolled out" in kubectl("rollout", "status", "deployment/web", timeout=120)
    kubectl("apply", "-f", "-", stdin=deployment("second"))
    assert "successfully rolled out" in kubectl("rollout", "status", "deployment/web", timeout=120)
    wait_for(lambda: len(instance.pods()) == 2 and says("second"), "only the second version runs")
    assert len(kubectl("rollout", "history", "deployment/web").strip().splitlines()) == 4
    kubectl("rollout", "undo", "deployment/web")
    assert "successfully rolled out" in kubectl("rollout", "status", "deployment/web", timeout=120)
    wait_for(lambda: len(instance.pods()) == 2 and says("first"), "the first version is back")
    kubectl("delete", "deployment", "web")
    wait_for(lambda: not instance.pods(), "its pods are gone")


# -- a client library


def test_the_library_lists_patches_creates_deletes_and_is_refused(library):
    api, instance = library
    core = client.CoreV1Api(api)
    assert [node.metadata.name for node in core.list_node().items] == [f"node-{i}" for i in range(1, 6)]
    controller = yaml.safe_load(application(1, "hello", service_ports()).split("\n---\n")[0])
    core.create_namespaced_replication_controller("default", controller)
    core.patch_namespaced_replication_controller_scale("web-controller", "default", {"spec": {"replicas": 2}})
    assert core.read_namespaced_replication_controller_scale("web-controller", "default").spec.replicas == 2
    wait_for(lambda: core.read_namespaced_replication_controller("web-controller", "default").status.ready_replicas == 2,
             "two are ready")
    assert len(core.list_namespaced_pod("default", label_selector="name=web-pod").items) == 2
    with pytest.raises(ApiException) as refused:
        core.create_namespaced_replication_controller("default", controller)
    assert refused.value.status == 409 and json.loads(refused.value.body)["reason"] == "AlreadyExists"
    core.delete_namespaced_replication_controller("web-controller", "default", propagation_policy="Background")
    wait_for(lambda: not instance.pods(), "the pods go with it")
    with pytest.raises(ApiException) as missing:
        core.read_namespaced_replication_controller("web-controller", "default")
    assert missing.value.status == 404


def test_the_library_watches_a_pod_from_its_creation_to_its_end(library):
    api, instance = library
    core = client.CoreV1Api(api)
    version = core.list_namespaced_pod("default").metadata.resource_version
    instance.pod("short", "echo here", spec={"restartPolicy": "Never"})
    seen = []
    for event in watch.Watch().stream(core.list_namespaced_pod, "default", resource_version=version, timeout_seconds=PATIENCE):
        seen.append((event["type"], event["object"].status.phase))
        if event["object"].status.phase == "Succeeded":
            break
    assert seen[0] == ("ADDED", "Pending") and seen[-1] == ("MODIFIED", "Succeeded"), seen
    assert core.read_namespaced_pod_log("short", "default") == "here\n"


def test_the_library_runs_commands_in_a_container(library):
    api, instance = library
    core = client.CoreV1Api(api)
    instance.pod("box", "exec sleep 1000")
    instance.wait_running("box")
    assert stream(core.connect_get_namespaced_pod_exec, "box", "default", command=["/bin/sh", "-c", "echo $INAETICS_POD; pwd >&2"],
                  stdout=True, stderr=False, stdin=False, tty=False) == "box\n"
    session = stream(core.connect_get_namespaced_pod_exec, "box", "default", command=["/bin/sh"],
                     stdout=True, stderr=True, stdin=True, tty=False, _preload_content=False)
    session.write_stdin("echo out; echo err >&2; exit 3\n")
    session.run_forever(timeout=PATIENCE)
    assert (session.read_stdout(), session.read_stderr(), session.returncode) == ("out\n", "err\n", 3)


class Informer(threading.Thread):
    """As informers do it: list, then watch from there; when that breaks, watch on from the last version that was seen."""

    def __init__(self, core):
        super().__init__(daemon=True)
        self.core = core
        self.events = []
        self.breaks = self.relists = 0
        self.ended = threading.Event()
        self.version = core.list_namespaced_config_map("default").metadata.resource_version

    def run(self):
        while not self.ended.is_set():
            watching = watch.Watch()
            watching.resource_version = self.version
            try:
                for event in watching.stream(self.core.list_namespaced_config_map, "default", resource_version=self.version,
                                             timeout_seconds=5, _request_timeout=(2, 10)):
                    self.version = event["object"].metadata.resource_version
                    self.events.append((event["type"], event["object"].metadata.name))
            except ApiException as error:
                self.relists += error.status == 410
                self.breaks += 1
            except Exception:  # whatever the library makes of a connection that breaks
                self.breaks += 1
            time.sleep(0.05)


def persistently(call, *arguments):
    """Until the server has answered; what an earlier try did already is done."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return call(*arguments)
        except ApiException as error:
            if error.status == 409:
                return None
            problem = error
        except Exception as error:  # the connection broke, or was refused
            problem = error
        assert time.monotonic() < deadline, problem
        time.sleep(0.05)


def test_an_informer_misses_nothing_while_the_control_plane_is_killed(library):
    api, instance = library
    core = client.CoreV1Api(api)
    informer = Informer(core)
    informer.start()
    names = [f"map-{i:03}" for i in range(200)]
    maker = client.CoreV1Api(config.new_client_from_config(str(instance.data / "kubeconfig")))
    for i, name in enumerate(names):
        if i in (40, 100, 160):
            pid = instance.state()["controlPlane"]["pid"]
            os.kill(pid, signal.SIGKILL)
        persistently(maker.create_namespaced_config_map, "default", {"metadata": {"name": name}, "data": {"i": str(i)}})
    try:
        wait_for(lambda: len([one for one in informer.events if one[0] == "ADDED"]) >= len(names), "an event for each")
    finally:
        informer.ended.set()
        informer.join(PATIENCE)
    assert [name for kind, name in informer.events if kind == "ADDED"] == names
    assert informer.breaks >= 3, "the watch was never broken"
    assert informer.relists == 0
