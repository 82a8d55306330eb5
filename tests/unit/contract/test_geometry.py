"""Where an output must lie: what is told, with which numbers, and what rounding of headers is let through."""

from __future__ import annotations

import math
import struct
from typing import Any

import pytest

from algorithm_operator.api.job import ImageGeometry
from algorithm_operator.contract.geometry import mismatch


def image(**changes: Any) -> ImageGeometry:
    fields: dict[str, Any] = {
        "size": [256, 256, 30],
        "spacing": [0.48828125, 0.48828125, 5.0],
        "origin": [-125.0, -120.5, 33.3333333],
        "direction": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
        "pixel_type": "uint8",
    }
    return ImageGeometry.model_validate(fields | changes)


def flat(**changes: Any) -> ImageGeometry:
    fields: dict[str, Any] = {
        "size": [256, 256],
        "spacing": [0.5, 0.5],
        "origin": [0.0, 0.0],
        "direction": [1.0, 0.0, 0.0, 1.0],
    }
    return image(**(fields | changes))


def single(number: float) -> float:
    """As single precision keeps it."""
    return float(struct.unpack("f", struct.pack("f", number))[0])


TURNED = [math.cos(0.3), -math.sin(0.3), 0.0, math.sin(0.3), math.cos(0.3), 0.0, 0.0, 0.0, 1.0]
SERIES = {
    "size": [256, 256, 30, 3],
    "spacing": [0.48828125, 0.48828125, 5.0, 1.0],
    "origin": [-125.0, -120.5, 33.3333333, 0.0],
    "direction": [1.0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1],
}


@pytest.mark.parametrize(
    ("output", "below"),
    [
        pytest.param(image(), image(), id="the same"),
        pytest.param(image(pixel_type="float32", components=3), image(), id="other voxels"),
        pytest.param(image(spacing=[0.488281, 0.488281, 5]), image(), id="six digits"),
        pytest.param(image(origin=[single(n) for n in image().origin]), image(), id="single precision"),
        pytest.param(
            image(direction=[single(n) for n in TURNED]),
            image(direction=TURNED),
            id="turned, single precision",
        ),
        pytest.param(image(), image(**SERIES), id="one time point on a series"),
        pytest.param(image(**SERIES), image(), id="a displacement field"),
        pytest.param(image(**SERIES), image(**{**SERIES, "size": [256, 256, 30, 9]}), id="other time points"),
        pytest.param(
            flat(), image(size=[256, 256, 1], spacing=[0.5, 0.5, 5], origin=[0, 0, 7]), id="flat on a slice"
        ),
        pytest.param(flat(), flat(), id="flat"),
    ],
)
def test_lies_on_it(output: ImageGeometry, below: ImageGeometry) -> None:
    assert mismatch(output, below, "t1") is None


FIX = "With SimpleITK, before it is written: output.CopyInformation(input)."
RESAMPLE = "Resample it to the grid of the input: CopyInformation does not help where sizes differ."


@pytest.mark.parametrize(
    ("output", "below", "why"),
    [
        pytest.param(
            image(size=[128, 256, 30]),
            image(),
            f"its size is (128, 256, 30) voxels, not (256, 256, 30). {RESAMPLE}",
            id="size",
        ),
        pytest.param(
            image(spacing=[1, 1, 1]),
            image(),
            f"its spacing is (1, 1, 1) mm, not (0.48828125, 0.48828125, 5) mm. {FIX}",
            id="spacing",
        ),
        pytest.param(
            image(spacing=[0.488, 0.488, 5]),
            image(),
            f"its spacing is (0.488, 0.488, 5) mm, not (0.48828125, 0.48828125, 5) mm. {FIX}",
            id="three digits",
        ),
        pytest.param(
            image(origin=[0, 0, 0]),
            image(),
            f"its origin is (0, 0, 0) mm, not (-125, -120.5, 33.333333) mm. {FIX}",
            id="origin",
        ),
        pytest.param(
            image(direction=[-1, 0, 0, 0, -1, 0, 0, 0, 1]),
            image(),
            f"its direction is (-1, 0, 0, 0, -1, 0, 0, 0, 1), not (1, 0, 0, 0, 1, 0, 0, 0, 1). {FIX}",
            id="direction",
        ),
        pytest.param(
            flat(),
            image(spacing=[0.5, 0.5, 5], origin=[0, 0, 0]),
            f"its size is (256, 256) voxels, not (256, 256, 30). {RESAMPLE}",
            id="flat on a volume",
        ),
        pytest.param(
            image(spacing=[0.5, 0.5, 5], origin=[0, 0, 0]),
            flat(),
            f"its size is (256, 256, 30) voxels, not (256, 256). {RESAMPLE}",
            id="a volume on flat",
        ),
    ],
)
def test_is_told_with_the_numbers_and_the_fix(output: ImageGeometry, below: ImageGeometry, why: str) -> None:
    assert mismatch(output, below, "t1") == f'It does not lie on input "t1": {why}'


def test_all_that_is_different_is_told_at_once() -> None:
    said = mismatch(
        image(size=[1, 1, 1], spacing=[1, 1, 1], origin=[0, 0, 0], direction=TURNED), image(), "t1"
    )
    assert said is not None
    assert [word in said for word in ("size", "spacing", "origin", "direction")] == [True] * 4


def test_a_tiff_has_size_and_spacing_alone() -> None:
    below = flat(origin=[7, 8], direction=[0, 1, -1, 0])
    assert mismatch(flat(), below, "slide", placed=False) is None
    said = mismatch(flat(spacing=[0.25, 0.25]), below, "slide", placed=False)
    assert said == (
        'It does not lie on input "slide": its spacing is (0.25, 0.25) mm, not (0.5, 0.5) mm. '
        "Set XResolution, YResolution and ResolutionUnit, or write an .mha."
    )
