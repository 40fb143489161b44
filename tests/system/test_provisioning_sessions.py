"""The provisioning server's doors: sessions, passwords and accounts."""
import concurrent.futures
import os

import pytest
from conftest import wait_for
from provisioning_server import Caller, add, basic, java_bundle, servers_in


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


def login(server, **headers):
    return Caller(server.people_address).post("/v1/session", {"name": "d", "password": "f"}, headers=headers)


def test_a_session_opens_by_password_and_ends(server):
    answer = login(server)
    assert answer.status == 200 and answer.json["role"] == "admin" and "editUsers" in answer.json["permissions"]
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and "Path=/" in cookie
    token = answer.json["token"]
    bearer = Caller(server.people_address, f"Bearer {token}")
    assert bearer.right("GET", "/v1/session")["name"] == "d"
    assert "token" not in bearer.right("GET", "/v1/session")
    assert bearer.delete("/v1/session").status == 204
    assert bearer.get("/v1/session").status == 401
    assert Caller(server.people_address).get("/v1/state").status == 401


def test_a_login_to_one_port_leaves_those_to_others_alone(server):
    port = server.people_address.split(":")[1]
    name, _, value = login(server).headers["Set-Cookie"].split(";")[0].partition("=")
    assert name == f"inaetics-provisioning-{port}"
    caller = Caller(server.people_address)
    other = f"inaetics-provisioning-{port}0=another; inaetics-provisioning=old; inaetics-{port}=viewer"
    assert caller.get("/v1/state", headers={"Cookie": f"{other}; {name}={value}"}).status == 200
    assert caller.get("/v1/state", headers={"Cookie": f"inaetics-provisioning-{port}0={value}"}).status == 401
    described = caller.right("GET", "/v1/openapi.json")["components"]["securitySchemes"]["cookie"]
    assert described == {"type": "apiKey", "in": "cookie", "name": name}


def test_a_change_with_the_cookie_must_come_from_the_own_page(server):
    cookie = login(server).headers["Set-Cookie"].split(";")[0]
    caller = Caller(server.people_address)
    own = f"http://{server.people_address}"
    assert caller.get("/v1/state", headers={"Cookie": cookie}).status == 200
    assert caller.post("/v1/workspaces", headers={"Cookie": cookie, "Origin": own}).status == 201
    for wrong in ({}, {"Origin": "http://elsewhere"}, {"Origin": "null"}, {"Origin": own + ".evil"},
                  {"Origin": "http://127.0.0.1"}):
        answer = caller.post("/v1/workspaces", headers={"Cookie": cookie} | wrong)
        assert answer.status == 403 and "page" in answer.json["message"], answer
    assert login(server, Origin="http://elsewhere").status == 403
    for name in ("rebound.example", "localhost.rebound.example", "localhostrebound.example:80", "127.0.0.1.example"):
        assert login(server, Host=name).status == 403, name
    assert login(server, Host=f"localhost:{server.people_address.split(':')[1]}").status == 200


def test_wrong_passwords_are_refused_alike_and_cost_a_delay(server):
    caller = Caller(server.people_address)
    seen = []
    for name, password in (("d", "g"), ("nobody", "f"), ("d", ""), ("", "f"), ("d" * 65, "f"), ("d", "f" * 1025)):
        answer = caller.post("/v1/session", {"name": name, "password": password})
        seen.append((answer.status, answer.json["message"]))
    assert seen[0] == (401, "name or password is wrong")
    assert all(one == seen[0] or one[0] == 429 for one in seen), seen

    def delayed():
        answer = caller.post("/v1/session", {"name": "d", "password": "wrong"})
        # Basic goes through the same door. On a busy machine the delay may be over before we ask.
        return answer.status == 429 and server.people().get("/v1/state").status == 429 and answer
    assert int(wait_for(delayed, "a delay").headers["Retry-After"]) >= 1
    assert wait_for(lambda: server.people().get("/v1/state").status == 200, "the end of the delay")


def test_wrong_passwords_cost_a_delay_at_every_door(make_server):
    server = make_server("--credentials")
    large = b"t1,1,1,1,3,id,2\n" * 10000  # judged before it is read
    doors = [(server.people_address, "POST", "/v1/session", None),
             (server.people_address, "GET", "/v1/state", b""),
             (server.people_address, "GET", "/metrics", b""),
             (server.people_address, "POST", "/client/work", b""),
             (server.people_address, "POST", "/v1/artifacts?filename=a.jar", large),
             (server.agents_address, "GET", "/deployment/t1/versions/", b""),
             (server.agents_address, "POST", "/auditlog/send", large),
             (server.agents_address, "POST", "/v1/agents/t1/report", b'{"version": "", "state": "running"}')]

    def attempt(door, source, password):
        address, method, path, body = door
        caller = Caller(address)
        caller.source = source  # each address has its own attempts
        if body is None:
            return caller.ask(method, path, {"name": "d", "password": password})
        return caller.ask(method, path, body, {"Authorization": basic("d", password)})

    for number, door in enumerate(doors):
        first = attempt(door, f"127.0.7.{number + 1}", "wrong")
        assert first.status == 401 and "wrong" in first.json["message"], (door[2], first)
        # Delays double: a machine that is too slow for the first is not for a later one.
        assert 429 in (attempt(door, f"127.0.7.{number + 1}", f"wrong {i}").status for i in range(14)), door[2]
    # All doors count together: none alone would have enough.
    assert 429 in (attempt(doors[i % len(doors)], "127.0.7.100", f"wrong {i}").status for i in range(2 * len(doors)))
    assert server.people().get("/v1/state").status == 200  # who comes from elsewhere does not wait


