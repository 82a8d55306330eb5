"""What the gateway asks of the store Pod, and its answer: paths below `gateway/` of one DataStore. Pure."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from algorithm_operator.api.base import Model

MAX_PARTS = 10_000
MAX_GATHERED = 2_000
MAX_ORDER_BYTES = 1024 * 1024
"""Of a request's JSON."""


class Compose(Model):
    """Make one file of parts, in their order; the parts are gone then. Without parts it is an empty file."""

    path: str
    parts: Annotated[list[str], Field(max_length=MAX_PARTS)]


class Gathered(Model):
    """A file, and the name that it gets in the folder."""

    path: str
    name: str


class Gather(Model):
    """Move files into one folder."""

    folder: str
    files: Annotated[list[Gathered], Field(max_length=MAX_GATHERED)]


class Stored(Model):
    """A file that is there: bytes, and sha256 in hexadecimal."""

    path: str
    size: int
    sha256: str
