"""Where the API server is and how to prove who we are: the Pod's service account, or a kubeconfig on a developer's
machine. Only what this project's own clusters use: certificates and tokens, no login plugins."""

from __future__ import annotations

import base64
import os
import ssl
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class NoCredentials(Exception):  # noqa: N818 - says it better than "Error" would
    """There are no usable credentials; the message says what was looked for."""


@dataclass(frozen=True, slots=True)
class Connection:
    """An API server's URL and our credentials for it."""

    server: str
    ca_pem: str | None = None
    certificate_pem: str | None = field(default=None, repr=False)
    key_pem: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    token_file: Path | None = None
    """Read again now and then: the kubelet renews it."""
    verify: bool = True
    namespace: str | None = None

    def read_token(self) -> str | None:
        """The bearer token as it is now."""
        if self.token_file is not None:
            return self.token_file.read_text(encoding="ascii").strip()
        return self.token

    def ssl_context(self) -> ssl.SSLContext | None:
        """TLS with the cluster's CA and our certificate; None for a plain http server (tests on loopback)."""
        if self.server.startswith("http://"):
            return None
        context = ssl.create_default_context(cadata=self.ca_pem)
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.certificate_pem and self.key_pem:
            # ssl reads certificates from files only; this one is ours alone and gone at once.
            with tempfile.NamedTemporaryFile("w", encoding="ascii") as pem:
                pem.write(self.certificate_pem + "\n" + self.key_pem)
                pem.flush()
                context.load_cert_chain(pem.name)
        return context


def load(environment: Mapping[str, str]) -> Connection:
    """KUBECONFIG if it is set, else the service account, else ~/.kube/config."""
    named = environment.get("KUBECONFIG", "").split(os.pathsep)[0]
    if named:
        return from_kubeconfig_file(Path(named))
    if (SERVICE_ACCOUNT / "token").exists():
        return from_service_account(environment)
    home = Path(environment.get("HOME", "/")) / ".kube" / "config"
    if home.exists():
        return from_kubeconfig_file(home)
    raise NoCredentials(
        "no credentials for the API server: KUBECONFIG is not set, "
        f"and neither {SERVICE_ACCOUNT}/token nor {home} exists"
    )


def from_service_account(environment: Mapping[str, str], folder: Path = SERVICE_ACCOUNT) -> Connection:
    """The Pod's own service account."""
    host = environment.get("KUBERNETES_SERVICE_HOST", "kubernetes.default.svc")
    port = environment.get("KUBERNETES_SERVICE_PORT_HTTPS") or environment.get(
        "KUBERNETES_SERVICE_PORT", "443"
    )
    namespace = folder / "namespace"
    return Connection(
        server=f"https://{f'[{host}]' if ':' in host else host}:{port}",
        ca_pem=(folder / "ca.crt").read_text(encoding="ascii"),
        token_file=folder / "token",
        namespace=namespace.read_text(encoding="utf-8").strip() if namespace.exists() else None,
    )


def from_kubeconfig_file(path: Path) -> Connection:
    """The current context of a kubeconfig file."""
    import yaml  # with kopf; and only where a kubeconfig is read

    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise NoCredentials(f"kubeconfig {path} cannot be read: {error}") from error
    if not isinstance(config, dict):
        raise NoCredentials(f"kubeconfig {path} is not a mapping")
    return from_kubeconfig(config, path.parent)


def from_kubeconfig(config: Mapping[str, Any], folder: Path = Path()) -> Connection:
    """The current context of a kubeconfig as a mapping; relative file names are below `folder`."""
    context = _named(config, "contexts", "context", config.get("current-context"))
    cluster = _named(config, "clusters", "cluster", context.get("cluster"))
    user = _named(config, "users", "user", context.get("user"))
    if "exec" in user or "auth-provider" in user:
        raise NoCredentials(
            f"user {context.get('user')!r} of the kubeconfig logs in by a plugin; use a token"
        )
    server = cluster.get("server")
    if not isinstance(server, str):
        raise NoCredentials(f"cluster {context.get('cluster')!r} of the kubeconfig has no server")
    return Connection(
        server=server.rstrip("/"),
        ca_pem=_pem(cluster, "certificate-authority", folder),
        certificate_pem=_pem(user, "client-certificate", folder),
        key_pem=_pem(user, "client-key", folder),
        token=user.get("token"),
        token_file=folder / user["tokenFile"] if user.get("tokenFile") else None,
        verify=not cluster.get("insecure-skip-tls-verify", False),
        namespace=context.get("namespace"),
    )


def _named(config: Mapping[str, Any], collection: str, item: str, name: object) -> Mapping[str, Any]:
    for entry in config.get(collection) or []:
        if entry.get("name") == name:
            return entry.get(item) or {}
    raise NoCredentials(f"the kubeconfig has no entry {name!r} in {collection}")


def _pem(entry: Mapping[str, Any], name: str, folder: Path) -> str | None:
    if data := entry.get(f"{name}-data"):
        return base64.b64decode(data).decode("ascii")
    if path := entry.get(name):
        return Path(folder, str(path)).read_text(encoding="ascii")
    return None
