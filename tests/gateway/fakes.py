"""The gateway without a cluster: a store in memory, a database in a temporary file, objects in a dict, ASGI calls."""

import asyncio
import hashlib
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import orjson
from fastapi import APIRouter, FastAPI, Request

from algorithm_operator.gateway.app import make_app
from algorithm_operator.gateway.context import Caller, Database, Gateway
from algorithm_operator.gateway.identity import Person, Resource, Rights, Verb
from algorithm_operator.gateway.settings import Settings
from algorithm_operator.gateway.storage import Reading, Stat, Stored, StoreRefused, StoreUnavailable
from algorithm_operator.gateway.urls import Urls
from algorithm_operator.kube import errors
from algorithm_operator.kube.client import Bodies, Client, ContentType, Kept
from algorithm_operator.kube.connection import Connection
from algorithm_operator.kube.resources import Body
from algorithm_operator.kube.resources import Resource as Kind

NAMESPACE, HOST, ALICE = "imaging", "gateway.test", "alice"
ORIGIN = f"https://{HOST}"
BASE = f"/{NAMESPACE}/api/v1/"
PIECE = 256 << 10


class MemoryStore:
    """`storage.Store` in a dict: bytes by path. `down` makes every method raise StoreUnavailable; `before` is called
    with the name of the method and its path and may raise; `lose_at`: a reading is lost once, after so many bytes.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.calls: list[tuple[str, str]] = []
        self.down = False
        self.before: Callable[[str, str], None] = lambda method, path: None
        self.lose_at: int | None = None

    def _called(self, method: str, path: str) -> None:
        self.calls.append((method, path))
        if self.down:
            raise StoreUnavailable("The store Pod is not ready.", retry_after=3)
        self.before(method, path)

    def _ours(self, path: str) -> str:
        if not path.startswith("gateway/") or any(each in ("", ".", "..") for each in path.split("/")):
            raise StoreRefused(400, f"{path!r} is not below gateway/")
        return path

    async def put(self, path: str, chunks: AsyncIterator[bytes], length: int) -> Stored:
        self._called("put", path)
        content = b"".join([chunk async for chunk in chunks])
        if len(content) != length:
            raise StoreRefused(400, f"{length} bytes were announced, {len(content)} came")
        return self.write(path, content)

    def write(self, path: str, content: bytes) -> Stored:
        """Put a file there, without a call."""
        self.files[self._ours(path)] = content
        return Stored(len(content), hashlib.sha256(content).hexdigest())

    async def compose(self, path: str, parts: Sequence[str]) -> Stored:
        self._called("compose", path)
        if len({path, *parts}) < len(parts) + 1:
            raise StoreRefused(400, "a part is named twice, or is the file itself")
        missing = [part for part in parts if part not in self.files]
        if missing and path not in self.files:
            raise StoreRefused(404, f"{missing[0]!r} is not there")
        if not missing:
            self.write(path, b"".join(self.files[self._ours(part)] for part in parts))
        for part in parts:
            self.files.pop(part, None)
        return self.write(path, self.files[path])

    async def gather(self, folder: str, files: Mapping[str, str]) -> None:
        self._called("gather", folder)
        targets = {path: f"{self._ours(folder)}/{name}" for name, path in files.items()}
        for path, target in targets.items():
            if path not in self.files and target not in self.files:
                raise StoreRefused(404, f"{path!r} is not there")
        for path, target in targets.items():
            if path in self.files:
                self.files[target] = self.files.pop(path)

    async def delete(self, path: str) -> None:
        self._called("delete", path)
        for each in [each for each in self.files if each == self._ours(path) or each.startswith(path + "/")]:
            del self.files[each]

    async def stat(self, path: str, *, sha256: bool = False) -> Stat | None:
        self._called("stat", path)
        if (content := self.files.get(path)) is not None:
            return Stat(len(content), sha256=hashlib.sha256(content).hexdigest() if sha256 else None)
        return Stat(0, folder=True) if any(each.startswith(path + "/") for each in self.files) else None

    async def list(self, path: str) -> list[dict[str, Any]]:
        self._called("list", path)
        entries: dict[str, dict[str, Any]] = {}
        for each, content in sorted(self.files.items()):
            if each.startswith(path + "/"):
                name, slash, _ = each[len(path) + 1 :].partition("/")
                size = 0 if slash else len(content)
                entries[name] = {"name": name, "type": "folder" if slash else "file", "size": size}
        return list(entries.values())

    @asynccontextmanager
    async def read(self, path: str, offset: int = 0, length: int | None = None) -> AsyncIterator[Reading]:
        self._called("read", path)
        if path not in self.files:
            raise FileNotFoundError(path)
        content = self.files[path]
        lose_at, self.lose_at = self.lose_at, None
        yield MemoryReading(content, offset, len(content) if length is None else offset + length, lose_at)


class MemoryReading:
    """`storage.Reading`; lost after `lose_at` bytes of it."""

    def __init__(self, content: bytes, start: int, end: int, lose_at: int | None) -> None:
        self.size = len(content)
        self._content, self._lose_at = content[start:end], lose_at

    async def __aiter__(self) -> AsyncIterator[bytes]:
        sent = 0
        while sent < len(self._content):
            piece = self._content[sent : sent + PIECE]
            if self._lose_at is not None and sent + len(piece) > self._lose_at:
                yield piece[: self._lose_at - sent]
                raise StoreUnavailable("The way to the store Pod was lost.")
            yield piece
            sent += len(piece)
            await asyncio.sleep(0)


@dataclass
class MemoryStores:
    """`storage.Stores`: one DataStore `data` in each namespace, unless `defaults` says otherwise."""

    stores: dict[tuple[str, str], MemoryStore] = field(default_factory=dict)
    defaults: dict[str, str | None] = field(default_factory=dict)

    async def store(self, namespace: str, name: str) -> MemoryStore:
        found = self.of(namespace, name)
        if found.down:
            raise StoreUnavailable("The store Pod is not ready.", retry_after=3)
        return found

    async def default(self, namespace: str) -> str | None:
        return self.defaults.get(namespace, "data")

    def of(self, namespace: str = NAMESPACE, name: str = "data") -> MemoryStore:
        """The store itself, for looking into it."""
        return self.stores.setdefault((namespace, name), MemoryStore())


class FakeCluster(Client):
    """`kube.client.Client` on a dict: bodies by (plural, namespace, name). No schema, no controllers."""

    def __init__(self, *bodies: tuple[Kind, Body]) -> None:
        super().__init__(Connection(server="http://api.test"))
        self.objects: dict[tuple[str, str | None, str], Body] = {}
        self.calls: list[tuple[str, str, str]] = []
        self.before: Callable[[str, str, str], None] = lambda verb, plural, name: None
        """Called with what is asked for; may raise, as a faulty API server would make the client do."""
        self._version = 0
        for resource, body in bodies:
            self.add(resource, body)

    def add(self, resource: Kind, body: Body) -> Body:
        """Put an object there; uid, creationTimestamp and the like are filled in, where they are missing."""
        self._version += 1
        namespace = body["metadata"].get("namespace", NAMESPACE) if resource.namespaced else None
        metadata: Body = {
            "namespace": namespace,
            "uid": str(uuid.uuid4()),
            "creationTimestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "generation": 1,
            **body["metadata"],
            "resourceVersion": str(self._version),
        }
        whole = {"apiVersion": resource.api_version, "kind": resource.kind, **body, "metadata": metadata}
        self.objects[resource.plural, namespace, metadata["name"]] = deepcopy(whole)
        return deepcopy(whole)

    def _called(self, verb: str, resource: Kind, name: str = "") -> None:
        self.calls.append((verb, resource.plural, name))
        self.before(verb, resource.plural, name)

    async def get(self, resource: Kind, namespace: str | None, name: str) -> Body | None:
        self._called("get", resource, name)
        return deepcopy(self.objects.get((resource.plural, namespace, name)))

    async def list(
        self,
        resource: Kind,
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
        metadata_only: bool = False,
        limit: int = 500,
    ) -> tuple[Bodies, str]:
        self._called("list", resource)
        found = [
            deepcopy(body)
            for (plural, of, _), body in sorted(self.objects.items(), key=lambda item: str(item[0]))
            if plural == resource.plural
            and namespace in (None, of)
            and all(_selects(term, body["metadata"].get("labels") or {}) for term in _terms(label_selector))
            and all(_selects(term, _Fields(body)) for term in _terms(field_selector))
        ]
        if metadata_only:
            found = [{"kind": "PartialObjectMetadata", "metadata": body["metadata"]} for body in found]
        return found, str(self._version)

    async def collect(
        self, resource: Kind, namespace: str | None, keep: Callable[[Body], Any], *, field_selector: str = ""
    ) -> Kept[Any]:
        found, _ = await self.list(resource, namespace, field_selector=field_selector)
        return [kept for body in found if (kept := keep(body)) is not None]

    async def create(self, resource: Kind, namespace: str | None, body: Body) -> Body:
        name = body["metadata"]["name"]
        self._called("create", resource, name)
        if (resource.plural, namespace, name) in self.objects:
            raise errors.AlreadyExists(409, "AlreadyExists", f"{resource.plural} {name!r} already exists")
        return self.add(resource, {**body, "metadata": {**body["metadata"], "namespace": namespace}})

    async def patch(
        self,
        resource: Kind,
        namespace: str | None,
        name: str,
        body: Body | Bodies,
        *,
        content_type: ContentType = "merge",
        subresource: str | None = None,
    ) -> Body:
        self._called("patch", resource, name)
        assert isinstance(body, dict), "merge patches alone"
        if (known := self.objects.get((resource.plural, namespace, name))) is None:
            raise errors.NotFound(404, "NotFound", f"{resource.plural} {name!r} not found")
        return self.add(resource, _merged(known, body))

    async def delete(
        self,
        resource: Kind,
        namespace: str | None,
        name: str,
        *,
        uid: str | None = None,
        grace_seconds: int | None = None,
    ) -> bool:
        self._called("delete", resource, name)
        known = self.objects.get((resource.plural, namespace, name))
        if known is not None and uid not in (None, known["metadata"]["uid"]):
            raise errors.Conflict(409, "Conflict", "the UID in the precondition does not match")
        return self.objects.pop((resource.plural, namespace, name), None) is not None


class _Fields:
    """Fields of an object by dotted path, as field selectors name them."""

    def __init__(self, body: Body) -> None:
        self._body = body

    def get(self, path: str) -> str:
        found: Any = self._body
        for key in path.split("."):
            found = found.get(key, {}) if isinstance(found, dict) else {}
        return "" if found == {} else str(found)


def _terms(selector: str) -> list[str]:
    return [term for term in selector.split(",") if term]


def _selects(term: str, values: Any) -> bool:
    if "!=" in term:
        key, _, value = term.partition("!=")
        return bool((values.get(key) or "") != value)
    key, equals, value = term.replace("==", "=").partition("=")
    return bool((values.get(key) or "") == value) if equals else bool(values.get(key))


def _merged(known: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    base = known if isinstance(known, dict) else {}
    changed = {key: _merged(base.get(key), value) for key, value in patch.items() if value is not None}
    return {key: value for key, value in base.items() if key not in patch} | changed


@dataclass
class FakeAuthorizer:
    """Allows all but what is in `denied`: (verb, resource), or (username, verb, resource)."""

    denied: set[tuple[str, ...]] = field(default_factory=set)

    async def may(
        self, person: Person, namespace: str, verb: Verb, resource: Resource, name: str | None = None
    ) -> bool:
        return not {(verb, resource), (person.username, verb, resource)} & self.denied


@dataclass(frozen=True)
class Answer:
    """What a request got: header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body; asserts that it says that it is JSON, and nothing more."""
        assert self.headers["content-type"] == "application/json"
        return orjson.loads(self.body)


class HungUp(Exception):  # noqa: N818
    """Raised by a body's iterator: the client has gone in the middle."""


