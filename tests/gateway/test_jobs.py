"""GET algorithms/jobs/: lists, filters, single jobs, values that lie in files, rights."""

from typing import Any

import pytest
from fastapi import APIRouter

from algorithm_operator.core.names import LABEL_PK
from algorithm_operator.gateway import jobfacts, jobs, shapes
from algorithm_operator.gateway.database.models import Image
from algorithm_operator.gateway.identity import Resource, Verb
from algorithm_operator.gateway.jobfacts import MAX_VALUE_BYTES
from algorithm_operator.gateway.jobids import job_name, output_image_pk
from algorithm_operator.kube.resources import ALGORITHM_JOBS
from tests.gateway.fakes import NAMESPACE, Service
from tests.gateway.running import (
    ALGORITHM_UID,
    JOBS,
    URL,
    add_image,
    add_session,
    algorithm,
    job,
    pk,
    put,
    snapshot,
    succeeded,
)

SCORE = b"0.25\n"
FILE = "case-001/uid/1/score.json"


@pytest.fixture
def routers() -> list[APIRouter]:
    return [jobs.router]


@pytest.fixture(autouse=True)
def _algorithm(service: Service) -> None:
    put(service, algorithm())


def write(service: Service, path: str, content: bytes) -> None:
    """A file that a job has written."""
    service.store.files[path] = content


async def value_of(service: Service, body: dict[str, Any], slug: str = "score") -> Any:
    """The value of an output, as the API tells it."""
    answer = await service.get(f"{JOBS}{body['metadata']['uid']}/")
    assert answer.status == 200, answer.body
    shapes.Job.model_validate(answer.json())
    return next(each["value"] for each in answer.json()["outputs"] if each["socket"]["slug"] == slug)


async def listed(service: Service, query: str = "") -> list[str]:
    """pks of a list."""
    answer = await service.get(f"{JOBS}{query}")
    assert answer.status == 200, answer.body
    page = shapes.Page[shapes.Job].model_validate(answer.json())
    return [each.pk for each in page.results]


async def test_a_value_is_passed_on_as_the_job_wrote_it(service: Service) -> None:
    score = b' {"a": [1.50, 1e2, "\\u00e9\xc3\xa9"]}\n'
    put(service, body := job(status=succeeded(score=score)))
    write(service, FILE, score)
    answer = await service.get(f"{JOBS}{body['metadata']['uid']}/")
    assert score in answer.body
    assert await value_of(service, body) == {"a": [1.5, 100.0, "éé"]}
    assert await value_of(service, body, "results") == {"ml": 883.3}
    assert [call for call in service.store.calls if call[0] == "read"] == [("read", FILE)], (
        "it is kept in memory"
    )


@pytest.mark.parametrize(
    ("size", "stored"),
    [(MAX_VALUE_BYTES + 1, True), (5, False)],
    ids=["too large", "deleted"],
)
async def test_a_value_that_cannot_be_shown_is_null(
    service: Service, caplog: pytest.LogCaptureFixture, size: int, stored: bool
) -> None:
    data = b"1" * size
    put(service, body := job(status=succeeded(score=data)))
    if stored:
        write(service, FILE, data)
    assert await value_of(service, body) is None
    assert FILE in caplog.text


async def test_a_value_of_the_very_limit_is_shown(service: Service) -> None:
    data = b'"' + b"x" * (MAX_VALUE_BYTES - 2) + b'"'
    put(service, body := job(status=succeeded(score=data)))
    write(service, FILE, data)
    assert len(await value_of(service, body)) == MAX_VALUE_BYTES - 2


async def test_a_file_that_is_not_what_the_job_wrote(service: Service) -> None:
    put(service, body := job(status=succeeded(score=SCORE)))
    write(service, FILE, b"0.99\n")
    answer = await service.get(f"{JOBS}{body['metadata']['uid']}/")
    assert answer.status == 500
    assert 'output "score" is not what the job wrote' in answer.json()["detail"]
    listed = await service.get(JOBS)
    assert listed.status == 200, "one spoilt file would hide all jobs"
    shown = {each["interface"]["slug"]: each["value"] for each in listed.json()["results"][0]["outputs"]}
    assert shown["score"] is None


