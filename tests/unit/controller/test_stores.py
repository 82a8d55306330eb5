"""DataStores against a cluster in memory: their claim, and the store Pod while somebody holds its Lease."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from algorithm_operator.core import names
from algorithm_operator.core.storepod import wanted_until
from algorithm_operator.kube.client import Client
from algorithm_operator.kube.connection import Connection
from algorithm_operator.kube.resources import DATASTORES, LEASES, NAMESPACES, NETWORK_POLICIES, PODS, PVCS
from tests.unit.controller.cluster import NAMESPACE, Cluster, Operator, cluster_at
from tests.unit.core.builders import NOW, POLICY
from tests.unit.kube.fake_api import status as answer

Body = dict[str, Any]
POD = "cases-store"


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    async with cluster_at(NOW) as made:
        sealed = {"name": NAMESPACE, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}
        made.put(NAMESPACES, {"metadata": sealed}, None)
        made.put(NETWORK_POLICIES, POLICY)
        made.put(PVCS, {"metadata": {"name": "cases"}})
        spec = {"persistentVolumeClaim": {"claimName": "cases"}, "gid": 2000}
        made.put(DATASTORES, {"metadata": {"name": "cases"}, "spec": spec})
        yield made


@pytest.fixture
async def operator(cluster: Cluster) -> AsyncIterator[Operator]:
    async with Client(Connection(server=cluster.url)) as client:
        yield Operator(cluster, client)


def lease(cluster: Cluster, seconds: int = 30) -> None:
    """Taken or renewed now."""
    labels = {names.MANAGED_BY: names.OPERATOR, names.LABEL_STORE: "cases"}
    cluster.put(
        LEASES,
        {
            "metadata": {"name": names.store_lease("cases"), "labels": labels},
            "spec": {"renewTime": cluster.clock.stamp(), "leaseDurationSeconds": seconds},
        },
    )


def ready(cluster: Cluster) -> tuple[str, str]:
    body = cluster.get(DATASTORES, "cases")
    assert body is not None
    (condition,) = body["status"]["conditions"]
    return condition["status"], condition["reason"]


def pod(cluster: Cluster) -> str | None:
    body = cluster.get(DATASTORES, "cases")
    assert body is not None
    found: str | None = body["status"].get("pod")
    return found


def settle(cluster: Cluster) -> None:
    """The kubelet lets deleted Pods go."""
    for each in cluster.pods():
        if each["metadata"].get("deletionTimestamp"):
            cluster.kubelet_is_done(each["metadata"]["name"])


async def test_a_claim_that_comes_later(cluster: Cluster, operator: Operator) -> None:
    cluster.remove(PVCS, "cases")
    await operator.run()
    assert ready(cluster) == ("False", "ClaimNotFound")
    cluster.put(PVCS, {"metadata": {"name": "cases"}})
    await operator.after(11)
    assert ready(cluster) == ("True", "Ready")
    assert cluster.pods() == []


async def test_the_pod_lives_as_long_as_its_lease(cluster: Cluster, operator: Operator) -> None:
    lease(cluster)
    await operator.run()
    assert pod(cluster) == POD
    for _ in range(3):
        await operator.after(20)
        lease(cluster)
    await operator.run()
    assert len(cluster.created) == 1
    assert not cluster.pods()[0]["metadata"].get("deletionTimestamp")
    await operator.after(32)
    settle(cluster)
    await operator.run()
    assert cluster.pods() == []
    assert pod(cluster) is None
    assert operator.errors == []


async def test_a_pod_that_failed_is_replaced(cluster: Cluster, operator: Operator) -> None:
    lease(cluster, 300)
    await operator.run()
    cluster.update(PODS, POD, lambda body: body.update(status={"phase": "Failed"}))
    await operator.run()
    settle(cluster)
    await operator.run()
    assert len(cluster.created) == 2
    assert pod(cluster) == POD


async def test_a_pod_that_is_leaving_is_not_offered(cluster: Cluster, operator: Operator) -> None:
    lease(cluster, 300)
    await operator.run()
    cluster.update(PODS, POD, lambda body: body["spec"].update(nodeName="n"))
    cluster.remove(PODS, POD)
    await operator.run()
    assert pod(cluster) is None
    settle(cluster)
    await operator.run()
    assert pod(cluster) == POD


OPENING = {
    "metadata": {"name": "open"},
    "spec": {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{}]},
}


async def test_no_pod_where_it_would_not_be_sealed(cluster: Cluster, operator: Operator) -> None:
    lease(cluster, 300)
    cluster.objects[NAMESPACES.path(None, NAMESPACE)]["metadata"]["labels"] = {}
    await operator.run()
    assert ready(cluster) == ("False", "NamespaceNotRestricted")
    cluster.objects[NAMESPACES.path(None, NAMESPACE)]["metadata"]["labels"] = {
        "pod-security.kubernetes.io/enforce": "restricted"
    }
    cluster.put(NETWORK_POLICIES, OPENING)
    await operator.after(11)
    assert ready(cluster) == ("False", "PolicyConflict")
    assert cluster.pods() == []
    cluster.remove(NETWORK_POLICIES, "open")
    await operator.run()
    assert ready(cluster) == ("True", "Ready")
    assert pod(cluster) == POD


async def test_a_pod_that_the_cluster_refuses(cluster: Cluster, operator: Operator) -> None:
    cluster.admission = lambda body: answer(422, "Invalid", "spec.nodeName: no")
    lease(cluster, 300)
    await operator.run()
    assert ready(cluster) == ("False", "AdmissionDenied")
    assert operator.errors == []
    cluster.admission = None
    await operator.after(11)
    assert ready(cluster) == ("True", "Ready")


async def test_the_name_is_somebody_elses(cluster: Cluster, operator: Operator) -> None:
    cluster.put(PODS, {"metadata": {"name": POD}, "spec": {}})
    lease(cluster, 30)
    await operator.run()
    assert ready(cluster) == ("False", "NameTaken")
    await operator.after(60)
    assert cluster.get(PODS, POD) is not None
    assert ready(cluster) == ("True", "Ready")


async def test_a_predecessors_pod_is_replaced(cluster: Cluster, operator: Operator) -> None:
    lease(cluster, 300)
    await operator.run()
    cluster.remove(DATASTORES, "cases")
    cluster.put(
        DATASTORES,
        {"metadata": {"name": "cases"}, "spec": {"persistentVolumeClaim": {"claimName": "cases"}}},
    )
    await operator.run()
    settle(cluster)
    await operator.run()
    owner = cluster.pods()[0]["metadata"]["ownerReferences"][0]["uid"]
    current = cluster.get(DATASTORES, "cases")
    assert current is not None
    assert owner == current["metadata"]["uid"]


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"renewTime": "9999-12-31T23:59:59.000000Z", "leaseDurationSeconds": 3600},
        {"renewTime": "2026-11-22T11:00:00.000000Z", "leaseDurationSeconds": 30},
        {"renewTime": "2026-11-22T11:59:59.000000Z", "leaseDurationSeconds": -5},
    ],
    ids=["empty", "a wrong clock", "over", "negative"],
)
def test_leases_that_ask_for_nothing(spec: Body) -> None:
    until = wanted_until([{"spec": spec}], NOW)
    assert until is None or until <= NOW


def test_the_latest_of_several_leases_counts_and_an_hour_is_the_most() -> None:
    renewed = "2026-11-22T12:00:00.000000Z"
    until = wanted_until(
        [{"spec": {"renewTime": renewed, "leaseDurationSeconds": seconds}} for seconds in (30, 10**9, 60)],
        NOW,
    )
    assert until is not None
    assert (until - NOW).total_seconds() == 3600
