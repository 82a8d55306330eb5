"""algorithms/jobs/: jobs, whoever has made them; those of the gateway also when their object is gone."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from uuid import UUID

from fastapi import APIRouter, Query, Response
from sqlalchemy import select
from sqlalchemy.orm import Session

from algorithm_operator.gateway import catalogue, joblimits, jobstarts, records, shapes
from algorithm_operator.gateway.answers import Windowed, answer
from algorithm_operator.gateway.context import Caller, Calling
from algorithm_operator.gateway.database.models import Image, UploadSession
from algorithm_operator.gateway.errors import not_found
from algorithm_operator.gateway.identity import Resource, Verb
from algorithm_operator.gateway.jobfacts import known_of
from algorithm_operator.gateway.jobids import job_name, output_image_pk, pk_of, value_pk
from algorithm_operator.gateway.jobviews import Place, SeenJob, job_shape, label
from algorithm_operator.gateway.requests import JobRequest
from algorithm_operator.gateway.urls import API
from algorithm_operator.gateway.values import posted
from algorithm_operator.kube.resources import ALGORITHM_JOBS, Body

router = APIRouter(prefix=f"{API}/algorithms/jobs", tags=["jobs"])
log = logging.getLogger(__name__)


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
    bodies = await _listed(caller, algorithm)
    wanted = _Wanted(status, output_image)
    if (pk := input_image or image) is not None:
        wanted.place, wanted.imports = await _image(caller, pk)
        wanted.by_input = True
    if wanted.all:
        part, count = _readable(window.part(bodies)), len(bodies)
    else:
        # In a thread: to read thousands of jobs takes seconds.
        found = await asyncio.to_thread(lambda: list(filter(wanted.has, _readable(bodies))))
        part, count = window.part(found), len(found)
    known = await known_of(caller, part)
    return window.page([job_shape(each, known, caller.urls) for each in part], count)


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
    body = await find(caller, str(pk))
    seen = _seen(body) if body is not None else None
    if seen is None:
        raise not_found()
    return answer(job_shape(seen, await known_of(caller, [seen]), caller.urls))


async def find(caller: Caller, pk: str) -> Body | None:
    """A job as stored, or made again from its run record; None if there is none that the caller may get."""
    body = await _by_name(caller, pk) or await _by_uid(caller, pk)
    name = body["metadata"]["name"] if body is not None else job_name(pk)
    # Asked before the store is: whoever may not see jobs learns nothing from how long the answer takes.
    if not await caller.rights.may(Verb.GET, Resource.JOBS, name):
        return None
    return body if body is not None else await records.recorded(caller, pk)


async def _by_name(caller: Caller, pk: str) -> Body | None:
    """One that the gateway made."""
    body = await caller.gateway.cluster.get(ALGORITHM_JOBS, caller.namespace, job_name(pk))
    return body if body is not None and pk_of(body) == pk else None


async def _by_uid(caller: Caller, pk: str) -> Body | None:
    """One that somebody else made: no selector finds a uid, so it takes a look at all names, once."""
    gateway, namespace = caller.gateway, caller.namespace
    names, key = gateway.memory.names, (namespace, pk)
    if names.get(key, gateway.now()) is None:
        if await joblimits.noted(gateway, pk) is not None:
            return None  # it was the gateway's
        metadata, _ = await gateway.cluster.list(ALGORITHM_JOBS, namespace, metadata_only=True)
        for each in metadata:
            meta = each["metadata"]
            names.put((namespace, meta["uid"]), meta["name"], gateway.now())
    name = names.get(key, gateway.now())
    body = await gateway.cluster.get(ALGORITHM_JOBS, namespace, name) if name is not None else None
    return body if body is not None and pk_of(body) == pk else None


def _seen(body: Body) -> SeenJob | None:
    """None for one that this version cannot read: a later one wrote it."""
    try:
        return SeenJob.of(body)
    except ValueError as error:
        log.warning("AlgorithmJob %s cannot be read: %s", body["metadata"]["name"], type(error).__name__)
        return None


def _readable(bodies: Iterable[Body]) -> list[SeenJob]:
    return [seen for body in bodies if (seen := _seen(body)) is not None]


async def _listed(caller: Caller, algorithm: str | None) -> list[Body]:
    """The jobs that the caller may list, of all Algorithms or of the one with that pk."""
    if not await caller.rights.may(Verb.LIST, Resource.JOBS):
        return []
    selector = ""
    if algorithm is not None:
        found = await catalogue.algorithms(caller.gateway, caller.namespace)
        name = next((each.name for each in found if each.uid == algorithm), None)
        if name is None:
            return []
        selector = f"spec.algorithmRef.name={name}"
    bodies, _ = await caller.gateway.cluster.list(ALGORITHM_JOBS, caller.namespace, field_selector=selector)
    bodies.sort(key=lambda body: (body["metadata"].get("creationTimestamp") or "", body["metadata"]["name"]))
    return bodies


@dataclass(slots=True)
class _Wanted:
    """Which jobs of a list are asked for."""

    status: str | None
    output_image: str | None
    by_input: bool = False
    place: Place | None = None
    """Of the image that they have as an input; None where there is no such image."""
    imports: set[str] = field(default_factory=set)

    @property
    def all(self) -> bool:
        """Whether nothing is asked that only a look into each job answers."""
        return self.status is None and self.output_image is None and not self.by_input

    def has(self, seen: SeenJob) -> bool:
        """Whether the job is one of them."""
        return (
            self.status in (None, label(seen.job.status))
            and (self.output_image is None or self.output_image in _output_images(seen))
            and (not self.by_input or self._has_input(seen))
        )

    def _has_input(self, seen: SeenJob) -> bool:
        return self.place is not None and any(
            seen.input_place(each.slug) == self.place
            or (each.image_import is not None and each.image_import.name in self.imports)
            for each in seen.job.spec.inputs
        )


def _output_images(seen: SeenJob) -> set[str]:
    return {output_image_pk(seen.pk, each.slug) for each in seen.job.status.outputs if each.image is not None}


async def _image(caller: Caller, pk: str) -> tuple[Place | None, set[str]]:
    """Where an image is, and the ImageImports that made it."""

    def look(session: Session) -> tuple[Place | None, set[str]]:
        row = session.get(Image, pk)
        if row is None or row.namespace != caller.namespace:
            return None, set()
        sessions = select(UploadSession.import_name).where(
            UploadSession.image_id == pk, UploadSession.namespace == caller.namespace
        )
        return Place(row.store, row.path), set(session.scalars(sessions))

    return await caller.gateway.database.run(look)
