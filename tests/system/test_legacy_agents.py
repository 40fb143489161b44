"""Agents of ACE and Celix, as they were seen to behave, and the real server: installed, updated, gone back, removed."""
import hashlib
import shutil

import pytest
from conftest import wait_for
from legacy_agents import AceAgent, AgentCrashed, CelixAgent, PackageRefused, TransferFailed
from provisioning_server import Server, add, java_bundle, link

TARGETS = ("ace-1", "celix-1")
SETTINGS = '{"register": "(id=*)", "autoApprove": "(id=*)"}'


@pytest.fixture
def server(tmp_path):
    server = Server(tmp_path, "--settings", SETTINGS)
    yield server
    server.stop()


def link_all(people):
    """What feature `f` has goes to every target, in the newest version."""
    workspace = people.workspace()
    people.change(workspace, add("feature", name="f"), add("distribution", name="d"))
    people.change(workspace, link("feature2distribution", "feature-name-f", "distribution-name-d"),
                  {"op": "add", "kind": "distribution2target",
                   "object": {"attributes": {"leftEndpoint": "(name=d)", "rightEndpoint": "(id=*)",
                                             "leftCardinality": "1", "rightCardinality": "2147483647"}, "tags": {}}})
    return people.commit(workspace)


def upload(people, name, version):
    return people.upload(f"{name}-{version}.jar", java_bundle(name, version, text=f"{name} {version}"))["definition"]


def put(people, name, version):
    """Uploads the first version of a bundle and links it with the feature, for whichever is newest."""
    definition = upload(people, name, version)
    workspace = people.workspace()
    people.change(workspace, link("artifact2feature", definition, "feature-name-f",
                                  associationVersionStatement="0.0.0"))
    return people.commit(workspace)["revision"]


class Pair:
    """Both agents, a turn at a time."""

    def __init__(self, server):
        url = f"http://{server.agents_address}"
        self.ace = AceAgent(url, "ace-1", {"site": "lab"})
        self.celix = CelixAgent(url, "celix-1", {"type": "celix"})

    def turn(self):
        self.ace.step()
        self.celix.step()

    def until(self, condition, what):
        def look():
            self.turn()
            return condition()
        wait_for(look, what)

    def until_both_have(self, bundles):
        self.until(lambda: self.ace.bundles == bundles and self.celix.bundles == bundles, f"both have {bundles}")


def target(people, name):
    return people.right("GET", f"/v1/targets/{name}")


def test_both_install_update_go_back_and_remove(server):
    people = server.people()
    agents = Pair(server)
    agents.turn()
    link_all(people)
    put(people, "t.a", "1.0.0")
    before = put(people, "t.b", "1.0.0")
    agents.until_both_have({"t.a": "1.0.0", "t.b": "1.0.0"})
    upload(people, "t.b", "2.0.0")
    agents.until_both_have({"t.a": "1.0.0", "t.b": "2.0.0"})
    for name in TARGETS:
        agents.until(lambda name=name: target(people, name)["provisioning"] == "OK", f"{name} says so")
        found = target(people, name)
        assert found["installed"] == found["current"] and found["legacy"]
        assert found["health"]["ready"] and found["health"]["version"] == found["current"]
    last = agents.ace.version

    people.right("POST", f"/v1/revisions/{before}/restore", {"message": "go back"})
    agents.until_both_have({"t.a": "1.0.0", "t.b": "1.0.0"})
    assert agents.ace.order(agents.ace.version) > agents.ace.order(last)  # the old content as a new version

    workspace = people.workspace()
    links = people.right("GET", "/v1/objects?kind=artifact2feature")["items"]
    people.change(workspace, *({"op": "remove", "kind": "artifact2feature", "definition": one["definition"]}
                               for one in links if "t.b" in one["definition"]))
    people.commit(workspace)
    agents.until_both_have({"t.a": "1.0.0"})


def test_tags_that_agents_tell_are_the_targets(server):
    agents = Pair(server)
    agents.turn()
    people = server.people()
    wait_for(lambda: target(people, "ace-1")["tags"].get("target.site") == "lab", "what ACE's agent told")
    wait_for(lambda: target(people, "celix-1")["tags"].get("target.type") == "celix", "what Celix' agent told")


def test_success_of_the_ace_agent_does_not_hide_a_bundle_that_did_not_start(server):
    people = server.people()
    agents = Pair(server)
    agents.ace.starts = lambda name, version: name != "t.bad"
    agents.turn()
    link_all(people)
    put(people, "t.bad", "1.0.0")
    agents.until(lambda: target(people, "ace-1")["health"], "health is known")
    health = target(people, "ace-1")["health"]
    assert not health["ready"] and "t.bad" in health["reason"] and health["errors"] == 1


