"""The provisioning server and those that it serves: agents of ours, ACE's clients, desired states, etcd."""
import base64
import hashlib
import http.client
import json
import os
import re
import ssl
import subprocess
import threading
import time

import pytest
from certificates import make_authority, make_certificate, make_server_certificate
from conftest import PATIENCE, find_etcd, wait_for
from provisioning_server import Caller, Events, add, basic, java_bundle, link, servers_in

TOKEN = "cluster token " + "0123456789abcdef"


@pytest.fixture
def make_server(tmp_path):
    with servers_in(tmp_path) as make:
        yield make


@pytest.fixture
def server(make_server, tmp_path):
    (tmp_path / "token").write_text(TOKEN)
    (tmp_path / "token").chmod(0o600)
    return make_server("--token-file", tmp_path / "token", "--settings",
                       json.dumps({"register": "(id=auto-*)", "autoApprove": "(id=auto-*)"}))


@pytest.fixture
def people(server):
    return server.people()


class Agent:
    """What the bundle `deployment` does, without installing anything."""

    def __init__(self, server, name, **properties):
        self.server, self.name = server, name
        answer = self.enrol(properties={"runtime": "java"} | properties)
        assert answer.status == 200, answer
        self.token = answer.json["token"]
        self.caller = server.agents(self.token)

    def enrol(self, token=TOKEN, **body):
        return Caller(self.server.agents_address, f"Bearer {token}").post(f"/v1/agents/{self.name}/enrol", body)

    def next(self, after="", wait=0):
        return self.caller.get(f"/v1/agents/{self.name}/next?after={after}&wait={wait}")

    def report(self, version, state, reason=None, **health):
        answer = self.caller.post(f"/v1/agents/{self.name}/report", {
            "version": version, "serial": 1, "state": state, "reason": reason, "time": int(time.time() * 1000),
            "health": {"ready": True, "errors": 0, "runningSeconds": 1, "reason": None} | health})
        assert answer.status == 204, answer

    def statement(self, after=""):
        answer = self.next(after, 25)
        assert answer.status == 200, answer
        return json.loads(base64.b64decode(answer.json["envelope"]["payload"]))


def target(people, name):
    return people.right("GET", f"/v1/targets/{name}")


# --- our own agents ----------------------------------------------------------------------------------

def test_an_agent_enrols_waits_fetches_and_reports(server, people):
    artifact = people.upload("a.jar", java_bundle("a", "1.0.0"))
    agent = Agent(server, "auto-1", component="x")
    assert wait_for(lambda: target(people, "auto-1")["registration"] == "Registered", "the registration")
    seen = target(people, "auto-1")
    assert seen["autoApprove"] and not seen["legacy"] and seen["properties"]["component"] == "x"
    found = {}
    waiter = threading.Thread(target=lambda: found.update(statement=agent.statement()))
    waiter.start()
    time.sleep(0.2)  # so that it waits already, most probably
    begin = time.monotonic()
    people.assign(artifact["definition"], "auto-1")
    waiter.join(PATIENCE)
    assert time.monotonic() - begin < 20, "it was not woken up: it waited to the end"
    statement = found["statement"]
    assert statement["type"] == "inaetics.deployment.v1" and statement["target"] == "auto-1"
    assert statement["expires"] > statement["signed"] > 0
    file = statement["artifacts"][0]
    data = agent.caller.get("/v1/blobs/" + file["sha256"]).body
    assert hashlib.sha256(data).hexdigest() == file["sha256"] and len(data) == file["size"]
    assert wait_for(lambda: target(people, "auto-1")["provisioning"] == "InProgress", "InProgress")
    agent.report(statement["version"], "running")
    seen = wait_for(lambda: (seen := target(people, "auto-1"))["provisioning"] == "OK" and seen, "OK")
    assert seen["installed"] == statement["version"] == "1.0.0" and seen["installedOk"] and seen["health"]["ready"]
    assert seen["artifacts"] == [artifact["definition"]]
    assert agent.next("1.0.0").status == 204
    versions = people.right("GET", "/v1/targets/auto-1/versions")["items"]
    assert [version["version"] for version in versions] == ["1.0.0"]
    assert versions[0]["artifacts"][0]["sha256"] == file["sha256"]


def test_a_failure_is_shown_with_its_reason(server, people):
    artifact = people.upload("a.jar", java_bundle("a", "1.0.0"))
    agent = Agent(server, "auto-1")
    people.assign(artifact["definition"], "auto-1")
    version = agent.statement()["version"]
    for _ in range(3):  # repeating does nothing
        agent.report(version, "failed", "component a does not start", ready=False)
    seen = wait_for(lambda: (seen := target(people, "auto-1"))["provisioning"] == "Failed" and seen, "Failed")
    assert "does not start" in seen["problem"]


