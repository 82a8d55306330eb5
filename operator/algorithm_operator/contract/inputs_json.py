"""/input/inputs.json: tells an algorithm which inputs it has, as Grand Challenge writes it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from algorithm_operator.contract.kinds import KINDS, SuperKind
from algorithm_operator.contract.plan import PlannedSocket

_THUMBNAILS = frozenset({"JPEG", "PNG"})
_CHARTS = frozenset({"CHART"})


@dataclass(frozen=True, slots=True)
class StagedImage:
    """An image as the algorithm sees it: its id (the stem of its file's name) and its name for people."""

    pk: str
    name: str


@dataclass(frozen=True, slots=True)
class StagedInput:
    """One input after staging: its socket, and its image or its value; a file is known by the socket's path."""

    socket: PlannedSocket
    value: Any = None
    image: StagedImage | None = None


def inputs_json(inputs: Iterable[StagedInput]) -> list[dict[str, Any]]:
    """The content of inputs.json: values, thumbnails, charts, files, images; each group by slug.

    A socket stands under `socket` and again under `interface`, its former name. Of `value`, `file` and `image` that of
    its super kind is set. `file` is the path below /input; of a ZIP nothing is there: its files lie in the folder
    above it (`data.zip`: in /input itself). The JSON of "Multiple ..." kinds is a file, not a value: it may be large.
    `pk` of an element is the socket's own: a job has one value for each.
    """
    return [_element(each) for each in sorted(inputs, key=lambda each: position(each.socket))]


def position(socket: PlannedSocket) -> tuple[int, str]:
    """What the sockets of a job are sorted by: values, thumbnails, charts, files, images; each group by slug."""
    kind = KINDS[socket.kind]
    if kind.code in _THUMBNAILS:
        group = 1
    elif kind.code in _CHARTS:
        group = 2
    else:
        group = {SuperKind.VALUE: 0, SuperKind.FILE: 3, SuperKind.IMAGE: 4}[kind.super_kind]
    return group, socket.slug


def _element(given: StagedInput) -> dict[str, Any]:
    socket = socket_object(given.socket)
    super_kind = KINDS[given.socket.kind].super_kind
    return {
        "socket": socket,
        "interface": socket,
        "value": given.value if super_kind is SuperKind.VALUE else None,
        "file": given.socket.relative_path if super_kind is SuperKind.FILE else None,
        "image": {"pk": given.image.pk, "name": given.image.name} if given.image else None,
        "pk": given.socket.pk,
    }


def socket_object(socket: PlannedSocket) -> dict[str, Any]:
    """A socket as Grand Challenge's API shows it."""
    return {
        "title": socket.title,
        "description": socket.description or "",
        "slug": socket.slug,
        "kind": socket.kind,
        "pk": socket.pk,
        "default_value": None,
        "super_kind": str(KINDS[socket.kind].super_kind),
        "relative_path": socket.relative_path,
        "overlay_segments": [
            {"name": each.name, "visible": each.visible, "voxel_value": each.voxel_value}
            for each in socket.overlay_segments or ()
        ],
        "look_up_table": None,
    }
