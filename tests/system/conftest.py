"""Runs instances of the whole for system tests.

  INAETICS_BUILD   the build that is tested (default: build/)
  INAETICS_LONG    not empty: all faults of each campaign, other ones each time
  INAETICS_SEED    where chance begins

A test asks for `instance` (one that is not started, without pods of its own)
or for `make_instance` (several, or with the demonstrator). Afterwards
everything is ended by pid, no process may be left, and if the test failed,
all logs are shown."""

import fcntl
import http.client
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
import urllib.request

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("INAETICS_BUILD") or ROOT / "build").resolve()
LONG = bool(os.environ.get("INAETICS_LONG"))
INAETICS = BUILD / "cli" / "inaetics"
NUMBERS = range(3, 10)  # people use 0 and up
SEED = int(os.environ.get("INAETICS_SEED") or (time.time_ns() % 2**32 if LONG else 1))  # of what is left to chance
LOCKS = "/tmp"  # of the whole machine, wherever a test run has its temporary folder
PATIENCE = 120  # seconds; a limit for what should come soon, on a busy machine


# Some tests hold a thousand connections.
SOFT, HARD = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (max(SOFT, min(HARD, 8192)), HARD))


def wait_for(condition, what, timeout=PATIENCE):
    """Returns the first true value of condition()."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            pytest.fail(f"waited {timeout} s in vain: {what}")
        time.sleep(0.02)


def find_etcd():
    etcd = os.environ.get("INAETICS_ETCD_PROGRAM") or shutil.which("etcd")
    if not etcd:
        fetched = subprocess.run(
            [ROOT / "tools" / "fetch-server", "etcd-server", "etcd", ROOT / "build"],
            check=True, capture_output=True, text=True)
        etcd = fetched.stdout.strip()
    return etcd


def processes_with(entry):
    """Pids and command lines of processes whose environment has `entry`."""
    found = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            environment = pathlib.Path("/proc", name, "environ").read_bytes().split(b"\0")
            if entry.encode() in environment:
                found[int(name)] = pathlib.Path("/proc", name, "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            pass  # it ended meanwhile, or is not ours to see
    return found


def open_claim(name):
    """The file whose lock is a claim, whoever made it first: others may not write to it, nor make it, but lock it."""
    path = f"{LOCKS}/inaetics-{name}.lock"
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL, 0o644))
        os.chmod(path, 0o644)  # not as the umask says
    except FileExistsError:
        pass
    return open(path, encoding="utf-8")


def claim_number():
    """A number that no other test run uses, and whose ports nobody has: the open file holds the claim."""
    for number in NUMBERS:
        claim = open_claim(f"test-{number}")
        try:
            fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for address in ((f"127.{17 + 20 * number}.8.20", 2379), (f"127.{17 + 20 * number}.8.20", 2380),
                            (f"127.{17 + 20 * number}.8.20", 10260),
                            ("127.0.0.1", 8080 + number), ("127.0.0.1", 8090 + number),
                            (f"127.{1 + 20 * number}.1.2", 8080 + number), (f"127.{1 + 20 * number}.1.2", 2019 + number)):
                with socket.socket() as probe:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    probe.bind(address)
                    probe.listen()
            return number, claim
        except OSError:
            claim.close()
    return None


def claim_network():
    """Loopback addresses 127.N.0.x of our own: the open file holds the claim."""
    for number in range(200, 250):
        claim = open_claim(f"remote-{number}")
        try:
            fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return f"127.{number}.0.", claim
        except OSError:
            claim.close()
    return None


class Instance:
    """One `inaetics up`, with a data folder of its own."""

    def __init__(self, demonstrator):
        claimed = wait_for(claim_number, "a free instance number (3 to 9)", 600)
        self.number, self.claim = claimed
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="ina-"))  # short: unix sockets are in it
        self.data = self.home / f"instance-{self.number}"
        self.deployment = self.home / "deployment"
        self.output_path = self.home / "up.out"
        self.demonstrator = demonstrator
        self.process = None
        self.environment = dict(os.environ, INAETICS_ETCD_PROGRAM=find_etcd())
        self.environment.pop("INAETICS_DATA", None)
        self.deployment.mkdir()
        self.data.mkdir(mode=0o700)

    # -- addresses

    @property
    def controller(self):
        return f"127.{17 + 20 * self.number}.8.20"

    @property
    def page(self):
        return f"http://127.0.0.1:{8080 + self.number}"

    # -- life

    def start(self, *options, wait=True, user=None):
        """Starts it, as this user if we are root; with wait, returns when it says that it runs."""
        command = [INAETICS, "up", "--name", str(self.number), "--data", self.home, *options]
        if not self.demonstrator:
            command += ["--deployment", self.deployment]
        as_user = {"user": user, "group": user, "extra_groups": []} if user else {}
        for path in [self.home, *self.home.rglob("*")] if user else []:
            os.chown(path, user, user, follow_symlinks=False)
        with open(self.output_path, "a", encoding="utf-8") as output:
            offset = output.tell()
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=self.environment, **as_user)
        if wait:
            wait_for(lambda: "Ctrl-C ends it" in self.output()[offset:] or self.process.poll() is not None,
                     "`inaetics up` says that it runs")
            assert self.process.poll() is None, self.output()
        return self

    def output(self):
        return self.output_path.read_text(encoding="utf-8") if self.output_path.exists() else ""

    def stop(self, sig=signal.SIGTERM):
        """Ends it; returns its exit status."""
        self.process.send_signal(sig)
        status = self.process.wait(PATIENCE + 30)
        self.process = None
        return status

    def processes(self):
        """All processes of it but `inaetics up` itself."""
        return processes_with(f"INAETICS_PART_OF={self.data}") | processes_with(f"INAETICS_POD_OF={self.data}")

    def machines(self):
        """The processes of the nodes."""
        return json.loads(self.cli("node", "list", "--json").stdout)

    def state(self):
        """DATA/up.json."""
        return json.loads((self.data / "up.json").read_text(encoding="utf-8"))

    # -- command line

    def cli(self, command, *arguments, check=True, timeout=PATIENCE):
        result = subprocess.run(
            [INAETICS, command, "--name", str(self.number), "--data", self.home, *map(str, arguments)],
            capture_output=True, text=True, timeout=timeout, env=self.environment, check=False)
        if check:
            assert result.returncode == 0, result.stderr
        return result

    # -- the Kubernetes API

    def api(self, method, path, body=None, content_type="application/json", check=True):
        """One request with the administrator's certificate; returns (status, answer). With check, it must
        succeed; to be read something may need a while, as when etcd was killed just now."""
        patient = check and method == "GET"
        status, answer = wait_for(lambda: (told := self.exchange(method, path, body, content_type))
                                  and (told[0] < 500 or not patient) and told, f"{path} can be read")
        if check:
            assert status < 300, answer
        return status, answer

    def exchange(self, method, path, body=None, content_type="application/json"):
        """One request; returns (status, answer)."""
        pki = self.data / "pki"
        context = ssl.create_default_context(cafile=pki / "ca.pem")
        context.load_cert_chain(pki / "admin.pem", pki / "admin-key.pem")
        connection = http.client.HTTPSConnection(self.controller, 10260, timeout=PATIENCE, context=context)
        try:
            connection.request(method, path, None if body is None else json.dumps(body), {"Content-Type": content_type})
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        return answer.status, json.loads(text) if text[:1] in (b"{", b"[") else text.decode()

    def pods(self):
        """Pods that are to stay, as Kubernetes has them, by name."""
        items = self.api("GET", "/api/v1/namespaces/default/pods")[1]["items"]
        return {item["metadata"]["name"]: item for item in items if "deletionTimestamp" not in item["metadata"]}

    def parts(self, part):
        """Names of the pods of a part of the demonstrator, as "queue"."""
        return sorted(name for name, pod in self.pods().items() if pod["metadata"].get("labels", {}).get("part") == part)

    def part(self, part):
        """Name of its pod, once it is there."""
        return wait_for(lambda: self.parts(part), f"a pod of {part}")[0]

    def scale(self, part, count):
        """So many pods of a part from now on, whatever the coordinator would say; waits until those too many are gone."""
        if self.parts("coordinator"):
            self.cli("scale", "inaetics-coordinator-controller", 0)
            path = "/api/v1/namespaces/default/pods?labelSelector=part%3Dcoordinator"  # also one that is about to end
            wait_for(lambda: not self.api("GET", path)[1]["items"], "the coordinator is gone")
        self.cli("scale", f"inaetics-{part}-controller", count)
        wait_for(lambda: len(self.parts(part)) <= count, f"only {count} pods of {part} are left")

    def container(self, pod):
        """Status of a pod's first container; None when there is none."""
        statuses = self.pods().get(pod, {}).get("status", {}).get("containerStatuses")
        return statuses[0] if statuses else None

    def pid(self, pod):
        """Of a pod's first container; None when it does not run."""
        node, container = self.node_of(pod), self.container(pod) or {}
        if not node or "running" not in container.get("state", {}):
            return None
        listed = json.loads(self.cli("node", "ps", node, "--json").stdout)
        pids = [one["pid"] for one in listed if (one["pod"], one["container"]) == (pod, container["name"])]
        return min(pids, default=None)

    def running_pid(self, pod):
        """Of a pod's first container, once it runs."""
        return wait_for(lambda: self.pid(pod), f"pod {pod} runs")

    def logs(self, pod, *options):
        """What a pod wrote; empty when it is not there (yet)."""
        return self.cli("logs", pod, *options, check=False).stdout

    def wait_running(self, pod):
        wait_for(lambda: "running" in (self.container(pod) or {}).get("state", {}), f"pod {pod} runs")
        return self

    def node_of(self, pod):
        return self.pods().get(pod, {"spec": {}})["spec"].get("nodeName")

    # -- services

    def services(self, contract, **properties):
        """Endpoints of a contract with these properties, as `inaetics services` lists them."""
        listed = json.loads(self.cli("services", "--json").stdout)
        return [one for one in listed if one["contract"] == contract and one["url"]
                and properties.items() <= (one["properties"] or {}).items()]

    def call(self, service, method, request=None, timeout=PATIENCE):
        """One call in JSON: the first provider of a contract, or one of services()."""
        if isinstance(service, str):
            contract = service
            service = wait_for(lambda: self.services(contract), f"{contract} is offered")[0]
        token = (self.data / "token").read_text(encoding="utf-8").strip()
        request = urllib.request.Request(
            f"{service['url']}/{service['contract']}/{method}", json.dumps(request or {}).encode(),
            {"Content-Type": "application/json", "Authorization": f"Bearer {token}"})
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=timeout) as answer:
            return json.load(answer)

    # -- manifests

    def pod(self, name, script, annotations=None, spec=None, **container):
        """A pod of a shell script: at once, or from the next start on."""
        self.create(manifest(name, script, annotations, spec, **container))

    def create(self, thing):
        """Any object of the namespace default: at once, or from the next start on."""
        if self.process and self.process.poll() is None:
            plural = thing["kind"].lower() + "s"
            self.api("POST", f"/api/v1/namespaces/default/{plural}", thing)
        else:
            (self.deployment / f"{thing['metadata']['name']}.json").write_text(json.dumps(thing), encoding="utf-8")

    def delete(self, pod):
        self.api("DELETE", f"/api/v1/namespaces/default/pods/{pod}")

    def change_template(self, part, spec, container=None):
        """Patches the pods' spec in a part's controller, and that of its container; its pods are made anew."""
        path = f"/api/v1/namespaces/default/replicationcontrollers/inaetics-{part}-controller"
        name = self.api("GET", path)[1]["spec"]["template"]["spec"]["containers"][0]["name"]
        if container:
            spec = {**spec, "containers": [{"name": name, **container}]}
        self.api("PATCH", path, {"spec": {"template": {"spec": spec}}}, "application/strategic-merge-patch+json")
        for pod in self.parts(part):
            self.delete(pod)

    def set_environment(self, part, **variables):
        """Sets variables of a part's container; its pods are made anew."""
        self.change_template(part, {}, {"env": [{"name": name, "value": str(value)} for name, value in variables.items()]})

    # -- afterwards

    def log_files(self):
        """Of its own parts, and of the containers on its nodes."""
        folders = [self.data / "logs", *self.data.glob("nodes/*/logs")]
        return sorted(path for folder in folders for path in folder.rglob("*.log*"))

    def show(self):
        """All that it wrote, for a test that failed."""
        print(f"-- inaetics up --\n{self.output()}")
        for path in self.log_files():
            print(f"-- {path.relative_to(self.data)} --\n{path.read_text(encoding='utf-8', errors='replace')[-8000:]}")

    def sanitizer_reports(self):
        """What the sanitizers said in any log, of any process."""
        texts = {"inaetics up": self.output()}
        for path in self.log_files():
            texts[str(path.relative_to(self.data))] = path.read_text(encoding="utf-8", errors="replace")
        marks = re.compile(r"^.*(?:ERROR: \w+Sanitizer|runtime error: ).*(?:\n.*){0,30}", re.M)
        return [f"{name}: {found[0]}" for name, text in texts.items() if (found := marks.search(text))]

    def close(self):
        """Ends what is left; returns what should not be: processes that did not end, reports of sanitizers."""
        if self.process and self.process.poll() is None:
            self.stop()
        deadline = time.monotonic() + 30
        while (left := self.processes()) and time.monotonic() < deadline:
            time.sleep(0.05)
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        reports = self.sanitizer_reports()
        shutil.rmtree(self.home, ignore_errors=True)
        self.claim.close()
        return [f"left behind: {pid} {command}" for pid, command in left.items()] + reports


