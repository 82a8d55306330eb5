"""The canary on loopback: reached means the banner was read, at the Service's address."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from algorithm_operator.contract.plan import Target
from algorithm_operator.controller.canary import BANNER, Canary
from algorithm_operator.kube import errors
from algorithm_operator.kube.client import Client
from algorithm_operator.kube.connection import Connection
from algorithm_operator.kube.resources import Body, Resource
from tests.unit.kube.fake_api import until


class Services(Client):
    """An API client that knows one Service."""

    def __init__(self, port: int, address: str = "127.0.0.1") -> None:
        super().__init__(Connection("http://127.0.0.1:1"))
        self.spec: dict[str, Any] | None = {"clusterIPs": [address], "ports": [{"port": port}]}
        self.down = False
        self.asked = 0

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Body | None:
        assert (resource.plural, namespace, name) == ("services", "ops", "bird")
        self.asked += 1
        if self.down:
            raise errors.Unreachable(0, "Unreachable", "down")
        return {"spec": self.spec} if self.spec is not None else None


class Time:
    seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def canary(services: Services, time: Time, port: int = 0) -> Canary:
    return Canary(services, "ops", "bird", port, interval=5, monotonic=time)


@asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[int]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_it_reaches_itself_through_its_service() -> None:
    port, time = free_port(), Time()
    bird = canary(Services(port), time, port)
    assert (bird.targets(), bird.alive) == ([], False)
    running = asyncio.create_task(bird.run())
    await until(lambda: bird.alive)
    assert bird.targets() == [Target(name="canary", host="127.0.0.1", port=port)]
    reader, _ = await asyncio.open_connection("127.0.0.1", port)
    assert await reader.read() == BANNER
    time.seconds += 19
    assert bird.alive
    time.seconds += 2
    assert not bird.alive
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0\r\n", BANNER[:-1]])
async def test_another_answer_is_none(answer: bytes) -> None:
    async with answering(answer) as port:
        bird = canary(Services(port), Time())
        await bird.probe()
    assert not bird.alive


async def test_a_closed_port_is_not_reached() -> None:
    bird = canary(Services(free_port()), Time())
    await bird.probe()
    assert not bird.alive
    assert bird.targets() != []


@pytest.mark.parametrize(
    "spec", [None, {}, {"clusterIPs": ["None"], "ports": [{"port": 1}]}, {"clusterIPs": ["1.2.3.4"]}]
)
async def test_no_service_no_target(spec: dict[str, Any] | None) -> None:
    services = Services(1)
    services.spec = spec
    bird = canary(services, Time())
    await bird.probe()
    assert (bird.targets(), bird.alive) == ([], False)


async def test_the_address_is_read_again_when_it_fails_and_kept_while_the_api_is_down() -> None:
    async with answering(BANNER) as port:
        time = Time()
        services = Services(free_port())
        bird = canary(services, time)
        await bird.probe()
        assert not bird.alive
        services.spec = {"clusterIPs": ["127.0.0.1"], "ports": [{"port": port}]}
        await bird.probe()
        assert bird.alive
        for _ in range(3):
            await bird.probe()
        assert services.asked == 2
        services.down = True
        time.seconds += 100
        await bird.probe()
        assert bird.alive
        assert services.asked == 3


async def test_every_address_must_answer() -> None:
    """A Pod has an address of each family that the cluster has, and is closed only if it is so in both."""
    port, time = free_port(), Time()
    services = Services(port)
    services.spec = {"clusterIPs": ["127.0.0.1", "::1"], "ports": [{"port": port}]}
    bird = canary(services, time, port)
    running = asyncio.create_task(bird.run())
    await until(lambda: bird.alive)
    assert [target.address for target in bird.targets()] == [f"127.0.0.1:{port}", f"[::1]:{port}"]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

    async with answering(BANNER) as port:  # of IPv4 alone
        services.spec = {"clusterIPs": ["127.0.0.1", "::1"], "ports": [{"port": port}]}
        half = canary(services, time)
        await half.probe()
        assert not half.alive
