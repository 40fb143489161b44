"""Nodes: pods as the API says, kept alive, shown, steered, and ended when they are."""

import base64
import json
import os
import signal
import socket
import ssl
import struct
import subprocess
import time
import urllib.parse
import urllib.request

import pytest

from conftest import INAETICS, manifest, wait_for


@pytest.fixture
def node(instance):
    return instance.start()


def exists(instance, pod):
    """Also while it is being deleted."""
    return instance.api("GET", f"/api/v1/namespaces/default/pods/{pod}", check=False)[0] == 200


def events(instance, pod):
    return [(one["reason"], one["message"]) for one in instance.api("GET", "/api/v1/namespaces/default/events")[1]["items"]
            if one["involvedObject"]["name"] == pod]


def restarts(instance, pod):
    return (instance.container(pod) or {}).get("restartCount", 0)


# -- environment ---------------------------------------------------------------


def environment_of(instance, pod):
    text = wait_for(lambda: instance.logs(pod) if "=== end" in instance.logs(pod) else None, "the pod printed")
    return dict(line.split("=", 1) for line in text.split("=== end")[0].splitlines())


def test_a_pod_gets_the_environment_of_an_agent(node):
    node.pod("one", "env; echo === end; sleep 1000",
             env=[{"name": "HERE", "value": "at $(INAETICS_ADDRESS), $$(HERE) and $(NOT_SET)"},
                  {"name": "MY_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                  {"name": "AGAIN", "value": "$(MY_NAME)!"}],
             ports=[{"name": "my-http", "containerPort": 8080, "hostPort": 8080}],
             volumeMounts=[{"name": "my-data", "mountPath": "/data"}, {"name": "scratch", "mountPath": "/scratch"}],
             spec={"volumes": [{"name": "my-data", "hostPath": {"path": "volumes/mine", "type": "DirectoryOrCreate"}},
                               {"name": "scratch", "emptyDir": {}}]})
    seen = environment_of(node, "one")
    pod = node.pods()["one"]
    assert seen["INAETICS_ADDRESS"] == pod["status"]["podIP"]
    assert seen["INAETICS_ADDRESS"].startswith(f"127.{1 + 20 * node.number}.")
    assert seen["INAETICS_AGENT_ID"].startswith("one-") and len(seen["INAETICS_AGENT_ID"]) == len("one-") + 8
    assert seen["INAETICS_ETCD"] == f"https://{node.controller}:2379"
    assert seen["INAETICS_LISTEN"] == f"127.0.0.1:{8080 + node.number}"
    assert seen["PORT_MY_HTTP"] == "8080"
    assert seen["INAETICS_CACHE"] == seen["PWD"] and pod["metadata"]["uid"] in seen["PWD"]
    assert seen["VOLUME_MY_DATA"] == str(node.data / "volumes" / "mine")
    assert os.path.isdir(seen["VOLUME_MY_DATA"]) and os.path.isdir(seen["VOLUME_SCRATCH"])
    for name in ("INAETICS_PKI", "INAETICS_TOKEN_FILE", "INAETICS_SESSION_FILE"):
        assert os.path.exists(seen[name]), name
    assert seen["HERE"] == f"at {pod['status']['podIP']}, $(HERE) and $(NOT_SET)"
    assert seen["AGAIN"] == "one!"
    assert seen["KUBERNETES_SERVICE_HOST"] == f"127.{3 + 20 * node.number}.0.1"
    account = seen["INAETICS_SERVICE_ACCOUNT"]
    assert open(f"{account}/namespace", encoding="utf-8").read() == "default"
    assert open(f"{account}/token", encoding="utf-8").read().count(".") == 2
    assert "INAETICS_PART_OF" not in seen, "nothing of the node's own environment is handed on"
    node.delete("one")
    wait_for(lambda: not exists(node, "one"), "the pod goes")
    wait_for(lambda: not os.path.exists(seen["VOLUME_SCRATCH"]), "its scratch volume goes with it")
    assert os.path.isdir(seen["VOLUME_MY_DATA"])


def test_an_agent_id_is_fresh_at_each_start(node):
    node.pod("one", "echo id $INAETICS_AGENT_ID; sleep 1000")
    first = wait_for(lambda: node.logs("one"), "it prints its id")
    node.cli("kill", "one")
    second = wait_for(lambda: node.logs("one") if restarts(node, "one") == 1 else None, "it prints its id again")
    assert first.startswith("id one-") and second.startswith("id one-") and first != second


def test_pods_have_addresses_of_their_own_and_get_no_privileges(node):
    for i in range(3):
        node.pod(f"p{i}", "grep NoNewPrivs /proc/self/status; sleep 1000")
    wait_for(lambda: len({pod["status"].get("podIP") for pod in node.pods().values()} - {None}) == 3, "three addresses")
    wait_for(lambda: "NoNewPrivs:\t1" in node.logs("p0"), "no_new_privs is set")


# -- life ------------------------------------------------------------------------


def test_a_container_that_ends_is_started_again_after_growing_pauses(node):
    node.pod("crash", "date +%s.%N; exit 7")
    wait_for(lambda: restarts(node, "crash") >= 4, "four restarts")
    status = node.container("crash")
    assert status["lastState"]["terminated"]["exitCode"] == 7
    state = status["state"]
    assert "waiting" not in state or state["waiting"]["reason"] == "CrashLoopBackOff"
    runs = (node.data / "logs").rglob("default_crash_*/main.log*")
    starts = sorted(float(line.split()[1]) for path in runs for line in path.read_text().splitlines()
                    if line.split()[1][0] in "0123456789")
    wait_for(lambda: "BackOff" in [reason for reason, _ in events(node, "crash")], "an event of it")
    pauses = [b - a for a, b in zip(starts, starts[1:])]
    # 0.1 s, 0.2 s, 0.4 s ...: never shorter, however busy the machine is.
    assert all(pause >= 0.09 * 2 ** i for i, pause in enumerate(pauses)), pauses


def test_the_restart_policy_decides_who_is_started_again(node):
    node.pod("never", "exit 1", spec={"restartPolicy": "Never"})
    node.pod("good", "exit 0", spec={"restartPolicy": "OnFailure"})
    node.pod("bad", "exit 1", spec={"restartPolicy": "OnFailure"})
    wait_for(lambda: restarts(node, "bad") >= 2, "the one that fails is started again")
    pods = node.pods()
    assert pods["never"]["status"]["phase"] == "Failed"
    assert pods["good"]["status"]["phase"] == "Succeeded"
    for name in ("never", "good"):
        assert restarts(node, name) == 0
        assert "terminated" in node.container(name)["state"]


def test_kill_ends_a_pod_at_once_and_it_is_back_without_growing_pauses(node):
    node.pod("victim", "trap '' TERM; setsid sleep 1000 & sleep 1000", spec={"terminationGracePeriodSeconds": 1})
    pid = node.running_pid("victim")
    for count in range(1, 6):
        began = time.monotonic()
        node.cli("kill", "victim")
        pid = wait_for(lambda: (p := node.pid("victim")) != pid and p, "it runs again with another pid")
        assert restarts(node, "victim") == count
        if time.monotonic() - began < 1:
            break
    else:
        pytest.fail("each restart took longer than a second")
    assert node.container("victim")["lastState"]["terminated"]["signal"] == signal.SIGKILL
    wait_for(lambda: sum("sleep 1000" in c for c in node.processes().values()) <= 4, "what the killed ones started is gone")


def test_a_process_killed_from_outside_is_started_again(node):
    node.pod("victim", "sleep 1000")
    pid = node.running_pid("victim")
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: (p := node.pid("victim")) and p != pid, "it runs again")
    assert "signal 9" in node.logs("victim", "--previous")


def test_a_deleted_pod_is_asked_to_end_and_killed_after_its_grace_period(node):
    folder = {"volumes": [{"name": "said", "hostPath": {"path": "volumes/said", "type": "DirectoryOrCreate"}}]}
    folder["terminationGracePeriodSeconds"] = 60
    node.pod("polite", "trap 'echo bye >>$(VOLUME_SAID)/text; exit 0' TERM; echo set; while :; do sleep 0.1; done", spec=folder,
             volumeMounts=[{"name": "said", "mountPath": "/said"}])
    node.pod("stubborn", "trap '' TERM; echo set; while :; do sleep 0.1; done", spec={"terminationGracePeriodSeconds": 1})
    for name in ("polite", "stubborn"):
        wait_for(lambda n=name: node.logs(n) == "set\n", "its shell has set its trap")
    began = time.monotonic()
    for name in ("polite", "stubborn"):
        node.delete(name)
    wait_for(lambda: not exists(node, "polite") and not exists(node, "stubborn"), "both go")
    assert time.monotonic() - began >= 1, "it is there until its processes have ended"
    assert (node.data / "volumes" / "said" / "text").read_text() == "bye\n"
    wait_for(lambda: ("Killing", "Stopping container main") in events(node, "polite"), "an event of it")


def test_a_pod_that_is_gone_from_the_api_is_killed_at_once(node):
    node.pod("forgotten", "trap '' TERM; while :; do sleep 0.1; done", spec={"terminationGracePeriodSeconds": 600})
    pid = node.running_pid("forgotten")
    node.api("DELETE", "/api/v1/namespaces/default/pods/forgotten", {"gracePeriodSeconds": 0})
    wait_for(lambda: not os.path.exists(f"/proc/{pid}"), "its process is gone")


def test_an_image_that_is_not_there_is_told_with_where_it_was_looked_for(node):
    node.pod("lost", "", command=["/nowhere/to/be/found"])
    node.pod("image", "", image="nobody/knows:1.2")
    wait_for(lambda: (node.container("image") or {}).get("state", {}).get("waiting", {}).get("reason") == "ImagePullBackOff",
             "it is tried again")
    assert "nobody/knows/1.2/image.json" in node.container("image")["state"]["waiting"]["message"]
    assert restarts(node, "image") == 0 and node.pods()["image"]["status"]["phase"] == "Pending"
    wait_for(lambda: "/nowhere/to/be/found" in json.dumps(node.container("lost") or {}), "the status says what is missing")
    wait_for(lambda: restarts(node, "lost") >= 1, "it is tried again")
    assert node.container("lost")["lastState"]["terminated"]["reason"] == "StartError"


def test_init_containers_run_one_after_the_other_before_the_others(node):
    folder = [{"name": "shared", "mountPath": "/shared"}]
    first = {"name": "first", "image": "inaetics/shell", "command": ["sh", "-c", "sleep 0.5; echo 1 >>$(VOLUME_SHARED)/order"],
             "volumeMounts": folder}
    second = {**first, "name": "second", "command": ["sh", "-c", "echo 2 >>$(VOLUME_SHARED)/order"]}
    node.pod("staged", "cat $(VOLUME_SHARED)/order; sleep 1000", volumeMounts=folder,
             spec={"initContainers": [first, second], "volumes": [{"name": "shared", "emptyDir": {}}]})
    node.pod("stuck", "sleep 1000", spec={"restartPolicy": "Never", "initContainers": [
        {"name": "bad", "image": "inaetics/shell", "command": ["sh", "-c", "exit 1"]}]})
    wait_for(lambda: node.logs("staged") == "1\n2\n", "both have run, in their order")
    wait_for(lambda: node.pods()["stuck"]["status"]["phase"] == "Failed", "a failed one fails the pod")
    assert "waiting" in node.container("stuck")["state"]


def test_a_node_that_is_started_again_starts_its_pods_again(node):
    node.pod("one", "echo run; echo x >>$(VOLUME_SCRATCH)/runs; sleep 1000",
             volumeMounts=[{"name": "scratch", "mountPath": "/scratch"}],
             spec={"volumes": [{"name": "scratch", "emptyDir": {}}]})
    node.wait_running("one")
    before, where = node.pods()["one"], node.node_of("one")
    os.kill(next(one["pid"] for one in node.machines() if one["name"] == where), signal.SIGKILL)
    wait_for(lambda: restarts(node, "one") == 1 and "running" in node.container("one")["state"], "it runs again")
    after = node.pods()["one"]
    assert after["metadata"]["uid"] == before["metadata"]["uid"] and after["status"]["podIP"] == before["status"]["podIP"]
    assert "run" in node.logs("one", "--previous")
    runs = next((node.data / "nodes").rglob("scratch/runs"))
    wait_for(lambda: runs.read_text() == "x\nx\n", "its scratch volume is the same")


def test_files_of_the_downward_api_follow_labels_and_annotations(node):
    told = manifest("told", "while :; do echo labels $(cat $VOLUME_ABOUT/..data/labels | tr '\\n' ' ') note $(cat $VOLUME_ABOUT/note) $COLOUR; sleep 0.05; done",
             env=[{"name": "COLOUR", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['colour']"}}}],
             volumeMounts=[{"name": "about", "mountPath": "/about"}],
             spec={"volumes": [{"name": "about", "downwardAPI": {"items": [
                 {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}},
                 {"path": "note", "fieldRef": {"fieldPath": "metadata.annotations['note']"}}]}}]})
    told["metadata"]["labels"] = {"app": "told", "colour": "red"}
    node.create(told)
    wait_for(lambda: 'app="told" colour="red" note red\n' in node.logs("told"), "it reads them")
    node.api("PATCH", "/api/v1/namespaces/default/pods/told", {"metadata": {"labels": {"colour": "blue"}, "annotations": {"note": "mind"}}},
             "application/merge-patch+json")
    wait_for(lambda: 'app="told" colour="blue" note mind red\n' in node.logs("told"), "it reads what is new; variables stay")
    node.api("PATCH", "/api/v1/namespaces/default/pods/told", {"metadata": {"annotations": {"note": None}}}, "application/merge-patch+json")
    wait_for(lambda: node.logs("told").splitlines()[-1].endswith('colour="blue" note red'), "what is taken away is gone")
    node.cli("kill", "told")
    wait_for(lambda: 'colour="blue" note blue\n' in node.logs("told"), "variables are those of the start")


def test_a_container_above_its_memory_limit_is_killed(node):
    node.pod("greedy", "", command=["/usr/bin/python3", "-c", "import time; x = bytearray(80 << 20); time.sleep(1000)"],
             resources={"limits": {"memory": "40Mi"}})
    wait_for(lambda: restarts(node, "greedy") >= 1, "it is started again")
    assert node.container("greedy")["lastState"]["terminated"]["reason"] == "OOMKilled"


# -- what pods refer to --------------------------------------------------------------


def test_config_maps_and_secrets_come_as_variables_and_as_files(node):
    node.pod("reader", "env; cat $(VOLUME_WORDS)/sub/greeting $(VOLUME_KEYS)/password $(VOLUME_ABOUT)/name; "
                       "echo; echo === end; sleep 1000",
             env=[{"name": "GREETING", "valueFrom": {"configMapKeyRef": {"name": "words", "key": "greeting"}}},
                  {"name": "OPTIONAL", "valueFrom": {"configMapKeyRef": {"name": "none", "key": "x", "optional": True}}},
                  {"name": "MEMORY", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}}}],
             envFrom=[{"prefix": "S_", "secretRef": {"name": "keys"}}], resources={"limits": {"memory": "64Mi"}},
             volumeMounts=[{"name": name, "mountPath": f"/{name}"} for name in ("words", "keys", "about")],
             spec={"volumes": [
                 {"name": "words", "configMap": {"name": "words", "items": [{"key": "greeting", "path": "sub/greeting"}]}},
                 {"name": "keys", "secret": {"secretName": "keys"}},
                 {"name": "about", "downwardAPI": {"items": [
                     {"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}]}}]})
    wait_for(lambda: any(reason == "FailedMount" and '"words" not found' in message for reason, message in events(node, "reader")),
             "an event says what is missing")
    assert node.pods()["reader"]["status"]["phase"] == "Pending"
    node.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "words"}, "data": {"greeting": "hello"}})
    node.create({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"},
                 "data": {"password": base64.b64encode(b"secret").decode()}})
    text = wait_for(lambda: node.logs("reader") if "=== end" in node.logs("reader") else None, "the pod printed")
    lines = text.splitlines()
    assert {"GREETING=hello", "S_password=secret", "MEMORY=64"} <= set(lines)
    assert not any(line.startswith("OPTIONAL=") for line in lines)
    assert "hellosecretreader" in lines


def test_files_of_config_maps_and_secrets_follow_their_objects_all_at_once(node):
    node.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "words"}, "data": {"one": "1", "two": "1", "old": "x"}})
    node.create({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}, "data": {"key": base64.b64encode(b"first").decode()}})
    # It compares the two, which are always of the same version; while it looks, they may go together.
    node.pod("reader", "while :; do cd $VOLUME_WORDS/..data && a=$(cat one 2>/dev/null) b=$(cat two 2>/dev/null); "
                       "[ -z \"$a\" ] || [ -z \"$b\" ] || [ \"$a\" = \"$b\" ] || echo torn; "
                       "echo $(cat $VOLUME_WORDS/one) $(cat $VOLUME_KEYS/key) $WORD $(ls $VOLUME_WORDS | tr '\\n' ,) $(cat $VOLUME_LATE/x 2>/dev/null); "
                       "sleep 0.05; done",
             env=[{"name": "WORD", "valueFrom": {"configMapKeyRef": {"name": "words", "key": "one"}}}],
             volumeMounts=[{"name": name, "mountPath": f"/{name}"} for name in ("words", "keys", "late")],
             spec={"volumes": [{"name": "words", "configMap": {"name": "words"}}, {"name": "keys", "secret": {"secretName": "keys"}},
                               {"name": "late", "configMap": {"name": "late", "optional": True}}]})
    wait_for(lambda: "1 first 1 old,one,two,\n" in node.logs("reader"), "it reads them")
    path = "/api/v1/namespaces/default"
    def change(number):
        node.api("PATCH", f"{path}/configmaps/words", {"data": {"one": number, "two": number, "old": None, "new": ""}},
                 "application/merge-patch+json")
    change("2")
    wait_for(lambda: "2 first 1 new,one,two,\n" in node.logs("reader"), "it reads what is new; variables stay")
    change("3")
    node.api("PATCH", f"{path}/secrets/keys", {"data": {"key": base64.b64encode(b"second").decode()}}, "application/merge-patch+json")
    node.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "late"}, "data": {"x": "come"}})
    wait_for(lambda: "3 second 1 new,one,two, come\n" in node.logs("reader"), "it reads the new key, and what was optional")
    assert "torn" not in node.logs("reader")
    node.cli("kill", "reader")
    wait_for(lambda: "3 second 3 " in node.logs("reader"), "variables are those of the start")
    node.api("DELETE", f"{path}/configmaps/words")
    time.sleep(6)  # for the node to look again
    assert node.logs("reader").splitlines()[-1].startswith("3 second 3 "), "what is gone stays as it was"


