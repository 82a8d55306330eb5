"""The committed CRDs on a real API server, under a group of their own.

So they neither meet the CRDs of a Helm release on the same cluster, nor an operator that writes status.
"""

from __future__ import annotations

import copy
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import settings

Object = dict[str, Any]
CRDS = Path(__file__).parents[2] / "crds"
GROUP = "algorithm-operator.dev"


class RefusedError(Exception):
    """The API server's words."""


class Server:
    """kubectl, in one namespace and with the kinds of the group under test."""

    def __init__(self, group: str, namespace: str) -> None:
        self.group = group
        self.namespace = namespace
        built = settings.BIN / "kubectl"
        self._kubectl = str(built) if built.exists() else "kubectl"
        self._env = {"KUBECONFIG": str(settings.KUBECONFIG), **os.environ}

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Its standard output.

        :raises RefusedError: it failed; with its standard error.
        """
        done = subprocess.run(
            [self._kubectl, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            env=self._env,
            timeout=60,
            check=False,
        )
        if done.returncode:
            raise RefusedError(done.stderr)
        return done.stdout

    def resource(self, kind: str) -> str:
        """How kubectl is told the kind."""
        return f"{kind.lower()}s.{self.group}"

    def whole(self, body: Object) -> Object:
        """The object with this group and namespace."""
        whole = copy.deepcopy(body)
        whole["apiVersion"] = f"{self.group}/v1alpha1"
        whole.setdefault("metadata", {})["namespace"] = self.namespace
        return whole

    def _send(self, body: Object, *command: str) -> Object:
        out = self.kubectl(*command, "-f", "-", "-o", "json", stdin=json.dumps(self.whole(body)))
        answer: Object = json.loads(out)
        return answer

    def apply(self, body: Object) -> Object:
        """The object as it is stored."""
        return self._send(body, "apply", "--server-side")

    def accepts(self, body: Object) -> Object:
        """The new object as it would be stored."""
        return self._send(body, "create", "--dry-run=server")

    def refuses(self, body: Object) -> str:
        """Why it would not be stored."""
        with pytest.raises(RefusedError) as refused:
            self.accepts(body)
        return str(refused.value)

    def get(self, kind: str, name: str) -> Object:
        """The object as it is stored."""
        out = self.kubectl("-n", self.namespace, "get", self.resource(kind), name, "-o", "json")
        found: Object = json.loads(out)
        return found

    def patch(self, kind: str, name: str, patch: Object | list[Object], *, status: bool = False) -> None:
        """A JSON merge patch (null removes), or a list of JSON patch operations."""
        self.kubectl(
            "-n",
            self.namespace,
            "patch",
            self.resource(kind),
            name,
            "--type=json" if isinstance(patch, list) else "--type=merge",
            "-p",
            json.dumps(patch),
            *(["--subresource=status"] if status else []),
        )

    def refuses_patch(
        self, kind: str, name: str, patch: Object | list[Object], *, status: bool = False
    ) -> str:
        """Why the object may not be changed so."""
        with pytest.raises(RefusedError) as refused:
            self.patch(kind, name, patch, status=status)
        return str(refused.value)


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """The API server with the CRDs under a group of this run, and a namespace; both go at the end."""
    run = f"crd-test-{os.getpid()}"
    server = Server(f"{run}.{GROUP}", run)
    definitions = "\n---\n".join(
        path.read_text().replace(GROUP, server.group) for path in CRDS.glob("*.yaml")
    )
    server.kubectl("create", "namespace", run)
    try:
        server.kubectl("apply", "--server-side", "-f", "-", stdin=definitions)
        server.kubectl("wait", "--for=condition=Established", "--timeout=30s", "-f", "-", stdin=definitions)
        yield server
    finally:
        server.kubectl("delete", "--ignore-not-found", "-f", "-", stdin=definitions)
        server.kubectl("delete", "namespace", run, "--wait=false")


@pytest.fixture
def algorithm() -> Object:
    """The least that an Algorithm needs."""
    return {
        "kind": "Algorithm",
        "metadata": {"name": "brain-tissue"},
        "spec": {
            "image": {"reference": "registry.example.org/brain-tissue:1.2"},
            "interfaces": [
                {
                    "inputs": [{"slug": "t1-mri", "kind": "Image"}, {"slug": "smoothing", "kind": "Float"}],
                    "outputs": [{"slug": "results", "kind": "Anything"}],
                }
            ],
        },
    }


@pytest.fixture
def job(request: pytest.FixtureRequest) -> Object:
    """The least that an AlgorithmJob needs, named after the test."""
    name = "".join(char if char.isalnum() else "-" for char in request.node.name.lower())
    return {
        "kind": "AlgorithmJob",
        "metadata": {"name": f"j-{name}"[:50].strip("-")},
        "spec": {
            "algorithmRef": {"name": "brain-tissue"},
            "inputs": [
                {"slug": "t1-mri", "store": {"name": "cases", "paths": ["case-001/t1.mha"]}},
                {"slug": "smoothing", "value": 1.5},
            ],
        },
    }


@pytest.fixture
def imageimport(request: pytest.FixtureRequest) -> Object:
    """The least that an ImageImport needs, named after the test."""
    name = "".join(char if char.isalnum() else "-" for char in request.node.name.lower())
    return {
        "kind": "ImageImport",
        "metadata": {"name": f"i-{name}"[:50].strip("-")},
        "spec": {"source": {"name": "cases", "paths": ["series/"]}},
    }


@pytest.fixture
def datastore() -> Object:
    """The least that a DataStore needs."""
    return {
        "kind": "DataStore",
        "metadata": {"name": "cases"},
        "spec": {"persistentVolumeClaim": {"claimName": "cases"}},
    }
