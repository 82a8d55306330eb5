"""Unpacking a .tar.gz that may be hostile, in one pass and in bounded memory, with the hash of the file on the way.

tarfile reads the headers; it never touches the disk here, and what it may read for one header is bounded: names, pax
records and maps of sparse files are all read into memory.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tarfile
import zlib
from collections.abc import Iterator
from typing import Any

from algorithm_operator.api.text import quoted, shown
from algorithm_operator.steps.copying import BLOCK
from algorithm_operator.steps.tree import Tree, TreeError

_MAX_HEADER = 64 * 1024
"""Of one member, with long name and pax records."""
_MAX_GLOBALS = 64
"""Pax records that hold for all members to come."""
_MAX_PADDING = 16 * 1024 * 1024
"""After the end of the archive."""


class ArchiveError(ValueError):
    """The file is no .tar.gz, is damaged, or holds what it may not; the message is display-safe."""


def extract(source: int, tree: Tree) -> str:
    """Put all members of the .tar.gz that `source` is open on into `tree`; the sha256 of the file.

    :raises ArchiveError: it cannot be extracted.
    :raises TreeError: a member may not be there.
    :raises OSError: reading or writing failed.
    """
    file = _Hashed(source)
    try:
        with gzip.GzipFile(fileobj=file, mode="rb") as plain:
            stream = _Stream(plain)
            for member in _members(stream):
                _put(member, stream, tree)
            stream.drain()
    except (gzip.BadGzipFile, zlib.error) as error:
        raise ArchiveError(f"it is not a valid .tar.gz file ({shown(str(error), 128)})") from error
    except EOFError as error:
        raise ArchiveError("it is cut off") from error
    except (tarfile.TarError, RecursionError) as error:
        raise ArchiveError(f"it is damaged ({shown(str(error), 128)})") from error
    return file.digest.hexdigest()


class _Hashed(io.RawIOBase):
    """A descriptor as a file that hashes what is read of it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.digest = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = os.readv(self._descriptor, [buffer])
        self.digest.update(memoryview(buffer)[:count])
        return count


class _Stream:
    """The archive as tarfile reads it: forward only, and only so much for one header."""

    def __init__(self, source: gzip.GzipFile) -> None:
        self._source = source
        self._position = 0
        self._header = 0
        self.last = b""
        """What tarfile read last."""

    def tell(self) -> int:
        """How far it was read."""
        return self._position

    def seek(self, offset: int) -> None:
        """Over the rest of a block."""
        if offset < self._position:
            raise ArchiveError("it is damaged (it points back into itself)")
        self.read(offset - self._position)

    def read(self, size: int) -> bytes:
        """A piece of a header."""
        self._header += size
        if size < 0 or self._header > _MAX_HEADER:
            raise ArchiveError(f"a member has a header of more than {_MAX_HEADER} bytes, or a broken one")
        self.last = self._source.read(size)
        self._position += len(self.last)
        return self.last

    def begin_member(self) -> None:
        """A header was read; the next one may be as large as any."""
        self._header = 0

    def content(self, size: int) -> Iterator[bytes]:
        """The content of the member whose header was read."""
        while size > 0:
            data = self._source.read(min(BLOCK, size))
            if not data:
                raise ArchiveError("it is cut off")
            self._position += len(data)
            size -= len(data)
            yield data

    def drain(self) -> None:
        """Read what follows the last member, so that the checksum of the whole is looked at."""
        left = _MAX_PADDING
        while data := self._source.read(BLOCK):
            left -= len(data)
            if left < 0:
                raise ArchiveError("too much follows its end")


def _members(stream: _Stream) -> Iterator[tarfile.TarInfo]:
    """The members, one at a time: the content of each must be read before the next is asked for."""
    source: Any = stream
    tar: Any = tarfile.TarFile(fileobj=source, encoding="utf-8", errors="surrogateescape")
    while (member := tar.next()) is not None:
        tar.members.clear()  # it remembers them all
        if len(tar.pax_headers) > _MAX_GLOBALS:
            raise ArchiveError(f"it has more than {_MAX_GLOBALS} global records")
        stream.begin_member()
        yield member
    if stream.last.strip(b"\0"):  # tarfile takes a broken header for the end
        raise ArchiveError("it is damaged (a header is broken)")


def _put(member: tarfile.TarInfo, stream: _Stream, tree: Tree) -> None:
    name = _plain(member.name)
    if member.isdir():
        if name:
            tree.folder(name)
    elif member.issym():
        tree.link(name, member.linkname)
    elif member.islnk():
        tree.hard_link(name, _plain(member.linkname))
    elif member.sparse is not None or not member.isreg() or member.size < 0:
        raise TreeError(f"{quoted(member.name)} is {_what(member)}")
    else:
        with tree.file(name, executable=bool(member.mode & 0o100)) as target:
            for data in stream.content(member.size):
                tree.write(target, data)


def _plain(name: str) -> str:
    """A name without the "./" that `tar -C FOLDER .` puts before it; "" is the root."""
    while name.startswith("./"):
        name = name[2:].lstrip("/")
    return "" if name == "." else name


def _what(member: tarfile.TarInfo) -> str:
    if member.sparse is not None:
        return "a sparse file"
    if member.isfifo():
        return "a named pipe"
    return "a device" if member.isdev() else "neither a file nor a folder nor a link"
