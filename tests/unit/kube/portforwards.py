"""What the API server and the kubelet do for pods/portforward: WebSockets bridged to ports of this machine."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from aiohttp import WSMsgType, web

from tests.unit.kube.fake_api import FakeApi, until

PROTOCOL = "v4.channel.k8s.io"


@dataclass
class PortForwards:
    """Bridges to `port`. `opened` counts connections; the next `to_lose` of them end, each after so many bytes to the
    client; `sent` counts bytes to the client."""

    port: int
    opened: int = 0
    to_lose: list[int] = field(default_factory=list)
    sent: int = 0
    live: list[web.WebSocketResponse] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One connection."""
        websocket = web.WebSocketResponse(protocols=(PROTOCOL,), timeout=0.1)
        await websocket.prepare(request)
        self.opened += 1
        self.paths.append(request.path_qs)
        self.live.append(websocket)
        ends_after = self.to_lose.pop(0) if self.to_lose else None
        for channel in (0, 1):
            await websocket.send_bytes(bytes((channel,)) + int(request.query["ports"]).to_bytes(2, "little"))
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            await websocket.send_bytes(b"\x01error forwarding port: connection refused\x1b[31m")
            return websocket
        outward = asyncio.create_task(self._outward(reader, websocket, ends_after))
        try:
            async for message in websocket:
                if message.type is WSMsgType.BINARY and message.data[0] == 0:
                    writer.write(message.data[1:])
                    await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()
            outward.cancel()
            await asyncio.gather(outward, return_exceptions=True)
            self.live.remove(websocket)
        return websocket

    async def _outward(
        self, reader: asyncio.StreamReader, websocket: web.WebSocketResponse, ends_after: int | None
    ) -> None:
        told = 0
        while (data := await reader.read(32768)) and (ends_after is None or told < ends_after):
            await websocket.send_bytes(b"\x00" + data)
            told += len(data)
            self.sent += len(data)
        await websocket.close()

    async def cut(self) -> None:
        """End all connections as a network does: without a goodbye."""
        for websocket in list(self.live):
            transport = websocket._req.transport if websocket._req is not None else None
            assert transport is not None
            transport.abort()
        await until(lambda: not self.live)


@dataclass
class Cluster:
    """An API server whose port-forwards are real."""

    api: FakeApi
    forwards: PortForwards

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One request."""
        if request.path.endswith("/portforward") and not self.api.faults:
            return await self.forwards.handle(request)
        return await self.api.handle(request)
