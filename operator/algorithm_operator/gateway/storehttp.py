"""HTTP/1.1 over a stream of bytes, as far as a store Pod speaks it: one request after the other, in constant memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Protocol

import h11

QUIET_SECONDS = 120
"""How long the other side may take no bytes, or send none in the middle of an answer."""
WORK_SECONDS = 1800
"""How long it may work on an answer: it hashes files, or waits for its disk."""
PIECE = 256 * 1024

Headers = Sequence[tuple[str, str]]


class Stream(Protocol):
    """Bytes both ways; methods raise ConnectionError."""

    async def send(self, data: bytes, /) -> None:
        """Send; waits while the far end does not take them."""

    async def receive(self) -> bytes:
        """What comes next, none at the end."""

    async def close(self) -> None:
        """End the connection."""


class LostError(Exception):
    """The connection was lost, or what came over it was no HTTP; says how."""


class HttpConnection:
    """One connection. Every method but `close` may raise LostError, after which the connection is of no use."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._http = h11.Connection(h11.CLIENT)

    async def request(
        self, method: str, target: str, headers: Headers = (), body: bytes = b""
    ) -> h11.Response:
        """Send a whole request; the head of its answer."""
        if body:
            headers = [*headers, ("Content-Length", str(len(body)))]
        await self.begin(method, target, headers)
        if body:
            await self.send(h11.Data(data=body))
        await self.send(h11.EndOfMessage())
        return await self.response(WORK_SECONDS)

    async def begin(self, method: str, target: str, headers: Headers = ()) -> None:
        """Send the head of a request."""
        await self.send(h11.Request(method=method, target=target, headers=[("Host", "127.0.0.1"), *headers]))

    async def send(self, event: h11.Event) -> None:
        """Send a part of a request."""
        data = self._http.send(event)
        if data:
            try:
                async with asyncio.timeout(QUIET_SECONDS):
                    await self._stream.send(data)
            except TimeoutError as error:
                raise LostError(f"it took no bytes for {QUIET_SECONDS} s") from error
            except ConnectionError as error:
                raise LostError(str(error) or type(error).__name__) from error

    async def may_go_on(self) -> h11.Response | None:
        """Wait until the server wants the body that was announced with `Expect: 100-continue`: None, or its refusal."""
        event = await self._receive(QUIET_SECONDS)
        return event if isinstance(event, h11.Response) else None

    async def response(self, seconds: float | None) -> h11.Response:
        """The head of the answer, which takes `seconds` at most."""
        while not isinstance(event := await self._receive(seconds), h11.Response):
            pass  # 100 Continue
        return event

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body of the answer, in pieces of at most PIECE bytes."""
        while isinstance(event := await self._receive(QUIET_SECONDS), h11.Data):
            for start in range(0, len(event.data), PIECE):
                yield bytes(event.data[start : start + PIECE])

    async def content(self, limit: int) -> bytes:
        """The whole body of the answer."""
        content = b"".join([piece async for piece in self._at_most(limit)])
        return content

    async def _at_most(self, limit: int) -> AsyncIterator[bytes]:
        async for piece in self.pieces():
            limit -= len(piece)
            if limit < 0:
                raise LostError("its answer is too long")
            yield piece

    def is_done(self) -> bool:
        """Whether request and answer are complete, and another request may follow."""
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            return False
        self._http.start_next_cycle()
        return True

    async def close(self) -> None:
        """End the connection."""
        await self._stream.close()

    async def _receive(self, seconds: float | None) -> h11.Event:
        try:
            async with asyncio.timeout(seconds):
                while (event := self._http.next_event()) is h11.NEED_DATA:
                    if not (data := await self._stream.receive()):
                        raise LostError("it was ended")
                    self._http.receive_data(data)
        except TimeoutError as error:
            raise LostError(f"nothing came for {seconds} s") from error
        except (ConnectionError, h11.RemoteProtocolError) as error:
            raise LostError(str(error) or type(error).__name__) from error
        if not isinstance(event, h11.Event):
            raise LostError("the answer is longer than it said")
        return event
