"""The gate alone: no policy engine, and no canary to tell closed from dead. For everybody on the cluster; so, last."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.cluster import processes
from tests.e2e.harness import OPERATOR_NAMESPACE, RESULTS, Namespace
from tests.e2e.kube import Kube

DO = [["write_json", "results.json", 1]]
CANARY = "algorithm-operator-canary"


@pytest.fixture
def no_policy_engine(operator: Kube) -> Iterator[None]:
    """kube-router stands still: policies that are made now, and Pods that start now, are unknown to it."""
    processes.pause("kube-router")
    try:
        yield
    finally:
        processes.resume("kube-router")


@pytest.fixture
def no_canary(operator: Kube) -> Iterator[None]:
    """The canary's Service leads nowhere, and the operator has noticed."""
    service = operator.get("services", CANARY, OPERATOR_NAMESPACE)
    assert service is not None
    operator.patch("services", CANARY, {"spec": {"selector": {"nobody": "here"}}}, OPERATOR_NAMESPACE)
    try:
        time.sleep(25)  # it counts as alive for 20 s after its last answer
        yield
    finally:
        restored = dict.fromkeys(("nobody",)) | service["spec"]["selector"]
        operator.patch("services", CANARY, {"spec": {"selector": restored}}, OPERATOR_NAMESPACE)


def test_without_a_policy_engine_no_algorithm_starts(namespace: Namespace, no_policy_engine: None) -> None:
    namespace.algorithm(outputs=[{**RESULTS, "storeInStatus": True}])
    job = namespace.job("unsealed", do=DO, attempts=1)

    status = job.wait("Failed", timeout=150)

    assert (status["reason"], status["blame"]) == ("NetworkNotIsolated", "infrastructure")
    assert "canary" in status["message"]
    (pod,) = job.pods()
    (algorithm,) = pod["status"]["containerStatuses"]
    assert not algorithm.get("started")
    processes.resume("kube-router")
    namespace.job("sealed", do=DO).wait("Succeeded")


def test_without_a_canary_no_pod_is_made_until_it_is_back(
    namespace: Namespace, operator: Kube, no_canary: None
) -> None:
    namespace.algorithm(outputs=[{**RESULTS, "storeInStatus": True}])
    job = namespace.job("unverified", do=DO)

    unverified = job.wait_condition("Isolated", "False", "IsolationUnverified")

    assert CANARY in unverified["message"]
    time.sleep(5)
    assert job.pods() == []
    assert job.state == "Queued"
    operator.patch(
        "services",
        CANARY,
        {"spec": {"selector": {"nobody": None, "app.kubernetes.io/name": "algorithm-operator"}}},
        OPERATOR_NAMESPACE,
    )
    job.wait("Succeeded")
