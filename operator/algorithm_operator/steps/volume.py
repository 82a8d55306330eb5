"""A volume as the store Pod sees it: every path is walked by descriptors, one name at a time, never through a link."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import BinaryIO, Protocol

from algorithm_operator.contract.paths import check_store_path
from algorithm_operator.steps import walk
from algorithm_operator.steps.commit import file_mode, sync_folder
from algorithm_operator.steps.copying import BLOCK, Hash, hashed, write_all

PART = ".part"
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class StorageError(ValueError):
    """The path or what is asked of it is not as it must be; the message is for the person who asked."""


class Readable(Protocol):
    """Bytes that arrive."""

    def readinto(self, buffer: memoryview) -> int:
        """Fill some of `buffer`; 0 at the end."""


class Volume:
    """The files below `root`."""

    def __init__(self, root: str) -> None:
        self._root = os.open(root, _FOLDER)

    @contextmanager
    def open(self, path: str) -> Iterator[BinaryIO]:
        """A regular file, for reading."""
        try:
            descriptor = walk.open_file(self._root, os.fsencode(checked(path)))
        except walk.RefusedError as error:
            raise StorageError(f"this is {error}, not a file") from error
        with open(descriptor, "rb", buffering=0) as file:
            yield file

    def folder(self, path: str, opened: ExitStack, *, create: bool = False) -> int:
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

    def parent(self, path: str, opened: ExitStack, *, create: bool = False) -> tuple[int, str]:
        """A descriptor of the folder that `path` lies in, and the last name of `path`."""
        above, _, name = path.rpartition("/")
        return self.folder(above, opened, create=create), name


def checked(path: str) -> str:
    """`path`, if it may be one below the root."""
    if why := check_store_path(path):
        raise StorageError(f"the path is not allowed: {why}")
    return path


def checked_file(path: str) -> str:
    """`path`, if it may be that of a file."""
    if checked(path).endswith("/"):
        raise StorageError("this is a folder; name the file")
    return path


def size_and_hash(file: BinaryIO) -> tuple[int, str]:
    """Of an open file, in bytes and as hexadecimal sha256."""
    size = os.fstat(file.fileno()).st_size
    return size, hashed(file.fileno(), size).hexdigest()


def status_of(folder: int, name: str) -> os.stat_result | None:
    """What is there under that name, be it a link; None if nothing."""
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None


@contextmanager
def new_file(folder: int, temporary: str) -> Iterator[int]:
    """A descriptor of a new file under a temporary name, in place of what a process that died has left there; it is
    gone at the end if it did not get another name."""
    with suppress(FileNotFoundError):
        os.unlink(temporary, dir_fd=folder)
    target = os.open(temporary, _NEW, 0o600, dir_fd=folder)
    try:
        os.fchmod(target, file_mode(folder))
        yield target
    finally:
        os.close(target)
        with suppress(FileNotFoundError):  # it has its final name by now
            os.unlink(temporary, dir_fd=folder)


def put_in_place(folder: int, temporary: str, target: int, name: str) -> None:
    """Give a finished file its name, in place of one that was there, once its bytes are on the disk."""
    os.fsync(target)
    move(folder, temporary, folder, name)
    sync_folder(folder)


def move(source: int, old: str, folder: int, new: str) -> None:
    """Rename a file into `folder`, in place of one that was there.

    :raises StorageError: a folder that is not empty has the name. (The kubelet leaves an empty one at the path of an
        input that was missing.)
    """
    try:
        os.rmdir(new, dir_fd=folder)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            raise StorageError("there is a folder of that name, which is not empty") from error
        if error.errno not in (errno.ENOENT, errno.ENOTDIR):
            raise
    os.rename(old, new, src_dir_fd=source, dst_dir_fd=folder)


def receive(body: Readable, target: int, digest: Hash) -> int:
    """Write all of `body`, and how many bytes that were; a connection that ends early leaves what arrived."""
    buffer = memoryview(bytearray(BLOCK))
    done = 0
    while count := body.readinto(buffer):
        digest.update(buffer[:count])
        write_all(target, buffer[:count])
        done += count
    return done


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
