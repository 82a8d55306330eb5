"""A thin client of the test cluster's API server: JSON in, JSON out, over the `kubernetes` package's connection."""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import kubernetes
import urllib3

from tests.cluster.settings import KUBECONFIG

Object = dict[str, Any]
T = TypeVar("T")

_PREFIX = {
    "v1": (
        *("configmaps", "endpoints", "events", "namespaces", "nodes", "persistentvolumeclaims"),
        *("persistentvolumes", "pods", "resourcequotas", "secrets", "services"),
    ),
    "admissionregistration.k8s.io/v1": (
        *("mutatingadmissionpolicies", "mutatingadmissionpolicybindings"),
        *("validatingadmissionpolicies", "validatingadmissionpolicybindings"),
    ),
    "apps/v1": ("deployments",),
    "coordination.k8s.io/v1": ("leases",),
    "networking.k8s.io/v1": ("networkpolicies",),
    "algorithm-operator.dev/v1alpha1": ("algorithms", "algorithmjobs", "datastores", "imageimports"),
}
_GROUP = {plural: group for group, plurals in _PREFIX.items() for plural in plurals}


class ApiError(Exception):
    """The API server's refusal: its status code and its words."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class Kube:
    """Requests by plural name of the resource; every method raises ApiError when the server refuses."""

    def __init__(self) -> None:
        connection = kubernetes.config.new_client_from_config(str(KUBECONFIG))  # type: ignore[no-untyped-call]
        self._host = connection.configuration.host
        self._pool = connection.rest_client.pool_manager
        self._headers: dict[str, str] = {}

    def service_account(self, namespace: str, name: str, role: str, kind: str = "ClusterRole") -> Kube:
        """A client that is a new ServiceAccount, bound to a ClusterRole (or Role) in its namespace."""
        accounts = f"/api/v1/namespaces/{namespace}/serviceaccounts"
        bindings = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings"
        meta = {"name": name}
        self.request("POST", accounts, {"metadata": meta})
        self.request(
            "POST",
            bindings,
            {
                "metadata": meta,
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role},
                "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
            },
        )
        return self.as_account(namespace, name)

    def as_account(self, namespace: str, name: str) -> Kube:
        """A client that is a ServiceAccount; it has its token alone."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
        token = self.request("POST", path, {"spec": {}})["status"]["token"]
        other = Kube()
        authority = other._pool.connection_pool_kw["ca_certs"]
        other._pool = urllib3.PoolManager(ca_certs=authority)  # without the admin's certificate
        other._headers = {"Authorization": f"Bearer {token}"}
        return other

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        content_type: str = "application/json",
        **query: Any,
    ) -> Any:
        """One request; JSON is parsed, anything else (logs) comes as text."""
        url = f"{self._host}{path}" + (f"?{urlencode(query)}" if query else "")
        data = None if body is None else json.dumps(body).encode()
        answer = self._pool.request(
            method, url, headers={**self._headers, "Content-Type": content_type}, body=data
        )
        text = answer.data.decode(errors="replace")
        if answer.status >= 400:
            raise ApiError(answer.status, _message(text))
        return text if path.endswith("/log") else json.loads(text)

    @staticmethod
    def path(
        resource: str, namespace: str | None = None, name: str | None = None, sub: str | None = None
    ) -> str:
        """The path of a collection, an object or a subresource."""
        group = _GROUP[resource]
        parts = ["api" if group == "v1" else "apis", group]
        parts += ["namespaces", namespace] if namespace else []
        return "/" + "/".join([*parts, resource, *([quote(name)] if name else []), *([sub] if sub else [])])

    def create(self, resource: str, body: Object, namespace: str | None = None) -> Object:
        """The object as the server stored it."""
        version = {"apiVersion": _GROUP[resource], **body}
        created: Object = self.request("POST", self.path(resource, namespace), version)
        return created

    def get(self, resource: str, name: str, namespace: str | None = None) -> Object | None:
        """The object, or None if there is none."""
        try:
            found: Object = self.request("GET", self.path(resource, namespace, name))
        except ApiError as error:
            if error.code == 404:
                return None
            raise
        return found

    def list(
        self, resource: str, namespace: str | None = None, labels: str = "", fields: str = ""
    ) -> list[Object]:
        """All of them; `labels` is a label selector, `fields` a field selector."""
        query = {"labelSelector": labels, "fieldSelector": fields}
        items: list[Object] = self.request("GET", self.path(resource, namespace), **query)["items"]
        return items

    def patch(
        self, resource: str, name: str, patch: Any, namespace: str | None = None, sub: str | None = None
    ) -> Object:
        """A JSON merge patch, or a list of JSON patch operations."""
        kind = "json-patch" if isinstance(patch, list) else "merge-patch"
        path = self.path(resource, namespace, name, sub)
        patched: Object = self.request("PATCH", path, patch, f"application/{kind}+json")
        return patched

    def apply(self, resource: str, body: Object, namespace: str | None = None) -> Object:
        """Server-side apply, as field manager e2e."""
        version = {"apiVersion": _GROUP[resource], **body}
        path = self.path(resource, namespace, body["metadata"]["name"])
        applied: Object = self.request(
            "PATCH", path, version, "application/apply-patch+yaml", fieldManager="e2e", force="true"
        )
        return applied

    def delete(
        self, resource: str, name: str, namespace: str | None = None, grace: int | None = None
    ) -> None:
        """Ask for its deletion and do not wait; gone already is fine."""
        options = {} if grace is None else {"gracePeriodSeconds": grace}
        try:
            self.request("DELETE", self.path(resource, namespace, name), options)
        except ApiError as error:
            if error.code != 404:
                raise

    def logs(self, namespace: str, pod: str, container: str, tail: int | None = None) -> str:
        """What a container wrote."""
        query: Object = {"container": container} | ({"tailLines": tail} if tail else {})
        text = self.request("GET", self.path("pods", namespace, pod, "log"), **query)
        return str(text)


def _message(text: str) -> str:
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError):
        return text


def eventually(look: Callable[[], T | None], timeout: float, what: str, every: float = 0.3) -> T:
    """The first truthy answer of `look`; AssertionError naming `what` when there is none in `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() >= deadline:
            raise AssertionError(f"not within {timeout:.0f} s: {what}")
        time.sleep(every)


@functools.cache
def kube() -> Kube:
    """The one client of this process."""
    return Kube()
