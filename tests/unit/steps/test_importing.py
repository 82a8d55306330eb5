"""import: small real files become one image of the import's folder, or it is said by file why not."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import stat
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK

from algorithm_operator.api.job import ImageGeometry
from algorithm_operator.contract.importing import ImportPlan, ImportReport
from algorithm_operator.contract.plan import PlannedFile
from algorithm_operator.core import names
from algorithm_operator.steps.roots import ROOT_VARIABLE
from tests.unit.steps.attempt import OPERATOR
from tests.unit.steps.dicom import dataset, series, write
from tests.unit.steps.dicom import volume as slices
from tests.unit.steps.mha import compressed, mha
from tests.unit.steps.tiffs import Page, tiff

sitk: Any = SimpleITK
UID = str(uuid.UUID(int=7))


class Import:
    """The mounts of one import's Pod below a folder, and the step as a process."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for path in (names.PLAN_MOUNT, names.STORE_MOUNT, names.SCRATCH_MOUNT, "/dev", "/stores/0"):
            self.at(path).mkdir(parents=True)
        self.files: list[PlannedFile] = []
        self.stderr = ""

    def at(self, path: str) -> Path:
        """A path of the Pod on this machine."""
        return self.root / path.lstrip("/")

    @property
    def store(self) -> Path:
        """The import's own folder."""
        return self.at(names.STORE_MOUNT)

    def add(self, path: str, data: bytes | None = None) -> Path:
        """Name a path; where it is mounted. With `data` it is that file, and a path that ends in "/" is a folder."""
        mount = f"/stores/0/{len(self.files)}"
        self.files.append(PlannedFile(mount=mount, path=path, store="cases", folder=path.endswith("/")))
        if data is not None:
            self.at(mount).write_bytes(data)
        elif path.endswith("/"):
            self.at(mount).mkdir()
        return self.at(mount)

    def start(self, kind: str = "Image", pod: str = "pod-1", **settings: int) -> subprocess.Popen[str]:
        """The step as a process."""
        plan = ImportPlan(name=UID, kind=kind, files=self.files, settings=settings)
        self.at(names.PLAN_FILE).write_text(json.dumps(plan.wire()))
        return subprocess.Popen(
            [sys.executable, "-m", "algorithm_operator.steps", "import"],
            env={**os.environ, ROOT_VARIABLE: str(self.root), "PYTHONPATH": str(OPERATOR), "POD_UID": pod},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, kind: str = "Image", pod: str = "pod-1", **settings: int) -> tuple[int, ImportReport]:
        """The exit code and the answer."""
        with self.start(kind, pod, **settings) as process:
            _, self.stderr = process.communicate(timeout=60)
        return process.returncode, ImportReport.model_validate_json(
            self.at("/dev/termination-log").read_text()
        )

    def imported(self, **run: Any) -> tuple[Path, ImportReport]:
        """The one file that came of it, and what is told of it, which is true."""
        code, report = self.run(**run)
        assert (code, report.message) == (0, None), self.stderr
        assert report.image is not None
        (file,) = self.store.iterdir()
        data = file.read_bytes()
        assert file.name == UID + report.image.suffix
        assert report.image.bytes == len(data)
        assert report.image.sha256 == hashlib.sha256(data).hexdigest()
        return file, report

    def refused(self, **run: Any) -> ImportReport:
        """The answer where the files are at fault: nothing is kept."""
        code, report = self.run(**run)
        assert code == 65, self.stderr
        assert report.image is None
        assert list(self.store.iterdir()) == []
        return report


