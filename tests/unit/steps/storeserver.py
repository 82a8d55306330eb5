"""The store Pod's server on loopback, and a plain client of it."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from algorithm_operator.steps.store import make_server


@contextmanager
def serving(root: Path) -> Iterator[int]:
    """The port at which `root` is served."""
    server = make_server(str(root), 0)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class Client:
    """Requests to the server of `root`."""

    root: Path
    port: int

    def ask(
        self, method: str, target: str, body: bytes | None = None, **headers: str
    ) -> tuple[int, bytes, Any]:
        """Status, body and headers of an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, target, body=body, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read(), answer.headers
        finally:
            connection.close()

    def json(self, method: str, target: str, body: bytes | None = None) -> tuple[int, dict[str, Any]]:
        """Status and JSON of an answer."""
        status, text, _ = self.ask(method, target, body)
        return status, json.loads(text)

    def wait_part(self, path: str, size: int) -> None:
        """Wait until so much of an unfinished upload is there."""
        deadline = time.monotonic() + 20
        part = self.root / f"{path}.part"
        while not part.exists() or part.stat().st_size < size:
            assert time.monotonic() < deadline
            time.sleep(0.01)
