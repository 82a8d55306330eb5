"""PUT of a part: streamed into the store, refused before it is read where it must be, replaced as a whole or not."""

import asyncio
import hashlib
import logging
import tracemalloc
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter

from algorithm_operator.gateway import uploadrows, uploads, uploaduse
from algorithm_operator.gateway.memory import Places
from algorithm_operator.gateway.settings import Settings
from algorithm_operator.gateway.storage import Stored, StoreUnavailable
from tests.gateway import fakes
from tests.gateway.fakes import HungUp, Service
from tests.gateway.sending import begin

Store = fakes.MemoryStore
MIB = 1 << 20


@pytest.fixture
def routers() -> list[APIRouter]:
    return [uploads.router]


@pytest.fixture
def settings(tmp_path: Path, request: pytest.FixtureRequest) -> Settings:
    return fakes.settings(tmp_path, **getattr(request, "param", {}))


def changed(url: str, old: str, new: str) -> str:
    assert old in url
    return url.replace(old, new)


async def pieces(*contents: bytes) -> AsyncIterator[bytes]:
    for each in contents:
        yield each


class Endless:
    """A body that says whether somebody has read of it."""

    def __init__(self) -> None:
        self.read = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            self.read += 1
            yield b"x" * 1024
            await asyncio.sleep(0)


async def test_a_part(service: Service) -> None:
    sending = await begin(service)
    url = await sending.url(1)
    # The URL alone counts, whoever has it.
    service.authorizer.denied = {(verb, "uploads") for verb in ("get", "create", "update")}
    service.username = "nobody"
    answer = await service.request("PUT", url, body=b"content")
    sha256 = hashlib.sha256(b"content").hexdigest()
    assert (answer.status, answer.headers["etag"], answer.body) == (200, f'"{sha256}"', b"")
    ((path, content),) = service.store.files.items()
    assert path.startswith(f"gateway/parts/{sending.pk}/1-")
    assert content == b"content"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda url: changed(url, "/imaging/", "/other/"), "signature"),
        (lambda url: changed(url, "/parts/1/", "/parts/2/"), "signature"),
        (lambda url: changed(url, "/parts/1/", "/parts/%31%00/"), "signature"),
        (lambda url: changed(url, "signature=", "signature=0"), "signature"),
        (lambda url: changed(url, "expires=", "expires=9"), "signature"),
        (lambda url: url.partition("?")[0], "signature"),
        (lambda url: url + "&signature=" + "0" * 64, "signature"),
    ],
    ids=["namespace", "number", "nul", "signature", "expiry", "no query", "two signatures"],
)
async def test_a_url_that_was_changed(service: Service, change: Callable[[str], str], why: str) -> None:
    sending = await begin(service)
    body = Endless()
    url = change(await sending.url(1))
    answer = await service.request("PUT", url, body=aiter(body), headers={"Content-Length": "99999999"})
    assert answer.status == 403
    assert why in answer.json()["detail"]
    assert body.read == 0
    assert service.store.files == {}


async def test_a_url_of_yesterday(service: Service) -> None:
    sending = await begin(service)
    url = await sending.url(1)
    service.clock = lambda: datetime.now(UTC) + timedelta(seconds=86401)
    service.restart()
    answer = await service.request("PUT", url, body=b"x")
    assert (answer.status, answer.json()) == (
        403,
        {"detail": "This URL has expired; ask for a new one with generate-presigned-urls."},
    )


async def test_urls_count_after_a_restart(service: Service) -> None:
    sending = await begin(service)
    url = await sending.url(1)
    service.restart()
    assert (await service.request("PUT", url, body=b"x")).status == 200


@pytest.mark.parametrize(
    ("length", "status"),
    [
        (None, 411),
        ("", 411),
        ("-1", 411),
        ("1_0", 411),
        ("٣", 411),
        (str(5 * 2**30 + 1), 413),
        ("9" * 400, 413),
    ],
    ids=str,
)
async def test_lengths_that_are_refused_unread(service: Service, length: str | None, status: int) -> None:
    sending = await begin(service)
    body = Endless()
    headers = {} if length is None else {"Content-Length": length}
    answer = await service.request("PUT", await sending.url(1), body=aiter(body), headers=headers)
    assert answer.status == status
    assert body.read == 0


