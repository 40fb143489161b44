"""The provisioning server as a process: what it answers, to whom, and what it refuses."""
import hashlib
import io
import os
import re
import select
import socket
import subprocess
import time
import zipfile

import pytest
from conftest import LONG, PATIENCE, ROOT, wait_for
from provisioning_server import (PROGRAM, Caller, Events, add, basic, java_bundle, link, remove, servers_in)

ROLES = ["release-manager", "distribution-manager", "target-manager", "target-operator",
         "external-distribution-manager", "viewer", "admin"]


@pytest.fixture
def make_server(tmp_path):
    with servers_in(tmp_path) as make:
        yield make


@pytest.fixture
def server(make_server):
    return make_server()


@pytest.fixture
def people(server):
    return server.people()


# --- the program --------------------------------------------------------------------------------

def test_help_names_every_option_and_wrong_ones_are_refused_with_words():
    shown = subprocess.run([PROGRAM, "--help"], capture_output=True, text=True, check=True).stdout
    for option in ("--data", "--listen", "--pages", "--www", "--load", "--settings", "--etcd", "--announce", "--pki",
                   "--token-file", "--credentials", "--insecure", "--ready-fd"):
        assert option in shown
    for wrong, word in ((["--listen", "nowhere"], "nowhere"), ([], "--data"), (["--ready-fd", "x"], "ready-fd"),
                        (["--settings", '{"colour": 1}'], "colour"),
                        (["--settings", '{"register": "(x"}'], "register")):
        data = [] if word == "--data" else ["--data", "/tmp/inaetics-no-such-folder/" + word.strip("-")]
        result = subprocess.run([PROGRAM, *data, "--pages", "127.0.0.1:0", *wrong], capture_output=True, text=True,
                                timeout=PATIENCE)
        assert result.returncode != 0 and word in result.stderr, result.stderr
    subprocess.run(["rm", "-rf", "/tmp/inaetics-no-such-folder"], check=True)


def test_the_default_account_is_said_loudly_only_beyond_loopback(make_server):
    quiet = make_server()
    assert any("default account" in line for line in quiet.log)
    assert not any("ANYBODY" in line for line in quiet.log)
    loud = make_server(pages="0.0.0.0:0")
    assert any("level=warning" in line and "ANYBODY" in line for line in loud.log)
    address = loud.people_address.replace("0.0.0.0", "127.0.0.1")
    Caller(address, basic("d", "f")).right("PUT", "/v1/accounts/d", {"password": "something longer"})
    loud.stop()
    loud.start()
    assert not any("ANYBODY" in line for line in loud.log)


def test_what_was_stored_is_there_after_a_kill(server, people):
    people.upload("a.jar", java_bundle("a", "1.0.0"))
    workspace = people.workspace()
    people.change(workspace, add("feature", name="f1"))
    people.commit(workspace, "one feature")
    server.kill()
    server.start()
    people = server.people()
    assert [item["message"] for item in people.right("GET", "/v1/revisions")["items"]][0] == "one feature"
    assert people.right("GET", "/v1/objects?kind=feature")["items"][0]["definition"] == "feature-name-f1"
    assert people.get(f"/v1/workspaces/{workspace}").status == 404


# --- the document and who may what -------------------------------------------------------------------

def routes(caller):
    """(method, path, operation) of the OpenAPI document."""
    document = caller.right("GET", "/v1/openapi.json")
    assert document["openapi"].startswith("3.")
    return [(method.upper(), path, operation) for path, methods in document["paths"].items()
            for method, operation in methods.items()]


def test_the_openapi_document_has_exactly_what_the_manual_has(server, people):
    manual = set()
    text = (ROOT / "docs" / "provisioning-api.md").read_text()
    text = re.sub(r"\n## For ACE's clients\n.*?(?=\n## )", "", text, flags=re.DOTALL)
    for line in text.splitlines():
        if not line.startswith("| `"):
            continue
        method, last = "GET", ""
        for code in re.findall(r"`([^`]*)`", line.split("|")[1]):
            found = re.match(r"(?:(GET|POST|PUT|DELETE) )?(/\S+)", code.split("{")[0])
            if not found:
                continue
            method = found[1] or method
            path = re.sub(r"[?\[].*$", "", found[2])
            path = path.rstrip(",")
            if not found[1] and last and path.count("/") == 1 and not path.startswith("/v1") and \
                    last.startswith("/v1"):
                path = last.rsplit("/", 1)[0] + path
            if found[1]:
                last = path
            manual.add((method, path))
    document = {(method, re.sub(r"\{[^}]*\}", "X", path)) for method, path, _ in routes(people)}
    said = {(method, re.sub(r"/(SHA256|W|N|ID|NAME)(?=/|$)", "/X", path)) for method, path in manual
            if not path.startswith("/auditlog")}
    document -= {("GET", "/v1/openapi.json")}
    assert document == said, f"only served: {sorted(document - said)}; only said: {sorted(said - document)}"


