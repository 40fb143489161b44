"""Agents and provisioning servers over TLS: who is trusted, and that nobody else is told anything."""
import os
import re
import shutil
import socket
import ssl
import subprocess
import threading

import pytest
from certificates import make_authority, make_certificate, make_server_certificate
from conftest import INAETICS, PATIENCE, wait_for
from deployed import TOKEN, deploy, pack, run_etcd, run_world, until_installed, versions


@pytest.fixture
def world(tmp_path):
    yield from run_world(tmp_path)


@pytest.fixture
def etcd(tmp_path):
    yield from run_etcd(tmp_path)


@pytest.fixture
def pki(tmp_path):
    """A folder with an authority, and a certificate of it for servers at 127.0.0.1 and localhost."""
    folder = make_authority(tmp_path / "pki")
    make_server_certificate(folder)
    return folder


@pytest.fixture
def peers():
    """Makes others that agents may be led to."""
    made = []

    def make(kind, *arguments):
        made.append(kind(*arguments))
        return made[-1]

    yield make
    for peer in made:
        peer.close()


def context_of(folder, name="provisioning"):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}-key.pem")
    return context


class Peer:
    """Listens in a thread, over TLS if it has a context; keeps what it is told, and answers it."""

    def __init__(self, context=None, answer=b""):
        self.context, self.answer = context, answer
        self.told = b""
        self.connections = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.run)
        self.ending = False
        self.thread.start()

    def run(self):
        while not self.ending:
            connection, _ = self.listener.accept()
            if self.ending:
                connection.close()
                return
            self.connections += 1
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        connection.settimeout(PATIENCE)
        try:
            if self.context:
                connection = self.context.wrap_socket(connection, server_side=True)
            self.talk(connection)
        except OSError:
            pass  # refused
        finally:
            connection.close()

    def talk(self, connection):
        while data := connection.recv(65536):
            self.told += data
            if self.answer:
                connection.sendall(self.answer)
                return

    def close(self):
        self.ending = True
        socket.create_connection(("127.0.0.1", self.port)).close()
        self.thread.join(PATIENCE)
        self.listener.close()


class Front(Peer):
    """Passes requests on to the server at an address, which speaks TLS if there is an authority that it is trusted by."""

    def __init__(self, context, address, authority=None):
        self.host, _, port = address.rpartition(":")
        self.behind = self.host, int(port)
        self.trusts = ssl.create_default_context(cafile=authority) if authority else None
        super().__init__(context)

    def talk(self, connection):
        request = b""
        while data := connection.recv(65536):
            request += data
            head, end, body = request.partition(b"\r\n\r\n")
            length = re.search(rb"(?i)content-length: *(\d+)", head)
            if end and len(body) >= int(length[1] if length else 0):
                with socket.create_connection(self.behind) as plain:
                    behind = self.trusts.wrap_socket(plain, server_hostname=self.host) if self.trusts else plain
                    behind.sendall(head.replace(b"\r\n", b"\r\nConnection: close\r\n", 1) + end + body)
                    answer = b"".join(iter(lambda: behind.recv(65536), b""))
                    behind.close()
                self.give(connection, head, answer)
                return

    def give(self, connection, head, answer):
        connection.sendall(answer)


class Cutter(Front):
    """The first file that it passes on breaks off in its middle."""

    def __init__(self, *arguments):
        self.files = []  # (first byte asked for, bytes of the answer passed on, bytes it had)
        super().__init__(*arguments)

    def give(self, connection, head, answer):
        if b" /v1/blobs/" in head:
            asked = re.search(rb"(?i)range: bytes=(\d+)-", head)
            size = len(answer.partition(b"\r\n\r\n")[2])
            passed = size if self.files else size // 2
            self.files.append((int(asked[1]) if asked else 0, passed, size))
            answer = answer[:len(answer) - size + passed]
        connection.sendall(answer)  # closed without TLS's word for the end


