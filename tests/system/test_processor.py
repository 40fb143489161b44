"""The processor evolves while it works: from the sum to the score of anomalies, and back."""
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request

import pytest
from conftest import BUILD, INAETICS, PATIENCE, claim_network, wait_for

TOKEN = "0123456789abcdef0123456789abcdef"
WARM_UP = 5000


class Pipeline:
    """One agent with producer, queue, processor and store."""

    def __init__(self, rate):
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="ina-"))
        network, self.claim = wait_for(claim_network, "a free loopback network", 600)
        self.address = network + "2"
        self.bundles = self.home / "bundles"
        self.bundles.mkdir()
        for name in ("producer-random", "queue", "processor", "store"):
            shutil.copy(BUILD / "demonstrator" / f"{name}.zip", self.bundles)
        for name in ("queue", "store", "ledger"):
            (self.home / name).mkdir()
        (self.home / "token").write_text(TOKEN + "\n", encoding="utf-8")
        self.log_path = self.home / "agent.log"
        settings = {
            "PRODUCER_DIRECTORY": self.home / "ledger", "PRODUCER_MAXIMUM_RATE": rate, "PRODUCER_INITIAL_RATE": 100,
            "QUEUE_DIRECTORY": self.home / "queue", "STORE_DIRECTORY": self.home / "store",
            "PROCESSOR_WARM_UP": WARM_UP,  # only the anomaly version knows it
            "PROCESSOR_LEASE_MS": 600000,  # what an update does not give back would come too late
        }
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                [BUILD / "agent" / "inaetics-agent", "--id", "one", "--address", self.address,
                 "--token-file", self.home / "token", "--bundles", self.bundles, "--cache", self.home / "cache"],
                env=dict(os.environ, **{f"CONFIG_{key}": str(value) for key, value in settings.items()}),
                stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        wait_for(lambda: self.ready(), "results are stored")

    def ready(self):
        assert self.process.poll() is None, self.log()
        try:
            return self.stored() > 0
        except OSError:
            return False

    def log(self):
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def call(self, service, method, **request):
        asked = urllib.request.Request(
            f"http://{self.address}:8080/demonstrator.v1.{service}/{method}", json.dumps(request).encode(),
            {"Content-Type": "application/json", "Authorization": f"Bearer {TOKEN}"})
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(asked, timeout=PATIENCE) as answer:
            return json.load(answer)

    def stored(self):
        return int(self.call("Store", "Status").get("stored", 0))

    def shell(self, line):
        with socket.create_connection((self.address, 2019), timeout=PATIENCE) as shell:
            shell.sendall(f"{TOKEN}\n{line}\nexit\n".encode())
            return b"".join(iter(lambda: shell.recv(4096), b"")).decode()

    def update(self, zip_path):
        said = self.shell(f"update processor {zip_path}")
        assert "-ERR" not in said, said
        return said

    def flow(self):
        """Waits until more results are stored than now."""
        before = self.stored()
        wait_for(lambda: self.stored() > before, "results are stored")

    def results(self, begin=0):
        """The results of samples from `begin` to now, each with its time: (microseconds, value1, value2, result)."""
        found, page = [], ""
        end = int(time.time() * 1e6)  # else it would not end on a machine on which we read no faster than they come
        while True:
            reply = self.call("Store", "Query", begin_us=str(begin), end_us=str(end), maximum=10000, page=page)
            for batch in reply.get("batches", []):
                samples = batch["samples"]
                found += zip(map(int, samples["timeUs" if "timeUs" in samples else "time_us"]), samples["value1"],
                             samples["value2"], batch["result"])
            page = reply.get("nextPage") or reply.get("next_page")
            if not page:
                return found

    def drain(self):
        """Stops producing; returns how many samples were accepted when all of them were processed."""
        self.call("Producer", "SetRate", percent=0)
        wait_for(lambda: int(self.call("Producer", "Get").get("buffered", 0)) == 0, "the producer's buffer is empty")
        wait_for(lambda: int(self.call("Queue", "Status").get("size", 0)) == 0, "the queue is empty")
        return int(self.call("Producer", "Get")["accepted"])

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(PATIENCE)
            finally:
                self.process.kill()
        print(self.log()[-8000:])
        self.claim.close()
        shutil.rmtree(self.home, ignore_errors=True)


