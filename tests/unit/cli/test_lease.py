"""The wish for a store Pod, and what is said when it does not come."""

from datetime import UTC, datetime
from typing import Any

import pytest

from algorithm_operator.cli import lease
from algorithm_operator.cli.connection import Kind
from algorithm_operator.cli.errors import CliError
from algorithm_operator.core.storepod import wanted_until
from tests.unit.cli.conftest import MemoryCluster
from tests.unit.cli.test_explain import condition

STORE: dict[str, Any] = {"metadata": {"name": "cases"}, "spec": {}}


def store(**ready: str) -> dict[str, Any]:
    return {**STORE, "status": {"conditions": [condition("Ready", **ready)]}}


def test_lease_is_what_the_operator_looks_for(cluster: MemoryCluster) -> None:
    lease.renew(cluster, "cases")  # type: ignore[arg-type]
    body = cluster.objects[Kind.LEASES, "algorithm-operator-store-cases"]
    assert body["metadata"]["labels"] == {
        "app.kubernetes.io/managed-by": "algorithm-operator",
        "algorithm-operator.dev/store": "cases",
    }
    until = wanted_until([body], datetime.now(UTC))
    assert until is not None
    assert 50 < (until - datetime.now(UTC)).total_seconds() <= 60


def test_renewing_keeps_the_lease(cluster: MemoryCluster) -> None:
    lease.renew(cluster, "cases")  # type: ignore[arg-type]
    before = cluster.get(Kind.LEASES, "algorithm-operator-store-cases")
    lease.renew(cluster, "cases")  # type: ignore[arg-type]
    after = cluster.get(Kind.LEASES, "algorithm-operator-store-cases")
    assert before is not None
    assert after is not None
    assert after["metadata"] == before["metadata"]
    assert after["spec"]["renewTime"] > before["spec"]["renewTime"]


def test_unknown_store_names_those_that_there_are(cluster: MemoryCluster) -> None:
    cluster.objects[Kind.STORES, "cases"] = STORE
    with (
        pytest.raises(CliError, match=r'no DataStore "case" in namespace imaging \(there are: cases\)'),
        lease.open_store(cluster, "case", lambda text: None),  # type: ignore[arg-type]
    ):
        pass
    assert (Kind.LEASES, "algorithm-operator-store-case") not in cluster.objects


def test_a_pod_that_does_not_come_is_explained(
    cluster: MemoryCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.objects[Kind.STORES, "cases"] = store(status="False", reason="ClaimNotFound", message="no claim")
    monkeypatch.setattr(lease, "READY_SECONDS", 0)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with (
        pytest.raises(CliError, match='store Pod of DataStore "cases" is not ready after 0 s: no claim'),
        lease.open_store(cluster, "cases", lambda text: None),  # type: ignore[arg-type]
    ):
        pass
