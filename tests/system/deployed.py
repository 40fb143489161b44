"""Agents that get their bundles from a provisioning server, for tests: no cluster, processes of our own."""
import hashlib
import http.client
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import threading

from conftest import BUILD, PATIENCE, find_etcd, wait_for
from provisioning_server import Server

AGENT = BUILD / "agent" / "inaetics-agent"
PACK = BUILD / "framework" / "tools" / "inaetics-bundle"
LIBRARIES = BUILD / "tests" / "framework" / "bundles"
SETTINGS = {"register": "(id=*)", "approve": "(id=*)", "autoApprove": "(id=*)"}
TOKEN = "token-of-a-cluster-for-tests"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def pack(folder, name, version, library="counter_sound"):
    """A bundle of the framework's tests: the path of its zip."""
    path = pathlib.Path(folder) / f"{name}-{version}.zip"
    subprocess.run([PACK, "pack", path, "--name", name, "--version", version,
                    "--library", LIBRARIES / f"{library}.so"], check=True, capture_output=True)
    return path


def deploy(people, paths, rollout=None, configuration=None):
    """Makes exactly these bundles what every target is to have, as desired state."""
    artifacts, wanted = [], []
    for path in [*paths, *([configuration] if configuration else [])]:
        data = path.read_bytes()
        answer = people.post(f"/v1/artifacts?filename={path.name}", data)
        assert answer.status in (200, 201), answer
        artifacts.append({"file": path.name, "sha256": hashlib.sha256(data).hexdigest()})
        name = path.name if path == configuration else "@".join(path.stem.rsplit("-", 1))
        wanted.append(name)
    state = {"version": 1, "artifacts": artifacts, "features": {"all": {"artifacts": wanted}},
             "distributions": {"all": {"features": ["all"]}},
             "assignments": [{"distribution": "all", "targets": "(id=*)"}],
             "settings": SETTINGS, "rollout": rollout}
    return people.right("POST", "/v1/desired", state)


class Agent:
    """One agent, which knows where its server is."""

    def __init__(self, folder, target, server, **environment):
        self.folder = pathlib.Path(folder) / target
        self.target = target
        self.folder.mkdir(parents=True)
        platform = self.folder / "platform"
        platform.mkdir()
        (platform / "deployment.zip").write_bytes((BUILD / "agent" / "deployment" / "deployment.zip").read_bytes())
        token = self.folder / "token"
        token.write_text(TOKEN + "\n")
        self.port = free_port()
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("INAETICS_", "CONFIG_"))},
            "INAETICS_AGENT_ID": target, "INAETICS_TARGET": target, "INAETICS_PORT": str(self.port),
            "INAETICS_SHELL_PORT": "-1", "INAETICS_PLATFORM": str(platform), "INAETICS_CACHE": str(self.folder / "cache"),
            "INAETICS_TOKEN_FILE": str(token), "INAETICS_TARGET_PROPERTIES": "component=test",
            "INAETICS_TRUST": str(server.folder / "data" / "signing.key.pub") if server else "",
            "INAETICS_PROVISIONING": f"http://{server.agents_address}" if server else "", **environment}
        self.process = None
        self.log = []

    def start(self):
        self.process = subprocess.Popen([AGENT], env=self.environment, stderr=subprocess.PIPE, text=True,
                                        errors="replace")
        threading.Thread(target=self.collect, args=(self.process.stderr,), daemon=True).start()
        return self

    def collect(self, pipe):
        for line in pipe:
            self.log.append(line)

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process = None

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            assert self.process.wait(PATIENCE) == 0, "".join(self.log)
        self.process = None

    def ask(self, path, method="GET", body=None):
        """Status and text; (0, "") when nobody answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, {"Authorization": f"Bearer {TOKEN}",
                                                    "Content-Type": "application/json"})
            response = connection.getresponse()
            return response.status, response.read().decode()
        except (OSError, http.client.HTTPException):
            return 0, ""
        finally:
            connection.close()

    def bundles(self):
        """Name to version of the bundles that are there, without the platform's."""
        found = re.findall(r'inaetics_bundle_info\{bundle="([^"]*)",version="([^"]*)",state="active"\}',
                           self.ask("/metrics")[1])
        return {name: version for name, version in found if name != "deployment"}

    def until_has(self, expected):
        wait_for(lambda: self.bundles() == expected,
                 f"{self.target} runs {expected}, not {self.bundles()}\n{''.join(self.log[-20:])}")


class World:
    def __init__(self, folder):
        self.folder = folder
        self.token = folder / "token"
        self.token.write_text(TOKEN + "\n")
        self.servers, self.agents = [], []

    def server(self, *options, **more):
        folder = self.folder / f"server-{len(self.servers)}"
        folder.mkdir()
        server = Server(folder, "--token-file", self.token, "--settings", json.dumps(SETTINGS), *options, **more)
        self.servers.append(server)
        return server

    def agent(self, target, server, **environment):
        agent = Agent(self.folder, target, server, **environment)
        self.agents.append(agent)
        return agent.start()

    def close(self):
        for agent in self.agents:
            agent.stop()
        for server in self.servers:
            server.stop()


def run_world(folder):
    """Yields a World; afterwards all that it started is ended."""
    made = World(folder)
    yield made
    made.close()


def target(people, name):
    return people.right("GET", f"/v1/targets/{name}")


def versions(people, name):
    return [version["version"] for version in people.right("GET", f"/v1/targets/{name}/versions")["items"]]


def until_installed(people, name, version):
    wait_for(lambda: target(people, name)["installed"] == version and target(people, name)["installedOk"],
             f"{name} reports {version}, not {target(people, name)}")


def run_etcd(folder):
    """Yields the URL of an etcd without accounts."""
    ports = free_port(), free_port()
    url = f"http://127.0.0.1:{ports[0]}"
    process = subprocess.Popen(
        [find_etcd(), "--data-dir", folder / "etcd", "--listen-client-urls", url, "--advertise-client-urls", url,
         "--listen-peer-urls", f"http://127.0.0.1:{ports[1]}", "--log-level", "error"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    yield url
    process.kill()
    process.wait(PATIENCE)
