"""Memory that somebody else is to be killed for."""

import ctypes
import os
import signal
import time
from typing import Any

from .kernel import call, report

_SHMGET, _SHMAT = 29, 30


def child() -> dict[str, Any]:
    """A child takes more than there is; its parent survives it, says nothing and ends well."""
    pid = os.fork()
    if pid == 0:
        kept = []
        while True:
            kept.append(b"\1" * (8 << 20))
    status = os.waitpid(pid, 0)[1]
    return {"child": signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else status}


def of_nobody(megabytes: int = 512) -> dict[str, Any]:
    """System V segments: they stay when who made them is dead, so killing processes frees nothing."""
    libc = ctypes.CDLL(None)
    libc.shmdt.argtypes = [ctypes.c_void_p]
    taken = 0
    while taken < megabytes:
        pid = os.fork()
        if pid == 0:
            segment = call(_SHMGET, 0, 16 << 20, 0o1600)
            address = call(_SHMAT, segment, 0, 0)
            ctypes.memset(address, 1, 16 << 20)
            os._exit(0)
        if os.waitpid(pid, 0)[1] == 0:
            taken += 16
        report({"megabytes": taken})
    time.sleep(5)
    return {"megabytes": taken}
