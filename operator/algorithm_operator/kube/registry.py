"""What an image reference means now: an anonymous look-up in its OCI registry. Answers are hostile until checked.

The registry decides what it answers, so: everything is bounded, bytes count only if their digest fits, redirects
are followed for blobs alone and never carry our token, and plain HTTP is spoken to registries that the
installation names.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import urljoin, urlsplit

import aiohttp
import orjson

from algorithm_operator import __version__
from algorithm_operator.api.algorithm import ResolvedImage
from algorithm_operator.api.reasons import Reason, sentence
from algorithm_operator.api.text import shown
from algorithm_operator.kube.reference import DIGEST, Reference, parse

MAX_MANIFEST_BYTES = 4 * 1024 * 1024
MAX_CONFIG_BYTES = 4 * 1024 * 1024
MAX_TOKEN_BYTES = 64 * 1024
MAX_REDIRECTS = 3
REQUEST_TIMEOUT = 15.0
RESOLVE_TIMEOUT = 60.0
_INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_CHALLENGE = re.compile(r'([a-zA-Z]+)="([^"\\]{0,2048})"')
_USER = re.compile(r"([0-9]{1,10})(?::([0-9]{1,10}))?")
_MAX_ID = 2**32 - 2


class ImageError(Exception):
    """Why an image cannot be used: a reason of the catalogue, and the facts of its sentence (display-safe)."""

    def __init__(self, reason: Reason, **facts: object) -> None:
        self.reason = reason
        self.facts = facts
        super().__init__(self.message)

    @property
    def message(self) -> str:
        """The catalogue's sentence, ready for a status."""
        return sentence(self.reason, **self.facts)

    @property
    def temporary(self) -> bool:
        """Whether the same look-up may succeed later without anyone changing the Algorithm."""
        return self.reason is Reason.REGISTRY_UNREACHABLE


async def resolve(reference: str, insecure_hosts: Collection[str] = ()) -> ResolvedImage:
    """Digest and configuration of the linux/amd64 image that `reference` names now; ImageError if there is none.

    The digest is that of the image's own manifest, even if `reference` names an index of several platforms.
    `uid` and `gid` are set if USER is numeric; gid = uid where USER names none: Docker would take the group from the
    image's /etc/passwd, else 0, which is root's; a Pod must name one that is neither unknown nor 0. Whether command
    and user are acceptable is for others to say (core/acceptable.py).
    """
    try:
        parsed = parse(reference)
    except ValueError as error:
        raise ImageError(
            Reason.SPEC_INVALID, why=f"spec.image.reference {shown(reference)} is not valid: {error}."
        ) from error
    look_up = _LookUp(parsed, shown(reference), parsed.host in insecure_hosts)
    try:
        async with asyncio.timeout(RESOLVE_TIMEOUT), look_up:
            return await look_up.image(reference)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise look_up.unreachable(str(error) or f"no answer within {REQUEST_TIMEOUT:g} s") from error


def _numeric(user: str) -> tuple[int, int] | None:
    match = _USER.fullmatch(user)
    if match is None:
        return None
    uid, gid = int(match[1]), int(match[2] if match[2] is not None else match[1])
    return (uid, gid) if max(uid, gid) <= _MAX_ID else None


