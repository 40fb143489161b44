"""Each kind of producer: what it makes, at which rate, and what it does while the queue is away."""
import csv
import io
import json
import os
import pathlib
import tempfile
import urllib.error
import urllib.request

import pytest
from conftest import wait_for

PRODUCER = "demonstrator.v1.Producer"


def use(instance, kind, folder=None, **settings):
    """Replaces the producers by one of this kind, with CONFIG_PRODUCER_* settings, and a folder as $(VOLUME_SAMPLES)."""
    instance.scale("producer", 0)
    component = "producer" if kind == "host" else f"producer-{kind}"
    variables = [{"name": "INAETICS_TARGET_PROPERTIES", "value": f"application=demonstrator,component={component}"}]
    variables += [{"name": f"CONFIG_PRODUCER_{name.upper()}", "value": str(value), "valueFrom": None}
                 for name, value in settings.items()]
    volumes, container = [], {"env": variables}
    if folder:
        volumes.append({"name": "samples", "hostPath": {"path": str(folder), "type": "Directory"}})
        container["volumeMounts"] = [{"name": "samples", "mountPath": "/samples", "readOnly": True}]
    instance.change_template("producer", {"volumes": volumes}, container)
    instance.scale("producer", 1)


@pytest.fixture
def samples():
    """A folder that pods can read, whoever they are."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield pathlib.Path(folder)


def said(instance):
    """What the producer wrote."""
    return instance.logs(instance.part("producer"))


def rows(instance, name):
    """What is stored of a producer, as CSV rows; none while the viewer looks for the store."""
    try:
        with urllib.request.urlopen(f"{instance.page}/report/results.csv?producer={name}", timeout=60) as answer:
            return list(csv.DictReader(io.StringIO(answer.read().decode())))
    except urllib.error.HTTPError as error:
        assert error.code == 503, error
        return []


def test_random_values_are_uniform_and_rise_by_one(demonstrator):
    use(demonstrator, "random", name="chance", maximum_rate=4000)
    found = wait_for(lambda: (r := rows(demonstrator, "chance")) and len(r) > 400 and r, "400 results")
    values = [float(row[column]) for row in found for column in ("value1", "value2")]
    assert all(-100 <= value < 100 for value in values)
    assert min(values) < -80 and max(values) > 80 and abs(sum(values) / len(values)) < 20
    assert sorted(int(row["sequence"]) for row in found) == list(range(len(found)))


def test_bursts_come_together(demonstrator):
    use(demonstrator, "burst", name="burst", burst=7)
    found = wait_for(lambda: (r := rows(demonstrator, "burst")) and len(r) >= 21 and r, "three bursts")
    times = [row["time_us"] for row in found]
    for time in set(times):
        assert times.count(time) % 7 == 0, "a burst's samples have one time"


def test_a_file_is_replayed_line_by_line_and_again(demonstrator, samples):
    file = samples / "samples.csv"
    file.write_text("time,value1,value2\n# a comment\n0.0,1,10\n0.1,2,20\n0.2,3,30\n", encoding="utf-8")
    use(demonstrator, "csv", samples, name="replay", file="$(VOLUME_SAMPLES)/samples.csv")
    found = wait_for(lambda: (r := rows(demonstrator, "replay")) and len(r) >= 7 and r, "the file, twice")
    ordered = sorted(found, key=lambda row: int(row["sequence"]))
    assert [float(row["value1"]) for row in ordered[:6]] == [1, 2, 3, 1, 2, 3]
    assert [float(row["result"]) for row in ordered[:3]] == [11, 22, 33]


@pytest.mark.parametrize("text, words", [
    ("1,2\nnonsense\n", ":2: \"nonsense\" found where VALUE1,VALUE2 or TIME,VALUE1,VALUE2 was expected"),
    ("1,2\n1,2,3,4\n", "found where"),
    ("# nothing\n", "there is no sample in it"),
])
def test_a_file_that_is_wrong_is_named_with_its_line(demonstrator, samples, text, words):
    file = samples / "wrong.csv"
    file.write_text(text, encoding="utf-8")
    use(demonstrator, "csv", samples, name="wrong", file="$(VOLUME_SAMPLES)/wrong.csv", initial_rate=100)
    wait_for(lambda: words in said(demonstrator).replace('\\"', '"'), "the error names file, line and what is right")


def test_a_missing_file_is_named(demonstrator, samples):
    use(demonstrator, "csv", samples, file="$(VOLUME_SAMPLES)/none.csv")
    wait_for(lambda: "none.csv: No such file" in said(demonstrator), "the error names the file")


def test_wrong_configuration_names_key_value_and_what_is_allowed(demonstrator):
    use(demonstrator, "random", maximum_rate="fast")
    wait_for(lambda: all(word in said(demonstrator) for word in ("maximum-rate", "fast")),
             "the error names key and value")


def test_while_the_queue_is_away_samples_are_kept_and_then_shed_and_counted(demonstrator):
    use(demonstrator, "random", name="patient", buffer=500, maximum_rate=4000)
    wait_for(lambda: rows(demonstrator, "patient"), "results of it")
    demonstrator.scale("queue", 0)
    status = wait_for(lambda: (s := demonstrator.call(PRODUCER, "Get")) and int(s.get("shed", 0)) > 0 and s,
                      "its buffer is full and samples are shed")
    assert int(status["buffered"]) <= 500
    demonstrator.scale("queue", 1)
    wait_for(lambda: int(demonstrator.call(PRODUCER, "Get").get("buffered", 0)) < 500, "the buffer is sent")
    report = json.loads(demonstrator.cli("verify", "--json", check=False).stdout)["total"]
    assert report["missing"] == report["duplicate"] == 0, report