def test_a_failure_is_of_the_version_that_was_tried_and_a_newer_one_heals_it(server):
    people = server.people()
    agents = Pair(server)
    agents.turn()
    link_all(people)
    put(people, "t.a", "1.0.0")
    agents.until_both_have({"t.a": "1.0.0"})
    tried = []

    def refuse(body):
        tried.append(body)
        raise PackageRefused("no room")

    agents.ace.install, install = refuse, agents.ace.install
    upload(people, "t.a", "2.0.0")
    agents.until(lambda: target(people, "ace-1")["provisioning"] == "Failed", "the failure is known")
    found = target(people, "ace-1")
    assert found["current"] in found["problem"] and agents.ace.version in found["problem"]
    for _ in range(3):
        agents.turn()
    assert len(tried) == 1  # it does not try again what failed once
    agents.ace.install = install
    upload(people, "t.a", "3.0.0")
    agents.until_both_have({"t.a": "3.0.0"})
    agents.until(lambda: target(people, "ace-1")["provisioning"] == "OK", "it is well again")


def test_a_package_that_does_not_arrive_once_is_installed_all_the_same(server):
    people = server.people()
    agents = Pair(server)
    agents.turn()
    link_all(people)
    lost = []
    install = agents.ace.install

    def lose(body):
        if not lost:
            lost.append(body)
            raise TransferFailed
        install(body)

    agents.ace.install = lose
    put(people, "t.a", "1.0.0")
    agents.until_both_have({"t.a": "1.0.0"})
    assert lost and agents.ace.version == "2.0.0"  # the same, under a version that it takes
    agents.until(lambda: target(people, "ace-1")["provisioning"] == "OK", "it says so")


def start_again(server):
    """At the same addresses."""
    server.listen, server.pages = server.agents_address, server.people_address
    server.stop()
    server.start()


def test_what_a_celix_agent_fetched_before_the_server_started_again_counts_as_installed(server):
    people, agent = server.people(), CelixAgent(f"http://{server.agents_address}", "celix-1")
    agent.step()
    link_all(people)
    put(people, "t.a", "1.0.0")
    wait_for(lambda: (agent.step(), agent.version == "1.0.0")[1], "it has the version")
    assert target(people, "celix-1")["provisioning"] == "InProgress"  # it has not asked again since
    start_again(server)
    people = server.people()
    agent.step()
    assert target(people, "celix-1")["installed"] == ""  # it could still be about to fetch it
    agent.step()
    found = target(people, "celix-1")
    assert (found["provisioning"], found["installed"]) == ("OK", "1.0.0")
    assert found["health"]["ready"] and found["health"]["version"] == "1.0.0"


def test_what_a_celix_agent_fetches_again_after_the_server_started_again_does_not_count_as_installed(server):
    people, agent = server.people(), CelixAgent(f"http://{server.agents_address}", "celix-1")
    agent.step()
    link_all(people)
    put(people, "t.a", "1.0.0")
    fetched = []

    def crash(body):
        fetched.append(body)
        agent.restart()
        raise AgentCrashed("its activator dies")

    def step():
        try:
            agent.step()
        except AgentCrashed:
            pass
        return len(fetched)

    agent.install = crash
    wait_for(step, "it fetched the version")
    start_again(server)
    for _ in range(6):
        step()
    assert len(fetched) > 3
    found = target(server.people(), "celix-1")
    assert (found["provisioning"], found["installed"]) == ("InProgress", "")


def test_a_bundle_with_many_ways_to_its_target_does_not_overflow_the_celix_agent(server):
    people = server.people()
    agents = Pair(server)
    agents.turn()
    definition = upload(people, "t.a", "1.0.0")
    workspace = people.workspace()
    for i in range(12):
        name = f"a-feature-with-a-rather-long-name-{i:02}"
        people.change(workspace, add("feature", name=name), add("distribution", name=name))
        people.change(workspace, link("artifact2feature", definition, f"feature-name-{name}"),
                      link("feature2distribution", f"feature-name-{name}", f"distribution-name-{name}"),
                      {"op": "add", "kind": "distribution2target",
                       "object": {"attributes": {"leftEndpoint": f"(name={name})", "rightEndpoint": "(id=*)",
                                                 "leftCardinality": "1", "rightCardinality": "2147483647"},
                                  "tags": {}}})
    people.commit(workspace)
    agents.until_both_have({"t.a": "1.0.0"})


