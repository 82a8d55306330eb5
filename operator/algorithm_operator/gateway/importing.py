"""Upload sessions: uploads that become one image, by an ImageImport that the operator's sealed Pod carries out.

A session's pk is made from its uploads, and every step may be done again: a request that is repeated (the client does
so after 502, 503, 504 and lost answers) finds the same session and takes it on from where it was. The row is written
before the ImageImport is created, and the image's row before anything of the session is deleted: whenever the gateway
dies, nothing is lost, and `refresh_all` or the repeated request does the rest.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Iterable, Sequence
from datetime import datetime, timedelta
from itertools import chain
from typing import Any
from uuid import UUID, uuid5

from pydantic import ValidationError
from sqlalchemy import select
from sqlalchemy.orm import Session

from algorithm_operator.api.base import GROUP
from algorithm_operator.api.imageimport import ImageImportStatus, ImportState
from algorithm_operator.api.job import TERMINAL
from algorithm_operator.api.kinds import PANIMG_KINDS
from algorithm_operator.api.text import quoted
from algorithm_operator.core.names import GATEWAY_FOLDER
from algorithm_operator.gateway import outcomes, uploadrows, uploaduse
from algorithm_operator.gateway.context import Caller, Gateway
from algorithm_operator.gateway.database.models import Image, Upload, UploadSession
from algorithm_operator.gateway.errors import invalid, not_found, refused
from algorithm_operator.gateway.storage import StoreRefused, StoreUnavailable
from algorithm_operator.kube import errors
from algorithm_operator.kube.resources import ALGORITHM_JOBS, IMAGE_IMPORTS, Body

log = logging.getLogger(__name__)

LABEL_SESSION = f"{GROUP}/session"
MAX_FILES = 2000
"""Of one session."""
LOST_AFTER = timedelta(minutes=5)
"""A session so old whose ImageImport is not there has lost it; a younger one may be on its way."""
KEPT_FOR = timedelta(hours=1)
"""An ImageImport after its end: jobs that were just made may still name it."""
QUEUED, STARTED, FAILED, SUCCEEDED = "Queued", "Started", "Failed", "Succeeded"
"""The status of a session, in Grand Challenge's words."""

_GONE = "ImageImport {name} is gone: somebody deleted it before it had ended. Send the files again."
_SESSIONS = UUID("5b0c8f4e-6d5f-4b7e-9a38-1d0f6f6f2a55")


def session_pk(upload_pks: Sequence[str]) -> str:
    """The session of exactly these uploads, in this order."""
    return str(uuid5(_SESSIONS, "\n".join(upload_pks)))


def folder(session: str) -> str:
    """Where the files of a session lie, below the root of their DataStore."""
    return f"{GATEWAY_FOLDER}/sessions/{session}"


async def open_session(caller: Caller, upload_pks: Sequence[str], kind: str = "Image") -> str:
    """The pk of the session of these uploads, which is under way then. Uploads are used by one session only.

    A kind that stays as it is (DICOM Image Set) is gathered in `folder`, and not imported. Raises 400.
    """
    gateway, pk = caller.gateway, session_pk(upload_pks)
    given = await usable_uploads(caller, upload_pks)
    await uploaduse.claim(gateway, list(upload_pks), uploaduse.by_session(pk))
    made = UploadSession(
        id=pk,
        namespace=caller.namespace,
        username=caller.username,
        created=gateway.now(),
        uploads=list(upload_pks),
        import_name=f"gcapi-{pk}",
        kind=kind,
    )

    def remember(session: Session) -> UploadSession:
        there = session.get(UploadSession, pk)
        if there is None:
            session.add(made)
        return there or made

    row = await gateway.database.run(remember)
    if (row.kind in PANIMG_KINDS) != (kind in PANIMG_KINDS):
        raise refused(
            f"These files were sent as {quoted(row.kind)}: send them again to use them as {quoted(kind)}."
        )
    if row.image_id is None and row.error is None:
        await _start(gateway, row, given)
    return pk


