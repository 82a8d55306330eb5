"""What holds for any bytes that are named as an input: one image comes of them, or a sentence; and never more memory,
time or files than there may be. `make fuzz` runs these for as long as one likes."""

from __future__ import annotations

import gzip
import math
import tempfile
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from algorithm_operator.api.kinds import FILE_SUFFIXES
from algorithm_operator.steps import filetypes, sandbox, tiff, zips
from algorithm_operator.steps.images import preload
from algorithm_operator.steps.readers import formats, nifti, nrrd, writing
from algorithm_operator.steps.readers.dicom_series import MAX_OFF_GRID, Arrangement, Frame, arrange
from algorithm_operator.steps.readers.reading import Given, Kept, Unreadable
from algorithm_operator.steps.tiff_entries import TiffError
from algorithm_operator.steps.tree import Bounds, Tree
from tests.hostile.corpus import archives, volumes
from tests.hostile.corpus.dicomfiles import DEFLATED, dicom
from tests.hostile.test_properties import asked, held, is_safe
from tests.unit.steps import files
from tests.unit.steps.mha import compressed, header, mha
from tests.unit.steps.tiffs import Page
from tests.unit.steps.tiffs import tiff as made_tiff

LIMIT = 1 << 28
BOUNDS = sandbox.Bounds(192 << 20, 20, file_bytes=LIMIT)

IMAGES: dict[str, bytes] = {
    "x.mha": mha(),
    "z.mha": compressed(),
    "x.mhd": header(ElementDataFile="x.raw"),
    "x.nii": volumes.nifti(),
    "x.nii.gz": gzip.compress(volumes.nifti(), mtime=0),
    "x.nrrd": volumes.nrrd("space: left-posterior-superior", "space directions: (1,0,0) (0,1,0) (0,0,1)"),
    "z.nrrd": volumes.nrrd(encoding="gzip", data=gzip.compress(bytes(24), mtime=0)),
    "x.tif": made_tiff(Page(rows=1), Page(tile=(16, 16))),
    "big.tif": made_tiff(Page(), big=True, order=">"),
    "x.dcm": dicom(),
    "z.dcm": dicom(syntax=DEFLATED),
}
PLACES = st.one_of(st.integers(0, 400), st.integers(0, 5000))
NASTY = st.sampled_from([b"\xff" * 4, b"\0" * 4, b"\x7f\xff", b"\0\0\xc0\x7f", b"\n", b"LIST", b"nan"])
PATCHES = st.lists(st.tuples(PLACES, st.one_of(st.binary(max_size=4), NASTY)), max_size=4)


@st.composite
def patched(draw: st.DrawFn, data: bytes) -> bytes:
    """`data` with some bytes written over, or cut, or followed by more."""
    changed = bytearray(data)
    for place, patch in draw(PATCHES):
        place %= len(data)
        changed[place : place + len(patch)] = patch
    end = draw(st.one_of(st.none(), st.integers(0, len(data))))
    return bytes(changed[:end]) + draw(st.binary(max_size=3))


@st.composite
def images(draw: st.DrawFn) -> dict[str, bytes]:
    """The files of one input: mostly one, patched."""
    name = draw(st.sampled_from(sorted(IMAGES)))
    content = {name: draw(patched(IMAGES[name]))}
    if name == "x.mhd":
        content["x.raw"] = bytes(draw(st.sampled_from([24, 23, 0])))
    if name == "x.dcm" and draw(st.booleans()):
        content["y.dcm"] = draw(patched(dicom(number=1)))
    return content


def not_crashed(outcome: sandbox.Outcome) -> bool:
    """Whether the child ended as it should: a library that dies by a signal is contained, an exception is ours."""
    return outcome.ending is not sandbox.Ending.CRASHED or outcome.detail.startswith("ended by SIG")