def test_an_id_belongs_to_the_agent_that_enrolled(server, people):
    agent = Agent(server, "t1")
    assert agent.enrol(properties={}).status == 409
    assert Caller(server.agents_address, f"Bearer {TOKEN}").post(
        "/v1/agents/t1/enrol", {"properties": {}, "token": "wrong"}).status == 409
    again = Caller(server.agents_address, f"Bearer {TOKEN}").post(
        "/v1/agents/t1/enrol", {"properties": {}, "token": agent.token})
    assert again.status == 200
    assert agent.next().status == 401  # the old token is gone
    other = Agent(server, "t2")
    for method, path in (("GET", "/v1/agents/t1/next?wait=0"), ("POST", "/v1/agents/t1/report"),
                         ("GET", "/deployment/t1/versions/")):
        assert other.caller.ask(method, path, {} if method == "POST" else None).status == 401, path
    sent = other.caller.post("/auditlog/send", b"t1,1,1,1,3,id,2\n")
    assert sent.status in (401, 403), sent
    assert people.right("GET", "/v1/targets/t1/log")["items"] == []
    people.right("POST", "/v1/targets/t1/forget")
    assert agent.enrol(properties={}).status == 200


def test_a_target_that_was_silent_is_forgotten_whole_and_goes_on_counting_when_it_comes_back(server, people):
    people.right("PUT", "/v1/settings", {"register": "(target.ephemeral=true)", "autoApprove": "(id=*)",
                                         "forgetSeconds": 4})
    people.assign(people.upload("a.jar", java_bundle("a", "1.0.0"))["definition"], "pod-1")
    agent = Agent(server, "pod-1", ephemeral="true")
    assert agent.statement()["version"] == "1.0.0"
    wait_for(lambda: people.get("/v1/targets/pod-1").status == 404, "the target is forgotten")
    wait_for(lambda: agent.next("1.0.0").status == 401, "its token is gone with it")
    # What it has is another 1.0.0 than the one that would be next.
    answer = agent.enrol(properties={"runtime": "java", "ephemeral": "true"}, token=TOKEN, version="1.0.0")
    assert answer.status == 200, answer
    agent.caller = server.agents(answer.json["token"])
    assert agent.statement("1.0.0")["version"] == "2.0.0"


def test_a_browser_is_no_agent(server):
    caller = Caller(server.agents_address)
    assert caller.get("/deployment/old-1/versions").status == 200
    for header in ({"Origin": "http://127.0.0.1:1"}, {"Sec-Fetch-Site": "cross-site"}):
        assert caller.get("/deployment/old-1/versions", headers=header).status == 403
        answer = caller.post("/auditlog/send", b"old-1,1,1,1,1005\n", headers=header)
        assert answer.status == 403 and b"browsers" in answer.body, answer
    assert caller.get("/auditlog/query?tid=old-1&logid=1").body == b"old-1,1,"


def test_enrolling_takes_the_clusters_token_and_a_right_id(server):
    stranger = Caller(server.agents_address)
    for wrong in (None, "Bearer x", "Bearer " + TOKEN + "x", "Basic ZDpm"):
        answer = Caller(server.agents_address, wrong).post("/v1/agents/t1/enrol", {"properties": {}})
        assert answer.status == 401, (wrong, answer)
    caller = Caller(server.agents_address, f"Bearer {TOKEN}")
    for name in ("a%20b", "..", "%2e%2e", "a%2fb", "x" * 300, "%c3%a4", "a%0ab", "a,b", "$n"):
        assert caller.post(f"/v1/agents/{name}/enrol", {"properties": {}}).status in (400, 404), name
    for body in ({"properties": []}, {"properties": {"a": 1}}, {"properties": {"a" * 300: "b"}}, {"token": 7},
                 {"properties": {"a": "b" * 5000}}, {"properties": {str(i): "x" for i in range(100)}},
                 {"properties": {"a": "x\u0000y"}}):
        assert caller.post("/v1/agents/t1/enrol", body).status == 400, str(body)[:60]
    assert stranger.get("/v1/agents/t1/next?wait=0").status in (200, 204)  # never enrolled: as agents of ACE


def test_files_are_for_those_whose_versions_name_them(server, people):
    artifact = people.upload("a.jar", java_bundle("a", "1.0.0"))
    agent, other = Agent(server, "auto-1"), Agent(server, "auto-2")
    people.assign(artifact["definition"], "auto-1")
    digest = agent.statement()["artifacts"][0]["sha256"]
    size = len(java_bundle("a", "1.0.0"))
    part = agent.caller.get(f"/v1/blobs/{digest}", headers={"Range": "bytes=7-"})
    assert part.status == 206 and len(part.body) == size - 7
    assert other.caller.get(f"/v1/blobs/{digest}").status == 404
    assert Caller(server.agents_address).get(f"/v1/blobs/{digest}").status == 401
    assert Caller(server.agents_address, f"Bearer {TOKEN}").get(f"/v1/blobs/{digest}").status == 401
    for wrong in ("x", "0" * 64, digest.upper(), digest + "0", "%2e%2e"):
        assert agent.caller.get(f"/v1/blobs/{wrong}").status in (400, 404), wrong


