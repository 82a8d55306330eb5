"""A port of a Pod as a stream, against a server that bridges WebSockets to real ports."""

from __future__ import annotations

import asyncio
import os
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from algorithm_operator.kube import errors
from algorithm_operator.kube.client import Client
from algorithm_operator.kube.portforward import MAX_SENT, PortStream, port_stream
from tests.unit.kube.fake_api import FakeApi, answers, served
from tests.unit.kube.portforwards import Cluster, PortForwards

Peer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
DATA = os.urandom(2_000_000)


@asynccontextmanager
async def pod(peer: Peer) -> AsyncIterator[tuple[Client, Cluster]]:
    """A cluster with a Pod in which `peer` listens."""
    server = await asyncio.start_server(peer, "127.0.0.1", 0)
    cluster = Cluster(FakeApi(), PortForwards(server.sockets[0].getsockname()[1]))
    async with server, served(cluster.handle) as url:
        cluster.api.url = url
        async with Client(cluster.api.connection(token="t")) as client:
            yield client, cluster


async def opened(client: Client) -> PortStream:
    return await port_stream(client, "imaging", "cases-store", 8080)


async def received(stream: PortStream) -> bytes:
    return b"".join([data async for data in _all(stream)])


async def _all(stream: PortStream) -> AsyncIterator[bytes]:
    while data := await stream.receive():
        yield data


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def test_bytes_go_both_ways_at_once() -> None:
    async with pod(echo) as (client, cluster), await opened(client) as stream:
        got = bytearray()

        async def receive() -> None:
            while len(got) < len(DATA):
                got.extend(await stream.receive())

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(receive())
            tasks.create_task(stream.send(DATA))
        assert bytes(got) == DATA
    assert cluster.forwards.paths == ["/api/v1/namespaces/imaging/pods/cases-store/portforward?ports=8080"]


async def test_frames_are_small_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await echo(reader, writer)

    async with pod(count) as (client, _), await opened(client) as stream:
        send = stream._websocket.send_bytes

        async def noted(data: bytes) -> None:
            sizes.append(len(data))
            await send(data)

        monkeypatch.setattr(stream._websocket, "send_bytes", noted)
        await stream.send(memoryview(DATA)[: MAX_SENT + 1])
    assert sizes == [MAX_SENT + 1, 2]


async def test_the_end_is_seen() -> None:
    async def says_bye(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"bye")
        writer.close()

    async with pod(says_bye) as (client, _), await opened(client) as stream:
        assert await received(stream) == b"bye"
        assert await stream.receive() == b""
        with pytest.raises(ConnectionError):
            await stream.send(b"is there anybody?")


async def test_a_connection_that_is_cut_ends() -> None:
    async with pod(echo) as (client, cluster), await opened(client) as stream:
        await stream.send(b"x")
        assert await stream.receive() == b"x"
        await cluster.forwards.cut()
        assert await stream.receive() == b""


async def test_the_kubelets_words_are_passed_on() -> None:
    async with pod(echo) as (client, cluster):
        cluster.forwards.port = 1
        async with await opened(client) as stream:
            with pytest.raises(ConnectionError, match=r"connection refused\\x1b\[31m"):
                await stream.receive()


@pytest.mark.parametrize(
    ("code", "error"),
    [(403, errors.Forbidden), (404, errors.NotFound), (500, errors.ApiError), (302, errors.ApiError)],
)
async def test_a_refusal_keeps_its_words(code: int, error: type[errors.ApiError]) -> None:
    words = 'pods "cases-store" is forbidden: rita may not reach the files'
    async with pod(echo) as (client, cluster):
        cluster.api.faults = [answers(code, "Reason", words, headers={"Location": "http://127.0.0.1:1/"})]
        with pytest.raises(error) as refused:
            await opened(client)
    assert (type(refused.value), refused.value.status, refused.value.message) == (error, code, words)


async def test_a_token_that_was_renewed_is_read_again() -> None:
    async with pod(echo) as (client, cluster):
        cluster.api.faults = [answers(401, "Unauthorized", "old token")]
        async with await opened(client) as stream:
            await stream.send(b"x")
            assert await stream.receive() == b"x"
        cluster.api.faults = [answers(401, "Unauthorized", "no token")] * 2
        with pytest.raises(errors.ApiError, match="no token"):
            await opened(client)


async def test_no_server() -> None:
    async with pod(echo) as (client, cluster):
        pass
    async with Client(cluster.api.connection()) as client:
        with pytest.raises(errors.Unreachable):
            await opened(client)


async def test_a_slow_reader_stops_the_sender() -> None:
    """200 MB through a stream that is read now and then: neither side may hold more than some windows of it."""
    size, piece = 200_000_000, bytes(65536)

    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        left = size
        while left:
            count = min(left, len(piece))
            writer.write(piece[:count])
            await writer.drain()
            left -= count
        writer.close()

    async with pod(pour) as (client, cluster), await opened(client) as stream:
        tracemalloc.start()
        try:
            got = ahead = pauses = 0
            while data := await stream.receive():
                got += len(data)
                if got > pauses * size // 10:
                    pauses += 1
                    await asyncio.sleep(0.2)
                ahead = max(ahead, cluster.forwards.sent - got)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert got == size
    assert ahead < 20_000_000  # what fits into the sockets of loopback
    assert peak < 8_000_000


async def test_a_slow_writer_is_stopped_by_the_far_end() -> None:
    go_on = asyncio.Event()

    async def lazy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await go_on.wait()
        await echo(reader, writer)

    async with pod(lazy) as (client, _), await opened(client) as stream:
        sent = 0

        async def send() -> None:
            nonlocal sent
            while sent < 200_000_000:
                await stream.send(DATA)
                sent += len(DATA)

        sending = asyncio.create_task(send())
        await asyncio.wait([sending], timeout=1)
        assert not sending.done()
        assert sent < 40_000_000
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        go_on.set()
