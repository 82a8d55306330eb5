"""Leader election against a small API server; time is a number that the test moves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import orjson
import pytest
from aiohttp import web

from algorithm_operator.kube import client as client_module
from algorithm_operator.kube.client import Client
from algorithm_operator.kube.lease import Leadership, unique_identity
from tests.unit.kube.fake_api import FakeApi, answers, fake_api, hangs_up, until

PATH = "/apis/coordination.k8s.io/v1/namespaces/ns/leases/lead"


class Time:
    """Seconds, as they are said to be."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "_BACKOFF_FIRST", 0.001)


@pytest.fixture
async def api() -> AsyncIterator[FakeApi]:
    async with fake_api() as server:
        yield server


@pytest.fixture
async def client(api: FakeApi) -> AsyncIterator[Client]:
    async with Client(api.connection()) as made:
        yield made


@pytest.fixture
def time() -> Time:
    return Time()


def claim(client: Client, time: Time, identity: str) -> Leadership:
    return Leadership(client, "ns", "lead", identity, renew_every=0.005, monotonic=time)


async def renewals(api: FakeApi, count: int) -> None:
    """Wait for so many more; the last of them began after now."""
    wanted = api.calls("PATCH") + count
    await until(lambda: api.calls("PATCH") >= wanted)


def holder(api: FakeApi) -> object:
    return api.objects[PATH]["spec"]["holderIdentity"]


def test_identities_are_unique() -> None:
    assert len({unique_identity("pod") for _ in range(100)}) == 100


async def test_the_first_one_gets_it_and_renews(api: FakeApi, client: Client, time: Time) -> None:
    one = claim(client, time, "one")
    assert not one.held
    await one.acquire()
    assert one.held
    assert holder(api) == "one"
    assert api.objects[PATH]["spec"]["leaseDurationSeconds"] == 15
    keeping = asyncio.create_task(one.keep())
    for _ in range(10):
        time.seconds += 10  # more than one duration in all, each step less
        await renewals(api, 2)
    assert one.held
    keeping.cancel()


async def test_a_living_leader_is_waited_for(api: FakeApi, client: Client, time: Time) -> None:
    one, two = claim(client, time, "one"), claim(client, time, "two")
    await one.acquire()
    keeping, waiting = asyncio.create_task(one.keep()), asyncio.create_task(two.acquire())
    for _ in range(8):
        time.seconds += 5
        await renewals(api, 2)
        await asyncio.sleep(0.01)
        assert not waiting.done()
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    await one.release()
    await asyncio.wait_for(waiting, 5)
    assert (holder(api), two.held, one.held) == ("two", True, False)
    assert api.objects[PATH]["spec"]["leaseTransitions"] == 1


async def test_a_dead_leader_is_replaced_once_its_time_is_over_on_our_clock(
    api: FakeApi, client: Client, time: Time
) -> None:
    one, two = claim(client, time, "one"), claim(client, time, "two")
    await one.acquire()
    api.objects[PATH]["spec"]["renewTime"] = (
        "1970-01-01T00:00:00.000000Z"  # the holder's clock is not believed
    )
    waiting = asyncio.create_task(two.acquire())
    await asyncio.sleep(0.05)
    time.seconds += 14.9
    await asyncio.sleep(0.05)
    assert not waiting.done()
    time.seconds += 0.2
    await asyncio.wait_for(waiting, 5)
    assert not one.held
    assert holder(api) == "two"


async def test_an_unanswered_renewal_loses_it(api: FakeApi, client: Client, time: Time) -> None:
    one = claim(client, time, "one")
    await one.acquire()
    api.faults = [answers(503)] * 1000
    keeping = asyncio.create_task(one.keep())
    await asyncio.sleep(0.05)
    assert not keeping.done()
    time.seconds += 15
    await asyncio.wait_for(keeping, 5)
    assert not one.held


async def test_a_taken_lease_is_lost_at_once(api: FakeApi, client: Client, time: Time) -> None:
    one = claim(client, time, "one")
    await one.acquire()
    lease = api.objects[PATH]
    lease["spec"]["holderIdentity"] = "two"
    lease["metadata"]["resourceVersion"] = "777"
    await asyncio.wait_for(one.keep(), 5)
    assert not one.held
    await one.release()
    assert holder(api) == "two"


async def test_a_deleted_lease_is_lost_at_once(api: FakeApi, client: Client, time: Time) -> None:
    one = claim(client, time, "one")
    await one.acquire()
    del api.objects[PATH]
    await asyncio.wait_for(one.keep(), 5)
    assert not one.held


async def test_a_renewal_whose_answer_was_lost_is_no_loss(api: FakeApi, client: Client, time: Time) -> None:
    one = claim(client, time, "one")
    await one.acquire()

    async def writes_and_hangs_up(request: web.Request) -> None:
        api._patch(request, orjson.loads(await request.read()))
        await hangs_up(request)

    api.faults = [writes_and_hangs_up]
    keeping = asyncio.create_task(one.keep())
    time.seconds += 10
    await asyncio.sleep(0.1)
    time.seconds += 10
    assert not keeping.done()
    assert one.held
    keeping.cancel()


async def test_of_two_at_once_one_wins(api: FakeApi, client: Client, time: Time) -> None:
    claims = [claim(client, time, f"c{number}") for number in range(5)]
    waiting = [asyncio.create_task(one.acquire()) for one in claims]
    await asyncio.sleep(0.1)
    assert [one.held for one in claims].count(True) == 1
    assert sum(task.done() for task in waiting) == 1
    for task in waiting:
        task.cancel()


async def test_it_is_released_after_a_renewal_that_was_cut_short(
    api: FakeApi, client: Client, time: Time
) -> None:
    one = claim(client, time, "one")
    await one.acquire()
    written = asyncio.Event()

    async def writes_and_hangs(request: web.Request) -> None:
        api._patch(request, orjson.loads(await request.read()))
        written.set()
        await asyncio.sleep(5)

    api.faults = [writes_and_hangs]
    keeping = asyncio.create_task(one.keep())
    await asyncio.wait_for(written.wait(), 5)
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    await one.release()
    assert holder(api) == ""
