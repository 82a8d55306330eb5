"""The policy that seals jobs comes back where jobs or store Pods are, if the operator may."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from algorithm_operator.controller.config import load
from algorithm_operator.core import names, policies
from algorithm_operator.kube.client import Client
from algorithm_operator.kube.connection import Connection
from algorithm_operator.kube.resources import (
    ALGORITHM_JOBS,
    ALGORITHMS,
    DATASTORES,
    LEASES,
    NAMESPACES,
    NETWORK_POLICIES,
    PVCS,
)
from tests.unit.controller.cluster import ENVIRONMENT, NAMESPACE, Cluster, Operator, cluster_at
from tests.unit.core.builders import ALGORITHM, JOB, NOW
from tests.unit.kube.fake_api import status as answer

OPEN = {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{}]}
DENY_ALL = names.DENY_ALL_POLICY


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    """A restricted namespace with a DataStore and a job, and without any policy."""
    async with cluster_at(NOW) as made:
        sealed = {"name": NAMESPACE, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}
        made.put(NAMESPACES, {"metadata": sealed}, None)
        made.put(ALGORITHMS, {**ALGORITHM, "metadata": {"name": "brain-tissue"}})
        made.update(ALGORITHMS, "brain-tissue", lambda a: a["status"].update(observedGeneration=1))
        for name in ("cases", "results"):
            made.put(PVCS, {"metadata": {"name": name}})
            spec = {"persistentVolumeClaim": {"claimName": name}}
            made.put(DATASTORES, {"metadata": {"name": name}, "spec": spec})
        yield made


async def operator_of(cluster: Cluster, client: Client, **environment: str) -> Operator:
    return Operator(cluster, client, load({**ENVIRONMENT, **environment}))


@pytest.fixture
async def client(cluster: Cluster) -> AsyncIterator[Client]:
    async with Client(Connection(server=cluster.url)) as client:
        yield client


def write_job(cluster: Cluster) -> None:
    cluster.put(ALGORITHM_JOBS, {"metadata": {"name": "case-001"}, "spec": JOB["spec"]})


def there(cluster: Cluster) -> Any:
    found = cluster.get(NETWORK_POLICIES, DENY_ALL)
    return found and found["spec"]


def waits_for(cluster: Cluster) -> str | None:
    body = cluster.get(ALGORITHM_JOBS, "case-001")
    assert body is not None
    reason: str | None = (body.get("status") or {}).get("reason")
    return reason


async def test_where_a_job_is_the_policy_is_made_before_its_pod(cluster: Cluster, client: Client) -> None:
    write_job(cluster)
    await (await operator_of(cluster, client)).run()
    wanted = policies.deny_all(NAMESPACE)["spec"]
    assert there(cluster) == {**wanted, "ingress": [], "egress": []}
    writes = [path for method, path in cluster.writes() if not path.endswith("/status")]
    policy_first = [NETWORK_POLICIES.path(NAMESPACE, DENY_ALL), f"/api/v1/namespaces/{NAMESPACE}/pods"]
    assert writes == policy_first


async def test_nothing_is_written_where_nothing_runs_or_another_policy_closes(
    cluster: Cluster, client: Client
) -> None:
    operator = await operator_of(cluster, client)
    await operator.run()
    assert there(cluster) is None
    closing = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    cluster.put(NETWORK_POLICIES, {"metadata": {"name": "closed"}, "spec": closing})
    write_job(cluster)
    await operator.run()
    assert there(cluster) is None
    assert len(cluster.pods("run")) == 1


async def test_it_comes_back_under_a_running_pod_whether_deleted_or_changed(
    cluster: Cluster, client: Client
) -> None:
    write_job(cluster)
    operator = await operator_of(cluster, client)
    await operator.run()
    cluster.remove(NETWORK_POLICIES, DENY_ALL)
    await operator.run()
    assert there(cluster) is not None
    cluster.update(NETWORK_POLICIES, DENY_ALL, lambda body: body.update(spec=dict(OPEN)))
    await operator.run()
    assert policies.closes({"spec": there(cluster)}, names.labels(names.ROLE_RUN, "case-001", 1))


async def test_without_the_right_the_job_waits_and_the_cluster_is_not_pestered(
    cluster: Cluster, client: Client
) -> None:
    cluster.admission = lambda body: (
        answer(403, "Forbidden", "no") if body["kind"] == "NetworkPolicy" else None
    )
    write_job(cluster)
    operator = await operator_of(cluster, client)
    await operator.after(9)
    assert waits_for(cluster) == "PolicyMissing"
    tries = [path for _, path in cluster.writes() if path.endswith(DENY_ALL)]
    assert len(tries) == 1
    assert operator.errors == []
    cluster.admission = None
    await operator.after(11)
    assert len(cluster.pods("run")) == 1


async def test_off(cluster: Cluster, client: Client) -> None:
    write_job(cluster)
    await (await operator_of(cluster, client, AO_ISOLATION_MANAGE_POLICY="false")).run()
    assert there(cluster) is None
    assert waits_for(cluster) == "PolicyMissing"


async def test_a_store_pod_is_sealed_as_well(cluster: Cluster, client: Client) -> None:
    labels = {names.MANAGED_BY: names.OPERATOR, names.LABEL_STORE: "cases"}
    spec = {"renewTime": cluster.clock.stamp(), "leaseDurationSeconds": 300}
    cluster.put(LEASES, {"metadata": {"name": names.store_lease("cases"), "labels": labels}, "spec": spec})
    operator = await operator_of(cluster, client)
    await operator.run()
    assert there(cluster) is not None
    assert len(cluster.pods("store")) == 1
    cluster.remove(NETWORK_POLICIES, DENY_ALL)
    await operator.run()
    assert there(cluster) is not None
