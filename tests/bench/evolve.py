#!/usr/bin/python3
"""evolve.py - what an update takes away from the flow of samples.

  evolve.py BUILD

Two producers at 100 % and four processors; the processor is updated ten times
in all agents, there and back, by rollouts: once as the demonstrator is
deployed, where each sample keeps a processor busy for 3 ms, and once without.
A pause is what an agent itself measures, with nothing left out: from the last
samples that the old version acknowledged to the first that the new one does.
Beside it is what is usual: from one acknowledgement to the next while nothing
is updated."""
import os
import pathlib
import statistics
import sys

BUILD = pathlib.Path(sys.argv[1]).resolve()
os.environ["INAETICS_BUILD"] = str(BUILD)
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))
import conftest  # noqa: E402
import evolving  # noqa: E402

UPDATES = 10
AIM = 100  # ms


def line(name, value, unit):
    print(f"{name:<66} {value:>8.1f} {unit}", flush=True)


def measure(service_time_us):
    print(f"each sample keeps a processor busy for {service_time_us / 1000:g} ms", flush=True)
    instance = conftest.Instance(demonstrator=True)
    try:
        world = evolving.World(instance, UPDATES, service_time_us).start()
        found = list(evolving.update_under_load(world).values())
        pauses = [[pause for pause, _, _ in agent] for agent in found]
        line(f"  pause of an agent at an update under load, median of {UPDATES * len(pauses)}",
             statistics.median(pause for agent in pauses for pause in agent), "ms")
        line("  longest of each agent, the best agent", min(map(max, pauses)), "ms")
        worst = max(map(max, pauses))
        line("  longest of each agent, the worst agent", worst, f"ms (aim: {AIM}, {'met' if worst < AIM else 'not met'})")
        line("  usual, median", statistics.median(median for agent in found for _, median, _ in agent), "ms")
        # Those before the first update are also of the time before the load.
        line("  usual, longest", max(longest for agent in found for _, _, longest in agent[1:]), "ms")
        world.nothing_is_lost()
    finally:
        if instance.process:
            instance.stop()
        instance.close()


for time in (3000, 0):
    measure(time)
