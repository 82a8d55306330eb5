"""The files that answers name: images, files of jobs, files of archive items. How they are sent: delivery.py."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from fastapi import APIRouter, Request, Response
from sqlalchemy import select
from sqlalchemy.orm import Session

from algorithm_operator.contract.kinds import KINDS, Form
from algorithm_operator.gateway import catalogue, jobfinding
from algorithm_operator.gateway.archiverows import item_row
from algorithm_operator.gateway.context import Caller, Calling
from algorithm_operator.gateway.database.models import Upload
from algorithm_operator.gateway.delivery import BINARY, JSON, Delivery, StoredFile
from algorithm_operator.gateway.errors import not_found
from algorithm_operator.gateway.identity import Resource
from algorithm_operator.gateway.importing import image_row
from algorithm_operator.gateway.jobviews import SeenJob
from algorithm_operator.gateway.storage import suffix_of
from algorithm_operator.gateway.urls import FILES

router = APIRouter(prefix=FILES, tags=["files"])


@router.get("/images/{pk:uuid}/{name}", response_class=Response)
async def get_image_file(caller: Calling, request: Request, pk: UUID, name: str) -> Response:
    """The bytes as they are stored; Range, ETag and If-None-Match are understood."""
    await caller.rights.see(Resource.IMAGES)
    row = await image_row(caller, str(pk))
    if name != f"{pk}{suffix_of(row.path)}":
        raise not_found()
    return _sent(caller, request, StoredFile(row.store, row.path, name, size=row.size, sha256=row.sha256))


@router.get("/jobs/{pk:uuid}/{direction}/{slug}/{name}", response_class=Response)
async def get_job_file(
    caller: Calling, request: Request, pk: UUID, direction: Literal["inputs", "outputs"], slug: str, name: str
) -> Response:
    """An input or output that is a file."""
    job = await jobfinding.find(caller, str(pk))
    found = _output(job, slug, name) if direction == "outputs" else await _input(caller, job, slug, name)
    if found is None or suffix_of(name) != suffix_of(found.path):
        raise not_found()
    return _sent(caller, request, found)


@router.get("/items/{pk:uuid}/{slug}/{name}", response_class=Response)
async def get_item_file(caller: Calling, request: Request, pk: UUID, slug: str, name: str) -> Response:
    """A value that is a file."""
    await caller.rights.see(Resource.ARCHIVES)

    def read(session: Session) -> Upload | None:
        item = item_row(session, caller.namespace, str(pk))
        values = item.values if item is not None else []
        found = [each.upload_id for each in values if each.slug == slug and each.upload_id is not None]
        return session.get(Upload, found[0]) if found else None

    row = await caller.gateway.database.run(read)
    if row is None or row.path is None or row.filename != name:
        raise not_found()
    socket = (await catalogue.sockets(caller.gateway, caller.namespace)).get(slug)
    media_type = _media_type(socket.kind if socket is not None else None)
    return _sent(caller, request, _uploaded(row, name, media_type))


def _sent(caller: Caller, request: Request, file: StoredFile) -> Response:
    return Delivery(caller.gateway.stores, caller.namespace, file, request.headers)


def _uploaded(row: Upload, name: str, media_type: str) -> StoredFile:
    return StoredFile(row.store, row.path or "", name, media_type, row.size, row.sha256)


def _media_type(kind: str | None) -> str:
    """The client parses what is called JSON: so only that is which was checked to be."""
    row = KINDS.get(kind or "")
    return JSON if row is not None and row.form is Form.JSON else BINARY


def _output(seen: SeenJob, slug: str, name: str) -> StoredFile | None:
    """An output of a succeeded job, as its status says."""
    output = next((each for each in seen.job.status.outputs if each.slug == slug), None)
    place = seen.output_place(output) if output is not None else None
    if output is None or place is None:
        return None
    kind = _media_type(output.kind)
    return StoredFile(place.store, place.path, name, kind, output.bytes, output.sha256)


async def _input(caller: Caller, seen: SeenJob, slug: str, name: str) -> StoredFile | None:
    """An input that is one file of a DataStore: an upload, the output of another job, or a path of the store."""
    place, run = seen.input_place(slug), seen.job.status.algorithm
    if place is None:
        return None
    uploaded = select(Upload).where(
        Upload.namespace == caller.namespace, Upload.store == place.store, Upload.path == place.path
    )
    row = await caller.gateway.database.run(lambda session: session.scalar(uploaded))
    sockets = run.interface.inputs if run is not None else []
    media_type = _media_type(next((each.kind for each in sockets if each.slug == slug), None))
    if row is not None:
        return _uploaded(row, name, media_type)
    made = next((each for each in (run.inputs if run is not None else []) if each.slug == slug), None)
    return StoredFile(
        place.store, place.path, name, media_type, sha256=made.sha256 if made is not None else None
    )
