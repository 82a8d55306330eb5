"""Any object of the cluster by its path, as plain JSON. A right that is missing is a fact, not an error."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

from algorithm_operator.api.text import shown
from algorithm_operator.cli.connection import TIMEOUT_SECONDS, Cluster, Object, UnreachableError
from algorithm_operator.cli.errors import CliError
from algorithm_operator.cli.preflight.checks import Unseen


class RefusedError(Exception):
    """The API server said no: its status code and its own, escaped words."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Reader:
    """Requests by path, as the kubeconfig's user. Safe to use from several threads."""

    def __init__(self, cluster: Cluster) -> None:
        self._api = cluster.api

    def request(self, method: str, path: str, body: Object | None = None, **query: str) -> Object:
        """One request; :raises RefusedError: by the API server, UnreachableError: it does not answer."""
        from urllib3.exceptions import HTTPError

        configuration = self._api.configuration
        headers = {
            **self._api.default_headers,
            "Accept": "application/json",
            "Content-Type": "application/json",
        }
        for setting in configuration.auth_settings().values():
            if setting["in"] == "header" and setting["value"]:
                headers[setting["key"]] = setting["value"]
        try:
            answer = self._api.rest_client.pool_manager.request(
                method,
                configuration.host + path + (f"?{urlencode(query)}" if query else ""),
                headers=headers,
                body=None if body is None else json.dumps(body).encode(),
                timeout=TIMEOUT_SECONDS,
                retries=False,
            )
        except (HTTPError, OSError) as error:
            host = shown(str(configuration.host))
            raise UnreachableError(f"The cluster at {host} does not answer: {shown(str(error))}") from None
        if answer.status == 401:
            why = _words(answer.status, answer.data)
            raise CliError(f"The cluster does not accept the kubeconfig's credentials: {why}")
        if answer.status >= 400:
            raise RefusedError(answer.status, _words(answer.status, answer.data))
        try:
            found = json.loads(answer.data)
        except ValueError:
            raise RefusedError(
                answer.status, f"{shown(path)} answered with something that is not JSON"
            ) from None
        if not isinstance(found, dict):
            raise RefusedError(answer.status, f"{shown(path)} answered with something that is not an object")
        return found

    def get(self, path: str) -> Object | Unseen | None:
        """One object; None if there is none."""
        try:
            return self.request("GET", path)
        except RefusedError as refused:
            return None if refused.status == 404 else Unseen(str(refused))

    def document(self, path: str, **query: str) -> Object | Unseen:
        """What must be there."""
        try:
            return self.request("GET", path, None, **query)
        except RefusedError as refused:
            return Unseen(str(refused))

    def list(self, path: str, **query: str) -> list[Object] | Unseen:
        """All objects of a collection."""
        found = self.document(path, **query)
        return found if isinstance(found, Unseen) else list(found.get("items") or [])


def _words(status: int, data: bytes) -> str:
    try:
        message: Any = json.loads(data)["message"]
    except (ValueError, KeyError, TypeError):
        message = data.decode("utf-8", "replace").strip() or "no reason given"
        return shown(f"{status}: {message}", 500)
    return shown(str(message), 500)
