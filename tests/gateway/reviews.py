"""An API server on loopback that answers TokenReviews and SubjectAccessReviews."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web

from algorithm_operator.kube.client import Client
from algorithm_operator.kube.connection import Connection
from tests.unit.kube.fake_api import served, status

TOKENS = "/apis/authentication.k8s.io/v1/tokenreviews"
ACCESS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"


@dataclass
class Reviewer:
    """`people`: status of a TokenReview by token; `allowed`: what may be done, as (user, verb, name)."""

    people: dict[str, dict[str, Any]] = field(default_factory=dict)
    allowed: set[tuple[str, str, str | None]] = field(default_factory=set)
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    broken: int = 0
    """Answer with that HTTP status."""
    slow: float = 0.0
    arrivals: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    """One more with each request that has come."""
    goes_on: asyncio.Event = field(default_factory=asyncio.Event)
    """Set unless a test holds all answers back."""
    connection: Connection = field(init=False)
    client: Client = field(init=False)

    def __post_init__(self) -> None:
        self.goes_on.set()

    async def handle(self, request: web.Request) -> web.Response:
        spec = orjson.loads(await request.read())["spec"]
        self.asked.append((request.path, spec))
        await asyncio.sleep(self.slow)
        self.arrivals.release()
        await self.goes_on.wait()
        if self.broken:
            return status(
                self.broken, "Broken", "the gateway cannot create reviews", headers={"Retry-After": "0"}
            )
        if request.path == TOKENS:
            found = self.people.get(spec["token"], {"error": "invalid bearer token"})
        else:
            asks = spec["resourceAttributes"]
            found = {"allowed": (spec["user"], asks["verb"], asks.get("name")) in self.allowed}
        return web.json_response({"kind": "Review", "status": found}, status=201)

    def count(self, path: str) -> int:
        return sum(1 for each, _ in self.asked if each == path)


def known(username: str = "alice", **more: Any) -> dict[str, Any]:
    """The status of a good token."""
    user = {"username": username, "groups": ["system:authenticated"]}
    return {"authenticated": True, "audiences": ["algorithm-operator"], "user": user, **more}


@asynccontextmanager
async def reviewer() -> AsyncIterator[Reviewer]:
    """Serve, with a client of it."""
    server = Reviewer()
    async with served(server.handle) as url:
        server.connection = Connection(server=url)
        async with Client(server.connection) as server.client:
            yield server
