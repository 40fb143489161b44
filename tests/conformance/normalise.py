"""Takes out of answers what must differ from server to server, and nothing else.

Applied to both sides alike. All that is replaced stands here:

  <version>     resource versions
  <uid>         uids, wherever they occur
  <time>        times of today's kind, whole strings only (an age in a table: <age>)
  <suffix>      the end of a name that the server chose (generateName, token secrets)
  <object>      a whole object in a message, which names who set what and when
  <hash>        hashes of pod templates, in labels, names and revisions
  <address>     service addresses; <port> node ports
  <token>       tokens of service accounts and of pages; <certificate> certificates
  users are called by the names that the tables have for them
  status.observedGeneration is dropped: controllers follow a change soon, and steps that wait for that
  check it themselves
  managedFields is dropped: who set a field is not part of what is compared
  lists of discovery are compared by name, in any order"""

import re

UID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
AGE = re.compile(r"(\d+[ydhms])+")
CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.*-----END CERTIFICATE-----\n*", re.DOTALL)
TOKEN_SECRET = re.compile(r"\b([a-z0-9-]+-token)-[a-z0-9]{5}\b")
SERVICE_ADDRESS = re.compile(r"\b(?:10\.96|10\.3|127\.\d*3)\.\d{1,3}\.\d{1,3}\b")
NODE_PORT = re.compile(r"(?<=:)3[0-2]\d{3}(?=/)")
INVALID_NAME = re.compile(r"(?<=\bMade_)[a-z0-9]{5}\b")
OBJECT = re.compile(r'(?<=Invalid value: )"\{.*\}"(?=: )', re.DOTALL)
RECORD = re.compile(r"(?<=ResourceVersion in record \()\d+(?=\))")
REPLICA_SET = re.compile(r'(?<=ReplicaSet ")([a-z0-9-]+)-[a-z0-9]{5,10}(?=")')
TOO_OLD = re.compile(r"(?<=too old resource version: )\d+ \(\d+\)")
SENT_TIMES = ("2020-01-01T", "2001-01-01T")  # those of the requests stay
HASH_LABELS = ("pod-template-hash", "controller-revision-hash")
AGE_COLUMNS = ("Age", "Last Seen", "First Seen")


def scenario(answers, users=None):
    """Answers of one scenario, by step, ready to be compared. users: what the server calls them -> their names."""
    names = dict(users or {})
    collect(answers, names)
    # longer names first: one may begin with another
    ordered = sorted(names.items(), key=lambda one: -len(one[0]))
    return {step: value(answer, ordered) for step, answer in answers.items()}


def collect(part, names):
    """Finds what the server chose, to replace it wherever it turns up."""
    if isinstance(part, list):
        for one in part:
            collect(one, names)
    if not isinstance(part, dict):
        return
    start, name = part.get("generateName"), part.get("name")
    if isinstance(start, str) and isinstance(name, str) and re.fullmatch(re.escape(start[:58]) + "[a-z0-9]{5}", name):
        names[name] = name[:-5] + "<suffix>"
    labels = part.get("labels")
    for label in HASH_LABELS:
        if isinstance(labels, dict) and isinstance(labels.get(label), str):
            names[labels[label].rsplit("-", 1)[-1]] = "<hash>"
    for key in ("currentRevision", "updateRevision"):
        if isinstance(part.get(key), str) and "-" in part[key]:
            names[part[key].rsplit("-", 1)[-1]] = "<hash>"
    for one in part.values():
        collect(one, names)


def value(part, names, key=None):
    if isinstance(part, dict):
        if part.get("kind") == "Table":
            part = without_ages(part, part)
        if key == "status":
            part = {one: of for one, of in part.items() if one != "observedGeneration"}
        if isinstance(part.get("events"), list):
            part = part | {"events": events(part["events"])}
        part = {one: value(of, names, one) for one, of in part.items() if one != "managedFields"}
        if part.get("kind") in ("APIResourceList", "APIGroupList"):
            for field in ("resources", "groups"):
                if isinstance(part.get(field), list):
                    part[field] = {one["name"]: one for one in part[field]}
        return part
    if isinstance(part, list):
        return [value(one, names, key) for one in part]
    if key == "nodePort" and isinstance(part, int) and 30000 <= part < 32768:
        return "<port>"
    return text(part, names, key) if isinstance(part, str) else part


def events(listed):
    """Those of a watch: only its first table says which columns there are."""
    columns = {}
    result = []
    for one in listed:
        table = one.get("object") if isinstance(one, dict) else None
        if isinstance(table, dict) and table.get("kind") == "Table":
            columns = table if table.get("columnDefinitions") else columns
            one = one | {"object": without_ages(table, columns)}
        result.append(one)
    return result


def without_ages(table, columns):
    return table | {"rows": [row(one, columns) for one in table.get("rows") or []]}


def row(one, table):
    """A row without its ages; `table` says which columns these are."""
    columns = [column.get("name") for column in table.get("columnDefinitions") or ()]
    if not columns:  # later events of a watch name none: those of pods
        columns = ["Name", "Ready", "Status", "Restarts", "Age"]
    cells = [
        "<age>" if number < len(columns) and columns[number] in AGE_COLUMNS and isinstance(cell, str) and AGE.fullmatch(cell) else cell
        for number, cell in enumerate(one.get("cells") or ())
    ]
    return one | {"cells": cells} if "cells" in one else one


def text(part, names, key):
    if key == "resourceVersion" and part.isdigit() and part != "0":
        return "<version>"
    if key in ("continue", "token") and part:
        return "<token>"
    if TIME.fullmatch(part) and not part.startswith(SENT_TIMES):
        return "<time>"
    for name, stands_for in names:
        part = part.replace(name, stands_for)
    part = UID.sub("<uid>", part)
    part = CERTIFICATE.sub("<certificate>", part)
    part = TOKEN_SECRET.sub(r"\1-<suffix>", part)
    part = SERVICE_ADDRESS.sub("<address>", part)
    part = NODE_PORT.sub("<port>", part)
    part = INVALID_NAME.sub("<suffix>", part)
    part = OBJECT.sub("<object>", part)
    part = REPLICA_SET.sub(r"\1-<hash>", part)
    part = RECORD.sub("<version>", part)
    return TOO_OLD.sub("<version>", part)