def test_wrong_reports_are_refused_and_foreign_versions_do_not_count(server, people):
    agent = Agent(server, "auto-1")
    for wrong in ({}, {"version": "1.0.0"}, {"version": "1.0.0", "state": "dancing"}, {"version": 1, "state": "running"},
                  {"version": "1" * 40, "state": "running"}):
        assert agent.caller.post("/v1/agents/auto-1/report", wrong).status == 400, wrong
    agent.report("77.0.0", "running")
    agent.report("", "running")
    assert target(people, "auto-1")["installed"] == ""
    agent.report("77.0.0", "failed", "x" * 100000, errors=-5, runningSeconds=2**62)
    large = agent.caller.post("/v1/agents/auto-1/report", b"x" * 1000000)
    assert large.status == 413, large
    for wrong in ("wait=-1", "wait=61", "wait=x"):
        assert agent.caller.get(f"/v1/agents/auto-1/next?{wrong}").status == 400


RATES = [{"name": "a calls x.v1.Y/Z", "perSecond": 12.5},
         {"name": "a answers x.v1.Y/Z", "perSecond": 0.0, "askedPerSecond": 3.25}]


def test_what_components_do_is_told_with_the_target_and_wrong_rates_are_refused(server, people):
    agent = Agent(server, "auto-1")
    agent.report("", "running", progress=RATES)
    assert target(people, "auto-1")["health"]["progress"] == RATES
    assert all("progress" not in one["health"] for one in people.right("GET", "/v1/targets")["items"])
    one = RATES[0]
    for wrong in ({}, 7, [7], [one, one], [one | {"name": name} for name in "x" * 33],
                  [one | {"name": f"{i}"} for i in range(33)], [one | {"name": "x" * 161}], [one | {"name": ""}],
                  [one | {"name": "a\nb"}], [one | {"name": "\u202e"}], [{"name": "x"}], [{"perSecond": 1}],
                  [one | {"perSecond": -1}], [one | {"perSecond": 1e300}], [one | {"perSecond": "1"}],
                  [one | {"askedPerSecond": -0.5}], [one | {"perSecond": [[[]]]}]):
        answer = agent.caller.post("/v1/agents/auto-1/report", {
            "version": "", "state": "running", "health": {"ready": False, "progress": wrong}})
        assert answer.status == 400 and "progress" in answer.json["message"], (wrong, answer)
    assert target(people, "auto-1")["health"]["progress"] == RATES
    agent.report("", "running", progress=None)
    assert target(people, "auto-1")["health"]["progress"] == []


def test_many_waiting_agents_are_woken_each_by_its_own(server, people):
    artifact = people.upload("a.jar", java_bundle("a", "1.0.0"))
    agents = [Agent(server, f"auto-{i}") for i in range(20)]
    found = {}

    def wait_for_version(agent):
        try:
            found[agent.name] = agent.next(wait=50)
        except OSError:
            pass  # the server ended

    threads = [threading.Thread(target=wait_for_version, args=(agent,)) for agent in agents]
    for thread in threads:
        thread.start()
    people.assign(artifact["definition"], "auto-1*")  # 1 and 10 to 19
    expected = {"auto-1"} | {f"auto-{i}" for i in range(10, 20)}
    wait_for(lambda: expected <= set(found), "the answers")
    assert set(found) == expected and {answer.status for answer in found.values()} == {200}
    server.stop()  # the others hear that, too
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    server.start()


def test_a_waiting_agent_that_leaves_is_forgotten(server):
    agent = Agent(server, "t1")
    for _ in range(10):
        with pytest.raises(TimeoutError):
            agent.caller.get("/v1/agents/t1/next?wait=50", timeout=0.05)
    assert agent.next().status == 204


# --- people and targets --------------------------------------------------------------------------------

def test_targets_are_registered_approved_and_forgotten_by_hand(server, people):
    artifact = people.upload("a.jar", java_bundle("a", "1.0.0"))
    agent = Agent(server, "t1")
    assert target(people, "t1")["registration"] == "Unregistered"
    people.right("POST", "/v1/targets/t1/register", {"autoApprove": False})
    assert people.post("/v1/targets/t1/register", {}).status == 409
    people.assign(artifact["definition"], "t1")
    seen = wait_for(lambda: (seen := target(people, "t1"))["store"] == "Unapproved" and seen, "Unapproved")
    assert not seen["autoApprove"] and agent.next().status == 204
    people.right("POST", "/v1/targets/t1/approve")
    version = agent.statement()["version"]
    agent.report(version, "running")
    assert wait_for(lambda: target(people, "t1")["provisioning"] == "OK", "OK")
    assert people.right("POST", "/v1/targets/t1/acknowledge")["provisioning"] == "Idle"
    people.right("POST", "/v1/targets/t1/forget")
    wait_for(lambda: people.get("/v1/targets/t1").status == 404, "the target to go")
    for action in ("approve", "acknowledge", "forget", "versions", "log"):
        method = "GET" if action in ("versions", "log") else "POST"
        assert people.ask(method, f"/v1/targets/nobody/{action}").status == 404, action


