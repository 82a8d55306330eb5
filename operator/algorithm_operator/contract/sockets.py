"""Sockets with every default filled in, and the rules between sockets that no single one can show. Pure.

The API server checks most rules of one Algorithm already (CEL); here they hold whatever the installed CRD says,
and with them those that CEL cannot afford.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from algorithm_operator.api.algorithm import AlgorithmSpec
from algorithm_operator.api.interface import Interface, OverlaySegment, Socket
from algorithm_operator.api.text import quoted
from algorithm_operator.contract.interfaces import input_slugs
from algorithm_operator.contract.kinds import KINDS, SuperKind
from algorithm_operator.contract.paths import check_relative_path
from algorithm_operator.contract.plan import PlannedSocket


def socket_pk(namespace: str, slug: str) -> int:
    """The socket's integer key, as Grand Challenge's clients want it: 31 bits of sha256("namespace/slug")."""
    digest = hashlib.sha256(f"{namespace}/{slug}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def title_of(socket: Socket) -> str:
    """The title, by default made of the slug: `t1-mri` is "T1 mri"."""
    return socket.title or socket.slug.replace("-", " ").capitalize()


def is_image(kind: str) -> bool:
    """Whether sockets of that kind are a folder."""
    row = KINDS.get(kind)
    return row is not None and row.super_kind is SuperKind.IMAGE


def relative_path_of(socket: Socket) -> str:
    """The path below /input or /output, by default `images/<slug>`, or the slug with the kind's suffix."""
    if socket.relative_path:
        return socket.relative_path
    if is_image(socket.kind):
        return f"images/{socket.slug}"
    kind = KINDS.get(socket.kind)
    return socket.slug + (kind.suffixes[0] if kind is not None else ".json")


def planned_socket(socket: Socket, namespace: str) -> PlannedSocket:
    """The socket as the steps and the gateway get it."""
    return PlannedSocket(
        slug=socket.slug,
        title=title_of(socket),
        kind=socket.kind,
        relative_path=relative_path_of(socket),
        pk=socket_pk(namespace, socket.slug),
        overlay_segments=socket.overlay_segments,
        store_in_status=socket.store_in_status,
    )


def definition_difference(here: Socket, there: Socket) -> str | None:
    """How two definitions of one slug differ, for SocketConflict, or None: kind, path and segments, not titles.

    Whether a segment is shown at first is no difference, as at Grand Challenge.
    """
    if here.kind != there.kind:
        return f"kind {quoted(there.kind)} there, {quoted(here.kind)} here"
    if relative_path_of(here) != relative_path_of(there):
        return f"relativePath {quoted(relative_path_of(there))} there, {quoted(relative_path_of(here))} here"
    if _segments(here) != _segments(there):
        return "other overlaySegments"
    return None


def spec_problem(spec: AlgorithmSpec) -> str | None:
    """The first thing that is wrong with the interfaces of an Algorithm, as a sentence, or None."""
    seen: dict[str, Socket] = {}
    for number, interface in enumerate(spec.interfaces):
        for other in spec.interfaces[:number]:
            if input_slugs(other) == input_slugs(interface):
                return (
                    f"Interfaces {quoted(other.name)} and {quoted(interface.name)} have the same inputs; "
                    "a job could not tell them apart."
                )
        if problem := _interface_problem(interface):
            return f"Interface {quoted(interface.name)}: {problem}"
        for socket in [*interface.inputs, *interface.outputs]:
            known = seen.setdefault(socket.slug, socket)
            if difference := definition_difference(socket, known):
                return (
                    f"Interface {quoted(interface.name)}: socket {quoted(socket.slug)} is defined otherwise in an "
                    f"interface before it ({difference}); a slug has one definition."
                )
    return None


def _interface_problem(interface: Interface) -> str | None:
    for sockets, word in ((interface.inputs, "input"), (interface.outputs, "output")):
        slugs = [socket.slug for socket in sockets]
        if twice := next((slug for slug in slugs if slugs.count(slug) > 1), None):
            return f"{word} {quoted(twice)} stands there twice."
        for socket in sockets:
            if problem := _socket_problem(socket):
                return f"{word} {quoted(socket.slug)}: {problem}"
        if problem := _collision(sockets):
            return problem
    both = input_slugs(interface) & {socket.slug for socket in interface.outputs}
    if both:
        return f"{quoted(min(both))} is both an input and an output; give one of them another slug."
    return None


def _socket_problem(socket: Socket) -> str | None:
    kind = KINDS.get(socket.kind)
    if kind is None:
        return f"this version does not know kind {quoted(socket.kind)}; it knows {', '.join(KINDS)}."
    path = relative_path_of(socket)
    if why := check_relative_path(path, image=is_image(kind.label), suffixes=kind.suffixes):
        return f"relativePath {quoted(path)}: {why}."
    segments = socket.overlay_segments
    if kind.segments != bool(segments):
        return f"kind {kind.label} " + (
            "needs overlaySegments." if kind.segments else "has no overlaySegments."
        )
    return segments_problem(segments) if segments else None


def segments_problem(segments: Sequence[OverlaySegment]) -> str | None:
    """What is wrong with overlay segments, or None: their voxel values are 1..n, their names unique."""
    values = sorted(segment.voxel_value for segment in segments)
    if values != list(range(1, len(values) + 1)):
        listed = ", ".join(map(str, values[:16])) + (", …" if len(values) > 16 else "")
        return f"the voxel values of overlaySegments must be 1 to {len(values)} without a gap; they are {listed}."
    names = [segment.name for segment in segments]
    if twice := next((name for name in names if names.count(name) > 1), None):
        return f"two overlaySegments are named {quoted(twice)}."
    return None


def _collision(sockets: Sequence[Socket]) -> str | None:
    owner = {relative_path_of(socket): socket.slug for socket in reversed(sockets)}
    for socket in sockets:
        path = relative_path_of(socket)
        parents = [path.rsplit("/", cut)[0] for cut in range(1, path.count("/") + 1)]
        for taken in (path, *parents):
            if owner.get(taken, socket.slug) != socket.slug:
                return (
                    f"{quoted(socket.slug)} ({quoted(path)}) and {quoted(owner[taken])} ({quoted(taken)}) are in "
                    "each other's way; give one of them another relativePath."
                )
    return None


def _segments(socket: Socket) -> set[tuple[str, int]]:
    return {(segment.name, segment.voxel_value) for segment in socket.overlay_segments or []}
