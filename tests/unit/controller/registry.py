"""A registry that a test stands in for: the operator's own look-ups, and a kubelet that runs the Pods of others."""

from __future__ import annotations

import json
from typing import Any

import pytest

from algorithm_operator.contract import frames
from algorithm_operator.contract.fetching import ORDER_VARIABLE, FetchReport, Order, Outcome
from algorithm_operator.controller import images
from algorithm_operator.core import names
from algorithm_operator.core.registry import RegistryError, digest_of
from algorithm_operator.kube.resources import PODS
from tests.unit.controller.cluster import Cluster

Body = dict[str, Any]


class Registry:
    """One image under every tag, as `config` says; an error instead where there is one. `index`: behind an index."""

    def __init__(self) -> None:
        self.error: RegistryError | None = None
        self.config: Body = {"User": "1000:1000", "Cmd": ["run"]}
        self.index = False
        self.asked = 0
        self.orders: list[Order] = []
        self.missing: list[str] = []

    @classmethod
    def installed(cls, monkeypatch: pytest.MonkeyPatch) -> Registry:
        """One that the operator's own look-ups come to."""
        made = cls()

        async def fetch(order: Order) -> bytes:
            return made.fetch(order)

        monkeypatch.setattr(images, "fetch_anonymously", fetch)
        return made

    @property
    def manifest(self) -> bytes:
        layers = [{"digest": "sha256:1", "size": 10}]
        return json.dumps({"config": {"digest": digest_of(self.blob)}, "layers": layers}).encode()

    @property
    def blob(self) -> bytes:
        return json.dumps({"os": "linux", "architecture": "amd64", "config": self.config}).encode()

    @property
    def digest(self) -> str:
        return digest_of(self.manifest)

    def fetch(self, order: Order) -> bytes:
        self.asked += 1
        self.orders.append(order)
        if self.error is not None:
            raise self.error
        platform = {"os": "linux", "architecture": "amd64"}
        index = json.dumps({"manifests": [{"digest": self.digest, "platform": platform}]}).encode()
        known = {digest_of(each): each for each in (index, self.manifest, self.blob)}
        return known.get(order.version, index if self.index else self.manifest)

    def run_pods(self, cluster: Cluster) -> int:
        """Let every inspect Pod that has not ended do its work; how many there were."""
        done = 0
        for pod in cluster.pods():
            (container,) = pod["spec"]["containers"]
            if container["name"] != names.INSPECT or pod["status"].get("containerStatuses"):
                continue
            done += 1
            name = pod["metadata"]["name"]
            variables = {each["name"]: each.get("value") for each in container["env"]}
            order = Order.model_validate_json(str(variables[ORDER_VARIABLE]).replace("$$", "$"))
            code, report = 0, FetchReport(outcome=Outcome.FETCHED, missing=self.missing)
            try:
                body = self.fetch(order)
            except RegistryError as error:
                code = 65
                report = report.model_copy(
                    update={"outcome": error.outcome, "why": error.why, "refused": error.refused}
                )
            else:
                log = "\n".join(["noise", *frames.encode(body)]).encode()
                cluster.logs[name, names.INSPECT] = log
            end(cluster, name, names.INSPECT, code, report.model_dump_json(by_alias=True))
        return done


def end(cluster: Cluster, pod: str, container: str, code: int, message: str) -> None:
    """The container has ended."""
    terminated = {"exitCode": code, "message": message, "startedAt": cluster.clock.stamp()}
    status = {"name": container, "state": {"terminated": terminated}}
    phase = "Failed" if code else "Succeeded"

    def change(body: Body) -> None:
        body["status"] = {"phase": phase, "containerStatuses": [status]}

    cluster.update(PODS, pod, change)
