"""A real agent and a real provisioning server: what is stored runs, what fails is taken back, whoever goes is missed."""
import json
import shutil
import signal
import threading

import pytest
from conftest import wait_for
from deployed import deploy, pack, run_etcd, run_world, target, until_installed, versions


@pytest.fixture
def world(tmp_path):
    yield from run_world(tmp_path)


def major(version):
    return int(version.split(".")[0])


def test_an_empty_agent_gets_its_bundles_updates_and_gives_back(world):
    server = world.server()
    people = server.people()
    agent = world.agent("lab-1", server)
    wait_for(lambda: "waits for its first deployment" in agent.ask("/readyz")[1], "it says what it waits for")
    assert agent.ask("/readyz")[0] == 503
    user = pack(world.folder, "test.user", "1.0.0", "user")
    deploy(people, [pack(world.folder, "test.counter", "1.0.0"), user])
    agent.until_has({"test.counter": "1.0.0", "test.user": "1.0.0"})
    wait_for(lambda: agent.ask("/readyz")[0] == 200, "it is ready")
    until_installed(people, "lab-1", versions(people, "lab-1")[0])

    count = "/counter.v1.Counter/Count"
    assert json.loads(agent.ask(count, "POST", '{"by":"5"}')[1])["total"] == "5"
    deploy(people, [pack(world.folder, "test.counter", "2.0.0"), user])
    agent.until_has({"test.counter": "2.0.0", "test.user": "1.0.0"})
    answer = json.loads(agent.ask(count, "POST", '{"by":"1"}')[1])
    assert (answer["total"], answer["version"]) == ("6", "2.0.0")  # with its state

    deploy(people, [user])
    agent.until_has({"test.user": "1.0.0"})
    until_installed(people, "lab-1", versions(people, "lab-1")[0])


def test_a_version_whose_component_fails_is_reported_and_the_old_one_runs(world):
    server = world.server()
    people = server.people()
    agent = world.agent("lab-1", server)
    deploy(people, [pack(world.folder, "test.counter", "1.0.0")])
    agent.until_has({"test.counter": "1.0.0"})
    good = versions(people, "lab-1")[0]
    until_installed(people, "lab-1", good)
    deploy(people, [pack(world.folder, "test.counter", "2.0.0", "counter_fails_start")])
    failed = wait_for(lambda: (view := target(people, "lab-1"))["provisioning"] == "Failed" and view, "the failure is known")
    assert "there is no room to count" in failed["problem"], failed
    agent.until_has({"test.counter": "1.0.0"})
    wait_for(lambda: any(event["type"] == 2003 and event["properties"]["success"] == "false"
                         for event in people.right("GET", "/v1/targets/lab-1/log")["items"]), "the log tells it")
    deploy(people, [pack(world.folder, "test.counter", "3.0.0")])
    agent.until_has({"test.counter": "3.0.0"})
    until_installed(people, "lab-1", versions(people, "lab-1")[0])


class Supervised:
    """Starts the agent again whenever it has ended, as a node does."""

    def __init__(self, agent):
        self.agent = agent
        self.ends = 0
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()

    def watch(self):
        while not self.stopping.wait(0.05):
            if self.agent.process.poll() is not None:
                self.ends += 1
                self.agent.start()

    def stop(self):
        self.stopping.set()
        self.thread.join()


@pytest.mark.parametrize("library", ["counter_crashes", "counter_crashes_soon"])
def test_a_version_that_ends_its_agent_can_be_replaced(world, library):
    server = world.server()
    people = server.people()
    agent = world.agent("lab-1", server)
    deploy(people, [pack(world.folder, "test.counter", "1.0.0")])
    agent.until_has({"test.counter": "1.0.0"})
    supervised = Supervised(agent)
    try:
        deploy(people, [pack(world.folder, "test.counter", "2.0.0", library)])
        wait_for(lambda: supervised.ends >= 3, "it ends again and again")
        if library == "counter_crashes":
            failed = wait_for(lambda: (view := target(people, "lab-1"))["provisioning"] == "Failed" and view,
                              "it is given up")
            assert "the agent ended 3 times" in failed["problem"], failed
            agent.until_has({"test.counter": "1.0.0"})
        deploy(people, [pack(world.folder, "test.counter", "3.0.0")])
        agent.until_has({"test.counter": "3.0.0"})
        until_installed(people, "lab-1", versions(people, "lab-1")[0])
    finally:
        supervised.stop()


def test_an_agent_starts_from_its_cache_without_a_server_and_goes_on_with_it(world):
    server = world.server()
    people = server.people()
    agent = world.agent("lab-1", server)
    deploy(people, [pack(world.folder, "test.counter", "1.0.0")])
    agent.until_has({"test.counter": "1.0.0"})
    server.listen, server.pages = server.agents_address, server.people_address
    server.kill()
    agent.kill()
    agent.start()
    agent.until_has({"test.counter": "1.0.0"})
    wait_for(lambda: agent.ask("/readyz")[0] == 200, "it is ready without a server")
    server.start()
    deploy(people, [pack(world.folder, "test.counter", "2.0.0")])
    agent.until_has({"test.counter": "2.0.0"})
    until_installed(people, "lab-1", versions(people, "lab-1")[0])


