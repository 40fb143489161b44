"""Desired state as code, from the command line to a provisioning server and back."""
import base64
import http.client
import json
import os
import shutil
import signal
import subprocess
import threading
import time
import urllib.request

import pytest
from conftest import BUILD, INAETICS, PATIENCE, wait_for

SERVER = BUILD / "provisioning" / "inaetics-provisioning"


TOKEN = "0123456789abcdef0123456789abcdef"


class Agent(threading.Thread):
    """Reports what a good agent would, or that a version with a bundle of `bad` version fails."""

    def __init__(self, url, name, bad=None):
        super().__init__(daemon=True)
        self.url, self.name, self.bad = url, name, bad
        self.seen, self.running, self.ended = [], "", threading.Event()
        properties = {"runtime": "c", "processor": "x86-64", "component": "processor",
                      "platform": "inaetics.framework;version:Version=\"0.1.0\""}
        self.token = self.ask("POST", "enrol", {"properties": properties}, TOKEN)["token"]

    def ask(self, method, what, body=None, token=None):
        request = urllib.request.Request(
            f"{self.url}/v1/agents/{self.name}/{what}", json.dumps(body).encode() if body else None, method=method,
            headers={"Authorization": f"Bearer {token or self.token}", "Content-Type": "application/json"})
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=PATIENCE) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def report(self, version, serial, state, reason=""):
        self.ask("POST", "report", {
            "version": version, "serial": serial, "state": state, "reason": reason, "time": int(time.time() * 1000),
            "health": {"ready": True, "errors": 0, "runningSeconds": 5, "reason": ""}})

    def run(self):
        serial, newest = 0, ""
        while not self.ended.is_set():
            try:
                found = self.ask("GET", f"next?after={newest}&wait=1")
                if found:
                    newest, serial = found["version"], found["serial"]
                    statement = json.loads(base64.b64decode(found["envelope"]["payload"]))
                    versions = [artifact["version"] for artifact in statement["artifacts"]]
                    self.seen.append(versions)
                    if self.bad in versions:
                        self.report(newest, serial, "failed", "component processor: it does not like this")
                        continue
                    self.running = newest
                if self.running:
                    self.report(self.running, serial, "running")
            except (OSError, ValueError, http.client.HTTPException):
                time.sleep(0.1)  # the server is away


class Provisioning:
    """A provisioning server of the test's own, and the command line that is logged in there."""

    def __init__(self, home):
        self.home = home
        self.log_path = home / "server.log"
        self.process = None
        self.url = self.agents_url = None
        self.agents = []
        (home / "token").write_text(TOKEN + "\n", encoding="utf-8")
        self.environment = {key: value for key, value in os.environ.items() if not key.startswith("INAETICS_")}
        self.environment |= {"INAETICS_PROVISIONING_USER": "d", "INAETICS_PROVISIONING_PASSWORD": "f"}
        self.start()

    def start(self, *options):
        with open(self.log_path, "ab") as log:
            offset = log.tell()
            self.process = subprocess.Popen(
                [SERVER, "--data", self.home / "data", "--listen", "127.0.0.1:0", "--pages", "127.0.0.1:0",
                 "--token-file", self.home / "token", *options],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=self.environment)
        self.url = "http://" + wait_for(lambda: self.address(offset, "people"), "the server listens")
        self.agents_url = "http://" + wait_for(lambda: self.address(offset, "agents"), "it listens for agents")

    def agent(self, name, bad=None):
        self.agents.append(Agent(self.agents_url, name, bad))
        self.agents[-1].start()
        return self.agents[-1]

    def address(self, offset, whom):
        assert self.process.poll() is None, self.log()
        for line in self.log()[offset:].splitlines():
            if "listening" in line and f"for={whom}" in line:
                return line.split("address=")[1].split()[0]
        return None

    def log(self):
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def stop(self):
        for agent in self.agents:
            agent.ended.set()
        for agent in self.agents:
            agent.join(PATIENCE)
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(PATIENCE)

    def cli(self, *arguments, status=0):
        result = subprocess.run(
            [INAETICS, "provisioning", *arguments, "--data", self.home / "client", "--server", self.url],
            env=self.environment, capture_output=True, text=True, timeout=PATIENCE + 30, stdin=subprocess.DEVNULL, check=False)
        assert result.returncode == status, result.stdout + result.stderr
        return result.stdout if status == 0 else result.stdout + result.stderr

    def list(self, what):
        return json.loads(self.cli("list", what, "--json"))


@pytest.fixture
def provisioning(tmp_path):
    one = Provisioning(tmp_path)
    yield one
    one.stop()
    print(one.log()[-8000:])
    assert one.process.returncode == 0 and "Sanitizer" not in one.log()