def eventually(look: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not look():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.fixture
def job(tmp_path: Path) -> Import:
    return Import(tmp_path)


def volume() -> Any:
    image = sitk.GetImageFromArray(np.arange(24, dtype="int16").reshape(2, 3, 4))
    image.SetSpacing((0.5, 0.75, 2.0))
    return image


def geometry(report: ImportReport) -> ImageGeometry:
    assert report.image is not None
    return report.image.geometry


def test_a_series_of_dicom_in_a_folder(job: Import) -> None:
    folder = job.add("patients/series-3/")
    series(folder, slices())
    file, report = job.imported()
    image = sitk.ReadImage(str(file))
    assert list(image.GetSize()) == geometry(report).size
    assert report.image is not None
    assert report.image.name == "series-3"
    assert any("sorted by position" in note for note in report.image.notes)


def test_nifti_becomes_mha(job: Import, tmp_path: Path) -> None:
    path = tmp_path / "t1.nii.gz"
    sitk.WriteImage(volume(), str(path))
    job.add("case/t1.nii.gz", path.read_bytes())
    file, report = job.imported()
    np.testing.assert_array_equal(
        sitk.GetArrayFromImage(sitk.ReadImage(str(file))), sitk.GetArrayFromImage(volume())
    )
    assert report.image is not None
    assert (report.image.suffix, report.image.name) == (".mha", "t1.nii.gz")
    assert (geometry(report).size, geometry(report).pixel_type) == ([4, 3, 2], "int16")


@pytest.mark.parametrize(
    ("name", "data", "suffix"),
    [("a.mha", compressed(), ".mha"), ("a.tif", tiff(Page()), ".tif"), ("a.tiff", tiff(Page()), ".tif")],
)
def test_what_is_fine_stays_as_it_is(job: Import, name: str, data: bytes, suffix: str) -> None:
    job.add(name, data)
    file, report = job.imported()
    assert file.read_bytes() == data
    assert report.image is not None
    assert (report.image.suffix, report.image.notes) == (suffix, [])


def test_a_header_and_its_voxels_become_one_file(job: Import) -> None:
    whole = mha(bytes(range(24)))
    head = whole[:-24].replace(b"LOCAL", b"a.raw")
    job.add("a.mhd", head)
    job.add("a.raw", bytes(range(24)))
    file, _ = job.imported()
    assert file.read_bytes() == whole


@pytest.mark.parametrize(("setgid", "mode"), [(True, 0o640), (False, 0o644)])
def test_the_file_is_shared_as_outputs_of_jobs_are(job: Import, setgid: bool, mode: int) -> None:
    job.store.chmod(0o2770 if setgid else 0o777)
    job.add("a.mha", mha())
    file, _ = job.imported()
    assert stat.S_IMODE(file.stat().st_mode) == mode


def test_two_series_are_told_by_file(job: Import) -> None:
    folder = job.add("both/")
    for number in (1, 2):
        write(
            folder / f"{number}.dcm",
            dataset(
                np.zeros((2, 2), "i2"), SeriesInstanceUID=f"1.2.3.{number}", SOPInstanceUID=f"1.2.{number}"
            ),
        )
    report = job.refused()
    assert report.message is not None
    assert "the files are of 2 series" in report.message
    assert report.files == ["both/1.dcm", "both/2.dcm"]


def test_only_the_file_at_fault_is_named(job: Import) -> None:
    folder = job.add("mixed/")
    series(folder, slices())
    (folder / "readme.txt").write_text("no image")
    report = job.refused()
    assert report.files == ["mixed/readme.txt"]
    assert report.message is not None
    assert "no DICOM, which has DICM after 128 bytes" in report.message
    assert "Input" not in report.message


REFUSED: dict[str, tuple[str, bytes | None, str]] = {
    "no image": ("notes.txt", b"hello", "no image in a format that is read"),
    "cut": ("a.mha", mha()[:-1], "a.mha"),
    "damaged gzip": ("a.nii.gz", b"\x1f\x8b\x08\x00nonsense", "its gzip data are damaged"),
    "damaged pages": ("a.tif", tiff(Page())[:-9], "a.tif"),
    "not there": ("nothing/", None, '"nothing/" does not exist in DataStore cases.'),
}


@pytest.mark.parametrize(("path", "data", "says"), REFUSED.values(), ids=REFUSED)
def test_refused(job: Import, path: str, data: bytes | None, says: str) -> None:
    job.add(path, data)
    report = job.refused()
    assert report.message is not None
    assert says in report.message
    assert report.files == [path]
    assert not report.message.startswith("Input")


def test_two_images_are_not_one(job: Import) -> None:
    job.add("a.mha", mha())
    job.add("b.mha", mha())
    report = job.refused()
    assert report.files == ["a.mha", "b.mha"]
    assert report.message == 'an input is exactly one image, but these are 2: "a.mha", "b.mha".'


def test_an_image_that_is_no_displacement_field(job: Import) -> None:
    job.add("a.mha", mha())
    report = job.refused(kind="Displacement field")
    assert report.message is not None
    assert "Deformation and displacement must be 4D images." in report.message


def test_an_image_with_too_many_numbers_a_voxel(job: Import) -> None:
    job.add("a.mha", mha(bytes(48), ElementNumberOfChannels="2"))
    assert (
        job.refused().message == '"a.mha" of DataStore cases has 2 numbers a voxel; an image has 1, 3 or 4.'
    )


def test_more_files_than_are_listed(job: Import) -> None:
    folder = job.add("many/")
    for number in range(70):
        (folder / f"{number:02}.txt").write_text("no image")
    report = job.refused()
    assert report.files[0] == "many/00.txt"
    assert len(report.files) + report.more == 70
    assert report.more >= 6


def test_an_image_that_the_memory_does_not_hold(job: Import) -> None:
    fields = "type: double\ndimension: 3\nsizes: 2048 2048 2048\nencoding: raw\nendian: little"
    header = f"NRRD0004\n{fields}\n\n".encode()
    file = job.add("big.nrrd", header)
    os.truncate(file, len(header) + (8 << 33))  # sparse: nothing is written
    report = job.refused()
    assert report.message is not None
    assert "too large to process with the memory that imports have (stepsResources.import" in report.message


def test_what_an_earlier_attempt_left_goes(job: Import) -> None:
    (job.store / ".unfinished-pod-0" / "image").mkdir(parents=True)
    (job.store / ".unfinished-pod-0" / "image" / "x.mha").write_bytes(b"half")
    (job.store / f"{UID}.mha").write_bytes(b"whole, but nobody was told")
    job.add("a.mha", mha())
    file, _ = job.imported()
    assert file.read_bytes() == mha()


def test_an_attempt_that_is_ended_leaves_nothing_in_the_store(job: Import) -> None:
    """The kubelet ends it when its time is over."""
    size = 1 << 28
    job.add("t1.nrrd", b"NRRD0004\ntype: uchar\ndimension: 3\nsizes: 65536 4096 1\nencoding: raw\n\n")
    file = job.at("/stores/0/0")
    os.truncate(file, file.stat().st_size + size)  # sparse; it is read and written as a whole
    with job.start() as process:
        eventually(lambda: list(job.store.glob(".unfinished-*")))
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 128 + signal.SIGTERM
    assert list(job.store.iterdir()) == []


def test_a_store_that_cannot_be_written_is_tried_again(job: Import) -> None:
    job.add("a.mha", mha())
    job.store.rmdir()
    job.store.write_text("a file in its place")
    code, report = job.run()
    assert (code, report.files) == (75, [])
    assert report.message == "Not a directory."


def test_a_plan_that_cannot_be_read_is_tried_again(job: Import) -> None:
    job.add("a.mha", mha())
    code, report = job.run(maxDepth=0)
    assert code == 75
    assert report.message is not None
    assert "do operator and steps image have the same version?" in report.message
