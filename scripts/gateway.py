"""The gateway of the test cluster: a private authority, a certificate for the node's address, and its Helm values.

The demo and the tests install it with that.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from scripts.install_operator import NAMESPACE, gateway_image  # noqa: E402
from tests.cluster.settings import BIN, KUBECONFIG, STATE  # noqa: E402

NODE_PORT: Final = 30443
SECRET: Final = "algorithm-operator-gateway-tls"
_FOLDER: Final = STATE / "gateway"
_DAYS: Final = "3650"


@dataclass(frozen=True, slots=True)
class Address:
    """Where the gateway is reached from this machine; `ca`: the file with its authority."""

    url: str
    ca: Path


def gateway() -> tuple[dict[str, Any], Address]:
    """Helm values for a gateway behind a port of the node, and where it is; its Secret is in the cluster then."""
    host = _kubectl(
        "get", "nodes", "-o", 'jsonpath={.items[0].status.addresses[?(@.type=="InternalIP")].address}'
    )
    ca, certificate, key = _certificate(host)
    _apply_secret(certificate, key)
    address = Address(f"https://{host}:{NODE_PORT}", ca)
    values = {
        "enabled": True,
        "url": address.url,
        "image": gateway_image(),
        "tls": {"secretName": SECRET, "ca": ca.read_text()},
        "service": {"type": "NodePort", "nodePort": NODE_PORT},
    }
    return values, address


def _certificate(host: str) -> tuple[Path, Path, Path]:
    """Files of the authority, the certificate and its key, made once."""
    ca, key, certificate = (_FOLDER / name for name in ("ca.crt", f"{host}.key", f"{host}.crt"))
    if not certificate.exists():
        _FOLDER.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryDirectory(dir=_FOLDER) as scratch:
            made = Path(scratch)
            _openssl(
                *(
                    "req",
                    "-x509",
                    "-newkey",
                    "rsa:2048",
                    "-nodes",
                    "-days",
                    _DAYS,
                    "-subj",
                    "/CN=test gateway",
                ),
                *("-addext", "keyUsage=critical,keyCertSign,cRLSign"),
                *("-keyout", made / "ca.key", "-out", made / "ca.crt"),
            )
            _openssl(
                *("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=gateway"),
                *("-keyout", made / "key", "-out", made / "csr"),
            )
            (made / "ext").write_text(
                f"subjectAltName=IP:{host},IP:127.0.0.1,DNS:localhost\nextendedKeyUsage=serverAuth\n"
            )
            _openssl(
                *("x509", "-req", "-in", made / "csr", "-CA", made / "ca.crt", "-CAkey", made / "ca.key"),
                *("-CAcreateserial", "-days", _DAYS, "-extfile", made / "ext", "-out", made / "crt"),
            )
            (made / "ca.crt").rename(ca)
            (made / "key").rename(key)
            (made / "crt").rename(certificate)
    return ca, certificate, key


def _apply_secret(certificate: Path, key: Path) -> None:
    make = ("create", "--dry-run=client", "-o", "json")
    namespace = _kubectl(*make, "namespace", NAMESPACE)
    secret = _kubectl(
        *make, "secret", "tls", SECRET, "-n", NAMESPACE, f"--cert={certificate}", f"--key={key}"
    )
    for text in (namespace, secret):
        _kubectl("apply", "-f", "-", stdin=text)


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, text=True)


def _kubectl(*arguments: str, stdin: str | None = None) -> str:
    environment = {**os.environ, "KUBECONFIG": str(KUBECONFIG), "PATH": f"{BIN}:{os.environ.get('PATH', '')}"}
    command = ["kubectl", *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True, input=stdin, env=environment)
    return done.stdout.strip()
