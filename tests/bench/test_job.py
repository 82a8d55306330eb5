"""A whole job against a bare Pod of the same shape that does nothing; and what the operator asks of the API server."""

from __future__ import annotations

import copy
import itertools
import json
import statistics
import time
from collections import Counter
from datetime import datetime
from typing import Any

import pytest

from tests.bench.conftest import Record
from tests.cluster.settings import NODE_NAME
from tests.e2e import audit
from tests.e2e.harness import OPERATOR_NAMESPACE, RESULTS, Job, Namespace, Object, eventually, operator_pod

PAIRS = 7
ONE_SMALL_JSON = [["write_json", "results.json", {"answer": 42}]]
OUTPUTS = [{**RESULTS, "storeInStatus": True}]
RESOURCES = {"cpu": "1", "memory": "128Mi"}
ROLE = "algorithm-operator.dev/role"
_SLEEP = "trap 'exit 0' TERM; sleep 1000 & wait"
POLL_SECONDS = 0.05


def _idle(pod: Object, name: str) -> Object:
    """That very run Pod, doing nothing: same images, volumes, limits and policy, not the operator's any more."""
    spec = copy.deepcopy(pod["spec"])
    for key in (
        "nodeName",
        "serviceAccount",
        "serviceAccountName",
        "preemptionPolicy",
        "priority",
        "schedulerName",
    ):
        spec.pop(key, None)
    for container in (*spec["initContainers"], *spec["containers"]):
        sidecar = container.get("restartPolicy") == "Always"
        container["command"] = ["/bin/sh", "-c", _SLEEP if sidecar else "true"]
        container.pop("args", None)
    spec["nodeSelector"] = {"kubernetes.io/hostname": NODE_NAME}
    for volume in spec["volumes"]:
        if volume["name"] == "plan":
            volume["downwardAPI"]["items"][0]["fieldRef"]["fieldPath"] = "metadata.name"
    meta = {"name": name, "labels": {ROLE: pod["metadata"]["labels"][ROLE]}}
    return {"kind": "Pod", "metadata": meta, "spec": spec}


def _quiet(namespace: Namespace) -> None:
    """What was measured before holds its processors until its phase is Succeeded: the next would wait for them."""

    def ended() -> bool:
        pods = namespace.kube.list("pods", namespace.name)
        return all(pod["status"].get("phase") in ("Succeeded", "Failed") for pod in pods)

    eventually(ended, 60, "no Pod runs")
    time.sleep(1)


def _bare_seconds(namespace: Namespace, body: Object) -> tuple[float, float]:
    """Seconds from the create until the API says that every container has ended, and until the phase is Succeeded.

    The kubelet writes the phase about two seconds after the containers; the operator does not wait for it.
    """
    name, kube = body["metadata"]["name"], namespace.kube
    # Admission lets nobody but the operator make a Pod that the sealing policy selects.
    operator = kube.as_account(OPERATOR_NAMESPACE, "algorithm-operator")
    operator.get("pods", name, namespace.name)  # connected
    _quiet(namespace)
    began = time.monotonic()
    operator.create("pods", body, namespace.name)
    ended: list[float] = []

    def succeeded() -> bool:
        pod = kube.get("pods", name, namespace.name)
        assert pod is not None
        status = pod["status"]
        assert status.get("phase") != "Failed", status
        containers = [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]
        if not ended and containers and all("terminated" in each["state"] for each in containers):
            ended.append(time.monotonic() - began)
        return bool(status.get("phase") == "Succeeded")

    eventually(succeeded, 60, f"bare Pod {name} ends", every=POLL_SECONDS)
    seconds = time.monotonic() - began
    kube.delete("pods", name, namespace.name, grace=0)
    return ended[0], seconds


def _job_seconds(namespace: Namespace, name: str) -> tuple[float, Job]:
    _quiet(namespace)
    began = time.monotonic()
    job = namespace.job(name, do=ONE_SMALL_JSON)
    eventually(lambda: job.state == "Succeeded", 60, f"job {name} succeeds", every=POLL_SECONDS)
    return time.monotonic() - began, job