def test_a_bundle_for_another_runtime_is_refused_with_the_reason(server, people):
    artifact = people.upload("a.jar", java_bundle("a", "1.0.0"))
    agent = Agent(server, "t1", runtime="c")
    people.right("POST", "/v1/targets/t1/register", {"autoApprove": False})
    people.assign(artifact["definition"], "t1")
    answer = people.post("/v1/targets/t1/approve")
    assert answer.status == 400 and "java" in answer.json["message"], answer
    assert agent.next().status == 204


def test_targets_are_listed_in_pages_and_by_filter(server, people):
    for i in range(25):
        Agent(server, f"t{i:02}", site="lab" if i % 2 else "field")
    seen, after = [], ""
    while after is not None:
        page = people.right("GET", f"/v1/targets?limit=10&after={after}")
        seen += [item["id"] for item in page["items"]]
        after = page["next"]
    assert seen == [f"t{i:02}" for i in range(25)]
    assert [item["id"] for item in people.right("GET", "/v1/targets?limit=2&filter=(id=*1*)")["items"]] == \
        ["t01", "t10"]


def test_events_tell_of_targets_and_versions(server, people):
    events = Events(people, people.right("GET", "/v1/state")["cursor"])
    artifact = people.upload("a.jar", java_bundle("a", "1.0.0"))
    agent = Agent(server, "auto-1")
    people.assign(artifact["definition"], "auto-1")
    agent.report(agent.statement()["version"], "running")
    assert agent.caller.post("/auditlog/send", b"auto-1,1,1,1,3,id,2\n").status == 200
    wait_for(lambda: any(value["id"] == "auto-1" and value["provisioning"] == "OK" for value in events.of("target")),
             "the target's event")
    wait_for(lambda: [(value["target"], value["version"]) for value in events.of("version")] == [("auto-1", "1.0.0")],
             "the version's event")
    wait_for(lambda: [value["name"] for value in events.of("audit")] == ["bundle started"], "the log's event")
    people.right("POST", "/v1/targets/auto-1/forget")
    wait_for(lambda: {"id": "auto-1"} in events.of("target-gone"), "the end of the target")
    events.close()


def test_settings_are_checked_and_kept(server, people):
    first = people.right("GET", "/v1/settings")
    assert first["register"] == "(id=auto-*)" and first["versionsKept"] == 20
    for wrong in ({"register": "(x"}, {"register": 7}, {"colour": "red"}, {"versionsKept": -1},
                  {"forgetSeconds": 2**60}):
        assert people.put("/v1/settings", wrong).status == 400, wrong
    people.right("PUT", "/v1/settings", {"register": "(id=*)", "autoApprove": None, "versionsKept": 3})
    server.stop()
    server.start()
    kept = server.people().right("GET", "/v1/settings")
    assert kept["register"] == "(id=*)" and kept["autoApprove"] is None and kept["versionsKept"] == 3
    Agent(server, "anybody")
    assert wait_for(lambda: target(server.people(), "anybody")["registration"] == "Registered", "the registration")


# --- credentials of other agents ---------------------------------------------------------------------

def test_agents_of_ace_need_credentials_where_that_is_asked_for(make_server):
    server = make_server("--credentials")
    caller = Caller(server.agents_address)
    answer = caller.get("/deployment/t1/versions/")
    assert answer.status == 401 and "Basic" in answer.headers["WWW-Authenticate"]
    people = server.people()
    people.right("PUT", "/v1/accounts/t1", {"password": "its password", "role": "viewer"})
    assert Caller(server.agents_address, basic("t1", "its password")).get("/deployment/t1/versions/").status == 200
    assert Caller(server.agents_address, basic("t1", "its password")).get("/deployment/t2/versions/").status == 403
    assert Caller(server.agents_address, basic("d", "f")).get("/deployment/t2/versions/").status == 200
    lines = b"t1,1,1,1,3,id,2\n" * 10000
    assert caller.post("/auditlog/send", lines).status == 401
    assert Caller(server.agents_address, basic("t1", "its password")).post("/auditlog/send", lines).status == 200


def test_agents_may_know_the_server_by_a_name(server):
    caller = Caller(server.agents_address, f"Bearer {TOKEN}")
    assert caller.post("/v1/agents/t1/enrol", {}, headers={"Host": "provisioning.default.svc:8080"}).status == 200
    assert caller.get("/metrics", headers={"Host": "provisioning.default.svc:8080"}).status == 200
    by_name = Caller(server.agents_address, basic("d", "f"))
    assert by_name.get("/metrics", headers={"Host": "provisioning.default.svc:8080"}).status == 403


