"""A child process for whatever parses a hostile file: limited in memory, time, files and descriptors.

What comes back is JSON through a pipe, bounded; a child that crashes, hangs or runs out of memory is an answer too.
The child is a fork: no thread of the caller may hold a lock meanwhile. Of the caller's descriptors it has those that it
is given. Where the container's memory ends, the kernel takes the child first; but a kubelet may have it take the whole
container (memory.oom.group, the default with cgroup v2), so the bounds of children leave room for their parent.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import signal
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NoReturn

MAX_RESULT = 64 * 1024 * 1024
_GLANCE_SECONDS = 0.02
_OUT_OF_MEMORY, _FAILED = 41, 42
_WORDS = ("bad_alloc", "Failed to allocate", "allocat")


class Ending(StrEnum):
    """How a child ended."""

    DONE = "done"
    CRASHED = "crashed"
    OUT_OF_MEMORY = "out of memory"
    TIMED_OUT = "timed out"


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a child may use.

    `memory_bytes` is address space beyond what the parent has mapped; `file_bytes` is how large a file may become that
    it writes; `open_files` counts the descriptors that it is given too. `resident_bytes`: the child reserves far more
    addresses than it uses, as a JavaScript engine does; `memory_bytes` is then memory that it can write to, and it is
    ended once it has used so much of it.
    """

    memory_bytes: int
    seconds: float
    open_files: int = 256
    file_bytes: int = 0
    resident_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """`value` is what the function returned, if it is DONE; `detail` says more about a crash."""

    ending: Ending
    value: Any = None
    detail: str = ""


def run(
    function: Callable[[], Any],
    bounds: Bounds,
    max_result: int = MAX_RESULT,
    before: Callable[[], None] | None = None,
    descriptors: Iterable[int] = (),
) -> Outcome:
    """Run `function` in a child and give back what it returns (which must be JSON).

    `before` runs in the child as well, and what it maps is not counted: imports, and nothing that parses.
    `descriptors` are the open files that it is given; it has no other.
    """
    reading, writing = os.pipe2(os.O_CLOEXEC)
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _child(function, bounds, writing, before, {writing, *descriptors})
    os.close(writing)
    killed = False
    try:
        data, why = _read(reading, child, bounds, max_result)
    finally:
        os.close(reading)
        # Also when we are interrupted: a child is never left behind.
        with contextlib.suppress(ProcessLookupError):
            if not _ended(child):
                os.kill(child, signal.SIGKILL)
                killed = True
        _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return Outcome(why) if why is not None else _outcome(data, code, killed)


def _outcome(data: bytes | None, code: int, killed: bool) -> Outcome:
    if code == -signal.SIGXCPU:
        return Outcome(Ending.TIMED_OUT)
    # Who kills it, if not we, is the kernel.
    if code == _OUT_OF_MEMORY or (code == -signal.SIGKILL and not killed):
        return Outcome(Ending.OUT_OF_MEMORY)
    if code == 0 and data is not None:
        try:
            return Outcome(Ending.DONE, json.loads(data))
        except ValueError:
            return Outcome(Ending.CRASHED, detail="its answer was not complete")
    if code < 0:
        return Outcome(Ending.CRASHED, detail=f"ended by {signal.Signals(-code).name}")
    if code == _FAILED and data:
        return Outcome(Ending.CRASHED, detail=data.decode("utf-8", "backslashreplace"))
    return Outcome(Ending.CRASHED, detail=f"ended with code {code}")


def _ended(child: int) -> bool:
    """Whether the child is a zombie by now; it gets a moment, as its pipe closes just before its end."""
    for pause in (0.0, 0.001, 0.01, 0.1, 0.5):
        time.sleep(pause)
        if os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None:
            return True
    return False


def _read(pipe: int, child: int, bounds: Bounds, limit: int) -> tuple[bytes | None, Ending | None]:
    """All that the child writes, None if it is too much; and which bound it reached first."""
    deadline, most = time.monotonic() + bounds.seconds, bounds.resident_bytes
    if most is not None:
        most += _resident(os.getpid())  # a fork begins with all that its parent has
    poll = select.poll()
    poll.register(pipe, select.POLLIN)
    data = bytearray()
    while True:
        left = deadline - time.monotonic()
        if left <= 0:
            return None, Ending.TIMED_OUT
        if most is not None and _resident(child) > most:
            return None, Ending.OUT_OF_MEMORY
        if not poll.poll((left if most is None else min(left, _GLANCE_SECONDS)) * 1000):
            continue
        piece = os.read(pipe, 65536)
        if not piece:
            return bytes(data), None
        data += piece
        if len(data) > limit:
            return None, None


def _child(
    function: Callable[[], Any],
    bounds: Bounds,
    pipe: int,
    before: Callable[[], None] | None,
    kept: set[int],
) -> NoReturn:
    code = _FAILED
    try:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        # Our stdout carries the manifest: nothing that a parser prints may get there.
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        _close_all_but({0, 1, 2, *kept})
        with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
            file.write("1000")
        if before is not None:
            before()
        _limit(bounds)
        answer = json.dumps(function()).encode()
        code = 0
    except MemoryError:
        answer, code = b"", _OUT_OF_MEMORY
    except BaseException as error:
        answer = f"{type(error).__name__}: {error}"[:1000].encode("utf-8", "backslashreplace")
        if any(word in str(error) for word in _WORDS):
            code = _OUT_OF_MEMORY
    try:
        view = memoryview(answer)
        while view:
            view = view[os.write(pipe, view) :]
    except BaseException:
        code = _FAILED
    finally:
        os._exit(code)


def _close_all_but(kept: set[int]) -> None:
    """What we have open, such as the attempt's folder in the store, is nothing for who parses."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) not in kept:
            with contextlib.suppress(OSError):  # that of the list itself
                os.close(int(name))


def _limit(bounds: Bounds) -> None:
    mapped, writable = _mapped()
    seconds = max(1, int(bounds.seconds) + 1)
    memory = (
        (resource.RLIMIT_AS, mapped) if bounds.resident_bytes is None else (resource.RLIMIT_DATA, writable)
    )
    for kind, limit, more in (
        (memory[0], memory[1] + bounds.memory_bytes, 0),
        (resource.RLIMIT_CPU, seconds, 1),  # at the hard limit it would be killed, and not told why
        (resource.RLIMIT_FSIZE, bounds.file_bytes, 0),
        (resource.RLIMIT_CORE, 0, 0),
        (resource.RLIMIT_NOFILE, bounds.open_files, 0),
    ):
        hard = resource.getrlimit(kind)[1]
        most = limit + more if hard == resource.RLIM_INFINITY else min(limit + more, hard)
        resource.setrlimit(kind, (min(limit, most), most))


def _mapped() -> tuple[int, int]:
    """The address space of this process, and how much of it it can write to, in bytes."""
    with open("/proc/self/statm", "rb") as file:
        pages = file.read().split()
    return int(pages[0]) * resource.getpagesize(), int(pages[5]) * resource.getpagesize()


def _resident(process: int) -> int:
    """The memory of a process that is of no file, in bytes."""
    with open(f"/proc/{process}/status", "rb") as file:
        words = [line.split() for line in file if line.startswith((b"RssAnon:", b"RssShmem:"))]
    return sum(int(kibibytes) for _, kibibytes, *_ in words) * 1024