def _read(content: dict[str, bytes], folder: str) -> str | list[int]:
    """Why they are refused, or the size of the image, in the sandbox's child."""
    with ExitStack() as opened:
        given_ = [
            Given(f"case/{name}", opened.enter_context(held(data)), len(data))
            for name, data in content.items()
        ]
        try:
            found = formats.read(given_, LIMIT, folder)
            if isinstance(found.image, Kept):
                return found.image.geometry.size
            return writing.write(found.image, f"{folder}/out.mha", LIMIT).size
        except Unreadable as error:
            return f"refused: {error}"


@settings(deadline=None)
@given(images())
def test_an_image_is_read_or_refused_in_words(content: dict[str, bytes]) -> None:
    preload()
    with tempfile.TemporaryDirectory() as folder:
        outcome = sandbox.run(lambda: _read(content, folder), BOUNDS)
    assert not_crashed(outcome), outcome
    if isinstance(outcome.value, str):
        assert is_safe(outcome.value, 4000)


def test_the_images_are_read_as_they_are() -> None:
    """Or what is patched would be refused for something else."""
    for name, data in IMAGES.items():
        with tempfile.TemporaryDirectory() as folder:
            content = {name: data} | ({"x.raw": bytes(24)} if name == "x.mhd" else {})
            found = sandbox.run(lambda content=content, folder=folder: _read(content, folder), BOUNDS)  # type: ignore[misc]
        assert isinstance(found.value, list), (name, found)


# --- headers -------------------------------------------------------------------------------------------------


@given(st.one_of(patched(IMAGES["x.tif"]), patched(IMAGES["big.tif"])))
@example(IMAGES["x.tif"])
def test_a_tiff_header_is_refused_or_lies_within_the_file(data: bytes) -> None:
    read = 0

    def pread(count: int, offset: int) -> bytes:
        nonlocal read
        read += count
        return data[offset : offset + count]

    found, why = asked(lambda: tiff.parse(pread, len(data), LIMIT), TiffError)
    assert read < 1 << 20, "more is read than so small a file can ask for"
    if found is None:
        assert is_safe(why)
        return
    geometry = found.geometry
    assert all(1 <= side <= tiff.MAX_SIDE for side in geometry.size)
    assert all(map(math.isfinite, geometry.spacing))
    assert min(geometry.spacing) > 0
    if not found.compressed and not found.page.tiled:
        assert math.prod(geometry.size) * geometry.components * found.element_bytes <= len(data)


@given(patched(IMAGES["x.nii"]))
@example(IMAGES["x.nii"])
def test_a_nifti_header_is_refused_or_fits_the_file(data: bytes) -> None:
    found, why = asked(lambda: nifti.parse(data, len(data), LIMIT), Unreadable)
    if found is None:
        assert is_safe(why)
    else:
        assert found.offset + found.voxel_bytes <= len(data)
        assert math.isfinite(found.slope)


@given(patched(IMAGES["x.nrrd"]))
@example(IMAGES["x.nrrd"])
def test_a_nrrd_header_is_refused_or_fits_the_file(data: bytes) -> None:
    found, why = asked(lambda: nrrd.parse(data, len(data), LIMIT), Unreadable)
    if found is None:
        assert is_safe(why)
    else:
        assert found.offset <= len(data)


# --- files and archives --------------------------------------------------------------------------------------

FILES = {
    ".pdf": files.PDF, ".png": files.PNG, ".jpeg": files.JPEG, ".mp4": files.MP4, ".biom": files.hdf5(),
    ".zip": files.zipped(), ".newick": b"(a,(b,'c''')[x],d:1);", ".csv": b"a,b\n1,2\n", ".obj": b"v 1 2 3\n",
    ".sqreg": b"x",
}  # fmt: skip


@settings(deadline=None)
@given(st.sampled_from(sorted(FILE_SUFFIXES)), st.data())
def test_a_file_is_of_its_kind_or_it_is_said_why(kind: str, data: st.DataObject) -> None:
    good = FILES[FILE_SUFFIXES[kind]]  # type: ignore[index]
    content = data.draw(st.one_of(patched(good), st.binary(max_size=64)))
    with held(content) as descriptor:
        why = filetypes.problem(kind, descriptor, len(content))
    assert why is None or is_safe(why)


