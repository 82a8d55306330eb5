"""Jobs that somebody made with kubectl so that others' requests fail."""

import sys
from typing import Any

import pytest
from fastapi import APIRouter

from algorithm_operator.contract.plan import MAX_VALUES_BYTES
from algorithm_operator.contract.values import dump_json
from algorithm_operator.core.names import LABEL_PK
from algorithm_operator.gateway import __main__ as program
from algorithm_operator.gateway import algorithms, joblists, jobs
from algorithm_operator.gateway.identity import Resource, Verb
from algorithm_operator.gateway.jobids import job_name, pk_of
from algorithm_operator.kube import connection
from algorithm_operator.kube.client import JSON_LEVELS
from algorithm_operator.kube.resources import ALGORITHM_JOBS
from tests.gateway.fakes import Service
from tests.gateway.running import JOBS, algorithm, job, pk, put, snapshot, succeeded


@pytest.fixture
def routers() -> list[APIRouter]:
    return [jobs.router, algorithms.router]


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("levels", "told"), [(200, True), (201, False), (300, False)], ids=["as jobs may", "one more", "many"]
)
@pytest.mark.parametrize("query", ["", "?status=Queued"], ids=["all", "some"])
async def test_a_value_that_is_nested_deeply(service: Service, levels: int, told: bool, query: str) -> None:
    value = nested(levels)
    inputs = [{"slug": "question", "value": "why?"}, {"slug": "context", "value": value}]
    run = snapshot(3)
    put(service, algorithm(), job(inputs=inputs, status={"state": "Queued", "algorithm": run}))
    answer = await service.get(JOBS + query)
    assert answer.status == 200
    (found,) = answer.json()["results"]
    values = {each["socket"]["slug"]: each["value"] for each in found["inputs"]}
    assert values == {"question": "why?", "context": value if told else None}


def test_the_process_reads_all_levels_that_the_api_server_stores(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(environment: object) -> Any:
        raise connection.NoCredentials("none")

    before = sys.getrecursionlimit()
    seen: list[int] = []
    monkeypatch.setattr(sys, "setrecursionlimit", seen.append)
    monkeypatch.setattr(connection, "load", nobody)
    assert program.main() == 78
    assert seen == [JSON_LEVELS]
    assert sys.getrecursionlimit() == before


@pytest.mark.parametrize("label", ["case", "1", pk(1).upper().replace("0", "A"), "{" + pk(1) + "}"])
async def test_a_label_that_is_no_pk(service: Service, label: str) -> None:
    """Where no admission policy keeps the label to the gateway."""
    put(service, algorithm(), body := job(job_name(label), labels={LABEL_PK: label}, status=succeeded()))
    assert pk_of(body) == body["metadata"]["uid"]
    service.store.files["case-001/uid/1/score.json"] = b"0.25\n"
    answer = await service.get(JOBS)
    assert answer.status == 200
    assert [each["pk"] for each in answer.json()["results"]] == [body["metadata"]["uid"]]


@pytest.mark.parametrize("query", ["", "?status=Queued"], ids=["all", "some"])
async def test_values_that_are_too_large_for_a_job_are_not_shown(service: Service, query: str) -> None:
    """Such a job is refused. It must not keep anybody from the others of its page."""
    large = [{"slug": "question", "value": "x" * (MAX_VALUES_BYTES + 1)}, {"slug": "context", "value": 1}]
    queued = {"state": "Queued", "algorithm": snapshot(3)}
    put(service, algorithm(), *(job(f"j{n}", uid=pk(n), inputs=large, status=queued) for n in range(200)))
    answer = await service.get(f"{JOBS}{query}")
    assert answer.status == 200
    assert {each["value"] for job in answer.json()["results"] for each in job["inputs"]} == {None}


async def test_a_page_holds_as_much_as_a_hundred_jobs_may_have(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    value = "x" * 1000
    monkeypatch.setattr(joblists, "MAX_PAGE_BYTES", 100 * len(dump_json(value)))
    inputs, queued = [{"slug": "question", "value": value}], {"state": "Queued", "algorithm": snapshot(3)}
    put(service, algorithm(), *(job(f"j{n}", uid=pk(n), inputs=inputs, status=queued) for n in range(300)))
    assert len((await service.get(f"{JOBS}?limit=100")).json()["results"]) == 100
    service.cluster.calls.clear()
    answer = await service.get(f"{JOBS}?limit=300")
    assert answer.status == 400
    assert "ask for fewer jobs at once" in answer.json()["detail"]
    assert sum(verb == "get" for verb, _, _ in service.cluster.calls) <= 100 + 2 * 16, "no more are read"


@pytest.mark.parametrize(
    "path", [f"{JOBS}{pk(404)}/", f"algorithms/images/{pk(404)}/", f"{JOBS}?status=Queued", JOBS]
)
async def test_strangers_have_no_jobs_read(service: Service, path: str) -> None:
    put(service, algorithm(), job())
    service.authorizer.denied = {(verb, Resource.JOBS) for verb in Verb}
    answer = await service.get(path)
    assert answer.status == 404 or answer.json()["results"] == []
    assert ("list", ALGORITHM_JOBS.plural, "") not in service.cluster.calls
