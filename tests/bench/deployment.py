#!/usr/bin/python3
"""deployment.py - from a provisioning server to running bundles, in one agent.

  deployment.py BUILD

Measured with processes of their own, over loopback: an empty agent from its
start to its first deployment running; from storing a change to it running in
an agent that waits; and what an agent fetches when one bundle of fifty
changed, beside the whole."""
import os
import pathlib
import re
import statistics
import sys
import tempfile
import time

BUILD = pathlib.Path(sys.argv[1]).resolve()
os.environ["INAETICS_BUILD"] = str(BUILD)
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))
import deployed  # noqa: E402
import provisioning_server  # noqa: E402
from conftest import wait_for  # noqa: E402

STARTS, CHANGES = 10, 10
BUNDLES = 50


def line(name, value, unit):
    text = f"{value:.0f}" if value >= 1000 else f"{value:.1f}" if value >= 10 else f"{value:.3f}"
    print(f"{name:<58} {text:>14} {unit}", flush=True)


def seconds_of_day(text):
    hours, minutes, seconds = re.search(r"T(\d+):(\d+):([\d.]+)Z", text).groups()
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


def now():
    return time.time() % 86400


def running(agent, begin):
    """When the first version that the agent installs after its line `begin` ran, and what it fetched for it."""
    def found():
        return next((entry for entry in agent.log[begin:] if "were fetched for it" in entry), None)
    entry = wait_for(found, "the version runs")
    return seconds_of_day(entry), int(re.search(r"; (\d+) bytes", entry)[1])


def measure(folder, server):
    people = server.people()
    counter, user = deployed.pack(folder, "test.counter", "1.0.0"), deployed.pack(folder, "test.user", "1.0.0", "user")
    deployed.deploy(people, [counter, user])
    agents, starts = [], []
    for number in range(STARTS):
        agent = deployed.Agent(folder, f"lab-{number}", server)
        agents.append(agent)
        begin = now()
        agent.start()
        starts.append(running(agent, 0)[0] - begin)
        if number < STARTS - 1:
            agent.stop()
    line("an empty agent's start to its first deployment running", statistics.median(starts) * 1e3, "ms (aim: 150)")

    agent = agents[-1]
    changes = []
    for number in range(2, CHANGES + 2):
        changed = deployed.pack(folder, "test.counter", f"{number}.0.0")
        seen, begin = len(agent.log), now()
        deployed.deploy(people, [changed, user])
        changes.append(running(agent, seen)[0] - begin)
    line("upload and approve to running in one agent", statistics.median(changes) * 1e3, "ms (aim: 2000)")

    many = [deployed.pack(folder, f"test.part-{number}", "1.0.0") for number in range(BUNDLES)]
    seen = len(agent.log)
    deployed.deploy(people, many)
    whole = running(agent, seen)[1]
    many[7] = deployed.pack(folder, "test.part-7", "2.0.0")
    seen = len(agent.log)
    deployed.deploy(people, many)
    changed = running(agent, seen)[1]
    line(f"fetched for {BUNDLES} bundles", whole / 1e3, "kB")
    line("fetched when one of them changed", changed / 1e3, f"kB, {100 * changed / whole:.1f} % (aim: below 5)")
    agent.stop()


def main():
    with tempfile.TemporaryDirectory(prefix="ina-bench-") as name:
        folder = pathlib.Path(name)
        token = folder / "token"
        token.write_text(deployed.TOKEN + "\n")
        server = provisioning_server.Server(folder, "--token-file", token, "--settings", '{"register":"(id=*)",'
                                            '"approve":"(id=*)","autoApprove":"(id=*)"}')
        try:
            measure(folder, server)
        finally:
            server.stop()


if __name__ == "__main__":
    main()
