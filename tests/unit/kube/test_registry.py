"""Look-ups in a registry on loopback, an honest one and hostile ones."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web

from algorithm_operator.api.algorithm import ResolvedImage
from algorithm_operator.api.reasons import Reason
from algorithm_operator.contract.fetching import Endpoint, FetchReport, Order
from algorithm_operator.core import registry
from algorithm_operator.core.inspection import Ask, ImageError, first, follow, refused, subject
from algorithm_operator.core.registry import RegistryError, endpoints
from algorithm_operator.kube import registry as transport
from tests.unit.kube.fake_api import served

OCI = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = {"Entrypoint": ["/run"], "Cmd": ["a b"], "User": "1000:1001", "WorkingDir": "/opt"}


def digest_of(body: bytes) -> str:
    return "sha256:" + hashlib.sha256(body).hexdigest()


async def resolve(reference: str, insecure: set[str] | None = None, **mirrors: str) -> ResolvedImage:
    """The whole course, as the operator takes it for an Algorithm without pull secrets."""
    about = subject("image", reference)
    step = first(about)
    while True:
        places = endpoints(about.reference, frozenset(insecure or ()), mirrors)
        try:
            body = await transport.fetch_anonymously(
                Order(endpoints=places, kind=step.kind, version=step.version)
            )
        except RegistryError as error:
            raise refused(about, FetchReport(outcome=error.outcome, why=error.why), [], "ns") from error
        found = follow(about, step, body)
        if not isinstance(found, Ask):
            assert isinstance(found, ResolvedImage)
            return found
        step = found


class Registry:
    """Manifests and blobs by digest, tags; `override` may answer instead. Every request is kept."""

    def __init__(self) -> None:
        self.host = ""
        self.manifests: dict[str, bytes] = {}
        self.blobs: dict[str, bytes] = {}
        self.requests: list[tuple[str, str | None]] = []
        self.override: Callable[[web.Request], web.StreamResponse | None] = lambda request: None

    def add(self, tag: str, config: dict[str, Any] | None = None, platform: str = "linux/amd64") -> str:
        os, _, architecture = platform.partition("/")
        wire = {"os": os, "architecture": architecture, "config": CONFIG if config is None else config}
        body = orjson.dumps(wire)
        self.blobs[digest_of(body)] = body
        return self.add_manifest(
            tag,
            {
                "schemaVersion": 2,
                "mediaType": OCI,
                "config": {"digest": digest_of(body), "size": len(body)},
                "layers": [{"digest": "sha256:1", "size": 10}, {"digest": "sha256:2", "size": 32}],
            },
        )

    def add_manifest(self, tag: str, manifest: object) -> str:
        body = orjson.dumps(manifest)
        self.manifests[tag] = self.manifests[digest_of(body)] = body
        return digest_of(body)

    def add_index(self, tag: str, **platforms: str) -> str:
        entries = [
            {
                "digest": digest,
                "platform": {"os": name.partition("_")[0], "architecture": name.partition("_")[2]},
            }
            for name, digest in platforms.items()
        ]
        return self.add_manifest(tag, {"mediaType": OCI_INDEX, "manifests": entries})

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request.path, request.headers.get("Authorization")))
        if (answer := self.override(request)) is not None:
            return answer
        _, _, kind_and_name = request.path.partition("/v2/team/algo/")
        kind, _, name = kind_and_name.partition("/")
        found = {"manifests": self.manifests, "blobs": self.blobs}.get(kind, {}).get(name)
        return web.Response(body=found, content_type=OCI) if found is not None else web.Response(status=404)

    async def resolve(self, version: str = ":1") -> ResolvedImage:
        return await resolve(f"{self.host}/team/algo{version}", {self.host})

    async def refused(self, version: str = ":1") -> ImageError:
        with pytest.raises(ImageError) as caught:
            await self.resolve(version)
        assert caught.value.message
        return caught.value


@pytest.fixture
async def two() -> AsyncIterator[tuple[Registry, Registry]]:
    """Two hosts, of which one is asked."""
    both = Registry(), Registry()
    async with AsyncExitStack() as stack:
        for one in both:
            one.host = (await stack.enter_async_context(served(one.handle))).removeprefix("http://")
        yield both


@pytest.fixture
def server(two: tuple[Registry, Registry]) -> Registry:
    return two[0]


async def test_an_image(server: Registry) -> None:
    digest = server.add("1")
    assert await server.resolve() == ResolvedImage(
        reference=f"{server.host}/team/algo:1",
        digest=digest,
        entrypoint=["/run"],
        cmd=["a b"],
        working_dir="/opt",
        user="1000:1001",
        uid=1000,
        gid=1001,
        size_bytes=42,
    )
    assert (await server.resolve(f"@{digest}")).digest == digest


async def test_an_index_gives_the_image_of_our_platform(server: Registry) -> None:
    wanted, other = server.add("x", platform="linux/amd64"), server.add("y", platform="linux/arm64")
    index = server.add_index("1", linux_arm64=other, linux_amd64=wanted)
    assert (await server.resolve()).digest == wanted
    assert (await server.resolve(f"@{index}")).digest == wanted


async def test_another_platform(server: Registry) -> None:
    other = server.add("1", platform="linux/arm64")
    refusal = await server.refused()
    assert refusal.reason is Reason.IMAGE_PLATFORM
    assert "linux/arm64" in refusal.message
    server.add_index("2", linux_arm64=other, unknown_unknown=other)
    refusal = await server.refused(":2")
    assert refusal.reason is Reason.IMAGE_PLATFORM
    assert "linux/arm64" in refusal.message
    assert "unknown" not in refusal.message


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (404, Reason.IMAGE_NOT_FOUND),
        (401, Reason.IMAGE_UNAUTHORIZED),
        (403, Reason.IMAGE_UNAUTHORIZED),
        (500, Reason.REGISTRY_UNREACHABLE),
        (302, Reason.REGISTRY_UNREACHABLE),
    ],
)
async def test_what_a_registry_may_say(server: Registry, status: int, reason: Reason) -> None:
    server.add("1")
    server.override = lambda request: web.Response(
        status=status, headers={"Location": f"http://{server.host}/"}
    )
    refusal = await server.refused()
    assert refusal.reason is reason
    assert len(server.requests) == 1


async def test_nobody_there() -> None:
    async def nothing(request: web.Request) -> web.Response:
        raise AssertionError

    async with served(nothing) as url:
        host = url.removeprefix("http://")
    with pytest.raises(ImageError) as caught:
        await resolve(f"{host}/a:1", {host})
    assert caught.value.reason is Reason.REGISTRY_UNREACHABLE
    # The address that the operator's resolver gives for a name is the cluster's own affair.
    assert "does not answer: Connection refused." in caught.value.message
    assert "Connect call failed" not in caught.value.message


async def test_https_unless_the_installation_says_otherwise(server: Registry) -> None:
    server.add("1")
    with pytest.raises(ImageError) as caught:
        await resolve(f"{server.host}/team/algo:1")
    assert caught.value.reason is Reason.REGISTRY_UNREACHABLE
    assert server.requests == []


async def test_a_reference_that_is_none_asks_nobody(server: Registry) -> None:
    with pytest.raises(ImageError) as caught:
        await resolve(f"{server.host}/../x\u202e", {server.host})
    assert caught.value.reason is Reason.SPEC_INVALID
    assert "\u202e" not in caught.value.message
    assert server.requests == []


async def test_bytes_of_another_digest(server: Registry) -> None:
    digest = server.add("1")
    server.manifests[digest] += b" "
    assert "other bytes" in (await server.refused(f"@{digest}")).message
    blob = next(iter(server.blobs))
    server.blobs[blob] = orjson.dumps({"os": "linux", "architecture": "amd64", "config": {"User": "1"}})
    assert "other bytes" in (await server.refused()).message


async def test_answers_without_end(server: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = 0

    async def flood(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        while sent < 2**30:
            await response.write(b"x" * 2**16)
            sent += 2**16
        return response

    async with served(flood) as url:
        host = url.removeprefix("http://")
        with pytest.raises(ImageError) as caught:
            await resolve(f"{host}/a:1", {host})
    assert "larger than" in caught.value.message
    assert sent < 64 * 2**20
    monkeypatch.setattr(registry, "MAX_FETCH_BYTES", 300)
    server.add("1", {"Cmd": ["x" * 300]})
    assert "larger than 300 bytes" in (await server.refused()).message


async def test_answers_that_never_come(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hang(request: web.Request) -> web.Response:
        await asyncio.sleep(30)
        return web.Response()

    monkeypatch.setattr(transport, "FETCH_TIMEOUT", 0.1)
    async with served(hang) as url:
        host = url.removeprefix("http://")
        with pytest.raises(ImageError) as caught:
            await resolve(f"{host}/a:1", {host})
    assert caught.value.reason is Reason.REGISTRY_UNREACHABLE


@pytest.mark.parametrize(
    "manifest",
    [
        b"{",
        b"[]",
        b'"x"',
        b"{}",
        b'{"config": 1}',
        b'{"config": {"digest": "../../x"}}',
        b'{"manifests": [1, {}]}',
    ],
)
async def test_manifests_that_are_none(server: Registry, manifest: bytes) -> None:
    server.manifests["1"] = manifest
    assert (await server.refused()).reason is Reason.IMAGE_PLATFORM
    assert len(server.requests) == 1


async def test_an_index_within_an_index(server: Registry) -> None:
    inner = server.add_index("inner", linux_amd64="sha256:" + "0" * 64)
    server.add_index("1", linux_amd64=inner)
    assert "names another index" in (await server.refused()).message


@pytest.mark.parametrize(
    "config",
    [
        {"Entrypoint": "sh"},
        {"Entrypoint": [1]},
        {"Cmd": ["x"] * 1000},
        {"Cmd": ["x"], "User": 5},
        {"Cmd": ["x"], "WorkingDir": "/" * 5000},
        {"Cmd": ["x" * 40000]},
    ],
)
async def test_configurations_that_are_none(server: Registry, config: dict[str, Any]) -> None:
    server.add("1", config)
    assert (await server.refused()).reason is Reason.IMAGE_INVALID


async def test_a_refused_configuration_says_what_and_how_much(server: Registry) -> None:
    server.add("1", {"Entrypoint": ["x"] * 65})
    assert "its ENTRYPOINT has 65 words, more than 64" in (await server.refused()).message
    server.add("1", {"Cmd": ["x" * 4097]})
    assert "its CMD has 4097 characters, more than 4096" in (await server.refused()).message
    digest = server.add("1", {"Entrypoint": ["x"] * 64, "Cmd": ["y" * 4000] * 256})
    assert (await server.resolve()).digest == digest


async def test_nothing_to_start(server: Registry) -> None:
    server.add("1", {"User": "1000", "Entrypoint": [], "Cmd": None})
    found = await server.resolve()
    assert (found.entrypoint, found.cmd) == (None, None)


def challenge(realm: str, service: str = "r") -> web.Response:
    return web.Response(
        status=401, headers={"WWW-Authenticate": f'Bearer realm="{realm}",service="{service}"'}
    )


async def test_an_anonymous_token(server: Registry) -> None:
    server.add("1")
    asked: list[dict[str, str]] = []

    def guard(request: web.Request) -> web.Response | None:
        if request.path == "/token":
            asked.append(dict(request.query))
            return web.json_response({"token": "t0ken"})
        if request.headers.get("Authorization") != "Bearer t0ken":
            return challenge(f"http://{server.host}/token")
        return None

    server.override = guard
    assert (await server.resolve()).uid == 1000
    assert asked == [{"service": "r", "scope": "repository:team/algo:pull"}] * 2, "one for each fetch"


async def test_a_challenge_that_offers_more_than_one_way(server: Registry) -> None:
    server.add("1")
    realm = f"http://{server.host}/token"

    def guard(request: web.Request) -> web.Response | None:
        if request.path == "/token":
            return web.json_response({"token": "t"})
        if request.headers.get("Authorization") != "Bearer t":
            both = f'Bearer realm="{realm}",service="r", Basic realm="http://elsewhere.example/"'
            return web.Response(status=401, headers={"WWW-Authenticate": both})
        return None

    server.override = guard
    assert (await server.resolve()).uid == 1000


async def test_a_token_that_does_not_help_is_asked_for_once(server: Registry) -> None:
    def guard(request: web.Request) -> web.Response:
        if request.path == "/token":
            return web.json_response({"access_token": "t"})
        return challenge(f"http://{server.host}/token")

    server.override = guard
    assert (await server.refused()).reason is Reason.IMAGE_UNAUTHORIZED
    assert [path for path, _ in server.requests].count("/token") == 1


@pytest.mark.parametrize("answer", [b"{}", b"[", b'{"token": "a\\r\\nX: y"}', b'{"token": 5}'])
async def test_tokens_that_are_none(server: Registry, answer: bytes) -> None:
    server.override = lambda request: (
        web.Response(body=answer) if request.path == "/token" else challenge(f"http://{server.host}/token")
    )
    assert (await server.refused()).reason is Reason.REGISTRY_UNREACHABLE


async def test_a_realm_elsewhere_over_plain_http_is_not_asked(two: tuple[Registry, Registry]) -> None:
    server, other = two
    server.override = lambda request: challenge(f"http://{other.host}/token")
    assert "not https" in (await server.refused()).message
    assert other.requests == []


async def test_blobs_are_not_fetched_elsewhere_over_plain_http(two: tuple[Registry, Registry]) -> None:
    server, other = two
    server.add("1")
    server.override = lambda request: (
        web.Response(status=307, headers={"Location": f"http://{other.host}{request.path}"})
        if "/blobs/" in request.path
        else None
    )
    assert "not https" in (await server.refused()).message
    assert other.requests == []


@pytest.mark.parametrize("location", ["file:///etc/passwd", "gopher://x/", "//", "https:///x"])
async def test_blobs_are_fetched_by_http_alone(server: Registry, location: str) -> None:
    server.add("1")
    server.override = lambda request: (
        web.Response(status=307, headers={"Location": location}) if "/blobs/" in request.path else None
    )
    assert (await server.refused()).reason is Reason.REGISTRY_UNREACHABLE


async def test_a_redirected_blob_is_fetched_without_our_token(server: Registry) -> None:
    server.add("1")

    def guard(request: web.Request) -> web.Response | None:
        if request.path == "/token":
            return web.json_response({"token": "t"})
        if request.path.startswith("/cdn/"):
            return web.Response(body=next(iter(server.blobs.values())))
        if request.headers.get("Authorization") != "Bearer t":
            return challenge(f"http://{server.host}/token")
        if "/blobs/" in request.path:
            return web.Response(status=307, headers={"Location": "/cdn/blob"})
        return None

    server.override = guard
    assert (await server.resolve()).uid == 1000
    assert server.requests[-1] == ("/cdn/blob", None)


async def test_redirects_end(server: Registry) -> None:
    server.add("1")
    server.override = lambda request: (
        web.Response(status=302, headers={"Location": request.path}) if "/blobs/" in request.path else None
    )
    assert (await server.refused()).reason is Reason.REGISTRY_UNREACHABLE
    assert len(server.requests) == 2 + registry.MAX_REDIRECTS


@pytest.mark.parametrize(
    ("user", "expected"),
    [("1000:0", (1000, 0)), ("1000:1001", (1000, 1001)), ("4294967294:1", (4294967294, 1))],
)
async def test_a_user_by_number(server: Registry, user: str, expected: tuple[int, int]) -> None:
    server.add("1", {"User": user, "Cmd": ["x"]})
    found = await server.resolve()
    assert (found.uid, found.gid) == expected


@pytest.mark.parametrize(
    "user", ["algorithm", "1000", "1000:users", "1000:", "-1", "4294967295:1", "99999999999:1", "１０:１０"]
)
async def test_a_user_that_is_to_be_looked_up(server: Registry, user: str) -> None:
    server.add("1", {"User": user, "Cmd": ["x"]})
    found = await server.resolve()
    assert (found.user, found.uid, found.gid) == (user, None, None)


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ("LD_PRELOAD=/x.so", "LD_PRELOAD=/x.so"),
        ("LD_AUDIT=/x.so", "LD_AUDIT"),
        ("NVIDIA_VISIBLE_DEVICES=0,1", "NVIDIA_VISIBLE_DEVICES=0,1"),
    ],
)
async def test_variables_that_reach_beyond_the_container(server: Registry, entry: str, told: str) -> None:
    server.add("1", {"Cmd": ["x"], "Env": ["A=b", entry]})
    refusal = await server.refused()
    assert refusal.reason is Reason.IMAGE_INVALID
    assert told in refusal.message


@pytest.mark.parametrize(
    "entry", ["NVIDIA_VISIBLE_DEVICES=all", "NVIDIA_VISIBLE_DEVICES=", "LD_PRELOAD=", "LD_LIBRARY_PATH=/x", 5]
)
async def test_variables_that_base_images_have(server: Registry, entry: object) -> None:
    server.add("1", {"Cmd": ["x"], "Env": [entry]})
    assert (await server.resolve()).cmd == ["x"]


async def test_a_mirror_is_asked_first_and_the_registry_where_it_has_not(
    two: tuple[Registry, Registry],
) -> None:
    server, mirror = two
    digest = server.add("1")
    both = {server.host, mirror.host}

    async def look() -> str:
        found = await resolve(f"{server.host}/algo:1", both, **{server.host: f"{mirror.host}/team"})
        return found.digest

    server.override = lambda request: web.Response(status=500)
    mirror.manifests, mirror.blobs = server.manifests, server.blobs
    assert await look() == digest
    assert server.requests == []
    mirror.override = lambda request: web.Response(status=404)
    with pytest.raises(ImageError) as caught:
        await look()
    assert "HTTP 500" in caught.value.message
    assert f"mirror {mirror.host}: it has no such image" in caught.value.message


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A self-signed certificate for loopback; its key is beside it."""
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    subject_ = ["-days", "2", "-subj", "/CN=r", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(tmp_path / "tls.key"), "-out", str(tmp_path / "tls.crt")]
    subprocess.run([*command, *subject_, *files], check=True, capture_output=True)
    return tmp_path / "tls.crt"


async def test_an_authority_of_the_installations_own(certificate: Path) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=b"{}")

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    authority = certificate.read_text()  # noqa: ASYNC240
    async with served(answer, context) as url:
        place = Endpoint(host=url.removeprefix("https://"), repository="a")
        order = Order(endpoints=[place], kind="manifests", version="1")
        with pytest.raises(RegistryError, match="certificate"):
            await transport.fetch_anonymously(order)
        trusting = order.model_copy(update={"ca": authority})
        assert await transport.fetch_anonymously(trusting) == b"{}"
        with pytest.raises(RegistryError, match=r"registries\.ca"):
            await transport.fetch_anonymously(order.model_copy(update={"ca": "no certificate"}))