def test_every_route_is_served_and_refuses_strangers(server, people):
    strangers = {True: Caller(server.agents_address, "Bearer x"), False: Caller(server.people_address)}
    for method, path, operation in routes(people):
        for_agents = path.startswith(("/v1/agents", "/v1/blobs"))
        answer = strangers[for_agents].ask(method, re.sub(r"\{[^}]*\}", "x", path),
                                           {} if "requestBody" in operation else None)
        if operation["security"]:
            assert answer.status == 401, (method, path, answer)
        else:
            assert answer.status in (200, 204, 400), (method, path, answer)
        wrong = strangers[for_agents].ask("PATCH", re.sub(r"\{[^}]*\}", "x", path))
        assert wrong.status == 405 and method in wrong.headers["Allow"], (path, wrong)
    assert people.get("/v1/nothing").status == 404
    assert people.get("/v1/agents/x/next").status == 404  # that is for agents


@pytest.fixture
def role_callers(server, people):
    for role in ROLES:
        people.right("PUT", f"/v1/accounts/{role}", {"password": "password of " + role, "role": role})
    callers = {}
    for role in ROLES:
        answer = Caller(server.people_address).post("/v1/session", {"name": role, "password": "password of " + role})
        callers[role] = Caller(server.people_address, "Bearer " + answer.json["token"])
        callers[role].permissions = set(answer.json["permissions"])
    return callers


def test_every_route_asks_for_its_permission_of_every_role(people, role_callers):
    seen = set()
    for method, path, operation in routes(people):
        permission = operation["x-permission"]
        if not re.fullmatch(r"[a-z]+[A-Z]\w*", permission) or path == "/v1/events":
            continue
        seen.add(permission)
        for role, caller in role_callers.items():
            # What does not exist or is incomplete, so that nothing happens where it is permitted.
            answer = caller.ask(method, re.sub(r"\{[^}]*\}", "999999", path),
                                {"revision": "x"} if "requestBody" in operation else None)
            if permission in caller.permissions:
                assert answer.status not in (401, 403), (role, method, path, answer)
            else:
                assert answer.status == 403 and permission in answer.json["message"], (role, method, path, answer)
    assert {"viewTarget", "registerTarget", "approveTarget", "removeTarget", "steerRollout", "editUsers", "viewLog",
            "createArtifact", "viewArtifact"} <= seen


def test_who_does_not_see_all_kinds_of_objects_sees_no_state_of_all(people, role_callers):
    state = people.right("GET", "/v1/export")
    for role, caller in role_callers.items():
        may = {"viewArtifact", "viewFeature", "viewDistribution", "viewTarget"} <= set(caller.permissions)
        expected = {"/v1/export": 200, "/v1/desired": 404} if may else {"/v1/export": 403, "/v1/desired": 403}
        assert {path: caller.get(path).status for path in expected} == expected, role
        assert caller.post("/v1/desired?dry-run=true", state).status == (200 if may else 403), role


VIEWS = {"artifact": "viewArtifact", "feature": "viewFeature", "distribution": "viewDistribution",
         "target": "viewTarget"}
LINKS = {"artifact2feature": ("artifact-Bundle-SymbolicName-a-Bundle-Version-1.0.0", "feature-name-f",
                              "ArtifactFeature"),
         "feature2distribution": ("feature-name-f", "distribution-name-d", "FeatureDistribution"),
         "distribution2target": ("distribution-name-d", "target-id-t", "DistributionTarget")}


