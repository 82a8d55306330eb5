"""Ending jobs and holding them back, in every state: what is kept, what is said, and that there is one verdict."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from tests.e2e.cli import call
from tests.e2e.faults import LARGE_IMAGE, wait_phase
from tests.e2e.harness import TERMINAL, ApiError, Job, Namespace, Store, eventually

SLEEP: list[list[Any]] = [["stdout", "begun"], ["sleep", 300]]
RESULT: list[Any] = ["write_json", "results.json", 1]
LOGS = {"logs/stdout.log", "logs/stderr.log", "logs/combined.jsonl"}


@pytest.fixture(scope="module")
def results(module_namespace: Namespace) -> Store:
    """Where outputs go."""
    return module_namespace.store()


@pytest.fixture(scope="module")
def jobs(module_namespace: Namespace, results: Store) -> dict[str, Job]:
    """One job a state, all started; then the racers."""
    namespace = module_namespace
    small = {"cpu": "50m", "memory": "64Mi"}
    namespace.algorithm(resources=small)
    namespace.algorithm("large", outputs=[{"slug": "volume", "kind": "Image"}], resources=small)
    namespace.algorithm("nowhere", resources={**small, "gpu": {"type": "Nowhere"}})
    started = {
        "collecting": namespace.job("collecting", algorithm="large", do=LARGE_IMAGE),
        "running": namespace.job("running", do=SLEEP),
        "queued": namespace.job("queued", algorithm="nowhere", do=[RESULT]),
        "no-algorithm": namespace.job("no-algorithm", algorithm="missing", do=[RESULT]),
        "suspended": namespace.job("suspended", do=[RESULT], suspend=True),
        "resumed": namespace.job("resumed", do=[RESULT], suspend=True),
        "doomed": namespace.job("doomed", do=[["ignore_sigterm_and_sleep", 300]]),
    }
    return started


def cancel(*jobs: Job) -> subprocess.CompletedProcess[str]:
    """`kubectl algorithm cancel JOB...`."""
    return call("cancel", "-n", jobs[0].namespace, *(job.name for job in jobs))


def cancelled(job: Job) -> None:
    """It ends as Cancelled, and says so as such."""
    status = job.wait("Cancelled", timeout=60)
    assert (status["reason"], status["message"]) == ("Cancelled", "The job was cancelled.")
    assert "blame" not in status
    assert "manifest" not in status
    assert len(status.get("attempts") or []) <= 1


def test_before_it_has_a_node_nothing_is_left(jobs: dict[str, Job]) -> None:
    waiting = [jobs["queued"], jobs["no-algorithm"], jobs["suspended"]]
    jobs["queued"].wait_condition("Scheduled", "False", "NoGpuNode", timeout=30)
    jobs["suspended"].wait("Suspended")

    said = cancel(*waiting)

    assert said.returncode == 0, said.stderr
    for job in waiting:
        assert f'job "{job.name}" is being cancelled' in said.stdout
        cancelled(job)
        eventually(lambda job=job: not job.pods(), 10, f"no Pod of {job.name} is left")  # type: ignore[misc]
    (twice,) = cancel(jobs["queued"]).stdout.splitlines()
    assert twice == 'job "queued" is finished already: Cancelled'


def test_while_it_runs_its_logs_are_kept_and_nothing_is_published(
    jobs: dict[str, Job], results: Store
) -> None:
    job = jobs["running"]
    pod = job.running()
    said = cancel(job)
    assert said.stdout == 'job "running" is being cancelled\n', said.stderr
    cancelled(job)
    kept = results.files(job)
    assert set(kept) == {*LOGS, "failure.json"}
    assert kept["logs/stdout.log"] == b"begun\n"
    after = job.pod()
    assert after is not None
    assert after["metadata"]["uid"] == pod["metadata"]["uid"]
    assert "deletionTimestamp" not in after["metadata"], "its deadline was lowered; it was not deleted"
    assert after["spec"]["activeDeadlineSeconds"] == 1


def test_it_cannot_be_taken_back_and_twice_is_once(jobs: dict[str, Job]) -> None:
    job = jobs["running"]
    with pytest.raises(ApiError) as refused:
        job.patch({"cancel": False})
    assert "cancel cannot be taken back; apply the job under a new name" in refused.value.message
    before = job.body
    assert cancel(job).stdout == 'job "running" is finished already: Cancelled\n'
    job.patch({"cancel": True})
    assert job.body["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]


def test_while_it_is_collected_what_is_whole_counts(jobs: dict[str, Job], results: Store) -> None:
    """The algorithm is over by then; collect has its own time, and ends what it does."""
    job = jobs["collecting"]
    wait_phase(job, "collect")
    job.wait("Collecting")
    said = cancel(job)
    assert said.stdout == (
        'job "collecting" is being cancelled; its algorithm has ended, so it may still succeed\n'
    ), said.stderr
    one_verdict(job, results)


def one_verdict(job: Job, results: Store) -> str:
    """The job's state; it fits what is kept, and does not change any more."""
    status = eventually(lambda: job.status if job.state in TERMINAL else None, 90, f"{job.name} has ended")
    state = str(status["state"])
    assert state in ("Succeeded", "Cancelled")
    assert ("manifest" in status) == (state == "Succeeded")
    assert ("manifest.json" in results.files(job)) == (state == "Succeeded")
    said = {c["type"] for c in status["conditions"] if c["status"] == "True"} & {"Complete", "Failed"}
    assert said == {"Complete" if state == "Succeeded" else "Failed"}
    eventually(lambda: "finalizers" not in job.pods()[0]["metadata"], 15, "its Pod is released")
    assert job.status == status
    return state


