"""A DICOM series of 1,000 slices through stage's reader, and 10,000 small files, each beside its floor."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.bench.conftest import Record
from tests.bench.steppod import WATCHER, StepPod, Usage, write_mha
from tests.unit.steps.dicom import series

SLICES, SIDE = 1000, 512
ROUNDS = 3
MANY = 10_000
MAX_RATIO = 1.5
"""Our reading may take this much of the time of SimpleITK alone, which looks for no gap and in no sandbox."""

# Each is a process of its own, so that its peak memory is its own.
_FLOOR = """
import pathlib, sys
with open(sys.argv[2], "wb") as out:
    for path in pathlib.Path(sys.argv[1]).iterdir():
        out.write(path.read_bytes())
"""
_PLAIN = """
import sys, SimpleITK as sitk
reader = sitk.ImageSeriesReader()
reader.SetFileNames(reader.GetGDCMSeriesFileNames(sys.argv[1]))
sitk.WriteImage(reader.Execute(), sys.argv[2])
"""
_OPENED = """
import os, resource, sys
from algorithm_operator.steps import sandbox
from algorithm_operator.steps.readers import dicom, writing
from algorithm_operator.steps.readers.reading import Given

hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
files = []
for entry in os.scandir(sys.argv[1]):
    descriptor = os.open(entry.path, os.O_RDONLY)
    files.append(Given(entry.name, descriptor, os.fstat(descriptor).st_size))
bounds = sandbox.Bounds(memory_bytes=8 << 30, seconds=600, open_files=len(files) + 64, file_bytes=8 << 30)
"""
_OURS = (
    _OPENED
    + """
def convert():
    writing.write(dicom.read(files).image, sys.argv[2], 8 << 30)
outcome = sandbox.run(convert, bounds, descriptors=[file.descriptor for file in files])
assert outcome.ending is sandbox.Ending.DONE, outcome
"""
)
_INSTANCES = (
    _OPENED
    + """
held = [file.descriptor for file in files]
outcome = sandbox.run(lambda: [uid for _, uid in dicom.instances(files)], bounds, descriptors=held)
assert len(outcome.value) == len(files), outcome
"""
)


def _measured(code: str, source: Path, target: Path) -> Usage:
    began = time.monotonic()
    command = [
        sys.executable,
        "-I",
        "-S",
        "-c",
        WATCHER,
        sys.executable,
        "-c",
        code,
        str(source),
        str(target),
    ]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    seconds = time.monotonic() - began
    status, peak, cpu = json.loads(output.splitlines()[-1])
    assert status == 0
    target.unlink(missing_ok=True)
    return Usage(seconds, cpu, peak)


def _series(folder: Path, slices: int, side: int) -> Path:
    """CT as a scanner writes it: 12 of 16 bits, an intercept, some dozen elements that nobody asks for."""
    noise = np.random.default_rng(1).integers(0, 4096, (side, side), dtype="u2")
    voxels = np.broadcast_to(noise, (slices, side, side))
    told: dict[str, Any] = {
        "BitsStored": 12,
        "RescaleSlope": "1",
        "RescaleIntercept": "-1024",
        "SliceThickness": "1",
    }
    told |= {"KVP": "120", "StudyDate": "20260101", "WindowCenter": "40", "WindowWidth": "400"}
    told |= dict.fromkeys(
        ("PatientName", "PatientID", "StudyDescription", "Manufacturer", "StationName"), "NOBODY"
    )
    series(folder, voxels, step=1.0, **told)
    return folder


@pytest.mark.timeout(600)
def test_a_series_of_a_thousand_slices(folder: Path, record: Record) -> None:
    """Read and written as one .mha, rounds interleaved, medians."""
    source = _series(folder / "series", SLICES, SIDE)
    found: dict[str, list[Usage]] = {"cat": [], "SimpleITK alone": [], "stage": []}
    for _ in range(ROUNDS):
        for name, code in zip(found, (_FLOOR, _PLAIN, _OURS), strict=True):
            found[name].append(_measured(code, source, folder / "out.mha"))
    seconds = {name: statistics.median(each.seconds for each in usages) for name, usages in found.items()}
    peak = {name: max(each.peak_bytes for each in usages) for name, usages in found.items()}
    voxels = SLICES * SIDE * SIDE * 2
    record(
        "a DICOM series of 1,000 slices",
        {
            "slices": f"{SLICES} of {SIDE} x {SIDE}, 12 of 16 bits",
            "rounds": ROUNDS,
            "seconds (median)": {name: round(value, 2) for name, value in seconds.items()},
            "stage / SimpleITK alone (time)": round(seconds["stage"] / seconds["SimpleITK alone"], 2),
            "peak MiB": {name: round(value / 2**20) for name, value in peak.items()},
            "voxels MiB": round(voxels / 2**20),
        },
    )
    assert seconds["stage"] < MAX_RATIO * seconds["SimpleITK alone"]
    assert peak["stage"] < 1.5 * voxels, "the voxels once, and little more"


@pytest.mark.timeout(600)
def test_ten_thousand_small_files(folder: Path, record: Record) -> None:
    """As a DICOM image set on the way in; as files that nobody declared on the way out."""
    source = _series(folder / "series", MANY, 16)
    cat, instances = (_measured(code, source, folder / "out") for code in (_FLOOR, _INSTANCES))

    image = folder / "image.mha"
    write_mha(image, 10**7)
    seconds = {}
    for name, extra in (("collect, nothing else", 0), (f"collect, {MANY} files besides", MANY)):
        pod = StepPod(folder / f"pod-{extra}", image)
        pod.stage()
        pod.put_output()
        for number in range(extra):
            path = pod.root / f"output/more/{number // 100}/{number}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("x")
        seconds[name] = pod.collect()
    record(
        "10,000 small files",
        {
            "image set, seconds": {"cat": round(cat.seconds, 2), "stage": round(instances.seconds, 2)},
            "image set, peak MiB": round(instances.peak_bytes / 2**20),
            "collect, seconds": {name: round(usage.seconds, 2) for name, usage in seconds.items()},
            "collect, peak MiB": {name: round(usage.peak_bytes / 2**20) for name, usage in seconds.items()},
        },
    )
    assert max(usage.peak_bytes for usage in seconds.values()) < 400 * 1024 * 1024
