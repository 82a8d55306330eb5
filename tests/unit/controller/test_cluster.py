"""What is remembered of namespaces and nodes, and for how long."""

from __future__ import annotations

from typing import Any

import pytest

from algorithm_operator.controller.cluster import (
    NAMESPACE_BAD_SECONDS,
    NAMESPACE_SECONDS,
    NODES_SECONDS,
    ClusterView,
)
from algorithm_operator.kube.client import Client
from algorithm_operator.kube.connection import Connection
from algorithm_operator.kube.errors import Forbidden

RESTRICTED = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}


class Api(Client):
    """Answers from memory, and counts."""

    def __init__(self) -> None:
        super().__init__(Connection(server="http://127.0.0.1:1"))
        self.namespace: dict[str, Any] | None = RESTRICTED
        self.nodes: list[dict[str, Any]] | None = []
        self.asked = 0

    async def get(self, *_: Any) -> dict[str, Any] | None:
        self.asked += 1
        return self.namespace

    async def list(self, *_: Any, **__: Any) -> tuple[list[dict[str, Any]], str]:
        self.asked += 1
        if self.nodes is None:
            raise Forbidden(403, "Forbidden", "nodes is forbidden")
        return self.nodes, "1"


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def time() -> list[float]:
    return [0.0]


@pytest.fixture
def view(api: Api, time: list[float]) -> ClusterView:
    return ClusterView(api, lambda: time[0])


async def test_a_namespace_in_order_is_believed_for_a_minute(
    view: ClusterView, api: Api, time: list[float]
) -> None:
    assert (await view.namespace("a")).restricted
    api.namespace = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "baseline"}}}
    time[0] = NAMESPACE_SECONDS - 1
    assert (await view.namespace("a")).restricted
    time[0] = NAMESPACE_SECONDS
    assert not (await view.namespace("a")).restricted
    assert api.asked == 2


async def test_one_that_is_not_is_looked_at_anew_soon_and_after_a_refusal(
    view: ClusterView, api: Api, time: list[float]
) -> None:
    api.namespace = {"metadata": {}}
    assert not (await view.namespace("a")).restricted
    api.namespace = RESTRICTED
    time[0] = NAMESPACE_BAD_SECONDS
    assert (await view.namespace("a")).restricted
    api.namespace = {"metadata": {**RESTRICTED["metadata"], "deletionTimestamp": "2026-11-22T12:00:00Z"}}
    view.forget("a")
    assert (await view.namespace("a")).terminating


async def test_a_namespace_that_is_gone_counts_as_going(view: ClusterView, api: Api) -> None:
    api.namespace = None
    assert (await view.namespace("a")).terminating


async def test_nodes_are_listed_now_and_then_and_may_be_forbidden(
    view: ClusterView, api: Api, time: list[float]
) -> None:
    assert await view.nodes() == []
    api.nodes = None
    assert await view.nodes() == []
    time[0] = NODES_SECONDS
    assert await view.nodes() is None
    assert await view.nodes() is None
    assert api.asked == 2
