"""A DICOM series becomes one image: geometry and voxels exactly, as ITK has them, whatever the files are called."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from algorithm_operator.steps.readers import dicom
from algorithm_operator.steps.readers.reading import Unreadable
from tests.unit.steps.dicom import (
    AXIAL,
    ENHANCED_MR,
    OBLIQUE,
    SAGITTAL,
    dataset,
    normal,
    series,
    volume,
    write,
)
from tests.unit.steps.reading import given

sitk: Any = SimpleITK


@dataclass(frozen=True)
class Found:
    """What was read; `image` is a SimpleITK image."""

    image: Any
    notes: tuple[str, ...]
    format: str


def read(paths: list[Path]) -> Found:
    with given(paths) as files:
        found = dicom.read(files)
    return Found(found.image, found.notes, found.format)


def voxels(found: Found) -> Any:
    return sitk.GetArrayFromImage(found.image)


def refusal(paths: list[Path]) -> str:
    with pytest.raises(Unreadable) as caught:
        read(paths)
    return str(caught.value)


@pytest.mark.parametrize(
    ("orientation", "step"),
    [(AXIAL, 2.5), (SAGITTAL, 1.25), (OBLIQUE, 3.0), ((-1.0, 0, 0, 0, -1.0, 0), 0.625)],
    ids=["axial", "sagittal", "oblique", "rotated"],
)
@pytest.mark.parametrize("reverse", [False, True], ids=["in order", "names reversed"])
def test_geometry_is_that_of_the_headers_and_of_itk(
    tmp_path: Path, orientation: Any, step: float, reverse: bool
) -> None:
    expected = volume()
    names = [f"{number}.dcm" for number in range(4)]
    paths = series(
        tmp_path, expected, orientation=orientation, step=step, names=names[::-1] if reverse else names
    )
    found = read(sorted(paths))

    image = found.image
    row, column = np.array(orientation[:3]), np.array(orientation[3:])
    assert image.GetSize() == (5, 3, 4)
    assert image.GetSpacing() == pytest.approx((0.5, 0.75, step))
    assert image.GetOrigin() == (-10.0, -20.0, 30.0)
    assert image.GetDirection() == pytest.approx(np.array([row, column, normal(orientation)]).T.flatten())
    assert voxels(found).dtype == np.int16
    assert (voxels(found) == expected).all()

    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(tmp_path)))
    itk = reader.Execute()
    for number in ("GetSpacing", "GetOrigin", "GetDirection"):
        assert getattr(image, number)() == pytest.approx(getattr(itk, number)())
    assert (sitk.GetArrayFromImage(itk) == voxels(found)).all()
    assert found.format == "DICOM"
    assert found.notes == ("4 frames of 4 files, sorted by position.",)


@pytest.mark.parametrize(
    ("stored", "elements", "dtype", "expected"),
    [
        (np.array([[0, 4095]], "uint16"), {"BitsStored": 12}, "uint16", [0, 4095]),
        (np.array([[0xF001, 0x1FFF]], "uint16"), {"BitsStored": 12}, "uint16", [1, 4095]),
        (np.array([[0x0FFF, 0x0800]], "int16"), {"BitsStored": 12}, "int16", [-1, -2048]),
        (np.array([[0xABC0, 0x0010]], "uint16"), {"BitsStored": 12, "HighBit": 15}, "uint16", [0xABC, 1]),
        (np.array([[0, 255]], "uint8"), {}, "uint8", [0, 255]),
        (np.array([[-128, 127]], "int8"), {}, "int8", [-128, 127]),
        (np.array([[0, 2**32 - 1]], "uint32"), {}, "uint32", [0, 2**32 - 1]),
        (np.array([[0, 4095]], "uint16"), {"BitsStored": 12, "RescaleIntercept": -1024}, "int16", [-1024, 3071]),
        (np.array([[0, 65535]], "uint16"), {"RescaleIntercept": -1024}, "int32", [-1024, 64511]),
        (np.array([[0, 200]], "uint8"), {"RescaleSlope": 3, "RescaleIntercept": 1}, "int16", [1, 601]),
        (np.array([[-4, 4]], "int16"), {"RescaleSlope": "0.5", "RescaleIntercept": "0.25"}, "float32", [-1.75, 2.25]),
        (np.array([[7, 9]], "uint32"), {"RescaleSlope": 2}, "float32", [14, 18]),
    ],
    ids=[
        "12 bits", "overlay above 12 bits", "signed 12 bits", "left-aligned", "uint8", "int8", "uint32",
        "CT", "CT of 16 bits", "wider", "fraction", "too wide for integers",
    ],
)  # fmt: skip
def test_values(tmp_path: Path, stored: Any, elements: Any, dtype: str, expected: list[float]) -> None:
    found = read([write(tmp_path / "x", dataset(stored, **elements))])
    assert voxels(found).dtype == dtype
    assert voxels(found)[0, 0].tolist() == expected


def test_every_slice_is_scaled_by_its_own_slope(tmp_path: Path) -> None:
    stored = volume(3)
    slopes = [0.5, 1.5, 2.0]
    changes = {number: {"RescaleSlope": slope, "RescaleIntercept": -1} for number, slope in enumerate(slopes)}
    found = read(series(tmp_path, stored, changes=changes))
    assert voxels(found).dtype == np.float32
    assert (voxels(found) == stored * np.array(slopes)[:, None, None] - 1).all()
    assert "Every slice was scaled by its own slope and intercept (3 different), as float32." in found.notes


@pytest.mark.parametrize(
    ("dtype", "stored", "expected"),
    [("u2", [1, 65535, 3], [65535, 1, 65533]), ("i2", [-32768, 32767, 0], [32767, -32768, -1])],
    ids=["unsigned", "signed"],
)
def test_monochrome1_is_inverted_within_its_bounds(
    tmp_path: Path, dtype: str, stored: list[int], expected: list[int]
) -> None:
    pixels = np.array([[each] for each in stored], dtype=dtype)
    found = read(series(tmp_path, pixels[:, :, None], PhotometricInterpretation="MONOCHROME1"))
    assert voxels(found).flatten().tolist() == expected
    assert any("MONOCHROME1" in note for note in found.notes)


@pytest.mark.parametrize(
    "syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian], ids=["explicit", "implicit"]
)
@pytest.mark.parametrize("planar", [0, 1])
def test_colour(tmp_path: Path, planar: int, syntax: Any) -> None:
    pixels = np.arange(2 * 3 * 3, dtype="u1").reshape(2, 3, 3)
    elements = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": planar}
    stored = pixels if planar == 0 else np.moveaxis(pixels, -1, 0)
    data = dataset(pixels, PixelData=stored.tobytes(), **elements)
    found = read([write(tmp_path / "x", data, syntax)])
    assert (voxels(found)[0] == pixels).all()
    assert found.image.GetNumberOfComponentsPerPixel() == 3


def test_full_range_ybr_becomes_rgb(tmp_path: Path) -> None:
    pixels = np.array([[[76, 85, 255], [255, 128, 128]]], dtype="u1")
    elements = {"SamplesPerPixel": 3, "PhotometricInterpretation": "YBR_FULL", "PlanarConfiguration": 0}
    found = read([write(tmp_path / "x", dataset(pixels, **elements))])
    assert voxels(found)[0, 0].tolist() == [[254, 0, 0], [255, 255, 255]]


def test_a_palette_is_looked_up(tmp_path: Path) -> None:
    elements: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for colour, table in (
        ("Red", b"\x00\xff\x10\x00"),
        ("Green", b"\x00\x20\x00\x00"),
        ("Blue", b"\x07\x00\x00\x00"),
    ):
        elements[f"{colour}PaletteColorLookupTableDescriptor"] = [4, 0, 8]
        elements[f"{colour}PaletteColorLookupTableData"] = table
    found = read([write(tmp_path / "x", dataset(np.array([[0, 1, 2]], "uint8"), **elements))])
    assert voxels(found)[0, 0].tolist() == [[0, 0, 7], [255, 32, 0], [16, 0, 0]]


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian],
    ids=["implicit", "explicit", "big endian", "deflated"],
)  # fmt: skip
@pytest.mark.parametrize("dtype", ["u1", "i2", "u4"])
def test_transfer_syntaxes(tmp_path: Path, syntax: Any, dtype: str) -> None:
    pixels = volume(1, 4, 6, dtype)[0]
    big = syntax == ExplicitVRBigEndian
    data = pixels.byteswap().tobytes() if big else pixels.tobytes()
    if big and dtype == "u1":  # in words, each the other way round
        data = pixels.reshape(-1, 2)[:, ::-1].tobytes()
    found = read([write(tmp_path / "x", dataset(pixels, PixelData=data), syntax)])
    assert (voxels(found)[0] == pixels).all()


def test_run_length_encoding(tmp_path: Path) -> None:
    pixels = volume(1, 8, 8)[0]
    data = dataset(pixels)
    data.file_meta = write_meta = Dataset()  # type: ignore[assignment]
    write_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.compress(RLELossless)
    found = read([write(tmp_path / "x", data, RLELossless)])
    assert (voxels(found)[0] == pixels).all()


def enhanced(stored: Any, order: list[int], **frame_changes: Any) -> Dataset:
    """An enhanced MR of one file: per frame position and slope, orientation and spacing shared."""
    shared, frames = Dataset(), []
    shared.PlaneOrientationSequence = [Dataset()]
    shared.PlaneOrientationSequence[0].ImageOrientationPatient = list(AXIAL)
    shared.PixelMeasuresSequence = [Dataset()]
    shared.PixelMeasuresSequence[0].PixelSpacing = [0.75, 0.5]
    for place in order:
        frame = Dataset()
        frame.PlanePositionSequence = [Dataset()]
        frame.PlanePositionSequence[0].ImagePositionPatient = [-10, -20, 30 + 2 * place]
        frame.PixelValueTransformationSequence = [Dataset()]
        frame.PixelValueTransformationSequence[0].RescaleSlope = 1 + place
        frame.PixelValueTransformationSequence[0].RescaleIntercept = 0
        frames.append(frame)
    return dataset(
        stored[0],
        SOPClassUID=ENHANCED_MR,
        ImageOrientationPatient=None,
        ImagePositionPatient=None,
        PixelSpacing=None,
        NumberOfFrames=len(order),
        PixelData=stored.tobytes(),
        SharedFunctionalGroupsSequence=[shared],
        PerFrameFunctionalGroupsSequence=frames,
    )


def test_frames_of_one_file_are_sorted_and_scaled_each(tmp_path: Path) -> None:
    stored, order = volume(3), [2, 0, 1]
    found = read([write(tmp_path / "x", enhanced(stored, order))])
    expected = np.empty_like(stored, shape=stored.shape)
    for number, place in enumerate(order):
        expected[place] = stored[number] * (1 + place)
    assert (voxels(found) == expected).all()
    assert found.image.GetSpacing() == (0.5, 0.75, 2.0)
    assert found.image.GetOrigin() == (-10, -20, 30)


@pytest.mark.parametrize(
    ("elements", "distance"),
    [({"ImagePositionPatient": None}, 1), ({}, 1), ({"SpacingBetweenSlices": 4}, 4)],
    ids=["none", "of the first only", "with a distance"],
)
def test_frames_without_positions_keep_their_order(tmp_path: Path, elements: Any, distance: float) -> None:
    stored = volume(3, dtype="u1")
    data = dataset(stored[0], NumberOfFrames=3, PixelData=stored.tobytes(), **elements)
    found = read([write(tmp_path / "x", data)])
    assert (voxels(found) == stored).all()
    assert f"Its 3 frames have no positions: kept in their order, {distance} mm apart." in found.notes
    assert found.image.GetSpacing()[2] == distance


def test_a_dose_is_scaled_and_its_frames_lie_where_its_offsets_say(tmp_path: Path) -> None:
    stored = volume(3, dtype="u4")
    data = dataset(
        stored[0],
        NumberOfFrames=3,
        PixelData=stored.tobytes(),
        GridFrameOffsetVector=[0, 5, 10],
        DoseGridScaling="0.5",
    )
    found = read([write(tmp_path / "x", data)])
    assert (voxels(found) == stored * 0.5).all()
    assert found.image.GetSpacing()[2] == 5


def test_time_points_make_four_dimensions(tmp_path: Path) -> None:
    stored = volume(6)
    places = [(-10, -20, 30 + 2 * (number // 2)) for number in range(6)]
    changes = {number: {"TemporalPositionIdentifier": 1 + number % 2} for number in range(6)}
    found = read(series(tmp_path, stored, places=places, changes=changes))
    assert found.image.GetSize() == (5, 3, 3, 2)
    assert found.image.GetSpacing() == (0.5, 0.75, 2.0, 1.0)
    assert (voxels(found)[0] == stored[0::2]).all()
    assert (voxels(found)[1] == stored[1::2]).all()


def _tilted(degrees: float) -> list[Any]:
    return [(-10, -20 + 2.5 * number * np.tan(np.radians(degrees)), 30 + 2.5 * number) for number in range(6)]


def _at(*places: float) -> list[Any]:
    return [(-10, -20, place) for place in places]


@pytest.mark.parametrize(
    ("places", "changes", "words"),
    [
        (_at(0, 2, 4, 10, 12, 14), {},
         '2 slice(s) are missing where the others lie 2 mm apart: 2 between "0002.dcm" and "0003.dcm" (6 mm)'),
        (_at(0, 2, 4, 4, 6, 8), {}, '1 slice(s) lie where another one lies ("0002.dcm" and "0003.dcm")'),
        (_at(0, 2, 4, 6, 8, 10.8), {}, "not evenly spaced: 2 to 2.8 mm apart"),
        (_tilted(15), {}, "sheared by 15.00° (gantry tilt)"),
        (_tilted(2), {}, "sheared by 2.00° (gantry tilt)"),
        ([*_at(0, 2, 4, 6, 8), (-8, -20, 10)], {}, 'do not lie behind one another: "0005.dcm" lies 2 mm aside'),
        (_at(0, 2, 4, 6, 8, 10), {3: {"ImageOrientationPatient": list(SAGITTAL)}}, "2 different orientations"),
        (_at(0, 2, 4, 6, 8, 10), {3: {"ImagePositionPatient": None}}, "have no ImagePositionPatient"),
        (_at(0, 2, 4, 6, 8, 10), {3: {"ImageOrientationPatient": None}}, "have no ImageOrientationPatient"),
        (_at(0, 2, 4, 6, 8, 10), {3: {"PixelSpacing": [1, 1]}}, 'pixel spacing of "0003.dcm" is not that of'),
        (_at(0, 2, 4, 6, 8, 10), {3: {"BitsStored": 12, "HighBit": 11}}, "give files of one form"),
        (_at(0, 2, 4, 4, 6, 8), {number: {"TemporalPositionIdentifier": 1 + number // 4} for number in range(6)},
         "different numbers of slices (1: 4, 2: 2)"),
    ],
    ids=["gap", "duplicate", "uneven", "tilt", "small tilt", "aside", "orientations", "no position", "no orientation",
         "zoomed", "bits", "time points"],
)  # fmt: skip
def test_what_is_no_grid_is_refused(tmp_path: Path, places: list[Any], changes: Any, words: str) -> None:
    assert words in refusal(series(tmp_path, volume(6), places=places, changes=changes))


def test_rounded_positions_are_a_grid_and_said(tmp_path: Path) -> None:
    found = read(series(tmp_path, volume(5), places=_at(0, 1.2, 2.5, 3.8, 5)))
    assert found.image.GetSpacing()[2] == pytest.approx(1.25)
    assert any("not quite evenly spaced: the worst lies 4.0 % of a voxel off" in note for note in found.notes)


def test_several_series_are_listed(tmp_path: Path) -> None:
    changes = {
        number: {"SeriesInstanceUID": "1.2.9", "SeriesDescription": "evil\u202e\n" * 3} for number in (1, 3)
    }
    words = refusal(series(tmp_path, volume(5), changes=changes, SpecificCharacterSet="ISO_IR 192"))
    assert "of 2 series" in words
    assert 'give those of one: 1.2.3.1: 3 file(s), such as "0000.dcm"' in words
    assert '"evil\\u202e\\x0a' in words
    assert '(1.2.9): 2 file(s), such as "0001.dcm"' in words
    assert words.isprintable()


def test_what_is_no_image_is_named(tmp_path: Path) -> None:
    paths = series(tmp_path, volume(2))
    report = write(
        tmp_path / "sr.dcm", dataset([[0]], PixelData=None, SOPClassUID="1.2.840.10008.5.1.4.1.1.88.11")
    )
    assert refusal([*paths, report]) == '"sr.dcm": no image but Basic Text SR, without pixels.'
    notes = tmp_path / "notes\n.txt"
    notes.write_text("x" * 200)
    assert '"notes\\x0a.txt": no DICOM' in refusal([*paths, notes])


def test_a_dicomdir_is_left_out(tmp_path: Path) -> None:
    paths = series(tmp_path, volume(2))
    listing = write(tmp_path / "DICOMDIR", dataset([[0]], PixelData=None, SOPClassUID="1.2.840.10008.1.3.10"))
    assert read([listing, *paths]).image.GetSize()[2] == 2
    assert "only lists" in refusal([listing])


@pytest.mark.parametrize(
    ("elements", "words"),
    [
        ({"Rows": 60000, "Columns": 60000}, "promises 7200000000 bytes of pixels, it has 30"),
        ({"Rows": 0}, "Rows is 0"),
        ({"Rows": None}, "Rows is missing"),
        ({"NumberOfFrames": 2}, "promises 60 bytes of pixels, it has 30"),
        ({"BitsAllocated": 12}, "BitsAllocated is 12"),
        ({"BitsStored": 17}, "BitsStored is 17"),
        ({"PhotometricInterpretation": "CMYK"}, 'PhotometricInterpretation is "CMYK" with 1'),
        ({"PixelSpacing": [0, 1]}, "must be positive"),
        ({"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]}, "not two unit vectors at a right angle"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "palette is missing or damaged"),
    ],
    ids=["bogus size", "no rows", "rows missing", "frames", "bits", "stored", "colours", "spacing", "axes", "palette"],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(tmp_path: Path, elements: Any, words: str) -> None:
    assert words in refusal([write(tmp_path / "x", dataset(volume()[0], **elements))])


def test_an_image_set_is_named_by_its_uids(tmp_path: Path) -> None:
    paths = series(tmp_path, volume(3))
    with given(paths) as files:
        assert dicom.instances(files) == [
            (file, f"1.2.3.4.{number + 1}") for number, file in enumerate(files)
        ]


@pytest.mark.parametrize(
    ("uid", "words"),
    [("1.2.3.4.1", "have the same SOPInstanceUID"), ("../../x", "which is no uid"), ("1.02", "which is no uid"),
     ("1." * 40 + "1", "which is no uid"), (None, "which is no uid")],
    ids=["twice", "path", "leading zero", "long", "none"],
)  # fmt: skip
def test_a_uid_is_a_uid_and_its_own(tmp_path: Path, uid: str | None, words: str) -> None:
    paths = series(tmp_path, volume(2))
    data = dataset(volume()[0])
    paths.append(write(tmp_path / "x", data))
    raw = paths[2].read_bytes()
    # pydicom would not write it; in the file it has the length that it had.
    text = (uid or "").encode()[:80].ljust(8, b"\0")
    at = raw.index(b"\x08\x00\x18\x00UI")
    paths[2].write_bytes(raw[: at + 6] + len(text).to_bytes(2, "little") + text + raw[at + 16 :])
    with given(paths) as files, pytest.raises(Unreadable, match=words):
        dicom.instances(files)
