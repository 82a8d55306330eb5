"""Uploads: files on their way in, each of them seen by whoever sends it alone.

One begins here, gets its bytes in parts (multipart.py, uploadparts.py), and is used by a job, a session or an item.
What nothing uses is deleted after a day.
"""

from __future__ import annotations

import logging
import secrets
import uuid
from collections.abc import Sequence
from datetime import timedelta
from functools import partial

from fastapi import APIRouter, Response
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from algorithm_operator.api.text import shown
from algorithm_operator.contract.paths import check_store_path
from algorithm_operator.gateway import multipart, shapes, uploadparts, uploadrows
from algorithm_operator.gateway.answers import Windowed, answer
from algorithm_operator.gateway.context import Caller, Calling, Gateway
from algorithm_operator.gateway.database.listing import listed
from algorithm_operator.gateway.database.models import Upload
from algorithm_operator.gateway.errors import BLANK, NO_OBJECT, invalid, refused, too_long
from algorithm_operator.gateway.identity import Resource, Verb
from algorithm_operator.gateway.requests import UploadRequest
from algorithm_operator.gateway.storage import Store, StoreRefused, StoreUnavailable
from algorithm_operator.gateway.uploadrows import ABORTED, COMPLETED, INITIALIZED
from algorithm_operator.gateway.urls import API, pk_in

router = APIRouter(prefix=f"{API}/uploads", tags=["uploads"])
router.include_router(multipart.router)
router.include_router(uploadparts.router)

log = logging.getLogger(__name__)

MAX_FILENAME = 128
_FORGOTTEN = timedelta(hours=1)
"""An upload that was aborted is remembered for so long, so that its abortion may be repeated."""


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
        if uploadrows.unused(session, caller.namespace, caller.username) >= settings.uploads_per_user:
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


async def completed_uploads(
    caller: Caller, urls: Sequence[str], *, used_by: str | None = None, field: str = "uploads"
) -> list[Upload]:
    """The caller's own completed uploads with these URLs, in their order; what `used_by` names may use them already.

    :raises ApiError: 400 about `field`: one does not exist for the caller, is not completed, or something else uses it.
    """
    pks = [pk_in(url, caller.urls.upload) for url in urls]

    def read(session: Session) -> list[Upload]:
        found = []
        for pk in pks:
            upload = uploadrows.find(session, caller.namespace, pk) if pk is not None else None
            if upload is None or upload.username != caller.username or not _usable(upload, used_by):
                raise invalid(**{field: [NO_OBJECT]})
            found.append(upload)
        return found

    return await caller.gateway.database.run(read)


async def claim(gateway: Gateway, upload_ids: Sequence[str], used_by: str, *, field: str = "uploads") -> None:
    """Say what uses uploads, all of them or none: they are kept from then on. For the same user it may be repeated.

    :raises ApiError: 400 about `field`: something else uses one of them meanwhile, or it is gone.
    """

    def mark(session: Session) -> None:
        for pk in upload_ids:
            upload = session.get(Upload, pk)
            if upload is None or not _usable(upload, used_by):
                raise invalid(**{field: [NO_OBJECT]})
            upload.used_by = used_by

    await gateway.database.run(mark)


def _usable(upload: Upload, used_by: str | None) -> bool:
    return upload.status == COMPLETED and upload.used_by in (None, used_by)


async def sweep(gateway: Gateway) -> None:
    """Delete uploads that nothing has used in time, and what is left of those that were aborted.

    A store that is not there is asked again next time.
    """
    for (namespace, name), pks in (await gateway.database.run(partial(_expired, gateway))).items():
        try:
            store = await gateway.stores.store(namespace, name)
            for pk in pks:
                await _delete(gateway, store, pk)
        except (StoreUnavailable, StoreRefused) as error:
            log.warning("old uploads in DataStore %s/%s stay for now: %s", namespace, name, error.sentence)


async def _delete(gateway: Gateway, store: Store, pk: str) -> None:
    try:
        await uploadrows.delete_files(store, pk)
    except StoreRefused as error:  # about this one alone
        log.warning("the old upload %s stays for now: %s", pk, error.sentence)
        return
    await gateway.database.run(partial(_forget, pk))


def _expired(gateway: Gateway, session: Session) -> dict[tuple[str, str], list[str]]:
    """The uploads to delete, by namespace and DataStore. From here on nothing can use them."""
    now, lifetime = gateway.now(), timedelta(seconds=gateway.settings.upload_seconds)
    too_old = Upload.created < now - lifetime
    session.execute(update(Upload).where(Upload.used_by.is_(None), too_old).values(status=ABORTED))
    found = select(Upload.namespace, Upload.store, Upload.id)
    forgotten = Upload.created < now - min(_FORGOTTEN, lifetime)
    by_store: dict[tuple[str, str], list[str]] = {}
    for namespace, store, pk in session.execute(found.where(Upload.status == ABORTED, forgotten)):
        by_store.setdefault((namespace, store), []).append(pk)
    return by_store


def _forget(pk: str, session: Session) -> None:
    session.execute(delete(Upload).where(Upload.id == pk, Upload.status == ABORTED))


def wrong_filename(name: str) -> str | None:
    """Why a file may not be called so, in Grand Challenge's words, or None."""
    if not name.strip():
        return BLANK
    if len(name) > MAX_FILENAME:
        return too_long(MAX_FILENAME)
    if "/" in name or check_store_path(name):
        return f"{shown(name)} is not a valid filename"
    return None
