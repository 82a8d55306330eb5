"""The server: uvicorn with h11, made hard against clients that are slow on purpose.

The times that are about connections stand here; those about a request's body are in bounds.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import uvicorn
from h11 import SEND_BODY
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
from uvicorn.server import ServerState


@dataclass(frozen=True, slots=True)
class Patience:
    """With connections; all but the last two in seconds."""

    handshake: float = 20.0
    head: float = 20.0
    """From the first byte of a request, or of a connection, to the end of the request's head."""
    rest: float = 60.0
    """To the end of a body that was answered before it had been read."""
    reader: float = 120.0
    """That a client takes nothing of its answer."""
    idle: int = 75
    """Between two requests."""
    stop: int = 25
    """For requests that are being answered when the process is to end."""
    connections: int = 640
    """Some more than there may be requests. One too many takes the place of the one that waits for the longest."""
    head_bytes: int = 16 << 10


WRITE_BUFFER = 128 << 10
"""Of one connection: what a client does not take must not pile up here."""


class Protocol(H11Protocol):
    """One connection."""

    def __init__(self, patience: Patience, **parts: Any) -> None:
        super().__init__(**parts)
        self._patience = patience
        self._hurry = _Timer(self.loop, self._end)
        self._unread = _Timer(self.loop, lambda: self.transport.abort())
        self.waiting_since = time.monotonic()

    @property
    def busy(self) -> bool:
        """Whether a request is being answered."""
        cycle: RequestResponseCycle | None = self.cycle  # uvicorn's types hide that there is none at first
        return cycle is not None and not cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Somebody is there."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=WRITE_BUFFER)
        if len(self.connections) > self._patience.connections:
            self._make_room()
        self._hurry.start(self._patience.head)

    def data_received(self, data: bytes) -> None:
        """Some bytes of a request."""
        super().data_received(data)
        if self.busy:
            self._hurry.stop()
        elif not self.transport.is_closing():
            # A request has begun, or the rest of one that was answered is still coming.
            leftover = self.conn.their_state is SEND_BODY
            self._hurry.start(self._patience.rest if leftover else self._patience.head)

    def on_response_complete(self) -> None:
        """One request is done with."""
        self.waiting_since = time.monotonic()
        super().on_response_complete()

    def pause_writing(self) -> None:
        """The client does not take what is sent."""
        super().pause_writing()
        self._unread.start(self._patience.reader)

    def resume_writing(self) -> None:
        """It does again."""
        super().resume_writing()
        self._unread.stop()

    def timeout_keep_alive_handler(self) -> None:
        """Nothing has come for long."""
        self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        self._hurry.stop()
        self._unread.stop()
        super().connection_lost(exc)

    def _end(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()
            # Closing waits until all is sent: for ever, if the client takes nothing.
            self.loop.call_later(self._patience.head, self.transport.abort)

    def _make_room(self) -> None:
        waiting = [each for each in self.connections if isinstance(each, Protocol) and not each.busy]
        last = min(waiting, key=lambda each: each.waiting_since)  # this one waits, too
        self.connections.discard(last)
        last.transport.abort()


class _Timer:
    """Runs at most once at a time."""

    def __init__(self, loop: asyncio.AbstractEventLoop, ends: Callable[[], object]) -> None:
        self._loop, self._ends = loop, ends
        self._handle: asyncio.TimerHandle | None = None

    def start(self, seconds: float) -> None:
        """Unless it runs already."""
        if self._handle is None:
            self._handle = self._loop.call_later(seconds, self._ends)

    def stop(self) -> None:
        """If it runs."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None


class Server(uvicorn.Server):
    """Until SIGTERM. uvicorn's own would raise the signal again at the end, and whatever is around it would not be
    closed; and it would wait a minute for a TLS handshake."""

    def __init__(
        self, app: ASGIApp, host: str, port: int, tls: ssl.SSLContext | None, patience: Patience
    ) -> None:
        self._patience, self._tls = patience, tls
        self.port = port
        super().__init__(
            uvicorn.Config(
                app,
                host,
                port,
                ws="none",
                lifespan="off",
                interface="asgi3",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_keep_alive=patience.idle,
                timeout_graceful_shutdown=patience.stop,
                h11_max_incomplete_event_size=patience.head_bytes,
            )
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """SIGTERM and SIGINT let requests end, then `serve` returns."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)

    def stop(self) -> None:
        """Take no more connections; `serve` returns when the requests are answered, or time is up."""
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen. OSError if the port is taken."""
        listener = await asyncio.get_running_loop().create_server(
            _protocols(self._patience, self.config, self.server_state),
            self.config.host,
            self.config.port,
            ssl=self._tls,
            ssl_handshake_timeout=self._patience.handshake if self._tls else None,
        )
        self.servers = [listener]
        self.port = int(listener.sockets[0].getsockname()[1])
        self.started = True


def _protocols(patience: Patience, config: uvicorn.Config, state: ServerState) -> Callable[[], Protocol]:
    return lambda: Protocol(patience, config=config, server_state=state, app_state={})
