"""The Algorithms of a namespace and their sockets, as answers show them."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError

from algorithm_operator.api.catalogue import CATALOGUE
from algorithm_operator.api.interface import Interface, Socket
from algorithm_operator.contract.inputs_json import position, socket_object
from algorithm_operator.contract.kinds import KINDS
from algorithm_operator.contract.plan import PlannedSocket
from algorithm_operator.contract.sockets import planned_socket
from algorithm_operator.core.world import Algorithm
from algorithm_operator.gateway import shapes
from algorithm_operator.gateway.context import Gateway
from algorithm_operator.kube.resources import ALGORITHMS, Body

log = logging.getLogger(__name__)


async def algorithms(gateway: Gateway, namespace: str) -> list[Algorithm]:
    """All that this version can read, the eldest first."""
    bodies, _ = await gateway.cluster.list(ALGORITHMS, namespace)
    bodies.sort(key=lambda body: (body["metadata"].get("creationTimestamp") or "", body["metadata"]["name"]))
    return [found for body in bodies if (found := _read(body)) is not None]


async def sockets(gateway: Gateway, namespace: str) -> dict[str, PlannedSocket]:
    """Every socket that something can be given for, by slug: those of the namespace's Algorithms, and the common ones.

    A slug has one definition in a namespace: that of the eldest Algorithm.
    """
    found = {slug: _common(slug, namespace) for slug in CATALOGUE}
    for algorithm in reversed(await algorithms(gateway, namespace)):
        for interface in algorithm.spec.interfaces:
            for socket in (*interface.inputs, *interface.outputs):
                found[socket.slug] = planned_socket(socket, namespace, interface)
    return found


def socket_shape(socket: PlannedSocket) -> shapes.Socket:
    """A socket as answers show it."""
    return shapes.Socket.model_validate(socket_object(socket))


def value_shape(
    socket: PlannedSocket, pk: int, *, value: Any = None, file: str | None = None, image: str | None = None
) -> shapes.SocketValue:
    """A value of a socket as answers show it; `file` and `image` are URLs."""
    shape = socket_shape(socket)
    return shapes.SocketValue(socket=shape, interface=shape, value=value, file=file, image=image, pk=pk)


def interface_shape(interface: Interface, namespace: str) -> shapes.AlgorithmInterface:
    """An interface as answers show it."""
    return shapes.AlgorithmInterface(
        inputs=_shapes(interface.inputs, interface, namespace),
        outputs=_shapes(interface.outputs, interface, namespace),
    )


def _shapes(sockets: Iterable[Socket], interface: Interface, namespace: str) -> list[shapes.Socket]:
    planned = [planned_socket(socket, namespace, interface) for socket in sockets]
    return [socket_shape(socket) for socket in sorted(planned, key=position)]


def _common(slug: str, namespace: str) -> PlannedSocket:
    socket = Socket.model_validate({"slug": slug, **CATALOGUE[slug]})
    return planned_socket(socket, namespace, Interface(inputs=[socket], outputs=[socket]))


def _read(body: Body) -> Algorithm | None:
    """None for one that a later version wrote and this one does not understand: the others are shown all the same."""
    try:
        found = Algorithm.of(body)
    except ValidationError as error:
        log.warning("an Algorithm of %s cannot be read: %s", body["metadata"]["namespace"], error.title)
        return None
    return found if all(map(knows_kinds, found.spec.interfaces)) else None


def knows_kinds(interface: Interface) -> bool:
    """Whether this version knows what all its sockets are."""
    return all(socket.kind in KINDS for socket in (*interface.inputs, *interface.outputs))
