"""Uploads in the tables, in answers and in the store: what its modules share."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session, selectinload

from algorithm_operator.core.names import GATEWAY_FOLDER
from algorithm_operator.gateway import shapes
from algorithm_operator.gateway.context import Caller
from algorithm_operator.gateway.database.models import Upload, UploadPart
from algorithm_operator.gateway.errors import ApiError, invalid, not_found
from algorithm_operator.gateway.requests import NamedPart
from algorithm_operator.gateway.shapes import UploadStatus
from algorithm_operator.gateway.storage import Store
from algorithm_operator.gateway.urls import is_pk

INITIALIZED: UploadStatus = "Initialized"
COMPLETED: UploadStatus = "Completed"
ABORTED: UploadStatus = "Aborted"

MAX_PARTS = 10_000
MAX_PARTS_PER_USER = 50_000
"""Of somebody's unfinished uploads in a namespace, as many as those may be: empty parts take no bytes, but rows."""
ABORTED_PER_UNUSED = 10
"""How many uploads somebody may have aborted lately, for each that they may have: these are rows as well."""


def file_folder(pk: str) -> str:
    """The folder of a whole file: it is alone in there, whatever it is called."""
    return f"{GATEWAY_FOLDER}/uploads/{pk}"


def parts_folder(pk: str) -> str:
    """The folder of the parts, as long as they are not joined."""
    return f"{GATEWAY_FOLDER}/parts/{pk}"


async def delete_files(store: Store, pk: str) -> None:
    """Delete all that an upload has in the store."""
    await store.delete(parts_folder(pk))
    await store.delete(file_folder(pk))


def find(session: Session, namespace: str, pk: str, *, parts: bool = False) -> Upload | None:
    """An upload of a namespace, with its parts if they are asked for; `pk` may be any text."""
    if not is_pk(pk):
        return None
    options = [selectinload(Upload.parts)] if parts else []
    found = session.get(Upload, pk, options=options)
    return found if found is not None and found.namespace == namespace else None


def mine(
    session: Session, caller: Caller, pk: str, multipart_id: str | None = None, *, parts: bool = False
) -> Upload:
    """An upload of the caller. Raises 404."""
    upload = find(session, caller.namespace, pk, parts=parts)
    if upload is None or upload.username != caller.username:
        raise not_found()
    if multipart_id not in (None, upload.multipart_id):
        raise not_found()
    return upload


def is_open(upload: Upload) -> bool:
    """Whether it takes parts."""
    return upload.status == INITIALIZED and upload.path is None


def is_full(session: Session, namespace: str, username: str, most: int) -> bool:
    """Whether somebody has `most` uploads that nothing uses, or has aborted very many lately."""
    mine = select(func.count()).select_from(Upload).where(*_unused(namespace, username))
    there = session.scalars(mine.where(Upload.status != ABORTED)).one()
    return there >= most or session.scalars(mine).one() >= most * (1 + ABORTED_PER_UNUSED)


def unfinished_parts(session: Session, namespace: str, username: str) -> int:
    """How many parts have arrived of somebody's uploads that are not complete."""
    parts = select(func.count()).select_from(UploadPart).join(Upload, Upload.id == UploadPart.upload_id)
    return session.scalars(parts.where(*_unused(namespace, username), Upload.status == INITIALIZED)).one()


def unused_bytes(session: Session, namespace: str, username: str) -> int:
    """How many bytes they have together."""
    files = select(func.sum(Upload.size)).where(*_unused(namespace, username), Upload.status == COMPLETED)
    parts = select(func.sum(UploadPart.size)).join(Upload, Upload.id == UploadPart.upload_id)
    parts = parts.where(*_unused(namespace, username), Upload.status == INITIALIZED)
    return sum(int(session.scalars(each).one() or 0) for each in (files, parts))


def _unused(namespace: str, username: str) -> tuple[ColumnElement[bool], ...]:
    return Upload.namespace == namespace, Upload.username == username, Upload.used_by.is_(None)


def chosen(parts: Sequence[UploadPart], named: Sequence[NamedPart]) -> list[UploadPart]:
    """The parts that a file is made of. As in S3 they are named in ascending order, with the ETags that they got; those
    that are not named are left out. Raises 400.
    """
    by_number = {part.number: part for part in parts}
    numbers = [each.PartNumber for each in named]
    if any(after <= before for before, after in pairwise(numbers)):
        raise _wrong_parts("The parts must be in ascending order of their numbers, each of them once.")
    if numbers and not 1 <= numbers[0] <= numbers[-1] <= MAX_PARTS:
        raise _wrong_parts(f"The number of a part is from 1 to {MAX_PARTS}.")
    for each in named:
        part = by_number.get(each.PartNumber)
        if part is None or part.etag != each.ETag.strip('"'):
            raise _wrong_parts(f"Part {each.PartNumber} has not arrived with this ETag; send it again.")
    return [by_number[number] for number in numbers]


def _wrong_parts(why: str) -> ApiError:
    return invalid(parts=[why])


def shape(caller: Caller, upload: Upload) -> shapes.Upload:
    """An upload as answers show it."""
    return shapes.Upload(
        pk=upload.id,
        created=upload.created.isoformat(),
        filename=upload.filename,
        key=f"{file_folder(upload.id)}/{upload.filename}",
        s3_upload_id=upload.multipart_id,
        status=upload.status,
        api_url=caller.urls.upload(upload.id),
    )
