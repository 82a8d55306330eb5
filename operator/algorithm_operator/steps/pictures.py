"""Planes as PNGs: windowed, turned as radiologists look at them, a segmentation or a heat map on the image below it.

For the sandbox alone; the only importer of Pillow.
"""

from __future__ import annotations

import base64
import io
import math
import os
from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from algorithm_operator.api.job import ImageGeometry
from algorithm_operator.contract import png as png_file
from algorithm_operator.contract.report import MAX_PICTURE_BYTES, PALETTE
from algorithm_operator.steps import images, planes
from algorithm_operator.steps.planes import Plane

if TYPE_CHECKING:
    from PIL.Image import Image

LONGEST = 320
"""The longest side of three planes, in pixels."""
MAX_PIXELS = 24_000_000
"""Of a picture that is decoded as a whole."""
_OVERLAY = 130
"""How much of a segment's colour is seen, of 255."""
_HEAT = ((0, 0, 0), (87, 15, 109), (187, 55, 84), (249, 142, 8), (252, 255, 164))
"""Dark to bright, as `inferno` of matplotlib does it."""
_Layer: TypeAlias = "tuple[Image, Image]"
"""Colours, and how much of them is seen (8 bits)."""
_NAMES = {0: "Sagittal", 1: "Coronal", 2: "Axial"}


def orthogonal(
    descriptor: int, below: int | None, *, max_voxel_bytes: int, segments: bool = False, heat: bool = False
) -> dict[str, Any]:
    """The three planes of a .mha file: {"pictures": […], "below": whether the image `below` lies under them}.

    :raises planes.NoPlanesError: it cannot be shown.
    """
    header = images.read_header(descriptor, max_voxel_bytes)
    at = planes.fullest(descriptor, header) if segments else None
    at = at or planes.middle(header.geometry)
    mine = planes.take(descriptor, header, at)
    under: Sequence[Image | None] = [None] * len(mine)
    if below is not None:
        lower = images.read_header(below, max_voxel_bytes)
        if planes.shape(lower.geometry) == planes.shape(header.geometry):
            under = _seen(planes.take(below, lower, at))
    if segments:
        over: Sequence[_Layer | None] = [_segments(plane) for plane in mine]
    elif heat:
        over = _heat(mine)
    else:
        over, under = [None] * len(mine), _seen(mine)
    extents = _extents(header.geometry)
    scale = LONGEST / max(max(extents[plane.horizontal], extents[plane.vertical]) for plane in mine)
    placed = []
    for plane, base, layer in zip(mine, under, over, strict=True):
        size = [max(1, round(extents[axis] * scale)) for axis in (plane.horizontal, plane.vertical)]
        image = _composed(base, layer, (size[0], size[1]), smooth=not segments)
        placed.append(_turned(image, plane, header.geometry))
    order = ("Axial", "Coronal", "Sagittal")
    pictures = sorted(placed, key=lambda each: order.index(each[0]) if each[0] in order else 0)
    return {
        "pictures": [_picture(label, image) for label, image in pictures],
        "below": over[0] is not None and under[0] is not None,
    }


def thumbnail(
    descriptor: int, formats: Sequence[str], *, segments: bool = False, heat: bool = False
) -> dict[str, Any]:
    """A picture file (`formats` in Pillow's words), or the smallest page of a pyramid that is large enough.

    :raises planes.NoPlanesError: it has too many pixels.
    """
    from PIL import Image, ImageSequence
    from PIL.Image import Resampling

    Image.MAX_IMAGE_PIXELS = None  # the limit here is that of the page which is decoded
    most = (2 * LONGEST, 2 * LONGEST)
    with os.fdopen(os.dup(descriptor), "rb") as file, Image.open(file, formats=list(formats)) as opened:
        sizes = [page.size for page in ImageSequence.Iterator(opened)]
        fitting = [(w * h, number) for number, (w, h) in enumerate(sizes) if w * h <= MAX_PIXELS]
        if not fitting:
            raise planes.NoPlanesError(f"it has no page of at most {MAX_PIXELS} pixels")
        large = [each for each in fitting if max(sizes[each[1]]) >= LONGEST]
        opened.seek((min(large) if large else max(fitting))[1])
        if segments or heat or opened.mode[0] in "IF":
            whole = opened.convert("I") if opened.mode.startswith("I") else opened
            numbers = whole.convert("F")
            numbers.thumbnail(most, Resampling.NEAREST)
            plane = Plane(2, 0, 1, *numbers.size, [array("f", numbers.tobytes())])
            layer = _segments(plane) if segments else _heat([plane])[0] if heat else None
            base = None if layer is not None else _seen([plane])[0]
            image = _composed(base, layer, numbers.size, smooth=False)
        else:
            image = opened.convert("RGB")
            image.thumbnail(most)
    return {"pictures": [_picture("", image)], "below": False}


def given(png: bytes, scale: float) -> dict[str, Any]:
    """A PNG that was drawn elsewhere, at `scale` times its size, as a picture.

    :raises planes.NoPlanesError: it is too large to be shown.
    """
    from PIL import Image

    with Image.open(io.BytesIO(png), formats=["PNG"]) as image:
        if max(image.size) > png_file.MAX_SIDE or image.width * image.height > png_file.MAX_PIXELS:
            raise planes.NoPlanesError("its picture is too large")
        width, height = (max(1, round(side / scale)) for side in image.size)
    return {"label": "", "png": base64.b64encode(png).decode(), "width": width, "height": height}


