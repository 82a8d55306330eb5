"""Whether an Algorithm can be run here, but for its image: its sockets, its limits, its neighbours. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from algorithm_operator.api.algorithm import AlgorithmSpec
from algorithm_operator.api.reasons import Reason, sentence
from algorithm_operator.api.text import shown
from algorithm_operator.contract.sockets import definition_difference, spec_problem
from algorithm_operator.core.settings import PodSettings
from algorithm_operator.core.world import Algorithm


def refusal(
    spec: AlgorithmSpec, elders: Iterable[Algorithm], settings: PodSettings
) -> tuple[Reason, str] | None:
    """Why the Algorithm is not acceptable, or None. `elders`: the older Algorithms of its namespace."""
    if (why := spec_problem(spec)) is not None:
        return Reason.SPEC_INVALID, why
    gpu = spec.resources.gpu
    if gpu.count and gpu.type not in settings.gpu_types:
        known = ", ".join(sorted(settings.gpu_types)) or "none"
        return Reason.GPU_TYPE_UNKNOWN, sentence(Reason.GPU_TYPE_UNKNOWN, type=gpu.type, known=known)
    defined = {
        socket.slug: (other.name, socket)
        for other in reversed(list(elders))
        for interface in other.spec.interfaces
        for socket in [*interface.inputs, *interface.outputs]
    }
    for interface in spec.interfaces:
        for socket in [*interface.inputs, *interface.outputs]:
            if socket.slug not in defined:
                continue
            name, known_socket = defined[socket.slug]
            difference = definition_difference(socket, known_socket)
            if difference is not None:
                return Reason.SOCKET_CONFLICT, sentence(
                    Reason.SOCKET_CONFLICT, slug=socket.slug, other=name, difference=shown(difference, 400)
                )
    return None
