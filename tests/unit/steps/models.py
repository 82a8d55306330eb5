"""Archives as somebody might hand them in, member by member."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path
from typing import Any

from algorithm_operator.contract.manifest import ManifestModel
from algorithm_operator.contract.plan import PlannedModel
from algorithm_operator.core import names
from algorithm_operator.steps import model
from algorithm_operator.steps.roots import Roots
from algorithm_operator.steps.settings import StepSettings


class Archive:
    """A tar that is written as it comes; `data` is its .tar.gz."""

    def __init__(self, format_: int = tarfile.PAX_FORMAT) -> None:
        self._buffer = io.BytesIO()
        self._tar = tarfile.TarFile(fileobj=self._buffer, mode="w", format=format_)

    def add(self, name: str, content: bytes = b"", type_: bytes = tarfile.REGTYPE, **fields: Any) -> Archive:
        """One member; `fields` of TarInfo as they are."""
        member = tarfile.TarInfo(name)
        member.type, member.size = type_, len(content)
        for field, value in fields.items():
            setattr(member, field, value)
        self._tar.addfile(member, io.BytesIO(content))
        return self

    @property
    def plain(self) -> bytes:
        """The tar itself, ended."""
        self._tar.close()
        return self._buffer.getvalue()

    @property
    def data(self) -> bytes:
        """As .tar.gz."""
        return gzip.compress(self.plain, 1, mtime=0)


class Mounts:
    """The mounts of stage that a model needs."""

    def __init__(self, root: Path) -> None:
        self.roots = Roots(str(root))
        self.target = Path(self.roots.model)
        self.target.mkdir(parents=True)
        self.source = Path(self.roots.at(names.MODEL_SOURCE_MOUNT))

    def file(self, data: bytes, path: str = "m.tar.gz", **more: Any) -> PlannedModel:
        """A file of a store, as the kubelet mounts it."""
        self.source.write_bytes(data)
        return PlannedModel(mount=names.MODEL_SOURCE_MOUNT, path=path, store="weights", **more)

    def folder(self, files: dict[str, bytes], path: str = "m/", **more: Any) -> PlannedModel:
        """A folder of a store, likewise."""
        self.source.mkdir()
        for name, data in files.items():
            (self.source / name).parent.mkdir(parents=True, exist_ok=True)
            (self.source / name).write_bytes(data)
        return PlannedModel(mount=names.MODEL_SOURCE_MOUNT, path=path, store="weights", **more)

    def image(self, path: str = "", **more: Any) -> PlannedModel:
        """An image volume; what is in it is the test's."""
        self.source.mkdir(exist_ok=True)
        reference = "registry/weights@sha256:0"
        return PlannedModel(mount=names.MODEL_SOURCE_MOUNT, path=path, image=reference, **more)

    def unpack(self, planned: PlannedModel, **settings: int) -> ManifestModel:
        """What stage does."""
        return model.unpack(planned, StepSettings(**settings), self.roots)

    def files(self) -> dict[str, bytes]:
        """What the algorithm finds, links followed."""
        return {
            str(path.relative_to(self.target)): path.read_bytes()
            for path in sorted(self.target.rglob("*"))
            if path.is_file()
        }