@pytest.fixture
def folder(tmp_path):
    one = tmp_path / "deployment"
    one.mkdir()
    for name in ("processor", "queue"):
        shutil.copy(BUILD / "demonstrator" / f"{name}.zip", one)
    write(one, {
        "version": 1, "artifacts": ["processor.zip", "queue.zip"],
        "features": {"processor": {"description": "takes and computes", "artifacts": ["processor"]},
                     "queue": {"artifacts": ["queue@0.1.0"]}},
        "distributions": {"processor": {"features": ["processor"]}, "queue": {"features": ["queue"], "tags": {"a": "b"}}},
        "assignments": [{"distribution": "processor", "targets": "(target.component=processor)"},
                        {"distribution": "queue", "targets": "(id=lab-1)"}],
        "targets": {"lab-1": {"autoApprove": True, "tags": {"site": "lab"}}},
    })
    return one


def write(folder, state):
    (folder / "provisioning.json").write_text(json.dumps(state), encoding="utf-8")


def change(folder, **values):
    write(folder, json.loads((folder / "provisioning.json").read_text(encoding="utf-8")) | values)


def test_a_folder_is_applied_as_one_revision_and_nothing_the_second_time(provisioning, folder):
    said = provisioning.cli("diff", folder, status=1)
    assert "+ file processor.zip" in said and "+ feature processor" in said
    said = provisioning.cli("apply", folder)
    for line in ("+ file queue.zip", "+ feature queue", "+ link of an artifact processor -> processor",
                 "+ link of an artifact queue@0.1.0 -> queue", "+ assignment queue -> lab-1",
                 "+ assignment processor -> (target.component=processor)", "+ target lab-1"):
        assert line in said
    assert len(provisioning.list("revisions")) == 1
    assert {item["attributes"]["name"] for item in provisioning.list("features")} == {"processor", "queue"}
    assert provisioning.cli("diff", folder) == ""
    assert "Nothing to change" in provisioning.cli("apply", folder)
    assert len(provisioning.list("revisions")) == 1


def test_what_goes_from_the_folder_goes_from_the_server(provisioning, folder):
    provisioning.cli("apply", folder)
    change(folder, features={"processor": {"artifacts": ["processor@[0.1,1)"]}}, distributions={}, assignments=[])
    said = provisioning.cli("apply", folder)
    assert "- distribution queue" in said and "+ link of an artifact processor@[0.1,1) -> processor" in said
    assert '    - description = "takes and computes"' in said
    assert provisioning.list("distributions") == []
    assert len(provisioning.list("artifacts")) == 2 and len(provisioning.list("targets")) == 1


def test_drift_is_shown_and_healed_by_the_next_apply(provisioning, folder):
    provisioning.cli("apply", folder)
    assert provisioning.cli("diff") == ""
    provisioning.cli("unlink", "feature", "queue", "queue")
    provisioning.cli("create", "feature", "extra", "made by hand")
    assert "drift       2 differences" in provisioning.cli("status")
    drift = provisioning.cli("diff", status=1)
    assert "+ link of a feature queue -> queue" in drift and "- feature extra" in drift
    provisioning.cli("apply", folder)
    assert provisioning.cli("diff") == "" and "drift" not in provisioning.cli("status")


def test_a_file_that_is_no_bundle_stops_the_whole(provisioning, folder):
    (folder / "broken.zip").write_bytes(b"PK\3\4 nothing")
    change(folder, artifacts=["processor.zip", "queue.zip", "broken.zip"])
    assert "broken.zip" in provisioning.cli("apply", folder, status=1)
    assert provisioning.list("artifacts") == [] and provisioning.list("features") == []


def test_a_state_that_names_what_is_not_there_stops_the_whole(provisioning, folder):
    change(folder, features={"processor": {"artifacts": ["procesor"]}, "queue": {}})
    said = provisioning.cli("apply", folder, status=1)
    assert 'features.processor.artifacts[0]: there is no artifact "procesor"' in said
    assert provisioning.list("artifacts") == []


def test_what_is_exported_applies_to_another_server(provisioning, folder, tmp_path):
    provisioning.cli("apply", folder)
    provisioning.cli("export", tmp_path / "out")
    assert (tmp_path / "out" / "queue.zip").read_bytes() == (folder / "queue.zip").read_bytes()
    assert provisioning.cli("diff", tmp_path / "out") == ""
    (tmp_path / "other").mkdir()
    other = Provisioning(tmp_path / "other")
    try:
        other.cli("apply", tmp_path / "out")
        other.cli("export", tmp_path / "again")
        assert json.loads((tmp_path / "again" / "provisioning.json").read_text(encoding="utf-8")) == \
            json.loads((tmp_path / "out" / "provisioning.json").read_text(encoding="utf-8"))
    finally:
        other.stop()