@pytest.mark.timeout(600)
def test_whole_job_against_a_bare_pod(namespace: Namespace, record: Record) -> None:
    """Alternating pairs; the first pair warms up and does not count."""
    namespace.store()
    namespace.algorithm(outputs=OUTPUTS, resources=RESOURCES)
    _, warm = _job_seconds(namespace, "warm")
    [pod] = warm.pods()
    _bare_seconds(namespace, _idle(pod, "bare-warm"))
    jobs, bare, phases, timelines = [], [], [], []
    for number in range(PAIRS):
        offset = audit.mark()
        seconds, job = _job_seconds(namespace, f"job-{number}")
        jobs.append(seconds)
        timelines.append(_timeline(job, offset))
        ended, phase = _bare_seconds(namespace, _idle(pod, f"bare-{number}"))
        bare.append(ended)
        phases.append(phase)
    by_phase = statistics.median(jobs) / statistics.median(phases)
    by_containers = statistics.median(jobs) / statistics.median(bare)
    record(
        "whole job against a bare Pod",
        {
            "pairs": PAIRS,
            "job s": _spread(jobs),
            "bare Pod s, until every container has ended": _spread(bare),
            "bare Pod s, until its phase is Succeeded": _spread(phases),
            "job / bare Pod, until its phase is Succeeded": round(by_phase, 2),
            "job / bare Pod, until every container has ended": round(by_containers, 2),
            "median seconds of a job's parts": {
                part: round(statistics.median(line[part] for line in timelines), 2) for part in timelines[0]
            },
        },
    )
    assert by_phase <= 1.5
    assert by_containers <= 2.0


def _spread(values: list[float]) -> dict[str, float]:
    return {
        "median": round(statistics.median(values), 2),
        "least": round(min(values), 2),
        "most": round(max(values), 2),
    }


def _timeline(job: Job, offset: int) -> dict[str, float]:
    """Seconds between the marks that the audit log has of one job; the steps' own figures beside them."""
    pod_name = f"{job.name}-1-run"
    mine = [
        r for r in audit.since(offset) if r.namespace == job.namespace and r.name in (job.name, pod_name, "")
    ]
    marks: dict[str, datetime] = {}

    def first(label: str, requests: list[audit.Request]) -> None:
        marks[label] = requests[0].at

    def status_writes(what: str, by: str = "") -> list[audit.Request]:
        return [r for r in mine if r.what == what and r.verb in ("patch", "update") and by in r.agent]

    operators = "algorithm-operator/"
    applied = [r for r in mine if r.what == "algorithmjobs" and r.verb == "create"]
    first("apply", applied)
    first("accepted", status_writes("algorithmjobs/status", operators))
    first(
        "Pod created", [r for r in mine if r.what == "pods" and r.verb == "create" and operators in r.agent]
    )
    first("scheduled", [r for r in mine if r.what == "pods/binding"])
    kubelet = status_writes("pods/status", "kubelet")
    marks["the kubelet's last word"] = kubelet[-1].at
    first("log read", [r for r in mine if r.what == "pods/log" and operators in r.agent])
    marks["terminal status"] = status_writes("algorithmjobs/status", operators)[-1].at
    pairs = itertools.pairwise(marks.items())
    line = {f"{a} → {b}": (then - now).total_seconds() for (a, now), (b, then) in pairs}
    stage, collect = _reports(job)
    line["of these: staging"] = stage["stagedSeconds"]
    line["of these: the gate"] = stage["gateSeconds"]
    line["of these: collecting"] = collect["collectedSeconds"]
    line["of these: the algorithm"] = collect["exit"]["ranSeconds"]
    return line


def _reports(job: Job) -> tuple[dict[str, Any], dict[str, Any]]:
    """The termination messages of stage and collect."""
    pod = job.pod()
    assert pod is not None
    said = {s["name"]: s["state"]["terminated"]["message"] for s in pod["status"]["initContainerStatuses"]}
    return json.loads(said["stage"]), json.loads(said["collect"])


@pytest.mark.timeout(300)
def test_api_requests_of_a_job(namespace: Namespace, record: Record) -> None:
    """One after the other, so that nothing is shared; everything that the operator asks for meanwhile counts."""
    namespace.store()
    namespace.algorithm(outputs=OUTPUTS, resources=RESOURCES)
    _job_seconds(namespace, "warm")
    account = operator_pod(namespace.kube)["spec"]["serviceAccountName"]
    time.sleep(2)
    offset, count = audit.mark(), 5
    for number in range(count):
        _job_seconds(namespace, f"job-{number}")
    time.sleep(3)
    asked = [r for r in audit.since(offset) if r.user.endswith(f":{account}")]
    # Requests of this namespace and about the cluster; another namespace's are not for these jobs.
    asked = [r for r in asked if r.namespace in (namespace.name, "", OPERATOR_NAMESPACE)]
    mine = Counter(f"{r.verb} {r.what}" for r in asked if not r.is_background)
    record(
        "API requests of a successful job",
        {
            "jobs": count,
            "a job": round(mine.total() / count, 1),
            "each": {what: round(n / count, 1) for what, n in mine.most_common()},
            "beside them, in all (watches, lists, the Lease)": sum(r.is_background for r in asked),
        },
    )
    assert mine.total() / count <= 10
