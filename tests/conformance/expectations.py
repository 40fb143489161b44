"""What Kubernetes 1.20.2 does not serve: expectations by hand, from newer ones' documentation and from our own.

Each scenario is a list of (step, expected): path in {status, headers, body, events}
-> value; ... is anything that is there, a pattern is searched for, None is what is not there."""

import re

from steps import TABLE, Step, configmap, get, patch, pod, post, put, watch

UNKNOWN = configmap("a") | {"nonsense": 1}
BOOKMARK = {"status": 200, "events.-1.type": "BOOKMARK", "events.-1.object.kind": "ConfigMap",
            "events.-1.object.apiVersion": "v1", "events.-1.object.metadata.resourceVersion": re.compile(r"^\d+$"),
            "events.-1.object.data": None}
APPLICATION = {"apiVersion": "inaetics.org/v1", "kind": "Application", "metadata": {"name": "a"}, "spec": {}}

EXPECTATIONS = {
    # KEP-2885, in Kubernetes since 1.25
    "field validation": [
        (post("strict", "v1:configmaps?fieldValidation=Strict", UNKNOWN), {
            "status": 400, "body.reason": "BadRequest", "body.code": 400,
            "body.message": re.compile('strict decoding error: unknown field "nonsense"')}),
        (post("strict, deep inside", "v1:pods?fieldValidation=Strict", pod("a", {"name": "main", "image": "a", "nonsense": 1})), {
            "status": 400, "body.message": re.compile(r'unknown field "spec\.containers\[0\]\.nonsense"')}),
        (post("warn", "v1:configmaps?fieldValidation=Warn&dryRun=All", UNKNOWN), {
            "status": 201, "headers.warning": re.compile('299 - "unknown field \\\\"nonsense\\\\""'), "body.nonsense": None}),
        (post("ignore", "v1:configmaps?fieldValidation=Ignore", UNKNOWN), {
            "status": 201, "headers.warning": None, "body.nonsense": None}),
        (post("strict with nothing unknown", "v1:configmaps?fieldValidation=Strict", configmap("b")), {"status": 201}),
        (put("strict update", "v1:configmaps/a?fieldValidation=Strict", UNKNOWN), {"status": 400}),
        (patch("strict patch", "merge", "v1:configmaps/a?fieldValidation=Strict", {"nonsense": 1}), {"status": re.compile("^(400|422)$")}),
        (patch("strict strategic patch", "strategic", "v1:configmaps/a?fieldValidation=Strict", {"data": {"key": "second"}}), {"status": 200}),
    ],
    "bookmarks": [
        (post("create", "v1:configmaps", configmap("a", labels={"x": "y"}), capture={"rv": "metadata.resourceVersion"}), {"status": 201}),
        (watch("before its end a watch says how far it has come",
               "v1:configmaps?labelSelector=x&resourceVersion=${rv}&allowWatchBookmarks=true", 5), BOOKMARK),
    ],
    "metrics": [
        (get("the group", "/apis/metrics.k8s.io/v1beta1"), {"status": 200, "body.kind": "APIResourceList"}),
        (get("of nodes", "/apis/metrics.k8s.io/v1beta1/nodes"), {"status": 200, "body.kind": "NodeMetricsList", "body.items": []}),
        (get("of pods", "/apis/metrics.k8s.io/v1beta1/namespaces/${namespace}/pods"), {"status": 200, "body.kind": "PodMetricsList", "body.items": []}),
        (get("of a pod that is not there", "/apis/metrics.k8s.io/v1beta1/namespaces/${namespace}/pods/nonsense"), {"status": 404, "body.reason": "NotFound"}),
    ],
    "applications": [
        (get("the group", "/apis/inaetics.org/v1"), {"status": 200, "body.kind": "APIResourceList", "body.groupVersion": "inaetics.org/v1"}),
        (get("the list", "inaetics.org/v1:applications"), {"status": 200, "body.kind": "ApplicationList", "body.items": []}),
        (get("its table", "inaetics.org/v1:applications", accept=TABLE), {"status": 200, "body.kind": "Table", "body.columnDefinitions.0.name": "Name"}),
        (get("one that is not there", "inaetics.org/v1:applications/a"), {
            "status": 404, "body.message": 'applications.inaetics.org "a" not found', "body.details.group": "inaetics.org"}),
    ],
    "what is not spoken here": [
        (get("protobuf, or json", "v1:configmaps", accept="application/vnd.kubernetes.protobuf,application/json"), {
            "status": 200, "headers.content-type": "application/json"}),
        (Step("a method that nobody knows", "BREW", "v1:configmaps"), {"status": 405}),
    ],
}