def over_tls(world, pki, target, *urls, **environment):
    """An agent that knows these servers, and trusts the keys of the world's."""
    trust = world.folder / f"{target}.pub"
    trust.write_text("".join((server.folder / "data" / "signing.key.pub").read_text() for server in world.servers))
    return world.agent(target, None, INAETICS_PROVISIONING=",".join(urls), INAETICS_TRUST=str(trust),
                       **({"INAETICS_PROVISIONING_CA": str(pki / "ca.pem")} if pki else {}), **environment)


def said(agent, pattern):
    wait_for(lambda: re.search(pattern, "".join(agent.log)), f"it says {pattern}")


# --- all is well ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_deployment_over_tls_runs_and_the_next_one_comes_at_once(world, pki, host):
    server = world.server("--pki", pki)
    people = server.people()
    port = server.agents_address.rpartition(":")[2]
    agent = over_tls(world, pki, "lab-1", f"https://{host}:{port}")
    for version in ("1.0.0", "2.0.0"):
        deploy(people, [pack(world.folder, "test.counter", version)])
        agent.until_has({"test.counter": version})
        until_installed(people, "lab-1", versions(people, "lab-1")[0])
    log = people.right("GET", "/v1/targets/lab-1/log")["items"]
    assert any(event["type"] == 2003 and event["properties"]["success"] == "true" for event in log), log


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_download_over_tls_that_breaks_off_goes_on_where_it_was(world, pki, peers, host):
    server = world.server("--pki", pki)
    people = server.people()
    deploy(people, [pack(world.folder, "test.counter", "1.0.0")])
    cutter = peers(Cutter, context_of(pki), server.agents_address, pki / "ca.pem")
    agent = over_tls(world, pki, "lab-1", f"https://{host}:{cutter.port}")
    agent.until_has({"test.counter": "1.0.0"})
    until_installed(people, "lab-1", versions(people, "lab-1")[0])
    (begin, passed, size), (again, rest, _) = cutter.files
    assert begin == 0 and 0 < again <= passed and rest < size, cutter.files


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_server_that_is_lost_is_left_for_another(world, pki, host):
    servers = [world.server("--pki", pki) for _ in range(2)]
    for server in servers:
        deploy(server.people(), [pack(world.folder, "test.counter", "1.0.0")])
    ports = [server.agents_address.rpartition(":")[2] for server in servers]
    agent = over_tls(world, pki, "lab-1", *(f"https://{host}:{port}" for port in ports))
    agent.until_has({"test.counter": "1.0.0"})
    until_installed(servers[0].people(), "lab-1", versions(servers[0].people(), "lab-1")[0])
    servers[0].kill()
    people = servers[1].people()
    wait_for(lambda: any(one["id"] == "lab-1" for one in people.right("GET", "/v1/targets")["items"]),
             "the agent comes to the other server")
    deploy(people, [pack(world.folder, "test.counter", "2.0.0")])
    agent.until_has({"test.counter": "2.0.0"})
    until_installed(people, "lab-1", versions(people, "lab-1")[0])


def test_etcd_lists_a_server_with_https_and_who_vouches_for_etcd_vouches_for_it(world, pki, etcd):
    folder = world.folder / "told"
    folder.mkdir()
    shutil.copy(pki / "ca.pem", folder)
    server = world.server("--pki", pki, "--etcd", etcd)
    agent = over_tls(world, None, "lab-1", INAETICS_ETCD=etcd, INAETICS_PKI=str(folder))
    deploy(server.people(), [pack(world.folder, "test.counter", "1.0.0")])
    agent.until_has({"test.counter": "1.0.0"})
    until_installed(server.people(), "lab-1", versions(server.people(), "lab-1")[0])
    assert any(f"url=https://{server.agents_address}" in line for line in server.log), "".join(server.log)


