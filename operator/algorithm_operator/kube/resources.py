"""The kinds that the operator reads and writes, as the API server addresses them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from algorithm_operator.api.base import GROUP, VERSION

Body = dict[str, Any]
"""A Kubernetes object as plain JSON."""


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind: its API group ("" is core), version, plural and kind; `namespaced` unless it is the cluster's."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """apiVersion, as objects carry it."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(
        self, namespace: str | None = None, name: str | None = None, subresource: str | None = None
    ) -> str:
        """The URL path. `namespace` None addresses all namespaces (lists) or a cluster-wide object."""
        parts = ["/apis", self.group] if self.group else ["/api"]
        parts.append(self.version)
        if namespace is not None and self.namespaced:
            parts += ["namespaces", segment(namespace)]
        parts.append(self.plural)
        if name is not None:
            parts.append(segment(name))
        if subresource is not None:
            parts.append(subresource)
        return "/".join(parts)


def segment(name: str) -> str:
    """`name` if it can be one segment of a URL path; whoever wrote it, it never becomes a path of its own."""
    if not name or name in {".", ".."} or not all(c.isascii() and (c.isalnum() or c in "-._:") for c in name):
        raise ValueError(f"{name!r} is not a Kubernetes object name")
    return name


PODS = Resource("", "v1", "pods", "Pod")
SERVICES = Resource("", "v1", "services", "Service")
PVCS = Resource("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim")
EVENTS = Resource("", "v1", "events", "Event")
NAMESPACES = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
NODES = Resource("", "v1", "nodes", "Node", namespaced=False)
NETWORK_POLICIES = Resource("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy")
LEASES = Resource("coordination.k8s.io", "v1", "leases", "Lease")
ALGORITHMS = Resource(GROUP, VERSION, "algorithms", "Algorithm")
ALGORITHM_JOBS = Resource(GROUP, VERSION, "algorithmjobs", "AlgorithmJob")
IMAGE_IMPORTS = Resource(GROUP, VERSION, "imageimports", "ImageImport")
DATASTORES = Resource(GROUP, VERSION, "datastores", "DataStore")
TOKEN_REVIEWS = Resource("authentication.k8s.io", "v1", "tokenreviews", "TokenReview", namespaced=False)
SUBJECT_ACCESS_REVIEWS = Resource(
    "authorization.k8s.io", "v1", "subjectaccessreviews", "SubjectAccessReview", namespaced=False
)
