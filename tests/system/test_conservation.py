"""Nothing accepted is lost, nothing counts twice, whatever fails."""
import json
import os
import random
import signal
import time

from conftest import LONG, SEED, wait_for
from dashboard import cookie, post, stored
from whole import nodes, settled

FAULTS = 100 if LONG else 10
PARTS = ("queue", "store", "processor", "producer")
AWAY = 5.0  # seconds that a node is halted or frozen: longer than it takes to be noticed


def verify(instance):
    """What `inaetics verify` says when the queue has run empty."""
    result = instance.cli("verify", "--json", "--wait", 120, check=False, timeout=200)
    assert result.returncode in (0, 1), result.stderr
    return json.loads(result.stdout)


class Faults:
    """What can go wrong; each returns in words what it did."""

    def __init__(self, instance, chance):
        self.instance = instance
        self.chance = chance

    def kill_pod(self, count=1):
        names = []
        for part in self.chance.sample(PARTS, count):
            name = self.chance.choice(wait_for(lambda: self.instance.parts(part), f"a pod of {part}"))
            pid = wait_for(lambda: self.instance.pid(name) or name not in self.instance.pods(), f"{name} runs, to be killed")
            if pid is not True:
                names.append((name, pid))
        for _, pid in names:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass  # it ended by itself meanwhile
        return "kill " + ", ".join(name for name, _ in names)

    def kill_two_pods(self):
        return self.kill_pod(2)

    def delete_pod(self):
        name = self.instance.part(self.chance.choice(PARTS))
        path = f"/api/v1/namespaces/default/pods/{name}"
        wait_for(lambda: self.instance.api("DELETE", path, check=False)[0] in (200, 404), f"{name} can be deleted")
        return f"delete {name}"

    def lose_node(self, away, back):
        node = self.instance.node_of(self.instance.part(self.chance.choice(PARTS))) or "node-1"
        self.instance.cli("node", away, node)
        time.sleep(self.chance.choice((0.3, AWAY)))
        wait_for(lambda: self.instance.cli("node", back, node, check=False).returncode == 0, f"{back} {node}")
        wait_for(lambda: nodes(self.instance)[node], f"{node} is ready again")
        return f"{away} and {back} {node}"

    def halt_node(self):
        return self.lose_node("halt", "start")

    def freeze_node(self):
        return self.lose_node("freeze", "thaw")

    def kill_part(self, part):
        def killed():
            try:
                os.kill(self.instance.state()[part]["pid"], signal.SIGKILL)
            except ProcessLookupError:
                return False  # it is being started again
            return True
        wait_for(killed, f"{part} runs, to be killed")

    def kill_control_plane(self):
        self.kill_part("controlPlane")
        wait_for(lambda: self.instance.cli("pods", check=False).returncode == 0, "the API answers again")
        return "kill the control plane"

    def kill_etcd(self):
        self.kill_part("etcd")
        return "kill etcd"


KINDS = ("kill_pod", "kill_two_pods", "delete_pod", "halt_node", "freeze_node", "kill_control_plane", "kill_etcd")


def test_no_fault_loses_or_doubles_anything(make_instance):
    print(f"INAETICS_SEED={SEED} repeats the choice of faults and pauses")
    chance = random.Random(SEED)
    instance = make_instance(demonstrator=True).start()
    wait_for(lambda: stored(instance) > 0, "the first stored result")
    assert post(instance, "/coordinator/utilisation", {"value": 50}, {"Cookie": cookie(instance)})[0] == 204
    faults = Faults(instance, chance)
    kinds = [KINDS[i % len(KINDS)] for i in range(FAULTS)]  # each kind as often as the others
    chance.shuffle(kinds)
    for number, kind in enumerate(kinds):
        time.sleep(chance.uniform(0.05, 1.0))
        said = getattr(faults, kind)()
        print(f"fault {number}: {said}")
        before = stored(instance)
        wait_for(lambda: stored(instance) > before, f"flow resumes after fault {number}, {said}")
    settled(instance)
    assert post(instance, "/coordinator/utilisation", {"value": 0}, {"Cookie": cookie(instance)})[0] == 204
    report = verify(instance)
    print(json.dumps(report["total"]))
    assert report["total"]["accepted"] > 100
    assert report["total"]["missing"] == 0, report
    assert report["total"]["duplicate"] == 0, report


def test_the_next_start_goes_on_with_the_data(make_instance):
    instance = make_instance(demonstrator=True).start()
    wait_for(lambda: stored(instance) > 20, "some stored results")
    instance.stop()
    instance.start()
    before = stored(instance)
    wait_for(lambda: stored(instance) > max(before, 20), "flow goes on after the restart")
    report = verify(instance)
    assert report["total"]["missing"] == report["total"]["duplicate"] == 0, report
