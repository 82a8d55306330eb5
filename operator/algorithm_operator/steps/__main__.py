"""`python -m algorithm_operator.steps STEP`: what the containers of our image run."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

SIGNALS = (signal.SIGTERM, signal.SIGINT)


def main(arguments: list[str]) -> int:
    """Run one step. Each imports what it needs itself: they start often and must start fast."""
    # PID 1 loses a signal that it has no handler for yet; a blocked one waits until the imports are done.
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    from algorithm_operator.steps.roots import Roots

    roots = Roots.from_environment()
    match arguments:
        case ["stage"]:
            from algorithm_operator.steps import stage

            _end_at_signal()
            return stage.run(roots, os.environ)
        case ["collect"]:
            from algorithm_operator.steps import collect

            return collect.run(roots, os.environ)
        case ["salvage"]:
            from algorithm_operator.steps import salvage

            _end_at_signal()
            return salvage.run(roots)
        case ["inspect"]:
            from algorithm_operator.steps import inspection

            _end_at_signal()
            return inspection.run(roots, os.environ)
        case ["install"]:
            from algorithm_operator.steps import install

            _end_at_signal()
            return install.run(roots)
        case ["import"]:
            from algorithm_operator.steps import importing

            _end_at_signal(sys.exit)  # what it has begun in the store is removed
            return importing.run(roots, os.environ)
        case ["store"]:
            from algorithm_operator.steps import store

            return store.run(roots)
    print(
        "usage: python -m algorithm_operator.steps stage | collect | salvage | inspect | install | import | store",
        file=sys.stderr,
    )
    return 2


def _end_at_signal(leave: Callable[[int], NoReturn] = os._exit) -> None:
    """End as any process does, although we are PID 1."""

    def end(number: int, frame: FrameType | None) -> None:
        leave(128 + number)

    for number in SIGNALS:
        signal.signal(number, end)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
