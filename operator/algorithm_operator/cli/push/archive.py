"""Image archives: what `docker save` writes, and OCI layouts, as .tar, .tar.gz, .tar.bz2 or .tar.xz.

Nothing of an archive is ever a path on this machine: members are looked up by name in the archive, and read as streams.
The refusals are Grand Challenge's (`components/tasks.py`), so that what is taken here is taken there.
"""

from __future__ import annotations

import json
import lzma
import re
import tarfile
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from algorithm_operator.api.text import quoted, shown
from algorithm_operator.cli.errors import CliError
from algorithm_operator.core.registry import INDEXES, digest_of

MAX_DOCUMENT_BYTES = 4 * 1024 * 1024
"""As registries bound manifests and configurations."""
MAX_MEMBERS = 100_000
_HASH = re.compile(r"(?:blobs/sha256/)?([0-9a-f]{64})(?:\.json)?")
_BROKEN = (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, OSError, RecursionError)


class ArchiveError(CliError):
    """The file is no image archive that can be pushed."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer as it is in the archive, compressed or not. `diff_id`: the digest of its tar, as the image says."""

    name: str
    diff_id: str
    offset: int
    """In the archive; where it is compressed, going back is slow."""
    size: int
    """In bytes."""


class Archive:
    """An open archive that holds one image."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar
        self._members: dict[str, tarfile.TarInfo] = {}
        for member in tar:
            self._members[member.name.removeprefix("./")] = member
            if len(self._members) > MAX_MEMBERS:
                raise ArchiveError(f"The container image file has more than {MAX_MEMBERS} members.")
        name, layers = self._docker() if "manifest.json" in self._members else self._layout()
        self.config = self._document(name, "the config file")
        """The image's configuration, byte by byte."""
        found = _HASH.fullmatch(name)
        if found and digest_of(self.config) != f"sha256:{found[1]}":
            raise ArchiveError("The container image file does not have a valid sha256 hash.")
        self.layers = self._layers(layers)
        """Bottom first."""

    def open(self, layer: Layer) -> IO[bytes]:
        """The layer's bytes."""
        return self._open(layer.name)

    def _open(self, name: str) -> IO[bytes]:
        try:
            stream = self._tar.extractfile(self._members[name])
        except KeyError:  # a link to what is not in the archive
            stream = None
        if stream is None:
            raise tarfile.ReadError(f"{quoted(name)} is no file")
        return stream

    def _document(self, name: str, what: str) -> bytes:
        if name not in self._members:
            raise ArchiveError(
                f"Could not find {what} in the container image file. Was this created with docker save?"
            )
        with self._open(name) as stream:
            data = stream.read(MAX_DOCUMENT_BYTES + 1)
        if len(data) > MAX_DOCUMENT_BYTES:
            raise ArchiveError(
                f"{quoted(name)} in the container image file is larger than {MAX_DOCUMENT_BYTES} bytes."
            )
        return data

    def _docker(self) -> tuple[str, list[Any]]:
        images = _json(self._document("manifest.json", "manifest.json"))
        if not isinstance(images, list) or len(images) != 1:
            count = len(images) if isinstance(images, list) else 0
            raise ArchiveError(
                f"The container image file should only have 1 image. This file contains {count}."
            )
        image = _mapping(images[0])
        return str(image.get("Config")), _list(image.get("Layers"))

    def _layout(self) -> tuple[str, list[Any]]:
        """The image of an OCI layout, if need be in an index of its own; that for linux/amd64 of several."""
        document = _mapping(_json(self._document("index.json", "manifest.json")))
        for _ in range(3):
            if document.get("mediaType") not in INDEXES and "manifests" not in document:
                break
            document = self._blob(_one_image(_list(document.get("manifests"))))
        layers = [_blob_name(each) for each in _list(document.get("layers"))]
        return _blob_name(document.get("config")), layers

    def _blob(self, descriptor: object) -> dict[str, Any]:
        return _mapping(_json(self._document(_blob_name(descriptor), "the manifest")))

    def _layers(self, names: Sequence[object]) -> list[Layer]:
        config = _mapping(_json(self.config))
        diff_ids = _list(_mapping(config.get("rootfs")).get("diff_ids"))
        if len(diff_ids) != len(names):
            raise ArchiveError(
                f"The container image file has {len(names)} layers, and its config file names {len(diff_ids)}."
            )
        found = []
        for name, diff_id in zip(map(str, names), map(str, diff_ids), strict=True):
            member = self._members.get(name)
            if member is None:
                raise ArchiveError(f"Layer {quoted(name)} is not in the container image file: it is cut off.")
            found.append(Layer(name, diff_id, member.offset, member.size))
        return found


@contextmanager
def opened(path: Path) -> Iterator[Archive]:
    """The archive at `path`.

    :raises ArchiveError: it is none, or is broken.
    """
    try:
        with path.open("rb") as file:
            try:
                with tarfile.open(fileobj=file, mode="r:*") as tar:
                    yield Archive(tar)
            except _BROKEN as error:
                raise ArchiveError(_broken(error)) from None
    except FileNotFoundError:
        raise ArchiveError(f"There is no file {quoted(str(path), 1024)}.") from None
    except OSError as error:
        raise ArchiveError(f"{quoted(str(path), 1024)} cannot be read: {error.strerror}.") from None


def _broken(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno is not None:  # the machine's word, not the decompressor's
        return f"The container image file, or a layer of it in {tempfile.gettempdir()}: {error.strerror}."
    why = str(error) or "it is cut off"
    if "\n" in why:  # a line for each way in which tarfile has tried
        why = "it is no tar file, neither plain nor packed by gzip, bzip2 or xz; docker save writes one"
    return f"Could not decompress the container image file: {shown(why, 256).rstrip('.')}."


def _one_image(entries: Sequence[Any]) -> object:
    """The descriptor of the one image, attestations left out."""
    described = [(each, _mapping(_mapping(each).get("platform"))) for each in entries]
    images = [each for each in described if each[1].get("os") != "unknown"]
    if len(images) > 1:
        images = [
            each for each in images if (each[1].get("os"), each[1].get("architecture")) == ("linux", "amd64")
        ]
    if len(images) != 1:
        raise ArchiveError(
            f"The container image file should only have 1 image. This file contains {len(entries)}."
        )
    return images[0][0]


def _blob_name(descriptor: object) -> str:
    algorithm, _, value = str(_mapping(descriptor).get("digest")).partition(":")
    return f"blobs/{algorithm}/{value}"


def _json(data: bytes) -> object:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