def lose(server):
    """All that the server knows goes, but for the key that it signs with."""
    data = server.folder / "data"
    for path in data.iterdir():
        if path.name.startswith("signing.key"):
            continue
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def test_a_server_that_lost_its_data_goes_on_with_agents_that_kept_theirs(world):
    server = world.server()
    people = server.people()
    agent = world.agent("lab-1", server)
    for version in ("1.0.0", "2.0.0", "3.0.0"):
        deploy(people, [pack(world.folder, "test.counter", version)])
        agent.until_has({"test.counter": version})
    last = versions(people, "lab-1")[0]
    until_installed(people, "lab-1", last)
    server.listen, server.pages = server.agents_address, server.people_address
    server.stop()
    lose(server)
    server.start()
    deploy(people, [pack(world.folder, "test.counter", "4.0.0")])
    agent.until_has({"test.counter": "4.0.0"})
    wait_for(lambda: versions(people, "lab-1"), "the agent enrolled again")
    until_installed(people, "lab-1", versions(people, "lab-1")[0])
    assert major(versions(people, "lab-1")[0]) > major(last)  # no version means two things to one agent
    # The same where the agent was away meanwhile, and has but its cache.
    agent.kill()
    server.stop()
    lose(server)
    server.start()
    deploy(people, [pack(world.folder, "test.counter", "5.0.0")])
    agent.start()
    agent.until_has({"test.counter": "5.0.0"})


def test_what_another_server_signs_is_refused(world):
    server, other = world.server(), world.server()
    agent = world.agent("lab-1", server, INAETICS_TRUST=str(other.folder / "data" / "signing.key.pub"))
    deploy(server.people(), [pack(world.folder, "test.counter", "1.0.0")])
    wait_for(lambda: "not trusted" in agent.ask("/readyz")[1], "it says why it refuses")
    assert agent.bundles() == {}


def test_a_configuration_of_a_deployment_is_below_the_environment(world):
    server = world.server()
    plain = world.agent("lab-1", server)
    told = world.agent("lab-2", server, CONFIG_COUNTER_STEP="9")
    configuration = world.folder / "step.json"
    configuration.write_text('{"counter": {"step": 4}}')
    deploy(server.people(), [pack(world.folder, "test.counter", "1.0.0")], configuration=configuration)
    for agent, step in ((plain, "4"), (told, "9")):
        agent.until_has({"test.counter": "1.0.0"})
        assert json.loads(agent.ask("/counter.v1.Counter/Count", "POST", '{"by":"1"}')[1])["total"] == step


@pytest.fixture
def etcd(tmp_path):
    yield from run_etcd(tmp_path)


def test_an_agent_finds_its_server_in_etcd_and_again_when_it_moved(world, etcd):
    agent = world.agent("lab-1", None, INAETICS_ETCD=etcd,
                        INAETICS_TRUST=str(world.folder / "server-0" / "data" / "signing.key.pub"))
    wait_for(lambda: "no provisioning server is known" in agent.ask("/readyz")[1], "it says that there is none")
    server = world.server("--etcd", etcd)
    deploy(server.people(), [pack(world.folder, "test.counter", "1.0.0")])
    agent.until_has({"test.counter": "1.0.0"})
    server.kill()
    server.start()  # at other addresses
    deploy(server.people(), [pack(world.folder, "test.counter", "2.0.0")])
    agent.until_has({"test.counter": "2.0.0"})
    until_installed(server.people(), "lab-1", versions(server.people(), "lab-1")[0])


def test_a_frozen_server_is_left_for_another(world, etcd):
    trust = world.folder / "trusted.pub"
    trust.write_text("")
    first = world.server("--etcd", etcd)
    agent = world.agent("lab-1", None, INAETICS_ETCD=etcd, INAETICS_TRUST=str(trust))
    trust.write_text((first.folder / "data" / "signing.key.pub").read_text())
    deploy(first.people(), [pack(world.folder, "test.counter", "1.0.0")])
    agent.until_has({"test.counter": "1.0.0"})
    until_installed(first.people(), "lab-1", "1.0.0")
    second = world.server("--etcd", etcd)
    trust.write_text(trust.read_text() + (second.folder / "data" / "signing.key.pub").read_text())
    first.process.send_signal(signal.SIGSTOP)
    try:
        people = second.people()
        deploy(people, [pack(world.folder, "test.counter", "1.0.0")])
        wait_for(lambda: any(one["id"] == "lab-1" for one in people.right("GET", "/v1/targets")["items"]),
                 "the agent comes to the other server")
        deploy(people, [pack(world.folder, "test.counter", "2.0.0")])
        agent.until_has({"test.counter": "2.0.0"})
        until_installed(people, "lab-1", versions(people, "lab-1")[0])
    finally:
        first.process.send_signal(signal.SIGCONT)
