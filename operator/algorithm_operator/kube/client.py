"""A thin asynchronous client of the API server: JSON in, JSON out, typed errors, retries where they are safe."""

from __future__ import annotations

import asyncio
import json
import logging
import random
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal, Self, TypeVar

import aiohttp
import orjson

from algorithm_operator.kube import errors
from algorithm_operator.kube.connection import Connection
from algorithm_operator.kube.resources import PODS, Body, Resource
from algorithm_operator.kube.transport import Transport, WebSocket, decoded

T = TypeVar("T")
Bodies = list[Body]
Kept = list[T]
ContentType = Literal["merge", "json"]
OnRequest = Callable[[str, int, float], None]
"""Told of every answer: verb, HTTP status (0: none), seconds."""

log = logging.getLogger(__name__)

JSON_LEVELS = 40_000
"""`sys.setrecursionlimit` of every process that reads what tenants write: the API server stores JSON of 10,000 levels,
and Python's own limit of 1,000 would let one object stop every watch and list."""
MAX_PAGE_BYTES = 16 << 20
"""Of a list. Where a page has more, smaller ones are asked for: what tenants write has up to 1.5 MiB an object."""
MAX_TRIES = 5
_BACKOFF_FIRST, _BACKOFF_MAX, _RETRY_AFTER_MAX = 0.25, 4.0, 30.0
_METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_NOT_YAML = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
"""Such characters stand in JSON strings alone, where an escape means the same."""
_PATCH_TYPES = {"merge": "application/merge-patch+json", "json": "application/json-patch+json"}


def decode(answer: bytes) -> Any:
    """JSON, also of more levels than orjson takes: a job whose value is nested deeply is refused, not a way to stop us.

    Raises ValueError.
    """
    try:
        return orjson.loads(answer)
    except orjson.JSONDecodeError:
        try:
            return json.loads(answer)
        except RecursionError as error:
            raise ValueError("the JSON is nested too deeply") from error


