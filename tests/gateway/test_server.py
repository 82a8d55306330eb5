"""A real server on loopback, with little patience: slow clients, huge bodies, TLS files that change, an orderly end."""

import asyncio
import contextlib
import logging
import os
import signal
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from fastapi import APIRouter, Request, Response
from starlette.responses import StreamingResponse

from algorithm_operator.gateway.answers import answer
from algorithm_operator.gateway.app import make_app
from algorithm_operator.gateway.bounds import Limits
from algorithm_operator.gateway.context import Caller, Calling, Gateway
from algorithm_operator.gateway.errors import unauthenticated
from algorithm_operator.gateway.identity import Person, Rights
from algorithm_operator.gateway.memory import Memory, Places
from algorithm_operator.gateway.server import Patience, Server
from algorithm_operator.gateway.settings import Settings
from algorithm_operator.gateway.storage import StoreUnavailable
from algorithm_operator.gateway.tls import Certificate
from algorithm_operator.gateway.urls import Urls
from algorithm_operator.kube.client import Client
from algorithm_operator.kube.connection import Connection
from tests.gateway.fakes import FakeAuthorizer, MemoryStores

MIB = 1 << 20
SHORT = Patience(head=0.4, rest=0.6, reader=0.6, idle=1, stop=2, connections=12)
LIMITS = Limits(requests=6, json_bytes=MIB, small_bytes=4096, large_at_once=2, stall_seconds=0.4)
BASE = "/imaging/api/v1"


