"""The run Pod goes away: while it runs, while it is collected, and with the log that holds the manifest."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from tests.e2e import audit
from tests.e2e.faults import LARGE_IMAGE, kill_container, no_operator, pods_created, wait_phase
from tests.e2e.harness import RESULTS, Job, Namespace, Store, eventually
from tests.e2e.kube import ApiError, Object

pytestmark = pytest.mark.faults

JSON_AFTER_8_S: list[list[Any]] = [["sleep", 8], ["write_json", "results.json", {"answer": 42}]]
Disturbed = tuple[Namespace, Store, dict[str, Job], int]


@pytest.fixture(scope="module")
def disturbed(module_namespace: Namespace) -> Disturbed:
    """Three jobs at the same time, whose Pods are deleted: while it runs; by force and gently while collecting."""
    namespace, kube = module_namespace, module_namespace.kube
    store = namespace.store()
    namespace.algorithm(outputs=[{**RESULTS, "storeInStatus": True}])
    namespace.algorithm("large", outputs=[{"slug": "volume", "kind": "Image"}])
    offset = audit.mark()
    jobs = {
        "forced": namespace.job("forced", algorithm="large", do=LARGE_IMAGE),
        "gentle": namespace.job("gentle", algorithm="large", do=LARGE_IMAGE),
        "running": namespace.job("running", do=JSON_AFTER_8_S),
    }
    wait_phase(jobs["forced"], "collect")
    collecting = jobs["forced"].pod()
    assert collecting is not None
    kube.delete("pods", "forced-1-run", namespace.name, grace=0)
    # The kubelet was told before to let the collector end, and does not always think better of it.
    kill_container(collecting, "collect")
    wait_phase(jobs["gentle"], "collect")
    kube.delete("pods", "gentle-1-run", namespace.name)
    wait_phase(jobs["running"], "run")
    # Beside it the Algorithm changes: the second attempt is the job's, and so is what it runs.
    change = {"resources": {"memory": "200Mi"}, "timeLimitSeconds": 90, "collectSeconds": 20}
    kube.patch("algorithms", "probe", {"spec": change}, namespace.name)
    kube.delete("pods", "running-1-run", namespace.name)
    return namespace, store, jobs, offset


def test_deleted_while_running_the_second_attempt_succeeds(disturbed: Disturbed) -> None:
    namespace, store, jobs, offset = disturbed
    job = jobs["running"]

    status = job.wait("Succeeded", timeout=120)

    assert [(a["number"], a["reason"]) for a in status["attempts"]] == [(1, "PodDeleted"), (2, "Completed")]
    assert status["attempts"][0]["message"] == "The job's Pod was deleted while it ran."
    first, second = (a["podUid"] for a in status["attempts"])
    assert first != second
    assert status["outputs"][0]["value"] == {"answer": 42}
    assert "manifest.json" in store.files(job, 2)
    assert "manifest.json" not in store.files(job, 1)
    created = pods_created(offset, namespace.name)
    assert {name: n for name, n in created.items() if name.startswith("running")} == {
        "running-1-run": 1,
        "running-2-run": 1,
    }


def test_the_second_attempt_runs_what_the_job_started_with(disturbed: Disturbed) -> None:
    """The Algorithm was edited before the first attempt's Pod was deleted."""
    namespace, _, jobs, _ = disturbed
    status = jobs["running"].wait("Succeeded", timeout=120)
    edited = namespace.algorithm_ready("probe")

    assert edited["metadata"]["generation"] == 2
    assert status["algorithm"]["generation"] == 1
    pod = jobs["running"].pod(2)
    assert pod is not None
    (container,) = pod["spec"]["containers"]
    assert container["resources"]["limits"]["memory"] == "128Mi"
    assert pod["spec"]["activeDeadlineSeconds"] == 120
    after = namespace.job("after", do=[["write_json", "results.json", 1]])
    after.wait("Succeeded")
    pod = after.pod()
    assert pod is not None
    assert pod["spec"]["containers"][0]["resources"]["limits"]["memory"] == "200Mi"
    assert pod["spec"]["activeDeadlineSeconds"] == 90


def test_deleted_by_force_while_collecting_the_second_attempt_succeeds(disturbed: Disturbed) -> None:
    _, store, jobs, _ = disturbed
    job = jobs["forced"]

    status = job.wait("Succeeded", timeout=120)

    first, second = status["attempts"]
    assert first["reason"] in ("PodDeleted", "CollectFailed")
    assert second["reason"] == "Completed"
    assert "manifest.json" not in store.files(job, 1)
    _check_manifest(status, store.files(job, 2))


def test_deleted_gently_while_collecting_the_collector_ends_its_work(disturbed: Disturbed) -> None:
    """Whether its log is gone by then or not."""
    _, store, jobs, _ = disturbed
    job = jobs["gentle"]

    status = job.wait("Succeeded", timeout=120)

    assert [(a["number"], a["reason"]) for a in status["attempts"]] == [(1, "Completed")]
    _check_manifest(status, store.files(job))


def test_a_manifest_whose_log_is_gone_is_read_from_the_store(namespace: Namespace, store: Store) -> None:
    """The Pod is deleted while nobody looks, and the collector ends its work: the kubelet then removes the log."""
    kube = namespace.kube
    namespace.algorithm("large", outputs=[{"slug": "volume", "kind": "Image"}])
    job = namespace.job("case", algorithm="large", do=[["sleep", 10], *LARGE_IMAGE])
    job.running()
    offset = audit.mark()
    with no_operator(kube):
        wait_phase(job, "collect")
        kube.delete("pods", "case-1-run", namespace.name)
        eventually(lambda: _log_is_gone(job), 100, "the kubelet has removed the log")
        pod = job.pod()
        assert pod is not None, "our finalizer does not hold it"
        collect = next(s for s in pod["status"]["initContainerStatuses"] if s["name"] == "collect")
        assert collect["state"]["terminated"]["exitCode"] == 0
        assert job.state == "Running", "nobody has looked since"

    status = job.wait("Succeeded", timeout=120)

    assert [(a["number"], a["reason"]) for a in status["attempts"]] == [(1, "Completed")]
    _check_manifest(status, store.files(job))
    assert pods_created(offset, namespace.name) == {"case-1-salvage": 1}
    eventually(
        lambda: not kube.list("pods", namespace.name, f"algorithm-operator.dev/job={job.name}"),
        30,
        "neither the run Pod nor the salvage Pod is left",
    )


def _log_is_gone(job: Job) -> bool:
    """Whether the log that held the manifest cannot be had any more (it is there until the collector ends)."""
    (pod,) = job.pods()
    collect = next(s for s in pod["status"]["initContainerStatuses"] if s["name"] == "collect")
    if "terminated" not in collect["state"]:
        return False
    try:
        return "AOM1 end" not in job.kube.logs(job.namespace, f"{job.name}-1-run", "collect")
    except ApiError:
        return True


def _check_manifest(status: Object, kept: dict[str, bytes]) -> None:
    assert status["manifest"]["sha256"] == hashlib.sha256(kept["manifest.json"]).hexdigest()
