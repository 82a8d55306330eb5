"""Bytes on their way out: ranges, what is checked before the last piece, stores that go away, clients that go away."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from email.message import EmailMessage

import pytest
from fastapi import APIRouter, Request, Response
from hypothesis import example, given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from algorithm_operator.gateway import delivery
from algorithm_operator.gateway.delivery import Delivery, Span, StoredFile, attachment, span
from algorithm_operator.gateway.envelope import CutShort
from algorithm_operator.gateway.errors import ApiError
from algorithm_operator.gateway.storage import Reading, StoreUnavailable
from tests.gateway.fakes import NAMESPACE, PIECE, HungUp, MemoryReading, MemoryStore, Service

CONTENT = bytes(range(256)) * 4096 + b"the end"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
ETAG = f'"{SHA256}"'
PATH = "somewhere/a.mha"


class Given:
    """What the one route gives; tests change it."""

    file = StoredFile("data", PATH, "a.mha", size=len(CONTENT), sha256=SHA256)


@pytest.fixture
def what() -> Given:
    return Given()


@pytest.fixture
def routers(what: Given) -> list[APIRouter]:
    router = APIRouter()

    @router.get("/file")
    async def file(request: Request) -> Response:
        return Delivery(service_of(request).stores, NAMESPACE, what.file, request.headers)

    return [router]


def service_of(request: Request) -> "Service":
    found: Service = request.app.state.service
    return found


@pytest.fixture
def served(service: Service, monkeypatch: pytest.MonkeyPatch) -> Service:
    """With the file in its store; nobody waits."""
    service.app.state.service = service
    service.store.files[PATH] = CONTENT
    monkeypatch.setattr(delivery, "LONGEST_PAUSE", 0)
    return service


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, Span(0, 10, 10)),
        ("", Span(0, 10, 10)),
        ("bytes=0-", Span(0, 10, 10)),
        ("bytes=0-9", Span(0, 10, 10)),
        ("bytes=0-99", Span(0, 10, 10)),
        ("bytes=3-5", Span(3, 6, 10)),
        ("bytes=9-", Span(9, 10, 10)),
        ("bytes=-3", Span(7, 10, 10)),
        ("bytes=-99", Span(0, 10, 10)),
        ("bytes = 3 - 5", Span(3, 6, 10)),
        ("bytes=5-3", Span(0, 10, 10)),
        ("bytes=1-2,4-5", Span(0, 10, 10)),
        ("bytes=-", Span(0, 10, 10)),
        ("bytes=٣-٥", Span(0, 10, 10)),
        ("lines=1-2", Span(0, 10, 10)),
        ("bytes=0-" + "9" * 400, Span(0, 10, 10)),
        ("bytes=10-", None),
        ("bytes=99-100", None),
        ("bytes=-0", None),
    ],
)
def test_ranges(header: str | None, expected: Span | None) -> None:
    if expected is not None:
        assert span(header, 10) == expected
        return
    with pytest.raises(ApiError) as refused:
        span(header, 10)
    assert refused.value.status == 416
    assert refused.value.headers == {"Content-Range": "bytes */10"}


@given(st.text(max_size=40) | st.from_regex(r"bytes=[0-9]{0,20}-[0-9]{0,20}"), st.integers(0, 2**40))
@example("bytes=0-0", 0)
@example("bytes=0-", 0)
def test_any_range_lies_in_the_file(header: str, size: int) -> None:
    try:
        found = span(header, size)
    except ApiError:
        assert header.startswith("bytes")
        return
    assert found.whole or 0 <= found.start < found.end <= size


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60))
@example('a"; filename="b.exe')
@example("x\r\nSet-Cookie: a=b")
@example("größe µ.mha")
@example("a\\b/c%22.mha")
@example("\ud800.mha")
def test_any_name_stands_in_a_header_and_comes_back(name: str) -> None:
    header = attachment(name)
    assert header.isascii()
    assert header.isprintable()
    message = EmailMessage()
    message["Content-Disposition"] = header
    assert message.get_content_disposition() == "attachment"
    plain = header.partition('filename="')[2].partition('"')[0]
    assert "\\" not in plain
    assert header.count('"') == 2


@pytest.mark.parametrize(
    ("headers", "status", "start", "end"),
    [
        ({}, 200, 0, len(CONTENT)),
        ({"Range": "bytes=0-"}, 200, 0, len(CONTENT)),
        ({"Range": "bytes=5-300000"}, 206, 5, 300001),
        ({"Range": "bytes=-7"}, 206, len(CONTENT) - 7, len(CONTENT)),
        ({"Range": "bytes=7-8", "If-Range": ETAG}, 206, 7, 9),
        ({"Range": "bytes=7-8", "If-Range": '"other"'}, 200, 0, len(CONTENT)),
        ({"If-None-Match": '"other"'}, 200, 0, len(CONTENT)),
    ],
    ids=["whole", "all of it", "a part", "the end", "same file", "another file", "changed"],
)
async def test_what_is_asked_for_is_given(
    served: Service, headers: dict[str, str], status: int, start: int, end: int
) -> None:
    got = await served.get("/file", headers=headers)
    assert (got.status, got.body) == (status, CONTENT[start:end])
    assert got.headers["content-length"] == str(end - start)
    assert got.headers["etag"] == ETAG
    assert got.headers["content-type"] == "application/octet-stream"
    assert got.headers["accept-ranges"] == "bytes"
    assert got.headers["content-disposition"].startswith('attachment; filename="a.mha"')
    expected = f"bytes {start}-{end - 1}/{len(CONTENT)}" if status == 206 else None
    assert got.headers.get("content-range") == expected


@pytest.mark.parametrize("condition", [ETAG, f'W/{ETAG}, "x"', "*"])
async def test_what_the_client_has_is_not_sent(served: Service, condition: str) -> None:
    got = await served.get("/file", headers={"If-None-Match": condition})
    assert (got.status, got.body, got.headers["etag"]) == (304, b"", ETAG)
    assert served.store.calls == []


async def test_no_such_range(served: Service) -> None:
    got = await served.get("/file", headers={"Range": f"bytes={len(CONTENT)}-"})
    assert (got.status, got.headers["content-range"]) == (416, f"bytes */{len(CONTENT)}")


async def test_a_file_of_which_nothing_is_known(served: Service, what: Given) -> None:
    what.file = StoredFile("data", PATH, "a.json", "application/json")
    got = await served.get("/file")
    assert (got.status, got.body) == (200, CONTENT)
    assert "etag" not in got.headers
    assert got.headers["content-type"] == "application/json"


async def test_an_empty_file(served: Service, what: Given) -> None:
    what.file = StoredFile("data", "somewhere/empty", "a", size=0, sha256=hashlib.sha256(b"").hexdigest())
    served.store.files["somewhere/empty"] = b""
    got = await served.get("/file")
    assert (got.status, got.body, got.headers["content-length"]) == (200, b"", "0")


@pytest.mark.parametrize("size", [None, 5], ids=["unknown", "known"])
async def test_a_file_that_is_gone(served: Service, what: Given, size: int | None) -> None:
    what.file = StoredFile("data", "somewhere/else", "a", size=size)
    got = await served.get("/file")
    assert got.status == 404
    assert 'DataStore "data" does not have this file any more' in got.json()["detail"]


async def test_a_store_that_is_down_is_asked_again_by_the_client(served: Service) -> None:
    served.store.down = True
    got = await served.get("/file")
    assert (got.status, got.headers["retry-after"]) == (503, "3")


async def received(served: Service) -> tuple[bytes, bool]:
    """What a client gets, and whether it was all that was announced."""
    pieces = bytearray()

    async def take(piece: bytes) -> None:
        pieces.extend(piece)

    try:
        await served.get("/file", on_piece=take)
    except CutShort:
        return bytes(pieces), False
    return bytes(pieces), True


def changed(content: bytes) -> bytes:
    return b"X" + content[1:]


async def test_of_a_wrong_file_the_last_piece_is_never_sent(
    served: Service, caplog: pytest.LogCaptureFixture
) -> None:
    served.store.files[PATH] = changed(CONTENT)
    got, whole = await received(served)
    assert not whole
    assert 0 < len(got) < len(CONTENT)
    assert "its sha256 is another one" in caplog.text


@pytest.mark.parametrize(
    ("there", "why"),
    [
        (b"other!", "its sha256 is another one"),
        (b"longer than it was", "it has 18 bytes, not 6"),
        (b"short", "it has 5 bytes, not 6"),
    ],
    ids=["other bytes", "longer", "shorter"],
)
async def test_a_wrong_file_of_which_nothing_was_sent_is_an_error(
    served: Service, what: Given, there: bytes, why: str
) -> None:
    what.file = StoredFile("data", PATH, "a", size=6, sha256=hashlib.sha256(b"voxels").hexdigest())
    served.store.files[PATH] = there
    got = await served.get("/file")
    assert got.status == 500
    assert why in got.json()["detail"]


async def test_a_part_of_a_wrong_file_cannot_be_told(served: Service) -> None:
    """Only the whole has a hash; the size is compared all the same."""
    served.store.files[PATH] = changed(CONTENT)
    got = await served.get("/file", headers={"Range": "bytes=0-9"})
    assert (got.status, got.body) == (206, changed(CONTENT)[:10])


@pytest.mark.parametrize("lost_at", [0, 1, PIECE, PIECE + 1, len(CONTENT) - 1])
async def test_a_store_that_is_lost_in_the_middle_is_read_on(served: Service, lost_at: int) -> None:
    served.store.lose_at = lost_at
    got = await served.get("/file")
    if lost_at == 0:  # not a byte was read: the client asks again, as for any 503
        assert got.status == 503
    else:
        assert (got.status, got.body) == (200, CONTENT)
        assert served.store.calls == [("read", PATH)] * 2


async def lost(served: Service, times: int, between: Callable[[], None] = lambda: None) -> None:
    """The first reading is lost after a piece; `times` openings after it fail."""
    left = times

    def opening(method: str, path: str) -> None:
        nonlocal left
        if len(served.store.calls) == 1:
            return
        if left > 0:
            left -= 1
            raise StoreUnavailable("The store Pod is not ready.")
        between()

    served.store.lose_at = PIECE + 5
    served.store.before = opening


@pytest.mark.parametrize(
    ("times", "whole"), [(1, True), (delivery.REOPENINGS - 1, True), (delivery.REOPENINGS, False)]
)
async def test_a_store_is_waited_for_only_so_often(
    served: Service, times: int, whole: bool, caplog: pytest.LogCaptureFixture
) -> None:
    await lost(served, times)
    got, complete = await received(served)
    assert complete is whole
    assert got == CONTENT if whole else CONTENT.startswith(got)
    assert ("was lost in the middle" in caplog.text) is not whole


@pytest.mark.parametrize(
    "now", [b"", CONTENT + b"more", changed(CONTENT)], ids=["shorter", "longer", "other bytes"]
)
async def test_a_file_that_was_replaced_in_the_middle_is_not_given_whole(served: Service, now: bytes) -> None:
    def replace() -> None:
        served.store.files[PATH] = now[:-1] + b"?" if now else b"x"

    await lost(served, 1, replace)
    got, whole = await received(served)
    assert not whole
    assert CONTENT.startswith(got)
    assert len(got) < len(CONTENT)


async def test_a_file_that_was_deleted_in_the_middle(
    served: Service, caplog: pytest.LogCaptureFixture
) -> None:
    await lost(served, 1, lambda: served.store.files.clear())
    assert not (await received(served))[1]
    assert "it was deleted" in caplog.text


class Watched(MemoryStore):
    """Counts the pieces that were read, and the readings that are open."""

    def __init__(self) -> None:
        super().__init__()
        self.read_pieces = self.open = 0

    @asynccontextmanager
    async def read(self, path: str, offset: int = 0, length: int | None = None) -> AsyncIterator[Reading]:
        store = self

        class Counted(MemoryReading):
            async def __aiter__(self) -> AsyncIterator[bytes]:
                async for piece in super().__aiter__():
                    store.read_pieces += 1
                    yield piece

        self.open += 1
        try:
            content = self.files[path]
            yield Counted(content, offset, len(content) if length is None else offset + length, None)
        finally:
            self.open -= 1


LONG = CONTENT * 16


@pytest.fixture
def watched(served: Service, what: Given) -> Watched:
    found = served.stores.stores[NAMESPACE, "data"] = Watched()
    found.files[PATH] = LONG
    what.file = StoredFile("data", PATH, "a.mha", size=len(LONG), sha256=hashlib.sha256(LONG).hexdigest())
    return found


async def test_nothing_is_read_ahead_of_a_slow_reader(served: Service, watched: Watched) -> None:
    taken, ahead = 0, []

    async def slowly(piece: bytes) -> None:
        nonlocal taken
        for _ in range(20):
            await asyncio.sleep(0)
        taken += 1
        ahead.append(watched.read_pieces - taken)

    await served.get("/file", on_piece=slowly)
    assert taken == -(-len(LONG) // PIECE)
    assert max(ahead) <= 1


async def test_a_client_that_goes_away_ends_the_reading(served: Service, watched: Watched) -> None:
    async def leave(piece: bytes) -> None:
        raise HungUp

    await served.get("/file", on_piece=leave)
    assert watched.open == 0
    assert watched.read_pieces <= 8


async def test_a_client_that_goes_away_while_it_reads_nothing_ends_the_reading(
    served: Service, watched: Watched, what: Given
) -> None:
    went = asyncio.Event()

    async def receive() -> dict[str, str]:
        await went.wait()
        return {"type": "http.disconnect"}

    async def send(message: object) -> None:
        went.set()
        await asyncio.Event().wait()

    answer = Delivery(served.stores, NAMESPACE, what.file, Headers())
    await answer({"type": "http"}, receive, send)
    assert watched.open == 0
    assert watched.read_pieces <= 2
