"""An algorithm that attacks: `/input/attempt.json` is {"attempt": NAME, …arguments}, a function of that name below.

What an attempt saw is printed as one JSON line on stdout, and becomes /output/results.json if the attempt may go on.
"""

import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import bombs, fills, forgery, greed, logs, memory, refusals, runner
from .kernel import report

ATTEMPTS: dict[str, Callable[..., Any]] = {
    "refusals": refusals.everything,
    "dial": refusals.dial_and_fail,
    "runner": runner.everything,
    "prlimit": runner.limit_it,
    "sigterm": runner.terminate_it,
    "fork-bomb": bombs.forks,
    "thread-bomb": bombs.threads,
    "daemon": bombs.daemon,
    "ignore": bombs.ignore_everything,
    "core": bombs.core,
    "forge": forgery.everything,
    "fill": fills.fill,
    "unlinked": fills.unlinked,
    "in-flight": fills.in_flight,
    "inodes": fills.inodes,
    "shm": fills.shared_memory,
    "flood": logs.flood,
    "lines": logs.lines,
    "memory-child": memory.child,
    "memory-nobody": memory.of_nobody,
    "greed": greed.everything,
}


def main() -> None:
    given = json.loads(Path("/input/attempt.json").read_text())
    # What the runner passes on to its group must not end the attack.
    bombs.deaf({signal.SIGCHLD, signal.SIGTERM})
    seen = ATTEMPTS[given.pop("attempt")](**given)
    report(seen)
    Path("/output/results.json").write_text(json.dumps(seen))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
