"""Every form of input through stage's own code: what lies in /input, what inputs.json and the manifest say of it."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK

from algorithm_operator.api.interface import OverlaySegment
from algorithm_operator.api.kinds import SocketKind
from algorithm_operator.contract.exits import STAGE_BAD_INPUT, STAGE_RETRY
from algorithm_operator.contract.kinds import KINDS
from algorithm_operator.contract.manifest import ManifestInput
from algorithm_operator.contract.plan import PlannedFile, PlannedInput
from algorithm_operator.core import names
from algorithm_operator.steps.failures import StepError
from algorithm_operator.steps.inputs import Inputs
from algorithm_operator.steps.readers import formats, itk
from algorithm_operator.steps.settings import StepSettings
from tests.unit.steps import dicom
from tests.unit.steps.attempt import Attempt, planned, with_value
from tests.unit.steps.files import FILES
from tests.unit.steps.mha import mha
from tests.unit.steps.test_zips import archive
from tests.unit.steps.tiffs import tiff

sitk: Any = SimpleITK


class Case:
    """A DataStore that a test fills, and the inputs that it names."""

    def __init__(self, attempt: Attempt) -> None:
        self.attempt = attempt
        self.root = attempt.at("/stores")
        self.settings = StepSettings()

    def add(self, kind: str, path: str, slug: str = "given", **more: Any) -> Path:
        """An input of one path, a folder if it ends in "/"; where to write it."""
        number = len(self.attempt.plan.inputs)
        file = PlannedFile(mount=f"/stores/{number}", path=path, store="cases", folder=path.endswith("/"))
        socket = planned(slug, kind, **more)
        self.attempt.plan.inputs.append(PlannedInput(socket=socket, files=[file]))
        return self.root / str(number)

    def lay_out(self) -> list[ManifestInput]:
        """Stage all of it."""
        return Inputs(self.attempt.plan, self.settings, self.attempt.roots).lay_out()

    @property
    def staged(self) -> dict[str, Path]:
        """The files below /input, but for inputs.json."""
        root = self.attempt.at("/input")
        files = {str(file.relative_to(root)): file for file in root.rglob("*") if file.is_file()}
        files.pop("inputs.json", None)
        return files

    @property
    def told(self) -> dict[str, Any]:
        """Elements of inputs.json by slug."""
        elements = json.loads(self.attempt.at("/input/inputs.json").read_text())
        return {element["socket"]["slug"]: element for element in elements}

    def refusal(self, code: int = STAGE_BAD_INPUT) -> str:
        """Why staging failed; nothing is left open or running."""
        before = len(list(Path("/proc/self/fd").iterdir()))
        with pytest.raises(StepError) as caught:
            self.lay_out()
        assert caught.value.code == code
        assert len(list(Path("/proc/self/fd").iterdir())) <= before
        assert not list(self.attempt.at(names.SCRATCH_MOUNT).iterdir())
        return caught.value.message


@pytest.fixture
def case(attempt: Attempt) -> Case:
    return Case(attempt)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def only(files: dict[str, Path]) -> Path:
    (file,) = files.values()
    return file


def volume() -> Any:
    image = sitk.GetImageFromArray(np.arange(24, dtype="int16").reshape(2, 3, 4))
    image.SetSpacing([0.7, 0.8, 2.5])
    image.SetOrigin([-1.5, 2.25, 100])
    return image


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd"])
def test_an_image_of_another_format_becomes_one_mha(case: Case, suffix: str) -> None:
    file = case.add("Image", f"t1{suffix}")
    sitk.WriteImage(volume(), file.with_name(f"t1{suffix}"))
    file.with_name(f"t1{suffix}").rename(file)
    (record,) = case.lay_out()
    (path,) = case.staged
    assert path == f"images/given/{case.told['given']['image']['pk']}.mha"
    assert case.told["given"]["image"]["name"] == f"t1{suffix}"
    staged = case.staged[path]
    written = sitk.ReadImage(staged)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(written), sitk.GetArrayFromImage(volume()))
    assert record.image is not None
    assert record.image.size == [4, 3, 2]
    assert record.image.spacing == list(written.GetSpacing())
    assert record.image.origin == list(written.GetOrigin())
    assert (record.bytes, record.sha256) == (staged.stat().st_size, sha256(staged.read_bytes()))
    assert record.conversion is not None
    assert record.conversion.format == ("NRRD" if suffix == ".nrrd" else "NIfTI")
    assert (record.conversion.reader, record.conversion.files) == (itk.library(), 1)
    assert record.source == f"store:cases/t1{suffix}"
    assert staged.stat().st_mode & 0o777 == 0o444
    assert staged.parent.stat().st_mode & 0o777 == 0o555


@pytest.mark.parametrize(
    ("name", "data"),
    [("t1.mha", mha()), ("wsi.tif", tiff()), ("wsi.TIFF", tiff())],
    ids=["MetaImage", "TIFF", "capitals"],
)
def test_an_image_that_can_be_kept_is_the_same_bytes(case: Case, name: str, data: bytes) -> None:
    case.add("Image", name).write_bytes(data)
    (record,) = case.lay_out()
    staged = only(case.staged)
    assert staged.suffix == (".mha" if name == "t1.mha" else ".tif")
    assert staged.read_bytes() == data
    assert record.sha256 == sha256(data)
    assert record.image is not None
    assert record.conversion is not None
    assert (record.conversion.files, record.conversion.notes) == (1, [])


def test_metaimage_of_two_files(case: Case) -> None:
    folder = case.add("Segmentation", "case-1/")
    folder.mkdir()
    sitk.WriteImage(volume(), folder / "t1.mhd", useCompression=True)
    (record,) = case.lay_out()
    assert case.told["given"]["image"]["name"] == "case-1"
    np.testing.assert_array_equal(
        sitk.GetArrayFromImage(sitk.ReadImage(only(case.staged))), sitk.GetArrayFromImage(volume())
    )
    assert record.conversion is not None
    assert record.conversion.files == 2
    assert record.sha256 == sha256(only(case.staged).read_bytes())


SEGMENTS = [OverlaySegment(name="CSF", voxel_value=1)]
UNKNOWN = (
    "The valid voxel values for this segmentation are: {0, 1}. This segmentation is invalid as it contains the voxel "
    "values: {7}."
)


@pytest.mark.parametrize(
    ("suffix", "dtype", "highest", "refusal"),
    [
        pytest.param(".nii.gz", "uint8", 1, None, id="converted"),
        pytest.param(".nii.gz", "int16", 7, UNKNOWN, id="converted, with a value too many"),
        pytest.param(".nii.gz", "float32", 1, "ensure the voxel values are integers", id="of fractions"),
        pytest.param(".mhd", "uint8", 1, None, id="put together"),
        pytest.param(".mhd", "int16", 7, UNKNOWN, id="put together, with a value too many"),
    ],
)
def test_the_voxels_of_a_segmentation(
    case: Case, suffix: str, dtype: str, highest: int, refusal: str | None
) -> None:
    folder = case.add("Segmentation", "case-1/", overlay_segments=SEGMENTS)
    folder.mkdir()
    voxels = np.zeros((2, 3, 4), dtype)
    voxels[1, 1, 1] = highest
    sitk.WriteImage(sitk.GetImageFromArray(voxels), folder / f"mask{suffix}", useCompression=True)
    if refusal is None:
        (record,) = case.lay_out()
        assert record.sha256 == sha256(only(case.staged).read_bytes())
    else:
        message = case.refusal()
        assert message.startswith('Input "given" is not valid: "case-1/mask')
        assert refusal in message


@pytest.mark.parametrize("suffix", [".mha", ".nrrd"])
def test_two_numbers_a_voxel_are_no_image(case: Case, suffix: str) -> None:
    file = case.add("Image", f"t1{suffix}").with_suffix(suffix)
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((2, 3, 4, 2), "uint8"), isVector=True), file)
    file.rename(file.with_suffix(""))
    assert case.refusal() == (
        f'Input "given" is not valid: "t1{suffix}" of DataStore cases has 2 numbers a voxel; an image has 1, 3 or 4.'
    )


def test_a_segmentation_as_tiff_needs_the_tags_of_its_range(case: Case) -> None:
    case.add("Segmentation", "mask.tif", overlay_segments=SEGMENTS).write_bytes(tiff())
    assert "minimum and maximum voxel values set as tags" in case.refusal()


def test_the_same_image_is_the_same_bytes_in_every_job(case: Case, tmp_path: Path) -> None:
    """Its sha256 is part of what a result is identified by, and is that of what the algorithm reads."""
    nifti = tmp_path / "t1.nii.gz"
    sitk.WriteImage(volume(), nifti)
    for slug, path in (("first", "t1.nii.gz"), ("second", "again.nii.gz")):
        case.add("Image", path, slug).write_bytes(nifti.read_bytes())
    dicom.series(case.add("Image", "series/", "third"), dicom.volume(), names=["a", "b", "c", "d"])
    dicom.series(case.add("Image", "again/", "fourth"), dicom.volume(), names=["d", "b", "a", "c"])
    first, second, third, fourth = case.lay_out()
    assert first.sha256 == second.sha256 != third.sha256 == fourth.sha256


def test_a_dicom_series_becomes_one_mha(case: Case) -> None:
    voxels = dicom.volume()
    dicom.series(case.add("Image", "case-1/"), voxels, names=["c", "a", "d", "b"])
    (record,) = case.lay_out()
    np.testing.assert_array_equal(sitk.GetArrayFromImage(sitk.ReadImage(only(case.staged))), voxels)
    assert record.conversion is not None
    assert (record.conversion.format, record.conversion.files) == ("DICOM", 4)
    assert record.image is not None
    assert record.image.spacing == [0.5, 0.75, 2.5]


def test_a_dicom_image_set_is_kept_by_its_uids(case: Case) -> None:
    folder = case.add("DICOM Image Set", "case-1/")
    paths = dicom.series(folder, dicom.volume())
    (record,) = case.lay_out()
    expected = {f"images/given/1.2.3.4.{n + 1}.dcm": path.read_bytes() for n, path in enumerate(paths)}
    assert {path: file.read_bytes() for path, file in case.staged.items()} == expected
    listed = "".join(
        f"{sha256(data)}  {path.rpartition('/')[2]}\n" for path, data in sorted(expected.items())
    )
    assert record.sha256 == sha256(listed.encode())
    assert record.bytes == sum(len(data) for data in expected.values())
    assert case.told["given"]["image"]["name"] == "case-1"


def test_a_dicom_image_set_with_an_instance_twice(case: Case) -> None:
    folder = case.add("DICOM Image Set", "case-1/")
    paths = dicom.series(folder, dicom.volume())
    (folder / "again.dcm").write_bytes(paths[0].read_bytes())
    assert "have the same SOPInstanceUID" in case.refusal()


@pytest.mark.parametrize("kind", [kind for kind in FILES if kind is not SocketKind.ZIP])
def test_a_file_is_kept(case: Case, kind: SocketKind) -> None:
    suffix = KINDS[kind].suffixes[0]
    case.add(kind, f"Given{suffix.upper()}").write_bytes(FILES[kind])
    (record,) = case.lay_out()
    assert case.staged[f"given{suffix}"].read_bytes() == FILES[kind]
    assert (record.bytes, record.sha256) == (len(FILES[kind]), sha256(FILES[kind]))
    assert case.told["given"]["file"] == f"given{suffix}"


@pytest.mark.parametrize(
    ("kind", "name", "data", "expected"),
    [
        ("PDF file", "a.txt", FILES[SocketKind.PDF], '"a.txt" of DataStore cases is not named as a PDF file is'),
        ("PDF file", "a.pdf", FILES[SocketKind.PNG], '"a.pdf" of DataStore cases: it is no PDF'),
        ("Thumbnail jpg", "a.jpeg", b"", "it is empty"),
        ("ZIP file", "a.zip", b"PK", '"a.zip" of DataStore cases: '),
    ],
    ids=["another suffix", "another content", "empty", "a damaged archive"],
)  # fmt: skip
def test_a_file_of_another_type(case: Case, kind: str, name: str, data: bytes, expected: str) -> None:
    case.add(kind, name).write_bytes(data)
    assert expected in case.refusal()


def test_a_jpeg_by_its_other_name(case: Case) -> None:
    case.add("Thumbnail jpg", "a.jpg").write_bytes(FILES[SocketKind.JPEG])
    case.lay_out()
    assert list(case.staged) == ["given.jpeg"]


def test_every_input_that_is_refused_is_told(case: Case) -> None:
    case.add("Image", "t1.mha", "t1").write_bytes(b"no image")
    case.add("Float", "there.json", "fine").write_text("1")
    case.add("Float", "threshold.json", "threshold").write_text('"much"')
    case.add("Float", "missing.json", "missing")
    message = case.refusal()
    assert message.startswith('Input "t1" is not valid: "t1.mha": ')
    assert (
        ' Input "threshold" is not valid: "threshold.json" of DataStore cases: JSON does not fulfill schema: instance '
        'is not a number. Input "missing": "missing.json" does not exist in DataStore cases.' in message
    )


def test_two_files_for_one(case: Case) -> None:
    folder = case.add("CSV file", "case/")
    folder.mkdir()
    for name in "ab":
        (folder / f"{name}.csv").write_bytes(FILES[SocketKind.CSV])
    assert "it takes exactly one file, but the paths name 2" in case.refusal()


def test_a_zip_is_unpacked_beside_the_other_inputs(case: Case) -> None:
    case.add("ZIP file", "all.zip").write_bytes(archive([("x/a.txt", b"1"), ("x/y/b", b"2")]))
    case.add("CSV file", "t.csv", slug="table").write_bytes(FILES[SocketKind.CSV])
    record, _ = case.lay_out()
    assert sorted(case.staged) == ["a.txt", "table.csv", "y/b"]
    assert record.bytes == 2
    assert record.sha256 == sha256(f"{sha256(b'1')}  a.txt\n{sha256(b'2')}  y/b\n".encode())
    assert case.attempt.at("/input/y").stat().st_mode & 0o777 == 0o555


@pytest.mark.parametrize("name", ["table.csv", "images", "inputs.json", "INPUTS.json"])
def test_a_zip_does_not_take_the_place_of_another_input(case: Case, name: str) -> None:
    case.add("ZIP file", "all.zip").write_bytes(archive([(name, b"1"), ("x/y/b", b"2")]))
    case.add("CSV file", "t.csv", slug="table").write_bytes(FILES[SocketKind.CSV])
    case.add("Image", "t1.mha", slug="t1").write_bytes(mha())
    assert 'Input "given" is not valid: Zip file contains invalid paths: ' in case.refusal()


def test_a_zip_that_is_too_large(case: Case) -> None:
    case.settings = StepSettings(max_archive_bytes=1000)
    case.add("ZIP file", "all.zip").write_bytes(archive([("a", bytes(600)), ("b", bytes(600))]))
    assert (
        'Contents of zip file too large: its files have more than 1000 bytes in all ("all.zip"'
        in case.refusal()
    )


def test_large_json_is_a_file(case: Case) -> None:
    kind = KINDS["Multiple points"]
    case.add("Multiple points", "points.json").write_text(json.dumps(kind.example))
    case.lay_out()
    assert case.told["given"]["file"] == "given.json"
    assert case.told["given"]["value"] is None


SCHEMA = {"$schema": "http://json-schema.org/draft-07/schema#", "type": "object", "required": ["age"]}


@pytest.mark.parametrize("inline", [True, False])
@pytest.mark.parametrize(
    ("value", "valid"),
    [({"age": 3}, True), ({"years": 3}, False), (3, False)],
    ids=["fits", "lacks", "other"],
)
def test_a_sockets_own_schema(case: Case, inline: bool, value: Any, valid: bool) -> None:
    if inline:
        socket = planned("given", "Anything", schema=SCHEMA)
        case.attempt.plan.inputs.append(with_value(socket, value))
    else:
        case.add("Anything", "x.json", schema=SCHEMA).write_text(json.dumps(value))
    if valid:
        case.lay_out()
        assert case.told["given"]["value"] == value
    else:
        assert "JSON does not fulfill schema" in case.refusal()


def test_an_image_of_5_dimensions_is_named(case: Case) -> None:
    case.add("Image", "big.nrrd").write_bytes(
        b"NRRD0004\ntype: uchar\ndimension: 5\nsizes: 2 2 2 2 2\nencoding: raw\n\n" + bytes(32)
    )
    assert '"big.nrrd": ' in case.refusal()


def crash(*_: Any) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def hang(*_: Any) -> None:
    time.sleep(60)


def fill(*_: Any) -> None:
    bytearray(1 << 40)


@pytest.mark.parametrize(
    ("reader", "expected"),
    [
        (crash, "could not be read: its reader ended badly (ended by SIGSEGV); is it damaged?"),
        (hang, "could not be read within 1 seconds"),
        (fill, "is too large to process with the memory that the Algorithm has"),
    ],
)
def test_a_reader_that_ends_badly(
    case: Case, monkeypatch: pytest.MonkeyPatch, reader: Any, expected: str
) -> None:
    monkeypatch.setattr(formats, "read", reader)
    case.settings = StepSettings(read_seconds=1)
    case.add("Image", "t1.nii").write_bytes(b"x")
    message = case.refusal()
    assert message.startswith('Input "given" is not valid: "t1.nii" of DataStore cases ')
    assert expected in message


def test_an_image_that_the_memory_does_not_hold(case: Case) -> None:
    fields = "type: double\ndimension: 3\nsizes: 2048 2048 2048\nencoding: raw\nendian: little"
    header = f"NRRD0004\n{fields}\n\n".encode()
    file = case.add("Image", "big.nrrd")
    file.write_bytes(header)
    os.truncate(file, len(header) + (8 << 33))  # sparse: nothing is written
    assert "is too large to process with the memory that the Algorithm has" in case.refusal()


def test_a_disk_that_is_full(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    from algorithm_operator.steps.layout import images

    monkeypatch.setattr(images, "MAX_HEADER", 200 - case.settings.max_image_bytes)
    file = case.add("Image", "t1.nrrd")
    sitk.WriteImage(volume(), file.with_name("t1.nrrd"))
    file.with_name("t1.nrrd").rename(file)
    assert "is the node's disk full?" in case.refusal(STAGE_RETRY)