ZIP = archives.archive(("a/x", b"1" * 40), ("a/y", b"2"), ("a/b/z", b""))


@settings(deadline=None)
@given(patched(ZIP))
@example(ZIP)
def test_an_archive_is_unpacked_within_its_folder_or_refused(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name, "pod", "input")
        root.mkdir(parents=True)
        with held(data) as descriptor, closing(Tree(str(root), Bounds(10, 4, 1000))) as tree:
            _, why = asked(lambda: zips.extract(descriptor, tree), zips.ZipError)
        assert not why or is_safe(why)
        assert [each.name for each in Path(name).iterdir()] == ["pod"]
        assert [each.name for each in Path(name, "pod").iterdir()] == ["input"]
        assert not [each for each in root.rglob("*") if each.is_symlink()]
        assert sum(each.stat().st_size for each in root.rglob("*") if each.is_file()) <= 1000


# --- DICOM series --------------------------------------------------------------------------------------------

NUMBERS = st.one_of(st.floats(-1e6, 1e6), st.sampled_from([0.0, 1e-9, 1e300, -1e300, 1.0]))


@st.composite
def stacks(draw: st.DrawFn) -> list[Frame]:
    """Slices of a straight stack, some of them moved, turned, doubled or without a place; shuffled."""
    angle, step = draw(st.floats(0, 6.3)), draw(st.floats(0.1, 10))
    along = (math.cos(angle), math.sin(angle), 0.0)
    down = (-math.sin(angle) * 0.8, math.cos(angle) * 0.8, 0.6)
    normal = np.cross(along, down)
    found = [
        Frame(
            file=number, index=0, name=f"{number}.dcm", orientation=(*along, *down), spacing=(0.7, 0.9),
            position=tuple(float(each) for each in 5 + number * step * normal),
        )
        for number in range(draw(st.integers(1, 8)))
    ]  # fmt: skip
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(found) - 1))
        moved = st.builds(lambda x, y, z: {"position": (x, y, z)}, NUMBERS, NUMBERS, NUMBERS)
        change: Any = draw(moved | st.sampled_from([
            {"position": None}, {"orientation": None}, {"spacing": None}, {"time": 1}, {"time": 2},
            {"position": found[0].position}, {"orientation": (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)},
        ]))  # fmt: skip
        found[at] = replace(found[at], **change)
    return draw(st.permutations(found))


@settings(deadline=None)
@given(stacks(), st.randoms(use_true_random=False))
def test_a_series_is_a_grid_or_refused_whatever_the_order(frames: list[Frame], random: Any) -> None:
    with np.errstate(all="ignore"):
        found, why = asked(lambda: arrange(frames), Unreadable)
        again = list(frames)
        random.shuffle(again)
        other, _ = asked(lambda: arrange(again), Unreadable)
    assert (found is None) == (other is None)
    if found is None or other is None:
        assert is_safe(why)
        return
    assert found.slices * found.times == len(frames)
    assert {each.file for each in found.frames} == {each.file for each in frames}
    assert all(each > 0 and math.isfinite(each) for each in found.spacing)
    if all(each.position for each in frames):
        assert [each.position for each in found.frames] == [each.position for each in other.frames]
        assert off_grid(found) <= MAX_OFF_GRID + 1e-6


def off_grid(found: Arrangement) -> float:
    """How far the frame that lies worst lies from where the image puts it, in voxels."""
    axes = np.array(found.direction).reshape(3, 3).T
    worst = 0.0
    for number, each in enumerate(found.frames):
        assume(each.position is not None)
        place = np.array(found.origin) + (number % found.slices) * found.spacing[2] * axes[2]
        voxels = np.abs((np.array(each.position) - place) @ axes.T) / np.array(found.spacing)
        worst = max(worst, float(voxels.max()))
    return worst
