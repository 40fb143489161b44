#!/usr/bin/python3
"""The comparison with peers, with a server that speaks beanstalkd's protocol and can be told to misbehave.

  INAETICS_BENCH_PEERS, INAETICS_AGENT, INAETICS_QUEUE   what is tested, and what it starts"""
import os
import pathlib
import re
import signal
import subprocess
import sys
import textwrap
import time

import pytest

# Every connection has a thread; jobs are kept in memory. FAULT says what goes wrong, once.
SERVER = '''
import collections, os, socket, sys, threading
fault, jobs, lock = os.environ["FAULT"], collections.deque(), threading.Condition()
state = {"id": 0, "done": not fault}

def once(name):
    with lock:
        if fault != name or state["done"]:
            return False
        state["done"] = True
        return True

def put(body):
    with lock:
        state["id"] += 1
        jobs.append((state["id"], body))
        lock.notify()
        return b"INSERTED %d\\r\\n" % state["id"]

def reserve(timeout, reserved):
    with lock:
        if not lock.wait_for(lambda: jobs, timeout):
            return b"TIMED_OUT\\r\\n"
        number, body = jobs.popleft()
        reserved[number] = body
    if once("other"):
        body = b"\\x7f" + body[1:]
    return b"RESERVED %d %d\\r\\n%s\\r\\n" % (number, len(body), body)

def serve(connection):
    reserved = {}
    try:
        answer_all(connection, reserved)
    except OSError:
        pass  # it left
    with lock:  # what it did not delete is for others
        jobs.extend(reserved.items())
        lock.notify_all()

def answer_all(connection, reserved):
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    stream = connection.makefile("rb")
    for line in stream:
        words = line.decode().split()
        answer = b""
        if words[0] == "use":
            answer = b"USING " + words[1].encode() + b"\\r\\n"
        elif words[0] == "watch":
            answer = b"WATCHING 2\\r\\n"
        elif words[0] == "put":
            body = stream.read(int(words[4]) + 2)[:-2]
            if once("refuse"):
                answer = b"DRAINING\\r\\n"
            elif once("lose"):
                answer = b"INSERTED 0\\r\\n"
            else:
                answer = put(body)
        elif words[0] == "reserve-with-timeout":
            answer = reserve(int(words[1]), reserved)
        elif words[0] == "delete":
            del reserved[int(words[1])]
            answer = b"" if once("silence") else b"DELETED\\r\\n"
        connection.sendall(answer)

arguments = dict(zip(sys.argv[1::2], sys.argv[2::2]))
assert arguments["-f"] == "0" and os.path.isdir(arguments["-b"]) and os.getcwd() == arguments["-b"]
listener = socket.create_server((arguments["-l"], int(arguments["-p"])))
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
'''


def command(tmp_path, *options):
    server = tmp_path / "server"
    server.write_text("#!/usr/bin/python3\n" + textwrap.dedent(SERVER))
    server.chmod(0o755)
    return [os.environ["INAETICS_BENCH_PEERS"], os.environ["INAETICS_AGENT"], os.environ["INAETICS_QUEUE"],
            "--beanstalkd", server, "--rounds", "1", "--batch", "1", "--directory", tmp_path, *options]


@pytest.fixture
def compare(tmp_path):
    def run(fault="", patience=3):
        return subprocess.run(command(tmp_path, "--seconds", "0.1", "--patience", str(patience)), capture_output=True,
                              text=True, timeout=120, check=False, env={**os.environ, "FAULT": fault})
    return run


def figures(output, beginning):
    line = next(line for line in output.splitlines() if line.startswith(beginning))
    return [float(word) for word in re.findall(r"(?<=\s)\d[\d.]*(?=\s|$)", line[38:])]


def test_both_are_measured_and_the_ratio_is_printed(compare, tmp_path):
    result = compare(patience=60)
    assert result.returncode == 0, result.stderr
    for what in "put   ", "put+take+ack":
        ours, peer, ratio = figures(result.stdout, what)
        assert ours > 0 and peer > 0 and ratio == pytest.approx(ours / peer, abs=0.06)
        assert "times the best peer (beanstalkd)" in result.stdout
    assert figures(result.stdout, "put    ") and figures(result.stdout, "taken and acknowledged")
    put = next(line for line in result.stdout.splitlines() if re.match(r"put +\d+ +\d+$", line))
    assert put.split()[1:] == [f"{figure:.0f}" for figure in figures(result.stdout, "taken and acknowledged")]
    assert "LOST" not in result.stdout and "WRONG" not in result.stdout
    assert [entry.name for entry in tmp_path.iterdir()] == ["server"]  # nothing is left


def test_a_lost_message_is_told(compare):
    result = compare("lose")
    assert result.returncode == 1
    assert "LOST by beanstalkd: " in result.stdout


def test_an_acknowledgement_without_answer_is_told(compare):
    result = compare("silence")
    assert result.returncode == 1
    assert "LOST by beanstalkd: " in result.stdout


def test_another_message_than_was_put_is_told(compare):
    result = compare("other", patience=60)
    assert result.returncode == 1
    assert "WRONG at beanstalkd" in result.stdout


def test_a_refusal_is_told(compare):
    result = compare("refuse")
    assert result.returncode == 1
    assert "beanstalkd: answered strangely: DRAINING" in result.stderr


def test_a_server_that_does_not_start_is_told(tmp_path):
    result = subprocess.run(
        [os.environ["INAETICS_BENCH_PEERS"], os.environ["INAETICS_AGENT"], os.environ["INAETICS_QUEUE"], "--beanstalkd",
         "/nowhere/beanstalkd", "--directory", tmp_path], capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 1
    assert "/nowhere/beanstalkd did not start; its log: " in result.stderr


def test_who_interrupts_it_is_left_with_nothing(tmp_path):
    with subprocess.Popen(command(tmp_path, "--seconds", "100"), stdout=subprocess.PIPE, text=True, start_new_session=True,
                          env={**os.environ, "FAULT": ""}) as process:
        assert any(line.startswith("samples per second") for line in iter(process.stdout.readline, ""))
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(60) == 128 + signal.SIGINT
    for _ in range(600):
        if not alive(process.pid):
            break
        time.sleep(0.05)
    assert not alive(process.pid)
    assert [entry.name for entry in tmp_path.iterdir()] == ["server"]


def alive(group):
    """Processes of a group, but for those that only wait for their parent."""
    found = []
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, its_group = stat.read_text(errors="replace").rpartition(")")[2].split()[:3]
        except OSError:
            continue  # it has ended meanwhile
        if int(its_group) == group and state != "Z":
            found.append(stat.parent.name)
    return found


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
