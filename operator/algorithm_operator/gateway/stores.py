"""The store Pods that the gateway uses: their Leases are kept while they are needed and for a while after that."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Self

from algorithm_operator.api.text import quoted, shown
from algorithm_operator.core import names
from algorithm_operator.core.storelease import (
    ANSWER_SECONDS,
    READY_SECONDS,
    RENEW_SECONDS,
    is_ready,
    lease,
    renewal,
    why_not_ready,
)
from algorithm_operator.gateway.storage import StoreRefused, StoreUnavailable
from algorithm_operator.gateway.storehttp import Stream
from algorithm_operator.gateway.storepod import StorePod
from algorithm_operator.kube import errors
from algorithm_operator.kube.client import Client
from algorithm_operator.kube.clock import Clock
from algorithm_operator.kube.portforward import port_stream
from algorithm_operator.kube.resources import DATASTORES, LEASES, PODS

log = logging.getLogger(__name__)

KEEP_SECONDS = 300.0
"""How long a store Pod is kept after its last use."""
_LOOK_SECONDS = 0.5


@dataclass(slots=True)
class _Kept:
    """A store Pod in use; `ready` until a connection is lost."""

    namespace: str
    store: str
    pod: StorePod
    ready: bool = False
    waiting: asyncio.Task[None] | None = None


class Stores:
    """Implements `storage.Stores`. `holder` is who asks for store Pods, as their Leases name it."""

    def __init__(self, client: Client, holder: str, clock: Clock) -> None:
        self._client, self._holder, self._clock = client, holder, clock
        self._kept: dict[tuple[str, str], _Kept] = {}
        self._keeper: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._keeper = asyncio.create_task(self._keep(), name="store leases")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End all connections that nobody uses. The Leases are left to expire."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
            self._keeper = None
        kept, self._kept = list(self._kept.values()), {}
        waiting = [each.waiting for each in kept if each.waiting is not None]
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        await asyncio.gather(*(each.pod.close() for each in kept))

    async def store(self, namespace: str, name: str) -> StorePod:
        """A DataStore whose store Pod runs: it is started, and waited for.

        :raises StoreUnavailable: it does not come; the message says what keeps it.
        :raises StoreRefused: there is no such DataStore.
        """
        kept = self._kept.get((namespace, name))
        if kept is None:
            kept = self._kept[namespace, name] = self._new(namespace, name)
        kept.pod.touch()
        await self._wait(kept)
        kept.pod.touch()
        return kept.pod

    async def default(self, namespace: str) -> str | None:
        """The name of the DataStore that is for everything: the one that says so, or the only one.

        :raises StoreRefused: several say so.
        """
        try:
            stores, _ = await self._client.list(DATASTORES, namespace)
        except errors.ApiError as error:
            raise _no_answer(error) from error
        found = sorted(each["metadata"]["name"] for each in stores if each["spec"].get("default"))
        if len(found) > 1:
            listed = ", ".join(map(shown, found))
            raise StoreRefused(409, f"{listed} all say default: true; an admin leaves it at one DataStore.")
        if not found and len(stores) == 1:
            found = [stores[0]["metadata"]["name"]]
        return found[0] if found else None

    async def tend(self) -> None:
        """Renew the Leases of the store Pods that are needed, and let go of the others."""
        await asyncio.gather(*(self._tend(each) for each in list(self._kept.values())))

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            await self.tend()

    async def _tend(self, kept: _Kept) -> None:
        if kept.pod.idle_seconds > KEEP_SECONDS:
            self._kept.pop((kept.namespace, kept.store), None)
            await kept.pod.close()
            return
        try:
            await self._renew(kept)
        except (
            errors.ApiError
        ) as error:  # one of three chances is lost; a transfer that breaks says so itself
            log.warning(
                "the Lease of DataStore %s/%s: %s", kept.namespace, kept.store, shown(str(error), 500)
            )

    def _new(self, namespace: str, name: str) -> _Kept:
        async def connect(again: bool) -> Stream:
            if again:
                kept.ready = False
            await self._wait(kept)
            return await self._stream(kept)

        kept = _Kept(namespace, name, StorePod(name, connect, self._clock.monotonic))
        return kept

    async def _stream(self, kept: _Kept) -> Stream:
        pod = names.store_pod(kept.store)
        try:
            return await port_stream(self._client, kept.namespace, pod, names.STORE_PORT)
        except errors.Forbidden as error:
            raise StoreUnavailable(
                f"The gateway may not reach the files of DataStore {quoted(kept.store)}: {shown(error.message, 1000)}",
                retry_after=30,
            ) from error
        except errors.ApiError as error:
            raise ConnectionError(shown(str(error), 1000)) from error

    async def _wait(self, kept: _Kept) -> None:
        """Ask for the store Pod and wait until it serves, together with whoever else needs it."""
        if kept.ready:
            return
        if kept.waiting is None:
            kept.waiting = asyncio.create_task(self._make_ready(kept))
        await asyncio.shield(kept.waiting)

    async def _make_ready(self, kept: _Kept) -> None:
        try:
            if await self._client.get(DATASTORES, kept.namespace, kept.store) is None:
                self._kept.pop((kept.namespace, kept.store), None)
                where = f"in namespace {shown(kept.namespace)}"
                raise StoreRefused(404, f"There is no DataStore {quoted(kept.store)} {where}.")
            await self._renew(kept)
            await self._until_ready(kept)
            await self._until_answering(kept)
            kept.ready = True
        except errors.ApiError as error:
            raise _no_answer(error) from error
        finally:
            kept.waiting = None

    async def _renew(self, kept: _Kept) -> None:
        now, name = self._clock.now(), names.store_lease(kept.store)
        patch = renewal(self._holder, now)
        try:
            await self._client.patch(LEASES, kept.namespace, name, patch)
        except errors.NotFound:
            try:
                await self._client.create(LEASES, kept.namespace, lease(kept.store, self._holder, now))
            except errors.AlreadyExists:  # somebody else was quicker
                await self._client.patch(LEASES, kept.namespace, name, patch)

    async def _until_ready(self, kept: _Kept) -> None:
        deadline = self._clock.monotonic() + READY_SECONDS
        while True:
            pod = await self._client.get(PODS, kept.namespace, names.store_pod(kept.store))
            if pod is not None and is_ready(pod):
                return
            if self._clock.monotonic() > deadline:
                why = why_not_ready(await self._client.get(DATASTORES, kept.namespace, kept.store), pod)
                raise StoreUnavailable(
                    f"The store Pod of DataStore {quoted(kept.store)} is not ready after {READY_SECONDS} s: {why}",
                    retry_after=10,
                )
            await asyncio.sleep(_LOOK_SECONDS)

    async def _until_answering(self, kept: _Kept) -> None:
        async def connect(again: bool) -> Stream:
            return await self._stream(kept)

        deadline = self._clock.monotonic() + ANSWER_SECONDS
        asking = StorePod(kept.store, connect)
        try:
            while True:
                try:
                    await asking.stat(names.GATEWAY_FOLDER)
                    return
                except StoreUnavailable:
                    if self._clock.monotonic() > deadline:
                        raise
                await asyncio.sleep(_LOOK_SECONDS)
        finally:
            await asking.close()


def _no_answer(error: errors.ApiError) -> StoreUnavailable:
    return StoreUnavailable(
        f"The API server does not let the gateway go on: {shown(str(error), 500)}", retry_after=5
    )
