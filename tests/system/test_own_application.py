"""docs/own-application.md: its commands, as they stand there, do what it says."""
import os
import re
import shutil
import subprocess
import sys
import threading
import time

import pytest
from conftest import BUILD, INAETICS, PATIENCE, ROOT

TEXT = (ROOT / "docs" / "own-application.md").read_text(encoding="utf-8")
LOOKING = re.compile(r"inaetics (pods|services|kubectl get)\b")  # answers at once with what is there: one looks again
FINE = (0, 1)  # of grep and of diff


def steps():
    """(command, lines of output or None) in order; a command goes on behind `\\` and in a here-document."""
    found = []
    for block in re.findall(r"^```console\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL):
        lines = iter(block.splitlines())
        for line in lines:
            if not line.startswith("$ "):
                found[-1][1].append(line)
                continue
            command = line[2:]
            if end := re.search(r"<<'(\w+)'", command):
                while not command.endswith(f"\n{end[1]}"):
                    command += "\n" + next(lines)
            found.append((command, []))
    return found


def alike(line):
    """A line without what differs from run to run."""
    for pattern, word in ((r"weather-gauge-[a-z0-9]{5}(-[0-9a-f]{8})?", "POD"), (r"http://127\.0\.0\.1:\d+", "SERVER"),
                          (r"127\.\d+\.\d+\.\d+", "ADDRESS"), (r"node-\d", "NODE"), (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "TIME"),
                          (r"\b(revision|rollout|from revision \d+ to) \d+", r"\1 N"), (r"from revision \d+ to", "from"), (r"\d+\.\d\ds$", "TIME"),
                          (r"\b\d+m?\d*s\b", "AGE"), (r" +", " ")):
        line = re.sub(pattern, word, line)
    return line.strip()


def fits(expected, output):
    """Is it what the page shows, where "…" stands for any lines?"""
    pattern = "".join("(.*\n)*" if line == "…" else re.escape(alike(line)) + "\n" for line in expected if line.strip())
    text = "".join(alike(line) + "\n" for line in output.splitlines() if line.strip())
    return re.fullmatch(pattern, text) is not None


class Shell:
    """A shell of somebody who reads the page."""

    def __init__(self, folder, environment):
        self.process = subprocess.Popen(["bash"], cwd=folder, env=environment, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def run(self, command):
        """Status and output."""
        timer = threading.Timer(2 * PATIENCE, self.process.kill)
        timer.start()
        self.process.stdin.write(f"{command}\nstatus=$?; echo; echo end of it $status\n")
        self.process.stdin.flush()
        output = ""
        for line in self.process.stdout:
            if line.startswith("end of it "):
                timer.cancel()
                return int(line.split()[-1]), output
            output += line
        pytest.fail(f"{command}\ndid not end in time; it said\n{output}")

    def close(self):
        self.process.stdin.close()
        self.process.wait(PATIENCE)
        self.process.stdout.close()


@pytest.fixture
def shell(make_instance, tmp_path):
    instance = make_instance(demonstrator=True).start()
    if not shutil.which("kubectl"):
        subprocess.run([ROOT / "tools" / "fetch-server", "kubernetes-client", "kubectl", BUILD], check=True)
    environment = dict(os.environ, INAETICS_PROVISIONING_PASSWORD="f")
    environment.pop("INAETICS_SDK", None)
    one = Shell(tmp_path, environment)
    one.run(f'inaetics() {{ {INAETICS} --name {instance.number} --data {instance.home} "$@"; }}')
    yield one
    one.close()


def until_answered(shell):
    """The provisioning server is a pod, which takes a moment to be there."""
    end = time.monotonic() + PATIENCE
    while (said := shell.run("inaetics provisioning status --user d </dev/null"))[0] != 0:
        assert time.monotonic() < end, said[1]
        time.sleep(0.2)


def test_the_commands_of_the_page_do_what_it_says(shell):
    until_answered(shell)
    for command, expected in steps():
        began = time.monotonic()
        while True:
            status, output = shell.run(command)
            if fits(expected, output) and status in (FINE if command.startswith("inaetics provisioning diff") else FINE[:1]):
                break
            assert LOOKING.match(command) and time.monotonic() < began + PATIENCE, \
                f"$ {command}\n(status {status})\n{output}\nThe page says\n" + "\n".join(expected)
            time.sleep(0.2)
        print(f"{time.monotonic() - began:5.1f} s  $ {command.splitlines()[0]}", file=sys.stderr)


def test_what_the_page_changes_is_what_new_bundles_have():
    """Its excerpt of the contract is that of the template."""
    excerpt = re.search(r"```proto\n(.*?)```", TEXT, re.DOTALL)[1]
    template = (ROOT / "cli" / "new" / "bundle.proto.template").read_text(encoding="utf-8")
    assert excerpt in template.replace("%Type%", "Gauge").replace("%ident%", "gauge")
