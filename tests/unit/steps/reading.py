"""Reading image files as stage does, but for the child process."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from algorithm_operator.api.job import ImageGeometry
from algorithm_operator.steps.readers import formats, writing
from algorithm_operator.steps.readers.reading import Given, Kept, Read

LIMIT = 1 << 30


@dataclass(frozen=True, slots=True)
class Staged:
    """What was read, and the file that the algorithm would get."""

    read: Read
    path: Path
    geometry: ImageGeometry | None


@contextmanager
def given(paths: Iterable[Path]) -> Iterator[list[Given]]:
    """The files, opened as stage opens them."""
    with ExitStack() as stack:
        files = []
        for path in paths:
            descriptor = os.open(path, os.O_RDONLY)
            stack.callback(os.close, descriptor)
            files.append(Given(path.name, descriptor, os.fstat(descriptor).st_size))
        yield files


def staged(folder: Path, *paths: Path) -> Staged:
    """Read the files, and write below `folder` what becomes of them."""
    scratch = folder / "scratch"
    scratch.mkdir()
    with given(paths) as files:
        found = formats.read(files, LIMIT, str(scratch))
        assert not list(scratch.iterdir())
        if isinstance(found.image, Kept):
            target = folder / f"staged{found.image.suffix}"
            file = found.image.file
            target.write_bytes(found.image.header + os.pread(file.descriptor, file.size, 0))
            return Staged(found, target, found.image.geometry)
        target = folder / "staged.mha"
        return Staged(found, target, writing.write(found.image, str(target), LIMIT))
