"""Agents as ACE 1.0.2 (on Felix) and Celix 2.4.0 have them, as far as a server can tell.

They do what the real ones were seen to do, good and bad: a package that would
crash the real agent raises AgentCrashed here, so a test that uses them shows
that the server never sends one. Nothing is run: bundles are names and versions,
and `starts` says which of them start.

    agent = CelixAgent("http://127.0.0.1:8091", "celix-1", {"site": "lab"})
    agent.step()                # one turn of its loop
    agent.bundles               # {"t.a": "1.0.0"}
    agent.start(); agent.stop() # turns in a thread, each `interval` seconds
"""
import http.client
import io
import re
import threading
import time
import urllib.parse
import zipfile

MANIFEST = "META-INF/MANIFEST.MF"


class AgentCrashed(Exception):
    """What the real agent would not have survived."""


class PackageRefused(Exception):
    """What the real agent refuses, with the code of OSGi's DeploymentException."""


class TransferFailed(Exception):
    """The package did not arrive."""


def read_manifest(text):
    """Main section and list of sections, as java.util.jar reads them."""
    sections = []
    for block in re.split(r"(?:\r\n|\n){2,}", re.sub(r"\r?\n ", "", text.decode()).strip()):
        sections.append(dict(line.split(": ", 1) for line in block.splitlines()))
    return sections[0], sections[1:]


class LegacyAgent:
    interval = 5.0

    def __init__(self, url, identity):
        parts = urllib.parse.urlsplit(url)
        self.host, self.port, self.identity = parts.hostname, parts.port, identity
        self.bundles, self.resources = {}, {}
        self.version = ""
        self.crashed = None
        self.requests = 0
        self._stop, self._thread = threading.Event(), None

    # -- its loop

    def start(self):
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self):
        self._stop.set()
        if self._thread:
            self._thread.join(60)
            self._thread = None

    def _run(self):
        while not self._stop.is_set():
            try:
                self.step()
            except AgentCrashed as error:
                self.crashed = error
                return
            except OSError:
                pass  # the server is away: again at the next turn
            self._stop.wait(self.interval)

    def step(self):
        raise NotImplementedError

    # -- HTTP

    headers = {}

    def connect(self):
        self.requests += 1
        return http.client.HTTPConnection(self.host, self.port, timeout=60)

    def get(self, path, headers=None):
        """Status, headers and body; http.client.IncompleteRead when it was cut."""
        connection = self.connect()
        try:
            connection.request("GET", path, headers={**self.headers, **(headers or {})})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()


class CelixAgent(LegacyAgent):
    """Fetches whenever the last line of the list is not what it installed last; says two things only, once.

    A bundle that its framework refuses (`installs`) does not keep it from counting the version as installed.
    """

    headers = {"Accept": "*/*"}  # and no User-Agent
    buffer = 512  # bytes for a header whose lines are joined

    def __init__(self, url, identity, tags=None):
        super().__init__(url, identity)
        self.log = int(time.time() * 1e6)
        self.sequence = 0
        self.tags = tags or {}
        self.introduced = False
        self.installs = lambda name, version: True
        self.known = {}  # of its last package: name -> whether it is a resource processor

    def restart(self):
        """As after a crash: all it knows is in memory, and its framework begins with an empty cache."""
        self.version, self.bundles, self.known, self.crashed = "", {}, {}, None
        self.log, self.sequence, self.introduced = self.log + 1, 0, False

    def say(self, kind, *entries):
        line = ",".join([self.identity, str(self.log), str(self.sequence), "0", str(kind), *entries]) + "\n"
        self.sequence += 1
        connection = self.connect()
        try:
            connection.request("POST", "/auditlog/send", line.encode(), self.headers)
            connection.getresponse().read()
        except OSError:
            pass  # lost
        finally:
            connection.close()

    def step(self):
        if not self.introduced:
            self.introduced = True
            self.say(1005)
            self.say(4001, *(text for pair in self.tags.items() for text in pair))
        try:
            status, _, body = self.get(f"/deployment/{self.identity}/versions")
        except http.client.HTTPException:
            return
        lines = body.decode().splitlines()
        if status >= 400 or not lines or lines[-1] == self.version:
            return
        try:
            status, _, body = self.get(f"/deployment/{self.identity}/versions/{lines[-1]}")
        except http.client.HTTPException:
            return  # cut: again at the next turn
        if status >= 400:
            return
        self.install(body)
        self.version = lines[-1]

    def install(self, body):
        try:
            package = zipfile.ZipFile(io.BytesIO(body))
            main, sections = read_manifest(package.read(MANIFEST))
        except (zipfile.BadZipFile, KeyError) as error:
            raise AgentCrashed(f"a body that is no package: {error}") from error
        for value in [value for section in (main, *sections) for value in section.values()]:
            if len(value.encode()) >= self.buffer:
                raise AgentCrashed(f"a header of {len(value)} characters: {value[:40]}...")
        known = {}
        for section in sections:
            if "Bundle-SymbolicName" in section:
                package.read(section["Name"])
                name, version = section["Bundle-SymbolicName"], section["Bundle-Version"]
                known[name] = section.get("DeploymentPackage-Customizer") == "true"
                if name in self.bundles or self.installs(name, version):
                    self.bundles[name] = version
            elif "Resource-Processor" not in section:
                raise AgentCrashed(f"{section['Name']} has no Resource-Processor")
        for name, processor in self.known.items():
            if name not in known and not processor:  # it keeps processors
                if self.bundles.pop(name, None) is None:
                    raise AgentCrashed(f"{name} is to be removed, but was never installed")
        self.known = known


