"""Bytes to and from a port of a Pod by the pods/portforward subresource: one WebSocket for each connection.

The first byte of every frame is its channel, and the first frame of a channel is the number of the port. Nothing is
buffered here: a reader that is slow stops the sender through the WebSocket's own window, and the other way round.
"""

from __future__ import annotations

from types import TracebackType
from typing import Self

import aiohttp

from algorithm_operator.api.text import shown
from algorithm_operator.kube.client import Client
from algorithm_operator.kube.resources import PODS
from algorithm_operator.kube.transport import WebSocket

_PROTOCOL = "v4.channel.k8s.io"
_DATA, _ERROR = 0, 1
"""The channels of the one port."""
MAX_SENT = 256 * 1024
"""Bytes in a frame: the far end takes a frame as a whole."""


class PortStream:
    """A connection to a port of a Pod. One task may send while another one receives."""

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket
        self._begun: set[int] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def send(self, data: bytes | memoryview) -> None:
        """Send bytes; waits while the far end does not take them.

        :raises ConnectionError: the connection has ended.
        """
        view = memoryview(data)
        for start in range(0, len(view), MAX_SENT):
            await self._websocket.send_bytes(bytes((_DATA,)) + view[start : start + MAX_SENT])

    async def receive(self) -> bytes:
        """The bytes that come next, none at the end of the connection.

        :raises ConnectionError: the port could not be reached, or the connection broke; says why.
        """
        while True:
            message = await self._websocket.receive()
            if message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSING, aiohttp.WSMsgType.CLOSED):
                return b""
            if message.type is aiohttp.WSMsgType.ERROR:
                raise ConnectionError(shown(str(message.data), 1000))
            if message.type is not aiohttp.WSMsgType.BINARY or not message.data:
                continue
            frame: bytes = message.data
            channel, data = frame[0], frame[1:]
            if channel not in self._begun:
                self._begun.add(channel)
            elif channel == _ERROR and data:
                raise ConnectionError(shown(data, 1000))
            elif channel == _DATA and data:
                return data

    async def close(self) -> None:
        """End the connection; waits for the other side's goodbye for a second."""
        await self._websocket.close()


async def port_stream(client: Client, namespace: str, pod: str, port: int) -> PortStream:
    """Open a connection to `port` of a Pod; `async with await port_stream(…) as stream`.

    What keeps the Pod's port from being reached is told by the first `receive`.

    :raises ApiError: the API server refuses it (Forbidden, NotFound, …), or is not reached (Unreachable).
    """
    path = PODS.path(namespace, pod, "portforward")
    return PortStream(await client.websocket(path, {"ports": str(port)}, _PROTOCOL))
