"""A DataStore of a cluster on loopback: the real store server behind a real port-forward."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from algorithm_operator.gateway.stores import Stores
from algorithm_operator.kube.client import Client
from algorithm_operator.kube.clock import Clock
from tests.unit.kube.fake_api import FakeApi, served
from tests.unit.kube.portforwards import Cluster, PortForwards
from tests.unit.steps.storeserver import serving

NAMESPACE = "imaging"
STORES = f"/apis/algorithm-operator.dev/v1alpha1/namespaces/{NAMESPACE}/datastores"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
LEASES = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases"


class FakeClock(Clock):
    """A time that tests set."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        """The wall clock."""
        return datetime(2026, 11, 28, tzinfo=UTC) + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        """The same, as seconds."""
        return self.seconds


@dataclass
class Place:
    """A namespace with a volume, and what the gateway has of it."""

    root: Path
    api: FakeApi
    forwards: PortForwards
    clock: FakeClock
    stores: Stores

    def datastore(self, name: str, *, default: bool = False, **status: Any) -> None:
        """A DataStore."""
        ready = {"type": "Ready", "observedGeneration": 1, "lastTransitionTime": "2026-11-28T00:00:00Z"}
        self.api.objects[f"{STORES}/{name}"] = {
            "metadata": {"name": name},
            "spec": {"persistentVolumeClaim": {"claimName": name}, "default": default},
            "status": {"conditions": [{**ready, **status}]} if status else {},
        }

    def pod(self, store: str, *, ready: bool = True) -> None:
        """The store Pod of a DataStore."""
        condition = {"type": "Ready", "status": "True" if ready else "False"}
        self.api.objects[f"{PODS}/{store}-store"] = {
            "metadata": {"name": f"{store}-store"},
            "status": {"conditions": [condition], "phase": "Running"},
        }

    def lease(self, store: str) -> dict[str, Any] | None:
        """The Lease of a DataStore's store Pod."""
        return self.api.objects.get(f"{LEASES}/algorithm-operator-store-{store}")


@asynccontextmanager
async def place(root: Path) -> AsyncIterator[Place]:
    """A namespace whose DataStore `cases` is served."""
    with serving(root) as port:
        cluster = Cluster(FakeApi(), PortForwards(port))
        async with served(cluster.handle) as url:
            cluster.api.url = url
            clock = FakeClock()
            async with (
                Client(cluster.api.connection()) as client,
                Stores(client, "gateway-0", clock) as stores,
            ):
                made = Place(root, cluster.api, cluster.forwards, clock, stores)
                made.datastore("cases")
                made.pod("cases")
                yield made
