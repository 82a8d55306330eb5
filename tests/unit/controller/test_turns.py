"""Jobs of an Algorithm with limits, against a cluster in memory: who starts, who waits with which words, what stays."""

from __future__ import annotations

import asyncio
import copy
from datetime import timedelta
from typing import Any

import pytest

from algorithm_operator.api.algorithm import AlgorithmStatus
from algorithm_operator.api.job import AlgorithmJobStatus
from algorithm_operator.controller.context import Key
from algorithm_operator.controller.reconcile import reconcile
from algorithm_operator.core import names
from algorithm_operator.kube.resources import ALGORITHM_JOBS, ALGORITHMS, PODS
from tests.unit.controller.cluster import Cluster, MortalClient, Operator
from tests.unit.controller.test_jobs import (
    LIFE,
    RUN,
    _no_backoff,
    cluster,
    connection,
    live,
    operator,
    runs_created,
    succeeds,
)
from tests.unit.core.builders import JOB
from tests.unit.kube.fake_api import status as answer

__all__ = ["_no_backoff", "cluster", "operator"]
Body = dict[str, Any]
HOUR = {"count": 2, "period": "1h"}


def limit(cluster: Cluster, **limits: Any) -> None:
    def change(algorithm: Body) -> None:
        algorithm["spec"]["limits"] = limits
        algorithm["metadata"]["generation"] += 1
        algorithm["status"]["observedGeneration"] = algorithm["metadata"]["generation"]

    cluster.update(ALGORITHMS, "brain-tissue", change)


def write(cluster: Cluster, name: str, *, labels: dict[str, str] | None = None, **spec: Any) -> None:
    known = cluster.get(ALGORITHM_JOBS, name)
    body = {
        "metadata": {"name": name, "labels": labels or {}},
        "spec": {**copy.deepcopy(JOB["spec"]), **spec},
    }
    cluster.put(ALGORITHM_JOBS, body | ({"status": known["status"]} if known and "status" in known else {}))
    cluster.clock.time += timedelta(seconds=1)


def status(cluster: Cluster, name: str) -> AlgorithmJobStatus:
    body = cluster.get(ALGORITHM_JOBS, name)
    assert body is not None
    return AlgorithmJobStatus.model_validate(body.get("status") or {})


def remembered(cluster: Cluster) -> int:
    body = cluster.get(ALGORITHMS, "brain-tissue")
    assert body is not None
    return sum(each.jobs for each in AlgorithmStatus.model_validate(body["status"]).recent_starts or [])


def places(cluster: Cluster, *jobs: str) -> list[str]:
    """The beginning of what each job says; "" for one that does not wait."""
    return [(status(cluster, name).message or "").partition(" waiting: ")[0] for name in jobs]


async def test_one_at_a_time_in_order(cluster: Cluster, operator: Operator) -> None:
    limit(cluster, activeJobsPerUser=1)
    for name in ("one", "two", "three"):
        write(cluster, name)
    await operator.run()
    assert runs_created(cluster) == ["one-1-run"]
    assert places(cluster, "one", "two", "three") == ["", "1st of 2", "2nd of 2"]
    waits = status(cluster, "two")
    assert (waits.state, waits.reason, waits.blame) == ("Queued", "ActiveJobsLimit", None)
    assert '1 of 1 jobs of Algorithm "brain-tissue" are active' in (waits.message or "")
    assert {c.type: c.reason for c in waits.conditions if c.status == "False"} == {
        "Scheduled": "ActiveJobsLimit"
    }

    succeeds(cluster, "one-1-run")
    await operator.run()
    assert status(cluster, "one").state == "Succeeded"
    assert runs_created(cluster) == ["one-1-run", "two-1-run"]
    assert places(cluster, "two", "three") == ["", "1st of 1"]
    assert status(cluster, "two").admitted_at is not None

    cluster.remove(ALGORITHM_JOBS, "two")
    await operator.run()
    assert runs_created(cluster)[2:] == ["three-1-run"]
    assert remembered(cluster) == 0
    assert operator.errors == []


async def test_of_many_at_once_no_more_start_than_may(cluster: Cluster, operator: Operator) -> None:
    limit(cluster, activeJobsPerUser=3, jobsPerUser={"count": 5, "period": "1h"})
    jobs = [f"job-{number:02}" for number in range(20)]
    for name in reversed(jobs):
        write(cluster, name)
    operator.watch()
    for _ in range(3):
        await asyncio.gather(
            *(reconcile(Key("AlgorithmJob", "imaging", name), operator.context) for name in jobs)
        )
    assert sorted(runs_created(cluster)) == ["job-17-1-run", "job-18-1-run", "job-19-1-run"]
    assert remembered(cluster) == 3