@pytest.fixture
def make_pipeline():
    made = []

    def make(rate):
        made.append(Pipeline(rate))
        return made[-1]
    yield make
    for one in made:
        one.close()


def zip_of(name):
    return BUILD / "demonstrator" / f"{name}.zip"


def test_a_running_processor_is_updated_to_scores_and_back_and_nothing_is_lost(make_pipeline):
    pipeline = make_pipeline(20000)
    for turn in range(5):
        assert "from 0.1.0 to 2.0.0" in pipeline.update(zip_of("anomaly")), f"turn {turn}"
        pipeline.flow()
        assert "from 2.0.0 to 0.1.0" in pipeline.update(zip_of("processor")), f"turn {turn}"
        pipeline.flow()
    pipeline.update(zip_of("anomaly"))
    pipeline.flow()
    accepted = pipeline.drain()
    assert accepted > 1000
    assert pipeline.stored() == accepted


def test_results_are_sums_before_and_scores_after(make_pipeline):
    pipeline = make_pipeline(20000)
    assert all(result == one + two for _, one, two, result in pipeline.results())
    pipeline.update(zip_of("anomaly"))
    begin = max(when for when, *_ in pipeline.results())
    # The values are uniform from -100 to 100: their deviation is 57.7, no score is beyond 1.73 by much.
    wait_for(lambda: any(result != 0 and result != one + two for _, one, two, result in pipeline.results(begin)),
             "scores after the warm-up")
    wait_for(lambda: len([0 for *_, result in pipeline.results(begin) if result != 0]) > 1000, "more scores")
    pipeline.drain()
    latest = sorted(pipeline.results(begin))[-500:]
    assert all(abs(result - one / 57.7) < 0.35 for _, one, _, result in latest), latest


def test_the_statistics_say_what_a_result_is(make_pipeline):
    pipeline = make_pipeline(400)
    services = pipeline.shell("services demonstrator.v1.Statistics")
    assert "result = sum" in services and "result = z-score" not in services
    pipeline.update(zip_of("anomaly"))
    services = pipeline.shell("services demonstrator.v1.Statistics")
    assert "result = z-score" in services and "result = sum" not in services


def test_the_folder_is_read_again_at_a_hangup_and_figures_go_along_to_the_next_version(make_pipeline, tmp_path):
    pipeline = make_pipeline(20000)
    shutil.copy(zip_of("anomaly"), pipeline.bundles / "processor.zip")
    pipeline.process.send_signal(signal.SIGHUP)
    wait_for(lambda: "2.0.0" in pipeline.shell("lb"), "the agent has read the folder")
    begin = max(when for when, *_ in pipeline.results())
    scored = wait_for(lambda: [when for when, *_, result in pipeline.results(begin) if result != 0 and abs(result) < 5][-1:],
                      "scores after the warm-up")[0]
    wait_for(lambda: max(when for when, *_ in pipeline.results(begin)) > scored + 1000000, "a second of scores")
    following = tmp_path / "following.zip"
    subprocess.run([INAETICS, "bundle", "pack", following, "--name", "processor", "--version", "2.0.1", "--library",
                    BUILD / "demonstrator" / "anomaly.so"], check=True)
    pipeline.update(following)
    begin = max(when for when, *_ in pipeline.results())
    wait_for(lambda: len(pipeline.results(begin)) > WARM_UP / 5, "results of the following version")
    scores = [result for *_, result in pipeline.results(begin)]
    assert scores.count(0) < len(scores) / 100, "without the figures handed over it had to warm up again"
    accepted = pipeline.drain()
    assert pipeline.stored() == accepted


def test_a_version_that_cannot_take_over_leaves_the_one_that_runs(make_pipeline, tmp_path):
    pipeline = make_pipeline(4000)
    broken = tmp_path / "broken.zip"
    subprocess.run([INAETICS, "bundle", "pack", broken, "--name", "processor", "--version", "3.0.0", "--library",
                    BUILD / "demonstrator" / "queue.so"], check=True)
    said = pipeline.shell(f"update processor {broken}")
    assert "-ERR" in said, said
    pipeline.flow()
    assert "0.1.0" in pipeline.shell("bundle processor")
    accepted = pipeline.drain()
    assert pipeline.stored() == accepted
