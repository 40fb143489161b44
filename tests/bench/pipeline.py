#!/usr/bin/python3
"""pipeline.py - producer to stored result, all parts in their own processes.

  pipeline.py BUILD [SECONDS]

Starts an instance of the demonstrator whose queue holds 4 million samples and
whose processor has no service time, puts as fast as the queue takes, waits
until everything is stored, and verifies that nothing was lost. Prints samples
per second from the first put to the last stored result, and how long the
start took."""
import json
import os
import pathlib
import re
import subprocess
import sys
import time

BUILD = pathlib.Path(sys.argv[1]).resolve()
SECONDS = float(sys.argv[2]) if len(sys.argv) > 2 else 2.0
os.environ["INAETICS_BUILD"] = str(BUILD)
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))
import conftest  # noqa: E402


def line(name, value, unit):
    text = f"{value:.0f}" if value >= 1000 else f"{value:.1f}" if value >= 10 else f"{value:.3f}"
    print(f"{name:<58} {text:>14} {unit}", flush=True)


def service(instance, contract):
    answer = instance.cli("services", "--json", check=False)
    listed = json.loads(answer.stdout) if answer.returncode == 0 else []
    return next((one["url"] for one in listed if one["contract"] == contract), None)


def call(instance, method):
    contract = method.rsplit("/", 1)[0]
    url = service(instance, contract)
    if not url:
        return None
    token = instance.cli("token").stdout.strip()
    answer = subprocess.run(["curl", "-s", "-m", "10", "-H", f"Authorization: Bearer {token}",
                             "-H", "Content-Type: application/json", "-d", "{}", f"{url}/{method}"],
                            capture_output=True, text=True, check=False)
    return json.loads(answer.stdout) if answer.returncode == 0 else None


def resident(pid):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", text)[1]) * 1024


def measure_start(instance):
    begin = time.monotonic()
    instance.start(wait=False)
    while int((call(instance, "demonstrator.v1.Store/Status") or {}).get("stored", 0)) == 0:
        time.sleep(0.02)
        if time.monotonic() - begin > 60:
            instance.show()
            sys.exit("nothing was stored within a minute")
    line("inaetics up to the first stored result", time.monotonic() - begin, "s (aim: 3)")
    time.sleep(5)
    state = instance.state()
    parts = {pid: command for pid, command in instance.processes().items() if "etcd" not in command.split()[0]}
    total = sum(resident(pid) for pid in [*parts, instance.process.pid])
    line(f"resident memory of all {len(parts) + 1} processes but etcd", total / 1e6, "MB (aim: 200)")
    return state


def stored(instance):
    return int((call(instance, "demonstrator.v1.Store/Status") or {}).get("stored", 0))


def measure_flow(instance, batch, outstanding):
    before = stored(instance)
    url = service(instance, "demonstrator.v1.Queue")
    begin = time.monotonic()
    load = subprocess.run([BUILD / "tests/bench/bench_load", url, instance.data / "token", str(batch), str(outstanding),
                           str(SECONDS)], capture_output=True, text=True, check=False)
    found = re.match(r"accepted (\d+)", load.stdout)
    if not found:
        sys.exit(f"bench_load: {load.stderr}")
    accepted = int(found[1])
    deadline = time.monotonic() + 120
    while stored(instance) < before + accepted:
        if time.monotonic() > deadline:
            sys.exit(f"only {stored(instance) - before} of {accepted} samples were stored")
        time.sleep(0.02)
    elapsed = time.monotonic() - begin
    line(f"pipeline, batches of {batch}, {outstanding} outstanding, all stored", accepted / elapsed, "samples/s")


def main():
    instance = conftest.Instance(demonstrator=True)
    try:
        measure_start(instance)
        instance.scale("producer", 0)
        instance.scale("processor", 0)
        instance.set_environment("queue", CONFIG_QUEUE_CAPACITY=4000000, CONFIG_QUEUE_SEGMENT_BYTES=32 << 20)
        instance.set_environment("processor", CONFIG_PROCESSOR_SERVICE_TIME_US=0)
        instance.scale("processor", 1)
        conftest.wait_for(lambda: int((call(instance, "demonstrator.v1.Queue/Status") or {}).get("capacity", 0)) == 4000000,
                          "the queue has its new capacity")
        instance.wait_running(instance.part("processor"))
        time.sleep(2)
        for batch, outstanding in ((1, 1000), (100, 200), (1000, 64)):
            measure_flow(instance, batch, outstanding)
    finally:
        if instance.process:
            instance.stop()
        instance.close()


main()