def changes_by_permission(links):
    """Each permission of objects and links with a change that takes it."""
    table = {}
    for kind, key in (("feature", "name"), ("distribution", "name"), ("target", "id")):
        name = kind[0]
        definition = f"{kind}-{key}-{name}"
        table["create" + kind.capitalize()] = add(kind, **{key: "new"})
        table["edit" + kind.capitalize()] = {"op": "replace", "kind": kind, "definition": definition,
                                             "object": {"attributes": {key: name}, "tags": {"changed": "yes"}}}
        table["remove" + kind.capitalize()] = remove(kind, definition)
    for kind, (_, _, permission) in LINKS.items():
        table["associate" + permission] = add(kind, leftEndpoint="(site=a)", rightEndpoint="(site=b)")
        table["dissociate" + permission] = remove(kind, links[kind])
    return table


def test_each_of_the_permissions_on_objects_is_asked_for(people, role_callers):
    artifact = people.upload("a.jar", java_bundle("a", "1.0.0"))
    workspace = people.workspace()
    people.change(workspace, add("feature", name="f"), add("distribution", name="d"),
                  add("target", id="t", autoapprove="false"))
    links = {kind: people.change(workspace, link(kind, left, right))["items"][0]["definition"]
             for kind, (left, right, _) in LINKS.items()}
    people.commit(workspace)
    table = changes_by_permission(links)
    table["editArtifact"] = {"op": "replace", "kind": "artifact", "definition": artifact["definition"],
                             "object": {"attributes": artifact["attributes"], "tags": {"changed": "yes"}}}
    table["removeArtifact"] = remove("artifact", artifact["definition"])
    for role, caller in role_callers.items():
        for permission, change in table.items():
            own = caller.workspace()
            answer = caller.post(f"/v1/workspaces/{own}/changes", {"changes": [change]})
            if permission in caller.permissions:
                assert answer.status == 200, (role, permission, answer)
            else:
                assert answer.status == 403 and permission in answer.json["message"], (role, permission, answer)
                assert caller.right("GET", f"/v1/workspaces/{own}")["modified"] is False
            caller.delete(f"/v1/workspaces/{own}")
        for kind, permission in VIEWS.items():
            status = caller.get(f"/v1/objects?kind={kind}").status
            assert status == (200 if permission in caller.permissions else 403), (role, kind)
        if "createArtifact" not in caller.permissions:
            assert caller.post("/v1/artifacts?filename=b.jar", java_bundle("b", "1.0.0")).status == 403
    everything = set(table) | set(VIEWS.values()) | {"createArtifact", "approveTarget", "registerTarget",
                                                     "steerRollout", "viewLog", "editUsers"}
    assert len(everything) == 27 == len(role_callers["admin"].permissions)


# --- objects and workspaces ---------------------------------------------------------------------------

def test_objects_round_trip_and_are_listed_in_pages(people):
    workspace = people.workspace()
    people.change(workspace, *[add("feature", name=f"f{i:03}", description=f"number {i}", tags={"odd": str(i % 2)})
                               for i in range(250)])
    assert people.right("GET", "/v1/objects?kind=feature")["count"] == 0  # nothing is stored yet
    people.commit(workspace)
    seen, after = [], ""
    while after is not None:
        page = people.right("GET", f"/v1/objects?kind=feature&limit=100&after={after}")
        seen += [item["definition"] for item in page["items"]]
        after = page["next"]
        assert page["count"] == 250
    assert seen == [f"feature-name-f{i:03}" for i in range(250)]
    odd = people.right("GET", "/v1/objects?kind=feature&filter=(%26(odd=1)(description=number%2019*))")
    assert [item["attributes"]["name"] for item in odd["items"]] == \
        ["f019"] + [f"f{i}" for i in range(191, 200, 2)]
    for wrong in ("", "kind=house", "kind=feature&limit=0", "kind=feature&limit=x", "kind=feature&filter=(x",
                  "kind=feature&limit=99999999999999999999"):
        assert people.get("/v1/objects?" + wrong).status == 400, wrong


def test_changes_are_made_all_or_none(people):
    workspace = people.workspace()
    people.change(workspace, add("feature", name="f1"))
    answer = people.post(f"/v1/workspaces/{workspace}/changes",
                         {"changes": [add("feature", name="f2"), add("feature", name="f1")]})
    assert answer.status == 409 and answer.json["error"] == "exists" and "change 2" in answer.json["message"]
    listed = people.right("GET", f"/v1/objects?kind=feature&workspace={workspace}")["items"]
    assert [item["attributes"]["name"] for item in listed] == ["f1"]
    people.right("POST", f"/v1/workspaces/{workspace}/revert")
    assert people.right("GET", f"/v1/workspaces/{workspace}/diff")["items"] == []