def counted(people):
    text = people.get("/metrics").body.decode()
    return {name: int(number) for name, number in re.findall(r"^inaetics_provisioning_targets(\w*) (\d+)$", text, re.M)}


def test_metrics_count_targets_as_they_come_change_and_go_and_again_after_a_start(server, people):
    assert counted(people) == {"": 0, "_registered": 0, "_unapproved": 0, "_failed": 0, "_ready": 0}
    workspace = people.workspace()
    people.change(workspace, *[add("target", id=f"counted-{i}") for i in range(200)])
    people.commit(workspace)
    wait_for(lambda: counted(people)["_registered"] == 200, "all to be counted")
    assert Caller(server.agents_address).get("/deployment/stranger/versions/").status in (200, 404)
    wait_for(lambda: counted(people)[""] == 201, "the stranger to be counted")
    for i in range(100):
        assert people.post(f"/v1/targets/counted-{i}/forget").status == 200
    wait_for(lambda: counted(people)["_registered"] == 100, "those that are forgotten to be counted no more")
    server.stop()
    server.start()
    people = server.people()
    wait_for(lambda: counted(people)["_registered"] == 100, "all to be counted after a start")


def test_agents_of_ace_are_open_on_loopback_and_beyond_it_only_if_insecure(make_server):
    assert Caller(make_server().agents_address).get("/deployment/t1/versions/").status == 200
    beyond = make_server(listen="0.0.0.0:0").agents_address.replace("0.0.0.0", "127.0.0.1")
    assert Caller(beyond).get("/deployment/t1/versions/").status == 401
    insecure = make_server("--insecure", listen="0.0.0.0:0")
    assert Caller(insecure.agents_address.replace("0.0.0.0", "127.0.0.1")).get("/deployment/t1/versions/").status == 200
    wait_for(lambda: any("without credentials" in line for line in insecure.log), "it says so")


def test_a_client_certificate_counts_for_the_target_that_it_names_and_no_other(make_server, tmp_path):
    pki, foreign = tmp_path / "pki", tmp_path / "foreign"
    for folder in (pki, foreign):
        make_authority(folder)
        make_certificate(folder, "t1", "/O=x/CN=t1", "extendedKeyUsage=clientAuth\n")
    make_certificate(pki, "cluster", "/O=inaetics:node:t1", "extendedKeyUsage=clientAuth\n")
    make_server_certificate(pki)
    server = make_server("--pki", pki, "--credentials")

    def status(folder, name, target, headers=None):
        context = ssl.create_default_context(cafile=pki / "ca.pem")
        if name:
            context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}-key.pem")
        host, port = server.agents_address.split(":")
        connection = http.client.HTTPSConnection(host, int(port), timeout=PATIENCE, context=context)
        try:
            connection.request("GET", f"/deployment/{target}/versions/", headers=headers or {})
            return connection.getresponse().status
        except (ssl.SSLError, OSError):
            return None
        finally:
            connection.close()

    assert status(pki, "t1", "t1") == 200
    assert status(pki, "t1", "t2") == 403
    assert status(pki, "t1", "t2", {"Authorization": basic("d", "f")}) == 403
    assert status(pki, "cluster", "t1") == 401  # has no common name: it is the cluster's, not a target's
    assert status(pki, None, "t1") == 401
    assert status(pki, None, "t1", {"Authorization": basic("d", "f")}) == 200
    assert status(foreign, "t1", "t1") in (None, 401)


# --- rollouts -------------------------------------------------------------------------------------------

POLICY = {"groups": [10, 100], "success": 100, "error": 0, "gateSeconds": 1, "installSeconds": 60,
          "silenceSeconds": 60, "progress": 50, "automaticRollback": True}


class Crew:
    """Agents that install what they get, each in a thread; some versions do not start."""

    def __init__(self, server, number, bad=()):
        self.agents = [Agent(server, f"auto-{i}") for i in range(number)]
        self.bad = set(bad)  # digests
        self.had = {agent.name: [] for agent in self.agents}  # digests that it was offered
        self.ending = False
        self.threads = [threading.Thread(target=self.run, args=(agent,)) for agent in self.agents]
        for thread in self.threads:
            thread.start()

    def run(self, agent):
        running = tried = ""
        while not self.ending:
            answer = agent.next(tried, 1)
            if answer.status == 200:
                statement = json.loads(base64.b64decode(answer.json["envelope"]["payload"]))
                tried = statement["version"]
                digests = [artifact["sha256"] for artifact in statement["artifacts"]]
                self.had[agent.name] += digests
                agent.report(tried, "installing")
                if self.bad & set(digests):
                    agent.report(tried, "failed", "a component does not start")
                else:
                    running = tried
            if running == tried and running:
                agent.report(running, "running")

    def end(self):
        self.ending = True
        for thread in self.threads:
            thread.join(PATIENCE)