@pytest.mark.parametrize("state", ["completed", "aborted", "swept"])
async def test_an_upload_that_takes_no_more(service: Service, state: str) -> None:
    sending = await begin(service)
    url = await sending.url(2)
    part = await sending.put(1, b"1")
    match state:
        case "completed":
            await sending.complete([part])
        case "aborted":
            await sending.abort()
        case "swept":
            service.clock = lambda: datetime.now(UTC) + timedelta(seconds=86401)
            service.restart()
            await uploaduse.sweep(service.gateway)
            service.clock = lambda: datetime.now(UTC)
            service.restart()
    before = dict(service.store.files)
    answer = await service.request("PUT", url, body=b"2")
    assert answer.status == 404
    assert "no upload that takes this part" in answer.json()["detail"]
    assert service.store.files == before


async def test_a_part_that_is_sent_again_replaces_it(service: Service) -> None:
    sending = await begin(service)
    old = await sending.put(1, b"old content")
    new = await sending.put(1, b"new")
    assert old["ETag"] != new["ETag"]
    assert list(service.store.files.values()) == [b"new"]
    assert [part["Size"] for part in await sending.parts()] == [3]
    assert (await sending.complete([old])).json() == {
        "parts": ["Part 1 has not arrived with this ETag; send it again."]
    }
    assert (await sending.complete([new])).status == 200


async def test_a_part_that_is_replaced_while_it_is_joined(service: Service) -> None:
    """The ETag that was named counts: the PUT that comes too late is refused, its bytes are not in the file."""
    sending = await begin(service)
    part = await sending.put(1, b"first")
    url = await sending.url(1)

    async def slowly() -> AsyncIterator[bytes]:
        yield b"sec"
        assert (await sending.complete([part])).status == 200
        yield b"ond"

    late = await service.request("PUT", url, body=slowly(), headers={"Content-Length": "6"})
    assert late.status == 404
    assert list(service.store.files.values()) == [b"first"]


async def test_a_connection_that_ends_in_the_middle(service: Service) -> None:
    sending = await begin(service)
    url = await sending.url(1)

    async def half() -> AsyncIterator[bytes]:
        yield b"x" * 50
        raise HungUp

    answer = await service.request("PUT", url, body=half(), headers={"Content-Length": "100"})
    assert (answer.status, answer.json()) == (
        400,
        {"detail": "The connection ended before the whole part had come."},
    )
    assert service.store.files == {}
    assert await sending.parts() == []
    assert (await service.request("PUT", url, body=b"x" * 100)).status == 200


@pytest.mark.parametrize("dies", ["before", "in the middle", "after it was stored"])
async def test_a_store_that_dies(service: Service, dies: str) -> None:
    """503 makes gcapi repeat the very same PUT; for that it must have sent all that it had to."""
    sending = await begin(service)
    url = await sending.url(1)
    store = service.store
    put = store.put
    taken = 0

    async def lost(path: str, chunks: AsyncIterator[bytes], length: int) -> Stored:
        async for _ in chunks:
            if dies == "in the middle":
                raise StoreUnavailable("The way to the store Pod was lost.")
        await put(path, pieces(b"x" * length), length)
        raise StoreUnavailable("The way to the store Pod was lost.")

    async def counted() -> AsyncIterator[bytes]:
        nonlocal taken
        for _ in range(40):
            taken += 1
            yield b"x" * 1000

    if dies == "before":
        store.down = True
    else:
        store.put = lost  # type: ignore[method-assign]
    headers = {"Content-Length": "40000"}
    answer = await service.request("PUT", url, body=counted(), headers=headers)
    assert (answer.status, taken) == (503, 40)
    assert await sending.parts() == []
    store.down, store.put = False, put  # type: ignore[method-assign]
    service.restart()
    answer = await service.request("PUT", url, body=counted(), headers=headers)
    assert answer.status == 200
    assert (await sending.complete([{"PartNumber": 1, "ETag": answer.headers["etag"]}])).status == 200
    assert list(store.files.values()) == [b"x" * 40000]


@pytest.mark.parametrize("wrong", ["hash", "size"])
async def test_a_store_that_got_something_else(service: Service, wrong: str) -> None:
    sending = await begin(service)
    put = service.store.put

    async def damaged(path: str, chunks: AsyncIterator[bytes], length: int) -> Stored:
        stored = await put(path, chunks, length)
        return Stored(stored.size, "0" * 64) if wrong == "hash" else Stored(stored.size - 1, stored.sha256)

    service.store.put = damaged  # type: ignore[method-assign]
    answer = await service.request("PUT", await sending.url(1), body=b"content")
    assert answer.status == 503
    assert "send this part again" in answer.json()["detail"]
    assert service.store.files == {}
    assert await sending.parts() == []


