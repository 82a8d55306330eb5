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
    """One input after staging: its socket, and what was staged for it: a value, or else a file or an image.

    `file` is the path of a file that is not a value. A JSON kind always has its value, wherever it came from.
    """

    socket: PlannedSocket
    value: Any = None
    file: str | None = None
    image: StagedImage | None = None


def inputs_json(inputs: Iterable[StagedInput]) -> list[dict[str, Any]]:
    """The content of inputs.json: values, thumbnails, charts, files, images; each group by slug.

    A socket stands under `socket` and again under `interface`, its former name. `pk` of an element is the socket's
    own: a job has one value for each.
    """
    return [_element(each) for each in sorted(inputs, key=_position)]


def _position(given: StagedInput) -> tuple[int, str]:
    kind = KINDS[given.socket.kind]
    if kind.code in _THUMBNAILS:
        group = 1
    elif kind.code in _CHARTS:
        group = 2
    else:
        group = {SuperKind.VALUE: 0, SuperKind.FILE: 3, SuperKind.IMAGE: 4}[kind.super_kind]
    return group, given.socket.slug


def _element(given: StagedInput) -> dict[str, Any]:
    socket = socket_object(given.socket)
    return {
        "socket": socket,
        "interface": socket,
        "value": given.value,
        "file": given.file,
        "image": {"pk": given.image.pk, "name": given.image.name} if given.image else None,
        "pk": given.socket.pk,
    }


def socket_object(socket: PlannedSocket) -> dict[str, Any]:
    """A socket as Grand Challenge's API shows it."""
    segments = socket.overlay_segments
    return {
        "title": socket.title,
        "description": None,
        "slug": socket.slug,
        "kind": socket.kind,
        "pk": socket.pk,
        "default_value": None,
        "super_kind": str(KINDS[socket.kind].super_kind),
        "relative_path": socket.relative_path,
        "overlay_segments": [
            {"name": each.name, "visible": each.visible, "voxel_value": each.voxel_value} for each in segments
        ]
        if segments
        else None,
        "look_up_table": None,
    }
