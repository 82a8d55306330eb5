"""MetaImage files: the strict header first, then the library's own reading of the same header, then the voxels.

Besides the readers, the only importer of SimpleITK; files get to it in the sandbox alone. No image is ever decoded as a
whole: memory does not depend on the file's size.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from typing import Any

from algorithm_operator.api.job import ImageGeometry
from algorithm_operator.steps import metaimage, segments
from algorithm_operator.steps.metaimage import Header, MetaImageError

_TOLERANCE = 1e-6


def read_header(descriptor: int, max_voxel_bytes: int) -> Header:
    """The header of an open `.mha` file, checked against the file's size.

    :raises MetaImageError: the file cannot be taken.
    """
    return metaimage.parse(
        os.pread(descriptor, metaimage.MAX_HEADER, 0), os.fstat(descriptor).st_size, max_voxel_bytes
    )


def check_stored(descriptor: int, header: Header) -> None:
    """That compressed voxels are whole; uncompressed ones were, by the file's size.

    :raises MetaImageError: they are not.
    """
    if header.compressed:
        metaimage.read_voxels(descriptor, header, os.fstat(descriptor).st_size, lambda _: None)


def check_library(descriptor: int, header: Header) -> None:
    """That SimpleITK reads the same geometry from the header; no voxel is read.

    :raises MetaImageError: it does not.
    """
    sitk = _library()

    reader = sitk.ImageFileReader()
    reader.SetImageIO("MetaImageIO")
    reader.SetFileName(f"/proc/self/fd/{descriptor}")
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        if "allocat" in str(error):
            raise MemoryError from error
        raise MetaImageError("SimpleITK cannot read its header.") from None
    ours = header.geometry
    theirs = {
        "size": reader.GetSize(),
        "spacing": reader.GetSpacing(),
        "origin": reader.GetOrigin(),
        "direction": reader.GetDirection(),
        "components": [reader.GetNumberOfComponents()],
    }
    for name, numbers in theirs.items():
        own = [ours.components] if name == "components" else getattr(ours, name)
        if not _agree(own, numbers):
            raise MetaImageError(f"its {name} is ambiguous: SimpleITK reads it otherwise.")
    if _pixel_type(sitk.GetPixelIDValueAsString(reader.GetPixelID())) != ours.pixel_type:
        raise MetaImageError("its ElementType is ambiguous: SimpleITK reads it otherwise.")


def preload() -> None:
    """Import SimpleITK, so that the sandbox's children have it already. Nothing is parsed here."""
    _library()


def _library() -> Any:
    """SimpleITK, which has no types."""
    import SimpleITK

    return SimpleITK


def _agree(ours: Iterable[float], theirs: Iterable[float]) -> bool:
    first, second = list(ours), list(theirs)
    return len(first) == len(second) and all(
        math.isclose(a, b, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE) for a, b in zip(first, second, strict=True)
    )


def _pixel_type(text: str) -> str:
    """SimpleITK's words, such as "vector of 8-bit unsigned integer", as ours."""
    words = text.removeprefix("vector of ").split()
    bits = words[0].removesuffix("-bit")
    return ("uint" if "unsigned" in words else "int" if "integer" in words else "float") + bits


def segment_values(descriptor: int, header: Header) -> set[int] | None:
    """The distinct voxel values, or None if they are no segments: not whole numbers, or more than segments.MAX."""
    pixel_type = header.geometry.pixel_type
    if "int" not in pixel_type:
        return None
    found: set[int] = set()

    def take(voxels: memoryview) -> None:
        if len(found) <= segments.MAX:
            found.update(segments.distinct(voxels, header))

    metaimage.read_voxels(descriptor, header, os.fstat(descriptor).st_size, take)
    return found if len(found) <= segments.MAX else None


def inspect(descriptor: int, max_voxel_bytes: int, allowed: list[int] | None) -> dict[str, Any]:
    """All checks of one image output, for the sandbox: {"geometry": …} or {"unreadable": …} or {"invalid": …}.

    `allowed` are the voxel values of a segmentation's segments; None: any image.
    """
    try:
        header = read_header(descriptor, max_voxel_bytes)
        check_library(descriptor, header)
        if allowed is None:
            check_stored(descriptor, header)
        elif problem := segments.problem(segment_values(descriptor, header), allowed):
            return {"invalid": problem}
    except MetaImageError as error:
        return {"unreadable": str(error)}
    return {"geometry": header.geometry.wire()}


def geometry(found: dict[str, Any]) -> ImageGeometry:
    """The geometry that a sandboxed `inspect` gave back."""
    return ImageGeometry.model_validate(found)
