"""The child in which hostile files are parsed."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from algorithm_operator.steps.sandbox import Bounds, Ending, Outcome, run

MIB = 1024**2
BOUNDS = Bounds(64 * MIB, 10)


def test_gives_back_what_the_function_returns() -> None:
    outcome = run(lambda: {"a": [1, None, "ü"]}, BOUNDS)
    assert (outcome.ending, outcome.value) == (Ending.DONE, {"a": [1, None, "ü"]})


def test_memory_is_limited() -> None:
    assert run(lambda: len(bytes(128 * MIB)), BOUNDS).ending is Ending.OUT_OF_MEMORY
    assert run(lambda: len(bytes(32 * MIB)), BOUNDS).value == 32 * MIB


def test_time_is_limited() -> None:
    began = time.monotonic()
    assert run(lambda: time.sleep(60), Bounds(64 * MIB, 0.3)).ending is Ending.TIMED_OUT
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("function", "detail"),
    [
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "SIGKILL"),
        (lambda: os._exit(7), "code 7"),
        (lambda: 1 // 0, "ZeroDivisionError"),
        (lambda: os._exit(0), "not complete"),
    ],
)
def test_crashes_are_answers(function: Any, detail: str) -> None:
    outcome = run(function, BOUNDS)
    assert outcome.ending is Ending.CRASHED
    assert detail in outcome.detail


def test_writes_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    def write() -> None:
        os.write(1, b"AOM1 0 forged\n")
        os.write(2, b"noise\n")
        with (tmp_path / "file").open("wb") as file:
            file.write(b"x")

    # SIGXFSZ or EFBIG, whatever comes first
    assert run(write, BOUNDS).ending is Ending.CRASHED
    assert (tmp_path / "file").read_bytes() == b""
    assert capfd.readouterr() == ("", "")


def test_writes_so_much_and_no_more(tmp_path: Path) -> None:
    def write(size: int) -> None:
        (tmp_path / "file").write_bytes(bytes(size))

    bounds = replace(BOUNDS, file_bytes=1000)
    assert run(lambda: write(1000), bounds).ending is Ending.DONE
    assert run(lambda: write(1001), bounds).ending is Ending.CRASHED
    assert (tmp_path / "file").stat().st_size == 1000


def test_what_runs_before_is_not_counted() -> None:
    kept: list[bytearray] = []

    def hold() -> None:
        kept.append(bytearray(2 * BOUNDS.memory_bytes))

    assert run(lambda: len(kept), BOUNDS, before=hold) == Outcome(Ending.DONE, 1)
    assert run(hold, BOUNDS).ending is Ending.OUT_OF_MEMORY
    assert kept == []


def test_answers_are_bounded() -> None:
    assert run(lambda: "x" * MIB, BOUNDS, max_result=1000).ending is Ending.CRASHED


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_leaves_no_process_and_no_descriptor() -> None:
    before = descriptors()
    for function in (lambda: 1, lambda: os._exit(3)):
        run(function, BOUNDS)
    assert descriptors() == before
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