WRONG_CHANGES = [
    {}, {"op": "add"}, {"op": "jump", "kind": "feature"}, {"op": "add", "kind": "house", "object": {}},
    {"op": "add", "kind": "feature"}, {"op": "add", "kind": "feature", "object": []},
    {"op": "add", "kind": "feature", "object": {"attributes": {}}},
    {"op": "add", "kind": "feature", "object": {"attributes": {"name": 7}, "tags": {}}},
    {"op": "add", "kind": "feature", "object": {"attributes": {"name": "x" * 5000}, "tags": {}}},
    {"op": "add", "kind": "feature", "object": {"attributes": {"name": "f"}, "tags": {"a\u0000b": "c"}}},
    {"op": "remove", "kind": "feature"}, {"op": "replace", "kind": "feature", "object": {"attributes": {"name": "f"}}},
    {"op": "add", "kind": "artifact", "object": {"attributes": {"filename": "c.json", "sha256": "0" * 64}, "tags": {}}},
    {"op": "add", "kind": "artifact2feature", "object": {"attributes": {"leftEndpoint": "(x", "rightEndpoint": "(a=b)"},
                                                         "tags": {}}},
    {"op": "add", "kind": "artifact2feature", "object": {"attributes": {}, "tags": {}, "left": "nothing",
                                                         "right": "nothing"}},
    7, None, "text", []]


def test_a_wrong_change_is_refused_with_words(people):
    workspace = people.workspace()
    for wrong in WRONG_CHANGES:
        answer = people.post(f"/v1/workspaces/{workspace}/changes", {"changes": [wrong]})
        assert answer.status in (400, 404) and answer.json["message"], (wrong, answer)
        assert people.right("GET", f"/v1/workspaces/{workspace}")["modified"] is False, wrong


def test_of_two_commits_one_is_stale_and_says_by_whom(server, people):
    people.right("PUT", "/v1/accounts/eve", {"password": "long enough", "role": "admin"})
    eve = server.people("eve", "long enough")
    first, second = people.workspace(), eve.workspace()
    people.change(first, add("feature", name="f1"))
    eve.change(second, add("feature", name="f2"))
    people.commit(first)
    assert eve.right("GET", f"/v1/workspaces/{second}")["current"] is False
    answer = eve.post(f"/v1/workspaces/{second}/commit", {"message": ""})
    assert answer.status == 409 and answer.json["error"] == "stale" and " d" in answer.json["message"], answer
    eve.right("POST", f"/v1/workspaces/{second}/checkout")
    eve.change(second, add("feature", name="f2"))
    eve.commit(second)
    names = {item["attributes"]["name"] for item in people.right("GET", "/v1/objects?kind=feature")["items"]}
    assert names == {"f1", "f2"}


def test_workspaces_of_others_and_of_nobody_are_refused(server, people):
    people.right("PUT", "/v1/accounts/eve", {"password": "long enough", "role": "release-manager"})
    eve = server.people("eve", "long enough")
    workspace = people.workspace()
    assert eve.get(f"/v1/workspaces/{workspace}").status == 403
    assert eve.post(f"/v1/workspaces/{workspace}/changes", {"changes": []}).status == 403
    assert eve.get(f"/v1/objects?kind=feature&workspace={workspace}").status == 403
    for wrong in ("rest-1", "rest-1-aaaaaaaa", "x", "%2e%2e", "..%2f..", "a" * 1000):
        assert people.get(f"/v1/workspaces/{wrong}").status in (400, 404), wrong
    assert people.delete(f"/v1/workspaces/{workspace}").status == 204
    assert people.get(f"/v1/workspaces/{workspace}").status == 404


def test_one_account_cannot_take_all_workspaces(server, people):
    people.right("PUT", "/v1/accounts/eve", {"password": "long enough", "role": "viewer"})
    eve = server.people("eve", "long enough")
    made = [eve.workspace() for _ in range(32)]
    answer = eve.post("/v1/workspaces")
    assert answer.status == 409 and answer.json["error"] == "busy", answer
    people.workspace()
    eve.delete(f"/v1/workspaces/{made[0]}")
    eve.workspace()


