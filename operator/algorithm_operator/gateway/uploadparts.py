"""PUT of a part of an upload: from the connection into the store, hashed on the way, never held.

What makes it safe to repeat: every PUT writes a file of its own; the row of the part, changed in one step, says which
of them counts. Whatever dies in between leaves at most a file that nothing names, in a folder that goes with the rest.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress

from fastapi import APIRouter, Request, Response
from sqlalchemy.orm import Session
from starlette.requests import ClientDisconnect
from starlette.types import Scope

from algorithm_operator.gateway import presigned, uploadrows
from algorithm_operator.gateway.context import Gateway, Serving
from algorithm_operator.gateway.database.models import Upload, UploadPart
from algorithm_operator.gateway.errors import ApiError, forbidden, not_found, unavailable
from algorithm_operator.gateway.storage import Store, Stored, StoreRefused, StoreUnavailable

router = APIRouter()
"""A part of that of uploads.py."""

MAX_PART_BYTES = 5 << 30
LIMIT_REACHED = "Upload limit reached"
_DRAINED = 64 << 20
"""gcapi sends parts of 32 MiB."""


@router.put("/{pk}/{multipart_id}/parts/{number}/", response_class=Response)
async def put_part(
    request: Request, gateway: Serving, namespace: str, pk: str, multipart_id: str, number: str
) -> Response:
    """Store a part of an upload. The URL comes from generate-presigned-urls and needs no token; a part that is sent
    again replaces the one before. The answer's ETag is what complete-multipart-upload asks for.
    """
    key = presigned.signing_key(gateway.settings.signing_key)
    presigned.check(key, namespace, pk, multipart_id, number, request.query_params, gateway.now())
    body = _Body(request, _length(request))
    try:
        etag = await _stored(gateway, request.scope, namespace, pk, int(number), body)
    except (ApiError, StoreUnavailable, StoreRefused):
        if body.cut_short:
            raise ApiError(400, {"detail": "The connection ended before the whole part had come."}) from None
        await body.drain()
        raise
    return Response(headers={"ETag": f'"{etag}"'})


async def _stored(gateway: Gateway, scope: Scope, namespace: str, pk: str, number: int, body: _Body) -> str:
    upload = await gateway.database.run(lambda session: _open(session, namespace, pk))
    gateway.memory.places.take(scope, upload.username)
    with _reserved(gateway, upload, body.length) as arriving:
        await gateway.database.run(lambda session: _check_room(gateway, session, upload, number, arriving))
        store = await gateway.stores.store(namespace, upload.store)
        path = f"{uploadrows.parts_folder(pk)}/{number}-{secrets.token_hex(8)}"
        stored = await store.put(path, body.pieces(), body.length)
        if stored != body.passed():
            await _discard(store, path)
            raise unavailable("The store did not get what was sent; send this part again.")
        part = UploadPart(
            upload_id=pk,
            number=number,
            etag=stored.sha256,
            size=stored.size,
            path=path,
            modified=gateway.now(),
        )
        try:
            replaced = await gateway.database.run(lambda session: _recorded(session, namespace, part))
        except ApiError:
            await _discard(store, path)
            raise
    if replaced is not None:
        await _discard(store, replaced)
    return stored.sha256


def _open(session: Session, namespace: str, pk: str) -> Upload:
    upload = uploadrows.find(session, namespace, pk)
    if upload is None or not uploadrows.is_open(upload):
        raise not_found("There is no upload that takes this part: it was completed, aborted or is too old.")
    return upload


@contextmanager
def _reserved(gateway: Gateway, upload: Upload, length: int) -> Iterator[int]:
    """What its owner has on the way, with `length` more. Counted before the tables are asked, and until they know of
    the part: several at a time are then counted twice at the worst, and never too little.
    """
    owner = (upload.namespace, upload.username)
    gateway.arriving[owner] += length
    try:
        yield gateway.arriving[owner]
    finally:
        gateway.arriving[owner] -= length
        if not gateway.arriving[owner]:
            del gateway.arriving[owner]


def _check_room(gateway: Gateway, session: Session, upload: Upload, number: int, arriving: int) -> None:
    before = session.get(UploadPart, (upload.id, number))
    there = uploadrows.unused_bytes(session, upload.namespace, upload.username) - (
        before.size if before else 0
    )
    if there + arriving > gateway.settings.upload_bytes_per_user:
        raise forbidden(LIMIT_REACHED)
    parts = uploadrows.unfinished_parts(session, upload.namespace, upload.username)
    if before is None and parts >= uploadrows.MAX_PARTS_PER_USER:
        raise forbidden(LIMIT_REACHED)


def _recorded(session: Session, namespace: str, part: UploadPart) -> str | None:
    """Make the part that which counts; the path of the one that it replaces."""
    _open(session, namespace, part.upload_id)
    before = session.get(UploadPart, (part.upload_id, part.number))
    replaced = before.path if before is not None else None
    session.merge(part)
    return replaced


async def _discard(store: Store, path: str) -> None:
    """Delete a file that nothing names any more; if it cannot be done now, it goes with the folder of the parts."""
    with suppress(StoreUnavailable, StoreRefused):
        await store.delete(path)


def _length(request: Request) -> int:
    text = request.headers.get("content-length", "")
    if not (text.isascii() and text.isdecimal()):
        raise ApiError(411, {"detail": "A part is sent with its Content-Length."})
    if len(text) > 12 or int(text) > MAX_PART_BYTES:
        raise ApiError(413, {"detail": f"A part has at most {MAX_PART_BYTES >> 30} GiB; send more of them."})
    return int(text)


class _Body:
    """The body of a request, counted and hashed as it passes."""

    def __init__(self, request: Request, length: int) -> None:
        self.length = length
        self.cut_short = False
        self._stream = request.stream()
        self._size = 0
        self._digest = hashlib.sha256()

    async def pieces(self) -> AsyncIterator[bytes]:
        """What comes, once."""
        async for piece in self._received():
            self._digest.update(piece)
            yield piece

    def passed(self) -> Stored:
        """What has come."""
        return Stored(self._size, self._digest.hexdigest())

    async def drain(self) -> None:
        """Read what is still to come, if it is not much: a client that sends when the answer comes may miss it."""
        if self.length - self._size <= _DRAINED:
            with suppress(ApiError):
                async for _ in self._received():
                    pass

    async def _received(self) -> AsyncIterator[bytes]:
        try:
            async for piece in self._stream:
                self._size += len(piece)
                if piece:
                    yield piece
        except ClientDisconnect:
            self.cut_short = True
            raise ApiError(400, {"detail": "The connection ended before the whole part had come."}) from None
