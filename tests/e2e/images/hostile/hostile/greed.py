"""What the node counts by user or for everybody, taken until there is no more, and held for a while."""

import contextlib
import ctypes
import os
import resource
import signal
import time
from collections.abc import Callable
from typing import Any

from .kernel import call

_MOST = 20_000


def _until_refused(act: Callable[[], Any], most: int = _MOST) -> dict[str, Any]:
    taken = 0
    try:
        while taken < most:
            act()
            taken += 1
    except OSError as error:
        return {"taken": taken, "error": error.strerror}
    return {"taken": taken, "error": None}


def everything(seconds: float = 5) -> dict[str, Any]:
    """Descriptors, inotify instances, epolls, terminals, queued signals, locked memory, message queues."""
    resource.setrlimit(
        resource.RLIMIT_NOFILE, (min(65536, resource.getrlimit(resource.RLIMIT_NOFILE)[1]),) * 2
    )
    signal.pthread_sigmask(signal.SIG_BLOCK, {40})
    queues = iter(range(_MOST))
    libc = ctypes.CDLL(None, use_errno=True)

    def locked() -> None:
        libc.mmap.restype = ctypes.c_void_p
        address = libc.mmap(None, ctypes.c_size_t(1 << 20), 3, 0x22, -1, 0)
        call(149, ctypes.c_void_p(address), 1 << 20)

    seen = {
        "inotify": _until_refused(lambda: call(294, 0)),
        "epoll": _until_refused(lambda: call(291, 0), 2000),
        "terminals": _until_refused(os.openpty, 8000),
        "pipes": _until_refused(lambda: os.set_blocking(os.pipe()[1], False), 4000),
        "signals": _until_refused(
            lambda: call(129, os.getpid(), 40, ctypes.create_string_buffer(b"\0" * 8 + b"\xff" * 4, 128))
        ),
        "message queues": _until_refused(lambda: call(240, b"q%d" % next(queues), 0o102, 0o600, 0)),
        "semaphores": _until_refused(lambda: call(64, 0, 1, 0o1600)),
        "locked memory": _until_refused(locked, 64),
        "descriptors": _until_refused(lambda: os.dup(0), 70_000),
    }
    time.sleep(seconds)
    for file in range(3, 64):
        with contextlib.suppress(OSError):
            os.close(file)
    return seen
