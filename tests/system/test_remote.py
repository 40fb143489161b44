"""Remote services: agents that find each other through etcd and call."""

import base64
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

import pytest

from conftest import BUILD, PATIENCE, claim_network, find_etcd, wait_for

AGENT = BUILD / "agent" / "inaetics-agent"
BUNDLES = BUILD / "tests" / "remote"
TOKEN = "0123456789abcdef0123456789abcdef"


class Etcd:
    def __init__(self, home, address):
        self.url = f"http://{address}:2379"
        self.address = address
        self.data = home / "etcd"
        self.log = open(home / "etcd.log", "ab")
        self.process = None

    def start(self):
        peer = f"http://{self.address}:2380"
        self.process = subprocess.Popen(
            [find_etcd(), "--data-dir", self.data, "--listen-client-urls", self.url, "--advertise-client-urls",
             self.url, "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
             "--initial-cluster", f"default={peer}", "--heartbeat-interval=10", "--election-timeout=100"],
            stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL)
        wait_for(self.healthy, "etcd is healthy")

    def healthy(self):
        try:
            return self.post("/v3/kv/range", {"key": "eA=="}) is not None
        except OSError:
            return False

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def clear(self):
        shutil.rmtree(self.data)

    def post(self, path, body):
        connection = http.client.HTTPConnection(self.address, 2379, timeout=5)
        try:
            connection.request("POST", path, json.dumps(body))
            answer = connection.getresponse()
            return json.loads(answer.read()) if answer.status == 200 else None
        finally:
            connection.close()

    def records(self):
        end = base64.b64encode(b"/inaetics0").decode()
        found = self.post("/v3/kv/range", {"key": base64.b64encode(b"/inaetics/").decode(), "range_end": end})
        return {base64.b64decode(kv["key"]).decode(): json.loads(base64.b64decode(kv["value"]))
                for kv in found.get("kvs", [])}


class Agent:
    def __init__(self, world, name, address, bundles, **environment):
        self.name = name
        self.address = address
        self.id = f"{name}-{len(world.agents)}"
        self.bundles = world.home / f"{self.id}-bundles"
        self.bundles.mkdir()
        for bundle in bundles:
            shutil.copy(BUNDLES / f"{bundle}.zip", self.bundles / f"{bundle}.zip")
        self.log_path = world.home / f"{self.id}.log"
        token = world.home / "token"
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                [AGENT, "--id", self.id, "--address", address, "--etcd", world.etcd.url, "--token-file", token,
                 "--bundles", self.bundles, "--cache", world.home / f"{self.id}-cache"],
                env=dict(os.environ, CONFIG_SAMPLER_NAME=name, **environment), stdout=log, stderr=log,
                stdin=subprocess.DEVNULL)

    def log(self):
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def request(self, method, path, body=None, headers=(), port=8080, address=None):
        connection = http.client.HTTPConnection(address or self.address, port, timeout=PATIENCE)
        try:
            connection.request(method, path, body, dict(headers))
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def up(self):
        def is_ready():
            assert self.process.poll() is None, self.log()
            try:
                return self.request("GET", "/readyz")[0] == 200
            except OSError:
                return False
        wait_for(is_ready, f"{self.id} is ready")
        return self

    def ask(self, text="hello", timeout_ms=5000):
        return self.request("GET", f"/ask?text={text}&timeout-ms={timeout_ms}")[1]

    def call(self, method, message, token=TOKEN):
        return self.request("POST", f"/sampler.v1.Sampler/{method}", json.dumps(message),
                            {"Content-Type": "application/json", "Authorization": f"Bearer {token}"})

    def metric(self, name):
        text = self.request("GET", "/metrics")[1]
        found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
        return float(found[1]) if found else None

    def shell(self, line, token=TOKEN):
        with socket.create_connection((self.address, 2019), timeout=PATIENCE) as shell:
            shell.sendall(f"{token}\n{line}\nexit\n".encode())
            return b"".join(iter(lambda: shell.recv(4096), b"")).decode()

    def end(self, sig=signal.SIGTERM):
        self.process.send_signal(sig)
        return self.process.wait(PATIENCE)


class World:
    def __init__(self):
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="ina-remote-"))
        self.network, self.claim = wait_for(claim_network, "a free loopback network", 600)
        (self.home / "token").write_text(TOKEN + "\n")
        self.agents = []
        self.etcd = Etcd(self.home, self.network + "1")
        self.etcd.start()

    def agent(self, name, *bundles, **environment):
        one = Agent(self, name, f"{self.network}{len(self.agents) + 2}", bundles, **environment)
        self.agents.append(one)
        return one

    def close(self, show):
        for one in self.agents:
            if one.process.poll() is None:
                one.process.send_signal(signal.SIGCONT)
                one.process.kill()
                one.process.wait()
            if show:
                print(f"-- {one.id} --\n{one.log()[-8000:]}")
        self.etcd.stop()
        self.claim.close()
        shutil.rmtree(self.home, ignore_errors=True)


