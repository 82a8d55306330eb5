"""Images and registries for tests of how images are looked up.

`variant` pushes an image that differs from another in its configuration alone: no build, no new layer.
`PrivateRegistry` is the test cluster's registry a second time, at a port where one has to log in, over TLS with a
certificate of the cluster's own authority, which nobody trusts unless told to.
"""

from __future__ import annotations

import base64
import hashlib
import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from tests.cluster import processes
from tests.cluster.settings import BIN, CONFIG, NODE_ADDRESS, PKI, REGISTRY, REGISTRY_DATA
from tests.cluster.shell import wait_for

PRIVATE: Final = f"{NODE_ADDRESS}:5001"
USER, PASSWORD = "researcher", "let-me-in"
_HTPASSWD: Final = f"{USER}:$2b$05$abcdefghijklmnopqrstuu3Jd./u/rH1RxB6auX5v7gLP6uWhKCgG\n"
"""The password as bcrypt has it, which is all that the registry takes."""
_NAME: Final = "private-registry"
_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"


class PrivateRegistry:
    """It holds what the other one holds."""

    def start(self) -> None:
        """Start it; the node trusts it from now on."""
        (CONFIG / "htpasswd").write_text(_HTPASSWD)
        (CONFIG / f"{_NAME}.yaml").write_text(
            f"""\
version: 0.1
log: {{level: warn, accesslog: {{disabled: true}}}}
storage:
  filesystem: {{rootdirectory: "{REGISTRY_DATA}"}}
  maintenance: {{uploadpurging: {{enabled: false}}}}
http:
  addr: "{PRIVATE}"
  tls: {{certificate: "{PKI / "apiserver.crt"}", key: "{PKI / "apiserver.key"}"}}
auth: {{htpasswd: {{realm: tests, path: "{CONFIG / "htpasswd"}"}}}}
"""
        )
        hosts = CONFIG / "registries" / PRIVATE
        hosts.mkdir(parents=True, exist_ok=True)
        (hosts / "hosts.toml").write_text(
            f'server = "https://{PRIVATE}"\n[host."https://{PRIVATE}"]\n'
            f'capabilities = ["pull", "resolve"]\nca = "{PKI / "ca.crt"}"\n'
        )
        environment = {"OTEL_TRACES_EXPORTER": "none"}
        processes.start(_NAME, [BIN / "registry", "serve", CONFIG / f"{_NAME}.yaml"], environment)
        wait_for(_NAME, self._refuses_strangers, 20, processes.last_words(_NAME))

    def stop(self) -> None:
        """An outage."""
        processes.stop([_NAME])

    @staticmethod
    def _refuses_strangers() -> bool:
        processes.require_alive(_NAME)
        try:
            trust = ssl.create_default_context(cafile=str(PKI / "ca.crt"))
            urllib.request.urlopen(f"https://{PRIVATE}/v2/", timeout=5, context=trust).close()
        except urllib.error.HTTPError as error:
            return error.code == 401
        except OSError:
            return False
        raise AssertionError("the private registry lets strangers in")


@contextmanager
def private_registry() -> Iterator[PrivateRegistry]:
    """One that is up inside the block."""
    registry = PrivateRegistry()
    registry.start()
    try:
        yield registry
    finally:
        registry.stop()


def private(reference: str) -> str:
    """The same image at the private registry."""
    return reference.replace(REGISTRY, PRIVATE, 1)


def pull_secret(name: str, password: str = PASSWORD, registry: str = PRIVATE) -> dict[str, Any]:
    """As `kubectl create secret docker-registry` makes it."""
    auth = base64.b64encode(f"{USER}:{password}".encode()).decode()
    config = {"auths": {registry: {"username": USER, "password": password, "auth": auth}}}
    data = base64.b64encode(json.dumps(config).encode()).decode()
    return {
        "kind": "Secret",
        "type": "kubernetes.io/dockerconfigjson",
        "metadata": {"name": name},
        "data": {".dockerconfigjson": data},
    }


def variant(image: str, tag: str, *, platform: str = "linux/amd64", **config: Any) -> str:
    """`image` (by digest) with these keys of its configuration changed (None takes one away), under a tag.

    Returns `registry/repository:tag`.
    """
    repository, _, digest = image.removeprefix(f"{REGISTRY}/").partition("@")
    manifest = json.loads(_request(f"{repository}/manifests/{digest}", accept=_MANIFEST))
    document = json.loads(_request(f"{repository}/blobs/{manifest['config']['digest']}"))
    document["os"], _, document["architecture"] = platform.partition("/")
    merged = {**document["config"], **config}
    document["config"] = {key: value for key, value in merged.items() if value is not None}
    blob = json.dumps(document).encode()
    manifest["config"] |= {"digest": _push_blob(repository, blob), "size": len(blob)}
    _request(
        f"{repository}/manifests/{tag}",
        "PUT",
        json.dumps(manifest).encode(),
        content=manifest.get("mediaType", _MANIFEST),
    )
    return f"{REGISTRY}/{repository}:{tag}"


def _push_blob(repository: str, blob: bytes) -> str:
    digest = f"sha256:{hashlib.sha256(blob).hexdigest()}"
    start = urllib.request.Request(
        f"http://{REGISTRY}/v2/{repository}/blobs/uploads/", method="POST", data=b""
    )
    with urllib.request.urlopen(start, timeout=10) as answer:
        place = answer.headers["Location"]
    url = f"{place}{'&' if '?' in place else '?'}digest={digest}"
    put = urllib.request.Request(url, blob, {"Content-Type": "application/octet-stream"}, method="PUT")
    urllib.request.urlopen(put, timeout=10).close()
    return digest


def _request(
    path: str, method: str = "GET", body: bytes | None = None, *, accept: str = "*/*", content: str = "*/*"
) -> bytes:
    headers = {"Accept": accept, **({"Content-Type": content} if body is not None else {})}
    request = urllib.request.Request(f"http://{REGISTRY}/v2/{path}", body, headers, method=method)
    with urllib.request.urlopen(request, timeout=10) as answer:
        found: bytes = answer.read()
        return found
