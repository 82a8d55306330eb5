"""DICOM that means harm: refused in words, with bounded memory, whatever the bytes are."""

from __future__ import annotations

import os
import struct
import sys
import tracemalloc
import warnings
import zlib
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK
from hypothesis import HealthCheck, example, settings
from hypothesis import given as each
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.uid import JPEG2000, DeflatedExplicitVRLittleEndian, RLELossless

from algorithm_operator.api.text import shown
from algorithm_operator.steps import sandbox
from algorithm_operator.steps.readers import dicom
from algorithm_operator.steps.readers.reading import Given, Unreadable
from tests.unit.steps.dicom import dataset, volume, write
from tests.unit.steps.reading import given

BOUNDS = sandbox.Bounds(memory_bytes=512 << 20, seconds=60, file_bytes=1 << 20)
MIB = 1 << 20


@pytest.fixture(autouse=True)
def _quiet() -> Any:
    """pydicom warns of what it finds; in the sandbox nobody listens."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _with(path: Path, insertion: bytes, before: bytes = b"\x28\x00\x02\x00US") -> Path:
    """The file with bytes inserted before one of its elements (SamplesPerPixel)."""
    raw = path.read_bytes()
    at = raw.index(before)
    path.write_bytes(raw[:at] + insertion + raw[at:])
    return path


def _element(tag: tuple[int, int], vr: bytes, length: int, value: bytes = b"") -> bytes:
    return struct.pack("<HH2s2xI", *tag, vr, length) + value


def _nested(depth: int) -> bytes:
    """Sequences of undefined length, each in an item of the one before."""
    begin = _element((0x21, 0x1000), b"SQ", 0xFFFFFFFF) + b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
    end = b"\xfe\xff\x0d\xe0\0\0\0\0" + b"\xfe\xff\xdd\xe0\0\0\0\0"
    return begin * depth + end * depth


@pytest.mark.parametrize(
    "insertion",
    [
        _element((0x21, 0x1001), b"OB", 0xFFFFFFF0),
        _element((0x21, 0x1001), b"UN", 0xFFFFFFFF),
        _element((0x21, 0x1001), b"SQ", 0xFFFFFFF0),
        _nested(2000),
    ],
    ids=["huge length", "undefined length", "huge sequence", "nested"],
)
def test_elements_that_promise_too_much(
    tmp_path: Path, insertion: bytes, request: pytest.FixtureRequest
) -> None:
    # hypothesis leaves it higher than a step has it.
    request.addfinalizer(partial(sys.setrecursionlimit, sys.getrecursionlimit()))
    sys.setrecursionlimit(1000)
    path = _with(write(tmp_path / "x", dataset(volume()[0])), insertion)
    tracemalloc.start()
    try:
        with given([path]) as files, pytest.raises(Unreadable, match=r"damaged|no image"):
            dicom.read(files)
        assert tracemalloc.get_traced_memory()[1] < 64 * MIB
    finally:
        tracemalloc.stop()


def test_private_elements_are_passed_over(tmp_path: Path) -> None:
    pixels = volume()[0]
    path = _with(
        write(tmp_path / "x", dataset(pixels)), _element((0x21, 0x1001), b"OB", 200_000, b"x" * 200_000)
    )
    with given([path]) as files:
        assert dicom.read(files).notes[0] == "One frame of one file."


@pytest.mark.parametrize("syntax", [RLELossless, DeflatedExplicitVRLittleEndian], ids=["RLE", "deflated"])
def test_more_pixels_than_bytes_can_hold_are_not_allocated(tmp_path: Path, syntax: Any) -> None:
    """The image would be 8 GB; the child may have 512 MiB, and needs them not."""
    data = dataset(volume(dtype="u1")[0], Rows=60000, Columns=60000)
    if syntax == RLELossless:
        data.PixelData = b"\xfe\xff\x00\xe0\0\0\0\0\xfe\xff\x00\xe0\x04\0\0\0abcd\xfe\xff\xdd\xe0\0\0\0\0"
        data["PixelData"].VR, data["PixelData"].is_undefined_length = "OB", True
    path = write(tmp_path / "x", data, syntax)

    with given([path]) as files:
        outcome = sandbox.run(lambda: _words(files[0]), BOUNDS, descriptors=[files[0].descriptor])
    assert outcome.ending is sandbox.Ending.DONE, outcome
    assert "promises 3600000000 bytes of pixels" in outcome.value


def test_the_name_of_the_deflated_syntax_does_not_make_a_file_deflated(tmp_path: Path) -> None:
    pixels = volume()[0]
    path = write(tmp_path / "x", dataset(pixels, SOPInstanceUID=DeflatedExplicitVRLittleEndian))
    with given([path]) as files:
        image: Any = dicom.read(files).image
    assert (SimpleITK.GetArrayFromImage(image)[0] == pixels).all()


def test_a_deflate_bomb_ends_in_the_sandbox(tmp_path: Path) -> None:
    path = write(tmp_path / "x", dataset(volume()[0]), DeflatedExplicitVRLittleEndian)
    raw = path.read_bytes()
    at = 132 + 12 + struct.unpack("<I", raw[140:144])[0]
    squeeze = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    head, mebibyte = (
        squeeze.compress(part) + squeeze.flush(zlib.Z_FULL_FLUSH)
        for part in (_element((0x7FE0, 0x10), b"OW", 1 << 28), bytes(MIB))
    )
    path.write_bytes(raw[:at] + head + 256 * mebibyte + squeeze.flush())
    with given([path]) as files:
        bounds, held = replace(BOUNDS, memory_bytes=128 * MIB), [files[0].descriptor]
        outcome = sandbox.run(lambda: str(dicom.read(files)), bounds, descriptors=held)
    assert outcome.ending is sandbox.Ending.OUT_OF_MEMORY


def test_a_compressed_frame_that_is_damaged(tmp_path: Path) -> None:
    data = dataset(np.zeros((4, 4), "u1"))
    data.PixelData = (
        b"\xfe\xff\x00\xe0\0\0\0\0\xfe\xff\x00\xe0\x08\0\0\0\xff\x4f\xff\x51abcd\xfe\xff\xdd\xe0\0\0\0\0"
    )
    data["PixelData"].VR, data["PixelData"].is_undefined_length = "OB", True
    with given([write(tmp_path / "x", data, JPEG2000)]) as files, pytest.raises(Unreadable, match="damaged"):
        dicom.read(files)


def test_nothing_of_a_patient_is_in_what_comes_out(tmp_path: Path) -> None:
    data = dataset(volume()[0], PatientName="Doe^Jane", PatientID="4711", InstitutionName="Somewhere")
    with given([write(tmp_path / "x", data)]) as files:
        found = dicom.read(files)
    image: Any = found.image
    assert image.GetMetaDataKeys() == ()
    assert "Doe" not in str(found.notes)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    group = Dataset()
    group.PlanePositionSequence = [Dataset()]
    group.PlanePositionSequence[0].ImagePositionPatient = [0, 0, 0]
    data = dataset(
        volume()[0], PerFrameFunctionalGroupsSequence=[group], RescaleSlope="2", SpacingBetweenSlices="3"
    )
    return write(tmp_path_factory.mktemp("whole") / "x", data).read_bytes()


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@each(st.lists(st.tuples(st.integers(132, 1200), st.binary(min_size=1, max_size=6)), min_size=1, max_size=4))
@example([(132, b"\xff" * 6)])
def test_any_bytes_are_read_or_refused(whole: bytes, changes: list[tuple[int, bytes]]) -> None:
    raw = bytearray(whole)
    for at, what in changes:
        raw[at % len(raw) : at % len(raw) + len(what)] = what
    descriptor = os.memfd_create("x")
    try:
        os.write(descriptor, raw)
        words = _words(Given("x", descriptor, len(raw)))
    finally:
        os.close(descriptor)
    assert words == shown(words, 10_000)


def _words(file: Given) -> str:
    try:
        return " ".join(dicom.read([file], max_voxel_bytes=MIB).notes)
    except Unreadable as error:
        return str(error)
