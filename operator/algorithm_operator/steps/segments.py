"""The values of a segmentation's voxels, of whatever format: which there are, and whether they are its segments."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from algorithm_operator.contract import messages
from algorithm_operator.steps import metaimage, tiff, voxels

MAX = 256
"""How many distinct values a segmentation may have, as at Grand Challenge."""


def distinct(piece: memoryview, header: metaimage.Header | tiff.Header) -> set[int]:
    """The distinct values of a piece. Values below 256, as nearly all segments are, take the fast way."""
    width = header.element_bytes
    data = piece.tobytes()
    planes = [data[place::width] for place in range(width)]
    low = planes.pop(-1 if header.big_endian else 0)
    signed_byte = header.geometry.pixel_type == "int8"
    if not signed_byte and not any(plane.translate(None, b"\0") for plane in planes):
        return set(_distinct_bytes(low))
    return cast("set[int]", set(voxels.numbers(data, header)))  # its caller asked for whole numbers


def _distinct_bytes(data: bytes) -> bytes:
    found = b""
    while data:
        found += data[:1]
        data = data.translate(None, data[:1])
    return found


def problem(values: set[int] | None, allowed: Iterable[int]) -> str | None:
    """Why a segmentation with these voxel values is not valid, in Grand Challenge's words, or None."""
    if values is None:
        return messages.segments_undetermined(MAX)
    allowed = set(allowed)
    invalid = values - allowed - {0}
    return messages.segments_unknown(allowed, invalid) if invalid else None
