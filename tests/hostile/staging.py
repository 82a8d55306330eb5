"""Runs stage for one attempt after the other: `staging.py ADDRESS_SPACE SECONDS`, each in a child of its own.

What a Pod's container does once; here Python starts once for all. Each line of stdin is the root of an attempt, and is
answered by {"code", "peak"} in a line: `peak` is the memory in bytes of the child or its largest child. A child that
hangs is ended.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from typing import NoReturn

from algorithm_operator.steps import stage
from algorithm_operator.steps.roots import Roots


def stage_one(root: str, address_space: int, seconds: int) -> NoReturn:
    """One attempt, with its stdout and stderr in files; the exit code is stage's."""
    for descriptor, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(f"{root}/{name}", os.O_WRONLY | os.O_CREAT), descriptor)
    resource.setrlimit(resource.RLIMIT_AS, (address_space, address_space))
    signal.alarm(seconds)
    code = 1
    try:
        code = stage.run(Roots(root), os.environ)
        sys.stdout.flush()
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(code)


def main(address_space: str, seconds: str) -> None:
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            stage_one(line.rstrip("\n"), int(address_space), int(seconds))
        _, status, usage = os.wait4(child, 0)
        ended = {"code": os.waitstatus_to_exitcode(status), "peak": usage.ru_maxrss * 1024}
        print(json.dumps(ended), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
