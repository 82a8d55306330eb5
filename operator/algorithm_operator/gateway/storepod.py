"""The files of one DataStore, over HTTP to its store Pod (`steps/store.py` is the other side)."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import h11

from algorithm_operator.api.base import Model
from algorithm_operator.api.text import quoted, shown
from algorithm_operator.contract.paths import check_store_path
from algorithm_operator.contract.storing import Compose, Gather, Gathered
from algorithm_operator.gateway.storage import Stat, Stored, StoreRefused, StoreUnavailable
from algorithm_operator.gateway.storehttp import WORK_SECONDS, Headers, HttpConnection, LostError, Stream

MAX_IDLE = 8
IDLE_SECONDS = 60.0
"""Less than the store Pod's own patience with a connection that says nothing."""
_MAX_ANSWER = 16 * 1024 * 1024
_EARLY_SECONDS = 2
"""How long an answer may take to arrive of a server that took no more of the body."""

Connect = Callable[[bool], Awaitable[Stream]]
"""Opens a connection; ConnectionError if that does not work now. True: one was lost, so what is known may be old."""
T = TypeVar("T")
Begin = Callable[[HttpConnection], Awaitable[T]]


@dataclass(slots=True)
class Reading:
    """An open file; `size` is that of the whole file."""

    size: int
    pieces: AsyncIterator[bytes]

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self.pieces


