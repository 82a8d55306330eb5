"""Copying with the hash taken on the way, a piece that fits the processor's cache at a time, whatever the size."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from typing import Any

BLOCK = 256 * 1024
Hash = Any
"""A state of hashlib; its type has no public name."""


class ChangedError(Exception):
    """A file did not have the size that it was checked with."""


def blocks(source: int, size: int, offset: int = 0) -> Iterator[memoryview]:
    """Bytes `offset` to `size` of a descriptor; a view is valid until the next one is asked for.

    :raises ChangedError: the file is shorter.
    """
    buffer = memoryview(bytearray(min(BLOCK, max(size - offset, 1))))
    while offset < size:
        count = os.preadv(source, [buffer[: min(len(buffer), size - offset)]], offset)
        if count == 0:
            raise ChangedError(f"the file ended after {offset} of {size} bytes")
        yield buffer[:count]
        offset += count


def hashed(source: int, size: int) -> Hash:
    """The sha256 of the first `size` bytes of a descriptor, as a state that can take more.

    :raises ChangedError: it holds fewer.
    """
    digest = hashlib.sha256()
    for block in blocks(source, size):
        digest.update(block)
    return digest


def write_all(target: int, data: bytes | memoryview) -> None:
    """Write all of `data`."""
    view = memoryview(data)
    while view:
        view = view[os.write(target, view) :]


def copy(source: int, target: int, size: int, before: bytes = b"", offset: int = 0) -> str:
    """Copy bytes `offset` to `size` between descriptors; their sha256, with that of what was written `before`.

    :raises ChangedError: the source holds fewer or more bytes.
    """
    digest = hashlib.sha256(before)
    for block in blocks(source, size, offset):
        digest.update(block)
        write_all(target, block)
    if os.pread(source, 1, size):
        raise ChangedError(f"the file grew beyond {size} bytes")
    return digest.hexdigest()


def listed(digests: Mapping[bytes, str]) -> str:
    """The sha256 of many files together, whose paths and hex sha256 are given: that of the list that sha256sum prints
    of them, a line `<sha256>  <path>` each, sorted by path."""
    lines = b"".join(digests[path].encode() + b"  " + path + b"\n" for path in sorted(digests))
    return hashlib.sha256(lines).hexdigest()
