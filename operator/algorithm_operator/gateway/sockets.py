"""components/interfaces/: the sockets, formerly component interfaces."""

from __future__ import annotations

from fastapi import APIRouter, Response

from algorithm_operator.contract.plan import PlannedSocket
from algorithm_operator.gateway import catalogue, shapes
from algorithm_operator.gateway.answers import Windowed, answer
from algorithm_operator.gateway.context import Caller, Calling
from algorithm_operator.gateway.errors import not_found
from algorithm_operator.gateway.identity import Resource, Verb
from algorithm_operator.gateway.urls import API

router = APIRouter(prefix=f"{API}/components/interfaces", tags=["sockets"])


@router.get("/", response_model=shapes.Page[shapes.Socket])
async def list_sockets(caller: Calling, window: Windowed, slug: str | None = None) -> Response:
    """The sockets of the namespace's Algorithms, and the common ones that every Algorithm knows."""
    found = [each for each in await _visible(caller) if slug is None or each.slug == slug]
    return window.page([catalogue.socket_shape(each) for each in window.part(found)], len(found))


@router.get("/{pk:int}/", response_model=shapes.Socket)
async def get_socket(caller: Calling, pk: int) -> Response:
    """One socket."""
    for each in await _visible(caller):
        if each.pk == pk:
            return answer(catalogue.socket_shape(each))
    raise not_found()


async def _visible(caller: Caller) -> list[PlannedSocket]:
    """By slug. What a socket is says no more than the Algorithms do: who may list them may see it."""
    if not await caller.rights.may(Verb.LIST, Resource.ALGORITHMS):
        return []
    return sorted(
        (await catalogue.sockets(caller.gateway, caller.namespace)).values(), key=lambda each: each.slug
    )
