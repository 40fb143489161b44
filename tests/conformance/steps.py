"""The vocabulary of the request tables in scenarios/.

A scenario is a list of steps under a name, in a namespace of its own; a step
is one request. Nothing here talks to a server: replay.py does.

Paths:   "v1:pods/a"                  below /api/v1/namespaces/NAMESPACE/
         "apps/v1:deployments/a"      below /apis/apps/v1/namespaces/NAMESPACE/
         "/version"                   as it stands
Strings: ${namespace} and what earlier steps captured are replaced, in paths
         and in bodies."""

import copy
import dataclasses


@dataclasses.dataclass
class Step:
    name: str
    method: str
    path: str
    body: object = None  # dict or list: sent as JSON; str or bytes: as they stand; Edited
    content_type: str = None  # default: application/json where there is a body
    accept: str = None
    user: str = "admin"  # admin, viewer, stranger (no role), nobody (no credentials), impostor (wrong token)
    capture: dict = None  # variable -> path in the answer, such as "metadata.resourceVersion"
    until: dict = None  # path -> value, ... is any: repeat (GET only) until the answer has them
    stream: str = None  # "read": a watch, read to its end; "open": one that a later step collects
    collect: tuple = None  # (name of the step that opened the watch, number of events)
    headers: dict = None


@dataclasses.dataclass
class Edited:
    """The answer to an earlier step, with changes: path -> value, None removes."""

    step: str
    changes: dict


def get(name, path, **more):
    return Step(name, "GET", path, **more)


def post(name, path, body, **more):
    return Step(name, "POST", path, body, **more)


def put(name, path, body, **more):
    return Step(name, "PUT", path, body, **more)


def delete(name, path, body=None, **more):
    return Step(name, "DELETE", path, body, **more)


PATCHES = {
    "json": "application/json-patch+json",
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
}


def patch(name, kind, path, body, **more):
    return Step(name, "PATCH", path, body, content_type=PATCHES.get(kind, kind), **more)


def watch(name, path, seconds=1, **more):
    """All events up to the time limit that the server itself keeps."""
    joint = "&" if "?" in path else "?"
    return Step(name, "GET", f"{path}{joint}watch=true&timeoutSeconds={seconds}", stream="read", **more)


def open_watch(name, path):
    joint = "&" if "?" in path else "?"
    return Step(name, "GET", f"{path}{joint}watch=true&timeoutSeconds=60", stream="open")


def events(name, opened, count):
    return Step(name, "EVENTS", "", collect=(opened, count))


TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
TABLE_KUBECTL = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json"


# -- objects

def metadata(name, labels=None, **more):
    result = {"name": name} if name else {}
    if labels:
        result["labels"] = labels
    return result | more


def container(name="main", image="test/shell:1", **more):
    return {"name": name, "image": image} | more


def pod_spec(*containers, **more):
    """A pod that no scheduler and no controller touches, without the volume of a token."""
    return {
        "schedulerName": "nobody",
        "automountServiceAccountToken": False,
        "containers": list(containers) or [container()],
    } | more


def pod(name, *containers, labels=None, meta=None, **spec):
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata(name, labels, **(meta or {})),
        "spec": pod_spec(*containers, **spec),
    }


def configmap(name, data=None, labels=None, **meta):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata(name, labels, **meta), "data": data or {"key": "value"}}


def replication_controller(name, replicas=0, *containers, **spec):
    return {
        "apiVersion": "v1",
        "kind": "ReplicationController",
        "metadata": metadata(name, {"name": name}),
        "spec": {
            "replicas": replicas,
            "selector": {"name": name},
            "template": {"metadata": {"labels": {"name": name}}, "spec": pod_spec(*containers)},
        } | spec,
    }


def workload(kind, name, replicas=0, *containers, **spec):
    """A Deployment, ReplicaSet or StatefulSet."""
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": metadata(name, {"name": name}),
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"name": name}},
            "template": {"metadata": {"labels": {"name": name}}, "spec": pod_spec(*containers)},
        } | spec,
    }


def service(name, *ports, **spec):
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(name),
        "spec": {"selector": {"name": name}, "ports": list(ports) or [{"port": 80}]} | spec,
    }


# -- paths within objects

def parts(path):
    return path if isinstance(path, tuple) else tuple(path.split("."))


def find(value, path):
    """What stands at a path; None when nothing does."""
    for part in parts(path):
        if isinstance(value, list):
            value = value[int(part)] if part.lstrip("-").isdigit() and -len(value) <= int(part) < len(value) else None
        elif isinstance(value, dict):
            value = value.get(part)
        else:
            return None
    return value


def edit(value, changes):
    """A copy of value with the changes of an Edited."""
    value = copy.deepcopy(value)
    for path, new in changes.items():
        *way, last = parts(path)
        place = value
        for part in way:
            place = place[int(part)] if isinstance(place, list) else place.setdefault(part, {})
        key = int(last) if isinstance(place, list) else last
        if new is not None:
            place[key] = new
        elif isinstance(place, list) or key in place:
            del place[key]
    return value
