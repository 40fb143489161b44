"""Runs etcd and inaetics-control-plane alone, on free loopback ports, for tests of the API.

    with ControlPlane() as plane:
        status, body = plane.request("GET", "/api/v1/namespaces")
        with plane.watch("/api/v1/pods?watch=1") as events: ...
        plane.kubectl("get", "pods")

Users: admin, viewer, node-1 (bearer tokens of the tokens file)."""

import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile

from conftest import BUILD, PATIENCE, find_etcd, wait_for

PROGRAM = BUILD / "cluster" / "inaetics-control-plane"
TOKENS = {
    "admin": ("admin-0123456789abcdef", "admin", "tester"),
    "viewer": ("viewer-0123456789abcdef", "viewer", "looker"),
    "node-1": ("node-0123456789abcdef0", "node:node-1", "system:node:node-1"),
}


def free_ports(number):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class Watch:
    """The events of a watch, one after the other."""

    def __init__(self, connection, response):
        self.connection, self.response = connection, response

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.response.close()
        self.connection.close()

    def next(self):
        """The next event (type and object); None at the end."""
        line = self.response.readline()
        return json.loads(line) if line else None

    def until(self, condition):
        """All events up to the first that meets the condition."""
        events = []
        while not events or not condition(events[-1]):
            event = self.next()
            assert event, f"the watch ended; it told {events}"
            events.append(event)
        return events


class ControlPlane:
    def __init__(self, *options):
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="ina-api-"))
        self.options = options
        self.port, self.etcd_port, self.peer_port = free_ports(3)
        self.address = f"127.0.0.1:{self.port}"
        self.etcd = self.process = None
        self.data = self.home / "data"
        self.data.mkdir(mode=0o700)
        tokens = "".join(f"{token} {role} {name}\n" for token, role, name in TOKENS.values())
        (self.data / "tokens").write_text(tokens)
        (self.data / "tokens").chmod(0o600)

    # -- life

    def __enter__(self):
        self.start_etcd()
        self.start()
        return self

    def __exit__(self, kind, *_):
        if kind:
            for log in ("etcd.log", "control-plane.log"):
                if (self.home / log).exists():
                    print(f"--- {log}\n" + (self.home / log).read_text(errors="replace")[-8000:])
        status = self.stop()
        self.kill_etcd()
        shutil.rmtree(self.home)
        if not kind:
            assert status in (0, None), f"the control plane ended with {status}"

    def start_etcd(self):
        client, peer = f"http://127.0.0.1:{self.etcd_port}", f"http://127.0.0.1:{self.peer_port}"
        with open(self.home / "etcd.log", "a", encoding="utf-8") as log:
            self.etcd = subprocess.Popen(
                [find_etcd(), "--data-dir", self.home / "etcd", "--listen-client-urls", client,
                 "--advertise-client-urls", client, "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
                 "--initial-cluster", f"default={peer}", "--heartbeat-interval=20", "--election-timeout=200",
                 "--log-level=warn", "--logger=zap"], stdout=log, stderr=log)

    def kill_etcd(self):
        if self.etcd:
            self.etcd.kill()
            self.etcd.wait()
        self.etcd = None

    def start(self, wait=True):
        with open(self.home / "control-plane.log", "a", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                [PROGRAM, "--etcd", f"http://127.0.0.1:{self.etcd_port}", "--pki", self.home / "pki", "--listen",
                 self.address, "--data", self.data, *self.options], stdout=log, stderr=log)
        if wait:
            wait_for(self.ready, "the API is ready")
        return self

    def ready(self):
        assert self.process.poll() is None, (self.home / "control-plane.log").read_text()
        try:
            return self.request("GET", "/api/v1/namespaces/default/services/kubernetes")[0] == 200
        except OSError:
            return False

    def stop(self, sig=signal.SIGTERM):
        """Its exit status."""
        if not self.process:
            return None
        self.process.send_signal(sig)
        status = self.process.wait(PATIENCE)
        self.process = None
        return status

    # -- requests

    def context(self):
        if not (self.home / "pki" / "ca.pem").exists():
            raise OSError("there is no CA yet")
        return ssl.create_default_context(cafile=self.home / "pki" / "ca.pem")

    def connect(self, timeout=PATIENCE):
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=timeout, context=self.context())

    def headers(self, user, headers=None):
        result = {} if user is None else {"Authorization": f"Bearer {TOKENS[user][0]}"}
        return result | (headers or {})

    def exchange(self, method, path, body=None, user="admin", headers=None):
        """Status, headers and text."""
        connection = self.connect()
        try:
            if body is not None and not isinstance(body, (str, bytes)):
                body = json.dumps(body)
            headers = self.headers(user, headers)
            if body is not None:
                headers.setdefault("Content-Type", "application/json")
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return response.status, response.headers, response.read().decode()
        finally:
            connection.close()

    def request(self, method, path, body=None, **options):
        """Status and object."""
        status, _, text = self.exchange(method, path, body, **options)
        return status, json.loads(text)

    def watch(self, path, user="admin", headers=None, timeout=PATIENCE):
        connection = self.connect(timeout)
        connection.request("GET", path, headers=self.headers(user, headers))
        response = connection.getresponse()
        assert response.status == 200, response.read()
        return Watch(connection, response)

    def create(self, path, body):
        status, answer = self.request("POST", path, body)
        assert status == 201, answer
        return answer

    # -- kubectl

    def kubeconfig(self):
        path = self.home / "kubeconfig"
        path.write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            "clusters": [{"name": "test", "cluster": {"server": f"https://{self.address}",
                                                      "certificate-authority": str(self.home / "pki" / "ca.pem")}}],
            "users": [{"name": "test", "user": {"token": TOKENS["admin"][0]}}]}))
        return path

    def kubectl(self, *arguments, program="kubectl", stdin=None, check=True):
        environment = dict(os.environ, KUBECONFIG=str(self.kubeconfig()), HOME=str(self.home))
        result = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, input=stdin,
                                timeout=PATIENCE, env=environment, check=False)
        if check:
            assert result.returncode == 0, result.stderr
        return result


def config_map(name, value="1", labels=None):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": labels or {}},
            "data": {"value": value}}


def pod(name, **spec):
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
            "spec": {"containers": [{"name": "main", "image": "example:1"}]} | spec}
