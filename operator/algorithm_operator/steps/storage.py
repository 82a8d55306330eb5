"""A volume as the store Pod's server handles it: every path walked by descriptors, uploads that can be resumed."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import stat
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, BinaryIO, Protocol

from algorithm_operator.contract.paths import check_store_path
from algorithm_operator.core import names
from algorithm_operator.steps import walk
from algorithm_operator.steps.commit import file_mode, sync_folder
from algorithm_operator.steps.copying import BLOCK, Hash, hashed, write_all

PART = ".part"
MAX_LISTED = 10_000
MAX_REMEMBERED = 64
"""Unfinished uploads whose hash is kept in memory, so that one in many parts is not read again and again."""
_UID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_KEPT = {
    "a job's results, which only the job": re.compile(rf"[^/]+/{_UID}/[0-9]+(/|$)"),
    "an import's image, which only the import": re.compile(rf"{names.IMPORTS_FOLDER}/[^/]+/{_UID}(/|$)"),
}
"""Where they keep what came out (`core/names.py`): whoever may upload must not be able to change or pre-empt it."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class StorageError(ValueError):
    """The path or the upload is not as it must be; the message is for the person who asked."""


class ConflictError(StorageError):
    """An upload stands elsewhere; `offset` is where it goes on."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.offset = offset


class Readable(Protocol):
    """Bytes that arrive."""

    def readinto(self, buffer: memoryview) -> int:
        """Fill some of `buffer`; 0 at the end."""


@dataclass(frozen=True, slots=True)
class _Unfinished:
    """An upload in parts: the hash of the whole, and size and hash state of what is there."""

    sha256: str
    size: int
    digest: Hash


class Storage:
    """The files below `root`."""

    def __init__(self, root: str) -> None:
        self._root = os.open(root, _FOLDER)
        self._unfinished: OrderedDict[tuple[int, int], _Unfinished] = OrderedDict()

    @contextmanager
    def open(self, path: str) -> Iterator[BinaryIO]:
        """A regular file, for reading."""
        try:
            descriptor = walk.open_file(self._root, os.fsencode(_checked(path)))
        except walk.RefusedError as error:
            raise StorageError(f"this is {error}, not a file") from error
        with open(descriptor, "rb", buffering=0) as file:
            yield file

    def hash_of(self, descriptor: int, size: int) -> str:
        """sha256 of an open file."""
        sha256: str = hashed(descriptor, size).hexdigest()
        return sha256

    def list(self, path: str) -> dict[str, Any]:
        """The folders and regular files in a folder; links and special files are not shown."""
        with ExitStack() as opened:
            folder = self._folder(_checked(path).rstrip("/") if path.strip("/") else "", opened)
            entries: list[dict[str, Any]] = []
            more = False
            with os.scandir(folder) as found:
                for entry in found:
                    status = entry.stat(follow_symlinks=False)
                    kind = _kind(status)
                    if kind is None or not _encodable(entry.name):
                        continue
                    if len(entries) == MAX_LISTED:
                        more = True
                        break
                    entries.append({"name": entry.name, **_facts(status, kind)})
        entries.sort(key=lambda entry: entry["name"])
        return {"path": path, "entries": entries, "more": more}

    def stat(self, path: str, *, with_hash: bool) -> dict[str, Any]:
        """What a path is. `part` is there if an upload to it is not finished."""
        checked = _checked(path).rstrip("/")
        parent, _, name = checked.rpartition("/")
        answer: dict[str, Any] = {"path": path}
        with ExitStack() as opened:
            folder = self._folder(parent, opened)
            part = _size(folder, name + PART)
            if part is not None:
                answer["part"] = part
            try:
                status = os.stat(name, dir_fd=folder, follow_symlinks=False)
            except FileNotFoundError:
                if part is None:
                    raise
                return answer | {"type": "part", "size": part}
        kind = _kind(status)
        if kind is None:
            raise StorageError("this is neither a file nor a folder")
        answer |= _facts(status, kind)
        if with_hash and kind == "file":
            with self.open(path) as file:
                answer["sha256"] = self.hash_of(file.fileno(), os.fstat(file.fileno()).st_size)
        return answer

    def put(self, path: str, body: Readable, *, offset: int, total: int, sha256: str) -> int:
        """Append `body` to an upload that has `offset` bytes; how many it has then.

        At `total` the hash is checked and the file gets its name, in place of one that was there.

        :raises ConflictError: the upload has not `offset` bytes, or another one is going on, or the hash differs.
        """
        checked = _checked(path)
        if checked.endswith("/"):
            raise StorageError("this is a folder; name the file")
        for whose, folder_of in _KEPT.items():
            if folder_of.match(checked):
                raise StorageError(f"this is the folder of {whose} itself writes")
        parent, _, name = checked.rpartition("/")
        if name.endswith(PART):
            raise StorageError(f'names that end with "{PART}" are those of unfinished uploads')
        if len(os.fsencode(name + PART)) > walk.MAX_NAME:
            raise StorageError(f"the name is longer than {walk.MAX_NAME - len(PART)} bytes")
        with ExitStack() as opened:
            folder = self._folder(parent, opened, create=True)
            upload = _open_part(folder, name + PART, opened)
            digest = self._continue(upload, offset, total, sha256)
            os.lseek(upload, offset, os.SEEK_SET)
            reached = offset + _receive(body, upload, digest)
            if reached < total:
                self._remember(upload, sha256, reached, digest)
                return reached
            if digest.hexdigest() != sha256:
                os.ftruncate(upload, 0)
                raise ConflictError("the sha256 of what arrived differs; upload it again from the start", 0)
            self._unfinished.pop(_identity(upload), None)
            os.fsync(upload)
            _remove_empty_folder(folder, name)
            os.rename(name + PART, name, src_dir_fd=folder, dst_dir_fd=folder)
            sync_folder(folder)
        return reached

    def _continue(self, upload: int, offset: int, total: int, sha256: str) -> Hash:
        """The hash of the bytes before `offset`, where the upload must stand: remembered, or read after a restart."""
        known = self._unfinished.get(_identity(upload))
        present = os.fstat(upload).st_size
        if present > total or (known is not None and known.sha256 != sha256):
            os.ftruncate(upload, 0)  # what is there is of another file
            known, present = None, 0
        if offset != present:
            raise ConflictError(f"the upload has {present} bytes so far, not {offset}", present)
        if known is not None and known.size == offset:
            return known.digest.copy()
        return hashed(upload, offset)

    def _remember(self, upload: int, sha256: str, size: int, digest: Hash) -> None:
        self._unfinished[_identity(upload)] = _Unfinished(sha256, size, digest)
        while len(self._unfinished) > MAX_REMEMBERED:
            self._unfinished.popitem(last=False)

    def _folder(self, path: str, opened: ExitStack, *, create: bool = False) -> int:
        """A descriptor of a folder, component by component; new ones get the mode of the one above."""
        current = self._root
        for name in filter(None, path.split("/")):
            if create:
                _make_folder(current, name)
            try:
                current = os.open(name, _FOLDER, dir_fd=current)
            except OSError as error:
                if error.errno in (errno.ENOTDIR, errno.ELOOP):
                    raise StorageError("a part of the path is not a folder") from error
                raise
            opened.callback(os.close, current)
        return current


def _checked(path: str) -> str:
    if why := check_store_path(path):
        raise StorageError(f"the path is not allowed: {why}")
    return path


def _make_folder(parent: int, name: str) -> None:
    try:
        os.mkdir(name, 0o700, dir_fd=parent)
    except FileExistsError:
        return
    made = os.open(name, _FOLDER, dir_fd=parent)
    try:
        os.fchmod(made, stat.S_IMODE(os.fstat(parent).st_mode))
    finally:
        os.close(made)


def _remove_empty_folder(parent: int, name: str) -> None:
    """The kubelet leaves an empty folder at the path of an input that was missing: the file may take its place."""
    try:
        os.rmdir(name, dir_fd=parent)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            raise StorageError("there is a folder of that name, which is not empty") from error
        if error.errno not in (errno.ENOENT, errno.ENOTDIR):
            raise


def _open_part(folder: int, name: str, opened: ExitStack) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    upload = os.open(name, flags, file_mode(folder), dir_fd=folder)
    opened.callback(os.close, upload)
    status = os.fstat(upload)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        raise StorageError("the unfinished upload is not a regular file")
    if status.st_uid == os.geteuid():
        os.fchmod(upload, file_mode(folder))
    try:
        fcntl.flock(upload, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ConflictError("another upload to this path is going on", status.st_size) from None
    if _inode(folder, name) != status.st_ino:
        # Another upload ended between our open and our lock: what we hold is its file by now, under its final name.
        raise ConflictError("another upload to this path has just ended", 0)
    return upload


def _receive(body: Readable, upload: int, digest: Hash) -> int:
    """Write all of `body`, and how many bytes that were; a connection that ends early leaves what arrived."""
    buffer = memoryview(bytearray(BLOCK))
    done = 0
    while count := body.readinto(buffer):
        digest.update(buffer[:count])
        write_all(upload, buffer[:count])
        done += count
    return done


def _identity(descriptor: int) -> tuple[int, int]:
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino


def _kind(status: os.stat_result) -> str | None:
    if stat.S_ISDIR(status.st_mode):
        return "folder"
    return "file" if stat.S_ISREG(status.st_mode) else None


def _facts(status: os.stat_result, kind: str) -> dict[str, Any]:
    modified = datetime.fromtimestamp(int(status.st_mtime), UTC).isoformat().replace("+00:00", "Z")
    return {"type": kind, "size": status.st_size if kind == "file" else 0, "modified": modified}


def _encodable(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _size(folder: int, name: str) -> int | None:
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False).st_size
    except FileNotFoundError:
        return None


def _inode(folder: int, name: str) -> int | None:
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False).st_ino
    except FileNotFoundError:
        return None