class Client:
    """Requests to one API server. Every method may raise `errors.ApiError`; a request takes 15 s at most.

    Connection errors, 429 (Retry-After is honoured) and 5xx are retried with jittered backoff, for the verbs that
    can be repeated: get, list, apply, delete, pod_log, merge patches. `create` is repeated as well, as its names
    are deterministic: a repeated create that had got through raises AlreadyExists, and the caller looks.
    """

    def __init__(self, connection: Connection, on_request: OnRequest | None = None) -> None:
        self._transport = Transport(connection)
        self._on_request = on_request or (lambda verb, status, seconds: None)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End all connections."""
        await self._transport.close()

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Body | None:
        """The live object; None if there is none (404)."""
        try:
            return await self._json("get", "GET", resource.path(namespace, name))
        except errors.NotFound:
            return None

    async def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
        metadata_only: bool = False,
        limit: int = 500,
    ) -> tuple[Bodies, str]:
        """All objects (namespace None: of the cluster), fetched in pages of `limit`, and the list's resourceVersion.

        `metadata_only` asks for PartialObjectMetadata: apiVersion, kind and metadata alone.
        """

        async def all_of(page: Bodies) -> Bodies:
            return page

        query = {"labelSelector": label_selector, "fieldSelector": field_selector}
        headers = {"Accept": _METADATA_ONLY} if metadata_only else {}
        return await self._listed(resource.path(namespace), query, headers, limit, all_of)

    async def collect(
        self,
        resource: Resource,
        namespace: str | None,
        keep: Callable[[Body], T | None],
        *,
        field_selector: str = "",
    ) -> Kept[T]:
        """What `keep` makes of each object of a list; None leaves it out. It is called in a thread. One page of the
        list is in memory at a time, however long it is.
        """

        async def kept(page: Bodies) -> Kept[T]:
            return await asyncio.to_thread(
                lambda: [found for each in page if (found := keep(each)) is not None]
            )

        query = {"fieldSelector": field_selector}
        return (await self._listed(resource.path(namespace), query, {}, 500, kept))[0]

    async def create(self, resource: Resource, namespace: str | None, body: Body) -> Body:
        """Create; returns the object as stored. AlreadyExists if the name is taken."""
        return await self._json("create", "POST", resource.path(namespace), body=_filled(resource, body))

    async def apply(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        body: Body,
        *,
        subresource: str | None = None,
        field_manager: str,
        force: bool = True,
    ) -> Body:
        """Server-side apply; returns the object as stored. apiVersion, kind and metadata.name are filled in.

        With metadata.uid in `body` an object of another uid is a Conflict, so a status never lands on a successor.
        """
        return await self._json(
            "apply",
            "PATCH",
            resource.path(namespace, name, subresource),
            query={"fieldManager": field_manager, "force": "true" if force else "false"},
            body=_filled(resource, body, name),
            content_type="application/apply-patch+yaml",  # JSON is YAML
        )

    async def patch(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        body: Body | Bodies,
        *,
        content_type: ContentType = "merge",
        subresource: str | None = None,
    ) -> Body:
        """Merge patch (an object) or JSON patch (a list of operations); NotFound if there is no such object."""
        return await self._json(
            "patch",
            "PATCH",
            resource.path(namespace, name, subresource),
            body=body,
            content_type=_PATCH_TYPES[content_type],
            repeatable=content_type == "merge",
        )

    async def delete(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        *,
        uid: str | None = None,
        grace_seconds: int | None = None,
    ) -> bool:
        """Ask for deletion; False if it is gone already (404). `uid`: Conflict if the object is another one."""
        options: Body = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
        if uid is not None:
            options["preconditions"] = {"uid": uid}
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        try:
            await self._json("delete", "DELETE", resource.path(namespace, name), body=options)
        except errors.NotFound:
            return False
        return True

    async def pod_log(
        self,
        namespace: str,
        name: str,
        container: str,
        *,
        limit_bytes: int,
        tail_lines: int | None = None,
        previous: bool = False,
    ) -> bytes | None:
        """At most `limit_bytes` of the container's log as the kubelet has it; None if Pod or log is gone (404, 400)."""
        query = {
            "container": container,
            "limitBytes": str(limit_bytes),
            "previous": "true" if previous else "",
        }
        if tail_lines is not None:
            query["tailLines"] = str(tail_lines)
        path = PODS.path(namespace, name, "log")
        try:
            return (await self._request("log", "GET", path, query=query, headers={"Accept": "*/*"}))[
                :limit_bytes
            ]
        except errors.NotFound:
            return None
        except errors.ApiError as error:
            if error.status == 400:  # the container never started, or its log was rotated away
                return None
            raise

    async def websocket(self, path: str, query: Mapping[str, str], protocol: str) -> WebSocket:
        """A WebSocket of that subprotocol, which the caller closes; ApiError if the server answers anything else."""
        for last in (False, True):
            try:
                return await self._transport.websocket(path, query, protocol)
            except errors.ApiError as error:
                if error.status != 401 or last:
                    raise
                self._transport.forget_token()
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                raise errors.Unreachable(
                    0, "Unreachable", f"GET {path}: {str(error) or type(error).__name__}"
                ) from error
        raise AssertionError("unreachable")

    # --- below: one request, with its retries

    async def _listed(
        self,
        path: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        limit: int,
        take: Callable[[Bodies], Awaitable[Kept[T]]],
    ) -> tuple[Kept[T], str]:
        for last in (False, True):
            try:
                return await self._pages(path, query, headers, limit, take)
            except errors.Gone:  # the continue token outlived its snapshot: once more from the start
                if last:
                    raise
        raise AssertionError("unreachable")

    async def _pages(
        self,
        path: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        limit: int,
        take: Callable[[Bodies], Awaitable[Kept[T]]],
    ) -> tuple[Kept[T], str]:
        items: Kept[T] = []
        token = ""
        while True:
            whole = {**query, "limit": str(limit), "continue": token}
            most = MAX_PAGE_BYTES if limit > 1 else None
            try:
                page = await self._json("list", "GET", path, query=whole, headers=headers, most=most)
            except _TooLongError:
                limit //= 2
                continue
            items += await take(page.get("items") or [])
            token = page["metadata"].get("continue") or ""
            if not token:
                return items, str(page["metadata"].get("resourceVersion", ""))

    async def _json(self, verb: str, method: str, path: str, **options: Any) -> Body:
        body = decode(await self._request(verb, method, path, **options))
        if not isinstance(body, dict):
            raise errors.ApiError(0, "BadAnswer", f"{method} {path}: the answer is not a JSON object")
        return body

    async def _request(
        self,
        verb: str,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: object = None,
        content_type: str = "application/json",
        repeatable: bool = True,
        most: int | None = None,
    ) -> bytes:
        backoff = _BACKOFF_FIRST
        for attempt in range(1, MAX_TRIES + 1):
            started = time.monotonic()
            wait: float | None = None
            failure: errors.ApiError
            try:
                status, retry_after, answer = await self._once(
                    method, path, query, headers, body, content_type, most
                )
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                status = 0
                failure = errors.Unreachable(
                    0, "Unreachable", f"{method} {path}: {str(error) or type(error).__name__}"
                )
            else:
                if 200 <= status < 300:
                    self._on_request(verb, status, time.monotonic() - started)
                    return answer
                failure = errors.from_status(status, decoded(answer))
                wait = retry_after
            self._on_request(verb, status, time.monotonic() - started)
            if status == 401:
                self._transport.forget_token()
            again = status in (401, 429) or (repeatable and (status == 0 or status >= 500))
            if not again or attempt == MAX_TRIES or (status == 401 and attempt > 1):
                raise failure
            log.debug("%s %s is tried again: %s", method, path, failure)
            await asyncio.sleep(backoff * random.uniform(0.5, 1) if wait is None else wait)  # noqa: S311
            backoff = min(2 * backoff, _BACKOFF_MAX)
        raise AssertionError("unreachable")

    async def _once(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        headers: Mapping[str, str] | None,
        body: object,
        content_type: str,
        most: int | None,
    ) -> tuple[int, float | None, bytes]:
        sent = {"Accept": "application/json", **(headers or {})}
        if body is not None:
            sent["Content-Type"] = content_type
        async with self._transport.request(
            method,
            path,
            query={key: value for key, value in (query or {}).items() if value},
            headers=sent,
            body=None if body is None else _encoded(body),
        ) as response:
            answer = await (response.read() if most is None else _at_most(response, most))
            return response.status, _retry_after(response.headers), answer


class _TooLongError(Exception):
    """An answer has more bytes than were asked for."""


async def _at_most(response: aiohttp.ClientResponse, most: int) -> bytes:
    answer = bytearray()
    async for piece in response.content.iter_any():
        answer += piece
        if len(answer) > most:
            raise _TooLongError
    return bytes(answer)


def _encoded(body: object) -> bytes:
    """JSON that is YAML as well: the API server reads an apply as YAML, which refuses or folds some characters."""
    text = orjson.dumps(body)
    if text.isascii() and b"\x7f" not in text:
        return text
    return _NOT_YAML.sub(lambda match: f"\\u{ord(match[0]):04x}", text.decode()).encode()


def _filled(resource: Resource, body: Body, name: str | None = None) -> Body:
    metadata = {**(body.get("metadata") or {}), **({"name": name} if name is not None else {})}
    return {"apiVersion": resource.api_version, "kind": resource.kind, **body, "metadata": metadata}


def _retry_after(headers: Mapping[str, str]) -> float | None:
    value = headers.get("Retry-After", "")
    return min(float(value), _RETRY_AFTER_MAX) if value.isascii() and value.isdecimal() else None
