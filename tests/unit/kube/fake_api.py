"""A small API server on loopback: objects with uid and resourceVersion, paging, selectors, preconditions, faults."""

from __future__ import annotations

import asyncio
import itertools
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web

from algorithm_operator.kube.connection import Connection

Body = dict[str, Any]
Fault = Callable[[web.Request], Awaitable[web.Response | None]]


@dataclass
class FakeApi:
    """`objects` by URL path; `requests` as they came; `faults` are asked, and used up, one a request."""

    objects: dict[str, Body] = field(default_factory=dict)
    requests: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    faults: list[Fault | None] = field(default_factory=list)
    tokens: set[str] | None = None
    _versions: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    url: str = ""

    def connection(self, **options: Any) -> Connection:
        return Connection(server=self.url, **options)

    def calls(self, method: str) -> int:
        return sum(1 for request in self.requests if request[0] == method)

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.requests.append((request.method, request.path, dict(request.query), body))
        self.headers.append(dict(request.headers))
        fault = self.faults.pop(0) if self.faults else None
        if fault is not None and (answer := await fault(request)) is not None:
            return answer
        if self.tokens is not None and request.headers.get("Authorization", "")[7:] not in self.tokens:
            return status(401, "Unauthorized", "Unauthorized")
        match request.method:
            case "GET":
                return self._get(request)
            case "POST":
                return self._create(request, orjson.loads(body))
            case "PATCH":
                return self._patch(request, orjson.loads(body))
            case "DELETE":
                return self._delete(request, orjson.loads(body))
        return status(405, "MethodNotAllowed", "no")

    def _get(self, request: web.Request) -> web.Response:
        if request.path in self.objects:
            return web.json_response(self.objects[request.path])
        below = sorted(path for path in self.objects if path.startswith(request.path + "/"))
        if not below and request.path.rpartition("/")[2] not in ("pods", "leases", "datastores"):
            return status(404, "NotFound", f"{request.path} not found")
        selector = request.query.get("labelSelector", "")
        items = [self.objects[path] for path in below if _selected(self.objects[path], selector)]
        start, limit = int(request.query.get("continue") or 0), int(request.query.get("limit") or 500)
        end = start + limit
        metadata = {"resourceVersion": "99", "continue": str(end) if end < len(items) else ""}
        page = items[start:end]
        if "PartialObjectMetadataList" in request.headers["Accept"]:
            page = [{"kind": "PartialObjectMetadata", "metadata": item["metadata"]} for item in page]
        return web.json_response({"kind": "List", "metadata": metadata, "items": page})

    def _create(self, request: web.Request, body: Body) -> web.Response:
        path = f"{request.path}/{body['metadata']['name']}"
        if path in self.objects:
            return status(409, "AlreadyExists", "already exists")
        version = next(self._versions)
        body["metadata"] |= {"uid": f"uid-{version}", "resourceVersion": str(version)}
        self.objects[path] = body
        return web.json_response(body, status=201)

    def _patch(self, request: web.Request, body: Any) -> web.Response:
        known = self.objects.get(request.path)
        if known is None:
            return status(404, "NotFound", "not found")
        if isinstance(body, list):
            return web.json_response(known)
        wanted = body.get("metadata", {}).get("resourceVersion")
        if wanted not in (None, known["metadata"]["resourceVersion"]):
            return status(409, "Conflict", "the object has been modified")
        uid = body.get("metadata", {}).get("uid")
        if uid not in (None, known["metadata"]["uid"]):
            causes = [{"reason": "FieldValueInvalid", "message": "immutable", "field": "metadata.uid"}]
            return status(422, "Invalid", "metadata.uid: field is immutable", causes=causes)
        merged = {**known, **{name: value for name, value in body.items() if name != "metadata"}}
        merged["metadata"] = {**known["metadata"], "resourceVersion": str(next(self._versions))}
        self.objects[request.path] = merged
        return web.json_response(merged)

    def _delete(self, request: web.Request, body: Body) -> web.Response:
        known = self.objects.get(request.path)
        if known is None:
            return status(404, "NotFound", "not found")
        if body.get("preconditions", {}).get("uid") not in (None, known["metadata"]["uid"]):
            return status(409, "Conflict", "the UID in the precondition does not match")
        del self.objects[request.path]
        return web.json_response(known)


def _selected(body: Body, selector: str) -> bool:
    labels = body["metadata"].get("labels") or {}
    return all(
        labels.get(k) == v for k, _, v in (term.partition("=") for term in selector.split(",") if term)
    )


def status(code: int, reason: str, message: str, *, headers: Any = None, **details: Any) -> web.Response:
    """A metav1.Status."""
    body = {"kind": "Status", "reason": reason, "message": message, "details": details, "code": code}
    return web.json_response(body, status=code, headers=headers)


def answers(code: int, reason: str = "", message: str = "", *, headers: Any = None) -> Fault:
    """A fault: that status instead of the answer."""

    async def fault(request: web.Request) -> web.Response:
        return status(code, reason, message, headers=headers)

    return fault


async def hangs_up(request: web.Request) -> None:
    """A fault: the connection is cut without an answer."""
    assert request.transport is not None
    request.transport.abort()
    await asyncio.sleep(1)


@asynccontextmanager
async def fake_api() -> AsyncIterator[FakeApi]:
    """Serve on a free port of loopback."""
    api = FakeApi()
    async with served(api.handle) as url:
        api.url = url
        yield api


@asynccontextmanager
async def served(
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]], tls: ssl.SSLContext | None = None
) -> AsyncIterator[str]:
    """The URL of a server on loopback that gives every request to `handler`."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what other tasks bring about, 5 s at most."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.002)
