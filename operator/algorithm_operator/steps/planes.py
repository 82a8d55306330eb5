"""Three planes of an image, taken from its voxels as they stream by: memory is one slice, whatever the image's size.

For the sandbox alone. Axes are the image's own (0, 1, 2 as in its header) until `anatomy` says which is which.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from algorithm_operator.api.job import ImageGeometry
from algorithm_operator.steps import metaimage
from algorithm_operator.steps.metaimage import Header
from algorithm_operator.steps.voxels import numbers

MAX_SIDE = 512
"""Of a plane, in samples; more are left out evenly."""
MAX_SLICE_BYTES = 64 * 1024**2
MAX_VOXEL_BYTES = 4 * 1024**3
_UNSIGNED: dict[int, Literal["B", "H", "I", "Q"]] = {1: "B", 2: "H", 4: "I", 8: "Q"}


class NoPlanesError(ValueError):
    """The image has no planes that can be shown; the message is safe to show."""


@dataclass(frozen=True, slots=True)
class Plane:
    """A plane across axis `across`: samples row by row, one array a component; `horizontal` and `vertical` are axes."""

    across: int
    horizontal: int
    vertical: int
    width: int
    height: int
    components: list[array[int] | array[float]]


def shape(geometry: ImageGeometry) -> tuple[int, int, int]:
    """The size in voxels, a flat image as one slice.

    :raises NoPlanesError: it has more than three dimensions.
    """
    if len(geometry.size) > 3 and any(count > 1 for count in geometry.size[3:]):
        raise NoPlanesError(f"it has {len(geometry.size)} dimensions")
    x, y, z = (*geometry.size, 1)[:3]
    return x, y, z


def middle(geometry: ImageGeometry) -> tuple[int, int, int]:
    """The voxel in the middle."""
    x, y, z = shape(geometry)
    return x // 2, y // 2, z // 2


def fullest(descriptor: int, header: Header) -> tuple[int, int, int] | None:
    """Along each axis the slice with most voxels that are not 0; None where all are."""
    x, y, z = shape(header.geometry)
    counts = [0] * x, [0] * y, [0] * z

    def count(number: int, voxels: bytes) -> None:
        mask = _not_zero(voxels, header.element_bytes * header.geometry.components)
        counts[2][number] = len(mask) - mask.count(0)
        if not counts[2][number]:
            return
        for row in range(y):
            counts[1][row] += x - mask.count(0, row * x, (row + 1) * x)
        for column in range(x):
            counts[0][column] += y - mask[column::x].count(0)

    _slices(descriptor, header, count)
    if not any(counts[2]):
        return None
    a, b, c = (each.index(max(each)) for each in counts)
    return a, b, c


def take(descriptor: int, header: Header, at: tuple[int, int, int]) -> list[Plane]:
    """The planes through voxel `at`, across the third, the second and the first axis; of a flat image the one."""
    size = shape(header.geometry)
    across = [axis for axis in (2, 1, 0) if axis == 2 or size[2] > 1]
    steps = [-(-count // MAX_SIDE) for count in size]
    components, unit = header.geometry.components, header.element_bytes
    found = {axis: [bytearray() for _ in range(components)] for axis in across}

    def pick(number: int, voxels: bytes) -> None:
        view = memoryview(voxels).cast(_UNSIGNED[unit])
        row = size[0] * components
        for part in range(components):
            if number == at[2]:
                for y in range(0, size[1], steps[1]):
                    line = view[y * row + part : (y + 1) * row : components * steps[0]]
                    found[2][part] += line.tobytes()
            if 1 in found and number % steps[2] == 0:
                line = view[at[1] * row + part : (at[1] + 1) * row : components * steps[0]]
                found[1][part] += line.tobytes()
                found[0][part] += view[at[0] * components + part :: row * steps[1]].tobytes()

    _slices(descriptor, header, pick)
    planes = []
    for axis in across:
        horizontal, vertical = (each for each in (0, 1, 2) if each != axis)
        width, height = (-(-size[each] // steps[each]) for each in (horizontal, vertical))
        samples = [numbers(bytes(part), header) for part in found[axis]]
        planes.append(Plane(axis, horizontal, vertical, width, height, samples))
    return planes


def anatomy(geometry: ImageGeometry) -> list[tuple[int, bool]]:
    """For left, posterior and superior: the image's axis that lies closest to it, and whether it runs that way."""
    count = min(len(geometry.size), 3)
    rows = len(geometry.size)
    if count < 3:
        return [(0, True), (1, True), (2, True)]
    cosines = [[geometry.direction[row * rows + column] for column in range(3)] for row in range(3)]
    found: dict[int, tuple[int, bool]] = {}
    pairs = [(abs(cosines[row][column]), row, column) for row in range(3) for column in range(3)]
    for _, row, column in sorted(pairs, reverse=True):
        if row not in found and column not in [axis for axis, _ in found.values()]:
            found[row] = column, cosines[row][column] > 0
    return [found[row] for row in range(3)]


def _slices(descriptor: int, header: Header, see: Callable[[int, bytes], None]) -> None:
    x, y, _ = shape(header.geometry)
    size = x * y * header.geometry.components * header.element_bytes
    if size > MAX_SLICE_BYTES or header.voxel_bytes > MAX_VOXEL_BYTES:
        raise NoPlanesError(f"it has {header.voxel_bytes} bytes of voxels, too many for a preview")
    waiting, number = bytearray(), 0

    def gather(piece: memoryview) -> None:
        nonlocal number
        waiting.extend(piece)
        while len(waiting) >= size:
            see(number, bytes(waiting[:size]))
            del waiting[:size]
            number += 1

    metaimage.read_voxels(descriptor, header, os.fstat(descriptor).st_size, gather)


def _not_zero(voxels: bytes, unit: int) -> bytes:
    """A byte a voxel, 0 where all its bytes are."""
    if unit == 1:
        return voxels
    union = 0
    for place in range(unit):
        union |= int.from_bytes(voxels[place::unit], "little")
    return union.to_bytes(len(voxels) // unit, "little")


def spread(values: Sequence[float]) -> tuple[float, float]:
    """The window that shows nearly all of `values`, which must be finite: their 0.5th and 99.5th percentile."""
    ordered = sorted(values)
    if not ordered:
        return 0.0, 1.0
    low, high = ordered[len(ordered) // 200], ordered[-1 - len(ordered) // 200]
    return (float(low), float(high)) if high > low else (float(ordered[0]), float(ordered[-1]))