def test_the_same_is_done_by_hand(provisioning, folder):
    provisioning.cli("upload", folder / "processor.zip", BUILD / "demonstrator" / "anomaly.zip")
    assert "was there already" in provisioning.cli("upload", folder / "processor.zip")
    provisioning.cli("create", "feature", "a/b")
    provisioning.cli("create", "distribution", "d (1)")
    provisioning.cli("create", "target", "t1")
    provisioning.cli("link", "artifact", "processor", "a/b", "--message", "for a try")
    provisioning.cli("link", "feature", "a/b", "d (1)")
    provisioning.cli("link", "distribution", "d (1)", "t1")
    links = provisioning.cli("list", "links")
    assert "processor@2.0.0 (newest) -> a" in links
    assert "there are 2 versions of processor" in provisioning.cli("remove", "artifact", "processor", status=1)
    provisioning.cli("remove", "artifact", "processor@2.0.0")
    assert "processor@0.1.0 (newest) -> a" in provisioning.cli("list", "links")
    assert "for a try" in provisioning.cli("list", "revisions")
    assert "Registered, Unapproved" in provisioning.cli("show", "t1")
    assert "newest version 1.0.0" in provisioning.cli("approve", "t1")
    said = provisioning.cli("show", "t1")
    assert "artifacts   processor@0.1.0" in said and "Registered, Approved" in said
    assert "processor@0.1.0" in provisioning.cli("versions", "t1")
    provisioning.cli("unlink", "artifact", "processor", "a/b")
    assert "Link artifact" not in provisioning.cli("list", "links")
    provisioning.cli("remove", "feature", "a/b")


def test_the_software_is_restored_as_it_was(provisioning, folder):
    provisioning.cli("apply", folder)
    revision = provisioning.list("revisions")[0]["number"]
    provisioning.cli("remove", "feature", "queue")
    assert len(provisioning.list("features")) == 1
    provisioning.cli("restore", str(revision))
    assert len(provisioning.list("features")) == 2


def test_roles_hold_for_the_command_line_too(provisioning, folder):
    result = subprocess.run([INAETICS, "provisioning", "account", "v", "viewer", "--data", provisioning.home / "client",
                             "--server", provisioning.url], env=provisioning.environment, input="a long secret\n",
                            capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert result.returncode == 0, result.stderr
    provisioning.environment |= {"INAETICS_PROVISIONING_USER": "v", "INAETICS_PROVISIONING_PASSWORD": "a long secret"}
    assert "viewer" in provisioning.cli("whoami")
    provisioning.cli("list", "features")
    provisioning.cli("create", "feature", "f", status=1)
    provisioning.cli("apply", folder, status=1)
    provisioning.cli("upload", folder / "queue.zip", status=1)
    assert provisioning.list("artifacts") == []


# -- rollouts ------------------------------------------------------------------------------


@pytest.fixture
def three(provisioning, folder):
    """Three agents that run the processor, of which the third cannot run version 2.0.0; and a policy."""
    change(folder, artifacts=["processor.zip", "queue.zip"],
           settings={"register": "(target.component=processor)", "autoApprove": "(target.component=processor)"})
    provisioning.cli("apply", folder)
    agents = [provisioning.agent(f"t{number}", "2.0.0" if number == 3 else None) for number in (1, 2, 3)]
    wait_for(lambda: all(agent.running for agent in agents), "all agents run the processor")
    change(folder, rollout={"groups": [30, 60, 100], "gateSeconds": 1})
    assert "+ policy of rollouts" in provisioning.cli("apply", folder)
    return agents


def add_version(folder):
    shutil.copy(BUILD / "demonstrator" / "anomaly.zip", folder)
    change(folder, artifacts=["processor.zip", "queue.zip", "anomaly.zip"])


def test_a_rollout_is_waited_for_until_all_have_it(provisioning, folder, three):
    three[2].bad = None
    add_version(folder)
    said = provisioning.cli("apply", folder, "--wait", str(PATIENCE))
    assert "+ artifact processor@2.0.0" in said and ": done" in said
    assert all(agent.seen[-1] == ["2.0.0"] for agent in three)
    assert "done" in provisioning.cli("rollout") and "3 healthy" not in provisioning.cli("status")
    assert "Nothing to change" in provisioning.cli("apply", folder, "--wait", str(PATIENCE))


def test_a_rollout_that_does_harm_is_rolled_back_and_said(provisioning, folder, three):
    add_version(folder)
    three[0].bad = three[1].bad = "2.0.0"
    said = provisioning.cli("apply", folder, "--wait", str(PATIENCE), status=1)
    assert "the rollout is rolled-back" in said
    assert sum(["2.0.0"] in agent.seen for agent in three) == 1, "only the first group saw it"
    assert "rolled-back" in provisioning.cli("list", "rollouts")


def test_a_rollout_is_paused_resumed_and_rolled_back_by_hand(provisioning, folder, three):
    three[2].bad = None
    change(folder, rollout={"groups": [30, 60, 100], "gateSeconds": 600})
    provisioning.cli("apply", folder)
    add_version(folder)
    provisioning.cli("apply", folder)
    wait_for(lambda: any(agent.seen[-1] == ["2.0.0"] for agent in three), "the first group has it")
    assert "paused" in provisioning.cli("rollout", "pause")
    assert "running" in provisioning.cli("rollout", "resume")
    provisioning.cli("rollback")
    wait_for(lambda: "rolled-back" in provisioning.cli("rollout"), "it is rolled back")
    wait_for(lambda: all(agent.seen[-1] == ["0.1.0"] for agent in three), "all have the old one")