async def test_a_store_that_is_down_is_asked_again(service: Service) -> None:
    put(service, body := job(status=succeeded(score=SCORE)))
    write(service, FILE, SCORE)
    service.store.down = True
    answer = await service.get(f"{JOBS}{body['metadata']['uid']}/")
    assert (answer.status, answer.headers["retry-after"]) == (503, "3")
    service.store.down = False
    assert await value_of(service, body) == 0.25


async def test_an_image_that_a_job_wrote_has_a_row(service: Service) -> None:
    put(service, body := job(status=succeeded(score=SCORE)))
    write(service, FILE, SCORE)
    uid = body["metadata"]["uid"]
    await service.get(f"{JOBS}{uid}/")
    answer = await service.get(f"{JOBS}{uid}/")
    image = output_image_pk(uid, "tissues")
    assert answer.json()["outputs"][-1]["image"] == f"{URL}cases/images/{image}/"
    row = await service.database.run(lambda session: session.get_one(Image, image))
    assert (row.namespace, row.store, row.path) == (NAMESPACE, "data", "case-001/uid/1/tissues.mha")
    assert (row.name, row.size, row.sha256) == ("tissues.mha", 100, "1" * 64)
    assert row.geometry["size"] == [4, 3, 2]


async def test_images_of_inputs(service: Service) -> None:
    await add_image(service, 1, path="case-001/t1.mha")
    await add_image(service, 2, path="other/t1.mha", namespace="elsewhere")
    await add_session(service, 9, image_id=pk(1), import_name="i")
    elsewhere = {"store": {"name": "data", "paths": ["other/t1.mha"]}}
    smoothing = {"slug": "smoothing", "value": 1}
    put(
        service,
        job("a", uid=pk(11)),
        job("b", uid=pk(12), inputs=[{"slug": "t1-mri", "imageImport": {"name": "i"}}, smoothing]),
        job("c", uid=pk(13), inputs=[{"slug": "t1-mri", **elsewhere}, smoothing]),
    )
    told = [
        (await service.get(f"{JOBS}{pk(number)}/")).json()["inputs"][1]["image"] for number in (11, 12, 13)
    ]
    assert told == [f"{URL}cases/images/{pk(1)}/"] * 2 + [None]


async def test_a_list_is_in_the_order_of_creation(service: Service) -> None:
    put(
        service,
        job("b", uid=pk(2), creationTimestamp="2026-11-28T10:00:01Z"),
        job("a", uid=pk(1), creationTimestamp="2026-11-28T10:00:01Z"),
        job("c", uid=pk(3), creationTimestamp="2026-11-28T10:00:00Z"),
    )
    assert await listed(service) == [pk(3), pk(1), pk(2)]
    assert await listed(service, "?limit=1&offset=1") == [pk(1)]
    assert await listed(service, "?offset=3") == []
    answer = await service.get(f"{JOBS}?limit=2")
    assert answer.json()["count"] == 3
    assert answer.json()["next"] == f"{URL}{JOBS}?limit=2&offset=2"


async def test_a_page_reads_the_values_of_its_own_jobs_alone(service: Service) -> None:
    for number in range(3):
        put(service, job(f"j{number}", uid=pk(number), status=succeeded(f"j{number}", score=b"%d" % number)))
        write(service, f"j{number}/score.json", b"%d" % number)
    assert await listed(service, "?limit=1&offset=1") == [pk(1)]
    assert [path for method, path in service.store.calls if method == "read"] == ["j1/score.json"]


async def test_values_that_are_too_large_for_one_answer(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobfacts, "MAX_ANSWER_BYTES", 25)
    for number in range(3):
        score = b'"%09d"' % number  # 11 bytes
        put(service, job(f"j{number}", uid=pk(number), status=succeeded(f"j{number}", score=score)))
        write(service, f"j{number}/score.json", score)
    answer = await service.get(JOBS)
    assert answer.status == 400
    assert "ask for fewer jobs at once" in answer.json()["detail"]
    assert await listed(service, "?limit=2") == [pk(0), pk(1)]


