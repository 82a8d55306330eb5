"""The two programs that are compared: sagemaker-shim from its own lock, and our runner from this checkout."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.cluster.settings import CACHE, PROJECT

LOCK = PROJECT / "requirements" / "shim.txt"


@pytest.fixture(scope="session")
def shim() -> Path:
    """The command `sagemaker-shim`, in a virtual environment of the project's cache.

    Its package asks for Python 3.12 because it is published as one binary with that inside; it works with ours, too.
    """
    folder = CACHE / f"shim-{hashlib.sha256(LOCK.read_bytes() + sys.version.encode()).hexdigest()[:12]}"
    command = folder / "bin" / "sagemaker-shim"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "shim.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / ".complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            venv.create(folder, with_pip=True)
            pip = [
                str(folder / "bin" / "python"),
                "-m",
                "pip",
                "install",
                "--quiet",
                "--ignore-requires-python",
            ]
            subprocess.run([*pip, "--no-deps", "--require-hashes", "-r", str(LOCK)], check=True)
            (folder / ".complete").touch()
    return command


@pytest.fixture(scope="session")
def runner() -> Path:
    """The runner."""
    subprocess.run(["make", "--silent", "runner"], cwd=PROJECT, check=True, stdout=subprocess.DEVNULL)
    return PROJECT / "build" / "runner"
