"""Which jobs a list has, and those of one page of it.

A namespace may have many thousands of jobs, and anybody who makes some may give them 1.5 MiB each. So the whole list is
only looked through, for names, and the jobs of the page are fetched by these; both a few lists at a time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import select
from sqlalchemy.orm import Session

from algorithm_operator.gateway import catalogue
from algorithm_operator.gateway.context import Caller
from algorithm_operator.gateway.database.models import Image, UploadSession
from algorithm_operator.gateway.errors import ApiError
from algorithm_operator.gateway.jobfinding import seen
from algorithm_operator.gateway.jobids import output_image_pk
from algorithm_operator.gateway.jobviews import Place, SeenJob, label
from algorithm_operator.kube.resources import ALGORITHM_JOBS, Body

MAX_PAGE_BYTES = 16 << 20
"""Of the values that the jobs of a page were given: a hundred jobs may all have as many as are allowed."""
_AT_ONCE = 16


@dataclass(slots=True)
class Wanted:
    """Which jobs of a list are asked for."""

    status: str | None = None
    output_image: str | None = None
    by_input: bool = False
    place: Place | None = None
    """Of the image that they have as an input; None where there is no such image."""
    imports: set[str] = field(default_factory=set)

    @property
    def all(self) -> bool:
        """Whether nothing is asked that only a look into each job answers."""
        return self.status is None and self.output_image is None and not self.by_input

    def has(self, job: SeenJob) -> bool:
        """Whether the job is one of them."""
        return (
            self.status in (None, label(job.job.status))
            and (self.output_image is None or self.output_image in _output_images(job))
            and (not self.by_input or self._has_input(job))
        )

    def _has_input(self, job: SeenJob) -> bool:
        return self.place is not None and any(
            job.input_place(each.slug) == self.place
            or (each.image_import is not None and each.image_import.name in self.imports)
            for each in job.job.spec.inputs
        )


async def names(caller: Caller, algorithm: str | None, wanted: Wanted) -> list[str]:
    """The names of the jobs of a namespace, of all Algorithms or of the one with that pk, the oldest first."""
    cluster, selector = caller.gateway.cluster, ""
    if algorithm is not None:
        found = await catalogue.algorithms(caller.gateway, caller.namespace)
        name = next((each.name for each in found if each.uid == algorithm), None)
        if name is None:
            return []
        selector = f"spec.algorithmRef.name={name}"

    def place(body: Body) -> tuple[str, str]:
        return body["metadata"].get("creationTimestamp") or "", body["metadata"]["name"]

    def chosen(body: Body) -> tuple[str, str] | None:
        job = seen(body)
        return place(body) if job is not None and wanted.has(job) else None

    if wanted.all:
        bodies, _ = await cluster.list(
            ALGORITHM_JOBS, caller.namespace, field_selector=selector, metadata_only=True
        )
        places = list(map(place, bodies))
    else:
        places = await cluster.collect(ALGORITHM_JOBS, caller.namespace, chosen, field_selector=selector)
    return [name for _, name in sorted(places)]


async def read(caller: Caller, page: Sequence[str]) -> list[SeenJob]:
    """The jobs of these names, but for those that are gone by now or cannot be read. 400 if they are too large."""
    places, size = asyncio.Semaphore(_AT_ONCE), 0

    async def one(name: str) -> SeenJob | None:
        nonlocal size
        async with places:
            if size > MAX_PAGE_BYTES:
                return None
            body = await caller.gateway.cluster.get(ALGORITHM_JOBS, caller.namespace, name)
            job = seen(body) if body is not None else None
            size += job.value_bytes if job is not None else 0
            return job

    found = await asyncio.gather(*map(one, page))
    if size > MAX_PAGE_BYTES:
        why = f"The inputs of these {len(page)} jobs have more than {MAX_PAGE_BYTES} bytes of values together"
        raise ApiError(400, {"detail": f"{why}: ask for fewer jobs at once, with a lower limit."})
    return [job for job in found if job is not None]


def _output_images(job: SeenJob) -> set[str]:
    return {output_image_pk(job.pk, each.slug) for each in job.job.status.outputs if each.image is not None}


async def place_of(caller: Caller, pk: str) -> tuple[Place | None, set[str]]:
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
