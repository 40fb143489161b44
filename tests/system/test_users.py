"""Users of pods: each its own when the system was started as root, the user's when it was not."""

import os
import pathlib
import tempfile

import pytest

from conftest import wait_for

FIRST = 0x70000000  # cluster/users.h
ORDINARY = 54321  # in no /etc/passwd
CONNECT = ("import os, socket; socket.create_connection((os.environ['KUBERNETES_SERVICE_HOST'], "
           "int(os.environ['KUBERNETES_SERVICE_PORT'])), 30)")
IDS = "echo uid $(id -u) gid $(id -g) groups $(id -G | tr ' ' ,) end; sleep 1000"

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


def ids(instance, pod):
    """{"uid": N, "gid": N, "groups": {N}} as the pod sees itself."""
    words = wait_for(lambda: text.split() if (text := instance.logs(pod)).endswith("end\n") else None, f"{pod} tells who it is")
    return {"uid": int(words[1]), "gid": int(words[3]), "groups": set(map(int, words[5].split(",")))}


def status_of(pid):
    lines = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return {name: value.split() for name, value in (line.split(":", 1) for line in lines)}


def events(instance, pod):
    return [one["message"] for one in instance.api("GET", "/api/v1/namespaces/default/events")[1]["items"]
            if one["involvedObject"]["name"] == pod]


def waiting(instance, pod):
    return (instance.container(pod) or {}).get("state", {}).get("waiting", {})


def own(instance, pod):
    """What its address says."""
    part = instance.pods()[pod]["status"]["podIP"].split(".")
    return FIRST + 65536 * instance.number + 256 * int(part[2]) + int(part[3])