class Running:
    """A server, and what its views see."""

    def __init__(self) -> None:
        self.router = APIRouter()
        self.let_go = asyncio.Event()
        self.parts: list[int] = []
        self.ended: list[str] = []
        self.server: Server
        self.task: asyncio.Task[None]
        self._routes()

    def _routes(self) -> None:
        @self.router.post("/{namespace}/api/v1/uploads/")
        async def post(caller: Calling, body: dict[str, Any]) -> Response:
            return answer({"keys": len(body)}, 201)

        @self.router.put("/{namespace}/parts/")
        async def put(request: Request) -> Response:
            self.parts.append(0)
            mine = len(self.parts) - 1
            async for piece in request.stream():
                self.parts[mine] += len(piece)
            return answer({"bytes": self.parts[mine]})

        @self.router.put("/{namespace}/refused/")
        async def refused(request: Request) -> Response:
            raise StoreUnavailable("The store Pod is not ready.")

        @self.router.get("/{namespace}/waits/")
        async def waits() -> Response:
            await self.let_go.wait()
            return answer({"waited": True})

        @self.router.get("/{namespace}/large/")
        async def large() -> Response:
            async def pieces() -> AsyncIterator[bytes]:
                for _ in range(1024):
                    yield b"x" * (256 << 10)
                    await asyncio.sleep(0)  # as whoever reads from a store
                self.ended.append("whole")

            return StreamingResponse(pieces(), media_type="application/octet-stream")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.port}"

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.server.port)

    async def say(self, *lines: str, body: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Send a head (with the empty line at its end) and some bytes."""
        reader, writer = await self.connect()
        writer.write("\r\n".join([*lines, "Host: gw", "Authorization: Bearer good", "", ""]).encode() + body)
        await writer.drain()
        return reader, writer

    @property
    def open(self) -> int:
        return len(self.server.server_state.connections)

    @property
    def idle(self) -> bool:
        """Neither a connection nor a request is left."""
        return not self.open and not self.server.server_state.tasks


@asynccontextmanager
async def running(
    patience: Patience = SHORT, limits: Limits = LIMITS, tls: ssl.SSLContext | None = None, places: int = 128
) -> AsyncIterator[Running]:
    made = Running()
    async with Client(Connection(server="http://127.0.0.1:1")) as cluster:
        memory = Memory(places=Places(places))
        gateway = Gateway(Settings(), cluster, None, MemoryStores(), memory)  # type: ignore[arg-type]

        async def person(request: Request) -> Caller:
            people = {"Bearer good": "alice", "Bearer bob": "bob"}
            username = people.get(request.headers.get("authorization", ""))
            if username is None:
                raise unauthenticated("no")
            rights = Rights(Person(username), "imaging", FakeAuthorizer())
            return Caller(gateway, rights, Urls("https://gw", "imaging"))

        app = make_app(gateway, person, [made.router], limits)
        made.server = Server(app, "127.0.0.1", 0, tls, patience)
        made.task = asyncio.create_task(made.server.serve())
        while not made.server.started:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        try:
            yield made
        finally:
            made.let_go.set()
            made.server.stop()
            await made.task


@pytest.fixture
async def server() -> AsyncIterator[Running]:
    async with running() as made:
        yield made


async def ends_after(reader: asyncio.StreamReader) -> tuple[bytes, float]:
    """What still came, and after how many seconds the connection was over."""
    started = asyncio.get_running_loop().time()
    got = b""
    async with asyncio.timeout(10):
        with contextlib.suppress(ConnectionError):
            got = await reader.read()
    return got, asyncio.get_running_loop().time() - started


HEAD = "GET /healthz HTTP/1.1\r\nHost: gw\r\n"


@pytest.mark.parametrize("begin", [b"", b"G", HEAD.encode()], ids=["nothing", "a letter", "half"])
async def test_a_head_must_come(server: Running, begin: bytes) -> None:
    reader, writer = await server.connect()
    writer.write(begin)
    got, seconds = await ends_after(reader)
    assert got == b""
    assert 0.3 < seconds < 1.5
    writer.close()


async def test_a_head_in_drops(server: Running) -> None:
    """Each drop is new; the time is from the first."""
    reader, writer = await server.connect()
    ending = asyncio.create_task(ends_after(reader))
    with contextlib.suppress(ConnectionError):
        for letter in HEAD * 10:
            writer.write(letter.encode())
            await asyncio.sleep(0.02)
            if ending.done():
                break
    assert (await ending)[1] < 1.5
    writer.close()


async def test_the_second_head_must_come_too(server: Running) -> None:
    reader, writer = await server.say("GET /healthz HTTP/1.1")
    assert b" 200 " in await reader.readuntil(b'"ok"}')
    writer.write(b"GET /he")
    got, seconds = await ends_after(reader)
    assert got == b""
    assert 0.3 < seconds < 1.0
    writer.close()


async def test_an_idle_connection_is_kept_for_a_while(server: Running) -> None:
    reader, writer = await server.say("GET /healthz HTTP/1.1")
    await reader.readuntil(b'"ok"}')
    await asyncio.sleep(0.6)  # longer than a head may take
    writer.write(f"{HEAD}\r\n".encode())
    await reader.readuntil(b'"ok"}')
    _, seconds = await ends_after(reader)
    assert 0.8 < seconds < 2
    writer.close()


async def test_a_head_of_more_than_16_kib(server: Running) -> None:
    reader, writer = await server.connect()
    writer.write(f"{HEAD}X-Much: {'x' * (17 << 10)}".encode())
    assert (await ends_after(reader))[0].startswith(b"HTTP/1.1 400 ")
    writer.close()


@pytest.mark.parametrize(
    ("method", "path"), [("POST", f"{BASE}/uploads/"), ("PUT", "/imaging/parts/")], ids=["JSON", "a part"]
)
async def test_a_body_that_stands_still(server: Running, method: str, path: str) -> None:
    reader, writer = await server.say(
        f"{method} {path} HTTP/1.1", "Content-Type: application/json", "Content-Length: 100", body=b'{"a'
    )
    got, seconds = await ends_after(reader)
    assert got.startswith(b"HTTP/1.1 408 ")
    assert got.endswith(b'{"detail":"The request\'s body did not come in time."}')
    assert 0.3 < seconds < 1.5
    writer.close()


async def test_a_body_in_drops() -> None:
    """None of them is late, and all together are too slow."""
    async with running(limits=Limits(stall_seconds=0.4, bytes_per_second=1000)) as server:
        reader, writer = await server.say("PUT /imaging/parts/ HTTP/1.1", "Content-Length: 1000")
        ending = asyncio.create_task(ends_after(reader))
        for _ in range(100):
            if ending.done():
                break
            writer.write(b"x")
            await asyncio.sleep(0.02)
        got, seconds = await ending
        assert seconds < 1.5
        assert not got or got.startswith(
            b"HTTP/1.1 408 "
        )  # what still comes from us can end the way of the answer
        assert server.parts[0] < 100
        writer.close()


async def test_a_slow_body_that_keeps_coming(server: Running) -> None:
    reader, writer = await server.say("PUT /imaging/parts/ HTTP/1.1", "Content-Length: 10240")
    for _ in range(10):
        writer.write(b"x" * 1024)
        await asyncio.sleep(0.1)
    assert await reader.readuntil(b"}")
    assert server.parts == [10240]
    writer.close()


@pytest.mark.parametrize("chunked", [False, True], ids=["announced", "chunked"])
@pytest.mark.parametrize("path", [f"{BASE}/uploads/", f"{BASE}/no-such/"], ids=["read", "not read"])
async def test_a_huge_body_is_refused_and_not_kept(server: Running, chunked: bool, path: str) -> None:
    length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {1 << 40}"
    reader, writer = await server.say(f"POST {path} HTTP/1.1", "Content-Type: application/json", length)
    piece = b"10000\r\n" + b" " * 65536 + b"\r\n" if chunked else b" " * 65536
    answered = asyncio.create_task(reader.readuntil(b"}"))
    sent = 0
    while not answered.done() and sent < 8 * MIB:
        writer.write(piece)
        await writer.drain()
        sent += len(piece)
        await asyncio.sleep(0)
    expected = b"413" if path.endswith("uploads/") else b"404"
    assert (await answered).split(b" ")[1] == expected
    # The rest is thrown away for a while, so that the answer is read, and then the connection is over.
    ending = asyncio.create_task(ends_after(reader))
    with contextlib.suppress(ConnectionError):
        while not ending.done():
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.01)
    assert (await ending)[1] < 1.5
    writer.close()


@pytest.mark.parametrize("token", ["good", "bad"])
async def test_a_body_is_read_for_those_who_are_known(server: Running, token: str) -> None:
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as session:
        for size, status in ((100, 201), (8192, 201), (512 << 10, 201), (2 * MIB, 413)):
            body = {"x" * size: 1}
            async with session.post(f"{server.url}{BASE}/uploads/", json=body) as found:
                assert found.status == (status if token == "good" else 401)
                assert found.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("length", ["Content-Length: 100", "Transfer-Encoding: chunked"])
async def test_a_stranger_holds_no_place_with_a_slow_body(server: Running, length: str) -> None:
    reader, writer = await server.connect()
    head = f"POST {BASE}/uploads/ HTTP/1.1\r\nHost: gw\r\nContent-Type: application/json\r\n{length}\r\n\r\n"
    writer.write(head.encode())
    async with asyncio.timeout(LIMITS.stall_seconds / 2):
        assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 401 ")
    writer.close()


async def test_nobody_takes_all_places() -> None:
    head = ("Content-Type: application/json", "Content-Length: 100")
    async with (
        running(places=2) as server,
        aiohttp.ClientSession(headers={"Authorization": "Bearer good"}) as session,
    ):
        slow = [await server.say(f"POST {BASE}/uploads/ HTTP/1.1", *head, body=b"{") for _ in range(2)]
        await asyncio.sleep(0.1)
        async with session.post(f"{server.url}{BASE}/uploads/", json={}) as found:
            assert (found.status, found.headers["Retry-After"]) == (503, "2")
            assert "2 requests open" in (await found.json())["detail"]
        async with session.post(
            f"{server.url}{BASE}/uploads/", json={}, headers={"Authorization": "Bearer bob"}
        ) as found:
            assert found.status == 201
        for reader, writer in slow:
            await ends_after(reader)  # 408
            writer.close()
        async with session.post(f"{server.url}{BASE}/uploads/", json={}) as found:
            assert found.status == 201


async def test_few_large_bodies_at_a_time(server: Running) -> None:
    head = ("Content-Type: application/json", "Content-Length: 10000")
    slow = [await server.say(f"POST {BASE}/uploads/ HTTP/1.1", *head, body=b"{") for _ in range(2)]
    await asyncio.sleep(0.1)
    third, writer = await server.say(f"POST {BASE}/uploads/ HTTP/1.1", *head, body=b"{")
    got = await third.readuntil(b"}")
    assert got.startswith(b"HTTP/1.1 503 ")
    assert b"retry-after: 1\r\n" in got
    for reader, each in slow:
        each.write(b" " * 9998 + b"}")
        assert b" 201 " in await reader.readuntil(b"}")
        each.close()
    writer.close()
    again, writer = await server.say(f"POST {BASE}/uploads/ HTTP/1.1", *head, body=b"{" + b" " * 9998 + b"}")
    assert b" 201 " in await again.readuntil(b"}")
    writer.close()


async def test_a_refused_upload_is_answered_before_it_is_over(server: Running) -> None:
    """A client that sends all before it reads gets its answer all the same."""
    async with aiohttp.ClientSession() as session:
        for _ in range(3):  # on one connection
            async with session.put(f"{server.url}/imaging/refused/", data=b"x" * 8 * MIB) as found:
                assert (found.status, found.headers["Retry-After"]) == (503, "2")


async def test_a_client_that_does_not_read(server: Running) -> None:
    reader, writer = await server.say(
        "GET /imaging/large/ HTTP/1.1"
    )  # nobody reads: little fits into a reader
    await _until(lambda: server.idle)
    assert "whole" not in server.ended
    assert not reader.at_eof()
    writer.transport.abort()


async def test_a_client_that_reads_slowly(server: Running) -> None:
    reader, writer = await server.say("GET /imaging/large/ HTTP/1.1")
    for _ in range(15):
        await reader.readexactly(MIB)
        await asyncio.sleep(0.1)
    assert server.ended == []
    writer.transport.abort()
    await _until(lambda: server.idle)
    assert "whole" not in server.ended


async def test_too_many_requests_are_asked_to_come_back(server: Running) -> None:
    async with aiohttp.ClientSession() as session:
        waiting = [asyncio.create_task(_get(session, f"{server.url}/imaging/waits/")) for _ in range(6)]
        await _until(lambda: server.server.server_state.tasks.__len__() == 6)
        async with session.get(f"{server.url}{BASE}/gcapi/") as found:
            assert (found.status, found.headers["Retry-After"]) == (503, "2")
            assert found.headers["Content-Type"] == "application/json"
            assert "more requests than it can answer" in (await found.json())["detail"]
        assert await _get(session, f"{server.url}/healthz") == 200  # or the kubelet would end us
        server.let_go.set()
        assert await asyncio.gather(*waiting) == [200] * 6
        assert await _get(session, f"{server.url}{BASE}/gcapi/") == 200


async def test_connections_that_wait_make_room() -> None:
    async with running(Patience(connections=12, head=30)) as server:
        held = [await server.connect() for _ in range(12)]
        await _until(lambda: server.open == 12)
        async with aiohttp.ClientSession() as session:
            assert await _get(session, f"{server.url}/healthz") == 200
        assert (await ends_after(held[0][0]))[1] < 1  # it had waited for the longest
        assert server.open <= 12
        assert not held[11][0].at_eof()
        for _, writer in held:
            writer.close()


async def test_a_stop_lets_requests_end() -> None:
    async with running() as server:
        reader, writer = await server.say("GET /imaging/waits/ HTTP/1.1")
        idle, idle_writer = await server.say("GET /healthz HTTP/1.1")
        await idle.readuntil(b"}")
        os.kill(os.getpid(), signal.SIGTERM)
        assert (await ends_after(idle))[1] < 1
        with pytest.raises(ConnectionError):
            await server.connect()
        server.let_go.set()
        assert b'"waited":true' in (await ends_after(reader))[0]
        await asyncio.wait_for(server.task, 5)
        for each in (writer, idle_writer):
            each.close()


async def test_a_stop_does_not_wait_for_ever() -> None:
    async with running(Patience(stop=1)) as server:
        _, writer = await server.say("GET /imaging/waits/ HTTP/1.1")
        await asyncio.sleep(0.1)
        server.server.stop()
        await asyncio.wait_for(asyncio.shield(server.task), 5)
        writer.close()


async def test_nothing_of_a_request_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        async with running() as server, aiohttp.ClientSession() as session:
            headers = {"Authorization": "Bearer eyJ-the-token", "X-Other": "eyJ-the-header"}
            for path in (
                f"{BASE}/uploads/",
                "/eyJ-the-path/",
                "/healthz?a=eyJ-the-query",
                "/imaging/refused/",
            ):
                for method in ("GET", "POST", "PUT"):
                    url = f"{server.url}{path}"
                    async with session.request(method, url, headers=headers, json={"a": "eyJ-the-body"}):
                        pass
            reader, writer = await server.say("GET eyJ-the-target HTTP/9.9\x00", "eyJ-the-line")
            await ends_after(reader)
            writer.close()
    assert len([record for record in caplog.records if record.name.endswith("envelope")]) == 11
    assert "eyJ" not in str([record.__dict__ for record in caplog.records if record.name != "asyncio"])


# --- TLS


def issue(folder: Path, name: str) -> tuple[Path, Path]:
    """A certificate for `name` by itself, and its key."""
    chain, key = folder / f"{name}.crt", folder / f"{name}.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}", "-keyout", str(key), "-out", str(chain)],
        check=True, capture_output=True,
    )  # fmt: skip
    return chain, key


@pytest.fixture(scope="module")
def issued(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Path]]:
    folder = tmp_path_factory.mktemp("issued")
    return {name: issue(folder, name) for name in ("old.example.org", "new.example.org")}


@pytest.fixture
def mounted(tmp_path: Path, issued: dict[str, tuple[Path, Path]]) -> Callable[[str, str], tuple[Path, Path]]:
    """Puts a certificate and a key where the gateway reads them, as the kubelet does: by one renamed link."""
    (tmp_path / "data").mkdir()

    def put(chain: str, key: str) -> tuple[Path, Path]:
        version = tmp_path / "data" / str(len(list((tmp_path / "data").iterdir())))
        version.mkdir()
        (version / "tls.crt").write_bytes(issued[chain][0].read_bytes())
        (version / "tls.key").write_bytes(issued[key][1].read_bytes())
        (tmp_path / "next").symlink_to(version)
        (tmp_path / "next").rename(tmp_path / "current")
        return tmp_path / "current" / "tls.crt", tmp_path / "current" / "tls.key"

    return put


async def presented(port: int, server_name: str | None = "any.example.org", **versions: Any) -> str:
    """The name in the certificate that a client is shown."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    for name, value in versions.items():
        setattr(context, name, value)
    _, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=context, server_hostname=server_name or ""
    )
    found = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.transport.abort()
    return "new" if b"new.example.org" in found else "old"


