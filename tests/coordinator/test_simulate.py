"""`inaetics simulate`, as a user calls it."""

import json
import os
import subprocess
import xml.etree.ElementTree

INAETICS = os.environ["INAETICS"]


def simulate(*arguments):
    return subprocess.run([INAETICS, "simulate", *map(str, arguments)], capture_output=True, text=True, timeout=120,
                          check=False)


def test_without_options_all_policies_are_compared_on_all_workloads():
    result = simulate()
    assert result.returncode == 0, result.stderr
    for word in ("seed 1", "steady:", "step:", "ramp:", "spikes:", "daily:", "faults:", "OUT OF QUALITY"):
        assert word in result.stdout
    for policy in ("queueing", "slope", "slope-1s", "hpa", "hpa-1s", "keda", "keda-1s"):
        assert sum(line.split()[:1] == [policy] for line in result.stdout.splitlines()) == 6, policy


def test_json_has_a_row_for_each_policy_and_workload():
    rows = json.loads(simulate("--json", "--workload", "step", "--seed", 7).stdout)
    assert [row["policy"] for row in rows][:1] == ["queueing"] and len(rows) == 7
    assert all(row["workload"] == "step" and row["seed"] == 7 and row["processorSeconds"] > 0 for row in rows)


def test_the_same_seed_says_the_same():
    assert simulate("--seed", 3).stdout == simulate("--seed", 3).stdout


def test_a_trace_is_simulated_and_drawn(tmp_path):
    trace, picture = tmp_path / "monday.csv", tmp_path / "monday.svg"
    trace.write_text("seconds,rate\n0,100\n60,1500\n120,100\n", encoding="utf-8")
    result = simulate("--trace", trace, "--policy", "queueing", "--svg", picture)
    assert result.returncode == 0, result.stderr
    assert "monday.csv" in result.stdout
    assert xml.etree.ElementTree.parse(picture).getroot().tag.endswith("svg")


def test_a_picture_of_each_workload_is_well_formed(tmp_path):
    assert simulate("--svg", tmp_path / "all.svg").returncode == 0
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [f"all-{name}.svg" for name in ("daily", "faults", "ramp", "spikes", "steady", "step")]
    for path in tmp_path.iterdir():
        xml.etree.ElementTree.parse(path)


def test_what_is_wrong_is_said():
    for arguments, words in (
            (("--policy", "magic"), "there is no policy \"magic\"; there are queueing"),
            (("--workload", "wave"), "there is no workload \"wave\"; there are steady"),
            (("--seed", "-1"), "must be a whole number"),
            (("--start-up", "x"), "must be seconds, 0 to 600"),
            (("--trace", "/nowhere"), "/nowhere"),
            (("--svg", "/nowhere/at/all.svg", "--workload", "step"), "/nowhere")):
        result = simulate(*arguments)
        assert result.returncode == 1, arguments
        assert words in result.stderr, result.stderr
