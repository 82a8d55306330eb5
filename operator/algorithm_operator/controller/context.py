"""What a reconciler is given: the key to look at, and the process's parts."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

from algorithm_operator.controller.canary import Canary
from algorithm_operator.controller.cluster import ClusterView
from algorithm_operator.controller.config import Settings
from algorithm_operator.controller.metrics import Metrics
from algorithm_operator.kube.client import Client
from algorithm_operator.kube.clock import Clock
from algorithm_operator.kube.store import Store

Kind = Literal["Algorithm", "AlgorithmJob", "DataStore", "ImageImport"]


class Key(NamedTuple):
    """One object to reconcile."""

    kind: Kind
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Context:
    """The parts of the process that a reconciler works with."""

    client: Client
    store: Store
    settings: Settings
    canary: Canary
    metrics: Metrics
    clock: Clock = field(default_factory=Clock)
    cluster: ClusterView = field(init=False)
    _turns: dict[tuple[str, str], asyncio.Lock] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "cluster", ClusterView(self.client, self.clock.monotonic))

    def turn_of(self, namespace: str, algorithm: str) -> asyncio.Lock:
        """Held while one job of that Algorithm asks whether it may start."""
        return self._turns.setdefault((namespace, algorithm), asyncio.Lock())


class Reconcile(Protocol):
    """`controller/reconcile.py` has the one: brings the object of `key` one step on.

    Returns the seconds until the next look (None: only when something changes). An exception is logged with the
    key, and the key is tried again with backoff; other keys go on.
    """

    async def __call__(self, key: Key, context: Context, /) -> float | None: ...
