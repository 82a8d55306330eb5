"""What the corpus is made of: rows (what is tried, what stops it) and entries (one hostile file or tree each)."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

Write = Callable[[Path, Path], None]
"""Writes an entry: to where it belongs (nothing is there yet, the folder above is), and a folder outside that it may
point to. There, `secret` is a file of somebody else's."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of docs/attacks.md. `source` is the list that it stands for: E.2 outputs, E.3 inputs."""

    source: str
    attempt: str
    stopped: str


@dataclass(frozen=True, slots=True)
class Entry:
    """`says` is what the owner reads, where "…" stands for anything and case does not matter; None: it is taken.

    `reaches`: a reader that believes what it reads opens the secret. `settings`: of the plan; such an entry, and one
    that is `alone`, has an attempt of its own. `heavy`: only `make fuzz` runs it.
    """

    id: str
    row: Row
    write: Write
    says: str | None
    kind: str = "Anything"
    reaches: bool = False
    alone: bool = False
    heavy: bool = False
    settings: dict[str, int] = field(default_factory=dict)
    socket: dict[str, Any] = field(default_factory=dict)

    def is_said(self, text: str) -> bool:
        """Whether `text` is what the owner should read."""
        assert self.says is not None
        pattern = ".*".join(re.escape(part) for part in self.says.split("…"))
        return re.search(pattern, text, re.IGNORECASE) is not None


@dataclass(frozen=True, slots=True)
class Output(Entry):
    """What an algorithm leaves at its socket's path, or `beside` all sockets, where nothing is declared."""

    beside: bool = False


of_image = partial(Output, kind="Image")
beside = partial(Output, beside=True)


@dataclass(frozen=True, slots=True)
class Input(Entry):
    """What lies in a store; `path` is what the job names, a folder if it ends in "/". `absent`: never staged."""

    kind: str = "Image"
    path: str = "case/"
    absent: bytes = b""


def holds(data: bytes) -> Write:
    """A file with that content."""

    def write(where: Path, outside: Path) -> None:
        where.write_bytes(data)

    return write


def folder(**files: bytes) -> Write:
    """A folder with these files; `__` in a name stands for a dot."""

    def write(where: Path, outside: Path) -> None:
        where.mkdir()
        for name, data in files.items():
            (where / name.replace("__", ".")).write_bytes(data)

    return write


def image(data: bytes) -> Write:
    """A folder with one `.mha` file."""
    return folder(x__mha=data)


def sparse(start: bytes, size: int) -> Write:
    """A file of `size` bytes that begins with `start` and occupies next to nothing."""

    def write(where: Path, outside: Path) -> None:
        where.write_bytes(start)
        with where.open("r+b") as file:
            file.truncate(size)

    return write


def inside(name: str, write: Write) -> Write:
    """A folder in which `write` writes the entry `name`."""

    def within(where: Path, outside: Path) -> None:
        where.mkdir()
        write(where / name, outside)

    return within


def deflated_zeros(start: bytes, mebibytes: int) -> bytes:
    """Raw deflate data of `start` and as many zeros, made without deflating them all."""
    deflate = zlib.compressobj(9, wbits=-15)
    head = deflate.compress(start) + deflate.flush(zlib.Z_FULL_FLUSH)
    zeros = deflate.compress(bytes(1 << 20)) + deflate.flush(zlib.Z_FULL_FLUSH)
    return head + zeros * mebibytes + deflate.flush()
