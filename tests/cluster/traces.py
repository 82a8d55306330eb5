"""Folders at fixed places outside our state folder that the kubelet, containerd and the CNI plugins make."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Final

from tests.cluster.settings import DATA, RUN

_CONTAINER_LOGS: Final = Path("/var/log/containers")
_FOLDERS: Final = (
    Path("/run/containerd"),
    Path("/var/lib/cni"),
    Path("/var/lib/kubelet"),
    _CONTAINER_LOGS,
    Path("/usr/libexec/kubernetes"),
)
_RECORD: Final = RUN / "absent.json"


def remember() -> None:
    """Record which of the folders are not there, before anything makes them."""
    if not _RECORD.exists():
        RUN.mkdir(parents=True, exist_ok=True)
        _RECORD.write_text(json.dumps([str(folder) for folder in _FOLDERS if not folder.exists()]))


def remove() -> None:
    """Remove the folders that were not there before, and from those that were our links to container logs."""
    for folder in left():
        shutil.rmtree(folder)
    for link in _CONTAINER_LOGS.glob("*.log"):
        if link.is_symlink() and link.readlink().is_relative_to(DATA):
            link.unlink()
    _RECORD.unlink(missing_ok=True)


def left() -> list[Path]:
    """Those of the folders that a cluster of ours made and that are still there."""
    absent = json.loads(_RECORD.read_text()) if _RECORD.exists() else []
    return [Path(folder) for folder in absent if Path(folder).exists()]
