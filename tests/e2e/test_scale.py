"""Many jobs on few GPUs."""

from __future__ import annotations

from datetime import datetime

from tests.cluster.settings import GPUS
from tests.e2e import audit
from tests.e2e.faults import pods_created
from tests.e2e.harness import RESULTS, Job, Namespace, eventually

JOBS = 20


def _span(job: Job) -> tuple[datetime, datetime]:
    """When the job's algorithm began and ended, by the kubelet."""
    (pod,) = job.pods()
    (container,) = pod["status"]["containerStatuses"]
    ended = container["state"]["terminated"]
    began, finished = (datetime.fromisoformat(ended[key]) for key in ("startedAt", "finishedAt"))
    return began, finished


def test_twenty_jobs_share_four_gpus(namespace: Namespace) -> None:
    namespace.algorithm(
        outputs=[{**RESULTS, "storeInStatus": True}], resources={"cpu": "50m", "memory": "64Mi"}
    )
    offset = audit.mark()
    jobs = [
        namespace.job(f"case-{number:02}", do=[["sleep", 2], ["write_json", "results.json", number]])
        for number in range(JOBS)
    ]

    def busy() -> bool:
        waiting = [job.condition("Scheduled") for job in jobs]
        return any(c and (c["status"], c["reason"]) == ("False", "GpusBusy") for c in waiting)

    eventually(busy, 10, "a job that waits says that all GPUs are busy")
    for number, job in enumerate(jobs):
        status = job.wait("Succeeded", timeout=180)
        assert [(a["number"], a["reason"]) for a in status["attempts"]] == [(1, "Completed")]
        assert status["outputs"][0]["value"] == number
    assert pods_created(offset, namespace.name) == {f"{job.name}-1-run": 1 for job in jobs}

    # The kubelet counts whole seconds; an end sorts before a beginning of the same second.
    spans = [_span(job) for job in jobs]
    moments = sorted([(began, 1) for began, _ in spans] + [(ended, -1) for _, ended in spans])
    at_once = most = 0
    for _, change in moments:
        at_once += change
        most = max(most, at_once)
    assert most <= GPUS
    assert most > 1, "they ran one after the other: this shows nothing"
