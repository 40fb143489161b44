"""`inaetics up`: start, end, start again; what is in its way; what it leaves behind."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess

from conftest import BUILD, INAETICS, LONG, wait_for


def take(address, port):
    """Listens there, as a program that is in the way."""
    busy = socket.socket()
    busy.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    busy.bind((address, port))
    busy.listen()
    return busy


def ask_etcd(instance, certificate, path, body, *options):
    pki = instance.data / "pki"
    answer = subprocess.run(
        ["curl", "-sS", "--cacert", pki / "etcd" / "ca.pem", "--cert", pki / f"{certificate}.pem",
         "--key", pki / f"{certificate}-key.pem", *options,
         *(["-d", body] if body else []), f"https://{instance.controller}:2379{path}"],
        capture_output=True, text=True, timeout=30, check=False)
    return answer.stdout + answer.stderr


def read_etcd(instance, path, body=None, certificate="etcd/control-plane"):
    """One request to etcd's gateway, usually as the control plane; with the account of that name, if there is one."""
    account = instance.data / "pki" / f"{certificate}.account"
    options = []
    if account.exists():
        name, password = account.read_text(encoding="ascii").strip().split(":")
        said = ask_etcd(instance, certificate, "/v3/auth/authenticate", json.dumps({"name": name, "password": password}))
        options = ["-H", "Authorization: " + json.loads(said)["token"]] if '"token"' in said else []
    return ask_etcd(instance, certificate, path, body, *options)


def machines(instance):
    """The machines of the nodes, by name."""
    return {one["name"]: one for one in json.loads(instance.cli("node", "list", "--json").stdout)}


def test_it_starts_and_ends_on_sigterm_without_leaving_a_process(instance):
    instance.pod("sleeper", "sleep 1000")
    instance.start()
    instance.wait_running("sleeper")
    assert len(instance.processes()) >= 9  # etcd, control plane, five nodes, proxy, the pod
    assert instance.stop() == 0
    assert not instance.processes()
    assert not (instance.data / "up.json").exists()


def test_ctrl_c_ends_everything_also_what_left_its_process_group(instance):
    instance.pod("runaway", "setsid sh -c 'setsid sleep 1000 & sleep 1000' & exec sleep 1000")
    instance.start()
    wait_for(lambda: sum("sleep 1000" in c for c in instance.processes().values()) >= 4, "the runaways run")
    assert instance.stop(signal.SIGINT) == 0
    assert not instance.processes()


def test_kill_9_of_up_leaves_no_process(instance):
    instance.pod("sleeper", "setsid sleep 1000 & exec sleep 1000")
    instance.start()
    wait_for(lambda: sum("sleep 1000" in c for c in instance.processes().values()) >= 2, "the pod runs")
    instance.stop(signal.SIGKILL)
    wait_for(lambda: not instance.processes(), "all processes end")


def test_kill_9_of_up_and_node_at_once_leaves_only_what_the_next_start_ends(instance):
    instance.pod("sleeper", "setsid sleep 1000 & exec sleep 2000")
    instance.start()
    wait_for(lambda: sum("sleep" in c for c in instance.processes().values()) >= 2, "the pod runs")
    node = machines(instance)[instance.node_of("sleeper")]["pid"]
    os.kill(instance.process.pid, signal.SIGSTOP)  # so that it cannot clean up in between
    os.kill(node, signal.SIGKILL)
    instance.stop(signal.SIGKILL)
    instance.pod("other", "exec sleep 3000")
    instance.start()
    instance.wait_running("other").wait_running("sleeper")
    assert len([c for c in instance.processes().values() if "sleep 2000" in c]) == 1


def test_the_node_is_started_again_when_it_is_killed(instance):
    instance.pod("sleeper", "setsid sleep 1000 & exec sleep 1000")
    instance.start()
    first = instance.wait_running("sleeper").pid("sleeper")
    os.kill(machines(instance)[instance.node_of("sleeper")]["pid"], signal.SIGKILL)
    wait_for(lambda: "it is started again" in instance.output(), "up says so")
    wait_for(lambda: instance.pid("sleeper") not in (None, first), "the pod runs again")
    wait_for(lambda: sum("sleep 1000" in c for c in instance.processes().values()) == 2, "nothing of the former life is left")


def test_etcd_is_started_again_when_it_is_killed(instance):
    instance.start()
    first = instance.state()["etcd"]["pid"]
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: '"health":"true"' in read_etcd(instance, "/health"), "etcd is healthy again")


