"""Image outputs: the one image in a folder, whether it is one of its socket's, and whether it lies where it must."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from algorithm_operator.api.job import ImageGeometry
from algorithm_operator.api.text import quoted
from algorithm_operator.contract import geometry, messages
from algorithm_operator.contract.plan import PlannedSocket
from algorithm_operator.steps import images, sandbox, socket_images, walk
from algorithm_operator.steps.failures import FindingError
from algorithm_operator.steps.socket_images import MHA, TIF

_SUFFIXES = {b".mha": MHA, b".tif": TIF, b".tiff": TIF}
_TOLD = 3
"""Files that are named, of those that are no images."""


def pick(folder: str, files: Sequence[walk.File]) -> tuple[walk.File, str]:
    """The one image among the files of a folder, and the suffix that it is kept with. Other files do not matter.

    :raises FindingError: there is none, or more than one.
    """
    if not files:
        raise FindingError(messages.folder_empty(folder))
    if len(files) > messages.MAX_IMAGE_FILES:
        raise FindingError(messages.too_many_files(folder))
    found = [(file, suffix) for file in files if (suffix := _suffix(file.path)) is not None]
    if not found:
        names = ", ".join(quoted(os.path.basename(file.path), 48) for file in files[:_TOLD])
        more = f" and {len(files) - _TOLD} more" if len(files) > _TOLD else ""
        verb, noun = ("is", "file") if len(files) == 1 else ("are", "files")
        why = f"{names}{more} {verb} no .mha {noun} (with the data inside) and no .tif {noun}"
        raise FindingError(messages.no_image(folder, why))
    if len(found) > 1:
        raise FindingError(messages.one_image_only(folder, len(found)))
    return found[0]


def _suffix(path: bytes) -> str | None:
    return _SUFFIXES.get(os.path.splitext(path)[1].lower())


def check(
    socket: PlannedSocket,
    file: walk.File,
    suffix: str,
    descriptor: int,
    max_voxel_bytes: int,
    bounds: sandbox.Bounds,
) -> ImageGeometry:
    """What an open image file is, looked at in the sandbox.

    :raises FindingError: it cannot be read, or is none of its socket's.
    """
    name, where = socket.relative_path, os.fsdecode(file.path)
    outcome = sandbox.run(
        lambda: socket_images.inspect(socket, descriptor, suffix, max_voxel_bytes),
        bounds,
        max_result=1 << 20,
        before=socket_images.preload(suffix),
        descriptors=[descriptor],
    )
    match outcome.ending:
        case sandbox.Ending.DONE:
            found = outcome.value
        case sandbox.Ending.CRASHED:
            why = f"reading {quoted(file.path, 128)} failed: {outcome.detail}"
            raise FindingError(messages.no_image(name, why), where)
        case _:
            raise FindingError(messages.image_too_large(name), where)
    if "unreadable" in found:
        why = f"{quoted(file.path, 128)}: {found['unreadable']}"
        raise FindingError(messages.no_image(name, why), where)
    if "invalid" in found:
        raise FindingError(messages.image_invalid(name, found["invalid"]), where)
    image = images.geometry(found["geometry"])
    if problem := socket_images.colour_problem(image):
        raise FindingError(messages.no_image(name, f"{quoted(file.path, 128)} {problem}"), where)
    return image


def check_place(
    socket: PlannedSocket,
    file: walk.File,
    suffix: str,
    image: ImageGeometry,
    inputs: Mapping[str, ImageGeometry],
) -> list[str]:
    """What is odd about where an image lies, if its socket only warns. Inputs without a geometry are not compared.

    :raises FindingError: it does not lie on the input that it must lie on.
    """
    below = inputs.get(socket.overlay_of) if socket.overlay_of is not None else None
    if socket.overlay_of is None or below is None:
        return []
    why = geometry.mismatch(image, below, socket.overlay_of, placed=suffix != TIF)
    if why is None:
        return []
    if socket.geometry_check == "Fail":
        raise FindingError(messages.image_invalid(socket.relative_path, why), os.fsdecode(file.path))
    return [why]
