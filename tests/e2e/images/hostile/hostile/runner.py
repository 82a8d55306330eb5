"""PID 1: the runner, of the same user as the algorithm."""

import ctypes
import fcntl
import os
import resource
import signal
import struct
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from .kernel import call, in_child, report

_PAST_STOPPING = {signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP}
_FILES = ("mem", "environ", "maps", "auxv", "stack", "syscall", "io", "pagemap", "personality", "task/1/mem")
_LINKS = ("exe", "cwd", "root", "ns/net", "fd/3")
_WRITABLE = (
    "oom_score_adj",
    "oom_adj",
    "comm",
    "clear_refs",
    "timerslack_ns",
    "coredump_filter",
    "autogroup",
)


def _all_signals() -> None:
    for number in range(1, 65):
        if number not in _PAST_STOPPING:
            os.kill(1, number)


def _by_descriptor() -> None:
    """A pipe that signals its owner with SIGKILL when there is something to read: the kernel sends it."""
    reading, writing = os.pipe()
    fcntl.fcntl(reading, fcntl.F_SETOWN, 1)
    fcntl.fcntl(reading, 10, signal.SIGKILL)  # F_SETSIG
    fcntl.fcntl(reading, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
    os.write(writing, b"x")


def _flood_of_signals() -> None:
    for _ in range(100_000):
        os.kill(1, signal.SIGUSR1)


def _stop() -> None:
    os.kill(1, signal.SIGSTOP)


def _pidfd() -> int:
    return call(434, 1, 0)


def _steal(number: int) -> int:
    return call(438, _pidfd(), number, 0)


def everything() -> dict[str, Any]:
    """Signals, tracing, memory, descriptors, priorities. That an answer comes at all says that it lives."""
    text = ctypes.create_string_buffer
    vector = text(struct.pack("<QQ", 0, 8))
    tries: dict[str, Callable[[], Any]] = {
        "SIGKILL": lambda: os.kill(1, signal.SIGKILL),
        "SIGSTOP": _stop,
        "all signals": _all_signals,
        "a flood of signals": _flood_of_signals,
        "SIGKILL by pidfd": lambda: call(424, _pidfd(), signal.SIGKILL, 0, 0),
        "SIGKILL by tgkill": lambda: call(234, 1, 1, signal.SIGKILL),
        "SIGKILL by fcntl": _by_descriptor,
        "real-time signal with a forged sender": lambda: call(129, 1, 40, text(128)),
        "ptrace attach": lambda: call(101, 16, 1, 0, 0),
        "ptrace seize": lambda: call(101, 0x4206, 1, 0, 0),
        "process_vm_readv": lambda: call(310, 1, vector, 1, vector, 1, 0),
        "process_vm_writev": lambda: call(311, 1, vector, 1, vector, 1, 0),
        "process_madvise": lambda: call(440, _pidfd(), vector, 1, 21, 0),
        "kcmp": lambda: call(312, 1, os.getpid(), 0, 0, 0),
        "get_robust_list": lambda: call(274, 1, text(8), text(8)),
        "migrate_pages": lambda: call(256, 1, 64, text(8), text(8)),
        "setpgid": lambda: os.setpgid(1, 0),
        "niceness": lambda: os.setpriority(os.PRIO_PROCESS, 1, 19),
        "idle class": lambda: os.sched_setscheduler(1, os.SCHED_IDLE, os.sched_param(0)),
        "one processor": lambda: os.sched_setaffinity(1, {min(os.sched_getaffinity(0))}),
        "sched_setattr": lambda: call(314, 1, text(struct.pack("<IIQiIQQQ", 48, 5, 0, 0, 0, 0, 0, 0)), 0),
        "I/O class": lambda: call(251, 1, 1, 3 << 13),
        "prlimit": lambda: call(302, 1, resource.RLIMIT_CORE, struct.pack("<QQ", 0, 0), 0),
    }
    for number in range(3, 12):
        tries[f"pidfd_getfd {number}"] = partial(_steal, number)
    for name in _FILES:
        tries[f"read {name}"] = Path(f"/proc/1/{name}").read_bytes
    for name in _LINKS:
        tries[f"link {name}"] = Path(f"/proc/1/{name}").readlink
    for name in _WRITABLE:
        tries[f"write {name}"] = partial(Path(f"/proc/1/{name}").write_text, "0")
    tries["setns"] = lambda: call(308, _pidfd(), 0x40000000)
    seen = {name: in_child(act) for name, act in tries.items()}
    stat = Path("/proc/1/stat").read_text().rpartition(")")[2].split()
    return {
        "outcomes": seen,
        "niceness": int(stat[16]),
        "limits": Path("/proc/1/limits").read_text() if os.access("/proc/1/limits", os.R_OK) else "",
    }


def limit_it(limit: str, then: int = 0) -> dict[str, Any]:
    """Take from the runner what it needs to watch, then do what it should have seen: `then` threads."""
    number = getattr(resource, f"RLIMIT_{limit}")
    outcome = in_child(lambda: call(302, 1, number, struct.pack("<QQ", 0, 0), 0))
    report({"prlimit": outcome})
    threading.stack_size(65536)
    for _ in range(then):
        threading.Thread(target=time.sleep, args=(3,), daemon=True).start()
    time.sleep(2)
    return {"prlimit": outcome, "threads": then}


def terminate_it() -> str:
    """SIGTERM to the runner: what the kubelet sends when time is up."""
    report("terminating")
    os.kill(1, signal.SIGTERM)
    time.sleep(3)
    sys.exit(0)
