"""From people's kubeconfig to the cluster: the few requests that the commands make, as plain JSON objects.

The `kubernetes` package is imported inside functions: `--help` must not wait for it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Any

from algorithm_operator.api.base import GROUP, VERSION
from algorithm_operator.api.text import shown
from algorithm_operator.cli.errors import CliError, behind

Object = dict[str, Any]
TIMEOUT_SECONDS = 30
_MERGE_PATCH = "application/merge-patch+json"


class Kind(StrEnum):
    """The kinds that the commands touch, by their plural; all of one namespace."""

    ALGORITHMS = "algorithms"
    JOBS = "algorithmjobs"
    STORES = "datastores"
    LEASES = "leases"


class AlreadyExistsError(CliError):
    """There is an object of that name."""


class ForbiddenError(CliError):
    """RBAC or an admission refuses it."""


class UnreachableError(CliError):
    """The API server does not answer, or not just now."""


@dataclass(frozen=True, slots=True)
class Target:
    """Which cluster and namespace, as the options of kubectl say it. None: as the kubeconfig says."""

    namespace: str | None = None
    context: str | None = None
    kubeconfig: str | None = None


class Cluster:
    """One namespace of one cluster. Methods raise CliError, with the API server's own words."""

    def __init__(self, api: Any, namespace: str) -> None:
        from kubernetes import client

        self.api = api
        self.namespace = namespace
        self._core: Any = client.CoreV1Api(api)
        self._behind: timedelta | None = None
        self._custom: Any = client.CustomObjectsApi(api)

    def now(self) -> datetime:
        """The API server's time: what is compared with times in the cluster must not hang on this machine's clock."""
        from kubernetes import client

        if self._behind is None:
            version: Any = client.VersionApi(self.api)
            with _errors(self.api, missing="The API server does not answer as one."):
                answer = version.get_code(_preload_content=False, _request_timeout=TIMEOUT_SECONDS)
                self._behind = _behind(answer.headers.get("Date"), datetime.now(UTC))
        return datetime.now(UTC) + (self._behind or timedelta())

    def get(self, kind: Kind, name: str) -> Object | None:
        """The object, or None if there is none."""
        with _errors(self.api):
            found = self._custom.get_namespaced_custom_object(
                *self._at(kind), name, _request_timeout=TIMEOUT_SECONDS
            )
            return dict(found)
        return None

    def list(self, kind: Kind) -> list[Object]:
        """All of the namespace."""
        with _errors(
            self.api, missing="The cluster does not know Algorithm Operator's resources. Is it installed?"
        ):
            found = self._custom.list_namespaced_custom_object(
                *self._at(kind), _request_timeout=TIMEOUT_SECONDS
            )
            return list(found["items"])
        return []

    def create(self, kind: Kind, body: Object) -> Object:
        """:raises AlreadyExistsError: that name is taken."""
        missing = f"The cluster or namespace {shown(self.namespace)} does not exist, or Algorithm Operator is missing."
        with _errors(self.api, missing=missing):
            made = self._custom.create_namespaced_custom_object(
                *self._at(kind), body, _request_timeout=TIMEOUT_SECONDS
            )
            return dict(made)
        raise CliError(missing)

    def patch(self, kind: Kind, name: str, patch: Object) -> Object | None:
        """Merge `patch` into the object; None if there is none."""
        with _errors(self.api):
            patched = self._custom.patch_namespaced_custom_object(
                *self._at(kind), name, patch, _content_type=_MERGE_PATCH, _request_timeout=TIMEOUT_SECONDS
            )
            return dict(patched)
        return None

    def pod(self, name: str) -> Object | None:
        """The Pod, or None if there is none."""
        with _errors(self.api):
            answer = self._core.read_namespaced_pod(
                name, self.namespace, _preload_content=False, _request_timeout=TIMEOUT_SECONDS
            )
            return dict(json.loads(answer.data))
        return None

    def config_map(self, namespace: str, name: str) -> Object | None:
        """A ConfigMap, also of another namespace; None if there is none. ForbiddenError if it may not be read."""
        with _errors(self.api):
            answer = self._core.read_namespaced_config_map(
                name, namespace, _preload_content=False, _request_timeout=TIMEOUT_SECONDS
            )
            return dict(json.loads(answer.data))
        return None

    def token(self, service_account: str, audience: str, seconds: int) -> Object | None:
        """A TokenRequest of that ServiceAccount with its status; None if there is none. ForbiddenError without the
        right."""
        spec = {"audiences": [audience], "expirationSeconds": seconds}
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        with _errors(self.api):
            answer = self._core.create_namespaced_service_account_token(
                service_account,
                self.namespace,
                body,
                _preload_content=False,
                _request_timeout=TIMEOUT_SECONDS,
            )
            return dict(json.loads(answer.data))
        return None

    def pod_log(
        self, name: str, container: str, *, follow: bool = False, **options: str | bool
    ) -> Iterator[bytes] | None:
        """What the container wrote so far, in pieces; None if there is no such Pod.

        `options` are the API's: `stream` (Stdout, Stderr; not every cluster honours it) and `timestamps`.
        """
        with _errors(self.api):
            answer = self._core.read_namespaced_pod_log(
                name,
                self.namespace,
                container=container,
                follow=follow,
                **options,
                _preload_content=False,
                _request_timeout=None if follow else TIMEOUT_SECONDS,
            )
            return self._streamed(answer)
        return None

    def _streamed(self, answer: Any) -> Iterator[bytes]:
        with _errors(self.api):
            yield from answer.stream(64 * 1024)

    def _at(self, kind: Kind) -> tuple[str, str, str, str]:
        if kind is Kind.LEASES:
            return "coordination.k8s.io", "v1", self.namespace, kind
        return GROUP, VERSION, self.namespace, kind


