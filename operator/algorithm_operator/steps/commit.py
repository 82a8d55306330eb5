"""Keeping files so that readers see a whole one or none: temporary name, fsync, then a name that must be free."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
from collections.abc import Callable

from algorithm_operator.contract.manifest import ManifestFile
from algorithm_operator.steps.copying import copy, write_all

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_UNFINISHED = ".unfinished-"
_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK})


def file_mode(folder: int) -> int:
    """Of new files in `folder`: a folder with a group of its own (setgid) shares by group, any other with everyone."""
    return 0o640 if os.fstat(folder).st_mode & stat.S_ISGID else 0o644


def sync_folder(folder: int) -> None:
    """Make names durable, where the file system can."""
    try:
        os.fsync(folder)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
            raise


def publish(folder: int, temporary: str, name: str) -> None:
    """Give a finished file its name.

    :raises FileExistsError: the name is taken; what is there stays as it is.
    """
    try:
        os.link(temporary, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
        os.unlink(temporary, dir_fd=folder)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # A volume without hard links: the temporary name was made with O_EXCL, so we are alone.
        if _exists(folder, name):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from None
        os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)


def _exists(folder: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


class AttemptFolder:
    """The attempt's own folder of the output store. Files are kept once; a name that is there is never replaced."""

    def __init__(self, path: str) -> None:
        self._root = os.open(path, _FOLDER)
        self._kept: list[str] = []

    def close(self) -> None:
        """Release the folder."""
        os.close(self._root)

    def check_writable(self) -> None:
        """Create and remove a file.

        :raises OSError: the volume does not let us.
        """
        os.close(os.open(".writable", _NEW, 0o600, dir_fd=self._root))
        os.unlink(".writable", dir_fd=self._root)

    def keep(self, path: str, source: int, size: int) -> ManifestFile:
        """Copy an open file to `path` (`name` or `folder/name`)."""
        return self._keep(path, size, lambda target: copy(source, target, size))

    def keep_bytes(self, path: str, data: bytes) -> ManifestFile:
        """Write `data` to `path`."""

        def write(target: int) -> str:
            write_all(target, data)
            return hashlib.sha256(data).hexdigest()

        return self._keep(path, len(data), write)

    def _keep(self, path: str, size: int, write: Callable[[int], str]) -> ManifestFile:
        """Let `write` fill a temporary file and tell its sha256, then give the file its name."""
        folder, name = self._folder(path)
        try:
            temporary, target = self._temporary(folder, name)
            try:
                digest = write(target)
                self._finish(folder, temporary, target, name)
            except BaseException:
                os.unlink(temporary, dir_fd=folder)
                raise
            finally:
                os.close(target)
        finally:
            os.close(folder)
        self._kept.append(path)
        return ManifestFile(path=path, bytes=size, sha256=digest)

    def settle(self) -> None:
        """What was kept so far stays, whatever comes."""
        self._kept.clear()

    def discard(self) -> None:
        """Take away again all that was kept since."""
        for path in self._kept:
            os.unlink(path, dir_fd=self._root)
        self._kept.clear()

    def _folder(self, path: str) -> tuple[int, str]:
        """A descriptor of the folder of `path`, made with the root's mode if it is not there, and the name in it."""
        parent, _, name = path.rpartition("/")
        if not parent:
            return os.dup(self._root), name
        try:
            os.mkdir(parent, 0o700, dir_fd=self._root)
            made = True
        except FileExistsError:
            made = False
        folder = os.open(parent, _FOLDER, dir_fd=self._root)
        if made:
            os.fchmod(folder, stat.S_IMODE(os.fstat(self._root).st_mode))
        return folder, name

    def _temporary(self, folder: int, name: str) -> tuple[str, int]:
        temporary = f".{name}.part"
        target = os.open(temporary, _NEW, 0o600, dir_fd=folder)
        return temporary, target

    def _finish(self, folder: int, temporary: str, target: int, name: str) -> None:
        os.fchmod(target, file_mode(folder))
        os.fsync(target)
        publish(folder, temporary, name)
        sync_folder(folder)


class ImportFolder:
    """An import's own folder. Its one file is made in an unfinished part of it, and then given its name.

    Another attempt may have left an unfinished part, or the finished file without telling anybody: both go.
    """

    def __init__(self, path: str, attempt: str) -> None:
        self._root = os.open(path, _FOLDER)
        self.unfinished = os.path.join(path, f"{_UNFINISHED}{attempt}")
        """A new, empty folder."""
        try:
            self._clear()
            os.mkdir(self.unfinished, 0o700)
        except BaseException:
            os.close(self._root)
            raise

    def publish(self, path: str, name: str) -> None:
        """Give the file at `path` of the unfinished part its name; readers see all of it or none."""
        made = os.open(os.path.join(self.unfinished, path), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            os.fchmod(made, file_mode(self._root))
            os.fsync(made)
        finally:
            os.close(made)
        os.rename(os.path.join(self.unfinished, path), name, dst_dir_fd=self._root)
        sync_folder(self._root)

    def close(self) -> None:
        """Remove what is unfinished, and release the folder."""
        try:
            self._clear()
        finally:
            os.close(self._root)

    def _clear(self) -> None:
        with os.scandir(self._root) as found:
            left = [entry.name for entry in found if entry.name.startswith(_UNFINISHED)]
        for name in left:
            shutil.rmtree(name, dir_fd=self._root)
