"""Who is said to hold each limit: the node only where its limit was seen."""

from __future__ import annotations

from typing import Any

import pytest

from algorithm_operator.contract.enforcement import enforced_by
from algorithm_operator.contract.exits import LimitsSeen
from algorithm_operator.contract.plan import Limits

GIB = 1024**3


def told(seen: dict[str, Any] | None = None, **limits: Any) -> dict[str, str]:
    """What is told of 2 CPUs, 1 GiB and 512 threads; `seen` is what the runner read."""
    asked = Limits.model_validate(
        {
            "cpu": "2",
            "memory": "1Gi",
            "gpuType": "T4",
            "gpuCount": 1,
            "threads": 512,
            "timeLimitSeconds": 7200,
            "collectSeconds": 600,
            **limits,
        }
    )
    read = None if seen is None else LimitsSeen.model_validate(seen)
    return enforced_by(asked, read, cpus=2.0, memory_bytes=GIB)


def test_every_limit_is_told() -> None:
    for seen in (None, {}, {"cpus": 2, "memoryBytes": GIB, "swapBytes": 0, "pids": 600}):
        found = told(seen)
        assert set(found) == {"cpu", "memory", "threads", "scratch", "sharedMemory", "gpu", "time"}
        assert all(found.values())


@pytest.mark.parametrize("seen", [None, {}], ids=["no record", "nothing in the cgroup"])
def test_what_was_not_seen_is_not_claimed(seen: dict[str, Any] | None) -> None:
    found = told(seen)
    for limit in ("cpu", "memory"):
        assert "nobody was seen to hold it" in found[limit]
        assert "kernel" not in found[limit]
    assert found["threads"] == (
        "runner: counts, and ends the algorithm above 512; no limit of the kernel was seen"
    )


@pytest.mark.parametrize(
    ("limit", "seen", "words"),
    [
        ("cpu", {"cpus": 2.0}, "kernel: a CPU quota of 2"),
        ("cpu", {"cpus": 0.5}, "kernel: a CPU quota of 0.5"),
        ("cpu", {"cpus": 3.0}, "kernel: a CPU quota of 3, which is more than was asked for"),
        ("memory", {"memoryBytes": GIB, "swapBytes": 0}, f"kernel: {GIB} bytes, and no swap"),
        ("memory", {"memoryBytes": GIB, "swapBytes": 7}, f"kernel: {GIB} bytes, and 7 bytes of swap"),
        ("memory", {"memoryBytes": GIB}, f"kernel: {GIB} bytes; no limit on swap was seen"),
        (
            "memory",
            {"memoryBytes": 2 * GIB, "swapBytes": 0},
            f"kernel: {2 * GIB} bytes, which is more than was asked for, and no swap",
        ),
        (
            "threads",
            {"pids": 600},
            "runner: counts, and ends the algorithm above 512; kernel: pids.max 600, as the wall behind it",
        ),
        ("threads", {"pids": 512}, "kernel: pids.max 512; runner: counts, and ends the algorithm above 512"),
    ],
)
def test_what_was_seen(limit: str, seen: dict[str, Any], words: str) -> None:
    assert told(seen)[limit] == words


def test_scratch_and_shared_memory() -> None:
    disk = told(scratch="64Mi")
    assert disk["scratch"] == "runner: measures, and ends the algorithm above 64Mi; then kubelet (eviction)"
    assert "no space left" not in disk["scratch"]
    memory = told(scratch="64Mi", scratchMedium="Memory", sharedMemory="256Mi")
    assert memory["scratch"].startswith("kernel: /output and /tmp are a tmpfs of 64Mi each")
    assert memory["sharedMemory"] == "kernel: /dev/shm is a tmpfs of 256Mi"
    assert "64Mi" not in disk["sharedMemory"]


def test_no_gpu() -> None:
    assert told(gpuCount=0)["gpu"] == "none given: NVIDIA_VISIBLE_DEVICES is void"
    assert told()["gpu"] == "scheduler and device plugin: 1 × T4"
