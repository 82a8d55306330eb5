"""The work itself: queues fed by the store, workers that reconcile, and a resync that heals what was missed."""

from __future__ import annotations

import asyncio
import functools
import logging
import random
from collections.abc import Callable
from typing import NoReturn

from algorithm_operator.controller.context import Context, Key, Kind, Reconcile
from algorithm_operator.controller.triggers import WATCHED, everything, keys_of
from algorithm_operator.kube.errors import ApiError, Conflict
from algorithm_operator.kube.queue import WorkQueue
from algorithm_operator.kube.resources import Resource
from algorithm_operator.kube.store import Change

RECONCILE_SECONDS = 180.0
"""More than the slowest honest reconcile: an image look-up, or a few requests with all their retries."""
RESYNC_SECONDS = 300.0
_ALGORITHM_WORKERS, _STORE_WORKERS, _IMPORT_WORKERS = 16, 4, 4
"""Those of Algorithms mostly wait for registries, and a few that do not answer must not hold up all others."""

log = logging.getLogger(__name__)


class NotLeading(Exception):  # noqa: N818 - says it better
    """The Lease is lost: nothing more may be written."""


class Loop:
    """Brings every object on. Kinds have queues of their own: a slow registry never holds jobs up."""

    def __init__(self, context: Context, reconcile: Reconcile, leading: Callable[[], bool]) -> None:
        self._context, self._reconcile, self._leading = context, reconcile, leading
        self.queues: dict[Kind, WorkQueue[Key]] = {
            "Algorithm": WorkQueue(),
            "AlgorithmJob": WorkQueue(),
            "DataStore": WorkQueue(),
            "ImageImport": WorkQueue(),
        }
        context.store.subscribe(self._changed)
        for kind, queue in self.queues.items():
            watch = context.metrics.watch
            watch("queue_depth", "Objects that wait for a worker.", queue.__len__, kind=kind)
            delayed = functools.partial(getattr, queue, "delayed")
            watch("queue_delayed", "Objects that wait for a time.", delayed, kind=kind)

    def _changed(self, change: Change) -> None:
        for key in keys_of(change, self._context.store):
            self.queues[key.kind].add(key)

    @property
    def stalled_seconds(self) -> float:
        """How long objects of some kind have waited without any worker taking one."""
        return max(queue.stalled_seconds for queue in self.queues.values())

    async def fill(self) -> None:
        """Read everything that is watched into the store, so that the first decisions see the whole picture."""
        for resource in WATCHED:
            for namespace in self._scopes():
                bodies, _ = await self._context.client.list(
                    resource, namespace, label_selector=WATCHED[resource]
                )
                for body in bodies:
                    # Items of a list carry no kind of their own.
                    self._context.store.put(resource, {**body, **_typed(resource)})

    async def run(self) -> None:
        """Work until cancelled; an exception here means that the process cannot go on."""
        workers: dict[Kind, int] = {
            "Algorithm": _ALGORITHM_WORKERS,
            "AlgorithmJob": self._context.settings.workers,
            "DataStore": _STORE_WORKERS,
            "ImageImport": _IMPORT_WORKERS,
        }
        async with asyncio.TaskGroup() as tasks:
            for kind, queue in self.queues.items():
                for _ in range(workers[kind]):
                    tasks.create_task(self._work(queue))
            tasks.create_task(self._resync())

    async def _work(self, queue: WorkQueue[Key]) -> NoReturn:
        while True:
            key = await queue.get()
            try:
                await self._look(key, queue)
            finally:
                queue.done(key)

    async def _look(self, key: Key, queue: WorkQueue[Key]) -> None:
        if not self._leading():
            raise NotLeading
        clock = self._context.clock
        started = clock.monotonic()
        try:
            async with asyncio.timeout(RECONCILE_SECONDS):
                seconds = await self._reconcile(key, self._context)
        except Exception as error:
            result = "error"
            delay = queue.retry(key)
            # Conflicts and refusals are the cluster's daily life; anything else is a defect and shows where.
            expected = isinstance(error, ApiError | TimeoutError)
            log.log(
                logging.INFO
                if isinstance(error, Conflict)
                else logging.WARNING
                if expected
                else logging.ERROR,
                "reconcile failed, again in %.1f s: %s",
                delay,
                str(error) or type(error).__name__,
                exc_info=not expected,
                extra={"key": str(key), "uid": self._uid(key)},
            )
        else:
            result = "ok"
            queue.forget(key)
            if seconds is not None:
                queue.add_after(key, seconds)
        self._context.metrics.reconciled(key.kind, result, clock.monotonic() - started)

    def _uid(self, key: Key) -> str | None:
        for resource in WATCHED:
            if resource.kind == key.kind and (
                body := self._context.store.get(resource, key.namespace, key.name)
            ):
                return str(body["metadata"].get("uid"))
        return None

    async def _resync(self) -> NoReturn:
        while True:
            await asyncio.sleep(RESYNC_SECONDS)
            try:
                await self.prune()
            except ApiError as error:
                log.warning("the store was not compared with the cluster: %s", error)
            # Spread, so that a resync of many objects is no burst.
            for key in dict.fromkeys(everything(self._context.store)):
                self.queues[key.kind].add_after(key, random.uniform(0, RESYNC_SECONDS / 2))  # noqa: S311

    async def prune(self) -> None:
        """Drop what the cluster no longer has: no watch reports what was deleted while it was down."""
        store = self._context.store
        for resource, selector in WATCHED.items():
            for namespace in self._scopes():
                mark = store.mark()
                bodies, _ = await self._context.client.list(
                    resource, namespace, label_selector=selector, metadata_only=True
                )
                listed = {(b["metadata"].get("namespace") or "", b["metadata"]["name"]) for b in bodies}
                if count := store.prune(resource, namespace, listed, mark):
                    log.info("%d deleted %s had gone unreported", count, resource.plural)
                    self._context.metrics.pruned(resource.kind, count)

    def _scopes(self) -> tuple[str | None, ...]:
        return self._context.settings.watch_namespaces or (None,)


def _typed(resource: Resource) -> dict[str, str]:
    return {"apiVersion": resource.api_version, "kind": resource.kind}