def manifest(name, script, annotations=None, spec=None, **container):
    """A pod that runs a shell script."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "annotations": annotations or {}},
        "spec": {
            "terminationGracePeriodSeconds": 5,
            "containers": [{"name": "main", "image": "inaetics/shell", "command": ["/bin/sh", "-c", script], **container}],
            **(spec or {}),
        },
    }


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    setattr(item, f"report_{call.when}", outcome.get_result())


@pytest.fixture
def make_instance(request):
    """make_instance(demonstrator=False): an instance that is not started."""
    made = []

    def make(demonstrator=False):
        made.append(Instance(demonstrator))
        return made[-1]

    yield make
    reports = [getattr(request.node, f"report_{phase}", None) for phase in ("setup", "call")]
    wrong = []
    for one in made:
        if one.process and one.process.poll() is None:
            one.stop()  # first, so that all has been said
        if any(report is not None and report.failed for report in reports):
            # Past the capture, which forgets what is said after a setup that failed.
            with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
                one.show()
        wrong += one.close()
    assert not wrong, "\n".join(wrong)


@pytest.fixture
def instance(make_instance):
    return make_instance()


@pytest.fixture
def demonstrator(make_instance):
    """The whole application, running; its first result is stored."""
    one = make_instance(demonstrator=True).start()
    wait_for(lambda: int(one.call("demonstrator.v1.Store", "Status").get("stored", 0)) > 0, "a result is stored")
    return one