async def test_a_job_that_is_deleted_gives_nothing_back(cluster: Cluster, operator: Operator) -> None:
    limit(cluster, jobsPerUser=HOUR)
    began = cluster.clock.time
    for name in ("one", "two"):
        write(cluster, name)
        await operator.run()
        succeeds(cluster, f"{name}-1-run")
        await operator.run()
        cluster.remove(ALGORITHM_JOBS, name)
    write(cluster, "three")
    await operator.run()
    assert status(cluster, "three").reason == "RecentJobsLimit"
    assert "1st of 1 waiting: 2 of 2 jobs" in (status(cluster, "three").message or "")
    assert "started in the last 1h" in (status(cluster, "three").message or "")
    assert remembered(cluster) == 2

    await operator.after((began - cluster.clock.time).total_seconds() + 3600)
    assert status(cluster, "three").reason == "RecentJobsLimit"
    await operator.after(10)
    assert runs_created(cluster) == ["one-1-run", "two-1-run", "three-1-run"]
    assert remembered(cluster) == 2  # the first is forgotten


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at", range(1, 11))
async def test_killed_at_any_write_it_counts_too_much_at_most(cluster: Cluster, at: int, after: bool) -> None:
    limit(cluster, activeJobsPerUser=1, jobsPerUser={"count": 5, "period": "1h"})
    write(cluster, "case-001")
    await live(cluster, LIFE, MortalClient(connection(cluster), at, after=after))
    assert status(cluster, "case-001").state == "Succeeded"
    assert runs_created(cluster) == [RUN]
    between = (at, after) in (
        (3, True),
        (4, False),
    )  # what is remembered is written, and what became of the job is not
    assert remembered(cluster) == (2 if between else 1)


async def test_jobs_of_the_gateway_neither_wait_nor_count(cluster: Cluster, operator: Operator) -> None:
    limit(cluster, activeJobsPerUser=1, jobsPerUser=HOUR)
    for number in range(3):
        write(cluster, f"g{number}", labels={names.LABEL_PK: f"pk-{number}"})
    write(cluster, "own")
    await operator.run()
    assert runs_created(cluster) == ["g0-1-run", "g1-1-run", "g2-1-run", "own-1-run"]
    assert remembered(cluster) == 1


async def test_who_waits_for_something_else_stands_in_nobodys_way(
    cluster: Cluster, operator: Operator
) -> None:
    limit(cluster, activeJobsPerUser=1)
    gone = [{"slug": "t1-mri", "store": {"name": "gone", "paths": ["a"]}}, JOB["spec"]["inputs"][1]]
    write(cluster, "stuck", inputs=gone)
    write(cluster, "held", suspend=True)
    write(cluster, "goes")
    await operator.run()
    assert runs_created(cluster) == ["goes-1-run"]

    write(cluster, "held", suspend=False)
    await operator.run()
    assert places(cluster, "held") == ["1st of 1"]


async def test_a_job_that_is_suspended_before_its_pod_gives_its_place_back(
    cluster: Cluster, operator: Operator
) -> None:
    limit(cluster, activeJobsPerUser=1)
    cluster.admission = lambda body: answer(403, "Forbidden", "exceeded quota: one")
    write(cluster, "first")
    write(cluster, "second")
    await operator.run()
    assert status(cluster, "first").reason == "QuotaExceeded"
    assert places(cluster, "second") == ["1st of 1"]

    cluster.admission = None
    write(cluster, "first", suspend=True)
    await operator.run()
    assert runs_created(cluster) == ["second-1-run"]
    assert status(cluster, "first").admitted_at is None


async def test_higher_limits_let_all_go_and_what_is_remembered_stays(
    cluster: Cluster, operator: Operator
) -> None:
    limit(cluster, activeJobsPerUser=1, jobsPerUser=HOUR)
    for number in range(4):
        write(cluster, f"job-{number}")
    await operator.run()
    assert len(runs_created(cluster)) == 1
    limit(cluster, activeJobsPerUser=2, jobsPerUser=HOUR)
    await operator.run()
    assert len(runs_created(cluster)) == 2
    assert [status(cluster, f"job-{n}").reason for n in (2, 3)] == ["ActiveJobsLimit"] * 2
    limit(cluster)
    cluster.update(ALGORITHMS, "brain-tissue", lambda a: a["status"].update(observedGeneration=0))
    await operator.run()
    assert len(runs_created(cluster)) == 4
    assert remembered(cluster) == 2
    assert operator.errors == []


async def test_limits_that_cannot_be_read_are_not_passed_over(cluster: Cluster, operator: Operator) -> None:
    write(cluster, "early")
    await operator.run()
    write(cluster, "late", suspend=True)
    await operator.run()
    limit(cluster, jobsPerUser={"count": 1, "period": "a month"})
    write(cluster, "late", suspend=False)
    await operator.run()
    assert status(cluster, "late").reason == "AlgorithmNotReady"
    assert "period" in (status(cluster, "late").message or "")
    assert runs_created(cluster) == ["early-1-run"]
    assert cluster.get(PODS, "early-1-run") is not None
