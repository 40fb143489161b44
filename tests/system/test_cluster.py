"""The whole cluster: five nodes with the demonstrator on them; what happens when parts, nodes and the controller fail."""

import json
import os
import signal
import time

from conftest import wait_for
from dashboard import cookie, post
from whole import flows, nodes, settled


def restarts(instance):
    """How often the parts were started again where they are."""
    return {name: instance.container(name)["restartCount"] for name in instance.pods()}


def events(instance, reason):
    return [one for one in instance.api("GET", "/api/v1/events")[1]["items"] if one["reason"] == reason]


def test_five_nodes_are_ready_and_the_pods_are_spread_over_them(demonstrator):
    wait_for(lambda: list(nodes(demonstrator).values()) == [True] * 5, "five nodes are ready")
    settled(demonstrator)
    used = {pod["spec"]["nodeName"] for pod in demonstrator.pods().values()}
    assert len(used) >= 4, used


def test_a_deleted_pod_is_replaced(demonstrator):
    settled(demonstrator)
    name = demonstrator.part("processor")
    demonstrator.delete(name)
    wait_for(lambda: name not in demonstrator.pods() and name not in settled(demonstrator), "another one is there")
    flows(demonstrator, "by the new one")


def test_the_pods_of_a_halted_node_are_replaced_and_the_node_comes_back(demonstrator):
    settled(demonstrator)
    queue = demonstrator.part("queue")
    node = demonstrator.node_of(queue)
    demonstrator.cli("node", "halt", node)
    wait_for(lambda: nodes(demonstrator)[node] is False, f"{node} is not ready")
    wait_for(lambda: queue not in demonstrator.pods(), "its pods are gone")
    settled(demonstrator)
    assert all(pod["spec"]["nodeName"] != node for pod in demonstrator.pods().values())
    flows(demonstrator, "without the node")
    assert events(demonstrator, "NodeNotReady")
    demonstrator.cli("node", "start", node)
    wait_for(lambda: nodes(demonstrator)[node], f"{node} is ready again")


def test_a_frozen_node_loses_its_pods_and_ends_them_when_it_is_thawed(demonstrator):
    settled(demonstrator)
    store = demonstrator.part("store")
    node = demonstrator.node_of(store)
    demonstrator.cli("node", "freeze", node)
    wait_for(lambda: store not in demonstrator.pods(), "its pods are replaced")
    settled(demonstrator)
    flows(demonstrator, "by another store on the same volume")
    demonstrator.cli("node", "thaw", node)
    wait_for(lambda: nodes(demonstrator)[node], f"{node} is ready again")
    wait_for(lambda: events(demonstrator, "NodeReady"), "which is told")
    wait_for(lambda: not [one for one in processes(demonstrator, node) if one["pod"] == store], "the old store has ended")
    flows(demonstrator, "after the thaw")


def processes(instance, node):
    return json.loads(instance.cli("node", "ps", node, "--json").stdout)


def test_a_control_plane_that_is_killed_is_back_and_no_pod_is_replaced(demonstrator):
    before, runs = settled(demonstrator), restarts(demonstrator)
    os.kill(demonstrator.state()["controlPlane"]["pid"], signal.SIGKILL)
    wait_for(lambda: "inaetics-control-plane ended" in demonstrator.output(), "up says so")
    wait_for(lambda: demonstrator.cli("pods", check=False).returncode == 0, "the API answers again")
    flows(demonstrator, "all the time")
    time.sleep(5)  # more than the silence that a node may keep
    assert settled(demonstrator) == before and restarts(demonstrator) == runs


def test_a_control_plane_that_hangs_is_started_again(demonstrator):
    before = settled(demonstrator)
    first = demonstrator.state()["controlPlane"]["pid"]
    os.kill(first, signal.SIGSTOP)
    wait_for(lambda: "does not answer" in demonstrator.output(), "up notices it")
    wait_for(lambda: demonstrator.state()["controlPlane"]["pid"] not in (0, first), "another one is there")
    wait_for(lambda: demonstrator.cli("pods", check=False).returncode == 0, "the API answers again")
    time.sleep(5)
    assert settled(demonstrator) == before


