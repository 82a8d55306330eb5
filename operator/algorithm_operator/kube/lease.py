"""Leader election by a Lease: one operator at a time acts, and one that cannot prove it is the leader ends.

The holder's clock is never trusted: a Lease has expired once we have watched it unchanged for its whole duration on
our own monotonic clock. Optimistic locking by resourceVersion decides between two that try at once.
"""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime

from algorithm_operator.kube import errors
from algorithm_operator.kube.client import Client
from algorithm_operator.kube.resources import LEASES, Body

log = logging.getLogger(__name__)


def unique_identity(host: str) -> str:
    """An identity that no other process ever has, with the host (the Pod's name) for people."""
    return f"{host}_{secrets.token_hex(8)}"


class Leadership:
    """A claim to the Lease `name`, held for `duration` seconds at a time."""

    def __init__(
        self,
        client: Client,
        namespace: str,
        name: str,
        identity: str,
        *,
        duration: float = 15.0,
        renew_every: float = 3.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._namespace, self._name, self._identity = namespace, name, identity
        self._duration, self._renew_every = duration, renew_every
        self._monotonic = monotonic
        self._lease: Body | None = None
        self._held_until = float("-inf")
        self._seen: tuple[object, object] = (None, None)
        self._seen_at = float("-inf")

    @property
    def held(self) -> bool:
        """Whether nobody else can hold the Lease now."""
        return self._monotonic() < self._held_until

    async def acquire(self) -> None:
        """Wait until the Lease is ours."""
        said = ""
        while not await self._attempt():
            holder = str(_spec(self._lease).get("holderIdentity") or "")
            if holder not in ("", said):
                log.info("lease %s/%s is held by %s; waiting", self._namespace, self._name, holder)
                said = holder
            await asyncio.sleep(self._renew_every * random.uniform(0.6, 1))  # noqa: S311
        log.info("lease %s/%s is ours as %s", self._namespace, self._name, self._identity)

    async def keep(self) -> None:
        """Renew until cancelled; returns only if the Lease is lost: taken by another, or not renewed in time."""
        while True:
            await asyncio.sleep(min(self._renew_every, max(0.0, self._held_until - self._monotonic())))
            if not self.held:
                log.error("lease %s/%s could not be renewed in time", self._namespace, self._name)
                return
            try:
                # A try that hangs must leave time for another one.
                async with asyncio.timeout(min(self._duration / 3, self._held_until - self._monotonic())):
                    if not await self._attempt():
                        log.error("lease %s/%s is no longer ours", self._namespace, self._name)
                        return
            except TimeoutError:
                continue

    async def release(self) -> None:
        """Give the Lease back, so that a successor takes over at once."""
        if self._lease is None or not self.held:
            return
        self._held_until = float("-inf")
        try:
            # What we know may be older than a renewal that was cut short, so: read, then write.
            self._lease = await self._client.get(LEASES, self._namespace, self._name)
            spec = _spec(self._lease)
            if spec.get("holderIdentity") == self._identity:
                await self._write(
                    {**spec, "holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": _micro_now()}
                )
        except errors.ApiError as error:
            log.warning("lease %s/%s was not released: %s", self._namespace, self._name, error)

    async def _attempt(self) -> bool:
        """Take or renew the Lease; False if another holds it. API errors mean: not now."""
        started = self._monotonic()  # the Lease runs from before the request, not from its answer
        try:
            if not self.held:
                self._lease = await self._client.get(LEASES, self._namespace, self._name)
                if not self._is_free(self._lease):
                    return False
            await self._write(self._claim())
        except errors.Conflict:
            # Someone wrote it in between: if it was another claimant, it shows at the next look.
            return await self._still_ours(started)
        except errors.NotFound:  # deleted under us: another may make it anew at once
            self._held_until = float("-inf")
            return False
        except errors.ApiError as error:
            log.warning("lease %s/%s: %s", self._namespace, self._name, error)
            return self.held
        self._held_until = started + self._duration
        return True

    async def _still_ours(self, started: float) -> bool:
        try:
            self._lease = await self._client.get(LEASES, self._namespace, self._name)
        except errors.ApiError as error:
            log.warning("lease %s/%s: %s", self._namespace, self._name, error)
            return self.held
        ours = _spec(self._lease).get("holderIdentity") == self._identity
        if not ours:
            self._held_until = float("-inf")
        elif not self.held:  # our own write whose answer was lost
            self._held_until = started
        return ours and self.held

    def _is_free(self, lease: Body | None) -> bool:
        spec = _spec(lease)
        holder = spec.get("holderIdentity")
        if lease is None or not holder or holder == self._identity:
            return True
        seen = (holder, lease["metadata"].get("resourceVersion"))
        if seen != self._seen:
            self._seen, self._seen_at = seen, self._monotonic()
            return False
        return self._monotonic() - self._seen_at > float(spec.get("leaseDurationSeconds") or self._duration)

    def _claim(self) -> Body:
        spec = _spec(self._lease)
        now = _micro_now()
        if spec.get("holderIdentity") == self._identity:
            return {**spec, "renewTime": now}
        return {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": max(1, round(self._duration)),
            "acquireTime": now,
            "renewTime": now,
            "leaseTransitions": int(spec.get("leaseTransitions") or 0) + (1 if self._lease else 0),
        }

    async def _write(self, spec: Body) -> None:
        if self._lease is None:
            body: Body = {"metadata": {"name": self._name}, "spec": spec}
            self._lease = await self._client.create(LEASES, self._namespace, body)
            return
        version = self._lease["metadata"]["resourceVersion"]
        body = {"metadata": {"resourceVersion": version}, "spec": spec}
        self._lease = await self._client.patch(LEASES, self._namespace, self._name, body)


def _spec(lease: Body | None) -> Body:
    return (lease or {}).get("spec") or {}


def _micro_now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