async def usable_uploads(caller: Caller, upload_pks: Sequence[str]) -> list[Upload]:
    """The uploads, in order: the caller's own, complete, and used by nothing but their session. Raises 400."""
    if not upload_pks:
        raise invalid(uploads=["This list may not be empty."])
    if len(upload_pks) > MAX_FILES:
        raise refused(f"Too many files uploaded. A maximum of {MAX_FILES} files may be uploaded per session.")

    urls = [caller.urls.upload(pk) for pk in upload_pks]
    given = await uploaduse.completed_uploads(
        caller, urls, used_by=uploaduse.by_session(session_pk(upload_pks))
    )
    if len({each.filename for each in given}) < len(given):
        raise refused("Filenames must be unique")
    if len({each.store for each in given}) > 1:
        raise refused(
            "The files were sent to different DataStores, as the default changed meanwhile: send them again."
        )
    return given


async def _start(gateway: Gateway, row: UploadSession, given: Sequence[Upload]) -> None:
    """Gather the files and create the ImageImport, as far as that was not done before."""
    name = given[0].store
    store = await gateway.stores.store(row.namespace, name)
    await store.gather(folder(row.id), {each.filename: each.path or "" for each in given})
    if row.kind not in PANIMG_KINDS:
        return
    spec: Body = {
        "source": {"name": name, "paths": [f"{folder(row.id)}/"]},
        "kind": row.kind,
        "outputStore": {"name": name},
    }
    body: Body = {"metadata": {"name": row.import_name, "labels": {LABEL_SESSION: row.id}}, "spec": spec}
    try:
        await gateway.cluster.create(IMAGE_IMPORTS, row.namespace, body)
    except errors.AlreadyExists:
        there = await gateway.cluster.get(IMAGE_IMPORTS, row.namespace, row.import_name)
        if there is not None and (there.get("spec") or {}).get("source") != spec["source"]:
            raise refused(
                f"There is another ImageImport {quoted(row.import_name)} in the namespace, of other files: delete it."
            ) from None


async def image_row(caller: Caller, pk: str) -> Image:
    """An image of the caller's namespace; 404 otherwise. One that was imported this very moment is there as well."""
    gateway, namespace = caller.gateway, caller.namespace

    def read(session: Session) -> Image | None:
        row = session.get(Image, pk)
        return row if row is not None and row.namespace == namespace else None

    row = await gateway.database.run(read)
    if row is None:
        await write_down(gateway, namespace, lambda body: bool(body["metadata"]["uid"] == pk))
        row = await gateway.database.run(read)
    if row is None:
        raise not_found()
    return row


async def write_down(gateway: Gateway, namespace: str, wanted: Callable[[Body], bool]) -> None:
    """Write down how those ImageImports ended that are `wanted` and that a session waits for."""
    pending = await gateway.database.run(lambda session: outcomes.pending(session, namespace))
    rows = {row.import_name: row for row in pending}
    bodies: list[Body] = []
    if rows:
        bodies, _ = await gateway.cluster.list(IMAGE_IMPORTS, namespace, label_selector=LABEL_SESSION)
    for body in bodies:
        if body["metadata"]["name"] in rows and wanted(body):
            await _settle(gateway, rows[body["metadata"]["name"]], body)


async def refresh_session(gateway: Gateway, row: UploadSession) -> UploadSession:
    """The row, with image or error once the import has ended."""
    return (await look(gateway, row))[0]


async def look(gateway: Gateway, row: UploadSession) -> tuple[UploadSession, str]:
    """What became of a session: its row and its status."""
    if row.image_id is not None:
        return row, SUCCEEDED
    if row.error is not None:
        return row, FAILED
    if row.kind not in PANIMG_KINDS:
        return row, SUCCEEDED
    body = await gateway.cluster.get(IMAGE_IMPORTS, row.namespace, row.import_name)
    return await _settle(gateway, row, body)


async def _settle(gateway: Gateway, row: UploadSession, body: Body | None) -> tuple[UploadSession, str]:
    """Write down how the import ended, if it has."""
    if body is None:
        if gateway.now() - row.created < LOST_AFTER:
            return row, QUEUED
        upload = await gateway.database.run(lambda session: session.get_one(Upload, row.uploads[0]))
        # The uploads' own as well: it may never have come to gathering them.
        await _delete_files(gateway, row, upload.store, map(uploadrows.file_folder, row.uploads))
        return await _fail(gateway, row, _GONE.format(name=quoted(row.import_name)))
    try:
        status = ImageImportStatus.model_validate(body.get("status") or {})
    except ValidationError as error:
        raise errors.ApiError(0, "BadAnswer", f"ImageImport {row.import_name}: {error}") from error
    if status.state is ImportState.FAILED:
        return await _fail(gateway, row, outcomes.reasons(status))
    if status.state is ImportState.SUCCEEDED and status.image is not None:
        made = outcomes.image_of(row, body, status.image, gateway.now())
        row = await gateway.database.run(lambda session: outcomes.succeeded(session, row.id, made))
        await _delete_files(gateway, row, body["spec"]["source"]["name"])
        return row, SUCCEEDED
    return row, STARTED if status.state is ImportState.IMPORTING else QUEUED


