"""Whether an output image lies where the input below it lies. Pure.

What is drawn on top of an image is placed by size, spacing, origin and direction; an algorithm that writes a bare array
loses them, and its result is shown in the wrong place. Only the axes that both images have are compared: a mask of one
time point may lie on a series, and a displacement field has a last axis of its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from algorithm_operator.api.job import ImageGeometry

SPACING_TOLERANCE = 1e-4
"""Of the spacing. Text of six digits and the fractions of a TIFF lose less; three digits after the point lose more."""
ORIGIN_TOLERANCE = 0.01
"""Of the smallest voxel's side. Single precision loses less than that a metre away from the origin."""
DIRECTION_TOLERANCE = 1e-3
"""Of a direction cosine. The quaternions of NIfTI, in single precision, lose up to 4e-4 on the way there and back."""
SPATIAL_AXES = 3


def mismatch(output: ImageGeometry, below: ImageGeometry, slug: str, *, placed: bool = True) -> str | None:
    """How the image `output` does not lie on the image `below` of input `slug`, with the numbers and the fix, or None.

    `placed`: whether the output's file can say an origin and a direction; a TIFF cannot.
    """
    axes = min(len(output.size), len(below.size), SPATIAL_AXES)
    here, there = _extent(output.size, axes), _extent(below.size, axes)
    different = [] if here == there else [f"its size is {_listed(here)} voxels, not {_listed(there)}"]
    different += _differences(output, below, axes, placed=placed)
    if not different:
        return None
    if here != there:
        fix = "Resample it to the grid of the input: CopyInformation does not help where sizes differ"
    elif placed:
        fix = "With SimpleITK, before it is written: output.CopyInformation(input)"
    else:
        fix = "Set XResolution, YResolution and ResolutionUnit, or write an .mha"
    return f'It does not lie on input "{slug}": {"; ".join(different)}. {fix}.'


def _differences(output: ImageGeometry, below: ImageGeometry, axes: int, *, placed: bool) -> Iterator[str]:
    """Where voxels lie, other than by their number."""
    pairs = list(zip(output.spacing[:axes], below.spacing[:axes], strict=True))
    if any(abs(a - b) > SPACING_TOLERANCE * abs(b) for a, b in pairs):
        yield f"its spacing is {_listed(a for a, _ in pairs)} mm, not {_listed(b for _, b in pairs)} mm"
    if not placed:
        return
    pairs = list(zip(output.origin[:axes], below.origin[:axes], strict=True))
    if math.dist(*zip(*pairs, strict=True)) > ORIGIN_TOLERANCE * min(below.spacing[:axes]):
        yield f"its origin is {_listed(a for a, _ in pairs)} mm, not {_listed(b for _, b in pairs)} mm"
    pairs = list(zip(_turned(output, axes), _turned(below, axes), strict=True))
    if any(abs(a - b) > DIRECTION_TOLERANCE for a, b in pairs):
        yield f"its direction is {_listed(a for a, _ in pairs)}, not {_listed(b for _, b in pairs)}"


def _extent(size: Sequence[int], axes: int) -> list[int]:
    """The size along the axes that are compared; an axis in space that only one image has must be a single voxel."""
    more = [side for side in size[axes:SPATIAL_AXES] if side != 1]
    return [*size[:axes], *more]


def _turned(image: ImageGeometry, axes: int) -> list[float]:
    """The direction cosines of the first axes, row by row."""
    sides = len(image.size)
    return [image.direction[row * sides + column] for row in range(axes) for column in range(axes)]


def _listed(numbers: Iterator[float] | Sequence[float]) -> str:
    return "(" + ", ".join(f"{number:.8g}" for number in numbers) + ")"
