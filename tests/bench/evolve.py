#!/usr/bin/python3
"""evolve.py - what an update takes away from the flow of samples.

  evolve.py BUILD

Two producers at 100 % and four processors; the processor is updated ten times
in all agents, there and back, by rollouts. A pause is what an agent itself
measures: from the moment that the old version has to stop (when it had samples
in hand: from that at which it took them, since they are begun anew) to the
first samples that the new one acknowledges, without what that waits at the
queue until there are any."""
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


def line(name, value, unit):
    print(f"{name:<58} {value:>14.1f} {unit}", flush=True)


def main():
    instance = conftest.Instance(demonstrator=True)
    try:
        world = evolving.World(instance, UPDATES).start()
        pauses = list(evolving.update_under_load(world).values())
        line(f"pause of an agent at an update under load, median of {UPDATES * len(pauses)}",
             statistics.median(pause for one in pauses for pause in one), "ms")
        line("longest of each agent, the best agent", min(map(max, pauses)), "ms")
        line("longest of each agent, the worst agent", max(map(max, pauses)), "ms (aim: 100)")
        world.nothing_is_lost()
    finally:
        if instance.process:
            instance.stop()
        instance.close()


main()