@pytest.fixture
def world(request):
    one = World()
    yield one
    report = getattr(request.node, "report_call", None)
    one.close(report is not None and report.failed)


def wait_ask(asker, beginning):
    return wait_for(lambda: asker.ask().startswith(beginning), f"/ask answers {beginning}")


# -- finding each other ----------------------------------------------------------


def test_a_service_of_another_agent_is_found_and_called(world):
    asker = world.agent("asker", "asker").up()
    assert asker.ask() == "none"
    world.agent("one", "sampler").up()
    wait_ask(asker, "ok one 1.0.0: hello")
    records = world.etcd.records()
    endpoint = records["/inaetics/discovery/one-1/sampler.v1.Sampler-1"]
    assert endpoint["contract"] == "sampler.v1.Sampler" and endpoint["version"] == 1
    assert endpoint["properties"] == {"type": "sampler", "weight": 7, "ratio": 2.0, "fast": True, "name": "one"}
    assert isinstance(endpoint["properties"]["ratio"], float) and isinstance(endpoint["properties"]["weight"], int)
    url = f"http://{world.network}3:8080"
    assert records[f"/inaetics/wiring/zone1/one-1/{endpoint['wire']}"] == {
        "version": 1, "url": url, "security": "token"}
    assert records["/inaetics/node-agent-service/one-1"] == {"version": 1, "url": url}


def test_nothing_is_imported_that_nobody_wants(world):
    one = world.agent("one", "sampler").up()
    world.agent("two", "sampler").up()
    wait_for(lambda: one.metric("inaetics_discovery_endpoints") == 1, "the other's endpoint is known")
    assert one.metric("inaetics_discovery_imported") == 0


def test_a_provider_that_ends_in_order_is_gone_at_once_and_leaves_no_record(world):
    asker = world.agent("asker", "asker").up()
    one = world.agent("one", "sampler").up()
    wait_ask(asker, "ok one")
    assert one.end() == 0, one.log()
    assert not [key for key in world.etcd.records() if "one-1" in key]
    wait_for(lambda: asker.ask() == "none", "the asker has no provider")
    assert asker.end() == 0


def test_when_a_provider_is_killed_another_takes_over(world):
    asker = world.agent("asker", "asker").up()
    one = world.agent("one", "sampler").up()
    wait_ask(asker, "ok one")
    two = world.agent("two", "sampler").up()
    wait_for(lambda: asker.metric("inaetics_discovery_imported") == 2, "both are known")
    assert asker.ask().startswith("ok one"), "the oldest is used"
    one.end(signal.SIGKILL)
    first = asker.ask()
    assert first.startswith("unavailable") or first.startswith("ok two"), first
    assert asker.ask().startswith("ok two"), "the second call goes to the other provider"
    wait_for(lambda: asker.metric("inaetics_discovery_suspect") == 1, "the lost endpoint is suspect")
    assert asker.ask().startswith("ok two")
    two.end(signal.SIGKILL)
    wait_for(lambda: asker.ask() == "none", "suspects are dropped after a failed call")


def test_a_stopped_provider_ends_in_deadline_exceeded_and_blocks_nothing_else(world):
    asker = world.agent("asker", "asker").up()
    one = world.agent("one", "sampler").up()
    wait_ask(asker, "ok one")
    one.process.send_signal(signal.SIGSTOP)
    answers = []
    waiting = threading.Thread(target=lambda: answers.append(asker.ask(timeout_ms=5000)))
    waiting.start()
    assert asker.request("GET", "/healthz") == (200, "ok\n")
    assert not answers, "the other request waits still"
    waiting.join(PATIENCE)
    assert answers[0].startswith("deadline_exceeded"), answers
    one.process.send_signal(signal.SIGCONT)
    wait_ask(asker, "ok one")


# -- etcd comes and goes -------------------------------------------------------------


def test_calls_go_on_while_etcd_is_away_and_what_is_new_is_found_when_it_is_back(world):
    asker = world.agent("asker", "asker").up()
    world.agent("one", "sampler").up()
    wait_ask(asker, "ok one")
    world.etcd.stop()
    end = time.monotonic() + 8  # longer than a lease
    while time.monotonic() < end:
        assert asker.ask().startswith("ok one")
        time.sleep(0.1)
    two = world.agent("two", "sampler").up()
    world.etcd.start()
    wait_for(lambda: asker.metric("inaetics_discovery_imported") == 2, "the new one is found")
    assert asker.ask().startswith("ok one")
    assert two.metric("inaetics_discovery_lease") == 1


