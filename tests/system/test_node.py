"""The node: pods as manifests say, kept alive, shown, steered."""

import json
import os
import signal
import subprocess
import time

import pytest

from conftest import INAETICS, manifest, wait_for


@pytest.fixture
def node(instance):
    return instance.start()


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
    octet = 1 + 20 * node.number
    assert seen["INAETICS_ADDRESS"] == f"127.{octet}.1.2" == node.pods()["one"]["status"]["podIP"]
    assert seen["INAETICS_AGENT_ID"].startswith("one-") and len(seen["INAETICS_AGENT_ID"]) == len("one-") + 8
    assert seen["INAETICS_ETCD"] == f"https://{node.controller}:2379"
    assert seen["INAETICS_LISTEN"] == f"127.0.0.1:{8080 + node.number}"
    assert seen["PORT_MY_HTTP"] == str(8080 + node.number)
    assert seen["INAETICS_NODE"] == str(node.data / "node.sock")
    assert seen["INAETICS_CACHE"] == str(node.data / "cache" / "one") == seen["PWD"]
    assert seen["VOLUME_MY_DATA"] == str(node.data / "volumes" / "mine")
    assert os.path.isdir(seen["VOLUME_MY_DATA"]) and os.path.isdir(seen["VOLUME_SCRATCH"])
    for name in ("INAETICS_PKI", "INAETICS_TOKEN_FILE", "INAETICS_SESSION_FILE"):
        assert os.path.exists(seen[name]), name
    assert seen["HERE"] == f"at 127.{octet}.1.2, $(HERE) and $(NOT_SET)"
    assert seen["AGAIN"] == "one!"
    assert "INAETICS_PART_OF" not in seen, "nothing of the node's own environment is handed on"
    (node.manifests / "one.json").unlink()
    wait_for(lambda: "one" not in node.pods(), "the pod goes")
    assert not os.path.exists(seen["VOLUME_SCRATCH"]) and os.path.isdir(seen["VOLUME_MY_DATA"])


def test_an_agent_id_is_fresh_at_each_start(node):
    node.pod("one", "echo id $INAETICS_AGENT_ID; sleep 1000")
    first = wait_for(lambda: node.logs("one"), "it prints its id")
    node.cli("kill", "one")
    second = wait_for(lambda: node.logs("one") if restarts(node, "one") == 1 else None, "it prints its id again")
    assert first.startswith("id one-") and second.startswith("id one-") and first != second


def test_pods_have_addresses_of_their_own_and_get_no_privileges(node):
    for i in range(3):
        node.pod(f"p{i}", "grep NoNewPrivs /proc/self/status; sleep 1000")
    wait_for(lambda: len(node.pods()) == 3, "three pods")
    assert len({pod["status"]["podIP"] for pod in node.pods().values()}) == 3
    wait_for(lambda: "NoNewPrivs:\t1" in node.logs("p0"), "no_new_privs is set")


# -- life ------------------------------------------------------------------------


def test_a_container_that_ends_is_started_again_after_growing_pauses(node):
    node.pod("crash", "date +%s.%N; exit 7")
    wait_for(lambda: restarts(node, "crash") >= 4, "four restarts")
    status = node.container("crash")
    assert status["lastState"]["terminated"]["exitCode"] == 7
    state = status["state"]
    assert "waiting" not in state or state["waiting"]["reason"] == "CrashLoopBackOff"
    runs = sorted((node.data / "logs" / "crash").iterdir(), key=lambda path: path.stat().st_mtime)
    starts = sorted(float(line) for path in runs for line in path.read_text().splitlines() if line[0] in "0123456789")
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
    pid = node.wait_running("victim").pid("victim")
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
    pid = node.wait_running("victim").pid("victim")
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: (p := node.pid("victim")) and p != pid, "it runs again")
    assert "signal 9" in node.logs("victim", "--previous")


def test_a_removed_pod_is_asked_to_end_and_killed_after_its_grace_period(node):
    node.pod("polite", "trap 'echo bye >>$(INAETICS_CACHE)/said; exit 0' TERM; while :; do sleep 0.1; done")
    node.pod("stubborn", "trap '' TERM; while :; do sleep 0.1; done", spec={"terminationGracePeriodSeconds": 1})
    for name in ("polite", "stubborn"):
        node.wait_running(name)
    time.sleep(0.5)  # for the shells to set their traps
    began = time.monotonic()
    for name in ("polite", "stubborn"):
        (node.manifests / f"{name}.json").unlink()
    wait_for(lambda: not node.pods(), "both go")
    assert time.monotonic() - began >= 1
    assert (node.data / "cache" / "polite" / "said").read_text() == "bye\n"


