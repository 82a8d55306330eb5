"""The files of a DataStore, by the real store server behind a port-forward: what is lost, cut, slow or hostile."""

from __future__ import annotations

import asyncio
import hashlib
import os
import tracemalloc
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from algorithm_operator.gateway import storehttp
from algorithm_operator.gateway.storage import Stat, Store, Stored, StoreRefused, StoreUnavailable
from algorithm_operator.gateway.storehttp import PIECE, Stream
from algorithm_operator.gateway.storepod import IDLE_SECONDS, MAX_IDLE, StorePod
from tests.gateway.storing import NAMESPACE, Place, place
from tests.gateway.test_store_files import PATHS, tree

DATA = os.urandom(3_000_000)
CONTINUE = len(b"HTTP/1.1 100 Continue\r\n\r\n")


@pytest.fixture
async def cases(tmp_path: Path) -> AsyncIterator[Place]:
    root = tmp_path / "volume"
    root.mkdir()
    async with place(root) as made:
        yield made


@pytest.fixture
async def pod(cases: Place) -> StorePod:
    return await cases.stores.store(NAMESPACE, "cases")


def of(data: bytes) -> Stored:
    return Stored(len(data), hashlib.sha256(data).hexdigest())


class Chunks:
    """A body; `taken` bytes of it were wanted so far."""

    def __init__(self, data: bytes, size: int = 65536, fails: Exception | None = None) -> None:
        self.data, self.size, self.fails, self.taken = data, size, fails, 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self.data), self.size):
            self.taken += len(chunk := self.data[start : start + self.size])
            yield chunk
        if self.fails is not None:
            raise self.fails


def chunks(data: bytes) -> AsyncIterator[bytes]:
    return aiter(Chunks(data))


async def read(pod: Store, path: str, offset: int = 0, length: int | None = None) -> tuple[int, bytes]:
    async with pod.read(path, offset, length) as reading:
        return reading.size, b"".join([piece async for piece in reading])


async def test_there_and_back(pod: StorePod, cases: Place) -> None:
    for data in (DATA, b"", b"1"):
        assert await pod.put("gateway/u/1", chunks(data), len(data)) == of(data)
        assert await read(pod, "gateway/u/1") == (len(data), data)
        assert await pod.stat("gateway/u/1", sha256=True) == Stat(len(data), sha256=of(data).sha256)
    await pod.put("gateway/u/2 ü", chunks(b"23"), 2)
    assert await pod.compose("gateway/f/a", ["gateway/u/1", "gateway/u/2 ü"]) == of(b"123")
    assert await pod.compose("gateway/f/empty", []) == of(b"")
    await pod.gather("gateway/s", {"ä": "gateway/f/a", "e": "gateway/f/empty"})
    assert {(each["name"], each["type"], each["size"]) for each in await pod.list("gateway/s")} == {
        ("ä", "file", 3),
        ("e", "file", 0),
    }
    assert await pod.stat("gateway/s") == Stat(0, folder=True)
    await pod.delete("gateway/s")
    assert await pod.list("gateway/s") == []
    assert await pod.stat("gateway/s") is None
    assert tree(cases.root) == {}
    assert cases.forwards.opened == 2  # one asked whether the server answers


@pytest.mark.parametrize(
    ("offset", "length"), [(0, None), (10, None), (10, 10), (0, len(DATA)), (len(DATA) - 1, 9), (5, 0)]
)
async def test_parts_of_a_file(pod: StorePod, cases: Place, offset: int, length: int | None) -> None:
    (cases.root / "x").write_bytes(DATA)
    expected = DATA[offset:] if length is None else DATA[offset : offset + length]
    assert await read(pod, "x", offset, length) == (len(DATA), expected)


async def test_pieces_are_small(pod: StorePod, cases: Place) -> None:
    (cases.root / "x").write_bytes(DATA)
    async with pod.read("x") as reading:
        assert max([len(piece) async for piece in reading]) <= PIECE


@pytest.mark.parametrize("length", [None, 0, 5])
async def test_a_file_that_is_not_there(pod: StorePod, length: int | None) -> None:
    with pytest.raises(FileNotFoundError):
        await read(pod, "gateway/x", 0, length)


ACTS: dict[str, Callable[[StorePod], Coroutine[Any, Any, object]]] = {
    "elsewhere": lambda pod: pod.put("cases/x", chunks(b"1"), 1),
    "delete elsewhere": lambda pod: pod.delete("cases/x"),
    "up": lambda pod: pod.put("gateway/../x", chunks(b"1"), 1),
    "surrogate": lambda pod: pod.stat("gateway/\ud800"),
    "folder": lambda pod: read(pod, "gateway"),
    "behind the end": lambda pod: read(pod, "gateway/one", 5),
    "missing": lambda pod: pod.compose("gateway/x", ["gateway/\u202emissing"]),
    "gather": lambda pod: pod.gather("gateway/f", {"a/b": "gateway/one"}),
}


