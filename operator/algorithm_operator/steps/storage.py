"""People's files on a volume: what is there, and uploads that can be resumed."""

from __future__ import annotations

import fcntl
import os
import re
import stat
from collections import OrderedDict
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from algorithm_operator.core import names
from algorithm_operator.steps import walk
from algorithm_operator.steps.commit import file_mode
from algorithm_operator.steps.copying import Hash, hashed
from algorithm_operator.steps.volume import (
    PART,
    Readable,
    StorageError,
    Volume,
    checked,
    checked_file,
    put_in_place,
    receive,
    size_and_hash,
    status_of,
)

MAX_LISTED = 10_000
MAX_REMEMBERED = 64
"""Unfinished uploads whose hash is kept in memory, so that one in many parts is not read again and again."""
_UID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_KEPT = {
    "a job's results, which only the job": re.compile(rf"[^/]+/{_UID}/[0-9]+(/|$)"),
    "an import's image, which only the import": re.compile(rf"{names.IMPORTS_FOLDER}/[^/]+/{_UID}(/|$)"),
}
"""Where they keep what came out (`core/names.py`): whoever may upload must not be able to change or pre-empt it."""


class ConflictError(StorageError):
    """An upload stands elsewhere; `offset` is where it goes on."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.offset = offset


@dataclass(frozen=True, slots=True)
class _Unfinished:
    """An upload in parts: the hash of the whole, and size and hash state of what is there."""

    sha256: str
    size: int
    digest: Hash


class Storage:
    """The files of a volume."""

    def __init__(self, volume: Volume) -> None:
        self._volume = volume
        self._unfinished: OrderedDict[tuple[int, int], _Unfinished] = OrderedDict()

    def list(self, path: str) -> dict[str, Any]:
        """The folders and regular files in a folder; links and special files are not shown."""
        with ExitStack() as opened:
            folder = self._volume.folder(checked(path).rstrip("/") if path.strip("/") else "", opened)
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
        answer: dict[str, Any] = {"path": path}
        with ExitStack() as opened:
            folder, name = self._volume.parent(checked(path).rstrip("/"), opened)
            part = status_of(folder, name + PART)
            if part is not None:
                answer["part"] = part.st_size
            status = status_of(folder, name)
        if status is None:
            if part is None:
                raise FileNotFoundError
            return answer | {"type": "part", "size": part.st_size}
        kind = _kind(status)
        if kind is None:
            raise StorageError("this is neither a file nor a folder")
        answer |= _facts(status, kind)
        if with_hash and kind == "file":
            with self._volume.open(path) as file:
                _, answer["sha256"] = size_and_hash(file)
        return answer

    def put(self, path: str, body: Readable, *, offset: int, total: int, sha256: str) -> int:
        """Append `body` to an upload that has `offset` bytes; how many it has then.

        At `total` the hash is checked and the file gets its name, in place of one that was there.

        :raises ConflictError: the upload has not `offset` bytes, or another one is going on, or the hash differs.
        """
        _check_upload(path)
        with ExitStack() as opened:
            folder, name = self._volume.parent(path, opened, create=True)
            upload = _open_part(folder, name + PART, opened)
            digest = self._continue(upload, offset, total, sha256)
            os.lseek(upload, offset, os.SEEK_SET)
            reached = offset + receive(body, upload, digest)
            if reached < total:
                self._remember(upload, sha256, reached, digest)
                return reached
            if digest.hexdigest() != sha256:
                os.ftruncate(upload, 0)
                raise ConflictError("the sha256 of what arrived differs; upload it again from the start", 0)
            self._unfinished.pop(_identity(upload), None)
            put_in_place(folder, name + PART, upload, name)
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


def _check_upload(path: str) -> None:
    for whose, folder_of in _KEPT.items():
        if folder_of.match(checked_file(path)):
            raise StorageError(f"this is the folder of {whose} itself writes")
    name = path.rpartition("/")[2]
    if name.endswith(PART):
        raise StorageError(f'names that end with "{PART}" are those of unfinished uploads')
    if len(os.fsencode(name + PART)) > walk.MAX_NAME:
        raise StorageError(f"the name is longer than {walk.MAX_NAME - len(PART)} bytes")


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
    named = status_of(folder, name)
    if named is None or named.st_ino != status.st_ino:
        # Another upload ended between our open and our lock: what we hold is its file by now, under its final name.
        raise ConflictError("another upload to this path has just ended", 0)
    return upload


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
