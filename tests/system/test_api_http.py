"""The API as HTTP: paths, who asks, content types, watches, what clients get when something is wrong."""

import json
import re
import signal
import threading
import urllib.error
import urllib.request

import pytest

from control_plane import ControlPlane, config_map, pod
from conftest import wait_for

MAPS = "/api/v1/namespaces/default/configmaps"
PODS = "/api/v1/namespaces/default/pods"
ROOT = "kube-root-ca.crt"  # which every namespace is given
TABLE = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"}


@pytest.fixture(scope="module")
def plane():
    with ControlPlane() as running:
        yield running


def names(events):
    return [(event["type"], event["object"]["metadata"].get("name")) for event in events]


# -- paths and who asks


def test_health_and_version_are_for_everybody(plane):
    for path in ("/healthz", "/livez", "/readyz", "/readyz/etcd"):
        status, _, text = plane.exchange("GET", path, user=None)
        assert (status, text) == (200, "ok")
    assert "[+]etcd ok" in plane.exchange("GET", "/readyz?verbose", user=None)[2]
    assert plane.request("GET", "/version", user=None)[1]["major"] == "1"


def test_a_wrong_credential_is_401_and_none_is_403(plane):
    status, answer = plane.request("GET", PODS, user=None, headers={"Authorization": "Bearer nonsense-nonsense"})
    assert (status, answer["kind"], answer["reason"]) == (401, "Status", "Unauthorized")
    status, answer = plane.request("GET", PODS, user=None)
    assert status == 403
    assert answer["message"] == (
        'pods is forbidden: User "system:anonymous" cannot list resource "pods" in API group "" '
        'in the namespace "default"')
    status, answer = plane.request("GET", "/", user=None)
    assert (status, answer["message"]) == (403, 'forbidden: User "system:anonymous" cannot get path "/"')


def test_a_viewer_reads_but_neither_secrets_nor_writes(plane):
    assert plane.request("GET", PODS, user="viewer")[0] == 200
    status, answer = plane.request("GET", "/api/v1/secrets", user="viewer")
    assert status == 403
    assert 'User "looker" cannot list resource "secrets" in API group "" at the cluster scope' in answer["message"]
    assert plane.request("POST", MAPS, config_map("by-viewer"), user="viewer")[0] == 403
    assert plane.request("GET", "/api/v1/secrets?watch=1", user="viewer")[0] == 403


def test_a_node_changes_only_what_is_its_own(plane):
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-1"}}
    other = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-2"}}
    assert plane.request("POST", "/api/v1/nodes", node, user="node-1")[0] == 201
    assert plane.request("POST", "/api/v1/nodes", other, user="node-1")[0] == 403
    plane.create(PODS, pod("mine", nodeName="node-1"))
    plane.create(PODS, pod("theirs", nodeName="node-9"))
    patch = {"headers": {"Content-Type": "application/merge-patch+json"}, "user": "node-1"}
    body = {"status": {"phase": "Running"}}
    assert plane.request("PATCH", PODS + "/mine/status", body, **patch)[0] == 200
    assert plane.request("PATCH", PODS + "/theirs/status", body, **patch)[0] == 403
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "hidden"}}
    plane.create("/api/v1/namespaces/default/secrets", secret)
    assert plane.request("GET", "/api/v1/namespaces/default/secrets/hidden", user="node-1")[0] == 403
    plane.create(PODS, pod("reader", nodeName="node-1", volumes=[{"name": "s", "secret": {"secretName": "hidden"}}]))
    assert plane.request("GET", "/api/v1/namespaces/default/secrets/hidden", user="node-1")[0] == 200
    assert plane.request("GET", "/api/v1/secrets", user="node-1")[0] == 403