def test_when_etcd_comes_back_empty_everything_is_found_again(world):
    asker = world.agent("asker", "asker").up()
    one = world.agent("one", "sampler").up()
    wait_ask(asker, "ok one")
    world.etcd.stop()
    world.etcd.clear()
    world.etcd.start()
    calls = []

    def found_again():
        calls.append(asker.ask())
        keys = world.etcd.records().keys()
        return any("discovery/one-1" in key for key in keys) and any("wiring/zone1/one-1" in key for key in keys)

    wait_for(found_again, "the records are back")
    wait_for(lambda: asker.metric("inaetics_discovery_suspect") == 0, "nothing is suspect any more")
    assert all(call.startswith("ok one") for call in calls), calls
    late = world.agent("late", "asker").up()
    wait_ask(late, "ok one")
    assert one.end() == 0


def test_an_agent_may_start_before_etcd(world):
    world.etcd.stop()
    asker = world.agent("asker", "asker").up()
    world.agent("one", "sampler").up()
    world.etcd.start()
    wait_ask(asker, "ok one")


def test_an_agent_ends_in_order_while_etcd_is_away(world):
    one = world.agent("one", "sampler").up()
    wait_for(lambda: one.metric("inaetics_discovery_pending") == 0, "it is published")
    world.etcd.stop()
    assert one.end() == 0, one.log()


# -- the agent ------------------------------------------------------------------------


def test_any_service_answers_to_json_with_the_token_only(world):
    one = world.agent("one", "sampler").up()
    assert one.call("Echo", {"text": "x", "numbers": ["5"]}) == (200, '{"text":"one 1.0.0: x","numbers":["5"]}')
    status, body = one.call("Echo", {}, token="wrong")
    assert status == 401 and json.loads(body)["code"] == "unauthenticated"
    status, body = one.call("Fail", {"code": 5, "message": "no such thing"})
    assert (status, json.loads(body)) == (404, {"code": "not_found", "message": "no such thing"})
    status, body = one.call("Echo", {"pair": [1, 2]})
    assert status == 400 and "pair: expected an object, found an array" in json.loads(body)["message"]


def test_page_addresses_have_pages_only(world):
    pages = f"{world.network}99"
    asker = world.agent("asker", "asker", INAETICS_LISTEN=f"{pages}:8080").up()
    assert asker.request("GET", "/ask", address=pages) == (200, "none")
    assert asker.request("GET", "/ask") == (200, "none")
    for path in ("/metrics", "/readyz", "/healthz"):
        assert asker.request("GET", path, address=pages)[0] == 404
        assert asker.request("GET", path)[0] == 200
    one = world.agent("one", "sampler", INAETICS_LISTEN=f"{world.network}98:8080").up()
    status, _ = one.request("POST", "/sampler.v1.Sampler/Echo", "{}",
                            {"Content-Type": "application/json", "Authorization": f"Bearer {TOKEN}"},
                            address=f"{world.network}98")
    assert status == 404


def test_a_bundle_is_updated_while_it_is_called_and_no_call_fails(world):
    asker = world.agent("asker", "asker").up()
    one = world.agent("one", "sampler").up()
    wait_ask(asker, "ok one 1.0.0")
    answers = []
    stop = threading.Event()

    def caller():
        while not stop.is_set():
            answers.append(asker.ask())

    threads = [threading.Thread(target=caller) for _ in range(4)]
    for thread in threads:
        thread.start()
    for version in ("sampler-next", "sampler", "sampler-next"):
        for old in one.bundles.glob("*.zip"):
            old.unlink()
        shutil.copy(BUNDLES / f"{version}.zip", one.bundles / f"{version}.zip")
        one.process.send_signal(signal.SIGHUP)
        expected = "ok one 1.1.0" if version == "sampler-next" else "ok one 1.0.0"
        wait_ask(asker, expected)
    stop.set()
    for thread in threads:
        thread.join(PATIENCE)
    assert answers
    assert not [answer for answer in answers if not answer.startswith("ok one")], "no call may fail"


def test_a_stopped_service_is_unavailable_until_it_is_started_again(world):
    asker = world.agent("asker", "asker").up()
    one = world.agent("one", "sampler").up()
    wait_ask(asker, "ok one")
    one.shell("stop sampler")
    status, body = one.call("Echo", {})
    assert status == 503 and json.loads(body)["code"] == "unavailable"
    wait_for(lambda: asker.ask() == "none", "the asker has no provider")
    assert one.request("GET", "/readyz")[0] == 503
    one.shell("start sampler")
    wait_ask(asker, "ok one")


