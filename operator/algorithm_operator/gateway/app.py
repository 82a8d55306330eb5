"""The API as one ASGI app: the resources' routers, what is answered without a token, and the layers around them.

A request passes Envelope, Bounds, the route's own dependencies (who asks: context.py), the view; what is raised on the
way is answered by handlers.py.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence

import orjson
from fastapi import APIRouter, Depends, FastAPI, Request, Response

from algorithm_operator import __version__
from algorithm_operator.gateway import (
    algorithms,
    archiveitems,
    archives,
    files,
    images,
    jobs,
    schema,
    sessions,
    sockets,
    uploads,
)
from algorithm_operator.gateway.answers import answer
from algorithm_operator.gateway.bounds import Bounds, Limits
from algorithm_operator.gateway.context import Caller, Gateway
from algorithm_operator.gateway.envelope import Envelope
from algorithm_operator.gateway.handlers import handle, malformed
from algorithm_operator.gateway.health import Readiness
from algorithm_operator.gateway.shapes import Versions
from algorithm_operator.gateway.urls import API

Authenticate = Callable[[Request], Awaitable[Caller]]

ROUTERS: Sequence[APIRouter] = (
    jobs.router,
    algorithms.router,
    sockets.router,
    uploads.router,
    sessions.router,
    images.router,
    archiveitems.router,
    archives.router,
    files.router,
)
"""Of the resources. Order counts: a path with a name in it (archives/items/) stands before one with a pk there."""

GCAPI = Versions(latest_version="0.16.1", lowest_supported_version="0.13.0")
"""What our answers were made for: 0.16.1 is the newest version there is (an older one only warns that it is older);
before 0.13.0 the client asked for no versions and took results as dicts of other keys."""


def make_app(
    gateway: Gateway,
    authenticate: Authenticate,
    routers: Sequence[APIRouter] = ROUTERS,
    limits: Limits | None = None,
) -> FastAPI:
    """The whole gateway but the server."""

    async def known(request: Request) -> Caller:
        caller = await authenticate(request)
        gateway.memory.places.take(request.scope, caller.username)
        return caller

    app = FastAPI(
        title="Algorithm Operator gateway",
        version=__version__,
        summary="The part of Grand Challenge's REST API that running algorithms needs, for a Kubernetes namespace.",
        openapi_url=None,  # ours is at schema/, and its page would load scripts from elsewhere
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # the client follows no redirect of a POST
        generate_unique_id_function=lambda route: route.name,
        dependencies=[Depends(strict_json)],
    )
    app.state.gateway = gateway
    app.state.authenticate = known
    app.include_router(_open(Readiness(gateway)))
    for router in routers:
        app.include_router(router)
    handle(app)
    settings = gateway.settings
    bounds = limits or Limits(requests=settings.requests, json_bytes=settings.json_bytes)
    app.add_middleware(Bounds, limits=bounds, check=known, places=gateway.memory.places)
    app.add_middleware(Envelope)
    return app


async def strict_json(request: Request) -> None:
    """Python's parser takes NaN, Infinity, lone surrogates in several spellings, other encodings, and thousands of
    levels: nothing after us can keep them."""
    if request.method not in ("POST", "PATCH"):
        return
    try:
        if body := await request.body():
            orjson.loads(body)
    except json.JSONDecodeError as error:
        raise malformed(error.msg) from None


def _open(readiness: Readiness) -> APIRouter:
    """What needs no token."""
    router = APIRouter(tags=["client"])

    @router.get(f"{API}/gcapi/", response_model=Versions)
    async def get_versions() -> Response:
        """Which versions of the client `gcapi` can be used: its first request."""
        return answer(GCAPI)

    @router.get(f"{API}/schema/")
    async def get_document(request: Request) -> Response:
        """This API as an OpenAPI document."""
        return answer(schema.document(request.app))

    @router.get("/healthz", include_in_schema=False)
    async def alive() -> Response:
        return answer({"status": "ok"})

    @router.get("/readyz", include_in_schema=False)
    async def ready() -> Response:
        why = await readiness.why_not()
        return answer({"status": why or "ok"}, 503 if why else 200)

    return router