def test_an_etcd_that_is_killed_is_back_and_no_pod_is_replaced(demonstrator):
    before, runs = settled(demonstrator), restarts(demonstrator)
    os.kill(demonstrator.state()["etcd"]["pid"], signal.SIGKILL)
    flows(demonstrator, "all the time")
    time.sleep(5)
    assert settled(demonstrator) == before and restarts(demonstrator) == runs


def test_while_etcd_hangs_no_pod_is_replaced_and_results_go_on(demonstrator):
    before, runs = settled(demonstrator), restarts(demonstrator)
    etcd = demonstrator.state()["etcd"]["pid"]
    os.kill(etcd, signal.SIGSTOP)
    try:
        for _ in range(10):
            flows(demonstrator, "without etcd")
            time.sleep(1)
    finally:
        os.kill(etcd, signal.SIGCONT)
    flows(demonstrator, "with etcd")
    time.sleep(5)
    assert settled(demonstrator) == before and restarts(demonstrator) == runs
    assert list(nodes(demonstrator).values()) == [True] * 5


def test_a_drained_node_is_empty_and_takes_pods_again(demonstrator):
    settled(demonstrator)
    node = demonstrator.node_of(demonstrator.part("processor"))
    assert "is empty" in demonstrator.cli("node", "drain", node, timeout=180).stdout
    settled(demonstrator)
    assert all(pod["spec"]["nodeName"] != node for pod in demonstrator.pods().values())
    demonstrator.cli("node", "uncordon", node)
    flows(demonstrator, "after the drain")


def test_the_coordinator_adds_processors_under_load_and_removes_them_again(demonstrator):
    settled(demonstrator)
    assert len(demonstrator.parts("processor")) == 1
    demonstrator.cli("scale", "producer", 2)
    assert post(demonstrator, "/coordinator/utilisation", {"value": 100}, {"Cookie": cookie(demonstrator)})[0] == 204
    wait_for(lambda: len(demonstrator.parts("processor")) >= 2, "more processors")
    wait_for(lambda: int(demonstrator.call("demonstrator.v1.Queue", "Status").get("size", 0)) < 800, "the queue is in balance")
    assert events(demonstrator, "ScaledUp")
    assert post(demonstrator, "/coordinator/utilisation", {"value": 5}, {"Cookie": cookie(demonstrator)})[0] == 204
    wait_for(lambda: len(demonstrator.parts("processor")) == 1, "one processor is enough again", 180)


APPLICATION = "/apis/inaetics.org/v1/namespaces/default/applications/demonstrator"


def change(instance, *operations):
    """A JSON patch of the application, past the command line; operations: (op, path, value). Returns (status, answer)."""
    patch = [dict(zip(("op", "path", "value"), one)) for one in operations]
    return instance.api("PATCH", APPLICATION, patch, "application/json-patch+json", check=False)


def valid(instance):
    """Condition Valid, once it was said of what is declared now."""
    def look():
        found = instance.api("GET", APPLICATION)[1]
        conditions = {one["type"]: one for one in found.get("status", {}).get("conditions", [])}
        return conditions["Valid"] if conditions.get("Valid", {}).get("observedGeneration") == found["metadata"]["generation"] else None
    return wait_for(look, "the coordinator judged what is declared")


