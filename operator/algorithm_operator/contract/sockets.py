"""Sockets with every default filled in, and how two definitions of one slug differ. Pure."""

from __future__ import annotations

import hashlib

from algorithm_operator.api.interface import Interface, Socket
from algorithm_operator.api.kinds import OVERLAY_KINDS, SocketKind
from algorithm_operator.api.text import quoted
from algorithm_operator.contract.customschemas import schema_text
from algorithm_operator.contract.kinds import KINDS, SuperKind
from algorithm_operator.contract.plan import PlannedSocket


def integer_pk(*path: str) -> int:
    """The key of what lies there, where Grand Challenge's clients want a number: 31 bits of sha256("a/b/c")."""
    digest = hashlib.sha256("/".join(path).encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def socket_pk(namespace: str, slug: str) -> int:
    """The socket's key."""
    return integer_pk(namespace, slug)


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


def planned_socket(socket: Socket, namespace: str, interface: Interface) -> PlannedSocket:
    """A socket of that interface as the steps and the gateway get it."""
    return PlannedSocket(
        slug=socket.slug,
        title=title_of(socket),
        description=socket.description,
        kind=socket.kind,
        relative_path=relative_path_of(socket),
        pk=socket_pk(namespace, socket.slug),
        schema_=socket.schema_,
        overlay_segments=socket.overlay_segments,
        store_in_status=socket.store_in_status,
        overlay_of=_overlaid(socket, interface),
        geometry_check="Warn" if socket.geometry_check == "Warn" else "Fail",
    )


def _overlaid(socket: Socket, interface: Interface) -> str | None:
    """The input in whose place the image of this output must lie: the one it names, or else the only Image input."""
    is_output = any(output.slug == socket.slug for output in interface.outputs)
    if not is_output or socket.kind not in OVERLAY_KINDS or socket.geometry_check == "Off":
        return None
    if socket.overlay_of is not None:
        return socket.overlay_of
    images = [given.slug for given in interface.inputs if given.kind == SocketKind.IMAGE]
    return images[0] if len(images) == 1 else None


def definition_difference(here: Socket, there: Socket) -> str | None:
    """How two definitions of one slug differ, for SocketConflict, or None.

    Kind, path, schema and segments count; titles, descriptions and what an interface does with it do not, nor whether a
    segment is shown at first, as at Grand Challenge.
    """
    if here.kind != there.kind:
        return f"kind {quoted(there.kind)} there, {quoted(here.kind)} here"
    if relative_path_of(here) != relative_path_of(there):
        return f"relativePath {quoted(relative_path_of(there))} there, {quoted(relative_path_of(here))} here"
    if schema_text(here.schema_) != schema_text(there.schema_):
        return "another schema"
    if _segments(here) != _segments(there):
        return "other overlaySegments"
    return None


def _segments(socket: Socket) -> set[tuple[str, int]]:
    return {(segment.name, segment.voxel_value) for segment in socket.overlay_segments or []}
