"""The image registry (plain HTTP, at the same address for the host, the node and Pods) and questions to it."""

from __future__ import annotations

import urllib.error
import urllib.request
from typing import Final

from tests.cluster import processes
from tests.cluster.settings import BIN, CONFIG, REGISTRY, REGISTRY_DATA
from tests.cluster.shell import wait_for

_MANIFESTS: Final = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)


def start() -> None:
    """Start it; what was pushed before is still there."""
    CONFIG.mkdir(parents=True, exist_ok=True)
    REGISTRY_DATA.mkdir(parents=True, exist_ok=True)
    (CONFIG / "registry.yaml").write_text(
        f"""\
version: 0.1
log: {{level: warn, accesslog: {{disabled: true}}}}
storage:
  filesystem: {{rootdirectory: "{REGISTRY_DATA}"}}
  delete: {{enabled: true}}
  maintenance: {{uploadpurging: {{enabled: false}}}}
http: {{addr: "{REGISTRY}"}}
"""
    )
    processes.start(
        "registry", [BIN / "registry", "serve", CONFIG / "registry.yaml"], {"OTEL_TRACES_EXPORTER": "none"}
    )
    wait_for("registry", _answers_or_dead, 20, processes.last_words("registry"))


def answers() -> bool:
    """Whether it is there."""
    try:
        with urllib.request.urlopen(f"http://{REGISTRY}/v2/", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def digest(repository: str, tag: str, at: str = REGISTRY) -> str | None:
    """The digest behind a tag, or None when it has no such image."""
    request = urllib.request.Request(
        f"http://{at}/v2/{repository}/manifests/{tag}", headers={"Accept": _MANIFESTS}, method="HEAD"
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return str(answer.headers["Docker-Content-Digest"])
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return None
        raise


def _answers_or_dead() -> bool:
    processes.require_alive("registry")
    return answers()
