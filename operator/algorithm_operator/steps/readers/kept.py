"""MetaImage and TIFF: checked, and kept byte for byte; no library reads them.

The two files of a .mhd become one .mha by their bytes alone.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

import algorithm_operator
from algorithm_operator.api.text import quoted
from algorithm_operator.steps import images, metaimage, tiff
from algorithm_operator.steps.metaimage import MetaImageError
from algorithm_operator.steps.readers.reading import Given, Kept, Read, Unreadable
from algorithm_operator.steps.tiff_entries import TiffError

_READER = f"algorithm-operator {algorithm_operator.__version__}"


def read_mha(file: Given, max_voxel_bytes: int) -> Read:
    """One .mha: it stays as it is.

    :raises Unreadable: it is not a whole, self-contained image.
    """
    try:
        header = images.read_header(file.descriptor, max_voxel_bytes)
        images.check_stored(file.descriptor, header)
    except MetaImageError as error:
        raise Unreadable(f"{file}: {error}", [file]) from None
    return Read(Kept(file, ".mha", header.geometry), "MetaImage", _READER)


def read_mhd(files: Sequence[Given], max_voxel_bytes: int) -> Read:
    """A .mhd and the file beside it that its ElementDataFile names: the voxels as they are, under the header.

    :raises Unreadable: they are not one whole image.
    """
    header_file = next(file for file in files if file.name.lower().endswith(".mhd"))
    try:
        name, header = metaimage.attached(os.pread(header_file.descriptor, metaimage.MAX_HEADER, 0))
        folder = header_file.name.rpartition("/")[0]
        path = f"{folder}/{name}" if folder else name
        found = [file for file in files if file.name == path]
        if not found:
            raise MetaImageError(f"its data file {quoted(name, 128)} is not among the files of this input.")
        data = found[0]
        if others := [file for file in files if file not in (header_file, data)]:
            raise MetaImageError(
                f"beside it and its data file lies {others[0]}; an input is exactly one image."
            )
        parsed = metaimage.parse(header, len(header) + data.size, max_voxel_bytes)
        if parsed.compressed:
            metaimage.read_voxels(data.descriptor, replace(parsed, offset=0), data.size, lambda _: None)
    except MetaImageError as error:
        raise Unreadable(f"{header_file}: {error}", [header_file]) from None
    kept = Kept(data, ".mha", parsed.geometry, header)
    return Read(kept, "MetaImage", _READER, ("the voxels of a second file were put under the header",))


def read_tiff(file: Given, max_voxel_bytes: int) -> Read:
    """One .tif, of one or of many pages: it stays as it is.

    :raises Unreadable: its pages are not all there, or their voxels have no size.
    """
    try:
        header = tiff.parse(
            lambda count, offset: os.pread(file.descriptor, count, offset), file.size, max_voxel_bytes
        )
    except TiffError as error:
        raise Unreadable(f"{file}: {error}", [file]) from None
    return Read(Kept(file, ".tif", header.geometry), "TIFF", _READER)
