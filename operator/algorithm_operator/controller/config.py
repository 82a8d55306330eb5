"""The operator's settings, read once from its environment; docs/configuration.md explains each variable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from algorithm_operator.contract.plan import Target
from algorithm_operator.core.settings import PodSettings


@dataclass(frozen=True, slots=True)
class Settings:
    """What the installation decides."""

    namespace: str
    """The operator's own namespace."""
    watch_namespaces: tuple[str, ...]
    """Empty: all namespaces."""
    pods: PodSettings
    insecure_registries: frozenset[str]
    """host:port of registries that are spoken to over plain HTTP."""
    canary_service: str
    canary_port: int
    """The port that the canary listens on, and that of its Service."""
    api_server: Target | None
    """The API server's service address, for the gate."""
    lease_name: str
    log_level: str
    metrics_port: int
    workers: int


def load(environment: Mapping[str, str]) -> Settings:
    """Settings from `AO_*` variables; ValueError names the variable, what is wrong and what is allowed."""
    raise NotImplementedError
