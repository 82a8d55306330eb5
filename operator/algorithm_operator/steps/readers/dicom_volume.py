"""The frames of a series as one SimpleITK image: each scaled as its header says and put in its place.

Memory: the volume and one frame. Integers stay integers where that is exact, as ITK keeps them; what is not exact
becomes float32, as panimg makes it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import SimpleITK

from algorithm_operator.steps.readers.dicom_form import Form
from algorithm_operator.steps.readers.dicom_header import Header, naming
from algorithm_operator.steps.readers.dicom_pixels import Pixels
from algorithm_operator.steps.readers.dicom_series import Arrangement, Frame
from algorithm_operator.steps.readers.reading import Unreadable

sitk: Any = SimpleITK

_WIDER = ("i2", "u2", "i4", "u4")
_PIXEL_IDS = {
    "u1": "UInt8", "i1": "Int8", "u2": "UInt16", "i2": "Int16", "u4": "UInt32", "i4": "Int32",
    "u8": "UInt64", "i8": "Int64", "f4": "Float32", "f8": "Float64",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Scaling:
    """Stored values to values: `stored * slope + intercept`."""

    slope: float
    intercept: float

    @property
    def none(self) -> bool:
        """Whether it changes nothing."""
        return self.slope == 1 and self.intercept == 0

    @property
    def whole(self) -> bool:
        """Whether whole numbers stay whole, and small enough to reckon with."""
        return all(each.is_integer() and abs(each) < 2**31 for each in (self.slope, self.intercept))

    def apply(self, values: Any, dtype: str) -> Any:
        """Scaled, as `dtype`, which must hold the result."""
        if self.none:
            return values.astype(dtype, copy=False)
        if dtype[0] == "f":
            return (values * np.float64(self.slope) + self.intercept).astype(dtype)
        slope, intercept = int(self.slope), int(self.intercept)
        return (
            values.astype("i8") * slope + intercept if slope != 1 else values.astype(dtype) + intercept
        ).astype(dtype)


def value_type(form: Form, scalings: Iterable[Scaling]) -> str:
    """The numpy type of the scaled values: as stored where that is wide enough."""
    changing = [scaling for scaling in scalings if not scaling.none]
    if not changing or form.colour or form.dtype[0] == "f":
        return form.dtype
    if not all(scaling.whole for scaling in changing):
        return "f4"
    low = -(1 << (form.bits_stored - 1)) if form.signed else 0
    high = low + (1 << form.bits_stored) - 1
    ends = [low, high]
    for scaling in changing:
        ends += [end * int(scaling.slope) + int(scaling.intercept) for end in (low, high)]
    for dtype in (form.dtype, *_WIDER):
        if np.iinfo(dtype).min <= min(ends) and max(ends) <= np.iinfo(dtype).max:
            return dtype
    return "f4"


def build(headers: Sequence[Header], form: Form, arranged: Arrangement, limit: int, notes: list[str]) -> Any:
    """The SimpleITK image; what was done to the values is added to `notes`.

    :raises Unreadable: a file's pixels are damaged, or all together are more than `limit` bytes.
    """
    scalings = [
        Scaling(1, 0) if form.colour else Scaling(frame.slope, frame.intercept) for frame in arranged.frames
    ]
    dtype = value_type(form, set(scalings))
    counts = Counter(frame.file for frame in arranged.frames)
    for number, header in enumerate(headers):
        with naming(header.given):
            Pixels(header, form, counts[number]).check()
    if form.photometric == "PALETTE COLOR":
        with naming(headers[0].given):
            dtype = Pixels(headers[0], form, counts[0]).frame(0).dtype.str[1:]
        notes.append("Its colours were looked up in its palette.")
    promised = (
        len(arranged.frames) * form.rows * form.columns * (3 if form.colour else 1) * np.dtype(dtype).itemsize
    )
    if promised > limit:
        raise Unreadable(f"its voxels would take {promised} bytes; the limit is {limit}.")
    image = _empty(form, arranged, dtype)
    low, high = np.inf, -np.inf
    for number, placed in groupby(_by_file(arranged.frames), key=lambda each: each[1].file):
        pixels = Pixels(headers[number], form, counts[number])
        with naming(headers[number].given):
            for place, frame in placed:
                values = scalings[place].apply(pixels.frame(frame.index), dtype)
                if form.photometric == "MONOCHROME1":
                    low, high = min(low, values.min().item()), max(high, values.max().item())
                _put(image, arranged, place, values)
    notes += _scaled_notes(set(scalings), dtype)
    if form.photometric.startswith("YBR"):
        notes.append(f"Its colours were turned from {form.photometric} into RGB.")
    if form.photometric == "MONOCHROME1":
        _invert(image, arranged, dtype, low, high)
        notes.append(f"It is MONOCHROME1 (low is white): inverted, value v became {low + high:g} - v.")
    return image


def _by_file(frames: Sequence[Frame]) -> Iterator[tuple[int, Frame]]:
    """Every frame with its place in the image, but in the order of the files, each of which is decoded once."""
    yield from sorted(enumerate(frames), key=lambda each: (each[1].file, each[1].index))


def _empty(form: Form, arranged: Arrangement, dtype: str) -> Any:
    size = [form.columns, form.rows, arranged.slices]
    spacing, origin, direction = list(arranged.spacing), list(arranged.origin), np.eye(3)
    direction[:3, :3] = np.reshape(arranged.direction, (3, 3))
    if arranged.times > 1:
        size, spacing, origin = [*size, arranged.times], [*spacing, 1.0], [*origin, 0.0]
        direction = np.pad(direction, (0, 1))
        direction[3, 3] = 1
    name = _PIXEL_IDS[dtype]
    try:
        image = (
            sitk.Image(size, getattr(sitk, f"sitkVector{name}"), 3)
            if form.colour
            else (sitk.Image(size, getattr(sitk, f"sitk{name}")))
        )
        image.SetSpacing(spacing)
        image.SetOrigin(origin)
        image.SetDirection(direction.flatten().tolist())
    except RuntimeError as error:
        raise MemoryError from error
    return image


def _slot(arranged: Arrangement, place: int) -> tuple[Any, ...]:
    """The index of one slice of the image."""
    time, number = divmod(place, arranged.slices)
    every = slice(None)
    return (every, every, number, time) if arranged.times > 1 else (every, every, number)


def _put(image: Any, arranged: Arrangement, place: int, values: Any) -> None:
    image[_slot(arranged, place)] = sitk.GetImageFromArray(values, isVector=values.ndim == 3)


def _invert(image: Any, arranged: Arrangement, dtype: str, low: Any, high: Any) -> None:
    """`low + high - v`, which has the same bounds; whole numbers wrap around on the way, which does not matter."""
    total = np.array(low + high).astype(dtype)
    for place in range(len(arranged.frames)):
        values = sitk.GetArrayFromImage(image[_slot(arranged, place)])
        _put(image, arranged, place, total - values)


def _scaled_notes(scalings: set[Scaling], dtype: str) -> Iterator[str]:
    changing = [scaling for scaling in scalings if not scaling.none]
    kind = np.dtype(dtype).name
    if len(scalings) == 1 and changing:
        yield f"Values are stored * {changing[0].slope:g} + {changing[0].intercept:g}, as {kind}."
    elif changing:
        yield f"Every slice was scaled by its own slope and intercept ({len(scalings)} different), as {kind}."