def test_it_starts_again_on_its_old_data(instance):
    instance.start()
    token = instance.cli("token").stdout
    put = '{"key":"Zm9v","value":"YmFy"}'  # foo, bar
    agent = '{"key":"L2luYWV0aWNzL2Rpc2NvdmVyeS94","value":"eA=="}'  # /inaetics/discovery/x
    assert "revision" in read_etcd(instance, "/v3/kv/put", put)
    assert "revision" in read_etcd(instance, "/v3/kv/put", agent)
    instance.stop()
    instance.start()
    assert instance.cli("token").stdout == token
    assert "YmFy" in read_etcd(instance, "/v3/kv/range", '{"key":"Zm9v"}'), "etcd kept its state"
    gone = read_etcd(instance, "/v3/kv/range", '{"key":"L2luYWV0aWNzL2Rpc2NvdmVyeS94"}')
    assert "kvs" not in gone, "what agents of the former run told is withdrawn"
    instance.stop(signal.SIGKILL)
    wait_for(lambda: not instance.processes(), "all processes end")
    instance.start()
    assert "YmFy" in read_etcd(instance, "/v3/kv/range", '{"key":"Zm9v"}')


def test_an_etcd_that_begins_anew_is_another_cluster(instance):
    """Else clients could mistake its revisions for those of the one before."""
    def cluster():
        return json.loads(read_etcd(instance, "/v3/kv/range", '{"key":"eA=="}'))["header"]["cluster_id"]
    instance.start()
    first = cluster()
    instance.stop()
    instance.start()
    assert cluster() == first
    instance.stop()
    (instance.data / "etcd").rename(instance.data / "etcd.old")
    instance.start()
    assert cluster() != first


def test_an_etcd_whose_quota_was_exceeded_takes_writes_again(instance):
    instance.start()
    put = '{"key":"Zm9v","value":"YmFy"}'
    member = json.loads(read_etcd(instance, "/v3/kv/range", '{"key":"eA=="}'))["header"]["member_id"]
    alarm = json.dumps({"action": "ACTIVATE", "memberID": member, "alarm": "NOSPACE"})
    assert "NOSPACE" in read_etcd(instance, "/v3/maintenance/alarm", alarm)
    assert "space exceeded" in read_etcd(instance, "/v3/kv/put", put)
    instance.stop()
    instance.start()
    assert "revision" in read_etcd(instance, "/v3/kv/put", put)
    if LONG:  # and while it runs, too, with an etcd that has forgotten who is logged in
        os.kill(instance.state()["etcd"]["pid"], signal.SIGKILL)
        wait_for(lambda: '"health":"true"' in read_etcd(instance, "/health"), "etcd is healthy again")
        read_etcd(instance, "/v3/maintenance/alarm", alarm)
        wait_for(lambda: "revision" in read_etcd(instance, "/v3/kv/put", put), "the alarm is ended", 90)


def test_it_starts_on_etcd_state_that_knows_another_peer_port(instance):
    with take(instance.controller, 2380):
        instance.start()
    assert instance.stop() == 0
    instance.start()
    assert '"health":"true"' in read_etcd(instance, "/health")


def test_broken_etcd_state_is_reported_with_the_remedy(instance):
    instance.start()
    instance.stop()
    database = instance.data / "etcd" / "member" / "snap" / "db"
    database.write_bytes(b"nonsense" * 1000)
    instance.start(wait=False)
    assert instance.process.wait(60) == 1
    assert "mv" in instance.output() and "etcd.broken" in instance.output()
    assert not instance.processes()
    (instance.data / "etcd").rename(instance.data / "etcd.broken")
    instance.start()


def test_etcd_refuses_those_without_a_certificate_of_the_cluster(instance):
    instance.start()
    url = f"{instance.controller}:2379/health"
    for command in (["curl", "-sS", f"http://{url}"], ["curl", "-sSk", f"https://{url}"]):
        result = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        assert '"health"' not in result.stdout


def test_etcd_lets_in_agents_and_the_control_plane_and_nobody_else_of_the_cluster(instance):
    instance.start()
    pki = instance.data / "pki"
    everything = '{"key":"AA==","range_end":"AA==","count_only":true}'
    assert "header" in read_etcd(instance, "/v3/kv/range", everything)
    assert "header" in read_etcd(instance, "/v3/kv/range", '{"key":"L2luYWV0aWNzL3g="}', "etcd/client")
    others = sorted(path.stem for path in pki.glob("*.pem") if not path.stem.endswith("-key"))
    assert {"admin", "ca", "control-plane", "node-1", "proxy"} <= set(others)
    for name in others:
        said = read_etcd(instance, "/v3/kv/range", everything, name)
        assert "header" not in said and said.startswith("curl: ("), (name, said)