def test_unknown_paths_are_404_and_wrong_methods_405(plane):
    for path in ("/nothing", "/apis/no.such.group/v1/x"):
        status, headers, text = plane.exchange("GET", path)
        assert (status, text) == (404, "404 page not found\n")
    for path in ("/api/v2", "/api/v1/nothing", "/api/v1/namespaces/default/nodes", "/api/v1/pods/x", PODS + "/x/nothing"):
        status, answer = plane.request("GET", path)
        assert (status, answer["message"]) == (404, "the server could not find the requested resource")
    for method, path in (("POST", "/api/v1/pods"), ("PUT", PODS), ("DELETE", "/api/v1/pods"), ("POST", PODS + "/x")):
        status, answer = plane.request(method, path, {})
        assert (status, answer["reason"]) == (405, "MethodNotAllowed"), path
        assert answer["message"] == "the server does not allow this method on the requested resource"


@pytest.mark.parametrize("method, path, words", [
    ("GET", PODS + "/x/attach", "`kubectl logs -f POD`"),
    ("POST", PODS + "/x/portforward?ports=80", "`kubectl get pods -o wide`"),
    ("PATCH", PODS + "/x/ephemeralcontainers", "`inaetics exec POD COMMAND`"),
    ("GET", PODS + "/x/proxy/deep/below/it/and/further/still", "`kubectl get pods -o wide`"),
    ("GET", "/api/v1/namespaces/default/services/x:80/proxy/", "`kubectl get services`"),
    ("POST", "/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers", "coordinator scales"),
    ("GET", "/apis/autoscaling/v2/horizontalpodautoscalers", "coordinator scales"),
    ("GET", "/apis/autoscaling", "coordinator scales"),
])
def test_what_kubernetes_alone_has_is_404_in_words_that_name_what_is_here(plane, method, path, words):
    status, answer = plane.request(method, path, {} if method != "GET" else None)
    assert (status, answer["kind"], answer["reason"]) == (404, "Status", "NotFound")
    assert words in answer["message"] and " here" in answer["message"]
    assert plane.request(method, path, user=None)[0] == 403


@pytest.mark.parametrize("path", [PODS + "/attach", PODS + "/x/attached", MAPS + "/x/proxy", "/api/v1/pods/x/attach/y"])
def test_what_only_looks_like_it_is_plainly_not_there(plane, path):
    status, answer = plane.request("GET", path)
    assert status == 404 and " here" not in answer["message"]
    assert plane.exchange("GET", "/apis/autoscalings/v1")[2] == "404 page not found\n"


def test_head_answers_without_a_body(plane):
    status, headers, text = plane.exchange("HEAD", "/api/v1/namespaces/default")
    assert (status, text) == (200, "")


def test_plain_http_is_told_where_to_go(plane):
    with pytest.raises(urllib.error.HTTPError) as raised:
        urllib.request.urlopen(f"http://{plane.address}/api/v1/pods")
    answer = json.loads(raised.value.read())
    assert (raised.value.code, answer["kind"], answer["code"]) == (400, "Status", 400)
    assert f"https://{plane.address}" in answer["message"] and "kubeconfig" in answer["message"]


# -- content types


def test_answers_are_json_unless_nothing_but_another_type_will_do(plane):
    for accept in ("*/*", "application/*", "application/vnd.kubernetes.protobuf,application/json",
                   "application/json;as=Something;v=v1;g=meta.k8s.io, application/json;q=0.1"):
        status, headers, text = plane.exchange("GET", PODS, headers={"Accept": accept})
        assert (status, headers["Content-Type"]) == (200, "application/json")
        assert json.loads(text)["kind"] == "PodList"
    for accept in ("application/vnd.kubernetes.protobuf", "text/html", "application/json;q=0"):
        status, answer = plane.request("GET", PODS, headers={"Accept": accept})
        assert (status, answer["reason"]) == (406, "NotAcceptable")


