"""The API and clients that mean harm, or are broken: they get Kubernetes' error forms, others are served meanwhile."""

import json
import os
import pathlib
import random
import resource
import socket
import ssl
import string
import time

import pytest

from control_plane import TOKENS, ControlPlane, config_map
from conftest import SEED, wait_for

MAPS = "/api/v1/namespaces/default/configmaps"
WATCHES = 2000


@pytest.fixture(scope="module")
def plane():
    with ControlPlane() as running:
        yield running


def open_tls(plane):
    return plane.context().wrap_socket(socket.create_connection(("127.0.0.1", plane.port), 30),
                                       server_hostname="127.0.0.1")


def request_text(method, path, *lines, user="admin"):
    token = [f"Authorization: Bearer {TOKENS[user][0]}"] if user else []
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: x", *token, *lines, "", ""]).encode()


def exchange_raw(plane, data):
    """What comes back until the other side closes, or nothing does for a while."""
    with open_tls(plane) as connection:
        connection.settimeout(10)
        answer = b""
        try:
            connection.sendall(data)
            while b"\r\n\r\n" not in answer:
                piece = connection.recv(65536)
                if not piece:
                    break
                answer += piece
        except (OSError, ssl.SSLError):
            pass
        return answer


def serves(plane):
    return plane.request("GET", "/api/v1/namespaces/default")[0] == 200


def memory(plane):
    status = pathlib.Path("/proc", str(plane.process.pid), "status").read_text()
    return int([line for line in status.splitlines() if line.startswith("VmRSS")][0].split()[1]) // 1024


def sanitized(plane):
    """Its allocator keeps what is freed: nothing can be said about memory then."""
    return "libasan" in pathlib.Path("/proc", str(plane.process.pid), "maps").read_text()


def test_malformed_bodies_are_400(plane):
    bodies = ["", "{", "[]", "7", '"text"', "{}}", '{"a":1,}', "{\"a\":\"\\u0000\"}", b"\xff\xfe{}",
              "[" * 5000 + "]" * 5000, '{"a":' * 3000 + "1" + "}" * 3000, '{"metadata": {"name": 5}}']
    for body in bodies:
        status, answer = plane.request("POST", MAPS, body)
        assert (status, answer["kind"]) == (400, "Status"), body[:40]
    for body in ("{", "[]", '[{"op":"add"}]', '[{"op":"nothing","path":"/a"}]', "7"):
        for kind in ("json-patch", "merge-patch", "strategic-merge-patch"):
            status, answer = plane.request("PATCH", MAPS + "/none", body,
                                           headers={"Content-Type": f"application/{kind}+json"})
            assert 400 <= status < 500 and answer["kind"] == "Status"
    assert serves(plane)


def test_bodies_beyond_the_limit_are_413_in_either_form(plane):
    large = json.dumps(config_map("large", "x" * (3 * 1024 * 1024)))
    status, answer = plane.request("POST", MAPS, large)
    assert (status, answer["reason"]) == (413, "RequestEntityTooLarge")
    head = request_text("POST", MAPS, "Content-Type: application/json", "Transfer-Encoding: chunked")
    chunk = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"
    answer = exchange_raw(plane, head + chunk * 5)
    assert answer == b"" or b" 413 " in answer.split(b"\r\n")[0]
    status, answer = plane.request("POST", MAPS, config_map("wide", "y" * (1536 * 1024)))
    assert status in (413, 422, 500) and answer["kind"] == "Status"
    assert serves(plane)


def test_strangers_are_refused_before_their_body_is_read(plane):
    head = request_text("POST", MAPS, "Content-Type: application/json", "Content-Length: 3000000", user=None)
    assert b" 403 " in exchange_raw(plane, head).split(b"\r\n")[0]
    head = head.replace(b"Host: x", b"Host: x\r\nAuthorization: Bearer of-bad-news-indeed")
    assert b" 401 " in exchange_raw(plane, head).split(b"\r\n")[0]


def test_tokens_that_are_none_are_401(plane):
    header = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9"
    for token in ("", ".", "..", "a.b.c", header + ".", header + "." + header + ".", header + "." + header + "." + "A" * 43,
                  "eyJhbGciOiJub25lIn0.e30.", "x" * 9000, "\x7f" * 20):
        status, answer = plane.request("GET", MAPS, user=None, headers={"Authorization": f"Bearer {token}"})
        assert (status, answer["reason"]) == (401, "Unauthorized")
    assert plane.request("GET", MAPS, user=None, headers={"Authorization": "Basic YTpi"})[0] == 401


def test_strange_paths_and_arguments_are_refused(plane):
    deep = "/api/v1/namespaces/default/pods/a/b/c/d/e/f/g/h"
    for path, allowed in ((deep, (404,)), ("/api/v1//pods", (404,)), ("/api/v1/namespaces//pods", (404,)),
                          ("/api/v1/namespaces/" + "n" * 5000 + "/pods", (404,)),
                          (MAPS + "/" + "%2e%2e", (400, 404)), (MAPS + "/a%00b", (400,)), (MAPS + "/%zz", (400,)),
                          (MAPS + "?labelSelector=" + "a," * 7000, (400, 431)),
                          (MAPS + "?labelSelector=%28%28%28", (400,)), (MAPS + "?fieldSelector=%3D%3D", (400,)),
                          (MAPS + "?limit=99999999999999999999", (400,)), (MAPS + "?continue=%7B%7D", (400, 410)),
                          (MAPS + "?resourceVersion=-1&watch=1", (400, 422)),
                          (MAPS + "?watch=1&resourceVersion=99999999999999999999", (400, 422)),
                          (MAPS + "/" + "x" * 300, (404,))):
        answer = exchange_raw(plane, request_text("GET", path))
        status = int(answer.split()[1])
        assert status in allowed, (path[:60], status)
    assert b" 431 " in exchange_raw(plane, request_text("GET", MAPS, "X-Large: " + "x" * 20000)).split(b"\r\n")[0]
    assert serves(plane)