def test_what_agents_are_given_opens_nothing_of_the_cluster_in_etcd(instance):
    instance.start()

    def refused(path, **fields):
        return "permission denied" in read_etcd(instance, path, json.dumps(fields), "etcd/client")

    objects = {"key": "L3JlZ2lzdHJ5Lw==", "range_end": "L3JlZ2lzdHJ5MA=="}  # /registry/
    assert "header" in read_etcd(instance, "/v3/kv/range", json.dumps(objects))
    assert refused("/v3/kv/range", **objects)
    assert refused("/v3/kv/deleterange", **objects)
    assert refused("/v3/kv/put", key="L3JlZ2lzdHJ5L3g=", value="eA==")
    assert refused("/v3/kv/range", key="AA==", range_end="AA==")
    assert refused("/v3/auth/user/add", name="x", password="y")
    assert "user name is empty" in ask_etcd(instance, "etcd/client", "/v3/kv/range", json.dumps(objects))
    wrong = ask_etcd(instance, "etcd/client", "/v3/auth/authenticate", '{"name":"root","password":"root"}')
    assert "authentication failed" in wrong


def test_data_of_a_version_without_an_authority_for_etcd_gets_one(instance):
    instance.start()
    instance.stop()
    pki = instance.data / "pki"
    accounts = {path.name: path.read_text(encoding="ascii") for path in (pki / "etcd").glob("*.account")}
    shutil.rmtree(pki / "etcd")
    (pki / "etcd").mkdir(mode=0o700)
    for name, text in accounts.items():
        (pki / "etcd" / name).write_text(text, encoding="ascii")
    for name in ("etcd", "client"):  # what the cluster's authority signed for etcd
        shutil.copy(pki / "admin.pem", pki / f"{name}.pem")
        shutil.copy(pki / "admin-key.pem", pki / f"{name}-key.pem")
    instance.start()
    assert "header" in read_etcd(instance, "/v3/kv/range", '{"key":"AA=="}')
    for name in ("etcd", "etcd-key", "client", "client-key"):
        assert not (pki / f"{name}.pem").exists()


def test_secrets_are_for_their_owner_only(instance):
    instance.start()
    folder = instance.data.stat()  # root lets pods, who are users of their own, pass through it
    assert (folder.st_mode & 0o777, folder.st_gid) in ((0o700, os.getgid()), (0o710, 0x70000000))
    for name in ("token", "session", "kubeconfig", "pki/ca-key.pem", "pki/admin-key.pem", "pki/etcd/ca-key.pem",
                 "pki/etcd/client-key.pem", "pki/etcd/server-key.pem", "pki/etcd/client.account",
                 "pki/etcd/control-plane.account"):
        assert (instance.data / name).stat().st_mode & 0o777 == 0o600, name
    for name in ("pki", "pki/etcd"):
        assert (instance.data / name).stat().st_mode & 0o777 == 0o700


def test_a_busy_port_is_reported_with_its_owner_and_the_way_out(instance):
    with take(instance.controller, 2379):
        instance.start(wait=False)
        assert instance.process.wait(30) == 1
    assert f"port 2379 of {instance.controller}" in instance.output()
    assert re.search(rf"\(pid {os.getpid()}\)", instance.output())
    assert "--name" in instance.output()


def test_a_busy_host_port_is_reported_even_if_all_addresses_are_taken(instance):
    instance.pod("page", "sleep 1000", ports=[{"containerPort": 8080, "hostPort": 8080}])
    with take("0.0.0.0", 8080 + instance.number):
        instance.start(wait=False)
        assert instance.process.wait(30) == 1
    assert f"port {8080 + instance.number} of 127.0.0.1" in instance.output()
    assert re.search(rf"\(pid {os.getpid()}\)", instance.output())
    assert not instance.processes()


def test_another_instance_avoids_a_program_that_listens_at_all_addresses(make_instance):
    first, second = make_instance(), make_instance()
    serve = "exec /usr/bin/python3 -m http.server -b $(INAETICS_ADDRESS) $(PORT_HTTP)"
    probe = {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 1, "timeoutSeconds": 5}
    for one in (first, second):
        one.pod("page", serve, ports=[{"name": "http", "containerPort": 8070}], readinessProbe=probe)
    with take("0.0.0.0", 8070 + first.number):
        second.start()
        wait_for(lambda: (second.container("page") or {}).get("ready"), "its pod serves")


