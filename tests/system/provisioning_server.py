"""Runs inaetics-provisioning for tests, and asks it as people, programs and agents do."""
import base64
import contextlib
import http.client
import io
import json
import os
import pathlib
import re
import signal
import subprocess
import threading
import urllib.parse
import zipfile

from conftest import BUILD, PATIENCE, wait_for

PROGRAM = BUILD / "provisioning" / "inaetics-provisioning"


def basic(name, password):
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def java_bundle(name, version, extra="", text="x"):
    """A bundle without native code."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as file:
        file.writestr(zipfile.ZipInfo("META-INF/MANIFEST.MF"),
                      "Manifest-Version: 1.0\r\nBundle-ManifestVersion: 2\r\n"
                      f"Bundle-SymbolicName: {name}\r\nBundle-Version: {version}\r\n{extra}\r\n")
        file.writestr(zipfile.ZipInfo("content.txt"), text)
    return data.getvalue()


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"{self.status} {self.body[:400]!r}"


class Caller:
    """One who asks at one address with the same credentials."""

    def __init__(self, address, authorization=None):
        self.host, _, port = address.rpartition(":")
        self.port = int(port)
        self.authorization = authorization
        self.source = None  # the address that it calls from

    def ask(self, method, path, body=None, headers=None, timeout=PATIENCE):
        sent = dict(headers or {})
        if self.authorization and "Authorization" not in sent:
            sent["Authorization"] = self.authorization
        if isinstance(body, (dict, list)):
            body = json.dumps(body).encode()
            sent.setdefault("Content-Type", "application/json")
        connection = http.client.HTTPConnection(self.host, self.port, timeout=timeout,
                                                source_address=(self.source, 0) if self.source else None)
        try:
            connection.request(method, path, body, sent)
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def get(self, path, **more):
        return self.ask("GET", path, **more)

    def post(self, path, body=None, **more):
        return self.ask("POST", path, body, **more)

    def put(self, path, body=None, **more):
        return self.ask("PUT", path, body, **more)

    def delete(self, path, **more):
        return self.ask("DELETE", path, **more)

    def right(self, method, path, body=None, status=200):
        """The JSON of an answer that must have this status."""
        answer = self.ask(method, path, body)
        assert answer.status == status, f"{method} {path}: {answer}"
        return answer.json if answer.body else None

    def upload(self, filename, data, workspace=None, status=201):
        query = {"filename": filename} | ({"workspace": workspace} if workspace else {})
        answer = self.post("/v1/artifacts?" + urllib.parse.urlencode(query), data)
        assert answer.status == status, answer
        return answer.json

    def workspace(self):
        return self.right("POST", "/v1/workspaces", status=201)["id"]

    def change(self, workspace, *changes, status=200):
        return self.right("POST", f"/v1/workspaces/{workspace}/changes", {"changes": list(changes)}, status)

    def commit(self, workspace, message="", status=200):
        return self.right("POST", f"/v1/workspaces/{workspace}/commit", {"message": message}, status)

    def assign(self, definition, target, name="x"):
        """Links an artifact with a target, by a feature and a distribution of a name."""
        workspace = self.workspace()
        self.change(workspace, add("feature", name=name), add("distribution", name=name))
        self.change(workspace, link("artifact2feature", definition, f"feature-name-{name}"),
                    link("feature2distribution", f"feature-name-{name}", f"distribution-name-{name}"),
                    {"op": "add", "kind": "distribution2target",
                     "object": {"attributes": {"leftEndpoint": f"(name={name})", "rightEndpoint": f"(id={target})",
                                               "leftCardinality": "1", "rightCardinality": "2147483647"}, "tags": {}}})
        return self.commit(workspace)


def add(kind, tags=None, **attributes):
    return {"op": "add", "kind": kind, "object": {"attributes": attributes, "tags": tags or {}}}


def link(kind, left, right, **attributes):
    return {"op": "add", "kind": kind,
            "object": {"attributes": attributes, "tags": {}, "left": left, "right": right}}


def remove(kind, definition):
    return {"op": "remove", "kind": kind, "definition": definition}


class Server:
    """The process. Its addresses are free ones on loopback."""

    def __init__(self, folder, *options, listen="127.0.0.1:0", pages="127.0.0.1:0", environment=None):
        self.folder = pathlib.Path(folder)
        self.options = [str(option) for option in options]
        self.listen, self.pages = listen, pages
        self.environment = environment or {}
        self.process = self.collector = None
        self.log = []
        self.start()

    def start(self, ready=True):
        self.log = []
        command = [PROGRAM, "--data", self.folder / "data", "--listen", self.listen, "--pages", self.pages,
                   *self.options]
        reader, writer = os.pipe()
        self.process = subprocess.Popen(
            [*command, "--ready-fd", str(writer)], stderr=subprocess.PIPE, text=True, errors="replace",
            pass_fds=[writer], env=os.environ | self.environment)
        os.close(writer)
        self.collector = threading.Thread(target=self.collect, args=(self.process.stderr,), daemon=True)
        self.collector.start()
        with os.fdopen(reader) as pipe:
            said = pipe.read()
        if ready:
            assert said == "READY\n", "".join(self.log)
            self.agents_address = self.address("agents")
            self.people_address = self.address("people")
        return said

    def collect(self, pipe):
        for line in pipe:
            self.log.append(line)

    def address(self, who):
        pattern = re.compile(rf'message="listening" for={who} address=(\S+)')
        return wait_for(lambda: next((found[1] for line in self.log if (found := pattern.search(line))), None),
                        f"the address for {who}")

    def people(self, name="d", password="f"):
        return Caller(self.people_address, basic(name, password) if name else None)

    def agents(self, token=None):
        return Caller(self.agents_address, f"Bearer {token}" if token else None)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        if self.process:
            assert self.process.wait(PATIENCE) == 0, "".join(self.log)
            self.collector.join(PATIENCE)  # so that all it said was read
        self.process = None

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process = None


class Events:
    """Reads the stream of events in a thread."""

    def __init__(self, caller, after=None):
        self.connection = http.client.HTTPConnection(caller.host, caller.port, timeout=PATIENCE)
        headers = {"Authorization": caller.authorization} | ({"Last-Event-ID": after} if after else {})
        self.connection.request("GET", "/v1/events", headers=headers)
        self.response = self.connection.getresponse()
        assert self.response.status == 200, self.response.read()
        self.events = []  # (type, id, value)
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        event = {}
        try:
            for line in self.response:
                name, _, value = line.decode().rstrip("\n").partition(": ")
                if name:
                    event[name] = value
                elif "data" in event:
                    self.events.append((event["event"], event["id"], json.loads(event["data"])))
                    event = {}
                elif not line.strip():
                    event = {}
        except (OSError, ValueError, AttributeError, http.client.HTTPException):
            pass  # closed

    def of(self, kind):
        return [value for event, _, value in list(self.events) if event == kind]

    def close(self):
        try:
            self.connection.sock and self.connection.sock.shutdown(2)
        except OSError:
            pass
        self.connection.close()


@contextlib.contextmanager
def servers_in(folder):
    """What makes a Server, each in a folder of its own. At the end all are stopped; no sanitizer may have said anything."""
    servers = []

    def make(*options, **more):
        servers.append(Server(folder / str(len(servers)), *options, **more))
        return servers[-1]

    yield make
    for server in servers:
        server.stop()
        assert not [line for line in server.log if "Sanitizer" in line], "".join(server.log)
