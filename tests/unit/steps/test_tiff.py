"""The TIFF header parser: what real writers write is read; whatever else bytes can say, it only refuses them."""

from __future__ import annotations

import struct
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import SimpleITK
from hypothesis import given
from hypothesis import strategies as st

from algorithm_operator.steps import tiff as tiffs
from algorithm_operator.steps import tiff_images
from algorithm_operator.steps.tiff import Header, Tag, parse
from algorithm_operator.steps.tiff_entries import File, TiffError
from tests.unit.steps.tiffs import FLOAT, LONG, RATIONAL, SHORT, Page, tiff

sitk: Any = SimpleITK
LIMIT = 1 << 30


def parsed(data: bytes, limit: int = LIMIT) -> Header:
    return parse(lambda count, offset: data[offset : offset + count], len(data), limit)


@pytest.mark.parametrize("order", ["<", ">"], ids=["little", "big endian"])
@pytest.mark.parametrize("big", [False, True], ids=["TIFF", "BigTIFF"])
@pytest.mark.parametrize(
    "page",
    [
        pytest.param(Page(), id="one strip"),
        pytest.param(Page(rows=2), id="strips, the last one shorter"),
        pytest.param(Page(tile=(16, 16)), id="a tile larger than the image"),
        pytest.param(Page(width=20, height=17, voxels=bytes(340), tile=(16, 16)), id="tiles"),
    ],
)
def test_every_layout_is_read(page: Page, big: bool, order: str) -> None:
    header = parsed(tiff(page, page, big=big, order=order))
    assert header.geometry.size == [page.width, page.height]
    assert header.geometry.spacing == [0.5, 0.25]
    assert (header.geometry.pixel_type, header.geometry.components) == ("uint8", 1)
    assert (header.levels, header.compressed, header.big_endian) == (2, False, order == ">")


@pytest.mark.parametrize(
    ("pixel", "components", "name"),
    [
        ("sitkUInt8", 1, "uint8"),
        ("sitkInt16", 1, "int16"),
        ("sitkUInt16", 1, "uint16"),
        ("sitkFloat32", 1, "float32"),
        ("sitkVectorUInt8", 3, "uint8"),
    ],
)
@pytest.mark.parametrize("compress", [False, True])
def test_agrees_with_what_simpleitk_writes(
    tmp_path: Path, pixel: str, components: int, name: str, compress: bool
) -> None:
    image = sitk.Image([5, 4], getattr(sitk, pixel), components)
    image.SetSpacing([0.5, 0.25])
    sitk.WriteImage(image, str(tmp_path / "x.tif"), compress)
    header = parsed((tmp_path / "x.tif").read_bytes())
    assert header.geometry.size == [5, 4]
    assert header.geometry.spacing == pytest.approx([0.5, 0.25], rel=1e-6)
    assert (header.geometry.pixel_type, header.geometry.components) == (name, components)
    assert header.compressed is compress


@pytest.mark.parametrize(
    ("unit", "resolution", "spacing"), [(2, [254, 1], 0.1), (3, [100, 1], 0.1), (3, [40000, 1], 0.00025)]
)
def test_spacing_is_in_millimetres(unit: int, resolution: list[int], spacing: float) -> None:
    page = Page(changes={Tag.RESOLUTION_UNIT: (SHORT, [unit]), Tag.X_RESOLUTION: (RATIONAL, resolution)})
    assert parsed(tiff(page)).geometry.spacing[0] == pytest.approx(spacing)


@pytest.mark.parametrize(
    ("changes", "extremes"),
    [
        pytest.param({}, (None, None), id="none"),
        pytest.param({Tag.MINIMUM: (SHORT, [1]), Tag.MAXIMUM: (SHORT, [4])}, (1, 4), id="plain"),
        pytest.param(
            {Tag.SAMPLE_MINIMUM: (FLOAT, [0]), Tag.SAMPLE_MAXIMUM: (FLOAT, [3])}, (0, 3), id="per sample"
        ),
        pytest.param({Tag.SAMPLE_MAXIMUM: (FLOAT, [float("nan")])}, (None, None), id="not a number"),
    ],
)
def test_what_the_tags_say_of_the_voxels(changes: dict[int, Any], extremes: tuple[Any, Any]) -> None:
    header = parsed(tiff(Page(changes=changes)))
    assert (header.minimum, header.maximum) == extremes


