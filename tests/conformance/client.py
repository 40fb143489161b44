"""A plain HTTPS client: sends what it is told, bent requests included."""

import dataclasses
import http.client
import json
import socket
import ssl
import threading

PATIENCE = 30  # seconds; a limit for one answer
MAX_STREAM = 4 << 20  # bytes of one watch


@dataclasses.dataclass
class Server:
    """Where an API is, and how its users prove who they are."""

    address: str
    port: int
    ca: str  # path
    users: dict  # name -> {"certificate": path, "key": path}, {"token": text} or {}
    names: dict = dataclasses.field(default_factory=dict)  # what it calls a user -> what the recorded answers do


@dataclasses.dataclass
class Answer:
    status: int
    headers: dict  # names in lower case; several of one name joined by newlines
    text: str


def connect(server, user, timeout=PATIENCE):
    context = ssl.create_default_context(cafile=server.ca)
    context.check_hostname = False  # the address of a test is not always in the certificate
    proof = server.users[user]
    if "certificate" in proof:
        context.load_cert_chain(proof["certificate"], proof["key"])
    return http.client.HTTPSConnection(server.address, server.port, timeout=timeout, context=context)


def send(connection, server, user, method, path, headers=None, body=None):
    headers = {"Accept": "application/json", "User-Agent": "conformance"} | (headers or {})
    if "token" in server.users[user]:
        headers["Authorization"] = f"Bearer {server.users[user]['token']}"
    connection.request(method, path, body.encode() if isinstance(body, str) else body, headers)
    return connection.getresponse()


def headers_of(response):
    found = {}
    for name, value in response.getheaders():
        found[name.lower()] = f"{found[name.lower()]}\n{value}" if name.lower() in found else value
    return found


def request(server, user, method, path, headers=None, body=None):
    connection = connect(server, user)
    try:
        response = send(connection, server, user, method, path, headers, body)
        return Answer(response.status, headers_of(response), response.read().decode(errors="replace"))
    finally:
        connection.close()


class Stream:
    """A watch: its lines are read by a thread as they come."""

    def __init__(self, server, user, path, headers=None):
        self.connection = connect(server, user)
        self.response = send(self.connection, server, user, "GET", path, headers)
        self.answer = Answer(self.response.status, headers_of(self.response), "")
        self.lines = []
        self.changed = threading.Condition()
        self.ended = False
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        size = 0
        try:
            while size < MAX_STREAM and (line := self.response.readline()):
                size += len(line)
                with self.changed:
                    self.lines.append(line.decode())
                    self.changed.notify_all()
        except (OSError, ValueError, AttributeError, http.client.HTTPException):
            pass  # closed by us, or cut off: what came so far counts
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def wait(self, count=None):
        """Lines up to the count-th, or to the end of the stream."""
        with self.changed:
            self.changed.wait_for(lambda: self.ended or (count is not None and len(self.lines) >= count), PATIENCE)
            return self.lines[:count]

    def close(self):
        try:
            self.connection.sock and self.connection.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.thread.join(PATIENCE)
        self.connection.close()


def parsed(text):
    """JSON where it is JSON, else the text."""
    try:
        return json.loads(text)
    except ValueError:
        return text
