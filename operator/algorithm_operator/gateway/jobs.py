"""algorithms/jobs/: jobs, whoever has made them; those of the gateway also when their object is gone."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter, Query, Response

from algorithm_operator.gateway import jobfinding, joblists, jobstarts, shapes
from algorithm_operator.gateway.answers import Windowed, answer
from algorithm_operator.gateway.context import Calling
from algorithm_operator.gateway.identity import Resource, Verb
from algorithm_operator.gateway.jobfacts import known_of
from algorithm_operator.gateway.jobids import value_pk
from algorithm_operator.gateway.joblists import Wanted
from algorithm_operator.gateway.jobviews import job_shape
from algorithm_operator.gateway.requests import JobRequest
from algorithm_operator.gateway.urls import API
from algorithm_operator.gateway.values import posted

router = APIRouter(prefix=f"{API}/algorithms/jobs", tags=["jobs"])


@router.get("/", response_model=shapes.Page[shapes.Job])
async def list_jobs(
    caller: Calling,
    window: Windowed,
    algorithm: str | None = Query(None, alias="algorithm_image__algorithm"),
    input_image: str | None = None,
    image: str | None = None,
    output_image: str | None = None,
    status: str | None = None,
) -> Response:
    """The jobs of the namespace, the oldest first: of an Algorithm (its pk), with an image (its pk) as an input or
    output, or with a status. `image` is what the client calls `input_image`."""
    if not await caller.rights.may(Verb.LIST, Resource.JOBS):
        return window.page([], 0)
    wanted = Wanted(status, output_image)
    if (pk := input_image or image) is not None:
        wanted.place, wanted.imports = await joblists.place_of(caller, pk)
        wanted.by_input = True
    async with caller.gateway.memory.lists:
        names = await joblists.names(caller, algorithm, wanted)
        page = await joblists.read(caller, window.part(names))
        known = await known_of(caller, page, strict=False)
    return window.page([job_shape(each, known, caller.urls) for each in page], len(names))


@router.post("/", status_code=201, response_model=shapes.JobPosted)
async def create_job(caller: Calling, request: JobRequest) -> Response:
    """Start a job. The same request once more is the same job, as long as that has not failed."""
    started = await jobstarts.start(caller, request)
    url = caller.urls.job(started.pk)
    inputs = [posted(caller, each, value_pk(started.pk, "inputs", each.slug)) for each in started.given]
    algorithm = caller.urls.algorithm(started.algorithm.uid)
    shape = shapes.JobPosted(
        pk=started.pk, api_url=url, algorithm=algorithm, inputs=inputs, status=started.status
    )
    return answer(shape, 201)


@router.get("/{pk:uuid}/", response_model=shapes.Job)
async def get_job(caller: Calling, pk: UUID) -> Response:
    """One job."""
    job = await jobfinding.find(caller, str(pk))
    return answer(job_shape(job, await known_of(caller, [job]), caller.urls))
