"""The process: Lease, then kopf for login and watches, feeding our own store and queue. The one module that knows kopf.

kopf's handlers for events only hand objects to the store; they never act, and nothing is written through kopf.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import kopf

from algorithm_operator.api.base import GROUP
from algorithm_operator.controller.canary import Canary
from algorithm_operator.controller.config import Settings
from algorithm_operator.controller.context import Context, Reconcile
from algorithm_operator.controller.health import HealthServer
from algorithm_operator.controller.loop import Loop
from algorithm_operator.controller.metrics import Metrics
from algorithm_operator.controller.triggers import WATCHED
from algorithm_operator.core import names
from algorithm_operator.kube.client import Client
from algorithm_operator.kube.connection import Connection
from algorithm_operator.kube.lease import Leadership, unique_identity
from algorithm_operator.kube.resources import Resource
from algorithm_operator.kube.store import Store

STALLED_SECONDS = 600.0
"""No worker hangs that long in honest work: the kubelet then restarts us. How long one object waits says nothing, for
many slow registries make a long queue, and a restart would only begin it anew."""

log = logging.getLogger(__name__)


async def run(settings: Settings, connection: Connection, reconcile: Reconcile) -> None:
    """Stand by for the Lease, then work until SIGTERM. Losing the Lease ends the process on the spot."""
    metrics = Metrics()
    client = Client(connection, metrics.requested)
    canary = Canary(client, settings.namespace, settings.canary_service, settings.canary_port)
    leadership = Leadership(
        client, settings.namespace, settings.lease_name, unique_identity(settings.pod_name)
    )
    store = Store(indexed=[names.LABEL_JOB, names.LABEL_STORE])
    context = Context(client=client, store=store, settings=settings, canary=canary, metrics=metrics)
    loop = Loop(context, reconcile, lambda: leadership.held)
    metrics.watch("leading", "1 if this operator holds the Lease.", lambda: float(leadership.held))
    metrics.watch("canary_reached", "1 if the canary Service answers.", lambda: float(canary.alive))

    def alive() -> str:
        stalled = loop.stalled_seconds
        return f"no worker has taken an object for {stalled:.0f} s" if stalled > STALLED_SECONDS else ""

    probes = HealthServer(settings.metrics_port, metrics, alive=alive, ready=lambda: "")
    async with client, probes, _background(canary.run(), "the canary"), _ends_at_sigterm():
        await leadership.acquire()
        try:
            async with _background(_keep(leadership), "the Lease"):
                await loop.fill()
                async with _background(loop.run(), "the workers"):
                    log.info("watching %s", ", ".join(settings.watch_namespaces) or "all namespaces")
                    await _watch(settings, connection, store)
        finally:
            await leadership.release()


async def _watch(settings: Settings, connection: Connection, store: Store) -> None:
    """kopf's watches, until it is told to stop by a signal."""
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    async def login(**_: Any) -> kopf.ConnectionInfo:
        return kopf.ConnectionInfo(
            server=connection.server,
            ca_data=connection.ca_pem,
            insecure=not connection.verify,
            certificate_data=connection.certificate_pem,
            private_key_data=connection.key_pem,
            token=connection.read_token(),
            default_namespace=connection.namespace,
        )

    # kopf would make one from the user's name, which a uid in a container does not have.
    identity: Any = settings.pod_name
    for resource in WATCHED:
        _feed(registry, resource, store)
    await kopf.operator(
        registry=registry,
        settings=_kopf_settings(),
        standalone=True,
        identity=identity,
        clusterwide=not settings.watch_namespaces,
        namespaces=settings.watch_namespaces,
    )


def _feed(registry: kopf.OperatorRegistry, resource: Resource, store: Store) -> None:
    @kopf.on.event(
        resource.group, resource.version, resource.plural, registry=registry, id=f"feed-{resource.plural}"
    )
    async def feed(event: kopf.RawEvent, **_: Any) -> None:
        body: Any = event["object"]
        if event["type"] == "DELETED":
            store.delete(resource, body)
        else:
            store.put(resource, body)


def _kopf_settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    for resource, selector in WATCHED.items():
        if selector:
            settings.watching.label_selectors[resource.group, resource.version, resource.plural] = selector
    settings.watching.chunk_size = 500  # bounds the memory of a list
    settings.watching.server_timeout = 290
    settings.watching.client_timeout = 300
    settings.networking.request_timeout = 15
    settings.networking.error_backoffs = (0.5, 1, 2, 4, 8)
    settings.queueing.idle_timeout = 1  # a task, a queue and a body are kept that long for every object
    settings.persistence.diffbase_storage = _NullDiffBase()
    settings.persistence.finalizer = f"{GROUP}/never-used"
    settings.scanning.disabled = True  # the kinds are there before we start
    settings.posting.enabled = False
    settings.process.ultimate_exiting_timeout = 20
    return settings


class _NullDiffBase(kopf.DiffBaseStorage):
    """No essence of any object: kopf would copy every body in depth for handlers that we do not have."""

    def build(self, **_: Any) -> kopf.BodyEssence:
        return kopf.BodyEssence()

    def fetch(self, **_: Any) -> kopf.BodyEssence | None:
        return None

    def store(self, **_: Any) -> None:
        return None


async def _keep(leadership: Leadership) -> None:
    await leadership.keep()
    # Another may lead by now: nothing more may leave this process, not even in an orderly shutdown.
    log.critical("the Lease is lost; the process ends")
    logging.shutdown()
    os._exit(1)


@contextlib.asynccontextmanager
async def _background(work: Coroutine[Any, Any, None], what: str) -> AsyncIterator[None]:
    """`work` beside the body; if it ends by itself, so does the process: half an operator is worse than none."""

    def ended(task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            log.critical("%s ended unexpectedly", what, exc_info=task.exception())
            logging.shutdown()
            os._exit(1)

    task = asyncio.create_task(work, name=what)
    task.add_done_callback(ended)
    await asyncio.sleep(0)  # its own tasks are there before kopf is, which takes all later ones for its own
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@contextlib.asynccontextmanager
async def _ends_at_sigterm() -> AsyncIterator[None]:
    """SIGTERM and SIGINT cancel the body, until kopf takes the signals over."""
    task = asyncio.current_task()
    assert task is not None  # noqa: S101
    events = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        events.add_signal_handler(number, task.cancel)
    try:
        yield
    except asyncio.CancelledError:
        if task.uncancel() > 0:
            raise
        log.info("stopped by a signal")
