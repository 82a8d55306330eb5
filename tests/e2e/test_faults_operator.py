"""The operator dies in the middle of jobs: they end as if it had not."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from tests.e2e import audit
from tests.e2e.faults import LARGE_IMAGE, kill_operator, phase, pods_created, wait_phase
from tests.e2e.harness import RESULTS, Job, Namespace, Store, eventually, operator_pod

pytestmark = pytest.mark.faults

SLOW: list[list[Any]] = [["stderr", "here"], ["sleep", 12], ["write_json", "results.json", {"answer": 42}]]


def _outcome(job: Job, store: Store) -> dict[str, Any]:
    """What the owner sees of a job that ended, without names, times and places."""
    status = job.status
    kept = store.files(job)
    return {
        **{key: status.get(key) for key in ("state", "reason", "message", "blame", "exitCode", "logs")},
        "attempts": [(each["number"], each["reason"]) for each in status["attempts"]],
        "conditions": {c["type"]: (c["status"], c["reason"]) for c in status["conditions"]},
        "outputs": [{k: v for k, v in output.items() if k not in ("path",)} for output in status["outputs"]],
        "kept": sorted(kept),
        "results": kept["results.json"],
    }


def _is_released(job: Job) -> bool:
    return "finalizers" not in job.pods()[0]["metadata"]


def test_an_operator_that_is_killed_changes_nothing(namespace: Namespace, store: Store) -> None:
    """One SIGKILL while one job is staged, one runs and one is collected."""
    namespace.algorithm(outputs=[{**RESULTS, "storeInStatus": True}])
    namespace.algorithm("large", outputs=[{"slug": "volume", "kind": "Image"}])
    offset = audit.mark()
    undisturbed = namespace.job("undisturbed", do=SLOW)
    undisturbed_large = namespace.job("undisturbed-large", algorithm="large", do=LARGE_IMAGE)
    for job in (undisturbed, undisturbed_large):
        job.wait("Succeeded", timeout=120)

    collecting = namespace.job("collecting", algorithm="large", do=LARGE_IMAGE)
    running = namespace.job("running", do=SLOW)
    wait_phase(collecting, "collect")
    wait_phase(running, "run")
    staging = namespace.job("staging", do=SLOW)
    wait_phase(staging, "stage")
    seen = (phase(staging), phase(running), phase(collecting))
    kill_operator(namespace.kube)
    assert seen == ("stage", "run", "collect")

    for job in (staging, running, collecting):
        job.wait("Succeeded", timeout=120)
    (died,) = operator_pod(namespace.kube)["status"]["containerStatuses"]
    assert died["lastState"]["terminated"]["exitCode"] == 137
    expected = _outcome(undisturbed, store)
    assert _outcome(staging, store) == expected
    assert _outcome(running, store) == expected
    assert collecting.status["attempts"][0]["reason"] == "Completed"
    assert collecting.status["outputs"][0]["sha256"] == undisturbed_large.status["outputs"][0]["sha256"]
    created = pods_created(offset, namespace.name)
    jobs = ("undisturbed", "undisturbed-large", "collecting", "running", "staging")
    assert created == {f"{name}-1-run": 1 for name in jobs}
    for job in (staging, running, collecting):
        eventually(partial(_is_released, job), 15, f"the Pod of {job.name} is released")
