"""SIGKILL to agent and server at random moments of a deployment: always a whole set, always a true report."""
import http.client
import random
import re
import threading
import time

import pytest
from conftest import LONG, SEED, wait_for
from deployed import deploy, pack, run_world, target

ROUNDS = 100 if LONG else 10


@pytest.fixture
def world(tmp_path):
    yield from run_world(tmp_path)


def installed(agent):
    """What is there, in whatever state; None while it does not answer."""
    status, text = agent.ask("/metrics")
    if status != 200:
        return None
    found = dict(re.findall(r'inaetics_bundle_info\{bundle="([^"]*)",version="([^"]*)"', text))
    found.pop("deployment", None)
    return found


def newest(people, name):
    versions = people.right("GET", f"/v1/targets/{name}/versions")["items"]
    return versions[0]


def content(version):
    return {artifact["symbolicName"]: artifact["version"] for artifact in version["artifacts"]}


def say_when(agent, what, begin):
    """Waits until the agent logs it, at most two seconds."""
    deadline = time.monotonic() + 2
    while time.monotonic() < deadline:
        if any(what in line for line in agent.log[begin:]):
            return
        time.sleep(0.0002)


def test_killed_at_random_moments_of_a_deployment_sets_are_whole_and_reports_true(world):
    print(f"INAETICS_SEED {SEED}")
    moments = random.Random(SEED)
    server = world.server()
    server.listen, server.pages = server.agents_address, server.people_address
    people = server.people()
    agent = world.agent("lab-1", server)
    user, extra = (pack(world.folder, name, "1.0.0", "user") for name in ("test.user", "test.extra"))
    sets = []
    killed = {"agent": 0, "server": 0}

    def wanted(number):
        paths = [pack(world.folder, "test.counter", f"{number}.0.0"), user if number % 2 else extra]
        sets.append({"test.counter": f"{number}.0.0", "test.user" if number % 2 else "test.extra": "1.0.0"})
        return paths

    def try_to_deploy(paths):
        try:
            deploy(people, paths)
        except (OSError, AssertionError, ValueError, http.client.HTTPException) as error:
            print(f"not stored: {error!r}")  # its server was killed

    deploy(people, wanted(1))
    agent.until_has(sets[0])
    casts = (["agent"], ["agent"], ["server"], ["agent", "server"])
    who = [casts[i % len(casts)] for i in range(ROUNDS)]
    moments.shuffle(who)
    for number, victims in enumerate(who, 2):
        paths = wanted(number)
        begin = len(agent.log)
        storing = threading.Thread(target=try_to_deploy, args=(paths,))
        storing.start()
        if moments.random() < 0.7:
            say_when(agent, "is to be installed", begin)
            time.sleep(moments.uniform(0, 0.008))
        else:
            time.sleep(moments.uniform(0, 0.3))
        for victim in victims:
            {"agent": agent, "server": server}[victim].kill()
            killed[victim] += 1
        storing.join()
        if "server" in victims:
            server.start()
        if "agent" in victims:
            agent.start()
            found = wait_for(lambda: installed(agent), "the agent is back")
            assert found in sets[-2:], f"round {number}, seed {SEED}: a mix: {found}"
        # Not stored when the server was killed before; twice does no harm.
        deploy(people, paths)
        wait_for(lambda: content(newest(people, "lab-1")) == sets[-1], "the newest version is what was stored")
        agent.until_has(sets[-1])
        version = newest(people, "lab-1")["version"]
        view = wait_for(lambda: (seen := target(people, "lab-1"))["installed"] == version and seen,
                        f"round {number}, seed {SEED}: {version} is reported: {target(people, 'lab-1')}")
        assert view["installedOk"] and view["provisioning"] in ("OK", "Idle"), view
        assert installed(agent) == sets[-1]
    print(killed)
    assert killed["agent"] and killed["server"]


@pytest.mark.parametrize("moment", ["downloading", "installed"])
def test_a_failure_is_reported_by_who_was_killed_before_he_could(world, moment):
    server = world.server()
    server.listen, server.pages = server.agents_address, server.people_address
    people = server.people()
    agent = world.agent("lab-1", server)
    deploy(people, [pack(world.folder, "test.counter", "1.0.0")])
    agent.until_has({"test.counter": "1.0.0"})
    begin = len(agent.log)
    deploy(people, [pack(world.folder, "test.counter", "2.0.0", "counter_fails_start")])
    say_when(agent, "is to be installed" if moment == "downloading" else "is not installed", begin)
    agent.kill()
    agent.start()
    failed = wait_for(lambda: (view := target(people, "lab-1"))["provisioning"] == "Failed" and view,
                      "the failure is known")
    assert "there is no room to count" in failed["problem"], failed
    agent.until_has({"test.counter": "1.0.0"})
