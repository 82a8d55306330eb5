"""The whole gateway, put together as in its process, with all that is behind it in memory; on loopback, too."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from algorithm_operator.gateway import app
from algorithm_operator.gateway.authentication import Authentication
from algorithm_operator.gateway.authorization import Reviews
from algorithm_operator.gateway.database.engine import SqlDatabase, migrate
from algorithm_operator.gateway.server import Patience, Server
from algorithm_operator.gateway.tls import Certificate
from algorithm_operator.kube.resources import SUBJECT_ACCESS_REVIEWS, TOKEN_REVIEWS, Body, Resource
from tests.gateway.fakes import ALICE, BASE, Answer, FakeCluster, Service, settings
from tests.gateway.reviews import known

TOKEN = "alices-token"


class Reviewing(FakeCluster):
    """Knows the token of one person, who may do everything."""

    async def create(self, resource: Resource, namespace: str | None, body: Body) -> Body:
        if resource == TOKEN_REVIEWS:
            return {"status": known(ALICE) if body["spec"]["token"] == TOKEN else {}}
        if resource == SUBJECT_ACCESS_REVIEWS:
            return {"status": {"allowed": body["spec"]["user"] == ALICE}}
        return await super().create(resource, namespace, body)


@dataclass
class Whole(Service):
    """All of app.py, tokens and rights included."""

    cluster: FakeCluster = field(default_factory=Reviewing)

    def restart(self) -> None:
        super().restart()
        authentication = Authentication(self.gateway, Reviews(self.cluster))
        self.app = app.make_app(self.gateway, authentication)

    async def request(self, method: str, path: str, **options: Any) -> Answer:
        """As the other one, with a token."""
        headers = {"authorization": f"BEARER {TOKEN}", **(options.pop("headers", None) or {})}
        return await super().request(method, path, headers=headers, **options)


@asynccontextmanager
async def whole(folder: Path) -> AsyncIterator[Whole]:
    """On an empty database in `folder`."""
    chosen = settings(folder)
    migrate(chosen.database)
    async with SqlDatabase(chosen.database) as database:
        yield Whole(database, chosen, [])


@dataclass(frozen=True, slots=True)
class Address:
    """`base_url` is for gcapi.Client, `certificate` (PEM) is what it has to trust."""

    base_url: str
    certificate: Path


@asynccontextmanager
async def listening(service: Whole, folder: Path) -> AsyncIterator[Address]:
    """The real server, with a certificate of its own."""
    chain, key = _issued(folder)
    server = Server(service.app, "127.0.0.1", 0, Certificate(chain, key).context, Patience())
    serving = asyncio.create_task(server.serve())
    try:
        while not server.started:
            assert not serving.done(), "the server has not started"
            await asyncio.sleep(0.01)
        yield Address(f"https://127.0.0.1:{server.port}{BASE}", chain)
    finally:
        server.stop()
        await serving


def _issued(folder: Path) -> tuple[Path, Path]:
    """A certificate for loopback, and its key."""
    chain, key = folder / "tls.crt", folder / "tls.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=gateway", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(chain)],
        check=True, capture_output=True,
    )  # fmt: skip
    return chain, key
