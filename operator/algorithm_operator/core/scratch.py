"""What the algorithm may write: its volumes, and the kubelet's bounds on them. Pure.

The runner ends the algorithm at the size itself, within a second or so, and says why. The kubelet is the wall behind
it: a little higher, for what it finds above its bound it evicts, and the logs are lost with the Pod.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal
from typing import Any

from algorithm_operator.api.algorithm import Resources
from algorithm_operator.core import names, quantity

Body = dict[str, Any]
RESOURCE = "ephemeral-storage"
_SLACK = Decimal("1.25")
_LOGS = Decimal(256 * 1024**2)
"""The runner's log files, however small the scratch."""


def is_tmpfs(resources: Resources) -> bool:
    """Whether /output and /tmp are a file system of their own, which is full at the size."""
    return resources.scratch.medium == "Memory"


def volumes(resources: Resources) -> list[Body]:
    """The volumes that the algorithm writes to."""
    size = quantity.parse(resources.scratch.size)
    if is_tmpfs(resources):
        own: Body = {"medium": "Memory", "sizeLimit": resources.scratch.size}
    else:
        own = {"sizeLimit": _mebibytes(size * _SLACK)}
    found: list[Body] = [
        {"name": "output", "emptyDir": own},
        {"name": "tmp", "emptyDir": dict(own)},
        {"name": "logs", "emptyDir": {"sizeLimit": _mebibytes(size * _SLACK + _LOGS)}},
    ]
    if resources.shared_memory is not None:
        shm = {"medium": "Memory", "sizeLimit": resources.shared_memory}
        found.append({"name": "shm", "emptyDir": shm})
    return found


def bounds(resources: Resources) -> tuple[dict[str, str], dict[str, str]]:
    """Requests and limits of the algorithm's container on the node's disk: reserved, so that jobs cannot fill it."""
    size = quantity.parse(resources.scratch.size)
    reserved = "16Mi" if is_tmpfs(resources) else resources.scratch.size
    return {RESOURCE: reserved}, {RESOURCE: _mebibytes(max(size * _SLACK + _LOGS, quantity.parse(reserved)))}


def filesystems(resources: Resources) -> list[str]:
    """Mounts of the algorithm that are file systems of their own."""
    return [names.SHM_MOUNT, *([names.OUTPUT_MOUNT, names.TMP_MOUNT] if is_tmpfs(resources) else [])]


def problem(resources: Resources) -> str | None:
    """What its memory would have to hold and cannot, or None.

    Shared memory, and scratch in memory, count as the container's: a size that memory does not allow would not be a
    full file system but the end of the algorithm.
    """
    wanted, parts = Decimal(0), []
    if resources.shared_memory is not None:
        wanted += quantity.parse(resources.shared_memory)
        parts.append(f"sharedMemory ({resources.shared_memory})")
    if is_tmpfs(resources):
        wanted += 2 * quantity.parse(resources.scratch.size)
        parts.append(f"scratch in memory (/output and /tmp with {resources.scratch.size} each)")
    if wanted <= quantity.parse(resources.memory):
        return None
    return (
        f"resources: {' and '.join(parts)} may take {quantity.binary(wanted)}, and count as memory, which is "
        f"{resources.memory}. Raise memory, or lower them."
    )


def _mebibytes(amount: Decimal) -> str:
    return f"{int((amount / 2**20).to_integral_value(ROUND_CEILING))}Mi"
