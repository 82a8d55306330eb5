"""The arrangement of frames, in numbers alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from algorithm_operator.steps.readers.dicom_series import MAX_OFF_GRID, Frame, arrange
from algorithm_operator.steps.readers.reading import Unreadable
from tests.unit.steps.dicom import AXIAL

_number = st.floats(-1, 1).filter(lambda number: abs(number) > 1e-3)


def _rotation(quaternion: tuple[float, ...]) -> Any:
    w, x, y, z = np.array(quaternion) / np.linalg.norm(quaternion)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


@given(
    quaternion=st.tuples(_number, _number, _number, _number),
    step=st.floats(0.1, 20),
    order=st.integers(2, 40).flatmap(lambda count: st.permutations(range(count))),
    origin=st.tuples(*[st.floats(-500, 500)] * 3),
    decimals=st.integers(6, 12),
)
def test_a_straight_stack_is_found_however_it_is_turned_and_shuffled(
    quaternion: tuple[float, ...], step: float, order: list[int], origin: tuple[float, ...], decimals: int
) -> None:
    axes = _rotation(quaternion).T
    cosines = tuple(np.round(axes[:2].flatten(), decimals).tolist())
    frames = [
        Frame(
            number,
            0,
            f"{place}",
            tuple(np.round(np.array(origin) + place * step * axes[2], decimals).tolist()),
            cosines,
            (1.0, 1.0),
        )
        for number, place in enumerate(order)
    ]
    found = arrange(frames)
    assert [frame.name for frame in found.frames] == [str(place) for place in range(len(order))]
    assert found.spacing[2] == pytest.approx(step, rel=1e-4)
    assert found.origin == pytest.approx(origin, abs=1e-4)
    assert pytest.approx(axes, abs=1e-4) == np.reshape(found.direction, (3, 3)).T


@pytest.mark.parametrize(
    ("aside", "taken"), [(0.9 * MAX_OFF_GRID, True), (1.1 * MAX_OFF_GRID, False)], ids=["a little", "too far"]
)
@pytest.mark.parametrize("axis", [0, 1, 2], ids=["along the row", "along the column", "along the normal"])
def test_how_far_a_slice_may_lie_off_its_place(axis: int, aside: float, taken: bool) -> None:
    """In parts of a voxel, which is 0.5 by 0.75 by 2 mm."""
    size = (0.5, 0.75, 2.0)
    places = [[0.0, 0.0, 2.0 * number] for number in range(5)]
    places[2][axis] += aside * size[axis]
    frames = [Frame(0, number, "x", tuple(place), AXIAL, size[:2]) for number, place in enumerate(places)]
    if not taken:
        with pytest.raises(Unreadable, match=r"Resample it"):
            arrange(frames)
        return
    assert any("the worst lies 9.0 % of a voxel off" in note for note in arrange(frames).notes)


def test_distances_do_not_depend_on_how_exactly_the_axes_are_written() -> None:
    rounded = (0.71, 0.71, 0.0, 0.0, 0.0, -1.0)  # 1.004 long
    along = np.array([-1.0, 1.0, 0.0]) / np.sqrt(2)
    frames = [Frame(0, number, "x", tuple(along * 3 * number), rounded, (1.0, 1.0)) for number in range(4)]
    assert arrange(frames).spacing[2] == pytest.approx(3)
