"""Limits of containers: kept by the kernel where it lets us, watched by the node elsewhere."""

import glob
import os
import pathlib
import time

import pytest

from conftest import wait_for

HUNGRY = "python3 -c \"x = bytearray(200 << 20); import time; time.sleep(1000)\""


def kept_by_kernel(instance):
    return "watched only" not in instance.output() and "not enforced" not in instance.output()


def groups(instance):
    """Folders of all groups of the instance."""
    places = {line for path in instance.data.glob("nodes/*/cgroups") for line in path.read_text(encoding="utf-8").split()}
    return [path for place in places for path in glob.glob(f"{place}/inaetics-*-node-*")
            if str(instance_hash(instance)) in path]


def instance_hash(instance):
    value = 2166136261
    for byte in str(instance.data).encode():
        value = (value ^ byte) * 16777619 & 0xffffffff
    return f"{value:08x}"


def last(instance, pod):
    return (instance.container(pod) or {}).get("lastState", {}).get("terminated", {})


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("groups_are", ["used", "off"])
def test_a_container_above_its_memory_limit_is_killed_as_out_of_memory(instance, groups_are):
    if groups_are == "off":
        instance.environment["INAETICS_CGROUPS"] = "off"
    instance.start()
    if groups_are == "off":
        assert "Limits of memory are watched only" in instance.output()
    instance.pod("hungry", HUNGRY, resources={"limits": {"memory": "60Mi"}})
    instance.pod("modest", "sleep 1000", resources={"limits": {"memory": "60Mi"}})
    wait_for(lambda: last(instance, "hungry").get("reason") == "OOMKilled", "it is killed, and told why")
    assert last(instance, "hungry")["exitCode"] == 137
    wait_for(lambda: instance.container("hungry")["restartCount"] >= 1, "it is started again")
    instance.wait_running("modest")
    assert instance.container("modest")["restartCount"] == 0


def test_a_container_gets_no_more_of_a_processor_than_its_limit(instance):
    instance.start()
    if not kept_by_kernel(instance):
        pytest.skip("the kernel offers no control groups here: " + instance.output())
    for name, limits in (("held", {"cpu": "200m"}), ("free", {"memory": "100Mi"})):
        instance.pod(name, "while :; do :; done", resources={"limits": limits})
    pids = {name: wait_for(lambda n=name: instance.pid(n), "it runs") for name in ("held", "free")}

    def free_has_more():
        begin, before = time.monotonic(), {name: cpu_seconds(pid) for name, pid in pids.items()}
        time.sleep(3)
        used = {name: cpu_seconds(pid) - before[name] for name, pid in pids.items()}
        seconds = time.monotonic() - begin
        assert used["held"] <= 0.2 * seconds * 1.3 + 0.05, "no more than its share"
        return used["free"] > used["held"]
    wait_for(free_has_more, "who has no limit is not held")  # on a busy machine it may have as little for a while
    # A command beside it counts too.
    start = time.monotonic()
    result = instance.cli("exec", "held", "--", "sh", "-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; cat /proc/self/cgroup")
    assert "inaetics-" in result.stdout, (result.stdout, start)


def test_groups_go_with_their_containers_also_those_that_a_killed_node_left(instance):
    instance.start()
    if not kept_by_kernel(instance):
        pytest.skip("the kernel offers no control groups here: " + instance.output())
    spec = {"nodeName": "node-1"}
    instance.pod("one", "sleep 1000", spec=spec, resources={"limits": {"memory": "100Mi", "cpu": 1}})
    instance.wait_running("one")
    assert groups(instance)
    for path in groups(instance):
        assert pathlib.Path(path, "cgroup.procs").read_text(encoding="utf-8").strip(), "its process is in it"
    before = set(groups(instance))
    machine = next(one for one in instance.machines() if one["name"] == "node-1")
    os.kill(machine["pid"], 9)
    wait_for(lambda: groups(instance) and not before & set(groups(instance)) or
             (instance.container("one") or {}).get("restartCount"), "the node is back, and its pod")
    instance.wait_running("one")
    instance.delete("one")
    wait_for(lambda: not groups(instance), "nothing is left")
    instance.pod("two", "sleep 1000", spec=spec, resources={"limits": {"memory": "100Mi"}})
    instance.wait_running("two")
    left = groups(instance)
    assert left
    instance.cli("node", "halt", "node-1")
    instance.stop()
    assert not [path for path in left if os.path.exists(path)], "also of a node that was halted"


def test_what_left_its_container_in_every_way_ends_with_its_group(instance):
    instance.start()
    if not kept_by_kernel(instance) or not pathlib.Path("/sys/fs/cgroup/cgroup.controllers").exists():
        pytest.skip("there are no control groups of version 2 here: " + instance.output())
    instance.pod("daemon", "setsid env -i sh -c 'echo daemon $$; exec sleep 1000' & sleep 1000")
    text = wait_for(lambda: text if "daemon " in (text := instance.logs("daemon")) else None, "it tells its number")
    process = pathlib.Path("/proc") / text.split("daemon ")[1].split()[0]
    wait_for(lambda: not (process / "environ").read_bytes(), "it has forgotten whose it is")
    assert process.joinpath("cgroup").read_text(encoding="utf-8").count("inaetics-") >= 1
    instance.delete("daemon")
    wait_for(lambda: not process.exists(), "it is ended")
    wait_for(lambda: not groups(instance), "nothing is left")


def test_processes_have_limits(instance):
    instance.start()
    instance.pod("one", "cat /proc/self/limits; echo === end; sleep 1000")
    text = wait_for(lambda: text if "=== end" in (text := instance.logs("one")) else None, "it tells")
    limits = {line[:26].strip(): line[26:].split()[:2] for line in text.splitlines() if line.startswith("Max ")}
    assert limits["Max core file size"] == ["0", "0"]
    assert int(limits["Max open files"][1]) <= 65536
    if os.geteuid() == 0:
        assert int(limits["Max processes"][1]) <= 4096
