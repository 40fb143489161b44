"""Our own control plane alone: etcd, the API and the controllers, without any node."""

import json
import os
import pathlib
import shutil
import socket
import subprocess
import time

import client
import users

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("INAETICS_BUILD") or ROOT / "build").resolve()
PROGRAM = BUILD / "cluster" / "inaetics-control-plane"
PATIENCE = 60  # seconds until it answers, on a busy machine
# Its certificates have an organisation and no name: that is what its messages call the user.
NAMES = {f"inaetics:{one}": one for one in users.USERS}


def find_etcd():
    etcd = os.environ.get("INAETICS_ETCD_PROGRAM") or shutil.which("etcd")
    if not etcd:
        fetched = subprocess.run([ROOT / "tools" / "fetch-server", "etcd-server", "etcd", ROOT / "build"],
                                 check=True, capture_output=True, text=True)
        etcd = fetched.stdout.strip()
    return etcd


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Plane:
    def __init__(self, folder):
        self.folder = folder
        self.processes = []
        self.server = self.etcd = None

    def make_pki(self):
        """As `inaetics up` makes it."""
        pki = self.folder / "pki"
        pki.mkdir(mode=0o700)
        ca = (pki / "ca.pem", pki / "ca-key.pem")
        users.make_ca(*ca)
        both = "extendedKeyUsage=serverAuth,clientAuth\nsubjectAltName=IP:127.0.0.1"
        for name in ("etcd", "control-plane"):
            users.sign(ca, pki / f"{name}.pem", pki / f"{name}-key.pem", f"/O=inaetics:{name}", both)
        admin = users.sign(ca, pki / "admin.pem", pki / "admin-key.pem", "/O=inaetics:admin")
        return pki, users.make(ca, admin, self.folder, "/O=inaetics:{}")

    def run(self, name, *command):
        with open(self.folder / f"{name}.log", "ab") as log:
            self.processes.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log))

    def ask_etcd(self, method, body):
        answer = client.request(self.etcd, "admin", "POST", f"/v3/kv/{method}", {"Content-Type": "application/json"}, json.dumps(body))
        return json.loads(answer.text)

    def restart(self):
        """Ends the control plane and starts it again, without the past: a version can be too old."""
        control = self.processes.pop()
        control.terminate()
        if control.wait(PATIENCE) != 0:
            raise RuntimeError(f"the control plane ended with status {control.returncode}\n{self.logs()}")
        now = self.ask_etcd("range", {"key": "AA=="})["header"]["revision"]
        self.ask_etcd("compaction", {"revision": now, "physical": True})
        self.run("control-plane", *control.args)
        self.wait()

    def start(self):
        pki, proofs = self.make_pki()
        port, etcd_port = free_port(), free_port()
        etcd, peers = f"https://127.0.0.1:{etcd_port}", f"http://127.0.0.1:{free_port()}"
        self.run("etcd", find_etcd(), "--data-dir", self.folder / "etcd", "--unsafe-no-fsync",
                 "--listen-client-urls", etcd, "--advertise-client-urls", etcd, "--client-cert-auth",
                 "--trusted-ca-file", pki / "ca.pem", "--cert-file", pki / "etcd.pem", "--key-file", pki / "etcd-key.pem",
                 "--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers, "--initial-cluster", f"default={peers}")
        data = self.folder / "data"
        data.mkdir(mode=0o700)
        self.run("control-plane", PROGRAM, "--etcd", etcd, "--pki", pki, "--listen", f"127.0.0.1:{port}", "--data", data)
        self.etcd = client.Server("127.0.0.1", etcd_port, pki / "ca.pem", proofs)
        self.server = client.Server("127.0.0.1", port, pki / "ca.pem", proofs, names=NAMES)
        self.wait()
        self.restart()
        return self.server

    def wait(self):
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                if client.request(self.server, "admin", "GET", "/api/v1/namespaces/default/serviceaccounts/default").status == 200:
                    return
            except OSError:
                pass
            ended = [one.args[0] for one in self.processes if one.poll() is not None]
            if ended or time.monotonic() > deadline:
                raise RuntimeError(f"the control plane does not answer; ended: {ended}\n{self.logs()}")
            time.sleep(0.1)

    def logs(self):
        return "\n".join(f"-- {path.name} --\n{path.read_text(errors='replace')[-4000:]}" for path in sorted(self.folder.glob("*.log")))

    def stop(self):
        """Ends all; returns how the control plane ended."""
        for process in reversed(self.processes):
            process.terminate()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        return self.processes[-1].returncode