def claim(instance, name="kept"):
    instance.create({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name},
                     "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}})


def with_claim(where=None):
    spec = {"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "kept"}}]}
    return {"spec": spec | ({"nodeName": where} if where else {}), "volumeMounts": [{"name": "data", "mountPath": "/data"}]}


@root_only
def test_each_pod_has_a_user_of_its_own_without_any_privilege(instance):
    instance.start()
    assert "user of its own" in instance.output()
    for name in ("one", "two"):
        instance.pod(name, IDS)
    seen = {name: ids(instance, name) for name in ("one", "two")}
    for name, one in seen.items():
        assert one["uid"] == one["gid"] == own(instance, name)
        assert one["groups"] == {one["uid"], FIRST}
        status = status_of(instance.pid(name))
        assert status["NoNewPrivs"] == ["1"]
        for capabilities in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
            assert int(status[capabilities][0], 16) == 0, capabilities
    assert seen["one"]["uid"] != seen["two"]["uid"]
    # A command beside it is the same user, and can open its output anew.
    assert instance.cli("exec", "one", "--", "sh", "-c", "id -u >/dev/stdout").stdout == f"{seen['one']['uid']}\n"
    assert instance.api("GET", "/api/v1/namespaces/default/pods/one")[1]["status"]["phase"] == "Running"


@root_only
def test_users_keep_pods_apart_where_the_kernel_does_not_confine_them(instance):
    instance.environment["INAETICS_CONFINE"] = "off"
    instance.start()
    volumes = {"volumes": [{"name": "scratch", "emptyDir": {}}]}
    mounts = [{"name": "scratch", "mountPath": "/b"}]
    instance.pod("other", "echo secret >$VOLUME_SCRATCH/file; env; echo === end; sleep 1000", spec=volumes, volumeMounts=mounts)
    text = wait_for(lambda: text if "=== end" in (text := instance.logs("other")) else None, "the other has its files")
    other = dict(line.split("=", 1) for line in text.split("=== end")[0].splitlines() if "=" in line)
    data, pid = instance.data, instance.pid("other")
    forbidden = [f"cat {data}/pki/ca-key.pem", f"cat {data}/kubeconfig", f"cat {data}/token", f"ls {data}",
                 f"ls {data}/nodes/node-1/pods", f"cat {other['VOLUME_SCRATCH']}/file", f"ls {other['INAETICS_CACHE']}",
                 f"cat {other['INAETICS_SERVICE_ACCOUNT']}/token", f"cat {other['INAETICS_TOKEN_FILE']}",
                 f"kill -0 {pid}", f"cat /proc/{pid}/environ", "cat /etc/shadow", "ls /root", "touch /usr/x",
                 "touch $INAETICS_SERVICE_ACCOUNT/x", "touch $(dirname $INAETICS_TOKEN_FILE)/x"]
    allowed = ["touch $VOLUME_SCRATCH/x", "touch $INAETICS_CACHE/x", "mktemp", "cat $INAETICS_TOKEN_FILE",
               "cat $INAETICS_PKI/client-key.pem", "cat $INAETICS_SERVICE_ACCOUNT/token", "kill -0 $$$$"]
    script = "".join(f"if {what} >/dev/null 2>&1; then echo {n} yes; else echo {n} no; fi\n"
                     for n, what in enumerate(forbidden + allowed))
    instance.pod("one", script + "echo === end; sleep 1000", spec=volumes, volumeMounts=mounts)
    text = wait_for(lambda: text if "=== end" in (text := instance.logs("one")) else None, "it tried")
    answers = [line.split()[1] for line in text.split("=== end")[0].splitlines()]
    assert dict(zip(forbidden + allowed, answers)) == dict.fromkeys(forbidden, "no") | dict.fromkeys(allowed, "yes")


@root_only
def test_a_volume_belongs_to_whoever_has_it_also_what_earlier_versions_left_in_it(instance):
    folder = instance.data / "volumes" / "kept"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "old").write_text("old\n")
    os.chmod(folder / "deep", 0o700)
    os.chmod(folder / "deep" / "old", 0o600)
    instance.start()
    claim(instance)
    script = "cat $VOLUME_DATA/deep/old; echo %s >>$VOLUME_DATA/deep/old; sleep 1000"
    instance.pod("first", script % "first", **with_claim("node-1"))
    wait_for(lambda: instance.logs("first") == "old\n", "the first reads what root had written")
    assert (folder / "deep" / "old").stat().st_uid == own(instance, "first")
    instance.cli("node", "halt", "node-1")
    instance.api("DELETE", "/api/v1/namespaces/default/pods/first?gracePeriodSeconds=0")
    instance.pod("second", script % "second", **with_claim("node-2"))
    wait_for(lambda: instance.logs("second") == "old\nfirst\n", "another on another node goes on")
    assert (folder / "deep" / "old").stat().st_uid == own(instance, "second")
    record = folder / ".attachment.json"
    assert record.stat().st_uid == 0
    taken = instance.cli("exec", "second", "--", "sh", "-c", "rm $VOLUME_DATA/.attachment.json || mv $VOLUME_DATA/.attachment.json $VOLUME_DATA/x",
                         check=False)
    assert taken.returncode != 0 and record.exists(), "who has the volume is not for its holder to say"


@root_only
def test_a_security_context_says_who_a_container_is(instance):
    instance.start()
    instance.pod("named", IDS, spec={
        "securityContext": {"runAsUser": 4001, "runAsGroup": 4002, "fsGroup": 4003, "supplementalGroups": [4004]}})
    assert ids(instance, "named") == {"uid": 4001, "gid": 4002, "groups": {4002, 4003, 4004, own(instance, "named"), FIRST}}
    instance.pod("strict", IDS, securityContext={
        "runAsNonRoot": True, "readOnlyRootFilesystem": True, "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}})
    assert ids(instance, "strict")["uid"] == own(instance, "strict")
    status, answer = instance.api("POST", "/api/v1/namespaces/default/pods", check=False, body={
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"},
        "spec": {"containers": [{"name": "a", "image": "inaetics/shell", "securityContext": {"privileged": True}}]}})
    assert status == 422 and "securityContext.privileged" in answer["message"]


@root_only
def test_a_host_path_that_the_user_of_a_pod_cannot_read_is_refused_with_the_way_out(instance):
    with tempfile.TemporaryDirectory() as folder:  # 0700
        instance.start()
        spec = {"volumes": [{"name": "closed", "hostPath": {"path": folder, "type": "Directory"}}]}
        mounts = [{"name": "closed", "mountPath": "/c", "readOnly": True}]
        instance.pod("one", "ls $VOLUME_CLOSED && echo read; sleep 1000", spec=spec, volumeMounts=mounts)
        wait_for(lambda: any(folder in text and "cannot be read by user" in text for text in events(instance, "one")), "it is told")
        os.chmod(folder, 0o755)
        wait_for(lambda: instance.logs("one") == "read\n", "it is tried again")


@root_only
def test_a_volume_elsewhere_that_holds_what_is_not_of_pods_stays_as_it_is(instance):
    with tempfile.TemporaryDirectory() as top:
        os.chmod(top, 0o755)
        folders = {"fresh": pathlib.Path(top, "fresh"), "used": pathlib.Path(top, "used")}
        for folder in folders.values():
            folder.mkdir(mode=0o700)
        (folders["used"] / "file").write_text("of somebody", encoding="utf-8")
        instance.start()
        for name, folder in folders.items():
            instance.api("POST", "/api/v1/persistentvolumes", {
                "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name},
                "spec": {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Mi"}, "hostPath": {"path": str(folder)},
                         "storageClassName": name}})
            instance.create({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name},
                             "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": name, "volumeName": name,
                                      "resources": {"requests": {"storage": "1Mi"}}}})
            instance.pod(name, "echo x >$VOLUME_DATA/mine && echo written; sleep 1000",
                         spec={"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": name}}]},
                         volumeMounts=[{"name": "data", "mountPath": "/data"}])
        wait_for(lambda: instance.logs("fresh") == "written\n", "an empty one becomes the pod's")
        wait_for(lambda: any("cannot be read by user" in text for text in events(instance, "used")), "the other is not given away")
        assert (folders["used"] / "file").stat().st_uid == 0 and folders["used"].stat().st_gid == os.getgid()


