"""Starts a command, passes SIGTERM on, and writes its peak memory (largest process, in bytes) to a file.

Started small: the kernel counts the memory of the process that called exec as well, and pytest is large.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

if __name__ == "__main__":
    result, *command = sys.argv[1:]
    child = os.fork()
    if child == 0:
        os.execvp(command[0], command)
    signal.signal(signal.SIGTERM, lambda number, _: os.kill(child, number))
    _, status, usage = os.wait4(child, 0)
    Path(result).write_text(str(usage.ru_maxrss * 1024))
    sys.exit(os.waitstatus_to_exitcode(status))
