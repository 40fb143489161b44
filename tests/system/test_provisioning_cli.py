"""The command line for provisioning, as a server sees it: what it asks, keeps, believes and says."""
import hashlib
import http.server
import json
import os
import pty
import stat
import subprocess
import threading

import pytest
from conftest import INAETICS, PATIENCE

TOKEN = "c0ffee" * 10
STATE = {"cursor": "a-1", "revision": 3, "released": 3, "counts": {"artifact": 2, "feature": 1, "artifact2feature": 4},
         "defaultAccount": True, "drift": 2, "rollout": None, "version": "0.1.0"}
SESSION = {"name": "d", "role": "admin", "permissions": ["viewArtifact"]}


class FakeServer:
    """Answers as it is told, and notes what it was asked."""

    def __init__(self):
        self.requests = []
        self.answers = {}  # (method, path without query): answer or list of answers
        self.password = "f"
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def answer(self, status, body, content_type="application/json"):
                data = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def handle_request(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                path, _, query = self.path.partition("?")
                outer.requests.append((self.command, self.path, body, self.headers.get("Authorization")))
                told = outer.answers.get((self.command, path))
                if isinstance(told, list):
                    told = told.pop(0) if len(told) > 1 else told[0]
                if (self.command, path) == ("POST", "/v1/session"):
                    right = json.loads(body)["password"] == outer.password
                    told = (200, SESSION | {"token": TOKEN}) if right else \
                        (401, {"error": "unauthenticated", "message": "name or password is wrong"})
                elif self.headers.get("Authorization") != f"Bearer {TOKEN}":
                    told = (401, {"error": "unauthenticated", "message": "log in first"})
                elif told is None and path == "/v1/session":
                    told = (200, SESSION)
                elif told is None and path == "/v1/state":
                    told = (200, STATE)
                elif told is None and path == "/v1/policy":
                    told = (200, {"groups": [10, 50, 100], "progress": 10})
                self.answer(*(told or (404, {"error": "not-found", "message": f"there is no {path}"})))

            do_GET = do_POST = do_PUT = do_DELETE = handle_request

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def asked(self, method=None):
        """Paths that were asked, without those about the session."""
        return [f"{one} {path}" for one, path, *_ in self.requests
                if not path.startswith("/v1/session") and method in (None, one)]

    def body(self, path):
        """The last body that was sent there."""
        return json.loads([body for _, asked, body, _ in self.requests if asked == path][-1])

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Client:
    def __init__(self, server, data):
        self.server = server
        self.data = data

    def environment(self, password="f", user="d"):
        environment = {key: value for key, value in os.environ.items() if not key.startswith("INAETICS_")}
        if password is not None:
            environment["INAETICS_PROVISIONING_PASSWORD"] = password
        if user is not None:
            environment["INAETICS_PROVISIONING_USER"] = user
        return environment

    def command(self, *arguments, server=None):
        return [INAETICS, "provisioning", *arguments, "--data", self.data, "--server", server or self.server.url]

    def run(self, *arguments, status=0, server=None, stdin="", **account):
        result = subprocess.run(self.command(*arguments, server=server), env=self.environment(**account), input=stdin,
                                capture_output=True, text=True, timeout=PATIENCE, check=False)
        assert result.returncode == status, result.stdout + result.stderr
        return result

    def session(self):
        return self.data / "provisioning-session.json"


@pytest.fixture
def server():
    one = FakeServer()
    yield one
    one.close()


@pytest.fixture
def client(server, tmp_path):
    return Client(server, tmp_path / "data")


def difference(change="added", kind="feature", name="f1", before=None, after=None):
    return {"kind": kind, "name": name, "change": change, "before": before, "after": after}


@pytest.fixture
def folder(tmp_path):
    one = tmp_path / "deployment"
    one.mkdir()
    (one / "a.zip").write_bytes(b"first")
    (one / "b.zip").write_bytes(b"second")
    (one / "provisioning.json").write_text(json.dumps(
        {"version": 1, "artifacts": ["a.zip", "b.zip"], "features": {"f1": {"artifacts": ["a"]}}}), encoding="utf-8")
    return one


def artifact(name, content):
    return {"file": name, "sha256": hashlib.sha256(content).hexdigest()}


# -- whom and as whom ---------------------------------------------------------------


def test_a_server_that_is_not_there_is_said_before_a_password_is_asked_for(client, server):
    server.close()
    result = client.run("status", status=1, password=None, user=None)
    assert "no provisioning server answers at" in result.stderr and "--server" in result.stderr


@pytest.mark.parametrize("option", [["--password", "hidden-word"], ["--password=hidden-word"]])
def test_a_password_on_the_command_line_is_refused_and_not_repeated(client, server, option):
    result = client.run("status", *option, status=2)
    assert "not taken from the command line" in result.stderr and "--password-file" in result.stderr
    assert "hidden-word" not in result.stdout + result.stderr and not server.requests


def test_a_shortened_option_is_refused_with_the_one_that_was_meant(client, server):
    for option in (["--pass", "hidden-word"], ["--password-f=hidden-word"]):
        result = client.run("status", *option, status=2)
        assert "was --password-file meant?" in result.stderr and "hidden-word" not in result.stderr
    assert "does not take the option --purge" in client.run("status", "--purge", status=2).stderr
    assert not server.requests


def test_status_says_what_there_is(client):
    said = client.run("status").stdout
    assert "d (admin)" in said and "revision    3, released 3" in said and "2 artifacts, 1 feature\n" in said
    assert "2 differences" in said and "default password" in said


def test_a_session_is_kept_for_its_owner_and_used_again(client, server):
    client.run("status")
    assert stat.S_IMODE(client.session().stat().st_mode) == 0o600
    before = len(server.requests)
    client.run("whoami", password=None, user=None)
    assert [path for _, path, *_ in server.requests[before:]] == ["/v1/session"], "no login again"


def test_a_session_that_has_ended_is_begun_again(client, server):
    client.run("status")
    kept = json.loads(client.session().read_text(encoding="utf-8"))
    client.session().write_text(json.dumps(kept | {"token": "old"}), encoding="utf-8")
    client.run("status")
    assert json.loads(client.session().read_text(encoding="utf-8"))["token"] == TOKEN


def test_a_session_is_not_shown_to_another_server(client, server, tmp_path):
    client.run("status")
    other = FakeServer()
    try:
        client.run("status", status=1, server=other.url, password=None, user=None)
        assert all(authorization is None for *_, authorization in other.requests)
    finally:
        other.close()


def test_a_kept_session_that_is_damaged_is_begun_again(client):
    client.run("status")
    for text in ("", "{", "[]", json.dumps({"server": client.server.url, "user": "d", "token": "a\r\nX: y"})):
        client.session().write_text(text, encoding="utf-8")
        client.run("status")


def test_logging_out_ends_and_forgets_the_session(client, server):
    server.answers["DELETE", "/v1/session"] = (204, b"")
    client.run("status")
    client.run("logout")
    assert not client.session().exists() and server.requests[-1][0] == "DELETE"


def test_a_wrong_password_is_refused_with_the_servers_words(client):
    result = client.run("status", status=1, password="wrong")
    assert "name or password is wrong" in result.stderr and not client.session().exists()


def test_without_a_terminal_it_says_how_to_give_name_and_password(client, tmp_path):
    assert "--user NAME" in client.run("status", status=1, user=None).stderr
    assert "INAETICS_PROVISIONING_PASSWORD" in client.run("status", status=1, password=None).stderr
    (tmp_path / "password").write_text("f\n", encoding="utf-8")
    client.run("login", "--user", "d", "--password-file", tmp_path / "password", password=None, user=None)


def test_in_a_terminal_name_and_password_are_asked_for_and_the_password_is_not_shown(client):
    controller, terminal = pty.openpty()
    try:
        with subprocess.Popen(client.command("status"), env=client.environment(password=None, user=None), stdin=terminal,
                              stdout=subprocess.PIPE, stderr=terminal, text=True) as process:
            seen = ""
            for question, answer in (("Name: ", "d\n"), ("Password: ", "f\n")):
                while question not in seen:
                    seen += os.read(controller, 100).decode()
                os.write(controller, answer.encode())
            assert "d (admin)" in process.communicate(timeout=PATIENCE)[0]
        assert "f" not in seen.split("Password: ")[1]
    finally:
        os.close(controller)
        os.close(terminal)


@pytest.mark.parametrize("url, words", [
    ("http://192.0.2.1:8090", "unencrypted"),
    ("http://127.0.0.1.example.org:8090", "unencrypted"),
    ("http://localhost.example.org", "unencrypted"),
    ("ftp://127.0.0.1", "is no URL"),
    ("127.0.0.1:8090", "is no URL"),
    ("http://127.0.0.1:8090/\r\nX: y", "is no URL"),
    ("http://user@127.0.0.1", "is no URL"),
])
def test_passwords_go_nowhere_unencrypted(client, url, words):
    assert words in client.run("status", status=1, server=url).stderr


def test_what_is_no_provisioning_server_is_not_believed(client, server):
    server.answers["GET", "/v1/state"] = (200, b"<html>hello</html>", "text/html")
    assert "is no JSON" in client.run("status", status=1).stderr


def test_what_others_wrote_does_not_steer_the_terminal(client, server):
    server.answers["GET", "/v1/targets"] = (200, {"items": [
        {"id": "t\x1b[2J", "registration": "Registered", "store": "New", "provisioning": "Idle", "current": "",
         "installed": "", "problem": "\x1b]0;title\x07"}], "next": None})
    said = client.run("list", "targets").stdout
    assert "\x1b" not in said and "\x07" not in said and "t?[2J" in said


def test_commands_that_are_none_are_said_with_what_there_is(client):
    assert 'there is no command "statsu"; was "inaetics provisioning status" meant?' in client.run("statsu", status=2).stderr
    said = client.run("history", status=2).stderr
    assert '"inaetics provisioning list revisions" meant?' in said and " restore," in said and " export," in said
    said = client.run(status=2).stderr
    assert "which of its commands?" in said and " restore," in said
    assert "usage: inaetics provisioning approve TARGET" in client.run("approve", status=2).stderr
    assert "artifacts, features" in client.run("list", "things", status=1).stderr


# -- changes --------------------------------------------------------------------------


def test_a_list_is_read_to_its_end(client, server):
    one = {"definition": "feature-name-a/b", "attributes": {"name": "a"}, "tags": {}}
    server.answers["GET", "/v1/objects"] = [(200, {"items": [one], "next": "feature-name-a/b"}),
                                            (200, {"items": [one | {"attributes": {"name": "z"}}], "next": None})]
    assert client.run("list", "features").stdout.split() == ["NAME", "DESCRIPTION", "a", "-", "z", "-"]
    assert "GET /v1/objects?kind=feature&after=feature-name-a%2Fb" in server.asked()


def workspace(server, commit=(200, {"revision": 4, "rollout": None})):
    server.answers["POST", "/v1/workspaces"] = (201, {"id": "rest-1", "revision": 3})
    server.answers["POST", "/v1/workspaces/rest-1/changes"] = (200, {"items": [None]})
    server.answers["POST", "/v1/workspaces/rest-1/commit"] = commit
    server.answers["DELETE", "/v1/workspaces/rest-1"] = (204, b"")


def test_a_link_is_dynamic_unless_a_version_is_named(client, server):
    definition = "artifact-Bundle-SymbolicName-processor-Bundle-Version-"
    workspace(server)
    server.answers["GET", "/v1/objects"] = (200, {"next": None, "items": [
        {"definition": definition + version, "attributes": {"Bundle-SymbolicName": "processor", "Bundle-Version": version}}
        for version in ("1.0.0", "2.0.0")]})
    server.answers["GET", "/v1/links"] = (200, {"dangling": [], "items": []})

    def linked(left):
        client.run("link", "artifact", left, "f")
        change = server.body("/v1/workspaces/rest-1/changes")["changes"][0]
        assert change["kind"] == "artifact2feature" and change["object"]["right"] == "feature-name-f"
        return change["object"]["left"], change["object"]["attributes"]
    assert linked("processor")[1] == {"associationVersionStatement": "0.0.0"}
    assert linked("processor@[1.0,2.0)")[1] == {"associationVersionStatement": "[1.0,2.0)"}
    assert linked("processor@2") == (definition + "2.0.0", {})
    assert "there is no artifact processor@3" in client.run("link", "artifact", "processor@3", "f", status=1).stderr
    assert server.asked()[-1].startswith("GET /v1/objects?kind=artifact&filter=%28%7C%28Bundle-SymbolicName%3Dprocessor")


def test_a_link_replaces_that_of_another_version_of_the_bundle(client, server):
    definition = "artifact-Bundle-SymbolicName-processor-Bundle-Version-"
    workspace(server)
    server.answers["GET", "/v1/objects"] = (200, {"next": None, "items": [
        {"definition": definition + version, "attributes": {"Bundle-SymbolicName": "processor", "Bundle-Version": version}}
        for version in ("1.0.0", "2.0.0")]})

    def link(association, left, dynamic=False, right="f"):
        return {"association": association, "kind": "artifact2feature", "right": f"feature-name-{right}",
                "dynamic": dynamic, "left": left}

    def linked(left, *links):
        server.answers["GET", "/v1/links"] = (200, {"dangling": [], "items": list(links)})
        result = client.run("link", "artifact", left, "f")
        changes = server.body("/v1/workspaces/rest-1/changes")["changes"]
        assert changes[-1]["op"] == "add"
        return [one["definition"] for one in changes[:-1] if one["op"] == "remove"], result
    old, new = definition + "1.0.0", definition + "2.0.0"
    gone, result = linked("processor@2", link("l0", old), link("l1", old, right="g"),
                          link("l2", "artifact-Bundle-SymbolicName-processor-b-Bundle-Version-1.0.0"))
    assert gone == ["l0"] and "instead of version 1.0.0" in result.stdout
    assert linked("processor@2", link("l0", new, dynamic=True))[0] == ["l0"]
    assert linked("processor@2", link("l0", new))[0] == []
    assert linked("processor", link("l0", old))[0] == ["l0"]
    gone, result = linked("processor@2", link("l0", old), link("l0", old, right="g"))
    assert gone == [] and "linked by a filter" in result.stderr


def test_what_is_stored_but_held_is_said(client, server):
    workspace(server)
    server.answers["GET", "/v1/state"] = (200, STATE | {"held": "this content failed in rollout 3"})
    result = client.run("create", "feature", "f1")
    assert "it is held: this content failed in rollout 3" in result.stderr
    client.run("create", "feature", "f1", "--wait", "5", status=1)
    assert "waiting     this content failed in rollout 3" in client.run("status").stdout


def test_what_is_refused_is_said_and_the_workspace_thrown_away(client, server):
    workspace(server, (409, {"error": "stale", "message": "feature f1 was changed by m at 14:03"}))
    result = client.run("create", "feature", "f1", status=1)
    assert "feature f1 was changed by m at 14:03" in result.stderr
    assert server.asked()[-1] == "DELETE /v1/workspaces/rest-1"


def test_links_are_taken_away_by_what_they_link(client, server):
    workspace(server)
    server.answers["GET", "/v1/links"] = (200, {"dangling": [], "items": [
        {"association": f"l{i}", "kind": "artifact2feature", "right": f"feature-name-{right}", "dynamic": False,
         "left": f"artifact-Bundle-SymbolicName-{left}"} for i, (left, right) in enumerate(
             [("p-Bundle-Version-1.0.0", "f"), ("p-Bundle-Version-2.0.0", "f"), ("p-Bundle-Version-1.0.0", "g"),
              ("pp-Bundle-Version-1.0.0", "f")])]})

    def unlinked(left):
        client.run("unlink", "artifact", left, "f")
        return [change["definition"] for change in server.body("/v1/workspaces/rest-1/changes")["changes"]]
    assert unlinked("p") == ["l0", "l1"]
    assert unlinked("p@1") == ["l0"]
    assert "is not linked to" in client.run("unlink", "artifact", "p@3", "f", status=1).stderr


def test_uploads_go_on_after_one_that_is_refused(client, server, folder):
    accepted = (201, {"definition": "d", "attributes": {"Bundle-SymbolicName": "a", "Bundle-Version": "1.0.0"}, "tags": {}})
    server.answers["POST", "/v1/artifacts"] = [(400, {"error": "invalid", "message": "it has no manifest"}), accepted]
    result = client.run("upload", folder / "a.zip", folder / "b.zip", folder / "none.zip", status=1)
    assert "a.zip: " in result.stderr and "it has no manifest" in result.stderr and "No such file" in result.stderr
    assert "b.zip: a@1.0.0\n" in result.stdout


def test_after_an_upload_the_rollout_that_runs_is_waited_for(client, server, folder):
    server.answers["POST", "/v1/artifacts"] = (201, {"definition": "d", "attributes": {}, "tags": {}})
    assert "No rollout runs." in client.run("upload", folder / "a.zip", "--wait", "60").stdout
    server.answers["GET", "/v1/state"] = (200, STATE | {"rollout": 5})
    server.answers["GET", "/v1/rollouts/5"] = (200, {"id": 5, "phase": "done", "ended": 5, "groups": []})
    assert "rollout 5: done" in client.run("upload", folder / "a.zip", "--wait", "60").stdout


def test_waiting_ends_with_the_rollout(client, server):
    workspace(server, (200, {"revision": 4, "rollout": 7}))
    server.answers["GET", "/v1/rollouts/7"] = [(200, {"id": 7, "phase": "running", "ended": None, "groups": []}),
                                               (200, {"id": 7, "phase": "done", "ended": 5, "groups": []})]
    assert "rollout 7: done" in client.run("create", "feature", "f", "--wait", "60").stdout
    server.answers["GET", "/v1/rollouts/7"] = (200, {"id": 7, "phase": "rolled-back", "ended": 5, "groups": [],
                                                     "reason": "t1: 3 errors"})
    assert "rolled-back: t1: 3 errors" in client.run("create", "feature", "f", "--wait", "60", status=1).stderr
    server.answers["GET", "/v1/rollouts/7"] = (200, {"id": 7, "phase": "running", "ended": None, "groups": []})
    assert "still running after 1 s" in client.run("create", "feature", "f", "--wait", "1", status=1).stderr
    assert "no number of seconds" in client.run("create", "feature", "f", "--wait", "soon", status=1).stderr


def test_what_happened_in_a_rollout_is_shown(client, server):
    lines = [{"time": 1700000000000 + i, "target": None, "text": text}
             for i, text in enumerate(["group 1 of 2 begins with 1 target", "t1 failed: no \x1b[2Jsymbol"])]
    server.answers["GET", "/v1/rollouts/3"] = (200, {"id": 3, "phase": "rolled-back", "groups": [], "history": lines,
                                                     "historyOmitted": 7})
    text = client.run("rollout", "3").stdout
    assert "group 1 of 2 begins with 1 target\n" in text
    assert "... 7 lines are left out\n" in text
    assert "t1 failed: no ?[2Jsymbol\n" in text  # no control characters


def test_the_rollout_that_runs_is_meant_when_none_is_named(client, server):
    server.answers["GET", "/v1/state"] = (200, STATE | {"rollout": 9})
    server.answers["POST", "/v1/rollouts/9/pause"] = (200, {"id": 9, "phase": "paused", "groups": [{"targets": 2}]})
    assert "rollout 9: paused" in client.run("rollout", "pause").stdout
    server.answers["GET", "/v1/state"] = (200, STATE)
    server.answers["GET", "/v1/rollouts"] = (200, {"items": [{"id": 8}, {"id": 7}]})
    server.answers["POST", "/v1/rollouts/8/rollback"] = (200, {"id": 8, "phase": "rolling-back", "groups": []})
    assert "rolling-back" in client.run("rollback").stdout
    assert "no number of a rollout" in client.run("rollout", "pause", "../x", status=1).stderr


def test_the_password_of_an_account_comes_from_the_standard_input(client, server):
    server.answers["PUT", "/v1/accounts/m"] = (200, {"name": "m", "role": "viewer"})
    client.run("account", "m", "viewer", stdin="secret word\n")
    assert server.body("/v1/accounts/m") == {"role": "viewer", "password": "secret word"}
    client.run("account", "m", "viewer", stdin="\n")
    assert server.body("/v1/accounts/m") == {"role": "viewer"}


# -- desired state ----------------------------------------------------------------------


def plan(server, missing=(), differences=(), done=None):
    first = {"differences": list(differences), "missing": list(missing), "revision": 3, "rollout": None}
    server.answers["POST", "/v1/desired"] = [(200, first), (200, done or first | {"missing": [], "revision": 4})]
    server.answers["POST", "/v1/artifacts"] = (201, {"definition": "d", "attributes": {}, "tags": {}})
    workspace(server)


def test_settings_are_shown_and_changed_one_at_a_time(client, server):
    server.answers[("GET", "/v1/settings")] = (200, {"register": "(a=b)", "approve": None, "versionsKept": 20})
    server.answers[("PUT", "/v1/settings")] = (200, {})
    lines = client.run("settings").stdout.split("\n")
    assert [line.split() for line in lines] == [["register", "(a=b)"], ["approve", "none"], ["versionsKept", "20"],
                                                ["rollout.groups", "[10,50,100]"], ["rollout.progress", "10"], []]
    client.run("settings", "approve", "(c=*)")
    assert server.body("/v1/settings") == {"register": "(a=b)", "approve": "(c=*)", "versionsKept": 20}
    client.run("settings", "register", "")
    assert server.body("/v1/settings") == {"register": None, "approve": None, "versionsKept": 20}
    client.run("settings", "versionsKept", "3")
    assert server.body("/v1/settings") == {"register": "(a=b)", "approve": None, "versionsKept": 3}


def test_the_policy_of_rollouts_is_a_setting(client, server):
    server.answers["GET", "/v1/settings"] = (200, {"register": "(a=b)"})
    server.answers["PUT", "/v1/policy"] = (200, {})
    assert "rollout.progress  10\n" in client.run("settings").stdout
    assert json.loads(client.run("settings", "--json").stdout)["rollout"] == {"groups": [10, 50, 100], "progress": 10}
    client.run("settings", "rollout.groups", "[50, 100]")
    assert server.body("/v1/policy") == {"groups": [50, 100], "progress": 10}
    client.run("settings", "rollout", '{"progress": 3}')
    assert server.body("/v1/policy") == {"progress": 3}
    client.run("settings", "rollout", "default")
    assert server.body("/v1/policy")["automaticRollback"] is True
    assert "is no JSON" in client.run("settings", "rollout.progress", "much", status=1).stderr


def test_that_no_policy_lets_changes_out_at_once_is_said(client, server, folder):
    server.answers["GET", "/v1/settings"] = (200, {"register": "(a=b)"})
    server.answers["PUT", "/v1/policy"] = (200, {})
    assert "goes to all targets at once" in client.run("settings", "rollout", "none").stderr
    assert server.body("/v1/policy") == {}
    server.answers["GET", "/v1/policy"] = (200, None)
    assert "goes to all targets at once" in client.run("settings").stdout
    client.run("settings", "rollout.progress", "20")
    assert server.body("/v1/policy") == {"progress": 20}
    plan(server)
    assert "at once" not in client.run("apply", folder).stderr
    state = json.loads((folder / "provisioning.json").read_text(encoding="utf-8"))
    (folder / "provisioning.json").write_text(json.dumps(state | {"rollout": None}), encoding="utf-8")
    assert "goes to all targets at once" in client.run("apply", folder).stderr


@pytest.mark.parametrize("arguments, words", [
    (["register"], 'no value for "register"'), (["aprove", "(a=b)"], 'there is no setting "aprove"'),
    (["versionsKept", "many"], '"many" is no number'), (["versionsKept", ""], '"" is no number')])
def test_a_setting_that_is_none_is_refused_and_nothing_sent(client, server, arguments, words):
    server.answers[("GET", "/v1/settings")] = (200, {"register": "(a=b)", "approve": None, "versionsKept": 20})
    assert words in client.run("settings", *arguments, status=1).stderr
    assert server.asked("PUT") == []


def test_apply_sends_what_is_missing_and_then_the_state(client, server, folder):
    plan(server, [artifact("b.zip", b"second")], [difference()])
    said = client.run("apply", folder).stdout
    assert server.asked() == ["POST /v1/desired?dry-run=true", "POST /v1/workspaces",
                              "POST /v1/artifacts?filename=b.zip&workspace=rest-1", "POST /v1/desired?workspace=rest-1",
                              "DELETE /v1/workspaces/rest-1", "GET /v1/state"]
    assert server.body("/v1/desired?workspace=rest-1")["artifacts"] == [artifact("a.zip", b"first"), artifact("b.zip", b"second")]
    assert said == "  + file b.zip\n  + feature f1\nStored as revision 4.\n"


def test_what_cannot_be_applied_leaves_nothing_behind(client, server, folder):
    plan(server, [artifact("b.zip", b"second")], [difference()])
    server.answers["POST", "/v1/artifacts"] = (400, {"error": "invalid", "message": "it has no manifest"})
    assert "it has no manifest" in client.run("apply", folder, status=1).stderr
    assert server.asked()[-2:] == ["POST /v1/artifacts?filename=b.zip&workspace=rest-1", "DELETE /v1/workspaces/rest-1"]


def test_apply_says_that_nothing_changes(client, server, folder):
    plan(server)
    assert "Nothing to change" in client.run("apply", folder).stdout


def test_a_server_that_wants_another_file_gets_none(client, server, folder):
    (folder / "secret").write_bytes(b"secret")
    plan(server, [{"file": "secret", "sha256": hashlib.sha256(b"secret").hexdigest()}])
    assert "does not have" in client.run("apply", folder, status=1).stderr
    plan(server, [{"file": "secret", "sha256": hashlib.sha256(b"first").hexdigest()}])
    client.run("apply", folder)
    assert b"secret" not in b"".join(body for *_, body, _ in server.requests)


def test_diff_shows_what_would_change_and_says_it_by_its_status(client, server, folder):
    before = {"definition": "feature-name-f2", "attributes": {"name": "f2", "description": "old"}, "tags": {"a": "b"}}
    after = {"definition": "feature-name-f2", "attributes": {"name": "f2", "description": "new"}, "tags": {}}
    plan(server, [artifact("b.zip", b"second")],
         [difference(), difference("removed", "artifact2feature", "x@1.0.0 -> f1"),
          difference("changed", "feature", "f2", before, after),
          difference("changed", "settings", "settings", {"versionsKept": 20}, {"versionsKept": 5})])
    assert client.run("diff", folder, status=1).stdout == """\
  + file b.zip
  + feature f1
  - link of an artifact x@1.0.0 -> f1
  ~ feature f2
    - description = "old"
    + description = "new"
    - tag a = "b"
  ~ settings
    - versionsKept = 20
    + versionsKept = 5
"""
    assert server.asked() == ["POST /v1/desired?dry-run=true"]
    plan(server)
    assert client.run("diff", folder).stdout == ""
    server.answers["POST", "/v1/desired"] = (400, {"error": "invalid", "message": "features.f1: no"})
    assert "features.f1: no" in client.run("diff", folder, status=2).stderr


def test_diff_without_a_folder_shows_the_drift(client, server):
    server.answers["GET", "/v1/desired"] = (200, {"state": {}, "digest": "x", "applied": 1, "drift": [difference("removed")]})
    assert "  - feature f1\n" in client.run("diff", status=1).stdout
    server.answers["GET", "/v1/desired"] = (200, {"state": {}, "digest": "x", "applied": 1, "drift": []})
    client.run("diff")


@pytest.mark.parametrize("text, words", [
    (None, "provisioning.json: No such file or directory; it says what is to run where"),
    ("{", "provisioning.json: "),
    ('{"version": 1, "artifacts": ["a.zip", "gone.zip"]}', "artifacts[1]: "),
    ('{"version": 1, "artifacts": ["../a.zip"]}', "artifacts[0]: the name of a file"),
    ('{"version": 1, "feature": {}}', '"feature" is not known'),
])
def test_a_folder_that_is_wrong_is_not_sent(client, server, folder, text, words):
    (folder / "provisioning.json").unlink()
    if text is not None:
        (folder / "provisioning.json").write_text(text, encoding="utf-8")
    assert words in client.run("apply", folder, status=1).stderr
    assert server.asked() == []


def test_export_writes_a_folder_that_applies_to_the_same(client, server, tmp_path):
    state = {"version": 1, "artifacts": [artifact("a.zip", b"first")], "features": {"f": {"artifacts": ["a@1.0.0"]}}}
    server.answers["GET", "/v1/export"] = (200, state)
    server.answers["GET", "/v1/artifacts/" + state["artifacts"][0]["sha256"]] = (200, b"first", "application/zip")
    objects = [{"definition": f"artifact-Bundle-SymbolicName-a-Bundle-Version-{version}", "attributes": {"sha256": digest}}
               for version, digest in (("1.0.0", state["artifacts"][0]["sha256"]), ("0.9.0", "0" * 64))]
    server.answers["GET", "/v1/objects"] = (200, {"items": objects})
    said = client.run("export", tmp_path / "out").stdout
    assert "makes it so again.\nLeft out, because nothing is linked to them: a@0.9.0.\n" in said
    assert (tmp_path / "out" / "a.zip").read_bytes() == b"first"
    assert json.loads((tmp_path / "out" / "provisioning.json").read_text(encoding="utf-8")) == state | {"artifacts": ["a.zip"]}
    plan(server)
    client.run("apply", tmp_path / "out")
    assert server.body("/v1/desired") == state
    assert "--force" in client.run("export", tmp_path / "out", status=1).stderr
    client.run("export", tmp_path / "out", "--force")


@pytest.mark.parametrize("name", ["../x", "/etc/x", ".ssh", "a/b", "", "provisioning.json"])
def test_export_writes_only_into_its_folder(client, server, tmp_path, name):
    server.answers["GET", "/v1/export"] = (200, {"version": 1, "artifacts": [artifact(name, b"x")]})
    assert "is no desired state" in client.run("export", tmp_path / "out", status=1).stderr
    assert not (tmp_path / "out").exists() and not (tmp_path / "x").exists()


def test_export_believes_no_file_without_its_digest(client, server, tmp_path):
    one = artifact("a.zip", b"first")
    server.answers["GET", "/v1/export"] = (200, {"version": 1, "artifacts": [one]})
    server.answers["GET", "/v1/artifacts/" + one["sha256"]] = (200, b"other", "application/zip")
    assert "has not its digest" in client.run("export", tmp_path / "out", status=1).stderr
    assert not (tmp_path / "out" / "provisioning.json").exists()


# -- events -------------------------------------------------------------------------------


def test_events_are_shown_and_go_on_after_a_break(client, server):
    first = b": alive\n\nevent: target\nid: a-2\ndata: {\"id\": \"t1\", \"store\": \"New\"}\n\n"
    again = b"event: revision\r\nid: a-3\r\ndata: {\"number\": 4, \"author\": \"d\"}\r\n\r\n"
    server.answers["GET", "/v1/events"] = [(200, first, "text/event-stream"), (200, again, "text/event-stream")]
    with subprocess.Popen(client.command("events"), env=client.environment(), stdout=subprocess.PIPE, text=True,
                          stdin=subprocess.DEVNULL) as process:
        try:
            assert process.stdout.readline().split()[2:] == ["target", "id=t1", "store=New"]
            assert process.stdout.readline().split()[2:] == ["revision", "number=4", "author=d"]
        finally:
            process.kill()
    assert server.asked("GET")[1:3] == ["GET /v1/events?after=a-1", "GET /v1/events?after=a-2"]
