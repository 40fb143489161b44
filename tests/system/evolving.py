"""The demonstrator whose processor is replaced while it works, for a test and a measurement."""
import base64
import json
import re
import urllib.request

from conftest import BUILD, PATIENCE, ROOT, wait_for
from dashboard import cookie, post

PROCESSORS = 4


class World:
    """The demonstrator at full load, with four processors; its provisioning by command line and by HTTP."""

    def __init__(self, instance, updates, service_time_us=None):
        self.instance = instance
        self.updates = updates
        self.options = ["--deployment", self.deployment(service_time_us)] if service_time_us is not None else []
        instance.environment |= {"INAETICS_PROVISIONING_USER": "d", "INAETICS_PROVISIONING_PASSWORD": "f"}

    def deployment(self, service_time_us):
        """The demonstrator's, but for the time that a sample keeps a processor busy."""
        for path in (ROOT / "demonstrator" / "deployment").glob("*.json"):
            text = path.read_text(encoding="utf-8")
            if path.name == "processor.json":
                text, n = re.subn(r'("CONFIG_PROCESSOR_SERVICE_TIME_US",\s*"value": )"\d+"', rf'\1"{service_time_us}"', text)
                assert n == 2, text
            (self.instance.deployment / path.name).write_text(text, encoding="utf-8")
        return self.instance.deployment

    def start(self):
        self.instance.start(*self.options)
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
        """By the dashboard: it brings all producers back to what it was told."""
        value = {"value": percent}
        assert post(self.instance, "/coordinator/utilisation", value, {"Cookie": cookie(self.instance)})[0] == 204
        wait_for(lambda: all(self.instance.call(one, "Get").get("percent", 0) == percent for one in self.producers()),
                 f"the producers run at {percent} %")

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
        """Of each agent, what its processor said after each update: milliseconds from the last acknowledgement before
        the update to the first after it; and of those before, from one to the next, the median and the longest."""
        said = (r"([\d.]+) ms from the last acknowledgement before the update to the first after it; "
                r"before, from one to the next: median ([\d.]+) ms, longest ([\d.]+) ms")
        return {pod: [tuple(map(float, found)) for found in re.findall(said, self.instance.logs(pod))]
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
    """Updates the processor again and again, there and back, each time when the last one is confirmed; the pauses of
    each agent."""
    world.policy(gate=0.2)
    world.provisioning("upload", BUILD / "demonstrator" / "anomaly.zip")
    for turn in range(world.updates):
        version = ("2.0.0", "0.1.0")[turn % 2]
        _, rollout = world.evolve(version)
        assert rollout["phase"] == "done", rollout
        assert [group["healthy"] for group in rollout["groups"]] == [1, PROCESSORS - 1], rollout
        world.flow()
        wait_for(lambda n=turn + 1: all(len(found) >= n for found in world.pauses().values()),
                 "each processor has acknowledged something after the update")
    pauses = world.pauses()
    for pod, found in pauses.items():
        assert len(found) == world.updates, f"{pod} acknowledged after each update: {found}"
    return pauses