@pytest.mark.parametrize(
    ("act", "status"),
    [(name, {"behind the end": 416, "missing": 404}.get(name, 400)) for name in ACTS],
)
async def test_what_the_store_refuses_is_told(pod: StorePod, cases: Place, act: str, status: int) -> None:
    await pod.put("gateway/one", chunks(b"1"), 1)
    with pytest.raises(StoreRefused) as refused:
        await ACTS[act](pod)
    assert refused.value.status == status
    assert refused.value.sentence.isprintable()
    assert refused.value.sentence.endswith(".")
    assert tree(cases.root) == {"gateway/one": b"1"}
    assert await pod.stat("gateway/one") == Stat(1)


async def test_the_body_of_what_is_refused_is_not_taken(pod: StorePod) -> None:
    body = Chunks(bytes(100_000_000))
    with pytest.raises(StoreRefused, match="below"):
        await pod.put("cases/x", aiter(body), len(body.data))
    assert body.taken == 0


@pytest.mark.parametrize("announced", [2_999_999, 3_000_001, 4_000_000])
async def test_a_body_is_as_long_as_was_said(pod: StorePod, cases: Place, announced: int) -> None:
    with pytest.raises(StoreRefused) as refused:
        await pod.put("gateway/x", chunks(DATA), announced)
    assert refused.value.status == 400
    assert await pod.put("gateway/y", chunks(DATA), len(DATA)) == of(DATA)
    assert tree(cases.root) == {"gateway/y": DATA}


async def test_a_client_that_goes_away(pod: StorePod, cases: Place) -> None:
    with pytest.raises(RuntimeError, match="gone"):
        await pod.put("gateway/x", aiter(Chunks(DATA, fails=RuntimeError("gone"))), len(DATA) + 1)
    assert await pod.put("gateway/y", chunks(b"1"), 1) == of(b"1")
    for _ in range(500):  # the store hears of it a moment later
        if len(tree(cases.root)) == 1:
            break
        await asyncio.sleep(0.01)
    assert tree(cases.root) == {"gateway/y": b"1"}