def _seen(mine: Sequence[Plane]) -> list[Image]:
    """An image as grey, or as it is where it has the colours of 8 bits."""
    from PIL import Image

    first = mine[0].components
    if len(first) in (3, 4) and first[0].typecode == "B":
        bands = [
            [Image.frombytes("L", (p.width, p.height), part.tobytes()) for part in p.components[:3]]
            for p in mine
        ]
        return [Image.merge("RGB", each) for each in bands]
    return [grey.convert("RGB") for grey in _greys(mine)]


def _greys(mine: Sequence[Plane]) -> list[Image]:
    """Numbers as 8 bits, all planes in one window; of vectors their length."""
    from PIL import Image

    values = [_lengths(plane) for plane in mine]
    low, high = planes.spread([v for each in values for v in each if math.isfinite(v)])
    factor = 255 / (high - low) if high > low else 0.0

    def level(value: float) -> int:
        return min(255, max(0, int((value - low) * factor))) if math.isfinite(value) else 0

    return [
        Image.frombytes("L", (plane.width, plane.height), bytes(map(level, each)))
        for plane, each in zip(mine, values, strict=True)
    ]


def _lengths(plane: Plane) -> Sequence[float]:
    if len(plane.components) == 1:
        return plane.components[0]
    return [math.hypot(*parts) for parts in zip(*plane.components, strict=True)]


def _segments(plane: Plane) -> _Layer:
    """The colours of a segmentation's voxels; nothing of them where it is 0."""
    from PIL import Image, ImageColor

    count = len(PALETTE)
    places = bytes((int(value) - 1) % count + 1 if value else 0 for value in plane.components[0])
    indexed = Image.frombytes("P", (plane.width, plane.height), places)
    indexed.putpalette([0, 0, 0, *(part for colour in PALETTE for part in ImageColor.getrgb(colour)[:3])])
    mask = Image.frombytes("L", indexed.size, places.translate(bytes([0]) + bytes([255]) * 255))
    return indexed.convert("RGB"), mask


def _heat(mine: Sequence[Plane]) -> list[_Layer]:
    ramp = [_between(level / 255) for level in range(256)]
    layers = []
    for grey in _greys(mine):
        coloured = grey.copy()
        coloured.putpalette([part for colour in ramp for part in colour])
        layers.append((coloured.convert("RGB"), grey))
    return layers


def _between(place: float) -> tuple[int, ...]:
    at = place * (len(_HEAT) - 1)
    number = min(int(at), len(_HEAT) - 2)
    return tuple(
        round(low + (high - low) * (at - number))
        for low, high in zip(_HEAT[number], _HEAT[number + 1], strict=True)
    )


def _composed(base: Image | None, layer: _Layer | None, size: tuple[int, int], *, smooth: bool) -> Image:
    """The image with the colours on it, at `size`; without an image, the colours on black."""
    from PIL import Image
    from PIL.Image import Resampling

    base = base.resize(size, Resampling.BICUBIC) if base is not None else None
    if layer is None:
        return base or Image.new("RGB", size)
    colours, mask = (
        each.resize(size, Resampling.BICUBIC if smooth else Resampling.NEAREST) for each in layer
    )
    if base is None:
        return Image.composite(colours, Image.new("RGB", size), mask)
    return Image.composite(Image.blend(base, colours, _OVERLAY / 255), base, mask)


def _extents(geometry: ImageGeometry) -> list[float]:
    """In mm along each axis."""
    sizes, spacing = planes.shape(geometry), (*geometry.spacing, 1.0)[:3]
    return [count * mm for count, mm in zip(sizes, spacing, strict=True)]


def _turned(image: Image, plane: Plane, geometry: ImageGeometry) -> tuple[str, Image]:
    """The plane's name, and the plane as it is looked at: the patient's left on the right, superior or anterior above,
    and anterior on the left where the patient is seen from the side."""
    from PIL.Image import Transpose

    axes = planes.anatomy(geometry)
    patient = next(number for number, (axis, _) in enumerate(axes) if axis == plane.across)
    across, down = [number for number in range(3) if number != patient]
    if axes[across][0] != plane.horizontal:
        image = image.transpose(Transpose.TRANSPOSE)
    if not axes[across][1]:
        image = image.transpose(Transpose.FLIP_LEFT_RIGHT)
    # Posterior is below, superior above.
    if axes[down][1] == (down == 2):
        image = image.transpose(Transpose.FLIP_TOP_BOTTOM)
    return (_NAMES[patient] if len(geometry.size) > 2 and planes.shape(geometry)[2] > 1 else ""), image


def _picture(label: str, image: Image) -> dict[str, Any]:
    data = io.BytesIO()
    image.save(data, "PNG", optimize=True)
    if data.tell() > MAX_PICTURE_BYTES:
        raise planes.NoPlanesError("its picture is too large")
    return {
        "label": label,
        "png": base64.b64encode(data.getvalue()).decode(),
        "width": image.width,
        "height": image.height,
    }
