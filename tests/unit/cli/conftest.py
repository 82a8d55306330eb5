"""A real store server on loopback, and a cluster in memory."""

import http.client
import threading
from collections.abc import Iterator
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from algorithm_operator.api.base import API_VERSION
from algorithm_operator.cli import transfer
from algorithm_operator.cli.connection import AlreadyExistsError, Kind, Object
from algorithm_operator.cli.store import StoreClient
from algorithm_operator.steps.store import make_server


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    root = tmp_path / "volume"
    root.mkdir()
    return root


@pytest.fixture
def store(volume: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StoreClient]:
    """A client of the server that runs in store Pods."""
    monkeypatch.setattr(transfer, "_pause", lambda lost: None)
    server = make_server(str(volume), port=0)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    client = StoreClient(
        "cases", lambda: http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=10)
    )
    yield client
    client.close()
    server.shutdown()
    server.server_close()
    thread.join()


class MemoryCluster:
    """As much of an API server as the commands ask for."""

    def __init__(self) -> None:
        self.namespace = "imaging"
        self.objects: dict[tuple[str, str], Object] = {}
        self.pods: dict[str, Object] = {}
        self.creations = 0

    def now(self) -> datetime:
        return datetime.now(UTC)

    def get(self, kind: Kind, name: str) -> Object | None:
        return deepcopy(self.objects.get((kind, name)))

    def list(self, kind: Kind) -> list[Object]:
        return [deepcopy(body) for (of, _), body in self.objects.items() if of == kind]

    def create(self, kind: Kind, body: Object) -> Object:
        key = (kind, body["metadata"]["name"])
        if key in self.objects:
            raise AlreadyExistsError("already exists")
        self.creations += 1
        body = deepcopy(body)
        body["metadata"] |= {"uid": f"uid-{self.creations}", "creationTimestamp": "2026-11-22T20:00:00Z"}
        self.objects[key] = body
        return deepcopy(body)

    def patch(self, kind: Kind, name: str, patch: Object) -> Object | None:
        if (kind, name) not in self.objects:
            return None
        self.objects[kind, name]["spec"] |= patch["spec"]
        return self.get(kind, name)

    def pod(self, name: str) -> Object | None:
        return self.pods.get(name)

    def finish(self, name: str, **status: Any) -> None:
        """The operator's part: how the job ended."""
        self.objects[Kind.JOBS, name]["status"] = status


@pytest.fixture
def cluster() -> MemoryCluster:
    return MemoryCluster()


def algorithm(*inputs: tuple[str, str]) -> Object:
    """An Algorithm `brain` with these inputs (slug, kind)."""
    sockets = [{"slug": slug, "kind": kind} for slug, kind in inputs]
    interface = {"name": "default", "inputs": sockets, "outputs": [{"slug": "results", "kind": "Anything"}]}
    return {
        "apiVersion": API_VERSION,
        "kind": "Algorithm",
        "metadata": {"name": "brain"},
        "spec": {"image": {"reference": "registry.example.org/brain:1"}, "interfaces": [interface]},
    }