def test_a_changed_manifest_replaces_the_pod_at_the_same_address(node):
    node.pod("one", "echo first; sleep 1000")
    node.wait_running("one")
    address = node.pods()["one"]["status"]["podIP"]
    node.pod("one", "echo second; sleep 1000")
    wait_for(lambda: "second" in node.logs("one"), "the new version runs")
    assert node.pods()["one"]["status"]["podIP"] == address


def test_a_program_that_is_not_there_is_shown_and_tried_again(node):
    node.pod("lost", "", command=["/nowhere/to/be/found"])
    node.pod("image", "", command=[], image="nobody/knows:1.2")
    for name, text in (("lost", "/nowhere/to/be/found"), ("image", "nobody-knows")):
        wait_for(lambda n=name, t=text: t in json.dumps(node.container(n) or {}), "the status says what is missing")
        wait_for(lambda n=name: restarts(node, n) >= 1, "it is tried again")


# -- probes ----------------------------------------------------------------------


def quick(**probe):
    return {"periodSeconds": 1, "failureThreshold": 2, "timeoutSeconds": 1, **probe}


def test_a_failing_liveness_command_restarts_the_container(node):
    node.pod("ill", "sleep 1000", livenessProbe=quick(exec={"command": ["/bin/sh", "-c", "exit 3"]}))
    node.pod("well", "sleep 1000", livenessProbe=quick(exec={"command": ["/bin/true"]}))
    wait_for(lambda: restarts(node, "ill") >= 1, "the ill one is started again")
    assert "liveness probe failed" in node.container("ill")["lastState"]["terminated"]["message"]
    assert restarts(node, "well") == 0


def test_a_liveness_command_that_hangs_counts_as_failed(node):
    node.pod("hung", "sleep 1000", livenessProbe=quick(exec={"command": ["/bin/sleep", "500"]}))
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
    address = wait_for(lambda: node.pods().get("frozen"), "the pod is there")["status"]["podIP"]
    wait_for(lambda: subprocess.run(["curl", "-s", f"http://{address}:8099/"], check=False,
                                    capture_output=True).returncode == 0, "it serves")
    pid = node.pid("frozen")
    os.kill(pid, signal.SIGSTOP)
    wait_for(lambda: (p := node.pid("frozen")) and p != pid, "another runs in its place")


# -- logs --------------------------------------------------------------------------


def test_logs_can_be_tailed_followed_and_read_of_the_run_before(node):
    node.pod("talker", "for i in 1 2 3 4 5; do echo line $i; done; echo problem >&2; sleep 1000")
    wait_for(lambda: "problem" in node.logs("talker"), "all is written")
    assert node.logs("talker").splitlines() == [f"line {i}" for i in range(1, 6)] + ["problem"]
    assert node.logs("talker", "--tail", "2").splitlines() == ["line 5", "problem"]
    assert node.logs("talker", "--tail", "0") == ""
    assert node.logs("talker", "--previous") == ""
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
        (node.manifests / "clock.json").unlink()
        assert follower.wait(60) == 0
    ticks = [int(line.split()[1]) for line in (tmp_path / "followed").read_text().splitlines() if "tick" in line]
    assert ticks == list(range(ticks[0], ticks[0] + len(ticks))), "nothing is lost and nothing comes twice"


def test_logs_are_rotated_and_bounded(node):
    # 100 bytes a line, 80 MB in all: more than may be kept.
    node.pod("babbler", "yes $(printf %099d 0) | head -c 80000000; echo done; sleep 1000")
    wait_for(lambda: "done" in node.logs("babbler", "--tail", "1"), "it has written all", 120)
    files = list((node.data / "logs" / "babbler").iterdir())
    assert 2 < len(files) <= 6
    assert sum(path.stat().st_size for path in files) <= 6 * 9 * 1024 * 1024
    text = node.logs("babbler")
    assert 8 * 1024 * 1024 < len(text) <= 54 * 1024 * 1024 and text.endswith("done\n")


# -- scale ---------------------------------------------------------------------------


def template(instance, maximum="4"):
    instance.pod("worker", "sleep 1000", folder=instance.templates,
                 annotations={"inaetics.org/replicas": "1", "inaetics.org/maximum": maximum})


def names(instance):
    return sorted(instance.pods())


def test_scale_makes_and_removes_pods_from_a_template(node):
    template(node)
    assert "3" in node.cli("scale", "worker", 3).stdout
    wait_for(lambda: all("running" in (node.container(f"worker-{i}") or {}).get("state", {}) for i in range(3)),
             "three run")
    answer = json.loads(node.cli("scale", "worker", "--json").stdout)
    assert answer["spec"]["replicas"] == answer["status"]["replicas"] == 3
    first = node.pid("worker-0")
    node.cli("scale", "worker", 1)
    wait_for(lambda: names(node) == ["worker-0"], "one is left")
    assert node.pid("worker-0") == first, "the one that stays is not disturbed"
    node.cli("scale", "worker", 0)
    wait_for(lambda: names(node) == [], "none is left")