def test_what_defines_an_object_does_not_change(people):
    workspace = people.workspace()
    people.change(workspace, add("feature", name="f1"))
    answer = people.post(f"/v1/workspaces/{workspace}/changes", {"changes": [
        {"op": "replace", "kind": "feature", "definition": "feature-name-f1",
         "object": {"attributes": {"name": "f2"}, "tags": {}}}]})
    assert answer.status == 409 and "never changes" in answer.json["message"]


def test_the_software_goes_back_to_an_earlier_revision(people):
    workspace = people.workspace()
    people.change(workspace, add("feature", name="f1"))
    first = people.commit(workspace)["revision"]
    people.change(workspace, remove("feature", "feature-name-f1"), add("feature", name="f2"))
    people.commit(workspace)
    restored = people.right("POST", f"/v1/revisions/{first}/restore", {"message": "back"})
    assert restored["revision"] > first
    assert [item["attributes"]["name"] for item in people.right("GET", "/v1/objects?kind=feature")["items"]] == ["f1"]
    for wrong in ("0", "99999", "x", "-1"):
        assert people.post(f"/v1/revisions/{wrong}/restore", {}).status == 404


# --- files ----------------------------------------------------------------------------------------------

def files_of(server):
    return sorted(path.name for path in (server.folder / "data").rglob("*")
                  if path.is_file() and re.fullmatch(r"[0-9a-f]{64}", path.name))


def test_an_uploaded_bundle_is_recognised_kept_and_given_back(server, people):
    data = java_bundle("org.example.a", "1.2.0")
    artifact = people.upload("a.jar", data)
    digest = hashlib.sha256(data).hexdigest()
    assert artifact["definition"] == "artifact-Bundle-SymbolicName-org.example.a-Bundle-Version-1.2.0"
    assert artifact["attributes"]["sha256"] == digest
    assert int(artifact["attributes"]["artifactSize"]) == len(data)
    people.upload("a.jar", data, status=200)
    answer = people.post("/v1/artifacts?filename=a.jar", java_bundle("org.example.a", "1.2.0", text="other"))
    assert answer.status == 409 and answer.json["error"] == "exists"
    answer = people.get(f"/v1/artifacts/{digest}")
    assert answer.body == data and "attachment" in answer.headers["Content-Disposition"]
    part = people.get(f"/v1/artifacts/{digest}", headers={"Range": "bytes=10-"})
    assert part.status == 206 and part.body == data[10:]
    assert part.headers["Content-Range"] == f"bytes 10-{len(data) - 1}/{len(data)}"
    assert people.get(f"/v1/artifacts/{digest}", headers={"Range": "bytes=5-9"}).body == data[5:10]
    assert people.get(f"/v1/artifacts/{digest}", headers={"Range": f"bytes={len(data)}-"}).status == 416
    assert people.get(f"/v1/artifacts/{digest}", headers={"Range": "bytes=x"}).body == data
    assert files_of(server) == [digest]


TRICKY_NAMES = ["", "..", ".hidden", "a/b.jar", "..%2fa.jar", "a%00b", "a%0ab", "a%20b.jar", "a" * 201,
                "%2e%2e", "a%5cb.jar", "%c3%a4.jar", "a%22b.jar"]


def test_names_of_files_that_are_tricks_are_refused(server, people):
    for name in TRICKY_NAMES:
        answer = people.post(f"/v1/artifacts?filename={name}", java_bundle("a", "1.0.0"))
        assert answer.status == 400, (name, answer)
    assert files_of(server) == []


NO_ARTIFACTS = [
    b"", b"x", b"PK\x03\x04", b"PK\x05\x06" + b"\0" * 18, java_bundle("a", "1.0.0")[:-30], java_bundle("a", "1.0.0")[30:],
    java_bundle("", "1.0.0"), java_bundle("a", "one"), java_bundle("a/../b", "1.0.0"), b"\0" * 100000,
    java_bundle("a" * 5000, "1.0.0"), b"<xml", b"{\"a\": }"]


def test_a_file_that_is_nothing_is_refused_and_nothing_is_stored(server, people):
    for data in NO_ARTIFACTS:
        answer = people.post("/v1/artifacts?filename=a.jar", data)
        assert answer.status == 400 and answer.json["message"], (data[:40], answer)
    assert files_of(server) == []
    assert people.right("GET", "/v1/objects?kind=artifact")["count"] == 0
    assert not list((server.folder / "data").glob("upload-*"))


