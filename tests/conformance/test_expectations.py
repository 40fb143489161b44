"""What Kubernetes 1.20.2 does not serve is answered as newer ones do, or as our documentation says."""

import re

import pytest

import replay
import steps
from expectations import EXPECTATIONS


def fits(found, expected):
    if expected is ...:
        return found is not None
    if isinstance(expected, re.Pattern):
        return found is not None and expected.search(str(found)) is not None
    return found == expected


@pytest.mark.parametrize("scenario", EXPECTATIONS)
def test_expectations_by_hand_are_met(server, scenario):
    answers = replay.run(server, f"hand {scenario}", [step for step, _ in EXPECTATIONS[scenario]])
    wrong = [
        f"{step.name}: {path}\n    expected {expected!r}\n    answered {steps.find(answers[step.name], path)!r}\n    in {answers[step.name]}"
        for step, all_expected in EXPECTATIONS[scenario]
        for path, expected in all_expected.items()
        if not fits(steps.find(answers[step.name], path), expected)
    ]
    assert not wrong, "\n".join(wrong)