@root_only
def test_nothing_with_the_user_of_a_pod_outlives_it(instance):
    instance.start()
    # It leaves its process group, and its environment behind.
    instance.pod("sly", "env -i setsid sh -c 'while :; do sleep 1; done' & sleep 0.3; id -u; sleep 1000")
    uid = int(wait_for(lambda: instance.logs("sly").strip(), "it says who it is"))

    def alive():
        return [pid for pid in os.listdir("/proc") if pid.isdigit() and os.path.exists(f"/proc/{pid}/status")
                and _uid(pid) == uid]

    wait_for(lambda: len(alive()) >= 3, "all of it runs")
    instance.api("DELETE", "/api/v1/namespaces/default/pods/sly?gracePeriodSeconds=0")
    wait_for(lambda: not alive(), "nothing of it runs any more")


def _uid(pid):
    try:
        return int(status_of(pid)["Uid"][0])
    except (OSError, KeyError):
        return None


@root_only
def test_below_a_folder_that_is_closed_to_others_pods_run_as_root_and_it_is_said(instance):
    closed = instance.home  # 0700
    instance.home = closed / "data"
    instance.data = instance.home / f"instance-{instance.number}"
    try:
        instance.start()
    finally:
        instance.home = closed
    assert f"Pods run as root: {closed}, which leads to the data, is closed to others" in instance.output()
    instance.home = closed / "data"
    instance.pod("one", IDS)
    assert ids(instance, "one")["uid"] == 0
    instance.pod("strict", IDS, securityContext={"runAsNonRoot": True})
    wait_for(lambda: waiting(instance, "strict").get("reason") == "CreateContainerConfigError", "it waits")
    assert "runAsNonRoot" in waiting(instance, "strict")["message"]
    instance.stop()
    instance.home = closed


@root_only
def test_an_ordinary_user_runs_all_as_himself_and_nobody_else(instance):
    instance.start(user=ORDINARY)
    assert "Pods share user and network" in instance.output() or "Pods share user, network" in instance.output()
    claim(instance)
    instance.pod("one", "echo x >$VOLUME_DATA/x && " + IDS, **with_claim())
    assert ids(instance, "one") == {"uid": ORDINARY, "gid": ORDINARY, "groups": {ORDINARY}}
    instance.pod("same", IDS, spec={"securityContext": {"runAsUser": ORDINARY, "fsGroup": 7}})
    assert ids(instance, "same")["uid"] == ORDINARY
    instance.pod("other", IDS, securityContext={"runAsUser": ORDINARY + 1})
    wait_for(lambda: waiting(instance, "other").get("reason") == "CreateContainerConfigError", "it waits")
    assert f"runAsUser: the node runs as user {ORDINARY}" in waiting(instance, "other")["message"]
    wait_for(lambda: any("runAsUser" in text for text in events(instance, "other")), "an event says why")
    assert instance.cli("exec", "one", "--", "id", "-u").stdout == f"{ORDINARY}\n"
    # Its service has a port that not everybody may listen at.
    instance.pod("client", f"python3 -c \"{CONNECT}\" && echo reached; sleep 1000")
    wait_for(lambda: instance.logs("client") == "reached\n", "pods reach the API where their variables say")
