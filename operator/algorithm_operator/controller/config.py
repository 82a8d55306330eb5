"""The operator's settings, read once from its environment; docs/configuration.md explains each variable."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from algorithm_operator.api.base import Quantity
from algorithm_operator.contract.fetching import MAX_CA_BYTES
from algorithm_operator.contract.plan import Target
from algorithm_operator.core.settings import GpuType, PodSettings
from algorithm_operator.kube.connection import SERVICE_ACCOUNT
from algorithm_operator.kube.environment import HOST_PORT, LEVELS, ConfigError, Environment

_MIRROR = re.compile(HOST_PORT.pattern + r"(?:/[a-z0-9][a-z0-9._/-]*)?")
RESOLV_CONF = Path("/etc/resolv.conf")


class _Edge(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _GpuType(_Edge):
    node_selector_terms: Annotated[list[dict[str, Any]], Field(alias="nodeSelectorTerms", min_length=1)]
    tolerations: list[dict[str, Any]] = []
    resource: str = "nvidia.com/gpu"


class _Requests(_Edge):
    cpu: Quantity
    memory: Quantity


class _StepsResources(_Edge):
    stage: _Requests | None = None
    collect: _Requests | None = None
    store: _Requests | None = None
    import_: Annotated[_Requests | None, Field(alias="import")] = None


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
    registry_mirrors: Mapping[str, str]
    """Where a registry's images are looked up first: host[:port][/path] by the registry's name."""
    registry_ca: Path | None
    """A file with authorities that registries are trusted by, beside the system's."""
    canary_service: str
    canary_port: int
    """The port that the canary listens on; its Service may have another."""
    api_server: Target | None
    """The API server's service address, for the gate."""
    manage_policy: bool
    """Whether the operator puts the NetworkPolicy that seals jobs back where it is missing."""
    lease_name: str
    log_level: str
    metrics_port: int
    workers: int
    """AlgorithmJobs that are worked on at the same time."""
    pod_name: str
    """Shown as the Lease's holder."""

    def registry_authorities(self) -> str | None:
        """The certificates of `registry_ca` in PEM, as they are now (ConfigMaps are renewed in place); or OSError."""
        if self.registry_ca is None:
            return None
        with self.registry_ca.open(encoding="ascii", errors="replace") as file:
            return file.read(MAX_CA_BYTES)


def load(environment: Mapping[str, str]) -> Settings:
    """Settings from `AO_*` variables; ConfigError names the variable, what is wrong and what is allowed."""
    read = _Reader(environment)
    canary_service = read.name("AO_CANARY_SERVICE", "algorithm-operator-canary")
    resources = read.json("AO_STEPS_RESOURCES", _StepsResources, _StepsResources())
    step_resources = {
        f"{step.rstrip('_')}_resources": asked.model_dump()
        for step in ("stage", "collect", "store", "import_")
        if (asked := getattr(resources, step)) is not None
    }
    gpu_types = read.json("AO_GPU_TYPES", dict[str, _GpuType], {})
    pods = PodSettings(
        steps_image=read.required("AO_STEPS_IMAGE", "the image of the steps, by digest"),
        gpu_types={
            name: GpuType(kind.node_selector_terms, kind.tolerations, kind.resource)
            for name, kind in gpu_types.items()
        },
        extra_tolerations=read.json("AO_EXTRA_TOLERATIONS", list[dict[str, Any]], []),
        isolation_strict=read.boolean("AO_ISOLATION_STRICT", True),
        pull_failure_seconds=read.integer("AO_PULL_FAILURE_SECONDS", 120, 10, 86400),
        canary_service=canary_service,
        dns_servers=read.addresses("AO_DNS_SERVERS") or _resolvers(),
        **step_resources,
    )
    return Settings(
        namespace=read.name("AO_NAMESPACE", _own_namespace()),
        watch_namespaces=tuple(read.names("AO_WATCH_NAMESPACES")),
        pods=pods,
        insecure_registries=frozenset(read.hosts("AO_INSECURE_REGISTRIES")),
        registry_mirrors=read.mirrors("AO_REGISTRY_MIRRORS"),
        registry_ca=read.authorities("AO_REGISTRY_CA"),
        canary_service=canary_service,
        canary_port=read.integer("AO_CANARY_PORT", 8081, 1, 65535),
        api_server=read.api_server(),
        manage_policy=read.boolean("AO_ISOLATION_MANAGE_POLICY", True),
        lease_name=read.name("AO_LEASE_NAME", "algorithm-operator"),
        log_level=read.one_of("AO_LOG_LEVEL", "INFO", LEVELS),
        metrics_port=read.integer("AO_METRICS_PORT", 8080, 1, 65535),
        workers=read.integer("AO_WORKERS", 8, 1, 64),
        pod_name=environment.get("AO_POD_NAME") or os.uname().nodename,
    )


def _own_namespace() -> str | None:
    file = SERVICE_ACCOUNT / "namespace"
    return file.read_text(encoding="utf-8").strip() if file.exists() else None


def _resolvers() -> list[str]:
    """The DNS servers of our own Pod, which the kubelet has written: the cluster's."""
    lines = RESOLV_CONF.read_text(encoding="utf-8").splitlines() if RESOLV_CONF.exists() else []
    words = [line.split() for line in lines]
    found = [each[1] for each in words if len(each) > 1 and each[0] == "nameserver"]
    return [address for address in found if _is_remote(address)]


def _is_remote(address: str) -> bool:
    try:
        # With a % it is of one interface alone.
        return "%" not in address and not ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


class _Reader(Environment):
    """What the operator alone has."""

    def mirrors(self, variable: str) -> dict[str, str]:
        """{registry: mirror}; the names become parts of URLs."""
        found = self.json(variable, dict[str, str], {})
        for registry, mirror in found.items():
            if not HOST_PORT.fullmatch(registry) or not _MIRROR.fullmatch(mirror):
                raise ConfigError(
                    f"{variable} says {registry!r}: {mirror!r}; it maps a registry's host to its mirror's "
                    "host[:port][/path]."
                )
        return found

    def authorities(self, variable: str) -> Path | None:
        """A file that is there and is small enough to travel in a Pod's environment."""
        text = self.variables.get(variable, "").strip()
        if not text:
            return None
        path = Path(text)
        try:
            size = path.stat().st_size
        except OSError as error:
            raise ConfigError(f"{variable} is {text!r}, which cannot be read: {error.strerror}.") from error
        if size > MAX_CA_BYTES:
            raise ConfigError(
                f"{variable}: the file has {size} bytes, more than {MAX_CA_BYTES}; it needs to hold the authorities of "
                "your registries alone, the system's are trusted anyway."
            )
        return path

    def api_server(self) -> Target | None:
        """AO_API_SERVER as host:port, else what the kubelet says to every Pod."""
        text = self.variables.get("AO_API_SERVER", "").strip()
        host: str | None
        if text:
            match = HOST_PORT.fullmatch(text)
            if match is None or match[2] is None:
                raise ConfigError(f"AO_API_SERVER is {text!r}: it must be host:port.")
            host, port = match[1].strip("[]"), match[2]
        else:
            host = self.variables.get("KUBERNETES_SERVICE_HOST")
            port = self.variables.get("KUBERNETES_SERVICE_PORT", "443")
        return Target(name="API server", host=host, port=int(port)) if host else None