def bare(address, text, body=b""):
    host, port = address.split(":")
    connection = socket.create_connection((host, int(port)), PATIENCE)
    connection.sendall(text.encode() + body)
    return connection


def test_uploads_that_are_too_large_unknown_or_cut_store_nothing(server, people):
    head = "POST /v1/artifacts?filename=a.jar HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    allowed = f"Authorization: {basic('d', 'f')}\r\n"
    for text, status in ((head + allowed + "Content-Length: 99999999999\r\n\r\n", b"413"),
                         (head + "Content-Length: 1000000\r\n\r\n", b"401"),
                         (head + "Transfer-Encoding: chunked\r\n\r\n", b"401"),
                         (head + f"Authorization: {basic('d', 'g')}\r\nContent-Length: 1000000\r\n\r\n", b"401")):
        with bare(server.people_address, text) as connection:
            assert connection.recv(4096).split(b" ")[1] == status, text
    for size in (0, 10, 70000):
        with bare(server.people_address, head + allowed + "Content-Length: 100000\r\n\r\n", b"x" * size):
            pass  # half an upload, then the client is gone
    assert people.right("GET", "/v1/objects?kind=artifact")["count"] == 0
    assert files_of(server) == []


def hostile_bundle():
    """60 MB that are looked into for long, and refused in the end."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as file:
        file.writestr("META-INF/MANIFEST.MF", "Manifest-Version: 1.0\r\nBundle-ManifestVersion: 2\r\n"
                      "Bundle-SymbolicName: hostile\r\nBundle-Version: 1.0.0\r\n\r\n")
        file.writestr("noise", os.urandom(58 << 20))
        for i in range(60):
            magic = b"\xca\xfe\xba\xbe\0\0\0\x34" if i < 59 else b"none"
            file.writestr(f"A{i}.class", magic + b"\0" * ((1 << 20) - 8), zipfile.ZIP_DEFLATED)
    return data.getvalue()


def upload_head(size):
    return ("POST /v1/artifacts?filename=hostile.jar HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
            f"Authorization: {basic('d', 'f')}\r\nContent-Length: {size}\r\n\r\n")


def answers(connection):
    return select.select([connection], [], [], 0)[0] != []


def test_agents_are_answered_while_a_hostile_upload_is_looked_at_and_a_client_that_leaves_ends_it(server, people):
    hostile = hostile_bundle()
    people.get("/v1/state")  # the password is known from here on
    agent = Caller(server.agents_address)
    with bare(server.people_address, upload_head(len(hostile)), hostile) as connection:
        polls = 0
        while not answers(connection):
            assert agent.get("/deployment/t1/versions/").status in (200, 404)
            polls += not answers(connection)
        connection.settimeout(PATIENCE)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    assert answer.split(b" ")[1] == b"400" and b"A59.class is no Java class" in answer, answer
    assert polls >= 5
    data = server.folder / "data"
    assert not list(data.glob("upload-*")) and files_of(server) == []
    with bare(server.people_address, upload_head(len(hostile)), hostile) as connection:
        wait_for(lambda: list(data.glob("upload-*")) or answers(connection), "the file to be looked at")
        assert not answers(connection)
    wait_for(lambda: not list(data.glob("upload-*")), "the end of it")
    people.upload("a.jar", java_bundle("a", "1.0.0"))
    assert people.right("GET", "/v1/objects?kind=artifact")["count"] == 1


def test_an_upload_counts_for_who_may_still_make_it_when_it_was_looked_at(server, people):
    people.right("PUT", "/v1/accounts/eve", {"password": "long enough", "role": "release-manager"})
    eve = server.people("eve", "long enough")
    eve.get("/v1/state")
    hostile = hostile_bundle()
    bundle = java_bundle("late", "1.0.0")
    # Files are looked at one after the other: hers waits behind the large one.
    with bare(server.people_address, upload_head(len(hostile)), hostile) as first:
        wait_for(lambda: list((server.folder / "data").glob("upload-*")), "the large file to be looked at")
        head = (f"POST /v1/artifacts?filename=late.jar HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                f"Authorization: {eve.authorization}\r\nContent-Length: {len(bundle)}\r\n\r\n")
        with bare(server.people_address, head, bundle) as second:
            people.right("PUT", "/v1/accounts/eve", {"role": "viewer"})
            late = answers(first)
            status = second.recv(4096).split(b" ")[1]
    assert status == b"403" or late, status
    if status == b"403":
        assert files_of(server) == []


def test_files_that_nobody_names_go_and_others_stay(server, people):
    kept = people.upload("a.jar", java_bundle("a", "1.0.0"))
    removed = people.upload("b.jar", java_bundle("b", "1.0.0"))
    workspace = people.workspace()
    people.change(workspace, remove("artifact", removed["definition"]))
    people.commit(workspace)  # an earlier revision has it
    thrown = people.upload("c.jar", java_bundle("c", "1.0.0"), workspace=workspace)
    people.delete(f"/v1/workspaces/{workspace}")
    server.stop()
    data = server.folder / "data"
    (data / "upload-cut").write_bytes(b"half")
    for path in data.rglob("*"):  # files are left alone while they are new
        if re.fullmatch(r"[0-9a-f]{64}", path.name):
            os.utime(path, (time.time() - 3600, time.time() - 3600))
    server.start()
    assert files_of(server) == sorted(item["attributes"]["sha256"] for item in (kept, removed))
    assert thrown["attributes"]["sha256"] not in files_of(server)
    assert not (data / "upload-cut").exists()


def test_paths_that_are_tricks_find_nothing(server, people):
    for path in ("/../etc/passwd", "/v1/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/v1/artifacts/../../x",
                 "/v1/artifacts/" + "A" * 64, "/v1/artifacts/%2e%2e%2fprovisioning.db", "/v1/targets/%2e%2e",
                 "/v1/targets/a%00b", "//etc/passwd", "/v1//state", "/v1/state/", "/client/work/../../x",
                 "/v1/targets/" + "x" * 3000):
        with bare(server.people_address,
                  f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {basic('d', 'f')}\r\n"
                  "Connection: close\r\n\r\n") as connection:
            assert connection.recv(4096).split(b" ")[1] in (b"400", b"404", b"414"), path


def test_bodies_that_are_no_json_object_are_refused(people):
    for body in (b"", b"{", b"[]", b"7", b"nul", b'{"name": "\xff"}', b"[" * 100000, b'{"a":' * 1000,
                 b'{"name":"d","name":"e"}', b"{}" + b" " * 100 + b"x"):
        answer = people.ask("POST", "/v1/session", body)
        assert answer.status == 400, (body[:40], answer)


# --- the page ---------------------------------------------------------------------------------------------

def test_the_page_is_served_with_headers_that_confine_it(make_server, tmp_path):
    www = tmp_path / "www"
    www.mkdir()
    (www / "index.html").write_text("<!doctype html>the page")
    (www / "page.js").write_text("1")
    (tmp_path / "secret").write_text("secret")
    (www / "link").symlink_to(tmp_path / "secret")
    server = make_server("--www", www)
    caller = Caller(server.people_address)
    answer = caller.get("/")
    assert answer.status == 200 and b"the page" in answer.body
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert caller.get("/page.js").status == 200
    for path in ("/link", "/nothing", "/%2e%2e/secret"):
        assert caller.get(path).status in (400, 403, 404), path
    assert caller.post("/", b"x").status == 405
    assert Caller(server.agents_address).get("/index.html").status == 404


def test_health_and_metrics_are_there_for_both(server, people):
    for address in (server.people_address, server.agents_address):
        caller = Caller(address)
        assert caller.get("/healthz").status == 200 and caller.get("/readyz").status == 200
        assert caller.get("/metrics").status == 401
        assert Caller(address, "Bearer x").get("/metrics").status == 401
        answer = Caller(address, basic("d", "f")).get("/metrics")
        assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
        text = answer.body.decode()
        assert text.endswith("# EOF\n")
        for line in text.splitlines():
            assert re.fullmatch(r'# (TYPE|HELP|EOF).*|[a-z_]+(\{[a-z]+="[a-z0-9]+"\})? -?[0-9.e+-]+', line), line
        assert 'inaetics_provisioning_objects{kind="artifact"} 0' in text


# --- events -------------------------------------------------------------------------------------------------

def make_feature(caller, name):
    workspace = caller.workspace()
    caller.change(workspace, add("feature", name=name))
    caller.commit(workspace, name)


def test_events_tell_what_changed_and_go_on_after_breaks_without_loss(people):
    cursor = people.right("GET", "/v1/state")["cursor"]
    messages = []
    for round_number in range(5):
        make_feature(people, f"before-{round_number}")
        events = Events(people, cursor)
        make_feature(people, f"during-{round_number}")
        wait_for(lambda: f"during-{round_number}" in [value["message"] for value in events.of("revision")],
                 "the event of the commit")
        assert not events.of("reset")
        messages += [value["message"] for value in events.of("revision")]
        cursor = events.events[-1][1]
        events.close()
    assert messages == [f"{when}-{i}" for i in range(5) for when in ("before", "during")]
    reset = Events(people, "0000-7")
    wait_for(lambda: reset.of("reset"), "a reset")
    reset.close()


def test_who_may_not_read_events_any_more_does_not(server, people):
    people.right("PUT", "/v1/accounts/eve", {"password": "long enough", "role": "viewer"})
    events = Events(server.people("eve", "long enough"))
    people.delete("/v1/accounts/eve")
    events.thread.join(PATIENCE)
    assert not events.thread.is_alive()
    make_feature(people, "secret")
    assert not events.of("revision")
    events.close()


def test_each_account_hears_what_it_may_see_and_more_when_its_role_grows(server, people):
    people.right("PUT", "/v1/accounts/partner", {"password": "from outside", "role": "external-distribution-manager"})
    partner = server.people("partner", "from outside")
    events = Events(partner)
    everything = Events(people)
    workspace = people.workspace()
    people.change(workspace, add("target", id="t1"), add("distribution", name="d1"))
    people.commit(workspace, "hers")
    wait_for(lambda: everything.of("target") and everything.of("workspace"), "what the administrator hears")
    own = partner.workspace()
    partner.change(own, add("distribution", name="d2"))
    partner.commit(own, "his")
    wait_for(lambda: [value["message"] for value in events.of("revision")][-1:] == ["his"], "the last revision")
    assert [value["message"] for value in events.of("revision")] == ["hers", "his"]
    assert {value["id"] for value in events.of("workspace")} == {own}
    assert not events.of("target") and not events.of("rollout") and not events.of("audit")
    people.right("PUT", "/v1/accounts/partner", {"role": "viewer"})
    wait_for(lambda: events.of("reset"), "that there is more to read")
    people.right("POST", "/v1/targets/t1/forget")
    wait_for(lambda: events.of("target-gone"), "an event of targets")
    events.close()
    everything.close()


def test_an_event_stream_ends_with_its_session(server, people):
    token = Caller(server.people_address).post("/v1/session", {"name": "d", "password": "f"}).json["token"]
    caller = Caller(server.people_address, f"Bearer {token}")
    events, others = Events(caller), Events(people)
    assert caller.delete("/v1/session").status == 204
    events.thread.join(PATIENCE)
    assert not events.thread.is_alive() and others.thread.is_alive()
    events.close()
    people.right("PUT", "/v1/accounts/d", {"password": "another password"})
    others.thread.join(PATIENCE)
    assert not others.thread.is_alive()
    others.close()


def test_a_reader_that_does_not_read_holds_nobody_up(server, people):
    with bare(server.people_address, "GET /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\n"
              f"Authorization: {basic('d', 'f')}\r\n\r\n") as deaf:
        assert deaf.recv(12) == b"HTTP/1.1 200"
        events = Events(people)
        for i in range(20):
            make_feature(people, f"f{i}")
        wait_for(lambda: len(events.of("revision")) == 20, "all events")
        events.close()


def test_many_subscribers_hear_of_a_change_within_a_second(server, people):
    number = 1000 if LONG else 100
    address = server.people_address.split(":")
    token = people.post("/v1/session", {"name": "d", "password": "f"}).json["token"]
    request = f"GET /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
    readers = []
    for _ in range(number):
        connection = socket.create_connection((address[0], int(address[1])), PATIENCE)
        connection.sendall(request)
        readers.append(connection)
    for connection in readers:
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
    delays = []
    for attempt in range(50):  # the best of some: the machine may be busy with other things
        begin = time.monotonic()
        make_feature(people, f"heard-{attempt}")
        for connection in readers:
            text = b""
            while f"heard-{attempt}".encode() not in text:
                text += connection.recv(65536)
        delays.append(time.monotonic() - begin)
        if delays[-1] < 1:
            break
    for connection in readers:
        connection.close()
    assert min(delays) < 1, delays
