"""What preflight looked at, as plain data: gathered in gather.py, judged by pure functions. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from algorithm_operator.cli.preflight.checks import Unseen
from algorithm_operator.core.settings import GpuType, PodSettings

Object = Mapping[str, Any]

STEPS_IMAGE = "AO_STEPS_IMAGE"
"""The variable by which an operator's Deployment is recognised, whatever it is called."""


@dataclass(frozen=True, slots=True)
class Installation:
    """An operator's Deployment, and what its environment says."""

    body: Object
    namespace: str
    name: str
    version: str | None
    """The release, as the chart labels it."""
    pods: PodSettings
    watch_namespaces: tuple[str, ...]
    """Empty: all."""
    lease_name: str
    manages_policy: bool
    """Whether it puts the policy that seals jobs back where it is missing."""


@dataclass(frozen=True, slots=True)
class Tried:
    """What a probe Pod saw of one address: connections tried, made, and seconds from the first to the last made."""

    name: str
    address: str
    attempts: int
    opened: int
    open_until: float | None
    is_open: bool
    """Whether it still was at the end."""


@dataclass(frozen=True, slots=True)
class Probed:
    """What two Pods saw on a node: one that no policy selects, and one under a deny-all policy."""

    node: str
    control: Sequence[Tried] | Unseen
    sealed: Sequence[Tried] | Unseen
    leftover: str | None = None
    """The probe's namespace, if it could not be removed."""


@dataclass(frozen=True, slots=True)
class NamespaceFacts:
    """One namespace of jobs; `body` is None if there is no such namespace."""

    name: str
    body: Object | Unseen | None
    policies: Sequence[Object] | Unseen
    stores: Sequence[Object] | Unseen
    claims: Sequence[Object] | Unseen
    quotas: Sequence[Object] | Unseen
    limit_ranges: Sequence[Object] | Unseen


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything. `Unseen` where a right was missing; `probed` is None where no probe was wanted."""

    now: datetime
    version: Object | Unseen
    """Of the API server."""
    deployments: Sequence[Object] | Unseen
    """Those of operators."""
    installation: Installation | Unseen | None
    lease: Object | Unseen | None = None
    canary_slices: Sequence[Object] | Unseen = ()
    schemas: Mapping[str, Object] | Unseen = field(default_factory=dict)
    """OpenAPI schemas of our kinds as the API server serves them, by kind."""
    admission_policies: Sequence[Object] | Unseen = ()
    admission_bindings: Sequence[Object] | Unseen = ()
    nodes: Sequence[Object] | Unseen = ()
    kubelets: Mapping[str, Object | Unseen] = field(default_factory=dict)
    """`kubeletconfig` of GPU nodes, by node."""
    toolkits: Sequence[str] | Unseen = ()
    """Images of NVIDIA's container toolkit that DaemonSets put on nodes, as the GPU Operator does."""
    storage_classes: Sequence[Object] | Unseen = ()
    namespaces: Sequence[NamespaceFacts] | Unseen = ()
    probed: Probed | Unseen | None = None
    leftovers: Sequence[Object] | Unseen = ()
    """Namespaces of probes, of this one and of earlier ones."""


def environment(deployment: Object) -> dict[str, str]:
    """The variables of its containers that have a plain value."""
    spec = ((deployment.get("spec") or {}).get("template") or {}).get("spec") or {}
    return {
        str(variable["name"]): str(variable["value"])
        for container in spec.get("containers") or []
        for variable in container.get("env") or []
        if "value" in variable
    }


def images(workload: Object) -> set[str]:
    """The images of a Deployment's or DaemonSet's containers."""
    spec = ((workload.get("spec") or {}).get("template") or {}).get("spec") or {}
    containers = [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]
    return {str(container.get("image") or "") for container in containers}


def is_operator(deployment: Object) -> bool:
    """Whether it runs Algorithm Operator, whatever it is called."""
    return bool(environment(deployment).get(STEPS_IMAGE))


def installation(deployment: Object) -> Installation:
    """:raises ValueError: a variable is not what the operator can read; the message names it."""
    given, meta = environment(deployment), deployment["metadata"]
    steps = _object(given, "AO_STEPS_RESOURCES")
    types = {
        name: GpuType(
            node_selector_terms=list(kind.get("nodeSelectorTerms") or []),
            tolerations=list(kind.get("tolerations") or []),
            resource=str(kind.get("resource") or GpuType([]).resource),
        )
        for name, kind in _object(given, "AO_GPU_TYPES").items()
    }
    optional: dict[str, Any] = {
        f"{step}_resources": asked for step, asked in steps.items() if step in ("stage", "collect", "store")
    }
    if service := given.get("AO_CANARY_SERVICE"):
        optional["canary_service"] = service
    pods = PodSettings(
        steps_image=given[STEPS_IMAGE],
        gpu_types=types,
        extra_tolerations=_json(given, "AO_EXTRA_TOLERATIONS", list, []),
        isolation_strict=given.get("AO_ISOLATION_STRICT", "true").lower() != "false",
        **optional,
    )
    watched = (name.strip() for name in given.get("AO_WATCH_NAMESPACES", "").split(","))
    return Installation(
        body=deployment,
        namespace=str(meta["namespace"]),
        name=str(meta["name"]),
        version=(meta.get("labels") or {}).get("app.kubernetes.io/version"),
        pods=pods,
        watch_namespaces=tuple(name for name in watched if name),
        lease_name=given.get("AO_LEASE_NAME") or "algorithm-operator",
        manages_policy=given.get("AO_ISOLATION_MANAGE_POLICY", "true").lower() != "false",
    )


def _object(given: Mapping[str, str], variable: str) -> dict[str, Any]:
    found: dict[str, Any] = _json(given, variable, dict, {})
    if not all(isinstance(value, dict) for value in found.values()):
        raise ValueError(f"{variable} of the operator's Deployment is not an object of objects")
    return found


def _json(given: Mapping[str, str], variable: str, shape: type, default: Any) -> Any:
    text = given.get(variable, "").strip()
    try:
        found = json.loads(text) if text else default
    except ValueError:
        raise ValueError(f"{variable} of the operator's Deployment is not JSON") from None
    if not isinstance(found, shape):
        raise ValueError(f"{variable} of the operator's Deployment is not a JSON {shape.__name__}")
    return found
