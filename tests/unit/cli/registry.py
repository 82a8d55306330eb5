"""A small registry: what `push` needs of the distribution API, in memory, with what registries do not do."""

from __future__ import annotations

import base64
import hashlib
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

REPOSITORY = "team/lesions"


@dataclass
class Registry:
    """What it has, what it was asked, and how it behaves."""

    host: str
    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    scheme: str = "http"
    login: str | None = None
    refuses: int | None = None
    """The HTTP status that uploads begin with."""


@contextmanager
def running(certificate: Path | None = None) -> Iterator[Registry]:
    """A registry at a free port of 127.0.0.1; with a certificate (and its key in the same file) it speaks TLS."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    registry = Registry(f"127.0.0.1:{server.server_port}")
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        registry.scheme = "https"
    server.registry = registry  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield registry
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    @property
    def registry(self) -> Registry:
        found: Registry = self.server.registry  # type: ignore[attr-defined]
        return found

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _any(self) -> None:
        body, registry = self._body(), self.registry
        parts = urlsplit(self.path)
        registry.asked.append(f"{self.command} {parts.path}")
        if registry.login is not None:
            wanted = "Basic " + base64.b64encode(registry.login.encode()).decode()
            if self.headers.get("Authorization") != wanted:
                return self._answer(401, WWW_Authenticate='Basic realm="tests"')
        base = f"/v2/{REPOSITORY}/"
        assert parts.path.startswith(base)
        match self.command, *parts.path.removeprefix(base).split("/"):
            case "HEAD", "blobs", digest:
                return self._answer(200 if digest in registry.blobs else 404)
            case "POST", "blobs", "uploads", "":
                if registry.refuses is not None:
                    error = {"errors": [{"code": "DENIED", "message": "quota\u202e is used up"}]}
                    return self._answer(registry.refuses, json.dumps(error).encode())
                return self._answer(
                    202, Location=f"{registry.scheme}://{registry.host}{base}blobs/uploads/1?state=a"
                )
            case "PUT", "blobs", "uploads", "1":
                query = parse_qs(parts.query)
                digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
                if query != {"state": ["a"], "digest": [digest]}:
                    return self._answer(400)
                registry.blobs[digest] = body
                return self._answer(201)
            case "PUT", "manifests", tag:
                registry.manifests[tag] = (self.headers["Content-Type"], body)
                return self._answer(201)
        return self._answer(405)

    do_GET = do_HEAD = do_POST = do_PUT = _any  # noqa: N815
