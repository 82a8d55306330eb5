"""What a person needs to see when a job did not do what the test says: the job, its Pods, events, the operator."""

from __future__ import annotations

import json
from typing import Any

import yaml

from tests.e2e.kube import ApiError, Kube

_NOISE = ("managedFields", "finalizers", "ownerReferences", "generation")
_LINES = 60


def diagnosis(kube: Kube, namespace: str, job: str | None = None) -> str:
    """Everything about one job, or about all of a namespace's, as text."""
    parts = [_section("jobs", [_object(j) for j in _jobs(kube, namespace, job)])]
    pods = [
        p for p in kube.list("pods", namespace) if job is None or p["metadata"]["name"].startswith(f"{job}-")
    ]
    for pod in pods:
        name = pod["metadata"]["name"]
        parts.append(_section(f"pod {name}", {"metadata": _meta(pod), "status": _status(pod)}))
        for container in [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]:
            parts.append(_log(kube, namespace, name, container["name"], 20))
    events = sorted(kube.list("events", namespace), key=lambda e: e["metadata"]["creationTimestamp"])
    told = [f"{e['involvedObject'].get('name')}: {e.get('reason')}: {e.get('message')}" for e in events]
    parts.append("--- events\n" + "\n".join(told[-30:]))
    parts += _operator(kube, namespace)
    return "\n".join(part for part in parts if part)


def _jobs(kube: Kube, namespace: str, job: str | None) -> list[dict[str, Any]]:
    return [j for j in kube.list("algorithmjobs", namespace) if job in (None, j["metadata"]["name"])]


def _object(body: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": _meta(body), "spec": body.get("spec"), "status": body.get("status")}


def _meta(body: dict[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in body["metadata"].items() if key not in _NOISE}
    notes = kept.get("annotations") or {}
    kept["annotations"] = {key: value for key, value in notes.items() if not key.endswith("/plan")}
    return kept


def _status(pod: dict[str, Any]) -> dict[str, Any]:
    """How far the Pod and its containers are."""
    status = pod.get("status") or {}
    containers = [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]
    kept = {key: status.get(key) for key in ("phase", "reason", "message", "startTime", "conditions")}
    return {**kept, "containers": {c["name"]: c["state"] for c in containers}}


def _section(title: str, content: Any) -> str:
    return f"--- {title}\n{yaml.safe_dump(content, sort_keys=False, width=160)}"


def _log(kube: Kube, namespace: str, pod: str, container: str, tail: int) -> str:
    try:
        text = kube.logs(namespace, pod, container, tail)
    except ApiError:
        return ""
    cut = "\n".join(line[:300] for line in text.splitlines())
    return f"--- log of {pod} {container}\n{cut}" if cut else ""


def _operator(kube: Kube, namespace: str) -> list[str]:
    """The last lines of the operators' logs: those about the namespace, and every warning."""
    parts = []
    for pod in kube.list("pods", "algorithm-operator-system", "app.kubernetes.io/name=algorithm-operator"):
        name = pod["metadata"]["name"]
        lines = _log(kube, "algorithm-operator-system", name, "operator", 500).splitlines()
        kept = [line for line in lines if namespace in line or not _is_info(line)]
        parts.append("\n".join(kept[-_LINES:]))
    return parts


def _is_info(line: str) -> bool:
    try:
        return str(json.loads(line)["level"]).lower() in ("info", "debug")
    except (ValueError, KeyError, TypeError):
        return False
