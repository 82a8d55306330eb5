"""Files between this machine and a store: hashes on both sides, resumed where the way was lost, never half a file."""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeVar

from algorithm_operator.api.text import quoted, shown
from algorithm_operator.cli.errors import CliError, UsageError
from algorithm_operator.cli.inputs import Place
from algorithm_operator.cli.store import PresentOffsetError, StoreClient, StoreError
from algorithm_operator.contract.paths import check_store_path

TRIES = 6
"""How often the way to the store may be lost without a byte gained."""

T = TypeVar("T")
Progress = Callable[[int], None]
"""Told the number of bytes that are over there (or here) by now."""


def _silent(_: int) -> None:
    pass


class DifferenceError(CliError):
    """Bytes that are not the ones that were announced."""


@dataclass(frozen=True, slots=True)
class Source:
    """A local file and where it goes; `path` is below the root of the store."""

    file: Path
    path: str
    size: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file to fetch, as somebody trustworthy announced it; None: only the store's own word is known."""

    path: str
    target: Path
    size: int | None = None
    sha256: str | None = None


def sources(local: Sequence[Path], place: Place) -> list[Source]:
    """What an upload sends where.

    One file becomes PATH itself, one folder's files go below PATH; if PATH ends with "/" or there are several, each
    keeps its own name below PATH.

    :raises UsageError: a file is missing, is no regular file, or would get a path that stores do not take.
    """
    into = place.is_folder or len(local) > 1
    root = place.path.rstrip("/")
    found: list[Source] = []
    for each in local:
        base = f"{root}/{each.resolve().name}" if into else root
        if each.is_dir():
            files = sorted(file for file in each.rglob("*") if file.is_file())
            if not files:
                raise UsageError(f"{quoted(str(each))} holds no files.")
            found += [
                _source(file, f"{base}/{file.relative_to(each).as_posix()}".lstrip("/")) for file in files
            ]
        elif each.is_file():
            found.append(_source(each, base.lstrip("/")))
        else:
            raise UsageError(f"{quoted(str(each))} is no file or folder that can be read.")
    paths = [source.path for source in found]
    if len(set(paths)) != len(paths):
        twice = next(path for path in paths if paths.count(path) > 1)
        raise UsageError(f"Two of the files would become {quoted(twice)}.")
    return found


def _source(file: Path, path: str) -> Source:
    if why := check_store_path(path):
        raise UsageError(f"{quoted(str(file))} cannot become {quoted(path)}: {why}")
    return Source(file, path, file.stat().st_size)


def file_sha256(file: Path) -> str:
    """The hash of a local file, in hex."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def upload(store: StoreClient, source: Source, sha256: str, progress: Progress = _silent) -> bool:
    """Send a file unless the store has it (same size and hash); whether any byte was sent.

    The store counts it only once its own hash of it is `sha256`. What an interrupted upload has left is continued.
    """
    there = steadily(store, source.path, lambda: store.stat(source.path))
    if there is not None and not there.folder and there.size == source.size:
        known = steadily(store, source.path, lambda: store.stat(source.path, sha256=True))
        if known is not None and known.sha256 == sha256:
            progress(source.size)
            return False
    with source.file.open("rb") as stream:
        steadily(store, source.path, lambda: _send(store, source, stream, sha256, progress))
    return True


def _send(store: StoreClient, source: Source, stream: IO[bytes], sha256: str, progress: Progress) -> None:
    # Asked with an empty body: a refusal must not cross a large one that is on its way.
    offset = store.present(source.path, source.size, sha256) if source.size else 0
    stream.seek(offset)
    progress(offset)
    try:
        store.write(source.path, _Counted(stream, progress), offset, source.size, sha256)
    except PresentOffsetError as error:
        raise ConnectionError(str(error)) from error
    progress(source.size)


def download(store: StoreClient, wanted: Wanted, progress: Progress = _silent) -> str:
    """Fetch a file and check its bytes; its sha256. There is no file, or the whole one.

    A local file that is already the wanted one is kept; another one in its place is not overwritten.

    :raises DifferenceError: size or hash are not as announced. What had arrived is gone again.
    """
    sha256, size = wanted.sha256, wanted.size
    if sha256 is None:
        found = steadily(store, wanted.path, lambda: store.stat(wanted.path, sha256=True))
        if found is None or found.folder or found.sha256 is None:
            what = "is a folder" if found is not None and found.folder else "does not exist"
            raise StoreError(f"DataStore {store.name}: {quoted(wanted.path)} {what}.")
        sha256, size = found.sha256, found.size
    if wanted.target.exists():
        if wanted.target.is_file() and file_sha256(wanted.target) == sha256:
            progress(wanted.target.stat().st_size)
            return sha256
        raise CliError(
            f"{quoted(str(wanted.target))} exists and is another file. Move it, or give another folder by -o."
        )
    wanted.target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(
        prefix=f".{wanted.target.name[:64]}.", suffix=".part", dir=wanted.target.parent
    )
    part = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            got = _receive(store, wanted.path, stream, size, progress)
        if got.hexdigest() != sha256:
            raise DifferenceError(
                f"{quoted(wanted.path)} of DataStore {store.name} is not the file that was announced: its sha256 is "
                f"{got.hexdigest()}, it should be {sha256}. It was not kept. Tell the admin of the store."
            )
        part.chmod(0o644)
        part.rename(wanted.target)
    finally:
        part.unlink(missing_ok=True)
    return sha256


def _receive(store: StoreClient, path: str, stream: IO[bytes], size: int | None, progress: Progress) -> Any:
    """Write the file's bytes to `stream`, going on after a loss where it was; their hash."""
    digest, done = hashlib.sha256(), 0

    def attempt() -> None:
        nonlocal done
        for piece in store.read(path, done):
            digest.update(piece)
            stream.write(piece)
            done += len(piece)
            progress(done)
            if size is not None and done > size:
                raise _wrong_size(store, path, f"more than {size}", size)

    steadily(store, path, attempt, lambda: done)
    if size is not None and done != size:
        raise _wrong_size(store, path, str(done), size)
    return digest


def _wrong_size(store: StoreClient, path: str, found: str, size: int) -> DifferenceError:
    return DifferenceError(
        f"{quoted(path)} of DataStore {store.name} is not the file that was announced: it has {found} bytes, it should "
        f"have {size}. It was not kept. Tell the admin of the store."
    )


def steadily(
    store: StoreClient, path: str, action: Callable[[], T], gained: Callable[[], int] = lambda: 0
) -> T:
    """Do it again when the way was lost, unless that happens TRIES times without anything gained.

    :raises StoreError: it did; the message names `path`.
    """
    lost, before = 0, gained()
    while True:
        try:
            return action()
        except ConnectionError as error:
            store.close()
            lost = 0 if gained() > before else lost + 1
            before = gained()
            if lost >= TRIES:
                raise StoreError(
                    f"The connection to the store Pod of DataStore {store.name} was lost {TRIES} times at "
                    f"{quoted(path)}: {shown(str(error))}. The same command continues where it stopped."
                ) from None
            _pause(lost)


def _pause(lost: int) -> None:
    time.sleep(0.2 * 2**lost)


class _Counted:
    """A file that tells how far it was read."""

    def __init__(self, stream: IO[bytes], progress: Progress) -> None:
        self._stream, self._progress = stream, progress

    def read(self, size: int = -1, /) -> bytes:
        piece = self._stream.read(size)
        self._progress(self._stream.tell())
        return piece
