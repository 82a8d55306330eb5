"""The canary: a TCP service that the operator itself reaches all the time, so that "closed" means something.

A closed port proves nothing unless it is known to be open elsewhere: the gate of a run Pod must find this one
closed, while the prober here, in a Pod that no policy seals, finds it open.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable

from algorithm_operator.contract.plan import Target
from algorithm_operator.kube.client import Client
from algorithm_operator.kube.errors import ApiError
from algorithm_operator.kube.resources import SERVICES

BANNER = b"algorithm-operator canary\n"
DIAL_SECONDS = 3.0
LOOK_UP_SECONDS = 60.0
"""The Service's address hardly ever changes: it is read that often, and whenever it does not answer."""

log = logging.getLogger(__name__)


class Canary:
    """Serves the canary port and dials it through its Service every few seconds."""

    def __init__(
        self,
        client: Client,
        namespace: str,
        service: str,
        port: int,
        *,
        interval: float = 5.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.last_reached: float | None = None
        """Monotonic time at which the Service last answered with the banner, at each of its addresses."""
        self._client = client
        self._namespace, self._service, self._port = namespace, service, port
        self._interval = interval
        self._monotonic = monotonic
        self._targets: list[Target] = []
        self._looked_up = float("-inf")
        self._why = ""

    def targets(self) -> list[Target]:
        """The Service's addresses for the gate, one for each IP family that it has; none while they are not known."""
        return self._targets

    @property
    def alive(self) -> bool:
        """Whether the Service answered in the last four intervals, at each of its addresses."""
        return self.last_reached is not None and self._monotonic() - self.last_reached < 4 * self._interval

    async def run(self) -> None:
        """Serve and probe until cancelled."""
        server = await asyncio.start_server(_answer, None, self._port)
        async with server:
            while True:
                await self.probe()
                await asyncio.sleep(self._interval if self.alive else min(1.0, self._interval))

    async def probe(self) -> None:
        """Look the Service up if that is due, and dial it once."""
        why = await self._look_up() or await self._dial()
        if why != self._why:
            log.log(logging.WARNING if why else logging.INFO, "canary: %s", why or "it answers")
            self._why = why

    async def _look_up(self) -> str:
        if self._targets and not self._why and self._monotonic() - self._looked_up < LOOK_UP_SECONDS:
            return ""
        try:
            service = await self._client.get(SERVICES, self._namespace, self._service)
        except ApiError as error:
            return "" if self._targets else f"Service {self._service} cannot be read: {error}"
        spec = (service or {}).get("spec") or {}
        addresses, ports = spec.get("clusterIPs") or [], spec.get("ports") or []
        if not addresses or "None" in addresses or not ports:
            self._targets = []
            return f"there is no Service {self._namespace}/{self._service} with an address of its own"
        port = int(ports[0]["port"])
        self._targets = [Target(name="canary", host=str(address), port=port) for address in addresses]
        self._looked_up = self._monotonic()
        return ""

    async def _dial(self) -> str:
        if not self._targets:
            return "its address is not known"
        for why in await asyncio.gather(*map(_reach, self._targets)):
            if why:
                return why
        self.last_reached = self._monotonic()
        return ""


async def _reach(target: Target) -> str:
    """Why the target does not answer with the banner; "" if it does."""
    try:
        async with asyncio.timeout(DIAL_SECONDS):
            reader, writer = await asyncio.open_connection(target.host, target.port)
            try:
                answer = await reader.read(len(BANNER))
            finally:
                writer.close()
    except (OSError, TimeoutError) as error:
        return f"{target.address} is not reached: {str(error) or 'timeout'}"
    return "" if answer == BANNER else f"{target.address} is answered by something else"


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The banner and goodbye; nothing is read."""
    with contextlib.suppress(OSError):
        writer.write(BANNER)
        await writer.drain()
        writer.close()
