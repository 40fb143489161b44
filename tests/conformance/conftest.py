"""The server that is tested.

  INAETICS_BUILD                the build whose control plane is started (default: build/)
  INAETICS_CONFORMANCE_SERVER   ADDRESS:PORT of a real Kubernetes to compare with its own answers instead
  INAETICS_CONFORMANCE_PKI      its certificates: ca.crt, ca.key, admin.crt, admin.key"""

import concurrent.futures
import functools
import http.client
import json
import os
import pathlib

import pytest

import client
import compare
import node
import normalise
import plane
import replay
import users
from differences import DIFFERENCES
from scenarios import BY_TABLE, SCENARIOS

AT_ONCE = 4
RECORDED = pathlib.Path(__file__).parent / "recorded"


@functools.cache
def recorded():
    """All recorded answers: scenario -> step -> answer."""
    found = {}
    for table in BY_TABLE:
        found |= json.loads((RECORDED / f"{table}.json").read_text(encoding="utf-8"))
    return found


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("conformance")
    given = os.environ.get("INAETICS_CONFORMANCE_SERVER")
    if given:
        address, port = given.rsplit(":", 1)
        pki = pathlib.Path(os.environ["INAETICS_CONFORMANCE_PKI"])
        kubernetes = client.Server(address, int(port), pki / "ca.crt", users.of_kubernetes(pki, folder))
        with node.Node(kubernetes):
            yield kubernetes
        return
    own = plane.Plane(folder)
    try:
        with node.Node(own.start()):
            yield own.server
    finally:
        status = own.stop()
        print(own.logs())
    assert status == 0, f"the control plane ended with status {status}"


class Results:
    """What was found, scenario by scenario; each is replayed once, a few at a time: they mostly wait."""

    def __init__(self, server, scenarios):
        self.server = server
        self.pool = concurrent.futures.ThreadPoolExecutor(AT_ONCE)
        self.replays = {one: self.pool.submit(self.replay, one) for one in scenarios}

    def replay(self, scenario):
        answered = replay.run(self.server, scenario, SCENARIOS[scenario])
        return compare.scenario(scenario, normalise.scenario(recorded()[scenario]), normalise.scenario(answered, self.server.names))

    def of(self, scenario):
        """All differences of a scenario, meant or not."""
        return self.replays[scenario].result()

    def counts(self):
        """Requests that were answered equally, with differences that are listed, and otherwise."""
        equal = listed = failing = 0
        for scenario in self.replays:
            try:
                found = self.of(scenario)
            except (OSError, http.client.HTTPException):
                failing += len(SCENARIOS[scenario])
                continue
            bad = {one.step for one in found if not meant(one)}
            other = {one.step for one in found} - bad
            listed, failing = listed + len(other), failing + len(bad)
            equal += len(SCENARIOS[scenario]) - len(other) - len(bad)
        return equal, listed, failing


def meant(found):
    return any(one.covers(found) for one in DIFFERENCES)


RESULTS = []


@pytest.fixture(scope="session")
def results(server, request):
    """The scenarios of the selected tests are replayed; all of them for the test that needs all."""
    selected = [item.callspec.params["scenario"] for item in request.session.items
                if "results" in item.fixturenames and hasattr(item, "callspec")]
    every = any("results" in item.fixturenames and not hasattr(item, "callspec") for item in request.session.items)
    made = Results(server, SCENARIOS if every else selected)
    RESULTS.append(made)
    yield made
    made.pool.shutdown(cancel_futures=True)


def pytest_terminal_summary(terminalreporter):
    for results in RESULTS:
        equal, listed, failing = results.counts()
        terminalreporter.write_line(
            f"{equal + listed + failing} requests: {equal} answered as Kubernetes does, {listed} with listed differences, {failing} otherwise")
