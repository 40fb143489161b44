"""What the whole cluster with the demonstrator on it is doing."""
from conftest import wait_for
from dashboard import stored


def nodes(instance):
    """Whether Kubernetes calls each node ready, by name."""
    return {node["metadata"]["name"]: ready(node) for node in instance.api("GET", "/api/v1/nodes")[1]["items"]}


def ready(thing):
    return any(one["type"] == "Ready" and one["status"] == "True" for one in thing["status"].get("conditions", []))


def settled(instance):
    """Names of all pods, once every controller has as many ready ones as it wants."""
    def look():
        controllers = instance.api("GET", "/api/v1/namespaces/default/replicationcontrollers")[1]["items"]
        pods = instance.pods()
        wanted = sum(one["spec"]["replicas"] for one in controllers)
        return sorted(pods) if len(pods) == wanted and all(ready(pod) for pod in pods.values()) else None
    return wait_for(look, "all pods that are wanted are ready")


def flows(instance, why):
    before = stored(instance)
    wait_for(lambda: stored(instance) > before, f"results are stored {why}")
