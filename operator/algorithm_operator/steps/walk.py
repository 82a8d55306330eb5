"""The walk of a hostile tree: by descriptors, one name at a time, never through a link. Names are bytes.

Nothing is opened but folders while the tree is listed; a file is opened when it is wanted, and looked at again then.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum, auto

_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
MAX_NAME = 255
MAX_PATH = 1024
MAX_PATHS = 32 * 1024**2
"""Bytes of all paths of a tree together: they are kept in memory."""
MAX_REFUSED = 64
"""How many refused entries are told one by one; the rest is counted."""

_SPECIAL = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class RefusedError(ValueError):
    """What is there may not be followed or read; the message says what it is."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How large a tree may be. Sizes are apparent sizes in bytes."""

    max_entries: int = 100_000
    max_depth: int = 32
    max_file_bytes: int = 64 * 1024**3
    links: bool = False
    """Symbolic links are told (`Tree.links`) and hard links are files: for trees that no algorithm wrote."""


@dataclass(frozen=True, slots=True)
class File:
    """A regular file below the root."""

    path: bytes
    size: int


class Problem(Enum):
    """Why an entry is refused."""

    SPECIAL = auto()
    """A link, a pipe, a device: no plain file or folder."""
    TOO_LARGE = auto()
    TREE = auto()
    """The tree is too deep, has too many entries or cannot be listed."""


@dataclass(frozen=True, slots=True)
class Refused:
    """An entry that may not be there, and why; `b""` is the root."""

    path: bytes
    problem: Problem
    why: str


@dataclass(slots=True)
class Tree:
    """What the walk found: regular files, what it refused (at most MAX_REFUSED told), and how much in all."""

    files: list[File] = field(default_factory=list)
    folders: set[bytes] = field(default_factory=set)
    links: list[bytes] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    refused_count: int = 0
    entries: int = 0

    def refuse(self, path: bytes, problem: Problem, why: str) -> None:
        """Note an entry that may not be there."""
        self.refused_count += 1
        if len(self.refused) < MAX_REFUSED:
            self.refused.append(Refused(path, problem, why))

    def below(self, folder: bytes) -> Iterator[File]:
        """The regular files in `folder` and its folders."""
        prefix = folder + b"/"
        return (file for file in self.files if file.path.startswith(prefix))

    def file(self, path: bytes) -> File | None:
        """The regular file at `path`."""
        return next((file for file in self.files if file.path == path), None)

    def refused_at(self, path: bytes) -> bool:
        """Whether `path`, something above or something below it was refused."""
        return any(
            not r.path  # the root: not all of it was looked at
            or r.path == path
            or path.startswith(r.path + b"/")
            or r.path.startswith(path + b"/")
            for r in self.refused
        )


def open_root(path: str) -> int:
    """A descriptor of a mount. The mount itself is ours; only what is in it is hostile."""
    return os.open(path, _FLAGS | os.O_DIRECTORY)


def open_file(root: int, path: bytes, *, links: bool = False) -> int:
    """A descriptor of the regular file at `path` below `root`, each component opened without following links.

    :raises RefusedError: it is, or lies below, something else than a plain folder or file.
    :raises OSError: it is not there, or may not be read.
    """
    found = open_entry(root, path, links=links)
    if not stat.S_ISREG(os.fstat(found).st_mode):
        os.close(found)
        raise RefusedError("a folder")
    return found


def open_entry(root: int, path: bytes, *, links: bool = False) -> int:
    """As `open_file`, of a regular file or a folder. With `links`, a file may have several names."""
    device = os.fstat(root).st_dev
    *folders, name = path.split(b"/")
    current = os.dup(root)
    try:
        for folder in folders:
            current = _step(current, folder, os.O_DIRECTORY)
            _check(os.fstat(current), device)
        current = _step(current, name, 0)
        if why := _why_refused(os.fstat(current), device, links=links):
            raise RefusedError(why)
    except BaseException:
        os.close(current)
        raise
    return current


def read_link(root: int, path: bytes) -> bytes:
    """Where the symbolic link at `path` below `root` says that it leads."""
    above, _, name = path.rpartition(b"/")
    folder = open_entry(root, above) if above else os.dup(root)
    try:
        return os.readlink(name, dir_fd=folder)
    finally:
        os.close(folder)