def test_a_rollout_goes_through_its_groups_and_what_fails_comes_back_by_itself(server, people):
    good, better, bad = (java_bundle("a", f"{number}.0.0") for number in (1, 2, 3))
    digests = [hashlib.sha256(data).hexdigest() for data in (good, better, bad)]
    artifact = people.upload("a.jar", good)
    crew = Crew(server, 4, bad=digests[2:])
    try:
        wait_for(lambda: len(people.right("GET", "/v1/objects?kind=target")["items"]) == 4, "the registrations")
        workspace = people.workspace()
        people.change(workspace, add("feature", name="f"), add("distribution", name="d"))
        people.change(workspace, link("artifact2feature", artifact["definition"], "feature-name-f",
                                      associationVersionStatement="0.0.0"),
                      link("feature2distribution", "feature-name-f", "distribution-name-d"),
                      add("distribution2target", leftEndpoint="(name=d)", rightEndpoint="(id=auto-*)",
                          leftCardinality="1", rightCardinality="2147483647"))
        people.commit(workspace)

        def installed(digest):
            return sum(had[-1:] == [digest] for had in crew.had.values())

        wait_for(lambda: installed(digests[0]) == 4, "the first version everywhere")
        people.right("PUT", "/v1/policy", POLICY)
        assert people.right("GET", "/v1/policy")["groups"] == [10, 100]
        assert people.put("/v1/policy", {"groups": [50, 10]}).status == 400
        people.upload("a.jar", better)
        wait_for(lambda: people.right("GET", "/v1/state")["rollout"], "a rollout")
        wait_for(lambda: people.right("GET", "/v1/rollouts")["items"][0]["phase"] == "done", "its end")
        assert installed(digests[1]) == 4
        people.upload("a.jar", bad)
        newest = wait_for(lambda: (newest := people.right("GET", "/v1/rollouts")["items"][0])["phase"] == "rolled-back"
                          and newest, "the way back")
        assert "targets" not in newest and newest["reason"]
        wait_for(lambda: installed(digests[1]) == 4, "the old content everywhere")
        assert sum(digests[2] in had for had in crew.had.values()) == 1, "others than the first group saw it"
        shown = people.right("GET", f"/v1/rollouts/{newest['id']}")
        assert any("does not start" in (target["reason"] or "") for target in shown["targets"])
        answer = people.post("/v1/rollouts", {"revision": newest["to"]})
        assert answer.status == 409, answer
    finally:
        crew.end()


# --- ACE's REST dialect --------------------------------------------------------------------------------

class AceClient:
    def __init__(self, server):
        self.caller = server.people()
        answer = self.caller.post("/client/work")
        assert answer.status == 302
        self.url = answer.headers["Location"]
        assert self.url.startswith("/client/work/rest-")

    def create(self, kind, text):
        answer = self.caller.post(f"{self.url}/{kind}", text.encode())
        assert answer.status == 302, answer
        return answer.headers["Location"]


def test_the_sequence_of_aces_clients_leads_to_a_version(server, people):
    ace = AceClient(server)
    kinds = ace.caller.get(ace.url).json
    assert kinds == ["artifact", "artifact2feature", "feature", "feature2distribution", "distribution",
                     "distribution2target", "target"]
    people.upload("a.jar", java_bundle("foo.a1", "1.0.0"), workspace=ace.url.rsplit("/", 1)[1])
    assert ace.caller.get(ace.url + "/artifact").json == \
        ["artifact-Bundle-SymbolicName-foo.a1-Bundle-Version-1.0.0"]
    feature = ace.create("feature", "{attributes:{name:'foo f1'},tags:{}} // lenient")
    assert feature.endswith("/feature/feature-name-foo%20f1")
    assert ace.caller.get(feature).json["attributes"] == {"name": "foo f1"}
    assert ace.caller.get(feature.replace("%20", "+")).status == 200
    ace.create("distribution", '{"attributes":{"name":"foo.d1"},"tags":{}}')
    ace.create("target", '{"attributes":{"id":"t1","autoapprove":"true"},"tags":{}}')
    ace.create("artifact2feature", '{"attributes":{"leftEndpoint":"(Bundle-SymbolicName=foo.a1)",'
               '"rightEndpoint":"(name=foo f1)","leftCardinality":"1","rightCardinality":"1"},"tags":{}}')
    ace.create("feature2distribution",
               '{"attributes":{"left":"feature-name-foo f1","right":"distribution-name-foo.d1"},"tags":{}}')
    ace.create("distribution2target", '{"attributes":{"leftEndpoint":"(name=foo.d1)","rightEndpoint":"(id=t1)"}}')
    assert Caller(server.agents_address).get("/deployment/t1/versions/").body == b""
    assert ace.caller.post(ace.url).status == 200
    wait_for(lambda: Caller(server.agents_address).get("/deployment/t1/versions/").body == b"1.0.0\n", "the version")
    shown = ace.caller.get(ace.url + "/target/target-id-t1").json
    assert shown["state"]["registrationState"] == "Registered" and shown["state"]["currentVersion"] == "1.0.0"
    assert shown["state"]["isRegistered"] == "true" and shown["state"]["storeState"] == "Approved"
    assert shown["state"]["artifactsFromShop"] == ["artifact-Bundle-SymbolicName-foo.a1-Bundle-Version-1.0.0"]
    assert ace.caller.delete(ace.url).status == 200
    assert ace.caller.get(ace.url).status == 404


