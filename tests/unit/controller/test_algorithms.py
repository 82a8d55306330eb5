"""Algorithms against a cluster in memory and a registry that the test stands in for."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator
from typing import Any

import pytest

from algorithm_operator.contract.fetching import Outcome
from algorithm_operator.controller.context import Key
from algorithm_operator.core.registry import RegistryError
from algorithm_operator.kube.client import Client
from algorithm_operator.kube.connection import Connection
from algorithm_operator.kube.resources import ALGORITHMS
from tests.unit.controller.cluster import Cluster, Operator, cluster_at
from tests.unit.controller.registry import Registry
from tests.unit.core.builders import ALGORITHM, NOW

Body = dict[str, Any]
DOWN = RegistryError(Outcome.UNREACHABLE, "down")


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    return Registry.installed(monkeypatch)


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    async with cluster_at(NOW) as made:
        yield made


@pytest.fixture
async def operator(cluster: Cluster, registry: Registry) -> AsyncIterator[Operator]:
    async with Client(Connection(server=cluster.url)) as client:
        yield Operator(cluster, client)


def write(
    cluster: Cluster, name: str = "a", *, reference: str = "r.example/a:1", kind: str = "Float"
) -> None:
    spec = copy.deepcopy(ALGORITHM["spec"])
    spec["image"]["reference"] = reference
    spec["interfaces"][0]["inputs"][1]["kind"] = kind
    known = cluster.get(ALGORITHMS, name)
    cluster.put(
        ALGORITHMS,
        {"metadata": {"name": name}, "spec": spec, **({"status": known["status"]} if known else {})},
    )


def status(cluster: Cluster, name: str = "a") -> Body:
    body = cluster.get(ALGORITHMS, name)
    assert body is not None
    found: Body = body["status"]
    return found


def ready(cluster: Cluster, name: str = "a") -> tuple[str, str]:
    condition = next(c for c in status(cluster, name)["conditions"] if c["type"] == "Ready")
    return condition["status"], condition["reason"]


def stalled(cluster: Cluster, name: str = "a") -> bool:
    return any(c["type"] == "Stalled" for c in status(cluster, name)["conditions"])


async def test_an_image_is_resolved_once(cluster: Cluster, operator: Operator, registry: Registry) -> None:
    write(cluster)
    await operator.run()
    assert ready(cluster) == ("True", "Ready")
    assert status(cluster)["image"]["digest"] == registry.digest
    written = len(cluster.writes())
    registry.config["Labels"] = {"version": "2"}  # the tag moves
    registry.error = DOWN
    await operator.after(1000)
    operator.due[Key("Algorithm", "imaging", "a")] = cluster.clock.now()
    await operator.run()
    assert ready(cluster) == ("True", "Ready")
    assert (registry.asked, len(cluster.writes())) == (2, written)


async def test_another_reference_is_resolved_anew(
    cluster: Cluster, operator: Operator, registry: Registry
) -> None:
    write(cluster)
    await operator.run()
    registry.config["Labels"] = {"version": "2"}
    write(cluster, reference="r.example/a:2")
    await operator.run()
    assert status(cluster)["image"]["digest"] == registry.digest
    assert status(cluster)["observedGeneration"] == 2


@pytest.mark.parametrize(
    ("error", "reason", "stuck"),
    [
        (DOWN, "RegistryUnreachable", False),
        (RegistryError(Outcome.NOT_FOUND, "none"), "ImageNotFound", True),
        (RegistryError(Outcome.UNAUTHORIZED, "no"), "ImageUnauthorized", True),
    ],
    ids=["registry down", "pushed later", "made public later"],
)
async def test_an_image_that_is_not_there_yet(
    cluster: Cluster, operator: Operator, registry: Registry, error: RegistryError, reason: str, stuck: bool
) -> None:
    registry.error = error
    write(cluster)
    await operator.run()
    assert ready(cluster) == ("False", reason)
    assert stalled(cluster) is stuck
    written = len(cluster.writes())
    await operator.after(900)
    assert len(cluster.writes()) == written, "no news is not written"
    assert 8 < registry.asked < 30, "asked often at first, then seldom"
    registry.error = None
    await operator.after(301)
    assert ready(cluster) == ("True", "Ready")
    assert not stalled(cluster)


async def test_the_elder_keeps_its_socket_and_the_younger_follows_when_it_goes(
    cluster: Cluster, operator: Operator
) -> None:
    write(cluster, "z")
    cluster.clock.time = cluster.clock.time.replace(minute=1)
    write(cluster, "a", kind="String")
    await operator.run()
    assert ready(cluster, "z") == ("True", "Ready")
    assert ready(cluster, "a") == ("False", "SocketConflict")
    cluster.remove(ALGORITHMS, "z")
    await operator.run()
    assert ready(cluster, "a") == ("True", "Ready")


async def test_the_tag_of_a_refused_image_is_looked_up_now_and_then(
    cluster: Cluster, operator: Operator, registry: Registry
) -> None:
    registry.config["User"] = "root"
    write(cluster)
    await operator.run()
    assert ready(cluster) == ("False", "ImageRunsAsRoot")
    refused = status(cluster)["image"]["digest"]
    await operator.after(600)
    assert 2 * 4 < registry.asked < 2 * 20
    registry.config["User"] = "1000:1000"
    await operator.after(301)
    assert ready(cluster) == ("True", "Ready")
    assert status(cluster)["image"]["digest"] != refused
    assert operator.errors == []


async def test_a_refused_digest_is_not_looked_up_again(
    cluster: Cluster, operator: Operator, registry: Registry
) -> None:
    registry.config["User"] = "root"
    write(cluster, reference=f"r.example/a@{registry.digest}")
    await operator.run()
    assert ready(cluster) == ("False", "ImageRunsAsRoot")
    await operator.after(900)
    assert registry.asked == 2
