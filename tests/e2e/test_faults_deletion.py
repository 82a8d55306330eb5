"""What a job belongs to is deleted while it runs: nothing of ours is left, and nothing hangs."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import MakeNamespace
from tests.e2e.faults import LARGE_IMAGE, wait_phase
from tests.e2e.harness import Namespace, Store, eventually

pytestmark = pytest.mark.faults

SECONDS = 60
DEAF = [["ignore_sigterm_and_sleep", 300]]
OURS = "app.kubernetes.io/managed-by=algorithm-operator"


def test_a_job_deleted_while_running_leaves_nothing(namespace: Namespace, store: Store) -> None:
    """Its algorithm does not listen to SIGTERM. Another job of the same name then runs."""
    namespace.algorithm()
    job = namespace.job("case", do=DEAF)
    job.running()

    job.delete()

    kube = namespace.kube
    gone = f"no Pod of {job.name} is left"
    eventually(lambda: not kube.list("pods", namespace.name, OURS), SECONDS, gone)
    assert kube.get("algorithmjobs", job.name, namespace.name) is None
    kept = store.files(job)
    assert "manifest.json" not in kept
    assert "results.json" not in kept
    again = namespace.job("case", do=[["write_json", "results.json", {}]])
    again.wait("Succeeded")
    assert again.uid != job.uid


def test_a_namespace_deleted_while_jobs_run_goes(make_namespace: MakeNamespace) -> None:
    """One job runs, one is collected, one has no node, one waits for its Algorithm.

    Kubernetes looks again at a namespace after half of the grace of its Pods, which is collectSeconds + 30.
    """
    doomed = make_namespace("doomed")
    doomed.store()
    doomed.algorithm(collectSeconds=5)
    doomed.algorithm("large", outputs=[{"slug": "volume", "kind": "Image"}], collectSeconds=20)
    doomed.algorithm("nowhere", collectSeconds=5, resources={"cpu": "50m", "gpu": {"type": "Nowhere"}})
    running = doomed.job("running", do=DEAF)
    doomed.job("no-node", algorithm="nowhere", do=[])
    doomed.job("no-algorithm", algorithm="missing", do=[])
    collecting = doomed.job("collecting", algorithm="large", do=LARGE_IMAGE)
    wait_phase(running, "run")
    wait_phase(collecting, "collect")

    doomed.delete()

    kube = doomed.kube
    eventually(lambda: not kube.list("pods", doomed.name, OURS), SECONDS / 2, "no Pod of ours is left")
    eventually(lambda: kube.get("namespaces", doomed.name) is None, SECONDS, f"{doomed.name} is gone")
