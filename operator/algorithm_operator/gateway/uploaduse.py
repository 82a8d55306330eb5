"""What uses an upload, which is kept from then on, and the end of those that nothing has used in time."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import timedelta
from functools import partial

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from algorithm_operator.gateway import uploadrows
from algorithm_operator.gateway.context import Caller, Gateway
from algorithm_operator.gateway.database.models import Upload
from algorithm_operator.gateway.errors import NO_OBJECT, invalid
from algorithm_operator.gateway.storage import Store, StoreRefused, StoreUnavailable
from algorithm_operator.gateway.uploadrows import ABORTED, COMPLETED
from algorithm_operator.gateway.urls import pk_in

log = logging.getLogger(__name__)

_FORGOTTEN = timedelta(hours=1)
"""An upload that was aborted is remembered for so long, so that its abortion may be repeated."""


def by_job(pk: str) -> str:
    """A job as `Upload.used_by` names it."""
    return f"job/{pk}"


def by_session(pk: str) -> str:
    """An upload session, likewise."""
    return f"session/{pk}"


def by_item(pk: str) -> str:
    """An archive item, likewise."""
    return f"item/{pk}"


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