def test_aces_clients_replace_remove_and_are_told_what_is_wrong(server):
    ace = AceClient(server)
    feature = ace.create("feature", '{"attributes":{"name":"f1"},"tags":{"a":"1"}}')
    assert ace.caller.post(ace.url + "/feature", b'{"attributes":{"name":"f1"}}').status == 400
    assert ace.caller.post(ace.url + "/feature", b'{"attributes":{}}').status == 400
    assert ace.caller.post(ace.url + "/feature", b'{"attributes":').status == 400
    assert ace.caller.put(feature, b'{"attributes":{"name":"f1","description":"x"},"tags":{"b":"2"}}').status == 302
    shown = ace.caller.get(feature).json
    assert shown["attributes"] == {"name": "f1", "description": "x"} and shown["tags"] == {"b": "2"}
    assert ace.caller.put(feature, b'{"attributes":{"name":"f2"},"tags":{}}').status in (400, 409)
    assert ace.caller.delete(feature).status == 200
    assert ace.caller.get(feature).status == 404 and ace.caller.delete(feature).status == 404
    assert ace.caller.get(ace.url + "/house").status == 404
    assert ace.caller.get(ace.url + "/feature/x/y/z").status == 404
    assert ace.caller.get("/client").status == 501 and ace.caller.get("/client/latest").status == 501
    assert ace.caller.put(ace.url, b"").status == 405
    assert Caller(server.people_address).post("/client/work").status == 401


def test_of_two_commits_of_aces_clients_one_is_409(server):
    first, second = AceClient(server), AceClient(server)
    first.create("feature", '{"attributes":{"name":"f1"},"tags":{}}')
    second.create("feature", '{"attributes":{"name":"f2"},"tags":{}}')
    assert first.caller.post(first.url).status == 200
    assert second.caller.post(second.url).status == 409


def test_aces_clients_register_approve_and_read_the_log(server, people):
    artifact = people.upload("a.jar", java_bundle("a", "1.0.0"))
    Caller(server.agents_address).get("/deployment/t1/versions/")
    assert Caller(server.agents_address).post("/auditlog/send", b"t1,1,1,7,3,id,2\nt1,1,2,8,4,id,2\n").status == 200
    ace = AceClient(server)
    url = ace.url + "/target/target-id-t1"
    assert ace.caller.get(ace.url + "/target").json == ["target-id-t1"]
    assert ace.caller.get(url + "/register").json == "Unregistered"
    assert ace.caller.post(url + "/register").status == 200
    assert ace.caller.post(url + "/register").status == 409
    assert ace.caller.post(ace.url).status == 200
    wait_for(lambda: ace.caller.get(url + "/register").json == "Registered", "the registration")
    people.assign(artifact["definition"], "t1")
    wait_for(lambda: ace.caller.get(url + "/approve").json == "Unapproved", "Unapproved")
    assert ace.caller.post(url + "/approve").status == 200
    assert ace.caller.post(ace.url).status == 200
    wait_for(lambda: ace.caller.get(url + "/approve").json == "Approved", "Approved")
    assert Caller(server.agents_address).get("/deployment/t1/versions/").body == b"1.0.0\n"
    events = ace.caller.get(url + "/auditEvents?start=0&max=100").json
    assert [(event["logId"], event["id"], event["type"]) for event in events] == \
        [(1, 1, "bundle started"), (1, 2, "bundle stopped")]
    assert len(ace.caller.get(url + "/auditEvents?start=1&max=1").json) == 1
    assert ace.caller.get(url + "/dance").status == 404


# --- desired states --------------------------------------------------------------------------------------

def desired(folder, **more):
    folder.mkdir(exist_ok=True)
    (folder / "a.jar").write_bytes(java_bundle("a", "1.0.0"))
    state = {"version": 1, "artifacts": ["a.jar"], "features": {"f": {"artifacts": ["a"]}},
             "distributions": {"d": {"features": ["f"]}},
             "assignments": [{"distribution": "d", "targets": "(id=auto-*)"}],
             "settings": {"register": "(id=auto-*)", "autoApprove": "(id=auto-*)"}} | more
    (folder / "provisioning.json").write_text(json.dumps(state))
    return state


