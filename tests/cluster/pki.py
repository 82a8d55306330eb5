"""The cluster's certificate authority, its certificates and the kubeconfigs that carry them."""

from __future__ import annotations

import base64
import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.cluster.settings import API_SERVICE, API_URL, KUBECONFIG, NODE_ADDRESS, NODE_NAME, PKI
from tests.cluster.shell import run

_DAYS: Final = "3650"


@dataclass(frozen=True, slots=True)
class Identity:
    """One certificate: its file name, subject and, for servers, subject alternative names."""

    name: str
    subject: str
    alternative_names: str = ""


_API_NAMES: Final = ",".join(
    (
        *(
            f"DNS:{name}"
            for name in ("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc")
        ),
        "DNS:kubernetes.default.svc.cluster.local",
        *(f"IP:{address}" for address in ("127.0.0.1", API_SERVICE, NODE_ADDRESS)),
    )
)
_SERVING: Final = (
    Identity("apiserver", "/CN=kube-apiserver", _API_NAMES),
    Identity("apiserver-kubelet", "/O=system:masters/CN=kube-apiserver-kubelet-client"),
)
# Who talks to the API server: each has a user name of its own, so that the audit log tells them apart.
_CLIENTS: Final = (
    Identity("admin", "/O=system:masters/CN=admin"),
    Identity("controller-manager", "/CN=system:kube-controller-manager"),
    Identity("scheduler", "/CN=system:kube-scheduler"),
    Identity("kube-proxy", "/CN=system:kube-proxy"),
    Identity(
        "kubelet",
        f"/O=system:nodes/CN=system:node:{NODE_NAME}",
        f"DNS:{NODE_NAME},IP:{NODE_ADDRESS},IP:127.0.0.1",
    ),
    Identity("kube-router", "/O=system:masters/CN=test-cluster:kube-router"),
    Identity("node-keeper", "/O=system:masters/CN=test-cluster:node-keeper"),
    Identity("kwok", "/O=system:masters/CN=test-cluster:kwok"),
)


def kubeconfig(client: str) -> Path:
    """The kubeconfig of one of the cluster's own clients."""
    return PKI / f"{client}.kubeconfig"


def create() -> None:
    """Make whatever is missing; the names and addresses in it are constants, so it stays valid."""
    if not (PKI / "complete").exists():
        shutil.rmtree(PKI, ignore_errors=True)
        PKI.mkdir(parents=True, mode=0o700)
        _authority()
        for identity in (*_SERVING, *_CLIENTS):
            _certificate(identity)
        for identity in _CLIENTS:
            _write_kubeconfig(identity.name)
        run("openssl", "genrsa", "-out", PKI / "sa.key", "2048")
        run("openssl", "rsa", "-in", PKI / "sa.key", "-pubout", "-out", PKI / "sa.pub")
        (PKI / "complete").touch()
    shutil.copyfile(kubeconfig("admin"), KUBECONFIG)
    KUBECONFIG.chmod(0o600)


def _authority() -> None:
    run(
        *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", _DAYS),
        *("-subj", "/CN=algorithm-operator-test-cluster"),
        *("-keyout", PKI / "ca.key", "-out", PKI / "ca.crt"),
    )


def _certificate(identity: Identity) -> None:
    key, request, certificate = (PKI / f"{identity.name}.{kind}" for kind in ("key", "csr", "crt"))
    run(
        *("openssl", "req", "-newkey", "rsa:2048", "-nodes", "-subj", identity.subject),
        *("-keyout", key, "-out", request),
    )
    extensions = "extendedKeyUsage=serverAuth,clientAuth\n"
    if identity.alternative_names:
        extensions += f"subjectAltName={identity.alternative_names}\n"
    with tempfile.NamedTemporaryFile("w", dir=PKI, suffix=".ext") as file:
        file.write(extensions)
        file.flush()
        run(
            *("openssl", "x509", "-req", "-in", request, "-CA", PKI / "ca.crt", "-CAkey", PKI / "ca.key"),
            *("-CAcreateserial", "-days", _DAYS, "-extfile", file.name, "-out", certificate),
        )
    request.unlink()


def _write_kubeconfig(client: str) -> None:
    def inline(path: Path) -> str:
        return base64.b64encode(path.read_bytes()).decode()

    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": "algorithm-operator",
                "cluster": {"server": API_URL, "certificate-authority-data": inline(PKI / "ca.crt")},
            }
        ],
        "users": [
            {
                "name": client,
                "user": {
                    "client-certificate-data": inline(PKI / f"{client}.crt"),
                    "client-key-data": inline(PKI / f"{client}.key"),
                },
            }
        ],
        "contexts": [
            {"name": "algorithm-operator", "context": {"cluster": "algorithm-operator", "user": client}}
        ],
        "current-context": "algorithm-operator",
    }
    # JSON is YAML too.
    kubeconfig(client).write_text(json.dumps(config, indent=1))
    kubeconfig(client).chmod(0o600)
