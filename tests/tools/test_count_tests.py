#!/usr/bin/python3
"""tools/count-tests: what a run of all tests comes to."""

import json
import pathlib
import subprocess

TOOL = pathlib.Path(__file__).resolve().parents[2] / "tools" / "count-tests"


def count(folder, *arguments):
    done = subprocess.run([TOOL, *arguments], cwd=folder, text=True, capture_output=True, timeout=60, check=False)
    return done.returncode, done.stdout.splitlines()


def units(path, **results):
    """A report of meson's: each test has a case that passed, and one that did as the test."""
    path.write_text("".join(json.dumps({
        "name": f"inaetics:base / base_ {name}", "result": "OK" if good else "FAIL",
        "stdout": f"[       OK ] one\n{'[       OK ]' if good else '[  FAILED  ]'} two\n"}) + "\n"
        for name, good in results.items()))


def systems(path, **results):
    cases = "".join(f'<testcase classname="tests.system.test_a" name="{name}">{"" if good else "<failure/>"}</testcase>'
                    for name, good in results.items())
    path.write_text(f"<testsuites><testsuite>{cases}</testsuite></testsuites>")


def make(folder):
    (folder / "tests/system").mkdir(parents=True)
    (folder / "tests/system/test_a.py").touch()
    units(folder / "units.json", log=True, worker=False)
    systems(folder / "systems.xml", up=True, down=False)


def test_cases_are_counted_and_failures_named(tmp_path):
    make(tmp_path)
    assert count(tmp_path, "units.json", "systems.xml") == (1, [
        "failed: inaetics:base_ worker", "failed: tests/system/test_a.py::down", "4 passed, 2 failed"])


def test_what_failed_is_told_as_its_runner_takes_it(tmp_path):
    make(tmp_path)
    assert count(tmp_path, "--failed", "units.json") == (0, ["inaetics:base_ worker"])
    assert count(tmp_path, "--failed", "systems.xml") == (0, ["tests/system/test_a.py::down"])
    assert count(tmp_path, "--failed", "none.xml") == (0, [])


def test_what_was_skipped_did_not_pass_and_is_told_with_its_reason(tmp_path):
    units(tmp_path / "units.json", log=True)
    with open(tmp_path / "units.json", "a", encoding="utf-8") as report:
        report.write(json.dumps({"name": "inaetics:base / base_ kernel", "result": "SKIP", "stdout": "NOT RUN: old\n"}) + "\n")
    done = subprocess.run([TOOL, "units.json"], cwd=tmp_path, text=True, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "2 passed, 0 failed\n")
    assert done.stderr == "skipped: inaetics:base_ kernel: NOT RUN: old\n"


def test_nothing_that_ran_is_a_failure(tmp_path):
    (tmp_path / "empty.json").touch()
    systems(tmp_path / "empty.xml")
    (tmp_path / "cut.xml").write_text("<testsuites><testcase")
    for report in ("empty.json", "empty.xml", "cut.xml", "none.json"):
        status, lines = count(tmp_path, report)
        assert status == 1 and lines[-1] == "0 passed, 1 failed", report


def test_what_passes_the_second_time_is_named_and_does_not_fail(tmp_path):
    make(tmp_path)
    units(tmp_path / "units-again.json", worker=True)
    systems(tmp_path / "systems-again.xml", down=True)
    assert count(tmp_path, "units.json", "--again", "units-again.json", "systems.xml", "--again", "systems-again.xml") == (0, [
        "unsteady, failed once and passed then: inaetics:base_ worker",
        "unsteady, failed once and passed then: tests/system/test_a.py::down", "6 passed, 0 failed"])


def test_what_fails_twice_or_does_not_run_again_fails(tmp_path):
    make(tmp_path)
    systems(tmp_path / "other.xml", up=True)
    for again in ("systems.xml", "other.xml", "none.xml"):
        assert count(tmp_path, "systems.xml", "--again", again) == (1, [
            "failed: tests/system/test_a.py::down", "1 passed, 1 failed"]), again


def test_many_that_failed_are_no_chance(tmp_path):
    make(tmp_path)
    names = ["one", "two", "three", "four"]
    systems(tmp_path / "many.xml", **dict.fromkeys(names, False))
    systems(tmp_path / "again.xml", **dict.fromkeys(names, True))
    assert count(tmp_path, "many.xml", "--again", "again.xml")[1][-1] == "0 passed, 4 failed"


def test_an_interrupted_run_failed(tmp_path):
    make(tmp_path)
    (tmp_path / "systems.xml").write_text(
        '<testsuites><testsuite><testcase classname="tests.system.test_a" name="up"/><testcase time="0.1"/></testsuite></testsuites>')
    assert count(tmp_path, "systems.xml") == (1, ["failed: systems.xml: interrupted", "1 passed, 1 failed"])
    assert count(tmp_path, "--failed", "systems.xml") == (0, [])
