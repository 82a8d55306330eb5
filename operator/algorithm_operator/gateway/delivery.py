"""Bytes on their way out: one file of a DataStore as an HTTP answer. They are passed on as they are, never looked into.

Of a file whose sha256 is known the last piece is held back until all bytes have been hashed: where they are not those
that were stored, the connection breaks before the announced length, and no client takes the file for whole. A store Pod
that goes away in the middle (drained, replaced) is waited for, and the file is read on from where it was. Nothing is
read ahead: a slow reader holds two pieces.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from urllib.parse import quote

from fastapi import Response
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from algorithm_operator.api.text import quoted
from algorithm_operator.gateway.errors import ApiError, not_found
from algorithm_operator.gateway.storage import Store, Stores, StoreUnavailable

log = logging.getLogger(__name__)

BINARY, JSON = "application/octet-stream", "application/json"
REOPENINGS = 8
"""One after the other without a byte between them; each waits for a store Pod that runs."""
LONGEST_PAUSE = 10.0
"""Seconds before the next one."""
_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")


class Broken(Exception):  # noqa: N818 - says it better than "Error" would
    """The file cannot be given as it was announced; once it was announced, the connection breaks."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """What is to be given, and what is known of it. `store` is the name of a DataStore, `path` is below its root."""

    store: str
    path: str
    name: str
    """For whoever saves it; other people chose it."""
    media_type: str = BINARY
    size: int | None = None
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Span:
    """The bytes [start, end) of a file of `size` bytes."""

    start: int
    end: int
    size: int

    @property
    def whole(self) -> bool:
        """Whether it is the file."""
        return self.start == 0 and self.end == self.size


def span(asked: str | None, size: int) -> Span:
    """What a Range header asks for: one range; several, or another unit, count as none. Raises 416."""
    found = _RANGE.fullmatch(asked.replace(" ", "")) if asked else None
    if found is None or found.groups() == ("", ""):
        return Span(0, size, size)
    first, last = found.groups()
    if not first:
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(int(last) + 1, size) if last else size
        if last and int(last) < int(first):
            return Span(0, size, size)
    if start >= end:
        raise ApiError(416, {"detail": f"There are {size} bytes."}, {"Content-Range": f"bytes */{size}"})
    return Span(start, end, size)


def attachment(name: str) -> str:
    """Content-Disposition of a file with that name, whatever is in it."""
    plain = "".join(c if c.isascii() and c.isprintable() and c not in '"\\%;/' else "_" for c in name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='', errors='replace')}"


class Delivery(Response):
    """The answer. What goes wrong before the first byte is an error as any other: 404, 416, 503."""

    def __init__(self, stores: Stores, namespace: str, file: StoredFile, asked: Headers) -> None:
        super().__init__()
        self._stores, self._namespace, self._file, self._asked = stores, namespace, file, asked

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it, until it is sent or the client has gone."""
        sending = asyncio.create_task(self._send(send))
        gone = asyncio.create_task(_gone(receive))
        try:
            await asyncio.wait({sending, gone}, return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                await sending
        finally:
            for task in (sending, gone):
                task.cancel()
            await asyncio.gather(sending, gone, return_exceptions=True)

    async def _send(self, send: Send) -> None:
        file = self._file
        etag = f'"{file.sha256}"' if file.sha256 else None
        headers = {"Cache-Control": "private, no-cache", "X-Content-Type-Options": "nosniff"}
        if etag is not None:
            headers["ETag"] = etag
            if _matches(self._asked.get("if-none-match"), etag):
                await _start(send, 304, headers)
                await send({"type": "http.response.body", "body": b""})
                return
        store = await self._stores.store(self._namespace, file.store)
        wanted = span(self._range(etag), await self._size(store))
        headers |= {
            "Accept-Ranges": "bytes",
            "Content-Disposition": attachment(file.name),
            "Content-Length": str(wanted.end - wanted.start),
            "Content-Type": file.media_type,
        }
        if not wanted.whole:
            headers["Content-Range"] = f"bytes {wanted.start}-{wanted.end - 1}/{wanted.size}"
        started = False
        try:
            async with aclosing(self._checked(store, wanted)) as pieces:
                async for piece, last in pieces:
                    if not started:
                        await _start(send, 200 if wanted.whole else 206, headers)
                        started = True
                    await send({"type": "http.response.body", "body": piece, "more_body": not last})
        except Broken as error:
            log.error("DataStore %s of namespace %s: %s", file.store, self._namespace, error)
            if started:
                raise
            raise ApiError(500, {"detail": str(error)}) from None

    def _range(self, etag: str | None) -> str | None:
        """The Range, unless it is of what the file was once."""
        condition = self._asked.get("if-range")
        return self._asked.get("range") if condition is None or condition == etag else None

    async def _size(self, store: Store) -> int:
        """Of the file, in bytes."""
        if self._file.size is not None:
            return self._file.size
        there = await store.stat(self._file.path)
        if there is None or there.folder:
            raise self._missing()
        return there.size

    async def _checked(self, store: Store, wanted: Span) -> AsyncGenerator[tuple[bytes, bool], None]:
        """The pieces, each with whether it is the last; that one comes once the hash is right."""
        digest = hashlib.sha256() if wanted.whole and self._file.sha256 else None
        held: bytes | None = None
        async with aclosing(self._pieces(store, wanted)) as pieces:
            async for piece in pieces:
                if digest is not None:
                    digest.update(piece)
                if held is not None:
                    yield held, False
                held = piece
        if digest is not None and digest.hexdigest() != self._file.sha256:
            raise self._broken("its sha256 is another one")
        yield held or b"", True

    async def _pieces(self, store: Store, wanted: Span) -> AsyncGenerator[bytes, None]:
        """The bytes, through as many openings as it takes."""
        at, failures = wanted.start, 0
        while at < wanted.end:
            try:
                if failures:
                    store = await self._stores.store(self._namespace, self._file.store)
                async with store.read(self._file.path, at, wanted.end - at) as reading:
                    if reading.size != wanted.size:
                        raise self._broken(f"it has {reading.size} bytes, not {wanted.size}")
                    async for piece in reading:
                        taken = piece[: wanted.end - at]
                        if taken:
                            at, failures = at + len(taken), 0
                            yield taken
                if at < wanted.end:
                    raise StoreUnavailable("The store ended the file early.")
            except FileNotFoundError:
                raise self._missing() if at == wanted.start else self._broken("it was deleted") from None
            except StoreUnavailable as error:
                failures += 1
                if at == wanted.start:
                    raise  # nothing was sent: the client asks again
                if failures > REOPENINGS:
                    raise Broken(
                        f"{quoted(self._file.path, 1024)} was lost in the middle: {error.sentence}"
                    ) from error
                log.info("a download goes on at byte %d once its store is back: %s", at, error.sentence)
                await asyncio.sleep(min(error.retry_after, LONGEST_PAUSE))

    def _missing(self) -> ApiError:
        return not_found(f"DataStore {quoted(self._file.store)} does not have this file any more.")

    def _broken(self, why: str) -> Broken:
        return Broken(
            f"The file {quoted(self._file.path, 1024)} is not what was stored: {why}. Whoever may write to the "
            f"DataStore has changed it; ask its admin."
        )


async def _start(send: Send, status: int, headers: dict[str, str]) -> None:
    raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})


async def _gone(receive: Receive) -> None:
    """Returns when the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _matches(condition: str | None, etag: str) -> bool:
    """Whether If-None-Match names the file."""
    if condition is None:
        return False
    names = [each.strip().removeprefix("W/") for each in condition.split(",")]
    return "*" in names or etag in names
