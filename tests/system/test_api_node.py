"""Logs and exec through the API: what the node answers is passed on, as it comes, both ways."""

import base64
import hashlib
import os
import select
import socket
import ssl
import subprocess
import threading

import pytest

from control_plane import ControlPlane, TOKENS, pod
from conftest import wait_for

PODS = "/api/v1/namespaces/default/pods"
MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455


def make_certificate(folder):
    """Of a node at 127.0.0.1, by the cluster's CA."""
    def openssl(*arguments):
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)

    (folder / "node.ext").write_text("subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n")
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout",
            folder / "node-key.pem", "-out", folder / "node.csr", "-subj", "/O=inaetics:node:node-1")
    openssl("x509", "-req", "-in", folder / "node.csr", "-CA", folder / "ca.pem", "-CAkey", folder / "ca-key.pem",
            "-out", folder / "node.pem", "-days", "1", "-extfile", folder / "node.ext")


class FakeNode:
    """Hands each request for logs or exec to `answer(connection, head)`."""

    def __init__(self, pki):
        make_certificate(pki)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(pki / "node.pem", pki / "node-key.pem")
        self.context.load_verify_locations(pki / "ca.pem")
        self.context.verify_mode = ssl.CERT_REQUIRED  # the control plane has a certificate of its own
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.answer = None
        self.heads = []
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while True:
            try:
                plain, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(plain,), daemon=True).start()

    def serve(self, plain):
        try:
            with self.context.wrap_socket(plain, server_side=True) as connection:
                head = b""
                while b"\r\n\r\n" not in head:
                    piece = connection.recv(1)
                    if not piece:
                        return
                    head += piece
                head = head.decode()
                if head.startswith(("GET /containerLogs/", "GET /exec/")):
                    self.heads.append(head)
                    self.answer(connection, head)
                else:  # the control plane asks for measurements too
                    connection.sendall(b"HTTP/1.0 404 Not Found\r\n\r\n")
        except OSError:
            pass

    def stop(self):
        if self.listener.fileno() >= 0:
            self.listener.shutdown(socket.SHUT_RDWR)
            self.listener.close()


