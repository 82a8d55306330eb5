"""The process: its parts put together, the server, and what is done again and again beside requests."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

from algorithm_operator.gateway import importing, uploaduse
from algorithm_operator.gateway.app import make_app
from algorithm_operator.gateway.authentication import Authentication
from algorithm_operator.gateway.authorization import Reviews
from algorithm_operator.gateway.context import Gateway
from algorithm_operator.gateway.database.engine import SqlDatabase
from algorithm_operator.gateway.envelope import trace
from algorithm_operator.gateway.server import Patience, Server
from algorithm_operator.gateway.settings import Settings
from algorithm_operator.gateway.stores import Stores
from algorithm_operator.gateway.tls import Certificate
from algorithm_operator.kube.client import Client
from algorithm_operator.kube.clock import Clock
from algorithm_operator.kube.connection import Connection

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Chore:
    """What is done beside requests, every so many seconds."""

    what: str
    seconds: float
    work: Callable[[Gateway], Awaitable[object]]


CHORES = (
    Chore("the imports of images", 15.0, importing.refresh_all),
    Chore("uploads that nothing uses", 3600.0, uploaduse.sweep),
)


async def run(settings: Settings, connection: Connection) -> None:
    """Serve until SIGTERM. The tables are of this version already (database/engine.py, `migrate`)."""
    async with AsyncExitStack() as stack:
        cluster = await stack.enter_async_context(Client(connection))
        database = await stack.enter_async_context(SqlDatabase(settings.database))
        stores = await stack.enter_async_context(Stores(cluster, f"gateway {os.uname().nodename}", Clock()))
        gateway = Gateway(settings, cluster, database, stores)
        app = make_app(gateway, Authentication(gateway, Reviews(cluster)))
        certificate = certificate_of(settings)
        tls = None if certificate is None else certificate.context
        server = Server(app, settings.host, settings.port, tls, Patience())
        for chore in CHORES:
            await stack.enter_async_context(beside(again_and_again(chore, gateway)))
        if certificate is not None:
            await stack.enter_async_context(beside(certificate.watch()))
        log.info("serving at %s:%d", settings.host, settings.port)
        await server.serve()
        log.info("stopped")


def certificate_of(settings: Settings) -> Certificate | None:
    """None: plain HTTP, for whatever ends TLS before us on the same machine."""
    if settings.tls_certificate is None or settings.tls_key is None:
        return None
    return Certificate(settings.tls_certificate, settings.tls_key)


async def again_and_again(chore: Chore, gateway: Gateway) -> None:
    """For ever; what fails is told in the log, and done again at the next time."""
    while True:
        try:
            await chore.work(gateway)
        except Exception as error:  # whatever it is, the next time may be better, and requests go on
            log.exception("%s: not done", chore.what, exc_info=False, extra={"exception": trace(error)})
        await asyncio.sleep(chore.seconds)


@contextlib.asynccontextmanager
async def beside(work: Awaitable[None]) -> AsyncIterator[None]:
    """`work` as long as the body takes."""
    task = asyncio.ensure_future(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
