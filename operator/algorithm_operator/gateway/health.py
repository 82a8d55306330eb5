"""Whether requests can be answered: by the database and by the API server."""

from __future__ import annotations

import asyncio
import logging

from sqlalchemy import text

from algorithm_operator.gateway.context import Gateway
from algorithm_operator.gateway.envelope import trace
from algorithm_operator.gateway.remembered import Remembered
from algorithm_operator.kube import errors as kube
from algorithm_operator.kube.resources import TOKEN_REVIEWS

log = logging.getLogger(__name__)

HOLDS_SECONDS = 5.0
"""Anybody may ask: no more often are those two asked."""
WAIT_SECONDS = 5.0
NO_TOKEN = "readiness"


class Readiness:
    """Of one gateway."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._known: Remembered[str] = Remembered(size=1)

    async def why_not(self) -> str:
        """Empty if it is ready; else what does not answer. The log says more."""
        return await self._known.get(b"", self._ask)

    async def _ask(self) -> tuple[str, float]:
        for what, work in (("the database", self._database), ("the API server", self._api_server)):
            try:
                async with asyncio.timeout(WAIT_SECONDS):
                    await work()
            except kube.ApiError as error:
                log.warning("not ready: %s: %s", what, error)
            except Exception as error:  # whatever a database's driver may raise
                log.warning("not ready: %s", what, extra={"exception": trace(error)})
            else:
                continue
            return f"{what} does not answer", HOLDS_SECONDS
        return "", HOLDS_SECONDS

    async def _database(self) -> None:
        await self._gateway.database.run(lambda session: session.execute(text("SELECT 1")).scalar_one())

    async def _api_server(self) -> None:
        # The very question that every request needs: no right for anything else is asked of the cluster.
        await self._gateway.cluster.create(TOKEN_REVIEWS, None, {"spec": {"token": NO_TOKEN}})
