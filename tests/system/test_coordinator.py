"""The coordinator on the embedded cluster, by the same check that a real Kubernetes passes."""

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
