"""The demonstrator's provisioning server knows those who enrolled, and no others."""
import base64
import http.client
import json
import shutil
import subprocess

from conftest import BUILD, INAETICS, PATIENCE, wait_for


def test_made_up_targets_are_refused_by_the_demonstrator_and_agents_of_ace_come_with_an_account(make_instance, tmp_path):
    instance = make_instance(demonstrator=True)
    deployment = tmp_path / "deployment"
    deployment.mkdir()
    for part in ("provisioning", "queue"):
        shutil.copy(BUILD / "demonstrator" / "deployment" / f"{part}.json", deployment)
    instance.environment |= {"INAETICS_PROVISIONING_USER": "d", "INAETICS_PROVISIONING_PASSWORD": "f"}
    instance.start("--deployment", deployment)
    queue = instance.part("queue")

    def targets():
        listed = instance.cli("provisioning", "list", "targets", "--json", check=False).stdout
        return {one["id"]: one for one in json.loads(listed)} if listed else {}

    wait_for(lambda: targets().get(queue, {}).get("installedOk"), "the queue's agent has its software")
    address = instance.pods()[instance.part("provisioning")]["status"]["podIP"]

    def ask(path, body=None, account=None):
        connection = http.client.HTTPConnection(address, 8080, timeout=PATIENCE)
        sent = {"Authorization": "Basic " + base64.b64encode(account.encode()).decode()} if account else {}
        connection.request("POST" if body else "GET", path, body, sent)
        status = connection.getresponse().status
        connection.close()
        return status

    registers = "made-up,1,1,1,4001,component,queue\n"
    assert ask("/deployment/made-up/versions") == 401
    assert ask("/auditlog/send", registers) == 401
    assert ask("/v1/agents/made-up/enrol", '{"properties": {"component": "queue"}}') == 401
    assert set(targets()) == {queue}

    subprocess.run([INAETICS, "provisioning", "--name", str(instance.number), "--data", instance.home, "account", "made-up",
                    "viewer"], input="password-1\n", text=True, env=instance.environment, check=True, timeout=PATIENCE)
    assert ask("/deployment/made-up/versions", account="made-up:password-1") == 200
    assert ask("/auditlog/send", registers, "made-up:password-1") == 200
    assert ask("/deployment/other/versions", account="made-up:password-1") in (401, 403)
    assert set(targets()) == {queue, "made-up"}
