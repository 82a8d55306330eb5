"""/input while it is filled: new files alone, read-only, hashed on the way."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass

from algorithm_operator.steps.copying import copy, hashed, write_all
from algorithm_operator.steps.sources import Source

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Stored:
    """A file as it lies there: hex sha256 and size."""

    sha256: str
    bytes: int


class InputFolder:
    """Paths are relative to `root` and the operator's own (checked when the Algorithm was accepted)."""

    def __init__(self, root: str) -> None:
        self.root = root

    def place(self, path: str) -> str:
        """Where `path` is; the folders above it are there afterwards."""
        if any(segment in ("", ".", "..") for segment in path.split("/")):
            raise ValueError(f"relative path {path!r}")
        where = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(where), exist_ok=True)
        return where

    def write(self, path: str, data: bytes) -> Stored:
        """A new file of `data`."""
        target = self._create(path)
        try:
            write_all(target, data)
        finally:
            os.close(target)
        return Stored(hashlib.sha256(data).hexdigest(), len(data))

    def copy(self, path: str, source: Source, header: bytes = b"", offset: int = 0) -> Stored:
        """A new file of `header` and the bytes of `source` from `offset` on."""
        target = self._create(path)
        try:
            write_all(target, header)
            digest = copy(source.descriptor, target, source.size, header, offset)
        finally:
            os.close(target)
        return Stored(digest, len(header) + source.size - offset)

    def adopt(self, path: str) -> Stored:
        """A file that a child of ours wrote at `place(path)`."""
        with self.opened(path) as descriptor:
            os.fchmod(descriptor, 0o444)
            size = os.fstat(descriptor).st_size
            return Stored(hashed(descriptor, size).hexdigest(), size)

    @contextlib.contextmanager
    def opened(self, path: str) -> Iterator[int]:
        """A descriptor of a file that lies there, to read it again."""
        descriptor = os.open(self.place(path), _READ)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def close(self) -> None:
        """Make all folders read-only, but for the mount itself, which is not ours."""
        for folder, _, _ in os.walk(self.root):
            if folder != self.root:
                os.chmod(folder, 0o555)  # noqa: S103 - read-only is the point

    def _create(self, path: str) -> int:
        target = os.open(self.place(path), _NEW, 0o444)
        os.fchmod(target, 0o444)  # whatever the umask is
        return target