def test_tables_are_for_those_who_prefer_them(plane):
    status, answer = plane.request("GET", "/api/v1/namespaces", headers=TABLE)
    assert answer["kind"] == "Table"
    assert [column["name"] for column in answer["columnDefinitions"]] == ["Name", "Status", "Age"]
    assert "default" in [row["cells"][0] for row in answer["rows"]]
    headers = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io;q=0.5,application/json"}
    assert plane.request("GET", "/api/v1/namespaces", headers=headers)[1]["kind"] == "NamespaceList"
    headers = {"Accept": "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"}
    assert plane.request("GET", "/api/v1/namespaces", headers=headers)[1]["kind"] == "PartialObjectMetadataList"
    status, answer = plane.request("GET", MAPS + "/missing", headers=TABLE)
    assert (status, answer["kind"]) == (404, "Status")


def test_bodies_of_other_types_are_415(plane):
    for kind in ("application/vnd.something", "text/plain", "application/yaml"):
        status, answer = plane.request("POST", MAPS, "x: y", headers={"Content-Type": kind})
        assert (status, answer["reason"]) == (415, "UnsupportedMediaType")
    plane.create(MAPS, config_map("patched"))
    status, answer = plane.request("PATCH", MAPS + "/patched", {}, headers={"Content-Type": "application/json"})
    assert status == 415 and "application/merge-patch+json" in answer["message"]
    assert "server-side" not in answer["message"]
    status, answer = plane.request("PATCH", MAPS + "/x", {}, headers={"Content-Type": "application/apply-patch+yaml"})
    assert (status, answer["reason"]) == (415, "UnsupportedMediaType")
    assert "use plain `kubectl apply`, without --server-side" in answer["message"]


def test_pretty_answers_are_indented(plane):
    assert plane.exchange("GET", MAPS)[2].count("\n") == 1
    assert "\n  \"kind\": \"ConfigMapList\"" in plane.exchange("GET", MAPS + "?pretty=true")[2]
    assert plane.exchange("GET", MAPS, headers={"User-Agent": "curl/8"})[2].count("\n") > 1


def test_items_of_a_list_do_not_repeat_its_kind(plane):
    plane.create(MAPS, config_map("bare"))
    for path in (MAPS, MAPS + "?pretty=true"):
        answer = plane.request("GET", path)[1]
        assert (answer["kind"], answer["apiVersion"]) == ("ConfigMapList", "v1")
        assert all("kind" not in item and "metadata" in item for item in answer["items"])


def test_fields_that_are_not_honoured_come_back_as_warnings(plane):
    body = pod("warned", schedulerName="another")
    status, headers, text = plane.exchange("POST", PODS, body)
    warnings = headers.get_all("Warning") or []
    if status == 201:
        assert all(re.fullmatch(r'299 - ".*"', warning) for warning in warnings)
    else:
        assert status == 422, text


# -- options


def test_a_dry_run_changes_nothing(plane):
    assert plane.request("POST", MAPS + "?dryRun=All", config_map("dry"))[0] == 201
    assert plane.request("GET", MAPS + "/dry")[0] == 404
    status, answer = plane.request("POST", MAPS + "?dryRun=Some", config_map("dry"))
    assert (status, answer["reason"]) == (422, "Invalid")


def test_lists_come_in_pages(plane):
    for i in range(5):
        plane.create("/api/v1/namespaces/kube-public/configmaps", config_map(f"page-{i}"))
    path, seen = "/api/v1/namespaces/kube-public/configmaps?limit=2", []
    token = ""
    while True:
        answer = plane.request("GET", path + token)[1]
        seen += [item["metadata"]["name"] for item in answer["items"]]
        if not answer["metadata"].get("continue"):
            break
        assert len(answer["items"]) == 2
        token = "&continue=" + answer["metadata"]["continue"]
    assert [name for name in seen if name.startswith("page-")] == [f"page-{i}" for i in range(5)]
    assert plane.request("GET", MAPS + "?limit=x")[0] == 400
    assert plane.request("GET", MAPS + "?continue=nonsense")[0] in (400, 410)
    assert plane.request("GET", MAPS + "?labelSelector=a%20b%20c")[0] == 400
    assert plane.request("GET", PODS + "?fieldSelector=spec.nothing%3Dx")[0] == 400