def check_metrics(text):
    """OpenMetrics as far as we use it: every sample is in its family's block."""
    assert text.endswith("# EOF\n")
    kinds, family, seen, buckets = {}, None, set(), {}
    for line in text[:-len("# EOF\n")].splitlines():
        if line.startswith("# TYPE "):
            _, _, family, kind = line.split(" ")
            assert family not in kinds, f"{family} comes twice"
            kinds[family] = kind
            continue
        if line.startswith("# HELP "):
            assert line.split(" ")[2] == family
            continue
        match = re.fullmatch(r'([a-z_:]+)((?:\{(?:[a-z_]+="(?:[^"\\]|\\.)*",?)*\})?) (\S+)', line)
        assert match, line
        name, labels, value = match[1], match[2], float(match[3])
        endings = {"counter": ["_total"], "gauge": [""], "info": ["_info"],
                   "histogram": ["_bucket", "_sum", "_count"]}[kinds[family]]
        assert name in [family + ending for ending in endings], f"{line} is not of {family}"
        assert (name, labels) not in seen, line
        seen.add((name, labels))
        if name.endswith("_bucket"):
            series = re.sub(r',le="[^"]*"', "", labels)
            assert value >= buckets.get(series, 0), line
            buckets[series] = value
        if name.endswith("_count") and kinds[family] == "histogram":
            assert buckets[labels] == value
    return kinds


def test_the_metrics_of_caller_and_provider_tell_of_their_calls(world):
    asker = world.agent("asker", "asker").up()
    one = world.agent("one", "sampler").up()
    wait_ask(asker, "ok one")
    before = one.metric('inaetics_server_calls_total{service="sampler.v1.Sampler",method="Echo",code="ok"}')
    for _ in range(10):
        asker.ask()
    one.call("Fail", {"code": 5})
    after = one.metric('inaetics_server_calls_total{service="sampler.v1.Sampler",method="Echo",code="ok"}')
    assert after == before + 10
    assert one.metric('inaetics_server_calls_total{service="sampler.v1.Sampler",method="Fail",code="not_found"}') == 1
    assert asker.metric('inaetics_client_seconds_count{service="sampler.v1.Sampler",method="Echo"}') == after
    for agent in (asker, one):
        kinds = check_metrics(agent.request("GET", "/metrics")[1])
        assert kinds["inaetics_server_seconds"] == "histogram" and kinds["process_cpu_seconds"] == "counter"


def test_a_broken_bundle_is_refused_and_the_others_run_on(world):
    one = world.agent("one", "sampler").up()
    (one.bundles / "torn.zip").write_bytes((BUNDLES / "asker.zip").read_bytes()[:1000])
    one.process.send_signal(signal.SIGHUP)
    wait_for(lambda: one.request("GET", "/readyz")[0] == 503, "it says that something is wrong")
    assert "torn.zip" in one.log()
    assert one.call("Echo", {"text": "x"})[0] == 200
    (one.bundles / "torn.zip").unlink()
    one.process.send_signal(signal.SIGHUP)
    one.up()


def test_the_shell_wants_the_token(world):
    one = world.agent("one", "sampler").up()
    assert "sampler" in one.shell("lb")
    assert "sampler" not in one.shell("lb", token="0" * 32)


@pytest.mark.parametrize("options, message", [
    (["--port", "none"], '--port: "none": must be a number from 0 to 65535'),
    (["--address", "localhost"], '--address: "localhost": must be an IP address'),
    (["--log-level", "loud"], "must be error, warning, notice, info or debug"),
    (["--bundles", "/nonexistent"], "bundles: /nonexistent: No such file or directory"),
    (["--token-file", "/nonexistent"], "token: /nonexistent: No such file or directory"),
    (["--token-file", "/dev/null"], "token: /dev/null"),
    (["--etcd", "nonsense"], "nonsense"),
    (["--zone", "a/b", "--etcd", "http://127.0.0.1:1"], 'zone "a/b"'),
    (["x"], '"x": no arguments are expected'),
])
def test_wrong_options_are_named(options, message):
    result = subprocess.run([AGENT, "--port", "0", "--shell-port", "-1", *options], capture_output=True, text=True,
                            timeout=PATIENCE, check=False)
    assert result.returncode == 1
    assert message in result.stderr.replace('\\"', '"'), result.stderr


def test_an_agent_with_one_bundle_is_small(world):
    one = world.agent("one", "sampler").up()
    if "libasan" in pathlib.Path(f"/proc/{one.process.pid}/maps").read_text():
        return  # a build that watches over memory takes more of it
    wait_for(lambda: one.metric("inaetics_discovery_pending") == 0, "it is published")
    for _ in range(100):
        assert one.call("Echo", {"text": "x"})[0] == 200
    assert one.metric("process_resident_memory_bytes") < 12 * 1024 * 1024
