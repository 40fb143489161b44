"""Finds every difference between two normalised answers."""

import dataclasses
import fnmatch

MISSING = "(missing)"


@dataclasses.dataclass
class Found:
    """One difference between what was recorded and what was answered."""

    scenario: str
    step: str
    path: str
    recorded: object
    answered: object

    def __str__(self):
        return f"{self.step}: {self.path}\n    recorded {shortened(self.recorded)}\n    answered {shortened(self.answered)}"


@dataclasses.dataclass
class Difference:
    """One that is meant, with its reason. Names may hold * as in a shell."""

    scenario: str
    step: str
    path: str
    reason: str
    answered: object = ...  # what we answer; ... is anything

    def covers(self, found):
        return (fnmatch.fnmatchcase(found.scenario, self.scenario)
                and fnmatch.fnmatchcase(found.step, self.step)
                and fnmatch.fnmatchcase(found.path, self.path)
                and (self.answered is ... or self.answered == found.answered))


def shortened(value):
    shown = repr(value)
    return shown if len(shown) < 600 else f"{shown[:600]}… ({len(shown)} characters)"


def differences(recorded, answered, path=""):
    """Yields (path, recorded, answered)."""
    if type(recorded) is not type(answered):
        yield path, recorded, answered
    elif isinstance(recorded, dict):
        for key in sorted(recorded.keys() | answered.keys()):
            below = f"{path}.{key}" if path else key
            if key not in answered:
                yield below, recorded[key], MISSING
            elif key not in recorded:
                yield below, MISSING, answered[key]
            else:
                yield from differences(recorded[key], answered[key], below)
    elif isinstance(recorded, list):
        for number in range(max(len(recorded), len(answered))):
            below = f"{path}.{number}"
            if number >= len(answered):
                yield below, recorded[number], MISSING
            elif number >= len(recorded):
                yield below, MISSING, answered[number]
            else:
                yield from differences(recorded[number], answered[number], below)
    elif recorded != answered:
        yield path, recorded, answered


def scenario(name, recorded, answered):
    """All differences of a scenario's normalised answers."""
    return [Found(name, step, *one) for step in recorded for one in differences(recorded[step], answered.get(step, {}))]