def test_smaller_levels_may_be_pages_below_the_first() -> None:
    data = bytearray(
        tiff(Page(changes={Tag.SUB_PAGES: (LONG, [0])}), Page(width=2, height=1, voxels=bytes(2)))
    )
    first = struct.unpack_from("<I", data, 4)[0]
    count = struct.unpack_from("<H", data, first)[0]
    following = first + 2 + 12 * count
    (second,) = struct.unpack_from("<I", data, following)
    struct.pack_into("<I", data, following, 0)
    sub = next(
        at for at in range(first + 2, following, 12) if struct.unpack_from("<H", data, at)[0] == Tag.SUB_PAGES
    )
    struct.pack_into("<I", data, sub + 8, second)
    assert parsed(bytes(data)).levels == 1
    struct.pack_into("<I", data, sub + 8, first)
    with pytest.raises(TiffError, match="loop"):
        parsed(bytes(data))


def looped() -> bytes:
    data = bytearray(tiff())
    first = struct.unpack_from("<I", data, 4)[0]
    struct.pack_into("<I", data, len(data) - 4, first)
    return bytes(data)


def changed(tag: int, type_: int, values: list[Any]) -> bytes:
    return tiff(Page(changes={tag: (type_, values)}))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        pytest.param(b"", "does not begin with a TIFF header", id="empty"),
        pytest.param(b"\x89PNG\r\n\x1a\n", "does not begin with a TIFF header", id="png"),
        pytest.param(b"II*\0" + bytes(4), "a page has", id="no page"),
        pytest.param(b"II*\0\xff\xff\xff\xff", "points beyond its end", id="page beyond the end"),
        pytest.param(b"II+\0\x04\0\0\0" + bytes(8), "does not begin", id="BigTIFF of other offsets"),
        pytest.param(tiff()[:-1], "points beyond its end", id="cut"),
        pytest.param(looped(), "loop", id="loop"),
        pytest.param(tiff(*[Page()] * 257), "more than 256 pages", id="pages"),
        pytest.param(changed(Tag.WIDTH, LONG, [1 << 31]), "strips or tiles|bytes of voxels", id="width"),
        pytest.param(changed(Tag.WIDTH, LONG, [0]), "0 by 3 voxels", id="no width"),
        pytest.param(changed(Tag.WIDTH, RATIONAL, [4, 1]), "one whole number", id="width of a strange type"),
        pytest.param(changed(Tag.WIDTH, SHORT, [4, 4]), "one whole number", id="two widths"),
        pytest.param(
            changed(Tag.LENGTH, LONG, [4000]), "should have 1334 strips", id="rows that are not there"
        ),
        pytest.param(changed(Tag.SAMPLES, SHORT, [5]), "5 components", id="components"),
        pytest.param(changed(Tag.BITS, SHORT, [1]), "voxels of 1 bits", id="bits"),
        pytest.param(changed(Tag.BITS, SHORT, [8, 16]), "same for all", id="mixed bits"),
        pytest.param(changed(Tag.SAMPLE_FORMAT, SHORT, [6]), "sample format 6", id="complex numbers"),
        pytest.param(changed(Tag.COMPRESSION, SHORT, [6]), "compression 6", id="old JPEG"),
        pytest.param(changed(Tag.PLANES, SHORT, [3]), "PlanarConfiguration", id="planes"),
        pytest.param(changed(Tag.PHOTOMETRIC, SHORT, [3]), "Color space could not be", id="palette"),
        pytest.param(changed(Tag.RESOLUTION_UNIT, SHORT, [1]), "Invalid resolution unit", id="no unit"),
        pytest.param(
            changed(Tag.X_RESOLUTION, RATIONAL, [0, 1]), "Invalid resolution in", id="no resolution"
        ),
        pytest.param(
            changed(Tag.X_RESOLUTION, FLOAT, [2.0]), "Invalid resolution in", id="strange resolution"
        ),
        pytest.param(tiff(Page(changes={Tag.Y_RESOLUTION: None})), "Voxel height could not", id="no height"),
        pytest.param(tiff(Page(changes={Tag.STRIP_OFFSETS: None})), "does not say where", id="no strips"),
        pytest.param(
            changed(Tag.STRIP_OFFSETS, LONG, [1 << 30]), "beyond its end", id="strip beyond the end"
        ),
        pytest.param(changed(Tag.STRIP_BYTES, LONG, [11]), "needs 12", id="short strip"),
        pytest.param(changed(Tag.STRIP_BYTES, LONG, [6, 6]), "should have 1 strips", id="too many strips"),
        pytest.param(changed(Tag.ROWS_PER_STRIP, LONG, [0]), "have no size", id="no rows"),
        pytest.param(
            tiff(Page(tile=(16, 16), changes={Tag.TILE_BYTES: (LONG, [255])})), "needs 256", id="short tile"
        ),
    ],
)
def test_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(TiffError, match=why):
        parsed(data)


