"""Who holds each limit of a run, as its manifest tells it: only what was seen, or what is built so. Pure.

A limit that was asked of the node counts as the node's only where the runner saw it in the container's own cgroup.
"""

from __future__ import annotations

import math

from algorithm_operator.contract.exits import LimitsSeen
from algorithm_operator.contract.plan import Limits

_TOLERANCE = 1.01
"""The kernel keeps CPU quotas in whole microseconds and memory in whole pages."""
_NOT_SEEN = "asked of the kubelet; the container shows no such limit, so nobody was seen to hold it"


def enforced_by(limits: Limits, seen: LimitsSeen | None, *, cpus: float, memory_bytes: int) -> dict[str, str]:
    """The sentence for each limit. `cpus` and `memory_bytes` are `limits.cpu` and `limits.memory` as numbers.

    `seen`: None where the runner said nothing, as when it was killed.
    """
    seen = seen or LimitsSeen()
    return {
        "cpu": _cpu(seen, cpus),
        "memory": _memory(seen, memory_bytes),
        "threads": _threads(limits, seen),
        "scratch": _scratch(limits),
        "sharedMemory": _shared_memory(limits),
        "gpu": _gpu(limits),
        "time": f"runner (a little before {limits.time_limit_seconds} s), then kubelet (activeDeadlineSeconds)",
    }


def _cpu(seen: LimitsSeen, asked: float) -> str:
    if seen.cpus is None:
        return _NOT_SEEN
    if seen.cpus > asked * _TOLERANCE:
        return f"kernel: a CPU quota of {seen.cpus:g}, which is more than was asked for"
    return f"kernel: a CPU quota of {seen.cpus:g}"


def _memory(seen: LimitsSeen, asked: int) -> str:
    if seen.memory_bytes is None:
        return _NOT_SEEN
    more = ", which is more than was asked for" if seen.memory_bytes > math.ceil(asked * _TOLERANCE) else ""
    limit = f"kernel: {seen.memory_bytes} bytes{more}"
    match seen.swap_bytes:
        case None:
            return f"{limit}; no limit on swap was seen"
        case 0:
            return f"{limit}, and no swap"
        case swap:
            return f"{limit}, and {swap} bytes of swap"


def _threads(limits: Limits, seen: LimitsSeen) -> str:
    runner = f"runner: counts, and ends the algorithm above {limits.threads}"
    if seen.pids is None:
        return f"{runner}; no limit of the kernel was seen"
    wall = f"kernel: pids.max {seen.pids}"
    return f"{runner}; {wall}, as the wall behind it" if seen.pids > limits.threads else f"{wall}; {runner}"


def _scratch(limits: Limits) -> str:
    if limits.scratch_medium == "Memory":
        return (
            f"kernel: /output and /tmp are a tmpfs of {limits.scratch} each (no space left on device); the "
            "container's own file system: runner, then kubelet (eviction)"
        )
    return f"runner: measures, and ends the algorithm above {limits.scratch}; then kubelet (eviction)"


def _shared_memory(limits: Limits) -> str:
    size = limits.shared_memory or "the size that the node's container runtime gives"
    return f"kernel: /dev/shm is a tmpfs of {size}"


def _gpu(limits: Limits) -> str:
    if limits.gpu_count == 0:
        return "none given: NVIDIA_VISIBLE_DEVICES is void"
    return f"scheduler and device plugin: {limits.gpu_count} × {limits.gpu_type}"
