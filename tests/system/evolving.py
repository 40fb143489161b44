"""The demonstrator whose processor is replaced while it works, for a test and a measurement."""
import base64
import json
import re
import urllib.request

from conftest import BUILD, PATIENCE, wait_for

PROCESSORS = 4


class World:
    """The demonstrator at full load, with four processors; its provisioning by command line and by HTTP."""

    def __init__(self, instance, updates):
        self.instance = instance
        self.updates = updates
        instance.environment |= {"INAETICS_PROVISIONING_USER": "d", "INAETICS_PROVISIONING_PASSWORD": "f"}

    def start(self):
        self.instance.start()
        wait_for(lambda: self.stored() > 0, "the first stored result")
        self.instance.scale("producer", 2)  # from here on nobody changes how many there are
        self.instance.scale("processor", PROCESSORS)
        self.instance.scale("processor-b", 0)
        wait_for(lambda: len(self.producers()) == 2, "two producers are there")
        self.set_rate(100)
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

    def producers(self):
        return self.instance.services("demonstrator.v1.Producer")

    def set_rate(self, percent):
        for one in self.producers():
            self.instance.call(one, "SetRate", {"percent": percent})

    def stored(self):
        return int(self.instance.call("demonstrator.v1.Store", "Status").get("stored", 0))

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
        rollouts = self.ask("GET", "/v1/rollouts")["items"]
        assert rollouts, (result, self.ask("GET", "/v1/state"), self.targets())
        return result, self.ask("GET", f"/v1/rollouts/{rollouts[0]['id']}")

    def pauses(self):
        """Milliseconds from the last acknowledgement before an update to the first after it, of each agent."""
        return {pod: [float(found) for found in re.findall(r"took the flow away for ([\d.]+) ms", self.instance.logs(pod))]
                for pod in self.instance.parts("processor")}

    def flow(self):
        before = self.stored()
        wait_for(lambda: self.stored() > before, "results are stored")

    def nothing_is_lost(self):
        self.set_rate(0)
        report = json.loads(self.instance.cli("verify", "--json", "--wait", 120, check=False, timeout=200).stdout)
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
