"""Upload sessions: POST makes one image of uploads, GET tells how far that is. The work: importing.py."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from fastapi import APIRouter, Response
from sqlalchemy import select
from sqlalchemy.orm import Session

from algorithm_operator.api.kinds import PANIMG_KINDS
from algorithm_operator.api.text import quoted
from algorithm_operator.gateway import archivelimits, catalogue, importing, outcomes
from algorithm_operator.gateway.answers import Windowed, answer
from algorithm_operator.gateway.archiverows import item_row
from algorithm_operator.gateway.context import Caller, Calling
from algorithm_operator.gateway.database import models
from algorithm_operator.gateway.database.listing import listed
from algorithm_operator.gateway.errors import NO_OBJECT, invalid, no_slug, not_found, refused
from algorithm_operator.gateway.identity import Resource, Verb
from algorithm_operator.gateway.itemvalues import NewValue, put
from algorithm_operator.gateway.requests import UploadSessionRequest
from algorithm_operator.gateway.shapes import Page, UploadSession
from algorithm_operator.gateway.urls import API, Urls, pk_in

router = APIRouter(prefix=f"{API}/cases/upload-sessions", tags=["images"])

_DEFAULT_SOCKET = "generic-medical-image"
"""Grand Challenge's, of images that go to an archive without a word on where."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where the image goes once it is there: a socket of an item, or of a new item of an archive."""

    slug: str
    kind: str
    item_id: str | None = None
    archive_id: str | None = None


def session_shape(row: models.UploadSession, status: str, urls: Urls) -> UploadSession:
    """A session as the API shows it."""
    files = [urls.upload(pk) for pk in row.uploads]
    return UploadSession(
        pk=row.id,
        status=status,
        error_message=row.error,
        image_set=[urls.image(row.image_id)] if row.image_id else [],
        api_url=urls.session(row.id),
        user_uploads=files,
        uploads=files,
    )


@router.get("/", response_model=Page[UploadSession])
async def list_upload_sessions(caller: Calling, window: Windowed) -> Response:
    """One's own, oldest first."""
    if not await caller.rights.may(Verb.GET, Resource.IMAGES):
        return window.page([], 0)
    row = models.UploadSession
    own = (row.namespace == caller.namespace, row.username == caller.username)
    asked = select(row).where(*own).order_by(row.created, row.id)
    rows, count = await caller.gateway.database.run(lambda session: listed(session, asked, window))
    seen = [await importing.look(caller.gateway, row) for row in rows]
    return window.page([session_shape(row, status, caller.urls) for row, status in seen], count)


@router.get("/{pk:uuid}/", response_model=UploadSession)
async def get_upload_session(caller: Calling, pk: UUID) -> Response:
    """How far it is; `error_message` says by file why there is no image."""
    await caller.rights.see(Resource.IMAGES)
    return await _shown(caller, str(pk))


@router.post("/", response_model=UploadSession, status_code=201)
async def create_upload_session(caller: Calling, asked: UploadSessionRequest) -> Response:
    """The files become exactly one image. The same uploads again give the same session."""
    await caller.rights.act(Verb.CREATE, Resource.IMAGES)
    pks = [pk_in(url, caller.urls.upload) for url in asked.uploads]
    known = [pk for pk in pks if pk is not None]
    if len(known) < len(pks):
        raise invalid(uploads=[NO_OBJECT])
    target = await _target(caller, asked)
    pk = await importing.open_session(caller, known, target.kind if target is not None else "Image")
    if target is not None:
        await _send_to(caller, pk, target)
    return await _shown(caller, pk, 201)


async def _shown(caller: Caller, pk: str, code: int = 200) -> Response:
    def read(session: Session) -> models.UploadSession | None:
        row = session.get(models.UploadSession, pk)
        mine = row is not None and (row.namespace, row.username) == (caller.namespace, caller.username)
        return row if mine else None

    row = await caller.gateway.database.run(read)
    if row is None:
        raise not_found()
    row, status = await importing.look(caller.gateway, row)
    return answer(session_shape(row, status, caller.urls), code)


async def _target(caller: Caller, asked: UploadSessionRequest) -> Target | None:
    """Where the image is to go, checked; None: nowhere but to the images."""
    for field in ("answer", "display_set"):
        if getattr(asked, field) is not None:
            raise invalid(**{field: ["There are no reader studies here: send images to archives or jobs."]})
    if asked.archive is not None and asked.archive_item is not None:
        raise refused("Only one of archive, archive item, answer or reader study can be set")
    if asked.archive is None and asked.archive_item is None:
        if asked.interface is not None:
            raise refused(
                "An interface can only be defined for archive, archive item or display set uploads."
            )
        return None
    if asked.archive_item is not None and asked.interface is None:
        raise refused("An interface needs to be defined to upload to an archive item.")
    item_id, archive_id = await _found(caller, asked)
    slug = asked.interface or _DEFAULT_SOCKET
    socket = (await catalogue.sockets(caller.gateway, caller.namespace)).get(slug)
    if socket is None and asked.interface is None:
        raise invalid(interface=["Name the socket of the image: its slug at an Algorithm of this namespace."])
    if socket is None:
        raise invalid(interface=[no_slug(slug)])
    if socket.kind not in PANIMG_KINDS:
        raise invalid(
            interface=[f"Socket {quoted(slug)} is for {quoted(socket.kind)}: it takes no imported image."]
        )
    return Target(slug, socket.kind, item_id, archive_id)


async def _found(caller: Caller, asked: UploadSessionRequest) -> tuple[str | None, str | None]:
    """Ids of the item and the archive that are named; one is None. What may not be changed does not exist."""

    def read(session: Session) -> tuple[str | None, str | None]:
        if asked.archive_item is not None:
            item = item_row(session, caller.namespace, asked.archive_item)
            return (item.id if item is not None else None), None
        named = select(models.Archive.id).where(
            models.Archive.namespace == caller.namespace, models.Archive.slug == asked.archive
        )
        if (archive := session.scalar(named)) is not None:
            archivelimits.check_items(session, caller.namespace)
        return None, archive

    found = await caller.gateway.database.run(read)
    if found != (None, None) and await caller.rights.may(Verb.UPDATE, Resource.ARCHIVES):
        return found
    if asked.archive_item is not None:
        raise invalid(archive_item=[f"Invalid pk {quoted(asked.archive_item, 64)} - object does not exist."])
    raise invalid(archive=[no_slug(asked.archive or "")])


async def _send_to(caller: Caller, pk: str, target: Target) -> None:
    """The value waits for the image of the session, or has it. Of a failed session there is none."""

    def write(session: Session) -> None:
        row = session.get_one(models.UploadSession, pk)
        item_id = target.item_id
        if row.error is not None:
            return
        if item_id is None:
            item_id = outcomes.item_pk(pk)
            if session.get(models.ArchiveItem, item_id) is None:
                made = models.ArchiveItem(
                    id=item_id, archive_id=target.archive_id, title="", created=caller.gateway.now()
                )
                session.add(made)
                session.flush()
        put(session, item_id, NewValue(target.slug, session_id=pk))

    await caller.gateway.database.run(write)
