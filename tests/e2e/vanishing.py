"""An image that can be looked up and then cannot be pulled: its manifest is deleted from the registry."""

from __future__ import annotations

import json
import urllib.request
import uuid

from tests.cluster.settings import REGISTRY

_TYPE = "application/vnd.oci.image.manifest.v1+json"


class VanishingImage:
    """A repository of its own with the layers of another image (`registry/name@sha256:…`) and a digest of its own."""

    def __init__(self, source: str) -> None:
        repository, _, digest = source.removeprefix(f"{REGISTRY}/").partition("@")
        self.repository = f"e2e/vanishing-{uuid.uuid4().hex[:8]}"
        manifest = json.loads(_ask("GET", f"{repository}/manifests/{digest}", accept=_TYPE)[0])
        for blob in (manifest["config"], *manifest["layers"]):
            _ask("POST", f"{self.repository}/blobs/uploads/?mount={blob['digest']}&from={repository}")
        manifest["annotations"] = {"test": self.repository}
        body = json.dumps(manifest).encode()
        self.digest = _ask("PUT", f"{self.repository}/manifests/1", body)[1]
        self.reference = f"{REGISTRY}/{self.repository}:1"

    def vanish(self) -> None:
        """Delete the manifest: from now on the registry knows no such image."""
        _ask("DELETE", f"{self.repository}/manifests/{self.digest}")


def _ask(method: str, path: str, body: bytes | None = None, accept: str = "*/*") -> tuple[bytes, str]:
    headers = {"Accept": accept} | ({"Content-Type": _TYPE} if body else {})
    request = urllib.request.Request(
        f"http://{REGISTRY}/v2/{path}", data=body, headers=headers, method=method
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        return answer.read(), str(answer.headers.get("Docker-Content-Digest", ""))