def test_the_link_is_printed_when_the_page_answers(instance):
    instance.pod("page", "sleep 1; exec /usr/bin/python3 -m http.server -b 127.0.0.1 $(PORT)",
                 env=[{"name": "PORT", "value": str(8080 + instance.number)}],
                 ports=[{"containerPort": 8080, "hostPort": 8080}])
    instance.start()
    with socket.create_connection(("127.0.0.1", 8080 + instance.number)):
        pass
    printed = re.search(re.escape(instance.page) + r"/\?session=([0-9a-f]{32})\.[0-9a-f]{64}\n", instance.output())
    link = instance.cli("link").stdout
    again = re.fullmatch(re.escape(instance.page) + r"/\?session=([0-9a-f]{32})\.[0-9a-f]{64}\n", link)
    assert printed and again and printed[1] != again[1], "each link is another, since it works once"
    assert (instance.data / "session").read_text().strip() not in instance.output(), "the secret is not shown"


def test_a_second_up_on_the_same_data_says_so(instance):
    instance.start()
    second = instance.cli("up", check=False)
    assert second.returncode == 1
    assert f"(pid {instance.process.pid})" in second.stderr and "inaetics down" in second.stderr
    assert instance.cli("pods").returncode == 0, "the first goes on"


def test_two_instances_run_beside_each_other(make_instance):
    first, second = make_instance(), make_instance()
    for one in (first, second):
        one.pod("sleeper", "sleep 1000")
        one.start()
    addresses = {one.wait_running("sleeper").pods()["sleeper"]["status"]["podIP"] for one in (first, second)}
    assert len(addresses) == 2
    first.stop()
    assert not first.processes()
    assert second.pods()["sleeper"]["status"]["phase"] == "Running"


def test_purge_removes_the_data_and_nothing_else(instance):
    beside = instance.home / "beside"
    beside.write_text("stays")
    instance.start()
    instance.cli("down", "--purge")
    assert instance.process.wait(5) == 0
    assert not instance.data.exists() and beside.exists()
    refused = instance.cli("down", "--purge", check=False)
    assert refused.returncode == 1 and "no data folder" in refused.stderr


def test_what_the_user_deleted_does_not_come_back_and_what_was_lost_does(instance):
    instance.pod("keeps", "sleep 1000")
    instance.pod("goes", "sleep 1000")
    instance.start()
    instance.wait_running("keeps").wait_running("goes")
    instance.delete("goes")
    instance.stop()
    instance.start()
    instance.wait_running("keeps")
    assert "goes" not in instance.pods()
    instance.stop()
    (instance.data / "etcd").rename(instance.home / "etcd.lost")
    instance.start()
    instance.wait_running("keeps").wait_running("goes")


def test_down_ends_it_and_waits(instance):
    instance.start()
    instance.cli("down")
    assert instance.process.wait(5) == 0
    assert not instance.processes()
    assert "nothing runs" in instance.cli("down", check=False).stderr


def test_a_command_for_an_instance_that_does_not_run_names_those_that_do(instance):
    instance.start()
    number = str(instance.number)
    for command in (["pods"], ["node", "list"], ["exec", "one", "true"], ["services"],
                    ["discovery"], ["kubectl", "get", "pods"], ["link"], ["down"]):
        said = subprocess.run([INAETICS, command[0], "--data", instance.home, *command[1:]],
                              capture_output=True, text=True, timeout=60, check=False)
        assert said.returncode == 1
        assert f"nothing runs in {instance.home}; instance-{number} runs: add --name {number}\n" in said.stderr, command
    instance.cli("down")
    assert "(start it with `inaetics up`)" in instance.cli("pods", check=False).stderr


def test_exec_says_why_it_is_refused(instance):
    instance.pod("sleeper", "exec sleep 1000")
    instance.start()
    instance.wait_running("sleeper")
    assert "no-such-container" in instance.cli("exec", "-c", "no-such-container", "sleeper", "true", check=False).stderr


def test_listening_beyond_loopback_is_refused_without_a_login(instance):
    result = instance.cli("up", "--listen", "0.0.0.0", check=False)
    assert result.returncode == 1
    assert "inaetics password" in result.stderr


def set_password(instance, text):
    return subprocess.run([INAETICS, "password", "--name", str(instance.number), "--data", instance.home], input=text,
                          capture_output=True, text=True, check=False)