def test_scale_is_kept_over_a_restart_of_everything(instance):
    template(instance)
    instance.start()
    instance.cli("scale", "worker", 2)
    wait_for(lambda: names(instance) == ["worker-0", "worker-1"], "two run")
    instance.stop()
    instance.start()
    assert names(instance) == ["worker-0", "worker-1"]


def test_a_changed_template_changes_its_pods(node):
    template(node)
    node.cli("scale", "worker", 1)
    node.wait_running("worker-0")
    node.pod("worker", "echo changed; sleep 1000", folder=node.templates, annotations={"inaetics.org/replicas": "1"})
    wait_for(lambda: "changed" in node.cli("logs", "worker-0", check=False).stdout, "the pod follows")


@pytest.mark.parametrize("arguments, says", [
    (["worker", "5"], "0 to 4"),
    (["worker", "99999999999"], "0 to 64"),
    (["worker", "-1"], ""),
    (["worker", "many"], "number"),
    (["nobody", "1"], "no template"),
    (["../../etc", "1"], "no name"),
])
def test_a_wrong_scale_is_refused(node, arguments, says):
    template(node)
    result = node.cli("scale", *arguments, check=False)
    assert result.returncode != 0
    assert says in result.stderr
    assert names(node) == []


# -- bad manifests ---------------------------------------------------------------------


@pytest.mark.parametrize("change, says", [
    (lambda pod: "{", "line 1"),
    (lambda pod: "", "bad.json"),
    (lambda pod: "[" * 100000, "bad.json"),
    (lambda pod: " " * 300000, "bad.json"),
    (lambda pod: pod.update(kind="Job"), 'kind: "Job" is not known; allowed is Pod'),
    (lambda pod: pod.update(apiVersion="v2"), "allowed is v1"),
    (lambda pod: pod["metadata"].update(name="../x"), "metadata.name"),
    (lambda pod: pod["metadata"].update(name="x" * 64), "1 to 63"),
    (lambda pod: pod["metadata"].update(namespace="other"), "allowed is default"),
    (lambda pod: pod["spec"].update(restartPolicy="Sometimes"), "Always, OnFailure and Never"),
    (lambda pod: pod["spec"].update(terminationGracePeriodSeconds=-1), "terminationGracePeriodSeconds"),
    (lambda pod: pod["spec"].update(containers=[]), "spec.containers"),
    (lambda pod: pod["spec"].update(initContainers=[]), "spec.initContainers"),
    (lambda pod: pod["spec"]["containers"][0].update(command="sh"), "spec.containers[0].command"),
    (lambda pod: pod["spec"]["containers"][0].update(ports=[{"containerPort": 70000}]), "65535"),
    (lambda pod: pod["spec"]["containers"][0].update(volumeMounts=[{"name": "x", "mountPath": "/x"}]), "spec.volumes"),
    (lambda pod: pod["spec"]["containers"][0].update(livenessProbe={"periodSeconds": 1}), "exactly one of exec"),
    (lambda pod: pod["spec"]["containers"][0].update(env=[{"name": "A=B", "value": ""}]), "env[0].name"),
    (lambda pod: pod["spec"]["containers"].append(pod["spec"]["containers"][0]), "is taken"),
])
def test_a_bad_manifest_is_shown_with_what_is_allowed_and_harms_nothing(node, change, says):
    node.pod("good", "sleep 1000")
    pid = node.wait_running("good").pid("good")
    pod = manifest("bad", "sleep 1000")
    text = change(pod)
    node.write("bad.json", text if isinstance(text, str) else json.dumps(pod))
    shown = wait_for(lambda: node.pods().get("bad"), "it is shown")
    assert shown["status"]["reason"] == "InvalidManifest"
    assert says in shown["status"]["message"], shown["status"]["message"]
    assert "bad.json" in shown["status"]["message"]
    assert node.pid("good") == pid


def test_a_pod_goes_on_when_its_manifest_becomes_unusable(node):
    node.pod("one", "sleep 1000")
    pid = node.wait_running("one").pid("one")
    node.write("one.json", "{ broken")
    wait_for(lambda: "one.json" in node.pods()["one"]["status"].get("message", ""), "the problem is shown")
    assert node.pid("one") == pid
    node.pod("one", "sleep 1000")
    wait_for(lambda: "message" not in node.pods()["one"]["status"], "the problem is gone")
    assert node.pid("one") == pid, "the same manifest as before is no change"


def test_two_manifests_of_the_same_pod_are_refused(node):
    node.pod("one", "sleep 1000")
    node.wait_running("one")
    node.write("two.json", json.dumps(manifest("one", "sleep 2000")))
    shown = wait_for(lambda: node.pods().get("two"), "it is shown")
    assert '"one" is taken by one.json' in shown["status"]["message"]
