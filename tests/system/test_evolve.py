"""Software evolves while it works: nothing is lost at an update, and what does harm comes back from the first group."""
import base64
import json
import re
import statistics
import urllib.request

from conftest import BUILD, LONG, PATIENCE, wait_for
from test_conservation import verify
from test_pages import cookie, post, stored

UPDATES = 10 if LONG else 3
PROCESSORS = 4
FAULTS = {"fails": "3.0.0", "crashes": "3.1.0", "silent": "3.2.0"}
WHY = {"fails": "this version cannot start", "crashes": "restarted", "silent": "error"}


class World:
    """The demonstrator at full load, with four processors; its provisioning by command line and by HTTP."""

    def __init__(self, instance, updates):
        self.instance = instance
        self.updates = updates
        instance.environment |= {"INAETICS_PROVISIONING_USER": "d", "INAETICS_PROVISIONING_PASSWORD": "f"}

    def start(self):
        self.instance.start()
        wait_for(lambda: stored(self.instance) > 0, "the first stored result")
        assert post(self.instance, "/coordinator/utilisation", {"value": 100},
                    {"Cookie": cookie(self.instance)})[0] == 204
        # The slider writes the same object at the same time.
        wait_for(lambda: self.instance.cli("scale", "producer", 2, check=False).returncode == 0, "two producers are wanted")
        wait_for(lambda: len(rates := self.rates()) == 2 and all(rate == 100 for rate in rates), "two producers give all")
        self.instance.scale("processor", PROCESSORS)  # from here on nobody changes how many there are
        self.instance.scale("processor-b", 0)
        wait_for(lambda: len(self.targets()) == PROCESSORS, "four processors are provisioned")
        wait_for(lambda: all(one["provisioning"] in ("OK", "Idle") and one["health"]["ready"] for one in self.targets()),
                 "four processors are healthy")
        return self

    def ask(self, method, path, body=None):
        request = urllib.request.Request(
            f"http://127.0.0.1:{8090 + self.instance.number}{path}", method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": "Basic " + base64.b64encode(b"d:f").decode(), "Content-Type": "application/json"})
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=PATIENCE) as answer:
            return json.load(answer)

    def rates(self):
        return [int(self.instance.call(one, "Get").get("percent", 0))
                for one in self.instance.services("demonstrator.v1.Producer")]

    def targets(self):
        """Those of the processors that run now."""
        pods = self.instance.parts("processor")
        return [one for one in self.ask("GET", "/v1/targets")["items"] if one["id"] in pods and one.get("health")]

    def policy(self, gate):
        self.ask("PUT", "/v1/policy", {"groups": [25, 100], "gateSeconds": gate})

    def provisioning(self, *arguments, check=True):
        return self.instance.cli("provisioning", *arguments, check=check, timeout=300)

    def evolve(self, version, check=True):
        """Links this version of the processor and waits for what comes of it: the rollout."""
        result = self.provisioning("link", "artifact", f"processor@{version}", "processor", "--wait", 240, check=check)
        return result, self.ask("GET", "/v1/rollouts/" + str(self.ask("GET", "/v1/rollouts")["items"][0]["id"]))

    def pauses(self):
        """Milliseconds from the last acknowledgement before an update to the first after it, of each agent."""
        return {pod: [float(found) for found in re.findall(r"took the flow away for ([\d.]+) ms", self.instance.logs(pod))]
                for pod in self.instance.parts("processor")}

    def flow(self):
        before = stored(self.instance)
        wait_for(lambda: stored(self.instance) > before, "results are stored")

    def nothing_is_lost(self):
        for one in self.instance.services("demonstrator.v1.Producer"):
            self.instance.call(one, "SetRate", {"percent": 0})
        report = verify(self.instance)
        print(json.dumps(report["total"]))
        assert report["total"]["accepted"] > 1000
        assert report["total"]["missing"] == report["total"]["duplicate"] == 0, report


def update_under_load(world):
    """Updates the processor again and again, there and back; the pauses of each agent."""
    world.policy(gate=1)
    world.provisioning("upload", BUILD / "demonstrator" / "anomaly.zip")
    for turn in range(world.updates):
        version = ("2.0.0", "0.1.0")[turn % 2]
        _, rollout = world.evolve(version)
        assert rollout["phase"] == "done", rollout
        assert [group["healthy"] for group in rollout["groups"]] == [1, PROCESSORS - 1], rollout
        world.flow()
    pauses = world.pauses()
    for pod, found in pauses.items():
        assert len(found) == world.updates, f"{pod} acknowledged after each update: {found}"
    return pauses


def test_the_processor_is_updated_under_load_and_nothing_is_lost(make_instance):
    world = World(make_instance(demonstrator=True), UPDATES).start()
    pauses = [pause for found in update_under_load(world).values() for pause in found]
    print(f"pauses: median {statistics.median(pauses):.1f} ms, longest {max(pauses):.1f} ms")
    # ./bench says what it is; here a hundred other tests may have the processors.
    assert statistics.median(pauses) < 1000 and max(pauses) < 10000, pauses
    world.nothing_is_lost()


def test_a_version_that_does_harm_comes_back_from_the_first_group(make_instance):
    world = World(make_instance(demonstrator=True), 0).start()
    world.policy(gate=10)
    for fault, version in FAULTS.items():
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
