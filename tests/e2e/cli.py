"""kubectl-algorithm of this checkout, as people call it."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.cluster.settings import KUBECONFIG

PROGRAM = [sys.executable, "-m", "algorithm_operator.cli"]


def environment(kubeconfig: str = str(KUBECONFIG)) -> dict[str, str]:
    """Of such a process."""
    return {**os.environ, "KUBECONFIG": kubeconfig, "PYTHONUNBUFFERED": "1"}


def call(*arguments: str, kubeconfig: str = str(KUBECONFIG)) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [*PROGRAM, *arguments], env=environment(kubeconfig), capture_output=True, text=True, timeout=120, check=False
    )  # fmt: skip
