"""A folder that is filled from what somebody else named: by descriptors, within bounds, symbolic links last of all.

No link is there while files are written, so nothing can be written through one.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum, auto

from algorithm_operator.api.text import quoted
from algorithm_operator.contract.paths import check_store_path
from algorithm_operator.steps.copying import write_all

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_MAX_TARGET = 1024
_MAX_HOPS = 40
"""Links on the way of a link, as the kernel has it."""
_MAX_STEPS = 1_000_000
"""Names that are looked at to follow all links of a tree."""
_FREE_SHARE = 0.1
"""Of what is free on the volume's file system, this much stays free: others live on it too."""


class TreeError(ValueError):
    """An entry may not be there; the message is display-safe."""


class TreeTooLargeError(TreeError):
    """The entries are more, or larger, than the bounds."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How large a tree may be: entries in all, names one below the other, bytes of all files."""

    entries: int
    depth: int
    bytes: int


class _Kind(Enum):
    FOLDER = auto()
    FILE = auto()
    LINK = auto()


class Tree:
    """A folder that was empty. Names are relative to it; an entry is never replaced.

    Methods raise TreeError for what is the source's fault, and OSError for what is the volume's.
    """

    def __init__(self, path: str, bounds: Bounds) -> None:
        self._root = os.open(path, _FOLDER)
        self._bounds = bounds
        volume = os.fstatvfs(self._root)
        self._room = int(volume.f_bavail * volume.f_frsize * (1 - _FREE_SHARE))
        self._kinds: dict[str, _Kind] = {}
        self._links: dict[str, str] = {}
        self._steps = 0
        self.files = 0
        self.bytes = 0

    def close(self) -> None:
        """Release the folder."""
        os.close(self._root)

    def folder(self, name: str) -> None:
        """A folder; it may have been there, as the parent of something."""
        self._check_name(name)
        if self._kinds.get(name) is not _Kind.FOLDER:
            self._add(name, _Kind.FOLDER)
            with self._parent(name) as (parent, last):
                os.mkdir(last, 0o700, dir_fd=parent)

    @contextmanager
    def file(self, name: str, *, executable: bool) -> Iterator[int]:
        """A new file, for `write`; read-only afterwards."""
        self._check_name(name)
        self._add(name, _Kind.FILE)
        self.files += 1
        with self._parent(name) as (parent, last):
            descriptor = os.open(last, _NEW, 0o600, dir_fd=parent)
        try:
            yield descriptor
            os.fchmod(descriptor, 0o555 if executable else 0o444)
        finally:
            os.close(descriptor)

    def write(self, descriptor: int, data: bytes | memoryview) -> None:
        """Append to a file of the tree."""
        self.bytes += len(data)
        if self.bytes > self._bounds.bytes:
            raise TreeTooLargeError(f"its files have more than {self._bounds.bytes} bytes in all")
        if self.bytes > self._room:
            raise OSError(errno.ENOSPC, f"the node's disk has no room for it ({self._room} bytes are left)")
        write_all(descriptor, data)

    def hard_link(self, name: str, target: str) -> None:
        """Another name of a file that is there."""
        self._check_name(name)
        if self._kinds.get(target) is not _Kind.FILE:
            raise TreeError(f"{quoted(name)} is a hard link to {quoted(target)}, which is no file before it")
        self._add(name, _Kind.FILE)
        self.files += 1
        with self._parent(name) as (parent, last), self._parent(target) as (source, there):
            os.link(there, last, src_dir_fd=source, dst_dir_fd=parent, follow_symlinks=False)

    def link(self, name: str, target: str) -> None:
        """A symbolic link; it is made, and where it leads is checked, by `finish`."""
        self._check_name(name)
        if target.startswith("/"):
            raise TreeError(f"{quoted(name)} is a link to the absolute path {quoted(target)}")
        if not target or len(target) > _MAX_TARGET or not target.isprintable():
            raise TreeError(f"{quoted(name)} is a link to {quoted(target)}, which is no plain path")
        self._add(name, _Kind.LINK)
        self._links[name] = target

    def finish(self) -> None:
        """Make the links, and everything read-only."""
        for name, target in self._links.items():
            self._follow(name, target)
        for name, target in self._links.items():
            with self._parent(name) as (parent, last):
                os.symlink(target, last, dir_fd=parent)
        folders = [name for name, kind in self._kinds.items() if kind is _Kind.FOLDER]
        for name in sorted(folders, reverse=True):  # what is below comes first
            with self._parent(name) as (parent, last):
                os.chmod(last, 0o555, dir_fd=parent)  # noqa: S103 - read-only is the point

    def _check_name(self, name: str) -> None:
        if why := check_store_path(name):
            raise TreeError(f"the name {quoted(name)} is not allowed: {why.partition(';')[0].rstrip('.')}")
        if name.endswith("/"):
            raise TreeError(f'the name {quoted(name)} is not allowed: it ends with "/"')
        if name.count("/") >= self._bounds.depth:
            raise TreeError(f"{quoted(name)} is more than {self._bounds.depth} folders deep")

    def _add(self, name: str, kind: _Kind) -> None:
        """Note an entry, and make the folders above it."""
        above = name.rpartition("/")[0]
        if above and (found := self._kinds.get(above)) is not _Kind.FOLDER:
            if found is not None:
                what = "a link" if found is _Kind.LINK else "a file"
                raise TreeError(f"{quoted(name)} lies below {quoted(above)}, which is {what}")
            self.folder(above)
        if name in self._kinds:
            raise TreeError(f"{quoted(name)} is there twice")
        if len(self._kinds) >= self._bounds.entries:
            raise TreeTooLargeError(f"it has more than {self._bounds.entries} entries")
        self._kinds[name] = kind

    @contextmanager
    def _parent(self, name: str) -> Iterator[tuple[int, str]]:
        """A descriptor of the folder that `name` lies in, and its last part."""
        *folders, last = name.split("/")
        current = os.dup(self._root)
        try:
            for folder in folders:
                following = os.open(folder, _FOLDER, dir_fd=current)
                os.close(current)
                current = following
            yield current, last
        finally:
            os.close(current)

    def _follow(self, name: str, target: str) -> None:
        """Go where the kernel would go, through other links too, and never above the root."""
        place, pending, hops = name.split("/")[:-1], target.split("/")[::-1], 0
        while pending:
            self._steps += 1
            if self._steps > _MAX_STEPS:
                raise TreeError("its symbolic links are too many to follow")
            part = pending.pop()
            if part == "..":
                if not place:
                    raise TreeError(f"{quoted(name)} is a link to {quoted(target)}, which lies outside")
                place.pop()
            elif part not in ("", "."):
                place.append(part)
                if (onward := self._links.get("/".join(place))) is not None:
                    hops += 1
                    if hops > _MAX_HOPS:
                        raise TreeError(f"{quoted(name)} is a link that leads in a circle")
                    place.pop()
                    pending += onward.split("/")[::-1]