def test_an_entry_of_an_unknown_type_or_twice_is_refused() -> None:
    data = bytearray(tiff())
    first = struct.unpack_from("<I", data, 4)[0]
    twice = bytearray(data)
    twice[first + 14 : first + 26] = twice[first + 2 : first + 14]
    with pytest.raises(TiffError, match="sets entry 256 twice"):
        parsed(bytes(twice))
    struct.pack_into("<H", data, first + 4, 99)
    with pytest.raises(TiffError, match="type 99"):
        parsed(bytes(data))


def test_a_blank_tile_need_not_be_there() -> None:
    page = Page(tile=(16, 16), changes={Tag.TILE_BYTES: (LONG, [0]), Tag.TILE_OFFSETS: (LONG, [0])})
    assert parsed(tiff(page)).geometry.size == [4, 3]


def test_the_voxels_are_bounded() -> None:
    with pytest.raises(TiffError, match="24 bytes of voxels; the limit is 20"):
        parsed(tiff(Page(), Page()), 20)


def test_a_list_of_strips_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiffs, "MAX_PIECES", 2)
    with pytest.raises(TiffError, match="more than 2 strips"):
        parsed(tiff(Page(rows=1)))


@given(
    width=st.integers(1, 40),
    height=st.integers(1, 40),
    tile=st.sampled_from([None, (16, 16), (16, 32)]),
    rows=st.sampled_from([1, 3, 64]),
    bits=st.sampled_from([8, 16]),
    data=st.data(),
)
def test_every_voxel_is_read_once_and_no_padding(
    width: int, height: int, tile: tuple[int, int] | None, rows: int, bits: int, data: st.DataObject
) -> None:
    count = width * height * bits // 8
    voxels = data.draw(st.binary(min_size=count, max_size=count))
    whole = tiff(Page(width, height, voxels, bits, tile=tile, rows=min(rows, height)))
    found = bytearray()
    file = File(lambda wanted, offset: whole[offset : offset + wanted], len(whole))
    tiff_images.read_voxels(file, parsed(whole).page, found.extend)
    assert sorted(found) == sorted(voxels)


WHOLE = [
    tiff(Page(rows=1), Page(width=2, height=1, voxels=bytes(2))),
    tiff(Page(tile=(16, 16)), big=True, order=">"),
]


@given(
    start=st.sampled_from(WHOLE),
    changes=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=8),
    cut=st.integers(0, 600),
)
def test_broken_bytes_are_read_or_refused_within_bounds(
    start: bytes, changes: list[tuple[int, int]], cut: int
) -> None:
    data = bytearray(start)
    for place, value in changes:
        data[place % len(data)] = value
    data = data[: len(data) - cut % 50] if cut % 2 else data
    reads = []

    def read(count: int, offset: int) -> bytes:
        reads.append(count)
        return bytes(data[offset : offset + count])

    with suppress(TiffError):
        header = parse(read, len(data), LIMIT)
        assert all(side >= 1 for side in header.geometry.size)
        assert all(mm > 0 for mm in header.geometry.spacing)
    assert max(reads) <= len(data) + 16
    assert len(reads) < 5000


@given(st.binary(max_size=200))
def test_any_bytes_after_a_header(data: bytes) -> None:
    for start in (b"II*\0\x08\0\0\0", b"MM\0+\0\x08\0\0" + bytes(7) + b"\x10"):
        with pytest.raises(TiffError):
            parsed(start + data)