def test_a_celix_agent_that_cannot_remove_what_it_never_installed_is_well_after_its_restart(server):
    people, agent = server.people(), CelixAgent(f"http://{server.agents_address}", "celix-1")
    agent.step()
    agent.installs = lambda name, version: name != "t.refused"
    link_all(people)
    put(people, "t.a", "1.0.0")
    put(people, "t.refused", "1.0.0")
    wait_for(lambda: (agent.step(), "t.refused" in agent.known)[1], "it has both")
    wait_for(lambda: (agent.step(), target(people, "celix-1")["provisioning"] == "OK")[1], "it seems well")
    workspace = people.workspace()
    people.change(workspace, *({"op": "remove", "kind": "artifact2feature", "definition": one["definition"]}
                               for one in people.right("GET", "/v1/objects?kind=artifact2feature")["items"]
                               if "t.refused" in one["definition"]))
    people.commit(workspace)

    def crashes():
        try:
            agent.step()
        except AgentCrashed:
            return True
        return False

    wait_for(crashes, "it crashes")
    agent.restart()
    wait_for(lambda: (agent.step(), agent.bundles == {"t.a": "1.0.0"})[1], "it has what is left")
    wait_for(lambda: (agent.step(), target(people, "celix-1")["provisioning"] == "OK")[1], "it is well")


def test_a_killed_server_goes_on_with_the_same_bytes_and_no_event_twice(server):
    people = server.people()
    agents = Pair(server)
    agents.turn()
    link_all(people)
    put(people, "t.a", "1.0.0")
    agents.until_both_have({"t.a": "1.0.0"})
    path = f"/deployment/ace-1/versions/{agents.ace.version}"
    whole = server.agents().get(path).body
    server.listen, server.pages = server.agents_address, server.people_address
    server.kill()
    server.start()
    assert server.agents().get(path).body == whole
    for offset in (0, 1, 30, len(whole) // 2, len(whole) - 1):
        answer = server.agents().get(path, headers={"Range": f"bytes={offset}-"})
        assert (answer.status, answer.body) == (206, whole[offset:])
    agents.turn()
    log = f"tid=ace-1&logid={agents.ace.log}"
    assert server.agents().get(f"/auditlog/query?{log}").body.decode() == \
        f"ace-1,{agents.ace.log},1-{len(agents.ace.events)}"
    assert server.agents().get(f"/auditlog/receive?{log}").body.decode().splitlines() == agents.ace.events


def test_a_server_that_lost_all_it_knew_makes_versions_above_those_that_agents_have(server):
    people, agents = server.people(), Pair(server)
    link_all(people)
    put(people, "t.a", "1.0.0")
    agents.until_both_have({"t.a": "1.0.0"})
    for version in ("1.1.0", "1.2.0"):
        upload(people, "t.a", version)
        agents.until_both_have({"t.a": version})
    before = agents.ace.order(agents.ace.version)
    server.listen, server.pages = server.agents_address, server.people_address
    server.stop()
    shutil.rmtree(server.folder / "data")
    server.start()
    link_all(people)
    put(people, "t.a", "2.0.0")
    agents.until_both_have({"t.a": "2.0.0"})
    assert agents.ace.order(agents.ace.version) > before
    wait_for(lambda: (agents.turn(), target(people, "ace-1")["installed"] == agents.ace.version)[1], "ACE's is known")


def test_two_servers_give_the_same_package(server, tmp_path):
    other = Server(tmp_path / "other", "--settings", SETTINGS)
    try:
        digests = set()
        for one in (server, other):
            agents = Pair(one)
            agents.turn()
            link_all(one.people())
            put(one.people(), "t.a", "1.0.0")
            agents.until_both_have({"t.a": "1.0.0"})
            body = one.agents().get("/deployment/celix-1/versions/1.0.0").body
            digests.add(hashlib.sha256(body).hexdigest())
        assert len(digests) == 1
    finally:
        other.stop()


def test_a_rollout_that_harms_the_first_group_of_old_agents_comes_back_by_itself(server):
    people = server.people()
    url = f"http://{server.agents_address}"
    agents = [AceAgent(url, f"ace-{i}") for i in range(4)]
    for agent in agents:
        agent.interval = 0.3
        agent.starts = lambda name, version: version != "2.0.0"
        agent.start()
    try:
        link_all(people)
        put(people, "t.a", "1.0.0")
        wait_for(lambda: all(agent.bundles == {"t.a": "1.0.0"} for agent in agents), "all have the first version")
        wait_for(lambda: all(target(people, agent.identity)["provisioning"] == "OK" for agent in agents), "all say so")
        people.right("PUT", "/v1/policy", {"groups": [25, 100], "success": 100, "error": 0, "gateSeconds": 2,
                                           "installSeconds": 30, "silenceSeconds": 30, "automaticRollback": True})
        upload(people, "t.a", "2.0.0")
        wait_for(lambda: any(one["phase"] == "rolled-back" for one in people.right("GET", "/v1/rollouts")["items"]),
                 "the rollout comes back")
        wait_for(lambda: all(agent.bundles == {"t.a": "1.0.0"} for agent in agents), "all have the first version again")
    finally:
        for agent in agents:
            agent.stop()
    assert not [agent.crashed for agent in agents if agent.crashed]
    saw = [agent for agent in agents if any("version,2.0.0,location" in line for line in agent.events)]
    assert len(saw) == 1  # the others were never offered it
