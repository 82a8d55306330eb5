"""People with gcapi: who they are, the environments that they work in, and what their scripts say.

    person = people(namespace)                      # a ServiceAccount with the runner's rights, and its token
    said = person.run("0.16", "print(client.algorithms.detail(slug='lung-analysis').title)")

`run` puts the lines of `kubectl algorithm token` before the script. Scripts end with exit code 0 or the test fails with
all that they said.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import urllib3

from scripts.gateway import Address
from tests.e2e.cli import call
from tests.e2e.harness import Namespace, Object
from tests.gcapi.environments import python_with

LUNGS_INPUTS: Final[list[Object]] = [
    {"slug": "ct-image", "kind": "Image", "relativePath": "images/ct"},
    {"slug": "lung-volume", "kind": "Integer", "relativePath": "lung-volume.json"},
]
LUNGS_OUTPUTS: Final[list[Object]] = [
    {"slug": "lungs", "kind": "Image", "relativePath": "images/lungs"},
    {"slug": "lungs-json", "kind": "Anything", "relativePath": "lungs.json"},
    {"slug": "lungs-csv", "kind": "CSV file", "relativePath": "lungs.csv"},
]
RUNNER: Final = "algorithm-operator-runner"
GATEWAY_LABELS: Final = "app.kubernetes.io/name=algorithm-operator-gateway"


@dataclass(frozen=True, slots=True)
class Person:
    """A ServiceAccount of a namespace, and where the gateway is."""

    namespace: str
    name: str
    token: str
    address: Address

    @property
    def base_url(self) -> str:
        """As gcapi.Client wants it."""
        return f"{self.address.url}/{self.namespace}/api/v1/"

    @property
    def username(self) -> str:
        """As Kubernetes calls them."""
        return f"system:serviceaccount:{self.namespace}:{self.name}"

    def run(
        self, minor: str, script: str, folder: Path, *, token: str | None = None, timeout: float = 240
    ) -> str:
        """What a script prints, in a process and an environment of its own; `client` is there."""
        done = self.start(minor, script, folder, token=token)
        try:
            said, errors = done.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            done.kill()
            said, errors = done.communicate()
            raise AssertionError(f"the script is not over after {timeout:.0f} s\n{said}\n{errors}") from None
        assert done.returncode == 0, f"gcapi {minor}: exit code {done.returncode}\n{script}\n{said}\n{errors}"
        return said

    def start(
        self, minor: str, script: str, folder: Path, *, token: str | None = None
    ) -> subprocess.Popen[str]:
        """The same, begun."""
        begin = f"import gcapi\n\nclient = gcapi.Client(base_url={self.base_url!r})\n"
        environment = {
            **{key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
            "GRAND_CHALLENGE_AUTHORIZATION": self.token if token is None else token,
            "SSL_CERT_FILE": str(self.address.ca),
            "PYTHONUNBUFFERED": "1",
        }
        folder.mkdir(parents=True, exist_ok=True)
        return subprocess.Popen(
            [str(python_with(minor)), "-I", "-c", begin + script],
            cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = "",
        headers: dict[str, str] | None = None,
    ) -> urllib3.BaseHTTPResponse:
        """A request past the client; `path` is below the base URL, or a whole URL. `token` None: without one."""
        url = path if path.startswith("https://") else f"{self.base_url}{path}"
        sent = {"Content-Type": "application/json", **(headers or {})}
        if token is not None:
            sent["Authorization"] = f"Bearer {token or self.token}"
        data = json.dumps(body) if body is not None and not isinstance(body, (bytes, str)) else body
        with urllib3.PoolManager(ca_certs=str(self.address.ca), retries=False) as pool:
            return pool.request(method, url, body=data, headers=sent)

    def download(self, url: str) -> int:
        """How many bytes a file of the gateway has, read to its end."""
        headers = {"Authorization": f"Bearer {self.token}"}
        with urllib3.PoolManager(ca_certs=str(self.address.ca), retries=False) as pool:
            answer = pool.request("GET", url, headers=headers, preload_content=False)
            assert answer.status == 200, answer.status
            return sum(len(piece) for piece in answer.stream(1 << 20))

    def json(self, method: str, path: str, body: Any = None) -> Any:
        """The JSON of an answer that is no refusal."""
        answer = self.request(method, path, body)
        assert answer.status < 300, f"{method} {path}: {answer.status} {answer.data[:2000]!r}"
        return json.loads(answer.data)


def person(namespace: Namespace, address: Address, name: str = "gcapi", role: str | None = RUNNER) -> Person:
    """A new ServiceAccount, bound to a ClusterRole (None: to none), with a token as the CLI gets it."""
    if role is None:
        meta = {"metadata": {"name": name}}
        namespace.kube.request("POST", f"/api/v1/namespaces/{namespace.name}/serviceaccounts", meta)
    else:
        namespace.kube.service_account(namespace.name, name, role)
    done = call("token", "-n", namespace.name, "--service-account", name, "--duration", "1h", "-o", "token")
    assert done.returncode == 0, done.stderr
    return Person(namespace.name, name, done.stdout.strip(), address)


def lungs(namespace: Namespace, image: str, name: str = "lung-analysis", **spec: Any) -> Object:
    """The algorithm of docs/gcapi.md."""
    return namespace.algorithm(name, image=image, inputs=LUNGS_INPUTS, outputs=LUNGS_OUTPUTS, **spec)


def jobs_of(namespace: Namespace, pks: Sequence[str]) -> list[Object]:
    """The AlgorithmJobs behind pks that the gateway gave."""
    found = [namespace.kube.get("algorithmjobs", f"gcapi-{pk}", namespace.name) for pk in pks]
    assert all(found), pks
    return [body for body in found if body]
