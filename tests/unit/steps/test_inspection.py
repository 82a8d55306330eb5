"""`steps inspect` against registries on loopback: as a process of its own, as in the Pod."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web

from algorithm_operator.contract import frames
from algorithm_operator.contract.fetching import Endpoint, FetchKind, FetchReport, Order, Outcome
from algorithm_operator.core.registry import digest_of
from tests.unit.kube.fake_api import served

USER, PASSWORD = "researcher", "hunter2-hunter2"
BASIC = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
MANIFEST = b'{"a": "manifest"}'


@dataclass
class Registry:
    """Lets those in who have the password (`challenge`: how it asks for it). Every request's headers are kept."""

    host: str = ""
    challenge: str = 'Basic realm="r"'
    redirect: str | None = None
    delay: float = 0.0
    seen: list[tuple[str, str | None]] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        sent = request.headers.get("Authorization")
        self.seen.append((request.path, sent))
        await asyncio.sleep(self.delay)
        if request.path == "/token":
            if sent != BASIC:
                return web.Response(status=401)
            return web.json_response({"token": f"for {request.query['scope']}"})
        if sent not in (BASIC, "Bearer for repository:team/algo:pull"):
            return web.Response(status=401, headers={"WWW-Authenticate": self.challenge}, text=PASSWORD)
        if self.redirect is not None and "/blobs/" in request.path:
            return web.Response(status=307, headers={"Location": self.redirect})
        return web.Response(body=MANIFEST)


@dataclass
class Answer:
    """What the process left behind."""

    code: int
    report: FetchReport
    body: bytes | None
    words: str


@pytest.fixture
async def two() -> AsyncIterator[tuple[Registry, Registry]]:
    """Two registries, of which the Secret names the first."""
    both = Registry(), Registry()
    async with AsyncExitStack() as stack:
        for one in both:
            one.host = (await stack.enter_async_context(served(one.handle))).removeprefix("http://")
        yield both


def secret(root: Path, host: str, password: str = PASSWORD) -> None:
    (root / "secrets" / "0").mkdir(parents=True, exist_ok=True)
    config = {"auths": {host: {"username": USER, "password": password}}}
    (root / "secrets" / "0" / ".dockerconfigjson").write_text(json.dumps(config))


def order(*registries: Registry, kind: FetchKind = "manifests", version: str = "1") -> Order:
    places = [Endpoint(host=each.host, repository="team/algo", insecure=True) for each in registries]
    return Order(endpoints=places, kind=kind, version=version, secrets=["registry"])


async def inspect(root: Path, what: Order) -> Answer:
    (root / "dev").mkdir(exist_ok=True)
    environment = {**os.environ, "AO_ROOT": str(root), "AO_FETCH": what.model_dump_json(by_alias=True)}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "algorithm_operator.steps", "inspect"),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    text = (root / "dev" / "termination-log").read_text()
    body = frames.decode(out, 2**20) if process.returncode == 0 else None
    assert process.returncode is not None
    return Answer(
        process.returncode, FetchReport.model_validate_json(text), body, (out + err).decode() + text
    )


@pytest.mark.parametrize("bearer", [False, True])
async def test_bytes_come_as_frames(tmp_path: Path, two: tuple[Registry, Registry], bearer: bool) -> None:
    registry, _ = two
    if bearer:
        registry.challenge = f'Bearer realm="http://{registry.host}/token",service="r"'
    secret(tmp_path, registry.host)
    answer = await inspect(tmp_path, order(registry))
    assert (answer.code, answer.body) == (0, MANIFEST)
    assert answer.report == FetchReport(outcome=Outcome.FETCHED)
    assert registry.seen[0][1] is None, "who lets everybody in is told no password"


async def test_credentials_that_are_refused(tmp_path: Path, two: tuple[Registry, Registry]) -> None:
    secret(tmp_path, two[0].host, "wrong-password")
    answer = await inspect(tmp_path, order(two[0]))
    assert answer.code == 65
    assert (answer.report.outcome, answer.report.refused) == (Outcome.UNAUTHORIZED, "registry")
    assert "wrong-password" not in answer.words
    assert PASSWORD not in answer.words, "the registry's own words are not passed on"