@pytest.fixture(scope="module")
def plane():
    with ControlPlane("--node-silence", "3600000") as running:
        node = FakeNode(running.home / "pki")
        running.create("/api/v1/nodes", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-1"}})
        merge = {"Content-Type": "application/merge-patch+json"}
        status, answer = running.request("PATCH", "/api/v1/nodes/node-1/status", {"status": {
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": node.port}}}}, headers=merge)
        assert status == 200, answer
        running.create(PODS, pod("one", nodeName="node-1"))
        running.node = node
        yield running
        node.stop()


def respond(text, status="200 OK"):
    def answer(connection, _):
        connection.sendall(f"HTTP/1.0 {status}\r\nContent-Type: text/plain\r\n\r\n".encode() + text)
    return answer


def test_a_log_comes_as_the_node_has_it(plane):
    plane.node.answer = respond(b"first\nsecond\n")
    status, headers, text = plane.exchange("GET", PODS + "/one/log?follow=true&tailLines=10&timestamps=true")
    assert (status, text) == (200, "first\nsecond\n")
    assert headers["Content-Type"].startswith("text/plain")
    first = plane.node.heads[-1].split("\r\n")[0]
    assert first.startswith("GET /containerLogs/default/one/main?")
    assert all(part in first for part in ("follow=true", "tailLines=10", "timestamps=true"))


def test_a_large_log_arrives_whole_at_a_slow_reader(plane):
    text = b"".join(b"%08d a line of the log\n" % i for i in range(200000))
    plane.node.answer = respond(text)
    connection = plane.connect()
    connection.request("GET", PODS + "/one/log?follow=true", headers=plane.headers("admin"))
    response = connection.getresponse()
    wait_for(lambda: plane.node.heads, "the node is asked")
    received = b""
    while piece := response.read(65536):
        received += piece
    assert received == text
    connection.close()


def test_what_a_node_refuses_is_a_status(plane):
    plane.node.answer = respond(b'container "main" in pod "one" is waiting to start: ContainerCreating\n',
                                "400 Bad Request")
    status, answer = plane.request("GET", PODS + "/one/log")
    assert (status, answer["reason"]) == (400, "BadRequest")
    assert answer["message"] == 'container "main" in pod "one" is waiting to start: ContainerCreating'
    plane.node.answer = respond(b"broken", "500 Internal Server Error")
    assert plane.request("GET", PODS + "/one/log")[0] == 500
    plane.node.answer = lambda connection, head: connection.sendall(b"nonsense\r\n\r\n")
    assert plane.request("GET", PODS + "/one/log")[0] == 500
    plane.node.answer = lambda connection, head: None
    assert plane.request("GET", PODS + "/one/log")[0] == 500


def websocket(plane, path, protocol="v4.channel.k8s.io"):
    connection = plane.context().wrap_socket(socket.create_connection(("127.0.0.1", plane.port), 60),
                                             server_hostname="127.0.0.1")
    key = base64.b64encode(os.urandom(16)).decode()
    connection.sendall("\r\n".join([
        f"GET {path} HTTP/1.1", "Host: x", f"Authorization: Bearer {TOKENS['admin'][0]}", "Connection: Upgrade",
        "Upgrade: websocket", "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}",
        f"Sec-WebSocket-Protocol: {protocol}", "", ""]).encode())
    head = b""
    while b"\r\n\r\n" not in head:
        head += connection.recv(1)
    return connection, key, head.decode()


def echo_socket(connection, head):
    lines = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
    digest = hashlib.sha1((lines["Sec-WebSocket-Key"] + MAGIC).encode()).digest()
    connection.sendall("\r\n".join([
        "HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {base64.b64encode(digest).decode()}",
        f"Sec-WebSocket-Protocol: {lines['Sec-WebSocket-Protocol']}", "", ""]).encode())
    while piece := connection.recv(65536):
        if piece == b"end":
            return
        connection.sendall(piece)


def exchange(connection, data):
    """Sends all and receives as much, at once."""
    connection.setblocking(False)
    received, sent = b"", 0
    while len(received) < len(data):
        select.select([connection], [connection] if sent < len(data) else [], [], 60)
        for step in ("send", "receive"):
            try:
                if step == "send" and sent < len(data):
                    sent += connection.send(data[sent:sent + 16384])
                elif step == "receive":
                    piece = connection.recv(65536)
                    assert piece, f"the other side ended after {len(received)} bytes"
                    received += piece
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                pass
    connection.setblocking(True)
    return received


def test_exec_is_passed_through_byte_by_byte(plane):
    plane.node.answer = echo_socket
    path = PODS + "/one/exec?command=ls&command=-l&command=a%20b%26c&stdin=true&stdout=true&tty=false"
    connection, key, head = websocket(plane, path)
    assert head.startswith("HTTP/1.1 101 ")
    accept = base64.b64encode(hashlib.sha1((key + MAGIC).encode()).digest()).decode()
    assert f"Sec-WebSocket-Accept: {accept}" in head and "Sec-WebSocket-Protocol: v4.channel.k8s.io" in head
    first = plane.node.heads[-1].split("\r\n")[0]
    assert first.startswith("GET /exec/default/one/main?command=ls&command=-l&command=a%20b%26c&stdin=true")
    data = os.urandom(3_000_000)
    received = exchange(connection, data)
    assert received == data
    connection.sendall(b"end")
    assert connection.recv(100) == b""  # the node has ended
    connection.close()


def test_a_client_that_leaves_ends_the_nodes_side_too(plane):
    ended = threading.Event()

    def answer(connection, head):
        echo_socket(connection, head)
        ended.set()

    plane.node.answer = answer
    connection, _, head = websocket(plane, PODS + "/one/exec?command=cat", "v5.channel.k8s.io")
    assert " 101 " in head
    connection.close()
    assert ended.wait(60)


def test_a_node_that_refuses_exec_is_told(plane):
    plane.node.answer = respond(b"unable to upgrade connection: container not found (\"main\")", "404 Not Found")
    connection, _, head = websocket(plane, PODS + "/one/exec?command=ls")
    assert " 404 " in head.split("\r\n")[0]
    connection.close()


def test_a_node_that_is_away_is_named(plane):
    plane.node.stop()
    status, answer = plane.request("GET", PODS + "/one/log")
    assert (status, answer["reason"]) == (500, "InternalError")
    assert f"https://127.0.0.1:{plane.node.port}/containerLogs/default/one/main" in answer["message"]