async def test_filters(service: Service) -> None:
    await add_image(service, 1, path="case-001/t1.mha")
    await add_image(service, 2, path="case-002/t1.mha", namespace="elsewhere")
    await add_session(service, 9, image_id=pk(1), import_name="i")
    imported = [{"slug": "t1-mri", "imageImport": {"name": "i"}}, {"slug": "smoothing", "value": 1}]
    put(
        service,
        algorithm("other", uid=pk(100)),
        job("by-path", uid=pk(11)),
        job("by-import", uid=pk(12), inputs=imported, status={"state": "Running", "algorithm": snapshot()}),
        job("else", uid=pk(13), inputs=imported[1:], algorithmRef={"name": "other"}),
        job("done", uid=pk(14), inputs=imported[1:], status=succeeded("done", score=SCORE)),
    )
    write(service, "done/score.json", SCORE)
    everything = {
        "": [11, 12, 13, 14],
        f"?algorithm_image__algorithm={ALGORITHM_UID}": [11, 12, 14],
        f"?algorithm_image__algorithm={pk(100)}": [13],
        f"?algorithm_image__algorithm={pk(101)}": [],
        f"?input_image={pk(1)}": [11, 12],
        f"?image={pk(1)}": [11, 12],
        f"?input_image={pk(2)}": [],
        f"?input_image={pk(3)}": [],
        f"?output_image={output_image_pk(pk(14), 'tissues')}": [14],
        f"?output_image={output_image_pk(pk(14), 'score')}": [],
        "?status=Executing": [12],
        "?status=Validating%20inputs": [11, 13],
        "?status=nonsense": [],
        f"?status=Succeeded&input_image={pk(1)}": [],
    }
    for query, numbers in everything.items():
        assert sorted(await listed(service, query)) == [pk(number) for number in numbers], query


async def test_a_job_of_the_gateway_is_found_by_its_name(service: Service) -> None:
    put(service, job(job_name(pk(5)), uid=pk(6), labels={LABEL_PK: pk(5)}))
    assert await listed(service) == [pk(5)]
    answer = await service.get(f"{JOBS}{pk(5)}/")
    assert answer.json()["pk"] == pk(5)
    assert not [call for call in service.cluster.calls if call[:2] == ("list", ALGORITHM_JOBS.plural)][1:]
    assert (await service.get(f"{JOBS}{pk(6)}/")).status == 404, "it has one pk"


async def test_a_job_of_kubectl_is_looked_for_once(service: Service) -> None:
    put(service, job(uid=pk(7)))
    for _ in range(3):
        assert (await service.get(f"{JOBS}{pk(7)}/")).status == 200
    lists = [call for call in service.cluster.calls if call[:2] == ("list", ALGORITHM_JOBS.plural)]
    assert len(lists) == 1


async def test_a_successor_of_the_same_name_is_another_job(service: Service) -> None:
    put(service, job("case", uid=pk(7)))
    assert (await service.get(f"{JOBS}{pk(7)}/")).status == 200
    put(service, job("case", uid=pk(8)))
    assert (await service.get(f"{JOBS}{pk(7)}/")).status == 404
    assert (await service.get(f"{JOBS}{pk(8)}/")).status == 200


@pytest.mark.parametrize("path", [f"{JOBS}{pk(404)}/", f"{JOBS}nonsense/", f"{JOBS}../jobs/x/"])
async def test_no_such_job(service: Service, path: str) -> None:
    assert (await service.get(path)).status == 404


async def test_what_one_may_not_see_does_not_exist(service: Service) -> None:
    put(service, job(uid=pk(7)))
    service.authorizer.denied = {(Verb.GET, Resource.JOBS)}
    assert (await service.get(f"{JOBS}{pk(7)}/")).status == 404
    assert await listed(service) == [pk(7)]
    service.authorizer.denied = {(Verb.LIST, Resource.JOBS)}
    assert (await service.get(f"{JOBS}{pk(7)}/")).status == 200
    assert await listed(service) == []


async def test_jobs_of_another_namespace(service: Service) -> None:
    other = job(uid=pk(7))
    other["metadata"]["namespace"] = "elsewhere"
    put(service, other)
    assert await listed(service) == []
    assert (await service.get(f"{JOBS}{pk(7)}/")).status == 404


async def test_a_job_of_a_later_version_hides_no_other(service: Service) -> None:
    strange = job("strange", uid=pk(1))
    strange["spec"]["attempts"] = "many"
    put(service, strange, job(uid=pk(2)))
    assert await listed(service) == await listed(service, "?status=Validating%20inputs") == [pk(2)]
    assert (await service.get(f"{JOBS}{pk(1)}/")).status == 404
