"""Runs a scenario against a server and returns what it answered."""

import json
import string
import time

import client
import steps

KEPT_HEADERS = ("content-type", "warning", "allow", "retry-after", "location")
PATIENCE = 30  # seconds until a controller has done what a step waits for
PATIENCE_NAMESPACE = 120  # until the last run's is gone


class Text(string.Template):
    """${name} only: a lone dollar stays."""

    pattern = r"\$(?:(?P<escaped>\$\$)|(?P<named>(?!))|\{(?P<braced>[a-zA-Z_]+)\}|(?P<invalid>(?!)))"


def filled(value, variables):
    """A value with the variables in all its strings replaced."""
    if isinstance(value, str):
        return Text(value).substitute(variables)
    if isinstance(value, dict):
        return {filled(key, variables): filled(one, variables) for key, one in value.items()}
    if isinstance(value, list):
        return [filled(one, variables) for one in value]
    return value


def full_path(path, namespace):
    if path.startswith("/"):
        return path
    group, rest = path.split(":", 1)
    return f"/{'api' if group == 'v1' else 'apis'}/{group}/namespaces/{namespace}/{rest}"


def namespace_of(scenario):
    """Its name, as Kubernetes allows names."""
    letters = "".join(letter if letter.isalnum() else "-" for letter in scenario.lower())
    return "c-" + "-".join(part for part in letters.split("-") if part)[:60].strip("-")


class Replay:
    def __init__(self, server, scenario):
        self.server = server
        self.namespace = namespace_of(scenario)
        self.variables = {"namespace": self.namespace}
        self.bodies = {}  # of answers, by the name of the step
        self.streams = {}

    def admin(self, method, path, body=None):
        headers = {"Content-Type": "application/json"} if body else None
        return client.request(self.server, "admin", method, path, headers, json.dumps(body) if body else None)

    def prepare(self):
        """The namespace, with the service account that pods need."""
        wanted = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}}
        self.wait(lambda: self.admin("POST", "/api/v1/namespaces", wanted).status == 201, "a fresh namespace", PATIENCE_NAMESPACE)
        account = f"/api/v1/namespaces/{self.namespace}/serviceaccounts/default"
        self.wait(lambda: self.admin("GET", account).status == 200, "the default service account")

    def clean(self):
        for stream in self.streams.values():
            stream.close()
        # no one ends the pods of a node that runs nothing
        self.admin("DELETE", f"/api/v1/namespaces/{self.namespace}/pods?gracePeriodSeconds=0")
        self.admin("DELETE", f"/api/v1/namespaces/{self.namespace}")

    def wait(self, condition, what, patience=PATIENCE):
        deadline = time.monotonic() + patience
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(f"waited {patience} s in vain for {what} ({self.namespace})")
            time.sleep(0.1)

    def body(self, step):
        if isinstance(step.body, steps.Edited):
            value = steps.edit(self.bodies[step.body.step], filled(step.body.changes, self.variables))
        else:
            value = filled(step.body, self.variables)
        return value if value is None or isinstance(value, (str, bytes)) else json.dumps(value, separators=(",", ":"))

    def one(self, step):
        """One step's answer as it is recorded: status, headers, body or events."""
        if step.collect:
            opened, count = step.collect
            lines = self.streams[opened].wait(count)
            return {"events": [client.parsed(line) for line in lines]}
        path = full_path(filled(step.path, self.variables), self.namespace)
        headers = dict(step.headers or {})
        if step.accept:
            headers["Accept"] = step.accept
        body = self.body(step)
        if body is not None:
            headers["Content-Type"] = step.content_type or "application/json"
        if step.stream:
            return self.watch(step, path, headers)
        answer = client.request(self.server, step.user, step.method, path, headers, body)
        value = client.parsed(answer.text)
        deadline = time.monotonic() + PATIENCE
        while unmet(step, value) and time.monotonic() < deadline:
            time.sleep(0.1)
            answer = client.request(self.server, step.user, step.method, path, headers, body)
            value = client.parsed(answer.text)
        self.remember(step, value)
        waited = {"waited": "in vain"} if unmet(step, value) else {}
        return {"status": answer.status, "headers": kept(answer), "body": value} | waited

    def watch(self, step, path, headers):
        stream = client.Stream(self.server, step.user, path, headers)
        self.streams[step.name] = stream
        if step.stream == "open":
            return {"status": stream.answer.status, "headers": kept(stream.answer)}
        lines = stream.wait()
        if stream.answer.status != 200:
            return {"status": stream.answer.status, "headers": kept(stream.answer), "body": client.parsed("".join(lines))}
        events = [client.parsed(line) for line in lines]
        self.remember(step, events)
        return {"status": stream.answer.status, "headers": kept(stream.answer), "events": events}

    def remember(self, step, value):
        self.bodies[step.name] = value
        for variable, way in (step.capture or {}).items():
            # what is missing shows as a difference here, and as a nonsense in the next request
            self.variables[variable] = str(steps.find(value, way))


def unmet(step, value):
    """Whether an answer lacks what the step waits for; ... is anything that is there."""
    found = {way: steps.find(value, way) for way in step.until or ()}
    return any(found[way] is None if wanted is ... else found[way] != wanted for way, wanted in (step.until or {}).items())


def kept(answer):
    return {name: answer.headers[name] for name in KEPT_HEADERS if name in answer.headers}


def run(server, scenario, listed):
    """Answers of all steps, by their names."""
    replay = Replay(server, scenario)
    replay.prepare()
    try:
        return {step.name: replay.one(step) for step in listed}
    finally:
        replay.clean()
