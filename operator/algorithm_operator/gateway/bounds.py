"""What a request may take: so many at a time, so many bytes of JSON, and a body that keeps coming.

A body is read only for somebody whose token was checked, or strangers could hold all places with slow ones; and few of
more than some KiB at a time: parsed JSON takes many times its bytes. Files (PUT) are streamed on as they come, for who
has a signed URL; their length is for uploadparts.py to judge.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from algorithm_operator.gateway.answers import refusal
from algorithm_operator.gateway.errors import unavailable
from algorithm_operator.gateway.memory import Places

PROBES = frozenset({"/healthz", "/readyz"})
"""Asked every few seconds, by the kubelet."""

Check = Callable[[Request], Awaitable[object]]
"""Raises a refusal unless the request's token counts."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Of requests."""

    requests: int = 512
    """At the same time; one more is asked to come back."""
    json_bytes: int = 4 << 20
    small_bytes: int = 64 << 10
    """Bodies up to that are read at any number."""
    large_at_once: int = 2
    stall_seconds: float = 60.0
    """How long a body may stand still."""
    bytes_per_second: int = 1024
    """What a body must bring in the long run: else one byte a minute would hold a place for ever."""


class Bounds:
    """A layer of the app, within Envelope."""

    def __init__(self, app: ASGIApp, limits: Limits, check: Check, places: Places) -> None:
        self._app, self._limits, self._check, self._places = app, limits, check, places
        self._open = 0
        self._large = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http" or scope["path"] in PROBES:
            await self._app(scope, receive, send)
            return
        if self._open >= self._limits.requests:
            error = unavailable("The gateway has more requests than it can answer. Try again in a moment.")
            await refusal(error)(scope, receive, send)
            return
        self._open += 1
        body = _Body(scope, receive, self)
        try:
            await self._app(scope, body.receive, send)
        finally:
            self._open -= 1
            self._large -= body.large
            self._places.leave(scope)

    async def known(self, scope: Scope) -> None:
        """Raises a refusal unless the request's token counts."""
        await self._check(Request(scope))

    def admit(self) -> None:
        """Count a large body; raises the refusal if there are too many."""
        if self._large >= self._limits.large_at_once:
            raise unavailable("Too many large requests at the same time. Try again in a moment.", 1)
        self._large += 1


class _Body:
    """One request's body on its way in. Its refusals are HTTPExceptions: FastAPI lets those alone through."""

    def __init__(self, scope: Scope, receive: Receive, bounds: Bounds) -> None:
        self._scope, self._receive, self._bounds = scope, receive, bounds
        self._limits = bounds._limits
        self._is_json = scope["method"] != "PUT"
        self._bytes = 0
        self._waited = 0.0
        self._over = False
        self.large = False

    async def receive(self) -> Message:
        """The next piece."""
        if self._over:  # only the end of the connection is still to come, whenever that is
            return await self._receive()
        if self._is_json and not self._bytes:
            await self._judge_head()
        started = time.monotonic()
        try:
            async with asyncio.timeout(self._patience()):
                message = await self._receive()
        except TimeoutError:
            self._over = True
            # What is left of it is not waited for.
            why = "The request's body did not come in time."
            raise HTTPException(408, why, {"Connection": "close"}) from None
        self._waited += time.monotonic() - started
        self._bytes += len(message.get("body") or b"")
        self._over = not message.get("more_body", False)
        if self._is_json:
            self._weigh(self._bytes)
        return message

    def _patience(self) -> float:
        allowed = self._limits.stall_seconds + self._bytes / self._limits.bytes_per_second
        return max(0.0, min(self._limits.stall_seconds, allowed - self._waited))

    async def _judge_head(self) -> None:
        """Judge a body by who sends it and its Content-Length, before any of it is read."""
        headers = dict(self._scope["headers"])
        length = int(headers.get(b"content-length", b"0"))  # h11 has checked that it is a number
        if length or b"transfer-encoding" in headers:
            await self._bounds.known(self._scope)
        self._weigh(length)

    def _weigh(self, size: int) -> None:
        if size > self._limits.json_bytes:
            self._over = True
            allowed = self._limits.json_bytes
            raise HTTPException(
                413, f"The request's body has more than {allowed} bytes; a file goes by an upload."
            )
        if size > self._limits.small_bytes and not self.large:
            self._bounds.admit()
            self.large = True
