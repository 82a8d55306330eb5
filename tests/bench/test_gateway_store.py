"""1 GiB through the gateway's way to a volume, against `cp` to the same volume; and its memory meanwhile."""

from __future__ import annotations

import os
import resource
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from algorithm_operator.gateway.stores import Stores
from algorithm_operator.kube.client import Client
from algorithm_operator.kube.clock import Clock
from algorithm_operator.kube.connection import from_kubeconfig_file
from tests.bench.conftest import Record
from tests.cluster.settings import KUBECONFIG
from tests.e2e.harness import Namespace

SIZE = 1 << 30
PARTS = 32
"""As `gcapi` cuts its uploads: 32 MiB each."""
PIECE = 64 * 1024
SLICES, SLICE_BYTES = 100, 512 * 1024
"""A DICOM series."""


async def _chunks(file: Path, offset: int, length: int) -> AsyncIterator[bytes]:
    with file.open("rb") as source:
        source.seek(offset)
        for start in range(0, length, PIECE):
            yield source.read(min(PIECE, length - start))


def _copied(source: Path, target: Path) -> float:
    began = time.monotonic()
    subprocess.run(["cp", source, target], check=True)
    subprocess.run(["sync", target], check=True)
    return time.monotonic() - began


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@pytest.mark.bench
@pytest.mark.timeout(900)
async def test_a_gibibyte(namespace: Namespace, folder: Path, record: Record) -> None:
    store = namespace.store()
    source, seconds = folder / "source", {}
    with source.open("wb") as made:  # piece by piece: what is told of memory is its peak
        for _ in range(SIZE >> 20):
            made.write(os.urandom(1 << 20))
    async with (
        Client(from_kubeconfig_file(KUBECONFIG)) as client,
        Stores(client, "bench", Clock()) as stores,
    ):
        began = time.monotonic()
        pod = await stores.store(namespace.name, store.name)
        seconds["store Pod"] = time.monotonic() - began
        seconds["cp and sync"] = _copied(source, store.root / "copied")
        (store.root / "copied").unlink()
        before = _peak_mib()
        began, worked = time.monotonic(), time.process_time()
        stored = await pod.put("gateway/whole", _chunks(source, 0, SIZE), SIZE)
        seconds["put"] = time.monotonic() - began
        seconds["put, the gateway's processor"] = time.process_time() - worked
        began = time.monotonic()
        size = SIZE // PARTS
        parts = [f"gateway/parts/{number}" for number in range(PARTS)]
        for number, part in enumerate(parts):
            await pod.put(part, _chunks(source, number * size, size), size)
        seconds[f"put in {PARTS} parts"] = time.monotonic() - began
        began = time.monotonic()
        assert await pod.compose("gateway/parts/file", parts) == stored
        seconds["compose"] = time.monotonic() - began
        began, worked = time.monotonic(), time.process_time()
        async with pod.read("gateway/whole") as reading:
            got = sum([len(piece) async for piece in reading])
        seconds["read"] = time.monotonic() - began
        seconds["read, the gateway's processor"] = time.process_time() - worked
        assert got == SIZE
        await pod.delete("gateway/parts")
        began = time.monotonic()
        for number in range(SLICES):
            part = f"gateway/parts/{number}"
            await pod.put(part, _chunks(source, 0, SLICE_BYTES), SLICE_BYTES)
            await pod.compose(f"gateway/slices/{number}", [part])
        seconds["a slice, put and composed"] = (time.monotonic() - began) / SLICES
    figures: dict[str, Any] = {name: round(value, 3) for name, value in seconds.items()}
    rates = {f"{name}, MB/s": round(SIZE / 1e6 / seconds[name]) for name in ("cp and sync", "put", "read")}
    record("gateway store", {**figures, **rates, "memory that it took, MiB": round(_peak_mib() - before, 1)})