def test_racing_with_the_end_there_is_one_verdict(
    module_namespace: Namespace, jobs: dict[str, Job], results: Store
) -> None:
    """Cancelled at three moments around its end."""
    racers = [module_namespace.job(f"racer-{n}", do=[["sleep", 1], RESULT]) for n in range(3)]
    for n, job in enumerate(racers):
        if n == 0:
            wait_phase(job, "run")
        elif n == 1:
            eventually(lambda job=job: _ended(job), 60, "the algorithm has ended", every=0.02)  # type: ignore[misc]
        else:
            eventually(lambda job=job: _ended(job, "collect"), 60, "collected", every=0.02)  # type: ignore[misc]
        job.patch({"cancel": True})
    states = [one_verdict(job, results) for job in racers]
    assert states[2] == "Succeeded", "all was there before"


def _ended(job: Job, container: str = "algorithm") -> bool:
    status = (job.pod() or {}).get("status") or {}
    all_ = [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]
    return any(each["name"] == container and "terminated" in each["state"] for each in all_)


def test_held_back_and_let_go(jobs: dict[str, Job]) -> None:
    job = jobs["resumed"]
    job.wait("Suspended")
    assert not job.pods()
    assert "kubectl algorithm resume resumed" in call("explain", "-n", job.namespace, job.name).stdout
    said = call("resume", "-n", job.namespace, job.name)
    assert said.stdout == 'job "resumed" goes on\n', said.stderr
    job.wait("Succeeded")
    late = call("suspend", "-n", job.namespace, job.name)
    assert late.stdout == 'job "resumed" is finished already: Succeeded\n'


def test_a_job_that_has_started_cannot_be_held_back(jobs: dict[str, Job], results: Store) -> None:
    """And deleted while it runs, it goes within its grace of 10 s; nothing of it is published."""
    job = jobs["doomed"]
    job.running()
    said = call("suspend", "-n", job.namespace, job.name)
    assert said.returncode == 1
    assert "it has started and cannot be suspended any more; kubectl algorithm cancel ends it" in said.stderr
    with pytest.raises(ApiError) as refused:
        job.patch({"suspend": True})
    assert (
        "the job has started and cannot be suspended any more; set cancel to end it" in refused.value.message
    )

    job.delete()
    eventually(lambda: not job.pods(), 30, "its Pod is gone")
    assert not {"manifest.json", "results.json"} & set(results.files(job))
