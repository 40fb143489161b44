"""Nothing accepted is lost, nothing counts twice, whatever is killed."""
import json
import os
import random
import signal
import time

from conftest import LONG, wait_for
from test_pages import cookie, post, stored

FAULTS = 50 if LONG else 10
VICTIMS = ("queue", "store", "processor", "producer")


def verify(instance):
    """What `inaetics verify` says when the queue has run empty."""
    result = instance.cli("verify", "--json", "--wait", 120, check=False, timeout=200)
    assert result.returncode in (0, 1), result.stderr
    return json.loads(result.stdout)


def test_kill_9_of_any_part_at_any_moment_loses_and_doubles_nothing(make_instance):
    seed = int(os.environ.get("INAETICS_SEED") or random.SystemRandom().randrange(2**32))
    print(f"seed {seed} (INAETICS_SEED={seed} repeats the choice of victims and pauses)")
    chance = random.Random(seed)
    instance = make_instance(demonstrator=True).start()
    wait_for(lambda: stored(instance) > 0, "the first stored result")
    assert post(instance, "/coordinator/utilisation", {"value": 50}, {"Cookie": cookie(instance)})[0] == 204
    instance.scale("processor", 2)
    for fault in range(FAULTS):
        time.sleep(chance.uniform(0.05, 1.0))
        kind = chance.choice(VICTIMS)
        name = chance.choice(instance.parts(kind))
        pid = wait_for(lambda: instance.pid(name), f"{name} runs again, to be killed (fault {fault})")
        os.kill(pid, signal.SIGKILL)
        before = stored(instance)
        wait_for(lambda: stored(instance) > before, f"flow resumes after fault {fault}, {name} killed")
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
