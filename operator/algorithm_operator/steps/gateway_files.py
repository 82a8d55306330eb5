"""The gateway's files on a volume, all below `gateway/`: parts of uploads that become files, files that become folders.

Every operation may be repeated, as its answer may have been lost on the way: what is done already is no error.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import stat
import threading
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from algorithm_operator.api.text import quoted
from algorithm_operator.contract.storing import Gathered, Stored
from algorithm_operator.core import names
from algorithm_operator.steps.commit import sync_folder
from algorithm_operator.steps.volume import (
    PART,
    Readable,
    StorageError,
    Volume,
    checked,
    checked_file,
    move,
    new_file,
    put_in_place,
    receive,
    size_and_hash,
    status_of,
)

_OF_A_JOB = re.compile(r"[^/]+/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}(/|$)")
"""Where a job that is called "gateway" keeps what came out (`core/names.py`)."""
_NO_COPY_IN_THE_KERNEL = frozenset({errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})
_PIECE = 1 << 30


class MissingError(StorageError):
    """A file that is to become something else is not there."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{quoted(path)} is not there")


class GatewayFiles:
    """The files below `gateway/` of a volume."""

    def __init__(self, volume: Volume) -> None:
        self._volume = volume
        self._turns = _Turns()

    def put(self, path: str, body: Readable, total: int) -> Stored:
        """Write a file, in place of one that was there; nothing is left of a body that ends early.

        :raises ConnectionResetError: the body has fewer than `total` bytes.
        """
        digest = hashlib.sha256()
        with ExitStack() as opened:
            folder, name = self._volume.parent(_ours(checked_file(path)), opened, create=True)
            # Of its own: whoever repeats a request does not wait for the one whose connection was lost.
            temporary = f".{uuid.uuid4().hex}{PART}"
            target = opened.enter_context(new_file(folder, temporary))
            if receive(body, target, digest) < total:
                raise ConnectionResetError("the connection ended early")
            put_in_place(folder, temporary, target, name)
        return Stored(path=path, size=total, sha256=digest.hexdigest())

    def compose(self, path: str, parts: list[str]) -> Stored:
        """Make one file of `parts`, which are gone then.

        :raises MissingError: a part is not there, nor is the file.
        """
        for each in (path, *parts):
            _ours(checked_file(each))
        if len({path, *parts}) < len(parts) + 1:
            raise StorageError("a part is named twice, or is the file itself")
        with self._turns.at(path):
            with ExitStack() as opened:
                folder, name = self._volume.parent(path, opened, create=True)
                try:
                    self._join(parts, folder, name)
                except MissingError:
                    if not _is_file(folder, name):
                        raise  # else it was composed before
            for part in parts:
                self._unlink(part)
            with self._volume.open(path) as file:
                size, sha256 = size_and_hash(file)
        return Stored(path=path, size=size, sha256=sha256)

    def gather(self, path: str, files: list[Gathered]) -> None:
        """Move files into one folder; those that are there already under their names stay.

        :raises MissingError: a file is at neither place; nothing was moved.
        """
        path = _ours(checked(path)).rstrip("/")
        for each in files:
            if "/" in checked(each.name):
                raise StorageError(f"{quoted(each.name)} is not the name of a file in a folder")
            if _ours(checked_file(each.path)).rpartition("/")[0] == path:
                raise StorageError(f"{quoted(each.path)} lies in the folder already")
        if len({each.name for each in files}) < len(files):
            raise StorageError("two files would have the same name")
        with self._turns.at(path), ExitStack() as opened:
            folder = self._volume.folder(path, opened, create=True)
            for each in files:
                if not self._is_there(each.path) and not _is_file(folder, each.name):
                    raise MissingError(each.path)
            for each in files:
                self._move(each.path, folder, each.name)
            sync_folder(folder)

    def delete(self, path: str) -> None:
        """Remove a file, or a folder with all in it; no link is followed."""
        path = _ours(checked(path)).rstrip("/")
        with self._turns.at(path), ExitStack() as opened, suppress(FileNotFoundError):
            folder, name = self._volume.parent(path, opened)
            # Something in it may go meanwhile, which ends a round early.
            while (status := status_of(folder, name)) is not None:
                with suppress(FileNotFoundError):
                    if stat.S_ISDIR(status.st_mode):
                        shutil.rmtree(name, dir_fd=folder)
                    else:
                        os.unlink(name, dir_fd=folder)

    def _join(self, parts: list[str], folder: int, name: str) -> None:
        if len(parts) == 1:
            if not self._move(parts[0], folder, name):
                raise MissingError(parts[0])
            sync_folder(folder)
            return
        # The same each time, so that nothing is left for good of a store Pod that ended in the middle.
        temporary = f".{hashlib.sha256(name.encode()).hexdigest()}{PART}"
        with new_file(folder, temporary) as target:
            for part in parts:
                try:
                    with self._volume.open(part) as source:
                        _append(source.fileno(), target)
                except FileNotFoundError:
                    raise MissingError(part) from None
            put_in_place(folder, temporary, target, name)

    def _move(self, path: str, folder: int, name: str) -> bool:
        """Rename a regular file; False if it is not there."""
        if not self._is_there(path):
            return False
        with ExitStack() as opened:
            above, last = self._volume.parent(path, opened)
            move(above, last, folder, name)
        return True

    def _is_there(self, path: str) -> bool:
        try:
            with self._volume.open(path):
                return True
        except FileNotFoundError:
            return False

    def _unlink(self, path: str) -> None:
        with ExitStack() as opened, suppress(FileNotFoundError):
            folder, name = self._volume.parent(path, opened)
            os.unlink(name, dir_fd=folder)


def _ours(path: str) -> str:
    if not path.startswith(names.GATEWAY_FOLDER + "/") or path == names.GATEWAY_FOLDER + "/":
        raise StorageError(f'this is done only to what lies below "{names.GATEWAY_FOLDER}/"')
    if _OF_A_JOB.match(path):
        raise StorageError("this is the folder of a job's results, which only the job itself writes")
    return path


def _is_file(folder: int, name: str) -> bool:
    status = status_of(folder, name)
    return status is not None and stat.S_ISREG(status.st_mode)


def _append(source: int, target: int) -> None:
    """Append a whole file, inside the kernel.

    :raises StorageError: it became shorter meanwhile.
    """
    left = os.fstat(source).st_size
    while left:
        try:
            count = os.copy_file_range(source, target, min(left, _PIECE))
        except OSError as error:
            if error.errno not in _NO_COPY_IN_THE_KERNEL:
                raise
            count = os.sendfile(target, source, None, min(left, _PIECE))
        if count == 0:
            raise StorageError("a part became shorter while it was read")
        left -= count


class _Turns:
    """Whoever asks again for what is still being done waits for it."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._changed = threading.Condition()

    @contextmanager
    def at(self, path: str) -> Iterator[None]:
        """The only one at `path`, for as long as it takes."""
        with self._changed:
            self._changed.wait_for(lambda: path not in self._taken)
            self._taken.add(path)
        try:
            yield
        finally:
            with self._changed:
                self._taken.discard(path)
                self._changed.notify_all()
