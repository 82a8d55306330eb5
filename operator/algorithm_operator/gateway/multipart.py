"""An upload in parts, as S3 does it: ask for URLs, PUT the parts (uploadparts.py), complete or abort.

An upload's state changes in the tables first and in the store afterwards, and each step in the store may be repeated.
So a gateway or store Pod that dies in between costs one more request: the same again.
"""

from __future__ import annotations

import logging

from fastapi import APIRouter, Response
from sqlalchemy.orm import Session

from algorithm_operator.gateway import presigned, shapes, uploadparts, uploadrows
from algorithm_operator.gateway.answers import answer
from algorithm_operator.gateway.context import Calling
from algorithm_operator.gateway.database.models import Upload
from algorithm_operator.gateway.errors import ApiError, forbidden, invalid, refused
from algorithm_operator.gateway.identity import Resource, Verb
from algorithm_operator.gateway.requests import CompleteRequest, PartNumbersRequest
from algorithm_operator.gateway.storage import StoreUnavailable
from algorithm_operator.gateway.uploadrows import ABORTED, COMPLETED, INITIALIZED, MAX_PARTS

router = APIRouter()
"""A part of that of uploads.py."""

log = logging.getLogger(__name__)

_OF_AN_UPLOAD = "/{pk}/{multipart_id}/"


@router.get(_OF_AN_UPLOAD + "list-parts/", response_model=shapes.UploadParts)
async def list_parts(caller: Calling, pk: str, multipart_id: str) -> Response:
    """The parts of an upload that have arrived, by their numbers."""
    await caller.rights.see(Resource.UPLOADS)
    upload = await caller.gateway.database.run(
        lambda session: uploadrows.mine(session, caller, pk, multipart_id, parts=True)
    )
    parts = [
        shapes.UploadPart(
            ETag=f'"{part.etag}"',
            PartNumber=part.number,
            LastModified=part.modified.isoformat(),
            Size=part.size,
        )
        for part in upload.parts
    ]
    return answer(shapes.UploadParts(**uploadrows.shape(caller, upload).model_dump(), parts=parts))


@router.patch(_OF_AN_UPLOAD + "generate-presigned-urls/", response_model=shapes.UploadUrls)
async def generate_presigned_urls(
    caller: Calling, pk: str, multipart_id: str, body: PartNumbersRequest
) -> Response:
    """URLs to PUT parts to, by part number; each is good for a day."""
    await caller.rights.act(Verb.UPDATE, Resource.UPLOADS)
    gateway = caller.gateway
    numbers = sorted(set(body.part_numbers))
    if not numbers or numbers[0] < 1 or numbers[-1] > MAX_PARTS:
        raise invalid(part_numbers=[f"At least one number is needed, each from 1 to {MAX_PARTS}."])

    def read(session: Session) -> tuple[Upload, int]:
        upload = uploadrows.mine(session, caller, pk, multipart_id)
        if not uploadrows.is_open(upload):
            raise refused(_closed(upload))
        return upload, uploadrows.unused_bytes(session, caller.namespace, caller.username)

    upload, there = await gateway.database.run(read)
    if there >= gateway.settings.upload_bytes_per_user:
        raise forbidden(uploadparts.LIMIT_REACHED)
    key, now = presigned.signing_key(gateway.settings.signing_key), gateway.now()
    urls = {
        str(number): presigned.part_url(
            key, caller.urls.base, caller.namespace, pk, multipart_id, number, now
        )
        for number in numbers
    }
    return answer(shapes.UploadUrls(**uploadrows.shape(caller, upload).model_dump(), presigned_urls=urls))


@router.patch(_OF_AN_UPLOAD + "complete-multipart-upload/", response_model=shapes.Upload)
async def complete_multipart_upload(
    caller: Calling, pk: str, multipart_id: str, body: CompleteRequest
) -> Response:
    """Join the parts, those that are named. It may be repeated, and answers the same."""
    await caller.rights.act(Verb.UPDATE, Resource.UPLOADS)
    gateway = caller.gateway

    def seal(session: Session) -> Upload:
        """From here on no part can come or be replaced: what is joined, be it twice, is always the same."""
        upload = uploadrows.mine(session, caller, pk, multipart_id, parts=True)
        if upload.status == ABORTED:
            raise refused(_closed(upload))
        if upload.status == INITIALIZED:
            parts = uploadrows.chosen(upload.parts, body.parts)
            if upload.path is not None and len(parts) < len(upload.parts):
                raise invalid(parts=["This upload is being completed with other parts."])
            upload.parts = parts
            upload.path = f"{uploadrows.file_folder(pk)}/{upload.filename}"
        return upload

    def finish(session: Session) -> Upload:
        upload = uploadrows.mine(session, caller, pk, multipart_id, parts=True)
        if upload.status == ABORTED:
            raise refused(_closed(upload))
        if upload.status == INITIALIZED:
            upload.status, upload.size, upload.sha256 = COMPLETED, stored.size, stored.sha256
            upload.parts = []
        return upload

    upload = await gateway.database.run(seal)
    if upload.status == INITIALIZED and upload.path is not None:
        store = await gateway.stores.store(upload.namespace, upload.store)
        stored = await store.compose(upload.path, [part.path for part in upload.parts])
        await store.delete(uploadrows.parts_folder(pk))  # parts that were left out, or replaced
        try:
            upload = await gateway.database.run(finish)
        except ApiError:  # it was aborted meanwhile
            await uploadrows.delete_files(store, pk)
            raise
    return answer(uploadrows.shape(caller, upload))


@router.patch(_OF_AN_UPLOAD + "abort-multipart-upload/", response_model=shapes.Upload)
async def abort_multipart_upload(caller: Calling, pk: str, multipart_id: str) -> Response:
    """Give an upload up, completed or not, unless something uses it. It may be repeated."""
    await caller.rights.act(Verb.UPDATE, Resource.UPLOADS)

    def abort(session: Session) -> Upload:
        upload = uploadrows.mine(session, caller, pk, multipart_id, parts=True)
        if upload.used_by is not None:
            raise refused("This upload is in use and cannot be aborted.")
        upload.status, upload.parts = ABORTED, []
        return upload

    upload = await caller.gateway.database.run(abort)
    try:
        store = await caller.gateway.stores.store(upload.namespace, upload.store)
        await uploadrows.delete_files(store, pk)
    except StoreUnavailable as error:
        # The client aborts because something failed: it must hear of that, not of this. `sweep` deletes the files.
        log.warning("the files of an aborted upload are deleted later: %s", error.sentence)
    return answer(uploadrows.shape(caller, upload))


def _closed(upload: Upload) -> str:
    state = "being completed" if upload.status == INITIALIZED else upload.status.lower()
    return f"This upload is {state}; begin another one."
