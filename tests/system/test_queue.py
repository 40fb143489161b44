"""The queue in its agent: takers that vanish, puts that do not fit, wrong calls."""
import json
import socket
import urllib.error
from urllib.parse import urlsplit

import pytest
from conftest import wait_for

QUEUE = "demonstrator.v1.Queue"
TAKERS = 1000


@pytest.fixture
def quiet(demonstrator):
    """The demonstrator without producers and processors, its queue empty."""
    demonstrator.scale("producer", 0)
    wait_for(lambda: int(status(demonstrator).get("size", 0)) == 0, "the queue is empty")
    demonstrator.scale("processor", 0)
    return demonstrator


def status(instance):
    return instance.call(QUEUE, "Status")


def put(instance, count, first=0, producer="test.1"):
    return instance.call(QUEUE, "Put", {"batches": [{
        "producer": producer, "firstSequence": str(first), "timeUs": ["1"] * count, "value1": [1] * count,
        "value2": [2] * count}]})


def take_and_vanish(instance, count):
    """Opens `count` takes that wait, lets them arrive, and drops their connections."""
    service = instance.services(QUEUE)[0]
    address = urlsplit(service["url"])
    token = (instance.data / "token").read_text(encoding="utf-8").strip()
    body = json.dumps({"minimum": 1, "maximum": 10, "waitMs": 60000, "leaseMs": 600000}).encode()
    request = (f"POST /{QUEUE}/Take HTTP/1.1\r\nHost: {address.netloc}\r\nAuthorization: Bearer {token}\r\n"
               f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n").encode() + body
    takers = []
    for _ in range(count):
        taker = socket.create_connection((address.hostname, address.port))
        taker.sendall(request)
        takers.append(taker)
    agent = service["url"]
    wait_for(lambda: open_calls(agent) >= count, f"{count} takers wait")
    for taker in takers:
        taker.close()
    return agent


def open_calls(url):
    with socket.create_connection((urlsplit(url).hostname, urlsplit(url).port)) as connection:
        connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        text = b"".join(iter(lambda: connection.recv(65536), b"")).decode()
    return int(float(next(line.split()[1] for line in text.splitlines() if line.startswith("inaetics_calls_open "))))


def test_a_thousand_takers_that_vanish_take_nothing_with_them(quiet):
    agent = take_and_vanish(quiet, TAKERS)
    wait_for(lambda: open_calls(agent) == 0, "the queue has noticed that they left")
    assert put(quiet, 100)["accepted"] == "100"
    now = status(quiet)
    assert (now["size"], int(now.get("leased", 0))) == ("100", 0), "a vanished taker got samples"
    taken = quiet.call(QUEUE, "Take", {"minimum": 1, "maximum": 1000, "waitMs": 1000, "leaseMs": 60000})
    assert sum(len(batch["timeUs"]) for batch in taken["batches"]) == 100


def test_samples_come_again_when_a_lease_runs_out_or_is_released_and_not_when_acknowledged(quiet):
    put(quiet, 10)
    first = quiet.call(QUEUE, "Take", {"maximum": 10, "leaseMs": 100})
    again = quiet.call(QUEUE, "Take", {"minimum": 1, "maximum": 10, "waitMs": 30000, "leaseMs": 60000})
    assert again["batches"] == first["batches"]
    assert quiet.call(QUEUE, "Acknowledge", {"leases": [first["lease"], "x-1", ""]}) == {
        "unknown": [first["lease"], "x-1", ""]}
    assert quiet.call(QUEUE, "Release", {"leases": [again["lease"]]}) == {}
    third = quiet.call(QUEUE, "Take", {"maximum": 10, "leaseMs": 60000})
    assert third["batches"] == first["batches"]
    assert quiet.call(QUEUE, "Acknowledge", {"leases": [third["lease"]]}) == {}
    assert "batches" not in quiet.call(QUEUE, "Take", {"maximum": 10, "waitMs": 300, "leaseMs": 60000})
    assert int(status(quiet)["redelivered"]) == 20


def test_a_full_queue_takes_a_part_and_says_so(quiet):
    assert put(quiet, 9000)["accepted"] == "9000"
    answer = put(quiet, 2000, first=9000)
    assert (answer["accepted"], answer["reason"], answer["size"]) == ("1000", "full", "10000")
    answer = put(quiet, 5, first=10000)
    assert (answer.get("accepted", "0"), answer["reason"]) == ("0", "full")


def test_what_was_answered_is_there_after_kill_9(quiet):
    for first in range(0, 500, 50):
        put(quiet, 50, first)
    queue = quiet.part("queue")
    pid = quiet.pid(queue)
    quiet.cli("kill", queue)
    wait_for(lambda: quiet.pid(queue) not in (None, pid), "the queue runs again")
    wait_for(lambda: quiet.services(QUEUE), "the queue is found again")

    def size():
        try:
            return status(quiet)["size"]
        except OSError:
            return None

    assert wait_for(size, "the queue answers again") == "500"


@pytest.mark.parametrize("request_body, said", [
    ({"batches": [{"producer": "", "timeUs": ["1"], "value1": [1], "value2": [1]}]}, "producer"),
    ({"batches": [{"producer": "a b", "timeUs": ["1"], "value1": [1], "value2": [1]}]}, "producer"),
    ({"batches": [{"producer": "../x", "timeUs": ["1"], "value1": [1], "value2": [1]}]}, "producer"),
    ({"batches": [{"producer": "p" * 200, "timeUs": ["1"], "value1": [1], "value2": [1]}]}, "producer"),
    ({"batches": [{"producer": "p", "timeUs": ["1"], "value1": [1, 2], "value2": [1]}]}, "same length"),
    ({"batches": [{"producer": "p", "firstSequence": str(2**64 - 1), "timeUs": ["1", "2"], "value1": [1, 2],
                   "value2": [1, 2]}]}, "first_sequence"),
    ({"batches": [{"producer": "p", "timeUs": [[1]], "value1": [1], "value2": [1]}]}, "time"),
])
def test_puts_that_cannot_be_are_refused_with_the_reason(request_body, said, shared):
    with pytest.raises(urllib.error.HTTPError) as refused:
        shared.call(QUEUE, "Put", request_body)
    assert refused.value.code == 400
    answer = json.loads(refused.value.read())
    assert answer["code"] == "invalid_argument" and said in answer["message"], answer


@pytest.fixture(scope="module")
def shared():
    """One instance for the calls that change nothing."""
    from conftest import Instance
    one = Instance(demonstrator=True)
    one.start()
    try:
        wait_for(lambda: one.services(QUEUE), "the queue is found")
        yield one
    finally:
        one.stop()
        assert not one.close()