async def test_a_put_that_is_cancelled(pod: StorePod, cases: Place) -> None:
    async def slowly() -> AsyncIterator[bytes]:
        yield DATA
        await asyncio.sleep(60)
        yield DATA

    task = asyncio.create_task(pod.put("gateway/x", slowly(), 2 * len(DATA)))
    await asyncio.sleep(0.2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await pod.put("gateway/x", chunks(b"1"), 1) == of(b"1")
    assert pod.idle_seconds == 0
    cases.clock.seconds += 5
    assert pod.idle_seconds == 5


@pytest.mark.parametrize("lost", ["new", "pooled"])
@pytest.mark.parametrize("act", ["stat", "put", "compose", "gather", "delete", "read", "list"])
async def test_what_was_lost_before_its_answer_is_asked_again(
    pod: StorePod, cases: Place, act: str, lost: str
) -> None:
    acts: dict[str, Callable[[], Coroutine[Any, Any, object]]] = {
        "stat": lambda: pod.stat("gateway/a"),
        "put": lambda: pod.put("gateway/new", chunks(DATA), len(DATA)),
        "compose": lambda: pod.compose("gateway/c", ["gateway/a", "gateway/b"]),
        "gather": lambda: pod.gather("gateway/f", {"1": "gateway/a"}),
        "delete": lambda: pod.delete("gateway/a"),
        "read": lambda: read(pod, "gateway/a"),
        "list": lambda: pod.list("gateway"),
    }
    expected = {"stat": Stat(1), "put": of(DATA), "compose": of(b"12"), "read": (1, b"1")}
    await pod.put("gateway/a", chunks(b"1"), 1)
    await pod.put("gateway/b", chunks(b"2"), 1)
    if lost == "pooled":
        await cases.forwards.cut()
    else:
        await pod.close()
        cases.forwards.to_lose = [0]
    before = cases.forwards.opened
    assert await acts[act]() in (expected[act],) if act in expected else (await acts[act]()) is not False
    assert cases.forwards.opened > before


async def test_a_put_whose_answer_was_lost_is_for_the_caller_to_repeat(pod: StorePod, cases: Place) -> None:
    await pod.close()
    cases.forwards.to_lose = [CONTINUE]
    with pytest.raises(StoreUnavailable, match=r"store Pod of DataStore \"cases\" was lost") as lost:
        await pod.put("gateway/x", chunks(DATA), len(DATA))
    assert lost.value.retry_after > 0
    assert await pod.put("gateway/x", chunks(DATA), len(DATA)) == of(DATA)


async def test_lost_twice_is_told(pod: StorePod, cases: Place) -> None:
    await pod.close()
    cases.forwards.to_lose = [0, 10_000, 0]  # between them the look whether the server answers
    with pytest.raises(StoreUnavailable, match="was lost"):
        await pod.stat("gateway")


async def test_a_file_that_is_cut_in_the_middle(pod: StorePod, cases: Place) -> None:
    (cases.root / "x").write_bytes(DATA)
    await pod.close()
    cases.forwards.to_lose = [1_000_000]
    got = 0
    async with pod.read("x") as reading:
        with pytest.raises(StoreUnavailable):  # noqa: PT012 - the loop is what raises
            async for piece in reading:
                got += len(piece)
    assert 0 < got < len(DATA)
    assert await read(pod, "x") == (len(DATA), DATA)


async def test_a_file_that_is_not_read_to_its_end(pod: StorePod, cases: Place) -> None:
    (cases.root / "x").write_bytes(bytes(50_000_000))
    async with pod.read("x") as reading:
        async for _ in reading:
            break
    assert await pod.stat("x") == Stat(50_000_000)


async def test_connections_are_used_again(pod: StorePod, cases: Place) -> None:
    before = cases.forwards.opened
    await asyncio.gather(*(pod.stat("x") for _ in range(3 * MAX_IDLE)))
    assert len(cases.forwards.live) <= MAX_IDLE
    opened = cases.forwards.opened
    assert opened > before
    await asyncio.gather(*(pod.stat("x") for _ in range(MAX_IDLE)))
    assert cases.forwards.opened == opened
    cases.clock.seconds += IDLE_SECONDS + 1
    await pod.stat("x")
    assert cases.forwards.opened == opened + 1


async def test_memory_is_constant(pod: StorePod, cases: Place) -> None:
    size = 100_000_000

    async def zeros() -> AsyncIterator[bytes]:
        for _ in range(size // 100_000):
            yield bytes(100_000)

    tracemalloc.start()
    try:
        assert (await pod.put("gateway/x", zeros(), size)).size == size
        async with pod.read("gateway/x") as reading:
            got = sum([len(piece) async for piece in reading])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert got == size
    assert peak < 12_000_000  # both sides, and the way between


class Says:
    """A stream whose far end says one thing, whatever it is asked."""

    def __init__(self, *said: bytes) -> None:
        self.said = list(said)

    async def send(self, data: bytes, /) -> None:
        pass

    async def receive(self) -> bytes:
        return self.said.pop(0) if self.said else b""

    async def close(self) -> None:
        pass


def saying(*said: bytes) -> StorePod:
    async def connect(again: bool) -> Stream:
        return Says(*said)

    return StorePod("cases", connect)


@pytest.mark.parametrize(
    "said",
    [
        [],
        [b"SSH-2.0-OpenSSH_9.2\r\n"],
        [b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{"],
        [b"HTTP/1.1 200 OK\r\n" + b"A: " + b"a" * 100_000],
        [
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            *[b"100000\r\n" + b"1" * 0x100000 + b"\r\n"] * 20,
        ],
        [b'HTTP/1.1 500 Oh\r\nContent-Length: 21\r\n\r\n{"error": "no \\u001b"}'],
        [b"HTTP/1.1 503 No\r\nContent-Length: 3\r\n\r\n[1]"],
    ],
    ids=["nothing", "no http", "cut", "long head", "long body", "500", "503"],
)
async def test_answers_that_are_none(said: list[bytes]) -> None:
    with pytest.raises(StoreUnavailable) as error:
        await saying(*said).stat("gateway/x")
    assert error.value.sentence.isprintable()
    assert len(error.value.sentence) < 1000


async def test_more_than_the_store_lists_is_told() -> None:
    body = b'{"entries": [{"name": "a", "type": "file", "size": 1}], "more": true}'
    with pytest.raises(StoreRefused, match="more than 1 entries"):
        await saying(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body).list("gateway")


@pytest.mark.parametrize("act", ["stat", "put", "read"])
async def test_a_store_pod_that_hangs(monkeypatch: pytest.MonkeyPatch, act: str) -> None:
    monkeypatch.setattr(storehttp, "QUIET_SECONDS", 0.05)
    monkeypatch.setattr(storehttp, "WORK_SECONDS", 0.05)

    class Hangs(Says):
        async def receive(self) -> bytes:
            await asyncio.sleep(60)
            return b""

    async def connect(again: bool) -> Stream:
        return Hangs()

    pod = StorePod("cases", connect)
    acts: dict[str, Callable[[], Coroutine[Any, Any, object]]] = {
        "stat": lambda: pod.stat("gateway/x"),
        "put": lambda: pod.put("gateway/x", chunks(b"1"), 1),
        "read": lambda: read(pod, "gateway/x"),
    }
    with pytest.raises(StoreUnavailable, match=r"nothing came for 0.05 s"):
        await acts[act]()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=PATHS, other=PATHS)
async def test_whatever_the_paths_are(pod: StorePod, cases: Place, path: str, other: str) -> None:
    """Nothing but what the protocol says is raised, and nothing gets out of the gateway's folder."""
    for act in (
        lambda: pod.put(path, chunks(b"1"), 1),
        lambda: pod.stat(path),
        lambda: read(pod, path),
        lambda: pod.compose(other, [path]),
        lambda: pod.gather(path, {"a": other}),
        lambda: pod.list(path),
        lambda: pod.delete(path),
    ):
        try:
            await act()
        except (StoreRefused, FileNotFoundError) as error:
            told = str(error)
            assert "\n" not in told or told == path
    assert {path.name for path in cases.root.iterdir()} <= {"gateway"}
