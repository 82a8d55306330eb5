"""The installation's settings that decisions depend on. Pure data; the controller reads them from its environment."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Dict = dict[str, Any]


@dataclass(frozen=True, slots=True)
class GpuType:
    """How nodes with one type of GPU are recognised: OR-ed node selector terms, tolerations, the resource's name."""

    node_selector_terms: list[Dict]
    tolerations: list[Dict] = field(default_factory=list)
    resource: str = "nvidia.com/gpu"


@dataclass(frozen=True, slots=True)
class PodSettings:
    """What every job's Pods are built with. Resources are Kubernetes resource maps; requests equal limits."""

    steps_image: str
    gpu_types: dict[str, GpuType]
    stage_resources: dict[str, str] = field(default_factory=lambda: {"cpu": "100m", "memory": "512Mi"})
    collect_resources: dict[str, str] = field(default_factory=lambda: {"cpu": "500m", "memory": "512Mi"})
    store_resources: dict[str, str] = field(default_factory=lambda: {"cpu": "100m", "memory": "256Mi"})
    import_resources: dict[str, str] = field(default_factory=lambda: {"cpu": "1", "memory": "2Gi"})
    """An image is read in memory as a whole, and no Algorithm says how much that is."""
    extra_tolerations: list[Dict] = field(default_factory=list)
    isolation_strict: bool = True
    log_max_bytes: int = 16 * 1024 * 1024
    max_output_bytes: int = 64 * 1024**3
    max_model_bytes: int = 64 * 1024**3
    staged_size: str = "1Ti"
    """What inputs and model of a job may take on the node's disk, beside the algorithm's own scratch."""
    pull_failure_seconds: int = 120
    retry_seconds: int = 10
    canary_service: str = "algorithm-operator-canary"
    dns_servers: list[str] = field(default_factory=list)
    """Addresses of the cluster's DNS, for the gate."""