def test_a_desired_state_is_loaded_at_start_once_and_again_when_it_changed(make_server, tmp_path):
    folder = tmp_path / "state"
    desired(folder)
    server = make_server("--load", folder)
    people = server.people()
    revision = people.right("GET", "/v1/state")["revision"]
    assert revision > 0
    assert people.right("GET", "/v1/desired")["drift"] == []
    Caller(server.agents_address).get("/deployment/auto-1/versions/")
    wait_for(lambda: Caller(server.agents_address).get("/deployment/auto-1/versions/").body == b"1.0.0\n", "1.0.0")
    workspace = people.workspace()
    people.change(workspace, add("feature", name="by hand"))
    people.commit(workspace)
    assert people.right("GET", "/v1/state")["drift"] == 1
    assert [(item["kind"], item["name"], item["change"]) for item in people.right("GET", "/v1/desired")["drift"]] == \
        [("feature", "by hand", "removed")]
    revision = people.right("GET", "/v1/state")["revision"]
    server.stop()
    server.start()
    people = server.people()
    assert people.right("GET", "/v1/state")["revision"] == revision, "the same state was loaded twice"
    server.stop()
    (folder / "b.jar").write_bytes(java_bundle("b", "1.0.0"))
    desired(folder, artifacts=["a.jar", "b.jar"], features={"f": {"artifacts": ["a", "b"]}})
    server.start()
    people = server.people()
    assert people.right("GET", "/v1/state")["drift"] == 0
    assert [item["attributes"]["name"] for item in people.right("GET", "/v1/objects?kind=feature")["items"]] == ["f"]
    wait_for(lambda: Caller(server.agents_address).get("/deployment/auto-1/versions/").body == b"1.0.0\n2.0.0\n",
             "2.0.0")


def test_a_state_that_cannot_be_loaded_is_said_and_what_is_stored_is_served(make_server, tmp_path):
    folder = tmp_path / "state"
    for number, (change, word) in enumerate((
            ({"artifacts": ["nothing.jar"]}, "nothing.jar"), ({"artifacts": ["../x"]}, "beside"),
            ({"features": {"f": {"artifacts": ["unknown"]}}}, "unknown"), ({"colour": 1}, "colour"))):
        desired(folder, **change)
        server = make_server("--load", folder)
        wait_for(lambda: any("level=error" in line and word in line for line in server.log), f"{number}: {word} is told")
        assert server.people().right("GET", "/v1/state")["revision"] == 0


def test_applying_a_state_twice_changes_nothing_and_missing_files_are_named(server, people, tmp_path):
    state = desired(tmp_path / "state")
    data = (tmp_path / "state" / "a.jar").read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    state["artifacts"] = [{"file": "a.jar", "sha256": digest}]
    answer = people.post("/v1/desired", state)
    assert answer.status == 409 and answer.json["error"] == "missing"
    assert answer.json["missing"] == [{"file": "a.jar", "sha256": digest}]
    dry = people.right("POST", "/v1/desired?dry-run=true", state)
    assert dry["missing"] and dry["revision"] is None
    assert people.right("GET", "/v1/state")["revision"] == 0
    people.upload("a.jar", data)
    applied = people.right("POST", "/v1/desired", state)
    assert {item["kind"] for item in applied["differences"]} >= {"feature", "distribution"}
    again = people.right("POST", "/v1/desired", state)
    assert again["differences"] == [] and again["revision"] == applied["revision"]
    exported = people.right("GET", "/v1/export")
    assert people.right("POST", "/v1/desired?dry-run=true", exported)["differences"] == []
    people.right("PUT", "/v1/accounts/eve", {"password": "long enough", "role": "viewer"})
    state["features"]["g"] = {}
    assert server.people("eve", "long enough").post("/v1/desired", state).status == 403


# --- etcd ------------------------------------------------------------------------------------------------

@pytest.fixture
def etcd(tmp_path):
    import socket
    ports = []
    for _ in range(2):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            ports.append(probe.getsockname()[1])
    client, peer = (f"http://127.0.0.1:{port}" for port in ports)
    process = subprocess.Popen(
        [find_etcd(), "--data-dir", tmp_path / "etcd", "--listen-client-urls", client, "--advertise-client-urls", client,
         "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", f"default={peer}"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ | {"ETCD_UNSUPPORTED_ARCH": "arm64"})
    caller = Caller(client.removeprefix("http://"))

    def records():
        def code(text):
            return base64.b64encode(text.encode()).decode()
        try:
            answer = caller.post("/v3/kv/range", {"key": code("/inaetics/node-provisioning-service/"),
                                                  "range_end": code("/inaetics/node-provisioning-service0")})
        except OSError:
            return None
        return [json.loads(base64.b64decode(kv["value"])) for kv in answer.json.get("kvs", [])]

    wait_for(lambda: records() is not None, "etcd")
    yield client, records
    process.kill()
    process.wait()


def test_the_server_is_found_through_etcd_while_it_is_there(make_server, etcd):
    url, records = etcd
    server = make_server("--etcd", url)
    wait_for(lambda: records() == [{"version": 1, "url": f"http://{server.agents_address}", "security": "none"}],
             "the record")
    server.stop()
    assert records() == []
    server.start()
    wait_for(lambda: len(records()) == 1, "the record")
    server.kill()
    wait_for(lambda: records() == [], "the end of the lease")
    server.start()
