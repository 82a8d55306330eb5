"""Images: whatever they were, the algorithm finds exactly one .mha or .tif, named by a UUID."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from typing import Any

from algorithm_operator.api.job import ImageGeometry
from algorithm_operator.contract.inputs_json import StagedImage, StagedInput
from algorithm_operator.contract.manifest import Conversion
from algorithm_operator.contract.plan import PlannedSocket
from algorithm_operator.steps import images, socket_images
from algorithm_operator.steps.failures import bad_input, try_again
from algorithm_operator.steps.layout.folder import Stored
from algorithm_operator.steps.layout.laid import (
    Laid,
    Layout,
    bounds,
    described,
    image_name,
    image_pk,
    read,
    record,
)
from algorithm_operator.steps.metaimage import MAX_HEADER
from algorithm_operator.steps.readers import formats, writing
from algorithm_operator.steps.readers.reading import Given, Kept, Read, Unreadable
from algorithm_operator.steps.socket_images import MHA
from algorithm_operator.steps.sources import Source


def lay_out(layout: Layout, socket: PlannedSocket, sources: Sequence[Source]) -> Laid:
    """Stage the one image that the files are.

    :raises StepError: they are not one image that can be read, or none of its socket's.
    """
    pk = image_pk(layout, socket)
    target = f"{socket.relative_path}/{pk}"
    limit = layout.settings.max_image_bytes
    files = [Given(source.path, source.descriptor, source.size) for source in sources]
    where = layout.folder.place(target + MHA)
    with tempfile.TemporaryDirectory(dir=layout.scratch) as scratch:
        found = read(
            layout,
            socket,
            sources,
            lambda: _convert(files, limit, scratch, where),
            bounds(layout, sources, limit + MAX_HEADER),
            before=lambda: formats.preload(files),
        )
    if "unreadable" in found:
        raise bad_input(socket.slug, found["unreadable"], [files[number].name for number in found["files"]])
    if "unwritten" in found:
        raise try_again(found["unwritten"], socket.slug)
    geometry = images.geometry(found["geometry"])
    if problem := socket_images.colour_problem(geometry):
        raise bad_input(socket.slug, f"{described(sources)} {problem}.")
    path, stored = _store(layout, sources, target, found["kept"])
    if socket_images.is_choosy(socket):
        _judge(layout, socket, sources, path)
    conversion = Conversion.model_validate(found["conversion"]) if found["conversion"] else None
    return Laid(
        record(socket, sources, stored, image=geometry, conversion=conversion),
        StagedInput(socket, image=StagedImage(pk=pk, name=image_name(sources))),
        path,
    )


def _store(
    layout: Layout, sources: Sequence[Source], target: str, kept: dict[str, Any] | None
) -> tuple[str, Stored]:
    """The staged file and its path: what the child wrote, or what it said is to be kept."""
    if kept is None:
        return target + MHA, layout.folder.adopt(target + MHA)
    path, header = target + kept["suffix"], kept["header"].encode("latin-1")
    return path, layout.folder.copy(path, sources[kept["file"]], header)


def _judge(layout: Layout, socket: PlannedSocket, sources: Sequence[Source], path: str) -> None:
    """Check what is staged as an output of that socket would be.

    :raises StepError: it is none of its socket's.
    """
    limit, suffix = layout.settings.max_image_bytes, os.path.splitext(path)[1]
    with layout.folder.opened(path) as descriptor:
        found = read(
            layout,
            socket,
            sources,
            lambda: socket_images.inspect(socket, descriptor, suffix, limit),
            bounds(layout, sources),
            before=socket_images.preload(suffix),
            staged=descriptor,
        )
    if problem := found.get("invalid") or found.get("unreadable"):
        raise bad_input(socket.slug, f"{described(sources)}: {problem}")


def _convert(files: Sequence[Given], max_voxel_bytes: int, scratch: str, target: str) -> dict[str, Any]:
    """For the sandbox: read the image, and write it to `target` unless a file of it can stay as it is."""
    try:
        found = formats.read(files, max_voxel_bytes, scratch)
        kept = found.image if isinstance(found.image, Kept) else None
        geometry = kept.geometry if kept is not None else _write(found, files, target, max_voxel_bytes)
    except Unreadable as error:
        return {"unreadable": str(error), "files": [files.index(file) for file in error.files]}
    except writing.UnwrittenError as error:
        return {"unwritten": str(error)}
    is_whole = kept is not None and not kept.header
    conversion = (
        None
        if is_whole
        else Conversion(format=found.format, reader=found.reader, files=len(files), notes=list(found.notes))
    )
    return {
        "kept": _kept(kept, files) if kept is not None else None,
        "geometry": geometry.wire(),
        "conversion": conversion.wire() if conversion is not None else None,
    }


def _kept(kept: Kept, files: Sequence[Given]) -> dict[str, Any]:
    """What the parent is to copy."""
    return {
        "file": files.index(kept.file),
        "suffix": kept.suffix,
        "header": kept.header.decode("latin-1"),
    }


def _write(found: Read, files: Sequence[Given], target: str, max_voxel_bytes: int) -> ImageGeometry:
    try:
        return writing.write(found.image, target, max_voxel_bytes)
    except Unreadable as error:
        raise Unreadable(f"{formats.named(files)}: {error}") from None
