"""Jobs that somebody made with kubectl so that others' requests fail."""

import sys
from typing import Any

import pytest
from fastapi import APIRouter

from algorithm_operator.core.names import LABEL_PK
from algorithm_operator.gateway import __main__ as program
from algorithm_operator.gateway import jobs
from algorithm_operator.gateway.jobids import job_name, pk_of
from algorithm_operator.kube.client import JSON_LEVELS
from algorithm_operator.kube.connection import NoCredentials
from tests.unit.gateway.fakes import Service
from tests.unit.gateway.running import JOBS, algorithm, job, pk, put, snapshot, succeeded


@pytest.fixture
def routers() -> list[APIRouter]:
    return [jobs.router]


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
        raise NoCredentials("none")

    before, seen = sys.getrecursionlimit(), []
    monkeypatch.setattr(sys, "setrecursionlimit", seen.append)
    monkeypatch.setattr(program.connection, "load", nobody)
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
