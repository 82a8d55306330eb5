"""A layer as a registry keeps it: compressed, with the digest of that. Streams through a temporary file.

Layers that come uncompressed are compressed the same way every time, so that a second push finds them there.
"""

from __future__ import annotations

import gzip
import hashlib
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from algorithm_operator.api.text import shown
from algorithm_operator.cli.push.archive import Archive, ArchiveError, Layer

_CHUNK = 1024 * 1024
_TAR = "application/vnd.oci.image.layer.v1.tar"
_MAGIC = {b"\x1f\x8b": f"{_TAR}+gzip", b"\x28\xb5\x2f\xfd": f"{_TAR}+zstd"}
_LEVEL = 6
"""As Docker compresses."""


@dataclass(frozen=True, slots=True)
class Blob:
    """A file to upload."""

    file: Path
    media_type: str
    digest: str
    size: int

    @property
    def descriptor(self) -> dict[str, str | int]:
        """As manifests have it."""
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.size}


@contextmanager
def prepared(archive: Archive, layer: Layer, report: Callable[[int], None]) -> Iterator[Blob]:
    """The layer as a blob; its file is gone afterwards. `report` is told how many bytes of it were read.

    :raises ArchiveError: it is not what the image's configuration says.
    """
    with tempfile.NamedTemporaryFile(prefix="kubectl-algorithm-") as file, archive.open(layer) as stream:
        beginning = stream.read(4)
        media_type = next((kind for magic, kind in _MAGIC.items() if beginning.startswith(magic)), None)
        read = _Reader(stream, beginning, report)
        if media_type is None:
            with gzip.GzipFile(filename="", mode="wb", fileobj=file, compresslevel=_LEVEL, mtime=0) as packed:
                digest = read.copy(packed)
            if digest != layer.diff_id:
                raise ArchiveError(
                    f"Layer {shown(layer.diff_id, 19)} of the container image file is damaged."
                )
        else:
            digest = read.copy(file)
            if layer.name.startswith("blobs/sha256/") and not layer.name.endswith(
                digest.removeprefix("sha256:")
            ):
                raise ArchiveError(f"Layer {shown(layer.name, 25)} of the container image file is damaged.")
        file.flush()
        size = file.tell()
        file.seek(0)
        packed_digest = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
        yield Blob(Path(file.name), media_type or _MAGIC[b"\x1f\x8b"], packed_digest, size)


class _Reader:
    """A stream whose beginning was read already."""

    def __init__(self, stream: IO[bytes], beginning: bytes, report: Callable[[int], None]) -> None:
        self._stream = stream
        self._chunk = beginning
        self._report = report

    def copy(self, target: IO[bytes] | gzip.GzipFile) -> str:
        """Write all of it to `target`; its digest."""
        digest, done = hashlib.sha256(), 0
        while self._chunk:
            digest.update(self._chunk)
            target.write(self._chunk)
            done += len(self._chunk)
            self._report(done)
            self._chunk = self._stream.read(_CHUNK)
        return f"sha256:{digest.hexdigest()}"
