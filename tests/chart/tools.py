"""Rendering the chart and looking things up in what came out; kubectl and helm with their errors shown."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import yaml

from deploy.render import CHART

Object = dict[str, Any]
Values = dict[str, Any]
JOBS: Values = {"jobNamespaces": [{"name": "imaging", "create": True}]}
EVERYTHING: Values = {
    "replicas": 2,
    "serviceMonitor": {"enabled": True},
    "networkPolicy": {"enabled": True},
    "jobNamespaces": [{"name": "imaging", "create": True}, {"name": "theirs"}],
}


def run(*command: str, stdin: str | None = None, code: int = 0) -> str:
    """stdout of the command, or stderr if it is to fail; another exit code than `code` shows both."""
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, timeout=120)
    shown = f"{' '.join(command)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert done.returncode == code, shown
    return done.stdout or done.stderr if code else done.stdout


def kubectl(*arguments: str, stdin: str | None = None, code: int = 0) -> str:
    """kubectl on the test cluster."""
    return run("kubectl", *arguments, stdin=stdin, code=code)


def helm(command: str, *arguments: str, values: Values | None = None, code: int = 0) -> str:
    """helm with the values on its stdin, as JSON."""
    return run("helm", command, *arguments, "--values", "-", stdin=json.dumps(values or {}), code=code)


def render(values: Values | None = None, release: str = "algorithm-operator") -> list[Object]:
    """What `helm template` gives for the values, in namespace `ao`."""
    text = helm("template", release, str(CHART), "--namespace", "ao", values=values)
    return [o for o in yaml.safe_load_all(text) if o]


def refused(values: Values) -> str:
    """Helm's message for values that it must refuse."""
    return helm("template", "x", str(CHART), values=values, code=1)


def only(objects: list[Object], kind: str, name: str | None = None, namespace: str | None = None) -> Object:
    """The one object of that kind (and name, and namespace)."""
    found = [
        o
        for o in objects
        if o["kind"] == kind
        and name in (None, o["metadata"]["name"])
        and namespace in (None, o["metadata"].get("namespace"))
    ]
    assert len(found) == 1, f"{len(found)} objects {kind} {name or ''} in {namespace or 'any namespace'}"
    return found[0]


def keys(objects: list[Object], *kinds: str) -> set[tuple[str, str | None, str]]:
    """(kind, namespace, name) of the objects of those kinds; of all without any."""
    return {
        (o["kind"], o["metadata"].get("namespace"), o["metadata"]["name"])
        for o in objects
        if not kinds or o["kind"] in kinds
    }


def pod(objects: list[Object]) -> Object:
    """The operator's Pod template."""
    template: Object = only(objects, "Deployment")["spec"]["template"]
    return template


def environment(objects: list[Object]) -> dict[str, str]:
    """The operator's variables that have a value."""
    container = pod(objects)["spec"]["containers"][0]
    return {variable["name"]: variable["value"] for variable in container["env"] if "value" in variable}


def rules(objects: list[Object]) -> Iterator[tuple[str, Object]]:
    """(kind/name of the role, rule) of every rule."""
    for o in objects:
        if o["kind"] in {"Role", "ClusterRole"}:
            yield from ((f"{o['kind']}/{o['metadata']['name']}", rule) for rule in o["rules"])
