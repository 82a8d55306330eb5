"""The wish for store Pods: Leases made, renewed and left, and Pods that come, do not come, and are replaced."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from algorithm_operator.core.storelease import READY_SECONDS
from algorithm_operator.core.storepod import wanted_until
from algorithm_operator.gateway import stores as module
from algorithm_operator.gateway.storage import Stat, StoreRefused, StoreUnavailable
from algorithm_operator.gateway.stores import KEEP_SECONDS, Stores
from algorithm_operator.kube import client as client_module
from algorithm_operator.kube.client import Client
from tests.gateway.storing import NAMESPACE, PODS, STORES, Place, place
from tests.gateway.test_storepod import chunks
from tests.unit.kube.fake_api import answers, until


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "_BACKOFF_FIRST", 0.001)
    monkeypatch.setattr(module, "_LOOK_SECONDS", 0.002)


@pytest.fixture
async def cases(tmp_path: Path) -> AsyncIterator[Place]:
    root = tmp_path / "volume"
    root.mkdir()
    async with place(root) as made:
        yield made


def seconds_left(cases: Place) -> float:
    """For how long the operator keeps the store Pod."""
    lease = cases.lease("cases")
    assert lease is not None
    end = wanted_until([lease], cases.clock.now())
    assert end is not None
    return (end - cases.clock.now()).total_seconds()


async def test_a_lease_is_kept_while_the_store_is_used_and_then_left(cases: Place) -> None:
    assert cases.lease("cases") is None
    await cases.stores.store(NAMESPACE, "cases")
    lease = cases.lease("cases")
    assert lease is not None
    assert lease["metadata"]["labels"]["algorithm-operator.dev/store"] == "cases"
    assert lease["spec"]["holderIdentity"] == "gateway-0"
    assert seconds_left(cases) == 60
    while cases.clock.seconds < KEEP_SECONDS:
        cases.clock.seconds += 20
        await cases.stores.tend()
        assert seconds_left(cases) == 60
    for _ in range(3):
        cases.clock.seconds += 20
        await cases.stores.tend()
    assert seconds_left(cases) == 0
    await until(lambda: not cases.forwards.live)


async def test_whoever_still_reads_keeps_the_lease(cases: Place) -> None:
    (cases.root / "x").write_bytes(bytes(20_000_000))
    pod = await cases.stores.store(NAMESPACE, "cases")
    async with pod.read("x") as reading:
        pieces = aiter(reading)
        got = len(await anext(pieces))
        cases.clock.seconds += 10 * KEEP_SECONDS
        await cases.stores.tend()
        assert seconds_left(cases) == 60
        got += sum([len(piece) async for piece in pieces])
    assert got == 20_000_000
    cases.clock.seconds += 20
    await cases.stores.tend()
    assert seconds_left(cases) == 60


async def test_the_keeper_renews_by_itself(cases: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RENEW_SECONDS", 0.01)
    async with Client(cases.api.connection()) as client:
        async with Stores(client, "gateway-1", cases.clock) as stores:
            await stores.store(NAMESPACE, "cases")
            cases.clock.seconds += 100
            await until(lambda: seconds_left(cases) == 60)
            await until(lambda: seconds_left(cases) == 60)
        requests = len(cases.api.requests)
        await asyncio.sleep(0.1)
        assert len(cases.api.requests) == requests


async def test_a_renewal_that_fails_is_made_up_for(cases: Place) -> None:
    await cases.stores.store(NAMESPACE, "cases")
    cases.clock.seconds += 20
    cases.api.faults = [answers(403)]
    await cases.stores.tend()
    assert seconds_left(cases) == 40
    await cases.stores.tend()
    assert seconds_left(cases) == 60


async def test_somebody_else_makes_the_lease_first(cases: Place) -> None:
    def nothing(request: Any) -> Any:
        async def none() -> None:
            return None

        return none()

    cases.api.faults = [
        nothing,
        answers(404, "NotFound"),
        answers(409, "AlreadyExists"),
        answers(404, "NotFound"),
    ]
    with pytest.raises(StoreUnavailable):  # made and deleted between our requests: not for ever
        await cases.stores.store(NAMESPACE, "cases")
    await cases.stores.store(NAMESPACE, "cases")
    assert seconds_left(cases) == 60


async def test_a_store_that_is_known_asks_the_api_server_nothing(cases: Place) -> None:
    pod = await cases.stores.store(NAMESPACE, "cases")
    requests = len(cases.api.requests)
    assert await cases.stores.store(NAMESPACE, "cases") is pod
    await pod.stat("gateway")
    assert len(cases.api.requests) == requests


async def test_a_store_that_is_not_there(cases: Place) -> None:
    with pytest.raises(StoreRefused, match='no DataStore "other" in namespace imaging') as refused:
        await cases.stores.store(NAMESPACE, "other")
    assert refused.value.status == 404
    assert cases.lease("other") is None
    cases.clock.seconds += 20
    await cases.stores.tend()
    assert cases.lease("other") is None


async def test_a_pod_that_comes_late_is_waited_for_by_all(cases: Place) -> None:
    cases.pod("cases", ready=False)
    waiting = [asyncio.create_task(cases.stores.store(NAMESPACE, "cases")) for _ in range(20)]
    await until(lambda: cases.api.calls("GET") > 3)
    waiting[0].cancel()
    cases.pod("cases")
    pods = await asyncio.gather(*waiting[1:])
    assert len({id(pod) for pod in pods}) == 1
    assert cases.api.calls("POST") == 1
    assert cases.forwards.opened == 1


async def test_a_pod_that_does_not_come_is_explained(cases: Place) -> None:
    cases.datastore("cases", status="False", reason="ClaimNotFound", message="there is no claim \x1b cases")
    del cases.api.objects[f"{PODS}/cases-store"]
    waiting = [asyncio.create_task(cases.stores.store(NAMESPACE, "cases")) for _ in range(3)]
    await until(lambda: cases.api.calls("GET") > 3)
    cases.clock.seconds += READY_SECONDS + 1
    for each in await asyncio.gather(*waiting, return_exceptions=True):
        assert isinstance(each, StoreUnavailable)
        assert each.sentence == (
            'The store Pod of DataStore "cases" is not ready after 60 s: there is no claim \\x1b cases'
        )
        assert each.retry_after > 0
    cases.pod("cases")
    await cases.stores.store(NAMESPACE, "cases")


async def test_a_server_that_answers_late_is_waited_for(cases: Place) -> None:
    port, cases.forwards.port = cases.forwards.port, 1
    waiting = asyncio.create_task(cases.stores.store(NAMESPACE, "cases"))
    await until(lambda: cases.forwards.opened > 5)
    assert not waiting.done()
    cases.forwards.port = port
    pod = await waiting
    assert await pod.stat("gateway") is None


async def test_a_pod_that_is_replaced_is_found_again(cases: Place) -> None:
    """Its connections are lost, and for a while no Pod is there: whoever asks waits for the next one."""
    pod = await cases.stores.store(NAMESPACE, "cases")
    await pod.put("gateway/x", chunks(b"1"), 1)
    await cases.forwards.cut()
    cases.pod("cases", ready=False)
    asking = asyncio.create_task(pod.stat("gateway/x"))
    requests = len(cases.api.requests)
    await until(lambda: len(cases.api.requests) > requests + 5)
    cases.pod("cases")
    assert await asking == Stat(1)


async def test_a_pod_that_is_gone_when_a_connection_is_opened(cases: Place) -> None:
    pod = await cases.stores.store(NAMESPACE, "cases")
    await pod.close()
    cases.api.faults = [answers(404, "NotFound", "no such Pod")]
    assert await pod.stat("gateway/x") is None


@pytest.mark.parametrize(
    ("code", "said"), [(403, 'The gateway may not reach the files of DataStore "cases": it takes "connect"')]
)
async def test_a_gateway_without_the_right_says_so(cases: Place, code: int, said: str) -> None:
    pod = await cases.stores.store(NAMESPACE, "cases")
    await pod.close()
    cases.api.faults = [answers(code, "Forbidden", 'it takes "connect"')]
    with pytest.raises(StoreUnavailable) as error:
        await pod.stat("gateway/x")
    assert error.value.sentence == said
    cases.api.faults = [answers(code, "Forbidden", "no leases for you")]
    with pytest.raises(StoreUnavailable, match="no leases for you"):
        await cases.stores.store(NAMESPACE, "new")


@pytest.mark.parametrize(
    ("defaults", "expected"),
    [
        ({}, None),
        ({"a": False}, "a"),
        ({"a": False, "b": False}, None),
        ({"a": False, "b": True}, "b"),
        ({"a": True}, "a"),
    ],
    ids=["none", "one", "two", "default", "one, the default"],
)
async def test_the_default_store(cases: Place, defaults: dict[str, bool], expected: str | None) -> None:
    cases.api.objects = {}
    cases.api.objects[f"{STORES}-of/another"] = {"metadata": {"name": "another"}, "spec": {}}
    for name, default in defaults.items():
        cases.datastore(name, default=default)
    assert await cases.stores.default(NAMESPACE) == expected


async def test_two_default_stores_are_none(cases: Place) -> None:
    cases.datastore("b", default=True)
    cases.datastore("a", default=True)
    with pytest.raises(StoreRefused, match="a, b all say default: true"):
        await cases.stores.default(NAMESPACE)
    cases.api.faults = [answers(403, "Forbidden", "no")]
    with pytest.raises(StoreUnavailable):
        await cases.stores.default(NAMESPACE)