async def _fail(gateway: Gateway, row: UploadSession, why: str) -> tuple[UploadSession, str]:
    row = await gateway.database.run(lambda session: outcomes.failed(session, row.id, why))
    return row, FAILED if row.image_id is None else SUCCEEDED


# --- below: in the background


async def refresh_all(gateway: Gateway) -> None:
    """Write down all imports that have ended, and delete what nobody needs any more. To be called again and again."""
    namespaces = select(UploadSession.namespace).distinct()
    for namespace in await gateway.database.run(lambda session: list(session.scalars(namespaces))):
        await _quietly(_refresh(gateway, namespace), "the upload sessions of", namespace)


async def _refresh(gateway: Gateway, namespace: str) -> None:
    pending = await gateway.database.run(lambda session: outcomes.pending(session, namespace))
    bodies, _ = await gateway.cluster.list(IMAGE_IMPORTS, namespace, label_selector=LABEL_SESSION)
    there = {body["metadata"]["name"]: body for body in bodies}
    for row in pending:
        body = there.pop(row.import_name, None)
        await _quietly(_settle(gateway, row, body), "an upload session of", namespace)
    before = gateway.now() - KEPT_FOR
    ended = [body for body in there.values() if _ended_before(body, before)]
    waited_for = await _waited_for(gateway, namespace) if ended else set()
    for body in ended:
        if body["metadata"]["name"] not in waited_for:
            await _quietly(_forget(gateway, namespace, body), "an ImageImport of", namespace)


async def _waited_for(gateway: Gateway, namespace: str) -> set[str]:
    """The ImageImports that jobs name which have not yet taken over what these say."""
    async with gateway.memory.lists:
        found = await gateway.cluster.collect(ALGORITHM_JOBS, namespace, _waits_for)
    return set(chain.from_iterable(found))


def _waits_for(job: Body) -> list[str] | None:
    status = job.get("status") or {}
    if "acceptedAt" in status or status.get("state") in TERMINAL:
        return None
    return [given["imageImport"]["name"] for given in job["spec"]["inputs"] if "imageImport" in given]


def _ended_before(body: Body, moment: datetime) -> bool:
    finished = (body.get("status") or {}).get("finishedAt")
    return finished is not None and datetime.fromisoformat(finished) < moment


async def _forget(gateway: Gateway, namespace: str, body: Body) -> None:
    """Delete the ImageImport of a session that has its result; the files first, or nobody would know of them."""
    metadata = body["metadata"]
    pk = metadata["labels"][LABEL_SESSION]
    row = await gateway.database.run(lambda session: session.get(UploadSession, pk))
    if row is None or (row.namespace, row.import_name) != (namespace, metadata["name"]):
        return  # somebody else's, with our label
    came_from = map(uploadrows.file_folder, row.uploads)
    if not await _delete_files(gateway, row, body["spec"]["source"]["name"], came_from):
        return
    await gateway.cluster.delete(IMAGE_IMPORTS, namespace, metadata["name"], uid=metadata["uid"])


async def _delete_files(gateway: Gateway, row: UploadSession, name: str, more: Iterable[str] = ()) -> bool:
    """Delete what was uploaded for a session; False if its store cannot be reached now. Another time, then."""
    try:
        store = await gateway.stores.store(row.namespace, name)
        await store.delete(folder(row.id))
        for path in more:
            await store.delete(path)
    except (StoreUnavailable, StoreRefused) as error:
        log.warning("the files of upload session %s stay for now: %s", row.id, error)
        return False
    return True


async def _quietly(work: Coroutine[Any, Any, object], what: str, namespace: str) -> None:
    """Do it; what is wrong with one never stops the others, and is tried again the next time."""
    try:
        await work
    except (errors.ApiError, StoreUnavailable, StoreRefused) as error:
        log.warning("%s namespace %s: %s", what, namespace, error)
    except Exception:
        log.exception("%s namespace %s", what, namespace)
