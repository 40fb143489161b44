"""Software evolves while it works: nothing is lost at an update, and what does harm comes back from the first group."""
import statistics

from conftest import BUILD, wait_for
from evolving import PROCESSORS, World, update_under_load

UPDATES = 10
FAULTS = {"fails": "3.0.0", "crashes": "3.1.0", "silent": "3.2.0", "unwatched": "3.3.0"}
WHY = {"fails": "this version cannot start", "crashes": "restarted", "silent": "none was acknowledged",
       "unwatched": "processor calls demonstrator.v1."}


def test_the_processor_is_updated_under_load_and_nothing_is_lost(make_instance):
    world = World(make_instance(demonstrator=True), UPDATES).start()
    pauses = [pause for found in update_under_load(world).values() for pause, _, _ in found]
    print(f"pauses: median {statistics.median(pauses):.1f} ms, longest {max(pauses):.1f} ms")
    # ./bench says what it is; here a hundred other tests may have the processors.
    assert statistics.median(pauses) < 5000 and max(pauses) < 60000, pauses
    world.nothing_is_lost()


def acknowledged(world, target):
    """A second, as the target's agent counts it."""
    rates = world.ask("GET", f"/v1/targets/{target}")["health"]["progress"]
    return next((rate["perSecond"] for rate in rates
                 if rate["name"] == "processor calls demonstrator.v1.Queue/Acknowledge"), 0)


def test_a_version_that_does_harm_comes_back_from_the_first_group(make_instance):
    world = World(make_instance(demonstrator=True), 0).start()
    world.policy(gate=10)
    for fault, version in FAULTS.items():
        wait_for(lambda: all(acknowledged(world, one["id"]) >= 1.5 for one in world.targets()), "all do what they are for")
        world.provisioning("upload", BUILD / "tests" / "demonstrator" / f"processor-{fault}.zip")
        result, rollout = world.evolve(version, check=False)
        print(result.stdout, result.stderr, rollout["reason"])
        assert result.returncode == 1 and rollout["phase"] == "rolled-back", rollout
        states = {one["id"]: one for one in rollout["targets"]}
        canary = next(one["id"] for one in rollout["targets"] if one["group"] == 0)
        assert WHY[fault] in (states[canary].get("reason") or "") + (rollout["reason"] or ""), rollout
        for target in world.targets():
            seen = {artifact["version"] for one in world.ask("GET", f"/v1/targets/{target['id']}/versions")["items"]
                    for artifact in one["artifacts"]}
            assert (version in seen) == (target["id"] == canary), f"{target['id']} has had {seen}"
        assert [group["waiting"] for group in rollout["groups"]][1] == PROCESSORS - 1, rollout
        wait_for(lambda: all(one["health"]["ready"] for one in world.targets()), "all are healthy again")
        world.flow()
    world.nothing_is_lost()
