"""What a job needs to know of its namespace and of the nodes: read rarely, remembered for seconds, never watched."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from algorithm_operator.kube.client import Client
from algorithm_operator.kube.errors import Forbidden
from algorithm_operator.kube.resources import NAMESPACES, NODES

log = logging.getLogger(__name__)

NAMESPACE_SECONDS = 60.0
"""A namespace in order is believed that long; one that is not is looked at anew after a moment."""
NAMESPACE_BAD_SECONDS = 3.0
NODES_SECONDS = 15.0
ENFORCE = "pod-security.kubernetes.io/enforce"


@dataclass(frozen=True, slots=True)
class NamespaceFacts:
    """Whether the namespace enforces the restricted Pod Security Standard, and whether it is being deleted."""

    restricted: bool = False
    terminating: bool = False


class ClusterView:
    """A short memory of namespaces and nodes."""

    def __init__(self, client: Client, monotonic: Callable[[], float]) -> None:
        self._client = client
        self._monotonic = monotonic
        self._namespaces: dict[str, tuple[float, NamespaceFacts]] = {}
        self._nodes: tuple[float, list[dict[str, Any]] | None] | None = None
        self._refused: dict[str, float] = {}

    async def namespace(self, name: str) -> NamespaceFacts:
        """The facts of a namespace; one that is gone counts as terminating."""
        now = self._monotonic()
        if (known := self._namespaces.get(name)) is not None and now < known[0]:
            return known[1]
        body = await self._client.get(NAMESPACES, None, name)
        if body is None:
            facts = NamespaceFacts(terminating=True)
        else:
            labels = body["metadata"].get("labels") or {}
            terminating = bool(body["metadata"].get("deletionTimestamp"))
            facts = NamespaceFacts(restricted=labels.get(ENFORCE) == "restricted", terminating=terminating)
        good = facts.restricted and not facts.terminating
        self._namespaces[name] = (now + (NAMESPACE_SECONDS if good else NAMESPACE_BAD_SECONDS), facts)
        return facts

    def forget(self, name: str) -> None:
        """Look anew at the next question: the cluster has refused something there."""
        self._namespaces.pop(name, None)

    def hold_off(self, uid: str, seconds: float) -> None:
        """The cluster refused what the object asked for: not again before that."""
        now = self._monotonic()
        self._refused = {known: end for known, end in self._refused.items() if end > now}
        self._refused[uid] = now + seconds

    def held_off(self, uid: str) -> float:
        """Seconds until the object may ask again; 0 if it may now."""
        return max(0.0, self._refused.get(uid, 0.0) - self._monotonic())

    async def nodes(self) -> list[dict[str, Any]] | None:
        """All nodes; None where the operator may not list them (an installation with Roles alone)."""
        now = self._monotonic()
        if self._nodes is not None and now < self._nodes[0]:
            return self._nodes[1]
        found: list[dict[str, Any]] | None
        try:
            found, _ = await self._client.list(NODES)
        except Forbidden:
            log.info("nodes may not be listed: what a job waits for is told in the scheduler's words")
            found = None
        self._nodes = (now + NODES_SECONDS, found)
        return found
