"""Jobs of an Algorithm with limits: who starts, who waits and with which words; and who asked for a job.

Resources that jobs are given are in test_limits.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from tests.e2e import cli
from tests.e2e.conftest import MakeNamespace
from tests.e2e.harness import RESULTS, ApiError, Job, Namespace, Object, eventually

IN_STATUS = [{**RESULTS, "storeInStatus": True}]
WAITS = [["sleep", 600]]
QUICK = [["write_json", "results.json", 1]]


@pytest.fixture(scope="module")
def namespace(make_namespace: MakeNamespace) -> Namespace:
    fresh = make_namespace("job-limits")
    for name, limits in {
        "one": {"activeJobsPerUser": 1},
        "hourly": {"jobsPerUser": {"count": 2, "period": "1h"}},
        "minutely": {"jobsPerUser": {"count": 1, "period": "1m"}},
    }.items():
        fresh.algorithm(name, outputs=IN_STATUS, limits=limits, ready=False)
    for name in ("one", "hourly", "minutely"):
        fresh.algorithm_ready(name)
    return fresh


@pytest.fixture(scope="module")
def minutely(namespace: Namespace) -> tuple[Job, Job]:
    """Two jobs of which one may start in a minute, made before the other tests are."""
    first = namespace.job("minutely-1", algorithm="minutely", do=QUICK)
    first.wait_condition("Accepted", "True", "Accepted", timeout=30)
    return first, namespace.job("minutely-2", algorithm="minutely", do=QUICK)


def starts(namespace: Namespace, algorithm: str) -> int:
    """How many an Algorithm remembers."""
    body = namespace.kube.get("algorithms", algorithm, namespace.name)
    assert body is not None
    return sum(each["jobs"] for each in body["status"].get("recentStarts") or [])


def says(job: Job, words: str) -> Callable[[], bool]:
    return lambda: words in (job.status.get("message") or "")


def test_one_at_a_time(namespace: Namespace, minutely: tuple[Job, Job]) -> None:
    assert minutely
    first = namespace.job("one-1", algorithm="one", do=WAITS)
    first.running()
    second = namespace.job("one-2", algorithm="one", do=WAITS)
    waits = second.wait_condition("Scheduled", "False", "ActiveJobsLimit")
    assert waits["message"].startswith('1st of 1 waiting: 1 of 1 jobs of Algorithm "one" are active')
    third = namespace.job("one-3", algorithm="one", do=QUICK)
    eventually(says(third, "2nd of 2 waiting: 1 of 1 jobs"), 10, "the third has its place")
    for job in (second, third):
        assert (job.state, job.pods()) == ("Queued", [])
    for command in ("get", "explain"):
        shown = cli.call(command, "one-3", "-n", namespace.name)
        assert shown.returncode == 0, shown.stderr
        assert "2nd of 2 waiting" in " ".join(shown.stdout.split())

    first.patch({"cancel": True})
    first.wait("Cancelled", timeout=60)
    second.running()
    eventually(says(third, "1st of 1 waiting"), 10, "the third has moved up")
    second.delete()
    third.wait("Succeeded", timeout=120)
    assert third.status["admittedAt"] >= third.status["acceptedAt"]
    assert starts(namespace, "one") == 0


def test_deleted_jobs_give_nothing_back(namespace: Namespace) -> None:
    jobs = [namespace.job(f"hourly-{number}", algorithm="hourly", do=QUICK) for number in (1, 2)]
    for job in jobs:
        job.wait("Succeeded", timeout=120)
        job.delete()
    third = namespace.job("hourly-3", algorithm="hourly", do=QUICK)
    waits = third.wait_condition("Scheduled", "False", "RecentJobsLimit")
    said = re.match(
        r'1st of 1 waiting: 2 of 2 jobs of Algorithm "hourly" were started in the last 1h, .*'
        r"the next may start at (\S+Z), by itself",
        waits["message"],
    )
    assert said, waits["message"]
    made = datetime.fromisoformat(third.body["metadata"]["creationTimestamp"])
    assert 3000 < (datetime.fromisoformat(said[1]) - made).total_seconds() < 3602
    assert (third.state, third.pods(), starts(namespace, "hourly")) == ("Queued", [], 2)

    limits = {"jobsPerUser": {"count": 3, "period": "1h"}}
    namespace.kube.patch("algorithms", "hourly", {"spec": {"limits": limits}}, namespace.name)
    third.wait("Succeeded", timeout=120)
    assert starts(namespace, "hourly") == 3


def test_when_the_time_has_come_a_job_starts_by_itself(
    namespace: Namespace, minutely: tuple[Job, Job]
) -> None:
    first, second = minutely
    first.wait("Succeeded", timeout=120)
    second.wait("Succeeded", timeout=180)
    went = [datetime.fromisoformat(job.status["admittedAt"]) for job in minutely]
    assert 60 <= (went[1] - went[0]).total_seconds() <= 75
    assert starts(namespace, "minutely") == 1


def test_who_asked_is_written_and_nobody_else_can_be_named(namespace: Namespace) -> None:
    rita = namespace.kube.service_account(namespace.name, "rita", "algorithm-operator-runner")
    spec: Object = {
        "algorithmRef": {"name": "one"},
        "inputs": [{"slug": "script", "value": {"do": []}}],
        "suspend": True,
    }

    def make(name: str, **more: Any) -> Object:
        meta = {"name": name, **({"labels": more.pop("labels")} if "labels" in more else {})}
        body = {"kind": "AlgorithmJob", "metadata": meta, "spec": {**spec, **more}}
        return rita.create("algorithmjobs", body, namespace.name)

    name = f"system:serviceaccount:{namespace.name}:rita"
    assert make("asked")["spec"]["requestedBy"] == name
    asked = Job(namespace.kube, namespace.name, "asked", "")
    asked.wait("Suspended", timeout=30)
    assert asked.body["spec"]["requestedBy"] == name  # the operator's writes leave it alone
    wrong: dict[str, Object] = {
        "names another user than you": {"requestedBy": "alice"},
        "is the gateway's": {"labels": {"algorithm-operator.dev/pk": "x"}},
    }
    for refused, more in wrong.items():
        with pytest.raises(ApiError, match=refused) as error:
            make("refused", **more)
        assert error.value.code == 403
    path = "/apis/algorithm-operator.dev/v1alpha1/namespaces/" + namespace.name + "/algorithmjobs"
    found = rita.request("GET", path, fieldSelector=f"spec.requestedBy={name}")["items"]
    assert [each["metadata"]["name"] for each in found] == ["asked"]