def test_a_refused_component_stays_as_it_was_and_the_others_are_scaled_also_by_the_next_coordinator(demonstrator):
    settled(demonstrator)
    demonstrator.cli("scale", "producer", 2)
    assert valid(demonstrator)["status"] == "True"
    status, answer = change(demonstrator, ("add", "/spec/components/0/replicas", 99))
    assert status == 422 and "spec.components[0].replicas: Invalid value: 99: must be less than or equal to maximum, 4" in answer["message"]
    refused = demonstrator.cli("scale", "producer", 99, check=False)
    assert refused.returncode == 1 and "0 to 4 are allowed" in refused.stderr
    wait_for(lambda: len(demonstrator.parts("producer")) == 2, "two producers")

    assert change(demonstrator, ("add", "/spec/components/0/speed", 7), ("add", "/spec/components/0/replicas", 4))[0] == 200
    condition = valid(demonstrator)
    assert condition["status"] == "False" and condition["reason"] == "Refused"
    assert "spec.components[0]: speed" in condition["message"]
    wait_for(lambda: events(demonstrator, "InvalidApplication"), "an event tells it")
    assert "application demonstrator is refused: spec.components[0]: speed" in demonstrator.cli("scale").stdout
    assert "components[0]: speed" in demonstrator.call("demonstrator.v1.Coordinator", "GetReplicas", {"name": "producer"})["refused"]
    name = demonstrator.part("coordinator")
    starts = demonstrator.container(name)["restartCount"]
    demonstrator.cli("kill", name)
    wait_for(lambda: demonstrator.container(name)["restartCount"] > starts, "it is started again")
    said = demonstrator.cli("scale", "inaetics-producer-controller", 3).stdout
    assert "producer decides how many these are: the coordinator sets it back" in said
    assert post(demonstrator, "/coordinator/utilisation", {"value": 100}, {"Cookie": cookie(demonstrator)})[0] == 204
    wait_for(lambda: len(demonstrator.parts("processor")) >= 2, "more processors")
    wait_for(lambda: len(demonstrator.parts("producer")) == 2, "the producers are as they were accepted")
    assert post(demonstrator, "/coordinator/utilisation", {"value": 5}, {"Cookie": cookie(demonstrator)})[0] == 204
    assert valid(demonstrator)["status"] == "False"
    assert sum(one.get("count", 1) for one in events(demonstrator, "InvalidApplication")) == 1

    assert change(demonstrator, ("remove", "/spec/components/0/speed"), ("add", "/spec/components/0/replicas", 1))[0] == 200
    assert valid(demonstrator)["status"] == "True"
    wait_for(lambda: len(demonstrator.parts("producer")) == 1, "one producer")
    assert "is refused" not in demonstrator.cli("scale").stdout
    wait_for(lambda: len(demonstrator.parts("processor")) == 1, "one processor is enough again", 180)


def test_the_coordinators_death_changes_no_number(demonstrator):
    settled(demonstrator)
    demonstrator.cli("scale", "producer", 3)
    wait_for(lambda: len(demonstrator.parts("producer")) == 3, "three producers")
    before = settled(demonstrator)
    name = demonstrator.part("coordinator")
    starts = demonstrator.container(name)["restartCount"]
    demonstrator.cli("kill", name)
    wait_for(lambda: demonstrator.container(name)["restartCount"] == starts + 1, "it is started again")
    time.sleep(5)
    assert settled(demonstrator) == before


def test_a_command_runs_beside_a_container(demonstrator):
    settled(demonstrator)
    queue = demonstrator.part("queue")

    def run(*command):
        return demonstrator.cli("exec", queue, "--", *command, check=False)

    assert run("sh", "-c", "echo $INAETICS_CONTAINER").stdout == "inaetics-queue-container\n"
    told = run("sh", "-c", "echo out; echo err >&2; exit 7")
    assert (told.stdout, told.stderr, told.returncode) == ("out\n", "err\n", 7)
    assert run("no-such-program").returncode != 0
    assert "there is no pod nobody" in demonstrator.cli("exec", "nobody", "ls", check=False).stderr


def test_a_pod_that_was_not_given_the_token_can_do_nothing_to_machines(demonstrator):
    settled(demonstrator)
    told = demonstrator.cli("exec", demonstrator.part("queue"), "--", "sh", "-c",
                            "cat $INAETICS_MACHINES/../machine.token; "
                            "curl -sS --unix-socket $INAETICS_MACHINES -X POST http://localhost/nodes/node-1/halt", check=False)
    assert "Unauthorized" in told.stdout, told
    assert (demonstrator.data / "machine.token").read_text().strip() not in told.stdout
    assert all(nodes(demonstrator).values())
