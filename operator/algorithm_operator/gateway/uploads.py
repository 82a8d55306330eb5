"""Uploads: files on their way in, each of them seen by whoever sends it alone.

One begins here, gets its bytes in parts (multipart.py, uploadparts.py), and is used by something (uploaduse.py).
"""

from __future__ import annotations

import secrets
import uuid

from fastapi import APIRouter, Response
from sqlalchemy import select
from sqlalchemy.orm import Session

from algorithm_operator.api.text import shown
from algorithm_operator.contract.paths import check_store_path
from algorithm_operator.gateway import multipart, shapes, uploadparts, uploadrows
from algorithm_operator.gateway.answers import Windowed, answer
from algorithm_operator.gateway.context import Calling
from algorithm_operator.gateway.database.listing import listed
from algorithm_operator.gateway.database.models import Upload
from algorithm_operator.gateway.errors import BLANK, invalid, refused, too_long
from algorithm_operator.gateway.identity import Resource, Verb
from algorithm_operator.gateway.requests import UploadRequest
from algorithm_operator.gateway.uploadrows import INITIALIZED
from algorithm_operator.gateway.urls import API

router = APIRouter(prefix=f"{API}/uploads", tags=["uploads"])
router.include_router(multipart.router)
router.include_router(uploadparts.router)

MAX_FILENAME = 128


@router.get("/", response_model=shapes.Page[shapes.Upload])
async def list_uploads(caller: Calling, window: Windowed) -> Response:
    """The caller's own uploads, the oldest first."""
    if not await caller.rights.may(Verb.GET, Resource.UPLOADS):
        return window.page([], 0)
    mine = (Upload.namespace == caller.namespace, Upload.username == caller.username)
    asked = select(Upload).where(*mine).order_by(Upload.created, Upload.id)
    found, count = await caller.gateway.database.run(lambda session: listed(session, asked, window))
    return window.page([uploadrows.shape(caller, upload) for upload in found], count)


@router.post("/", response_model=shapes.Upload, status_code=201)
async def create_upload(caller: Calling, body: UploadRequest) -> Response:
    """Begin an upload. Its bytes come in parts; it can be used once it is completed, by whoever began it."""
    await caller.rights.act(Verb.CREATE, Resource.UPLOADS)
    if why := wrong_filename(body.filename):
        raise invalid(filename=[why])
    settings = caller.gateway.settings
    upload = Upload(
        id=str(uuid.uuid4()),
        namespace=caller.namespace,
        username=caller.username,
        filename=body.filename,
        multipart_id=secrets.token_hex(32),
        status=INITIALIZED,
        created=caller.gateway.now(),
        store=await caller.store(),
    )

    def add(session: Session) -> None:
        if uploadrows.is_full(session, caller.namespace, caller.username, settings.uploads_per_user):
            raise refused("You have created too many uploads. Please try again later.")
        session.add(upload)

    await caller.gateway.database.run(add)
    return answer(uploadrows.shape(caller, upload), 201)


@router.get("/{pk}/", response_model=shapes.Upload)
async def get_upload(caller: Calling, pk: str) -> Response:
    """An upload of the caller."""
    await caller.rights.see(Resource.UPLOADS)
    upload = await caller.gateway.database.run(lambda session: uploadrows.mine(session, caller, pk))
    return answer(uploadrows.shape(caller, upload))


def wrong_filename(name: str) -> str | None:
    """Why a file may not be called so, in Grand Challenge's words, or None."""
    if not name.strip():
        return BLANK
    if len(name) > MAX_FILENAME:
        return too_long(MAX_FILENAME)
    if "/" in name or check_store_path(name):
        return f"{shown(name)} is not a valid filename"
    return None