@pytest.mark.parametrize("settings", [{"upload_bytes_per_user": 100}], indirect=True)
@pytest.mark.parametrize("sizes", [(100,), (40, 60), (1,) * 8], ids=str)
async def test_up_to_the_limit(service: Service, sizes: tuple[int, ...]) -> None:
    sending = await begin(service)
    for number, size in enumerate(sizes, 1):
        await sending.put(number, b"x" * size)
    assert not service.gateway.arriving


@pytest.mark.parametrize("settings", [{"upload_bytes_per_user": 100}], indirect=True)
async def test_beyond_the_limit(service: Service) -> None:
    sending = await begin(service)
    await sending.put(1, b"x" * 60)
    url = await sending.url(2)
    answer = await service.request("PUT", url, body=b"y" * 41)
    assert (answer.status, answer.json()) == (403, {"detail": "Upload limit reached"})
    assert list(service.store.files.values()) == [b"x" * 60]
    await sending.put(1, b"z" * 100)  # in place of 60
    assert not service.gateway.arriving


@pytest.mark.parametrize("settings", [{"upload_bytes_per_user": 100}], indirect=True)
async def test_beyond_the_limit_at_the_same_time(service: Service) -> None:
    """However they come in between each other, the store never has more than the limit."""
    sending = await begin(service)
    urls = [await sending.url(number) for number in range(1, 11)]
    answers = await asyncio.gather(*(service.request("PUT", url, body=b"x" * 30) for url in urls))
    assert {each.status for each in answers} <= {200, 403}
    assert sum(map(len, service.store.files.values())) <= 90
    assert not service.gateway.arriving
    left = 3 - len(service.store.files)
    again = [await service.request("PUT", url, body=b"x" * 30) for url in urls[-left:]] if left else []
    assert {each.status for each in again} <= {200}


async def test_parts_take_their_owners_places(service: Service) -> None:
    places = Places(1)
    object.__setattr__(service.gateway, "memory", replace(service.gateway.memory, places=places))
    service.app = fakes.app_of(service, service.routers)
    sending = await begin(service)
    url = await sending.url(1)
    arrived, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        arrived.set()
        await go_on.wait()
        yield b"abc"

    length = {"content-length": "3"}
    first = asyncio.create_task(service.request("PUT", url, body=slow(), headers=length))
    await arrived.wait()
    second = await service.request("PUT", url, body=b"abc")
    assert (second.status, second.headers["retry-after"]) == (503, "2")
    go_on.set()
    assert (await first).status == 200
    assert (await service.request("PUT", url, body=b"abc")).status == 200


async def test_parts_of_no_bytes_have_a_limit(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploadrows, "MAX_PARTS_PER_USER", 3)
    first, second = await begin(service), await begin(service)
    parts = [await first.put(1, b""), await first.put(2, b"")]
    await second.put(1, b"")
    for sending in (first, second):
        answer = await service.request("PUT", await sending.url(3), body=b"")
        assert (answer.status, answer.json()) == (403, {"detail": "Upload limit reached"})
    await second.put(1, b"sent again")
    await first.complete(parts)
    await second.put(3, b"")


class Discarding(Store):
    """A store that counts and forgets, slowly: what waits for it would pile up in memory."""

    async def put(self, path: str, chunks: AsyncIterator[bytes], length: int) -> Stored:
        digest, size = hashlib.sha256(), 0
        async for chunk in chunks:
            digest.update(chunk)
            size += len(chunk)
            await asyncio.sleep(0)
        return Stored(size, digest.hexdigest())


async def test_memory_is_flat_while_300_mib_stream(service: Service) -> None:
    service.stores.stores[fakes.NAMESPACE, "data"] = Discarding()
    sending = await begin(service)
    url = await sending.url(1)
    size = 300 * MIB

    async def body() -> AsyncIterator[bytes]:
        for number in range(size // (64 << 10)):
            yield bytes([number % 256]) * (64 << 10)  # each a new one

    tracemalloc.start()
    try:
        answer = await service.request("PUT", url, body=body(), headers={"Content-Length": str(size)})
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert answer.status == 200
    assert [part["Size"] for part in await sending.parts()] == [size]
    assert peak < 4 * MIB, f"{peak / MIB:.1f} MiB"


async def test_no_url_is_logged(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    sending = await begin(service)
    url = await sending.url(1)
    signature = url.rpartition("signature=")[2]
    for body in (b"x", b"y"):
        await service.request("PUT", url, body=body)
    await service.request("PUT", url + "0", body=b"x")
    service.store.down = True
    await service.request("PUT", url, body=b"x")
    await sending.abort()
    logged: Any = caplog.text
    assert signature not in logged
    assert "aborted upload" in logged
