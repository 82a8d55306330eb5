"""Virtual environments with the released `gcapi` clients, one a minor version, as their own locks say."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from typing import Final

from tests.cluster.settings import CACHE, PROJECT

MINORS: Final = ("0.13", "0.14", "0.15", "0.16")
OLDEST, NEWEST = MINORS[0], MINORS[-1]


def python_with(minor: str) -> Path:
    """The Python of an environment that has this client and nothing else; made where it is missing."""
    lock = PROJECT / "requirements" / f"gcapi-{minor}.txt"
    key = hashlib.sha256(lock.read_bytes() + sys.version.encode()).hexdigest()[:12]
    folder = CACHE / f"gcapi-{minor}-{key}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "gcapi.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if not (folder / ".complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            venv.create(folder, with_pip=True)
            pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-deps"]
            subprocess.run([*pip, "--require-hashes", "-r", str(lock)], check=True, stdout=sys.stderr)
            (folder / ".complete").touch()
    return folder / "bin" / "python"
