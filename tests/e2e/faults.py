"""Breaking things on purpose: where a run Pod is, killing the operator, taking it away and bringing it back."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scripts.install_operator import RELEASE
from tests.e2e import audit
from tests.e2e.harness import OPERATOR_LABELS, OPERATOR_NAMESPACE, Job, eventually, operator_pod
from tests.e2e.kube import Kube, Object

LARGE = [1024, 1024, 1024]
"""An image of 1 GiB: collecting it takes long enough to be disturbed."""
LARGE_IMAGE: list[list[Any]] = [["write_zeros_mha", "images/volume/zeros.mha", LARGE]]


def phase(job: Job, attempt: int = 1) -> str:
    """Which container of the attempt's Pod is at work, by the kubelet's word: stage, run, collect, or ""."""
    pod = job.pod(attempt) or {}
    status = pod.get("status") or {}
    all_ = [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]
    state = {each["name"]: next(iter(each.get("state") or {}), "") for each in all_}
    if state.get("stage") == "running":
        return "stage"
    if state.get("algorithm") == "running":
        return "run"
    return "collect" if state.get("algorithm") == "terminated" and state.get("collect") == "running" else ""


def wait_phase(job: Job, wanted: str, timeout: float = 60) -> None:
    """Wait until that container of the first attempt is at work."""
    eventually(lambda: phase(job) == wanted, timeout, f"job {job.name} is in {wanted}", every=0.05)


def kill_operator(kube: Kube) -> None:
    """SIGKILL to the operator's process."""
    kill_container(operator_pod(kube), "operator")


def kill_container(pod: Object, name: str) -> None:
    """SIGKILL to a container's processes, by their pids on this machine, as the machine's own OOM killer would."""
    status = pod["status"]
    all_ = [*(status.get("initContainerStatuses") or []), *status["containerStatuses"]]
    wanted = next(each["containerID"] for each in all_ if each["name"] == name).rpartition("/")[2]
    found = [
        int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit() and _is_in(entry, wanted)
    ]
    assert found, f"no process of container {name}"
    for pid in found:
        os.kill(pid, signal.SIGKILL)


def _is_in(process: Path, container: str) -> bool:
    try:
        return container in (process / "cgroup").read_text()
    except OSError:  # it has ended
        return False


@contextmanager
def no_operator(kube: Kube) -> Iterator[None]:
    """Scaled to nothing, and its Pod gone; back again at the end."""
    scale = {"spec": {"replicas": 0}}
    kube.patch("deployments", RELEASE, scale, OPERATOR_NAMESPACE)
    try:
        eventually(
            lambda: not kube.list("pods", OPERATOR_NAMESPACE, OPERATOR_LABELS), 60, "the operator is gone"
        )
        yield
    finally:
        kube.patch("deployments", RELEASE, {"spec": {"replicas": 1}}, OPERATOR_NAMESPACE)


def operator_ready(kube: Kube) -> Object:
    """The operator's Pod once it is Ready."""

    def look() -> Object | None:
        pod = operator_pod(kube)
        ready = any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"]["conditions"])
        return pod if ready else None

    return eventually(look, 90, "the operator is ready")


def pods_created(offset: int, namespace: str) -> Counter[str]:
    """How often each Pod of a namespace was created since `audit.mark()`, by its name."""
    return Counter(
        r.name
        for r in audit.since(offset)
        if (r.verb, r.what, r.code, r.namespace) == ("create", "pods", 201, namespace)
    )