def test_a_variable_whose_config_map_is_missing_keeps_the_container_waiting(node):
    node.pod("waits", "echo $WORD; sleep 1000",
             env=[{"name": "WORD", "valueFrom": {"configMapKeyRef": {"name": "late", "key": "word"}}}])
    wait_for(lambda: (node.container("waits") or {}).get("state", {}).get("waiting", {}).get("reason") == "CreateContainerConfigError",
             "the status says so")
    assert 'configmap "late" not found' in node.container("waits")["state"]["waiting"]["message"]
    node.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "late"}, "data": {"word": "here"}})
    wait_for(lambda: node.logs("waits").endswith("here\n"), "it runs")


def has_ended(pid):
    """Though nobody may have waited for it: whoever should is frozen."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def claim(node):
    node.create({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "kept"},
                 "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}})


def claimant(node, name, where):
    node.pod(name, "echo epoch $(EPOCH_DATA); while :; do sleep 0.1; done", spec={
        "nodeName": where, "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "kept"}}]},
        volumeMounts=[{"name": "data", "mountPath": "/data"}])


def test_a_claim_is_taken_from_a_frozen_node_and_not_taken_back(node):
    claim(node)
    claimant(node, "first", "node-1")
    wait_for(lambda: node.logs("first") == "epoch 1\n", "the first has it")
    pid = node.running_pid("first")
    node.cli("node", "freeze", "node-1")
    claimant(node, "second", "node-2")
    wait_for(lambda: node.logs("second") == "epoch 2\n", "the second has it")
    assert has_ended(pid), "what had it"
    pid = node.running_pid("second")
    node.cli("node", "thaw", "node-1")
    time.sleep(5)  # for the thawed node to do what it would
    record = json.loads((node.data / "volumes" / "kept" / ".attachment.json").read_text())
    assert record["epoch"] == 2 and record["node"] == "node-2"
    assert node.pid("second") == pid and restarts(node, "second") == 0


# -- probes ----------------------------------------------------------------------


def quick(**probe):
    """Its time limit is for a busy machine; only what hangs has a short one."""
    return {"periodSeconds": 1, "failureThreshold": 2, "timeoutSeconds": 30, **probe}


def test_a_failing_liveness_command_restarts_the_container(node):
    node.pod("ill", "sleep 1000", livenessProbe=quick(exec={"command": ["/bin/sh", "-c", "exit 3"]}))
    node.pod("well", "sleep 1000", livenessProbe=quick(exec={"command": ["/bin/true"]}))
    wait_for(lambda: restarts(node, "ill") >= 1, "the ill one is started again")
    assert "liveness probe failed" in node.container("ill")["lastState"]["terminated"]["message"]
    assert restarts(node, "well") == 0
    wait_for(lambda: ("Killing", "Container main failed liveness probe, will be restarted") in events(node, "ill"), "an event of it")
    wait_for(lambda: any(reason == "Unhealthy" and message.startswith("Liveness probe failed:")
                         for reason, message in events(node, "ill")), "an event of the probe")


def test_other_probes_wait_for_the_startup_probe(node):
    ready = {"exec": {"command": ["test", "-e", "started"]}}
    node.pod("slow", "rm -f started; sleep 3; touch started; sleep 1000",
             startupProbe={**ready, "periodSeconds": 1, "failureThreshold": 60},
             livenessProbe=quick(exec={"command": ["test", "-e", "started"]}))
    node.pod("never", "sleep 1000", startupProbe=quick(**ready))
    wait_for(lambda: (node.container("slow") or {}).get("ready"), "it is ready once it has started")
    assert restarts(node, "slow") == 0
    wait_for(lambda: restarts(node, "never") >= 1, "one that never starts is started again")


def test_a_ready_container_is_told_within_its_period(node):
    node.pod("soon", "sleep 1; touch there; sleep 1000",
             readinessProbe={"exec": {"command": ["test", "-e", "there"]}, "periodSeconds": 600, "timeoutSeconds": 5})
    wait_for(lambda: (node.container("soon") or {}).get("ready"), "it is ready long before its period")


def test_a_liveness_command_that_hangs_counts_as_failed(node):
    node.pod("hung", "sleep 1000", livenessProbe=quick(exec={"command": ["/bin/sleep", "500"]}, timeoutSeconds=1))
    wait_for(lambda: restarts(node, "hung") >= 1, "it is started again")
    assert "within 1 s" in node.container("hung")["lastState"]["terminated"]["message"]


def test_http_and_tcp_probes_ask_at_the_pods_address(node):
    serve = "exec /usr/bin/python3 -m http.server -b $(INAETICS_ADDRESS) $(PORT_HTTP)"
    ports = [{"name": "http", "containerPort": 8099}]
    patient = {"initialDelaySeconds": 0, "periodSeconds": 1, "failureThreshold": 60, "timeoutSeconds": 5}
    node.pod("http", serve, ports=ports, readinessProbe={"httpGet": {"path": "/", "port": "http"}, **patient})
    node.pod("tcp", serve, ports=ports, readinessProbe={"tcpSocket": {"port": 8099}, **patient})
    node.pod("deaf", "sleep 1000", readinessProbe={"tcpSocket": {"port": 8099}, **patient},
             livenessProbe=quick(httpGet={"path": "/", "port": 8098}))
    for name in ("http", "tcp"):
        wait_for(lambda n=name: (node.container(n) or {}).get("ready"), f"{name} is ready")
    wait_for(lambda: restarts(node, "deaf") >= 1, "what does not answer is started again")
    assert not node.container("deaf")["ready"]


def test_a_frozen_process_is_found_by_its_probe_and_replaced(node):
    node.pod("frozen", "exec /usr/bin/python3 -m http.server -b $(INAETICS_ADDRESS) 8099",
             spec={"terminationGracePeriodSeconds": 1},
             livenessProbe={"httpGet": {"path": "/", "port": 8099}, "periodSeconds": 1, "timeoutSeconds": 1,
                            "failureThreshold": 5})
    address = wait_for(lambda: node.pods()["frozen"]["status"].get("podIP"), "the pod has an address")
    wait_for(lambda: subprocess.run(["curl", "-s", f"http://{address}:8099/"], check=False,
                                    capture_output=True).returncode == 0, "it serves")
    pid = node.running_pid("frozen")
    os.kill(pid, signal.SIGSTOP)
    wait_for(lambda: (p := node.pid("frozen")) and p != pid, "another runs in its place")


# -- logs --------------------------------------------------------------------------


def test_logs_can_be_tailed_followed_and_read_of_the_run_before(node):
    node.pod("talker", "for i in 1 2 3 4 5; do echo line $i; done; echo problem >&2; sleep 1000")
    wait_for(lambda: "problem" in node.logs("talker"), "all is written")
    assert node.logs("talker").splitlines() == [f"line {i}" for i in range(1, 6)] + ["problem"]
    assert node.logs("talker", "--tail", "2").splitlines() == ["line 5", "problem"]
    assert node.logs("talker", "--tail", "0") == ""
    assert node.cli("logs", "talker", "--previous", check=False).returncode != 0
    node.cli("kill", "talker")
    wait_for(lambda: restarts(node, "talker") == 1 and "problem" in node.logs("talker"), "it runs again")
    assert "line 5" in node.logs("talker", "--previous") and "signal 9" in node.logs("talker", "--previous")
    assert "signal 9" not in node.logs("talker")


def test_followed_logs_come_as_they_are_written_and_end_with_the_pod(node, tmp_path):
    node.pod("clock", "i=0; while :; do i=$((i+1)); echo tick $i; sleep 0.05; done")
    node.wait_running("clock")
    with open(tmp_path / "followed", "w+b") as output:
        follower = subprocess.Popen(
            [INAETICS, "logs", "clock", "-f", "--name", str(node.number), "--data", node.home], stdout=output)
        wait_for(lambda: (tmp_path / "followed").read_text().count("tick") > 10, "it follows")
        node.delete("clock")
        assert follower.wait(60) == 0
    ticks = [int(line.split()[1]) for line in (tmp_path / "followed").read_text().splitlines() if "tick" in line]
    assert ticks == list(range(ticks[0], ticks[0] + len(ticks))), "nothing is lost and nothing comes twice"


def test_logs_are_rotated_and_bounded(node):
    # 100 bytes a line, 80 MB in all: more than may be kept.
    node.pod("babbler", "yes $(printf %099d 0) | head -c 80000000; echo done; sleep 1000")
    wait_for(lambda: "done" in node.logs("babbler", "--tail", "1"), "it has written all", 120)
    files = list((node.data / "logs").rglob("default_babbler_*/main.log*"))
    assert 2 < len(files) <= 6
    assert sum(path.stat().st_size for path in files) <= 6 * 9 * 1024 * 1024
    text = node.logs("babbler")
    assert 8 * 1024 * 1024 < len(text) <= 54 * 1024 * 1024 and text.endswith("done\n")


def log_of(node, pod, query):
    return node.api("GET", f"/api/v1/namespaces/default/pods/{pod}/log?{query}")[1]


def test_logs_have_times_and_can_be_limited(node):
    node.pod("talker", "echo early; sleep 3; echo late; sleep 1000")
    wait_for(lambda: "late" in node.logs("talker"), "all is written")
    stamps = [line.split(" ", 1) for line in log_of(node, "talker", "timestamps=true").splitlines()]
    assert [text for _, text in stamps] == ["early", "late"] and all(stamp.endswith("Z") for stamp, _ in stamps)
    assert log_of(node, "talker", "limitBytes=8") == "early\nla"
    assert log_of(node, "talker", f"sinceTime={urllib.parse.quote(stamps[1][0][:19] + 'Z')}") == "late\n"


# -- commands ------------------------------------------------------------------------


class WebSocket:
    """As little of a client as a test needs."""

    def __init__(self, instance, path, protocol):
        pki = instance.data / "pki"
        context = ssl.create_default_context(cafile=pki / "ca.pem")
        context.load_cert_chain(pki / "admin.pem", pki / "admin-key.pem")
        self.socket = context.wrap_socket(socket.create_connection((instance.controller, 10260), 60),
                                          server_hostname=instance.controller)
        self.socket.sendall((f"GET {path} HTTP/1.1\r\nHost: {instance.controller}\r\nConnection: Upgrade\r\n"
                             "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                             "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                             f"Sec-WebSocket-Protocol: {protocol}\r\n\r\n").encode())
        self.data = b""
        while b"\r\n\r\n" not in self.data:
            self.read()
        self.head, self.data = self.data.split(b"\r\n\r\n", 1)
        assert b" 101 " in self.head.splitlines()[0], self.head

    def read(self):
        more = self.socket.recv(65536)
        assert more, "it ended"
        self.data += more

    def take(self, count):
        while len(self.data) < count:
            self.read()
        taken, self.data = self.data[:count], self.data[count:]
        return taken

    def receive(self):
        """(channel, data) of the next message; None at its end."""
        first, length = self.take(2)
        if length > 125:
            length = struct.unpack(">H" if length == 126 else ">Q", self.take(2 if length == 126 else 8))[0]
        data = self.take(length)
        return None if first & 15 == 8 else (data[0], data[1:])

    def send(self, channel, data):
        payload = bytes([channel]) + data
        mask = b"\x01\x02\x03\x04"
        self.socket.sendall(bytes([0x82, 0x80 | len(payload)]) + mask +
                            bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload)))

    def all(self):
        """What came on each channel until the end."""
        channels = {}
        while message := self.receive():
            channels[message[0]] = channels.get(message[0], b"") + message[1]
        return channels


def run(node, command, protocol="v4.channel.k8s.io", **options):
    query = urllib.parse.urlencode([("command", part) for part in command] +
                                   [("stdout", "true"), ("stderr", "true"), *options.items()])
    return WebSocket(node, f"/api/v1/namespaces/default/pods/host/exec?{query}", protocol)


def test_a_command_runs_beside_a_container(node):
    node.pod("host", "sleep 1000")
    node.wait_running("host")
    seen = run(node, ["sh", "-c", "echo out $INAETICS_POD; echo err >&2; exit 3"]).all()
    assert seen[1] == b"out host\n" and seen[2] == b"err\n"
    status = json.loads(seen[3])
    assert status["reason"] == "NonZeroExitCode"
    assert status["details"]["causes"] == [{"reason": "ExitCode", "message": "3"}]
    assert json.loads(run(node, ["true"]).all()[3])["status"] == "Success"
    assert "nonesuch" in json.loads(run(node, ["nonesuch"]).all()[3])["message"]


def test_a_commands_input_can_be_closed_and_its_terminal_resized(node):
    node.pod("host", "sleep 1000")
    node.wait_running("host")
    talk = run(node, ["cat"], "v5.channel.k8s.io", stdin="true")
    talk.send(0, b"hello")
    talk.send(255, b"\0")
    assert talk.all()[1] == b"hello"
    talk = run(node, ["sh", "-c", "read x; stty size"], stdin="true", tty="true")
    talk.send(4, b'{"Width":100,"Height":33}')
    talk.send(0, b"go\n")
    assert b"33 100" in talk.all()[1]


def test_a_command_ends_when_its_client_leaves(node):
    node.pod("host", "sleep 1000")
    node.wait_running("host")
    talk = run(node, ["sh", "-c", "echo here; exec sleep 4711"])
    assert talk.receive() == (1, b"here\n")
    wait_for(lambda: any("sleep 4711" in one for one in node.processes().values()), "it runs")
    talk.socket.close()
    wait_for(lambda: not any("sleep 4711" in one for one in node.processes().values()), "it is gone")


# -- measurements, services --------------------------------------------------------------


def fetch(url):
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=60) as answer:
        return answer.read().decode()


def test_what_containers_use_is_measured(node):
    node.pod("busy", "while :; do :; done", spec={"nodeName": "node-1"})
    node.wait_running("busy")
    monitor = f"http://127.{17 + 20 * node.number}.8.31:4194"

    def cpu():
        found = [line for line in fetch(monitor + "/metrics").splitlines()
                 if line.startswith("container_cpu_usage_seconds_total") and 'pod="busy"' in line]
        return float(found[0].split()[-1]) if found else 0
    wait_for(lambda: cpu() > 0.5, "it has used processor time")
    assert fetch(monitor + "/metrics").endswith("# EOF\n")
    docker = [one for one in json.loads(fetch(monitor + "/api/v1.3/docker")).values()
              if one["aliases"][0].startswith("k8s_main.")]
    assert docker and docker[0]["stats"][-1]["memory"]["working_set"] > 0
    assert docker[0]["stats"][-1]["cpu"]["usage"]["total"] > 0
    assert "busy" in fetch(monitor + "/")
    metrics = wait_for(lambda: node.api("GET", "/apis/metrics.k8s.io/v1beta1/namespaces/default/pods")[1]["items"],
                       "the API tells it too")
    assert metrics[0]["metadata"]["name"] == "busy"


def test_a_node_port_leads_to_the_ready_pods_from_every_node(node):
    node.pod("web", "echo $INAETICS_POD >index.html; exec /usr/bin/python3 -m http.server -b $(INAETICS_ADDRESS) 8099",
             ports=[{"containerPort": 8099}], readinessProbe={"tcpSocket": {"port": 8099}})
    node.api("PATCH", "/api/v1/namespaces/default/pods/web", {"metadata": {"labels": {"app": "web"}}},
             "application/merge-patch+json")
    node.create({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": {
        "type": "NodePort", "selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8099}]}})
    port = node.api("GET", "/api/v1/namespaces/default/services/web")[1]["spec"]["ports"][0]["nodePort"]

    def answers(number):
        try:
            return fetch(f"http://127.{17 + 20 * node.number}.8.{30 + number}:{port}/") == "web\n"
        except OSError:
            return False
    for number in (1, 3):
        wait_for(lambda n=number: answers(n), f"node-{number} leads to it")


# -- what a pod may reach ----------------------------------------------------------


def confined(node):
    """Whether the kernel can; if not, `up` and each node say so, and there is nothing more to see."""
    first = next(node.data.joinpath("logs").glob("node-1.log")).read_text()
    if "not confined" not in first:
        assert "confined to its own files" in node.output()
        return True
    assert "Landlock" in first and "user, network and files" in node.output()
    return False


CAN = """can() { what=$1; shift; if "$@" >/dev/null 2>&1; then echo "$what yes"; else echo "$what no"; fi; }
into() { echo x >>"$1"; }
"""


def answers(instance, pod):
    text = wait_for(lambda: instance.logs(pod) if "=== end" in instance.logs(pod) else None, "the pod tried")
    return dict(line.split() for line in text.split("=== end")[0].splitlines())


def test_a_pod_reaches_its_own_files_and_not_those_of_others(node):
    if not confined(node):
        return
    volumes = {"volumes": [{"name": "mine", "hostPath": {"path": "volumes/mine", "type": "DirectoryOrCreate"}},
                           {"name": "read", "hostPath": {"path": "volumes/read", "type": "DirectoryOrCreate"}},
                           {"name": "scratch", "emptyDir": {}}]}
    mounts = [{"name": "mine", "mountPath": "/a"}, {"name": "scratch", "mountPath": "/b"},
              {"name": "read", "mountPath": "/c", "readOnly": True}]
    # The other has a volume, a service account and a bundle cache.
    node.pod("other", "echo secret >$VOLUME_THEIRS/file; env; echo === end; sleep 1000",
             spec={"volumes": [{"name": "theirs", "hostPath": {"path": "volumes/theirs", "type": "DirectoryOrCreate"}}]},
             volumeMounts=[{"name": "theirs", "mountPath": "/t"}])
    other = environment_of(node, "other")
    pid = node.running_pid("other")
    data = node.data
    for name in ("pki/ca-key.pem", "pki/etcd/ca-key.pem", "pki/etcd/control-plane.account", "pki/admin-key.pem",
                 "pki/node-1-key.pem", "kubeconfig", "service-account.secret", "etcd", "logs"):
        assert (data / name).exists(), "what is forbidden is there"
    (data / "volumes" / "read").mkdir(exist_ok=True)
    (data / "volumes" / "read" / "file").write_text("text")
    forbidden = {
        "ca-key": f"cat {data}/pki/ca-key.pem", "etcd-ca-key": f"cat {data}/pki/etcd/ca-key.pem",
        "etcd-account": f"cat {data}/pki/etcd/control-plane.account",
         "admin-key": f"cat {data}/pki/admin-key.pem",
        "node-key": f"cat {data}/pki/node-1-key.pem", "kubeconfig": f"cat {data}/kubeconfig",
        "signing": f"cat {data}/service-account.secret", "other-volume": f"cat {other['VOLUME_THEIRS']}/file",
        "other-volume-write": f"into {other['VOLUME_THEIRS']}/file", "other-account": f"cat {other['INAETICS_SERVICE_ACCOUNT']}/token",
        "other-cache": f"ls {other['INAETICS_CACHE']}", "etcd": f"ls {data}/etcd", "data": f"ls {data}",
        "logs": f"ls {data}/logs", "by-proc": f"ls /proc/{pid}/cwd/", "write-read-only": "into $VOLUME_READ/file",
        "write-account": "into $INAETICS_SERVICE_ACCOUNT/token", "write-ca": "into $INAETICS_PKI/ca.pem",
        "tmp": "into /tmp/inaetics-sly", "home": f"ls {node.home}", "disks": "ls /dev", "signal": f"kill -0 {pid}",
        "link": f"ln {data}/kubeconfig $VOLUME_MINE/link",
    }
    allowed = {
        "volume": "into $VOLUME_MINE/file", "scratch": "into $VOLUME_SCRATCH/file", "read-only": "cat $VOLUME_READ/file",
        "null": "into /dev/null", "random": "head -c 1 /dev/urandom", "cache": "into $INAETICS_CACHE/file",
        "temporary": "mktemp", "account": "cat $INAETICS_SERVICE_ACCOUNT/token", "ca": "cat $INAETICS_PKI/ca.pem",
        "client-key": "cat $INAETICS_PKI/client-key.pem", "token": "cat $INAETICS_TOKEN_FILE", "python": "/usr/bin/python3 -c pass",
        "proc": "cat /proc/self/maps", "own-signal": "kill -0 $$$$",
    }
    tries = CAN + "\n".join(f"can {name} {what}" for name, what in {**forbidden, **allowed}.items())
    node.pod("one", tries + "\necho === end; sleep 1000", spec=volumes, volumeMounts=mounts)
    expected = {**dict.fromkeys(forbidden, "no"), **dict.fromkeys(allowed, "yes")}
    got = answers(node, "one")
    # Before Linux 6.12 signals are not governed.
    if tuple(map(int, os.uname().release.split(".")[:2])) < (6, 12):
        expected["signal"] = "yes"
    assert got == expected
    # Commands beside it are confined as it is.
    assert node.cli("exec", "one", "--", "cat", f"{data}/kubeconfig", check=False).returncode != 0
    assert node.cli("exec", "one", "--", "sh", "-c", "cat $VOLUME_MINE/file").stdout == "x\n"