# -- watches


def test_a_watch_from_a_revision_tells_what_follows(plane):
    made = plane.create(MAPS, config_map("watched"))
    with plane.watch(f"{MAPS}?watch=true&resourceVersion={made['metadata']['resourceVersion']}") as watch:
        plane.request("PUT", MAPS + "/watched", config_map("watched", "2"))
        plane.request("DELETE", MAPS + "/watched")
        events = watch.until(lambda event: event["type"] == "DELETED")
        mine = [event for event in events if event["object"]["metadata"]["name"] == "watched"]
        assert [event["type"] for event in mine] == ["MODIFIED", "DELETED"]
        assert mine[0]["object"]["data"] == {"value": "2"} and mine[0]["object"]["kind"] == "ConfigMap"
        versions = [int(event["object"]["metadata"]["resourceVersion"]) for event in events]
        assert versions == sorted(versions)


def test_a_watch_without_a_revision_begins_with_what_is_there(plane):
    plane.create(MAPS, config_map("there"))
    for path in (MAPS + "?watch=1", MAPS + "?watch=1&resourceVersion=0", MAPS.replace("/v1/", "/v1/watch/")):
        with plane.watch(path) as watch:
            assert ("ADDED", "there") in names(watch.until(lambda e: e["object"]["metadata"]["name"] == "there"))


def test_initial_events_end_with_a_bookmark(plane):
    plane.create(MAPS, config_map("initial"))
    path = MAPS + "?watch=1&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan"
    with plane.watch(path) as watch:
        events = watch.until(lambda event: event["type"] == "BOOKMARK")
    assert ("ADDED", "initial") in names(events)
    assert events[-1]["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


def test_a_watch_ends_when_its_time_is_over_with_a_bookmark_for_those_who_asked(plane):
    with plane.watch(MAPS + "?watch=1&resourceVersion=0&timeoutSeconds=1&allowWatchBookmarks=true") as watch:
        events = watch.until(lambda event: event["type"] == "BOOKMARK")
        assert watch.next() is None
    assert int(events[-1]["object"]["metadata"]["resourceVersion"]) > 0
    assert events[-1]["object"]["kind"] == "ConfigMap"


def test_a_watch_for_less_than_no_time_ends_at_once(plane):
    for path in (MAPS + "?watch=1&timeoutSeconds=-1", MAPS + "?watch=1&resourceVersion=0&timeoutSeconds=-9000000000"):
        with plane.watch(path) as watch:
            assert watch.next() is None


def test_objects_that_leave_the_selection_are_deleted_and_those_that_come_in_added(plane):
    made = plane.create(MAPS, config_map("moving", labels={"side": "left"}))
    version = made["metadata"]["resourceVersion"]
    with plane.watch(f"{MAPS}?watch=1&labelSelector=side%3Dleft&resourceVersion={version}") as watch:
        plane.request("PUT", MAPS + "/moving", config_map("moving", "2", {"side": "right"}))
        event = watch.next()
        assert (event["type"], event["object"]["metadata"]["labels"]) == ("DELETED", {"side": "left"})
        assert int(event["object"]["metadata"]["resourceVersion"]) > int(version)
        plane.request("PUT", MAPS + "/moving", config_map("moving", "3", {"side": "left"}))
        event = watch.next()
        assert (event["type"], event["object"]["data"]) == ("ADDED", {"value": "3"})
        plane.request("PUT", MAPS + "/moving", config_map("moving", "4", {"side": "left"}))
        assert watch.next()["type"] == "MODIFIED"
        plane.request("DELETE", MAPS + "/moving")
        assert watch.next()["type"] == "DELETED"


def test_a_watch_of_fields_tells_only_of_those(plane):
    with plane.watch(PODS + "?watch=1&fieldSelector=spec.nodeName%3Dnode-7&resourceVersion=0") as watch:
        plane.create(PODS, pod("elsewhere", nodeName="node-8"))
        plane.create(PODS, pod("here", nodeName="node-7"))
        event = watch.next()
        assert (event["type"], event["object"]["metadata"]["name"]) == ("ADDED", "here")


def test_a_revision_that_is_too_old_or_none_is_told(plane):
    with plane.watch(MAPS + "?watch=1&resourceVersion=999999999") as watch:
        event = watch.next()
        assert (event["type"], event["object"]["code"], event["object"]["reason"]) == ("ERROR", 410, "Expired")
        assert watch.next() is None
    status, answer = plane.request("GET", MAPS + "?watch=1&resourceVersion=abc")
    assert (status, answer["reason"]) == (422, "Invalid")


def test_a_watch_gives_tables_with_one_row_and_its_columns_once(plane):
    with plane.watch("/api/v1/namespaces?watch=1&resourceVersion=0", headers=TABLE) as watch:
        first, second = watch.next(), watch.next()
        assert first["object"]["kind"] == second["object"]["kind"] == "Table"
        assert first["object"]["columnDefinitions"] and not second["object"]["columnDefinitions"]
        assert len(first["object"]["rows"]) == 1


# -- reviews


def test_one_may_ask_what_one_may_and_who_one_is(plane):
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"

    def may(user, verb, resource, group=""):
        review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
                  "spec": {"resourceAttributes": {"verb": verb, "resource": resource, "group": group,
                                                  "namespace": "default"}}}
        status, answer = plane.request("POST", path, review, user=user)
        assert status == 201
        return answer["status"]["allowed"]

    assert may("admin", "delete", "pods") and may("viewer", "list", "pods")
    assert not may("viewer", "delete", "pods") and not may("viewer", "get", "secrets")
    answer = plane.request("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", {}, user="viewer")[1]
    assert answer["status"]["userInfo"]["username"] == "looker"


