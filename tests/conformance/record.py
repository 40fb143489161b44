#!/usr/bin/python3
"""Records the answers of a real Kubernetes 1.20.2 to all requests of the tables.

    record.py SERVER PKI [TABLE...]

SERVER   where it is, such as 127.0.0.1:6443
PKI      its certificates: ca.crt, ca.key (to sign the users of the tests) and
         admin.crt, admin.key
TABLE    those to record anew (default: all of scenarios/)

It should take the time of Kubernetes' own defaults: tolerations of 300 s."""

import argparse
import json
import pathlib
import tempfile

import client
import node
import replay
import users
from scenarios import BY_TABLE

RECORDED = pathlib.Path(__file__).parent / "recorded"
ROLE = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRoleBinding",
    "metadata": {"name": "conformance-viewer"},
    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
    "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "viewer"}],
}


def without_owners(value):
    """Who set which field is not compared, and large."""
    if isinstance(value, dict):
        return {key: without_owners(one) for key, one in value.items() if key != "managedFields"}
    return [without_owners(one) for one in value] if isinstance(value, list) else value


def record(server, tables):
    RECORDED.mkdir(exist_ok=True)
    for table in tables:
        answers = {}
        for name, listed in BY_TABLE[table].items():
            print(f"{table}: {name}", flush=True)
            answers[name] = without_owners(replay.run(server, name, listed))
        text = json.dumps(answers, indent=1, ensure_ascii=False)
        (RECORDED / f"{table}.json").write_text(text + "\n", encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("server", metavar="SERVER")
    parser.add_argument("pki", metavar="PKI", type=pathlib.Path)
    parser.add_argument("table", metavar="TABLE", nargs="*")
    options = parser.parse_args()
    address, port = options.server.rsplit(":", 1)
    with tempfile.TemporaryDirectory() as folder:
        server = client.Server(address, int(port), options.pki / "ca.crt", users.of_kubernetes(options.pki, pathlib.Path(folder)))
        client.request(server, "admin", "POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
                       {"Content-Type": "application/json"}, json.dumps(ROLE))
        with node.Node(server):
            record(server, options.table or BY_TABLE)


if __name__ == "__main__":
    main()
