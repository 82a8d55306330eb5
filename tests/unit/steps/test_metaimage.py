"""The header parser: what SimpleITK writes is read, and nothing that bytes can say makes it do anything but refuse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import SimpleITK
from hypothesis import given
from hypothesis import strategies as st

from algorithm_operator.steps import images, metaimage
from algorithm_operator.steps.metaimage import MAX_HEADER, MetaImageError, parse
from tests.unit.steps.files import opened
from tests.unit.steps.mha import FIELDS, compressed, header, mha

sitk: Any = SimpleITK
LIMIT = 1 << 30


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize(
    ("size", "pixel", "components", "name"),
    [
        ([5, 4], "sitkUInt8", 1, "uint8"),
        ([5, 4, 3], "sitkInt8", 1, "int8"),
        ([5, 4, 3], "sitkInt16", 1, "int16"),
        ([5, 4, 3], "sitkUInt16", 1, "uint16"),
        ([5, 4, 3], "sitkInt32", 1, "int32"),
        ([5, 4, 3], "sitkUInt32", 1, "uint32"),
        ([5, 4, 3], "sitkInt64", 1, "int64"),
        ([5, 4, 3], "sitkUInt64", 1, "uint64"),
        ([5, 4, 3], "sitkFloat32", 1, "float32"),
        ([5, 4, 3, 2], "sitkFloat64", 1, "float64"),
        ([5, 4, 3], "sitkVectorFloat32", 3, "float32"),
    ],
)
def test_agrees_with_what_simpleitk_writes(
    tmp_path: Path, size: list[int], pixel: str, components: int, name: str, compress: bool
) -> None:
    image = sitk.Image(size, getattr(sitk, pixel), components)
    if len(size) == 3:
        image.SetDirection([0, 1, 0, 0, 0, -1, 1, 0, 0])
    image.SetSpacing([0.5 + index / 3 for index in range(len(size))])
    image.SetOrigin([-7.25 * (index + 1) for index in range(len(size))])
    image.SetMetaData("0008|0060", "MR")
    path = tmp_path / "x.mha"
    sitk.WriteImage(image, str(path), compress)
    with opened(path) as descriptor:
        found = images.read_header(descriptor, LIMIT)
        images.check_stored(descriptor, found)
        images.check_library(descriptor, found)
    geometry = found.geometry
    assert (geometry.size, geometry.pixel_type, geometry.components) == (size, name, components)
    assert geometry.direction == pytest.approx(image.GetDirection())
    assert geometry.spacing == pytest.approx(image.GetSpacing())
    assert geometry.origin == pytest.approx(image.GetOrigin())


def parsed(data: bytes) -> metaimage.Header:
    return parse(data[:MAX_HEADER], len(data), LIMIT)


def test_defaults_and_foreign_keys() -> None:
    found = parsed(
        mha(
            TransformMatrix=None, Offset=None, ElementSpacing=None, ITK_FileNotes="a = b", CompressedData=None
        )
    )
    assert found.geometry.direction == [1, 0, 0, 0, 1, 0, 0, 0, 1]
    assert found.geometry.spacing == [1, 1, 1]
    assert found.geometry.origin == [0, 0, 0]
    assert not found.compressed


def test_carriage_returns() -> None:
    data = header().replace(b"\n", b"\r\n") + bytes(24)
    assert parsed(data).geometry.size == [4, 3, 2]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"ObjectType": "Mesh"}, "it must be Image"),
        ({"BinaryData": "False"}, "BinaryData is not True"),
        ({"BinaryData": None}, "BinaryData is not True"),
        ({"CompressedData": "Yes"}, "CompressedData is"),
        ({"NDims": "5"}, "NDims is 5"),
        ({"NDims": "1"}, "NDims is 1"),
        ({"NDims": None}, "before NDims"),
        ({"DimSize": "4 3"}, "must be 3 whole number"),
        ({"DimSize": "0 3 2"}, "at least 1"),
        ({"DimSize": None}, "DimSize is"),
        ({"ElementType": "MET_STRING"}, "ElementType"),
        ({"ElementType": None}, "ElementType is missing"),
        ({"ElementDataFile": None}, "no ElementDataFile"),
        ({"CenterOfRotation": "0 0"}, "CenterOfRotation"),
        ({"ElementSpacing": "1 1 -1"}, "must be more than 0"),
        ({"TransformMatrix": "1 0 0 0 1 0 0 0 0"}, "at right angles"),
        ({"TransformMatrix": "2 0 0 0 1 0 0 0 1"}, "at right angles"),
        ({"Rotation": "1 0 0 0 1 0 0 0 1"}, "twice"),
        ({"Foo:Bar": "1"}, "not 'Key = value'"),
        ({"Foo Bar": "1"}, "not 'Key = value'"),
    ],
)
def test_refuses(changes: dict[str, str | None], expected: str) -> None:
    with pytest.raises(MetaImageError) as caught:
        parsed(header(**changes) + bytes(24))
    assert expected in str(caught.value)


def test_refuses_more_voxels_than_allowed() -> None:
    data = mha()
    with pytest.raises(MetaImageError, match="the limit is 23"):
        parse(data, len(data), 23)


@given(st.binary(max_size=400), st.integers(0, 2000))
def test_any_bytes_are_parsed_or_refused(data: bytes, more: int) -> None:
    refusal = ""
    try:
        parse(data, len(data) + more, LIMIT)
    except MetaImageError as error:
        refusal = str(error)
    assert refusal.isprintable()


VALUES = st.sampled_from(
    [
        "",
        "0",
        "1",
        "2",
        "3",
        "-1",
        "1 2 3",
        "nan nan nan",
        "1e308 1e308 1e308",
        "True",
        "LOCAL",
        "../x",
        "MET_UCHAR",
        "MET_X",
    ]
) | st.text(max_size=20)


@given(
    st.dictionaries(st.sampled_from([*FIELDS, "HeaderSize", "CompressedDataSize", "Rotation", "ID"]), VALUES),
    st.binary(max_size=64),
)
def test_any_header_is_self_contained_or_refused(changes: dict[str, str], voxels: bytes) -> None:
    fields = FIELDS | changes
    data = (
        "".join(f"{key} = {value}\n" for key, value in fields.items()).encode("utf-8", "surrogatepass")
        + voxels
    )
    refusal = ""
    try:
        found = parsed(data)
    except MetaImageError as error:
        refusal = str(error)
    else:
        assert b"\nElementDataFile = LOCAL" in data
        assert found.compressed or found.offset + found.voxel_bytes == len(data)
        assert found.voxel_bytes <= LIMIT
    assert refusal.isprintable()


def distinct(tmp_path: Path, data: bytes) -> set[int] | None:
    path = tmp_path / "x.mha"
    path.write_bytes(data)
    with opened(path) as descriptor:
        return images.segment_values(descriptor, images.read_header(descriptor, LIMIT))


@pytest.mark.parametrize("order", ["little", "big"])
@pytest.mark.parametrize(
    ("element", "width", "signed", "values"),
    [
        ("MET_UCHAR", 1, False, [0, 1, 255]),
        ("MET_CHAR", 1, True, [0, 1, -1]),
        ("MET_SHORT", 2, True, [0, 3, 200]),
        ("MET_SHORT", 2, True, [0, -3, 1000]),
        ("MET_USHORT", 2, False, [0, 7, 65535]),
        ("MET_INT", 4, True, [0, 2, -70000]),
        ("MET_ULONG_LONG", 8, False, [0, 2, 2**64 - 1]),
    ],
)
def test_voxel_values(
    tmp_path: Path, element: str, width: int, signed: bool, values: list[int], order: str
) -> None:
    voxels = b"".join(value.to_bytes(width, order, signed=signed) for value in values * 8)  # type: ignore[arg-type]
    big = str(order == "big")
    for make in (mha, compressed):
        data = make(voxels, ElementType=element, BinaryDataByteOrderMSB=big)
        assert distinct(tmp_path, data) == set(values)


def test_voxel_values_of_compressed_pieces_that_split_a_voxel(tmp_path: Path) -> None:
    count = 600_000
    voxels = b"".join((value % 3 + 1000).to_bytes(4, "little") for value in range(count))
    data = compressed(voxels, ElementType="MET_INT", DimSize=f"{count} 1 1")
    assert distinct(tmp_path, data) == {1000, 1001, 1002}


def test_floats_are_no_segments(tmp_path: Path) -> None:
    assert distinct(tmp_path, mha(bytes(96), ElementType="MET_FLOAT")) is None


def test_a_header_that_simpleitk_reads_otherwise(tmp_path: Path) -> None:
    path = tmp_path / "x.mha"
    path.write_bytes(mha())
    with opened(path) as descriptor:
        found = images.read_header(descriptor, LIMIT)
        for change in (
            {"size": [4, 3, 3]},
            {"direction": [0, 1, 0, 1, 0, 0, 0, 0, 1]},
            {"pixel_type": "int8"},
            {"components": 2},
        ):
            other = metaimage.Header(
                found.geometry.model_copy(update=change),
                found.offset,
                24,
                1,
                compressed=False,
                big_endian=False,
            )
            with pytest.raises(MetaImageError, match="ambiguous"):
                images.check_library(descriptor, other)
