"""Staging and collecting large images: throughput against `cp` in the same run, and memory that does not grow."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import time
from pathlib import Path

import pytest

from tests.bench.conftest import Record
from tests.bench.steppod import StepPod, Usage, write_mha

MB = 10**6
SMALL, LARGE = 100 * MB, 1000 * MB
ROUNDS = 5
MAX_GROWTH = 32 * 1024 * 1024
"""Ten times the file may cost this much more memory: what measuring differs by, not what a file takes."""


def _cp(source: Path, target: Path) -> float:
    """Seconds of a real copy that is on the disk at the end, as what `collect` keeps is."""
    began = time.monotonic()
    subprocess.run(["cp", "--reflink=never", source, target], check=True)
    descriptor = os.open(target, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)
    seconds = time.monotonic() - began
    target.unlink()
    return seconds


def _plain_cp(source: Path, target: Path) -> float:
    """Seconds of a copy that may still be in memory, as what `stage` lays out is."""
    began = time.monotonic()
    subprocess.run(["cp", "--reflink=never", source, target], check=True)
    seconds = time.monotonic() - began
    target.unlink()
    return seconds


def _attempt(folder: Path, name: str, source: Path) -> tuple[Usage, Usage]:
    root = folder / name
    pod = StepPod(root, source)
    staged = pod.stage()
    pod.put_output()
    collected = pod.collect()
    shutil.rmtree(root)
    os.sync()
    return staged, collected


@pytest.mark.timeout(600)
def test_stage_and_collect_one_gigabyte(folder: Path, record: Record) -> None:
    """Interleaved with `cp` of the same file, medians; memory is compared with a file of a tenth of the size."""
    small, large = folder / "small.mha", folder / "large.mha"
    write_mha(small, SMALL)
    write_mha(large, LARGE)
    size = large.stat().st_size
    seconds: dict[str, list[float]] = {"cp": [], "cp, fsync": [], "stage": [], "collect": []}
    peaks: dict[str, list[int]] = {"stage": [], "collect": []}
    for number in range(ROUNDS):
        seconds["cp"].append(_plain_cp(large, folder / "copy.mha"))
        os.sync()
        seconds["cp, fsync"].append(_cp(large, folder / "copy.mha"))
        staged, collected = _attempt(folder, f"large-{number}", large)
        seconds["stage"].append(staged.seconds)
        seconds["collect"].append(collected.seconds)
        peaks["stage"].append(staged.peak_bytes)
        peaks["collect"].append(collected.peak_bytes)
    staged, collected = _attempt(folder, "small", small)

    median = {name: statistics.median(values) for name, values in seconds.items()}
    peak = {name: max(values) for name, values in peaks.items()}
    record(
        "steps on a 1 GB .mha",
        {
            "bytes": size,
            "rounds": ROUNDS,
            "MB/s (median)": {name: round(size / MB / value) for name, value in median.items()},
            "stage / cp (time)": round(median["stage"] / median["cp"], 2),
            "collect / cp with fsync (time)": round(median["collect"] / median["cp, fsync"], 2),
            "peak MiB, 1 GB": {name: round(value / 2**20) for name, value in peak.items()},
            "peak MiB, 100 MB": {
                "stage": round(staged.peak_bytes / 2**20),
                "collect": round(collected.peak_bytes / 2**20),
            },
        },
    )
    assert peak["stage"] - staged.peak_bytes < MAX_GROWTH
    assert peak["collect"] - collected.peak_bytes < MAX_GROWTH
    assert max(peak.values()) < 400 * 1024 * 1024, "more than the container's limit of 512 Mi leaves room for"
