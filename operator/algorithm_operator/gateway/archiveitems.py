"""Archive items: values by socket, to be used as inputs of jobs again and again. How they are kept: itemvalues.py."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID, uuid4

from fastapi import APIRouter, Response
from sqlalchemy import select
from sqlalchemy.orm import Session

from algorithm_operator.contract.plan import PlannedSocket
from algorithm_operator.gateway import archivelimits, catalogue, importing, shapes, uploaduse, values
from algorithm_operator.gateway.answers import Windowed, answer
from algorithm_operator.gateway.archiverows import MAX_TITLE, archive_row, item_row, text_problem
from algorithm_operator.gateway.context import Caller, Calling
from algorithm_operator.gateway.database.listing import listed
from algorithm_operator.gateway.database.models import Archive, ArchiveItem, UploadSession
from algorithm_operator.gateway.errors import (
    NO_OBJECT,
    REQUIRED,
    ApiError,
    invalid,
    no_slug,
    not_found,
    refused,
)
from algorithm_operator.gateway.identity import Resource, Verb
from algorithm_operator.gateway.itemvalues import (
    NewValue,
    SeenItem,
    item_shape,
    posted_shape,
    put,
    seen_items,
)
from algorithm_operator.gateway.requests import ArchiveItemRequest, ValueRequest
from algorithm_operator.gateway.urls import API, pk_in

router = APIRouter(prefix=f"{API}/archives/items", tags=["archives"])


@router.get("/", response_model=shapes.Page[shapes.ArchiveItem])
async def list_archive_items(caller: Calling, window: Windowed, archive: str | None = None) -> Response:
    """The items of the namespace, or of the archive with that pk, oldest first."""
    if not await caller.rights.may(Verb.LIST, Resource.ARCHIVES):
        return window.page([], 0)
    asked = select(ArchiveItem).join(Archive).where(Archive.namespace == caller.namespace)
    if archive is not None:
        asked = asked.where(Archive.id == archive)
    asked = asked.order_by(ArchiveItem.created, ArchiveItem.id)

    def read(session: Session) -> tuple[list[SeenItem], int]:
        rows, count = listed(session, asked, window)
        archivelimits.check_page(session, [each.id for each in rows])
        return seen_items(session, rows), count

    page, count = await caller.gateway.database.run(read)
    sockets = await catalogue.sockets(caller.gateway, caller.namespace)
    return window.page([item_shape(each, sockets, caller.urls) for each in page], count)


@router.get("/{pk:uuid}/", response_model=shapes.ArchiveItem)
async def get_archive_item(caller: Calling, pk: UUID) -> Response:
    """Its values; an image that is still imported is null."""
    await caller.rights.see(Resource.ARCHIVES)
    await _look(caller, str(pk))
    sockets = await catalogue.sockets(caller.gateway, caller.namespace)
    return answer(item_shape(await _read(caller, str(pk)), sockets, caller.urls))


@router.post("/", response_model=shapes.ArchiveItemPosted, status_code=201)
async def create_archive_item(caller: Calling, asked: ArchiveItemRequest) -> Response:
    """An item without values: PATCH adds them, as at Grand Challenge."""
    if asked.archive is None:
        raise invalid(archive=[REQUIRED])
    pk = pk_in(asked.archive, caller.urls.archive)
    archive = await archive_row(caller, pk) if pk is not None else None
    if archive is None or not await caller.rights.may(Verb.UPDATE, Resource.ARCHIVES):
        raise invalid(archive=[NO_OBJECT])
    if asked.values:
        raise refused("Values can only be added via update")
    title = _title(asked)
    made = ArchiveItem(
        id=str(uuid4()), archive_id=archive.id, title=title or "", created=caller.gateway.now()
    )

    def add(session: Session) -> None:
        archivelimits.check_items(session, caller.namespace)
        session.add(made)

    await caller.gateway.database.run(add)
    return answer(posted_shape(SeenItem(made, [], {}), caller.urls), 201)


@router.patch("/{pk:uuid}/", response_model=shapes.ArchiveItemPosted)
async def update_archive_item(caller: Calling, pk: UUID, asked: ArchiveItemRequest) -> Response:
    """Give the sockets that are named other values; those of other sockets stay. All of them, or none."""
    await caller.rights.act(Verb.UPDATE, Resource.ARCHIVES)
    item = str(pk)
    await _read(caller, item)
    title = _title(asked)
    resolved = await _resolved(caller, item, asked.values or [])
    new = [_new(await values.settle(caller, each)) for each in resolved]
    inline = [each.value for each in new if each.value is not None]
    await caller.gateway.database.run(
        lambda session: archivelimits.check_values(session, caller.namespace, inline)
    )
    files = [each.upload_id for each in new if each.upload_id is not None]
    if files:
        await uploaduse.claim(caller.gateway, files, uploaduse.by_item(item))

    def write(session: Session) -> SeenItem:
        row = item_row(session, caller.namespace, item)
        if row is None:
            raise not_found()
        if title is not None:
            row.title = title
        for each in new:
            put(session, item, each)
        return seen_items(session, [row])[0]

    return answer(posted_shape(await caller.gateway.database.run(write), caller.urls))


def _new(given: values.Given) -> NewValue:
    value = None if given.value is values.UNSET else given.value
    return NewValue(given.slug, value, given.image_id, given.session_id, given.upload_id)


async def _resolved(caller: Caller, pk: str, asked: Sequence[ValueRequest]) -> list[values.Given]:
    """What is to be put, checked; 400 says what is wrong with each."""
    sockets = await catalogue.sockets(caller.gateway, caller.namespace) if asked else {}
    new: list[values.Given] = []
    problems: list[dict[str, Any]] = []
    for request in asked:
        try:
            new.append(await _one(caller, pk, sockets, request, {each.slug for each in new}))
            problems.append({})
        except ApiError as error:
            if error.status != 400:
                raise
            problems.append(dict(error.body))
    if any(problems):
        raise invalid(values=problems)
    return new


async def _one(
    caller: Caller,
    pk: str,
    sockets: Mapping[str, PlannedSocket],
    request: ValueRequest,
    known: Collection[str],
) -> values.Given:
    if request.interface is None:
        raise invalid(interface=[REQUIRED])
    socket = sockets.get(request.interface)
    if socket is None:
        raise invalid(interface=[no_slug(request.interface)])
    if socket.slug in known:
        raise refused("This socket is named twice: a socket of an item has one value.")
    given = await values.resolve(caller, socket, request, used_by=uploaduse.by_item(pk))
    if given.session_id is not None:
        row = await importing.refresh_session(caller.gateway, await _session(caller, given.session_id))
        if row.error is not None:
            raise invalid(upload_session=[f"The import of this session failed: {row.error}"])
    return given


async def _session(caller: Caller, pk: str) -> UploadSession:
    return await caller.gateway.database.run(lambda session: session.get_one(UploadSession, pk))


async def _read(caller: Caller, pk: str) -> SeenItem:
    def read(session: Session) -> SeenItem:
        row = item_row(session, caller.namespace, pk)
        if row is None:
            raise not_found()
        return seen_items(session, [row])[0]

    return await caller.gateway.database.run(read)


async def _look(caller: Caller, pk: str) -> None:
    """Take over the images of the item that were imported meanwhile."""

    def waiting(session: Session) -> list[UploadSession]:
        row = item_row(session, caller.namespace, pk)
        found = [value.session_id for value in row.values] if row is not None else []
        return [session.get_one(UploadSession, each) for each in found if each is not None]

    for each in await caller.gateway.database.run(waiting):
        await importing.refresh_session(caller.gateway, each)


def _title(asked: ArchiveItemRequest) -> str | None:
    if asked.title is not None and (why := text_problem(asked.title, MAX_TITLE)):
        raise invalid(title=[why])
    return asked.title
