"""The coordinator on the embedded cluster, by the same check that a real Kubernetes passes."""

import json
import os
import subprocess

from conftest import BUILD, ROOT, wait_for


def test_an_application_is_kept_as_declared_through_load_and_the_coordinators_death(instance):
    instance.start()
    wait_for(lambda: instance.api("GET", "/api/v1/nodes")[1]["items"], "there are nodes")
    kubectl = subprocess.run([ROOT / "tools/fetch-server", "kubernetes-client", "kubectl", ROOT / "build"], capture_output=True,
                             text=True, timeout=300, check=True).stdout.strip()
    result = subprocess.run(
        [ROOT / "tests/coordinator/on_kubernetes.py", BUILD, instance.data / "kubeconfig", "inaetics/agent"],
        capture_output=True, text=True, timeout=600, check=False, env={**os.environ, "KUBECTL": kubectl})
    assert result.returncode == 0, result.stdout + result.stderr
    assert "ok: the workloads go with the application" in result.stdout


APPLICATIONS = "/apis/inaetics.org/v1/namespaces/default/applications"


def shop():
    runtimes = [{"image": "inaetics/agent"}]
    return {"apiVersion": "inaetics.org/v1", "kind": "Application", "metadata": {"name": "shop"}, "spec": {"components": [
        {"name": "fixed", "runtimes": runtimes, "replicas": 1, "maximum": 4},
        {"name": "unbounded", "runtimes": runtimes},
        {"name": "scaled", "runtimes": runtimes, "quality": {"minimum": 1, "maximum": 8}}]}}


def test_scale_refuses_what_a_components_maximum_forbids_and_shows_what_is_refused(instance):
    instance.start()
    instance.api("POST", APPLICATIONS, shop())

    def declared():
        components = instance.api("GET", f"{APPLICATIONS}/shop")[1]["spec"]["components"]
        return components[0]["replicas"], components[1].get("replicas"), components[2]["quality"]["minimum"]

    for name, count, words in (("fixed", "99", ("fixed: 99 requested, 0 to 4 are allowed", "spec.components[0].maximum")),
                               ("fixed", "-1", ("fixed: -1 requested, 0 to 4 are allowed", "kubectl edit application shop")),
                               ("fixed", "99999999999999999999", ("0 to 4 are allowed",)),
                               ("fixed", "-99999999999999999999", ("0 to 4 are allowed",)),
                               ("fixed", "3x", ('"3x": allowed is a whole number',)),
                               ("fixed", "-3x", ('"-3x": allowed is a whole number',)),
                               ("fixed", "", ('"": allowed is a whole number',)),
                               ("fixed", " 3", ('" 3": allowed is a whole number',)),
                               ("fixed", "1.5", ('"1.5": allowed is a whole number',)),
                               ("unbounded", "65", ("0 to 64 are allowed",)),
                               ("scaled", "9", ("0 to 8 are allowed", "spec.components[2].quality.maximum"))):
        result = instance.cli("scale", name, count, check=False)
        assert result.returncode == 1 and not result.stdout, (name, count, result)
        assert all(word in result.stderr for word in words), (name, count, result.stderr)
    assert declared() == (1, None, 1)
    assert instance.cli("scale", "fixed", 4).stdout == "fixed: 4 from now on\n"
    assert "at least 8" in instance.cli("scale", "scaled", 8).stdout
    assert "unbounded: 0" in instance.cli("scale", "unbounded", 0).stdout
    assert declared() == (4, 0, 8)

    why = "spec.components[0]: replicas: 99 is above maximum, 4"
    instance.api("PATCH", f"{APPLICATIONS}/shop/status", {"status": {
        "components": [{"name": "fixed", "requested": 2, "running": 1, "maximum": 4, "reason": "as declared", "refused": why}],
        "conditions": [{"type": "Valid", "status": "False", "reason": "Refused", "message": why}]}}, "application/merge-patch+json")
    listed = instance.cli("scale").stdout
    assert f"application shop is refused: {why}\n" in listed and f"refused: {why}\n" in listed.split("application shop")[0]
    assert why in instance.cli("scale", "fixed").stdout
    items = json.loads(instance.cli("scale", "--json").stdout)["items"]
    assert [one["kind"] for one in items] == ["Application"] and items[0]["status"]["conditions"][0]["message"] == why
