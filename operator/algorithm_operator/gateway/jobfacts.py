"""What answers about jobs need besides the jobs: images' rows, Algorithms, and values that lie in files."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Sequence
from typing import Any

import orjson
from sqlalchemy import select
from sqlalchemy.orm import Session

from algorithm_operator.api.job import Output
from algorithm_operator.gateway import importing
from algorithm_operator.gateway.catalogue import algorithms
from algorithm_operator.gateway.context import Caller, Gateway
from algorithm_operator.gateway.database.models import Image, UploadSession
from algorithm_operator.gateway.errors import ApiError
from algorithm_operator.gateway.jobids import output_image_pk
from algorithm_operator.gateway.jobviews import Known, Place, SeenJob

log = logging.getLogger(__name__)

MAX_VALUE_BYTES = 1 << 20
"""Of an output that is shown as a value."""
MAX_ANSWER_BYTES = 64 << 20
"""Of all values of one answer together: a page has up to a thousand jobs."""
_AT_ONCE = 8


async def known_of(caller: Caller, jobs: Sequence[SeenJob], *, strict: bool = True) -> Known:
    """All that `job_shape` needs to know of these jobs. Raises StoreUnavailable, where a value cannot be read now.

    `strict`: a value that is not what its job wrote is a 500; in a list it is null, for the client never repeats a 500
    and would not see the other jobs.
    """
    gateway, namespace = caller.gateway, caller.namespace
    images, imports = await _images(gateway, namespace, jobs)
    unaccepted = any(each.job.status.algorithm is None for each in jobs)
    found = await algorithms(gateway, namespace) if unaccepted else []
    return Known(
        algorithms={each.name: each for each in found},
        images=images,
        imports=imports,
        values=await _values(gateway, namespace, jobs, strict=strict),
    )


async def _images(
    gateway: Gateway, namespace: str, jobs: Sequence[SeenJob]
) -> tuple[dict[Place, str], dict[str, str]]:
    """The rows of images that inputs are, and new rows for those that are outputs."""
    made = [row for seen in jobs for row in _made(gateway, seen)]
    places = {
        place for seen in jobs for each in seen.job.spec.inputs if (place := seen.input_place(each.slug))
    }
    names = {
        each.image_import.name
        for seen in jobs
        for each in seen.job.spec.inputs
        if each.image_import is not None
    }

    def look(session: Session) -> tuple[dict[Place, str], dict[str, str]]:
        there = set(session.scalars(select(Image.id).where(Image.id.in_([row.id for row in made]))))
        # Copies: the transaction may be done again.
        session.add_all(_copy(row) for row in made if row.id not in there)
        session.flush()
        found = select(Image.store, Image.path, Image.id).where(
            Image.namespace == namespace, Image.path.in_({place.path for place in places})
        )
        by_place = {Place(store, path): pk for store, path, pk in session.execute(found)}
        imported = select(UploadSession.import_name, UploadSession.image_id).where(
            UploadSession.namespace == namespace, UploadSession.import_name.in_(names)
        )
        return by_place, {name: pk for name, pk in session.execute(imported) if pk is not None}

    if not (made or places or names):
        return {}, {}
    by_place, imported = await gateway.database.run(look)
    if late := _taken_over(jobs) - imported.keys():
        await importing.write_down(gateway, namespace, lambda body: body["metadata"]["name"] in late)
        by_place, imported = await gateway.database.run(look)
    return by_place, imported


def _taken_over(jobs: Sequence[SeenJob]) -> set[str]:
    """The ImageImports that jobs were accepted upon: they have ended, though perhaps nobody has written that down."""
    return {
        each.image_import.name
        for seen in jobs
        if seen.job.status.algorithm is not None
        for each in seen.job.spec.inputs
        if each.image_import is not None
    }


def _made(gateway: Gateway, seen: SeenJob) -> list[Image]:
    """The images that a job wrote."""
    rows = []
    for output in seen.job.status.outputs:
        place = seen.output_place(output)
        if output.image is None or place is None:
            continue
        row = Image(
            id=output_image_pk(seen.pk, output.slug),
            namespace=seen.job.namespace,
            name=place.path.rsplit("/", 1)[-1][:255],
            store=place.store,
            path=place.path,
            size=output.bytes or 0,
            sha256=output.sha256 or "",
            geometry=output.image.wire(),
            created=gateway.now(),
        )
        rows.append(row)
    return rows


def _copy(row: Image) -> Image:
    return Image(**{column.key: getattr(row, column.key) for column in Image.__table__.columns})


async def _values(
    gateway: Gateway, namespace: str, jobs: Sequence[SeenJob], *, strict: bool
) -> dict[str, Any]:
    wanted: dict[str, tuple[Place, Output]] = {}
    for seen in jobs:
        for output in seen.job.status.outputs:
            place = seen.output_place(output)
            if place is not None and output.sha256 and seen.is_read(output):
                wanted[output.sha256] = (place, output)
    sizes = [output.bytes or 0 for _, output in wanted.values()]
    if sum(size for size in sizes if size <= MAX_VALUE_BYTES) > MAX_ANSWER_BYTES:
        raise ApiError(
            400,
            {
                "detail": f"The values of these {len(jobs)} jobs take more than {MAX_ANSWER_BYTES} bytes together: ask "
                "for fewer jobs at once, with a lower limit."
            },
        )
    places = asyncio.Semaphore(_AT_ONCE)

    async def one(place: Place, output: Output) -> bytes | None:
        async with places:
            try:
                return await _value(gateway, namespace, place, output)
            except ApiError:  # it is in the log
                if strict:
                    raise
                return None

    read = await asyncio.gather(*(one(*each) for each in wanted.values()))
    # Passed on as it is: the sealed collector has parsed it, and the hash says that it is what it parsed.
    pairs = zip(wanted, read, strict=True)
    return {sha256: orjson.Fragment(data) for sha256, data in pairs if data is not None}


async def _value(gateway: Gateway, namespace: str, place: Place, output: Output) -> bytes | None:
    """The bytes of an output. None: it is too large for an answer, or somebody has deleted the file."""
    kept, key = gateway.memory.values, (namespace, output.sha256)
    if (known := kept.get(key, gateway.now())) is not None:
        return known
    if (output.bytes or 0) > MAX_VALUE_BYTES:
        log.warning("%s of DataStore %s is too large to be shown as a value", place.path, place.store)
        return None
    store = await gateway.stores.store(namespace, place.store)
    data = b""
    try:
        async with store.read(place.path, length=MAX_VALUE_BYTES) as reading:
            async for piece in reading:
                data += piece
    except FileNotFoundError:
        log.warning("%s of DataStore %s is gone: its value is shown as null", place.path, place.store)
        return None
    if hashlib.sha256(data).hexdigest() != output.sha256:
        log.error("%s of DataStore %s is not what the job wrote", place.path, place.store)
        why = f'The file of output "{output.slug}" is not what the job wrote: its sha256 is another one.'
        raise ApiError(500, {"detail": f"{why} An admin looks at DataStore {place.store}."})
    kept.put(key, data, gateway.now(), weight=len(data))
    return data
