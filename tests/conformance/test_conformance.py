"""Our API answers as Kubernetes 1.20.2 does: each request of scenarios/ gets the answer that was recorded."""

import copy
import json

import pytest

import compare
import normalise
from conftest import meant, recorded
from differences import DIFFERENCES
from scenarios import SCENARIOS


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_answers_are_those_of_kubernetes(results, scenario):
    unexpected = [str(one) for one in results.of(scenario) if not meant(one)]
    assert not unexpected, f"{len(unexpected)} differences\n" + "\n".join(unexpected)


def test_every_listed_difference_still_exists(results):
    found = [one for scenario in SCENARIOS for one in results.of(scenario)]
    gone = [str(one) for one in DIFFERENCES if not any(map(one.covers, found))]
    assert not gone, "listed, but not found any more:\n" + "\n".join(gone)


def test_everything_was_recorded():
    missing = [(name, step.name) for name, steps in SCENARIOS.items() for step in steps if step.name not in recorded().get(name, {})]
    assert not missing, "run record.py for these"


# -- the test itself


def changed(value):
    """Copies of a JSON value that each differ from it at one place."""
    if isinstance(value, dict):
        for key in value:
            yield {one: of for one, of in value.items() if one != key}
            for other in changed(value[key]):
                yield value | {key: other}
        yield value | {"planted": True}
    elif isinstance(value, list):
        for number, one in enumerate(value):
            yield value[:number] + value[number + 1:]
            for other in changed(one):
                yield value[:number] + [other] + value[number + 1:]
    elif isinstance(value, bool):
        yield not value
    elif isinstance(value, (int, float)):
        yield value + 1
    elif isinstance(value, str):
        yield value + "x"
    else:
        yield "planted"


@pytest.mark.parametrize("scenario, step", [
    ("create and read", "get"),
    ("create and read", "create again"),
    ("invalid pods", "several errors at once"),
    ("watch from a version", "what came after"),
    ("tables of pods", "list"),
])
def test_an_answer_that_is_changed_anywhere_is_found(scenario, step):
    answers = recorded()[scenario]
    expected = normalise.scenario(answers)
    number = 0
    for number, other in enumerate(changed(answers[step]), 1):
        planted = normalise.scenario(copy.deepcopy(answers) | {step: other})
        assert compare.scenario(scenario, expected, planted), f"change {number} went unseen: {json.dumps(other)[:2000]}"
    assert number > 10


def test_answers_are_equal_to_themselves():
    for scenario, answers in recorded().items():
        assert not compare.scenario(scenario, normalise.scenario(answers), normalise.scenario(answers))
