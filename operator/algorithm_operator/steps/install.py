"""Putting the runner where the image's container finds it."""

from __future__ import annotations

import os
import sys

from algorithm_operator.core import names
from algorithm_operator.steps.copying import write_all
from algorithm_operator.steps.failures import os_message
from algorithm_operator.steps.roots import Roots


def install(roots: Roots) -> None:
    """Copy the runner of our image to its volume, executable and read-only."""
    with open(roots.runner_source, "rb") as source:
        binary = source.read()
    target = os.open(
        os.path.join(roots.runner, names.RUNNER_BINARY),
        os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC,
        0o500,
    )
    try:
        write_all(target, binary)
        os.fchmod(target, 0o555)
    finally:
        os.close(target)


def run(roots: Roots) -> int:
    """`steps install`, the one thing that an image's own accounts are looked up with."""
    try:
        install(roots)
    except OSError as error:
        print(f"the runner cannot be installed: {os_message(error)}", file=sys.stderr)
        return 75
    return 0
