"""The image that was read, as the one .mha file that the algorithm is given."""

from __future__ import annotations

import os
from typing import Any

from algorithm_operator.api.job import ImageGeometry
from algorithm_operator.steps import images
from algorithm_operator.steps.metaimage import MAX_HEADER, MetaImageError
from algorithm_operator.steps.readers.reading import Unreadable

_LAST_LINE = b"ElementDataFile = LOCAL\n"
_UNWRITTEN = "the image could not be written; is the node's disk full?"


class UnwrittenError(OSError):
    """The file could not be written; whose fault that is, is not the image's."""


def write(image: Any, path: str, max_voxel_bytes: int) -> ImageGeometry:
    """Write a `SimpleITK.Image` to a new .mha file, and read its header as strictly as any other.

    Voxels are not compressed: of 60 MiB of CT, zlib's fastest level leaves 50 and takes 0.9 s to write and 0.25 s to
    read (its second, as Grand Challenge has it: 37 MiB, 1.9 s and 0.6 s), plain voxels 0.06 s each, and the GPU waits
    for both. The file lives as long as the Pod.

    :raises Unreadable: no .mha holds such an image.
    :raises UnwrittenError: there is no room, or the volume failed.
    """
    import SimpleITK

    if not 2 <= image.GetDimension() <= 4:
        raise Unreadable(f"it has {image.GetDimension()} dimensions; images have 2 to 4.")
    if "complex" in image.GetPixelIDTypeAsString():
        raise Unreadable(
            "its voxels are complex numbers, which no .mha holds; store the parts as two images."
        )
    # They would become lines of the header, as the file has them.
    for key in image.GetMetaDataKeys():
        image.EraseMetaData(key)
    try:
        SimpleITK.WriteImage(image, path, useCompression=False, imageIO="MetaImageIO")
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except (RuntimeError, OSError) as error:
        if "allocat" in str(error):
            raise MemoryError from error
        raise UnwrittenError(_UNWRITTEN) from error
    try:
        # The library does not tell of a disk that filled up meanwhile.
        start = os.pread(descriptor, MAX_HEADER, 0).partition(_LAST_LINE)
        if len(start[0] + start[1]) + _bytes(image) > os.fstat(descriptor).st_size:
            raise UnwrittenError(_UNWRITTEN)
        return images.read_header(descriptor, max_voxel_bytes).geometry
    except MetaImageError as error:
        raise Unreadable(f"as MetaImage, {error}") from error
    finally:
        os.close(descriptor)


def _bytes(image: Any) -> int:
    components = image.GetNumberOfComponentsPerPixel()
    return int(image.GetNumberOfPixels() * components * image.GetSizeOfPixelComponent())