OLD, NEW = "old.example.org", "new.example.org"


async def test_a_renewed_certificate_is_taken_up(mounted: Callable[[str, str], tuple[Path, Path]]) -> None:
    certificate = Certificate(*mounted(OLD, OLD))
    async with running(tls=certificate.context) as server:
        port = server.server.port
        assert await presented(port) == "old"
        assert not certificate.refresh()
        insecure = aiohttp.TCPConnector(ssl=False, limit=1)
        async with aiohttp.ClientSession(f"https://127.0.0.1:{port}", connector=insecure) as session:
            assert await _get(session, "/healthz") == 200
            (connection,) = server.server.server_state.connections
            mounted(NEW, NEW)
            assert certificate.refresh()
            assert (await presented(port), await presented(port, None)) == ("new", "new")
            assert await _get(session, "/healthz") == 200
            assert connection in server.server.server_state.connections  # it went on


@pytest.mark.parametrize("fault", ["no pair", "no PEM", "gone"])
async def test_what_does_not_fit_is_not_taken_up(
    mounted: Callable[[str, str], tuple[Path, Path]], fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    certificate = Certificate(*mounted(OLD, OLD))
    async with running(tls=certificate.context) as server:
        _, key = mounted(NEW, OLD if fault == "no pair" else NEW)
        if fault == "no PEM":
            key.write_text("-----BEGIN NOTHING-----")
        elif fault == "gone":
            key.unlink()
        assert not certificate.refresh()
        assert "cannot be used" in caplog.text
        assert await presented(server.server.port) == "old"
        mounted(NEW, NEW)
        assert certificate.refresh()
        assert await presented(server.server.port) == "new"


async def test_old_versions_of_tls_are_refused(mounted: Callable[[str, str], tuple[Path, Path]]) -> None:
    certificate = Certificate(*mounted(OLD, OLD))
    assert certificate.context.minimum_version is ssl.TLSVersion.TLSv1_2
    async with running(tls=certificate.context) as server:
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            assert await presented(server.server.port, maximum_version=version) == "old"
        with (
            pytest.warns(DeprecationWarning, match="TLSv1_1"),
            pytest.raises((ssl.SSLError, ConnectionError)),
        ):
            await presented(
                server.server.port,
                minimum_version=ssl.TLSVersion.TLSv1_1,
                maximum_version=ssl.TLSVersion.TLSv1_1,
            )


def test_a_pair_that_does_not_fit_at_the_start(mounted: Callable[[str, str], tuple[Path, Path]]) -> None:
    with pytest.raises(ssl.SSLError):
        Certificate(*mounted(NEW, OLD))


async def test_a_handshake_must_come(mounted: Callable[[str, str], tuple[Path, Path]]) -> None:
    patience = Patience(handshake=0.3)
    async with running(patience, tls=Certificate(*mounted(OLD, OLD)).context) as server:
        reader, writer = await server.connect()
        writer.write(b"\x16\x03\x01")
        assert (await ends_after(reader))[1] < 1.5
        writer.close()


async def _get(session: aiohttp.ClientSession, url: str) -> int:
    async with session.get(url) as found:
        await found.read()
        return found.status


async def _until(condition: Callable[[], bool] | Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
