"""The example algorithm on the MNI152 template, run as its container runs it."""

from __future__ import annotations

import json
import math
import os
import runpy
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

EXAMPLE = Path(__file__).parents[1]
GREY, WHITE = 2, 3

pytestmark = pytest.mark.example


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the algorithm: its folders, exit code and streams."""

    input: Path
    output: Path
    exit_code: int
    stdout: str
    stderr: str
    seconds: float

    @property
    def tissues(self) -> Path:
        return self.output / "images" / "tissues" / "tissues.mha"


def run(root: Path, script: str = "process.py") -> Run:
    source, target = root / "input", root / "output"
    target.mkdir()
    environment = {**os.environ, "ALGORITHM_INPUT": str(source), "ALGORITHM_OUTPUT": str(target)}
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, str(EXAMPLE / script)], env=environment, capture_output=True, text=True, timeout=120
    )
    seconds = time.monotonic() - start
    return Run(source, target, done.returncode, done.stdout, done.stderr, seconds)


def make_case(root: Path, make_image: Callable[[Path], object] | None, smoothing: str) -> None:
    folder = root / "input" / "images" / "t1-mri"
    folder.mkdir(parents=True)
    if make_image:
        make_image(folder / "t1.mha")
    (root / "input" / "smoothing.json").write_text(smoothing)


@pytest.fixture(scope="module")
def maker() -> dict[str, Any]:
    """The names of make_input.py, which is a script and not on the path."""
    return runpy.run_path(str(EXAMPLE / "make_input.py"))


@pytest.fixture(scope="module")
def mni152(maker: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Run:
    root = tmp_path_factory.mktemp("mni152")
    make_case(root, maker["make_input"], "1.5")
    return run(root)


def read(file: Path) -> Any:
    import SimpleITK as sitk

    return sitk.ReadImage(str(file))


def array(image: Any) -> Any:
    import SimpleITK as sitk

    return sitk.GetArrayFromImage(image)


def write(target: Path, voxels: Any) -> None:
    import SimpleITK as sitk

    sitk.WriteImage(sitk.GetImageFromArray(voxels), str(target))


def test_ends_well_and_quietly(mni152: Run) -> None:
    assert (mni152.exit_code, mni152.stderr) == (0, "")
    assert mni152.seconds < 20


@pytest.mark.parametrize(("map_name", "label", "least"), [("gm", GREY, 0.89), ("wm", WHITE, 0.93)])
def test_overlaps_the_template_s_own_maps(
    mni152: Run, maker: dict[str, Any], map_name: str, label: int, least: float
) -> None:
    reference = array(read(maker["mni152"](map_name)))
    truth = reference > 0.5 * 255  # probability as uint8
    found = array(read(mni152.tissues)) == label
    dice = 2 * (found & truth).sum() / (found.sum() + truth.sum())
    print(f"\nDice {map_name}: {dice:.4f}")
    assert dice >= least


def test_keeps_the_geometry(mni152: Run) -> None:
    (file,) = (mni152.input / "images" / "t1-mri").iterdir()
    given, kept = read(file), read(mni152.tissues)
    assert kept.GetSize() == given.GetSize() == (197, 233, 189)
    assert kept.GetSpacing() == given.GetSpacing()
    assert kept.GetOrigin() == given.GetOrigin() != (0, 0, 0)
    assert kept.GetDirection() == given.GetDirection() != (1, 0, 0, 0, 1, 0, 0, 0, 1)
    assert kept.GetPixelIDTypeAsString() == "8-bit unsigned integer"


def test_labels_brain_and_nothing_else(mni152: Run) -> None:
    (file,) = (mni152.input / "images" / "t1-mri").iterdir()
    labels = array(read(mni152.tissues))
    assert ((labels > 0) == (array(read(file)) > 0)).all()
    assert set(labels.ravel().tolist()) == {0, 1, 2, 3}


def test_volumes_are_voxel_counts_times_voxel_volume(mni152: Run) -> None:
    image = read(mni152.tissues)
    voxel_ml = math.prod(image.GetSpacing()) / 1000
    labels = array(image)
    assert json.loads((mni152.output / "results.json").read_text()) == {
        name: pytest.approx(int((labels == label).sum()) * voxel_ml, abs=1e-3)
        for name, label in (("csf_ml", 1), ("grey_matter_ml", GREY), ("white_matter_ml", WHITE))
    }


def test_volumes_follow_the_spacing(mni152: Run, tmp_path: Path) -> None:
    import SimpleITK as sitk

    (file,) = (mni152.input / "images" / "t1-mri").iterdir()

    def stretched(target: Path) -> None:
        image = read(file)
        image.SetSpacing((1.0, 1.0, 2.5))
        sitk.WriteImage(image, str(target), True)

    make_case(tmp_path, stretched, "0")
    done = run(tmp_path)
    assert done.exit_code == 0, done.stderr
    labels = array(read(done.tissues))
    volumes = json.loads((done.output / "results.json").read_text())
    assert volumes["csf_ml"] == pytest.approx(int((labels == 1).sum()) * 2.5 / 1000, abs=1e-3)


def blobs(target: Path, scale: float = 1.0, shape: tuple[int, ...] = (8, 8, 8)) -> None:
    import numpy as np

    voxels = np.zeros(shape, np.float32)
    voxels[1:-1] = 100 * scale
    voxels[2:-2] = 200 * scale
    voxels[3:-3] = 300 * scale
    write(target, voxels)


def test_three_clean_tissues_are_found_exactly(tmp_path: Path) -> None:
    make_case(tmp_path, blobs, "0")
    done = run(tmp_path)
    assert done.exit_code == 0, done.stderr
    assert array(read(done.tissues))[:, 4, 4].tolist() == [0, 1, 2, 3, 3, 2, 1, 0]


def test_smoothing_takes_away_speckle(tmp_path: Path) -> None:
    import numpy as np

    def speckled(target: Path) -> None:
        voxels = np.zeros((24, 24, 24), np.float32)
        voxels[2:8], voxels[8:15], voxels[15:22] = 100, 200, 300
        voxels[11, 12, 12] = 300
        write(target, voxels)

    found = []
    for number, smoothing in enumerate(("0", "4")):
        root = tmp_path / str(number)
        make_case(root, speckled, smoothing)
        done = run(root)
        assert done.exit_code == 0, done.stderr
        found.append(array(read(done.tissues))[11, 12, 12])
    assert found == [WHITE, GREY]


def broken(target: Path) -> None:
    target.write_bytes(b"ObjectType = Image\nNDims = 3\n")


def second_file(target: Path) -> None:
    blobs(target)
    blobs(target.with_name("t2.mha"))


def no_background(target: Path) -> None:
    import numpy as np

    write(target, np.arange(1, 513, dtype=np.float32).reshape(8, 8, 8))


def not_a_number(target: Path) -> None:
    import numpy as np

    write(target, np.full((8, 8, 8), np.nan, np.float32))


def empty(target: Path) -> None:
    import numpy as np

    write(target, np.zeros((8, 8, 8), np.float32))


@pytest.mark.parametrize(
    ("make_image", "smoothing", "message"),
    [
        (None, "1", "exactly one .mha file, it holds 0"),
        (second_file, "1", "exactly one .mha file, it holds 2"),
        (broken, "1", "cannot be read as a MetaImage"),
        (no_background, "1", "no background of 0"),
        (not_a_number, "1", "not finite"),
        (empty, "1", "fewer than three different values"),
        (lambda target: blobs(target, shape=(8, 8, 3)), "1", "at least 4 voxels along each axis"),
        (lambda target: blobs(target, shape=(8, 8)), "1", "must be a 3D image"),
        (blobs, "-1", "number from 0 to 20"),
        (blobs, "NaN", "number from 0 to 20"),
        (blobs, "true", "number from 0 to 20"),
        (blobs, '"1"', "number from 0 to 20"),
        (blobs, "{", "is not JSON"),
    ],
)  # fmt: skip
def test_refuses_bad_input(
    tmp_path: Path, make_image: Callable[[Path], object] | None, smoothing: str, message: str
) -> None:
    make_case(tmp_path, make_image, smoothing)
    done = run(tmp_path)
    assert done.exit_code == 1
    assert message in done.stderr.splitlines()[-1]  # ITK may say its own about a broken file before
    assert "Traceback" not in done.stderr
    assert not list(done.output.rglob("*.*"))


def test_overlay_shows_every_tissue(mni152: Run, tmp_path: Path) -> None:
    (file,) = (mni152.input / "images" / "t1-mri").iterdir()
    picture = tmp_path / "overlay.png"
    command = [sys.executable, str(EXAMPLE / "overlay.py"), str(file), str(mni152.tissues), str(picture)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    pixels = array(read(picture))
    assert pixels.ndim == 3
    assert min(pixels.shape[:2]) > 400
    coloured = {tuple(p) for p in pixels[-48:].reshape(-1, 3).tolist()}  # the legend's strip
    assert len(coloured) >= 5  # black, letters, three colours
