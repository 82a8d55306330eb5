"""NIfTI, NRRD and MetaImage of two files: what comes out is what SimpleITK and nibabel read."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import nibabel as untyped_nibabel
import numpy as np
import pytest
import SimpleITK
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from algorithm_operator.api.text import shown
from algorithm_operator.steps import metaimage
from algorithm_operator.steps.metaimage import MetaImageError
from algorithm_operator.steps.readers import nifti, nrrd
from algorithm_operator.steps.readers.reading import Unreadable
from tests.unit.steps.mha import header, mha
from tests.unit.steps.reading import LIMIT, staged

nibabel: Any = untyped_nibabel
sitk: Any = SimpleITK
OBLIQUE = np.eye(4)
OBLIQUE[:3, 3] = (-10.5, 20.25, -30)
OBLIQUE[:3, :3] = np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1]]) @ np.diag([1, 2, 3])
FLIP = np.diag([-1, -1, 1, 1])
"""From the axes of NIfTI (RAS) to those of ITK (LPS)."""


def voxels(shape: tuple[int, ...], kind: str = "int16") -> Any:
    return np.arange(np.prod(shape)).reshape(shape).astype(kind)


def write_nifti(path: Path, data: Any, affine: Any = OBLIQUE, **fields: Any) -> Path:
    image = nibabel.Nifti1Image(data, affine)
    image.header.set_qform(affine, code=1)
    for key, value in fields.items():
        image.header[key] = value
    nibabel.save(image, path)
    return path


def same(first: Any, second: Any) -> None:
    """Geometry and voxels of two images."""
    assert first.GetSize() == second.GetSize()
    assert first.GetPixelIDValue() == second.GetPixelIDValue()
    for part in ("Spacing", "Origin", "Direction"):
        assert getattr(first, f"Get{part}")() == getattr(second, f"Get{part}")(), part
    np.testing.assert_array_equal(sitk.GetArrayFromImage(first), sitk.GetArrayFromImage(second))


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".NII.GZ"])
@pytest.mark.parametrize(
    "kind", ["uint8", "int8", "int16", "uint16", "int32", "uint32", "float32", "float64"]
)
def test_nifti(tmp_path: Path, suffix: str, kind: str) -> None:
    path = write_nifti(tmp_path / f"t1{suffix.lower()}", voxels((4, 3, 2), kind))
    named = path.rename(tmp_path / f"T1{suffix}")
    found = staged(tmp_path, named)
    assert (found.read.format, found.read.notes) == ("NIfTI", ())
    written = sitk.ReadImage(found.path)
    same(written, sitk.ReadImage(named.rename(path)))
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(written.GetDirection(), (3, 3)) @ np.diag(written.GetSpacing())
    affine[:3, 3] = written.GetOrigin()
    np.testing.assert_allclose(FLIP @ affine, OBLIQUE, atol=1e-5)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(written).T, nibabel.load(path).get_fdata())


@pytest.mark.parametrize("shape", [(4, 3), (4, 3, 2), (4, 3, 2, 5), (4, 3, 2, 1, 3), (4, 3, 1)], ids=str)
def test_dimensions_of_nifti(tmp_path: Path, shape: tuple[int, ...]) -> None:
    vectors = {"intent_code": 1007} if len(shape) == 5 else {}
    path = write_nifti(tmp_path / "t1.nii", voxels(shape), **vectors)
    found = staged(tmp_path, path)
    same(sitk.ReadImage(found.path), sitk.ReadImage(path))
    assert found.geometry is not None
    assert found.geometry.components == (3 if len(shape) == 5 else 1)


def test_nifti_of_more_dimensions(tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "t1.nii", voxels((4, 3, 2, 1, 3)))
    with pytest.raises(Unreadable, match="it has 5 dimensions; images have 2 to 4"):
        staged(tmp_path, path)


def test_scaled_nifti(tmp_path: Path) -> None:
    path = tmp_path / "t1.nii"
    image = nibabel.Nifti1Image(voxels((4, 3, 2)), OBLIQUE)
    image.header.set_slope_inter(0.5, -3)
    nibabel.save(image, path)
    data = bytearray(path.read_bytes())
    data[112:120] = struct.pack("<2f", 0.5, -3)
    path.write_bytes(data)
    found = staged(tmp_path, path)
    assert found.read.notes == ("values are stored numbers times 0.5 plus -3",)
    same(sitk.ReadImage(found.path), sitk.ReadImage(path))
    np.testing.assert_allclose(
        sitk.GetArrayFromImage(sitk.ReadImage(found.path)).T, nibabel.load(path).get_fdata()
    )


def test_what_a_nifti_says_of_itself_does_not_get_into_the_header(tmp_path: Path) -> None:
    path = write_nifti(
        tmp_path / "t1.nii",
        voxels((4, 3, 2)),
        descrip=b"x\nElementDataFile = /etc/passwd",
        aux_file=b"a\nNDims = 9",
    )
    found = staged(tmp_path, path)
    assert b"passwd" not in found.path.read_bytes()
    same(sitk.ReadImage(found.path), sitk.ReadImage(path))


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("components", [1, 3])
@pytest.mark.parametrize("dimensions", [2, 3, 4])
def test_nrrd(tmp_path: Path, dimensions: int, components: int, compressed: bool) -> None:
    shape = (2, 3, 4, 5)[-dimensions:] + ((components,) if components > 1 else ())
    image = sitk.GetImageFromArray(voxels(shape, "float32"), isVector=components > 1)
    image.SetSpacing([0.7, 0.8, 2.5, 3][:dimensions])
    image.SetOrigin([-1.5, 2.25, 100, 7][:dimensions])
    if dimensions == 3:
        image.SetDirection([0, 0, 1, 1, 0, 0, 0, 1, 0])
    path = tmp_path / "t1.nrrd"
    sitk.WriteImage(image, path, useCompression=compressed)
    found = staged(tmp_path, path)
    assert found.read.format == "NRRD"
    same(sitk.ReadImage(found.path), sitk.ReadImage(path))
    same(sitk.ReadImage(found.path), image)


@pytest.mark.parametrize("compressed", [False, True])
def test_metaimage_of_two_files(tmp_path: Path, compressed: bool) -> None:
    image = sitk.GetImageFromArray(voxels((2, 3, 4)))
    image.SetSpacing([0.1, 0.2, 1 / 3])
    sitk.WriteImage(image, tmp_path / "t1.mhd", useCompression=compressed)
    data = tmp_path / ("t1.zraw" if compressed else "t1.raw")
    found = staged(tmp_path, data, tmp_path / "t1.mhd")
    same(sitk.ReadImage(found.path), sitk.ReadImage(tmp_path / "t1.mhd"))
    assert found.path.read_bytes().endswith(b"ElementDataFile = LOCAL\n" + data.read_bytes())


@pytest.mark.parametrize(
    "name",
    [
        "/etc/passwd",
        "../t1.raw",
        "a/t1.raw",
        "LIST",
        "LIST 2",
        "slice%03d.raw 1 9 1",
        "t2.raw",
        "LOCAL",
        "..",
    ],
)
def test_a_header_that_names_another_file(tmp_path: Path, name: str) -> None:
    (tmp_path / "t1.mhd").write_bytes(header(ElementDataFile=name))
    (tmp_path / "t1.raw").write_bytes(bytes(24))
    (tmp_path / "t2.raw").write_bytes(bytes(24))
    with pytest.raises(Unreadable, match=r"ElementDataFile|data file"):
        staged(tmp_path, tmp_path / "t1.mhd", tmp_path / "t1.raw")


@pytest.mark.parametrize(
    ("data", "extra", "expected"),
    [
        (bytes(23), None, "promises 24 bytes of voxels, but 23 follow it"),
        (bytes(24), b"x", 'beside it and its data file lies "notes.txt"'),
    ],
    ids=["a byte too few", "a third file"],
)
def test_a_pair_that_does_not_fit(tmp_path: Path, data: bytes, extra: bytes | None, expected: str) -> None:
    (tmp_path / "t1.mhd").write_bytes(header(ElementDataFile="t1.raw"))
    (tmp_path / "t1.raw").write_bytes(data)
    paths = [tmp_path / "t1.mhd", tmp_path / "t1.raw"]
    if extra:
        (tmp_path / "notes.txt").write_bytes(extra)
        paths.append(tmp_path / "notes.txt")
    with pytest.raises(Unreadable, match=expected):
        staged(tmp_path, *paths)


def test_a_header_that_goes_on(tmp_path: Path) -> None:
    (tmp_path / "t1.mhd").write_bytes(header(ElementDataFile="t1.raw") + b"ElementDataFile = /etc/passwd\n")
    (tmp_path / "t1.raw").write_bytes(bytes(24))
    with pytest.raises(Unreadable, match="must be the last line"):
        staged(tmp_path, tmp_path / "t1.mhd", tmp_path / "t1.raw")


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"a.mha": mha(), "b.nii": b""}, 'exactly one image, but these are 2: "a.mha", "b.nii"'),
        ({"a.mha": mha(), "b.txt": b""}, '"a.mha" is one image in one file, but beside it lies "b.txt"'),
        ({"a.png": b"\x89PNG"}, '"a.png": no image in a format that is read'),
        ({f"{n}.txt": b"" for n in range(7)}, 'and 2 more: no image'),
        ({"a.nhdr": b"NRRD0004\n"}, "no image in a format"),
    ],
    ids=["two images", "something beside", "a picture", "many", "a detached header"],
)  # fmt: skip
def test_what_is_not_one_image(tmp_path: Path, files: dict[str, bytes], expected: str) -> None:
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    with pytest.raises(Unreadable, match=expected):
        staged(tmp_path, *(tmp_path / name for name in files))


def nifti_bytes(**fields: Any) -> bytes:
    """A header and 24 bytes of voxels, with some fields as the test has them."""
    made = nibabel.Nifti1Header()
    made.set_data_shape((4, 3, 2))
    made.set_data_dtype("uint8")
    made["vox_offset"], made["magic"] = 352, b"n+1"
    for key, value in fields.items():
        made[key] = value
    return bytes(made.binaryblock) + bytes(4 + 24)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "does not begin with a NIfTI header"),
        (bytes(400), "does not begin with a NIfTI header"),
        (nifti_bytes(magic=b"ni1"), "lie in another file"),
        (nifti_bytes(magic=b"n+9"), "does not begin with a NIfTI header"),
        (struct.pack("<i", 540) + bytes(600), "it is NIfTI-2"),
        (nifti_bytes(dim=[0, 4, 3, 2, 1, 1, 1, 1]), "no valid number of dimensions"),
        (nifti_bytes(dim=[8, 4, 3, 2, 1, 1, 1, 1]), "no valid number of dimensions"),
        (nifti_bytes(dim=[3, 4, -3, 2, 1, 1, 1, 1]), "a dimension of less than 1"),
        (nifti_bytes(dim=[7, *[32767] * 7]), "the limit is"),
        (nifti_bytes(dim=[3, 4, 3, 3, 1, 1, 1, 1]), "36 bytes of voxels, which the file cannot hold"),
        (nifti_bytes(datatype=32, bitpix=64), "complex numbers"),
        (nifti_bytes(datatype=1, bitpix=1), "code 1 of 1 bits"),
        (nifti_bytes(datatype=2, bitpix=64), "code 2 of 64 bits"),
        (nifti_bytes(vox_offset=0), "where the voxels begin"),
        (nifti_bytes(vox_offset=352.5), "where the voxels begin"),
        (nifti_bytes(vox_offset=float("nan")), "where the voxels begin"),
        (nifti_bytes(vox_offset=1e30), "where the voxels begin"),
        (nifti_bytes(scl_slope=float("nan")), "no finite number"),
        (nifti_bytes(scl_inter=float("inf")), "no finite number"),
    ],
    ids=[
        "nothing", "zeros", "a pair", "another version", "NIfTI-2", "no dimensions", "eight dimensions",
        "a negative size", "too large", "more than the file", "complex", "single bits",
        "bits of another type", "an offset in the header", "half an offset", "no offset",
        "an endless offset", "no slope", "an endless intercept",
    ],
)  # fmt: skip
def test_nifti_headers_that_are_refused(tmp_path: Path, data: bytes, expected: str) -> None:
    (tmp_path / "x.nii").write_bytes(data)
    with pytest.raises(Unreadable, match=f'"x.nii": .*{expected}'):
        staged(tmp_path, tmp_path / "x.nii")


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("x.nii.gz", nifti_bytes(), "it is not gzip"),
        ("x.nii", b"\x1f\x8b\x08", "name it .nii.gz"),
        ("x.nii.gz", b"\x1f\x8b\x08" + bytes(20), "gzip data are damaged"),
    ],
    ids=["not compressed", "compressed under a plain name", "damaged"],
)
def test_gzip_that_is_none(tmp_path: Path, name: str, data: bytes, expected: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(Unreadable, match=expected):
        staged(tmp_path, tmp_path / name)


def nrrd_bytes(*lines: str, data: bytes = bytes(24), **fields: str | None) -> bytes:
    """A header and 24 bytes of voxels, with some fields as the test has them."""
    all_fields: dict[str, str | None] = {
        "type": "uchar", "dimension": "3", "sizes": "4 3 2", "encoding": "raw", **fields,
    }  # fmt: skip
    told = [f"{key}: {value}" for key, value in all_fields.items() if value is not None]
    return "\n".join(["NRRD0004", *told, *lines, "", ""]).encode("latin-1") + data


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "does not begin with an NRRD header"),
        (nrrd_bytes().replace(b"0004", b"0009"), "does not begin with an NRRD header"),
        (nrrd_bytes("data file: /etc/passwd"), "lie in another file"),
        (nrrd_bytes("DataFile: x.raw"), "lie in another file"),
        (nrrd_bytes("datafile: LIST"), "lie in another file"),
        (nrrd_bytes("sizes: 1 1 1"), 'sets "sizes" twice'),
        (nrrd_bytes("nonsense"), '"nonsense" of its header is no field'),
        (nrrd_bytes("content: a\x07"), "control characters"),
        (nrrd_bytes("line skip: 1"), "sets lineskip"),
        (nrrd_bytes("byte skip: -1"), "sets byteskip"),
        (nrrd_bytes(type="block"), 'type "block"'),
        (nrrd_bytes(type=None), 'type ""'),
        (nrrd_bytes(dimension="16"), "has 16 axes"),
        (nrrd_bytes(dimension="x"), "dimension is \"x\""),
        (nrrd_bytes(sizes="4 3"), "must be 3 whole number"),
        (nrrd_bytes(sizes="4 3 0"), "of size 0"),
        (nrrd_bytes(sizes="4000000 3000000 2"), "the limit is"),
        (nrrd_bytes(sizes="4 3 3"), "36 bytes of voxels, which the file cannot hold"),
        (nrrd_bytes(sizes="4000 300 200", encoding="gzip"), "which the file cannot hold"),
        (nrrd_bytes(encoding="ascii"), "must be raw or gzip"),
        (nrrd_bytes(encoding="bzip2"), "must be raw or gzip"),
        (b"NRRD0004\n" + b"#\n" * 40000, "does not end within"),
    ],
    ids=[
        "nothing", "another version", "data file", "DataFile", "a list of files", "a field twice",
        "no field", "a control character", "line skip", "byte skip", "blocks", "no type", "16 axes",
        "no number of axes", "a size too few", "a size of 0", "too large", "more than the file",
        "more than gzip makes of the file", "ascii", "bzip2", "an endless header",
    ],
)  # fmt: skip
def test_nrrd_headers_that_are_refused(tmp_path: Path, data: bytes, expected: str) -> None:
    (tmp_path / "x.nrrd").write_bytes(data)
    with pytest.raises(Unreadable, match=f'"x.nrrd": .*{expected}'):
        staged(tmp_path, tmp_path / "x.nrrd")


def test_an_nrrd_by_hand(tmp_path: Path) -> None:
    (tmp_path / "x.nrrd").write_bytes(nrrd_bytes("# a remark", "who:=data file: x"))
    assert staged(tmp_path, tmp_path / "x.nrrd").geometry is not None


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(data=st.binary(max_size=400), places=st.lists(st.tuples(st.integers(0, 347), st.binary(max_size=8))))
@example(data=b"", places=[(40, struct.pack("<h", 7))])
def test_any_nifti_header_promises_what_the_file_holds_or_is_refused(
    data: bytes, places: list[tuple[int, bytes]]
) -> None:
    made = bytearray(nifti_bytes()[:348])
    for place, piece in places:
        made[place : place + len(piece)] = piece
    refusal = ""
    try:
        found = nifti.parse(bytes(made) + data, 348 + len(data), LIMIT)
    except Unreadable as error:
        refusal = str(error)
    else:
        assert 0 < found.voxel_bytes <= len(data)
    assert refusal.isprintable()


LINES = st.text(st.characters(max_codepoint=255), max_size=40) | st.sampled_from(
    ["data file: x", "sizes: 2 2 2", "byte skip: -1", "encoding: gzip", "key:=value", ""]
)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@example(lines=["\xa0"], sizes="", data=b"")
@given(
    lines=st.lists(LINES, max_size=6), sizes=st.text("0123456789 -", max_size=12), data=st.binary(max_size=64)
)
def test_any_nrrd_header_promises_what_the_file_holds_or_is_refused(
    lines: list[str], sizes: str, data: bytes
) -> None:
    made = nrrd_bytes(*lines, sizes=sizes, data=data)
    refusal = ""
    try:
        found = nrrd.parse(made, len(made), LIMIT)
    except Unreadable as error:
        refusal = str(error)
    else:
        assert 0 < found.voxel_bytes <= len(made) * nifti.MAX_INFLATION
        head = made[: found.offset].lower().replace(b" ", b"")
        assert not any(line.startswith(b"datafile:") and line[9:10] != b"=" for line in head.split(b"\n"))
    assert shown(refusal, 1000) == refusal


@settings(deadline=None)
@given(name=st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40))
@example(name="LIST")
@example(name="a/../b")
def test_any_data_file_is_a_plain_name_or_refused(name: str) -> None:
    refusal = ""
    try:
        found, made = metaimage.attached(header(ElementDataFile=name))
    except MetaImageError as error:
        refusal = str(error)
    else:
        assert "/" not in found
        assert "%" not in found
        assert made.count(b"ElementDataFile") == 1
    assert refusal.isprintable()
