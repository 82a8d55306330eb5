"""The gateway's way to a DataStore: through the real API server into the sealed store Pod, and into the next one."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from algorithm_operator.gateway.storage import Stored, StoreRefused, StoreUnavailable
from algorithm_operator.gateway.storepod import StorePod
from algorithm_operator.gateway.stores import Stores
from algorithm_operator.kube.client import Client
from algorithm_operator.kube.clock import Clock
from algorithm_operator.kube.connection import from_kubeconfig_file
from tests.cluster.settings import KUBECONFIG
from tests.e2e.harness import Namespace, Store

DATA = os.urandom(40_000_000)


@pytest.fixture
async def stores() -> AsyncIterator[Stores]:
    connection = from_kubeconfig_file(KUBECONFIG)
    async with Client(connection) as client, Stores(client, "tests", Clock()) as made:
        yield made


async def chunks(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), 65536):
        yield data[start : start + 65536]


async def read(pod: StorePod, path: str, size: int) -> bytes:
    """A whole file. A store Pod that ends while it sends cuts it: go on from there, as downloads do."""
    got = bytearray()
    for _ in range(3):
        with suppress(StoreUnavailable):
            async with pod.read(path, len(got)) as reading:
                async for piece in reading:
                    got += piece
        if len(got) == size:
            break
    return bytes(got)


async def test_files_go_in_and_out_though_the_pod_is_replaced(
    namespace: Namespace, store: Store, stores: Stores
) -> None:
    name = await stores.default(namespace.name)
    assert name == store.name
    pod = await stores.store(namespace.name, name)
    for number, half in enumerate((DATA[:20_000_000], DATA[20_000_000:])):
        stored = await pod.put(f"gateway/u/part-{number}", chunks(half), len(half))
        assert stored == Stored(len(half), hashlib.sha256(half).hexdigest())
    namespace.kube.delete("pods", f"{store.name}-store", namespace.name)
    whole = await pod.compose("gateway/u/scan.mha", ["gateway/u/part-0", "gateway/u/part-1"])
    assert whole == Stored(len(DATA), hashlib.sha256(DATA).hexdigest())
    await pod.gather("gateway/s", {"scan.mha": "gateway/u/scan.mha"})
    assert (store.root / "gateway/s/scan.mha").read_bytes() == DATA
    assert await read(pod, "gateway/s/scan.mha", len(DATA)) == DATA
    with pytest.raises(StoreRefused, match="below"):
        await pod.delete("results")
    await pod.delete("gateway/s")
    assert [str(path.relative_to(store.root)) for path in store.root.rglob("*") if path.is_file()] == []