class _LookUp:
    """The requests of one `resolve`."""

    def __init__(self, reference: Reference, display: str, insecure: bool) -> None:
        self._reference = reference
        self._display = display
        self._insecure = insecure
        self._base = f"{'http' if insecure else 'https'}://{reference.host}/v2/{reference.repository}/"
        self._token: str | None = None
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> None:
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=REQUEST_TIMEOUT),
            headers={"User-Agent": f"algorithm-operator/{__version__}", "Accept-Encoding": "identity"},
            trust_env=True,  # clusters behind a proxy
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
        )

    async def __aexit__(self, *_: object) -> None:
        assert self._session is not None  # noqa: S101
        await self._session.close()

    def unreachable(self, why: str) -> ImageError:
        return ImageError(Reason.REGISTRY_UNREACHABLE, image=self._display, why=shown(why))

    async def image(self, reference: str) -> ResolvedImage:
        manifest, digest = await self._manifest(self._reference.version)
        if _is_index(manifest):
            manifest, digest = await self._manifest(self._of_platform(manifest))
            if _is_index(manifest):
                raise self.unreachable("an index within an index")
        described = _mapping(manifest.get("config"))
        config = _mapping(_json(await self._blob(described)))
        if (platform := (config.get("os"), config.get("architecture"))) != ("linux", "amd64"):
            raise ImageError(Reason.IMAGE_PLATFORM, why=shown(f"it is for {platform[0]}/{platform[1]}"))
        run = _mapping(config.get("config"))
        user = _text("USER", run.get("User"), 255) or None
        ids = _numeric(user) if user else None
        entrypoint, cmd = _words("ENTRYPOINT", run.get("Entrypoint"), 64), _words("CMD", run.get("Cmd"), 256)
        return ResolvedImage(
            reference=reference,
            digest=digest,
            entrypoint=entrypoint,
            cmd=cmd,
            working_dir=_text("WORKDIR", run.get("WorkingDir"), 1024) or None,
            user=user,
            uid=ids[0] if ids else None,
            gid=ids[1] if ids else None,
            size_bytes=_size(manifest),
        )

    async def _manifest(self, version: str) -> tuple[Mapping[str, Any], str]:
        """The manifest or index and its digest, which is computed from its bytes."""
        accept = {"Accept": ", ".join((*_INDEXES, *_MANIFESTS))}
        status, _, body = await self._get(f"{self._base}manifests/{version}", accept, MAX_MANIFEST_BYTES)
        if status == 404:
            raise ImageError(Reason.IMAGE_NOT_FOUND, image=self._display)
        if status in (401, 403):
            raise ImageError(Reason.IMAGE_UNAUTHORIZED, image=self._display)
        if status != 200:
            raise self.unreachable(f"it answers HTTP {status}")
        digest = "sha256:" + hashlib.sha256(body).hexdigest()
        if DIGEST.fullmatch(version) and digest != version:
            raise self.unreachable(f"it answers with other bytes than {version}")
        manifest = _json(body)
        if not isinstance(manifest, dict) or not (
            _is_index(manifest) or isinstance(manifest.get("config"), dict)
        ):
            raise ImageError(Reason.IMAGE_PLATFORM, why="its manifest is not an OCI or Docker image")
        return manifest, digest

    def _of_platform(self, index: Mapping[str, Any]) -> str:
        offered: list[str] = []
        entries = index.get("manifests")
        for entry in entries if isinstance(entries, list) else []:
            platform = _mapping(_mapping(entry).get("platform"))
            name = f"{platform.get('os')}/{platform.get('architecture')}"
            digest = _mapping(entry).get("digest")
            if name == "linux/amd64" and isinstance(digest, str) and DIGEST.fullmatch(digest):
                return digest
            if name != "unknown/unknown":  # attestations
                offered.append(name)
        raise ImageError(
            Reason.IMAGE_PLATFORM, why=shown(f"it offers {', '.join(sorted(set(offered))) or 'nothing'}")
        )

    async def _blob(self, described: Mapping[str, Any]) -> bytes:
        digest = described.get("digest")
        if not isinstance(digest, str) or not DIGEST.fullmatch(digest):
            raise ImageError(Reason.IMAGE_PLATFORM, why="its manifest names no configuration")
        url = f"{self._base}blobs/{digest}"
        status, location, body = await self._get(url, {}, MAX_CONFIG_BYTES)
        for _ in range(MAX_REDIRECTS):
            if status not in (301, 302, 303, 307, 308) or location is None:
                break
            url = urljoin(url, location)
            self._check_scheme(url)
            status, location, body = await self._get(url, {}, MAX_CONFIG_BYTES)
        if status != 200:
            raise self.unreachable(f"it answers HTTP {status} for the image's configuration")
        if "sha256:" + hashlib.sha256(body).hexdigest() != digest:
            raise self.unreachable(f"it answers with other bytes than {digest}")
        return body

    async def _get(self, url: str, headers: Mapping[str, str], limit: int) -> tuple[int, str | None, bytes]:
        """Status, Location and body; asks for an anonymous token once if the registry wants one."""
        status, answer, body = await self._once(url, headers, limit)
        if status == 401 and self._token is None and self._is_ours(url):
            await self._log_in(answer.get("WWW-Authenticate", ""))
            status, answer, body = await self._once(url, headers, limit)
        return status, answer.get("Location"), body

    async def _once(
        self, url: str, headers: Mapping[str, str], limit: int
    ) -> tuple[int, Mapping[str, str], bytes]:
        assert self._session is not None  # noqa: S101
        sent = dict(headers)
        if self._token is not None and self._is_ours(url):
            sent["Authorization"] = f"Bearer {self._token}"
        async with self._session.get(url, headers=sent, allow_redirects=False) as response:
            body = bytearray()
            async for chunk in response.content.iter_chunked(65536):
                body += chunk
                if len(body) > limit:
                    raise self.unreachable(f"its answer is larger than {limit} bytes")
            return response.status, response.headers, bytes(body)

    async def _log_in(self, challenge: str) -> None:
        scheme, _, rest = challenge.partition(" ")
        fields = dict(_CHALLENGE.findall(rest)) if scheme.lower() == "bearer" else {}
        realm = fields.get("realm")
        if realm is None:
            raise ImageError(Reason.IMAGE_UNAUTHORIZED, image=self._display)
        self._check_scheme(realm)
        assert self._session is not None  # noqa: S101
        query = {"scope": f"repository:{self._reference.repository}:pull"}
        if service := fields.get("service"):
            query["service"] = service
        async with self._session.get(realm, params=query, allow_redirects=False) as response:
            body = await response.content.read(MAX_TOKEN_BYTES)
            if response.status in (401, 403):
                raise ImageError(Reason.IMAGE_UNAUTHORIZED, image=self._display)
            answer = _mapping(_json(body)) if response.status == 200 else {}
        token = answer.get("token") or answer.get("access_token")
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            raise self.unreachable(f"its token service answers HTTP {response.status} without a token")
        self._token = token

    def _is_ours(self, url: str) -> bool:
        """Whether `url` is the registry itself: nobody else is sent its token."""
        return url.startswith(self._base)

    def _check_scheme(self, url: str) -> None:
        parts = urlsplit(url)
        same_insecure = self._insecure and parts.scheme == "http" and parts.netloc == self._reference.host
        if not (same_insecure or (parts.scheme == "https" and parts.hostname)):
            raise self.unreachable(f"it refers to {parts.scheme}://{parts.netloc}, which is not https")


def _is_index(manifest: Mapping[str, Any]) -> bool:
    return manifest.get("mediaType") in _INDEXES or isinstance(manifest.get("manifests"), list)


def _json(body: bytes) -> object:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(what: str, value: object, limit: int) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ImageError(Reason.IMAGE_INVALID, why=f"its {what} is not text")
    if len(value) > limit:
        raise ImageError(
            Reason.IMAGE_INVALID,
            why=f"its {what} has {len(value)} characters, more than {limit} in one piece",
        )
    return value


def _words(what: str, value: object, limit: int) -> list[str] | None:
    """A list of words as `ResolvedImage` takes it."""
    if not value:
        return None
    if not isinstance(value, list):
        raise ImageError(Reason.IMAGE_INVALID, why=f"its {what} is not a list")
    if len(value) > limit:
        raise ImageError(Reason.IMAGE_INVALID, why=f"its {what} has {len(value)} words, more than {limit}")
    return [_text(what, word, 4096) for word in value]


def _size(manifest: Mapping[str, Any]) -> int | None:
    layers = manifest.get("layers")
    sizes = [_mapping(layer).get("size") for layer in layers] if isinstance(layers, list) else []
    return sum(size for size in sizes if isinstance(size, int) and 0 <= size < 2**50) or None