async def test_a_secret_that_is_not_there(tmp_path: Path, two: tuple[Registry, Registry]) -> None:
    (tmp_path / "secrets" / "0").mkdir(parents=True)
    answer = await inspect(tmp_path, order(two[0]))
    assert (answer.report.outcome, answer.report.refused) == (Outcome.UNAUTHORIZED, None)
    assert answer.report.missing == ["registry"]


async def test_credentials_go_to_the_host_of_their_secret_alone(
    tmp_path: Path, two: tuple[Registry, Registry]
) -> None:
    registry, other = two
    secret(tmp_path, registry.host)
    # A mirror that asks for a password, and that would have it sent to the registry's own token service.
    other.challenge = f'Bearer realm="http://{registry.host}/token",service="r"'
    answer = await inspect(tmp_path, order(other, registry))
    assert answer.body == MANIFEST
    assert [sent for _, sent in other.seen] == [None]
    # A registry that sends on to another place, or has the password sent there, over plain HTTP.
    for challenge, redirect in (
        ('Basic realm="r"', f"http://{other.host}/x"),
        (f'Bearer realm="http://{other.host}/token"', None),
    ):
        registry.challenge, registry.redirect = challenge, redirect
        refused = await inspect(tmp_path, order(registry, kind="blobs", version=digest_of(MANIFEST)))
        assert refused.report.outcome is Outcome.UNREACHABLE
        assert "not https" in refused.report.why
    assert [sent for _, sent in other.seen] == [None]


async def test_a_redirect_elsewhere_is_followed_without_credentials(
    tmp_path: Path, certificate: Path
) -> None:
    registry, store = Registry(), Registry()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, certificate.with_suffix(".key"))

    async def public(request: web.Request) -> web.Response:
        store.seen.append((request.path, request.headers.get("Authorization")))
        return web.Response(body=MANIFEST)

    async with served(registry.handle, context) as here, served(public, context) as there:
        registry.host, registry.redirect = here.removeprefix("https://"), f"{there}/signed?x=1"
        secret(tmp_path, registry.host)
        what = order(registry, kind="blobs", version=digest_of(MANIFEST))
        what.endpoints[0].insecure = False
        untrusted = await inspect(tmp_path, what)
        assert untrusted.report.outcome is Outcome.UNREACHABLE
        assert "certificate is not trusted" in untrusted.report.why
        answer = await inspect(tmp_path, what.model_copy(update={"ca": certificate.read_text()}))  # noqa: ASYNC240
    assert answer.body == MANIFEST
    assert store.seen == [("/signed", None)]


async def test_a_registry_that_does_not_answer_in_time(
    tmp_path: Path, two: tuple[Registry, Registry], monkeypatch: pytest.MonkeyPatch
) -> None:
    two[0].delay = 30
    # The process is another one: its patience is set from here.
    patched = (
        "from algorithm_operator.steps import inspection, __main__\n"
        "inspection.ALL_SECONDS = 1\n"
        "__main__.main(['inspect'])"
    )
    (tmp_path / "dev").mkdir()
    environment = {
        **os.environ,
        "AO_ROOT": str(tmp_path),
        "AO_FETCH": order(two[0]).model_dump_json(by_alias=True),
    }
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", patched, env=environment)
    async with asyncio.timeout(10):
        await process.wait()
    report = FetchReport.model_validate_json((tmp_path / "dev" / "termination-log").read_text())
    assert report.outcome is Outcome.UNREACHABLE
    assert report.why == "no answer within 1 s"


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A self-signed certificate for loopback; its key is beside it."""
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    subject = ["-days", "2", "-subj", "/CN=r", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(tmp_path / "tls.key"), "-out", str(tmp_path / "tls.crt")]
    subprocess.run([*command, *subject, *files], check=True, capture_output=True)
    return tmp_path / "tls.crt"
