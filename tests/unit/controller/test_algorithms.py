"""Algorithms against a cluster in memory and a registry that the test stands in for."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator
from typing import Any

import pytest

from algorithm_operator.api.algorithm import ResolvedImage
from algorithm_operator.api.reasons import Reason
from algorithm_operator.controller import algorithms
from algorithm_operator.controller.context import Key
from algorithm_operator.kube.client import Client
from algorithm_operator.kube.connection import Connection
from algorithm_operator.kube.registry import ImageError
from algorithm_operator.kube.resources import ALGORITHMS
from tests.unit.controller.cluster import Cluster, Operator, cluster_at
from tests.unit.core.builders import ALGORITHM, NOW

Body = dict[str, Any]


class Registry:
    """Tags by reference; an error instead where there is one."""

    def __init__(self) -> None:
        self.error: ImageError | None = None
        self.digest = "sha256:" + "1" * 64
        self.image: Body = {"user": "1000", "uid": 1000, "gid": 1000, "cmd": ["run"]}
        self.asked = 0

    async def resolve(self, reference: str, insecure: object) -> ResolvedImage:
        self.asked += 1
        if self.error is not None:
            raise self.error
        return ResolvedImage(reference=reference, digest=self.digest, **self.image)


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    made = Registry()
    monkeypatch.setattr(algorithms, "resolve", made.resolve)
    return made


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
    registry.digest = "sha256:" + "2" * 64  # the tag moves
    registry.error = ImageError(Reason.REGISTRY_UNREACHABLE, image="a", why="down")
    await operator.after(1000)
    operator.due[Key("Algorithm", "imaging", "a")] = cluster.clock.now()
    await operator.run()
    assert ready(cluster) == ("True", "Ready")
    assert (registry.asked, len(cluster.writes())) == (1, written)


async def test_another_reference_is_resolved_anew(
    cluster: Cluster, operator: Operator, registry: Registry
) -> None:
    write(cluster)
    await operator.run()
    registry.digest = "sha256:" + "2" * 64
    write(cluster, reference="r.example/a:2")
    await operator.run()
    assert status(cluster)["image"]["digest"] == registry.digest
    assert status(cluster)["observedGeneration"] == 2


@pytest.mark.parametrize(
    ("error", "seconds", "stuck"),
    [
        (ImageError(Reason.REGISTRY_UNREACHABLE, image="a", why="down"), 16, False),
        (ImageError(Reason.IMAGE_NOT_FOUND, image="a"), 61, True),
    ],
    ids=["registry down", "pushed later"],
)
async def test_an_image_that_is_not_there_yet(
    cluster: Cluster, operator: Operator, registry: Registry, error: ImageError, seconds: int, stuck: bool
) -> None:
    registry.error = error
    write(cluster)
    await operator.run()
    assert ready(cluster) == ("False", str(error.reason))
    assert stalled(cluster) is stuck
    written = len(cluster.writes())
    await operator.after(seconds)
    assert len(cluster.writes()) == written, "no news is not written"
    registry.error = None
    await operator.after(seconds)
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


async def test_a_refused_image_is_not_looked_up_again_and_again(
    cluster: Cluster, operator: Operator, registry: Registry
) -> None:
    registry.image = {"user": "root", "cmd": ["run"]}
    write(cluster)
    await operator.run()
    assert ready(cluster) == ("False", "ImageRunsAsRoot")
    await operator.after(600)
    assert registry.asked == 1
    assert operator.errors == []