def test_with_a_password_pods_listen_beyond_loopback(instance):
    instance.pod("page", "echo $INAETICS_LISTEN; cat $INAETICS_PASSWORD_FILE; sleep 1000",
                 ports=[{"containerPort": 8080, "hostPort": 8080}])
    assert set_password(instance, "correct horse\n").returncode == 0
    password = instance.data / "password"
    assert password.read_text().startswith("$argon2id$") and password.stat().st_mode & 0o777 == 0o600
    # An address that is not 127.0.0.1, and yet not for others, as long as this runs.
    instance.start("--listen", instance.controller, wait=False)
    port = 8080 + instance.number
    expected = f"127.0.0.1:{port},{instance.controller}:{port}\n{password.read_text()}"
    wait_for(lambda: instance.logs("page") == expected, "the pod is told")


def test_a_password_that_is_too_short_is_refused(instance):
    result = set_password(instance, "short\n")
    assert result.returncode == 1
    assert "8" in result.stderr
    assert not (instance.data / "password").exists()


def test_a_data_folder_with_too_long_a_path_is_refused(tmp_path):
    folder = tmp_path / ("x" * 120)
    result = subprocess.run([INAETICS, "up", "--data", folder], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "shorter --data" in result.stderr
    assert not folder.exists()


def test_a_wrong_name_is_refused():
    for name in ("10", "-1", "x", ""):
        result = subprocess.run([INAETICS, "pods", "--name", name], capture_output=True, text=True, check=False)
        assert result.returncode == 1
        assert "0 to 9" in result.stderr


def test_every_command_has_help_with_an_example():
    text = subprocess.run([INAETICS, "--help"], capture_output=True, text=True, check=True).stdout
    commands = re.findall(r"^  ([a-z]+) ", text.split("\n\n")[2], re.M)
    assert {"up", "down", "pods", "logs", "kill", "scale", "node", "link", "token", "verify"} <= set(commands)
    for command in commands:
        result = subprocess.run([INAETICS, command, "--help"], capture_output=True, text=True, check=True)
        assert "examples:" in result.stdout, command


def test_the_instance_may_be_named_before_the_command(tmp_path):
    for options in (["--name", "9", "--data", tmp_path], ["--name=9", f"--data={tmp_path}"]):
        said = [subprocess.run([INAETICS, *arguments], capture_output=True, text=True, check=False)
                for arguments in ([*options, "pods", "--json"], ["pods", *options, "--json"])]
        assert said[0].returncode == said[1].returncode == 1 and str(tmp_path) in said[0].stderr
        assert said[0].stderr == said[1].stderr
    for wrong in (["--name"], ["--name", "9"], ["--name", "9", "--data"]):
        said = subprocess.run([INAETICS, *wrong], capture_output=True, text=True, check=False)
        assert said.returncode == 2 and "Try inaetics --help" in said.stderr


def test_commands_without_an_instance_say_what_to_do(instance):
    for command in (["pods"], ["logs", "x"], ["kill", "x"], ["scale"], ["node", "list"], ["services"]):
        result = instance.cli(*command, check=False)
        assert result.returncode == 1
        assert "inaetics up" in result.stderr


def stored(instance):
    return int(instance.call("demonstrator.v1.Store", "Status").get("stored", 0))


def test_the_demonstrator_runs_and_goes_on_where_it_ended(demonstrator):
    wait_for(lambda: all(container["ready"] for pod in demonstrator.pods().values()
                         for container in pod["status"].get("containerStatuses", [{"ready": False}])), "all pods are ready")
    assert len(demonstrator.services("demonstrator.v1.Queue", type="queue")) == 1
    before = stored(demonstrator)
    assert demonstrator.stop() == 0
    assert not demonstrator.processes()
    demonstrator.start()
    assert stored(demonstrator) >= before, "results are kept"
    wait_for(lambda: stored(demonstrator) > before, "new ones are stored")


def test_bundles_are_packed_inspected_and_verified_from_the_command_line(instance, tmp_path):
    zip_path = tmp_path / "greeter.zip"
    library = BUILD / "examples" / "greeter" / "greeter.so"

    def bundle(*arguments):
        return subprocess.run([INAETICS, "bundle", *arguments], capture_output=True, text=True, timeout=60, check=False)

    packed = bundle("pack", zip_path, "--name", "greeter", "--version", "1.0.0", "--library", library)
    assert packed.returncode == 0, packed.stderr
    assert "Bundle-SymbolicName: greeter" in bundle("inspect", zip_path).stdout
    assert f"{zip_path}: greeter 1.0.0, sound" in bundle("verify", zip_path).stdout
    zip_path.write_bytes(zip_path.read_bytes()[:200])
    broken = bundle("verify", zip_path)
    assert broken.returncode != 0 and str(zip_path) in broken.stdout + broken.stderr
