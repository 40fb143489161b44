"""The contracts in another language: a Java program without any library finds
the queue in etcd and uses it. There is nothing to test where no JDK is."""

import shutil
import subprocess

import pytest
from conftest import BUILD, PATIENCE, ROOT, wait_for

CLIENT = ROOT / "tests" / "java" / "QueueClient.java"


def test_a_java_program_finds_the_queue_puts_and_takes(make_instance, tmp_path):
    java = shutil.which("java")
    if not java or not shutil.which("javac"):
        pytest.skip("there is no JDK here")
    instance = make_instance(demonstrator=True)
    deployment = tmp_path / "deployment"
    deployment.mkdir()
    for part in ("provisioning", "queue"):
        shutil.copy(BUILD / "demonstrator" / "deployment" / f"{part}.json", deployment)
    instance.start("--deployment", deployment)

    def run():
        return subprocess.run(
            [java, "-Xshare:auto", "-XX:TieredStopAtLevel=1", CLIENT, f"https://{instance.controller}:2379",
             instance.data / "pki" / "etcd", instance.data / "token", "1000"],
            capture_output=True, text=True, timeout=PATIENCE * 2, check=False)

    def offered():
        return "demonstrator.v1.Queue" in instance.cli("services", check=False).stdout

    wait_for(offered, "the queue is offered")
    result = run()
    assert result.returncode == 0, result.stdout + result.stderr
    said = dict(line.split(" ", 1) for line in result.stdout.splitlines())
    assert said["url"].startswith("http://127.")
    assert said["without_token"] == "unauthenticated"
    assert said["invalid"].startswith("maximum: expected an integer")
    assert said["accepted"] == "1000"
    assert said["size"] == "1000"
    assert said["taken"] == "1000"
    assert float(said["sum"]) == sum(i + 0.5 - i for i in range(1000))
    assert said["acknowledged"] == "{}"
    assert said["left"] == "0"