def test_a_password_that_is_new_lets_a_large_body_in(server):
    caller = server.people()  # nobody asked with it before
    caller.upload("a.jar", java_bundle("a", "1.0.0", text=os.urandom(200000)))
    assert caller.right("GET", "/v1/objects?kind=artifact")["count"] == 1


def test_many_requests_with_one_password_wait_for_one_check(server):
    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(lambda _: server.people().get("/v1/state").status, range(64)))
    assert answers == [200] * 64


def test_malformed_credentials_are_refused(server):
    for wrong in ("Basic", "Basic ", "Basic !!!!", "Basic ZA==", "Basic " + "A" * 4000, "Bearer", "Bearer x" * 100,
                  "Digest x", "Basic ZDo=", "Basic AAAA"):
        answer = Caller(server.people_address, wrong).get("/v1/state")
        assert answer.status in (401, 431), (wrong, answer)


def test_accounts_are_made_changed_and_removed_by_those_who_may(server, people):
    assert people.put("/v1/accounts/eve", {"password": "short", "role": "viewer"}).status == 400
    assert people.put("/v1/accounts/eve", {"password": "long enough", "role": "king"}).status == 400
    assert people.put("/v1/accounts/a%20b", {"password": "long enough", "role": "viewer"}).status == 400
    people.right("PUT", "/v1/accounts/eve", {"password": "long enough", "role": "viewer"})
    eve = server.people("eve", "long enough")
    assert eve.right("GET", "/v1/session")["role"] == "viewer"
    assert eve.get("/v1/accounts").status == 403
    assert eve.put("/v1/accounts/eve", {"role": "admin"}).status == 403
    people.right("PUT", "/v1/accounts/eve", {"role": "target-operator"})
    assert eve.right("GET", "/v1/session")["role"] == "target-operator"
    people.right("PUT", "/v1/accounts/eve", {"password": "another one"})
    assert eve.get("/v1/session").status == 401
    assert {"name": "eve", "role": "target-operator"} in people.right("GET", "/v1/accounts")["items"]
    assert people.delete("/v1/accounts/eve").status == 204
    assert people.delete("/v1/accounts/eve").status == 404
    answer = people.delete("/v1/accounts/d")
    assert answer.status == 403 and "last account" in answer.json["message"]


def test_what_was_changed_is_stored_only_by_who_may_still_do_it(server, people):
    people.right("PUT", "/v1/accounts/eve", {"password": "long enough", "role": "release-manager"})
    eve = server.people("eve", "long enough")
    workspace, empty = eve.workspace(), eve.workspace()
    eve.change(workspace, add("feature", name="f1"))
    eve.upload("a.jar", java_bundle("a", "1.0.0"), workspace)
    people.right("PUT", "/v1/accounts/eve", {"role": "distribution-manager"})
    for answer in (eve.post(f"/v1/workspaces/{workspace}/commit"), eve.post(f"/client/work/{workspace}")):
        assert answer.status == 403 and "createArtifact" in answer.json["message"], answer
    assert people.right("GET", "/v1/objects?kind=feature")["count"] == 0
    eve.change(empty, add("distribution", name="d1"))
    eve.commit(empty)
    eve.right("POST", f"/v1/workspaces/{workspace}/revert")
    eve.right("POST", f"/v1/workspaces/{workspace}/checkout")
    eve.change(workspace, add("distribution", name="d2"))
    eve.commit(workspace)
    other = eve.workspace()
    eve.change(other, add("distribution", name="d3"))
    people.right("POST", f"/v1/workspaces/{other}/commit", {})  # who is asked is who stores
    assert [item["attributes"]["name"] for item in people.right("GET", "/v1/objects?kind=distribution")["items"]] == \
        ["d1", "d2", "d3"]


def test_sessions_and_workspaces_go_with_their_account_and_sessions_with_their_password(server, people):
    stranger = Caller(server.people_address)
    for account in ({"password": "long enough", "role": "admin"}, {"password": "other words", "role": "admin"}):
        people.right("PUT", "/v1/accounts/eve", account)
        token = stranger.post("/v1/session", {"name": "eve", "password": account["password"]}).json["token"]
        eve = Caller(server.people_address, f"Bearer {token}")
        workspace = eve.workspace()
        eve.change(workspace, add("feature", name="hidden"))
        people.right("PUT", "/v1/accounts/eve", {"password": "new and long"})
        assert eve.get("/v1/session").status == 401
        assert eve.post(f"/v1/workspaces/{workspace}/commit").status == 401
        assert people.get(f"/v1/workspaces/{workspace}").status == 200
        token = stranger.post("/v1/session", {"name": "eve", "password": "new and long"}).json["token"]
        assert people.delete("/v1/accounts/eve").status == 204
        assert Caller(server.people_address, f"Bearer {token}").get("/v1/session").status == 401
        people.right("PUT", "/v1/accounts/eve", {"password": "new and long", "role": "admin"})
        assert Caller(server.people_address, f"Bearer {token}").get("/v1/session").status == 401
        assert server.people("eve", "new and long").get(f"/v1/workspaces/{workspace}").status == 404
        people.delete("/v1/accounts/eve")
