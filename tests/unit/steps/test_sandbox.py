"""The child in which hostile files are parsed."""

from __future__ import annotations

import mmap
import os
import resource
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


def test_memory_that_is_reserved_is_not_used() -> None:
    bounds = replace(BOUNDS, memory_bytes=256 * MIB, resident_bytes=32 * MIB)

    def use(size: int, flags: int, used: int) -> int:
        pages = mmap.mmap(-1, size, flags | mmap.MAP_ANONYMOUS)
        for place in range(0, used, 4096):
            pages[place] = 1
        time.sleep(60 if used else 0)
        return len(pages)

    assert run(lambda: use(128 * MIB, mmap.MAP_PRIVATE, 0), bounds).value == 128 * MIB
    assert run(lambda: use(512 * MIB, mmap.MAP_PRIVATE, 0), bounds).ending is not Ending.DONE
    for flags in (mmap.MAP_PRIVATE, mmap.MAP_SHARED):
        used = run(lambda flags=flags: use(128 * MIB, flags, 64 * MIB), bounds)  # type: ignore[misc]
        assert used.ending is Ending.OUT_OF_MEMORY


def test_the_kernel_takes_the_child_first() -> None:
    own = Path("/proc/self/oom_score_adj").read_text()
    assert run(lambda: Path("/proc/self/oom_score_adj").read_text(), BOUNDS).value == "1000\n"
    assert Path("/proc/self/oom_score_adj").read_text() == own
    assert run(lambda: os.kill(os.getpid(), signal.SIGKILL), BOUNDS).ending is Ending.OUT_OF_MEMORY


def test_cpu_time_is_limited() -> None:
    """Several threads use more of it than passes on the clock."""
    assert run(lambda: os.kill(os.getpid(), signal.SIGXCPU), BOUNDS).ending is Ending.TIMED_OUT
    soft, hard = run(lambda: resource.getrlimit(resource.RLIMIT_CPU), BOUNDS).value
    assert 10 <= soft < hard


def test_time_is_limited() -> None:
    began = time.monotonic()
    assert run(lambda: time.sleep(60), Bounds(64 * MIB, 0.3)).ending is Ending.TIMED_OUT
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("function", "detail"),
    [
        (lambda: os.kill(os.getpid(), signal.SIGSEGV), "SIGSEGV"),
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


def test_has_no_descriptor_but_those_that_it_is_given(tmp_path: Path) -> None:
    (tmp_path / "given").write_text("given")
    folder = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)  # as that of the attempt in the store
    given = os.open(tmp_path / "given", os.O_RDONLY)

    def seen() -> list[str]:
        found = [path.readlink() for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
        return sorted({str(path) for path in found})

    try:
        outcome = run(seen, BOUNDS, descriptors=[given])
        named = [each for each in outcome.value if not each.startswith(("pipe:", "/proc/"))]
        assert named == ["/dev/null", str(tmp_path / "given")]
        assert sum(each.startswith("pipe:") for each in outcome.value) == 1
        assert run(lambda: os.pread(given, 9, 0).decode(), BOUNDS, descriptors=[given]).value == "given"
        assert "Bad file descriptor" in run(lambda: os.stat("given", dir_fd=folder).st_size, BOUNDS).detail
        assert os.stat("given", dir_fd=folder).st_size == 5
    finally:
        os.close(given)
        os.close(folder)


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_leaves_no_process_and_no_descriptor() -> None:
    before = descriptors()
    for function in (lambda: 1, lambda: os._exit(3)):
        run(function, BOUNDS)
    assert descriptors() == before
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