def in_protobuf(group, kind, content):
    """A body as clients in Go send it, newer kubectl among them."""
    def field(number, value):
        return bytes([number << 3 | 2, len(value)]) + value
    kinds = field(1, f"{group}/v1".encode()) + field(2, kind.encode())
    return b"k8s\0" + field(1, kinds) + field(2, field(1, b"") + (field(2, field(1, content)) if content else b""))


RULES = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"


def rules(plane, user):
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview", "spec": {"namespace": "default"}}
    status, answer = plane.request("POST", RULES, review, user=user)
    assert status == 201 and answer["kind"] == "SelfSubjectRulesReview"
    return answer["status"]


def test_all_that_one_may_is_listed(plane):
    everything = rules(plane, "admin")
    assert everything["resourceRules"] == [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]
    assert everything["incomplete"] is False and "evaluationError" not in everything
    listed = rules(plane, "viewer")
    reading = {rule["resources"][0]: rule["verbs"] for rule in listed["resourceRules"] if rule["apiGroups"] == [""]}
    assert reading["pods"] == ["get", "list", "watch"] and reading["pods/log"] == ["get"]
    assert "secrets" not in reading and "pods/exec" not in reading
    assert {verb for verbs in reading.values() for verb in verbs} == {"get", "list", "watch"}
    assert {"verbs": ["get"], "nonResourceURLs": ["*"]} in listed["nonResourceRules"] and listed["incomplete"] is False


def test_what_a_node_may_only_with_its_own_is_listed_by_name(plane):
    listed = rules(plane, "node-1")
    about = [rule for rule in listed["resourceRules"] if rule["resources"] == ["nodes"] and rule["apiGroups"] == [""]]
    assert about == [{"verbs": ["get", "list", "watch", "create"], "apiGroups": [""], "resources": ["nodes"]},
                     {"verbs": ["update", "patch"], "apiGroups": [""], "resources": ["nodes"], "resourceNames": ["node-1"]}]
    assert listed["incomplete"] is True and "run on it" in listed["evaluationError"]


