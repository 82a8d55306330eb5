"""The planes of an image: the right voxels, turned as they are looked at."""

import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from algorithm_operator.api.job import ImageGeometry
from algorithm_operator.steps import images, planes
from algorithm_operator.steps.metaimage import Header
from tests.unit.steps.mha import compressed, mha

Open = Callable[[bytes], tuple[int, Header]]
LIMIT = 1 << 40


@pytest.fixture
def opened(tmp_path: Path) -> Open:
    def open_(data: bytes) -> tuple[int, Header]:
        path = tmp_path / "image.mha"
        path.write_bytes(data)
        descriptor = os.open(path, os.O_RDONLY)
        return descriptor, images.read_header(descriptor, LIMIT)

    return open_


VOXELS = bytes(range(24))
"""4 by 3 by 2: voxel (x, y, z) is x + 4 y + 12 z."""


@pytest.mark.parametrize("make", [mha, compressed])
def test_the_voxels_of_each_plane(opened: Open, make: Callable[[bytes], bytes]) -> None:
    third, second, first = planes.take(*opened(make(VOXELS)), (1, 2, 1))
    assert (third.across, third.width, third.height) == (2, 4, 3)
    assert list(third.components[0]) == list(range(12, 24))
    assert (second.across, second.horizontal, second.vertical) == (1, 0, 2)
    assert list(second.components[0]) == [8, 9, 10, 11, 20, 21, 22, 23]
    assert (first.across, first.horizontal, first.vertical) == (0, 1, 2)
    assert list(first.components[0]) == [1, 5, 9, 13, 17, 21]


def test_numbers_of_more_bytes_in_either_order(opened: Open) -> None:
    numbers = [-300, 2, 700, 4, 5, 6]
    for order, big in ((">", "True"), ("<", "False")):
        data = mha(
            struct.pack(f"{order}6h", *numbers),
            DimSize="3 2 1",
            ElementType="MET_SHORT",
            BinaryDataByteOrderMSB=big,
        )
        (plane,) = planes.take(*opened(data), (1, 1, 0))
        assert list(plane.components[0]) == numbers


def test_colours_come_apart(opened: Open) -> None:
    data = mha(bytes(range(12)), NDims="2", DimSize="2 2", ElementSpacing="1 1", Offset="0 0",
               TransformMatrix="1 0 0 1", ElementNumberOfChannels="3")  # fmt: skip
    (plane,) = planes.take(*opened(data), (1, 1, 0))
    assert [list(part) for part in plane.components] == [[0, 3, 6, 9], [1, 4, 7, 10], [2, 5, 8, 11]]


def test_a_large_plane_is_thinned_out(opened: Open) -> None:
    data = mha(bytes(1100 * 2), DimSize="1100 2 1")
    (plane,) = planes.take(*opened(data), (0, 0, 0))
    assert (plane.width, plane.height) == (367, 2)
    assert len(plane.components[0]) == 734


@pytest.mark.parametrize("element", ["MET_UCHAR", "MET_USHORT"])
def test_the_fullest_slices(opened: Open, element: str) -> None:
    voxels = [0] * 24
    for x, y, z in ((3, 0, 1), (3, 1, 1), (3, 2, 0), (2, 1, 1)):
        voxels[x + 4 * y + 12 * z] = 2 if element == "MET_UCHAR" else 256
    data = struct.pack("<24" + ("B" if element == "MET_UCHAR" else "H"), *voxels)
    assert planes.fullest(*opened(mha(data, ElementType=element))) == (3, 1, 1)
    assert planes.fullest(*opened(mha())) is None


@pytest.mark.parametrize(
    ("direction", "expected"),
    [
        ([1, 0, 0, 0, 1, 0, 0, 0, 1], [(0, True), (1, True), (2, True)]),
        ([-1, 0, 0, 0, -1, 0, 0, 0, 1], [(0, False), (1, False), (2, True)]),
        ([0, 0, 1, 1, 0, 0, 0, -1, 0], [(2, True), (0, True), (1, False)]),
        ([0.8, 0.6, 0, -0.6, 0.8, 0, 0, 0, 1], [(0, True), (1, True), (2, True)]),
    ],
    ids=["as it is", "RAS", "sagittal slices", "oblique"],
)
def test_which_axis_runs_where(direction: list[float], expected: list[tuple[int, bool]]) -> None:
    geometry = ImageGeometry(
        size=[4, 3, 2], spacing=[1, 1, 1], origin=[0, 0, 0], direction=direction, pixel_type="uint8"
    )
    assert planes.anatomy(geometry) == expected


def test_what_has_no_planes(opened: Open) -> None:
    four = mha(bytes(48), NDims="4", DimSize="4 3 2 2", ElementSpacing="1 1 1 1", Offset="0 0 0 0",
               TransformMatrix="1 0 0 0 0 1 0 0 0 0 1 0 0 0 0 1")  # fmt: skip
    with pytest.raises(planes.NoPlanesError, match="4 dimensions"):
        planes.take(*opened(four), (0, 0, 0))


def test_a_window_leaves_out_the_rarest() -> None:
    assert planes.spread([*range(1000), 10**9]) == (5.0, 995.0)
    assert planes.spread([3, 3, 3]) == (3.0, 3.0)
    assert planes.spread([0] * 1000 + [7]) == (0.0, 7.0)
    assert planes.spread([]) == (0.0, 1.0)