def _step(current: int, name: bytes, flags: int) -> int:
    """Open `name` in `current`, which is closed if that works."""
    if name in (b"", b".", b".."):
        raise RefusedError("not a plain name")
    try:
        following = os.open(name, _FLAGS | flags, dir_fd=current)
    except OSError as error:
        if why := _why_refused(os.stat(name, dir_fd=current, follow_symlinks=False)):
            raise RefusedError(why) from error
        raise
    os.close(current)
    return following


def special(mode: int) -> str | None:
    """What an entry is if it is neither a regular file nor a folder."""
    kind = stat.S_IFMT(mode)
    return None if kind in (stat.S_IFREG, stat.S_IFDIR) else _SPECIAL.get(kind, "a special file")


def _check(status: os.stat_result, device: int) -> None:
    if why := _why_refused(status, device):
        raise RefusedError(why)


def _why_refused(status: os.stat_result, device: int | None = None, *, links: bool = False) -> str | None:
    if why := special(status.st_mode):
        return why
    if stat.S_ISREG(status.st_mode) and status.st_nlink > 1 and not links:
        return f"a hard link ({status.st_nlink} names for one file)"
    if device is not None and status.st_dev != device:
        return "another file system"
    return None


def scan(root: int, limits: Limits) -> Tree:
    """List everything below `root`, depth first with at most `max_depth` descriptors open.

    Ends early, with a refusal that says so, when there are more than `max_entries` entries.
    """
    tree = Tree()
    device = os.fstat(root).st_dev
    told = 0
    pending: list[tuple[bytes, int, Iterator[os.DirEntry[str]]]] = []

    def enter(path: bytes, descriptor: int) -> None:
        pending.append((path, descriptor, os.scandir(descriptor)))

    enter(b"", os.dup(root))
    try:
        while pending:
            folder, descriptor, entries = pending[-1]
            entry = next(entries, None)
            if entry is None:
                pending.pop()
                entries.close()  # type: ignore[attr-defined]
                os.close(descriptor)
                continue
            if tree.entries >= limits.max_entries:
                tree.refuse(b"", Problem.TREE, f"it has more than {limits.max_entries} entries in all")
                break
            tree.entries += 1
            name = os.fsencode(entry.name)
            path = folder + b"/" + name if folder else name
            told += len(path)
            if told > MAX_PATHS:
                tree.refuse(
                    b"", Problem.TREE, f"the paths of its entries have more than {MAX_PATHS} bytes in all"
                )
                break
            below = _look(tree, descriptor, name, path, device, limits, depth=len(pending))
            if below is not None:
                enter(path, below)
    finally:
        for _, descriptor, entries in pending:
            entries.close()  # type: ignore[attr-defined]
            os.close(descriptor)
    return tree


def _look(
    tree: Tree, parent: int, name: bytes, path: bytes, device: int, limits: Limits, depth: int
) -> int | None:
    """Put one entry into `tree`; the descriptor of a folder that is to be entered."""
    status = os.stat(name, dir_fd=parent, follow_symlinks=False)
    if limits.links and stat.S_ISLNK(status.st_mode):
        tree.links.append(path)
        return None
    if why := _why_refused(status, device, links=limits.links):
        tree.refuse(path, Problem.SPECIAL, why)
        return None
    if len(name) > MAX_NAME or len(path) > MAX_PATH:
        tree.refuse(path, Problem.TREE, f"its path has more than {MAX_PATH} bytes")
        return None
    if stat.S_ISREG(status.st_mode):
        if status.st_size > limits.max_file_bytes:
            tree.refuse(path, Problem.TOO_LARGE, f"it has {status.st_size} bytes")
        else:
            tree.files.append(File(path, status.st_size))
        return None
    tree.folders.add(path)
    if depth >= limits.max_depth:
        tree.refuse(path, Problem.TREE, f"it is more than {limits.max_depth} folders deep")
        return None
    try:
        return os.open(name, _FLAGS | os.O_DIRECTORY, dir_fd=parent)
    except PermissionError:
        tree.refuse(path, Problem.TREE, "the algorithm's own user may not list it")
        return None