class StorePod:
    """Implements `storage.Store`. What was lost before its answer came is asked once again, over a new connection."""

    def __init__(self, store: str, connect: Connect, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._store, self._connect, self._monotonic = store, connect, monotonic
        self._idle: list[tuple[float, HttpConnection]] = []
        self._active = 0
        self._used = monotonic()

    @property
    def idle_seconds(self) -> float:
        """Since when nobody has used it."""
        return 0.0 if self._active else self._monotonic() - self._used

    def touch(self) -> None:
        """Somebody is about to use it."""
        self._used = self._monotonic()

    async def close(self) -> None:
        """End the connections that nobody uses."""
        idle, self._idle = self._idle, []
        await asyncio.gather(*(connection.close() for _, connection in idle))

    async def put(self, path: str, chunks: AsyncIterator[bytes], length: int) -> Stored:
        """Write a file of `length` bytes below the gateway's folder, in place of one that was there.

        A connection that is lost once bytes were taken from `chunks` is StoreUnavailable: the caller has them no more.

        :raises StoreRefused: `chunks` are more or fewer bytes, or the store says no.
        """
        target = f"{_file(path)}?{urlencode({'total': length})}"
        # The body is taken from the client only when the store is known to listen: until then all can be repeated.
        headers = [("Content-Length", str(length)), ("Expect", "100-continue")]

        async def begin(connection: HttpConnection) -> h11.Response | None:
            await connection.begin("PUT", target, headers)
            return await connection.may_go_on()

        async with self._exchange(begin) as (connection, refusal):
            response = refusal or await self._body(connection, path, chunks, length)
            answer = await self._json(connection)
        self._expect(response.status_code, answer, path)
        return Stored(answer["size"], answer["sha256"])

    async def compose(self, path: str, parts: Sequence[str]) -> Stored:
        """Make one file of parts, in order; the parts are gone then. No parts: an empty file."""
        answer = await self._order(
            "compose", Compose(path=_checked(path), parts=[*map(_checked, parts)]), path
        )
        return Stored(answer["size"], answer["sha256"])

    async def gather(self, folder: str, files: Mapping[str, str]) -> None:
        """Move files (path by new name) into one folder."""
        gathered = [Gathered(path=_checked(path), name=_checked(name)) for name, path in files.items()]
        await self._order("gather", Gather(folder=_checked(folder), files=gathered), folder)

    async def delete(self, path: str) -> None:
        """Delete a file or a whole folder below the gateway's folder."""
        status, answer = await self._ask("DELETE", _file(path))
        self._expect(status, answer, path)

    async def stat(self, path: str, *, sha256: bool = False) -> Stat | None:
        """What is there; None if nothing, or an upload that is not finished."""
        query = {"path": _checked(path)} | ({"sha256": "1"} if sha256 else {})
        status, answer = await self._ask("GET", f"/v1/stat?{urlencode(query)}")
        if status == 404 or answer.get("type") == "part":
            return None
        self._expect(status, answer, path)
        return Stat(answer["size"], answer["type"] == "folder", answer.get("sha256"))

    async def list(self, path: str) -> list[dict[str, Any]]:
        """The entries of a folder ({"name", "type": "file" | "folder", "size"}); none if there is no such folder.

        :raises StoreRefused: there are more than the store Pod lists.
        """
        status, answer = await self._ask("GET", f"/v1/list?{urlencode({'path': _checked(path)})}")
        if status == 404:
            return []
        self._expect(status, answer, path)
        entries: list[dict[str, Any]] = answer["entries"]
        if answer["more"]:
            raise self._refused(507, path, f"it has more than {len(entries)} entries")
        return entries

    @asynccontextmanager
    async def read(self, path: str, offset: int = 0, length: int | None = None) -> AsyncIterator[Reading]:
        """Open a file for reading.

        :raises FileNotFoundError: there is none.
        """
        if length == 0:  # no Range says so
            found = await self.stat(path)
            if found is None:
                raise FileNotFoundError(path)
            yield Reading(found.size, _nothing())
            return
        last = "" if length is None else offset + length - 1
        headers = [("Range", f"bytes={offset}-{last}")] if offset or length is not None else []

        async def begin(connection: HttpConnection) -> h11.Response:
            return await connection.request("GET", _file(path), headers)

        async with self._exchange(begin) as (connection, response):
            if response.status_code not in (200, 206):
                answer = await self._json(connection)
                if response.status_code == 404:
                    raise FileNotFoundError(path)
                self._expect(response.status_code, answer, path)
            yield Reading(_size(response), self._pieces(connection))

    async def _body(
        self, connection: HttpConnection, path: str, chunks: AsyncIterator[bytes], length: int
    ) -> h11.Response:
        """Send the body of a request; its answer, which may come in the middle of it."""
        answering = asyncio.create_task(connection.response(None))
        try:
            left = length
            async for chunk in chunks:
                if answering.done() and answering.result().status_code >= 400:
                    break
                left -= len(chunk)
                if left < 0:
                    raise self._refused(
                        400, path, f"there are more than the {length} bytes that were announced"
                    )
                await connection.send(h11.Data(data=chunk))
            else:
                if left:
                    raise self._refused(
                        400, path, f"{left} of the {length} bytes that were announced are missing"
                    )
                await connection.send(h11.EndOfMessage())
            return await _within(WORK_SECONDS, answering)
        except LostError as error:
            with suppress(LostError):  # it may have said why, before it hung up
                return await _within(_EARLY_SECONDS, answering)
            raise self._lost(error) from error
        finally:
            answering.cancel()
            await asyncio.gather(answering, return_exceptions=True)

    async def _order(self, what: str, order: Model, path: str) -> dict[str, Any]:
        body = order.model_dump_json(by_alias=True).encode()
        status, answer = await self._ask("POST", f"/v1/{what}", [("Content-Type", "application/json")], body)
        self._expect(status, answer, path)
        return answer

    async def _ask(
        self, method: str, target: str, headers: Headers = (), body: bytes = b""
    ) -> tuple[int, dict[str, Any]]:
        async def begin(connection: HttpConnection) -> tuple[int, dict[str, Any]]:
            response = await connection.request(method, target, headers, body)
            return response.status_code, _parsed(await connection.content(_MAX_ANSWER))

        async with self._exchange(begin) as (_, answered):
            return answered

    @asynccontextmanager
    async def _exchange(self, begin: Begin[T]) -> AsyncIterator[tuple[HttpConnection, T]]:
        """A connection over which `begin` was done, and what that returned."""
        self._active += 1
        try:
            connection, begun = await self._begun(begin)
            try:
                yield connection, begun
            finally:
                await self._give_back(connection)
        finally:
            self._active -= 1
            self.touch()

    async def _begun(self, begin: Begin[T]) -> tuple[HttpConnection, T]:
        for again in (False, True):
            try:
                connection = await self._connection(again)
                try:
                    return connection, await begin(connection)
                except BaseException:
                    await connection.close()
                    raise
            except (LostError, ConnectionError) as error:
                await self.close()  # those of before are lost as well
                if again:
                    raise self._lost(error) from error
        raise AssertionError("unreachable")

    async def _connection(self, again: bool) -> HttpConnection:
        while self._idle:
            since, connection = self._idle.pop()
            if self._monotonic() - since < IDLE_SECONDS:
                return connection
            await connection.close()
        return HttpConnection(await self._connect(again))

    async def _give_back(self, connection: HttpConnection) -> None:
        if connection.is_done() and len(self._idle) < MAX_IDLE:
            self._idle.append((self._monotonic(), connection))
        else:
            await connection.close()

    async def _pieces(self, connection: HttpConnection) -> AsyncIterator[bytes]:
        try:
            async for piece in connection.pieces():
                yield piece
        except LostError as error:
            raise self._lost(error) from error

    async def _json(self, connection: HttpConnection) -> dict[str, Any]:
        try:
            return _parsed(await connection.content(_MAX_ANSWER))
        except LostError as error:
            raise self._lost(error) from error

    def _expect(self, status: int, answer: Mapping[str, Any], path: str) -> None:
        if status >= 400:
            why = shown(str(answer.get("error") or f"HTTP status {status}"), 500)
            if status >= 500:
                raise StoreUnavailable(self._sentence(path, why), retry_after=30)
            raise self._refused(status, path, why)

    def _refused(self, status: int, path: str, why: str) -> StoreRefused:
        return StoreRefused(status, self._sentence(path, why))

    def _sentence(self, path: str, why: str) -> str:
        return f"DataStore {quoted(self._store)}, {quoted(path)}: {why.rstrip('.')}."

    def _lost(self, error: Exception) -> StoreUnavailable:
        why = shown(str(error), 500).rstrip(".")
        return StoreUnavailable(
            f"The connection to the store Pod of DataStore {quoted(self._store)} was lost: {why}."
        )


def _checked(path: str) -> str:
    if why := check_store_path(path):
        raise StoreRefused(400, f"The path {quoted(path)} is not allowed: {why}")
    return path


def _file(path: str) -> str:
    return "/v1/files/" + quote(_checked(path))


def _size(response: h11.Response) -> int:
    """The size of the whole file that an answer holds, or holds a part of."""
    headers = {name: value.decode("ascii") for name, value in response.headers}
    return int(headers.get(b"content-range", "").rpartition("/")[2] or headers[b"content-length"])


async def _within(seconds: float, answering: asyncio.Task[h11.Response]) -> h11.Response:
    try:
        return await asyncio.wait_for(answering, seconds)
    except TimeoutError as error:
        raise LostError(f"no answer came for {seconds} s") from error


async def _nothing() -> AsyncIterator[bytes]:
    none: tuple[bytes, ...] = ()
    for piece in none:
        yield piece


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        return {"error": body[:500].decode("utf-8", "replace")}
    return found if isinstance(found, dict) else {}