@dataclass
class Service:
    """The gateway's app and all that is behind it. `username` asks; change it, or `authorizer.denied`, at will."""

    database: Database
    settings: Settings
    routers: Sequence[APIRouter]
    stores: MemoryStores = field(default_factory=MemoryStores)
    cluster: FakeCluster = field(default_factory=FakeCluster)
    authorizer: FakeAuthorizer = field(default_factory=FakeAuthorizer)
    username: str = ALICE
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """As a new process on the same volume: nothing that was in memory is left."""
        self.gateway = FakeGateway(self.settings, self.cluster, self.database, self.stores)
        self.gateway.clocks.append(self.clock)
        self.app = app_of(self, self.routers)

    @property
    def store(self) -> MemoryStore:
        """DataStore `data` of the namespace."""
        return self.stores.of()

    def caller(self, namespace: str = NAMESPACE, username: str | None = None) -> Caller:
        """Who asks."""
        person = Person(username or self.username)
        return Caller(self.gateway, Rights(person, namespace, self.authorizer), Urls(ORIGIN, namespace))

    async def request(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        body: bytes | AsyncIterator[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        on_piece: Callable[[bytes], Awaitable[None]] | None = None,
    ) -> Answer:
        """One request. `path` is an URL of this host, or a path; one without "/" at its start is below api/v1/.

        `on_piece` gets the answer's body as it comes, in place of `Answer.body`; if it raises HungUp, the client goes.
        """
        path = path.removeprefix(ORIGIN)
        path = path if path.startswith("/") else BASE + path
        sent = {"host": HOST, **{name.lower(): value for name, value in (headers or {}).items()}}
        if json is not None:
            body = orjson.dumps(json)
            sent["content-type"] = "application/json"
        if isinstance(body, bytes):
            sent.setdefault("content-length", str(len(body)))
        return await asgi(self.app, method, path, sent, body or b"", on_piece)

    async def get(self, path: str, **options: Any) -> Answer:
        """GET."""
        return await self.request("GET", path, **options)

    async def post(self, path: str, json: Any, **options: Any) -> Answer:
        """POST of JSON."""
        return await self.request("POST", path, json=json, **options)

    async def patch(self, path: str, json: Any = None, **options: Any) -> Answer:
        """PATCH of JSON, or of nothing."""
        return await self.request("PATCH", path, json=json, **options)


@dataclass(frozen=True, slots=True)
class FakeGateway(Gateway):
    """A gateway whose clock can be set: the last of `clocks` counts."""

    clocks: list[Callable[[], datetime]] = field(default_factory=list)

    def now(self) -> datetime:
        return self.clocks[-1]()


def app_of(service: Service, routers: Sequence[APIRouter]) -> FastAPI:
    """The gateway's app with some of its routers."""

    async def authenticate(request: Request) -> Caller:
        return service.caller(request.path_params["namespace"])

    return make_app(service.gateway, authenticate, routers)


async def asgi(
    app: Any,
    method: str,
    path: str,
    headers: Mapping[str, str],
    body: bytes | AsyncIterator[bytes],
    on_piece: Callable[[bytes], Awaitable[None]] | None = None,
) -> Answer:
    """One HTTP request to an ASGI app, without a socket."""
    raw_path, _, query = path.partition("?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "https",
        "path": unquote(raw_path),
        "raw_path": raw_path.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 1),
        "server": (HOST, 443),
    }
    pieces = _pieces(body) if isinstance(body, bytes) else body
    finished, gone = asyncio.Event(), False
    status, got, received = 0, {}, bytearray()
    complete = False

    async def receive() -> dict[str, Any]:
        nonlocal complete, gone
        if not gone and not complete:
            try:
                return {"type": "http.request", "body": await anext(pieces), "more_body": True}
            except StopAsyncIteration:
                complete = True
                return {"type": "http.request", "body": b"", "more_body": False}
            except HungUp:
                gone = True
        if not gone:
            await finished.wait()
        return {"type": "http.disconnect"}

    async def send(message: Mapping[str, Any]) -> None:
        nonlocal status, got, gone
        if message["type"] == "http.response.start":
            status = message["status"]
            got = {name.decode().lower(): value.decode() for name, value in message["headers"]}
            return
        if on_piece is None:
            received.extend(message.get("body", b""))
        elif not gone:
            try:
                await on_piece(message.get("body", b""))
            except HungUp:  # as with uvicorn, whoever sends hears of it by `receive` alone
                gone = True
                finished.set()
        if not message.get("more_body", False):
            finished.set()

    await app(scope, receive, send)
    return Answer(status, got, bytes(received))


async def _pieces(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), PIECE):
        yield body[start : start + PIECE]


def settings(folder: Path, **changes: Any) -> Settings:
    """Settings whose files are in `folder`."""
    return Settings(
        database=f"sqlite:///{folder / 'gateway.db'}", signing_key=folder / "signing-key", **changes
    )
