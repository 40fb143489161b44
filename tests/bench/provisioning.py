#!/usr/bin/python3
"""provisioning.py - what many agents cost the provisioning server.

  provisioning.py BUILD [polls|fix]...     (default: both)

polls: 100, 1,000 and 10,000 agents that each ask for their versions every 5 s,
as ACE's and Celix's agents do; over a new connection for each poll (Celix),
and with 10,000 over connections that are kept. fix: fifty bundles, one of
which changes: the bytes of the fix package beside those of the full one."""
import io
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import zipfile

BUILD = pathlib.Path(sys.argv[1]).resolve()
SERVER = os.environ.get("INAETICS_PROVISIONING_PROGRAM", str(BUILD / "provisioning" / "inaetics-provisioning"))
AGENTS, PAGES = "127.17.8.250:8091", "127.17.8.250:8090"
INTERVAL_MS = 5000
SECONDS = 15
BUNDLES, BUNDLE_SIZE = 50, 100_000


def line(name, value, unit, aim=""):
    text = f"{value:.0f}" if value >= 1000 else f"{value:.1f}" if value >= 10 else f"{value:.3f}"
    print(f"{name:<66} {text:>10} {unit}{'  (aim: ' + aim + ')' if aim else ''}", flush=True)


class Server:
    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="inaetics-bench-")
        read, write = os.pipe()
        self.process = subprocess.Popen(
            [SERVER, "--data", self.folder.name + "/data", "--listen", AGENTS, "--pages", PAGES, "--log-level", "error",
             "--ready-fd", str(write)], pass_fds=[write])
        os.close(write)
        with os.fdopen(read) as ready:
            if "READY" not in ready.readline():
                sys.exit("the server did not start")
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(30)
        self.folder.cleanup()

    def call(self, method, path, body=None, agents=False):
        """Status and body; as the default account."""
        request = urllib.request.Request(f"http://{AGENTS if agents else PAGES}{path}", data=body, method=method)
        if not agents:
            request.add_header("Authorization", "Basic ZDpm")
        if body is not None:
            request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.read()


# -- polls


def polls():
    program = str(BUILD / "tests" / "bench" / "bench_agents")
    for agents, keep in ((100, False), (1000, False), (10000, False), (10000, True)):
        with Server() as server:
            command = [program, AGENTS, str(agents), str(INTERVAL_MS), str(SECONDS), str(server.process.pid)]
            out = subprocess.run(command + (["keep"] if keep else []), capture_output=True, text=True, check=False)
            if out.returncode != 0:
                sys.exit(f"bench_agents: {out.stdout}{out.stderr}")
            found = json.loads(out.stdout)
        what = f"{agents} agents, {'kept connections' if keep else 'a connection each poll'}"
        line(f"{what}: polls", found["polls"], "a second")
        line(f"{what}: median", found["p50"], "ms")
        line(f"{what}: 99 of 100 within", found["p99"], "ms", "100" if agents == 10000 else "")
        line(f"{what}: processor time of the server", found["cpu"] * 100, "% of one")


# -- fix packages


def bundle(name, version, seed):
    """What does not compress, as compiled code nearly does not."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as jar:  # with fixed times: uploaded twice it is the same file
        jar.writestr(zipfile.ZipInfo("META-INF/MANIFEST.MF"),
                     f"Manifest-Version: 1.0\nBundle-SymbolicName: {name}\nBundle-Version: {version}\n")
        jar.writestr(zipfile.ZipInfo("data"), random.Random(seed).randbytes(BUNDLE_SIZE))
    return out.getvalue()


def fetch(server, path):
    for _ in range(200):
        try:
            return server.call("GET", f"/deployment/bench/versions{path}", agents=True)
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
            time.sleep(0.1)
    sys.exit(f"no version {path} came")


def apply(server, versions):
    names = [f"bench.b{i}" for i in range(BUNDLES)]
    files = []
    for i, name in enumerate(names):
        file = f"{name}-{versions[i]}.jar"
        answer = server.call("POST", f"/v1/artifacts?filename={file}", bundle(name, versions[i], i * 10 + int(versions[i][0])))
        files.append({"file": file, "sha256": json.loads(answer)["attributes"]["sha256"]})
    state = {
        "version": 1, "artifacts": files,
        "features": {"all": {"artifacts": names}},
        "distributions": {"all": {"features": ["all"]}},
        "assignments": [{"distribution": "all", "targets": "(id=bench)"}],
        "targets": {"bench": {"autoApprove": True}},
    }
    server.call("POST", "/v1/desired", json.dumps(state).encode())


def fix():
    with Server() as server:
        server.call("GET", "/deployment/bench/versions", agents=True)
        versions = ["1.0.0"] * BUNDLES
        apply(server, versions)
        full = len(fetch(server, "/1.0.0"))
        versions[7] = "2.0.0"
        apply(server, versions)
        fetch(server, "/2.0.0")
        part = len(fetch(server, "/2.0.0?current=1.0.0"))
    line(f"{BUNDLES} bundles of {BUNDLE_SIZE} bytes: full package", full / 1e6, "MB")
    line("one of them changed: fix package", part / full * 100, "% of it", "5")


def main():
    for name in sys.argv[2:] or ("polls", "fix"):
        {"polls": polls, "fix": fix}[name]()


if __name__ == "__main__":
    main()
