"""One question to a registry, and the answer: what the operator orders of an inspect Pod, and what that reports.

The answer's bytes go to the Pod's log as frames (`frames.py`); the report is the container's termination message.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from algorithm_operator.api.base import Model

MAX_FETCH_BYTES = 1024 * 1024
"""The largest manifest or configuration that is looked at."""
FETCH_OK, FETCH_REFUSED = 0, 65
"""Exit codes of the step."""
ORDER_VARIABLE = "AO_FETCH"
MAX_CA_BYTES = 96 * 1024
"""The order is one environment variable, which takes 128 KiB."""

FetchKind = Literal["manifests", "blobs"]
"""As they stand in a registry's URLs."""


class Endpoint(Model):
    """One place to ask: the registry itself, or a mirror of it."""

    host: str
    """host[:port]"""
    repository: str
    insecure: bool = False
    """Plain HTTP."""


class Order(Model):
    """What to fetch: one manifest, by tag or digest, or one blob by digest, from the first endpoint that has it."""

    endpoints: Annotated[list[Endpoint], Field(min_length=1)]
    """Mirrors first; the last one is the registry itself."""
    kind: FetchKind
    version: str
    ca: str | None = None
    """PEM of the authorities that are trusted beside the system's."""
    secrets: list[str] = []
    """Names of the Secrets that are mounted, in the order of their mounts."""


class Outcome(StrEnum):
    """How a fetch ended."""

    FETCHED = "Fetched"
    NOT_FOUND = "NotFound"
    UNAUTHORIZED = "Unauthorized"
    UNREACHABLE = "Unreachable"


class FetchReport(Model):
    """How the fetch ended, in words of ours: nothing that a registry says but numbers and host names."""

    outcome: Outcome
    why: str = ""
    refused: str | None = None
    """Unauthorized: the Secret whose credentials the registry refused; None: none was for that registry."""
    missing: list[str] = []
    """Secrets that are not there."""
    unusable: list[str] = []
    """Secrets that are there and hold no registry credentials."""