def test_an_agent_may_enrol_with_a_certificate_that_names_it_instead_of_the_token(world, pki):
    server = world.server("--pki", pki, "--credentials")
    people = server.people()
    deploy(people, [pack(world.folder, "test.counter", "1.0.0")])
    agents = {}
    for name, subject in (("lab-1", "lab-1"), ("lab-2", "lab-1")):
        make_certificate(pki, name, f"/O=x/CN={subject}", "extendedKeyUsage=clientAuth\n")
        shown = pki / f"{name}-both.pem"
        shown.write_text((pki / f"{name}.pem").read_text() + (pki / f"{name}-key.pem").read_text())
        agents[name] = over_tls(world, pki, name, f"https://{server.agents_address}", INAETICS_TOKEN_FILE="",
                                INAETICS_PROVISIONING_CERTIFICATE=str(shown))
    agents["lab-1"].until_has({"test.counter": "1.0.0"})
    until_installed(people, "lab-1", versions(people, "lab-1")[0])
    said(agents["lab-2"], "target lab-2 is not enrolled: it answers 401: enrolling takes the cluster's token")
    assert agents["lab-2"].bundles() == {}


# --- who is refused ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong, why", [
    ("authority", "issuer is unknown"),
    ("name", "name in the certificate does not match"),
    ("date", "expired"),
])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_who_is_not_trusted_is_told_nothing_and_the_next_server_is_asked(world, pki, peers, wrong, why, host):
    other = make_authority(world.folder / "other")
    make_server_certificate(other)
    make_server_certificate(pki, "name", "IP:127.0.0.9,DNS:elsewhere")
    make_server_certificate(pki, "date", days=-1)
    peer = peers(Peer, context_of(other) if wrong == "authority" else context_of(pki, wrong))
    server = world.server("--pki", pki)
    deploy(server.people(), [pack(world.folder, "test.counter", "1.0.0")])
    agent = over_tls(world, pki, "lab-1", f"https://{host}:{peer.port}", f"https://{server.agents_address}")
    agent.until_has({"test.counter": "1.0.0"})
    assert peer.connections > 0
    assert peer.told == b""
    if host == "127.0.0.1":  # of host names libcurl tells, in its own words
        said(agent, f"{why}.*Nothing was sent to it: .*{pki}/ca.pem .INAETICS_PROVISIONING_CA.")
    else:
        said(agent, f"provisioning server https://{host}:{peer.port}: .*certificate.*Nothing was sent to it: ")


