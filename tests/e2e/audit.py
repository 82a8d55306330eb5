"""The API server's audit log: who asked for what, and when, to the microsecond."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tests.cluster.settings import LOG

AUDIT = LOG / "audit.jsonl"


@dataclass(frozen=True, slots=True)
class Request:
    """One request that was answered. `what` is `resource` or `resource/subresource`."""

    at: datetime
    user: str
    agent: str
    verb: str
    what: str
    namespace: str
    name: str
    code: int

    @property
    def is_background(self) -> bool:
        """Whether it belongs to no object's work: watches, lists and the Lease are there with or without jobs."""
        return self.verb in ("watch", "list") or self.what == "leases"


def mark() -> int:
    """Where the log ends now."""
    return AUDIT.stat().st_size


def since(offset: int) -> Iterator[Request]:
    """All requests after `mark()`."""
    with AUDIT.open("rb") as file:
        file.seek(offset)
        for line in file:
            if not line.endswith(b"\n"):
                break
            entry = json.loads(line)
            if entry["stage"] == "ResponseComplete":
                yield _request(entry)


def _request(entry: dict[str, Any]) -> Request:
    about = entry.get("objectRef") or {}
    sub = about.get("subresource")
    return Request(
        # An answer is complete at the stage; a request counts from when it came.
        at=datetime.fromisoformat(entry["requestReceivedTimestamp"].replace("Z", "+00:00")),
        user=entry["user"].get("username", ""),
        agent=entry.get("userAgent", ""),
        verb=entry["verb"],
        what=f"{about.get('resource', '')}/{sub}" if sub else about.get("resource", ""),
        namespace=about.get("namespace", ""),
        name=about.get("name", ""),
        code=(entry.get("responseStatus") or {}).get("code", 0),
    )