def _behind(date: str | None, now: datetime) -> timedelta:
    """How far this machine's clock is behind the server's, from a Date header; less than 2 s is the header's own
    rounding, and the way."""
    try:
        difference = parsedate_to_datetime(date or "") - now
    except (ValueError, TypeError):
        return timedelta()
    return difference if abs(difference) > timedelta(seconds=2) else timedelta()


def connect(target: Target) -> Cluster:
    """Read the kubeconfig as kubectl does (KUBECONFIG, ~/.kube/config). Nothing is sent yet."""
    import kubernetes.config
    from kubernetes.config.config_exception import ConfigException

    config: Any = kubernetes.config
    try:
        contexts, active = config.list_kube_config_contexts(target.kubeconfig)
        if target.context is not None:
            active = next((each for each in contexts if each["name"] == target.context), None)
            if active is None:
                known = ", ".join(shown(str(each["name"]), 64) for each in contexts)
                raise CliError(f"The kubeconfig has no context {shown(target.context)}; it has: {known}")
        api = config.new_client_from_config(target.kubeconfig, target.context)
    except (ConfigException, OSError) as error:
        raise CliError(
            f"No cluster to talk to: {shown(str(error))} Set KUBECONFIG or give --kubeconfig, as for kubectl."
        ) from None
    namespace = target.namespace or active["context"].get("namespace") or "default"
    return Cluster(api, str(namespace))


@contextmanager
def _errors(api: Any, missing: str | None = None) -> Iterator[None]:
    """Turn the client's errors into messages; 404 passes silently unless `missing` says what it means."""
    from kubernetes.client.exceptions import ApiException
    from urllib3.exceptions import HTTPError

    try:
        yield
    except ApiException as error:
        if error.status == 404:
            if missing is not None:
                raise CliError(missing) from None
            return
        text = _message(error)
        if error.status == 403:
            raise ForbiddenError(text) from None
        if error.status == 409:
            raise AlreadyExistsError(text) from None
        if error.status == 401:
            raise CliError(f"The cluster does not accept the kubeconfig's credentials: {text}") from None
        if error.status == 429 or (error.status or 0) >= 500:
            raise UnreachableError(text) from None
        raise CliError(text) from None
    except (HTTPError, OSError) as error:
        host = shown(str(api.configuration.host))
        raise UnreachableError(
            f"The cluster at {host} does not answer: {behind(error, TIMEOUT_SECONDS)}."
        ) from None


def _message(error: Any) -> str:
    return server_sentence(error.body, f"{error.status} {error.reason}")


def server_sentence(body: bytes | str | None, otherwise: str) -> str:
    """The API server's sentence, out of the Status that it answers a refused request with."""
    try:
        text = json.loads(body or "")["message"]
    except (TypeError, ValueError, KeyError):
        text = otherwise
    return shown(str(text), 2000)
