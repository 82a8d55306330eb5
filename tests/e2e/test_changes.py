"""What may not be changed, and that applying the same thing twice changes nothing."""

from __future__ import annotations

import pytest

from tests.e2e.harness import RESULTS, SCRIPT, ApiError, Job, Namespace, Object
from tests.e2e.kube import eventually

SPEC: Object = {
    "algorithmRef": {"name": "probe"},
    "inputs": [{"slug": "script", "value": {"do": [["exit", 3]]}}],
}


@pytest.fixture(scope="module")
def failed(module_namespace: Namespace) -> Job:
    """A job that was applied, as from a file, and has ended."""
    namespace = module_namespace
    namespace.algorithm(outputs=[{**RESULTS, "storeInStatus": True}])
    body = {"kind": "AlgorithmJob", "metadata": {"name": "case"}, "spec": SPEC}
    made = namespace.kube.apply("algorithmjobs", body, namespace.name)
    job = Job(namespace.kube, namespace.name, "case", made["metadata"]["uid"])
    job.wait("Failed")
    # Its Pod is released after the last write of status.
    eventually(lambda: "finalizers" not in job.pods()[0]["metadata"], 10, "the Pod is released")
    return job


@pytest.mark.parametrize(
    "change",
    [
        {"inputs": [{"slug": "script", "value": {"do": []}}]},
        {"algorithmRef": {"name": "other"}},
        {"timeLimitSeconds": 60},
        {"attempts": 1},
    ],
)
def test_an_edited_spec_is_refused_with_what_to_do_instead(failed: Job, change: Object) -> None:
    (field,) = change

    with pytest.raises(ApiError) as refused:
        failed.patch(change)

    assert refused.value.code == 422
    assert f"{field} cannot be changed" in refused.value.message
    assert "Apply it under a new name to run it anew" in refused.value.message


def test_applying_twice_is_no_change(failed: Job) -> None:
    kube, before = failed.kube, failed.body
    algorithm = kube.get("algorithms", "probe", failed.namespace)
    assert algorithm is not None

    body = {"kind": "AlgorithmJob", "metadata": {"name": "case"}, "spec": SPEC}
    again = kube.apply("algorithmjobs", body, failed.namespace)
    (interface,) = algorithm["spec"]["interfaces"]
    spec = {**algorithm["spec"], "interfaces": [{**interface, "inputs": [SCRIPT]}]}
    written = {"kind": "Algorithm", "metadata": {"name": "probe"}, "spec": spec}
    first = kube.apply("algorithms", written, failed.namespace)
    second = kube.apply("algorithms", written, failed.namespace)

    assert again["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
    assert again["metadata"]["generation"] == 1
    assert second["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    assert [pod["metadata"]["name"] for pod in failed.pods()] == ["case-1-run"]


@pytest.mark.parametrize(
    "status",
    [None, {"state": "Succeeded"}, {"state": "Running"}, {"reason": "Other"}, {"exitCode": 0}],
)
def test_a_terminal_status_cannot_be_rewritten(failed: Job, status: Object | None) -> None:
    before = failed.status

    with pytest.raises(ApiError) as refused:
        failed.kube.patch("algorithmjobs", failed.name, {"status": status}, failed.namespace, "status")

    assert refused.value.code == 422
    assert "terminal" in refused.value.message or "ended" in refused.value.message
    assert failed.status == before
