"""POST algorithms/jobs/: what is made, what is refused in which words, what a repeated request is, limits."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import APIRouter
from sqlalchemy import select

from algorithm_operator.api.job import AlgorithmJobSpec
from algorithm_operator.core.names import LABEL_PK
from algorithm_operator.gateway import jobs, shapes
from algorithm_operator.gateway.database.models import JobStart, Upload
from algorithm_operator.gateway.identity import Resource, Verb
from algorithm_operator.gateway.importing import session_pk
from algorithm_operator.gateway.jobids import value_pk
from algorithm_operator.gateway.settings import Settings
from algorithm_operator.kube import errors
from algorithm_operator.kube.resources import ALGORITHM_JOBS, IMAGE_IMPORTS
from tests.gateway import fakes
from tests.gateway.fakes import ALICE, NAMESPACE, Answer, Service
from tests.gateway.running import (
    ALGORITHM_UID,
    JOBS,
    URL,
    Clock,
    add_image,
    add_session,
    add_upload,
    algorithm,
    asked,
    given,
    job,
    jobs_of,
    pk,
    put,
)

TEXT = (given("question", value="Where?"), given("context", value={"a": 1}))
DOES_NOT_EXIST = ["Invalid hyperlink - Object does not exist."]
TOO_MANY = {"non_field_errors": ["You have too many active jobs, please try again after they have completed"]}
DUPLICATE = {
    "non_field_errors": ["A result for these inputs with the current image and model already exists."]
}


@pytest.fixture
def routers() -> list[APIRouter]:
    return [jobs.router]


@pytest.fixture
def clock(service: Service) -> Clock:
    """The gateway's clock and the cluster's; an Algorithm is there."""
    clock = Clock()
    service.clock = clock
    service.restart()
    add = service.cluster.add

    def stamped(resource: Any, body: Any) -> Any:
        created = clock().strftime("%Y-%m-%dT%H:%M:%SZ")
        return add(resource, {**body, "metadata": {"creationTimestamp": created, **body["metadata"]}})

    service.cluster.add = stamped  # type: ignore[method-assign]
    put(service, algorithm())
    return clock


async def post(service: Service, *values: dict[str, Any], **options: Any) -> Answer:
    return await service.post(JOBS, asked(*values, **options))


def end(service: Service, state: str, number: int = -1) -> None:
    """Let a job end, by default the youngest."""
    body = sorted(jobs_of(service), key=lambda each: int(each["metadata"]["resourceVersion"]))[number]
    body["status"] = {"state": state}


async def starts(service: Service) -> list[str]:
    return await service.database.run(lambda session: sorted(session.scalars(select(JobStart.id))))


# --- what is made


async def test_a_job_of_values(service: Service, clock: Clock) -> None:
    answer = await post(service, *TEXT)
    assert answer.status == 201
    told = shapes.JobPosted.model_validate(answer.json())
    assert told.status == "Validating inputs"
    assert [(each.interface, each.value) for each in told.inputs] == [
        ("question", "Where?"),
        ("context", {"a": 1}),
    ]
    assert told.inputs[0].pk == value_pk(told.pk, "inputs", "question")
    (made,) = jobs_of(service)
    assert made["metadata"]["name"] == f"gcapi-{told.pk}"
    assert made["metadata"]["labels"][LABEL_PK] == told.pk
    assert made["spec"] == {
        "algorithmRef": {"name": "brain"},
        "requestedBy": ALICE,
        "inputs": [{"slug": "question", "value": "Where?"}, {"slug": "context", "value": {"a": 1}}],
        "outputStore": {"name": "data"},
    }
    AlgorithmJobSpec.model_validate(made["spec"])
    assert await starts(service) == [told.pk]


SMOOTHING = given("smoothing", value=1.5)


async def test_an_image_that_is_there(service: Service, clock: Clock) -> None:
    url = await add_image(service, 1)
    answer = await post(service, given("t1-mri", image=url), SMOOTHING)
    assert answer.status == 201
    assert answer.json()["inputs"][0]["image"] == url
    (made,) = jobs_of(service)
    assert made["spec"]["inputs"][0] == {
        "slug": "t1-mri",
        "store": {"name": "data", "paths": [f"imports/i/{pk(1)}/{pk(1)}.mha"]},
    }


@pytest.mark.parametrize("by", ["user_uploads", "upload_session"])
async def test_an_image_of_files_is_imported(service: Service, clock: Clock, by: str) -> None:
    if by == "user_uploads":
        urls = [await add_upload(service, number, f"{number}.dcm") for number in (1, 2)]
        value, session = given("t1-mri", user_uploads=urls), session_pk([pk(1), pk(2)])
    else:
        value, session = given("t1-mri", upload_session=await add_session(service, 9)), pk(9)
    assert (await post(service, value, SMOOTHING)).status == 201
    (made,) = jobs_of(service)
    assert made["spec"]["inputs"][0] == {"slug": "t1-mri", "imageImport": {"name": f"gcapi-{session}"}}


async def test_a_session_that_is_over_is_the_image(service: Service, clock: Clock) -> None:
    await add_image(service, 1)
    url = await add_session(service, 9, image_id=pk(1))
    assert (await post(service, given("t1-mri", upload_session=url), SMOOTHING)).status == 201
    (made,) = jobs_of(service)
    assert made["spec"]["inputs"][0]["store"]["paths"] == [f"imports/i/{pk(1)}/{pk(1)}.mha"]


async def test_files_are_the_jobs_own_then(service: Service, clock: Clock) -> None:
    letter, marks = await add_upload(service, 1, "letter.pdf"), await add_upload(service, 2, "marks.json")
    answer = await post(service, given("letter", user_upload=letter), given("marks", user_upload=marks))
    assert answer.status == 201
    (made,) = jobs_of(service)
    paths = [each["store"]["paths"] for each in made["spec"]["inputs"]]
    assert paths == [[f"gateway/uploads/{pk(1)}/letter.pdf"], [f"gateway/uploads/{pk(2)}/marks.json"]]
    used = await service.database.run(
        lambda session: {each.used_by for each in session.scalars(select(Upload))}
    )
    assert used == {f"job/{answer.json()['pk']}"}


async def test_a_dicom_image_set_is_gathered_and_not_imported(service: Service, clock: Clock) -> None:
    urls = [await add_upload(service, number, f"{number}.dcm") for number in (1, 2)]
    answer = await post(service, given("series", user_uploads=urls, image_name="Thorax"))
    assert answer.status == 201
    assert answer.json()["inputs"][0]["image_name"] == "Thorax"
    (made,) = jobs_of(service)
    folder = f"gateway/sessions/{session_pk([pk(1), pk(2)])}/"
    assert made["spec"]["inputs"] == [{"slug": "series", "store": {"name": "data", "paths": [folder]}}]
    assert set(service.store.files) == {f"{folder}1.dcm", f"{folder}2.dcm"}
    assert not any(plural == IMAGE_IMPORTS.plural for plural, _, _ in service.cluster.objects)


# --- what is refused


@pytest.mark.parametrize(
    ("deny", "url"),
    [
        pytest.param(set(), "https://elsewhere.test/imaging/api/v1/algorithms/x/", id="another host"),
        pytest.param(set(), f"{URL}algorithms/{pk(5)}/", id="no such Algorithm"),
        pytest.param(set(), f"{URL}algorithms/jobs/", id="something else"),
        pytest.param(
            {(Verb.GET, Resource.ALGORITHMS)}, f"{URL}algorithms/{ALGORITHM_UID}/", id="may not see it"
        ),
        pytest.param(
            {(Verb.CREATE, Resource.JOBS)}, f"{URL}algorithms/{ALGORITHM_UID}/", id="may not run it"
        ),
    ],
)
async def test_an_algorithm_that_one_may_not_run_does_not_exist(
    service: Service, clock: Clock, deny: set[tuple[str, ...]], url: str
) -> None:
    service.authorizer.denied = deny
    answer = await post(service, *TEXT, algorithm=url)
    assert (answer.status, answer.json()) == (400, {"algorithm": DOES_NOT_EXIST})
    assert not jobs_of(service)


async def test_an_image_that_is_not_ready(service: Service, clock: Clock) -> None:
    put(service, algorithm(ready=False))
    answer = await post(service, *TEXT)
    assert answer.status == 400
    first, why = answer.json()["non_field_errors"]
    assert first == "Algorithm image is not ready to be used"
    assert "Image brain:1.2 does not exist." in why


COMBINATIONS = (
    "The set of inputs provided does not match any of the algorithm's interfaces. This algorithm supports the "
    "following input combinations: Interface 1: T1 MRI and Smoothing, Interface 2: Letter and Marks, "
    "Interface 3: Series, and Interface 4: Question and Context"
)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param([], COMBINATIONS, id="nothing"),
        pytest.param([TEXT[0]], COMBINATIONS, id="one is missing"),
        pytest.param([*TEXT, SMOOTHING], COMBINATIONS, id="one too many"),
        pytest.param([*TEXT, TEXT[0]], COMBINATIONS, id="one twice"),
        pytest.param(
            [TEXT[0], given("no-such-thing", value=1)],
            [{}, {"interface": ["Object with slug=no-such-thing does not exist."]}],
            id="unknown slug",
        ),
        pytest.param(
            [given(None, value=1)], [{"non_field_errors": ["An interface must be specified"]}], id="no slug"
        ),
    ],
)
async def test_inputs_that_fit_no_interface(
    service: Service, clock: Clock, values: list[dict[str, Any]], expected: Any
) -> None:
    answer = await post(service, *values)
    assert answer.status == 400
    if isinstance(expected, str):
        first, why = answer.json()["non_field_errors"]
        assert first == expected
        assert why
    else:
        assert answer.json() == {"inputs": expected}
    assert not jobs_of(service)


ONE_OF = (
    "You can only provide one of ['image', 'value', 'file', 'user_upload', 'upload_session', "
    "('image_name', 'user_uploads')] for each socket."
)
IMAGE_NEEDED = "upload_session, user_uploads or image are required for interface kind IMG"
Body = dict[str, Any]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(
            given("smoothing"), {"non_field_errors": ["value is required for interface kind FLT"]}, id="null"
        ),
        pytest.param(
            given("smoothing", value="x"),
            {"value": ["JSON does not fulfill schema: instance is not a number."]},
            id="kind",
        ),
        pytest.param(
            given("smoothing", value=-1),
            {"value": ["JSON does not fulfill schema: instance is -1, and minimum is 0."]},
            id="the socket's own schema",
        ),
        pytest.param(
            given("smoothing", value=1, image=f"{URL}cases/images/{pk(1)}/"),
            {"non_field_errors": [ONE_OF]},
            id="two sources",
        ),
        pytest.param(given("t1-mri"), {"non_field_errors": [IMAGE_NEEDED]}, id="image: nothing"),
        pytest.param(
            given("t1-mri", user_uploads=[]), {"non_field_errors": [IMAGE_NEEDED]}, id="image: no files"
        ),
        pytest.param(given("t1-mri", value=1), {"non_field_errors": [IMAGE_NEEDED]}, id="image: a value"),
        pytest.param(
            given("t1-mri", image=f"{URL}cases/images/{pk(77)}/"),
            {"image": DOES_NOT_EXIST},
            id="no such image",
        ),
        pytest.param(
            given("t1-mri", image=f"https://x.test/imaging/api/v1/cases/images/{pk(1)}/"),
            {"image": DOES_NOT_EXIST},
            id="an image elsewhere",
        ),
        pytest.param(
            given("t1-mri", image=f"{URL}cases/images/../uploads/"),
            {"image": DOES_NOT_EXIST},
            id="no image's URL",
        ),
        pytest.param(
            given("t1-mri", upload_session=f"{URL}cases/upload-sessions/{pk(77)}/"),
            {"upload_session": DOES_NOT_EXIST},
            id="no such session",
        ),
        pytest.param(
            given("t1-mri", user_uploads=[f"{URL}uploads/{pk(77)}/"]),
            {"user_uploads": DOES_NOT_EXIST},
            id="no upload",
        ),
    ],
)
async def test_a_value_that_is_refused(service: Service, clock: Clock, value: Body, expected: Body) -> None:
    await add_image(service, 1)
    image = given("t1-mri", image=f"{URL}cases/images/{pk(1)}/")
    other = image if value["interface"] == "smoothing" else SMOOTHING
    answer = await post(service, other, value)
    assert (answer.status, answer.json()) == (400, {"inputs": [{}, expected]})
    assert not jobs_of(service)
    assert await starts(service) == []


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(
            given("letter"), {"non_field_errors": ["user_upload or file is required for interface kind PDF"]}
        ),
        pytest.param(
            given("letter", file="x.pdf"),
            {"file": ["The submitted data was not a file: upload it, and give its user_upload."]},
        ),
        pytest.param(given("letter", user_upload=f"{URL}uploads/{pk(8)}/"), {"user_upload": DOES_NOT_EXIST}),
    ],
    ids=["nothing", "file", "no such upload"],
)
async def test_a_file_that_is_refused(service: Service, clock: Clock, value: Body, expected: Body) -> None:
    marks = await add_upload(service, 2, "marks.json")
    answer = await post(service, value, given("marks", user_upload=marks))
    assert (answer.status, answer.json()) == (400, {"inputs": [expected, {}]})


async def test_a_file_of_another_kind(service: Service, clock: Clock) -> None:
    letter, marks = await add_upload(service, 1, "letter.txt"), await add_upload(service, 2, "marks.json")
    answer = await post(service, given("letter", user_upload=letter), given("marks", user_upload=marks))
    assert answer.status == 400
    (why,) = answer.json()["inputs"][0]["user_upload"]
    assert why.startswith('Input "letter" is not valid: kind PDF file takes one .pdf file')


@pytest.mark.parametrize(
    "sources",
    [
        {},
        {"user_uploads": [f"{URL}uploads/{pk(1)}/"]},
        {"upload_session": f"{URL}cases/upload-sessions/{pk(9)}/"},
    ],
    ids=["nothing", "no name", "a session"],
)
async def test_dicom_needs_files_and_a_name(service: Service, clock: Clock, sources: Body) -> None:
    answer = await post(service, given("series", **sources))
    why = "either user_uploads with image_name, or image are required for interface kind DCMIS"
    assert answer.json() == {"inputs": [{"non_field_errors": [why]}]}


async def test_an_image_is_no_dicom_image_set(service: Service, clock: Clock) -> None:
    answer = await post(service, given("series", image=await add_image(service, 1)))
    assert answer.json() == {"inputs": [{"image": ["Image must be DICOM"]}]}


async def test_what_is_somebody_elses_does_not_exist(service: Service, clock: Clock) -> None:
    image = await add_image(service, 1, namespace="elsewhere")
    session = await add_session(service, 2, username="bob")
    upload = await add_upload(service, 3, "a.mha", username="bob")
    for sources in ({"image": image}, {"upload_session": session}, {"user_uploads": [upload]}):
        answer = await post(service, given("t1-mri", **sources), SMOOTHING)
        assert answer.json() == {"inputs": [dict.fromkeys(sources, DOES_NOT_EXIST), {}]}


async def test_images_that_one_may_not_see(service: Service, clock: Clock) -> None:
    image = await add_image(service, 1)
    service.authorizer.denied = {(Verb.GET, Resource.IMAGES)}
    answer = await post(service, given("t1-mri", image=image), SMOOTHING)
    assert answer.json() == {"inputs": [{"image": DOES_NOT_EXIST}, {}]}


async def test_images_that_one_may_not_make(service: Service, clock: Clock) -> None:
    """As where a session is asked for: the gateway makes nothing that the person may not."""
    upload = await add_upload(service, 3, "a.mha")
    service.authorizer.denied = {(Verb.CREATE, Resource.IMAGES)}
    answer = await post(service, given("t1-mri", user_uploads=[upload]), SMOOTHING)
    assert answer.status == 403
    assert not jobs_of(service)
    assert not [each for each in service.cluster.objects if each[0] == IMAGE_IMPORTS.plural]


@pytest.mark.parametrize("by", ["session", "uploads"])
async def test_an_import_that_has_failed(service: Service, clock: Clock, by: str) -> None:
    files = await add_upload(service, 1, "a.mha", used_by=f"session/{session_pk([pk(1)])}")
    row = {"id": session_pk([pk(1)]), "uploads": [pk(1)], "error": "a.mha: not an image"}
    await add_session(service, 9, **row)
    session = f"{URL}cases/upload-sessions/{row['id']}/"
    sources = {"upload_session": session} if by == "session" else {"user_uploads": [files]}
    answer = await post(service, given("t1-mri", **sources), SMOOTHING)
    assert answer.status == 400
    ((why,),) = answer.json()["inputs"][0].values()
    assert why.endswith("failed: a.mha: not an image")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        pytest.param("1" * 30, "more than 64 bits", id="a huge whole number"),
        pytest.param("[" * 250 + "]" * 250, "nested deeper than 200 levels", id="deep"),
        pytest.param("[" * 900 + "]" * 900, "nested deeper than 200 levels", id="deeper"),
        pytest.param('"' + "x" * 140_000 + '"', "140002 bytes, more than 131072", id="large"),
    ],
)
async def test_json_that_no_part_on_the_way_keeps(
    service: Service, clock: Clock, value: str, said: str
) -> None:
    text = json.dumps(asked(TEXT[0], given("context", value="HERE"))).replace('"HERE"', value)
    answer = await service.request(
        "POST", JOBS, body=text.encode(), headers={"content-type": "application/json"}
    )
    assert answer.status == 400
    assert said in answer.json()["inputs"][1]["value"][0]


async def test_values_that_are_too_large_together(service: Service, clock: Clock) -> None:
    answer = await post(service, given("question", value="x" * 70_000), given("context", value="x" * 70_000))
    assert answer.status == 400
    assert "more than 131072" in answer.json()["non_field_errors"][0]


async def test_a_namespace_without_a_store(service: Service, clock: Clock) -> None:
    service.stores.defaults[NAMESPACE] = None
    answer = await post(service, *TEXT)
    assert answer.status == 400
    assert "an admin makes one with default: true" in answer.json()["non_field_errors"][0]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (errors.Forbidden(403, "Forbidden", "exceeded quota: jobs"), "quota leaves no room for another job"),
        (
            errors.Invalid(422, "Invalid", "spec.inputs: too \x07 long"),
            "The cluster refuses the job: spec.inputs: too \\x07",
        ),
    ],
    ids=["quota", "schema"],
)
async def test_what_the_cluster_refuses_counts_for_nothing(
    service: Service, clock: Clock, error: Exception, said: str
) -> None:
    service.cluster.before = failing("create", error)
    answer = await post(service, *TEXT)
    assert answer.status == 400
    assert said in answer.json()["non_field_errors"][0]
    assert await starts(service) == []


async def test_uploads_of_a_refused_request_can_be_used_again(service: Service, clock: Clock) -> None:
    letter, marks = await add_upload(service, 1, "letter.pdf"), await add_upload(service, 2, "marks.json")
    image = await add_upload(service, 3, "t1.mha")
    assert (await post(service, given("letter", user_upload=letter), given("marks"))).status == 400
    assert (
        await post(service, given("t1-mri", user_uploads=[image]), given("smoothing", value=-1))
    ).status == 400
    used = await service.database.run(
        lambda session: {each.used_by for each in session.scalars(select(Upload))}
    )
    assert used == {None}
    assert (
        await post(service, given("letter", user_upload=letter), given("marks", user_upload=marks))
    ).status == 201
    assert (await post(service, given("t1-mri", user_uploads=[image]), SMOOTHING)).status == 201


async def test_an_upload_is_of_one_job(service: Service, clock: Clock) -> None:
    letter = await add_upload(service, 1, "letter.pdf")
    marks = [await add_upload(service, number, "marks.json") for number in (2, 3)]
    first, second = [
        await post(service, given("letter", user_upload=letter), given("marks", user_upload=each))
        for each in marks
    ]
    assert first.status == 201
    assert second.json() == {"inputs": [{"user_upload": DOES_NOT_EXIST}, {}]}


# --- what a repeated request is


def failing(verb: str, error: Exception, times: int = 1) -> Callable[[str, str, str], None]:
    left = [times]

    def before(asked_verb: str, plural: str, name: str) -> None:
        if (asked_verb, plural) == (verb, ALGORITHM_JOBS.plural) and left[0]:
            left[0] -= 1
            raise error

    return before


async def test_a_repeated_request_is_the_same_job(service: Service, clock: Clock) -> None:
    letter, marks = await add_upload(service, 1, "letter.pdf"), await add_upload(service, 2, "marks.json")
    values = given("letter", user_upload=letter), given("marks", user_upload=marks)
    first = await post(service, *values)
    clock.move(minutes=9)
    service.restart()
    second = await post(service, *values)
    assert (first.status, second.status) == (201, 201)
    assert first.json() == second.json()
    assert len(jobs_of(service)) == len(await starts(service)) == 1


async def test_a_repeated_request_says_where_the_job_is(service: Service, clock: Clock) -> None:
    await post(service, *TEXT)
    end(service, "Succeeded")
    assert (await post(service, *TEXT)).json()["status"] == "Succeeded"


@pytest.mark.parametrize(
    "limit", [{"activeJobsPerUser": 1}, {"jobsPerUser": {"count": 1, "period": "1h"}}], ids=str
)
async def test_limits_do_not_refuse_a_repeated_request(service: Service, clock: Clock, limit: Body) -> None:
    put(service, algorithm(limits=limit))
    first, second = [await post(service, *TEXT) for _ in range(2)]
    assert first.json() == second.json()


async def test_the_same_once_more_is_a_duplicate(service: Service, clock: Clock) -> None:
    await post(service, *TEXT)
    clock.move(minutes=11)
    answer = await post(service, *TEXT)
    assert (answer.status, answer.json()) == (400, DUPLICATE)
    service.username = "bob"
    assert (await post(service, *TEXT)).status == 201


@pytest.mark.parametrize("state", ["Failed", "Cancelled"])
async def test_a_job_that_failed_can_be_run_again(service: Service, clock: Clock, state: str) -> None:
    seen = set()
    for _ in range(3):
        answer = await post(service, *TEXT)
        assert answer.status == 201
        seen.add(answer.json()["pk"])
        end(service, state)
    assert len(seen) == len(jobs_of(service)) == len(await starts(service)) == 3


async def test_another_image_makes_another_result(service: Service, clock: Clock) -> None:
    first = await post(service, *TEXT)
    changed = algorithm()
    changed["status"]["image"]["digest"] = "sha256:" + "b" * 64
    put(service, changed)
    clock.move(minutes=11)
    second = await post(service, *TEXT)
    assert (first.status, second.status) == (201, 201)
    assert first.json()["pk"] != second.json()["pk"]


async def test_an_answer_of_the_cluster_that_was_lost(service: Service, clock: Clock) -> None:
    """The object was created and nobody heard of it: the client asks again."""
    create = service.cluster.create

    async def lost(*arguments: Any) -> Any:
        await create(*arguments)
        service.cluster.create = create  # type: ignore[method-assign]
        raise errors.Unreachable(0, "Unreachable", "timed out")

    service.cluster.create = lost  # type: ignore[method-assign, assignment]
    assert (await post(service, *TEXT)).status == 503
    answer = await post(service, *TEXT)
    assert answer.status == 201
    assert [each["metadata"]["labels"][LABEL_PK] for each in jobs_of(service)] == [answer.json()["pk"]]
    assert await starts(service) == [answer.json()["pk"]]


async def test_the_gateway_dies_before_it_creates(service: Service, clock: Clock) -> None:
    urls = [await add_upload(service, 1, "a.dcm")]
    values = given("t1-mri", user_uploads=urls), SMOOTHING
    put(service, algorithm(limits={"jobsPerUser": {"count": 1, "period": "1h"}}))
    service.cluster.before = failing("create", errors.Unreachable(0, "Unreachable", "no route"))
    assert (await post(service, *values)).status == 503
    service.restart()
    clock.move(seconds=50)
    answer = await post(service, *values)
    assert answer.status == 201
    assert await starts(service) == [answer.json()["pk"]]


async def test_the_gateway_dies_before_it_claims(service: Service, clock: Clock) -> None:
    letter, marks = await add_upload(service, 1, "letter.pdf"), await add_upload(service, 2, "marks.json")
    values = given("letter", user_upload=letter), given("marks", user_upload=marks)
    answer = await post(service, *values)

    def unclaim(session: Any) -> None:
        for each in session.scalars(select(Upload)):
            each.used_by = None

    await service.database.run(unclaim)
    assert (await post(service, *values)).json() == answer.json()
    used = await service.database.run(
        lambda session: {each.used_by for each in session.scalars(select(Upload))}
    )
    assert used == {f"job/{answer.json()['pk']}"}


async def test_a_name_that_somebody_has_taken(service: Service, clock: Clock) -> None:
    first = (await post(service, *TEXT)).json()["pk"]
    (made,) = jobs_of(service)
    stolen = {**made, "metadata": {**made["metadata"], "labels": {}}}
    service.cluster.add(ALGORITHM_JOBS, stolen)
    await service.database.run(lambda session: session.delete(session.get_one(JobStart, first)))
    answer = await post(service, *TEXT)
    assert answer.status == 201
    assert answer.json()["pk"] != first
    assert await starts(service) == [answer.json()["pk"]]


async def test_our_labels_on_somebody_elses_job_mean_nothing(service: Service, clock: Clock) -> None:
    first = (await post(service, *TEXT)).json()["pk"]
    jobs_of(service)[0]["spec"]["requestedBy"] = "mallory"
    await service.database.run(lambda session: session.delete(session.get_one(JobStart, first)))
    assert (await post(service, *TEXT)).json()["pk"] != first


async def test_the_same_request_many_times_at_once(service: Service, clock: Clock) -> None:
    answers = await asyncio.gather(*(post(service, *TEXT) for _ in range(8)))
    assert {each.status for each in answers} == {201}
    assert len({each.json()["pk"] for each in answers}) == len(jobs_of(service)) == 1


# --- limits


def text(number: int) -> tuple[Body, Body]:
    return given("question", value=str(number)), TEXT[1]


async def test_active_jobs(service: Service, clock: Clock) -> None:
    put(service, algorithm(limits={"activeJobsPerUser": 2}))
    put(service, job("by-kubectl"), job("of-bob", requestedBy="bob"), job("over", status={"state": "Failed"}))
    assert (await post(service, *text(1))).status == 201
    answer = await post(service, *text(2))
    assert (answer.status, answer.json()) == (400, TOO_MANY)
    end(service, "Succeeded")
    assert (await post(service, *text(2))).status == 201


async def test_jobs_in_a_period(service: Service, clock: Clock) -> None:
    put(service, algorithm(limits={"jobsPerUser": {"count": 2, "period": "1h"}}))
    for number in (1, 2):
        assert (await post(service, *text(number))).status == 201
        clock.move(minutes=20)
    for key in [key for key in service.cluster.objects if key[0] == ALGORITHM_JOBS.plural]:
        del service.cluster.objects[key]  # gives nothing back
    answer = await post(service, *text(3))
    assert answer.status == 400
    first, why = answer.json()["non_field_errors"]
    assert first == "You have run out of algorithm credits"
    assert why == (
        "You have started 2 jobs of Algorithm brain in the last 1h, and 2 are allowed; the next may start at "
        "2026-11-28T13:00:01Z."
    )
    service.username = "bob"
    assert (await post(service, *text(3))).status == 201
    service.username = ALICE
    clock.move(minutes=20, seconds=1)
    assert (await post(service, *text(3))).status == 201
    assert (await post(service, *text(4))).status == 400


async def test_a_deleted_job_asked_for_again_counts_again(service: Service, clock: Clock) -> None:
    put(service, algorithm(limits={"jobsPerUser": {"count": 2, "period": "1h"}}))
    statuses = []
    for _ in range(3):
        statuses.append((await post(service, *TEXT)).status)
        for key in [key for key in service.cluster.objects if key[0] == ALGORITHM_JOBS.plural]:
            del service.cluster.objects[key]
        clock.move(minutes=3)
    assert statuses == [201, 201, 400]


@pytest.mark.parametrize(
    "limits", [{"activeJobsPerUser": 3}, {"jobsPerUser": {"count": 3, "period": "1h"}}], ids=str
)
async def test_the_last_place_goes_to_one(service: Service, clock: Clock, limits: Body) -> None:
    put(service, algorithm(limits=limits))
    answers = await asyncio.gather(*(post(service, *text(number)) for number in range(8)))
    assert sorted(each.status for each in answers) == [201] * 3 + [400] * 5


async def test_refusals_come_in_upstreams_order(service: Service, clock: Clock) -> None:
    """Limits before inputs: who has no place left need not look for what else is wrong."""
    put(service, algorithm(limits={"activeJobsPerUser": 1}))
    put(service, job("mine"))
    assert (await post(service, given("nonsense", value=1))).json() == TOO_MANY


async def test_usernames_of_any_form_are_asked_for(service: Service, clock: Clock) -> None:
    asked_for: list[str] = []
    listing = service.cluster.list

    async def recorded(*arguments: Any, **options: Any) -> Any:
        asked_for.append(options.get("field_selector", ""))
        return await listing(*arguments, **{**options, "field_selector": ""})

    service.cluster.list = recorded  # type: ignore[method-assign]
    service.username = r"https://idp/?a=1,b\c"
    assert (await post(service, *TEXT)).status == 201
    (selector,) = filter(None, asked_for)
    terms = selector.split(",status.state!=")
    assert terms[0] == r"spec.algorithmRef.name=brain,spec.requestedBy=https://idp/?a\=1\,b\\c"
    assert sorted(terms[1:]) == ["Cancelled", "Failed", "Succeeded"]


class TestDefaults:
    """What the installation allows where the Algorithm says nothing."""

    @pytest.fixture
    def settings(self, tmp_path: Any) -> Settings:
        return fakes.settings(tmp_path, active_jobs_per_user=1)

    async def test_the_installations_limit(self, service: Service, clock: Clock) -> None:
        assert (await post(service, *text(1))).status == 201
        assert (await post(service, *text(2))).json() == TOO_MANY
        put(service, algorithm(limits={"activeJobsPerUser": 2}))
        assert (await post(service, *text(2))).status == 201