def test_another_agent_is_no_server(world, pki, peers):
    make_certificate(pki, "lab-2", "/CN=lab-2", "extendedKeyUsage=clientAuth\nsubjectAltName=IP:127.0.0.1\n")
    peer = peers(Peer, context_of(pki, "lab-2"))
    agent = over_tls(world, pki, "lab-1", f"https://127.0.0.1:{peer.port}")
    said(agent, "purpose.*Nothing was sent to it: ")
    assert peer.told == b""


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_what_speaks_plain_http_where_tls_is_expected_is_told_nothing(world, pki, peers, host):
    peer = peers(Peer, None, b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    server = world.server("--pki", pki)
    deploy(server.people(), [pack(world.folder, "test.counter", "1.0.0")])
    agent = over_tls(world, pki, "lab-1", f"https://{host}:{peer.port}", f"https://{server.agents_address}")
    agent.until_has({"test.counter": "1.0.0"})
    assert peer.told
    assert TOKEN.encode() not in peer.told and b"HTTP" not in peer.told
    said(agent, f"provisioning server https://{host}:{peer.port}: .*" +
         ("does not speak TLS" if host == "127.0.0.1" else "TLS"))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_redirect_is_not_followed(world, pki, peers, host):
    plain = peers(Peer)
    peer = peers(Peer, context_of(pki), f"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{plain.port}/\r\n"
                                        "Content-Length: 0\r\n\r\n".encode())
    server = world.server("--pki", pki)
    deploy(server.people(), [pack(world.folder, "test.counter", "1.0.0")])
    agent = over_tls(world, pki, "lab-1", f"https://{host}:{peer.port}", f"https://{server.agents_address}")
    agent.until_has({"test.counter": "1.0.0"})
    said(agent, "it answers 302: redirects are not followed")
    assert plain.connections == 0


def test_plain_http_stays_on_this_machine(world, pki):
    server = world.server("--pki", pki)
    deploy(server.people(), [pack(world.folder, "test.counter", "1.0.0")])
    lonely = over_tls(world, pki, "lab-1", "http://192.0.2.1:8091")
    wait_for(lambda: "tokens go to https://, or to http:// at a loopback address" in lonely.ask("/readyz")[1],
             "it says what would be right")
    agent = over_tls(world, pki, "lab-2", "http://192.0.2.1:8091", "http://localhost.example:8091",
                     f"https://{server.agents_address}")
    agent.until_has({"test.counter": "1.0.0"})


def test_without_an_authority_no_server_is_trusted(world, pki):
    server = world.server("--pki", pki)
    agent = over_tls(world, None, "lab-1", f"https://{server.agents_address}")
    wait_for(lambda: "INAETICS_PROVISIONING_CA must name" in agent.ask("/readyz")[1], "it says what is missing")
    absent = over_tls(world, world.folder / "absent", "lab-2", f"https://{server.agents_address}")
    said(absent, "INAETICS_PROVISIONING_CA: .*absent/ca.pem: No such file")


def test_plain_http_to_a_server_with_tls_is_told_so(world, pki):
    server = world.server("--pki", pki)
    agent = over_tls(world, pki, "lab-1", f"http://{server.agents_address}")
    said(agent, "it answers 400: agents are served over TLS here: https://")


# --- what the server says of itself -----------------------------------------------------------------------


def test_a_server_says_what_agents_would_not_like_of_it(world, pki):
    def warnings(*options, **more):
        server = world.server(*options, **more)
        server.stop()
        return "".join(line for line in server.log if "agents" in line and "level=warning" in line)

    assert warnings("--pki", pki) == ""
    assert "--pki" in warnings(listen="0.0.0.0:0")
    assert "subject alternative names" in warnings("--pki", pki, "--announce", "192.0.2.1:8091")
    late = make_authority(world.folder / "late")
    make_server_certificate(late, days=-1)
    assert "has run out" in warnings("--pki", late)


# --- people -----------------------------------------------------------------------------------------------


def test_the_command_line_speaks_https_to_who_is_trusted_only(world, pki, peers):
    server = world.server()
    front = peers(Front, context_of(pki), server.people_address)
    other = make_authority(world.folder / "other")
    make_server_certificate(pki, "name", "IP:127.0.0.9,DNS:elsewhere")
    misnamed, plain = peers(Peer, context_of(pki, "name")), peers(Peer, None, b"HTTP/1.1 400 Bad Request\r\n\r\n")

    def run(peer, authority=pki, host="127.0.0.1"):
        return subprocess.run(
            [INAETICS, "provisioning", "--data", world.folder / "home", "--server", f"https://{host}:{peer.port}", "--ca",
             authority / "ca.pem", "whoami"], capture_output=True, text=True, check=False, timeout=PATIENCE,
            env=os.environ | {"INAETICS_PROVISIONING_USER": "d", "INAETICS_PROVISIONING_PASSWORD": "f"})

    for host in ("127.0.0.1", "localhost"):
        right = run(front, host=host)
        assert right.returncode == 0 and "admin" in right.stdout, right
    for peer, authority, why in ((front, other, "issuer is unknown"), (misnamed, pki, "name in the certificate"),
                                 (plain, pki, "does not speak TLS")):
        wrong = run(peer, authority)
        assert wrong.returncode != 0 and why in wrong.stderr, wrong
    assert misnamed.told == b"" and b"HTTP" not in plain.told
