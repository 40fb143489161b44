"""What is served, and what is not."""

from steps import delete, get, post, put

SCENARIOS = {
    "discovery": [
        get("the versions of the core", "/api"),
        get("the core's resources", "/api/v1"),
        get("all groups", "/apis"),
        get("group apps", "/apis/apps"),
        get("apps/v1's resources", "/apis/apps/v1"),
        get("group coordination", "/apis/coordination.k8s.io"),
        get("coordination's resources", "/apis/coordination.k8s.io/v1"),
        get("with a slash at the end", "/apis/apps/v1/"),
        get("as new kubectl asks", "/api", accept=(
            "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,"
            "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json")),
        get("all groups as new kubectl asks", "/apis", accept=(
            "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,"
            "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json")),
        get("the version", "/version"),
        get("the version without credentials", "/version", user="nobody"),
    ],
    "health": [
        get("healthz", "/healthz"),
        get("livez", "/livez"),
        get("readyz", "/readyz"),
        get("livez of one check", "/livez/ping"),
        get("a check that is not there", "/livez/nonsense"),
        get("healthz without credentials", "/healthz", user="nobody"),
        get("healthz with a query", "/healthz?timeout=32s"),
    ],
    "unknown paths": [
        get("a path", "/nonsense"),
        get("a version of the core", "/api/v2"),
        get("a group", "/apis/nonsense"),
        get("a version of a group", "/apis/apps/v9"),
        get("a resource of the core", "/api/v1/nonsense"),
        get("a resource of apps", "/apis/apps/v1/nonsense"),
        get("a resource in a namespace", "v1:nonsense"),
        get("an object of an unknown resource", "v1:nonsense/a"),
        get("an unknown subresource", "v1:pods/a/nonsense"),
        get("an unknown subresource of a namespace", "/api/v1/namespaces/default/nonsense/a/b"),
        get("a namespaced resource of another group", "apps/v1:pods"),
        get("a group of custom resources that nobody defined", "/apis/example.org/v1/things"),
        post("creating what is unknown", "v1:nonsense", {"kind": "Nonsense", "apiVersion": "v1"}),
        get("a path without credentials", "/nonsense", user="nobody"),
    ],
    "methods that are not allowed": [
        put("replacing a list", "v1:configmaps", {"kind": "ConfigMap", "apiVersion": "v1"}),
        post("creating at an object", "v1:configmaps/a", {"kind": "ConfigMap", "apiVersion": "v1"}),
        delete("deleting all services", "v1:services"),
        delete("deleting a status", "v1:pods/a/status"),
        post("creating a scale", "v1:replicationcontrollers/a/scale", {"kind": "Scale", "apiVersion": "autoscaling/v1"}),
        get("reading bindings", "v1:bindings"),
        get("reading a binding", "v1:pods/a/binding"),
        delete("deleting all namespaces", "/api/v1/namespaces"),
        post("a post to discovery", "/api/v1", {}),
        post("a post to the version", "/version", {}),
    ],
    "media types of answers": [
        get("anything", "v1:configmaps/nonsense", accept="*/*"),
        get("any application type", "v1:configmaps/nonsense", accept="application/*"),
        get("json with a charset", "v1:configmaps/nonsense", accept="application/json;charset=utf-8"),
        get("json among others", "v1:configmaps/nonsense", accept="text/html, application/json;q=0.9, */*;q=0.8"),
        get("what is not served", "v1:configmaps", accept="application/xml"),
        get("a table of an unknown version", "v1:configmaps", accept="application/json;as=Table;v=v9;g=meta.k8s.io"),
        get("an unknown transformation", "v1:configmaps", accept="application/json;as=Chair;v=v1;g=meta.k8s.io"),
        get("a pretty answer", "v1:configmaps/nonsense?pretty=true"),
        get("the metadata of a list alone", "v1:configmaps?labelSelector=none%3Dhere",
            accept="application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"),
    ],
}
