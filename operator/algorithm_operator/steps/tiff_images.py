"""TIFF images as outputs: the strict header, and of a segmentation which voxel values it has.

As at Grand Challenge its tags must say the least and the largest value. Voxels that are stored as they are get looked
at as well; those that are compressed are believed: no codec runs on what an algorithm wrote.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from algorithm_operator.contract import messages
from algorithm_operator.steps import segments, tiff
from algorithm_operator.steps.copying import BLOCK
from algorithm_operator.steps.tiff_entries import File, TiffError


def inspect(descriptor: int, max_voxel_bytes: int, allowed: list[int] | None) -> dict[str, Any]:
    """All checks of one TIFF output, for the sandbox; as `images.inspect`."""
    size = os.fstat(descriptor).st_size

    def read(count: int, offset: int) -> bytes:
        return os.pread(descriptor, count, offset)

    try:
        header = tiff.parse(read, size, max_voxel_bytes)
        if allowed is not None:
            through = partial(read_voxels, File(read, size), header.page)
            if problem := segments_problem(header, allowed, through):
                return {"invalid": problem}
    except TiffError as error:
        return {"unreadable": str(error)}
    return {"geometry": header.geometry.wire()}


def segments_problem(
    header: tiff.Header, allowed: Iterable[int], read: Callable[[Callable[[memoryview], None]], None]
) -> str | None:
    """Why a segmentation is not valid, in Grand Challenge's words, or None; `read` gives its voxels piece by piece."""
    least, most, image = header.minimum, header.maximum, header.geometry
    if least is None or most is None or image.components != 1 or "int" not in image.pixel_type:
        return messages.segments_undetermined(segments.MAX)
    if least != int(least) or most != int(most) or not 0 <= most - least < segments.MAX:
        return messages.segments_undetermined(segments.MAX)
    found = set(range(int(least), int(most) + 1))

    def take(voxels: memoryview) -> None:
        if len(found) <= segments.MAX:
            found.update(segments.distinct(voxels, header))

    if not header.compressed:
        read(take)
    return segments.problem(found if len(found) <= segments.MAX else None, allowed)


def read_voxels(file: File, page: tiff.Page, take: Callable[[memoryview], None]) -> None:
    """Give the uncompressed voxels of a page to `take` in pieces of whole voxels, less what pads its tiles."""
    across, down = page.grid
    voxel = page.row_bytes // page.piece_width
    for number, (offset, count) in enumerate(tiff.pieces(file, page)):
        if count == 0:  # blank
            take(memoryview(bytes(voxel)))
            continue
        rows = min(page.piece_height, page.height - number // across % down * page.piece_height)
        columns = min(page.piece_width, page.width - number % across * page.piece_width)
        if columns == page.piece_width:
            _through(file, offset, rows * page.row_bytes, voxel, take)
            continue
        for row in range(rows):
            _through(file, offset + row * page.row_bytes, columns * voxel, voxel, take)


def _through(file: File, offset: int, count: int, voxel: int, take: Callable[[memoryview], None]) -> None:
    step = BLOCK - BLOCK % voxel
    for done in range(0, count, step):
        take(memoryview(file.bytes_at(offset + done, min(step, count - done))))