def test_reviews_are_asked_for_in_protobuf_too(plane):
    headers = {"Content-Type": "application/vnd.kubernetes.protobuf"}
    body = in_protobuf("authentication.k8s.io", "SelfSubjectReview", b"")
    status, answer = plane.request("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", body, headers=headers)
    assert status == 201 and answer["kind"] == "SelfSubjectReview"
    assert "system:masters" in answer["status"]["userInfo"]["groups"]
    body = in_protobuf("authorization.k8s.io", "SelfSubjectRulesReview", b"default")
    status, answer = plane.request("POST", RULES, body, headers=headers)
    assert status == 201 and answer["kind"] == "SelfSubjectRulesReview" and answer["spec"] == {"namespace": "default"}
    assert answer["status"]["resourceRules"][0]["verbs"] == ["*"]


def test_rules_are_asked_for_in_a_namespace_by_those_who_are_known(plane):
    for body in ({}, {"spec": None}, {"spec": {"namespace": 7}}, {"spec": []}):
        status, answer = plane.request("POST", RULES, body)
        assert (status, answer["message"]) == (400, "no namespace on request")
    assert plane.request("GET", RULES)[0] == 405
    assert plane.request("POST", RULES, {"spec": {"namespace": "default"}}, user=None)[0] == 403


def test_tokens_of_service_accounts_are_good_as_long_as_the_account(plane):
    accounts = "/api/v1/namespaces/default/serviceaccounts"
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "viewer"}}
    plane.create(accounts, account)
    status, answer = plane.request("POST", accounts + "/viewer/token", {
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": []}})
    assert status == 201, answer
    header = {"Authorization": f"Bearer {answer['status']['token']}"}
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
              "spec": {"token": answer["status"]["token"]}}
    told = plane.request("POST", "/apis/authentication.k8s.io/v1/tokenreviews", review)[1]["status"]
    assert told["authenticated"] and told["user"]["username"] == "system:serviceaccount:default:viewer"
    assert plane.request("GET", PODS, user=None, headers=header)[0] == 200
    assert plane.request("POST", MAPS, config_map("x"), user=None, headers=header)[0] == 403
    changed = {"Authorization": header["Authorization"][:-2] + ("AA" if not header["Authorization"].endswith("AA") else "BB")}
    assert plane.request("GET", PODS, user=None, headers=changed)[0] == 401
    plane.request("DELETE", accounts + "/viewer")
    wait_for(lambda: plane.request("GET", accounts + "/viewer")[0] == 404, "the account is gone")
    assert plane.request("GET", PODS, user=None, headers=header)[0] == 401


def test_nodes_get_tokens_of_their_own_pods_accounts_only(plane):
    accounts = "/api/v1/namespaces/default/serviceaccounts"
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": []}}
    for name in ("used", "powerful"):
        plane.create(accounts, {"apiVersion": "v1", "kind": "ServiceAccount",
                                "metadata": {"name": name, "annotations": {"inaetics.org/role": "admin"}}})
    for name in ("used", "powerful"):
        status, answer = plane.request("POST", f"{accounts}/{name}/token", request, user="node-1")
        assert (status, answer["reason"]) == (403, "Forbidden") and "no pod of this node uses it" in answer["message"]
    plane.create(PODS, pod("of-an-account", nodeName="node-1", serviceAccountName="used"))
    assert plane.request("POST", f"{accounts}/used/token", request, user="node-1")[0] == 201
    assert plane.request("POST", f"{accounts}/powerful/token", request, user="node-1")[0] == 403
    plane.request("DELETE", PODS + "/of-an-account?gracePeriodSeconds=0")
    for name in ("used", "powerful"):
        plane.request("DELETE", f"{accounts}/{name}")


# -- pods without a node


def test_logs_and_commands_of_what_is_not_there_are_refused_in_kubernetes_words(plane):
    assert plane.request("GET", PODS + "/none/log")[0] == 404
    two = pod("two", nodeName="node-away")
    two["spec"]["containers"].append({"name": "second", "image": "example:1"})
    plane.create(PODS, two)
    status, answer = plane.request("GET", PODS + "/two/log")
    assert (status, answer["message"]) == (
        400, "a container name must be specified for pod two, choose one of: [main second]")
    status, answer = plane.request("GET", PODS + "/two/log?container=third")
    assert (status, answer["message"]) == (400, "container third is not valid for pod two")
    assert plane.request("GET", PODS + "/two/log?container=main")[0] == 500
    plane.create(PODS, pod("waiting"))
    status, _, text = plane.exchange("GET", PODS + "/waiting/log")
    assert (status, text) == (204, "")
    status, answer = plane.request("POST", PODS + "/two/exec?container=main&command=ls",
                                   headers={"Upgrade": "SPDY/3.1", "Connection": "Upgrade"})
    assert status == 400 and "WebSocket" in answer["message"] and "inaetics exec" in answer["message"]
    assert plane.request("GET", PODS + "/two/exec?command=ls", user="viewer")[0] == 403


# -- the control plane and etcd come and go


def test_watches_go_on_after_the_control_plane_was_killed():
    with ControlPlane() as plane:
        made = plane.create(MAPS, config_map("before"))
        plane.create(MAPS, config_map("between"))
        plane.stop(9)
        plane.start()
        with plane.watch(f"{MAPS}?watch=1&resourceVersion={made['metadata']['resourceVersion']}") as watch:
            plane.create(MAPS, config_map("after"))
            told = names(watch.until(lambda e: e["object"]["metadata"]["name"] == "after"))
            assert [one for one in told if one[1] != ROOT] == [("ADDED", "between"), ("ADDED", "after")]


def test_the_api_is_not_ready_soon_after_etcd_hangs():
    with ControlPlane() as plane:
        plane.create(MAPS, config_map("kept"))
        assert plane.exchange("GET", "/readyz")[0] == 200
        late = threading.Thread(target=plane.request, args=("POST", MAPS, config_map("late")))
        plane.etcd.send_signal(signal.SIGSTOP)
        try:
            late.start()
            wait_for(lambda: plane.exchange("GET", "/readyz")[0] == 500, "it is seen that etcd hangs")
            assert late.is_alive()  # nothing failed yet: the answer is only late
            assert plane.exchange("GET", "/readyz/etcd")[0] == 500
            assert plane.exchange("GET", "/livez")[0] == 200
            assert plane.request("GET", MAPS + "/kept")[0] == 200
        finally:
            plane.etcd.send_signal(signal.SIGCONT)
            late.join()
        wait_for(lambda: plane.exchange("GET", "/readyz")[0] == 200, "etcd is back")


def test_without_etcd_reads_go_on_and_writes_say_that_they_failed():
    with ControlPlane() as plane:
        plane.create(MAPS, config_map("kept"))
        with plane.watch(MAPS + "?watch=1&resourceVersion=0") as watch:
            watch.until(lambda e: e["object"]["metadata"]["name"] == "kept")
            plane.kill_etcd()
            wait_for(lambda: plane.exchange("GET", "/readyz")[0] == 500, "it is seen that etcd is away")
            assert plane.exchange("GET", "/livez")[0] == 200
            assert plane.request("GET", MAPS + "/kept")[0] == 200
            status, answer = plane.request("POST", MAPS, config_map("lost"))
            assert status >= 500 and answer["kind"] == "Status"
            plane.start_etcd()
            wait_for(lambda: plane.exchange("GET", "/readyz")[0] == 200, "etcd is back")
            plane.create(MAPS, config_map("new"))
            told = names(watch.until(lambda e: e["object"]["metadata"]["name"] == "new"))
            assert {one[1] for one in told} <= {ROOT, "new", "lost"}
