"""Stored voxels as numbers, whatever their type and byte order."""

from __future__ import annotations

import sys
from array import array

from algorithm_operator.steps import metaimage, tiff

_CODES = {
    "int8": "b", "uint8": "B", "int16": "h", "uint16": "H", "int32": "i", "uint32": "I", "int64": "q", "uint64": "Q",
    "float32": "f", "float64": "d",
}  # fmt: skip


def numbers(data: bytes, header: metaimage.Header | tiff.Header) -> array[int] | array[float]:
    """The components in `data`, one after the other: a whole number of them, as the header says that they lie."""
    found = array(_CODES[header.geometry.pixel_type], data)
    if header.big_endian != (sys.byteorder == "big"):
        found.byteswap()
    return found