class AceAgent(LegacyAgent):
    """Installs versions greater than its own; reports each event until the server has it; asks for fix packages."""

    headers = {"User-Agent": "Java/17.0.1", "Accept": "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2"}

    def __init__(self, url, identity, tags=None, processors=(), fix_packages=True):
        super().__init__(url, identity)
        self.version = "0.0.0"
        self.log = int(time.time() * 1e3)
        self.events = []
        self.ids, self.next_id = {}, 10
        self.blocked = set()  # failed once: until a newer version appears
        self.retry_at = 0.0
        self.processors = set(processors)
        self.fix_packages = fix_packages
        self.fetched = []  # (version, bytes)
        self.starts = lambda name, version: True
        self.say(1005)
        if tags:
            self.say(4001, *(text for pair in tags.items() for text in pair))

    # -- feedback

    @staticmethod
    def encode(text):
        if text is None:
            return "$e"
        return text.replace("$", "$$").replace(",", "$k").replace("\n", "$n").replace("\r", "$r")

    def say(self, kind, *entries):
        values = [self.encode(text) if i % 2 else text for i, text in enumerate(entries)]
        self.events.append(",".join([self.identity, str(self.log), str(len(self.events) + 1),
                                     str(int(time.time() * 1e3)), str(kind), *values]))

    def feedback(self):
        """The POST is opened before the query is asked on another connection, and finished afterwards."""
        post = self.connect()
        try:
            post.putrequest("POST", "/auditlog/send", skip_accept_encoding=True)
            post.putheader("User-Agent", self.headers["User-Agent"])
            post.putheader("Transfer-Encoding", "chunked")
            post.putheader("Content-type", "application/x-www-form-urlencoded")
            post.endheaders()
            status, _, body = self.get(f"/auditlog/query?tid={self.identity}&logid={self.log}")
            if status != 200 or not body.decode().startswith(f"{self.identity},{self.log},"):
                raise AssertionError(f"query: {status} {body!r}")
            there = self.numbers(body.decode().split(",", 2)[2].replace("$k", ","))
            for number, line in enumerate(self.events, 1):
                if number not in there:
                    text = line.encode() + b"\n"
                    post.send(b"%x\r\n%b\r\n" % (len(text), text))
            post.send(b"0\r\n\r\n")
            answer = post.getresponse()
            if answer.status != 200 or answer.read():
                raise AssertionError(f"send: {answer.status}")
        finally:
            post.close()

    @staticmethod
    def numbers(ranges):
        found = set()
        for part in filter(None, ranges.split(",")):
            low, _, high = part.partition("-")
            found.update(range(int(low), int(high or low) + 1))
        return found

    # -- deployment

    def step(self):
        self.feedback()
        self.get(f"/agent/{self.identity}/org.apache.ace.agent/versions/")
        status, _, body = self.get(f"/deployment/{self.identity}/versions/")
        versions = sorted(body.decode().split(), key=self.order) if status == 200 else []
        if not versions or self.order(versions[-1]) <= self.order(self.version) or versions[-1] in self.blocked:
            return
        if time.monotonic() >= self.retry_at:
            self.update(versions[-1])
        self.feedback()

    @staticmethod
    def order(version):
        return [int(number) for number in version.split(".")[:3]]

    def update(self, version):
        path = f"/deployment/{self.identity}/versions/{version}"
        if self.fix_packages:
            path += f"?current={self.version}"
        status, headers, body = 0, {}, b""
        try:
            status, headers, body = self.get(path)
        except http.client.HTTPException:
            pass
        if status == 503:
            self.retry_at = time.monotonic() + float(headers.get("Retry-After", "30"))
            self.say(2003, "success", "false", "name", None, "version", self.version)
            return
        try:
            if status != 200 or not body.startswith(b"PK"):
                raise TransferFailed
            self.fetched.append((version, len(body)))
            self.say(2001, "name", self.identity)
            self.install(body)
        except TransferFailed:
            self.blocked.add(version)
            self.say(2003, "success", "false", "name", None, "version", self.version)
        except PackageRefused:
            self.blocked.add(version)
            self.say(2003, "success", "false", "name", self.identity, "version", self.version)
        else:
            self.version = version
            self.say(2003, "success", "true", "name", self.identity, "version", version)

    def install(self, body):
        package = zipfile.ZipFile(io.BytesIO(body))
        names = package.namelist()
        if names[0] != MANIFEST:
            raise PackageRefused("the manifest is not the first entry")
        main, sections = read_manifest(package.read(MANIFEST))
        if main["DeploymentPackage-SymbolicName"] != self.identity:
            raise PackageRefused("bundles belong to another package (460)")
        fix = main.get("DeploymentPackage-FixPack")
        if fix:
            low = re.fullmatch(r"\[([0-9.]+),[0-9.]+\)", fix)[1]
            if low != self.version:
                raise PackageRefused(f"fix package from {low}, but {self.version} runs (453)")
        self.check_entries(names[1:], sections)
        wanted = {}
        for section in sections:
            missing = section.get("DeploymentPackage-Missing") == "true"
            if "Bundle-SymbolicName" in section:
                name, version = section["Bundle-SymbolicName"], section["Bundle-Version"]
                if missing and self.bundles.get(name) != version:
                    raise PackageRefused(f"{name} is missing and not there (454)")
                wanted[name] = version
            else:
                self.check_processor(section, sections)
        self.change_to(wanted)

    @staticmethod
    def check_entries(names, sections):
        listed = {section["Name"]: section for section in sections}
        bundles = [section["Name"] for section in sections
                   if "Bundle-SymbolicName" in section and section.get("DeploymentPackage-Missing") != "true"]
        if set(names[:len(bundles)]) != set(bundles):
            raise PackageRefused("Expected more bundles")
        if not set(names) <= set(listed):
            raise PackageRefused("an entry that is not in the manifest")

    def check_processor(self, section, sections):
        processor = section.get("Resource-Processor")
        brought = any(one.get("DeploymentPackage-Customizer") == "true" for one in sections)
        if processor and processor not in self.processors and not brought:
            raise PackageRefused(f"no processor {processor} (464)")

    def change_to(self, wanted):
        for name in [name for name in self.bundles if name not in wanted]:
            self.say(4, "id", str(self.ids[name]))
            self.say(7, "id", str(self.ids.pop(name)))
            del self.bundles[name]
        for name, version in wanted.items():
            if self.bundles.get(name) == version:
                continue
            if name in self.bundles:
                self.say(4, "id", str(self.ids[name]))
                self.say(6, "id", str(self.ids[name]), "version", version, "location", f"osgi-dp:{name}")
            else:
                self.ids[name], self.next_id = self.next_id, self.next_id + 1
                self.say(1, "id", str(self.ids[name]), "name", name, "version", version, "location", f"osgi-dp:{name}")
            self.bundles[name] = version
            if self.starts(name, version):
                self.say(3, "id", str(self.ids[name]))
            else:  # its activator threw; the package still counts as installed
                self.say(1003, "id", str(self.ids[name]), "msg", "Activator start error", "type", "BundleException")
