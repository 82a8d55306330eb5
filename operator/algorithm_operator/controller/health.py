"""Probes and metrics over HTTP: /healthz, /readyz, /metrics."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

from aiohttp import web

from algorithm_operator.controller.metrics import Metrics

Check = Callable[[], str]
"""Empty: all is well; else what is wrong."""


class HealthServer:
    """Serves while it is entered. An operator that waits for the Lease is alive and ready: it stands by."""

    def __init__(
        self, port: int, metrics: Metrics, *, alive: Check, ready: Check, host: str | None = None
    ) -> None:
        self._host, self._port, self._metrics = host, port, metrics
        self._alive, self._ready = alive, ready
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/healthz", self._probe(self._alive))
        app.router.add_get("/readyz", self._probe(self._ready))
        app.router.add_get("/metrics", self._expose)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port).start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    def _probe(self, check: Check) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def answer(request: web.Request) -> web.Response:
            why = check()
            return web.Response(text=why or "ok", status=503 if why else 200)

        return answer

    async def _expose(self, request: web.Request) -> web.Response:
        return web.Response(
            body=self._metrics.exposition(),
            headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"},
        )
