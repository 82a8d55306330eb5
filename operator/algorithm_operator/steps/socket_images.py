"""Whether an image file is one of its socket's: the same checks for what stage lays out and for what collect finds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from algorithm_operator.api.job import ImageGeometry
from algorithm_operator.api.kinds import SocketKind
from algorithm_operator.contract import messages
from algorithm_operator.contract.plan import PlannedSocket
from algorithm_operator.steps import images, tiff_images

MHA, TIF = ".mha", ".tif"
_COMPONENTS = (1, 3, 4)
"""Numbers a voxel: grey, RGB, RGBA."""
_INSPECT = {MHA: images.inspect, TIF: tiff_images.inspect}


def colour_problem(image: ImageGeometry) -> str | None:
    """What its file has that no image has, or None."""
    if image.components in _COMPONENTS:
        return None
    return f"has {image.components} numbers a voxel; an image has 1, 3 or 4"


def is_choosy(socket: PlannedSocket) -> bool:
    """Whether a socket does not take just any image: one with segments, or a displacement field."""
    return bool(socket.overlay_segments) or socket.kind == SocketKind.DISPLACEMENT_FIELD


def preload(suffix: str) -> Callable[[], None] | None:
    """What `inspect` of such a file needs imported, for the sandbox's `before`."""
    return images.preload if suffix == MHA else None


def inspect(socket: PlannedSocket, descriptor: int, suffix: str, max_voxel_bytes: int) -> dict[str, Any]:
    """All checks of an open .mha or .tif, for the sandbox: {"geometry": …}, {"unreadable": …} or {"invalid": …}.

    What is invalid is told in Grand Challenge's words.
    """
    segments = socket.overlay_segments
    allowed = [segment.voxel_value for segment in segments] if segments else None
    found = _INSPECT[suffix](descriptor, max_voxel_bytes, allowed)
    if "geometry" not in found or socket.kind != SocketKind.DISPLACEMENT_FIELD:
        return found
    image = images.geometry(found["geometry"])
    problem = messages.no_vector_field(len(image.size), image.components, image.size[-1])
    return {"invalid": problem} if problem else found