def test_noise_does_no_harm(plane):
    print("INAETICS_SEED", SEED)
    dice = random.Random(SEED)
    methods = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "BREW"]
    words = ["api", "v1", "apis", "apps", "namespaces", "default", "pods", "log", "exec", "watch", "scale", "status",
             "deployments", "..", "%", "%2f", "", "x" * 260, "configmaps", "binding", "token", "nodes", "version"]
    names = ["watch", "limit", "continue", "labelSelector", "fieldSelector", "resourceVersion", "dryRun", "container",
             "timeoutSeconds", "gracePeriodSeconds", "propagationPolicy", "fieldValidation", "pretty", "follow"]
    kinds = ["application/json", "application/merge-patch+json", "application/json-patch+json",
             "application/strategic-merge-patch+json", "application/vnd.kubernetes.protobuf"]
    for _ in range(300):
        path = "/" + "/".join(dice.choice(words) for _ in range(dice.randrange(1, 8)))
        query = "&".join(f"{dice.choice(names)}={''.join(dice.choice(string.ascii_lowercase + '=,!()%1') for _ in range(dice.randrange(8)))}"
                         for _ in range(dice.randrange(4)))
        body = bytes(dice.choice(b'{}[]",:0aE\\\x00\xff ') for _ in range(dice.randrange(60)))
        exchange_raw(plane, request_text(
            dice.choice(methods), f"{path}?{query}".replace(" ", ""), f"Content-Type: {dice.choice(kinds)}",
            f"Content-Length: {len(body)}", "Connection: close",
            user=dice.choice(["admin", "viewer", "node-1", None])) + body)
    assert serves(plane)


def test_half_requests_and_garbage_hold_nobody_up(plane):
    halves = []
    for i in range(100):
        if i % 3 == 0: # not even TLS
            connection = socket.create_connection(("127.0.0.1", plane.port))
            connection.sendall(b"\x16\x03\x01" if i % 2 else b"")
        else:
            connection = open_tls(plane)
            text = request_text("POST", MAPS, "Content-Length: 1000")
            connection.sendall(text[:len(text) // 2] if i % 3 == 1 else text + b"{")
        halves.append(connection)
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", plane.port)) as connection:
            connection.sendall(b"\x16\x03\x01\x02\x00" + os.urandom(600))
    began = time.monotonic()
    assert serves(plane)
    assert time.monotonic() - began < 20
    for connection in halves:
        connection.close()


def test_a_watcher_that_does_not_read_is_cut_and_costs_little():
    with ControlPlane() as plane:
        slow = open_tls(plane)
        slow.sendall(request_text("GET", MAPS + "?watch=1&resourceVersion=0"))
        assert b" 200 " in slow.recv(300)  # so it watches by now
        version = plane.request("GET", MAPS)[1]["metadata"]["resourceVersion"]
        before = memory(plane)
        value = "x" * (512 * 1024)
        plane.create(MAPS, config_map("big", value))
        with plane.watch(f"{MAPS}?watch=1&resourceVersion={version}") as quick:
            for i in range(60):
                assert quick.next()["object"]["metadata"]["name"] == "big"
                assert plane.request("PUT", MAPS + "/big", config_map("big", f"{i}" + value))[0] == 200
        assert sanitized(plane) or memory(plane) - before < 100
        slow.settimeout(5)  # what is buffered; the connection itself stays
        received = 0
        try:
            while piece := slow.recv(1 << 20):
                received += len(piece)
        except (OSError, ssl.SSLError):
            pass
        assert received < 40 * 512 * 1024
        slow.close()


def test_thousands_of_idle_watches_are_told_and_leave():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 16384), hard))
    with ControlPlane() as plane:
        context = plane.context()
        version = plane.request("GET", MAPS)[1]["metadata"]["resourceVersion"]
        text = request_text("GET", f"{MAPS}?watch=1&resourceVersion={version}")
        watches = []
        before = memory(plane)
        for _ in range(WATCHES):
            connection = context.wrap_socket(socket.create_connection(("127.0.0.1", plane.port), 60),
                                             server_hostname="127.0.0.1")
            connection.sendall(text)
            watches.append(connection)
        # Each has its header, so each is a watch by now.
        for connection in watches:
            assert b" 200 " in connection.recv(300)
        print(f"{WATCHES} watches: {memory(plane) - before} MB")
        assert memory(plane) - before < WATCHES * 200 // 1024
        began = time.monotonic()
        plane.create(MAPS, config_map("told"))
        created = time.monotonic() - began
        for connection in watches:
            connection.settimeout(60)
            answer = b""
            while b'"told"' not in answer:
                piece = connection.recv(65536)
                assert piece
                answer += piece
        print(f"created in {created * 1000:.0f} ms, all told in {(time.monotonic() - began) * 1000:.0f} ms")
        most = memory(plane) - before
        for connection in watches:
            connection.close()
        wait_for(lambda: len(os.listdir(f"/proc/{plane.process.pid}/fd")) < 200, "the watches are gone")
        if not sanitized(plane):
            wait_for(lambda: memory(plane) - before < most // 2, "their memory is given back")
        assert serves(plane)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
