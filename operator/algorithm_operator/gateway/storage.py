"""The bytes of a tenant, as the rest of the gateway sees them: files of a DataStore, reached through its store Pod.

All paths are below the store's root; what the gateway writes is below `gateway/` (`GATEWAY_FOLDER`). storepod.py and
stores.py implement this.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Protocol


class StoreUnavailable(Exception):  # noqa: N818 - says it better than "Error" would
    """The store cannot be reached now; the sentence says why, `retry_after` (seconds) when to ask again."""

    def __init__(self, sentence: str, retry_after: int = 2) -> None:
        super().__init__(sentence)
        self.sentence, self.retry_after = sentence, retry_after


class StoreRefused(Exception):  # noqa: N818
    """The store Pod said no: HTTP status and sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status, self.sentence = status, sentence


@dataclass(frozen=True, slots=True)
class Stored:
    """A file that was written: bytes and sha256 in hex, as the store counted them."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Stat:
    """A file or folder; size in bytes."""

    size: int
    folder: bool = False
    sha256: str | None = None


class Reading(Protocol):
    """An open file: its bytes from the offset on, in pieces of at most 256 KiB."""

    @property
    def size(self) -> int:
        """Of the whole file."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """The pieces; raises StoreUnavailable where the way is lost."""


class Store(Protocol):
    """One DataStore. Every method may raise StoreUnavailable or StoreRefused; every one may be repeated."""

    async def put(self, path: str, chunks: AsyncIterator[bytes], length: int) -> Stored:
        """Write a file of `length` bytes below the gateway's folder, in place of one that was there."""

    async def compose(self, path: str, parts: Sequence[str]) -> Stored:
        """Make one file of parts, in order; the parts are gone then. No parts: an empty file."""

    async def gather(self, folder: str, files: Mapping[str, str]) -> None:
        """Move files into one folder; `files` are their paths by the names that they get there."""

    async def delete(self, path: str) -> None:
        """Delete a file or a whole folder below the gateway's folder."""

    async def stat(self, path: str, *, sha256: bool = False) -> Stat | None:
        """What is there; None if nothing."""

    async def list(self, path: str) -> list[dict[str, Any]]:
        """The entries of a folder ({"name", "type": "file" | "folder", "size"}); none if there is no such folder."""

    def read(
        self, path: str, offset: int = 0, length: int | None = None
    ) -> AbstractAsyncContextManager[Reading]:
        """Open a file for reading. FileNotFoundError if there is none."""


class Stores(Protocol):
    """The DataStores of all namespaces."""

    async def store(self, namespace: str, name: str) -> Store:
        """A DataStore whose store Pod runs (it is started and waited for)."""

    async def default(self, namespace: str) -> str | None:
        """The name of the DataStore that the gateway uses in a namespace: the default one, or the only one."""


def suffix_of(path: str) -> str:
    """What a file is called at the end: `.mha`, or nothing."""
    return PurePosixPath(path).suffix
